"""What a command leaves out, on the terminal."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from skbcnn._left_out import NOT_NORMALISED, LeftOut, cause
from skbcnn.cli.messages import for_command_line

_N_SHOWN = 10


def print_left_out(left_out: Sequence[LeftOut], listed: Path | None) -> None:
    """Print the first files and spectra that are left out, and how many there are, on the error stream.

    Parameters
    ----------
    left_out : sequence of LeftOut
        Files and spectra.
    listed : pathlib.Path or None
        List of all of them, if there is one.
    """
    for one in left_out[:_N_SHOWN]:
        shown = one._replace(detail=cause(one.detail)) if one.spectrum else one  # a file has few, so advice has room
        click.secho(f"Left out: {for_command_line(str(shown))}", fg="yellow", err=True)
    reasons = Counter(one.reason for one in left_out)
    if len(left_out) > _N_SHOWN:
        counts = "; ".join(f"{reason}: {n}" for reason, n in reasons.most_common())
        click.echo(f"{len(left_out)} files and spectra are left out ({counts}).", err=True)
    if NOT_NORMALISED in reasons:
        click.echo("With --no-continuum fill, spectra that cannot be normalised on one chip are used, too.", err=True)
    if left_out and listed is not None:
        click.echo(f"The complete list is in {listed}.", err=True)
