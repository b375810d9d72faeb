"""astroNN's folders as regressors: what they predict, in every layout, and nothing of what may be wrong with them."""

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, load_folder, save_folder
from skbcnn.persistence import ModelFolderError, from_astronn
from skbcnn.survey import APOGEE_LABELS
from tests.foreign_networks import check_oracle, draw_layers, predict

HIDDEN = [8, 7, 4, 3, 2]
JSON, KERAS2, KERAS3 = "astroNN_model_parameter.json", "model_weights.h5", "model_weights.keras"
SPELT = ["teff", "logg", *(f"[{ {'C1': 'CI', 'Ti2': 'TiII'}.get(name, name) }/H]" for name in APOGEE_LABELS[2:])]
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
    return draw_layers(HIDDEN)


def statistics(names=APOGEE_LABELS):
    """Mean and standard deviation that tell each label, whatever their order, and the mean of each pixel."""
    place = np.array([APOGEE_LABELS.index(name) for name in names])
    return list(0.1 * place - 1), list(1 + 0.02 * place), list(np.linspace(0.9, 1.1, 7514))


def parameters(names=APOGEE_LABELS, spelt=None, **changes):
    """As astroNN 1.0 writes them; without dropout, so that predictions can be compared."""
    mean, std, input_mean = statistics(names)
    return {
        "batch_size": 32,
        "dropout_rate": 0.0,
        "filterlen": 8,
        "filternum": [2, 4],
        "hidden": HIDDEN,
        "id": "ApogeeBCNNCensored",
        "input": [7514, 1],
        "input_mean": input_mean,
        "input_norm_mode": 3,
        "input_std": [1.0],
        "inv_tau": 4.5e-5,
        "l1": None,
        "l2": 4e-9,
        "labels": len(names),
        "labels_mean": mean,
        "labels_norm_mode": 2,
        "labels_std": std,
        "length_scale": 3,
        "maxnorm": 0.6,
        "pool_length": 4,
        "targetname": list(spelt or names),
        "task": "regression",
        "valsize": 0.2,
    } | changes


def in_current_layout(told):
    """As astroNN 1.1 writes them."""
    both = {name: {"output": value, "variance_output": value} for name, value in told.items() if "labels" in name}
    inputs = {name: {"input": value, "input_err": [0.0]} for name, value in told.items() if name.startswith("input")}
    modes = {
        f"{name}_norm_mode": {part: "23"[name == "input"]} for name, part in (("input", "input"), ("labels", "output"))
    }
    return CURRENT | told | both | inputs | modes


def config(layers, outputs=None):
    """What Keras tells of the layers, in the order of `layers`."""
    found = [
        {"class_name": "Conv1D" if name.startswith("conv1d") else "Dense", "config": {"name": name}} for name in layers
    ]
    if outputs:
        nodes = [[[name, 0, 0, {}] for name in outputs]]
        found.append({"class_name": "Concatenate", "config": {"name": "output"}, "inbound_nodes": nodes})
    return {"class_name": "Functional", "config": {"layers": found}}


def output_layers(names=APOGEE_LABELS, shift=0):
    star = {name: f"dense_{shift + 2 + place}" for place, name in enumerate(("teff", "logg", "Fe"))}
    return [star.get(name, f"{name.lower()}_concat") for name in names]


