"""Comparison of spectra and predictions with the training set of a model.

`TrainingDomain.learn` keeps a few small arrays of the training stars, and `TrainingDomain.assess` compares other stars
with them. A spectrum is described by its `SpectrumStatistics`. A prediction is described by the distance of its labels
from the range of the training labels, and by its model standard deviations. Each number is divided by the limit that
training-like stars stay below. The network itself is not used, because its response to a spectrum grows with noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_consistent_length, check_random_state

from skbcnn._arrays import as_array, plain_spectra
from skbcnn._chunks import row_chunks
from skbcnn._flux_level import are_near_one
from skbcnn._masked import fill_masked
from skbcnn._validation import finite_spectra
from skbcnn.novelty.flags import NoveltyFlag, as_columns, flag_where, prediction_flags
from skbcnn.novelty.limits import cross_fitted_limits, label_limits, model_limit, relative_spread, spectrum_limits
from skbcnn.novelty.principal_components import (
    PrincipalComponents,
    SpectrumStatistics,
    clip_flux,
    concatenate,
    find_bad_pixels,
)
from skbcnn.survey import is_missing

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction

_MAX_STARS = 1500  # half of them for the components, which more hardly change, and half for the limits
_FEW_STARS = _MAX_STARS  # with fewer, all stars enter both components and limits, which takes three decompositions
_NOISE_RATIO = 2  # above this multiple of the training noise, draws with flux errors vary because of the noise
_BAD = SpectrumStatistics._fields.index("bad")
_MOST_BAD = 0.5  # share of bad pixels of a spectrum that is novel whatever the training spectra were like
_MARK_SHARE = 0.2  # a flux of exactly 0 or 1 marks a bad pixel if at most this share of all pixels has it


@dataclass(frozen=True)
class Assessment:
    """Novelty of stars relative to the training set of a model. Values above 1 are out-of-distribution.

    Attributes
    ----------
    spectrum : ndarray of shape (n_samples,)
        Novelty of the spectrum. NaN if the training set was too small.
    bad_pixels : ndarray of shape (n_samples,)
        Fraction of bad pixels, in units of its limit. NaN if the training set was too small.
    labels : ndarray of shape (n_samples, n_labels)
        Distance of each predicted label from the range of the training labels, in units of the margin; 0 inside the
        range. NaN for labels with too few or equal training values. There are no columns without a prediction.
    model : ndarray of shape (n_samples,)
        Model uncertainty of the prediction, in units of its limit. NaN if it is not known.
    flags : ndarray of int32 of shape (n_samples,)
        Sums of `NoveltyFlag` bits. ``UNCERTAIN_FE_H``, which SDSS-V sets for good stars, is not among them.
    """

    spectrum: np.ndarray
    bad_pixels: np.ndarray
    labels: np.ndarray
    model: np.ndarray
    flags: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """Largest of all values that are known for each star, of shape (n_samples,). Above 1 is out-of-distribution."""
        return np.fmax.reduce([self.spectrum, self.bad_pixels, self.model, *self.labels.T])

    @property
    def do_not_use(self) -> np.ndarray:
        """Whether the labels of each star are unusable: a bit of `NoveltyFlag.DO_NOT_USE` is set."""
        return (self.flags & NoveltyFlag.DO_NOT_USE) != 0


@dataclass(frozen=True, eq=False)
class TrainingDomain:
    """Principal components and limits of the training set, used to flag out-of-distribution stars.

    All attributes are arrays of finite numbers, together less than 1 MB for spectra of APOGEE. ``vars(domain)`` can be
    stored, and ``TrainingDomain(**arrays)`` restores the object.

    Attributes
    ----------
    center : ndarray of shape (n_pixels,), float32
        Mean flux of the good pixels.
    components : ndarray of shape (n_components, n_pixels), float32
        Principal components of the training spectra.
    spread : ndarray of shape (n_components,)
        Spread of the scores: 99 % of them are below 2.576 spreads, as for a Gaussian.
    noise : ndarray of shape ()
        Median noise of the training spectra, which the spread includes.
    inverse_limits : ndarray of shape (6,)
        Inverse of the limits that about 1 training-like star in 400 exceeds: of the `SpectrumStatistics` in their
        order, and of the model uncertainty. 0 where there is no limit.
    marks : ndarray of shape (2,)
        Whether (1) or not (0) a flux of exactly 0, and of exactly 1, marks a bad pixel.
    label_range : ndarray of shape (2, n_labels)
        Lowest and highest training label.
    label_margin : ndarray of shape (n_labels,)
        Distance from the range that a prediction may have. 0 for labels with too few or equal training values.
    model_scale : ndarray of shape (n_labels,)
        Median model standard deviation of training-like stars; 0 if it is not known.

    See Also
    --------
    NoveltyFlag : The bits of the flags.

    Notes
    -----
    The limits are computed from spectra that do not enter the components: the stars are halved, the components come
    from one half, and the limits from the other. With fewer than 1500 stars, the components come from all of them, and
    the limits from comparing each half with components of the other half. The logarithms of the largest tenth of each
    statistic are taken to have an exponential distribution, as for heavy tails [1]_. The scale of this distribution is
    increased by two standard errors, so that a smaller training set gives wider limits. Using one distance within the
    subspace of the components and one from it is common in the control of chemical processes [2]_.

    Noise alone does not make a spectrum novel: the covariance of pixels two apart excludes it, and noise beyond that of
    the training spectra is added to the spread of the scores. The noise is estimated from the spectrum itself, so that
    flux errors are not needed.

    References
    ----------
    .. [1] Hill (1975), Annals of Statistics 3, 1163, equation 2.4.
    .. [2] Jackson & Mudholkar (1979), Technometrics 21, 341.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.datasets import make_apogee_spectra
    >>> from skbcnn.novelty import NoveltyFlag, TrainingDomain
    >>> stars = make_apogee_spectra(300, random_state=0)
    >>> domain = TrainingDomain.learn(stars.X, stars.truth, random_state=0)
    >>> others = make_apogee_spectra(2, snr=80, random_state=1).X
    >>> domain.score(np.vstack([others, np.roll(others, 30, axis=1)])) > 1
    array([False, False,  True,  True])
    >>> NoveltyFlag(int(domain.flags(np.ones((1, 7514)))[0]))
    <NoveltyFlag.SPECTRUM_NOVEL|BAD_PIXELS: 196608>
    """

    center: np.ndarray
    components: np.ndarray
    spread: np.ndarray
    noise: np.ndarray
    inverse_limits: np.ndarray
    marks: np.ndarray
    label_range: np.ndarray
    label_margin: np.ndarray
    model_scale: np.ndarray

    def __eq__(self, other: object) -> bool:
        """Return whether all arrays are equal."""
        if not isinstance(other, TrainingDomain):
            return NotImplemented
        return all(np.array_equal(values, getattr(other, name)) for name, values in vars(self).items())

    __hash__ = None  # type: ignore[assignment]

    @staticmethod
    def array_types(n_components: int, n_pixels: int, n_labels: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return the shape and type of each array.

        Parameters
        ----------
        n_components, n_pixels, n_labels : int
            Sizes of the arrays.

        Returns
        -------
        types : dict of str to (tuple of int, str)
            Shape and NumPy type of each attribute.
        """
        n_limits = len(SpectrumStatistics._fields) + 1
        return {
            "center": ((n_pixels,), "<f4"),
            "components": ((n_components, n_pixels), "<f4"),
            "spread": ((n_components,), "<f8"),
            "noise": ((), "<f8"),
            "inverse_limits": ((n_limits,), "<f8"),
            "marks": ((2,), "<f8"),
            "label_range": ((2, n_labels), "<f8"),
            "label_margin": ((n_labels,), "<f8"),
            "model_scale": ((n_labels,), "<f8"),
        }

    @classmethod
    def learn(
        cls,
        x: ArrayLike,
        labels: ArrayLike,
        x_err: ArrayLike | None = None,
        model_std: ArrayLike | None = None,
        added_noise: float = 0.0,
        vary: Callable[[np.ndarray, np.ndarray | None], np.ndarray] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> TrainingDomain:
        """Compute the components and limits of training stars.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_pixels)
            Continuum-normalised flux, as in `fit` of the regressor. At most 1500 random stars are used.
        labels : array-like of shape (n_samples, n_labels) or (n_samples,)
            Labels of the stars; NaN or -9999 where missing.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. An error of 0 marks a bad pixel; other values are not used.
        model_std : array-like of shape (n_stars, n_labels) or (n_stars,), default=None
            Model standard deviations of stars like the training stars, preferably held-out stars, predicted without
            flux errors. None, or fewer than 10 stars: the model uncertainty will not be assessed.
        added_noise : float, default=0.0
            Largest noise that training added to spectra, in units of the flux errors. It raises the limit of the noise.
        vary : callable, default=None
            Function of flux and flux errors that returns the flux as the training varied it, without noise. None: it
            did not.
        random_state : int, RandomState instance or None, default=None
            Seed of the random numbers that select and divide the stars.

        Returns
        -------
        domain : TrainingDomain
            Domain of the training stars. With fewer than 10 stars it has no limits, so that no star is novel.

        Raises
        ------
        ValueError
            If the shapes do not match each other, or a flux is not finite.
        """
        rng = check_random_state(random_state)
        x, x_err = _checked_spectra(x, x_err)
        labels = as_columns(fill_masked(labels))
        check_consistent_length(x, labels)
        labels = np.where(is_missing(labels), np.nan, labels)
        rows = rng.permutation(len(x))[:_MAX_STARS]
        flux, x_err = x[rows], None if x_err is None else x_err[rows]
        x = clip_flux(flux if vary is None else vary(flux, x_err))
        marks = np.array([(x == value).mean() <= _MARK_SHARE for value in (0, 1)], dtype=np.float64)
        bad = find_bad_pixels(x, x_err, marks)
        components, (*limits, limit_of_noise) = _components_and_limits(x, bad, rng)
        if np.isfinite(limits[_BAD]):  # few stars give wide limits, even above 1
            limits[_BAD] = min(limits[_BAD], _MOST_BAD)
        limits += [limit_of_noise * np.sqrt(1 + added_noise**2), np.inf]  # the last is that of the model uncertainty
        label_range, label_margin = label_limits(labels)
        domain = cls(
            *components,
            inverse_limits=1 / np.array(limits),
            marks=marks,
            label_range=label_range,
            label_margin=label_margin,
            model_scale=np.zeros(labels.shape[1]),
        )
        return domain if model_std is None else domain.with_model_limit(model_std)

    def with_model_limit(self, model_std: ArrayLike) -> TrainingDomain:
        """Return the domain with a limit of the model uncertainty.

        Parameters
        ----------
        model_std : array-like of shape (n_stars, n_labels) or (n_stars,)
            As in `learn`.

        Returns
        -------
        domain : TrainingDomain
        """
        scale, limit = model_limit(model_std)
        return replace(self, model_scale=scale, inverse_limits=np.append(self.inverse_limits[:-1], 1 / limit))

    def pixel_noise(self, x: ArrayLike, x_err: ArrayLike | None = None) -> np.ndarray:
        """Estimate the noise of spectra from their differences between pixels.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_pixels)
            Finite flux, normalised as in `learn`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Pixels with an error of 0 are left out; other values are not used.

        Returns
        -------
        noise : ndarray of shape (n_samples,)
            Standard deviation per pixel, in units of the flux.
        """
        return self._pixel_noise_checked(*_checked_spectra(x, x_err, self.center))

    def _pixel_noise_checked(self, x: np.ndarray, x_err: np.ndarray | None = None) -> np.ndarray:
        """Return `pixel_noise` of spectra and flux errors that were checked before."""
        chunks = self._chunks(x, x_err)
        return np.concatenate([self._principal_components.pixel_noise(*chunk) for chunk in chunks])

    def score(self, x: ArrayLike, prediction: Prediction | None = None, x_err: ArrayLike | None = None) -> np.ndarray:
        """Return the novelty of stars.

        Parameters
        ----------
        x, prediction, x_err
            As in `assess`.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Novelty: above 1 for out-of-distribution stars, NaN if there are no limits.
        """
        return self.assess(x, prediction, x_err).score

    def flags(self, x: ArrayLike, prediction: Prediction | None = None, x_err: ArrayLike | None = None) -> np.ndarray:
        """Return the flags of stars.

        Parameters
        ----------
        x, prediction, x_err
            As in `assess`.

        Returns
        -------
        flags : ndarray of int32 of shape (n_samples,)
            Sums of `NoveltyFlag` bits.
        """
        return self.assess(x, prediction, x_err).flags

    def assess(self, x: ArrayLike, prediction: Prediction | None = None, x_err: ArrayLike | None = None) -> Assessment:
        """Compare stars with the training set.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_pixels)
            Finite flux, normalised as in `learn`.
        prediction : Prediction, default=None
            Prediction of the model for these spectra. None: only the spectra are assessed.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, the same as for the prediction.

        Returns
        -------
        assessment : Assessment

        Raises
        ------
        ValueError
            If the shapes of `x`, `x_err` and `prediction` do not match each other or the training set, or a flux is not
            finite.

        Notes
        -----
        Flux errors enter the posterior draws, which increases the model uncertainty of noisy stars. Therefore, if
        `x_err` is given, the model uncertainty of stars with more than twice the noise of the training stars is not
        assessed.
        """
        x, x_err = _checked_spectra(x, x_err, self.center)
        return self._assess_checked(x, prediction, x_err)

    def _assess_checked(
        self,
        x: np.ndarray,
        prediction: Prediction | None = None,
        x_err: np.ndarray | None = None,
        *,
        errors_in_draws: bool = True,
    ) -> Assessment:
        """Return `assess` of spectra and flux errors that were checked before, and perhaps entered the draws."""
        statistics = self._statistics(x, x_err)
        relative = self._in_units_of_limits(statistics)
        noisier = relative.noise > 1
        labels, model, flags = np.zeros((len(x), 0)), np.full(len(x), np.nan), np.zeros(len(x), dtype=np.int32)
        if prediction is not None:
            self._check_prediction(prediction, len(x))
            noisier = noisier if prediction.noisier is None else noisier | prediction.noisier
            labels = self._label_novelty(as_columns(prediction.mean))
            model = self._model_novelty(as_columns(prediction.model))
            if x_err is not None and errors_in_draws:
                model = np.where(statistics.noise > _NOISE_RATIO * self.noise, np.nan, model)
            flags |= prediction_flags(prediction)
        spectrum = np.fmax.reduce([relative.unexplained, relative.distance, relative.faintness])
        for flag, condition in {
            NoveltyFlag.SPECTRUM_NOVEL: spectrum > 1,
            NoveltyFlag.BAD_PIXELS: relative.bad > 1,
            NoveltyFlag.LABEL_OUT_OF_RANGE: (labels > 1).any(axis=1),
            NoveltyFlag.MODEL_UNCERTAIN: model > 1,
            NoveltyFlag.NOISIER_THAN_TRAINED: noisier,
        }.items():
            flags |= flag_where(flag, condition)
        return Assessment(spectrum, relative.bad, labels, model, flags)

    @property
    def _principal_components(self) -> PrincipalComponents:
        return PrincipalComponents(self.center, self.components, self.spread, self.noise)

    def _statistics(self, x: np.ndarray, x_err: np.ndarray | None) -> SpectrumStatistics:
        """Return the statistics of spectra."""
        return concatenate([self._principal_components.statistics(*chunk) for chunk in self._chunks(x, x_err)])

    def _chunks(self, x: np.ndarray, x_err: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the flux and the bad pixels of one chunk of spectra after the other."""
        for rows in row_chunks(*x.shape):
            flux = clip_flux(x[rows])
            yield flux, find_bad_pixels(flux, None if x_err is None else x_err[rows], self.marks)

    def _in_units_of_limits(self, statistics: SpectrumStatistics) -> SpectrumStatistics:
        """Return the statistics of spectra in units of their limits; NaN where there is no limit."""
        inverse = np.where(self.inverse_limits > 0, self.inverse_limits, np.nan)[:-1]
        return SpectrumStatistics(*(values * factor for values, factor in zip(statistics, inverse, strict=True)))

    def _check_prediction(self, prediction: Prediction, n_samples: int) -> None:
        shape = as_columns(prediction.mean).shape
        expected = (n_samples, self.label_range.shape[1])
        if shape != expected:
            raise ValueError(
                f"The prediction has {shape[0]} stars and {shape[1]} labels, expected {expected[0]} and {expected[1]}. "
                "Pass the prediction of this model for these spectra."
            )

    def _label_novelty(self, mean: np.ndarray) -> np.ndarray:
        """Return the distance of labels from the range of the training labels, in units of the margin."""
        low, high = self.label_range
        distance = np.maximum(np.maximum(low - mean, mean - high), 0)
        return distance / np.where(self.label_margin > 0, self.label_margin, np.nan)

    def _model_novelty(self, model_std: np.ndarray) -> np.ndarray:
        """Return the model uncertainty in units of its limit; NaN where there is no limit."""
        inverse_limit = self.inverse_limits[-1]
        if inverse_limit == 0:
            return np.full(len(model_std), np.nan)
        return relative_spread(model_std, self.model_scale) * inverse_limit


def _components_and_limits(
    x: np.ndarray, bad: np.ndarray, rng: np.random.RandomState
) -> tuple[PrincipalComponents, list[float]]:
    """Return the components of spectra in random order, and limits from spectra that did not enter their components."""
    if len(x) < _FEW_STARS:
        return PrincipalComponents.fit(x, bad, rng), cross_fitted_limits(x, bad, rng)
    fitted, others = slice(len(x) // 2), slice(len(x) // 2, None)
    components = PrincipalComponents.fit(x[fitted], bad[fitted], rng)
    return components, spectrum_limits(components.chunked_statistics(x[others], bad[others]))


def _checked_spectra(x: Any, x_err: Any, center: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return spectra and flux errors as arrays of numbers without bad values; no `center`: of training spectra."""
    given = x
    x, x_err = plain_spectra(x, x_err, "x")
    x = as_array(x)
    n_pixels = None if center is None else len(center)
    if x.ndim != 2 or 0 in x.shape or (n_pixels is not None and x.shape[1] != n_pixels):
        pixels = "n_pixels" if n_pixels is None else n_pixels
        on = "" if n_pixels is None else ", on the pixels of the training spectra. Pass the spectra that were predicted"
        raise ValueError(f"x has shape {x.shape}, expected (n_samples, {pixels}) with one sample or more{on}.")
    if x.dtype.kind not in "fiub":
        x = check_array(x, dtype=np.float64, ensure_all_finite=False)
    return finite_spectra(given, x, x_err, are_near_one(x if center is None else center[np.newaxis]), "x")
