"""Sources of spectra: HDF5 files in the ``datasets.h5`` layout, FITS files of the survey, and synthetic spectra."""

from importlib import import_module
from typing import Any

from skbcnn.datasets.fits import SkippedRow, Spectra, read_apstar, read_aspcapstar, read_fits_spectra
from skbcnn.datasets.h5 import H5Loader
from skbcnn.datasets.h5_writer import write_h5

__all__ = [
    "H5Loader",
    "SkippedRow",
    "Spectra",
    "make_apogee_spectra",
    "read_apstar",
    "read_aspcapstar",
    "read_fits_spectra",
    "write_h5",
]


def __getattr__(name: str) -> Any:
    if name == "make_apogee_spectra":  # reading files needs no scikit-learn
        return import_module("skbcnn.datasets.synthetic").make_apogee_spectra
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
