"""What an output leaves out: rows of a table, files and spectra, and their list, a CSV file beside the output.

All lists have the columns of `LeftOut`. The reasons are few, so that they can be counted. Users of Python and of the
command line read these lists, so that the details say what is wrong and give no advice: see `cause`.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from skbcnn._error_level import HighFluxErrorsError

NO_FILE = "there is no such file"
UNREADABLE = "the file cannot be read"
NO_SPECTRUM = "the file has no spectrum"
EMPTY = "the spectrum is empty"
NOT_NORMALISED = "the spectrum cannot be normalised"
NO_SIGNAL = "the S/N of the spectrum is below 1"

_COLUMNS_BEFORE = ("file", "spectrum", "reason")  # those of all lists, also of earlier versions
_LATER_SENTENCES = re.compile(r"\(([^()]*?)[.!?] [A-Z][^()]*\)")
_END_OF_SENTENCE = re.compile(r"[.!?](?= [A-Z`])")


class LeftOut(NamedTuple):
    """A row of a table, a file or a spectrum that an output leaves out: a row of the list.

    Attributes
    ----------
    file : str
        Path of the file; empty for a row of a table whose file was not used.
    spectrum : str
        Name of the spectrum in the file, such as ``"visit 2"`` or ``"row 7"``; empty for all.
    reason : str
        Why it was left out, in a few words that are the same for all that have the same fault.
    detail : str, default=""
        More about it, such as the message of an error.
    star : str, default=""
        Name of the star, if it is known.
    row : int, default=None
        Row of the table of stars, from 0. None: there is no such table.
    """

    file: str
    spectrum: str
    reason: str
    detail: str = ""
    star: str = ""
    row: int | None = None

    def __str__(self) -> str:
        what = self.detail or self.reason
        if self.file and not self.spectrum and self.file in what:
            return what
        where = [self.file, self.spectrum] if self.file else [f"row {self.row}", self.star]
        return f"{', '.join(filter(None, where))}: {what}"


Writer: TypeAlias = Callable[[Iterable[LeftOut]], None]
"""Writes rows of a list."""


def fault_of_file(error: Exception, other: str = NO_SPECTRUM) -> tuple[str, str]:
    """Return reason and detail of a file that cannot be used.

    Parameters
    ----------
    error : OSError or ValueError
        What its reader raised.
    other : str, default="the file has no spectrum"
        Reason if the file can be read.

    Returns
    -------
    reason, detail : str
    """
    if isinstance(error, FileNotFoundError):
        return NO_FILE, ""
    if isinstance(error, OSError) and error.strerror:
        return UNREADABLE, error.strerror + (f": {error.filename}" if error.filename else "")
    return UNREADABLE if isinstance(error, OSError) else other, str(error) or type(error).__name__


def fault_of_spectrum(fault: ValueError) -> tuple[str, str]:
    """Return reason and detail of a spectrum that cannot be prepared.

    Parameters
    ----------
    fault : ValueError
        One of the faults of `ModelPreparation.prepare_each`.

    Returns
    -------
    reason, detail : str
    """
    return NO_SIGNAL if isinstance(fault, HighFluxErrorsError) else NOT_NORMALISED, str(fault)


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
    if not set(_COLUMNS_BEFORE) <= set(names):
        raise FileExistsError(f"{path} exists. Choose another name, or pass overwrite=True.")


@contextmanager
def left_out_table(path: Path) -> Iterator[Writer]:
    """Write a list.

    Parameters
    ----------
    path : pathlib.Path
        File to write.

    Yields
    ------
    write : callable
        Function that writes rows. Of each detail it writes the cause.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:  # names of files are any bytes
        table = csv.writer(file, lineterminator="\n")
        table.writerow(LeftOut._fields)
        yield lambda rows: table.writerows(
            row._replace(detail=cause(row.detail, Path(row.file) if row.file else None)) for row in rows
        )


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
