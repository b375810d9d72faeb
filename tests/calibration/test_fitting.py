"""Fits of the error model to known labels and to repeat visits."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import Prediction
from skbcnn.calibration import fit_error_model, fit_noise_model

NAMES = ("teff", "Al")


def predicted(mean, total):
    return Prediction(mean, 0.6 * total, 0.8 * total, total, NAMES)


@pytest.fixture
def std(rng):
    """Predicted standard deviations, from 1 to 4 times a unit of each label."""
    return rng.uniform(1, 4, size=(6000, 2)) * [10, 0.02]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


class TestKnownLabels:
    def test_scale_and_offset_are_found(self, std, rng):
        truth = rng.normal(size=std.shape)
        right = std * [0.5, 1.5] + [8, 0]
        stars = predicted(truth + right * rng.normal(size=std.shape), std)
        found = fit_error_model(stars, truth)
        assert_allclose(found.std(stars) / right, 1, atol=0.05)  # of small and of large standard deviations
        assert_allclose(found.scale, [0.5, 1.5], atol=0.1)
        assert found.source == "known labels"

    def test_label_errors_are_not_included(self, std, rng):
        std = np.tile(std, (10, 1))  # where label errors are large, few stars tell little
        truth = rng.normal(size=std.shape)
        y_err = 3 * std
        labels = truth + y_err * rng.normal(size=std.shape)
        stars = predicted(truth + std * rng.normal(size=std.shape), std)
        assert_allclose(fit_error_model(stars, labels, y_err).std(stars) / std, 1, atol=0.25)
        assert_allclose(fit_error_model(stars, labels).std(stars) / std, 10**0.5, atol=0.2)

    def test_label_errors_that_are_much_larger_than_the_residuals_are_warned_of(self, std, rng):
        truth = rng.normal(size=std.shape)
        labels = truth + std * rng.normal(size=std.shape)
        stars = predicted(truth, 0.1 * std)
        fit_error_model(stars, labels, std)  # right: no warning
        with pytest.warns(UserWarning, match=r"residuals of Al are much smaller than the label errors"):
            fit_error_model(stars, labels, std * [1, 3])

    def test_missing_labels_are_ignored(self, std, rng):
        truth = rng.normal(size=std.shape)
        stars = predicted(truth + std * rng.normal(size=std.shape), std)
        labels = truth.copy()
        labels[::2] = -9999
        labels[1::4, 1] = np.nan
        found = fit_error_model(stars, labels)
        some = fit_error_model(predicted(stars.mean[1::2], std[1::2]), labels[1::2])
        assert_allclose(found.scale, some.scale, rtol=1e-9)
        assert found.n_differences[1] == some.n_differences[1] <= 1500

    def test_outliers_are_left_out(self, std, rng):
        truth = rng.normal(size=std.shape)
        mean = truth + std * rng.normal(size=std.shape)
        mean[:60] += 1000 * std[:60]
        found = fit_error_model(predicted(mean, std), truth)
        assert_allclose(found.std(predicted(mean, std)) / std, 1, atol=0.1)
        assert_array_equal(found.n_differences, 5940)

    def test_columns_of_a_table_are_matched_by_name(self, std, rng):
        truth = rng.normal(size=std.shape)
        stars = predicted(truth + std * rng.normal(size=std.shape), std)
        table = pd.DataFrame({"Al": truth[:, 1], "teff": truth[:, 0]})
        assert_array_equal(fit_error_model(stars, table).scale, fit_error_model(stars, truth).scale)

    def test_a_label_with_too_few_stars_is_not_calibrated(self, std, rng):
        truth = rng.normal(size=std.shape)
        labels = truth.copy()
        labels[19:, 1] = np.nan
        found = fit_error_model(predicted(truth + 2 * std * rng.normal(size=std.shape), std), labels)
        assert (found.scale[1], found.offset[1], found.n_differences[1]) == (1, 0, 19)
        assert found.n_differences[0] > 5000

    def test_too_few_of_all_are_refused(self, std):
        with pytest.raises(ValueError, match="at most 5 residuals of a label, and at least 20"):
            fit_error_model(predicted(std[:5], std[:5]), std[:5])

    def test_standard_deviations_of_0_for_most_stars_are_named(self, std):
        total = std.copy()
        total[: len(total) // 2 + 1, 1] = 0
        with pytest.warns(UserWarning, match="is 0 for most stars with a known Al, so that"):
            found = fit_error_model(predicted(std, total), 2 * std)
        assert (found.scale[1], found.offset[1]) == (1, 0)

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
    def test_standard_deviations_that_are_none_are_refused(self, std, wrong):
        total = std.copy()
        total[3, 1] = wrong
        with pytest.raises(ValueError, match="total is negative, infinite or NaN in 1 places"):
            fit_error_model(predicted(std, total), std)

    def test_single_label(self, std, rng):
        truth, std = rng.normal(size=6000), std[:, 0]
        stars = Prediction(truth + 2 * std * rng.normal(size=6000), std, std, std, ("teff",))
        assert_allclose(fit_error_model(stars, truth).std(stars), 2 * std, rtol=0.1)


class TestSeveralSpectraOfAStar:
    def test_spectra_of_a_star_count_as_one(self, std, rng):
        truth = rng.normal(size=std.shape)
        stars = predicted(truth + 1.5 * std * rng.normal(size=std.shape), std)
        twice = predicted(np.tile(stars.mean, (2, 1)), np.tile(std, (2, 1)))
        once = fit_error_model(stars, truth)
        found = fit_error_model(twice, np.tile(truth, (2, 1)), star=np.tile(np.arange(len(std)), 2))
        assert_allclose(found.std(stars), once.std(stars), rtol=1e-4)
        assert_array_equal(found.n_differences, once.n_differences)

    def test_nineteen_stars_are_too_few_even_with_many_spectra(self, std):
        with pytest.raises(ValueError, match="at most 19 stars with a known value"):
            fit_error_model(predicted(std[:95], std[:95]), std[:95], star=np.repeat(np.arange(19), 5))

    def test_a_star_with_a_label_for_one_of_its_spectra_counts_once(self, std, rng):
        truth = rng.normal(size=std.shape)
        stars = predicted(truth + 1.5 * std * rng.normal(size=std.shape), std)
        star, labels = np.arange(6000) // 3, truth.copy()
        labels[np.arange(6000) % 3 > 0] = np.nan
        assert_array_equal(fit_error_model(stars, labels, star=star).n_differences, 2000)

    def test_a_missing_prediction_changes_nothing_else(self, std, rng):
        truth = rng.normal(size=(300, 2))[np.arange(900) // 3]
        mean = truth + std[:900] * rng.normal(size=truth.shape)
        mean[5, 0] = truth[5, 0] = np.nan
        found = fit_error_model(predicted(mean, std[:900]), truth, star=np.arange(900) // 3)
        assert_allclose(found.std(predicted(mean, std[:900])) / std[:900], 1, atol=0.15)

    def test_a_label_that_varies_between_spectra_gets_larger_errors(self):
        """Label errors hide the errors of the last label, whose predicted standard deviations are too small."""
        rng = np.random.default_rng(1)
        star = np.tile(np.arange(400), 2)
        std, y_err = np.ones((800, 6)), np.full((800, 6), 0.1)
        y_err[:, -1] = 8
        truth, label_error = (rng.normal(size=(400, 6))[star] for _ in range(2))
        common, own = (np.full(6, np.sqrt(0.5)) for _ in range(2))
        own[-1] = 2  # the last label: sqrt(0.5 + 4) instead of 1
        mean = truth + common * rng.normal(size=(400, 6))[star] + own * rng.normal(size=std.shape)
        stars = Prediction(mean, 0 * std, std, std, tuple("abcdef"))
        y = truth + y_err * label_error
        alone = fit_error_model(stars, y, y_err).std(stars)[0]
        known = fit_error_model(stars, y, y_err, star=star).std(stars)[0]
        assert_allclose(known[:-1], 1, atol=0.1)
        assert alone[-1] < 1.4
        assert known[-1] == pytest.approx(4.5**0.5, rel=0.25)

    def test_one_star_for_each_spectrum(self, std):
        with pytest.raises(ValueError, match=r"star has shape \(3,\), expected \(6000,\)"):
            fit_error_model(predicted(std, std), std, star=[1, 1, 2])


class TestRepeatVisits:
    def test_differences_become_a_unit_normal(self, std, rng):
        star = rng.integers(0, 2000, size=len(std))  # from none to ten visits
        right = std * [1.5, 0.7] + [0, 0.03]
        mean = rng.normal(size=(2000, 2))[star] * 1000 + right * rng.normal(size=std.shape)
        found = fit_noise_model(predicted(mean, std), star)
        error = found.std(predicted(mean, std))
        assert_allclose(error / right, 1, atol=0.1)
        assert_allclose(found.scale, [1.5, 0.7], atol=0.12)
        order = np.argsort(star, kind="stable")
        a, b = order[:-1], order[1:]
        same = star[a] == star[b]
        z = ((mean[a] - mean[b]) / np.hypot(error[a], error[b]))[same]
        assert_allclose(z.std(axis=0), 1, atol=0.04)
        assert found.source == "repeat visits"

    def test_names_of_stars_in_any_order(self, std, rng):
        star = np.repeat([f"2M{n:04d}" for n in range(3000)], 2)
        mean = np.repeat(rng.normal(size=(3000, 2)), 2, axis=0) + std * rng.normal(size=std.shape)
        order = rng.permutation(6000)
        mixed = fit_noise_model(predicted(mean[order], std[order]), star[order])
        assert_allclose(mixed.scale, fit_noise_model(predicted(mean, std), star).scale, rtol=1e-4)

    def test_weight_of_stars_with_many_visits(self, std, rng):
        """Two kinds of stars whose standard deviations are wrong by different factors: weights are m - 1."""
        std = np.full((1500, 2), 1.0)
        star = np.concatenate([np.arange(300).repeat(2), 300 + np.arange(300).repeat(3)])
        true = np.where(star < 300, 1.0, 2.0)[:, None]
        mean = true * rng.normal(size=std.shape)
        found = fit_noise_model(predicted(mean, std), star)
        variance = (300 * 1 + 600 * 4) / 900
        assert_allclose(found.std(predicted(mean, std)), variance**0.5, rtol=0.08)

    def test_single_visits_alone_are_refused(self, std):
        with pytest.raises(ValueError, match="at most 0 pairs of visits"):
            fit_noise_model(predicted(std, std), np.arange(len(std)))

    def test_one_star_for_each_spectrum(self, std):
        with pytest.raises(ValueError, match=r"star has shape \(3,\), expected \(6000,\)"):
            fit_noise_model(predicted(std, std), [1, 1, 2])


class TestNoise:
    """Standard deviations that depend on the noise of the spectrum."""

    def stars(self, std, rng, power):
        """Return stars whose errors scale with a power of their noise, unlike the predicted standard deviations."""
        noise = np.exp(rng.uniform(-1, 1, len(std)))
        right = std * noise[:, None] ** power
        truth = rng.normal(size=std.shape)
        return predicted(truth + right * rng.normal(size=std.shape), std), truth, noise, right

    def test_the_power_is_found(self, std, rng):
        stars, truth, noise, right = self.stars(std, rng, np.array([0.5, 0.0]))
        found = fit_error_model(stars, truth, noise=noise)
        assert_allclose(found.noise_slope, [0.5, 0], atol=0.05)
        assert_allclose(found.std(stars, noise) / right, 1, atol=0.1)
        assert_allclose(found.std(stars), found.std(stars, np.full(len(std), np.median(noise))))

    def test_curvature_is_found(self, rng):
        std = rng.uniform(1, 2, size=(20_000, 6))
        noise = np.exp(rng.uniform(-1, 1, len(std)))
        right = std * np.exp(0.4 * np.log(noise) ** 2)[:, None]
        truth = rng.normal(size=std.shape)
        mean = truth + right * rng.normal(size=std.shape)
        stars = Prediction(mean, 0 * std, std, std, tuple("abcdef"))
        found = fit_error_model(stars, truth, noise=noise)
        assert_allclose(found.noise_curve, 0.4, atol=0.07)
        assert_allclose(found.std(stars, noise) / right, 1, atol=0.06)

    def test_curvature_is_never_negative(self, rng):
        std = rng.uniform(1, 2, size=(5000, 1))
        noise = np.exp(rng.uniform(-1, 1, len(std)))
        right = std * np.exp(-0.4 * np.log(noise) ** 2)[:, None]
        truth = rng.normal(size=std.shape)
        stars = Prediction(truth + right * rng.normal(size=std.shape), 0 * std, std, std, ("Al",))
        assert fit_error_model(stars, truth, noise=noise).noise_curve == 0

    def test_equal_noise_has_no_effect(self, std, rng):
        stars, truth, *_ = self.stars(std, rng, 0)
        found = fit_error_model(stars, truth, noise=np.full(len(std), 3.0))
        assert_array_equal(found.noise_slope, 0)
        plain = fit_error_model(stars, truth)
        assert plain.noise_slope is None
        assert_allclose(found.std(stars, np.full(len(std), 3.0)), plain.std(stars), rtol=1e-6)

    @pytest.mark.parametrize("noise", [np.ones(5), np.full(6000, np.nan), np.full(6000, -1.0), np.zeros(6000)])
    def test_invalid_noise_is_refused(self, std, rng, noise):
        stars, truth, *_ = self.stars(std, rng, 0)
        with pytest.raises(ValueError, match=r"noise has shape .* expected \(6000,\)"):
            fit_error_model(stars, truth, noise=noise)


class TestManyLabels:
    """Labels are drawn towards each other, each according to its standard error."""

    def ratios(self, n_labels, seed):
        """Return the factors on the standard deviations, which should be 0.5; the last label has large label errors."""
        rng = np.random.default_rng(seed)
        std = rng.uniform(1, 2, size=(150, n_labels))
        truth, y_err = rng.normal(size=std.shape), np.full(std.shape, 0.1)
        y_err[:, -1] = 4
        mean = truth + 0.5 * std * rng.normal(size=std.shape)
        stars = Prediction(mean, 0 * std, std, std, tuple("abcdef"[:n_labels]))
        found = fit_error_model(stars, truth + y_err * rng.normal(size=std.shape), y_err)
        return np.median(found.std(stars) / std, axis=0)

    def test_a_label_with_large_label_errors_gains(self):
        alone, together = (np.array([self.ratios(n, seed)[-1] for seed in range(8)]) for n in (1, 6))
        off_alone, off_together = (np.sqrt(np.mean(np.log(ratios / 0.5) ** 2)) for ratios in (alone, together))
        assert off_together < 0.1 < 0.3 < off_alone

    def test_well_known_labels_hardly_change(self):
        assert_allclose(self.ratios(6, seed=0)[:-1], 0.5, rtol=0.2)

    @pytest.mark.parametrize("dof", [5, 1000])
    def test_four_hundred_stars_bring_the_right_coverage_to_twenty_labels_of_22(self, dof):
        """Of new stars, for residuals with heavy tails and for normal ones; the true scales differ by 15 %."""
        rng = np.random.default_rng(3)
        factor = np.exp(rng.normal(-0.2, 0.15, size=22))

        def draw(n_stars):
            noise = np.exp(rng.uniform(np.log(0.5), np.log(4), n_stars))
            total = rng.lognormal(0, 0.35, size=(n_stars, 22))
            error = factor * total * noise[:, np.newaxis] ** 0.3 * rng.standard_t(dof, size=total.shape)
            return Prediction(error, 0 * total, total, total, tuple(map(str, range(22)))), noise

        held_out, noise = draw(400)
        found = fit_error_model(held_out, np.zeros((400, 22)), noise=noise)
        stars, noise = draw(10_000)
        coverage = (np.abs(stars.mean) <= found.std(stars, noise)).mean(axis=0)
        assert coverage.mean() == pytest.approx(0.683, abs=0.012)
        assert (np.abs(coverage - 0.683) < 0.05).sum() >= 20

    @pytest.mark.parametrize("n_labels", [1, 6])
    def test_few_stars_with_large_label_errors_never_give_a_vanishing_error(self, n_labels):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            total, y_err = np.ones((40, n_labels)), np.full((40, n_labels), 4.0)
            stars = Prediction(rng.normal(size=total.shape), total, total, total, tuple("abcdef"[:n_labels]))
            found = fit_error_model(stars, 3.5 * rng.normal(size=total.shape), y_err)  # as if errors were overestimated
            assert 0.15 < (found.scale + found.offset).min() < 2

    def test_a_label_without_stars(self):
        rng = np.random.default_rng(0)
        std = rng.uniform(1, 2, size=(150, 6))
        truth = rng.normal(size=std.shape)
        stars = Prediction(truth + std * rng.normal(size=std.shape), 0 * std, std, std, tuple("abcdef"))
        truth[:, 2] = np.nan
        found = fit_error_model(stars, truth)
        assert (found.scale[2], found.offset[2], found.n_differences[2]) == (1, 0, 0)
