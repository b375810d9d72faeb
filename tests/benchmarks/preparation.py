"""Measure reading and preparing of raw spectra: ``python -m tests.benchmarks.preparation``, in half a minute.

The spectra are those of two real stars with noise added. Reading is compared with `astropy.io.fits.getdata` of the
three images that are used, preparing with a loop over spectra and chips that calls NumPy's `chebfit`. All take turns,
so that other work on the machine affects all, and the fastest of several rounds counts. Rates are those of one core:
spectra for each second that the processor works.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.polynomial.chebyshev import chebfit, chebval
from sklearn.dummy import DummyRegressor

from skbcnn.datasets import read_apstar, read_fits_spectra
from skbcnn.preprocessing import prepare_spectra
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.survey import bad_pixels, chip_slices, continuum_pixels, kept_pixels
from tests.benchmarks.markdown import print_table

DATA = Path(__file__).parents[1] / "data"
STARS = ("apStar-dr17-2M17335483-2753043.fits.gz", "apStar-dr17-2M19485057+5005279.fits")
BATCHES = (64, 1024)


def raw_spectra(n):
    """Return flux, errors and bitmask of spectra like the combined ones of the two stars, on the apStar grid."""
    stars = [read_apstar(DATA / name) for name in STARS]
    flux, err, bitmask = (
        np.concatenate([getattr(star, name) for star in stars]) for name in ("flux", "error", "bitmask")
    )
    number = np.arange(n) % len(stars)
    noise = 0.01 * np.random.default_rng(0).standard_normal((n, flux.shape[1]), dtype=np.float32)
    return flux[number] * (1 + noise), err[number], bitmask[number]


def numpy_prepared(flux, err, bitmask):
    """Divide each spectrum by its continuum in the shortest code with NumPy, chip by chip, without any check."""
    kept, pixels = kept_pixels(), continuum_pixels()
    X, x_err = np.ones((2, len(flux), len(kept)), dtype=np.float32)
    for row in range(len(flux)):
        y, error = flux[row, kept].astype(float), err[row, kept].astype(float)
        bad = bad_pixels(bitmask[row, kept]) | ~np.isfinite(y) | ~(error > 0) | ~np.isfinite(error)
        for chip in chip_slices().values():
            on_chip = pixels[(pixels >= chip.start) & (pixels < chip.stop)]
            on_chip = on_chip[~bad[on_chip]]
            x = np.linspace(-1, 1, chip.stop - chip.start)
            fit = chebfit(x[on_chip - chip.start], y[on_chip], 2, w=1 / error[on_chip])
            continuum = chebval(x, fit)
            bad[chip] |= error[chip] > continuum
            X[row, chip] = np.where(bad[chip], 1, np.maximum(y[chip] / continuum, 0))
            x_err[row, chip] = np.where(bad[chip] | (y[chip] < 0), 0, error[chip] / continuum)
    return X, x_err


def seconds(function):
    """Return the seconds that the processor works on a function."""
    start = time.process_time()
    function()
    return time.process_time() - start


def fastest(functions, n_rounds):
    """Return the shortest time of each function; they take turns."""
    return np.min([[seconds(function) for function in functions.values()] for _ in range(n_rounds)], axis=0)


def reading(folder, n_files):
    """Return functions that read files."""
    paths = []
    for name in STARS:
        with fits.open(DATA / name) as hdus:
            hdus.writeto(folder / name.removesuffix(".gz"))
        paths.append(folder / name.removesuffix(".gz"))
    paths = paths * (n_files // len(paths))
    return {
        "`fits.getdata` of three images": lambda: [
            fits.getdata(path, number) for path in paths for number in (1, 2, 3)
        ],
        "`read_fits_spectra`": lambda: [read_fits_spectra(path) for path in paths],
    }


def model_preparation():
    """Return the preparation of a model that records the default parameters."""
    model = DummyRegressor().fit(np.ones((1, len(kept_pixels()))), [0])
    model.preprocessing_ = {"data_release": 17}
    return ModelPreparation.from_model(model)


def preparing(flux, err, bitmask):
    """Return functions that prepare spectra."""
    n_spectra, preparation = len(flux), model_preparation()

    def in_parts(prepare, size):
        parts = [slice(start, start + size) for start in range(0, n_spectra, size)]
        return lambda: [prepare(flux[rows], err[rows], bitmask[rows]) for rows in parts]

    functions = {
        "`chebfit` for each chip": lambda: numpy_prepared(flux, err, bitmask),
        "`prepare_spectra`, one by one": in_parts(prepare_spectra, 1),
        "`ModelPreparation.prepare`, one by one": in_parts(preparation.prepare, 1),
    }
    for size in BATCHES:
        functions[f"`ModelPreparation.prepare_each`, {size} at once"] = in_parts(preparation.prepare_each, size)
    return functions


def rows(functions, n_spectra, n_rounds):
    """Yield the rate of each function, and how it compares with the first."""
    times = fastest(functions, n_rounds)
    for name, duration in zip(functions, times, strict=True):
        yield name, f"{n_spectra / duration:.0f}", f"{times[0] / duration:.1f}x"


def main():
    """Print both tables, and the largest difference from NumPy's fits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-rounds", type=int, default=3, help="number of repetitions")
    n_rounds = parser.parse_args().n_rounds
    with tempfile.TemporaryDirectory() as folder:
        print_table(["reading", "files/s", "ratio"], rows(reading(Path(folder), 64), 64, n_rounds))
    raw = raw_spectra(max(BATCHES))
    print_table(["preparing", "spectra/s", "ratio"], rows(preparing(*raw), max(BATCHES), n_rounds))
    pairs = zip(prepare_spectra(*raw), numpy_prepared(*raw), strict=True)
    print(
        f"\nFlux and errors differ from those of chebfit by at most {max(np.abs(a - b).max() for a, b in pairs):.1e}."
    )


if __name__ == "__main__":
    main()
