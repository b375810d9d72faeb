"""Errors and warnings in words of the command line. Nothing heavy is imported here, for the sake of ``--help``."""

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import click

_OPTIONS = {  # advice for Python, and the same for the command line
    "choose no_continuum='fill'": "pass --no-continuum fill",
    "no_continuum='fill'": "--no-continuum fill",
    "(labels by target) or load with load_err=False": "(labels by --target), or pass --no-errors",
    ": loader.target = loader.label_names takes all labels that it has": (
        ". Without --target, all labels that it has are trained"
    ),
    "(labels by target)": "(labels by --target)",
    "load_err=False": "--no-errors",
    "by combination and visits": "by --combination and --visits",
    "target is empty. Name at least one label, or pass 'all'.": "--target is empty. Name at least one label, or all.",
    "release and path_template belong": "--release and --path-template belong",
    "path_template=": "--path-template ",
    "path_template": "--path-template",
    "pass release=... .": "name the release by --release.",
    "Pass kind='apStar', or visits=False.": "Pass --kind apStar, or leave out --visits.",
    "of the mirror as spectra": "of the mirror by --spectra",
    "Repeat the call that was interrupted to resume that training, or remove the file to begin again.": (
        "Give the file and the options of the interrupted training to resume it, or pass --overwrite to begin again."
    ),
    "Remove it to begin the training again, or choose another path.": "Pass --overwrite to begin the training again.",
    "Load them (H5Loader.load, or dataset[:]), or pass calibration_cv=None, with which": (
        "Leave out --stream, or calibration_cv, without which"
    ),
    "pass overwrite=True": "pass --overwrite",
    "overwrite=True": "--overwrite",
    "Leave such labels out of y and target.": "Name the other labels by --target.",
    "leave out visits=True": "leave out --visits",
    "with visits=True": "by --visits",
    "columns names": "--columns names",
    "out of the columns": "out of --columns",
    "Rename those in `columns`.": "Leave them out of --columns.",
    "build_dataset (skbcnn build) makes one of an allStar table and spectra; read_apstar reads spectra.": (
        "skbcnn build makes one of an allStar table and spectra."
    ),
    "of a model that save_folder wrote": "of a model that skbcnn train wrote",
}
_DATASETS = {  # arguments of Python, and where their values stand in a file
    r"^[Xy] (?=has|contains)": "The file ",
    r"\bRow 0 of X has\b": "the spectrum has",
    r"\bmedian flux of X\b": "median flux of the file",
    r"\bx_err\b": "spectra_err",
    r"\by_err\b": "<label>_err",
    r"\brelease='": "--release '",
}


def print_error(error: Exception) -> None:
    """Print an exception as a sentence, on the error stream.

    Parameters
    ----------
    error : Exception
        The exception.
    """
    message = for_command_line(str(error))
    if isinstance(error, OSError) and error.strerror:
        message = error.strerror + (f": {error.filename}" if error.filename else "")
    click.secho(f"Error: {message or type(error).__name__}", fg="red", err=True)


def for_command_line(message: str) -> str:
    """Return a message of a Python function with the names of options and of datasets in a file.

    Parameters
    ----------
    message : str
        Message.

    Returns
    -------
    message : str
    """
    for python, option in _OPTIONS.items():
        message = message.replace(python, option)
    for python, dataset in _DATASETS.items():
        message = re.sub(python, dataset, message)
    return message


@contextlib.contextmanager
def warnings_as_sentences() -> Iterator[None]:
    """Print warnings of the library without file names and line numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _print_warning
        yield


def _print_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    click.echo(f"Note: {for_command_line(str(message))}", err=True)
