"""Reader of folders that astroNN wrote of an ApogeeBCNNCensored, such as the published one.

astroNN writes its parameters as JSON and the weights in a file of Keras. `_keras2_layers` and `_keras3_layers` find the
arrays of each layer in that file, and `_their_layers` tells which of their layers is which of ours. Keras is not
needed, and the code that its files may hold is ignored.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from skbcnn._paths import as_path
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.network.spec import NetworkSpec
from skbcnn.persistence.foreign.imported_model import (
    ASTRONN_PARAMETERS,
    STELLAR_LABELS,
    ImportedModel,
    Normalization,
    build_regressor,
)
from skbcnn.persistence.json_values import as_text
from skbcnn.persistence.safe_files import (
    DAMAGED,
    ModelFolderError,
    hdf5_group,
    hdf5_item,
    open_hdf5,
    open_zip,
    parse_json,
    read_array,
    read_file,
    read_member,
    text_attribute,
    wrap_read_errors,
)
from skbcnn.survey import APOGEE_LABELS, apogee_windows, resolve_target

PARAMETERS = "astroNN_model_parameter.json"
_KERAS2, _KERAS3 = "model_weights.h5", "model_weights.keras"
_HISTORY, _NOTES = "training_history.csv", "hyperparameter.txt"
_MAX_TEXT, _MAX_WEIGHTS = 2**22, 2**29  # bytes: ten times the usual
_MAX_MEMBERS = 2**12  # of a file of Keras 3

# Spectra are normalized with the continuum pixels of DR14 and astroNN's weighting, whatever the release of the file
PREPROCESSING = {"data_release": 14, "weighting": "astronn"}

_NETWORK = {  # our parameter: theirs
    "num_hidden": "hidden",
    "num_filters": "filternum",
    "filter_len": "filterlen",
    "pool_length": "pool_length",
    "dropout_rate": "dropout_rate",
    "l2": "l2",
    "maxnorm": "maxnorm",
    "length_scale": "length_scale",
    "batch_size": "batch_size",
    "validation_fraction": "valsize",
}
_FIXED = {  # entry: the only value that our network can have, and the value of folders without the entry
    "id": ("ApogeeBCNNCensored", None),
    "task": ("regression", "regression"),
    "last_layer_activation": ("linear", "linear"),
    "aux_length": (0, 0),
}
_EPOCHS = {  # our column of the history: theirs, the best first
    "loss": ("loss",),
    "data_loss": ("output_loss",),
    "mean_absolute_error": ("output_mean_absolute_error",),
    "val_loss": ("val_output_loss", "val_loss"),
    "val_mean_absolute_error": ("val_output_mean_absolute_error",),
    "lr": ("lr", "learning_rate"),
}

# Layers that astroNN does not name are numbered by Keras, starting after those of networks built before. Only their
# order is known.
_CONVOLUTIONS = ("conv1", "conv2")
_FULL_SPECTRUM_LAYERS = ("full1", "full2")
_WINDOW_LAYERS = {"hidden1": "dense", "hidden2": "dense_2", "mean": "concat", "logvar": "concat_var"}
_CLASSES = {"Conv1D": "conv1d", "Dense": "dense"}  # class of Keras: how the names of its layers begin
_ARRAYS = {"0": "kernel", "1": "bias"}  # by the number that Keras 3 gives

Layers = dict[str, dict[str, h5py.Dataset]]
"""Datasets of each layer by kind, "kernel" and "bias", by the name of the layer."""


def is_astronn(folder: Path) -> bool:
    """Return whether a folder was written by astroNN."""
    return (folder / PARAMETERS).is_file()


def from_astronn(path: str | Path) -> ApogeeBCNNCensoredRegressor:
    """Read a folder that astroNN wrote of an ApogeeBCNNCensored.

    Neither Keras nor TensorFlow is imported, and nothing in the folder is run or unpickled.

    Parameters
    ----------
    path : str or path-like
        Folder written by astroNN 1.0 or later, with ``model_weights.h5`` (Keras 2) or ``model_weights.keras``
        (Keras 3).

    Returns
    -------
    model : ApogeeBCNNCensoredRegressor
        Fitted regressor. What astroNN does not write is absent: the standard deviations are not calibrated, and
        `assess` cannot find out-of-distribution spectra. `seed_` is 0, `history_` has the content of
        ``training_history.csv``, and `preprocessing_` is the continuum of DR14, astroNN's default.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ModelFolderError
        If it holds another kind of network, or is damaged; the message says which.

    See Also
    --------
    skbcnn.load_folder : Reads such folders, too.
    skbcnn.apogee.apogee_pipeline : The model behind the preparation that its spectra need.

    Notes
    -----
    astroNN does not save the element windows; those of DR14 are used. If the graph in the file of weights shows that a
    label was read from the windows of another, the folder is refused.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255.

    Examples
    --------
    >>> from skbcnn.persistence import from_astronn
    >>> from_astronn("astroNN_0617_run001")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no folder astroNN_0617_run001. Give the path of a folder that astroNN wrote.
    """
    folder = as_path(path, "path")
    if folder.is_file():
        raise FileNotFoundError(
            f"{folder} is a file. Pass the folder it lies in, if astroNN wrote it: {folder.parent}."
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Give the path of a folder that astroNN wrote.")
    imported = _import(folder)
    with wrap_read_errors(folder, "astroNN"):
        return build_regressor(imported, lambda spec: _weights(folder, spec, imported.label_names))


# Parameters


def _import(folder: Path) -> ImportedModel:
    """Return everything except the weights."""
    path = folder / PARAMETERS
    entries = parse_json(read_file(path, _MAX_TEXT), path)
    notes = _notes(folder)
    with wrap_read_errors(path, "astroNN"):
        _check_network(entries, path)
        names = tuple(resolve_target([as_text(name) for name in _entry(entries, "targetname", path)]))
        n_pixels = apogee_windows().n_pixels
        _check_sizes(entries, names, n_pixels, path)
        spectra, labels = (_normalization(entries, kind, path) for kind in ("input", "labels"))
        parameters = {ours: _entry(entries, theirs, path) for ours, theirs in _NETWORK.items()}
        parameters |= {
            "target": "all" if names == APOGEE_LABELS else names,
            "num_hidden": tuple(parameters["num_hidden"]),
            "num_filters": tuple(parameters["num_filters"]),
            "activation": entries.get("activation", "relu"),
            "input_norm_mode": spectra[0],
            "labels_norm_mode": labels[0],
        }
        model = ApogeeBCNNCensoredRegressor(**ASTRONN_PARAMETERS | parameters | _training_parameters(notes))
        return ImportedModel(
            model=model,
            n_pixels=n_pixels,
            label_names=names,
            spectra=spectra,
            labels=labels,
            history=_history(folder),
            inv_tau=_number(_entry(entries, "inv_tau", path)),
            preprocessing=PREPROCESSING,
            provenance=_provenance(notes),
        )


def _entry(entries: Mapping[str, Any], name: str, path: Path) -> Any:
    if name not in entries:
        raise ModelFolderError(f"{path} has no entry {name!r}, which astroNN always writes. Copy or download it again.")
    return entries[name]


def _check_network(entries: Mapping[str, Any], path: Path) -> None:
    """Refuse networks that are not the censored one, or were changed."""
    _entry(entries, "id", path)
    for name, (expected, default) in _FIXED.items():
        found = entries.get(name, default)
        if found != expected:
            raise ModelFolderError(
                f"{path} has {name} {found!r}, expected {expected!r}: of astroNN's networks, only ApogeeBCNNCensored "
                "with spectra as its only input can be read. Use astroNN for the others."
            )


def _check_sizes(entries: Mapping[str, Any], names: Sequence[str], n_pixels: int, path: Path) -> None:
    (found, *_), n_labels = (_of_kind(_entry(entries, kind, path), kind) for kind in ("input", "labels"))
    if found != n_pixels:
        raise ModelFolderError(
            f"{path} is of a network for {found} pixels, expected {n_pixels}: APOGEE DR13 to DR17 without chip gaps. "
            "Use astroNN for other spectra."
        )
    if n_labels != len(names) or not set(STELLAR_LABELS) <= set(names):
        raise ModelFolderError(
            f"{path} has {n_labels} outputs and names {len(names)} labels ({', '.join(names)}), expected the same "
            f"number, and {', '.join(STELLAR_LABELS)} among them. Copy or download it again."
        )


def _of_kind(entry: Any, kind: str) -> Any:
    """Return the value for the spectra or the labels. Recent versions write one for each input and output."""
    return entry[{"input": "input", "labels": "output"}[kind]] if isinstance(entry, dict) else entry


def _normalization(entries: Mapping[str, Any], kind: str, path: Path) -> Normalization:
    mode, mean, std = (_of_kind(_entry(entries, f"{kind}_{part}", path), kind) for part in ("norm_mode", "mean", "std"))
    mode = int(mode) if str(mode).isdigit() else mode
    return mode, _numbers(mean), _numbers(std)


def _numbers(values: Any) -> Any:
    return [_number(value) for value in values] if isinstance(values, list) else values


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{str(value)[:40]!r}, expected a number")
    return float(value)


# Notes and history, which are not needed: anything may be wrong with them


def _notes(folder: Path) -> dict[str, str]:
    """Return what astroNN wrote for people to read, by name."""
    try:
        text = read_file(folder / _NOTES, _MAX_TEXT).decode()
    except (ModelFolderError, UnicodeDecodeError):
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip()[:100] for name, _, value in pairs}


def _training_parameters(notes: Mapping[str, str]) -> dict[str, float]:
    """Return the constructor parameters that only the notes tell."""
    parameters: dict[str, float] = {}
    with suppress(KeyError, ValueError):
        parameters["lr"] = float(notes["Learning Rate"])
    with suppress(KeyError, ValueError):
        parameters["max_epochs"] = int(notes["Maximum Epochs"])
    return {name: value for name, value in parameters.items() if 0 < value < math.inf}


def _provenance(notes: Mapping[str, str]) -> dict[str, Any]:
    provenance: dict[str, Any] = {"software": f"astroNN {notes.get('astroNN Version', '')}".rstrip()}
    provenance |= {"name": notes["Folder Name"]} if "Folder Name" in notes else {}
    with suppress(KeyError, ValueError):
        provenance["n_stars"] = sum(int(notes[f"Number of {kind} Data"]) for kind in ("Training", "Validation"))
    return provenance


def _history(folder: Path) -> dict[str, list[float]]:
    """Return the columns of the training history by our names, or nothing if it cannot be read."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_file(folder / _HISTORY, _MAX_TEXT).decode())))
        columns = {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}
    except (ModelFolderError, KeyError, TypeError, ValueError, csv.Error):
        return {}
    history: dict[str, list[float]] = {}
    for ours, theirs in _EPOCHS.items():
        measured = [columns[name] for name in theirs if any(columns.get(name, ()))]  # astroNN 1.2 leaves some at 0
        history |= {ours: measured[0]} if measured else {}
    return history


