"""Predictions of one part of the spectra, as arrays that can be saved and sent, and catalogues made of such parts.

A part is an array of rows, whose fields are the columns of the catalogue, and a record of everything else: units
and failures. `Layout` collects the records of all parts. It then knows the types of the columns, which the parts do
not know: how long the longest name is, and whether a keyword holds numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Column, Table

from skbcnn._global_settings import default_settings
from skbcnn._left_out import LeftOut
from skbcnn._prediction import Naming, Prediction, column_names
from skbcnn.catalog.spectra_files import FIRST_COLUMNS, TABLE_ROW, LoadedSpectra
from skbcnn.catalog.table_files import text_width
from skbcnn.catalog.tables import prediction_table, quality_columns, star_column
from skbcnn.novelty import NoveltyFlag
from skbcnn.regressor import CensoredBCNNRegressor

ROWS = "rows"  # name of the array of a part
BLOCK_ROWS = 8192  # of a catalogue that are written at once, whatever the size of the parts
# Kinds of keywords. Each can hold the ones before, but a long integer would lose its last digits as a float.
_KINDS = ("int", "long", "float", "text")
_KIND_TYPES = {"int": np.dtype(np.int64), "long": np.dtype(np.int64), "float": np.dtype(np.float64)}
_LONG = 2**53  # the integers from here on are not all floats
_WIDTH_OF_NUMBER = 32  # characters, where a column holds numbers in some files and text in others


def predict_part(
    model: CensoredBCNNRegressor, spectra: LoadedSpectra, naming: Naming
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Predict the labels of the spectra of a part: both steps one after the other.

    Parameters
    ----------
    model, spectra
        As in `predict_spectra`.
    naming
        As in `part_of_catalogue`.

    Returns
    -------
    arrays, record
        From `part_of_catalogue`.
    """
    return part_of_catalogue(model, spectra, predict_spectra(model, spectra), naming)


@default_settings()
def predict_spectra(model: CensoredBCNNRegressor, spectra: LoadedSpectra) -> Prediction | None:
    """Predict the labels of the spectra of a part: the first step, in which the network keeps all cores busy.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    spectra : LoadedSpectra
        From `PartLoader.load`.

    Returns
    -------
    prediction : Prediction or None
        None if there is no spectrum.
    """
    return model._predict_counting_noise_once(spectra.X, spectra.x_err) if len(spectra.X) else None


