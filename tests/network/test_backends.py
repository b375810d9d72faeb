"""The library that computes predictions: which one is chosen, and what is said if TensorFlow cannot be imported."""

import pytest

from skbcnn.network import backends
from skbcnn.network.backends import NumpyBackendWarning, posterior_class, require_tensorflow
from skbcnn.network.numpy.posterior import NumpyPosterior
from skbcnn.network.tensorflow.posterior import Posterior


class TestPosteriorClass:
    def test_tensorflow_is_preferred(self):
        assert posterior_class("auto") is posterior_class("tensorflow") is Posterior
        assert posterior_class("numpy") is NumpyPosterior

    def test_auto_warns_once_without_tensorflow(self, no_tensorflow):
        with pytest.warns(NumpyBackendWarning, match=r"TensorFlow is not available: it is hidden\..*backend='numpy'"):
            assert posterior_class("auto") is NumpyPosterior
        assert posterior_class("auto") is NumpyPosterior  # a second warning would be an error

    def test_numpy_does_not_warn(self, no_tensorflow):
        assert posterior_class("numpy") is NumpyPosterior

    def test_tensorflow_raises_if_it_cannot_be_imported(self, no_tensorflow):
        with pytest.raises(ImportError, match=r"backend='tensorflow' needs TensorFlow, but it is hidden\. Install"):
            posterior_class("tensorflow")


class TestRequireTensorflow:
    def test_message_has_an_alternative(self, no_tensorflow):
        with pytest.raises(ImportError, match=r"the jacobian needs TensorFlow.*, or use a machine where it is"):
            require_tensorflow("the jacobian")

    @pytest.mark.parametrize(
        ("hidden", "reason"),
        [(["tensorflow"], "tensorflow cannot be found"), (["tensorflow", "keras"], "tensorflow and keras cannot be")],
    )
    def test_not_installed(self, hidden, reason, monkeypatch):
        monkeypatch.setattr(backends, "find_spec", lambda name: None if name in hidden else object())
        with pytest.raises(ImportError, match=f"but {reason}"):
            require_tensorflow("fit")

    def test_installed_but_broken(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "skbcnn.network.tensorflow.runtime", None)
        with pytest.raises(ImportError, match="but it cannot be imported here"):
            require_tensorflow("fit")

    def test_module_without_spec(self, monkeypatch):
        """As stubs in tests have none; `find_spec` then raises a ValueError."""

        def find_spec(name):
            raise ValueError(f"{name}.__spec__ is None")

        monkeypatch.setattr(backends, "find_spec", find_spec)
        require_tensorflow("fit")
