"""Private names of scikit-learn that this package uses, in one place, since new releases may change them."""

from collections.abc import Callable
from functools import partial
from numbers import Number

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import _fit_context
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_parameter_constraints
from sklearn.utils.validation import _check_feature_names_in, _check_sample_weight

from skbcnn._masked import plain_numbers

__all__ = [
    "BaseScorer",
    "Interval",
    "Options",
    "StrOptions",
    "check_sample_weight",
    "feature_names_in",
    "fit_context",
    "shared_predictions",
    "validate_parameter_constraints",
]

BaseScorer = _BaseScorer
fit_context = _fit_context
feature_names_in = _check_feature_names_in


def check_sample_weight(sample_weight: ArrayLike | None, X: ArrayLike) -> np.ndarray:
    """Return sample weights as an array; refuse negative ones, and all zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        Weights. None: 1 for every sample.
    X : array-like of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    sample_weight : ndarray of shape (n_samples,), float64

    Raises
    ------
    ValueError
        If the shape differs, a weight is masked, negative or not finite, or all are zero.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._sklearn import check_sample_weight
    >>> check_sample_weight(None, np.zeros((2, 3)))
    array([1., 1.])
    """
    if sample_weight is not None and not isinstance(sample_weight, Number):
        sample_weight = plain_numbers(sample_weight, "sample_weight", "Give each star a weight, 0 to leave it out")
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():  # releases before 1.9 accept this
        raise ValueError("sample_weight is zero for every sample. Give at least one sample a positive weight.")
    return weight


def shared_predictions(method_caller: Callable) -> dict:
    """Return the dictionary in which the scorers of one cross-validation fold share predictions.

    Parameters
    ----------
    method_caller : callable
        Argument of `BaseScorer._score`: a partial of scikit-learn's cached call, whose first argument is the cache.

    Returns
    -------
    shared : dict
        Predictions by name of the method; a new dictionary where scikit-learn keeps none.
    """
    cache = method_caller.args[0] if isinstance(method_caller, partial) and method_caller.args else None
    return cache if isinstance(cache, dict) else {}
