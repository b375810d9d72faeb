"""Spectra and labels in one HDF5 file, in astroNN's layout (``datasets.h5``).

One 1-D dataset per label (``teff``, ``Mg``) and per label error (``teff_err``), ``spectra`` and ``spectra_err`` of
shape (n_samples, n_pixels), ``in_flag`` (0 combined spectrum, 1 individual visit), and any other column (``SNR``,
``RA``). `write_h5` writes such a file, `H5Loader` reads the rows and columns asked for out of one.
"""

import difflib
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from skbcnn._atomic_writes import atomic_path, created_h5
from skbcnn.survey import MISSING, is_missing, label, resolve_target

_ERROR_SUFFIX = "_err"
_BLOCK_BYTES = 2**26  # most that is read at once
_MAX_GAP = 16  # rows: reading a short gap along costs less than a second read


class H5Loader:
    """Load spectra and labels from an HDF5 file in the ``datasets.h5`` layout.

    Only the rows and columns asked for are read. Every argument is an attribute of the same name that may be set
    later; nothing is checked or opened before something is loaded.

    Parameters
    ----------
    filename : str or path-like
        The file; ``.h5`` may be left off.
    load_combined : bool or None, default=True
        True: combined spectra (``in_flag`` 0); False: individual visits (``in_flag`` 1); None: both. Every row of a
        file that has no ``in_flag`` counts as combined.
    load_err : bool, default=False
        Whether `load` gives the errors too.
    target : "all", str or sequence of str, default="all"
        Labels, in any spelling; ``"all"`` is the 22 labels of the DR14 network.
    exclude9999 : bool, default=False
        Whether to leave out the rows in which any label of `target` is missing.

    See Also
    --------
    write_h5 : Write such a file.

    Notes
    -----
    Labels may be spelt any way in the file too (``TEFF``, ``[Mg/H]``); where the same label stands there twice, the
    spelling asked for wins, then the canonical one.

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

    def __init__(self, filename, *, load_combined=True, load_err=False, target="all", exclude9999=False):
        self.filename = filename
        self.load_combined = load_combined
        self.load_err = load_err
        self.target = target
        self.exclude9999 = exclude9999

    def load(self):
        """Read the spectra and the labels of `target`.

        Returns
        -------
        x : ndarray of shape (n_samples, n_pixels), float32
            Spectra, as stored.
        y : ndarray of shape (n_samples, n_labels)
            Labels in the order of `target`, missing ones as stored (-9999 or NaN). float32, or float64 if any of
            them is stored so.
        x_err : ndarray of shape (n_samples, n_pixels), float32
            Errors of the spectra; only with ``load_err=True``.
        y_err : ndarray of shape (n_samples, n_labels)
            Errors of the labels, as stored; only with ``load_err=True``.

        Raises
        ------
        FileNotFoundError
            If there is no such file, with or without ``.h5``.
        OSError
            If the file is not HDF5, is cut short, or cannot be read.
        ValueError
            If a column is absent or does not fit the spectra, a setting is not understood, or no row is left.
        """
        names = resolve_target(self.target)
        columns = [("spectra", names)]
        if self.load_err:
            columns.append(("spectra" + _ERROR_SUFFIX, [name + _ERROR_SUFFIX for name in names]))
        with _open(self.filename) as table:
            found = [(table.pixels(pixels), table.numbers(numbers)) for pixels, numbers in columns]
            rows = self._rows(table)
            return tuple(
                array
                for pixels, numbers in found
                for array in (_read_rows(pixels, rows, np.float32), _read_columns(numbers, rows))
            )

    def load_entry(self, name):
        """Read one column, its rows being those of `load` in the same order.

        Parameters
        ----------
        name : str
            Any column: a label or its error (``"Mg_err"``) in any spelling, ``"SNR"``, ``"spectra"``, ...

        Returns
        -------
        column : ndarray of shape (n_samples,) or (n_samples, ...)
            Of the type that is stored; text comes as `str`.

        Raises
        ------
        FileNotFoundError, OSError, ValueError
            As `load` does.
        """
        with _open(self.filename) as table:
            (column,) = table.columns([name])
            return _read_rows(column, self._rows(table))

    def _rows(self, table):
        """Row numbers that the settings ask for, ascending."""
        rows = np.arange(table.n_rows) if self.load_combined is None else self._rows_of_kind(table)
        return self._rows_with_all_labels(table, rows) if self.exclude9999 else rows

    def _rows_of_kind(self, table):
        if not isinstance(self.load_combined, bool | np.bool_):
            raise ValueError(
                f"load_combined={self.load_combined!r}, expected True (combined spectra), False (visits), None (both)."
            )
        flag = int(not self.load_combined)
        rows = np.flatnonzero(table.flags() == flag)
        if not len(rows):
            raise ValueError(
                f"{table.path} has {table.n_rows} rows, but none with in_flag {flag}, which load_combined="
                f"{self.load_combined} asks for (a file without in_flag has combined spectra only). "
                "Pass load_combined=None to read every row."
            )
        return rows

    def _rows_with_all_labels(self, table, rows):
        names = resolve_target(self.target)
        missing = is_missing(_read_columns(table.numbers(names), rows))
        if missing.any(axis=1).all():
            counts = ", ".join(
                f"{name} {count}" for name, count in zip(names, missing.sum(axis=0), strict=True) if count
            )
            raise ValueError(
                f"exclude9999=True leaves none of the {len(rows)} rows of {table.path}: each lacks a label "
                f"(missing: {counts}). Ask for fewer labels by target, or pass exclude9999=False."
            )
        return rows[~missing.any(axis=1)]


def write_h5(
    filename,
    spectra,
    labels,
    *,
    names="all",
    spectra_err=None,
    labels_err=None,
    in_flag=None,
    extra=None,
    overwrite=False,
):
    """Write spectra and labels to an HDF5 file in the ``datasets.h5`` layout.

    The file appears under its name once it is complete.

    Parameters
    ----------
    filename : str or path-like
        Where to write; ``.h5`` is added if the name ends neither so nor in ``.hdf5``.
    spectra : array-like of shape (n_samples, n_pixels)
        Flux, stored as float32.
    labels : mapping of str to array-like of shape (n_samples,), or array-like of shape (n_samples, n_labels)
        Teff in K, log g in dex (cgs), [X/H] in dex, under any spelling (a DataFrame is a mapping too). Missing ones
        (NaN or at most -9990) are stored as -9999; float64 stays so, all else becomes float32.
    names : "all", str or sequence of str, default="all"
        What the columns of `labels` and `labels_err` are, where these are arrays.
    spectra_err : array-like of shape (n_samples, n_pixels), default=None
        Errors of the flux.
    labels_err : like `labels`, default=None
        Errors of the labels, or of some of them if a mapping.
    in_flag : array-like of shape (n_samples,), default=None
        0 for a combined spectrum, 1 for an individual visit; None: all are combined.
    extra : mapping of str to array-like of shape (n_samples,) or (n_samples, ...), default=None
        Other columns, of numbers or text, such as ``SNR`` and ``APOGEE_ID``.
    overwrite : bool, default=False
        Whether a file of this name may be replaced.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is unknown or infinite, or an extra column takes the name of another.
    FileExistsError
        If the file exists and `overwrite` is False.
    OSError
        If it cannot be written; nothing is then left under its name.

    See Also
    --------
    H5Loader : Read such a file.

    Examples
    --------
    >>> import tempfile
    >>> from skbcnn.datasets import write_h5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_h5(f"{folder}/giants", [[1.0, 0.9]], [[4500.0, 2.1]], names=["teff", "logg"]).name
    'giants.h5'
    """
    spectra = _pixels_to_write("spectra", spectra)
    n_samples = len(spectra)
    columns = {"spectra": spectra}
    if spectra_err is not None:
        columns["spectra_err"] = _pixels_to_write("spectra_err", spectra_err, spectra.shape)
    columns |= _labels_to_write("labels", labels, names, n_samples)
    if labels_err is not None:
        columns |= _label_errors_to_write(labels_err, names, n_samples, columns)
    columns["in_flag"] = _flags_to_write(in_flag, n_samples)
    columns |= _extra_to_write(extra or {}, n_samples, columns)

    path = _with_suffix(filename)
    with atomic_path(path, overwrite=overwrite) as temporary, created_h5(temporary) as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values)
    return path


class _Table:
    """An open file: its columns found by name, and checked to fit the spectra."""

    def __init__(self, file):
        self.path = file.filename
        self._file = file
        self._names = list(_dataset_names(file))
        self._spellings = {}
        for name in self._names:
            self._spellings.setdefault(_key(name), []).append(name)
        (spectra,) = self._datasets(["spectra"])
        self.shape = spectra.shape
        if spectra.ndim != 2 or 0 in self.shape:
            raise ValueError(
                f"spectra of {self.path} has shape {self.shape}, expected (n_samples, n_pixels) with at least one of "
                "each."
            )

    @property
    def n_rows(self):
        return self.shape[0]

    def flags(self):
        """in_flag of every row; 0 where the file has none."""
        if "in_flag" not in self._spellings:
            return np.zeros(self.n_rows)
        return self.numbers(["in_flag"])[0][...]

    def columns(self, names):
        """Datasets that have one entry for each spectrum."""
        datasets = self._datasets(names)
        for name, dataset in zip(names, datasets, strict=True):
            length = dataset.shape[0] if dataset.shape else dataset.shape
            if length != self.n_rows:
                raise ValueError(
                    f"{name} of {self.path} has {length or 'no'} rows, but there are {self.n_rows} spectra. They do "
                    "not belong together; write the file again, with write_h5 for instance."
                )
        return datasets

    def numbers(self, names):
        """Datasets that have one number for each spectrum."""
        datasets = self.columns(names)
        for name, dataset in zip(names, datasets, strict=True):
            self._check_numeric(name, dataset)
            if dataset.ndim != 1:
                raise ValueError(f"{name} of {self.path} has shape {dataset.shape}, expected ({self.n_rows},).")
        return datasets

    def pixels(self, name):
        """Dataset of the shape of the spectra."""
        (dataset,) = self._datasets([name])
        self._check_numeric(name, dataset)
        if dataset.shape != self.shape:
            raise ValueError(f"{name} of {self.path} has shape {dataset.shape}, but spectra has {self.shape}.")
        return dataset

    def _check_numeric(self, name, dataset):
        if dataset.dtype.kind not in "fiu":
            raise ValueError(f"{name} of {self.path} holds {dataset.dtype}, expected numbers.")

    def _datasets(self, names):
        if absent := [name for name in names if _key(name) not in self._spellings]:
            raise ValueError(self._absence(absent))
        return [self._file[self._spelling(name)] for name in names]

    def _spelling(self, name):
        """How the file spells a column."""
        spellings = self._spellings[_key(name)]
        for wanted in (str(name), _key(name)):
            if wanted in spellings:
                return wanted
        if len(spellings) > 1:
            raise ValueError(f"{name} stands in {self.path} as {' and as '.join(spellings)}. Name one, or rename one.")
        return spellings[0]

    def _absence(self, absent):
        near = {match for name in absent for match in difflib.get_close_matches(str(name), self._names, n=1)}
        hint = f" Did you mean {', '.join(sorted(near))}?" if near else ""
        remedy = " or load with load_err=False" if any(_is_error(name) for name in absent) else ""
        return (
            f"{self.path} has no {', '.join(map(str, absent))}.{hint} It holds {', '.join(self._names) or 'nothing'}. "
            f"Ask for columns that it holds (labels by target){remedy}."
        )


@contextmanager
def _open(filename):
    """Lend the file as a `_Table`; what HDF5 finds wrong with it becomes a sentence."""
    path = _existing(filename)
    try:
        with h5py.File(path, "r") as file:
            yield _Table(file)
    except OSError as error:
        raise OSError(_unreadable(path, error)) from error


def _unreadable(path, error):
    if path.stat().st_size == 0:
        return f"{path} is empty, expected an HDF5 file. Copy or download it again."
    if not h5py.is_hdf5(path):
        return f"{path} cannot be read as HDF5 ({error}). Pass a file in the datasets.h5 layout; write_h5 makes one."
    return f"{path} is HDF5 but cannot be read ({error}): cut short or damaged. Copy or download it again."


def _existing(filename):
    path = Path(filename)
    tried = list(dict.fromkeys([path, _with_suffix(path)]))
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"There is no file {' or '.join(map(str, tried))}. Give the path of an HDF5 file.")


def _with_suffix(filename):
    path = Path(filename)
    return path if path.suffix.lower() in (".h5", ".hdf5") else path.with_name(path.name + ".h5")


def _dataset_names(file):
    """Names of the datasets: HDF5 takes the slash of ``[Mg/H]`` for a group, so groups are looked into, once."""
    for name in file:
        kind = _kind(file, name)
        if kind is h5py.Group:
            yield from (f"{name}/{member}" for member in file[name])
        elif kind is h5py.Dataset:
            yield name


def _kind(file, name):
    """h5py.Dataset or h5py.Group; None for a link that leads nowhere: no reason to refuse the other columns."""
    try:
        return file.get(name, getclass=True)
    except (OSError, RuntimeError):
        return None


def _is_error(name):
    return str(name).lower().endswith(_ERROR_SUFFIX)


def _key(name):
    """What a column is called when spelling does not count: canonical for labels and their errors."""
    name = str(name).strip()
    return _label_key(name) or name.lower()


def _label_key(name):
    """Canonical name of a label or of its error column; None for any other column."""
    suffix = _ERROR_SUFFIX if _is_error(name) else ""
    try:
        return label(name[: len(name) - len(suffix)]).name + suffix
    except ValueError:
        return None


def _read_columns(datasets, rows):
    """The rows of some 1-D datasets, side by side: float32, or float64 if float32 cannot hold one of them."""
    dtype = np.result_type(np.float32, *(dataset.dtype for dataset in datasets))
    return np.stack([_read_rows(dataset, rows, dtype) for dataset in datasets], axis=1)


def _read_rows(dataset, rows, dtype=None):
    """Rows (ascending numbers) of a dataset, read in runs: far quicker than HDF5's own selection of single rows."""
    is_text = h5py.check_string_dtype(dataset.dtype)
    source = dataset.asstr(errors="replace") if is_text else dataset
    dtype = object if is_text else dtype or dataset.dtype.newbyteorder("=")
    array = np.empty((len(rows), *dataset.shape[1:]), dtype=dtype)
    filled = 0
    with np.errstate(over="ignore"):  # an error beyond float32 becomes infinite: as good as unknown
        for run in _runs(dataset, rows):
            array[filled : filled + len(run)] = source[run[0] : run[-1] + 1][run - run[0]]
            filled += len(run)
    return array


