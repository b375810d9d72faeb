"""Spectra as other exposures of the same stars could show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skbcnn._chunks import row_chunks
from skbcnn.augmentation.amplitudes import Augmentation
from skbcnn.augmentation.instrument import InstrumentEffects
from skbcnn.augmentation.noise import known_or_estimated_errors


def as_other_exposures(
    x: np.ndarray,
    x_err: np.ndarray | None,
    augmentation: Augmentation,
    chips: Sequence[slice] | None,
    random: np.random.Generator,
) -> np.ndarray:
    """Vary spectra by the effects of the instrument.

    Parameters
    ----------
    x : ndarray or LazyRows of shape (n, n_pixels)
        Flux. It is not changed.
    x_err : ndarray or LazyRows of shape (n, n_pixels), or None
        Flux errors; None: estimated from the spectra.
    augmentation : Augmentation
        Amplitudes; pairs are not formed.
    chips : sequence of slice or None
        Pixels of each chip.
    random : numpy.random.Generator
        Source of the effects.

    Returns
    -------
    x : ndarray of shape (n, n_pixels), float32
    """
    errors = known_or_estimated_errors(x, x_err)
    effects = InstrumentEffects(augmentation, x.shape[1], chips)
    varied = np.empty(x.shape, dtype=np.float32)
    for rows in row_chunks(*x.shape):
        flux, flux_errors = (np.asarray(values[rows], dtype=np.float32) for values in (x, errors))
        varied[rows] = effects.apply(flux, flux_errors, random)
    return varied
