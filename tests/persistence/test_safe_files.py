"""Reading of untrusted files: bounded files, zip archives, strict JSON and plain HDF5 arrays."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn.persistence import ModelFolderError
from skbcnn.persistence.safe_files import (
    finite_float32,
    hdf5_group,
    hdf5_item,
    open_hdf5,
    open_zip,
    parse_json,
    read_array,
    read_file,
    read_member,
    text_attribute,
    wrap_read_errors,
)

ANY_PATH = Path("some file")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


# Errors


def test_errors_of_wrong_entries_are_wrapped():
    for error in (KeyError("a"), TypeError("b"), ZeroDivisionError("c"), RecursionError("d")):
        message = rf"some file is not as Keras writes it \({type(error).__name__}: "
        with pytest.raises(ModelFolderError, match=message), wrap_read_errors(ANY_PATH, "Keras"):
            raise error


def test_other_errors_are_not_changed():
    for error in (ModelFolderError("as it is"), MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, wrap_read_errors(ANY_PATH, "Keras"):
            raise error
        assert caught.value is error


# Whole files


def test_file_up_to_its_limit(path):
    path.write_bytes(b"1234")
    assert read_file(path, 4) == b"1234"
    with pytest.raises(ModelFolderError, match="is larger than 3 bytes"):
        read_file(path, 3)


def test_missing_file_or_folder(path):
    with pytest.raises(ModelFolderError, match="has no file file, so the model is incomplete"):
        read_file(path, 4)
    path.mkdir()
    with pytest.raises(ModelFolderError, match="has no file file"):
        read_file(path, 4)


@pytest.mark.parametrize("method", ["open", "is_file"])
def test_file_that_cannot_be_read(path, monkeypatch, method):
    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    path.write_bytes(b"1234")
    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(ModelFolderError, match=r"file cannot be read \(Permission denied\)"):
        read_file(path, 4)


# Zip archives


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    """Write an archive of names, or `ZipInfo`, and their data."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def read_zip(path, *, max_members=3, allowed=None, max_bytes=100):
    """Read all members."""
    with open_zip(path, max_members, allowed) as archive:
        return {name: read_member(archive, name, max_bytes, path) for name in archive.namelist()}


