"""Observation of the synthetic stars: spectrograph, photon noise, and data reduction.

`observed_spectra` does it all. Effects of a combined spectrum come first; a single visit has further ones.
"""

import warnings
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy.fft import irfft, rfft, rfftfreq
from scipy.special import ndtri
from sklearn.utils import check_random_state

from skbcnn.datasets.synthetic.lines import INSTRUMENT_SIGMA
from skbcnn.datasets.synthetic.star import clean_flux
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import chip_slices, kept_pixels

_CHUNK_SIZE = 256  # stars: bounds the memory of the optical depths

_INSTRUMENT_SEED = 22_500
_TURBULENCE_SCATTER = 0.02  # dex
_SHIFT_SCATTER = 0.1  # pixels, of 4.1 km/s
_WIDTH_SCATTER = 0.03
_RADIAL_VELOCITY_SCATTER = 8.0  # pixels: shifts sky lines in spectra at rest
_CONTINUUM_SCATTER = (0.004, 0.004, 0.003, 0.002)  # of the Chebyshev coefficients of each chip
_N_SKY_LINES, _SKY_FLAGGED = 75, 0.4
_N_FAULTS = 4


def observed_spectra(
    truth: np.ndarray,
    snr: np.ndarray,
    streams: Mapping[str, np.random.RandomState],
    normalizer: ContinuumNormalizer | None = None,
    lines: str = "blanketed",
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and its error, both of shape (n_samples, 7514) and float32, computed in chunks.

    The spectra are single visits if `streams` has a stream for them, combined spectra otherwise.
    """
    X = np.empty((len(truth), len(kept_pixels())), dtype=np.float32)
    X_err = np.empty_like(X)
    for start in range(0, len(truth), _CHUNK_SIZE):
        rows = slice(start, start + _CHUNK_SIZE)
        visits = _visit_effects(len(truth[rows]), streams["visit"]) if "visit" in streams else None
        X[rows], X_err[rows] = _observe(truth[rows], snr[rows, np.newaxis], streams, lines, visits)
        if normalizer is not None:
            X[rows], X_err[rows] = _normalized(X[rows], X_err[rows], normalizer)
        if visits is not None:
            factor = np.where(X_err[rows] > 0, 1 + visits.continuum, 1.0)  # bad pixels stay at 1
            X[rows], X_err[rows] = factor * X[rows], factor * X_err[rows]
    return X, X_err


def _normalized(flux: np.ndarray, err: np.ndarray, normalizer: ContinuumNormalizer) -> tuple[np.ndarray, np.ndarray]:
    """Divide flux and errors by the continuum that the normaliser fits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # stars may have any noise here
            return normalizer.normalize(flux, err)[:2]
    except ValueError as error:
        raise ValueError(
            f"The continuum cannot be fitted with so much noise: {error} Pass a larger snr, or continuum='true'."
        ) from error


def _observe(
    labels: np.ndarray,
    snr: np.ndarray,
    streams: Mapping[str, np.random.RandomState],
    lines: str,
    visits: "_VisitEffects | None",
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and error after spectrograph and data reduction."""
    n_continuum = len(_continuum_basis())
    gauss = streams["instrument"].standard_normal((len(labels), 4 + n_continuum))
    turbulence, shift, width, velocity = gauss.T[:4, :, np.newaxis]
    flux = clean_flux(labels, 10 ** (_TURBULENCE_SCATTER * turbulence), lines)
    flux = _shifted_and_broadened(flux, _SHIFT_SCATTER * shift, _WIDTH_SCATTER * width)
    if visits is not None:
        flux = _convolved(flux, visits.shift, visits.variance)
    error = np.sqrt(flux) * noise_shape() / snr  # photon noise: lower in deep lines
    flux = flux * (1 + gauss[:, 4:] @ _continuum_basis()) + error * streams["noise"].standard_normal(flux.shape)
    flagged = _flagged_pixels(_RADIAL_VELOCITY_SCATTER * velocity, streams["flags"])
    if visits is not None:
        flagged |= visits.bad
    return np.where(flagged, 1.0, flux), np.where(flagged, 0.0, error)


def _shifted_and_broadened(flux: np.ndarray, shift: np.ndarray, widening: np.ndarray) -> np.ndarray:
    """Shift lines by `shift` pixels and broaden them by the fraction `widening`, to second order in both."""
    spread = 0.5 * (shift**2 + INSTRUMENT_SIGMA**2 * ((1 + widening) ** 2 - 1))
    moved = np.empty_like(flux)
    for chip in chip_slices().values():
        padded = np.pad(flux[:, chip], ((0, 0), (1, 1)), mode="edge")
        left, here, right = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
        moved[:, chip] = here - shift * (right - left) / 2 + spread * (right - 2 * here + left)
    return moved


@cache
def _continuum_basis() -> np.ndarray:
    """Return Chebyshev polynomials of each chip times their scatter, zero on other chips, of shape (12, 7514)."""
    basis = []
    for chip in chip_slices().values():
        x = np.linspace(-1, 1, chip.stop - chip.start)
        for degree, scatter in enumerate(_CONTINUUM_SCATTER):
            row = np.zeros(len(kept_pixels()))
            row[chip] = scatter * np.cos(degree * np.arccos(x))
            basis.append(row)
    return np.array(basis)


@cache
def noise_shape() -> np.ndarray:
    """Return the noise of each pixel relative to the median pixel; it increases toward the edges of the chips."""
    shape = np.exp(0.08 * check_random_state(_INSTRUMENT_SEED).standard_normal(len(kept_pixels())))
    for chip in chip_slices().values():
        pixel = np.arange(chip.stop - chip.start)
        shape[chip] *= 1 + 1.2 * np.exp(-np.minimum(pixel, pixel[::-1]) / 60)
    return shape / np.median(shape)


@cache
def _sky_lines() -> tuple[np.ndarray, np.ndarray]:
    """Return first pixel and number of pixels of the sky lines, for a star without radial velocity."""
    rng = check_random_state(_INSTRUMENT_SEED + 1)
    return rng.randint(0, len(kept_pixels()), _N_SKY_LINES), rng.randint(2, 6, _N_SKY_LINES)


def _flagged_pixels(velocity: np.ndarray, uniforms: np.random.RandomState) -> np.ndarray:
    """Return a mask of runs of pixels at sky lines, some of which are weak in a star, and at detector faults."""
    draws = uniforms.random_sample((len(velocity), _N_SKY_LINES + 2 * _N_FAULTS))
    is_strong = draws[:, :_N_SKY_LINES] < _SKY_FLAGGED
    place, length = draws[:, _N_SKY_LINES::2], draws[:, _N_SKY_LINES + 1 :: 2]
    first, n_pixels = _sky_lines()
    first = np.hstack([first + np.rint(velocity).astype(int), (place * len(kept_pixels())).astype(int)])
    n_pixels = np.hstack([n_pixels * is_strong, 1 + (6 * length).astype(int)])
    return _runs_to_mask(first, n_pixels, len(kept_pixels()))


def _runs_to_mask(first: np.ndarray, length: np.ndarray, n_pixels: int) -> np.ndarray:
    """Return the mask of shape (n_samples, n_pixels) of runs of pixels, which are cut at the ends."""
    edges = np.zeros((len(first), n_pixels + 1), dtype=int)
    star = np.arange(len(first))[:, np.newaxis]
    np.add.at(edges, (star, first.clip(0, n_pixels)), 1)
    np.add.at(edges, (star, (first + length).clip(0, n_pixels)), -1)
    return edges.cumsum(axis=1)[:, :-1] > 0


# Visits -------------------------------------------------------------------------------------------------------------

_VISIT_SHIFT = 0.2  # pixels, 1 sigma
_VISIT_VARIANCE = 1.0  # pixels squared: the largest broadening of the line-spread function
_VISIT_CONTINUUM = 0.004  # 1 sigma of each term
_VISIT_BAD_RUNS, _VISIT_RUN_LENGTH = 31, 6  # further runs in a spectrum, and longest run: 3 % bad pixels in all
_EDGE = 64  # pixels


class _VisitEffects(NamedTuple):
    """What single visits have beyond combined spectra."""

    shift: np.ndarray  # pixels, of shape (n_samples, 1)
    variance: np.ndarray  # pixels squared, of shape (n_samples, 1)
    continuum: np.ndarray  # relative error, of shape (n_samples, 7514)
    bad: np.ndarray  # mask of shape (n_samples, 7514)


def _visit_effects(n_samples: int, uniforms: np.random.RandomState) -> _VisitEffects:
    """Draw the effects of visits, star by star."""
    basis = _visit_continuum_basis()
    sizes = (1, 1, len(basis), _VISIT_BAD_RUNS, _VISIT_BAD_RUNS)
    draws = uniforms.random_sample((n_samples, sum(sizes)))
    shift, variance, terms, place, length = np.split(draws, np.cumsum(sizes)[:-1], axis=1)
    n_pixels = len(kept_pixels())
    return _VisitEffects(
        _VISIT_SHIFT * ndtri(shift),
        _VISIT_VARIANCE * variance,
        _VISIT_CONTINUUM * ndtri(terms) @ basis,
        _runs_to_mask((n_pixels * place).astype(int), 1 + (_VISIT_RUN_LENGTH * length).astype(int), n_pixels),
    )


@cache
def _visit_continuum_basis() -> np.ndarray:
    """Return constant, slope and curvature of each chip, zero on other chips, of shape (9, 7514)."""
    basis = np.zeros((3, 3, len(kept_pixels())))
    for terms, chip in zip(basis, chip_slices().values(), strict=True):
        terms[:, chip] = legendre.legvander(np.linspace(-1, 1, chip.stop - chip.start), 2).T
    return basis.reshape(9, -1)


def _convolved(flux: np.ndarray, shift: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Shift lines by `shift` pixels and convolve them with Gaussians of some variance, chip by chip."""
    moved = np.empty_like(flux)
    for chip in chip_slices().values():
        first, last = flux[:, [chip.start]], flux[:, [chip.stop - 1]]
        bridge = last + (first - last) * np.linspace(0, 1, _EDGE)  # the transform takes both ends as neighbours
        padded = np.hstack([flux[:, chip], bridge])
        angle = 2 * np.pi * rfftfreq(padded.shape[1])
        transfer = np.exp(-1j * angle * shift - 0.5 * angle**2 * variance)
        moved[:, chip] = irfft(rfft(padded) * transfer, padded.shape[1])[:, : chip.stop - chip.start]
    return moved
