"""Sample weights in the loss, the normalisers and the validation loss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_equal
from sklearn.base import clone

from skbcnn import CensoredBCNNRegressor, _training_data, regressor

REPETITIONS = np.resize([2, 1, 3, 0, 1], 30)


@pytest.fixture(scope="module")
def fit(tiny_parameters, tiny_data):
    """Function that fits to some stars of the tiny data, without dropout, so that losses can be computed by hand."""

    def fit(rows=slice(None), sample_weight=None, **changes):
        stars = {name: values[rows] for name, values in tiny_data.items()}
        model = CensoredBCNNRegressor(**tiny_parameters | {"dropout_rate": 0.0} | changes)
        return model.fit(stars["X"], stars["y"], stars["X_err"], stars["y_err"], sample_weight=sample_weight)

    return fit


FULL_BATCH = {"batch_size": 100, "validation_fraction": 0, "max_epochs": 20, "input_norm_mode": 2}
RANDOM = {"batch_size": 5, "validation_fraction": 0.3, "dropout_rate": 0.3, "noise_augmentation": 1.0}


@pytest.fixture(scope="module")
def models(tiny_parameters, tiny_data):
    """Models fitted to weighted stars, and to copies that are trained on one by one, because they are not quite equal.

    All stars are in one batch and nothing is random, so that the loss of a weighted star is that of its copies.
    """
    network = CensoredBCNNRegressor(**tiny_parameters | {"dropout_rate": 0.0} | FULL_BATCH)
    rows = np.repeat(np.arange(30), REPETITIONS)
    copies = {name: values[rows] for name, values in tiny_data.items()}
    copies["y"] = copies["y"] * (1 + np.finfo(float).eps * np.arange(len(rows)))[:, None]
    repeated = clone(network).fit(copies["X"], copies["y"], copies["X_err"], copies["y_err"])
    assert repeated.inv_tau_ == pytest.approx(len(rows) / 24 * network._inverse_precision(24))  # none was merged
    arguments = tiny_data.X, tiny_data.y, tiny_data.X_err, tiny_data.y_err
    return clone(network).fit(*arguments, sample_weight=REPETITIONS), repeated


class TestRepetition:
    """A star of weight n counts as n stars."""

    def test_predictions(self, models, fit, tiny_data):
        unweighted = fit(**FULL_BATCH)
        answers = (model.predict(tiny_data.X, return_std=True) for model in (*models, unweighted))
        for weighted, repeated, other in zip(*answers, strict=True):
            assert_allclose(weighted, repeated, rtol=1e-4, atol=1e-4 * np.abs(repeated).max())
            assert not np.allclose(weighted, other, rtol=1e-2)

    def test_losses(self, models):
        weighted, repeated = (model.history_ for model in models)
        assert weighted.keys() == repeated.keys()
        for name, values in weighted.items():
            assert_allclose(values, repeated[name], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("names", [[], ["d", "a", "c", "b"]], ids=["no groups", "groups"])
    def test_model_is_the_same(self, names, tiny_parameters, tiny_data, fitted_state):
        """With held-out stars, batches, dropout and noise, all of which are random, and whatever the order."""
        model = CensoredBCNNRegressor(**tiny_parameters | RANDOM)
        groups = np.resize(names, 30) if names else None

        def state(rows, sample_weight=None):
            stars = {name: values[rows] for name, values in tiny_data.items()}
            model.fit(
                stars["X"],
                stars["y"],
                stars["X_err"],
                stars["y_err"],
                sample_weight=sample_weight,
                groups=None if groups is None else groups[rows],
            )
            return fitted_state(model)

        rows, order = np.arange(30), np.random.default_rng(0).permutation(30)
        weighted = state(order, REPETITIONS[order])
        assert_equal(state(np.repeat(rows, REPETITIONS)), weighted)
        assert_equal(state(np.tile(order, 2), np.repeat([0.25, 0.75], 30) * np.tile(REPETITIONS[order], 2)), weighted)

    def test_stars_of_which_one_value_differs_are_not_the_same(self, tiny_parameters, tiny_data):
        copies = {name: np.concatenate([values[:20]] * 2) for name, values in tiny_data.items()}
        copies["X"][20, -1] += 0.01
        copies["X_err"][21, 0] += 0.01
        copies["y"][22, 1] += 0.01
        copies["y_err"][23, 0] += 0.01
        model = CensoredBCNNRegressor(**tiny_parameters | FULL_BATCH)
        model.fit(copies["X"], copies["y"], copies["X_err"], copies["y_err"])
        assert model.inv_tau_ == pytest.approx(2 * 24 * model.l2 / (model.length_scale**2 * (1 - model.dropout_rate)))

    def test_statistics_of_the_normalisers(self, models):
        for name in ("spectra_normalizer_", "label_normalizer_"):
            weighted, repeated = (getattr(model, name) for model in models)
            assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-12)
            assert_allclose(weighted.scale_, repeated.scale_, rtol=1e-12)


class TestZero:
    def test_weight_zero(self, tiny_parameters, tiny_model, tiny_data, fitted_state):
        """Stars of weight 0 among the others do not change the fit by a bit."""
        places = [0, 4, 30]

        def put_in(values, filling):
            return np.insert(values, places, filling, axis=0)

        model = CensoredBCNNRegressor(**tiny_parameters).fit(
            put_in(tiny_data.X, 99.0),
            put_in(tiny_data.y, -500.0),
            x_err=put_in(tiny_data.X_err, 0.77),
            y_err=put_in(tiny_data.y_err, 0.0),
            sample_weight=put_in(np.ones(30), 0.0),
        )
        assert_equal(fitted_state(model), fitted_state(tiny_model))

    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_all_zero(self, method, tiny_parameters, tiny_data):
        model = CensoredBCNNRegressor(**tiny_parameters)
        with pytest.raises(ValueError, match=r"(?i)sample.weight.*(zero for every sample|non-zero)"):
            getattr(model, method)(tiny_data.X, tiny_data.y, sample_weight=np.zeros(30))


class TestUnit:
    @pytest.mark.parametrize("unit", [2.0**-1000, 2.0**1020])
    def test_does_not_matter(self, unit, fit, fitted_state):
        assert_equal(fitted_state(fit(sample_weight=unit * REPETITIONS)), fitted_state(fit(sample_weight=REPETITIONS)))

    def test_equal_weights_have_no_effect(self, fit, fitted_state):
        assert_equal(fitted_state(fit(sample_weight=np.full(30, 0.3))), fitted_state(fit()))


class TestValidation:
    def test_loss_is_weighted(self, fit, tiny_data, monkeypatch):
        """Without dropout, the loss can be computed by hand from the predictions for the held-out stars."""
        held_out = []

        def spy(*args):
            training, validation = _training_data.split(*args)
            held_out.extend(np.flatnonzero((x == tiny_data.X).all(axis=1)).item() for x in validation.x)
            return training, validation

        monkeypatch.setattr(regressor, "split", spy)
        weight = np.random.default_rng(0).uniform(0.1, 5, size=30)
        model = fit(sample_weight=weight, validation_fraction=0.5)

        prediction = model.predict_distribution(tiny_data.X[held_out])
        scale = model.label_normalizer_.scale_
        variance = (prediction.predictive**2 + tiny_data.y_err[held_out] ** 2) / scale**2
        error = (tiny_data.y[held_out] - prediction.mean) / scale
        has_label = ~np.isnan(error).all(axis=1)
        of_labels = {
            "val_loss": 0.5 * (error**2 / variance + np.log(variance)),
            "val_mean_absolute_error": abs(error),
        }
        for name, values in of_labels.items():
            of_stars = np.nanmean(values[has_label], axis=1)
            expected = np.average(of_stars, weights=weight[held_out][has_label])
            assert_allclose(model.history_[name][-1], expected, rtol=1e-5, atol=1e-5)
            assert abs(of_stars.mean() / expected - 1) > 0.01
