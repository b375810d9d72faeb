"""Pipelines of preparation and model, which take raw spectra."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from skbcnn import ApogeeBCNNCensoredRegressor, apogee_pipeline, load_folder, prepare_spectra, read_apstar, save_folder

APSTAR = sorted((Path(__file__).parent / "data").glob("apStar-*"))


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


@pytest.mark.parametrize("path", APSTAR, ids=lambda path: path.name[:20])
def test_raw_spectra(model, path):
    star = read_apstar(path)
    X, _ = prepare_spectra(star.flux, data_release=14, weighting="astronn")
    pipeline = apogee_pipeline(model)
    assert_array_equal(pipeline.predict(star.flux), model.predict(X), strict=True)
    assert_array_equal(pipeline.predict(star.flux, return_std=True)[1], model.predict_std(X), strict=True)
    assert pipeline.n_features_in_ == 8575


def test_continuum_pixels_are_those_of_the_model(model, monkeypatch):
    star = read_apstar(APSTAR[0])
    dr14 = apogee_pipeline(model)[:-1].transform(star.flux)
    monkeypatch.setattr(model, "preprocessing_", {"data_release": 17})
    dr17 = apogee_pipeline(model)[:-1].transform(star.flux)
    assert 1e-5 < np.abs(dr14 - dr17).max() < 0.1


def test_saved_and_loaded(model, tmp_path):
    star = read_apstar(APSTAR[0])
    pipeline = apogee_pipeline(model)
    again = load_folder(save_folder(pipeline, tmp_path / "pipeline"))
    assert_array_equal(again.predict(star.flux), pipeline.predict(star.flux), strict=True)


def test_a_model_without_preprocessing_takes_the_defaults(model, monkeypatch):
    monkeypatch.setattr(model, "preprocessing_", {})
    with pytest.warns(UserWarning, match="does not record how its training spectra were prepared") as caught:
        pipeline = apogee_pipeline(model)
    assert caught[0].filename == __file__
    star = read_apstar(APSTAR[0])
    assert_array_equal(pipeline[:-1].transform(star.flux), prepare_spectra(star.flux)[0])


def test_a_model_that_does_not_fit_into_one(model, monkeypatch):
    with pytest.raises(NotFittedError):
        apogee_pipeline(ApogeeBCNNCensoredRegressor())
    monkeypatch.setattr(model, "preprocessing_", {"data_release": 14, "colour": "red"})
    with pytest.raises(ValueError, match="records preprocessing parameters that are not known here: colour"):
        apogee_pipeline(model)
    monkeypatch.setattr(model, "preprocessing_", {"data_release": 12})
    with pytest.raises(ValueError, match=r"spectra of 7514 pixels, but .* have 7214 pixels on the chips of data rel"):
        apogee_pipeline(model)
