"""Fitted models as one zip file, with the same files as a model folder."""

import errno
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skbcnn.persistence import ModelFolderError, load_folder, model_files, save_folder

NAMES = ["model.json", "weights.h5", "README.md", "SHA256SUMS"]


@pytest.fixture
def contents(saved):
    """Files of a model that a test may change, by name."""
    return {name: (saved / name).read_bytes() for name in NAMES}


@pytest.fixture
def path(tmp_path):
    """Zip file that a test writes."""
    return tmp_path / "model.zip"


def write(path, contents, compression=zipfile.ZIP_STORED):
    """Write a zip file as other software does."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


# Writing and reading


def test_contents_are_those_of_a_folder(model, saved, zipped, stars):
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist() == NAMES
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in NAMES} == {name: (saved / name).read_bytes() for name in NAMES}
    X = pd.DataFrame(stars[0], columns=model.feature_names_in_)
    again = load_folder(str(zipped))
    np.testing.assert_array_equal(again.predict(X, return_std=True), model.predict(X, return_std=True), strict=True)
    assert again.get_params() == model.get_params()


def test_equal_models_make_equal_files(model, zipped, tmp_path):
    assert model.save(tmp_path / "other name.ZIP").read_bytes() == zipped.read_bytes()


def test_nothing_is_unpacked_to_disk(zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_folder(zipped)
    assert list(tmp_path.iterdir()) == []
    assert [entry.name for entry in zipped.parent.iterdir()] == [zipped.name]


@pytest.mark.parametrize("missing", [set(), {"README.md"}, {"SHA256SUMS", "README.md"}])
def test_zip_files_made_by_other_software(contents, path, missing):
    ours = {name: contents[name] for name in reversed(NAMES) if name not in missing}
    write(path, ours, zipfile.ZIP_DEFLATED)
    load_folder(path)


def test_folder_whose_name_ends_in_zip(model, saved, path):
    shutil.copytree(saved, path)
    load_folder(path)
    with pytest.raises(OSError, match=r"model\.zip could not be written \(Is a directory"):
        save_folder(model, path, overwrite=True)
    assert {entry.name for entry in path.iterdir()} == set(NAMES)


# Replacing


def test_file_is_replaced_only_with_overwrite(model, path, zipped):
    path.write_bytes(zipped.read_bytes())
    with pytest.raises(FileExistsError, match=r"model\.zip exists.*overwrite=True"):
        save_folder(model, path)
    save_folder(model, path, provenance={"n_stars": 5}, overwrite=True)
    assert load_folder(path).provenance_ == {"n_stars": 5}


@pytest.mark.parametrize("others", [b"years of work", {"thesis.tex": b"years of work"}, {"README.md": b"of a project"}])
def test_file_that_is_no_model_is_never_replaced(model, path, others):
    write(path, others) if isinstance(others, dict) else path.write_bytes(others)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"no saved model"):
        save_folder(model, path, overwrite=True)
    assert path.read_bytes() == before


def test_full_disk_leaves_the_old_model(model, zipped, path, monkeypatch):
    def write_bytes(path, data, write=Path.write_bytes):
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    path.write_bytes(zipped.read_bytes())
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match=r"model\.zip could not be written \(No space left on device\)"):
        save_folder(model, path, overwrite=True)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == zipped.read_bytes()


# What is refused; see also test_safe_files.py


@pytest.mark.parametrize("name", ["../model.json", "model/model.json", "MODEL.JSON", "pickle.pkl"])
def test_files_of_other_names(contents, path, name):
    del contents["README.md"]  # as many files as a model has
    write(path, contents | {name: b"{}"})
    with pytest.raises(ModelFolderError, match=r"expected only model\.json, weights\.h5, README\.md, SHA256SUMS"):
        load_folder(path)


def test_more_files_than_a_model_has(contents, path):
    write(path, contents | {f"{n}": b"" for n in range(1000)})
    with pytest.raises(ModelFolderError, match="holds 1004 files, but a model has at most 4"):
        load_folder(path)


def test_file_beyond_its_limit(contents, path, monkeypatch):
    monkeypatch.setitem(model_files.MAX_BYTES, "model.json", 100)
    write(path, contents)
    with pytest.raises(ModelFolderError, match=r"model\.json of .* is larger than 100 bytes"):
        load_folder(path)


@pytest.mark.parametrize("name", ["model.json", "weights.h5"])
def test_missing_file(contents, path, name):
    write(path, {other: data for other, data in contents.items() if other != name})
    with pytest.raises(ModelFolderError, match=f"has no file {name}, so the model is incomplete"):
        load_folder(path)


def test_changed_file(contents, path):
    write(path, contents | {"model.json": contents["model.json"] + b"\n"})
    with pytest.raises(ModelFolderError, match=r"model\.zip/model\.json does not match its checksum in SHA256SUMS"):
        load_folder(path)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_zip_file_that_is_cut_short(zipped, path, share):
    data = zipped.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match="does not end as a zip archive: it is cut short"):
        load_folder(path)


def test_no_zip_file(path, saved):
    with pytest.raises(FileNotFoundError, match=r"There is no folder or \.zip file"):
        load_folder(path)
    path.write_bytes((saved / "weights.h5").read_bytes())
    with pytest.raises(ModelFolderError, match="does not end as a zip archive"):
        load_folder(path)


def test_flipped_bits(zipped, path):
    """The model is refused or unchanged; only the card may differ."""
    data, rng = zipped.read_bytes(), np.random.default_rng(0)
    weights = load_folder(zipped).weights_
    positions = np.concatenate([np.arange(len(data) - 500, len(data), 3), rng.integers(0, len(data), 60)])
    n_refused = 0
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            again = load_folder(path)
        except ModelFolderError:
            n_refused += 1
        else:
            assert all((again.weights_[name] == values).all() for name, values in weights.items())
    assert n_refused > len(positions) / 2
