"""What a reader of other software's models found, and the regressor that is built from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skbcnn._presets import preset
from skbcnn.network.spec import NetworkSpec
from skbcnn.persistence.estimator_parameters import describe_estimator
from skbcnn.persistence.json_values import to_json
from skbcnn.persistence.regressor_document import network_to_json, regressor_from
from skbcnn.survey import APOGEE_LABELS, ElementWindows, apogee_windows

STELLAR_LABELS = ("teff", "logg", "Fe")  # read from the full spectrum; in this order part of the context
ELEMENTS = tuple(name for name in APOGEE_LABELS if name not in STELLAR_LABELS)
ASTRONN_PARAMETERS = preset("leung_bovy_2019") | {"max_epochs": 50}  # where the files do not say otherwise

Normalization = tuple[Any, Any, Any]
"""Mode, mean and scale of a normalizer. Mean and scale are one number, or one for each column."""


class ImportedModel(NamedTuple):
    """Contents of a model of other software, except its weights.

    Attributes
    ----------
    model : CensoredBCNNRegressor
        Unfitted regressor with the corresponding parameters.
    n_pixels : int
        Pixels of a spectrum.
    label_names : tuple of str
        Labels in the order of the outputs.
    spectra, labels : tuple of (mode, mean, scale)
        Normalization of the spectra and of the labels.
    history : dict of str to list of float
        Value of `history_`.
    inv_tau : float
        Inverse model precision.
    preprocessing, provenance : dict
        Values of the attributes of these names.
    """

    model: Any
    n_pixels: int
    label_names: tuple[str, ...]
    spectra: Normalization
    labels: Normalization
    history: dict[str, list[float]]
    inv_tau: float
    preprocessing: dict[str, Any]
    provenance: dict[str, Any]


def build_regressor(imported: ImportedModel, read_weights: Callable[[NetworkSpec], dict[str, np.ndarray]]) -> Any:
    """Return the fitted regressor.

    Parameters
    ----------
    imported : ImportedModel
        Contents of the files except the weights.
    read_weights : callable
        Function that returns the arrays of a network by our names. The context has the order of `STELLAR_LABELS`.

    Returns
    -------
    model : CensoredBCNNRegressor
        Regressor without what such files never tell: calibration, intervals and the description of the training set.
    """
    model, names = imported.model, imported.label_names
    model._validate_params()
    model.n_features_in_, model.target_names_ = imported.n_pixels, names
    spec = model._network_spec()
    weights = read_weights(spec)
    document = describe_estimator(model) | network_to_json(spec, names)
    document |= {
        "single_label": False,
        "spectra_mode": imported.spectra[0],
        "label_mode": imported.labels[0],
        "history": imported.history,
        "n_iter": max(map(len, imported.history.values()), default=0),
        "inv_tau": imported.inv_tau,
        "seed": 0,
    }
    arrays = {
        **_with_context_in_label_order(weights, spec, names),
        **_statistics("spectra_normalizer", *imported.spectra[1:], spec.n_pixels),
        **_statistics("label_normalizer", *imported.labels[1:], spec.n_labels),
    }
    fitted = regressor_from(type(model), document, arrays)
    fitted.preprocessing_ = to_json(imported.preprocessing, "preprocessing")
    fitted.provenance_ = to_json(imported.provenance, "provenance")
    return fitted


def _with_context_in_label_order(
    weights: dict[str, np.ndarray], spec: NetworkSpec, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return weights whose stellar labels in the context have the order of the labels, as in our network."""
    positions = [STELLAR_LABELS.index(name) for name in names if name in STELLAR_LABELS]
    for j, window in enumerate(spec.windows):
        if window is None:
            continue
        n_before = spec.widths(j)[1] + spec.n_free
        order = [*range(n_before), *(n_before + position for position in positions)]
        for head in ("mean", "logvar"):
            weights[f"label{j}.{head}.kernel"] = weights[f"label{j}.{head}.kernel"][order]
    return weights


def _statistics(normalizer: str, mean: Any, scale: Any, n_columns: int) -> dict[str, np.ndarray]:
    """Return mean and scale of each column."""
    if any(np.shape(values) not in ((), (1,), (n_columns,)) for values in (mean, scale)):
        raise ValueError(f"mean and std of shapes {np.shape(mean)} and {np.shape(scale)} for {n_columns} columns")
    mean, scale = (np.broadcast_to(np.asarray(values, float), n_columns).copy() for values in (mean, scale))
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("a mean or std that is NaN or infinite, or a std that is not positive")
    return {f"{normalizer}.mean": mean, f"{normalizer}.scale": scale}


def are_dr14_windows(windows: ElementWindows) -> bool:
    """Return whether the windows of all elements are those of DR14."""
    table = apogee_windows()
    return windows.n_pixels == table.n_pixels and all(np.array_equal(windows[name], table[name]) for name in ELEMENTS)
