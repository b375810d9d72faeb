"""Spectra of giants that never were: physically shaped data whose truth is known.

`make_apogee_spectra` reads as its parts follow each other: a population of labels, a list of lines, their optical
depth in each star, the flux that is left, what the instrument does to it, and what a catalogue says about the star.
What differs from label to label or from species to species stands in two tables beside this module. The lines are
drawn once from a fixed seed, so every call on every machine has the same ones.
"""

import csv
from functools import cache
from importlib.resources import files
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import expit, ndtr
from sklearn.utils import Bunch, check_random_state

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
_N_STARS_AT_ONCE = 256  # bounds the memory that the optical depths take

DESCR = """Synthetic APOGEE spectra of red giants

Continuum-normalised spectra on the 7514 pixels of DR13 to DR17, with 22 labels: Teff in K, log g in dex (cgs), and 20
abundances [X/H] in dex. The stars do not exist, and no stellar atmosphere was computed: lines stand in the windows
where ASPCAP reads each element, and answer to temperature, gravity and abundance as lines do, but their strengths
were drawn at random. A model fitted to these spectra knows synthetic stars only.
"""


def make_apogee_spectra(
    n_samples=1000, *, snr=200.0, missing=0.03, correlated=True, population="milky_way", random_state=None
):
    """Draw synthetic APOGEE spectra of red giants, with labels whose truth is known.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of stars.
    snr : float or array-like of shape (n_samples,), default=200.0
        Signal-to-noise ratio per pixel, in the continuum of a typical pixel.
    missing : float, default=0.03
        Mean fraction of labels that are missing, 0 to 0.9. More are missing in metal-poor stars and for elements
        with few and weak lines; Teff never is.
    correlated : bool, default=True
        Whether abundances follow each other as in the Milky Way: alpha elements together, [Al/H] after [Mg/H],
        carbon down and nitrogen up along the giant branch. If False, the elements are independent of each other at
        given [Fe/H] and more loosely tied to it, with the same means and standard deviations; only the two
        readings of one element (C and C1, Ti and Ti2) still agree. A cluster's stars are alike but for what
        `population` says, so there is nothing to loosen: False is refused.
    population : {"milky_way", "metal_poor", "globular_cluster"}, default="milky_way"
        Which stars. ``"metal_poor"``: those of which the Milky Way has few, with [Fe/H] of -1.3 and a scatter of 0.35
        dex, whose labels follow each other as there. Those of ``"globular_cluster"`` are bright giants of one iron
        abundance, [Fe/H] = -1.3 with a scatter of 0.05 dex, on the giant branch of that abundance. All are enhanced
        in alpha elements, [Mg/H] scatters by 0.05 dex, and [Al/H] is uniform between -1.5 and -0.5 and follows
        nothing: the pattern of M13, which the others do not show. The other elements follow iron and gravity as there.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same stars at each call. A star's data do not depend on `n_samples`, so stars to test on
        need another one than those to train on.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : ndarray of shape (n_samples, 7514), float32
            Continuum-normalised flux. Flagged pixels are exactly 1.
        y : ndarray of shape (n_samples, 22), float64
            Labels as a catalogue has them: with noise, and -9999 where missing.
        X_err : ndarray of shape (n_samples, 7514), float32
            1 sigma of the flux, 0 where a pixel was flagged.
        y_err : ndarray of shape (n_samples, 22), float64
            1 sigma of the noise in `y`, -9999 where missing.
        truth : ndarray of shape (n_samples, 22), float64
            Labels without noise, none missing.
        label_names : list of str
            Names of the columns of `y`, in the order of `skbcnn.survey.APOGEE_LABELS`.
        wavelength : ndarray of shape (7514,)
            Vacuum wavelength of each pixel, in Angstrom.
        snr : ndarray of shape (n_samples,)
            Signal-to-noise ratio of each star.
        DESCR : str
            What the data are.

    Raises
    ------
    ValueError
        If `n_samples` is not a positive integer, an `snr` is not positive or their number is not `n_samples`,
        `missing` is outside 0 to 0.9, `population` is not known, or a cluster is asked for with
        ``correlated=False``.

    Notes
    -----
    Shaped as in nature: the distribution of labels (in the Milky Way, means and standard deviations of `truth` are
    those of the training set of [1]_), Boltzmann factors, ionised lines that strengthen at low gravity, the opacity
    that metals lend to the continuum, the curve of growth with a hidden microturbulence, CO, CN and OH that share
    their atoms and vanish in hot stars, hydrogen lines, blends inside and outside the windows [2]_, resolving power
    22 500 with a few percent of scatter, residual velocities of 0.4 km/s, continuum errors of half a percent, noise
    that grows toward the edges of the detectors, and runs of flagged pixels at the night sky's lines.

    Not as in nature: line strengths and excitations are drawn at random, radiative transfer is a closed form
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
    snr = _checked_arguments(n_samples, snr, missing, correlated, population)
    kind = _POPULATIONS[population]
    streams = _random_streams(random_state)
    truth = _draw_population(n_samples, kind, correlated, streams["population"], streams["family"])
    y, y_err = _catalogue(truth, missing, kind.iron, streams["labels"], streams["missing"])
    X, X_err = _observed_spectra(truth, snr, streams)
    return Bunch(
        X=X,
        y=y,
        X_err=X_err,
        y_err=y_err,
        truth=truth,
        label_names=list(APOGEE_LABELS),
        wavelength=wavelength(),
        snr=snr,
        DESCR=DESCR,
    )


def _checked_arguments(n_samples, snr, missing, correlated, population):
    """Refuse what cannot be drawn; the signal-to-noise ratio of each star."""
    if not isinstance(n_samples, Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples={n_samples!r}, expected a whole number of stars, at least 1.")
    if not 0 <= missing <= 0.9:
        raise ValueError(
            f"missing={missing!r}, expected a fraction of at least 0 and at most 0.9: Teff is never missing, so not "
            "every label can be. Pass 0 for complete labels."
        )
    if population not in tuple(_POPULATIONS):
        raise ValueError(f"population={population!r}, expected one of {', '.join(map(repr, _POPULATIONS))}.")
    if not (correlated or _POPULATIONS[population].can_loosen):
        raise ValueError(
            f"correlated=False with population={population!r}: its stars are alike, so there are no ties to loosen. "
            "Leave correlated=True; aluminium follows nothing there anyway."
        )
    snr = np.asarray(snr, dtype=float)
    if snr.shape not in ((), (n_samples,)):
        raise ValueError(
            f"snr has shape {snr.shape}, expected one number or one for each of the {n_samples} stars. Pass an array "
            f"of shape ({n_samples},), or change n_samples."
        )
    if not (np.isfinite(snr) & (snr > 0)).all():
        raise ValueError(f"snr must be finite and above 0, got {snr.min()} to {snr.max()}. Pass for instance snr=200.")
    return np.full(n_samples, snr)


_STREAMS = ("population", "family", "instrument", "flags", "noise", "labels", "missing")


def _random_streams(random_state):
    """One generator per purpose, each read star by star, so that more stars do not change those before them."""
    parent = check_random_state(random_state)
    return {name: check_random_state(parent.randint(np.iinfo(np.int32).max)) for name in _STREAMS}


@cache
def _table(name):
    """The rows of a table beside this module, by the text in their first column; numbers as float, blanks as None."""
    with (files("skbcnn.datasets") / "tables" / f"{name}.csv").open(encoding="utf-8") as lines:
        rows = csv.reader([line for line in lines if not line.startswith("#")])
        _, *columns = next(rows)
        return {row[0]: dict(zip(columns, map(_cell, row[1:]), strict=True)) for row in rows}


def _cell(text):
    try:
        return float(text)
    except ValueError:
        return text or None


def _column(table, column):
    return np.array([row[column] for row in _table(table).values()], dtype=float)


# The population -----------------------------------------------------------------------------------------------------


class _Mixture(NamedTuple):
    """Two normal distributions: ``share`` of the stars in the first, in units of the label."""

    share: float
    first: tuple[float, float]  # mean, standard deviation
    second: tuple[float, float] = (0.0, 0.0)

    def samples(self, uniform, normal):
        """Samples from uniform and standard normal numbers."""
        centre, spread = np.array([self.first, self.second])[(uniform >= self.share).astype(int)].T
        return centre + spread * normal

    def standardised(self, values):
        """Values with the mean and the standard deviation of this distribution taken off."""
        parts = np.array([self.first, self.second])
        shares = np.array([self.share, 1 - self.share])
        mean = shares @ parts[:, 0]
        variance = shares @ (parts**2).sum(axis=1) - mean**2
        return (values - mean) / np.sqrt(variance)


class _Population(NamedTuple):
    """What sets some stars apart; how one label follows others is the same for all populations."""

    iron: _Mixture
    gravity: _Mixture
    own: float = 1.0  # factor on the scatter that is a label's own
    low_alpha: float = 1.0  # 0: none are on the low alpha sequence
    uniform: dict[str, tuple[float, float]] = {}  # labels that follow nothing: lowest and highest value
    can_loosen: bool = True  # whether elements may stop following each other


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
        gravity=_Mixture(1.0, (1.5, 0.4)),  # far away, so only its bright giants are observed
        own=0.6,  # born together: one age, one mixture
        low_alpha=0.0,
        uniform={"Al": (-1.5, -0.5)},
        can_loosen=False,
    ),
}
_USUAL = _POPULATIONS["milky_way"]  # the ties are between labels in units of its means and standard deviations
_BRANCH = {"logg": 0.90, "Fe": -0.25}  # cool stars are bright, and metal-poor ones hotter at the same gravity
_TEFF_RANGE = (3700.0, 5600.0)
_LOGG_RANGE = (0.3, 4.0)
_LOOSENED = 0.5  # factor on the tie to iron of stars whose elements do not follow each other


def _draw_population(n_samples, population, correlated, normals, uniforms):
    """Labels of stars, of shape (n_samples, 22): standardised first, then with the means and spreads of the table."""
    kind = uniforms.random_sample((n_samples, 3)).T
    gauss = normals.standard_normal((n_samples, 2 + len(APOGEE_LABELS))).T
    own = dict(zip(APOGEE_LABELS, population.own * gauss[2:], strict=True))
    z = {
        "Fe": _USUAL.iron.standardised(population.iron.samples(kind[0], gauss[0])),
        "logg": _USUAL.gravity.standardised(population.gravity.samples(kind[1], gauss[1])),
    }
    z["teff"] = _weighted(z, _BRANCH, own["teff"])
    z |= {"alpha": _alpha_sequence(z["Fe"], population.low_alpha * kind[2]), "mixing": -z["logg"]}
    for name in _ELEMENTS:
        z[name] = _weighted(z, _ties(name, correlated), own[name])
    labels = np.stack([z[name] for name in APOGEE_LABELS], axis=1)
    labels = _column("synthetic_labels", "mean") + _column("synthetic_labels", "std") * labels
    labels[:, _TEFF] = labels[:, _TEFF].clip(*_TEFF_RANGE)
    labels[:, _LOGG] = labels[:, _LOGG].clip(*_LOGG_RANGE)
    for name, (lowest, highest) in population.uniform.items():
        column = APOGEE_LABELS.index(name)
        labels[:, column] = lowest + (highest - lowest) * ndtr(gauss[2 + column])
    return labels


def _weighted(z, weights, own):
    """Sum of what labels share and of what is a label's own, with variance 1."""
    shared = sum(weight * z[name] for name, weight in weights.items())
    return shared + np.sqrt(max(0.0, 1 - sum(weight**2 for weight in weights.values()))) * own


