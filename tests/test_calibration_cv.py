"""Calibration with all stars by cross-fitting (`calibration_cv`)."""

import numpy as np
import pytest

from skbcnn import CensoredBCNNRegressor


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 20))
    return X, X[:, [0, 3]] + 0.1 * rng.normal(size=(900, 2))


def fitted(X, y, **parameters):
    return CensoredBCNNRegressor(**{"max_epochs": 8, "n_draws": 20, "random_state": 0} | parameters).fit(X, y)


@pytest.fixture(scope="module")
def cross_fitted(stars):
    X, y = stars
    return fitted(X[:300], y[:300], calibration_cv=3)


def test_every_star_calibrates_the_model_once(cross_fitted):
    assert cross_fitted.interval_scores_.shape == (300, 2)
    assert (cross_fitted.error_model_.n_differences >= 295).all()


def test_the_network_is_that_of_a_fit_without_cross_fitting(stars, cross_fitted):
    X, y = stars
    np.testing.assert_array_equal(fitted(X[:300], y[:300]).predict(X[300:310]), cross_fitted.predict(X[300:310]))


def test_error_bars_cover_other_stars(stars, cross_fitted):
    X, y = stars
    residual = np.abs(cross_fitted.predict(X[300:]) - y[300:])
    within = residual < cross_fitted.predict_std(X[300:], kind="calibrated")
    assert within.mean() == pytest.approx(0.683, abs=0.06)


def test_all_stars_calibrate_when_none_is_held_out(stars):
    X, y = stars
    assert fitted(X[:60], y[:60], calibration_cv=2, validation_fraction=0).interval_scores_.shape == (60, 2)


def test_more_folds_than_stars_are_refused(stars):
    X, y = stars
    with pytest.raises(ValueError, match="folds"):
        fitted(X[:5], y[:5], calibration_cv=10)
