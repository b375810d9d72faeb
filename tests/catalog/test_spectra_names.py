"""Names of files of spectra, and the spectra in folders."""

import pytest

from skbcnn.catalog.spectra_names import spectra_of


@pytest.fixture
def folder(tmp_path):
    for name in ("b/apStar-r12-2.fits", "b/apStar-r12-1.fits.gz", "a/aspcapStar-r12-1.fits", "c.h5", "D.HDF5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_stands_for_its_spectra_sorted_by_name(folder):
    names = ["D.HDF5", "c.h5", "a/aspcapStar-r12-1.fits", "b/apStar-r12-1.fits.gz", "b/apStar-r12-2.fits"]
    assert spectra_of(folder) == [folder / name for name in names]
    assert spectra_of([folder / "c.h5", folder / "b"]) == [folder / name for name in (names[1], *names[3:])]


def test_other_files_of_a_folder_are_left_out(folder):
    for name in (
        "b/.catalogue.fits.unfinished/x.fits",
        "b/.x.fits",
        "b/allStar-r12.fits",
        "b/asVisit-1.fits",
        "b/a.txt",
        "b/model/model.json",
        "b/model/weights.h5",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert [path.name for path in spectra_of(folder / "b")] == ["apStar-r12-1.fits.gz", "apStar-r12-2.fits"]


def test_named_files_are_taken_whatever_their_name(tmp_path):
    assert spectra_of(tmp_path / "allStar.txt") == [tmp_path / "allStar.txt"]


def test_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no file of spectra in the folder"):
        spectra_of(tmp_path)
    with pytest.raises(ValueError, match="There are no sources"):
        spectra_of([])
