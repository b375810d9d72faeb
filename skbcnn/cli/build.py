"""``skbcnn build``: a training set from a table of stars and a mirror of SDSS files."""

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from skbcnn.cli.interruption import continued_later
from skbcnn.cli.output_paths import check_dataset
from skbcnn.cli.terminal_tables import counted, print_table
from skbcnn.datasets import BuiltDataset, Cuts, build_dataset
from skbcnn.datasets.h5 import name_of_new_file
from skbcnn.survey import APOGEE_LABELS


def run_build(*, table: Path, spectra: Path, out: Path, keep_flagged: bool, **options: Any) -> None:
    """Make a training set, and print what it has and what was left out.

    Parameters
    ----------
    table : pathlib.Path
        allStar or astraAllStarASPCAP table.
    spectra : pathlib.Path
        Root of the mirror.
    out : pathlib.Path
        HDF5 file to write.
    keep_flagged : bool
        Whether labels that the survey flags are kept.
    **options
        Other parameters of `build_dataset`, and those of `Cuts`.

    Raises
    ------
    ModuleNotFoundError, ValueError, OSError
        As in `build_dataset`.
    """
    check_dataset(name_of_new_file(out), options["overwrite"], inputs=[table])
    cuts = Cuts(**{field.name: options.pop(field.name) for field in fields(Cuts)})
    with continued_later():
        built = build_dataset(
            table, spectra, out, cuts=cuts, flagged_labels="keep" if keep_flagged else "missing", verbose=1, **options
        )
    _print_summary(built, out)


def _print_summary(built: BuiltDataset, out: Path) -> None:
    visits = f" and {counted(built.n_visits, 'visit')}" if built.n_visits else ""
    labels = _labels_in_words(built.label_names)
    click.echo(f"{built.release}: {built.n_combined} combined spectra{visits}, with {labels}.")
    for note in built.notes:
        click.echo(note)
    if built.left_out:
        click.echo()
        counts = sorted(built.left_out.items(), key=lambda item: -item[1])
        print_table(("left out", "number"), [(reason, str(number)) for reason, number in counts], left={"left out"})
        click.echo(f"\nEach row, file and spectrum that was left out is in {_beside(out, built.left_out_path)}.")
    path = _beside(out, built.path)
    option = " --visits" if built.n_visits else ""
    click.echo(f"The training set is in {path}. Train with: skbcnn train {shlex.quote(str(path))} --out model{option}")


def _labels_in_words(names: Sequence[str]) -> str:
    """Return how many of the labels that ``skbcnn train`` takes by default the file has, and which others."""
    n_default = sum(name in APOGEE_LABELS for name in names)
    others = [name for name in names if name not in APOGEE_LABELS]
    also = f", and {' and '.join(others)}" if others else ""
    return f"{n_default} of the {len(APOGEE_LABELS)} labels of the default target{also}"


def _beside(out: Path, path: Path) -> Path:
    """Return the path of a file beside the output in the spelling of the user."""
    return out.with_name(path.name)
