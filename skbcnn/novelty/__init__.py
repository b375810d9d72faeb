"""Spectra and predictions unlike the training set: flags and scores.

`TrainingDomain` keeps a compact description of the training spectra and labels; its `assess` compares new ones with it.
"""

from skbcnn.novelty.domain import Assessment, NoveltyFlag, SpectrumStatistics, TrainingDomain, result_flags

__all__ = ["Assessment", "NoveltyFlag", "SpectrumStatistics", "TrainingDomain", "result_flags"]
