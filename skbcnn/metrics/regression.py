"""How far predicted labels are from the true ones that are known, whatever error bars they have."""

import numpy as np

from skbcnn.metrics import weighted
from skbcnn.metrics.averaging import over_labels
from skbcnn.metrics.label_pairs import check_pairs
from skbcnn.metrics.scaling import label_scales, scaled_residuals, why_undefined


def mad_std_error(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average", label_scale=None):
    """Robust scatter of the residuals: their median absolute deviation times 1.4826 (smaller is better).

    It is the standard deviation if residuals are Gaussian, and hardly moved by a few wild ones. A constant bias does
    not enter: see `median_bias`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One error for each label; their mean; their mean weighted by these.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        What the residuals of each label are divided by. None: nothing, so that they stay in label units and kelvins
        outweigh dex in a mean. "std": the standard deviation of the true labels that are present in these very stars;
        errors of different sets of stars are then in different units. "apogee": that of the giants of DR14 (see
        `skbcnn.survey.label_spreads`), if `y_true` has 22 columns or column names. Numbers: these.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        A label that no star has, or that has no spread to be measured in, has no error: NaN among raw values, left
        out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, or a prediction is missing where the true label
        is not.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.

    See Also
    --------
    residual_table : Scatter and bias of every label, as a table.

    Examples
    --------
    >>> from skbcnn.metrics import mad_std_error
    >>> mad_std_error([1.0, 2.0, 3.0, -9999.0], [1.0, 2.5, 4.0, 0.0])  # distances from 0.5: 0.5, 0, 0.5
    0.741...
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    scatter = weighted.MAD_TO_STD * weighted.median_absolute_deviation(residual, weight)
    return over_labels(scatter, multioutput, name="MAD scatter", without=why_undefined(label_scale))


def median_bias(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average", label_scale=None, absolute=False):
    """Median of prediction minus truth (0 is best).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One bias for each label; their mean; their mean weighted by these.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        What the residuals of each label are divided by, as in `mad_std_error`.
    absolute : bool, default=False
        Drop the sign of the bias of each label, so that those of two labels do not cancel in the mean.

    Returns
    -------
    bias : float or ndarray of shape (n_labels,)
        Positive where predictions are too high. A label that no star has, or that has no spread to be measured in,
        has none: NaN among raw values, left out of means.

    Raises
    ------
    ValueError
        If no label has a bias, shapes differ, a value is infinite, or a prediction is missing where the true label
        is not.

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
    return over_labels(bias, multioutput, name="bias", without=why_undefined(label_scale))


def mean_absolute_error(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average", label_scale=None):
    """Mean absolute residual (smaller is better).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One error for each label; their mean; their mean weighted by these.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        What the residuals of each label are divided by, as in `mad_std_error`.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        A label that no star has, or that has no spread to be measured in, has no error: NaN among raw values, left
        out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, or a prediction is missing where the true label
        is not.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.

    See Also
    --------
    sklearn.metrics.mean_absolute_error : The same where nothing is missing.

    Examples
    --------
    >>> from skbcnn.metrics import mean_absolute_error
    >>> y_true, y_pred = [[4000.0, 0.0], [4600.0, -9999.0]], [[4010.0, -0.5], [4630.0, 0.0]]
    >>> mean_absolute_error(y_true, y_pred, multioutput="raw_values")
    array([20. ,  0.5])
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    errors = weighted.mean(np.abs(residual), weight)
    return over_labels(errors, multioutput, name="mean absolute error", without=why_undefined(label_scale))


def root_mean_squared_error(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average", label_scale=None):
    """Root of the mean squared residual of each label (smaller is better).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One error for each label; their mean; their mean weighted by these. The root is taken before the mean.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        What the residuals of each label are divided by, as in `mad_std_error`.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        A label that no star has, or that has no spread to be measured in, has no error: NaN among raw values, left
        out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, or a prediction is missing where the true label
        is not.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.

    See Also
    --------
    sklearn.metrics.root_mean_squared_error : The same where nothing is missing.

    Examples
    --------
    >>> from skbcnn.metrics import root_mean_squared_error
    >>> root_mean_squared_error([1.0, 2.0, -9999.0], [2.0, 9.0, 0.0])
    5.0
    """
    residual, weight, *_ = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    errors = np.sqrt(weighted.mean(residual**2, weight))
    return over_labels(errors, multioutput, name="root mean squared error", without=why_undefined(label_scale))


def r2_score(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average", label_scale=None):
    """Coefficient of determination of the labels that are present (1 is best, 0 is what their mean would get).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts; 0 is as good as absent.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"} or array-like of shape (n_labels,), \
            default="uniform_average"
        One score for each label; their mean; their mean weighted by the spread of each label, or by these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Unit in which the spread of each label is measured where ``multioutput="variance_weighted"``, as in
        `mad_std_error`. The score of a label has no unit, so that this changes nothing else.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        A label that is the same in all stars scores 1 if predicted perfectly, else 0, as in scikit-learn. A label
        present in fewer than two stars has no score: NaN among raw values, left out of means.

    Raises
    ------
    ValueError
        If no label has a score, shapes differ, a value is infinite, or a prediction is missing where the true label
        is not.

    Warns
    -----
    UndefinedMetricWarning
        If a label is present in fewer than two stars.

    See Also
    --------
    sklearn.metrics.r2_score : The same where nothing is missing.

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
    return over_labels(scores, multioutput, name="R2", without="fewer than two stars have it", spread=spread)


def _r2_of_labels(pairs):
    """Score of each label, NaN where it has none, and its weighted sum of squares about the mean."""
    missed = (pairs.weight * (pairs.y_pred - pairs.y_true) ** 2).sum(axis=0)
    variance = weighted.variance(pairs.y_true, pairs.weight)
    spread = np.where(variance > 0, variance, 0) * pairs.weight.sum(axis=0)
    explained = 1 - missed / np.where(spread > 0, spread, 1)
    scores = np.where(spread > 0, explained, (missed == 0).astype(float))
    return np.where(pairs.counts.sum(axis=0) < 2, np.nan, scores), spread