@default_settings()
def part_of_catalogue(
    model: CensoredBCNNRegressor, spectra: LoadedSpectra, prediction: Prediction | None, naming: Naming
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Assess predicted spectra, and make rows of the catalogue: the second step, on one core.

    Parameters
    ----------
    model, spectra
        As in `predict_spectra`.
    prediction : Prediction or None
        Result of `predict_spectra`.
    naming : {"skbcnn", "sdssv"}
        Names of the columns, as in `prediction_table`.

    Returns
    -------
    arrays : dict of str to ndarray
        ``rows``: a structured array of shape (n_rows,); nothing if there is no row.
    record : dict
        Units, descriptions, failures and numbers, as JSON can hold them.
    """
    record: dict[str, Any] = {
        "failures": spectra.failures,
        "warnings": spectra.warnings,
        "n_renormalized": spectra.n_renormalized,
        "absent": spectra.absent,
    }
    if prediction is None:
        return {}, record
    table = _table(model, spectra, prediction, naming)
    record["units"] = {name: str(column.unit) for name, column in table.columns.items() if column.unit}
    record["descriptions"] = {name: column.description for name, column in table.columns.items() if column.description}
    record["widths"] = {
        name: text_width(np.asarray(column)) for name, column in table.columns.items() if column.dtype.kind == "U"
    }
    record["kinds"] = {name: _kind(values) for name, values in spectra.requested.items() if values.dtype.kind == "O"}
    rows = np.empty(len(table), dtype=[(name, column.dtype) for name, column in table.columns.items()])
    for name in table.colnames:
        rows[name] = table[name]
    return {ROWS: rows}, record


def reserved_columns(model: CensoredBCNNRegressor, naming: Naming) -> list[str]:
    """Return the names of all columns that catalogues of a model can have without requested ones.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    naming : {"skbcnn", "sdssv"}
        Names of the columns of the labels.

    Returns
    -------
    names : list of str

    Raises
    ------
    ValueError
        If the naming is unknown.
    """
    of_labels = [name for label in model.target_names_ for name in column_names(label, naming).values()]
    return [*FIRST_COLUMNS, TABLE_ROW, *of_labels, "noisier", "result_flags", "novelty", "do_not_use"]


def _table(model: CensoredBCNNRegressor, spectra: LoadedSpectra, prediction: Prediction, naming: Naming) -> Table:
    """Return the catalogue of a part; the spectra were checked before."""
    assessment = None
    if model.domain_ is not None:
        assessment = model._assess_checked(spectra.X, prediction, spectra.x_err)
    table = prediction_table(prediction, columns=spectra.columns, assessment=assessment, naming=naming)
    if assessment is None:
        table.update(quality_columns(prediction, None, naming))
    if spectra.unusable.any():
        _remove_labels(table, spectra.unusable, first=len(spectra.columns))
    requested = [
        star_column(name, _as_text(values) if values.dtype.kind == "O" else values, len(table))
        for name, values in spectra.requested.items()
    ]
    table.add_columns(requested, indexes=[len(spectra.columns)] * len(requested))
    return table


def _remove_labels(table: Table, unusable: np.ndarray, first: int) -> None:
    """Mark the labels of some rows as missing: those of the columns from the first label on."""
    for name in table.colnames[first:]:
        if table[name].dtype.kind == "f":
            table[name][unusable] = np.nan
    if "noisier" in table.colnames:
        table["noisier"][unusable] = False
    table["result_flags"][unusable] = NoveltyFlag.NO_RESULT
    if "do_not_use" in table.colnames:
        table["do_not_use"][unusable] = True


def _kind(values: np.ndarray) -> str:
    """Return what a keyword holds in all of some headers; a number that some headers lack is a float."""
    present = [value for value in values if value is not None]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in present):
        return "text"
    is_long = any(isinstance(value, int) and abs(value) >= _LONG for value in present)
    if all(isinstance(value, int) for value in present) and len(present) == len(values):
        return "long" if is_long else "int"
    return "text" if is_long else "float"


def _wider_kind(first: str, second: str) -> str:
    """Return the kind that holds the values of two kinds."""
    return "text" if {first, second} == {"long", "float"} else max(first, second, key=_KINDS.index)


def _lose_digits(types: Sequence[np.dtype]) -> bool:
    """Return whether the common type of numbers is a float, which cannot hold all digits of their integers."""
    return np.result_type(*types).kind == "f" and any(each.kind in "iu" and each.itemsize == 8 for each in types)


def _as_text(values: np.ndarray) -> np.ndarray:
    """Return the values of a keyword as text, empty where it is absent."""
    return np.array(["" if value is None else str(value) for value in values], dtype=str)


class Layout:
    """What the parts of a catalogue have in common: rows in all, types, units and failures."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.failures: list[LeftOut] = []
        self.warnings: dict[str, list[str]] = {}
        self.n_renormalized = 0
        self.absent: dict[str, str] | None = None  # keywords that no FITS file has, and similar ones
        self._types: dict[str, list[np.dtype]] = {}
        self._widths: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self._descriptions: dict[str, str] = {}
        self._units: dict[str, str] = {}
        self._names: list[str] = []

    def add(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
        """Add the results of a part.

        Parameters
        ----------
        arrays, record
            From `predict_part`, or as JSON returns them.
        """
        self.failures += [LeftOut(*entries) for entries in record["failures"]]
        self.n_renormalized += record["n_renormalized"]
        if (absent := record["absent"]) is not None:
            before = absent if self.absent is None else self.absent
            self.absent = {word: similar for word, similar in absent.items() if word in before}
        for spectrum, text in record["warnings"]:
            self.warnings.setdefault(text, []).append(spectrum)
        if ROWS not in arrays:
            return
        rows = arrays[ROWS]
        self.n_rows += len(rows)
        names = list(rows.dtype.names or ())
        if len(names) > len(self._names):  # the column noisier is absent where spectra have no errors
            self._names = names
        for name in names:
            types = self._types.setdefault(name, [])
            if rows.dtype[name] not in types:
                types.append(rows.dtype[name])
        for name, width in record["widths"].items():
            self._widths[name] = max(width, self._widths.get(name, 1))
        for name, kind in record.get("kinds", {}).items():
            self._kinds[name] = _wider_kind(kind, self._kinds.get(name, "int"))
        self._descriptions |= record["descriptions"]
        self._units |= record["units"]

    def empty_rows(self, n_rows: int) -> np.ndarray:
        """Return rows of the final types, with zeros and empty text."""
        return np.zeros(n_rows, dtype=[(name, self._type(name)) for name in self._names])

    def _type(self, name: str) -> np.dtype:
        types = self._types[name]
        if (kind := self._kinds.get(name)) in _KIND_TYPES:  # keywords of FITS files, which are read as text
            types = [_KIND_TYPES[kind], *(each for each in types if each.kind != "U")]
        n_texts = sum(each.kind in "SU" for each in types)
        if not n_texts and not _lose_digits(types):
            return np.result_type(*types)
        return np.dtype(f"U{max(self._widths.get(name, 1), _WIDTH_OF_NUMBER if n_texts < len(types) else 1)}")

    def converted(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of a part in the final types."""
        found = self.empty_rows(len(rows))
        for name in rows.dtype.names or ():
            values = rows[name]
            if values.dtype.kind == "U" and found.dtype[name].kind == "f":
                values = np.where(values == "", "nan", values)
            found[name] = values.astype(found.dtype[name])
        return found

    def table(self, rows: np.ndarray, meta: Mapping[str, Any]) -> Table:
        """Return rows of the final types as a table with units and descriptions."""
        columns = [
            Column(rows[name], name=name, unit=self._units.get(name), description=self._descriptions.get(name))
            for name in self._names
        ]
        return Table(columns, meta=dict(meta))

    def blocks(self, parts: Iterable[np.ndarray], meta: Mapping[str, Any]) -> Iterator[Table]:
        """Yield the catalogue in blocks of `BLOCK_ROWS` rows.

        Parameters
        ----------
        parts : iterable of ndarray
            The rows of all parts in order.
        meta : mapping
            Metadata of the table.

        Yields
        ------
        block : astropy.table.Table
        """
        waiting: list[np.ndarray] = []
        for part in parts:
            waiting.append(self.converted(part))
            while sum(map(len, waiting)) >= BLOCK_ROWS:
                rows = np.concatenate(waiting)
                yield self.table(rows[:BLOCK_ROWS], meta)
                waiting = [rows[BLOCK_ROWS:]]
        if rest := [rows for rows in waiting if len(rows)]:
            yield self.table(np.concatenate(rest), meta)
