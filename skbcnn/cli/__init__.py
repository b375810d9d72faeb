"""The command line: ``skbcnn demo``, ``skbcnn train``, ``skbcnn predict``.

`commands` says what can be asked and turns errors into sentences; the module named after each command does its work,
and is imported when that command runs, so that ``skbcnn --help`` answers at once; `screen` prints.
"""

import sys

from skbcnn._optional_dependencies import require_extra

__all__ = ["main"]


def main():
    """Run ``skbcnn`` with the arguments of the process, and exit."""
    try:
        require_extra("cli", "The command line")
    except ModuleNotFoundError as error:
        sys.exit(str(error))
    from skbcnn.cli.commands import skbcnn

    skbcnn(prog_name="skbcnn")
