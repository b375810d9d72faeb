"""Who computes predictions: TensorFlow or NumPy, as told, or as there is."""

import copy
import pickle
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from threadpoolctl import threadpool_info

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor
from skbcnn.network import backends as choice
from skbcnn.network.backends import NumpyBackendWarning, posterior_class, require_tensorflow
from skbcnn.network.chunks import in_order
from skbcnn.network.numpy.blas import ONE_THREAD_A_PRODUCT, columns_alike
from skbcnn.network.numpy.forward import NumpyPosterior
from skbcnn.network.tensorflow.posterior import Posterior


@pytest.fixture
def no_tensorflow(monkeypatch):
    """It cannot be imported, and nobody was told."""
    choice._warn_once.cache_clear()
    monkeypatch.setattr(choice, "_why_not_tensorflow", lambda: "it is on holiday")
    yield
    choice._warn_once.cache_clear()


def posterior_of(model):
    """The object that computes the draws of a model."""
    return model._live.posterior(model.backend, model.spec_, model.weights_, model.seed_)


@pytest.fixture
def model(tiny_model):
    return copy.deepcopy(tiny_model)


class TestChoice:
    def test_where_tensorflow_is(self):
        assert posterior_class("auto") is posterior_class("tensorflow") is Posterior
        assert posterior_class("numpy") is NumpyPosterior

    def test_auto_warns_once(self, no_tensorflow, recwarn):
        with pytest.warns(NumpyBackendWarning, match=r"is not at hand: it is on holiday\..*backend='numpy'"):
            assert posterior_class("auto") is NumpyPosterior
        assert posterior_class("auto") is NumpyPosterior  # a second warning would be an error

    def test_numpy_is_silent(self, no_tensorflow):
        assert posterior_class("numpy") is NumpyPosterior

    def test_tensorflow_is_missed(self, no_tensorflow):
        with pytest.raises(ImportError, match=r"backend='tensorflow' needs TensorFlow, but it is on holiday\. Install"):
            posterior_class("tensorflow")
        with pytest.raises(ImportError, match=r"the jacobian needs TensorFlow.*, or do this where it is installed"):
            require_tensorflow("the jacobian")

    @pytest.mark.parametrize(
        ("hidden", "reason"),
        [(["tensorflow"], "tensorflow cannot be found"), (["tensorflow", "keras"], "tensorflow and keras cannot be")],
    )
    def test_not_installed(self, hidden, reason, monkeypatch):
        monkeypatch.setattr(choice, "find_spec", lambda name: None if name in hidden else object())
        with pytest.raises(ImportError, match=f"but {reason}"):
            require_tensorflow("fit")

    def test_installed_but_broken(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "skbcnn.network.tensorflow.runtime", None)
        with pytest.raises(ImportError, match="but it cannot be imported here"):
            require_tensorflow("fit")

    def test_somebody_left_out_where_it_comes_from(self, monkeypatch):
        """As stubs in tests do, of which `find_spec` makes a ValueError."""

        def find_spec(name):
            raise ValueError(f"{name}.__spec__ is None")

        monkeypatch.setattr(choice, "find_spec", find_spec)
        require_tensorflow("fit")


@pytest.fixture(scope="module")
def told_earlier(tiny_parameters, tiny_data):
    """A model whose context is told to the second window layers, too."""
    return CensoredBCNNRegressor(**tiny_parameters, context_layer="hidden").fit(tiny_data.X, tiny_data.y)


