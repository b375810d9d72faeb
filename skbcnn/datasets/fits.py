"""Spectra of the survey's FITS files: apStar (combined and visits, with pixel flags) and aspcapStar.

Both have flux and error in their first two extensions, on the 8575-pixel grid with the chip gaps. The third extension
differs: pixel flags in an apStar file, ASPCAP's model spectrum in an aspcapStar file.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from skbcnn._file_kinds import unreadable_fits
from skbcnn.datasets.fits_images import READ_ERRORS, Source, read_first_images
from skbcnn.survey import N_APSTAR_PIXELS, apstar_wavelength, is_missing

_COMBINATION_ROW = {"pixel": 0, "global": 1}
_COMBINATION_NAMES = ("combined", "combined (global)")
_LARGEST_OFFSET = 3e-6  # half a pixel, in log10 of the wavelength
_SHAPES_OF_DETECTORS = ((3, 4096), (3, 2048))  # apVisit files, with and without dithering
_EXPECTED = "an apStar or aspcapStar file"
_MWM_EXTENSIONS = ("BOSS/", "APOGEE/")  # beginnings of the names in mwmStar and mwmVisit files
N_COMBINATIONS = len(_COMBINATION_NAMES)  # the rows after these are visits


class SkippedRow(NamedTuple):
    """A row of a file without a spectrum.

    Attributes
    ----------
    row : int
        Number of the row, 0-based.
    reason : str
        Why it has no spectrum.
    """

    row: int
    reason: str

    @property
    def name(self) -> str:
        """Name of the row, as in `Spectra.row_names`."""
        return _row_name(self.row)


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra of one star as in its file, with chip gaps and NaN pixels.

    Attributes
    ----------
    flux : ndarray of shape (n_rows, 8575), float32
        Flux in 1e-17 erg / (s cm2 Angstrom), or relative to the continuum if `normalized`.
    error : ndarray of shape (n_rows, 8575), float32
        Standard deviation of the flux.
    bitmask : ndarray of shape (n_rows, 8575), int64
        Pixel flags, see `skbcnn.survey.bad_pixels`; zeros for an aspcapStar file, which has none.
    object_id : str
        APOGEE name of the star, from the header or the file name.
    ra, dec : float
        J2000, in degrees; NaN if the header lacks them.
    snr : ndarray of shape (n_rows,)
        Signal-to-noise ratio per pixel, from the header; NaN if it is missing there.
    row_names : tuple of str
        Names of the rows: ``"combined"``, ``"combined (global)"``, ``"visit 1"``, ...
    skipped : tuple of SkippedRow
        Rows without a spectrum, including rows that were not selected.
    normalized : bool
        Whether the flux is divided by a continuum, as in aspcapStar files.
    """

    flux: np.ndarray = field(repr=False)
    error: np.ndarray = field(repr=False)
    bitmask: np.ndarray = field(repr=False)
    object_id: str
    ra: float
    dec: float
    snr: np.ndarray
    row_names: tuple[str, ...]
    skipped: tuple[SkippedRow, ...]
    normalized: bool

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def combination(self) -> str | None:
        """Combined spectrum in the first row: ``"pixel"`` or ``"global"``; None if the first row is a visit."""
        return dict(zip(_COMBINATION_NAMES, _COMBINATION_ROW, strict=True)).get(self.row_names[0])

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of the file in which the spectra are, from 0."""
        names = {_row_name(row): row for row in range(N_COMBINATIONS)}
        return tuple(
            names[name] if name in names else N_COMBINATIONS - 1 + int(name.removeprefix("visit "))
            for name in self.row_names
        )

    @property
    def wavelength(self) -> np.ndarray:
        """Vacuum wavelengths of the pixels in Angstrom, ndarray of shape (8575,)."""
        return apstar_wavelength()


def read_apstar(path: Source, *, visits: bool = False, combination: str = "pixel") -> Spectra:
    """Read the spectra of an apStar file.

    Parameters
    ----------
    path : str, path-like, binary file object, or astropy.io.fits.HDUList
        FITS file, which may be gzipped. File objects and HDU lists stay open.
    visits : bool, default=False
        Whether to read the visits after the combined spectrum. A star with one visit may have no row for it: the
        combined spectrum is the visit.
    combination : {"pixel", "global"}, default="pixel"
        Combined spectrum: visits weighted pixel by pixel (row 0), or with one weight for each visit (row 1, which has
        no pixel flags and unremoved spikes in DR17; stars with one visit do not have it).

    Returns
    -------
    spectra : Spectra
        Rows without flux are omitted and listed in `skipped`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is not FITS, or is cut short.
    ValueError
        If it is not an apStar file, its header states another grid of wavelengths, or no selected row has a spectrum.

    See Also
    --------
    read_aspcapstar : The same for aspcapStar files.
    read_fits_spectra : Reads both, and detects which it is.

    References
    ----------
    .. [1] SDSS data model, apStar.

    Examples
    --------
    A star with one visit, whose second row is empty:

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
    'row 1, combined (global), has zero flux everywhere'
    """
    return _apstar(_read_file(path), visits=visits, combination=combination)


def read_aspcapstar(path: Source) -> Spectra:
    """Read the spectrum of an aspcapStar file.

    Parameters
    ----------
    path : str, path-like, binary file object, or astropy.io.fits.HDUList
        FITS file, which may be gzipped. File objects and HDU lists stay open.

    Returns
    -------
    spectra : Spectra
        One row, divided by ASPCAP's pseudo-continuum, without pixel flags.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the file is not FITS, or is cut short.
    ValueError
        If it is not an aspcapStar file, its header states another grid of wavelengths, or its spectrum is empty.

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


