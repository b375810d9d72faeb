"""Files of spectra, divided into parts that are read one at a time, as rows that a model can predict.

`open_spectra` looks at apStar, aspcapStar and HDF5 files and divides them into parts; a `PartLoader` reads a part.
Spectra of FITS files are prepared as the model records; those of HDF5 files are used as they are. A file or a spectrum
that cannot be used does not stop the others.

The loader can be sent to other processes. It holds no network, so that reading does not import TensorFlow.
"""

import os
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np
from astropy.io import fits
from sklearn.utils import gen_batches

from skbcnn._flux_level import is_near_one, training_level
from skbcnn._left_out import EMPTY, LeftOut, fault_of_file, fault_of_spectrum
from skbcnn.catalog.h5_rows import check_h5, read_h5_rows, unusable_columns
from skbcnn.catalog.requested_columns import check_h5_columns
from skbcnn.datasets import H5Loader, Spectra, read_fits_spectra
from skbcnn.datasets.fits import lost_rows
from skbcnn.datasets.h5 import spectra_shape
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.survey import continuum_pixels, kept_pixels

if TYPE_CHECKING:
    from skbcnn.regressor import CensoredBCNNRegressor

CHUNK_SIZE = 1024  # rows of an HDF5 file in a part: 60 MB of flux and errors of APOGEE
_FITS_SHARE, _VISITS_SHARE = 4, 16  # of this number is the number of FITS files in a part, without and with visits
FIRST_COLUMNS = ("star", "spectrum", "file", "row", "snr", "ra", "dec")
"""First columns of a catalogue."""

TABLE_ROW = "table_row"
"""Column with the row of the table of stars that lists the file."""

TABLE_STAR = "table_star"
"""Name of the star in this table; no column of the catalogue, which has the name in the file."""

_UNFIT = "the spectra of the file do not fit the model"

_H5_SUFFIXES, _FITS_SUFFIXES = (".h5", ".hdf5"), (".fits", ".fit", ".gz")


class Part(NamedTuple):
    """Spectra that are read and predicted together.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        FITS files, or one HDF5 file.
    rows : tuple of (int, int) or None
        First row, and the row after the last one, of an HDF5 file; None for FITS files.
    of_files : dict of str to ndarray of shape (n_files,), or None
        `TABLE_ROW`, `TABLE_STAR` and columns of a table that lists the FITS files; None without a table.
    """

    paths: tuple[Path, ...]
    rows: tuple[int, int] | None = None
    of_files: dict[str, np.ndarray] | None = None

    @property
    def size(self) -> int:
        """Number of rows of an HDF5 file, or of FITS files."""
        return len(self.paths) if self.rows is None else self.rows[1] - self.rows[0]

    def __str__(self) -> str:
        if self.rows is not None:
            return f"rows {self.rows[0]} to {self.rows[1] - 1} of {self.paths[0]}"
        return str(self.paths[0]) + (f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else "")


class LoadedSpectra(NamedTuple):
    """The spectra of a part, in the form that a model takes, and what happened to the others.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_pixels), float32
        Flux in units of the continuum.
    x_err : ndarray of shape (n_rows, n_pixels), float32, or None
        Errors of the flux.
    columns : dict of str to sequence of length n_rows
        Names, coordinates and S/N of the spectra: the first columns of a catalogue.
    requested : dict of str to ndarray of shape (n_rows,)
        Columns that come along, by their names in the catalogue; objects where they are text or keywords of FITS
        headers (None where absent).
    unusable : ndarray of bool of shape (n_rows,)
        Rows of HDF5 files that have no labels; their flux is 1.
    failures : list of LeftOut
        Files and spectra without labels.
    warnings : list of tuple of (str, str)
        Warnings of the preparation: the spectrum, and what was said.
    n_renormalized : int
        Number of files with normalised spectra.
    absent : dict of str to str, or None
        Requested keywords that no FITS file of the part has, and a similar one that the last file has, or nothing.
        None if the columns are not keywords.
    """

    X: np.ndarray
    x_err: np.ndarray | None
    columns: dict[str, Any]
    requested: dict[str, np.ndarray]
    unusable: np.ndarray
    failures: list[LeftOut]
    warnings: list[tuple[str, str]]
    n_renormalized: int = 0
    absent: dict[str, str] | None = None


class OpenedSpectra(NamedTuple):
    """Files of spectra that can be read.

    Attributes
    ----------
    parts : list of Part
        Parts, in the order of the files.
    loader : PartLoader
        Reader of a part.
    notes : list of str
        What the user must know about the files, as sentences.
    failures : list of LeftOut
        Files that cannot be used.
    """

    parts: list[Part]
    loader: "PartLoader"
    notes: list[str]
    failures: list[LeftOut]


