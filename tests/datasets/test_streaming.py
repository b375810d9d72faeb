"""Spectra that stay in their file: rows are those that `H5Loader.load` reads, from any kind of dataset."""

import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn import H5Loader, write_h5
from skbcnn.datasets import streaming
from skbcnn.datasets.streaming import streamed, streamed_if_in_file

N = 30
STORED = {
    "contiguous": {},
    "chunked": {"chunks": (4, 6)},
    "compressed": {"chunks": (4, 6), "compression": "gzip"},
    "float64": {"dtype": "f8"},
    "big-endian": {"dtype": ">f4"},
}


@pytest.fixture(params=STORED)
def path(request, tmp_path):
    """File of 30 spectra with bad pixels, every third of them a visit, whose datasets are stored in several ways."""
    rng = np.random.default_rng(0)
    flux = rng.normal(1, 0.1, size=(N, 6))
    err = np.where(rng.random(flux.shape) < 0.1, np.inf, 0.02)
    labels = {"teff": rng.normal(4500, 100, N), "Mg": rng.normal(size=N)}
    errors = {name: np.full(N, 0.1) for name in labels}
    flags = np.arange(N) % 3 == 0
    write_h5(tmp_path / "plain.h5", flux, labels, spectra_err=err, labels_err=errors, in_flag=flags)
    with h5py.File(tmp_path / "plain.h5") as plain, h5py.File(tmp_path / "stars.h5", "w") as file:
        for name, dataset in plain.items():
            options = STORED[request.param] if dataset.ndim == 2 else {}
            file.create_dataset(name, data=dataset[...], **options)
    return tmp_path / "stars.h5"


@pytest.mark.parametrize("load_combined", [True, False, None])
@pytest.mark.parametrize("load_err", [True, False])
def test_rows_are_those_of_the_loader(path, load_combined, load_err):
    loader = H5Loader(path, load_combined=load_combined, load_err=load_err, target=["teff", "Mg"])
    with streamed(loader) as data:
        assert_array_equal(data.X[[4, 2, 2]], loader.load()[0][[4, 2, 2]], strict=True)
        found = [np.asarray(values) for values in data if values is not None]
    for values, expected in zip(found, loader.load(), strict=True):
        assert_array_equal(values, expected, strict=True)


def test_only_datasets_whose_rows_take_long_to_read_are_copied(path, tmp_path, request, monkeypatch):
    copied, write_all = [], streaming._write_all

    def note(file, values):
        copied.append(len(values))
        write_all(file, values)

    monkeypatch.setattr(streaming, "_write_all", note)
    with streamed(H5Loader(path, target="teff"), tmp_path):
        pass
    assert sum(copied) == (0 if "contiguous" in request.node.name else 2 * 20)


def test_temporary_files_are_removed(path, tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    with streamed(H5Loader(path, target="teff"), folder) as data:
        assert data.X[0].shape == (6,)
    assert not [*folder.iterdir()]


def test_datasets_of_an_open_file(path):
    with h5py.File(path) as file:
        y = np.zeros(N)
        with streamed_if_in_file(file["spectra"], y, file["spectra_err"], None) as data:
            assert_array_equal(np.asarray(data.X), file["spectra"][...].astype(np.float32))
            assert_array_equal(np.asarray(data.x_err), file["spectra_err"][...].astype(np.float32))
            assert data.y is y


def test_a_dataset_that_is_being_written(tmp_path):
    """What is written is perhaps not in the file yet, so it is read through HDF5."""
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file["spectra"] = np.ones((3, 2), np.float32)
        with streamed_if_in_file(file["spectra"], None, None, None) as data:
            assert_array_equal(data.X[:], np.ones((3, 2)))


def test_arrays_are_passed_on():
    given = np.ones((2, 2)), np.ones(2), None, None
    with streamed_if_in_file(*given) as data:
        assert all(one is other for one, other in zip(data, given, strict=True))


def test_a_loader_brings_the_labels(path):
    loader = H5Loader(path, target="teff")
    with (
        pytest.raises(ValueError, match="X is an H5Loader, which brings labels and errors, but y and y_err was passed"),
        streamed_if_in_file(loader, np.zeros(20), None, np.zeros(20)),
    ):
        pass


class TestNoRoom:
    @pytest.fixture
    def compressed(self, tmp_path):
        with h5py.File(tmp_path / "stars.h5", "w") as file:
            file.create_dataset("spectra", data=np.ones((N, 6), np.float32), compression="gzip")
            file["teff"] = np.ones(N)
        return tmp_path / "stars.h5"

    def test_before_the_copy(self, compressed, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100))
        with (
            pytest.raises(OSError, match=r"needs a temporary file of 0\.0 GB in .*: 0\.0 GB are free\. Set .* TMPDIR"),
            streamed(H5Loader(compressed, target="teff"), tmp_path),
        ):
            pass

    def test_during_the_copy(self, compressed, tmp_path, monkeypatch):
        def full(file, values):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(streaming, "_write_all", full)
        with (
            pytest.raises(OSError, match=r"temporary file .* it is full"),
            streamed(H5Loader(compressed, target="teff"), tmp_path),
        ):
            pass


def test_errors_in_the_block_are_not_taken_for_those_of_the_file(path):
    with pytest.raises(OSError, match=r"^of the block$"), streamed(H5Loader(path, target="teff")):
        raise OSError("of the block")
