"""Fitted models as folders of text and arrays, and back.

A folder holds ``model.json``, all that can be said in words and numbers, and ``weights.h5``, one plain array for each
weight and normaliser statistic. Neither holds code: `load_folder` rebuilds the model from our own classes, and takes
nothing from the files but text and numbers that it has checked.
"""

import hashlib
import io
import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from pathlib import Path

import h5py
import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbcnn import __version__
from skbcnn.atomic import atomic_path
from skbcnn.calibration import ErrorModel
from skbcnn.network.spec import NetworkSpec
from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer
from skbcnn.regressor import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, LiveNetwork
from skbcnn.survey import ElementWindows, label_unit

FORMAT_VERSION = 1

_CLASSES = {"CensoredBCNNRegressor": CensoredBCNNRegressor, "ApogeeBCNNCensoredRegressor": ApogeeBCNNCensoredRegressor}
_TEXT, _ARRAYS = "model.json", "weights.h5"
_SCORES, _NO_SCORE = "interval_scores", -1.0  # name of the array; what stands for a star without that label
_MAX_BYTES = {_TEXT: 2**24, _ARRAYS: 2**29}  # nothing larger is read
_MAX_WINDOW_PIXELS = 2**22  # of all labels together: a few characters may stand for any number of pixels
_PACKAGES = ("numpy", "scikit-learn", "tensorflow", "keras", "h5py")
_SPEC_NUMBERS = ("filter_len", "pool_length", "activation", "initializer", "dropout_rate", "l2", "maxnorm")


class ModelFolderError(ValueError):
    """A folder that holds no model, or one that is damaged, or of another format."""


