"""Likely causes why most spectra of a sample are out-of-distribution, measured on the spectra.

Other stars than those of the training set are rarely most of a sample. A normalisation, a pixel grid or a velocity that
differs from the training affects all spectra, and so do bad pixels that are not marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skbcnn._user_warnings import warn_user
from skbcnn.novelty.flags import NoveltyFlag
from skbcnn.novelty.principal_components import SpectrumStatistics, clip_flux, find_bad_pixels

if TYPE_CHECKING:
    from skbcnn.novelty.domain import TrainingDomain

MAX_SPECTRA = 200  # whose causes are measured
_MIN_SPECTRA = 10  # in a sample, to speak of most of them
_LEVEL_TOLERANCE = 0.02  # metal-poor giants are 1 % above solar ones
_MAX_LAG, _MIN_LAG = 50, 2  # pixels
_MIN_CORRELATION = 0.3  # of shifted spectra with the mean training spectrum
_SPIKE, _SPIKE_SIGMAS = 0.3, 8  # flux above the continuum, and further above it in units of the noise
_SPIKES = "spikes"
_SMOOTHING = 301  # pixels


def explain_outside(
    domain: TrainingDomain,
    flags: np.ndarray,
    x: np.ndarray,
    x_err: np.ndarray | None = None,
    *,
    only_measured: bool = False,
) -> str | None:
    """Return why most stars of a sample are out-of-distribution.

    Parameters
    ----------
    domain : TrainingDomain
        Domain of the training stars.
    flags : ndarray of int of shape (n_samples,)
        Flags of all stars of the sample.
    x : ndarray of shape (n_spectra, n_pixels)
        Spectra of the stars that `suspect_rows` selects.
    x_err : ndarray of shape (n_spectra, n_pixels), default=None
        Flux errors; 0 for bad pixels.
    only_measured : bool, default=False
        Whether to return None if flux level, shifts and bad pixels are like those of the training spectra.

    Returns
    -------
    explanation : str or None
        One or more sentences. None for fewer than 10 stars, or if at most half of them are out-of-distribution, or
        noisier than the training stars because of spikes.
    """
    outside = (flags & NoveltyFlag.OUTSIDE) != 0
    n_outside, n_suspect = int(outside.sum()), int(_is_suspect(flags).sum())
    if len(flags) < _MIN_SPECTRA or n_suspect <= len(flags) / 2:
        return None
    x, x_err = x[:MAX_SPECTRA], None if x_err is None else x_err[:MAX_SPECTRA]
    causes = _causes(domain, x, x_err)
    if n_outside <= len(flags) / 2:  # noise alone is no fault, but spikes look like noise
        causes = [cause for cause in causes if cause.startswith(_SPIKES)]
        text = f"{n_suspect} of {len(flags)} spectra are noisier than the training spectra, or out-of-distribution."
        return f"{text} Likely cause: {causes[0]}" if causes else None
    if not causes:
        if only_measured:
            return None
        causes = [_cause_in_flags(flags[outside])]
    return f"{n_outside} of {len(flags)} spectra are out-of-distribution. Likely cause: {' Also: '.join(causes)}"


def suspect_rows(flags: np.ndarray, max_rows: int = MAX_SPECTRA) -> np.ndarray:
    """Return stars that are out-of-distribution or noisier than the training stars.

    Parameters
    ----------
    flags : ndarray of int of shape (n_samples,)
        Flags of stars.
    max_rows : int, default=200
        Largest number of stars.

    Returns
    -------
    rows : ndarray of int
        Indices, spread evenly over those that qualify.
    """
    rows = np.flatnonzero(_is_suspect(flags))
    return rows[:: len(rows) // max_rows + 1] if len(rows) > max_rows else rows


def _is_suspect(flags: np.ndarray) -> np.ndarray:
    return (flags & (NoveltyFlag.OUTSIDE | NoveltyFlag.NOISIER_THAN_TRAINED)) != 0


def warn_of_likely_cause(
    domain: TrainingDomain, flags: np.ndarray, x: np.ndarray, x_err: np.ndarray | None = None
) -> None:
    """Warn if most stars of a sample are out-of-distribution and the spectra show why.

    Parameters
    ----------
    domain : TrainingDomain
        Domain of the training stars.
    flags : ndarray of int of shape (n_samples,)
        Flags of all stars of the sample.
    x : ndarray of shape (n_samples, n_pixels)
        Their spectra.
    x_err : ndarray of shape (n_samples, n_pixels), default=None
        Flux errors; 0 for bad pixels.

    Warns
    -----
    UserWarning
        If more than half of at least 10 stars are out-of-distribution, and a cause was measured.
    """
    rows = suspect_rows(flags)
    errors = None if x_err is None else x_err[rows]
    if explanation := explain_outside(domain, flags, x[rows], errors, only_measured=True):
        warn_user(explanation)


def _causes(domain: TrainingDomain, x: np.ndarray, x_err: np.ndarray | None) -> list[str]:
    """Return the causes that are found in the spectra, as sentences without subject."""
    x = clip_flux(x)
    bad = find_bad_pixels(x, x_err, domain.marks)
    good_flux = np.where(bad, np.nan, x)
    ratio = np.where(domain.center > 0.1, domain.center, np.nan)
    usable = ~bad.all(axis=1) & np.isfinite(ratio).any()
    if not usable.any():
        return ["no pixel is good in these spectra."]
    level = float(np.median(np.nanmedian(good_flux[usable] / ratio, axis=1)))
    filled = np.where(bad, domain.center, x / level if level > 0 else x)
    lags, correlations = _lags(_lines(domain.center[np.newaxis])[0], _lines(filled))
    has_lines = float(np.median(correlations)) > _MIN_CORRELATION  # those of the training spectra
    found = [
        _level_cause(domain, float(np.nanmedian(good_flux)), level, has_lines),
        _bad_pixel_cause(domain, bad),
        _shift_cause(lags[correlations > _MIN_CORRELATION], len(x)),
        _spike_cause(filled, domain.center),
    ]
    return [cause for cause in found if cause]


def _level_cause(domain: TrainingDomain, median: float, level: float, has_lines: bool) -> str:
    is_similar = 0.5 < level < 2
    if abs(level - 1) <= _LEVEL_TOLERANCE or (is_similar and not has_lines):  # other lines change the median, too
        return ""
    difference = f"{abs(level - 1):.1%} {'above' if level > 1 else 'below'}" if is_similar else f"{level:.3g} times"
    return (
        f"the normalisation. The flux is {difference} that of the training spectra (median {median:.4g}, in the "
        f"training {float(np.median(domain.center)):.4g}). Prepare the spectra like the training spectra, with "
        "prepare_for_model."
    )


def _bad_pixel_cause(domain: TrainingDomain, bad: np.ndarray) -> str:
    inverse_limit = domain.inverse_limits[SpectrumStatistics._fields.index("bad")]
    share = float(np.median(bad.mean(axis=1)))
    if share * inverse_limit <= 1:
        return ""
    return (
        f"bad pixels. In the median spectrum {share:.1%} of the pixels are bad, and the limit is "
        f"{1 / inverse_limit:.1%}. Look for an empty chip or a bitmask with other bits."
    )


def _shift_cause(lags: np.ndarray, n_spectra: int) -> str:
    """Describe the shifts of the spectra whose lines were found."""
    lags = lags[np.abs(lags) >= _MIN_LAG]
    if len(lags) <= n_spectra / 2:
        return ""
    median = np.median(lags)
    if np.median(np.abs(lags - median)) < _MIN_LAG:
        return (
            f"the pixels. The lines of all spectra lie {abs(median):.0f} pixels to the "
            f"{'right' if median > 0 else 'left'} of those in the training spectra. Look for a pixel grid of another "
            "data release, air wavelengths, or gaps that were removed otherwise."
        )
    return (
        f"velocity shifts. The lines lie {np.median(np.abs(lags)):.0f} pixels (median; it differs from star to star) "
        "from those in the training spectra. Shift the spectra to rest, as those of apStar files are."
    )


def _spike_cause(x: np.ndarray, center: np.ndarray) -> str:
    noise = 1.4826 * np.median(np.abs(x - center), axis=1, keepdims=True)
    spikes = x > 1 + _SPIKE + _SPIKE_SIGMAS * noise
    if spikes.any(axis=1).mean() <= 0.5:
        return ""
    return (
        f"{_SPIKES}. The median spectrum has {np.median(spikes.sum(axis=1)):.0f} pixels far above the continuum, such "
        "as sky lines or cosmic rays. Pass the bitmask or the flux errors that mark them, so that they are replaced."
    )


def _cause_in_flags(flags: np.ndarray) -> str:
    """Return the cause if none is found in the level, the lines and the pixels of the spectra."""

    def have_most(flag: NoveltyFlag) -> bool:
        return bool(np.mean((flags & flag) != 0) > 0.5)

    if have_most(NoveltyFlag.SPECTRUM_NOVEL):
        what = "the spectra have other lines than the training spectra"
    elif have_most(NoveltyFlag.LABEL_OUT_OF_RANGE):
        what = "the predicted labels lie outside the range of the training labels"
    else:
        what = "the network is less certain than for training stars"
    return (
        f"{what}. Flux level, shifts and bad pixels do not explain it, so these may be other kinds of stars, spectra "
        "of another resolution, or no spectra."
    )


def _lines(x: np.ndarray) -> np.ndarray:
    """Return spectra minus their running mean."""
    width = min(_SMOOTHING, x.shape[1] // 2 * 2 - 1)
    padded = np.pad(x.astype(np.float64), ((0, 0), (width // 2, width // 2)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    return x - (sums[:, width:] - sums[:, :-width]) / width


def _lags(template: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shift of each spectrum with the highest correlation with the template, and this correlation."""
    max_lag = min(_MAX_LAG, len(template) // 4)
    lags = np.arange(-max_lag, max_lag + 1)
    inner = slice(max_lag, len(template) - max_lag)
    moved = np.stack([np.roll(template, lag)[inner] for lag in lags])
    norms = np.linalg.norm(moved, axis=1) * np.linalg.norm(x[:, inner], axis=1)[:, np.newaxis]
    correlations = x[:, inner] @ moved.T / np.maximum(norms, np.finfo(float).tiny)
    return lags[correlations.argmax(axis=1)], correlations.max(axis=1)
