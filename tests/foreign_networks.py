"""A network of astroNN's kind under astroNN's names, what it predicts in plain NumPy, and how oracles are met."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.survey import APOGEE_LABELS, apogee_windows

STAR = ("teff", "logg", "Fe")
HIDDEN = (8, 7, 4, 3, 2)


def numbered(name, number):
    """As Keras calls the layers that have no name."""
    return f"{name}_{number}" if number else name


def draw_layers(hidden=HIDDEN, *, shift=0, seed=0):
    """Kernel and bias of each layer by astroNN's names; the context is aux, teff, logg, Fe."""
    h0, h1, h2, h3, h4 = hidden
    shapes = {numbered("conv1d", shift): (8, 1, 2), numbered("conv1d", shift + 1): (8, 2, 4)}
    for number, shape in enumerate([(7512, h0), (h0, h1), *[(h1, 1)] * 6]):
        shapes[numbered("dense", shift + number)] = shape
    shapes["aux_fullspec"] = (h1, h4)
    for name in APOGEE_LABELS:
        if name not in STAR:
            wide1, wide2 = (8 * h2, 4 * h3) if name in ("C", "N") else (h2, h3)
            theirs = name.lower()
            shapes |= {f"{theirs}_dense": (len(apogee_windows()[name]), wide1), f"{theirs}_dense_2": (wide1, wide2)}
            shapes |= {f"{theirs}_concat": (wide2 + h4 + 3, 1), f"{theirs}_concat_var": (wide2 + h4 + 3, 1)}
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(0, 1.5 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32),
            rng.normal(0, 0.3, shape[-1:]).astype(np.float32),
        )
        for name, shape in shapes.items()
    }


def predict(layers, x, names=APOGEE_LABELS, *, windows=None, shift=0):
    """Means and log-variances without dropout, in normalised units, of spectra that are normalised."""
    x, windows = np.asarray(x, float), windows or apogee_windows()

    def dense(values, name, rectified=False):
        kernel, bias = layers[name]
        values = values @ kernel.astype(float) + bias
        return np.maximum(values, 0) if rectified else values

    def convolve(values, name):
        kernel, bias = layers[name]
        values = np.pad(values, ((0, 0), (3, 4), (0, 0)))
        parts = (values[:, k : k + x.shape[1]] @ kernel[k].astype(float) for k in range(8))
        return np.maximum(sum(parts) + bias, 0)

    pixels = convolve(convolve(x[:, :, None], numbered("conv1d", shift)), numbered("conv1d", shift + 1))
    pooled = pixels[:, : x.shape[1] // 4 * 4].reshape(len(x), -1, 4, 4).max(axis=2).reshape(len(x), -1)
    full = dense(pooled, numbered("dense", shift), True)
    full = dense(full, numbered("dense", shift + 1), True)
    star = {
        name: [dense(full, numbered("dense", shift + 2 + 3 * part + place)) for part in range(2)]
        for place, name in enumerate(STAR)
    }
    context = np.hstack([dense(full, "aux_fullspec"), *(star[name][0] for name in STAR)])
    columns = []
    for name in names:
        if name in STAR:
            columns.append(star[name])
            continue
        hidden = dense(x[:, windows[name]], f"{name.lower()}_dense", True)
        hidden = np.hstack([dense(hidden, f"{name.lower()}_dense_2", True), context])
        columns.append([dense(hidden, f"{name.lower()}_{head}") for head in ("concat", "concat_var")])
    mean, logvar = (np.hstack(part) for part in zip(*columns, strict=True))
    return mean, logvar


def check_oracle(model, oracle, n_draws=150):
    """What astroNN or SDSS-V predicted, and what our model of their weights does."""
    from skbcnn.network.tensorflow.keras_network import CensoredNetwork
    from skbcnn.network.tensorflow.weights import set_weights

    network = CensoredNetwork(model.spec_)
    set_weights(network, model.weights_)
    x = model.spectra_normalizer_.transform(oracle["x"])
    answer = np.asarray(network(np.pad(x, ((0, 0), network.frames.margins))))
    assert_allclose(answer[:, 0], oracle["pred_nodropout_norm"], rtol=0, atol=1e-5)
    assert_allclose(answer[:, 1], oracle["logvar_nodropout"], rtol=0, atol=1e-5)
    labels = model.label_normalizer_.inverse_transform(answer[:, 0].astype(float))
    assert_allclose(labels[:, 0], oracle["pred_nodropout"][:, 0], rtol=0, atol=5e-3)
    assert_allclose(labels[:, 1:], oracle["pred_nodropout"][:, 1:], rtol=0, atol=1e-5)

    ours = model.set_params(n_draws=n_draws).predict_distribution(oracle["x"])
    z = (ours.mean - oracle["pred_mc"]) / (oracle["std_model"] * np.sqrt(1 / n_draws + 1 / 400))
    assert np.abs(z).max() < 4.5
    assert 0.6 < z.std() < 1.4
    # of a standard deviation over n draws: 1 / sqrt(2 n) if they are normal, and theirs has an error, too
    for kind, median, most in (("model", 0.04, 0.35), ("predictive", 0.02, 0.3), ("total", 0.02, 0.25)):
        ratio = getattr(ours, kind) / oracle[f"std_{kind}"]
        assert np.median(ratio) == pytest.approx(1, abs=median), kind
        assert np.abs(ratio - 1).max() < most, kind