def save_folder(model, path, *, preprocessing=None, provenance=None, overwrite=False):
    """Save a fitted regressor as a folder of text and arrays.

    Parameters
    ----------
    model : CensoredBCNNRegressor or ApogeeBCNNCensoredRegressor
        Fitted. Its `callbacks` are left out, and so is a `random_state` that is no number.
    path : str or path-like
        The folder to make.
    preprocessing : mapping, default=None
        How the training spectra were prepared: the parameters of the `ContinuumNormalizer`, and under
        ``"combination"`` which combined spectrum was read. Text, numbers, lists and mappings. None: what the model
        came with, if it was loaded.
    provenance : mapping, default=None
        What the model was trained on: ``{"training_data": "synthetic", "n_stars": 4000, "snr": 200}``, say. Likewise.
    overwrite : bool, default=False
        Whether a saved model of this name may be replaced.

    Returns
    -------
    path : pathlib.Path
        The folder written.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is of another class, or something beside it is neither text, number, list nor mapping.
    ValueError
        If its weights are not finite.
    FileExistsError
        If the folder exists and `overwrite` is False, or it holds files that belong to no model.
    OSError
        If it cannot be written; nothing is then left under its name.

    See Also
    --------
    load_folder : The way back.

    Notes
    -----
    A `random_state` that is not a number is saved as null: what the model says depends on `seed_`, which is kept.
    `windows` come back as `ElementWindows`, whatever mapping they were.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor
    >>> from skbcnn.persistence import load_folder, save_folder
    >>> X = np.random.default_rng(0).normal(size=(20, 30))
    >>> model = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=1, random_state=0).fit(X, X[:, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = save_folder(model, f"{folder}/giants", provenance={"training_data": "random numbers"})
    ...     again = load_folder(saved)
    >>> bool((again.predict(X) == model.predict(X)).all()), again.provenance_
    (True, {'training_data': 'random numbers'})
    """
    path = Path(path)
    if type(model) not in _CLASSES.values():
        raise TypeError(
            f"A {type(model).__name__} cannot be saved as a folder, expected {' or '.join(_CLASSES)}. Of a pipeline or "
            "a search, pass the regressor in it; joblib saves the whole."
        )
    check_is_fitted(model)
    arrays = _encode_arrays(_arrays_of(model))
    document = _document(model) | {
        "preprocessing": _plain(preprocessing or getattr(model, "preprocessing_", {}), "preprocessing"),
        "provenance": _plain(provenance or getattr(model, "provenance_", {}), "provenance"),
        "weights_sha256": hashlib.sha256(arrays).hexdigest(),
    }
    text = (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    _rebuilt(text, arrays, path)  # what is saved has been loaded once
    if overwrite:
        _check_replaceable(path)
    with atomic_path(path, overwrite=overwrite) as folder:
        folder.mkdir()
        (folder / _TEXT).write_bytes(text)
        (folder / _ARRAYS).write_bytes(arrays)
    return path


def load_folder(path):
    """Load a regressor that `save_folder` saved.

    Nothing in the folder is run, imported or unpickled, and TensorFlow is not imported before the first prediction.

    Parameters
    ----------
    path : str or path-like
        The folder.

    Returns
    -------
    model : CensoredBCNNRegressor or ApogeeBCNNCensoredRegressor
        Fitted. Its attributes `preprocessing_` and `provenance_` are what `save_folder` was told, as dicts.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ModelFolderError
        If it does not hold a whole model of a known format; the message says why. It is a ValueError.

    See Also
    --------
    save_folder : Save one, with an example.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Give the path of a folder that save_folder wrote.")
    return _rebuilt(_read(folder / _TEXT), _read(folder / _ARRAYS), folder)


def _check_replaceable(path):
    """Refuse to replace a folder that is more than a model."""
    others = {entry.name for entry in path.iterdir()} - {_TEXT, _ARRAYS} if path.is_dir() else set()
    if others:
        raise FileExistsError(
            f"{path} holds {', '.join(sorted(others)[:3])}, which belong to no saved model and would be deleted with "
            "it. Choose another name, or remove the folder yourself."
        )


# From the model to text and arrays


def _document(model):
    """All of a model that is not an array."""
    return {
        "format_version": FORMAT_VERSION,
        "class": type(model).__name__,
        "written_with": _versions(),
        "parameters": _parameters(model),
        "labels": [
            {
                "name": name,
                "unit": label_unit(name) or None,
                "window": window and _run_text(window),
                "widening": list(widening),
            }
            for name, window, widening in zip(
                model.target_names_, model.spec_.windows, model.spec_.widening, strict=True
            )
        ],
        "single_label": model._single_label,
        "network": {
            name: _plain(getattr(model.spec_, name), name)
            for name in ("n_pixels", "num_hidden", "num_filters", *_SPEC_NUMBERS)
        },
        "feature_names": _plain(getattr(model, "feature_names_in_", None), "feature_names_in_"),
        "spectra_mode": _plain(model.spectra_normalizer_.mode, "input_norm_mode"),
        "label_mode": _plain(model.label_normalizer_.mode, "labels_norm_mode"),
        **{
            name: _plain(getattr(model, f"{name}_"), name)
            for name in ("seed", "inv_tau", "noise_level", "n_iter", "interrupted", "history")
        },
        "error_model": model.error_model_ and _error_model_to_plain(model.error_model_),
        "n_interval_scores": 0 if model.interval_scores_ is None else len(model.interval_scores_),
    }


def _error_model_to_plain(error_model):
    numbers = {name: getattr(error_model, name).tolist() for name in ("scale", "offset", "n_differences")}
    return {"source": error_model.source} | numbers


def _versions():
    """Of what the model was made with, for whoever wonders later."""
    versions = {"skbcnn": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _parameters(model):
    """Constructor parameters as JSON has them."""
    parameters = model.get_params(deep=False)
    if parameters.get("windows") is not None:
        parameters["windows"] = _windows_to_plain(parameters["windows"], model.n_features_in_)
    if not isinstance(parameters["random_state"], Integral):
        parameters["random_state"] = None
    parameters["callbacks"] = None  # functions are code
    return {name: _plain(value, name) for name, value in parameters.items()}


def _windows_to_plain(windows, n_pixels):
    if not isinstance(windows, ElementWindows):
        windows = ElementWindows(windows, n_pixels)
    return {
        "n_pixels": windows.n_pixels,
        "pixels": {name: _run_text(pixels) for name, pixels in windows.items()},
        "widening": {name: windows.widening(name) for name in windows},
    }


def _run_text(pixels):
    """Ascending pixel numbers as text: '16-57 219' is pixels 16 to 57, and 219."""
    pixels = np.asarray(pixels)
    runs = np.split(pixels, np.flatnonzero(np.diff(pixels) != 1) + 1)
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def _plain(value, where):
    """A value as JSON has it; numbers that JSON has not are spelt out."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(entry, where) for name, entry in value.items()}
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, columns of pandas
        return _plain(value.tolist(), where)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(entry, where) for entry in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    raise TypeError(
        f"{where} holds {value!r}, a {type(value).__name__}, which {_TEXT} cannot hold. Pass text, numbers, None, and "
        "lists or mappings of these with text as keys."
    )


def _arrays_of(model):
    """Weights and normaliser statistics by the names that they have in the file."""
    normalizers = {"spectra_normalizer": model.spectra_normalizer_, "label_normalizer": model.label_normalizer_}
    arrays = dict(model.weights_)
    for name, normalizer in normalizers.items():
        arrays |= {f"{name}.mean": normalizer.mean_, f"{name}.scale": normalizer.scale_}
    if broken := [name for name, values in arrays.items() if not np.isfinite(values).all()]:
        raise ValueError(
            f"{len(broken)} arrays of the model hold NaN or infinity (first: {broken[0]}): its training diverged. Fit "
            "it again with a smaller lr."
        )
    if model.interval_scores_ is not None:
        arrays[_SCORES] = np.nan_to_num(model.interval_scores_, nan=_NO_SCORE)
    return arrays


def _array_types(spec, n_scores):
    """Shape and type of every array of a file."""
    weights = {name: (shape, "<f4") for name, shape in spec.weight_shapes.items()}
    columns = {"spectra_normalizer": spec.n_pixels, "label_normalizer": spec.n_labels}
    scores = {_SCORES: ((n_scores, spec.n_labels), "<f8")} if n_scores else {}
    columns = {f"{name}.{part}": ((n,), "<f8") for name, n in columns.items() for part in ("mean", "scale")}
    return weights | columns | scores


def _encode_arrays(arrays):
    """The bytes of an HDF5 file of plain arrays. Made in memory: a full disk is then met by one ordinary write."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, dtype="<f4" if values.dtype == np.float32 else "<f8")
    return buffer.getvalue()


# From text and arrays to the model


def _read(path):
    """The bytes of a file, if it is one and not too large."""
    limit = _MAX_BYTES[path.name]
    try:
        if not path.is_file():
            raise ModelFolderError(
                f"{path.parent} has no file {path.name}, so it holds no whole model. Give a folder that save_folder "
                f"wrote, with both {_TEXT} and {_ARRAYS}."
            )
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelFolderError(
            f"{path} cannot be read ({error.strerror}). Copy or download the folder again."
        ) from error
    if len(data) > limit:
        raise ModelFolderError(f"{path} is larger than {limit} bytes, which no model is. Load another folder.")
    return data


def _rebuilt(text, data, folder):
    """A model from the bytes of its two files; `folder` is for the messages."""
    document = _parsed(text, folder / _TEXT)
    _check_format(document, folder / _TEXT)
    with _as_laid_down(folder / _TEXT):
        spec = _spec(document["network"], document["labels"])
        checksum = str(document["weights_sha256"])
        n_scores = _whole(document.get("n_interval_scores", 0), 0)  # early folders of this format have none
    if hashlib.sha256(data).hexdigest() != checksum:
        raise ModelFolderError(
            f"{folder / _ARRAYS} does not match its checksum in {_TEXT}: it is damaged, cut short, or belongs to "
            "another model. Copy or download both files again."
        )
    arrays = _decode_arrays(data, _array_types(spec, n_scores), folder / _ARRAYS)
    with _as_laid_down(folder / _TEXT):
        return _model(document, spec, arrays)


def _parsed(text, path):
    """JSON, with the numbers that `_plain` spelt out."""
    try:
        document = json.loads(text.decode(), object_hook=_numbers_spelt_out, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is not JSON ({error}). Copy or download the folder again.") from error
    if not isinstance(document, dict) or "format_version" not in document:
        raise ModelFolderError(
            f"{path} has no format_version, so it describes no model of skbcnn. Load another folder."
        )
    return document


def _numbers_spelt_out(entry):
    if entry.keys() == {"float"} and entry["float"] in ("nan", "inf", "-inf"):
        return float(entry["float"])
    return entry


def _refuse_constant(name):
    raise ValueError(f"it holds {name}")


def _check_format(document, path):
    if document["format_version"] != FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format version {document['format_version']}, but skbcnn {__version__} reads version "
            f"{FORMAT_VERSION}. Update skbcnn, or save the model again with this version."
        )
    if document.get("class") not in list(_CLASSES):  # a list: what comes may not be hashable
        raise ModelFolderError(
            f"{path} is of class {document.get('class')!r}, expected {' or '.join(_CLASSES)}. Load another folder."
        )


@contextmanager
def _as_laid_down(path):
    """Turn whatever a wrong entry leads to into a sentence."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFolderError(
            f"{path} is not as format {FORMAT_VERSION} has it ({type(error).__name__}: {error}). It was edited or "
            "damaged: copy or download the folder again."
        ) from error


