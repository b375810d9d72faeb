"""Moments of the draws: against a loop in plain NumPy, and independent of chunk, order and neighbours."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.masks import draw_flux_noise, draw_masks, draws_per_mask
from skbcnn.network.tensorflow import posterior as module
from skbcnn.network.tensorflow.posterior import MAX_CHUNK, Posterior, posterior_chunk_size

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


def moments_by_hand(forward, spec, weights, x, x_err=0.0, n_draws=N_DRAWS):
    """Moments from one network for each draw, with the same masks and noise for every spectrum."""
    masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, SEED, n_draws)
    noise = draw_flux_noise(spec.n_pixels, SEED, n_draws).astype(float)
    outputs = [
        forward(
            spec,
            weights,
            x + noise[t] * x_err,
            {place: values[t // draws_per_mask(place, n_draws)] for place, values in masks.items()},
        )
        for t in range(n_draws)
    ]
    means, logvars = (np.array(part) for part in zip(*outputs, strict=True))
    return means.mean(axis=0), means.var(axis=0, ddof=0), np.exp(logvars.mean(axis=0))


class TestMoments:
    @pytest.mark.parametrize("with_noise", [False, True])
    def test_against_a_loop_over_the_draws(self, posterior, small_spec, random_weights, forward, x, x_err, with_noise):
        noise = x_err if with_noise else None
        moments = ask(posterior, x, noise)
        by_hand = moments_by_hand(forward, small_spec, random_weights(small_spec), x, 0.0 if noise is None else noise)
        for ours, expected in zip(moments, by_hand, strict=True):
            assert ours.dtype == np.float64
            assert_allclose(ours, expected, rtol=3e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ("n_draws", "with_noise"), [(1, False), (51, False), (75, False), (103, False), (103, True)]
    )
    def test_draws_that_share_masks(
        self, posterior, small_spec, random_weights, forward, x, x_err, n_draws, with_noise
    ):
        """Also if the last group of draws is not full."""
        noise = x_err if with_noise else None
        moments = ask(posterior, x, noise, n_draws)
        weights = random_weights(small_spec)
        by_hand = moments_by_hand(forward, small_spec, weights, x, 0.0 if noise is None else noise, n_draws)
        for ours, expected in zip(moments, by_hand, strict=True):
            assert_allclose(ours, expected, rtol=3e-5, atol=1e-5)

    @pytest.mark.parametrize("with_noise", [False, True])
    def test_published_layout(self, dr14_spec, random_weights, forward, with_noise):
        """Its loops are compiled."""
        rng = np.random.default_rng(1)
        x = rng.normal(0, 0.5, size=(2, 7514)).astype(np.float32)
        noise = rng.uniform(0, 0.3, size=x.shape).astype(np.float32) if with_noise else None
        weights = random_weights(dr14_spec)
        moments = ask(Posterior(dr14_spec, weights, SEED), x, noise, n_draws=5)
        by_hand = moments_by_hand(forward, dr14_spec, weights, x, 0.0 if noise is None else noise, n_draws=5)
        for ours, expected in zip(moments, by_hand, strict=True):
            assert_allclose(ours, expected, rtol=2e-4, atol=2e-5)

    def test_noise_spreads_the_draws(self, posterior, x, x_err):
        noisy, quiet = ask(posterior, x, 4 * x_err, n_draws=49), ask(posterior, x, n_draws=49)
        assert (noisy.model_variance > quiet.model_variance).mean() > 0.95

    def test_zero_errors_are_no_noise(self, posterior, x):
        for quiet, noisy in zip(ask(posterior, x), ask(posterior, x, np.zeros_like(x)), strict=True):
            assert_allclose(noisy, quiet, rtol=1e-5, atol=1e-5)

    def test_without_dropout_draws_do_not_differ(self, small_spec, random_weights, forward, x):
        spec = dataclasses.replace(small_spec, dropout_rate=0.0)
        moments = ask(Posterior(spec, random_weights(spec), SEED), x)
        mean, logvar = forward(spec, random_weights(spec), x)
        assert_allclose(moments.mean, mean, rtol=1e-5, atol=1e-5)
        assert_allclose(moments.predictive_variance, np.exp(logvar), rtol=1e-4, atol=1e-5)
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
    """The result for a spectrum does not depend on its neighbours, bit for bit."""

    @pytest.mark.parametrize("with_noise", [False, True])
    def test_rows(self, posterior, x, x_err, with_noise):
        noise = x_err if with_noise else None
        together = ask(posterior, x, noise)
        order = np.random.default_rng(0).permutation(len(x))
        for rows in ([4], range(7), range(8, -1, -1), order, np.resize(order, posterior.chunk)):
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

    def test_many_chunks_come_back_in_order(self, posterior, x):
        together = ask(posterior, x)
        order = np.random.default_rng(0).integers(9, size=40)
        one_by_one = list(posterior.moments([(x[[row]], None) for row in order], N_DRAWS))
        assert_array_equal(np.concatenate([part.mean for part in one_by_one]), together.mean[order])

    def test_what_a_chunk_raises_reaches_the_caller(self, posterior, x):
        results = posterior.moments([(x, None), (x[:, :5], None), (x, None)], N_DRAWS)
        next(results)
        with pytest.raises(Exception, match="Graph execution error"):
            list(results)

    def test_noise_and_no_noise_in_turn(self, posterior, x, x_err):
        mixed = list(posterior.moments([(x, None), (x, x_err), (x, None)], N_DRAWS))
        assert_array_equal(mixed[0].mean, mixed[2].mean)
        assert (mixed[0].mean != mixed[1].mean).all()


class TestCompiling:
    def test_leaves_nothing_to_compile(self, posterior, x):
        graph = module._compiled(posterior.spec, posterior.chunk, draws_per_mask("conv1", 300), False, False)
        before = graph.experimental_get_tracing_count()
        with posterior.compiling(300):
            pass
        compiled = graph.experimental_get_tracing_count()
        ask(posterior, x, n_draws=300)
        assert before < compiled == graph.experimental_get_tracing_count()

    def test_error_of_the_context_reaches_the_caller(self, posterior):
        with pytest.raises(KeyboardInterrupt), posterior.compiling(N_DRAWS):
            raise KeyboardInterrupt


class TestChunkSize:
    def test_published_layout(self, dr14_spec):
        assert posterior_chunk_size(dr14_spec) == MAX_CHUNK

    @pytest.mark.parametrize(("n_pixels", "expected"), [(1, 128), (20_000, 80), (400_000, 4), (10**8, 1)])
    def test_long_spectra_come_in_small_chunks(self, small_spec, n_pixels, expected):
        spec = dataclasses.replace(small_spec, n_pixels=n_pixels)
        assert posterior_chunk_size(spec) == expected


class TestSharedBetweenModels:
    @pytest.fixture
    def traced(self, monkeypatch):
        """Counts the traces of the loop over the draws."""
        module._compiled.cache_clear()
        traced, welford = [], module._welford
        monkeypatch.setattr(module, "_welford", lambda *args: traced.append(args) or welford(*args))
        yield traced
        module._compiled.cache_clear()

    @pytest.mark.parametrize("with_noise", [False, True])
    def test_models_of_one_spec_share_what_was_traced(self, small_spec, random_weights, x, x_err, traced, with_noise):
        noise = x_err if with_noise else None
        one, other = (Posterior(small_spec, random_weights(small_spec, seed), seed) for seed in (0, 1))
        first = ask(one, x, noise)
        n_traces = len(traced)
        assert (ask(other, x, noise).mean != first.mean).all()
        assert_array_equal(ask(one, x, noise).mean, first.mean)
        assert len(traced) == n_traces

    def test_any_number_of_draws(self, small_spec, random_weights, x, traced):
        """Two traces: one for the number that came first, one for all others."""
        posterior = Posterior(small_spec, random_weights(small_spec), 0)
        for n_draws in (5, 7):
            ask(posterior, x, n_draws=n_draws)
        n_traces = len(traced)
        for n_draws in (9, 30, 5):
            ask(posterior, x, n_draws=n_draws)
        assert len(traced) == n_traces
