"""Predictions as tables with units: predicted labels after columns that identify the stars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Column, Table

from skbcnn._arrays import as_array
from skbcnn._masked import is_masked
from skbcnn._prediction import ErrorKind, Naming, Prediction
from skbcnn.novelty import Assessment, NoveltyFlag, result_flags
from skbcnn.novelty.flags import check_prediction, prediction_flags

_DEFAULT_UNITS = {"ra": "deg", "dec": "deg"}  # for columns of the stars that have no unit
_DESCRIPTIONS = {  # for columns that have none
    "star": "Name of the star",
    "spectrum": "Combined spectrum or visit",
    "file": "File of the spectrum",
    "row": "Row of the spectrum in its file, from 0",
    "table_row": "Row of the table of stars, from 0",
    "snr": "Signal-to-noise ratio per pixel",
    "ra": "Right ascension, J2000",
    "dec": "Declination, J2000",
    "result_flags": "Sum of the bits of skbcnn.novelty.NoveltyFlag",
    "novelty": "Distance from the training set; out-of-distribution above 1",
    "do_not_use": "Unusable labels: bit 11, 16, 17, 18 or 19 is set",
}


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
    found = [star_column(name, values, n_samples) for name, values in _named_columns(columns)]
    errors: list[ErrorKind] = ["total", "model", "predictive"]
    if prediction.calibrated is not None:
        errors.append("calibrated")
    found += prediction.to_table(errors=errors, naming=naming).itercols()
    if assessment is not None or naming == "sdssv":
        quality = quality_columns(prediction, assessment, naming)
        found += [star_column(name, values, n_samples) for name, values in quality.items()]
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


def star_column(name: str, values: Any, n_samples: int) -> Column:
    """Return a column of the stars, checked to have a type that all file formats support.

    Parameters
    ----------
    name : str
        Name of the column.
    values : array-like of shape (n_samples,)
        Its values.
    n_samples : int
        Number of stars.

    Returns
    -------
    column : astropy.table.Column

    Raises
    ------
    ValueError
        If there is not one number, boolean or text for each star.
    """
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
    column.description = description or _DESCRIPTIONS.get(name.lower())
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
