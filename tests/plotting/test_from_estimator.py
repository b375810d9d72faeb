"""Displays of a trained network show its predictions, its weights, its training and its derivatives."""

from math import prod

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor
from skbcnn.inspection import jacobian
from skbcnn.plotting import (
    AbundancePlaneDisplay,
    ArchitectureDisplay,
    ErrorCalibrationDisplay,
    JacobianDisplay,
    ResidualDisplay,
    TrainingHistoryDisplay,
)


@pytest.fixture(scope="module")
def moments(tiny_model, tiny_data):
    """Predicted labels and total standard deviations."""
    return tiny_model.predict(tiny_data.X, return_std=True)


def test_abundance_plane(tiny_model, tiny_data, moments, new_axes):
    display = AbundancePlaneDisplay.from_estimator(tiny_model, tiny_data.X, x_name="C", y_name="Mg", ax=new_axes())
    mean, std = moments
    assert_allclose(display.points, mean[:, [3, 1]])
    assert_allclose(display.covariance[:, 0, 0], std[:, 3] ** 2)


def test_calibration(tiny_model, tiny_data, moments, new_axes):
    display = ErrorCalibrationDisplay.from_estimator(tiny_model, tiny_data.X, tiny_data.y, ax=new_axes())
    assert_allclose(display.z, (moments[0] - tiny_data.y) / moments[1])


def test_residuals_with_flux_errors(tiny_model, tiny_data, new_axes):
    display = ResidualDisplay.from_estimator(
        tiny_model, tiny_data.X, tiny_data.y, label_name="Mg", x_err=tiny_data.X_err, ax=new_axes()
    )
    assert_allclose(display.y_std, tiny_model.predict_std(tiny_data.X, x_err=tiny_data.X_err)[:, 1])


def test_architecture(tiny_model, new_axes):
    display = ArchitectureDisplay.from_estimator(tiny_model, ax=new_axes())
    assert display.spec == tiny_model.spec_
    assert display.label_names == tuple(tiny_model.target_names_)
    assert display.n_weights == sum(prod(values.shape) for values in tiny_model.weights_.values())


def test_architecture_needs_a_fitted_network():
    with pytest.raises(ValueError, match="not fitted"):
        ArchitectureDisplay.from_estimator(ApogeeBCNNCensoredRegressor())


def test_history(tiny_model, new_axes):
    display = TrainingHistoryDisplay.from_estimator(tiny_model, ax=new_axes())
    assert_allclose(display.epochs, np.arange(1, tiny_model.n_iter_ + 1))
    for name in ("loss", "val_loss", "lr"):
        assert_allclose(display.history[name], tiny_model.history_[name])


def test_history_of_a_continued_training(new_axes):
    X, y = [[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0]
    model = CensoredBCNNRegressor(max_epochs=3, num_hidden=(2, 2, 1, 1, 1), random_state=0).fit(X, y)
    display = TrainingHistoryDisplay.from_estimator(model.partial_fit(X, y), ax=new_axes())
    assert_allclose(display.epochs, [4])


def test_jacobian(tiny_model, tiny_data, new_axes):
    """Derivatives outside the window are 0 if the context is held fixed."""
    pipeline = make_pipeline("passthrough", tiny_model)
    fixed = JacobianDisplay.from_estimator(pipeline, tiny_data.X, label_name="C", path="window", ax=new_axes())
    expected = jacobian(tiny_model, tiny_data.X, path="window", n_draws=20).mean(axis=0)[3]
    assert_allclose(fixed.jacobian, [expected], rtol=1e-4, atol=2e-6 * np.abs(expected).max())
    assert_allclose(fixed.shares_within(), [1])
    total = JacobianDisplay.from_estimator(tiny_model, tiny_data.X, label_name="C", ax=new_axes())
    assert 0 < total.shares_within()[0] < 1
