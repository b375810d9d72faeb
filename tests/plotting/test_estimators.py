"""The regressor in pipelines and searches."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skbcnn import CensoredBCNNRegressor
from skbcnn.plotting._estimators import find_regressor, predict_labels


class Halver(TransformerMixin, BaseEstimator):
    """Transformer that divides numbers of stars by two."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X) // 2


class Search:
    """Search with a best estimator."""

    def __init__(self, best_estimator):
        self.best_estimator_ = best_estimator


def test_predictions_of_a_regressor(oracle):
    X = [[3], [4]]
    assert_array_equal(predict_labels(oracle, X).mean, oracle.mean[[3, 4]])
    assert_array_equal(predict_labels(oracle, X, X).total, 2 * oracle.std[[3, 4]])


def test_predictions_of_pipelines_and_searches(oracle):
    pipeline = make_pipeline(Halver(), "passthrough", Halver(), oracle)
    assert_array_equal(predict_labels(pipeline, [[12], [16]]).mean, oracle.mean[[3, 4]])
    assert_array_equal(predict_labels(Search(pipeline), [[12]], [[1]]).total, 2 * oracle.std[[3]])


def test_regressor_is_found_in_pipelines_and_searches(oracle):
    pipeline = make_pipeline(Halver(), oracle)
    for estimator in (oracle, pipeline, Search(pipeline)):
        assert find_regressor(estimator) is oracle


def test_regressor_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        find_regressor(make_pipeline(Halver(), CensoredBCNNRegressor()))
