"""Spectra made from real ones, with known labels: the second generator, on which benchmarks check what the first shows.

The flux of a star is that of a quadratic Cannon fitted to real DR10 spectra (``tests/data/cannon_dr10``), as a function
of Teff, log g, [Fe/H] and [alpha/Fe]. What the Cannon does not know is added:

- Each element departs from the abundance that iron and alpha elements suggest. It owns a share of the absorption in its
  own windows, and smaller shares in the windows of other elements and outside all windows. A departure scales this
  share of the optical depth.
- The instrument: a shift, a broader line-spread function, continuum errors, photon noise and bad pixels, small in
  combined spectra and larger in visits.
- The catalogue: label errors and missing labels.

``python -m tests.benchmarks.realistic`` prints how the spectra compare with the real mean spectrum.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import argrelmin
from sklearn.utils import Bunch, check_random_state

from skbcnn.survey import APOGEE_LABELS, MISSING, apogee_windows, chip_slices, chips, kept_pixels

DATA = Path(__file__).parents[1] / "data" / "cannon_dr10" / "cannon.npz"
ELEMENTS = APOGEE_LABELS[2:]
VALID = {"teff": (4000, 5300), "logg": (0.3, 3.8), "Fe": (-1.5, 0.4)}


class Element(NamedTuple):
    """How an element behaves.

    Attributes
    ----------
    alpha : float
        Weight of [alpha/Fe] in [X/Fe].
    own : float
        Scatter of [X/Fe] around what iron and alpha elements suggest, in dex.
    share : float
        Share of the absorption in the centre of a line in its windows.
    noise : float
        Error of the label in the catalogue, in dex.
    """

    alpha: float
    own: float
    share: float
    noise: float


TABLE = {
    "C": Element(0.2, 0.18, 0.6, 0.03),
    "C1": Element(0.2, 0.18, 0.4, 0.05),
    "N": Element(0.1, 0.22, 0.6, 0.04),
    "O": Element(0.9, 0.12, 0.6, 0.03),
    "Na": Element(0.1, 0.20, 0.2, 0.08),
    "Mg": Element(1.0, 0.10, 0.8, 0.02),
    "Al": Element(0.8, 0.15, 0.8, 0.04),
    "Si": Element(0.8, 0.10, 0.7, 0.02),
    "P": Element(0.3, 0.22, 0.15, 0.10),
    "S": Element(0.8, 0.15, 0.35, 0.05),
    "K": Element(0.6, 0.15, 0.6, 0.04),
    "Ca": Element(0.6, 0.10, 0.7, 0.025),
    "Ti": Element(0.7, 0.14, 0.5, 0.04),
    "Ti2": Element(0.7, 0.14, 0.3, 0.08),
    "V": Element(0.2, 0.20, 0.25, 0.09),
    "Cr": Element(0.0, 0.14, 0.5, 0.05),
    "Mn": Element(-0.5, 0.12, 0.7, 0.03),
    "Fe": Element(0.0, 0.00, 0.0, 0.01),
    "Co": Element(0.1, 0.16, 0.4, 0.08),
    "Ni": Element(0.1, 0.10, 0.6, 0.02),
}
MOLECULES = {  # element whose windows hold the lines: weights of the departures of the atoms
    "C": {"C": 1.0, "O": 0.6},
    "N": {"N": 1.0, "C": 0.6},
    "O": {"O": 1.0, "C": -0.3},
}
NOISE_OF_PARAMETERS = {"teff": 30.0, "logg": 0.05}
GROWTH = 0.7  # power of the abundance to which the optical depth of a line grows, on average
LINE_SIGMA = 1.3  # pixels
BLEND_SHARE, STRAY_SHARE, N_STRAYS = (0.05, 0.3), (0.1, 0.4), 600
# how often the lines of an element blend with others; molecules have most lines
BLENDING = {
    "C": 3,
    "N": 4,
    "O": 2,
    "Si": 1,
    "Ti": 1,
    "Mg": 0.5,
    "Ca": 0.5,
    "Cr": 0.5,
    "Ni": 0.5,
    "Mn": 0.3,
    "S": 0.2,
    "Al": 0.2,
}


class Instrument(NamedTuple):
    """Scatter of the instrument effects, by kind of spectrum."""

    snr: tuple[float, float]  # lowest and highest
    shift: float  # standard deviation, pixels
    broadening: float  # largest variance of the additional line-spread function, pixels squared
    continuum: float  # standard deviation of constant, slope and curvature on each chip
    bad: float  # share of bad pixels


INSTRUMENTS = {
    "combined": Instrument((200, 400), 0.05, 0.2, 0.001, 0.01),
    "visit": Instrument((60, 150), 0.2, 1.0, 0.004, 0.03),
}


def make_realistic_spectra(
    n_samples: int,
    kind: str = "combined",
    *,
    population: str = "milky_way",
    snr: ArrayLike | None = None,
    missing: float = 0.03,
    random_state: int | None = None,
    changes: dict[str, float] | None = None,
) -> Bunch:
    """Draw spectra with known labels from the model of real spectra.

    Parameters
    ----------
    n_samples : int
        Number of stars.
    kind : {"combined", "visit"}, default="combined"
        Effects of the instrument, `INSTRUMENTS`.
    population : {"milky_way", "globular_cluster"}, default="milky_way"
        Giants of the Milky Way, or of a cluster like M13: [Fe/H] = -1.3, constant [Mg/H], and [Al/H] uniform from -1.5
        to -0.5.
    snr : float or array-like of shape (n_samples,), default=None
        Signal-to-noise ratio. None: log-uniform in the range of `kind`.
    missing : float, default=0.03
        Share of missing labels. Teff is never missing.
    random_state : int, default=None
        Seed of stars, instrument and noise. The stars of a seed are the same for all kinds.
    changes : dict of str to float, default=None
        Amounts added to labels of all stars, with equal instrument and noise.

    Returns
    -------
    data : Bunch
        ``X``, ``X_err``, ``y``, ``y_err``, ``truth``, ``label_names`` and ``snr``, as from `make_apogee_spectra`.
    """
    of_stars, of_instrument, of_labels = np.random.default_rng(random_state).spawn(3)
    instrument = INSTRUMENTS[kind]
    truth = _draw_labels(n_samples, population, of_stars)
    for name, amount in (changes or {}).items():
        truth[:, APOGEE_LABELS.index(name)] += amount
    low, high = np.log(instrument.snr)
    snr = np.exp(of_instrument.uniform(low, high, n_samples)) if snr is None else np.broadcast_to(snr, n_samples)
    X, X_err = np.empty((2, n_samples, len(kept_pixels())), dtype=np.float32)
    for start in range(0, n_samples, 500):
        rows = slice(start, start + 500)
        X[rows], X_err[rows] = _observe(clean_flux(truth[rows]), snr[rows, None], instrument, of_instrument)
    y_err = _column("noise") * 10 ** (-0.3 * (truth[:, [_FE]] + 0.1) + 0.06 * of_labels.standard_normal(truth.shape))
    y = truth + y_err * of_labels.standard_normal(truth.shape)
    is_lost = of_labels.random(truth.shape) < missing * np.r_[0, np.ones(truth.shape[1] - 1)]
    y, y_err = (np.where(is_lost, MISSING, values) for values in (y, y_err))
    return Bunch(X=X, X_err=X_err, y=y, y_err=y_err, truth=truth, label_names=list(APOGEE_LABELS), snr=snr)


# The stars ----------------------------------------------------------------------------------------------------------

_TEFF, _LOGG, _FE, _MG, _AL = (APOGEE_LABELS.index(name) for name in ("teff", "logg", "Fe", "Mg", "Al"))


def _column(field: str) -> np.ndarray:
    """Return a property of all labels."""
    elements = [getattr(TABLE[name], field) for name in ELEMENTS]
    return np.array([*(NOISE_OF_PARAMETERS.values() if field == "noise" else (0.0, 0.0)), *elements])


def _draw_labels(n_samples: int, population: str, rng: np.random.Generator) -> np.ndarray:
    """Return the labels of stars: Teff and log g of real giants, and abundances that follow iron and alpha elements."""
    giants = _file()["giant_labels"]
    giants = giants[(giants[:, 0] > VALID["teff"][0]) & (giants[:, 1] > VALID["logg"][0])]
    if population == "globular_cluster":
        giants = giants[(giants[:, 1] > 0.6) & (giants[:, 1] < 2.2)]
    # the branch of solar abundance; metal-poor giants are hotter
    branch = np.polyfit(giants[:, 1], giants[:, 0], 2)
    teff, logg, alpha = giants[rng.integers(len(giants), size=n_samples)].T.astype(float)
    logg += 0.05 * rng.standard_normal(n_samples)
    hotter = (teff - np.polyval(branch, logg)) / 100
    iron = -0.12 - 0.12 * hotter - 1.2 * (alpha - 0.13) + 0.18 * rng.standard_normal(n_samples)
    teff += 30 * rng.standard_normal(n_samples)
    if population == "globular_cluster":
        iron = -1.3 + 0.05 * rng.standard_normal(n_samples)
        alpha = 0.25 + 0.02 * rng.standard_normal(n_samples)
        teff += 150
    teff, logg, iron = (values.clip(*VALID[name]) for name, values in (("teff", teff), ("logg", logg), ("Fe", iron)))
    own = _column("own") * (0.3 if population == "globular_cluster" else 1.0)
    truth = iron[:, None] + alpha[:, None] * _column("alpha") + own * rng.standard_normal((n_samples, 22))
    mixing = (2.3 - logg) / 2
    for name, amount in (("C", -0.15), ("C1", -0.15), ("N", 0.2)):
        truth[:, APOGEE_LABELS.index(name)] += amount * mixing
    for follower, followed in (("C1", "C"), ("Ti2", "Ti")):  # two labels of one element
        offset = 0.08 * rng.standard_normal(n_samples)
        truth[:, APOGEE_LABELS.index(follower)] = truth[:, APOGEE_LABELS.index(followed)] + offset
    truth[:, [_TEFF, _LOGG, _FE]] = np.column_stack([teff, logg, iron])
    if population == "globular_cluster":
        truth[:, _AL] = rng.uniform(-1.5, -0.5, n_samples)
    return truth


# The flux -----------------------------------------------------------------------------------------------------------


@cache
def _file() -> dict[str, np.ndarray]:
    with np.load(DATA) as arrays:
        return dict(arrays)


@cache
def _seen_by_cannon() -> np.ndarray:
    """Return the pixels of the 7514 that DR12 has, too."""
    of_dr12 = np.concatenate([np.arange(chip.start, chip.stop) for chip in chips(12)])
    return np.searchsorted(kept_pixels(), of_dr12)


def alpha_of(labels: np.ndarray) -> np.ndarray:
    """Return [alpha/Fe]: the mean that the alpha elements of the stars suggest, weighted by their scatter."""
    weight = np.where(_column("alpha") >= 0.6, _column("alpha") / np.maximum(_column("own"), 0.01) ** 2, 0)
    weight[[_TEFF, _LOGG, _AL]] = 0
    norm = weight @ _column("alpha")
    return (labels - labels[:, [_FE]]) @ weight / norm


def clean_flux(labels: np.ndarray) -> np.ndarray:
    """Return the flux of stars without instrument effects, of shape (n_samples, 7514)."""
    alpha = alpha_of(labels)
    offsets = np.column_stack([labels[:, [_TEFF, _LOGG, _FE]], alpha]) - _file()["baseline"]
    i, j = np.triu_indices(4)
    terms = np.column_stack([np.ones(len(labels)), offsets, offsets[:, i] * offsets[:, j]])
    flux = np.tile(_file()["mean_spectrum_dr14"].astype(float), (len(labels), 1))
    flux[:, _seen_by_cannon()] = terms @ _file()["coefficients"]
    depth = np.maximum(-np.log(flux.clip(0.05)), 0)
    return flux * np.exp(-depth * (_growth(labels, alpha) @ _shares()))


def _growth(labels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return the relative change of the optical depth of the lines of each element, of shape (n_samples, 20)."""
    usual = labels[:, [_FE]] + alpha[:, None] * _column("alpha")
    departure = dict(zip(ELEMENTS, (labels - usual)[:, 2:].T, strict=True))
    weights = ({name: 1.0} | MOLECULES.get(name, {}) for name in ELEMENTS)
    sums = [sum(weight * departure[atom] for atom, weight in atoms.items()) for atoms in weights]
    return 10 ** (GROWTH * np.clip(np.array(sums).T, -2, 1.2)) - 1


