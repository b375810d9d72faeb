"""A fitted regressor as text and arrays, and back."""

import platform
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral

import numpy as np

from skbcnn import __version__
from skbcnn.calibration import ErrorModel
from skbcnn.network.spec import NetworkSpec
from skbcnn.persistence.files import ModelFolderError
from skbcnn.persistence.text import FORMAT_VERSION, as_text, plain, run_text, whole, wholes, windows_of
from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer
from skbcnn.regressor import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, LiveNetwork
from skbcnn.survey import ElementWindows, label_unit

CLASSES = {"CensoredBCNNRegressor": CensoredBCNNRegressor, "ApogeeBCNNCensoredRegressor": ApogeeBCNNCensoredRegressor}
_SCORES, _NO_SCORE = "interval_scores", -1.0  # name of the array; what stands for a star without that label
_PACKAGES = ("numpy", "scikit-learn", "tensorflow", "keras", "h5py")
_SPEC_NUMBERS = ("filter_len", "pool_length", "activation", "initializer", "dropout_rate", "l2", "maxnorm")


def document_of(model):
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
                "window": window and run_text(window),
                "widening": list(widening),
            }
            for name, window, widening in zip(
                model.target_names_, model.spec_.windows, model.spec_.widening, strict=True
            )
        ],
        "single_label": model._single_label,
        "network": {
            name: plain(getattr(model.spec_, name), name)
            for name in ("n_pixels", "num_hidden", "num_filters", *_SPEC_NUMBERS)
        },
        "feature_names": plain(getattr(model, "feature_names_in_", None), "feature_names_in_"),
        "spectra_mode": plain(model.spectra_normalizer_.mode, "input_norm_mode"),
        "label_mode": plain(model.label_normalizer_.mode, "labels_norm_mode"),
        **{
            name: plain(getattr(model, f"{name}_"), name)
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
    return {name: plain(value, name) for name, value in parameters.items()}


def _windows_to_plain(windows, n_pixels):
    if not isinstance(windows, ElementWindows):
        windows = ElementWindows(windows, n_pixels)
    return {
        "n_pixels": windows.n_pixels,
        "pixels": {name: run_text(pixels) for name, pixels in windows.items()},
        "widening": {name: windows.widening(name) for name in windows},
    }


def arrays_of(model):
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


def array_types(spec, n_scores):
    """Shape and type of every array of a file."""
    weights = {name: (shape, "<f4") for name, shape in spec.weight_shapes.items()}
    columns = {"spectra_normalizer": spec.n_pixels, "label_normalizer": spec.n_labels}
    scores = {_SCORES: ((n_scores, spec.n_labels), "<f8")} if n_scores else {}
    columns = {f"{name}.{part}": ((n,), "<f8") for name, n in columns.items() for part in ("mean", "scale")}
    return weights | columns | scores


def spec_of(network, labels):
    """The network, its numbers checked by the rules of the constructor parameters."""
    n_pixels = whole(network["n_pixels"], 1)
    numbers = {name: network[name] for name in _SPEC_NUMBERS}
    CensoredBCNNRegressor(**numbers)._validate_params()
    return NetworkSpec(
        n_pixels=n_pixels,
        windows=windows_of([entry["window"] for entry in labels], n_pixels),
        widening=tuple(wholes(entry["widening"], (1, 1)) for entry in labels),
        num_hidden=wholes(network["num_hidden"], (1, 1, 1, 1, 0)),
        num_filters=wholes(network["num_filters"], (1, 1)),
        **numbers,
    )


def check_format(document, path):
    if document["format_version"] != FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format version {document['format_version']}, but skbcnn {__version__} reads version "
            f"{FORMAT_VERSION}. Update skbcnn, or save the model again with this version."
        )
    if document.get("class") not in list(CLASSES):  # a list: what comes may not be hashable
        raise ModelFolderError(
            f"{path} is of class {document.get('class')!r}, expected {' or '.join(CLASSES)}. Load another folder."
        )


def model_of(document, spec, arrays):
    """The regressor, as `fit` left it."""
    model = _unfitted(CLASSES[document["class"]], document["parameters"])
    names = tuple(as_text(entry["name"]) for entry in document["labels"])
    single, noise_level, feature_names = (document[name] for name in ("single_label", "noise_level", "feature_names"))
    if len(set(names)) != len(names) or (single and len(names) != 1):
        raise ValueError(f"labels {', '.join(names)} with single_label={single!r}")
    if feature_names is not None:
        if len(feature_names) != spec.n_pixels:
            raise ValueError(f"{len(feature_names)} feature names for {spec.n_pixels} pixels")
        model.feature_names_in_ = np.array([as_text(name) for name in feature_names], dtype=object)
    vars(model).update(
        weights_={name: arrays[name] for name in spec.weight_shapes},
        spec_=spec,
        spectra_normalizer_=_normalizer(SpectraNormalizer, document["spectra_mode"], arrays, "spectra_normalizer"),
        label_normalizer_=_normalizer(LabelNormalizer, document["label_mode"], arrays, "label_normalizer"),
        history_={name: [float(value) for value in values] for name, values in document["history"].items()},
        n_iter_=whole(document["n_iter"], 0),
        interrupted_=bool(document["interrupted"]),
        inv_tau_=float(document["inv_tau"]),
        noise_level_=None if noise_level is None else float(noise_level),
        target_names_=names,
        n_outputs_=len(names),
        n_features_in_=spec.n_pixels,
        seed_=whole(document["seed"], 0),
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
    n_differences = np.array([whole(value, 0) for value in entry["n_differences"]])
    if not len(scale) == len(offset) == len(n_differences) == len(names):
        raise ValueError(f"the error model is not of {len(names)} labels")
    if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all() and (offset >= 0).all()):
        raise ValueError("the error model has error bars that are not positive")
    return ErrorModel(names, scale, offset, n_differences, as_text(entry["source"]))


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
    windows = windows_of(pixels.values(), whole(n_pixels, 1))
    widening = {name: wholes(factors, (1, 1)) for name, factors in widening.items()}
    return ElementWindows(dict(zip(pixels, map(list, windows), strict=True)), n_pixels, widening)


def _normalizer(cls, mode, arrays, name):
    normalizer = cls(mode)
    normalizer._validate_params()
    normalizer.mean_, normalizer.scale_ = arrays[f"{name}.mean"], arrays[f"{name}.scale"]
    normalizer.n_features_in_ = len(normalizer.mean_)
    return normalizer