def read_fits_spectra(path: Source, *, visits: bool = False, combination: str = "pixel") -> Spectra:
    """Read an apStar or an aspcapStar file, and detect which it is.

    Parameters
    ----------
    path : str, path-like, binary file object, or astropy.io.fits.HDUList
        FITS file, as in `read_apstar`. Its name is used only if its third extension is ambiguous: floats that are
        all whole numbers.
    visits, combination
        As in `read_apstar`; ignored for an aspcapStar file, which has one spectrum.

    Returns
    -------
    spectra : Spectra
        `normalized` is True for aspcapStar files.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As in `read_apstar` and `read_aspcapstar`.
    """
    file = _read_file(path)
    return _aspcapstar(file) if _is_aspcapstar(file) else _apstar(file, visits=visits, combination=combination)


def lost_rows(star: Spectra, visits: bool) -> list[SkippedRow]:
    """Return the selected rows that have no spectrum: visits only if they were selected, and no other combination.

    Parameters
    ----------
    star : Spectra
        Spectra that were read.
    visits : bool
        Whether visits were selected.

    Returns
    -------
    rows : list of SkippedRow
    """
    has_combined = any(name.startswith("combined") for name in star.row_names)
    return [row for row in star.skipped if (visits if row.row >= N_COMBINATIONS else not has_combined)]


class _File(NamedTuple):
    """Primary header and first three extensions, each of shape (n_rows, 8575)."""

    path: Path
    header: fits.Header
    flux: np.ndarray
    error: np.ndarray
    third: np.ndarray


def _apstar(file: _File, *, visits: bool, combination: str) -> Spectra:
    if combination not in _COMBINATION_ROW:
        raise ValueError(f"combination={combination!r}, expected one of {', '.join(map(repr, _COMBINATION_ROW))}.")
    if not _has_flags(file.third):
        raise ValueError(
            f"The third extension of {file.path} has no pixel flags (whole numbers), so this is no apStar file. "
            "If it is an aspcapStar file, which has a model spectrum there, use read_aspcapstar."
        )
    selected = [_COMBINATION_ROW[combination]]
    if visits:
        selected += range(N_COMBINATIONS, len(file.flux))
    return _spectra(file, selected, normalized=False)


def _aspcapstar(file: _File) -> Spectra:
    if file.third.dtype.kind in "iu" or len(file.flux) != 1:
        raise ValueError(
            f"{file.path} has {len(file.flux)} row(s) and {file.third.dtype.name} in its third extension, expected one "
            "row and a model spectrum, so this is no aspcapStar file. If it is an apStar file, use read_apstar."
        )
    return _spectra(file, [0], normalized=True)


def _is_aspcapstar(file: _File) -> bool:
    if file.third.dtype.kind in "iu":
        return False
    return not _has_flags(file.third) or file.path.name.lower().startswith("aspcap")


