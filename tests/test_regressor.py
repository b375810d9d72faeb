"""The regressors: predictions, training data, fitted attributes, continued training, and refused input."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skbcnn
from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, ElementWindows, _validation
from skbcnn.metrics import r2_score
from skbcnn.network.tensorflow.posterior import MAX_CHUNK, Posterior
from skbcnn.survey import APOGEE_LABELS, apogee_windows

KINDS = ("mean", "model", "predictive", "total")

# parameters that astroNN's documentation lists for its ApogeeBCNNCensored, and what it has no parameters for
PAGE_OF_ASTRONN = {
    "batch_size": 64,
    "initializer": "he_normal",
    "activation": "relu",
    "num_filters": [2, 4],
    "filter_len": 8,
    "pool_length": 4,
    "num_hidden": [128, 64, 32, 8, 2],
    "max_epochs": 50,
    "lr": 0.005,
    "reduce_lr_epsilon": 0.00005,
    "reduce_lr_min": 0.0000000001,
    "reduce_lr_patience": 10,
    "target": "all",
    "l2": 5e-9,
    "dropout_rate": 0.2,
    "length_scale": 0.1,
    "input_norm_mode": 3,
    "labels_norm_mode": 2,
    "context_layer": "output",
    "context_labels": None,
    "augmentation": None,
}


def assert_same_fit(model, other, X):
    """Assert equal histories, weights and predictions, bit for bit."""
    assert model.history_ == other.history_
    for name, values in model.weights_.items():
        assert_array_equal(values, other.weights_[name])
    assert_same_prediction(model, other, X)


def assert_same_prediction(model, other, X):
    ours, theirs = model.predict_distribution(X), other.predict_distribution(X)
    for kind in KINDS:
        assert_array_equal(getattr(ours, kind), getattr(theirs, kind))


def fit_tiny(parameters, data, **changes):
    model = CensoredBCNNRegressor(**{**parameters, **changes})
    return model.fit(data.X, data.y, x_err=data.X_err, y_err=data.y_err)


@pytest.fixture
def no_training(monkeypatch):
    """List of the normalised (training, held-out) stars of all fits, which train no network."""
    given = []

    def train(spec, recipe, training, held_out, seed, start, checkpoint):
        given.append((training, held_out))
        return {}, {}, False

    monkeypatch.setattr("skbcnn.network.tensorflow.training.train", train)
    return given


class TestPrediction:
    def test_moments_in_label_units(self, tiny_model, tiny_data):
        prediction = tiny_model.predict_distribution(tiny_data.X)
        x = tiny_data.X - tiny_model.spectra_normalizer_.mean_.astype(np.float32)
        posterior = Posterior(tiny_model.spec_, tiny_model.weights_, tiny_model.seed_)
        ((mean, model, predictive),) = posterior.moments([(x.astype(np.float32), None)], tiny_model.n_draws)
        scale, centre = tiny_model.label_normalizer_.scale_, tiny_model.label_normalizer_.mean_
        for found, expected in (
            (prediction.mean, mean * scale + centre),
            (prediction.model, np.sqrt(model) * scale),
            (prediction.predictive, np.sqrt(predictive) * scale),
        ):
            assert_allclose(found / scale, expected / scale, rtol=1e-4, atol=1e-5)
        about_mean = np.maximum(
            prediction.predictive**2 - prediction.model**2, np.maximum(prediction.predictive, prediction.model) ** 2 / 3
        )
        assert_allclose(prediction.total**2, about_mean, rtol=1e-12)
        assert prediction.label_names == ("teff", "Mg", "Al", "C")
        assert all(getattr(prediction, kind).dtype == np.float64 for kind in KINDS)

    def test_other_methods_return_parts_of_it(self, tiny_model, tiny_data):
        prediction = tiny_model.predict_distribution(tiny_data.X)
        mean, std = tiny_model.predict(tiny_data.X, return_std=True)
        assert_array_equal(mean, prediction.mean)
        assert_array_equal(std, prediction.total)
        assert_array_equal(tiny_model.predict(tiny_data.X), prediction.mean)
        assert_array_equal(tiny_model.predict_std(tiny_data.X), prediction.total)
        for kind in ("total", "model", "predictive"):
            assert_array_equal(tiny_model.predict_std(tiny_data.X, kind), getattr(prediction, kind))

    def test_unknown_kind(self, tiny_model, tiny_data):
        with pytest.raises(ValueError, match="kind='epistemic', expected 'total', 'predictive', 'model' or"):
            tiny_model.predict_std(tiny_data.X, "epistemic")

    def test_number_of_draws(self, tiny_model, tiny_data):
        more = pickle.loads(pickle.dumps(tiny_model)).set_params(n_draws=20)
        assert (more.predict(tiny_data.X) != tiny_model.predict(tiny_data.X)).all()
        assert_same_prediction(more.set_params(n_draws=10), tiny_model, tiny_data.X)

    @pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, bool])
    def test_spectra_are_cast_chunk_by_chunk(self, tiny_model, tiny_data, tmp_path, dtype):
        """Arrays of any type and order, and memory maps, give equal predictions."""
        X = np.resize(tiny_data.X * 10, (MAX_CHUNK + 30, 40)).astype(dtype)
        mapped = np.memmap(tmp_path / "spectra", dtype=dtype, mode="w+", shape=X.shape)
        mapped[:] = X
        expected = tiny_model.predict(X.astype(np.float32))
        assert_array_equal(tiny_model.predict(mapped), expected)
        assert_array_equal(tiny_model.predict(np.asfortranarray(X)), expected)
        assert_array_equal(tiny_model.predict(X[:, ::-1][:, ::-1]), expected)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
    def test_a_bad_pixel_in_the_last_spectrum_is_found_before_the_work(self, tiny_model, tiny_data, bad, monkeypatch):
        X = np.resize(tiny_data.X, (MAX_CHUNK + 30, 40)).astype(np.float64)
        X[-1, 7] = bad
        monkeypatch.setattr(CensoredBCNNRegressor, "_moments", None)
        with pytest.raises(ValueError, match=rf"row {len(X) - 1}, pixel 7"):
            tiny_model.predict(X)
        errors = np.zeros_like(X)
        errors[-1, 7] = np.nan
        with pytest.raises(ValueError, match="x_err is negative or NaN"):
            tiny_model.predict(np.ones_like(X), x_err=errors)

    @pytest.mark.parametrize("method", ["predict", "assess", "predict_interval", "fit_error_model", "partial_fit"])
    def test_finiteness_is_checked_once(self, tiny_data, method, monkeypatch):
        model = CensoredBCNNRegressor(validation_fraction=0.5, max_epochs=1, n_draws=2, random_state=0)
        model.set_params(calibrate=method != "partial_fit")
        X = np.concatenate([tiny_data.X, 1.01 * tiny_data.X])
        y = X[:, :1]
        model.fit(X, y)
        checked = []
        monkeypatch.setattr(_validation, "check_finite_spectra", lambda X: checked.append(X.shape))
        getattr(model, method)(*((X, y) if "fit" in method else (X,)))
        assert checked == [X.shape]

    def test_flux_errors_widen_the_draws(self, tiny_model, tiny_data):
        x_err = np.full(tiny_data.X.shape, 0.5)
        quiet, noisy = tiny_model.predict_std(tiny_data.X, "model"), tiny_model.predict_std(tiny_data.X, "model", x_err)
        assert (noisy / quiet).mean() > 1.2
        mean, std = tiny_model.predict(tiny_data.X, return_std=True, x_err=x_err)
        assert_array_equal(mean, tiny_model.predict_distribution(tiny_data.X, x_err=x_err).mean)
        assert_array_equal(std, tiny_model.predict_std(tiny_data.X, x_err=x_err))

    def test_stars_noisier_than_the_training_set(self, tiny_model, tiny_data):
        x_err = tiny_data.X_err[:3].copy()
        x_err[1] *= 1.01
        x_err[2, :19] = 100  # fewer than half of the pixels
        assert_array_equal(tiny_model.predict_distribution(tiny_data.X[:3], x_err=x_err).noisier, [False, True, False])
        assert tiny_model.predict_distribution(tiny_data.X[:3]).noisier is None
        assert tiny_model.noise_level_ == pytest.approx(0.01)

    def test_score_ignores_missing_labels(self, tiny_model, tiny_data):
        predicted = tiny_model.predict(tiny_data.X)
        assert tiny_model.score(tiny_data.X, tiny_data.y) == r2_score(tiny_data.y, predicted)
        magic = np.where(np.isnan(tiny_data.y), -9999, tiny_data.y)
        assert tiny_model.score(tiny_data.X, magic) == tiny_model.score(tiny_data.X, tiny_data.y)
        weight = np.arange(30.0)
        weighted = tiny_model.score(tiny_data.X, tiny_data.y, sample_weight=weight)
        assert weighted == r2_score(tiny_data.y, predicted, sample_weight=weight)

    def test_progress_bar(self, tiny_model, tiny_data, capfd):
        loud = pickle.loads(pickle.dumps(tiny_model)).set_params(verbose=1)
        tiny_model.predict(tiny_data.X)
        assert capfd.readouterr() == ("", "")
        loud.predict(np.resize(tiny_data.X, (MAX_CHUNK + 1, 40)))
        out, err = capfd.readouterr()
        assert out == ""
        assert "Predicting" in err
        assert "2/2" in err


class TestFitted:
    def test_attributes(self, tiny_model):
        assert tiny_model.n_features_in_ == 40
        assert tiny_model.target_names_ == ("teff", "Mg", "Al", "C")
        assert tiny_model.n_iter_ == len(tiny_model.history_["val_loss"]) == 2
        assert tiny_model.interrupted_ is False
        assert tiny_model.spec_.windows[:3] == (None, (5, 6, 7), (6, 7))
        assert tiny_model.spec_.widening == ((1, 1), (1, 1), (1, 1), (3, 2))
        # 27 stars after the split: 2 n l2 / (length_scale^2 (1 - dropout_rate))
        assert tiny_model.inv_tau_ == pytest.approx(2 * 27 * 1e-5 / (9 * 0.95), rel=1e-12)

    def test_pickle_bit_for_bit(self, tiny_model, tiny_data):
        assert_same_fit(pickle.loads(pickle.dumps(tiny_model)), tiny_model, tiny_data.X)

    def test_predict_changes_no_attribute(self, tiny_model, tiny_data):
        model = pickle.loads(pickle.dumps(tiny_model))
        names, state = set(vars(model)), pickle.dumps(model)
        model.predict(tiny_data.X, return_std=True, x_err=tiny_data.X_err)
        assert set(vars(model)) == names
        assert pickle.dumps(model) == state

    def test_fit_changes_none_of_its_arguments(self, tiny_parameters, tiny_data, no_training):
        before = pickle.dumps(dict(tiny_data))
        fit_tiny(tiny_parameters, tiny_data, noise_augmentation=1.0)
        assert pickle.dumps(dict(tiny_data)) == before

    def test_parameters(self, tiny_parameters, tiny_model):
        copy = clone(tiny_model)
        assert not hasattr(copy, "weights_")
        for name, value in tiny_parameters.items():
            assert copy.get_params()[name] == value
        assert copy.set_params(lr=0.1).lr == 0.1
        assert ApogeeBCNNCensoredRegressor(n_draws=3).get_params()["n_draws"] == 3
        assert ApogeeBCNNCensoredRegressor().get_params() == CensoredBCNNRegressor().get_params()


class TestRepeatability:
    def test_one_label_and_no_random_state(self, tiny_parameters, tiny_data):
        """Predictions for a 1-D y are 1-D, and a model without a seed keeps the one that it drew."""
        parameters = {**tiny_parameters, "random_state": None, "target": ["Mg"], "windows": {"Mg": [5, 6, 7]}}
        y, y_err = tiny_data.y[:, 1], tiny_data.y_err[:, 1]
        model = CensoredBCNNRegressor(**parameters).fit(tiny_data.X, y, y_err=y_err)
        prediction = model.predict_distribution(tiny_data.X)
        assert all(getattr(prediction, kind).shape == (30,) for kind in KINDS)
        assert np.isscalar(model.score(tiny_data.X, y))
        assert_same_prediction(model, pickle.loads(pickle.dumps(model)), tiny_data.X)
        assert model.random_state is None

    def test_random_state_determines_the_seed(self, tiny_parameters, tiny_data, no_training):
        def seed(random_state):
            return fit_tiny(tiny_parameters, tiny_data, random_state=random_state).seed_

        assert seed(3) == seed(3) == seed(np.random.RandomState(3))
        assert len({seed(None), seed(None), seed(3), seed(4)}) == 4


class TestTrainingData:
    def test_held_out_stars(self, tiny_parameters, tiny_data, no_training):
        model = fit_tiny(tiny_parameters, tiny_data, validation_fraction=0.25)
        ((training, held_out),) = no_training
        assert (len(training.x), len(held_out.x)) == (23, 7)
        normalizer = model.spectra_normalizer_
        pixels = np.concatenate([training.x[:, 0], held_out.x[:, 0]]) + np.float32(normalizer.mean_[0])
        assert_allclose(np.sort(pixels), np.sort(tiny_data.X[:, 0]), atol=1e-6)
        assert_allclose(training.x.mean(axis=0), 0, atol=1e-6)  # statistics of the training stars only
        assert_allclose(np.nanmean(training.y, axis=0), 0, atol=1e-9)
        assert_allclose(np.nanstd(training.y, axis=0), 1, rtol=1e-9)

    def test_errors_are_scaled_and_not_centred(self, tiny_parameters, tiny_data, no_training):
        model = fit_tiny(tiny_parameters, tiny_data, validation_fraction=0.0, noise_augmentation=2.0, input_norm_mode=2)
        ((training, held_out),) = no_training
        assert held_out is None
        scale = np.nanstd(tiny_data.y, axis=0)
        assert_allclose(model.label_normalizer_.mean_, np.nanmean(tiny_data.y, axis=0), rtol=1e-12)
        present = ~np.isnan(tiny_data.y)
        assert_allclose(training.y_err[present], (tiny_data.y_err / scale)[present], rtol=1e-9)
        assert_allclose(training.x_err, 0.01 / tiny_data.X.std(axis=0) * np.ones((30, 1)), rtol=1e-4)
        assert model.noise_level_ == pytest.approx(0.01 * 5**0.5)  # includes the noise added in training

    @pytest.mark.parametrize("wrong", [(3, 1), (1,), (-1, 2), ("a", "b")])
    def test_noise_is_a_number_or_a_pair(self, tiny_parameters, tiny_data, wrong):
        with pytest.raises(ValueError, match=r"expected one number, or a pair: the smallest and the largest"):
            fit_tiny(tiny_parameters, tiny_data, noise_augmentation=wrong)

    def test_flux_errors_are_not_normalised_without_noise_augmentation(self, tiny_parameters, tiny_data, no_training):
        fit_tiny(tiny_parameters, tiny_data)
        assert no_training[0][0].x_err is None

    def test_missing_errors_are_counted_once(self, tiny_parameters, tiny_data, no_training):
        y_err = tiny_data.y_err.copy()
        y_err[[0, 1, 8], 1] = np.nan, -9999, np.nan  # the label of star 8 is missing, too
        with pytest.warns(UserWarning, match="2 labels have no error") as caught:
            CensoredBCNNRegressor(**tiny_parameters).fit(tiny_data.X, tiny_data.y, y_err=y_err)
        assert [warning.filename for warning in caught] == [__file__]

    def test_other_options(self, tiny_parameters, tiny_data):
        """Noise, early stopping without held-out stars, modes as text, and a DataFrame, all at once."""
        changes = {"noise_augmentation": 1.0, "early_stopping": True, "validation_fraction": 0.0, "verbose": True}
        changes |= {"input_norm_mode": "1", "labels_norm_mode": "4", "num_hidden": np.array([8, 8, 4, 4, 0])}
        model = CensoredBCNNRegressor(**{**tiny_parameters, **changes})
        X = pd.DataFrame(tiny_data.X, columns=[f"pixel{i}" for i in range(40)])
        y = pd.DataFrame(tiny_data.y, columns=tiny_parameters["target"])
        model.fit(X, y, x_err=pd.DataFrame(tiny_data.X_err), y_err=pd.DataFrame(tiny_data.y_err))
        assert list(model.feature_names_in_[:2]) == ["pixel0", "pixel1"]
        assert "val_loss" not in model.history_
        assert np.isfinite(model.predict(X)).all()

    def test_names_of_a_data_frame(self, tiny_parameters, tiny_data, no_training):
        y = pd.DataFrame(tiny_data.y, columns=["teff", "Mg", "Al", "C"])
        model = CensoredBCNNRegressor(**{**tiny_parameters, "target": None}).fit(tiny_data.X, y)
        assert model.target_names_ == ("teff", "Mg", "Al", "C")

    def test_ctrl_c(self, tiny_parameters, tiny_data):
        def interrupt(epoch):
            if epoch.epoch == 1:
                raise KeyboardInterrupt

        with pytest.warns(UserWarning, match="interrupted"):
            model = fit_tiny(tiny_parameters, tiny_data, callbacks=interrupt, max_epochs=5)
        assert model.interrupted_ is True
        assert 1 <= model.n_iter_ <= 2
        assert model.predict(tiny_data.X).shape == (30, 4)


@pytest.fixture(scope="module")
def apogee_data():
    """Twelve spectra of pure noise, which are enough to test checks and shapes."""
    rng = np.random.default_rng(0)
    return rng.normal(1, 0.05, size=(12, 7514)).astype(np.float32), rng.normal(size=(12, 22))


@pytest.fixture(scope="module")
def apogee_model(apogee_data):
    """A model with the parameters of astroNN's documentation, fitted for one epoch. Do not change it."""
    return ApogeeBCNNCensoredRegressor(**{**PAGE_OF_ASTRONN, "max_epochs": 1}, n_draws=3, random_state=0).fit(
        *apogee_data
    )


