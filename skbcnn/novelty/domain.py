"""What a model was trained on, and which spectra and predictions lie outside it.

`TrainingDomain.learn` keeps a few small arrays of the training stars, and `TrainingDomain.assess` compares others with
them. A spectrum is described by its noise and by four numbers that do not grow with it (`SpectrumStatistics`), a
prediction by how far its labels lie outside those trained on, and by how little the network knows. Each is divided by
the limit that good stars stay below. The network itself is not asked: what it makes of a spectrum grows with noise.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.extmath import randomized_svd

from skbcnn._validation import check_finite_spectra, check_flux_errors

_MOST_STARS = 3000  # that the components are learnt from: more hardly change them
_FEWEST_STARS = 10  # from fewer, nothing can be said
_STARS_AT_ONCE = 256  # 8 MB an array
_ABSURD_FLUX = 1e8  # flux beyond is taken as this: its square can be summed up
_N_COMPONENTS, _STARS_PER_COMPONENT, _PIXELS_PER_COMPONENT = 30, 5, 4
_REACH, _REACH_OF_NORMAL = 0.99, 2.576  # a quantile, and where it is in standard deviations of a normal distribution

_FALSE_ALARMS = 1 / 400  # of good stars, for each limit: all limits together stay below one in a hundred
_LEAST_TAIL = 10  # stars
_STANDARD_ERRORS = 2  # by which the fall-off of the tail is made slower
_LAG = 2  # pixels: resampled spectra share their noise with the next pixel, and lines are wider
_NOISE_SIGMAS = 4  # what noise may do by chance
_NOISY = 2  # in units of the noise of training: more than this shows in draws that add it
_RARE = 0.2  # flux of exactly 0 or 1 marks a bad pixel if no more pixels than this have it
_LABEL_MARGIN = 0.05  # of the range of a label; of n stars, at least 2 / sqrt(n)
_LEAST_LIMITS = {"unexplained": 1e-3, "distance": 3.0, "faintness": 1e-6, "bad": 0.05, "noise": 1e-6}
_LEAST_MODEL_LIMIT = 1.5


class NoveltyFlag(IntFlag):
    """Bits of what to know of a star's labels before using them.

    Bits 0 to 2 and 11 mean what they mean in the AstroNN product of SDSS-V [1]_, which uses no others.

    References
    ----------
    .. [1] SDSS-V, Astra: ``result_flags`` of the AstroNN product.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.novelty import NoveltyFlag
    >>> flags = np.array([0, NoveltyFlag.NOISIER_THAN_TRAINED, NoveltyFlag.BAD_PIXELS | NoveltyFlag.UNCERTAIN_LOGG])
    >>> (flags & NoveltyFlag.OUTSIDE) != 0
    array([False, False,  True])
    """

    UNCERTAIN_LOGG = 1 << 0
    """The error of log g exceeds 0.2 dex and 0.075 of log g."""
    UNCERTAIN_TEFF = 1 << 1
    """The error of Teff exceeds 300 K."""
    UNCERTAIN_FE_H = 1 << 2
    """The error of [Fe/H] exceeds 0.12 of [Fe/H]: so does nearly every error near the solar abundance."""
    NO_RESULT = 1 << 11
    """No labels: the spectrum could not be read or predicted."""
    SPECTRUM_NOVEL = 1 << 16
    """The spectrum does not look like those trained on, whatever its noise."""
    BAD_PIXELS = 1 << 17
    """More pixels are bad than in the stars trained on, and more than one in twenty."""
    LABEL_OUT_OF_RANGE = 1 << 18
    """A predicted label lies outside those trained on, by more than a twentieth of their range (more of few stars)."""
    MODEL_UNCERTAIN = 1 << 19
    """The draws of the posterior differ more than for good stars."""
    NOISIER_THAN_TRAINED = 1 << 20
    """More noise than in the stars trained on, by `x_err` or by what differs from pixel to pixel, spikes included. It
    makes no star novel, but nothing was learnt about such noise."""
    OUTSIDE = SPECTRUM_NOVEL | BAD_PIXELS | LABEL_OUT_OF_RANGE | MODEL_UNCERTAIN
    """Any bit of a star that is outside: those that `Assessment.score` is about."""


class SpectrumStatistics(NamedTuple):
    """Spectra beside the components of the training spectra, each array of shape (n_samples,).

    Attributes
    ----------
    unexplained : ndarray
        Share of the structure (lines, bands) of a spectrum that no mixture of the components gives. Both are measured
        as the covariance of pixels two apart, in which photon noise cancels out; what it may do by chance is left out.
    distance : ndarray
        Fourth-power mean of the component scores, each in units of its spread with the noise added: something between
        the root mean square and the largest.
    faintness : ndarray
        Inverse of the line strength relative to the mean spectrum, at its upper bound.
    bad : ndarray
        Fraction of bad pixels. They are left out of all else.
    noise : ndarray
        Standard deviation per pixel of what differs from pixel to pixel.
    """

    unexplained: np.ndarray
    distance: np.ndarray
    faintness: np.ndarray
    bad: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class Assessment:
    """How far stars lie outside what a model was trained on: above 1 is outside.

    Attributes
    ----------
    spectrum : ndarray of shape (n_samples,)
        How little the spectrum looks like those trained on. NaN if too few stars were there to tell.
    bad_pixels : ndarray of shape (n_samples,)
        Fraction of bad pixels, in units of what is tolerated. Likewise.
    labels : ndarray of shape (n_samples, n_labels)
        How far each predicted label lies outside the training labels, in units of the margin; 0 inside. NaN for labels
        that had too few values in training, or one value only. Without a prediction there are no columns.
    model : ndarray of shape (n_samples,)
        How far the draws differ, in units of what good stars reach. NaN where that cannot be told.
    flags : ndarray of int32 of shape (n_samples,)
        Sums of `NoveltyFlag` bits.
    """

    spectrum: np.ndarray
    bad_pixels: np.ndarray
    labels: np.ndarray
    model: np.ndarray
    flags: np.ndarray

    @property
    def score(self):
        """The largest of all that is known of each star: above 1 is outside. Shape (n_samples,)."""
        return np.fmax.reduce([self.spectrum, self.bad_pixels, self.model, *self.labels.T])


@dataclass(frozen=True, eq=False)
class TrainingDomain:
    """What the stars looked like that a model was trained on.

    All attributes are arrays of finite numbers, together less than 1 MB for spectra of APOGEE: ``vars(domain)`` can be
    stored, and ``TrainingDomain(**arrays)`` brings it back.

    Attributes
    ----------
    center : ndarray of shape (n_pixels,), float32
        Mean flux of the good pixels.
    components : ndarray of shape (n_components, n_pixels), float32
        Principal components of the training spectra.
    spread : ndarray of shape (n_components,)
        Spread of the scores: 99 % are below 2.576 spreads, as if they were normal.
    noise : ndarray of shape ()
        That the spread contains: the median of the training stars.
    inverse_limits : ndarray of shape (6,)
        One over what about 1 good star of 400 exceeds: of the `SpectrumStatistics` in their order, and of the spread of
        the draws. 0 where nothing can be said.
    marks : ndarray of shape (2,)
        Whether (1) or not (0) flux of exactly 0, and of exactly 1, marks a bad pixel.
    label_range : ndarray of shape (2, n_labels)
        Lowest and highest training label.
    label_margin : ndarray of shape (n_labels,)
        How far outside it a prediction may lie. 0: the label had too few values to tell, or one value only.
    model_scale : ndarray of shape (n_labels,)
        Median model standard deviation of the stars whose predictions were given; 0 if none were.

    See Also
    --------
    NoveltyFlag : The bits.

    Notes
    -----
    The limits come from spectra that the components were not learnt from: the stars are halved, and each half is
    described by the components of the other. The logarithms of the largest tenth of each number are taken to fall off
    exponentially, as heavy tails do [1]_, and the fall-off is made slower by two of its standard errors, so fewer
    stars make wider limits. That there are two distances, one within the components and one from them, is common in
    the control of chemical processes [2]_.

    Noise does not count: the covariance of pixels two apart is blind to it, and what a star has more of it than those
    trained on is added to the spread of the scores. It is taken from the spectrum itself, so it need not be known.

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

    def __eq__(self, other):
        """Whether all arrays are equal."""
        if not isinstance(other, TrainingDomain):
            return NotImplemented
        return all(np.array_equal(values, getattr(other, name)) for name, values in vars(self).items())

    __hash__ = None

    @staticmethod
    def array_types(n_components, n_pixels, n_labels):
        """Shape and type of each array.

        Parameters
        ----------
        n_components, n_pixels, n_labels : int
            How many.

        Returns
        -------
        types : dict of str to (tuple of int, str)
            By attribute.
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
    def learn(cls, x, labels, x_err=None, model_std=None, added_noise=0.0, random_state=None):
        """Keep what training stars look like.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_pixels)
            Continuum-normalised flux, as the regressor's `fit` takes it. Of many stars some are drawn.
        labels : array-like of shape (n_samples, n_labels) or (n_samples,)
            Their labels, NaN where missing.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Of them only matters where they are 0: such pixels are bad.
        model_std : array-like of shape (n_stars, n_labels) or (n_stars,), default=None
            Model standard deviations that were predicted, without flux errors, for stars of the same kind: better for
            stars held out than for those trained on. None, or fewer than 10 stars: how uncertain the model is will
            not be assessed.
        added_noise : float, default=0.0
            Most noise, in flux errors, that training added to spectra: so much noisier may others be.
        random_state : int, RandomState instance or None, default=None
            Draws and halves the stars.

        Returns
        -------
        domain : TrainingDomain
            From fewer than 10 stars, one to which nothing is novel.
        """
        rng = check_random_state(random_state)
        x, labels = np.asarray(x), _as_columns(labels)
        rows = np.sort(rng.permutation(len(x))[:_MOST_STARS])
        x = _flux(x[rows])
        x_err = None if x_err is None else np.asarray(x_err)[rows]
        marks = np.array([(x == value).mean() <= _RARE for value in (0, 1)], dtype=np.float64)
        bad = _bad_pixels(x, x_err, marks)
        plane = _Plane.through(x, bad, rng)
        model_scale, model_limit = _model_limit(model_std, labels.shape[1])
        limits = _spectrum_limits(x, bad, rng)
        limits = limits._replace(noise=limits.noise * np.sqrt(1 + added_noise**2))
        return cls(
            *plane,
            inverse_limits=1 / np.array([*limits, model_limit]),
            marks=marks,
            **_label_limits(labels),
            model_scale=model_scale,
        )

    def pixel_noise(self, x, x_err=None):
        """Noise of spectra, whether it is known or not: what differs from pixel to pixel.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_pixels)
            Finite flux, normalised as in `learn`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors. Of them only matters where they are 0: such pixels are bad, and left out.

        Returns
        -------
        noise : ndarray of shape (n_samples,)
            Standard deviation per pixel, in units of the flux.
        """
        return np.concatenate(list(self._in_parts(_Plane.noise_of, np.asarray(x), x_err)))

    def score(self, x, prediction=None, x_err=None):
        """How far stars lie outside what was trained on.

        Parameters
        ----------
        x, prediction, x_err
            As in `assess`.

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Above 1 for stars outside. NaN if nothing can be said.
        """
        return self.assess(x, prediction, x_err).score

    def flags(self, x, prediction=None, x_err=None):
        """What to know of stars before using their labels.

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

    def assess(self, x, prediction=None, x_err=None):
        """Compare stars with those trained on, in every respect.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_pixels)
            Finite flux, normalised as in `learn`.
        prediction : Prediction, default=None
            Of these spectra, by the model. None: only the spectra are assessed.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors; those of the prediction, if it was made with any.

        Returns
        -------
        assessment : Assessment

        Raises
        ------
        ValueError
            If `x`, `x_err` and `prediction` do not belong together, or `x` has another number of pixels.

        Notes
        -----
        Flux errors enter the draws, so that model uncertainties of noisy stars are large for that alone. If `x_err` is
        given, it is not told whether the model is uncertain of stars with more than twice the noise of training stars.
        """
        x = np.asarray(x)
        if x.ndim != 2 or len(x) == 0 or x.shape[1] != len(self.center):
            raise ValueError(
                f"x has shape {x.shape}, expected (n_samples, {len(self.center)}) with one sample or more, on the "
                "pixels that were learnt from. Pass the spectra that were predicted."
            )
        check_finite_spectra(x)
        return self._assess_checked(x, prediction, check_flux_errors(x_err, x))

    def _assess_checked(self, x, prediction=None, x_err=None):
        """Return `assess` of spectra and flux errors that were checked before."""
        found = self._described(x, x_err)
        excess = self._in_limits(found)
        noisier = excess.noise > 1
        labels, model, flags = np.zeros((len(x), 0)), np.full(len(x), np.nan), np.zeros(len(x), dtype=np.int32)
        if prediction is not None:
            self._check_prediction(prediction, len(x))
            noisier = noisier if prediction.noisier is None else noisier | prediction.noisier
            labels = self._label_excess(_as_columns(prediction.mean))
            model = self._model_excess(_as_columns(prediction.model))
            model = model if x_err is None else np.where(found.noise > _NOISY * self.noise, np.nan, model)
            flags |= result_flags(prediction)
        spectrum = np.fmax.reduce([excess.unexplained, excess.distance, excess.faintness])
        for flag, is_set in {
            NoveltyFlag.SPECTRUM_NOVEL: spectrum > 1,
            NoveltyFlag.BAD_PIXELS: excess.bad > 1,
            NoveltyFlag.LABEL_OUT_OF_RANGE: (labels > 1).any(axis=1),
            NoveltyFlag.MODEL_UNCERTAIN: model > 1,
            NoveltyFlag.NOISIER_THAN_TRAINED: noisier,
        }.items():
            flags |= _set(flag, is_set)
        return Assessment(spectrum, excess.bad, labels, model, flags)

    def _described(self, x, x_err):
        """`SpectrumStatistics` of spectra, some at a time."""
        return _joined(list(self._in_parts(_Plane.describe, x, x_err)))

    def _in_parts(self, ask, x, x_err):
        """What `_Plane` says of some stars at a time."""
        plane = _Plane(self.center, self.components, self.spread, self.noise)
        for few in gen_batches(len(x), _STARS_AT_ONCE):
            flux = _flux(x[few])
            yield ask(plane, flux, _bad_pixels(flux, None if x_err is None else x_err[few], self.marks))

    def _in_limits(self, found):
        """Statistics of spectra in units of their limits; NaN where nothing can be said."""
        inverse_limits = np.where(self.inverse_limits > 0, self.inverse_limits, np.nan)
        return SpectrumStatistics(*(part * inverse for part, inverse in zip(found, inverse_limits, strict=False)))

    def _check_prediction(self, prediction, n_samples):
        shape = _as_columns(prediction.mean).shape
        expected = (n_samples, self.label_range.shape[1])
        if shape != expected:
            raise ValueError(
                f"The prediction has {shape[0]} stars and {shape[1]} labels, expected {expected[0]} and {expected[1]}: "
                "pass what this model predicted for these spectra."
            )

    def _label_excess(self, mean):
        """How far labels lie outside the range, in units of the margin."""
        low, high = self.label_range
        outside = np.maximum(np.maximum(low - mean, mean - high), 0)
        return outside / np.where(self.label_margin > 0, self.label_margin, np.nan)

    def _model_excess(self, model_std):
        inverse_limit = self.inverse_limits[-1]
        if inverse_limit == 0:
            return np.full(len(model_std), np.nan)
        return _relative_spread(model_std, self.model_scale) * inverse_limit


