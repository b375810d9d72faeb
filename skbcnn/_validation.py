"""What spectra, labels and their errors must look like, and the sentences said where they do not."""

import warnings

import numpy as np

from skbcnn.survey.labels import is_missing

# A gap below the lowest values, in units of how far all others spread, that no distribution of labels has. -9999 leaves
# one of 4 (teff) to 4000 (abundances). Equal values hardly occur by chance, so that a smaller gap tells.
_GAP_OF_SEVERAL, _GAP_OF_ONE = 3, 100
_FEWEST_DISTINCT = 5  # of few values one cannot tell
_BLOCK_SIZE = 2**21  # numbers looked at in one go: 8 MB


def in_blocks(values):
    """A large array as float32, a few rows at a time: nothing of its size is ever made.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_pixels)
        Of numbers; memory-mapped, perhaps, and of any type.

    Yields
    ------
    block : ndarray of shape (n_rows, n_pixels), float32
        The rows in order.
    """
    n_rows = max(1, _BLOCK_SIZE // max(1, values.shape[1]))
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found as such
        for start in range(0, len(values), n_rows):
            yield np.asarray(values[start : start + n_rows], dtype=np.float32)


def check_finite_spectra(X):
    """Refuse spectra with NaN or infinite flux.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Spectra, of any type of numbers; infinite is what float32 cannot hold.

    Raises
    ------
    ValueError
        Saying where the first such pixel is and what to do.
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


def as_numbers(values, name, shape=None, counterpart=None):
    """Numbers as a float64 array of the shape of their counterpart.

    Parameters
    ----------
    values : array-like
        What the user passed.
    name : str
        As which argument.
    shape : tuple of int, default=None
        Shape to have. None: any.
    counterpart : str, default=None
        The argument whose shape that is.

    Returns
    -------
    values : ndarray, float64

    Raises
    ------
    ValueError
        If they are no numbers, or of another shape.
    """
    try:
        values = np.asarray(values)
        if values.dtype.kind == "c":
            raise TypeError("they are complex")
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} holds values that are not numbers ({error}). Pass numbers; a missing one is NaN or -9999."
        ) from error
    if shape is not None and values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, expected {shape} as {counterpart} has: one for each entry.")
    return values


def check_labels(y, label_names=None, may_be_empty=False):
    """Labels with NaN where they are missing.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Labels; NaN or -9999 where missing. Left as it is.
    label_names : sequence of str, default=None
        For the messages.
    may_be_empty : bool, default=False
        Whether a label may be missing in all samples, if another is not.

    Returns
    -------
    y : ndarray of shape (n_samples, n_labels)
        A copy.

    Raises
    ------
    ValueError
        If a label is infinite, or missing in all samples where that may not be.
    """
    names = range(y.shape[1]) if label_names is None else label_names
    if np.isinf(y).any():
        row, column = np.argwhere(np.isinf(y))[0]
        raise ValueError(
            f"y contains infinity (first: row {row}, label {names[column]}). Correct it, or mark it as missing: "
            "NaN or -9999."
        )
    y = np.where(is_missing(y), np.nan, y)
    empty = [str(name) for name, column in zip(names, y.T, strict=True) if np.isnan(column).all()]
    if empty and (len(empty) == y.shape[1] or not may_be_empty):
        raise ValueError(
            f"y has no value at all for {', '.join(empty)}: NaN or -9999 in each of {len(y)} samples. Leave such "
            "labels out of y and target."
        )
    return y


def warn_of_transformed_magic(y, label_names):
    """Warn where missing labels look as if they had been scaled along with the others.

    A linear scaler turns -9999 into a number that looks like a label, but leaves it where it was: as the lowest value,
    far below all others compared to how far these spread.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Labels, NaN where missing.
    label_names : sequence of str
        For the message.

    Warns
    -----
    UserWarning
        Once, naming the labels.
    """
    suspects = [str(name) for name, column in zip(label_names, y.T, strict=True) if _holds_transformed_magic(column)]
    if suspects:
        warnings.warn(
            f"The lowest values of {', '.join(suspects)} lie far below all others, as -9999 does after scaling. If "
            "they mark missing labels, pass y as it was: scaling is done here, without the missing ones. "
            "TransformedTargetRegressor is safe with skbcnn's LabelNormalizer only.",
            stacklevel=4,
        )


def _holds_transformed_magic(column):
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(values) < _FEWEST_DISTINCT + 1:
        return False
    gap, spread = values[1] - values[0], values[-1] - values[1]
    return gap > (_GAP_OF_SEVERAL if counts[0] > 1 else _GAP_OF_ONE) * spread


def check_label_errors(y_err, y):
    """Label errors, ready for the loss.

    Parameters
    ----------
    y_err : array-like of the shape of `y`, or None
        As the user passed it.
    y : ndarray
        Labels from `check_labels`. What stands beside a missing one is never looked at.

    Returns
    -------
    y_err : ndarray or None
        0 where the label or its error is missing.

    Raises
    ------
    ValueError
        If the shape differs or a present label has a negative or infinite error.

    Warns
    -----
    UserWarning
        Once, with their number, if present labels have missing errors: these are taken as 0.
    """
    if y_err is None:
        return None
    y_err = as_numbers(y_err, "y_err", y.shape, "y")
    present = ~np.isnan(y)
    unknown = present & is_missing(y_err)
    if bad := int((present & ~unknown & ~((y_err >= 0) & np.isfinite(y_err))).sum()):
        raise ValueError(
            f"y_err is negative or infinite for {bad} labels that are present. Errors are standard deviations: pass 0 "
            "for an exact label, NaN or -9999 for an unknown error."
        )
    if n_unknown := int(unknown.sum()):
        warnings.warn(
            f"{n_unknown} labels have no error in y_err; 0 is taken for them, so they count as exact.", stacklevel=3
        )
    return np.where(present & ~unknown, y_err, 0.0)


def check_beside(name, values, X):
    """Metadata that stands beside the spectra pixel by pixel.

    Parameters
    ----------
    name : str
        As which argument it came.
    values : array-like
        What came.
    X : ndarray of shape (n_samples, n_pixels)
        Spectra as the consumer sees them.

    Returns
    -------
    values : ndarray of shape (n_samples, n_pixels)

    Raises
    ------
    ValueError
        If the shape is another.
    """
    values = np.asarray(values)
    if values.shape != X.shape:
        raise ValueError(
            f"{name} has shape {values.shape}, but X has shape {X.shape}; expected one value for each pixel. A "
            "metadata array is not changed by the pipeline steps before its consumer: pass it as the consumer needs "
            "it, or prepare flux, errors and bitmask together with skbcnn.preprocessing.prepare_spectra."
        )
    return values


def check_flux_errors(x_err, X):
    """Flux errors of the shape of the spectra.

    Parameters
    ----------
    x_err : array-like of the shape of `X`, or None
        As the user passed it.
    X : ndarray of shape (n_samples, n_pixels)
        Spectra as the consumer sees them.

    Returns
    -------
    x_err : ndarray or None
        Numbers of the type that came: whoever takes a part of them casts it to float32.

    Raises
    ------
    ValueError
        If the shape differs, or an error is negative or not finite.
    """
    if x_err is None:
        return None
    x_err = check_beside("x_err", x_err, X)
    if x_err.dtype.kind not in "fiub":
        raise ValueError(f"x_err holds {x_err.dtype} values, expected numbers: the standard deviation of each pixel.")
    if not all(block.min(initial=0) >= 0 and block.max(initial=0) < np.inf for block in in_blocks(x_err)):  # or NaN
        raise ValueError("x_err is negative or not finite in places. Pass 0 for pixels without a known error.")
    return x_err
