"""Small networks in the file formats of astroNN and SDSS-V, their predictions in plain NumPy, and comparisons.

`draw_layers` draws the weights of a network under astroNN's names. `write_astronn_folder` and `write_checkpoint` write
it as astroNN and PyTorch do, without them. `predict` computes its output, and `check_oracle` compares a model with the
predictions of the original software.
"""

import io
import json
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.survey import APOGEE_LABELS, apogee_windows

STELLAR_LABELS = ("teff", "logg", "Fe")
ELEMENTS = [name for name in APOGEE_LABELS if name not in STELLAR_LABELS]
HIDDEN = (8, 7, 4, 3, 2)
PARAMETERS, KERAS2, KERAS3 = "astroNN_model_parameter.json", "model_weights.h5", "model_weights.keras"
INPUT_MEAN = np.linspace(0.9, 1.1, 7514)
LABELS_MEAN, LABELS_STD = np.linspace(-1, 1, 22), np.linspace(0.5, 2, 22)


# Networks


def numbered(name, number):
    """Return the name that Keras gives to a layer without one."""
    return f"{name}_{number}" if number else name


def draw_layers(hidden=HIDDEN, *, first_number=0, seed=0):
    """Return random kernels and biases of each layer by astroNN's names.

    The context is aux, teff, logg, Fe. `first_number` is the number of the first layer that Keras named.
    """
    h0, h1, h2, h3, h4 = hidden
    shapes = {numbered("conv1d", first_number): (8, 1, 2), numbered("conv1d", first_number + 1): (8, 2, 4)}
    for number, shape in enumerate([(7512, h0), (h0, h1), *[(h1, 1)] * 6]):
        shapes[numbered("dense", first_number + number)] = shape
    shapes["aux_fullspec"] = (h1, h4)
    for name in ELEMENTS:
        wide1, wide2 = (8 * h2, 4 * h3) if name in ("C", "N") else (h2, h3)
        theirs = name.lower()
        shapes |= {f"{theirs}_dense": (len(apogee_windows()[name]), wide1), f"{theirs}_dense_2": (wide1, wide2)}
        shapes |= {f"{theirs}_concat": (wide2 + h4 + 3, 1), f"{theirs}_concat_var": (wide2 + h4 + 3, 1)}
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(0, 1.5 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32),
            rng.normal(0, 0.3, shape[-1:]).astype(np.float32),
        )
        for name, shape in shapes.items()
    }


