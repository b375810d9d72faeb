"""Whether predicted error bars can be believed: scores of Gaussian predictions.

Each takes the standard deviation of every prediction and, where they are known, the errors of the true labels. These
add in quadrature: if the truth scatters by `y_std` about the prediction, the measured label scatters by
``sqrt(y_std**2 + y_err**2)``.
"""

import numpy as np
from scipy.special import erf

from skbcnn.metrics import weighted
from skbcnn.metrics.averaging import over_labels
from skbcnn.metrics.label_pairs import check_errors, check_stds
from skbcnn.metrics.scaling import scaled_residuals, why_undefined


def _scaled_gaussians(y_true, y_pred, y_std, y_err, sample_weight, label_scale):
    """Residuals, their standard deviations, and how much each counts; 0, 1 and 0 where nothing is to be scored."""
    residual, weight, scales, pairs = scaled_residuals(y_true, y_pred, sample_weight, label_scale)
    std = _total_std(y_std, y_err, pairs)
    return residual, np.where(weight > 0, std / scales, 1), weight


def _total_std(y_std, y_err, pairs):
    """Standard deviation of measured label minus prediction, 1 where nothing counts."""
    std = check_stds(y_std, pairs.counts)
    if y_err is not None:
        std = np.hypot(std, check_errors(y_err, pairs))
    if zero := int((pairs.counts & (std == 0)).sum()):
        raise ValueError(
            f"y_std is 0 in {zero} places where y_true is present and has no error. No density can be scored there: "
            "pass positive standard deviations, or the errors of the true labels as y_err."
        )
    return std


def gaussian_nll_loss(
    y_true, y_pred, y_std, *, y_err=None, sample_weight=None, multioutput="uniform_average", label_scale=None
):
    """Mean negative log density of the labels under the predicted Gaussians (smaller is better).

    ``0.5*log(2*pi*var) + 0.5*(y_true - y_pred)**2/var`` with ``var = y_std**2 + y_err**2``.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred, y_std : array-like of the shape of `y_true`
        Predicted labels and their standard deviations, as ``predict(X, return_std=True)`` gives them.
    y_err : array-like of the shape of `y_true`, default=None
        Errors (standard deviations) of the true labels; 0, or missing, where unknown. Never looked at beside a
        missing label.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One loss for each label; their mean; their mean weighted by these.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        Unit in which each label is measured, as in `mad_std_error`: a unit s times as large lowers the loss by log(s)
        and leaves the order of models as it is.

    Returns
    -------
    loss : float or ndarray of shape (n_labels,)
        In nats for each measured label. A label that no star has, or that has no spread to be measured in, has none:
        NaN among raw values, left out of means.

    Raises
    ------
    ValueError
        If no label has a loss, shapes differ, a value is infinite, a prediction is missing where the true label is
        not, or a standard deviation there is negative, or 0 without an error of the label.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no loss.
    UserWarning
        If errors of present labels are missing; 0 is taken for them.

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
    loss = weighted.mean(loss, weight)
    return over_labels(loss, multioutput, name="Gaussian log loss", without=why_undefined(label_scale))


def crps_gaussian(
    y_true, y_pred, y_std, *, y_err=None, sample_weight=None, multioutput="uniform_average", label_scale=None
):
    """Mean continuous ranked probability score of the predicted Gaussians (smaller is better).

    The integral of the squared difference between the predicted distribution function and the step at the label:
    ``sigma * (z*(2*Phi(z) - 1) + 2*phi(z) - 1/sqrt(pi))`` with ``sigma**2 = y_std**2 + y_err**2`` and
    ``z = (y_true - y_pred)/sigma``. It is the absolute error where error bars vanish, and milder on wild predictions
    than `gaussian_nll_loss`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred, y_std : array-like of the shape of `y_true`
        Predicted labels and their standard deviations, as ``predict(X, return_std=True)`` gives them.
    y_err : array-like of the shape of `y_true`, default=None
        Errors (standard deviations) of the true labels; 0, or missing, where unknown. Never looked at beside a
        missing label.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One score for each label; their mean; their mean weighted by these.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        What the score of each label is divided by, as in `mad_std_error`.

    Returns
    -------
    crps : float or ndarray of shape (n_labels,)
        In label units, or those of `label_scale`. A label that no star has, or that has no spread to be measured in,
        has none: NaN among raw values, left out of means.

    Raises
    ------
    ValueError
        If no label has a score, shapes differ, a value is infinite, a prediction is missing where the true label is
        not, or a standard deviation there is negative, or 0 without an error of the label.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no score.
    UserWarning
        If errors of present labels are missing; 0 is taken for them.

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
    z = residual / std  # the score is even in z, so that the sign of the residual does not matter
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    score = std * (z * erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))
    score = weighted.mean(score, weight)
    return over_labels(score, multioutput, name="CRPS", without=why_undefined(label_scale))


