"""Fits of an `ErrorModel` to residuals of known labels, or to differences between repeat visits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import check_groups, plain_numbers
from skbcnn._user_warnings import warn_user
from skbcnn.calibration.error_model import NOISE_EXPECTED, ErrorModel, log_noise, noise_factor
from skbcnn.calibration.population import Population
from skbcnn.calibration.residuals import check_prediction, residuals_and_errors

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction

MIN_DIFFERENCES = 20  # fewer do not determine two parameters
_AT_BOUND = 1e-6
_TOO_SMALL = 0.34  # median of residuals in label errors; at least 0.67 if these are right
_OUTLIER = 5.0  # standard deviations: larger differences are not noise
_MAX_ROUNDS = 10  # of fitting and leaving out outliers
_DOF = 8.0  # degrees of freedom of the Student distribution
_DOF_VARIANCE = 0.8116  # of the Student scale, so that a normal distribution gets its own variance
_WITHIN_ONE_SIGMA = 0.6827  # share of a normal distribution
_SLOPE_AT_ONE_SIGMA = 0.4839  # increase of this share with the logarithm of the standard deviation
_BISECTIONS = 20
_PRECISION = {"ftol": 1e-10}  # of SLSQP, which is much faster than L-BFGS-B for so few parameters

# What is assumed of the labels before their residuals are known
_LOG_RATIOS = Population(center=0.0, center_error=0.7, typical_width=0.3)  # of calibrated to predicted, logarithm
_NOISE_SLOPES = Population(center=0.0, center_error=0.5, typical_width=0.1)
_NOISE_CURVES = Population(center=0.0, center_error=0.1, typical_width=0.03)
_LOG_TAIL_FACTORS = Population(center=0.0, center_error=0.2, typical_width=0.05)


def fit_error_model(
    prediction: Prediction,
    y: ArrayLike,
    y_err: ArrayLike | None = None,
    noise: ArrayLike | None = None,
    star: ArrayLike | None = None,
) -> ErrorModel:
    """Fit scale and offset of the standard deviations to stars with known labels.

    The standard deviation of a residual is ``sqrt((scale*total + offset)**2 + y_err**2)``, and 68.3 % of the residuals
    are within one standard deviation, whatever their distribution. Residuals beyond five standard deviations are left
    out. If `noise` is given, the standard deviations also depend on a power of it.

    Parameters
    ----------
    prediction : Prediction
        Prediction for stars that the network was not trained on.
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Their labels; NaN or -9999 where missing.
    y_err : array-like of the shape of `y`, or table, default=None
        Errors of these labels, which the calibrated standard deviations do not include; 0, or missing, where unknown.
    noise : array-like of shape (n_samples,), default=None
        Noise of each spectrum, in any unit. Priors draw the power, and its increase with the noise, towards 0, so that
        nothing is learnt from spectra of nearly equal noise.
    star : array-like of shape (n_samples,), default=None
        Name or number of the star of each spectrum, if stars have several spectra: visits, or exposures simulated by
        `skbcnn.augment_spectra`. All spectra of a star count as one.

    Returns
    -------
    error_model : ErrorModel
        Calibration of each label. A label that is known for fewer than 20 stars keeps scale 1 and offset 0.

    Raises
    ------
    ValueError
        If shapes differ, no label is known for at least 20 stars, or standard deviations are negative, infinite or NaN.

    Warns
    -----
    UserWarning
        If the predicted standard deviation of a label is 0 for most stars, or its residuals are so small that the label
        errors must be wrong.

    See Also
    --------
    fit_noise_model : The same from repeat visits, where no label is known.

    Notes
    -----
    The labels are partially pooled, so that a few hundred stars suffice [1]_. The factor on the median standard
    deviation and both noise coefficients of each label are first fitted by themselves. Their mean and scatter over the
    labels, without the scatter that their standard errors explain, are the prior of a second fit. It changes those
    labels most whose residuals tell least, because their stars are few or their own errors are large. A single label is
    drawn slightly towards the predicted standard deviations.

    If stars have several spectra, the scatter of the predictions of a star shows errors that do not depend on the known
    labels. It is added in quadrature to the median standard deviation of a label before the labels are drawn towards
    each other. Labels that vary more between spectra of a star, compared with their standard deviation, therefore get
    larger ones even where the errors of the known labels hide the residuals.

    The fit uses the likelihood of a Student distribution with 8 degrees of freedom, because residuals with heavy tails
    would otherwise dominate it. Last, a factor of each label, again partially pooled, brings the share of residuals
    within one standard deviation to 68.3 %. With heavy tails, fewer than 95 % are then within 1.96; use
    `interval_factor` for such shares.

    References
    ----------
    .. [1] Gelman et al. (2013), Bayesian Data Analysis, third edition, section 5.4.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import fit_error_model
    >>> from skbcnn import Prediction
    >>> rng = np.random.default_rng(0)
    >>> truth, std = rng.normal(size=(2000, 1)), rng.uniform(0.5, 1.5, size=(2000, 1))
    >>> stars = Prediction(truth + 2 * std * rng.normal(size=truth.shape), std, 0 * std, std, ("Al",))
    >>> error_model = fit_error_model(stars, truth)  # the predicted standard deviations were too small by a factor of 2
    >>> bool(abs(error_model.std(stars) / (2 * std) - 1).max() < 0.1)
    True
    """
    residual, errors = residuals_and_errors(prediction, y, y_err)
    label_error = np.zeros_like(residual) if errors is None else errors
    total = prediction.total.reshape(residual.shape)
    noise_range = None if noise is None else _noise_range(noise, len(residual))
    log_noises = None if noise is None or noise_range is None else log_noise(noise, *noise_range)
    _check_stds(total, np.isfinite(residual), prediction.label_names)
    _warn_of_large_label_errors(residual, label_error, prediction.label_names)
    weight = np.ones_like(residual)
    log_expected = np.zeros(residual.shape[1])
    if star is not None:
        star = check_groups(star, "star", len(residual))
        weight = _shares_of_stars(star, np.isfinite(residual))
        mean = prediction.mean.reshape(residual.shape)
        log_expected = np.log(np.hypot(1, _relative_scatter_of_repeats(mean, total, star)))

    def fit_each_label(prior: _Prior) -> list[_Fit]:
        return [
            _most_probable(
                residual[:, j],
                [total[:, j]],
                label_error[:, j] ** 2,
                weight[:, j],
                log_noises,
                prior._replace(log_expected=log_expected[j]),
                _DOF,
            )
            for j in range(residual.shape[1])
        ]

    fits = fit_each_label(_WIDE_PRIOR)
    if any(fit.unit > 0 for fit in fits):
        fits = fit_each_label(_Prior.from_fits([fit for fit in fits if fit.unit > 0]))
    fits = _with_right_share(fits, residual, total, label_error, weight, log_noises)
    counted = "residuals" if star is None else "stars with a known value"
    return _error_model(prediction.label_names, fits, "known labels", counted, noise_range)


def fit_noise_model(prediction: Prediction, star: ArrayLike) -> ErrorModel:
    """Fit scale and offset of the standard deviations to stars that were observed more than once.

    The labels of a star do not change between visits, so all differences between its predictions are errors. The fit
    makes ``(a - b) / sqrt(e_a**2 + e_b**2)`` with ``e = scale*total + offset`` a unit normal over many pairs of visits.
    Errors that all visits of a star share are not seen.

    Parameters
    ----------
    prediction : Prediction
        Prediction for single visits.
    star : array-like of shape (n_samples,)
        Name or number of the star of each visit.

    Returns
    -------
    error_model : ErrorModel

    Raises
    ------
    ValueError
        If there is not one star for each prediction, one is masked or empty, or there are fewer than 20 pairs of
        visits.

    Notes
    -----
    All pairs of visits of a star are used. Those of a star with m visits have a weight of 2/m each, since they are
    worth m - 1 independent differences. Differences beyond five standard deviations (binaries, bad spectra) are left
    out.

    SDSS-V calibrates its own network in the same way (Astra, product AstroNN).

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import fit_noise_model
    >>> from skbcnn import Prediction
    >>> rng = np.random.default_rng(0)
    >>> star = np.repeat(np.arange(1000), 2)
    >>> std = rng.uniform(0.5, 1.5, size=(2000, 1))
    >>> mean = star[:, None] + 0.7 * std * rng.normal(size=std.shape)
    >>> error_model = fit_noise_model(Prediction(mean, std, 0 * std, std, ("Al",)), star)
    >>> bool(abs(error_model.scale[0] - 0.7) < 0.05), error_model.n_differences
    (True, array([1000]))
    """
    check_prediction(prediction)
    mean = prediction.mean.reshape(len(prediction.mean), -1)
    total = prediction.total.reshape(mean.shape)
    first, second, weight = _pairs_of_visits(check_groups(star, "star", len(mean)))
    fits = [
        _most_probable(mean[first, j] - mean[second, j], [total[first, j], total[second, j]], 0.0, weight)
        for j in range(mean.shape[1])
    ]
    return _error_model(prediction.label_names, fits, "repeat visits", "pairs of visits")


def _pairs_of_visits(star: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of both visits of each pair, and the weight of the pair."""
    order = np.argsort(star, kind="stable")
    visits = np.split(order, np.flatnonzero(star[order][1:] != star[order][:-1]) + 1)
    pairs = [np.array(np.triu_indices(len(rows), k=1)) for rows in visits]
    first, second = np.concatenate([rows[pair] for rows, pair in zip(visits, pairs, strict=True)], axis=1)
    weight = np.concatenate([np.full(pair.shape[1], 2 / len(rows)) for rows, pair in zip(visits, pairs, strict=True)])
    return first, second, weight


