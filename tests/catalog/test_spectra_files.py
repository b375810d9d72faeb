"""Files of spectra as rows that a model can predict."""

import gzip
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator

from skbcnn._left_out import LeftOut
from skbcnn.catalog.spectra_files import open_spectra
from skbcnn.datasets import read_apstar, write_h5
from skbcnn.preprocessing import ContinuumNormalizer, SpectraNormalizer, prepare_spectra
from skbcnn.survey import chip_slices

DATA = Path(__file__).parents[1] / "data"
GIANT = DATA / "apStar-dr17-2M17335483-2753043.fits.gz"
DWARF = DATA / "apStar-dr17-2M19485057+5005279.fits"


class RecordedModel(BaseEstimator):
    """The attributes of a fitted model that the reader uses."""

    def __init__(self, preprocessing, n_pixels=7514):
        self.preprocessing_ = preprocessing
        self.n_features_in_ = n_pixels
        self.domain_ = None
        self.spectra_normalizer_ = SpectraNormalizer(0).fit(np.ones((1, n_pixels)))

    def fit(self, X):
        return self


DR17 = {"data_release": 17, "combination": "pixel"}


def read(paths, recorded=DR17, **options):
    """Return the spectra of the parts of files that have any, all notes, and all failures."""
    opened = open_spectra(RecordedModel(recorded), paths, **options)
    loaded = [opened.loader.load(part) for part in opened.parts]
    failures = opened.failures + [failure for spectra in loaded for failure in spectra.failures]
    return [spectra for spectra in loaded if len(spectra.X)], opened.notes, failures


@pytest.fixture
def aspcap(tmp_path):
    """An aspcapStar file, made from a real apStar file."""
    with fits.open(DWARF) as hdus:
        flux, error = (hdu.data[0].astype(float) for hdu in hdus[1:3])
    level = np.nanmedian(flux)
    images = [flux / level, error / level, np.linspace(0.9, 1.0, len(flux))]
    path = tmp_path / "aspcapStar-dr17-2M19485057+5005279.fits"
    fits.HDUList([fits.PrimaryHDU(), *map(fits.ImageHDU, images)]).writeto(path)
    return path


def write_flux(path, n_rows=3, n_pixels=7514, **options):
    return write_h5(path, np.full((n_rows, n_pixels), 0.9), {"teff": [4000.0] * n_rows}, **options)


def test_spectra_of_fits_files_are_prepared():
    (rows,), notes, failures = read([GIANT, DWARF])
    star = read_apstar(GIANT)
    X, x_err = prepare_spectra(star.flux, star.error, star.bitmask)
    assert_array_equal(rows.X[:1], X)
    assert_array_equal(rows.x_err[:1], x_err)
    assert list(rows.columns["star"]) == ["2M17335483-2753043", "2M19485057+5005279"]
    assert list(rows.columns["spectrum"]) == ["combined", "combined"]
    assert list(rows.columns["file"]) == [GIANT.name, DWARF.name]
    assert rows.columns["snr"][0] == pytest.approx(154.155, abs=0.01)
    assert rows.columns["ra"][0] == pytest.approx(263.478474)
    assert notes == failures == []


def test_visits_and_another_combination():
    (rows,), notes, _ = read([GIANT], {"data_release": 17}, visits=True, combination="global")
    assert list(rows.columns["spectrum"]) == ["combined (global)", "visit 1", "visit 2", "visit 3"]
    assert notes == ["The model was trained on pixel combinations, but these spectra are global combinations."]


def test_combination_of_the_model_is_read():
    (rows,), notes, _ = read([GIANT], {"combination": "global"})
    assert list(rows.columns["spectrum"]) == ["combined (global)"]
    assert notes == []


def test_visits_without_spectrum_are_left_out_if_they_were_selected(tmp_path):
    path = tmp_path / "apStar.fits"
    path.write_bytes(gzip.decompress(GIANT.read_bytes()))
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[3] = 0
    detail = "row 3, visit 2, has zero flux everywhere"
    expected = LeftOut(str(path), "visit 2", "the spectrum is empty", detail, "2M17335483-2753043")
    assert read([path], visits=True)[2] == [expected]
    assert read([path], visits=False)[2] == []


