"""Flux of the synthetic stars: how lines answer to labels."""

import numpy as np
import pytest

from skbcnn.datasets.synthetic.lines import line_list
from skbcnn.datasets.synthetic.star import _hydrogen_absorption, curve_of_growth, hydrogen_profile, log_optical_depth
from skbcnn.datasets.synthetic.tables import column
from skbcnn.survey import apogee_windows, wavelength
from tests.datasets.synthetic.giants import SPECIES, flux, giant, near_lines


def test_curve_of_growth_is_linear_then_logarithmic():
    growth = curve_of_growth
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
    hydrogen = _hydrogen_absorption(np.vstack([giant(teff=4000.0), giant(), giant(teff=5500.0)]))
    assert hydrogen[1] == pytest.approx(0.02)
    assert hydrogen[0] < 0.01 < 0.09 < hydrogen[2]


def test_brackett_eleven_is_where_it_is_measured():
    assert wavelength()[np.argmax(hydrogen_profile())] == pytest.approx(16811.1, abs=1.0)


def test_optical_depth_follows_boltzmann():
    cold = 5040 / 4000 - 5040 / 4655
    change = np.diff(log_optical_depth(np.vstack([giant(), giant(teff=4000.0)]), line_list("blanketed")), axis=0)[0]
    lines = line_list("blanketed").lines
    energy = column("synthetic_species_blanketed", "energy")[lines.species]
    np.testing.assert_allclose(change, cold * (energy - lines.excitation))
    iron = lines.species == SPECIES.index("Fe")
    assert np.ptp(change[iron]) > 0.2  # dex: lines of one element tell the temperature


def test_ionised_lines_are_stronger_at_low_gravity():
    low, high = log_optical_depth(np.vstack([giant(logg=1.33), giant()]), line_list("blanketed"))
    gain = {name: (low - high)[line_list("blanketed").lines.species == row][0] for row, name in enumerate(SPECIES)}
    assert gain["Ti2"] == pytest.approx(0.30)
    assert gain["Mg"] < 0 < gain["CN"] < gain["Ti2"]


def test_cyanogen_reads_carbon_and_nitrogen_and_loses_to_oxygen():
    only = near_lines("CN", "isolated")
    for name in ("CO", "OH", "C1"):
        only &= ~near_lines(name, "isolated")
    change = {name: (flux("isolated", **{name: 0.2}) - flux("isolated"))[only] for name in ("C", "N", "O")}
    assert change["N"].max() <= 0 <= change["O"].min()
    assert change["N"].mean() < change["C"].mean() < 0 < change["O"].mean()
