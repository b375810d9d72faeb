"""astroNN's folders as regressors: their predictions in every layout, and what cannot be read."""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, load_folder, save_folder
from skbcnn.persistence import ModelFolderError, from_astronn
from skbcnn.survey import APOGEE_LABELS
from tests.foreign_networks import (
    INPUT_MEAN,
    KERAS2,
    KERAS3,
    astronn_parameters,
    check_oracle,
    draw_layers,
    keras_config,
    label_statistics,
    output_layers,
    predict,
    write_astronn_folder,
    write_keras2,
)
from tests.foreign_networks import PARAMETERS as JSON

SPELLED = ["teff", "logg", *(f"[{ {'C1': 'CI', 'Ti2': 'TiII'}.get(name, name) }/H]" for name in APOGEE_LABELS[2:])]
CURRENT = {
    "activation": "relu",
    "aux_length": 0,
    "last_layer_activation": "linear",
    "input_names": [],
    "output_names": [],
}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).normal(1, 0.2, (4, 7514)).astype(np.float32)


@pytest.fixture(scope="module")
def layers():
    return draw_layers()


def in_current_layout(parameters):
    """Return parameters as astroNN 1.1 writes them."""
    both = {name: {"output": value, "variance_output": value} for name, value in parameters.items() if "labels" in name}
    inputs = {
        name: {"input": value, "input_err": [0.0]} for name, value in parameters.items() if name.startswith("input")
    }
    modes = {"input_norm_mode": {"input": "3"}, "labels_norm_mode": {"output": "2"}}
    return CURRENT | parameters | both | inputs | modes


def check_predictions(model, expected, x, names=APOGEE_LABELS):
    """Compare the means and predictive standard deviations of a network without dropout."""
    mean, std = label_statistics(names)
    prediction = model.set_params(n_draws=2).predict_distribution(x)
    means, logvars = expected(x - INPUT_MEAN)
    assert_allclose(prediction.mean, means * std + mean, rtol=0, atol=2e-5)
    assert_allclose(prediction.predictive, np.exp(logvars / 2) * std, rtol=2e-5, atol=2e-5)
    assert prediction.model.max() < 1e-6


@pytest.fixture(scope="module")
def written(layers, tmp_path_factory):
    """Folder of Keras 2 that tests only read."""
    return write_astronn_folder(tmp_path_factory.mktemp("astronn") / "astroNN_run", layers)


@pytest.fixture(scope="module")
def written3(layers, tmp_path_factory):
    """Folder of Keras 3 that tests only read."""
    return write_astronn_folder(tmp_path_factory.mktemp("astronn3") / "astroNN_run", layers, keras3=True)