def _check_stds(total: np.ndarray, is_known: np.ndarray, label_names: Sequence[str]) -> None:
    """Raise if predicted standard deviations of known labels are no standard deviations, and warn of many zeros."""
    if n_wrong := int((~(np.isfinite(total) & (total >= 0)) & is_known).sum()):
        raise ValueError(
            f"prediction.total is negative, infinite or NaN in {n_wrong} places where the label is known. Leave these "
            "stars out of the prediction and of y."
        )
    are_zeros = 2 * ((total == 0) & is_known).sum(axis=0) > is_known.sum(axis=0)
    if without := [name for name, is_zero in zip(label_names, are_zeros, strict=True) if is_zero]:
        warn_user(
            f"prediction.total is 0 for most stars with a known {', '.join(without)}, so that the errors of these "
            "labels stay as they are. Pass the prediction of a model with dropout and a predicted variance."
        )


def _warn_of_large_label_errors(residual: np.ndarray, label_error: np.ndarray, label_names: Sequence[str]) -> None:
    """Warn of label errors that cannot be right, because the residuals, which include them, are much smaller."""
    wrong = []
    for name, residuals, errors in zip(label_names, residual.T, label_error.T, strict=True):
        known = np.isfinite(residuals) & (errors > 0)
        if known.sum() >= MIN_DIFFERENCES and np.median(np.abs(residuals[known]) / errors[known]) < _TOO_SMALL:
            wrong.append(str(name))
    if wrong:
        warn_user(
            f"The residuals of {', '.join(wrong)} are much smaller than the label errors, which are part of them. The "
            "label errors are too large, so that the calibrated errors and intervals come out too small. Are they in "
            "the unit of the labels, and standard deviations? Correct y_err, or set it to 0 where it is not known."
        )


