"""Continuum of many spectra at once: the fit, the division, and the faults of each spectrum.

`normalize_blocks` works on arrays that are checked already, a few rows at a time, so that the intermediate arrays stay
in the cache of the processor. A spectrum gets the same numbers, bit for bit, whatever others are passed with it.
`ContinuumNormalizer` and the functions of `preparation` check what the user passes, and use it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from skbcnn._chunks import row_chunks
from skbcnn._error_level import (
    BAD_PIXEL_ERROR,
    HIGH_ERRORS,
    LOW_ERRORS,
    MAX_FLUX_ERROR,
    MIN_MEDIAN_ERROR,
    MOSTLY_HIGH_ERRORS,
    ErrorLevel,
    HighFluxErrorsError,
)
from skbcnn._user_warnings import rows_in_words, warn_user
from skbcnn.survey.bitmask import has_flags

_TOO_HIGH = "The flux errors are above the continuum"
_N_ARRAYS = 16  # of the size of a block that should be in the cache together with it: 8 rows of APOGEE's pixels


class _Weighting(NamedTuple):
    """Weights of the continuum fit: the factor on each residual, and whether flagged pixels are used."""

    factor: Callable[[np.ndarray], np.ndarray]
    keeps_flagged: bool


WEIGHTINGS = {
    "inverse_variance": _Weighting(lambda err: 1 / err, keeps_flagged=False),
    # astroNN passes the inverse variance as numpy's `w`, which multiplies residuals before they are squared
    "astronn": _Weighting(lambda err: 1 / (err**2 + 1e-8), keeps_flagged=True),
}


class ContinuumChip(NamedTuple):
    """One chip and its continuum pixels.

    Attributes
    ----------
    name : str
        Name of the chip, for the messages.
    pixels : slice
        Its pixels in a spectrum without gaps.
    continuum : ndarray of int
        Numbers of its continuum pixels, counted from the start of the spectrum.
    """

    name: str
    pixels: slice
    continuum: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Number of pixels of the chip."""
        return self.pixels.stop - self.pixels.start


class _ContinuumPixels(NamedTuple):
    """Continuum pixels of all chips as arrays of one shape: chips with fewer pixels repeat one that has no weight."""

    pixels: np.ndarray  # (n_chips, n_continuum), their numbers
    has_weight: np.ndarray  # (n_chips, n_continuum), bool
    basis: np.ndarray  # (n_chips, degree + 1, n_continuum), the polynomials at these pixels


@dataclass(frozen=True, eq=False)
class ContinuumFit:
    """How spectra are normalised.

    Attributes
    ----------
    chips : sequence of ContinuumChip
        Chips, which cover the spectrum without gaps.
    degree : int
        Degree of the polynomials.
    weighting : {"inverse_variance", "astronn"}
        Weights of the fit, as in `ContinuumNormalizer`.
    flags : int
        Bits of the bitmask that mark a pixel as bad.
    no_continuum : {"raise", "fill"}
        Whether a chip without continuum is a fault of its spectrum, or only its pixels are bad.
    """

    chips: Sequence[ContinuumChip]
    degree: int
    weighting: str
    flags: int
    no_continuum: str

    @cached_property
    def continuum_pixels(self) -> _ContinuumPixels:
        """Continuum pixels of all chips, and the polynomials there."""
        counts = [len(chip.continuum) for chip in self.chips]
        padded = [np.pad(chip.continuum, (0, max(counts) - len(chip.continuum)), "edge") for chip in self.chips]
        basis = [
            _chebyshev_basis(chip.n_pixels, self.degree)[:, index - chip.pixels.start]
            for chip, index in zip(self.chips, padded, strict=True)
        ]
        return _ContinuumPixels(np.array(padded), np.arange(max(counts)) < np.array(counts)[:, None], np.array(basis))


