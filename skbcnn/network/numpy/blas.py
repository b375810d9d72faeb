"""What must be known of NumPy's matrix products: on how many threads they run, and which columns they treat alike."""

import functools
import os
import threading

import numpy as np
from threadpoolctl import ThreadpoolController

_N_ROWS = (*range(1, 25), 32, 33, 48, 64, 96, 192, 256)  # of products that are tried out: all kinds of remainders
_N_SUMMED = (7, 64, 500)


class OneThreadAProduct:
    """Context in which each matrix product takes one thread; it gives the number that it would have taken.

    Whole chunks of spectra then have a thread of their own: most of their products are too small to be divided, and
    those that could be would wait for each other. What they would have taken is what the user has set, or joblib for a
    worker. The setting is one of the process: the first who enters changes it, and the last who leaves puts it back.

    Examples
    --------
    >>> from skbcnn.network.numpy.blas import ONE_THREAD_A_PRODUCT
    >>> with ONE_THREAD_A_PRODUCT as n_threads:
    ...     n_threads >= 1
    True
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_inside = 0

    def __enter__(self):
        with self._lock:
            if self._n_inside == 0:
                libraries = ThreadpoolController().select(user_api="blas")
                counts = [library["num_threads"] for library in libraries.info()]
                self._n_threads = max(counts, default=os.cpu_count() or 1)  # of some libraries nothing is known
                self._limit = libraries.limit(limits=1)
            self._n_inside += 1
            return self._n_threads

    def __exit__(self, *raised):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limit.restore_original_limits()


ONE_THREAD_A_PRODUCT = OneThreadAProduct()


@functools.cache
def columns_alike(n_columns, product=np.matmul):
    """Columns of a product in which equal numbers give equal bits.

    BLAS goes through a product in blocks, and may round otherwise in the first or the last columns, for which it has
    code of its own. Which these are depends on the library and the processor, so it is tried out, once in a process.

    Parameters
    ----------
    n_columns : int
        Of the second factor and the product.
    product : callable, default=np.matmul
        Of two arrays.

    Returns
    -------
    columns : ndarray of int
        The most that are alike.

    Examples
    --------
    >>> from skbcnn.network.numpy.blas import columns_alike
    >>> bool(len(columns_alike(128)) > 64)
    True
    """
    rng = np.random.default_rng(0)
    kinds = np.zeros(n_columns, dtype=int)
    with ONE_THREAD_A_PRODUCT:
        for n_rows in _N_ROWS:
            for n_summed in _N_SUMMED:
                kernel = rng.standard_normal((n_rows, n_summed), dtype=np.float32)
                column = rng.standard_normal((n_summed, 1), dtype=np.float32)
                columns = np.repeat(column, n_columns, axis=1)
                for answer in product(kernel, columns), product(np.asfortranarray(kernel), columns):
                    seen = {}  # number of each kind of column, by what it was before and by its bits
                    parts = zip(kinds.tolist(), answer.T, strict=True)
                    kinds = np.array([seen.setdefault((kind, bits.tobytes()), len(seen)) for kind, bits in parts])
    return np.flatnonzero(kinds == np.bincount(kinds).argmax())
