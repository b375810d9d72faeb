"""Stars of a table that a training set takes, with their files, and the others with the reasons."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skbcnn._left_out import LeftOut
from skbcnn.datasets.building.cuts import Cuts, rejections
from skbcnn.datasets.building.paths import mirror_paths, template_fields
from skbcnn.datasets.building.tables import StarTable
from skbcnn.survey import APOGEE_LABELS, MISSING
from skbcnn.survey.releases import RELEASES, SurveyRelease
from skbcnn.survey.spellings import LABELS

_IDENTIFIERS = {  # columns of the output, and the quantities that they hold
    "APOGEE_ID": "star",
    "sdss_id": "sdss_id",
    "TELESCOPE": "telescope",
    "FIELD": "field",
    "RA": "ra",
    "DEC": "dec",
    "SNR": "snr",
}
_1M_TELESCOPE = "apo1m"
SAME_FILE = "its file is that of an earlier row"


class Selection(NamedTuple):
    """Stars of a training set.

    Attributes
    ----------
    rows : ndarray of shape (n_stars,)
        Rows of the table.
    paths : list of pathlib.Path
        Their files.
    labels : dict of str to ndarray of shape (n_stars,)
        Labels and, under ``<label>_err``, their errors; missing ones are -9999.
    columns : dict of str to ndarray of shape (n_stars,)
        Other columns.
    rejected : list of (str, ndarray)
        Reasons, and the rows of the table that were left out for each.
    names : ndarray of shape (n_rows,)
        Names of all stars of the table.
    notes : list of str
        What the user must know, as sentences.
    """

    rows: np.ndarray
    paths: list[Path]
    labels: dict[str, np.ndarray]
    labels_err: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]
    rejected: list[tuple[str, np.ndarray]]
    names: np.ndarray
    notes: list[str]

    @property
    def counts(self) -> Counter[str]:
        """Numbers of rows that were left out, by reason."""
        return Counter({reason: len(rows) for reason, rows in self.rejected if len(rows)})

    def left_out(self) -> Iterator[LeftOut]:
        """Yield the rows that were left out."""
        for reason, rows in self.rejected:
            for row in rows.tolist():
                yield LeftOut("", "", reason, "", str(self.names[row]), row)


def select_stars(
    table: StarTable,
    root: Path,
    *,
    kind: str,
    cuts: Cuts,
    path_template: str | None,
    keep_flagged: bool,
) -> Selection:
    """Select the stars of a training set, and find their files.

    Parameters
    ----------
    table : StarTable
        Table of stars.
    root : pathlib.Path
        Root of the mirror.
    kind : {"apStar", "aspcapStar"}
        Kind of files.
    cuts : Cuts
        Limits that the stars must meet.
    path_template : str or None
        Path of a file below the root, with names of columns in braces. None: the layout of SDSS.
    keep_flagged : bool
        Whether labels that the survey flags are kept.

    Returns
    -------
    selection : Selection

    Raises
    ------
    ValueError
        If the table lacks columns that are needed, or no star is left.
    """
    if path_template is not None:
        template_fields(path_template)  # raises if it is malformed
    found = dict(table.labels())
    values = {name: label.values for name, label in found.items()}
    is_open = np.ones(len(table), dtype=bool)
    rejected = []
    for reason, rows in rejections(table, cuts, values):
        rejected.append((reason, np.flatnonzero(rows & is_open)))
        is_open &= ~rows
    if not is_open.any():
        counts = "; ".join(f"{reason}: {len(rows)}" for reason, rows in rejected if len(rows))
        raise ValueError(f"None of the {len(table)} rows of {table.path} is left ({counts}). Relax the cuts.")
    paths, without_file = files_of_rows(table, root, np.flatnonzero(is_open), kind=kind, path_template=path_template)
    rejected += without_file
    rows = np.array(sorted(paths), dtype=int)
    files = [paths[row] for row in rows.tolist()]
    if not files:
        raise ValueError(f"No row of {table.path} that passes the cuts has a file whose path is known.")
    labels = {
        name: np.where(label.flagged & (not keep_flagged), np.float32(MISSING), label.values)[rows]
        for name, label in found.items()
    }
    notes = table.notes + _notes_on_labels(table.release, labels)
    present = [name for name in LABELS if name in labels and (labels[name] != MISSING).any()]
    return Selection(
        rows,
        files,
        {name: labels[name] for name in present},
        {name: found[name].errors[rows] for name in present},
        _columns(table, rows) | {"FILE": np.array([path.name.encode() for path in files])},
        rejected,
        table.quantity("star"),
        notes,
    )


def files_of_rows(
    table: StarTable, root: Path, rows: np.ndarray, *, kind: str, path_template: str | None
) -> tuple[dict[int, Path], list[tuple[str, np.ndarray]]]:
    """Find the files of rows of a table.

    Parameters
    ----------
    table : StarTable
        Table of stars.
    root : pathlib.Path
        Root of the mirror.
    rows : ndarray of int
        Rows of the table.
    kind : {"apStar", "aspcapStar"}
        Kind of files.
    path_template : str or None
        Path of a file below the root, with names of columns in braces. None: the layout of SDSS.

    Returns
    -------
    paths : dict of int to pathlib.Path
        Paths by rows. Whether the files exist is not checked.
    without_file : list of (str, ndarray)
        Reasons, and the rows that have no file for each. The last reason is `SAME_FILE`.

    Raises
    ------
    ValueError
        If the template is malformed, or the table lacks columns that are needed.
    """
    without_file: list[tuple[str, np.ndarray]] = []
    if path_template is None:
        paths, without_file = _paths_of_mirror(table, root, kind, rows)
    else:
        paths = _paths_of_template(table, root, path_template, template_fields(path_template), rows)
    paths, repeated = _without_repeated(paths)
    return paths, [*without_file, (SAME_FILE, repeated)]


def _notes_on_labels(release: SurveyRelease, labels: Mapping[str, np.ndarray]) -> list[str]:
    """Return which of the labels of the network the training set lacks."""
    absent = [name for name in APOGEE_LABELS if name not in labels]
    empty = [name for name in APOGEE_LABELS if name in labels and (labels[name] == MISSING).all()]
    notes = []
    if absent:
        notes.append(f"{release.name} has no {', '.join(absent)}, so the file has no such label.")
    if empty:
        notes.append(f"No selected star has a value of {', '.join(empty)}, so the file has no such label.")
    return notes


def _columns(table: StarTable, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of the output that come from the table."""
    columns = {}
    for name, quantity in _IDENTIFIERS.items():
        if quantity == "telescope" or table.find(quantity) is not None:
            values = table.quantity(quantity)
            columns[name] = np.char.encode(values, "utf-8")[rows] if values.dtype.kind == "U" else values[rows]
    return columns


