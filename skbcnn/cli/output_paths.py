"""Checks of the paths of outputs, made before any work is done."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from skbcnn._atomic_writes import link_target
from skbcnn._resumable import is_finished_work, unfinished_folder
from skbcnn.catalog import check_table_name
from skbcnn.persistence.model_files import check_replaceable


def check_tables(paths: Sequence[Path], overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise if a table cannot be written under one of the paths.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Tables to write.
    overwrite : bool
        Whether existing files may be replaced.
    inputs : sequence of pathlib.Path, default=()
        Files and folders that the command reads, and which are therefore never replaced or written to.

    Raises
    ------
    ValueError
        If a suffix belongs to no known format, a path is repeated, or a path is an input or lies in an input folder.
    OSError
        If a file exists, or its folder does not exist or is not writable.
    """
    for number, path in enumerate(paths):
        check_table_name(path)
        if link_target(path).resolve() in [other.resolve() for other in paths[:number]]:
            raise ValueError(f"--out {path} is given twice, expected one name for each table.")
        goes_on = number > 0 and unfinished_folder(paths[0]).exists()  # of a killed run, which may have written this
        _check_file(path, overwrite or goes_on, inputs, "--out", "a table")


def check_page(path: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise if an HTML page cannot be written under a path.

    Parameters
    ----------
    path : pathlib.Path
        Page to write, the value of ``--html``.
    overwrite : bool
        Whether an existing file may be replaced.
    inputs : sequence of pathlib.Path, default=()
        Files and folders that the command reads.

    Raises
    ------
    ValueError
        If the path does not end in .html or .htm, is an input, or lies in an input folder.
    OSError
        If the file exists, or its folder does not exist or is not writable.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--html {path} ends in {path.suffix!r}, expected a name that ends in .html.")
    _check_file(path, overwrite, inputs, "--html", "a page")


def check_dataset(path: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise if an HDF5 file cannot be written under a path.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    overwrite : bool
        Whether an existing file may be replaced.
    inputs : sequence of pathlib.Path, default=()
        Files that the command reads.

    Raises
    ------
    ValueError
        If the path is an input.
    OSError
        If the file exists, or its folder does not exist or is not writable.
    """
    _check_file(path, overwrite, inputs, "--out", "a file")


def check_model_folder(path: Path, overwrite: bool) -> None:
    """Raise if a model cannot be saved under a path.

    Parameters
    ----------
    path : pathlib.Path
        Model folder to write.
    overwrite : bool
        Whether an existing model may be replaced. Anything else is never replaced.

    Raises
    ------
    OSError
        If something exists there, or the parent folder does not exist or is not writable.
    """
    check_replaceable(path)
    _check_new(path, overwrite)


def make_folder(path: Path, overwrite: bool) -> None:
    """Make a folder for several files.

    Parameters
    ----------
    path : pathlib.Path
        Folder to make; its parents are made, too.
    overwrite : bool
        Whether the folder may have content already.

    Raises
    ------
    OSError
        If it has content and `overwrite` is False, or it cannot be made.
    """
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise FileExistsError(f"The folder {path} is not empty. Choose another by --out, or pass --overwrite.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"The folder {path} cannot be made ({error.strerror}). Choose another by --out.") from error
    _check_writable(path)


def _check_file(path: Path, overwrite: bool, inputs: Sequence[Path], option: str, what: str) -> None:
    """Raise if a file cannot be written, or would replace or lie in what the command reads."""
    read = {other.resolve(): other for other in inputs}
    place = link_target(path).resolve()
    if found := next((read[parent] for parent in (place, *place.parents) if parent in read), None):
        raise ValueError(
            f"{option} {path} would write to {found}, which the command reads. Choose another name by {option}."
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of {what} to write. Choose another name.")
    _check_new(path, overwrite, option)


def _check_new(path: Path, overwrite: bool, option: str = "--out") -> None:
    if path.exists() and not overwrite and not is_finished_work(path):
        raise FileExistsError(f"{path} exists. Choose another name by {option}, or pass --overwrite.")
    folder = link_target(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {folder}. Make it first.")
    _check_writable(folder, option)


def _check_writable(folder: Path, option: str = "--out") -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()  # permissions are not enough: file systems may be read-only
    except OSError as error:
        raise type(error)(
            f"Nothing can be written in {folder} ({error.strerror}). Choose another place by {option}."
        ) from error
