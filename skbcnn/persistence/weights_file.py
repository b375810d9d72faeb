"""Writing and reading of the HDF5 file of a model: plain arrays only."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from skbcnn.persistence.model_files import DOCUMENT
from skbcnn.persistence.safe_files import DAMAGED, ModelFolderError, hdf5_item, open_hdf5, read_array

ArrayTypes = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and NumPy type of each array by name."""


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an HDF5 file of arrays. It is made in memory, so a full disk fails in one ordinary write."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, dtype="<f4" if values.dtype == np.float32 else "<f8")
    return buffer.getvalue()


def decode_arrays(data: bytes, types: ArrayTypes, path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an HDF5 file, which must have exactly these names, shapes and types.

    Parameters
    ----------
    data : bytes
        Contents of the file.
    types : mapping of str to (tuple of int, str)
        Shape and type of each array.
    path : pathlib.Path
        File that the messages name.

    Raises
    ------
    ModelFolderError
        If the arrays are others, or hold NaN, infinity or a scale that is not positive.
    """
    if sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in types.values()) > len(data):
        raise ModelFolderError(
            f"{path} is too small for the network of {DOCUMENT}. They do not belong together: copy or download both "
            "again."
        )
    with open_hdf5(data, path) as file:
        if set(file) != set(types):
            differing = sorted(set(file) ^ set(types))
            raise ModelFolderError(
                f"{path} does not hold the arrays of the network in {DOCUMENT}; missing or unknown are "
                f"{', '.join(differing[:5])}. They do not belong together: copy or download both again."
            )
        arrays = {
            name: read_array(hdf5_item(file, name, path), shape, name, path, dtype)
            for name, (shape, dtype) in types.items()
        }
    for name, values in arrays.items():
        if name.endswith(".scale") and (values <= 0).any():
            raise ModelFolderError(f"{name} of {path} holds a scale that is not positive. {DAMAGED}")
    return arrays
