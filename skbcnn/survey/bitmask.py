"""Pixel flags of apStar files (APOGEE_PIXMASK), and the flags that make a pixel unusable.

``PixelFlag`` maps the names of the SDSS bitmask pages to flags: ``PixelFlag.SIG_SKYLINE`` is bit 12. It is created at
the first use, because it needs astropy, which is slow to import.
"""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import fill_masked, is_masked

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

_N_BITS = 63  # of an integer with a sign

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
    bitmask : array-like of int or bool
        Pixel mask of an apStar file, of any shape; or booleans, True for a bad pixel.
    bits : iterable of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 12)
        Numbers of the bits that make a pixel bad, or flags (``PixelFlag.SIG_SKYLINE``).

    Returns
    -------
    bad : ndarray of bool of the shape of `bitmask`
        Masked values of `bitmask` are bad pixels, too.

    Raises
    ------
    TypeError
        If `bitmask` holds neither integers nor booleans, or `bits` no integers.
    ValueError
        If a bit is not between 0 and 62.

    Examples
    --------
    >>> from skbcnn.survey import bad_pixels
    >>> bad_pixels([0, 1, 1 << 9, 1 << 12])
    array([False,  True, False,  True])
    """
    from astropy.nddata.bitmask import bitfield_to_boolean_mask

    masked = is_masked(bitmask)
    values = _with_zeros(bitmask, masked) if masked.any() else np.asarray(bitmask)
    if values.dtype.kind == "b" or values.size == 0:
        return values.astype(bool) | masked
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"bitmask has type {values.dtype}, expected integers. Pass the third extension of the apStar file "
            "unchanged, or booleans that are True for bad pixels."
        )
    flags = sum(1 << bit for bit in _bit_numbers(bits))
    if flags == 0:
        return masked
    # ignore all other flags; int64, because a smaller type may have no bit 12
    return bitfield_to_boolean_mask(values.astype(np.int64), ignore_flags=~flags) | masked


def _with_zeros(bitmask: Any, masked: np.ndarray) -> np.ndarray:
    """Return a bitmask with 0 where it is masked."""
    numbers = np.where(masked, 0, np.asarray(fill_masked(bitmask), dtype=float))
    return numbers.astype(np.int64) if (numbers == np.rint(numbers)).all() else numbers


def _bit_numbers(bits: Iterable[int]) -> set[int]:
    """Return the numbers of bits, also of those that are passed as flags."""
    from astropy.nddata.bitmask import BitFlag

    if not isinstance(bits, Iterable) or not all(isinstance(bit, Integral) for bit in bits):
        raise TypeError(f"bits is {bits!r}, expected the numbers of bits. Pass a list, such as [0, 12].")
    numbers = {int(bit).bit_length() - 1 if isinstance(bit, BitFlag) else int(bit) for bit in bits}
    if wrong := sorted(number for number in numbers if not 0 <= number < _N_BITS):
        raise ValueError(f"bits has {wrong}, expected numbers of bits from 0 to {_N_BITS - 1}, such as 12 for 1 << 12.")
    return numbers
