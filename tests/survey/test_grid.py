"""Pixels, chips and continuum pixels of APOGEE's data releases."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.survey import (
    N_APSTAR_PIXELS,
    apstar_wavelength,
    chip_slices,
    chips,
    continuum_pixels,
    kept_pixels,
    wavelength,
)

TABLES = Path(__file__).resolve().parents[3] / "shared" / "data"
OLD_CHIPS = [("blue", 322, 3242), ("green", 3648, 6048), ("red", 6412, 8306)]
NEW_CHIPS = [("blue", 246, 3274), ("green", 3585, 6080), ("red", 6344, 8335)]
RELEASES = range(11, 18)


@pytest.mark.parametrize("data_release", RELEASES)
def test_chips(data_release):
    assert list(chips(data_release)) == (OLD_CHIPS if data_release <= 12 else NEW_CHIPS)


@pytest.mark.parametrize(
    ("data_release", "per_chip", "n_kept"), [(12, [2920, 2400, 1894], 7214), (13, [3028, 2495, 1991], 7514)]
)
def test_numbers_of_pixels(data_release, per_chip, n_kept):
    assert [chip.n_pixels for chip in chips(data_release)] == per_chip
    assert len(kept_pixels(data_release)) == sum(per_chip) == n_kept


@pytest.mark.parametrize("data_release", RELEASES)
def test_kept_pixels_are_those_of_the_chips(data_release):
    on_chip = np.zeros(N_APSTAR_PIXELS, dtype=bool)
    for chip in chips(data_release):
        on_chip[chip.start : chip.stop] = True
    assert_array_equal(kept_pixels(data_release), np.flatnonzero(on_chip))


@pytest.mark.parametrize("data_release", RELEASES)
def test_slices_cut_the_joined_spectrum_back_into_chips(data_release):
    kept, slices = kept_pixels(data_release), chip_slices(data_release)
    assert list(slices) == ["blue", "green", "red"]
    for chip in chips(data_release):
        assert_array_equal(kept[slices[chip.name]], np.arange(chip.start, chip.stop))


def test_wavelengths_are_even_in_the_logarithm():
    assert apstar_wavelength().shape == (8575,)
    assert_allclose(np.log10(apstar_wavelength()), 4.179 + 6e-6 * np.arange(8575), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("pixel", "angstrom"), [(16, 15155.560), (57, 15164.147), (89, 15170.853), (204, 15194.975)])
def test_wavelengths_of_the_survey_tables(pixel, angstrom):
    assert_allclose(wavelength(14)[pixel], angstrom, rtol=0, atol=5e-4)


@pytest.mark.parametrize("data_release", RELEASES)
def test_wavelengths_of_kept_pixels(data_release):
    assert_array_equal(wavelength(data_release), apstar_wavelength()[kept_pixels(data_release)])


@pytest.mark.parametrize(
    ("data_release", "n_pixels", "first"), [(13, 529, 89), (14, 529, 89), (15, 529, 89), (16, 532, 0), (17, 532, 0)]
)
def test_continuum_pixels(data_release, n_pixels, first):
    pixels = continuum_pixels(data_release)
    assert (len(pixels), pixels[0]) == (n_pixels, first)
    assert (np.diff(pixels) > 0).all()
    assert pixels[-1] < 7514


@pytest.mark.skipif(not TABLES.exists(), reason="the survey's own tables are not beside this checkout")
@pytest.mark.parametrize("data_release", [14, 17])
def test_continuum_pixels_of_the_survey(data_release):
    pixels, angstrom = np.loadtxt(
        TABLES / f"continuum_pixels_dr{data_release}.csv", delimiter=",", skiprows=1, unpack=True
    )
    assert_array_equal(continuum_pixels(data_release), pixels)
    assert_allclose(wavelength(data_release)[continuum_pixels(data_release)], angstrom, rtol=0, atol=6e-4)


def test_continuum_pixels_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        continuum_pixels(17)[0] = 5


@pytest.mark.parametrize("function", [chips, kept_pixels, chip_slices, wavelength, continuum_pixels])
@pytest.mark.parametrize("data_release", [9, 21, "DR17", None])
def test_unknown_release(function, data_release):
    with pytest.raises(
        ValueError, match=f"data_release={data_release!r}, but .* known for APOGEE data releases 1. to 20"
    ):
        function(data_release)


def test_release_as_text():
    assert chips("17") == chips(17)


@pytest.mark.parametrize("data_release", [11, 12])
def test_no_continuum_pixels_before_dr13(data_release):
    with pytest.raises(ValueError, match="continuum pixels are known for APOGEE data releases 13 to 20"):
        continuum_pixels(data_release)
