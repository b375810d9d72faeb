"""Names of input files that stand in a file or on standard input, since those of a survey do not fit a command line."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

STANDARD_INPUT = Path("-")


def named_spectra(arguments: Sequence[Path], files_from: Path | None) -> list[Path]:
    """Return all names of files and folders that the user gave.

    Parameters
    ----------
    arguments : sequence of pathlib.Path
        Names on the command line; ``-`` stands for the names on standard input.
    files_from : pathlib.Path or None
        File with further names; ``-`` for standard input.

    Returns
    -------
    names : list of pathlib.Path
        In the order given.

    Raises
    ------
    click.UsageError
        If there is no name.
    OSError
        If the file cannot be read.
    """
    names: list[Path] = []
    for argument in arguments:
        names += _names_in(_standard_input()) if argument == STANDARD_INPUT else [argument]
    if files_from is not None:
        names += _names_in(_standard_input() if files_from == STANDARD_INPUT else files_from.read_bytes())
    if not names:
        raise click.UsageError("There is no name of a file. Give SOURCES, or names by --files-from.")
    return names


def _standard_input() -> bytes:
    return sys.stdin.buffer.read()


def _names_in(content: bytes) -> list[Path]:
    """Return names that are divided by line feeds, or by zero bytes as ``find -print0`` writes them."""
    separator = b"\0" if b"\0" in content else b"\n"
    return [Path(os.fsdecode(name)) for name in map(bytes.strip, content.split(separator)) if name]
