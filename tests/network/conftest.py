"""Networks to test, and the network of Leung & Bovy (2019) written a second time, in float64."""

import dataclasses

import numpy as np
import pytest

from skbcnn.network.spec import NetworkSpec
from skbcnn.survey import APOGEE_LABELS, apogee_windows

OTHER_SHAPES = {
    "no windows, long filter": {"windows": (None,) * 6, "filter_len": 20, "pool_length": 3},
    "no free context units, decreasing activation": {"num_hidden": (8, 7, 4, 3, 0), "activation": "silu"},
    "only windows, no overhang": {"windows": ((0, 1),) * 6, "filter_len": 1, "pool_length": 2},
    "no context, long pool": {
        "windows": ((0, 1),) * 6,
        "num_hidden": (8, 7, 4, 3, 0),
        "filter_len": 2,
        "pool_length": 11,
    },
    "3 pixels": {"n_pixels": 3, "windows": (None, (0,), (1, 2), (0,), None, None)},
    "1 pixel": {"n_pixels": 1, "windows": (None, (0,), None, None, None, None)},
    "other settings": {"filter_len": 3, "pool_length": 1, "activation": "tanh", "maxnorm": None, "l2": 0.0},
    "context in hidden layers": {"context_layer": "hidden", "activation": "silu"},
}


@pytest.fixture(scope="session")
def small_spec():
    """Six labels: two full-spectrum labels, and two pairs of window labels with layers of different widths."""
    return NetworkSpec(
        n_pixels=42,  # pooling by 4 drops the last two
        windows=((1, 2, 3, 30), None, (7, 8), tuple(range(20, 31)), None, (0, 41, 5)),
        widening=((1, 1), (1, 1), (3, 2), (1, 1), (1, 1), (3, 2)),
        num_hidden=(8, 7, 4, 3, 2),
        num_filters=(2, 3),
    )


@pytest.fixture(params=OTHER_SHAPES)
def other_spec(request, small_spec):
    """Networks that differ from the small one in one or two aspects."""
    return dataclasses.replace(small_spec, **OTHER_SHAPES[request.param])


@pytest.fixture(scope="session")
def dr14_spec():
    """The published network: 22 labels of APOGEE, default widths."""
    table = apogee_windows()
    windowed = [name if name in table and name != "Fe" else None for name in APOGEE_LABELS]
    return NetworkSpec(
        n_pixels=7514,
        windows=tuple(None if name is None else tuple(table[name].tolist()) for name in windowed),
        widening=tuple((8, 4) if name in ("C", "N") else (1, 1) for name in APOGEE_LABELS),
    )


@pytest.fixture(scope="session")
def random_weights():
    """Function that draws weights and biases with which every layer affects the output."""

    def draw(spec, seed=0):
        rng = np.random.default_rng(seed)
        weights = {}
        for name, shape in spec.weight_shapes.items():
            fan_in = np.prod(shape[:-1]) if name.endswith("kernel") else 100
            weights[name] = rng.normal(0, 1 / np.sqrt(fan_in), size=shape).astype(np.float32)
        return weights

    return draw


def _silu(x):
    return x / (1 + np.exp(-x))


def _relu(x):
    return np.maximum(x, 0)


_ACTIVATIONS = {"relu": _relu, "tanh": np.tanh, "silu": _silu}


def _same_convolution(x, kernel, bias):
    """Cross-correlate (n, pixels, channels); an even kernel extends one pixel further to the right."""
    length = len(kernel)
    left = (length - 1) // 2
    padded = np.pad(x, ((0, 0), (left, length - 1 - left), (0, 0)))
    return sum(padded[:, k : k + x.shape[1]] @ kernel[k] for k in range(length)) + bias


class PlainNetwork:
    """Figure 6 of Leung & Bovy (2019) in float64, with the masks of one draw over the flattened units of each place."""

    def __init__(self, spec, weights, masks=None):
        self.spec, self.weights, self.masks, self.act = spec, weights, masks, _ACTIVATIONS[spec.activation]
        self.full_labels = [j for j, window in enumerate(spec.windows) if window is None]

    def drop(self, values, place):
        if self.masks is None:
            return values
        return values * np.reshape(self.masks[place], values.shape[1:]).astype(float)

    def weighted(self, layer):
        return self.weights[f"{layer}.kernel"].astype(float), self.weights[f"{layer}.bias"]

    def dense(self, values, layer):
        kernel, bias = self.weighted(layer)
        return values @ kernel + bias

    def full(self, x):
        """Compute the input of the heads of the full-spectrum labels."""
        pixels = self.act(_same_convolution(x[:, :, None], *self.weighted("conv1")))
        pixels = self.act(_same_convolution(self.drop(pixels, "conv1"), *self.weighted("conv2")))
        pool = self.spec.pool_size
        pooled = pixels[:, : x.shape[1] // pool * pool].reshape(len(x), -1, pool, pixels.shape[2]).max(axis=2)
        full = self.act(self.dense(self.drop(pooled.reshape(len(x), -1), "flat"), "full1"))
        return self.act(self.dense(self.drop(full, "full1"), "full2"))

    def context(self, x):
        """Compute the context."""
        full = self.full(np.asarray(x, dtype=float))
        layers = (["aux"] if self.spec.n_free else []) + [f"label{j}.mean" for j in self.full_labels]
        return np.column_stack([np.empty((len(x), 0)), *(self.dense(full, layer) for layer in layers)])

    def __call__(self, x, context=None):
        """Compute means and log-variances, with the context of the spectra or a given one."""
        x, n_labels = np.asarray(x, dtype=float), len(self.spec.windows)
        context = self.context(x) if context is None else context
        moments = np.empty((2, len(x), n_labels))
        full = self.full(x)
        for j, window in enumerate(self.spec.windows):
            inputs = full if window is None else self.read_window(x[:, list(window)], context, f"label{j}")
            moments[:, :, j] = [self.dense(inputs, f"label{j}.{head}")[:, 0] for head in ("mean", "logvar")]
        return moments

    def read_window(self, pixels, context, name):
        """Compute the input of the heads of a window label."""
        hidden = self.drop(self.act(self.dense(pixels, f"{name}.hidden1")), f"{name}.hidden1")
        if self.spec.context_layer == "hidden":
            hidden = np.column_stack([hidden, context])
        hidden = self.drop(self.act(self.dense(hidden, f"{name}.hidden2")), f"{name}.hidden2")
        return np.column_stack([hidden, context])


@pytest.fixture(scope="session")
def plain_network():
    """Class of a network without Keras: (spec, weights, masks=None)."""
    return PlainNetwork


@pytest.fixture(scope="session")
def forward():
    """Function (spec, weights, x, masks=None) to means and log-variances, without Keras."""
    return lambda spec, weights, x, masks=None: PlainNetwork(spec, weights, masks)(x)
