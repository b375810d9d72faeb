"""Metrics of predicted labels, which leave missing true labels out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skbcnn.metrics import weighted_statistics as weighted
from skbcnn.metrics.averaging import average_over_labels
from skbcnn.metrics.label_pairs import Pairs, check_pairs
from skbcnn.metrics.label_scales import label_scales, reason_undefined, scaled_residuals


def mad_std_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the robust scatter of the residuals: 1.4826 times their median absolute deviation (smaller is better).

    The scatter equals the standard deviation if the residuals are Gaussian, and outliers hardly change it. It does not
    depend on a constant bias, which `median_bias` measures.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How errors are averaged over labels: not at all, as a plain mean, or as a mean with these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale by which the residuals of each label are divided:

        - None: no scale. Residuals keep the unit of the label, so that errors in K dominate errors in dex in a mean.
        - ``"std"``: standard deviation of the true labels of these stars. Errors of different sets of stars then have
          different units.
        - ``"apogee"``: standard deviation among the giants of DR14 (see `skbcnn.survey.label_spreads`). `y_true` needs
          column names, or 22 columns.
        - array-like: one number for each label.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        Error in the unit of the label, or in units of its scale. The error of a label without values, or without the
        spread that ``label_scale="std"`` needs, is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, or a prediction is missing where the true label
        is present.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.

    See Also
    --------
    residual_table : Table with the scatter and bias of each label.

    Examples
    --------
    >>> from skbcnn.metrics import mad_std_error
    >>> mad_std_error([1.0, 2.0, 3.0, -9999.0], [1.0, 2.5, 4.0, 0.0])  # distances from 0.5: 0.5, 0, 0.5
    0.741...
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    scatter = weighted.MAD_TO_STD * weighted.median_absolute_deviation(residual, weight)
    return average_over_labels(scatter, multioutput, name="MAD scatter", reason_undefined=reason_undefined(label_scale))


def median_bias(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
    absolute: bool = False,
) -> float | np.ndarray:
    """Return the median of prediction minus truth (0 is best).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How biases are averaged over labels: not at all, as a plain mean, or as a mean with these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale by which the residuals of each label are divided, as in `mad_std_error`.
    absolute : bool, default=False
        Whether to return absolute biases, so that the biases of two labels do not cancel in the mean.

    Returns
    -------
    bias : float or ndarray of shape (n_labels,)
        Bias in the unit of the label, or in units of its scale; positive if predictions are too high. The bias of a
        label without values, or without the spread that ``label_scale="std"`` needs, is NaN among raw values and left
        out of means.

    Raises
    ------
    ValueError
        If no label has a bias, shapes differ, a value is infinite, or a prediction is missing where the true label
        is present.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no bias.

    Examples
    --------
    >>> from skbcnn.metrics import median_bias
    >>> y_true, y_pred = [[4000.0, 0.0], [4500.0, -9999.0]], [[4010.0, -0.5], [4530.0, 0.0]]
    >>> median_bias(y_true, y_pred, multioutput="raw_values")
    array([20. , -0.5])
    >>> median_bias(y_true, y_pred, label_scale=[100, 1], absolute=True)
    0.35
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    bias = weighted.median(residual, weight)
    bias = np.abs(bias) if absolute else bias
    return average_over_labels(bias, multioutput, name="bias", reason_undefined=reason_undefined(label_scale))


def mean_absolute_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the mean absolute residual (smaller is better).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How errors are averaged over labels: not at all, as a plain mean, or as a mean with these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale by which the residuals of each label are divided, as in `mad_std_error`.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        Error in the unit of the label, or in units of its scale. The error of a label without values, or without the
        spread that ``label_scale="std"`` needs, is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, or a prediction is missing where the true label
        is present.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.

    See Also
    --------
    sklearn.metrics.mean_absolute_error : Equal if no label is missing.

    Examples
    --------
    >>> from skbcnn.metrics import mean_absolute_error
    >>> y_true, y_pred = [[4000.0, 0.0], [4600.0, -9999.0]], [[4010.0, -0.5], [4630.0, 0.0]]
    >>> mean_absolute_error(y_true, y_pred, multioutput="raw_values")
    array([20. ,  0.5])
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    errors = weighted.mean(np.abs(residual), weight)
    return average_over_labels(
        errors, multioutput, name="mean absolute error", reason_undefined=reason_undefined(label_scale)
    )


def root_mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the root mean squared residual (smaller is better).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How errors are averaged over labels: not at all, as a plain mean, or as a mean with these weights. The root is
        taken of each label before the mean.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale by which the residuals of each label are divided, as in `mad_std_error`.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        Error in the unit of the label, or in units of its scale. The error of a label without values, or without the
        spread that ``label_scale="std"`` needs, is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, or a prediction is missing where the true label
        is present.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.

    See Also
    --------
    sklearn.metrics.root_mean_squared_error : Equal if no label is missing.

    Examples
    --------
    >>> from skbcnn.metrics import root_mean_squared_error
    >>> root_mean_squared_error([1.0, 2.0, -9999.0], [2.0, 9.0, 0.0])
    5.0
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    errors = np.sqrt(weighted.mean(residual**2, weight))
    return average_over_labels(
        errors, multioutput, name="root mean squared error", reason_undefined=reason_undefined(label_scale)
    )


def r2_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the coefficient of determination (1 is best; predicting the mean of the labels scores 0).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 0 leaves the star out.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"} or array-like of shape (n_labels,), \
            default="uniform_average"
        How scores are averaged over labels: not at all, as a plain mean, or as a mean weighted by the spread of the
        labels or by these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale by which the spread of each label is divided for ``multioutput="variance_weighted"``, as in
        `mad_std_error`. It changes nothing else, because the score of a label has no unit.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        A label that is equal in all stars scores 1 if predicted perfectly, else 0, as in scikit-learn. The score of a
        label with fewer than two values is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has a score, shapes differ, a value is infinite, or a prediction is missing where the true label
        is present.

    Warns
    -----
    UndefinedMetricWarning
        If a label has fewer than two values.

    See Also
    --------
    sklearn.metrics.r2_score : Equal if no label is missing.

    Examples
    --------
    >>> from skbcnn.metrics import r2_score
    >>> r2_score([[1.0], [2.0], [3.0], [-9999.0]], [[1.0], [2.0], [4.0], [0.0]])
    0.5
    """
    pairs = check_pairs(y_true, y_pred, sample_weight)
    scales = label_scales(label_scale, y_true, pairs)
    scores, spread = _r2_of_labels(pairs)
    spread = np.where(spread > 0, spread / scales**2, 0)
    return average_over_labels(
        scores, multioutput, name="R2", reason_undefined="fewer than two stars have it", spread=spread
    )


def _r2_of_labels(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return the R2 of each label (NaN if undefined), and its weighted sum of squares about the mean."""
    squared_error = (pairs.weight * (pairs.y_pred - pairs.y_true) ** 2).sum(axis=0)
    variance = weighted.variance(pairs.y_true, pairs.weight)
    spread = np.where(variance > 0, variance, 0) * pairs.weight.sum(axis=0)
    explained = 1 - squared_error / np.where(spread > 0, spread, 1)
    scores = np.where(spread > 0, explained, (squared_error == 0).astype(float))
    return np.where(pairs.counts.sum(axis=0) < 2, np.nan, scores), spread
