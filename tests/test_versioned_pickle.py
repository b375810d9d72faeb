"""Pickles and other files of estimators: equal predictions in another process, small sizes, and versions."""

import copy
import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

import skbcnn
from skbcnn import (
    ApogeeBCNNCensoredRegressor,
    CensoredBCNNRegressor,
    ChipGapRemover,
    ContinuumNormalizer,
    LabelNormalizer,
    Prediction,
    SpectraNormalizer,
    save_folder,
)
from skbcnn._versioned_pickle import OtherVersionWarning
from skbcnn.novelty import TrainingDomain
from skbcnn.survey import apogee_windows

DATA = Path(__file__).parent / "data"

ESTIMATORS = [
    ApogeeBCNNCensoredRegressor(),
    CensoredBCNNRegressor(windows=apogee_windows()),
    ChipGapRemover(),
    ContinuumNormalizer(),
    LabelNormalizer().fit([[1.0], [2.0]]),
    SpectraNormalizer().fit([[1.0], [2.0]]),
]
# classes of scikit-learn that skops does not trust; they differ from release to release
_PRIVATE_PARTS = (
    ["utils._metadata_requests.MetadataRequest", "utils._metadata_requests.MethodMetadataRequest"]
    if sklearn.__version__.startswith("1.6.")
    else ["model_selection._split.KFold"]
)
OF_SEARCHES = {f"sklearn.{name}" for name in ("metrics._scorer._PassthroughScorer", *_PRIVATE_PARTS)}


@pytest.fixture(scope="module")
def fitted(tiny_parameters, tiny_data):
    """A search over a pipeline, that pipeline, and its regressor, whose weights are larger than all else."""
    model = CensoredBCNNRegressor(**{**tiny_parameters, "num_hidden": (256, 256, 4, 4, 2), "max_epochs": 1})
    pipeline = make_pipeline(SpectraNormalizer(mode=2), model)
    search = GridSearchCV(pipeline, {"spectranormalizer__mode": [2]}, cv=2).fit(tiny_data.X, tiny_data.y)
    return {"search": search, "pipeline": search.best_estimator_, "regressor": search.best_estimator_[-1]}


def load_old(data):
    """Unpickle what version 0.1 wrote."""
    with pytest.warns(OtherVersionWarning, match=r"was pickled by skbcnn 0\.1\.0\.dev0, and is loaded by skbcnn"):
        return pickle.loads(data)


def old_predictions(name):
    return {key: np.array(values) for key, values in json.loads((DATA / name).read_text(encoding="utf-8")).items()}


def assert_close(found, expected):
    """To a few units in the last place of single precision, of the largest value of each label."""
    scale = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-5)


def weight_bytes(model):
    return 4 * sum(np.prod(shape) for shape in model.spec_.weight_shapes.values())


def dump_all(name, estimator, folder):
    """Write one file in each format."""
    (folder / f"{name}.pickle").write_bytes(pickle.dumps(estimator))
    joblib.dump(estimator, folder / f"{name}.joblib")
    skops.io.dump(estimator, folder / f"{name}.skops")
    savable = getattr(estimator, "best_estimator_", estimator)
    for suffix in ("folder", "zip"):
        save_folder(savable, folder / f"{name}.{suffix}")


def dump_variants(name, estimator, folder):
    """Write one file with each protocol and compression."""
    for protocol in range(2, 6):
        (folder / f"{name}-{protocol}.pickle").write_bytes(pickle.dumps(estimator, protocol))
    (folder / f"{name}-cloud.pickle").write_bytes(cloudpickle.dumps(estimator))
    joblib.dump(estimator, folder / f"{name}-small.joblib", compress=3)


ELSEWHERE = """
import pickle, sys
from pathlib import Path
import joblib, numpy, skops.io
from skbcnn import load_folder

def load(path):
    if path.suffix in (".folder", ".zip"):
        return load_folder(path)
    if path.suffix == ".skops":
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    return joblib.load(path) if path.suffix == ".joblib" else pickle.loads(path.read_bytes())

folder = Path(sys.argv[1])
known = numpy.load(folder / "known.npz")
loaded = {path: load(path) for path in sorted(folder.iterdir()) if path.suffix != ".npz"}
assert len(loaded) == 21, len(loaded)
assert not {"tensorflow", "keras"} & set(sys.modules), "TensorFlow is imported too early"
for path, estimator in loaded.items():
    answer = estimator.predict(known["X"])
    assert (answer == known[path.name.split("-")[0].split(".")[0]]).all(), f"{path.name} predicts other labels"
"""


