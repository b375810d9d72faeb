"""Fixtures that many tests share: reference data, where they lie beside the repository, and one tiny fitted model."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

# a checkout may be read-only, and a machine may be slow
settings.register_profile("skbcnn", database=None, deadline=None)
settings.load_profile("skbcnn")

NUMBERS_OF_THREADS = {
    name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
}


@pytest.fixture(autouse=True)
def no_figure_is_left():
    """Close the figures of a test, because others count theirs."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def numbers_of_threads_are_restored():
    """Undo what Dask does to the environment when it starts workers: later processes would round differently."""
    yield
    for name, value in NUMBERS_OF_THREADS.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt here and in new processes, even if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of reference data (astroNN's models, real spectra), which are not part of the package."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no reference data: there is no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny_data():
    """30 spectra of 40 pixels and 4 labels, some of them missing (NaN), with errors."""
    rng = np.random.default_rng(0)
    X = rng.normal(1, 0.1, size=(30, 40)).astype(np.float32)
    y = np.column_stack([4500 + 3000 * (X[:, 0] - 1), X[:, 5] - 1, X[:, 6] + X[:, 7], X[:, 30]]).astype(float)
    y[3, 1] = y[7, 2] = y[8, :] = np.nan
    return Bunch(X=X, y=y, y_err=np.full(y.shape, 0.01) * [1000, 1, 1, 1], X_err=np.full_like(X, 0.01))


@pytest.fixture(scope="session")
def tiny_parameters():
    """Parameters of a regressor for `tiny_data` that is fitted in a second or two."""
    from skbcnn import ElementWindows

    windows = ElementWindows({"Mg": [5, 6, 7], "Al": [6, 7], "C": range(25, 40)}, 40, widening={"C": (3, 2)})
    return {
        "windows": windows,
        "target": ["teff", "Mg", "Al", "C"],
        "num_hidden": (8, 8, 4, 4, 2),
        "lr": 0.005,
        "batch_size": 8,
        "max_epochs": 2,
        "n_draws": 10,
        "random_state": 0,
    }


@pytest.fixture(scope="session")
def tiny_model(tiny_parameters, tiny_data):
    """A regressor fitted to `tiny_data`. Shared by all tests: do not change it."""
    from skbcnn import CensoredBCNNRegressor

    return CensoredBCNNRegressor(**tiny_parameters).fit(
        tiny_data.X, tiny_data.y, x_err=tiny_data.X_err, y_err=tiny_data.y_err
    )


@pytest.fixture(scope="session")
def fitted_state():
    """Function that returns the fitted attributes of a regressor, to be compared by `numpy.testing.assert_equal`."""

    def fitted_state(model):
        fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
        return {name: vars(value) if isinstance(value, BaseEstimator) else value for name, value in fitted.items()}

    return fitted_state


@pytest.fixture
def no_tensorflow(monkeypatch):
    """TensorFlow cannot be imported, and no warning has been issued."""
    from skbcnn.network import backends

    backends._warn_once.cache_clear()
    monkeypatch.setattr(backends, "_import_failure", lambda: "it is hidden")
    yield
    backends._warn_once.cache_clear()
