"""Keras's activations in NumPy: those that act on each unit by itself, by Keras's names and with its defaults.

None of them leaves float32, and none makes a number that is not finite of one that is, but `exponential`, where
Keras gives infinity, too.
"""

import numpy as np
from scipy.special import erf

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. (2017), section 2


def _linear(x):
    return x


def _relu(x):
    return np.maximum(x, 0)


def _relu6(x):
    return np.clip(x, 0, 6)


def _leaky_relu(x):
    return np.maximum(x, 0.2 * x)


def _elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x):
    return _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def _gelu(x):
    return 0.5 * x * (1 + erf(x * 0.5**0.5))


def _sigmoid(x):
    falling = np.exp(-np.abs(x))  # never above 1
    return np.where(x < 0, falling, 1) / (1 + falling)


def _hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def _sparse_sigmoid(x):
    return np.clip(0.5 * x + 0.5, 0, 1)


def _log_sigmoid(x):
    return -_softplus(-x)


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sparse_plus(x):
    return np.where(x < 1, 0.25 * (np.clip(x, -1, 1) + 1) ** 2, x)


def _squareplus(x):
    return 0.5 * x + 0.5 * np.hypot(x, np.float32(2))


def _softsign(x):
    return x / (1 + np.abs(x))


def _silu(x):
    return x * _sigmoid(x)


def _hard_silu(x):
    return x * _hard_sigmoid(x)


def _mish(x):
    return x * np.tanh(_softplus(x))


def _exponential(x):
    with np.errstate(over="ignore"):
        return np.exp(x)


def _tanh_shrink(x):
    return x - np.tanh(x)


def _soft_shrink(x):
    return x - np.clip(x, -0.5, 0.5)


def _hard_shrink(x):
    return np.where(np.abs(x) > 0.5, x, 0)


def _hard_tanh(x):
    return np.clip(x, -1, 1)


ACTIVATIONS = {
    None: _linear,
    "celu": _elu,  # they differ where alpha is not 1
    "elu": _elu,
    "exponential": _exponential,
    "gelu": _gelu,
    "hard_shrink": _hard_shrink,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
    "hard_tanh": _hard_tanh,
    "leaky_relu": _leaky_relu,
    "linear": _linear,
    "log_sigmoid": _log_sigmoid,
    "mish": _mish,
    "relu": _relu,
    "relu6": _relu6,
    "selu": _selu,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "soft_shrink": _soft_shrink,
    "softplus": _softplus,
    "softsign": _softsign,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "squareplus": _squareplus,
    "swish": _silu,
    "tanh": np.tanh,
    "tanh_shrink": _tanh_shrink,
}


def numpy_activation(name):
    """An activation that needs no Keras.

    Parameters
    ----------
    name : str or None
        Keras's name. None: nothing is done.

    Returns
    -------
    activation : callable
        Of a float32 array, to a float32 array of the same shape.

    Raises
    ------
    ValueError
        If it is not among these.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.activations import numpy_activation
    >>> numpy_activation("relu6")(np.array([-1.0, 2.0, 7.0], dtype=np.float32))
    array([0., 2., 6.], dtype=float32)
    """
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation={name!r} cannot be computed by NumPy, expected one of {', '.join(filter(None, ACTIVATIONS))}. "
            "Install TensorFlow (pip install tensorflow) and predict with backend='tensorflow'."
        )
    return ACTIVATIONS[name]
