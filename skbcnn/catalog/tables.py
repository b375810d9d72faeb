"""Predictions as tables with units, and such tables as files.

`prediction_table` puts predicted labels after columns that identify the stars; `write_table` writes such a table in the
format of the suffix of the file name.
"""

import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, QTable, Table
from astropy.units import UnitBase, UnrecognizedUnit

from skbcnn._arrays import as_array
from skbcnn._atomic_writes import atomic_path, created_h5
from skbcnn._masked import is_masked
from skbcnn._paths import as_path
from skbcnn._prediction import ErrorKind, Naming, Prediction
from skbcnn.novelty import Assessment, NoveltyFlag, result_flags
from skbcnn.novelty.flags import BIT_MEANINGS, check_prediction, prediction_flags

_DEFAULT_UNITS = {"ra": "deg", "dec": "deg"}  # for columns of the stars that have no unit
_DESCRIPTIONS = {  # for columns that have none
    "star": "Name of the star",
    "spectrum": "Combined spectrum or visit",
    "file": "File of the spectrum",
    "snr": "Signal-to-noise ratio per pixel",
    "ra": "Right ascension, J2000",
    "dec": "Declination, J2000",
    "result_flags": "Sum of the bits of skbcnn.novelty.NoveltyFlag",
    "novelty": "Distance from the training set; out-of-distribution above 1",
    "do_not_use": "Unusable labels: bit 11, 16, 17, 18 or 19 is set",
}
_EXPLAINED = ("do_not_use", "noisier")  # columns whose descriptions are among the comments of FITS files, too
_COMMENT_WIDTH = 70  # astropy breaks longer comments inside words


def prediction_table(
    prediction: Prediction,
    *,
    columns: Mapping[str, Any] | None = None,
    assessment: Assessment | None = None,
    meta: Mapping[str, str] | None = None,
    naming: Naming = "skbcnn",
) -> Table:
    """Return labels of stars with all their errors as a table with units.

    Parameters
    ----------
    prediction : Prediction
        From `predict_distribution`.
    columns : mapping of str to array-like of shape (n_samples,), default=None
        First columns of the table, such as names, coordinates and S/N. The unit of a `Quantity` or a `Column` is kept;
        ``ra`` and ``dec`` without a unit are in degrees.
    assessment : skbcnn.novelty.Assessment, default=None
        Result of the method `assess` of the model for these stars.
    meta : mapping of str to str, default=None
        Metadata of the table, such as the name of the model.
    naming : {"skbcnn", "sdssv"}, default="skbcnn"
        Names of the columns of the labels. ``"sdssv"``: as in the AstroNN product of SDSS-V, ``teff``, ``e_teff``,
        ``c_1_h``, ``e_c_1_h``, ...

    Returns
    -------
    table : astropy.table.Table
        After `columns`, for each label:

        - ``<label>``;
        - ``<label>_err`` (total), ``<label>_err_model``, ``<label>_err_predictive``, and ``<label>_err_calibrated`` if
          the prediction has calibrated errors; with SDSS-V's naming ``e_<label>``, ``e_<label>_model``,
          ``e_<label>_predictive`` and ``e_<label>_calibrated``.

        Units are K or dex; labels that are not APOGEE's have none. The last columns are ``noisier``, if the prediction
        has it (more noise than every training star), and of the assessment ``result_flags`` (sums of
        `skbcnn.NoveltyFlag` bits), ``novelty`` (the score: above 1 for out-of-distribution spectra) and
        ``do_not_use`` (whether a bit of `NoveltyFlag.DO_NOT_USE` is set). With SDSS-V's naming ``result_flags`` holds
        all bits of SDSS-V, of which bit 2 is set for most good stars near [Fe/H] = 0, and the table has
        ``result_flags`` without an assessment, too.

    Raises
    ------
    ValueError
        If a column does not have one value for each star or cannot be written to files, or two columns have the same
        name.

    See Also
    --------
    Prediction.to_table : The labels alone.
    write_table : Write the table to a file.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.catalog import prediction_table
    >>> from skbcnn import Prediction
    >>> stars = Prediction(*np.array([[[4700.0]], [[30.0]], [[40.0]], [[50.0]]]), label_names=("teff",))
    >>> prediction_table(stars, columns={"star": ["2M17335483-2753043"]}).pprint(max_width=-1)
           star         teff  teff_err teff_err_model teff_err_predictive
                         K       K           K                 K
    ------------------ ------ -------- -------------- -------------------
    2M17335483-2753043 4700.0     50.0           30.0                40.0
    """
    check_prediction(prediction)
    n_samples = len(prediction.mean)
    found = [_star_column(name, values, n_samples) for name, values in _named_columns(columns)]
    errors: list[ErrorKind] = ["total", "model", "predictive"]
    if prediction.calibrated is not None:
        errors.append("calibrated")
    found += prediction.to_table(errors=errors, naming=naming).itercols()
    if assessment is not None or naming == "sdssv":
        quality = quality_columns(prediction, assessment, naming)
        found += [_star_column(name, values, n_samples) for name, values in quality.items()]
    for column in found:
        column.description = column.description or _DESCRIPTIONS.get(column.name.lower())
    _check_names([column.name for column in found])
    return Table(found, meta=dict(meta or {}))


