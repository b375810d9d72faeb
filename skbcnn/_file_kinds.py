"""What files are, by their content, for messages about files of another kind than expected."""

import errno
import gzip
import zlib
from pathlib import Path

GZIP = b"\x1f\x8b"  # first bytes of a gzipped file
FITS = "a FITS file"
_SIGNATURES = {  # first bytes of files, and what they are
    b"SIMPLE  =": FITS,
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"PAR1": "a Parquet file",
    b"PK\3\4": "a zip file",
    b"\x80": "a pickle",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF file",
}
_ARRAYS = ".npz"  # suffix of the zip files of NumPy
_N_BYTES = 512  # that are looked at
_READ_ERRORS = (OSError, EOFError, zlib.error)
_INTERNAL_ERRORS = (AttributeError, TypeError, LookupError)  # of astropy, caused by a damaged header


def kind_of_file(path: Path) -> str | None:
    """Return what a file is.

    Parameters
    ----------
    path : pathlib.Path
        Path. It may not exist.

    Returns
    -------
    kind : str or None
        Such as "an HDF5 file", or "a gzipped text file"; None if it is no file, or none that is known.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skbcnn._file_kinds import kind_of_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stars.fits"
    ...     _ = path.write_text("teff,logg")
    ...     kind_of_file(path)
    'a text file'
    """
    try:
        with path.open("rb") as file:
            start = file.read(_N_BYTES)
    except OSError:
        return None
    if path.suffix.lower() == _ARRAYS and start:
        return f"a file of arrays ({_ARRAYS}), such as the checkpoint of an unfinished training"
    if not start.startswith(GZIP):
        return _kind_of(start)
    try:
        with gzip.open(path) as file:
            packed = _kind_of(file.read(_N_BYTES))
    except _READ_ERRORS:
        packed = None
    return "a gzipped file" if packed is None else f"a gzipped {packed.partition(' ')[2]}"


def _kind_of(start: bytes) -> str | None:
    if not start:
        return "an empty file"
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # else a character is cut in two
            return None
        text = start[: error.start].decode()
    return "a text file" if text and all(letter.isprintable() or letter.isspace() for letter in text) else None


def is_fits(path: Path) -> bool:
    """Return whether a file is FITS, which may be gzipped.

    Parameters
    ----------
    path : pathlib.Path
        Path. It may not exist.
    """
    return kind_of_file(path) in (FITS, f"a gzipped {FITS.partition(' ')[2]}")


def unreadable_fits(path: Path, error: Exception, expected: str) -> str:
    """Return a message about a file that cannot be read as FITS.

    Parameters
    ----------
    path : pathlib.Path
        File, or the name of an open file.
    error : Exception
        What its reader raised.
    expected : str
        What the file should be, such as "an apStar or aspcapStar file".

    Returns
    -------
    message : str
    """
    kind = kind_of_file(path)
    if kind is None or kind == "a gzipped file" or is_fits(path):
        what = f"cannot be read as FITS{_reason(error)}: it is cut short, damaged, or another kind of file"
    else:
        what = f"is {kind}, expected {expected}"
    return f"{path} {what}. Pass another file, or download it again."


def _reason(error: Exception) -> str:
    """Return the message of an error in brackets; nothing if the message does not describe the file."""
    if isinstance(error, _INTERNAL_ERRORS) or (isinstance(error, OSError) and error.errno == errno.EINVAL):
        return ""
    message = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    return f" ({message.rstrip('.')})" if message else ""
