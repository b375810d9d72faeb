"""Error bars that cover: what is learnt from how wrong predictions were, or from how far apart they are.

`error_model` stretches and shifts the error bars of a network until residuals, or differences between visits of the
same star, are what the error bars say; `intervals` gives intervals with a guarantee for any distribution of residuals.
"""

from skbcnn.calibration.error_model import ErrorModel, fit_error_model, fit_noise_model
from skbcnn.calibration.intervals import interval_factor, interval_factors_by_noise, interval_scores

__all__ = [
    "ErrorModel",
    "fit_error_model",
    "fit_noise_model",
    "interval_factor",
    "interval_factors_by_noise",
    "interval_scores",
]
