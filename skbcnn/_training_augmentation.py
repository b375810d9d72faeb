"""Augmentation of a training, from the parameters of a regressor and its stars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn._regressor_parameters import noise_range
from skbcnn.augmentation import Augmentation
from skbcnn.augmentation.rare_labels import RareLabels
from skbcnn.augmentation.training_augmentation import TrainingAugmentation
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.training_recipe import Stars

if TYPE_CHECKING:
    from skbcnn.preprocessing import SpectraNormalizer

_LARGEST_NARROW_WINDOW = 400  # pixels: wider ones overlap with most of the others


def active_augmentation(
    augmentation: Augmentation | Mapping[str, Any] | str | None,
    noise_augmentation: float | Sequence[float],
    default: Augmentation | None,
) -> Augmentation | None:
    """Return the augmentation that the parameters of a regressor describe.

    Parameters
    ----------
    augmentation, noise_augmentation
        Parameters of the regressor.
    default : Augmentation or None
        What "auto" means.

    Returns
    -------
    augmentation : Augmentation or None

    Raises
    ------
    ValueError
        If both parameters say how much noise to add.
    """
    noise = noise_range(noise_augmentation)
    if isinstance(augmentation, str):  # "auto"
        return default if default is None or noise[1] == 0 else replace(default, noise=noise)
    given = Augmentation.of(augmentation)
    if given is not None and noise[1] > 0:
        raise ValueError(
            f"noise_augmentation={noise_augmentation!r} and augmentation={augmentation!r} both say how much noise to "
            "add. Pass augmentation={'noise': ...} and leave noise_augmentation at 0."
        )
    return given


def about_augmented_level(
    augmentation: Augmentation | Mapping[str, Any] | str | None, default: Augmentation | None
) -> str:
    """Return a sentence about the augmentation of spectra whose continuum is not at 1.

    Parameters
    ----------
    augmentation
        Parameter of the regressor.
    default : Augmentation or None
        What "auto" means for spectra near 1. For others it means no augmentation.

    Returns
    -------
    sentence : str
        Empty if "auto" means no augmentation anyway, or no effect needs a continuum at 1.
    """
    if isinstance(augmentation, str):
        if default is None:
            return ""
        return (
            "augmentation='auto' is switched off, because it varies spectra whose continuum is at 1. If a "
            "SpectraNormalizer or another scaler precedes the network, leave it out: the network normalises the pixels "
            "itself (input_norm_mode)."
        )
    given = Augmentation.of(augmentation)
    if given is None or not (any(given.continuum) or given.bad_pixels):
        return ""
    return (
        "The augmentation multiplies the spectra by continuum errors and sets bad pixels to 1, but their continuum is "
        "not at 1. Divide the spectra by their continuum, or pass augmentation={'continuum': (0, 0, 0), 'bad_pixels': "
        "0, ...}."
    )


def training_augmentation(
    augmentation: Augmentation,
    stars: Stars,
    spec: NetworkSpec,
    normalizer: SpectraNormalizer,
    chips: Sequence[slice] | None,
) -> TrainingAugmentation:
    """Return what the batches of a training need to augment their spectra.

    Parameters
    ----------
    augmentation : Augmentation
        Amplitudes.
    stars : Stars
        Training stars; their labels are followed by those of the supervised context units.
    spec : NetworkSpec
        Architecture.
    normalizer : SpectraNormalizer
        Fitted normaliser of the spectra.
    chips : sequence of slice or None
        Pixels of each chip.

    Returns
    -------
    augmentation : TrainingAugmentation
    """
    normalize = fast_normalization(normalizer)
    pixel_group, label_group = np.zeros(spec.n_pixels, dtype=int), np.zeros(stars.y.shape[1], dtype=int)
    if augmentation.separate_windows:
        sizes = {j: len(window) for j, window in enumerate(spec.windows) if window is not None}
        narrow = [j for j in sorted(sizes, key=lambda j: -sizes[j]) if sizes[j] <= _LARGEST_NARROW_WINDOW]
        for number, j in enumerate(narrow, start=1):  # the narrowest last, which keep all their pixels
            pixel_group[list(spec.windows[j] or ())] = label_group[j] = number
    is_context = np.r_[[window is None for window in spec.windows], np.ones(stars.y.shape[1] - spec.n_labels, bool)]
    rare = RareLabels(augmentation.rare_labels, stars.y, is_context) if augmentation.rare_labels > 1 else None
    return TrainingAugmentation(
        augmentation, normalize, chips, stars.y[:, is_context], pixel_group, label_group, stars.group, rare
    )


def fast_normalization(normalizer: SpectraNormalizer) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that normalises spectra in single precision, without checks.

    Parameters
    ----------
    normalizer : SpectraNormalizer
        Fitted.

    Returns
    -------
    normalize : callable
        Function of an array of float32, which it may change.
    """
    if not normalizer.is_linear:
        return normalizer.transform
    mean, scale = (np.asarray(values, dtype=np.float32) for values in (normalizer.mean_, normalizer.scale_))

    is_scaled = bool((scale != 1).any())

    def normalize(x: np.ndarray) -> np.ndarray:
        x -= mean
        if is_scaled:
            x /= scale
        return x

    return normalize
