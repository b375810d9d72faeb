"""Checks of spectra, labels and their errors, with messages that say what came, what was expected and what to do."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._arrays import as_array, as_pixels
from skbcnn._chunks import row_chunks
from skbcnn._error_level import BAD_PIXEL_ERROR, MAX_FLUX_ERROR, ErrorLevel
from skbcnn._lazy_rows import LazyRows, will_need
from skbcnn._masked import as_float64
from skbcnn.survey.labels import is_missing

# Gap between the lowest value of a label and all others, in units of the range of the others, that no distribution of
# labels has. Scaling turns -9999 into such a value: the gap is 4 for teff, and 4000 for abundances. Equal values hardly
# occur by chance, so a smaller gap is enough if the lowest value occurs several times.
_GAP_IF_REPEATED, _GAP_IF_SINGLE = 3, 100
_NO_REPLACEMENT = (
    "Such pixels are bad, and their flux is replaced by 1, the continuum; but the training spectra are not near 1."
)
_LARGEST = np.finfo(np.float32).max  # the networks compute in float32
_ROUNDING = 1e-6  # relative difference of equal numbers that were rounded in different ways
_MIN_DISTINCT_VALUES = 5  # fewer values do not show their range


def in_blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a large array as float32, some rows at a time, so that no copy of its size is made.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_pixels)
        Numbers of any type; may be memory-mapped.

    Yields
    ------
    block : ndarray of shape (n_rows, n_pixels), float32
        Consecutive rows. Values beyond the range of float32 are infinite.
    """
    with np.errstate(over="ignore"):
        for rows in row_chunks(*values.shape):
            yield np.asarray(values[rows], dtype=np.float32)


def check_finite_spectra(X: np.ndarray) -> None:
    """Refuse spectra with NaN or infinite flux.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Spectra of any numeric type. Values beyond the range of float32 count as infinite.

    Raises
    ------
    ValueError
        If flux is not finite; the message names the first such pixel.
    """
    with np.errstate(invalid="ignore"):  # infinities of both signs
        total = sum(block.sum(dtype=np.float64) for block in in_blocks(X))  # NaN and infinity survive a sum
    if np.isfinite(total):
        return
    rows = np.flatnonzero(np.concatenate([~np.isfinite(block).all(axis=1) for block in in_blocks(X)]))
    if len(rows) == 0:
        return
    (first,) = next(in_blocks(X[rows[:1]]))
    pixel = np.flatnonzero(~np.isfinite(first))[0]
    what = "NaN" if np.isnan(first[pixel]) else "infinity"
    raise ValueError(
        f"X contains {what} or other flux that is not finite in {len(rows)} of {len(X)} spectra (first: row {rows[0]}, "
        f"pixel {pixel}). Normalise raw spectra with ContinuumNormalizer, which sets such pixels to the continuum."
    )


def as_numbers(
    values: ArrayLike, name: str, shape: tuple[int, ...] | None = None, counterpart: str | None = None
) -> np.ndarray:
    """Return values as a float64 array.

    Parameters
    ----------
    values : array-like
        Values that the user passed.
    name : str
        Name of the argument, for the message.
    shape : tuple of int, default=None
        Expected shape. None: any.
    counterpart : str, default=None
        Name of the argument that has this shape.

    Returns
    -------
    values : ndarray, float64

    Raises
    ------
    ValueError
        If they are not numbers, or have another shape.
    """
    values = as_float64(values, name, "Pass numbers; a missing one is NaN or -9999")
    if shape is not None and values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, expected {shape} as {counterpart} has: one for each entry.")
    return values


