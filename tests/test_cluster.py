"""Whether the experiment with a globular cluster measures what it says; slow: its conclusion, in small."""

import numpy as np
import pytest

from skbcnn.datasets import make_apogee_spectra
from tests.benchmarks import cluster as experiment


@pytest.mark.slow
def test_censored_network_measures_aluminium_where_its_twin_guesses():
    train = make_apogee_spectra(1200, snr=experiment.SNR, random_state=72)
    stars = experiment.draw_stars("globular_cluster", 200, 73)
    figures = {}
    for name in ("censored network", "uncensored twin"):
        network = experiment.trained(name, train, 72, max_epochs=20).set_params(n_draws=30)
        figures[name] = experiment.cluster_figures(lambda X, _, network=network: network.predict(X), stars)
    censored, twin = figures.values()
    # four seeds gave slopes of 0.58 to 0.74, and five of the twin 0.08 to 0.30; of Mg from -0.02 to 0.00
    assert censored["slope of Al"] > 0.5
    assert censored["slope of Al"] > 1.7 * twin["slope of Al"]
    assert abs(censored["slope of Mg"]) < 0.05
    assert censored["per dex of Mg alone"] < twin["per dex of Mg alone"] / 3  # 0.03 to 0.07, and 0.28 to 0.50


def test_a_perfect_model_has_slope_one_and_answers_to_aluminium_alone():
    stars = experiment.draw_stars("globular_cluster", 4, 1)
    raised = dict.fromkeys((experiment.AL, experiment.MG))
    for column, X in ((experiment.AL, stars.more_al), (experiment.MG, stars.more_mg)):
        raised[column] = experiment.changed(stars.truth, column, experiment.RAISED)
        assert not np.array_equal(X, stars.X)
    known = {
        id(stars.X): stars.truth,
        id(stars.more_al): raised[experiment.AL],
        id(stars.more_mg): raised[experiment.MG],
    }
    found = experiment.cluster_figures(lambda X, truth: known[id(X)], stars)
    assert found["slope of Al"] == pytest.approx(1)
    assert found["scatter of Al"] == pytest.approx(0)
    assert found["per dex of Al alone"] == pytest.approx(1)
    assert found["per dex of Mg alone"] == pytest.approx(0)


def test_one_star_has_the_same_noise_whatever_its_labels():
    stars = experiment.draw_stars("globular_cluster", 3, 1)
    far = ~np.isin(np.arange(7514), np.flatnonzero(stars.X[0] != stars.more_al[0]))
    assert far.sum() > 6000  # pixels without a line of aluminium nearby, noise included
    np.testing.assert_allclose(stars.X[:, far], stars.more_al[:, far], atol=1e-6)


def test_prior_variance_is_what_a_straight_line_leaves():
    rng = np.random.default_rng(0)
    labels = np.zeros((20_000, 22))
    labels[:, experiment.MG] = rng.normal(size=20_000)
    labels[:, experiment.AL] = 0.8 * labels[:, experiment.MG] + 0.6 * rng.normal(size=20_000)
    assert experiment.prior_variance(labels, [experiment.MG]) == pytest.approx(0.36, rel=0.03)
    assert experiment.prior_variance(labels, [0]) == pytest.approx(1.0, rel=0.03)


def test_read_is_no_better_than_photon_noise_allows():
    stars = experiment.draw_stars("globular_cluster", 600, 1)
    found = np.sqrt(experiment.read_variance(stars, -1.0, 2))
    response = experiment.window(stars.more_al - stars.X, None, "Al").mean(axis=0) / experiment.RAISED
    photons = 1 / (np.sqrt((response**2).sum()) * experiment.SNR)  # of pixels as noisy as the continuum
    assert photons < found < 0.05
