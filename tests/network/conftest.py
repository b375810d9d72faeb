"""Networks to test, and the network of Leung & Bovy (2019) written a second time, in plain NumPy."""

import dataclasses

import numpy as np
import pytest

from skbcnn.network.spec import NetworkSpec
from skbcnn.survey import APOGEE_LABELS, apogee_windows

OTHER_SHAPES = {
    "no windows": {"windows": (None,) * 6},
    "no free numbers": {"num_hidden": (8, 7, 4, 3, 0)},
    "only windows": {"windows": ((0, 1),) * 6},
    "no context": {"windows": ((0, 1),) * 6, "num_hidden": (8, 7, 4, 3, 0)},
    "3 pixels": {"n_pixels": 3, "windows": (None, (0,), (1, 2), (0,), None, None)},
    "1 pixel": {"n_pixels": 1, "windows": (None, (0,), None, None, None, None)},
    "other settings": {"filter_len": 3, "pool_length": 1, "activation": "tanh", "maxnorm": None, "l2": 0.0},
    "no overhang": {"filter_len": 1, "pool_length": 2},
    "long filter": {"filter_len": 20, "pool_length": 3},
    "long pool": {"filter_len": 2, "pool_length": 11},
    "falling activation": {"activation": "silu"},
}


@pytest.fixture(scope="session")
def small_spec():
    """Six labels: two without a window, and two pairs of windows whose layers have different widths."""
    return NetworkSpec(
        n_pixels=42,  # pooling by 4 drops the last two
        windows=((1, 2, 3, 30), None, (7, 8), tuple(range(20, 31)), None, (0, 41, 5)),
        widening=((1, 1), (1, 1), (3, 2), (1, 1), (1, 1), (3, 2)),
        num_hidden=(8, 7, 4, 3, 2),
        num_filters=(2, 3),
    )


@pytest.fixture(params=OTHER_SHAPES)
def other_spec(request, small_spec):
    """Networks that differ from the small one in what may go wrong."""
    return dataclasses.replace(small_spec, **OTHER_SHAPES[request.param])


@pytest.fixture(scope="session")
def dr14_spec():
    """The published layout: 22 labels of APOGEE, default widths."""
    table = apogee_windows()
    windowed = [name if name in table and name != "Fe" else None for name in APOGEE_LABELS]
    return NetworkSpec(
        n_pixels=7514,
        windows=tuple(None if name is None else tuple(table[name].tolist()) for name in windowed),
        widening=tuple((8, 4) if name in ("C", "N") else (1, 1) for name in APOGEE_LABELS),
    )


@pytest.fixture(scope="session")
def random_weights():
    """Function that draws weights, biases too, with which every layer matters."""

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
    """Cross-correlation of (n, pixels, channels): of an even kernel, the smaller half hangs over on the left."""
    length = len(kernel)
    left = (length - 1) // 2
    padded = np.pad(x, ((0, 0), (left, length - 1 - left), (0, 0)))
    return sum(padded[:, k : k + x.shape[1]] @ kernel[k] for k in range(length)) + bias


def _forward(spec, weights, x, masks=None):
    """Figure 6 of Leung & Bovy (2019) in float64; the masks of one draw by place, each over the flattened units."""

    def drop(values, place):
        return values if masks is None else values * np.reshape(masks[place], values.shape[1:]).astype(float)

    def dense(values, layer):
        return values @ weights[f"{layer}.kernel"].astype(float) + weights[f"{layer}.bias"]

    act = _ACTIVATIONS[spec.activation]
    x = np.asarray(x, dtype=float)
    n = len(x)
    pixels = _same_convolution(x[:, :, None], weights["conv1.kernel"].astype(float), weights["conv1.bias"])
    pixels = drop(act(pixels), "conv1")
    pixels = act(_same_convolution(pixels, weights["conv2.kernel"].astype(float), weights["conv2.bias"]))
    pool = spec.pool_size
    pooled = pixels[:, : x.shape[1] // pool * pool].reshape(n, -1, pool, pixels.shape[2]).max(axis=2)
    full = act(dense(drop(pooled.reshape(n, -1), "flat"), "full1"))
    full = act(dense(drop(full, "full1"), "full2"))
    means, logvars = np.empty((n, len(spec.windows))), np.empty((n, len(spec.windows)))
    windowless = [j for j, window in enumerate(spec.windows) if window is None]
    for j in windowless:
        means[:, j] = dense(full, f"label{j}.mean")[:, 0]
        logvars[:, j] = dense(full, f"label{j}.logvar")[:, 0]
    free = [dense(full, "aux")] if spec.n_free else []
    context = np.column_stack([*free, means[:, windowless]])
    for j, window in enumerate(spec.windows):
        if window is not None:
            hidden = drop(act(dense(x[:, list(window)], f"label{j}.hidden1")), f"label{j}.hidden1")
            hidden = drop(act(dense(hidden, f"label{j}.hidden2")), f"label{j}.hidden2")
            told = np.column_stack([hidden, context])
            means[:, j] = dense(told, f"label{j}.mean")[:, 0]
            logvars[:, j] = dense(told, f"label{j}.logvar")[:, 0]
    return means, logvars


@pytest.fixture(scope="session")
def forward():
    """Function (spec, weights, x, masks=None) to means and log-variances, without Keras."""
    return _forward
