"""Writing of spectra and labels to an HDF5 file in the ``datasets.h5`` layout."""

import json
import warnings
import zlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from skbcnn._arrays import as_array, as_pixels, in_unit_of
from skbcnn._atomic_writes import atomic_path, created_h5
from skbcnn._error_level import MAX_FLUX_ERROR
from skbcnn._flux_level import are_near_one
from skbcnn._global_settings import default_settings
from skbcnn._label_tables import LabelColumns, label_columns, without_error_mark
from skbcnn._masked import fill_masked, is_masked, refuse_masked
from skbcnn._validation import check_error_level
from skbcnn.datasets.h5 import ERROR_SUFFIX, PREPROCESSING, column_key, label_key, name_of_new_file
from skbcnn.preprocessing import errors_from_ivar
from skbcnn.survey import MISSING, is_missing, resolve_target
from skbcnn.survey.bitmask import with_bit_numbers
from skbcnn.survey.labels import UnknownLabelError

_PIXELS = ("spectra", "spectra_err")
_SIZES, _N_PIXELS = "_sizes", "n_pixels"  # in packed spectra
_COMPRESSION = 1  # level of gzip; higher ones take much longer for noise, and save little
_ROWS_OF_CHUNK = 4096  # of columns with one value a row
_MAX_RECORD_BYTES = 60_000  # an attribute of HDF5 has at most 64 kB


@default_settings()
def write_h5(
    filename: str | PathLike[str],
    spectra: ArrayLike,
    labels: Any,
    *,
    label_names: str | Sequence[str] = "all",
    spectra_err: ArrayLike | None = None,
    spectra_ivar: ArrayLike | None = None,
    labels_err: Any = None,
    in_flag: ArrayLike | None = None,
    extra: Mapping[str, Any] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    names: str | Sequence[str] | None = None,
) -> Path:
    """Write spectra and labels to an HDF5 file in the ``datasets.h5`` layout.

    The file gets its name when it is complete.

    Parameters
    ----------
    filename : str or path-like
        Path of the file; ``.h5`` is appended unless the name ends in ``.h5`` or ``.hdf5``. Suffixes of other formats,
        such as ``.fits``, are refused.
    spectra : array-like of shape (n_samples, n_pixels)
        Flux, stored as float32. Pixels that are masked here or in the errors are bad: their error is infinite, their
        flux 1 in normalised spectra (median near 1) and NaN in others.
    labels : table, mapping of str to array-like of shape (n_samples,), or array-like of shape (n_samples, n_labels)
        Teff in K, log g in dex (cgs), [X/H] in dex. A table is a pandas DataFrame, an astropy Table, whose units are
        converted, or a structured array; its columns may have any spelling of the labels. Missing labels (NaN or at
        most -9990) are stored as -9999. float32 and shorter types are stored as float32, others as float64.
    label_names : "all", str or sequence of str, default="all"
        Labels in the columns of `labels` and `labels_err`, if these are arrays.
    spectra_err : array-like of shape (n_samples, n_pixels), default=None
        Errors of the flux, infinite for bad pixels. Units are converted to that of `spectra`, which is not recorded.
    spectra_ivar : array-like of shape (n_samples, n_pixels), default=None
        Inverse variances in place of `spectra_err`, 0 for bad pixels. They are written as errors.
    labels_err : like `labels`, default=None
        Errors of the labels; a table or mapping may have the errors of some labels only.
    in_flag : array-like of shape (n_samples,), default=None
        0 for a combined spectrum, 1 for an individual visit; None: all are combined.
    extra : mapping of str to array-like of shape (n_samples,) or (n_samples, ...), default=None
        Other columns, of numbers or text, such as ``SNR`` and ``APOGEE_ID``.
    preprocessing : mapping, default=None
        Preparation of the spectra, if they are normalised: the parameters of `ContinuumNormalizer`
        (``normalizer.get_params()``), and under ``"combination"`` the combined spectrum of the apStar files. It is
        recorded in the file; ``skbcnn train`` copies it into the model, and ``skbcnn predict`` compares it with that of
        the model.
    overwrite : bool, default=False
        Whether an existing file is replaced.
    names : "all", str or sequence of str, default=None
        Former name of `label_names`; issues a FutureWarning, and is removed in version 0.4.

    Returns
    -------
    path : pathlib.Path
        Path of the file.

    Raises
    ------
    TypeError
        If `preprocessing` holds anything but text, numbers, lists and mappings.
    ValueError
        If the name has the suffix of another format, shapes or units do not fit, errors and inverse variances are both
        passed, a label is unknown or infinite, or an extra column has the name of another.
    FileExistsError
        If the file exists and `overwrite` is False.
    OSError
        If the file cannot be written. No incomplete file is left.

    See Also
    --------
    H5Loader : Read such a file.

    Examples
    --------
    >>> import tempfile
    >>> from skbcnn.datasets import write_h5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_h5(f"{folder}/giants", [[1.0, 0.9]], [[4500.0, 2.1]], label_names=["teff", "logg"]).name
    'giants.h5'
    """
    if names is not None:
        warnings.warn(
            "names is now called label_names, and is removed in version 0.4. Pass label_names=...",
            FutureWarning,
            stacklevel=2,
        )
        label_names = names
    path = name_of_new_file(filename)
    columns = _spectra_to_write(spectra, spectra_err, spectra_ivar)
    columns |= _other_columns_to_write(
        len(columns["spectra"]), labels, label_names=label_names, labels_err=labels_err, in_flag=in_flag, extra=extra
    )
    record = _record_to_write(preprocessing)

    with atomic_path(path, overwrite=overwrite) as temporary, created_h5(temporary) as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values)
        if record is not None:
            file["spectra"].attrs[PREPROCESSING] = record
    return path


