"""What real archives and real users pass: each kind of input gives the right result, or an error that says what to do.

The classes are the kinds of input. Details of single modules are tested beside those modules.
"""

import copy
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import hypothesis
import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Column, QTable, Table
from astropy.utils.masked import Masked
from hypothesis import strategies as st
from numpy.testing import assert_array_equal, assert_equal
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from skbcnn import (
    ApogeeBCNNCensoredRegressor,
    CensoredBCNNRegressor,
    ChipGapRemover,
    Prediction,
    load_folder,
    make_apogee_spectra,
    prepare_spectra,
    read_apstar,
    save_folder,
)
from skbcnn._validation import usable_spectra
from skbcnn.calibration import ErrorModel, fit_error_model, fit_noise_model, interval_scores
from skbcnn.catalog import prediction_table
from skbcnn.cli import messages as cli_messages
from skbcnn.datasets import H5Loader, write_h5
from skbcnn.inspection import jacobian, window_attribution
from skbcnn.metrics import (
    crps_gaussian,
    get_scorer,
    mean_absolute_error,
    r2_score,
    residual_table,
    root_mean_squared_error,
)
from skbcnn.novelty import NoveltyFlag
from skbcnn.persistence import from_astronn, from_sdssv
from skbcnn.plotting import (
    AbundancePlaneDisplay,
    ErrorCalibrationDisplay,
    KielDisplay,
    ResidualDisplay,
    ResidualOverviewDisplay,
    SpectrumDisplay,
)
from skbcnn.preprocessing import (
    ContinuumNormalizer,
    LabelNormalizer,
    SpectraNormalizer,
    errors_from_ivar,
    prepare_for_model,
)
from skbcnn.survey import (
    ElementWindows,
    bad_pixels,
    find_label,
    is_missing,
    kept_pixels,
    label,
    label_spreads,
    resolve_target,
    wavelength,
)
from tests.cli.runner import DWARF, GIANT, TINY, refuse, succeed

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

    @pytest.mark.slow
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
            network = small_network(validation_fraction=0.8, calibrate=False)
            network.fit(normal_stars.X, y, groups=normal_stars.visits)
            assert set(parts["training"].group.tolist()).isdisjoint(parts["held_out"].group.tolist())
            assert np.isfinite(parts["training"].y[:, 1]).sum() == 1

    def test_stars_of_weight_zero_keep_the_groups_of_the_others(self, normal_stars, parts):
        weight = np.arange(100) % 3
        small_network(validation_fraction=0.3).fit(
            normal_stars.X, normal_stars.y, sample_weight=weight, groups=normal_stars.visits
        )
        for part in parts.values():
            rows = [np.flatnonzero((x == normal_stars.X).all(axis=1))[0] for x in part.x]
            expected = normal_stars.visits[rows]
            assert_array_equal(part.group[:, None] == part.group, expected[:, None] == expected)

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
            small_network(noise_augmentation=1.0).fit(X[:60], y[:60], x_err=x_err[:60], **arguments)
            for arguments in (
                {"validation_data": (X[60:], y[60:], x_err[60:], 0 * y[60:])},
                {"X_val": X[60:], "y_val": y[60:], "x_err_val": x_err[60:], "y_err_val": 0 * y[60:]},
            )
        ]
        assert fits[0].history_ == fits[1].history_
        assert_array_equal(fits[0].interval_scores_, fits[1].interval_scores_)

    def test_validation_data_that_cannot_be_used_are_refused(self, normal_stars):
        X, y, x_err = normal_stars.X, normal_stars.y, normal_stars.x_err
        for arguments, message in [
            ({"validation_data": (X, y), "X_val": X}, "validation_data and X_val. Pass either"),
            ({"validation_data": (X, y), "groups": normal_stars.visits}, "groups and validation data"),
            ({"validation_data": X}, r"validation_data is a ndarray, expected a tuple .*pass X_val= and y_val="),
            ({"validation_data": {"X": X, "y": y}}, r"validation_data is a dict, expected a tuple .*X_val= and y_val="),
            ({"validation_data": Bunch(X=X, y=y)}, "validation_data is a Bunch, expected a tuple"),
            ({"validation_data": 0.2}, r"validation_data is a float, expected a tuple .*set validation_fraction"),
            ({"validation_data": (X, y, np.ones(100))}, r"third item .* shape \(100,\).*y_err.*fourth.*Weights"),
            ({"validation_data": (X, y, y)}, r"third item .* shape \(100, 2\).*Expected x_err"),
            ({"validation_data": (X,)}, "a tuple of 1 items"),
            ({"X_val": X}, "fit got X_val. Validation needs both"),
            ({"x_err_val": x_err}, "fit got x_err_val. Validation needs both"),
            ({"validation_data": (X[:, :5], y)}, "validation data cannot be used: X has 5 features"),
            ({"validation_data": (X, y[:9])}, "validation data cannot be used: Found input variables"),
            ({"validation_data": (X, np.full_like(y, np.nan))}, "validation data cannot be used: y has no value"),
            ({"X_val": X, "y_val": y, "x_err_val": x_err[:3]}, "validation data cannot be used: x_err has shape"),
        ]:
            with pytest.raises(ValueError, match=message):
                small_network().fit(X, y, **arguments)
        with pytest.raises(ValueError, match="noise_augmentation=2 needs flux errors: pass x_err in validation_data"):
            small_network(noise_augmentation=2).fit(X, y, x_err=x_err, validation_data=(X, y))

    def test_validation_labels_in_other_units_are_warned_of(self, normal_stars):
        X, y = normal_stars.X, normal_stars.y
        scaled = TransformedTargetRegressor(small_network(), transformer=LabelNormalizer())
        with pytest.warns(UserWarning, match="validation labels teff lie far .* TransformedTargetRegressor"):
            scaled.set_params(regressor__target=["teff", "Mg"]).fit(
                X, y * [4500, 1], validation_data=(X, y * [4500, 1])
            )

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
                {"method": "fit", "n_stars": 60, "n_epochs": 3},  # the held-out ones among them
            ],
        }
        card = model.save(tmp_path / "after").joinpath("README.md").read_text()
        assert "synthetic spectra only" not in card
        assert "first trained on synthetic spectra" in card
        assert "n\\_stars: 60" in card
        assert 'license: "mit"' in card

    def test_the_card_names_the_cause_after_another_calibration(self, model, normal_stars, tmp_path):
        with pytest.warns(UserWarning, match="partial_fit changed"):
            model.partial_fit(normal_stars.X, normal_stars.y)
        model.fit_error_model(normal_stars.X, normal_stars.y)
        card = model.save(tmp_path / "after").joinpath("README.md").read_text()
        assert "accuracy of this model is not known: its training was continued" in card

    def test_new_entries_of_the_provenance_do_not_hide_the_others(self, model, tmp_path):
        folder = model.save(tmp_path / "after", provenance={"author": "A. Stronomer", "license": "BSD-3-Clause"})
        assert load_folder(folder).provenance_ == {
            "training_data": "synthetic",
            "n_stars": 70,
            "license": "BSD-3-Clause",
            "author": "A. Stronomer",
        }
        assert "synthetic spectra only" in (folder / "README.md").read_text()

    def test_a_new_training_forgets_the_records_of_the_earlier_one_and_says_so(self, model, normal_stars):
        model.preprocessing_ = {"data_release": 17}
        with pytest.warns(UserWarning, match="the model forgets preprocessing_ and provenance_"):
            model.fit(normal_stars.X, normal_stars.y)
        assert not hasattr(model, "preprocessing_")
        assert not hasattr(model, "provenance_")

    def test_warm_start_that_cannot_calibrate_warns(self, model, normal_stars):
        with pytest.warns(UserWarning, match="fit changed the network, so its calibration"):
            model.set_params(warm_start=True, validation_fraction=0).fit(normal_stars.X, normal_stars.y)


class TestUnnormalisedFlux:
    """Counts instead of flux that is divided by its continuum."""

    def test_training_on_counts_is_warned_of(self, normal_stars):
        with pytest.warns(UserWarning, match=r"median flux of X is \d{3}.*prepare_spectra or ContinuumNormalizer"):
            small_network().fit(500 * normal_stars.X, normal_stars.y)
        small_network().fit(normal_stars.X - 1, normal_stars.y)  # any survey: standardised spectra are good

    def test_apogee_expects_flux_near_one(self):
        X = np.random.default_rng(0).normal(0.2, 0.01, size=(20, 7514))
        with pytest.warns(UserWarning, match=r"median flux of X is 0\.2, but ApogeeBCNNCensoredRegressor expects"):
            ApogeeBCNNCensoredRegressor(target="teff", num_hidden=(4, 4, 4, 4, 2), max_epochs=1).fit(X, X[:, 0])

    def test_augmentation_that_needs_a_continuum_at_one_is_off_or_warned_of(self):
        X = np.random.default_rng(0).normal(1, 0.01, size=(40, 7514))
        network = ApogeeBCNNCensoredRegressor(target="teff", num_hidden=(4, 4, 4, 4, 2), max_epochs=1, random_state=0)
        centred = SpectraNormalizer(mode=3).fit_transform(X)
        with pytest.warns(UserWarning, match=r"median flux of X is .*'auto' is switched off.*SpectraNormalizer"):
            off = clone(network).fit(centred, X[:, 0])
        with pytest.warns(UserWarning, match=r"median flux of X is .* the same way\.$"):
            without = clone(network).set_params(augmentation=None).fit(centred, X[:, 0])
        assert_array_equal(off.predict(centred), without.predict(centred))
        with pytest.warns(UserWarning, match=r"sets bad pixels to 1, but their continuum is not at 1"):
            clone(network).set_params(augmentation={}).fit(centred, X[:, 0])
        with pytest.warns(UserWarning, match=r"sets bad pixels to 1, but their continuum is not at 1"):
            small_network(augmentation={}).fit(centred, X[:, 0])
        small_network(augmentation={"continuum": (0, 0, 0), "bad_pixels": 0}).fit(centred, X[:, 0])

    def test_continuing_with_another_flux_level_is_warned_of(self, normal_stars):
        X, y = normal_stars.X, normal_stars.y
        model = small_network(warm_start=True).fit(X, y)
        with (
            pytest.warns(UserWarning, match=r"but that of the training spectra is (1|0\.99)"),
            pytest.warns(UserWarning, match="expects continuum-normalised spectra"),
        ):
            model.partial_fit(300 * X, y)
        with pytest.warns(UserWarning, match="median flux of X"):
            counts = small_network(warm_start=True).fit(300 * X, y)
        with pytest.warns(UserWarning, match=r"The median flux of X is 0\.\d*, but that of the training spectra is 29"):
            counts.predict(X - 0.05)
        with pytest.warns(UserWarning, match=r"the spectra of this training is 0\.\d*, but that of .* is 29"):
            counts.fit(X, y)

    def test_equal_spectra_and_equal_labels_are_warned_of(self):
        X = np.random.default_rng(0).normal(1, 0.01, size=(40, 1000))
        with pytest.warns(UserWarning, match="All training stars have the same Mg"):
            small_network(target=["teff", "Mg"]).fit(X, np.column_stack([X[:, 0], [0.3, 0.1 + 0.2] * 20]))
        with pytest.warns(UserWarning, match="The first 36 spectra are equal"):
            small_network().fit(np.ones_like(X), X[:, 0])

    def test_flux_of_0_to_255_has_a_normalisation_of_its_own(self, normal_stars):
        small_network(input_norm_mode=255).fit(200 * normal_stars.X, normal_stars.y)

    def test_derivatives_of_counts_are_warned_of(self, normal_stars):
        model = small_network().fit(normal_stars.X, normal_stars.y)
        for function in jacobian, window_attribution:
            with pytest.warns(UserWarning, match=r"median flux of X is \d{3}"):
                function(model, 500 * normal_stars.X[:2], n_draws=2)

    def test_predicting_counts_is_warned_of(self, normal_stars):
        X, y = normal_stars.X, normal_stars.y
        for calibrate in True, False:
            model = small_network(calibrate=calibrate).fit(X, y)
            with pytest.warns(
                UserWarning, match=r"median flux of X is \d{3}.* training spectra is .*prepare_for_model"
            ):
                model.predict(500 * X)
        with pytest.warns(UserWarning, match=r"median flux of the validation spectra is \d{3}"):
            small_network().fit(X, y, validation_data=(500 * X, y))

    @pytest.mark.parametrize("factor", [0, 1e-15, 5])
    def test_predicting_another_flux_level_is_warned_of(self, giants, giants_model, factor):
        model = load_folder(giants_model)
        with pytest.warns(UserWarning, match=r"The median flux of X is .*, but that of the training spectra is"):
            model.predict(factor * giants.X[:5])