def _shares_of_stars(star: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """Return the weight of each spectrum and label: one over the number of spectra of the star with this label."""
    _, number = np.unique(star, return_inverse=True)
    counts = np.stack([np.bincount(number, weights=column) for column in is_known.T], axis=1)
    return 1 / np.maximum(counts[number], 1)


def _relative_scatter_of_repeats(mean: np.ndarray, total: np.ndarray, star: np.ndarray) -> np.ndarray:
    """Return the scatter of each label between spectra of the same star, in predicted standard deviations."""
    first, second, _ = _pairs_of_visits(star)
    difference, std = mean[first] - mean[second], np.hypot(total[first], total[second])
    ratios = np.divide(difference, std, where=std > 0, out=np.zeros_like(std))
    known = [column[np.isfinite(column)] for column in ratios.T]
    return np.array([_robust_std(column) if len(column) >= MIN_DIFFERENCES else 0.0 for column in known])


def _noise_range(noise: ArrayLike, n_samples: int) -> tuple[float, float]:
    """Return the lowest and the median noise; the lowest is at least a thousandth of the median."""
    noise = plain_numbers(noise, "noise", NOISE_EXPECTED)
    if noise.shape != (n_samples,) or not (np.isfinite(noise).all() and (noise >= 0).all() and np.median(noise) > 0):
        raise ValueError(
            f"noise has shape {noise.shape}, expected ({n_samples},): one finite number for each spectrum, and most of "
            "them positive."
        )
    return float(max(noise.min(), np.median(noise) / 1000)), float(np.median(noise))


class _Fit(NamedTuple):
    """Fitted parameters of one label."""

    scale: float = 1.0
    offset: float = 0.0
    slope: float = 0.0
    curve: float = 0.0
    n_used: int = 0
    unit: float = 0.0  # median of the predicted standard deviations; 0: there were too few differences to fit
    log_expected: float = 0.0  # logarithm of the expected factor on this median, if nothing is known from other labels
    errors: tuple[float, float, float] = (0.0, 0.0, 0.0)  # standard errors of log_ratio, slope and curve

    @property
    def log_ratio(self) -> float:
        """Logarithm of calibrated over expected standard deviation, at the median one."""
        return np.log(self.scale + self.offset / self.unit) - self.log_expected


class _Prior(NamedTuple):
    """Normal prior of three parameters of a label, each as (mean, width), the smallest curve, and as in `_Fit`."""

    log_ratio: tuple[float, float] = (0.0, 1.0)
    slope: tuple[float, float] = (0.0, 0.5)
    curve: tuple[float, float] = (0.0, 0.1)
    min_curve: float = -1.0
    log_expected: float = 0.0

    @classmethod
    def from_fits(cls, fits: Sequence[_Fit]) -> _Prior:
        """Make the prior from the fits of all labels, each weighted by its standard error."""
        populations = {"log_ratio": _LOG_RATIOS, "slope": _NOISE_SLOPES, "curve": _NOISE_CURVES}
        errors = np.array([fit.errors for fit in fits])
        log_ratio, slope, curve = (
            population.mean_and_width(np.array([getattr(fit, name) for fit in fits]), errors[:, number])
            for number, (name, population) in enumerate(populations.items())
        )
        return cls(log_ratio, slope, curve, min_curve=0.0)

    def penalty(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return twice the negative log density at a scale, offset, slope and curve, and its gradient."""
        ratio = parameters[0] + parameters[1]
        means, widths = np.array(self[:3]).T
        deviations = (np.array([np.log(ratio) - self.log_expected, *parameters[2:]]) - means) / widths
        by_log_ratio, *by_others = 2 * deviations / widths
        return deviations @ deviations, np.array([by_log_ratio / ratio, by_log_ratio / ratio, *by_others])


_WIDE_PRIOR = _Prior()


def _most_probable(
    difference: np.ndarray,
    stds: Sequence[np.ndarray],
    known_variance: ArrayLike,
    weight: np.ndarray,
    log_noise: np.ndarray | None = None,
    prior: _Prior = _WIDE_PRIOR,
    dof: float = np.inf,
) -> _Fit:
    """Fit the parameters of one label to differences: normal, or with the tails of a Student distribution.

    `stds` are the predicted standard deviations that enter a difference: one of a residual, two of a pair of visits.
    The fit is repeated without outliers until they no longer change.
    """
    from scipy.optimize import minimize  # here, so that importing the regressors stays light

    known_variance = np.broadcast_to(known_variance, difference.shape)
    used = np.isfinite(difference)
    unit = np.median(np.concatenate([std[used] for std in stds])) if used.any() else 0.0
    if _count(weight[used]) < MIN_DIFFERENCES or unit == 0:
        return _Fit(n_used=_count(weight[used]))
    log_noise = np.zeros(len(difference)) if log_noise is None else log_noise
    difference, known_variance = difference / unit, known_variance / unit**2
    stds = [std / unit for std in stds]

    def variance_and_gradient(parameters: np.ndarray, rows: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, ...]:
        scale, offset, slope, curve = parameters
        n = log_noise[rows]
        factor = noise_factor(n, slope, curve) ** 2
        errors = [scale * std[rows] + offset for std in stds]
        network = factor * sum(error**2 for error in errors)
        by_scale = 2 * factor * sum(error * std[rows] for error, std in zip(errors, stds, strict=True))
        by_offset = 2 * factor * sum(errors)
        gradient = np.stack([by_scale, by_offset, 2 * n * network, 2 * n**2 * network])
        return network + known_variance[rows], gradient

    def negative_log_posterior(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        v, gradient = variance_and_gradient(parameters, used)
        tail, pull = _tail(difference[used] ** 2 / v, dof)
        share = weight[used] / weight[used].sum()
        value = share @ (np.log(v) + tail)
        by_parameter = gradient @ (share * (1 - pull) / v)
        penalty, its_gradient = prior.penalty(parameters)
        return value + penalty / used.sum(), by_parameter + its_gradient / used.sum()

    bounds = [(1e-3, None), (0, None), *(((-2, 2), (prior.min_curve, 1)) if log_noise.any() else ((0, 0), (0, 0)))]
    lowest = np.array([low for low, _ in bounds])
    start = np.clip(_robust_std(difference[used]) / np.sqrt(len(stds)), 0.05, 20)
    best = np.array([start, 0.05, 0.0, 0.0])
    for _ in range(_MAX_ROUNDS):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Values in x were outside bounds", RuntimeWarning)  # SciPy before 1.14
            found = minimize(negative_log_posterior, best, jac=True, method="SLSQP", bounds=bounds, options=_PRECISION)
        best = np.where(found.x < lowest + _AT_BOUND, lowest, found.x)  # the minimiser stops beside a bound
        v, gradient = variance_and_gradient(best)
        within = np.isfinite(difference) & (np.abs(difference) < _OUTLIER * np.sqrt(v))
        if np.array_equal(within, used) or _count(weight[within]) < MIN_DIFFERENCES:
            break
        used = within
    errors = _standard_errors(best, (gradient / v)[:, used] * np.sqrt(weight[used] / 2), prior)
    scale, offset, slope, curve = best
    return _Fit(scale, offset * unit, slope, curve, _count(weight[used]), unit, prior.log_expected, errors)


def _count(weight: np.ndarray) -> int:
    """Return the number of independent differences with these weights."""
    return round(weight.sum())


def _tail(chi2: np.ndarray, dof: float) -> tuple[np.ndarray, np.ndarray]:
    """Return twice the negative log density at squared standardised differences, and its derivative times `chi2`."""
    if np.isinf(dof):
        return chi2, chi2
    ratio = chi2 / (dof * _DOF_VARIANCE)
    return (dof + 1) * np.log1p(ratio), (dof + 1) * ratio / (1 + ratio)


def _standard_errors(best: np.ndarray, derivatives: np.ndarray, prior: _Prior) -> tuple[float, float, float]:
    """Return the standard errors of log_ratio, slope and curve, from the Fisher information and the wide prior.

    `derivatives` are those of the variance by the parameters, over the variance and the root of 2.
    """
    by_log_ratio = np.array([1, 1, 0, 0]) / (best[0] + best[1])
    widths = [width for _, width in prior[:3]]
    information = derivatives @ derivatives.T + np.outer(by_log_ratio, by_log_ratio) / widths[0] ** 2
    information[[2, 3], [2, 3]] += np.array(widths[1:]) ** -2.0
    information[[0, 1], [0, 1]] += 1e-6  # a scale and an offset that cannot be told apart
    covariance = np.linalg.inv(information)
    variances = by_log_ratio @ covariance @ by_log_ratio, covariance[2, 2], covariance[3, 3]
    return tuple(np.sqrt(variances).tolist())


def _with_right_share(
    fits: Sequence[_Fit],
    residual: np.ndarray,
    total: np.ndarray,
    label_error: np.ndarray,
    weight: np.ndarray,
    log_noises: np.ndarray | None,
) -> list[_Fit]:
    """Multiply scale and offset such that 68.3 % of the residuals are within one standard deviation.

    For residuals that are not normal, a standard deviation contains another share. How much depends on the tails, which
    differ little between labels, so that the factors of the labels are drawn towards each other.
    """
    known = [number for number, fit in enumerate(fits) if fit.unit > 0]
    scale, offset, slope, curve = np.array([fits[number][:4] for number in known]).reshape(-1, 4).T
    variance = (scale * total[:, known] + offset) ** 2
    if log_noises is not None:
        variance = variance * noise_factor(log_noises[:, np.newaxis], slope, curve) ** 2
    residual, label_variance = residual[:, known], label_error[:, known] ** 2
    weights = np.where(np.isfinite(residual), weight[:, known], 0)
    n_stars = weights.sum(axis=0)
    low, high = np.full(len(known), -1.0), np.full(len(known), 1.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        inside = residual**2 <= np.exp(2 * middle) * variance + label_variance
        is_narrow = (weights * inside).sum(axis=0) < _WITHIN_ONE_SIGMA * n_stars
        low, high = np.where(is_narrow, middle, low), np.where(is_narrow, high, middle)
    own_part = (weights * variance / (variance + label_variance)).sum(axis=0) / n_stars
    error = np.sqrt(_WITHIN_ONE_SIGMA * (1 - _WITHIN_ONE_SIGMA) / n_stars) / (_SLOPE_AT_ONE_SIGMA * own_part)
    factors = np.exp(_LOG_TAIL_FACTORS.shrunk(high, error))
    changed = list(fits)
    for number, factor in zip(known, factors.tolist(), strict=True):
        changed[number] = fits[number]._replace(scale=fits[number].scale * factor, offset=fits[number].offset * factor)
    return changed


def _robust_std(values: np.ndarray) -> float:
    """Return half the distance between the percentiles of a normal distribution at -1 and +1 standard deviations."""
    return np.diff(np.percentile(values, [15.87, 84.13]))[0] / 2


def _error_model(
    label_names: Sequence[str],
    fits: Sequence[_Fit],
    source: str,
    differences: str,
    noise_range: tuple[float, float] | None = None,
) -> ErrorModel:
    """Make an `ErrorModel` of the fits of all labels; `differences` names their data in the message."""
    scale, offset, slope, curve, n_differences = map(np.array, zip(*(fit[:5] for fit in fits), strict=True))
    if n_differences.max(initial=0) < MIN_DIFFERENCES:
        raise ValueError(
            f"There are at most {n_differences.max(initial=0)} {differences} of a label, and at least "
            f"{MIN_DIFFERENCES} are needed to fit a scale and an offset. Pass more stars."
        )
    noise = (slope.astype(float), noise_range, curve.astype(float)) if noise_range else ()
    return ErrorModel(tuple(label_names), scale.astype(float), offset.astype(float), n_differences, source, *noise)
