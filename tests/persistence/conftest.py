"""A tiny model of two labels, saved as a folder and as a zip file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skbcnn import CensoredBCNNRegressor, ElementWindows
from skbcnn.persistence import save_folder


@pytest.fixture(scope="session")
def root():
    """Folder of the repository."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tiny():
    """Parameters of a regressor that is fitted in a second."""
    return {"num_hidden": (8, 8, 4, 4, 2), "num_filters": (1, 2), "max_epochs": 1, "n_draws": 3, "random_state": 0}


@pytest.fixture(scope="session")
def stars():
    """20 spectra of 40 pixels, their flux errors, and two labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 40)), np.full((20, 40), 0.1), rng.normal(size=(20, 2))


@pytest.fixture(scope="session")
def model(stars, tiny):
    """Fitted regressor of two labels, one with a window of three runs. Shared by all tests: do not change it."""
    X, x_err, y = stars
    windows = ElementWindows({"Mg": [3, 4, 5, 9, 12, 13]}, 40, {"Mg": (2, 1)})
    columns = [f"pixel{i}" for i in range(40)]
    model = CensoredBCNNRegressor(windows=windows, target=["teff", "Mg"], **tiny)
    return model.fit(pd.DataFrame(X, columns=columns), y, x_err=x_err)


@pytest.fixture(scope="session")
def saved(model, tmp_path_factory):
    """Model folder that tests only read."""
    return save_folder(model, tmp_path_factory.mktemp("models") / "two labels")


@pytest.fixture(scope="session")
def zipped(model, tmp_path_factory):
    """Zip file of the same model that tests only read."""
    return save_folder(model, tmp_path_factory.mktemp("models") / "two labels.zip")
