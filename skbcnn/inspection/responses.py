"""The response matrix of a model: how each predicted label responds to its own true value and to the other labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._global_settings import default_settings
from skbcnn.metrics.responses import ResponseMatrix, window_labels


@default_settings()
def response_matrix(
    model: Any,
    X: ArrayLike,
    y_true: ArrayLike,
    y_err: ArrayLike | None = None,
    *,
    x_err: ArrayLike | None = None,
    label_names: Sequence[str] | None = None,
    elements: Sequence[str] | None = None,
    nonlinear_in: Sequence[str] | None = None,
    sample_weight: ArrayLike | None = None,
) -> ResponseMatrix:
    """Estimate how each predicted label changes when one true label changes and all others stay.

    Accuracy on ordinary stars does not show whether a label is measured or guessed: where [Al/H] follows [Mg/H], a
    model that reads aluminium off the magnesium lines is accurate. The response matrix shows it. Pass stars that the
    model was not trained on.

    Parameters
    ----------
    model : CensoredBCNNRegressor, pipeline, search, or any fitted regressor with `predict`
        Fitted model.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, as `model.predict` takes them.
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels, such as those of a catalogue; NaN or -9999 where missing. The columns of a table are matched by
        name.
    y_err : array-like of the shape of `y_true`, or table, default=None
        Errors of the true labels. Without them, own responses come out too small (see Notes).
    x_err : array-like of shape (n_samples, n_pixels), default=None
        Flux errors, as in `predict`.
    label_names : sequence of str, default=None
        Names of the labels. None: those of the model; or of a table, or the 22 labels of APOGEE for 22 columns.
    elements : sequence of str, default=None
        Labels that `mean_own` and `rms_foreign` summarise. None: the labels with windows; all but teff, logg and Fe if
        the model has no windows. Both are the same 19 elements for the 22 labels of APOGEE.
    nonlinear_in : sequence of str, default=None
        True labels whose squares and products with each other enter the regression, so that curvature is not read as a
        response to other labels. None: teff, logg and Fe, as far as the model predicts them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star; stars of weight 0 are left out.

    Returns
    -------
    responses : ResponseMatrix
        Responses in units of the predicted label per unit of the true label, with standard errors.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If the data cannot be used, there are too few stars with all labels, or labels are linearly dependent.

    See Also
    --------
    ResponseMatrix.from_predictions : The same from predictions that were made before.
    skbcnn.plotting.ResponseDisplay : The matrix as a figure.
    window_attribution : The pixels that each label uses.

    Notes
    -----
    The predictions of all labels are regressed on the true labels of all labels, standardised, and on the squares and
    products of `nonlinear_in`. A response is the coefficient of a label: the change of the prediction at the mean of
    the sample, which for these quadratic terms equals the average over the stars.

    *Errors of the true labels* lower the coefficients and give part of an own response to correlated labels. If `y_err`
    is given, the known error variances are subtracted from the sums of products of the labels [1]_, of the quadratic
    terms, too [2]_; `skbcnn.metrics.errors_in_variables` gives the details. The errors must be independent of the
    predictions. Those of a catalogue made from the same spectra are not quite: common noise makes own responses a
    little too large.

    *Missing labels*: only stars with all labels enter. The responses then are right as long as it does not depend on
    the error of the prediction whether a label is missing. A label that is missing in more than half of the stars, or
    equal in all, is left out: its column is NaN, and responses to it are attributed to labels that are correlated with
    it.

    *Standard errors* are those of the sandwich estimator [3]_. They hold for residuals of any size and distribution,
    and include the effect of label errors. With 22 labels, some hundred stars give the responses to about 0.04, and two
    thousand to 0.02. `ResponseMatrix.foreign` and `rms_foreign` therefore subtract what chance alone would give.

    Properties of a star that no label describes, but that are correlated with labels, appear as responses to these.

    References
    ----------
    .. [1] Fuller (1987), Measurement Error Models, Wiley, section 2.2.
    .. [2] Cheng & Schneeweiss (1998), J. R. Statist. Soc. B 60, 189.
    .. [3] Stefanski & Boos (2002), American Statistician 56, 29.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skbcnn.inspection import response_matrix
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(size=(400, 2)) @ [[0.3, 0.2], [0.0, 0.1]]  # the second label follows the first
    >>> X = 1 - 0.2 * y[:, [0]] + 0.01 * rng.normal(size=(400, 5))  # but only the first has lines
    >>> model = LinearRegression().fit(X[:200], y[:200])
    >>> responses = response_matrix(model, X[200:], y[200:], label_names=["Mg", "Al"])
    >>> responses.matrix.round(1) + 0.0
    array([[1. , 0. ],
           [0.7, 0. ]])
    """
    regressor = _regressor_in(model)
    names = getattr(regressor, "target_names_", None) if label_names is None else label_names
    if elements is None and names is not None and hasattr(regressor, "spec_"):
        elements = window_labels(regressor.target_names_, regressor.spec_.windows)
    predicted = model.predict(X) if x_err is None else model.predict(X, x_err=x_err)
    return ResponseMatrix.from_predictions(
        y_true,
        np.asarray(predicted, dtype=np.float64) if isinstance(predicted, np.ndarray) else predicted,
        y_err,
        label_names=names,
        elements=elements,
        nonlinear_in=nonlinear_in,
        sample_weight=sample_weight,
    )


def _regressor_in(model: Any) -> Any:
    """Return the last step of a pipeline, the best estimator of a search, or the model itself."""
    steps = getattr(model, "steps", None)
    inner = steps[-1][1] if steps else getattr(model, "best_estimator_", None)
    return model if inner is None else _regressor_in(inner)
