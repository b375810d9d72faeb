"""Names of files of spectra: those that are given, and those in folders."""

import os
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from skbcnn._paths import as_path
from skbcnn.persistence.model_files import DOCUMENT

Sources: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]]
"""Files of spectra, and folders of such files."""

_SPECTRA = re.compile(r".+\.(fits|fit|fits\.gz|h5|hdf5)", re.IGNORECASE)
_TABLES = re.compile(r"(all|astraAll)Star.*\.fits(\.gz)?")  # tables of stars
_OTHER_PRODUCTS = re.compile(  # of the survey, which lie beside the spectra of stars
    r"(all|astraAll)(Star|Visit|Plates?)|(ap|as)(Visit|Field|Plate|Cframe|\d?D|cap(Field|Stars)?-)|(mwm)(Star|Visit)",
)


def spectra_of(sources: Sources) -> list[Path]:
    """Return the files of spectra that are named, or lie in folders that are named.

    Parameters
    ----------
    sources : path or sequence of paths
        Files and folders.

    Returns
    -------
    paths : list of pathlib.Path
        Absolute paths of the files in the order in which they are named; those of a folder sorted by name, without
        hidden ones, saved models, and tables and visits of the survey (allStar, apVisit, ...). What does not exist is
        among them.

    Raises
    ------
    ValueError
        If there is no file, a folder has no file of spectra, or a file is a table of stars.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skbcnn.catalog.spectra_names import spectra_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("apStar-dr17-b.fits", "apStar-dr17-a.fits", "allStar-dr17.fits", "notes.txt"):
    ...         (Path(folder) / name).touch()
    ...     [path.name for path in spectra_of(folder)]
    ['apStar-dr17-a.fits', 'apStar-dr17-b.fits']
    """
    given = [sources] if isinstance(sources, str | PathLike) else list(sources)
    paths: list[Path] = []
    for source in given:
        path = as_path(source, "sources").absolute()
        if not path.is_dir():
            if _TABLES.fullmatch(path.name):
                raise ValueError(
                    f"{path} is a table of stars, expected files of spectra. Pass the root of the mirror as spectra to "
                    "predict the stars of the table."
                )
            paths.append(path)
            continue
        found = list(_spectra_in(path))
        if not found:
            raise ValueError(
                f"There is no file of spectra in the folder {path}: none ends in .fits, .fits.gz, .h5 or .hdf5. Pass "
                "another folder, or files."
            )
        paths += found
    if not paths:
        raise ValueError("There are no sources. Pass at least one file or folder of spectra.")
    return paths


def _spectra_in(folder: Path) -> Iterator[Path]:
    """Yield the files of spectra in a folder and the folders in it, sorted, without those of saved models."""
    for parent, folders, names in os.walk(folder):
        if DOCUMENT in names:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and _SPECTRA.fullmatch(name) and not _OTHER_PRODUCTS.match(name):
                yield Path(parent, name)