class _Plane(NamedTuple):
    """Mean and principal components of spectra."""

    center: np.ndarray
    components: np.ndarray
    spread: np.ndarray
    noise: np.ndarray

    @classmethod
    def through(cls, x, bad, rng):
        """Through spectra, bad pixels left out."""
        n_stars, n_pixels = x.shape
        n_good = (~bad).sum(axis=0)
        center = np.where(bad, 0, x).sum(axis=0, dtype=np.float64) / np.maximum(n_good, 1)
        center = np.where(n_good > 0, center, 1).astype(np.float32)
        offsets = np.where(bad, np.float32(0), x - center)
        n_components = max(1, min(_N_COMPONENTS, n_stars // _STARS_PER_COMPONENT, n_pixels // _PIXELS_PER_COMPONENT))
        for _ in range(2):
            _, _, components = randomized_svd(
                offsets, n_components, n_iter=2, power_iteration_normalizer="QR", random_state=rng
            )
            np.copyto(offsets, offsets @ components.T @ components, where=bad)  # what the good pixels suggest
        components = np.ascontiguousarray(components, dtype=np.float32)  # sums round as after loading
        reach = np.quantile(np.abs(offsets @ components.T).astype(np.float64), _REACH, axis=0)
        plane = cls(center, components, reach / _REACH_OF_NORMAL, np.zeros(()))
        parts = [plane.describe(x[few], bad[few]) for few in gen_batches(n_stars, _STARS_AT_ONCE)]
        return plane._replace(noise=np.asarray(np.median(_joined(parts).noise)))

    def describe(self, x, bad):
        """`SpectrumStatistics` of spectra."""
        offsets = x - self.center
        offsets[bad] = 0
        scores = self._scores(offsets)
        for _ in range(2 if bad.any() else 0):  # bad pixels become what the good ones suggest
            np.copyto(offsets, self._mixed(scores), where=bad)
            scores = self._scores(offsets)
        residual = offsets - self._mixed(scores)
        residual[bad] = 0
        lines = 1 - x
        lines[bad] = 0
        noise, structure, n_pairs = self._noise(residual, bad)
        variance = np.maximum(noise, self.noise) ** 2  # nothing was learnt of what hides in less noise
        by_chance = _NOISE_SIGMAS * variance / np.sqrt(n_pairs)
        lowest = np.finfo(np.float32).eps ** 2  # what rounding leaves of pixels near 1
        unexplained = np.maximum(structure - by_chance, 0) / np.maximum(_covariance(lines, n_pairs) + by_chance, lowest)
        in_spreads = scores**2 / (self.spread**2 + (variance - self.noise**2)[:, np.newaxis] + lowest)
        faintness = self._faintness(lines, bad, noise)
        distance = (in_spreads**2).mean(axis=1) ** 0.25
        return SpectrumStatistics(unexplained, distance, faintness, bad.mean(axis=1), noise)

    def noise_of(self, x, bad):
        """Noise of spectra; for that alone bad pixels need not be filled up."""
        offsets = x - self.center
        offsets[bad] = 0
        offsets -= self._mixed(self._scores(offsets))
        offsets[bad] = 0
        return self._noise(offsets, bad)[0]

    def _noise(self, residual, bad):
        """Noise of each spectrum, covariance of pixels `_LAG` apart, and number of such pairs."""
        good = ~bad
        n_free = np.maximum(good.sum(axis=1) - len(self.spread), 1)  # of the noise, the components took their part
        n_pairs = np.maximum((good[:, _LAG:] & good[:, :-_LAG]).sum(axis=1), 1)
        structure = _covariance(residual, n_pairs)
        power = np.einsum("ij,ij->i", residual, residual).astype(np.float64) / n_free
        return np.sqrt(np.maximum(power - np.maximum(structure, 0), 0)), structure, n_pairs

    def _scores(self, offsets):
        """How much of each component is in each row. Not by BLAS, which rounds otherwise among other neighbours."""
        return np.einsum("ij,kj->ik", offsets, self.components)

    def _mixed(self, scores):
        """The spectra that these scores make."""
        return np.einsum("ik,kj->ij", scores, self.components)

    def _faintness(self, lines, bad, noise):
        """Inverse of the upper bound of the line strength."""
        expected = (1 - self.center).astype(np.float64)
        row, pixel = np.nonzero(bad)
        power = (expected**2).sum() - np.bincount(row, expected[pixel] ** 2, minlength=len(bad))
        power = np.maximum(power, np.finfo(np.float32).tiny)
        strength = np.einsum("ij,j->i", lines, expected.astype(np.float32)) / power
        return 1 / np.maximum(strength + _NOISE_SIGMAS * noise / np.sqrt(power), 1e-6)


def _joined(parts):
    """Statistics of some stars after others."""
    return SpectrumStatistics(*map(np.concatenate, zip(*parts, strict=True)))


def _flux(x):
    """Flux as float32, within reason."""
    return np.clip(x, -_ABSURD_FLUX, _ABSURD_FLUX).astype(np.float32)


def _covariance(x, n_pairs):
    """Mean product of pixels `_LAG` apart."""
    return np.einsum("ij,ij->i", x[:, _LAG:], x[:, :-_LAG]).astype(np.float64) / n_pairs


def _bad_pixels(x, x_err, marks):
    """Pixels that hold no measurement."""
    bad = np.zeros(x.shape, dtype=bool) if x_err is None else x_err == 0
    for value, marks_bad in zip((0, 1), marks, strict=True):
        if marks_bad:
            bad |= x == value
    return bad


def _spectrum_limits(x, bad, rng):
    """Limits of the spectrum statistics, in their order."""
    if len(x) < _FEWEST_STARS:
        return SpectrumStatistics(*[np.inf] * len(_LEAST_LIMITS))
    order = rng.permutation(len(x))
    halves = order[::2], order[1::2]
    parts = [
        _Plane.through(x[ours], bad[ours], rng).describe(x[others], bad[others])
        for ours, others in (halves, halves[::-1])
    ]
    limits = zip(_joined(parts), _LEAST_LIMITS.values(), strict=True)
    return SpectrumStatistics(*(_limit(values, least) for values, least in limits))


def _limit(values, least):
    """What about `_FALSE_ALARMS` of such stars exceed, and at least `least`.

    The logarithms of the largest tenth are taken to fall off exponentially.
    """
    logs = np.sort(np.log(np.maximum(values, least / 10)))[::-1]  # many are 0
    n_tail = max(len(logs) // 10, min(_LEAST_TAIL, len(logs) // 2))
    fall_off = (logs[:n_tail].mean() - logs[n_tail]) * (1 + _STANDARD_ERRORS / np.sqrt(n_tail))
    limit = np.exp(logs[n_tail] + fall_off * np.log(n_tail / len(logs) / _FALSE_ALARMS))
    return max(least, float(limit)) * (1 + 1e-6)  # stars that are all alike stay below


def _label_limits(labels):
    """Range of each label, and the margin about it."""
    lowest, highest = np.nan_to_num([np.fmin.reduce(labels), np.fmax.reduce(labels)])
    n_known = (~np.isnan(labels)).sum(axis=0)
    share = np.where(n_known < _FEWEST_STARS, 0, np.maximum(_LABEL_MARGIN, 2 / np.sqrt(np.maximum(n_known, 1))))
    return {"label_range": np.stack([lowest, highest]), "label_margin": share * (highest - lowest)}


def _model_limit(model_std, n_labels):
    """Median model uncertainty of each label, and the limit of `_relative_spread`."""
    model_std = np.empty((0, n_labels)) if model_std is None else _as_columns(model_std)
    if len(model_std) < _FEWEST_STARS:
        return np.zeros(n_labels), np.inf
    scale = np.median(model_std, axis=0)
    return scale, _limit(_relative_spread(model_std, scale), _LEAST_MODEL_LIMIT) if scale.any() else np.inf


def _relative_spread(model_std, scale):
    """Root mean square over the labels of the model uncertainty, in units of `scale`."""
    return np.sqrt(((model_std[:, scale > 0] / scale[scale > 0]) ** 2).mean(axis=1))


def result_flags(prediction):
    """Bits that SDSS-V sets, which depend on a prediction alone.

    Parameters
    ----------
    prediction : Prediction
        By any model.

    Returns
    -------
    flags : ndarray of int32 of shape (n_samples,)
        Sums of the `NoveltyFlag` bits 0 to 2 and 11, as far as the labels are predicted that they are about.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.novelty import NoveltyFlag, result_flags
    >>> from skbcnn import Prediction
    >>> mean, error = np.full((2, 1), 4500.0), np.array([[30.0], [400.0]])
    >>> NoveltyFlag(int(result_flags(Prediction(mean, error, error, error, ("teff",)))[1]))
    <NoveltyFlag.UNCERTAIN_TEFF: 2>
    """
    mean, total = _as_columns(prediction.mean), _as_columns(prediction.total)
    value = dict(zip(prediction.label_names, mean.T, strict=True))
    error = dict(zip(prediction.label_names, total.T, strict=True))
    flags = _set(NoveltyFlag.NO_RESULT, ~np.isfinite(mean).all(axis=1))
    rules = {
        "logg": (NoveltyFlag.UNCERTAIN_LOGG, lambda x, e: (e > 0.2) & (e > 0.075 * abs(x))),
        "teff": (NoveltyFlag.UNCERTAIN_TEFF, lambda x, e: e > 300),
        "Fe": (NoveltyFlag.UNCERTAIN_FE_H, lambda x, e: e > 0.12 * abs(x)),
    }
    for name in rules.keys() & value.keys():
        flag, is_uncertain = rules[name]
        flags |= _set(flag, is_uncertain(value[name], error[name]))
    return flags


def _set(flag, where):
    """A bit, where it is set."""
    return np.where(where, np.int32(flag), np.int32(0))


def _as_columns(values):
    """Values of one label as a column."""
    values = np.asarray(values, dtype=np.float64)
    return values[:, np.newaxis] if values.ndim == 1 else values
