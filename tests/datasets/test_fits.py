"""Reading apStar and aspcapStar: the real files, the layouts that other releases write, and files that are neither."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skbcnn.datasets import read_apstar, read_aspcapstar, read_fits_spectra
from skbcnn.survey import apstar_wavelength, bad_pixels, kept_pixels

DATA = Path(__file__).parents[1] / "data"
GIANT = DATA / "apStar-dr17-2M17335483-2753043.fits.gz"
DWARF = DATA / "apStar-dr17-2M19485057+5005279.fits"


@pytest.fixture(scope="module")
def giant():
    return read_apstar(GIANT, visits=True)


def n_flagged(spectra):
    return [int(bad_pixels(mask)[kept_pixels()].sum()) for mask in spectra.bitmask]


def rows_of(*levels, n_pixels=8575):
    return np.array(levels, dtype=float)[:, None] * np.ones(n_pixels)


def write_fits(path, *images, **header):
    hdus = [fits.ImageHDU(image) if isinstance(image, np.ndarray) else image for image in images]
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(header)), *hdus]).writeto(path)
    return path


def write_apstar(path, flux, flags=np.int16, **header):
    return write_fits(path, flux, 0.1 * np.abs(flux), np.zeros(flux.shape, dtype=flags), **header)


def write_aspcapstar(path, star, **header):
    level = np.nanmedian(star.flux[0])
    model = np.linspace(0.9, 1.0, star.flux.shape[1])
    return write_fits(path, star.flux[0] / level, star.error[0] / level, model, **header)


# the real files


def test_giant_has_a_combined_spectrum_by_default():
    star = read_apstar(GIANT)
    assert star.row_names == ("combined",)
    assert star.object_id == "2M17335483-2753043"
    assert (star.ra, star.dec) == pytest.approx((263.478474, -27.884539))
    assert star.snr == pytest.approx([154.1551207])
    assert star.skipped == ()
    assert not star.normalized
    assert n_flagged(star) == [121]


@pytest.mark.parametrize("cards", [{"CRVAL1": 4.18}, {"CDELT1": -6e-6}, {"CRPIX1": 2.0}], ids=str)
def test_another_grid_in_the_header_is_refused(tmp_path, cards):
    with fits.open(DWARF) as hdus:
        hdus[0].header.update(cards)
        hdus.writeto(tmp_path / "apStar.fits")
    with pytest.raises(ValueError, match=r"The wavelengths of .*apStar.fits are on another grid: its header has CRVAL"):
        read_apstar(tmp_path / "apStar.fits")


def test_the_reference_pixel_of_the_grid_may_be_any(tmp_path):
    with fits.open(DWARF) as hdus:
        hdus[0].header.update({"CRPIX1": 101, "CRVAL1": 4.1796})
        hdus.writeto(tmp_path / "apStar.fits")
    assert len(read_apstar(tmp_path / "apStar.fits")) == 1


def test_giant_has_three_visits(giant):
    assert len(giant) == 4
    assert giant.row_names == ("combined", "visit 1", "visit 2", "visit 3")
    assert giant.snr == pytest.approx([154.1551207, 67.2021134, 90.5624846, 105.8963318])
    assert n_flagged(giant) == [121, 370, 411, 252]


def test_giant_has_a_global_combination_without_flags(giant):
    star = read_apstar(GIANT, combination="global")
    assert star.row_names == ("combined (global)",)
    assert star.snr == pytest.approx([154.1551207])
    assert n_flagged(star) == [0]
    assert not np.array_equal(star.flux[0], giant.flux[0], equal_nan=True)


def test_arrays_are_native_and_narrow(giant):
    arrays = {"flux": np.float32, "error": np.float32, "bitmask": np.int64}
    for name, dtype in arrays.items():
        array = getattr(giant, name)
        assert array.shape == (4, 8575)
        assert array.dtype == dtype
        assert array.dtype.isnative


def test_gap_pixels_stay_nan():
    star = read_apstar(GIANT)
    assert np.isnan(star.flux[0]).sum() == 784
    assert np.array_equal(star.wavelength, apstar_wavelength())


@pytest.mark.parametrize("visits", [False, True])
def test_dwarf_reports_its_empty_row(visits):
    star = read_apstar(DWARF, visits=visits)
    assert star.row_names == ("combined",)
    assert star.snr[0] > 100  # SNR, not SNRVIS1, which this file has as 0
    assert n_flagged(star) == [245]
    assert [tuple(skipped) for skipped in star.skipped] == [
        (1, "row 1, combined (global), has zero flux everywhere"),
    ]


def test_dwarf_has_no_global_combination():
    with pytest.raises(
        ValueError, match=r"2M19485057.*no spectrum in the selected rows: row 1.*zero flux.*combination"
    ):
        read_apstar(DWARF, combination="global")


def test_repr_is_short(giant):
    assert "2M17335483-2753043" in repr(giant)
    assert len(repr(giant)) < 400


# layouts


def test_one_dimension_is_one_row(tmp_path):
    star = read_apstar(write_apstar(tmp_path / "apStar.fits", rows_of(3.0)[0], SNR=80.0))
    assert star.flux.shape == (1, 8575)
    assert star.flux[0, 0] == 3.0
    assert star.snr == [80.0]


def test_absent_second_row_is_named_only_when_asked_for(tmp_path):
    path = write_apstar(tmp_path / "apStar.fits", rows_of(3.0))
    assert read_apstar(path, visits=True).skipped == ()
    with pytest.raises(ValueError, match=r"row 1, combined .global., is not among the 1 rows of the file"):
        read_apstar(path, combination="global")


def test_visits_remain_where_the_combination_is_empty(tmp_path):
    star = read_apstar(write_apstar(tmp_path / "apStar.fits", rows_of(np.nan, 0, 3, 0, 5)), visits=True)
    assert star.row_names == ("visit 1", "visit 3")
    assert star.flux[:, 0].tolist() == [3, 5]
    assert np.isnan(star.snr).all()
    assert {row: reason.split(", ")[-1] for row, reason in star.skipped} == {
        0: "has no flux that is a number",
        1: "has zero flux everywhere",
        3: "has zero flux everywhere",
    }


def test_one_pixel_of_light_is_a_spectrum(tmp_path):
    flux = rows_of(0.0)
    flux[0, 17] = -2.0
    flux[0, 18] = np.nan
    assert read_apstar(write_apstar(tmp_path / "apStar.fits", flux)).row_names == ("combined",)


@pytest.mark.parametrize("flags", [np.int16, np.uint16, np.int32, np.int64, np.float32])
def test_flags_of_any_width(tmp_path, flags):
    path = write_apstar(tmp_path / "apStar.fits", rows_of(3.0), flags=flags)
    assert read_apstar(path).bitmask.dtype == np.int64
    assert not read_fits_spectra(path).normalized


def test_highest_flag_of_a_narrow_mask_survives(tmp_path):
    mask = np.full((1, 8575), -(2**15) + 2**12, dtype=np.int16)  # bit 15, the sign, and bit 12
    path = write_fits(tmp_path / "apStar.fits", rows_of(3.0), rows_of(1.0), mask)
    assert bad_pixels(read_apstar(path).bitmask).all()


def test_error_beyond_float32_becomes_infinite(tmp_path):
    path = write_fits(tmp_path / "apStar.fits", rows_of(3.0), rows_of(1e300), np.zeros((1, 8575), dtype=int))
    assert np.isinf(read_apstar(path).error).all()


@pytest.mark.parametrize(
    ("header", "file_name", "object_id"),
    [
        ({"OBJID": " 2M00000000+0000001 ", "HIERARCH APOGEE_ID": "other"}, "apStar.fits", "2M00000000+0000001"),
        ({"OBJID": "", "HIERARCH APOGEE_ID": "VESTA"}, "apStar.fits", "VESTA"),
        ({}, "apStar-r12-AP12345678-1234567.fits", "AP12345678-1234567"),
        ({}, "asteroid.fits", "asteroid"),
    ],
)
def test_name_of_the_star(tmp_path, header, file_name, object_id):
    assert read_apstar(write_apstar(tmp_path / file_name, rows_of(3.0), **header)).object_id == object_id


@pytest.mark.parametrize("value", [-9999.0, "unknown", 0.0])
def test_header_without_a_number_gives_nan(tmp_path, value):
    star = read_apstar(write_apstar(tmp_path / "apStar.fits", rows_of(3.0), SNR=value))
    assert np.isnan(star.snr).all()
    assert np.isnan([star.ra, star.dec]).all()


# aspcapStar, and which is which


def test_aspcapstar(tmp_path, giant):
    star = read_aspcapstar(write_aspcapstar(tmp_path / "aspcapStar-dr17-2M17335483-2753043.fits", giant, SNR=154.0))
    assert star.normalized
    assert star.object_id == "2M17335483-2753043"
    assert star.row_names == ("combined",)
    assert star.snr == [154.0]
    assert star.flux.shape == star.error.shape == (1, 8575)
    assert np.nanmedian(star.flux) == pytest.approx(1)
    assert not star.bitmask.any()


def test_content_tells_the_kind_whatever_the_name(tmp_path, giant):
    aspcap = write_aspcapstar(tmp_path / "apStar-1.fits", giant)
    apstar = write_apstar(tmp_path / "aspcapStar-2.fits", rows_of(3.0, 4.0, 5.0))
    assert read_fits_spectra(aspcap, visits=True).normalized
    assert read_fits_spectra(apstar, visits=True).row_names == ("combined", "visit 1")
    assert read_fits_spectra(apstar, combination="global").flux[0, 0] == 4


@pytest.mark.parametrize(("name", "normalized"), [("aspcapStar-1.fits", True), ("apStar-1.fits", False)])
def test_name_decides_where_content_does_not(tmp_path, name, normalized):
    path = write_apstar(tmp_path / name, rows_of(1.0), flags=np.float32)
    assert read_fits_spectra(path).normalized is normalized


def test_each_reader_names_the_other(tmp_path, giant):
    with pytest.raises(ValueError, match=r"no pixel flags.*read_aspcapstar"):
        read_apstar(write_aspcapstar(tmp_path / "aspcapStar.fits", giant))
    with pytest.raises(ValueError, match=r"5 row\(s\) and int16.*read_apstar"):
        read_aspcapstar(GIANT)


# files that are no spectra


@pytest.mark.parametrize("n_pixels", [7514, 8576])
def test_other_grid(tmp_path, n_pixels):
    path = write_apstar(tmp_path / "apStar.fits", rows_of(1.0, n_pixels=n_pixels))
    with pytest.raises(ValueError, match=rf"apStar.fits has shape \(1, {n_pixels}\), expected \(n_rows, 8575\)"):
        read_apstar(path)


def test_rows_and_pixels_swapped(tmp_path):
    path = write_apstar(tmp_path / "apStar.fits", rows_of(1.0, 2.0).T)
    with pytest.raises(ValueError, match=r"shape \(8575, 2\), expected \(n_rows, 8575\)"):
        read_fits_spectra(path)


def test_three_dimensions(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(1, 2, 8575\)"):
        read_apstar(write_apstar(tmp_path / "apStar.fits", rows_of(1.0, 2.0)[None]))


@pytest.mark.parametrize("odd", [1, 2])
def test_extensions_of_different_shapes(tmp_path, odd):
    images = [rows_of(1.0, 2.0), rows_of(1.0, 2.0), np.zeros((2, 8575), dtype=int)]
    images[odd] = images[odd][:1]
    with pytest.raises(ValueError, match=r"have shapes .*\(1, 8575\).*expected the same"):
        read_apstar(write_fits(tmp_path / "apStar.fits", *images))


def test_damaged_header_that_makes_integers_of_the_flux(tmp_path):
    path = tmp_path / "apStar.fits"
    damaged = re.sub(rb"(BITPIX  = {18})-32", rb"\1 32", DWARF.read_bytes(), count=1)
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"The flux of .*apStar\.fits consists of integers \(int32\)"):
        read_apstar(path)


@pytest.mark.parametrize(
    "images",
    [
        [],
        [rows_of(1.0), rows_of(1.0)],
        [fits.BinTableHDU(np.zeros(3, dtype=[("TEFF", "f4")]))],
        [rows_of(1.0), rows_of(1.0), fits.ImageHDU()],
    ],
    ids=["no extension", "two extensions", "a table", "an empty extension"],
)
@pytest.mark.parametrize("read", [read_apstar, read_aspcapstar, read_fits_spectra])
def test_fits_without_a_spectrum(tmp_path, images, read):
    with pytest.raises(ValueError, match=r"other\.fits has no spectrum: .*expected three"):
        read(write_fits(tmp_path / "other.fits", *images))


@pytest.mark.parametrize("content", [b"", b"SIMPLE", b"teff,logg\n" * 900, bytes(range(256)) * 99])
def test_not_fits(tmp_path, content):
    path = tmp_path / "labels.fits"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"labels\.fits (cannot be read as FITS .*cut short|is an? (empty|text) file)"):
        read_fits_spectra(path)


@pytest.mark.parametrize("n_bytes", [100, 5000, 14_400, 20_000, 60_000, 120_000, 180_000])
def test_truncated_anywhere(tmp_path, n_bytes):
    path = tmp_path / "apStar.fits"
    path.write_bytes(DWARF.read_bytes()[:n_bytes])
    with pytest.raises((OSError, ValueError), match=r"apStar\.fits .*download it again"):
        read_apstar(path)


HEADER_FAULTS = {
    "no BITPIX": (b"BITPIX  ", b"BITPIY  "),
    "negative size": (b"NAXIS1  =                 8575", b"NAXIS1  =                   -5"),
    "larger than the memory": (b"NAXIS1  =                 8575", b"NAXIS1  =        1000000000000"),
}


@pytest.mark.parametrize("fault", HEADER_FAULTS)
def test_damaged_header(tmp_path, fault):
    right, wrong = HEADER_FAULTS[fault]
    path = tmp_path / "apStar.fits"
    content = DWARF.read_bytes()
    start = content.index(right, 2880)  # of the first extension
    path.write_bytes(content[:start] + wrong + content[start + len(wrong) :])
    with pytest.raises(OSError, match=r"apStar\.fits cannot be read as FITS") as raised:
        read_apstar(path)
    assert not re.search(r"has no attribute|Errno|Keyword", str(raised.value))  # of no use to who reads the file


def test_damaged_name_of_the_star(tmp_path):
    content = DWARF.read_bytes()
    start = content.find(b"OBJID")
    path = tmp_path / DWARF.name
    path.write_bytes(content[:start] + b"OBJID   = 'unclosed".ljust(80) + content[start + 80 :])
    assert read_apstar(path).object_id == "2M19485057+5005279"


def test_truncated_gzip(tmp_path):
    path = tmp_path / "apStar.fits.gz"
    path.write_bytes(GIANT.read_bytes()[:90_000])
    with pytest.raises((OSError, ValueError), match=r"apStar\.fits\.gz .*download it again"):
        read_apstar(path)


def test_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_apstar(tmp_path / "nowhere.fits")


def test_folder(tmp_path):
    with pytest.raises(OSError, match=tmp_path.name):
        read_apstar(tmp_path)


def test_unknown_combination():
    with pytest.raises(ValueError, match="combination='median', expected one of 'pixel', 'global'"):
        read_apstar(GIANT, combination="median")


# open files, and HDUs in memory


@pytest.mark.parametrize("path", [GIANT, DWARF])
def test_open_files_and_hdus_give_the_same_and_stay_open(path):
    expected = read_apstar(path)
    content = BytesIO(path.read_bytes())
    content.seek(100)  # as after writing
    with path.open("rb") as file, fits.open(path) as hdus:
        for source in (file, hdus, content):
            star = read_fits_spectra(source)
            assert np.array_equal(star.flux, expected.flux, equal_nan=True)
            assert star.object_id == expected.object_id
        assert not file.closed
        assert not content.closed
        assert hdus[1].data.shape[1] == 8575


def test_hdus_that_are_in_no_file(tmp_path):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(rows_of(1.0)), fits.ImageHDU(rows_of(0.1))])
    with pytest.raises(ValueError, match="HDUList has no spectrum"):
        read_apstar(hdus)
    hdus.append(fits.ImageHDU(np.zeros((1, 8575), dtype=int)))
    assert read_apstar(hdus).flux[0, 0] == 1


def test_other_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="The file is a int, expected a path, a file opened in binary mode, or an HDU"):
        read_apstar(3)
    (tmp_path / "text").write_text("text")
    with (tmp_path / "text").open() as file, pytest.raises(OSError, match="opened as text; open it with mode 'rb'"):
        read_apstar(file)
    with pytest.raises(OSError, match="BytesIO cannot be read as FITS"):
        read_apstar(BytesIO(b"\x1f\x8bno gzip"))


# other kinds of file


def test_a_visit_in_the_observed_frame_is_named(tmp_path):
    path = write_fits(tmp_path / "apVisit-r12-1-2-3.fits", *[np.ones((3, 4096))] * 4)
    with pytest.raises(ValueError, match=r"shape \(3, 4096\).*an apVisit file: .* observed frame.* apStar file of"):
        read_fits_spectra(path)


@pytest.mark.parametrize("kind", ["mwmStar", "mwmVisit"])
def test_files_of_sdssv_are_named(tmp_path, kind):
    columns = [("flux", "f4", 8575), ("ivar", "f4", 8575)]
    tables = [
        fits.BinTableHDU(np.ones(1, dtype=columns), name=name)
        for name in ("BOSS/APO", "BOSS/LCO", "APOGEE/APO", "APOGEE/LCO")
    ]
    path = write_fits(tmp_path / f"{kind}-0.6.0-1.fits", *tables)
    with pytest.raises(ValueError, match=rf"is an {kind} file of SDSS-V, expected .*ivar and pixel_flags to prepare_"):
        read_fits_spectra(path)
