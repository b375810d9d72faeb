"""Detection of out-of-distribution spectra and predictions.

- `domain`: `TrainingDomain` describes the training set, and its `assess` compares other stars with it.
- `flags`: `NoveltyFlag`, the bits of the flags, and `result_flags`, the flags of SDSS-V.
- `causes`: the likely cause if most spectra of a sample are out-of-distribution.
- `principal_components`: statistics of spectra relative to the training spectra.
- `limits`: limits of these statistics, of labels and of model uncertainties.
"""

from skbcnn.novelty.domain import Assessment, TrainingDomain
from skbcnn.novelty.flags import NoveltyFlag, result_flags
from skbcnn.novelty.principal_components import SpectrumStatistics

__all__ = ["Assessment", "NoveltyFlag", "SpectrumStatistics", "TrainingDomain", "result_flags"]
