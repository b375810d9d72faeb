"""Synthetic stars: population, physics of the lines, instrument, catalogue, and frozen values.

`test_the_generator_is_frozen` guards what accuracy benchmarks rest on: it fails when a drawn star changes at all.
"""

import hashlib
from functools import cache, partial

import numpy as np
import pytest

from skbcnn.datasets import synthetic
from skbcnn.datasets.synthetic import make_apogee_spectra
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import APOGEE_LABELS, apogee_windows, chip_slices, continuum_pixels, is_missing, kept_pixels

INDEX = {name: column for column, name in enumerate(APOGEE_LABELS)}
ELEMENTS = APOGEE_LABELS[2:]
TEFF, LOGG, FE = INDEX["teff"], INDEX["logg"], INDEX["Fe"]
draw = partial(make_apogee_spectra, continuum="true")


@cache
def population(n_stars=20_000, correlated=True, kind="milky_way"):
    drawn_from = synthetic._POPULATIONS[kind]
    streams = np.random.RandomState(1), np.random.RandomState(2)
    return synthetic._draw_population(n_stars, drawn_from, correlated, *streams)


def cluster(n_stars=20_000):
    return population(n_stars, kind="globular_cluster")


def star(**changes):
    """Labels of the reference giant, with some of them changed."""
    labels = np.zeros((1, len(APOGEE_LABELS)))
    labels[0, [TEFF, LOGG]] = 4655.0, 2.33
    for name, value in changes.items():
        labels[0, INDEX[name]] = value
    return labels


def flux(**changes):
    return synthetic._clean_flux(star(**changes))[0]


def lines_of(species):
    """Apstar pixels of the lines of one species."""
    lines = synthetic._lines()
    return lines.centre[lines.species == list(synthetic._table("synthetic_species")).index(species)]


def near_lines(species):
    """Return which kept pixels a line of the species can reach."""
    return (np.abs(kept_pixels()[:, np.newaxis] - lines_of(species)) <= 9).any(axis=1)


def correlation(labels, one, other):
    return np.corrcoef(labels[:, INDEX[one]], labels[:, INDEX[other]])[0, 1]


def residual(labels, name, given):
    """Return the residuals of a label after linear regression on others."""
    design = np.column_stack([np.ones(len(labels)), labels[:, [INDEX[other] for other in given]]])
    column = labels[:, INDEX[name]]
    return column - design @ np.linalg.lstsq(design, column, rcond=None)[0]


@pytest.fixture(scope="module")
def stars():
    return draw(1200, missing=0.1, random_state=5)


# The result


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


def test_spectra_look_like_giants(stars):
    cool, warm = stars.X[stars.truth[:, TEFF] < 4200], stars.X[stars.truth[:, TEFF] > 4900]
    assert 0.8 < cool.mean() < 0.92 < warm.mean() < 0.98
    assert 0.3 < np.percentile(cool, 1) < 0.6
    clean = continuum_pixels(14)
    assert np.median(stars.X[:, clean]) > 0.975
    assert np.median(stars.X[:, clean].std(axis=0)) < 0.5 * np.median(stars.X.std(axis=0))


# The population


@pytest.mark.parametrize("correlated", [True, False])
def test_means_and_standard_deviations_are_those_of_the_training_set(correlated):
    labels = population(correlated=correlated)
    mean, std = (synthetic._column("synthetic_labels", name) for name in ("mean", "std"))
    np.testing.assert_array_less(np.abs(labels.mean(axis=0) - mean), 5 * std / np.sqrt(len(labels)))
    np.testing.assert_allclose(labels.std(axis=0), std, rtol=0.03)


def test_the_table_of_labels_has_the_order_of_the_survey():
    assert tuple(synthetic._table("synthetic_labels")) == APOGEE_LABELS


def test_temperatures_and_gravities_are_those_of_giants():
    labels = population()
    assert labels[:, TEFF].min() >= 3700
    assert labels[:, TEFF].max() <= 5600
    assert labels[:, LOGG].min() >= 0.3
    assert labels[:, LOGG].max() <= 4.0


def test_giant_branch_is_hotter_for_metal_poor_stars():
    labels = population()
    assert correlation(labels, "teff", "logg") == pytest.approx(0.90, abs=0.01)
    slope = np.polyfit(labels[:, FE], residual(labels, "teff", ["logg"]), 1)[0]
    assert slope == pytest.approx(-0.25 * 294 / 0.30, rel=0.05)  # K per dex


