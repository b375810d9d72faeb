"""What real archives and real users pass: each kind of input gives the right result, or an error that says what to do.

The classes are the kinds of input. Details of single modules are tested beside those modules.
"""

import copy
import multiprocessing
import re
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from skbcnn import CensoredBCNNRegressor, ChipGapRemover, load_folder
from skbcnn.novelty import NoveltyFlag

FORKED = """
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from skbcnn import CensoredBCNNRegressor

X = np.random.default_rng(0).normal(1, 0.1, size=(300, 40))
model = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), lr=0.01, max_epochs=2, n_draws=10, random_state=0)


def fit():
    return model.fit(X, X[:, :2]).predict(X)


def predict():
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        found = model.predict(X), model.assess(X).score, *model.predict_interval(X, 0.8)
    return found, [type(warning.message).__name__ for warning in issued]


def message(method, *arguments):
    try:
        getattr(model, method)(*arguments)
    except RuntimeError as error:
        return str(error)


def forked(function, *arguments):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(function, *arguments).result()
"""


def run_forked(program):
    """Run a program in a process of its own that may hang, and return what it prints."""
    found = subprocess.run(
        [sys.executable, "-c", FORKED + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def said_by_child():
    """What a child of a process that trained a model says."""
    return run_forked("""
        fit()
        expected, none = predict()
        found, issued = forked(predict)
        print(none, issued)
        print(all(np.allclose(*pair, rtol=2e-5, atol=2e-6) for pair in zip(found, expected)))
        print(forked(message, "fit", X, X[:, :2]))
        print(forked(message, "partial_fit", X, X[:, :2]))
        print(forked(message, "jacobian", X))
        model.set_params(backend="tensorflow")
        print(forked(message, "predict", X))
    """).splitlines()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
class TestForkedProcesses:
    """TensorFlow hangs in a process that was forked after its first operation."""

    def test_predictions_of_a_child_equal_those_of_its_parent(self, said_by_child):
        assert said_by_child[:2] == ["[] ['NumpyBackendWarning']", "True"]

    def test_what_needs_tensorflow_is_refused(self, said_by_child):
        messages = dict(line.split(" needs ") for line in said_by_child[2:])
        assert [*messages] == ["fit", "partial_fit", "jacobian", "backend='tensorflow'"]
        assert all(re.search("loky.*'spawn'.*threads", message) for message in messages.values())

    def test_a_child_forked_before_tensorflow_started_trains(self):
        run_forked("""
            there = forked(fit)
            np.testing.assert_array_equal(there, fit())
        """)


def small_network(**parameters):
    """A regressor that is fitted in a second."""
    return CensoredBCNNRegressor(
        **{"num_hidden": (4, 4, 4, 4, 2), "max_epochs": 1, "n_draws": 5, "random_state": 0} | parameters
    )


@pytest.fixture(scope="module")
def normal_stars():
    """100 spectra of 12 pixels, and their labels."""
    X = np.random.default_rng(1).normal(1, 0.1, size=(100, 12)).astype(np.float32)
    return Bunch(X=X, y=X[:, :2].astype(float), x_err=np.full_like(X, 0.02), visits=np.repeat(np.arange(25), 4))


class TestHeldOutStars:
    """Validation data, and several spectra of one star."""

    @pytest.fixture
    def parts(self, monkeypatch):
        """The stars that the last fit trained on, and those that it held out."""
        parts = {}
        train = CensoredBCNNRegressor._train

        def record(self, training, held_out, *arguments):
            parts.update(training=training, held_out=held_out)
            return train(self, training, held_out, *arguments)

        monkeypatch.setattr(CensoredBCNNRegressor, "_train", record)
        return parts

    def test_spectra_of_a_star_are_on_one_side(self, normal_stars, parts):
        names = np.array([f"2M{number}" for number in normal_stars.visits])
        small_network(validation_fraction=0.3).fit(normal_stars.X, normal_stars.y, groups=names)
        trained, held_out = (set(parts[part].group.tolist()) for part in ("training", "held_out"))
        assert trained.isdisjoint(held_out)
        assert len(trained) == 17
        assert len(held_out) == 8
        assert len(parts["training"].x) == 68

    def test_a_star_with_the_only_value_of_a_label_is_trained_on_with_all_its_spectra(self, normal_stars, parts):
        for star in range(6):
            y = normal_stars.y.copy()
            y[normal_stars.visits != star, 1] = np.nan
            y[4 * star : 4 * star + 3, 1] = np.nan
            small_network(validation_fraction=0.8).fit(normal_stars.X, y, groups=normal_stars.visits)
            assert set(parts["training"].group.tolist()).isdisjoint(parts["held_out"].group.tolist())
            assert np.isfinite(parts["training"].y[:, 1]).sum() == 1

    def test_stars_of_weight_zero_keep_the_groups_of_the_others(self, normal_stars, parts):
        weight = np.arange(100) % 3
        small_network(validation_fraction=0.3).fit(
            normal_stars.X, normal_stars.y, sample_weight=weight, groups=normal_stars.visits
        )
        for part in parts.values():
            rows = [np.flatnonzero((x == normal_stars.X).all(axis=1))[0] for x in part.x]
            assert_array_equal(part.group, normal_stars.visits[rows])

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            (np.ma.masked_equal(np.repeat(np.arange(25), 4), 3), "groups is masked or missing .* for 4 of 100 spectra"),
            (np.where(np.arange(100) < 2, np.nan, 1.0), "for 2 of 100"),
            (["2M1", None] * 50, "for 50 of 100"),
            (pd.Series(["a", pd.NA] * 50, dtype="string"), "for 50 of 100"),
            (np.arange(99), r"groups has shape \(99,\), expected \(100,\)"),
            (np.arange(100)[:, None], r"groups has shape \(100, 1\)"),
        ],
    )
    def test_groups_that_are_not_known_are_refused(self, groups, message, normal_stars):
        with pytest.raises(ValueError, match=message):
            small_network().fit(normal_stars.X, normal_stars.y, groups=groups)

    def test_validation_data_are_the_held_out_stars(self, normal_stars, parts):
        X, y = normal_stars.X, normal_stars.y
        table = pd.DataFrame(y[60:, ::-1], columns=["b", "a"])
        model = small_network(target=["a", "b"])
        model.fit(X[:60], y[:60], validation_data=(X[60:], table, None, 0.01 + 0 * y[60:]))
        assert len(parts["training"].x) == 60
        assert sorted(map(tuple, parts["held_out"].y)) == sorted(map(tuple, y[60:]))
        assert "val_loss" in model.history_
        assert len(model.interval_scores_) == 40
        assert model.validation_residuals_["a"][2] == 40

    def test_validation_data_one_by_one(self, normal_stars):
        X, y, x_err = normal_stars.X, normal_stars.y, normal_stars.x_err
        fits = [
            small_network(noise_augmentation=1.0).fit(X[:60], y[:60], x_err=x_err[:60], **given)
            for given in (
                {"validation_data": (X[60:], y[60:], x_err[60:], 0 * y[60:])},
                {"X_val": X[60:], "y_val": y[60:], "x_err_val": x_err[60:], "y_err_val": 0 * y[60:]},
            )
        ]
        assert fits[0].history_ == fits[1].history_
        assert_array_equal(fits[0].interval_scores_, fits[1].interval_scores_)

    def test_validation_data_that_cannot_be_used_are_refused(self, normal_stars):
        X, y, x_err = normal_stars.X, normal_stars.y, normal_stars.x_err
        for given, message in [
            ({"validation_data": (X, y), "X_val": X}, "validation_data and X_val. Pass either"),
            ({"validation_data": (X, y), "groups": normal_stars.visits}, "groups and validation data"),
            ({"validation_data": X}, "validation_data is a ndarray of another type, expected a tuple"),
            ({"validation_data": (X,)}, "a tuple of 1 items"),
            ({"X_val": X}, "fit got X_val. Validation needs both"),
            ({"x_err_val": x_err}, "fit got x_err_val. Validation needs both"),
            ({"validation_data": (X[:, :5], y)}, "validation data cannot be used: X has 5 features"),
            ({"validation_data": (X, y[:9])}, "validation data cannot be used: Found input variables"),
            ({"validation_data": (X, np.full_like(y, np.nan))}, "validation data cannot be used: y has no value"),
            ({"X_val": X, "y_val": y, "x_err_val": x_err[:3]}, "validation data cannot be used: x_err has shape"),
        ]:
            with pytest.raises(ValueError, match=message):
                small_network().fit(X, y, **given)
        with pytest.raises(ValueError, match="noise_augmentation=2 needs their flux errors"):
            small_network(noise_augmentation=2).fit(X, y, x_err=x_err, validation_data=(X, y))

    def test_a_pipeline_transforms_the_validation_spectra(self, normal_stars, parts):
        X, y = normal_stars.X, normal_stars.y
        with config_context(enable_metadata_routing=True):
            network = small_network().set_fit_request(X_val=True, y_val=True)
            pipeline = Pipeline(
                [("pixels", ChipGapRemover(chips=[(2, 12)])), ("network", network)], transform_input=["X_val"]
            )
            pipeline.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
        assert parts["held_out"].x.shape == (40, 10)

    def test_a_search_routes_groups_to_the_splitter_and_on_request_to_fit(self, normal_stars, parts):
        grid, cv = {"network__lr": [0.01]}, GroupKFold(2)
        with config_context(enable_metadata_routing=True):
            for requests, expected in ({}, None), ({"groups": True}, True):
                network = small_network().set_fit_request(**requests)
                search = GridSearchCV(Pipeline([("network", network)]), grid, cv=cv, refit=False, error_score="raise")
                search.fit(normal_stars.X, normal_stars.y, groups=normal_stars.visits)
                assert (parts["training"].group is not None) == bool(expected)
        search.fit(normal_stars.X, normal_stars.y, groups=normal_stars.visits, network__groups=normal_stars.visits)
        assert parts["training"].group is not None


