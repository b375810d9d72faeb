"""Lists of the files and spectra that an output leaves out: CSV files beside the output.

Each list begins with the columns `COLUMNS`, whatever wrote it; others may follow. Users of Python and of the command
line read these lists, so that a reason says what is wrong and gives no advice: see `cause`.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COLUMNS = ("file", "spectrum", "reason")
"""First columns of each list: path of the file, name of the spectrum in it (empty: all), and why it is left out."""

_LATER_SENTENCES = re.compile(r"\(([^()]*?)[.!?] [A-Z][^()]*\)")
_END_OF_SENTENCE = re.compile(r"[.!?](?= [A-Z`])")


def left_out_path(out: Path) -> Path:
    """Return the name of the list of what an output leaves out.

    Parameters
    ----------
    out : pathlib.Path
        The output.

    Returns
    -------
    path : pathlib.Path

    Examples
    --------
    >>> from pathlib import Path
    >>> from skbcnn._left_out import left_out_path
    >>> left_out_path(Path("datasets.h5")).name
    'datasets.h5-left-out.csv'
    """
    return out.with_name(f"{out.name}-left-out.csv")


def check_left_out(path: Path, overwrite: bool) -> None:
    """Raise if a list would replace a file that is no such list.

    Parameters
    ----------
    path : pathlib.Path
        Name of the list.
    overwrite : bool
        Whether any file may be replaced.

    Raises
    ------
    FileExistsError
        If there is a file that is no list, and `overwrite` is False.
    IsADirectoryError
        If there is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}, the list of what is left out, is a folder. Choose another output.")
    if not path.exists() or overwrite:
        return
    with path.open("rb") as file:
        names = file.readline(200).decode(errors="replace").rstrip().split(",")
    if not set(COLUMNS) <= set(names):
        raise FileExistsError(f"{path} exists. Choose another name, or pass overwrite=True.")


@contextmanager
def left_out_table(path: Path, *more: str) -> Iterator[Any]:
    """Write a list.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    *more : str
        Columns after those of every list.

    Yields
    ------
    table : csv.writer
        Writer for the rows.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:  # names of files are any bytes
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*COLUMNS, *more))
        yield table


def cause(error: Exception | str, path: Path | None = None) -> str:
    """Return what is wrong, without advice: the first sentence of a message.

    Parameters
    ----------
    error : Exception or str
        Error, or its message.
    path : pathlib.Path, default=None
        File that the list names beside the message. None: no file.

    Returns
    -------
    cause : str
        One line.

    Examples
    --------
    >>> from pathlib import Path
    >>> from skbcnn._left_out import cause
    >>> cause("/data/a.fits has no spectrum. Select other rows by visits=True.", Path("/data/a.fits"))
    'The file has no spectrum.'
    """
    message = (isinstance(error, OSError) and error.strerror) or error
    text = " ".join(str(message).split())
    if path is not None:
        text = re.sub(f"^{re.escape(str(path))}", "The file", text).replace(f"no file {path}", "no such file")
        text = text.replace(str(path), "the file")
    text = _LATER_SENTENCES.sub(r"(\1)", text)
    for end in _END_OF_SENTENCE.finditer(text):
        before = text[: end.end()]
        if before.count("(") == before.count(")"):
            return before
    return text
