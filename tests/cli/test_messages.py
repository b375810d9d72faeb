"""Notes of the commands."""

from types import SimpleNamespace

import numpy as np

from skbcnn.calibration import ErrorModel
from skbcnn.cli.messages import about_calibration


def test_labels_that_too_few_stars_calibrated_are_named():
    scale, offset = np.array([1.5, 1, 1]), np.zeros(3)
    error_model = ErrorModel(("teff", "P", "V"), scale, offset, np.array([40, 12, 3]), "known labels")
    assert about_calibration(SimpleNamespace(error_model_=error_model)) == [
        "The calibrated errors of P, V are the total ones, because too few stars with these labels calibrated the "
        "model."
    ]
    assert about_calibration(SimpleNamespace(error_model_=None)) == []
