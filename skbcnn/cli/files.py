"""Files that the commands read and write, checked before any work is done."""

import tempfile

import h5py

from skbcnn.catalog import check_table_name
from skbcnn.persistence.files import check_replaceable


def check_tables(paths, overwrite):
    """Refuse names under which no table can be written.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Of the tables to be.
    overwrite : bool
        Whether files of these names may be replaced.

    Raises
    ------
    ValueError
        If a name asks for no known format.
    OSError
        If a file exists, or its folder does not.
    """
    for path in paths:
        check_table_name(path)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder, expected the name of a table to write. Choose another name.")
        _check_new(path, overwrite)


def check_model_folder(path, overwrite):
    """Refuse a name under which no model can be saved.

    Parameters
    ----------
    path : pathlib.Path
        Of the folder to be.
    overwrite : bool
        Whether a model of this name may be replaced; nothing else ever is.

    Raises
    ------
    OSError
        If something exists there, or the folder that is to hold it does not.
    """
    check_replaceable(path)
    _check_new(path, overwrite)


def make_folder(path, overwrite):
    """Make a folder for many files.

    Parameters
    ----------
    path : pathlib.Path
        Its name; folders above it are made too.
    overwrite : bool
        Whether it may hold something already.

    Raises
    ------
    OSError
        If it holds something and `overwrite` is False, or it cannot be made.
    """
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise FileExistsError(f"The folder {path} is not empty. Choose another by --out, or pass --overwrite.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"The folder {path} cannot be made ({error.strerror}). Choose another by --out.") from error
    _check_writable(path)


def column_names(path):
    """Names of the datasets of an HDF5 file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    names : set of str
        In lower case; empty if the file cannot be read as HDF5, which `H5Loader` explains better.
    """
    try:
        with h5py.File(path, "r") as file:
            return {name.lower() for name in file}
    except OSError:
        return set()


def _check_new(path, overwrite):
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Choose another name by --out, or pass --overwrite.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}. Make it first.")
    _check_writable(path.parent)


def _check_writable(folder):
    try:
        tempfile.TemporaryFile(dir=folder).close()  # what permissions say is not all: file systems may be read-only
    except OSError as error:
        raise type(error)(
            f"Nothing can be written in {folder} ({error.strerror}). Choose another place by --out."
        ) from error
