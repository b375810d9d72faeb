"""Flux of the synthetic stars before instrument and noise."""

from functools import cache

import numpy as np

from skbcnn.datasets.synthetic.lines import LineList, composition, line_list, line_profiles
from skbcnn.datasets.synthetic.tables import column
from skbcnn.survey import APOGEE_LABELS, wavelength

_TEFF, _LOGG, _FE = (APOGEE_LABELS.index(name) for name in ("teff", "logg", "Fe"))
_REFERENCE = {"teff": 4655.0, "logg": 2.33}
_HYDROGEN_DEPTH, _HYDROGEN_ENERGY, _HYDROGEN_GRAVITY = 0.02, -4.5, 0.1  # energy and gravity as in the species table


def clean_flux(labels: np.ndarray, turbulence: float | np.ndarray = 1.0, lines: str = "blanketed") -> np.ndarray:
    """Return the normalised flux before instrument and noise.

    Parameters
    ----------
    labels : ndarray of shape (n_samples, 22)
        Labels without missing values.
    turbulence : float or ndarray of shape (n_samples, 1), default=1.0
        Factor on the microturbulent width of the lines.
    lines : {"blanketed", "isolated"}, default="blanketed"
        List of lines.

    Returns
    -------
    flux : ndarray of shape (n_samples, 7514)
    """
    listed = line_list(lines)
    growth = curve_of_growth(
        10 ** log_optical_depth(labels, listed), turbulence * _microturbulence(labels), listed.width
    )
    absorption = (line_profiles(lines) @ growth.T).T
    absorption += _hydrogen_absorption(labels)[:, np.newaxis] * hydrogen_profile()
    return np.exp(-absorption)


def log_optical_depth(labels: np.ndarray, listed: LineList) -> np.ndarray:
    """Return log10 of the optical depth in the centre of each line, of shape (n_samples, n_lines)."""
    lines, cold = listed.lines, _coldness(labels)
    species = labels[:, 2:] @ composition().T - listed.metal_opacity * labels[:, [_FE]]
    species += cold * column(listed.table, "energy")
    species += (labels[:, [_LOGG]] - _REFERENCE["logg"]) * column(listed.table, "gravity")
    return species[:, lines.species] + lines.strength - cold * lines.excitation


def _coldness(labels: np.ndarray) -> np.ndarray:
    """Return 5040 K / Teff relative to the reference star, of shape (n_samples, 1); multiplied by eV it is in dex."""
    return 5040.0 / labels[:, [_TEFF]] - 5040.0 / _REFERENCE["teff"]


def _microturbulence(labels: np.ndarray) -> np.ndarray:
    """Return the microturbulent width of lines relative to the reference star: larger in giants of low gravity."""
    return 10 ** (-0.06 * (labels[:, [_LOGG]] - _REFERENCE["logg"]))


def curve_of_growth(optical_depth: np.ndarray, turbulence: np.ndarray | float, width: float = 0.21) -> np.ndarray:
    """Return the absorption by a line: proportional to the optical depth if weak, to its logarithm if saturated."""
    return width * turbulence * np.log1p(optical_depth / turbulence)


def _hydrogen_absorption(labels: np.ndarray) -> np.ndarray:
    gravity = _HYDROGEN_GRAVITY * (labels[:, _LOGG] - _REFERENCE["logg"])
    return _HYDROGEN_DEPTH * 10 ** (_HYDROGEN_ENERGY * _coldness(labels)[:, 0] + gravity)


@cache
def hydrogen_profile() -> np.ndarray:
    """Return the Brackett series on the kept pixels: the sum of Lorentzians of the upper levels 11 to 20."""
    upper = np.arange(11, 21)
    waves = 1e10 / 1.09677576e7 / (1 / 16 - 1 / upper**2)  # Rydberg's formula, Angstrom
    height, half_width = (11 / upper) ** 1.5, 6.0  # Angstrom
    away = (wavelength()[:, np.newaxis] - waves) / half_width
    return (height / (1 + away**2)).sum(axis=1)
