"""The private names of scikit-learn that this package uses, so that a new release is met in one place."""

from functools import partial

import numpy as np
from sklearn.base import _fit_context
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_feature_names_in, _check_sample_weight

__all__ = [
    "BaseScorer",
    "Interval",
    "Options",
    "StrOptions",
    "check_sample_weight",
    "feature_names_in",
    "fit_context",
    "shared_predictions",
]

BaseScorer = _BaseScorer
fit_context = _fit_context
feature_names_in = _check_feature_names_in


def check_sample_weight(sample_weight, X):
    """Weights of the samples as an array, refused if one is negative or all are zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        None weighs every sample equally.
    X : array of shape (n_samples, n_features)
        What is weighed.

    Returns
    -------
    sample_weight : ndarray of shape (n_samples,)
        In float64.

    Raises
    ------
    ValueError
        If the shape is another, a weight is negative or not finite, or all are zero.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._sklearn import check_sample_weight
    >>> check_sample_weight(None, np.zeros((2, 3)))
    array([1., 1.])
    """
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():  # releases before 1.9 let this pass
        raise ValueError("sample_weight is zero for every sample. Give at least one sample a positive weight.")
    return weight


def shared_predictions(method_caller):
    """Where the scorers of one fold keep predictions for each other.

    Parameters
    ----------
    method_caller : callable
        What `BaseScorer._score` is handed: a partial of scikit-learn's cached call, whose first argument is the cache.

    Returns
    -------
    shared : dict
        By name of the method; empty, and shared with nobody, where scikit-learn keeps none.
    """
    cache = method_caller.args[0] if isinstance(method_caller, partial) and method_caller.args else None
    return cache if isinstance(cache, dict) else {}
