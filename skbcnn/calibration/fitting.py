"""Maximum-likelihood fits of an `ErrorModel` to residuals of known labels, or to differences between repeat visits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import check_groups, plain_numbers
from skbcnn.calibration.error_model import NOISE_EXPECTED, ErrorModel, log_noise, noise_factor
from skbcnn.calibration.residuals import check_prediction, residuals_and_errors

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction

MIN_DIFFERENCES = 20  # fewer do not determine two parameters
_OUTLIER = 5.0  # standard deviations: larger differences are not noise
_MAX_ROUNDS = 10  # of fitting and leaving out outliers
_MIN_LABELS_FOR_PRIOR = 5  # fewer do not tell how much labels differ from each other
_MIN_PRIOR_WIDTH = 0.1  # of the logarithm of the scale
_REAL_SHARE = 0.4  # share of the scatter of the noise coefficients between labels that is not chance


def fit_error_model(
    prediction: Prediction, y: ArrayLike, y_err: ArrayLike | None = None, noise: ArrayLike | None = None
) -> ErrorModel:
    """Fit scale and offset of the standard deviations to stars with known labels.

    The fit maximises the likelihood of the residuals, which are taken as normal with standard deviation
    ``sqrt((scale*total + offset)**2 + y_err**2)``. Residuals beyond five standard deviations are left out. If `noise`
    is given, the standard deviations also depend on a power of it.

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

    Returns
    -------
    error_model : ErrorModel
        Calibration of each label. A label with fewer than 20 residuals keeps scale 1 and offset 0.

    Raises
    ------
    ValueError
        If shapes differ, or no label has at least 20 residuals.

    See Also
    --------
    fit_noise_model : The same from repeat visits, where no label is known.

    Notes
    -----
    With five labels or more, each label gets a prior from the others (empirical Bayes): the factor on its median
    standard deviation and both noise coefficients are drawn towards the medians over the labels. This matters for
    labels whose own errors are so large that residuals hardly constrain the network's part.

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

    def fit_each_label(prior: _Prior) -> list[_Fit]:
        weight = np.ones(len(residual))
        return [
            _maximum_likelihood(residual[:, j], [total[:, j]], label_error[:, j] ** 2, weight, log_noises, prior)
            for j in range(residual.shape[1])
        ]

    fits = fit_each_label(_WIDE_PRIOR)
    informative = [fit for fit in fits if fit.unit > 0]
    if len(informative) >= _MIN_LABELS_FOR_PRIOR:
        fits = fit_each_label(_Prior.from_fits(informative))
    return _error_model(prediction.label_names, fits, "known labels", "residuals", noise_range)


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
        _maximum_likelihood(mean[first, j] - mean[second, j], [total[first, j], total[second, j]], 0.0, weight)
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

    @property
    def log_ratio(self) -> float:
        """Logarithm of calibrated over predicted standard deviation, at the median one."""
        return np.log(self.scale + self.offset / self.unit)


class _Prior(NamedTuple):
    """Normal prior of three parameters of a label, each as (mean, width)."""

    log_ratio: tuple[float, float] = (0.0, np.inf)
    slope: tuple[float, float] = (0.0, 0.5)
    curve: tuple[float, float] = (0.0, 0.1)

    @classmethod
    def from_fits(cls, fits: Sequence[_Fit]) -> _Prior:
        """Make a prior from the median and the scatter of other labels.

        The noise coefficients mostly scatter by chance, so the prior is narrower than their scatter.
        """

        def median_and_width(name: str, share: float, smallest: float) -> tuple[float, float]:
            values = np.array([getattr(fit, name) for fit in fits])
            return float(np.median(values)), max(share * _robust_std(values), smallest)

        return cls(
            log_ratio=median_and_width("log_ratio", 1.0, _MIN_PRIOR_WIDTH),
            slope=median_and_width("slope", _REAL_SHARE, _MIN_PRIOR_WIDTH / 2),
            curve=median_and_width("curve", _REAL_SHARE, _MIN_PRIOR_WIDTH / 3),
        )

    def negative_log_density(self, *values: float) -> float:
        """Return twice the negative logarithm of the density, but for a constant, at values of the three parameters."""
        return sum(((value - mean) / width) ** 2 for value, (mean, width) in zip(values, self, strict=True))


_WIDE_PRIOR = _Prior()


def _maximum_likelihood(
    difference: np.ndarray,
    stds: Sequence[np.ndarray],
    known_variance: ArrayLike,
    weight: np.ndarray,
    log_noise: np.ndarray | None = None,
    prior: _Prior = _WIDE_PRIOR,
) -> _Fit:
    """Fit the parameters of one label to differences.

    `stds` are the predicted standard deviations that enter a difference: one of a residual, two of a pair of visits.
    The fit is repeated without outliers until they no longer change.
    """
    from scipy.optimize import minimize  # here, so that importing the regressors stays light

    known_variance = np.broadcast_to(known_variance, difference.shape)
    used = np.isfinite(difference)
    unit = np.median(np.concatenate([std[used] for std in stds])) if used.any() else 0.0
    if used.sum() < MIN_DIFFERENCES or unit == 0:
        return _Fit(n_used=int(used.sum()))
    log_noise = np.zeros(len(difference)) if log_noise is None else log_noise

    def variance(parameters: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        scale, offset, slope, curve = parameters
        factor = noise_factor(log_noise[rows], slope, curve) ** 2
        return factor * sum((scale * std[rows] + offset * unit) ** 2 for std in stds) + known_variance[rows]

    def negative_log_posterior(parameters: np.ndarray) -> float:
        v = variance(parameters, used)
        likelihood = np.average(np.log(v / unit**2) + difference[used] ** 2 / v, weights=weight[used])
        scale, offset, *noise_coefficients = parameters
        return likelihood + prior.negative_log_density(np.log(scale + offset), *noise_coefficients) / used.sum()

    bounds = [(1e-3, None), (0, None), *(((-2, 2), (0, 1)) if log_noise.any() else ((0, 0), (0, 0)))]
    start = np.clip(_robust_std(difference[used]) / np.sqrt(len(stds)) / unit, 0.05, 20)
    best = np.array([start, 0.05, 0.0, 0.0])
    for _ in range(_MAX_ROUNDS):
        best = minimize(negative_log_posterior, best, method="L-BFGS-B", bounds=bounds).x
        within = np.isfinite(difference) & (np.abs(difference) < _OUTLIER * np.sqrt(variance(best)))
        if np.array_equal(within, used) or within.sum() < MIN_DIFFERENCES:
            break
        used = within
    scale, offset, slope, curve = best
    return _Fit(scale, offset * unit, slope, curve, int(used.sum()), unit)


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
    scale, offset, slope, curve, n_differences, _ = map(np.array, zip(*fits, strict=True))
    if n_differences.max(initial=0) < MIN_DIFFERENCES:
        raise ValueError(
            f"There are at most {n_differences.max(initial=0)} {differences} of a label, and at least "
            f"{MIN_DIFFERENCES} are needed to fit a scale and an offset. Pass more stars."
        )
    noise = (slope.astype(float), noise_range, curve.astype(float)) if noise_range else ()
    return ErrorModel(tuple(label_names), scale.astype(float), offset.astype(float), n_differences, source, *noise)
