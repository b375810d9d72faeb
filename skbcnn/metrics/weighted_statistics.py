"""Weighted statistics of each label, where a star of weight 2 equals two stars of weight 1.

Each function takes values and weights of shape (n_samples, n_labels), and returns one number for each label: NaN where
all weights are 0. NumPy has no weighted variance. `numpy.quantile` accepts weights only from NumPy 2.0 on, and does not
take the mean of the two middle values.
"""

from statistics import NormalDist

import numpy as np

MAD_TO_STD = 1 / NormalDist().inv_cdf(0.75)
"""Standard deviation of a Gaussian whose median absolute deviation is 1."""


def mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted mean of each column."""
    total = weight.sum(axis=0)
    return np.divide((weight * values).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)


def variance(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted population variance of each column: exactly 0 where all values are equal."""
    counts = weight > 0
    squared = mean((values - mean(values, weight)) ** 2, weight)
    highest = np.where(counts, values, -np.inf).max(axis=0)
    lowest = np.where(counts, values, np.inf).min(axis=0)
    return np.where(highest == lowest, 0, squared)  # without the rounding error of the mean


def median(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted median of each column: the mean of the two middle values if half of the weight is below."""
    return np.array([_median_of_column(*column) for column in zip(values.T, weight.T, strict=True)])


def median_absolute_deviation(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weighted median of the distances from the weighted median of each column."""
    return median(np.abs(values - median(values, weight)), weight)


def _median_of_column(values: np.ndarray, weight: np.ndarray) -> float:
    values, weight = values[weight > 0], weight[weight > 0]
    if not len(values):
        return np.nan
    order = np.argsort(values)
    cumulative = np.cumsum(weight[order])
    half, rounding = cumulative[-1] / 2, len(cumulative) * np.finfo(float).eps * cumulative[-1]
    middle = np.searchsorted(cumulative, [half - rounding, half + rounding])
    return float(values[order][middle].mean())
