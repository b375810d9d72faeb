"""Files of spectra as rows that a model can predict."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator

from skbcnn.catalog import spectra_files
from skbcnn.catalog.spectra_files import SpectraReader
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


@pytest.fixture
def reader():
    return SpectraReader(RecordedModel({"data_release": 17, "combination": "pixel"}))


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


def test_spectra_of_fits_files_are_prepared(reader):
    (rows,) = reader.read([GIANT, DWARF])
    star = read_apstar(GIANT)
    X, x_err = prepare_spectra(star.flux, star.error, star.bitmask)
    assert_array_equal(rows.X[:1], X)
    assert_array_equal(rows.x_err[:1], x_err)
    assert list(rows.columns["star"]) == ["2M17335483-2753043", "2M19485057+5005279"]
    assert list(rows.columns["spectrum"]) == ["combined", "combined"]
    assert list(rows.columns["file"]) == [GIANT.name, DWARF.name]
    assert rows.columns["snr"][0] == pytest.approx(154.155, abs=0.01)
    assert rows.columns["ra"][0] == pytest.approx(263.478474)
    assert reader.failures == []
    (note,) = reader.notes  # of the second star, which has one visit
    assert note.startswith("1 file(s) have no second combined spectrum, as usual for stars with one visit. Nothing is")


def test_visits_and_another_combination():
    reader = SpectraReader(RecordedModel({"data_release": 17}), visits=True, combination="global")
    (rows,) = reader.read([GIANT])
    assert list(rows.columns["spectrum"]) == ["combined (global)", "visit 1", "visit 2", "visit 3"]
    assert reader.notes == ["The model was trained on pixel combinations, but these spectra are global combinations."]


def test_combination_of_the_model_is_read():
    reader = SpectraReader(RecordedModel({"combination": "global"}))
    (rows,) = reader.read([GIANT])
    assert list(rows.columns["spectrum"]) == ["combined (global)"]
    assert reader.notes == []


def test_visits_without_spectrum_are_named_if_they_were_selected(tmp_path):
    path = tmp_path / "apStar.fits"
    path.write_bytes(gzip.decompress(GIANT.read_bytes()))
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[3] = 0
    for visits, notes in (
        (True, ["2M17335483-2753043 (apStar.fits): row 3, visit 2, has no flux but zeros"]),
        (False, []),
    ):
        reader = SpectraReader(RecordedModel({"data_release": 17}), visits=visits)
        list(reader.read([path]))
        assert [note.partition(";")[0] for note in reader.notes] == notes


def test_a_chip_without_continuum_is_filled_on_request(tmp_path):
    path = tmp_path / "apStar.fits"
    path.write_bytes(gzip.decompress(GIANT.read_bytes()))
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[0, 300:3300] = np.nan
    model = RecordedModel({"data_release": 17})
    assert list(SpectraReader(model).read([path])) == []
    (rows,) = SpectraReader(model, no_continuum="fill").read([path])
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
        reader = SpectraReader(RecordedModel(recorded))
        list(reader.read([path]))
        notes[name] = "".join(reader.notes)
    assert "the model differ in how their spectra were prepared: pixels is [0, 1, 2," in notes["defaults"]
    assert "data_release is 17 in the file and 14 in the model" in notes["release"]
    assert notes["same"] == notes["nothing"] == ""
    assert "degree is 2 in the file and 3 in the model; combination is 'pixel' in the file and 'glob" in notes["degree"]


def test_a_model_without_preprocessing():
    reader = SpectraReader(RecordedModel({}))
    (rows,) = reader.read([GIANT])
    assert "the defaults of ContinuumNormalizer are used" in reader.notes[0]
    assert rows.X.shape == (1, 7514)


def test_aspcap_spectra_are_normalised_again(reader, aspcap):
    (rows,) = reader.read([aspcap, DWARF])
    assert "1 file(s) have normalised spectra, such as those of aspcapStar files; they were normalised again" in str(
        reader.notes
    )
    good = (rows.x_err > 0).all(axis=0)
    assert good.mean() > 0.9
    assert np.abs(rows.X[0] - rows.X[1])[good].max() < 0.02  # the fits differ by the pixels with flags


def test_unusable_preparation_is_refused_before_the_files_are_read(tmp_path):
    files = [tmp_path / "absent.fits"]
    with pytest.raises(ValueError, match="preprocessing parameters that are not known here: magic"):
        next(SpectraReader(RecordedModel({"magic": 1})).read(files))
    with pytest.raises(ValueError, match="The model takes spectra of 40 pixels, but"):
        next(SpectraReader(RecordedModel({"pixels": "all", "chips": "one"}, n_pixels=40)).read(files))


def test_files_that_cannot_be_read_do_not_stop_the_others(reader, tmp_path):
    (tmp_path / "text.fits").write_text("no spectrum")
    fits.PrimaryHDU(np.ones(3)).writeto(tmp_path / "image.fits")
    names = ["text.fits", "image.fits", "absent.fits", "absent.h5"]
    (rows,) = reader.read([tmp_path / "text.fits", DWARF, *(tmp_path / name for name in names[1:])])
    assert list(rows.columns["file"]) == [DWARF.name]
    assert all(name in str(error) for name, error in zip(names, reader.failures, strict=True))


def test_one_spectrum_of_a_file_that_cannot_be_normalised(tmp_path):
    path = tmp_path / "apStar.fits"
    path.write_bytes(gzip.decompress(GIANT.read_bytes()))
    with fits.open(path, mode="update") as hdus:
        hdus[1].data[3, 300:8000] = np.nan
    reader = SpectraReader(RecordedModel({"data_release": 17}), visits=True)
    (rows,) = reader.read([path])
    assert list(rows.columns["spectrum"]) == ["combined", "visit 1", "visit 3"]
    (failure,) = reader.failures
    assert "apStar.fits, visit 2: Row 0 of X has " in str(failure)


def test_spectra_of_hdf5_files_are_used_as_they_are(reader, tmp_path):
    path = write_flux(
        tmp_path / "stars.h5",
        in_flag=[0, 1, 0],
        spectra_err=np.full((3, 7514), 0.01),
        extra={"APOGEE_ID": ["a", "b", "c"], "SNR": [100, 50, 80]},
    )
    (rows,) = reader.read([path])
    assert_array_equal(rows.X, np.float32(0.9))
    assert_array_equal(rows.x_err, np.float32(0.01))
    assert list(rows.columns["star"]) == ["a", "b", "c"]
    assert list(rows.columns["spectrum"]) == ["combined", "visit", "combined"]
    assert_array_equal(rows.columns["snr"], [100, 50, 80])
    assert np.isnan(rows.columns["ra"]).all()
    assert list(rows.columns["file"]) == ["stars.h5"] * 3


def test_spectra_without_errors_are_kept_apart(reader, tmp_path):
    bare = write_flux(tmp_path / "bare")
    bare.rename(tmp_path / "bare.data")  # the content tells HDF5
    without, with_errors = reader.read([tmp_path / "bare.data", DWARF])
    assert list(without.columns["star"]) == ["row 0", "row 1", "row 2"]
    assert without.x_err is None
    assert with_errors.x_err is not None
    assert with_errors.X.shape == (1, 7514)


@pytest.mark.parametrize(
    ("flux", "flux_err", "sentence"),
    [
        (np.ones((2, 8575)), None, "have 8575 pixels, but the model takes 7514"),
        (np.full((2, 7514), np.nan), None, r"raw.h5: spectra contains NaN"),
        (np.ones((2, 7514)), np.full((2, 7514), -1), r"raw.h5: spectra_err is negative"),
        (np.ones((2, 7514)), np.full((2, 7514), 1e4), r"raw.h5: spectra_err is above 1, the continuum"),
    ],
)
def test_hdf5_spectra_that_are_not_prepared(reader, tmp_path, flux, flux_err, sentence):
    path = write_h5(tmp_path / "raw.h5", flux, {"teff": [4000.0] * 2})
    if flux_err is not None:
        with h5py.File(path, "a") as file:
            file["spectra_err"] = flux_err
    assert list(reader.read([path])) == []
    (failure,) = reader.failures
    assert sentence in str(failure)


def test_rows_come_in_chunks(reader, tmp_path, monkeypatch):
    monkeypatch.setattr(spectra_files, "CHUNK_SIZE", 2)
    path = write_flux(tmp_path / "stars.h5", n_rows=5)
    assert [len(rows.X) for rows in reader.read([path])] == [2, 2, 1]
    assert [list(rows.columns["star"]) for rows in reader.read([path])][1] == ["row 2", "row 3"]
    visits = SpectraReader(RecordedModel({"data_release": 17}), visits=True)
    assert [len(rows.X) for rows in visits.read([GIANT, DWARF])] == [2, 2, 1]
