"""What is compiled: chains of cheap operations on large arrays, each of which TensorFlow would write to memory.

XLA makes one loop of such a chain. It takes a tenth of a second or more for each, which small networks never win back;
for these the same functions run as they are.
"""

from skbcnn.network.tensorflow.runtime import tf

_WORTH_COMPILING = 10_000  # activations of the convolutions


def is_large(spec):
    """Whether the functions of a network are worth compiling.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.

    Returns
    -------
    is_large : bool
    """
    return spec.n_pixels * sum(spec.num_filters) >= _WORTH_COMPILING


def fused(function, large=True):
    """A function as one loop, if the network is large.

    Parameters
    ----------
    function : callable
        Of tensors, to tensors.
    large : bool, default=True
        From `is_large`.

    Returns
    -------
    fused : tf.function
    """
    return tf.function(function, autograph=False, jit_compile=large or None)


class Differentiable:
    """A function as one loop, and its gradient as another, which computes anew what it needs of the first.

    Whoever takes gradients chains them by hand: what `tf.custom_gradient` registers is never forgotten.

    Parameters
    ----------
    function : callable
        Of a tensor, of `n_weights` more, and of others that have no gradient, to a tensor.
    n_weights : int
        See there.
    large : bool, default=True
        From `is_large`.
    """

    def __init__(self, function, n_weights, large=True):
        self._function, self._n_gradients = function, 1 + n_weights
        self._forward, self._backward = fused(function, large), fused(self._gradients, large)

    def __call__(self, *inputs):
        """The value."""
        return self._forward(*inputs)

    def gradients(self, upstream, *inputs):
        """Gradients by the first inputs.

        Parameters
        ----------
        upstream : tensor
            Gradient by the value.
        *inputs : tensor
            As in the call.

        Returns
        -------
        gradients : list of tensor
            By the first tensor, and by the weights.
        """
        return self._backward(upstream, *inputs)

    def _gradients(self, upstream, *inputs):
        by = inputs[: self._n_gradients]
        with tf.GradientTape() as tape:
            tape.watch(by)
            value = self._function(*inputs)
        return tape.gradient(value, by, upstream)
