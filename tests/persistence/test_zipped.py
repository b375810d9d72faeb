"""Fitted models as one zip file: the same as the folder, and nothing gets in that is not a model's."""

import errno
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skbcnn.persistence import ModelFolderError, files, load_folder, save_folder

NAMES = ["model.json", "weights.h5", "README.md", "SHA256SUMS"]


@pytest.fixture
def contents(saved):
    """The files of a model, to spoil."""
    return {name: (saved / name).read_bytes() for name in NAMES}


@pytest.fixture
def path(tmp_path):
    """Where a test makes its zip file."""
    return tmp_path / "model.zip"


def write(path, contents, compression=zipfile.ZIP_STORED, **options):
    """A zip file as others make it."""
    with zipfile.ZipFile(path, "w", compression, **options) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def claim(path, name, *, size):
    """Have the directory and the header of a member tell another size."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        header = archive.getinfo(name).header_offset
    struct.pack_into("<I", data, header + 22, size)
    entry = data.rindex(b"PK\1\2", 0, data.rindex(name.encode()))
    struct.pack_into("<I", data, entry + 24, size)
    path.write_bytes(data)


# Writing and reading


def test_the_same_as_the_folder(model, saved, zipped, stars):
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


def test_nothing_is_unpacked(zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_folder(zipped)
    assert list(tmp_path.iterdir()) == []
    assert [entry.name for entry in zipped.parent.iterdir()] == [zipped.name]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("lacking", [set(), {"README.md"}, {"SHA256SUMS", "README.md"}])
def test_packed_anew_by_others(contents, path, compression, lacking):
    write(path, {name: contents[name] for name in reversed(NAMES) if name not in lacking}, compression)
    load_folder(path)


def test_a_folder_whose_name_ends_so(model, saved, path):
    path.mkdir()
    for name in NAMES:
        (path / name).write_bytes((saved / name).read_bytes())
    load_folder(path)
    with pytest.raises(OSError, match=r"model\.zip could not be written \(Is a directory"):
        save_folder(model, path, overwrite=True)
    assert {entry.name for entry in path.iterdir()} == set(NAMES)


# Replacing


def test_a_file_is_not_replaced_unasked(model, path, zipped):
    path.write_bytes(zipped.read_bytes())
    with pytest.raises(FileExistsError, match=r"model\.zip exists.*overwrite=True"):
        save_folder(model, path)
    save_folder(model, path, provenance={"n_stars": 5}, overwrite=True)
    assert load_folder(path).provenance_ == {"n_stars": 5}


@pytest.mark.parametrize("others", [b"years of work", {"thesis.tex": b"years of work"}, {"README.md": b"of a project"}])
def test_a_file_that_is_no_model_is_never_replaced(model, path, others):
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


# What is no model


@pytest.mark.parametrize(
    "name",
    [
        "../model.json",
        "/etc/passwd",
        "model/model.json",
        "model.json/",
        "MODEL.JSON",
        "pickle.pkl",
        "inner.zip",
        "a\\b",
    ],
)
def test_members_of_other_names(contents, path, name):
    del contents["README.md"]  # as many files as a model has
    write(path, contents | {name: b"{}"})
    with pytest.raises(ModelFolderError, match=r"expected model\.json, weights\.h5, README\.md, SHA256SUMS and"):
        load_folder(path)


def test_a_name_cut_short_by_a_null_byte(contents, path):
    del contents["README.md"]
    write(path, contents | {"README.md_sh": b""})
    path.write_bytes(path.read_bytes().replace(b"README.md_sh", b"README.md\0sh"))
    with pytest.raises(ModelFolderError, match="and nothing else"):
        load_folder(path)


def test_more_members_than_a_model_has(contents, path):
    write(path, contents | {f"{n}": b"" for n in range(1000)})
    with pytest.raises(ModelFolderError, match="holds 1004 files, but a model has at most 4"):
        load_folder(path)


def test_a_long_directory_is_not_read(contents, path):
    del contents["README.md"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            member = zipfile.ZipInfo(name)
            member.comment = bytes(30_000)
            archive.writestr(member, data)
    with pytest.raises(ModelFolderError, match="holds 3 files, but a model has at most 4"):
        load_folder(path)


def test_a_directory_for_large_files_is_not_read(contents, path):
    write(path, contents)
    data = path.read_bytes()
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    path.write_bytes(data[:-22] + locator + data[-22:])
    with pytest.raises(ModelFolderError, match="is no zip file as save_folder writes it"):
        load_folder(path)


def test_a_member_twice(contents, path):
    del contents["README.md"]
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_twice(path, contents)
    with pytest.raises(ModelFolderError, match="holds a file twice"):
        load_folder(path)


def write_twice(path, contents):
    write(path, contents)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.json", b"{}")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device(contents, path, kind):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = ((kind if name == "weights.h5" else stat.S_IFREG) | 0o644) << 16
            archive.writestr(member, data)
    with pytest.raises(ModelFolderError, match=r"weights\.h5 of .* is a link, encrypted, or packed"):
        load_folder(path)


def test_encrypted(contents, path):
    write(path, contents)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(b"PK\1\2") + 8, 1)
    path.write_bytes(data)
    with pytest.raises(ModelFolderError, match=r"model\.json of .* encrypted"):
        load_folder(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_in_an_unusual_way(contents, path, compression):
    write(path, contents, compression)
    with pytest.raises(ModelFolderError, match="packed in an unusual way"):
        load_folder(path)


def test_a_member_that_says_it_is_too_large(contents, path, monkeypatch):
    monkeypatch.setitem(files.MAX_BYTES, "README.md", 100)
    write(path, contents)
    with pytest.raises(ModelFolderError, match=r"README\.md of .* is larger than 100 bytes"):
        load_folder(path)


def test_a_bomb_is_never_unpacked(contents, path):
    write(path, contents | {"weights.h5": bytes(2**22)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**16
    claim(path, "weights.h5", size=1000)
    with pytest.raises(ModelFolderError, match=r"cannot be read as a zip file \(Bad CRC-32"):
        load_folder(path)


def test_a_size_that_is_not_there(contents, path):
    write(path, contents)
    claim(path, "weights.h5", size=2**29)
    with pytest.raises(ModelFolderError, match=r"weights\.h5 of .* has \d+ bytes, not 536870912 as its directory"):
        load_folder(path)


@pytest.mark.parametrize("name", ["model.json", "weights.h5"])
def test_a_file_is_missing(contents, path, name):
    write(path, {other: data for other, data in contents.items() if other != name})
    with pytest.raises(ModelFolderError, match=f"has no file {name}, so it holds no whole model"):
        load_folder(path)


def test_a_changed_member(contents, path):
    write(path, contents | {"model.json": contents["model.json"] + b"\n"})
    with pytest.raises(ModelFolderError, match=r"model\.zip/model\.json does not match its checksum in SHA256SUMS"):
        load_folder(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_cut_short(zipped, path, share):
    data = zipped.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match="does not end as one, is cut short"):
        load_folder(path)


def test_no_zip_file_at_all(path, saved):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nor a zip file ending in \.zip"):
        load_folder(path)
    path.write_bytes((saved / "weights.h5").read_bytes())
    with pytest.raises(ModelFolderError, match="is no zip file"):
        load_folder(path)


def test_overwritten_at_random(zipped, path):
    """Wherever a byte is changed, the model is refused or as it was: the card alone may differ."""
    data, rng = zipped.read_bytes(), np.random.default_rng(0)
    weights = load_folder(zipped).weights_
    where = np.concatenate([np.arange(len(data) - 500, len(data)), rng.integers(0, len(data), 200)])
    refused = 0
    for position in where:
        spoilt = bytearray(data)
        spoilt[position] ^= 1 << rng.integers(8)
        path.write_bytes(spoilt)
        try:
            again = load_folder(path)
        except ModelFolderError:
            refused += 1
        else:
            assert all((again.weights_[name] == values).all() for name, values in weights.items())
    assert refused > len(where) / 2