def check_labels(y: np.ndarray, label_names: Sequence[Any] | None = None, may_be_empty: bool = False) -> np.ndarray:
    """Return labels with NaN where they are missing.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Labels; NaN or -9999 where missing. Not changed.
    label_names : sequence of str, default=None
        Names of the labels, for the messages.
    may_be_empty : bool, default=False
        Whether a label may be missing in all samples, if another is not.

    Returns
    -------
    y : ndarray of shape (n_samples, n_labels)
        A copy.

    Raises
    ------
    ValueError
        If a label is infinite or beyond float32, or missing in all samples where that is not allowed.
    """
    names = range(y.shape[1]) if label_names is None else label_names
    y = np.where(is_missing(y), np.nan, y)
    if len(infinite := np.argwhere(np.abs(y) > _LARGEST)):
        row, column = infinite[0]
        raise ValueError(
            f"y contains infinity or a number too large for float32 (first: row {row}, label {names[column]}). Correct "
            "it, or mark it as missing: NaN or -9999."
        )
    empty = [str(name) for name, column in zip(names, y.T, strict=True) if np.isnan(column).all()]
    if empty and (len(empty) == y.shape[1] or not may_be_empty):
        raise ValueError(
            f"y has no value at all for {', '.join(empty)}: NaN or -9999 in each of {len(y)} samples. Leave such "
            "labels out of y and target."
        )
    return y


def warn_of_scaled_missing_labels(y: np.ndarray, label_names: Sequence[str], stacklevel: int = 2) -> None:
    """Warn if missing labels seem to have been scaled along with the others.

    A linear scaler turns -9999 into a number that looks like a label, but it stays the lowest value, far below all
    others compared with their range.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Labels, NaN where missing.
    label_names : sequence of str
        Names of the labels, for the message.
    stacklevel : int, default=2
        As in `warnings.warn`; 2 attributes the warning to the caller.

    Warns
    -----
    UserWarning
        One warning that names the labels.
    """
    suspects = [str(name) for name, column in zip(label_names, y.T, strict=True) if _has_scaled_missing_value(column)]
    if suspects:
        warnings.warn(
            f"The lowest values of {', '.join(suspects)} lie far below all others, as -9999 does after scaling. If "
            "they mark missing labels, pass y unscaled: the regressor scales it, without the missing ones. "
            "TransformedTargetRegressor is safe with skbcnn's LabelNormalizer only.",
            stacklevel=stacklevel,
        )