class TestContinuedTraining:
    """warm_start and partial_fit continue from the weights, with the normalisers of the first stars."""

    def test_warm_start(self, tiny_parameters, tiny_data):
        model = CensoredBCNNRegressor(**tiny_parameters, warm_start=True)
        first = {name: values.copy() for name, values in model.fit(tiny_data.X, tiny_data.y).weights_.items()}
        model.set_params(lr=1e-12).fit(tiny_data.X * 2, tiny_data.y * 2)
        assert model.n_iter_ == 2 * model.max_epochs
        assert len(model.history_["loss"]) == model.max_epochs
        for name, values in model.weights_.items():
            assert_allclose(values, first[name], atol=1e-5)  # up to the rounding of max-norm
        first_fit = CensoredBCNNRegressor(**tiny_parameters).fit(tiny_data.X, tiny_data.y)
        assert_array_equal(model.spectra_normalizer_.mean_, first_fit.spectra_normalizer_.mean_)
        assert_array_equal(model.label_normalizer_.scale_, first_fit.label_normalizer_.scale_)

    def test_without_warm_start_every_fit_starts_again(self, tiny_parameters, tiny_data):
        model = CensoredBCNNRegressor(**tiny_parameters)
        once = pickle.loads(pickle.dumps(model.fit(tiny_data.X, tiny_data.y)))
        assert_same_fit(model.fit(tiny_data.X, tiny_data.y), once, tiny_data.X)
        assert model.n_iter_ == model.max_epochs

    def test_partial_fit_lowers_the_loss_of_its_stars(self, tiny_model, tiny_data):
        model = pickle.loads(pickle.dumps(tiny_model)).set_params(lr=0.01)
        few = slice(10, 20)
        losses = []
        for _ in range(40):
            model.partial_fit(tiny_data.X[few], tiny_data.y[few])
            losses += model.history_["data_loss"]
        assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
        assert model.n_iter_ == tiny_model.n_iter_ + 40
        assert_array_equal(model.label_normalizer_.mean_, tiny_model.label_normalizer_.mean_)
        assert (model.inv_tau_, model.noise_level_) == (tiny_model.inv_tau_, tiny_model.noise_level_)

    def test_each_epoch_draws_new_masks_and_is_repeatable(self, tiny_model, tiny_data):
        def passes():
            model = pickle.loads(pickle.dumps(tiny_model)).set_params(lr=1e-12)
            return [model.partial_fit(tiny_data.X, tiny_data.y).history_["data_loss"][0] for _ in range(2)]

        one, two = passes()
        assert one != two
        assert passes() == [one, two]

    def test_partial_fit_accepts_a_label_that_all_stars_lack(self, tiny_model, tiny_data):
        y = tiny_data.y.copy()
        y[:, 1] = -9999
        model = pickle.loads(pickle.dumps(tiny_model)).set_params(l2=0.0).partial_fit(tiny_data.X, y)
        assert_array_equal(model.weights_["label1.hidden1.kernel"], tiny_model.weights_["label1.hidden1.kernel"])

    def test_first_partial_fit(self, tiny_parameters, tiny_data):
        model = CensoredBCNNRegressor(**tiny_parameters).partial_fit(tiny_data.X, tiny_data.y, x_err=tiny_data.X_err)
        assert model.n_iter_ == 1
        assert "val_loss" not in model.history_
        assert model.noise_level_ == pytest.approx(0.01)
        for next_one in (CensoredBCNNRegressor(**tiny_parameters), model):
            with pytest.raises(ValueError, match="no value at all for teff, Mg, Al, C"):
                next_one.partial_fit(tiny_data.X, np.full_like(tiny_data.y, -9999))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"target": ["teff", "Mg", "Al", "O"], "windows": None},
                "The labels are teff, Mg, Al, O, but the model was fitted to teff, Mg, Al, C",
            ),
            ({"num_hidden": (8, 8, 4, 5, 2)}, "network with other layers than the fitted one"),
            ({"context_layer": "output"}, "network with other layers than the fitted one"),
        ],
    )
    def test_other_network(self, tiny_model, tiny_data, changes, message):
        model = pickle.loads(pickle.dumps(tiny_model)).set_params(**changes)
        for continue_training in (model.partial_fit, pickle.loads(pickle.dumps(model)).set_params(warm_start=True).fit):
            with pytest.raises(ValueError, match=message):
                continue_training(tiny_data.X, tiny_data.y)
        assert_same_prediction(model.set_params(**tiny_model.get_params()), tiny_model, tiny_data.X)


