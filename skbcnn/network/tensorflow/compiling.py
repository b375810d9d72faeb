"""Compilation of chains of cheap operations on large arrays.

TensorFlow writes the result of each operation to memory; XLA makes one loop of a whole chain. Compiling takes a tenth
of a second or more, which is not worth it for small networks: these run the same functions uncompiled.
"""

from collections.abc import Callable
from typing import Any

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.runtime import Tensor, tf

_MIN_ACTIVATIONS = 10_000  # of the convolutions, for which compiling is worth its time


def is_large(spec: NetworkSpec) -> bool:
    """Return whether the functions of a network are worth compiling.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.

    Returns
    -------
    is_large : bool
        True if they are.
    """
    return spec.n_pixels * sum(spec.num_filters) >= _MIN_ACTIVATIONS


def fused(function: Callable[..., Any], large: bool = True) -> Callable[..., Any]:
    """Return a function as a graph, compiled to one loop for large networks.

    Parameters
    ----------
    function : callable
        Function of tensors.
    large : bool, default=True
        Result of `is_large`.

    Returns
    -------
    fused : tf.function
        The same function as a graph.
    """
    return tf.function(function, autograph=False, jit_compile=large or None)


class Differentiable:
    """A function as one loop and its gradient as another, which recomputes the intermediate values it needs.

    Gradients of several such functions are chained by hand: what `tf.custom_gradient` registers is never freed.

    Parameters
    ----------
    function : callable
        Function of an input tensor, of `n_weights` weight tensors, and of tensors without gradient.
    n_weights : int
        Number of weight tensors.
    large : bool, default=True
        Result of `is_large`.
    """

    def __init__(self, function: Callable[..., Tensor], n_weights: int, large: bool = True) -> None:
        self._function, self._n_gradients = function, 1 + n_weights
        self._forward, self._backward = fused(function, large), fused(self._gradients, large)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the value of the function."""
        return self._forward(*inputs)

    def gradients(self, upstream: Tensor, *inputs: Tensor) -> list[Tensor]:
        """Return the gradients with respect to the input tensor and the weights.

        Parameters
        ----------
        upstream : tensor
            Gradient with respect to the value of the function.
        *inputs : tensor
            Arguments of the call.

        Returns
        -------
        gradients : list of tensor
            Gradients, that of the input tensor first.
        """
        return self._backward(upstream, *inputs)

    def _gradients(self, upstream: Tensor, *inputs: Tensor) -> list[Tensor]:
        variables = inputs[: self._n_gradients]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            value = self._function(*inputs)
        return tape.gradient(value, variables, upstream)
