"""One score for each label, or one for all."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

_AVERAGES = ("raw_values", "uniform_average")


def over_labels(scores, multioutput, *, name, without, spread=None):
    """Scores of the labels, or their mean.

    Parameters
    ----------
    scores : ndarray of shape (n_labels,)
        NaN where a label has none.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"} or array-like of shape (n_labels,)
        As the user passed it.
    name : str
        What the score is called.
    without : str
        Why a label may have none.
    spread : ndarray of shape (n_labels,), default=None
        Weights of ``"variance_weighted"``, which None refuses.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)

    Raises
    ------
    ValueError
        If no label has a score, those that have weigh nothing, or `multioutput` is unknown.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no score.
    """
    weights = _weights(multioutput, len(scores), spread)
    defined = ~np.isnan(scores)
    _report_undefined(np.flatnonzero(~defined), len(scores), name, without)
    if weights is None:
        return scores
    if not weights[defined].any():
        raise ValueError(f"The labels that have {name} all weigh nothing in multioutput. Give one a positive weight.")
    return float(np.average(scores[defined], weights=weights[defined]))


def _weights(multioutput, n_labels, spread):
    """Weights of the labels in the mean; None where no mean is wanted."""
    if isinstance(multioutput, str):
        averages = _AVERAGES if spread is None else (*_AVERAGES, "variance_weighted")
        if multioutput not in averages:
            raise ValueError(f"multioutput={multioutput!r}, expected {', '.join(averages)}, or one weight a label.")
        if multioutput == "raw_values":
            return None
        return spread if multioutput == "variance_weighted" and spread.any() else np.ones(n_labels)
    weights = np.asarray(multioutput, dtype=float)
    if weights.shape != (n_labels,):
        raise ValueError(f"multioutput has shape {weights.shape}, expected one weight for each of {n_labels} labels.")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"multioutput is {weights.tolist()}, expected weights that are finite and not negative.")
    return weights


def _report_undefined(labels, n_labels, name, without):
    """Warn of labels without a score, refuse if there is no other."""
    if len(labels) == n_labels:
        raise ValueError(f"For every label {without}, so there is no {name}. Pass stars with known labels.")
    if len(labels):
        warnings.warn(
            f"{name} is not defined for label {', '.join(map(str, labels))} (counted from 0): {without}. It is NaN "
            "among raw values and left out of means.",
            UndefinedMetricWarning,
            stacklevel=4,
        )
