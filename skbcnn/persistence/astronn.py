"""Folders of astroNN's ApogeeBCNNCensored, the published one among them, as regressors.

astroNN writes its parameters as JSON and leaves the weights to Keras. `_keras2` and `_keras3` find the arrays of each
layer in what Keras writes; `_theirs` tells which of their layers is which of ours; `_Parameters` reads the JSON in
both of its layouts. Keras itself has no part in it, and the code that its files may hold is never looked at.
"""

import csv
import io
import math
import re
from contextlib import suppress
from pathlib import Path

from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.persistence.files import ModelFolderError, read_file
from skbcnn.persistence.foreign import (
    MAX_TEXT,
    MAX_WEIGHTS,
    STAR,
    Found,
    made_of,
    member,
    opened_hdf5,
    opened_zip,
    parsed_json,
    plain_array,
    read_member,
    read_text,
    subgroup,
    text_attribute,
    understood,
)
from skbcnn.persistence.text import as_text
from skbcnn.survey import APOGEE_LABELS, apogee_windows, resolve_target

PARAMETERS = "astroNN_model_parameter.json"
_KERAS2, _KERAS3 = "model_weights.h5", "model_weights.keras"
_HISTORY, _NOTES = "training_history.csv", "hyperparameter.txt"

# of spectra: the continuum pixels of DR14 and astroNN's way to weigh them, whatever the release of the file
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
_ONLY = {  # what our network can do no otherwise: entry, its value, and that of folders that do not tell
    "id": ("ApogeeBCNNCensored", None),
    "task": ("regression", "regression"),
    "last_layer_activation": ("linear", "linear"),
    "aux_length": (0, 0),
}
_EPOCHS = {  # our name of a column of the history: theirs, the best first
    "loss": ("loss",),
    "data_loss": ("output_loss",),
    "mean_absolute_error": ("output_mean_absolute_error",),
    "val_loss": ("val_output_loss", "val_loss"),
    "val_mean_absolute_error": ("val_output_mean_absolute_error",),
    "lr": ("lr", "learning_rate"),
}

# Keras numbers the layers that astroNN does not name, on from those of networks built before: ranks are told, no more
_CONVOLUTIONS = ("conv1", "conv2")
_FULL_LAYERS = ("full1", "full2")
_WINDOW_LAYERS = {"hidden1": "dense", "hidden2": "dense_2", "mean": "concat", "logvar": "concat_var"}
_CLASSES = {"Conv1D": "conv1d", "Dense": "dense"}  # of Keras, and how the names of their layers begin
_KINDS = {"0": "kernel", "1": "bias"}  # by the number that Keras 3 gives


def is_astronn(folder):
    """Whether a folder is one of astroNN's.

    Parameters
    ----------
    folder : pathlib.Path
        To look into.

    Returns
    -------
    is_astronn : bool
    """
    return (folder / PARAMETERS).is_file()