@pytest.mark.slow
def test_equal_predictions_in_another_process(fitted, tiny_data, tmp_path):
    for name, estimator in fitted.items():
        dump_all(name, estimator, tmp_path)
    dump_variants("regressor", fitted["regressor"], tmp_path)
    answers = {name: estimator.predict(tiny_data.X) for name, estimator in fitted.items()}
    np.savez(tmp_path / "known.npz", X=tiny_data.X, **answers)
    root = Path(skbcnn.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["search", "pipeline", "regressor"])
def test_size(fitted, name):
    """Pickles hold the weights once, in single precision, and little more."""
    weights = weight_bytes(fitted["regressor"])
    assert weights > 250_000
    for protocol in (3, 4, 5):
        assert weights < len(pickle.dumps(fitted[name], protocol)) < weights + 20_000


@pytest.mark.slow
def test_14_megabytes_at_default_widths(tmp_path):
    X = np.random.default_rng(0).normal(1, 0.05, size=(12, 7514)).astype(np.float32)
    model = ApogeeBCNNCensoredRegressor(max_epochs=1, n_draws=2, random_state=0).fit(X, np.resize(X, (12, 22)))
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    # 3 508 089 with three context labels; the fourth needs 96 + 1 weights to be read, 64 + 2 in each of the two wide
    # windows (C and N) and 16 + 2 in each of the 17 narrow ones
    weights = 4 * (3_508_089 + 97 + 2 * 66 + 17 * 18)
    assert weight_bytes(model) == weights
    assert weights < path.stat().st_size < weights + 300_000  # statistics of each pixel are 120 000, the domain 90 000
    assert np.array_equal(joblib.load(path).predict(X), model.predict(X))
    data = skops.io.dumps(model)
    assert len(data) < 1.3 * weights
    types = skops.io.get_untrusted_types(data=data)
    assert all(name.startswith("skbcnn.") for name in types)
    assert np.array_equal(skops.io.loads(data, trusted=types).predict(X), model.predict(X))


@pytest.mark.parametrize(("name", "more"), [("regressor", set()), ("pipeline", set()), ("search", OF_SEARCHES)])
def test_skops_needs_few_trusted_types(fitted, name, more):
    types = skops.io.get_untrusted_types(data=skops.io.dumps(fitted[name]))
    assert {name for name in types if not name.startswith("skbcnn.")} == more


def test_docs_list_what_skops_must_trust(fitted):
    text = (Path(__file__).parents[1] / "docs" / "persistence.md").read_text(encoding="utf-8")
    for name in skops.io.get_untrusted_types(data=skops.io.dumps(fitted["search"])):
        assert f"`{name}`" in text, name


class TestVersion:
    @pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
    def test_another_version(self, estimator, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr("skbcnn._versioned_pickle.__version__", "0.0.1")
            pickled = pickle.dumps(estimator)
        with pytest.warns(OtherVersionWarning) as caught:
            loaded = pickle.loads(pickled)
        message = str(caught[0].message)
        assert message.startswith(
            f"This {type(estimator).__name__} was pickled by skbcnn 0.0.1, and is loaded by skbcnn {skbcnn.__version__}"
        )
        assert "save_folder" in message
        assert caught[0].message.original_version == "0.0.1"
        assert set(vars(loaded)) - {"_live"} == set(vars(estimator)) - {"_live"}

    @pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
    def test_this_version(self, estimator):
        """Copies do not warn (warnings are errors here)."""
        for copied in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator), clone(estimator)):
            assert copied.get_params() == estimator.get_params()
            assert "_skbcnn_version" not in vars(copied)
        assert "_skbcnn_version" not in vars(estimator)

    def test_before_versions_were_written(self):
        state = ChipGapRemover().__getstate__()
        del state["_skbcnn_version"]
        with pytest.warns(OtherVersionWarning, match=r"pickled by skbcnn \(version unknown\)"):
            ChipGapRemover.__new__(ChipGapRemover).__setstate__(state)
        assert set(state) == {"chips", "data_release"}

    def test_the_warning_can_be_pickled(self):
        warning = OtherVersionWarning("ChipGapRemover", "2", "1")
        assert str(pickle.loads(pickle.dumps(warning))) == str(warning)


