"""Synthetic spectra of red giants with known labels.

The sections follow the steps of `make_apogee_spectra`: the population of labels, the list of lines, their optical depth
and the flux of each star, the effects of the instrument, and the catalogue of labels with noise. Two tables in
``tables/`` have the properties of each label and each species. The lines are drawn once from a fixed seed, so they are
the same in every call and on every machine.
"""

import csv
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import expit, ndtr
from sklearn.utils import Bunch, check_random_state

from skbcnn._masked import plain_numbers
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import (
    APOGEE_LABELS,
    MISSING,
    N_APSTAR_PIXELS,
    apogee_windows,
    apstar_wavelength,
    chip_slices,
    continuum_pixels,
    kept_pixels,
    wavelength,
)

_TEFF, _LOGG, _FE = (APOGEE_LABELS.index(name) for name in ("teff", "logg", "Fe"))
_ELEMENTS = APOGEE_LABELS[2:]
_CHUNK_SIZE = 256  # stars: bounds the memory of the optical depths

DESCR = """Synthetic APOGEE spectra of red giants

Continuum-normalised spectra on the 7514 pixels of DR13 to DR17, with 22 labels: Teff in K, log g in dex (cgs), and 20
abundances [X/H] in dex. The stars do not exist, and no stellar atmosphere was computed: lines are in the windows in
which ASPCAP reads each element, and depend on temperature, gravity and abundance like real lines, but their strengths
were drawn at random. A model fitted to these spectra knows synthetic stars only.
"""


