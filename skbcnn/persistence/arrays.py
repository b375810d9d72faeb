"""Plain arrays in an HDF5 file, and back: nothing else is taken from one."""

import io
import math

import h5py
import numpy as np

from skbcnn.persistence.files import TEXT, ModelFolderError


def encode_arrays(arrays):
    """The bytes of an HDF5 file of plain arrays. Made in memory: a full disk is then met by one ordinary write."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, dtype="<f4" if values.dtype == np.float32 else "<f8")
    return buffer.getvalue()


def decode_arrays(data, types, path):
    """Arrays of an HDF5 file that holds exactly these, and each as it is."""
    if sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in types.values()) > len(data):
        raise ModelFolderError(f"{path} is too small for the network of {TEXT}. They do not belong together.")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if set(file) != set(types):
                odd = sorted(set(file) ^ set(types))
                raise ModelFolderError(
                    f"{path} does not hold the arrays of the network in {TEXT}; lacking or too many are "
                    f"{', '.join(odd[:5])}. They do not belong together: copy or download both again."
                )
            return {name: _decode_array(file, name, *expected, path) for name, expected in types.items()}
    except ModelFolderError:
        raise
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFolderError(f"{path} cannot be read as HDF5 ({error}). Copy or download it again.") from error


def _decode_array(file, name, shape, dtype, path):
    dataset = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or not is_plain(dataset):
        raise ModelFolderError(
            f"{name} of {path} is a link or otherwise no plain array, which save_folder never writes."
        )
    if dataset.shape != shape or dataset.dtype != dtype:
        raise ModelFolderError(
            f"{name} of {path} has shape {dataset.shape} and type {dataset.dtype}, expected {shape} and "
            f"{np.dtype(dtype)}. The file does not belong to this {TEXT}: copy or download both again."
        )
    values = dataset[...].astype(dataset.dtype.newbyteorder("="))
    if not np.isfinite(values).all() or (name.endswith(".scale") and (values <= 0).any()):
        raise ModelFolderError(
            f"{name} of {path} holds NaN, infinity or a scale that is not positive, so nothing can be predicted with "
            "it. Copy or download the folder again."
        )
    return values


def is_plain(dataset):
    """Whether the values lie in this file, in one piece, as large as they claim to be."""
    properties = dataset.id.get_create_plist()
    return (
        properties.get_layout() == h5py.h5d.CONTIGUOUS
        and properties.get_external_count() == 0
        and dataset.dtype.kind == "f"
        and dataset.id.get_storage_size() == dataset.nbytes
    )
