"""Fitted models as folders: what is saved and loaded again, and what is refused."""

import errno
import hashlib
import json
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.multioutput import MultiOutputRegressor

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, ContinuumNormalizer, ElementWindows
from skbcnn._fitted_state import FITTED_STATE, Storage
from skbcnn.inspection import ResponseMatrix
from skbcnn.persistence import ModelFolderError, load_folder, model_files, model_folder, regressor_document, save_folder
from skbcnn.survey import PixelFlag

FITTED = ("history_", "n_iter_", "interrupted_", "inv_tau_", "noise_level_", "target_names_", "n_outputs_", "spec_")
FITTED += ("seed_", "n_features_in_", "_single_label")


@pytest.fixture
def folder(saved, tmp_path):
    """Folder that a test may damage. It has no SHA256SUMS, like early ones, so that the other checks are reached."""
    return Path(shutil.copytree(saved, tmp_path / "model", ignore=shutil.ignore_patterns("SHA256SUMS")))


def edit(folder, change):
    """Change model.json."""
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    change(document)
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")


def edit_arrays(folder, change):
    """Change weights.h5 and its checksum."""
    with h5py.File(folder / "weights.h5", "r+") as file:
        change(file)
    sign(folder)


def sign(folder):
    """Write the checksum of weights.h5 into model.json."""
    checksum = hashlib.sha256((folder / "weights.h5").read_bytes()).hexdigest()
    edit(folder, lambda document: document.update(weights_sha256=checksum))


def put(file, name, values, **options):
    """Replace an array of an open file."""
    if name in file:
        del file[name]
    file.create_dataset(name, data=values, **options)


def assert_same(again, model):
    """Compare everything but the predictions."""
    assert type(again) is type(model)
    for name in FITTED:
        assert getattr(again, name) == getattr(model, name), name
    assert list(again.weights_) == list(model.weights_)
    for name, values in model.weights_.items():
        np.testing.assert_array_equal(again.weights_[name], values, strict=True)
    for name in ("spectra_normalizer_", "label_normalizer_"):
        normalizer, expected = getattr(again, name), getattr(model, name)
        assert normalizer.mode == expected.mode
        np.testing.assert_array_equal(normalizer.mean_, expected.mean_, strict=True)
        np.testing.assert_array_equal(normalizer.scale_, expected.scale_, strict=True)


def assert_predicts_the_same(again, model, X, x_err=None):
    ours, theirs = (each.predict_distribution(X, x_err=x_err) for each in (again, model))
    for kind in ("mean", "model", "predictive", "total", "noisier"):
        np.testing.assert_array_equal(getattr(ours, kind), getattr(theirs, kind), strict=True)


# Saving and loading


def test_round_trip(model, saved, stars):
    X, x_err, _ = stars
    X = pd.DataFrame(X, columns=model.feature_names_in_)
    again = load_folder(str(saved))
    assert_same(again, model)
    assert_predicts_the_same(again, model, X, 2 * x_err)
    assert again.get_params() == model.get_params()
    assert list(again.feature_names_in_) == list(model.feature_names_in_)
    assert clone(again).get_params() == model.get_params()


def test_round_trip_of_the_apogee_model(tmp_path, tiny):
    rng = np.random.default_rng(0)
    X, y = rng.normal(1, 0.1, (12, 7514)).astype(np.float32), rng.normal(size=(12, 4))
    model = ApogeeBCNNCensoredRegressor(target=["teff", "Fe", "C", "[Al/H]"], **tiny).fit(X, y)
    again = load_folder(save_folder(model, tmp_path / "model"))
    assert_same(again, model)
    assert_predicts_the_same(again, model, X[:3])
    assert again.get_params() == model.get_params()
    labels = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))["labels"]
    assert [(entry["name"], entry["unit"]) for entry in labels] == [
        ("teff", "K"),
        ("Fe", "dex"),
        ("C", "dex"),
        ("Al", "dex"),
    ]
    assert labels[1]["window"] is None
    assert labels[2]["widening"] == [8, 4]


