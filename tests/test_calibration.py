"""Calibrated standard deviations and intervals of the regressors."""

import pickle
from unittest import mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skbcnn import CensoredBCNNRegressor
from skbcnn.calibration import fit_error_model, fit_noise_model, interval_factor
from skbcnn.persistence import ModelFolderError, load_folder, save_folder
from tests.line_spectra import draw_line_spectra

PARAMETERS = {
    "windows": {"Al": [3, 4, 5]},
    "target": ["teff", "Al"],
    "num_hidden": (16, 8, 8, 4, 1),
    "pool_length": 1,
    "activation": "tanh",
    "initializer": "he_normal",
    "dropout_rate": 0.05,
    "lr": 0.01,
    "lr_schedule": "plateau",
    "batch_size": 64,
    "max_epochs": 30,
    "n_draws": 20,
    "validation_fraction": 0.25,
    "random_state": 0,
}


def draw(n, seed, x_err=0.02, y_err=0.04):
    """Return spectra of 12 pixels, labels, label errors and true labels."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, 2)) * [300, 0.3] + [4700, -0.1]
    z = (truth - [4700, -0.1]) / [300, 0.3]
    X = (
        1
        + np.column_stack([0.1 * z[:, :1] * np.ones(6), 0.1 * z[:, 1:] * np.ones(6)])[
            :, [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11]
        ]
    )
    X = X + x_err * rng.normal(size=X.shape)
    errors = np.full_like(truth, y_err) * [300, 0.3]
    y = truth + errors * rng.normal(size=truth.shape)
    y[::10, 1] = -9999
    return X, y, errors, truth


def press_in_second_epoch(record):
    if record.epoch == 2:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model():
    X, y, errors, _ = draw(1200, seed=1)
    return CensoredBCNNRegressor(**PARAMETERS).fit(X, y, y_err=errors)


class TestCalibratedStd:
    def test_scale_and_offset_of_the_error_model(self, model):
        X, *_ = draw(40, seed=2)
        prediction = model.predict_distribution(X)
        assert_array_equal(
            prediction.calibrated, prediction.total * model.error_model_.scale + model.error_model_.offset
        )
        assert_array_equal(model.predict_std(X, kind="calibrated"), prediction.calibrated)

    def test_total_counts_the_scatter_of_the_draws_once(self, model):
        """The variance about the mean over the draws is the predictive variance less the scatter of the draws."""
        X, _, _, truth = draw(4000, seed=3)
        prediction = model.predict_distribution(X)
        residual = np.abs(prediction.mean - truth)

        def share_off(std):
            return np.abs((residual < std).mean(axis=0) - 0.683)

        assert (share_off(prediction.total) < 0.08).all()
        assert (share_off(prediction.predictive) > 0.12).all()
        assert (share_off(np.hypot(prediction.model, prediction.predictive)) > 0.2).all()

    def test_coverage_of_the_true_labels(self, model):
        X, _, _, truth = draw(4000, seed=3)
        z = np.abs(model.predict(X) - truth) / model.predict_std(X, kind="calibrated")
        assert_allclose((z < 1).mean(axis=0), 0.683, atol=0.05)
        assert_allclose((z < 1.96).mean(axis=0), 0.95, atol=0.03)

    def test_all_held_out_stars_are_used(self, model):
        assert model.error_model_.n_differences[0] >= 298  # of 300, without outliers
        assert model.interval_scores_.shape == (300, 2)
        assert 240 < np.isfinite(model.interval_scores_[:, 1]).sum() < 300  # a tenth is missing

    def test_in_tables(self, model):
        X, *_ = draw(3, seed=2)
        table = model.predict_distribution(X).to_table(errors=("total", "calibrated"))
        assert table.colnames == ["teff", "teff_err", "teff_err_calibrated", "Al", "Al_err", "Al_err_calibrated"]

    def test_includes_the_noise_of_the_training(self):
        X, y, errors, _ = draw(800, seed=1)
        x_err = np.full_like(X, 0.02)
        noisy = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 2}, noise_augmentation=(4, 5)).fit(
            X, y, x_err=x_err, y_err=errors
        )
        quiet = noisy.predict_distribution(X)  # too large for these spectra, to which no noise was added
        assert (fit_error_model(quiet, y, errors).std(quiet) < quiet.calibrated).all()

    @pytest.mark.slow
    def test_depends_on_the_noise_of_the_spectrum(self, tmp_path):
        X, y = draw_line_spectra(2000, seed=1)
        noisy = CensoredBCNNRegressor(**PARAMETERS | {"windows": {"Al": range(40, 60)}}, noise_augmentation=(0, 6))
        noisy.fit(X, y, x_err=np.full_like(X, 0.01))
        assert (noisy.error_model_.noise_slope > 0.1).all()
        for noise in (0.015, 0.03, 0.055):
            others, truth = draw_line_spectra(3000, seed=3, noise=noise)
            z = np.abs(noisy.predict(others) - truth) / noisy.predict_std(others, kind="calibrated")
            assert_allclose((z < 1)[truth[:, 1] > -9999].mean(axis=0), 0.683, atol=0.08)
            lower, upper = noisy.predict_interval(others, coverage=0.8)
            within = ((lower <= truth) & (truth <= upper))[truth[:, 1] > -9999].mean(axis=0)
            assert_allclose(within, 0.8, atol=0.09)
        assert noisy.interval_noise_.shape == (500,)
        saved = load_folder(save_folder(noisy, tmp_path / "model"))
        assert_array_equal(saved.predict_interval(others[:50]), noisy.predict_interval(others[:50]))
        assert_array_equal(
            saved.predict_std(others[:50], kind="calibrated"), noisy.predict_std(others[:50], kind="calibrated")
        )
        x, y = (
            np.concatenate(parts)
            for parts in zip(draw_line_spectra(300, seed=4), draw_line_spectra(300, seed=5, noise=0.05), strict=True)
        )
        assert noisy.fit_error_model(x, y).interval_noise_.shape == (600,)
        assert noisy.error_model_.noise_slope is not None
        one_noise = pickle.loads(pickle.dumps(noisy)).fit_error_model(*draw_line_spectra(300, seed=4))
        assert one_noise.interval_noise_ is one_noise.error_model_.noise_slope is None
        noisy.interval_noise_ = -noisy.interval_noise_
        with pytest.raises(ModelFolderError, match="interval_noise holds negative values"):
            load_folder(save_folder(noisy, tmp_path / "broken"))


class TestFitErrorModel:
    """Calibration with further stars of known labels."""

    def test_coverage_of_each_label(self, model):
        X, y, errors, _ = draw(6000, seed=6)
        again = pickle.loads(pickle.dumps(model)).fit_error_model(X, y, y_err=errors)
        assert again.error_model_.n_differences[0] > 5900
        assert_array_equal(again.predict(X[:9]), model.predict(X[:9]))
        assert_array_equal(again.predict_std(X[:9]), model.predict_std(X[:9]))
        X, _, _, truth = draw(6000, seed=7)
        z = np.abs(again.predict(X) - truth) / again.predict_std(X, kind="calibrated")
        assert_allclose((z < 1).mean(axis=0), 0.683, atol=0.025)
        assert_allclose((z < 1.96).mean(axis=0), 0.95, atol=0.015)
        lower, upper = again.predict_interval(X)
        assert_allclose(((lower <= truth) & (truth <= upper)).mean(axis=0), 0.9, atol=0.03)

    def test_tables_by_name_in_any_order(self, model):
        pd = pytest.importorskip("pandas")
        X, y, errors, _ = draw(200, seed=6)
        table = pd.DataFrame({"Al": y[:, 1], "teff": y[:, 0]})
        table_err = pd.DataFrame({"teff_err": errors[:, 0], "Al_err": errors[:, 1]})
        a, b = (pickle.loads(pickle.dumps(model)) for _ in range(2))
        a.fit_error_model(X, y, y_err=errors)
        b.fit_error_model(X, table, y_err=table_err)
        assert_array_equal(a.error_model_.scale, b.error_model_.scale)
        assert_array_equal(a.interval_scores_, b.interval_scores_)

    def test_single_label(self):
        X, y, errors, _ = draw(200, seed=1)
        single = CensoredBCNNRegressor(**PARAMETERS | {"windows": None, "target": None, "max_epochs": 1})
        single.fit(X, y[:, 0], y_err=errors[:, 0]).fit_error_model(X[:50], y[:50, 0], y_err=errors[:50, 0])
        assert single.predict_std(X[:5], kind="calibrated").shape == (5,)
        assert single.predict_interval(X[:5])[0].shape == (5,)

    def test_a_model_without_held_out_stars(self):
        X, y, *_ = draw(200, seed=1)
        plain = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}, calibrate=False).fit(X[:100], y[:100])
        assert (
            plain.fit_error_model(X[100:], y[100:]).interval_noise_ is None
        )  # the noise cannot be measured without domain_
        assert (plain.predict_std(X[:5], kind="calibrated") > 0).all()

    def test_flux_errors_are_carried_into_the_draws(self, model):
        X, y, *_ = draw(200, seed=6)
        without, with_errors = (
            pickle.loads(pickle.dumps(model)).fit_error_model(X, y, x_err=x_err).interval_scores_[:, 0]
            for x_err in (None, np.full_like(X, 0.05))
        )
        assert (with_errors < without).mean() > 0.7  # larger standard deviations

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (X[:, :5], y), "expecting 12 features"),
            (lambda X, y: (X[:10], y), "inconsistent numbers of samples"),
            (lambda X, y: (X, y[:, :1]), "1 column"),
            (lambda X, y: (X, np.full_like(y, -9999)), "no value at all"),
            (lambda X, y: (X[:12], y[:12]), "at least 20"),
            (lambda X, y: (X, np.where(y > 4700, np.inf, y)), "infinity"),
            (lambda X, y: (np.where(X > 1, np.nan, X), y), "NaN"),
        ],
    )
    def test_refused_data_changes_nothing(self, model, change, message):
        before = pickle.loads(pickle.dumps(model))
        X, y, *_ = draw(100, seed=6)
        with pytest.raises(ValueError, match=message):
            before.fit_error_model(*change(X, y))
        assert_array_equal(before.error_model_.scale, model.error_model_.scale)
        assert_array_equal(before.interval_scores_, model.interval_scores_)

    def test_before_fit(self):
        with pytest.raises(NotFittedError):
            CensoredBCNNRegressor().fit_error_model(np.ones((3, 4)), np.ones(3))


class TestIntervals:
    @pytest.mark.parametrize("coverage", [0.5, 0.9])
    def test_coverage(self, model, coverage):
        X, _, _, truth = draw(4000, seed=4)
        lower, upper = model.predict_interval(X, coverage=coverage)
        within = ((lower <= truth) & (truth <= upper)).mean(axis=0)
        assert_allclose(within, coverage, atol=0.06)

    @pytest.mark.parametrize(("label_errors", "kind"), [(True, "calibrated"), (False, "total")])
    def test_symmetric_multiples_of_the_standard_deviation(self, model, label_errors, kind):
        X, y, errors, _ = draw(200, seed=2)  # too few for levels of noise
        again = pickle.loads(pickle.dumps(model)).fit_error_model(X, y, y_err=errors if label_errors else None)
        lower, upper = again.predict_interval(X)
        prediction = again.predict_distribution(X)
        assert_allclose((lower + upper) / 2, prediction.mean, rtol=1e-12)
        factor = interval_factor(again.interval_scores_, 0.9)
        assert_allclose((upper - lower) / 2, getattr(prediction, kind) * factor, rtol=1e-9)

    def test_large_label_errors_do_not_hide_that_the_total_std_is_too_small(self, model):
        X, y, errors, _ = draw(3000, seed=6, x_err=0.1, y_err=0.5)
        again = pickle.loads(pickle.dumps(model)).fit_error_model(X, y, y_err=errors)
        X, _, _, truth = draw(3000, seed=7, x_err=0.1)
        lower, upper = again.predict_interval(X)
        assert_allclose(((lower <= truth) & (truth <= upper)).mean(axis=0), 0.9, atol=0.05)

    def test_a_label_that_too_few_calibration_stars_have_is_nan_and_named(self, model):
        X, y, errors, _ = draw(200, seed=2)
        y[5:, 1] = np.nan
        with pytest.warns(UserWarning, match="The calibrated errors of Al are the total ones"):
            again = pickle.loads(pickle.dumps(model)).fit_error_model(X, y, y_err=errors)
        with pytest.warns(UserWarning, match=r"The intervals of Al are NaN: too few calibration stars .* 0\.9"):
            lower, upper = again.predict_interval(X)
        assert np.isnan([lower[:, 1], upper[:, 1]]).all()
        assert np.mean((lower[:, 0] <= y[:, 0]) & (y[:, 0] <= upper[:, 0])) > 0.8

    def test_do_not_depend_on_repeat_visits(self, model):
        X = draw(60, seed=6)[0]
        again = pickle.loads(pickle.dumps(model)).fit_noise_model(X, np.arange(30).repeat(2))
        assert_array_equal(again.predict_interval(X), model.predict_interval(X))

    def test_coverage_that_needs_more_stars_is_refused_before_the_work(self, model, monkeypatch):
        monkeypatch.setattr(CensoredBCNNRegressor, "_moments", None)
        with pytest.raises(ValueError, match="needs at least 999 held-out stars"):
            model.predict_interval(draw(3, seed=2)[0], coverage=0.999)

    def test_single_label(self):
        X, y, *_ = draw(200, seed=1)
        single = CensoredBCNNRegressor(**PARAMETERS | {"windows": None, "target": None, "max_epochs": 2})
        lower, upper = single.fit(X, y[:, 0]).predict_interval(X[:5])
        assert lower.shape == upper.shape == (5,)
        assert single.predict_std(X[:5], kind="calibrated").shape == (5,)


class TestWithoutCalibration:
    @pytest.mark.parametrize(
        ("changes", "n"), [({"calibrate": False}, 120), ({"validation_fraction": 0.0}, 120), ({}, 79)]
    )
    def test_requests_are_refused(self, changes, n):
        X, y, *_ = draw(n, seed=1)
        plain = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1} | changes).fit(X, y)
        assert plain.error_model_ is None
        assert plain.predict_distribution(X).calibrated is None
        with pytest.raises(ValueError, match="no calibrated error bars"):
            plain.predict_std(X, kind="calibrated")
        with pytest.raises(ValueError, match="no prediction intervals"):
            plain.predict_interval(X)

    def test_the_network_does_not_depend_on_it(self):
        X, y, *_ = draw(120, seed=1)
        some, other = (
            CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 2}, calibrate=wanted).fit(X, y)
            for wanted in (True, False)
        )
        assert some.error_model_ is not None
        assert_array_equal(some.predict(X), other.predict(X))

    def test_partial_fit_forgets_the_calibration(self, model):
        X, y, *_ = draw(60, seed=5)
        again = pickle.loads(pickle.dumps(model))
        with pytest.warns(UserWarning, match="partial_fit changed the network"):
            again.partial_fit(X, y)
        assert again.error_model_ is None
        assert again.interval_scores_ is None

    def test_interrupted(self):
        X, y, *_ = draw(120, seed=1)
        with (
            mock.patch.object(CensoredBCNNRegressor, "_prediction", side_effect=KeyboardInterrupt),
            pytest.warns(UserWarning, match="Calibration interrupted"),
        ):
            kept = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}).fit(X, y)
        assert kept.error_model_ is None
        assert np.isfinite(kept.predict(X)).all()

    def test_interrupted_before_the_training_set_is_summarised(self):
        X, y, *_ = draw(120, seed=1)
        with (
            mock.patch("skbcnn.regressor.TrainingDomain.learn", side_effect=KeyboardInterrupt),
            pytest.warns(UserWarning, match=r"Calibration interrupted .* no summary of its training set"),
        ):
            kept = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}).fit(X, y)
        with pytest.raises(
            ValueError, match=r"summary of its training set \(domain_\): its calibration was interrupted"
        ):
            kept.assess(X)

    @pytest.mark.filterwarnings("ignore:Training interrupted")
    def test_second_interruption_ends_the_fit(self):
        X, y, *_ = draw(120, seed=1)
        model = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 3, "callbacks": press_in_second_epoch})
        with (
            mock.patch.object(CensoredBCNNRegressor, "_prediction", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            model.fit(X, y)
        assert not hasattr(model, "weights_")

    @pytest.mark.filterwarnings("ignore:Training interrupted")
    def test_interrupted_training_is_calibrated_without_cross_fitting(self):
        X, y, *_ = draw(120, seed=1)
        parameters = PARAMETERS | {"max_epochs": 3, "callbacks": press_in_second_epoch, "calibration_cv": 3}
        model = CensoredBCNNRegressor(**parameters).fit(X, y)
        assert model.interrupted_
        assert 20 <= model.error_model_.n_differences[0] <= 60  # 30 held-out stars, in two exposures at most

    def test_label_of_few_stars_is_warned_of(self):
        X, y, *_ = draw(120, seed=1)
        y[8:, 1] = np.nan
        with pytest.warns(UserWarning, match="The calibrated errors of Al are the total ones"):
            model = CensoredBCNNRegressor(**PARAMETERS | {"max_epochs": 1}).fit(X, y)
        with pytest.warns(UserWarning, match="The calibrated errors of Al are the total ones"):
            assert_array_equal(model.predict_std(X, kind="calibrated")[:, 1], model.predict_std(X)[:, 1])


class TestRepeatVisits:
    def test_replaces_the_error_model(self, model):
        again = pickle.loads(pickle.dumps(model))
        X = draw(300, seed=6, x_err=0)[0].repeat(2, axis=0)
        X += 0.02 * np.random.default_rng(7).normal(size=X.shape)
        star = np.arange(300).repeat(2)
        assert again.fit_noise_model(X, star) is again
        expected = fit_noise_model(model.predict_distribution(X), star)
        assert again.error_model_.source == "repeat visits"
        assert_array_equal(again.error_model_.scale, expected.scale)
        assert_array_equal(again.predict(X), model.predict(X))
        mean, error = again.predict(X), again.predict_std(X, kind="calibrated")
        z = (mean[::2] - mean[1::2]) / np.hypot(error[::2], error[1::2])
        assert_allclose(z.std(axis=0), 1, atol=0.1)


def test_round_trips(model, tmp_path):
    X, *_ = draw(20, seed=2)
    saved = load_folder(save_folder(model, tmp_path / "model"))
    for again in (saved, pickle.loads(pickle.dumps(model))):
        assert_array_equal(again.predict_std(X, kind="calibrated"), model.predict_std(X, kind="calibrated"))
        assert_array_equal(again.predict_interval(X), model.predict_interval(X))
        assert again.error_model_.source == "known labels"
