"""Checks of true labels, predictions, standard deviations and label errors, and the weight of each pair."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._label_tables import LabelColumns, label_array, label_columns
from skbcnn._sklearn import check_sample_weight
from skbcnn._validation import check_label_errors
from skbcnn.survey import is_missing


class Pairs(NamedTuple):
    """True and predicted labels, and their weights.

    Attributes
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_labels)
        True and predicted labels; 0 where the weight is 0.
    weight : ndarray of shape (n_samples, n_labels)
        Weight of the star; 0 where the true label is missing.
    columns : LabelColumns
        True labels as they were passed, whose order and units the other arguments follow.
    """

    y_true: np.ndarray
    y_pred: np.ndarray
    weight: np.ndarray
    columns: LabelColumns

    @property
    def counts(self) -> np.ndarray:
        """Whether a pair has a weight above 0. Boolean array of shape (n_samples, n_labels)."""
        return self.weight > 0


def check_pairs(y_true: ArrayLike | LabelColumns, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Pairs:
    """Check true and predicted labels, and return them with their weights.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True and predicted labels, with the same order of columns. Two tables are matched by the names of their columns.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star.

    Returns
    -------
    pairs : Pairs

    Raises
    ------
    ValueError
        If shapes or labels differ, a value is infinite, or a prediction is missing where the true label has a weight
        above 0.
    """
    columns = label_columns(y_true, "y_true")
    true, predicted = _check_labels(y_true, "y_true", columns), _check_labels(y_pred, "y_pred", columns)
    _check_same_shape(predicted, "y_pred", true.shape)
    weight = check_sample_weight(sample_weight, true)[:, None] * ~is_missing(true)
    counts = weight > 0
    if n_missing := int((counts & is_missing(predicted)).sum()):
        raise ValueError(
            f"y_pred is missing in {n_missing} places where y_true is not (masked, NaN or -9999). A missing prediction "
            "cannot be scored: leave such stars out of both, and count them separately."
        )
    return Pairs(np.where(counts, true, 0), np.where(counts, predicted, 0), weight, columns)


def check_stds(y_std: ArrayLike, pairs: Pairs) -> np.ndarray:
    """Check predicted standard deviations, and return them with 1 in place of unused values.

    Parameters
    ----------
    y_std : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Predicted standard deviations.
    pairs : Pairs
        True labels and weights.

    Returns
    -------
    y_std : ndarray of shape (n_samples, n_labels)

    Raises
    ------
    ValueError
        If the shape differs, a value is infinite, or a used value is negative or missing.
    """
    std, counts = _check_labels(y_std, "y_std", pairs.columns), pairs.counts
    _check_same_shape(std, "y_std", counts.shape)
    if n_bad := int((counts & ~(std >= 0)).sum()):
        raise ValueError(
            f"y_std is negative or missing in {n_bad} places where y_true is present. Pass the standard deviation "
            "of each prediction, as predict(X, return_std=True) returns it."
        )
    return np.where(counts, std, 1)


def check_errors(y_err: ArrayLike, pairs: Pairs) -> np.ndarray:
    """Check errors of true labels, and return them with 0 in place of unknown and unused values.

    Parameters
    ----------
    y_err : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Errors of the true labels. Errors of missing labels and of stars with weight 0 are ignored.
    pairs : Pairs
        True labels and weights.

    Returns
    -------
    y_err : ndarray of shape (n_samples, n_labels)

    Raises
    ------
    ValueError
        If the shape differs, or a used error is negative or infinite.

    Warns
    -----
    UserWarning
        If errors of used labels are missing.
    """
    y_true = np.where(pairs.counts, pairs.y_true, np.nan)
    return np.asarray(check_label_errors(label_array(y_err, "y_err", pairs.columns), y_true))


def _check_labels(values: ArrayLike | LabelColumns, argument: str, columns: LabelColumns) -> np.ndarray:
    """Return labels as a float64 array of shape (n_samples, n_labels); raise an error for infinite ones."""
    labels = label_array(values, argument, columns)
    if len(labels) == 0:
        raise ValueError(f"{argument} has no rows, expected one for each star. Pass at least one star.")
    if np.isinf(labels).any():
        row, column = np.argwhere(np.isinf(labels))[0]
        raise ValueError(
            f"Input {argument} contains infinity (first: row {row}, column {column}). Correct it, or mark it as "
            "missing: NaN or -9999."
        )
    return labels


def _check_same_shape(values: np.ndarray, argument: str, expected: tuple[int, ...]) -> None:
    if values.shape != expected:
        raise ValueError(
            f"y_true has shape {expected}, but {argument} has shape {values.shape}. Pass one prediction for each label "
            "of each star, in the same order."
        )