def _has_scaled_missing_value(column: np.ndarray) -> bool:
    """Whether the lowest value of a label lies far below all others."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(values) < _MIN_DISTINCT_VALUES + 1:
        return False
    gap, spread = values[1] - values[0], values[-1] - values[1]
    return gap > (_GAP_IF_REPEATED if counts[0] > 1 else _GAP_IF_SINGLE) * spread


@overload
def check_label_errors(y_err: None, y: np.ndarray, stacklevel: int = 3) -> None: ...


@overload
def check_label_errors(y_err: ArrayLike, y: np.ndarray, stacklevel: int = 3) -> np.ndarray: ...


def check_label_errors(y_err: ArrayLike | None, y: np.ndarray, stacklevel: int = 3) -> np.ndarray | None:
    """Return label errors with 0 where the label or its error is missing.

    Parameters
    ----------
    y_err : array-like of the shape of `y`, or None
        Label errors that the user passed.
    y : ndarray
        Labels from `check_labels`. Errors of missing labels are ignored, whatever they are.
    stacklevel : int, default=3
        As in `warnings.warn`; 2 attributes a warning to the caller.

    Returns
    -------
    y_err : ndarray or None
        None if none were passed.

    Raises
    ------
    ValueError
        If the shape differs, or a present label has a negative or infinite error.

    Warns
    -----
    UserWarning
        If present labels have missing errors; the warning gives their number.
    """
    if y_err is None:
        return None
    y_err = as_numbers(y_err, "y_err", y.shape, "y")
    present = ~np.isnan(y)
    unknown = present & is_missing(y_err)
    if bad := int((present & ~unknown & ~((y_err >= 0) & (y_err <= _LARGEST))).sum()):
        raise ValueError(
            f"y_err is negative or infinite for {bad} labels that are present. Errors are standard deviations: pass 0 "
            "for an exact label, NaN or -9999 for an unknown error."
        )
    if n_unknown := int(unknown.sum()):
        warnings.warn(
            f"{n_unknown} labels have no error in y_err; 0 is taken for them, so they count as exact.",
            stacklevel=stacklevel,
        )
    return np.where(present & ~unknown, y_err, 0.0)


def check_shape_of_spectra(name: str, values: ArrayLike, X: np.ndarray, name_of_X: str = "X") -> np.ndarray:
    """Return an argument that has one value for each pixel of the spectra.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    values : array-like
        Its value.
    X : ndarray of shape (n_samples, n_pixels)
        Spectra as the method that takes the argument gets them.
    name_of_X : str, default="X"
        Name of their argument, for the message.

    Returns
    -------
    values : ndarray of shape (n_samples, n_pixels)

    Raises
    ------
    ValueError
        If the shape differs.
    """
    values = as_array(values)
    if values.shape != X.shape:
        came = (
            f"{name} has shape {values.shape}, but {name_of_X} has shape {X.shape}; expected one value for each pixel."
        )
        if values.shape in ((), X.shape[1:], (1, *X.shape[1:])):
            raise ValueError(f"{came} If it holds for every spectrum, pass np.broadcast_to({name}, {name_of_X}.shape).")
        if name == "bitmask" and values.dtype.kind in "iu" and values.shape[:-1] != X.shape[:1]:
            raise ValueError(
                f"{came} If these are the numbers of bad pixels, make a boolean array of the shape of {name_of_X}, "
                f"True at these pixels: bitmask = np.zeros({name_of_X}.shape, dtype=bool); bitmask[:, pixels] = True."
            )
        if name_of_X != "X":
            raise ValueError(f"{came} Pass both with or both without the gaps between the chips.")
        raise ValueError(
            f"{came} A metadata array is not changed by the pipeline steps before its consumer: pass it as the "
            "consumer needs it, or prepare flux, errors and bitmask together with skbcnn.preprocessing.prepare_spectra."
        )
    return values


def usable_spectra(
    X: np.ndarray, x_err: ArrayLike | None, near_one: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return spectra and flux errors for a model, with bad pixels replaced.

    An error above 1, the continuum, marks a bad pixel, as in the files of the survey. Its flux becomes 1 and its error
    0, as `ContinuumNormalizer` does with flagged pixels.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Flux in units of the continuum. Bad pixels may hold anything, NaN, too.
    x_err : array-like of the shape of `X`, or None
        Flux errors that the user passed.
    near_one : bool, default=True
        Whether the training spectra are continuum-normalised. If not, errors above 1 are errors like others, and
        infinite ones are refused, because the flux of a bad pixel has no known replacement.

    Returns
    -------
    X, x_err : ndarray
        The same arrays, of the types that were passed, if no pixel is bad; else copies, or, if `X` is memory-mapped,
        objects that make them row by row. `x_err` is None if none were passed.

    Raises
    ------
    ValueError
        If the shape differs, an error is negative or NaN, errors are booleans, or the median of the errors is above 1.

    Warns
    -----
    UserWarning
        If more than half of the errors of a spectrum are above 1; the warning names the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._validation import usable_spectra
    >>> usable_spectra(np.array([[0.9, 7.0, 0.8]]), [[0.1, 1e10, 0.1]])
    (array([[0.9, 1. , 0.8]]), array([[0.1, 0. , 0.1]]))
    """
    if x_err is None:
        return X, None
    x_err = check_shape_of_spectra("x_err", x_err, X)
    check_kind_of_errors(x_err, "x_err")
    highest = 0.0
    for block in in_blocks(x_err):
        if not block.min(initial=0) >= 0:  # or NaN
            raise ValueError(
                "x_err is negative or NaN in places. Pass infinity, or a masked array, for bad pixels and for pixels "
                "without a known error: their flux is then not used."
            )
        highest = max(highest, block.max(initial=0))
    if not near_one:
        if highest == np.inf:
            raise ValueError(
                f"x_err is infinite or masked in places. {_NO_REPLACEMENT} Replace the flux of these pixels yourself, "
                "and pass finite errors."
            )
        return X, x_err
    if highest <= MAX_FLUX_ERROR:
        return X, x_err
    check_error_level(x_err, "x_err")
    return _without_bad_pixels(X, x_err)


def check_kind_of_errors(err: np.ndarray, name: str) -> None:
    """Refuse flux errors that are no numbers.

    Parameters
    ----------
    err : ndarray
        Flux errors that the user passed.
    name : str
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If they are booleans, or of another type that holds no numbers.
    """
    if err.dtype.kind == "b":
        raise ValueError(
            f"{name} holds booleans, expected the standard deviation of each pixel. If True marks bad pixels, pass "
            "them as `bitmask` to prepare_spectra or ContinuumNormalizer, or as the mask of a masked array."
        )
    if err.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {err.dtype} values, expected numbers: the standard deviation of each pixel.")


