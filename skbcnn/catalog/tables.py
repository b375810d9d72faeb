"""Predictions as tables with units, and such tables as files.

`prediction_table` puts what a model says about spectra beside what is known of the stars; `write_table` writes it in
the format that the file name asks for.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from skbcnn._atomic_writes import atomic_path, created_h5
from skbcnn.novelty import result_flags

_UNITS = {"ra": "deg", "dec": "deg"}  # of columns of the stars that come without


def prediction_table(prediction, *, columns=None, assessment=None, meta=None, naming="skbcnn"):
    """Labels of stars with their error bars, as a table with units.

    Parameters
    ----------
    prediction : Prediction
        From `predict_distribution`.
    columns : mapping of str to array-like of shape (n_samples,), default=None
        What leads each row: names, coordinates, S/N. A `Quantity` or a `Column` brings its unit; ``ra`` and ``dec``
        are taken as degrees if they bring none.
    assessment : skbcnn.novelty.Assessment, default=None
        What a model's `assess` says of these stars.
    meta : mapping of str to str, default=None
        What is to be said of the whole table: the model, say.
    naming : {"skbcnn", "sdssv"}, default="skbcnn"
        How the columns of the labels are called. ``"sdssv"``: as in the AstroNN product of SDSS-V, ``teff``,
        ``e_teff``, ``c_1_h``, ``e_c_1_h``, ...

    Returns
    -------
    table : astropy.table.Table
        After `columns`, for each label ``<label>``, ``<label>_err`` (total), ``<label>_err_model`` and
        ``<label>_err_predictive`` (or ``e_<label>``, ``e_<label>_model``, ``e_<label>_predictive``), in K or dex
        where the label is known; at the end ``noisier``, if the prediction
        tells it, and of the assessment ``result_flags`` (sums of `skbcnn.novelty.NoveltyFlag` bits) and ``novelty``
        (the score: above 1 for stars unlike those trained on). SDSS-V's naming has ``result_flags`` without an
        assessment, too: those that depend on the prediction alone.

    Raises
    ------
    ValueError
        If a column does not have a value for each star, cannot be written in files, or takes the name of another.

    See Also
    --------
    Prediction.to_table : The labels alone.
    write_table : Write it.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.catalog import prediction_table
    >>> from skbcnn import Prediction
    >>> stars = Prediction(*np.array([[[4700.0]], [[30.0]], [[40.0]], [[50.0]]]), label_names=("teff",))
    >>> print(prediction_table(stars, columns={"star": ["2M17335483-2753043"]}))
           star         teff  teff_err teff_err_model teff_err_predictive
                         K       K           K                 K
    ------------------ ------ -------- -------------- -------------------
    2M17335483-2753043 4700.0     50.0           30.0                40.0
    """
    n_samples = len(prediction.mean)
    found = [_star_column(name, values, n_samples) for name, values in (columns or {}).items()]
    found += prediction.to_table(errors=("total", "model", "predictive"), naming=naming).itercols()
    novelty = {"result_flags": result_flags(prediction)} if naming == "sdssv" else {}
    if assessment is not None:
        novelty = {"result_flags": assessment.flags, "novelty": assessment.score}
    if novelty:
        found += [_star_column(name, values, n_samples) for name, values in novelty.items()]
    _check_names([column.name for column in found])
    return Table(found, meta=dict(meta or {}))


def _star_column(name, values, n_samples):
    """What is known of the stars, refused if files cannot hold it."""
    unit = getattr(values, "unit", None) or _UNITS.get(name.lower())
    values = np.asanyarray(getattr(values, "value", values))  # asanyarray: what is masked stays masked
    if values.dtype.kind == "O" and all(isinstance(text, str) for text in values.flat):
        values = values.astype(str)
    if values.shape != (n_samples,):
        raise ValueError(f"Column {name!r} has shape {values.shape}, expected ({n_samples},): one value for each star.")
    if values.dtype.kind not in "biufSU":
        raise ValueError(f"Column {name!r} holds {values.dtype}, expected numbers, booleans or text.")
    return Table({name: values}, units={name: unit} if unit else None)[name]


def _check_names(names):
    """Refuse two columns of one name; FITS does not tell upper from lower case."""
    folded = [name.lower() for name in names]
    if twice := [name for name in names if folded.count(name.lower()) > 1]:
        raise ValueError(f"Two columns of the table are called alike: {', '.join(twice)}. Rename those in `columns`.")


def write_table(table, path, *, overwrite=False):
    """Write a table in the format that its name asks for.

    Parameters
    ----------
    table : astropy.table.Table
        From `prediction_table`, or any other of numbers and text.
    path : str or path-like
        ``.fits`` or ``.fit`` (units as TUNIT, meta as comments), ``.csv`` (names and values only), ``.ecsv`` (CSV with
        units and meta), ``.h5`` or ``.hdf5`` (units and meta, under ``catalogue``).
    overwrite : bool, default=False
        Whether a file of this name may be replaced.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the name ends otherwise.
    FileExistsError
        If the file exists and `overwrite` is False.
    OSError
        If it cannot be written; nothing is then left under its name.

    Notes
    -----
    FITS has no name for dex; SDSS writes it nevertheless, and so is it written here. astropy warns when it reads such
    a file, unless told ``Table.read(path, unit_parse_strict="silent")``.

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
    path = Path(path)
    write = _WRITERS[check_table_name(path)]
    with atomic_path(path, overwrite=overwrite) as temporary:
        write(table, temporary)
    return path


def check_table_name(path):
    """Refuse, before any work is done, a file name that asks for no known format.

    Parameters
    ----------
    path : str or path-like
        Of the table to be.

    Returns
    -------
    suffix : str
        How the name ends, in lower case.

    Raises
    ------
    ValueError
        If no format is called so.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"{path} ends in {suffix!r}, expected one of {', '.join(_WRITERS)}. Rename the output.")
    return suffix


def _write_fits(table, path):
    units = {name: column.unit for name, column in table.columns.items() if column.unit is not None}
    bare = Table(table, copy=False)
    bare.meta = {}
    for name in units:  # astropy leaves out, with a warning, the units that FITS does not list
        bare[name].unit = None
    hdu = fits.table_to_hdu(bare)
    for name, unit in units.items():
        hdu.columns[name].unit = _fits_unit(unit)
    for line in _comments(table.meta):
        hdu.header.add_comment(line)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)


def _fits_unit(unit):
    try:
        return unit.to_string("fits")
    except ValueError:  # dex
        return str(unit)


def _comments(meta):
    """Meta as lines of ASCII, which is what FITS headers hold."""
    for name, value in meta.items():
        for line in f"{name}: {value}".splitlines():
            yield line.encode("ascii", "backslashreplace").decode()


def _write_csv(table, path):
    table.write(path, format="ascii.csv")


def _write_ecsv(table, path):
    table.write(path, format="ascii.ecsv")


def _write_hdf5(table, path):
    with created_h5(path) as file:
        table.write(file, path="catalogue", format="hdf5", serialize_meta=True)


_WRITERS = {
    ".fits": _write_fits,
    ".fit": _write_fits,
    ".csv": _write_csv,
    ".ecsv": _write_ecsv,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
}
