"""Activations by Keras's name."""

from skbcnn.network.backend import keras, tf


def _silu(x):
    """Without the gradient that TensorFlow's own registers anew for each trace, and never forgets."""
    return x * tf.sigmoid(x)


_OURS = {"silu": _silu, "swish": _silu}


def activation(name):
    """An activation.

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
        If Keras knows no such activation.
    """
    return _OURS.get(name) or keras.activations.get(name)
