"""The parameter `backend` of the regressor: TensorFlow or NumPy predicts."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor
from skbcnn.network.backends import BACKENDS, NumpyBackendWarning
from skbcnn.network.numpy.posterior import NumpyPosterior
from skbcnn.network.tensorflow.posterior import Posterior


def posterior_of(model):
    """The object that computes the draws of a model."""
    return model._live.posterior(model.backend, model.spec_, model.weights_, model.seed_)


@pytest.fixture
def model(tiny_model):
    return copy.deepcopy(tiny_model)


@pytest.fixture(scope="module")
def hidden_context_model(tiny_parameters, tiny_data):
    """A model whose second window layers take the context, too."""
    return CensoredBCNNRegressor(**tiny_parameters, context_layer="hidden").fit(tiny_data.X, tiny_data.y)


@pytest.mark.parametrize("cls", [CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor])
def test_default_and_clone(cls):
    assert cls().backend == "auto"
    assert clone(cls(backend="numpy")).get_params()["backend"] == "numpy"


def test_unknown_backend(model, tiny_data):
    model.set_params(backend="torch")
    for call in (lambda: model.predict(tiny_data.X), lambda: clone(model).fit(tiny_data.X, tiny_data.y)):
        with pytest.raises(ValueError, match=r"'backend' parameter .* must be a str among"):
            call()


def test_changed_between_predictions(model, tiny_data):
    """The next prediction uses the new backend."""
    kinds = {"tensorflow": Posterior, "numpy": NumpyPosterior}
    found = {}
    for backend in ("tensorflow", "numpy", "tensorflow", "numpy"):
        answer = model.set_params(backend=backend).predict(tiny_data.X, return_std=True)
        assert type(posterior_of(model)) is kinds[backend]
        assert_array_equal(answer, found.setdefault(backend, answer))
    scale = model.label_normalizer_.scale_
    assert_allclose(found["numpy"] / scale, found["tensorflow"] / scale, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("with_noise", [False, True])
def test_context_in_the_hidden_layers(hidden_context_model, tiny_data, with_noise):
    """Both backends agree on a copy from a pickle."""
    model = pickle.loads(pickle.dumps(hidden_context_model))
    x_err = tiny_data.X_err if with_noise else None
    found = [
        model.set_params(backend=backend).predict(tiny_data.X, return_std=True, x_err=x_err)
        for backend in ("tensorflow", "numpy")
    ]
    scale = model.label_normalizer_.scale_
    assert_allclose(found[1] / scale, found[0] / scale, rtol=1e-5, atol=1e-5)
    assert clone(model).context_layer == model.spec_.context_layer == "hidden"


def test_posterior_is_kept_between_predictions(model, tiny_data):
    model.set_params(backend="numpy").predict(tiny_data.X)
    assert posterior_of(model) is posterior_of(model)


def test_results_do_not_depend_on_batch_and_order(model, tiny_data):
    model.set_params(backend="numpy")
    X, x_err = np.resize(tiny_data.X, (300, 40)), np.resize(tiny_data.X_err, (300, 40))
    together = model.predict(X, return_std=True, x_err=x_err)
    rows = np.random.default_rng(0).permutation(300)[:171]
    assert_array_equal(model.predict(X[rows], return_std=True, x_err=x_err[rows]), np.take(together, rows, axis=1))


def test_fit_needs_tensorflow(model, tiny_data, no_tensorflow, fitted_state):
    before = fitted_state(model)
    for call in (model.fit, model.partial_fit):
        with pytest.raises(ImportError, match=r"fit needs TensorFlow, but it is hidden\. Install it"):
            call(tiny_data.X, tiny_data.y)
    np.testing.assert_equal(fitted_state(model), before)
    with pytest.warns(NumpyBackendWarning):
        model.predict(tiny_data.X)


def test_fit_calibrates_with_the_backend(tiny_parameters):
    """Calibration predicts the held-out stars."""
    X = np.random.default_rng(0).normal(size=(60, 40))
    parameters = tiny_parameters | {"validation_fraction": 0.5}
    models = [CensoredBCNNRegressor(**parameters, backend=each).fit(X, X[:, :4]) for each in BACKENDS]
    scales = [model.error_model_.scale for model in models]
    assert_array_equal(scales[0], scales[1])
    assert_allclose(scales[2], scales[1], rtol=1e-4)