def write_keras2(path, layers, *, graph=None, optimizer=False):
    """As Keras 2 does."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.12.0"
        if graph:
            file.attrs["model_config"] = json.dumps(graph)
        group = file.create_group("model_weights")
        group.create_group("top_level_model_weights")
        for name in ("C_Mask", "activation"):
            group.create_group(name).attrs["weight_names"] = []
        for name, arrays in layers.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/kernel:0", f"{name}/bias:0"]
            for kind, values in zip(("kernel:0", "bias:0"), arrays, strict=True):
                layer[f"{name}/{kind}"] = values
        if optimizer:
            file["optimizer_weights/Adam/m/dense/kernel:0"] = np.ones((5, 5), np.float32)
            file["optimizer_weights/iteration:0"] = 7


def write_keras3(path, layers, *, graph, named=True, optimizer=False):
    """As Keras 3 does: numbers for names, in an archive."""
    buffer, counted = io.BytesIO(), {"conv1d": 0, "dense": 0}
    with h5py.File(buffer, "w") as file:
        file.create_group("layers/activation/vars")
        for name, arrays in layers.items():
            kind = "conv1d" if name.startswith("conv1d") else "dense"
            variables = file.create_group(f"layers/{kind}_{counted[kind]}".removesuffix("_0") + "/vars")
            counted[kind] += 1
            if named:
                variables.attrs["name"] = name
            for number, values in enumerate(arrays):
                variables[str(number)] = values
        if optimizer:
            file["optimizer/vars/1"] = np.ones((5, 5), np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", json.dumps(graph))
        archive.writestr("model.weights.h5", buffer.getvalue())


def write_folder(folder, layers, *, keras3=False, told=None, graph="usual", **options):
    """A folder of astroNN."""
    folder.mkdir()
    (folder / JSON).write_text(json.dumps(told or parameters()))
    graph = config(layers, output_layers()) if graph == "usual" else graph
    write, name = (write_keras3, KERAS3) if keras3 else (write_keras2, KERAS2)
    write(folder / name, layers, graph=graph, **options)
    return folder


def check_predictions(model, expected, x, names=APOGEE_LABELS):
    """Means and predictive standard deviations of a network without dropout."""
    mean, std, input_mean = statistics(names)
    prediction = model.set_params(n_draws=2).predict_distribution(x)
    means, logvars = expected(x - np.array(input_mean))
    assert_allclose(prediction.mean, means * std + mean, atol=2e-5)
    assert_allclose(prediction.predictive, np.exp(logvars / 2) * std, rtol=2e-5)
    assert prediction.model.max() < 1e-6


@pytest.fixture(scope="module")
def written(layers, tmp_path_factory):
    """A folder to copy."""
    return write_folder(tmp_path_factory.mktemp("astronn") / "astroNN_run", layers)


@pytest.fixture(scope="module")
def written3(layers, tmp_path_factory):
    """Another, of Keras 3."""
    return write_folder(tmp_path_factory.mktemp("astronn3") / "astroNN_run", layers, keras3=True)


@pytest.fixture
def folder(written, tmp_path):
    """A folder to spoil."""
    return Path(shutil.copytree(written, tmp_path / "run"))


@pytest.fixture
def folder3(written3, tmp_path):
    """Another, of Keras 3."""
    return Path(shutil.copytree(written3, tmp_path / "run3"))


# astroNN's own folders


@pytest.mark.parametrize("name", ["astronn_keras2", "astronn_keras3"])
def test_oracle(shared_data, name):
    folder = shared_data / "astronn_folders" / name
    model = load_folder(folder)
    assert type(model) is ApogeeBCNNCensoredRegressor
    assert sum(values.size for values in model.weights_.values()) == 3_505_554
    check_oracle(model, np.load(folder / "oracle.npz"))


def test_all_that_a_real_folder_tells(shared_data):
    model = from_astronn(shared_data / "astronn_folders" / "astronn_keras2")
    assert model.provenance_ == {"software": "astroNN 1.1.0", "name": "astronn_keras2", "n_stars": 320}
    assert model.preprocessing_ == {"data_release": 14, "weighting": "astronn"}
    assert model.inv_tau_ == 4.5714285714285715e-07
    assert (model.lr, model.max_epochs, model.length_scale, model.batch_size) == (5e-4, 2, 3, 64)
    assert model.target_names_ == APOGEE_LABELS
    assert model.history_["val_loss"] == [0.5471030473709106, 0.5397406816482544]  # without the L2 penalty
    assert (model.n_iter_, model.history_["lr"]) == (2, [5e-4, 5e-4])
    assert model.error_model_ is model.interval_scores_ is model.noise_level_ is model.domain_ is None


def test_validation_that_was_never_measured_is_left_out(shared_data):
    history = from_astronn(shared_data / "astronn_folders" / "astronn_keras3").history_
    assert list(history) == ["loss", "mean_absolute_error", "lr"]


def test_published_parameters(shared_data, x, tmp_path):
    published = shared_data / "astronn_folders" / "published_0617_run001"
    with pytest.raises(ModelFolderError, match=r"neither model_weights\.h5 nor model_weights\.keras.*parameters alone"):
        load_folder(published)
    folder = Path(shutil.copytree(published, tmp_path / "run"))
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
    folder = write_folder(tmp_path / "run", layers, optimizer=optimizer, graph=None)
    check_predictions(load_folder(folder), lambda x: predict(layers, x), x)


@pytest.mark.parametrize("named", [False, True])
def test_keras3(layers, x, tmp_path, named):
    shuffled = {name: layers[name] for name in np.random.default_rng(0).permutation(list(layers)).tolist()}
    told = in_current_layout(parameters())
    folder = write_folder(tmp_path / "run", shuffled, keras3=True, named=named, optimizer=True, told=told)
    check_predictions(load_folder(folder), lambda x: predict(layers, x), x)


@pytest.mark.parametrize("keras3", [False, True])
def test_numbers_of_layers_go_on_from_an_earlier_network(x, tmp_path, keras3):
    layers = draw_layers(HIDDEN, shift=8)  # dense_8 to dense_15, so that text and numbers differ in order
    layers = dict(sorted(layers.items()))
    graph = config(layers, output_layers(shift=8))
    folder = write_folder(tmp_path / "run", layers, keras3=keras3, graph=graph)
    check_predictions(load_folder(folder), lambda x: predict(layers, x, shift=8), x)


def test_labels_in_another_order_and_spelling(layers, x, tmp_path):
    order = np.random.default_rng(1).permutation(22)
    names = tuple(APOGEE_LABELS[j] for j in order)
    assert [name for name in names if name in ("teff", "logg", "Fe")] != ["teff", "logg", "Fe"]
    told = parameters(names, [SPELT[j] for j in order])
    model = load_folder(write_folder(tmp_path / "run", layers, told=told, graph=config(layers, output_layers(names))))
    assert model.target_names_ == names == tuple(model.target)
    check_predictions(model, lambda x: predict(layers, x, names), x, names)


def test_labels_that_are_read_in_windows_of_others(folder):
    told = parameters()
    told["targetname"][6:8] = ["Mg", "Na"]
    (folder / JSON).write_text(json.dumps(told))
    with pytest.raises(ModelFolderError, match=r"number 6 is of layer 'na_concat', but .* calls it Mg"):
        load_folder(folder)


def test_parameters_correspond(folder):
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
    told = parameters(input_norm_mode=mode, input_mean=mean, input_std=std)
    (folder / JSON).write_text(json.dumps(told))
    shift = np.array(statistics()[2])  # which the check subtracts
    check_predictions(load_folder(folder), lambda x: predict(layers, forward(x + shift)), x)


@pytest.mark.parametrize("keras3", [False, True])
def test_code_in_the_configuration_is_not_looked_at(layers, tmp_path, keras3):
    graph = config(layers, output_layers())
    graph["config"]["layers"].append(
        {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wAAAA==", None, None]}}
    )
    folder = write_folder(tmp_path / "run", layers, keras3=keras3, graph=graph)
    assert load_folder(folder).target_names_ == APOGEE_LABELS


@pytest.mark.parametrize("text", ["", "epoch,loss\n0,many\n", "epoch,loss\n0\n", "\0", "epoch\n0\n", b"\xff\xfe"])
def test_a_history_that_cannot_be_read(folder, text):
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


def test_a_model_that_was_read_can_be_trained_on(folder, x):
    model = load_folder(folder).set_params(lr=1e-5)
    before = model.weights_["full1.kernel"].copy()
    model.partial_fit(x, np.random.default_rng(0).normal(size=(4, 22)))
    assert np.abs(model.weights_["full1.kernel"] - before).max() > 0


def test_reading_imports_neither_tensorflow_nor_keras(written, written3, root):
    code = (
        "import sys; from skbcnn import load_folder; [load_folder(path) for path in sys.argv[1:]]; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code, written, written3], cwd=root, check=False).returncode == 0


def test_what_the_docs_say(written, root, tmp_path, monkeypatch):
    """The page's folder and spectrum are not in the repository: it is given small ones."""
    page = (root / "docs" / "persistence.md").read_text(encoding="utf-8")
    section = page.split("## Load a published astroNN model\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shutil.copytree(written, tmp_path / "astroNN_0617_run001")
    shutil.copy(root / "tests/data/apStar-dr17-2M19485057+5005279.fits", tmp_path / "apStar-r8-2M17335483-2753043.fits")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert names["labels"].shape == names["errors"].shape == (1, 22)


# Folders that cannot be read


@pytest.mark.parametrize("name", sorted(set(parameters()) - {"l1", "task"}))
def test_an_entry_is_missing(folder, name):
    told = parameters()
    del told[name]
    (folder / JSON).write_text(json.dumps(told))
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
    "label no text": ({"targetname": [3] * 22}, "3 where text is expected"),
    "labels no list": ({"targetname": 22}, "TypeError"),
    "pixels no list": ({"input": 7514}, "TypeError"),
    "means too few": ({"labels_mean": [0.0, 1.0]}, r"shapes \(2,\) and \(22,\) for 22 columns"),
    "means in words": ({"labels_mean": ["0"] * 22}, "'0' where a number is expected"),
    "means nested": ({"input_mean": [[1.0]] * 7514}, "where a number is expected"),
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
    "widths beyond memory": ({"hidden": [10**12, 7, 4, 3, 2]}, r"expected \(7512, 1000000000000\)"),
    "pool of another network": ({"pool_length": 2}, r"shape \(7512, 8\), expected \(15028, 8\)"),
    "dropout beyond 1": ({"dropout_rate": 1.5}, "dropout_rate"),
    "inv_tau in words": ({"inv_tau": "small"}, "'small' where a number is expected"),
    "l2 negative": ({"l2": -1.0}, "l2"),
    "activation no text": ({"activation": 3}, "activation"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_wrong_entries(folder, changes, message):
    (folder / JSON).write_text(json.dumps(parameters(**changes)))
    with pytest.raises(ModelFolderError, match=message):
        load_folder(folder)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe{", b'{"id": NaN}', b'{"id": -Infinity}', b'{"id": 1, "id": 2}', b"[" * 100_000, b"9" * 5000],
)
def test_parameters_that_are_not_json(folder, text):
    (folder / JSON).write_bytes(text)
    with pytest.raises(ModelFolderError, match=rf"{JSON} is not JSON \("):
        load_folder(folder)


@pytest.mark.parametrize("name", ["inv_tau", "labels_mean", "length_scale", "maxnorm"])
def test_numbers_beyond_all_bounds(folder, name):
    text = json.dumps(parameters() | {name: "huge"}).replace('"huge"', "1e999")
    (folder / JSON).write_text(text)
    with pytest.raises(ModelFolderError, match=rf"inf|{name}"):
        load_folder(folder)


@pytest.mark.parametrize("text", [b"[]", b"3", b'"text"'])
def test_json_of_something_else(folder, text):
    (folder / JSON).write_bytes(text)
    with pytest.raises(ModelFolderError, match="expected entries with names"):
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
    "layer missing": (lambda file: file.__delitem__("model_weights/mg_dense"), "too many are mg_dense"),
    "numbered layer missing": (
        lambda file: file.__delitem__("model_weights/dense_6"),
        "7 layers that Keras called dense",
    ),
    "layer too many": (lambda file: file.copy("model_weights/mg_dense", "model_weights/m_dense"), "many are m_dense"),
    "numbered twice": (lambda file: file.copy("model_weights/dense", "model_weights/dense_0"), "many are dense_0"),
    "no bias": (lambda file: file[LAYER].attrs.__setitem__("weight_names", ["dense_1/kernel:0"]), "many are dense_1"),
    "names no text": (lambda file: file[LAYER].attrs.__setitem__("weight_names", [1, 2]), "where text is expected"),
    "names lead to root": (lambda file: file[LAYER].attrs.__setitem__("weight_names", ["/kernel:0"]), "is missing"),
    "no weights": (lambda file: file.__delitem__("model_weights"), "/model_weights of .* is missing"),
    "weights an array": (lambda file: put(file, "model_weights", [1.0]), "is an array, expected a group"),
    "layer an array": (lambda file: put(file, LAYER, [1.0]), "is an array, expected a group"),
    "wrong shape": (lambda file: put(file, ARRAY, np.zeros((7, 8))), r"has shape \(7, 8\), expected \(8, 7\)"),
    "NaN": (lambda file: file[ARRAY].__setitem__((0, 0), np.nan), "kernel of dense_1 of .* holds NaN or infinity"),
    "infinite once it is single": (lambda file: put(file, ARRAY, np.full((8, 7), 1e300)), "holds NaN or infinity"),
    "whole numbers": (lambda file: put(file, ARRAY, np.zeros((8, 7), int)), "no plain array of floats"),
    "text": (lambda file: put(file, ARRAY, "text"), "no plain array"),
    "compressed": (lambda file: put(file, ARRAY, np.zeros((8, 7), "f4"), compression="gzip"), "no plain array"),
    "never written": (lambda file: put(file, ARRAY, shape=(8, 7), dtype="f4"), "no plain array"),
    "stored elsewhere": (
        lambda file: put(file, ARRAY, shape=(8, 7), dtype="f4", external=[("/etc/hostname", 0, 224)]),
        "no plain array",
    ),
    "a group": (lambda file: [file.__delitem__(ARRAY), file.create_group(ARRAY)], "no plain array"),
    "soft link": (
        lambda file: [file.move(ARRAY, "x"), file.__setitem__(ARRAY, h5py.SoftLink("/x"))],
        "a link that leads elsewhere",
    ),
    "external link": (
        lambda file: [file.__delitem__(LAYER), file.__setitem__(LAYER, h5py.ExternalLink("other.h5", "/"))],
        "a link that leads elsewhere",
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


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", [KERAS2, KERAS3])
def test_weights_cut_short(folder, folder3, name, share):
    spoilt = folder if name == KERAS2 else folder3
    data = (spoilt / name).read_bytes()
    (spoilt / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match=r"cannot be read as (HDF5|a ZIP archive)"):
        load_folder(spoilt)


@pytest.mark.parametrize("name", [KERAS2, KERAS3])
def test_a_pickle_called_weights(folder, folder3, name):
    spoilt = folder if name == KERAS2 else folder3
    (spoilt / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch owned'\ntR." + bytes(20_000))
    with pytest.raises(ModelFolderError, match=r"cannot be read as (HDF5|a ZIP archive)"):
        load_folder(spoilt)
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
    "no weights": (lambda m: {name: m[name] for name in ("config.json",)}, r"no member model\.weights\.h5"),
    "no configuration": (lambda m: {"model.weights.h5": m["model.weights.h5"]}, r"no member config\.json"),
    "leads out": (lambda m: m | {"../../evil": b"x"}, r"'../../evil', a name that leads out of the archive"),
    "leads to the root": (lambda m: m | {"/etc/evil": b"x"}, "leads out of the archive"),
    "leads out on Windows": (lambda m: m | {"..\\evil": b"x"}, "leads out of the archive"),
    "thousands of members": (lambda m: m | {f"m{i}": b"" for i in range(5000)}, "more than 4096 members"),
    "configuration too large": (lambda m: m | {"config.json": b" " * (2**22 + 1)}, "is larger than 4194304 bytes"),
    "configuration no JSON": (lambda m: m | {"config.json": b"{"}, "is not JSON"),
    "configuration of nothing": (lambda m: m | {"config.json": b"{}"}, "not as Keras writes it"),
    "weights no HDF5": (lambda m: m | {"model.weights.h5": b"\x80\x04."}, "cannot be read as HDF5"),
    "layers in layers": (in_arrays(lambda f: f.create_group("layers/dense/cell/vars")), "holds layers within it"),
    "other kind of layer": (in_arrays(lambda f: f.__setitem__("layers/norm/vars/0", [1.0])), "many are norm"),
    "one name twice": (
        in_arrays(lambda f: f["layers/dense_1/vars"].attrs.__setitem__("name", "dense")),
        "two layers called dense",
    ),
    "third array": (in_arrays(lambda f: f.__setitem__("layers/dense_1/vars/2", [1.0])), "many are dense_1"),
    "soft link": (
        in_arrays(
            lambda f: [f.move("layers/dense/vars/0", "x"), f["layers/dense/vars"].__setitem__("0", h5py.SoftLink("/x"))]
        ),
        "a link that leads elsewhere",
    ),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_ARCHIVES.values(), ids=BROKEN_ARCHIVES)
def test_broken_archives(folder3, change, message):
    rewritten(folder3 / KERAS3, change)
    with pytest.raises(ModelFolderError, match=message):
        load_folder(folder3)


def test_a_member_twice(folder3):
    with zipfile.ZipFile(folder3 / KERAS3, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", b"{}")
    with pytest.raises(ModelFolderError, match="holds a member twice"):
        load_folder(folder3)


def test_an_archive_that_was_packed_again(folder3):
    expected = load_folder(folder3).weights_["aux.kernel"]
    rewritten(folder3 / KERAS3, compression=zipfile.ZIP_DEFLATED)
    assert_array_equal(load_folder(folder3).weights_["aux.kernel"], expected)
    rewritten(folder3 / KERAS3, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(ModelFolderError, match="encrypted or packed in an unusual way"):
        load_folder(folder3)


def test_a_small_archive_that_unfolds_to_gigabytes(folder3, monkeypatch):
    monkeypatch.setattr("skbcnn.persistence.astronn.MAX_WEIGHTS", 2**23)
    bomb = lambda members: members | {"model.weights.h5": bytes(2**23 + 1)}  # noqa: E731
    rewritten(folder3 / KERAS3, bomb, compression=zipfile.ZIP_DEFLATED)
    path = folder3 / KERAS3
    assert path.stat().st_size < 2**20
    with pytest.raises(ModelFolderError, match=r"model\.weights\.h5 of .* is larger than 8388608 bytes"):
        load_folder(folder3)
    data = path.read_bytes()
    size = (2**23 + 1).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))  # the directory claims less
    with pytest.raises(ModelFolderError, match=r"cannot be read as (a ZIP archive|HDF5)"):
        load_folder(folder3)


def test_bytes_overwritten_at_random(folder):
    """Whatever is damaged, it loads or it is said in a sentence."""
    data, rng = (folder / KERAS2).read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(12):
        spoilt = np.frombuffer(data, np.uint8).copy()
        spoilt[rng.integers(0, 20_000, 5)] = rng.integers(0, 256, 5)
        (folder / KERAS2).write_bytes(spoilt)
        try:
            assert isinstance(load_folder(folder), CensoredBCNNRegressor)
        except ModelFolderError:
            refused += 1
    assert refused > 2
