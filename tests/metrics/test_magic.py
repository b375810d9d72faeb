"""Metrics of scikit-learn, wrapped to leave missing labels out."""

import pickle
from functools import partial

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    d2_absolute_error_score,
    explained_variance_score,
    max_error,
    mean_absolute_error,
    mean_pinball_loss,
    r2_score,
)

from skbcnn import metrics
from skbcnn.metrics import magic_metric
from skbcnn.survey import MISSING

FIVE = [r2_score, mean_absolute_error, max_error, d2_absolute_error_score, explained_variance_score]
WEIGHTED = [metric for metric in FIVE if metric is not max_error]
of_five = pytest.mark.parametrize("metric", FIVE, ids=lambda metric: metric.__name__)
of_weighted = pytest.mark.parametrize("metric", WEIGHTED, ids=lambda metric: metric.__name__)


def labels(seed, n_stars=11, n_labels=3):
    return np.random.default_rng(seed).normal(size=(2, n_stars, n_labels))


def of_each_label(metric, y_true, y_pred, **kwargs):
    return [metric(*pair, **kwargs) for pair in zip(y_true.T, y_pred.T, strict=True)]


class TestCompleteData:
    @of_five
    @settings(max_examples=10)
    @given(seed=st.integers(0, 10**6))
    def test_raw_values_are_those_of_sklearn(self, metric, seed):
        raw = magic_metric(metric)(*labels(seed), multioutput="raw_values")
        assert_array_equal(raw, of_each_label(metric, *labels(seed)))

    @of_weighted
    def test_means_are_those_of_sklearn(self, metric):
        for multioutput in ("raw_values", "uniform_average", [1, 2, 5]):
            ours = magic_metric(metric)(*labels(0), multioutput=multioutput)
            assert_allclose(ours, metric(*labels(0), multioutput=multioutput), rtol=1e-12)

    @of_weighted
    @settings(max_examples=10)
    @given(seed=st.integers(0, 10**6))
    def test_weights_are_passed_to_the_metric(self, metric, seed):
        weight = np.random.default_rng(seed).uniform(0.1, 2, 11)
        raw = magic_metric(metric)(*labels(seed), sample_weight=weight, multioutput="raw_values")
        theirs = metric(*labels(seed), sample_weight=weight, multioutput="raw_values")
        assert_allclose(raw, theirs, rtol=1e-9, atol=1e-12)

    @of_five
    def test_one_label_as_one_dimension(self, metric):
        y_true, y_pred = labels(1)[..., 0]
        assert magic_metric(metric)(y_true, y_pred) == metric(y_true, y_pred)


class TestMissingLabels:
    @of_five
    @pytest.mark.parametrize("missing", [np.nan, MISSING])
    def test_raw_values_are_those_of_present_labels(self, metric, missing):
        y_true, y_pred = labels(2)
        absent = np.random.default_rng(2).random(y_true.shape) < 0.4
        expected = [metric(t[~a], p[~a]) for t, p, a in zip(y_true.T, y_pred.T, absent.T, strict=True)]
        raw = magic_metric(metric)(np.where(absent, missing, y_true), y_pred, multioutput="raw_values")
        assert_array_equal(raw, expected)

    @of_weighted
    def test_weights_are_those_of_the_stars_that_have_the_label(self, metric):
        y_true, y_pred = labels(3)
        weight = np.arange(11.0)
        absent = np.random.default_rng(3).random(y_true.shape) < 0.4
        counts = ~absent & (weight > 0)[:, None]
        expected = [
            metric(t[c], p[c], sample_weight=weight[c]) for t, p, c in zip(y_true.T, y_pred.T, counts.T, strict=True)
        ]
        magic = magic_metric(metric)
        present = np.where(absent, np.nan, y_true)
        assert_allclose(magic(present, y_pred, sample_weight=weight, multioutput="raw_values"), expected, rtol=1e-12)
        assert_allclose(
            magic(present, y_pred, sample_weight=weight, multioutput=[3, 1, 1]),
            np.average(expected, weights=[3, 1, 1]),
        )

    @pytest.mark.parametrize("metric", [r2_score, d2_absolute_error_score], ids=lambda metric: metric.__name__)
    def test_label_with_one_value_is_undefined_if_sklearn_returns_nan(self, metric):
        y_true, y_pred = labels(4)
        y_true[1:, 1] = MISSING
        with (
            pytest.warns(UndefinedMetricWarning, match="less than two samples"),
            pytest.warns(UndefinedMetricWarning, match="label 1"),
        ):
            raw = magic_metric(metric)(y_true, y_pred, multioutput="raw_values")
        assert_array_equal(np.isnan(raw), [False, True, False])
        with (
            pytest.warns(UndefinedMetricWarning, match="less than two samples"),
            pytest.warns(UndefinedMetricWarning, match="left out of means"),
        ):
            assert_allclose(magic_metric(metric)(y_true, y_pred), (raw[0] + raw[2]) / 2)

    @pytest.mark.parametrize(
        "metric", [mean_absolute_error, max_error, explained_variance_score], ids=lambda metric: metric.__name__
    )
    def test_label_with_one_value_has_the_score_of_sklearn(self, metric):
        y_true, y_pred = labels(4)
        y_true[1:, 1] = MISSING
        raw = magic_metric(metric)(y_true, y_pred, multioutput="raw_values")
        assert raw[1] == metric(y_true[:1, 1], y_pred[:1, 1])
        assert_allclose(magic_metric(metric)(y_true, y_pred), raw.mean())

    @of_five
    def test_label_that_is_the_same_in_all_stars(self, metric):
        y_true, y_pred = labels(5)
        y_true[:, 0] = 0.1
        raw = magic_metric(metric)(y_true, y_pred, multioutput="raw_values")
        assert_array_equal(raw, of_each_label(metric, y_true, y_pred))


