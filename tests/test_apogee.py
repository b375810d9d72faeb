"""The APOGEE regressor's own labels and windows, the presets, and pipelines that take raw spectra."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.stats import mad_std
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skbcnn import (
    ApogeeBCNNCensoredRegressor,
    CensoredBCNNRegressor,
    ElementWindows,
    apogee_pipeline,
    load_folder,
    make_apogee_spectra,
    prepare_for_model,
    prepare_spectra,
    read_apstar,
    save_folder,
)
from skbcnn.apogee import PRESETS, preset
from skbcnn.survey import APOGEE_LABELS, apogee_windows

APSTAR = sorted((Path(__file__).parent / "data").glob("apStar-*"))


@pytest.fixture
def no_training(monkeypatch):
    """Let `fit` do everything but train the network."""
    monkeypatch.setattr(CensoredBCNNRegressor, "_train_network", lambda *args, **kwargs: None)
    monkeypatch.setattr(CensoredBCNNRegressor, "_calibrate", lambda *args: None)


@pytest.fixture(scope="module")
def model():
    """A model that records its preprocessing. Shared by all tests: do not change it."""
    rng = np.random.default_rng(0)
    model = ApogeeBCNNCensoredRegressor(
        target=["teff", "Na"], num_hidden=(4, 4, 4, 4, 2), max_epochs=1, n_draws=3, random_state=0
    )
    model.fit(rng.normal(1, 0.1, (10, 7514)).astype(np.float32), rng.normal(4500, 100, (10, 2)))
    model.preprocessing_ = {"data_release": 14, "weighting": "astronn", "combination": "pixel"}
    return model


class TestOwnLabelsAndWindows:
    """`target=None` and `windows=None` mean those of the class."""

    @staticmethod
    def spec(**parameters):
        """Architecture for spectra of APOGEE, without training."""
        model = ApogeeBCNNCensoredRegressor(**parameters)
        names = model.target if isinstance(model.target, list) else APOGEE_LABELS
        model.n_features_in_, model.target_names_ = 7514, tuple(names)
        return model._network_spec()

    def test_one_constructor_for_both_classes(self):
        assert "__init__" not in vars(ApogeeBCNNCensoredRegressor)
        assert "_parameter_constraints" not in vars(ApogeeBCNNCensoredRegressor)
        assert repr(ApogeeBCNNCensoredRegressor(windows={}, target="all")) == (
            "ApogeeBCNNCensoredRegressor(target='all', windows={})"
        )

    @pytest.mark.parametrize("target", [None, "all"])
    def test_the_22_labels(self, target, no_training):
        X, y = np.ones((3, 7514)), np.random.default_rng(0).normal(size=(3, 22))
        assert ApogeeBCNNCensoredRegressor(target=target).fit(X, y).target_names_ == APOGEE_LABELS

    def test_windows_of_dr14_without_iron(self):
        windows = dict(zip(APOGEE_LABELS, self.spec().windows, strict=True))
        assert windows["Al"] == tuple(apogee_windows()["Al"])
        assert [name for name, window in windows.items() if window is None] == ["teff", "logg", "Fe"]

    def test_no_windows_give_the_uncensored_twin(self):
        assert set(self.spec(windows={}).windows) == {None}

    def test_other_windows(self):
        spec = self.spec(windows={"Al": [3, 4], "Fe": [7]})
        windows = dict(zip(APOGEE_LABELS, spec.windows, strict=True))
        assert {name: window for name, window in windows.items() if window} == {"Al": (3, 4), "Fe": (7,)}

    def test_widening_of_other_windows(self):
        spec = self.spec(windows=ElementWindows({"C": [3, 4]}, 7514, {"C": (2, 3)}), target=["teff", "C"])
        assert spec.widening == ((1, 1), (2, 3))

    def test_windows_of_elements_that_are_not_predicted_are_ignored(self):
        assert self.spec(windows=apogee_windows(), target=["teff", "Al"]).windows[0] is None
        assert self.spec(windows={"Ce": [3], "YB": [4], "Al": [5]}, target=["teff", "Al"]).windows == (None, (5,))

    def test_names_of_windows_in_any_spelling(self):
        spec = self.spec(windows={"[Al/H]": [5], "TI_2": [6]}, target=["Ti2", "teff", "Al"])
        assert spec.windows == ((6,), None, (5,))

    @pytest.mark.parametrize(
        ("windows", "message"),
        [
            ({"Alu": [3]}, "windows are given for Alu, but the labels are teff"),
            ({"Al": [3], "AL_H": [4]}, "several windows of Al, in different spellings"),
            (ElementWindows({"Al": [3]}, 8575), "7514 pixels a spectrum, but the windows were made for 8575"),
        ],
    )
    def test_windows_that_cannot_be_used(self, windows, message):
        with pytest.raises(ValueError, match=message):
            self.spec(windows=windows)

    def test_saved_and_loaded(self, model, tmp_path):
        twin = clone(model).set_params(windows={}, target=["teff", "Na"])
        rng = np.random.default_rng(0)
        twin.fit(rng.normal(1, 0.1, (10, 7514)), rng.normal(4500, 100, (10, 2)))
        again = load_folder(save_folder(twin, tmp_path / "twin"))
        assert (again.spec_.windows, again.target) == ((None, None), ["teff", "Na"])
        assert again._network_spec() == again.spec_

    @pytest.mark.parametrize("target", ["all", "teff"])
    def test_only_this_class_takes_a_string(self, target, no_training):
        with pytest.raises(ValueError, match=f"target='{target}' is one string, expected a sequence of label names"):
            CensoredBCNNRegressor(target=target).fit(np.ones((3, 5)), [0.0, 1.0, 2.0])


class TestPresets:
    def test_the_published_model(self):
        """Leung & Bovy (2019): widths of its saved parameters, 60 epochs, Adam at 5e-4, batches of 64, dropout 0.3."""
        published = ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019").get_params()
        expected = {
            "num_hidden": (192, 64, 32, 16, 2),
            "max_epochs": 60,
            "lr": 5e-4,
            "batch_size": 64,
            "dropout_rate": 0.3,
        }
        assert published.items() >= (expected | {"activation": "relu", "l2": 5e-9, "n_draws": 100}).items()

    @pytest.mark.parametrize("name", PRESETS)
    def test_every_preset_learns(self, name):
        X = np.random.default_rng(0).normal(size=(60, 20))
        model = CensoredBCNNRegressor.from_preset(name, max_epochs=1, n_draws=3, random_state=0)
        assert type(model) is CensoredBCNNRegressor
        assert model.fit(X, X[:, :2], x_err=np.full_like(X, 0.1)).n_iter_ == 1

    @pytest.mark.slow
    def test_few_stars_preset_is_better_than_the_published_one(self):
        """In as many epochs, on a seed that nothing was chosen on: 0.72 of its scatter, and no label is worse."""
        train, test = (
            make_apogee_spectra(n, snr=snr, continuum="true", random_state=91 + n)
            for n, snr in ((1200, 200), (300, 100))
        )
        scatters = {}
        for name in ("few_thousand_stars", "leung_bovy_2019"):
            parameters = {"max_epochs": 20, "n_draws": 30, "calibrate": False, "random_state": 91}
            model = ApogeeBCNNCensoredRegressor.from_preset(name, **parameters)
            model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)
            scatters[name] = mad_std(model.predict(test.X) - test.truth, axis=0)
        ratio = scatters["few_thousand_stars"] / scatters["leung_bovy_2019"]
        assert np.exp(np.log(ratio).mean()) < 0.85
        assert ratio.max() < 1.2

    def test_changes_override_the_preset(self):
        assert ApogeeBCNNCensoredRegressor.from_preset("few_thousand_stars", lr=0.5).lr == 0.5

    def test_returns_a_copy(self):
        preset("leung_bovy_2019")["max_epochs"] = 1
        assert preset("leung_bovy_2019")["max_epochs"] == 60

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="There is no preset 'dr17', only 'leung_bovy_2019', 'few_thousand_stars'"):
            ApogeeBCNNCensoredRegressor.from_preset("dr17")

    def test_unknown_parameter(self):
        with pytest.raises(TypeError, match="learning_rate"):
            ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019", learning_rate=1)


@pytest.mark.filterwarnings("ignore:The pipeline gets flux alone")
class TestPipeline:
    """Preparation and model in one pipeline."""

    @pytest.mark.parametrize("path", APSTAR, ids=lambda path: path.name[:20])
    def test_errors_and_bitmask_as_metadata_give_what_prepare_for_model_gives(self, model, path, tmp_path):
        star = read_apstar(path)
        X, _ = prepare_for_model(model, star)
        pipeline = apogee_pipeline(model)
        with config_context(enable_metadata_routing=True):
            for each in pipeline, load_folder(save_folder(pipeline, tmp_path / "pipeline")):
                labels = each.predict(star.flux, flux_err=star.error, bitmask=star.bitmask)
                assert_array_equal(labels, model.predict(X), strict=True)
        assert not np.array_equal(model.predict(X), pipeline.predict(star.flux))

    def test_flux_alone_is_warned_of(self, model):
        with pytest.warns(UserWarning, match="gets flux alone.*use prepare_for_model, or enable .* flux_err") as caught:
            apogee_pipeline(model)
        assert [warning.filename for warning in caught] == [__file__]
        with config_context(enable_metadata_routing=True), warnings.catch_warnings():
            warnings.simplefilter("error")
            apogee_pipeline(model)

    @pytest.mark.parametrize("frames", ["pandas", "polars"])
    def test_frames_as_output_of_transformers_change_nothing(self, model, frames):
        pytest.importorskip(frames)
        star = read_apstar(APSTAR[0])
        expected = apogee_pipeline(model).predict(star.flux)
        with config_context(transform_output=frames):
            assert_array_equal(apogee_pipeline(model).predict(star.flux), expected)

    @pytest.mark.parametrize("path", APSTAR, ids=lambda path: path.name[:20])
    def test_raw_spectra(self, model, path):
        star = read_apstar(path)
        X, _ = prepare_spectra(star.flux, data_release=14, weighting="astronn")
        pipeline = apogee_pipeline(model)
        assert_array_equal(pipeline.predict(star.flux), model.predict(X), strict=True)
        assert_array_equal(pipeline.predict(star.flux, return_std=True)[1], model.predict_std(X), strict=True)
        assert pipeline.n_features_in_ == 8575

    def test_continuum_pixels_are_those_of_the_model(self, model, monkeypatch):
        star = read_apstar(APSTAR[0])
        dr14 = apogee_pipeline(model)[:-1].transform(star.flux)
        monkeypatch.setattr(model, "preprocessing_", {"data_release": 17})
        dr17 = apogee_pipeline(model)[:-1].transform(star.flux)
        assert 1e-5 < np.abs(dr14 - dr17).max() < 0.1

    def test_saved_and_loaded(self, model, tmp_path):
        star = read_apstar(APSTAR[0])
        pipeline = apogee_pipeline(model)
        again = load_folder(save_folder(pipeline, tmp_path / "pipeline"))
        assert_array_equal(again.predict(star.flux), pipeline.predict(star.flux), strict=True)

    def test_a_model_without_preprocessing_takes_the_defaults(self, model, monkeypatch):
        monkeypatch.setattr(model, "preprocessing_", {})
        with pytest.warns(UserWarning, match="does not record how its training spectra were prepared") as caught:
            pipeline = apogee_pipeline(model)
        assert caught[0].filename == __file__
        star = read_apstar(APSTAR[0])
        assert_array_equal(pipeline[:-1].transform(star.flux), prepare_spectra(star.flux)[0])

    def test_a_model_that_does_not_fit_into_one(self, model, monkeypatch):
        with pytest.raises(NotFittedError):
            apogee_pipeline(ApogeeBCNNCensoredRegressor())
        monkeypatch.setattr(model, "preprocessing_", {"data_release": 14, "colour": "red"})
        with pytest.raises(ValueError, match="records preprocessing parameters that are not known here: colour"):
            apogee_pipeline(model)
        monkeypatch.setattr(model, "preprocessing_", {"data_release": 12})
        with pytest.raises(
            ValueError, match=r"spectra of 7514 pixels, but .* have 7214 pixels on the chips of data rel"
        ):
            apogee_pipeline(model)
