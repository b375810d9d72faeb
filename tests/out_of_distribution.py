"""Out-of-distribution spectra for networks of giants, made from good spectra, and the novelty flag of each kind."""

import numpy as np

from skbcnn.datasets.synthetic.instrument import noise_shape, observed_spectra
from skbcnn.datasets.synthetic.star import hydrogen_profile
from skbcnn.datasets.synthetic.streams import random_streams
from skbcnn.novelty import NoveltyFlag
from skbcnn.survey import APOGEE_LABELS, chip_slices


def hot_dwarfs(stars, snr, rng):
    """Return spectra with hydrogen lines only, up to 0.45 of the continuum deep."""
    depth = rng.uniform(0.25, 0.45, (len(stars.X), 1))
    flux = np.exp(-depth * hydrogen_profile())
    error = noise_shape() / snr
    return flux + error * rng.standard_normal(flux.shape), np.broadcast_to(error, flux.shape)


def simulated_hot_dwarfs(stars, snr, rng):
    """Return synthetic spectra for 9000 K and log g 4, far from the range of the simulation."""
    labels = stars.truth.copy()
    labels[:, APOGEE_LABELS.index("teff")], labels[:, APOGEE_LABELS.index("logg")] = 9000, 4
    streams = random_streams(rng.integers(2**31))
    return observed_spectra(labels, np.full(len(labels), float(snr)), streams)


def shifted(stars, snr, rng):
    """Return spectra shifted by 30 pixels, chip by chip."""
    x = stars.X.copy()
    for chip in chip_slices().values():
        x[:, chip] = np.roll(x[:, chip], 30, axis=1)
    return x, stars.X_err


def without_chip(name, value):
    """Return a function that fills a chip with one value."""

    def fill_chip(stars, snr, rng):
        x = stars.X.copy()
        x[:, chip_slices()[name]] = value
        return x, stars.X_err

    return fill_chip


def bad_pixels(stars, snr, rng):
    """Return spectra with a bad pixel among ten."""
    bad = rng.random(stars.X.shape) < 0.1
    return np.where(bad, 1, stars.X), np.where(bad, 0, stars.X_err)


def noise_about_one(level):
    """Return a function that returns noise without any star."""

    def noise(stars, snr, rng):
        return 1 + level * rng.standard_normal(stars.X.shape), np.full(stars.X.shape, level)

    return noise


OUT_OF_DISTRIBUTION = {  # function that makes the spectra and their errors from good stars, and the flag to expect
    "all ones": (lambda stars, snr, rng: (np.ones_like(stars.X), stars.X_err), NoveltyFlag.BAD_PIXELS),
    "noise 0.1 %": (noise_about_one(0.001), NoveltyFlag.SPECTRUM_NOVEL),
    "noise 1 %": (noise_about_one(0.01), NoveltyFlag.SPECTRUM_NOVEL),
    "noise 10 %": (noise_about_one(0.1), NoveltyFlag.SPECTRUM_NOVEL),
    "hot dwarf": (hot_dwarfs, NoveltyFlag.SPECTRUM_NOVEL),
    "hot dwarf, simulated": (simulated_hot_dwarfs, NoveltyFlag.SPECTRUM_NOVEL),
    "shifted by 30 pixels": (shifted, NoveltyFlag.SPECTRUM_NOVEL),
    **{
        f"{chip} chip is {value}": (without_chip(chip, value), NoveltyFlag.BAD_PIXELS)
        for chip in ("blue", "green", "red")
        for value in (0, 1)
    },
    "one pixel in ten is bad": (bad_pixels, NoveltyFlag.BAD_PIXELS),
}
