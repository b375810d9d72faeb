"""Rows of HDF5 files of spectra: what is wrong with a file, and what is wrong with single rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skbcnn._chunks import row_chunks
from skbcnn._error_level import BAD_PIXEL_ERROR, MAX_FLUX_ERROR, ErrorLevel
from skbcnn._flux_level import is_near_one
from skbcnn._left_out import NO_SIGNAL
from skbcnn.datasets.h5 import dataset_names, read_numbers, read_rows, spectra_shape

_N_SAMPLE = 64  # rows of a file that are looked at before any is predicted
_SPECTRA, _ERRORS, _FLAG, _STAR = "spectra", "spectra_err", "in_flag", "APOGEE_ID"
_OPTIONAL = ("SNR", "RA", "DEC")  # columns of numbers that come along if the file has them
_BAD_ERRORS, _BAD_FLUX = "the flux errors cannot be used", "the flux is not finite"
_NO_GOOD_PIXEL = "every pixel is marked as bad"


class H5Rows(NamedTuple):
    """Some rows of an HDF5 file.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_pixels), float32
        Finite flux; 1 in rows that cannot be used.
    x_err : ndarray of shape (n_rows, n_pixels), float32, or None
        Errors of the flux; 0 in rows that cannot be used. None if the file has none.
    columns : dict of str to ndarray of shape (n_rows,)
        ``star``, ``spectrum``, ``snr``, ``ra``, ``dec``.
    requested : dict of str to ndarray of shape (n_rows,)
        Columns that come along.
    faults : dict of int to (str, str)
        What is wrong with rows that cannot be used, by their positions: the reason in a few words, and in a sentence.
    """

    X: np.ndarray
    x_err: np.ndarray | None
    columns: dict[str, Any]
    requested: dict[str, np.ndarray]
    faults: dict[int, tuple[str, str]]


def check_h5(path: Path, n_pixels: int, of_training: float | None) -> None:
    """Raise if the spectra of an HDF5 file cannot be used at all, by a look at a sample of its rows.

    Parameters
    ----------
    path : pathlib.Path
        File in the ``datasets.h5`` layout.
    n_pixels : int
        Number of pixels that the model takes.
    of_training : float or None
        Median flux of the training spectra, if it is known.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, its spectra have another number of pixels, or most of them are not normalised or
        have errors above the continuum although the training spectra were normalised.
    """
    n_rows, n_found = spectra_shape(path)
    if n_found != n_pixels:
        raise ValueError(
            f"The spectra of {path} have {n_found} pixels, but the model takes {n_pixels}. Spectra of HDF5 files "
            "are used as they are: prepare them in Python with prepare_for_model before you write them to the file."
        )
    if not is_near_one(of_training):
        return
    sample = np.unique(np.linspace(0, n_rows - 1, _N_SAMPLE).astype(int))
    X, x_err = _read_spectra(path, sample)
    if x_err is not None:
        level = ErrorLevel(len(sample), _ERRORS)
        level.add(slice(None), x_err, x_err > 0, x_err >= BAD_PIXEL_ERROR)
        try:
            level.check(f"{_ERRORS} is above 1, the continuum,")
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        X[x_err > MAX_FLUX_ERROR] = 1
    usable = X[np.isfinite(X).all(axis=1)]
    if of_training is not None and len(usable):
        found = float(np.median(np.median(usable.astype(np.float64), axis=1)))
        if not is_near_one(found):
            raise ValueError(
                f"The median flux of the spectra of {path} is {found:.4g}, but that of the training spectra of the "
                f"model was {of_training:.4g}, so these spectra are not divided by their continuum. Prepare them in "
                "Python with prepare_for_model, and write them with write_h5."
            )


def read_h5_rows(path: Path, rows: np.ndarray, near_one: bool, columns: Sequence[str] = ()) -> H5Rows:
    """Read rows of an HDF5 file, and find those that cannot be used.

    Parameters
    ----------
    path : pathlib.Path
        File that `check_h5` accepts.
    rows : ndarray of int
        Row numbers, ascending.
    near_one : bool
        Whether the training spectra were divided by their continuum, so that errors above 1 mark bad pixels.
    columns : sequence of str, default=()
        Columns that come along.

    Returns
    -------
    rows : H5Rows

    Raises
    ------
    OSError, ValueError
        If the stars, ``in_flag`` or a requested column cannot be read.
    """
    X, x_err = _read_spectra(path, rows)
    faults: dict[int, tuple[str, str]] = {}
    for some in row_chunks(*X.shape):
        found = _clean(X[some], None if x_err is None else x_err[some], near_one)
        faults |= {some.start + row: fault for row, fault in found.items()}
    flags = read_numbers(path, _FLAG, rows)
    own = {
        "star": _stars(path, rows),
        "spectrum": np.where(flags == 1, "visit", "combined") if flags is not None else ["combined"] * len(rows),
        **{name.lower(): _optional_numbers(path, name, rows)[0] for name in _OPTIONAL},
    }
    return H5Rows(X, x_err, own, read_rows(path, columns, rows), faults)


def unusable_columns(path: Path) -> list[str]:
    """Return a sentence about each optional column that cannot be used, and stays empty in the catalogue.

    Parameters
    ----------
    path : pathlib.Path
        File that `check_h5` accepts.

    Returns
    -------
    notes : list of str
    """
    faults = {name: _optional_numbers(path, name, np.arange(1))[1] for name in _OPTIONAL}
    return [f"{fault} {name.lower()} is empty in the catalogue." for name, fault in faults.items() if fault]


def _stars(path: Path, rows: np.ndarray) -> np.ndarray:
    """Return the name of the star of each row, or the number of the row if the file has no names."""
    if _STAR.lower() not in dataset_names(path):
        return np.array([f"row {row}" for row in rows])
    stars = read_rows(path, [_STAR], rows)[_STAR]
    if stars.ndim != 1:
        raise ValueError(
            f"{_STAR} of {path} has entries of shape {stars.shape[1:]}, expected one name for each spectrum. Write it "
            "again, or rename the column."
        )
    return stars


def _optional_numbers(path: Path, name: str, rows: np.ndarray) -> tuple[np.ndarray, str]:
    """Return a column of numbers and an error message; the numbers are NaN if the column is absent or wrong."""
    fault = ""
    try:
        if (values := read_numbers(path, name, rows)) is not None:
            return values.astype(float), fault
    except ValueError as error:
        fault = str(error)
    return np.full(len(rows), np.nan), fault


def _read_spectra(path: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return flux and errors of rows; NaN in rows that lie in a damaged part of the file."""
    names = [_SPECTRA] + ([_ERRORS] if _ERRORS in dataset_names(path) else [])
    try:
        found = read_rows(path, names, rows)
    except OSError:
        if not path.exists():
            raise
        if len(rows) == 1:
            unreadable = np.full((1, spectra_shape(path)[1]), np.nan, dtype=np.float32)
            return unreadable, unreadable.copy() if len(names) == 2 else None
        halves = [_read_spectra(path, half) for half in np.array_split(rows, 2)]
        X = np.concatenate([flux for flux, _ in halves])
        return X, np.concatenate([err for _, err in halves if err is not None]) if len(names) == 2 else None
    return found[_SPECTRA], found.get(_ERRORS)


