"""The experiment with a globular cluster measures what it claims; its conclusion on few stars (slow)."""

import numpy as np
import pytest

from skbcnn.datasets import make_apogee_spectra
from tests.benchmarks import cluster as experiment


@pytest.fixture(scope="module")
def few_stars():
    return experiment.make_stars("globular_cluster", 4, 1)


@pytest.mark.slow
def test_censored_network_measures_aluminium_and_uncensored_network_guesses():
    train = make_apogee_spectra(1200, snr=experiment.SNR, continuum="true", random_state=72)
    stars = experiment.make_stars("globular_cluster", 200, 73)
    statistics = {}
    for name in ("censored network", "uncensored network"):
        network = experiment.new_network(name, 72, max_epochs=20)
        experiment.fit_to(network, train)
        network.set_params(n_draws=30)
        statistics[name] = experiment.cluster_statistics(lambda X, _, network=network: network.predict(X), stars)
    censored, uncensored = statistics.values()
    # four seeds gave slopes of 0.58 to 0.74 and five seeds of the uncensored network 0.08 to 0.30; Mg -0.02 to 0.00
    assert censored["slope of [Al/H]"] > 0.5
    assert censored["slope of [Al/H]"] > 1.7 * uncensored["slope of [Al/H]"]
    assert abs(censored["slope of [Mg/H]"]) < 0.05
    # 0.03 to 0.07 for the censored network, 0.28 to 0.50 for the uncensored one
    assert censored["change per dex of [Mg/H]"] < uncensored["change per dex of [Mg/H]"] / 3


def test_perfect_model_has_slope_one_and_responds_to_aluminium_only(few_stars):
    labels = {id(few_stars.X): few_stars.truth}
    for column, X in ((experiment.AL, few_stars.X_more_al), (experiment.MG, few_stars.X_more_mg)):
        labels[id(X)] = experiment.add_to_label(few_stars.truth, column, experiment.CHANGE)
        assert not np.array_equal(X, few_stars.X)
    statistics = experiment.cluster_statistics(lambda X, truth: labels[id(X)], few_stars)
    assert statistics["slope of [Al/H]"] == pytest.approx(1)
    assert statistics["scatter of [Al/H]"] == pytest.approx(0)
    assert statistics["change per dex of [Al/H]"] == pytest.approx(1)
    assert statistics["change per dex of [Mg/H]"] == pytest.approx(0)


def test_noise_does_not_depend_on_the_labels(few_stars):
    changed = np.flatnonzero(few_stars.X[0] != few_stars.X_more_al[0])
    others = ~np.isin(np.arange(7514), changed)
    assert others.sum() > 6000  # pixels that are not near a line of aluminium
    np.testing.assert_allclose(few_stars.X[:, others], few_stars.X_more_al[:, others], atol=1e-6)


def test_prior_variance_is_the_residual_variance_of_a_line():
    rng = np.random.default_rng(0)
    labels = np.zeros((20_000, 22))
    labels[:, experiment.MG] = rng.normal(size=20_000)
    labels[:, experiment.AL] = 0.8 * labels[:, experiment.MG] + 0.6 * rng.normal(size=20_000)
    assert experiment.prior_variance(labels, [experiment.MG]) == pytest.approx(0.36, rel=0.03)
    assert experiment.prior_variance(labels, [0]) == pytest.approx(1.0, rel=0.03)


def test_measurement_is_limited_by_photon_noise():
    stars = experiment.make_stars("globular_cluster", 600, 1)
    error = np.sqrt(experiment.measurement_variance(stars, -1.0, 2))
    change = experiment.window_pixels(stars.X_more_al - stars.X, None, "Al").mean(axis=0) / experiment.CHANGE
    photon_error = 1 / (np.sqrt((change**2).sum()) * experiment.SNR)  # if all pixels had the noise of the continuum
    assert photon_error < error < 0.05
