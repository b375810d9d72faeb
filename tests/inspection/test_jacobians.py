"""The Jacobian, compared with finite differences of predictions, and its zeros."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from skbcnn import CensoredBCNNRegressor, SpectraNormalizer
from skbcnn.inspection import jacobian

PATHS = ("total", "stopped", "window")
TEFF, MG, AL, C = range(4)


def assert_close(found, expected, tolerance=2e-3):
    """Compare derivatives with a tolerance relative to the largest derivative of each label."""
    largest = np.abs(expected).max(axis=(0, 2), keepdims=True)
    assert (largest > 0).all()
    assert_allclose(found / largest, expected / largest, atol=tolerance)


@pytest.fixture(scope="module")
def X(tiny_data):
    return tiny_data.X[:5]


class TestAgainstDifferences:
    def test_smooth_network(self, either_model, by_differences, X):
        found = jacobian(either_model, X)
        assert found.shape == (5, 4, 40)
        assert found.dtype == np.float32
        assert_close(found, by_differences(either_model, X))

    def test_network_with_kinks(self, tiny_model, by_differences, X):
        """Finite differences are exact between two kinks. Some of their steps cross one."""
        found, expected = jacobian(tiny_model, X), by_differences(tiny_model, X, step=2e-3)
        largest = np.abs(expected).max(axis=(0, 2), keepdims=True)
        error = np.abs(found - expected) / largest
        assert (error < 0.02).mean() > 0.9
        assert error.mean() < 0.01

    @pytest.mark.parametrize(
        "parameters",
        [
            {"num_hidden": (8, 8, 4, 4, 0), "n_draws": 53},
            {"windows": None, "context_layer": "hidden"},
            pytest.param({"num_hidden": (8, 8, 4, 4, 0)}, marks=pytest.mark.slow),
            pytest.param({"n_draws": 53}, marks=pytest.mark.slow),
        ],
    )
    def test_other_networks(self, fit_smooth, by_differences, X, parameters):
        model = fit_smooth(**parameters)
        assert_close(jacobian(model, X), by_differences(model, X))

    def test_only_windows(self, fit_smooth, by_differences, X, tiny_data):
        windows = {"Mg": [5, 6, 7], "C": range(20, 40)}
        model = fit_smooth(tiny_data.y[:, [1, 3]], windows=windows, target=["Mg", "C"], num_hidden=(8, 8, 4, 4, 0))
        assert_close(jacobian(model, X), by_differences(model, X))
        for path in PATHS:
            assert_array_equal(jacobian(model, X, path=path), jacobian(model, X))

    @pytest.mark.parametrize("mode", [2, "3s"], ids=["scale of each pixel", "sigmoid"])
    def test_input_modes(self, fit_smooth, by_differences, X, mode):
        model = fit_smooth(input_norm_mode=mode)
        assert_close(jacobian(model, X), by_differences(model, X))


class TestPaths:
    def test_window_is_exactly_zero_outside(self, either_model, X):
        found = jacobian(either_model, X, path="window")
        for j, window in enumerate(either_model.spec_.windows):
            inside = np.isin(np.arange(40), range(40) if window is None else window)
            assert_array_equal(found[:, j, ~inside], 0)
            assert found[:, j, inside].all()

    def test_stopped_lacks_the_path_through_the_temperature(self, smooth_model, X):
        total, stopped = (jacobian(smooth_model, X, path=path) for path in ("total", "stopped"))
        assert_array_equal(total[:, TEFF], stopped[:, TEFF])
        scale = smooth_model.label_normalizer_.scale_
        for j in (MG, AL, C):
            slope = smooth_model.weights_[f"label{j}.mean.kernel"][-1, 0] * scale[j] / scale[TEFF]
            missing = slope * total[:, TEFF]
            assert np.abs(missing).max() > 1e-3 * np.abs(total[:, j]).max()
            assert_allclose(total[:, j] - stopped[:, j], missing, atol=1e-5 * np.abs(total[:, j]).max())

    def test_paths_differ_only_for_window_labels(self, either_model, X):
        total, stopped, window = (jacobian(either_model, X, path=path) for path in PATHS)
        assert_close(stopped[:, [TEFF]], total[:, [TEFF]], 1e-5)
        assert_close(window[:, [TEFF]], total[:, [TEFF]], 1e-5)
        for j in (MG, AL, C):
            largest = [np.abs(path[:, j]).max() for path in (total - stopped, stopped - window, window)]
            assert min(largest) > 1e-4 * max(largest)  # a thousand times the rounding error

    def test_without_free_context_units_stopped_is_window(self, fit_smooth, X):
        model = fit_smooth(num_hidden=(8, 8, 4, 4, 0))
        assert_array_equal(jacobian(model, X, path="stopped"), jacobian(model, X, path="window"))
        assert (jacobian(model, X, path="total") != jacobian(model, X, path="window")).any()

    def test_without_windows_all_paths_are_equal(self, fit_smooth, X):
        model = fit_smooth(windows=None)
        for path in PATHS[1:]:
            assert_array_equal(jacobian(model, X, path=path), jacobian(model, X))

    def test_window_path_is_that_of_a_model_that_ignores_the_context(
        self, smooth_model, with_weights, by_differences, X
    ):
        without_context = with_weights(smooth_model)
        for j, width in ((MG, 4), (AL, 4), (C, 8)):
            without_context.weights_[f"label{j}.mean.kernel"][width:] = 0
        assert_close(jacobian(smooth_model, X, path="window"), by_differences(without_context, X))


class TestUnits:
    @pytest.mark.parametrize("mode", [0, 1, 2, "255"])
    def test_input_modes(self, fit_smooth, tiny_data, mode):
        X = tiny_data.X.astype(float)
        scale = {0: 1, 1: X.std(), 2: X.std(axis=0), "255": 255}[mode]
        model = fit_smooth(input_norm_mode=mode, labels_norm_mode=0, validation_fraction=0, max_epochs=1)
        normalised, by_flux = (jacobian(model, X[:3], denormalize=denormalize) for denormalize in (False, True))
        assert_close(by_flux, normalised / scale, 1e-4)

    @pytest.mark.parametrize("mode", [0, 1, 2, 255])
    def test_label_modes(self, fit_smooth, tiny_data, mode):
        y = tiny_data.y
        scale = {0: 1, 1: np.nanstd(y), 2: np.nanstd(y, axis=0), 255: 255}[mode]
        model = fit_smooth(labels_norm_mode=mode, validation_fraction=0, max_epochs=1)
        normalised, in_units = (jacobian(model, tiny_data.X[:3], denormalize=which) for which in (False, True))
        assert_close(in_units, normalised * np.broadcast_to(scale, 4)[:, None], 1e-5)

    def test_labels_that_are_not_scaled_linearly_raise_an_error(self, smooth_model, with_weights, X):
        model = with_weights(smooth_model)
        model.label_normalizer_.mode = "3s"
        with pytest.raises(ValueError, match="cannot be rescaled by one number"):
            jacobian(model, X)
        assert jacobian(model, X, denormalize=False).any()


class TestStars:
    @pytest.mark.parametrize(("path", "mode"), [*((path, 3) for path in PATHS), ("total", "3s")])
    def test_average(self, fit_smooth, tiny_data, path, mode):
        model = fit_smooth(max_epochs=2, input_norm_mode=mode)
        averaged = jacobian(model, tiny_data.X, path=path, mean_output=True)
        assert averaged.dtype == np.float32
        expected = jacobian(model, tiny_data.X, path=path).mean(axis=0, dtype=np.float64)
        assert_close(averaged[None], expected[None], 5e-6)

    def test_each_star_alone(self, smooth_model):
        X = np.random.default_rng(3).normal(1, 0.1, size=(300, 40)).astype(np.float32)  # three chunks
        together = jacobian(smooth_model, X, n_draws=3)
        for rows in ([7], [299], np.arange(299, -1, -1), np.arange(100, 230)):
            assert_array_equal(jacobian(smooth_model, X[rows], n_draws=3), together[rows])
        averaged = jacobian(smooth_model, X, n_draws=3, mean_output=True)
        assert_close(averaged[None], together.mean(axis=0, keepdims=True), 5e-6)

    def test_frames_and_doubles(self, smooth_model, X):
        expected = jacobian(smooth_model, X)
        assert_array_equal(jacobian(smooth_model, pd.DataFrame(X, columns=range(40)).astype(float)), expected)
        assert_array_equal(jacobian(smooth_model, X.tolist()), expected)


class TestDraws:
    def test_as_many_as_for_predictions_by_default(self, smooth_model, X):
        assert smooth_model.n_draws == 10
        assert_array_equal(jacobian(smooth_model, X), jacobian(smooth_model, X, n_draws=10))
        assert (jacobian(smooth_model, X, n_draws=1) != jacobian(smooth_model, X)).any()

    def test_have_the_seed_of_the_model(self, smooth_model, with_weights, X):
        copy = with_weights(smooth_model)
        assert_array_equal(jacobian(copy, X), jacobian(smooth_model, X))
        copy.seed_ += 1
        assert (jacobian(copy, X) != jacobian(smooth_model, X)).any()


class TestOneLabel:
    @pytest.fixture
    def y(self, tiny_data):
        return tiny_data.X[:, 0] + tiny_data.X[:, 9]

    @pytest.mark.parametrize("windows", [{"Mg": [0, 9]}, pytest.param(None, marks=pytest.mark.slow)])
    def test_has_no_axis_of_labels(self, fit_smooth, X, y, windows):
        flat = fit_smooth(y, windows=windows, target=["Mg"])
        column = fit_smooth(y[:, None], windows=windows, target=["Mg"])
        assert jacobian(flat, X).shape == (5, 40)
        assert jacobian(flat, X, mean_output=True).shape == (40,)
        assert jacobian(column, X).shape == (5, 1, 40)
        assert jacobian(column, X, mean_output=True).shape == (1, 40)
        assert_array_equal(jacobian(column, X)[:, 0], jacobian(flat, X))


class TestErrors:
    def test_path(self, smooth_model, X):
        with pytest.raises(ValueError, match="path='windows', expected 'total', 'stopped' or 'window'"):
            jacobian(smooth_model, X, path="windows")

    @pytest.mark.parametrize("n_draws", [0, -1, 2.5, "10", True])
    def test_number_of_draws(self, smooth_model, X, n_draws):
        with pytest.raises(ValueError, match=r"n_draws=.* expected a whole number of posterior draws, at least 1"):
            jacobian(smooth_model, X, n_draws=n_draws)

    def test_not_fitted(self, X):
        with pytest.raises(NotFittedError):
            jacobian(CensoredBCNNRegressor(), X)

    def test_pipeline(self, smooth_model, X):
        with pytest.raises(TypeError, match=r"model\[-1\] and model\[:-1\]\.transform\(X\)"):
            jacobian(make_pipeline(SpectraNormalizer(), smooth_model), X)

    def test_other_estimators(self, X):
        with pytest.raises(TypeError, match="model is a LinearRegression, expected a fitted CensoredBCNNRegressor"):
            jacobian(LinearRegression(), X)

    def test_number_of_pixels(self, smooth_model, X):
        with pytest.raises(ValueError, match="39 features"):
            jacobian(smooth_model, X[:, 1:])

    def test_flux_that_is_not_finite(self, smooth_model, X):
        X = X.copy()
        X[2, 3] = np.nan
        with pytest.raises(ValueError, match="row 2, pixel 3"):
            jacobian(smooth_model, X)


class TestUnchanged:
    def test_model_and_spectra(self, smooth_model, X, fitted_state):
        before, spectra = fitted_state(smooth_model), X.copy()
        names = set(vars(smooth_model))
        jacobian(smooth_model, X)
        np.testing.assert_equal(fitted_state(smooth_model), before)
        assert set(vars(smooth_model)) == names
        assert_array_equal(X, spectra)

    def test_predictions(self, smooth_model, X):
        before = smooth_model.predict(X)
        jacobian(smooth_model, X, n_draws=3)
        assert_array_equal(smooth_model.predict(X), before)


def test_progress_bar(smooth_model, with_weights, X, capsys):
    jacobian(smooth_model, X)
    assert not capsys.readouterr().err
    jacobian(with_weights(smooth_model).set_params(verbose=1), X)
    assert "Differentiating: 100%" in capsys.readouterr().err


def test_import_is_light():
    code = "import sys, skbcnn.inspection; sys.exit('tensorflow' in sys.modules or 'astropy.table' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
