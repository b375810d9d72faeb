"""Error bars as they should have been: scale and offset of each label, from known labels or from repeat visits."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skbcnn._label_tables import error_values, label_columns
from skbcnn._validation import check_label_errors
from skbcnn.metrics.label_pairs import check_pairs

FEWEST_DIFFERENCES = 20  # of fewer, two numbers are not to be learnt
_OUTLIER = 5.0  # standard deviations: such differences are no noise
_MOST_ROUNDS = 10
_FEWEST_LABELS = 5  # of fewer, how alike labels are cannot be told
_ALIKE = 0.1  # labels are at least so far apart, in the logarithm
_BY_CHANCE = 0.4


@dataclass(frozen=True)
class ErrorModel:
    """Error bars ``scale * total + offset``, times ``exp(noise_slope * n + noise_curve * n**2)``, label by label.

    Here ``n = log(noise / noise_range[1])``; where noise does not enter, that factor is 1. Make one with
    `fit_error_model` or `fit_noise_model`.

    Attributes
    ----------
    label_names : tuple of str
        The labels.
    scale : ndarray of shape (n_labels,)
        Factors; 1 where there was too little to learn from.
    offset : ndarray of shape (n_labels,)
        In label units, never negative; 0 where there was too little to learn from.
    n_differences : ndarray of int of shape (n_labels,)
        Residuals, or differences between visits, that each was learnt from; outliers are not among them.
    source : str
        What they were: "known labels" or "repeat visits".
    noise_slope : ndarray of shape (n_labels,) or None
        Powers with which error bars go with the noise of a spectrum. None: they do not depend on it.
    noise_range : tuple of (float, float) or None
        Least and median noise of the spectra learnt from. Less noise than the least counts as that.
    noise_curve : ndarray of shape (n_labels,) or None
        How fast these powers rise with the logarithm of the noise; never negative. None: they do not.
    """

    label_names: tuple[str, ...]
    scale: np.ndarray
    offset: np.ndarray
    n_differences: np.ndarray
    source: str
    noise_slope: np.ndarray | None = None
    noise_range: tuple[float, float] | None = None
    noise_curve: np.ndarray | None = None

    def std(self, prediction, noise=None):
        """Error bars of a prediction.

        Parameters
        ----------
        prediction : Prediction
            Of the same labels in the same order. It is left as it is.
        noise : array-like of shape (n_samples,), default=None
            Noise of each spectrum, as in `fit_error_model`. None: the median of the spectra learnt from.

        Returns
        -------
        std : ndarray
            Shaped as ``prediction.total``, in label units.

        Raises
        ------
        ValueError
            If the labels differ.
        """
        if prediction.label_names != self.label_names:
            raise ValueError(
                f"The prediction is of {', '.join(prediction.label_names)}, but these errors were learnt for "
                f"{', '.join(self.label_names)}. Use the error model of the network that predicted."
            )
        std = prediction.total.reshape(len(prediction.total), -1) * self.scale + self.offset
        if noise is not None and self.noise_slope is not None:
            curve = 0.0 if self.noise_curve is None else self.noise_curve
            std = std * _stretch(_log_noise(noise, *self.noise_range)[:, None], self.noise_slope, curve)
        return std.reshape(prediction.total.shape)

    def to_table(self):
        """The numbers of each label as a table.

        Returns
        -------
        table : astropy.table.Table
            Columns ``label``, ``scale``, ``offset``, ``n_differences`` and, if they are known, ``noise_slope`` and
            ``noise_curve``.
        """
        from astropy.table import Table  # here, so that importing this module stays light

        columns = {"label": list(self.label_names)}
        names = ("scale", "offset", "n_differences", "noise_slope", "noise_curve")
        columns |= {name: getattr(self, name) for name in names}
        return Table({name: values for name, values in columns.items() if values is not None})


def fit_error_model(prediction, y, y_err=None, noise=None):
    """Scale and offset of error bars, from stars whose labels are known.

    They are those under which residuals are likeliest (normal, of standard deviation
    ``sqrt((scale*total + offset)**2 + y_err**2)``), after residuals beyond five of these were left out. If the noise of
    the spectra is told, the error bars also go with a power of it.

    Parameters
    ----------
    prediction : Prediction
        Of stars that the network has not learnt from.
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Their labels; NaN or -9999 where missing.
    y_err : array-like of the shape of `y`, or table, default=None
        Errors of these labels, which the error bars need not cover; 0, or missing, where unknown.
    noise : array-like of shape (n_samples,), default=None
        Noise of each spectrum, in any one unit. The power, and the rate at which it rises with the noise, are drawn
        towards 0, so that spectra which all have about the same noise do not tell them.

    Returns
    -------
    error_model : ErrorModel

    Raises
    ------
    ValueError
        If shapes differ, or no label has at least 20 residuals.

    See Also
    --------
    fit_noise_model : From repeat visits, where no truth is known.

    Notes
    -----
    Of five labels or more, each is also expected to be like the others (empirical Bayes): the factor by which its
    median error bar is stretched, its power of the noise and how that rises are drawn towards the medians over the
    labels. That
    matters for labels whose own errors are so large that residuals hardly tell what the network adds.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import fit_error_model
    >>> from skbcnn import Prediction
    >>> rng = np.random.default_rng(0)
    >>> truth, said = rng.normal(size=(2000, 1)), rng.uniform(0.5, 1.5, size=(2000, 1))
    >>> stars = Prediction(truth + 2 * said * rng.normal(size=truth.shape), said, 0 * said, said, ("Al",))
    >>> error_model = fit_error_model(stars, truth)  # error bars were half of what they should have been
    >>> bool(abs(error_model.std(stars) / (2 * said) - 1).max() < 0.1)
    True
    """
    y, y_err = _as_arrays(prediction.label_names, y, y_err)
    pairs = check_pairs(y, prediction.mean)
    residual = np.where(pairs.counts, pairs.y_pred - pairs.y_true, np.nan)
    known = np.zeros_like(residual)
    if y_err is not None:
        known = check_label_errors(y_err, np.where(pairs.counts, pairs.y_true, np.nan))
    total = prediction.total.reshape(residual.shape)
    noise_range = None if noise is None else _noise_range(noise, len(residual))
    log_noise = None if noise is None else _log_noise(noise, *noise_range)

    def of_each_label(prior):
        return [
            _likeliest(residual[:, j], [total[:, j]], known[:, j] ** 2, np.ones(len(residual)), log_noise, prior)
            for j in range(residual.shape[1])
        ]

    found = of_each_label(_NOTHING_KNOWN)
    told = [fit for fit in found if fit.unit > 0]
    if len(told) >= _FEWEST_LABELS:
        found = of_each_label(_Prior.of_others(told))
    return _error_model(prediction.label_names, found, "known labels", "residuals", noise_range)


def fit_noise_model(prediction, star):
    """Scale and offset of error bars, from stars that were observed more than once.

    A star has the same labels whenever it is looked at. So whatever its predictions differ by is error, and over many
    stars ``(a - b) / sqrt(e_a**2 + e_b**2)`` is a unit normal once the error bars ``e = scale*total + offset`` are
    right. Errors that all visits of a star share do not show.

    Parameters
    ----------
    prediction : Prediction
        Of single visits.
    star : array-like of shape (n_samples,)
        Which star each is of: a name or a number.

    Returns
    -------
    error_model : ErrorModel

    Raises
    ------
    ValueError
        If there is not one star for each prediction, or fewer than 20 pairs of visits.

    Notes
    -----
    All pairs of visits of a star are used; those of a star with m visits count 2/m each, since they are worth m - 1
    differences. Differences beyond five standard deviations (binaries, bad spectra) are left out.

    The survey does likewise for its own network in SDSS-V (Astra, product AstroNN), with a scale and an offset.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import fit_noise_model
    >>> from skbcnn import Prediction
    >>> rng = np.random.default_rng(0)
    >>> star = np.repeat(np.arange(1000), 2)
    >>> said = rng.uniform(0.5, 1.5, size=(2000, 1))
    >>> mean = star[:, None] + 0.7 * said * rng.normal(size=said.shape)
    >>> error_model = fit_noise_model(Prediction(mean, said, 0 * said, said, ("Al",)), star)
    >>> bool(abs(error_model.scale[0] - 0.7) < 0.05), error_model.n_differences
    (True, array([1000]))
    """
    mean = prediction.mean.reshape(len(prediction.mean), -1)
    total = prediction.total.reshape(mean.shape)
    first, second, weight = _pairs_of_visits(np.asarray(star), len(mean))
    found = [
        _likeliest(mean[first, j] - mean[second, j], [total[first, j], total[second, j]], 0.0, weight)
        for j in range(mean.shape[1])
    ]
    return _error_model(prediction.label_names, found, "repeat visits", "pairs of visits")


def _as_arrays(names, y, y_err):
    """Labels and their errors in the order of the prediction, whatever they came as."""
    labels = label_columns(y)
    y = labels.values(names, labels.positions(names))
    return y, None if y_err is None else error_values(y_err, labels, names)


def _pairs_of_visits(star, n_samples):
    """Rows of both visits of each pair, and how much the pair counts."""
    if star.shape != (n_samples,):
        raise ValueError(
            f"star has shape {star.shape}, but {n_samples} spectra were predicted. Name the star of each spectrum."
        )
    order = np.argsort(star, kind="stable")
    visits = np.split(order, np.flatnonzero(star[order][1:] != star[order][:-1]) + 1)
    pairs = [np.array(np.triu_indices(len(rows), k=1)) for rows in visits]
    first, second = np.concatenate([rows[pair] for rows, pair in zip(visits, pairs, strict=True)], axis=1)
    weight = np.concatenate([np.full(pair.shape[1], 2 / len(rows)) for rows, pair in zip(visits, pairs, strict=True)])
    return first, second, weight


def _noise_range(noise, n_samples):
    """Least and median noise; one that is nearly none among others counts as a thousandth of the median."""
    noise = np.asarray(noise, dtype=np.float64)
    if noise.shape != (n_samples,) or not (np.isfinite(noise).all() and (noise >= 0).all() and np.median(noise) > 0):
        raise ValueError(
            f"noise has shape {noise.shape}, expected ({n_samples},): one finite number for each spectrum, and most of "
            "them positive."
        )
    return float(max(noise.min(), np.median(noise) / 1000)), float(np.median(noise))


def _log_noise(noise, least, median):
    """Logarithm of the noise, relative to the median; no less than the least."""
    return np.log(np.maximum(np.asarray(noise, dtype=np.float64), least) / median)


def _stretch(log_noise, slope, curve):
    """Factor on error bars."""
    return np.exp(log_noise * (slope + curve * log_noise))


class _Fit(NamedTuple):
    """What the differences of a label tell."""

    scale: float = 1.0
    offset: float = 0.0
    slope: float = 0.0
    curve: float = 0.0
    n_used: int = 0
    unit: float = 0.0  # the median error bar as told; 0: there was too little to learn from

    @property
    def log_ratio(self):
        """Logarithm of how much larger the median error bar should have been."""
        return np.log(self.scale + self.offset / self.unit)


class _Prior(NamedTuple):
    """What is expected of a label before its differences are looked at: normal distributions, as (mean, width)."""

    log_ratio: tuple[float, float] = (0.0, np.inf)
    slope: tuple[float, float] = (0.0, 0.5)
    curve: tuple[float, float] = (0.0, 0.1)

    @classmethod
    def of_others(cls, known):
        """That labels are alike: about their median, as far apart as they were found.

        How they go with the noise is found to scatter by chance, mostly, so less of that is taken.
        """

        def about_median(name, share, least):
            values = np.array([getattr(fit, name) for fit in known])
            return float(np.median(values)), max(share * _spread(values), least)

        return cls(
            log_ratio=about_median("log_ratio", 1.0, _ALIKE),
            slope=about_median("slope", _BY_CHANCE, _ALIKE / 2),
            curve=about_median("curve", _BY_CHANCE, _ALIKE / 3),
        )

    def surprise(self, *values):
        """Twice the negative log of the density, of the three in their order."""
        return sum(((value - mean) / width) ** 2 for value, (mean, width) in zip(values, self, strict=True))


_NOTHING_KNOWN = _Prior()


def _likeliest(difference, errors, known_variance, weight, log_noise=None, prior=_NOTHING_KNOWN):
    """What the differences of a label tell of its error bars.

    `errors` are the error bars that enter the difference, each to be stretched and shifted.
    """
    from scipy.optimize import minimize  # here, so that importing the regressors stays light

    known_variance = np.broadcast_to(known_variance, difference.shape)
    used = np.isfinite(difference)
    unit = np.median(np.concatenate([of_one[used] for of_one in errors])) if used.any() else 0.0
    if used.sum() < FEWEST_DIFFERENCES or unit == 0:
        return _Fit(n_used=int(used.sum()))
    log_noise = np.zeros(len(difference)) if log_noise is None else log_noise

    def variance(scale, offset, slope, curve, rows=slice(None)):
        stretch = _stretch(log_noise[rows], slope, curve) ** 2
        return stretch * sum((scale * of_one[rows] + offset * unit) ** 2 for of_one in errors) + known_variance[rows]

    def surprise(parameters):
        v = variance(*parameters, used)
        likelihood = np.average(np.log(v / unit**2) + difference[used] ** 2 / v, weights=weight[used])
        scale, offset, *of_noise = parameters
        return likelihood + prior.surprise(np.log(scale + offset), *of_noise) / used.sum()

    bounds = [(1e-3, None), (0, None), *(((-2, 2), (0, 1)) if log_noise.any() else ((0, 0), (0, 0)))]
    best = np.array([np.clip(_spread(difference[used]) / np.sqrt(len(errors)) / unit, 0.05, 20), 0.05, 0.0, 0.0])
    for _ in range(_MOST_ROUNDS):
        best = minimize(surprise, best, method="L-BFGS-B", bounds=bounds).x
        within = np.isfinite(difference) & (np.abs(difference) < _OUTLIER * np.sqrt(variance(*best)))
        if np.array_equal(within, used) or within.sum() < FEWEST_DIFFERENCES:
            break
        used = within
    scale, offset, slope, curve = best
    return _Fit(scale, offset * unit, slope, curve, int(used.sum()), unit)


def _spread(values):
    """Half the width of what holds 68 %: not moved by outliers."""
    return np.diff(np.percentile(values, [15.87, 84.13]))[0] / 2


def _error_model(label_names, found, source, what, noise_range=None):
    scale, offset, slope, curve, n_differences, _ = map(np.array, zip(*found, strict=True))
    if n_differences.max(initial=0) < FEWEST_DIFFERENCES:
        raise ValueError(
            f"There are at most {n_differences.max(initial=0)} {what} of a label, and at least {FEWEST_DIFFERENCES} "
            "are needed to learn a scale and an offset. Pass more stars."
        )
    of_noise = (slope.astype(float), noise_range, curve.astype(float)) if noise_range else ()
    return ErrorModel(tuple(label_names), scale.astype(float), offset.astype(float), n_differences, source, *of_noise)