def from_astronn(path):
    """Read a folder that astroNN wrote of an ApogeeBCNNCensored.

    Neither Keras nor TensorFlow is imported, and nothing in the folder is run or unpickled.

    Parameters
    ----------
    path : str or path-like
        The folder, written by any release from 1.0: with ``model_weights.h5`` (Keras 2) or ``model_weights.keras``
        (Keras 3).

    Returns
    -------
    model : ApogeeBCNNCensoredRegressor
        Fitted. What astroNN does not write is absent: the error bars are not calibrated, and the model cannot tell
        which spectra are unlike those trained on. `seed_` is 0, `history_` has what ``training_history.csv`` tells,
        `preprocessing_` the continuum of DR14, which astroNN takes unless it is told otherwise.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ModelFolderError
        If it holds another kind of network, or is damaged; the message says which.

    See Also
    --------
    skbcnn.load_folder : Takes such folders, too.
    skbcnn.apogee.apogee_pipeline : The model behind what its spectra need.

    Notes
    -----
    astroNN does not save the element windows: they are those of DR14. A folder that was trained on something else
    than what its network is called is refused where the graph in the weight file shows it.

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
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Give the path of a folder that astroNN wrote.")
    found = _found(folder)
    with understood(folder, "astroNN"):
        return made_of(found, lambda spec: _weights(folder, spec, found.names))


def _found(folder):
    """All but the weights."""
    path = folder / PARAMETERS
    told = parsed_json(read_text(path), path)
    notes = _notes(folder)
    with understood(path, "astroNN"):
        _check_kind(told, path)
        names = tuple(resolve_target([as_text(name) for name in _entry(told, "targetname", path)]))
        n_pixels = apogee_windows().n_pixels
        _check_sizes(told, names, n_pixels, path)
        inputs, labels = (_normalizer(told, kind, path) for kind in ("input", "labels"))
        parameters = {ours: _entry(told, theirs, path) for ours, theirs in _NETWORK.items()}
        model = ApogeeBCNNCensoredRegressor(
            target="all" if names == APOGEE_LABELS else names,
            num_hidden=tuple(parameters.pop("num_hidden")),
            num_filters=tuple(parameters.pop("num_filters")),
            activation=told.get("activation", "relu"),
            input_norm_mode=inputs[0],
            labels_norm_mode=labels[0],
            **parameters,
            **_training(notes),
        )
        return Found(
            model=model,
            n_pixels=n_pixels,
            names=names,
            spectra=inputs,
            labels=labels,
            history=_history(folder),
            inv_tau=_number(_entry(told, "inv_tau", path)),
            preprocessing=PREPROCESSING,
            provenance=_provenance(notes),
        )


def _entry(told, name, path):
    if name not in told:
        raise ModelFolderError(f"{path} has no entry {name!r}, which astroNN always writes. Copy or download it again.")
    return told[name]


def _check_kind(told, path):
    """Refuse other networks than the censored one, and what was changed in it."""
    _entry(told, "id", path)
    for name, (expected, untold) in _ONLY.items():
        found = told.get(name, untold)
        if found != expected:
            raise ModelFolderError(
                f"{path} has {name} {found!r}, expected {expected!r}: of astroNN's networks only "
                "ApogeeBCNNCensored, fed with spectra alone, can be read. Use astroNN for the others."
            )


def _check_sizes(told, names, n_pixels, path):
    (found, *_), n_labels = (_of(_entry(told, kind, path), kind) for kind in ("input", "labels"))
    if found != n_pixels:
        raise ModelFolderError(
            f"{path} is of a network for {found} pixels, expected {n_pixels}: APOGEE DR13 to DR17 without gaps. Use "
            "astroNN for other spectra."
        )
    if n_labels != len(names) or not set(STAR) <= set(names):
        raise ModelFolderError(
            f"{path} has {n_labels} outputs and names {len(names)} labels ({', '.join(names)}), expected the same "
            f"number, and {', '.join(STAR)} among them. Copy or download it again."
        )


def _of(entry, kind):
    """An entry of the spectra or the labels: later versions write one for each input and output."""
    return entry[{"input": "input", "labels": "output"}[kind]] if isinstance(entry, dict) else entry


def _normalizer(told, kind, path):
    """Mode, mean and scale, as `Found` has them."""
    mode, mean, std = (_of(_entry(told, f"{kind}_{part}", path), kind) for part in ("norm_mode", "mean", "std"))
    mode = int(mode) if str(mode).isdigit() else mode
    return mode, *(
        [_number(value) for value in values] if isinstance(values, list) else values for values in (mean, std)
    )


def _number(value):
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{str(value)[:40]!r} where a number is expected")
    return float(value)


def _notes(folder):
    """What astroNN wrote for people to read: never needed, so that anything may be wrong with it."""
    try:
        text = read_text(folder / _NOTES).decode()
    except (ModelFolderError, UnicodeDecodeError):
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip()[:100] for name, _, value in pairs}


def _training(notes):
    """Constructor parameters that stand in the notes alone."""
    parameters = {}
    with suppress(KeyError, ValueError):
        parameters["lr"] = float(notes["Learning Rate"])
    with suppress(KeyError, ValueError):
        parameters["max_epochs"] = int(notes["Maximum Epochs"])
    return {name: value for name, value in parameters.items() if 0 < value < math.inf}


def _provenance(notes):
    """What is known of the origin."""
    provenance = {"software": f"astroNN {notes.get('astroNN Version', '')}".rstrip()}
    provenance |= {"name": notes["Folder Name"]} if "Folder Name" in notes else {}
    with suppress(KeyError, ValueError):
        provenance["n_stars"] = sum(int(notes[f"Number of {kind} Data"]) for kind in ("Training", "Validation"))
    return provenance


def _history(folder):
    """The training epoch by epoch, in our words; nothing if it cannot be read."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(folder / _HISTORY).decode())))
        columns = {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}
    except (ModelFolderError, KeyError, TypeError, ValueError, csv.Error):
        return {}
    history = {}
    for ours, theirs in _EPOCHS.items():
        found = [columns[name] for name in theirs if any(columns.get(name, ()))]  # all 0: astroNN 1.2 measured nothing
        history |= {ours: found[0]} if found else {}
    return history


def _weights(folder, spec, names):
    """Arrays by our names, read from whichever file there is."""
    if (folder / _KERAS3).is_file():
        path = folder / _KERAS3
        with opened_zip(read_file(path, MAX_WEIGHTS), path) as archive:
            config = parsed_json(read_member(archive, "config.json", MAX_TEXT, path), path)
            data = read_member(archive, "model.weights.h5", MAX_WEIGHTS, path)
        with opened_hdf5(data, path) as file, understood(path, "Keras"):
            return _read(_keras3(file, config, path), config, spec, names, path)
    path = folder / _KERAS2
    if not path.is_file():
        raise ModelFolderError(
            f"{folder} has neither {_KERAS2} nor {_KERAS3}, so the network cannot be made: its parameters alone do not "
            "tell the weights. Copy or download the whole folder."
        )
    with opened_hdf5(read_file(path, MAX_WEIGHTS), path) as file, understood(path, "Keras"):
        text = text_attribute(file, "model_config")
        config = {} if text is None else parsed_json(text.encode(), path)
        return _read(_keras2(file, path), config, spec, names, path)


