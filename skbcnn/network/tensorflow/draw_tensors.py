"""Weights and masks as the tensors that `skbcnn.network.tensorflow.draw_graph` takes."""

from collections.abc import Mapping

import numpy as np

from skbcnn.network.masks import draws_per_mask
from skbcnn.network.spec import NetworkSpec, WindowGroup
from skbcnn.network.tensorflow.runtime import Tensor, tf
from skbcnn.network.weight_packing import pack_full_heads, pack_masks, pack_window_group


def weight_tensors(spec: NetworkSpec, weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Pack the weights of a network.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.

    Returns
    -------
    packed : dict of str to tensor, float32
        Kernels of dense layers are (units, inputs). The kernels of a window group are one stack, padded with zeros to
        its widest window.
    """
    packed = {"conv1": weights["conv1.kernel"][:, 0], "conv2": weights["conv2.kernel"]}
    packed |= {f"{layer}.bias": weights[f"{layer}.bias"][:, None] for layer in ("conv1", "conv2", "full1", "full2")}
    packed |= {layer: weights[f"{layer}.kernel"].T for layer in ("full1", "full2")}
    kernel, bias = pack_full_heads(spec, weights)
    if len(kernel):
        packed |= {"full_heads": kernel, "full_heads.bias": bias[:, None]}
    for number, group in enumerate(spec.groups):
        of_group = pack_window_group(group, weights) | _pack_first_window_layer(spec, group, weights)
        of_group["hidden2.bias"] = of_group["hidden2.bias"][:, None, :, None]
        packed |= {f"group{number}.{name}": values for name, values in of_group.items()}
    return {name: tf.constant(np.ascontiguousarray(values, dtype=np.float32)) for name, values in packed.items()}


def _pack_first_window_layer(
    spec: NetworkSpec, group: WindowGroup, weights: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    windows = [spec.windows[j] or () for j in group.labels]
    kernels = np.zeros((len(windows), group.width_1, max(map(len, windows))), dtype=np.float32)
    for kernel, window, j in zip(kernels, windows, group.labels, strict=True):
        kernel[:, : len(window)] = weights[f"label{j}.hidden1.kernel"].T
    bias = np.stack([weights[f"label{j}.hidden1.bias"] for j in group.labels])
    return {"hidden1": kernels, "hidden1.bias": bias[:, :, None]}


def mask_tensors(
    spec: NetworkSpec, masks: Mapping[str, np.ndarray], n_draws: int, n_together: int
) -> dict[str, Tensor]:
    """Pack dropout masks in groups of draws that are computed together.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    masks : mapping of str to ndarray of shape (n_masks, size)
        Masks from `draw_masks`.
    n_draws : int
        Number of draws.
    n_together : int
        Number of draws of a group, at most that of the draws that share a mask of the first convolution.

    Returns
    -------
    packed : dict of str to tensor, float32
        First axis: groups. Next, where the draws of a group have different masks: masks, after the labels of a window
        group. The last group is filled up with repeated draws.
    """
    first_draws = np.arange(0, n_draws, n_together)[:, None]
    packed = {}
    for place, values in pack_masks(spec, masks).items():
        per_mask = draws_per_mask(place, n_draws)
        draws = first_draws + np.arange(0, n_together, min(per_mask, n_together))
        packed[place] = values[np.minimum(draws // per_mask, len(values) - 1)]
        if values.ndim == 3:  # (groups, draws, labels, width) of a window group
            packed[place] = packed[place].swapaxes(1, 2)
    conv1 = packed["conv1"].reshape(-1, spec.n_pixels, spec.num_filters[0])
    packed["conv1"] = np.pad(conv1, ((0, 0), spec.padding, (0, 0)))[..., None]
    return {place: tf.constant(np.ascontiguousarray(values)) for place, values in packed.items()}


def filled_chunk(x: np.ndarray, size: int) -> Tensor:
    """Fill up a chunk of spectra with zeros.

    Parameters
    ----------
    x : ndarray of shape (n, n_pixels)
        Spectra, at most `size`.
    size : int
        Number of spectra of a full chunk.

    Returns
    -------
    filled : tensor of shape (size, n_pixels), float32
        Spectra, then zeros.
    """
    return tf.constant(np.pad(x, ((0, size - len(x)), (0, 0))), tf.float32)
