"""The primary header and the first images of a FITS file.

For the spectra of a star, `astropy.io.fits.open` spends most of the time on the headers of the extensions. In files of
the survey these are plain images: unscaled, with the mandatory cards as the FITS standard (version 4.0) demands them.
Such images are read by their positions in the file. Whatever is not plain, or not whole, is left to astropy, which also
knows what is wrong with it.
"""

import gzip
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from skbcnn._file_kinds import FITS, GZIP, kind_of_file
from skbcnn.survey import N_APSTAR_PIXELS

N_IMAGES = 3
READ_ERRORS = (OSError, EOFError, TypeError, ValueError, KeyError, AttributeError, MemoryError, fits.VerifyError)
"""What astropy raises for files that are not FITS, or damaged."""

_MAX_PIXELS = 5000 * N_APSTAR_PIXELS  # of an image: more than any star has, so that a damaged header asks for no memory
_BLOCK = 2880  # bytes; headers and data are padded to whole blocks (FITS standard, section 3.1)
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # by BITPIX (section 4.4.1)
_CARD = re.compile(r"([A-Z0-9 ]{8})= +(T|'IMAGE   '|-?[0-9]+) *(?:/.*)?")  # a mandatory one (section 4.4.1)
_CARD_LENGTH = 80
_SCALING = re.compile(f"(?:.{{{_CARD_LENGTH}}})*?(?:BSCALE|BZERO|BLANK) *=")
_END = re.compile(rb"(?:.{%d})*?END {%d}" % (_CARD_LENGTH, _CARD_LENGTH - 3), re.DOTALL)

Source: TypeAlias = str | PathLike[str] | BinaryIO | fits.HDUList
"""What the readers take: the path of a file, an open file, or its HDUs."""


class FirstImages(NamedTuple):
    """Primary header and first extensions of a FITS file.

    Attributes
    ----------
    header : astropy.io.fits.Header
        Primary header.
    images : list of (ndarray of shape (n_rows, n_columns) or None)
        Images of up to three extensions; None for a table and for an extension without data.
    other_names : list of str
        Names of the extensions that have no image.
    """

    header: fits.Header
    images: list[np.ndarray | None]
    other_names: list[str]


def read_first_images(source: Source) -> FirstImages:
    """Read the primary header and the images of the first three extensions of a FITS file.

    Parameters
    ----------
    source : str, path-like, binary file object, or astropy.io.fits.HDUList
        FITS file, which may be gzipped. File objects and HDU lists stay open.

    Returns
    -------
    file : FirstImages

    Raises
    ------
    OSError, EOFError, TypeError, ValueError, KeyError, AttributeError, MemoryError, astropy.io.fits.VerifyError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from skbcnn.datasets.fits_images import read_first_images
    >>> table = fits.BinTableHDU(np.array([(1,)], dtype=[("a", int)]), name="A")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(4)), table]).writeto(f"{folder}/a.fits")
    ...     file = read_first_images(f"{folder}/a.fits")
    >>> file.images
    [array([[1., 1., 1., 1.]], dtype='>f8'), None]
    >>> file.other_names
    ['A']
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # a file that cannot be read raises an error
        if isinstance(source, str | PathLike) and (plain := read_plain_images(Path(source))) is not None:
            return plain
        with _opened(source) as hdus:
            extensions = list(_extensions(hdus))
            # names are read only where an image is absent, because each takes as long as a tenth of the file
            other_names = [hdu.name for hdu in extensions if not (hdu.is_image and hdu.shape)]
            return FirstImages(hdus[0].header, [_rows_of_image(hdu) for hdu in extensions], other_names)


def read_plain_images(path: Path) -> FirstImages | None:
    """Read a file whose first three extensions are plain images.

    Parameters
    ----------
    path : pathlib.Path
        File of any kind.

    Returns
    -------
    file : FirstImages or None
        None for any other file.
    """
    if kind_of_file(path) != FITS:
        return None
    try:
        with path.open("rb") as file:
            header = _next_header(file)
            if _first_values(header, "SIMPLE", "BITPIX", "NAXIS", "EXTEND")[::2] != ["T", "0"]:
                return None
            images: list[np.ndarray | None] = [_next_plain_image(file) for _ in range(N_IMAGES)]
    except READ_ERRORS:
        return None
    return FirstImages(fits.Header.fromstring(header), images, [])


def _next_plain_image(file: BinaryIO) -> np.ndarray:
    """Return the image whose header comes next, as rows; raise an error if it is not plain."""
    header = _next_header(file)
    *_, n_axes = _first_values(header, "XTENSION", "BITPIX", "NAXIS")
    axes = ("NAXIS1", "NAXIS2")[: int(n_axes)]
    kind, bits, _, *lengths, n_parameters, n_groups = _first_values(
        header, "XTENSION", "BITPIX", "NAXIS", *axes, "PCOUNT", "GCOUNT"
    )
    shape = [int(length) for length in reversed(lengths)]
    n_pixels = math.prod(shape)
    is_one_image = (kind, n_parameters, n_groups) == ("'IMAGE   '", "0", "1")
    if not is_one_image or not 0 < n_pixels <= _MAX_PIXELS or _SCALING.match(header):
        raise ValueError("not a plain image")
    image = np.fromfile(file, _TYPES[int(bits)], n_pixels).reshape(shape)
    file.seek(-image.nbytes % _BLOCK, 1)
    return np.atleast_2d(image)


def _next_header(file: BinaryIO) -> str:
    """Return the header that comes next; raise an error if it has no end or is no text."""
    header = b""
    while not _END.match(header):
        if len(block := file.read(_BLOCK)) < _BLOCK:
            raise EOFError("a header has no end")
        header += block
    if not (text := header.decode("ascii")).isprintable():
        raise ValueError("a header is no text")
    return text


def _first_values(header: str, *keywords: str) -> list[str]:
    """Return the values of the first cards of a header; raise a ValueError if they have other keywords."""
    values = []
    for number, keyword in enumerate(keywords):
        card = _CARD.fullmatch(header, number * _CARD_LENGTH, (number + 1) * _CARD_LENGTH)
        if card is None or card[1].rstrip() != keyword:
            raise ValueError(f"card {number + 1} is not {keyword}")
        values.append(card[2])
    return values


@contextmanager
def _opened(source: Source) -> Iterator[fits.HDUList]:
    """Yield the HDUs of a file. What the user opened stays open."""
    if isinstance(source, fits.HDUList):
        yield source
    elif isinstance(source, str | PathLike):
        with fits.open(source, memmap=False) as hdus:
            yield hdus
    else:
        source.seek(0)
        content = source.read()
        if isinstance(content, str):
            raise TypeError("the file is opened as text; open it with mode 'rb'")
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        with fits.open(BytesIO(content)) as hdus:
            yield hdus


def _extensions(hdus: fits.HDUList) -> Iterator[Any]:
    """Yield the first extensions; astropy reads later ones only when they are used."""
    try:
        for number in range(1, N_IMAGES + 1):
            yield hdus[number]
    except IndexError:
        return


def _rows_of_image(hdu: Any) -> np.ndarray | None:
    """Return an image as rows; None if the extension is a table or empty."""
    if hdu.is_image and (n_pixels := math.prod(hdu.shape)) > _MAX_PIXELS:
        raise ValueError(f"an image has {n_pixels} pixels")
    return np.atleast_2d(hdu.data) if hdu.is_image and hdu.data is not None else None
