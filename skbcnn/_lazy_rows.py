"""Rows of an array that are read or computed when they are used, so that spectra need not fit in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from io import RawIOBase
from itertools import pairwise
from typing import Any

import numpy as np


class LazyRows:
    """Two-dimensional array whose rows are made when they are indexed.

    It behaves like an array where rows are read. An operation on all of it needs `numpy.asarray`, which makes all rows.

    Parameters
    ----------
    read : callable
        Function of an array of row numbers that returns these rows as a new array.
    shape : tuple of (int, int)
        Shape.
    dtype : dtype-like, default=numpy.float32
        Type of the values.
    will_need : callable, default=None
        Function of an array of row numbers that lets the system begin to read these rows. None: nothing is done.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._lazy_rows import LazyRows
    >>> squares = LazyRows(lambda rows: np.stack([rows**2, rows**3], axis=1), (1000, 2), int)
    >>> squares[[3, 10]]
    array([[   9,   27],
           [ 100, 1000]])
    >>> squares.take(np.array([7, 5])).change(lambda values: -values)[:]
    array([[ -49, -343],
           [ -25, -125]])
    """

    ndim = 2

    def __init__(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        shape: tuple[int, int],
        dtype: Any = np.float32,
        will_need: Callable[[np.ndarray], None] | None = None,
    ) -> None:
        self._read = read
        self.will_need = will_need or _ignore
        self.shape, self.dtype = shape, np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        numbers = self._numbers(rows)
        return self._read(numbers) if numbers.ndim else self._read(numbers[np.newaxis])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _numbers(self, rows: Any) -> np.ndarray:
        """Return the numbers of rows; those of an index array are used as they are, without one number for each row."""
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        is_index = isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" and rows.min(initial=0) >= 0
        return rows if is_index else np.arange(len(self))[rows]

    def take(self, rows: np.ndarray | slice) -> LazyRows:
        """Return some of the rows, which are not read yet.

        Parameters
        ----------
        rows : ndarray of int or bool, or slice
            The rows.

        Returns
        -------
        rows : LazyRows
        """
        numbers = self._numbers(rows)
        return LazyRows(
            lambda some: self._read(numbers[some]),
            (len(numbers), self.shape[1]),
            self.dtype,
            lambda some: self.will_need(numbers[some]),
        )

    def change(self, function: Callable[[np.ndarray], np.ndarray]) -> LazyRows:
        """Return the result of a function of each row, which is computed when it is used.

        Parameters
        ----------
        function : callable
            Function of an array of some rows, which it may change, that returns an array of its shape and type.

        Returns
        -------
        rows : LazyRows
        """
        return LazyRows(lambda rows: function(self._read(rows)), self.shape, self.dtype, self.will_need)


def _ignore(rows: np.ndarray) -> None:
    """Read nothing ahead."""


def file_rows(file: RawIOBase, offset: int, shape: tuple[int, int]) -> LazyRows:
    """Return the rows of an array of float32 in a file, as they lie there.

    Rows are read by system calls, not by a memory map: one request a row, whether or not the file is in the memory that
    the system uses for files, and no error that ends the process if the file is cut short.

    Parameters
    ----------
    file : RawIOBase
        File opened without a buffer. It stays open as long as rows are read.
    offset : int
        Position of the first row in bytes.
    shape : tuple of (int, int)
        Shape of the array.

    Returns
    -------
    rows : LazyRows
    """
    lock = threading.Lock()
    n_bytes = shape[1] * np.dtype(np.float32).itemsize

    def fill(row: int, target: memoryview) -> None:
        file.seek(offset + int(row) * n_bytes)
        while len(target):
            n_read = file.readinto(target)
            if not n_read:
                raise OSError(f"Row {row} cannot be read: the file of the spectra was cut short while it was used.")
            target = target[n_read:]

    def read(rows: np.ndarray) -> np.ndarray:
        values = np.empty((len(rows), shape[1]), dtype=np.float32)
        starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]  # of runs of consecutive rows
        with lock:
            for start, stop in pairwise(starts):
                if stop > start:
                    fill(rows[start], values[start:stop].reshape(-1).view(np.uint8).data)
        return values

    def will_need(rows: np.ndarray) -> None:
        for row in rows.tolist():
            os.posix_fadvise(file.fileno(), offset + row * n_bytes, n_bytes, os.POSIX_FADV_WILLNEED)

    return LazyRows(read, shape, will_need=will_need if hasattr(os, "posix_fadvise") else None)


def will_need(rows: np.ndarray, *several: Any) -> None:
    """Let the system begin to read rows of lazy rows; nothing is done for arrays and None.

    Parameters
    ----------
    rows : ndarray of int
        Numbers of the rows.
    *several : ndarray, LazyRows or None
        What has these rows.
    """
    for values in several:
        if isinstance(values, LazyRows):
            values.will_need(rows)


def take_rows(values: Any, rows: np.ndarray | slice) -> Any:
    """Return some rows of an array, or of lazy rows, which are not read for this.

    Parameters
    ----------
    values : ndarray, LazyRows or None
        Rows.
    rows : ndarray of int or bool, or slice
        Which of them.

    Returns
    -------
    values : ndarray, LazyRows or None
        None for None.
    """
    if values is None:
        return None
    return values.take(rows) if isinstance(values, LazyRows) else values[rows]


def change_rows(values: Any, function: Callable[[Any], np.ndarray]) -> Any:
    """Return the result of a function of all rows; for lazy rows, it is computed when they are used.

    Parameters
    ----------
    values : ndarray, LazyRows or None
        Rows.
    function : callable
        Function of an array, row by row.

    Returns
    -------
    values : ndarray, LazyRows or None
        None for None.
    """
    if values is None:
        return None
    return values.change(function) if isinstance(values, LazyRows) else function(values)
