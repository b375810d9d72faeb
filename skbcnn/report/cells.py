"""Labels, numbers and tables as they stand in the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Row, Table
from markupsafe import Markup

from skbcnn.plotting._label_text import decimals_for, format_number
from skbcnn.report.texts import plain_symbol
from skbcnn.survey import find_label

Cell = str | Markup
NOT_KNOWN = "\N{EN DASH}"
_MARKUP = {"teff": Markup("<i>T</i><sub>eff</sub>"), "logg": Markup("log <i>g</i>")}


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes
    ----------
    caption : str
        What the table shows.
    header : sequence of str
        Titles of the columns.
    rows : sequence of sequence of str
        Cells; the first of each row is its title.
    note : str, default=""
        Explanation below the table.
    text_columns : frozenset of int
        Columns with text, which are aligned on the left; the first one is always among them.
    """

    caption: str
    header: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    text_columns: frozenset[int] = field(default=frozenset({0}))


def symbol(name: str) -> Cell:
    """Return the symbol of a label for HTML; it is escaped where it is put into the page."""
    label = find_label(name)
    return plain_symbol(name) if label is None else _MARKUP.get(label.name, plain_symbol(name))


def number(value: float, decimals: int) -> str:
    """Return a number as text; a dash if it is not finite."""
    return format_number(value, decimals) if np.isfinite(value) else NOT_KNOWN


def share(value: float) -> str:
    """Return a share in per cent; a dash if it is NaN."""
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%" if np.isfinite(value) else NOT_KNOWN


def bias_and_scatter(row: Row) -> str:
    """Return the bias (median) and the scatter of residuals, with two digits of the scatter."""
    decimals = decimals_for(row["mad_std"])
    return f"{number(row['median_residual'], decimals)} \N{PLUS-MINUS SIGN} {number(row['mad_std'], decimals)}"


def pivot(table: Table, title: str, text: Callable[[Row], str]) -> tuple[list[Cell], list[list[Cell]]]:
    """Return a table with one row for each label and one column for each range.

    Parameters
    ----------
    table : astropy.table.Table
        Columns ``range`` and ``label``, one row for each cell.
    title : str
        Title of the first column.
    text : callable
        Row of the table -> text of the cell.

    Returns
    -------
    header : list of str
    rows : list of list of str
        A dash where a label has no row.
    """
    cells = {(row["range"], row["label"]): row for row in table}
    names, labels = list(dict.fromkeys(table["range"])), list(dict.fromkeys(table["label"]))
    header: list[Cell] = [title, *map(str, names)]
    rows: list[list[Cell]] = [
        [symbol(label), *(text(cells[name, label]) if (name, label) in cells else NOT_KNOWN for name in names)]
        for label in labels
    ]
    return header, rows
