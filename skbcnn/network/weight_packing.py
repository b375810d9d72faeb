"""Weights and masks of many labels as few large arrays, in the layout that both implementations use.

A fitted model keeps an array for each layer of each label (`NetworkSpec.weight_shapes`). For predictions, the labels of
a `WindowGroup` become one stack, so that one batched product serves them all, and everything that is read from the full
spectrum becomes one layer. Kernels are (units, inputs), since spectra run along the last axis.
"""

from collections.abc import Mapping

import numpy as np

from skbcnn.network.spec import NetworkSpec, WindowGroup


def pack_full_heads(spec: NetworkSpec, weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pack all outputs of the full-spectrum layers into one layer.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.

    Returns
    -------
    kernel : ndarray of shape (n_outputs, num_hidden[1]), float32
        Means of the full-spectrum labels, their log-variances, free context units. There may be no outputs at all.
    bias : ndarray of shape (n_outputs,), float32
        Biases in the same order.
    """
    heads = [f"label{j}.{output}" for output in ("mean", "logvar") for j in spec.full_labels]
    heads += ["aux"] if spec.n_free else []
    no_outputs = np.zeros((0, spec.num_hidden[1]), dtype=np.float32)
    kernel = np.concatenate([no_outputs, *(weights[f"{head}.kernel"].T for head in heads)])
    return kernel, np.concatenate([no_outputs[:, 0], *(weights[f"{head}.bias"] for head in heads)])


def pack_window_group(group: WindowGroup, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pack the second window layers and the output heads of a window group.

    Parameters
    ----------
    group : WindowGroup
        Labels whose window layers have equal widths.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.

    Returns
    -------
    packed : dict of str to ndarray, float32
        "hidden2" (labels, width_2, width_1), "heads" (labels, 2, width_2): kernels for the layer before. The second
        axis of the heads is mean, log-variance. "hidden2.context", "heads.context": kernels for the context, without
        inputs if the layer does not take it. "hidden2.bias" (labels, width_2), "heads.bias" (labels, 2).
    """

    def stack(name: str) -> np.ndarray:
        return np.stack([weights[f"label{j}.{name}"] for j in group.labels])

    hidden2 = stack("hidden2.kernel").transpose(0, 2, 1)
    heads = np.concatenate([stack("mean.kernel"), stack("logvar.kernel")], axis=2).transpose(0, 2, 1)
    packed = {
        "hidden2": hidden2[:, :, : group.width_1],
        "hidden2.context": hidden2[:, :, group.width_1 :],
        "hidden2.bias": stack("hidden2.bias"),
        "heads": heads[:, :, : group.width_2],
        "heads.context": heads[:, :, group.width_2 :],
        "heads.bias": np.concatenate([stack("mean.bias"), stack("logvar.bias")], axis=1),
    }
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in packed.items()}


def pack_masks(spec: NetworkSpec, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pack the dropout masks of the labels of each window group.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    masks : mapping of str to ndarray of shape (n_masks, size)
        Masks at each place of `NetworkSpec.dropout_sizes`.

    Returns
    -------
    packed : dict of str to ndarray
        "conv1", "flat", "full1": unchanged. "group{number}.hidden1" and "group{number}.hidden2" of each window group:
        shape (n_masks, labels, width).
    """
    packed = {place: masks[place] for place in ("conv1", "flat", "full1")}
    for number, group in enumerate(spec.groups):
        for layer in ("hidden1", "hidden2"):
            of_labels = [masks[f"label{j}.{layer}"] for j in group.labels]
            packed[f"group{number}.{layer}"] = np.stack(of_labels, axis=1)
    return packed