def _keras2(file, path):
    """Datasets of each layer that has weights, by kind: ``model_weights/dense/dense/kernel:0`` and its like."""
    stored, layers = subgroup(file, "model_weights", path), {}
    for name in stored:
        layer, datasets = subgroup(stored, name, path), {}
        for weight in layer.attrs.get("weight_names", ()):
            weight = weight.decode() if isinstance(weight, bytes) else as_text(weight)
            datasets[weight.rpartition("/")[2].partition(":")[0]] = member(layer, weight, path)
        if datasets:
            layers[name] = datasets
    return layers


def _keras3(file, config, path):
    """The same of ``layers/dense_4/vars/0`` and its like: numbers that say nothing, but the name may stand beside."""
    stored, layers, by_order = subgroup(file, "layers", path), {}, _names_by_order(config)
    for group in stored:
        layer = subgroup(stored, group, path)
        if set(layer) - {"vars"}:
            raise ModelFolderError(f"layers/{group} of {path} holds layers within it, expected weights alone.")
        variables = subgroup(layer, "vars", path) if len(layer) else {}
        if not len(variables):
            continue
        name = text_attribute(variables, "name") or by_order.get(group, group)
        if name in layers:
            raise ModelFolderError(f"{path} holds two layers called {name}. Copy or download it again.")
        layers[name] = {_KINDS.get(number, number): member(variables, number, path) for number in variables}
    return layers


def _names_by_order(config):
    """Names of layers by their groups, which are numbered class by class in the order of the configuration."""
    names, counted = {}, dict.fromkeys(_CLASSES, 0)
    for layer in config["config"]["layers"]:
        if (kind := layer["class_name"]) in counted:
            number = f"_{counted[kind]}" if counted[kind] else ""
            names[_CLASSES[kind] + number] = as_text(layer["config"]["name"])
            counted[kind] += 1
    return names


def _read(layers, config, spec, names, path):
    """Arrays by our names, each checked."""
    theirs = _theirs(layers, names, path)
    outputs = _outputs(config)
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
        weights[name] = plain_array(layers[theirs[layer]][kind], shape, f"{kind} of {theirs[layer]}", path)
    return weights


def _theirs(layers, names, path):
    """Their name of each of our layers; every layer with weights must be one of these."""
    label = {name: f"label{j}" for j, name in enumerate(names)}
    dense = [*_FULL_LAYERS, *(f"{label[name]}.{head}" for head in ("mean", "logvar") for name in STAR)]
    theirs = {"aux": "aux_fullspec"}
    for ours, beginning in ((_CONVOLUTIONS, _CLASSES["Conv1D"]), (dense, _CLASSES["Dense"])):
        found = _by_number(layers, beginning)
        if len(found) != len(ours):
            raise ModelFolderError(
                f"{path} has {len(found)} layers that Keras called {beginning}, expected {len(ours)}: this is another "
                "network than astroNN's ApogeeBCNNCensored."
            )
        theirs |= zip(ours, found, strict=True)
    for name in names:
        if name not in STAR:
            theirs |= {f"{label[name]}.{ours}": f"{name.lower()}_{end}" for ours, end in _WINDOW_LAYERS.items()}
    strange = {name for name, arrays in layers.items() if set(arrays) != set(_KINDS.values())}
    if odd := sorted((set(theirs.values()) ^ set(layers)) | strange):
        raise ModelFolderError(
            f"{path} does not hold the layers of astroNN's ApogeeBCNNCensored; lacking or too many are "
            f"{', '.join(odd[:5])}. It was damaged, or is of another network."
        )
    return theirs


def _by_number(layers, beginning):
    """Layers that Keras named by itself, in the order in which they were made."""
    matches = (re.fullmatch(rf"{beginning}(?:_([1-9][0-9]{{0,8}}))?", name) for name in layers)
    numbered = {int(match[1] or 0): match[0] for match in matches if match}
    return [numbered[number] for number in sorted(numbered)]


def _outputs(config):
    """Layers that are joined to the output, in order; None if the graph is not told, or in an unknown way."""
    with suppress(AttributeError, LookupError, TypeError, ValueError):
        (joined,) = (layer for layer in config["config"]["layers"] if layer["config"]["name"] == "output")
        (node,) = joined["inbound_nodes"]
        if isinstance(node, dict):  # Keras 3
            return [tensor["config"]["keras_history"][0] for tensor in node["args"][0]]
        return [tensor[0] for tensor in node]
    return None
