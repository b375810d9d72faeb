"""The command line, run in the process of the tests."""

from pathlib import Path

from click.testing import CliRunner, Result

from skbcnn.cli.commands import skbcnn

DATA = Path(__file__).parents[1] / "data"
GIANT = DATA / "apStar-dr17-2M17335483-2753043.fits.gz"
DWARF = DATA / "apStar-dr17-2M19485057+5005279.fits"
TINY = {"num_hidden": (8, 8, 4, 4, 2), "num_filters": (1, 2), "n_draws": 4, "lr": 0.001}


def run(*arguments: object, columns: int = 80, stdin: str | None = None) -> Result:
    """Run a command: exit code, output and error stream."""
    environment = {"COLUMNS": str(columns), "FORCE_COLOR": None, "TTY_COMPATIBLE": None}
    return CliRunner(env=environment).invoke(skbcnn, [str(argument) for argument in arguments], input=stdin)


def succeed(*arguments: object, columns: int = 80, stdin: str | None = None) -> str:
    """Run a command that succeeds, and return its output."""
    result = run(*arguments, columns=columns, stdin=stdin)
    assert result.exit_code == 0, result.output or result.exception
    return result.output


def refuse(*arguments: object) -> str:
    """Run a command that fails, and return its error message."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr
