"""Moments of the posterior draws."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import CensoredBCNNRegressor, load_folder
from skbcnn._posterior_moments import count_draws_once


def stds(model, predictive):
    """Return moments of one star and one label with these standard deviations."""
    return np.array([7.0, model, predictive, np.hypot(model, predictive)])[:, None, None]


@pytest.mark.parametrize(
    ("model", "predictive", "variance"),
    [(0, 5, 25), (3, 5, 16), (4, 5, 9), (4.9, 5, 25 / 3), (6, 5, 12), (6, 0, 12), (0, 0, 0)],
)
def test_total_by_hand(model, predictive, variance):
    """It is the difference of the variances, but at least a third of the larger one."""
    moments = stds(model, predictive)
    found = count_draws_once(moments)
    assert_array_equal(found[:3], moments[:3])
    assert found[3, 0, 0] ** 2 == pytest.approx(variance)


def test_scatter_that_flux_errors_cause_is_added_by_hand():
    """25 - 9 about the mean of the draws without noise, and 25 - 9 more scatter with noise."""
    assert count_draws_once(stds(5, 5), stds(3, 5))[3, 0, 0] ** 2 == pytest.approx(16 + 16)


def test_trainings_of_version_0_1_keep_their_total():
    old = load_folder(Path(__file__).parent / "data" / "model-format1")
    X = 1 + 0.01 * np.random.default_rng(0).normal(size=(3, old.n_features_in_))
    prediction = old.predict_distribution(X)
    assert_allclose(prediction.total, np.hypot(prediction.model, prediction.predictive), rtol=1e-12)


def test_flux_errors_increase_the_total():
    rng = np.random.default_rng(0)
    X, x_err = rng.normal(size=(60, 20)), np.full((60, 20), 0.5)
    model = CensoredBCNNRegressor(max_epochs=2, n_draws=30, random_state=0).fit(X, X[:, :2])
    quiet, noisy = model.predict_distribution(X), model.predict_distribution(X, x_err=x_err)
    added = np.maximum(noisy.model**2 - quiet.model**2, 0)
    assert (noisy.total**2 >= added).all()
    samples = model.sample_y(X[:5], n_samples=4000)
    assert_allclose(samples.std(axis=2), quiet.total[:5], rtol=0.15)
