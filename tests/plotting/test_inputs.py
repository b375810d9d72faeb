"""What displays are given: estimators within others, names of columns, numbers that are none."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skbcnn import CensoredBCNNRegressor
from skbcnn.plotting.inputs import (
    as_columns,
    check_shapes,
    column_names,
    column_of,
    error_columns,
    find_column,
    prediction_of,
    present,
    regressor_in,
)


class Halver(TransformerMixin, BaseEstimator):
    """Half of what comes."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X) // 2


class Search:
    """A search that is over."""

    def __init__(self, best):
        self.best_estimator_ = best


class TestPredictionOf:
    def test_of_a_regressor(self, oracle):
        X = [[3], [4]]
        assert_array_equal(prediction_of(oracle, X).mean, oracle.mean[[3, 4]])
        assert_array_equal(prediction_of(oracle, X, X).total, 2 * oracle.std[[3, 4]])

    def test_steps_before_transform(self, oracle):
        pipeline = make_pipeline(Halver(), "passthrough", Halver(), oracle)
        assert_array_equal(prediction_of(pipeline, [[12], [16]]).mean, oracle.mean[[3, 4]])
        assert_array_equal(prediction_of(Search(pipeline), [[12]], [[1]]).total, 2 * oracle.std[[3]])


class TestRegressorIn:
    def test_finds_it(self, tiny_model):
        for estimator in (tiny_model, make_pipeline(Halver(), tiny_model), Search(make_pipeline(Halver(), tiny_model))):
            assert regressor_in(estimator) is tiny_model

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            regressor_in(make_pipeline(Halver(), CensoredBCNNRegressor()))


class TestColumns:
    def test_one_label(self):
        assert as_columns([1.0, 2.0]).shape == (2, 1)

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ([[[1.0]]], r"y_true has shape \(1, 1, 1\), expected \(n_samples, n_labels\)"),
            ([1.0, np.inf, -np.inf], "y_true is infinite in 2 places"),
        ],
    )
    def test_refuses(self, values, sentence):
        with pytest.raises(ValueError, match=sentence):
            as_columns(values, "y_true")

    def test_errors(self):
        y_pred = np.zeros((2, 2))
        assert error_columns(None, y_pred) is None
        assert_array_equal(error_columns([[1, -9999], [np.nan, 0]], y_pred), [[1, np.nan], [np.nan, 0]])
        with pytest.raises(ValueError, match="y_std is negative in 1 places"):
            error_columns([[1, -1], [1, 0]], y_pred)
        with pytest.raises(ValueError, match=r"y_std has shape \(1, 2\), expected \(2, 2\) as y_pred has"):
            error_columns([[1, 1]], y_pred)

    def test_shapes(self):
        check_shapes({"flux": np.zeros(3)}, good=None, flux_err=np.ones(3))
        with pytest.raises(ValueError, match=r"good has shape \(4,\), expected \(3,\) as flux has"):
            check_shapes({"flux": np.zeros(3)}, good=np.ones(4))

    def test_present(self):
        assert_array_equal(present(np.array([1, np.nan, 1, 1]), np.array([1, 1, -9999, -9999.99])), [1, 0, 0, 0])


class TestNames:
    def test_those_given(self):
        assert column_names(["a", "b"], [[1, 2]], "y_pred") == ("a", "b")
        assert column_names("a", [1, 2], "y_pred") == ("a",)

    def test_of_a_table_or_of_apogee(self):
        pandas = pytest.importorskip("pandas")
        assert column_names(None, pandas.DataFrame({"teff": [1.0], "Mg": [0.0]}), "y_pred") == ("teff", "Mg")
        assert column_names(None, np.zeros((1, 22)), "y_pred")[:3] == ("teff", "logg", "C")

    @pytest.mark.parametrize(("names", "came"), [(None, "no names"), (["a"], "1 names")])
    def test_too_few(self, names, came):
        with pytest.raises(ValueError, match=f"y_pred has 2 columns and {came}. Pass one name for each"):
            column_names(names, [[1, 2]], "y_pred")

    def test_any_spelling(self):
        names = ["TEFF", "[Ti II/H]", "C", "age"]
        assert [find_column(name, names) for name in ("teff", "Ti2", "[C/H]", "age")] == [0, 1, 2, 3]
        assert find_column("C1", names) is None
        assert find_column(None, ["age"]) == 0

    def test_the_very_name_comes_first(self):
        assert find_column("ti2", ["Ti2", "ti2"]) == 1

    @pytest.mark.parametrize("name", [None, "V", "nonsense"])
    def test_none_such(self, name):
        with pytest.raises(ValueError, match=f"x_name={name!r}, expected one of the labels of y_pred: teff, Mg"):
            column_of(name, ["teff", "Mg"], argument="x_name", owner="y_pred")
