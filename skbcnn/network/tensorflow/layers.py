"""Layers that Keras lacks: convolutions on frames, and dense layers of many labels at once."""

from collections.abc import Sequence

import numpy as np

from skbcnn.network.tensorflow.activations import activation as activation_by_name
from skbcnn.network.tensorflow.runtime import Tensor, keras, tf


class FramedConvolution(keras.layers.Layer):
    """A convolution along the spectrum, on frames of pixels.

    It maps (n, 1, frames, size * inputs) to (n, 1, frames, size * outputs). The output has only the frames for which
    all input frames exist.

    Parameters
    ----------
    toeplitz : ndarray of shape (n_taps * size, size, length)
        Positions from `Frames.toeplitz`.
    n_in, n_out : int
        Number of channels of a pixel.
    regularizer : keras.Regularizer, default=None
        Regularizer of the kernel.
    """

    def __init__(self, toeplitz: np.ndarray, n_in: int, n_out: int, regularizer: object = None) -> None:
        super().__init__(dtype="float32")
        self.toeplitz = toeplitz
        self.kernel = self.add_weight((toeplitz.shape[2], n_in, n_out), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((n_out,), "zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        """Convolve with the kernel of this layer, without bias."""
        return self.convolve(x, self.kernel.value)

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolve with a kernel. The bias is not added here, but in one operation with the activation.

        Parameters
        ----------
        x : tensor of shape (n, 1, frames, size * inputs)
            Frames.
        kernel : tensor of shape (length, inputs, outputs)
            Kernel.

        Returns
        -------
        x : tensor of shape (n, 1, frames, size * outputs)
            Convolved frames.
        """
        n_seen, size, _ = self.toeplitz.shape
        _, n_in, n_out = kernel.shape
        kernel = tf.reshape(tf.tensordot(self.toeplitz, kernel, 1), (n_seen, size, n_in, n_out))
        kernel = tf.reshape(tf.transpose(kernel, (0, 2, 1, 3)), (1, n_seen // size, size * n_in, size * n_out))
        return tf.nn.conv2d(x, kernel, 1, "VALID")


class MaxNorm(keras.constraints.MaxNorm):
    """Keras's limit of the norm of each column of a kernel, with a constant where Keras has a global setting."""

    def __call__(self, w: Tensor) -> Tensor:
        """Return the kernel with its columns scaled down to the limit."""
        w = tf.convert_to_tensor(w)
        norms = tf.sqrt(tf.reduce_sum(tf.square(w), axis=self.axis, keepdims=True))
        return w * (tf.clip_by_value(norms, 0, self.max_value) / (1e-7 + norms))


class WideDense(keras.layers.Layer):
    """A dense layer with many inputs. Its kernel is (units, inputs), for which gradients are faster on a CPU.

    Parameters
    ----------
    n_inputs, units : int
        Shape of the kernel.
    activation : str
        Keras's name of the activation.
    regularizer : keras.Regularizer, default=None
        Regularizer of the kernel.
    """

    def __init__(self, n_inputs: int, units: int, activation: str, regularizer: object = None) -> None:
        super().__init__(dtype="float32")
        self.activation = activation_by_name(activation)
        self.kernel = self.add_weight((units, n_inputs), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((units,), "zeros", name="bias")

    def call(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return self.activation(tf.matmul(x, self.kernel.value, transpose_b=True) + self.bias.value)


class WindowGather(keras.layers.Layer):
    """Selection of the pixels of several windows: (pixels, n) to (labels, widest window, n).

    Narrow windows are padded with zeros.

    Parameters
    ----------
    windows : sequence of sequence of int
        Pixels of each label.
    empty : int
        A pixel that is always zero.
    """

    def __init__(self, windows: Sequence[Sequence[int] | np.ndarray], empty: int) -> None:
        super().__init__(dtype="float32")
        self.sizes = [len(window) for window in windows]
        self.padded = np.full((len(windows), max(self.sizes)), empty, dtype=np.int32)
        for row, window in zip(self.padded, windows, strict=True):
            row[: len(window)] = window

    def call(self, x: Tensor) -> Tensor:
        """Select the pixels."""
        return tf.reshape(tf.gather(x, self.padded.ravel()), (*self.padded.shape, -1))


class StackedDense(keras.layers.Layer):
    """One dense layer for each label, as a single batched product: (labels, n, inputs) to (labels, n, units).

    Parameters
    ----------
    n_labels, n_inputs, units : int
        Shape of the stacked kernels.
    activation : str, default=None
        Keras's name of the activation. None: none.
    regularizer : keras.Regularizer, default=None
        Regularizer of the kernels.
    """

    def __init__(
        self, n_labels: int, n_inputs: int, units: int, activation: str | None = None, regularizer: object = None
    ) -> None:
        super().__init__(dtype="float32")
        self.activation = activation_by_name(activation)
        self.kernel = self.add_weight((n_labels, n_inputs, units), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((n_labels, 1, units), "zeros", name="bias")

    def call(self, x: Tensor, transposed: bool = False) -> Tensor:
        """Apply the layers to x of shape (labels, n, inputs), or (labels, inputs, n) if it is `transposed`."""
        return self.activation(tf.matmul(x, self.kernel.value, transpose_a=transposed) + self.bias.value)