def _paths_of_mirror(
    table: StarTable, root: Path, kind: str, rows: np.ndarray
) -> tuple[dict[int, Path], list[tuple[str, np.ndarray]]]:
    """Return the paths of rows in the layout of SDSS, and the rows whose layout is not known."""
    releases = _releases_of_files(table, rows)
    telescopes = table.quantity("telescope")[rows]
    paths: dict[int, Path] = {}
    unknown = []
    for name in np.unique(releases).tolist():
        release = RELEASES.get(int(name.removeprefix("dr"))) if name.removeprefix("dr").isdecimal() else table.release
        if release is None or kind not in release.files:
            unknown.append((f"the path of {kind} files of {name} is not known", rows[releases == name]))
            continue
        for at_1m in (False, True):
            chosen = rows[(releases == name) & ((telescopes == _1M_TELESCOPE) == at_1m)]
            if len(chosen):
                files = release.files[kind]
                stars = _stars(table, template_fields("".join(files.keywords.values())), chosen)
                found = mirror_paths(root, release.name, files, stars, at_1m=at_1m)
                paths |= dict(zip(chosen.tolist(), found, strict=True))
    return paths, unknown


def _releases_of_files(table: StarTable, rows: np.ndarray) -> np.ndarray:
    """Return the release of which each file is: SDSS-V's table lists files of earlier ones, too."""
    if table.find("release") is None:
        return np.full(len(rows), table.release.name.lower())
    return np.char.lower(table.quantity("release")[rows])


def _stars(table: StarTable, quantities: Iterable[str], rows: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield quantities of rows of the table, a dictionary for each row."""
    columns = {name: table.quantity(name)[rows].tolist() for name in quantities if _has(table, name)}
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _has(table: StarTable, quantity: str) -> bool:
    return table.find(quantity) is not None or quantity in ("telescope", "prefix")


def _paths_of_template(
    table: StarTable, root: Path, template: str, fields: list[str], rows: np.ndarray
) -> dict[int, Path]:
    """Return paths by a template, whose fields are columns or the prefix of the telescope."""
    known = {"prefix", "telescope", *table.column_names}
    if unknown := [field for field in fields if field.lower() not in known]:
        raise ValueError(
            f"path_template has the field(s) {', '.join(unknown)}, but {table.path} has no such column. It has "
            f"{', '.join(sorted(known))}."
        )
    columns = {
        field: (table.identifiers(field) if field.lower() in table.column_names else table.quantity(field.lower()))[
            rows
        ].tolist()
        for field in fields
    }
    values = zip(*columns.values(), strict=True)
    try:
        names = [template.format_map(dict(zip(columns, star, strict=True))) for star in values]
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"path_template={template!r} cannot be filled ({error}). Check the formats in it.") from None
    return {row: root / name for row, name in zip(rows.tolist(), names, strict=True)}


def _without_repeated(paths: Mapping[int, Path]) -> tuple[dict[int, Path], np.ndarray]:
    """Return the paths without later rows of the same file, and these rows."""
    first: dict[Path, int] = {}
    for row in sorted(paths):
        first.setdefault(paths[row], row)
    kept = {row: path for path, row in first.items()}
    return kept, np.array(sorted(set(paths) - set(kept)), dtype=int)