def make_apogee_spectra(
    n_samples: int = 1000,
    *,
    snr: ArrayLike = 200.0,
    missing: float = 0.03,
    correlated: bool = True,
    population: str = "milky_way",
    continuum: str = "fitted",
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Draw synthetic APOGEE spectra of red giants with known labels.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of stars.
    snr : float or array-like of shape (n_samples,), default=200.0
        Signal-to-noise ratio per pixel, in the continuum of a typical pixel.
    missing : float, default=0.03
        Mean fraction of missing labels, 0 to 0.9. More labels are missing in metal-poor stars and for elements with
        few and weak lines. Teff is never missing.
    correlated : bool, default=True
        Whether abundances are correlated as in the Milky Way: alpha elements with each other, [Al/H] with [Mg/H],
        and less carbon and more nitrogen along the giant branch. If False, the elements are independent of each other
        at given [Fe/H] and less correlated with it, with the same means and standard deviations; only the two labels
        of one element (C and C1, Ti and Ti2) still agree. False is an error for a globular cluster, whose stars are
        alike.
    population : {"milky_way", "metal_poor", "globular_cluster"}, default="milky_way"
        Population of the stars. ``"metal_poor"``: [Fe/H] of -1.3 with a scatter of 0.35 dex, and the correlations of
        the Milky Way, where such stars are rare. ``"globular_cluster"``: bright giants with [Fe/H] = -1.3 and a scatter
        of 0.05 dex, on the giant branch of that abundance. All are enhanced in alpha elements, [Mg/H] scatters by 0.05
        dex, and [Al/H] is uniform between -1.5 and -0.5 and independent of the other labels, as in M13. The other
        elements depend on iron and gravity as in the Milky Way.
    continuum : {"fitted", "true"}, default="fitted"
        Continuum by which the flux and its errors are divided. ``"fitted"``: the one that `ContinuumNormalizer` fits,
        as for real spectra. Models trained on such spectra can predict real ones, and the other way round. ``"true"``:
        the true one, which is not known for real spectra. Version 0.1 always used the true one.
    random_state : int, RandomState instance or None, default=None
        Pass an int to get the same stars in each call. The data of a star do not depend on `n_samples`, so test stars
        need another seed than training stars.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : ndarray of shape (n_samples, 7514), float32
            Continuum-normalised flux. Flagged pixels are exactly 1.
        y : ndarray of shape (n_samples, 22), float64
            Labels as in a catalogue: with noise, and -9999 where missing.
        X_err : ndarray of shape (n_samples, 7514), float32
            1 sigma of the flux, 0 where a pixel was flagged.
        preprocessing : dict
            Preparation of `X`: the argument `preprocessing` of `write_h5` and `save_folder`. Empty for
            ``continuum="true"``.
        y_err : ndarray of shape (n_samples, 22), float64
            1 sigma of the noise in `y`, -9999 where missing.
        truth : ndarray of shape (n_samples, 22), float64
            Labels without noise, none missing.
        label_names : list of str
            Names of the columns of `y`, in the order of `skbcnn.APOGEE_LABELS`.
        wavelength : ndarray of shape (7514,)
            Vacuum wavelength of each pixel, in Angstrom.
        snr : ndarray of shape (n_samples,)
            Signal-to-noise ratio of each star.
        DESCR : str
            Description of the data.

    Raises
    ------
    ValueError
        If `n_samples` is not a positive integer, an `snr` is not positive or their number is not `n_samples`,
        `missing` is outside 0 to 0.9, `population` or `continuum` is unknown, or a globular cluster is combined with
        ``correlated=False``.

    Notes
    -----
    Like in nature: the distribution of labels (in the Milky Way, means and standard deviations of `truth` are
    those of the training set of [1]_), Boltzmann factors, ionised lines that are stronger at low gravity, the continuum
    opacity of metals, the curve of growth with a hidden microturbulence, CO, CN and OH, which share their atoms and
    vanish in hot stars, hydrogen lines, blends inside and outside the windows [2]_, resolving power 22 500 with a few
    percent of scatter, residual velocities of 0.4 km/s, continuum errors of half a percent, noise that increases toward
    the edges of the detectors, and runs of flagged pixels at sky lines.

    Unlike in nature: line strengths and excitations are drawn at random, radiative transfer is a closed form
    (a line's residual flux is a power of ``1 + optical depth``), and label noise is Gaussian and independent.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255.
    .. [2] García Pérez et al. (2016), AJ 151, 144, on the element windows.

    Examples
    --------
    >>> from skbcnn.datasets.synthetic import make_apogee_spectra
    >>> stars = make_apogee_spectra(20, snr=150, random_state=0)
    >>> stars.X.shape, stars.y.shape, stars.label_names[:3]
    ((20, 7514), (20, 22), ['teff', 'logg', 'C'])
    >>> bool((stars.truth > -9999).all())
    True
    >>> cluster = make_apogee_spectra(100, population="globular_cluster", random_state=0)
    >>> of_mg, of_al = (cluster.truth[:, cluster.label_names.index(name)].std() for name in ("Mg", "Al"))
    >>> bool(of_al > 4 * of_mg)
    True
    """
    snr = _checked_snr(n_samples, snr, missing, correlated, population)
    if continuum not in ("fitted", "true"):
        raise ValueError(f"continuum={continuum!r}, expected 'fitted' or 'true'.")
    normalizer = ContinuumNormalizer() if continuum == "fitted" else None
    kind = _POPULATIONS[population]
    streams = _random_streams(random_state)
    truth = _draw_population(n_samples, kind, correlated, streams["population"], streams["family"])
    y, y_err = _catalogue(truth, missing, kind.iron, streams["labels"], streams["missing"])
    X, X_err = _observed_spectra(truth, snr, streams, normalizer)
    return Bunch(
        X=X,
        y=y,
        X_err=X_err,
        y_err=y_err,
        truth=truth,
        label_names=list(APOGEE_LABELS),
        wavelength=wavelength(),
        snr=snr,
        preprocessing={} if normalizer is None else normalizer.get_params() | {"combination": "pixel"},
        DESCR=DESCR,
    )


def _checked_snr(n_samples: Any, snr: ArrayLike, missing: float, correlated: bool, population: Any) -> np.ndarray:
    """Return the signal-to-noise ratio of each star, after a check of all arguments."""
    if not isinstance(n_samples, Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples={n_samples!r}, expected a whole number of stars, at least 1.")
    if not isinstance(missing, Real) or not 0 <= missing <= 0.9:
        raise ValueError(
            f"missing={missing!r}, expected a fraction of at least 0 and at most 0.9: Teff is never missing, so not "
            "every label can be. Pass 0 for complete labels."
        )
    if population not in tuple(_POPULATIONS):
        raise ValueError(f"population={population!r}, expected one of {', '.join(map(repr, _POPULATIONS))}.")
    if not (correlated or _POPULATIONS[population].can_be_uncorrelated):
        raise ValueError(
            f"correlated=False with population={population!r}: its stars are alike, so there are no correlations "
            "to remove. Use correlated=True; aluminium is independent of the other labels in any case."
        )
    if not isinstance(correlated, bool | np.bool_):
        raise ValueError(f"correlated={correlated!r}, expected True or False.")
    snr = plain_numbers(snr, "snr", "Pass for instance snr=200")
    if snr.shape not in ((), (n_samples,)):
        raise ValueError(
            f"snr has shape {snr.shape}, expected one number or one for each of the {n_samples} stars. Pass an array "
            f"of shape ({n_samples},), or change n_samples."
        )
    if not (np.isfinite(snr) & (snr > 0)).all():
        raise ValueError(f"snr must be finite and above 0, got {snr.min()} to {snr.max()}. Pass for instance snr=200.")
    return np.full(n_samples, snr)


_STREAMS = ("population", "family", "instrument", "flags", "noise", "labels", "missing")


def _random_streams(random_state: Any) -> dict[str, np.random.RandomState]:
    """Return one generator per purpose. Each is used star by star, so that a star does not depend on later ones."""
    parent = check_random_state(random_state)
    return {name: check_random_state(parent.randint(np.iinfo(np.int32).max)) for name in _STREAMS}


@cache
def _table(name: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by the text in their first column: numbers as float, blanks as None."""
    with (files("skbcnn.datasets") / "tables" / f"{name}.csv").open(encoding="utf-8") as lines:
        rows = csv.reader([line for line in lines if not line.startswith("#")])
        _, *columns = next(rows)
        return {row[0]: dict(zip(columns, map(_cell, row[1:]), strict=True)) for row in rows}


def _cell(text: str) -> float | str | None:
    try:
        return float(text)
    except ValueError:
        return text or None


def _column(table: str, column: str) -> np.ndarray:
    return np.array([row[column] for row in _table(table).values()], dtype=float)


# The population -----------------------------------------------------------------------------------------------------


class _Mixture(NamedTuple):
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


class _Population(NamedTuple):
    """Distributions of one population; the correlations between labels are the same for all populations."""

    iron: _Mixture
    gravity: _Mixture
    own: float = 1.0  # factor on the independent scatter of each label
    low_alpha: float = 1.0  # 0: no stars are on the low alpha sequence
    uniform: dict[str, tuple[float, float]] = {}  # independent labels: lowest and highest value
    can_be_uncorrelated: bool = True


_POPULATIONS = {
    "milky_way": _Population(
        iron=_Mixture(0.8, (-0.03, 0.22), (-0.48, 0.30)),  # a disc, and a metal-poor tail
        gravity=_Mixture(0.35, (2.45, 0.10), (2.265, 0.68)),  # the red clump, on a giant branch
    ),
    "metal_poor": _Population(
        iron=_Mixture(1.0, (-1.3, 0.35)),
        gravity=_Mixture(0.35, (2.45, 0.10), (2.265, 0.68)),
    ),
    "globular_cluster": _Population(
        iron=_Mixture(1.0, (-1.3, 0.05)),
        gravity=_Mixture(1.0, (1.5, 0.4)),  # distant, so only its bright giants are observed
        own=0.6,  # same age and composition
        low_alpha=0.0,
        uniform={"Al": (-1.5, -0.5)},
        can_be_uncorrelated=False,
    ),
}
_REFERENCE_POPULATION = _POPULATIONS["milky_way"]  # correlations are between labels standardised by its moments
_BRANCH = {"logg": 0.90, "Fe": -0.25}  # cool stars are bright; metal-poor stars are hotter at the same gravity
_TEFF_RANGE = (3700.0, 5600.0)
_LOGG_RANGE = (0.3, 4.0)
_UNCORRELATED_IRON = 0.5  # factor on the correlation with iron if correlated=False


def _draw_population(
    n_samples: int,
    population: _Population,
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
    labels = _column("synthetic_labels", "mean") + _column("synthetic_labels", "std") * labels
    labels[:, _TEFF] = labels[:, _TEFF].clip(*_TEFF_RANGE)
    labels[:, _LOGG] = labels[:, _LOGG].clip(*_LOGG_RANGE)
    for name, (lowest, highest) in population.uniform.items():
        column = APOGEE_LABELS.index(name)
        labels[:, column] = lowest + (highest - lowest) * ndtr(gauss[2 + column])
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
    row = _table("synthetic_labels")[name]
    same_element = row["follows"] == name.rstrip("12")
    if row["follows"] and (correlated or same_element):
        return {row["follows"]: row["following"]}
    if correlated or name == "Fe":
        return {"Fe": row["iron"], "alpha": row["alpha"], "mixing": row["mixing"]}
    return {"Fe": row["iron"] * _UNCORRELATED_IRON}


# The lines ----------------------------------------------------------------------------------------------------------

_LINE_SEED = 16_000
_INSTRUMENT_SIGMA = 1.37  # in pixels: resolving power 22 500 on pixels of 1.38e-5 in ln(wavelength)
_MACROTURBULENCE = 0.7  # sigma in pixels, of 4.1 km/s
_CLEAN_DISTANCE, _CLEAN_WEAKENING = 1.5, 0.7  # lines this close to a continuum pixel (pixels) are weaker (dex)
_STRAYS_WEAKER = 0.3  # dex: the windows of an element have its better lines
_CO_HEADS = (15582.0, 15780.0, 15982.0, 16189.0, 16397.0, 16613.0, 16840.0)  # Angstrom: 3-0 and its successors
_MOLECULES = {
    "CO": {"C": 1.0, "O": 0.3},
    "CN": {"C": 0.8, "N": 1.0, "O": -0.4},  # oxygen binds carbon in CO
    "OH": {"O": 1.2, "C": -0.2},
    "other": {"Fe": 1.0},
}


class _Lines(NamedTuple):
    """Absorption lines, as arrays of equal length."""

    species: np.ndarray  # row of the species table
    centre: np.ndarray  # apStar pixel, a fraction included
    strength: np.ndarray  # log10 of the optical depth at the reference star
    excitation: np.ndarray  # eV


@cache
def _lines() -> _Lines:
    """Return the list of lines: in the windows of each species, then stray lines anywhere on the detectors."""
    rng = check_random_state(_LINE_SEED)
    centres = [
        (_window_centres(row["windows"], row["spacing"], rng), rng.choice(kept_pixels(), int(row["strays"])))
        for row in _table("synthetic_species").values()
    ]
    species = np.repeat(np.arange(len(centres)), [len(inside) + len(strays) for inside, strays in centres])
    centre = np.concatenate([part for pair in centres for part in pair]).astype(float)
    is_stray = np.concatenate([np.repeat([False, True], [len(inside), len(strays)]) for inside, strays in centres])
    strength = _scattered("strength", species, rng) - _STRAYS_WEAKER * is_stray
    strength += _band_envelope(species, centre) - _CLEAN_WEAKENING * _near_continuum_pixel(centre)
    return _Lines(species, centre, strength, _scattered("excitation", species, rng))


def _window_centres(windows: str | None, spacing: float, rng: np.random.RandomState) -> np.ndarray:
    """Return line centres in every run of the windows of an element, evenly spaced with some jitter."""
    if windows is None:
        return np.empty(0)
    pixels = kept_pixels()[apogee_windows()[windows]]
    runs = np.split(pixels, np.flatnonzero(np.diff(pixels) > 1) + 1)
    return np.concatenate([_run_centres(run, spacing, rng) for run in runs])


def _run_centres(run: np.ndarray, spacing: float, rng: np.random.RandomState) -> np.ndarray:
    n_lines = max(1, round(len(run) / spacing))
    place = (np.arange(n_lines) + 0.5 + rng.uniform(-0.25, 0.25, n_lines)) / n_lines
    return run[0] - 0.5 + len(run) * place


def _scattered(column: str, species: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Return a property of each line: the value of its species with scatter."""
    value, scatter = (_column("synthetic_species", name)[species] for name in (column, f"{column}_scatter"))
    return value + scatter * rng.uniform(-np.sqrt(3), np.sqrt(3), len(species))


def _band_envelope(species: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return the change of line strength in the bands of CO, in dex: strongest at the heads. 0 for other species."""
    waves = 10 ** np.interp(centre, np.arange(N_APSTAR_PIXELS), np.log10(apstar_wavelength()))
    heads = np.array((15100.0, *_CO_HEADS))
    before = np.searchsorted(heads, waves) - 1
    envelope = 0.35 - (waves - heads[before]) / 200.0 - 0.6 * (before == 0)
    return np.where(species == list(_table("synthetic_species")).index("CO"), envelope, 0.0)


def _near_continuum_pixel(centre: np.ndarray) -> np.ndarray:
    """Return whether a line is on a continuum pixel, where lines must be weak."""
    clean = kept_pixels()[continuum_pixels(14)]
    return np.abs(centre[:, np.newaxis] - clean).min(axis=1) < _CLEAN_DISTANCE


@cache
def _composition() -> np.ndarray:
    """Return how the abundance of each species depends on the elements, of shape (n_species, 20)."""
    rows = [_MOLECULES.get(species, {species: 1.0}) for species in _table("synthetic_species")]
    return np.array([[row.get(element, 0.0) for element in _ELEMENTS] for row in rows])


@cache
def _line_profiles() -> csr_array:
    """Return the Gaussian of each line on the kept pixels, peak 1, as a sparse array of shape (7514, n_lines)."""
    lines = _lines()
    sigma = np.hypot(_INSTRUMENT_SIGMA, _MACROTURBULENCE)
    sigma = sigma * (1 + 0.1 * np.log1p(10.0**lines.strength))  # strong lines are wider
    pixel = np.rint(lines.centre).astype(int)[:, np.newaxis] + np.arange(-8, 9)
    height = np.exp(-0.5 * ((pixel - lines.centre[:, np.newaxis]) / sigma[:, np.newaxis]) ** 2)
    column = np.broadcast_to(np.arange(len(pixel))[:, np.newaxis], pixel.shape)
    row = np.searchsorted(kept_pixels(), pixel).clip(max=len(kept_pixels()) - 1)
    on_chip = (kept_pixels()[row] == pixel) & (height > 1e-5)
    entries = height[on_chip], (row[on_chip], column[on_chip])
    return csr_array(entries, shape=(len(kept_pixels()), len(pixel)))


@cache
def _hydrogen_profile() -> np.ndarray:
    """Return the Brackett series on the kept pixels: the sum of Lorentzians of the upper levels 11 to 20."""
    upper = np.arange(11, 21)
    waves = 1e10 / 1.09677576e7 / (1 / 16 - 1 / upper**2)  # Rydberg's formula, Angstrom
    height, half_width = (11 / upper) ** 1.5, 6.0  # Angstrom
    away = (wavelength()[:, np.newaxis] - waves) / half_width
    return (height / (1 + away**2)).sum(axis=1)


# The star -----------------------------------------------------------------------------------------------------------

_REFERENCE = {"teff": 4655.0, "logg": 2.33}
_METAL_OPACITY = 0.2  # metals provide electrons for H-, so the continuum of metal-rich stars is more opaque
_LINE_WIDTH = 0.21  # of a line in the star, in units of the instrument's
_HYDROGEN_DEPTH, _HYDROGEN_ENERGY, _HYDROGEN_GRAVITY = 0.02, -4.5, 0.1  # energy and gravity as in the species table


def _clean_flux(labels: np.ndarray, turbulence: float | np.ndarray = 1.0) -> np.ndarray:
    """Return the normalised flux before instrument and noise.

    Parameters
    ----------
    labels : ndarray of shape (n_samples, 22)
        Labels without missing values.
    turbulence : float or ndarray of shape (n_samples, 1), default=1.0
        Factor on the microturbulent width of the lines.

    Returns
    -------
    flux : ndarray of shape (n_samples, 7514)
    """
    growth = _curve_of_growth(10 ** _log_optical_depth(labels), turbulence * _microturbulence(labels))
    absorption = (_line_profiles() @ growth.T).T
    absorption += _hydrogen_absorption(labels)[:, np.newaxis] * _hydrogen_profile()
    return np.exp(-absorption)


def _log_optical_depth(labels: np.ndarray) -> np.ndarray:
    """Return log10 of the optical depth in the centre of each line, of shape (n_samples, n_lines)."""
    lines, cold = _lines(), _coldness(labels)
    species = labels[:, 2:] @ _composition().T - _METAL_OPACITY * labels[:, [_FE]]
    species += cold * _column("synthetic_species", "energy")
    species += (labels[:, [_LOGG]] - _REFERENCE["logg"]) * _column("synthetic_species", "gravity")
    return species[:, lines.species] + lines.strength - cold * lines.excitation


def _coldness(labels: np.ndarray) -> np.ndarray:
    """Return 5040 K / Teff relative to the reference star, of shape (n_samples, 1); multiplied by eV it is in dex."""
    return 5040.0 / labels[:, [_TEFF]] - 5040.0 / _REFERENCE["teff"]


def _microturbulence(labels: np.ndarray) -> np.ndarray:
    """Return the microturbulent width of lines relative to the reference star: larger in giants of low gravity."""
    return 10 ** (-0.06 * (labels[:, [_LOGG]] - _REFERENCE["logg"]))


def _curve_of_growth(optical_depth: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Return the absorption by a line: proportional to the optical depth if weak, to its logarithm if saturated."""
    return _LINE_WIDTH * width * np.log1p(optical_depth / width)


def _hydrogen_absorption(labels: np.ndarray) -> np.ndarray:
    gravity = _HYDROGEN_GRAVITY * (labels[:, _LOGG] - _REFERENCE["logg"])
    return _HYDROGEN_DEPTH * 10 ** (_HYDROGEN_ENERGY * _coldness(labels)[:, 0] + gravity)


# The instrument -----------------------------------------------------------------------------------------------------

_INSTRUMENT_SEED = 22_500
_TURBULENCE_SCATTER = 0.02  # dex
_SHIFT_SCATTER = 0.1  # pixels, of 4.1 km/s
_WIDTH_SCATTER = 0.03
_RADIAL_VELOCITY_SCATTER = 8.0  # pixels: shifts sky lines in spectra at rest
_CONTINUUM_SCATTER = (0.004, 0.004, 0.003, 0.002)  # of the Chebyshev coefficients of each chip
_N_SKY_LINES, _SKY_FLAGGED = 75, 0.4
_N_FAULTS = 4


def _observed_spectra(
    truth: np.ndarray,
    snr: np.ndarray,
    streams: Mapping[str, np.random.RandomState],
    normalizer: ContinuumNormalizer | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and its error, both of shape (n_samples, 7514) and float32, computed in chunks."""
    X = np.empty((len(truth), len(kept_pixels())), dtype=np.float32)
    X_err = np.empty_like(X)
    for start in range(0, len(truth), _CHUNK_SIZE):
        rows = slice(start, start + _CHUNK_SIZE)
        X[rows], X_err[rows] = _observe(truth[rows], snr[rows, np.newaxis], streams)
        if normalizer is not None:
            X[rows], X_err[rows] = _normalized(X[rows], X_err[rows], normalizer)
    return X, X_err


def _normalized(flux: np.ndarray, err: np.ndarray, normalizer: ContinuumNormalizer) -> tuple[np.ndarray, np.ndarray]:
    """Divide flux and errors by the continuum that the normaliser fits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # stars may have any noise here
            return normalizer.normalize(flux, err)[:2]
    except ValueError as error:
        raise ValueError(
            f"The continuum cannot be fitted with so much noise: {error} Pass a larger snr, or continuum='true'."
        ) from error


def _observe(
    labels: np.ndarray, snr: np.ndarray, streams: Mapping[str, np.random.RandomState]
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and error after spectrograph and data reduction."""
    n_continuum = len(_continuum_basis())
    gauss = streams["instrument"].standard_normal((len(labels), 4 + n_continuum))
    turbulence, shift, width, velocity = gauss.T[:4, :, np.newaxis]
    flux = _clean_flux(labels, 10 ** (_TURBULENCE_SCATTER * turbulence))
    flux = _shifted_and_broadened(flux, _SHIFT_SCATTER * shift, _WIDTH_SCATTER * width)
    error = np.sqrt(flux) * _noise_shape() / snr  # photon noise: lower in deep lines
    flux = flux * (1 + gauss[:, 4:] @ _continuum_basis()) + error * streams["noise"].standard_normal(flux.shape)
    flagged = _flagged_pixels(_RADIAL_VELOCITY_SCATTER * velocity, streams["flags"])
    return np.where(flagged, 1.0, flux), np.where(flagged, 0.0, error)


def _shifted_and_broadened(flux: np.ndarray, shift: np.ndarray, widening: np.ndarray) -> np.ndarray:
    """Shift lines by `shift` pixels and broaden them by the fraction `widening`, to second order in both."""
    spread = 0.5 * (shift**2 + _INSTRUMENT_SIGMA**2 * ((1 + widening) ** 2 - 1))
    moved = np.empty_like(flux)
    for chip in chip_slices().values():
        padded = np.pad(flux[:, chip], ((0, 0), (1, 1)), mode="edge")
        left, here, right = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
        moved[:, chip] = here - shift * (right - left) / 2 + spread * (right - 2 * here + left)
    return moved


@cache
def _continuum_basis() -> np.ndarray:
    """Return Chebyshev polynomials of each chip times their scatter, zero on other chips, of shape (12, 7514)."""
    basis = []
    for chip in chip_slices().values():
        x = np.linspace(-1, 1, chip.stop - chip.start)
        for degree, scatter in enumerate(_CONTINUUM_SCATTER):
            row = np.zeros(len(kept_pixels()))
            row[chip] = scatter * np.cos(degree * np.arccos(x))
            basis.append(row)
    return np.array(basis)


@cache
def _noise_shape() -> np.ndarray:
    """Return the noise of each pixel relative to the median pixel; it increases toward the edges of the chips."""
    shape = np.exp(0.08 * check_random_state(_INSTRUMENT_SEED).standard_normal(len(kept_pixels())))
    for chip in chip_slices().values():
        pixel = np.arange(chip.stop - chip.start)
        shape[chip] *= 1 + 1.2 * np.exp(-np.minimum(pixel, pixel[::-1]) / 60)
    return shape / np.median(shape)


@cache
def _sky_lines() -> tuple[np.ndarray, np.ndarray]:
    """Return first pixel and number of pixels of the sky lines, for a star without radial velocity."""
    rng = check_random_state(_INSTRUMENT_SEED + 1)
    return rng.randint(0, len(kept_pixels()), _N_SKY_LINES), rng.randint(2, 6, _N_SKY_LINES)


def _flagged_pixels(velocity: np.ndarray, uniforms: np.random.RandomState) -> np.ndarray:
    """Return a mask of runs of pixels at sky lines, some of which are weak in a star, and at detector faults."""
    draws = uniforms.random_sample((len(velocity), _N_SKY_LINES + 2 * _N_FAULTS))
    is_strong = draws[:, :_N_SKY_LINES] < _SKY_FLAGGED
    place, length = draws[:, _N_SKY_LINES::2], draws[:, _N_SKY_LINES + 1 :: 2]
    first, n_pixels = _sky_lines()
    first = np.hstack([first + np.rint(velocity).astype(int), (place * len(kept_pixels())).astype(int)])
    n_pixels = np.hstack([n_pixels * is_strong, 1 + (6 * length).astype(int)])
    return _runs_to_mask(first, n_pixels, len(kept_pixels()))


def _runs_to_mask(first: np.ndarray, length: np.ndarray, n_pixels: int) -> np.ndarray:
    """Return the mask of shape (n_samples, n_pixels) of runs of pixels, which are cut at the ends."""
    edges = np.zeros((len(first), n_pixels + 1), dtype=int)
    star = np.arange(len(first))[:, np.newaxis]
    np.add.at(edges, (star, first.clip(0, n_pixels)), 1)
    np.add.at(edges, (star, (first + length).clip(0, n_pixels)), -1)
    return edges.cumsum(axis=1)[:, :-1] > 0


# The catalogue ------------------------------------------------------------------------------------------------------

_NOISE_SLOPE = -0.3  # dex per dex: labels of metal-poor stars are noisier
_NOISE_SCATTER = 0.06  # dex, between stars
_MISSING_SLOPE = -3.0  # log odds per dex: more labels are missing in metal-poor stars


def _catalogue(
    truth: np.ndarray,
    missing: float,
    iron: _Mixture,
    normals: np.random.RandomState,
    uniforms: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with noise and their errors, both -9999 where missing."""
    spread, noise = np.moveaxis(normals.standard_normal((len(truth), 2, len(APOGEE_LABELS))), 1, 0)
    metallicity = truth[:, [_FE]] - _table("synthetic_labels")["Fe"]["mean"]
    y_err = _column("synthetic_labels", "noise") * 10 ** (_NOISE_SLOPE * metallicity + _NOISE_SCATTER * spread)
    y = truth + y_err * noise
    lost = uniforms.random_sample(truth.shape) < _missing_probability(truth[:, _FE], missing, iron)
    return np.where(lost, MISSING, y), np.where(lost, MISSING, y_err)


def _missing_probability(iron: np.ndarray, missing: float, population: _Mixture) -> np.ndarray:
    """Return the probability that each label of stars with some [Fe/H] is missing, of shape (n_samples, 22)."""
    offset = _column("synthetic_labels", "missing")  # log odds; NaN for a label that is never missing

    def probability(iron: np.ndarray, level: float) -> np.ndarray:
        odds = level + offset + _MISSING_SLOPE * iron[:, np.newaxis]
        return np.where(np.isnan(offset), 0.0, expit(odds))

    if missing == 0:
        return np.zeros((len(iron), len(offset)))
    nodes, weights = _quadrature(population)
    level = brentq(lambda level: weights @ probability(nodes, level).mean(axis=1) - missing, -60, 60)
    return probability(iron, level)


def _quadrature(iron: _Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return values of [Fe/H] and their weights for integrals over the whole population, not the drawn stars."""
    node, weight = np.polynomial.hermite_e.hermegauss(20)
    parts = ((iron.share, *iron.first), (1 - iron.share, *iron.second))
    nodes = np.concatenate([mean + std * node for _, mean, std in parts])
    return nodes, np.concatenate([share * weight / weight.sum() for share, _, _ in parts])
