"""Derivatives by the pixels: against finite differences in plain NumPy, the training graph, and numbers by hand."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network import sensitivity as module
from skbcnn.network.architecture import CensoredNetwork
from skbcnn.network.backend import tf
from skbcnn.network.frames import Frames
from skbcnn.network.masks import draw_masks, n_sharing
from skbcnn.network.sensitivity import Sensitivity, chunk_size, context_weights
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.weights import set_weights

SEED = 11
PATHS = ("total", "stopped", "window")


def derivatives(spec, weights, x, path="total", n_draws=1):
    """(n, n_labels, n_pixels), and how they are to be put together written down once more."""
    (slopes,) = Sensitivity(spec, weights, SEED, n_draws).slopes([x])
    found = np.einsum("jc,ncp->njp", context_weights(spec, weights, path), slopes.context)
    for j, window in enumerate(spec.windows):
        if window is not None:
            found[:, j, list(window)] += slopes.windows[j]
    return found


def by_differences(forward, spec, weights, x, n_draws=1, pixels=None, step=1e-6):
    """Central differences of the average of the draws' means, each with its masks, in float64."""
    masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, SEED, n_draws)
    draws = [{place: of[t // n_sharing(place, n_draws)] for place, of in masks.items()} for t in range(n_draws)]

    steps = step * np.eye(spec.n_pixels)[slice(None) if pixels is None else pixels]
    moved = np.concatenate([(x[:, None] + sign * steps).reshape(-1, spec.n_pixels) for sign in (1, -1)])
    up, down = np.split(np.mean([forward(spec, weights, moved, of_draw)[0] for of_draw in draws], axis=0), 2)
    return ((up - down) / (2 * step)).reshape(len(x), len(steps), -1).transpose(0, 2, 1)


def told_nothing(spec, weights, numbers):
    """A network whose window labels are not told some numbers of the context."""
    weights = {name: values.copy() for name, values in weights.items()}
    for j, window in enumerate(spec.windows):
        if window is not None:
            weights[f"label{j}.mean.kernel"][spec.widths(j)[1] :][numbers] = 0
    return weights


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).normal(size=(4, 42)).astype(np.float32)


class TestAgainstDifferences:
    @pytest.mark.parametrize("n_draws", [1, 7, 51, 103])
    def test_draws(self, small_spec, random_weights, forward, x, n_draws):
        """Also where draws share masks, and where their last group is not full."""
        weights = random_weights(small_spec)
        expected = by_differences(forward, small_spec, weights, x, n_draws)
        assert np.abs(expected).max(axis=(0, 2)).min() > 0.02  # every label reacts, so that a mix-up shows
        assert_allclose(derivatives(small_spec, weights, x, n_draws=n_draws), expected, atol=1e-6)

    def test_other_shapes(self, other_spec, random_weights, forward):
        x = np.random.default_rng(1).normal(size=(3, other_spec.n_pixels)).astype(np.float32)
        weights = random_weights(other_spec)
        expected = by_differences(forward, other_spec, weights, x, 3)
        assert_allclose(derivatives(other_spec, weights, x, n_draws=3), expected, atol=1e-6)

    @pytest.mark.parametrize("activation", ["tanh", "silu"])
    def test_smooth_activations(self, small_spec, random_weights, forward, x, activation):
        spec = dataclasses.replace(small_spec, activation=activation)
        weights = random_weights(spec)
        expected = by_differences(forward, spec, weights, x, 5, step=1e-5)
        assert_allclose(derivatives(spec, weights, x, n_draws=5), expected, atol=1e-6)

    def test_without_dropout(self, small_spec, random_weights, forward, x):
        spec = dataclasses.replace(small_spec, dropout_rate=0.0)
        expected = by_differences(forward, spec, random_weights(spec), x)
        assert_allclose(derivatives(spec, random_weights(spec), x, n_draws=4), expected, atol=1e-6)


class TestPaths:
    def test_stopped_is_what_is_left_when_elements_are_not_told_the_means(self, small_spec, random_weights, forward, x):
        weights = random_weights(small_spec)
        means = slice(small_spec.n_free, None)
        expected = by_differences(forward, small_spec, told_nothing(small_spec, weights, means), x, 3)
        stopped = derivatives(small_spec, weights, x, "stopped", n_draws=3)
        assert_allclose(stopped, expected, atol=1e-6)
        changed = np.abs(stopped - derivatives(small_spec, weights, x, n_draws=3)).max(axis=(0, 2)) > 1e-3
        assert_array_equal(changed, [True, False, True, True, False, True])

    def test_window_is_what_is_left_when_elements_are_told_nothing(self, small_spec, random_weights, forward, x):
        weights = random_weights(small_spec)
        expected = by_differences(forward, small_spec, told_nothing(small_spec, weights, slice(None)), x, 3)
        assert_allclose(derivatives(small_spec, weights, x, "window", n_draws=3), expected, atol=1e-6)

    @pytest.mark.parametrize("num_hidden", [(8, 7, 4, 3, 2), (8, 7, 4, 3, 0)])
    def test_stopped_is_the_gradient_of_the_training_graph(self, small_spec, random_weights, num_hidden):
        """Where elements must not pull on the parameters of the star."""
        spec = dataclasses.replace(small_spec, num_hidden=num_hidden, dropout_rate=0.0)
        weights, network = random_weights(spec), CensoredNetwork(spec)
        set_weights(network, weights)
        x = np.random.default_rng(1).normal(size=(3, spec.n_pixels)).astype(np.float32)
        left, right = Frames(spec).margins
        framed = tf.constant(np.pad(x, ((0, 0), (left, right))))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(framed)
            means = [network(framed)[:, 0, j] for j in range(spec.n_labels)]
        expected = np.stack([tape.gradient(mean, framed)[:, left:-right] for mean in means], axis=1)
        assert_allclose(derivatives(spec, weights, x, "stopped"), expected, atol=1e-5)

    @pytest.mark.parametrize("path", PATHS)
    def test_labels_without_a_window_are_always_the_same(self, small_spec, random_weights, x, path):
        weights, windowless = random_weights(small_spec), list(small_spec.full_labels)
        found = derivatives(small_spec, weights, x, path)[:, windowless]
        assert_array_equal(found, derivatives(small_spec, weights, x)[:, windowless])
        assert found.any()


class TestByHand:
    """A network without activations, of filters and pools of one pixel, whose weights can be multiplied in the head."""

    spec = NetworkSpec(
        n_pixels=3,
        windows=(None, (2,)),
        widening=((1, 1), (1, 1)),
        num_hidden=(1, 1, 1, 1, 1),
        num_filters=(1, 1),
        filter_len=1,
        pool_length=1,
        activation="linear",
        dropout_rate=0.0,
    )

    @pytest.fixture
    def weights(self):
        kernels = {"conv1": 2, "conv2": 3, "full1": [[1], [10], [100]], "full2": 0.5, "aux": 7, "label0.mean": -1}
        kernels |= {"label1.hidden1": 4, "label1.hidden2": 5, "label1.mean": [[0.25], [0.001], [1000]]}
        weights = {name: np.ones(shape, np.float32) for name, shape in self.spec.weight_shapes.items()}
        for layer, values in kernels.items():
            weights[f"{layer}.kernel"][...] = values
        return weights

    @pytest.mark.parametrize(
        ("path", "of_element"),
        [
            ("total", [-2999.979, -29999.79, -299997.9 + 5]),
            ("stopped", [0.021, 0.21, 2.1 + 5]),
            ("window", [0, 0, 5]),
        ],
    )
    def test_linear_network(self, weights, path, of_element):
        """Before the heads 2 * 3 * (1, 10, 100) * 0.5; the window 4 * 5 * 0.25; told 0.001 of aux and 1000 of teff."""
        found = derivatives(self.spec, weights, np.full((1, 3), 0.3, np.float32), path, n_draws=2)
        assert_allclose(found[0], [[-3, -30, -300], of_element], rtol=1e-6)


class TestEachSpectrumAlone:
    def test_rows(self, small_spec, random_weights, x):
        sensitivity = Sensitivity(small_spec, random_weights(small_spec), SEED, 5)
        (together,) = sensitivity.slopes([x])
        for rows in ([2], [3, 1, 0], np.resize([1, 2, 0, 3], sensitivity.chunk)):
            (found,) = sensitivity.slopes([x[rows]])
            assert_array_equal(found.context, together.context[rows])
            for j, of_window in found.windows.items():
                assert_array_equal(of_window, together.windows[j][rows])

    def test_chunks_come_in_order(self, small_spec, random_weights, x):
        sensitivity = Sensitivity(small_spec, random_weights(small_spec), SEED, 5)
        (together,) = sensitivity.slopes([x])
        order = np.random.default_rng(0).integers(4, size=20)
        apart = list(sensitivity.slopes(x[[row]] for row in order))
        assert_array_equal(np.concatenate([slopes.context for slopes in apart]), together.context[order])

    def test_padding_of_windows_is_left_out(self, small_spec, random_weights, x):
        (slopes,) = Sensitivity(small_spec, random_weights(small_spec), SEED, 2).slopes([x])
        assert {j: of.shape for j, of in slopes.windows.items()} == {0: (4, 4), 2: (4, 2), 3: (4, 11), 5: (4, 3)}
        assert slopes.context.shape == (4, 4, 42)


class TestChunkSize:
    def test_published_layout(self, dr14_spec):
        assert chunk_size(dr14_spec) == 32

    @pytest.mark.parametrize(("n_pixels", "expected"), [(1, 128), (7514, 32), (40_000, 8), (10**8, 1)])
    def test_long_spectra_come_in_small_chunks(self, small_spec, n_pixels, expected):
        assert chunk_size(dataclasses.replace(small_spec, n_pixels=n_pixels)) == expected

    def test_without_context(self, small_spec):
        spec = dataclasses.replace(small_spec, windows=((0, 1),) * 6, num_hidden=(8, 7, 4, 3, 0))
        assert chunk_size(spec) == 128


def test_models_of_one_spec_share_what_was_traced(small_spec, random_weights, x, monkeypatch):
    """Two traces: one for the number of draws that came first, one for all others."""
    module._compiled.cache_clear()
    traced, through_pools = [], module.SlopeGraph._through_pools
    monkeypatch.setattr(module.SlopeGraph, "_through_pools", lambda *args: traced.append(args) or through_pools(*args))
    try:
        for n_draws in (5, 7):
            list(Sensitivity(small_spec, random_weights(small_spec), 0, n_draws).slopes([x]))
        n_traces = len(traced)
        assert n_traces > 0
        for n_draws in (9, 30, 5):
            list(Sensitivity(small_spec, random_weights(small_spec, n_draws), 1, n_draws).slopes([x]))
        assert len(traced) == n_traces
    finally:
        module._compiled.cache_clear()
