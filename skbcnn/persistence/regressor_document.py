"""A fitted regressor as a document for JSON and arrays, and back.

Which attributes are stored, and how, is the list `FITTED_STATE`. This module converts each kind of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from skbcnn._fitted_state import FITTED_STATE, FittedAttribute, Storage, restore
from skbcnn.calibration import ErrorModel
from skbcnn.calibration.absence import Uncalibrated
from skbcnn.metrics.responses import ResponseMatrix
from skbcnn.network.spec import NetworkSpec
from skbcnn.novelty import TrainingDomain
from skbcnn.persistence.estimator_parameters import describe_estimator, set_feature_names, unfitted_estimator
from skbcnn.persistence.json_values import as_int, as_ints, as_pair, as_text, parse_windows, pixel_runs, to_json
from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import label_unit

MODEL_ENTRIES = ("preprocessing", "provenance")  # of the whole model, so not in the document of a regressor in it
_SPEC_NUMBERS = ("filter_len", "pool_length", "activation", "initializer", "dropout_rate", "l2", "maxnorm")
_SPEC_ADDED_LATER = {"context_layer": "output"}  # value of networks in early folders, which lack the entry
_NORMALIZERS = {"spectra_normalizer_": SpectraNormalizer, "label_normalizer_": LabelNormalizer}
_MISSING_SCORE = -1.0  # stands for NaN, which no array in a file may hold
_RESIDUALS = ("bias", "scatter", "n_stars")
_RESPONSE_MATRICES = ("matrix", "standard_errors")
_RESPONSE_VALUES = ("elements", "n_stars", "mean_own_error", "errors_removed")
_ERROR_MODEL_ARRAYS = ("scale", "offset", "n_differences", "noise_slope", "noise_curve")


# Writing


def document_of(model: CensoredBCNNRegressor) -> dict[str, Any]:
    """Return everything of a fitted regressor that is not an array, as JSON can hold it."""
    document = describe_estimator(model) | network_to_json(model.spec_, model.target_names_)
    for name, attribute in FITTED_STATE.items():
        document |= _entries(name, attribute, getattr(model, name, None))
    return document


def _entries(name: str, attribute: FittedAttribute, value: Any) -> dict[str, Any]:
    """Return the entries of one fitted attribute in the document."""
    key = name.strip("_")
    if attribute.storage is Storage.JSON and key not in MODEL_ENTRIES:
        return {key: to_json(value, key)}
    if attribute.storage is Storage.OBJECT and name in _CONVERTERS:
        return {key: None if value is None else _CONVERTERS[name].to_json(value)}
    if attribute.storage is Storage.NORMALIZER:
        return {_mode_entry(name): to_json(value.mode, key)}
    if attribute.storage is Storage.ARRAY and attribute.shape[0] == "n_scores":
        return {key: value is not None} if name != "interval_scores_" else {"n_interval_scores": _length(value)}
    if attribute.storage is Storage.ARRAYS:
        return {f"n_{key}_components": _length(value and value.components)}
    return {}


def _mode_entry(name: str) -> str:
    """Return the entry of the mode of a normalizer: "spectra_mode" for "spectra_normalizer_"."""
    return name.replace("normalizer_", "mode")


def _length(values: np.ndarray | None) -> int:
    return 0 if values is None else len(values)


def network_to_json(spec: NetworkSpec, label_names: Sequence[str]) -> dict[str, Any]:
    """Return the entries of the labels and of the architecture of the network."""
    return {
        "labels": [
            {
                "name": name,
                "unit": label_unit(name) or None,
                "window": window and pixel_runs(window),
                "widening": list(widening),
            }
            for name, window, widening in zip(label_names, spec.windows, spec.widening, strict=True)
        ],
        "network": {
            name: to_json(getattr(spec, name), name)
            for name in ("n_pixels", "num_hidden", "num_filters", *_SPEC_NUMBERS, *_SPEC_ADDED_LATER)
        },
    }


def arrays_of(model: CensoredBCNNRegressor) -> dict[str, np.ndarray]:
    """Return all arrays of a fitted regressor by their names in the file."""
    arrays = dict(_arrays_of_state(model))
    if broken := [name for name, values in arrays.items() if not np.isfinite(values).all()]:
        raise ValueError(
            f"{len(broken)} arrays of the model hold NaN or infinity (first: {broken[0]}): its training diverged. Fit "
            "it again with a smaller lr."
        )
    return arrays


def _arrays_of_state(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    for name, attribute in FITTED_STATE.items():
        key, value = name.strip("_"), vars(model).get(name)
        if attribute.storage is Storage.WEIGHTS:
            yield from value.items()
        elif attribute.storage is Storage.NORMALIZER:
            yield from ((f"{key}.mean", value.mean_), (f"{key}.scale", value.scale_))
        elif attribute.storage is Storage.ARRAY and value is not None:
            yield key, np.nan_to_num(value, nan=_MISSING_SCORE, posinf=np.inf, neginf=-np.inf)
        elif attribute.storage is Storage.ARRAYS and value is not None:
            yield from ((f"{key}.{part}", values) for part, values in vars(value).items())


# Reading


def array_types(document: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and type of every array of the regressor that a document describes."""
    spec = spec_from_json(document["network"], document["labels"])
    sizes = {
        "n_scores": as_int(document.get("n_interval_scores", 0), 0),  # early folders have no scores
        "n_labels": spec.n_labels,
        "n_pixels": spec.n_pixels,
    }
    n_components = as_int(document.get("n_domain_components", 0), 0)  # nor components
    types: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, attribute in FITTED_STATE.items():
        key, shape = name.strip("_"), tuple(sizes[size] for size in attribute.shape)
        if attribute.storage is Storage.WEIGHTS:
            types |= {weight: (shape, "<f4") for weight, shape in spec.weight_shapes.items()}
        elif attribute.storage is Storage.NORMALIZER:
            types |= {f"{key}.{part}": (shape, "<f8") for part in ("mean", "scale")}
        elif attribute.storage is Storage.ARRAY and _is_present(name, document, sizes["n_scores"], n_components):
            types[key] = (shape, "<f8")
        elif attribute.storage is Storage.ARRAYS and n_components:
            of_domain = TrainingDomain.array_types(n_components, spec.n_pixels, spec.n_labels)
            types |= {f"{key}.{part}": expected for part, expected in of_domain.items()}
    return types


