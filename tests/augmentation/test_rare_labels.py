"""Weights of labels that are rare among stars of the same context."""

import numpy as np
import pytest
from scipy.stats import norm

from skbcnn.augmentation.rare_labels import RareLabels

IS_CONTEXT = np.array([True, False, False])
NAN = np.nan


@pytest.fixture(scope="module")
def stars():
    """Iron, and two labels that follow it: with a scatter of 0.1, and without scatter."""
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    iron, departure = quantiles, np.random.default_rng(0).permutation(quantiles)
    return np.column_stack([iron, 0.5 * iron + 0.1 * departure, -iron])


def test_the_weight_grows_with_the_departure_from_the_usual_value(stars):
    weights = RareLabels(3.0, stars, IS_CONTEXT).of(np.array([[2.0, 1.0, -2.0], [2.0, 1.1, -2.0], [2.0, 0.7, -2.0]]))
    np.testing.assert_allclose(weights[:, 1], [1, np.exp(1 / 4), 3], rtol=0.01)
    np.testing.assert_array_equal(weights[:, 0], 1)


def test_a_normal_distribution_gets_twice_the_variance(stars):
    stars = stars[:, :2]
    weight = RareLabels(1000.0, stars, IS_CONTEXT[:2]).of(stars)[:, 1]
    departure = stars[:, 1] - 0.5 * stars[:, 0]
    assert np.average(departure**2, weights=weight) == pytest.approx(2 * 0.1**2, rel=0.1)


def test_labels_that_are_missing_or_without_context_have_weight_1(stars):
    holes = stars.copy()
    holes[::3, 0], holes[1::3, 1] = NAN, NAN
    given = np.array([[0.0, 0.2, 0.0], [NAN, 0.2, 0.0], [0.0, NAN, 0.0]])
    weights = RareLabels(3.0, holes, IS_CONTEXT).of(given)
    np.testing.assert_allclose(weights, [[1, np.exp(1), 1], [1, 1, 1], [1, 1, 1]], rtol=0.05)


@pytest.mark.parametrize(
    ("y", "is_context"),
    [
        (np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), [True, False]),  # all values are equal
        (np.array([[0.0, NAN], [1.0, NAN]]), [True, False]),  # none is known
        (np.array([[0.0, 1.0], [1.0, 5.0]]), [False, False]),  # there is no context
        (np.array([[0.0, 1.0], [1.0, 5.0]]), [True, True]),  # there is nothing else
    ],
)
def test_labels_without_departures_have_equal_weights(y, is_context):
    np.testing.assert_array_equal(RareLabels(3.0, y, np.array(is_context)).of(y), 1)