# Weights


def _weights(folder: Path, spec: NetworkSpec, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays by our names from the file of Keras 3 or of Keras 2."""
    if (folder / _KERAS3).is_file():
        path = folder / _KERAS3
        with open_zip(path, _MAX_MEMBERS) as archive:
            config = parse_json(read_member(archive, "config.json", _MAX_TEXT, path), path)
            data = read_member(archive, "model.weights.h5", _MAX_WEIGHTS, path)
        with open_hdf5(data, path) as file, wrap_read_errors(path, "Keras"):
            return _read_arrays(_keras3_layers(file, config, path), config, spec, names, path)
    path = folder / _KERAS2
    if not path.is_file():
        raise ModelFolderError(
            f"{folder} has neither {_KERAS2} nor {_KERAS3}, so it holds the parameters of the network, but no weights. "
            "Copy or download the whole folder."
        )
    with open_hdf5(read_file(path, _MAX_WEIGHTS), path) as file, wrap_read_errors(path, "Keras"):
        text = text_attribute(file, "model_config")
        config = {} if text is None else parse_json(text.encode(), path)
        return _read_arrays(_keras2_layers(file, path), config, spec, names, path)


def _keras2_layers(file: h5py.File, path: Path) -> Layers:
    """Return the layers that have weights. Keras 2 calls datasets ``model_weights/dense/dense/kernel:0``."""
    stored, layers = hdf5_group(file, "model_weights", path), {}
    for name in stored:
        layer, datasets = hdf5_group(stored, name, path), {}
        for weight in layer.attrs.get("weight_names", ()):
            weight = weight.decode() if isinstance(weight, bytes) else as_text(weight)
            datasets[weight.rpartition("/")[2].partition(":")[0]] = hdf5_item(layer, weight, path)
        if datasets:
            layers[name] = datasets
    return layers


def _keras3_layers(file: h5py.File, config: Mapping[str, Any], path: Path) -> Layers:
    """Return the same of Keras 3, which calls datasets ``layers/dense_4/vars/0``; an attribute may tell the name."""
    stored, layers, names = hdf5_group(file, "layers", path), {}, _names_by_group(config)
    for group in stored:
        layer = hdf5_group(stored, group, path)
        if set(layer) - {"vars"}:
            raise ModelFolderError(f"layers/{group} of {path} holds other layers, expected weights only. {DAMAGED}")
        variables = hdf5_group(layer, "vars", path) if len(layer) else {}
        if not len(variables):
            continue
        name = text_attribute(variables, "name") or names.get(group, group)
        if name in layers:
            raise ModelFolderError(f"{path} holds two layers called {name}. Copy or download it again.")
        layers[name] = {_ARRAYS.get(number, number): hdf5_item(variables, number, path) for number in variables}
    return layers


def _names_by_group(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of the layer in each group. Groups are numbered class by class in the order of the layers."""
    names, counts = {}, dict.fromkeys(_CLASSES, 0)
    for layer in config["config"]["layers"]:
        if (kind := layer["class_name"]) in counts:
            number = f"_{counts[kind]}" if counts[kind] else ""
            names[_CLASSES[kind] + number] = as_text(layer["config"]["name"])
            counts[kind] += 1
    return names


def _read_arrays(
    layers: Layers, config: Mapping[str, Any], spec: NetworkSpec, names: Sequence[str], path: Path
) -> dict[str, np.ndarray]:
    theirs = _their_layers(layers, names, path)
    outputs = _output_layers(config)
    expected = [theirs[f"label{j}.mean"] for j in range(len(names))]
    if outputs is not None and outputs != expected:
        j = next((j for j, pair in enumerate(zip(outputs, expected, strict=False)) if len(set(pair)) > 1), 0)
        raise ModelFolderError(
            f"{path} has {len(outputs)} outputs, of which number {j} is of layer {outputs[j] if outputs else None!r}, "
            f"but {PARAMETERS} calls it {names[j]}, read from {expected[j]!r}. Such a network reads labels in windows "
            "of other elements; it cannot be read here."
        )
    weights = {}
    for name, shape in spec.weight_shapes.items():
        layer, kind = name.rsplit(".", 1)
        weights[name] = read_array(layers[theirs[layer]][kind], shape, f"{kind} of {theirs[layer]}", path)
    return weights


def _their_layers(layers: Layers, names: Sequence[str], path: Path) -> dict[str, str]:
    """Return their name of each of our layers. Every layer with weights must be one of these."""
    label = {name: f"label{j}" for j, name in enumerate(names)}
    heads = [f"{label[name]}.{head}" for head in ("mean", "logvar") for name in STELLAR_LABELS]
    theirs = {"aux": "aux_fullspec"}
    for ours, kind in ((_CONVOLUTIONS, "Conv1D"), ([*_FULL_SPECTRUM_LAYERS, *heads], "Dense")):
        found = _numbered_layers(layers, _CLASSES[kind])
        if len(found) != len(ours):
            raise ModelFolderError(
                f"{path} has {len(found)} layers that Keras called {_CLASSES[kind]}, expected {len(ours)}, so it is "
                "not of astroNN's ApogeeBCNNCensored. Use astroNN for other networks."
            )
        theirs |= zip(ours, found, strict=True)
    for name in names:
        if name not in STELLAR_LABELS:
            theirs |= {f"{label[name]}.{ours}": f"{name.lower()}_{end}" for ours, end in _WINDOW_LAYERS.items()}
    incomplete = {name for name, arrays in layers.items() if set(arrays) != set(_ARRAYS.values())}
    if wrong := sorted((set(theirs.values()) ^ set(layers)) | incomplete):
        raise ModelFolderError(
            f"{path} does not hold the layers of astroNN's ApogeeBCNNCensored; missing or unknown are "
            f"{', '.join(wrong[:5])}. It was damaged, or is of another network."
        )
    return theirs


def _numbered_layers(layers: Layers, prefix: str) -> list[str]:
    """Return the layers that Keras named, in the order in which they were made."""
    matches = (re.fullmatch(rf"{prefix}(?:_([1-9][0-9]{{0,8}}))?", name) for name in layers)
    numbered = {int(match[1] or 0): match[0] for match in matches if match}
    return [numbered[number] for number in sorted(numbered)]


def _output_layers(config: Mapping[str, Any]) -> list[Any] | None:
    """Return the layers that are joined to the output, in order, or None if the graph is missing or not understood."""
    with suppress(AttributeError, LookupError, TypeError, ValueError):
        (joined,) = (layer for layer in config["config"]["layers"] if layer["config"]["name"] == "output")
        (node,) = joined["inbound_nodes"]
        if isinstance(node, dict):  # Keras 3
            return [tensor["config"]["keras_history"][0] for tensor in node["args"][0]]
        return [tensor[0] for tensor in node]
    return None
