"""Models to look into: smooth ones, so that finite differences in float32 tell their derivatives."""

import pickle

import numpy as np
import pytest

from skbcnn import CensoredBCNNRegressor


@pytest.fixture(scope="session")
def fit_smooth(tiny_parameters, tiny_data):
    """Function that fits a network to `tiny_data` that has no kinks, not even of pools; parameters may be others."""

    def fit(y=None, **parameters):
        smooth = {**tiny_parameters, "activation": "tanh", "pool_length": 1, "lr": 0.02, "max_epochs": 20}
        return CensoredBCNNRegressor(**{**smooth, **parameters}).fit(tiny_data.X, tiny_data.y if y is None else y)

    return fit


@pytest.fixture(scope="session")
def smooth_model(fit_smooth):
    """Shared by all tests: do not change it."""
    return fit_smooth()


@pytest.fixture(scope="session")
def told_earlier(fit_smooth):
    """A model whose context is told to the second window layers, too. Shared by all tests: do not change it."""
    return fit_smooth(context_layer="hidden", max_epochs=5)


@pytest.fixture(scope="session", params=["smooth_model", "told_earlier"])
def either_model(request):
    """A model as published, and one whose context is told earlier."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def with_weights():
    """Function that copies a model and changes weights of the copy."""

    def change(model, **changed):
        model = pickle.loads(pickle.dumps(model))
        for name, values in changed.items():
            model.weights_[name.replace("_", ".")][...] = values
        return model

    return change


@pytest.fixture(scope="session")
def by_differences():
    """Function (model, X) to central differences of the predicted labels: (n_samples, n_labels, n_pixels)."""

    def differences(model, X, step=0.005):
        X = np.asarray(X, dtype=np.float64)
        steps = step * np.eye(X.shape[1])
        up, down = (model.predict((X[:, None] + sign * steps).reshape(-1, X.shape[1])) for sign in (1, -1))
        found = (up - down).reshape(len(X), len(steps), -1) / (2 * step)
        return found.transpose(0, 2, 1)

    return differences
