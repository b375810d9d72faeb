"""Predictions of parts on the workers of a Dask cluster.

The model is sent once to each worker, by a plugin, which workers that start later get, too. Each part is one task: its
worker reads the spectra and predicts them. This process saves the results.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import uuid4

import distributed
import numpy as np
from distributed import WorkerPlugin

from skbcnn._dask_cluster import check_versions, client_of, results_of_tasks
from skbcnn._prediction import Naming
from skbcnn.catalog.part_predictions import predict_part
from skbcnn.catalog.spectra_files import Part, PartLoader
from skbcnn.regressor import CensoredBCNNRegressor

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
    with client_of(scheduler) as client:
        plugin = ModelPlugin(f"skbcnn-{uuid4().hex}", model, loader, naming)
        try:
            client.register_plugin(plugin)
            predict = partial(_predict_on_worker, plugin.name)
            for position, (arrays, record) in results_of_tasks(client, predict, parts, retries=retries):
                yield position, arrays, record
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


def _predict_on_worker(name: str, part: Part) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Predict a part on the worker that runs this task."""
    plugin: Any = distributed.get_worker().plugins[name]
    check_versions(plugin.versions, package_versions())
    spectra = plugin.loader.load(part)
    with plugin.lock:
        return predict_part(plugin.model, spectra, plugin.naming)
