"""The spectra made from real ones, on which the benchmarks train and test."""

import numpy as np
import pytest

from skbcnn.survey import APOGEE_LABELS, apogee_windows
from tests.benchmarks.realistic import clean_flux, make_realistic_spectra

AL, MG, FE = (APOGEE_LABELS.index(name) for name in ("Al", "Mg", "Fe"))


@pytest.fixture(scope="module")
def stars():
    return make_realistic_spectra(300, random_state=0)


def test_spectra_are_as_deep_as_real_ones(stars):
    share_below = (stars.X.mean(axis=0) < 0.95).mean()
    assert share_below == pytest.approx(0.31, abs=0.05)  # of the mean DR14 training spectrum


def test_more_aluminium_deepens_its_windows_and_blends_elsewhere(stars):
    more = stars.truth.copy()
    more[:, AL] += 0.5
    change = np.abs(clean_flux(more) - clean_flux(stars.truth)).mean(axis=0)
    own = np.zeros(len(change), dtype=bool)
    own[apogee_windows()["Al"]] = True
    assert change[own].mean() > 10 * change[~own].mean() > 0


def test_visits_show_the_same_stars_with_more_noise(stars):
    visits = make_realistic_spectra(300, "visit", random_state=0)
    np.testing.assert_array_equal(visits.truth, stars.truth)
    assert (visits.X == 1).mean() == pytest.approx(0.03, abs=0.005)
    assert np.median(visits.X_err) > 2 * np.median(stars.X_err)


def test_aluminium_of_the_cluster_is_independent_of_magnesium():
    truth = make_realistic_spectra(2000, population="globular_cluster", random_state=0).truth
    assert abs(np.corrcoef(truth[:, AL], truth[:, MG])[0, 1]) < 0.06
    assert truth[:, MG].std() < 0.1
    assert -1.5 <= truth[:, AL].min() < truth[:, AL].max() <= -0.5
    assert truth[:, FE].mean() == pytest.approx(-1.3, abs=0.02)


def test_missing_labels_and_errors(stars):
    assert (stars.y == -9999).mean() == pytest.approx(0.03, abs=0.01)
    present = stars.y != -9999
    z = (stars.y - stars.truth)[present] / stars.y_err[present]
    assert z.std() == pytest.approx(1, abs=0.05)
