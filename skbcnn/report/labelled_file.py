"""HDF5 files in the ``datasets.h5`` layout: the labels of a model in them, and their spectra block by block."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from skbcnn._flux_level import is_near_one, median_level, training_level
from skbcnn._validation import check_label_errors, check_labels, finite_spectra
from skbcnn.datasets import H5Loader
from skbcnn.datasets.h5 import ERROR_SUFFIX, column_key, with_suffix
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.survey import is_missing

BLOCK = 1024  # spectra that are read and predicted at once: 60 MB of flux and errors of APOGEE
_STAR_NAMES = ("apogee_id", "sdss_id")
_VERSIONS = ("raw", "spec", "aspcap", "astronn", "cannon", "payne", "true")  # of a label, as parts of column names


class Spectra(NamedTuple):
    """Some spectra of a file, in the form that a model takes.

    Attributes
    ----------
    rows : ndarray of int of shape (n_rows,)
        Rows of the file.
    X : ndarray of shape (n_rows, n_pixels)
        Flux in units of the continuum.
    x_err : ndarray of shape (n_rows, n_pixels) or None
        Errors of the flux.
    """

    rows: np.ndarray
    X: np.ndarray
    x_err: np.ndarray | None


class LeftOut(NamedTuple):
    """Spectrum that cannot be predicted, and why."""

    row: int
    reason: str


class LabelledFile:
    """An HDF5 file as a model sees it: the rows to evaluate, their labels, and their spectra.

    Parameters
    ----------
    path : pathlib.Path
        File in the ``datasets.h5`` layout; the suffix ``.h5`` may be omitted.
    model : CensoredBCNNRegressor
        Fitted.
    visits : bool, default=False
        Whether to take the individual visits (``in_flag`` 1) in place of the combined spectra (``in_flag`` 0).
    max_spectra : int, default=None
        Largest number of spectra; of more, so many are chosen at random. None: no limit.

    Attributes
    ----------
    rows : ndarray of int of shape (n_samples,)
        Rows of the file to evaluate, ascending.
    n_of_kind : int
        Number of the rows of this kind, from which `rows` were chosen.
    n_rows : int
        Number of all rows of the file.
    left_out : list of LeftOut
        Spectra that could not be used, so far.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, its spectra have another number of pixels than the model takes, no row is of the
        wanted kind, or no label of the model is known in any of these rows.
    """

    def __init__(
        self, path: Path, model: CensoredBCNNRegressor, visits: bool = False, max_spectra: int | None = None
    ) -> None:
        self.path = path if path.is_file() else with_suffix(path)
        self.model = model
        self.visits = visits
        self.left_out: list[LeftOut] = []
        self._all = H5Loader(self.path, load_combined=None)
        self._spellings = {column_key(name): name for name in self._all.column_names}
        self.n_rows, n_pixels = self._shape()
        if n_pixels != model.n_features_in_:
            raise ValueError(
                f"The spectra of {self.path} have {n_pixels} pixels, but the model takes {model.n_features_in_}. "
                "Spectra of HDF5 files are used as they are: prepare them with prepare_for_model before you write them "
                "to the file."
            )
        of_kind = self._rows()
        self.n_of_kind = len(of_kind)
        self.rows = of_kind if max_spectra is None else _random_part(of_kind, max_spectra)
        self.label_names = tuple(model.target_names_)
        self.y, self.y_err = self._labels()

    @property
    def kind(self) -> str:
        """What the rows are: "visits" or "combined spectra"."""
        return "visits" if self.visits else "combined spectra"

    @property
    def preprocessing(self) -> dict[str, object]:
        """Preparation of the spectra, as the file records it."""
        return self._all.preprocessing

    @property
    def absent_labels(self) -> tuple[str, ...]:
        """Labels of the model for which the file has no column."""
        return tuple(name for name in self.label_names if column_key(name) not in self._spellings)

    @cached_property
    def stars(self) -> np.ndarray:
        """Name of the star of each row; ``row 12`` in a file without names."""
        for key in _STAR_NAMES:
            if key in self._spellings:
                return np.array([_text(value) for value in self._column(key)])
        return np.array([f"row {row}" for row in self.rows])

    @property
    def has_star_names(self) -> bool:
        """Whether the file names the star of each row."""
        return any(key in self._spellings for key in _STAR_NAMES)

    @cached_property
    def snr(self) -> np.ndarray | None:
        """S/N of each row, NaN where unknown; None in a file without the column ``SNR``."""
        if "snr" not in self._spellings:
            return None
        values = self._numbers("snr")
        return np.where(np.isfinite(values) & (values > 0), values, np.nan)

    @property
    def is_synthetic(self) -> bool:
        """Whether the file says of all its rows that they are synthetic."""
        return "synthetic" in self._spellings and bool(np.all(self._column("synthetic")))

    @cached_property
    def other_versions(self) -> dict[str, np.ndarray]:
        """Other values of the labels, such as those of the columns ``raw_teff`` or ``teff_aspcap``.

        A dict of arrays of shape (n_samples, n_labels) by the name of the version; NaN where missing.
        """
        found: dict[str, np.ndarray] = {}
        labels = [column_key(name) for name in self.label_names]
        for key, name in self._spellings.items():
            parts = key.split("_")
            for version, label in ((parts[0], "_".join(parts[1:])), (parts[-1], "_".join(parts[:-1]))):
                if version.lower() in _VERSIONS and column_key(label) in labels:
                    values = found.setdefault(version.lower(), np.full(self.y.shape, np.nan))
                    column = self._numbers(name)
                    values[:, labels.index(column_key(label))] = np.where(is_missing(column), np.nan, column)
        return {version: values for version, values in found.items() if np.isfinite(values).any()}

    def blocks(self) -> Iterator[Spectra]:
        """Yield the spectra of `rows`, in blocks; those that cannot be used are left out and collected.

        Yields
        ------
        spectra : Spectra
            At least one row.

        Raises
        ------
        ValueError, OSError
            If the file cannot be read, spectra are not normalised although the training spectra were, or none can be
            used.
        """
        n_used = 0
        for rows in self._row_blocks():
            usable = self.usable(self.spectra(rows))
            n_used += len(usable.rows)
            if len(usable.rows):
                yield usable
        if not n_used:
            row, reason = self.left_out[0]
            raise ValueError(
                f"None of the {len(self.rows)} {self.kind} of {self.path} can be used (first: row {row}, {reason}). "
                "Normalise raw spectra with ContinuumNormalizer, or prepare them with prepare_for_model."
            )

    def _row_blocks(self) -> Iterator[np.ndarray]:
        """Yield the rows in blocks: those near each other, or as many if they are a random part of the file."""
        if len(self.rows) < self.n_of_kind:
            yield from (self.rows[start : start + BLOCK] for start in range(0, len(self.rows), BLOCK))
            return
        for start in range(0, self.n_rows, BLOCK):
            first, last = np.searchsorted(self.rows, (start, start + BLOCK))
            if first < last:
                yield self.rows[first:last]

    def spectra(self, rows: np.ndarray) -> Spectra:
        """Return the spectra of some rows, as they are.

        Parameters
        ----------
        rows : ndarray of int
            Rows of the file, ascending.

        Returns
        -------
        spectra : Spectra

        Raises
        ------
        OSError
            If they cannot be read.
        """
        name_of_errors = self._spellings.get("spectra" + ERROR_SUFFIX)
        try:
            with h5py.File(self.path, "r") as file:
                X = _read_rows(file[self._spellings["spectra"]], rows)
                x_err = None if name_of_errors is None else _read_rows(file[name_of_errors], rows)
        except OSError as error:
            raise OSError(
                f"The spectra of rows {rows[0]} to {rows[-1]} of {self.path} cannot be read ({error}): the file is "
                "damaged, or has changed. Copy or download it again."
            ) from error
        return Spectra(rows, X, x_err)

    def usable(self, spectra: Spectra) -> Spectra:
        """Return the spectra of a block that the model can take, with bad pixels replaced; collect the others.

        Parameters
        ----------
        spectra : Spectra
            From `spectra`.

        Returns
        -------
        spectra : Spectra
            Perhaps without any row.

        Raises
        ------
        ValueError
            If they are not normalised although the training spectra were.
        """
        level = training_level(self.model)
        near_one = is_near_one(level)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # names rows of the block; novelty flags mark bad pixels, too
            try:
                X, x_err = finite_spectra(spectra.X, spectra.X, spectra.x_err, near_one)
            except ValueError:
                spectra = self._without_unusable(spectra, near_one)
                if not len(spectra.rows):
                    return spectra
                X, x_err = finite_spectra(spectra.X, spectra.X, spectra.x_err, near_one)
        if level is not None and near_one and not is_near_one(found := median_level(X)):
            raise ValueError(
                f"The median flux of the spectra of {self.path} is {found:.4g}, but that of the training spectra of "
                f"the model was {level:.4g}, so these spectra are not divided by their continuum. Prepare them with "
                "prepare_for_model, and write them with write_h5."
            )
        return Spectra(spectra.rows, X, x_err)

    def _without_unusable(self, spectra: Spectra, near_one: bool) -> Spectra:
        """Return the spectra without those that are refused one by one, which are collected."""
        kept = []
        for j, row in enumerate(spectra.rows):
            one = slice(j, j + 1)
            x_err = None if spectra.x_err is None else spectra.x_err[one]
            try:
                finite_spectra(spectra.X[one], spectra.X[one], x_err, near_one)
                kept.append(j)
            except ValueError as error:
                is_finite = bool(np.isfinite(spectra.X[j]).all())
                reason = str(error).replace("x_err", "spectra_err") if is_finite else "NaN or other flux not finite"
                self.left_out.append(LeftOut(int(row), reason))
        return Spectra(spectra.rows[kept], spectra.X[kept], None if spectra.x_err is None else spectra.x_err[kept])

    def _shape(self) -> tuple[int, int]:
        """Return the shape of the spectra, after H5Loader has checked the file."""
        names = [self._spellings[key] for key in ("spectra", "spectra" + ERROR_SUFFIX) if key in self._spellings]
        with h5py.File(self.path, "r") as file:
            shape = file[names[0]].shape
            for dataset in (file[name] for name in names):
                if dataset.shape != shape or dataset.dtype.kind not in "fiu":
                    raise ValueError(
                        f"{dataset.name[1:]} of {self.path} has shape {dataset.shape} and type {dataset.dtype}, "
                        f"expected numbers of shape {shape}. Write the file again, for instance with write_h5."
                    )
        return shape

    def _rows(self) -> np.ndarray:
        flags = self._all.load_entry("in_flag") if "in_flag" in self._spellings else np.zeros(self.n_rows)
        rows = np.flatnonzero(flags == int(self.visits))
        if not len(rows):
            other = "leave out visits=True" if self.visits else "evaluate the visits with visits=True"
            raise ValueError(
                f"{self.path} has {self.n_rows} spectra, but no {self.kind} (in_flag {int(self.visits)}). Choose "
                f"another file, or {other}."
            )
        return rows

    def _labels(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the labels of the model, NaN where missing, and their errors; None if the file has no errors."""
        y, y_err = np.full((2, len(self.rows), len(self.label_names)), np.nan)
        errors = [name for name in self.label_names if column_key(name + ERROR_SUFFIX) in self._spellings]
        for j, name in enumerate(self.label_names):
            if name not in self.absent_labels:
                y[:, j] = self._numbers(name)
        for name in errors:
            y_err[:, self.label_names.index(name)] = self._numbers(name + ERROR_SUFFIX)
        if is_missing(y).all():
            raise ValueError(self._no_labels())
        try:
            y = check_labels(y, self.label_names, may_be_empty=True)
            y_err[:, [name not in errors for name in self.label_names]] = 0  # a label without a column counts as exact
            return y, check_label_errors(y_err, y, stacklevel=6) if errors else None
        except ValueError as error:
            text = re.sub(r"\by_err\b", "<label>_err", re.sub(r"^y\b", "The file", str(error)))
            raise ValueError(f"{self.path}: {text}") from error

    def _no_labels(self) -> str:
        found = [name for name in self.label_names if name not in self.absent_labels]
        what = f"{', '.join(found)} are missing (NaN or -9999) in all rows" if found else "no such columns are there"
        names = list(self._spellings.values())
        return (
            f"{self.path} has no label of the model: {what}. The model predicts {_listed(self.label_names)}; the file "
            f"has {_listed(names)}. An evaluation compares predictions with known labels: add them to the file with "
            "write_h5, or predict without comparison (skbcnn predict)."
        )

    def _column(self, name: str) -> np.ndarray:
        """Return a column of the rows to evaluate."""
        return self._all.load_entry(self._spellings[column_key(name)])[self.rows]

    def _numbers(self, name: str) -> np.ndarray:
        """Return a column of one number for each row to evaluate."""
        values = self._column(name)
        if values.dtype.kind not in "fiu" or values.ndim != 1:
            raise ValueError(
                f"{name} of {self.path} has type {values.dtype} and {values.ndim} dimensions, expected one number for "
                "each spectrum. Write the file again, for instance with write_h5."
            )
        return values.astype(np.float64)


def _random_part(rows: np.ndarray, n: int) -> np.ndarray:
    """Return so many of the rows, ascending, the same ones each time; all if there are no more."""
    if len(rows) <= n:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, n, replace=False, shuffle=False))


def _read_rows(dataset: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Read rows as float32: near rows in one read, because selecting single rows is slow in HDF5."""
    if rows[-1] - rows[0] < BLOCK:
        return dataset[rows[0] : rows[-1] + 1][rows - rows[0]].astype(np.float32, copy=False)
    return np.stack([dataset[row] for row in rows]).astype(np.float32, copy=False)


def _text(value: object) -> str:
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip()


def _listed(names: Sequence[str], n_shown: int = 30) -> str:
    """Return names in one line, not more than some."""
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more