def check_error_level(err: np.ndarray, name: str) -> None:
    """Refuse flux errors most of which are above 1, the continuum, and warn of such spectra among others.

    Parameters
    ----------
    err : ndarray of shape (n_samples, n_pixels)
        Flux errors in units of the continuum. Zeros do not count.
    name : str
        Name of the argument, for the messages.

    Raises
    ------
    HighFluxErrorsError
        If the median of all errors is above 1.

    Warns
    -----
    UserWarning
        If more than half of the errors of a spectrum are above 1; the warning names the rows.
    """
    level = ErrorLevel(len(err), name)
    for rows, block in zip(row_chunks(*err.shape), in_blocks(err), strict=True):
        level.add(rows, block, block > 0, block >= BAD_PIXEL_ERROR)
    level.check(f"{name} is above 1, the continuum,")
    level.warn_of_high_errors()


def refuse_masked_flux(X: Any, name: str = "X") -> None:
    """Refuse masked pixels of spectra that are not continuum-normalised.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_pixels)
        Flux that the user passed.
    name : str, default="X"
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If a pixel is masked.
    """
    if as_pixels(X, name).mask is not None:
        raise ValueError(f"{name} is masked in places. {_NO_REPLACEMENT} Replace the flux of these pixels yourself.")


def finite_spectra(
    given: Any, X: np.ndarray, x_err: ArrayLike | None, near_one: bool, name: str = "X"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return spectra and flux errors for a network: bad pixels are replaced, and all flux is finite.

    Parameters
    ----------
    given : array-like of shape (n_samples, n_pixels)
        Flux that the user passed, perhaps masked.
    X : ndarray of shape (n_samples, n_pixels)
        The same as an array.
    x_err : array-like of the shape of `X`, or None
        Flux errors that the user passed.
    near_one : bool
        Whether the training spectra are continuum-normalised, as in `usable_spectra`.
    name : str, default="X"
        Name of the argument `X`, for the messages about masks.

    Returns
    -------
    X, x_err : ndarray
        As from `usable_spectra`.

    Raises
    ------
    ValueError
        If flux is not finite, or flux or errors cannot be used.
    """
    if not near_one:
        refuse_masked_flux(given, name)
    X, x_err = usable_spectra(X, x_err, near_one)
    check_finite_spectra(X)
    return X, x_err


def _without_bad_pixels(X: np.ndarray, x_err: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return copies with flux 1 and error 0 where the error is above the continuum.

    Those of memory maps and lazy rows are made when rows are read, so that no copy of the whole array is made.
    """
    if isinstance(X, np.memmap | LazyRows):

        def replaced_flux(rows: np.ndarray) -> np.ndarray:
            return np.where(x_err[rows] > MAX_FLUX_ERROR, X.dtype.type(1), X[rows])

        def replaced_errors(rows: np.ndarray) -> np.ndarray:
            errors = x_err[rows]
            return np.where(errors > MAX_FLUX_ERROR, errors.dtype.type(0), errors)

        lazy: Any = (
            LazyRows(replaced_flux, X.shape, X.dtype, lambda rows: will_need(rows, X, x_err)),
            LazyRows(replaced_errors, x_err.shape, x_err.dtype, lambda rows: will_need(rows, x_err)),
        )
        return lazy
    X, x_err = np.array(X), np.array(x_err)
    for rows in row_chunks(*X.shape):
        bad = x_err[rows] > MAX_FLUX_ERROR
        X[rows][bad] = 1
        x_err[rows][bad] = 0
    return X, x_err


def varies(values: np.ndarray) -> bool:
    """Return whether numbers differ by more than their rounding in single precision.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Finite numbers, at least one.

    Returns
    -------
    varies : bool

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._validation import varies
    >>> varies(np.array([0.3, 0.1 + 0.2, np.float32(0.3)])), varies(np.array([0.3, 0.301]))
    (False, True)
    """
    return bool(np.ptp(values) > _ROUNDING * np.abs(values).max())
