"""Chunks of spectra, several at a time, their answers in order."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def in_order(ask, chunks, n_at_once):
    """Ask for each chunk in a thread of its own, and give the answers in the order of the chunks.

    No more chunks are taken than are being asked for, so that memory does not grow with their number.

    Parameters
    ----------
    ask : callable
        Takes a chunk, gives its answer.
    chunks : iterable
        Taken one by one, in the thread of the caller.
    n_at_once : int
        How many are asked for at a time.

    Yields
    ------
    answer : object
        Of each chunk.

    Examples
    --------
    >>> from skbcnn.network.chunks import in_order
    >>> list(in_order(sum, [(1, 2), (3, 4), (5,)], n_at_once=2))
    [3, 7, 5]
    """
    with ThreadPoolExecutor(n_at_once) as threads:
        asked = deque()
        for chunk in chunks:
            asked.append(threads.submit(ask, chunk))
            if len(asked) == n_at_once:
                yield asked.popleft().result()
        while asked:
            yield asked.popleft().result()
