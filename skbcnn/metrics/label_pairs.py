"""True labels, predictions and error bars, checked, and which of them count."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array

from skbcnn._sklearn import check_sample_weight
from skbcnn._validation import check_label_errors
from skbcnn.survey import APOGEE_LABELS, is_missing


class Pairs(NamedTuple):
    """True and predicted labels side by side, 0 where they do not count, and how much they count."""

    y_true: np.ndarray
    y_pred: np.ndarray
    weight: np.ndarray

    @property
    def counts(self):
        """Where there is something to score."""
        return self.weight > 0


def label_names(y_true):
    """Names of the label columns: as the table has them, or the 22 of APOGEE; None where there are none."""
    if hasattr(y_true, "columns"):
        return [str(name) for name in y_true.columns]
    if np.ndim(y_true) == 2 and np.shape(y_true)[1] == len(APOGEE_LABELS):
        return list(APOGEE_LABELS)
    name = getattr(y_true, "name", None)  # of a pandas Series
    return None if name is None else [str(name)]


def check_pairs(y_true, y_pred, sample_weight=None):
    """True and predicted labels, and the weight of each: 0 where the true one is missing.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_labels) or (n_samples,)
        As the user passed them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star.

    Returns
    -------
    pairs : Pairs
        Arrays of shape (n_samples, n_labels).

    Raises
    ------
    ValueError
        If shapes differ, a value is infinite, or a prediction is missing where the true label counts.
    """
    y_true, y_pred = _columns(y_true, "y_true"), _columns(y_pred, "y_pred")
    _check_same_shape(y_pred, "y_pred", y_true.shape)
    weight = check_sample_weight(sample_weight, y_true)[:, None] * ~is_missing(y_true)
    counts = weight > 0
    lost = counts & is_missing(y_pred)
    if lost.any():
        raise ValueError(
            f"y_pred is missing in {lost.sum()} places where y_true is not. A missing prediction cannot be scored: "
            "leave such stars out of both, and count them apart."
        )
    return Pairs(np.where(counts, y_true, 0), np.where(counts, y_pred, 0), weight)


def check_stds(y_std, counts):
    """Predicted standard deviations, 1 where nothing counts.

    Parameters
    ----------
    y_std : array-like of shape (n_samples, n_labels) or (n_samples,)
        As the user passed it.
    counts : ndarray of bool of shape (n_samples, n_labels)
        Where there is something to score.

    Returns
    -------
    y_std : ndarray of shape (n_samples, n_labels)

    Raises
    ------
    ValueError
        If the shape differs, or one that counts is negative, missing or infinite.
    """
    y_std = _columns(y_std, "y_std")
    _check_same_shape(y_std, "y_std", counts.shape)
    bad = counts & ~(y_std >= 0)
    if bad.any():
        raise ValueError(
            f"y_std is negative or missing in {bad.sum()} places where y_true is present. Pass the standard deviation "
            "of each prediction, as predict(X, return_std=True) gives it."
        )
    return np.where(counts, y_std, 1)


def check_errors(y_err, pairs):
    """Errors of the true labels, 0 where they are unknown and where nothing counts.

    Parameters
    ----------
    y_err : array-like of shape (n_samples, n_labels) or (n_samples,)
        As the user passed it. What stands beside a missing label, or in a star of weight 0, is never looked at.
    pairs : Pairs
        What they are the errors of.

    Returns
    -------
    y_err : ndarray of shape (n_samples, n_labels)

    Raises
    ------
    ValueError
        If the shape differs, or one that counts is negative or infinite.

    Warns
    -----
    UserWarning
        If errors of labels that count are missing.
    """
    y_err = np.asarray(y_err)
    y_err = y_err.reshape(-1, 1) if y_err.ndim == 1 else y_err
    return check_label_errors(y_err, np.where(pairs.counts, pairs.y_true, np.nan))


def _columns(values, name):
    """Labels as a float64 array of two dimensions, infinite ones refused."""
    values = check_array(values, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", input_name=name)
    return values.reshape(-1, 1) if values.ndim == 1 else values


def _check_same_shape(values, name, expected):
    if values.shape != expected:
        raise ValueError(
            f"y_true has shape {expected}, but {name} has shape {values.shape}. Pass one prediction for each label "
            "of each star, in the same order."
        )
