"""`make_apogee_spectra`: the result, repeatability, bad input, the continuum, and frozen values.

The tests of frozen values guard what accuracy benchmarks rest on: they fail when a drawn star changes at all.
"""

from functools import partial

import numpy as np
import pytest

from skbcnn.datasets.synthetic import make_apogee_spectra
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import APOGEE_LABELS, apogee_windows, continuum_pixels, is_missing
from tests.datasets.synthetic.giants import FE, INDEX, TEFF

draw = partial(make_apogee_spectra, continuum="true")


def test_shapes_types_and_names(stars):
    assert stars.X.shape == stars.X_err.shape == (1200, 7514)
    assert stars.y.shape == stars.y_err.shape == stars.truth.shape == (1200, 22)
    assert (stars.X.dtype, stars.X_err.dtype) == (np.float32, np.float32)
    assert (stars.y.dtype, stars.y_err.dtype, stars.truth.dtype) == (np.float64, np.float64, np.float64)
    assert stars.label_names == list(APOGEE_LABELS)
    assert stars.wavelength.shape == (7514,)
    assert stars.snr.shape == (1200,)
    assert "synthetic stars only" in stars.DESCR


def test_everything_is_finite(stars):
    assert all(np.isfinite(stars[name]).all() for name in ("X", "X_err", "y", "y_err", "truth"))
    assert not is_missing(stars.truth).any()
    assert (stars.X_err >= 0).all()


@pytest.mark.parametrize("lines", ["blanketed", "isolated"])
def test_spectra_look_like_giants(lines):
    stars = draw(300, lines=lines, random_state=5)
    cool, warm = stars.X[stars.truth[:, TEFF] < 4200], stars.X[stars.truth[:, TEFF] > 4900]
    assert 0.8 < cool.mean() < 0.92 < warm.mean() < 0.98
    assert 0.3 < np.percentile(cool, 1) < 0.7
    clean = continuum_pixels(14)
    assert np.median(stars.X[:, clean]) > 0.975
    assert np.median(stars.X[:, clean].std(axis=0)) < 0.5 * np.median(stars.X.std(axis=0))


def test_blanketing_is_that_of_real_giants():
    """The mean spectrum of the training set of Leung & Bovy (2019) is deeper than these depths in these shares."""
    mean = make_apogee_spectra(300, snr=1e4, random_state=5).X.mean(axis=0, dtype=float)
    assert mean.mean() == pytest.approx(0.957, abs=0.008)
    for depth, share in {0.02: 0.57, 0.05: 0.31, 0.10: 0.12}.items():
        assert (mean < 1 - depth).mean() == pytest.approx(share, abs=0.08)
    assert mean[continuum_pixels(14)].mean() == pytest.approx(1.0, abs=0.003)


def test_cluster_by_the_public_function():
    stars = draw(300, missing=0.2, population="globular_cluster", random_state=3)
    assert stars.truth[:, FE].mean() == pytest.approx(-1.305, abs=0.02)
    assert is_missing(stars.y).mean() == pytest.approx(0.2, abs=0.02)  # of this population, not of the Milky Way
    assert not is_missing(stars.truth).any()
    usual = draw(300, missing=0.2, random_state=3)
    assert stars.X.mean() > usual.X.mean() + 0.03  # metal-poor: fewer and weaker lines
    rich, poor = stars.truth[:, INDEX["Al"]] > -0.7, stars.truth[:, INDEX["Al"]] < -1.3
    difference = stars.X[rich].mean(axis=0) - stars.X[poor].mean(axis=0)
    window = apogee_windows().mask("Al")
    assert difference[window].mean() < -0.05 < -0.005 < difference[~window].mean()


# Repeatability and bad input


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in ("X", "X_err", "y", "y_err", "truth"))


