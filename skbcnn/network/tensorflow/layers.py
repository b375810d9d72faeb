"""Layers that Keras lacks: convolution on frames, and dense layers for many labels at once."""

import numpy as np

from skbcnn.network.tensorflow import activations
from skbcnn.network.tensorflow.runtime import keras, tf

ops = keras.ops


class FramedConvolution(keras.layers.Layer):
    """A convolution along the spectrum, on frames of pixels: (n, 1, frames, size * inputs) to the same with outputs.

    What comes out has fewer frames: those with a full view.

    Parameters
    ----------
    toeplitz : ndarray of shape (n_taps * size, size, length)
        From `Frames.toeplitz`.
    n_in, n_out : int
        Channels of a pixel.
    regularizer : keras.Regularizer, default=None
        Of the kernel.
    """

    def __init__(self, toeplitz, n_in, n_out, regularizer=None):
        super().__init__()
        self.toeplitz = toeplitz
        self.kernel = self.add_weight((toeplitz.shape[2], n_in, n_out), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((n_out,), "zeros", name="bias")

    def call(self, x):
        """Convolve with the kernel of this layer."""
        return self.convolve(x, self.kernel.value)

    def convolve(self, x, kernel):
        """Convolve; the bias is left to whoever comes next, to be added in one go with what else is to be done.

        Parameters
        ----------
        x : tensor of shape (n, 1, frames, size * inputs)
            Frames.
        kernel : tensor of shape (length, inputs, outputs)
            Any.

        Returns
        -------
        x : tensor of shape (n, 1, frames, size * outputs)
        """
        n_seen, size, _ = self.toeplitz.shape
        _, n_in, n_out = kernel.shape
        kernel = tf.reshape(tf.tensordot(self.toeplitz, kernel, 1), (n_seen, size, n_in, n_out))
        kernel = tf.reshape(tf.transpose(kernel, (0, 2, 1, 3)), (1, n_seen // size, size * n_in, size * n_out))
        return tf.nn.conv2d(x, kernel, 1, "VALID")


class WideDense(keras.layers.Layer):
    """A Dense layer of many inputs, its kernel held as (units, inputs): so a processor multiplies gradients faster.

    Parameters
    ----------
    n_inputs, units : int
        Shape of the kernel.
    activation : str
        Keras's name.
    regularizer : keras.Regularizer, default=None
        Of the kernel.
    """

    def __init__(self, n_inputs, units, activation, regularizer=None):
        super().__init__()
        self.activation = activations.activation(activation)
        self.kernel = self.add_weight((units, n_inputs), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((units,), "zeros", name="bias")

    def call(self, x):
        """Multiply, add, activate."""
        return self.activation(tf.matmul(x, self.kernel.value, transpose_b=True) + self.bias.value)


class WindowGather(keras.layers.Layer):
    """Pixels (pixels, n) to the windows of several labels (labels, widest window, n), short ones padded with zeros.

    Parameters
    ----------
    windows : sequence of sequence of int
        Places of the pixels of each label.
    empty : int
        A place that holds zeros.
    """

    def __init__(self, windows, empty):
        super().__init__()
        self.sizes = [len(window) for window in windows]
        self.padded = np.full((len(windows), max(self.sizes)), empty, dtype=np.int32)
        for row, window in zip(self.padded, windows, strict=True):
            row[: len(window)] = window

    def call(self, x):
        """Gather rows, each one contiguous copy."""
        return tf.reshape(tf.gather(x, self.padded.ravel()), (*self.padded.shape, -1))


class StackedDense(keras.layers.Layer):
    """One Dense layer for each label, as a single batched product: (labels, n, inputs) to (labels, n, units).

    Parameters
    ----------
    n_labels, n_inputs, units : int
        Shape of the stacked kernels.
    activation : str, default=None
        Keras's name.
    regularizer : keras.Regularizer, default=None
        Of the kernels.
    """

    def __init__(self, n_labels, n_inputs, units, activation=None, regularizer=None):
        super().__init__()
        self.activation = activations.activation(activation)
        self.kernel = self.add_weight((n_labels, n_inputs, units), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((n_labels, 1, units), "zeros", name="bias")

    def call(self, x, transposed=False):
        """Multiply; `transposed`: x is (labels, inputs, n)."""
        return self.activation(tf.matmul(x, self.kernel.value, transpose_a=transposed) + self.bias.value)