class PixelArrays(NamedTuple):
    """Checked arrays with one row for each spectrum.

    Attributes
    ----------
    flux : ndarray of shape (n_samples, n_pixels)
        Flux, with NaN where it is masked.
    err : ndarray of shape (n_samples, n_pixels) or None
        Errors of the flux.
    bitmask : ndarray of int or bool of shape (n_samples, n_pixels), or None
        Pixel flags, or True for bad pixels.
    kept : tuple of slice, default=(slice(None),)
        Pixels that the fit and the results have, one slice after the other.
    err_limit : float, default=inf
        Pixels whose error is not below this number, in the unit of the flux, are bad.
    """

    flux: np.ndarray
    err: np.ndarray | None
    bitmask: np.ndarray | None
    kept: tuple[slice, ...] = (slice(None),)
    err_limit: float = np.inf

    def read(self, rows: slice | np.ndarray, block: "_Block") -> None:
        """Write some rows in float64, without the pixels that are not kept, into a block.

        Parameters
        ----------
        rows : slice or ndarray of int
            Rows to read.
        block : _Block
            As many rows.
        """
        self._read_kept(self.flux, rows, block.flux)
        known = np.isfinite(block.flux, out=block.known)
        if self.err is not None:
            self._read_kept(self.err, rows, block.err)
            known &= np.greater(block.err, 0, out=block.scratch)
            known &= np.less(block.err, self.err_limit, out=block.scratch)

    def flagged(self, rows: slice, flags: int) -> np.ndarray | None:
        """Return which pixels of some rows have one of the flags; None without a bitmask."""
        if self.bitmask is None:
            return None
        return np.concatenate([has_flags(self.bitmask[rows, pixels], flags) for pixels in self.kept], axis=1)

    def _read_kept(self, values: np.ndarray, rows: slice | np.ndarray, out: np.ndarray) -> None:
        np.concatenate([values[rows, pixels] for pixels in self.kept], axis=1, out=out)


class _Block(NamedTuple):
    """Arrays of shape (n_rows, n_pixels) for one block of rows.

    All blocks use the same memory, because new memory costs more time than the computation: the operating system maps
    each page of it at the first use.
    """

    flux: np.ndarray
    err: np.ndarray
    continuum: np.ndarray
    term: np.ndarray  # of the polynomials
    known: np.ndarray  # bool: the pixel has a valid flux and error
    measured: np.ndarray  # bool: it has no bad flag and a continuum, too
    scratch: np.ndarray  # bool, of any meaning

    @classmethod
    def empty(cls, n_rows: int, n_pixels: int) -> "_Block":
        """Return a block of unset values."""
        return cls(*np.empty((4, n_rows, n_pixels)), *np.empty((3, n_rows, n_pixels), dtype=bool))

    def first(self, n_rows: int) -> "_Block":
        """Return the first rows of the block, which share its memory."""
        return _Block(*(values[:n_rows] for values in self))


class NormalizedBlocks(NamedTuple):
    """Normalised spectra, and what is wrong with them.

    Attributes
    ----------
    flux : ndarray of shape (n_samples, n_pixels)
        Flux in units of the continuum.
    err : ndarray of shape (n_samples, n_pixels) or None
        Errors of the flux; 0 for pixels that were replaced.
    good : ndarray of bool of shape (n_samples, n_pixels)
        False for pixels whose flux was replaced.
    undetermined : ndarray of bool of shape (n_samples, n_chips)
        Chips with too few usable continuum pixels.
    negative : ndarray of bool of shape (n_samples, n_chips)
        Chips with a continuum that is not positive.
    level : ErrorLevel
        Numbers of pixels with errors that are too high or too low.
    """

    flux: np.ndarray
    err: np.ndarray | None
    good: np.ndarray
    undetermined: np.ndarray
    negative: np.ndarray
    level: ErrorLevel