def predict(layers, x, names=APOGEE_LABELS, *, windows=None, first_number=0):
    """Return means and log-variances without dropout, in normalized units, of normalized spectra."""
    x, windows = np.asarray(x, float), windows or apogee_windows()

    def dense(values, name, rectified=False):
        kernel, bias = layers[name]
        values = values @ kernel.astype(float) + bias
        return np.maximum(values, 0) if rectified else values

    def convolve(values, name):
        kernel, bias = layers[name]
        values = np.pad(values, ((0, 0), (3, 4), (0, 0)))
        parts = (values[:, k : k + x.shape[1]] @ kernel[k].astype(float) for k in range(8))
        return np.maximum(sum(parts) + bias, 0)

    pixels = convolve(x[:, :, None], numbered("conv1d", first_number))
    pixels = convolve(pixels, numbered("conv1d", first_number + 1))
    pooled = pixels[:, : x.shape[1] // 4 * 4].reshape(len(x), -1, 4, 4).max(axis=2).reshape(len(x), -1)
    full = dense(pooled, numbered("dense", first_number), True)
    full = dense(full, numbered("dense", first_number + 1), True)
    stellar = {
        name: [dense(full, numbered("dense", first_number + 2 + 3 * part + position)) for part in range(2)]
        for position, name in enumerate(STELLAR_LABELS)
    }
    context = np.hstack([dense(full, "aux_fullspec"), *(stellar[name][0] for name in STELLAR_LABELS)])
    columns = []
    for name in names:
        if name in STELLAR_LABELS:
            columns.append(stellar[name])
            continue
        hidden = dense(x[:, windows[name]], f"{name.lower()}_dense", True)
        hidden = np.hstack([dense(hidden, f"{name.lower()}_dense_2", True), context])
        columns.append([dense(hidden, f"{name.lower()}_{head}") for head in ("concat", "concat_var")])
    mean, logvar = (np.hstack(part) for part in zip(*columns, strict=True))
    return mean, logvar


def check_oracle(model, oracle, n_draws=150):
    """Compare the predictions of a model with those of the original software for the same weights."""
    from skbcnn.network.tensorflow.keras_network import CensoredNetwork
    from skbcnn.network.tensorflow.weights import set_weights

    network = CensoredNetwork(model.spec_)
    set_weights(network, model.weights_)
    x = model.spectra_normalizer_.transform(oracle["x"])
    output = np.asarray(network(np.pad(x, ((0, 0), network.frames.margins))))
    assert_allclose(output[:, 0], oracle["pred_nodropout_norm"], rtol=0, atol=1e-5)
    assert_allclose(output[:, 1], oracle["logvar_nodropout"], rtol=0, atol=1e-5)
    labels = model.label_normalizer_.inverse_transform(output[:, 0].astype(float))
    assert_allclose(labels[:, 0], oracle["pred_nodropout"][:, 0], rtol=0, atol=5e-3)
    assert_allclose(labels[:, 1:], oracle["pred_nodropout"][:, 1:], rtol=0, atol=1e-5)

    ours = model.set_params(n_draws=n_draws).predict_distribution(oracle["x"])
    z = (ours.mean - oracle["pred_mc"]) / (oracle["std_model"] * np.sqrt(1 / n_draws + 1 / 400))
    assert np.abs(z).max() < 4.5
    assert 0.6 < z.std() < 1.4
    # The error of a standard deviation of n normal draws is 1 / sqrt(2 n) of it, and theirs has an error, too
    for kind, median, largest in (("model", 0.04, 0.35), ("predictive", 0.02, 0.3), ("total", 0.02, 0.25)):
        ratio = getattr(ours, kind) / oracle[f"std_{kind}"]
        assert np.median(ratio) == pytest.approx(1, abs=median), kind
        assert np.abs(ratio - 1).max() < largest, kind


# astroNN's folders


def label_statistics(names=APOGEE_LABELS):
    """Return a mean and a standard deviation that differ from label to label, whatever their order."""
    positions = np.array([APOGEE_LABELS.index(name) for name in names])
    return (0.1 * positions - 1).tolist(), (1 + 0.02 * positions).tolist()


def astronn_parameters(names=APOGEE_LABELS, spelled=None, **changes):
    """Return the parameters as astroNN 1.0 writes them, without dropout, so that predictions can be compared."""
    mean, std = label_statistics(names)
    return {
        "batch_size": 32,
        "dropout_rate": 0.0,
        "filterlen": 8,
        "filternum": [2, 4],
        "hidden": list(HIDDEN),
        "id": "ApogeeBCNNCensored",
        "input": [7514, 1],
        "input_mean": INPUT_MEAN.tolist(),
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
        "targetname": list(spelled or names),
        "task": "regression",
        "valsize": 0.2,
    } | changes


def keras_config(layers, outputs=None):
    """Return what Keras writes of the layers, in the order of `layers`, and of the layers joined to the output."""
    entries = [
        {"class_name": "Conv1D" if name.startswith("conv1d") else "Dense", "config": {"name": name}} for name in layers
    ]
    if outputs:
        nodes = [[[name, 0, 0, {}] for name in outputs]]
        entries.append({"class_name": "Concatenate", "config": {"name": "output"}, "inbound_nodes": nodes})
    return {"class_name": "Functional", "config": {"layers": entries}}


def output_layers(names=APOGEE_LABELS, first_number=0):
    """Return the names of the layers joined to the output."""
    stellar = {name: f"dense_{first_number + 2 + position}" for position, name in enumerate(STELLAR_LABELS)}
    return [stellar.get(name, f"{name.lower()}_concat") for name in names]


def write_keras2(path, layers, *, config=None, optimizer=False):
    """Write weights as Keras 2 does."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.12.0"
        if config:
            file.attrs["model_config"] = json.dumps(config)
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


def write_keras3(path, layers, *, config, named=True, optimizer=False):
    """Write weights as Keras 3 does: in an archive, with numbers as names, and the names beside them if `named`."""
    buffer, counts = io.BytesIO(), {"conv1d": 0, "dense": 0}
    with h5py.File(buffer, "w") as file:
        file.create_group("layers/activation/vars")
        for name, arrays in layers.items():
            kind = "conv1d" if name.startswith("conv1d") else "dense"
            variables = file.create_group(f"layers/{numbered(kind, counts[kind])}/vars")
            counts[kind] += 1
            if named:
                variables.attrs["name"] = name
            for number, values in enumerate(arrays):
                variables[str(number)] = values
        if optimizer:
            file["optimizer/vars/1"] = np.ones((5, 5), np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())


def write_astronn_folder(folder, layers, *, keras3=False, parameters=None, config="usual", **options):
    """Write a folder as astroNN does."""
    folder.mkdir()
    (folder / PARAMETERS).write_text(json.dumps(parameters or astronn_parameters()), encoding="utf-8")
    config = keras_config(layers, output_layers()) if config == "usual" else config
    write, name = (write_keras3, KERAS3) if keras3 else (write_keras2, KERAS2)
    write(folder / name, layers, config=config, **options)
    return folder


# SDSS-V's checkpoint


def sdssv_state(layers, windows=None):
    """Return the arrays of a checkpoint by SDSS-V's names, as the state dict of a module."""
    windows = windows or apogee_windows()
    state = OrderedDict(input_mean=INPUT_MEAN.copy(), labels_mean=LABELS_MEAN.copy(), labels_std=LABELS_STD.copy())

    def put(name, *sources):
        kernels, biases = zip(*(layers[layer] for layer in sources), strict=True)
        state[f"{name}.weight"] = np.concatenate([kernel.transpose() for kernel in kernels])
        state[f"{name}.bias"] = np.concatenate(biases)

    for theirs, source in (("conv1", "conv1d"), ("conv2", "conv1d_1"), ("dense_1", "dense"), ("dense_2", "dense_1")):
        put(theirs, source)
    put("dense_aux_fullspec", "aux_fullspec")
    put("dense_teffloggfeh", "dense_2", "dense_3", "dense_4")
    put("dense_teffloggfeh_var", "dense_5", "dense_6", "dense_7")
    for i, name in enumerate(ELEMENTS):
        state[f"aspcap_masks.{i}"] = windows.mask(name)
        ends = {"dense1": "dense", "dense2": "dense_2", "dense_out": "concat", "dense_var": "concat_var"}
        for theirs, end in ends.items():
            put(f"elem_{theirs}.{i}", f"{name.lower()}_{end}")
    return state


@dataclass
class Tensor:
    """Tensor that `write_checkpoint` writes. None: what a contiguous tensor of all values has."""

    values: np.ndarray
    shape: tuple = None
    strides: tuple = None
    offset: int = 0
    n_values: int = None
    storage_type: str = None
    key: str = None


@dataclass
class Opcodes:
    """Part of a pickle that `pickled` copies as it is."""

    code: bytes


STORAGE_TYPES = {"f4": "FloatStorage", "f8": "DoubleStorage", "b1": "BoolStorage", "i8": "LongStorage"}


def pickled(value, storages=None):
    """Return a pickle of protocol 2 as `torch.save` makes it. The values of tensors are appended to `storages`."""
    storages = [] if storages is None else storages
    memo = {}

    def once(key, code):
        """Write a string or a name at its first use, and get it from the memo later."""
        if key in memo:
            return b"j" + struct.pack("<I", memo[key])
        memo[key] = len(memo)
        return code + b"r" + struct.pack("<I", memo[key])

    def name(module, attribute):
        return once((module, attribute), f"c{module}\n{attribute}\n".encode())

    def of_dict(entries, begin):
        return begin + b"(" + b"".join(encode(key) + encode(value) for key, value in entries.items()) + b"u"

    def of_tensor(tensor):
        values = np.ascontiguousarray(tensor.values).reshape(np.shape(tensor.values))
        shape = values.shape if tensor.shape is None else tensor.shape
        strides = tensor.strides
        if strides is None:
            strides = tuple(stride // values.itemsize for stride in values.strides)
        storage_type = tensor.storage_type or STORAGE_TYPES[values.dtype.str[1:]]
        key = str(len(storages)) if tensor.key is None else tensor.key
        n_values = values.size if tensor.n_values is None else tensor.n_values
        storages.append(values)
        identifier = ("storage", Opcodes(name("torch", storage_type)), key, "cpu", n_values)
        arguments = (Opcodes(encode(identifier) + b"Q"), tensor.offset, shape, strides, False, OrderedDict())
        return name("torch._utils", "_rebuild_tensor_v2") + encode(arguments) + b"R"

    def encode(value):
        match value:
            case Opcodes():
                return value.code
            case Tensor():
                return of_tensor(value)
            case np.ndarray():
                return of_tensor(Tensor(value))
            case bool():
                return b"\x88" if value else b"\x89"
            case None:
                return b"N"
            case int():
                return b"J" + struct.pack("<i", value)
            case float():
                return b"G" + struct.pack(">d", value)
            case str():
                return once(value, b"X" + struct.pack("<I", len(value.encode())) + value.encode())
            case tuple():
                return b"(" + b"".join(map(encode, value)) + b"t"
            case list():
                return b"](" + b"".join(map(encode, value)) + b"e"
            case OrderedDict():
                code = of_dict(value, name("collections", "OrderedDict") + b")R")
                return code + encode({"_metadata": {}}) + b"b" if value else code
            case dict():
                return of_dict(value, b"}")
        raise TypeError(type(value))

    return b"\x80\x02" + encode(value) + b"."


def write_checkpoint(path, checkpoint, *, byteorder="little", index=None, compression=zipfile.ZIP_STORED):
    """Write a file as `torch.save` does.

    `checkpoint` may hold dicts, lists, tuples, text, numbers, arrays, `Tensor` and `Opcodes`. `index` replaces its
    pickle. `byteorder` None leaves the member of this name out.
    """
    storages = []
    data = pickled(checkpoint, storages)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("network/data.pkl", data if index is None else index)
        if byteorder:
            archive.writestr("network/byteorder", byteorder)
        for number, values in enumerate(storages):
            ordered = values.astype(values.dtype.newbyteorder(">" if byteorder == "big" else "<"))
            archive.writestr(f"network/data/{number}", ordered.tobytes())
        archive.writestr("network/version", "3\n")
    return path


def write_sdssv_network(path, state, **others):
    """Write a state dict as SDSS-V's checkpoint, with other entries beside it."""
    return write_checkpoint(path, {"model_state_dict": state} | others)
