"""Facts about the APOGEE survey, which do not depend on a model.

- `grid`: wavelengths, detectors and continuum pixels.
- `labels`: names, units and missing values of labels; `spellings`: their names in catalogues, and `other_quantities`:
  names that mean something else; `spreads`: their standard deviations among giants.
- `windows`: pixels from which each element is read.
- `bitmask`: pixel flags.
- `releases`: columns of the tables of stars, and files of spectra, of each data release.
"""

from typing import Any

from skbcnn.survey import bitmask
from skbcnn.survey.bitmask import DEFAULT_BAD_BITS, bad_pixels
from skbcnn.survey.grid import (
    N_APSTAR_PIXELS,
    Chip,
    apstar_wavelength,
    chip_slices,
    chips,
    continuum_pixels,
    kept_pixels,
    wavelength,
)
from skbcnn.survey.labels import MISSING, is_missing, label, label_unit, resolve_target
from skbcnn.survey.spellings import APOGEE_LABELS, Label, find_label
from skbcnn.survey.spreads import label_spreads
from skbcnn.survey.windows import ElementWindows, apogee_windows

__all__ = [
    "APOGEE_LABELS",
    "DEFAULT_BAD_BITS",
    "MISSING",
    "N_APSTAR_PIXELS",
    "Chip",
    "ElementWindows",
    "Label",
    "PixelFlag",
    "apogee_windows",
    "apstar_wavelength",
    "bad_pixels",
    "chip_slices",
    "chips",
    "continuum_pixels",
    "find_label",
    "is_missing",
    "kept_pixels",
    "label",
    "label_spreads",
    "label_unit",
    "resolve_target",
    "wavelength",
]


def __getattr__(name: str) -> Any:
    if name == "PixelFlag":  # needs astropy, which is slow to import
        return bitmask.PixelFlag
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
