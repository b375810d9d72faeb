"""Transformers from raw spectra to the input of the network, and from labels to normalised labels.

`ChipGapRemover` drops the pixels between the detectors, `ContinuumNormalizer` divides by the continuum and replaces
bad pixels, `SpectraNormalizer` centres each pixel, and `LabelNormalizer` does the same for labels. `prepare_spectra`
applies the first two to flux and errors together; `prepare_for_model` does so with the settings that a model records.
`augment_spectra` varies spectra as the training does, and `errors_from_ivar` makes flux errors of inverse variances.
"""

from skbcnn.preprocessing.chips import ChipGapRemover
from skbcnn.preprocessing.continuum import ContinuumNormalizer, NormalizedSpectra
from skbcnn.preprocessing.exposures import augment_spectra
from skbcnn.preprocessing.flux_errors import errors_from_ivar
from skbcnn.preprocessing.normalizers import LabelNormalizer, SpectraNormalizer
from skbcnn.preprocessing.preparation import prepare_for_model, prepare_spectra

__all__ = [
    "ChipGapRemover",
    "ContinuumNormalizer",
    "LabelNormalizer",
    "NormalizedSpectra",
    "SpectraNormalizer",
    "augment_spectra",
    "errors_from_ivar",
    "prepare_for_model",
    "prepare_spectra",
]
