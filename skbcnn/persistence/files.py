"""The files of a saved model: which they are, read whole and never too large, and never replaced unasked."""

import hashlib
import os
import re

TEXT, ARRAYS, CARD, SUMS = "model.json", "weights.h5", "README.md", "SHA256SUMS"
MAX_BYTES = {TEXT: 2**24, ARRAYS: 2**29, CARD: 2**24, SUMS: 2**12}  # nothing larger is read
_CHECKED = (TEXT, ARRAYS)  # whoever passes a model on may edit the card
AGAIN, OTHER = "Copy or download it again.", "Load another model."


class ModelFolderError(ValueError):
    """A folder or file that holds no model, or one that is damaged, or of another format."""


def read_folder(folder):
    """What a model is made from, by name: the text, the arrays, and their checksums if they are there."""
    names = [*_CHECKED, SUMS] if os.path.lexists(folder / SUMS) else _CHECKED
    return {name: read_file(folder / name) for name in names}


def read_file(path, limit=None):
    """The bytes of a file, if it is one and not too large."""
    limit = limit or MAX_BYTES[path.name]
    try:
        if not path.is_file():
            raise ModelFolderError(
                f"{path.parent} has no file {path.name}, so it holds no whole model. Give a folder that save_folder "
                f"wrote, with both {TEXT} and {ARRAYS}."
            )
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read ({error.strerror}). {AGAIN}") from error
    if len(data) > limit:
        raise ModelFolderError(f"{path} is larger than {limit} bytes, which no model is. {OTHER}")
    return data


def sums_of(files):
    """Checksums of files as ``sha256sum`` writes them."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()


def check_sums(files, path):
    """Refuse files that are not as their checksums have them, if they came with any."""
    if SUMS not in files:
        return  # as it was in early folders
    lines = files[SUMS].decode("ascii", "replace").splitlines()
    found = [re.fullmatch(r"([0-9a-f]{64}) [ *](\S+)", line) for line in lines]
    known = {match[2]: match[1] for match in found if match}
    if not all(found) or len(known) != len(lines) or not set(_CHECKED) <= set(known) <= {*_CHECKED, CARD}:
        raise ModelFolderError(f"{path / SUMS} is not what sha256sum writes of {TEXT}, {ARRAYS} and {CARD}. {AGAIN}")
    for name in _CHECKED:
        check_sum(files[name], known[name], path / name, SUMS)


def check_sum(data, expected, path, where):
    """Refuse bytes of another checksum."""
    if hashlib.sha256(data).hexdigest() != expected:
        raise ModelFolderError(
            f"{path} does not match its checksum in {where}: it is damaged, cut short, edited, or belongs to another "
            f"model. {AGAIN}"
        )


def check_sizes(files, path):
    """Refuse to write what would not be read."""
    for name, data in files.items():
        if len(data) > MAX_BYTES[name]:
            raise ValueError(
                f"{path / name} would have {len(data)} bytes, and no more than {MAX_BYTES[name]} are read. Make the "
                "network smaller, or what stands beside it shorter; skops and joblib save any size."
            )


def check_replaceable(path):
    """Refuse to replace a folder or file that is more than a model, or none."""
    from skbcnn.persistence.zipped import zip_names

    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
    elif path.is_file():
        try:
            names = zip_names(path)
        except ModelFolderError as error:
            raise FileExistsError(
                f"{path} is no saved model: {error} Choose another name, or remove the file yourself."
            ) from error
    else:
        return
    others = names - set(MAX_BYTES)
    if others or (names and TEXT not in names):
        raise FileExistsError(
            f"{path} holds {', '.join(sorted(others or names)[:3])}, which belong to no saved model and would be "
            "deleted with it. Choose another name, or remove the folder yourself."
        )