def test_aluminium_follows_magnesium_only_if_correlated():
    assert correlation(population(), "Al", "Mg") > 0.95
    assert correlation(population(correlated=False), "Al", "Mg") < 0.4


def test_uncorrelated_elements_share_nothing_but_iron():
    labels = population(correlated=False)
    names = [name for name in ELEMENTS if name not in ("Fe", "C1", "Ti2")]
    own = np.corrcoef([residual(labels, name, ["Fe", "logg", "teff"]) for name in names])
    assert np.abs(own - np.eye(len(names))).max() < 5 / np.sqrt(len(labels))


@pytest.mark.parametrize("correlated", [True, False])
@pytest.mark.parametrize(("reading", "element"), [("C1", "C"), ("Ti2", "Ti")])
def test_two_readings_of_one_element_agree(reading, element, correlated):
    assert correlation(population(correlated=correlated), reading, element) > 0.88


def test_alpha_elements_are_enhanced_together_in_metal_poor_stars():
    labels = population()
    over_iron = {name: labels[:, INDEX[name]] - labels[:, FE] for name in ("O", "Mg", "Si", "Ni")}
    poor, rich = labels[:, FE] < -0.5, labels[:, FE] > 0
    for name in ("O", "Mg", "Si"):
        assert over_iron[name][poor].mean() > over_iron[name][rich].mean() + 0.08
    assert abs(over_iron["Ni"][poor].mean() - over_iron["Ni"][rich].mean()) < 0.05
    own = [residual(labels, name, ["Fe"]) for name in ("Mg", "Si")]
    assert np.corrcoef(own)[0, 1] > 0.7


def test_evolved_giants_have_less_carbon_and_more_nitrogen():
    labels = population()
    bright = labels[:, LOGG] < 2.0
    carbon, nitrogen = (residual(labels, name, ["Fe"]) for name in ("C", "N"))
    assert carbon[bright].mean() < carbon[~bright].mean() - 0.1
    assert nitrogen[bright].mean() > nitrogen[~bright].mean() + 0.1


def test_metal_poor_stars_follow_the_ties_of_the_milky_way():
    labels, usual = population(kind="metal_poor"), population()
    assert labels[:, FE].mean() == pytest.approx(-1.3, abs=0.01)
    assert labels[:, FE].std() == pytest.approx(0.35, rel=0.03)
    for name, given in (("Al", ["Mg", "Fe"]), ("Ni", ["Fe"]), ("Ti2", ["Ti"])):
        assert residual(labels, name, given).std() == pytest.approx(residual(usual, name, given).std(), rel=0.15)
    assert correlation(labels, "Al", "Mg") > 0.9
    enhanced = labels[:, INDEX["Mg"]] - labels[:, FE]
    assert (enhanced > 0.2).mean() > 0.8  # most are on the high alpha sequence


# The globular cluster


def test_cluster_has_one_iron_abundance():
    iron = cluster()[:, FE]
    assert iron.mean() == pytest.approx(-1.3, abs=0.01)
    assert iron.std() == pytest.approx(0.05, rel=0.03)


def test_cluster_varies_in_aluminium_alone():
    labels = cluster()
    aluminium, magnesium = labels[:, INDEX["Al"]], labels[:, INDEX["Mg"]]
    assert aluminium.min() >= -1.5
    assert aluminium.max() <= -0.5
    assert aluminium.mean() == pytest.approx(-1.0, abs=5 * 0.289 / np.sqrt(len(labels)))
    assert aluminium.std() == pytest.approx(1 / np.sqrt(12), rel=0.03)  # uniform over 1 dex
    counts = np.histogram(aluminium, bins=10)[0]
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(1800)  # binomial: 20 000 * 0.1 * 0.9
    # own scatter: sqrt(1 - 0.90^2 - 0.40^2) * 0.26 * 0.6 = 0.027; of iron: 0.05 * 0.90 * 0.26 / 0.30 = 0.039
    assert magnesium.std() == pytest.approx(np.hypot(0.027, 0.039), rel=0.03)
    others = [name for name in ELEMENTS if name not in ("Al", "C", "C1", "N")]
    assert labels[:, [INDEX[name] for name in others]].std(axis=0).max() < 0.13


def test_aluminium_of_the_cluster_follows_nothing():
    labels = cluster()
    for name in APOGEE_LABELS:
        if name != "Al":
            assert abs(correlation(labels, "Al", name)) < 5 / np.sqrt(len(labels)), name


