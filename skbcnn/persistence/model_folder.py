"""Saving fitted models as folders or zip files, and loading them and the models of other software."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

from skbcnn import __version__
from skbcnn._atomic_writes import atomic_path
from skbcnn._file_kinds import kind_of_file
from skbcnn._paths import as_path
from skbcnn.persistence.foreign.astronn import PARAMETERS, from_astronn, is_astronn
from skbcnn.persistence.foreign.sdssv import SUFFIXES, from_sdssv
from skbcnn.persistence.json_values import decode_float, to_json
from skbcnn.persistence.model_card import card_of
from skbcnn.persistence.model_files import (
    CARD,
    CHECKSUMS,
    DOCUMENT,
    WEIGHTS,
    check_checksum,
    check_checksums,
    check_replaceable,
    check_sizes,
    checksums_of,
    encode_zip,
    read_folder,
    read_zip,
)
from skbcnn.persistence.pipeline_document import PIPELINE, check_savable, regressor_of
from skbcnn.persistence.regressor_document import MODEL_ENTRIES
from skbcnn.persistence.safe_files import ModelFolderError, parse_json, wrap_read_errors
from skbcnn.persistence.savable_classes import REGRESSORS
from skbcnn.persistence.weights_file import decode_arrays, encode_arrays
from skbcnn.survey.bitmask import with_bit_numbers

FORMAT_VERSION = 2
_READABLE_VERSIONS = (1, 2)
_ZIP = ".zip"
_CHECKPOINT = "checkpoint.npz"  # of an unfinished training, where `skbcnn train` keeps it
_WRITER = "save_folder"
_MODELS = REGRESSORS | {"Pipeline": PIPELINE}
_PACKAGES = ("numpy", "scikit-learn", "tensorflow", "keras", "h5py")


def save_folder(
    model: Any,
    path: str | Path,
    *,
    preprocessing: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Save a fitted regressor, or a pipeline that ends in one, as a folder or zip file of text and arrays.

    Parameters
    ----------
    model : CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor or sklearn.pipeline.Pipeline
        Fitted model. A pipeline may have the steps `ChipGapRemover`, `ContinuumNormalizer`, `SpectraNormalizer`, None
        and ``"passthrough"`` before a regressor. Not saved are `callbacks`, the `memory` of a pipeline, and a
        `random_state` that is not a number.
    path : str or path-like
        Folder to make. A name that ends in ``.zip`` makes one file with the same contents.
    preprocessing : mapping, default=None
        Preparation of the training spectra: the parameters of the `ContinuumNormalizer`, and under ``"combination"``
        the combined spectrum that was read. It may hold text, numbers, lists and mappings. None: that of a model that
        was loaded, else none.
    provenance : mapping, default=None
        Origin of the model, such as ``{"training_data": "synthetic", "n_stars": 4000, "snr": 200}``, and the short
        name of a ``"license"``. The model card shows it. The entries are added to those of the model's `provenance_`,
        if it was loaded, and replace entries of the same name.
    overwrite : bool, default=False
        Whether an existing model of this name is replaced, together with its card.

    Returns
    -------
    path : pathlib.Path
        Folder or file that was written.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If the model or a step of the pipeline is of another class, or `preprocessing` or `provenance` holds anything
        but text, numbers, lists and mappings.
    ValueError
        If the weights are not finite, or the model is larger than what `load_folder` reads.
    FileExistsError
        If `path` exists and `overwrite` is False, or it holds files that belong to no model.
    OSError
        If it cannot be written. Nothing is then left under its name.

    See Also
    --------
    load_folder : Load such a folder or file.

    Notes
    -----
    A `random_state` that is not a number is saved as null. Predictions do not change, because they depend on `seed_`,
    which is saved. After loading, `windows` is an `ElementWindows`, and other sequences are lists, or tuples where the
    default is a tuple. ``docs/persistence.md`` describes the files: the model document, the weights, a card for people
    (``README.md``) and checksums (``SHA256SUMS``).

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor
    >>> from skbcnn.persistence import load_folder, save_folder
    >>> X = np.random.default_rng(0).normal(size=(20, 30))
    >>> model = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=1, random_state=0).fit(X, X[:, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = save_folder(model, f"{folder}/giants", provenance={"training_data": "random numbers"})
    ...     again = load_folder(saved)
    >>> bool((again.predict(X) == model.predict(X)).all()), again.provenance_
    (True, {'training_data': 'random numbers'})
    """
    if isinstance(model, str | PathLike) and not isinstance(path, str | PathLike):
        raise TypeError(
            f"save_folder(model, path) got {str(model)!r} as the model and a {type(path).__name__} as the path. Pass "
            "them the other way round."
        )
    path = as_path(path, "path")
    check_savable(model)
    files = _encode(model, preprocessing, provenance)
    check_sizes(files, path)
    _rebuild(files, path)  # raises if the model could not be loaded
    if overwrite:
        check_replaceable(path)
    with atomic_path(path, overwrite=overwrite) as temporary:
        if path.suffix.lower() == _ZIP:
            temporary.write_bytes(encode_zip(files))
        else:
            temporary.mkdir()
            for name, data in files.items():
                (temporary / name).write_bytes(data)
    return path