def test_a_chip_without_continuum_is_filled_on_request(tmp_path):
    path = tmp_path / "apStar.fits"
    path.write_bytes(gzip.decompress(GIANT.read_bytes()))
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[0, 300:3300] = np.nan
    assert read([path])[0] == []
    (rows,), _, _ = read([path], no_continuum="fill")
    blue, green, _ = chip_slices().values()
    assert_array_equal(rows.X[0, blue], 1)
    assert_array_equal(rows.x_err[0, blue], 0)
    assert (rows.x_err[0, green] > 0).mean() > 0.9


def test_another_preparation_than_that_of_the_model_is_named(tmp_path):
    path = write_flux(tmp_path / "stars.h5", preprocessing=ContinuumNormalizer(pixels=np.arange(7514)).get_params())
    notes = {}
    for name, recorded in {
        "defaults": {"data_release": 17},
        "same": {"pixels": list(range(7514)), "no_continuum": "fill", "data_release": 19},
        "release": {"pixels": list(range(7514)), "data_release": 14},
        "nothing": {},
        "degree": {"pixels": list(range(7514)), "degree": 3, "combination": "global"},
    }.items():
        notes[name] = "".join(read([path], recorded)[1])
    assert "the model differ in how their spectra were prepared: pixels is [0, 1, 2," in notes["defaults"]
    assert "data_release is 17 in the file and 14 in the model" in notes["release"]
    assert notes["same"] == notes["nothing"] == ""
    assert "degree is 2 in the file and 3 in the model; combination is 'pixel' in the file and 'glob" in notes["degree"]


def test_a_model_without_preprocessing():
    (rows,), notes, _ = read([GIANT], {})
    assert "the defaults of ContinuumNormalizer are used" in notes[0]
    assert rows.X.shape == (1, 7514)


def test_aspcap_spectra_are_normalised_again(aspcap):
    (rows,), _, _ = read([aspcap, DWARF])
    assert rows.n_renormalized == 1
    good = (rows.x_err > 0).all(axis=0)
    assert good.mean() > 0.9
    assert np.abs(rows.X[0] - rows.X[1])[good].max() < 0.02  # the fits differ by the pixels with flags


def test_unusable_preparation_is_refused_before_the_files_are_read(tmp_path):
    files = [tmp_path / "absent.fits"]
    with pytest.raises(ValueError, match="preprocessing parameters that are not known here: magic"):
        open_spectra(RecordedModel({"magic": 1}), files)
    with pytest.raises(ValueError, match="The model takes spectra of 40 pixels, but"):
        open_spectra(RecordedModel({"pixels": "all", "chips": "one"}, n_pixels=40), files)


def test_files_that_cannot_be_read_do_not_stop_the_others(tmp_path):
    (tmp_path / "text.fits").write_text("no spectrum")
    fits.PrimaryHDU(np.ones(3)).writeto(tmp_path / "image.fits")
    names = ["text.fits", "image.fits", "absent.fits"]
    paths = [tmp_path / "text.fits", DWARF, *(tmp_path / name for name in names[1:]), tmp_path / "absent.h5"]
    (rows,), _, failures = read(paths)
    assert [Path(name).name for name in rows.columns["file"]] == [DWARF.name]
    names.insert(0, "absent.h5")  # HDF5 files are looked at first
    assert [Path(failure.file).name for failure in failures] == names
    assert all(name in str(failure) for name, failure in zip(names, failures, strict=True))
    assert "text.fits is a text file, expected an apStar or aspcapStar file." in failures[1].detail


def test_one_spectrum_of_a_file_that_cannot_be_normalised(tmp_path):
    path = tmp_path / "apStar.fits"
    path.write_bytes(gzip.decompress(GIANT.read_bytes()))
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[3, 300:8000] = np.nan
    (rows,), _, (failure,) = read([path], visits=True)
    assert list(rows.columns["spectrum"]) == ["combined", "visit 1", "visit 3"]
    assert "apStar.fits, visit 2: The spectrum has a continuum that" in str(failure)


