"""Least squares with known errors of the explanatory variables, for polynomials of these variables.

The errors of the variables increase their scatter, so that ordinary least squares returns coefficients that are too
small, and gives part of the effect of one variable to others that are correlated with it. Here the sums of products of
the variables are replaced by sums of the same expectation that exact variables would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

MAX_NOISE = 0.95  # of the variance of any combination of terms: more is not taken off as noise
_SINGULAR = 1e-10  # ratio of eigenvalues of the matrix of the sums of products, of terms of equal size


class Regression(NamedTuple):
    """Regression of outputs on terms, solved.

    Attributes
    ----------
    coefficients : ndarray of shape (n_terms, n_outputs)
        Coefficients.
    inverse : ndarray of shape (n_terms, n_terms)
        Inverse of the sums of products of the terms, without noise.
    z : ndarray of shape (n_samples, n_terms)
        Terms.
    noise : mapping of (int, int) to ndarray of shape (n_samples,)
        Expected excess of the product of two terms, for pairs of terms that share a variable.
    y : ndarray of shape (n_samples, n_outputs)
        Outputs.
    weight : ndarray of shape (n_samples,)
        Weight of each sample.
    """

    coefficients: np.ndarray
    inverse: np.ndarray
    z: np.ndarray
    noise: Mapping[tuple[int, int], np.ndarray]
    y: np.ndarray
    weight: np.ndarray

    def influences(self, output: int) -> np.ndarray:
        """Return the effect of each sample on the coefficients of one output.

        Parameters
        ----------
        output : int
            Column of the outputs.

        Returns
        -------
        influences : ndarray of shape (n_samples, n_terms)
            The sums of squares over the samples are the variances of the coefficients, and the sums of products of two
            coefficients, also of different outputs, their covariances.
        """
        coefficients = self.coefficients[:, output]
        scores = self.z * (self.y[:, output] - self.z @ coefficients)[:, np.newaxis]
        for (a, b), values in self.noise.items():
            scores[:, a] += values * coefficients[b]
            if a != b:
                scores[:, b] += values * coefficients[a]
        influences = (self.weight[:, np.newaxis] * scores) @ self.inverse
        n_samples, n_terms = self.z.shape
        return (influences - influences.mean(axis=0)) * np.sqrt(n_samples / max(n_samples - n_terms, 1))


def polynomial_terms(n_variables: int, squared: Sequence[int]) -> np.ndarray:
    """Return the exponents of the terms of a regression.

    Parameters
    ----------
    n_variables : int
        Number of variables.
    squared : sequence of int
        Variables whose squares and products with each other are terms, too.

    Returns
    -------
    exponents : ndarray of int of shape (n_terms, n_variables)
        The constant, each variable, and the squares and products.

    Examples
    --------
    >>> from skbcnn.metrics.errors_in_variables import polynomial_terms
    >>> polynomial_terms(2, [1]).tolist()
    [[0, 0], [1, 0], [0, 1], [0, 2]]
    """
    one = np.eye(n_variables, dtype=int)
    products = [one[j] + one[k] for j, k in combinations_with_replacement(squared, 2)]
    return np.array([np.zeros(n_variables, dtype=int), *one, *products])


def regress(x: np.ndarray, x_err: np.ndarray, y: np.ndarray, weight: np.ndarray, exponents: np.ndarray) -> Regression:
    """Regress outputs on a polynomial of variables whose errors are known.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_variables)
        Variables, standardised.
    x_err : ndarray of shape (n_samples, n_variables)
        Standard deviations of their errors, which are independent, normal, and independent of the outputs.
    y : ndarray of shape (n_samples, n_outputs)
        Outputs.
    weight : ndarray of shape (n_samples,)
        Weight of each sample, above 0.
    exponents : ndarray of int of shape (n_terms, n_variables)
        From `polynomial_terms`.

    Returns
    -------
    regression : Regression
        Coefficients, and what their errors follow from. These errors hold whatever the distribution of the residuals
        is, and include the effect of the errors of the variables.

    Raises
    ------
    ValueError
        If terms are linearly dependent.

    Notes
    -----
    If z is the vector of the terms, with unbiased estimates of the powers of each variable, and D the estimate of
    their error covariance in one sample, the coefficients b solve ``sum(w (z z' - k D)) b = sum(w z y)`` [1]_ [2]_.
    The factor ``k = 1 - (n_terms + 1) / n`` removes most of the bias in small samples ([1]_, section 2.5). For
    combinations of terms that consist almost entirely of noise, at most 95 % of the variance is taken off, so that the
    matrix stays positive definite. The errors of the coefficients are those of the sandwich estimator for estimating
    equations [3]_, times ``sqrt(n / (n - n_terms))``.

    References
    ----------
    .. [1] Fuller (1987), Measurement Error Models, Wiley, sections 2.2 and 2.5.
    .. [2] Cheng & Schneeweiss (1998), J. R. Statist. Soc. B 60, 189: polynomials of variables with normal errors.
    .. [3] Stefanski & Boos (2002), American Statistician 56, 29.

    Examples
    --------
    Errors of half the spread of the variable lower its coefficient by a fifth in ordinary least squares.

    >>> import numpy as np
    >>> from skbcnn.metrics.errors_in_variables import polynomial_terms, regress
    >>> rng = np.random.default_rng(0)
    >>> exact, errors = rng.normal(size=(10_000, 1)), np.full((10_000, 1), 0.5)
    >>> observed, weight = exact + errors * rng.normal(size=exact.shape), np.ones(10_000)
    >>> terms = polynomial_terms(1, [])
    >>> regress(observed, 0 * errors, 3 * exact, weight, terms).coefficients[1].round(1)
    array([2.4])
    >>> regress(observed, errors, 3 * exact, weight, terms).coefficients[1].round(1)
    array([3.])
    """
    powers = _unbiased_powers(x, x_err)
    z = np.stack([_monomial(powers, term) for term in exponents], axis=1)
    noise = _noise_of_products(z, powers, exponents)
    n = weight.sum() ** 2 / (weight**2).sum()
    inverse = np.linalg.inv(_products_without_noise(z, noise, weight, 1 - (len(exponents) + 1) / n))
    return Regression(inverse @ (z.T @ (weight[:, np.newaxis] * y)), inverse, z, noise, y, weight)


def _unbiased_powers(x: np.ndarray, x_err: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays whose expectations are the powers 0 to 4 of the exact variables."""
    variance = x_err**2
    return (
        np.ones_like(x),
        x,
        x**2 - variance,
        x**3 - 3 * x * variance,
        x**4 - 6 * x**2 * variance + 3 * variance**2,
    )


def _monomial(powers: Sequence[np.ndarray], exponents: np.ndarray) -> np.ndarray:
    """Return an unbiased estimate of a product of powers of the variables: ndarray of shape (n_samples,)."""
    factors = [powers[exponents[j]][:, j] for j in np.flatnonzero(exponents)]
    return np.prod(factors, axis=0) if factors else powers[0][:, 0]


def _noise_of_products(
    z: np.ndarray, powers: Sequence[np.ndarray], exponents: np.ndarray
) -> dict[tuple[int, int], np.ndarray]:
    """Return the expected excess of the product of two terms in each sample, for terms that share a variable."""
    pairs = combinations_with_replacement(range(len(exponents)), 2)
    return {
        (a, b): z[:, a] * z[:, b] - _monomial(powers, exponents[a] + exponents[b])
        for a, b in pairs
        if np.minimum(exponents[a], exponents[b]).any()
    }


def _products_without_noise(
    z: np.ndarray, noise: Mapping[tuple[int, int], np.ndarray], weight: np.ndarray, share: float
) -> np.ndarray:
    """Return the sums of products of the terms, less a share of their noise, as a positive definite matrix."""
    products = z.T @ (weight[:, np.newaxis] * z)
    size = np.sqrt(np.diagonal(products))
    scaled = np.linalg.eigvalsh(products / np.outer(size, size)) if size.all() else np.zeros(1)
    if scaled[0] <= _SINGULAR * scaled[-1]:
        raise ValueError(
            "The true labels of these stars are linearly dependent, so that the responses to them cannot be told "
            "apart. Leave labels out that follow from others: pass NaN for them in all stars."
        )
    excess = np.zeros_like(products)
    for (a, b), values in noise.items():
        excess[a, b] = excess[b, a] = weight @ values
    root = np.linalg.cholesky(products)
    whiten = np.linalg.inv(root)
    share_of_noise, directions = np.linalg.eigh(whiten @ excess @ whiten.T)
    kept = 1 - share * np.minimum(share_of_noise, MAX_NOISE)
    half = root @ directions
    return (half * kept) @ half.T
