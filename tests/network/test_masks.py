"""Masks and noise of the draws: frozen numbers, each draw by itself, and the draws of a prediction together."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.masks import MAX_DRAWS_PER_MASK, draw_flux_noise, draw_masks, draws_per_mask

GOLDEN_BITS = {"conv1": ["1010110", "0101011", "1111101"], "full1": ["1111", "1000", "0111"]}
GOLDEN_NOISE = [[0.49083534, -0.34272876, 1.0238003], [-0.72695673, -0.78183395, 0.67079073]]


def kept(masks):
    """One row of booleans a mask."""
    return np.concatenate(list(masks.values()), axis=1) > 0


class TestMasks:
    def test_frozen_bits(self):
        # a model must answer the same on every machine and with every release: these bits may never change
        masks = draw_masks({"conv1": 7, "full1": 4}, dropout_rate=0.3, seed=42, n_draws=3)
        bits = {place: ["".join(map(str, row)) for row in (mask > 0).astype(int)] for place, mask in masks.items()}
        assert bits == GOLDEN_BITS

    def test_a_single_draw_follows_from_philox_alone(self):
        raw = np.random.Philox(key=np.array([42, 1], dtype=np.uint64)).random_raw(16)
        of_second_place = draw_masks({"conv1": 3, "full1": 16}, 0.3, seed=42, n_draws=1)["full1"]
        assert_array_equal(of_second_place[0] > 0, raw / 2**64 < 0.7)

    @pytest.mark.parametrize("n_draws", [1, 2, 7])
    @pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
    def test_each_draw_keeps_its_share_of_the_units(self, rate, n_draws):
        size = 40_000
        masks = draw_masks({"full1": size}, rate, seed=7, n_draws=n_draws)["full1"]
        shares = (masks > 0).mean(axis=1)
        assert (abs(shares - (1 - rate)) < 4.5 * np.sqrt(rate * (1 - rate) / size)).all()

    def test_units_of_a_draw_are_independent(self):
        """The share of kept pairs of neighbours is that of independent units, in every draw."""
        masks = draw_masks({"full1": 40_000}, 0.3, seed=3, n_draws=20)["full1"] > 0
        both = (masks[:, ::2] & masks[:, 1::2]).mean(axis=1)
        assert (abs(both - 0.49) < 4.5 * np.sqrt(0.49 * 0.51 / 20_000)).all()

    @pytest.mark.parametrize("rate", [0.0, 0.3, 0.999])
    def test_masks_keep_the_expectation_of_a_unit(self, rate):
        values = np.unique(draw_masks({"full1": 5000}, rate, seed=1, n_draws=3)["full1"])
        assert values[-1] == np.float32(1 / (1 - rate))
        assert set(values[:-1]) <= {0}

    def test_without_dropout_all_units_are_kept_unscaled(self):
        assert_array_equal(draw_masks({"full1": 50}, 0.0, seed=1, n_draws=2)["full1"], np.ones((2, 50)))

    def test_draws_and_seeds_differ(self):
        one = kept(draw_masks({"flat": 200}, 0.3, seed=5, n_draws=4))
        other = kept(draw_masks({"flat": 200}, 0.3, seed=6, n_draws=4))
        assert len(np.unique(np.concatenate([one, other]), axis=0)) == 8

    def test_places_of_one_size_differ(self):
        masks = draw_masks({"label0.hidden1": 200, "label1.hidden1": 200}, 0.3, seed=5, n_draws=4)
        assert (masks["label0.hidden1"] != masks["label1.hidden1"]).any(axis=1).all()

    def test_large_seed(self):
        assert draw_masks({"flat": 4}, 0.3, seed=2**31 - 2, n_draws=1)["flat"].shape == (1, 4)


class TestBalance:
    def test_every_unit_is_kept_in_its_share_of_the_draws(self):
        masks = draw_masks({"full1": 300}, 0.3, seed=1, n_draws=100)["full1"]
        assert_array_equal((masks > 0).sum(axis=0), 70)
        assert_allclose(masks.mean(axis=0), 1, rtol=1e-5)

    def test_a_share_that_is_not_a_whole_number_is_rounded_at_random(self):
        n_kept = (draw_masks({"full1": 20_000}, 0.25, seed=1, n_draws=10)["full1"] > 0).sum(axis=0)
        assert set(n_kept) == {7, 8}
        assert abs(n_kept.mean() - 7.5) < 4 * 0.5 / np.sqrt(20_000)

    def test_each_unit_has_its_own_order(self):
        masks = draw_masks({"full1": 2000}, 0.5, seed=1, n_draws=10)["full1"] > 0
        assert len(np.unique(masks.T, axis=0)) > 240  # of 252 ways to choose five of ten draws
        together = (masks[0] & masks[1]).mean()  # 0.5 * 4 / 9, since the draws compete for five places
        assert abs(together - 2 / 9) < 4 * np.sqrt(2 / 9 * 7 / 9 / 2000)


class TestSharing:
    def test_masks_of_the_convolutions_are_shared_if_enough_remain(self):
        sizes = {"conv1": 3, "flat": 3, "full1": 3}
        for n_draws, expected in {1: (1, 1, 1), 49: (49, 49, 49), 50: (25, 25, 50), 101: (26, 51, 101)}.items():
            masks = draw_masks(sizes, 0.3, seed=1, n_draws=n_draws)
            assert tuple(len(masks[place]) for place in sizes) == expected

    def test_one_number_of_sharing_draws_divides_the_other(self):
        for n_draws in range(1, 300, 7):
            sharing = [draws_per_mask(place, n_draws) for place in MAX_DRAWS_PER_MASK]
            assert max(sharing) % min(sharing) == 0
            assert all(number == 1 or n_draws / number >= 25 for number in sharing)


class TestFluxNoise:
    def test_frozen_numbers(self):
        assert_allclose(draw_flux_noise(3, seed=42, n_draws=2), GOLDEN_NOISE, rtol=2e-6, atol=2e-6)

    def test_standard_normal(self):
        noise = draw_flux_noise(7514, seed=3, n_draws=20)
        assert noise.dtype == np.float32
        assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
        assert abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)

    def test_draw_does_not_depend_on_how_many_there_are(self):
        assert_array_equal(draw_flux_noise(10, seed=3, n_draws=2), draw_flux_noise(10, seed=3, n_draws=5)[:2])

    def test_noise_and_masks_use_different_random_numbers(self):
        raw = np.random.Philox(key=np.array([42, 0], dtype=np.uint64))
        same_stream = np.random.Generator(raw).standard_normal(3, dtype=np.float32)
        assert not np.isin(draw_flux_noise(3, seed=42, n_draws=1), same_stream).any()
