"""Combination of the visits of each star."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import Prediction
from skbcnn.calibration import ErrorModel, combine_visits, fit_error_model, fit_noise_model

NAMES = ("teff", "Al")


def noise_model(scale, names=NAMES):
    return ErrorModel(names, np.full(len(names), scale), np.zeros(len(names)), np.full(len(names), 99), "repeat visits")


TOTAL_DIFFERS = noise_model(1.0)


@pytest.fixture
def visits():
    """Three visits of star b and one of a: errors of 3, 4, 3 and 6, in units of 10 K and 0.01 dex."""
    mean = np.array([[1.0], [2.0], [7.0], [1.0]]) * [10, 0.01]
    total = np.array([[3.0], [4.0], [5.0], [3.0]]) * [10, 0.01]
    return Prediction(mean, 0.6 * total, 0.8 * total, total, NAMES, np.array([False, True, False, False]), total)


STARS = ["b", "b", "a", "b"]
UNIT = np.array([10, 0.01])


class TestByHand:
    def test_independent_errors(self, visits):
        """Weights 1/9, 1/16 and 1/9: the mean is (1/9 + 2/16 + 1/9) / (41/144)."""
        stars = combine_visits(visits, STARS, TOTAL_DIFFERS)
        assert_array_equal(stars.star, ["a", "b"])
        assert_array_equal(stars.n_visits, [1, 3])
        assert_array_equal(stars.noisier, [False, True])
        mean = 50 / 41
        assert_allclose(stars.mean / UNIT, [[7, 7], [mean, mean]])
        assert_allclose(stars.calibrated / UNIT, [[5, 5], [12 / 41**0.5, 12 / 41**0.5]])
        assert_allclose(stars.common, 0, atol=1e-9)
        chi2 = 2 * (mean - 1) ** 2 / 9 + (2 - mean) ** 2 / 16
        assert_allclose(stars.chi2, [[0, 0], [chi2, chi2]], atol=1e-12)

    def test_common_errors_do_not_average_away(self, visits):
        """0.8 of each error differs between visits, 0.6 is common."""
        stars = combine_visits(visits, STARS, noise_model(0.8))
        common = 0.6 * (3 / 9 + 4 / 16 + 3 / 9) / (41 / 144)
        assert_allclose(stars.common[1] / UNIT, common)
        assert_allclose(stars.calibrated[1] / UNIT, np.hypot(0.8 * 12 / 41**0.5, common))
        assert_allclose(stars.calibrated[0] / UNIT, 5)

    def test_visits_that_differ_more_than_their_errors(self, visits):
        stars = combine_visits(visits, STARS, noise_model(2.0))
        assert_allclose(stars.calibrated / UNIT, [[10, 10], [24 / 41**0.5] * 2])

    def test_model_error_is_common_without_draws(self, visits):
        stars = combine_visits(visits, STARS, noise_model(0.8))
        assert_allclose(stars.model, stars.common)  # 0.6 of the errors, too
        assert_allclose(np.hypot(stars.model, stars.predictive), stars.total)
        assert_allclose(stars.total, stars.calibrated)

    def test_draws_are_combined(self, visits):
        """Draws of both visits differ in opposite directions; the first has four times the weight."""
        mean, total = np.zeros((2, 1)), np.array([[1.0], [2.0]])
        draws = np.array([[[1.0], [-2.0]], [[-1.0], [2.0]]])
        pair = Prediction(mean, draws.std(axis=0), 0 * total, total, ("Al",), None, total, draws)
        stars = combine_visits(pair, [1, 1], noise_model(1.0, ("Al",)))
        assert_allclose(stars.draws, [[[0.4]], [[-0.4]]])  # (4 * 1 - 2) / 5
        assert_allclose([stars.model[0, 0], stars.total[0, 0]], [0.4, 0.8**0.5])
        assert_allclose(stars.covariance(), [[[0.8]]])

    def test_single_label(self, visits):
        flat = Prediction(*(getattr(visits, name)[:, 1] for name in ("mean", "model", "predictive", "total")), ("Al",))
        with pytest.warns(UserWarning, match="not calibrated with known labels"):
            stars = combine_visits(flat, STARS, noise_model(0.8, ("Al",)))
        assert_allclose(stars.total, combine_visits(visits, STARS, noise_model(0.8)).total[:, 1])
        assert (stars.calibrated, stars.mean.shape) == (None, (2,))

    def test_table(self, visits):
        table = combine_visits(visits, STARS, TOTAL_DIFFERS).to_table("calibrated")
        assert table.colnames == [
            "star",
            "n_visits",
            "teff",
            "teff_err_calibrated",
            "Al",
            "Al_err_calibrated",
            "noisier",
        ]
        assert_array_equal(table["n_visits"], [1, 3])


class TestHonestErrors:
    """Visits with errors that differ and errors that they share. The predicted errors are wrong by factors."""

    @pytest.fixture
    def survey(self):
        """Return a function that observes stars: truth, prediction and the star of each visit."""
        rng = np.random.default_rng(5)

        def observe(n_visits):
            star = np.repeat(np.arange(len(n_visits)), n_visits)
            truth, error = rng.normal(size=(len(n_visits), 2)), rng.uniform(1, 3, size=(len(star), 2)) * [10, 0.02]
            shared = rng.normal(size=truth.shape) * [10, 0.02]
            mean = truth[star] + shared[star] + error * rng.normal(size=error.shape)
            wrong = error * [0.7, 1.5]
            return truth, Prediction(mean, 0 * wrong, wrong, wrong, NAMES), star

        return observe

    def test_standardised_errors_of_combined_stars(self, survey):
        truth, single, _ = survey(np.ones(4000, dtype=int))
        error_model = fit_error_model(single, truth)
        truth, visits, star = survey(np.random.default_rng(1).integers(1, 9, size=3000))
        calibrated = replace(visits, calibrated=error_model.std(visits), calibrated_by=error_model.source)
        stars = combine_visits(calibrated, star)
        z = (stars.mean - truth) / stars.calibrated
        for several in (stars.n_visits == 1, stars.n_visits >= 5):
            assert_allclose(z[several].std(axis=0), 1, atol=0.1)
        naive = fit_noise_model(visits, star).std(visits)
        of_star = np.add.reduceat(naive**-2.0, np.cumsum(stars.n_visits) - stars.n_visits) ** -0.5
        many = stars.n_visits >= 5
        assert ((stars.mean - truth) / of_star)[many].std(axis=0).min() > 1.5  # without the common error
        assert_allclose((stars.chi2.sum(axis=0) / (stars.n_visits - 1).sum()), 1, atol=0.05)
        assert_allclose(np.median(stars.common, axis=0), [10, 0.02], rtol=0.25)

    def test_weights_reduce_the_scatter(self, survey):
        truth, visits, star = survey(np.full(2000, 4))
        calibrated = replace(visits, calibrated=visits.total)
        weighted = combine_visits(calibrated, star).mean
        plain = visits.mean.reshape(-1, 4, 2).mean(axis=1)
        assert ((weighted - truth).std(axis=0) < (plain - truth).std(axis=0)).all()


class TestSourcesOfErrors:
    def test_calibration_from_repeat_visits_tells_only_what_differs(self, visits):
        """The whole error is then the total one."""
        only_differing = replace(visits, calibrated=0.8 * visits.total, calibrated_by="repeat visits")
        with pytest.warns(UserWarning, match="Calibrate the model with fit_error_model"):
            stars = combine_visits(only_differing, STARS)
        expected = combine_visits(visits, STARS, noise_model(0.8))
        assert stars.calibrated is None
        assert_allclose(stars.total, expected.total)
        assert_allclose(stars.common, expected.common)

    def test_of_a_model(self, tiny_model, tiny_data):
        """A label of the tiny model may be calibrated; the star of each spectrum is the same twice."""
        X = np.vstack([tiny_data.X, tiny_data.X + tiny_data.X_err])
        prediction = tiny_model.predict_distribution(X, keep_draws=True)
        prediction = replace(prediction, calibrated=prediction.total)
        stars = combine_visits(prediction, np.tile(np.arange(30), 2))
        assert stars.draws.shape == (10, 30, 4)
        assert_allclose(stars.covariance().diagonal(axis1=1, axis2=2), stars.total**2)


class TestInvalidInput:
    def test_too_few_pairs(self, visits):
        with pytest.raises(ValueError, match=r"There are 3 pairs of visits .* at least 20 are needed .* noise_model="):
            combine_visits(visits, STARS)

    def test_noise_model_from_known_labels(self, visits):
        with pytest.raises(ValueError, match="noise_model was learnt from known labels, so that its errors contain"):
            combine_visits(visits, STARS, replace(TOTAL_DIFFERS, source="known labels"))
        with pytest.raises(TypeError, match="noise_model is a float, expected an ErrorModel"):
            combine_visits(visits, STARS, 0.8)

    def test_stars(self, visits):
        with pytest.raises(ValueError, match=r"star has shape \(2,\), expected \(4,\)"):
            combine_visits(visits, ["a", "b"], TOTAL_DIFFERS)
        with pytest.raises(ValueError, match="star is masked or missing"):
            combine_visits(visits, ["a", "b", None, "b"], TOTAL_DIFFERS)

    def test_predictions(self, visits):
        with pytest.raises(TypeError, match=r"prediction is a ndarray, expected a skbcnn\.Prediction"):
            combine_visits(visits.mean, STARS)
        with pytest.raises(ValueError, match="1 of 4 spectra have predicted labels that are NaN"):
            combine_visits(replace(visits, mean=np.where(visits.mean == 70, np.nan, visits.mean)), STARS, TOTAL_DIFFERS)
        with pytest.raises(ValueError, match="zero, infinite or NaN in 4 of 4 visits"):
            combine_visits(visits, STARS, noise_model(0.0))
