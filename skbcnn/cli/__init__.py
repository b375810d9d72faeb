"""The command line: ``skbcnn demo``, ``skbcnn train``, ``skbcnn predict``.

`commands` defines the commands and their options. The module named after each command runs it, and is imported when the
command runs, so that ``skbcnn --help`` is quick. `output_paths` checks outputs before the work, and `terminal_tables`
prints.
"""

import sys

from skbcnn._optional_dependencies import require_extra

__all__ = ["main"]


def main() -> None:
    """Run ``skbcnn`` with the arguments of the process, and exit."""
    try:
        require_extra("cli", "The command line")
    except ModuleNotFoundError as error:
        sys.exit(str(error))
    from skbcnn.cli.commands import skbcnn

    skbcnn(prog_name="skbcnn")
