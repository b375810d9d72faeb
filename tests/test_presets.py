"""Recipes by name."""

import numpy as np
import pytest
from astropy.stats import mad_std

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, make_apogee_spectra
from skbcnn.apogee import PRESETS, preset


def test_the_published_model():
    """Leung & Bovy (2019): widths of its saved parameters, 60 epochs, Adam at 5e-4, batches of 64, dropout 0.3."""
    published = ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019").get_params()
    expected = {"num_hidden": (192, 64, 32, 16, 2), "max_epochs": 60, "lr": 5e-4, "batch_size": 64, "dropout_rate": 0.3}
    assert published.items() >= (expected | {"activation": "relu", "l2": 5e-9, "n_draws": 100}).items()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns(name):
    X = np.random.default_rng(0).normal(size=(60, 20))
    model = CensoredBCNNRegressor.from_preset(name, max_epochs=1, n_draws=3, random_state=0)
    assert type(model) is CensoredBCNNRegressor
    assert model.fit(X, X[:, :2], x_err=np.full_like(X, 0.1)).n_iter_ == 1


@pytest.mark.slow
def test_few_stars_are_learnt_better_than_by_the_published_recipe():
    """In as many epochs, on a seed that nothing was chosen on: 0.72 of its scatter, and no label is worse."""
    train, test = (make_apogee_spectra(n, snr=snr, random_state=91 + n) for n, snr in ((1200, 200), (300, 100)))
    scatters = {}
    for name in ("few_thousand_stars", "leung_bovy_2019"):
        parameters = {"max_epochs": 20, "n_draws": 30, "calibrate": False, "random_state": 91}
        model = ApogeeBCNNCensoredRegressor.from_preset(name, **parameters)
        model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)
        scatters[name] = mad_std(model.predict(test.X) - test.truth, axis=0)
    ratio = scatters["few_thousand_stars"] / scatters["leung_bovy_2019"]
    assert np.exp(np.log(ratio).mean()) < 0.85
    assert ratio.max() < 1.2


def test_changes_go_before_the_recipe():
    assert ApogeeBCNNCensoredRegressor.from_preset("few_thousand_stars", lr=0.5).lr == 0.5


def test_what_is_handed_out_is_a_copy():
    preset("leung_bovy_2019")["max_epochs"] = 1
    assert preset("leung_bovy_2019")["max_epochs"] == 60


def test_unknown_name():
    with pytest.raises(ValueError, match="There is no preset 'dr17', only 'leung_bovy_2019', 'few_thousand_stars'"):
        ApogeeBCNNCensoredRegressor.from_preset("dr17")


def test_unknown_parameter():
    with pytest.raises(TypeError, match="learning_rate"):
        ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019", learning_rate=1)