def test_a_seed_gives_the_same_stars():
    assert same(draw(5, random_state=3), draw(5, random_state=3))
    assert same(draw(5, random_state=3), draw(5, random_state=np.random.RandomState(3)))
    assert not same(draw(5, random_state=3), draw(5, random_state=4))
    assert not same(draw(5), draw(5))


def test_a_star_does_not_depend_on_how_many_follow():
    few, many = (draw(n, random_state=7) for n in (3, 270))  # 270: more than are made at once
    for name in ("y", "y_err", "truth"):
        np.testing.assert_array_equal(few[name], many[name][:3])
    for name in ("X", "X_err"):
        np.testing.assert_allclose(few[name], many[name][:3], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples=0, expected a whole number of stars"),
        ({"n_samples": 2.5}, "n_samples=2.5, expected a whole number"),
        ({"n_samples": True}, "n_samples=True"),
        ({"snr": 0}, "snr must be finite and above 0, got 0.0"),
        ({"snr": [100, -1, 100]}, "got -1.0 to 100.0"),
        ({"snr": np.inf}, "snr must be finite"),
        ({"snr": [100, 200]}, r"snr has shape \(2,\), expected one number or one for each of the 3 stars"),
        ({"missing": 1}, "missing=1, expected a fraction"),
        ({"missing": -0.1}, "missing=-0.1, expected a fraction"),
        ({"missing": np.nan}, "missing=nan"),
        ({"population": "M13"}, "population='M13', expected 'milky_way', 'metal_poor' or 'glob"),
        ({"correlated": "no"}, "correlated='no', expected True or False"),
        ({"missing": "few"}, "missing='few', expected a fraction"),
        ({"snr": "high"}, "snr holds values that are not numbers"),
        ({"snr": np.ma.array([100, 100, 100], mask=[0, 1, 0])}, "snr is masked"),
        ({"continuum": "none"}, "continuum='none', expected 'fitted' or 'true'"),
        ({"kind": "visits"}, "kind='visits', expected 'combined' or 'visit'"),
        ({"lines": "few"}, "lines='few', expected 'blanketed' or 'isolated'"),
        ({"population": ["milky_way"]}, r"population=\['milky_way'\], expected 'milky_way'"),
        (
            {"population": "globular_cluster", "correlated": False},
            "correlated=False with population='globular_cluster'",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_apogee_spectra(**{"n_samples": 3} | arguments)


# The continuum


def test_spectra_are_normalised_like_real_ones():
    fitted, true = (make_apogee_spectra(5, continuum=continuum, random_state=3) for continuum in ("fitted", "true"))
    expected = ContinuumNormalizer().normalize(true.X, true.X_err)
    np.testing.assert_array_equal(fitted.X, expected.flux)
    np.testing.assert_array_equal(fitted.X_err, expected.err)
    np.testing.assert_array_equal(fitted.y, true.y)
    assert fitted.preprocessing == ContinuumNormalizer().get_params() | {"combination": "pixel"}
    assert true.preprocessing == {}


def test_the_continuum_is_fitted_unless_asked_otherwise():
    one, other = make_apogee_spectra(2, random_state=3), make_apogee_spectra(2, continuum="fitted", random_state=3)
    np.testing.assert_array_equal(one.X, other.X)


def test_low_noise_is_no_reason_for_a_warning():
    assert np.isfinite(make_apogee_spectra(2, snr=1e9, random_state=3).X).all()


def test_a_continuum_that_cannot_be_fitted():
    with pytest.raises(ValueError, match=r"continuum cannot be fitted.*snr.*continuum='true'"):
        make_apogee_spectra(2, snr=0.02, random_state=3)


# Frozen values


def rows(text):
    """Numbers of a table; rows end with a semicolon."""
    return np.array([row.split() for row in text.split(";")], dtype=float)


FROZEN_PIXELS = [100, 1296, 1560, 2643, 3066, 3453, 4000, 5321, 5916, 6566, 6700, 7000]
FROZEN_FLUX = {  # nine digits: all that single precision has
    "isolated": rows(
        """
        0.998967707 0.657298505 0.471032888 0.986550212 0.699760258 0.54189539
          0.947988868 0.899598181 0.930258512 0.849776685 0.660493255 0.886084735;
        0.99529779 0.622403681 0.389067888 0.99807328 0.800165057 0.498878509
          0.909098804 0.925385594 0.924767137 0.789303839 0.586503863 0.897862971
        """
    ),
    "blanketed": rows(
        """
        0.922500491 0.730508685 0.895775497 0.918739021 0.684512734 0.728083193
          0.781921029 0.879722238 0.934797406 0.891293585 0.786538303 0.911659896;
        0.92429173 0.724433839 0.833974481 0.949232996 0.775992334 0.704590678
          0.743525624 0.900293171 0.93052274 0.828656256 0.753222466 0.910305321
        """
    ),
}
FROZEN_MEAN_FLUX = {"isolated": [0.89776164, 0.89785509], "blanketed": [0.92243996, 0.92367736]}
FROZEN_MEAN_ERROR = {"isolated": [0.0096331814, 0.0097018092], "blanketed": [0.0097742207, 0.0098510344]}
FROZEN_LABELS = rows(
    """
    4225.935462 1.889005 -9999 -0.221298 0.359389 -9999 -0.005357 0.047131 0.040882 -0.058551 0.010892 -0.028916
      0.095536 -0.018524 -9999 0.427602 -9999 0.227321 0.14801 0.007396 -0.106719 -0.045454;
    4501.455267 2.498015 0.101634 -0.061344 0.207068 0.291018 0.088728 0.435463 0.378355 0.228059 0.424248
      0.462446 0.314938 0.229821 0.348108 0.167968 0.189945 0.021804 0.166963 0.179617 0.216614 0.305618
    """
)
FROZEN_CLUSTER = rows(
    """
    4328.068954 1.302866 -1.475797 -1.26604 -0.855704 -0.91319 -1.289986 -0.885012 -0.915749 -0.924882 -1.296741
      -0.87448 -0.978144 -1.092858 -1.164906 -0.628667 -1.373188 -1.35054 -1.604398 -1.295473 -1.482061 -1.230027
    """
)
FROZEN_UNCORRELATED = rows(
    """
    4218.337485 1.933477 -0.131746 -0.205628 0.207646 -0.258012 -0.241858 0.258486 0.062114 -0.120841 -0.088397
      -0.180513 0.187388 -0.073473 0.151794 0.321041 -0.045236 0.531805 0.350128 0.015931 -0.219893 -0.247888
    """
)


@pytest.mark.parametrize("lines", FROZEN_FLUX)
def test_the_generator_is_frozen(lines):
    """The spectra of ``"isolated"`` are those of version 0.1, to the last digit of single precision."""
    data = draw(2, snr=100.0, missing=0.1, lines=lines, random_state=2019)
    np.testing.assert_allclose(data.X[:, FROZEN_PIXELS], FROZEN_FLUX[lines], rtol=0, atol=1.2e-7)
    np.testing.assert_allclose(data.X.mean(axis=1, dtype=float), FROZEN_MEAN_FLUX[lines], rtol=0, atol=2e-8)
    np.testing.assert_allclose(data.X_err.mean(axis=1, dtype=float), FROZEN_MEAN_ERROR[lines], rtol=0, atol=1e-9)
    np.testing.assert_allclose(data.y, FROZEN_LABELS, rtol=1e-6, atol=2e-6)


def test_the_uncorrelated_population_is_frozen():
    data = draw(1, correlated=False, random_state=2019)
    np.testing.assert_allclose(data.truth, FROZEN_UNCORRELATED, rtol=1e-6, atol=2e-6)


def test_the_cluster_is_frozen():
    data = draw(1, population="globular_cluster", random_state=2019)
    np.testing.assert_allclose(data.truth, FROZEN_CLUSTER, rtol=1e-6, atol=2e-6)
