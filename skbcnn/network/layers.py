"""Layers that Keras lacks: dropout whose masks may be given, and dense layers for many labels at once."""

import numpy as np

from skbcnn.network.backend import keras, tf

ops = keras.ops


class MCDropout(keras.layers.Layer):
    """Dropout as a posterior over weights.

    While training, every spectrum gets masks of its own. Asked with `keep`, the mask given is applied to all spectra:
    that is one draw from the posterior. Asked with neither (validation), the units are left at their expectation.

    Parameters
    ----------
    rate : float
        Share of units dropped.
    seed : int, default=0
        Of the masks while training.
    """

    def __init__(self, rate, seed=0):
        super().__init__()
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(seed)

    def reseed(self, seed):
        """Start the masks of training anew.

        Parameters
        ----------
        seed : int
            As in the constructor.
        """
        self.seed_generator.state.assign([seed, 0])

    def call(self, x, keep=None, training=False):
        """Apply the masks given, or masks of our own while training."""
        if keep is None and training and self.rate > 0:
            keep = self._masks_of_each_spectrum(tf.shape(x))
        return x if keep is None else x * keep

    def _masks_of_each_spectrum(self, shape):
        """Random masks from 16 bits a unit, two units to a random word: a third of the time of Keras's dropout."""
        size = tf.reduce_prod(shape)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        words = tf.random.stateless_uniform([(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.int32)
        bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:size]
        n_dropped = min(round(self.rate * 2**16), 2**16 - 1)  # of the 2**16 values that the bits may take
        kept = tf.cast(bits >= tf.constant(n_dropped, tf.uint16), tf.float32)
        return tf.reshape(kept / (1 - n_dropped / 2**16), shape)


class WindowGather(keras.layers.Layer):
    """Spectra (n, pixels) to the windows of several labels (labels, n, widest window), short ones padded.

    What stands in the padding does not matter: the kernel that meets it is held at zero (`StackedDense`).

    Parameters
    ----------
    windows : sequence of sequence of int
        Pixels of each label.
    """

    def __init__(self, windows):
        super().__init__()
        self.sizes = [len(window) for window in windows]
        self.padded = np.zeros((len(windows), max(self.sizes)), dtype=np.int32)
        for row, window in zip(self.padded, windows, strict=True):
            row[: len(window)] = window

    def call(self, x):
        """Gather along transposed spectra, so that each pixel is one contiguous copy."""
        gathered = ops.take(ops.transpose(x), self.padded.ravel(), axis=0)
        return ops.transpose(ops.reshape(gathered, (*self.padded.shape, -1)), (0, 2, 1))


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
    sizes : sequence of int, default=None
        How many inputs of each label are real; kernels stay exactly zero beyond. None: all.
    """

    def __init__(self, n_labels, n_inputs, units, activation=None, regularizer=None, sizes=None):
        super().__init__()
        self.activation = keras.activations.get(activation)
        self.kernel = self.add_weight((n_labels, n_inputs, units), "zeros", name="kernel", regularizer=regularizer)
        self.bias = self.add_weight((n_labels, 1, units), "zeros", name="bias")
        self.real = None
        if sizes is not None and min(sizes) < n_inputs:
            self.real = (np.arange(n_inputs) < np.reshape(sizes, (-1, 1)))[:, :, None].astype("float32")

    def call(self, x):
        """Multiply, padding masked out of value and gradient alike."""
        kernel = self.kernel if self.real is None else self.kernel * self.real
        return self.activation(ops.matmul(x, kernel) + self.bias)
