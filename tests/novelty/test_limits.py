"""Limits of the statistics of spectra."""

import numpy as np
import pytest

from skbcnn.novelty.limits import upper_limit


def test_limit_by_hand():
    """Ten of a hundred values are e, the others 1: a scale of 1, increased by two standard errors."""
    values = np.repeat([1.0, np.e], [90, 10])
    expected = np.exp((1 + 2 / np.sqrt(10)) * np.log(0.1 * 400))
    assert upper_limit(values, 0.5) == pytest.approx(expected, rel=1e-5)
    assert upper_limit(values, 500) == pytest.approx(500, rel=1e-5)
    assert upper_limit(np.zeros(100), 0.05) > 0.05  # equal values do not exceed it


@pytest.mark.parametrize("n_stars", [20, 100, 1000])
def test_fewer_than_one_value_in_400_exceeds_the_limit(n_stars):
    """On average over many samples, for heavy tails, normal tails and bounded values."""
    rng = np.random.default_rng(5)
    for tail in (lambda u: u**-0.5, lambda u: np.sqrt(-2 * np.log(u)), lambda u: 2 - u):
        false_alarms = [
            np.mean(tail(rng.random(4000)) > upper_limit(tail(rng.random(n_stars)), 0.01)) for _ in range(100)
        ]
        assert np.mean(false_alarms) < 1 / 400
