"""Statistics of stars of unequal weight."""

import numpy as np
import pytest
from astropy.stats import mad_std
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.metrics import weighted_statistics as weighted

STATISTICS = [weighted.mean, weighted.variance, weighted.median, weighted.median_absolute_deviation]
numbers = st.floats(-1e3, 1e3, allow_subnormal=False)


def column(values):
    return np.asarray(values, dtype=float).reshape(-1, 1)


@pytest.mark.parametrize("statistic", STATISTICS)
@settings(max_examples=60)
@given(stars=st.lists(st.tuples(numbers, st.integers(0, 4)), min_size=1, max_size=9))
def test_integer_weight_is_that_many_stars(statistic, stars):
    values, counts = (np.array(part) for part in zip(*stars, strict=True))
    if not counts.any():
        assert np.isnan(statistic(column(values), column(counts)))[0]
        return
    repeated = column(np.repeat(values, counts))
    assert_allclose(
        statistic(column(values), column(counts)),
        statistic(repeated, np.ones_like(repeated)),
        rtol=1e-9,
        atol=1e-9,
    )


@settings(max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=12), st.sampled_from([1.0, 0.1, 1 / 3, 1e-7]))
def test_equal_weights_are_no_weights(values, weight):
    values = column(values)
    weights = np.full_like(values, weight)
    assert weighted.median(values, weights) == np.median(values)
    spread = weighted.MAD_TO_STD * weighted.median_absolute_deviation(values, weights)
    assert_allclose(spread, mad_std(values), rtol=1e-12)
    assert_allclose(weighted.mean(values, weights), values.mean(), rtol=1e-9, atol=1e-9)
    assert_allclose(weighted.variance(values, weights), values.var(), rtol=1e-6, atol=1e-9)


def test_median_worked_by_hand():
    values = column([3.0, 1.0, 2.0])
    assert weighted.median(values, column([1, 1, 3])) == 2  # 1, 2, 2, 2, 3
    assert weighted.median(values, column([2, 1, 1])) == 2.5  # 1, 2, 3, 3
    assert weighted.median(values, column([0.5, 0.25, 0.25])) == 2.5
    assert weighted.median(values, column([5, 1, 1])) == 3


def test_each_label_for_itself():
    values, weight = np.array([[1.0, 9.0], [2.0, 5.0], [4.0, 0.0]]), np.array([[1, 0], [1, 1], [1, 0]])
    assert_array_equal(weighted.median(values, weight), [2, 5])
    assert_array_equal(weighted.mean(values, weight), [7 / 3, 5])


@pytest.mark.parametrize("value", [0.1, 1e300, -4650.123])
def test_constant_has_no_variance(value):
    assert weighted.variance(np.full((7, 1), value), np.full((7, 1), 0.3)) == 0
