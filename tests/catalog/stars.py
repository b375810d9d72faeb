"""Predictions of two stars, and tables of them."""

import numpy as np

from skbcnn import Prediction
from skbcnn.catalog import prediction_table

STARS = {"star": ["2M00", "2M01-long"], "ra": [10.5, 359.0], "dec": np.array([-3.0, 4.0]), "snr": [80, 200]}


def prediction(names=("teff", "Mg", "age"), noisier=None, calibrated=False):
    """Return two stars with means 0, 1, ..., and errors that differ between the columns."""
    mean = np.arange(2.0 * len(names)).reshape(2, -1)
    return Prediction(
        mean, mean + 100, mean + 200, mean + 300, tuple(names), noisier, mean + 400 if calibrated else None
    )


def stars_table(**more):
    return prediction_table(prediction(noisier=np.array([True, False])), columns=STARS, **more)