def patch(path, position, layout, *values):
    """Overwrite bytes of a file."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, position(bytes(data)), *values)
    path.write_bytes(data)


def set_claimed_size(path, size):
    """Change the size of the only member in its header and in the directory."""
    patch(path, lambda data: 22, "<I", size)
    patch(path, lambda data: data.rindex(b"PK\1\2") + 24, "<I", size)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_an_archive(path, compression):
    members = {"a": b"1", "folder/b": b"22", "c": b""}
    assert read_zip(write_zip(path, members, compression)) == members


def test_archive_with_records_for_large_files(path):
    """PyTorch writes them in small files, too."""
    data = write_zip(path, {"a": b"1"}).read_bytes()
    _, _, _, _, n_members, n_bytes, offset, _ = struct.unpack("<4s4H2LH", data[-22:])
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, n_members, n_members, n_bytes, offset)

    def write(record, position):
        path.write_bytes(data[:-22] + record + struct.pack("<4sLQL", b"PK\6\7", 0, position, 1) + data[-22:])

    write(record, len(data) - 22)
    assert read_zip(path) == {"a": b"1"}
    write(record, 0)
    with pytest.raises(ModelFolderError, match="does not end as a zip archive of more than 4 GB"):
        read_zip(path)
    write(record.replace(b"PK\6\6", b"PK\6\5"), len(data) - 22)
    with pytest.raises(ModelFolderError, match="does not end as a zip archive of more than 4 GB"):
        read_zip(path)
    write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 5000, 5000, n_bytes, offset), len(data) - 22)
    with pytest.raises(ModelFolderError, match="holds 5000 files, but a model has at most 3"):
        read_zip(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04cos\nsystem\n(S'echo'\ntR." + bytes(1000)])
def test_no_archive(path, data):
    path.write_bytes(data)
    with pytest.raises(ModelFolderError, match="does not end as a zip archive: it is cut short, or has a comment"):
        read_zip(path)


def test_archive_with_a_comment(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        archive.comment = bytes(30)
    with pytest.raises(ModelFolderError, match="does not end as a zip archive"):
        read_zip(path)


def test_damaged_directory(path):
    write_zip(path, {"a": b"1"})
    patch(path, lambda data: data.rindex(b"PK\1\2"), "4s", b"PK\0\0")
    with pytest.raises(ModelFolderError, match=r"cannot be read as a zip archive \(BadZipFile"):
        read_zip(path)


def test_too_many_members(path):
    write_zip(path, {str(n): b"" for n in range(4)})
    with pytest.raises(ModelFolderError, match="holds 4 files, but a model has at most 3"):
        read_zip(path)
    patch(path, lambda data: len(data) - 14, "<2H", 2, 2)  # the number that the last record claims
    with pytest.raises(ModelFolderError, match="holds 4 files, but a model has at most 3"):
        read_zip(path)


def test_long_directory(path):
    member = zipfile.ZipInfo("a")
    member.comment = bytes(30_000)
    write_zip(path, {member: b"1"})
    with pytest.raises(ModelFolderError, match="has a directory of 30047 bytes, expected at most 1536"):
        read_zip(path)


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "..\\a", "a\\b"])
def test_names_that_lead_out(path, name):
    with pytest.raises(ModelFolderError, match="a name that leads out of the archive"):
        read_zip(write_zip(path, {name: b""}))


@pytest.mark.parametrize("allowed", [None, {"a"}])
def test_name_cut_short_by_a_null_byte(path, allowed):
    write_zip(path, {"a_b": b""})
    path.write_bytes(path.read_bytes().replace(b"a_b", b"a\0b"))
    with pytest.raises(ModelFolderError, match=r"holds 'a\\x00b', (a name that leads out|expected only a)"):
        read_zip(path, allowed=allowed)


@pytest.mark.parametrize("name", ["A", "a/", "folder/a", "./a"])
def test_names_that_are_not_allowed(path, name):
    with pytest.raises(ModelFolderError, match=rf"holds '{name}', expected only a, not in a folder"):
        read_zip(write_zip(path, {name: b""}), allowed={"a"})


def test_member_twice(path):
    write_zip(path, {"a": b"1"})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a", b"2")
    with pytest.raises(ModelFolderError, match="holds a member twice"):
        read_zip(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO])
def test_link_or_device(path, kind):
    member = zipfile.ZipInfo("a")
    member.external_attr = (kind | 0o644) << 16
    with pytest.raises(ModelFolderError, match=r"a of .* is a link, encrypted or compressed in an unusual way"):
        read_zip(write_zip(path, {member: b"target"}))


def test_folder_in_an_archive(path):
    member = zipfile.ZipInfo("assets/")
    member.external_attr = (stat.S_IFDIR | 0o755) << 16
    assert read_zip(write_zip(path, {member: b"", "a": b"1"}))["a"] == b"1"


@pytest.mark.parametrize("flag", [1, 0x40, 0x2000])
def test_encrypted_member(path, flag):
    write_zip(path, {"a": b"1"})
    patch(path, lambda data: data.index(b"PK\1\2") + 8, "<H", flag)
    with pytest.raises(ModelFolderError, match="encrypted"):
        read_zip(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression(path, compression):
    with pytest.raises(ModelFolderError, match="compressed in an unusual way"):
        read_zip(write_zip(path, {"a": b"1"}, compression))


def test_member_beyond_its_limit(path):
    with pytest.raises(ModelFolderError, match=r"a of .* is larger than 100 bytes"):
        read_zip(write_zip(path, {"a": bytes(101)}))


def test_small_member_that_unfolds_to_a_large_one(path):
    """Not more than the limit is unpacked, whatever the directory claims."""
    write_zip(path, {"a": bytes(2**22)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**13
    set_claimed_size(path, 100)
    with pytest.raises(ModelFolderError, match=r"cannot be read as a zip archive \(BadZipFile: Bad CRC-32"):
        read_zip(path)


def test_member_shorter_than_it_claims(path):
    write_zip(path, {"a": b"1"})
    set_claimed_size(path, 50)
    with pytest.raises(ModelFolderError, match=r"a of .* has 1 bytes, not 50 as its directory says"):
        read_zip(path)


def test_missing_member_and_missing_archive(path):
    with pytest.raises(ModelFolderError, match="has no file file, so the model is incomplete"):
        read_zip(path)
    write_zip(path, {"a": b"1"})
    message = "has no file b, so the model is incomplete"
    with open_zip(path, 3) as archive, pytest.raises(ModelFolderError, match=message):
        read_member(archive, "b", 100, path)


# JSON


def test_json():
    assert parse_json(b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', ANY_PATH) == {"a": [1, 2.5, None, True, "é"]}
    assert parse_json(b'{"a": {"b": 1}}', ANY_PATH, lambda entries: {**entries, "n": len(entries)}) == {
        "a": {"b": 1, "n": 1},
        "n": 1,
    }


NOT_JSON = {
    "nothing": b"",
    "half": b"{",
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "name twice": b'{"a": 1, "a": 1}',
    "nested": b"[" * 100_000,
    "digits": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("data", NOT_JSON.values(), ids=NOT_JSON)
def test_text_that_is_not_strict_json(data):
    with pytest.raises(ModelFolderError, match=r"some file is not JSON \(.*copy or download it again"):
        parse_json(data, ANY_PATH)


@pytest.mark.parametrize("data", [b"[]", b"3", b'"text"', b"null"])
def test_json_that_is_no_object(data):
    with pytest.raises(ModelFolderError, match="expected entries with names"):
        parse_json(data, ANY_PATH)


# HDF5


@pytest.fixture
def hdf5():
    """Function that returns the bytes of an HDF5 file that another function fills."""

    def write(fill):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file["group/a"] = VALUES
            fill(file)
        return buffer.getvalue()

    return write


VALUES = np.arange(6.0).reshape(2, 3)


def read_a(data, shape=(2, 3), dtype=None):
    with open_hdf5(data, ANY_PATH) as file:
        return read_array(hdf5_item(file, "group/a", ANY_PATH), shape, "a", ANY_PATH, dtype)


def test_hdf5_array(hdf5):
    data = hdf5(lambda file: None)
    assert_array_equal(read_a(data), VALUES.astype(np.float32), strict=True)
    assert_array_equal(read_a(data, dtype="<f8"), VALUES, strict=True)
    with open_hdf5(data, ANY_PATH) as file:
        assert list(hdf5_group(file, "group", ANY_PATH)) == ["a"]


def replace(file, *args, **options):
    del file["group/a"]
    file.create_dataset("group/a", *args, **options)


NOT_PLAIN = {
    "group": lambda file: [file.__delitem__("group/a"), file.create_group("group/a")],
    "integers": lambda file: replace(file, data=VALUES.astype(int)),
    "text": lambda file: replace(file, data="text"),
    "objects": lambda file: replace(file, data=["a"] * 6, dtype=h5py.string_dtype()),
    "stored elsewhere": lambda file: replace(file, (2, 3), "<f4", external=[("/etc/hostname", 0, 24)]),
    "compressed": lambda file: replace(file, data=VALUES, compression="gzip"),
    "never written": lambda file: replace(file, (2, 3), "<f4"),
    "virtual": lambda file: [
        file.__delitem__("group/a"),
        file.create_virtual_dataset("group/a", h5py.VirtualLayout((2, 3), "<f4")),
    ],
}


@pytest.mark.parametrize("fill", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_hdf5_arrays_that_are_not_plain(hdf5, fill):
    with pytest.raises(ModelFolderError, match="a of some file is no plain array of floating-point numbers"):
        read_a(hdf5(fill))


LINKS = {
    "soft": lambda file: [file.move("group/a", "x"), file.__setitem__("group/a", h5py.SoftLink("/x"))],
    "external": lambda file: [
        file.__delitem__("group"),
        file.__setitem__("group", h5py.ExternalLink("/etc/hostname", "/")),
    ],
    "missing": lambda file: file.__delitem__("group/a"),
}


@pytest.mark.parametrize("fill", LINKS.values(), ids=LINKS)
def test_hdf5_links_are_not_followed(hdf5, fill):
    with pytest.raises(ModelFolderError, match="/group/a of some file is missing, or a link to another place"):
        read_a(hdf5(fill))


@pytest.mark.parametrize("name", ["", "/group/a", "group//a", "group/a/b", ".."])
def test_hdf5_names_without_an_item(hdf5, name):
    data, message = hdf5(lambda file: None), "is missing, or a link"
    with open_hdf5(data, ANY_PATH) as file, pytest.raises(ModelFolderError, match=message):
        hdf5_item(file, name, ANY_PATH)


def test_hdf5_array_where_a_group_is_expected(hdf5):
    data, message = hdf5(lambda file: None), "/group/a of some file is an array, expected a group"
    with open_hdf5(data, ANY_PATH) as file, pytest.raises(ModelFolderError, match=message):
        hdf5_group(file, "group/a", ANY_PATH)


def test_hdf5_array_of_another_shape_or_type(hdf5):
    data = hdf5(lambda file: None)
    with pytest.raises(ModelFolderError, match=r"a of some file has shape \(2, 3\), expected \(3, 2\)"):
        read_a(data, (3, 2))
    with pytest.raises(ModelFolderError, match="a of some file has type float64, expected float32"):
        read_a(data, dtype="<f4")


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, None), (-np.inf, "<f8"), (1e300, None)])
def test_hdf5_array_that_is_not_finite(hdf5, value, dtype):
    data = hdf5(lambda file: file["group/a"].__setitem__((0, 0), value))
    with pytest.raises(ModelFolderError, match="a of some file holds NaN or infinity"):
        read_a(data, dtype=dtype)


def test_finite_float32_copies_no_float32():
    values = VALUES.astype(np.float32)
    assert finite_float32(values, "a", ANY_PATH) is values


@pytest.mark.parametrize(
    ("value", "expected"), [("text", "text"), (np.bytes_(b"text"), "text"), (3, None), ([1.0], None), (None, None)]
)
def test_hdf5_text_attribute(hdf5, value, expected):
    data = hdf5(lambda file: None if value is None else file.attrs.__setitem__("name", value))
    with open_hdf5(data, ANY_PATH) as file:
        assert text_attribute(file, "name") == expected


def test_no_hdf5():
    for data in (b"", b"\x80\x04cos\nsystem\n(S'echo'\ntR." + bytes(1000)):
        with pytest.raises(ModelFolderError, match=r"cannot be read as HDF5 \(OSError"):
            read_a(data)
