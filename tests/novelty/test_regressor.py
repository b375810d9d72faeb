"""Novelty methods of the regressor."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, make_apogee_spectra
from skbcnn.catalog import prediction_table
from skbcnn.novelty import NoveltyFlag
from tests.line_spectra import draw_line_spectra as draw
from tests.out_of_distribution import OUT_OF_DISTRIBUTION

PARAMETERS = {
    "num_hidden": (16, 8, 8, 4, 1),
    "windows": {"Al": range(40, 60)},
    "target": ["teff", "Al"],
    "activation": "tanh",
    "initializer": "he_normal",
    "dropout_rate": 0.05,
    "lr": 0.01,
    "max_epochs": 10,
    "n_draws": 20,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def model():
    return CensoredBCNNRegressor(**PARAMETERS).fit(*draw(500, seed=1))


def draw_novel(n):
    """Return spectra with a third line."""
    return draw(n, seed=3)[0] - 0.2 * np.exp(-((np.arange(80) - 68) ** 2) / 8)


def test_only_novel_spectra_are_flagged(model):
    good = draw(500, seed=2)[0]
    assert (model.novelty_score(good) > 1).mean() <= 0.01
    assert (model.novelty_flags(draw_novel(20)) & NoveltyFlag.SPECTRUM_NOVEL).all()
    assert (model.novelty_score(draw_novel(20)) > 1).all()


def test_flux_errors_keep_the_check_of_the_model_uncertainty_unless_they_enter_the_draws(model):
    X, y = draw(500, seed=1)
    x_err = np.full_like(X, 0.01)
    trained_with_noise = CensoredBCNNRegressor(**PARAMETERS, noise_augmentation=(0, 4)).fit(X, y, x_err=x_err)
    noisy = draw(20, seed=2)[0] + 0.05 * np.random.default_rng(0).normal(size=(20, 80))  # more than twice the noise
    errors = np.full_like(noisy, 0.05)
    assert_array_equal(trained_with_noise.assess(noisy, errors).model, trained_with_noise.assess(noisy).model)
    assert np.isnan(model.assess(noisy, errors).model).all()


def test_scores_and_flags_are_those_of_the_assessment(model):
    X = np.vstack([draw(5, seed=2)[0], draw_novel(5)])
    assessment = model.assess(X)
    assert_array_equal(model.novelty_score(X), assessment.score)
    assert_array_equal(model.novelty_flags(X), assessment.flags)
    again = model.assess(X, prediction=model.predict_distribution(X))
    assert_array_equal(again.labels, assessment.labels)
    assert_array_equal(again.model, assessment.model)


def test_labels_out_of_the_training_range_are_flagged(model):
    X = draw(5, seed=2)[0]
    prediction = model.predict_distribution(X)
    far = replace(prediction, mean=prediction.mean + np.array([0, 10]))
    assert not (model.assess(X, prediction=prediction).flags & NoveltyFlag.LABEL_OUT_OF_RANGE).any()
    assert (model.assess(X, prediction=far).flags & NoveltyFlag.LABEL_OUT_OF_RANGE).all()


def test_model_uncertainty_is_learnt_from_held_out_stars(model):
    assert (model.domain_.model_scale > 0).all()
    without_held_out = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}, validation_fraction=0).fit(
        *draw(60, seed=1)
    )
    assert (without_held_out.domain_.model_scale == 0).all()
    assert np.isnan(without_held_out.assess(draw(3, seed=2)[0]).model).all()


def test_noise_added_in_training_is_not_flagged():
    X, y = draw(300, seed=1)
    x_err = np.full_like(X, 0.01)
    quiet, noisy = (
        CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}, noise_augmentation=noise).fit(X, y, x_err=x_err)
        for noise in (0.0, (0.0, 4.0))
    )
    others = draw(50, seed=2, noise=0.03)[0]
    assert (quiet.novelty_flags(others) & NoveltyFlag.NOISIER_THAN_TRAINED).all()
    assert not (noisy.novelty_flags(others) & NoveltyFlag.NOISIER_THAN_TRAINED).any()


def test_pixels_without_error_are_bad(model):
    X = draw(3, seed=2)[0]
    x_err = np.full_like(X, 0.01)
    x_err[:, :20] = 0
    assert (model.novelty_flags(X, x_err=x_err) & NoveltyFlag.BAD_PIXELS).all()


def test_single_label():
    X, y = draw(200, seed=1)
    single = CensoredBCNNRegressor(max_epochs=1, n_draws=5, random_state=0).fit(X, y[:, 0])
    assert single.assess(draw_novel(4)).labels.shape == (4, 1)


def test_partial_fit_keeps_the_domain():
    X, y = draw(200, seed=1)
    first = CensoredBCNNRegressor(**PARAMETERS).partial_fit(X, y)
    domain = first.domain_
    assert domain is not None
    assert first.partial_fit(X[:10], y[:10]).domain_ is domain


def test_warm_start_replaces_the_domain():
    X, y = draw(300, seed=1)
    model = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}, warm_start=True).fit(X, y)
    domain = model.domain_
    assert model.fit(X, y).domain_ is not domain


def test_model_without_domain_raises_an_error():
    X, y = draw(60, seed=1)
    plain = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}, calibrate=False).fit(X, y)
    assert plain.domain_ is None
    for method in (plain.assess, plain.novelty_score, plain.novelty_flags):
        with pytest.raises(ValueError, match=r"has no summary of its training set.*calibrate=True"):
            method(X)


@pytest.mark.parametrize("X", [np.ones((2, 79)), np.full((2, 80), np.nan), np.ones((0, 80)), np.ones(80)])
def test_invalid_spectra_raise_an_error(model, X):
    with pytest.raises(ValueError, match=r"79|NaN|0 sample|1D"):
        model.novelty_score(X)


def test_residuals_of_the_held_out_stars(model):
    residuals = model.validation_residuals_
    assert list(residuals) == ["teff", "Al"]
    (bias, scatter, n), (_, _, n_al) = residuals.values()
    assert n == 50
    assert 30 < n_al < 50  # a seventh is missing
    assert abs(bias) < scatter < 300  # less than the scatter of the label


def test_flags_and_novelty_in_a_table(model):
    X = np.vstack([draw(2, seed=2)[0], draw_novel(1)])
    prediction = model.predict_distribution(X)
    table = prediction_table(prediction, assessment=model.assess(X, prediction=prediction))
    assert table.colnames[-3:] == ["result_flags", "novelty", "do_not_use"]
    assert table["result_flags"].dtype == np.int32
    assert list(table["novelty"] > 1) == [False, False, True]


def test_flags_of_sdss_v_without_an_assessment(model):
    prediction = model.predict_distribution(draw(3, seed=2)[0])
    unsure = replace(prediction, total=prediction.total + np.array([1000, 0]))
    table = prediction_table(unsure, naming="sdssv")
    assert list(table["result_flags"]) == [NoveltyFlag.UNCERTAIN_TEFF] * 3
    assert "novelty" not in table.colnames
    assert "result_flags" not in prediction_table(unsure).colnames


@pytest.mark.slow
def test_out_of_distribution_spectra_of_a_trained_network():
    train = make_apogee_spectra(1200, continuum="true", random_state=31)
    model = ApogeeBCNNCensoredRegressor(
        activation="silu",
        initializer="he_normal",
        dropout_rate=0.1,
        lr=1e-3,
        max_epochs=10,
        n_draws=30,
        random_state=31,
    ).fit(train.X, train.y, y_err=train.y_err)
    for snr in (50, 100, 200):
        good = make_apogee_spectra(500, snr=snr, continuum="true", random_state=400 + snr)
        assert (model.novelty_score(good.X) > 1).mean() <= 0.01
        few = type(good)(**{key: good[key][:9] for key in ("X", "X_err", "truth")})  # 10 would be explained
        for make, bit in OUT_OF_DISTRIBUTION.values():
            x, _ = make(few, snr, np.random.default_rng(7))
            assessment = model.assess(x)
            assert (assessment.score > 1).all()
            assert (assessment.flags & bit).all()
