"""Spectra that stay in a file while a model is trained on them.

Rows of an HDF5 dataset that is contiguous and of float32, as `write_h5` writes it, are read where they are. Other
datasets (chunked, compressed, of other types), whose single rows take long to read, are first copied in order to a
temporary file, which the system removes even if the process is killed.
"""

from __future__ import annotations

import errno
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from skbcnn._chunks import row_chunks
from skbcnn._error_level import MAX_FLUX_ERROR
from skbcnn._flux_level import are_near_one
from skbcnn._lazy_rows import LazyRows, file_rows, will_need
from skbcnn.datasets.h5 import ERROR_SUFFIX, H5Loader, _open, _read_columns, _read_rows, _resolve, column_key

if TYPE_CHECKING:
    import h5py


_LARGER_CHUNKS = 8  # than those of computations, because every read from a file has a fixed cost


class StreamedData(NamedTuple):
    """Arguments of `fit`, with spectra that are read when they are used.

    Attributes
    ----------
    X : LazyRows
        Flux.
    y : ndarray of shape (n_samples, n_labels)
        Labels.
    x_err : LazyRows or None
        Flux errors.
    y_err : ndarray of shape (n_samples, n_labels) or None
        Label errors.
    """

    X: Any
    y: Any
    x_err: Any = None
    y_err: Any = None


@contextmanager
def streamed(
    loader: H5Loader, folder: str | PathLike[str] | None = None, *, verbose: int = 0
) -> Iterator[StreamedData]:
    """Open the file of a loader, and return what `load` returns without reading the spectra.

    Parameters
    ----------
    loader : H5Loader
        File and selection of rows.
    folder : str or path-like, default=None
        Folder of temporary files. None: that of the system, which the environment variable TMPDIR sets.
    verbose : int, default=0
        1 shows progress bars of copies to temporary files.

    Yields
    ------
    data : StreamedData
        Equal to ``loader.load()``. It can be used in the block.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As in `H5Loader.load`; `OSError` also if a temporary file is needed for which there is no room.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skbcnn.datasets import H5Loader, write_h5
    >>> from skbcnn.datasets.streaming import streamed
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_h5(Path(folder) / "stars", [[1.0, 0.9], [1.0, 0.8]], {"teff": [4500.0, 5000.0]})
    ...     with streamed(H5Loader(path, target="teff")) as data:
    ...         print(data.X.shape, data.X[1])
    (2, 2) [1.  0.8]
    """
    names = _resolve(loader.target)
    loader._check_switch("load_err")
    with ExitStack() as stack:
        files = _Files(stack, folder, verbose)
        with _open(loader.filename) as table:
            rows = loader._rows(table)
            columns = [table.numbers(names)]
            if loader.load_err:
                columns.append(table.numbers([name + ERROR_SUFFIX for name in names]))
            y, *y_err = (_read_columns(numbers, rows) for numbers in columns)
            flux = files.rows(table.pixels("spectra"), rows)
            errors = None
            if loader.load_err or column_key("spectra" + ERROR_SUFFIX) in table:
                errors = files.rows(table.pixels("spectra" + ERROR_SUFFIX), rows)
        if loader.load_err:
            yield StreamedData(flux, y, errors, *y_err)
        else:
            yield StreamedData(_without_bad_pixels(flux, errors), y)


@contextmanager
def streamed_if_in_file(X: Any, y: Any, x_err: Any, y_err: Any, *, verbose: int = 0) -> Iterator[StreamedData]:
    """Return the arguments of `fit`, with spectra in a file as `LazyRows`.

    Parameters
    ----------
    X : array-like, H5Loader or h5py.Dataset
        Flux. An `H5Loader` brings labels and errors, too.
    y, x_err, y_err : array-like or None
        The other arguments; `x_err` may be a dataset if `X` is one.
    verbose : int, default=0
        1 shows progress bars of copies to temporary files.

    Yields
    ------
    data : StreamedData
        What was passed, where it is not in a file.

    Raises
    ------
    ValueError
        If labels or errors are passed with a loader.
    """
    if isinstance(X, H5Loader):
        if given := [name for name, value in (("y", y), ("x_err", x_err), ("y_err", y_err)) if value is not None]:
            raise ValueError(
                f"X is an H5Loader, which brings labels and errors, but {' and '.join(given)} was passed, too. Set "
                "target and load_err of the loader, and pass X alone."
            )
        from astropy.table import Table  # here, because importing it is slow

        names = _resolve(X.target)
        with streamed(X, verbose=verbose) as data:
            y, y_err = (None if each is None else Table(each, names=names) for each in (data.y, data.y_err))
            yield data._replace(y=y, y_err=y_err)  # so that labels are matched by name
        return
    with ExitStack() as stack:
        files = _Files(stack, None, verbose)
        if _is_dataset(X):
            X, x_err = (files.rows(each, np.arange(len(each))) if _is_dataset(each) else each for each in (X, x_err))
        yield StreamedData(X, y, x_err, y_err)


