"""Least squares with known errors of the variables: coefficients by hand, standard errors against simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.metrics.errors_in_variables import polynomial_terms, regress


def standard_errors(regression, output=0):
    return np.linalg.norm(regression.influences(output), axis=0)


def test_terms():
    assert polynomial_terms(3, [0, 2]).tolist() == [
        [0, 0, 0],
        *([1, 0, 0], [0, 1, 0], [0, 0, 1]),
        *([2, 0, 0], [1, 0, 1], [0, 0, 2]),
    ]


def test_exact_variables_give_weighted_least_squares():
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(40, 2)), rng.normal(size=(40, 3)), rng.uniform(0.5, 2, 40)
    design = np.column_stack([np.ones(40), x, x[:, 1] ** 2])
    found = regress(x, 0 * x, y, weight, polynomial_terms(2, [1]))
    root = np.sqrt(weight)[:, None]
    assert_allclose(found.coefficients, np.linalg.lstsq(root * design, root * y, rcond=None)[0], atol=1e-12)


def test_standard_errors_of_exact_variables():
    """White's estimator, with the factor n / (n - 4)."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(40, 2)), rng.normal(size=(40, 1)), rng.uniform(0.5, 2, 40)
    design = np.column_stack([np.ones(40), x, x[:, 1] ** 2])
    found = regress(x, 0 * x, y, weight, polynomial_terms(2, [1]))
    bread = np.linalg.inv(design.T @ (weight[:, None] * design))
    residual = y[:, 0] - design @ found.coefficients[:, 0]
    meat = design.T @ (((weight * residual) ** 2)[:, None] * design)
    assert_allclose(standard_errors(found), np.sqrt(np.diag(bread @ meat @ bread) * 40 / 36), rtol=1e-9)


def test_noise_is_subtracted_by_hand():
    """Six values of zero mean with sum of squares 28 and sum of products 56; errors of 1, of which 1 - 3/6 is taken."""
    x = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
    found = regress(x, np.ones((6, 1)), 2 * x, np.ones(6), polynomial_terms(1, []))
    assert_allclose(found.coefficients[:, 0], [0, 56 / (28 - 6 / 2)], atol=1e-12)


def noisy_stars(rng, n=400):
    """Two correlated variables with errors that differ from star to star, and an output that is curved in the first."""
    exact = rng.normal(size=(n, 2)) @ [[1.0, 0.8], [0.0, 0.6]]
    errors = np.abs(rng.normal([0.5, 0.3], 0.1, size=(n, 2)))
    y = 0.5 * exact[:, [0]] + 0.2 * exact[:, [1]] + 0.3 * exact[:, [0]] ** 2 + 0.1 * rng.normal(size=(n, 1))
    return exact + errors * rng.normal(size=(n, 2)), errors, y


def test_coefficients_and_their_errors_in_simulations():
    rng = np.random.default_rng(0)
    terms, weight, truth = polynomial_terms(2, [0]), np.ones(400), [0, 0.5, 0.2, 0.3]
    fits = [regress(*noisy_stars(rng), weight, terms) for _ in range(300)]
    coefficients = np.array([fit.coefficients[:, 0] for fit in fits])
    errors = np.array([standard_errors(fit) for fit in fits])
    assert_allclose(coefficients.mean(axis=0), truth, atol=0.02)
    assert_allclose(np.sqrt((errors**2).mean(axis=0)) / coefficients.std(axis=0), 1, atol=0.12)
    x, x_err, y = noisy_stars(rng, 20_000)
    ordinary = regress(x, 0 * x_err, y, np.ones(20_000), terms).coefficients[:, 0]
    assert ordinary[1] < 0.35
    assert ordinary[2] > 0.3


def test_a_variable_that_is_only_noise_gives_finite_coefficients():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(200, 1))
    found = regress(x, np.full((200, 2), [0.0, 2.0]), y, np.ones(200), polynomial_terms(2, []))
    assert np.abs(found.coefficients).max() < 3
    assert np.isfinite(standard_errors(found)).all()


def test_dependent_variables_are_refused():
    x = np.random.default_rng(0).normal(size=(50, 1)) @ [[1.0, 2.0]]
    with pytest.raises(ValueError, match="linearly dependent"):
        regress(x, 0 * x, x, np.ones(50), polynomial_terms(2, []))
