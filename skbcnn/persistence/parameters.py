"""Constructor parameters, feature names and metadata requests of any estimator as JSON has them, and back, checked."""

from numbers import Integral

import numpy as np
import sklearn

from skbcnn.persistence.text import as_text, plain, run_text, whole, wholes, windows_of
from skbcnn.survey import ElementWindows

_REQUESTING = ("fit", "partial_fit", "predict", "score", "transform")  # methods that may ask for metadata


def described(estimator):
    """What can be said of any estimator: its class, parameters, pixels and requests."""
    requests = _requests(estimator)
    return {
        "class": type(estimator).__name__,
        "parameters": _parameters(estimator),
        "feature_names": plain(getattr(estimator, "feature_names_in_", None), "feature_names_in_"),
    } | ({"requests": requests} if requests else {})


def _parameters(estimator):
    parameters = estimator.get_params(deep=False)
    if parameters.get("windows") is not None:
        parameters["windows"] = _windows_to_plain(parameters["windows"], estimator.n_features_in_)
    if not isinstance(parameters.get("random_state"), Integral | None):
        parameters["random_state"] = None
    if "callbacks" in parameters:
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


def _requests(estimator):
    """What `set_fit_request` and its like were told, where it differs from what the class asks for by itself."""
    told, default = (each.get_metadata_routing() for each in (estimator, type(estimator)()))
    requests = {method: getattr(told, method).requests for method in _REQUESTING}
    return {
        method: plain(dict(asked), "requests")
        for method, asked in requests.items()
        if asked != getattr(default, method).requests
    }


def unfitted(cls, document):
    """An estimator of one of our classes, its parameters checked as `fit` checks them."""
    parameters = document["parameters"]
    defaults = cls().get_params(deep=False)
    if unknown := sorted(set(parameters) - set(defaults)):
        raise ValueError(f"parameters {', '.join(unknown)} are not known to this version of skbcnn")
    parameters = {**cls._parameters_added_later, **parameters}  # behaviour of the version that wrote them
    decoded = {
        name: tuple(value) if isinstance(value, list) and isinstance(defaults[name], tuple) else value
        for name, value in parameters.items()
    }
    if decoded.get("windows") is not None:
        decoded["windows"] = _windows_from_plain(**decoded["windows"])
    estimator = cls(**decoded)
    estimator._validate_params()
    with sklearn.config_context(enable_metadata_routing=True):  # else requests cannot be set
        for method, asked in document.get("requests", {}).items():
            if method not in _REQUESTING:
                raise ValueError(f"{method!r} asks for no metadata")
            getattr(estimator, f"set_{method}_request")(**asked)
    return estimator


def _windows_from_plain(n_pixels, pixels, widening):
    windows = windows_of(pixels.values(), whole(n_pixels, 1))
    widening = {name: wholes(factors, (1, 1)) for name, factors in widening.items()}
    return ElementWindows(dict(zip(pixels, map(list, windows), strict=True)), n_pixels, widening)


def name_features(estimator, names):
    """Give an estimator the names of its pixels, if they had any."""
    if names is None:
        return
    if len(names) != estimator.n_features_in_:
        raise ValueError(f"{len(names)} feature names for {estimator.n_features_in_} pixels")
    estimator.feature_names_in_ = np.array([as_text(name) for name in names], dtype=object)