def _is_dataset(values: Any) -> bool:
    """Return whether an argument is a dataset of HDF5 with numbers in two dimensions."""
    module = sys.modules.get("h5py")  # a dataset exists only if h5py was imported
    return module is not None and isinstance(values, module.Dataset) and values.ndim == 2 and values.dtype.kind in "fiu"


class _Files:
    """Open files whose rows are read.

    Parameters
    ----------
    stack : ExitStack
        What closes the files.
    folder : str, path-like or None
        Folder of temporary files; None: that of the system.
    verbose : int
        1 shows progress bars of copies.
    """

    def __init__(self, stack: ExitStack, folder: str | PathLike[str] | None, verbose: int) -> None:
        self._stack, self._verbose = stack, verbose
        self._folder = Path(tempfile.gettempdir() if folder is None else folder)

    def rows(self, dataset: h5py.Dataset, rows: np.ndarray) -> LazyRows:
        """Return some rows (ascending numbers) of a dataset, read where they are if that is quick."""
        offset = _offset(dataset)
        if offset is None:
            return self._copied(dataset, rows)
        path = Path(dataset.file.filename)
        file = self._stack.enter_context(path.open("rb", buffering=0))
        found = file_rows(file, offset, dataset.shape)
        return found if len(rows) == len(dataset) else found.take(rows)

    def _copied(self, dataset: h5py.Dataset, rows: np.ndarray) -> LazyRows:
        """Return rows of a dataset, copied to a temporary file."""
        shape = (len(rows), dataset.shape[1])
        n_bytes = shape[0] * shape[1] * np.dtype(np.float32).itemsize
        free = shutil.disk_usage(self._folder).free
        if free < n_bytes:
            raise _no_room(dataset, self._folder, n_bytes, f"{free / 1e9:.1f} GB are free")
        chunks = list(row_chunks(len(rows), max(1, shape[1] // _LARGER_CHUNKS)))
        name = dataset.name.removeprefix("/")
        try:
            file = self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder, buffering=0))  # noqa: SIM115
            for some in tqdm(chunks, desc=f"Copying {name}", unit="chunk", disable=not self._verbose):
                _write_all(file, np.ascontiguousarray(_read_rows(dataset, rows[some], np.float32)))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_room(dataset, self._folder, n_bytes, "it is full") from error
            raise
        return file_rows(file, 0, shape)


def _offset(dataset: h5py.Dataset) -> int | None:
    """Return where the values are in the file as one array of float32; None if they are not."""
    is_plain = dataset.chunks is None and dataset.external is None and not dataset.is_virtual
    is_read = dataset.file.mode == "r" and dataset.file.driver in ("sec2", "stdio")  # all of it is in the file
    if not is_plain or not is_read or dataset.dtype != np.dtype(np.float32):
        return None
    return dataset.id.get_offset()


def _write_all(file: Any, values: np.ndarray) -> None:
    """Write an array to a file without a buffer, which may take a part at a time."""
    rest = values.reshape(-1).view(np.uint8).data
    while len(rest):
        rest = rest[file.write(rest) :]


def _no_room(dataset: h5py.Dataset, folder: Path, n_bytes: int, state: str) -> OSError:
    return OSError(
        errno.ENOSPC,
        f"{dataset.name} of {dataset.file.filename} is stored in a form whose rows take long to read, and needs a "
        f"temporary file of {n_bytes / 1e9:.1f} GB in {folder}: {state}. Set the environment variable TMPDIR to a "
        "folder with room, or write the file again without chunks and compression",
    )


def _without_bad_pixels(flux: LazyRows, errors: LazyRows | None) -> LazyRows:
    """Return flux with 1 in bad pixels, as `H5Loader.load` does without the errors."""
    if errors is None or not are_near_one(flux):  # type: ignore[arg-type]
        return flux

    def read(rows: np.ndarray) -> np.ndarray:
        values = flux[rows]
        values[errors[rows] > MAX_FLUX_ERROR] = 1
        return values

    return LazyRows(read, flux.shape, will_need=lambda rows: will_need(rows, flux, errors))