def quality_columns(prediction: Prediction, assessment: Assessment | None, naming: Naming) -> dict[str, np.ndarray]:
    """Return the columns that tell which stars to use.

    Parameters
    ----------
    prediction, assessment, naming
        As in `prediction_table`.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_samples,)
        ``result_flags``, ``novelty`` if there is an assessment, and ``do_not_use``, which SDSS-V's product lacks.
    """
    flags = result_flags(prediction) if naming == "sdssv" else prediction_flags(prediction)
    novelty = {}
    if assessment is not None:
        flags, novelty = flags | assessment.flags, {"novelty": assessment.score}
    elif naming == "sdssv":
        return {"result_flags": flags}  # as in SDSS-V's product
    return {"result_flags": flags, **novelty, "do_not_use": (flags & NoveltyFlag.DO_NOT_USE) != 0}


def _named_columns(columns: Any) -> list[tuple[str, Any]]:
    """Return names and values of the columns in a mapping or a table."""
    if columns is None:
        return []
    if not hasattr(columns, "keys"):  # mappings, tables of astropy, data frames of pandas
        raise TypeError(
            f"columns is a {type(columns).__name__}, expected a mapping of names to columns, such as {{'star': names}}."
        )
    return [(str(name), columns[name]) for name in columns.keys()]  # noqa: SIM118, since tables iterate over rows


def _star_column(name: str, values: Any, n_samples: int) -> Column:
    """Return a column of the stars, checked to have a type that all file formats support."""
    unit = getattr(values, "unit", None) or _DEFAULT_UNITS.get(name.lower())
    description = getattr(values, "description", None)
    values = getattr(values, "value", values)
    if isinstance(values, list | tuple) and any(isinstance(entry, str) for entry in values):
        values = np.array([*values, None], dtype=object)[:-1]  # else NumPy makes text of NaN
    if hasattr(values, "unmasked"):  # astropy's Masked
        values = np.ma.array(values.unmasked, mask=values.mask)
    values = np.asanyarray(values)  # keeps masks
    if values.dtype.kind == "O":
        values = _text(values)
    if values.dtype.kind == "O":
        values = as_array(values)
    if values.dtype == np.longdouble:
        values = values.astype(np.float64)  # files cannot hold it
    if values.shape != (n_samples,):
        raise ValueError(f"Column {name!r} has shape {values.shape}, expected ({n_samples},): one value for each star.")
    if values.dtype.kind not in "biufSU":
        raise ValueError(f"Column {name!r} holds {values.dtype}, expected numbers, booleans or text. Convert it.")
    column = Table({name: values}, units={name: unit} if unit else None)[name]
    column.description = description
    return column


def _text(values: np.ndarray) -> np.ndarray:
    """Return objects as text, masked where a value is absent; objects that are no text as they are."""
    is_nan = [isinstance(entry, float) and np.isnan(entry) for entry in values.flat]
    absent = is_masked(values) | np.reshape(np.array(is_nan, dtype=bool), values.shape)
    if absent.all() or not all(isinstance(entry, str) for entry in values[~absent]):
        return values
    text = np.where(absent, "", values).astype(str)
    return np.ma.array(text, mask=absent) if absent.any() else text


def _check_names(names: Sequence[str]) -> None:
    """Raise if two columns have the same name; names in FITS are not case-sensitive."""
    folded = [name.lower() for name in names]
    if twice := [name for name in names if folded.count(name.lower()) > 1]:
        raise ValueError(f"Columns of the table have the same name: {', '.join(twice)}. Rename those in `columns`.")