def test_cluster_is_outside_the_correlation_of_the_milky_way():
    def scatter_about_magnesium(labels):
        usual = population()
        slope, intercept = np.polyfit(usual[:, INDEX["Mg"]], usual[:, INDEX["Al"]], 1)
        return np.std(labels[:, INDEX["Al"]] - slope * labels[:, INDEX["Mg"]] - intercept)

    assert scatter_about_magnesium(cluster()) > 4 * scatter_about_magnesium(population())


def test_cluster_is_enhanced_in_alpha_elements():
    over_iron = {name: (cluster()[:, INDEX[name]] - cluster()[:, FE]).mean() for name in ("O", "Mg", "Si", "Ca", "Ni")}
    assert all(0.15 < over_iron[name] < 0.5 for name in ("O", "Mg", "Si", "Ca"))
    assert over_iron["Ni"] < 0.12


def test_cluster_giants_are_where_metal_poor_giants_are():
    labels = cluster()
    assert labels[:, LOGG].mean() == pytest.approx(1.5, abs=0.02)
    assert 0.3 <= labels[:, LOGG].min() < labels[:, LOGG].max() < 3.3
    # the branch of the Milky Way at [Fe/H] = -1.3: 0.90 * 294 K per 0.56 dex, and 0.25 * 294 K hotter per 0.30 dex
    expected = 4655 + 0.90 * 294 / 0.56 * (labels[:, LOGG] - 2.33) - 0.25 * 294 / 0.30 * (labels[:, FE] + 0.12)
    off = labels[:, TEFF] - expected
    assert off.mean() == pytest.approx(0, abs=5)
    assert off.std() == pytest.approx(0.6 * 294 * np.sqrt(1 - 0.90**2 - 0.25**2), rel=0.05)


@pytest.mark.parametrize(("reading", "element"), [("C1", "C"), ("Ti2", "Ti")])
def test_two_readings_of_one_element_agree_in_the_cluster(reading, element):
    def scatter(labels):
        return np.std(labels[:, INDEX[reading]] - labels[:, INDEX[element]])

    assert scatter(cluster()) < scatter(population())


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


# The lines


def test_every_run_of_every_window_holds_a_line_of_its_element():
    species_of = {"C": "CO", "N": "CN", "O": "OH"}
    for name in ELEMENTS:
        pixels = kept_pixels()[apogee_windows()[name]]
        has_line = np.isin(pixels, np.rint(lines_of(species_of.get(name, name))))
        runs = np.split(has_line, np.flatnonzero(np.diff(pixels) > 1) + 1)
        assert all(run.any() for run in runs), name


def test_other_species_blend_into_the_windows_of_weak_elements():
    lines = synthetic._lines()
    others = lines.species != list(synthetic._table("synthetic_species")).index("P")
    window = kept_pixels()[apogee_windows()["P"]]
    assert np.isin(np.rint(lines.centre[others]), window).sum() >= 3


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_changed_alone_changes_its_windows(name):
    change = np.abs(flux(**{name: 0.1}) - flux())[apogee_windows()[name]] / 0.1
    assert 0.015 < change.mean() < 0.3  # per dex and pixel
    assert change.max() > 0.04


def test_aluminium_changed_alone_changes_no_pixel_without_its_lines():
    change = flux(Al=0.3) - flux()
    assert not change[~near_lines("Al")].any()
    magnesium_only = np.setdiff1d(apogee_windows()["Mg"], np.flatnonzero(near_lines("Al")))
    assert len(magnesium_only) > 80
    assert not change[magnesium_only].any()
    assert (change[apogee_windows()["Al"]] < -0.01).mean() > 0.7


def test_metals_dim_the_continuum_against_which_other_lines_are_seen():
    weaker = flux(Fe=0.3) - flux()
    magnesium_only = near_lines("Mg") & ~near_lines("Fe") & ~near_lines("other")
    assert (weaker[magnesium_only] > 0).all()


def test_curve_of_growth_is_linear_then_logarithmic():
    growth = synthetic._curve_of_growth
    assert growth(2e-4, 1.0) / growth(1e-4, 1.0) == pytest.approx(2, abs=1e-3)
    assert growth(2e3, 1.0) - growth(1e3, 1.0) == pytest.approx(0.21 * np.log(2), abs=1e-3)
    assert growth(5.0, 1.5) > growth(5.0, 1.0)  # turbulence desaturates


