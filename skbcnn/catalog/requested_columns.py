"""Columns of the input that a catalogue contains, too: their names, and checks before any work."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

import h5py
import numpy as np

from skbcnn.catalog.tables import star_column
from skbcnn.datasets import H5Loader
from skbcnn.datasets.h5 import column_key, read_rows

_COMMENTARY = ("comment", "history", "continue", "end")  # words of FITS headers that have no single value


def requested_names(columns: str | Sequence[str], reserved: Iterable[str]) -> dict[str, str]:
    """Return requested columns by their names in the catalogue.

    Parameters
    ----------
    columns : str or sequence of str
        Columns of HDF5 files or of a table of stars, and keywords of FITS headers.
    reserved : iterable of str
        Columns that a catalogue has of its own.

    Returns
    -------
    names : dict of str to str
        Names of the input by those in the catalogue, which differ where a name is reserved.

    Raises
    ------
    ValueError
        If a name cannot be that of a column, or two columns would have the same name.

    Examples
    --------
    >>> from skbcnn.catalog.requested_columns import requested_names
    >>> requested_names(["FIELD", "teff"], reserved=["star", "teff"])
    {'FIELD': 'FIELD', 'input_teff': 'teff'}
    """
    taken = {name.lower() for name in reserved}
    names: dict[str, str] = {}
    spellings: dict[str, str] = {}  # names in FITS are not case-sensitive
    for name in [columns] if isinstance(columns, str) else columns:
        _check_name(name)
        of_catalogue = f"input_{name}" if name.lower() in taken else name
        if of_catalogue.lower() in spellings:
            raise ValueError(
                f"columns names {spellings[of_catalogue.lower()]!r} and {name!r}, which would both be called "
                f"{of_catalogue} in the catalogue (the case of letters does not count in FITS). Leave one of them out."
            )
        spellings[of_catalogue.lower()] = name
        names[of_catalogue] = name
    return names


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"columns names {name!r}, a {type(name).__name__}, expected names as text.")
    if not name.strip() or not name.isascii() or not name.isprintable():
        raise ValueError(
            f"columns names {name!r}, which cannot be the name of a column in a FITS file: it is empty, or has other "
            "characters than those of ASCII. Leave it out, or rename it in the input."
        )
    if name.lower() in _COMMENTARY:
        raise ValueError(f"columns names {name!r}, which has no single value in a FITS header. Leave it out.")


def check_h5_columns(path: Path, columns: Iterable[str], n_rows: int) -> None:
    """Raise if an HDF5 file lacks a column, or one of them is not one value for each spectrum.

    Parameters
    ----------
    path : pathlib.Path
        File in the ``datasets.h5`` layout.
    columns : iterable of str
        Names in any spelling that `H5Loader.load_entry` takes.
    n_rows : int
        Number of its spectra.

    Raises
    ------
    ValueError
        Names the columns, and similar ones of the file.
    """
    known = H5Loader(path, load_combined=None).column_names
    keys = {column_key(name): name for name in known}
    if absent := [name for name in columns if column_key(name) not in keys]:
        raise ValueError(f"{path} has no {', '.join(absent)}. {suggestion(absent, known)}")
    for name in columns:
        with h5py.File(path, "r") as file:
            shape = file[keys[column_key(name)]].shape
        if shape != (n_rows,):
            raise ValueError(
                f"{name} of {path} has shape {shape}, expected ({n_rows},): one value for each spectrum. Leave it out "
                "of the columns."
            )
        try:
            star_column(name, read_rows(path, [name], np.arange(1))[name], 1)
        except (ValueError, TypeError, OSError) as error:
            raise ValueError(f"{path}: {error} Leave {name} out of the columns.") from error


def suggestion(absent: Iterable[str], known: Sequence[str]) -> str:
    """Return a sentence about similar names, or about all of them.

    Parameters
    ----------
    absent : iterable of str
        Names that are not known.
    known : sequence of str
        Names to choose from.

    Returns
    -------
    sentence : str

    Examples
    --------
    >>> from skbcnn.catalog.requested_columns import suggestion
    >>> suggestion(["fields"], ["FIELD", "RA"])
    'Did you mean FIELD?'
    >>> suggestion(["plate"], ["FIELD", "RA"])
    'It has FIELD, RA.'
    """
    spellings = {name.lower(): name for name in known}
    similar = [get_close_matches(name.lower(), spellings, n=1) for name in absent]
    if all(similar):
        return f"Did you mean {', '.join(spellings[found[0]] for found in similar)}?"
    return f"It has {', '.join(known)}."
