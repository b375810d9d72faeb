"""Effects of the instrument on spectra: shift, broadening, continuum errors, noise and bad pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from skbcnn.augmentation.amplitudes import Augmentation

_MAX_SHIFT = 4.0  # standard deviations
_LONGEST_RUN = 5  # bad pixels beside each other
BAD_PIXEL_FLUX = 1.0


class InstrumentEffects:
    """Random effects of the instrument on spectra of one grid.

    Parameters
    ----------
    augmentation : Augmentation
        Amplitudes of the effects.
    n_pixels : int
        Number of pixels of a spectrum.
    chips : sequence of slice, default=None
        Pixels of each chip. No effect crosses from one chip to another. None: one chip.
    """

    def __init__(self, augmentation: Augmentation, n_pixels: int, chips: Sequence[slice] | None = None) -> None:
        self.augmentation, self.n_pixels = augmentation, n_pixels
        self.chips = checked_chips(chips, n_pixels)

    def apply(self, x: np.ndarray, x_err: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
        """Apply all effects to spectra.

        Parameters
        ----------
        x : ndarray of shape (n, n_pixels), float32
            Flux, which is not changed. A value of exactly 1 marks a bad pixel, and stays.
        x_err : ndarray of shape (n, n_pixels) or (n, 1), or None
            Flux errors. None: no noise is added.
        random : numpy.random.Generator
            Source of the effects.

        Returns
        -------
        x : ndarray of shape (n, n_pixels), float32
            Flux as another exposure could show it.
        """
        amplitudes, n, is_bad = self.augmentation, len(x), x == BAD_PIXEL_FLUX
        if amplitudes.shift or amplitudes.broadening:
            shift = amplitudes.shift * random.standard_normal(n).clip(-_MAX_SHIFT, _MAX_SHIFT)
            variance = amplitudes.broadening * random.uniform(-1, 1, n).clip(min=0)  # none for half of the spectra
            x = self._smoothed(x, shift_and_broaden(shift, variance, self._margin))
        if any(amplitudes.continuum):
            terms = random.standard_normal((n, len(self.chips), 3)) * amplitudes.continuum
            x = x * self._continuum(terms.astype(np.float32))
        if amplitudes.noise[1] > 0 and x_err is not None:
            level = random.uniform(*amplitudes.noise, size=(n, 1)).astype(np.float32)
            x = x + random.standard_normal(x.shape, dtype=np.float32) * (level * x_err)
        x = np.where(is_bad, np.float32(BAD_PIXEL_FLUX), x)  # which the normalisation sets last
        return self._with_bad_pixels(x, is_bad.mean(axis=1), random) if amplitudes.bad_pixels else x

    @cached_property
    def _margin(self) -> int:
        """Number of pixels that a kernel reaches to each side."""
        return int(np.ceil(_MAX_SHIFT * self.augmentation.shift)) + 3

    def _smoothed(self, x: np.ndarray, kernels: np.ndarray) -> np.ndarray:
        """Convolve each spectrum with its kernel, chip by chip, with the flux of the edges beyond them."""
        margin = self._margin
        widened = np.concatenate(
            [np.arange(c.start - margin, c.stop + margin).clip(c.start, c.stop - 1) for c in self.chips]
        )
        inside = np.concatenate(
            [np.arange(c.start, c.stop) + margin * (2 * number + 1) for number, c in enumerate(self.chips)]
        )
        out = np.empty_like(x)
        for spectrum, kernel, target in zip(x, kernels, out, strict=True):
            target[:] = np.convolve(spectrum[widened], kernel, mode="same")[inside]
        return out

    def _continuum(self, coefficients: np.ndarray) -> np.ndarray:
        """Return factors of shape (n, n_pixels): one plus a Legendre polynomial of second degree on each chip."""
        factors = np.empty((len(coefficients), self.n_pixels), dtype=np.float32)
        for chip, of_chip in zip(self.chips, np.moveaxis(coefficients, 1, 0), strict=True):
            constant, slope, curvature = of_chip.T[..., np.newaxis]
            place = np.linspace(-1, 1, chip.stop - chip.start, dtype=np.float32)
            target = factors[:, chip]  # a + place * (b + place * c), without temporary arrays
            np.multiply(1.5 * curvature, place, out=target)
            target += slope
            target *= place
            target += 1 + constant - 0.5 * curvature
        return factors

    def _with_bad_pixels(self, x: np.ndarray, share_before: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Set runs of pixels to 1, in place, until the share of bad pixels, now `share_before`, is reached."""
        mean_length = (1 + _LONGEST_RUN) / 2
        share = random.uniform(0, 2 * self.augmentation.bad_pixels, len(x))
        share_of_good = (share - share_before).clip(min=0) / (1 - share_before).clip(min=1 / self.n_pixels)
        n_runs = random.poisson(-np.log1p(-share_of_good) * self.n_pixels / mean_length)  # some runs overlap
        row = np.repeat(np.arange(len(x)), n_runs)
        first = random.integers(self.n_pixels, size=len(row))
        length = random.integers(1, _LONGEST_RUN + 1, size=len(row))
        for offset in range(_LONGEST_RUN):
            pixel = first + offset
            hit = (offset < length) & (pixel < self._chip_end[first])
            x[row[hit], pixel[hit]] = BAD_PIXEL_FLUX
        return x

    @cached_property
    def _chip_end(self) -> np.ndarray:
        """Return for each pixel the end of its chip."""
        ends = np.arange(1, self.n_pixels + 1)
        for chip in self.chips:
            ends[chip] = chip.stop
        return ends


