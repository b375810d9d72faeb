"""What the command line prints: tables that fit the terminal, and how long things take.

Sentences go through `click.echo`, which leaves them in one line where the output is a pipe; tables through rich.
"""

import time
from contextlib import contextmanager

import click
import numpy as np
from rich.console import Console
from rich.table import Table

_MAIN_LABELS = ("teff", "logg", "Fe", "M", "alpha")  # shown first
_FEW = 20  # spectra: of these all labels are shown, of more the main ones
_MOST_LINES = 500


@contextmanager
def stage(title):
    """Say what is being done, and afterwards how long it took.

    Parameters
    ----------
    title : str
        What is done in the block, as a sentence begins.
    """
    click.echo(f"{title} ...")
    start = time.perf_counter()
    yield
    click.echo(f"  {time.perf_counter() - start:.1f} s")


def decimals(spread):
    """Decimals that show two digits of a spread, none if it exceeds ten.

    Parameters
    ----------
    spread : float
        An error bar, say.

    Returns
    -------
    n_decimals : int

    Examples
    --------
    >>> from skbcnn.cli.screen import decimals
    >>> decimals(0.0534), decimals(8.1), decimals(345.0)
    (3, 1, 0)
    """
    return int(np.clip(1 - np.floor(np.log10(spread)), 0, 8)) if 0 < spread < np.inf else 3


def print_residuals(table):
    """Print a residual table.

    Parameters
    ----------
    table : astropy.table.Table
        From `residual_table`.
    """
    rows = [
        (
            row["label"],
            str(row["n"]),
            *(f"{row[name]:.{decimals(row['mad_std'])}f}" for name in ("median_residual", "mad_std")),
            row["unit"],
        )
        for row in table
    ]
    _print_table(("label", "stars", "median", "mad_std", "unit"), rows, left={"label", "unit"})


def print_labels(table, label_names, *, where_all):
    """Print labels with their errors, one line for each spectrum; as many labels beside each other as there is room.

    Parameters
    ----------
    table : astropy.table.Table
        From `prediction_table`, with columns ``star``, ``spectrum`` and ``snr``.
    label_names : sequence of str
        The labels in it.
    where_all : str
        A sentence that says where to find what is not shown.
    """
    console = _console()
    shown = table[:_MOST_LINES]
    names, lead = _lead_columns(shown)
    labels = _main_first(label_names)
    plus_minus = "±" if "utf" in console.encoding.lower() else "+-"
    columns = {_header(shown, name): _cells(shown, name, plus_minus) for name in labels}
    blocks = _blocks(columns, console.width - sum(_width(*pair) for pair in zip(names, lead, strict=True)))
    for block in blocks if len(table) <= _FEW else blocks[:1]:
        rows = zip(*lead, *(columns[header] for header in block), strict=True)
        _print_table((*names, *block), rows, left={"star", "spectrum"})
        click.echo()
    if len(table) > len(shown) or (len(table) > _FEW and len(blocks) > 1):
        click.echo(
            f"Shown are {len(shown)} of {len(table)} spectra and {len(blocks[0])} of {len(labels)} labels. {where_all}"
        )


def _main_first(names):
    main = [name for name in _MAIN_LABELS if name in names]
    return main + [name for name in names if name not in main]


def _lead_columns(table):
    """What stands before the labels in each line: names of the columns, and their cells."""
    snr = ["" if np.isnan(value) else f"{value:.0f}" for value in table["snr"]]
    columns = {"star": list(table["star"]), "spectrum": list(table["spectrum"]), "S/N": snr}
    if set(columns["spectrum"]) == {"combined"}:
        del columns["spectrum"]
    return list(columns), list(columns.values())


def _header(table, name):
    unit = table[name].unit
    return f"{name}\n{unit or ''}"


def _cells(table, name, plus_minus):
    """Values with their errors, two digits of a typical error shown."""
    values, errors = table[name], table[f"{name}_err"]
    digits = decimals(np.median(errors))
    return [f"{v:.{digits}f} {plus_minus} {e:.{digits}f}" for v, e in zip(values, errors, strict=True)]


_GAP = 2  # blanks between columns


def _width(header, cells):
    return max(map(len, [*header.split("\n"), *cells])) + _GAP


def _blocks(columns, room):
    """Headers of the columns that fit beside each other, at least one at a time."""
    blocks, left = [], -1
    for header, cells in columns.items():
        width = _width(header, cells)
        if width > left + _GAP:
            blocks.append([])
            left = room
        blocks[-1].append(header)
        left -= width
    return blocks


def _print_table(headers, rows, left):
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for position, header in enumerate(headers):
        table.add_column(header, justify="left" if header in left else "right", overflow="fold", no_wrap=position > 0)
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _console():
    """A rich console on the present output, which takes text as it comes."""
    return Console(markup=False, highlight=False, emoji=False)