def _spec(network, labels):
    """The network, its numbers checked by the rules of the constructor parameters."""
    n_pixels = _whole(network["n_pixels"], 1)
    numbers = {name: network[name] for name in _SPEC_NUMBERS}
    CensoredBCNNRegressor(**numbers)._validate_params()
    return NetworkSpec(
        n_pixels=n_pixels,
        windows=_windows([entry["window"] for entry in labels], n_pixels),
        widening=tuple(_wholes(entry["widening"], (1, 1)) for entry in labels),
        num_hidden=_wholes(network["num_hidden"], (1, 1, 1, 1, 0)),
        num_filters=_wholes(network["num_filters"], (1, 1)),
        **numbers,
    )


def _whole(value, least):
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} where a whole number of at least {least} is expected")
    return value


def _wholes(values, least):
    return tuple(_whole(value, low) for value, low in zip(values, least, strict=True))


def _windows(texts, n_pixels):
    """Windows from their texts: counted before any of them is written out."""
    runs = [None if text is None else _runs(text, n_pixels) for text in texts]
    if sum(last - first + 1 for window in runs for first, last in window or ()) > _MAX_WINDOW_PIXELS:
        raise ValueError(f"more than {_MAX_WINDOW_PIXELS} pixels in the windows")
    return tuple(
        None if window is None else tuple(pixel for first, last in window for pixel in range(first, last + 1))
        for window in runs
    )


