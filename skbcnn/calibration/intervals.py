"""Intervals that contain a given share of the labels for any distribution of residuals: split-conformal prediction.

The score of a star is its absolute residual in units of its standard deviation. If a new star and n calibration stars
are of the same kind, its score is below the k-th smallest of theirs with a probability of at least k/(n + 1).

References
----------
.. [1] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), JASA 113, 1094: split-conformal prediction, and its
   variant for residuals scaled by a standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import fill_masked, plain_numbers
from skbcnn._validation import as_numbers
from skbcnn.calibration.error_model import NOISE_EXPECTED, ErrorModel, check_noise
from skbcnn.calibration.residuals import check_prediction, residuals_and_errors

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction

_STARS_PER_LEVEL = 130  # the 0.9 quantile of so many is known to 0.03
_MAX_LEVELS = 10


@dataclass(frozen=True)
class Intervals:
    """Scores of calibration stars, from which the intervals of other stars are computed.

    Attributes
    ----------
    scores : ndarray of shape (n_stars, n_labels)
        From `interval_scores`.
    noise : ndarray of shape (n_stars,) or None
        Noise of the spectra of these stars. None: intervals do not depend on noise.
    error_model : ErrorModel or None
        Calibration of the standard deviations that the scores are in units of. None: they are in units of the total
        ones. It may depend on the noise only if `noise` is given.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import Prediction
    >>> from skbcnn.calibration import Intervals
    >>> intervals = Intervals(np.arange(1.0, 10)[:, None])
    >>> intervals.available(0.9)
    array([ True])
    >>> one = np.ones((1, 1))
    >>> intervals.bounds(Prediction(5 * one, one, one, one, ("Al",)), coverage=0.8)
    (array([[-3.]]), array([[13.]]))
    """

    scores: np.ndarray
    noise: np.ndarray | None = None
    error_model: ErrorModel | None = None

    @property
    def depend_on_noise(self) -> bool:
        """Whether `bounds` needs the noise of the spectra."""
        return self.noise is not None

    def available(self, coverage: float) -> np.ndarray:
        """Return which labels have intervals of a coverage.

        Parameters
        ----------
        coverage : float
            Share of the labels within the intervals, above 0 and below 1.

        Returns
        -------
        available : ndarray of bool of shape (n_labels,)
            False for labels that too few of these stars have.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, or no label has enough scores for it.
        """
        return ~np.isnan(interval_factor(self.scores, coverage))

    def bounds(
        self, prediction: Prediction, coverage: float, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the intervals of predicted labels.

        Parameters
        ----------
        prediction : Prediction
            Prediction for new stars.
        coverage : float
            Share of the labels within the intervals, above 0 and below 1.
        noise : ndarray of shape (n_samples,), default=None
            Noise of their spectra, in the unit of `self.noise`; needed if `depend_on_noise`.

        Returns
        -------
        lower, upper : ndarray of the shape of ``prediction.mean``
            Ends of the intervals, in label units; NaN for labels without intervals, see `available`.

        Raises
        ------
        ValueError
            If no label has intervals of this coverage, the labels differ, or there is not one noise for each spectrum.
        """
        check_prediction(prediction)
        n_labels = prediction.total.shape[1] if prediction.total.ndim == 2 else 1
        n_expected = np.shape(self.scores)[-1]
        if n_labels != n_expected:
            raise ValueError(
                f"The prediction is of {n_labels} labels, but the scores are of {n_expected}. Pass the scores of stars "
                "that the same model predicted."
            )
        if self.noise is None:
            factors = interval_factor(self.scores, coverage)
        else:
            if noise is None:
                raise ValueError("These intervals depend on the noise of the spectra. Pass `noise`, one for each.")
            noise = check_noise(noise, len(prediction.total))
            factors = interval_factors_by_noise(self.scores, self.noise, coverage, noise)
        std = prediction.total if self.error_model is None else self.error_model.std(prediction, noise)
        half_width = std * (factors[..., 0] if std.ndim == 1 else factors)
        return prediction.mean - half_width, prediction.mean + half_width


def interval_scores(
    prediction: Prediction, y: ArrayLike, y_err: ArrayLike | None = None, std: np.ndarray | None = None
) -> np.ndarray:
    """Return absolute residuals in units of their standard deviation.

    Parameters
    ----------
    prediction : Prediction
        Prediction for stars that the network was not trained on.
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Their labels; NaN or -9999 where missing.
    y_err : array-like of the shape of `y`, or table, default=None
        Errors of these labels, added in quadrature to the standard deviations; 0, or missing, where unknown.
    std : ndarray of the shape of ``prediction.total``, default=None
        Standard deviations of the predicted labels. None: the total ones.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_labels)
        ``|y - mean| / sqrt(std**2 + y_err**2)``, NaN where a label is missing, and infinite where a residual has a
        standard deviation of 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_scores
    >>> from skbcnn import Prediction
    >>> one = np.ones((3, 1))
    >>> stars = Prediction(np.array([[3.0], [1.0], [2.0]]), one, 0 * one, one, ("Al",))
    >>> interval_scores(stars, [[0.0], [0.0], [-9999.0]]).ravel()
    array([ 3.,  1., nan])
    """
    residual, errors = residuals_and_errors(prediction, y, y_err)
    residual, std = np.abs(residual), (prediction.total if std is None else std).reshape(residual.shape)
    std = std if errors is None else np.hypot(std, errors)
    without_std = np.where(residual > 0, np.inf, residual)  # 0 and NaN stay
    return np.divide(residual, std, out=without_std, where=std > 0)