def normalize_blocks(fit: ContinuumFit, spectra: PixelArrays) -> NormalizedBlocks:
    """Divide spectra by their continuum, and replace bad pixels.

    Parameters
    ----------
    fit : ContinuumFit
        How the spectra are normalised.
    spectra : PixelArrays
        The spectra. The results have the floating-point type of their flux.

    Returns
    -------
    normalized : NormalizedBlocks
        `raise_faults` and `faults_of_rows` tell which spectra cannot be used.
    """
    shape, dtype = (len(spectra.flux), fit.chips[-1].pixels.stop), spectra.flux.dtype
    has_errors = spectra.err is not None
    out = NormalizedBlocks(
        flux=np.empty(shape, dtype),
        err=np.empty(shape, dtype) if has_errors else None,
        good=np.empty(shape, dtype=bool),
        undetermined=np.empty((len(spectra.flux), len(fit.chips)), dtype=bool),
        negative=np.empty((len(spectra.flux), len(fit.chips)), dtype=bool),
        level=ErrorLevel(len(spectra.flux), "X"),
    )
    blocks = list(row_chunks(shape[0], _N_ARRAYS * max(shape[1], fit.continuum_pixels.pixels.size)))
    memory = _Block.empty(blocks[0].stop, shape[1])
    with np.errstate(all="ignore"):  # unusable pixels may hold anything; each is replaced below
        for rows in blocks:
            _normalize_block(fit, spectra, rows, memory.first(rows.stop - rows.start), out)
    return out


def _normalize_block(
    fit: ContinuumFit, spectra: PixelArrays, rows: slice, block: _Block, out: NormalizedBlocks
) -> None:
    """Normalise some rows, and write the results into their rows of the output."""
    flux, err, continuum, _, known, measured, scratch = block
    spectra.read(rows, block)
    flagged = spectra.flagged(rows, fit.flags)
    np.copyto(measured, known)
    if flagged is not None:
        measured &= np.logical_not(flagged, out=flagged)
    usable = known if WEIGHTINGS[fit.weighting].keeps_flagged else measured
    out.undetermined[rows], out.negative[rows] = _fit_continuum(fit, block, usable, has_errors=out.err is not None)
    measured &= np.isfinite(continuum, out=scratch)
    good = np.greater_equal(flux, 0, out=out.good[rows])
    np.divide(flux, continuum, out=flux)
    if out.err is not None:
        marked = np.greater_equal(err, BAD_PIXEL_ERROR, out=known)
        relative_err = np.divide(err, continuum, out=err)
        np.copyto(relative_err, 0, where=np.logical_not(measured, out=scratch))
        out.level.add(rows, relative_err, measured, marked)
        measured &= np.less_equal(relative_err, MAX_FLUX_ERROR, out=scratch)
        good &= measured
        np.copyto(relative_err, 0, where=np.logical_not(good, out=scratch))
        out.err[rows] = relative_err
    else:
        good &= measured
    np.maximum(flux, 0, out=flux)
    np.copyto(flux, 1, where=np.logical_not(measured, out=scratch))
    out.flux[rows] = flux