def open_spectra(
    model: "CensoredBCNNRegressor",
    paths: Sequence[Path],
    *,
    visits: bool = False,
    combination: str | None = None,
    no_continuum: str | None = None,
    columns: Mapping[str, str] | None = None,
    of_files: Mapping[str, np.ndarray] | None = None,
    folder: Path | None = None,
    chunk_size: int = CHUNK_SIZE,
) -> OpenedSpectra:
    """Divide files of spectra into parts, after a look at each HDF5 file. FITS files are not opened yet.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted, such as the result of `load_folder`.
    paths : sequence of pathlib.Path
        apStar, aspcapStar and HDF5 files.
    visits : bool, default=False
        Whether to read the visits of apStar files.
    combination : {"pixel", "global"}, default=None
        Combined spectrum of apStar files. None: the one that the model was trained on.
    no_continuum : {"raise", "fill"}, default=None
        Treatment of a chip without continuum in FITS files, as in `ContinuumNormalizer`: refuse the spectrum, or count
        all pixels of the chip as bad. None: that of the training spectra.
    columns : mapping of str to str, default=None
        Columns of HDF5 files and keywords of the headers of FITS files that come along, by their names in the
        catalogue.
    of_files : mapping of str to ndarray of shape (n_paths,), default=None
        `TABLE_ROW`, `TABLE_STAR` and columns of a table of stars that lists the files, which are then FITS files. The
        columns come along instead.
    folder : pathlib.Path, default=None
        Folder to which the names of files in the catalogue are relative. None: the one that all have in common.
    chunk_size : int, default=1024
        Number of rows of an HDF5 file in a part; a part has a quarter as many FITS files, or a sixteenth with visits.

    Returns
    -------
    opened : OpenedSpectra

    Raises
    ------
    ValueError
        If FITS files are among the files and the model's preparation is unknown or does not lead to its pixels, or an
        HDF5 file lacks a requested column.
    """
    parts: list[Part] = []
    notes: list[str] = []
    failures: list[LeftOut] = []
    preparation = None
    fits_files: list[Path] = []
    n_files = max(1, chunk_size // (_VISITS_SHARE if visits else _FITS_SHARE))
    near_one = is_near_one(training_level(model))
    columns = columns or {}

    def close_fits_part(limit: int, n_read: int) -> None:
        if len(fits_files) >= limit:
            some = slice(n_read - len(fits_files), n_read)
            values = None if of_files is None else {name: column[some] for name, column in of_files.items()}
            parts.append(Part(tuple(fits_files), None, values))
            fits_files.clear()

    for number, path in enumerate(paths):
        if of_files is not None or not _is_hdf5(path):
            if preparation is None:
                preparation = ModelPreparation.from_model(model, combination, no_continuum)
                preparation.gap_remover()  # raises if the model takes other pixels
                notes += preparation.notes
            fits_files.append(path)
            close_fits_part(n_files, number + 1)
            continue
        close_fits_part(1, number)
        try:
            check_is_file(path)
            check_h5(path, model.n_features_in_, training_level(model))
            n_rows, _ = spectra_shape(path)
            read_h5_rows(path, np.arange(1), near_one)  # raises if a column cannot be used
            notes += unusable_columns(path) + _other_preparation(path, getattr(model, "preprocessing_", {}))
        except (OSError, ValueError) as error:
            failures.append(LeftOut(str(path), "", *fault_of_file(error, _UNFIT)))
            continue
        check_h5_columns(path, columns.values(), n_rows)
        parts += [Part((path,), (rows.start, rows.stop)) for rows in gen_batches(n_rows, chunk_size)]
    close_fits_part(1, len(paths))
    loader = PartLoader(
        model.n_features_in_, near_one, preparation, visits, dict(columns), folder or common_folder(paths)
    )
    return OpenedSpectra(parts, loader, notes, failures)


@dataclass(frozen=True)
class PartLoader:
    """Reader of parts, which can be pickled.

    Attributes
    ----------
    n_pixels : int
        Number of pixels that the model takes.
    near_one : bool
        Whether its training spectra were divided by their continuum.
    preparation : ModelPreparation or None
        How spectra of FITS files are prepared; None if there are no such files.
    visits : bool
        Whether the visits of apStar files are read.
    columns : dict of str to str
        Columns that come along, by their names in the catalogue.
    folder : pathlib.Path
        Folder to which the names of files are relative.
    """

    n_pixels: int
    near_one: bool
    preparation: ModelPreparation | None
    visits: bool
    columns: dict[str, str]
    folder: Path

    def load(self, part: Part) -> LoadedSpectra:
        """Read the spectra of a part.

        Parameters
        ----------
        part : Part
            One of those of `open_spectra`.

        Returns
        -------
        spectra : LoadedSpectra
        """
        if part.rows is None:
            return self._load_fits(part.paths, part.of_files)
        return self._load_h5(part.paths[0], np.arange(*part.rows))

    def _load_h5(self, path: Path, rows: np.ndarray) -> LoadedSpectra:
        found = read_h5_rows(path, rows, self.near_one, list(self.columns.values()))
        stars = found.columns["star"]
        failures = [
            LeftOut(str(path), f"row {rows[row]}", *fault, star=str(stars[row]))
            for row, fault in sorted(found.faults.items())
        ]
        unusable = np.isin(np.arange(len(rows)), list(found.faults))
        columns = {**found.columns, "file": [self._name(path)] * len(rows), "row": rows}
        columns = {name: columns[name] for name in FIRST_COLUMNS}
        requested = {name: found.requested[column] for name, column in self.columns.items()}
        return LoadedSpectra(found.X, found.x_err, columns, requested, unusable, failures, [])

    def _name(self, path: Path) -> str:
        """Return the name of a file in the catalogue."""
        name = os.path.relpath(path, self.folder)
        return os.fsencode(name).decode("utf-8", "backslashreplace")  # names of files can be any bytes

    def _load_fits(self, paths: Sequence[Path], of_files: Mapping[str, np.ndarray] | None) -> LoadedSpectra:
        stars: list[_Star] = []
        failures: list[LeftOut] = []
        positions: list[int] = []
        keywords = {} if of_files is not None else self.columns

        def add_failure(position: int, spectrum: str, reason: str, detail: str, star: str = "") -> None:
            row = None if of_files is None else int(of_files[TABLE_ROW][position])
            star = star if of_files is None else str(of_files[TABLE_STAR][position])
            failures.append(LeftOut(str(paths[position]), spectrum, reason, detail, star, row))

        for position, path in enumerate(paths):
            try:
                check_is_file(path)
                star = read_fits_spectra(path, visits=self.visits, combination=self._fits_preparation.combination)
                stars.append(_Star(self._name(path), star, fits.getheader(path, 0) if keywords else None))
            except (OSError, ValueError) as error:
                add_failure(position, "", *fault_of_file(error))
                continue
            positions.append(position)
            for row in lost_rows(star, self.visits):
                add_failure(position, row.name, EMPTY, row.reason, star.object_id)
        X, x_err, faults, remarks = self._prepared([star.spectra for star in stars])
        names = [
            (position, name, one.spectra.object_id)
            for position, one in zip(positions, stars, strict=True)
            for name in one.spectra.row_names
        ]
        for (position, name, object_id), fault in zip(names, faults, strict=True):
            if fault is not None:
                add_failure(position, name, *fault_of_spectrum(fault), object_id)
        usable = np.array([fault is None for fault in faults], dtype=bool)
        of_rows = [values for star in stars for values in star.of_rows()]
        of_rows = [values for values, is_usable in zip(of_rows, usable, strict=True) if is_usable]
        columns = {name: [values[name] for values in of_rows] for name in FIRST_COLUMNS} if of_rows else {}
        n_rows_of_files = [len(star.spectra) for star in stars]
        if of_files is not None:
            values_of_stars = {name: values[positions] for name, values in of_files.items() if name != TABLE_STAR}
        else:
            values_of_stars = {name: _objects([star.value(word) for star in stars]) for name, word in keywords.items()}
        return LoadedSpectra(
            X[usable],
            x_err[usable],
            columns,
            {name: np.repeat(values, n_rows_of_files)[usable] for name, values in values_of_stars.items()},
            unusable=np.zeros(len(of_rows), dtype=bool),
            failures=failures,
            warnings=[
                (f"{paths[position]}, {name}", remark)
                for (position, name, _), remark in zip(names, remarks, strict=True)
                if remark is not None
            ],
            n_renormalized=sum(star.spectra.normalized for star in stars),
            absent=_absent(stars, keywords.values()) if stars and of_files is None else None,
        )

    @property
    def _fits_preparation(self) -> ModelPreparation:
        if self.preparation is None:
            raise RuntimeError("This reader was made for HDF5 files.")
        return self.preparation

    def _prepared(
        self, stars: Sequence[Spectra]
    ) -> tuple[np.ndarray, np.ndarray, list[ValueError | None], list[str | None]]:
        """Return flux and errors of all spectra of some stars, what is wrong with each, and what is odd."""
        n_rows = sum(map(len, stars))
        X, x_err = np.empty((2, n_rows, self.n_pixels), dtype=np.float32)
        faults: list[ValueError | None] = [None] * n_rows
        remarks: list[str | None] = [None] * n_rows
        if not n_rows:
            return X, x_err, faults, remarks
        flux, error, bitmask = (
            np.concatenate([getattr(star, name) for star in stars]) for name in ("flux", "error", "bitmask")
        )
        normalized = np.repeat([star.normalized for star in stars], [len(star) for star in stars])
        for is_normalized in np.unique(normalized):
            rows = np.flatnonzero(normalized == is_normalized)
            found = self._fits_preparation.prepare_each(
                flux[rows], error[rows], bitmask[rows], normalized=bool(is_normalized)
            )
            X[rows], x_err[rows] = found.X, found.x_err
            for row, fault, note in zip(rows, found.faults, found.notes, strict=True):
                faults[row], remarks[row] = fault, note
        return X, x_err, faults, remarks


class _Star(NamedTuple):
    """A FITS file that was read."""

    name: str
    spectra: Spectra
    header: fits.Header | None

    def of_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the first columns of each spectrum."""
        star = self.spectra
        for name, row, snr in zip(star.row_names, star.rows, star.snr, strict=True):
            values = (star.object_id, name, self.name, row, snr, star.ra, star.dec)
            yield dict(zip(FIRST_COLUMNS, values, strict=True))

    def value(self, keyword: str) -> Any:
        """Return the value of a keyword; None if the header lacks it, or its card is damaged."""
        try:
            value = None if self.header is None else self.header.get(keyword)
        except fits.VerifyError:
            return None
        return value.strip() if isinstance(value, str) else value


def check_is_file(path: Path) -> None:
    """Raise an OSError if a path is a folder, or if nothing is there."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file of spectra. Pass the files in it, {path}/*.fits.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")


