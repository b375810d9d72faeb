"""Cross-fitting and CV+ intervals: by hand, and their coverage in a simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import Prediction
from skbcnn.calibration import interval_scores
from skbcnn.calibration.cross_fitting import cross_predict, cv_plus_bounds, fold_numbers


def predicted(mean, total):
    return Prediction(mean, 0 * mean, total, total, tuple("abcdef"[: mean.shape[1]]), noisier=mean[:, 0] > 2)


def test_spectra_of_a_star_are_in_one_fold():
    star = np.repeat(np.arange(40), 3)
    folds = fold_numbers(120, 5, groups=star, random_state=0)
    assert all(len(np.unique(folds[star == number])) == 1 for number in range(40))
    assert_array_equal(np.unique(folds), np.arange(5))
    assert not np.array_equal(folds, fold_numbers(120, 5, groups=star, random_state=1))


@pytest.mark.parametrize(("n_samples", "n_folds"), [(10, 1), (10, True), (10, 2.5), (3, 4)])
def test_invalid_folds_are_refused(n_samples, n_folds):
    with pytest.raises(ValueError, match=r"expected a whole number|There are 3 stars for 4 folds"):
        fold_numbers(n_samples, n_folds)


def test_each_star_is_predicted_by_the_model_that_was_not_trained_on_it():
    y, folds = np.arange(8.0), np.array([0, 1, 2, 0, 1, 2, 0, 1])
    seen = []

    def fit_and_predict(training, others):
        seen.append((training.tolist(), others.tolist()))
        mean = np.column_stack([y[others], np.full(len(others), y[training].sum())])
        return predicted(mean, mean + 1)

    found = cross_predict(fit_and_predict, folds)
    assert seen[0] == ([1, 2, 4, 5, 7], [0, 3, 6])
    assert_array_equal(found.mean[:, 0], y)
    assert_array_equal(found.mean[:, 1], 28 - np.array([9, 12, 7])[folds])
    assert_array_equal(found.total, found.mean + 1)
    assert_array_equal(found.noisier, y > 2)
    with pytest.raises(ValueError, match="fold 0 has 8 stars, expected 3"):
        cross_predict(lambda training, others: predicted(y[:, None], y[:, None]), folds)


def test_bounds_by_hand():
    """Four scores and a coverage of 0.5: the 2nd largest lower and the 3rd smallest upper end, rank ceil(5 * 0.5)."""
    models = [predicted(np.array([[10.0]]), np.array([[1.0]])), predicted(np.array([[20.0]]), np.array([[2.0]]))]
    scores = np.array([[1.0], [2.0], [0.5], [3.0], [np.nan]])
    folds = np.array([0, 0, 1, 1, 1])
    # lower ends: 9, 8, 19, 14; upper ends: 11, 12, 21, 26
    assert cv_plus_bounds(models, scores, folds, 0.5) == (np.array([[9.0]]), np.array([[21.0]]))
    assert cv_plus_bounds(models, scores, folds, 0.9) == (np.array([[-np.inf]]), np.array([[np.inf]]))


def test_equal_models_give_the_split_conformal_interval():
    rng = np.random.default_rng(0)
    scores, mean, total = rng.exponential(size=(99, 2)), rng.normal(size=(5, 2)), rng.uniform(1, 2, size=(5, 2))
    lower, upper = cv_plus_bounds([predicted(mean, total)] * 3, scores, np.arange(99) % 3, 0.9)
    factor = np.sort(scores, axis=0)[89]
    assert_allclose(lower, mean - factor * total)
    assert_allclose(upper, mean + factor * total)


@pytest.mark.parametrize("coverage", [0.683, 0.9])
def test_share_of_labels_within_cv_plus_intervals(coverage):
    """Ridge regression of 60 stars with 30 pixels: the stars that it was trained on have far too small residuals."""
    covered, in_sample = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, x_new = rng.normal(size=(60, 30)), rng.normal(size=(200, 30))
        truth = rng.normal(size=(30, 2))
        y, y_new = x @ truth + rng.standard_t(4, (60, 2)), x_new @ truth + rng.standard_t(4, (200, 2))
        y[rng.random(y.shape) < 0.1] = np.nan
        models = []

        def fit(rows, x=x, y=y):
            return np.linalg.solve(x[rows].T @ x[rows] + np.eye(30), x[rows].T @ np.nan_to_num(y[rows]))

        def fit_and_predict(training, others, x=x, models=models, fit=fit):
            models.append(fit(training))
            return predicted(x[others] @ models[-1], np.ones((len(others), 2)))

        folds = fold_numbers(60, 5, random_state=seed)
        scores = interval_scores(cross_predict(fit_and_predict, folds), y)
        new = [predicted(x_new @ model, np.ones((200, 2))) for model in models]
        lower, upper = cv_plus_bounds(new, scores, folds, coverage)
        covered.append(((lower <= y_new) & (y_new <= upper)).mean())
        own = np.nanquantile(np.abs(y - x @ fit(slice(None))), coverage)
        in_sample.append((np.abs(y_new - x_new @ fit(slice(None))) <= own).mean())
    assert coverage - 0.02 <= np.mean(covered) <= coverage + 0.12  # far above the guarantee
    assert np.mean(in_sample) < coverage - 0.15


@pytest.mark.parametrize(("scores", "folds"), [(np.ones((4, 2)), [0, 0, 1, 1]), (np.ones((4, 1)), [0, 0, 0, 0])])
def test_predictions_that_do_not_match_are_refused(scores, folds):
    one = predicted(np.ones((1, 1)), np.ones((1, 1)))
    with pytest.raises(ValueError, match="Pass one prediction for each fold"):
        cv_plus_bounds([one, one], scores, np.array(folds), 0.5)
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        cv_plus_bounds([one, one], scores, np.array(folds), 1)