def _fit_continuum(
    fit: ContinuumFit, block: _Block, usable: np.ndarray, *, has_errors: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Set the continuum, NaN on chips without one, and return on which chips it is undetermined or not positive."""
    pixels, has_weight, basis = fit.continuum_pixels
    use = usable[:, pixels] & has_weight
    factor = WEIGHTINGS[fit.weighting].factor(block.err[:, pixels]) if has_errors else 1.0
    coefficients, determined = _weighted_polynomials(
        np.where(use, block.flux[:, pixels], 0.0), np.where(use, factor, 0.0), basis
    )
    lowest = np.empty(determined.shape)
    for number, chip in enumerate(fit.chips):
        polynomials = _chebyshev_basis(chip.n_pixels, fit.degree)
        fitted, term = block.continuum[:, chip.pixels], block.term[:, chip.pixels]
        # term by term, because a matrix product rounds differently for other numbers of rows
        np.multiply(coefficients[:, number, :1], polynomials[0], out=fitted)
        for power in range(1, fit.degree + 1):
            fitted += np.multiply(coefficients[:, number, power, np.newaxis], polynomials[power], out=term)
        fitted.min(axis=1, out=lowest[:, number])
    negative = determined & ~(lowest > 0)
    for row, number in np.argwhere(negative | ~determined):
        block.continuum[row, fit.chips[number].pixels] = np.nan
    return ~determined, negative


@lru_cache(maxsize=16)
def _chebyshev_basis(n_pixels: int, degree: int) -> np.ndarray:
    """Return the Chebyshev polynomials on the pixels of a chip, from -1 to 1, of shape (degree + 1, n_pixels)."""
    basis = np.ascontiguousarray(chebvander(np.linspace(-1, 1, n_pixels), degree).T)
    basis.flags.writeable = False
    return basis


def _weighted_polynomials(height: np.ndarray, factor: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a polynomial to each chip of each row by least squares.

    Residuals are multiplied by `factor`; a factor of zero omits a pixel. The fit uses QR, not the normal equations,
    because errors in one spectrum differ by up to twelve orders of magnitude.

    Parameters
    ----------
    height, factor : ndarray of shape (n_rows, n_chips, n_continuum)
        Flux of the continuum pixels, and the factors.
    basis : ndarray of shape (n_chips, degree + 1, n_continuum)
        Polynomials at these pixels.

    Returns
    -------
    coefficients : ndarray of shape (n_rows, n_chips, degree + 1)
        Coefficients of the polynomials.
    determined : ndarray of bool of shape (n_rows, n_chips)
        Whether the pixels determine them.
    """
    n_terms = basis.shape[1]
    factor = factor / np.maximum(factor.max(axis=-1, keepdims=True), np.finfo(float).tiny)
    system = np.empty((*height.shape[:2], n_terms + 1, height.shape[2]))  # transposed, as LAPACK reads it
    np.multiply(factor[:, :, np.newaxis], basis, out=system[:, :, :n_terms])
    np.multiply(factor, height, out=system[:, :, n_terms])
    # the last column of r is that of the heights, multiplied by Q.T
    r = np.asarray(np.linalg.qr(system.swapaxes(-1, -2), mode="r"))
    triangle, heights = r[..., :n_terms, :n_terms], r[..., :n_terms, n_terms:]
    pivots = np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))
    enough = np.count_nonzero(factor, axis=-1) >= n_terms
    determined = enough & (pivots.min(axis=-1) > np.finfo(float).eps * pivots.max(axis=-1))
    if not determined.all():
        triangle = np.where(determined[..., np.newaxis, np.newaxis], triangle, np.eye(n_terms))
    return np.linalg.solve(triangle, heights)[..., 0], determined


def raise_faults(fit: ContinuumFit, spectra: PixelArrays, normalized: NormalizedBlocks, row: int | None = None) -> None:
    """Raise the first fault of spectra, if they have one.

    Parameters
    ----------
    fit, spectra
        As in `normalize_blocks`.
    normalized : NormalizedBlocks
        Its result.
    row : int, default=None
        The only row to look at; the message does not contain its number. None: all rows, and the message names those
        that have the fault.

    Raises
    ------
    ValueError
        If, with ``no_continuum="raise"``, a chip has no continuum, or all errors of a spectrum are above it.
    HighFluxErrorsError
        If more than half of the errors are above the continuum.
    """
    rows, level = _suspect_rows(normalized) if row is None else np.array([row]), normalized.level
    if len(rows) == 0:
        return
    if fit.no_continuum == "raise":
        for number, chip in enumerate(fit.chips):
            too_few = f"fewer than {fit.degree + 1} usable continuum pixels on chip {chip.name}"
            _raise_for_rows(rows[normalized.undetermined[rows, number]], too_few, row)
            negative = rows[normalized.negative[rows, number]]
            _raise_for_errors(spectra, negative, fit.chips[-1].pixels.stop)
            _raise_for_rows(negative, f"a continuum that is not positive on chip {chip.name}", row)
    level.check(_TOO_HIGH, None if row is None else rows)
    if fit.no_continuum == "raise" and len(unusable := np.intersect1d(rows, level.rows_without_good_pixels)):
        raise ValueError(
            f"{_subject(unusable, row)}: all flux errors are above the continuum, so no good pixel is left. "
            f"{HIGH_ERRORS} With no_continuum='fill' their flux is 1."
        )


