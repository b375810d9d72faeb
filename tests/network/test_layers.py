"""Dropout with given masks, gathering of windows, stacked dense layers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.backend import keras, tf
from skbcnn.network.layers import MCDropout, StackedDense, WindowGather


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 9)).astype(np.float32)


class TestMCDropout:
    def test_given_mask_applies_to_all_spectra(self, x):
        keep = np.array([[0, 2, 0, 2, 2, 0, 0, 2, 0]], dtype=np.float32)
        assert_array_equal(MCDropout(0.5, seed=0)(x, keep, training=False), x * keep)

    def test_given_mask_goes_before_masks_of_its_own(self, x):
        keep = np.ones((1, 9), dtype=np.float32)
        assert_array_equal(MCDropout(0.5, seed=0)(x, keep, training=True), x)

    def test_validation_leaves_units_as_they_are(self, x):
        assert_array_equal(MCDropout(0.5, seed=0)(x), x)

    @pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
    def test_training_draws_masks_for_each_spectrum_and_call(self, rate):
        layer, ones = MCDropout(rate, seed=0), np.ones((201, 51), dtype=np.float32)
        first, second = (np.asarray(layer(ones, training=True)) for _ in range(2))
        assert_allclose(np.unique(first), [0, 1 / (1 - rate)], rtol=2**-16 / (1 - rate))  # 16 bits a unit
        for kept in (first > 0, second > 0):
            assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / kept.size)
            assert len(np.unique(kept, axis=0)) > 150  # not one mask for all spectra
            assert abs(np.corrcoef(kept[:, :-1].ravel(), kept[:, 1:].ravel())[0, 1]) < 4 / np.sqrt(kept.size)
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)

    def test_layers_differ(self):
        ones = np.ones((100, 50), dtype=np.float32)
        first, second = (np.asarray(MCDropout(0.3, seed)(ones, training=True)).ravel() for seed in (0, 1))
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(first.size)

    def test_equal_seeds_equal_masks(self):
        ones = np.ones((4, 50), dtype=np.float32)
        same, other = MCDropout(0.3, seed=1)(ones, training=True), MCDropout(0.3, seed=2)(ones, training=True)
        assert_array_equal(MCDropout(0.3, seed=1)(ones, training=True), same)
        assert (np.asarray(same) != np.asarray(other)).any()

    def test_rate_zero(self, x):
        assert_array_equal(MCDropout(0.0, seed=0)(x, training=True), x)


class TestWindowGather:
    def test_windows_of_a_spectrum(self, x):
        gathered = np.asarray(WindowGather([(4, 0), (8, 3, 5)])(x))
        assert gathered.shape == (2, 3, 3)
        assert_array_equal(gathered[0, :, :2], x[:, [4, 0]])
        assert_array_equal(gathered[1], x[:, [8, 3, 5]])


class TestStackedDense:
    def filled(self, sizes=None, **settings):
        layer = StackedDense(2, 3, 4, sizes=sizes, **settings)
        rng = np.random.default_rng(1)
        layer.kernel.assign(rng.normal(size=(2, 3, 4)))
        layer.bias.assign(rng.normal(size=(2, 1, 4)))
        return layer, np.asarray(layer.kernel), np.asarray(layer.bias), rng.normal(size=(2, 5, 3)).astype(np.float32)

    def test_is_one_dense_layer_for_each_label(self):
        layer, kernel, bias, x = self.filled(activation="tanh")
        assert_allclose(layer(x), np.tanh(np.einsum("lni,liu->lnu", x, kernel) + bias), rtol=1e-5, atol=1e-6)

    def test_padded_inputs_reach_neither_value_nor_gradient(self):
        layer, kernel, bias, x = self.filled(sizes=(2, 3))
        with tf.GradientTape() as tape:
            answer = layer(x)
        gradient = np.asarray(tape.gradient(answer, layer.kernel.value))
        assert_allclose(answer[0], x[0, :, :2] @ kernel[0, :2] + bias[0], rtol=1e-5, atol=1e-6)
        assert_array_equal(gradient[0, 2], 0)
        assert (gradient[0, :2] != 0).all()
        assert (gradient[1] != 0).all()

    def test_regularizer_reaches_the_kernel_only(self):
        layer, kernel, _, _ = self.filled(regularizer=keras.regularizers.L2(0.5))
        assert_allclose(sum(layer.losses), 0.5 * (kernel**2).sum(), rtol=1e-6)