class H5RowWriter:
    """Writer of a file in the ``datasets.h5`` layout, a block of rows after another.

    Each spectrum is a compressed chunk of its own, so that any of them is read quickly. `pack_spectra` compresses them,
    if need be in other processes.

    Parameters
    ----------
    file : h5py.File
        New file, open for writing.
    preprocessing : mapping, default=None
        As in `write_h5`.

    Attributes
    ----------
    n_rows : int
        Number of rows so far.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> from skbcnn.datasets.h5_writer import H5RowWriter, pack_spectra
    >>> with tempfile.TemporaryDirectory() as folder, h5py.File(f"{folder}/giants.h5", "w") as file:
    ...     writer = H5RowWriter(file)
    ...     writer.append(pack_spectra([[1.0, 0.9]]), {"teff": [4500.0]})
    ...     writer.append(pack_spectra([[1.0, 0.8], [1.0, 0.7]]), {"teff": [4600.0, 4700.0]})
    ...     file["teff"][...], file["spectra"][2], file["spectra"].chunks
    (array([4500., 4600., 4700.]), array([1. , 0.7], dtype=float32), (1, 2))
    """

    def __init__(self, file: h5py.File, preprocessing: Mapping[str, Any] | None = None) -> None:
        self._file = file
        self._record = _record_to_write(preprocessing)
        self.n_rows = 0

    def append(
        self,
        spectra: Mapping[str, np.ndarray],
        labels: Any,
        *,
        label_names: str | Sequence[str] = "all",
        labels_err: Any = None,
        in_flag: ArrayLike | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Write rows after those written so far.

        Parameters
        ----------
        spectra : dict of str to ndarray
            Spectra from `pack_spectra`.
        labels, label_names, labels_err, in_flag, extra
            As in `write_h5`. Each block must have the same columns, of the same types.

        Raises
        ------
        ValueError
            As in `write_h5`, or if the columns are not those of the first block.
        """
        pixels = {name: spectra[name + _SIZES] for name in _PIXELS if name in spectra}
        n_samples = len(pixels["spectra"])
        columns = _other_columns_to_write(
            n_samples, labels, label_names=label_names, labels_err=labels_err, in_flag=in_flag, extra=extra
        )
        if not self.n_rows:
            self._create({name: np.empty((0, int(spectra[_N_PIXELS])), dtype=np.float32) for name in pixels} | columns)
        if differences := sorted({*pixels, *columns} ^ set(self._file)):
            raise ValueError(
                f"The blocks differ in the columns {', '.join(differences)}. Pass the same columns in each block."
            )
        for name, sizes in pixels.items():
            dataset = self._enlarged(name, n_samples)
            for row, chunk in enumerate(np.split(spectra[name], np.cumsum(sizes)[:-1]), start=self.n_rows):
                dataset.id.write_direct_chunk((row, 0), chunk.tobytes())
        for name, values in columns.items():
            self._enlarged(name, n_samples)[self.n_rows :] = values
        self.n_rows += n_samples

    def _enlarged(self, name: str, n_samples: int) -> h5py.Dataset:
        """Return a dataset with place for more rows."""
        dataset = self._file[name]
        dataset.resize(self.n_rows + n_samples, axis=0)
        return dataset

    def _create(self, block: Mapping[str, np.ndarray]) -> None:
        """Create the datasets, empty."""
        for name, values in block.items():
            row = values.shape[1:]
            self._file.create_dataset(
                name,
                shape=(0, *row),
                maxshape=(None, *row),
                dtype=values.dtype,
                chunks=(1 if name in _PIXELS else _ROWS_OF_CHUNK, *row),
                compression=_COMPRESSION,
                shuffle=True,
            )
        if self._record is not None:
            self._file["spectra"].attrs[PREPROCESSING] = self._record


def pack_spectra(
    spectra: ArrayLike, spectra_err: ArrayLike | None = None, spectra_ivar: ArrayLike | None = None
) -> dict[str, np.ndarray]:
    """Compress spectra as `H5RowWriter` writes them.

    Parameters
    ----------
    spectra, spectra_err, spectra_ivar
        As in `write_h5`.

    Returns
    -------
    packed : dict of str to ndarray
        Bytes of the compressed rows, one after the other, their sizes, and the number of pixels.

    Raises
    ------
    ValueError
        As in `write_h5`.
    """
    columns = _spectra_to_write(spectra, spectra_err, spectra_ivar)
    packed: dict[str, np.ndarray] = {_N_PIXELS: np.array(columns["spectra"].shape[1])}
    for name, rows in columns.items():
        chunks = [_compressed(row) for row in rows]
        packed[name] = np.frombuffer(b"".join(chunks), dtype=np.uint8)
        packed[name + _SIZES] = np.array([len(chunk) for chunk in chunks])
    return packed


def _compressed(row: np.ndarray) -> bytes:
    """Return what HDF5's filters shuffle and gzip make of a row: first bytes of all values, second bytes, ..."""
    return zlib.compress(row.view(np.uint8).reshape(len(row), -1).T.tobytes(), _COMPRESSION)


def _other_columns_to_write(
    n_samples: int,
    labels: Any,
    *,
    label_names: str | Sequence[str],
    labels_err: Any,
    in_flag: ArrayLike | None,
    extra: Mapping[str, Any] | None,
) -> dict[str, np.ndarray]:
    """Return all columns but the spectra, checked, by the names of their datasets."""
    columns = _labels_to_write(labels, label_names, n_samples)
    if labels_err is not None:
        columns |= _label_errors_to_write(labels_err, label_names, n_samples, columns)
    columns["in_flag"] = _flags_to_write(in_flag, n_samples)
    return columns | _extra_to_write(extra or {}, n_samples, columns)


def _record_to_write(preprocessing: Mapping[str, Any] | None) -> str | None:
    """Return the preparation of the spectra as JSON."""
    if not preprocessing:
        return None
    try:
        text = json.dumps(with_bit_numbers(preprocessing), default=lambda value: value.tolist(), allow_nan=False)
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            f"preprocessing is {preprocessing!r}, which a file cannot record ({error}). Pass the parameters of the "
            "ContinuumNormalizer, normalizer.get_params(), as a mapping of text to text, numbers and lists."
        ) from error
    if len(text) > _MAX_RECORD_BYTES:
        raise ValueError(
            f"preprocessing has {len(text)} characters as JSON, but an HDF5 file records at most {_MAX_RECORD_BYTES}. "
            "Pass the parameters of the ContinuumNormalizer only."
        )
    return text


