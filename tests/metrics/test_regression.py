"""Metrics of predicted labels: worked by hand, and compared with scikit-learn if no label is missing."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning

from skbcnn.metrics import mad_std_error, mean_absolute_error, median_bias, r2_score, root_mean_squared_error
from skbcnn.survey import MISSING

MAD_TO_STD = 1.482602218505602
whole_numbers = st.integers(-20, 20).map(float)  # sums of them are exact, so constant labels stay constant


def label_pairs(min_stars=2, min_labels=1):
    """Return a strategy for true and predicted labels of the same shape."""
    shapes = st.tuples(st.integers(min_stars, 8), st.integers(min_labels, 4))
    return shapes.flatmap(lambda shape: st.tuples(*(arrays(float, shape, elements=whole_numbers) for _ in range(2))))


TEFF_AND_MG = (
    [[4000, 1.0], [4100, 2.0], [4200, 3.0], [4300, 4.0], [4400, np.nan]],
    [[4010, 1.0], [4080, 2.1], [4230, 2.9], [4300, 4.3], [4400, 9.0]],
)  # residuals 10, -20, 30, 0, 0 and 0, 0.1, -0.1, 0.3


class TestNumbersWorkedByHand:
    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            (mean_absolute_error, [60 / 5, 0.5 / 4]),
            (root_mean_squared_error, [np.sqrt(1400 / 5), np.sqrt(0.11 / 4)]),
            (median_bias, [0, 0.05]),
            # distances from 0: 10, 20, 30, 0, 0; from 0.05: 0.05, 0.05, 0.15, 0.25
            (mad_std_error, [10 * MAD_TO_STD, 0.1 * MAD_TO_STD]),
        ],
    )
    def test_two_labels(self, metric, expected):
        assert_allclose(metric(*TEFF_AND_MG, multioutput="raw_values"), expected, atol=1e-12)
        assert_allclose(metric(*TEFF_AND_MG), np.mean(expected))
        assert_allclose(metric(*TEFF_AND_MG, multioutput=[1, 3]), np.average(expected, weights=[1, 3]))
        assert_allclose(metric(*TEFF_AND_MG, label_scale=[100, 0.5]), np.mean(np.divide(expected, [100, 0.5])))

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            (mean_absolute_error, (1 + 2 * 3 + 3 * 7) / 6),
            (root_mean_squared_error, np.sqrt((1 + 2 * 9 + 3 * 49) / 6)),
            (median_bias, 5),  # 1, 3, 3, 7, 7, 7
            (mad_std_error, 2 * MAD_TO_STD),  # from 5: 4, 2, 2, 2, 2, 2
        ],
    )
    def test_weights(self, metric, expected):
        assert_allclose(metric([0.0, 0.0, 0.0], [1.0, 3.0, 7.0], sample_weight=[1, 2, 3]), expected)

    def test_bias_is_prediction_minus_truth(self):
        assert median_bias([4000.0, 4000.0], [4050.0, 4050.0]) == 50

    def test_biases_cancel_unless_absolute(self):
        pair = [[0.0, 0.0]], [[1.0, -1.0]]
        assert median_bias(*pair) == 0
        assert median_bias(*pair, absolute=True) == 1
        assert_array_equal(median_bias(*pair, absolute=True, multioutput="raw_values"), [1, 1])


@settings(max_examples=60)
@given(label_pairs(min_stars=1, min_labels=2), st.lists(st.integers(1, 5), min_size=8, max_size=8))
def test_errors_agree_with_sklearn_where_nothing_is_missing(pair, weights):
    weights, importance = weights[: len(pair[0])], np.arange(1, 1 + pair[0].shape[1])
    for ours in (mean_absolute_error, root_mean_squared_error):
        theirs = getattr(sklearn.metrics, ours.__name__)
        for multioutput in ("raw_values", "uniform_average", importance):
            for sample_weight in (None, weights):
                kwargs = {"sample_weight": sample_weight, "multioutput": multioutput}
                assert_allclose(ours(*pair, **kwargs), theirs(*pair, **kwargs), rtol=1e-12)


class TestR2:
    def test_number_worked_by_hand(self):
        # truth 1, 2, 3 with mean 2: sum of squares 2; squared error 1: 1 - 1/2
        assert r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]) == 0.5

    def test_number_worked_by_hand_with_weights(self):
        # weights 1, 1, 2: mean 9/4; sum of squares (25 + 1 + 18)/16 = 11/4; squared error 2: 1 - 8/11
        assert_allclose(r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], sample_weight=[1, 1, 2]), 3 / 11)

    @settings(max_examples=60)
    @given(label_pairs())
    def test_agrees_with_sklearn_where_nothing_is_missing(self, pair):
        for multioutput in ("raw_values", "uniform_average", "variance_weighted"):
            assert_allclose(
                r2_score(*pair, multioutput=multioutput), sklearn.metrics.r2_score(*pair, multioutput=multioutput)
            )

    @settings(max_examples=60)
    @given(label_pairs(min_labels=2), st.lists(st.integers(1, 5), min_size=8, max_size=8))
    def test_agrees_with_sklearn_on_weights(self, pair, weights):
        weights, importance = weights[: len(pair[0])], np.arange(1, 1 + pair[0].shape[1])
        theirs = sklearn.metrics.r2_score(*pair, sample_weight=weights, multioutput=importance)
        assert_allclose(r2_score(*pair, sample_weight=weights, multioutput=importance), theirs, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("value", [5.0, 0.1])
    def test_constant_label(self, value):
        truth = np.full(3, value)
        assert r2_score(truth, truth) == 1.0
        assert r2_score(truth, truth + np.array([0, 0, 1e-3])) == 0.0

    def test_label_with_one_value_is_left_out_of_the_mean(self):
        y_true = [[1.0, 7.0], [2.0, np.nan], [3.0, MISSING]]
        y_pred = [[1.0, 7.0], [2.0, 0.0], [4.0, 0.0]]
        with pytest.warns(UndefinedMetricWarning, match="label 1"):
            assert r2_score(y_true, y_pred) == 0.5
        with pytest.warns(UndefinedMetricWarning, match="fewer than two stars"):
            assert_array_equal(r2_score(y_true, y_pred, multioutput="raw_values"), [0.5, np.nan])

    def test_nothing_to_score(self):
        with pytest.raises(ValueError, match="There is no R2"):
            r2_score([[1.0], [np.nan]], [[1.0], [1.0]])

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_means_over_labels_that_have_a_score(self):
        y_true = [[1.0, np.nan], [1.0, np.nan], [1.0, 2.0]]
        # without any spread it is the plain mean, as in scikit-learn
        assert r2_score(y_true, np.ones((3, 2)), multioutput="variance_weighted") == 1.0
        with pytest.raises(ValueError, match="all have weight 0"):
            r2_score(y_true, np.ones((3, 2)), multioutput=[0.0, 1.0])

    @pytest.mark.parametrize("label_scale", [None, [100, 0.1], "std"])
    def test_scale_enters_the_variance_weighted_mean_only(self, label_scale):
        y_true = np.array([[4000, 0.0], [4200, 0.1], [4400, 0.5]])
        y_pred = y_true + np.array([[10, 0.0], [0, 0.1], [-50, 0.2]])
        raw = r2_score(y_true, y_pred, multioutput="raw_values")
        assert_allclose(r2_score(y_true, y_pred, multioutput="raw_values", label_scale=label_scale), raw)
        scales = {"None": 1, "std": y_true.std(axis=0)}.get(str(label_scale), label_scale)
        expected = np.average(raw, weights=y_true.var(axis=0) / np.square(scales))
        averaged = r2_score(y_true, y_pred, multioutput="variance_weighted", label_scale=label_scale)
        assert_allclose(averaged, expected)