def test_spectra_of_hdf5_files_are_used_as_they_are(tmp_path):
    path = write_flux(
        tmp_path / "stars.h5",
        in_flag=[0, 1, 0],
        spectra_err=np.full((3, 7514), 0.01),
        extra={"APOGEE_ID": ["a", "b", "c"], "SNR": [100, 50, 80]},
    )
    (rows,), _, _ = read([path])
    assert_array_equal(rows.X, np.float32(0.9))
    assert_array_equal(rows.x_err, np.float32(0.01))
    assert list(rows.columns["star"]) == ["a", "b", "c"]
    assert list(rows.columns["spectrum"]) == ["combined", "visit", "combined"]
    assert_array_equal(rows.columns["snr"], [100, 50, 80])
    assert np.isnan(rows.columns["ra"]).all()
    assert list(rows.columns["file"]) == ["stars.h5"] * 3


def replace_dataset(path, name, values):
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        file[name] = values


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("in_flag", [b"0", b"1", b"0"], "in_flag of {path} holds text, expected numbers."),
        ("APOGEE_ID", np.zeros((3, 2)), "APOGEE_ID of {path} has entries of shape (2,), expected one name"),
    ],
)
def test_hdf5_files_whose_spectra_cannot_be_named_are_refused(tmp_path, name, values, sentence):
    path = write_flux(tmp_path / "stars.h5")
    replace_dataset(path, name, values)
    _, _, (failure,) = read([path])
    assert sentence.format(path=path) in str(failure)


@pytest.mark.parametrize("values", [[b"100", b"", b"x"], np.zeros((3, 2))], ids=["text", "two numbers"])
def test_an_optional_column_that_cannot_be_used_is_named_and_left_empty(tmp_path, values):
    path = write_flux(tmp_path / "stars.h5", extra={"RA": [1.0, 2.0, 3.0]})
    replace_dataset(path, "SNR", values)
    (rows,), (note,), failures = read([path])
    assert note.startswith(f"SNR of {path} ")
    assert note.endswith("snr is empty in the catalogue.")
    assert np.isnan(rows.columns["snr"]).all()
    assert_array_equal(rows.columns["ra"], [1, 2, 3])
    assert failures == []


def test_a_damaged_keyword_is_absent(tmp_path):
    path = tmp_path / "apStar.fits"
    with fits.open(DWARF) as hdus:
        hdus[0].header["MYKEY"] = 5
        hdus.writeto(path)
    content = path.read_bytes()
    start = content.index(b"MYKEY   =")
    path.write_bytes(content[:start] + b"MYKEY   = 12.3.4 garbage '".ljust(80) + content[start + 80 :])
    (rows,), _, failures = read([path], columns={"MYKEY": "MYKEY"})
    assert rows.requested["MYKEY"].tolist() == [None]
    assert failures == []


def test_spectra_without_errors_are_kept_apart(tmp_path):
    bare = write_flux(tmp_path / "bare")
    bare.rename(tmp_path / "bare.data")  # the content tells HDF5
    (without, with_errors), _, _ = read([tmp_path / "bare.data", DWARF])
    assert list(without.columns["star"]) == ["row 0", "row 1", "row 2"]
    assert without.x_err is None
    assert with_errors.x_err is not None
    assert with_errors.X.shape == (1, 7514)


@pytest.mark.parametrize(
    ("flux", "flux_err", "sentence"),
    [
        (np.ones((2, 8575)), None, "have 8575 pixels, but the model takes 7514"),
        (np.ones((2, 7514)), np.full((2, 7514), 1e4), r"raw.h5: spectra_err is above 1, the continuum"),
    ],
)
def test_hdf5_files_that_are_not_prepared_are_refused(tmp_path, flux, flux_err, sentence):
    path = write_h5(tmp_path / "raw.h5", flux, {"teff": [4000.0] * 2})
    if flux_err is not None:
        with h5py.File(path, "a") as file:
            file["spectra_err"] = flux_err
    assert open_spectra(RecordedModel(DR17), [path]).parts == []
    (failure,) = open_spectra(RecordedModel(DR17), [path]).failures
    assert sentence in str(failure)


def test_hdf5_files_that_are_not_divided_by_their_continuum_are_refused(tmp_path):
    model = RecordedModel(DR17)
    model.spectra_normalizer_ = SpectraNormalizer(3).fit(np.ones((2, 7514)))
    path = write_h5(tmp_path / "raw.h5", np.full((2, 7514), 300.0), {"teff": [4000.0] * 2})
    (failure,) = open_spectra(model, [path]).failures
    assert "The median flux of the spectra of" in str(failure)
    assert "is 300, but that of the training spectra of the model was 1" in str(failure)


