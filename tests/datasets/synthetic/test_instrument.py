"""Observation of the synthetic stars: shifts, broadening, continuum errors, noise, flagged pixels, visits."""

from functools import partial

import numpy as np
import pytest

from skbcnn.datasets.synthetic import instrument, make_apogee_spectra
from skbcnn.survey import chip_slices

draw = partial(make_apogee_spectra, continuum="true")


def gaussian_dip(centre=500.0, sigma=1.37):
    dip = np.ones((1, 7514))
    dip[0] -= 0.3 * np.exp(-0.5 * ((np.arange(7514) - centre) / sigma) ** 2)
    return dip


def test_shift_moves_a_line_and_keeps_its_strength():
    moved = instrument._shifted_and_broadened(gaussian_dip(), np.array([[0.1]]), np.array([[0.0]]))
    np.testing.assert_allclose(moved, gaussian_dip(centre=500.1), atol=3e-3)
    depth = 1 - moved[0]
    assert depth @ np.arange(7514) / depth.sum() == pytest.approx(500.1, abs=1e-6)
    assert (1 - moved).sum() == pytest.approx((1 - gaussian_dip()).sum(), rel=1e-9)


def test_widening_broadens_a_line():
    broad = instrument._shifted_and_broadened(gaussian_dip(), np.array([[0.0]]), np.array([[0.05]]))
    depth, x = 1 - broad[0], np.arange(7514)
    assert np.sqrt((depth * (x - 500) ** 2).sum() / depth.sum()) == pytest.approx(1.05 * 1.37, rel=1e-6)


def test_continuum_errors_are_smooth_and_apart_on_each_chip():
    basis = instrument._continuum_basis()
    assert basis.shape == (12, 7514)
    blue = chip_slices()["blue"]
    np.testing.assert_allclose(basis[0, blue], 0.004)
    assert not basis[:4, blue.stop :].any()
    assert np.abs(basis).sum(axis=0).max() <= 0.013 + 1e-12


def test_noise_is_as_large_as_the_errors_say():
    kwargs = {"missing": 0, "random_state": 8}
    noisy, still = (draw(40, snr=snr, **kwargs) for snr in (100.0, 1e9))
    good = noisy.X_err > 0
    z = (noisy.X - still.X)[good] / noisy.X_err[good]
    assert z.mean() == pytest.approx(0, abs=5 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1, abs=0.01)
    assert np.median(noisy.X_err[good]) == pytest.approx(0.01, rel=0.08)


def test_errors_scale_with_the_signal_to_noise_of_each_star():
    snr = np.array([50.0, 100.0, 400.0])
    data = draw(3, snr=snr, random_state=1)
    np.testing.assert_array_equal(data.snr, snr)
    np.testing.assert_allclose(
        [np.median(err[err > 0]) * level for err, level in zip(data.X_err, snr, strict=True)], 1, rtol=0.1
    )


def test_noise_grows_toward_the_edges_of_the_chips():
    shape = instrument.noise_shape()
    for chip in chip_slices().values():
        inside = np.median(shape[chip][300:-300])
        assert np.median(shape[chip][:10]) > 1.7 * inside
        assert np.median(shape[chip][-10:]) > 1.7 * inside
    assert np.median(shape) == 1.0


def test_flagged_pixels_are_one_and_come_in_runs(stars):
    flagged = stars.X_err == 0
    assert 0.01 < flagged.mean() < 0.02
    assert (stars.X[flagged] == 1).all()
    n_runs = (np.diff(flagged.astype(int), axis=1) == 1).sum()
    assert 2 < flagged.sum() / n_runs < 6


def test_runs_become_a_mask():
    mask = instrument._runs_to_mask(np.array([[-1, 3, 4, 6]]), np.array([[2, 2, 0, 9]]), 8)
    np.testing.assert_array_equal(np.flatnonzero(mask[0]), [0, 3, 4, 6, 7])


# Visits


def visit(**kwargs):
    return draw(60, missing=0.1, kind="visit", **{"snr": 1e6, "random_state": 8} | kwargs)


def test_visits_are_of_the_same_stars():
    one, other = visit(), draw(60, missing=0.1, snr=1e6, random_state=8)
    for name in ("truth", "y", "y_err", "snr"):
        np.testing.assert_array_equal(one[name], other[name])
    assert not np.array_equal(one.X, other.X)


def test_a_visit_does_not_depend_on_how_many_follow():
    few, many = (draw(n, kind="visit", random_state=7) for n in (3, 270))  # 270: more than are made at once
    np.testing.assert_allclose(few.X, many.X[:3], atol=1e-6)
    np.testing.assert_allclose(few.X_err, many.X_err[:3], atol=1e-6)


def test_effects_of_visits_have_the_documented_sizes():
    effects = instrument._visit_effects(4000, np.random.RandomState(0))
    assert effects.shift.std() == pytest.approx(0.2, rel=0.05)
    assert effects.variance.min() >= 0
    assert effects.variance.max() <= 1
    assert effects.variance.mean() == pytest.approx(0.5, abs=0.02)


def test_continuum_of_visits_has_a_constant_a_slope_and_a_curvature_on_each_chip():
    basis = instrument._visit_continuum_basis()
    blue = basis[:3, chip_slices()["blue"]]
    np.testing.assert_allclose(blue[:, [0, -1]], [[1, 1], [-1, 1], [1, 1]])
    assert blue[2].min() == pytest.approx(-0.5, abs=1e-5)  # (3 x^2 - 1) / 2
    assert (np.abs(basis).sum(axis=1) > 0).all()
    assert np.count_nonzero(basis[0]) + np.count_nonzero(basis[3]) + np.count_nonzero(basis[6]) == 7514


def test_the_continuum_fit_leaves_the_continuum_errors_of_visits():
    fitted = {kind: make_apogee_spectra(60, kind=kind, snr=1e6, random_state=8) for kind in ("combined", "visit")}
    good = (fitted["combined"].X_err > 0) & (fitted["visit"].X_err > 0)
    ratio = np.ma.masked_array(fitted["visit"].X / fitted["combined"].X, ~good)
    of_star = np.ma.median(ratio[:, chip_slices()["blue"]], axis=1)
    assert of_star.std() == pytest.approx(0.004, rel=0.4)


def test_bad_pixels_of_visits_are_one():
    stars = visit()
    bad = stars.X_err == 0
    assert bad.mean() == pytest.approx(0.03, rel=0.1)
    assert (stars.X[bad] == 1).all()


@pytest.mark.parametrize(("shift", "variance"), [(0.0, 0.0), (0.35, 0.0), (-0.6, 0.0), (0.0, 0.8), (0.25, 1.0)])
def test_convolution_shifts_and_broadens_a_gaussian_line(shift, variance):
    moved = instrument._convolved(gaussian_dip(), np.array([[shift]]), np.array([[variance]]))
    sigma = np.sqrt(1.37**2 + variance)
    expected = 1 - 1.37 / sigma * (1 - gaussian_dip(centre=500 + shift, sigma=sigma))
    np.testing.assert_allclose(moved, expected, atol=3e-4)


def test_convolution_leaves_the_ends_of_the_chips_alone():
    flat = np.ones((1, 7514))
    for number, chip in enumerate(chip_slices().values()):
        flat[:, chip] += 0.1 * number + np.linspace(0, 0.2, chip.stop - chip.start)
    moved = instrument._convolved(flat, np.array([[0.5]]), np.array([[1.0]]))
    np.testing.assert_allclose(moved, flat, atol=2e-3)
