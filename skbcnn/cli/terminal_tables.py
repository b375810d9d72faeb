"""Tables that fit the terminal, and messages about the progress of long work.

Sentences are printed with `click.echo`, which does not wrap them, so that they stay on one line in a pipe. Tables are
printed with rich.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import click
import numpy as np
from astropy.table import Column
from astropy.table import Table as DataTable
from rich.console import Console
from rich.table import Table

from skbcnn._prediction import ErrorKind, Naming, column_names
from skbcnn.survey import is_missing

_MAIN_LABELS = ("teff", "logg", "Fe", "M", "alpha")  # shown first
_MAX_STARS_WITH_ALL_LABELS = 20  # with more spectra, only the main labels are shown
_MAX_LINES = 40
_GAP = 2  # blanks between columns


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Print the name of a piece of work, and afterwards how long it took.

    Parameters
    ----------
    title : str
        What is done in the block, without a full stop.
    """
    click.echo(f"{title} ...")
    start = time.perf_counter()
    yield
    click.echo(f"  {time.perf_counter() - start:.1f} s")


def counted(n: int, what: str) -> str:
    """Return a number with its noun.

    Parameters
    ----------
    n : int
        Number.
    what : str
        Noun, which gets an s unless there is one.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.cli.terminal_tables import counted
    >>> counted(1, "epoch"), counted(2, "epoch")
    ('1 epoch', '2 epochs')
    """
    return f"{n} {what}{'' if n == 1 else 's'}"


def decimals(spread: float) -> int:
    """Return the number of decimals that shows two digits of a spread.

    Parameters
    ----------
    spread : float
        For instance an error bar.

    Returns
    -------
    n_decimals : int
        0 for a spread above 10.

    Examples
    --------
    >>> from skbcnn.cli.terminal_tables import decimals
    >>> decimals(0.0534), decimals(8.1), decimals(345.0)
    (3, 1, 0)
    """
    return int(np.clip(1 - np.floor(np.log10(spread)), 0, 8)) if 0 < spread < np.inf else 3


def print_residuals(table: DataTable) -> None:
    """Print a table of residuals, and what its columns are.

    Parameters
    ----------
    table : astropy.table.Table
        Table from `residual_table`.
    """
    rows = [
        (
            row["label"],
            str(row["n"]),
            *(f"{row[name]:z.{decimals(row['mad_std'])}f}" for name in ("median_residual", "mad_std")),
            row["unit"],
        )
        for row in table
    ]
    print_table(("label", "spectra", "bias", "scatter", "unit"), rows, left={"label", "unit"})
    click.echo("bias: median of the residuals; scatter: 1.4826 times their median absolute deviation.")


def print_labels(
    table: DataTable,
    label_names: Sequence[str],
    *,
    naming: Naming,
    where_all: str,
    n_spectra: int | None = None,
    sample: DataTable | None = None,
) -> None:
    """Print labels with their errors: one line for each spectrum, as many labels side by side as fit.

    The errors are the calibrated ones if the table has them, otherwise the total ones. A sentence below the labels says
    which.

    Parameters
    ----------
    table : astropy.table.Table
        Table from `prediction_table`, with columns ``star``, ``spectrum`` and ``snr``.
    label_names : sequence of str
        Labels in the table.
    naming : {"skbcnn", "sdssv"}
        Names of the columns of the table.
    where_all : str
        A sentence about where to find what is not shown.
    n_spectra : int, default=None
        Number of spectra, if `table` has only the first ones.
    sample : astropy.table.Table, default=None
        Spectra whose labels are summarised. None: those of `table`.
    """
    n_spectra, sample = len(table) if n_spectra is None else n_spectra, table if sample is None else sample
    console = _console()
    shown = table[:_MAX_LINES]
    names, lead = _lead_columns(shown)
    labels = _main_first(label_names)
    kind: ErrorKind = "calibrated" if column_names(labels[0], naming)["calibrated"] in table.colnames else "total"
    plus_minus = "±" if "utf" in console.encoding.lower() else "+-"
    columns = {}
    for label in labels:
        column = column_names(label, naming)
        values, errors = shown[column["mean"]], shown[column[kind]]
        columns[f"{label}\n{values.unit or ''}"] = _cells(values, errors, plus_minus)
    blocks = _blocks(columns, console.width - sum(_width(*pair) for pair in zip(names, lead, strict=True)))
    for block in blocks if n_spectra <= _MAX_STARS_WITH_ALL_LABELS else blocks[:1]:
        rows = zip(*lead, *(columns[header] for header in block), strict=True)
        print_table((*names, *block), rows, left={"star", "spectrum"})
        click.echo()
    click.echo(
        "Errors are calibrated standard deviations."
        if kind == "calibrated"
        else "Errors are total standard deviations: the model is not calibrated."
    )
    if n_spectra > len(shown) or (n_spectra > _MAX_STARS_WITH_ALL_LABELS and len(blocks) > 1):
        click.echo(
            f"Shown are {len(shown)} of {n_spectra} spectra and {len(blocks[0])} of {len(labels)} labels. {where_all}"
        )
    if n_spectra > len(shown):
        which = f"All {n_spectra}" if len(sample) == n_spectra else f"{len(sample)} of the {n_spectra}"
        click.echo(f"\n{which} spectra:\n")
        print_summary(sample, labels, kind, naming)


