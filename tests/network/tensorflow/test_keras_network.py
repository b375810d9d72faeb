"""The Keras network: outputs against plain NumPy, gradients, and which inputs may affect which outputs."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.tensorflow.dropout import DropoutBits, n_dropped_values
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.losses import pack_targets, star_loss
from skbcnn.network.tensorflow.runtime import tf
from skbcnn.network.tensorflow.weights import set_weights

FULL_LABELS = (1, 4)  # full-spectrum labels of `small_spec`


@pytest.fixture(params=["output", "hidden"])
def both(request, small_spec):
    """The context enters the output heads, or the second window layers, too."""
    return dataclasses.replace(small_spec, context_layer=request.param)


def build(spec, weights):
    network = CensoredNetwork(spec)
    set_weights(network, weights)
    return network


@pytest.fixture
def network(small_spec, random_weights):
    return build(small_spec, random_weights(small_spec))


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(6, 42)).astype(np.float32)


def framed(spec, x):
    return np.pad(x, ((0, 0), Frames(spec).margins))


def masks_of_spectrum(spec, bits, number):
    """Masks of one spectrum in the form of `forward`, from the bits of a batch."""
    frames = Frames(spec)
    rate = n_dropped_values(spec.dropout_rate) / 2**16
    conv1, flat, full1, *windows = [(of_place >= n_dropped_values(spec.dropout_rate)) / (1 - rate) for of_place in bits]
    pixels = conv1[number].reshape(-1, spec.num_filters[0])[frames.overhang :][: spec.n_pixels]
    masks = {"conv1": pixels, "flat": flat[number].ravel()[: spec.n_flat], "full1": full1[number]}
    for group, hidden1, hidden2 in zip(spec.groups, windows[::2], windows[1::2], strict=True):
        for i, j in enumerate(group.labels):
            masks |= {f"label{j}.hidden1": hidden1[i, number], f"label{j}.hidden2": hidden2[i, number]}
    return masks


class TestAgainstNumPy:
    def assert_agree(self, spec, weights, x, forward, tolerance, with_dropout):
        network = CensoredNetwork(spec)
        set_weights(network, weights)
        bits = DropoutBits(network.dropout_shapes.values(), 3).draw(len(x)) if with_dropout else None
        outputs = np.asarray(network(framed(spec, x), bits))
        for number, of_star in enumerate(outputs):
            masks = masks_of_spectrum(spec, bits, number) if with_dropout else None
            mean, logvar = forward(spec, weights, x[number : number + 1], masks)
            assert_allclose(of_star[0], mean[0], rtol=tolerance, atol=tolerance)
            assert_allclose(of_star[1], logvar[0], rtol=tolerance, atol=tolerance)
        return outputs

    @pytest.mark.parametrize("with_dropout", [False, True])
    def test_small_network(self, small_spec, random_weights, x, forward, with_dropout):
        outputs = self.assert_agree(small_spec, random_weights(small_spec), x, forward, 1e-5, with_dropout)
        assert np.ptp(outputs, axis=0).min() > 0.01  # each label reacts to the spectrum, so a mix-up shows

    @pytest.mark.parametrize("with_dropout", [False, True])
    def test_published_network(self, dr14_spec, random_weights, forward, with_dropout):
        x = np.random.default_rng(1).normal(0, 0.5, size=(3, 7514)).astype(np.float32)
        self.assert_agree(dr14_spec, random_weights(dr14_spec), x, forward, 3e-5, with_dropout)

    @pytest.mark.parametrize("with_dropout", [True, pytest.param(False, marks=pytest.mark.slow)])
    def test_other_shapes(self, other_spec, random_weights, forward, with_dropout):
        x = np.random.default_rng(1).normal(size=(3, other_spec.n_pixels)).astype(np.float32)
        self.assert_agree(other_spec, random_weights(other_spec), x, forward, 2e-5, with_dropout)


def loss_of_labels(network, x, y):
    """Arguments of `loss_and_gradients`."""
    bits = DropoutBits(network.dropout_shapes.values(), 1).draw(len(x))
    targets = pack_targets(y)
    return lambda moments: (tf.reduce_sum(star_loss(targets, moments)),), framed(network.spec, x), bits


def test_gradients_are_those_of_a_tape(other_spec, random_weights):
    """The chain rule across stages against TensorFlow's gradient of the whole network."""
    network = CensoredNetwork(other_spec)
    set_weights(network, random_weights(other_spec))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, other_spec.n_pixels)).astype(np.float32)
    loss_of, *inputs = loss_of_labels(network, x, rng.normal(size=(4, 6)))
    (loss,), gradients = network.loss_and_gradients(loss_of, *inputs)
    variables = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape() as tape:
        (expected_loss,) = loss_of(network(*inputs))
    assert_allclose(loss, expected_loss, rtol=1e-5, atol=1e-5)
    n_some = 0
    for gradient, expected in zip(gradients, tape.gradient(expected_loss, variables), strict=True):
        assert (gradient is None) == (expected is None)
        if expected is not None:
            n_some += np.any(expected)
            assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)
    assert n_some >= 10


