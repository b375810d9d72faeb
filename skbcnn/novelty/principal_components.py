"""Principal components of training spectra, and statistics that compare other spectra with them.

A spectrum is projected on the principal components. The scores of this projection measure the distance from the mean of
the training spectra within the subspace of the components. The residual measures the distance from this subspace. Noise
is separated from lines by the covariance of pixels `_LAG` apart, to which photon noise does not contribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from skbcnn._chunks import row_chunks

_MAX_COMPONENTS, _STARS_PER_COMPONENT, _PIXELS_PER_COMPONENT = 30, 5, 4
_QUANTILE, _QUANTILE_OF_NORMAL = 0.99, 2.576  # a share of |scores|, and its limit in standard deviations of a Gaussian
_MAX_NOISE_STARS = 300  # from which the median noise is computed
_LAG = 2  # pixels: resampled spectra share their noise with the next pixel, and lines are wider
_NOISE_SIGMAS = 4  # allowance for chance effects of noise
_MAX_FLUX = 1e8  # larger flux is clipped, so that the sum of squares stays finite


class SpectrumStatistics(NamedTuple):
    """Statistics of spectra relative to the training spectra, each of shape (n_samples,).

    Attributes
    ----------
    unexplained : ndarray
        Share of the structure (lines, bands) of a spectrum outside the subspace of the components. Structure is
        measured as the covariance of pixels two apart, which excludes photon noise, minus an allowance for chance.
    distance : ndarray
        Fourth-power mean of the component scores in units of their spread, noise included. It lies between the root
        mean square and the largest score.
    faintness : ndarray
        Inverse of the line strength relative to the mean training spectrum, at the upper limit of its uncertainty.
    bad : ndarray
        Fraction of bad pixels. The other statistics ignore these pixels.
    noise : ndarray
        Standard deviation per pixel of the noise, estimated from the spectrum itself.
    """

    unexplained: np.ndarray
    distance: np.ndarray
    faintness: np.ndarray
    bad: np.ndarray
    noise: np.ndarray


class PrincipalComponents(NamedTuple):
    """Mean and principal components of training spectra.

    Attributes
    ----------
    center : ndarray of shape (n_pixels,), float32
        Mean flux of the good pixels.
    components : ndarray of shape (n_components, n_pixels), float32
        Principal components.
    spread : ndarray of shape (n_components,)
        Spread of the scores, noise included, as a standard deviation.
    noise : ndarray of shape ()
        Median noise of the training spectra.
    """

    center: np.ndarray
    components: np.ndarray
    spread: np.ndarray
    noise: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, bad: np.ndarray, rng: np.random.RandomState) -> PrincipalComponents:
        """Return the principal components of spectra, with bad pixels left out.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_pixels), float32
            Flux, in random order.
        bad : ndarray of bool of shape (n_samples, n_pixels)
            Bad pixels.
        rng : RandomState
            Random numbers of the randomised singular value decomposition.

        Returns
        -------
        components : PrincipalComponents
        """
        n_stars, n_pixels = x.shape
        n_good = (~bad).sum(axis=0)
        mean = np.where(bad, 0, x).sum(axis=0, dtype=np.float64) / np.maximum(n_good, 1)
        center = np.where(n_good > 0, mean, 1).astype(np.float32)
        offsets = np.where(bad, np.float32(0), x - center)
        n_components = max(1, min(_MAX_COMPONENTS, n_stars // _STARS_PER_COMPONENT, n_pixels // _PIXELS_PER_COMPONENT))
        for _ in range(2 if bad.any() else 1):
            _, _, components = randomized_svd(
                offsets, n_components, n_iter=2, power_iteration_normalizer="LU", random_state=rng
            )
            np.copyto(offsets, offsets @ components.T @ components, where=bad)  # fill bad pixels from the good ones
        components = np.ascontiguousarray(components, dtype=np.float32)  # so that sums round as after loading
        limits = np.quantile(np.abs(offsets @ components.T).astype(np.float64), _QUANTILE, axis=0)
        fitted = cls(center, components, limits / _QUANTILE_OF_NORMAL, np.zeros(()))
        rows = slice(_MAX_NOISE_STARS)
        return fitted._replace(noise=np.asarray(np.median(fitted.chunked_statistics(x[rows], bad[rows]).noise)))

    def chunked_statistics(self, x: np.ndarray, bad: np.ndarray) -> SpectrumStatistics:
        """Return `statistics`, computed for a part of the spectra after the other to save memory."""
        return concatenate([self.statistics(x[rows], bad[rows]) for rows in row_chunks(*x.shape)])

    def statistics(self, x: np.ndarray, bad: np.ndarray) -> SpectrumStatistics:
        """Return the statistics of spectra.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_pixels), float32
            Flux.
        bad : ndarray of bool of shape (n_samples, n_pixels)
            Bad pixels.

        Returns
        -------
        statistics : SpectrumStatistics
        """
        offsets = x - self.center
        offsets[bad] = 0
        scores = self._scores(offsets)
        for _ in range(2 if bad.any() else 0):  # fill bad pixels from the good ones
            np.copyto(offsets, self._reconstruct(scores), where=bad)
            scores = self._scores(offsets)
        residual = offsets - self._reconstruct(scores)
        residual[bad] = 0
        lines = 1 - x
        lines[bad] = 0
        noise, structure, n_pairs = self._noise_and_structure(residual, bad)
        variance = np.maximum(noise, self.noise) ** 2  # the components do not resolve what is below the training noise
        chance = _NOISE_SIGMAS * variance / np.sqrt(n_pairs)
        rounding = np.finfo(np.float32).eps ** 2  # of flux near 1
        unexplained = np.maximum(structure - chance, 0) / np.maximum(_covariance(lines, n_pairs) + chance, rounding)
        scaled = scores**2 / (self.spread**2 + (variance - self.noise**2)[:, np.newaxis] + rounding)
        distance = (scaled**2).mean(axis=1) ** 0.25
        return SpectrumStatistics(unexplained, distance, self._faintness(lines, bad, noise), bad.mean(axis=1), noise)

    def pixel_noise(self, x: np.ndarray, bad: np.ndarray) -> np.ndarray:
        """Return the noise of spectra. Bad pixels need not be filled for this.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_pixels), float32
            Flux.
        bad : ndarray of bool of shape (n_samples, n_pixels)
            Bad pixels.

        Returns
        -------
        noise : ndarray of shape (n_samples,)
            Standard deviation per pixel.
        """
        offsets = x - self.center
        offsets[bad] = 0
        offsets -= self._reconstruct(self._scores(offsets))
        offsets[bad] = 0
        return self._noise_and_structure(offsets, bad)[0]

    def _noise_and_structure(self, residual: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the noise of each spectrum, the covariance of pixels `_LAG` apart, and the number of such pairs."""
        good = ~bad
        n_free = np.maximum(good.sum(axis=1) - len(self.spread), 1)  # the components remove part of the noise
        n_pairs = np.maximum((good[:, _LAG:] & good[:, :-_LAG]).sum(axis=1), 1)
        structure = _covariance(residual, n_pairs)
        power = np.einsum("ij,ij->i", residual, residual).astype(np.float64) / n_free
        return np.sqrt(np.maximum(power - np.maximum(structure, 0), 0)), structure, n_pairs

    def _scores(self, offsets: np.ndarray) -> np.ndarray:
        """Return the component scores. BLAS is not used, because its rounding depends on the other rows."""
        return np.einsum("ij,kj->ik", offsets, self.components)

    def _reconstruct(self, scores: np.ndarray) -> np.ndarray:
        """Return the offsets from the mean spectrum that have these scores."""
        return np.einsum("ik,kj->ij", scores, self.components)

    def _faintness(self, lines: np.ndarray, bad: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return the inverse of the upper limit of the line strength."""
        expected = (1 - self.center).astype(np.float64)
        row, pixel = np.nonzero(bad)
        power = (expected**2).sum() - np.bincount(row, expected[pixel] ** 2, minlength=len(bad))
        power = np.maximum(power, np.finfo(np.float32).tiny)
        strength = np.einsum("ij,j->i", lines, expected.astype(np.float32)) / power
        return 1 / np.maximum(strength + _NOISE_SIGMAS * noise / np.sqrt(power), 1e-6)


def concatenate(parts: Sequence[SpectrumStatistics]) -> SpectrumStatistics:
    """Return the statistics of several sets of spectra as one."""
    return SpectrumStatistics(*map(np.concatenate, zip(*parts, strict=True)))


def clip_flux(x: np.ndarray) -> np.ndarray:
    """Return flux as float32, limited to values whose squares can be summed."""
    return np.clip(x, -_MAX_FLUX, _MAX_FLUX).astype(np.float32, copy=False)


def find_bad_pixels(x: np.ndarray, x_err: np.ndarray | None, marks: np.ndarray) -> np.ndarray:
    """Return which pixels hold no measurement: zero error, or a flux that marks bad pixels.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_pixels)
        Flux.
    x_err : ndarray of shape (n_samples, n_pixels) or None
        Flux errors from `usable_spectra`. 0 marks bad pixels.
    marks : ndarray of shape (2,)
        Whether a flux of exactly 0, and of exactly 1, marks a bad pixel.

    Returns
    -------
    bad : ndarray of bool of shape (n_samples, n_pixels)
    """
    bad = np.zeros(x.shape, dtype=bool) if x_err is None else x_err == 0
    for value, is_mark in zip((0, 1), marks, strict=True):
        if is_mark:
            bad |= x == value
    return bad


def _covariance(x: np.ndarray, n_pairs: np.ndarray) -> np.ndarray:
    """Return the mean product of pixels `_LAG` apart."""
    return np.einsum("ij,ij->i", x[:, _LAG:], x[:, :-_LAG]).astype(np.float64) / n_pairs
