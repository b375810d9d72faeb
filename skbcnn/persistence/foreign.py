"""What the readers of other software's models share.

Such a model is put into the words and arrays of our own folders, and from there on made as one of ours: it passes the
same checks, and lacks nothing that a fitted model has. Files are read into memory, never further than a limit; of HDF5
files only plain arrays are taken that lie in them, of ZIP archives only members that are asked for.
"""

import io
import json
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import NamedTuple

import h5py
import numpy as np

from skbcnn.persistence.arrays import is_plain
from skbcnn.persistence.documents import model_of, network_to_plain
from skbcnn.persistence.files import ModelFolderError, read_file
from skbcnn.persistence.parameters import described
from skbcnn.persistence.text import plain
from skbcnn.survey import APOGEE_LABELS, apogee_windows

MAX_TEXT, MAX_WEIGHTS = 2**22, 2**29  # bytes: ten times what such files are
STAR = ("teff", "logg", "Fe")  # read from the full spectrum, and told to all elements in this order
ELEMENTS = tuple(name for name in APOGEE_LABELS if name not in STAR)
_NEVER_FITTED = {"noise_level": None, "interrupted": False, "error_model": None, "n_interval_scores": 0, "seed": 0}
_DIRECTORY_ENTRY, _MOST_MEMBERS = b"PK\1\2", 2**12
_ENCRYPTED = 0x2041  # bits of the flags: in one of three ways
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may need any amount of memory
_NO_ZIP = (EOFError, LookupError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError, struct.error)
_NO_ZIP += (zipfile.BadZipFile, zlib.error)
_DAMAGED = "It was damaged or changed: copy or download it again."


class Found(NamedTuple):
    """What was read of a foreign model.

    Attributes
    ----------
    model : CensoredBCNNRegressor
        Unfitted, with the parameters that the foreign ones correspond to.
    n_pixels : int
        Of a spectrum.
    names : tuple of str
        Labels, in the order of the outputs.
    spectra, labels : tuple of (mode, mean, scale)
        Of the normalisers; mean and scale one number, or one for each pixel or label.
    history : dict of str to list of float
        As `history_`.
    inv_tau : float
        Inverse model precision.
    preprocessing, provenance : dict
        As the attributes of the fitted model.
    """

    model: object
    n_pixels: int
    names: tuple[str, ...]
    spectra: tuple
    labels: tuple
    history: dict
    inv_tau: float
    preprocessing: dict
    provenance: dict


def made_of(found, weights_of):
    """The fitted regressor; `weights_of` makes arrays by our names of a spec, in which the context is as in `STAR`."""
    model = found.model
    model._validate_params()
    model.n_features_in_, model.target_names_ = found.n_pixels, found.names
    spec = model._network_spec()
    weights = weights_of(spec)
    document = described(model) | network_to_plain(spec, found.names) | _NEVER_FITTED
    document |= {
        "single_label": False,
        "spectra_mode": found.spectra[0],
        "label_mode": found.labels[0],
        "history": found.history,
        "n_iter": max(map(len, found.history.values()), default=0),
        "inv_tau": found.inv_tau,
        "preprocessing": plain(found.preprocessing, "preprocessing"),
        "provenance": plain(found.provenance, "provenance"),
    }
    arrays = {
        **_with_context_in_order(weights, spec, found.names),
        **_statistics("spectra_normalizer", *found.spectra[1:], spec.n_pixels),
        **_statistics("label_normalizer", *found.labels[1:], spec.n_labels),
    }
    fitted = model_of(type(model), document, arrays)
    fitted.preprocessing_, fitted.provenance_ = document["preprocessing"], document["provenance"]
    return fitted


def _with_context_in_order(weights, spec, names):
    """Weights with what elements are told of the star in the order of the labels, as our network has it."""
    told = [STAR.index(name) for name in names if name in STAR]
    for j, window in enumerate(spec.windows):
        if window is None:
            continue
        n_before = spec.widths(j)[1] + spec.n_free
        order = [*range(n_before), *(n_before + place for place in told)]
        for head in ("mean", "logvar"):
            weights[f"label{j}.{head}.kernel"] = weights[f"label{j}.{head}.kernel"][order]
    return weights


def _statistics(normalizer, mean, scale, n_columns):
    """Mean and scale of every column, of which there may be one for all."""
    values = {"mean": mean, "scale": scale}
    if any(np.shape(value) not in ((), (1,), (n_columns,)) for value in values.values()):
        raise ValueError(f"mean and std of shapes {np.shape(mean)} and {np.shape(scale)} for {n_columns} columns")
    values = {part: np.broadcast_to(np.asarray(value, float), n_columns).copy() for part, value in values.items()}
    if not (np.isfinite(values["mean"]).all() and np.isfinite(values["scale"]).all() and (values["scale"] > 0).all()):
        raise ValueError("a mean or std that is NaN or infinite, or a std that is not positive")
    return {f"{normalizer}.{part}": value for part, value in values.items()}


