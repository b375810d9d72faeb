"""Weights as plain arrays: initial values, and a round trip through the Keras network."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.weights import get_weights, initial_weights, set_weights


def weights_of(seed, initializer="he_normal", **settings):
    """Initial weights of a small network with windows of 13 pixels (as sodium has), 60 and 13 pixels."""
    spec = NetworkSpec(
        n_pixels=60,
        windows=(None, tuple(range(13)), tuple(range(60)), tuple(range(20, 33))),
        widening=((1, 1),) * 4,
        num_hidden=(8, 8, 32, 16, 2),
        initializer=initializer,
        **settings,
    )
    return initial_weights(spec, seed)


class TestInitialWeights:
    def test_each_element_has_its_own_fan_in(self):
        drawn = [weights_of(seed) for seed in range(10)]
        for label, n_pixels in ((1, 13), (2, 60)):
            kernels = np.stack([weights[f"label{label}.hidden1.kernel"] for weights in drawn])
            assert kernels.shape == (10, n_pixels, 32)
            std = np.sqrt(2 / n_pixels)
            assert abs(kernels.std() - std) < 4 * std / np.sqrt(2 * kernels.size)
            assert abs(kernels.mean()) < 4 * std / np.sqrt(kernels.size)

    def test_context_counts_among_the_inputs(self):
        kernels = np.stack([weights_of(seed, context_layer="hidden")["label1.hidden2.kernel"] for seed in range(10)])
        assert kernels.shape == (10, 32 + 3, 16)
        std = np.sqrt(2 / 35)
        assert abs(kernels.std() - std) < 4 * std / np.sqrt(2 * kernels.size)

    def test_published_initializer(self):
        kernels = [weights_of(seed, "random_normal")["full1.kernel"] for seed in range(5)]
        assert np.std(kernels) == pytest.approx(0.05, rel=0.05)

    def test_heads_are_glorot_uniform_whatever_the_initializer(self):
        drawn = [weights_of(seed, "zeros") for seed in range(20)]
        for name, n_in in (("label0.mean", 8), ("label1.mean", 16 + 3), ("label1.logvar", 16 + 3)):
            kernels = np.stack([weights[f"{name}.kernel"] for weights in drawn])
            limit = np.sqrt(6 / (n_in + 1))
            assert np.abs(kernels).max() <= limit
            assert np.abs(kernels).max() > 0.9 * limit
        assert not np.any(drawn[0]["aux.kernel"])

    def test_biases_are_zero(self):
        assert not any(np.any(values) for name, values in weights_of(0).items() if name.endswith("bias"))

    def test_equal_shapes_start_differently(self):
        weights = weights_of(0)
        assert (weights["label1.hidden1.kernel"] != weights["label3.hidden1.kernel"]).all()
        assert (weights["label1.mean.kernel"] != weights["label1.logvar.kernel"]).all()
        assert (weights["label0.mean.kernel"] != weights["label0.logvar.kernel"]).all()

    def test_seeds(self):
        same, again, other = weights_of(0), weights_of(0), weights_of(1)
        for name in same:
            assert_array_equal(same[name], again[name])
        assert (same["full1.kernel"] != other["full1.kernel"]).all()


class TestRoundTrip:
    def test_published_network_holds_3505554_weights(self, dr14_spec):
        held = get_weights(CensoredNetwork(dr14_spec))
        assert sum(values.size for values in held.values()) == 3_505_554

    @pytest.mark.parametrize("context_layer", ["output", "hidden"])
    def test_get_returns_what_was_set(self, small_spec, random_weights, context_layer):
        spec = dataclasses.replace(small_spec, context_layer=context_layer)
        weights, network = random_weights(spec), CensoredNetwork(spec)
        set_weights(network, weights)
        held = get_weights(network)
        assert list(held) == list(spec.weight_shapes)
        for name, values in weights.items():
            assert held[name].dtype == np.float32
            assert_array_equal(held[name], values)

    def test_padding_is_zero_and_no_weight(self, small_spec, random_weights):
        network = CensoredNetwork(small_spec)
        set_weights(network, random_weights(small_spec))
        n_held = sum(values.size for values in get_weights(network).values())
        n_nonzero = sum(np.count_nonzero(variable) for variable in network.trainable_variables)
        n_room = sum(np.size(variable) for variable in network.trainable_variables)
        assert n_held == n_nonzero < n_room

    def test_get_returns_copies(self, small_spec, random_weights):
        weights, network = random_weights(small_spec), CensoredNetwork(small_spec)
        set_weights(network, weights)
        for values in get_weights(network).values():
            values[:] = 7
        assert_array_equal(get_weights(network)["full1.kernel"], weights["full1.kernel"])

    def test_padding_enters_no_l2(self, small_spec, random_weights):
        weights, network = random_weights(small_spec), CensoredNetwork(small_spec)
        set_weights(network, weights)
        penalised = [
            values
            for name, values in weights.items()
            if name.endswith("kernel") and (name.startswith(("conv", "full")) or "hidden1" in name)
        ]
        expected = small_spec.l2 * sum((values.astype(float) ** 2).sum() for values in penalised)
        assert_allclose(float(sum(network.losses)), expected, rtol=1e-5, atol=1e-12)


def test_unknown_initializer():
    spec = NetworkSpec(n_pixels=10, windows=(None,), widening=((1, 1),), initializer="abc")
    with pytest.raises(ValueError, match="initializer='abc' is no initializer of Keras"):
        initial_weights(spec, 0)
