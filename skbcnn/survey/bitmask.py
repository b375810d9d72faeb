"""Pixel flags of apStar files (APOGEE_PIXMASK), and the flags that make a pixel unusable.

``PixelFlag`` maps the names of the SDSS bitmask pages to flags: ``PixelFlag.SIG_SKYLINE`` is bit 12. It is created at
the first use, because it needs astropy, which is slow to import.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_NAMES = (  # of bits 0, 1, ...
    "BADPIX",
    "CRPIX",
    "SATPIX",
    "UNFIXABLE",
    "BADDARK",
    "BADFLAT",
    "BADERR",
    "NOSKY",
    "LITTROW_GHOST",
    "PERSIST_HIGH",
    "PERSIST_MED",
    "PERSIST_LOW",
    "SIG_SKYLINE",
    "SIG_TELLURIC",
    "NOT_ENOUGH_PSF",
)

DEFAULT_BAD_BITS = (0, 1, 2, 3, 4, 5, 6, 7, 12)
"""Bits that make a pixel unusable: faults of the detector and strong sky lines."""


def __getattr__(name: str) -> Any:
    if name != "PixelFlag":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from astropy.nddata.bitmask import extend_bit_flag_map

    globals()[name] = extend_bit_flag_map(name, **{flag: 1 << bit for bit, flag in enumerate(_NAMES)})
    return globals()[name]


def bad_pixels(bitmask: ArrayLike, bits: Iterable[int] = DEFAULT_BAD_BITS) -> np.ndarray:
    """Return which pixels have one of the given flags.

    Parameters
    ----------
    bitmask : array-like of int
        Pixel mask of an apStar file, of any shape.
    bits : iterable of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 12)
        Numbers of the bits that make a pixel bad.

    Returns
    -------
    bad : ndarray of bool of the shape of `bitmask`

    Raises
    ------
    TypeError
        If `bitmask` does not have an integer type.

    Examples
    --------
    >>> from skbcnn.survey import bad_pixels
    >>> bad_pixels([0, 1, 1 << 9, 1 << 12])
    array([False,  True, False,  True])
    """
    from astropy.nddata.bitmask import bitfield_to_boolean_mask

    values = np.asarray(bitmask)
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"bitmask has type {values.dtype}, expected integers. Pass the third extension of the apStar file "
            "unchanged."
        )
    flags = sum(1 << bit for bit in set(bits))
    if flags == 0:
        return np.zeros(values.shape, dtype=bool)
    # ignore all other flags; int64, because a smaller type may have no bit 12
    return bitfield_to_boolean_mask(values.astype(np.int64), ignore_flags=~flags)
