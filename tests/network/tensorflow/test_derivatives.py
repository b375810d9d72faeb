"""Derivatives with respect to pixels: against finite differences, the training graph, and numbers worked by hand."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.masks import draw_masks, draws_per_mask
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow import derivatives as module
from skbcnn.network.tensorflow.derivative_graph import DerivativeGraph
from skbcnn.network.tensorflow.derivative_rows import DerivativeRows
from skbcnn.network.tensorflow.derivatives import PosteriorDerivatives, derivatives_chunk_size
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.runtime import tf
from skbcnn.network.tensorflow.weights import set_weights

SEED, N_DRAWS = 11, 3
PATHS = ("total", "stopped", "window")


def derivatives(spec, weights, x, path="total", n_draws=N_DRAWS):
    """Derivatives of all labels (n, n_labels, n_pixels), put together from rows and windows."""
    sensitivity = PosteriorDerivatives(spec, weights, SEED, n_draws, path)
    (slopes,) = sensitivity.compute([x])
    found = np.einsum("jr,nrp->njp", sensitivity.row_weights, slopes.rows)
    for j, window in enumerate(spec.windows):
        if window is not None:
            found[:, j, list(window)] += slopes.windows[j]
    return found


@pytest.fixture(scope="module")
def by_differences(plain_network):
    """Function that returns central differences of the average of the draws' means in float64.

    The values `held` of the context can be held fixed at those of the unchanged spectra.
    """

    def differences(spec, weights, x, n_draws=N_DRAWS, held=slice(0), step=1e-6):
        masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, SEED, n_draws)
        draws = [
            {place: of[t // draws_per_mask(place, n_draws)] for place, of in masks.items()} for t in range(n_draws)
        ]
        steps = np.concatenate([sign * step * np.eye(spec.n_pixels) for sign in (1, -1)])
        moved = (x[:, None] + steps).reshape(-1, spec.n_pixels)
        means = []
        for network in (plain_network(spec, weights, of_draw) for of_draw in draws):
            context = network.context(moved)
            context[:, held] = network.context(x).repeat(len(steps), axis=0)[:, held]
            means.append(network(moved, context)[0])
        up, down = np.mean(means, axis=0).reshape(len(x), 2, spec.n_pixels, -1).transpose(1, 0, 3, 2)
        return (up - down) / (2 * step)

    return differences


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).normal(size=(4, 42)).astype(np.float32)


@pytest.fixture(scope="module")
def hidden_context(small_spec):
    """The small network, with the context in the second window layers, too."""
    return dataclasses.replace(small_spec, context_layer="hidden")


@pytest.fixture(scope="module", params=["small_spec", "hidden_context"])
def both(request):
    """The small network as published, and with the context in the second window layers."""
    return request.getfixturevalue(request.param)


class TestAgainstDifferences:
    @pytest.mark.parametrize("n_draws", [1, 51, 103])
    def test_draws(self, small_spec, random_weights, by_differences, x, n_draws):
        """Also if draws share masks, and if the last group of draws is not full."""
        self.assert_agree(small_spec, random_weights(small_spec), by_differences, x, n_draws)

    def test_draws_with_context_in_the_hidden_layers(self, hidden_context, random_weights, by_differences, x):
        """The effect of the context differs between draws."""
        self.assert_agree(hidden_context, random_weights(hidden_context), by_differences, x, 103)

    def assert_agree(self, spec, weights, by_differences, x, n_draws):
        expected = by_differences(spec, weights, x, n_draws)
        assert np.abs(expected).max(axis=(0, 2)).min() > 0.02  # every label reacts, so that swapped labels would show
        assert_allclose(derivatives(spec, weights, x, n_draws=n_draws), expected, rtol=1e-5, atol=1e-5)

    def test_other_shapes(self, other_spec, random_weights, by_differences):
        x = np.random.default_rng(1).normal(size=(3, other_spec.n_pixels)).astype(np.float32)
        weights = random_weights(other_spec)
        expected = by_differences(other_spec, weights, x)
        assert_allclose(derivatives(other_spec, weights, x), expected, rtol=1e-5, atol=1e-5)

    def test_smooth_activation_after_pooling(self, small_spec, random_weights, by_differences, x):
        spec = dataclasses.replace(small_spec, activation="tanh")
        weights = random_weights(spec)
        expected = by_differences(spec, weights, x, step=1e-5)
        assert_allclose(derivatives(spec, weights, x), expected, rtol=1e-5, atol=1e-5)

    def test_without_dropout(self, small_spec, random_weights, by_differences, x):
        spec = dataclasses.replace(small_spec, dropout_rate=0.0)
        expected = by_differences(spec, random_weights(spec), x)
        assert_allclose(derivatives(spec, random_weights(spec), x), expected, rtol=1e-5, atol=1e-5)


class TestPaths:
    @pytest.fixture(params=[2, 0])
    def spec(self, request, both):
        """With and without free context units."""
        return dataclasses.replace(both, num_hidden=(8, 7, 4, 3, request.param))

    @pytest.mark.parametrize("path", PATHS)
    def test_path_is_the_derivative_for_a_partly_fixed_context(self, spec, random_weights, by_differences, x, path):
        """Fixed are the means of other labels, or all values."""
        weights, n_open = random_weights(spec), {"total": None, "stopped": spec.n_free, "window": 0}[path]
        held = slice(0) if n_open is None else slice(n_open, None)
        found = derivatives(spec, weights, x, path)
        assert_allclose(found, by_differences(spec, weights, x, held=held), rtol=1e-5, atol=1e-5)
        differs = np.abs(found - derivatives(spec, weights, x)).max(axis=(0, 2)) > 1e-3
        assert_array_equal(differs, [window is not None and path != "total" for window in spec.windows])

    def test_window_is_exactly_zero_outside(self, both, random_weights, x):
        found = derivatives(both, random_weights(both), x, "window")
        for j, window in enumerate(both.windows):
            if window is not None:
                assert_array_equal(np.flatnonzero(found[:, j].any(axis=0)), sorted(window))

    def test_stopped_is_the_gradient_of_the_training_graph(self, both, random_weights):
        """There, window labels must not train full-spectrum labels."""
        spec = dataclasses.replace(both, dropout_rate=0.0)
        weights, network = random_weights(spec), CensoredNetwork(spec)
        set_weights(network, weights)
        x = np.random.default_rng(1).normal(size=(3, spec.n_pixels)).astype(np.float32)
        left, right = Frames(spec).margins
        framed = tf.constant(np.pad(x, ((0, 0), (left, right))))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(framed)
            means = [network(framed)[:, 0, j] for j in range(spec.n_labels)]
        expected = np.stack([tape.gradient(mean, framed)[:, left:-right] for mean in means], axis=1)
        assert_allclose(derivatives(spec, weights, x, "stopped"), expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("path", PATHS)
    def test_full_spectrum_labels_do_not_depend_on_the_path(self, both, random_weights, x, path):
        weights, full_labels = random_weights(both), list(both.full_labels)
        found = derivatives(both, weights, x, path)[:, full_labels]
        assert_allclose(found, derivatives(both, weights, x)[:, full_labels], rtol=1e-5, atol=1e-5)
        assert found.any()


class TestByHand:
    """A linear network with filters and pools of one pixel: derivatives are products of weights."""

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
        """Before the heads 2 * 3 * (1, 10, 100) * 0.5; the window 4 * 5 * 0.25; context 0.001 aux and 1000 teff."""
        found = derivatives(self.spec, weights, np.full((1, 3), 0.3, np.float32), path, n_draws=2)
        assert_allclose(found[0], [[-3, -30, -300], of_element], rtol=1e-5, atol=1e-5)


class TestEachSpectrumAlone:
    def test_rows(self, both, random_weights, x):
        sensitivity = PosteriorDerivatives(both, random_weights(both), SEED, N_DRAWS, "total")
        (together,) = sensitivity.compute([x])
        for rows in ([2], [3, 1, 0], np.resize([1, 2, 0, 3], sensitivity.chunk)):
            (found,) = sensitivity.compute([x[rows]])
            assert_array_equal(found.rows, together.rows[rows])
            for j, of_window in found.windows.items():
                assert_array_equal(of_window, together.windows[j][rows])

    def test_chunks_come_in_order(self, small_spec, random_weights, x):
        sensitivity = PosteriorDerivatives(small_spec, random_weights(small_spec), SEED, N_DRAWS, "total")
        (together,) = sensitivity.compute([x])
        order = np.random.default_rng(0).integers(4, size=20)
        apart = list(sensitivity.compute(x[[row]] for row in order))
        assert_array_equal(np.concatenate([slopes.rows for slopes in apart]), together.rows[order])

    def test_padding_of_windows_is_left_out(self, both, random_weights, x):
        (slopes,) = PosteriorDerivatives(both, random_weights(both), SEED, N_DRAWS, "total").compute([x])
        assert {j: of.shape for j, of in slopes.windows.items()} == {0: (4, 4), 2: (4, 2), 3: (4, 11), 5: (4, 3)}
        assert slopes.rows.shape == (4, 4 if both.context_layer == "output" else 6, 42)


class TestChunkSize:
    def test_published_layout(self, dr14_spec):
        assert derivatives_chunk_size(DerivativeRows.for_path(dr14_spec, "total")) == 32

    @pytest.mark.parametrize(("path", "expected"), [("total", 16), ("stopped", 16), ("window", 32)])
    def test_sums_of_all_labels(self, dr14_spec, path, expected):
        """Rows are all labels, or the context."""
        assert (
            derivatives_chunk_size(
                DerivativeRows.for_path(dataclasses.replace(dr14_spec, context_layer="hidden"), path)
            )
            == expected
        )

    @pytest.mark.parametrize(("n_pixels", "expected"), [(1, 128), (7514, 32), (40_000, 8), (10**8, 1)])
    def test_long_spectra_come_in_small_chunks(self, small_spec, n_pixels, expected):
        assert (
            derivatives_chunk_size(DerivativeRows.for_path(dataclasses.replace(small_spec, n_pixels=n_pixels), "total"))
            == expected
        )

    def test_without_context(self, small_spec):
        spec = dataclasses.replace(small_spec, windows=((0, 1),) * 6, num_hidden=(8, 7, 4, 3, 0))
        assert derivatives_chunk_size(DerivativeRows.for_path(spec, "total")) == 128


def test_models_of_one_spec_share_what_was_traced(small_spec, random_weights, x, monkeypatch):
    """Two traces: one for the number of draws that came first, one for all others."""
    module._compiled.cache_clear()
    traced, by_pixels = [], DerivativeGraph._by_pixels
    monkeypatch.setattr(DerivativeGraph, "_by_pixels", lambda *args: traced.append(args) or by_pixels(*args))
    try:
        for n_draws in (5, 7):
            list(PosteriorDerivatives(small_spec, random_weights(small_spec), 0, n_draws, "total").compute([x]))
        n_traces = len(traced)
        assert n_traces > 0
        for n_draws, path in zip((9, 30, 5), PATHS, strict=True):
            list(PosteriorDerivatives(small_spec, random_weights(small_spec, n_draws), 1, n_draws, path).compute([x]))
        assert len(traced) == n_traces
    finally:
        module._compiled.cache_clear()
