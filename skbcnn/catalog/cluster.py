"""Predictions of parts on the workers of a Dask cluster.

The model is sent once to each worker, by a plugin, which workers that start later get, too. Each part is one task: its
worker reads the spectra and predicts them. This process saves the results.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import uuid4

import distributed
import numpy as np
from distributed import Client, Future, WorkerPlugin
from distributed.client import CancelledError
from distributed.comm import CommClosedError, connect
from distributed.security import Security

from skbcnn._prediction import Naming
from skbcnn._user_warnings import warn_user
from skbcnn.catalog.part_predictions import predict_part
from skbcnn.catalog.spectra_files import Part, PartLoader
from skbcnn.regressor import CensoredBCNNRegressor

_TASKS_PER_THREAD = 2  # one that runs, and one that waits, so that no worker waits for this process
_SECONDS = 2.0  # between looks at the connection
_SECONDS_TO_CONNECT = 10.0
_N_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")  # environment variables of TensorFlow; the lower one counts
_PACKAGES = ("skbcnn", "numpy", "tensorflow")  # whose versions can change the last digits of predictions


class ModelPlugin(WorkerPlugin):
    """Model and reader on a worker.

    Parameters
    ----------
    name : str
        Name by which tasks find the plugin.
    model : CensoredBCNNRegressor
        Fitted.
    loader : PartLoader
        Reader of the parts.
    naming : {"skbcnn", "sdssv"}
        Names of the columns.
    """

    def __init__(self, name: str, model: CensoredBCNNRegressor, loader: PartLoader, naming: Naming) -> None:
        self.name = name
        self.model = model
        self.loader = loader
        self.naming = naming
        self.versions = package_versions()
        self.n_threads = n_threads_of_tensorflow()

    def setup(self, worker: Any) -> None:
        """Let TensorFlow add in the order of the client, and make the lock of the network, which cannot be sent."""
        if "tensorflow" not in sys.modules:  # Dask sets OMP_NUM_THREADS to 1 in workers
            os.environ.update(dict.fromkeys(_N_THREADS, str(self.n_threads)))
        self.lock = threading.Lock()  # a worker with two threads reads one part while it predicts another


def predict_on_cluster(
    scheduler: Any,
    model: CensoredBCNNRegressor,
    loader: PartLoader,
    parts: Sequence[Part],
    naming: Naming,
    retries: int,
) -> Iterator[tuple[int, dict[str, np.ndarray], dict[str, Any]]]:
    """Yield the predictions of parts, in the order in which they are finished.

    Parameters
    ----------
    scheduler : str or distributed.Client
        Address of the scheduler, or a client of it, which is left open.
    model : CensoredBCNNRegressor
        Fitted.
    loader : PartLoader
        Reader of the parts.
    parts : sequence of Part
        Parts to predict; their paths must be valid on the workers.
    naming : {"skbcnn", "sdssv"}
        Names of the columns.
    retries : int
        How often a part is tried again after an error, or after the death of its worker.

    Yields
    ------
    position : int
        Position of the part.
    arrays, record
        As from `predict_part`.

    Raises
    ------
    ConnectionError
        If the scheduler cannot be reached within 10 s, or its connection is lost.
    OSError
        If a part failed too often. The other parts are finished before.

    Warns
    -----
    UserWarning
        If the scheduler has no workers.
    """
    with _client_of(scheduler) as client:
        plugin = ModelPlugin(f"skbcnn-{uuid4().hex}", model, loader, naming)
        try:
            client.register_plugin(plugin)
            if not client.nthreads():
                warn_user(
                    f"The Dask scheduler at {client.scheduler.address} has no workers yet. The work waits for them."
                )
            yield from _results(client, plugin.name, parts, retries)
        except (CancelledError, CommClosedError, TimeoutError) as error:
            raise _lost_connection(client) from error
        finally:
            with suppress(Exception):  # the scheduler may be dead
                if client.status == "running":
                    client.unregister_worker_plugin(plugin.name)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages on which the last digits of predictions depend.

    Returns
    -------
    versions : dict of str to str
        "absent" for a package that is not installed.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


def n_threads_of_tensorflow() -> int:
    """Return how many threads share an operation of TensorFlow in this process, on which its rounding depends.

    Returns
    -------
    n_threads : int
        From the environment variables that TensorFlow reads, else the number of CPUs of this process.
    """
    n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # a cluster in this process has set OMP_NUM_THREADS here, too, for its workers
    names = _N_THREADS[:1] if distributed.Nanny._instances else _N_THREADS
    given = [text for name in names if (text := os.environ.get(name, "")).isdecimal() and text != "0"]
    return min(map(int, given), default=n_cpus)


@contextmanager
def _client_of(scheduler: Any) -> Iterator[Client]:
    """Yield a client of a scheduler; one that is made here is closed."""
    if isinstance(scheduler, Client):
        yield scheduler
        return
    try:
        with ThreadPoolExecutor(1) as thread:  # because a notebook has a running event loop
            thread.submit(asyncio.run, _try_connection(scheduler)).result()
        client = Client(scheduler, set_as_default=False, timeout=_SECONDS_TO_CONNECT)
    except Exception as error:  # what answers at a wrong address makes Dask raise errors of many kinds
        raise ConnectionError(
            f"There is no Dask scheduler at {scheduler} ({str(error) or type(error).__name__}). Start one with `dask "
            "scheduler`, and pass the address that it prints."
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):  # the scheduler may be dead
            client.close(timeout=_SECONDS)


async def _try_connection(address: str) -> None:
    """Connect once: a client that finds no scheduler would wait longer and print tracebacks."""
    arguments = Security().get_connection_args("client")
    comm = await connect(address, timeout=_SECONDS_TO_CONNECT, **arguments)
    comm.abort()


def _results(
    client: Client, name: str, parts: Sequence[Part], retries: int
) -> Iterator[tuple[int, dict[str, np.ndarray], dict[str, Any]]]:
    waiting = list(reversed(range(len(parts))))
    n_tries = [0] * len(parts)
    running: dict[Future, int] = {}
    failed: dict[int, BaseException] = {}

    def submit(position: int) -> None:
        n_tries[position] += 1
        key = f"{name}-{position}-{n_tries[position]}"
        running[client.submit(_predict_on_worker, name, parts[position], key=key, pure=False)] = position

    try:
        while waiting or running:
            while waiting and len(running) < _TASKS_PER_THREAD * max(1, sum(client.nthreads().values())):
                submit(waiting.pop())
            for future in _finished(client, running):
                position = running.pop(future)
                if future.status == "finished":
                    yield position, *future.result()
                elif n_tries[position] <= retries and future.status == "error":
                    waiting.append(position)
                else:
                    failed[position] = future.exception()
                future.release()
    finally:
        with suppress(Exception):  # the scheduler may be dead
            if running and client.status == "running":
                client.cancel(list(running))
    if failed:
        position, error = next(iter(failed.items()))
        raise OSError(
            f"{len(failed)} of {len(parts)} parts could not be predicted on the cluster (first: {parts[position]}: "
            f"{type(error).__name__}: {error}). The others are finished; the same call tries these again."
        ) from error


def _finished(client: Client, running: dict[Future, int]) -> list[Future]:
    """Wait for tasks, and return those that are finished or failed."""
    with suppress(TimeoutError), client.as_current():
        distributed.wait(list(running), timeout=_SECONDS, return_when="FIRST_COMPLETED")
    if client.status != "running" or any(future.status in ("cancelled", "lost") for future in running):
        raise _lost_connection(client)
    return [future for future in running if future.done()]


def _lost_connection(client: Client) -> ConnectionError:
    address = client.scheduler.address if client.scheduler else "an unknown address"
    return ConnectionError(
        f"The connection to the Dask scheduler at {address} is lost: it has stopped or cannot be reached. Start it "
        "again; the same call goes on from what is finished."
    )


def _predict_on_worker(name: str, part: Part) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Predict a part on the worker that runs this task."""
    worker = distributed.get_worker()
    plugin: Any = worker.plugins[name]
    if (versions := package_versions()) != plugin.versions:
        raise RuntimeError(
            f"The worker {worker.address} has {versions}, but the client has {plugin.versions}. Predictions "
            "of other versions can differ: install the same packages on all machines."
        )
    spectra = plugin.loader.load(part)
    with plugin.lock:
        return predict_part(plugin.model, spectra, plugin.naming)