def expected_calibration_error(
    y_true,
    y_pred,
    y_std,
    *,
    y_err=None,
    sample_weight=None,
    multioutput="uniform_average",
    label_scale=None,
    levels=None,
):
    """Mean absolute difference of nominal and observed coverage of central intervals (smaller is better).

    At level p, the interval of a star is ``y_pred`` plus and minus ``sigma * Phi^-1((1 + p)/2)`` with
    ``sigma**2 = y_std**2 + y_err**2``; its nominal coverage is p, the observed one the weighted share of stars whose
    label lies inside, ends included. Their absolute difference is averaged over `levels`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred, y_std : array-like of the shape of `y_true`
        Predicted labels and their standard deviations, as ``predict(X, return_std=True)`` gives them.
    y_err : array-like of the shape of `y_true`, default=None
        Errors (standard deviations) of the true labels; 0, or missing, where unknown. Never looked at beside a
        missing label.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts: 2 is as good as two such stars, 0 as absent.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_labels,), default="uniform_average"
        One error for each label; their mean; their mean weighted by these.
    label_scale : None, "std", "apogee" or array-like of shape (n_labels,), default=None
        As in `mad_std_error`. Coverage has no unit, so that this changes no error; with "std", a label without spread
        is left out as by the other metrics.
    levels : array-like of shape (n_levels,), default=None
        Nominal coverages between 0 and 1. None: 0.01, 0.02, ..., 0.99.

    Returns
    -------
    error : float or ndarray of shape (n_labels,)
        Between 0 and 1; 0.5, about, for error bars that are far too small or far too large. With few stars even
        perfect error bars do not reach 0. A label that no star has, or that has no spread to be measured in, has none:
        NaN among raw values, left out of means.

    Raises
    ------
    ValueError
        If no label has an error, shapes differ, a value is infinite, a prediction is missing where the true label is
        not, a standard deviation there is negative, or 0 without an error of the label, or a level is not between 0
        and 1.

    Warns
    -----
    UndefinedMetricWarning
        If some labels have no error.
    UserWarning
        If errors of present labels are missing; 0 is taken for them.

    References
    ----------
    .. [1] Kuleshov, Fenner & Ermon (2018), ICML (PMLR 80, 2796), on calibration error: there differences are squared,
       and intervals reach to minus infinity.

    Examples
    --------
    >>> from skbcnn.metrics import expected_calibration_error
    >>> y_true, y_pred, y_std = [0.5, -0.5, 2.0, -2.0, -9999.0], [0.0] * 5, [1.0] * 5
    >>> round(expected_calibration_error(y_true, y_pred, y_std, levels=[0.5, 0.9]), 6)  # half of the stars in both
    0.2
    """
    levels = _check_levels(levels)
    residual, std, weight = _scaled_gaussians(y_true, y_pred, y_std, y_err, sample_weight, label_scale)
    needed = erf(np.abs(residual / std) / np.sqrt(2))  # level whose interval just reaches the label
    errors = np.array([_miscoverage(*column, levels) for column in zip(needed.T, weight.T, strict=True)])
    return over_labels(errors, multioutput, name="calibration error", without=why_undefined(label_scale))


def _check_levels(levels):
    """Nominal coverages as an array."""
    if levels is None:
        return np.arange(1, 100) / 100
    levels = np.asarray(levels, dtype=float)
    if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"levels is {levels.tolist()}, expected a list of nominal coverages between 0 and 1.")
    return levels


def _miscoverage(needed, weight, levels):
    """Mean absolute difference of nominal and observed coverage of one label, NaN where no star counts."""
    if not weight.any():
        return np.nan
    order = np.argsort(needed)
    share = np.concatenate([[0], np.cumsum(weight[order]) / weight.sum()])
    observed = share[np.searchsorted(needed[order], levels, side="right")]
    return np.abs(observed - levels).mean()
