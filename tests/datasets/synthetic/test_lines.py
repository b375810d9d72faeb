"""Lists of lines: where they are, and what blends."""

import hashlib

import numpy as np
import pytest

from skbcnn.datasets.synthetic.lines import line_list
from skbcnn.datasets.synthetic.molecules import molecular_lines
from skbcnn.survey import N_APSTAR_PIXELS, apogee_windows, apstar_wavelength, continuum_pixels, kept_pixels
from tests.datasets.synthetic.giants import ELEMENTS, SPECIES, flux, lines_of, near_lines

SPECIES_OF = {"C": "CO", "N": "CN", "O": "OH"}


def runs_with_lines(name, lines, within=0.5):
    """Return whether each run of the windows of an element holds a line of it, within some pixels."""
    pixels = kept_pixels()[apogee_windows()[name]]
    centres = lines_of(SPECIES_OF.get(name, name), lines)
    has_line = np.abs(pixels[:, np.newaxis] - centres).min(axis=1) <= within
    return np.array([run.any() for run in np.split(has_line, np.flatnonzero(np.diff(pixels) > 1) + 1)])


@pytest.mark.parametrize("lines", ["blanketed", "isolated"])
def test_every_run_of_every_window_holds_a_line_of_its_element(lines):
    for name in ELEMENTS:
        if lines == "isolated" or name not in SPECIES_OF:  # molecules have lines where nature put them
            assert runs_with_lines(name, lines).all(), name


def test_molecules_absorb_in_their_windows():
    for name in SPECIES_OF:
        assert runs_with_lines(name, "blanketed", within=4.0).mean() > 0.6, name


def test_bands_of_carbon_monoxide_fit_the_windows_of_carbon_best_without_a_shift():
    """The windows of ASPCAP are weights of real lines."""
    in_window = np.zeros(N_APSTAR_PIXELS)
    in_window[kept_pixels()[apogee_windows()["C"]]] = 1
    lines = molecular_lines("CO")
    centres = np.interp(lines.wavelength, apstar_wavelength(), np.arange(N_APSTAR_PIXELS))
    shifts = np.arange(-20, 21, 4)
    overlap = [
        10**lines.strength @ in_window[np.rint(centres + shift).astype(int).clip(0, N_APSTAR_PIXELS - 1)]
        for shift in shifts
    ]
    assert shifts[np.argmax(overlap)] == 0


def test_other_atoms_blend_into_the_windows_of_every_element():
    lines = line_list("blanketed").lines
    atoms = ~np.isin(lines.species, [SPECIES.index(name) for name in ("CO", "CN", "OH")])
    for name in ("Na", "Mg", "Al", "P", "S", "K", "Ca", "Ti", "V", "Co", "Ni"):
        window = kept_pixels()[apogee_windows()[name]]
        others = atoms & (lines.species != SPECIES.index(name))
        assert np.isin(np.rint(lines.centre[others]), window).sum() > len(window) / 12, name


def test_lines_are_weak_at_continuum_pixels():
    clean = np.union1d(continuum_pixels(14), continuum_pixels(17))
    assert flux()[clean].mean() > 0.98 > flux().mean() + 0.02


LINES_SHA256 = {
    "isolated": "228e43708da9044879db0fd1cb35066ae8779496996443fd9fe1145b765b2b0e",
    "blanketed": "f2b7a8c5f3fd2cbdba1ec3a93058fa27afa5707eadedac681febe6c014ba5096",
}


@pytest.mark.parametrize("name", LINES_SHA256)
def test_the_lines_are_frozen(name):
    lines = line_list(name).lines
    columns = [lines.species, lines.centre * 1e3, lines.strength * 1e4, lines.excitation * 1e4]
    integers = np.rint(np.stack(columns)).astype("<i8")
    assert hashlib.sha256(integers.tobytes()).hexdigest() == LINES_SHA256[name]


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_changed_alone_changes_its_windows(name):
    change = np.abs(flux(**{name: 0.1}) - flux())[apogee_windows()[name]] / 0.1
    assert 0.015 < change.mean() < 0.2  # per dex and pixel
    assert change.max() > 0.04


def test_aluminium_changed_alone_changes_no_pixel_without_its_lines():
    change = flux(Al=0.3) - flux()
    assert not change[~near_lines("Al")].any()
    magnesium_only = np.setdiff1d(apogee_windows()["Mg"], np.flatnonzero(near_lines("Al")))
    assert len(magnesium_only) > 80
    assert not change[magnesium_only].any()
    assert (change[apogee_windows()["Al"]] < -0.01).mean() > 0.7


def test_metals_dim_the_continuum_against_which_other_lines_are_seen():
    weaker = flux("isolated", Fe=0.3) - flux("isolated")
    magnesium_only = near_lines("Mg", "isolated") & ~near_lines("Fe", "isolated") & ~near_lines("other", "isolated")
    assert (weaker[magnesium_only] > 0).all()
