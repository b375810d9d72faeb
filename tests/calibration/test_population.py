"""Distribution of a parameter over labels, and the shrinkage that follows from it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import trapezoid
from scipy.stats import norm

from skbcnn.calibration.fitting import _DOF, _DOF_VARIANCE
from skbcnn.calibration.population import Population


def test_one_label_by_hand():
    """A value of 1 with an error of 1 and a mean of 0 with an error of 1: the mean is 1/2, its error 1/sqrt(2)."""
    found = Population(0.0, 1.0, typical_width=1e-6).mean_and_width(np.array([1.0]), np.array([1.0]))
    assert found == pytest.approx((0.5, np.sqrt(0.5)), rel=1e-6)


def test_sampling_errors_are_taken_from_the_width():
    rng = np.random.default_rng(0)
    error = rng.uniform(0.05, 0.4, size=2000)
    values = rng.normal(0.3, 0.2, size=2000) + error * rng.normal(size=2000)
    assert Population(0.0, 1.0, 0.3).mean_and_width(values, error) == pytest.approx((0.3, 0.2), abs=0.02)


def test_shrinkage_has_smaller_errors_than_the_estimates_and_than_their_mean():
    rng = np.random.default_rng(0)
    truth = rng.normal(-0.2, 0.15, size=(300, 22))
    error = np.tile([0.05, 0.3], 11)
    values = truth + error * rng.normal(size=truth.shape)
    shrunk = np.array([Population(0.0, 0.7, 0.3).shrunk(row, error) for row in values])
    found = ((shrunk - truth) ** 2).reshape(300, 11, 2).mean(axis=(0, 1))
    best = 1 / (np.array([0.05, 0.3]) ** -2.0 + 0.15**-2)  # if mean and width of the population were known
    assert_allclose(found, best, rtol=0.25)


def test_the_student_likelihood_finds_the_variance_of_a_normal_distribution():
    """The expected derivative of the likelihood by the variance is 0 at the variance of the normal distribution."""
    z = np.linspace(-12, 12, 100_001)
    pull = (_DOF + 1) * z**2 / (_DOF * _DOF_VARIANCE + z**2)
    assert trapezoid(pull * norm.pdf(z), z) == pytest.approx(1, abs=1e-4)
