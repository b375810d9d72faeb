"""The files of a saved model in one zip file: equal models make equal files, and nothing is unpacked to disk."""

import io
import os
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager

from skbcnn.persistence.files import AGAIN, ARRAYS, MAX_BYTES, OTHER, SUMS, TEXT, ModelFolderError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can tell
_UNIX = 3  # where the file is said to be made, wherever it is
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may need any amount of memory
_ENCRYPTED = 0x2041  # bits of the flags: in one of three ways
_END, _END64_SIZE = struct.Struct("<4s4H2LH"), 20  # the last record, and the one before it in files of over 4 GB
_MAX_DIRECTORY = 2**16  # bytes
_BROKEN = (EOFError, LookupError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError, struct.error)
_BROKEN += (zipfile.BadZipFile, zlib.error)


def encode_zip(files):
    """The bytes of a zip file of these, as they are: arrays hardly shrink, and stored ones can be read by anything."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = _UNIX
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, data)
    return buffer.getvalue()


def read_zip(path):
    """What a model is made from, by name: as `read_folder` has it."""
    with _opened(path) as archive:
        present = archive.namelist()
        if lacking := [name for name in (TEXT, ARRAYS) if name not in present]:
            raise ModelFolderError(
                f"{path} has no file {lacking[0]}, so it holds no whole model. Give a zip file that save_folder wrote, "
                f"with both {TEXT} and {ARRAYS}."
            )
        return {name: _read_member(archive, name, path) for name in (TEXT, ARRAYS, SUMS) if name in present}


def zip_names(path):
    """Names of the files in a zip file that a model may have been saved in."""
    with _opened(path) as archive:
        return set(archive.namelist())


@contextmanager
def _opened(path):
    """A zip file whose members are known to be a model's; whatever is wrong with it is told in a sentence."""
    try:
        with path.open("rb") as file:
            _check_end(file, path)
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    _check_member(member, path)
                if len(archive.namelist()) != len(archive.NameToInfo):
                    raise ModelFolderError(f"{path} holds a file twice, which save_folder never writes. {AGAIN}")
                yield archive
    except ModelFolderError:
        raise
    except _BROKEN as error:
        raise ModelFolderError(f"{path} cannot be read as a zip file ({error}). {AGAIN}") from error


def _check_end(file, path):
    """Refuse a long directory before it is read: each of its entries takes memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size - _END64_SIZE))
    tail = file.read()
    end = _END.unpack(tail[-_END.size :].rjust(_END.size, b"\0"))
    signature, n_members, n_bytes = end[0], end[4], end[5]
    if signature != b"PK\5\6" or tail.startswith(b"PK\6\7"):
        raise ModelFolderError(
            f"{path} is no zip file as save_folder writes it: it does not end as one, is cut short, or has a comment. "
            f"{AGAIN}"
        )
    if n_members > len(MAX_BYTES) or n_bytes > _MAX_DIRECTORY:
        raise ModelFolderError(f"{path} holds {n_members} files, but a model has at most {len(MAX_BYTES)}. {OTHER}")


def _check_member(member, path):
    """Refuse what is not a model's file, or cannot be one."""
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    if name not in MAX_BYTES:
        raise ModelFolderError(
            f"{path} holds {name[:80]!r}, expected {', '.join(MAX_BYTES)} and nothing else, not in a folder. {OTHER}"
        )
    if kind not in (0, stat.S_IFREG) or member.flag_bits & _ENCRYPTED or member.compress_type not in _PACKED:
        raise ModelFolderError(
            f"{name} of {path} is a link, encrypted, or packed in an unusual way, expected a file that is stored or "
            f"deflated. {AGAIN}"
        )
    if member.file_size > MAX_BYTES[name]:
        raise _too_large(name, path)


def _read_member(archive, name, path):
    with archive.open(name) as member:
        data = member.read(MAX_BYTES[name] + 1)  # not what the directory claims
    if len(data) > MAX_BYTES[name]:
        raise _too_large(name, path)
    if len(data) != (claimed := archive.getinfo(name).file_size):
        raise ModelFolderError(f"{name} of {path} has {len(data)} bytes, not {claimed} as its directory says. {AGAIN}")
    return data


def _too_large(name, path):
    return ModelFolderError(f"{name} of {path} is larger than {MAX_BYTES[name]} bytes, which no model is. {OTHER}")
