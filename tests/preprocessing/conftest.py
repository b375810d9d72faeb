"""Spectra that several test modules use."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

DATA = Path(__file__).parents[1] / "data"
APSTAR = {
    "giant": DATA / "apStar-dr17-2M17335483-2753043.fits.gz",
    "dwarf": DATA / "apStar-dr17-2M19485057+5005279.fits",
}


@pytest.fixture
def apstar():
    """Function that reads flux, errors and bitmask of a real file, all rows, with gaps."""

    def read(name):
        with fits.open(APSTAR[name]) as hdus:
            return tuple(hdus[i].data.copy() for i in (1, 2, 3))

    return read


@pytest.fixture
def toy_spectra():
    """Function that draws positive spectra of 7514 pixels, with curved continua and errors of a percent."""

    def draw(n_samples=3, dtype=np.float64):
        rng = np.random.default_rng(0)
        slope = np.linspace(0.8, 1.3, 7514) ** rng.uniform(1, 3, (n_samples, 1))
        flux = 100 * slope * (1 + 0.01 * rng.standard_normal((n_samples, 7514)))
        return flux.astype(dtype), np.full((n_samples, 7514), 1.0, dtype)

    return draw