LABELS = ("teff", "Mg")


@pytest.fixture(scope="module")
def giants():
    """Synthetic giants of two labels."""
    stars = make_apogee_spectra(40, lines="isolated", random_state=0)
    columns = [stars.label_names.index(name) for name in LABELS]
    return Bunch(**stars, labels=dict(zip(LABELS, stars.y[:, columns].T, strict=True)))


@pytest.fixture(scope="module")
def giants_file(giants, tmp_path_factory):
    """Their spectra, which record their preparation. Shared by all tests: do not change it."""
    path = tmp_path_factory.mktemp("giants") / "giants.h5"
    return write_h5(path, giants.X, giants.labels, spectra_err=giants.X_err, preprocessing=giants.preprocessing)


@pytest.fixture(scope="module")
def giants_model(giants, tmp_path_factory):
    """Folder of a model of these giants that was trained with noise. Shared by all tests: do not change it."""
    noise = {"augmentation": None, "noise_augmentation": (0, 2)}
    network = ApogeeBCNNCensoredRegressor(
        target=LABELS, max_epochs=1, validation_fraction=0.5, random_state=0, **noise, **TINY
    )
    network.fit(giants.X, pd.DataFrame(giants.labels), x_err=giants.X_err)
    return network.save(tmp_path_factory.mktemp("giants") / "model", preprocessing=giants.preprocessing)


@pytest.fixture(scope="module")
def clean_model(giants):
    """A model of these giants that was trained without noise, so that flux errors enter its draws."""
    network = ApogeeBCNNCensoredRegressor(
        target="teff", augmentation=None, max_epochs=1, validation_fraction=0, random_state=0, **TINY
    )
    return network.fit(giants.X, giants.labels["teff"])


class TestErrorsAboveTheContinuum:
    """The survey marks bad pixels by errors far above the continuum: they count like flagged pixels everywhere."""

    @pytest.mark.parametrize("path", [GIANT, DWARF], ids=["giant", "dwarf"])
    def test_a_real_spectrum_without_its_bitmask(self, clean_model, path):
        star = read_apstar(path)
        X, x_err = prepare_spectra(star.flux, star.error)
        assert x_err.max() < 1
        expected = clean_model.predict(prepare_spectra(star)[0])
        assert abs(clean_model.predict(X, x_err=x_err) - expected) < 50

    def test_marked_with_any_large_number(self, clean_model):
        X, x_err = prepare_spectra(read_apstar(DWARF))
        bad = x_err == 0
        for mark in (1e10, np.inf):
            marked = np.where(bad, mark, x_err)
            found = clean_model.predict(np.where(bad, 7.0, X), x_err=marked)
            assert_array_equal(found, clean_model.predict(X, x_err=x_err))
            assert_array_equal(marked[bad], mark)
            assert (clean_model.domain_ is None) or clean_model.assess(X, marked).flags.shape == (1,)

    def test_normalised_spectra_without_bitmask(self, clean_model):
        star = read_apstar(DWARF)
        level = np.nanmedian(star.flux)
        bad = star.bitmask & 1 == 1
        aspcap = replace(
            star,
            flux=np.where(bad, 99, star.flux / level).astype(np.float32),
            error=np.where(bad, 1e10, star.error / level).astype(np.float32),
            bitmask=0 * star.bitmask,
            normalized=True,
        )
        for X, x_err in prepare_spectra(aspcap), prepare_for_model_quietly(clean_model, aspcap):
            assert X.max() < 3
            assert x_err.max() < 1
            assert abs(clean_model.predict(X, x_err=x_err) - clean_model.predict(prepare_spectra(star)[0])) < 50

    @pytest.mark.parametrize("bad_error", [1e10, np.inf])
    def test_in_training(self, normal_stars, bad_error):
        bad = np.zeros(normal_stars.X.shape, dtype=bool)
        bad[::3, 4] = True
        models = [
            small_network(noise_augmentation=1.0).fit(
                np.where(bad, flux, normal_stars.X), normal_stars.y, x_err=np.where(bad, error, normal_stars.x_err)
            )
            for flux, error in ((50, bad_error), (1, 0))
        ]
        assert models[0].history_ == models[1].history_
        assert_array_equal(*(model.predict(normal_stars.X) for model in models))

    def test_in_the_methods_of_a_fitted_model(self, normal_stars, with_and_without_noise):
        model = with_and_without_noise[0]
        X, x_err = normal_stars.X, normal_stars.x_err.copy()
        x_err[5, 3], wild = 0, X.copy()
        clean = X.copy()
        clean[5, 3], wild[5, 3] = 1, 60
        marked = x_err.copy()
        marked[5, 3] = 1e10
        for method in (model.predict, model.assess, model.domain_.assess, model.novelty_score, model.predict_interval):
            found, expected = method(wild, x_err=marked), method(clean, x_err=x_err)
            for name in ("score", "flags") if hasattr(found, "flags") and not isinstance(found, np.ndarray) else ():
                assert_array_equal(getattr(found, name), getattr(expected, name))
            if isinstance(found, np.ndarray):
                assert_array_equal(found, expected)

    def test_most_errors_above_the_continuum_are_refused(self, normal_stars, with_and_without_noise):
        X, y = normal_stars.X, normal_stars.y
        for use in (
            lambda error: small_network().fit(X, y, x_err=error),
            lambda error: with_and_without_noise[0].predict(X, x_err=error),
            lambda error: with_and_without_noise[0].domain_.assess(X, x_err=error),
        ):
            with pytest.raises(
                ValueError, match=r"x_err is above 1.*inverse variance.*errors of flux that is not norm"
            ):
                use(np.full_like(X, 30))

    @pytest.mark.parametrize("error", [1e10, np.inf, 1e4])
    def test_single_spectra_with_such_errors_are_named(self, error, normal_stars, with_and_without_noise):
        X, y, x_err = normal_stars.X, normal_stars.y, normal_stars.x_err.copy()
        x_err[[3, 8]] = error
        for use in (
            lambda: small_network().fit(X, y, x_err=x_err),
            lambda: with_and_without_noise[0].predict(X, x_err=x_err),
            lambda: with_and_without_noise[0].domain_.assess(X, x_err=x_err),
            lambda: small_network().fit(X, y, validation_data=(X, y, x_err)),
        ):
            with pytest.warns(UserWarning, match=r"Rows 3, 8 of x_err.*inverse variances.* below 1 .*pixels are bad"):
                use()

    def test_flux_of_bad_pixels_may_be_nan(self, normal_stars, with_and_without_noise):
        model, y = with_and_without_noise[0], normal_stars.y
        X, x_err, clean = normal_stars.X.copy(), normal_stars.x_err.copy(), normal_stars.X.copy()
        X[::5, 4], x_err[::5, 4], clean[::5, 4] = np.nan, np.inf, 1
        none = np.where(np.isinf(x_err), 0, x_err)
        assert_array_equal(model.predict(X, x_err=x_err), model.predict(clean, x_err=none))
        assert_array_equal(model.assess(X, x_err).score, model.assess(clean, none).score)
        fitted = [small_network().fit(*given) for given in ((X, y, x_err), (clean, y, none))]
        assert fitted[0].history_ == fitted[1].history_
        with pytest.raises(ValueError, match="X contains NaN"):
            model.predict(X)

    def test_memory_maps_are_replaced_where_they_are_read(self, normal_stars, with_and_without_noise, tmp_path):
        model, y = with_and_without_noise[0], normal_stars.y
        bad = normal_stars.X > 1.25
        X, x_err = np.where(bad, np.float32(99), normal_stars.X), np.where(bad, np.float32(1e10), normal_stars.x_err)
        for name, values in (("X", X), ("x_err", x_err)):
            np.save(tmp_path / name, values)
        maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("X", "x_err")]
        assert not isinstance(usable_spectra(*maps)[0], np.ndarray)
        for use in (
            lambda X, e: model.predict(X, x_err=e),
            lambda X, e: model.predict_interval(X, x_err=e),
            lambda X, e: (model.assess(X, e).score, model.assess(X, e).flags),
            lambda X, e: model.domain_.assess(X, x_err=e).score,
            lambda X, e: model.domain_.pixel_noise(X, e),
            lambda X, e: copy.deepcopy(model).fit_error_model(X, y, x_err=e).error_model_.scale,
            lambda X, e: small_network().fit(X, y, x_err=e).history_,
            lambda X, e: model.predict(np.ma.array(X, mask=bad), x_err=e),
        ):
            assert_equal(use(*maps), use(X, x_err))

    def test_absent_errors_count_as_masked(self, normal_stars, with_and_without_noise):
        model, X = with_and_without_noise[0], normal_stars.X[:4]
        x_err = pd.DataFrame(normal_stars.x_err[:4].astype(float))
        expected = model.predict(
            X, x_err=np.ma.array(x_err, mask=x_err.index.to_numpy()[:, None] == np.arange(X.shape[1]))
        )
        x_err = x_err.astype("Float64")
        for j in range(4):
            x_err.iloc[j, j] = pd.NA
        assert_array_equal(model.predict(X, x_err=x_err), expected)
        assert_array_equal(model.predict(X, x_err=x_err.astype(object)), expected)
        with pytest.raises(ValueError, match=r"x_err is negative or NaN in places\. Pass infinity, or a masked array"):
            model.predict(X, x_err=x_err.astype(float).to_numpy(na_value=np.nan))

    def test_booleans_are_no_errors(self, normal_stars, with_and_without_noise):
        bad = normal_stars.X > 1
        for use in (
            lambda: with_and_without_noise[0].predict(normal_stars.X, x_err=bad),
            lambda: prepare_spectra(np.ones((1, 7514)), np.zeros((1, 7514), dtype=bool)),
        ):
            with pytest.raises(ValueError, match=r"x_err holds booleans.* as `bitmask`"):
                use()

    def test_replaced_pixels_do_not_lower_the_noise_level(self, normal_stars):
        x_err = np.full_like(normal_stars.x_err, 0.02)
        x_err[:, :8] = 0
        model = small_network().fit(normal_stars.X, normal_stars.y, x_err=x_err)
        assert model.noise_level_ == pytest.approx(0.02)
        noisier = model.predict_distribution(normal_stars.X[:2], x_err=x_err[:2] * [[1.5], [0.5]]).noisier
        assert_array_equal(noisier, [True, False])

    def test_spectra_on_another_scale_have_larger_errors(self, normal_stars):
        X, y, x_err = 300 * normal_stars.X / 100, normal_stars.y, 100 * normal_stars.x_err
        x_err[:, ::2] = 2
        model = small_network().fit(X, y, x_err=x_err)
        assert_array_equal(model.spectra_normalizer_.mean_, small_network().fit(X, y).spectra_normalizer_.mean_)
        assert np.isfinite(model.predict(X, x_err=x_err)).all()
        assert_array_equal(model.assess(X[:3]).score.shape, model.assess(X[:3], x_err[:3]).score.shape)
        bad = normal_stars.X < 0.9
        for given in ({"X": X, "x_err": np.where(bad, np.inf, x_err)}, {"X": np.ma.array(X, mask=bad)}):
            for use in (model.predict, model.assess, lambda y=y, **given: small_network().fit(y=y, **given)):
                with pytest.raises(ValueError, match=r"in places\. Such pixels are bad.* are not near 1"):
                    use(**given)

    def test_masked_errors_are_not_scaled(self):
        normalizer = SpectraNormalizer(mode=2).fit(np.random.default_rng(0).normal(1, 0.1, (20, 3)))
        with pytest.raises(ValueError, match="err is masked or absent in 1 places"):
            normalizer.scale_errors(np.ma.array([[0.1, 0.2, 0.3]], mask=[[0, 1, 0]]))


def prepare_for_model_quietly(model, *spectra, **given):
    """Prepare spectra for a model that records no preparation."""
    with pytest.warns(UserWarning, match="does not record"):
        return prepare_for_model(model, *spectra, **given)


