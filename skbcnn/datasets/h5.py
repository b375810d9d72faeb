"""Spectra and labels of an HDF5 file in astroNN's layout (``datasets.h5``).

The file has one 1-D dataset per label (``teff``, ``Mg``) and per label error (``teff_err``), ``spectra`` and
``spectra_err`` of shape (n_samples, n_pixels), ``in_flag`` (0 combined spectrum, 1 individual visit), and any other
columns (``SNR``, ``RA``). The attribute ``preprocessing`` of ``spectra`` may record how they were prepared. `H5Loader`
reads selected rows and columns; `skbcnn.datasets.h5_writer` writes such files.
"""

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

from skbcnn._chunks import row_chunks
from skbcnn._error_level import MAX_FLUX_ERROR
from skbcnn._file_kinds import is_fits, kind_of_file
from skbcnn._flux_level import are_near_one
from skbcnn._moved import find_moved_names
from skbcnn._paths import as_path
from skbcnn.survey import APOGEE_LABELS, find_label, is_missing, resolve_target
from skbcnn.survey.labels import UnknownLabelError
from skbcnn.survey.other_quantities import is_misspelt, other_quantity, similar_label

ERROR_SUFFIX = "_err"
PREPROCESSING = "preprocessing"  # attribute of the dataset `spectra`, as JSON
_SUFFIXES = (".h5", ".hdf5")
_OTHER_FORMATS = {
    f".{name}"
    for name in (
        *("fits", "fit", "fts", "gz", "bz2", "xz", "zip", "csv", "ecsv", "tsv", "txt", "dat", "vot", "xml", "parquet"),
        *("npy", "npz", "pkl", "pickle", "joblib", "json", "toml", "yaml", "yml", "html", "keras", "pt", "nc", "asdf"),
    )
}
_MAX_NAMES = 30  # of columns in a message
_BLOCK_BYTES = 2**26  # read at once; larger than other chunks, because every read from a file has a fixed cost
_MAX_GAP = 16  # rows: reading a short gap and discarding it is quicker than a second read
_WRITE_AGAIN = "Write the file again, for instance with write_h5."


