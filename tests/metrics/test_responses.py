"""Responses of predicted to true labels: known matrices, units, missing labels, weights and summaries."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skbcnn import APOGEE_LABELS, Prediction
from skbcnn.metrics.responses import ResponseMatrix, window_labels

NAMES = ("teff", "Mg", "Al", "Fe")
RESPONSES = np.array([[0.9, 100.0, 0, 0], [1e-4, 0.8, 0, 0.1], [0, 0.3, 0.6, 0], [0, 0, 0, 1.0]])


@pytest.fixture
def stars():
    """True labels of 300 stars, correlated with each other, and predictions that follow them by `RESPONSES`."""
    rng = np.random.default_rng(0)
    true = [4600, -0.1, 0.0, 0.1] + (rng.normal(size=(300, 4)) + rng.normal(size=(300, 1))) * [200, 0.2, 0.2, 0.2]
    return true, true @ RESPONSES.T + [500, 0, 0.1, 0]


def estimate(true, predicted, errors=None, **options):
    return ResponseMatrix.from_predictions(true, predicted, errors, **{"label_names": NAMES} | options)


class TestMatrix:
    def test_linear_predictions(self, stars):
        responses = estimate(*stars)
        assert_allclose(responses.matrix, RESPONSES, atol=1e-7)
        assert responses.n_stars == 300
        assert_allclose(responses.spreads, stars[0].std(axis=0))

    def test_curvature_is_no_foreign_response(self, stars):
        true, predicted = stars
        curved = predicted + 0.3 * ((true[:, [0]] - 4600) / 200) ** 2 * [100, 0.1, 0.1, 0.1]
        assert_allclose(estimate(true, curved).matrix[1:, 1:], RESPONSES[1:, 1:], atol=1e-7)
        assert np.abs(estimate(true, curved, nonlinear_in=[]).matrix - RESPONSES)[1:, 1:].max() > 0.005

    def test_label_errors_are_removed(self):
        rng = np.random.default_rng(1)
        true = (rng.normal(size=(4000, 4)) + rng.normal(size=(4000, 1))) * [200, 0.2, 0.2, 0.2]
        errors = rng.uniform(0.5, 1.5, size=true.shape) * [60, 0.06, 0.1, 0.04]
        observed, predicted = true + errors * rng.normal(size=true.shape), true @ RESPONSES.T
        responses, naive = estimate(observed, predicted, errors), estimate(observed, predicted)
        assert (np.abs(responses.matrix - RESPONSES) < 4 * responses.standard_errors + 1e-9).all()
        assert responses.errors_removed
        assert_allclose(responses.own[2], 0.6, atol=0.03)
        assert naive.own[2] < 0.5
        assert naive.matrix[2, 3] > 0.03
        assert not naive.errors_removed

    def test_errors_as_large_as_the_scatter_of_a_label_are_named(self, stars):
        true, predicted = stars
        errors = np.zeros_like(true)
        errors[:, 1] = 2 * true[:, 1].std()
        with pytest.warns(UserWarning, match=rf"{NAMES[1]} \(.*Check the unit of y_err"):
            estimate(true, predicted, errors)

    def test_only_stars_with_all_labels_count(self, stars):
        true, predicted = stars
        true[:20, 1], true[15:40, 2] = -9999, np.nan
        predicted[:40] = np.nan
        responses = estimate(true, predicted)
        assert responses.n_stars == 260
        assert_allclose(responses.matrix, RESPONSES, atol=1e-7)

    def test_a_label_that_is_rarely_known_is_left_out(self, stars):
        true, predicted = stars
        true[10:, 2] = -9999
        predicted[:, 2] = true[:, 1]
        responses = estimate(true, predicted)
        assert responses.n_stars == 300
        assert np.isnan(responses.matrix[:, 2]).all()
        assert_allclose(responses.matrix[2, [0, 1, 3]], [0, 1, 0], atol=1e-7)
        assert responses.elements == ("Mg",)
        assert_allclose(responses.mean_own, 0.8)

    def test_weights_count_stars(self, stars):
        true, predicted = stars
        weight = np.repeat([1.0, 0.0], 150)
        predicted[150:] = 0
        responses = estimate(true, predicted, sample_weight=weight)
        assert responses.n_stars == 150
        assert_allclose(responses.matrix, RESPONSES, atol=1e-7)

    def test_one_label(self):
        true = np.random.default_rng(0).normal(size=100)
        responses = ResponseMatrix.from_predictions(true, 0.7 * true, label_names="Mg")
        assert_allclose(responses.matrix, [[0.7]])
        assert np.isnan(responses.rms_foreign)
        assert responses.to_table()["strongest"].tolist() == [""]


class TestNames:
    def test_of_a_prediction(self, stars):
        true, predicted = stars
        zero = np.zeros_like(predicted)
        table = pd.DataFrame(true, columns=NAMES)[list(reversed(NAMES))]
        responses = ResponseMatrix.from_predictions(table, Prediction(predicted, zero, zero, zero, NAMES))
        assert responses.label_names == NAMES
        assert_allclose(responses.matrix, RESPONSES, atol=1e-7)

    def test_of_a_table(self, stars):
        true, predicted = (pd.DataFrame(values, columns=["TEFF", "MG_H", "AL_H", "FE_H"]) for values in stars)
        responses = ResponseMatrix.from_predictions(true, predicted[["FE_H", "TEFF", "MG_H", "AL_H"]])
        assert_allclose(responses.matrix, RESPONSES, atol=1e-7)
        assert responses.elements == ("MG_H", "AL_H")

    def test_the_elements_of_apogee_are_those_with_windows(self):
        true = np.random.default_rng(0).normal(size=(100, 22))
        responses = ResponseMatrix.from_predictions(true, true)
        assert responses.elements == tuple(name for name in APOGEE_LABELS if name not in ("teff", "logg", "Fe"))
        windows = [None if name in ("teff", "logg", "Fe") else [1] for name in APOGEE_LABELS]
        assert window_labels(APOGEE_LABELS, windows) == responses.elements
        assert window_labels(["a"], [None]) is None

    def test_elements_in_any_spelling(self, stars):
        assert estimate(*stars, elements=["[Al/H]", "FE_H"]).elements == ("Al", "Fe")


class TestSummary:
    def test_by_hand(self, stars):
        exact = estimate(*stars)
        assert_allclose(exact.own, [0.9, 0.8, 0.6, 1.0])
        assert_allclose([exact.mean_own, exact.rms_foreign], [0.7, np.sqrt(0.3**2 / 2)], atol=1e-7)
        assert_allclose(exact.foreign, [np.sqrt(100**2 / 2), 0, 0.3, 0], atol=1e-5)

    def test_chance_is_subtracted(self, stars):
        errors = np.full((4, 4), 0.1)
        responses = replace(estimate(*stars), standard_errors=errors)
        assert_allclose(responses.foreign[1:], [0, np.sqrt(0.3**2 - 0.1**2), 0], atol=1e-7)
        assert_allclose(responses.rms_foreign, np.sqrt(0.3**2 / 2 - 0.1**2), atol=1e-7)

    def test_error_of_the_mean_own_response_in_simulations(self, stars):
        rng = np.random.default_rng(0)
        true, predicted = stars
        found = [estimate(true, predicted + 0.1 * rng.normal(size=(300, 1)) * [1000, 1, 1, 1]) for _ in range(200)]
        scatter = np.std([responses.mean_own for responses in found])
        assert_allclose(np.mean([responses.mean_own_error for responses in found]) / scatter, 1, atol=0.15)

    def test_table(self, stars):
        table = estimate(*stars).to_table()
        assert table.colnames == ["label", "own", "own_error", "foreign", "strongest", "response", "response_error"]
        assert table["label"].tolist() == list(NAMES)
        assert table["strongest"][:3].tolist() == ["Mg", "Fe", "Mg"]
        assert_allclose(table["response"][:3], [100, 0.1, 0.3], atol=1e-5)


class TestErrors:
    def test_too_few_stars(self, stars):
        stars[0][:150, 1] = np.nan
        with pytest.raises(ValueError, match=r"13 stars have all of 4 labels.*at least 16. Mg is missing most often"):
            estimate(stars[0][137:163], stars[1][137:163])

    def test_dependent_labels(self, stars):
        true, predicted = stars
        true[:, 2] = true[:, 1] + true[:, 3]
        with pytest.raises(ValueError, match="linearly dependent"):
            estimate(true, predicted)

    def test_no_label_varies(self):
        with pytest.raises(ValueError, match="None of a, b varies"):
            ResponseMatrix.from_predictions(np.ones((50, 2)), np.ones((50, 2)), label_names=["a", "b"])

    def test_missing_predictions(self, stars):
        stars[1][7, 2] = np.nan
        with pytest.raises(ValueError, match="y_pred is missing in 1 places where y_true is not"):
            estimate(*stars)

    def test_other_number_of_stars(self, stars):
        with pytest.raises(ValueError, match=r"y_true is of 300 stars and 4 labels, but y_pred of 299 stars"):
            estimate(stars[0], stars[1][1:])

    def test_names(self, stars):
        with pytest.raises(ValueError, match=r"4 columns without names\. Pass one name for each as `label_names`"):
            ResponseMatrix.from_predictions(*stars)
        with pytest.raises(ValueError, match="nonlinear_in names age, but the labels are teff, Mg, Al, Fe"):
            estimate(*stars, nonlinear_in=["age"])
