"""Reader of the checkpoint of the network that SDSS-V runs.

`read_state_dict` reads the arrays. Their names tell which layer they belong to (`_SHARED_LAYERS`, `_WINDOW_LAYERS`).
The element windows are arrays of the file, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skbcnn._paths import as_path
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.network.spec import NetworkSpec
from skbcnn.persistence.foreign.imported_model import (
    ASTRONN_PARAMETERS,
    ELEMENTS,
    STELLAR_LABELS,
    ImportedModel,
    are_dr14_windows,
    build_regressor,
)
from skbcnn.persistence.foreign.torch_checkpoint import read_state_dict
from skbcnn.persistence.safe_files import ModelFolderError, check_shape, finite_float32, wrap_read_errors
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import APOGEE_LABELS, ElementWindows, apogee_windows

SUFFIXES = (".pt", ".pth")

# Spectra were normalized with the continuum pixels of DR17 and the weighting of astroNN
PREPROCESSING = {"data_release": 17, "weighting": "astronn"}

_POOL_LENGTH, _DROPOUT_RATE = 4, 0.3  # constants in SDSS-V's code, not in the file
_SHARED_LAYERS = {  # our name: theirs
    "conv1": "conv1",
    "conv2": "conv2",
    "full1": "dense_1",
    "full2": "dense_2",
    "aux": "dense_aux_fullspec",
}
_STELLAR_HEADS = {"mean": "dense_teffloggfeh", "logvar": "dense_teffloggfeh_var"}  # a row for each stellar label
_WINDOW_LAYERS = {
    "hidden1": "elem_dense1",
    "hidden2": "elem_dense2",
    "mean": "elem_dense_out",
    "logvar": "elem_dense_var",
}
_NARROW = ELEMENTS.index("O")  # an element whose layers are not widened


def from_sdssv(path: str | Path) -> Any:
    """Read the checkpoint of the network that SDSS-V runs.

    PyTorch is not needed, and nothing in the file is run or unpickled.

    Parameters
    ----------
    path : str or path-like
        File ending in ``.pt`` or ``.pth``, with the tensors under ``"model_state_dict"``.

    Returns
    -------
    model : ApogeeBCNNCensoredRegressor or CensoredBCNNRegressor
        Fitted regressor: the former if the windows in the file are those of DR14, otherwise the latter with the windows
        of the file. What the file does not contain is absent: `history_` is empty, `inv_tau_` is NaN, the standard
        deviations are not calibrated, and `assess` cannot find out-of-distribution spectra. `seed_` is 0.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFolderError
        If the file holds something else, or is damaged; the message says which.

    See Also
    --------
    skbcnn.load_folder : Reads such files, too.
    skbcnn.apogee.apogee_pipeline : The model behind the preparation that its spectra need.

    References
    ----------
    .. [1] SDSS-V, Astra: the AstroNN product.

    Examples
    --------
    >>> from skbcnn.persistence import from_sdssv
    >>> from_sdssv("astroNN_dr17.pt")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file astroNN_dr17.pt. Give the path of SDSS-V's checkpoint.
    """
    path = as_path(path, "path")
    if path.is_dir():
        found = [str(path / entry.name) for entry in sorted(path.iterdir()) if entry.suffix.lower() in SUFFIXES]
        raise FileNotFoundError(
            f"{path} is a folder, expected the file of SDSS-V's checkpoint ({' or '.join(SUFFIXES)}). "
            + (f"Pass {' or '.join(found[:3])}." if found else "load_folder reads folders of skbcnn and astroNN.")
        )
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Give the path of SDSS-V's checkpoint.")
    arrays = read_state_dict(path, "model_state_dict")
    with wrap_read_errors(path, "SDSS-V's Astra"):
        windows = _windows(arrays)
        imported = ImportedModel(
            model=_unfitted(arrays, windows),
            n_pixels=windows.n_pixels,
            label_names=APOGEE_LABELS,
            spectra=(3, arrays.pop("input_mean"), 1.0),
            labels=(2, arrays.pop("labels_mean"), arrays.pop("labels_std")),
            history={},
            inv_tau=float("nan"),
            preprocessing=PREPROCESSING,
            provenance={"software": "SDSS-V Astra", "name": path.name},
        )
        return build_regressor(imported, lambda spec: _weights(arrays, spec, path))


def _windows(arrays: dict[str, np.ndarray]) -> ElementWindows:
    """Return the element windows and remove them from the arrays."""
    masks = {name: arrays.pop(f"aspcap_masks.{i}") for i, name in enumerate(ELEMENTS)}
    table = apogee_windows()
    widening: dict[str, Any] = {name: table.widening(name) for name in masks}
    return ElementWindows.from_masks(masks, widening=widening)


def _unfitted(arrays: dict[str, np.ndarray], windows: ElementWindows) -> CensoredBCNNRegressor:
    """Return a regressor with the parameters that follow from the shapes."""
    widths = [arrays[f"{layer}.weight"].shape[0] for layer in ("dense_1", "dense_2")]
    widths += [arrays[f"{layer}.{_NARROW}.weight"].shape[0] for layer in ("elem_dense1", "elem_dense2")]
    parameters = ASTRONN_PARAMETERS | {
        "num_hidden": (*widths, arrays["dense_aux_fullspec.weight"].shape[0]),
        "num_filters": tuple(arrays[f"{layer}.weight"].shape[0] for layer in ("conv1", "conv2")),
        "filter_len": arrays["conv1.weight"].shape[-1],
        "pool_length": _POOL_LENGTH,
        "dropout_rate": _DROPOUT_RATE,
    }
    if are_dr14_windows(windows):
        return ApogeeBCNNCensoredRegressor(**parameters)
    return CensoredBCNNRegressor(windows=windows, target=APOGEE_LABELS, **parameters)


def _weights(arrays: dict[str, np.ndarray], spec: NetworkSpec, path: Path) -> dict[str, np.ndarray]:
    """Return the arrays by our names. The file must not hold others."""
    used, weights = set(), {}
    for name, shape in spec.weight_shapes.items():
        theirs, rows = _their_name(name)
        used.add(theirs)
        if theirs not in arrays:
            raise ModelFolderError(
                f"{path} has no {theirs}, so it is no whole network of SDSS-V. Copy or download it again."
            )
        n_rows = shape[-1] if rows == slice(None) else len(STELLAR_LABELS)
        check_shape(arrays[theirs].shape, (n_rows, *shape[-2::-1]), theirs, path)
        weights[name] = finite_float32(arrays[theirs][rows].T, theirs, path)
    if unknown := sorted(set(arrays) - used):
        raise ModelFolderError(
            f"{path} also holds {', '.join(unknown[:5])}, so it is another network than SDSS-V's. Give SDSS-V's "
            "checkpoint."
        )
    return weights


def _their_name(name: str) -> tuple[str, slice]:
    """Return the name of the array that holds one of our weights, and its rows there."""
    layer, kind = name.rsplit(".", 1)
    suffix = "weight" if kind == "kernel" else "bias"
    if layer in _SHARED_LAYERS:
        return f"{_SHARED_LAYERS[layer]}.{suffix}", slice(None)
    number, part = layer.removeprefix("label").split(".")
    label = APOGEE_LABELS[int(number)]
    if label in STELLAR_LABELS:
        row = STELLAR_LABELS.index(label)
        return f"{_STELLAR_HEADS[part]}.{suffix}", slice(row, row + 1)
    return f"{_WINDOW_LAYERS[part]}.{ELEMENTS.index(label)}.{suffix}", slice(None)