def load_folder(path: str | Path) -> Any:
    """Load a model that `save_folder` saved, or a published model of astroNN or SDSS-V.

    Nothing in the files is run, imported or unpickled. TensorFlow is not imported before the first prediction.

    Parameters
    ----------
    path : str or path-like
        Model folder or zip file, or a folder of astroNN's ApogeeBCNNCensored, or SDSS-V's checkpoint, which ends in
        ``.pt`` or ``.pth``.

    Returns
    -------
    model : CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor or sklearn.pipeline.Pipeline
        Fitted model. The regressor, which is the last step of a pipeline, has the attributes `preprocessing_` and
        `provenance_`: the arguments of `save_folder`, as dicts.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ModelFolderError
        If it does not hold a whole model of a known format; the message says why. It is a ValueError.
    TypeError, ValueError
        If `path` is no path, or empty.

    See Also
    --------
    save_folder : Save a model, with an example.
    skbcnn.persistence.from_astronn, skbcnn.persistence.from_sdssv : What is read of published models.
    """
    path = as_path(path, "path")
    if path.is_dir():
        _check_holds_model(path)
        return from_astronn(path) if is_astronn(path) else _rebuild(read_folder(path), path)
    if path.suffix.lower() in SUFFIXES:
        return from_sdssv(path)
    if path.is_file() and path.suffix.lower() == _ZIP:
        return _rebuild(read_zip(path), path)
    raise FileNotFoundError(_no_model(path))


def _check_holds_model(folder: Path) -> None:
    """Raise if a folder has no file of a model, and name the model folders in it."""
    if (folder / _CHECKPOINT).exists() and not _has_file_of_model(folder):
        raise ModelFolderError(
            f"{folder} holds the checkpoint of an unfinished training, which is no model yet. Repeat the training to "
            "finish it, and pass the model that it saves."
        )
    if holds_model(folder):
        return
    inner = sorted(str(entry) for entry in folder.iterdir() if entry.is_dir() and _is_model(entry))
    advice = f"Pass the model folder in it: {' or '.join(inner[:3])}." if inner else "Pass the path of a model folder."
    raise ModelFolderError(f"{folder} has no file {DOCUMENT}, so it is no model. {advice}")


def holds_model(folder: Path) -> bool:
    """Return whether a folder has a file of a model, or of an unfinished training.

    Parameters
    ----------
    folder : pathlib.Path
        Folder.
    """
    return _has_file_of_model(folder) or (folder / _CHECKPOINT).exists()


def _has_file_of_model(folder: Path) -> bool:
    return any((folder / name).exists() for name in (DOCUMENT, WEIGHTS, PARAMETERS))


def _is_model(folder: Path) -> bool:
    return is_astronn(folder) or ((folder / DOCUMENT).is_file() and (folder / WEIGHTS).is_file())


def _no_model(path: Path) -> str:
    """Return what is wrong with a path that is no folder and no zip file."""
    if path.is_file():
        if _is_model(path.parent):
            return f"{path} is a file of a model. Pass the folder it lies in, {path.parent}."
        return (
            f"{path} is {kind_of_file(path) or 'a file'}, expected the folder or {_ZIP} file of a model that "
            f"save_folder wrote, a folder of astroNN, or a checkpoint of SDSS-V ({', '.join(SUFFIXES)}). Weights alone "
            "are no model: pass the folder."
        )
    return f"There is no folder or {_ZIP} file {path}. Give the path of a model that save_folder wrote."


def _encode(
    model: Any, preprocessing: Mapping[str, Any] | None, provenance: Mapping[str, Any] | None
) -> dict[str, bytes]:
    """Return the contents of all files of a model by name."""
    savable, regressor = _MODELS[type(model).__name__], regressor_of(model)
    weights = encode_arrays(savable.arrays_of(model))
    preprocessing = with_bit_numbers(preprocessing or getattr(regressor, "preprocessing_", {}))
    document = {
        "format_version": FORMAT_VERSION,
        "class": type(model).__name__,
        "written_with": software_versions(),
        **savable.document_of(model),
        "preprocessing": to_json(preprocessing, "preprocessing"),
        "provenance": to_json({**getattr(regressor, "provenance_", {}), **(provenance or {})}, "provenance"),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {DOCUMENT: text.encode(), WEIGHTS: weights, CARD: card_of(model, document).encode()}
    return files | {CHECKSUMS: checksums_of(files)}


def software_versions() -> dict[str, str | None]:
    """Return the versions of the software that made the model. They are never read, only shown."""
    versions: dict[str, str | None] = {"skbcnn": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _rebuild(files: Mapping[str, bytes], path: Path) -> Any:
    """Return the model in the contents of its files; `path` is for the messages."""
    check_checksums(files, path)
    document = parse_json(files[DOCUMENT], path / DOCUMENT, decode_float)
    _check_format(document, path / DOCUMENT)
    savable = _MODELS[document["class"]]
    with wrap_read_errors(path / DOCUMENT, _WRITER):
        types = savable.array_types(document)
        checksum = str(document["weights_sha256"])
    check_checksum(files[WEIGHTS], checksum, path / WEIGHTS, DOCUMENT)
    arrays = decode_arrays(files[WEIGHTS], types, path / WEIGHTS)
    with wrap_read_errors(path / DOCUMENT, _WRITER):
        model = savable.rebuild(document, arrays)
        vars(regressor_of(model)).update({f"{name}_": dict(document[name]) for name in MODEL_ENTRIES})
    return model


def _check_format(document: Mapping[str, Any], path: Path) -> None:
    if "format_version" not in document:
        raise ModelFolderError(
            f"{path} has no format_version, so it describes no model of skbcnn. Load another folder."
        )
    if document["format_version"] not in _READABLE_VERSIONS:
        raise ModelFolderError(
            f"{path} has format version {document['format_version']}, but skbcnn {__version__} reads versions "
            f"{_READABLE_VERSIONS[0]} to {_READABLE_VERSIONS[-1]}. Update skbcnn, or save the model again with this "
            "version."
        )
    if document.get("class") not in list(_MODELS):  # a list, because a wrong entry may not be hashable
        raise ModelFolderError(
            f"{path} is of class {document.get('class')!r}, expected {', '.join(_MODELS)}. Load another model."
        )
