"""Intervals with a guarantee that needs no distribution."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.calibration import interval_factor, interval_scores
from skbcnn.prediction import Prediction


def predicted(mean, total):
    return Prediction(mean, total, total, total, tuple(map(str, range(mean.shape[-1]))))


def test_scores_by_hand():
    stars = predicted(np.array([[10.0, 1.0], [12.0, 1.0], [7.0, 1.0]]), np.array([[2.0, 1.0]] * 3))
    y, y_err = np.array([[13.0, 1.0], [-9999.0, 4.0], [7.0, np.nan]]), np.array([[1.5, 0.0], [9.0, 0.0], [0.0, 0.0]])
    assert_allclose(interval_scores(stars, y, y_err), [[0, 0], [3 / 2.5, 3], [np.nan, np.nan]])


def test_each_label_has_a_factor_of_its_own():
    scores = np.sort(np.column_stack([np.arange(1.0, 20), np.r_[np.arange(1.0, 10), [np.nan] * 10]]), axis=0)
    assert_array_equal(interval_factor(scores, 0.8), [16, 8])  # ceil(20*0.8)-th of 19, ceil(10*0.8)-th of 9


@pytest.mark.parametrize(("coverage", "needed"), [(0.9, 9), (0.95, 19), (0.5, 1)])
def test_as_few_stars_as_the_guarantee_allows(coverage, needed):
    assert np.isfinite(interval_factor(np.ones((needed, 1)), coverage))
    with pytest.raises(
        ValueError, match=f"needs at least {needed} held-out stars of each label, and there are {needed - 1}"
    ):
        interval_factor(np.ones((needed - 1, 1)), coverage)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, np.nan])
def test_coverage_is_a_share(coverage):
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        interval_factor(np.ones((99, 1)), coverage)


def test_the_guarantee_holds_for_residuals_of_any_shape():
    """Over many splits, with error bars that are far too small and heavy tails."""
    rng = np.random.default_rng(3)
    within = []
    for _ in range(2000):
        residual = rng.standard_t(2, size=(30, 1)) * 5
        one = np.ones((29, 1))
        factor = interval_factor(interval_scores(predicted(residual[:29], one), np.zeros((29, 1))), 0.9)
        within.append(abs(residual[29, 0]) <= factor[0])
    assert 0.88 < np.mean(within) < 0.92  # 27 of 30 exactly