class TestInverseVariance:
    """SDSS-V delivers inverse variances: they are taken by name, and refused in place of errors."""

    @pytest.fixture
    def star(self):
        return read_apstar(DWARF)

    def test_by_name_equal_errors(self, star, clean_model):
        bad = star.bitmask & 1 == 1
        with np.errstate(divide="ignore"):
            ivar = np.where(bad, 0, 1 / star.error.astype(float) ** 2)
        error = np.where(bad, np.inf, star.error.astype(float))
        for found, expected in zip(
            (prepare_spectra(star.flux, ivar=ivar), prepare_for_model_quietly(clean_model, star.flux, ivar=ivar)),
            (prepare_spectra(star.flux, error), prepare_for_model_quietly(clean_model, star.flux, error)),
            strict=True,
        ):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)

    def test_in_place_of_errors_is_refused(self, star):
        level = float(np.nanmedian(star.flux))
        with pytest.raises(ValueError, match=r"flux errors are above the continuum .*inverse variances.*as `ivar`"):
            prepare_spectra(star.flux / level, np.full_like(star.flux, 1e4))
        with pytest.warns(UserWarning, match=r"signal-to-noise ratio above 10,000\. They are probably inverse var"):
            prepare_spectra(np.full((1, 7514), 1e4), np.full((1, 7514), 1e-2))

    def test_in_place_of_errors_explains_a_continuum_that_is_not_positive(self):
        flux = np.random.default_rng(0).normal(1, 0.1, (2, 6))
        flux[:, -1] = -5
        normalizer = ContinuumNormalizer(pixels="all", chips="one")
        for error, message in ((1e4, "errors are above the continuum.*inverse variances"), (1e-9, "inverse variances")):
            with pytest.raises(ValueError, match=message):
                normalizer.normalize(flux, np.full_like(flux, error))
        with pytest.raises(ValueError, match="Rows 0, 1 of X have a continuum that is not positive"):
            normalizer.normalize(flux, np.full_like(flux, 0.1))

    def test_of_flux_in_physical_units_in_place_of_errors(self):
        flux = np.full((2, 7514), 3e-15)
        with pytest.raises(ValueError, match=r"errors are above the continuum, .* inverse variances\? Then .* `ivar=`"):
            prepare_spectra(flux, 1 / (0.01 * flux) ** 2)

    def test_of_single_spectra_in_place_of_errors_is_named(self, star):
        flux = np.full((4, 7514), 2.0)
        err = np.full_like(flux, 0.02)
        err[2] = 2500
        with pytest.raises(ValueError, match=r"Row 2 of X: all flux errors are above the continuum.*inverse variances"):
            prepare_spectra(flux, err)
        with pytest.warns(UserWarning, match="Row 2 of X: more than half of the flux errors are above the continuum"):
            X, x_err = prepare_spectra(flux, err, no_continuum="fill")
        assert (X[2] == 1).all()
        assert (x_err[2] == 0).all()
        err[2, :3000], err[1] = 0.02, 1e-6
        with pytest.warns(UserWarning, match=r"Row \d of X: more than half") as issued:
            prepare_spectra(flux, err)
        assert [str(warning.message)[4] for warning in issued] == ["2", "1"]

    def test_beside_errors_is_refused(self, star):
        with pytest.raises(ValueError, match="Both err and ivar were passed"):
            prepare_spectra(star.flux, star.error, ivar=star.error)

    def test_is_converted(self):
        assert_array_equal(errors_from_ivar(np.array([4, 0, 1])), [0.5, np.inf, 1])
        assert errors_from_ivar(np.ones(2, np.float32)).dtype == np.float32
        assert_array_equal(errors_from_ivar(np.ma.array([4.0, np.nan, 4], mask=[0, 0, 1])), [0.5, np.inf, np.inf])
        assert errors_from_ivar([4.0] / units.Jy**2).unit == units.Jy
        with pytest.raises(ValueError, match=r"ivar is negative in 1 places.* Pass 0"):
            errors_from_ivar([1.0, -1.0])


class TestMaskedSpectra:
    """A masked pixel is bad: in flux, in errors and in the bitmask."""

    MASKED = (np.ma.array, Masked)

    @pytest.mark.parametrize("masked", MASKED)
    @pytest.mark.parametrize("which", ["flux", "err", "bitmask"])
    def test_in_the_preparation(self, masked, which):
        star = read_apstar(DWARF)
        mask = np.zeros(star.flux.shape, dtype=bool)
        mask[0, 4000:4010] = True
        given = {"flux": star.flux, "err": star.error, "bitmask": star.bitmask}
        X, x_err = prepare_spectra(**given | {which: masked(given[which], mask=mask)})
        expected = prepare_spectra(**given | {"flux": np.where(mask, np.float32(np.nan), star.flux)})
        assert_array_equal(X, expected[0])
        assert_array_equal(x_err, expected[1])
        kept = ChipGapRemover().transform(mask) == 1
        assert (X[kept] == 1).all()
        assert (x_err[kept] == 0).all()

    @pytest.mark.parametrize("masked", MASKED)
    def test_in_the_transformers(self, masked):
        X = np.full((2, 8575), 100.0)
        X[1, 4000] = 1e9
        masked_X = masked(X, mask=X > 1e6)
        without_gaps = ChipGapRemover().transform(masked_X)
        assert np.isnan(without_gaps).sum() == 1
        np.testing.assert_allclose(ContinuumNormalizer().transform(without_gaps), 1)
        flux = masked_X[:, 400:7914]
        np.testing.assert_allclose(ContinuumNormalizer().normalize(flux).flux, 1)
        ones = masked(np.where(X > 1e6, X, 1.0), mask=X > 1e6)
        assert_array_equal(SpectraNormalizer().fit(ones).mean_, 1)
        assert_array_equal(SpectraNormalizer().fit_transform(ones), 0)

    @pytest.mark.parametrize("masked", MASKED)
    def test_in_the_regressor(self, masked, normal_stars):
        X, y, x_err = normal_stars.X, normal_stars.y, normal_stars.x_err
        bad = np.zeros(X.shape, dtype=bool)
        bad[::3, 4] = True
        wild, good = np.where(bad, np.float32(77), X), np.where(bad, np.float32(1), X)
        no_error = np.where(bad, np.float32(0), x_err)
        for spectra, errors in ((masked(wild, mask=bad), x_err), (wild, masked(x_err, mask=bad))):
            model = small_network(noise_augmentation=1.0).fit(spectra, y, x_err=errors)
            expected = small_network(noise_augmentation=1.0).fit(good, y, x_err=no_error)
            assert model.history_ == expected.history_
            assert_array_equal(model.assess(spectra, errors).score, model.assess(good, no_error).score)
        assert_array_equal(model.predict(masked(wild, mask=bad)), model.predict(good))
        assert model.score(masked(wild, mask=bad), y) == model.score(good, y)
        assert_array_equal(model.jacobian(masked(wild, mask=bad)[:3]), model.jacobian(good[:3]))

    def test_rows_in_a_list(self, normal_stars, with_and_without_noise):
        rows = [np.ma.array(row, mask=row < 0.9) for row in normal_stars.X]
        assert_array_equal(
            with_and_without_noise[0].predict(rows),
            with_and_without_noise[0].predict(np.where(normal_stars.X < 0.9, np.float32(1), normal_stars.X)),
        )

    def test_boolean_bitmasks_mark_bad_pixels(self):
        star = read_apstar(DWARF)
        expected = prepare_spectra(star)
        for bits in (bad_pixels(star.bitmask), bad_pixels(star.bitmask).tolist()):
            for a, b in zip(prepare_spectra(star.flux, star.error, bits), expected, strict=True):
                assert_array_equal(a, b)

    def test_inverted_bitmasks_are_refused(self):
        star = read_apstar(DWARF)
        good = ~bad_pixels(star.bitmask)
        for use in (
            lambda: prepare_spectra(star.flux, star.error, good),
            lambda: ContinuumNormalizer().transform(np.ones((1, 7514)), bitmask=good),
        ):
            with pytest.raises(ValueError, match=r"bitmask marks \d+% of all pixels as bad.*pass ~bitmask"):
                use()

    @pytest.mark.parametrize("bitmask", [None, np.full((2, 7514), 4096)])
    def test_the_value_of_a_flag_is_no_number_of_a_bit(self, bitmask):
        flux = np.ones((2, 7514))
        with pytest.raises(TypeError, match=r"bad_bits is 4096, expected the numbers .*\[12\] for 1 << 12.*PixelFlag"):
            prepare_spectra(flux, 0.1 * flux, bitmask, bad_bits=4096)
        with pytest.raises(ValueError, match=r"bad_bits has \[4096\], expected numbers of bits"):
            prepare_spectra(flux, 0.1 * flux, bitmask, bad_bits=[4096])

    def test_bitmasks_of_other_shapes_are_refused_with_what_to_write(self):
        flux = np.ones((3, 7514))
        bad = np.zeros(flux.shape, dtype=bool)
        bad[:, 40:42] = True
        for prepare, name in ((prepare_spectra, "flux"), (ContinuumNormalizer().normalize, "X")):
            for pixels in ([40, 41], np.array([40, 41]), np.where(bad)):
                with pytest.raises(ValueError, match=rf"boolean array of the shape of {name}, True at these pixels: "):
                    prepare(flux, bitmask=pixels)
            with pytest.raises(ValueError, match=rf"pass np.broadcast_to\(bitmask, {name}.shape\)"):
                prepare(flux, bitmask=bad[0])
        with pytest.raises(ValueError, match="with or both without the gaps"):
            prepare_spectra(flux, bitmask=np.zeros((3, 8575), dtype=int))


