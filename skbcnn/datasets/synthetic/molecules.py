"""Lines of CO, CN and OH in the H band, computed from molecular constants.

Bands: the second overtone of CO (v + 3 from v), the first overtone of OH (v + 2 from v), and the red system of CN
(A 2Pi, v, from X 2Sigma+, v + 1). `molecular_lines` combines all bands of a molecule.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from skbcnn.datasets.synthetic.tables import table

_EV = 8065.544  # 1/cm
_THETA = 5040.0 / 4655.0  # 1/eV, of the reference star
_SPINS = {"CO": (None,), "CN": (-0.5, 0.5), "OH": (-0.5, 0.5)}  # N - J of each ladder of levels
_BRANCHES = {"CO": (-1, 1), "CN": (-1, 0, 1), "OH": (-1, 1)}  # change of J: P, Q and R
_N_BANDS = 8
_MAX_J = 100
_WEAKEST = 1.3  # dex below the strongest line


class MolecularLines(NamedTuple):
    """Lines of a molecule, as arrays of equal length."""

    wavelength: np.ndarray  # vacuum, Angstrom
    strength: np.ndarray  # log10 of the optical depth at the reference star; 0 for the strongest line
    excitation: np.ndarray  # eV


@cache
def molecular_lines(molecule: str, first: float = 15100.0, last: float = 17000.0) -> MolecularLines:
    """Return the stronger lines of a molecule between two wavelengths.

    Parameters
    ----------
    molecule : {"CO", "CN", "OH"}
        Name of the molecule.
    first, last : float
        Limits of the vacuum wavelength, in Angstrom.

    Returns
    -------
    lines : MolecularLines
        Lines up to 1.3 dex weaker than the strongest one, at the temperature of the reference star. Positions of CO
        are good to 0.1 Angstrom, those of CN and OH to 1 Angstrom.

    Notes
    -----
    Energies of 2Pi states are those of Hill & Van Vleck (1928), Phys. Rev. 32, 250. Strengths follow from the Boltzmann
    factor, from J as in the Hönl-London factors of the main branches, and, for overtones, from the matrix elements
    of the harmonic oscillator. The Franck-Condon factors of the bands of CN are taken as equal.
    """
    parts = [
        _band(molecule, lower, branch, spin)
        for lower in range(_N_BANDS)
        for branch in _BRANCHES[molecule]
        for spin in _SPINS[molecule]
    ]
    wavelength, strength, excitation = np.concatenate(parts, axis=1)
    inside = (wavelength > first) & (wavelength < last)
    strength = strength - strength[inside].max()
    kept = inside & (strength > -_WEAKEST)
    return MolecularLines(wavelength[kept], strength[kept], excitation[kept])


def _band(molecule: str, v: int, branch: int, spin: float | None) -> np.ndarray:
    """Return wavelength, strength and excitation of one branch of the band from the v-th of the lower levels."""
    lower, upper = table("synthetic_molecules")[f"{molecule} X"], table("synthetic_molecules")[f"{molecule} X"]
    v_lower, v_upper, weight = v, v + 3, (v + 1) * (v + 2) * (v + 3)
    if molecule == "OH":
        v_upper, weight = v + 2, (v + 1) * (v + 2)
    elif molecule == "CN":
        upper, v_lower, v_upper, weight = table("synthetic_molecules")["CN A"], v + 1, v, 1
    j = np.arange(_MAX_J) + {None: 1.0, -0.5: 2.5, 0.5: 1.5}[spin]
    energy = _level(lower, v_lower, j, spin)
    wavenumber = _level(upper, v_upper, j + branch, spin) - energy
    excitation = (energy - _lowest(lower, spin)) / _EV
    factor = (j + max(branch, 0)) * (2 if molecule == "CN" and branch == 0 else 1) * weight
    strength = np.log10(factor) - _THETA * excitation
    split = _doubling(upper, j + branch, spin) - _doubling(lower, j, spin)
    components = [wavenumber] if not np.any(split) else [wavenumber - split / 2, wavenumber + split / 2]
    return np.hstack([[1e8 / component, strength, excitation] for component in components])


def _lowest(state: dict[str, Any], spin: float | None) -> float:
    return float(_level(state, 0, np.array(0.0 if spin is None else 1.5), None if spin is None else -0.5))


def _level(state: dict[str, Any], v: int, j: np.ndarray, spin: float | None) -> np.ndarray:
    """Return the energies of the rotational levels J of a vibrational level v, in 1/cm."""
    half = v + 0.5
    vibration = half * (state["we"] - half * (state["wexe"] - half * (state["weye"] + half * state["weze"])))
    b = state["be"] - state["ae"] * half + state["ge"] * half**2
    n = j if spin is None else j + spin
    distortion = (state["de"] - state["he"] * n * (n + 1)) * (n * (n + 1)) ** 2
    rotation = n * (n + 1)
    if spin is not None and state["spin_orbit"] is not None:
        y, square = state["spin_orbit"] / b, (j + 0.5) ** 2
        rotation = square + np.sign(spin) * 0.5 * np.sqrt(4 * square + y * (y - 4))
    return state["te"] + vibration + b * rotation - distortion


def _doubling(state: dict[str, Any], j: np.ndarray, spin: float | None) -> np.ndarray:
    """Return the splitting of the levels of a 2Pi state by Lambda doubling, in 1/cm."""
    n = j if spin is None else j + spin
    return (state["doubling"] or 0.0) * n * (n + 1)
