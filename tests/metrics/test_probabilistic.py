"""Metrics of standard deviations: worked by hand, compared with scoringrules, and best for the true values."""

import numpy as np
import pytest
import scoringrules
from numpy.testing import assert_allclose
from scipy.special import erf
from scipy.stats import norm

from skbcnn.metrics import crps_gaussian, expected_calibration_error, gaussian_nll_loss
from skbcnn.survey import MISSING

METRICS = [crps_gaussian, expected_calibration_error, gaussian_nll_loss]
LOG_2PI = 1.8378770664093453


class TestNumbersWorkedByHand:
    @pytest.mark.parametrize(
        ("residual", "std", "expected"),
        [
            (0, 1, LOG_2PI / 2),
            (2, 1, LOG_2PI / 2 + 2),
            (0, np.e, LOG_2PI / 2 + 1),
            (3, 0.5, LOG_2PI / 2 - np.log(2) + 18),
        ],
    )
    def test_log_loss(self, residual, std, expected):
        assert_allclose(gaussian_nll_loss([5.0], [5.0 + residual], [std]), expected)

    def test_log_loss_is_the_negative_log_density(self):
        assert_allclose(gaussian_nll_loss([1.0, 4.0], [2.0, 2.0], [3.0, 0.5]), -norm.logpdf([1, 4], 2, [3, 0.5]).mean())

    @pytest.mark.parametrize(
        ("residual", "std", "expected"),
        [
            (0, 1, (np.sqrt(2) - 1) / np.sqrt(np.pi)),  # 2 phi(0) - 1/sqrt(pi)
            (0, 3, 3 * (np.sqrt(2) - 1) / np.sqrt(np.pi)),
            (1, 1, 0.6826894921370859 + 2 * 0.24197072451914337 - 0.5641895835477563),  # z = 1: erf, phi, 1/sqrt(pi)
            (-1, 1, 0.6826894921370859 + 2 * 0.24197072451914337 - 0.5641895835477563),
            (2, 1e-9, 2),  # the absolute error for a standard deviation near 0
        ],
    )
    def test_crps(self, residual, std, expected):
        assert_allclose(crps_gaussian([5.0], [5.0 + residual], [std]), expected)

    def test_calibration(self):
        # half of the stars lie within 0.5 sigma, half beyond 2: at 50 % (0.67 sigma) and 90 % (1.64 sigma) half are in
        y_true, y_pred, y_std = [0.5, -0.5, 2.0, -2.0], np.zeros(4), np.ones(4)
        assert_allclose(expected_calibration_error(y_true, y_pred, y_std, levels=[0.5]), 0, atol=1e-12)
        assert_allclose(expected_calibration_error(y_true, y_pred, y_std, levels=[0.5, 0.9]), 0.2)
        # at 20 % (0.25 sigma) none are, at 98 % (2.33 sigma) all
        assert_allclose(expected_calibration_error(y_true, y_pred, y_std, levels=[0.2, 0.98]), 0.11)
        weighted = expected_calibration_error(y_true, y_pred, y_std, levels=[0.5], sample_weight=[1, 1, 3, 3])
        assert_allclose(weighted, 0.25)

    @pytest.mark.parametrize("std", [1e-6, 1e6])
    def test_calibration_at_its_worst(self, std):
        assert_allclose(expected_calibration_error([1.0, 2.0, 3.0], [2.0, 1.0, 9.0], np.full(3, std)), 0.5)

    def test_ends_of_an_interval_are_inside(self):
        level = erf(1 / np.sqrt(2))  # the interval extends one sigma to each side
        assert_allclose(expected_calibration_error([1.0] * 4, [2.0] * 4, [1.0] * 4, levels=[level]), 1 - level)


def test_crps_agrees_with_scoringrules():
    random = np.random.default_rng(0)
    y_true, y_pred = random.normal(size=(2, 500))
    y_std = 10 ** random.uniform(-2, 2, 500)
    assert_allclose(crps_gaussian(y_true, y_pred, y_std), scoringrules.crps_normal(y_true, y_pred, y_std).mean())
    single = [crps_gaussian(y_true[i : i + 1], y_pred[i : i + 1], y_std[i : i + 1]) for i in range(50)]
    assert_allclose(single, scoringrules.crps_normal(y_true, y_pred, y_std)[:50], rtol=1e-9)


def test_log_loss_agrees_with_scoringrules():
    random = np.random.default_rng(1)
    y_true, y_pred = random.normal(size=(2, 500))
    y_std = 10 ** random.uniform(-1, 2, 500)
    assert_allclose(gaussian_nll_loss(y_true, y_pred, y_std), scoringrules.logs_normal(y_true, y_pred, y_std).mean())


def test_calibration_agrees_with_counting_intervals():
    random = np.random.default_rng(2)
    y_true, y_pred, y_std = random.normal(size=200), random.normal(size=200), random.uniform(0.5, 2, 200)
    levels = np.arange(1, 100) / 100
    half_width = y_std * norm.ppf((1 + levels[:, None]) / 2)
    coverage = (np.abs(y_true - y_pred) <= half_width).mean(axis=1)
    assert_allclose(expected_calibration_error(y_true, y_pred, y_std), np.abs(coverage - levels).mean())


