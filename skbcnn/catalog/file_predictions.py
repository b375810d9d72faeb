"""Catalogues of the spectra in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table, vstack

from skbcnn._prediction import Naming
from skbcnn.catalog.spectra_files import SpectraReader, SpectraRows
from skbcnn.catalog.tables import prediction_table, quality_columns
from skbcnn.novelty.causes import MAX_SPECTRA, explain_outside, suspect_rows
from skbcnn.regressor import CensoredBCNNRegressor


class FilePredictions(NamedTuple):
    """Catalogue of the spectra in files.

    Attributes
    ----------
    table : astropy.table.Table or None
        Catalogue from `prediction_table`; None if no spectrum could be read.
    notes : list of str
        What the user must know about the spectra, as sentences.
    failures : list of Exception
        Errors of files and spectra that could not be read.
    """

    table: Table | None
    notes: list[str]
    failures: list[Exception]


def predict_files(
    model: CensoredBCNNRegressor,
    paths: Sequence[Path],
    *,
    visits: bool = False,
    combination: str | None = None,
    no_continuum: str | None = None,
    naming: Naming = "skbcnn",
    meta: Mapping[str, str] | None = None,
) -> FilePredictions:
    """Predict the labels of all spectra in files.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted, such as the result of `load_folder`.
    paths : sequence of pathlib.Path
        apStar, aspcapStar and HDF5 files.
    visits, combination, no_continuum
        As in `SpectraReader`.
    naming, meta
        As in `prediction_table`.

    Returns
    -------
    predictions : FilePredictions
        The table has the columns ``star``, ``spectrum``, ``file``, ``snr``, ``ra``, ``dec``, and those of
        `prediction_table`; ``result_flags`` is always among them.

    Raises
    ------
    ValueError
        If FITS files are among the files and the model's preparation is unknown or does not lead to its pixels.
    """
    reader = SpectraReader(model, visits=visits, combination=combination, no_continuum=no_continuum)
    tables, outside = [], _OutsideSpectra([], [])
    for rows in reader.read(paths):
        tables.append(_table(model, rows, naming, meta))
        outside.collect(rows, tables[-1]["result_flags"])
    table = None
    if tables:
        table = vstack(tables, metadata_conflicts="silent")
        table = table.filled(False)  # the column noisier, for spectra without errors
    notes = [*reader.notes, *outside.explanation(model)]
    return FilePredictions(table, notes, reader.failures)


class _OutsideSpectra(NamedTuple):
    """Flags of all spectra, and those that are out-of-distribution, to find the cause if they are most of them."""

    flags: list[np.ndarray]
    spectra: list[tuple[np.ndarray, np.ndarray | None]]

    def collect(self, rows: SpectraRows, flags: np.ndarray) -> None:
        """Add the flags of some spectra, and as many of the spectra as are needed."""
        self.flags.append(np.asarray(flags))
        outside = suspect_rows(self.flags[-1], MAX_SPECTRA // 4)  # of this chunk
        if len(outside) and sum(len(X) for X, _ in self.spectra) < MAX_SPECTRA:
            self.spectra.append((rows.X[outside], None if rows.x_err is None else rows.x_err[outside]))

    def explanation(self, model: CensoredBCNNRegressor) -> list[str]:
        """Return one note with the likely cause, or none."""
        if model.domain_ is None or not self.spectra:
            return []
        X = np.concatenate([X for X, _ in self.spectra])
        x_err = np.concatenate([np.ones_like(X) if errors is None else errors for X, errors in self.spectra])
        explanation = explain_outside(model.domain_, np.concatenate(self.flags), X, x_err)
        return [explanation] if explanation else []


def _table(model: CensoredBCNNRegressor, rows: SpectraRows, naming: Naming, meta: Mapping[str, str] | None) -> Table:
    """Return the predictions for some spectra; the reader has checked them already."""
    prediction = model._predict_counting_noise_once(rows.X, rows.x_err)
    assessment = None
    if model.domain_ is not None:
        assessment = model._assess_checked(rows.X, prediction, rows.x_err)
    table = prediction_table(prediction, columns=rows.columns, assessment=assessment, meta=meta, naming=naming)
    if assessment is None:
        table.update(quality_columns(prediction, None, naming))
    return table