def _alpha_sequence(iron, uniform):
    """Which of the two alpha sequences a star is on: most metal-poor stars are on the high one. Mean 0, variance 1."""
    p_high = 0.2 + 0.6 * expit(-2.0 * (iron + 0.6))
    return ((uniform < p_high) - p_high) / np.sqrt(p_high * (1 - p_high))


def _ties(name, correlated):
    """Weights of what the abundance of an element follows, in standard deviations."""
    row = _table("synthetic_labels")[name]
    same_element = row["follows"] == name.rstrip("12")
    if row["follows"] and (correlated or same_element):
        return {row["follows"]: row["following"]}
    if correlated or name == "Fe":
        return {"Fe": row["iron"], "alpha": row["alpha"], "mixing": row["mixing"]}
    return {"Fe": row["iron"] * _LOOSENED}


# The lines ----------------------------------------------------------------------------------------------------------

_LINE_SEED = 16_000
_INSTRUMENT_SIGMA = 1.37  # in pixels: resolving power 22 500 on pixels of 1.38e-5 in ln(wavelength)
_MACROTURBULENCE = 0.7  # sigma in pixels, of 4.1 km/s
_CLEAN_DISTANCE, _CLEAN_WEAKENING = 1.5, 0.7  # lines this near a continuum pixel, in pixels, are weaker, in dex
_STRAYS_WEAKER = 0.3  # dex: an element's windows hold its better lines
_CO_HEADS = (15582.0, 15780.0, 15982.0, 16189.0, 16397.0, 16613.0, 16840.0)  # Angstrom: 3-0 and its successors
_MOLECULES = {
    "CO": {"C": 1.0, "O": 0.3},
    "CN": {"C": 0.8, "N": 1.0, "O": -0.4},  # oxygen locks carbon up in CO
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
def _lines():
    """The list of lines: in the windows of each species, then strays anywhere on the detectors."""
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


def _window_centres(windows, spacing, rng):
    """Line centres in every run of an element's windows, evenly spaced but for some jitter."""
    if windows is None:
        return np.empty(0)
    pixels = kept_pixels()[apogee_windows()[windows]]
    runs = np.split(pixels, np.flatnonzero(np.diff(pixels) > 1) + 1)
    return np.concatenate([_run_centres(run, spacing, rng) for run in runs])


def _run_centres(run, spacing, rng):
    n_lines = max(1, round(len(run) / spacing))
    place = (np.arange(n_lines) + 0.5 + rng.uniform(-0.25, 0.25, n_lines)) / n_lines
    return run[0] - 0.5 + len(run) * place


def _scattered(column, species, rng):
    """A property of each line: its species' value and scatter."""
    value, scatter = (_column("synthetic_species", name)[species] for name in (column, f"{column}_scatter"))
    return value + scatter * rng.uniform(-np.sqrt(3), np.sqrt(3), len(species))


def _band_envelope(species, centre):
    """CO lines crowd redward of the heads of its bands and fade from there, in dex; 0 for what is not CO."""
    waves = 10 ** np.interp(centre, np.arange(N_APSTAR_PIXELS), np.log10(apstar_wavelength()))
    heads = np.array((15100.0, *_CO_HEADS))
    before = np.searchsorted(heads, waves) - 1
    envelope = 0.35 - (waves - heads[before]) / 200.0 - 0.6 * (before == 0)
    return np.where(species == list(_table("synthetic_species")).index("CO"), envelope, 0.0)


def _near_continuum_pixel(centre):
    """Whether a line lies on a continuum pixel: these are continuum because no strong line is there."""
    clean = kept_pixels()[continuum_pixels(14)]
    return np.abs(centre[:, np.newaxis] - clean).min(axis=1) < _CLEAN_DISTANCE


@cache
def _composition():
    """How the abundance of each species follows the elements, of shape (n_species, 20)."""
    rows = [_MOLECULES.get(species, {species: 1.0}) for species in _table("synthetic_species")]
    return np.array([[row.get(element, 0.0) for element in _ELEMENTS] for row in rows])


@cache
def _line_profiles():
    """Gaussian of each line on the kept pixels, peak 1, as a sparse array of shape (7514, n_lines)."""
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
def _hydrogen_profile():
    """The Brackett series on the kept pixels: Lorentzians of the upper levels 11 to 20, summed."""
    upper = np.arange(11, 21)
    waves = 1e10 / 1.09677576e7 / (1 / 16 - 1 / upper**2)  # Rydberg's formula, Angstrom
    height, half_width = (11 / upper) ** 1.5, 6.0  # Angstrom
    away = (wavelength()[:, np.newaxis] - waves) / half_width
    return (height / (1 + away**2)).sum(axis=1)


# The star -----------------------------------------------------------------------------------------------------------

_REFERENCE = {"teff": 4655.0, "logg": 2.33}
_METAL_OPACITY = 0.2  # electrons of metals make H-, so the continuum of metal-rich stars is more opaque
_LINE_WIDTH = 0.21  # of a line in the star, in units of the instrument's
_HYDROGEN_DEPTH, _HYDROGEN_ENERGY, _HYDROGEN_GRAVITY = 0.02, -4.5, 0.1  # the last two as in the species table


def _clean_flux(labels, turbulence=1.0):
    """Normalised flux before instrument and noise.

    Parameters
    ----------
    labels : ndarray of shape (n_samples, 22)
        Without missing values.
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


def _log_optical_depth(labels):
    """log10 of the optical depth in the centre of each line, of shape (n_samples, n_lines)."""
    lines, cold = _lines(), _coldness(labels)
    species = labels[:, 2:] @ _composition().T - _METAL_OPACITY * labels[:, [_FE]]
    species += cold * _column("synthetic_species", "energy")
    species += (labels[:, [_LOGG]] - _REFERENCE["logg"]) * _column("synthetic_species", "gravity")
    return species[:, lines.species] + lines.strength - cold * lines.excitation


def _coldness(labels):
    """How much 5040 K / Teff exceeds that of the reference star; times eV it is dex. Shape (n_samples, 1)."""
    return 5040.0 / labels[:, [_TEFF]] - 5040.0 / _REFERENCE["teff"]


def _microturbulence(labels):
    """Microturbulent width of lines relative to the reference star: larger in giants of low gravity."""
    return 10 ** (-0.06 * (labels[:, [_LOGG]] - _REFERENCE["logg"]))


def _curve_of_growth(optical_depth, width):
    """Absorption by a line: proportional to its optical depth while weak, to its logarithm when saturated."""
    return _LINE_WIDTH * width * np.log1p(optical_depth / width)


def _hydrogen_absorption(labels):
    gravity = _HYDROGEN_GRAVITY * (labels[:, _LOGG] - _REFERENCE["logg"])
    return _HYDROGEN_DEPTH * 10 ** (_HYDROGEN_ENERGY * _coldness(labels)[:, 0] + gravity)


# The instrument -----------------------------------------------------------------------------------------------------

_INSTRUMENT_SEED = 22_500
_TURBULENCE_SCATTER = 0.02  # dex
_SHIFT_SCATTER = 0.1  # pixels, of 4.1 km/s
_WIDTH_SCATTER = 0.03
_RADIAL_VELOCITY_SCATTER = 8.0  # pixels: sky lines move by it, as spectra are at rest
_CONTINUUM_SCATTER = (0.004, 0.004, 0.003, 0.002)  # of the Chebyshev coefficients of each chip
_N_SKY_LINES, _SKY_FLAGGED = 75, 0.4
_N_FAULTS = 4


def _observed_spectra(truth, snr, streams):
    """Flux and its error, both of shape (n_samples, 7514) and float32, some stars at a time."""
    X = np.empty((len(truth), len(kept_pixels())), dtype=np.float32)
    X_err = np.empty_like(X)
    for start in range(0, len(truth), _N_STARS_AT_ONCE):
        few = slice(start, start + _N_STARS_AT_ONCE)
        X[few], X_err[few] = _observe(truth[few], snr[few, np.newaxis], streams)
    return X, X_err


def _observe(labels, snr, streams):
    """What the spectrograph and its pipeline make of some stars."""
    n_continuum = len(_continuum_basis())
    gauss = streams["instrument"].standard_normal((len(labels), 4 + n_continuum))
    turbulence, shift, width, velocity = gauss.T[:4, :, np.newaxis]
    flux = _clean_flux(labels, 10 ** (_TURBULENCE_SCATTER * turbulence))
    flux = _shifted_and_broadened(flux, _SHIFT_SCATTER * shift, _WIDTH_SCATTER * width)
    error = np.sqrt(flux) * _noise_shape() / snr  # photons: deep lines are less noisy
    flux = flux * (1 + gauss[:, 4:] @ _continuum_basis()) + error * streams["noise"].standard_normal(flux.shape)
    flagged = _flagged_pixels(_RADIAL_VELOCITY_SCATTER * velocity, streams["flags"])
    return np.where(flagged, 1.0, flux), np.where(flagged, 0.0, error)


def _shifted_and_broadened(flux, shift, widening):
    """Flux at lines moved by `shift` pixels and broadened by the fraction `widening`, to second order in both."""
    spread = 0.5 * (shift**2 + _INSTRUMENT_SIGMA**2 * ((1 + widening) ** 2 - 1))
    moved = np.empty_like(flux)
    for chip in chip_slices().values():
        padded = np.pad(flux[:, chip], ((0, 0), (1, 1)), mode="edge")
        left, here, right = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
        moved[:, chip] = here - shift * (right - left) / 2 + spread * (right - 2 * here + left)
    return moved


@cache
def _continuum_basis():
    """Chebyshev polynomials of each chip times their scatter, zero on the other chips; of shape (12, 7514)."""
    basis = []
    for chip in chip_slices().values():
        x = np.linspace(-1, 1, chip.stop - chip.start)
        for degree, scatter in enumerate(_CONTINUUM_SCATTER):
            row = np.zeros(len(kept_pixels()))
            row[chip] = scatter * np.cos(degree * np.arccos(x))
            basis.append(row)
    return np.array(basis)


@cache
def _noise_shape():
    """Noise of each pixel relative to the median pixel: it varies, and grows toward the edges of the chips."""
    shape = np.exp(0.08 * check_random_state(_INSTRUMENT_SEED).standard_normal(len(kept_pixels())))
    for chip in chip_slices().values():
        pixel = np.arange(chip.stop - chip.start)
        shape[chip] *= 1 + 1.2 * np.exp(-np.minimum(pixel, pixel[::-1]) / 60)
    return shape / np.median(shape)


@cache
def _sky_lines():
    """First pixel and number of pixels of the night sky's lines, for a star without radial velocity."""
    rng = check_random_state(_INSTRUMENT_SEED + 1)
    return rng.randint(0, len(kept_pixels()), _N_SKY_LINES), rng.randint(2, 6, _N_SKY_LINES)


def _flagged_pixels(velocity, uniforms):
    """Runs of pixels under sky lines, not all of them strong in each exposure, and detector faults anywhere."""
    draws = uniforms.random_sample((len(velocity), _N_SKY_LINES + 2 * _N_FAULTS))
    is_strong = draws[:, :_N_SKY_LINES] < _SKY_FLAGGED
    place, length = draws[:, _N_SKY_LINES::2], draws[:, _N_SKY_LINES + 1 :: 2]
    first, n_pixels = _sky_lines()
    first = np.hstack([first + np.rint(velocity).astype(int), (place * len(kept_pixels())).astype(int)])
    n_pixels = np.hstack([n_pixels * is_strong, 1 + (6 * length).astype(int)])
    return _runs_to_mask(first, n_pixels, len(kept_pixels()))


def _runs_to_mask(first, length, n_pixels):
    """Mask of shape (n_samples, n_pixels) from the first pixel and the length of runs, cut off at the ends."""
    edges = np.zeros((len(first), n_pixels + 1), dtype=int)
    star = np.arange(len(first))[:, np.newaxis]
    np.add.at(edges, (star, first.clip(0, n_pixels)), 1)
    np.add.at(edges, (star, (first + length).clip(0, n_pixels)), -1)
    return edges.cumsum(axis=1)[:, :-1] > 0


# The catalogue ------------------------------------------------------------------------------------------------------

_NOISE_SLOPE = -0.3  # dex per dex: labels of metal-poor stars are noisier
_NOISE_SCATTER = 0.06  # dex, star by star
_MISSING_SLOPE = -3.0  # log odds per dex: metal-poor stars lack more labels


def _catalogue(truth, missing, iron, normals, uniforms):
    """Labels as published, and their errors: noise added, some missing."""
    spread, noise = np.moveaxis(normals.standard_normal((len(truth), 2, len(APOGEE_LABELS))), 1, 0)
    metallicity = truth[:, [_FE]] - _table("synthetic_labels")["Fe"]["mean"]
    y_err = _column("synthetic_labels", "noise") * 10 ** (_NOISE_SLOPE * metallicity + _NOISE_SCATTER * spread)
    y = truth + y_err * noise
    lost = uniforms.random_sample(truth.shape) < _missing_probability(truth[:, _FE], missing, iron)
    return np.where(lost, MISSING, y), np.where(lost, MISSING, y_err)


def _missing_probability(iron, missing, population):
    """How likely each label of stars with this [Fe/H] is missing, of shape (n_samples, 22)."""
    readiness = _column("synthetic_labels", "missing")  # NaN where a label never is

    def probability(iron, level):
        odds = level + readiness + _MISSING_SLOPE * iron[:, np.newaxis]
        return np.where(np.isnan(readiness), 0.0, expit(odds))

    if missing == 0:
        return np.zeros((len(iron), len(readiness)))
    nodes, weights = _quadrature(population)
    level = brentq(lambda level: weights @ probability(nodes, level).mean(axis=1) - missing, -60, 60)
    return probability(iron, level)


def _quadrature(iron):
    """Values of [Fe/H] and their weights that stand for the whole population, not for the stars drawn."""
    node, weight = np.polynomial.hermite_e.hermegauss(20)
    parts = ((iron.share, *iron.first), (1 - iron.share, *iron.second))
    nodes = np.concatenate([mean + std * node for _, mean, std in parts])
    return nodes, np.concatenate([share * weight / weight.sum() for share, _, _ in parts])
