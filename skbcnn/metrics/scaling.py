"""Units in which the errors of labels are counted, so that kelvins do not drown dex in a mean over labels."""

from typing import NamedTuple

import numpy as np

from skbcnn.metrics import weighted
from skbcnn.metrics.label_pairs import Pairs, check_pairs, label_names
from skbcnn.survey import label_spreads

_NAMED = ("std", "apogee")


class Residuals(NamedTuple):
    """Prediction minus truth in units of the scale of each label, and how much each counts.

    Both are 0 where the true label is missing or has no scale.
    """

    residual: np.ndarray
    weight: np.ndarray
    scales: np.ndarray
    pairs: Pairs


def scaled_residuals(y_true, y_pred, sample_weight, label_scale):
    """What every metric of residuals starts from.

    Parameters
    ----------
    y_true, y_pred, sample_weight, label_scale
        As the user passed them.

    Returns
    -------
    residuals : Residuals
        Arrays of shape (n_samples, n_labels), but the scales, (n_labels,).
    """
    pairs = check_pairs(y_true, y_pred, sample_weight)
    scales = label_scales(label_scale, y_true, pairs)
    weight = pairs.weight * np.isfinite(scales)
    residual = np.where(weight > 0, (pairs.y_pred - pairs.y_true) / scales, 0)
    return Residuals(residual, weight, scales, pairs)


def why_undefined(label_scale):
    """Why a label may have no residual to average."""
    without = "no star has it"
    if isinstance(label_scale, str) and label_scale == "std":
        without += ", or it is the same in all stars and has no spread to be measured in"
    return without


def label_scales(label_scale, y_true, pairs):
    """What divides the residuals of each label.

    Parameters
    ----------
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,)
        As the user passed it.
    y_true : array-like
        True labels as the user passed them, perhaps with names.
    pairs : Pairs
        The same, checked.

    Returns
    -------
    scales : ndarray of shape (n_labels,)
        NaN where the label has no spread to divide by.

    Raises
    ------
    ValueError
        If `label_scale` is none of these, names are needed and absent, or a number is not positive.
    """
    if label_scale is None:
        return np.ones(pairs.weight.shape[1])
    if not isinstance(label_scale, str):
        return _given(label_scale, pairs.weight.shape[1])
    if label_scale not in _NAMED:
        raise ValueError(f"label_scale={label_scale!r}, expected None, 'std', 'apogee', or one number for each label.")
    if label_scale == "apogee":
        return _of_the_survey(y_true, pairs.weight.shape[1])
    variance = weighted.variance(pairs.y_true, pairs.weight)
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def _given(scales, n_labels):
    """The user's own numbers."""
    scales = np.atleast_1d(np.asarray(scales, dtype=float))
    if scales.shape != (n_labels,):
        raise ValueError(f"label_scale has shape {scales.shape}, expected one number for each of {n_labels} labels.")
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"label_scale is {scales.tolist()}, expected finite numbers above 0.")
    return scales


def _of_the_survey(y_true, n_labels):
    """Spread of each label among the giants of APOGEE."""
    names = label_names(y_true)
    if names is None or len(names) != n_labels:
        raise ValueError(
            f"label_scale='apogee' needs to know the labels, but y_true has {n_labels} columns without names. Pass "
            "y_true as a data frame, or label_scale=skbcnn.survey.label_spreads([...]) with the names."
        )
    return label_spreads(names)
