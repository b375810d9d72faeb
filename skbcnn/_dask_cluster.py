"""Work on the workers of a Dask cluster: one client, tasks that are tried again, and errors that are sentences.

This module imports Dask: import it where a scheduler was passed, after `require_extra`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from uuid import uuid4

import distributed
from distributed import Client, Future
from distributed.client import CancelledError
from distributed.comm import CommClosedError, connect
from distributed.security import Security

from skbcnn._user_warnings import warn_user

_TASKS_PER_THREAD = 2  # one that runs, and one that waits, so that no worker waits for this process
_SECONDS = 2.0  # between looks at the connection
_SECONDS_TO_CONNECT = 10.0
_ONE_AT_A_TIME = threading.Lock()  # of a worker: see `alone_on_worker`


@contextmanager
def client_of(scheduler: Any) -> Iterator[Client]:
    """Yield a client of a scheduler. Errors of the connection in the block become a ConnectionError.

    Parameters
    ----------
    scheduler : str or distributed.Client
        Address of the scheduler, or a client of it, which is left open.

    Yields
    ------
    client : distributed.Client

    Raises
    ------
    ConnectionError
        If the scheduler cannot be reached within 10 s, or its connection is lost.

    Warns
    -----
    UserWarning
        If the scheduler has no workers.
    """
    if isinstance(scheduler, Client):
        with _errors_of_connection(scheduler):
            yield scheduler
        return
    client = _new_client(scheduler)
    with _silent(logging.getLogger("distributed.client")):  # it logs tracebacks of what the error below says
        try:
            with _errors_of_connection(client):
                yield client
        finally:
            with suppress(Exception):  # the scheduler may be dead
                client.close(timeout=_SECONDS)


@contextmanager
def _errors_of_connection(client: Client) -> Iterator[None]:
    try:
        if not client.nthreads():
            warn_user(f"The Dask scheduler at {client.scheduler.address} has no workers yet. The work waits for them.")
        yield
    except (CancelledError, CommClosedError, TimeoutError) as error:
        raise lost_connection(client) from error


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _new_client(address: Any) -> Client:
    """Return a client, after a try of the connection: a client that finds no scheduler prints tracebacks later."""
    try:
        with ThreadPoolExecutor(1) as thread:  # because a notebook has a running event loop
            thread.submit(asyncio.run, _try_connection(address)).result()
        return Client(address, set_as_default=False, timeout=_SECONDS_TO_CONNECT)
    except Exception as error:  # what answers at a wrong address makes Dask raise errors of many kinds
        raise ConnectionError(
            f"There is no Dask scheduler at {address!r} ({str(error) or type(error).__name__}). Start one with `dask "
            "scheduler`, and pass the address that it prints."
        ) from error


async def _try_connection(address: Any) -> None:
    arguments = Security().get_connection_args("client")
    try:
        async with asyncio.timeout(_SECONDS_TO_CONNECT + 1):  # Dask's own limit ends before the first answer
            comm = await connect(address, timeout=_SECONDS_TO_CONNECT, **arguments)
    except TimeoutError:
        raise TimeoutError(f"what listens there did not answer like Dask within {_SECONDS_TO_CONNECT:g} s") from None
    comm.abort()


def results_of_tasks(
    client: Client, function: Callable[[Any], Any], items: Sequence[Any], *, retries: int = 3
) -> Iterator[tuple[int, Any]]:
    """Yield the results of a function of each item, in the order in which they are finished.

    Parameters
    ----------
    client : distributed.Client
        From `client_of`, in whose block this must run.
    function : callable
        Function that the workers call; sent with each item.
    items : sequence
        Its arguments.
    retries : int, default=3
        How often an item is tried again after an error, or after the death of its worker.

    Yields
    ------
    position : int
        Position of the item.
    result : object

    Raises
    ------
    ConnectionError
        If the connection to the scheduler is lost.
    OSError
        If an item failed too often. The others are finished before.
    """
    name = f"skbcnn-{uuid4().hex}"
    waiting = list(reversed(range(len(items))))
    n_tries = [0] * len(items)
    running: dict[Future, int] = {}
    failed: dict[int, BaseException] = {}

    def submit(position: int) -> None:
        n_tries[position] += 1
        key = f"{name}-{position}-{n_tries[position]}"
        running[client.submit(function, items[position], key=key, pure=False)] = position

    try:
        while waiting or running:
            while waiting and len(running) < _TASKS_PER_THREAD * max(1, sum(client.nthreads().values())):
                submit(waiting.pop())
            for future in _finished(client, running):
                position = running.pop(future)
                if future.status == "finished":
                    yield position, future.result()
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
        error = next(iter(failed.values()))
        raise OSError(
            f"{len(failed)} of {len(items)} parts failed on the cluster (the first: {type(error).__name__}: {error}). "
            "The others are finished; the same call tries these again."
        ) from error


def _finished(client: Client, running: Mapping[Future, int]) -> list[Future]:
    """Wait for tasks, and return those that are finished or failed."""
    with suppress(TimeoutError), client.as_current():
        distributed.wait(list(running), timeout=_SECONDS, return_when="FIRST_COMPLETED")
    if client.status != "running" or any(future.status in ("cancelled", "lost") for future in running):
        raise lost_connection(client)
    return [future for future in running if future.done()]


def lost_connection(client: Client) -> ConnectionError:
    """Return the error that says that the scheduler of a client has stopped.

    Parameters
    ----------
    client : distributed.Client
        The client.

    Returns
    -------
    error : ConnectionError
    """
    address = client.scheduler.address if client.scheduler else "an unknown address"
    return ConnectionError(
        f"The connection to the Dask scheduler at {address} is lost: it has stopped or cannot be reached. Start it "
        "again; the same call goes on from what is finished."
    )


def alone_on_worker(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that a worker calls for one item at a time, however many threads it has.

    Parameters
    ----------
    function : callable
        Function of one argument, which changes what all threads share, such as limits of threads or filters of
        warnings.

    Returns
    -------
    alone : callable
        It can be sent to workers if `function` can.
    """
    return partial(_call_alone, function)


def _call_alone(function: Callable[[Any], Any], item: Any) -> Any:
    with _ONE_AT_A_TIME:
        return function(item)


def check_versions(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise if a worker has other versions of packages than the client, so that results can differ.

    Parameters
    ----------
    expected, found : mapping of str to str
        Versions of the client and of the worker, by package.

    Raises
    ------
    RuntimeError
        If they differ.
    """
    if found != expected:
        raise RuntimeError(
            f"The worker {distributed.get_worker().address} has {dict(found)}, but the client has {dict(expected)}. "
            "Results of other versions can differ: install the same packages on all machines."
        )