@pytest.fixture(scope="module")
def with_and_without_noise(normal_stars):
    """A model that was trained without noise, and one that was trained with noise."""
    given = {"X": normal_stars.X, "y": normal_stars.y, "x_err": normal_stars.x_err}
    return [small_network(validation_fraction=0.3, noise_augmentation=noise).fit(**given) for noise in (0, (0, 2))]


class TestNoiseTrainedModels:
    """Flux errors count once: in the draws, or in the training."""

    def test_a_model_knows_whether_its_training_held_noise(self, with_and_without_noise):
        assert [model.noise_augmented_ for model in with_and_without_noise] == [False, True]

    def test_old_models_know_it_from_their_parameters(self, with_and_without_noise):
        for model in with_and_without_noise:
            state = {name: value for name, value in model.__getstate__().items() if name != "noise_augmented_"}
            old = CensoredBCNNRegressor.__new__(CensoredBCNNRegressor)
            old.__setstate__(state)
            assert old.noise_augmented_ == model.noise_augmented_

    def test_it_is_saved_and_outlasts_training_without_noise(self, with_and_without_noise, normal_stars, tmp_path):
        _, model = with_and_without_noise
        again = load_folder(model.save(tmp_path / "model"))
        assert again.noise_augmented_
        with pytest.warns(UserWarning, match="calibration"):
            again.set_params(noise_augmentation=0).partial_fit(normal_stars.X, normal_stars.y)
        assert again.noise_augmented_
        assert not again.fit(normal_stars.X, normal_stars.y).noise_augmented_

    def test_flux_errors_are_warned_of_where_noise_counts_twice(self, with_and_without_noise, normal_stars):
        X, y, x_err = normal_stars.X, normal_stars.y, normal_stars.x_err
        quiet, noisy = map(copy.deepcopy, with_and_without_noise)
        for predict in (
            lambda model: model.predict(X, x_err=x_err),
            lambda model: model.predict_std(X, "calibrated", x_err),
            lambda model: model.predict_interval(X, 0.8, x_err),
            lambda model: model.fit_error_model(X, y, x_err=x_err),
        ):
            predict(quiet)
            with pytest.warns(UserWarning, match="trained with noise .* Predict without x_err") as issued:
                predict(noisy)
            assert [warning.filename for warning in issued] == [__file__]

    def test_assess_takes_flux_errors_and_counts_noise_once(self, with_and_without_noise, normal_stars):
        _, noisy = with_and_without_noise
        X, x_err = normal_stars.X, 10 * normal_stars.x_err
        found = noisy.assess(X, x_err)
        assert_array_equal(found.labels, noisy.assess(X).labels)
        assert (found.flags & NoveltyFlag.NOISIER_THAN_TRAINED != 0).all()