def _is_present(name: str, document: Mapping[str, Any], n_scores: int, n_components: int) -> bool:
    """Return whether the file holds an array of the held-out stars."""
    if name == "interval_scores_":
        return n_scores > 0
    present = bool(document.get(name.strip("_"), False))
    if present and not (n_scores and n_components):
        raise ValueError(f"{name.strip('_')} is true, but there are no interval scores or no domain that it belongs to")
    return present


def spec_from_json(network: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> NetworkSpec:
    """Return the architecture of a network, checked by the constraints of the constructor parameters."""
    n_pixels = as_int(network["n_pixels"], 1)
    numbers = {name: network[name] for name in _SPEC_NUMBERS}
    numbers |= {name: network.get(name, before) for name, before in _SPEC_ADDED_LATER.items()}
    CensoredBCNNRegressor(**numbers)._validate_params()
    return NetworkSpec(
        n_pixels=n_pixels,
        windows=parse_windows([entry["window"] for entry in labels], n_pixels),
        widening=tuple(as_pair(entry["widening"]) for entry in labels),
        num_hidden=as_ints(network["num_hidden"], (1, 1, 1, 1, 0)),
        num_filters=as_ints(network["num_filters"], (1, 1)),
        **numbers,
    )


def regressor_from(cls: type, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the fitted regressor of a document and its arrays.

    Parameters
    ----------
    cls : type
        Class of the regressor.
    document : mapping
        Document as `document_of` returns it. An attribute that it lacks gets its default in `FITTED_STATE`.
    arrays : mapping of str to ndarray
        Arrays of the names, shapes and types that `array_types` returns.
    """
    model = unfitted_estimator(cls, document)
    spec = spec_from_json(document["network"], document["labels"])
    spec = replace(spec, n_supervised=min(len(document.get("context_labels", ())), spec.n_free))
    names = tuple(as_text(entry["name"]) for entry in document["labels"])
    if len(set(names)) != len(names) or (document["single_label"] and len(names) != 1):
        raise ValueError(f"labels {', '.join(names)} with single_label={document['single_label']!r}")
    derived = {"spec_": spec, "target_names_": names, "n_outputs_": len(names), "n_features_in_": spec.n_pixels}
    stored = {
        name: _stored_value(name, attribute, document, arrays, spec, names)
        for name, attribute in FITTED_STATE.items()
        if name not in derived and _is_stored(name, attribute, document, arrays)
    }
    restore(model, vars(model) | derived | stored)
    set_feature_names(model, document["feature_names"])
    return model


def _is_stored(
    name: str, attribute: FittedAttribute, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> bool:
    key = name.strip("_")
    if attribute.storage in (Storage.JSON, Storage.OBJECT):
        return key in document and key not in MODEL_ENTRIES
    if attribute.storage is Storage.ARRAYS:
        return any(array.startswith(f"{key}.") for array in arrays)
    return attribute.storage in (Storage.WEIGHTS, Storage.NORMALIZER) or key in arrays


def _stored_value(
    name: str,
    attribute: FittedAttribute,
    document: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    spec: NetworkSpec,
    label_names: Sequence[str],
) -> Any:
    """Return the value of one fitted attribute."""
    key = name.strip("_")
    match attribute.storage:
        case Storage.JSON:
            return _JSON_CHECKS[name](document[key])
        case Storage.OBJECT:
            return None if document[key] is None else _CONVERTERS[name].from_json(document[key], label_names)
        case Storage.WEIGHTS:
            return {weight: arrays[weight] for weight in spec.weight_shapes}
        case Storage.NORMALIZER:
            return _normalizer(_NORMALIZERS[name], document[_mode_entry(name)], arrays, key)
        case Storage.ARRAYS:
            return _domain(arrays, f"{key}.")
        case _:
            return _held_out_array(name, arrays[key])


def _normalizer(cls: type, mode: Any, arrays: Mapping[str, np.ndarray], key: str) -> Any:
    normalizer = cls(mode)
    normalizer._validate_params()
    normalizer.mean_, normalizer.scale_ = arrays[f"{key}.mean"], arrays[f"{key}.scale"]
    normalizer.n_features_in_ = len(normalizer.mean_)
    return normalizer


def _domain(arrays: Mapping[str, np.ndarray], prefix: str) -> TrainingDomain:
    parts = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
    if any((parts[name] < 0).any() for name in parts.keys() - {"center", "components", "label_range"}):
        raise ValueError("the description of the training set has limits or spreads below 0")
    return TrainingDomain(**parts)


def _held_out_array(name: str, values: np.ndarray) -> np.ndarray:
    """Return interval scores with NaN where a label is missing, or the noise levels of the held-out stars."""
    if name == "interval_scores_":
        return np.where(values == _MISSING_SCORE, np.nan, values)
    if (values < 0).any():
        raise ValueError(f"{name.strip('_')} holds negative values")
    return values


def _context_labels(value: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [
        {
            "weights": {as_text(name): float(weight) for name, weight in entry["weights"].items()},
            "mean": float(entry["mean"]),
            "std": float(entry["std"]),
        }
        for entry in value
    ]
    if not all(math.isfinite(entry["mean"]) and 0 < entry["std"] < math.inf for entry in entries):
        raise ValueError("the mean of a context label is not finite, or its standard deviation is not above 0")
    return entries


def _history(value: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: [float(number) for number in numbers] for name, numbers in value.items()}


_JSON_CHECKS: Mapping[str, Callable[[Any], Any]] = {  # return the value of an attribute, or raise
    "context_labels_": _context_labels,
    "history_": _history,
    "n_iter_": lambda value: as_int(value, 0),
    "interrupted_": bool,
    "inv_tau_": float,
    "noise_level_": lambda value: None if value is None else float(value),
    "noise_augmented_": bool,
    "_draws_counted_once": bool,
    "_near_one": bool,
    "_uncalibrated": Uncalibrated,
    "seed_": lambda value: as_int(value, 0),
    "_single_label": bool,
}


# Attributes that are objects


class _Converter(NamedTuple):
    """Functions that convert an attribute of `Storage.OBJECT`; None is not passed to them."""

    to_json: Callable[[Any], Any]
    from_json: Callable[[Any, Sequence[str]], Any]  # entry of the document, names of the labels


def _error_model_to_json(error_model: ErrorModel) -> dict[str, Any]:
    values = {name: getattr(error_model, name) for name in _ERROR_MODEL_ARRAYS}
    entry: dict[str, Any] = {"source": error_model.source}
    entry |= {name: array.tolist() for name, array in values.items() if array is not None}
    if error_model.noise_range is not None:
        entry["noise_range"] = list(error_model.noise_range)
    return entry


def _error_model_from_json(entry: Mapping[str, Any], label_names: Sequence[str]) -> ErrorModel:
    scale, offset = (np.array([float(value) for value in entry[part]]) for part in ("scale", "offset"))
    n_differences = np.array([as_int(value, 0) for value in entry["n_differences"]])
    if not len(scale) == len(offset) == len(n_differences) == len(label_names):
        raise ValueError(f"the error model is not of {len(label_names)} labels")
    if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all() and (offset >= 0).all()):
        raise ValueError("the error model has standard deviations that are not positive")
    noise = _noise_from_json(entry, len(label_names)) if "noise_slope" in entry else ()
    return ErrorModel(tuple(label_names), scale, offset, n_differences, as_text(entry["source"]), *noise)


def _noise_from_json(entry: Mapping[str, Any], n_labels: int) -> tuple[np.ndarray, tuple[float, float], np.ndarray]:
    """Return how the standard deviations depend on the noise level: slope, range and curve."""
    slope = np.array([float(value) for value in entry["noise_slope"]])
    curve = np.array([float(value) for value in entry.get("noise_curve", [0.0] * len(slope))])  # added later
    least, median = (float(value) for value in entry["noise_range"])
    if not len(slope) == len(curve) == n_labels or not 0 < least <= median < np.inf:
        raise ValueError("the error model has a noise level that is not positive, or not one power for each label")
    if not (np.isfinite(slope).all() and np.isfinite(curve).all() and (curve >= 0).all()):
        raise ValueError("the error model has powers of the noise level that are infinite or decrease")
    return slope, (least, median), curve


def _residuals_to_json(residuals: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return {
        name: dict(zip(_RESIDUALS, to_json(list(values), "validation_residuals_"), strict=True))
        for name, values in residuals.items()
    }


def _residuals_from_json(
    entry: Mapping[str, Mapping[str, Any]], label_names: Sequence[str]
) -> dict[str, tuple[float, float, int]]:
    if list(entry) != list(label_names):
        raise ValueError(f"the residuals are of {', '.join(entry)}, not of the labels")
    residuals = {
        name: (float(values["bias"]), float(values["scatter"]), as_int(values["n_stars"], 0))
        for name, values in entry.items()
    }
    if any(np.isinf(values).any() or values[1] < 0 for values in residuals.values()):
        raise ValueError("the residuals are infinite, or their scatter is negative")
    return residuals


def _responses_to_json(responses: ResponseMatrix) -> dict[str, Any]:
    values = {name: getattr(responses, name) for name in (*_RESPONSE_MATRICES, "spreads", *_RESPONSE_VALUES)}
    return {name: to_json(value, "validation_responses_") for name, value in values.items()}


def _responses_from_json(entry: Mapping[str, Any], label_names: Sequence[str]) -> ResponseMatrix:
    n_labels = len(label_names)
    matrix, errors = (np.array(entry[name], dtype=np.float64) for name in _RESPONSE_MATRICES)
    spreads, elements = np.array(entry["spreads"], dtype=np.float64), tuple(map(as_text, entry["elements"]))
    if not matrix.shape == errors.shape == (n_labels, n_labels) or spreads.shape != (n_labels,):
        raise ValueError(f"the responses are not of {n_labels} labels")
    if np.isinf(matrix).any() or np.isinf(errors).any() or (errors < 0).any() or not set(elements) <= set(label_names):
        raise ValueError("the responses are infinite, have negative errors, or are of other labels")
    return ResponseMatrix(
        label_names=tuple(label_names),
        matrix=matrix,
        standard_errors=errors,
        elements=elements,
        n_stars=as_int(entry["n_stars"], 0),
        spreads=spreads,
        mean_own_error=float(entry["mean_own_error"]),
        errors_removed=bool(entry["errors_removed"]),
    )


_CONVERTERS: Mapping[str, _Converter] = {
    "error_model_": _Converter(_error_model_to_json, _error_model_from_json),
    "interval_error_model_": _Converter(_error_model_to_json, _error_model_from_json),
    "validation_residuals_": _Converter(_residuals_to_json, _residuals_from_json),
    "validation_responses_": _Converter(_responses_to_json, _responses_from_json),
}
