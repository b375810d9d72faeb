"""Pixel flags of apStar files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skbcnn import prepare_spectra
from skbcnn.survey import DEFAULT_BAD_BITS, PixelFlag, bad_pixels, kept_pixels

APSTAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "apstar"


@pytest.mark.parametrize(
    ("flag", "bit"),
    [("BADPIX", 0), ("CRPIX", 1), ("SATPIX", 2), ("UNFIXABLE", 3), ("BADDARK", 4), ("BADFLAT", 5), ("BADERR", 6),
     ("NOSKY", 7), ("LITTROW_GHOST", 8), ("PERSIST_HIGH", 9), ("PERSIST_MED", 10), ("PERSIST_LOW", 11),
     ("SIG_SKYLINE", 12), ("SIG_TELLURIC", 13), ("NOT_ENOUGH_PSF", 14)],
)  # fmt: skip
def test_flags(flag, bit):
    assert getattr(PixelFlag, flag) == 1 << bit


@pytest.mark.parametrize("bit", range(15))
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.int64])
def test_one_bit_at_a_time(bit, dtype):
    assert bad_pixels(np.array([0, 1 << bit], dtype)).tolist() == [False, bit in (*range(8), 12)]


@given(st.lists(st.integers(0, 2**15 - 1), min_size=1), st.sets(st.integers(0, 14)))
def test_any_of_the_bits(bitmask, bits):
    assert bad_pixels(bitmask, bits).tolist() == [any(value >> bit & 1 for bit in bits) for value in bitmask]


def test_bits_may_repeat():
    assert_array_equal(bad_pixels([1, 2, 4], [0, 0]), [True, False, False])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_narrow_integers(dtype):
    assert_array_equal(bad_pixels(np.array([0, 1, 64], dtype)), [False, True, True])


def test_shape_is_kept():
    assert bad_pixels(np.zeros((2, 3), dtype=int)).shape == (2, 3)


def test_default_bits():
    assert DEFAULT_BAD_BITS == (0, 1, 2, 3, 4, 5, 6, 7, 12)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, int])
def test_numbers_of_pixels_are_refused(dtype):
    numbers = np.arange(7514, dtype=dtype)[np.newaxis]
    with pytest.raises(ValueError, match="from 0 to 7513: these are numbers of pixels, expected the flags"):
        prepare_spectra(np.ones((1, 7514)), bitmask=numbers)


def test_booleans_mark_bad_pixels():
    for bitmask in ([True, False], np.ma.array([1, 0], bool), pd.Series([True, False], dtype="boolean")):
        assert_array_equal(bad_pixels(bitmask, bits=[12]), [True, False])


@pytest.mark.parametrize(
    "bitmask",
    [
        np.ma.array([True, False, False], mask=[0, 0, 1]),
        pd.Series([True, False, None], dtype="boolean"),
        np.array([True, False, None]),
    ],
)
def test_masked_booleans_mark_bad_pixels_too(bitmask):
    assert_array_equal(bad_pixels(bitmask, bits=[12]), [True, False, True])


def test_rows_in_lists():
    assert_array_equal(bad_pixels([[0, 1], [2, None]]), [[False, True], [True, True]])
    with pytest.raises(ValueError, match="bitmask holds rows of different lengths"):
        bad_pixels([[0, 1], [2]])
    with pytest.raises(ValueError, match="bitmask is None"):
        bad_pixels(None)


@pytest.mark.parametrize("bits", [[0], []])
@pytest.mark.parametrize(
    "bitmask", [np.ma.array([0, 1, 0], mask=[1, 0, 0]), pd.Series([None, 1, 0], dtype="Int64"), [None, 1, 0]]
)
def test_masked_values_are_bad_pixels(bitmask, bits):
    assert_array_equal(bad_pixels(bitmask, bits), [True, bool(bits), False])


def test_flags_in_place_of_bits():
    assert_array_equal(bad_pixels([1, 2, 4096], [PixelFlag.BADPIX, PixelFlag.SIG_SKYLINE]), [True, False, True])


@pytest.mark.parametrize("bits", [PixelFlag.SIG_SKYLINE, ["SIG_SKYLINE"], "SIG_SKYLINE", np.array([12]), iter([12])])
def test_one_flag_its_name_and_any_container(bits):
    assert_array_equal(bad_pixels([1, 2, 4096], bits), [False, False, True])


@pytest.mark.parametrize("bits", [["SKYLINE"], "skyline"])
def test_names_of_no_flag(bits):
    with pytest.raises(TypeError, match=r"PixelFlag\.SIG_SKYLINE, or names of flags, which are BADPIX, CRPIX"):
        bad_pixels([0, 1], bits)


@pytest.mark.parametrize(
    ("bits", "error"), [(0, TypeError), ("01", TypeError), ([0.5], TypeError), ([4096], ValueError), ([-1], ValueError)]
)
def test_bits_that_are_none(bits, error):
    with pytest.raises(error, match=r"bits (is|has) .*, expected (the )?numbers of bits"):
        bad_pixels([0, 1], bits)


@pytest.mark.parametrize("bitmask", [[0.0, 1.0], ["1"]])
def test_only_integers(bitmask):
    with pytest.raises(TypeError, match=r"bitmask has type .*, expected integers. Pass the third extension"):
        bad_pixels(bitmask)


@pytest.mark.skipif(not APSTAR.exists(), reason="the real apStar files are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "row", "n_bad"),
    [
        ("apStar-dr17-2M17335483-2753043.fits", 0, 121),
        ("apStar-dr17-2M17335483-2753043.fits", 1, 0),
        ("apStar-dr17-2M17335483-2753043.fits", 2, 370),
        ("apStar-dr17-2M17335483-2753043.fits", 3, 411),
        ("apStar-dr17-2M17335483-2753043.fits", 4, 252),
        ("apStar-dr17-2M19485057+5005279.fits", 0, 245),
    ],
)
def test_flagged_pixels_of_real_spectra(name, row, n_bad):
    with fits.open(APSTAR / name) as hdus:
        assert bad_pixels(hdus[3].data[row, kept_pixels(17)]).sum() == n_bad
