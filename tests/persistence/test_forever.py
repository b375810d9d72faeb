"""Models that were saved once can be loaded for ever, and say the same.

If one of these tests fails, readers of published models are cut off: mend the code, and leave `tests/data` alone.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from skbcnn import ContinuumNormalizer, load_folder, save_folder

DATA = Path(__file__).parents[1] / "data"
KINDS = ("mean", "model", "predictive", "total")


@pytest.fixture(params=["auto", "tensorflow"])
def backend(request):
    """What computes the predictions: both must say what was said then."""
    return request.param


def known(name):
    """What the model said when it was saved."""
    return {key: np.array(value) for key, value in json.loads((DATA / f"{name}.json").read_text()).items()}


def assert_says(prediction, expected, kinds=KINDS):
    """To a millionth of the largest value of each label: single precision leaves no more where values are near 0."""
    for kind in kinds:
        largest = np.abs(expected[kind]).max(axis=0)
        np.testing.assert_allclose(getattr(prediction, kind) / largest, expected[kind] / largest, atol=1e-6, rtol=0)


def test_a_folder_of_before_there_were_checksums_and_cards(backend):
    """Regressor with windows, flux errors and calibrated intervals, of format 1."""
    expected, model = known("model-format1"), load_folder(DATA / "model-format1").set_params(backend=backend)
    assert {entry.name for entry in (DATA / "model-format1").iterdir()} == {"model.json", "weights.h5"}
    X = expected["X"].astype(np.float32)
    assert_says(model.predict_distribution(X, x_err=np.full_like(X, expected["x_err"])), expected)
    np.testing.assert_allclose(model.predict_interval(X), expected["interval"], rtol=1e-6)
    assert model.error_model_.source == "known labels"
    assert model.error_model_.scale.round(4).tolist() == [0.8266, 0.9016, 0.001]
    assert model.domain_ is None
    assert model.validation_residuals_ is None
    assert model.target_names_ == ("teff", "Mg", "C")
    assert model.windows.widening("C") == (2, 2)
    assert model.context_layer == model.spec_.context_layer == "output"  # which was not a question then
    assert (model.preprocessing_["degree"], model.provenance_["snr"]) == (2, 50.0)


def test_a_pipeline_in_a_zip_file(backend):
    """All kinds of steps, and a regressor of which everything is known, of format 1."""
    expected, pipeline = known("pipeline-format1"), load_folder(DATA / "pipeline-format1.zip")
    assert isinstance(pipeline, Pipeline)
    assert pipeline[2] == "passthrough"
    assert isinstance(pipeline["continuum"], ContinuumNormalizer)
    model = pipeline[-1].set_params(backend=backend)
    X = expected["X"].astype(np.float32)
    np.testing.assert_allclose(pipeline.predict(X), expected["mean"], rtol=1e-6)
    spectra = pipeline[:-1].transform(X)
    assert_says(model.predict_distribution(spectra), expected, (*KINDS, "calibrated"))
    np.testing.assert_allclose(model.predict_interval(spectra), expected["interval"], rtol=1e-6)
    np.testing.assert_allclose(model.novelty_score(spectra), expected["novelty"], rtol=1e-5)
    assert model.validation_residuals_["Mg"][2] == 23
    assert model.provenance_["license"] == "CC0-1.0"


@pytest.mark.parametrize("name", ["model-format1", "pipeline-format1.zip"])
def test_saved_again(name, tmp_path):
    """What was loaded can be saved by this version, and comes back."""
    model = load_folder(DATA / name)
    regressor = model[-1] if isinstance(model, Pipeline) else model
    again = load_folder(save_folder(model, tmp_path / name))
    again = again[-1] if isinstance(again, Pipeline) else again
    assert again.get_params() == regressor.get_params()
    assert all((again.weights_[key] == values).all() for key, values in regressor.weights_.items())


SUMS = {
    "model-format1/model.json": "e0a78f59b55937f38f7f6089c60033b1e5284c000753bccd566c4d42831da041",
    "model-format1/weights.h5": "81ee126ccf5dc6fc392e9867e5318be2460266baf6a707b6fa2fb8662356c820",
    "model-format1.json": "2adfba2bc0dcf5fc5a9c713722fbf3d085d743ecdffb495ce60bac8b326baf94",
    "pipeline-format1.zip": "48227820040a721dbf7d5067e7ca5d9475bdc41d6c13d6811885f2dc8c45247a",
    "pipeline-format1.json": "cbde40197c6bebeabefc138141c236aed282104d60a69126e85fa4b24b3adfdc",
}


@pytest.mark.parametrize("name", SUMS)
def test_nobody_made_them_anew(name):
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == SUMS[name]
