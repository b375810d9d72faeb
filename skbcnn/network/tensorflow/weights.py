"""Weights of the Keras network as plain arrays: initial values, setting and getting.

Arrays are keyed and shaped as `NetworkSpec.weight_shapes`, without padding. The Keras network holds the window layers
of many labels in one padded stack; `_places` is the one table of the position of each array.
"""

from collections.abc import Callable, Iterator, Mapping
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.runtime import keras

View: TypeAlias = Callable[[np.ndarray], np.ndarray]
Place: TypeAlias = tuple[str, Any, View]


def initial_weights(spec: NetworkSpec, seed: int) -> dict[str, np.ndarray]:
    """Draw the initial weights of a training.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    seed : int
        Seed; equal seeds give equal weights.

    Returns
    -------
    weights : dict of str to ndarray, float32
        Kernels from `spec.initializer`, each with its own number of inputs. Those of the output heads are
        Glorot-uniform. Biases are 0.
    """
    kernels = [name for name in spec.weight_shapes if name.endswith(".kernel")]
    seeds = dict(zip(kernels, np.random.SeedSequence(seed).generate_state(len(kernels)).tolist(), strict=True))
    weights = {}
    for name, shape in spec.weight_shapes.items():
        if name not in seeds:
            weights[name] = np.zeros(shape, dtype=np.float32)
            continue
        is_head = name.endswith((".mean.kernel", ".logvar.kernel"))
        initializer = _seeded_initializer("glorot_uniform" if is_head else spec.initializer, seeds[name])
        weights[name] = np.asarray(initializer(shape, dtype="float32"))
    return weights


def _seeded_initializer(name: str, seed: int) -> Any:
    """Return an initializer by Keras's name, with a seed if it takes one."""
    try:
        initializer = keras.initializers.get(name)
    except ValueError as error:
        raise ValueError(
            f"initializer={name!r} is no initializer of Keras, expected its name, such as 'he_normal' or "
            "'random_normal'."
        ) from error
    config = initializer.get_config()
    return type(initializer).from_config(config | ({"seed": seed} if "seed" in config else {}))


def _places(network: CensoredNetwork) -> Iterator[Place]:
    """Yield the place of each array: its name, the variable, and the view of it in an array like the variable."""
    spec = network.spec
    yield "full1.kernel", network.full1.kernel, np.transpose
    yield "full1.bias", network.full1.bias, _part(...)
    for layer in ("conv1", "conv2", "full2") + (("aux",) if network.aux is not None else ()):
        yield from _both(layer, getattr(network, layer), ...)
    for i, j in enumerate(spec.full_labels):
        mean, logvar = slice(i, i + 1), slice(i + len(spec.full_labels), i + len(spec.full_labels) + 1)
        yield from _both(f"label{j}.mean", network.full_heads, (..., mean))
        yield from _both(f"label{j}.logvar", network.full_heads, (..., logvar))
    for group, branch in zip(spec.groups, network.branches, strict=True):
        for i, j in enumerate(group.labels):
            yield f"label{j}.hidden1.kernel", branch.hidden1.kernel, _part((i, slice(0, len(spec.windows[j] or ()))))
            yield f"label{j}.hidden1.bias", branch.hidden1.bias, _part((i, 0))
            yield f"label{j}.hidden2.kernel", branch.hidden2.kernel, _part(i)
            yield f"label{j}.hidden2.bias", branch.hidden2.bias, _part((i, 0))
            for output, column in (("mean", slice(0, 1)), ("logvar", slice(1, 2))):
                yield f"label{j}.{output}.kernel", branch.heads.kernel, _part((i, slice(None), column))
                yield f"label{j}.{output}.bias", branch.heads.bias, _part((i, 0, column))


def _both(name: str, layer: Any, index: EllipsisType | tuple[Any, ...]) -> Iterator[Place]:
    yield f"{name}.kernel", layer.kernel, _part(index)
    yield f"{name}.bias", layer.bias, _part(index)


def _part(index: Any) -> View:
    return lambda values: values[index]


def set_weights(network: CensoredNetwork, weights: Mapping[str, np.ndarray]) -> None:
    """Set the weights of a network.

    Parameters
    ----------
    network : CensoredNetwork
        Network; it is changed in place.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    """
    values = {id(variable): np.zeros(variable.shape, np.float32) for _, variable, _ in _places(network)}
    for name, variable, view in _places(network):
        view(values[id(variable)])[...] = weights[name]
    for variable in network.trainable_variables:
        variable.assign(values[id(variable)])


def get_weights(network: CensoredNetwork) -> dict[str, np.ndarray]:
    """Return the weights of a network.

    Parameters
    ----------
    network : CensoredNetwork
        Network.

    Returns
    -------
    weights : dict of str to ndarray, float32
        Copies keyed and shaped as `NetworkSpec.weight_shapes`, without padding.
    """
    values = {id(variable): np.asarray(variable) for variable in network.trainable_variables}
    found = {name: np.array(view(values[id(variable)]), order="C") for name, variable, view in _places(network)}
    return {name: found[name] for name in network.spec.weight_shapes}