def _runs(text, n_pixels):
    """First and last pixel of each run of '16-57 219'."""
    if not re.fullmatch(r"\d{1,9}(-\d{1,9})?( \d{1,9}(-\d{1,9})?)*", text, re.ASCII):
        raise ValueError(f"{text[:40]!r} where pixel runs such as '16-57 219' are expected")
    bounds = [[int(pixel) for pixel in run.split("-")] for run in text.split()]
    runs = [(bound[0], bound[-1]) for bound in bounds]
    ends = [-1, *(last for _, last in runs)]
    if ends[-1] >= n_pixels or any(
        not before < first <= last for before, (first, last) in zip(ends, runs, strict=False)
    ):
        raise ValueError(f"pixel runs {text[:40]!r}, which do not ascend from 0 to {n_pixels - 1}")
    return runs


def _decode_arrays(data, types, path):
    """Arrays of an HDF5 file that holds exactly these, and each as it is."""
    if sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in types.values()) > len(data):
        raise ModelFolderError(f"{path} is too small for the network of {_TEXT}. They do not belong together.")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if set(file) != set(types):
                odd = sorted(set(file) ^ set(types))
                raise ModelFolderError(
                    f"{path} does not hold the arrays of the network in {_TEXT}; lacking or too many are "
                    f"{', '.join(odd[:5])}. They do not belong together: copy or download both again."
                )
            return {name: _decode_array(file, name, *expected, path) for name, expected in types.items()}
    except ModelFolderError:
        raise
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFolderError(f"{path} cannot be read as HDF5 ({error}). Copy or download it again.") from error


def _decode_array(file, name, shape, dtype, path):
    dataset = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or not _is_plain(dataset):
        raise ModelFolderError(
            f"{name} of {path} is a link or otherwise no plain array, which save_folder never writes."
        )
    if dataset.shape != shape or dataset.dtype != dtype:
        raise ModelFolderError(
            f"{name} of {path} has shape {dataset.shape} and type {dataset.dtype}, expected {shape} and "
            f"{np.dtype(dtype)}. The file does not belong to this {_TEXT}: copy or download both again."
        )
    values = dataset[...].astype(dataset.dtype.newbyteorder("="))
    if not np.isfinite(values).all() or (name.endswith(".scale") and (values <= 0).any()):
        raise ModelFolderError(
            f"{name} of {path} holds NaN, infinity or a scale that is not positive, so nothing can be predicted with "
            "it. Copy or download the folder again."
        )
    return values


