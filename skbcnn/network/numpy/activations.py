"""Keras's activations in NumPy, by Keras's names and with its defaults.

A network may be trained with any of Keras's activations that act on each unit by itself
(`skbcnn.network.tensorflow.activations`), so all of these are here. All return float32. The result is finite for finite
input, except that of `exponential`, which is infinite in Keras, too.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit, log_expit

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. (2017), section 2


def _linear(x: np.ndarray) -> np.ndarray:
    return x


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _relu6(x: np.ndarray) -> np.ndarray:
    return np.clip(x, 0, 6)


def _leaky_relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.2 * x)


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _selu(x: np.ndarray) -> np.ndarray:
    return _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x * 0.5**0.5))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return expit(x)


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x / 6 + 0.5, 0, 1)


def _sparse_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(0.5 * x + 0.5, 0, 1)


def _log_sigmoid(x: np.ndarray) -> np.ndarray:
    return log_expit(x)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, np.float32(0))


def _sparse_plus(x: np.ndarray) -> np.ndarray:
    return np.where(x < 1, 0.25 * (np.clip(x, -1, 1) + 1) ** 2, x)


def _squareplus(x: np.ndarray) -> np.ndarray:
    return 0.5 * x + 0.5 * np.hypot(x, np.float32(2))


def _softsign(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.abs(x))


def _silu(x: np.ndarray) -> np.ndarray:
    return x * _sigmoid(x)


def _hard_silu(x: np.ndarray) -> np.ndarray:
    return x * _hard_sigmoid(x)


def _mish(x: np.ndarray) -> np.ndarray:
    return x * np.tanh(_softplus(x))


def _exponential(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.exp(x)


def _tanh_shrink(x: np.ndarray) -> np.ndarray:
    return x - np.tanh(x)


def _soft_shrink(x: np.ndarray) -> np.ndarray:
    return x - np.clip(x, -0.5, 0.5)


def _hard_shrink(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) > 0.5, x, 0)


def _hard_tanh(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -1, 1)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "celu": _elu,  # they differ only if alpha is not 1
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


def numpy_activation(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return an activation that needs no Keras.

    Parameters
    ----------
    name : str
        Keras's name.

    Returns
    -------
    activation : callable
        Function of a float32 array; it returns a float32 array of the same shape.

    Raises
    ------
    ValueError
        If there is no activation of this name.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.activations import numpy_activation
    >>> numpy_activation("relu6")(np.array([-1.0, 2.0, 7.0], dtype=np.float32))
    array([0., 2., 6.], dtype=float32)
    """
    if name not in ACTIVATIONS:
        raise ValueError(
            f"activation={name!r} cannot be computed by NumPy, expected one of {', '.join(ACTIVATIONS)}. "
            "Install TensorFlow (pip install tensorflow) and predict with backend='tensorflow'."
        )
    return ACTIVATIONS[name]
