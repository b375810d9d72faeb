"""Metrics of predicted standard deviations: scores of Gaussian predictions.

Each metric takes the standard deviation of every prediction and, if they are known, the errors of the true labels. The
two add in quadrature: a measured label scatters about the prediction by ``sqrt(y_std**2 + y_err**2)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from skbcnn._masked import plain_numbers
from skbcnn.metrics import weighted_statistics as weighted
from skbcnn.metrics.averaging import average_over_labels
from skbcnn.metrics.label_pairs import Pairs, check_errors, check_stds
from skbcnn.metrics.label_scales import reason_undefined, scaled_residuals


def _scaled_gaussians(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    y_err: ArrayLike | None,
    sample_weight: ArrayLike | None,
    label_scale: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return residuals, their standard deviations and weights: 0, 1 and 0 for missing labels."""
    residual, weight, scales, pairs = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    std = _total_std(y_std, y_err, pairs)
    return residual, np.where(weight > 0, std / scales, 1), weight


def _total_std(y_std: ArrayLike, y_err: ArrayLike | None, pairs: Pairs) -> np.ndarray:
    """Return the standard deviation of measured label minus prediction: 1 for missing labels."""
    std = check_stds(y_std, pairs)
    if y_err is not None:
        std = np.hypot(std, check_errors(y_err, pairs))
    if zero := int((pairs.counts & (std == 0)).sum()):
        raise ValueError(
            f"y_std is 0 in {zero} places where y_true is present and has no error. No density can be scored there: "
            "pass positive standard deviations, or the errors of the true labels as y_err."
        )
    return std


def gaussian_nll_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    y_err: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the mean negative log density of the labels under the predicted Gaussians (smaller is better).

    ``0.5*log(2*pi*var) + 0.5*(y_true - y_pred)**2/var`` with ``var = y_std**2 + y_err**2``.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred, y_std : array-like of the shape of `y_true`
        Predicted labels and their standard deviations, as ``predict(X, return_std=True)`` returns them.
    y_err : array-like of the shape of `y_true`, default=None
        Errors (standard deviations) of the true labels; 0, or missing, where unknown. Errors of missing labels are
        ignored.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How losses are averaged over labels: not at all, as a plain mean, or as a mean with these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Unit of each label, as in `mad_std_error`. A unit that is s times as large lowers the loss by log(s) and does
        not change the order of models.

    Returns
    -------
    loss : float or ndarray of shape (n_labels,)
        Loss per measured label, in nats. The loss of a label without values, or without the spread that
        ``label_scale="std"`` needs, is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has a loss, shapes differ, a value is infinite, or where a true label is present, a prediction is
        missing or a standard deviation is negative, or 0 without an error of the label.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no loss.
    UserWarning
        If errors of present labels are missing. They are taken as 0.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, on the loss and the errors of the labels.
    .. [2] Gneiting & Raftery (2007), JASA 102, 359, section 4.1, on the logarithmic score.

    Examples
    --------
    >>> from skbcnn.metrics import gaussian_nll_loss
    >>> round(gaussian_nll_loss([[0.0], [-9999.0]], [[0.0], [7.0]], [[1.0], [1.0]]), 4)
    0.9189
    """
    residual, std, weight = _scaled_gaussians(y_true, y_pred, y_std, y_err, sample_weight, label_scale)
    loss = 0.5 * np.log(2 * np.pi) + np.log(std) + 0.5 * (residual / std) ** 2
    return average_over_labels(
        weighted.mean(loss, weight),
        multioutput,
        name="Gaussian log loss",
        reason_undefined=reason_undefined(label_scale),
    )


def crps_gaussian(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    y_err: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the mean continuous ranked probability score (CRPS) of the predicted Gaussians (smaller is better).

    The CRPS is the integral of the squared difference between the predicted distribution function and the step function
    at the label: ``sigma * (z*(2*Phi(z) - 1) + 2*phi(z) - 1/sqrt(pi))`` with ``sigma**2 = y_std**2 + y_err**2`` and
    ``z = (y_true - y_pred)/sigma``. It equals the absolute error for standard deviations near 0, and it penalises
    outliers less than `gaussian_nll_loss`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred, y_std : array-like of the shape of `y_true`
        Predicted labels and their standard deviations, as ``predict(X, return_std=True)`` returns them.
    y_err : array-like of the shape of `y_true`, default=None
        Errors (standard deviations) of the true labels; 0, or missing, where unknown. Errors of missing labels are
        ignored.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How scores are averaged over labels: not at all, as a plain mean, or as a mean with these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale by which the score of each label is divided, as in `mad_std_error`.

    Returns
    -------
    crps : float or ndarray of shape (n_labels,)
        CRPS in the unit of the label, or in units of its scale. The score of a label without values, or without the
        spread that ``label_scale="std"`` needs, is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has a score, shapes differ, a value is infinite, or where a true label is present, a prediction is
        missing or a standard deviation is negative, or 0 without an error of the label.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no score.
    UserWarning
        If errors of present labels are missing. They are taken as 0.

    References
    ----------
    .. [1] Gneiting & Raftery (2007), JASA 102, 359, section 4.2.
    .. [2] Gneiting, Raftery, Westveld & Goldman (2005), Monthly Weather Review 133, 1098, equation 5.

    Examples
    --------
    >>> from skbcnn.metrics import crps_gaussian
    >>> round(crps_gaussian([0.0, -9999.0], [0.0, 7.0], [1.0, 1.0]), 4)  # (sqrt(2) - 1)/sqrt(pi)
    0.2337
    """
    residual, std, weight = _scaled_gaussians(y_true, y_pred, y_std, y_err, sample_weight, label_scale)
    z = residual / std  # the sign of the residual does not matter: the score is even in z
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    score = std * (z * erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))
    score = weighted.mean(score, weight)
    return average_over_labels(score, multioutput, name="CRPS", reason_undefined=reason_undefined(label_scale))