def _is_plain(dataset):
    """Whether the values lie in this file, in one piece, as large as they claim to be."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_external_count() == 0
        and dataset.dtype.kind == "f"
        and dataset.id.get_storage_size() == dataset.nbytes
    )


def _model(document, spec, arrays):
    """The regressor, as `fit` left it."""
    model = _unfitted(_CLASSES[document["class"]], document["parameters"])
    names = tuple(_text(entry["name"]) for entry in document["labels"])
    single, noise_level, feature_names = (document[name] for name in ("single_label", "noise_level", "feature_names"))
    if len(set(names)) != len(names) or (single and len(names) != 1):
        raise ValueError(f"labels {', '.join(names)} with single_label={single!r}")
    if feature_names is not None:
        if len(feature_names) != spec.n_pixels:
            raise ValueError(f"{len(feature_names)} feature names for {spec.n_pixels} pixels")
        model.feature_names_in_ = np.array([_text(name) for name in feature_names], dtype=object)
    vars(model).update(
        weights_={name: arrays[name] for name in spec.weight_shapes},
        spec_=spec,
        spectra_normalizer_=_normalizer(SpectraNormalizer, document["spectra_mode"], arrays, "spectra_normalizer"),
        label_normalizer_=_normalizer(LabelNormalizer, document["label_mode"], arrays, "label_normalizer"),
        history_={name: [float(value) for value in values] for name, values in document["history"].items()},
        n_iter_=_whole(document["n_iter"], 0),
        interrupted_=bool(document["interrupted"]),
        inv_tau_=float(document["inv_tau"]),
        noise_level_=None if noise_level is None else float(noise_level),
        target_names_=names,
        n_outputs_=len(names),
        n_features_in_=spec.n_pixels,
        seed_=_whole(document["seed"], 0),
        error_model_=_error_model_from_plain(document.get("error_model"), names),
        interval_scores_=_scores(arrays.get(_SCORES)),
        preprocessing_=dict(document["preprocessing"]),
        provenance_=dict(document["provenance"]),
        _single_label=bool(single),
        _live=LiveNetwork(),
    )
    return model


def _error_model_from_plain(entry, names):
    """The error model of these labels, if there is one."""
    if entry is None:
        return None
    scale, offset = (np.array([float(value) for value in entry[part]]) for part in ("scale", "offset"))
    n_differences = np.array([_whole(value, 0) for value in entry["n_differences"]])
    if not len(scale) == len(offset) == len(n_differences) == len(names):
        raise ValueError(f"the error model is not of {len(names)} labels")
    if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all() and (offset >= 0).all()):
        raise ValueError("the error model has error bars that are not positive")
    return ErrorModel(names, scale, offset, n_differences, _text(entry["source"]))


def _scores(array):
    """Interval scores as `fit` left them."""
    return None if array is None else np.where(array == _NO_SCORE, np.nan, array)


def _unfitted(cls, parameters):
    """An estimator of one of our classes, its parameters checked as `fit` checks them."""
    defaults = cls().get_params(deep=False)
    if unknown := sorted(set(parameters) - set(defaults)):
        raise ValueError(f"parameters {', '.join(unknown)} are not known to this version of skbcnn")
    decoded = {
        name: tuple(value) if isinstance(value, list) and isinstance(defaults[name], tuple) else value
        for name, value in parameters.items()
    }
    if decoded.get("windows") is not None:
        decoded["windows"] = _windows_from_plain(**decoded["windows"])
    model = cls(**decoded)
    model._validate_params()
    return model


def _windows_from_plain(n_pixels, pixels, widening):
    windows = _windows(pixels.values(), _whole(n_pixels, 1))
    widening = {name: _wholes(factors, (1, 1)) for name, factors in widening.items()}
    return ElementWindows(dict(zip(pixels, map(list, windows), strict=True)), n_pixels, widening)


def _text(value):
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where text is expected")
    return value


def _normalizer(cls, mode, arrays, name):
    normalizer = cls(mode)
    normalizer._validate_params()
    normalizer.mean_, normalizer.scale_ = arrays[f"{name}.mean"], arrays[f"{name}.scale"]
    normalizer.n_features_in_ = len(normalizer.mean_)
    return normalizer