class TestUnitsOfSpectra:
    """Flux and its errors are converted to one unit, and a model takes flux without a unit."""

    def test_flux_and_errors_in_different_units(self):
        star = read_apstar(GIANT)
        expected = prepare_spectra(star.flux.astype(float), star.error.astype(float), star.bitmask)
        flux, error = star.flux.astype(float) * units.Jy, (star.error.astype(float) * units.Jy).to(units.mJy)
        found = prepare_spectra(flux, error, star.bitmask)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
        kept = ChipGapRemover().transform(flux), ChipGapRemover().transform(error)
        assert kept[0].unit == units.Jy
        again = ContinuumNormalizer().normalize(*kept, star.bitmask)
        np.testing.assert_allclose(again.err, expected[1], rtol=1e-6, atol=1e-9)

    def test_of_one_alone_or_of_another_kind_are_refused(self):
        flux = np.ones((1, 7514))
        with pytest.raises(ValueError, match=r"flux has the unit 'Jy', but err has none. Pass both with a unit"):
            prepare_spectra(flux * units.Jy, 0.1 * flux)
        with pytest.raises(ValueError, match="err has the unit 'm', expected the unit 'Jy' of the flux"):
            prepare_spectra(flux * units.Jy, 0.1 * flux * units.m)
        for unit in (units.Jy, 1):
            with pytest.raises(ValueError, match=r"err has the unit '%'.*multiply them by the flux: err \* flux"):
                prepare_spectra(flux * unit, flux * units.percent)

    def test_of_inverse_variances(self, tmp_path):
        flux = np.random.default_rng(0).normal(300, 3, (2, 7514))
        ivar = np.full(flux.shape, 1 / 9) / units.Jy**2
        expected = prepare_spectra(flux, ivar=ivar.value)
        for a, b in zip(prepare_spectra(flux * units.Jy, ivar=ivar.to(1 / units.mJy**2)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        message = "ivar has the unit 'Jy', expected the unit '1 / Jy2' that belongs to flux in 'Jy'"
        with pytest.raises(ValueError, match=message):
            prepare_spectra(flux * units.Jy, ivar=ivar.value * units.Jy)
        with pytest.raises(ValueError, match=f"spectra_{message}"):
            write_h5(tmp_path / "a.h5", flux * units.Jy, {"teff": [4500, 4600]}, spectra_ivar=ivar.value * units.Jy)
        with pytest.raises(ValueError, match="flux has the unit 'Jy', but ivar has none"):
            prepare_spectra(flux * units.Jy, ivar=ivar.value)

    def test_a_model_takes_flux_in_units_of_the_continuum(self, normal_stars, with_and_without_noise):
        model, X = with_and_without_noise[0], normal_stars.X
        expected = model.predict(X)
        assert_array_equal(model.predict(X * units.dimensionless_unscaled), expected)
        np.testing.assert_allclose(model.predict(100 * X * units.percent), expected, rtol=1e-5)
        for use in (model.predict, lambda X: small_network().fit(X, normal_stars.y), SpectraNormalizer().fit):
            with pytest.raises(ValueError, match="X has the unit 'Jy', expected flux in units of the continuum"):
                use(X * units.Jy)
        with pytest.raises(ValueError, match="x_err has the unit 'Jy'"):
            model.predict(X, x_err=X * units.Jy)

    def test_tables_are_refused_with_the_column_to_pass(self, normal_stars, with_and_without_noise):
        table = Table({"flux": normal_stars.X, "other": normal_stars.X})
        for use in (with_and_without_noise[0].predict, SpectraNormalizer().fit, ContinuumNormalizer().fit):
            for given in (table, table.as_array()):
                with pytest.raises(ValueError, match=r"named columns, expected an array .*Pass the column.*\['flux'\]"):
                    use(given)
        assert_array_equal(
            with_and_without_noise[0].predict(table["flux"]), with_and_without_noise[0].predict(normal_stars.X)
        )

    def test_frames_with_nullable_columns(self):
        star = read_apstar(DWARF)
        expected = prepare_spectra(star.flux.astype(float), star.error.astype(float), star.bitmask)
        frames = (pd.DataFrame(values) for values in (star.flux, star.error, star.bitmask))
        found = prepare_spectra(
            *(frame.astype(kind) for frame, kind in zip(frames, ("Float64", "Float64", "Int64"), strict=True))
        )
        for a, b in zip(found, expected, strict=True):
            assert_array_equal(a, b)

    @pytest.mark.parametrize("dtype", [">f4", "<f8", ">f8", ">i2"])
    def test_byte_order_is_honoured(self, dtype):
        star = read_apstar(GIANT)
        flux, error = np.nan_to_num(star.flux[:, kept_pixels()]), star.error[:, kept_pixels()]
        flux = np.clip(flux, 1, 30_000).astype(dtype)
        expected = prepare_spectra(flux.astype(float), error)
        np.testing.assert_allclose(prepare_spectra(flux, error.astype(">f8"))[0], expected[0], rtol=1e-6)


class TestSurveyFiles:
    """What the readers return is passed on as it is, and other files are named as what they are."""

    def test_a_star_is_passed_alone(self, clean_model):
        star = read_apstar(GIANT)
        for found, expected in (
            (prepare_spectra(star), prepare_spectra(star.flux, star.error, star.bitmask)),
            (
                prepare_for_model_quietly(clean_model, star),
                prepare_for_model_quietly(clean_model, star.flux, star.error, star.bitmask),
            ),
        ):
            for a, b in zip(found, expected, strict=True):
                assert_array_equal(a, b)
        with pytest.raises(ValueError, match="object with flux, errors and bitmask, but err was passed, too"):
            prepare_spectra(star, star.error)
        for use in (clean_model.predict, ContinuumNormalizer().fit, ChipGapRemover().transform):
            with pytest.raises(ValueError, match=r"object of a reader of files.*prepare_for_model"):
                use(star)

    def test_its_combination_is_compared_with_that_of_the_model(self, giants_model):
        model = load_folder(giants_model)
        other = read_apstar(GIANT, combination="global")
        for prepare in (
            lambda: prepare_spectra(other, combination="pixel"),
            lambda: prepare_for_model(model, other),
        ):
            with pytest.warns(UserWarning, match="trained on pixel combinations, but these spectra are global"):
                prepare()
        with pytest.raises(ValueError, match="combination='median', expected one of 'pixel', 'global'"):
            prepare_spectra(other, combination="median")

    def test_every_recorded_parameter_is_an_argument(self, giants_model):
        model, star = load_folder(giants_model), read_apstar(GIANT)
        recorded = model.preprocessing_ | {"combination": "pixel"}
        assert recorded.keys() >= {"chips", "no_continuum", "degree"}
        for a, b in zip(prepare_spectra(star, **recorded), prepare_for_model(model, star), strict=True):
            assert_array_equal(a, b)

    def test_a_dead_chip_is_filled(self, giants_model):
        star, model = read_apstar(DWARF), load_folder(giants_model)
        star.flux[:, 6344:] = np.nan
        for prepare in (prepare_spectra, lambda *star, **given: prepare_for_model(model, *star, **given)):
            with pytest.raises(ValueError, match=r"on chip red.*choose no_continuum='fill'"):
                prepare(star)
            X, x_err = prepare(star, no_continuum="fill")
            assert (X[:, 5523:] == 1).all()
            assert (x_err[:, 5523:] == 0).all()

    @pytest.mark.parametrize("release", [18, 19, 20])
    def test_later_releases_have_the_pixels_of_dr17(self, release):
        star = read_apstar(GIANT)
        for a, b in zip(prepare_spectra(star, data_release=release), prepare_spectra(star), strict=True):
            assert_array_equal(a, b)

    def test_spectra_of_other_shapes_are_named(self, giants_model):
        model = load_folder(giants_model)
        for prepare in (prepare_spectra, lambda flux: prepare_for_model(model, flux)):
            with pytest.raises(ValueError, match="flux has 8000 pixels, expected 8575, the whole apStar grid, or 7514"):
                prepare(np.ones((1, 8000)))
            with pytest.raises(ValueError, match=r"flux has shape \(8575,\).*flux\[np.newaxis\]"):
                prepare(np.ones(8575))
        with pytest.raises(TypeError, match=r"model is a Pipeline.*model\[-1\]"):
            prepare_for_model(Pipeline([("labels", model)]), np.ones((1, 8575)))

    @pytest.mark.parametrize("frames", ["pandas", "polars"])
    def test_frames_as_output_of_transformers_change_nothing(self, frames):
        pytest.importorskip(frames)
        star = read_apstar(GIANT)
        expected = prepare_spectra(star)
        with config_context(transform_output=frames):
            for a, b in zip(prepare_spectra(star), expected, strict=True):
                assert_array_equal(a, b)
            assert hasattr(SpectraNormalizer().fit_transform(expected[0]), "columns")


class TestOnePreparation:
    """Every way of training records the preparation, and every way of predicting applies it."""

    def test_synthetic_spectra_need_no_second_normalisation(self, giants):
        again, errors = prepare_spectra(giants.X, giants.X_err)
        np.testing.assert_allclose(again, giants.X, atol=0.003)
        np.testing.assert_allclose(errors, giants.X_err, atol=1e-4)

    def test_command_line_and_python_give_the_same_labels(self, giants_model, tmp_path):
        succeed("predict", giants_model, GIANT, "--out", tmp_path / "l.fits")
        (row,) = Table.read(tmp_path / "l.fits")
        model, star = load_folder(giants_model), read_apstar(GIANT)
        X, x_err = prepare_for_model(model, star.flux, star.error, star.bitmask)
        prediction, assessment = model.predict_distribution(X), model.assess(X, x_err)
        for name, mean, error in zip(LABELS, prediction.mean[0], prediction.calibrated[0], strict=True):
            assert (row[name], row[f"{name}_err_calibrated"]) == (mean, error)
        assert (row["result_flags"], row["novelty"]) == (assessment.flags[0], assessment.score[0])

    def test_training_on_a_file_records_its_preparation(self, giants, giants_file, tmp_path, monkeypatch):
        small = {**TINY, "calibrate": False}
        monkeypatch.setattr(
            "skbcnn.cli.train.ApogeeBCNNCensoredRegressor", lambda **given: ApogeeBCNNCensoredRegressor(**given | small)
        )
        arguments = ("--target", "teff", "--max-epochs", 1, "--no-errors")
        assert "does not record" not in succeed("train", giants_file, "--out", tmp_path / "a", *arguments)
        recorded = load_folder(tmp_path / "a").preprocessing_
        assert recorded == giants.preprocessing | {"bad_bits": list(giants.preprocessing["bad_bits"])}
        bare = write_h5(tmp_path / "bare.h5", giants.X, giants.labels)
        assert "bare.h5 does not record how its spectra were prepared, so the model does not either" in succeed(
            "train", bare, "--out", tmp_path / "b", *arguments
        )
        assert load_folder(tmp_path / "b").preprocessing_ == {}


class TestCommandLine:
    """The command line says what is wrong with a file before its numbers look like labels."""

    def test_spectra_that_are_not_normalised_are_refused(self, giants, giants_model, tmp_path):
        counts = write_h5(tmp_path / "counts.h5", 500 * giants.X, giants.labels)
        error = refuse("predict", giants_model, counts)
        assert re.search(
            r"median flux of the spectra of .*counts\.h5 is 49\d, but that of the training .* was 0\.9", error
        )
        assert "prepare_for_model" in error

    def test_the_likely_cause_is_named_if_most_spectra_are_out_of_distribution(self, giants, giants_model, tmp_path):
        model = load_folder(giants_model)
        narrower = np.array([10, 10, 10, 1, 1, 1])  # 40 stars give wide limits
        model.domain_ = replace(model.domain_, inverse_limits=narrower * model.domain_.inverse_limits)
        folder = model.save(tmp_path / "strict")
        shifted = write_h5(tmp_path / "shifted.h5", np.roll(giants.X, 7, axis=1), giants.labels)
        assert "Likely cause: the pixels. The lines of all spectra lie 7 pixels to the right" in succeed(
            "predict", folder, shifted
        )
        true = make_apogee_spectra(40, continuum="true", lines="isolated", random_state=0)
        with pytest.warns(UserWarning, match=r"Likely cause: the normalisation\. The flux is 3\.\d% below"):
            model.novelty_score(true.X)

    def test_files_of_another_preparation_are_named(self, giants, giants_model, tmp_path):
        path = write_h5(tmp_path / "a.h5", giants.X, giants.labels, preprocessing={"degree": 3})
        assert "degree is 3 in the file and 2 in the model" in succeed("predict", giants_model, path)

    def test_a_spectrum_with_more_noise_than_flux_is_skipped(self, giants_model, tmp_path):
        path = tmp_path / "apStar.fits"
        shutil.copy(DWARF, path)
        with fits.open(path, mode="update") as hdus:
            hdus[2].data *= 500
        message = refuse("predict", giants_model, path)
        assert re.search(
            r"Left out: .*apStar.fits, combined: .* in 7\d+ of 7\d+ pixels, so that the median is, too", message
        )
        assert "errors_from_ivar" not in message

    def test_flux_that_is_not_a_number_in_a_bad_pixel(self, giants, giants_model, tmp_path):
        path = write_h5(tmp_path / "a.h5", giants.X[:3], {name: y[:3] for name, y in giants.labels.items()})
        with h5py.File(path, "a") as file:
            file["spectra_err"] = giants.X_err[:3]
            file["spectra"][0, 7], file["spectra_err"][0, 7] = np.nan, np.inf
        assert "row 0" in succeed("predict", giants_model, path)

    @pytest.mark.parametrize("advice", cli_messages._OPTIONS)
    def test_advice_for_python_is_translated_where_it_is_given(self, advice):
        modules = Path(cli_messages.__file__).parents[1].rglob("*.py")
        source = "".join(path.read_text(encoding="utf-8") for path in modules if path.name != "messages.py")
        source = re.sub(r'"\s+f?"', "", source)  # of messages that continue in the next line
        assert all(part in source for part in re.split(r"(?<=\)) ", advice))

    def test_a_dead_chip_is_filled_on_request(self, giants_model, tmp_path):
        path = tmp_path / "apStar.fits"
        shutil.copy(DWARF, path)
        with fits.open(path, mode="update") as hdus:
            hdus[1].data[:, 300:3300] = np.nan
        message = refuse("predict", giants_model, path)
        assert "apStar.fits, combined: The spectrum has a continuum that is not positive" in message
        assert "With --no-continuum fill, spectra that cannot be normalised on one chip are used, too." in message
        output = succeed("predict", giants_model, path, "--no-continuum", "fill", "--out", tmp_path / "l.csv")
        assert "2M19485057+5005279" in output
        assert Table.read(tmp_path / "l.csv")["result_flags"][0] & NoveltyFlag.BAD_PIXELS


class TestFlags:
    """Flags that mean "do not use" are apart from those that are kept for compatibility with SDSS-V."""

    def test_most_good_stars_near_solar_metallicity_have_no_flag(self, giants_model):
        model, stars = load_folder(giants_model), make_apogee_spectra(40, random_state=1)
        mean = np.column_stack([stars.truth[:, 0], stars.truth[:, stars.label_names.index("Fe")]])
        total = np.broadcast_to([25.0, 0.03], mean.shape)
        prediction = Prediction(mean, total, total, total, ("teff", "Fe"))
        ours, theirs = (
            prediction_table(prediction, assessment=model.assess(stars.X), naming=naming)
            for naming in ("skbcnn", "sdssv")
        )
        assert (ours["result_flags"] == 0).mean() > 0.9 > 0.8 > (theirs["result_flags"] == 0).mean()
        assert ours["do_not_use"].mean() == theirs["do_not_use"].mean() < 0.1


class TestOwnFiles:
    """What the package writes, it and its neighbours read without a warning."""

    @pytest.mark.parametrize("suffix", ["fits", "csv", "ecsv", "h5"])
    @pytest.mark.parametrize("read", [Table.read, QTable.read])
    def test_catalogues_of_the_command_line(self, giants_model, tmp_path, suffix, read):
        succeed("predict", giants_model, GIANT, DWARF, "--out", tmp_path / f"l.{suffix}")
        table = read(tmp_path / f"l.{suffix}")
        assert len(table) == 2
        if suffix != "csv":
            assert str(table["Mg_err"].unit) == "dex"
            assert all(table[name].info.description for name in table.colnames)
        assert {int(value) for value in table["do_not_use"]} <= {0, 1}  # not the text "False", which is true

    @pytest.mark.parametrize("errors", ["spectra_err", "spectra_ivar"])
    def test_bad_pixels_of_spectra_to_write(self, tmp_path, errors):
        flux, bad = np.full((2, 30), 0.9), np.inf if errors == "spectra_err" else 0.0
        values = np.full((2, 30), 0.01 if errors == "spectra_err" else 1e4)
        flux[0, 3], values[0, 3] = -5e7, bad
        if errors == "spectra_err":
            flux[1, 4], values[1, 4] = -5e7, 1e10
        path = write_h5(tmp_path / "stars", flux, {"teff": [4500.0, 4600.0]}, **{errors: values})
        X, _ = H5Loader(path, target="teff").load()
        assert X.min() > 0.89
        assert X[0, 3] == 1

    def test_bad_pixels_of_files_of_others(self, tmp_path):
        path = write_h5(tmp_path / "stars", np.full((2, 30), 0.9), {"teff": [4500.0, 4600.0]})
        with h5py.File(path, "a") as file:
            file["spectra_err"] = np.full((2, 30), 0.01)
            file["spectra"][1, 4], file["spectra_err"][1, 4] = -5e7, 1e10
        X, _ = H5Loader(path, target="teff").load()
        assert X[1, 4] == 1
        assert_array_equal(np.delete(X.ravel(), 34), np.float32(0.9))
        assert H5Loader(path, target="teff", load_err=False).load_entry("spectra")[1, 4] == np.float32(-5e7)

    def test_a_useless_spectrum_to_write_is_named(self, tmp_path):
        err = np.full((5, 30), 0.01)
        err[2] = 20
        with pytest.warns(UserWarning, match="Row 2 of spectra_err: more than half of the flux errors are above"):
            write_h5(tmp_path / "stars", np.full((5, 30), 0.9), {"teff": np.full(5, 4500.0)}, spectra_err=err)

    def test_inverse_variances_given_as_errors_to_write(self, giants, tmp_path):
        ivar = 1 / np.maximum(giants.X_err, 0.01) ** 2
        with pytest.raises(ValueError, match=r"spectra_err is above 1, the continuum, in .*inverse variances"):
            write_h5(tmp_path / "stars", giants.X, giants.labels, spectra_err=ivar)
        assert not (tmp_path / "stars.h5").exists()


class TestAdvice:
    """Messages are written for the door through which the user came."""

    @pytest.mark.parametrize("name", ["weights.h5", "model.json", "README.md"])
    def test_a_file_of_a_model_in_place_of_its_folder(self, giants_model, name):
        with pytest.raises(
            FileNotFoundError, match=f"{name} is a file of a model. Pass the folder it lies in, .*model"
        ):
            load_folder(giants_model / name)

    def test_a_folder_around_a_model(self, giants_model, tmp_path):
        with pytest.raises(
            ValueError, match=f"it is no model. Pass the model folder in it: {re.escape(str(giants_model))}"
        ):
            load_folder(giants_model.parent)
        with pytest.raises(ValueError, match=r"it is no model\. Pass the path of a model folder"):
            load_folder(tmp_path)

    @pytest.mark.parametrize("path", [None, b"model", 3])
    def test_no_path_of_a_model(self, path):
        with pytest.raises(TypeError, match=r"path is .*, expected the path of a file or folder"):
            load_folder(path)

    def test_files_of_another_kind(self, giants_file, giants_model):
        with pytest.raises(OSError, match=r"is a FITS file, expected an HDF5 file\. .*build_dataset .* read_apstar"):
            H5Loader(DWARF).load()
        with pytest.raises(
            IsADirectoryError, match=r"is a folder, expected an HDF5 file. Pass a file in it: .*giants\.h5"
        ):
            H5Loader(giants_file.parent).load()
        with pytest.raises(ValueError, match=r"weights\.h5 has no spectra\. It has .* and \d+ more\. Choose"):
            H5Loader(giants_model / "weights.h5").load()
        with pytest.raises(
            FileNotFoundError, match=r"weights\.h5 is a file\. Pass the folder it lies in, if astroNN wrote"
        ):
            from_astronn(giants_model / "weights.h5")
        with pytest.raises(FileNotFoundError, match="is a folder, expected the file of SDSS-V's checkpoint"):
            from_sdssv(giants_model)
        assert "row 0" in succeed("predict", giants_model, giants_file.parent)  # all files of spectra in a folder
        assert "absent.fits: there is no such file" in refuse("predict", giants_model, "absent.fits")

    def test_swapped_arguments_of_save_folder(self, giants_model, tmp_path):
        with pytest.raises(TypeError, match=r"save_folder\(model, path\) .* the other way round"):
            save_folder(tmp_path / "model", load_folder(giants_model))

    def test_suffixes_are_not_doubled(self, tmp_path):
        assert "There is no file" in (error := refuse("train", tmp_path / "nofile.h5", "--out", tmp_path / "model"))
        assert ".h5.h5" not in error

    def test_the_command_line_names_its_own_options(self, giants, tmp_path):
        path = write_h5(tmp_path / "a.h5", giants.X, giants.labels, spectra_err=giants.X_err)
        error = refuse("train", path, "--target", "teff", "--out", tmp_path / "model")
        assert "(labels by --target), or pass --no-errors." in error
        assert "--target is empty." in refuse("train", path, "--target", " , ", "--out", tmp_path / "model")
        with pytest.raises(ValueError, match=r"\(labels by target\) or load with load_err=False\."):
            H5Loader(path, load_err=True, target="teff").load()

    def test_a_combination_that_a_star_lacks(self, giants_model):
        error = refuse("predict", giants_model, DWARF, "--combination", "global")
        assert "Select other rows by --combination and --visits." in error

    def test_another_backend_of_keras(self):
        program = "from skbcnn.network.backends import require_tensorflow; require_tensorflow('fit')"
        environment = os.environ | {"KERAS_BACKEND": "jax"}
        found = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
        )
        (message,) = (line for line in found.stderr.splitlines() if line.startswith("ImportError: fit needs"))
        assert "KERAS_BACKEND is 'jax'" in message
        assert "Set KERAS_BACKEND=tensorflow" in message
        assert "pip install" not in message


TRUE = np.array([[4500.0, 2.5], [4600.0, np.nan], [4700.0, 1.5], [4800.0, 2.0]])  # teff and logg of four stars
PREDICTED = TRUE + np.array([10.0, 0.1])
PREDICTED[1, 1] = 0.0
FILLED = np.where(np.isnan(TRUE), 1e6, TRUE)  # what lies under the mask

MASKED_LABELS = {
    "masked array": np.ma.array(FILLED, mask=np.isnan(TRUE)),
    "list of masked arrays": list(np.ma.array(FILLED, mask=np.isnan(TRUE))),
    "lists with None": [[None if np.isnan(value) else value for value in row] for row in TRUE],
    "lists with the masked constant": [[np.ma.masked if np.isnan(value) else value for value in row] for row in TRUE],
    "array with NA": np.where(np.isnan(TRUE), pd.NA, TRUE.astype(object)),
    "pandas with NA": pd.DataFrame(TRUE, columns=["teff", "logg"]).convert_dtypes(),
    "pandas with objects": pd.DataFrame({"teff": TRUE[:, 0], "logg": [2.5, pd.NA, 1.5, 2.0]}, dtype=object),
    "table": Table(np.ma.array(FILLED, mask=np.isnan(TRUE)), names=["teff", "logg"]),
    "table of quantities": QTable(
        {"teff": TRUE[:, 0] / 1000 * units.kK, "logg": Masked(FILLED[:, 1], np.isnan(TRUE[:, 1]))}
    ),
    "masked records": Table(np.ma.array(FILLED, mask=np.isnan(TRUE)), names=["teff", "logg"]).as_array(),
    "Masked": Masked(FILLED, np.isnan(TRUE)),
    "big-endian": TRUE.astype(">f8"),
}


class TestMaskedLabels:
    """A masked or absent label is missing. Where nothing may be missing, it is refused."""

    @pytest.mark.parametrize("y", MASKED_LABELS.values(), ids=MASKED_LABELS)
    def test_of_true_labels_in_metrics(self, y):
        assert mean_absolute_error(y, PREDICTED, multioutput="raw_values") == pytest.approx([10, 0.1])
        assert root_mean_squared_error(y, PREDICTED, multioutput="raw_values") == pytest.approx([10, 0.1])
        assert residual_table(y, PREDICTED, label_names=["teff", "logg"])["n"].tolist() == [4, 3]

    @pytest.mark.parametrize("y", MASKED_LABELS.values(), ids=MASKED_LABELS)
    def test_in_fit_and_score(self, y, monkeypatch):
        learnt = []
        monkeypatch.setattr(CensoredBCNNRegressor, "_train_network", lambda self, stars, *_, **__: learnt.append(stars))
        model = small_network(target=["teff", "logg"], labels_norm_mode=0, validation_fraction=0, calibrate=False)
        model.fit(np.ones((4, 12)), y, y_err=MASKED_LABELS["masked array"] * 0 + 1)
        assert_array_equal(learnt[0].y, TRUE)
        assert_array_equal(learnt[0].y_err, np.where(np.isnan(TRUE), 0, 1))
        monkeypatch.setattr(CensoredBCNNRegressor, "predict", lambda self, X: PREDICTED)
        assert model.score(np.ones((4, 12)), y) == r2_score(TRUE, PREDICTED)

    @pytest.mark.parametrize("y", MASKED_LABELS.values(), ids=MASKED_LABELS)
    def test_in_calibration(self, y):
        prediction = Prediction(PREDICTED, PREDICTED * 0, PREDICTED * 0, PREDICTED * 0 + 1, ("teff", "logg"))
        assert_array_equal(interval_scores(prediction, y), np.abs(TRUE - PREDICTED))

    def test_in_the_label_normalizer(self):
        expected = LabelNormalizer().fit(TRUE)
        for kind in ("masked array", "pandas with NA", "lists with None", "Masked"):
            y = MASKED_LABELS[kind]
            normalizer = LabelNormalizer().fit(y)
            assert_array_equal(normalizer.mean_, expected.mean_)
            for method in ("transform", "inverse_transform", "scale_errors"):
                assert_array_equal(getattr(normalizer, method)(y), getattr(expected, method)(TRUE))
        with pytest.raises(ValueError, match=r"X is a Table, expected an array or a data frame.*X.to_pandas\(\)"):
            LabelNormalizer().fit(MASKED_LABELS["table"])
        with pytest.raises(ValueError, match="X has the unit 'K', but a normaliser does not know"):
            LabelNormalizer().fit(TRUE * units.K)

    def test_of_errors_count_as_unknown(self):
        y_err = np.ma.array([[1.0], [1e9]], mask=[[False], [True]])
        with pytest.warns(UserWarning, match="1 labels have no error"):
            masked = crps_gaussian([[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [1.0]], y_err=y_err)
        assert masked == crps_gaussian([[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [1.0]], y_err=[[1.0], [0.0]])

    def test_are_missing_to_is_missing(self):
        assert_array_equal(is_missing(MASKED_LABELS["masked array"]), np.isnan(TRUE))
        assert_array_equal(is_missing([4500.0, None]), [False, True])

    def test_of_predictions_and_standard_deviations_are_refused(self):
        masked = np.ma.array([1.0, 2.0], mask=[False, True])
        with pytest.raises(ValueError, match=r"y_pred is missing in 1 places where y_true is not \(masked"):
            mean_absolute_error([1.0, 2.0], masked)
        with pytest.raises(ValueError, match="y_std is negative or missing in 1 places"):
            crps_gaussian([1.0, 2.0], [1.0, 2.0], masked)

    @pytest.mark.parametrize("name", ["multioutput", "label_scale", "sample_weight"])
    def test_in_arguments_of_metrics_are_refused(self, name):
        values = np.ma.array([1.0, 1.0], mask=[False, True])
        with pytest.raises(ValueError, match=f"{name} is masked or absent in 1 places, where a value is needed"):
            mean_absolute_error([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]], **{name: values})

    def test_weights_of_stars_are_refused_in_fit(self, normal_stars):
        weight = np.ma.array(np.ones(100), mask=np.arange(100) < 3)
        for method in ("fit", "partial_fit"):
            with pytest.raises(ValueError, match="sample_weight is masked or absent in 3 places, where a value is"):
                getattr(small_network(), method)(normal_stars.X, normal_stars.y, sample_weight=weight)

    @pytest.mark.parametrize(
        ("star", "message"),
        [
            (np.ma.array(["a", "b", "c"], mask=[False, True, False]), "star is masked or missing .* for 1 of 3"),
            (["a", None, "c"], "for 1 of 3 spectra"),
            (pd.Series(["a", pd.NA, "c"], dtype="string"), "for 1 of 3 spectra"),
            ([1.0, np.nan, -9999.0], "for 2 of 3 spectra"),
            (np.array(["a", " ", ""]), "for 2 of 3 spectra"),
        ],
    )
    def test_star_names_are_refused(self, star, message):
        ones = np.ones((3, 1))
        with pytest.raises(ValueError, match=message):
            fit_noise_model(Prediction(ones, ones, ones, ones, ("Mg",)), star)

    def test_noise_of_spectra_is_refused(self):
        ones = np.ones((3, 1))
        prediction = Prediction(ones, ones, ones, ones, ("Mg",))
        model = ErrorModel(("Mg",), ones[0], 0 * ones[0], ones[0], "", ones[0], (1.0, 1.0))
        masked = np.ma.array([1.0, 1.0, 1.0], mask=[False, True, False])
        for use in (lambda: model.std(prediction, masked), lambda: fit_error_model(prediction, ones, noise=masked)):
            with pytest.raises(ValueError, match="noise is masked or absent in 1 places"):
                use()
        with pytest.raises(ValueError, match=r"noise has shape \(2,\), expected \(3,\)"):
            model.std(prediction, [1.0, 1.0])

    def test_labels_are_written_as_missing(self, tmp_path):
        errors, extra = {"e_teff": [1, None, 2, 3]}, {"SNR": np.ma.array([1, 2, 3, 4], mask=[0, 1, 0, 0])}
        path = write_h5(tmp_path / "stars", np.ones((4, 2)), MASKED_LABELS["table"], labels_err=errors, extra=extra)
        loader = H5Loader(path, target=["teff", "logg"])
        assert_array_equal(is_missing(loader.load()[1]), np.isnan(TRUE))
        assert_array_equal(loader.load_entry("teff_err"), [1, np.nan, 2, 3])
        assert_array_equal(loader.load_entry("SNR"), [1, np.nan, 3, 4])


class TestOtherContainersOfLabels:
    """What is no array and no table is refused by name, with what to pass instead."""

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ({"teff": [1.0, 2.0]}, r"y_true is a dict, expected an array or a table. Pass pandas.DataFrame\(y_true\)"),
            ((value for value in (1.0, 2.0)), r"y_true is a generator.*list\(y_true\)"),
            ({1.0, 2.0}, "y_true is a set.*in the order of the stars"),
            (csr_matrix([[1.0], [2.0]]), r"y_true is a sparse csr_matrix.*Pass y_true.toarray\(\)"),
            (None, "y_true is a NoneType"),
            (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), "not numbers .they are dates"),
            (np.zeros((0, 1)), "y_true has no rows, expected one for each star"),
        ],
    )
    def test_are_refused(self, y, message):
        with pytest.raises(TypeError if hasattr(y, "nnz") else ValueError, match=message):
            mean_absolute_error(y, [1.0, 2.0])

    def test_records_of_an_hdf5_file_are_a_table(self, tmp_path):
        with h5py.File(tmp_path / "stars.h5", "w") as file:
            file["stars"] = np.array([(0.1, 4500.0), (0.2, 4600.0)], dtype=[("Mg", "f4"), ("teff", ">f8")])
            assert mean_absolute_error(file["stars"], [[0.1, 4510.0], [0.2, 4610.0]]) == pytest.approx(5)

    def test_columns_of_two_tables_are_matched_by_name(self):
        y_true = pd.DataFrame({"teff": [4500.0, 4600.0], "Mg": [0.1, 0.2]})
        y_pred = Table({"[Mg/H]": [0.1, 0.2], "TEFF": [4510.0, 4610.0]})
        y_std = pd.DataFrame({"e_mg_h": [0.1, 0.1], "e_teff": [10.0, 10.0]})
        assert mean_absolute_error(y_true, y_pred, multioutput="raw_values") == pytest.approx([10, 0])
        expected = crps_gaussian(y_true, y_pred.to_pandas()[["TEFF", "[Mg/H]"]], y_std[["e_teff", "e_mg_h"]])
        assert crps_gaussian(y_true, y_pred, y_std) == expected
        with pytest.raises(ValueError, match="no column for Mg; no label for column 'logg'"):
            mean_absolute_error(y_true, pd.DataFrame({"teff": [4500.0, 4600.0], "logg": [1.0, 2.0]}))

    def test_series_of_two_labels_are_refused(self):
        y = pd.DataFrame({"TEFF": [4500.0, 4600.0], "logg": [2.0, 2.5]})
        assert mean_absolute_error(y["TEFF"], (y["TEFF"] + 10).rename("teff")) == 10
        assert mean_absolute_error(y["TEFF"], (y["TEFF"] + 10).rename("predicted")) == 10
        with pytest.raises(ValueError, match=r"y_pred is of 'logg', but y_true is of 'TEFF'\. Pass the same label"):
            mean_absolute_error(y["TEFF"], y["logg"])
        with pytest.raises(ValueError, match="y_true is of 'logg', but label_names is of 'teff'"):
            residual_table(y["logg"], y["TEFF"], label_names="teff")

    def test_columns_of_a_table_of_residuals_are_matched_by_name(self):
        y_true = pd.DataFrame({"MG_H": [0.1, 0.2], "TEFF": [4500.0, 4600.0]})
        y_pred = [[4510.0, 0.1], [4610.0, 0.2]]
        table = residual_table(y_true, y_pred, label_names=["teff", "Mg"])
        assert table["median_residual"].tolist() == [10, 0]
        other_names = y_true[["TEFF", "MG_H"]].set_axis(["first", "second"], axis=1)
        assert residual_table(other_names, y_pred, label_names=["teff", "Mg"])["median_residual"].tolist() == [10, 0]
        with pytest.raises(ValueError, match="no column for logg; no label for column 'MG_H'"):
            residual_table(y_true, y_pred, label_names=["teff", "logg"])