def is_dr14(windows):
    """Whether windows are those of DR14, for the elements that these networks know."""
    table = apogee_windows()
    return windows.n_pixels == table.n_pixels and all(np.array_equal(windows[name], table[name]) for name in ELEMENTS)


@contextmanager
def understood(path, author):
    """Turn whatever a wrong entry leads to into a sentence."""
    try:
        yield
    except ModelFolderError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFolderError(
            f"{path} is not as {author} writes it ({type(error).__name__}: {error}). {_DAMAGED}"
        ) from error


def read_text(path):
    """The bytes of a small file."""
    return read_file(path, MAX_TEXT)


def parsed_json(data, path):
    """A JSON object in which no name comes twice, no number is NaN, and nothing is nested beyond Python's limit."""
    if len(data) > MAX_TEXT:
        raise ModelFolderError(f"{path} has {len(data)} bytes of JSON, expected at most {MAX_TEXT}. {_DAMAGED}")
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is not JSON ({error}). {_DAMAGED}") from error
    if not isinstance(document, dict):
        raise ModelFolderError(f"{path} holds a {type(document).__name__}, expected entries with names. {_DAMAGED}")
    return document


def _unique(pairs):
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name comes twice")
    return entries


def _refuse(constant):
    raise ValueError(f"it holds {constant}")


@contextmanager
def opened_hdf5(data, path):
    """An HDF5 file in memory."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            yield file
    except ModelFolderError:
        raise
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFolderError(f"{path} cannot be read as HDF5 ({error}). {_DAMAGED}") from error


def member(group, name, path):
    """What a group holds under a name, or under names with / between them; links are not followed."""
    found = group
    for part in name.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) and part else None
        if not isinstance(link, h5py.HardLink):
            raise ModelFolderError(
                f"{group.name.rstrip('/')}/{name} of {path} is missing, or a link that leads elsewhere. {_DAMAGED}"
            )
        found = found[part]
    return found


def subgroup(group, name, path):
    """A group within a group."""
    found = member(group, name, path)
    if not isinstance(found, h5py.Group):
        raise ModelFolderError(f"{found.name} of {path} is an array, expected a group of arrays. {_DAMAGED}")
    return found


def text_attribute(item, name):
    """An attribute that is text; None if it is absent or something else."""
    value = item.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode()
    return value if isinstance(value, str) else None


def plain_array(dataset, shape, name, path):
    """The values of a dataset that lies in the file, in one piece, and is as large as it must be."""
    if not isinstance(dataset, h5py.Dataset) or not is_plain(dataset):
        raise ModelFolderError(
            f"{name} of {path} is no plain array of floats: it is compressed, stored elsewhere or of another kind. "
            f"{_DAMAGED}"
        )
    check_shape(dataset.shape, shape, name, path)
    return finite(dataset[...], name, path)


def check_shape(found, expected, name, path):
    """Refuse an array of another network."""
    if tuple(found) != tuple(expected):
        raise ModelFolderError(
            f"{name} of {path} has shape {tuple(found)}, expected {tuple(expected)}. The weights belong to another "
            "network: pass the files of one model."
        )


def finite(values, name, path):
    """Weights in single precision, refused if nothing can be predicted with them."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found as such
        values = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ModelFolderError(f"{name} of {path} holds NaN or infinity. {_DAMAGED}")
    return values


@contextmanager
def opened_zip(data, path):
    """A ZIP archive in memory, of few members with ordinary names, none twice; nothing is extracted."""
    try:
        if data.count(_DIRECTORY_ENTRY) > _MOST_MEMBERS:  # before the directory is read: each entry takes memory
            raise ModelFolderError(f"{path} holds more than {_MOST_MEMBERS} members, expected a model. {_DAMAGED}")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), path)
            yield archive
    except ModelFolderError:
        raise
    except _NO_ZIP as error:
        raise ModelFolderError(f"{path} cannot be read as a ZIP archive ({error}). {_DAMAGED}") from error


def _check_members(members, path):
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise ModelFolderError(f"{path} holds a member twice, so it is not clear which is meant. {_DAMAGED}")
    for name, member in zip(names, members, strict=True):
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise ModelFolderError(f"{path} holds {name[:80]!r}, a name that leads out of the archive. {_DAMAGED}")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _PACKED:
            raise ModelFolderError(f"{name[:80]} of {path} is encrypted or packed in an unusual way. {_DAMAGED}")


def read_member(archive, name, limit, path):
    """The bytes of a member, none of which is unpacked beyond a limit."""
    if name not in archive.NameToInfo:
        raise ModelFolderError(f"{path} has no member {name}, so it holds no whole model. {_DAMAGED}")
    data = b""
    if archive.getinfo(name).file_size <= limit:
        with archive.open(name) as member:
            data = member.read(limit + 1)  # not what the directory claims
    if archive.getinfo(name).file_size > limit or len(data) > limit:
        raise ModelFolderError(f"{name} of {path} is larger than {limit} bytes, which no model is. {_DAMAGED}")
    return data
