"""Pixel flags of apStar files (APOGEE_PIXMASK) and which of them make a pixel unusable.

``PixelFlag`` is the map of their names, as the SDSS bitmask pages define them: ``PixelFlag.SIG_SKYLINE`` is bit 12.
astropy is imported when it is first asked for, since that takes longer than all else here.
"""

import numpy as np

_NAMES = (
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
)  # of bits 0, 1, ...

DEFAULT_BAD_BITS = (0, 1, 2, 3, 4, 5, 6, 7, 12)
"""Bits that make a pixel unusable: the detector's faults and strong sky lines."""


def __getattr__(name):
    if name != "PixelFlag":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from astropy.nddata.bitmask import extend_bit_flag_map

    globals()[name] = extend_bit_flag_map(name, **{flag: 1 << bit for bit, flag in enumerate(_NAMES)})
    return globals()[name]


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
    from astropy.nddata.bitmask import bitfield_to_boolean_mask

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
