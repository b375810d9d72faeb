"""Responses that `fit` learns from its held-out stars."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn import CensoredBCNNRegressor, Prediction
from skbcnn.calibration.responses import held_out_responses
from skbcnn.inspection import response_matrix
from tests.line_spectra import draw_line_spectra as draw


def exact_prediction(y):
    return Prediction(y, 0 * y, 0 * y, 0 * y, ("teff", "Mg", "Al"))


def test_elements_are_the_labels_with_windows():
    y = np.random.default_rng(0).normal(size=(210, 3))
    assert held_out_responses(exact_prediction(y), y, None, [None, [1], None]).elements == ("Mg",)
    assert held_out_responses(exact_prediction(y), y, None, [None] * 3).elements == ("Mg", "Al")


def test_few_stars_and_dependent_labels_give_none():
    y = np.random.default_rng(0).normal(size=(210, 3))
    known = np.where(np.arange(210)[:, None] < 199, y, [1, np.nan, 1] * y)
    assert held_out_responses(exact_prediction(y), known, None, [None] * 3) is None
    assert held_out_responses(exact_prediction(y[:10]), y[:10], None, [None] * 3) is None
    dependent = y @ [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert held_out_responses(exact_prediction(y), dependent, None, [None] * 3) is None


@pytest.fixture(scope="module")
def held_out_stars():
    """Stars to train on, and 300 others with label errors, as `fit` takes them."""
    X, y = draw(600, seed=0)
    return X[:300], y[:300], X[300:], y[300:], np.full((300, 2), 0.1) * [300, 0.3]


def test_fit_learns_the_responses_of_the_held_out_stars(held_out_stars):
    X, y, X_val, y_val, y_err = held_out_stars
    model = CensoredBCNNRegressor(
        windows={"Al": range(40, 60)}, target=["teff", "Al"], num_hidden=(4, 4, 4, 4, 1), max_epochs=1, random_state=0
    )
    model.fit(X, y, y_err=y_err, X_val=X_val, y_val=y_val, y_err_val=y_err)
    expected = response_matrix(model, X_val, y_val, y_err)
    assert_allclose(model.validation_responses_.matrix, expected.matrix, rtol=1e-5, atol=1e-9)
    assert_allclose(model.validation_responses_.standard_errors, expected.standard_errors, rtol=1e-5, atol=1e-9)
    assert (expected.n_stars, expected.elements, expected.errors_removed) == (257, ("Al",), True)
    with pytest.warns(UserWarning, match="its calibration no longer holds"):
        assert model.partial_fit(X, y).validation_responses_ is None
