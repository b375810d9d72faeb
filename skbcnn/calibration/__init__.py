"""Calibrated standard deviations and intervals, learnt from residuals of held-out stars or from repeat visits.

`error_model` holds the correction of the predicted standard deviations, and `fitting` learns it: from residuals of
stars with known labels, or from differences between visits of the same star. `intervals` computes conformal intervals,
whose coverage is guaranteed for any distribution of the residuals. Both take their residuals from `residuals`.
`population` pools the parameters of the labels, and `cross_fitting` predicts every training star by a model that was
not trained on it.
`visits` combines the visits of each star, weighted by their errors. `held_out` prepares the stars held out in `fit`,
and `absence` says why a model is not calibrated.
"""

from skbcnn.calibration.error_model import ErrorModel
from skbcnn.calibration.fitting import fit_error_model, fit_noise_model
from skbcnn.calibration.intervals import Intervals, interval_factor, interval_factors_by_noise, interval_scores
from skbcnn.calibration.visits import CombinedVisits, combine_visits

__all__ = [
    "CombinedVisits",
    "ErrorModel",
    "Intervals",
    "combine_visits",
    "fit_error_model",
    "fit_noise_model",
    "interval_factor",
    "interval_factors_by_noise",
    "interval_scores",
]
