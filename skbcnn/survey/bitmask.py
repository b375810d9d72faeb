"""Pixel flags of apStar files (APOGEE_PIXMASK) and which of them make a pixel unusable."""

import numpy as np
from astropy.nddata.bitmask import bitfield_to_boolean_mask, extend_bit_flag_map

PixelFlag = extend_bit_flag_map(
    "PixelFlag",
    BADPIX=1 << 0,
    CRPIX=1 << 1,
    SATPIX=1 << 2,
    UNFIXABLE=1 << 3,
    BADDARK=1 << 4,
    BADFLAT=1 << 5,
    BADERR=1 << 6,
    NOSKY=1 << 7,
    LITTROW_GHOST=1 << 8,
    PERSIST_HIGH=1 << 9,
    PERSIST_MED=1 << 10,
    PERSIST_LOW=1 << 11,
    SIG_SKYLINE=1 << 12,
    SIG_TELLURIC=1 << 13,
    NOT_ENOUGH_PSF=1 << 14,
)
"""APOGEE_PIXMASK, as the SDSS bitmask pages define it: ``PixelFlag.SIG_SKYLINE`` is bit 12."""

DEFAULT_BAD_BITS = (0, 1, 2, 3, 4, 5, 6, 7, 12)
"""Bits that make a pixel unusable: the detector's faults and strong sky lines."""


def bad_pixels(bitmask, bits=DEFAULT_BAD_BITS):
    """Which pixels carry one of the named flags.

    Parameters
    ----------
    bitmask : array-like of int
        Pixel mask of an apStar file, of any shape.
    bits : iterable of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 12)
        Bit numbers that count.

    Returns
    -------
    bad : ndarray of bool
        Of the shape of `bitmask`.

    Raises
    ------
    TypeError
        If `bitmask` is not of an integer type.

    Examples
    --------
    >>> from skbcnn.survey import bad_pixels
    >>> bad_pixels([0, 1, 1 << 9, 1 << 12])
    array([False,  True, False,  True])
    """
    bitmask = np.asarray(bitmask)
    if bitmask.dtype.kind not in "iu":
        raise TypeError(
            f"bitmask has type {bitmask.dtype}, expected integers: pass the third extension "
            "of the apStar file as it is."
        )
    flags = sum(1 << bit for bit in set(bits))
    if flags == 0:
        return np.zeros(bitmask.shape, dtype=bool)
    # ignoring the flipped flags leaves those that count; widened, so that bit 12 exists in any integer type
    return bitfield_to_boolean_mask(bitmask.astype(np.int64), ignore_flags=~flags)
