"""A fitted regressor as text and arrays, and back."""

import numpy as np

from skbcnn._fitted_state import restore
from skbcnn.calibration import ErrorModel
from skbcnn.network.spec import NetworkSpec
from skbcnn.novelty import TrainingDomain
from skbcnn.persistence.parameters import described, name_features, unfitted
from skbcnn.persistence.text import as_text, plain, run_text, whole, wholes, windows_of
from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import label_unit

_SCORES, _NO_SCORE = "interval_scores", -1.0  # name of the array; what stands for a star without that label
_SCORES_NOISE = "interval_noise"
_DOMAIN = "domain."  # before the names of the arrays of a `TrainingDomain`
_RESIDUALS = ("bias", "scatter", "n_stars")
_SPEC_NUMBERS = ("filter_len", "pool_length", "activation", "initializer", "dropout_rate", "l2", "maxnorm")
_LATER_NUMBERS = {"context_layer": "output"}  # of networks, which early folders do not tell; what it was then


def document_of(model):
    """All of a fitted regressor that is not an array."""
    return (
        described(model)
        | network_to_plain(model.spec_, model.target_names_)
        | {
            "single_label": model._single_label,
            "spectra_mode": plain(model.spectra_normalizer_.mode, "input_norm_mode"),
            "label_mode": plain(model.label_normalizer_.mode, "labels_norm_mode"),
            **{
                name: plain(getattr(model, f"{name}_"), name)
                for name in ("seed", "inv_tau", "noise_level", "n_iter", "interrupted", "history")
            },
            "error_model": model.error_model_ and _error_model_to_plain(model.error_model_),
            "n_interval_scores": 0 if model.interval_scores_ is None else len(model.interval_scores_),
            "interval_noise": _interval_noise(model) is not None,
            "n_domain_components": 0 if model.domain_ is None else len(model.domain_.components),
            "validation_residuals": _residuals_to_plain(getattr(model, "validation_residuals_", None)),
        }
    )


def network_to_plain(spec, names):
    """A network and its labels."""
    return {
        "labels": [
            {
                "name": name,
                "unit": label_unit(name) or None,
                "window": window and run_text(window),
                "widening": list(widening),
            }
            for name, window, widening in zip(names, spec.windows, spec.widening, strict=True)
        ],
        "network": {
            name: plain(getattr(spec, name), name)
            for name in ("n_pixels", "num_hidden", "num_filters", *_SPEC_NUMBERS, *_LATER_NUMBERS)
        },
    }


def _interval_noise(model):
    return getattr(model, "interval_noise_", None)  # pickles of early versions have none


def _error_model_to_plain(error_model):
    of_labels = ("scale", "offset", "n_differences", "noise_slope", "noise_curve")
    known = {name: getattr(error_model, name) for name in of_labels if getattr(error_model, name) is not None}
    numbers = {name: values.tolist() for name, values in known.items()}
    if error_model.noise_range is not None:
        numbers["noise_range"] = list(error_model.noise_range)
    return {"source": error_model.source} | numbers