def test_round_trip_of_one_label_and_odd_parameters(stars, tiny, tmp_path):
    X, _, y = stars
    odd = tiny | {"num_hidden": np.array([8, 8, 4, 4, 0]), "maxnorm": np.float64(2), "input_norm_mode": "3s"}
    model = CensoredBCNNRegressor(
        **odd | {"random_state": np.random.RandomState(3), "early_stopping": np.True_, "callbacks": [len]}
    )
    model.fit(X, y[:, 0])
    model.history_["val_loss"] = [float("nan")]
    again = load_folder(save_folder(model, tmp_path / "model"))
    assert_predicts_the_same(again, model, X)
    assert again.predict(X).shape == (20,)
    assert again.random_state is None
    assert again.callbacks is None
    assert (again.num_hidden, again.maxnorm, again.early_stopping) == ((8, 8, 4, 4, 0), 2, True)
    assert np.isnan(again.history_["val_loss"]).all()
    assert again.noise_level_ is None
    assert not hasattr(again, "feature_names_in_")


def test_apogee_model_without_windows(saved, tmp_path):
    """``windows={}`` reads all labels from the full spectrum, and is not the default of the class."""
    state = {name: value for name, value in vars(load_folder(saved)).items() if name in FITTED_STATE}
    model = ApogeeBCNNCensoredRegressor(windows={}, target=["teff", "Mg"])
    vars(model).update(state)
    again = load_folder(save_folder(model, tmp_path / "model"))
    assert type(again) is ApogeeBCNNCensoredRegressor
    assert dict(again.windows) == {}


def test_windows_as_a_mapping_and_context_of_the_hidden_layers(stars, tiny, tmp_path):
    X, _, y = stars
    model = CensoredBCNNRegressor(windows={"1": np.array([5, 6, 20])}, context_layer="hidden", **tiny).fit(X, y)
    again = load_folder(save_folder(model, tmp_path / "model"))
    assert again.windows == ElementWindows({"1": [5, 6, 20]}, 40)
    assert again._network_spec() == again.spec_ == model.spec_
    assert_predicts_the_same(again, model, X)


def test_preprocessing_and_provenance(model, tmp_path):
    preprocessing = ContinuumNormalizer(pixels=np.array([1, 2, 7])).get_params() | {"combination": "pixel"}
    provenance = {"training_data": "synthetic", "n_stars": np.int64(4000), "snr": 200.0, "by": None, "lost": np.nan}
    save_folder(model, tmp_path / "a", preprocessing=preprocessing, provenance=provenance)
    again = load_folder(tmp_path / "a")
    assert again.preprocessing_["pixels"] == [1, 2, 7]
    assert again.preprocessing_["combination"] == "pixel"
    assert again.preprocessing_["bad_bits"] == list(preprocessing["bad_bits"])
    assert np.isnan(again.provenance_.pop("lost"))
    assert again.provenance_ == {"training_data": "synthetic", "n_stars": 4000, "snr": 200.0, "by": None}
    save_folder(again, tmp_path / "b")  # without arguments: those of the model
    assert load_folder(tmp_path / "b").preprocessing_ == again.preprocessing_
    assert load_folder(tmp_path / "b").provenance_ == again.provenance_


def test_flags_are_recorded_as_numbers_of_bits(model, tmp_path):
    normalizer = ContinuumNormalizer(bad_bits=[PixelFlag.SIG_SKYLINE, "BADPIX"])
    save_folder(model, tmp_path / "a", preprocessing=normalizer.get_params())
    assert load_folder(tmp_path / "a").preprocessing_["bad_bits"] == [0, 12]