def test_rows_of_hdf5_files_that_cannot_be_used_are_named(tmp_path):
    flux = np.full((7, 7514), 0.9)
    flux_err = np.full_like(flux, 0.01)
    flux[1, 5] = np.nan
    flux_err[2, 5] = -1
    flux_err[3] = np.inf
    flux_err[4, :4000] = 2
    flux[5, 5], flux_err[5, 5] = np.nan, np.inf  # marked as bad, so that the rest can be used
    path = write_flux(tmp_path / "stars.h5", n_rows=7)
    with h5py.File(path, "a") as file:
        file["spectra"][...], file["spectra_err"] = flux, flux_err
    (rows,), _, failures = read([path])
    assert list(np.flatnonzero(rows.unusable)) == [1, 2, 3, 4]
    assert [failure.spectrum for failure in failures] == ["row 1", "row 2", "row 3", "row 4"]
    reasons = ["contains NaN", "negative or NaN", "every pixel is marked as bad", "More than half of the flux errors"]
    assert all(reason in str(failure) for reason, failure in zip(reasons, failures, strict=True))
    assert np.isfinite(rows.X).all()
    assert (rows.X[5, 5], rows.x_err[5, 5]) == (1, 0)
    assert_array_equal(rows.X[6], np.float32(0.9))


def test_rows_in_a_damaged_part_of_an_hdf5_file(tmp_path):
    path = tmp_path / "stars.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("spectra", data=np.full((8, 7514), 0.9, np.float32), chunks=(2, 7514), fletcher32=True)
        place = file["spectra"].id.get_chunk_info(1).byte_offset
    with path.open("r+b") as file:
        file.seek(place + 100)
        file.write(b"damaged")
    (rows,), _, failures = read([path])
    assert list(np.flatnonzero(rows.unusable)) == [2, 3]
    assert [failure.spectrum for failure in failures] == ["row 2", "row 3"]


def test_parts_have_the_size_that_is_given(tmp_path):
    path = write_flux(tmp_path / "stars.h5", n_rows=5)
    parts, _, _ = read([path], chunk_size=2)
    assert [len(rows.X) for rows in parts] == [2, 2, 1]
    assert list(parts[1].columns["star"]) == ["row 2", "row 3"]
    files = [GIANT, DWARF, GIANT, path, DWARF]
    assert [part.size for part in open_spectra(RecordedModel(DR17), files, chunk_size=8).parts] == [2, 1, 5, 1]
    assert [part.size for part in open_spectra(RecordedModel(DR17), files, visits=True).parts] == [3, 5, 1]


def test_columns_come_along(tmp_path):
    path = write_flux(tmp_path / "stars.h5", n_rows=2, extra={"GAIA_ID": [2**53 + 1, 7], "FIELD": ["M13", "M3"]})
    (of_h5, of_fits), _, _ = read([path, DWARF], columns={"FIELD": "FIELD", "input_id": "gaia_id"})
    assert list(of_h5.requested["FIELD"]) == ["M13", "M3"]
    assert list(of_h5.requested["input_id"]) == [2**53 + 1, 7]
    assert of_fits.requested["FIELD"][0] == fits.getheader(DWARF).get("FIELD", "")
    with pytest.raises(ValueError, match=r"stars.h5 has no OTHER. It has .*GAIA_ID"):
        open_spectra(RecordedModel(DR17), [path], columns={"OTHER": "OTHER"})


def test_columns_of_a_table_come_along(tmp_path):
    of_files = {
        "table_row": np.array([4, 5, 8]),
        "table_star": np.array(["p", "q", "r"]),
        "FIELD": np.array(["a", "b", "c"]),
    }
    paths = [GIANT, tmp_path / "absent.fits", DWARF]
    (rows,), _, (failure,) = read(paths, of_files=of_files, visits=True)
    assert list(rows.requested["table_row"]) == [4] * 4 + [8]
    assert list(rows.requested["FIELD"]) == ["a"] * 4 + ["c"]
    assert failure == LeftOut(str(tmp_path / "absent.fits"), "", "there is no such file", "", "q", 5)
    parts = open_spectra(RecordedModel(DR17), paths, of_files=of_files, chunk_size=8).parts
    assert [list(part.of_files["FIELD"]) for part in parts] == [["a", "b"], ["c"]]


def test_reading_does_not_import_tensorflow():
    program = "import sys, skbcnn.catalog.spectra_files; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
