"""Chunks of spectra: how many spectra are computed at once, and several chunks at a time in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def chunk_size(bytes_per_spectrum: int, max_bytes: int, largest: int, smallest: int = 1) -> int:
    """Return the number of spectra that are computed at once.

    Parameters
    ----------
    bytes_per_spectrum : int
        Memory that the intermediate arrays of one spectrum take.
    max_bytes : int
        Memory that those of a chunk may take.
    largest, smallest : int
        Limits of the result.

    Returns
    -------
    chunk_size : int
        A multiple of 16 if at least 16 spectra fit.

    Examples
    --------
    >>> from skbcnn.network.chunks import chunk_size
    >>> [chunk_size(n_bytes, max_bytes=1000, largest=128) for n_bytes in (1, 9, 100, 2000)]
    [128, 96, 10, 1]
    """
    n_fitting = max_bytes // bytes_per_spectrum
    return min(largest, max(n_fitting // 16 * 16, min(n_fitting, 16), smallest))


def ordered_map(function: Callable[[Chunk], Result], chunks: Iterable[Chunk], n_threads: int) -> Iterator[Result]:
    """Apply a function to chunks in threads and yield the results in the order of the chunks.

    At most `n_threads` chunks are in memory at once: the executor's own `map` would take all of them first.

    Parameters
    ----------
    function : callable
        Function of one chunk.
    chunks : iterable
        Chunks; they are taken one by one, in the thread of the caller.
    n_threads : int
        Number of chunks computed at once.

    Yields
    ------
    result : object
        Result of each chunk.

    Examples
    --------
    >>> from skbcnn.network.chunks import ordered_map
    >>> list(ordered_map(sum, [(1, 2), (3, 4), (5,)], n_threads=2))
    [3, 7, 5]
    """
    with ThreadPoolExecutor(n_threads) as threads:
        pending: deque[Future[Result]] = deque()
        for chunk in chunks:
            pending.append(threads.submit(function, chunk))
            if len(pending) == n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
