"""Files with known labels, and models for them."""

import matplotlib
import numpy as np
import pytest

from skbcnn import CensoredBCNNRegressor, ElementWindows, write_h5
from skbcnn.report.sample import Sample

NAMES = ("teff", "logg", "Fe", "Mg", "Al")
N_STARS, N_PIXELS = 260, 40


@pytest.fixture(scope="session", autouse=True)
def matplotlib_defaults():
    """Draw without a display, and without the settings and fonts of the user."""
    matplotlib.use("agg")
    matplotlib.rcdefaults()


def make_stars(n_stars, seed):
    """Return spectra whose lines follow five labels, flux errors, labels and label errors."""
    rng = np.random.default_rng(seed)
    scaled = rng.normal(size=(n_stars, 5)) @ (np.eye(5) + 0.2)
    centers = np.array([4, 11, 18, 25, 33])
    profiles = np.exp(-((np.arange(N_PIXELS) - centers[:, None]) ** 2) / 4)
    X = 1 - (0.25 + 0.05 * scaled) @ profiles + 0.01 * rng.normal(size=(n_stars, N_PIXELS))
    y = np.array([4700, 2.5, -0.2, -0.1, -0.1]) + scaled * [250, 0.5, 0.3, 0.3, 0.3]
    y_err = np.array([20, 0.05, 0.02, 0.03, 0.04]) + np.zeros_like(y)
    return X.astype(np.float32), np.full(X.shape, 0.01, dtype=np.float32), y + y_err * rng.normal(size=y.shape), y_err


def write_stars(path, X, X_err, y, y_err, names=NAMES, **extra):
    """Write a file; columns of `extra` are added."""
    labels, errors = (dict(zip(names, columns.T, strict=True)) for columns in (y, y_err))
    return write_h5(path, X, labels, spectra_err=X_err, labels_err=errors, **extra)


@pytest.fixture(scope="session")
def network():
    """A calibrated regressor with windows, and a summary of its training set. Shared: do not change it."""
    X, X_err, y, y_err = make_stars(360, seed=0)
    return CensoredBCNNRegressor(
        windows=ElementWindows({"Mg": range(21, 30), "Al": range(29, 38)}, N_PIXELS),
        target=list(NAMES),
        num_hidden=(16, 8, 8, 4, 2),
        lr=0.01,
        batch_size=32,
        max_epochs=8,
        validation_fraction=0.4,
        n_draws=10,
        random_state=0,
    ).fit(X, y, x_err=X_err, y_err=y_err)


@pytest.fixture(scope="session")
def stars():
    """Spectra, flux errors, labels and label errors of stars that `network` was not trained on."""
    X, X_err, y, y_err = make_stars(N_STARS, seed=1)
    y[:30, 3] = -9999
    y[40:45, 1] = np.nan
    return X, X_err, y, y_err


@pytest.fixture(scope="session")
def path(stars, tmp_path_factory):
    """File of `stars`, with names, S/N and another version of two labels. Shared: do not change it."""
    X, X_err, y, y_err = stars
    extra = {
        "APOGEE_ID": [f"2M{k:04d}" for k in range(N_STARS)],
        "SNR": np.repeat([80.0, 120.0], N_STARS // 2),
        "raw_teff": y[:, 0] + 100,
        "Mg_aspcap": np.where(y[:, 3] < -9990, y[:, 3], y[:, 3] - 0.1),
    }
    return write_stars(tmp_path_factory.mktemp("report") / "stars.h5", X, X_err, y, y_err, extra=extra)


@pytest.fixture
def make_sample():
    """Function that returns a sample of labels without predictions of a model."""

    def make_sample(y, mean, std, **changes):
        y, mean, std = (np.array(values, dtype=float) for values in (y, mean, std))
        values = {
            "label_names": ("teff", "Mg"),
            "rows": np.arange(len(y)),
            "stars": np.array([f"star {k}" for k in range(len(y))]),
            "snr": None,
            "y_err": None,
            "std_kind": "total",
        }
        return Sample(y=y, mean=mean, std=std, **values | changes)

    return make_sample