class TestCallbacks:
    def test_arguments(self, tiny_parameters, tiny_data):
        reports = []
        model = CensoredBCNNRegressor(**tiny_parameters, callbacks=reports.append).fit(tiny_data.X, tiny_data.y)
        assert [(report.epoch, report.max_epochs) for report in reports] == [(1, 2), (2, 2)]
        assert {name: [report.figures[name] for report in reports] for name in model.history_} == model.history_

    def test_weights_and_end_of_training(self, tiny_parameters, tiny_data):
        kept = []

        def stop(report):
            kept.append(report.get_weights())
            return report.epoch == 2

        reports = []
        model = CensoredBCNNRegressor(**tiny_parameters | {"max_epochs": 5}, callbacks=[stop, reports.append])
        model.fit(tiny_data.X, tiny_data.y)
        assert model.n_iter_ == len(kept) == len(reports) == 2
        assert not model.interrupted_
        for name, values in model.weights_.items():
            assert_array_equal(values, kept[-1][name])
        assert any((kept[0][name] != kept[1][name]).any() for name in kept[0])

    def test_their_errors_are_raised(self, tiny_parameters, tiny_data):
        model = CensoredBCNNRegressor(**tiny_parameters, callbacks=lambda report: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.fit(tiny_data.X, tiny_data.y)
        with pytest.raises(TypeError, match="callbacks holds 'print', expected functions of one argument"):
            model.set_params(callbacks=["print"]).fit(tiny_data.X, tiny_data.y)


class TestApogee:
    def test_parameters_of_astronns_page(self, apogee_model, apogee_data):
        ApogeeBCNNCensoredRegressor(**PAGE_OF_ASTRONN)._validate_params()  # 50 epochs, too
        assert apogee_model.spec_.num_hidden == (128, 64, 32, 8, 2)
        assert apogee_model.target_names_ == APOGEE_LABELS
        assert apogee_model.weights_["label6.hidden1.kernel"].shape == (13, 32)
        assert apogee_model.inv_tau_ == pytest.approx(2 * 11 * 5e-9 / (0.01 * 0.8))
        assert np.isfinite(apogee_model.predict(apogee_data[0])).all()

    def test_published_preset_has_the_constructor_defaults_of_astronn(self):
        """The width of 64, of the saved model, is the exception: the constructor of astroNN has 96."""
        parameters = ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019").get_params()
        published = {"lr": 0.0005, "dropout_rate": 0.3, "num_hidden": (192, 64, 32, 16, 2), "num_filters": (2, 4)}
        published |= {"reduce_lr_patience": 2, "reduce_lr_min": 1e-8, "length_scale": 3.0, "maxnorm": 0.5, "l2": 5e-9}
        published |= {"context_layer": "output", "context_labels": None, "augmentation": None}
        assert {name: parameters[name] for name in published} == published

    def test_inverse_model_precision_as_published(self):
        model = ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019")
        assert model._inverse_precision(30067) == pytest.approx(4.7725e-5, rel=1e-4)

    def test_windows_of_dr14(self, apogee_model):
        spec = apogee_model.spec_
        assert spec.full_labels == (0, 1, 19)
        assert spec.windows[APOGEE_LABELS.index("Al")] == tuple(apogee_windows()["Al"].tolist())
        assert {j for j, factors in enumerate(spec.widening) if factors == (8, 4)} == {2, 4}

    def test_single_row(self, apogee_model, apogee_data):
        X, _ = apogee_data
        one, std = apogee_model.predict(X[3:4], return_std=True)
        assert one.shape == std.shape == (1, 22)
        assert_array_equal(one, apogee_model.predict(X)[3:4])

    @pytest.mark.parametrize(
        ("target", "names", "full", "n_context"),
        [
            ("Mg", ("Mg",), (), 2),
            (["[Fe/H]", "TEFF"], ("Fe", "teff"), (0, 1), 2),
            (["teff", "M", "TiII", "C"], ("teff", "M", "Ti2", "C"), (0, 1), 4),
        ],
    )
    def test_subsets_of_the_labels(self, apogee_data, no_training, target, names, full, n_context):
        X, y = apogee_data
        model = ApogeeBCNNCensoredRegressor(target=target, num_hidden=(192, 96, 32, 16, 2))
        model.fit(X, y[:, : len(names)])
        assert model.target_names_ == names
        assert model.spec_.full_labels == full
        assert model.spec_.n_context == n_context  # two free units, if a label has a window, and the full labels

    def test_y_in_one_dimension(self, apogee_data, no_training):
        X, y = apogee_data
        assert ApogeeBCNNCensoredRegressor(target="teff").fit(X, y[:, 0]).target_names_ == ("teff",)


def replaced(values, row, column, by):
    values = np.array(values)
    values[row, column] = by
    return values


WRONG_SPECTRA = [
    pytest.param(lambda X: np.ones((12, 8575)), "X has 8575 features.*expecting 7514.*ChipGapRem", id="8575 pixels"),
    pytest.param(lambda X: np.ones((12, 7214)), "X has 7214 features.*expecting 7514.*DR11 and DR12", id="7214 pixels"),
    pytest.param(lambda X: X[:, :100], "X has 100 features.*expecting 7514.*windows of your own", id="100 pixels"),
    pytest.param(lambda X: X[0], r"Expected 2D array, got 1D array .*X.reshape\(1, -1\) is one", id="one spectrum"),
    pytest.param(lambda X: X[:0], r"0 sample\(s\)", id="no spectrum"),
    pytest.param(lambda X: replaced(X, 5, 70, np.nan), "NaN.*1 of 12.*row 5, pixel 70.*Continuum", id="NaN"),
    pytest.param(lambda X: replaced(X, 5, 70, np.inf), "infinity.*1 of 12.*row 5, pixel 70.*Continuum", id="infinity"),
]
WRONG_LABELS = [
    pytest.param({"y": lambda y: y[:, :3]}, "y has 3 columns.*22 labels.*target=", id="columns"),
    pytest.param({"y": lambda y: y[:, 0]}, "y has 1 columns.*22 labels", id="one dimension"),
    pytest.param({"y": lambda y: y[:, :, None]}, r"y has shape \(12, 22, 1\), expected", id="three dimensions"),
    pytest.param({"y": lambda y: y[:5]}, r"inconsistent numbers of samples: \[12, 5\]", id="rows"),
    pytest.param({"y": lambda y: replaced(y, slice(None), 3, -9999)}, "no value at all for C1:.*12", id="all missing"),
    pytest.param({"y": lambda y: y.astype(str).astype(object) + "K"}, "y holds values that are not numbers", id="text"),
    pytest.param({"y": lambda y: replaced(y, 2, 0, np.inf)}, "infinity.*row 2, label teff.*-9999", id="infinity"),
    pytest.param({"y": lambda y: None}, "requires y", id="none"),
    pytest.param(
        {"y_err": lambda y: np.ones((12, 21))}, r"y_err has shape \(12, 21\), expected \(12, 22\)", id="y_err shape"
    ),
    pytest.param(
        {"y_err": lambda y: replaced(np.ones_like(y), 1, 1, -0.1)}, "y_err is negative.*1 labels", id="negative y_err"
    ),
    pytest.param(
        {"x_err": lambda y: np.ones((12, 8575))},
        r"x_err has shape \(12, 8575\), but X has .*\(12, 7514\).*not changed by the pipeline",
        id="x_err shape",
    ),
    pytest.param({"x_err": lambda y: np.full((12, 7514), -1)}, "x_err is negative", id="negative x_err"),
    pytest.param({"sample_weight": lambda y: np.zeros(12)}, "(?i)(zero for every sample|non-zero)", id="weights zero"),
    pytest.param({"sample_weight": lambda y: np.full(12, -1.0)}, "(?i)negative", id="negative weights"),
    pytest.param({"sample_weight": lambda y: np.ones(11)}, "sample_weight.*shape", id="weights shape"),
]
WRONG_PARAMETERS = [
    pytest.param({"target": ["teff", "Xx"]}, "'Xx' is not a label known here", id="unknown label"),
    pytest.param({"target": ["teff", "TEFF"]}, "names teff more than once", id="label twice"),
    pytest.param({"num_hidden": [[8, 8], [4]]}, "expected 5 whole numbers", id="widths of different shapes"),
    pytest.param({"num_hidden": (10**9, 8, 4, 2, 0)}, "expected at most 134217728", id="too many weights"),
    pytest.param({"max_epochs": 10**18}, "'max_epochs' parameter", id="too many epochs"),
    pytest.param({"num_hidden": (8, 8, 4)}, r"num_hidden=\(8, 8, 4\), expected 5 whole numbers", id="widths"),
    pytest.param(
        {"num_hidden": (8, 8, 0, 4, 2)}, r"expected 5 whole numbers, at least \(1, 1, 1, 1, 0\)", id="width zero"
    ),
    pytest.param({"num_filters": (2.5, 4)}, r"num_filters=\(2.5, 4\), expected 2 whole numbers", id="half a filter"),
    pytest.param({"labels_norm_mode": "3s"}, "The 'labels_norm_mode' parameter.*Got '3s'", id="squashed labels"),
    pytest.param(
        {"noise_augmentation": 1.0, "augmentation": None},
        "noise_augmentation=1.0 needs flux errors: pass x_err",
        id="no x_err",
    ),
    pytest.param({"dropout_rate": 1.0}, "The 'dropout_rate' parameter", id="dropout rate"),
    pytest.param({"lr": 0.0}, "The 'lr' parameter", id="learning rate"),
    pytest.param({"n_draws": 1}, "The 'n_draws' parameter", id="draws"),
    pytest.param({"input_norm_mode": 5}, "The 'input_norm_mode' parameter", id="norm mode"),
]


class TestBadInput:
    """Input that `fit` or `predict` refuses before any training."""

    @pytest.fixture(autouse=True)
    def no_network_is_trained(self, monkeypatch):
        monkeypatch.setattr(
            CensoredBCNNRegressor, "_train_network", lambda *args, **kwargs: pytest.fail("training started")
        )

    @pytest.mark.parametrize(("change", "message"), WRONG_SPECTRA)
    def test_spectra_in_fit(self, apogee_data, change, message):
        X, y = apogee_data
        with pytest.raises(ValueError, match=f"(?s){message}"):
            ApogeeBCNNCensoredRegressor().fit(change(X), y)

    @pytest.mark.parametrize(("change", "message"), WRONG_SPECTRA)
    def test_spectra_in_predict(self, apogee_model, apogee_data, change, message):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            apogee_model.predict(change(apogee_data[0]))

    @pytest.mark.parametrize(("change", "message"), WRONG_LABELS)
    def test_labels_and_errors(self, apogee_data, change, message):
        X, y = apogee_data
        changed = {name: make(y) for name, make in change.items()}
        with pytest.raises(ValueError, match=message):
            ApogeeBCNNCensoredRegressor().fit(X, **{"y": y, **changed})

    @pytest.mark.parametrize(("changes", "message"), WRONG_PARAMETERS)
    def test_parameters(self, apogee_data, changes, message):
        X, y = apogee_data
        n_labels = len(changes.get("target", APOGEE_LABELS))
        with pytest.raises(ValueError, match=message):
            ApogeeBCNNCensoredRegressor(**changes).fit(X, y[:, :n_labels])

    def test_flux_errors_in_predict(self, apogee_model, apogee_data):
        X, _ = apogee_data
        with pytest.raises(ValueError, match=r"x_err has shape \(3, 7514\), but X has .*\(12, 7514\)"):
            apogee_model.predict(X, x_err=np.ones((3, 7514)))

    @pytest.mark.parametrize("method", ["predict", "predict_std", "predict_distribution"])
    def test_not_fitted(self, apogee_data, method):
        with pytest.raises(NotFittedError, match=r"not fitted yet"):
            getattr(ApogeeBCNNCensoredRegressor(), method)(apogee_data[0])

    @pytest.mark.parametrize(
        ("windows", "message"),
        [
            ({"K": [1]}, "windows are given for K, but the labels are teff, Mg, Al, C. Pass target="),
            ({"Mg": [40]}, "has pixels 40 to 40, but the grid has pixels 0 to 39"),
            (ElementWindows({"Mg": [3]}, 50), "40 pixels a spectrum, but the windows were made for 50"),
            ([[1]], "The 'windows' parameter"),
        ],
    )
    def test_windows(self, tiny_parameters, tiny_data, windows, message):
        with pytest.raises(ValueError, match=message):
            fit_tiny(tiny_parameters, tiny_data, windows=windows)

    def test_other_number_of_pixels_than_in_fit(self, tiny_model):
        with pytest.raises(ValueError, match="X has 39 features, but CensoredBCNNRegressor is expecting 40"):
            tiny_model.predict(np.ones((2, 39)))

    @pytest.mark.parametrize("target", [["teff"], ["teff", "Mg", "Al", "Mg"]])
    def test_names_that_do_not_fit_y(self, tiny_parameters, tiny_data, target):
        with pytest.raises(ValueError, match=r"target names .* labels .*but y has 4 columns"):
            fit_tiny(tiny_parameters, tiny_data, target=target)


class TestUnfinishedFit:
    """A fit that raises leaves the model as it was."""

    @pytest.fixture
    def interrupted(self, monkeypatch):
        def raises(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr("skbcnn.network.tensorflow.training.train", raises)

    def test_refused_data(self, tiny_parameters, tiny_data):
        model = CensoredBCNNRegressor(**tiny_parameters)
        with pytest.raises(ValueError, match="columns"):
            model.fit(tiny_data.X, tiny_data.y[:, :2])
        with pytest.raises(NotFittedError):
            model.predict(tiny_data.X)

    def test_first_fit(self, tiny_parameters, tiny_data, interrupted):
        model = CensoredBCNNRegressor(**tiny_parameters)
        with pytest.raises(KeyboardInterrupt):
            model.fit(tiny_data.X, tiny_data.y)
        with pytest.raises(NotFittedError):
            model.predict(tiny_data.X)

    def test_second_fit(self, tiny_model, tiny_data, interrupted):
        model = pickle.loads(pickle.dumps(tiny_model))
        with pytest.raises(KeyboardInterrupt):
            model.fit(tiny_data.X, 100 * tiny_data.y)
        assert_same_prediction(model, tiny_model, tiny_data.X)


CHECK_IMPORTS = """
import sys
heavy = lambda *names: sorted({module.split(".")[0] for module in sys.modules} & set(names))
import skbcnn
assert not heavy("tensorflow", "keras", "sklearn", "scipy", "pandas"), heavy("tensorflow", "keras", "sklearn", "scipy")
import pickle
import skbcnn.regressor
assert not heavy("tensorflow", "keras")
model, X, y, expected = pickle.load(open(sys.argv[1], "rb"))
assert not heavy("tensorflow", "keras"), "unpickling imported TensorFlow"
from sklearn.base import clone
assert (model.predict(X) == expected).all(), "another process predicts other labels"
for _ in range(3):  # TensorFlow warns of retracing from the third time on
    clone(model).fit(X, y).predict(X)
"""


class TestProcess:
    """Imports and output of another Python process."""

    def python(self, *arguments):
        root = Path(skbcnn.__file__).parents[1]
        return subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False)

    def test_importing_the_package_is_light(self):
        ended = self.python("-X", "importtime", "-c", "import skbcnn")
        assert ended.returncode == 0
        assert re.findall(r"tensorflow|keras|sklearn|numpy", ended.stderr) == []

    def test_tensorflow_is_imported_late_and_prints_nothing(self, tiny_model, tiny_data, tmp_path):
        quick = pickle.loads(pickle.dumps(tiny_model)).set_params(max_epochs=1)
        content = quick, tiny_data.X, tiny_data.y, tiny_model.predict(tiny_data.X)
        (tmp_path / "model.pickle").write_bytes(pickle.dumps(content))
        ended = self.python("-c", CHECK_IMPORTS, str(tmp_path / "model.pickle"))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
