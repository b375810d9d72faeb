"""Training with augmented spectra and with context labels."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, load_folder, save_folder
from skbcnn._context_labels import APOGEE_CONTEXT, context_values, context_weights
from skbcnn._regressor_parameters import training_recipe
from skbcnn.augmentation import Augmentation
from skbcnn.augmentation.noise import estimated_noise
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.weights import set_weights
from skbcnn.survey import APOGEE_LABELS

DATA = Path(__file__).parent / "data"
TINY = {"num_hidden": (8, 8, 4, 4, 0), "max_epochs": 1, "n_draws": 3, "random_state": 0}
WEAK = {"shift": 0.1, "pairs": 1.0}  # amplitudes that differ from their defaults
ALUMINIUM = {"Al": 1, "Fe": -1}  # [Al/Fe]


@pytest.fixture(scope="module")
def lines():
    """300 spectra of 30 pixels in which labels Fe, Al and Mg each change three pixels of their own, and the labels."""
    rng = np.random.default_rng(0)
    y = rng.normal(0, 0.3, (300, 3))
    X = rng.normal(1, 0.002, (300, 30))
    for label, first in enumerate((3, 12, 21)):
        X[:, first : first + 3] -= 0.1 * y[:, [label]]
    return X.astype(np.float32), y


def on_lines(**parameters):
    """Regressor for `lines`, which has a window for Mg and one for Al."""
    windows = {"Mg": range(20, 26), "Al": range(11, 17)}
    return CensoredBCNNRegressor(**TINY | {"target": ["Fe", "Al", "Mg"], "windows": windows} | parameters)


@pytest.fixture(scope="module")
def varied(lines):
    """Regressor trained on augmented spectra, with a context label. Do not change it."""
    return on_lines(augmentation=Augmentation(**WEAK), context_labels=[ALUMINIUM], max_epochs=2).fit(*lines)


@pytest.fixture(scope="module")
def apogee_data():
    """30 spectra of noise, and random labels."""
    rng = np.random.default_rng(1)
    return rng.normal(1, 0.05, (30, 7514)).astype(np.float32), rng.normal(0, 1, (30, 22))


def context_units(model, X):
    """Return the first free context units, without dropout, in the order of the context labels."""
    network = CensoredNetwork(model.spec_)
    set_weights(network, model.weights_)
    x = np.pad(model.spectra_normalizer_.transform(X).astype(np.float32), ((0, 0), Frames(model.spec_).margins))
    _, moments = network.loss_and_gradients(lambda moments: (moments[0, 0, 0], moments), x)[0]
    return np.asarray(moments)[:, 0, model.n_outputs_ :]


@pytest.fixture
def noise(monkeypatch):
    """List of the flux errors of the training stars of all fits, which train no network."""
    given = []

    def train(spec, recipe, training, held_out, seed, start, checkpoint):
        given.append(training.x_err)
        return {}, {}, False

    monkeypatch.setattr("skbcnn.network.tensorflow.training.train", train)
    return given


class TestAugmentation:
    def test_noise_is_estimated_without_flux_errors(self, apogee_data, noise):
        X, y = apogee_data
        ApogeeBCNNCensoredRegressor(validation_fraction=0, **TINY).fit(X, y)
        assert_array_equal(noise[0], estimated_noise(X - np.median(X, axis=0)))
        assert_allclose(noise[0], 0.05, rtol=0.05)

    def test_flux_errors_are_used_if_given(self, apogee_data, noise):
        X, y = apogee_data
        ApogeeBCNNCensoredRegressor(validation_fraction=0, **TINY).fit(X, y, x_err=np.full_like(X, 0.02))
        assert_array_equal(noise[0], np.full_like(X, 0.02))

    def test_rare_labels_weigh_more_in_the_loss(self, lines):
        losses = [
            on_lines(augmentation={"pairs": 0, "rare_labels": largest}, max_epochs=1).fit(*lines).history_
            for largest in (1, 3)
        ]
        assert losses[0]["loss"] != losses[1]["loss"]
        assert len(losses[0]["val_loss"]) == len(losses[1]["val_loss"]) == 1  # of labels with equal weights

    def test_default_of_each_class(self, apogee_data, lines):
        X, y = apogee_data
        model = ApogeeBCNNCensoredRegressor(**TINY).fit(X, y)
        assert model.noise_augmented_
        assert model.noise_level_ is None  # nothing is known of the flux errors
        assert np.isfinite(model.predict(X[:2])).all()
        plain = on_lines().fit(*lines)
        assert not plain.noise_augmented_
        assert plain.history_ == on_lines(augmentation=None).fit(*lines).history_
        assert plain.history_ != on_lines(augmentation={}).fit(*lines).history_

    def test_none_leaves_noise_augmentation_as_it_was(self, lines):
        X, y = lines
        model = on_lines(augmentation=None, noise_augmentation=(0, 2))
        with pytest.raises(ValueError, match=r"noise_augmentation=\(0, 2\) needs flux errors: pass x_err"):
            model.fit(X, y)
        assert model.fit(X, y, x_err=np.full_like(X, 0.01)).noise_level_ == pytest.approx(0.01 * 5**0.5)
        automatic = on_lines(noise_augmentation=(0, 2)).fit(X, y, x_err=np.full_like(X, 0.01))
        assert automatic.history_ == model.history_  # "auto" of this class means none

    @pytest.mark.parametrize("augmentation", [Augmentation(), {}, {"noise": (0, 1)}])
    def test_two_kinds_of_noise_are_refused(self, lines, augmentation):
        model = on_lines(augmentation=augmentation, noise_augmentation=1.0)
        with pytest.raises(ValueError, match=r"both say how much noise to add.*\{'noise': \.\.\.\}"):
            model.fit(*lines)

    def test_automatic_augmentation_takes_the_noise_of_noise_augmentation(self, apogee_data):
        model = ApogeeBCNNCensoredRegressor(noise_augmentation=(1, 2))
        assert model._active_augmentation == Augmentation(noise=(1, 2))

    @pytest.mark.parametrize(
        ("augmentation", "message"),
        [({"blur": 1}, "augmentation has no 'blur', only noise, shift"), ({"shift": -1}, "shift=-1, expected")],
    )
    def test_wrong_amplitudes_are_refused_before_the_training(self, lines, augmentation, message):
        with pytest.raises(ValueError, match=message):
            on_lines(augmentation=augmentation).fit(*lines)

    def test_mapping_is_the_same_as_an_object(self, lines, varied):
        model = clone(varied).set_params(augmentation=WEAK).fit(*lines)
        assert model.history_ == varied.history_

    def test_equal_seeds_give_equal_models(self, lines, varied):
        again, other = clone(varied).fit(*lines), clone(varied).set_params(random_state=1).fit(*lines)
        assert_equal(again.weights_, varied.weights_)
        assert other.history_ != varied.history_

    def test_a_previous_fit_changes_nothing(self, lines, varied):
        X, y = lines
        model = clone(varied).set_params(augmentation=None, context_labels=None).fit(X[:60] * 1.1, y[:60])
        model.set_params(**varied.get_params()).fit(X, y)
        assert_equal(model.weights_, varied.weights_)
        assert model.context_labels_ == varied.context_labels_

    def test_arguments_are_not_changed(self, lines):
        X, y = (values.copy() for values in lines)
        on_lines(augmentation={"shift": 0, "broadening": 0, "continuum": (0, 0, 0), "noise": (0, 0)}).fit(X, y)
        for values, before in zip((X, y), lines, strict=True):
            assert_array_equal(values, before)

    @pytest.mark.filterwarnings("ignore:The augmentation multiplies")  # counts, as integers must be
    @pytest.mark.parametrize("dtype", [np.int64, np.float64])
    def test_number_type_of_the_spectra_does_not_matter(self, lines, dtype):
        X, y = np.round(100 * (lines[0] - 1)), lines[1]
        histories = [on_lines(augmentation=WEAK).fit(X.astype(each), y).history_ for each in (dtype, np.float32)]
        assert histories[0] == histories[1]

    @pytest.mark.parametrize("n_stars", [1, 2])
    @pytest.mark.filterwarnings("ignore:The training set has")
    def test_few_stars(self, apogee_data, n_stars):
        X, y = (values[:n_stars] for values in apogee_data)
        assert np.isfinite(ApogeeBCNNCensoredRegressor(**TINY).fit(X, y).predict(X)).all()


class TestContextLabels:
    def test_a_context_unit_equals_its_label(self, lines):
        """The difference of two labels, one of which has a window, is read from the full spectrum."""
        X, y = lines
        model = on_lines(context_labels=[ALUMINIUM], num_hidden=(32, 16, 4, 4, 0), max_epochs=30, dropout_rate=0.0)
        model.fit(X, y)
        (context,) = model.context_labels_
        assert_allclose(context_units(model, X)[:, 0] * context["std"] + context["mean"], y[:, 1] - y[:, 0], atol=0.1)

    def test_scaling_is_that_of_the_training_stars(self, lines):
        X, y = lines
        model = on_lines(context_labels=[ALUMINIUM, {"Mg": 0.5, "Al": 0.5}], validation_fraction=0).fit(X, y)
        expected = np.column_stack([y[:, 1] - y[:, 0], (y[:, 1] + y[:, 2]) / 2])
        assert [context["weights"] for context in model.context_labels_] == [ALUMINIUM, {"Al": 0.5, "Mg": 0.5}]
        assert_allclose([context["mean"] for context in model.context_labels_], expected.mean(axis=0))
        assert_allclose([context["std"] for context in model.context_labels_], expected.std(axis=0))
        assert model.spec_.n_supervised == 2
        assert model.spec_.n_context == 3  # with the full-spectrum label

    def test_they_are_not_predicted(self, lines, varied):
        X, _ = lines
        prediction = varied.predict_distribution(X[:4])
        assert prediction.label_names == varied.target_names_ == ("Fe", "Al", "Mg")
        assert prediction.mean.shape == prediction.total.shape == varied.sample_y(X[:4], 2).shape[:2] == (4, 3)
        assert varied.label_normalizer_.mean_.shape == (3,)
        assert varied.error_model_.scale.shape == (3,)
        numpy = pickle.loads(pickle.dumps(varied)).set_params(backend="numpy")
        assert_allclose(numpy.predict(X[:4]), prediction.mean, rtol=1e-4, atol=1e-5)

    def test_names_of_apogee(self, apogee_data, noise):
        model = ApogeeBCNNCensoredRegressor(validation_fraction=0, **TINY).fit(*apogee_data)
        assert len(model.context_labels_) == model.spec_.n_supervised == 4
        weights = context_weights([APOGEE_CONTEXT[name] for name in ("alpha", "C", "N", "O")], APOGEE_LABELS)
        values = context_values(apogee_data[1], weights)
        assert_allclose([context["mean"] for context in model.context_labels_], values.mean(axis=0))
        model.set_params(context_labels=["N"]).fit(*apogee_data)
        (nitrogen,) = model.context_labels_
        assert (nitrogen["mean"], nitrogen["std"]) == pytest.approx((values[:, 2].mean(), values[:, 2].std()))

    @pytest.mark.parametrize(
        ("target", "windows", "n_supervised"),
        [
            (None, {}, 0),  # without windows, nothing reads the context
            (["teff", "C", "Mg"], None, 0),  # without iron, none can be computed
            (["C"], None, 0),
            (["Fe", "C"], None, 1),
            (["Mg", "C", "Fe"], None, 2),  # [Mg/Fe] stands for [alpha/Fe]
        ],
    )
    def test_those_that_cannot_be_used_are_left_out(self, apogee_data, noise, target, windows, n_supervised):
        X, y = apogee_data
        model = ApogeeBCNNCensoredRegressor(target=target, windows=windows, validation_fraction=0, **TINY)
        model.fit(X, y[:, : len(target or APOGEE_LABELS)])
        assert len(model.context_labels_) == model.spec_.n_supervised == n_supervised

    @pytest.mark.parametrize("changes", [{"windows": {}}, pytest.param({"target": ["Mg"]}, marks=pytest.mark.slow)])
    def test_networks_without_any_context_learn(self, apogee_data, changes):
        X, y = apogee_data
        model = ApogeeBCNNCensoredRegressor(**TINY | {"target": ["Fe", "Mg"]} | changes)
        y = y[:, : len(model.target)]
        assert np.isfinite(model.fit(X, y).predict(X[:2])).all()
        assert model.spec_.n_free == 0

    def test_missing_for_all_stars_of_a_later_training(self, lines, varied):
        X, y = lines
        y = y.copy()
        y[:, 0] = np.nan
        model = pickle.loads(pickle.dumps(varied)).set_params(warm_start=True)
        with pytest.warns(UserWarning, match="calibration"):
            model.partial_fit(X, y)
        assert np.isfinite(model.predict(X[:2])).all()

    @pytest.mark.parametrize("context_labels", [["Xx"], "Xx", [3], [{}], [{"Fe": -1}]])
    def test_unknown_names_and_useless_weights_are_refused(self, apogee_data, context_labels):
        with pytest.raises(ValueError, match="context_labels"):
            ApogeeBCNNCensoredRegressor(context_labels=context_labels, **TINY).fit(*apogee_data)

    def test_names_are_of_apogee_only(self, lines):
        with pytest.raises(ValueError, match="context_labels has 'alpha', expected finite weights by label"):
            on_lines(context_labels=["alpha"]).fit(*lines)

    @pytest.mark.filterwarnings("ignore:.*calibration")
    def test_continued_training_keeps_their_scaling(self, lines, varied):
        X, y = lines
        model = pickle.loads(pickle.dumps(varied)).partial_fit(X, 2 * y + 1)
        assert model.context_labels_ == varied.context_labels_
        model.set_params(warm_start=True).fit(X, 2 * y + 1)
        assert model.context_labels_ == varied.context_labels_
        assert model.n_iter_ == 2 + 1 + 2
        assert model.set_params(warm_start=False).fit(X, 2 * y + 1).context_labels_ != varied.context_labels_


class TestStoredModels:
    def test_pickle(self, lines, varied):
        copy = pickle.loads(pickle.dumps(varied))
        assert copy.augmentation == varied.augmentation == Augmentation(**WEAK)
        assert copy.context_labels_ == varied.context_labels_
        assert_array_equal(copy.predict(lines[0]), varied.predict(lines[0]))

    def test_model_folder(self, lines, varied, tmp_path):
        loaded = load_folder(save_folder(varied, tmp_path / "model"))
        assert Augmentation.of(loaded.augmentation) == varied.augmentation
        assert loaded.context_labels == [ALUMINIUM]
        assert loaded.context_labels_ == varied.context_labels_
        assert loaded.spec_ == varied.spec_
        assert_array_equal(loaded.predict(lines[0]), varied.predict(lines[0]))
        assert clone(loaded).fit(*lines).history_ == varied.history_

    @pytest.mark.parametrize("augmentation", [None, "auto", WEAK])
    def test_other_values_in_a_model_folder(self, lines, tmp_path, augmentation):
        model = on_lines(augmentation=augmentation, context_labels="auto").fit(*lines)
        loaded = load_folder(save_folder(model, tmp_path / "model"))
        assert (loaded.augmentation, loaded.context_labels) == (augmentation, "auto")

    @pytest.mark.filterwarnings("ignore::skbcnn._versioned_pickle.OtherVersionWarning")
    def test_models_from_before_have_neither(self):
        old = pickle.loads((DATA / "regressor-0.1.pickle").read_bytes())["model"]
        for model in (old, load_folder(DATA / "model-format1")):
            assert model.augmentation is None
            assert model.context_labels is None
            assert list(model.context_labels_) == []
            assert model.spec_.n_supervised == 0


class TestSearch:
    def test_clone_keeps_the_value(self):
        for value in (WEAK, Augmentation(), None, "auto"):
            assert clone(CensoredBCNNRegressor(augmentation=value)).augmentation == value

    def test_grid_of_augmentations(self, lines):
        grid = {"augmentation": [None, {"pairs": 0}, Augmentation(**WEAK)], "context_labels": [None, [ALUMINIUM]]}
        search = GridSearchCV(on_lines(calibrate=False), grid, cv=2).fit(*lines)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.best_params_["augmentation"] in grid["augmentation"]


class TestNumberOfEpochs:
    @pytest.mark.parametrize(("n_stars", "expected"), [(500, 160), (5000, 160), (10_000, 80), (100_000, 48)])
    def test_few_stars_get_more_epochs_with_augmentation(self, n_stars, expected):
        assert training_recipe(ApogeeBCNNCensoredRegressor(), "auto", n_stars).max_epochs == expected

    def test_spectra_that_do_not_vary_are_learnt_in_48_epochs(self):
        assert training_recipe(ApogeeBCNNCensoredRegressor(augmentation=None), "auto", 500).max_epochs == 48
        assert training_recipe(CensoredBCNNRegressor(), "auto", 500).max_epochs == 48

    def test_a_number_is_used_as_it_is(self):
        assert training_recipe(ApogeeBCNNCensoredRegressor(), 7, 500).max_epochs == 7
