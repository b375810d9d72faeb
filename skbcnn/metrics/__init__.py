"""How good predicted labels and their error bars are, where some true labels are missing.

A true label that is NaN or at most -9990 was not measured: it enters nothing here. A prediction is never missing.
`regression` measures predicted labels, `probabilistic` their error bars, `residuals` makes a table of them; `magic`
does the same for any metric of scikit-learn, and `scorers` hands all of them to `GridSearchCV`. Their common steps are
`checking` (what came), `scaling` (the unit of a label), `weighted` (statistics of stars) and `averaging` (over labels).
"""

from skbcnn.metrics.magic import magic_metric
from skbcnn.metrics.probabilistic import crps_gaussian, expected_calibration_error, gaussian_nll_loss
from skbcnn.metrics.regression import (
    mad_std_error,
    mean_absolute_error,
    median_bias,
    r2_score,
    root_mean_squared_error,
)
from skbcnn.metrics.residuals import residual_table
from skbcnn.metrics.scorers import get_scorer, get_scorer_names, make_magic_scorer

__all__ = [
    "crps_gaussian",
    "expected_calibration_error",
    "gaussian_nll_loss",
    "get_scorer",
    "get_scorer_names",
    "mad_std_error",
    "magic_metric",
    "make_magic_scorer",
    "mean_absolute_error",
    "median_bias",
    "r2_score",
    "residual_table",
    "root_mean_squared_error",
]
