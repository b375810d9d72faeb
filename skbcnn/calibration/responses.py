"""Responses of the labels of a model, from the stars held out in `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn.metrics.responses import ResponseMatrix, window_labels

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction

_MIN_STARS = 200  # with all labels: fewer tell little about 22 labels


def held_out_responses(
    prediction: Prediction, y: np.ndarray, y_err: np.ndarray | None, windows: Sequence[Any]
) -> ResponseMatrix | None:
    """Return how each predicted label responds to its own true value and to the other labels.

    Parameters
    ----------
    prediction : Prediction
        Prediction for the held-out stars.
    y : ndarray of the shape of ``prediction.mean``
        Known labels, NaN where missing.
    y_err : ndarray of the shape of `y`, or None
        Errors of these labels; 0 where unknown.
    windows : sequence
        Window of each label; None for a label that is read from the full spectrum.

    Returns
    -------
    responses : ResponseMatrix or None
        None if fewer than 200 stars have all labels, or labels are linearly dependent.
    """
    try:
        responses = ResponseMatrix.from_predictions(
            y, prediction, y_err, elements=window_labels(prediction.label_names, windows)
        )
    except ValueError:  # too few stars, or dependent labels
        return None
    return responses if responses.n_stars >= _MIN_STARS else None