@pytest.fixture
def folder(written, tmp_path):
    """Folder of Keras 2 that a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "run"))


@pytest.fixture
def folder3(written3, tmp_path):
    """Folder of Keras 3 that a test may damage."""
    return Path(shutil.copytree(written3, tmp_path / "run3"))


# astroNN's own folders


@pytest.mark.parametrize("name", ["astronn_keras2", "astronn_keras3"])
def test_oracle(shared_data, name):
    folder = shared_data / "astronn_folders" / name
    model = load_folder(folder)
    assert type(model) is ApogeeBCNNCensoredRegressor
    assert sum(values.size for values in model.weights_.values()) == 3_505_554
    check_oracle(model, np.load(folder / "oracle.npz"))


def test_attributes_of_a_real_folder(shared_data):
    model = from_astronn(shared_data / "astronn_folders" / "astronn_keras2")
    assert model.provenance_ == {"software": "astroNN 1.1.0", "name": "astronn_keras2", "n_stars": 320}
    assert model.preprocessing_ == {"data_release": 14, "weighting": "astronn"}
    assert model.inv_tau_ == 4.5714285714285715e-07
    assert (model.lr, model.max_epochs, model.length_scale, model.batch_size) == (5e-4, 2, 3, 64)
    assert model.target_names_ == APOGEE_LABELS
    assert model.history_["val_loss"] == [0.5471030473709106, 0.5397406816482544]  # without the L2 penalty
    assert (model.n_iter_, model.history_["lr"]) == (2, [5e-4, 5e-4])
    assert model.error_model_ is model.interval_scores_ is model.noise_level_ is model.domain_ is None


def test_history_without_the_validation_that_was_not_measured(shared_data):
    history = from_astronn(shared_data / "astronn_folders" / "astronn_keras3").history_
    assert list(history) == ["loss", "mean_absolute_error", "lr"]


def test_published_parameters(shared_data, x, tmp_path):
    published = shared_data / "astronn_folders" / "published_0617_run001"
    with pytest.raises(ModelFolderError, match=r"neither model_weights\.h5 nor model_weights\.keras.*but no weights"):
        load_folder(published)
    folder = tmp_path / "run"
    folder.mkdir()  # `copytree` would copy the permissions of a read-only folder
    for file in published.iterdir():
        shutil.copyfile(file, folder / file.name)
    write_keras2(folder / KERAS2, draw_layers((192, 64, 32, 16, 2)))
    model = load_folder(folder).set_params(n_draws=3)
    assert (model.num_hidden, model.target) == ((192, 64, 32, 16, 2), "all")
    assert model.inv_tau_ == 4.772539682539683e-05
    assert model.inv_tau_ == pytest.approx(2 * 30067 * model.l2 / (3**2 * 0.7))
    assert model.provenance_ == {"software": "astroNN 1.0.0", "name": "astroNN_0617_run001", "n_stars": 33407}
    assert (model.max_epochs, model.n_iter_) == (60, 60)
    assert model.label_normalizer_.mean_[0] == 4654.886460921364
    prediction = model.predict_distribution(x)
    assert prediction.mean.shape == (4, 22)
    assert np.isfinite(prediction.total).all()


# Every layout


@pytest.mark.parametrize("optimizer", [False, True])
def test_keras2(layers, x, tmp_path, optimizer):
    folder = write_astronn_folder(tmp_path / "run", layers, optimizer=optimizer, config=None)
    check_predictions(load_folder(folder), lambda x: predict(layers, x), x)


@pytest.mark.parametrize("named", [False, True])
def test_keras3(layers, x, tmp_path, named):
    shuffled = {name: layers[name] for name in np.random.default_rng(0).permutation(list(layers)).tolist()}
    parameters = in_current_layout(astronn_parameters())
    folder = write_astronn_folder(
        tmp_path / "run", shuffled, keras3=True, named=named, optimizer=True, parameters=parameters
    )
    check_predictions(load_folder(folder), lambda x: predict(layers, x), x)


@pytest.mark.parametrize("keras3", [False, True])
def test_layers_numbered_after_an_earlier_network(x, tmp_path, keras3):
    layers = draw_layers(first_number=8)  # dense_8 to dense_15, whose order as text is another
    layers = dict(sorted(layers.items()))
    config = keras_config(layers, output_layers(first_number=8))
    folder = write_astronn_folder(tmp_path / "run", layers, keras3=keras3, config=config)
    check_predictions(load_folder(folder), lambda x: predict(layers, x, first_number=8), x)


def test_labels_in_another_order_and_spelling(layers, x, tmp_path):
    order = np.random.default_rng(1).permutation(22)
    names = tuple(APOGEE_LABELS[j] for j in order)
    assert [name for name in names if name in ("teff", "logg", "Fe")] != ["teff", "logg", "Fe"]
    parameters = astronn_parameters(names, [SPELLED[j] for j in order])
    model = load_folder(
        write_astronn_folder(
            tmp_path / "run", layers, parameters=parameters, config=keras_config(layers, output_layers(names))
        )
    )
    assert model.target_names_ == names == tuple(model.target)
    check_predictions(model, lambda x: predict(layers, x, names), x, names)


def test_labels_read_from_windows_of_others(folder):
    parameters = astronn_parameters()
    parameters["targetname"][6:8] = ["Mg", "Na"]
    (folder / JSON).write_text(json.dumps(parameters), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=r"number 6 is of layer 'na_concat', but .* calls it Mg"):
        load_folder(folder)


def test_parameters(folder):
    model = load_folder(folder)
    expected = {"batch_size": 32, "l2": 4e-9, "maxnorm": 0.6, "validation_fraction": 0.2, "dropout_rate": 0.0}
    expected |= {"context_layer": "output"}
    assert {name: model.get_params()[name] for name in expected} == expected
    assert (model.num_hidden, model.num_filters, model.filter_len) == ((8, 7, 4, 3, 2), (2, 4), 8)
    assert (model.history_, model.n_iter_, model.seed_, model.provenance_) == ({}, 0, 0, {"software": "astroNN"})


@pytest.mark.parametrize(
    ("mode", "mean", "std", "forward"),
    [
        (0, [0.0], [1.0], lambda x: x),
        ("1", [0.9], [0.2], lambda x: (x - 0.9) / 0.2),
        (4, [0.0], [0.3] * 7514, lambda x: x / 0.3),
        ("3s", [0.5] * 7514, [1.0], lambda x: 1 / (1 + np.exp(0.5 - x))),
    ],
)
def test_other_normalisation_of_spectra(folder, layers, x, mode, mean, std, forward):
    parameters = astronn_parameters(input_norm_mode=mode, input_mean=mean, input_std=std)
    (folder / JSON).write_text(json.dumps(parameters), encoding="utf-8")
    expected = lambda centered: predict(layers, forward(centered + INPUT_MEAN))  # noqa: E731
    check_predictions(load_folder(folder), expected, x)


@pytest.mark.parametrize("keras3", [False, True])
def test_code_in_the_configuration_is_ignored(layers, tmp_path, keras3):
    config = keras_config(layers, output_layers())
    config["config"]["layers"].append(
        {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wAAAA==", None, None]}}
    )
    folder = write_astronn_folder(tmp_path / "run", layers, keras3=keras3, config=config)
    assert load_folder(folder).target_names_ == APOGEE_LABELS


@pytest.mark.parametrize("text", ["", "epoch,loss\n0,many\n", "epoch,loss\n0\n", "\0", "epoch\n0\n", b"\xff\xfe"])
def test_history_and_notes_that_cannot_be_read(folder, text):
    (folder / "training_history.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "hyperparameter.txt").write_bytes(b"Learning Rate: fast \nMaximum Epochs: -3\n\xff")
    model = load_folder(folder)
    assert (model.history_, model.n_iter_, model.lr, model.max_epochs) == ({}, 0, 5e-4, 50)


def test_round_trip(folder, x, tmp_path, fitted_state):
    model = load_folder(folder)
    again = load_folder(save_folder(model, tmp_path / "ours"))
    assert type(again) is type(model)
    assert_equal(fitted_state(again), fitted_state(model))
    assert again.get_params() == model.get_params()
    assert_array_equal(again.predict_std(x), model.predict_std(x), strict=True)


def test_training_is_continued(folder, x):
    model = load_folder(folder).set_params(lr=1e-5)
    before = model.weights_["full1.kernel"].copy()
    model.partial_fit(x, np.random.default_rng(0).normal(size=(4, 22)))
    assert np.abs(model.weights_["full1.kernel"] - before).max() > 0


def test_example_of_the_documentation(written, root, tmp_path, monkeypatch):
    """The folder and the spectrum of the page are not in the repository; small ones take their place."""
    page = (root / "docs" / "persistence.md").read_text(encoding="utf-8")
    section = page.split("## Load a published astroNN model\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shutil.copytree(written, tmp_path / "astroNN_0617_run001")
    shutil.copyfile(
        root / "tests/data/apStar-dr17-2M19485057+5005279.fits", tmp_path / "apStar-r8-2M17335483-2753043.fits"
    )
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks:
        exec(block, namespace)
    assert blocks
    assert namespace["labels"].shape == namespace["errors"].shape == (1, 22)


# Folders that cannot be read


@pytest.mark.parametrize("name", ["batch_size", "hidden", "id", "input", "inv_tau", "labels_std", "targetname"])
def test_missing_entry(folder, name):
    parameters = astronn_parameters()
    del parameters[name]
    (folder / JSON).write_text(json.dumps(parameters), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=f"{JSON} has no entry {name!r}, which astroNN always writes"):
        load_folder(folder)


WRONG_ENTRIES = {
    "other network": ({"id": "ApogeeCNN"}, r"id 'ApogeeCNN', expected 'ApogeeBCNNCensored'"),
    "other task": ({"task": "classification"}, "task 'classification', expected 'regression'"),
    "other last layer": ({"last_layer_activation": "softmax"}, "last_layer_activation 'softmax'"),
    "more inputs": ({"aux_length": 2}, "aux_length 2, expected 0"),
    "other pixels": ({"input": [7214, 1]}, "network for 7214 pixels, expected 7514"),
    "too few labels": ({"targetname": list(APOGEE_LABELS[:21])}, "has 22 outputs and names 21 labels"),
    "no iron": ({"targetname": [*APOGEE_LABELS[:19], "M", "Co", "Ni"]}, "Fe among them"),
    "no label": ({"targetname": [*APOGEE_LABELS[:21], "age"]}, "'age' is not a label known here"),
    "label twice": ({"targetname": [*APOGEE_LABELS[:21], "[C/H]"]}, "C more than once"),
    "label no text": ({"targetname": [3] * 22}, "3, expected text"),
    "labels no list": ({"targetname": 22}, "TypeError"),
    "pixels no list": ({"input": 7514}, "TypeError"),
    "means too few": ({"labels_mean": [0.0, 1.0]}, r"shapes \(2,\) and \(22,\) for 22 columns"),
    "means in words": ({"labels_mean": ["0"] * 22}, "'0', expected a number"),
    "means nested": ({"input_mean": [[1.0]] * 7514}, ", expected a number"),
    "mean infinite": ({"labels_mean": [1e999] * 22}, "is not JSON"),
    "std zero": ({"labels_std": [0.0] * 22}, "std that is not positive"),
    "std negative": ({"input_std": [-1.0]}, "std that is not positive"),
    "mean too large": ({"input_mean": [10**400]}, "OverflowError"),
    "mode unknown": ({"input_norm_mode": 7}, "input_norm_mode"),
    "labels squashed": ({"labels_norm_mode": "3s"}, "labels_norm_mode"),
    "mode nested": ({"labels_norm_mode": {"output": [2]}}, "labels_norm_mode"),
    "no output": ({"labels_mean": {"input": [0.0]}}, "KeyError: 'output'"),
    "widths too few": ({"hidden": [8, 7]}, "expected 5 whole numbers"),
    "widths no numbers": ({"hidden": "many"}, "num_hidden"),
    "widths negative": ({"hidden": [-8, 7, 4, 3, 2]}, "expected 5 whole numbers"),
    "widths null": ({"hidden": None}, "TypeError"),
    "widths of another network": ({"hidden": [9, 7, 4, 3, 2]}, r"shape \(7512, 8\), expected \(7512, 9\)"),
    "widths beyond memory": ({"hidden": [10**12, 7, 4, 3, 2]}, r"7520000000251678 weights, expected at most"),
    "pool of another network": ({"pool_length": 2}, r"shape \(7512, 8\), expected \(15028, 8\)"),
    "dropout beyond 1": ({"dropout_rate": 1.5}, "dropout_rate"),
    "inv_tau in words": ({"inv_tau": "small"}, "'small', expected a number"),
    "l2 negative": ({"l2": -1.0}, "l2"),
    "activation no text": ({"activation": 3}, "activation"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_wrong_entries(folder, changes, message):
    (folder / JSON).write_text(json.dumps(astronn_parameters(**changes)), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=message):
        load_folder(folder)


def test_parameters_that_are_not_json(folder):
    (folder / JSON).write_bytes(b'{"id": NaN}')
    with pytest.raises(ModelFolderError, match=rf"{JSON} is not JSON \("):
        load_folder(folder)


@pytest.mark.parametrize("name", ["inv_tau", "labels_mean", "length_scale", "maxnorm"])
def test_infinite_numbers(folder, name):
    text = json.dumps(astronn_parameters() | {name: "huge"}).replace('"huge"', "1e999")
    (folder / JSON).write_text(text, encoding="utf-8")
    with pytest.raises(ModelFolderError, match=rf"inf|{name}"):
        load_folder(folder)


def test_parameters_too_large(folder):
    (folder / JSON).write_bytes(b" " * (2**22 + 1))
    with pytest.raises(ModelFolderError, match="is larger than 4194304 bytes"):
        load_folder(folder)


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .* that astroNN wrote"):
        from_astronn(tmp_path / "absent")


def put(file, name, values=None, **options):
    del file[name]
    file.create_dataset(name, data=values, **options)


ARRAY, LAYER = "model_weights/dense_1/dense_1/kernel:0", "model_weights/dense_1"  # (8, 7)
BROKEN_ARRAYS = {
    "array missing": (lambda file: file.__delitem__(ARRAY), "is missing, or a link"),
    "layer missing": (lambda file: file.__delitem__("model_weights/mg_dense"), "unknown are mg_dense"),
    "numbered layer missing": (
        lambda file: file.__delitem__("model_weights/dense_6"),
        "7 layers that Keras called dense",
    ),
    "layer too many": (
        lambda file: file.copy("model_weights/mg_dense", "model_weights/m_dense"),
        "unknown are m_dense",
    ),
    "numbered twice": (lambda file: file.copy("model_weights/dense", "model_weights/dense_0"), "unknown are dense_0"),
    "no bias": (
        lambda file: file[LAYER].attrs.__setitem__("weight_names", ["dense_1/kernel:0"]),
        "unknown are dense_1",
    ),
    "names no text": (lambda file: file[LAYER].attrs.__setitem__("weight_names", [1, 2]), ", expected text"),
    "names lead to root": (lambda file: file[LAYER].attrs.__setitem__("weight_names", ["/kernel:0"]), "is missing"),
    "no weights": (lambda file: file.__delitem__("model_weights"), "/model_weights of .* is missing"),
    "layer an array": (lambda file: put(file, LAYER, [1.0]), "is an array, expected a group"),
    "wrong shape": (lambda file: put(file, ARRAY, np.zeros((7, 8))), r"has shape \(7, 8\), expected \(8, 7\)"),
    "NaN": (lambda file: file[ARRAY].__setitem__((0, 0), np.nan), "kernel of dense_1 of .* holds NaN or infinity"),
    "infinite once it is single": (lambda file: put(file, ARRAY, np.full((8, 7), 1e300)), "holds NaN or infinity"),
    "a group": (lambda file: [file.__delitem__(ARRAY), file.create_group(ARRAY)], "no plain array of floating"),
    "soft link": (
        lambda file: [file.move(ARRAY, "x"), file.__setitem__(ARRAY, h5py.SoftLink("/x"))],
        "a link to another place",
    ),
    "external link": (
        lambda file: [file.__delitem__(LAYER), file.__setitem__(LAYER, h5py.ExternalLink("other.h5", "/"))],
        "a link to another place",
    ),
    "circle": (
        lambda file: [file.__delitem__(LAYER), file["model_weights"].__setitem__("dense_1", file["model_weights"])],
        "7 layers that Keras called dense",
    ),
    "configuration": (lambda file: file.attrs.__setitem__("model_config", "{"), "is not JSON"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_ARRAYS.values(), ids=BROKEN_ARRAYS)
def test_broken_arrays(folder, change, message):
    with h5py.File(folder / KERAS2, "r+") as file:
        change(file)
    with pytest.raises(ModelFolderError, match=message):
        load_folder(folder)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
@pytest.mark.parametrize("name", [KERAS2, KERAS3])
def test_weights_cut_short(folder, folder3, name, share):
    damaged = folder if name == KERAS2 else folder3
    data = (damaged / name).read_bytes()
    (damaged / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match=r"cannot be read as HDF5|does not end as a zip archive"):
        load_folder(damaged)


@pytest.mark.parametrize("name", [KERAS2, KERAS3])
def test_weights_that_are_a_pickle(folder, folder3, name):
    damaged = folder if name == KERAS2 else folder3
    (damaged / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR." + bytes(20_000))
    with pytest.raises(ModelFolderError, match=r"cannot be read as HDF5|does not end as a zip archive"):
        load_folder(damaged)
    assert not Path("owned").exists()


def rewritten(path, change=None, **options):
    """Write an archive anew: `change` takes a dict of members and returns one, or pairs of names and bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members = change(members) if change else members
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)


