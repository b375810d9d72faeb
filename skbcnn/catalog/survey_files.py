"""Files of the spectra that a table of stars lists, in a mirror of SDSS files.

The table is read, and the files are found, as for a training set (`skbcnn.datasets.building`), but without cuts: a
catalogue is of every star.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skbcnn._left_out import LeftOut
from skbcnn._paths import as_path
from skbcnn.catalog.requested_columns import suggestion
from skbcnn.catalog.spectra_files import TABLE_ROW, TABLE_STAR
from skbcnn.catalog.tables import star_column
from skbcnn.datasets.building.cuts import find_duplicates
from skbcnn.datasets.building.paths import check_some_exist, mirror_root
from skbcnn.datasets.building.selection import SAME_FILE, files_of_rows
from skbcnn.datasets.building.tables import StarTable, opened_table


class SurveyFiles(NamedTuple):
    """Files of the stars of a table.

    Attributes
    ----------
    table : pathlib.Path
        The table.
    root : pathlib.Path
        Root of the mirror.
    release : str
        Name of the data release of the table.
    paths : list of pathlib.Path
        Files in the order of the table, each once; some may not exist.
    columns : dict of str to ndarray of shape (n_files,)
        `TABLE_ROW`, `TABLE_STAR` and the requested columns, by their names in the catalogue.
    failures : list of LeftOut
        Rows whose file is not known.
    notes : list of str
        What the user must know about the table, as sentences.
    """

    table: Path
    root: Path
    release: str
    paths: list[Path]
    columns: dict[str, np.ndarray]
    failures: list[LeftOut]
    notes: list[str]


def files_of_table(
    table: str | PathLike[str],
    spectra: str | PathLike[str],
    names: Mapping[str, str],
    *,
    release: int | str | None,
    path_template: str | None,
    folder: Path,
) -> SurveyFiles:
    """Find the files of all stars of a table.

    Parameters
    ----------
    table : str or path-like
        allStar or astraAllStarASPCAP table.
    spectra : str or path-like
        Root of the mirror.
    names : mapping of str to str
        Requested columns of the table, by their names in the catalogue.
    release : int, str or None
        Data release of the table. None: recognised by its name and columns.
    path_template : str or None
        Path of a file below the root, with names of columns in braces. None: the layout of SDSS.
    folder : pathlib.Path
        Where a gzipped table is unpacked for the time being.

    Returns
    -------
    files : SurveyFiles

    Raises
    ------
    FileNotFoundError
        If the table, the mirror, or all of the files do not exist.
    OSError
        If the table cannot be read as FITS.
    ValueError
        If it is no table of stars, has no row with a file, or lacks a requested column.
    ModuleNotFoundError
        If ``sdss-access`` is not installed and there is no template.
    """
    path, root = as_path(table, "sources").absolute(), mirror_root(spectra)
    with opened_table(path, release, folder) as stars:
        values = {name: _column(stars, column) for name, column in names.items()}
        duplicates = find_duplicates(stars)
        is_duplicate = np.zeros(len(stars), dtype=bool) if duplicates is None else duplicates.rows
        found, without_file = files_of_rows(
            stars, root, np.flatnonzero(~is_duplicate), kind="apStar", path_template=path_template
        )
        release_name, star_names = stars.release.name, stars.quantity("star")
        if duplicates is None:
            stars.notes.append("The table has no EXTRATARG, so no row is left out as a duplicate of another.")
    reasons = dict(without_file)
    n_repeated, n_duplicates = len(reasons.pop(SAME_FILE)), int(is_duplicate.sum())
    if not found:
        raise ValueError(f"None of the {len(is_duplicate)} rows of {path} has a file whose path is known.")
    rows = np.array(sorted(found), dtype=np.int64)
    paths = [found[row] for row in rows.tolist()]
    check_some_exist(paths, root)
    failures = [
        LeftOut("", "", reason, star=str(star_names[row]), row=row)
        for reason, of_reason in reasons.items()
        for row in of_reason.tolist()
    ]
    columns = {TABLE_ROW: rows, TABLE_STAR: star_names[rows]} | {name: column[rows] for name, column in values.items()}
    notes = [*stars.notes, *_notes(n_duplicates, n_repeated)]
    return SurveyFiles(path, root, release_name, paths, columns, failures, notes)


def _column(stars: StarTable, name: str) -> np.ndarray:
    """Return a column of the table, which must have one value for each star."""
    if name.lower() not in stars.column_names:
        raise ValueError(f"{stars.path} has no column {name}. {suggestion([name], stars.column_names)}")
    values = stars.column(name)
    try:
        star_column(name, values, len(stars))
    except ValueError as error:
        raise ValueError(f"{stars.path}: {error} Leave it out of the columns.") from None
    return values


def _notes(n_duplicates: int, n_repeated: int) -> list[str]:
    """Return how many rows of the table are not predicted because others are of the same star or file."""
    notes = []
    if n_duplicates:
        notes.append(
            f"{n_duplicates} row(s) of the table are duplicates of other rows (EXTRATARG bit 4) and are not in the "
            "catalogue."
        )
    if n_repeated:
        notes.append(
            f"{n_repeated} row(s) of the table have the file of an earlier row and are not in the catalogue again."
        )
    return notes
