"""Spectra of the survey's FITS files: apStar (combined and visits, with pixel flags) and aspcapStar.

Both hold flux and error in their first two extensions, on the 8575-pixel grid, chip gaps included. The third tells
them apart: pixel flags in an apStar file, ASPCAP's model spectrum in an aspcapStar file.
"""

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from skbcnn.survey import N_APSTAR_PIXELS, apstar_wavelength, is_missing

_COMBINATION_ROW = {"pixel": 0, "global": 1}
_COMBINATION_NAMES = ("combined", "combined (global)")
_N_COMBINATIONS = len(_COMBINATION_NAMES)  # the visits stand in the rows after these


class SkippedRow(NamedTuple):
    """A row of a file that gives no spectrum: its 0-based number, and why in a sentence."""

    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra of one star, as its file has them: gaps included, NaN pixels kept.

    Attributes
    ----------
    flux : ndarray of shape (n_rows, 8575), float32
        In 1e-17 erg / (s cm2 Angstrom), or relative to the continuum if `normalized`.
    error : ndarray of shape (n_rows, 8575), float32
        Standard deviation of the flux.
    bitmask : ndarray of shape (n_rows, 8575), int64
        Pixel flags, see `skbcnn.survey.bad_pixels`; zeros in an aspcapStar file, which has none.
    object_id : str
        APOGEE name of the star, or what the file name says.
    ra, dec : float
        J2000, in degrees; NaN where the header does not say.
    snr : ndarray of shape (n_rows,)
        Signal to noise per pixel, from the header; NaN where it does not say.
    row_names : tuple of str
        ``"combined"``, ``"combined (global)"``, ``"visit 1"``, ...
    skipped : tuple of SkippedRow
        Rows without a spectrum, asked for or not.
    normalized : bool
        Whether the flux is divided by ASPCAP's pseudo-continuum already.
    """

    flux: np.ndarray = field(repr=False)
    error: np.ndarray = field(repr=False)
    bitmask: np.ndarray = field(repr=False)
    object_id: str
    ra: float
    dec: float
    snr: np.ndarray
    row_names: tuple
    skipped: tuple
    normalized: bool

    def __len__(self):
        return len(self.flux)

    @property
    def wavelength(self):
        """Vacuum wavelengths of the pixels in Angstrom, ndarray of shape (8575,)."""
        return apstar_wavelength()


def read_apstar(path, *, visits=False, combination="pixel"):
    """Read the spectra of an apStar file.

    Parameters
    ----------
    path : str or path-like
        The file, which may be gzipped.
    visits : bool, default=False
        Whether to read the visits too, after the combined spectrum. A star visited once may have no row for its
        visit: that is the combined spectrum.
    combination : {"pixel", "global"}, default="pixel"
        Which combined spectrum: visits weighted pixel by pixel (row 0), or each by one weight (row 1, which has no
        pixel flags in DR17 and keeps spikes; stars visited once have none).

    Returns
    -------
    spectra : Spectra
        Rows without flux are left out and named in its `skipped`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is not FITS, or is cut short.
    ValueError
        If it is not an apStar file, or none of the rows asked for has a spectrum.

    See Also
    --------
    read_aspcapstar : The same for aspcapStar files.
    read_fits_spectra : Either, by looking into the file.

    References
    ----------
    .. [1] SDSS data model, apStar.

    Examples
    --------
    A star visited once, whose second row is empty:

    >>> import tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from skbcnn.datasets import read_apstar
    >>> rows = np.vstack([np.ones(8575), np.zeros(8575)])
    >>> primary = fits.PrimaryHDU(header=fits.Header({"OBJID": "2M00000000+0000000", "SNR": 150.0}))
    >>> images = [fits.ImageHDU(image) for image in (rows, 0.01 * rows, np.zeros(rows.shape, int))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fits.HDUList([primary, *images]).writeto(f"{folder}/apStar.fits")
    ...     star = read_apstar(f"{folder}/apStar.fits")
    >>> star.flux.shape, star.row_names, star.snr
    ((1, 8575), ('combined',), array([150.]))
    >>> star.skipped[0].reason
    'row 1, combined (global), has no flux but zeros'
    """
    return _apstar(_read_file(path), visits=visits, combination=combination)


def read_aspcapstar(path):
    """Read the spectrum of an aspcapStar file.

    Parameters
    ----------
    path : str or path-like
        The file, which may be gzipped.

    Returns
    -------
    spectra : Spectra
        One row, divided by ASPCAP's pseudo-continuum, with no pixel flags.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is not FITS, or is cut short.
    ValueError
        If it is not an aspcapStar file, or its spectrum is empty.

    See Also
    --------
    read_apstar : The spectra before normalisation.

    References
    ----------
    .. [1] SDSS data model, aspcapStar.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from skbcnn.datasets import read_aspcapstar
    >>> flux, error, model = np.ones(8575), np.full(8575, 0.01), np.linspace(0.9, 1.0, 8575)
    >>> images = [fits.ImageHDU(image) for image in (flux, error, model)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = f"{folder}/aspcapStar-r12-2M00000000+0000000.fits"
    ...     fits.HDUList([fits.PrimaryHDU(), *images]).writeto(name)
    ...     star = read_aspcapstar(name)
    >>> star.object_id, star.flux.shape, star.normalized
    ('2M00000000+0000000', (1, 8575), True)
    """
    return _aspcapstar(_read_file(path))


def read_fits_spectra(path, *, visits=False, combination="pixel"):
    """Read an apStar or an aspcapStar file, whichever it is.

    Parameters
    ----------
    path : str or path-like
        The file. Its name decides only where its third extension does not (one of floats that are all whole).
    visits, combination
        As in `read_apstar`; an aspcapStar file has one spectrum whatever they say.

    Returns
    -------
    spectra : Spectra
        Its `normalized` tells aspcapStar from apStar.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As `read_apstar` and `read_aspcapstar` do.
    """
    file = _read_file(path)
    return _aspcapstar(file) if _is_aspcapstar(file) else _apstar(file, visits=visits, combination=combination)


class _File(NamedTuple):
    """Primary header and the first three extensions, each of shape (n_rows, 8575)."""

    path: Path
    header: fits.Header
    flux: np.ndarray
    error: np.ndarray
    third: np.ndarray


def _apstar(file, *, visits, combination):
    if combination not in _COMBINATION_ROW:
        raise ValueError(f"combination={combination!r}, expected one of {', '.join(map(repr, _COMBINATION_ROW))}.")
    if not _holds_flags(file.third):
        raise ValueError(
            f"The third extension of {file.path} holds no pixel flags (whole numbers), so this is no apStar file. "
            "Read an aspcapStar file, which has a model spectrum there, with read_aspcapstar."
        )
    asked = [_COMBINATION_ROW[combination]]
    if visits:
        asked += range(_N_COMBINATIONS, len(file.flux))
    return _spectra(file, asked, file.third.astype(np.int64), normalized=False)


def _aspcapstar(file):
    if file.third.dtype.kind in "iu" or len(file.flux) != 1:
        raise ValueError(
            f"{file.path} has {len(file.flux)} row(s) and {file.third.dtype.name} in its third extension, expected one "
            "row and a model spectrum, so this is no aspcapStar file. Read an apStar file with read_apstar."
        )
    return _spectra(file, [0], np.zeros(file.flux.shape, dtype=np.int64), normalized=True)


def _is_aspcapstar(file):
    if file.third.dtype.kind in "iu":
        return False
    return not _holds_flags(file.third) or file.path.name.lower().startswith("aspcap")


def _holds_flags(image):
    return image.dtype.kind in "iu" or bool(np.all(np.isfinite(image) & (image == np.rint(image))))


def _spectra(file, asked, bitmask, *, normalized):
    """Cut the rows asked for out of a file, and account for those that are empty."""
    skipped = _empty_rows(file.flux, asked)
    without = {row for row, _ in skipped}
    rows = [row for row in asked if row not in without]
    if not rows:
        raise ValueError(
            f"{file.path} has no spectrum in the row asked for: {'; '.join(reason for _, reason in skipped)}. "
            "Another row may have one: choose by combination and visits."
        )
    return Spectra(
        flux=_float32(file.flux[rows]),
        error=_float32(file.error[rows]),
        bitmask=bitmask[rows],
        object_id=_object_id(file),
        ra=_number(file.header, "RA"),
        dec=_number(file.header, "DEC"),
        snr=np.array([_snr(file.header, row) for row in rows]),
        row_names=tuple(_row_name(row) for row in rows),
        skipped=tuple(skipped),
        normalized=normalized,
    )


def _empty_rows(flux, asked):
    """Rows with no light in them, and rows asked for that do not exist."""
    usable = np.isfinite(flux).any(axis=1)
    lit = (np.nan_to_num(flux, posinf=0, neginf=0) != 0).any(axis=1)
    what = {True: "has no flux but zeros", False: "has no flux that is a number"}
    faults = {row: what[bool(usable[row])] for row in np.flatnonzero(~lit).tolist()}
    faults |= {row: f"is not among the {len(flux)} rows of the file" for row in asked if row >= len(flux)}
    return [SkippedRow(row, f"row {row}, {_row_name(row)}, {fault}") for row, fault in faults.items()]


def _row_name(row):
    return _COMBINATION_NAMES[row] if row < _N_COMBINATIONS else f"visit {row - _N_COMBINATIONS + 1}"


def _snr(header, row):
    """S/N of a row; files of one visit write 0 for that of the visit, which says nothing."""
    snr = _number(header, "SNR" if row < _N_COMBINATIONS else f"SNRVIS{row - _N_COMBINATIONS + 1}")
    return snr if snr > 0 else np.nan


def _number(header, key):
    """A number of the header; NaN if it is absent, missing (-9999) or no number."""
    try:
        value = float(header[key])
    except (KeyError, TypeError, ValueError, fits.VerifyError):
        return np.nan
    return np.nan if is_missing(value) else value


def _object_id(file):
    for key in ("OBJID", "APOGEE_ID"):
        if name := str(file.header.get(key, "")).strip():
            return name
    named = re.search(r"(2M|AP)\d{8}[+-]\d{7}", file.path.name)
    return named.group() if named else file.path.name.removesuffix(".gz").removesuffix(".fits")


def _float32(values):
    with np.errstate(over="ignore"):  # an error beyond float32 becomes infinite: as good as unknown
        return values.astype(np.float32)


def _read_file(path):
    """Read what every spectrum file has; what is wrong with it becomes a sentence."""
    path = Path(path)
    try:
        with warnings.catch_warnings():
            # of both, what matters here comes back as an error below
            warnings.filterwarnings("ignore", "File may have been truncated")
            warnings.filterwarnings("ignore", "Error validating header")
            with fits.open(path, memmap=False) as hdus:
                header, images = hdus[0].header, [_rows_of_image(hdu) for hdu in _extensions(hdus)]
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (OSError, EOFError, TypeError, ValueError) as error:
        raise OSError(
            f"{path} cannot be read as FITS ({error}): it is another kind of file, or cut short. "
            "Pass an apStar or aspcapStar file, or download it again."
        ) from error
    _check_images(path, images)
    return _File(path, header, *images)


def _extensions(hdus):
    """The first three extensions, or as many as there are; later ones are not even looked at."""
    try:
        for number in (1, 2, 3):
            yield hdus[number]
    except IndexError:
        return


def _rows_of_image(hdu):
    """An image with rows, be there only one; None if the extension is a table or empty."""
    return np.atleast_2d(hdu.data) if hdu.is_image and hdu.data is not None else None


def _check_images(path, images):
    if len(images) < 3 or any(image is None for image in images):
        found = ", ".join("none" if image is None else str(image.shape) for image in images)
        raise ValueError(
            f"{path} is no spectrum: its first extensions have images of shape [{found}], expected three (flux, error, "
            "and pixel flags or a model). Pass an apStar or aspcapStar file; if it is one, download it again."
        )
    flux, error, third = images
    if flux.ndim != 2 or flux.shape[1] != N_APSTAR_PIXELS:
        raise ValueError(
            f"The flux of {path} has shape {flux.shape}, expected (n_rows, {N_APSTAR_PIXELS}): the whole apStar grid "
            "with its chip gaps. Other grids can be fed from an HDF5 file, see write_h5."
        )
    if not flux.shape == error.shape == third.shape:
        raise ValueError(
            f"The first three extensions of {path} have shapes {flux.shape}, {error.shape} and {third.shape}, expected "
            "the same for all. The file is damaged or of another kind; download it again."
        )
