"""Metrics that leave missing labels out."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning

from skbcnn.metrics import r2_score, residual_table
from skbcnn.survey import APOGEE_LABELS, MISSING

MAD_TO_STD = 1.482602218505602
whole_numbers = st.integers(-20, 20).map(float)  # sums of them are exact, so constant labels stay constant


def label_pairs(min_stars=2, min_labels=1):
    """Strategy: true and predicted labels of one shape."""
    shapes = st.tuples(st.integers(min_stars, 8), st.integers(min_labels, 4))
    return shapes.flatmap(lambda shape: st.tuples(*(arrays(float, shape, elements=whole_numbers) for _ in range(2))))


class TestResidualTable:
    def test_numbers_worked_by_hand(self):
        y_true = [[4000, 1.0], [4100, 2.0], [4200, 3.0], [4300, 4.0], [4400, 5.0]]
        y_pred = [[4010, 1.0], [4080, 2.1], [4230, 2.9], [4300, 4.3], [4400, 4.8]]
        table = residual_table(y_true, y_pred, label_names=["teff", "Mg"])
        # teff: residuals 10, -20, 30, 0, 0; median 0; distances from it 10, 20, 30, 0, 0 with median 10
        # Mg: 0, 0.1, -0.1, 0.3, -0.2; median 0; distances 0, 0.1, 0.1, 0.3, 0.2 with median 0.1
        assert list(table["label"]) == ["teff", "Mg"]
        assert list(table["n"]) == [5, 5]
        assert_allclose(table["median_residual"], [0, 0], atol=1e-12)
        assert_allclose(table["mad_std"], [10 * MAD_TO_STD, 0.1 * MAD_TO_STD])
        assert list(table["unit"]) == ["K", "dex"]

    def test_residual_is_prediction_minus_truth(self):
        assert residual_table([4000.0, 4000.0], [4050.0, 4050.0], label_names=["teff"])["median_residual"][0] == 50

    @pytest.mark.parametrize("missing", [np.nan, MISSING, -9999.99, float(np.float32(-9999.99))])
    def test_missing_labels_are_left_out(self, missing):
        table = residual_table([[1.0], [missing], [3.0]], [[1.5], [777.0], [3.5]], label_names=["Mg"])
        assert (table["n"][0], table["median_residual"][0], table["mad_std"][0]) == (2, 0.5, 0.0)

    def test_label_that_no_star_has(self):
        table = residual_table([[1.0, MISSING]], [[1.0, 2.0]], label_names=["Mg", "Al"])
        assert list(table["n"]) == [1, 0]
        assert np.isnan(table["median_residual"][1])
        assert np.isnan(table["mad_std"][1])

    def test_22_columns_are_the_labels_of_apogee(self):
        assert list(residual_table(np.ones((3, 22)), np.ones((3, 22)))["label"]) == list(APOGEE_LABELS)

    def test_names_of_a_data_frame(self):
        y = pd.DataFrame({"Teff": [4000.0], "[TiII/H]": [0.1], "age": [3.0]})
        table = residual_table(y, y.to_numpy())
        assert list(table["label"]) == ["Teff", "[TiII/H]", "age"]
        assert list(table["unit"]) == ["K", "dex", ""]

    def test_units_of_the_user(self):
        assert residual_table([1.0], [1.0], label_names=["age"], units=["Gyr"])["unit"][0] == "Gyr"

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({}, "2 labels and no names. Pass one name for each"),
            ({"label_names": ["teff"]}, "2 labels and 1 names"),
            ({"label_names": ["teff", "Mg"], "units": ["K"]}, "1 units for 2 labels"),
        ],
    )
    def test_names_and_units_must_fit(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            residual_table(np.ones((2, 2)), np.ones((2, 2)), **kwargs)


class TestR2:
    def test_number_worked_by_hand(self):
        # truth 1, 2, 3 about 2: spread 2; missed 1 once: 1 - 1/2
        assert r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]) == 0.5

    def test_number_worked_by_hand_with_weights(self):
        # weights 1, 1, 2: mean 9/4; spread (25 + 1 + 18)/16 = 11/4; missed 2: 1 - 8/11
        assert_allclose(r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 4.0], sample_weight=[1, 1, 2]), 3 / 11)

    @settings(deadline=None, max_examples=150)
    @given(label_pairs())
    def test_agrees_with_sklearn_where_nothing_is_missing(self, pair):
        for multioutput in ("raw_values", "uniform_average", "variance_weighted"):
            assert_allclose(
                r2_score(*pair, multioutput=multioutput), sklearn.metrics.r2_score(*pair, multioutput=multioutput)
            )

    @settings(deadline=None, max_examples=100)
    @given(label_pairs(min_labels=2), st.lists(st.integers(1, 5), min_size=8, max_size=8))
    def test_agrees_with_sklearn_on_weights(self, pair, weights):
        weights, importance = weights[: len(pair[0])], np.arange(1, 1 + pair[0].shape[1])
        theirs = sklearn.metrics.r2_score(*pair, sample_weight=weights, multioutput=importance)
        assert_allclose(r2_score(*pair, sample_weight=weights, multioutput=importance), theirs, rtol=1e-9, atol=1e-9)

    @settings(deadline=None, max_examples=100)
    @given(label_pairs(min_stars=3), st.sampled_from([np.nan, MISSING, -9999.99]), st.data())
    def test_missing_is_the_same_as_absent(self, pair, missing, data):
        y_true, y_pred = pair[0][:, :1], pair[1][:, :1]
        extra = data.draw(st.integers(1, 4))
        padded = np.vstack([y_true, np.full((extra, 1), missing)])
        nonsense = np.vstack([y_pred, np.full((extra, 1), data.draw(st.sampled_from([0.0, 1e6, np.nan])))])
        assert_allclose(r2_score(padded, nonsense), r2_score(y_true, y_pred))

    def test_weight_zero_is_the_same_as_absent(self):
        assert r2_score([1.0, 2.0, 3.0, 50.0], [1.0, 2.0, 4.0, 0.0], sample_weight=[1, 1, 1, 0]) == 0.5

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
        with pytest.raises(ValueError, match="there is no R2"):
            r2_score([[1.0], [np.nan]], [[1.0], [1.0]])

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
    def test_means_over_labels_that_have_a_score(self):
        y_true = [[1.0, np.nan], [1.0, np.nan], [1.0, 2.0]]
        # no spread anywhere: the plain mean, as in scikit-learn
        assert r2_score(y_true, np.ones((3, 2)), multioutput="variance_weighted") == 1.0
        with pytest.raises(ValueError, match="all weigh nothing"):
            r2_score(y_true, np.ones((3, 2)), multioutput=[0.0, 1.0])

    @pytest.mark.parametrize(
        ("multioutput", "message"), [("mean", "multioutput='mean', expected"), ([1.0], r"shape \(1,\)")]
    )
    def test_unknown_means(self, multioutput, message):
        with pytest.raises(ValueError, match=message):
            r2_score(np.eye(3), np.eye(3), multioutput=multioutput)


@pytest.mark.parametrize("metric", [r2_score, lambda *pair: residual_table(*pair, label_names=["Mg", "Al"])])
class TestBadInput:
    def test_shapes_differ(self, metric):
        with pytest.raises(ValueError, match=r"y_true has shape \(3, 2\), but y_pred has shape \(3, 1\)"):
            metric(np.ones((3, 2)), np.ones((3, 1)))

    @pytest.mark.parametrize("lost", [np.nan, MISSING])
    def test_prediction_missing_where_truth_is_not(self, metric, lost):
        with pytest.raises(ValueError, match="y_pred is missing in 1 places"):
            metric([[1.0, 2.0], [2.0, 3.0]], [[1.0, lost], [2.0, 3.0]])

    @pytest.mark.parametrize("which", [0, 1])
    def test_infinite(self, metric, which):
        pair = [np.ones((2, 2)), np.ones((2, 2))]
        pair[which][0, 0] = np.inf
        with pytest.raises(ValueError, match=f"Input {('y_true', 'y_pred')[which]} contains infinity"):
            metric(*pair)
