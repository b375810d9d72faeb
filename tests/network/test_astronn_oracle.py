"""Predictions of our network with astroNN's weights, compared with those of astroNN.

The folder was written by astroNN after a short training. Every layer affects the output, so that a swapped head or
window is found. These tests are skipped where the reference data are missing.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.posterior import Posterior
from skbcnn.network.tensorflow.weights import set_weights
from skbcnn.persistence import from_astronn
from skbcnn.survey import APOGEE_LABELS

N_DRAWS = 150


@pytest.fixture(scope="module")
def astronn(shared_data, dr14_spec):
    """Network with astroNN's weights, normalized spectra, and the predictions of astroNN."""
    folder = shared_data / "astronn_folders" / "astronn_keras2"
    oracle = dict(np.load(folder / "oracle.npz"))
    model = from_astronn(folder)
    assert model.spec_ == dr14_spec
    assert model.target_names_ == APOGEE_LABELS
    assert {name: values.shape for name, values in model.weights_.items()} == dr14_spec.weight_shapes
    weights = model.weights_
    x = ((oracle["x"] - oracle["input_mean"]) / oracle["input_std"]).astype(np.float32)
    return SimpleNamespace(posterior=Posterior(dr14_spec, weights, seed=2019), weights=weights, x=x, oracle=oracle)


@pytest.fixture(scope="module")
def moments(astronn):
    (moments,) = astronn.posterior.moments([(astronn.x, None)], N_DRAWS)
    return moments


def test_without_dropout(astronn, dr14_spec):
    network = CensoredNetwork(dr14_spec)
    set_weights(network, astronn.weights)
    output = np.asarray(network(np.pad(astronn.x, ((0, 0), network.frames.margins))))
    assert_allclose(output[:, 0], astronn.oracle["pred_nodropout_norm"], rtol=0, atol=1e-5)
    assert_allclose(output[:, 1], astronn.oracle["logvar_nodropout"], rtol=0, atol=1e-5)


def test_plain_numpy_without_dropout(astronn, dr14_spec, forward):
    mean, logvar = forward(dr14_spec, astronn.weights, astronn.x)
    assert_allclose(mean, astronn.oracle["pred_nodropout_norm"], rtol=0, atol=1e-5)
    assert_allclose(logvar, astronn.oracle["logvar_nodropout"], rtol=0, atol=1e-5)


def test_mean_over_draws(astronn, moments):
    samples = astronn.oracle["mc_samples_output_norm"].astype(float)
    error = samples.std(axis=0) * np.sqrt(1 / N_DRAWS + 1 / len(samples))
    z = (moments.mean - samples.mean(axis=0)) / error
    assert np.abs(z).max() < 4.5
    assert 0.6 < z.std() < 1.4  # the 352 numbers are not independent, because the spectra share the draws


def test_model_spread(astronn, moments):
    samples = astronn.oracle["mc_samples_output_norm"].astype(float)
    square = (samples - samples.mean(axis=0)) ** 2
    error = square.std(axis=0) * np.sqrt(1 / N_DRAWS + 1 / len(samples))  # of a variance, for any distribution
    z = (moments.model_variance - square.mean(axis=0)) / error
    assert np.abs(z).max() < 4.5
    labels_std = astronn.oracle["labels_std"]
    ratio = np.sqrt(moments.model_variance) * labels_std / astronn.oracle["std_model"]
    assert np.median(ratio) == pytest.approx(1, abs=0.04)


def test_predictive_spread(astronn, moments):
    samples = astronn.oracle["mc_samples_logvar"].astype(float)
    error = samples.std(axis=0) * np.sqrt(1 / N_DRAWS + 1 / len(samples))
    z = (np.log(moments.predictive_variance) - samples.mean(axis=0)) / error
    assert np.abs(z).max() < 4.5
    labels_std = astronn.oracle["labels_std"]
    ratio = np.sqrt(moments.predictive_variance) * labels_std / astronn.oracle["std_predictive"]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)


def test_prediction_is_independent_of_other_spectra(astronn):
    """It is the same bit for bit, also in the large products of the default widths."""
    (together,) = astronn.posterior.moments([(astronn.x, None)], 3)
    for rows in ([9], range(7), range(15, -1, -1), np.random.default_rng(0).permutation(16)):
        rows = np.array(rows)
        (some,) = astronn.posterior.moments([(astronn.x[rows], None)], 3)
        for ours, expected in zip(some, together, strict=True):
            assert_array_equal(ours, expected[rows])
