"""Activations by Keras's name."""

import functools

import numpy as np

from skbcnn.network.tensorflow.runtime import keras, tf


def _silu(x):
    """Without the gradient that TensorFlow's own registers anew for each trace, and never forgets."""
    return x * tf.sigmoid(x)


_OURS = {"silu": _silu, "swish": _silu}


def activation(name):
    """An activation of single units.

    Parameters
    ----------
    name : str or None
        Keras's name. None: nothing is done.

    Returns
    -------
    activation : callable
        Of a tensor, to a tensor of the same shape.

    Raises
    ------
    ValueError
        If Keras knows no such activation, or it makes units depend on each other, as softmax does: the arrays of a
        network are laid out for speed, and what stands beside a unit may be another pixel, or another spectrum.
    """
    found = _OURS.get(name) or keras.activations.get(name)
    if not _acts_on_each_unit(found):
        raise ValueError(
            f"activation={name!r} does not act on each unit by itself, as a layer of this network needs it. Use "
            "'relu', 'tanh', 'silu', 'gelu' or another that does."
        )
    return found


@functools.lru_cache(maxsize=64)
def _acts_on_each_unit(function):
    """Whether units are told apart from their neighbours, and nothing else is needed."""
    x = np.linspace(-2, 3, 6, dtype=np.float32).reshape(2, 3)
    try:
        with tf.init_scope():
            three, two = (np.asarray(function(tf.constant(part))) for part in (x, x[:, :2]))
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):  # further arguments, or an even number of units
        return False
    return three.shape == x.shape and np.allclose(three[:, :2], two, rtol=1e-5)