def checked_chips(chips: Sequence[slice] | None, n_pixels: int) -> list[slice]:
    """Return the pixels of each chip.

    Parameters
    ----------
    chips : sequence of slice or None
        Pixels of each chip, in order; None: one chip.
    n_pixels : int
        Number of pixels of a spectrum.

    Returns
    -------
    chips : list of slice

    Raises
    ------
    ValueError
        If they do not cover each pixel once.
    """
    if chips is None:
        return [slice(0, n_pixels)]
    is_sequence = isinstance(chips, Sequence) and all(isinstance(chip, slice) for chip in chips)
    ends = [0, *(chip.stop for chip in chips)] if is_sequence else []
    starts = [*(chip.start for chip in chips), n_pixels] if is_sequence else [None]
    if ends != starts or any(chip.step not in (None, 1) or chip.start >= chip.stop for chip in chips):
        raise ValueError(
            f"chips={chips!r}, expected slices in order that cover each of the {n_pixels} pixels once, such as "
            f"[slice(0, {n_pixels // 2}), slice({n_pixels // 2}, {n_pixels})]."
        )
    return [slice(chip.start, chip.stop) for chip in chips]


def shift_and_broaden(shift: np.ndarray, variance: np.ndarray, margin: int) -> np.ndarray:
    """Return convolution kernels that shift spectra and broaden their lines.

    The shift interpolates with cubic Lagrange polynomials. The broadening is two passes of a kernel of three pixels,
    each of half the variance.

    Parameters
    ----------
    shift : ndarray of shape (n,)
        Shifts in pixels; positive ones move lines to higher pixels.
    variance : ndarray of shape (n,)
        Variances in pixels squared.
    margin : int
        Number of pixels of a kernel on each side of its centre: at least 2 more than the largest shift, and 2 more
        with a broadening.

    Returns
    -------
    kernels : ndarray of shape (n, 2 * margin + 1), float32
        Each sums to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.augmentation.instrument import shift_and_broaden
    >>> shift_and_broaden(np.array([1.0]), np.array([0.0]), 3)
    array([[0., 0., 0., 0., 1., 0., 0.]], dtype=float32)
    """
    whole = np.floor(shift).astype(int)
    f = shift - whole
    lagrange = np.stack(  # weights of the pixels whole - 1 to whole + 2 after the centre
        [
            -f * (f - 1) * (f - 2) / 6,
            (f + 1) * (f - 1) * (f - 2) / 2,
            -(f + 1) * f * (f - 2) / 2,
            (f + 1) * f * (f - 1) / 6,
        ],
        axis=1,
    )
    kernels = np.zeros((len(shift), 2 * margin + 1))
    columns = margin + whole[:, None] + np.arange(-1, 3)
    np.put_along_axis(kernels, columns.clip(0, 2 * margin), lagrange, axis=1)
    wing = variance[:, None] / 4
    for _ in range(2):
        kernels = (1 - 2 * wing) * kernels + wing * (np.roll(kernels, 1, axis=1) + np.roll(kernels, -1, axis=1))
    return kernels.astype(np.float32)
