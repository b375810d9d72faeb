"""Activations by Keras's names."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from skbcnn.network.tensorflow.runtime import Tensor, keras, tf


def _silu(x: Tensor) -> Tensor:
    """Compute SiLU. TensorFlow's own registers a gradient for each trace and never frees it."""
    return x * tf.sigmoid(x)


_REPLACED = {"silu": _silu, "swish": _silu}


def activation(name: str | None) -> Callable[[Tensor], Tensor]:
    """Return an activation that acts on each unit by itself.

    Parameters
    ----------
    name : str or None
        Keras's name. None: the identity.

    Returns
    -------
    activation : callable
        Function of a tensor; it returns a tensor of the same shape.

    Raises
    ------
    ValueError
        If Keras has no such activation, or it makes units depend on each other, as softmax does. The axes of the
        arrays of a network are chosen for speed: the neighbours of a unit may be other pixels or other spectra.
    """
    try:
        function = (_REPLACED.get(name) if name else None) or keras.activations.get(name)
    except ValueError as error:
        raise ValueError(
            f"activation={name!r} is no activation of Keras, expected its name, such as 'relu', 'silu' or 'gelu'."
        ) from error
    if not _acts_on_each_unit(function):
        raise ValueError(
            f"activation={name!r} does not act on each unit by itself, as the layers of this network require. Use "
            "'relu', 'tanh', 'silu', 'gelu' or another activation that does."
        )
    return function


@functools.lru_cache(maxsize=64)
def _acts_on_each_unit(function: Callable[..., Any]) -> bool:
    """Return whether the value of a unit depends on nothing but its input."""
    x = np.linspace(-2, 3, 6, dtype=np.float32).reshape(2, 3)
    try:
        with tf.init_scope():
            three, two = (np.asarray(function(tf.constant(part))) for part in (x, x[:, :2]))
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):  # it needs more arguments, or pairs of units
        return False
    return three.shape == x.shape and np.allclose(three[:, :2], two, rtol=1e-5)