class TestPicklesOfVersion01:
    """Files in `tests/data`, written before classes moved and parameters were added."""

    @pytest.fixture
    def content(self):
        return load_old((DATA / "regressor-0.1.pickle").read_bytes())

    @pytest.fixture
    def apogee(self):
        return load_old(gzip.decompress((DATA / "apogee-0.1.pickle.gz").read_bytes()))

    def test_moved_classes_are_found(self, content, apogee):
        assert type(content["model"]) is CensoredBCNNRegressor
        assert type(apogee) is ApogeeBCNNCensoredRegressor
        assert type(content["normalizer"]) is LabelNormalizer
        assert type(content["prediction"]) is Prediction
        assert content["domain"] is content["model"].domain_
        assert type(content["domain"]) is TrainingDomain

    @pytest.mark.parametrize("backend", ["tensorflow", "numpy"])
    def test_regressor_predicts_what_it_did(self, content, backend):
        known, model = old_predictions("regressor-0.1.json"), content["model"].set_params(backend=backend)
        X, x_err = (known[name].astype(np.float32) for name in ("X", "x_err"))
        with pytest.warns(UserWarning, match="With x_err it counts twice"):
            predicted = model.predict_distribution(X, x_err=x_err)
        with pytest.warns(UserWarning, match="With x_err it counts twice"):
            interval = model.predict_interval(X, coverage=0.8, x_err=x_err)
        for kind in ("mean", "model", "predictive", "total", "calibrated"):
            assert_close(getattr(predicted, kind), known[kind])
        assert_close(content["prediction"].mean, known["mean"])
        for bound, name in zip(interval, ("lower", "upper"), strict=True):
            assert_close(bound, known[name])
        assessment = model.assess(X, x_err, predicted)
        np.testing.assert_allclose(assessment.score, known["score"], rtol=1e-3)

    def test_apogee_regressor_predicts_what_it_did(self, apogee):
        known = old_predictions("apogee-0.1.json")
        waves = np.arange(7514) * np.arange(1, 4)[:, None] / 50
        predicted = apogee.predict_distribution(1 + 0.1 * np.sin(waves).astype(np.float32))
        for kind in ("mean", "model", "predictive", "total"):
            assert_close(getattr(predicted, kind), known[kind])

    def test_parameters_that_it_lacks_get_the_values_of_then(self, apogee):
        assert apogee.target == "all"
        assert apogee.get_params()["windows"] is None
        assert apogee._network_spec() == apogee.spec_  # windows of DR14, and the context in the output layers

    def test_refit(self, content):
        model, X = content["model"], np.random.default_rng(0).normal(1, 0.1, size=(40, 30))
        y = np.column_stack([4500 + 3000 * (X[:, 0] - 1), X[:, 5] - 1, X[:, 6] + X[:, 7]])
        n_epochs = model.n_iter_
        with pytest.warns(UserWarning, match="its calibration no longer holds"):
            model.set_params(warm_start=True, max_epochs=1).fit(X, y, x_err=np.full_like(X, 0.01))
        assert model.n_iter_ == n_epochs + 1
        assert clone(model).fit(X, y, x_err=np.full_like(X, 0.01)).n_iter_ == 1


class TestRepresentations:
    """HTML and text representations of estimators."""

    @pytest.mark.parametrize("estimator", ESTIMATORS[:4], ids=lambda estimator: type(estimator).__name__)
    def test_html_before_fit(self, estimator):
        html = estimator_html_repr(make_pipeline(estimator))
        assert type(estimator).__name__ in html
        assert len(html) < 100_000

    def test_html_shows_whether_it_is_fitted(self, fitted):
        for estimator in fitted.values():
            assert "<span>Fitted</span>" in estimator_html_repr(estimator)
            assert "<span>Not fitted</span>" in estimator_html_repr(clone(estimator))

    def test_repr_is_short(self):
        text = repr(CensoredBCNNRegressor(windows=apogee_windows()))
        assert f"windows={apogee_windows()!r}" in text
        assert len(text) < 150