def _is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5, by its suffix, or by its content if the suffix is of no known kind."""
    suffix = path.suffix.lower()
    if suffix in _H5_SUFFIXES or suffix in _FITS_SUFFIXES:
        return suffix in _H5_SUFFIXES
    return path.is_file() and h5py.is_hdf5(path)


def common_folder(paths: Sequence[Path]) -> Path:
    """Return the deepest folder in which all files lie.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Absolute paths.

    Returns
    -------
    folder : pathlib.Path

    Examples
    --------
    >>> from pathlib import Path
    >>> from skbcnn.catalog.spectra_files import common_folder
    >>> common_folder([Path("/sas/apo25m/M13/a.fits"), Path("/sas/lco25m/b.fits")]).as_posix()
    '/sas'
    """
    return Path(os.path.commonpath({path.parent for path in paths}))


def _absent(stars: Sequence[_Star], keywords: Iterable[str]) -> dict[str, str]:
    """Return keywords that none of some headers has, with similar ones of the last header."""
    absent = [word for word in keywords if all(star.header is None or word not in star.header for star in stars)]
    known = [] if stars[-1].header is None else list(stars[-1].header)
    return {word: next(iter(get_close_matches(word.upper(), known, n=1)), "") for word in absent}


def _objects(values: Sequence[Any]) -> np.ndarray:
    """Return values of any kind in an array of objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _other_preparation(path: Path, of_model: Mapping[str, Any]) -> list[str]:
    """Return a note if an HDF5 file records another preparation of its spectra than the model."""
    recorded = H5Loader(path, load_combined=None).preprocessing
    if recorded and of_model and (differences := _differences(recorded, of_model)):
        return [
            f"{path} and the model differ in how their spectra were prepared: {'; '.join(differences)}. Prepare the "
            "spectra like the training spectra, in Python with prepare_for_model."
        ]
    return []


def _differences(recorded: Mapping[str, Any], of_model: Mapping[str, Any]) -> list[str]:
    """Return which parameters of the preparation of a file and of a model differ, as text."""
    defaults = ContinuumNormalizer().get_params() | {"combination": "pixel"}
    file, model = (_plain(defaults | dict(values)) for values in (recorded, of_model))
    if _same_pixels(file["data_release"], model["data_release"]):
        file["data_release"] = model["data_release"]
    names = [name for name in {**file, **model} if name != "no_continuum"]  # concerns empty chips only
    return [
        f"{name} is {reprlib.repr(file.get(name))} in the file and {reprlib.repr(model.get(name))} in the model"
        for name in names
        if file.get(name) != model.get(name)
    ]


def _same_pixels(release: Any, other: Any) -> bool:
    """Return whether two data releases have the same pixels on the chips and the same continuum pixels."""
    try:
        return all(np.array_equal(pixels(release), pixels(other)) for pixels in (kept_pixels, continuum_pixels))
    except (TypeError, ValueError):  # a file may record anything
        return False


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with lists in place of tuples and arrays."""
    as_list = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in parameters.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in as_list.items()}
