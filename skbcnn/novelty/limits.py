"""Limits that about 1 training-like star in 400 exceeds: of spectra, of labels and of model uncertainties."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skbcnn.novelty.flags import as_columns
from skbcnn.novelty.principal_components import PrincipalComponents, SpectrumStatistics, concatenate

_FALSE_ALARMS = 1 / 400  # rate of each limit: all limits together flag fewer than 1 in 100 training-like stars
_MIN_STARS = 10  # with fewer, there are no limits
_MIN_TAIL = 10  # stars
_STANDARD_ERRORS = 2  # by which the scale of the tail is increased
# of the SpectrumStatistics, in their order
_MIN_LIMITS = {"unexplained": 1e-3, "distance": 3.0, "faintness": 1e-6, "bad": 0.05, "noise": 1e-6}
_MIN_MODEL_LIMIT = 1.5
_LABEL_MARGIN = 0.05  # share of the range of a label; for n stars at least 2 / sqrt(n)


def spectrum_limits(statistics: SpectrumStatistics) -> list[float]:
    """Return the limits of the statistics of spectra, infinite for fewer than 10 spectra.

    Parameters
    ----------
    statistics : SpectrumStatistics
        Statistics of spectra that did not enter the components.

    Returns
    -------
    limits : list of float
        One limit for each of the `SpectrumStatistics`.
    """
    if len(statistics.noise) < _MIN_STARS:
        return [np.inf] * len(_MIN_LIMITS)
    return [upper_limit(*limit) for limit in zip(statistics, _MIN_LIMITS.values(), strict=True)]


def cross_fitted_limits(x: np.ndarray, bad: np.ndarray, rng: np.random.RandomState) -> list[float]:
    """Return the limits of the statistics of few spectra: each half is compared with the components of the other half.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_pixels), float32
        Flux, in random order.
    bad : ndarray of bool of shape (n_samples, n_pixels)
        Bad pixels.
    rng : RandomState
        Random numbers of the decomposition.

    Returns
    -------
    limits : list of float
        As from `spectrum_limits`.
    """
    if len(x) < _MIN_STARS:
        return [np.inf] * len(_MIN_LIMITS)
    halves = slice(0, None, 2), slice(1, None, 2)
    parts = [
        PrincipalComponents.fit(x[fitted], bad[fitted], rng).chunked_statistics(x[others], bad[others])
        for fitted, others in (halves, halves[::-1])
    ]
    return spectrum_limits(concatenate(parts))


def label_limits(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of each label, and the margin around it.

    Parameters
    ----------
    labels : ndarray of shape (n_samples, n_labels)
        Training labels, NaN where missing.

    Returns
    -------
    label_range : ndarray of shape (2, n_labels)
        Lowest and highest label.
    label_margin : ndarray of shape (n_labels,)
        Margin; 0 for labels with fewer than 10 values.
    """
    lowest, highest = np.nan_to_num([np.fmin.reduce(labels), np.fmax.reduce(labels)])
    n_known = (~np.isnan(labels)).sum(axis=0)
    share = np.where(n_known < _MIN_STARS, 0, np.maximum(_LABEL_MARGIN, 2 / np.sqrt(np.maximum(n_known, 1))))
    return np.stack([lowest, highest]), share * (highest - lowest)


def model_limit(model_std: ArrayLike) -> tuple[np.ndarray, float]:
    """Return the median model standard deviation of each label, and the limit of `relative_spread`.

    Parameters
    ----------
    model_std : array-like of shape (n_samples, n_labels) or (n_samples,)
        Model standard deviations of training-like stars.

    Returns
    -------
    scale : ndarray of shape (n_labels,)
        Medians; 0 for fewer than 10 stars.
    limit : float
        Limit; infinite for fewer than 10 stars.
    """
    columns = as_columns(model_std)
    if len(columns) < _MIN_STARS:
        return np.zeros(columns.shape[1]), np.inf
    scale = np.median(columns, axis=0)
    limit = upper_limit(relative_spread(columns, scale), _MIN_MODEL_LIMIT) if scale.any() else np.inf
    return scale, limit


def relative_spread(model_std: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the root mean square over labels of the model standard deviations in units of `scale`."""
    return np.sqrt(((model_std[:, scale > 0] / scale[scale > 0]) ** 2).mean(axis=1))


def upper_limit(values: np.ndarray, smallest: float) -> float:
    """Return the limit that a share `_FALSE_ALARMS` of such values exceeds, or `smallest` if this is larger.

    The logarithms of the largest tenth of the values are taken to have an exponential distribution [1]_.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Values that are not negative.
    smallest : float
        Smallest limit.

    Returns
    -------
    limit : float

    References
    ----------
    .. [1] Hill (1975), Annals of Statistics 3, 1163, equation 2.4.
    """
    logs = np.sort(np.log(np.maximum(values, smallest / 10)))[::-1]  # many values are 0
    n_tail = max(len(logs) // 10, min(_MIN_TAIL, len(logs) // 2))
    tail_scale = (logs[:n_tail].mean() - logs[n_tail]) * (1 + _STANDARD_ERRORS / np.sqrt(n_tail))
    limit = np.exp(logs[n_tail] + tail_scale * np.log(n_tail / len(logs) / _FALSE_ALARMS))
    return max(smallest, float(limit)) * (1 + 1e-6)  # so that equal values do not exceed it
