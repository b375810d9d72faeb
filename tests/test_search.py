"""scikit-learn's model selection and meta-estimators around the regressor."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skbcnn import CensoredBCNNRegressor, ElementWindows, LabelNormalizer, SpectraNormalizer
from skbcnn.metrics import get_scorer, get_scorer_names
from skbcnn.survey import MISSING

NAMES = ["teff", "Mg", "Al"]


@pytest.fixture(scope="module")
def data():
    """60 spectra of 40 pixels and 3 labels, some of them -9999."""
    rng = np.random.default_rng(0)
    X = rng.normal(1, 0.1, size=(60, 40)).astype(np.float32)
    y = np.column_stack([4500 + 3000 * (X[:, 0] - 1), X[:, 5] - 1, X[:, 6] + X[:, 7]]).astype(float)
    y[3, 1] = y[7, 2] = y[50, 0] = MISSING
    return X, y


@pytest.fixture(scope="module")
def network():
    """An unfitted regressor. Shared by all tests: do not change it."""
    return CensoredBCNNRegressor(
        windows=ElementWindows({"Mg": [5, 6, 7], "Al": [6, 7]}, 40),
        target=NAMES,
        num_hidden=(8, 8, 4, 4, 2),
        lr=0.01,
        batch_size=16,
        max_epochs=2,
        n_draws=5,
        random_state=0,
    )


@pytest.fixture(scope="module")
def pipeline(network):
    return Pipeline([("pixels", SpectraNormalizer()), ("network", network)])


GRID = {
    "pixels__mode": [0, 2],
    "network__lr": [0.01, 0.001],
    "network__num_hidden": [(8, 8, 4, 4, 2), [6, 6, 4, 4, 0]],
}


class TestGridSearch:
    def test_over_network_and_transformer(self, pipeline, data):
        search = GridSearchCV(pipeline, GRID, cv=2, scoring=get_scorer("neg_mad_std_error", label_scale="std"))
        search.fit(*data)
        scores = search.cv_results_["mean_test_score"]
        assert len(scores) == 8
        assert np.isfinite(scores).all()
        assert len(np.unique(scores)) == 8  # every parameter has an effect
        assert search.best_score_ == scores.max()
        assert search.best_estimator_.named_steps.network.get_params()["lr"] == search.best_params_["network__lr"]
        assert search.predict(data[0]).shape == (60, 3)

    def test_cross_val_score(self, network, data):
        assert np.isfinite(cross_val_score(network, *data, cv=2, scoring=get_scorer("neg_crps_gaussian"))).all()

    def test_all_scorers_at_once(self, network, data):
        scoring = {name: get_scorer(name) for name in get_scorer_names()}
        results = cross_validate(network, *data, cv=2, scoring=scoring, return_estimator=True)
        assert all(np.isfinite(results[f"test_{name}"]).all() for name in scoring)
        folds = KFold(2).split(data[0])
        for model, (_, test), r2 in zip(results["estimator"], folds, results["test_r2"], strict=True):
            assert model.score(data[0][test], data[1][test]) == pytest.approx(r2)

    @pytest.mark.parametrize("name", ["r2", "neg_gaussian_nll_loss"])
    def test_tables_are_scored_by_name(self, pipeline, data, name):
        X, y = data
        fitted = clone(pipeline).fit(X, y)
        shuffled = pd.DataFrame(y, columns=NAMES)[["Al", "teff", "Mg"]]
        assert get_scorer(name)(fitted, X, shuffled) == get_scorer(name)(fitted, X, y)

    def test_errors_are_scored_by_name(self, network, data):
        X, y = data
        table, errors = pd.DataFrame(y, columns=NAMES), pd.DataFrame(np.full(y.shape, [50, 0.1, 0.2]), columns=NAMES)
        with sklearn.config_context(enable_metadata_routing=True):
            scorer = get_scorer("neg_gaussian_nll_loss").set_score_request(y_err=True)
            network = clone(network).set_fit_request(y_err=False)
            by_place = cross_validate(network, X, y, cv=2, scoring=scorer, params={"y_err": errors.to_numpy()})
            by_name = cross_validate(
                network, X, table[["Mg", "Al", "teff"]], cv=2, scoring=scorer, params={"y_err": errors}
            )
        assert_array_equal(by_name["test_score"], by_place["test_score"])

    def test_seeds_from_outside(self, network, data):
        search = RandomizedSearchCV(network, {"random_state": [1, 2]}, n_iter=2, cv=2, random_state=0).fit(*data)
        assert len(np.unique(search.cv_results_["mean_test_score"])) == 2

    def test_halving(self, network, data):
        search = HalvingRandomSearchCV(
            network,
            {"lr": [0.001, 0.003, 0.01, 0.03]},
            resource="max_epochs",
            min_resources=1,
            max_resources=3,
            cv=2,
            random_state=0,
        ).fit(*data)
        assert set(search.cv_results_["n_resources"]) == {1, 3}
        assert search.best_estimator_.n_iter_ == 3

    def test_invalid_parameters_are_scored_as_failed_fits(self, network, data):
        search = GridSearchCV(network, {"num_hidden": [(8, 8, 4, 4, 2), (8, 8)]}, cv=2)
        with (
            pytest.warns(FitFailedWarning, match="expected 5 whole numbers"),
            pytest.warns(UserWarning, match="non-finite"),
        ):
            search.fit(*data)
        assert search.best_params_ == {"num_hidden": (8, 8, 4, 4, 2)}


TWO_WORKERS = """
import numpy as np
from sklearn.model_selection import GridSearchCV
from skbcnn import CensoredBCNNRegressor
X = np.random.default_rng(0).normal(1, 0.1, size=(60, 40)).astype(np.float32)
network = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=2, n_draws=5, random_state=0)
def scores(n_jobs):
    search = GridSearchCV(network, {"lr": [0.01, 0.001], "dropout_rate": [0.1, 0.3]}, cv=2, n_jobs=n_jobs)
    search.fit(X, X[:, :3])
    return search.cv_results_["split0_test_score"], search.predict(X)