@pytest.mark.parametrize("metric", METRICS)
class TestErrorsOfTheTrueLabels:
    def test_add_in_quadrature(self, metric):
        y_true, y_pred = [[1.0, 0.2], [2.0, 0.4]], [[1.5, 0.1], [4.0, 0.8]]
        with_err = metric(y_true, y_pred, np.full((2, 2), 3.0), y_err=np.full((2, 2), 4.0))
        assert_allclose(with_err, metric(y_true, y_pred, np.full((2, 2), 5.0)))

    def test_suffice_for_a_prediction_without_standard_deviation(self, metric):
        assert_allclose(metric([1.0, 2.0], [1.5, 4.0], [0, 0], y_err=[2, 2]), metric([1.0, 2.0], [1.5, 4.0], [2, 2]))

    def test_of_missing_labels_are_ignored(self, metric):
        y_true, y_pred, y_std = [1.0, MISSING, np.nan], [1.5, 4.0, 0.0], [1.0, 1.0, 1.0]
        expected = metric(y_true[:1], [1.5], [1.0], y_err=[0.3])
        for value in (np.nan, MISSING, -1.0, np.inf):
            assert metric(y_true, y_pred, y_std, y_err=[0.3, value, value]) == expected

    def test_unknown_errors_are_0(self, metric):
        data = [1.0, 2.0], [1.5, 4.0], [1.0, 1.0]
        for unknown in (np.nan, MISSING):
            with pytest.warns(UserWarning, match="1 labels have no error in y_err"):
                assert metric(*data, y_err=[0.3, unknown]) == metric(*data, y_err=[0.3, 0.0])

    @pytest.mark.parametrize("wrong", [-0.1, np.inf])
    def test_negative_or_infinite(self, metric, wrong):
        with pytest.raises(ValueError, match="y_err is negative or infinite for 1 labels"):
            metric([1.0, 2.0], [1.5, 4.0], [1.0, 1.0], y_err=[0.3, wrong])

    def test_of_another_shape(self, metric):
        with pytest.raises(ValueError, match=r"y_err has shape \(3, 1\), expected \(2, 1\)"):
            metric([1.0, 2.0], [1.5, 4.0], [1.0, 1.0], y_err=[0.3, 0.1, 0.2])

    def test_of_a_star_of_weight_0(self, metric):
        data = [1.0, 2.0], [1.5, 4.0], [1.0, 1.0]
        assert metric(*data, y_err=[0.3, np.inf], sample_weight=[1, 0]) == metric([1.0], [1.5], [1.0], y_err=[0.3])


@pytest.mark.parametrize("metric", METRICS)
class TestInvalidStandardDeviations:
    def test_negative_or_missing(self, metric):
        for invalid in (-0.1, np.nan, MISSING):
            with pytest.raises(ValueError, match="y_std is negative or missing in 1 places"):
                metric([1.0, 2.0], [1.5, 4.0], [1.0, invalid])

    def test_zero(self, metric):
        with pytest.raises(ValueError, match="y_std is 0 in 1 places where y_true is present and has no error"):
            metric([1.0, 2.0, MISSING], [1.5, 4.0, 0.0], [1.0, 0.0, 0.0])

    def test_shape(self, metric):
        with pytest.raises(ValueError, match=r"y_true has shape \(2, 1\), but y_std has shape \(3, 1\)"):
            metric([1.0, 2.0], [1.5, 4.0], [1.0, 1.0, 1.0])


class TestLabelScale:
    DATA = ([[4000, 0.1], [4200, 0.4]], [[4100, 0.2], [4150, 0.1]], [[50, 0.1], [90, 0.2]])
    KWARGS = {"multioutput": "raw_values", "label_scale": [100, 0.1]}

    def test_crps_is_divided(self):
        raw = crps_gaussian(*self.DATA, multioutput="raw_values")
        assert_allclose(crps_gaussian(*self.DATA, **self.KWARGS), raw / [100, 0.1])

    def test_log_loss_falls_by_its_logarithm(self):
        raw = gaussian_nll_loss(*self.DATA, multioutput="raw_values")
        assert_allclose(gaussian_nll_loss(*self.DATA, **self.KWARGS), raw - np.log([100, 0.1]))

    def test_calibration_has_no_unit(self):
        raw = expected_calibration_error(*self.DATA, multioutput="raw_values")
        assert_allclose(expected_calibration_error(*self.DATA, **self.KWARGS), raw)


@pytest.mark.parametrize("levels", [[], [0.0], [1.0], [0.5, np.nan], 0.5, [[0.5]]])
def test_invalid_levels(levels):
    with pytest.raises(ValueError, match="expected a list of nominal coverages between 0 and 1"):
        expected_calibration_error([1.0], [1.0], [1.0], levels=levels)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_true_standard_deviations_score_best(metric, factor):
    random = np.random.default_rng(3)
    y_std = random.uniform(0.5, 2, 4000)
    y_true, y_err = y_std * random.normal(size=4000), random.uniform(0, 1, 4000)
    y_true += y_err * random.normal(size=4000)
    prediction = np.zeros(4000)
    best = metric(y_true, prediction, y_std, y_err=y_err)
    assert best < metric(y_true, prediction, factor * y_std, y_err=y_err)
    assert best < metric(y_true, prediction, y_std)  # as if the labels were exact
