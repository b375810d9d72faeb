"""Activations by Keras's names: NumPy's against Keras's own, and those that are refused."""

import keras
import numpy as np
import pytest
from keras.src.activations import ALL_OBJECTS_DICT
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import CensoredBCNNRegressor
from skbcnn.network.numpy.activations import ACTIVATIONS, numpy_activation
from skbcnn.network.spec import MONOTONIC_ACTIVATIONS
from skbcnn.network.tensorflow.activations import activation

ACTS_ALONG_AN_AXIS = ["softmax", "log_softmax", "sparsemax", "glu"]
LARGEST = [1e-38, 1e-30, 1e-8, 1e-3, 40, 87, 88, 89, 104, 200, 1e4, 1e18, 3e38]
X = np.concatenate([np.linspace(-20, 20, 4001), LARGEST, np.negative(LARGEST)]).astype(np.float32)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name in ALL_OBJECTS_DICT])
def test_equals_keras(name):
    """Without a warning, too: warnings are errors in these tests."""
    ours, expected = numpy_activation(name)(X), np.asarray(keras.activations.get(name)(X))
    assert ours.dtype == np.float32
    if name == "squareplus":  # Keras squares its input, which overflows
        assert not np.isfinite(expected[np.abs(X) > 1e20]).any()
        expected = np.where(np.abs(X) > 1e20, np.maximum(X, 0), expected)
    is_finite = np.isfinite(expected)
    assert is_finite.all() or name == "exponential"
    assert_array_equal(ours[~is_finite], expected[~is_finite])
    rounding = 4e-7 * np.maximum(1, np.abs(X[is_finite]))
    difference = np.abs(ours[is_finite].astype(float) - expected[is_finite])
    relative = difference <= 4e-7 * np.abs(expected[is_finite])
    assert ((difference <= rounding) | relative).all(), X[is_finite][(difference > rounding) & ~relative]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0, 0, 2]),
        ("leaky_relu", [-0.2, 0, 2]),
        ("elu", [np.exp(-1) - 1, 0, 2]),
        ("sigmoid", [1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-2))]),
        ("hard_sigmoid", [1 / 3, 0.5, 5 / 6]),
        ("softplus", [np.log1p(np.exp(-1)), np.log(2), np.log1p(np.exp(2))]),
        ("softsign", [-0.5, 0, 2 / 3]),
        ("sparse_plus", [0, 0.25, 2]),
        ("squareplus", [(5**0.5 - 1) / 2, 1, 1 + 2**0.5]),
        ("hard_shrink", [-1, 0, 2]),
        ("soft_shrink", [-0.5, 0, 1.5]),
    ],
)
def test_by_hand(name, expected):
    assert_allclose(numpy_activation(name)(np.array([-1, 0, 2], dtype=np.float32)), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", sorted(MONOTONIC_ACTIVATIONS))
def test_monotonic_activations_never_decrease(name):
    """Otherwise they could not follow the maximum over a pool."""
    assert (np.diff(numpy_activation(name)(np.sort(X))) >= 0).all()


@pytest.mark.parametrize("name", sorted({*ALL_OBJECTS_DICT} - {*ACTS_ALONG_AN_AXIS, "threshold"}))
def test_numpy_has_all_activations_of_tensorflow(name):
    assert callable(activation(name))
    assert callable(numpy_activation(name))


@pytest.mark.parametrize("name", [*ACTS_ALONG_AN_AXIS, "threshold"])
class TestRefused:
    """The last axis of an array is often that of the spectra, not of the units."""

    def test_by_tensorflow(self, name):
        with pytest.raises(ValueError, match=f"activation='{name}' does not act on each unit by itself.*Use 'relu'"):
            activation(name)

    def test_by_numpy(self, name):
        with pytest.raises(ValueError, match=f"activation='{name}' cannot be computed by NumPy"):
            numpy_activation(name)


def test_refused_by_fit():
    X = np.random.default_rng(0).normal(size=(20, 10))
    model = CensoredBCNNRegressor(activation="softmax", num_hidden=(4, 4, 2, 2, 1), max_epochs=1)
    with pytest.raises(ValueError, match="activation='softmax' does not act on each unit by itself"):
        model.fit(X, X[:, 0])


def test_unknown():
    with pytest.raises(ValueError, match="no_such"):
        activation("no_such")
    with pytest.raises(ValueError, match="activation='no_such' cannot be computed by NumPy, expected one of celu, elu"):
        numpy_activation("no_such")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="activation='abc' is no activation of Keras"):
        activation("abc")
