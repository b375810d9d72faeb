"""Find the regressor in pipelines and searches, and predict with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction


def find_regressor(estimator: Any) -> Any:
    """Return the fitted regressor in a pipeline or a search.

    Parameters
    ----------
    estimator : CensoredBCNNRegressor, Pipeline or search
        Estimator that the user passes.

    Returns
    -------
    regressor : estimator
        Last step of a pipeline, best estimator of a search, or the estimator itself.

    Raises
    ------
    NotFittedError
        If the regressor is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

    steps = getattr(estimator, "steps", None)
    inner = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
    if inner is not None:
        return find_regressor(inner)
    check_is_fitted(estimator)
    return estimator


def is_augmented(regressor: Any) -> bool:
    """Return whether a regressor augments its training spectra, or adds noise to them."""
    return getattr(regressor, "_active_augmentation", None) is not None or getattr(regressor, "noise_augmented_", False)


def predict_labels(estimator: Any, X: Any, x_err: Any = None, keep_draws: bool = False) -> Prediction:
    """Predict the labels of spectra with a regressor, a pipeline or a search.

    Parameters
    ----------
    estimator : CensoredBCNNRegressor, Pipeline or search
        Fitted estimator.
    X : array-like of shape (n_samples, n_pixels)
        Input spectra of the estimator.
    x_err : array-like of shape (n_samples, n_pixels), default=None
        Flux errors of the spectra that reach the regressor.
    keep_draws : bool, default=False
        Whether the prediction keeps the labels of every draw.

    Returns
    -------
    prediction : Prediction

    Raises
    ------
    ValueError
        If the spectra are invalid.
    """
    regressor, X = regressor_and_spectra(estimator, X)
    options = {"keep_draws": True} if keep_draws else {}
    return regressor.predict_distribution(X, x_err=x_err, **options)


def regressor_and_spectra(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the regressor of an estimator, and the spectra as its preceding steps transform them.

    Parameters
    ----------
    estimator : CensoredBCNNRegressor, Pipeline or search
        Fitted estimator.
    X : array-like of shape (n_samples, n_pixels)
        Input spectra of the estimator.

    Returns
    -------
    regressor : estimator
        Last step of a pipeline, best estimator of a search, or the estimator itself.
    X : array-like of shape (n_samples, n_pixels)
        Input spectra of the regressor.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not hasattr(estimator, "steps"):
        return estimator, X
    for _, step in estimator.steps[:-1]:
        X = X if step in (None, "passthrough") else step.transform(X)
    return regressor_and_spectra(estimator.steps[-1][1], X)
