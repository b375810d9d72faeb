"""Files of spectra as rows that a model can predict, with columns that identify each spectrum.

`SpectraReader` reads apStar, aspcapStar and HDF5 files, one at a time. Spectra of FITS files are prepared as the model
records; those of HDF5 files are used as they are. A file that cannot be read does not stop the others.
"""

import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from tqdm import tqdm

from skbcnn._error_level import HighFluxErrorsError
from skbcnn._flux_level import is_near_one, median_level, training_level
from skbcnn._validation import finite_spectra
from skbcnn.datasets import H5Loader, Spectra, read_fits_spectra
from skbcnn.datasets.fits import N_COMBINATIONS, SkippedRow
from skbcnn.datasets.h5 import dataset_names
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import continuum_pixels, kept_pixels

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
    no_continuum : {"raise", "fill"}, default=None
        Treatment of a chip without continuum in FITS files, as in `ContinuumNormalizer`: refuse the spectrum, or count
        all pixels of the chip as bad. None: that of the training spectra.

    Attributes
    ----------
    notes : list of str
        What the user must know about the spectra read so far, as sentences.
    failures : list of Exception
        Errors of files and spectra that could not be read.
    """

    def __init__(
        self,
        model: CensoredBCNNRegressor,
        *,
        visits: bool = False,
        combination: str | None = None,
        no_continuum: str | None = None,
    ) -> None:
        self.model = model
        self.visits = visits
        self.combination = combination
        self.no_continuum = no_continuum
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
        n_renormalized = n_single = 0
        files = tqdm(paths, desc="Spectra", unit="file", leave=False, disable=len(paths) == 1 or None)
        for path, is_h5 in zip(files, are_h5, strict=True):
            try:
                _check_is_file(path)
                if is_h5 or preparation is None:
                    yield from self._h5_rows(path)
                else:
                    star = read_fits_spectra(path, visits=self.visits, combination=preparation.combination)
                    skipped, is_single = self._rows_without_spectrum(star, path)
                    self.notes += skipped
                    n_single += is_single
                    n_renormalized += star.normalized
                    yield from self._prepared(star, path, preparation)
            except (OSError, ValueError) as error:
                self.failures.append(error)
        if n_single:
            self.notes.append(
                f"{n_single} file(s) have no second combined spectrum, as usual for stars with one visit. Nothing is "
                "lost: it was not selected."
            )
        if n_renormalized:
            self.notes.append(
                f"{n_renormalized} file(s) have normalised spectra, such as those of aspcapStar files; they "
                "were normalised again like the training spectra of the model."
            )

    def _rows_without_spectrum(self, star: Spectra, path: Path) -> tuple[list[str], bool]:
        """Return a note for each selected row that is lost, and whether the other combination has no spectrum."""
        lost = [row for row in star.skipped if self.visits and row.row >= N_COMBINATIONS]
        lost += [row for row in star.skipped if row.row < N_COMBINATIONS and not _is_other_combination(row, star)]
        notes = [f"{star.object_id} ({path.name}): {row.reason}; it is not in the tables." for row in lost]
        return notes, any(_is_other_combination(row, star) for row in star.skipped)

    def _h5_rows(self, path: Path) -> Iterator[SpectraRows]:
        """Yield the spectra of an HDF5 file, after a comparison of their preparation with that of the model."""
        loader = H5Loader(path, load_combined=None)
        recorded, of_model = loader.preprocessing, getattr(self.model, "preprocessing_", {})
        if recorded and of_model and (differences := _differences(recorded, of_model)):
            self.notes.append(
                f"{path} and the model differ in how their spectra were prepared: {'; '.join(differences)}. Prepare "
                "the spectra like the training spectra, with prepare_for_model."
            )
        yield from read_h5_rows(path, self.model.n_features_in_, of_training=training_level(self.model))

    def _preparation(self) -> ModelPreparation:
        """Return how the model needs spectra of FITS files, after a check that it takes their pixels."""
        preparation = ModelPreparation.from_model(self.model, self.combination, self.no_continuum)
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
            except HighFluxErrorsError:
                self.failures.append(
                    ValueError(
                        f"{path}, {name}: more than half of the flux errors are above the continuum, so that the "
                        "signal-to-noise ratio is below 1. The spectrum is not in the tables."
                    )
                )
                continue
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


def read_h5_rows(path: Path, n_pixels: int, *, of_training: float | None = None) -> Iterator[SpectraRows]:
    """Yield all spectra of an HDF5 file in the ``datasets.h5`` layout, as they are.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    n_pixels : int
        Number of pixels that the model takes.
    of_training : float, default=None
        Median flux of the training spectra, if it is known.

    Yields
    ------
    rows : SpectraRows
        At most `CHUNK_SIZE` rows.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, or its spectra have another number of pixels, are not finite, or are not normalised
        although the training spectra were.
    """
    loader = H5Loader(path, load_combined=None)
    X, names = loader.load_entry("spectra"), dataset_names(path)
    if X.shape[1] != n_pixels:
        raise ValueError(
            f"The spectra of {path} have {X.shape[1]} pixels, but the model takes {n_pixels}. Spectra of HDF5 files "
            "are used as they are: prepare them with prepare_for_model before you write them to the file."
        )
    try:
        x_err = loader.load_entry("spectra_err") if "spectra_err" in names else None
        X, x_err = finite_spectra(X, X, x_err, is_near_one(of_training))
    except ValueError as error:
        text = str(error).replace("x_err", "spectra_err").replace("X contains", "spectra contains")
        raise ValueError(f"{path}: {text}") from error
    _check_level(path, X, of_training)

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


def _check_level(path: Path, X: np.ndarray, of_training: float | None) -> None:
    """Raise if spectra are not normalised although the training spectra were."""
    level = median_level(X)
    if of_training is not None and is_near_one(of_training) and not is_near_one(level):
        raise ValueError(
            f"The median flux of the spectra of {path} is {level:.4g}, but that of the training spectra of the model "
            f"was {of_training:.4g}, so these spectra are not divided by their continuum. Prepare them with "
            "prepare_for_model, and write them with write_h5."
        )


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


def _is_other_combination(row: SkippedRow, star: Spectra) -> bool:
    """Return whether a row is the combined spectrum that was not selected."""
    return row.row < N_COMBINATIONS and any(name.startswith("combined") for name in star.row_names)


def _check_is_file(path: Path) -> None:
    """Raise if a path is a folder, or if nothing is there."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file of spectra. Pass the files in it, {path}/*.fits.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. Pass apStar, aspcapStar or HDF5 files.")


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