def write_table(table: Table, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a table in the format of the suffix of the file name.

    Parameters
    ----------
    table : astropy.table.Table
        Table from `prediction_table`, or any other table of numbers and text.
    path : str or path-like
        ``.fits`` or ``.fit`` (units, meta as comments), ``.csv`` (names and values only), ``.ecsv`` (CSV with
        units and meta), ``.h5`` or ``.hdf5`` (units and meta, under ``catalogue``).
    overwrite : bool, default=False
        Whether an existing file is replaced.

    Returns
    -------
    path : pathlib.Path
        Path of the file.

    Raises
    ------
    ValueError
        If the suffix is none of these.
    FileExistsError
        If the file exists and `overwrite` is False.
    OSError
        If the file cannot be written. No incomplete file is left.

    Notes
    -----
    ``Table.read`` and ``QTable.read`` return units and descriptions of all columns of FITS, ECSV and HDF5 files, and
    issue no warning. The FITS standard has no unit dex. Columns in dex therefore have no TUNIT: astropy reads the unit
    from the comments, other programs show it at the end of the description (TCOMM). The comments explain each bit of
    ``result_flags``.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.table import Table
    >>> from skbcnn.catalog import write_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table(Table({"teff": [4700.0]}), f"{folder}/stars.csv").read_text())
    teff
    4700.0
    """
    path = as_path(path, "path")
    write = _WRITERS[check_table_name(path)]
    if not isinstance(table, Table):
        raise TypeError(f"table is a {type(table).__name__}, expected an astropy Table. Pass Table(...) of it.")
    with atomic_path(path, overwrite=overwrite) as temporary:
        write(table, temporary)
    return path


def check_table_name(path: str | PathLike[str]) -> str:
    """Raise if a file name has no suffix of a known table format.

    Call it before long computations whose result will be written with `write_table`.

    Parameters
    ----------
    path : str or path-like
        Name of the table file.

    Returns
    -------
    suffix : str
        Suffix of the name, in lower case.

    Raises
    ------
    ValueError
        If no format has this suffix.
    """
    suffix = as_path(path, "path").suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"{path} ends in {suffix!r}, expected one of {', '.join(_WRITERS)}. Rename the output.")
    return suffix


def _write_fits(table: Table, path: Path) -> None:
    """Write a table; units that FITS lacks are written as astropy's serialised quantities, which it reads back."""
    columns = {name: _fits_column(column) for name, column in table.columns.items()}
    meta = {f"TCOMM{i}": text for i, text in enumerate(map(_fits_description, table.itercols()), start=1) if text}
    bare = QTable(columns, copy=False)
    bare.meta = {**meta, "comments": list(_comments(table))}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The unit .* could not be saved")
        bare.write(path, format="fits")


def _fits_column(column: Column) -> Any:
    """Return the column as FITS can hold it: text in ASCII, and numbers as a quantity if FITS lacks their unit."""
    if column.dtype.kind == "U":
        text = np.array([_ascii(value) for value in np.ma.filled(column, "").flat], dtype=str)
        return Column(text.reshape(column.shape), description=column.description)
    if column.unit is None or _is_fits_unit(column.unit):
        return column
    if isinstance(column.unit, UnrecognizedUnit) or column.dtype.kind not in "iuf":
        return Column(np.ma.asarray(column), description=column.description)
    values = np.ma.filled(np.ma.asarray(column).astype(np.result_type(column.dtype, np.float32)), np.nan)
    quantity = values * column.unit
    quantity.info.description = column.description
    return quantity


def _is_fits_unit(unit: UnitBase) -> bool:
    try:
        unit.to_string("fits")
    except ValueError:  # dex, and units that astropy does not know
        return False
    return not isinstance(unit, UnrecognizedUnit)


def _fits_description(column: Column) -> str:
    """Return the description in ASCII, with the unit if it is no unit of FITS."""
    text = column.description or ""
    if column.unit is not None and not _is_fits_unit(column.unit):
        text += f" [{column.unit}]"
    return _ascii(text.strip())


def _comments(table: Table) -> Iterator[str]:
    """Yield the metadata, and the meanings of flags and booleans, as lines of ASCII, which FITS headers need."""
    lines = [line for name, value in table.meta.items() for line in f"{name}: {value}".splitlines()]
    if "result_flags" in table.colnames:
        lines.append("Bits of result_flags:")
        lines += [f"{flag.value.bit_length() - 1:2d} ({flag.value}) {text}" for flag, text in BIT_MEANINGS.items()]
    lines += [f"{name}: {table[name].description}" for name in _EXPLAINED if name in table.colnames]
    for line in lines:
        yield from textwrap.wrap(_ascii(line), _COMMENT_WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _write_csv(table: Table, path: Path) -> None:
    flags = [name for name, column in table.columns.items() if column.dtype == bool]
    if flags:  # as 0 and 1, since the text "False" is true
        table = table.copy()
        for name in flags:
            table[name] = table[name].astype(np.int8)
    table.write(path, format="ascii.csv")


def _write_ecsv(table: Table, path: Path) -> None:
    table.write(path, format="ascii.ecsv")


def _write_hdf5(table: Table, path: Path) -> None:
    with created_h5(path) as file:
        table.write(file, path="catalogue", format="hdf5", serialize_meta=True)


_WRITERS: dict[str, Callable[[Table, Path], None]] = {
    ".fits": _write_fits,
    ".fit": _write_fits,
    ".csv": _write_csv,
    ".ecsv": _write_ecsv,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
