"""The graph: against plain NumPy, and what may not reach what."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.architecture import CensoredNetwork
from skbcnn.network.backend import tf
from skbcnn.network.losses import pack_targets, star_loss
from skbcnn.network.masks import draw_masks
from skbcnn.network.posterior import stack_masks
from skbcnn.network.weights import set_weights

WINDOWLESS = (1, 4)  # labels of `small_spec` that are read from the full spectrum


@pytest.fixture
def network(small_spec, random_weights):
    network = CensoredNetwork(small_spec)
    set_weights(network, random_weights(small_spec))
    return network


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(6, 42)).astype(np.float32)


class TestAgainstNumPy:
    def assert_agree(self, spec, weights, x, masks, forward, tolerance):
        network = CensoredNetwork(spec)
        set_weights(network, weights)
        keep = None if masks is None else [mask[0] for mask in stack_masks(spec, masks)]
        answer = np.asarray(network.after_dropout(network.before_dropout(x), keep))
        of_draw = None if masks is None else {place: values[0] for place, values in masks.items()}
        mean, logvar = forward(spec, weights, x, of_draw)
        assert np.ptp(mean, axis=0).min() > 0.01  # each label reacts to the spectrum, so a mix-up shows
        assert_allclose(answer[:, 0], mean, rtol=tolerance, atol=tolerance)
        assert_allclose(answer[:, 1], logvar, rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("with_masks", [False, True])
    def test_small_network(self, small_spec, random_weights, x, forward, with_masks):
        masks = draw_masks(small_spec.dropout_sizes, 0.3, seed=3, n_draws=1) if with_masks else None
        self.assert_agree(small_spec, random_weights(small_spec), x, masks, forward, 1e-5)

    @pytest.mark.parametrize("with_masks", [False, True])
    def test_published_network(self, dr14_spec, random_weights, forward, with_masks):
        x = np.random.default_rng(1).normal(0, 0.5, size=(3, 7514)).astype(np.float32)
        masks = draw_masks(dr14_spec.dropout_sizes, 0.3, seed=3, n_draws=1) if with_masks else None
        self.assert_agree(dr14_spec, random_weights(dr14_spec), x, masks, forward, 3e-5)

    def test_call_without_training_is_without_dropout(self, network, x):
        assert_array_equal(network(x), network.after_dropout(network.before_dropout(x)))
        assert (np.asarray(network(x, training=True)) != np.asarray(network(x))).any(axis=(1, 2)).all()

    @pytest.mark.parametrize(
        "changes",
        [
            {"windows": (None,) * 6},
            {"num_hidden": (8, 7, 4, 3, 0)},
            {"windows": ((0, 1),) * 6},
            {"windows": ((0, 1),) * 6, "num_hidden": (8, 7, 4, 3, 0)},
            {"n_pixels": 3, "windows": (None, (0,), (1, 2), (0,), None, None)},
            {"n_pixels": 1, "windows": (None, (0,), None, None, None, None)},
            {"filter_len": 3, "pool_length": 1, "activation": "tanh", "maxnorm": None, "l2": 0.0},
        ],
        ids=["no windows", "no free numbers", "only windows", "no context", "3 pixels", "1 pixel", "other settings"],
    )
    def test_other_shapes_answer(self, small_spec, random_weights, changes):
        spec = dataclasses.replace(small_spec, **changes)
        network = CensoredNetwork(spec)
        set_weights(network, random_weights(spec))
        answer = np.asarray(network(np.ones((2, spec.n_pixels), np.float32)))
        assert answer.shape == (2, 2, 6)
        assert np.isfinite(answer).all()


class TestGradientStop:
    def gradients(self, network, x, label):
        """Gradients of the loss of one label, by variable."""
        y = np.full((len(x), network.spec.n_labels), np.nan)
        y[:, label] = 0.7
        variables = {"heads": network.full_heads.kernel, "aux": network.aux.kernel, "full1": network.full1.kernel}
        variables |= {"heads bias": network.full_heads.bias, "conv1": network.conv1.kernel}
        variables |= {f"branch{i}": branch.hidden1.kernel for i, branch in enumerate(network.branches)}
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(star_loss(pack_targets(y), network(x, training=True)))
        gradients = tape.gradient(loss, [variable.value for variable in variables.values()])
        pairs = zip(variables, gradients, strict=True)
        return {name: 0.0 if gradient is None else np.asarray(gradient) for name, gradient in pairs}

    @pytest.mark.parametrize("label", [0, 2, 3, 5])
    def test_elements_do_not_pull_on_the_parameters_of_the_star(self, network, x, label):
        gradients = self.gradients(network, x, label)
        assert not np.any(gradients["heads"])
        assert not np.any(gradients["heads bias"])
        assert np.any(gradients["aux"], axis=0).all()
        assert np.any(gradients["full1"])
        assert np.any(gradients["conv1"])

    @pytest.mark.parametrize("label", WINDOWLESS)
    def test_parameters_of_the_star_do_not_pull_on_elements(self, network, x, label):
        gradients = self.gradients(network, x, label)
        columns = np.any(gradients["heads"], axis=0)
        of_label = np.flatnonzero(np.tile(np.array(WINDOWLESS) == label, 2))
        assert_array_equal(np.flatnonzero(columns), of_label)  # its own mean and log-variance
        assert not np.any(gradients["aux"])
        assert not any(np.any(gradients[f"branch{i}"]) for i in range(2))

    def test_elements_are_told_the_parameters_all_the_same(self, network, x):
        before = np.asarray(network(x))
        kernel = np.asarray(network.full_heads.kernel).copy()
        kernel[:, : len(WINDOWLESS)] += 0.1  # means, not log-variances
        network.full_heads.kernel.assign(kernel)
        changed = (np.asarray(network(x)) != before).any(axis=0)
        assert changed[0].all()
        assert_array_equal(np.flatnonzero(~changed[1]), WINDOWLESS)

    def test_elements_are_not_told_the_uncertainties(self, network, x):
        before = np.asarray(network(x))
        bias = np.asarray(network.full_heads.bias).copy()
        bias[len(WINDOWLESS) :] += 1
        network.full_heads.bias.assign(bias)
        changed = (np.asarray(network(x)) != before).any(axis=0)
        assert not changed[0].any()
        assert_array_equal(np.flatnonzero(changed[1]), WINDOWLESS)


class TestCensoring:
    def test_pixels_outside_the_windows_change_nothing(self, network, small_spec, x):
        context = np.random.default_rng(0).normal(size=(len(x), small_spec.n_context)).astype(np.float32)
        for group, branch in zip(small_spec.groups, network.branches, strict=True):

            def answer(spectra, branch=branch):
                hidden = branch.before_dropout(spectra)
                return np.asarray(branch.after_dropout(hidden, context, (None, None), training=False))

            before = answer(x)
            for i, label in enumerate(group.labels):
                outside, inside = x.copy(), x.copy()
                outside[:, np.setdiff1d(np.arange(42), small_spec.windows[label])] += 10
                inside[:, small_spec.windows[label]] += 1
                assert_array_equal(answer(outside)[:, i], before[:, i])
                assert (answer(inside)[:, i] != before[:, i]).all()

    def test_context_reaches_elements(self, network, small_spec, x):
        zeros = np.zeros((len(x), small_spec.n_context), np.float32)
        for branch in network.branches:
            hidden = branch.before_dropout(x)
            before = np.asarray(branch.after_dropout(hidden, zeros, (None, None), training=False))
            for number in range(small_spec.n_context):
                context = zeros.copy()
                context[:, number] = 1
                after = np.asarray(branch.after_dropout(hidden, context, (None, None), training=False))
                assert (after != before).all()


class TestPadding:
    def test_pixel_that_stands_in_the_padding_does_not_matter(self, network, x):
        before, n_padding = np.asarray(network(x)), 0
        for branch in network.branches:
            for row, size in zip(branch.gather.padded, branch.gather.sizes, strict=True):
                n_padding += len(row[size:])
                row[size:] = 33
        assert n_padding == 7 + 1
        assert_array_equal(network(x), before)

    def test_kernel_in_the_padding_does_not_matter(self, network, x):
        before = np.asarray(network(x))
        for branch in network.branches:
            kernel = np.asarray(branch.hidden1.kernel).copy()
            for rows, size in zip(kernel, branch.gather.sizes, strict=True):
                rows[size:] = 7
            branch.hidden1.kernel.assign(kernel)
        assert_array_equal(network(x), before)


def test_free_numbers_have_bounded_kernels(small_spec):
    constraint = CensoredNetwork(small_spec).aux.kernel.constraint
    bounded = np.asarray(constraint(np.full((7, 2), 3.0, dtype=np.float32)))
    assert_allclose(np.linalg.norm(bounded, axis=0), 0.5, rtol=1e-5)