class H5Loader:
    """Load spectra and labels from an HDF5 file in the ``datasets.h5`` layout.

    Only selected rows and columns are read. Every parameter is an attribute of the same name that may be changed later.
    Parameters are checked, and the file is opened, when something is loaded.

    Parameters
    ----------
    filename : str or path-like
        HDF5 file; the suffix ``.h5`` may be omitted.
    load_combined : bool or None, default=True
        True: combined spectra (``in_flag`` 0); False: individual visits (``in_flag`` 1); None: both. In a file without
        ``in_flag`` every row is a combined spectrum.
    load_err : bool, default=False
        Whether `load` returns the errors, too.
    target : "all", str or sequence of str, default="all"
        Labels, in any spelling; ``"all"`` is the 22 labels of the DR14 network. `label_names` has those of them that
        are in the file.
    exclude9999 : bool, default=False
        Whether to omit rows in which a label of `target` is missing.

    See Also
    --------
    write_h5 : Write such a file.

    Notes
    -----
    Labels may have any spelling in the file, too (``TEFF``, ``[Mg/H]``). If the file has a label twice, the spelling in
    `target` is used, then the canonical one.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skbcnn.datasets import H5Loader, write_h5
    >>> folder = tempfile.TemporaryDirectory()
    >>> labels = {"teff": [4500.0, 5000.0, 4800.0], "Mg": [0.1, -9999.0, -0.2]}
    >>> path = write_h5(Path(folder.name) / "datasets", [[1.0, 0.9], [1.0, 0.8], [0.9, 0.7]], labels)
    >>> loader = H5Loader(path, target=["Teff", "[Mg/H]"])
    >>> x, y = loader.load()
    >>> x.shape, y.shape
    ((3, 2), (3, 2))
    >>> loader.exclude9999 = True
    >>> loader.load_entry("teff")
    array([4500., 4800.])
    >>> folder.cleanup()
    """

    def __init__(
        self,
        filename: str | PathLike[str],
        *,
        load_combined: bool | None = True,
        load_err: bool = False,
        target: str | Sequence[str] = "all",
        exclude9999: bool = False,
    ) -> None:
        self.filename = filename
        self.load_combined = load_combined
        self.load_err = load_err
        self.target = target
        self.exclude9999 = exclude9999

    def load(self) -> tuple[np.ndarray, ...]:
        """Read the spectra and the labels of `target`.

        Returns
        -------
        x : ndarray of shape (n_samples, n_pixels), float32
            Flux, as stored. Without the errors, bad pixels of normalised spectra are 1: those whose error in the file
            is above the continuum.
        y : ndarray of shape (n_samples, n_labels)
            Labels in the order of `target`; missing ones as stored (-9999 or NaN). float32, or float64 if one of them
            is stored as float64.
        x_err : ndarray of shape (n_samples, n_pixels), float32
            Errors of the flux; only with ``load_err=True``.
        y_err : ndarray of shape (n_samples, n_labels)
            Errors of the labels, as stored; only with ``load_err=True``.

        Raises
        ------
        FileNotFoundError
            If there is no such file, with or without ``.h5``.
        OSError
            If the file is not HDF5, is cut short, or cannot be read.
        ValueError
            If a column is absent or does not fit the spectra, a parameter is invalid, or no row is selected.
        """
        names = _resolve(self.target)
        self._check_switch("load_err")
        columns = [("spectra", names)]
        if self.load_err:
            columns.append(("spectra" + ERROR_SUFFIX, [name + ERROR_SUFFIX for name in names]))
        with _open(self.filename) as table:
            found = [(table.pixels(pixels), table.numbers(numbers)) for pixels, numbers in columns]
            rows = self._rows(table)
            arrays = [
                array
                for pixels, numbers in found
                for array in (_read_rows(pixels, rows, np.float32), _read_columns(numbers, rows))
            ]
            if not self.load_err and column_key("spectra" + ERROR_SUFFIX) in table:
                _replace_bad_pixels(arrays[0], table.pixels("spectra" + ERROR_SUFFIX), rows)
            return tuple(arrays)

    def load_entry(self, name: str) -> np.ndarray:
        """Read one column, with the rows of `load` in the same order.

        Parameters
        ----------
        name : str
            Name of any column: a label or its error (``"Mg_err"``) in any spelling, ``"SNR"``, ``"spectra"``, ...

        Returns
        -------
        column : ndarray of shape (n_samples,) or (n_samples, ...)
            Values of the type that is stored; text as `str`.

        Raises
        ------
        FileNotFoundError, OSError, ValueError
            As in `load`.
        """
        with _open(self.filename) as table:
            (column,) = table.columns([name])
            return _read_rows(column, self._rows(table))

    @property
    def column_names(self) -> list[str]:
        """Names of all columns of the file, in its own spelling."""
        with _open(self.filename) as table:
            return table.names

    @property
    def label_names(self) -> list[str]:
        """Labels of the DR14 network that the file has, by their canonical names, in the order of the network.

        A release may lack some: DR17 has no phosphorus. To load all that there are, set `target` to them, and pass them
        as `target` of the model, too: ``loader.target = loader.label_names``.
        """
        found = {label_key(name) for name in self.column_names}
        return [name for name in APOGEE_LABELS if name in found]

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Preparation of the spectra, as `write_h5` recorded it; empty if the file records none.

        It holds the parameters of `skbcnn.preprocessing.ContinuumNormalizer`, and under ``"combination"`` the combined
        spectrum of the apStar files.
        """
        with _open(self.filename) as table:
            return table.preprocessing()

    def _rows(self, table: "_Table") -> np.ndarray:
        """Return the selected row numbers, ascending."""
        self._check_switch("exclude9999")
        rows = np.arange(table.n_rows) if self.load_combined is None else self._rows_of_kind(table)
        return self._rows_with_all_labels(table, rows) if self.exclude9999 else rows

    def _check_switch(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name}={value!r}, expected True or False.")

    def _rows_of_kind(self, table: "_Table") -> np.ndarray:
        if not isinstance(self.load_combined, bool | np.bool_):
            raise ValueError(
                f"load_combined={self.load_combined!r}, expected True (combined spectra), False (visits), None (both)."
            )
        flag = int(not self.load_combined)
        rows = np.flatnonzero(table.flags() == flag)
        if not len(rows):
            raise ValueError(
                f"{table.path} has {table.n_rows} rows, but none with in_flag {flag}, which load_combined="
                f"{self.load_combined} selects (a file without in_flag has combined spectra only). Pass "
                "load_combined=None to read every row."
            )
        return rows

    def _rows_with_all_labels(self, table: "_Table", rows: np.ndarray) -> np.ndarray:
        names = _resolve(self.target)
        missing = is_missing(_read_columns(table.numbers(names), rows))
        if missing.any(axis=1).all():
            counts = ", ".join(
                f"{name} {count}" for name, count in zip(names, missing.sum(axis=0), strict=True) if count
            )
            raise ValueError(
                f"exclude9999=True leaves none of the {len(rows)} rows of {table.path}: in each a label is missing "
                f"(missing: {counts}). Pass fewer labels as target, or exclude9999=False."
            )
        return rows[~missing.any(axis=1)]


class _Table:
    """Columns of an open file, found by name and checked to fit the spectra."""

    def __init__(self, file: h5py.File) -> None:
        self.path = file.filename
        self._file = file
        self.names = list(_dataset_names(file))
        self._spellings: dict[str, list[str]] = {}
        for name in self.names:
            self._spellings.setdefault(column_key(name), []).append(name)
        (spectra,) = self._datasets(["spectra"])
        self.shape = spectra.shape
        if spectra.ndim != 2 or 0 in self.shape:
            raise ValueError(
                f"spectra of {self.path} has shape {self.shape}, expected (n_samples, n_pixels) with at least one of "
                f"each. {_WRITE_AGAIN}"
            )

    def __contains__(self, key: str) -> bool:
        return key in self._spellings

    @property
    def n_rows(self) -> int:
        return self.shape[0]

    def preprocessing(self) -> dict[str, Any]:
        """Return the recorded preparation of the spectra."""
        (spectra,) = self._datasets(["spectra"])
        text = spectra.attrs.get(PREPROCESSING, "{}")
        try:
            recorded = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(self._unreadable_preprocessing(text)) from error
        if not isinstance(recorded, dict):
            raise ValueError(self._unreadable_preprocessing(text))
        return recorded

    def _unreadable_preprocessing(self, text: Any) -> str:
        return (
            f"The attribute {PREPROCESSING} of spectra in {self.path} is {str(text)[:60]!r}, expected a JSON object "
            "with parameters of ContinuumNormalizer. Write the file again with write_h5(..., preprocessing={...}), or "
            "remove the attribute."
        )

    def flags(self) -> np.ndarray:
        """Return in_flag of every row; 0 if the file has none."""
        if "in_flag" not in self._spellings:
            return np.zeros(self.n_rows)
        return self.numbers(["in_flag"])[0][...]

    def columns(self, names: Sequence[str]) -> list[h5py.Dataset]:
        """Return datasets that have one entry for each spectrum."""
        datasets = self._datasets(names)
        for name, dataset in zip(names, datasets, strict=True):
            length = dataset.shape[0] if dataset.shape else dataset.shape
            if length != self.n_rows:
                raise ValueError(
                    f"{name} of {self.path} has {length or 'no'} rows, but there are {self.n_rows} spectra. They do "
                    "not belong together: write the file again, for instance with write_h5."
                )
        return datasets

    def numbers(self, names: Sequence[str]) -> list[h5py.Dataset]:
        """Return datasets that have one number for each spectrum."""
        datasets = self.columns(names)
        for name, dataset in zip(names, datasets, strict=True):
            self._check_numeric(name, dataset)
            if dataset.ndim != 1:
                raise ValueError(
                    f"{name} of {self.path} has shape {dataset.shape}, expected ({self.n_rows},). {_WRITE_AGAIN}"
                )
        return datasets

    def pixels(self, name: str) -> h5py.Dataset:
        """Return a dataset of the shape of the spectra."""
        (dataset,) = self._datasets([name])
        self._check_numeric(name, dataset)
        if dataset.shape != self.shape:
            raise ValueError(
                f"{name} of {self.path} has shape {dataset.shape}, but spectra has {self.shape}. {_WRITE_AGAIN}"
            )
        return dataset

    def _check_numeric(self, name: str, dataset: h5py.Dataset) -> None:
        if dataset.dtype.kind not in "fiu":
            what = "text" if dataset.dtype.kind in "OSU" else dataset.dtype
            raise ValueError(f"{name} of {self.path} holds {what}, expected numbers. {_WRITE_AGAIN}")

    def _datasets(self, names: Sequence[str]) -> list[h5py.Dataset]:
        if absent := [name for name in names if column_key(name) not in self._spellings]:
            raise ValueError(self._absence(absent))
        return [self._file[self._spelling(name)] for name in names]

    def _spelling(self, name: str) -> str:
        """Return the spelling of a column in the file."""
        spellings = self._spellings[column_key(name)]
        for wanted in (str(name), column_key(name)):
            if wanted in spellings:
                return wanted
        if len(spellings) > 1:
            raise ValueError(
                f"{name} is in {self.path} as {' and as '.join(spellings)}. Pass one of these names, or rename one."
            )
        return spellings[0]

    def _absence(self, absent: Sequence[str]) -> str:
        suggestion = "".join(f" {hint}" for name in absent for hint in self._hints(str(name)))
        remedy = " or load with load_err=False" if any(_is_error(name) for name in absent) else ""
        if not remedy and any(label_key(name) for name in absent) and any(map(label_key, self.names)):
            remedy = ": loader.target = loader.label_names takes all labels that it has"
        names = self.names[:_MAX_NAMES]
        if more := len(self.names) - len(names):
            names.append(f"and {more} more")
        return (
            f"{self.path} has no {', '.join(map(str, absent))}.{suggestion} It has {', '.join(names) or 'nothing'}. "
            f"Choose columns that it has (labels by target){remedy}."
        )

    def _hints(self, absent: str) -> Iterator[str]:
        """Yield remarks on columns that are an absent one misspelt, or from which an absent label can be computed."""
        known = find_label(absent)
        for column in self.names:
            quantity = None if _is_error(column) else other_quantity(column)
            if known is not None and quantity is not None and quantity.label == known.name:
                yield f"It has {column}: {quantity.meaning}"
            elif is_misspelt(column, absent) or (known is not None and similar_label(column) == known.name):
                yield f"Did you mean {column}?"


@contextmanager
def _open(filename: str | PathLike[str]) -> Iterator[_Table]:
    """Open the file as a `_Table`, and explain errors of HDF5."""
    path = _existing(filename)
    try:
        with h5py.File(path, "r") as file:
            yield _Table(file)
    except (OSError, RuntimeError) as error:  # h5py raises RuntimeError for some damaged files
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):  # of a temporary file
            raise
        raise OSError(_unreadable(path, error)) from error


def _unreadable(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        return f"{path} is empty, expected an HDF5 file. Copy or download it again."
    if not h5py.is_hdf5(path):
        kind = kind_of_file(path)
        wrong = f"cannot be read as HDF5 ({error})" if kind is None else f"is {kind}, expected an HDF5 file"
        made_by = (
            "build_dataset (skbcnn build) makes one of an allStar table and spectra; read_apstar reads spectra."
            if is_fits(path)
            else "write_h5 makes one."
        )
        return f"{path} {wrong}. Pass a file in the datasets.h5 layout: {made_by}"
    return f"{path} is HDF5 but cannot be read ({error}): cut short or damaged. Copy or download it again."


def _existing(filename: str | PathLike[str]) -> Path:
    path = as_path(filename, "filename")
    tried = list(dict.fromkeys([path, with_suffix(path)]))
    for candidate in tried:
        if candidate.is_file():
            return candidate
    if path.is_dir():
        found = sorted(str(path / entry.name) for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES)
        advice = f"Pass a file in it: {' or '.join(found[:3])}." if found else "Pass the path of a file."
        raise IsADirectoryError(f"{path} is a folder, expected an HDF5 file. {advice}")
    raise FileNotFoundError(f"There is no file {' or '.join(map(str, tried))}. Pass the path of an HDF5 file.")


def with_suffix(filename: str | PathLike[str]) -> Path:
    """Return a path that ends in ``.h5`` or ``.hdf5``; ``.h5`` is appended to other names."""
    path = as_path(filename, "filename")
    return path if path.suffix.lower() in _SUFFIXES else path.with_name(path.name + ".h5")


def name_of_new_file(filename: str | PathLike[str]) -> Path:
    """Return the name of an HDF5 file to write.

    Parameters
    ----------
    filename : str or path-like
        Name that the user gave.

    Returns
    -------
    path : pathlib.Path
        It ends in ``.h5`` or ``.hdf5``; ``.h5`` is appended to other names.

    Raises
    ------
    ValueError
        If the suffix is that of another format.

    Examples
    --------
    >>> from skbcnn.datasets.h5 import name_of_new_file
    >>> name_of_new_file("giants.dr17").name
    'giants.dr17.h5'
    """
    path = as_path(filename, "filename")
    if path.suffix.lower() in _OTHER_FORMATS:
        raise ValueError(
            f"{path} ends in {path.suffix!r}, but the file to write has the HDF5 format. Choose a name that ends in "
            ".h5 or .hdf5, or one without a suffix, to which .h5 is appended."
        )
    return with_suffix(path)


def dataset_names(path: str | PathLike[str]) -> set[str]:
    """Return the names of the datasets of an HDF5 file.

    Parameters
    ----------
    path : str or path-like
        HDF5 file.

    Returns
    -------
    names : set of str
        Names in lower case; empty if the file cannot be read, for which `H5Loader` has the better message.
    """
    try:
        with h5py.File(path, "r") as file:
            return {name.lower() for name in file}
    except OSError:
        return set()


def spectra_shape(filename: str | PathLike[str]) -> tuple[int, int]:
    """Return the numbers of spectra and of pixels of an HDF5 file, without reading the spectra.

    Parameters
    ----------
    filename : str or path-like
        HDF5 file in the ``datasets.h5`` layout; the suffix ``.h5`` may be omitted.

    Returns
    -------
    n_samples, n_pixels : int

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As in `H5Loader.load`.
    """
    with _open(filename) as table:
        return table.shape


def read_rows(filename: str | PathLike[str], names: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Read some rows of some columns of an HDF5 file; nothing else of it is read.

    Parameters
    ----------
    filename : str or path-like
        HDF5 file in the ``datasets.h5`` layout; the suffix ``.h5`` may be omitted.
    names : sequence of str
        Columns, in any spelling.
    rows : ndarray of int
        Row numbers, ascending.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_rows,) or (n_rows, ...)
        Values by the names that were passed: spectra and their errors as float32, others of the type that is stored;
        text as `str`.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As in `H5Loader.load`.
    """
    with _open(filename) as table:
        columns = {}
        for name in names:
            if column_key(name) in ("spectra", "spectra" + ERROR_SUFFIX):
                columns[name] = _read_rows(table.pixels(name), rows, np.float32)
            else:
                (dataset,) = table.columns([name])
                columns[name] = _read_rows(dataset, rows)
        return columns