TEFF_LOGG = ("teff", "logg")


def _masked_table(table, values, missing):
    return table(np.ma.array(values, mask=missing), names=["teff", "logg"])


def _h5_dataset(values, missing):
    file = h5py.File(f"{id(values)}.h5", "w", driver="core", backing_store=False)
    file["y"] = values
    return file["y"]


CONTAINERS = {  # of values whose missing ones are -9999, and which of them are missing
    "array": lambda values, missing: values,
    "columns in memory": lambda values, missing: np.asfortranarray(values),
    "strided array": lambda values, missing: np.repeat(values, 2, axis=0)[::2],
    "list": lambda values, missing: values.tolist(),
    "list with None": lambda values, missing: np.where(missing, None, values).tolist(),
    "objects with NA": lambda values, missing: np.where(missing, pd.NA, values.astype(object)),
    "masked array": lambda values, missing: np.ma.array(np.where(missing, 777, values), mask=missing),
    "astropy Masked": lambda values, missing: Masked(np.where(missing, 777, values), missing),
    "data frame": lambda values, missing: pd.DataFrame(values, columns=["teff", "logg"]),
    "data frame with NA": lambda values, missing: pd.DataFrame(values).mask(missing).convert_dtypes(),
    "swapped data frame": lambda values, missing: pd.DataFrame(values[:, ::-1], columns=["LOGG", "TEFF"]),
    "table": lambda values, missing: _masked_table(Table, values, missing),
    "table of quantities": lambda values, missing: _masked_table(QTable, values, missing),
    "records": lambda values, missing: Table(values, names=["teff", "logg"]).as_array(),
    "FITS records": lambda values, missing: fits.BinTableHDU(Table(values, names=["teff", "logg"])).data,
    "HDF5": _h5_dataset,
}