@cache
def _shares() -> np.ndarray:
    """Return the share of each element in the absorption of each pixel, of shape (20, 7514)."""
    rng = check_random_state(2018)
    minima = argrelmin(_file()["mean_spectrum_dr14"])[0]
    shares = np.zeros((len(ELEMENTS), len(kept_pixels())))
    frequency = np.array([BLENDING.get(name, 0.1) for name in ELEMENTS])
    frequency /= frequency.sum()
    windows = {name: pixels for name, pixels in apogee_windows().items() if name in ELEMENTS and name != "Fe"}
    for name, pixels in windows.items():
        element = ELEMENTS.index(name)
        for run in np.split(pixels, np.flatnonzero(np.diff(pixels) > 1) + 1):
            centres = np.intersect1d(minima, run) if len(run) > 3 else run[len(run) // 2 :][:1]
            for centre in centres if len(centres) else [run[len(run) // 2]]:
                _add_line(shares[element], centre, TABLE[name].share * rng.uniform(0.7, 1.1))
            for other in rng.choice(len(ELEMENTS), 2, p=frequency):
                if other == element:
                    continue
                centre = run[rng.randint(len(run))] + rng.uniform(-1.5, 1.5)
                _add_line(shares[other], centre, rng.uniform(*BLEND_SHARE))
    for element, centre in zip(
        rng.choice(len(ELEMENTS), N_STRAYS, p=frequency), rng.choice(minima, N_STRAYS), strict=True
    ):
        _add_line(shares[element], centre, rng.uniform(*STRAY_SHARE))
    shares[ELEMENTS.index("Fe")] = 0  # the Cannon knows iron
    return shares / np.maximum(shares.sum(axis=0) / 0.95, 1)


def _add_line(share: np.ndarray, centre: float, height: float) -> None:
    """Raise the share of an element around the centre of a line."""
    profile = height * np.exp(-0.5 * ((np.arange(len(share)) - centre) / LINE_SIGMA) ** 2)
    np.maximum(share, profile, out=share)


# The instrument -----------------------------------------------------------------------------------------------------


def _observe(
    flux: np.ndarray, snr: np.ndarray, instrument: Instrument, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return flux and flux error after the instrument."""
    n = len(flux)
    shift = instrument.shift * rng.standard_normal(n)
    variance = rng.uniform(0, instrument.broadening, n)
    flux = flux.copy()
    for chip in chip_slices().values():
        flux[:, chip] = _shifted_and_broadened(flux[:, chip], shift, variance)
        x = np.linspace(-1, 1, chip.stop - chip.start)
        terms = instrument.continuum * rng.standard_normal((n, 3))
        flux[:, chip] *= 1 + terms @ np.array([np.ones_like(x), x, (3 * x**2 - 1) / 2])
    err = np.sqrt(flux.clip(0.05)) / snr
    flux += err * rng.standard_normal(flux.shape)
    bad = _bad_pixels(n, flux.shape[1], instrument.bad, rng)
    return np.where(bad, 1, flux), np.where(bad, 0, err)


def _shifted_and_broadened(flux: np.ndarray, shift: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the flux of a chip, shifted by pixels and convolved with a Gaussian, in the Fourier domain."""
    margin, n_pixels = 64, flux.shape[1]
    ramp = np.linspace(flux[:, -1], flux[:, 0], margin, axis=1)  # joins the ends, so that nothing rings
    k = 2 * np.pi * np.fft.rfftfreq(n_pixels + margin)
    transfer = np.exp(-0.5 * k**2 * variance[:, None] - 1j * k * shift[:, None])
    padded = np.fft.irfft(np.fft.rfft(np.hstack([flux, ramp])) * transfer, n_pixels + margin)
    return padded[:, :n_pixels]


def _bad_pixels(n: int, n_pixels: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a mask of bad pixels in runs of 1 to 5 pixels."""
    starts = rng.random((n, n_pixels)) < share / 3
    length = rng.integers(1, 6, size=(n, n_pixels))
    bad = np.zeros((n, n_pixels), dtype=bool)
    for k in range(5):
        bad[:, k:] |= (starts & (length > k))[:, : n_pixels - k]
    return bad


def main() -> None:
    """Print how the spectra compare with the real mean spectrum."""
    stars = make_realistic_spectra(1000, random_state=0)
    real = _file()["mean_spectrum_dr14"]
    print(f"correlation of the mean spectrum with the real one: {np.corrcoef(stars.X.mean(axis=0), real)[0, 1]:.3f}")
    print("share of pixels below     0.98   0.95   0.90")
    for name, flux in (("real mean spectrum", real), ("mean of these spectra", stars.X.mean(axis=0))):
        print(f"{name:24s}", *(f"{(flux < level).mean():6.3f}" for level in (0.98, 0.95, 0.9)))
    for name, mean, std in zip(stars.label_names, stars.truth.mean(axis=0), stars.truth.std(axis=0), strict=True):
        print(f"{name:5s} {mean:9.3f} {std:8.3f}")


if __name__ == "__main__":
    main()