def interval_factor(scores: ArrayLike, coverage: float) -> np.ndarray:
    """Return the half-width of the intervals of each label, in standard deviations.

    Parameters
    ----------
    scores : array-like of shape (n_samples, n_labels)
        From `interval_scores`; NaN where a label is missing.
    coverage : float
        Share of the labels within the intervals, above 0 and below 1.

    Returns
    -------
    factor : ndarray of shape (n_labels,)
        The ``ceil((n + 1) * coverage)``-th smallest of n scores, which covers with a probability of at least
        `coverage`. NaN for a label with too few scores, if another label has enough.

    Raises
    ------
    ValueError
        If `coverage` is not between 0 and 1, or all labels have too few scores for it.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_factor
    >>> interval_factor(np.arange(1.0, 10)[:, None], 0.9)  # the 9th of 9
    array([9.])
    """
    if not isinstance(coverage, Real) or not 0 < coverage < 1:
        raise ValueError(f"coverage={coverage!r}, expected a share between 0 and 1, such as 0.9.")
    scores = _as_array(scores)
    n, rank = _n_and_rank(scores, coverage)
    too_few = rank > n
    if too_few.all():
        needed = int(np.ceil(coverage / (1 - coverage) - 1e-9))
        raise ValueError(
            f"A coverage of {coverage} needs at least {needed} held-out stars of each label, and there are at most "
            f"{n.max()}. Choose a lower coverage, or fit with more stars or a larger validation_fraction."
        )
    ordered = np.sort(scores, axis=0)  # with NaN at the end
    return np.where(too_few, np.nan, np.take_along_axis(ordered, np.minimum(rank, n)[None] - 1, axis=0)[0])


def interval_factors_by_noise(scores: ArrayLike, noise: ArrayLike, coverage: float, new_noise: ArrayLike) -> np.ndarray:
    """Return the half-width of the intervals of each spectrum, from calibration stars of similar noise.

    The calibration stars are divided by the noise of their spectra into up to ten levels of equally many stars, at
    least 130 each, and enough for `coverage`. The coverage then holds at each level, not only on average.

    Parameters
    ----------
    scores : array-like of shape (n_samples, n_labels)
        From `interval_scores`.
    noise : array-like of shape (n_samples,)
        Noise of the spectra of these stars, in any unit.
    coverage : float
        As in `interval_factor`.
    new_noise : array-like of shape (n_new,)
        Noise of other spectra, in the same unit.

    Returns
    -------
    factors : ndarray of shape (n_new, n_labels)
        NaN where `interval_factor` is.

    Raises
    ------
    ValueError
        As in `interval_factor`.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, section 4.5: Mondrian conformal
       predictors.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_factors_by_noise
    >>> noise = np.linspace(1, 2, 260)
    >>> scores = np.where(noise < 1.5, 1.0, 3.0)[:, None]
    >>> interval_factors_by_noise(scores, noise, 0.9, [1.2, 1.8, 9.0]).ravel()
    array([1., 3., 3.])
    """
    scores, new_noise = _as_array(scores), plain_numbers(new_noise, "new_noise", NOISE_EXPECTED)
    noise = check_noise(noise, len(scores))
    available = ~np.isnan(interval_factor(scores, coverage))
    for n_levels in range(int(np.clip(len(noise) // _STARS_PER_LEVEL, 1, _MAX_LEVELS)), 0, -1):
        edges = np.quantile(noise, np.arange(1, n_levels) / n_levels)
        level = np.searchsorted(edges, noise)
        scores_by_level = [scores[level == number] for number in range(n_levels)]
        if all((rank <= n)[available].all() for n, rank in (_n_and_rank(some, coverage) for some in scores_by_level)):
            break
    factors = np.array([interval_factor(some, coverage) for some in scores_by_level])
    return factors[np.searchsorted(edges, new_noise)]


def _as_array(scores: ArrayLike) -> np.ndarray:
    """Return scores as an array, with NaN where they are masked."""
    return as_numbers(fill_masked(scores), "scores")


def _n_and_rank(scores: np.ndarray, coverage: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of scores of each label, and the rank of the one that covers: beyond it if they are too few."""
    n = (~np.isnan(scores)).sum(axis=0)
    return n, np.ceil((n + 1) * coverage - 1e-9).astype(int)  # less a rounding error, so that 0.9 of 10 is the 9th
