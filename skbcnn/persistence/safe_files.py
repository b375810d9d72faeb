"""Reading of untrusted files: the only module that opens what others may have made.

It reads whole files, members of zip archives, JSON, and arrays in HDF5. The reader of our own format and those of
other software share it and pass their limits as arguments. Nothing larger than a limit is read, no link is followed,
nothing is written to disk, run or unpickled. Whatever is wrong with a file raises a `ModelFolderError`.
"""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

DAMAGED = "It is damaged or was changed: copy or download it again."

# Exceptions that wrong contents cause in code that expects right ones
_WRONG_ENTRY = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_NOT_HDF5 = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
_NOT_ZIP = (
    *(EOFError, LookupError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)

_ENCRYPTED = 0x2041  # bits of the flags of a zip member, for the three ways of encryption
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may need any amount of memory
_DIRECTORY_BYTES = 512  # most bytes of the directory of a zip file for each member
_END, _END_SIGNATURE = struct.Struct("<4s4H2LH"), b"PK\5\6"  # last record of a zip file
_LOCATOR, _LOCATOR_SIGNATURE = struct.Struct("<4sLQL"), b"PK\6\7"  # record before it, if there is the next one
_END64, _END64_SIGNATURE = struct.Struct("<4sQ2H2L4Q"), b"PK\6\6"  # last record for files of more than 4 GB


class ModelFolderError(ValueError):
    """A folder or file that holds no model, or a model that is damaged or has an unknown format."""


# Errors


@contextmanager
def wrap_read_errors(path: Path, writer: str) -> Iterator[None]:
    """Turn errors that wrong entries cause into a `ModelFolderError`.

    Parameters
    ----------
    path : pathlib.Path
        File or folder that the message names.
    writer : str
        Name of the software, or of its function, that writes such files.
    """
    with _wrapped(path, f"is not as {writer} writes it", _WRONG_ENTRY):
        yield


@contextmanager
def _wrapped(path: Path, problem: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except ModelFolderError:
        raise
    except errors as error:
        raise ModelFolderError(f"{path} {problem} ({type(error).__name__}: {error}). {DAMAGED}") from error


# Whole files


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the contents of a file.

    Parameters
    ----------
    path : pathlib.Path
        File to read.
    max_bytes : int
        Size above which the file is refused.

    Raises
    ------
    ModelFolderError
        If it is missing, no regular file, too large or not readable.
    """
    _check_is_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read ({error.strerror}). Copy or download it again.") from error
    if len(data) > max_bytes:
        raise too_large(path, max_bytes)
    return data


def too_large(what: str | Path, max_bytes: int) -> ModelFolderError:
    """Return the error for a file that is larger than any model."""
    return ModelFolderError(f"{what} is larger than {max_bytes} bytes, so it belongs to no model. Load another model.")


def _check_is_file(path: Path) -> None:
    try:
        is_file = path.is_file()
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read ({error.strerror}). Copy or download it again.") from error
    if not is_file:
        raise ModelFolderError(
            f"{path.parent} has no file {path.name}, so the model is incomplete. Copy or download the whole model, or "
            "give the path of another."
        )


# Zip archives


@contextmanager
def open_zip(path: Path, max_members: int, allowed: Collection[str] | None = None) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose directory has been checked. Nothing is unpacked to disk.

    Parameters
    ----------
    path : pathlib.Path
        Archive.
    max_members : int
        Largest number of members.
    allowed : collection of str, default=None
        Names that members may have. None: any name that does not lead out of the archive.

    Yields
    ------
    archive : zipfile.ZipFile
        Archive to pass to `read_member`.

    Raises
    ------
    ModelFolderError
        If it is no zip archive, has too many members or a too long directory, or a member has a forbidden name, occurs
        twice, is encrypted or a link, or is compressed by another method than deflate.
    """
    _check_is_file(path)
    with _wrapped(path, "cannot be read as a zip archive", _NOT_ZIP), path.open("rb") as file:
        _check_directory_size(file, max_members, path)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > max_members:
                raise _too_many_members(path, len(members), max_members)
            for member in members:
                _check_member(member, allowed, path)
            if len(members) != len(archive.NameToInfo):
                raise ModelFolderError(f"{path} holds a member twice, so its contents are ambiguous. {DAMAGED}")
            yield archive


def _check_directory_size(file: BinaryIO, max_members: int, path: Path) -> None:
    """Refuse a long directory before it is read, because each of its entries takes memory."""
    size = file.seek(0, os.SEEK_END)
    n_tail = min(size, _END64.size + _LOCATOR.size + _END.size)
    file.seek(size - n_tail)
    tail = file.read(n_tail).rjust(_END64.size + _LOCATOR.size + _END.size, b"\0")
    end64, locator, end = tail[: _END64.size], tail[_END64.size : -_END.size], tail[-_END.size :]
    signature, _, _, _, n_members, n_bytes, _, n_comment = _END.unpack(end)
    if signature != _END_SIGNATURE or n_comment:
        raise ModelFolderError(f"{path} does not end as a zip archive: it is cut short, or has a comment. {DAMAGED}")
    if locator.startswith(_LOCATOR_SIGNATURE):
        _, _, position, _ = _LOCATOR.unpack(locator)
        signature, _, _, _, _, _, _, n_members, n_bytes, _ = _END64.unpack(end64)
        if signature != _END64_SIGNATURE or position != size - n_tail:
            raise ModelFolderError(f"{path} does not end as a zip archive of more than 4 GB. {DAMAGED}")
    if n_members > max_members:
        raise _too_many_members(path, n_members, max_members)
    if n_bytes > _DIRECTORY_BYTES * max_members:
        raise ModelFolderError(
            f"{path} has a directory of {n_bytes} bytes, expected at most {_DIRECTORY_BYTES * max_members} in a model. "
            "Load another model."
        )


def _too_many_members(path: Path, n_members: int, max_members: int) -> ModelFolderError:
    return ModelFolderError(
        f"{path} holds {n_members} files, but a model has at most {max_members}. Load another model."
    )


def _check_member(member: zipfile.ZipInfo, allowed: Collection[str] | None, path: Path) -> None:
    name = member.orig_filename  # `filename` ends at the first null byte
    if allowed is not None and name not in allowed:
        raise ModelFolderError(
            f"{path} holds {name[:80]!r}, expected only {', '.join(allowed)}, not in a folder. Load another model."
        )
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise ModelFolderError(f"{path} holds {name[:80]!r}, a name that leads out of the archive. {DAMAGED}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    is_file_or_folder = kind in (0, stat.S_IFREG) or (kind == stat.S_IFDIR and name.endswith("/"))
    if not is_file_or_folder or member.flag_bits & _ENCRYPTED or member.compress_type not in _COMPRESSIONS:
        raise ModelFolderError(
            f"{name[:80]} of {path} is a link, encrypted or compressed in an unusual way, expected a file that is "
            f"stored or deflated. {DAMAGED}"
        )


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int, path: Path) -> bytes:
    """Return the contents of a member of a zip archive.

    Parameters
    ----------
    archive : zipfile.ZipFile
        Archive opened by `open_zip`.
    name : str
        Name of the member.
    max_bytes : int
        Size above which the member is refused. Not more is unpacked, whatever size the directory claims.
    path : pathlib.Path
        Path of the archive, for the messages.

    Raises
    ------
    ModelFolderError
        If the member is missing, too large, or its size is not that in the directory.
    """
    if name not in archive.NameToInfo:
        raise ModelFolderError(
            f"{path} has no file {name}, so the model is incomplete. Copy or download the whole model, or give the "
            "path of another."
        )
    claimed, data = archive.getinfo(name).file_size, b""
    if claimed <= max_bytes:
        with archive.open(name) as member:
            data = member.read(max_bytes + 1)
    if max(claimed, len(data)) > max_bytes:
        raise too_large(f"{name} of {path}", max_bytes)
    if len(data) != claimed:
        raise ModelFolderError(
            f"{name} of {path} has {len(data)} bytes, not {claimed} as its directory says. {DAMAGED}"
        )
    return data


# JSON


def parse_json(
    data: bytes, path: Path, convert_object: Callable[[dict[str, Any]], Any] | None = None
) -> dict[str, Any]:
    """Parse a JSON object strictly: UTF-8, no name twice, no NaN or infinity, no nesting beyond Python's limit.

    Parameters
    ----------
    data : bytes
        Text, of bounded size.
    path : pathlib.Path
        File that the messages name.
    convert_object : callable, default=None
        Function that is called with each object, as a dict, and returns what replaces it.

    Raises
    ------
    ModelFolderError
        If it is no JSON object, or breaks one of these rules.
    """

    def from_pairs(pairs: list[tuple[str, Any]]) -> Any:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ValueError("a name occurs twice in an object")
        return entries if convert_object is None else convert_object(entries)

    with _wrapped(path, "is not JSON", (ValueError, RecursionError)):
        document = json.loads(data.decode(), object_pairs_hook=from_pairs, parse_constant=_refuse_constant)
    if not isinstance(document, dict):
        raise ModelFolderError(f"{path} holds a {type(document).__name__}, expected entries with names. {DAMAGED}")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}")


# HDF5


@contextmanager
def open_hdf5(data: bytes, path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file that has been read into memory.

    Parameters
    ----------
    data : bytes
        Contents of the file.
    path : pathlib.Path
        File that the messages name.

    Yields
    ------
    file : h5py.File
        File whose items are to be read by `hdf5_item` and `read_array` only.
    """
    with _wrapped(path, "cannot be read as HDF5", _NOT_HDF5), h5py.File(io.BytesIO(data), "r") as file:
        yield file


def hdf5_item(group: h5py.Group, name: str, path: Path) -> h5py.Group | h5py.Dataset:
    """Return the item of a group. Links to other places and files are refused.

    Parameters
    ----------
    group : h5py.Group
        Group to look into.
    name : str
        Name of the item, or names of nested groups and an item, separated by slashes.
    path : pathlib.Path
        File that the messages name.
    """
    item = group
    for part in name.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and part else None
        if not isinstance(link, h5py.HardLink):
            raise ModelFolderError(
                f"{group.name.rstrip('/')}/{name} of {path} is missing, or a link to another place. {DAMAGED}"
            )
        item = item[part]
    return item


def hdf5_group(group: h5py.Group, name: str, path: Path) -> h5py.Group:
    """Return a group within a group; see `hdf5_item`."""
    item = hdf5_item(group, name, path)
    if not isinstance(item, h5py.Group):
        raise ModelFolderError(f"{item.name} of {path} is an array, expected a group of arrays. {DAMAGED}")
    return item


def text_attribute(item: h5py.Group | h5py.Dataset, name: str) -> str | None:
    """Return an attribute of an HDF5 item if it is text, else None."""
    value = item.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode()
    return value if isinstance(value, str) else None


def read_array(
    dataset: h5py.Group | h5py.Dataset, shape: Sequence[int], name: str, path: Path, dtype: str | None = None
) -> np.ndarray:
    """Return the values of an HDF5 dataset of finite floating-point numbers.

    Parameters
    ----------
    dataset : h5py.Dataset
        Item to read.
    shape : sequence of int
        Expected shape. It is checked before memory is allocated.
    name : str
        Name of the array in the messages.
    path : pathlib.Path
        File that the messages name.
    dtype : str, default=None
        Expected type. None: any floating-point type, converted to float32.

    Returns
    -------
    values : ndarray
        Values in native byte order.

    Raises
    ------
    ModelFolderError
        If the item is not stored in the file in one piece and uncompressed, has another shape or type, or holds NaN or
        infinity.
    """
    if not isinstance(dataset, h5py.Dataset) or not _is_plain(dataset):
        raise ModelFolderError(
            f"{name} of {path} is no plain array of floating-point numbers: it is compressed, stored elsewhere, or of "
            f"another kind. {DAMAGED}"
        )
    check_shape(dataset.shape, shape, name, path)
    if dtype is None:
        return finite_float32(dataset[...], name, path)
    if dataset.dtype != dtype:
        raise ModelFolderError(f"{name} of {path} has type {dataset.dtype}, expected {np.dtype(dtype)}. {DAMAGED}")
    values = dataset[...].astype(dataset.dtype.newbyteorder("="))
    _check_finite(values, name, path)
    return values


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Return whether floating-point values are stored in the file itself, in one piece and in full size."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_external_count() == 0
        and dataset.dtype.kind == "f"
        and dataset.id.get_storage_size() == dataset.nbytes
    )


# Arrays of any origin


def check_shape(found: Sequence[int], expected: Sequence[int], name: str, path: Path) -> None:
    """Raise a `ModelFolderError` if an array has another shape than the network needs."""
    if tuple(found) != tuple(expected):
        raise ModelFolderError(
            f"{name} of {path} has shape {tuple(found)}, expected {tuple(expected)}. The weights belong to another "
            "network: copy or download the whole model again."
        )


def finite_float32(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Return values in single precision, or raise a `ModelFolderError` if one is NaN, infinite or too large."""
    with np.errstate(over="ignore"):  # too large values become infinite
        values = np.ascontiguousarray(values, dtype=np.float32)
    _check_finite(values, name, path)
    return values


def _check_finite(values: np.ndarray, name: str, path: Path) -> None:
    if not np.isfinite(values).all():
        raise ModelFolderError(f"{name} of {path} holds NaN or infinity, so it cannot predict. {DAMAGED}")