def _has_flags(image: np.ndarray) -> bool:
    return image.dtype.kind in "iu" or bool(np.all(np.isfinite(image) & (image == np.rint(image))))


def _spectra(file: _File, selected: Sequence[int], *, normalized: bool) -> Spectra:
    """Take the selected rows of a file that are not empty. Normalised spectra have no pixel flags."""
    skipped = _empty_rows(file.flux, selected)
    without = dict(skipped)
    rows = [row for row in selected if row not in without]
    if not rows:
        raise ValueError(
            f"{file.path} has no spectrum in the selected rows: {'; '.join(without[row] for row in selected)}. "
            "Select other rows by combination and visits."
        )
    return Spectra(
        flux=_float32(file.flux[rows]),
        error=_float32(file.error[rows]),
        bitmask=np.zeros((len(rows), N_APSTAR_PIXELS), np.int64) if normalized else file.third[rows].astype(np.int64),
        object_id=_object_id(file),
        ra=_number(file.header, "RA"),
        dec=_number(file.header, "DEC"),
        snr=np.array([_snr(file.header, row) for row in rows]),
        row_names=tuple(_row_name(row) for row in rows),
        skipped=tuple(skipped),
        normalized=normalized,
    )


def _empty_rows(flux: np.ndarray, selected: Sequence[int]) -> list[SkippedRow]:
    """Return rows without flux, and selected rows that do not exist."""
    is_number = np.isfinite(flux)
    has_numbers = is_number.any(axis=1)
    has_light = (is_number & (flux != 0)).any(axis=1)
    reasons = {True: "has zero flux everywhere", False: "has no flux that is a number"}
    faults = {row: reasons[bool(has_numbers[row])] for row in np.flatnonzero(~has_light).tolist()}
    faults |= {row: f"is not among the {len(flux)} rows of the file" for row in selected if row >= len(flux)}
    return [SkippedRow(row, f"row {row}, {_row_name(row)}, {fault}") for row, fault in faults.items()]


def _row_name(row: int) -> str:
    return _COMBINATION_NAMES[row] if row < N_COMBINATIONS else f"visit {row - N_COMBINATIONS + 1}"


def _snr(header: fits.Header, row: int) -> float:
    """Return the S/N of a row; NaN instead of 0, which files with one visit have for the visit."""
    snr = _number(header, "SNR" if row < N_COMBINATIONS else f"SNRVIS{row - N_COMBINATIONS + 1}")
    return snr if snr > 0 else np.nan


def _number(header: fits.Header, key: str) -> float:
    """Return a number of the header; NaN if it is absent, missing (-9999) or not a number."""
    try:
        value = float(header[key])
    except (KeyError, TypeError, ValueError, fits.VerifyError):
        return np.nan
    return np.nan if is_missing(value) else value


def _object_id(file: _File) -> str:
    for key in ("OBJID", "APOGEE_ID"):
        with suppress(fits.VerifyError):
            if name := str(file.header.get(key, "")).strip():
                return name
    named = re.search(r"(2M|AP)\d{8}[+-]\d{7}", file.path.name)
    return named.group() if named else file.path.name.removesuffix(".gz").removesuffix(".fits")


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # an error beyond float32 becomes infinite, which means unknown
        return values.astype(np.float32)


def _read_file(source: Source) -> _File:
    """Read header and images of a file, and explain errors."""
    path = _path_of(source)
    try:
        header, images, other_names = read_first_images(source)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except READ_ERRORS as error:
        if not isinstance(source, str | PathLike):  # nor need the path be that of a file
            raise OSError(f"{path} cannot be read as FITS ({error}). Pass {_EXPECTED}.") from error
        raise OSError(unreadable_fits(path, error, _EXPECTED)) from error
    if any(name.startswith(_MWM_EXTENSIONS) for name in other_names):
        raise ValueError(
            f"{path} is {_mwm_kind(path)} of SDSS-V, expected an apStar or aspcapStar file. Its extensions APOGEE/APO "
            "and APOGEE/LCO are tables: read one with astropy.table.Table.read(path, hdu='APOGEE/APO'), and pass its "
            "columns flux, ivar and pixel_flags to prepare_for_model as flux, ivar and bitmask. For the command line, "
            "write the prepared spectra with write_h5."
        )
    _check_grid(path, header)
    return _File(path, header, *_checked_images(path, images))