def read_numbers(filename: str | PathLike[str], name: str, rows: np.ndarray) -> np.ndarray | None:
    """Read some rows of a column of numbers of an HDF5 file.

    Parameters
    ----------
    filename : str or path-like
        HDF5 file in the ``datasets.h5`` layout; the suffix ``.h5`` may be omitted.
    name : str
        Column, in any spelling.
    rows : ndarray of int
        Row numbers, ascending.

    Returns
    -------
    values : ndarray of shape (n_rows,), or None
        None if the file has no such column.

    Raises
    ------
    ValueError
        If the column is not one number for each spectrum.
    FileNotFoundError, OSError
        As in `H5Loader.load`.
    """
    with _open(filename) as table:
        if column_key(name) not in table:
            return None
        return _read_rows(table.numbers([name])[0], rows)


def _dataset_names(file: h5py.File) -> Iterator[str]:
    """Yield the names of the datasets, also those in groups: HDF5 makes the slash of ``[Mg/H]`` a group."""
    for name in file:
        kind = _kind(file, name)
        if kind is h5py.Group:
            yield from (f"{name}/{member}" for member in file[name])
        elif kind is h5py.Dataset:
            yield name


def _kind(file: h5py.File, name: str) -> type | None:
    """Return h5py.Dataset or h5py.Group; None for a broken link, which does not affect the other columns."""
    try:
        return file.get(name, getclass=True)
    except (OSError, RuntimeError):
        return None


