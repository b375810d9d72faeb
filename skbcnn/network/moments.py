"""Moments of the posterior draws: the result of a posterior, whichever library computes it."""

from typing import NamedTuple

import numpy as np

LOGVAR_LIMIT = 20.0  # predicted log-variances are clipped to +- this, so that their exponential stays finite


class Moments(NamedTuple):
    """Moments over the posterior draws in normalised units, each of shape (n, n_labels), float64.

    Attributes
    ----------
    mean : ndarray
        Average of the draws' means.
    model_variance : ndarray
        Population variance of the draws' means.
    predictive_variance : ndarray
        Exponential of the average log-variance.
    """

    mean: np.ndarray
    model_variance: np.ndarray
    predictive_variance: np.ndarray
