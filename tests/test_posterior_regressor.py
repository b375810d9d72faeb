"""Posterior draws of labels from a fitted model: kept in a prediction, and sampled."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import CensoredBCNNRegressor


@pytest.fixture
def model(tiny_model):
    return copy.deepcopy(tiny_model)


@pytest.fixture(scope="module")
def single_label_model(tiny_data):
    X = np.vstack([tiny_data.X + shift for shift in range(8)])  # 24 held-out stars calibrate it
    return CensoredBCNNRegressor(max_epochs=1, n_draws=5, random_state=0).fit(X, X[:, 0])


class TestKeptDraws:
    def test_labels_and_errors_are_the_same(self, model, tiny_data):
        expected = model.predict_distribution(tiny_data.X)
        prediction = model.predict_distribution(tiny_data.X, keep_draws=True)
        assert expected.draws is None
        for name in ("mean", "model", "predictive", "total"):
            assert_array_equal(getattr(prediction, name), getattr(expected, name))

    def test_moments_of_the_draws_in_label_units(self, model, tiny_data):
        prediction = model.predict_distribution(tiny_data.X, keep_draws=True)
        assert prediction.draws.shape == (10, 30, 4)
        assert_allclose(prediction.draws.mean(axis=0, dtype=float), prediction.mean, rtol=1e-5, atol=1e-6)
        assert_allclose(prediction.draws.std(axis=0, dtype=float), prediction.model, rtol=1e-3)

    def test_covariance_has_the_errors_on_its_diagonal(self, model, tiny_data):
        prediction = model.predict_distribution(tiny_data.X, keep_draws=True)
        covariance = prediction.covariance()
        assert_allclose(covariance.diagonal(axis1=1, axis2=2), prediction.total**2)
        deviations = (prediction.draws - prediction.draws.mean(axis=0, dtype=float))[:, :, [1, 2]]
        variances = (deviations**2).mean(axis=0) + prediction.predictive[:, [1, 2]] ** 2
        factor = (prediction.total[:, [1, 2]] / np.sqrt(variances)).prod(axis=1)  # to the total errors of both labels
        assert_allclose(covariance[:, 1, 2], factor * deviations.prod(axis=2).mean(axis=0), rtol=1e-6)

    def test_single_label(self, single_label_model, tiny_data):
        prediction = single_label_model.predict_distribution(tiny_data.X, keep_draws=True)
        assert prediction.draws.shape == (5, 30)
        assert prediction.group_mean(["field"] * 30).mean.shape == (1,)
        assert prediction.calibrated_by == "known labels"


class TestSampleY:
    @pytest.mark.parametrize("with_noise", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_mean_and_covariance_are_those_of_the_prediction(self, model, tiny_data, with_noise):
        """The prediction, too, averages many draws."""
        n, x_err = 4000, tiny_data.X_err[:5] if with_noise else None
        prediction = model.set_params(n_draws=n).predict_distribution(tiny_data.X[:5], x_err=x_err, keep_draws=True)
        samples = model.sample_y(tiny_data.X[:5], n_samples=n, x_err=x_err)
        assert_allclose((samples.mean(axis=2) - prediction.mean) / prediction.total, 0, atol=5 / n**0.5)
        covariance = np.stack([np.cov(star) for star in samples])
        unit = prediction.total[:, :, None] * prediction.total[:, None]
        assert_allclose((covariance - prediction.covariance()) / unit, 0, atol=5 * (2 / n) ** 0.5)

    def test_calibrated_samples_scatter_by_the_calibrated_error(self, model, tiny_data):
        n, X = 4000, tiny_data.X[:5]
        with pytest.raises(ValueError, match="no calibrated error bars"):
            model.sample_y(X, kind="calibrated")
        model.fit_error_model(tiny_data.X, tiny_data.y)
        samples = model.sample_y(X, n, kind="calibrated")
        assert_allclose(samples.std(axis=2) / model.predict_std(X, kind="calibrated"), 1, atol=5 / n**0.5)
        with pytest.raises(ValueError, match="kind='model', expected 'total' or 'calibrated'"):
            model.sample_y(X, kind="model")

    def test_a_sample_is_one_network(self, model, tiny_data):
        """Equal spectra differ by the predictive noise only, which is independent."""
        X = np.repeat(tiny_data.X[:1], 400, axis=0)
        samples = model.sample_y(X, n_samples=3)
        predictive = model.set_params(n_draws=1000).predict_distribution(X[:1]).predictive[0]
        assert_allclose(samples.std(axis=0) / predictive[:, None], 1, atol=0.25)
        noise = (samples - samples.mean(axis=0)).transpose(1, 2, 0).reshape(12, 400)
        assert_allclose(np.corrcoef(noise) - np.eye(12), 0, atol=0.25)

    def test_both_backends_draw_the_same_labels(self, model, tiny_data):
        scale = model.label_normalizer_.scale_[:, None]
        ours, expected = (
            model.set_params(backend=backend).sample_y(tiny_data.X, 7, random_state=3) / scale
            for backend in ("numpy", "tensorflow")
        )
        assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)

    def test_random_state(self, model, tiny_data):
        samples = model.sample_y(tiny_data.X, n_samples=2)
        assert_array_equal(model.sample_y(tiny_data.X, n_samples=2, random_state=0), samples)
        for other in (1, None, np.random.RandomState(5)):
            assert (model.sample_y(tiny_data.X, n_samples=2, random_state=other) != samples).all()
        state = np.random.RandomState(5)
        assert (
            model.sample_y(tiny_data.X, random_state=state) != model.sample_y(tiny_data.X, random_state=state)
        ).all()

    def test_more_samples_than_draws(self, model, tiny_data):
        assert model.sample_y(tiny_data.X[:2], n_samples=25).shape == (2, 4, 25)

    def test_single_label(self, single_label_model, tiny_data):
        assert single_label_model.sample_y(tiny_data.X, n_samples=3).shape == (30, 3)

    @pytest.mark.parametrize("n_samples", [0, -1, 2.0, True, None])
    def test_invalid_number_of_samples(self, model, tiny_data, n_samples):
        with pytest.raises(ValueError, match=f"n_samples={n_samples}, expected a whole number of samples, at least 1"):
            model.sample_y(tiny_data.X, n_samples)
