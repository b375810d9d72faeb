"""Augmentation of training spectra: effects of single visits, and extrapolated pairs of stars."""

from skbcnn.augmentation.amplitudes import Augmentation

__all__ = ["Augmentation"]
