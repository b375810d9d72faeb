"""Lists of absorption lines of the synthetic stars.

``"blanketed"``: lines of each element in its windows, lines of other elements that blend with them, bands of CO, CN
and OH, and many weak lines of metals everywhere. ``"isolated"``: the list of version 0.1. The lines are drawn once from
a fixed seed, so they are the same in every call and on every machine. Tables in ``skbcnn/datasets/tables`` have the
properties of each species.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import check_random_state

from skbcnn.datasets.synthetic.molecules import molecular_lines
from skbcnn.datasets.synthetic.tables import column, table
from skbcnn.survey import (
    APOGEE_LABELS,
    N_APSTAR_PIXELS,
    apogee_windows,
    apstar_wavelength,
    continuum_pixels,
    kept_pixels,
)

INSTRUMENT_SIGMA = 1.37  # in pixels: resolving power 22 500 on pixels of 1.38e-5 in ln(wavelength)
_MACROTURBULENCE = 0.7  # sigma in pixels, of 4.1 km/s
_ELEMENTS = APOGEE_LABELS[2:]
_MOLECULES = {
    "CO": {"C": 1.0, "O": 0.3},
    "CN": {"C": 0.8, "N": 1.0, "O": -0.4},  # oxygen binds carbon in CO
    "OH": {"O": 1.2, "C": -0.2},
    "other": {"Fe": 1.0},
}


class Lines(NamedTuple):
    """Absorption lines, as arrays of equal length."""

    species: np.ndarray  # row of the species table
    centre: np.ndarray  # apStar pixel, a fraction included
    strength: np.ndarray  # log10 of the optical depth at the reference star
    excitation: np.ndarray  # eV


class LineList(NamedTuple):
    """Lines, the table of the species that absorb, and two constants of the star that were chosen with them."""

    lines: Lines
    table: str
    width: float  # of a line in the star, in units of the instrument's
    metal_opacity: float  # metals provide electrons for H-, so the continuum of metal-rich stars is more opaque


@cache
def line_list(name: str) -> LineList:
    """Return the list of lines ``"blanketed"`` or ``"isolated"``."""
    if name == "isolated":
        return LineList(_isolated_lines(), "synthetic_species", width=0.21, metal_opacity=0.2)
    return LineList(_blanketed_lines(), _BLANKETED, width=0.105, metal_opacity=0.3)


@cache
def composition() -> np.ndarray:
    """Return how the abundance of each species depends on the elements, of shape (n_species, 20)."""
    rows = [_MOLECULES.get(species, {species: 1.0}) for species in table("synthetic_species")]
    return np.array([[row.get(element, 0.0) for element in _ELEMENTS] for row in rows])


@cache
def line_profiles(name: str) -> csr_array:
    """Return the Gaussian of each line on the kept pixels, peak 1, as a sparse array of shape (7514, n_lines)."""
    lines = line_list(name).lines
    sigma = np.hypot(INSTRUMENT_SIGMA, _MACROTURBULENCE)
    sigma = sigma * (1 + 0.1 * np.log1p(10.0**lines.strength))  # strong lines are wider
    pixel = np.rint(lines.centre).astype(int)[:, np.newaxis] + np.arange(-8, 9)
    height = np.exp(-0.5 * ((pixel - lines.centre[:, np.newaxis]) / sigma[:, np.newaxis]) ** 2)
    line = np.broadcast_to(np.arange(len(pixel))[:, np.newaxis], pixel.shape)
    row = np.searchsorted(kept_pixels(), pixel).clip(max=len(kept_pixels()) - 1)
    on_chip = (kept_pixels()[row] == pixel) & (height > 1e-5)
    entries = height[on_chip], (row[on_chip], line[on_chip])
    return csr_array(entries, shape=(len(kept_pixels()), len(pixel)))


# Lines in windows ---------------------------------------------------------------------------------------------------


def _window_runs(element: str) -> list[np.ndarray]:
    """Return the apStar pixels of each run of the windows of an element."""
    pixels = kept_pixels()[apogee_windows()[element]]
    return np.split(pixels, np.flatnonzero(np.diff(pixels) > 1) + 1)


def _window_centres(windows: str | None, spacing: float, rng: np.random.RandomState) -> np.ndarray:
    """Return line centres in every run of the windows of an element, evenly spaced with some jitter."""
    if windows is None:
        return np.empty(0)
    return np.concatenate([_run_centres(run, spacing, rng) for run in _window_runs(windows)])


def _run_centres(run: np.ndarray, spacing: float, rng: np.random.RandomState) -> np.ndarray:
    n_lines = max(1, round(len(run) / spacing))
    place = (np.arange(n_lines) + 0.5 + rng.uniform(-0.25, 0.25, n_lines)) / n_lines
    return run[0] - 0.5 + len(run) * place


def _scattered(table_name: str, name: str, species: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Return a property of each line: the value of its species with scatter."""
    value, scatter = (column(table_name, part)[species] for part in (name, f"{name}_scatter"))
    return value + scatter * rng.uniform(-np.sqrt(3), np.sqrt(3), len(species))


def _continuum_distance(centre: np.ndarray, releases: tuple[int, ...]) -> np.ndarray:
    """Return the distance of each line from the nearest continuum pixel of some data releases, in pixels."""
    clean = kept_pixels()[np.concatenate([continuum_pixels(release) for release in releases])]
    return np.abs(centre[:, np.newaxis] - clean).min(axis=1)


# The blanketed list -------------------------------------------------------------------------------------------------