def test_doubling_the_abundance_deepens_weak_lines_most():
    pixel = np.argmin(np.where(apogee_windows().mask("Al"), flux(), 1.0))

    def gain(abundance):
        without, single, double = (flux(Al=level)[pixel] for level in (-9.0, abundance, abundance + np.log10(2)))
        return (without - double) / (without - single)

    gains = [gain(abundance) for abundance in (-4.0, -1.0, 0.0, 0.5)]
    assert gains[0] == pytest.approx(2, abs=0.02)
    assert gains[0] > gains[1] > gains[2] > gains[3]
    assert gains[3] < 1.3


def test_molecules_vanish_in_hot_stars_and_hydrogen_appears():
    oxygen = apogee_windows().mask("O") & near_lines("OH")
    sensitivity = [np.abs(flux(teff=teff, O=0.1) - flux(teff=teff))[oxygen].sum() for teff in (4000.0, 4655.0, 5500.0)]
    assert sensitivity[0] > 1.5 * sensitivity[1] > 4 * sensitivity[2]
    hydrogen = synthetic._hydrogen_absorption(np.vstack([star(teff=4000.0), star(), star(teff=5500.0)]))
    assert hydrogen[1] == pytest.approx(0.02)
    assert hydrogen[0] < 0.01 < 0.09 < hydrogen[2]


def test_brackett_eleven_is_where_it_is_measured():
    assert synthetic.wavelength()[np.argmax(synthetic._hydrogen_profile())] == pytest.approx(16811.1, abs=1.0)


def test_optical_depth_follows_boltzmann():
    cold = 5040 / 4000 - 5040 / 4655
    change = np.diff(synthetic._log_optical_depth(np.vstack([star(), star(teff=4000.0)])), axis=0)[0]
    lines = synthetic._lines()
    energy = synthetic._column("synthetic_species", "energy")[lines.species]
    np.testing.assert_allclose(change, cold * (energy - lines.excitation))
    iron = lines.species == list(synthetic._table("synthetic_species")).index("Fe")
    assert np.ptp(change[iron]) > 0.2  # dex: lines of one element tell the temperature


def test_ionised_lines_are_stronger_at_low_gravity():
    low, high = synthetic._log_optical_depth(np.vstack([star(logg=1.33), star()]))
    gain = {
        name: (low - high)[synthetic._lines().species == row][0]
        for row, name in enumerate(synthetic._table("synthetic_species"))
    }
    assert gain["Ti2"] == pytest.approx(0.30)
    assert gain["Mg"] < 0 < gain["CN"] < gain["Ti2"]


def test_cyanogen_reads_carbon_and_nitrogen_and_loses_to_oxygen():
    only = ~near_lines("CO") & ~near_lines("OH") & ~near_lines("C1")
    change = {name: (flux(**{name: 0.2}) - flux())[only & near_lines("CN")] for name in ("C", "N", "O")}
    assert change["N"].max() <= 0 <= change["O"].min()
    assert change["N"].mean() < change["C"].mean() < 0 < change["O"].mean()


# The instrument


def gaussian_dip(centre=500.0, sigma=1.37):
    dip = np.ones((1, 7514))
    dip[0] -= 0.3 * np.exp(-0.5 * ((np.arange(7514) - centre) / sigma) ** 2)
    return dip


def test_shift_moves_a_line_and_keeps_its_strength():
    moved = synthetic._shifted_and_broadened(gaussian_dip(), np.array([[0.1]]), np.array([[0.0]]))
    np.testing.assert_allclose(moved, gaussian_dip(centre=500.1), atol=3e-3)
    depth = 1 - moved[0]
    assert depth @ np.arange(7514) / depth.sum() == pytest.approx(500.1, abs=1e-6)
    assert (1 - moved).sum() == pytest.approx((1 - gaussian_dip()).sum(), rel=1e-9)


def test_widening_broadens_a_line():
    broad = synthetic._shifted_and_broadened(gaussian_dip(), np.array([[0.0]]), np.array([[0.05]]))
    depth, x = 1 - broad[0], np.arange(7514)
    assert np.sqrt((depth * (x - 500) ** 2).sum() / depth.sum()) == pytest.approx(1.05 * 1.37, rel=1e-6)


def test_continuum_errors_are_smooth_and_apart_on_each_chip():
    basis = synthetic._continuum_basis()
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
    shape = synthetic._noise_shape()
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
    mask = synthetic._runs_to_mask(np.array([[-1, 3, 4, 6]]), np.array([[2, 2, 0, 9]]), 8)
    np.testing.assert_array_equal(np.flatnonzero(mask[0]), [0, 3, 4, 6, 7])


