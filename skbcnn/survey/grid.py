"""The pixel grid of APOGEE spectra: wavelengths, detectors and the gaps between them.

Combined spectra (apStar) have 8575 pixels evenly spaced in log wavelength. The light falls on three detectors
("chips"). The network reads the pixels of the chips only, joined without the gaps.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple, TypeVar

import numpy as np

N_APSTAR_PIXELS = 8575
"""Number of pixels of an apStar spectrum, including the gaps between the chips."""

_LOG10_START, _LOG10_STEP = 4.179, 6e-6  # CRVAL1 and CDELT1 of every apStar file


class Chip(NamedTuple):
    """One detector: pixels ``start`` (included) to ``stop`` (excluded) of the apStar grid."""

    name: str
    start: int
    stop: int

    @property
    def n_pixels(self) -> int:
        """Number of pixels of this chip."""
        return self.stop - self.start


_DR12_CHIPS = (Chip("blue", 322, 3242), Chip("green", 3648, 6048), Chip("red", 6412, 8306))
_DR13_CHIPS = (Chip("blue", 246, 3274), Chip("green", 3585, 6080), Chip("red", 6344, 8335))
_CHIPS_OF_RELEASE = {release: _DR12_CHIPS if release <= 12 else _DR13_CHIPS for release in range(11, 21)}
_CONTINUUM_TABLE_OF_RELEASE = {release: 14 if release <= 15 else 17 for release in range(13, 21)}


_Row = TypeVar("_Row")


def _row_of_release(table: dict[int, _Row], data_release: int, subject: str) -> _Row:
    try:
        return table[int(data_release)]
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"data_release={data_release!r}, but {subject} known for APOGEE data releases "
            f"{min(table)} to {max(table)}. Pass one of these as a number."
        ) from None


def chips(data_release: int = 17) -> tuple[Chip, ...]:
    """Return the chips of a data release.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 11 to 20. Releases from 13 on have the same layout.

    Returns
    -------
    chips : tuple of Chip
        Blue, green and red chip.

    Raises
    ------
    ValueError
        If the release is not one of 11 to 20.

    Examples
    --------
    >>> from skbcnn.survey import chips
    >>> [chip.n_pixels for chip in chips(14)]
    [3028, 2495, 1991]
    """
    return _row_of_release(_CHIPS_OF_RELEASE, data_release, "the chips are")


def kept_pixels(data_release: int = 17) -> np.ndarray:
    """Return the indices of the apStar pixels that lie on a chip.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 11 to 20.

    Returns
    -------
    indices : ndarray of shape (7514,), or (7214,) for releases 11 and 12
        0-based indices in ascending order.

    Examples
    --------
    >>> from skbcnn.survey import kept_pixels
    >>> kept_pixels(17).shape, kept_pixels(12).shape
    ((7514,), (7214,))
    """
    return np.concatenate([np.arange(chip.start, chip.stop) for chip in chips(data_release)])


def chip_slices(data_release: int = 17) -> dict[str, slice]:
    """Return the position of each chip in a spectrum without gaps.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 11 to 20.

    Returns
    -------
    slices : dict of str to slice
        Pixels of each chip, by its name, in order of wavelength.

    Examples
    --------
    >>> from skbcnn.survey import chip_slices
    >>> chip_slices(17)["green"]
    slice(3028, 5523, None)
    """
    slices, start = {}, 0
    for chip in chips(data_release):
        slices[chip.name] = slice(start, start + chip.n_pixels)
        start += chip.n_pixels
    return slices


def apstar_wavelength() -> np.ndarray:
    """Return the vacuum wavelengths of the 8575 apStar pixels.

    Returns
    -------
    wavelength : ndarray of shape (8575,)
        Wavelengths in Angstrom.

    Examples
    --------
    >>> from skbcnn.survey import apstar_wavelength
    >>> apstar_wavelength()[[0, -1]].round(2)
    array([15100.8 , 16999.81])
    """
    return 10.0 ** (_LOG10_START + _LOG10_STEP * np.arange(N_APSTAR_PIXELS))


def wavelength(data_release: int = 17) -> np.ndarray:
    """Return the vacuum wavelengths of the pixels without gaps.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 11 to 20.

    Returns
    -------
    wavelength : ndarray of shape (7514,), or (7214,) for releases 11 and 12
        Wavelengths in Angstrom.

    Examples
    --------
    >>> from skbcnn.survey import wavelength
    >>> wavelength()[[0, -1]].round(2)
    array([15152.21, 16943.53])
    """
    return apstar_wavelength()[kept_pixels(data_release)]


@cache
def _continuum_table(release: int) -> np.ndarray:
    table = files("skbcnn.survey") / "tables" / f"continuum_pixels_dr{release}.csv"
    with table.open() as lines:
        pixels = np.loadtxt(lines, dtype=np.intp, skiprows=3)
    pixels.flags.writeable = False
    return pixels


def continuum_pixels(data_release: int = 17) -> np.ndarray:
    """Return the pixels in which the spectra of giants show the continuum.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release. Releases 13 to 15 have the 529 pixels of DR14, which networks published for DR14 need for
        files of any release. Releases from 16 on have the 532 pixels of DR17, which SDSS-V (DR18 to DR20) uses, too.

    Returns
    -------
    pixels : ndarray of shape (n_continuum,)
        0-based indices on the 7514-pixel grid, in ascending order. Read-only.

    Raises
    ------
    ValueError
        If the continuum pixels of the release are not known.

    Examples
    --------
    >>> from skbcnn.survey import continuum_pixels
    >>> len(continuum_pixels(14)), len(continuum_pixels(17))
    (529, 532)
    """
    return _continuum_table(_row_of_release(_CONTINUUM_TABLE_OF_RELEASE, data_release, "continuum pixels are"))
