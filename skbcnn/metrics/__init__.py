"""Metrics and scorers that leave missing labels out.

A true label that is masked, NaN, or -9990 and below, is missing and does not enter a metric. A prediction must not be
missing.

- `regression` has metrics of predicted labels, `probabilistic` metrics of their standard deviations.
- `residual_tables` has a table of the residuals of each label.
- `responses` has the change of each predicted label with the true labels, and `errors_in_variables` the regression for
  it. Their public names are in `skbcnn.inspection`.
- `magic` wraps any metric of scikit-learn, and `scorers` makes scorers for `GridSearchCV`.
- Steps of all metrics: `label_pairs` (checks), `label_scales` (scaled residuals), `weighted_statistics` and `averaging`
  (over labels).
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
from skbcnn.metrics.residual_tables import residual_table
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