class TestRegressor:
    @pytest.mark.parametrize("cls", [CensoredBCNNRegressor, ApogeeBCNNCensoredRegressor])
    def test_parameter(self, cls):
        assert cls().backend == "auto"
        assert clone(cls(backend="numpy")).get_params()["backend"] == "numpy"

    def test_of_no_such_kind(self, model, tiny_data):
        model.set_params(backend="torch")
        for call in (lambda: model.predict(tiny_data.X), lambda: clone(model).fit(tiny_data.X, tiny_data.y)):
            with pytest.raises(ValueError, match=r"'backend' parameter .* must be a str among"):
                call()

    def test_changed_between_predictions(self, model, tiny_data):
        """Takes effect at once, and back."""
        kinds = {"tensorflow": Posterior, "numpy": NumpyPosterior}
        found = {}
        for backend in ("tensorflow", "numpy", "tensorflow", "numpy"):
            answer = model.set_params(backend=backend).predict(tiny_data.X, return_std=True)
            assert type(posterior_of(model)) is kinds[backend]
            assert_array_equal(answer, found.setdefault(backend, answer))
        scale = model.label_normalizer_.scale_
        assert_allclose(found["numpy"] / scale, found["tensorflow"] / scale, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("with_noise", [False, True])
    def test_context_told_earlier(self, told_earlier, tiny_data, with_noise):
        """By a copy from a pickle."""
        told_earlier = pickle.loads(pickle.dumps(told_earlier))
        x_err = tiny_data.X_err if with_noise else None
        found = [
            told_earlier.set_params(backend=backend).predict(tiny_data.X, return_std=True, x_err=x_err)
            for backend in ("tensorflow", "numpy")
        ]
        scale = told_earlier.label_normalizer_.scale_
        assert_allclose(found[1] / scale, found[0] / scale, rtol=1e-5, atol=1e-5)
        assert clone(told_earlier).context_layer == told_earlier.spec_.context_layer == "hidden"

    def test_kept_between_predictions(self, model, tiny_data):
        model.set_params(backend="numpy").predict(tiny_data.X)
        assert posterior_of(model) is posterior_of(model)

    def test_batch_and_order(self, model, tiny_data):
        """Bit for bit."""
        model.set_params(backend="numpy")
        X, x_err = np.resize(tiny_data.X, (300, 40)), np.resize(tiny_data.X_err, (300, 40))
        together = model.predict(X, return_std=True, x_err=x_err)
        rows = np.random.default_rng(0).permutation(300)[:171]
        assert_array_equal(model.predict(X[rows], return_std=True, x_err=x_err[rows]), np.take(together, rows, axis=1))

    def test_fit_needs_tensorflow(self, model, tiny_data, no_tensorflow, fitted_state):
        before = fitted_state(model)
        for call in (model.fit, model.partial_fit):
            with pytest.raises(ImportError, match=r"fit needs TensorFlow, but it is on holiday\. Install it"):
                call(tiny_data.X, tiny_data.y)
        np.testing.assert_equal(fitted_state(model), before)
        with pytest.warns(NumpyBackendWarning):
            model.predict(tiny_data.X)

    def test_fit_calibrates_by_it(self, tiny_parameters):
        """Which asks for predictions of the stars held out."""
        X = np.random.default_rng(0).normal(size=(60, 40))
        parameters = tiny_parameters | {"validation_fraction": 0.5}
        models = [CensoredBCNNRegressor(**parameters, backend=each).fit(X, X[:, :4]) for each in choice.BACKENDS]
        scales = [model.error_model_.scale for model in models]
        assert_array_equal(scales[0], scales[1])
        assert_allclose(scales[2], scales[1], rtol=1e-4)


class TestThreads:
    """Of matrix products: one while chunks are asked, then as many as before."""

    @staticmethod
    def of_products():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    def test_put_back_by_the_last(self):
        before = self.of_products()
        with ONE_THREAD_A_PRODUCT as first:
            with ONE_THREAD_A_PRODUCT as second:
                assert set(self.of_products()) <= {1}
            assert set(self.of_products()) <= {1}
        assert self.of_products() == before
        assert first == second == max(before, default=first)

    def test_put_back_after_an_error(self, model, tiny_data):
        before = self.of_products()
        posterior = NumpyPosterior(model.spec_, model.weights_, 0)
        with pytest.raises(ValueError, match="broadcast"):
            list(posterior.moments([(tiny_data.X[:, :3], None)], 2))
        assert self.of_products() == before

    def test_put_back_by_who_asks_no_further(self, model, tiny_data):
        before = self.of_products()
        answers = NumpyPosterior(model.spec_, model.weights_, 0).moments([(tiny_data.X, None)] * 20, 2)
        next(answers)
        assert set(self.of_products()) <= {1}
        answers.close()
        assert self.of_products() == before


class TestColumns:
    """Of matrix products, in which equal spectra get equal bits."""

    def test_this_machine(self):
        for n_columns in (128, 16):
            columns = columns_alike(n_columns)
            assert len(columns) >= n_columns / 2  # else most of what is computed would be for nothing
            assert 0 <= columns[0] < columns[-1] < n_columns

    def test_first_and_last_ones_round_otherwise(self):
        def product(first, second):
            answer = first @ second
            if len(first) > 12:
                answer[:, :5] *= np.float32(1 + 2e-7)
            if len(first) % 2:
                answer[:, 20:] *= np.float32(1 - 2e-7)
            return answer

        columns = columns_alike(24, product)
        assert set(columns) <= set(range(5, 20))
        assert len(columns) >= 8


class TestInOrder:
    def test_answers_come_in_the_order_of_the_chunks(self):
        later = threading.Event()

        def ask(number):
            if number == 0:
                assert later.wait(10)  # the second one is done before
            else:
                later.set()
            return number

        assert list(in_order(ask, range(5), 2)) == list(range(5))

    def test_no_more_are_taken_than_are_asked_for(self):
        taken = []
        answers = in_order(str, (taken.append(number) or number for number in range(100)), 3)
        assert next(answers) == "0"
        assert taken == [0, 1, 2]
        answers.close()

    def test_errors(self):
        with pytest.raises(ZeroDivisionError):
            list(in_order(lambda number: 1 / number, [1, 0, 2], 2))
