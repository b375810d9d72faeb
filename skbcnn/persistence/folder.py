"""Fitted models as folders of text and arrays, and back."""

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skbcnn import __version__
from skbcnn._atomic_writes import atomic_path
from skbcnn.persistence.arrays import decode_arrays, encode_arrays
from skbcnn.persistence.astronn import from_astronn, is_astronn
from skbcnn.persistence.card import card_of
from skbcnn.persistence.files import (
    ARRAYS,
    CARD,
    OTHER,
    SUMS,
    TEXT,
    ModelFolderError,
    check_replaceable,
    check_sizes,
    check_sum,
    check_sums,
    read_folder,
    sums_of,
)
from skbcnn.persistence.pipelines import PIPELINE, check_savable, regressor_of
from skbcnn.persistence.sdssv import SUFFIXES, from_sdssv
from skbcnn.persistence.steps import REGRESSORS
from skbcnn.persistence.text import FORMAT_VERSION, as_laid_down, parsed, plain
from skbcnn.persistence.zipped import encode_zip, read_zip

ZIP = ".zip"
KINDS = REGRESSORS | {"Pipeline": PIPELINE}
_PACKAGES = ("numpy", "scikit-learn", "tensorflow", "keras", "h5py")


def save_folder(model, path, *, preprocessing=None, provenance=None, overwrite=False):
    """Save a fitted regressor, or a pipeline that ends in one, as a folder or zip file of text and arrays.

    Parameters
    ----------
    model : CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor or sklearn.pipeline.Pipeline
        Fitted. A pipeline may have the steps `ChipGapRemover`, `ContinuumNormalizer`, `SpectraNormalizer`, None and
        ``"passthrough"`` before a regressor. Left out are `callbacks`, the `memory` of a pipeline, and a `random_state`
        that is no number.
    path : str or path-like
        The folder to make; if it ends in ``.zip``, one file that holds the same.
    preprocessing : mapping, default=None
        How the training spectra were prepared: the parameters of the `ContinuumNormalizer`, and under
        ``"combination"`` which combined spectrum was read. Text, numbers, lists and mappings. None: what the model
        came with, if it was loaded.
    provenance : mapping, default=None
        What the model was trained on: ``{"training_data": "synthetic", "n_stars": 4000, "snr": 200}``, say, and the
        short name of a ``"license"``. It is shown on the card. Likewise.
    overwrite : bool, default=False
        Whether a saved model of this name may be replaced, its card with it.

    Returns
    -------
    path : pathlib.Path
        What was written.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is of another class, a step of the pipeline is, or something beside it is neither text, number, list nor
        mapping.
    ValueError
        If its weights are not finite, or it is larger than what `load_folder` reads.
    FileExistsError
        If `path` exists and `overwrite` is False, or it holds files that belong to no model.
    OSError
        If it cannot be written; nothing is then left under its name.

    See Also
    --------
    load_folder : The way back.

    Notes
    -----
    A `random_state` that is not a number is saved as null: what the model says depends on `seed_`, which is kept.
    `windows` come back as `ElementWindows`, whatever mapping they were, and other sequences as lists, or as tuples
    where the default is one. The files, and their format, are described in ``docs/persistence.md``; a card for people
    (``README.md``) and checksums (``SHA256SUMS``) are among them.

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
    path = Path(path)
    check_savable(model)
    files = _files_of(model, preprocessing, provenance)
    check_sizes(files, path)
    _rebuilt(files, path)  # what is saved has been loaded once
    if overwrite:
        check_replaceable(path)
    with atomic_path(path, overwrite=overwrite) as temporary:
        if path.suffix.lower() == ZIP:
            temporary.write_bytes(encode_zip(files))
        else:
            temporary.mkdir()
            for name, data in files.items():
                (temporary / name).write_bytes(data)
    return path


def load_folder(path):
    """Load a model that `save_folder` saved, or a published one of astroNN or SDSS-V.

    Nothing in the folder is run, imported or unpickled, and TensorFlow is not imported before the first prediction.

    Parameters
    ----------
    path : str or path-like
        The folder or zip file; or a folder of astroNN's ApogeeBCNNCensored; or SDSS-V's checkpoint, which ends in
        ``.pt`` or ``.pth`` and needs PyTorch.

    Returns
    -------
    model : CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor or sklearn.pipeline.Pipeline
        Fitted. The attributes `preprocessing_` and `provenance_` of the regressor, the last step of a pipeline, are
        what `save_folder` was told, as dicts.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ModelFolderError
        If it does not hold a whole model of a known format; the message says why. It is a ValueError.

    See Also
    --------
    save_folder : Save one, with an example.
    skbcnn.persistence.from_astronn, skbcnn.persistence.from_sdssv : What is read of published models.
    """
    path = Path(path)
    if path.is_dir():
        return from_astronn(path) if is_astronn(path) else _rebuilt(read_folder(path), path)
    if path.suffix.lower() in SUFFIXES:
        return from_sdssv(path)
    if path.is_file() and path.suffix.lower() == ZIP:
        return _rebuilt(read_zip(path), path)
    raise FileNotFoundError(
        f"There is no folder {path}, nor a zip file ending in {ZIP}. Give the path of a model that save_folder wrote."
    )


def _files_of(model, preprocessing, provenance):
    """All files of a model, by name."""
    kind, regressor = KINDS[type(model).__name__], regressor_of(model)
    arrays = encode_arrays(kind.arrays_of(model))
    document = {
        "format_version": FORMAT_VERSION,
        "class": type(model).__name__,
        "written_with": _versions(),
        **kind.document_of(model),
        "preprocessing": plain(preprocessing or getattr(regressor, "preprocessing_", {}), "preprocessing"),
        "provenance": plain(provenance or getattr(regressor, "provenance_", {}), "provenance"),
        "weights_sha256": hashlib.sha256(arrays).hexdigest(),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {TEXT: text.encode(), ARRAYS: arrays, CARD: card_of(model, document).encode()}
    return files | {SUMS: sums_of(files)}


def _versions():
    """Of what the model was made with, for whoever wonders later."""
    versions = {"skbcnn": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _rebuilt(files, path):
    """A model from the bytes of its files; `path` is for the messages."""
    check_sums(files, path)
    document = parsed(files[TEXT], path / TEXT)
    _check_format(document, path / TEXT)
    kind = KINDS[document["class"]]
    with as_laid_down(path / TEXT):
        types = kind.array_types(document)
        checksum = str(document["weights_sha256"])
    check_sum(files[ARRAYS], checksum, path / ARRAYS, TEXT)
    arrays = decode_arrays(files[ARRAYS], types, path / ARRAYS)
    with as_laid_down(path / TEXT):
        model = kind.estimator_of(document, arrays)
        beside = {f"{name}_": dict(document[name]) for name in ("preprocessing", "provenance")}
        vars(regressor_of(model)).update(beside)
    return model


def _check_format(document, path):
    if document["format_version"] != FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format version {document['format_version']}, but skbcnn {__version__} reads version "
            f"{FORMAT_VERSION}. Update skbcnn, or save the model again with this version."
        )
    if document.get("class") not in list(KINDS):  # a list: what comes may not be hashable
        raise ModelFolderError(f"{path} is of class {document.get('class')!r}, expected {', '.join(KINDS)}. {OTHER}")
