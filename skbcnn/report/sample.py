"""Predictions for the spectra of a file with known labels, made block by block, so that the memory is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from skbcnn._prediction import Prediction, columns_of
from skbcnn.calibration.intervals import Intervals
from skbcnn.novelty.causes import MAX_SPECTRA, explain_outside, suspect_rows
from skbcnn.novelty.domain import Assessment
from skbcnn.regressor import CensoredBCNNRegressor
from skbcnn.report.labelled_file import LabelledFile, Spectra

INTERVAL_COVERAGE = 0.9


@dataclass(frozen=True)
class Sample:
    """Reference labels and predictions of some spectra.

    Attributes
    ----------
    label_names : tuple of str
        Labels, in the order of the columns of all arrays.
    rows : ndarray of int of shape (n_samples,)
        Rows of the file.
    stars : ndarray of str of shape (n_samples,)
        Names of the stars.
    snr : ndarray of shape (n_samples,) or None
        S/N; NaN where unknown, None if the file does not have it.
    y : ndarray of shape (n_samples, n_labels)
        Reference labels; NaN where missing.
    y_err : ndarray of shape (n_samples, n_labels) or None
        Their errors; 0 where unknown.
    mean, std : ndarray of shape (n_samples, n_labels)
        Predicted labels and their standard deviations: the calibrated ones if the model has such, else the total ones.
    std_kind : {"calibrated", "total"}
        Kind of `std`.
    calibrated_by : str or None
        Origin of the calibration.
    in_interval : ndarray of shape (n_samples, n_labels) or None
        Whether the reference label is within the 90 % interval of the model: 1 or 0; NaN for labels without intervals.
        None if no label has any.
    flags : ndarray of int32 of shape (n_samples,) or None
        `NoveltyFlag` bits. None if the model has no summary of its training set.
    novelty : ndarray of shape (n_samples,) or None
        Novelty score: above 1 is out-of-distribution.
    labels_out_of_range : ndarray of int of shape (n_labels,) or None
        Number of spectra whose predicted label lies outside the training range.
    explanation : str or None
        Likely cause if most spectra are out-of-distribution.
    """

    label_names: tuple[str, ...]
    rows: np.ndarray
    stars: np.ndarray
    snr: np.ndarray | None
    y: np.ndarray
    y_err: np.ndarray | None
    mean: np.ndarray
    std: np.ndarray
    std_kind: str
    calibrated_by: str | None = None
    in_interval: np.ndarray | None = None
    flags: np.ndarray | None = None
    novelty: np.ndarray | None = None
    labels_out_of_range: np.ndarray | None = None
    explanation: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def known(self) -> np.ndarray:
        """Whether each reference label is known: ndarray of bool of shape (n_samples, n_labels)."""
        return ~np.isnan(self.y)

    @property
    def total_error(self) -> np.ndarray:
        """Predicted standard deviations and errors of the reference labels, in quadrature."""
        return self.std if self.y_err is None else np.hypot(self.std, self.y_err)

    @property
    def z(self) -> np.ndarray:
        """Standardised residuals: predicted minus reference, divided by `total_error`; NaN where unknown."""
        error = self.total_error
        z = np.full(error.shape, np.nan)
        return np.divide(self.mean - self.y, error, out=z, where=self.known & (error > 0))


def predict_sample(model: CensoredBCNNRegressor, file: LabelledFile) -> Sample:
    """Predict the labels of the spectra in a file.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    file : LabelledFile
        File with spectra and known labels.

    Returns
    -------
    sample : Sample
        Without the spectra that cannot be used, which are in `LabelledFile.left_out`.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, or no spectrum can be used.
    """
    intervals = _intervals(model)
    blocks: list[dict[str, np.ndarray]] = []
    outside: list[Spectra] = []
    progress = tqdm(total=len(file.rows), desc="Evaluating", unit="spectrum", leave=False, disable=None)
    kind, calibrated_by = "total", None
    with progress:
        for spectra in file.blocks():
            prediction = model._predict_counting_noise_once(spectra.X, spectra.x_err)
            positions = np.searchsorted(file.rows, spectra.rows)
            if prediction.calibrated is not None:
                kind, calibrated_by = "calibrated", prediction.calibrated_by
            block = {"positions": positions, "mean": prediction.mean, "std": prediction.std(kind)}
            if intervals is not None:
                block["in_interval"] = _within(model, intervals, spectra, prediction, file.y[positions])
            if model.domain_ is not None:
                assessment = model._assess_checked(spectra.X, prediction, spectra.x_err)
                block |= _novelty(assessment)
                _collect(outside, spectra, assessment.flags)
            blocks.append({name: columns_of(values) for name, values in block.items()})
            progress.update(len(spectra.rows))
    joined = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    positions = joined.pop("positions")[:, 0]
    known: dict[str, np.ndarray] = {name: joined.pop(name)[:, 0] for name in ("flags", "novelty") if name in joined}
    out_of_range = joined.pop("out_of_range", None)
    return Sample(
        label_names=file.label_names,
        rows=file.rows[positions],
        stars=file.stars[positions],
        snr=None if file.snr is None else file.snr[positions],
        y=file.y[positions],
        y_err=None if file.y_err is None else file.y_err[positions],
        std_kind=kind,
        calibrated_by=calibrated_by,
        labels_out_of_range=None if out_of_range is None else out_of_range.sum(axis=0),
        explanation=_explanation(model, known.get("flags"), outside),
        **joined,
        **known,
    )


def _intervals(model: CensoredBCNNRegressor) -> Intervals | None:
    """Return the intervals of a model; None if no label has intervals of this coverage."""
    if model.interval_scores_ is None:
        return None
    intervals = model._intervals()
    try:
        intervals.available(INTERVAL_COVERAGE)
    except ValueError:
        return None
    return intervals


def _within(
    model: CensoredBCNNRegressor, intervals: Intervals, spectra: Spectra, prediction: Prediction, y: np.ndarray
) -> np.ndarray:
    """Return whether reference labels are within the intervals of the predictions; NaN for labels without intervals."""
    noise = model._pixel_noise(spectra.X, spectra.x_err) if intervals.depend_on_noise else None
    lower, upper = map(columns_of, intervals.bounds(prediction, INTERVAL_COVERAGE, noise))
    return np.where(np.isnan(lower), np.nan, (y >= lower) & (y <= upper))


def _novelty(assessment: Assessment) -> dict[str, np.ndarray]:
    return {"flags": assessment.flags, "novelty": assessment.score, "out_of_range": assessment.labels > 1}


def _collect(outside: list[Spectra], spectra: Spectra, flags: np.ndarray) -> None:
    """Keep some of the out-of-distribution spectra, to find the cause if they are most of all."""
    found = suspect_rows(flags, MAX_SPECTRA // 4)
    if len(found) and sum(len(kept.rows) for kept in outside) < MAX_SPECTRA:
        x_err = None if spectra.x_err is None else spectra.x_err[found]
        outside.append(Spectra(spectra.rows[found], spectra.X[found], x_err))


def _explanation(model: CensoredBCNNRegressor, flags: np.ndarray | None, outside: list[Spectra]) -> str | None:
    """Return the likely cause if most spectra are out-of-distribution."""
    if model.domain_ is None or flags is None or not outside:
        return None
    X = np.concatenate([spectra.X for spectra in outside])
    errors = [spectra.x_err for spectra in outside if spectra.x_err is not None]
    return explain_outside(model.domain_, flags, X, np.concatenate(errors) if errors else None)
