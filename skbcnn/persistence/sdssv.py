"""The network as SDSS-V runs it, from its PyTorch checkpoint to a regressor.

PyTorch only reads the arrays: `_tensors` lets it unpickle tensors and nothing else, and hands on plain arrays. What
they are of is told by their names (`_SHARED`, `_WINDOW_LAYERS`); the element windows are in the file.
"""

from pathlib import Path

import numpy as np

from skbcnn._optional_dependencies import require_extra
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.persistence.files import ModelFolderError, read_file
from skbcnn.persistence.foreign import (
    ELEMENTS,
    MAX_WEIGHTS,
    STAR,
    Found,
    check_shape,
    finite,
    is_dr14,
    made_of,
    opened_zip,
    understood,
)
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import APOGEE_LABELS, ElementWindows, apogee_windows

SUFFIXES = (".pt", ".pth")

# of spectra: the continuum pixels of DR17, in astroNN's way to weigh them, which SDSS-V calls
PREPROCESSING = {"data_release": 17, "weighting": "astronn"}

_STATE = "model_state_dict"
_POOL_LENGTH, _DROPOUT_RATE = 4, 0.3  # written in SDSS-V's code, not in the file
_MAX_INDEX = 2**20  # bytes that tell which tensors there are; 22 000 are usual
_SHARED = {  # our layer: theirs
    "conv1": "conv1",
    "conv2": "conv2",
    "full1": "dense_1",
    "full2": "dense_2",
    "aux": "dense_aux_fullspec",
}
_STAR_HEADS = {"mean": "dense_teffloggfeh", "logvar": "dense_teffloggfeh_var"}  # one row for each of `STAR`
_WINDOW_LAYERS = {
    "hidden1": "elem_dense1",
    "hidden2": "elem_dense2",
    "mean": "elem_dense_out",
    "logvar": "elem_dense_var",
}
_NARROW = ELEMENTS.index("O")  # an element whose layers are not wider than others


