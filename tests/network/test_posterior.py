"""Moments over the draws: against a loop in plain NumPy, and what they may not depend on."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.masks import draw_flux_noise, draw_masks
from skbcnn.network.posterior import CHUNK, Posterior

SEED, N_DRAWS = 11, 7


@pytest.fixture(scope="module")
def posterior(small_spec, random_weights):
    return Posterior(small_spec, random_weights(small_spec), SEED)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).normal(size=(9, 42)).astype(np.float32)


@pytest.fixture(scope="module")
def x_err(x):
    return np.random.default_rng(6).uniform(0, 0.5, size=x.shape).astype(np.float32)


def ask(posterior, x, x_err=None, n_draws=N_DRAWS):
    (moments,) = posterior.moments([(x, x_err)], n_draws)
    return moments


def moments_by_hand(forward, spec, weights, x, x_err=0.0):
    """One network a draw; every spectrum gets the same masks and the same pattern of noise."""
    masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, SEED, N_DRAWS)
    noise = draw_flux_noise(spec.n_pixels, SEED, N_DRAWS).astype(float)
    answers = [
        forward(spec, weights, x + noise[t] * x_err, {place: values[t] for place, values in masks.items()})
        for t in range(N_DRAWS)
    ]
    means, logvars = (np.array(part) for part in zip(*answers, strict=True))
    return means.mean(axis=0), means.var(axis=0, ddof=0), np.exp(logvars.mean(axis=0))


class TestMoments:
    @pytest.mark.parametrize("with_noise", [False, True])
    def test_against_a_loop_over_the_draws(self, posterior, small_spec, random_weights, forward, x, x_err, with_noise):
        noise = x_err if with_noise else None
        moments = ask(posterior, x, noise)
        by_hand = moments_by_hand(forward, small_spec, random_weights(small_spec), x, 0.0 if noise is None else noise)
        for ours, expected in zip(moments, by_hand, strict=True):
            assert ours.dtype == np.float64
            assert_allclose(ours, expected, rtol=3e-5, atol=1e-6)

    def test_noise_spreads_the_draws(self, posterior, x, x_err):
        assert (ask(posterior, x, 4 * x_err).model_variance > ask(posterior, x).model_variance).mean() > 0.8

    def test_zero_errors_are_no_noise(self, posterior, x):
        for quiet, noisy in zip(ask(posterior, x), ask(posterior, x, np.zeros_like(x)), strict=True):
            assert_allclose(noisy, quiet, rtol=1e-5, atol=1e-7)

    def test_without_dropout_draws_do_not_differ(self, small_spec, random_weights, forward, x):
        spec = dataclasses.replace(small_spec, dropout_rate=0.0)
        moments = ask(Posterior(spec, random_weights(spec), SEED), x)
        mean, logvar = forward(spec, random_weights(spec), x)
        assert_allclose(moments.mean, mean, rtol=1e-5, atol=1e-5)
        assert_allclose(moments.predictive_variance, np.exp(logvar), rtol=1e-4)
        assert_array_equal(moments.model_variance, 0)

    def test_number_of_draws(self, posterior, x):
        one, few, many = (ask(posterior, x, n_draws=n) for n in (1, N_DRAWS, 30))
        assert_array_equal(one.model_variance, 0)
        assert (few.mean != many.mean).all()
        for before, again in zip(few, ask(posterior, x), strict=True):
            assert_array_equal(again, before)

    def test_other_seed_other_draws(self, posterior, small_spec, random_weights, x):
        other = Posterior(small_spec, random_weights(small_spec), SEED + 1)
        assert (ask(other, x).mean != ask(posterior, x).mean).all()


class TestEachSpectrumAlone:
    """Bit for bit the same answer, whatever stands beside a spectrum."""

    @pytest.mark.parametrize("with_noise", [False, True])
    def test_rows(self, posterior, x, x_err, with_noise):
        noise = x_err if with_noise else None
        together = ask(posterior, x, noise)
        order = np.random.default_rng(0).permutation(len(x))
        for rows in ([4], range(7), range(8, -1, -1), order, np.resize(order, CHUNK)):
            rows = np.array(rows)
            for ours, expected in zip(
                ask(posterior, x[rows], None if noise is None else noise[rows]), together, strict=True
            ):
                assert_array_equal(ours, expected[rows])

    def test_chunks(self, posterior, x):
        together = ask(posterior, x)
        apart = list(posterior.moments([(x[:4], None), (x[4:5], None), (x[5:], None)], N_DRAWS))
        for name in together._fields:
            assert_array_equal(np.concatenate([getattr(part, name) for part in apart]), getattr(together, name))

    def test_noise_and_no_noise_in_turn(self, posterior, x, x_err):
        mixed = list(posterior.moments([(x, None), (x, x_err), (x, None)], N_DRAWS))
        assert_array_equal(mixed[0].mean, mixed[2].mean)
        assert (mixed[0].mean != mixed[1].mean).all()