def _clean(X: np.ndarray, x_err: np.ndarray | None, near_one: bool) -> dict[int, tuple[str, str]]:
    """Replace bad pixels and unusable rows by 1, their errors by 0, in place; return what is wrong with rows."""
    faults: dict[int, tuple[str, str]] = {}

    def add(condition: np.ndarray, reason: str, detail: str = "") -> None:
        for row in np.flatnonzero(condition):
            faults.setdefault(int(row), (reason, detail))

    if x_err is not None:
        add(np.logical_not((x_err >= 0).all(axis=1)), _BAD_ERRORS, f"{_ERRORS} is negative or NaN in places.")
        if near_one:
            level = ErrorLevel(len(X), _ERRORS)
            level.add(slice(None), x_err, x_err > 0, x_err >= BAD_PIXEL_ERROR)
            add(np.isin(np.arange(len(X)), level.rows_without_good_pixels), _NO_GOOD_PIXEL)
            n_known, n_high = level.n - level.n_marked, level.n_high - level.n_marked
            add(
                np.asarray(2 * n_high > n_known),
                NO_SIGNAL,
                "More than half of the flux errors are above the continuum.",
            )
            bad = x_err > MAX_FLUX_ERROR
            X[bad], x_err[bad] = 1, 0
        else:
            infinite = np.isinf(x_err).any(axis=1)
            add(infinite, _BAD_ERRORS, f"{_ERRORS} is infinite in places, but the training spectra are not near 1.")
        add((x_err == 0).all(axis=1) & (X[:, :1] == X).all(axis=1), _NO_GOOD_PIXEL)
    add(~np.isfinite(X).all(axis=1), _BAD_FLUX, f"{_SPECTRA} contains NaN or other flux that is not finite.")
    rows = list(faults)
    X[rows] = 1
    if x_err is not None:
        x_err[rows] = 0
    return faults
