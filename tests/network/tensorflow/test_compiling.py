"""Compiled functions: values and gradients equal those of the uncompiled ones."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.tensorflow.compiling import Differentiable, fused, is_large
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.runtime import tf


def function(x, shift, scale):
    return tf.tanh(x + shift) * scale


@pytest.mark.parametrize("large", [False, True])
def test_value_and_gradients(large):
    x, shift = tf.constant([[0.5, -1.0], [2.0, 0.1]]), tf.constant([0.1, 0.2])
    scale, upstream = tf.constant([3.0, 5.0]), tf.constant([[1.0, 2.0], [3.0, 4.0]])
    differentiable = Differentiable(function, 1, large)
    y = differentiable(x, shift, scale)
    of_x, of_shift = differentiable.gradients(upstream, x, shift, scale)
    tanh = np.tanh(x.numpy() + shift.numpy())
    expected = upstream.numpy() * (1 - tanh**2) * scale.numpy()
    assert_allclose(y, tanh * scale.numpy(), rtol=2e-6, atol=2e-6)
    assert_allclose(of_x, expected, rtol=1e-5, atol=1e-5)
    assert_allclose(of_shift, expected.sum(axis=0), rtol=1e-5, atol=1e-5)


def test_large_functions_are_compiled():
    assert fused(function, large=True)._jit_compile
    assert not fused(function, large=False)._jit_compile


def test_which_networks_are_large(dr14_spec, small_spec):
    assert is_large(dr14_spec)
    assert not is_large(small_spec)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_pooling_sends_the_gradient_to_one_pixel_of_a_pool(small_spec, activation):
    """If several pixels are equally large, to the first of them."""
    network = CensoredNetwork(dataclasses.replace(small_spec, activation=activation))
    frames, f1 = network.frames, small_spec.num_filters[1]
    x = tf.ones((1, 1, frames.n_pooled, frames.size * f1))
    of_x, *_ = network.stages[-1].function.gradients(
        tf.ones((1, small_spec.n_flat)), x, *[tf.zeros(f1)] * len(network.stages[-1].variables)
    )
    gradient = of_x.numpy().reshape(frames.n_pooled, small_spec.pool_size, -1)
    assert_array_equal((gradient != 0).sum(axis=1), 1)
    assert (gradient[:, 0] != 0).all()