class TestStateAfterTraining:
    """What a model says about itself is true after every method that changes it."""

    @pytest.fixture
    def model(self, with_and_without_noise, tmp_path):
        """A calibrated model from a folder that records synthetic training stars."""
        provenance = {"training_data": "synthetic", "n_stars": 70, "license": "MIT"}
        return load_folder(with_and_without_noise[0].save(tmp_path / "before", provenance=provenance))

    def test_partial_fit_drops_the_calibration_once_and_says_so(self, model, normal_stars):
        with pytest.warns(UserWarning, match="partial_fit changed the network, .* fit_error_model") as issued:
            model.partial_fit(normal_stars.X, normal_stars.y).partial_fit(normal_stars.X, normal_stars.y)
        ours = [warning.filename for warning in issued if "changed the network" in str(warning.message)]
        assert ours == [__file__]

    def test_messages_name_the_true_cause(self, model, normal_stars, tmp_path):
        X, y = normal_stars.X, normal_stars.y
        with pytest.warns(UserWarning, match="partial_fit changed"):
            model.partial_fit(X, y)
        causes = {
            "training was continued": load_folder(model.save(tmp_path / "continued")),
            "calibrate=False": small_network(calibrate=False).fit(X, y),
            "no stars were held out": small_network(validation_fraction=0).fit(X, y),
            "fewer than 20 stars": small_network().fit(X, y),
        }
        for cause, uncalibrated in causes.items():
            for method, arguments in ("predict_interval", [X]), ("predict_std", [X, "calibrated"]):
                with pytest.raises(ValueError, match=f"The model has no .*{cause}.* fit_error_model"):
                    getattr(uncalibrated, method)(*arguments)
            assert cause in uncalibrated.save(tmp_path / "card", overwrite=True).joinpath("README.md").read_text()
            uncalibrated.fit_error_model(X, y).predict_interval(X, 0.8)

    def test_card_and_provenance_record_later_trainings(self, model, normal_stars, tmp_path):
        X, y = normal_stars.X, normal_stars.y
        with pytest.warns(UserWarning, match="partial_fit changed"):
            model.partial_fit(X, y).partial_fit(X, y)
        model.set_params(warm_start=True, max_epochs=3).fit(X[:60], y[:60])
        assert model.provenance_ == {
            "license": "MIT",
            "first_training": {"training_data": "synthetic", "n_stars": 70},
            "later_trainings": [
                {"method": "partial_fit", "n_stars": 100, "n_epochs": 2},
                {"method": "fit", "n_stars": 42, "n_epochs": 3},
            ],
        }
        card = model.save(tmp_path / "after").joinpath("README.md").read_text()
        assert "synthetic spectra only" not in card
        assert "first trained on synthetic spectra" in card
        assert "n\\_stars: 42" in card
        assert 'license: "mit"' in card
        assert not hasattr(model.set_params(warm_start=False).fit(X, y), "provenance_")

    def test_warm_start_that_cannot_calibrate_warns(self, model, normal_stars):
        with pytest.warns(UserWarning, match="fit changed the network, so its calibration"):
            model.set_params(warm_start=True, validation_fraction=0).fit(normal_stars.X, normal_stars.y)
