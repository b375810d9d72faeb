"""Shares of the sensitivity, compared with the Jacobians and with models whose shares are known."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.inspection import jacobian, window_attribution

SHARES = ("within", "by_window", "by_context_within", "by_context_outside", "pixels_within")
WINDOWED = (1, 2, 3)


@pytest.fixture(scope="module")
def attribution(smooth_model, tiny_data):
    return window_attribution(smooth_model, tiny_data.X, n_draws=4)


@pytest.fixture(scope="module")
def of_either(either_model, tiny_data):
    return window_attribution(either_model, tiny_data.X, n_draws=4)


class TestShares:
    def test_paths_add_up_to_one(self, of_either):
        paths = np.array([of_either.by_window, of_either.by_context_within, of_either.by_context_outside])
        assert_allclose(paths.sum(axis=0)[1:], 1, rtol=1e-12)
        assert (paths[:, 1:] > 0).all()

    def test_against_jacobians(self, of_either, either_model, tiny_data):
        attribution = of_either
        total, window = (jacobian(either_model, tiny_data.X, path=path, n_draws=4) for path in ("total", "window"))
        for j in WINDOWED:
            inside = np.isin(np.arange(40), either_model.spec_.windows[j])
            whole, own = np.abs(total[:, j]).sum(), np.abs(window[:, j]).sum()
            context = np.abs(total[:, j] - window[:, j])
            assert_allclose(attribution.within[j], np.abs(total[:, j, inside]).sum() / whole, atol=1e-5)
            paths = own + context.sum()
            assert_allclose(attribution.by_window[j], own / paths, atol=1e-5)
            assert_allclose(attribution.by_context_within[j], context[:, inside].sum() / paths, atol=1e-5)
            assert_allclose(attribution.by_context_outside[j], context[:, ~inside].sum() / paths, atol=1e-5)
        assert_array_equal(attribution.pixels_within, [np.nan, 3 / 40, 2 / 40, 15 / 40])

    def test_labels_without_a_window(self, attribution):
        assert all(np.isnan(getattr(attribution, name)[0]) for name in SHARES)

    def test_model_without_windows(self, fit_smooth, tiny_data):
        attribution = window_attribution(fit_smooth(windows=None), tiny_data.X[:3])
        assert all(np.isnan(getattr(attribution, name)).all() for name in SHARES)

    def test_label_without_context(self, smooth_model, with_weights, tiny_data):
        without_context = with_weights(smooth_model)
        without_context.weights_["label1.mean.kernel"][4:] = 0
        attribution = window_attribution(without_context, tiny_data.X[:3])
        found = [getattr(attribution, name)[1] for name in SHARES]
        assert_allclose(found, [1, 1, 0, 0, 3 / 40], atol=1e-12)
        assert attribution.by_context_outside[2] > 0

    def test_label_that_depends_only_on_the_temperature(self, smooth_model, with_weights, tiny_data):
        """Its sensitivity is that of the temperature."""
        only_teff = with_weights(smooth_model)
        only_teff.weights_["label1.mean.kernel"][:-1] = 0  # the window layers and the free context units
        attribution = window_attribution(only_teff, tiny_data.X[:3])
        teff = np.abs(jacobian(only_teff, tiny_data.X[:3])[:, 0])
        within = teff[:, [5, 6, 7]].sum() / teff.sum()
        found = [getattr(attribution, name)[1] for name in SHARES]
        assert_allclose(found, [within, 0, within, 1 - within, 3 / 40], atol=1e-5)

    def test_label_that_depends_on_nothing(self, smooth_model, with_weights, tiny_data):
        constant = with_weights(smooth_model)
        constant.weights_["label2.mean.kernel"][...] = 0
        attribution = window_attribution(constant, tiny_data.X[:3])
        assert all(np.isnan(getattr(attribution, name)[2]) for name in SHARES[:-1])
        assert all(np.isfinite(getattr(attribution, name)[1]) for name in SHARES)

    def test_more_stars_than_a_chunk(self, smooth_model, attribution, tiny_data):
        many = window_attribution(smooth_model, np.tile(tiny_data.X, (9, 1)), n_draws=4)
        for name in SHARES:
            assert_allclose(getattr(many, name), getattr(attribution, name), rtol=1e-6)

    def test_one_label(self, fit_smooth, tiny_data):
        model = fit_smooth(tiny_data.X[:, 0] + tiny_data.X[:, 9], windows={"Mg": [0, 9]}, target=["Mg"])
        attribution = window_attribution(model, tiny_data.X[:3])
        assert attribution.label_names == ("Mg",)
        assert attribution.by_window.shape == (1,)
        assert 0.1 < attribution.within[0] < 1


class TestTable:
    def test_columns(self, attribution):
        table = attribution.to_table()
        assert table.colnames == ["label", *SHARES]
        assert list(table["label"]) == ["teff", "Mg", "Al", "C"]
        for name in SHARES:
            assert_array_equal(table[name], getattr(attribution, name))

    def test_as_printed(self, attribution):
        first = str(dataclasses.replace(attribution, within=np.array([np.nan, 0.5, 0.25, 1 / 3])).to_table()["within"])
        assert first.split()[2:] == ["nan", "0.500", "0.250", "0.333"]

    def test_frozen(self, attribution):
        with pytest.raises(dataclasses.FrozenInstanceError):
            attribution.within = None


def test_invalid_number_of_draws_raises_an_error(smooth_model, tiny_data):
    with pytest.raises(ValueError, match="n_draws=0"):
        window_attribution(smooth_model, tiny_data.X, n_draws=0)
