"""What a command that can be continued says when it is interrupted."""

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def continued_later() -> Iterator[None]:
    """Say after Ctrl-C that the work is kept, and that the same command goes on from there."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted. What is finished is kept: the same command goes on from there.", err=True)
        raise