def faults_of_rows(fit: ContinuumFit, spectra: PixelArrays, normalized: NormalizedBlocks) -> list[ValueError | None]:
    """Return the fault of each spectrum, as if it were the only one.

    Parameters
    ----------
    fit, spectra, normalized
        As in `raise_faults`.

    Returns
    -------
    faults : list of ValueError or None
        None for each spectrum that can be used.
    """
    faults: list[ValueError | None] = [None] * len(spectra.flux)
    for row in _suspect_rows(normalized).tolist():
        try:
            raise_faults(fit, spectra, normalized, row)
        except ValueError as fault:
            faults[row] = fault
    return faults


def notes_on_rows(normalized: NormalizedBlocks) -> list[str | None]:
    """Return what `warn_of_errors` would warn of, for each spectrum.

    Parameters
    ----------
    normalized : NormalizedBlocks
        Result of `normalize_blocks`.

    Returns
    -------
    notes : list of str or None
        Sentences without a subject, to be written after the name of the spectrum and a colon.
    """
    notes: list[str | None] = [None] * len(normalized.flux)
    for row in normalized.level.rows_too_high.tolist():
        notes[row] = MOSTLY_HIGH_ERRORS
    for row in normalized.level.rows_too_low.tolist():
        notes[row] = LOW_ERRORS
    return notes


def _suspect_rows(normalized: NormalizedBlocks) -> np.ndarray:
    """Return the rows that may have a fault."""
    suspect = (normalized.undetermined | normalized.negative).any(axis=1)
    suspect[normalized.level.rows_too_high] = True
    return np.flatnonzero(suspect)


def warn_of_errors(normalized: NormalizedBlocks) -> None:
    """Warn of spectra most of whose errors are above the continuum, or too small.

    Parameters
    ----------
    normalized : NormalizedBlocks
        Spectra without faults.

    Warns
    -----
    UserWarning
        If there are any; the warnings name the rows.
    """
    normalized.level.warn_of_high_errors()
    if len(low := normalized.level.rows_too_low):
        warn_user(f"{rows_in_words(low)} of X: {LOW_ERRORS}")


def _subject(rows: np.ndarray, row: int | None) -> str:
    return f"{rows_in_words(rows)} of X" if row is None else "The spectrum"


def _raise_for_rows(failed: np.ndarray, what: str, row: int | None) -> None:
    """Raise if any spectrum failed, and name the rows."""
    if len(failed):
        raise ValueError(
            f"{_subject(failed, row)} {'have' if len(failed) > 1 else 'has'} {what}, so the spectrum cannot be "
            "normalised. Leave such spectra out (the second row of an apStar file may be empty), or choose "
            "no_continuum='fill'."
        )


def _raise_for_errors(spectra: PixelArrays, failed: np.ndarray, n_pixels: int) -> None:
    """Raise if the errors explain why these spectra have no continuum: they are inverse variances, or in another unit.

    Their scale is the median flux, because the continuum is not known. The first spectra suffice.
    """
    if len(failed) == 0 or spectra.err is None:
        return
    rows = failed[next(row_chunks(len(failed), spectra.flux.shape[1]))]
    block = _Block.empty(len(rows), n_pixels)
    spectra.read(rows, block)
    flux, err, known = block.flux, block.err, block.known
    if not known.any():
        return
    level = np.median(np.abs(flux[known]))
    errors = err[known]
    if 2 * (n_high := int((errors > level * MAX_FLUX_ERROR).sum())) > errors.size:
        raise HighFluxErrorsError(_TOO_HIGH, n_high, errors.size)
    if 2 * int((errors < level * MIN_MEDIAN_ERROR).sum()) > errors.size:
        raise ValueError(f"The continuum is not positive, and {LOW_ERRORS}")
