"""Residuals of predictions for stars with known labels, which all calibrations with known labels start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._label_tables import label_and_error_values
from skbcnn._validation import check_label_errors
from skbcnn.metrics.label_pairs import check_pairs

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction


def residuals_and_errors(
    prediction: Prediction, y: ArrayLike, y_err: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the residuals of a prediction, and the errors of the known labels.

    Parameters
    ----------
    prediction : Prediction
        Prediction for stars with known labels.
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Their labels; NaN or -9999 where missing. The columns of a table are matched by name.
    y_err : array-like of the shape of `y`, table, or None
        Errors of these labels; 0, or missing, where unknown.

    Returns
    -------
    residual : ndarray of shape (n_samples, n_labels)
        Prediction minus known label; NaN where a label is missing.
    y_err : ndarray of shape (n_samples, n_labels) or None
        Errors of the labels; 0 where they are unknown. None if none were passed.

    Raises
    ------
    TypeError
        If `prediction` is no `Prediction`.
    ValueError
        If the stars or labels differ from those of the prediction, or a prediction or an error cannot be used.
    """
    check_prediction(prediction)
    labels, errors = label_and_error_values(y, y_err, prediction.label_names)
    if len(labels) != len(prediction.mean):
        raise ValueError(
            f"y has {len(labels)} rows, but the prediction is of {len(prediction.mean)} spectra. Pass the labels of "
            "these stars, in the same order."
        )
    pairs = check_pairs(labels, prediction.mean)
    residual = np.where(pairs.counts, pairs.y_pred - pairs.y_true, np.nan)
    if errors is None:
        return residual, None
    return residual, check_label_errors(errors, np.where(pairs.counts, pairs.y_true, np.nan))


def check_prediction(prediction: Any) -> None:
    """Raise an error for anything but a `Prediction`, such as an array of labels.

    Parameters
    ----------
    prediction : Prediction
        Argument that the user passed.

    Raises
    ------
    TypeError
        If it lacks the attributes of a `Prediction`.
    """
    if not all(hasattr(prediction, name) for name in ("mean", "total", "label_names")):
        raise TypeError(
            f"prediction is a {type(prediction).__name__}, expected a skbcnn.Prediction. Pass the result of "
            "model.predict_distribution(X)."
        )
