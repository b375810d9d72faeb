"""Labels with noise, and missing labels."""

import numpy as np
import pytest

from skbcnn.datasets.synthetic import make_apogee_spectra
from skbcnn.datasets.synthetic.catalogue import _missing_probability
from skbcnn.datasets.synthetic.population import POPULATIONS
from skbcnn.datasets.synthetic.tables import column
from skbcnn.survey import is_missing
from tests.datasets.synthetic.giants import FE, INDEX, TEFF, population


def test_label_noise_is_as_large_as_its_errors_say(stars):
    present = ~is_missing(stars.y)
    z = (stars.y - stars.truth)[present] / stars.y_err[present]
    assert z.mean() == pytest.approx(0, abs=5 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1, abs=5 / np.sqrt(2 * z.size))


def test_errors_are_those_of_the_table_and_grow_at_low_metallicity(stars):
    errors = np.ma.masked_array(stars.y_err, is_missing(stars.y_err))
    noise = column("synthetic_labels", "noise")
    np.testing.assert_allclose(np.ma.median(errors, axis=0), noise, rtol=0.1)
    poor, rich = stars.truth[:, FE] < -0.5, stars.truth[:, FE] > 0
    assert (errors[poor].mean(axis=0) > 1.3 * errors[rich].mean(axis=0)).all()


def test_labels_and_errors_are_missing_together(stars):
    np.testing.assert_array_equal(stars.y == -9999, stars.y_err == -9999)
    assert (stars.y_err[stars.y != -9999] > 0).all()


@pytest.mark.parametrize("missing", [0.01, 0.1, 0.5, 0.9])
def test_missing_is_the_mean_fraction(missing):
    iron = population()[:, FE]
    probability = _missing_probability(iron, missing, POPULATIONS["milky_way"].iron)
    assert probability.mean() == pytest.approx(missing, rel=0.03)
    assert not probability[:, TEFF].any()


def test_labels_are_missing_where_they_are_hard_to_measure(stars):
    missing = is_missing(stars.y)
    assert missing.mean() == pytest.approx(0.1, abs=0.012)
    assert not missing[:, TEFF].any()
    for weak in ("P", "V", "Co"):
        assert missing[:, INDEX[weak]].mean() > 3 * missing[:, INDEX["Mg"]].mean()
    poor, rich = stars.truth[:, FE] < -0.5, stars.truth[:, FE] > 0
    assert missing[poor].mean() > 3 * missing[rich].mean()


def test_nothing_is_missing_on_request():
    assert not is_missing(make_apogee_spectra(30, missing=0, continuum="true", random_state=0).y).any()