def expected_calibration_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    y_std: ArrayLike,
    *,
    y_err: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    multioutput: ArrayLike = "uniform_average",
    label_scale: ArrayLike | None = None,
    levels: ArrayLike | None = None,
) -> float | np.ndarray:
    """Return the mean difference between nominal and observed coverage of central intervals (smaller is better).

    At level p, the interval of a star is ``y_pred`` plus and minus ``sigma * Phi^-1((1 + p)/2)`` with
    ``sigma**2 = y_std**2 + y_err**2``. The nominal coverage of the intervals is p. The observed coverage is the
    weighted share of stars whose label lies inside the interval or on its ends. The absolute difference of the two is
    averaged over `levels`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred, y_std : array-like of the shape of `y_true`
        Predicted labels and their standard deviations, as ``predict(X, return_std=True)`` returns them.
    y_err : array-like of the shape of `y_true`, default=None
        Errors (standard deviations) of the true labels; 0, or missing, where unknown. Errors of missing labels are
        ignored.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each star. A weight of 2 equals two such stars, a weight of 0 none.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        How errors are averaged over labels: not at all, as a plain mean, or as a mean with these weights.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Scale of each label, as in `mad_std_error`. It changes no error, because coverage has no unit. With ``"std"``, a
        label without spread is left out, as in the other metrics.
    levels : array-like of shape (n_levels,), default=None
        Nominal coverages between 0 and 1. None means 0.01, 0.02, ..., 0.99.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        Error between 0 and 1: about 0.5 for standard deviations that are far too small or far too large. With few
        stars, even perfect standard deviations do not reach 0. The error of a label without values, or without the
        spread that ``label_scale="std"`` needs, is NaN among raw values and left out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, a level is not between 0 and 1, or where a true
        label is present, a prediction is missing or a standard deviation is negative, or 0 without an error of the
        label.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.
    UserWarning
        If errors of present labels are missing. They are taken as 0.

    References
    ----------
    .. [1] Kuleshov, Fenner & Ermon (2018), ICML (PMLR 80, 2796), on calibration error. They square the differences and
       use intervals from minus infinity.

    Examples
    --------
    >>> from skbcnn.metrics import expected_calibration_error
    >>> y_true, y_pred, y_std = [0.5, -0.5, 2.0, -2.0, -9999.0], [0.0] * 5, [1.0] * 5
    >>> round(expected_calibration_error(y_true, y_pred, y_std, levels=[0.5, 0.9]), 6)  # half of the stars in both
    0.2
    """
    nominal = _check_levels(levels)
    residual, std, weight = _scaled_gaussians(y_true, y_pred, y_std, y_err, sample_weight, label_scale)
    needed = erf(np.abs(residual / std) / np.sqrt(2))  # level of the interval that ends at the label
    errors = np.array([_coverage_error(*column, nominal) for column in zip(needed.T, weight.T, strict=True)])
    return average_over_labels(
        errors, multioutput, name="calibration error", reason_undefined=reason_undefined(label_scale)
    )


def _check_levels(levels: ArrayLike | None) -> np.ndarray:
    """Return nominal coverages as an array."""
    if levels is None:
        return np.arange(1, 100) / 100
    nominal = plain_numbers(levels, "levels", "Pass a list of nominal coverages between 0 and 1")
    if nominal.ndim != 1 or not len(nominal) or not ((nominal > 0) & (nominal < 1)).all():
        raise ValueError(f"levels is {nominal.tolist()}, expected a list of nominal coverages between 0 and 1.")
    return nominal


def _coverage_error(needed: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> float:
    """Return the mean absolute coverage error of one label; NaN if all weights are 0."""
    if not weight.any():
        return np.nan
    order = np.argsort(needed)
    share = np.concatenate([[0], np.cumsum(weight[order]) / weight.sum()])
    observed = share[np.searchsorted(needed[order], levels, side="right")]
    return float(np.abs(observed - levels).mean())