def test_model_document(saved):
    text = (saved / "model.json").read_text(encoding="utf-8")
    document = json.loads(text)
    assert document["format_version"] == 2
    assert document["class"] == "CensoredBCNNRegressor"
    assert document["labels"][1] == {"name": "Mg", "unit": "dex", "window": "3-5 9 12-13", "widening": [2, 1]}
    assert document["parameters"]["windows"]["pixels"] == {"Mg": "3-5 9 12-13"}
    assert set(document["written_with"]) == {"skbcnn", "python", "numpy", "scikit-learn", "tensorflow", "keras", "h5py"}
    assert document["weights_sha256"] == hashlib.sha256((saved / "weights.h5").read_bytes()).hexdigest()
    assert {entry.name for entry in saved.iterdir()} == {"model.json", "weights.h5", "README.md", "SHA256SUMS"}


def test_versions_of_packages_that_are_not_installed(saved, tmp_path, monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(model_folder, "version", version)
    save_folder(load_folder(saved), tmp_path / "model", overwrite=True)
    document = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert document["written_with"]["keras"] is None


def test_equal_models_make_equal_folders(model, saved, tmp_path):
    again = save_folder(model, tmp_path / "again")
    for name in ("model.json", "weights.h5", "README.md", "SHA256SUMS"):
        assert (again / name).read_bytes() == (saved / name).read_bytes()


def test_arrays_are_plain(model, saved):
    with h5py.File(saved / "weights.h5") as file:
        assert len(file) == len(model.weights_) + 4 + len(vars(model.domain_))
        assert file["label1.hidden1.kernel"].shape == (6, 8)
        assert {str(file[name].dtype) for name in model.weights_} == {"float32"}


# What cannot be saved, and when


def test_unfitted_model(tmp_path):
    with pytest.raises(NotFittedError):
        save_folder(CensoredBCNNRegressor(), tmp_path / "model")


OTHERS = {
    "target": TransformedTargetRegressor,
    "outputs": MultiOutputRegressor,
    "normaliser": lambda model: model.label_normalizer_,
}


@pytest.mark.parametrize("wrap", OTHERS.values(), ids=OTHERS)
def test_another_class(model, tmp_path, wrap):
    with pytest.raises(TypeError, match=r"A \w+ cannot be saved .*expected Cen.*Of a fitted search, pass its best_est"):
        save_folder(wrap(model), tmp_path / "model")


def test_save_is_a_method(model, saved, tmp_path):
    path = model.save(tmp_path / "model", provenance={"n_stars": 20})
    assert path == tmp_path / "model"
    assert load_folder(path).provenance_ == {"n_stars": 20}
    assert (path / "weights.h5").read_bytes() == (saved / "weights.h5").read_bytes()
    with pytest.raises(FileExistsError, match="exists"):
        model.save(path)
    assert model.save(path, preprocessing={"degree": 2}, overwrite=True) == path
    assert load_folder(path).preprocessing_ == {"degree": 2}


def test_requests_are_kept(saved, tmp_path):
    asking = load_folder(saved)
    with sklearn.config_context(enable_metadata_routing=True):
        asking.set_fit_request(x_err=True, y_err="label_error").set_predict_request(x_err="flux_error")
    again = load_folder(asking.save(tmp_path / "model"))
    assert str(again.get_metadata_routing()) == str(asking.get_metadata_routing())
    assert again.get_metadata_routing().fit.requests["y_err"] == "label_error"
    assert "requests" not in json.loads((saved / "model.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "provenance", [{"by": object()}, {"when": np.datetime64("2026-01-01")}, {"sets": {1, 2}}, {1: "a"}, {"raw": b"a"}]
)
def test_provenance_that_json_cannot_hold(model, tmp_path, provenance):
    with pytest.raises(TypeError, match=r"provenance holds .* which model.json cannot hold. Pass text"):
        save_folder(model, tmp_path / "model", provenance=provenance)
    assert list(tmp_path.iterdir()) == []


def test_model_that_diverged(saved, tmp_path):
    model = load_folder(saved)
    model.weights_["full1.bias"][0] = np.nan
    with pytest.raises(ValueError, match=r"1 arrays .*first: full1.bias.*training diverged.*smaller lr"):
        save_folder(model, tmp_path / "model")


def test_folder_is_replaced_only_with_overwrite(saved, folder):
    before = (folder / "model.json").read_bytes()
    model = load_folder(saved)
    with pytest.raises(FileExistsError, match=r"model exists.*overwrite=True"):
        save_folder(model, folder)
    assert (folder / "model.json").read_bytes() == before
    save_folder(model, folder, provenance={"n_stars": 5}, overwrite=True)
    assert load_folder(folder).provenance_ == {"n_stars": 5}


@pytest.mark.parametrize("name", ["thesis.tex", "README.md"])
def test_folder_that_is_no_model_is_never_replaced(model, tmp_path, name):
    (tmp_path / name).write_text("years of work", encoding="utf-8")
    with pytest.raises(FileExistsError, match=rf"holds {name}, which belong to no saved model and would be deleted"):
        save_folder(model, tmp_path, overwrite=True)
    assert (tmp_path / name).read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("full_at", ["model.json", "SHA256SUMS"])
def test_full_disk_leaves_the_old_model(model, folder, monkeypatch, full_at):
    def write_bytes(path, data, write=Path.write_bytes):
        if path.name == full_at:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    before = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match=r"model could not be written \(No space left on device\). Nothing was left"):
        save_folder(model, folder, overwrite=True)
    with pytest.raises(OSError, match="No space left"):
        save_folder(model, folder.with_name("new"))
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["model.json", "weights.h5"])
def test_model_that_is_too_large_is_not_written(model, tmp_path, monkeypatch, name):
    monkeypatch.setitem(model_files.MAX_BYTES, name, 100)
    with pytest.raises(ValueError, match=rf"model/{name} would have \d+ bytes, but at most 100 are read"):
        save_folder(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_no_such_parent_folder(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"could not be written \(No such file.*choose a folder that exists"):
        save_folder(model, tmp_path / "absent" / "model")


# What is refused; see also test_safe_files.py


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder or \.zip file .*Give the path of a model that save_folder"):
        load_folder(tmp_path / "absent")


@pytest.mark.parametrize("name", ["model.json", "weights.h5"])
def test_file_is_missing(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=f"has no file {name}, so the model is incomplete"):
        load_folder(folder)


def test_document_that_is_not_json(folder):
    (folder / "model.json").write_bytes(b'{"a": NaN}')
    with pytest.raises(ModelFolderError, match=r"model\.json is not JSON \(.*copy or download"):
        load_folder(folder)


def test_json_of_something_else(folder):
    (folder / "model.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFolderError, match="has no format_version, so it describes no model of skbcnn"):
        load_folder(folder)


def test_document_too_large(folder, monkeypatch):
    monkeypatch.setitem(model_files.MAX_BYTES, "model.json", 100)
    with pytest.raises(ModelFolderError, match="is larger than 100 bytes"):
        load_folder(folder)


@pytest.mark.parametrize("version", [3, "1"])
def test_other_format_version(folder, version):
    edit(folder, lambda document: document.update(format_version=version))
    with pytest.raises(ModelFolderError, match=f"has format version {version}, but skbcnn .* reads versions 1 to 2"):
        load_folder(folder)


@pytest.mark.parametrize("name", ["SpectraNormalizer", None, ["CensoredBCNNRegressor"]])
def test_other_class(folder, name):
    edit(folder, lambda document: document.update({"class": name}))
    with pytest.raises(ModelFolderError, match="expected CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor, Pipeline"):
        load_folder(folder)


WRONG_ENTRIES = {
    "labels gone": lambda d: d.pop("labels"),
    "label without name": lambda d: d["labels"][0].pop("name"),
    "label name not text": lambda d: d["labels"][0].update(name=["teff"]),
    "text for a number": lambda d: d["network"].update(n_pixels="40"),
    "truth for a number": lambda d: d["network"].update(n_pixels=True),
    "negative width": lambda d: d["network"].update(num_hidden=[8, 8, -4, 4, 2]),
    "width too many": lambda d: d["network"].update(num_hidden=[8, 8, 4, 4, 2, 2]),
    "dropout of one": lambda d: d["network"].update(dropout_rate=1.0),
    "unknown context layer": lambda d: d["network"].update(context_layer="input"),
    "activation not text": lambda d: d["network"].update(activation={"class_name": "Lambda"}),
    "network a list": lambda d: d.update(network=[]),
    "window beyond the pixels": lambda d: d["labels"][1].update(window="3-40"),
    "window backwards": lambda d: d["labels"][1].update(window="5-3"),
    "windows overlapping": lambda d: d["labels"][1].update(window="3-5 5-7"),
    "window in words": lambda d: d["labels"][1].update(window="all"),
    "window a list": lambda d: d["labels"][1].update(window=[3, 4]),
    "window empty": lambda d: d["labels"][1].update(window=""),
    "unknown parameter": lambda d: d["parameters"].update(exec="import os"),
    "parameter out of range": lambda d: d["parameters"].update(n_draws=-1),
    "parameter windows broken": lambda d: d["parameters"]["windows"].update(widening={"Mg": [0, 1]}),
    "unknown mode": lambda d: d.update(label_mode="7"),
    "seed negative": lambda d: d.update(seed=-1),
    "two labels as one": lambda d: d.update(single_label=True),
    "one name twice": lambda d: d["labels"][1].update(name="teff"),
    "feature name lost": lambda d: d["feature_names"].pop(),
    "history in words": lambda d: d.update(history={"loss": ["low"]}),
    "provenance a number": lambda d: d.update(provenance=3),
    "error model of other labels": lambda d: d.update(error_model=error_model(scale=[1.0])),
    "error bars not positive": lambda d: d.update(error_model=error_model(scale=[-1.0] * len(d["labels"]))),
    "error bars infinite": lambda d: d.update(error_model=error_model(scale=[{"float": "inf"}] * len(d["labels"]))),
    "number of scores in words": lambda d: d.update(n_interval_scores="many"),
    "noise of no stars": lambda d: d.update(interval_noise=True, n_interval_scores=0),
    "noise not of each label": lambda d: d.update(error_model=depends_on_noise(d, noise_slope=[1.0])),
    "powers that fall": lambda d: d.update(error_model=depends_on_noise(d, noise_curve=[-1.0] * len(d["labels"]))),
    "residuals of other labels": lambda d: d.update(validation_residuals=residuals("teff", "Al")),
    "residuals in words": lambda d: d.update(validation_residuals=residuals("teff", "Mg", scatter="little")),
    "negative scatter": lambda d: d.update(validation_residuals=residuals("teff", "Mg", scatter=-1.0)),
    "half a star": lambda d: d.update(validation_residuals=residuals("teff", "Mg", n_stars=0.5)),
    "request of no method": lambda d: d.update(requests={"params": {"lr": True}}),
    "request of nothing known": lambda d: d.update(requests={"fit": {"exec": True}}),
    "request of no name": lambda d: d.update(requests={"fit": {"x_err": "import os"}}),
}


def error_model(scale):
    """Return an entry of model.json."""
    zeros = [0] * len(scale)
    return {"source": "known labels", "scale": scale, "offset": zeros, "n_differences": zeros}


def depends_on_noise(document, **changes):
    """Return an error model that depends on the noise, as in model.json."""
    ones = [1.0] * len(document["labels"])
    return error_model(ones) | {"noise_slope": ones, "noise_curve": ones, "noise_range": [0.1, 0.2]} | changes


def residuals(*names, **changes):
    """Return the residuals of these labels, as in model.json."""
    return {name: {"bias": 0.0, "scatter": 1.0, "n_stars": 20} | changes for name in names}


@pytest.mark.parametrize("change", WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_wrong_entries(folder, change):
    edit(folder, change)
    with pytest.raises(ModelFolderError, match=r"model\.json is not as save_folder writes it \(.*copy or download"):
        load_folder(folder)


@pytest.mark.parametrize("n_scores", [1, 10**6, 10**30])
def test_scores_that_are_missing(folder, n_scores):
    edit(folder, lambda document: document.update(n_interval_scores=n_scores))
    with pytest.raises(ModelFolderError, match=r"too small for the network|missing or unknown are interval_scores"):
        load_folder(folder)


def test_folder_from_before_calibrated_errors(folder):
    edit(folder, lambda document: [document.pop(name) for name in ("error_model", "n_interval_scores")])
    assert load_folder(folder).error_model_ is None


def test_folder_from_before_context_layers(stars, tiny, tmp_path):
    X, _, y = stars
    published = CensoredBCNNRegressor(windows={"1": [3, 4, 5]}, context_layer="output", **tiny).fit(X, y)
    folder = save_folder(published, tmp_path / "model")
    (folder / "SHA256SUMS").unlink()  # early folders have none
    edit(folder, lambda document: [document[entry].pop("context_layer") for entry in ("network", "parameters")])
    model = load_folder(folder)
    assert model.context_layer == model.spec_.context_layer == "output"


def test_residuals_come_back(saved, tmp_path):
    model = load_folder(saved)
    model.validation_residuals_ = {"teff": (12.5, 80.0, 19), "Mg": (float("nan"), float("nan"), 0)}
    again = load_folder(save_folder(model, tmp_path / "model")).validation_residuals_
    assert again["teff"] == (12.5, 80.0, 19)
    assert np.isnan(again["Mg"][:2]).all()
    assert again["Mg"][2] == 0
    assert list(again) == ["teff", "Mg"]


RESPONSES = ResponseMatrix(
    label_names=("teff", "Mg"),
    matrix=np.array([[0.9, np.nan], [1e-4, np.nan]]),
    standard_errors=np.array([[0.01, np.nan], [1e-5, np.nan]]),
    elements=(),
    n_stars=321,
    spreads=np.array([290.0, np.nan]),
    mean_own_error=np.nan,
    errors_removed=True,
)


def test_responses_come_back(saved, tmp_path):
    model = load_folder(saved)
    assert model.validation_responses_ is None
    model.validation_responses_ = RESPONSES
    again = load_folder(save_folder(model, tmp_path / "model")).validation_responses_
    np.testing.assert_equal(vars(again), vars(RESPONSES))


@pytest.mark.parametrize(
    "change",
    [
        {"matrix": [[0.9, 0.1]]},
        {"matrix": [[0.9, 0.1], [0.0]]},
        {"standard_errors": [[0.1, -0.1], [0.1, 0.1]]},
        {"spreads": [1.0]},
        {"elements": ["Al"]},
        {"n_stars": -1},
    ],
)
def test_responses_that_are_damaged(saved, tmp_path, change):
    model = load_folder(saved)
    model.validation_responses_ = RESPONSES
    damaged = save_folder(model, tmp_path / "model")
    edit(damaged, lambda document: document["validation_responses"].update(change))
    with pytest.raises(ModelFolderError):
        load_folder(damaged)


def test_windows_are_counted_before_memory_is_allocated(folder):
    def claim(document):
        document["network"]["n_pixels"] = 10**8
        document["labels"][1]["window"] = "0-99999999"

    edit(folder, claim)
    with pytest.raises(ModelFolderError, match="more than 4194304 pixels in the windows"):
        load_folder(folder)


@pytest.mark.parametrize("n_pixels", [80, 10**8, 10**30])
def test_network_larger_than_its_arrays(folder, n_pixels):
    edit(folder, lambda document: document["network"].update(n_pixels=n_pixels))
    with pytest.raises(ModelFolderError, match=r"too small for the network|has shape .* expected"):
        load_folder(folder)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_arrays_cut_short(folder, share):
    data = (folder / "weights.h5").read_bytes()
    (folder / "weights.h5").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match=r"does not match its checksum in model\.json: it is damaged, cut short"):
        load_folder(folder)
    sign(folder)
    with pytest.raises(ModelFolderError, match=r"cannot be read as HDF5|too small"):
        load_folder(folder)


def test_flipped_bit(folder):
    data = bytearray((folder / "weights.h5").read_bytes())
    data[-9] ^= 1
    (folder / "weights.h5").write_bytes(data)
    with pytest.raises(ModelFolderError, match="does not match its checksum"):
        load_folder(folder)


ARRAY = "full1.kernel"  # (20, 8)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.__setitem__(ARRAY, h5py.SoftLink("/full2.kernel")),
        lambda file: file.__setitem__(ARRAY, h5py.ExternalLink("/etc/hostname", "/")),
        lambda file: file.create_group(ARRAY),
        lambda file: file.create_dataset(ARRAY, (20, 8), "<f4", external=[("/etc/hostname", 0, 640)]),
    ],
    ids=["soft link", "external link", "group", "external storage"],
)
def test_arrays_that_are_not_plain(folder, change):
    def replace(file):
        del file[ARRAY]
        change(file)

    edit_arrays(folder, replace)
    with pytest.raises(ModelFolderError, match=r"full1\.kernel of .* is (missing, or a link|no plain array)"):
        load_folder(folder)