def _runs(dataset, rows):
    """Cut row numbers where a stretch is not worth reading along, and where a block would get too big."""
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64)))
    gap = dataset.chunks[0] if dataset.chunks else _MAX_GAP  # a chunk is read whole or not at all
    block = rows // max(1, _BLOCK_BYTES // row_bytes)
    cuts = (np.diff(rows) > gap) | (np.diff(block) > 0)
    return np.split(rows, np.flatnonzero(cuts) + 1)


def _pixels_to_write(name, values, shape=None):
    with np.errstate(over="ignore"):
        values = np.asarray(_floats(name, values), dtype=np.float32)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} has shape {values.shape}, expected (n_samples, n_pixels) with at least one of each.")
    if shape is not None and values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, but spectra has {shape}. Pass one error for each pixel.")
    return values


def _floats(name, values):
    """Values as float32, or as float64 if float32 cannot hold their type; what is masked is NaN."""
    try:
        values = np.ma.asarray(values)
        dtype = np.result_type(np.float32, float if values.dtype.kind == "O" else values.dtype)
        if dtype.kind != "f":
            raise TypeError(f"it holds {values.dtype}")
        return values.astype(dtype, copy=False).filled(np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as numbers ({error}). Pass arrays of floats.") from error


def _by_label(what, values, names, n_samples):
    """Mapping or table of labels -> one column of length n_samples for each canonical name."""
    if hasattr(values, "keys"):
        keys = list(values.keys())
        canonical = resolve_target(keys)
        table = {name: _floats(f"{name} of {what}", values[key]) for name, key in zip(canonical, keys, strict=True)}
    else:
        canonical, array = resolve_target(names), _floats(what, values)
        if array.ndim != 2 or array.shape[1] != len(canonical):
            raise ValueError(
                f"{what} has shape {array.shape}, expected ({n_samples}, {len(canonical)}) for the labels "
                f"{', '.join(canonical)}. Say by names what its columns are, or pass a mapping."
            )
        table = dict(zip(canonical, array.T, strict=True))
    for name, column in table.items():
        if column.shape != (n_samples,):
            raise ValueError(
                f"{name} of {what} has shape {column.shape}, expected ({n_samples},): one for each spectrum."
            )
    return table


def _labels_to_write(what, values, names, n_samples):
    columns = _by_label(what, values, names, n_samples)
    if infinite := [name for name, column in columns.items() if np.isinf(column).any()]:
        raise ValueError(
            f"{what} has infinite values of {', '.join(infinite)}. Write -9999 or NaN where one is missing."
        )
    return {name: np.where(is_missing(column), column.dtype.type(MISSING), column) for name, column in columns.items()}


def _label_errors_to_write(values, names, n_samples, columns):
    errors = _by_label("labels_err", values, names, n_samples)
    if orphans := [name for name in errors if name not in columns]:
        raise ValueError(f"labels_err has {', '.join(orphans)}, which labels has not. Pass the labels too.")
    return {name + _ERROR_SUFFIX: column for name, column in errors.items()}


def _flags_to_write(in_flag, n_samples):
    flags = np.zeros(n_samples) if in_flag is None else np.asarray(in_flag)
    if flags.shape != (n_samples,) or not np.isin(flags, (0, 1)).all():
        raise ValueError(
            f"in_flag has shape {flags.shape} and values {np.unique(flags)[:5]}, expected ({n_samples},) with 0 for a "
            "combined spectrum and 1 for a visit."
        )
    return flags.astype(np.int8)


def _extra_to_write(extra, n_samples, columns):
    taken = {*columns, "spectra_err", "in_flag"}
    checked = {}
    for name, values in extra.items():
        if not name.strip() or "/" in name or _label_key(name) or _key(name) in taken:
            raise ValueError(
                f"extra has a column {name!r}: a name that a label or another column has in some spelling, or that is "
                "empty or has a slash. Rename it; labels go to labels and labels_err."
            )
        taken.add(_key(name))
        checked[name] = _column_to_write(name, np.asarray(values), n_samples)
    return checked


def _column_to_write(name, values, n_samples):
    if not values.ndim or len(values) != n_samples:
        raise ValueError(f"{name} of extra has shape {values.shape}, expected {n_samples} rows: one for each spectrum.")
    if values.dtype.kind == "U" or (values.dtype.kind == "O" and all(isinstance(text, str) for text in values.flat)):
        return values.astype(h5py.string_dtype())
    if values.dtype.kind not in "biufS":
        raise ValueError(f"{name} of extra holds {values.dtype}, expected numbers or text.")
    return values
