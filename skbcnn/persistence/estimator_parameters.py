"""Constructor parameters, feature names and metadata requests of any estimator as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator

from skbcnn.augmentation import Augmentation
from skbcnn.persistence.json_values import as_int, as_pair, as_text, parse_windows, pixel_runs, to_json
from skbcnn.survey import ElementWindows
from skbcnn.survey.bitmask import with_bit_numbers

_METHODS = ("fit", "partial_fit", "predict", "score", "transform")  # that can request metadata


def describe_estimator(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the entries that the documents of all estimators have: class, parameters, feature names, requests."""
    requests = _requests_to_json(estimator)
    return {
        "class": type(estimator).__name__,
        "parameters": parameters_to_json(estimator),
        "feature_names": to_json(getattr(estimator, "feature_names_in_", None), "feature_names_in_"),
    } | ({"requests": requests} if requests else {})


def parameters_to_json(estimator: Any) -> dict[str, Any]:
    """Return the constructor parameters as JSON can hold them.

    Parameters
    ----------
    estimator : estimator
        Estimator; fitted, if its windows are pixel numbers without a grid.

    Returns
    -------
    parameters : dict of str to object
        `callbacks`, and a `random_state` that is not a number, are None.
    """
    parameters = with_bit_numbers(estimator.get_params(deep=False))
    if parameters.get("windows") is not None:
        parameters["windows"] = _windows_to_json(parameters["windows"], estimator.n_features_in_)
    if not isinstance(parameters.get("random_state"), Integral | None):
        parameters["random_state"] = None
    if isinstance(parameters.get("augmentation"), Augmentation):
        parameters["augmentation"] = parameters["augmentation"].to_dict()
    if "callbacks" in parameters:
        parameters["callbacks"] = None  # functions are code
    return {name: to_json(value, name) for name, value in parameters.items()}


def _windows_to_json(windows: Any, n_pixels: int) -> dict[str, Any]:
    if not isinstance(windows, ElementWindows):
        windows = ElementWindows(windows, n_pixels)
    return {
        "n_pixels": windows.n_pixels,
        "pixels": {name: pixel_runs(pixels) for name, pixels in windows.items()},
        "widening": {name: windows.widening(name) for name in windows},
    }


def _requests_to_json(estimator: Any) -> dict[str, Any]:
    """Return the metadata requests of each method that differ from the default of the class."""
    requests, defaults = (each.get_metadata_routing() for each in (estimator, type(estimator)()))
    return {
        method: to_json(dict(getattr(requests, method).requests), "requests")
        for method in _METHODS
        if getattr(requests, method).requests != getattr(defaults, method).requests
    }


def unfitted_estimator(cls: Any, document: Mapping[str, Any]) -> Any:
    """Return an unfitted estimator with the parameters and requests of a document.

    Parameters
    ----------
    cls : class
        One of our estimator classes.
    document : mapping
        Entries as `describe_estimator` returns them. They are checked as in `fit`.
    """
    parameters = document["parameters"]
    defaults = cls().get_params(deep=False)
    if unknown := sorted(set(parameters) - set(defaults)):
        raise ValueError(f"parameters {', '.join(unknown)} are not known to this version of skbcnn")
    parameters = {**cls._parameters_added_later, **parameters}
    decoded: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) and isinstance(defaults[name], tuple) else value
        for name, value in parameters.items()
    }
    if decoded.get("windows") is not None:
        decoded["windows"] = _windows_from_json(**decoded["windows"])
    estimator = cls(**decoded)
    estimator._validate_params()
    with sklearn.config_context(enable_metadata_routing=True):  # otherwise requests cannot be set
        for method, requests in document.get("requests", {}).items():
            if method not in _METHODS:
                raise ValueError(f"{method!r} is no method that requests metadata")
            getattr(estimator, f"set_{method}_request")(**requests)
    return estimator


def _windows_from_json(n_pixels: Any, pixels: Mapping[str, str], widening: Mapping[str, Any]) -> ElementWindows:
    windows = parse_windows(pixels.values(), as_int(n_pixels, 1))
    factors = {name: as_pair(pair) for name, pair in widening.items()}
    return ElementWindows(
        {name: list(window or ()) for name, window in zip(pixels, windows, strict=True)}, n_pixels, factors
    )


def set_feature_names(estimator: Any, names: Sequence[Any] | None) -> None:
    """Set the names of the pixels of a fitted estimator, unless there are none."""
    if names is None:
        return
    if len(names) != estimator.n_features_in_:
        raise ValueError(f"{len(names)} feature names for {estimator.n_features_in_} pixels")
    estimator.feature_names_in_ = np.array([as_text(name) for name in names], dtype=object)
