"""The network against a straightforward one in Keras: outputs, draws, training."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn import make_apogee_spectra
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.losses import pack_targets, star_loss
from skbcnn.network.tensorflow.posterior import Posterior
from skbcnn.network.tensorflow.runtime import keras, tf
from skbcnn.network.tensorflow.training import train
from skbcnn.network.tensorflow.weights import set_weights
from skbcnn.network.training_recipe import Recipe, Stars
from skbcnn.survey import APOGEE_LABELS
from tests.benchmarks import naive

pytestmark = pytest.mark.slow
N_EPOCHS, SEEDS = 8, range(3)


def layers_of(model):
    """Layers with weights of the Keras model by our names, found by the order of their creation."""

    def number(layer):
        return int("0" + layer.name.rpartition("_")[2]) if "_" in layer.name else 0

    full, others = naive.FULL, [name for name in APOGEE_LABELS if name not in naive.FULL]
    dense = ["full1", "full2", *(f"{name}.{head}" for head in ("mean", "logvar") for name in full), "aux"]
    dense += [f"{name}.{part}" for name in others for part in ("hidden1", "hidden2", "mean", "logvar")]
    found = {}
    for kind, names in ((keras.layers.Conv1D, ["conv1", "conv2"]), (keras.layers.Dense, dense)):
        layers = sorted((layer for layer in model.layers if isinstance(layer, kind)), key=number)
        found |= zip(names, layers, strict=True)
    return {our_name(name): layer for name, layer in found.items()}


def our_name(name):
    label, dot, part = name.partition(".")
    return f"label{APOGEE_LABELS.index(label)}.{part}" if dot else name


def set_layers(model, weights):
    for name, layer in layers_of(model).items():
        layer.set_weights([weights[f"{name}.kernel"], weights[f"{name}.bias"]])


def get_layers(model):
    weights = {}
    for name, layer in layers_of(model).items():
        weights[f"{name}.kernel"], weights[f"{name}.bias"] = layer.get_weights()
    return weights


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(0, 0.3, size=(8, 7514)).astype(np.float32)


def test_without_dropout(dr14_spec, random_weights, x):
    weights = random_weights(dr14_spec)
    model = naive.build(dropout_rate=0.0)
    set_layers(model, weights)
    expected = np.asarray(model(x))
    network = CensoredNetwork(dr14_spec)
    set_weights(network, weights)
    assert_allclose(network(np.pad(x, ((0, 0), network.frames.margins))), expected, rtol=1e-4, atol=2e-5)
    without = dataclasses.replace(dr14_spec, dropout_rate=0.0)
    (moments,) = Posterior(without, weights, 0).moments([(x, None)], 4)
    assert_allclose(moments.mean, expected[:, 0], rtol=1e-4, atol=2e-5)
    assert_allclose(np.log(moments.predictive_variance), expected[:, 1], rtol=1e-4, atol=5e-5)


def test_mean_and_spread_of_the_draws(dr14_spec, random_weights, x):
    """Each within the Monte-Carlo error of the naive draws; ours are balanced, so their error is smaller."""
    weights, n_draws = random_weights(dr14_spec), 400
    model = naive.build()
    set_layers(model, weights)
    draw = tf.function(model)
    draws = np.array([draw(x) for _ in range(n_draws)], dtype=float)
    (moments,) = Posterior(dr14_spec, weights, 3).moments([(x, None)], n_draws)
    expected, spread = draws.mean(axis=0), draws.std(axis=0)
    z = (moments.mean - expected[:, 0]) / spread[:, 0] * np.sqrt(n_draws)
    assert np.abs(z).max() < 4.5
    assert z.std() < 1.3
    z = (np.log(moments.predictive_variance) - expected[:, 1]) / spread[:, 1] * np.sqrt(n_draws)
    assert np.abs(z).max() < 4.5
    ratio = np.sqrt(moments.model_variance) / spread[:, 0]
    assert np.abs(ratio - 1).max() < 0.25
    assert np.median(ratio) == pytest.approx(1, abs=0.03)


@pytest.fixture(scope="module")
def stars():
    """Normalised training stars and held-out stars."""
    found = make_apogee_spectra(1800, snr=200, continuum="true", random_state=5)
    x = (found.X - found.X[:1500].mean(axis=0)).astype(np.float32)
    y = (found.y - np.nanmean(found.y[:1500], axis=0)) / np.nanstd(found.y[:1500], axis=0)
    return Stars(x[:1500], y[:1500], None, np.ones(1500)), Stars(x[1500:], y[1500:], None, np.ones(300))


def held_out_loss(spec, weights, stars):
    network = CensoredNetwork(spec)
    set_weights(network, weights)
    moments = network(np.pad(stars.x, ((0, 0), network.frames.margins)))
    return float(np.mean(star_loss(pack_targets(stars.y), moments)))


def test_training_reaches_the_same_loss(dr14_spec, stars):
    """Within the scatter from seed to seed."""
    training, held_out = stars
    constant = {"reduce_lr_epsilon": 0.0, "reduce_lr_min": 0.0, "reduce_lr_patience": 1000}
    recipe = Recipe(lr=5e-4, batch_size=64, max_epochs=N_EPOCHS, **constant)
    losses = {"ours": [], "naive": []}
    for seed in SEEDS:
        losses["ours"].append(
            held_out_loss(dr14_spec, train(dr14_spec, recipe, training, None, seed).weights, held_out)
        )
        keras.utils.set_random_seed(seed)
        model = naive.build()
        naive.fit(model, training.x, training.y, np.zeros_like(training.y), epochs=N_EPOCHS)
        losses["naive"].append(held_out_loss(dr14_spec, get_layers(model), held_out))
    mean = {name: np.mean(values) for name, values in losses.items()}
    scatter = np.hypot(*(np.std(values, ddof=1) / np.sqrt(len(SEEDS)) for values in losses.values()))
    assert abs(mean["ours"] - mean["naive"]) < 3 * scatter + 0.01, losses
