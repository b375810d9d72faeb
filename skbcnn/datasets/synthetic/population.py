"""Population of the synthetic stars: their true labels."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import expit, ndtr

from skbcnn.datasets.synthetic.tables import column, table
from skbcnn.survey import APOGEE_LABELS

_TEFF, _LOGG = APOGEE_LABELS.index("teff"), APOGEE_LABELS.index("logg")
_ELEMENTS = APOGEE_LABELS[2:]


class Mixture(NamedTuple):
    """Mixture of two normal distributions, in units of the label."""

    share: float  # of the stars in the first distribution
    first: tuple[float, float]  # mean and standard deviation
    second: tuple[float, float] = (0.0, 0.0)

    def samples(self, uniform: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Return samples, made from uniform and standard normal numbers."""
        centre, spread = np.array([self.first, self.second])[(uniform >= self.share).astype(int)].T
        return centre + spread * normal

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Subtract the mean of this distribution from values, and divide by its standard deviation."""
        parts = np.array([self.first, self.second])
        shares = np.array([self.share, 1 - self.share])
        mean = shares @ parts[:, 0]
        variance = shares @ (parts**2).sum(axis=1) - mean**2
        return (values - mean) / np.sqrt(variance)


class Population(NamedTuple):
    """Distributions of one population; the correlations between labels are the same for all populations."""

    iron: Mixture
    gravity: Mixture
    own: float = 1.0  # factor on the independent scatter of each label
    low_alpha: float = 1.0  # 0: no stars are on the low alpha sequence
    uniform: dict[str, tuple[float, float]] = {}  # independent labels: lowest and highest value
    can_be_uncorrelated: bool = True


POPULATIONS = {
    "milky_way": Population(
        iron=Mixture(0.8, (-0.03, 0.22), (-0.48, 0.30)),  # a disc, and a metal-poor tail
        gravity=Mixture(0.35, (2.45, 0.10), (2.265, 0.68)),  # the red clump, on a giant branch
    ),
    "metal_poor": Population(
        iron=Mixture(1.0, (-1.3, 0.35)),
        gravity=Mixture(0.35, (2.45, 0.10), (2.265, 0.68)),
    ),
    "globular_cluster": Population(
        iron=Mixture(1.0, (-1.3, 0.05)),
        gravity=Mixture(1.0, (1.5, 0.4)),  # distant, so only its bright giants are observed
        own=0.6,  # same age and composition
        low_alpha=0.0,
        uniform={"Al": (-1.5, -0.5)},
        can_be_uncorrelated=False,
    ),
}
_REFERENCE_POPULATION = POPULATIONS["milky_way"]  # correlations are between labels standardised by its moments
_BRANCH = {"logg": 0.90, "Fe": -0.25}  # cool stars are bright; metal-poor stars are hotter at the same gravity
_TEFF_RANGE = (3700.0, 5600.0)
_LOGG_RANGE = (0.3, 4.0)
_UNCORRELATED_IRON = 0.5  # factor on the correlation with iron if correlated=False


def draw_population(
    n_samples: int,
    population: Population,
    correlated: bool,
    normals: np.random.RandomState,
    uniforms: np.random.RandomState,
) -> np.ndarray:
    """Draw labels of shape (n_samples, 22): first standardised, then with the means and spreads of the table."""
    kind = uniforms.random_sample((n_samples, 3)).T
    gauss = normals.standard_normal((n_samples, 2 + len(APOGEE_LABELS))).T
    own = dict(zip(APOGEE_LABELS, population.own * gauss[2:], strict=True))
    z = {
        "Fe": _REFERENCE_POPULATION.iron.standardised(population.iron.samples(kind[0], gauss[0])),
        "logg": _REFERENCE_POPULATION.gravity.standardised(population.gravity.samples(kind[1], gauss[1])),
    }
    z["teff"] = _weighted(z, _BRANCH, own["teff"])
    z |= {"alpha": _alpha_sequence(z["Fe"], population.low_alpha * kind[2]), "mixing": -z["logg"]}
    for name in _ELEMENTS:
        z[name] = _weighted(z, _weights(name, correlated), own[name])
    labels = np.stack([z[name] for name in APOGEE_LABELS], axis=1)
    labels = column("synthetic_labels", "mean") + column("synthetic_labels", "std") * labels
    labels[:, _TEFF] = labels[:, _TEFF].clip(*_TEFF_RANGE)
    labels[:, _LOGG] = labels[:, _LOGG].clip(*_LOGG_RANGE)
    for name, (lowest, highest) in population.uniform.items():
        number = APOGEE_LABELS.index(name)
        labels[:, number] = lowest + (highest - lowest) * ndtr(gauss[2 + number])
    return labels


def _weighted(z: Mapping[str, np.ndarray], weights: Mapping[str, float], own: np.ndarray) -> np.ndarray:
    """Return the weighted sum of other labels and independent scatter, with variance 1."""
    shared = sum(weight * z[name] for name, weight in weights.items())
    return shared + np.sqrt(max(0.0, 1 - sum(weight**2 for weight in weights.values()))) * own


def _alpha_sequence(iron: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Draw the alpha sequence of each star, with mean 0 and variance 1. Most metal-poor stars are on the high one."""
    p_high = 0.2 + 0.6 * expit(-2.0 * (iron + 0.6))
    return ((uniform < p_high) - p_high) / np.sqrt(p_high * (1 - p_high))


def _weights(name: str, correlated: bool) -> dict[str, float]:
    """Return the weights of the labels on which the abundance of an element depends, in standard deviations."""
    row = table("synthetic_labels")[name]
    same_element = row["follows"] == name.rstrip("12")
    if row["follows"] and (correlated or same_element):
        return {row["follows"]: row["following"]}
    if correlated or name == "Fe":
        return {"Fe": row["iron"], "alpha": row["alpha"], "mixing": row["mixing"]}
    return {"Fe": row["iron"] * _UNCORRELATED_IRON}