def in_arrays(change):
    def changed(members):
        buffer = io.BytesIO(members["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file)
        return members | {"model.weights.h5": buffer.getvalue()}

    return changed


BROKEN_ARCHIVES = {
    "no weights": (lambda m: {name: m[name] for name in ("config.json",)}, r"has no file model\.weights\.h5"),
    "no configuration": (lambda m: {"model.weights.h5": m["model.weights.h5"]}, r"has no file config\.json"),
    "leads out": (lambda m: m | {"../../evil": b"x"}, r"'../../evil', a name that leads out of the archive"),
    "thousands of members": (
        lambda m: m | {f"m{i}": b"" for i in range(5000)},
        "holds 5003 files, but a model has at most 4096",
    ),
    "configuration too large": (lambda m: m | {"config.json": b" " * (2**22 + 1)}, "is larger than 4194304 bytes"),
    "configuration that is not JSON": (lambda m: m | {"config.json": b"{"}, "is not JSON"),
    "empty configuration": (lambda m: m | {"config.json": b"{}"}, "not as Keras writes it"),
    "weights that are not HDF5": (lambda m: m | {"model.weights.h5": b"\x80\x04."}, "cannot be read as HDF5"),
    "layers in layers": (
        in_arrays(lambda f: f.create_group("layers/dense/cell/vars")),
        "holds other layers, expected weights only",
    ),
    "other kind of layer": (in_arrays(lambda f: f.__setitem__("layers/norm/vars/0", [1.0])), "unknown are norm"),
    "one name twice": (
        in_arrays(lambda f: f["layers/dense_1/vars"].attrs.__setitem__("name", "dense")),
        "two layers called dense",
    ),
    "third array": (in_arrays(lambda f: f.__setitem__("layers/dense_1/vars/2", [1.0])), "unknown are dense_1"),
    "soft link": (
        in_arrays(
            lambda f: [f.move("layers/dense/vars/0", "x"), f["layers/dense/vars"].__setitem__("0", h5py.SoftLink("/x"))]
        ),
        "a link to another place",
    ),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_ARCHIVES.values(), ids=BROKEN_ARCHIVES)
def test_broken_archives(folder3, change, message):
    rewritten(folder3 / KERAS3, change)
    with pytest.raises(ModelFolderError, match=message):
        load_folder(folder3)


def test_compressed_archive(folder3):
    expected = load_folder(folder3).weights_["aux.kernel"]
    rewritten(folder3 / KERAS3, compression=zipfile.ZIP_DEFLATED)
    assert_array_equal(load_folder(folder3).weights_["aux.kernel"], expected)


def test_small_archive_that_unfolds_to_a_large_one(folder3, monkeypatch):
    monkeypatch.setattr("skbcnn.persistence.foreign.astronn._MAX_WEIGHTS", 2**23)
    bomb = lambda members: members | {"model.weights.h5": bytes(2**23 + 1)}  # noqa: E731
    rewritten(folder3 / KERAS3, bomb, compression=zipfile.ZIP_DEFLATED)
    assert (folder3 / KERAS3).stat().st_size < 2**20
    with pytest.raises(ModelFolderError, match=r"model\.weights\.h5 of .* is larger than 8388608 bytes"):
        load_folder(folder3)


def test_random_bytes(folder):
    """The folder loads or is refused."""
    data, rng = (folder / KERAS2).read_bytes(), np.random.default_rng(0)
    n_refused = 0
    for _ in range(12):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[rng.integers(0, 20_000, 5)] = rng.integers(0, 256, 5)
        (folder / KERAS2).write_bytes(damaged)
        try:
            assert isinstance(load_folder(folder), CensoredBCNNRegressor)
        except ModelFolderError:
            n_refused += 1
    assert n_refused > 2