# The catalogue


def test_label_noise_is_as_large_as_its_errors_say(stars):
    present = ~is_missing(stars.y)
    z = (stars.y - stars.truth)[present] / stars.y_err[present]
    assert z.mean() == pytest.approx(0, abs=5 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1, abs=5 / np.sqrt(2 * z.size))


def test_errors_are_those_of_the_table_and_grow_at_low_metallicity(stars):
    errors = np.ma.masked_array(stars.y_err, is_missing(stars.y_err))
    noise = synthetic._column("synthetic_labels", "noise")
    np.testing.assert_allclose(np.ma.median(errors, axis=0), noise, rtol=0.1)
    poor, rich = stars.truth[:, FE] < -0.5, stars.truth[:, FE] > 0
    assert (errors[poor].mean(axis=0) > 1.3 * errors[rich].mean(axis=0)).all()


def test_labels_and_errors_are_missing_together(stars):
    np.testing.assert_array_equal(stars.y == -9999, stars.y_err == -9999)
    assert (stars.y_err[stars.y != -9999] > 0).all()


@pytest.mark.parametrize("missing", [0.01, 0.1, 0.5, 0.9])
def test_missing_is_the_mean_fraction(missing):
    iron = population()[:, FE]
    probability = synthetic._missing_probability(iron, missing, synthetic._POPULATIONS["milky_way"].iron)
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
    assert not is_missing(draw(30, missing=0, random_state=0).y).any()


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
        ({"population": "M13"}, "population='M13', expected one of 'milky_way', 'metal_poor', 'glob"),
        ({"correlated": "no"}, "correlated='no', expected True or False"),
        ({"missing": "few"}, "missing='few', expected a fraction"),
        ({"snr": "high"}, "snr holds values that are not numbers"),
        ({"snr": np.ma.array([100, 100, 100], mask=[0, 1, 0])}, "snr is masked"),
        ({"continuum": "none"}, "continuum='none', expected 'fitted' or 'true'"),
        ({"population": ["milky_way"]}, r"population=\['milky_way'\], expected one of"),
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


LINES_SHA256 = "228e43708da9044879db0fd1cb35066ae8779496996443fd9fe1145b765b2b0e"
FROZEN_PIXELS = [100, 1296, 1560, 2643, 3066, 3453, 4000, 5321, 5916, 6566, 6700, 7000]
FROZEN_FLUX = rows(
    """
    0.99897 0.6573 0.47103 0.98655 0.69976 0.5419 0.94799 0.8996 0.93026 0.84978 0.66049 0.88608;
    0.9953 0.6224 0.38907 0.99807 0.80017 0.49888 0.9091 0.92539 0.92477 0.7893 0.5865 0.89786
    """
)
FROZEN_MEAN_FLUX = [0.8977616, 0.8978551]
FROZEN_MEAN_ERROR = [0.00963318, 0.00970181]
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


def lines_as_integers():
    lines = synthetic._lines()
    columns = [lines.species, lines.centre * 1e3, lines.strength * 1e4, lines.excitation * 1e4]
    return np.rint(np.stack(columns)).astype("<i8")


def test_the_lines_are_frozen():
    assert hashlib.sha256(lines_as_integers().tobytes()).hexdigest() == LINES_SHA256


def test_the_generator_is_frozen():
    data = draw(2, snr=100.0, missing=0.1, random_state=2019)
    np.testing.assert_allclose(data.X[:, FROZEN_PIXELS], FROZEN_FLUX, atol=2e-4)
    np.testing.assert_allclose(data.X.mean(axis=1, dtype=float), FROZEN_MEAN_FLUX, atol=2e-6)
    np.testing.assert_allclose(data.X_err.mean(axis=1, dtype=float), FROZEN_MEAN_ERROR, atol=1e-7)
    np.testing.assert_allclose(data.y, FROZEN_LABELS, rtol=1e-6, atol=2e-6)


def test_the_uncorrelated_population_is_frozen():
    data = draw(1, correlated=False, random_state=2019)
    np.testing.assert_allclose(data.truth, FROZEN_UNCORRELATED, rtol=1e-6, atol=2e-6)


def test_the_cluster_is_frozen():
    data = draw(1, population="globular_cluster", random_state=2019)
    np.testing.assert_allclose(data.truth, FROZEN_CLUSTER, rtol=1e-6, atol=2e-6)