def _path_of(source: Source) -> Path:
    """Return the path of a file for messages and for the name of the star."""
    if isinstance(source, fits.HDUList):
        return Path(source.filename() or "HDUList")
    if isinstance(source, str | PathLike):
        return Path(source)
    if not hasattr(source, "read"):
        raise TypeError(
            f"The file is a {type(source).__name__}, expected a path, a file opened in binary mode, or an HDUList."
        )
    name = getattr(source, "name", None)
    return Path(name if isinstance(name, str) else type(source).__name__)


def _mwm_kind(path: Path) -> str:
    """Return which of the two kinds of file of SDSS-V a path names."""
    name = path.name.lower()
    kinds = [kind for kind in ("mwmStar", "mwmVisit") if name.startswith(kind.lower())]
    return f"an {' or '.join(kinds or ['mwmStar', 'mwmVisit'])} file"


def _check_grid(path: Path, header: fits.Header) -> None:
    """Raise if the primary header states other wavelengths than those of the apStar grid."""
    start, step, reference = (_number(header, key) for key in ("CRVAL1", "CDELT1", "CRPIX1"))
    if np.isnan(start) or np.isnan(step):
        return
    first = start - step * (np.nan_to_num(reference, nan=1.0) - 1)
    found = first, first + step * (N_APSTAR_PIXELS - 1)
    expected = _ends_of_grid()
    if max(abs(found[0] - expected[0]), abs(found[1] - expected[1])) > _LARGEST_OFFSET:
        raise ValueError(
            f"The wavelengths of {path} are on another grid: its header has CRVAL1={start:g} and CDELT1={step:g}, "
            f"so that pixels 1 and {N_APSTAR_PIXELS} are at {found[0]:.6g} and {found[1]:.6g}, expected log10 of the "
            f"vacuum wavelength in Angstrom, {expected[0]:.6g} and {expected[1]:.6g}. Interpolate the spectra to the "
            "apStar grid, and write them to an HDF5 file with write_h5."
        )


@cache
def _ends_of_grid() -> tuple[float, float]:
    """Return log10 of the first and the last wavelength of the apStar grid."""
    first, last = np.log10(apstar_wavelength()[[0, -1]]).tolist()
    return first, last


def _checked_images(path: Path, images: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return flux, error and the third image, checked to have the shape of APOGEE spectra."""
    present = [image for image in images if image is not None]
    if len(present) < 3:
        found = ", ".join("none" if image is None else str(image.shape) for image in images)
        raise ValueError(
            f"{path} has no spectrum: its first extensions have images of shape [{found}], expected three (flux, "
            "error, and pixel flags or a model). Pass an apStar or aspcapStar file; if it is one, download it again."
        )
    flux, error, third = present
    if flux.shape in _SHAPES_OF_DETECTORS:
        raise ValueError(
            f"{path} has flux of shape {flux.shape}, expected (n_rows, {N_APSTAR_PIXELS}). It is an apVisit file: one "
            "visit in the observed frame, on the pixels of the three detectors. The apStar file of the star contains "
            "its visits at rest, on the common grid: read that one, with its visits."
        )
    if flux.ndim != 2 or flux.shape[1] != N_APSTAR_PIXELS:
        raise ValueError(
            f"The flux of {path} has shape {flux.shape}, expected (n_rows, {N_APSTAR_PIXELS}): the whole apStar grid "
            "with its chip gaps. Write spectra on other grids to an HDF5 file with write_h5."
        )
    if not flux.shape == error.shape == third.shape:
        raise ValueError(
            f"The first three extensions of {path} have shapes {flux.shape}, {error.shape} and {third.shape}, expected "
            "the same for all. The file is damaged or of another kind; download it again."
        )
    for image, name in ((flux, "flux"), (error, "flux error")):
        if image.dtype.kind != "f":
            raise ValueError(
                f"The {name} of {path} consists of integers ({image.dtype.name}), expected floating-point numbers, as "
                "all files of the survey have them. The header is damaged (BITPIX), or the file is of another kind; "
                "download it again."
            )
    return flux, error, third