class TestAnyContainerOfLabels:
    """Every container gives the result of the plain array."""

    @hypothesis.settings(max_examples=60, deadline=None)
    @hypothesis.given(
        kind=st.sampled_from(sorted(CONTAINERS)),
        dtype=st.sampled_from(["f4", "f8", ">f4", ">f8", "i4", ">i2"]),
        n_stars=st.integers(1, 30),
        share_missing=st.sampled_from([0, 0.3, 1]),
        seed=st.integers(0, 99),
    )
    def test_gives_the_same_scores(self, kind, dtype, n_stars, share_missing, seed):
        random = np.random.default_rng(seed)
        missing = random.random((n_stars, 2)) < share_missing
        plain = np.where(missing, -9999, random.integers(-100, 100, size=(n_stars, 2))).astype(dtype)
        y, predicted = (
            CONTAINERS[kind](plain, missing),
            pd.DataFrame(random.normal(size=(n_stars, 2)), columns=list(TEFF_LOGG)),
        )
        prediction = Prediction(predicted.to_numpy(), *np.ones((3, n_stars, 2)), TEFF_LOGG)
        for use in (
            lambda y: mean_absolute_error(y, predicted),
            lambda y: crps_gaussian(y, predicted, prediction.total),
            lambda y: r2_score(y, predicted),
            lambda y: residual_table(y, predicted, label_names=TEFF_LOGG).as_array().tolist(),
            lambda y: interval_scores(prediction, y),
        ):
            outcomes = []
            for labels in (plain, y):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UndefinedMetricWarning)
                    try:
                        outcomes.append(use(labels))
                    except ValueError as error:
                        outcomes.append(str(error))
            assert_equal(*outcomes)