class TestArguments:
    def test_label_scale_divides_labels_and_predictions(self):
        y_true, y_pred = labels(6)
        scaled = magic_metric(max_error)(y_true, y_pred, label_scale=[1, 10, 0.1], multioutput="raw_values")
        assert_allclose(scaled, np.array(of_each_label(max_error, y_true, y_pred)) / [1, 10, 0.1])

    def test_others_are_passed_to_the_metric(self):
        assert_allclose(
            magic_metric(mean_pinball_loss)(*labels(7), alpha=0.1), mean_pinball_loss(*labels(7), alpha=0.1)
        )
        assert_allclose(
            magic_metric(partial(mean_pinball_loss, alpha=0.1))(*labels(7)), mean_pinball_loss(*labels(7), alpha=0.1)
        )

    def test_standard_deviations_and_label_errors(self):
        def mean_excess(y_true, y_pred, y_std, *, y_err):
            return np.mean(np.abs(y_true - y_pred) - y_std - y_err)

        y_true = [[1.0, 0.5], [2.0, MISSING]]
        excess = magic_metric(mean_excess)(
            y_true,
            [[3.0, 0.1], [2.0, 0.0]],
            [[0.5, 0.1], [0.1, np.nan]],
            y_err=[[0.3, 0.2], [0.1, np.inf]],
            label_scale=[1, 0.1],
            multioutput="raw_values",
        )
        assert_allclose(excess, [(2 - 0.5 - 0.3 + 0 - 0.1 - 0.1) / 2, (0.4 - 0.1 - 0.2) / 0.1])

    @pytest.mark.parametrize("name", ["sample_weight", "y_err"])
    def test_argument_that_the_metric_does_not_accept(self, name):
        with pytest.raises(TypeError, match=f"max_error has no argument {name}"):
            magic_metric(max_error)([1.0, 2.0], [1.0, 2.0], **{name: [1.0, 1.0]})

    def test_metric_that_is_not_callable(self):
        with pytest.raises(TypeError, match="metric is 'r2', expected a function"):
            magic_metric("r2")


class TestObject:
    def test_metrics_of_the_package_are_returned_unchanged(self):
        for name in ("r2_score", "crps_gaussian", "median_bias"):
            assert magic_metric(getattr(metrics, name)) is getattr(metrics, name)
        magic = magic_metric(max_error)
        assert magic_metric(magic) is magic

    def test_pickle(self):
        magic = pickle.loads(pickle.dumps(magic_metric(max_error)))
        assert magic(*labels(8)) == magic_metric(max_error)(*labels(8))

    def test_repr(self):
        assert repr(magic_metric(sklearn.metrics.max_error)) == "magic_metric(max_error)"
