"""Residuals in units of a scale for each label, so that errors in K do not dominate errors in dex in a mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._label_tables import label_names
from skbcnn._masked import plain_numbers
from skbcnn.metrics import weighted_statistics
from skbcnn.metrics.label_pairs import Pairs, check_pairs
from skbcnn.survey import label_spreads

_NAMED_SCALES = ("std", "apogee")


class ScaledResiduals(NamedTuple):
    """Residuals in units of the scale of each label, and their weights.

    Attributes
    ----------
    residual, weight : ndarray of shape (n_samples, n_labels)
        Prediction minus truth, divided by the scale, and its weight. Both are 0 where the true label is missing or the
        label has no scale.
    scales : ndarray of shape (n_labels,)
        Scale of each label; NaN where it has none.
    pairs : Pairs
        True and predicted labels.
    """

    residual: np.ndarray
    weight: np.ndarray
    scales: np.ndarray
    pairs: Pairs


def scaled_residuals(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None, label_scale: ArrayLike | None
) -> ScaledResiduals:
    """Check true and predicted labels, and return their scaled residuals.

    Parameters
    ----------
    y_true, y_pred, sample_weight, label_scale
        Arguments of a metric, as the user passed them.

    Returns
    -------
    residuals : ScaledResiduals
    """
    pairs = check_pairs(y_true, y_pred, sample_weight)
    scales = label_scales(label_scale, y_true, pairs)
    weight = pairs.weight * np.isfinite(scales)
    residual = np.where(weight > 0, (pairs.y_pred - pairs.y_true) / scales, 0)
    return ScaledResiduals(residual, weight, scales, pairs)


def reason_undefined(label_scale: ArrayLike | None) -> str:
    """Return why a label can have no residual, for error messages."""
    reason = "no star has it"
    if isinstance(label_scale, str) and label_scale == "std":
        reason += ", or it is equal in all stars and so has no spread to scale by"
    return reason


def label_scales(label_scale: ArrayLike | None, y_true: ArrayLike, pairs: Pairs) -> np.ndarray:
    """Return the number by which the residuals of each label are divided.

    Parameters
    ----------
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,)
        Argument of a metric, as the user passed it.
    y_true : array-like
        True labels, as the user passed them, with names if they have any.
    pairs : Pairs
        Checked labels.

    Returns
    -------
    scales : ndarray of shape (n_labels,)
        NaN where all values of a label are equal.

    Raises
    ------
    ValueError
        If `label_scale` is none of these, the labels have no names for ``"apogee"``, or a number is not positive.
    """
    n_labels = pairs.weight.shape[1]
    if label_scale is None:
        return np.ones(n_labels)
    if not isinstance(label_scale, str):
        return _check_scales(label_scale, n_labels)
    check_name_of_scale(label_scale)
    if label_scale == "apogee":
        return _apogee_scales(y_true, n_labels)
    variance = weighted_statistics.variance(pairs.y_true, pairs.weight)
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def check_name_of_scale(label_scale: Any) -> None:
    """Raise if `label_scale` is text that names no scale."""
    if isinstance(label_scale, str) and label_scale not in _NAMED_SCALES:
        raise ValueError(f"label_scale={label_scale!r}, expected None, 'std', 'apogee', or one number for each label.")


def _check_scales(label_scale: ArrayLike, n_labels: int) -> np.ndarray:
    """Return scales that the user passed as numbers."""
    scales = np.atleast_1d(
        plain_numbers(label_scale, "label_scale", "Pass one number above 0 for each label, in the unit of the label")
    )
    if scales.shape != (n_labels,):
        raise ValueError(f"label_scale has shape {scales.shape}, expected one number for each of {n_labels} labels.")
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"label_scale is {scales.tolist()}, expected finite numbers above 0.")
    return scales


def _apogee_scales(y_true: ArrayLike, n_labels: int) -> np.ndarray:
    """Return the standard deviation of each label among the giants of APOGEE DR14."""
    names = label_names(y_true)
    if names is None or len(names) != n_labels:
        raise ValueError(
            f"label_scale='apogee' needs the names of the labels, but y_true has {n_labels} columns without names. "
            "Pass y_true as a data frame, or label_scale=skbcnn.survey.label_spreads([...]) with the names."
        )
    return label_spreads(names)
