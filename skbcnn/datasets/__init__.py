"""Sources of spectra: HDF5 files, FITS files of the survey, training sets made from them, and synthetic spectra."""

from importlib import import_module
from typing import Any

from skbcnn.datasets.fits import SkippedRow, Spectra, read_apstar, read_aspcapstar, read_fits_spectra
from skbcnn.datasets.h5 import H5Loader
from skbcnn.datasets.h5_writer import write_h5

__all__ = [
    "BuiltDataset",
    "Cuts",
    "H5Loader",
    "SkippedRow",
    "Spectra",
    "build_dataset",
    "make_apogee_spectra",
    "read_apstar",
    "read_aspcapstar",
    "read_fits_spectra",
    "write_h5",
]


_LAZY = {  # names whose modules load more than a reader of files needs
    "BuiltDataset": "skbcnn.datasets.build",
    "Cuts": "skbcnn.datasets.build",
    "build_dataset": "skbcnn.datasets.build",
    "make_apogee_spectra": "skbcnn.datasets.synthetic",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