class TestGradientStop:
    @pytest.fixture
    def network(self, both, random_weights):
        return build(both, random_weights(both))

    def gradients(self, network, x, label):
        """Gradients of the loss of one label by name of the variable."""
        y = np.full((len(x), network.spec.n_labels), np.nan)
        y[:, label] = 0.7
        variables = {"heads": network.full_heads.kernel, "aux": network.aux.kernel, "full1": network.full1.kernel}
        variables |= {"heads bias": network.full_heads.bias, "conv1": network.conv1.kernel}
        variables |= {f"branch{i}": branch.hidden1.kernel for i, branch in enumerate(network.branches)}
        _, gradients = network.loss_and_gradients(*loss_of_labels(network, x, y))
        found = {id(variable): g for variable, g in zip(network.trainable_variables, gradients, strict=True)}
        gradients = {name: found[id(variable)] for name, variable in variables.items()}
        return {name: 0.0 if gradient is None else np.asarray(gradient) for name, gradient in gradients.items()}

    @pytest.mark.parametrize("label", [0, 2])  # one of each group
    def test_window_labels_do_not_train_full_spectrum_labels(self, network, x, label):
        gradients = self.gradients(network, x, label)
        assert not np.any(gradients["heads"])
        assert not np.any(gradients["heads bias"])
        assert np.any(gradients["aux"], axis=0).all()
        assert np.any(gradients["full1"])
        assert np.any(gradients["conv1"])

    @pytest.mark.parametrize("label", FULL_LABELS)
    def test_full_spectrum_labels_do_not_train_window_labels(self, network, x, label):
        gradients = self.gradients(network, x, label)
        columns = np.any(gradients["heads"], axis=0)
        of_label = np.flatnonzero(np.tile(np.array(FULL_LABELS) == label, 2))
        assert_array_equal(np.flatnonzero(columns), of_label)  # its own mean and log-variance
        assert not np.any(gradients["aux"])
        assert not any(np.any(gradients[f"branch{i}"]) for i in range(2))

    def test_means_of_full_spectrum_labels_affect_window_labels(self, network, x):
        before = np.asarray(network(framed(network.spec, x)))
        kernel = np.asarray(network.full_heads.kernel).copy()
        kernel[:, : len(FULL_LABELS)] += 0.1  # means, not log-variances
        network.full_heads.kernel.assign(kernel)
        changed = (np.asarray(network(framed(network.spec, x))) != before).any(axis=0)
        assert changed[0].all()
        assert_array_equal(np.flatnonzero(~changed[1]), FULL_LABELS)

    def test_log_variances_of_full_spectrum_labels_do_not(self, network, x):
        before = np.asarray(network(framed(network.spec, x)))
        bias = np.asarray(network.full_heads.bias).copy()
        bias[len(FULL_LABELS) :] += 1
        network.full_heads.bias.assign(bias)
        changed = (np.asarray(network(framed(network.spec, x))) != before).any(axis=0)
        assert not changed[0].any()
        assert_array_equal(np.flatnonzero(changed[1]), FULL_LABELS)


class TestCensoring:
    @pytest.fixture
    def network(self, both, random_weights):
        return build(both, random_weights(both))

    def test_pixels_outside_the_windows_change_nothing(self, network, small_spec, x):
        context = np.random.default_rng(0).normal(size=(len(x), small_spec.n_context)).astype(np.float32)
        for group, branch in zip(small_spec.groups, network.branches, strict=True):

            def output(spectra, branch=branch):
                return np.asarray(branch(framed(small_spec, spectra).T, context))

            before = output(x)
            for i, label in enumerate(group.labels):
                outside, inside = x.copy(), x.copy()
                outside[:, np.setdiff1d(np.arange(42), small_spec.windows[label])] += 10
                inside[:, small_spec.windows[label]] += 1
                assert_array_equal(output(outside)[:, i], before[:, i])
                assert (output(inside)[:, i] != before[:, i]).all()

    def test_context_affects_window_labels(self, network, small_spec, x):
        zeros = np.zeros((len(x), small_spec.n_context), np.float32)
        for branch in network.branches:
            pixels = framed(small_spec, x).T
            before = np.asarray(branch(pixels, zeros))
            for number in range(small_spec.n_context):
                context = zeros.copy()
                context[:, number] = 1
                after = np.asarray(branch(pixels, context))
                assert (after != before).all()

    def test_context_in_the_hidden_layers_interacts_with_the_window(self, network, small_spec, x):
        """In the output heads alone it only adds to the effect of the window."""
        pixels, moved = (framed(small_spec, spectra).T for spectra in (x, x + 1))
        contexts = [np.full((len(x), small_spec.n_context), value, np.float32) for value in (0, 1)]
        for branch in network.branches:
            read = [np.asarray(branch(moved, context) - branch(pixels, context)) for context in contexts]
            differs = np.abs(read[1] - read[0]).max(axis=(0, 2)) > 1e-3
            assert_array_equal(differs, network.spec.context_layer == "hidden")


class TestPadding:
    def test_pixels_in_the_padding_have_no_effect(self, network, x):
        before, n_padding = np.asarray(network(framed(network.spec, x))), 0
        for branch in network.branches:
            for row, size in zip(branch.gather.padded, branch.gather.sizes, strict=True):
                n_padding += len(row[size:])
                row[size:] = 33
        assert n_padding == 7 + 1
        assert_array_equal(network(framed(network.spec, x)), before)

    def test_kernels_in_the_padding_have_no_effect(self, network, x):
        before = np.asarray(network(framed(network.spec, x)))
        for branch in network.branches:
            kernel = np.asarray(branch.hidden1.kernel).copy()
            for rows, size in zip(kernel, branch.gather.sizes, strict=True):
                rows[size:] = 7
            branch.hidden1.kernel.assign(kernel)
        assert_array_equal(network(framed(network.spec, x)), before)


def test_free_context_units_have_bounded_kernels(small_spec):
    constraint = CensoredNetwork(small_spec).aux.kernel.constraint
    bounded = np.asarray(constraint(np.full((7, 2), 3.0, dtype=np.float32)))
    assert_allclose(np.linalg.norm(bounded, axis=0), 0.5, rtol=1e-5)