for one, two in zip(scores(1), scores(2)):
    assert (one == two).all(), abs(one - two).max()
print("equal")
"""


class TestWorkers:
    @pytest.mark.slow
    def test_two_workers_bit_for_bit(self):
        """With one thread for each fit; the order in which sums are rounded depends on the number of threads."""
        result = subprocess.run(
            [sys.executable, "-c", TWO_WORKERS],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stdout == "equal\n", result.stderr

    def test_in_threads(self, network, data):
        """Threads of one process fit at the same time."""
        from joblib import parallel_backend

        serial = cross_val_predict(network, *data, cv=4)
        with parallel_backend("threading"):
            parallel = cross_val_predict(network, *data, cv=4, n_jobs=2)
        scale = serial.std(axis=0)
        assert_allclose(parallel / scale, serial / scale, rtol=0, atol=1e-3)


class TestCurves:
    def test_cross_val_predict(self, network, data):
        X, y = data
        predicted = cross_val_predict(network, X, y, cv=3)
        train, test = next(KFold(3).split(X))
        assert_array_equal(predicted[test], clone(network).fit(X[train], y[train]).predict(X[test]))

    def test_learning_curve(self, network, data):
        sizes, train, test = learning_curve(network, *data, cv=2, train_sizes=[0.5, 1.0])
        assert list(sizes) == [15, 30]
        assert np.isfinite([train, test]).all()

    def test_validation_curve(self, network, data):
        train, test = validation_curve(network, *data, param_name="max_epochs", param_range=[1, 3], cv=2)
        assert np.isfinite([train, test]).all()


class TestMetaEstimators:
    @pytest.mark.slow
    def test_bagging_is_a_deep_ensemble(self, network, data):
        X, y = data
        ensemble = BaggingRegressor(network, n_estimators=3, random_state=0, n_jobs=2).fit(X, y)
        predictions = [model.predict(X) for model in ensemble.estimators_]
        assert_allclose(ensemble.predict(X), np.mean(predictions, axis=0), rtol=1e-9)
        assert (np.std(predictions, axis=0) > 0).all()

    def test_label_normalizer_around_the_labels(self, network, data):
        X, y = data
        model = TransformedTargetRegressor(network, transformer=LabelNormalizer()).fit(X, y)
        expected, scale = clone(network).fit(X, y).predict(X), np.nanstd(np.where(y == MISSING, np.nan, y), axis=0)
        assert_allclose(model.predict(X) / scale, expected / scale, rtol=0, atol=1e-3)  # labels are normalised anyway

    def test_other_scalers_around_the_labels(self, network, data):
        model = TransformedTargetRegressor(network, transformer=StandardScaler())
        with pytest.warns(UserWarning, match="lowest values of .*Mg, Al lie far below"):
            model.fit(*data)

    @pytest.mark.parametrize("meta", [MultiOutputRegressor, pytest.param(RegressorChain, marks=pytest.mark.slow)])
    def test_one_model_for_each_label(self, data, meta):
        X, y = data
        network = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=1, n_draws=3, random_state=0)
        if meta is RegressorChain:
            y = np.where(y == MISSING, 0, y)  # earlier labels are features of the later ones
        assert meta(network).fit(X, y).predict(X).shape == (60, 3)

    def test_missing_labels_in_one_model_for_each(self, data):
        X, y = data
        network = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=1, n_draws=3, random_state=0)
        models = MultiOutputRegressor(network).fit(X, y)
        for j, model in enumerate(models.estimators_):
            assert model.label_normalizer_.mean_ == pytest.approx(y[y[:, j] > MISSING, j].mean(), rel=0.05, abs=0.05)


class TestParameters:
    def test_nested(self, pipeline):
        copy = clone(pipeline).set_params(network__lr=0.5, pixels__mode=2)
        assert (copy["network"].lr, copy["pixels"].mode) == (0.5, 2)
        assert pipeline["network"].lr == 0.01

    def test_clone_of_a_fitted_model_is_not_fitted(self, network, data):
        fitted = clone(network).fit(*data)
        copy = clone(fitted)
        assert not hasattr(copy, "weights_")
        assert_array_equal(copy.fit(*data).predict(data[0]), fitted.predict(data[0]))

    def test_lists_serve_as_tuples(self, network, data):
        as_list = clone(network).set_params(num_hidden=[8, 8, 4, 4, 2], num_filters=[2, 4]).fit(*data)
        assert_array_equal(as_list.predict(data[0]), clone(network).fit(*data).predict(data[0]))

    def test_pandas_output_of_the_transformers(self, network, data):
        pipeline = make_pipeline(SpectraNormalizer(), clone(network)).set_output(transform="pandas").fit(*data)
        assert list(pipeline[:-1].transform(data[0]).columns[:2]) == ["x0", "x1"]
        assert list(pipeline[-1].feature_names_in_[:2]) == ["x0", "x1"]
        assert pipeline.predict(data[0]).shape == (60, 3)
