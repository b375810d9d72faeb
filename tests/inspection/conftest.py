"""Models with smooth activations, whose derivatives agree with finite differences in float32."""

import pickle

import numpy as np
import pytest

from skbcnn import CensoredBCNNRegressor


@pytest.fixture(scope="session")
def fit_smooth(tiny_parameters, tiny_data):
    """Function that fits a network without kinks (no ReLU, no pooling) to `tiny_data`, with other parameters if given.

    Equal parameters return the same model. Do not change it.
    """
    models = {}

    def fit(y=None, **parameters):
        y = tiny_data.y if y is None else y
        key = repr((y.tolist(), sorted(parameters.items())))
        if key not in models:
            smooth = {**tiny_parameters, "activation": "tanh", "pool_length": 1, "lr": 0.02, "max_epochs": 10}
            model = CensoredBCNNRegressor.from_preset("leung_bovy_2019", **{**smooth, **parameters})
            models[key] = model.fit(tiny_data.X, y)
        return models[key]

    return fit


@pytest.fixture(scope="session")
def smooth_model(fit_smooth):
    """Model that all tests share. Do not change it."""
    return fit_smooth()


@pytest.fixture(scope="session")
def hidden_context_model(fit_smooth):
    """Model that passes the context to the second window layers. All tests share it. Do not change it."""
    return fit_smooth(context_layer="hidden", max_epochs=5)


@pytest.fixture(scope="session", params=["smooth_model", "hidden_context_model"])
def either_model(request):
    """Model with each `context_layer`."""
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
    """Function of (model, X) that returns central differences of predictions: (n_samples, n_labels, n_pixels)."""

    def differences(model, X, step=0.005):
        X = np.asarray(X, dtype=np.float64)
        steps = step * np.eye(X.shape[1])
        up, down = (model.predict((X[:, None] + sign * steps).reshape(-1, X.shape[1])) for sign in (1, -1))
        found = (up - down).reshape(len(X), len(steps), -1) / (2 * step)
        return found.transpose(0, 2, 1)

    return differences