@pytest.mark.parametrize("values", [np.zeros((8, 20), "<f4"), np.zeros((20, 8), "<f8")])
def test_arrays_of_another_shape_or_type(folder, values):
    edit_arrays(folder, lambda file: put(file, ARRAY, values))
    with pytest.raises(
        ModelFolderError, match=r"has (shape \(8, 20\), expected \(20, 8\)|type float64, expected float32)"
    ):
        load_folder(folder)


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("full1.kernel", np.nan, "holds NaN or infinity"),
        ("label_normalizer.mean", np.inf, "holds NaN or infinity"),
        ("label_normalizer.scale", 0.0, "holds a scale that is not positive"),
        ("spectra_normalizer.scale", -1.0, "holds a scale that is not positive"),
        ("domain.label_margin", -1.0, "limits or spreads below 0"),
    ],
)
def test_arrays_with_impossible_values(folder, name, bad, message):
    def damage(file):
        file[name][0] = bad

    edit_arrays(folder, damage)
    with pytest.raises(ModelFolderError, match=message):
        load_folder(folder)


def test_scores_and_noise_of_held_out_stars(saved, tmp_path):
    model = load_folder(saved)
    model.interval_scores_, model.interval_noise_ = np.array([[1.0, np.nan], [2.0, 0.5]]), np.array([0.01, 0.02])
    folder = save_folder(model, tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    again = load_folder(folder)
    np.testing.assert_array_equal(again.interval_scores_, model.interval_scores_, strict=True)
    np.testing.assert_array_equal(again.interval_noise_, model.interval_noise_, strict=True)
    edit_arrays(folder, lambda file: file["interval_noise"].__setitem__(0, -1.0))
    with pytest.raises(ModelFolderError, match="interval_noise holds negative values"):
        load_folder(folder)


def test_missing_and_unknown_arrays(folder):
    def rename(file):
        file.move(ARRAY, "full3.kernel")

    edit_arrays(folder, rename)
    with pytest.raises(ModelFolderError, match=r"missing or unknown are full1\.kernel, full3\.kernel"):
        load_folder(folder)


def test_random_bytes_in_the_arrays(folder):
    data, rng = (folder / "weights.h5").read_bytes(), np.random.default_rng(0)
    n_refused = 0
    for _ in range(100):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[rng.integers(0, 4000, 5)] = rng.integers(0, 256, 5)
        (folder / "weights.h5").write_bytes(damaged)
        sign(folder)
        try:
            load_folder(folder)
        except ModelFolderError:
            n_refused += 1
    assert n_refused > 30


# Fitted state


def test_every_fitted_attribute_is_saved():
    """Attributes added to the list of the fitted state need a check or a converter here."""
    storages = {name: attribute.storage for name, attribute in FITTED_STATE.items()}
    plain = {name for name, storage in storages.items() if storage is Storage.JSON} - {"preprocessing_", "provenance_"}
    assert plain == set(regressor_document._JSON_CHECKS)
    objects = {name for name, storage in storages.items() if storage is Storage.OBJECT}
    assert objects == {"spec_", *regressor_document._CONVERTERS}
    assert {name for name, storage in storages.items() if storage is Storage.NORMALIZER} == {
        "spectra_normalizer_",
        "label_normalizer_",
    }


def test_attributes_that_a_document_lacks_get_their_default(folder):
    edit(folder, lambda document: [document.pop(name) for name in ("noise_level", "validation_residuals")])
    model = load_folder(folder)
    assert model.noise_level_ is model.validation_residuals_ is None


def test_required_attribute_is_missing(folder):
    edit(folder, lambda document: document.pop("seed"))
    with pytest.raises(ModelFolderError, match="no seed_, which every fitted model has"):
        load_folder(folder)


# Checksums


def write_checksums(folder):
    """Write SHA256SUMS for a folder."""
    known = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.json", "weights.h5")}
    lines = [f"{digest}  {name}" for name, digest in known.items()]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_checksums_are_those_of_sha256sum(saved):
    lines = [line.split("  ") for line in (saved / "SHA256SUMS").read_text(encoding="utf-8").splitlines()]
    assert [name for _, name in lines] == ["model.json", "weights.h5", "README.md"]
    for digest, name in lines:
        assert digest == hashlib.sha256((saved / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["model.json", "weights.h5"])
def test_changed_file_is_refused(folder, name):
    write_checksums(folder)
    load_folder(folder)
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    with pytest.raises(ModelFolderError, match=f"{name} does not match its checksum in SHA256SUMS: it is damaged"):
        load_folder(folder)


def test_card_may_be_edited(saved, tmp_path):
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    (folder / "README.md").write_text("# Our model\n", encoding="utf-8")
    load_folder(folder)
    (folder / "README.md").unlink()
    load_folder(folder)


def test_checksums_of_binary_mode(folder):
    write_checksums(folder)
    (folder / "SHA256SUMS").write_text(
        (folder / "SHA256SUMS").read_text(encoding="utf-8").replace("  ", " *"), encoding="utf-8"
    )
    load_folder(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\xe9",
        "no sums",
        "{json}",
        "{json}\n{arrays}\n{arrays}",
        "{json}\n{arrays}\n{other}",
        "{json}\n{arrays}\nmore",
        "{json}\n{upper}",
    ],
)
def test_checksums_that_sha256sum_does_not_write(folder, text):
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.json", "weights.h5")}
    json_line, arrays_line = (f"{digest}  {name}" for name, digest in digests.items())
    text = text.format(
        json=json_line,
        arrays=arrays_line,
        other=f"{digests['model.json']}  ../model.json",
        upper=f"{digests['weights.h5'].upper()}  weights.h5",
    )
    (folder / "SHA256SUMS").write_text(text, encoding="utf-8")
    with pytest.raises(
        ModelFolderError, match=r"SHA256SUMS is not the output of sha256sum for model\.json, weights\.h5"
    ):
        load_folder(folder)


def test_checksums_that_are_no_file(folder):
    (folder / "SHA256SUMS").symlink_to(folder / "absent")
    with pytest.raises(ModelFolderError, match="has no file SHA256SUMS"):
        load_folder(folder)
