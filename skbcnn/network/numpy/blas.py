"""Threads and rounding of NumPy's matrix products, which a BLAS library computes."""

import functools
import os
import threading
from collections.abc import Callable

import numpy as np
from threadpoolctl import ThreadpoolController

_N_ROWS = (*range(1, 25), 32, 33, 48, 64, 96, 192, 256)  # of the trial products: all kinds of remainders of blocks
_N_SUMMED = (7, 64, 500)


class OneThreadPerProduct:
    """Context in which each matrix product uses one thread; it returns the number of threads used outside.

    Chunks of spectra then run in threads of their own, which is faster: most products are too small to be divided, and
    the larger ones would wait for each other. The number of threads outside is the one set by the user, or by joblib
    for a worker. It is a setting of the whole process: the first context entered changes it, and the last one left
    restores it.

    Examples
    --------
    >>> from skbcnn.network.numpy.blas import ONE_THREAD_PER_PRODUCT
    >>> with ONE_THREAD_PER_PRODUCT as n_threads:
    ...     n_threads >= 1
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._enter_child)

    def _enter_child(self) -> None:
        """Forget the threads of the parent, which do not exist in a forked process."""
        self._lock = threading.Lock()
        if self._n_inside:
            self._n_inside = 0
            self._limit.restore_original_limits()

    def __enter__(self) -> int:
        with self._lock:
            if self._n_inside == 0:
                libraries = ThreadpoolController().select(user_api="blas")
                counts = [library["num_threads"] for library in libraries.info()]
                self._n_threads = max(counts, default=os.cpu_count() or 1)  # threadpoolctl does not know every library
                self._limit = libraries.limit(limits=1)
            self._n_inside += 1
            return self._n_threads

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limit.restore_original_limits()


ONE_THREAD_PER_PRODUCT = OneThreadPerProduct()


@functools.cache
def equally_rounded_columns(
    n_columns: int, product: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.matmul
) -> np.ndarray:
    """Return the columns of a matrix product in which equal numbers give equal bits.

    BLAS computes a product in blocks, and its code for the first or the last columns may round differently. Which
    columns these are depends on the library and the processor, so products are tried out, once in a process.

    Parameters
    ----------
    n_columns : int
        Number of columns of the second factor and the product.
    product : callable, default=np.matmul
        Function of two matrices.

    Returns
    -------
    columns : ndarray of int
        The largest set of columns that round equally.

    Examples
    --------
    >>> from skbcnn.network.numpy.blas import equally_rounded_columns
    >>> bool(len(equally_rounded_columns(128)) > 64)
    True
    """
    rng = np.random.default_rng(0)
    kinds = np.zeros(n_columns, dtype=int)
    with ONE_THREAD_PER_PRODUCT:
        for n_rows in _N_ROWS:
            for n_summed in _N_SUMMED:
                kernel = rng.standard_normal((n_rows, n_summed), dtype=np.float32)
                column = rng.standard_normal((n_summed, 1), dtype=np.float32)
                columns = np.repeat(column, n_columns, axis=1)
                for result in product(kernel, columns), product(np.asfortranarray(kernel), columns):
                    # columns stay of one kind if they were so before and have the same bits
                    numbers: dict[tuple[int, bytes], int] = {}
                    pairs = zip(kinds.tolist(), (bits.tobytes() for bits in result.T), strict=True)
                    kinds = np.array([numbers.setdefault(pair, len(numbers)) for pair in pairs])
    return np.flatnonzero(kinds == np.bincount(kinds).argmax())
