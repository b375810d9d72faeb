"""Averages of scores over labels, as the argument `multioutput` of a metric says."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from skbcnn._masked import plain_numbers

_AVERAGES = ("raw_values", "uniform_average")


def average_over_labels(
    scores: np.ndarray, multioutput: ArrayLike, *, name: str, reason_undefined: str, spread: np.ndarray | None = None
) -> float | np.ndarray:
    """Return the score of each label, or their mean.

    Parameters
    ----------
    scores : ndarray of shape (n_labels,)
        Score of each label; NaN where it is undefined.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"} or array-like of shape (n_labels,)
        Argument of a metric, as the user passed it.
    name : str
        Name of the score, for messages.
    reason_undefined : str
        Why the score of a label can be undefined, for messages.
    spread : ndarray of shape (n_labels,), default=None
        Weights for ``"variance_weighted"``. None: this average is refused.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)

    Raises
    ------
    ValueError
        If all scores are undefined, the weights of all defined scores are 0, or `multioutput` is unknown.

    Warns
    -----
    UndefinedMetricWarning
        If some scores are undefined.
    """
    weights = _label_weights(multioutput, len(scores), spread)
    defined = ~np.isnan(scores)
    _report_undefined(np.flatnonzero(~defined), len(scores), name, reason_undefined)
    if weights is None:
        return scores
    if not weights[defined].any():
        raise ValueError(f"The labels that have {name} all have weight 0 in multioutput. Give one a positive weight.")
    return float(np.average(scores[defined], weights=weights[defined]))


def _label_weights(multioutput: ArrayLike, n_labels: int, spread: np.ndarray | None) -> np.ndarray | None:
    """Return the weight of each label in the mean; None for no mean."""
    if isinstance(multioutput, str):
        averages = _AVERAGES if spread is None else (*_AVERAGES, "variance_weighted")
        if multioutput not in averages:
            raise ValueError(
                f"multioutput={multioutput!r}, expected {', '.join(averages)}, or one weight for each label."
            )
        if multioutput == "raw_values":
            return None
        return spread if multioutput == "variance_weighted" and np.any(spread) else np.ones(n_labels)
    weights = plain_numbers(
        multioutput, "multioutput", "Pass 'raw_values', 'uniform_average' or a weight for each label"
    )
    if weights.shape != (n_labels,):
        raise ValueError(f"multioutput has shape {weights.shape}, expected one weight for each of {n_labels} labels.")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"multioutput is {weights.tolist()}, expected weights that are finite and not negative.")
    return weights


def _report_undefined(labels: np.ndarray, n_labels: int, name: str, reason: str) -> None:
    """Warn if some scores are undefined, and raise an error if all are."""
    if len(labels) == n_labels:
        raise ValueError(f"There is no {name}, because for every label {reason}. Pass stars with known labels.")
    if len(labels):
        warnings.warn(
            f"{name} is not defined for label {', '.join(map(str, labels))} (counted from 0): {reason}. It is NaN "
            "among raw values and left out of means.",
            UndefinedMetricWarning,
            stacklevel=4,
        )
