"""Models saved by earlier versions can be loaded and predict the same.

If a test fails, correct the code and leave `tests/data` as it is: published models depend on it.
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
    """Backend that computes the predictions."""
    return request.param


def expectation(name):
    """Return the predictions of a model when it was saved."""
    text = (DATA / f"{name}.json").read_text(encoding="utf-8")
    return {key: np.array(value) for key, value in json.loads(text).items()}


def assert_close(values, expected, tolerance=2e-6):
    """Compare float32 results, whose error is a share of the largest value of each label."""
    largest = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(values / largest, expected / largest, atol=tolerance, rtol=0)


def assert_predicts(prediction, expected, kinds=KINDS):
    for kind in kinds:
        assert_close(getattr(prediction, kind), expected[kind])


def test_folder_without_checksums_and_card(backend):
    """Regressor with windows, trained with flux errors, with calibrated intervals."""
    expected, model = expectation("model-format1"), load_folder(DATA / "model-format1").set_params(backend=backend)
    assert {entry.name for entry in (DATA / "model-format1").iterdir()} == {"model.json", "weights.h5"}
    X = expected["X"].astype(np.float32)
    assert_predicts(model.predict_distribution(X, x_err=np.full_like(X, expected["x_err"])), expected)
    for bound, expected_bound in zip(model.predict_interval(X), expected["interval"], strict=True):
        assert_close(bound, expected_bound)
    assert model.error_model_.source == "known labels"
    assert model.error_model_.scale.round(4).tolist() == [0.8266, 0.9016, 0.001]
    assert model.domain_ is None
    assert model.validation_residuals_ is None
    assert model.target_names_ == ("teff", "Mg", "C")
    assert model.windows.widening("C") == (2, 2)
    assert model.context_layer == model.spec_.context_layer == "output"  # the only context layer then
    assert (model.preprocessing_["degree"], model.provenance_["snr"]) == (2, 50.0)


def test_pipeline_in_a_zip_file(backend):
    """All kinds of steps, and a regressor with all fitted attributes."""
    expected, pipeline = expectation("pipeline-format1"), load_folder(DATA / "pipeline-format1.zip")
    assert isinstance(pipeline, Pipeline)
    assert pipeline[2] == "passthrough"
    assert isinstance(pipeline["continuum"], ContinuumNormalizer)
    model = pipeline[-1].set_params(backend=backend)
    X = expected["X"].astype(np.float32)
    assert_close(pipeline.predict(X), expected["mean"])
    spectra = pipeline[:-1].transform(X)
    assert_predicts(model.predict_distribution(spectra), expected, (*KINDS, "calibrated"))
    for bound, expected_bound in zip(model.predict_interval(spectra), expected["interval"], strict=True):
        assert_close(bound, expected_bound)
    assert_close(model.novelty_score(spectra), expected["novelty"], 1e-5)
    assert model.validation_residuals_["Mg"][2] == 23
    assert model.provenance_["license"] == "CC0-1.0"


@pytest.mark.parametrize("name", ["model-format1", "pipeline-format1.zip"])
def test_saved_again(name, tmp_path):
    """A loaded model can be saved by this version and loaded again."""
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
def test_files_are_unchanged(name):
    assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == SUMS[name]