class TestWindowsThatAreMasks:
    """A mask is refused where the numbers of pixels are expected."""

    @pytest.mark.parametrize("mask", [np.array([0, 1, 1, 0, 0]), [1, 1, 1, 1, 1], np.array([0, 0, 1], dtype=np.uint8)])
    def test_integers_are_refused(self, mask):
        with pytest.raises(ValueError, match=r"all of them 0 or 1: a mask.*ElementWindows.from_masks\({'Mg': mask.ast"):
            ElementWindows({"Mg": mask}, 5)

    def test_booleans_are_refused(self):
        with pytest.raises(ValueError, match=r"type bool, expected one dimension of pixel numbers.*from_masks"):
            ElementWindows({"Mg": [False, True, True]}, 3)

    @pytest.mark.parametrize("mask", [np.arange(12) < 4, (np.arange(12) < 4).astype(int)])
    def test_the_regressor_refuses_them(self, mask, normal_stars):
        with pytest.raises(ValueError, match="from_masks"):
            small_network(windows={"Mg": mask}, target=["teff", "Mg"]).fit(normal_stars.X, normal_stars.y)

    @pytest.mark.parametrize(
        "window", [[(15200, 15210)], [(100, 120)], slice(100, 120), [15200, 15210] * units.AA, "100-120", 100, 100.0]
    )
    def test_spans_are_refused_with_what_takes_them(self, window):
        with pytest.raises(
            ValueError, match=r"\[100\] for one pixel.*spans of pixels to ElementWindows.from_runs, and w"
        ):
            ElementWindows({"Mg": window}, 7514)

    def test_wavelengths_as_pixels_are_refused_with_what_takes_them(self):
        with pytest.raises(ValueError, match=r"pixels 15200 to 15210, .*pass wavelengths to ElementWindows.from_wave"):
            ElementWindows.from_runs({"Mg": [(15200, 15210)]}, 7514)

    def test_wavelengths_off_the_grid_are_refused_with_the_wavelengths_of_the_grid(self):
        for grid, covered in ((wavelength(), "16943.5"), (wavelength() * units.AA, "16943.5 Angstrom")):
            with pytest.raises(
                ValueError, match=rf"no pixel: .*\(1.52, 1.521\).* from 15152.2 to {covered}\. Pass .*Å"
            ):
                ElementWindows.from_wavelengths({"Mg": [(1.52, 1.521)]}, grid)

    def test_the_first_two_pixels_are_a_window(self):
        assert_array_equal(ElementWindows({"Mg": [1, 0]}, 5)["Mg"], [0, 1])
        assert_array_equal(ElementWindows.from_runs({"Mg": [(0, 1), (0, 1)]}, 5)["Mg"], [0, 1])

    def test_masks_of_integers_are_refused_with_what_to_write(self):
        with pytest.raises(ValueError, match=r"one boolean for each pixel.*mask.astype\(bool\)"):
            ElementWindows.from_masks({"Mg": [0, 1, 1]})

    def test_masked_pixels_are_refused(self):
        masked = np.ma.array([1, 2], mask=[False, True])
        with pytest.raises(ValueError, match="The window of Mg is masked or absent in 1 places"):
            ElementWindows({"Mg": masked}, 5)
        with pytest.raises(ValueError, match="The mask of Mg is masked or absent in 1 places"):
            ElementWindows.from_masks({"Mg": masked > 0})
        with pytest.raises(ValueError, match="wavelength is masked or absent in 1 places"):
            ElementWindows.from_wavelengths({"Mg": [(1, 2)]}, masked)

    def test_units_of_wavelengths_are_honoured(self):
        grid = [1.5, 1.6, 1.7] * units.um
        windows = ElementWindows.from_wavelengths({"Mg": [(15900 * units.AA, 16100 * units.AA)]}, grid)
        assert_array_equal(windows["Mg"], [1])
        with pytest.raises(ValueError, match="The runs of Mg have the unit 'Angstrom', but wavelength has none"):
            ElementWindows.from_wavelengths({"Mg": [(15900 * units.AA, 16100 * units.AA)]}, grid.value)

    def test_other_mistakes_are_named(self):
        with pytest.raises(ValueError, match=r"expected a list of runs. Pass \[\(first, last\), ...\] even for one"):
            ElementWindows.from_runs({"Mg": (3, 5)}, 9)
        with pytest.raises(ValueError, match=r"Pass runs of wavelength to ElementWindows.from_wavelengths"):
            ElementWindows.from_runs({"Mg": [(15000.5, 15001.5)]}, 9)
        with pytest.raises(ValueError, match=r"has a run that ends before it starts"):
            ElementWindows.from_wavelengths({"Mg": [(1.7, 1.6)]}, [1.5, 1.6, 1.7])
        with pytest.raises(ValueError, match=r"n_pixels=7514.5, expected the number of pixels"):
            ElementWindows({"Mg": [1]}, 7514.5)
        with pytest.raises(TypeError, match="windows is a list, expected a dict"):
            ElementWindows([1, 2], 9)


class TestUnitsOfLabels:
    """A unit is honoured. One that means another quantity is refused, with what to pass."""

    @pytest.mark.parametrize(
        ("name", "unit", "remedy"),
        [
            ("teff", units.dex(units.K), "the logarithm of the temperature: pass 10 to this power, in K"),
            ("teff", units.mag, "a magnitude or level"),
            ("teff", units.deg_C, "Add 273.15"),
            ("teff", units.percent, "a percentage: multiply it by the label"),
            ("teff", units.dex, "the logarithm of the temperature"),
            ("teff", units.dimensionless_unscaled, "It is dimensionless. Pass values in K, or numbers"),
            ("teff", units.eV, "Convert it, or correct the unit"),
            ("logg", units.dex(units.m / units.s**2), "add 2 to the logarithm in m/s2"),
            ("logg", units.cm / units.s**2, "the gravity itself: pass its logarithm to base 10"),
            ("logg", units.K, "Convert it, or correct the unit"),
            ("Mg", units.percent, "a percentage"),
            ("Mg", units.mag, "a magnitude or level, not a label in dex"),
            ("Mg", units.dB, "a magnitude or level"),
            ("Mg", units.dex(units.K), "Convert it, or correct the unit"),
        ],
    )
    @pytest.mark.parametrize("table", [Table, QTable])
    def test_that_mean_another_quantity_are_refused(self, name, unit, remedy, table):
        y = table({name: [1.0, 2.0]})
        y[name].unit = unit
        named = rf"Column '{name}' of y_true has the unit '.*', which cannot be converted to '\w+'. .*"
        with pytest.raises(ValueError, match=named + remedy):
            mean_absolute_error(y, [1.0, 2.0])

    def test_of_errors_in_percent_are_refused(self, normal_stars):
        y_err = Table({"teff_err": np.ones(100)}, units={"teff_err": "%"})
        with pytest.raises(
            ValueError, match=r"Column 'teff_err' of y_err has the unit '%'.*divide by 100 for an error"
        ):
            small_network(target=["teff"]).fit(normal_stars.X, normal_stars.y[:, 0], y_err=y_err)

    def test_that_equal_dex_are_accepted(self):
        for unit in (units.dex(units.cm / units.s**2), units.dex, units.dimensionless_unscaled, None):
            y = Table({"logg": Column([2.5, 1.5], unit=unit)})
            assert mean_absolute_error(y, [2.6, 1.6]) == pytest.approx(0.1)

    @pytest.mark.parametrize("kind", [list, units.Quantity])
    def test_of_labels_that_the_survey_does_not_know_are_made_equal(self, kind):
        y = Table({"age": [1.0, 2.0]}, units={"age": "Gyr"})
        assert mean_absolute_error(y, kind([1100 * units.Myr, 2100 * units.Myr])) == pytest.approx(0.1)
        assert mean_absolute_error(y, [1.1, 2.1]) == pytest.approx(0.1)  # what a model predicts has no unit
        with pytest.raises(ValueError, match="y_pred has the unit 'K', which cannot be converted to 'Gyr'"):
            mean_absolute_error(y, [1.1, 2.1] * units.K)

    def test_without_a_name_need_units_on_both_sides(self):
        y = [4.5, 4.6] * units.kK
        assert mean_absolute_error(y, [4510, 4610] * units.K) == pytest.approx(0.01)
        assert mean_absolute_error([4500, 4600] * units.K, [4510, 4610]) == pytest.approx(10)
        with pytest.raises(ValueError, match="y_true has the unit 'kK', but y_pred has none"):
            mean_absolute_error(y, [4510, 4610])

    def test_of_labels_and_errors_without_a_name_are_made_equal(self, normal_stars, monkeypatch):
        learnt = []
        monkeypatch.setattr(CensoredBCNNRegressor, "_train_network", lambda self, stars, *_, **__: learnt.append(stars))
        model = small_network(labels_norm_mode=0, validation_fraction=0, calibrate=False)
        model.fit(normal_stars.X, np.full(100, 4.5) * units.kK, y_err=np.full(100, 20) * units.K)
        assert_array_equal(learnt[0].y, np.full((100, 1), 4.5))
        assert learnt[0].y_err == pytest.approx(np.full((100, 1), 0.02))

    def test_of_weights_and_scales_are_refused(self):
        with pytest.raises(ValueError, match="label_scale has the unit 'kK', expected numbers without a unit"):
            mean_absolute_error([1.0, 2.0], [1.0, 2.0], label_scale=[0.3] * units.kK)


class TestNamesThatMeanSomethingElse:
    """A name is taken for a label only where it means that label; a known quantity is named as what it is."""

    @pytest.mark.parametrize(
        ("name", "meaning"),
        [
            ("[alpha/H]", "[alpha/H] is relative to hydrogen. The label alpha is [alpha/M]: subtract [M/H]"),
            ("ALPHA_H", "The label alpha is [alpha/M]: subtract [M/H]"),
            ("[alpha/Fe]", "The label alpha is [alpha/M]: add [Fe/H] and subtract [M/H]"),
            ("[Mg/Fe]", "[Mg/Fe] is relative to iron. The label Mg is [Mg/H]: add [Fe/H]"),
            ("MG_FE", "The label Mg is [Mg/H]: add [Fe/H]"),
            ("ti_2_fe", "The label Ti2 is [Ti II/H]: add [Fe/H]"),
            ("[O/M]", "[O/M] is relative to all metals. The label O is [O/H]: add [M/H]"),
            ("[C/N]", "The label C is [C/H]: add [N/H]"),
            ("A(Fe)", "A(Fe) is an absolute abundance. The label Fe is [Fe/H]: subtract A(Fe) of the Sun"),
            ("logTeff", "It is the logarithm of Teff"),
            ("TEFF_ERR", "It is the error of teff"),
            ("e_logg", "It is the error of logg"),
            ("FE_H_FLAG", "It is the column of flags of Fe"),
            ("LOGG_SPEC", "It is logg before calibration. Rename it to 'logg' if these values are wanted"),
            ("VMICRO", "It is the microturbulence"),
            ("vsini", "It is the projected rotational velocity"),
            ("X_H", "It is the array of the abundances of all elements"),
            ("Ce", "Ce is an element that has no label here"),
            ("[Nd/H]", "Nd is an element that has no label here"),
        ],
    )
    def test_are_named_as_what_they_are(self, name, meaning):
        for use in (resolve_target, label, label_spreads, lambda text: ApogeeBCNNCensoredRegressor(target=[text]).fit(
            np.ones((3, 7514)), np.ones((3, 1)))):  # fmt: skip
            with pytest.raises(ValueError, match=re.escape(f"{name!r} is not a label known here. ") + ".*"
                               + re.escape(meaning)) as caught:  # fmt: skip
                use(name)
            assert "Did you mean" not in str(caught.value)

    @pytest.mark.parametrize("name", ["[teff/H]", "TEFF_H", "logg_h", "fakemag_h", "alpha_h"])
    def test_are_no_spellings(self, name):
        assert find_label(name) is None

    def test_hints_are_given_where_the_meaning_is_the_same(self):
        hints = {"tefff": "teff", "tef": "teff", "etff": "teff", "FeH": "Fe", "Mg-H": "Mg", "alhpa": "alpha"}
        for name, meant in hints.items():
            with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
                label(name)
        for name in ("Nd", "Ce", "Cu", "age", "logage", "loggf", "K_s", "RA", "mass"):
            with pytest.raises(ValueError, match=f"'{name}' is not a label") as caught:
                label(name)
            assert "mean" not in str(caught.value)

    def test_a_table_with_another_quantity_is_explained(self, normal_stars):
        y = pd.DataFrame(normal_stars.y, columns=["teff", "MG_FE"])
        with pytest.raises(
            ValueError, match=r"no label for column 'MG_FE' \(\[Mg/Fe\] is relative to iron.*add \[Fe/H"
        ):
            small_network(target=["teff", "Mg"]).fit(normal_stars.X, y)
        y.columns = ["teff", "Nd"]
        with pytest.raises(ValueError, match=r"no column for N; no label for column 'Nd'. Rename"):
            small_network(target=["teff", "N"]).fit(normal_stars.X, y)
        y.columns = ["teff", "aeg"]
        with pytest.raises(ValueError, match=r"no label for column 'aeg'. Rename"):
            small_network(target=["teff", "age"]).fit(normal_stars.X, y)

    def test_in_files_are_explained_for_their_reader(self, tmp_path):
        with pytest.raises(ValueError, match=r"'Ce' is not a label.*Pass other columns as `extra`"):
            write_h5(tmp_path / "stars", np.ones((2, 3)), pd.DataFrame({"teff": [1.0, 2.0], "Ce": [0.0, 0.0]}))
        extra = {"Nd": [1.0, 2.0], "MG_FE": [0.1, 0.2]}
        path = write_h5(tmp_path / "stars", np.ones((2, 3)), {"teff": [4500.0, 4600.0]}, extra=extra)
        with pytest.raises(ValueError, match=r"'Nd' is not a label.*H5Loader.load_entry reads any other column"):
            H5Loader(path, target=["Nd"]).load()
        with pytest.raises(ValueError, match=r"has no N\. It has MG_FE, Nd") as caught:
            H5Loader(path, target=["N"]).load()
        assert "mean" not in str(caught.value)
        with pytest.raises(ValueError, match=r"has no Mg\. It has MG_FE: \[Mg/Fe\] is relative to iron"):
            H5Loader(path, target=["Mg"]).load()

    def test_of_scorers_are_not_replaced_by_other_metrics(self):
        with pytest.raises(ValueError, match=r"no scorer 'neg_mean_squared_error'\. Known: r2.*make_magic_scorer"):
            get_scorer("neg_mean_squared_error")
        with pytest.raises(ValueError, match="Did you mean neg_mean_absolute_error"):
            get_scorer("mean_absolute_error")

    def test_of_bytes_are_read(self):
        assert resolve_target(np.array([b"TEFF", b"[Mg/H]"])) == ["teff", "Mg"]
        assert resolve_target(b"all") == resolve_target("all")

    @pytest.mark.parametrize("target", [{"teff", "logg"}, None, 3])
    def test_without_an_order_are_refused(self, target):
        with pytest.raises(TypeError, match="expected 'all', the name of a label, or a list of names"):
            resolve_target(target)


