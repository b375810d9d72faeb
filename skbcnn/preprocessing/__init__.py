"""From raw spectra to what the network reads, as scikit-learn transformers, and labels to normalised labels."""

from skbcnn.preprocessing.transformers import (
    ChipGapRemover,
    ContinuumNormalizer,
    LabelNormalizer,
    NormalizedSpectra,
    SpectraNormalizer,
    prepare_spectra,
)

__all__ = [
    "ChipGapRemover",
    "ContinuumNormalizer",
    "LabelNormalizer",
    "NormalizedSpectra",
    "SpectraNormalizer",
    "prepare_spectra",
]