_BLANKETED_SEED = 16_001
_BLANKETED = "synthetic_species_blanketed"
_BLEND_SPACING = 10.0  # pixels between blends in the windows
_BLENDS_WEAKER = 0.55  # dex: than lines of the element in its own windows
_WEAK_LINES_WEAKER, _WEAK_LINES_SCALE = 0.85, 0.75  # dex: offset, and scale of the exponential distribution
_CLEAN_SIGMA, _CLEAN_MAXIMUM = 1.4, 1.1  # pixels, dex: lines near continuum pixels are weaker


def _blanketed_lines() -> Lines:
    """Return the lines of every species, then the blends in the windows of every element."""
    rng = check_random_state(_BLANKETED_SEED)
    parts = [_species_lines(number, name, rng) for number, name in enumerate(table(_BLANKETED))]
    parts += [_blends(name, rng) for name, row in table(_BLANKETED).items() if row["blended"]]
    lines = _joined(parts)
    weakening = _CLEAN_MAXIMUM * np.exp(-0.5 * (_continuum_distance(lines.centre, (14, 17)) / _CLEAN_SIGMA) ** 2)
    return lines._replace(strength=lines.strength - weakening)


def _joined(parts: Iterable[Lines]) -> Lines:
    return Lines(*map(np.concatenate, zip(*parts, strict=True)))


def _species_lines(number: int, name: str, rng: np.random.RandomState) -> Lines:
    """Return the lines of one species: the bands of a molecule, or lines in the windows and weak lines anywhere."""
    row = table(_BLANKETED)[name]
    if name in ("CO", "CN", "OH"):
        return _band_lines(number, name, row)
    inside = _window_centres(row["windows"], row["spacing"], rng)
    weak = _anywhere(int(row["weak_lines"]), rng)
    species = np.full(len(inside) + len(weak), number)
    strength = _scattered(_BLANKETED, "strength", species, rng)
    strength[len(inside) :] -= _WEAK_LINES_WEAKER + rng.exponential(_WEAK_LINES_SCALE, len(weak))
    return Lines(species, np.append(inside, weak), strength, _scattered(_BLANKETED, "excitation", species, rng))


def _band_lines(number: int, name: str, row: dict[str, Any]) -> Lines:
    lines = molecular_lines(name)
    centre = np.interp(lines.wavelength, apstar_wavelength(), np.arange(N_APSTAR_PIXELS))
    return Lines(np.full(len(centre), number), centre, row["strength"] + lines.strength, lines.excitation)


def _anywhere(n_lines: int, rng: np.random.RandomState) -> np.ndarray:
    return rng.choice(kept_pixels(), n_lines) + rng.uniform(-0.5, 0.5, n_lines)


def _blends(element: str, rng: np.random.RandomState) -> Lines:
    """Return lines of other elements in the windows of an element."""
    names = list(table(_BLANKETED))
    runs = _window_runs(element)
    centre = np.concatenate([rng.uniform(run[0] - 1, run[-1] + 1, _n_blends(run, rng)) for run in runs])
    weights = np.nan_to_num(column(_BLANKETED, "weak_lines")) * (np.array(names) != element)
    species = rng.choice(len(names), len(centre), p=weights / weights.sum())
    strength = _scattered(_BLANKETED, "strength", species, rng) - _BLENDS_WEAKER
    return Lines(species, centre, strength, _scattered(_BLANKETED, "excitation", species, rng))


def _n_blends(run: np.ndarray, rng: np.random.RandomState) -> int:
    return int(rng.poisson((len(run) + 2) / _BLEND_SPACING))


# The isolated list, of version 0.1 ----------------------------------------------------------------------------------

_ISOLATED_SEED = 16_000
_CLEAN_DISTANCE, _CLEAN_WEAKENING = 1.5, 0.7  # lines this close to a continuum pixel (pixels) are weaker (dex)
_STRAYS_WEAKER = 0.3  # dex: the windows of an element have its better lines
_CO_HEADS = (15582.0, 15780.0, 15982.0, 16189.0, 16397.0, 16613.0, 16840.0)  # Angstrom: 3-0 and its successors


def _isolated_lines() -> Lines:
    """Return lines in the windows of each species, then stray lines anywhere on the detectors."""
    rng = check_random_state(_ISOLATED_SEED)
    centres = [
        (_window_centres(row["windows"], row["spacing"], rng), rng.choice(kept_pixels(), int(row["strays"])))
        for row in table("synthetic_species").values()
    ]
    species = np.repeat(np.arange(len(centres)), [len(inside) + len(strays) for inside, strays in centres])
    centre = np.concatenate([part for pair in centres for part in pair]).astype(float)
    is_stray = np.concatenate([np.repeat([False, True], [len(inside), len(strays)]) for inside, strays in centres])
    strength = _scattered("synthetic_species", "strength", species, rng) - _STRAYS_WEAKER * is_stray
    near_continuum = _continuum_distance(centre, (14,)) < _CLEAN_DISTANCE
    strength += _band_envelope(species, centre) - _CLEAN_WEAKENING * near_continuum
    return Lines(species, centre, strength, _scattered("synthetic_species", "excitation", species, rng))


def _band_envelope(species: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the change of line strength in the bands of CO, in dex: strongest at the heads. 0 for other species."""
    waves = 10 ** np.interp(centre, np.arange(N_APSTAR_PIXELS), np.log10(apstar_wavelength()))
    heads = np.array((15100.0, *_CO_HEADS))
    before = np.searchsorted(heads, waves) - 1
    envelope = 0.35 - (waves - heads[before]) / 200.0 - 0.6 * (before == 0)
    return np.where(species == list(table("synthetic_species")).index("CO"), envelope, 0.0)
