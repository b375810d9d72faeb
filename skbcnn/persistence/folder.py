"""Fitted models as folders of text and arrays, and back."""

import hashlib
import json
from pathlib import Path

from sklearn.utils.validation import check_is_fitted

from skbcnn.atomic import atomic_path
from skbcnn.persistence.arrays import decode_arrays, encode_arrays
from skbcnn.persistence.documents import CLASSES, array_types, arrays_of, check_format, document_of, model_of, spec_of
from skbcnn.persistence.files import ARRAYS, TEXT, ModelFolderError, check_replaceable, read_file
from skbcnn.persistence.text import as_laid_down, parsed, plain, whole


def save_folder(model, path, *, preprocessing=None, provenance=None, overwrite=False):
    """Save a fitted regressor as a folder of text and arrays.

    Parameters
    ----------
    model : CensoredBCNNRegressor or ApogeeBCNNCensoredRegressor
        Fitted. Its `callbacks` are left out, and so is a `random_state` that is no number.
    path : str or path-like
        The folder to make.
    preprocessing : mapping, default=None
        How the training spectra were prepared: the parameters of the `ContinuumNormalizer`, and under
        ``"combination"`` which combined spectrum was read. Text, numbers, lists and mappings. None: what the model
        came with, if it was loaded.
    provenance : mapping, default=None
        What the model was trained on: ``{"training_data": "synthetic", "n_stars": 4000, "snr": 200}``, say. Likewise.
    overwrite : bool, default=False
        Whether a saved model of this name may be replaced.

    Returns
    -------
    path : pathlib.Path
        The folder written.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is of another class, or something beside it is neither text, number, list nor mapping.
    ValueError
        If its weights are not finite.
    FileExistsError
        If the folder exists and `overwrite` is False, or it holds files that belong to no model.
    OSError
        If it cannot be written; nothing is then left under its name.

    See Also
    --------
    load_folder : The way back.

    Notes
    -----
    A `random_state` that is not a number is saved as null: what the model says depends on `seed_`, which is kept.
    `windows` come back as `ElementWindows`, whatever mapping they were.

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
    if type(model) not in CLASSES.values():
        raise TypeError(
            f"A {type(model).__name__} cannot be saved as a folder, expected {' or '.join(CLASSES)}. Of a pipeline or "
            "a search, pass the regressor in it; joblib saves the whole."
        )
    check_is_fitted(model)
    arrays = encode_arrays(arrays_of(model))
    document = document_of(model) | {
        "preprocessing": plain(preprocessing or getattr(model, "preprocessing_", {}), "preprocessing"),
        "provenance": plain(provenance or getattr(model, "provenance_", {}), "provenance"),
        "weights_sha256": hashlib.sha256(arrays).hexdigest(),
    }
    text = (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    _rebuilt(text, arrays, path)  # what is saved has been loaded once
    if overwrite:
        check_replaceable(path)
    with atomic_path(path, overwrite=overwrite) as folder:
        folder.mkdir()
        (folder / TEXT).write_bytes(text)
        (folder / ARRAYS).write_bytes(arrays)
    return path


def load_folder(path):
    """Load a regressor that `save_folder` saved.

    Nothing in the folder is run, imported or unpickled, and TensorFlow is not imported before the first prediction.

    Parameters
    ----------
    path : str or path-like
        The folder.

    Returns
    -------
    model : CensoredBCNNRegressor or ApogeeBCNNCensoredRegressor
        Fitted. Its attributes `preprocessing_` and `provenance_` are what `save_folder` was told, as dicts.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ModelFolderError
        If it does not hold a whole model of a known format; the message says why. It is a ValueError.

    See Also
    --------
    save_folder : Save one, with an example.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Give the path of a folder that save_folder wrote.")
    return _rebuilt(read_file(folder / TEXT), read_file(folder / ARRAYS), folder)


def _rebuilt(text, data, folder):
    """A model from the bytes of its two files; `folder` is for the messages."""
    document = parsed(text, folder / TEXT)
    check_format(document, folder / TEXT)
    with as_laid_down(folder / TEXT):
        spec = spec_of(document["network"], document["labels"])
        checksum = str(document["weights_sha256"])
        n_scores = whole(document.get("n_interval_scores", 0), 0)  # early folders of this format have none
    if hashlib.sha256(data).hexdigest() != checksum:
        raise ModelFolderError(
            f"{folder / ARRAYS} does not match its checksum in {TEXT}: it is damaged, cut short, or belongs to "
            "another model. Copy or download both files again."
        )
    arrays = decode_arrays(data, array_types(spec, n_scores), folder / ARRAYS)
    with as_laid_down(folder / TEXT):
        return model_of(document, spec, arrays)