def from_sdssv(path):
    """Read the checkpoint of the network that SDSS-V runs.

    Needs PyTorch, which is asked for tensors and nothing else (``weights_only=True``).

    Parameters
    ----------
    path : str or path-like
        The file, ``.pt`` or ``.pth``.

    Returns
    -------
    model : ApogeeBCNNCensoredRegressor or CensoredBCNNRegressor
        Fitted: the former if the windows in the file are those of DR14, else the latter with the windows of the file.
        What the file does not tell is absent: `history_` is empty, `inv_tau_` is NaN, the error bars are not
        calibrated, and the model cannot tell which spectra are unlike those trained on. `seed_` is 0.

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed.
    FileNotFoundError
        If there is no such file.
    ModelFolderError
        If it holds something else, or is damaged; the message says which.

    See Also
    --------
    skbcnn.load_folder : Takes such files, too.
    skbcnn.apogee.apogee_pipeline : The model behind what its spectra need.

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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Give the path of SDSS-V's checkpoint.")
    require_extra("torch", "Reading SDSS-V's checkpoint")
    arrays = _tensors(path)
    with understood(path, "SDSS-V's Astra"):
        windows = _windows(arrays)
        found = Found(
            model=_unfitted(arrays, windows),
            n_pixels=windows.n_pixels,
            names=APOGEE_LABELS,
            spectra=(3, arrays.pop("input_mean"), 1.0),
            labels=(2, arrays.pop("labels_mean"), arrays.pop("labels_std")),
            history={},
            inv_tau=float("nan"),
            preprocessing=PREPROCESSING,
            provenance={"software": "SDSS-V Astra", "name": path.name},
        )
        return made_of(found, lambda spec: _weights(arrays, spec, path))


def _tensors(path):
    """Arrays of the checkpoint by name; each lies in the file in full."""
    import torch

    data = read_file(path, MAX_WEIGHTS)
    with opened_zip(data, path) as archive:  # in which nothing can unfold to more than it is
        members = archive.infolist()
        index = [member.file_size for member in members if member.filename.endswith("/data.pkl")]
        if any(member.compress_type or member.file_size != member.compress_size for member in members):
            raise ModelFolderError(f"{path} is compressed, which PyTorch's files never are. Download it again.")
        if len(index) != 1 or index[0] > _MAX_INDEX:
            raise ModelFolderError(f"{path} is no file that torch.save wrote, or of other things than one network.")
    try:
        # mapped, so that no tensor reaches beyond the file, whatever size it claims
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # of a file made to do harm PyTorch may raise anything
        raise ModelFolderError(
            f"{path} cannot be read as tensors alone ({type(error).__name__}). It is damaged, or holds other objects, "
            f"which are not read since they may run code: ask for a file of tensors under {_STATE}."
        ) from error
    state = checkpoint.get(_STATE) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ModelFolderError(f"{path} has no {_STATE}, a dict of tensors by name. Give SDSS-V's checkpoint.")
    return {name: _as_array(tensor, name, path, len(data)) for name, tensor in state.items()}


def _as_array(tensor, name, path, n_bytes):
    """A tensor as a plain array of its own."""
    import torch

    plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or not (tensor.dtype == torch.bool or tensor.dtype.is_floating_point):
        raise ModelFolderError(f"{name[:80]} of {path} is no plain tensor of floats or booleans.")
    if tensor.numel() * tensor.element_size() > n_bytes:
        raise ModelFolderError(f"{name[:80]} of {path} claims to be larger than the file. Download it again.")
    tensor = tensor.detach()
    return np.array((tensor if tensor.dtype == torch.bool else tensor.double()).numpy())


def _windows(arrays):
    """The element windows in the file."""
    masks = {name: arrays.pop(f"aspcap_masks.{i}") for i, name in enumerate(ELEMENTS)}
    table = apogee_windows()
    return ElementWindows.from_masks(masks, widening={name: table.widening(name) for name in masks})


def _unfitted(arrays, windows):
    """A regressor with the parameters that the shapes tell."""
    widths = [arrays[f"{layer}.weight"].shape[0] for layer in ("dense_1", "dense_2")]
    widths += [arrays[f"{layer}.{_NARROW}.weight"].shape[0] for layer in ("elem_dense1", "elem_dense2")]
    parameters = {
        "num_hidden": (*widths, arrays["dense_aux_fullspec.weight"].shape[0]),
        "num_filters": tuple(arrays[f"{layer}.weight"].shape[0] for layer in ("conv1", "conv2")),
        "filter_len": arrays["conv1.weight"].shape[-1],
        "pool_length": _POOL_LENGTH,
        "dropout_rate": _DROPOUT_RATE,
    }
    if is_dr14(windows):
        return ApogeeBCNNCensoredRegressor(**parameters)
    return CensoredBCNNRegressor(windows=windows, target=APOGEE_LABELS, **parameters)


def _weights(arrays, spec, path):
    """Arrays by our names; all that the file has must be in use."""
    used, weights = set(), {}
    for name, shape in spec.weight_shapes.items():
        layer, kind = name.rsplit(".", 1)
        label, _, part = layer.rpartition(".")
        label = APOGEE_LABELS[int(label.removeprefix("label"))] if label else None
        if label in STAR:
            theirs, rows = _STAR_HEADS[part], slice(STAR.index(label), STAR.index(label) + 1)
        else:
            theirs, rows = f"{_WINDOW_LAYERS[part]}.{ELEMENTS.index(label)}" if label else _SHARED[layer], slice(None)
        theirs += ".weight" if kind == "kernel" else ".bias"
        used.add(theirs)
        if theirs not in arrays:
            raise ModelFolderError(f"{path} has no {theirs}, so it is no whole network of SDSS-V. Download it again.")
        n_rows = len(STAR) if label in STAR else shape[-1]
        check_shape(arrays[theirs].shape, (n_rows, *shape[-2::-1]), theirs, path)
        weights[name] = finite(arrays[theirs][rows].T, theirs, path)
    if strange := sorted(set(arrays) - used):
        raise ModelFolderError(f"{path} also holds {', '.join(strange[:5])}: it is another network than SDSS-V's.")
    return weights
