"""Spectra as other exposures of the same stars could show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array, check_random_state

from skbcnn._arrays import plain_spectra
from skbcnn._validation import finite_spectra
from skbcnn.augmentation import Augmentation
from skbcnn.augmentation.exposures import as_other_exposures
from skbcnn.survey import chip_slices


def augment_spectra(
    X: ArrayLike,
    x_err: ArrayLike | None = None,
    *,
    augmentation: Augmentation | Mapping[str, Any] | str | None = "auto",
    chips: Sequence[slice] | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Vary spectra as the training of `ApogeeBCNNCensoredRegressor` varies them: by what a single visit differs in.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_pixels)
        Continuum-normalised flux.
    x_err : array-like of shape (n_samples, n_pixels), default=None
        Flux errors, which scale the noise. None: the noise is estimated from the spectra.
    augmentation : "auto", Augmentation, mapping or None, default="auto"
        Amplitudes of the effects, as in `ApogeeBCNNCensoredRegressor`: "auto" stands for the defaults of
        `skbcnn.augmentation.Augmentation`, a mapping names those that differ from them, and None leaves the spectra as
        they are. Pairs of stars are not formed.
    chips : sequence of slice, default=None
        Pixels of each chip, over whose edges no effect reaches. None: those of APOGEE for spectra of 7514 pixels, else
        one chip.
    random_state : int, RandomState instance or None, default=None
        Pass an int to get the same spectra in each call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_pixels), float32
        New spectra.

    Raises
    ------
    ValueError
        If shapes differ, flux is not finite, or an amplitude cannot be used.

    Examples
    --------
    >>> from skbcnn import augment_spectra, make_apogee_spectra
    >>> stars = make_apogee_spectra(3, random_state=0)
    >>> visits = augment_spectra(stars.X, stars.X_err, augmentation={"shift": 0.3}, random_state=0)
    >>> visits.shape, bool(abs(visits - stars.X).mean() > 0.001)
    ((3, 7514), True)
    """
    amplitudes = Augmentation() if augmentation == "auto" else Augmentation.of(augmentation)
    flux, errors = plain_spectra(X, x_err)
    flux = check_array(flux, dtype=np.float32, ensure_all_finite=False, input_name="X")
    flux, errors = finite_spectra(X, flux, errors, near_one=True)
    if amplitudes is None:
        return np.array(flux)
    if chips is None and flux.shape[1] == max(chip.stop for chip in chip_slices().values()):
        chips = list(chip_slices().values())
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return as_other_exposures(flux, errors, amplitudes, chips, np.random.default_rng(seed))
