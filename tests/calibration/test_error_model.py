"""Calibrated standard deviations of an error model."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn import Prediction
from skbcnn.calibration import ErrorModel

NAMES = ("teff", "Al")


def predicted(total):
    return Prediction(np.zeros_like(total), 0.6 * total, 0.8 * total, total, NAMES)


def test_predictions_of_other_labels_are_refused():
    model = ErrorModel(("Mg", "Al"), np.ones(2), np.zeros(2), np.full(2, 99), "known labels")
    with pytest.raises(ValueError, match="learnt for Mg, Al"):
        model.std(predicted(np.ones((3, 2))))


def test_table():
    table = ErrorModel(NAMES, np.array([1.5, 2]), np.array([3.0, 0]), np.array([40, 50]), "known labels").to_table()
    assert table.colnames == ["label", "scale", "offset", "n_differences"]
    assert list(table["label"]) == ["teff", "Al"]
    assert table["offset"][0] == 3


def test_labels_that_too_few_stars_have_are_named():
    model = ErrorModel(("teff", "P", "V"), np.array([1.5, 1, 1]), np.array([0, 0, 0.1]), np.array([40, 12, 40]), "")
    assert model.not_calibrated == ("P",)


def test_dependence_on_noise_by_hand():
    model = ErrorModel(
        NAMES, np.array([2.0, 1.0]), np.array([0.0, 1.0]), np.array([9, 9]), "", np.array([1.0, 0.5]), (1.0, 4.0)
    )
    stars = predicted(np.full((3, 2), 3.0))
    expected = [[6.0 * 4, 4.0 * 2], [6.0, 4.0], [6.0 / 4, 4.0 / 2]]
    assert_allclose(model.std(stars, [16.0, 4.0, 0.5]), expected)  # lower noise counts as the lowest
    assert model.to_table().colnames == ["label", "scale", "offset", "n_differences", "noise_slope"]
    curved = replace(model, noise_curve=np.array([0.0, 1 / np.log(4)]))
    assert_allclose(curved.std(stars, [16.0, 4.0, 0.5]), expected * np.array([[1, 4], [1, 1], [1, 4]]))
    assert curved.to_table().colnames[-2:] == ["noise_slope", "noise_curve"]