def _spectra_to_write(spectra: Any, err: Any, ivar: Any) -> dict[str, np.ndarray]:
    """Return flux, and errors if there are any, with bad pixels where something is masked."""
    if err is not None and ivar is not None:
        raise ValueError("spectra_err and spectra_ivar were both passed. Pass one of them.")
    flux = as_pixels(spectra, "spectra")
    columns = {"spectra": _pixels_to_write("spectra", flux.values)}
    masks = [flux.mask]
    if err is not None or ivar is not None:
        name = "spectra_err" if ivar is None else "spectra_ivar"
        errors = as_pixels(err if ivar is None else ivar, name)
        values = in_unit_of(errors, flux, (name, "spectra"), power=1 if ivar is None else -2)
        if ivar is not None:
            values = errors_from_ivar(values)
        columns["spectra_err"] = _pixels_to_write(name, values, columns["spectra"].shape)
        masks += [errors.mask, _above_continuum(columns)]
    if present := [mask for mask in masks if mask is not None]:
        _mark_bad(columns, np.logical_or.reduce(present))
    return columns


def _above_continuum(columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return pixels with infinite errors and, if the flux is normalised, errors above 1; None without such pixels."""
    flux, err = columns["spectra"], columns["spectra_err"]
    bad = np.isinf(err)
    if are_near_one(np.where(bad, np.nan, flux)):
        check_error_level(err, "spectra_err")
        bad |= err > MAX_FLUX_ERROR
    return bad if bad.any() else None


def _mark_bad(columns: dict[str, np.ndarray], bad: np.ndarray) -> None:
    """Mark bad pixels, in copies of the arrays."""
    flux = columns["spectra"]
    filling = np.float32(1 if are_near_one(np.where(bad, np.nan, flux)) else np.nan)
    columns["spectra"] = np.where(bad, filling, flux)
    if "spectra_err" in columns:
        columns["spectra_err"] = np.where(bad, np.float32(np.inf), columns["spectra_err"])


def _pixels_to_write(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(float)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"it holds {array.dtype}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as numbers ({error}). Pass arrays of floats.") from error
    with np.errstate(over="ignore"):  # an error beyond float32 becomes infinite, which means unknown
        pixels = array.astype(np.float32, copy=False)
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"{name} has shape {pixels.shape}, expected (n_samples, n_pixels) with at least one of each.")
    if shape is not None and pixels.shape != shape:
        raise ValueError(f"{name} has shape {pixels.shape}, but spectra has {shape}. Pass one error for each pixel.")
    return pixels


def _by_label(argument: str, values: Any, names: str | Sequence[str], n_samples: int) -> dict[str, np.ndarray]:
    """Return one column of length n_samples for each label, by its canonical name."""
    if isinstance(values, Mapping):
        columns = [fill_masked(column) if isinstance(column, list | tuple) else column for column in values.values()]
        labels = LabelColumns(argument, columns, tuple(map(str, values)), (n_samples, len(values)))
    else:
        labels = label_columns(values, argument)
    canonical = _canonical_names(argument, names if labels.names is None else labels.names)
    if labels.shape != (n_samples, len(canonical)):
        raise ValueError(
            f"{argument} has shape {labels.shape}, expected ({n_samples}, {len(canonical)}) for the labels "
            f"{', '.join(canonical)}. Pass their names as `label_names`, or a table with names."
        )
    found = {}
    for position, name in enumerate(canonical):
        dtype = _dtype_to_write(f"{name} of {argument}", labels.columns[position])
        found[name] = labels.values([name], [position])[:, 0].astype(dtype)
    return found


def _canonical_names(argument: str, names: str | Sequence[str]) -> list[str]:
    """Return the canonical names of labels. Columns of errors may be called ``<label>_err`` or ``e_<label>``."""
    if argument == "labels_err" and not isinstance(names, str):
        names = [without_error_mark(str(name)) for name in names]
    try:
        return resolve_target(names)
    except UnknownLabelError as error:
        raise ValueError(f"{error} Pass other columns as `extra`.") from None


def _dtype_to_write(name: str, column: Any) -> np.dtype:
    """Return float32, or float64 for types that float32 cannot represent."""
    dtype = np.ma.asarray(column).dtype
    if dtype.kind in "SU":
        raise ValueError(f"{name} holds text, expected numbers. Convert it to floats.")
    return np.result_type(np.float32, dtype) if dtype.kind in "fiub" else np.dtype(float)


def _labels_to_write(values: Any, names: str | Sequence[str], n_samples: int) -> dict[str, np.ndarray]:
    columns = _by_label("labels", values, names, n_samples)
    if infinite := [name for name, column in columns.items() if np.isinf(column).any()]:
        raise ValueError(
            f"labels has infinite values of {', '.join(infinite)}. Write -9999 or NaN for a missing value."
        )
    return {name: np.where(is_missing(column), column.dtype.type(MISSING), column) for name, column in columns.items()}


def _label_errors_to_write(
    values: Any, names: str | Sequence[str], n_samples: int, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    errors = _by_label("labels_err", values, names, n_samples)
    if without_label := [name for name in errors if name not in columns]:
        raise ValueError(f"labels_err has {', '.join(without_label)}, which labels has not. Pass the labels, too.")
    return {name + ERROR_SUFFIX: column for name, column in errors.items()}


def _flags_to_write(in_flag: ArrayLike | None, n_samples: int) -> np.ndarray:
    if in_flag is not None:
        refuse_masked(in_flag, "in_flag", "Pass 0 for a combined spectrum and 1 for a visit")
    flags = np.zeros(n_samples) if in_flag is None else np.asarray(in_flag)
    if flags.shape != (n_samples,) or not np.isin(flags, (0, 1)).all():
        raise ValueError(
            f"in_flag has shape {flags.shape} and values {np.unique(flags)[:5]}, expected ({n_samples},) with 0 for a "
            "combined spectrum and 1 for a visit."
        )
    return flags.astype(np.int8)


def _extra_to_write(
    extra: Mapping[str, Any], n_samples: int, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    taken = {*columns, *_PIXELS}
    checked = {}
    for name, values in extra.items():
        if not name.strip() or "/" in name or label_key(name) or column_key(name) in taken:
            raise ValueError(
                f"extra has a column {name!r}: the name is empty, has a slash, or is a spelling of a label or of "
                "another column. Rename it; pass labels as labels and labels_err."
            )
        taken.add(column_key(name))
        checked[name] = _column_to_write(name, _without_mask(values), n_samples)
    return checked


def _without_mask(values: Any) -> np.ndarray:
    """Return a column with NaN in place of masked numbers, and empty text in place of masked text."""
    masked = is_masked(values)
    if not masked.any():
        return np.asarray(values)
    objects = np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values, dtype=object)
    if any(isinstance(value, str | bytes) for value in objects[~masked]):
        return np.where(masked, "", objects.astype(str))
    return np.asarray(fill_masked(values), dtype=float)


def _column_to_write(name: str, values: np.ndarray, n_samples: int) -> np.ndarray:
    if not values.ndim or len(values) != n_samples:
        raise ValueError(f"{name} of extra has shape {values.shape}, expected {n_samples} rows: one for each spectrum.")
    if values.dtype.kind == "U" or (values.dtype.kind == "O" and all(isinstance(text, str) for text in values.flat)):
        return values.astype(h5py.string_dtype())
    values = as_array(values)
    if values.dtype.kind not in "biufS":
        raise ValueError(f"{name} of extra holds {values.dtype}, expected numbers or text.")
    return values