def print_summary(table: DataTable, labels: Sequence[str], kind: ErrorKind, naming: Naming) -> None:
    """Print the range of each label and its median error, one line for each label.

    Parameters
    ----------
    table : astropy.table.Table
        Table with the labels and their errors.
    labels : sequence of str
        Labels to show.
    kind : {"total", "calibrated"}
        Errors to show.
    naming : {"skbcnn", "sdssv"}
        Names of the columns of the table.
    """
    rows = []
    for label in labels:
        column = column_names(label, naming)
        values, errors = _known(table[column["mean"]]), _known(table[column[kind]])
        digits = decimals(np.median(errors)) if len(errors) else 3
        numbers = [*np.percentile(values, (5, 50, 95))] if len(values) else [np.nan] * 3
        numbers.append(np.median(errors) if len(errors) else np.nan)
        cells = ["" if np.isnan(number) else f"{number:z.{digits}f}" for number in numbers]
        rows.append((label, *cells, str(table[column["mean"]].unit or "")))
    print_table(("label", "5 %", "median", "95 %", "median error", "unit"), rows, left={"label", "unit"})


def _known(column: Column) -> np.ndarray:
    """Return the values of a column that are not missing: masked, infinite, NaN or -9999."""
    values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    return values[np.isfinite(values) & ~is_missing(values)]


def _main_first(names: Sequence[str]) -> list[str]:
    main = [name for name in _MAIN_LABELS if name in names]
    return main + [name for name in names if name not in main]


def _lead_columns(table: DataTable) -> tuple[list[str], list[list[str]]]:
    """Return names and cells of the columns before the labels."""
    snr = ["" if np.isnan(value) else f"{value:.0f}" for value in table["snr"]]
    columns = {"star": list(table["star"]), "spectrum": list(table["spectrum"]), "S/N": snr}
    if set(columns["spectrum"]) == {"combined"}:
        del columns["spectrum"]
    return list(columns), list(columns.values())


def _cells(values: Column, errors: Column, plus_minus: str) -> list[str]:
    """Return values with their errors as text, with two digits of each error."""
    return [
        f"{v:z.{decimals(e)}f} {plus_minus} {e:.{decimals(e)}f}" if np.isfinite(v) else ""
        for v, e in zip(values, errors, strict=True)
    ]


def _width(header: str, cells: Sequence[str]) -> int:
    return max(map(len, [*header.split("\n"), *cells])) + _GAP


def _blocks(columns: dict[str, list[str]], width: int) -> list[list[str]]:
    """Divide columns into blocks that fit the width, with at least one column each, and return their headers."""
    blocks: list[list[str]] = []
    left = -1
    for header, cells in columns.items():
        column_width = _width(header, cells)
        if column_width > left + _GAP:
            blocks.append([])
            left = width
        blocks[-1].append(header)
        left -= column_width
    return blocks


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str]) -> None:
    """Print a table.

    Parameters
    ----------
    headers : sequence of str
        Titles of the columns.
    rows : iterable of sequence of str
        Cells of each row.
    left : collection of str
        Titles of the columns that are aligned on the left; the others are numbers.
    """
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for position, header in enumerate(headers):
        table.add_column(header, justify="left" if header in left else "right", overflow="fold", no_wrap=position > 0)
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _console() -> Console:
    """Return a rich console that prints text without markup."""
    return Console(markup=False, highlight=False, emoji=False)
