"""Files of spectra as rows that a model can predict, with columns that identify each spectrum.

`SpectraReader` reads apStar, aspcapStar and HDF5 files, one at a time. Spectra of FITS files are prepared as the model
records; those of HDF5 files are used as they are. A file that cannot be read does not stop the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from tqdm import tqdm

from skbcnn._validation import check_finite_spectra, check_flux_errors
from skbcnn.datasets import H5Loader, Spectra, read_fits_spectra
from skbcnn.datasets.h5 import dataset_names
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.regressor import CensoredBCNNRegressor

CHUNK_SIZE = 1024  # rows: 60 MB of flux and errors of APOGEE


class SpectraRows(NamedTuple):
    """Spectra in the form that a model takes, checked to be finite.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_pixels)
        Flux in units of the continuum.
    x_err : ndarray of shape (n_rows, n_pixels) or None
        Errors of the flux.
    columns : dict of str to sequence of length n_rows
        Names, coordinates and S/N of the spectra: the first columns of a catalogue.
    """

    X: np.ndarray
    x_err: np.ndarray | None
    columns: dict[str, Any]


class SpectraReader:
    """Reader of files of spectra for one model.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted, such as the result of `load_folder`.
    visits : bool, default=False
        Whether to read the visits of apStar files.
    combination : {"pixel", "global"}, default=None
        Combined spectrum of apStar files. None: the one that the model was trained on.

    Attributes
    ----------
    notes : list of str
        What the user must know about the spectra read so far, as sentences.
    failures : list of Exception
        Errors of files and spectra that could not be read.
    """

    def __init__(self, model: CensoredBCNNRegressor, *, visits: bool = False, combination: str | None = None) -> None:
        self.model = model
        self.visits = visits
        self.combination = combination
        self.notes: list[str] = []
        self.failures: list[Exception] = []

    def read(self, paths: Sequence[Path]) -> Iterator[SpectraRows]:
        """Yield the spectra of files, in chunks of about `CHUNK_SIZE` rows.

        Parameters
        ----------
        paths : sequence of pathlib.Path
            apStar, aspcapStar and HDF5 files.

        Yields
        ------
        rows : SpectraRows
            At least one row. Spectra with and without errors are not mixed.

        Raises
        ------
        ValueError
            If FITS files are among the files and the model's preparation is unknown or does not lead to its pixels.
        """
        return _in_chunks(self._rows(paths))

    def _rows(self, paths: Sequence[Path]) -> Iterator[SpectraRows]:
        """Yield the spectra of all files, and collect the errors of those that cannot be read."""
        are_h5 = [path.suffix.lower() in (".h5", ".hdf5") or _holds_hdf5(path) for path in paths]
        preparation = None if all(are_h5) else self._preparation()
        n_renormalized = 0
        files = tqdm(paths, desc="Spectra", unit="file", leave=False, disable=len(paths) == 1 or None)
        for path, is_h5 in zip(files, are_h5, strict=True):
            try:
                if is_h5 or preparation is None:
                    yield from read_h5_rows(path, self.model.n_features_in_)
                else:
                    star = read_fits_spectra(path, visits=self.visits, combination=preparation.combination)
                    self.notes += [f"{star.object_id} ({path.name}): {reason}; skipped." for _, reason in star.skipped]
                    n_renormalized += star.normalized
                    yield from self._prepared(star, path, preparation)
            except (OSError, ValueError) as error:
                self.failures.append(error)
        if n_renormalized:
            self.notes.append(
                f"{n_renormalized} file(s) have normalised spectra, such as those of aspcapStar files; they "
                "were normalised again like the training spectra of the model."
            )

    def _preparation(self) -> ModelPreparation:
        """Return how the model needs spectra of FITS files, after a check that it takes their pixels."""
        preparation = ModelPreparation.from_model(self.model, self.combination)
        preparation.gap_remover()
        self.notes += preparation.notes
        return preparation

    def _prepared(self, star: Spectra, path: Path, preparation: ModelPreparation) -> Iterator[SpectraRows]:
        """Yield the spectra of a FITS file one by one, so that one without continuum does not lose the others."""
        for row, name in enumerate(star.row_names):
            one = slice(row, row + 1)
            try:
                X, x_err = preparation.prepare(
                    star.flux[one], star.error[one], star.bitmask[one], normalized=star.normalized
                )
            except ValueError as error:
                self.failures.append(ValueError(f"{path}, {name}: {error}"))
                continue
            columns = {
                "star": [star.object_id],
                "spectrum": [name],
                "file": [path.name],
                "snr": star.snr[one],
                "ra": [star.ra],
                "dec": [star.dec],
            }
            yield SpectraRows(X, x_err, columns)


def read_h5_rows(path: Path, n_pixels: int) -> Iterator[SpectraRows]:
    """Yield all spectra of an HDF5 file in the ``datasets.h5`` layout, as they are.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    n_pixels : int
        Number of pixels that the model takes.

    Yields
    ------
    rows : SpectraRows
        At most `CHUNK_SIZE` rows.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, or its spectra have another number of pixels or are not finite.
    """
    loader = H5Loader(path, load_combined=None)
    X, names = loader.load_entry("spectra"), dataset_names(path)
    if X.shape[1] != n_pixels:
        raise ValueError(
            f"The spectra of {path} have {X.shape[1]} pixels, but the model takes {n_pixels}. Spectra of HDF5 files "
            "are used as they are: prepare them with prepare_for_model before you write them to the file."
        )
    try:
        check_finite_spectra(X)
        x_err = check_flux_errors(loader.load_entry("spectra_err"), X) if "spectra_err" in names else None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error

    def column(name: str, default: float) -> np.ndarray:
        return loader.load_entry(name) if name.lower() in names else np.full(len(X), default)

    columns = {
        "star": loader.load_entry("APOGEE_ID") if "apogee_id" in names else [f"row {row}" for row in range(len(X))],
        "spectrum": np.where(column("in_flag", 0) == 1, "visit", "combined"),
        "file": [path.name] * len(X),
        **{name.lower(): np.asarray(column(name, np.nan), dtype=float) for name in ("SNR", "RA", "DEC")},
    }
    for start in range(0, len(X), CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        of_rows = {name: values[rows] for name, values in columns.items()}
        yield SpectraRows(X[rows], None if x_err is None else x_err[rows], of_rows)


def _holds_hdf5(path: Path) -> bool:
    return path.is_file() and h5py.is_hdf5(path)


def _in_chunks(parts: Iterable[SpectraRows]) -> Iterator[SpectraRows]:
    """Join parts until they have enough rows; spectra with and without errors stay apart."""
    waiting: list[SpectraRows] = []
    for part in parts:
        n_waiting = sum(len(rows.X) for rows in waiting)
        if waiting and (n_waiting >= CHUNK_SIZE or (waiting[0].x_err is None) != (part.x_err is None)):
            yield _joined(waiting)
            waiting = []
        waiting.append(part)
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[SpectraRows]) -> SpectraRows:
    errors = [part.x_err for part in parts if part.x_err is not None]
    return SpectraRows(
        np.concatenate([part.X for part in parts]),
        np.concatenate(errors) if errors else None,
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )
