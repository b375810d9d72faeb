"""Conformal intervals."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import Prediction
from skbcnn.calibration import (
    ErrorModel,
    Intervals,
    fit_error_model,
    fit_noise_model,
    interval_factor,
    interval_factors_by_noise,
    interval_scores,
)


def predicted(mean, total):
    return Prediction(mean, total, total, total, tuple(map(str, range(mean.shape[-1]))))


def test_scores_by_hand():
    stars = predicted(np.array([[10.0, 1.0], [12.0, 1.0], [7.0, 1.0]]), np.array([[2.0, 1.0]] * 3))
    y, y_err = np.array([[13.0, 1.0], [-9999.0, 4.0], [7.0, np.nan]]), np.array([[1.5, 0.0], [9.0, 0.0], [0.0, 0.0]])
    assert_allclose(interval_scores(stars, y, y_err), [[3 / 2.5, 0], [np.nan, 3], [0, np.nan]])


def test_each_label_has_its_own_factor():
    scores = np.column_stack([np.arange(19.0, 0, -1), np.r_[[np.nan] * 10, np.arange(1.0, 10)]])
    assert_array_equal(interval_factor(scores, 0.8), [16, 8])  # ceil(20*0.8)-th of 19, ceil(10*0.8)-th of 9


@pytest.mark.parametrize(("coverage", "needed"), [(0.9, 9), (0.95, 19), (0.5, 1)])
def test_smallest_number_of_stars(coverage, needed):
    assert np.isfinite(interval_factor(np.ones((needed, 1)), coverage))
    with pytest.raises(
        ValueError, match=f"needs at least {needed} held-out stars of each label, and there are at most {needed - 1}"
    ):
        interval_factor(np.ones((needed - 1, 1)), coverage)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, np.nan])
def test_invalid_coverage_is_refused(coverage):
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        interval_factor(np.ones((99, 1)), coverage)


def test_guarantee_for_heavy_tails():
    """The coverage holds on average over many splits, with far too small standard deviations and heavy tails."""
    rng = np.random.default_rng(3)
    within = []
    for _ in range(2000):
        residual = rng.standard_t(2, size=(30, 1)) * 5
        one = np.ones((29, 1))
        factor = interval_factor(interval_scores(predicted(residual[:29], one), np.zeros((29, 1))), 0.9)
        within.append(abs(residual[29, 0]) <= factor[0])
    assert 0.88 < np.mean(within) < 0.92  # 27 of 30 exactly


class TestByNoise:
    """Factors from stars of similar noise."""

    def test_levels_by_hand(self):
        noise = np.arange(400.0)  # three levels
        scores = np.repeat([1.0, 2.0, 3.0], [133, 134, 133])[:, None]
        found = interval_factors_by_noise(scores, noise, 0.9, [-5, 0, 132, 134, 266, 267, 1e9])
        assert_array_equal(found.ravel(), [1, 1, 1, 2, 2, 3, 3])

    @pytest.mark.parametrize("n", [10, 259])
    def test_few_stars_are_one_level(self, n):
        rng = np.random.default_rng(0)
        scores = rng.uniform(size=(n, 2))
        found = interval_factors_by_noise(scores, np.arange(n), 0.9, [0.0, n])
        assert_array_equal(found, np.tile(interval_factor(scores, 0.9), (2, 1)))

    def test_levels_are_merged_until_they_have_enough_stars(self):
        noise = np.arange(520.0)  # four levels, but few stars have the label
        scores = np.where(noise % 10 == 0, np.where(noise < 260, 1.0, 2.0), np.nan)[:, None]
        assert_array_equal(interval_factors_by_noise(scores, noise, 0.95, [0.0, 519.0]).ravel(), [1, 2])  # 26 of each
        with pytest.raises(ValueError, match=r"needs at least 99 held-out stars .*, and there are at most 52"):
            interval_factors_by_noise(scores, noise, 0.99, [0.0])

    def test_coverage_at_each_noise(self):
        rng = np.random.default_rng(4)
        within = []
        for _ in range(300):
            noise = rng.uniform(1, 4, size=1300)
            scores = np.abs(noise * rng.standard_normal(1300))[:, None]  # standard deviations that ignore the noise
            new = np.repeat([1.1, 2.5, 3.9], 100)
            factors = interval_factors_by_noise(scores, noise, 0.9, new).ravel()
            within.append((np.abs(new * rng.standard_normal(300)) < factors).reshape(3, -1).mean(axis=1))
        assert_allclose(np.mean(within, axis=0), 0.9, atol=0.02)


class TestIntervals:
    """The object that combines scores, noise and coverage."""

    scores = np.repeat([1.0, 2.0], 130)[:, None] * [1, 10]

    def test_bounds_without_noise(self):
        lower, upper = Intervals(self.scores).bounds(predicted(np.full((3, 2), 5.0), np.full((3, 2), 2.0)), 0.9)
        assert_array_equal(lower, np.tile([5 - 2 * 2.0, 5 - 2 * 20.0], (3, 1)))
        assert_array_equal(upper - 5, 5 - lower)

    def test_bounds_by_noise(self):
        intervals = Intervals(self.scores, np.arange(260.0))
        assert intervals.depend_on_noise
        one = np.ones((2, 2))
        lower, _ = intervals.bounds(predicted(0 * one, one), 0.9, np.array([3.0, 250.0]))
        assert_array_equal(-lower, [[1, 10], [2, 20]])
        with pytest.raises(ValueError, match="depend on the noise of the spectra"):
            intervals.bounds(predicted(0 * one, one), 0.9)

    def test_scores_and_bounds_in_units_of_calibrated_standard_deviations(self):
        one = np.ones((2, 1))
        error_model = ErrorModel(("0",), np.array([2.0]), np.array([0.5]), np.array([30]), "known labels")
        stars = predicted(0 * one, 2 * one)  # calibrated: 2 * 2 + 0.5
        assert_allclose(interval_scores(stars, 9 * one, 6 * one, error_model.std(stars)), 9 / 7.5)
        _, upper = Intervals(self.scores[:, :1], error_model=error_model).bounds(stars, 0.9)
        assert_allclose(upper, 2 * 4.5)

    def test_single_label_in_one_dimension(self):
        lower, upper = Intervals(self.scores[:, :1]).bounds(predicted(np.zeros(3), np.ones(3)), 0.9)
        assert_array_equal([lower, upper], [[-2.0] * 3, [2.0] * 3])

    @pytest.mark.parametrize("noise", [None, np.arange(260.0)])
    def test_available(self, noise):
        assert_array_equal(Intervals(self.scores, noise).available(0.99), [True, True])
        with pytest.raises(ValueError, match="needs at least 999 held-out stars"):
            Intervals(self.scores, noise).available(0.999)

    @pytest.mark.parametrize("noise", [None, np.arange(260.0)])
    def test_a_label_that_too_few_stars_have_is_nan_and_does_not_change_the_others(self, noise):
        scores = self.scores.copy()
        scores[8:, 1] = np.nan
        one = np.ones((2, 2))
        some = Intervals(scores, noise)
        assert_array_equal(some.available(0.9), [True, False])
        lower, upper = some.bounds(predicted(0 * one, one), 0.9, np.array([3.0, 250.0]))
        expected, _ = Intervals(self.scores, noise).bounds(predicted(0 * one, one), 0.9, np.array([3.0, 250.0]))
        assert_array_equal(lower[:, 0], expected[:, 0])
        assert np.isnan([lower[:, 1], upper[:, 1]]).all()


class TestOtherArguments:
    STARS = Prediction(np.zeros((30, 2)), np.ones((30, 2)), np.ones((30, 2)), np.ones((30, 2)), ("teff", "Mg"))

    def test_columns_of_a_table_are_matched_by_name(self):
        y = np.column_stack([np.arange(30.0), np.zeros(30)])
        table = pd.DataFrame({"MG_H": y[:, 1], "TEFF": y[:, 0]})
        assert_array_equal(interval_scores(self.STARS, table, table), interval_scores(self.STARS, y, y))

    def test_residual_without_a_standard_deviation_is_beyond_every_interval(self):
        stars = Prediction(*np.zeros((4, 3, 1)), ("Mg",))
        assert_array_equal(interval_scores(stars, [[0.0], [0.1], [np.nan]]), [[0], [np.inf], [np.nan]])
        assert interval_factor([[1.0]] * 8 + [[np.inf]], 0.9) == np.inf

    def test_scores_of_other_labels_are_refused(self):
        with pytest.raises(ValueError, match="The prediction is of 2 labels, but the scores are of 1"):
            Intervals(np.ones((30, 1))).bounds(self.STARS, 0.5)

    @pytest.mark.parametrize("function", [interval_scores, fit_error_model, fit_noise_model])
    def test_an_array_in_place_of_a_prediction_is_refused(self, function):
        with pytest.raises(TypeError, match=r"prediction is a ndarray.*model.predict_distribution"):
            function(self.STARS.mean, self.STARS.mean)

    @pytest.mark.parametrize("function", [interval_scores, fit_error_model])
    def test_labels_of_other_stars_are_refused(self, function):
        with pytest.raises(ValueError, match="y has 3 rows, but the prediction is of 30 spectra"):
            function(self.STARS, np.zeros((3, 2)))

    def test_coverage_that_is_no_number_is_refused(self):
        with pytest.raises(ValueError, match=r"coverage='0.9', expected a share"):
            interval_factor(np.ones((30, 1)), "0.9")
