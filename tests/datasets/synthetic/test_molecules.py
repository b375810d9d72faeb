"""Lines of CO, CN and OH against measured wavelengths."""

import numpy as np
import pytest

from skbcnn.datasets.synthetic.molecules import _level, molecular_lines
from skbcnn.datasets.synthetic.tables import table


def test_levels_of_a_rigid_rotator():
    state = dict.fromkeys(table("synthetic_molecules")["CO X"], 0.0) | {"be": 2.0, "we": 100.0, "spin_orbit": None}
    np.testing.assert_allclose(_level(state, 1, np.array([0.0, 1.0, 2.0]), None), [150.0, 154.0, 162.0])


def test_levels_of_a_doublet_without_spin_orbit_coupling():
    state = dict.fromkeys(table("synthetic_molecules")["OH X"], 0.0) | {"be": 2.0}
    for spin, j in ((-0.5, 2.5), (0.5, 1.5)):  # both have N = 2: 2 * 2 * 3
        assert _level(state, 0, np.array(j), spin) == pytest.approx(12.0)


@pytest.mark.parametrize("head", [15582, 15780, 15982, 16189, 16401, 16618, 16841])
def test_heads_of_carbon_monoxide(head):
    offset = molecular_lines("CO").wavelength - head
    before, after = ((offset > -3.7) & (offset < -0.7)).sum(), ((offset > -0.7) & (offset < 2.3)).sum()
    assert after >= 7 > 3 * before  # lines pile up at the head


@pytest.mark.parametrize("wavelength", [15241.0, 15332.4, 15287.8, 15395.3, 16030.8, 16128.6, 16079.8, 16194.6])
def test_hydroxyl_absorbs_where_the_night_sky_emits(wavelength):
    assert np.abs(molecular_lines("OH").wavelength - wavelength).min() < 1.5  # Rousselot et al. (2000), Angstrom


def test_cyanogen_is_strongest_in_the_blue():
    lines = molecular_lines("CN")
    power = [
        (10 ** lines.strength[(lines.wavelength > a) & (lines.wavelength < a + 350)]).sum() for a in (15150, 16500)
    ]
    assert power[0] > 1.5 * power[1]


def test_lines_of_high_bands_are_excited():
    lines = molecular_lines("CO")
    first, later = (lines.excitation[np.abs(lines.wavelength - head) < 1] for head in (15582, 16618))
    assert np.median(later) == pytest.approx(np.median(first) + 5 * 0.26, abs=0.15)  # five vibrational quanta
    assert 0 <= molecular_lines("OH").excitation.min() < 0.5


def test_strengths_are_relative_to_the_strongest_line():
    for name in ("CO", "CN", "OH"):
        strength = molecular_lines(name).strength
        assert strength.max() == 0
        assert strength.min() > -1.3
