"""Fitted pipelines: what is saved and loaded again, and which steps are refused."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline

from skbcnn import CensoredBCNNRegressor, ChipGapRemover, ContinuumNormalizer, ElementWindows, SpectraNormalizer
from skbcnn.persistence import ModelFolderError, load_folder, save_folder


@pytest.fixture(scope="module")
def spectra():
    """Spectra with a gap of two pixels and a slope, as a table, and a label."""
    rng = np.random.default_rng(0)
    flux = (100 + np.arange(46)) * rng.normal(1, 0.05, size=(20, 46))
    return pd.DataFrame(flux, columns=[f"pixel{i}" for i in range(46)]), rng.normal(size=20)


@pytest.fixture(scope="module")
def pipeline(spectra, tiny):
    """Fitted pipeline with every kind of step. Shared by all tests: do not change it."""
    pipeline = Pipeline(
        [
            ("gaps", ChipGapRemover(chips=[[0, 20], [22, 46]])),
            ("continuum", ContinuumNormalizer(pixels=list(range(0, 44, 3)), chips=[[0, 20], [20, 44]], degree=1)),
            ("none", None),
            ("scale", SpectraNormalizer(mode=2)),
            ("nothing", "passthrough"),
            ("network", CensoredBCNNRegressor(windows=ElementWindows({"Mg": [3, 4, 30]}, 44), target=["Mg"], **tiny)),
        ]
    )
    return pipeline.fit(*spectra)


@pytest.fixture(scope="module")
def saved(pipeline, tmp_path_factory):
    """Saved pipeline that tests only read."""
    return save_folder(pipeline, tmp_path_factory.mktemp("pipelines") / "pipeline", provenance={"n_stars": 20})


@pytest.fixture
def folder(saved, tmp_path):
    """Folder that a test may damage, without checksums of the document."""
    return Path(shutil.copytree(saved, tmp_path / "model", ignore=shutil.ignore_patterns("SHA256SUMS")))


def edit(folder, change):
    """Change model.json."""
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    change(document)
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")


def parameters(pipeline):
    """Return all parameters except the steps, which compare by identity."""
    found = pipeline.get_params()
    return {name: value for name, value in found.items() if not hasattr(value, "get_params") and name != "steps"}


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_round_trip(pipeline, spectra, tmp_path, name):
    again = load_folder(save_folder(pipeline, tmp_path / name))
    assert type(again) is Pipeline
    assert parameters(again) == parameters(pipeline)
    assert [(name, type(step)) for name, step in again.steps] == [(name, type(step)) for name, step in pipeline.steps]
    X, _ = spectra
    np.testing.assert_array_equal(again.predict(X, return_std=True), pipeline.predict(X, return_std=True), strict=True)
    assert list(again.feature_names_in_) == list(X.columns)
    assert again.n_features_in_ == 46
    assert list(again[:-1].get_feature_names_out()) == list(pipeline[:-1].get_feature_names_out())
    np.testing.assert_array_equal(again["scale"].scale_, pipeline["scale"].scale_, strict=True)


def test_pipeline_of_the_regressor_alone(model, stars, tmp_path):
    again = load_folder(save_folder(make_pipeline(model), tmp_path / "model"))
    X = pd.DataFrame(stars[0], columns=model.feature_names_in_)
    np.testing.assert_array_equal(again.predict(X), model.predict(X), strict=True)


def test_provenance(saved, tmp_path):
    again = load_folder(saved)
    assert again[-1].provenance_ == {"n_stars": 20}
    assert load_folder(save_folder(again, tmp_path / "again"))[-1].provenance_ == {"n_stars": 20}


def test_model_document(saved):
    document = json.loads((saved / "model.json").read_text(encoding="utf-8"))
    assert document["class"] == "Pipeline"
    assert document["parameters"] == {"transform_input": None, "verbose": False}
    steps = document["steps"]
    assert [entry["class"] for entry in steps] == [
        "ChipGapRemover",
        "ContinuumNormalizer",
        None,
        "SpectraNormalizer",
        "passthrough",
        "CensoredBCNNRegressor",
    ]
    assert steps[0]["parameters"]["chips"] == [[0, 20], [22, 46]]
    assert (steps[3]["n_features"], steps[3]["parameters"]) == (44, {"mode": 2})
    assert steps[5]["labels"][0]["window"] == "3-4 30"
    with h5py.File(saved / "weights.h5") as file:
        assert {"step3.mean", "step3.scale", "step5.full1.kernel"} < set(file)


def test_unfitted_steps_that_learn_nothing(model, stars, tmp_path):
    pipeline = Pipeline([("gaps", ChipGapRemover(chips=[(0, 20), (22, 42)])), ("network", model)])
    X = np.insert(stars[0], [20, 20], 0, axis=1)
    again = load_folder(save_folder(pipeline, tmp_path / "model"))
    assert not hasattr(again[0], "n_features_in_")
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_array_equal(again.predict(X), pipeline.predict(X), strict=True)


def test_metadata_requests(spectra, tiny, tmp_path):
    X, y = spectra
    X, err = X.to_numpy(), np.full(X.shape, 2.0)
    continuum = ContinuumNormalizer(pixels="all", chips="one")
    with sklearn.config_context(enable_metadata_routing=True):
        continuum.set_fit_request(x_err="flux_err").set_transform_request(x_err="flux_err")
        pipeline = make_pipeline(continuum, CensoredBCNNRegressor(**tiny)).fit(X, y, flux_err=err)
        again = load_folder(save_folder(pipeline, tmp_path / "model"))
        np.testing.assert_array_equal(again.predict(X, flux_err=err), pipeline.predict(X, flux_err=err), strict=True)
    entry = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))["steps"][0]
    assert entry["requests"]["transform"] == {"bitmask": None, "x_err": "flux_err"}


def test_cache_is_not_saved(model, tmp_path):
    pipeline = Pipeline([("network", model)], memory=str(tmp_path / "cache"), verbose=True)
    again = load_folder(save_folder(pipeline, tmp_path / "model"))
    assert (again.memory, again.verbose) == (None, True)


# What cannot be saved


def test_unknown_steps(pipeline, spectra, tiny, tmp_path):
    X, y = spectra
    unknown = make_pipeline(PCA(3), CensoredBCNNRegressor(**tiny)).fit(X, y)
    with pytest.raises(TypeError, match=r"Step 'pca' of the pipeline is a PCA, which cannot be saved there, exp"):
        save_folder(unknown, tmp_path / "model")
    with pytest.raises(TypeError, match=r"Step 'pipeline' of the pipeline is a Pipeline, .*expected CensoredBCNN"):
        save_folder(make_pipeline(ChipGapRemover(), pipeline), tmp_path / "model")
    for last in ("passthrough", None):
        with pytest.raises(TypeError, match=r"Step 'b' of the pipeline is a (str|NoneType)"):
            save_folder(Pipeline([("a", ChipGapRemover()), ("b", last)]), tmp_path / "model")


@pytest.mark.parametrize("steps", [("scale", "network"), ("network",), ("scale",)])
def test_unfitted_steps(model, tmp_path, steps):
    unfitted = {"scale": SpectraNormalizer(), "network": CensoredBCNNRegressor()}
    fitted = {"network": model}
    pipeline = Pipeline([*((name, unfitted[name]) for name in steps)] + [*fitted.items()] * ("network" not in steps))
    with pytest.raises(NotFittedError):
        save_folder(pipeline, tmp_path / "model")


def test_search(spectra, tiny, tmp_path):
    X, y = spectra
    search = GridSearchCV(make_pipeline(SpectraNormalizer(), CensoredBCNNRegressor(**tiny)), {}, cv=2).fit(X, y)
    with pytest.raises(TypeError, match=r"A GridSearchCV cannot be saved.*search, pass its best_estimator_"):
        save_folder(search, tmp_path / "model")
    again = load_folder(save_folder(search.best_estimator_, tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(X), search.predict(X), strict=True)


# What is refused

WRONG_ENTRIES = {
    "steps missing": lambda d: d.pop("steps"),
    "no steps": lambda d: d.update(steps=[]),
    "steps a mapping": lambda d: d.update(steps={"name": "gaps"}),
    "no regressor at the end": lambda d: d["steps"].pop(),
    "a regressor before the end": lambda d: d["steps"].insert(0, d["steps"][-1]),
    "an unknown class": lambda d: d["steps"][0].update({"class": "PCA"}),
    "a class that is a list": lambda d: d["steps"][0].update({"class": ["ChipGapRemover"]}),
    "a pipeline inside": lambda d: d["steps"].insert(0, {"name": "inner", "class": "Pipeline", "steps": []}),
    "a name twice": lambda d: d["steps"][0].update(name="scale"),
    "a name that is a parameter": lambda d: d["steps"][0].update(name="memory"),
    "a name with two underscores": lambda d: d["steps"][0].update(name="a__b"),
    "a name that is a number": lambda d: d["steps"][0].update(name=3),
    "a cache": lambda d: d["parameters"].update(verbose="/tmp/cache"),
    "transform_input in words": lambda d: d["parameters"].update(transform_input="X"),
    "parameters missing": lambda d: d.pop("parameters"),
    "an unknown parameter": lambda d: d["steps"][0]["parameters"].update(exec="import os"),
    "a parameter out of range": lambda d: d["steps"][1]["parameters"].update(degree=-1),
    "chips beyond the pixels": lambda d: d["steps"][0]["parameters"].update(chips=[[0, 10**12]]),
    "continuum pixels beyond": lambda d: d["steps"][1]["parameters"].update(pixels=[10**12]),
    "too large a degree": lambda d: d["steps"][1]["parameters"].update(degree=10**9),
    "pixels of no grid": lambda d: d["steps"][1].update(n_features=43),
    "too many pixels": lambda d: d["steps"][0].update(n_features=10**12),
    "a pixel less": lambda d: d["steps"][0].update(
        n_features=45, feature_names=None, parameters={"data_release": 17, "chips": [[0, 20], [22, 45]]}
    ),
    "no pixels": lambda d: d["steps"][3].update(n_features=None),
    "a feature name lost": lambda d: d["steps"][0]["feature_names"].pop(),
    "an unknown mode": lambda d: d["steps"][3]["parameters"].update(mode=7),
}


@pytest.mark.parametrize("change", WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_wrong_entries(folder, change):
    load_folder(folder)
    edit(folder, change)
    with pytest.raises(ModelFolderError, match=r"model\.json is not as save_folder writes it \(|missing or unknown"):
        load_folder(folder)


@pytest.mark.parametrize("n_features", [43, 10**15])
def test_arrays_of_another_number_of_pixels(folder, n_features):
    edit(folder, lambda document: document["steps"][3].update(n_features=n_features))
    with pytest.raises(ModelFolderError, match=r"too small for the network|step3.mean of .* has shape"):
        load_folder(folder)
