"""Catalogue of the synthetic stars: labels with noise, some of them missing."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from skbcnn.datasets.synthetic.population import Mixture
from skbcnn.datasets.synthetic.tables import column, table
from skbcnn.survey import APOGEE_LABELS, MISSING

_FE = APOGEE_LABELS.index("Fe")
_NOISE_SLOPE = -0.3  # dex per dex: labels of metal-poor stars are noisier
_NOISE_SCATTER = 0.06  # dex, between stars
_MISSING_SLOPE = -3.0  # log odds per dex: more labels are missing in metal-poor stars


def catalogue(
    truth: np.ndarray,
    missing: float,
    iron: Mixture,
    normals: np.random.RandomState,
    uniforms: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with noise and their errors, both -9999 where missing."""
    spread, noise = np.moveaxis(normals.standard_normal((len(truth), 2, len(APOGEE_LABELS))), 1, 0)
    metallicity = truth[:, [_FE]] - table("synthetic_labels")["Fe"]["mean"]
    y_err = column("synthetic_labels", "noise") * 10 ** (_NOISE_SLOPE * metallicity + _NOISE_SCATTER * spread)
    y = truth + y_err * noise
    lost = uniforms.random_sample(truth.shape) < _missing_probability(truth[:, _FE], missing, iron)
    return np.where(lost, MISSING, y), np.where(lost, MISSING, y_err)


def _missing_probability(iron: np.ndarray, missing: float, population: Mixture) -> np.ndarray:
    """Return the probability that each label of stars with some [Fe/H] is missing, of shape (n_samples, 22)."""
    offset = column("synthetic_labels", "missing")  # log odds; NaN for a label that is never missing

    def probability(iron: np.ndarray, level: float) -> np.ndarray:
        odds = level + offset + _MISSING_SLOPE * iron[:, np.newaxis]
        return np.where(np.isnan(offset), 0.0, expit(odds))

    if missing == 0:
        return np.zeros((len(iron), len(offset)))
    nodes, weights = _quadrature(population)
    level = brentq(lambda level: weights @ probability(nodes, level).mean(axis=1) - missing, -60, 60)
    return probability(iron, level)


def _quadrature(iron: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return values of [Fe/H] and their weights for integrals over the whole population, not the drawn stars."""
    node, weight = np.polynomial.hermite_e.hermegauss(20)
    parts = ((iron.share, *iron.first), (1 - iron.share, *iron.second))
    nodes = np.concatenate([mean + std * node for _, mean, std in parts])
    return nodes, np.concatenate([share * weight / weight.sum() for share, _, _ in parts])
