"""Statistics of stars that count differently: a star of weight 2 is the same as two stars of weight 1.

Each takes values and weights of shape (n_samples, n_labels) and answers for each label; NaN where no star counts.
"""

from statistics import NormalDist

import numpy as np

MAD_TO_STD = 1 / NormalDist().inv_cdf(0.75)
"""Standard deviation of a Gaussian whose median absolute deviation is 1."""


def mean(values, weight):
    """Weighted mean of each column."""
    total = weight.sum(axis=0)
    return np.divide((weight * values).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)


def variance(values, weight):
    """Weighted population variance of each column; exactly 0 where all values are the same."""
    counts = weight > 0
    spread = mean((values - mean(values, weight)) ** 2, weight)
    highest = np.where(counts, values, -np.inf).max(axis=0)
    lowest = np.where(counts, values, np.inf).min(axis=0)
    return np.where(highest == lowest, 0, spread)  # what rounding the mean leaves is no spread


def median(values, weight):
    """Weighted median of each column: where half of the weight lies below, the mean of the values on both sides."""
    return np.array([_median(*column) for column in zip(values.T, weight.T, strict=True)])


def median_absolute_deviation(values, weight):
    """Weighted median of the distances from the weighted median, of each column."""
    return median(np.abs(values - median(values, weight)), weight)


def _median(values, weight):
    """Weighted median of one column."""
    values, weight = values[weight > 0], weight[weight > 0]
    if not len(values):
        return np.nan
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    half, rounding = below[-1] / 2, len(below) * np.finfo(float).eps * below[-1]
    sides = np.searchsorted(below, [half - rounding, half + rounding])
    return values[order][sides].mean()