def _resolve(target: str | Sequence[str]) -> list[str]:
    """Return the canonical names of labels; an error for another name says how to read its column."""
    try:
        return resolve_target(target)
    except UnknownLabelError as error:
        raise ValueError(f"{error} H5Loader.load_entry reads any other column of a file.") from None


def _is_error(name: str) -> bool:
    return str(name).lower().endswith(ERROR_SUFFIX)


def column_key(name: str) -> str:
    """Return a name that is the same for all spellings of a column: canonical for labels and their errors."""
    name = str(name).strip()
    return label_key(name) or name.lower()


def label_key(name: str) -> str | None:
    """Return the canonical name of a label or of its error; None for any other column."""
    suffix = ERROR_SUFFIX if _is_error(name) else ""
    known = find_label(name[: len(name) - len(suffix)])
    return None if known is None else known.name + suffix


def _read_columns(datasets: Sequence[h5py.Dataset], rows: np.ndarray) -> np.ndarray:
    """Read rows of 1-D datasets into columns: float32, or float64 if float32 cannot represent one of their types."""
    dtype = np.result_type(np.float32, *(dataset.dtype for dataset in datasets))
    return np.stack([_read_rows(dataset, rows, dtype) for dataset in datasets], axis=1)


def _read_rows(dataset: h5py.Dataset, rows: np.ndarray, dtype: DTypeLike | None = None) -> np.ndarray:
    """Read rows (ascending numbers) in runs, which is far quicker than HDF5's own selection of single rows."""
    is_text = h5py.check_string_dtype(dataset.dtype)
    source = dataset.asstr(errors="replace") if is_text else dataset
    dtype = object if is_text else dtype or dataset.dtype.newbyteorder("=")
    array = np.empty((len(rows), *dataset.shape[1:]), dtype=dtype)
    filled = 0
    with np.errstate(over="ignore"):  # an error beyond float32 becomes infinite, which means unknown
        for run in _runs(dataset, rows):
            array[filled : filled + len(run)] = source[run[0] : run[-1] + 1][run - run[0]]
            filled += len(run)
    return array


def _replace_bad_pixels(flux: np.ndarray, err: h5py.Dataset, rows: np.ndarray) -> None:
    """Set the flux of bad pixels to 1, in place, if the spectra are normalised; `rows` are those of `flux` in `err`."""
    if not are_near_one(flux):
        return
    for some in row_chunks(*flux.shape):
        flux[some][_read_rows(err, rows[some], np.float32) > MAX_FLUX_ERROR] = 1


def _runs(dataset: h5py.Dataset, rows: np.ndarray) -> list[np.ndarray]:
    """Split row numbers at long gaps, and where a block would become too large."""
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    gap = dataset.chunks[0] if dataset.chunks else _MAX_GAP  # a chunk is read whole or not at all
    block = rows // max(1, _BLOCK_BYTES // row_bytes)
    cuts = (np.diff(rows) > gap) | (np.diff(block) > 0)
    return np.split(rows, np.flatnonzero(cuts) + 1)


__getattr__ = find_moved_names(__name__)