def _residuals_to_plain(residuals):
    if residuals is None:
        return None
    return {
        name: dict(zip(_RESIDUALS, plain(list(figures), "validation_residuals_"), strict=True))
        for name, figures in residuals.items()
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
    if _interval_noise(model) is not None:
        arrays[_SCORES_NOISE] = model.interval_noise_
    if model.domain_ is not None:
        arrays |= {f"{_DOMAIN}{name}": values for name, values in vars(model.domain_).items()}
    return arrays


def array_types(document):
    """Shape and type of every array of the regressor that a document describes."""
    spec = spec_of(document["network"], document["labels"])
    n_scores = whole(document.get("n_interval_scores", 0), 0)  # early folders of this format have none
    n_components = whole(document.get("n_domain_components", 0), 0)  # likewise
    weights = {name: (shape, "<f4") for name, shape in spec.weight_shapes.items()}
    columns = {"spectra_normalizer": spec.n_pixels, "label_normalizer": spec.n_labels}
    scores = {_SCORES: ((n_scores, spec.n_labels), "<f8")} if n_scores else {}
    if document.get("interval_noise", False):
        if not n_scores or not n_components:
            raise ValueError("there is noise of spectra, but not of which, or not how it was measured")
        scores[_SCORES_NOISE] = ((n_scores,), "<f8")
    columns = {f"{name}.{part}": ((n,), "<f8") for name, n in columns.items() for part in ("mean", "scale")}
    domain = TrainingDomain.array_types(n_components, spec.n_pixels, spec.n_labels) if n_components else {}
    return weights | columns | scores | {f"{_DOMAIN}{name}": expected for name, expected in domain.items()}


def spec_of(network, labels):
    """The network, its numbers checked by the rules of the constructor parameters."""
    n_pixels = whole(network["n_pixels"], 1)
    numbers = {name: network[name] for name in _SPEC_NUMBERS}
    numbers |= {name: network.get(name, before) for name, before in _LATER_NUMBERS.items()}
    CensoredBCNNRegressor(**numbers)._validate_params()
    return NetworkSpec(
        n_pixels=n_pixels,
        windows=windows_of([entry["window"] for entry in labels], n_pixels),
        widening=tuple(wholes(entry["widening"], (1, 1)) for entry in labels),
        num_hidden=wholes(network["num_hidden"], (1, 1, 1, 1, 0)),
        num_filters=wholes(network["num_filters"], (1, 1)),
        **numbers,
    )


def model_of(cls, document, arrays):
    """The regressor, as `fit` left it."""
    model = unfitted(cls, document)
    spec = spec_of(document["network"], document["labels"])
    names = tuple(as_text(entry["name"]) for entry in document["labels"])
    single, noise_level = document["single_label"], document["noise_level"]
    if len(set(names)) != len(names) or (single and len(names) != 1):
        raise ValueError(f"labels {', '.join(names)} with single_label={single!r}")
    state = {
        "weights_": {name: arrays[name] for name in spec.weight_shapes},
        "spec_": spec,
        "spectra_normalizer_": _normalizer(SpectraNormalizer, document["spectra_mode"], arrays, "spectra_normalizer"),
        "label_normalizer_": _normalizer(LabelNormalizer, document["label_mode"], arrays, "label_normalizer"),
        "history_": {name: [float(value) for value in values] for name, values in document["history"].items()},
        "n_iter_": whole(document["n_iter"], 0),
        "interrupted_": bool(document["interrupted"]),
        "inv_tau_": float(document["inv_tau"]),
        "noise_level_": None if noise_level is None else float(noise_level),
        "target_names_": names,
        "n_outputs_": len(names),
        "n_features_in_": spec.n_pixels,
        "seed_": whole(document["seed"], 0),
        "error_model_": _error_model_from_plain(document.get("error_model"), names),
        "interval_scores_": _scores(arrays.get(_SCORES)),
        "interval_noise_": _scores_noise(arrays.get(_SCORES_NOISE)),
        "domain_": _domain(arrays),
        "validation_residuals_": _residuals_from_plain(document.get("validation_residuals"), names),
        "_single_label": bool(single),
    }
    restore(model, state)
    name_features(model, document["feature_names"])
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
    noise = _noise_dependence(entry, names) if "noise_slope" in entry else ()
    return ErrorModel(names, scale, offset, n_differences, as_text(entry["source"]), *noise)


def _noise_dependence(entry, names):
    """Powers of the noise, the noise that they are of, and how they rise."""
    slope = np.array([float(value) for value in entry["noise_slope"]])
    curve = np.array([float(value) for value in entry.get("noise_curve", [0.0] * len(slope))])  # early folders: none
    least, median = (float(value) for value in entry["noise_range"])
    if not len(slope) == len(curve) == len(names) or not 0 < least <= median < np.inf:
        raise ValueError("the error model has powers of a noise that is not positive, or not one for each label")
    if not (np.isfinite(slope).all() and np.isfinite(curve).all() and (curve >= 0).all()):
        raise ValueError("the error model has powers of the noise that are infinite or fall")
    return slope, (least, median), curve


def _domain(arrays):
    """What the training stars looked like, if it is known."""
    domain = {name.removeprefix(_DOMAIN): values for name, values in arrays.items() if name.startswith(_DOMAIN)}
    if any((domain[name] < 0).any() for name in domain.keys() - {"center", "components", "label_range"}):
        raise ValueError("what the training stars looked like has limits or spreads below 0")
    return TrainingDomain(**domain) if domain else None


def _residuals_from_plain(entry, names):
    """Bias, scatter and number of stars of each label, if they are known."""
    if entry is None:
        return None
    if list(entry) != list(names):
        raise ValueError(f"the residuals are of {', '.join(entry)}, not of the labels")
    residuals = {
        name: (float(figures["bias"]), float(figures["scatter"]), whole(figures["n_stars"], 0))
        for name, figures in entry.items()
    }
    if any(np.isinf(figures).any() or figures[1] < 0 for figures in residuals.values()):
        raise ValueError("the residuals are infinite, or scatter less than not at all")
    return residuals


def _scores(array):
    """Interval scores as `fit` left them."""
    return None if array is None else np.where(array == _NO_SCORE, np.nan, array)


def _scores_noise(array):
    """Noise of the spectra that these are of."""
    if array is not None and not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError("the noise of the stars held out is negative or infinite")
    return array


def _normalizer(cls, mode, arrays, name):
    normalizer = cls(mode)
    normalizer._validate_params()
    normalizer.mean_, normalizer.scale_ = arrays[f"{name}.mean"], arrays[f"{name}.scale"]
    normalizer.n_features_in_ = len(normalizer.mean_)
    return normalizer