def test_names_of_labels_have_one_name(normal_stars, tmp_path):
    model = small_network(target=["teff", "Mg"]).fit(normal_stars.X, normal_stars.y)
    assert model.label_names_ == model.target_names_ == model.predict_distribution(normal_stars.X[:2]).label_names
    assert not hasattr(small_network(), "label_names_")
    with pytest.raises(AttributeError):
        model.label_names_ = ("a", "b")
    with pytest.warns(FutureWarning, match="names is now called label_names"):
        write_h5(tmp_path / "stars", normal_stars.X, normal_stars.y, names=["teff", "Mg"])


@pytest.fixture
def new_networks():
    """Every network is built anew in the test, and none of it is kept."""
    from skbcnn.network.tensorflow.network_pool import POOL
    from skbcnn.network.tensorflow.posterior import _compiled

    POOL.clear()
    _compiled.cache_clear()
    yield
    POOL.clear()
    _compiled.cache_clear()


@contextmanager
def keras_setting(name, value):
    """Change a global setting of Keras in a block."""
    import keras

    change, before = getattr(keras.config, f"set_{name}"), getattr(keras.config, name)()
    change(value)
    yield
    change(before)


@contextmanager
def numpy_printing():
    before = np.get_printoptions()
    np.set_printoptions(precision=1, threshold=2, legacy="1.13")
    yield
    np.set_printoptions(**before)


def results_of_everything(stars):
    """Everything that a training and a prediction give."""
    model = small_network(
        windows={"1": [5, 6]},
        max_epochs=3,
        warmup_epochs=1,
        lr_schedule="cosine",
        noise_augmentation=1.0,
        maxnorm=0.05,
        validation_fraction=0.3,
    ).fit(stars.X, stars.y, x_err=stars.x_err)
    plateau = small_network(max_epochs=3, reduce_lr_patience=1, lr=0.1, clipnorm=1.0).fit(stars.X, stars.y)
    prediction, assessed = model.predict_distribution(stars.X), model.assess(stars.X, stars.x_err)
    return [
        *(prediction.mean, prediction.total, prediction.calibrated, assessed.score, assessed.flags),
        *model.predict_interval(stars.X, 0.8),
        *(model.score(stars.X, stars.y), model.jacobian(stars.X[:2], n_draws=2)),
        *(model.history_["lr"], model.history_["loss"], plateau.history_["val_loss"], plateau.predict(stars.X)),
        *plateau.fit_noise_model(stars.X, stars.visits).predict_std(stars.X, "calibrated"),
    ]


@pytest.fixture(scope="module")
def expected_results(normal_stars):
    """Results with the default settings."""
    return results_of_everything(normal_stars)


SETTINGS = {
    "floatx float16": lambda: keras_setting("floatx", "float16"),
    "floatx float64": lambda: keras_setting("floatx", "float64"),
    "mixed precision": lambda: keras_setting("dtype_policy", "mixed_float16"),
    "channels first": lambda: keras_setting("image_data_format", "channels_first"),
    "epsilon": lambda: keras_setting("epsilon", 0.01),
    "numpy raises": lambda: np.errstate(all="raise"),
    "numpy prints": numpy_printing,
    "data frames": lambda: config_context(transform_output="pandas"),
    "no checks": lambda: config_context(assume_finite=True, skip_parameter_validation=True),
    "routing": lambda: config_context(enable_metadata_routing=True),
    "pandas": lambda: pd.option_context("mode.string_storage", "python", "display.precision", 1),
}


class TestGlobalSettings:
    """No global setting of another library breaks or changes a result."""

    @pytest.mark.usefixtures("new_networks")
    def test_results_are_the_same_with_all_settings(self, normal_stars, expected_results):
        with ExitStack() as stack:
            for setting in SETTINGS.values():
                stack.enter_context(setting())
            found = results_of_everything(normal_stars)
        assert all(np.array_equal(*pair) for pair in zip(found, expected_results, strict=True))

    @pytest.mark.slow
    @pytest.mark.usefixtures("new_networks")
    @pytest.mark.parametrize("setting", SETTINGS)
    def test_results_are_the_same(self, setting, normal_stars, expected_results):
        with SETTINGS[setting]():
            found = results_of_everything(normal_stars)
        assert all(np.array_equal(*pair) for pair in zip(found, expected_results, strict=True))

    @pytest.mark.filterwarnings("error")
    def test_fit_issues_no_warning_of_its_libraries(self, normal_stars):
        small_network(max_epochs=3, validation_fraction=0.3).fit(normal_stars.X, normal_stars.y)

    def test_writing_tolerates_numpy_errors_that_raise(self, tmp_path):
        with np.errstate(all="raise"):
            path = write_h5(tmp_path / "stars", np.full((2, 3), 1e-50), {"teff": [4500.0, 4600.0]})
        assert not H5Loader(path, target="teff").load()[0].any()

    def test_the_preparation_tolerates_numpy_errors_that_raise(self):
        flux, err = np.full((2, 7514), 100.0), np.full((2, 7514), 1.0)
        err[:, 3::7] = 1e200
        for weighting in ("astronn", "inverse_variance"):
            expected = prepare_spectra(flux, err, weighting=weighting)
            with np.errstate(all="raise"):
                assert_equal(prepare_spectra(flux, err, weighting=weighting), expected)
        X = np.array([[1e-30, 200], [1e-38, -200]], dtype=np.float32)
        for mode in (2, "3s"):
            expected = SpectraNormalizer(mode=mode).fit_transform(X)
            with np.errstate(all="raise"):
                assert_array_equal(SpectraNormalizer(mode=mode).fit_transform(X), expected)


class TestFewStars:
    """Too few stars to train on."""

    def test_are_warned_of(self):
        X = np.random.default_rng(0).normal(1, 0.01, size=(13, 1000))
        with pytest.warns(UserWarning, match="training set has 12 stars.* memorises .* Held-out stars: 1;"):
            small_network().fit(X, X[:, 0])


DISPLAYS_WITH_TRUTH = (ErrorCalibrationDisplay, ResidualDisplay, ResidualOverviewDisplay)


def draw_display(display, y_true, *y_pred, **options):
    """Draw magnesium, or all labels."""
    options |= {"label_name": "Mg"} if display is ResidualDisplay else {}
    options |= {"x_name": "Mg", "y_name": "teff"} if display is AbundancePlaneDisplay else {}
    truth = (y_true,) if display in DISPLAYS_WITH_TRUTH else ()
    return display.from_predictions(*truth, *y_pred, **options)


def drawn_numbers(display):
    """Return the numbers of a display."""
    return {
        name: value
        for name, value in vars(display).items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }


class TestDisplays:
    """All displays take labels in the same containers and order, and name what cannot be drawn."""

    NAMES = ("teff", "logg", "Mg")
    TRUE = np.array([[4500.0, 2.0, 0.1], [4600.0, 2.2, -9999.0], [4700.0, 2.4, 0.3]])
    MEAN = TRUE + np.array([[10.0, 0.1, 0.1], [20.0, -0.1, 9999.0], [-10.0, 0.0, -0.1]])
    STD = np.array([[20.0, 0.1, 0.05], [30.0, 0.2, 0.06], [40.0, 0.1, 0.07]])
    DISPLAYS = (*DISPLAYS_WITH_TRUTH, KielDisplay, AbundancePlaneDisplay)

    def prediction(self, mean=MEAN):
        return Prediction(mean, self.STD, self.STD, self.STD, self.NAMES)

    @pytest.mark.parametrize("display", DISPLAYS)
    @pytest.mark.parametrize("container", ["prediction", "data frame", "table"])
    def test_containers_are_equal(self, display, container):
        order = ["Mg", "teff", "logg"]
        frames = [pd.DataFrame(values, columns=self.NAMES)[order] for values in (self.MEAN, self.STD)]
        given = {
            "prediction": (self.prediction(),),
            "data frame": frames,
            "table": [QTable.from_pandas(frame) for frame in frames],
        }[container]
        truth = pd.DataFrame(self.TRUE, columns=self.NAMES)
        expected = drawn_numbers(draw_display(display, self.TRUE, self.MEAN, self.STD, label_names=self.NAMES))
        if container == "prediction" and display is ResidualOverviewDisplay:
            del expected["y_std"]  # drawn only if it is passed
        found = drawn_numbers(draw_display(display, truth, *given, label_names=self.NAMES))
        assert_equal(found, expected)
        if container == "prediction":  # whose names are known
            assert_equal(drawn_numbers(draw_display(display, self.TRUE, *given)), expected)

    @pytest.mark.parametrize("display", DISPLAYS_WITH_TRUTH)
    @pytest.mark.parametrize("missing", [np.nan, -9999.0, np.ma.masked])
    def test_missing_predictions_are_named(self, display, missing):
        y_pred = np.ma.array(self.MEAN, copy=True)
        y_pred[0, 2] = missing
        with pytest.raises(ValueError, match="y_pred is missing in 1 places where y_true is not"):
            draw_display(display, self.TRUE, y_pred, self.STD, label_names=self.NAMES)

    @pytest.mark.parametrize("display", [KielDisplay, AbundancePlaneDisplay])
    def test_stars_with_masked_labels_are_left_out(self, display):
        y_pred = np.ma.array(self.MEAN, copy=True)
        y_pred[0, 0] = np.ma.masked
        drawn = draw_display(display, None, y_pred, self.STD, label_names=self.NAMES)
        assert len(drawn.ax_.collections[0].get_offsets()) == 2

    @pytest.mark.parametrize("display", DISPLAYS)
    def test_prediction_as_error_bars_is_refused(self, display):
        with pytest.raises(ValueError, match=r"y_std is a Prediction, .*\. Pass the Prediction as y_pred"):
            draw_display(display, self.TRUE, self.MEAN, self.prediction(), label_names=self.NAMES)

    def test_raw_pixels_and_units_of_spectra_are_named(self):
        with pytest.warns(
            UserWarning, match="Remove the gaps between the chips with ChipGapRemover or prepare_spectra"
        ):
            SpectrumDisplay.from_spectrum(np.ones(8575))
        with pytest.raises(ValueError, match="flux has the unit 'Jy', expected flux relative to the continuum"):
            SpectrumDisplay.from_spectrum(np.ones(10) * units.Jy)

    @pytest.mark.parametrize("display", DISPLAYS)
    def test_settings_of_matplotlib_and_pandas_break_nothing(self, display):
        import matplotlib

        settings = {"text.usetex": True, "figure.autolayout": True, "axes.prop_cycle": "cycler('ls', ['-'])"}
        frame = pd.DataFrame(self.MEAN, columns=self.NAMES)
        with matplotlib.rc_context(settings), pd.option_context("mode.string_storage", "python"):
            drawn = draw_display(display, self.TRUE, frame, self.STD, label_names=self.NAMES)
        drawn.figure_.canvas.draw()
