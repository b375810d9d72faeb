"""Convolution on frames, selection of windows, dense layers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.layers import FramedConvolution, StackedDense, WideDense, WindowGather
from skbcnn.network.tensorflow.runtime import keras, tf


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 9)).astype(np.float32)


class TestFramedConvolution:
    """Values and gradients against TensorFlow's convolution."""

    @pytest.mark.parametrize(("filter_len", "n_in", "n_out"), [(8, 1, 2), (8, 2, 4), (3, 3, 1), (20, 2, 2)])
    def test_is_a_convolution(self, filter_len, n_in, n_out):
        rng = np.random.default_rng(1)
        frames = Frames(NetworkSpec(100, (None,), ((1, 1),), filter_len=filter_len))
        layer = FramedConvolution(frames.toeplitz(), n_in, n_out)
        kernel = tf.constant(rng.normal(size=(filter_len, n_in, n_out)), tf.float32)
        layer.kernel.assign(kernel)
        n_pixels = frames.size * frames.n_middle
        x = tf.constant(rng.normal(size=(2, n_pixels, n_in)), tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, kernel])
            framed = layer(tf.reshape(x, (2, 1, -1, frames.size * n_in)))
            ours = tf.reshape(framed, (2, -1, n_out))
            theirs = tf.nn.conv1d(x, kernel, 1, "VALID")[:, : ours.shape[1]]
            ours_sum, theirs_sum = (tf.reduce_sum(tf.sin(3 * y)) for y in (ours, theirs))
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        of_ours = tape.gradient(ours_sum, [x, layer.kernel.value])
        for gradient, expected in zip(of_ours, tape.gradient(theirs_sum, [x, kernel]), strict=True):
            assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


class TestWideDense:
    def test_is_a_dense_layer_of_a_transposed_kernel(self, x):
        layer, rng = WideDense(9, 4, "tanh"), np.random.default_rng(1)
        kernel, bias = rng.normal(size=(4, 9)), rng.normal(size=4)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
        assert_allclose(layer(x), np.tanh(x @ kernel.T + bias), rtol=1e-5, atol=1e-6)


class TestWindowGather:
    def test_windows_of_a_spectrum(self, x):
        gathered = np.asarray(WindowGather([(4, 0), (8, 3, 5)], empty=7)(x.T))
        assert gathered.shape == (2, 3, 3)
        assert_array_equal(gathered[0], x[:, [4, 0, 7]].T)
        assert_array_equal(gathered[1], x[:, [8, 3, 5]].T)


class TestStackedDense:
    def filled(self, **settings):
        layer = StackedDense(2, 3, 4, **settings)
        rng = np.random.default_rng(1)
        layer.kernel.assign(rng.normal(size=(2, 3, 4)))
        layer.bias.assign(rng.normal(size=(2, 1, 4)))
        return layer, np.asarray(layer.kernel), np.asarray(layer.bias), rng.normal(size=(2, 5, 3)).astype(np.float32)

    def test_is_one_dense_layer_for_each_label(self):
        layer, kernel, bias, x = self.filled(activation="tanh")
        assert_allclose(layer(x), np.tanh(np.einsum("lni,liu->lnu", x, kernel) + bias), rtol=1e-5, atol=1e-6)

    def test_inputs_may_come_transposed(self):
        layer, _, _, x = self.filled(activation="tanh")
        assert_allclose(layer(x.transpose(0, 2, 1), transposed=True), layer(x), rtol=2e-6, atol=2e-6)

    def test_regularizer_reaches_the_kernel_only(self):
        layer, kernel, _, _ = self.filled(regularizer=keras.regularizers.L2(0.5))
        assert_allclose(sum(layer.losses), 0.5 * (kernel**2).sum(), rtol=1e-5)
