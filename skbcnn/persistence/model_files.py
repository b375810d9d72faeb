"""Files of a saved model: names, sizes, checksums, and the zip file that may hold them."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from skbcnn.persistence.safe_files import DAMAGED, ModelFolderError, open_zip, read_file, read_member

DOCUMENT, WEIGHTS, CARD, CHECKSUMS = "model.json", "weights.h5", "README.md", "SHA256SUMS"
MAX_BYTES = {DOCUMENT: 2**24, WEIGHTS: 2**29, CARD: 2**24, CHECKSUMS: 2**12}  # largest size of each file
_REQUIRED = (DOCUMENT, WEIGHTS)  # the card may be edited or removed
_EPOCH = (1980, 1, 1, 0, 0, 0)  # earliest time that a zip file can hold
_UNIX = 3  # operating system in zip files, the same wherever they are made


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files of a model folder by name: document, weights, and checksums if there are any."""
    names = [*_REQUIRED, CHECKSUMS] if os.path.lexists(folder / CHECKSUMS) else _REQUIRED
    return {name: read_file(folder / name, MAX_BYTES[name]) for name in names}


def read_zip(path: Path) -> dict[str, bytes]:
    """Return the contents of the files in a zip file, as `read_folder` does for a folder."""
    with open_zip(path, len(MAX_BYTES), MAX_BYTES) as archive:
        names = [*_REQUIRED, CHECKSUMS] if CHECKSUMS in archive.namelist() else _REQUIRED
        return {name: read_member(archive, name, MAX_BYTES[name], path) for name in names}


def encode_zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip file, the same bytes for the same files. Nothing is compressed: weights hardly shrink."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = _UNIX
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, data)
    return buffer.getvalue()


def checksums_of(files: Mapping[str, bytes]) -> bytes:
    """Return the checksums of files as ``sha256sum`` writes them."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()


def check_checksums(files: Mapping[str, bytes], path: Path) -> None:
    """Raise a `ModelFolderError` if a file differs from its checksum. Early folders have no checksums."""
    if CHECKSUMS not in files:
        return
    lines = files[CHECKSUMS].decode("ascii", "replace").splitlines()
    matches = [re.fullmatch(r"([0-9a-f]{64}) [ *](\S+)", line) for line in lines]
    expected = {match[2]: match[1] for match in matches if match}
    if not all(matches) or len(expected) != len(lines) or not set(_REQUIRED) <= set(expected) <= {*_REQUIRED, CARD}:
        raise ModelFolderError(
            f"{path / CHECKSUMS} is not the output of sha256sum for {DOCUMENT}, {WEIGHTS} and {CARD}. {DAMAGED}"
        )
    for name in _REQUIRED:
        check_checksum(files[name], expected[name], path / name, CHECKSUMS)


def check_checksum(data: bytes, expected: str, path: Path, source: str) -> None:
    """Raise a `ModelFolderError` if data have another checksum than the file `source` says."""
    if hashlib.sha256(data).hexdigest() != expected:
        raise ModelFolderError(
            f"{path} does not match its checksum in {source}: it is damaged, cut short, edited, or belongs to another "
            "model. Copy or download it again."
        )


def check_sizes(files: Mapping[str, bytes], path: Path) -> None:
    """Raise a ValueError before files are written that are too large to be read."""
    for name, data in files.items():
        if len(data) > MAX_BYTES[name]:
            raise ValueError(
                f"{path / name} would have {len(data)} bytes, but at most {MAX_BYTES[name]} are read. Use a smaller "
                "network or shorter provenance; skops and joblib save any size."
            )


def check_replaceable(path: Path) -> None:
    """Raise a FileExistsError if a path is taken by anything but a saved model.

    Parameters
    ----------
    path : pathlib.Path
        Folder or file that is about to be replaced. It may be absent.
    """
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
    elif path.is_file():
        names = _zip_names(path)
    else:
        return
    others = names - set(MAX_BYTES)
    if others or (names and DOCUMENT not in names):
        raise FileExistsError(
            f"{path} holds {', '.join(sorted(others or names)[:3])}, which belong to no saved model and would be "
            "deleted with it. Choose another name, or remove the folder yourself."
        )


def _zip_names(path: Path) -> set[str]:
    try:
        with open_zip(path, len(MAX_BYTES), MAX_BYTES) as archive:
            return set(archive.namelist())
    except ModelFolderError as error:
        raise FileExistsError(
            f"{path} is no saved model: {error} Choose another name, or remove the file yourself."
        ) from error
