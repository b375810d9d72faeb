"""Masks and noise of a draw: frozen numbers, and what they may depend on."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.masks import draw_flux_noise, draw_masks

GOLDEN_BITS = ["1011110011100111", "1111011110010011", "1111110110011100"]
GOLDEN_NOISE = [[0.49083534, -0.34272876, 1.0238003], [-0.72695673, -0.78183395, 0.67079073]]


def kept(masks):
    """One row of booleans a draw."""
    return np.concatenate(list(masks.values()), axis=1) > 0


class TestMasks:
    def test_frozen_bits(self):
        # a model must answer the same on every machine and with every release: these bits may never change
        bits = kept(draw_masks({"conv1": 10, "full1": 6}, dropout_rate=0.3, seed=42, n_draws=3)).astype(int)
        assert ["".join(map(str, row)) for row in bits] == GOLDEN_BITS

    def test_bits_follow_from_philox_alone(self):
        raw = np.random.Philox(key=np.array([42, 2], dtype=np.uint64)).random_raw(16)
        expected = raw / 2**64 >= 0.3
        assert_array_equal(kept(draw_masks({"conv1": 16}, 0.3, seed=42, n_draws=3))[2], expected)

    @pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
    def test_share_kept(self, rate):
        n = 40 * 24188
        share = kept(draw_masks({"conv1": 15028, "flat": 9160}, rate, seed=7, n_draws=40)).mean()
        assert abs(share - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / n)

    @pytest.mark.parametrize("rate", [0.0, 0.3, 0.999])
    def test_expectation_of_a_unit_is_kept(self, rate):
        values = np.unique(draw_masks({"full1": 5000}, rate, seed=1, n_draws=3)["full1"])
        assert values[-1] == np.float32(1 / (1 - rate))
        assert set(values[:-1]) <= {0}

    def test_without_dropout_all_are_kept_as_they_are(self):
        assert_array_equal(draw_masks({"full1": 50}, 0.0, seed=1, n_draws=2)["full1"], np.ones((2, 50)))

    def test_draw_does_not_depend_on_how_many_there_are(self):
        sizes = {"conv1": 30, "flat": 20}
        few, many = (draw_masks(sizes, 0.3, seed=5, n_draws=n) for n in (3, 9))
        for place in sizes:
            assert_array_equal(few[place], many[place][:3])

    def test_draws_and_seeds_differ(self):
        one = kept(draw_masks({"flat": 200}, 0.3, seed=5, n_draws=4))
        other = kept(draw_masks({"flat": 200}, 0.3, seed=6, n_draws=4))
        assert len(np.unique(np.concatenate([one, other]), axis=0)) == 8

    def test_large_seed(self):
        assert draw_masks({"flat": 4}, 0.3, seed=2**31 - 2, n_draws=1)["flat"].shape == (1, 4)


class TestFluxNoise:
    def test_frozen_numbers(self):
        assert_allclose(draw_flux_noise(3, seed=42, n_draws=2), GOLDEN_NOISE, rtol=1e-6)

    def test_standard_normal(self):
        noise = draw_flux_noise(7514, seed=3, n_draws=20)
        assert noise.dtype == np.float32
        assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
        assert abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)

    def test_draw_does_not_depend_on_how_many_there_are(self):
        assert_array_equal(draw_flux_noise(10, seed=3, n_draws=2), draw_flux_noise(10, seed=3, n_draws=5)[:2])

    def test_noise_is_not_made_of_the_numbers_of_the_masks(self):
        raw = np.random.Philox(key=np.array([42, 0], dtype=np.uint64))
        same_stream = np.random.Generator(raw).standard_normal(3, dtype=np.float32)
        assert not np.isin(draw_flux_noise(3, seed=42, n_draws=1), same_stream).any()
