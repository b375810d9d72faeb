"""Pixel flags of apStar files (APOGEE_PIXMASK), and the flags that make a pixel unusable.

``PixelFlag`` maps the names of the SDSS bitmask pages to flags: ``PixelFlag.SIG_SKYLINE`` is bit 12. It is created at
the first use, because it needs astropy, which is slow to import.
"""

import sys
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._arrays import array_of_rows, stacked
from skbcnn._masked import is_masked

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
_MAX_SHARE_OF_BAD_PIXELS = 0.8  # by a boolean mask
_FEW_PIXELS = 100  # so many flags may increase from pixel to pixel by chance

DEFAULT_BAD_BITS = (0, 1, 2, 3, 4, 5, 6, 7, 12)
"""Bits that make a pixel unusable: faults of the detector and strong sky lines."""


def __getattr__(name: str) -> Any:
    if name != "PixelFlag":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from astropy.nddata.bitmask import extend_bit_flag_map

    globals()[name] = extend_bit_flag_map(name, **{flag: 1 << bit for bit, flag in enumerate(_NAMES)})
    return globals()[name]


def bad_pixels(bitmask: ArrayLike, bits: Iterable[int | str] = DEFAULT_BAD_BITS) -> np.ndarray:
    """Return which pixels have one of the given flags.

    Parameters
    ----------
    bitmask : array-like of int or bool
        Pixel mask of an apStar file, of any shape; or booleans, True for a bad pixel.
    bits : iterable of int or str, default=(0, 1, 2, 3, 4, 5, 6, 7, 12)
        Numbers of the bits that make a pixel bad, or flags (``PixelFlag.SIG_SKYLINE``), or their names. A single flag
        needs no list.

    Returns
    -------
    bad : ndarray of bool of the shape of `bitmask`
        Masked values of `bitmask` are bad pixels, too.

    Raises
    ------
    TypeError
        If `bitmask` holds neither integers nor booleans, or `bits` neither integers nor names of flags.
    ValueError
        If a bit is not between 0 and 62.

    Examples
    --------
    >>> from skbcnn.survey import bad_pixels
    >>> bad_pixels([0, 1, 1 << 9, 1 << 12])
    array([False,  True, False,  True])
    """
    plain = plain_bitmask(bitmask)
    values, masked = np.ma.getdata(plain), np.ma.getmaskarray(plain)
    if values.size == 0:
        return values.astype(bool) | masked
    return has_flags(values, flags_of_bits(bits)) | masked


def has_flags(bitmask: np.ndarray, flags: int) -> np.ndarray:
    """Return which values of a bitmask have one of the flags.

    Parameters
    ----------
    bitmask : ndarray of int or bool
        Values without a mask. Booleans are True for bad pixels, whatever the flags.
    flags : int
        Sum of the flags, from `flags_of_bits`.

    Returns
    -------
    flagged : ndarray of bool of the shape of `bitmask`

    Raises
    ------
    TypeError
        If `bitmask` holds neither integers nor booleans.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.survey.bitmask import has_flags
    >>> has_flags(np.array([0, 1, 6], dtype=np.int16), 1 << 1 | 1 << 12)
    array([False, False,  True])
    """
    if bitmask.dtype.kind == "b":
        return bitmask.astype(bool)
    if bitmask.dtype.kind not in "iu":
        raise TypeError(
            f"bitmask has type {bitmask.dtype}, expected integers. Pass the third extension of the apStar file "
            "unchanged, or booleans that are True for bad pixels."
        )
    return (bitmask.astype(np.int64, copy=False) & flags) != 0  # int64, because a smaller type may have no bit 12


def flags_of_bits(bits: Any, name: str = "bits") -> int:
    """Return the sum of the flags with these bits.

    Parameters
    ----------
    bits, name
        As in `bit_numbers`.

    Returns
    -------
    flags : int

    Raises
    ------
    TypeError, ValueError
        As in `bit_numbers`.

    Examples
    --------
    >>> from skbcnn.survey.bitmask import flags_of_bits
    >>> flags_of_bits([0, "SIG_SKYLINE"])
    4097
    """
    return sum(1 << bit for bit in bit_numbers(bits, name))


def plain_bitmask(bitmask: Any) -> np.ndarray:
    """Return a bitmask from any container as an array, which is masked if values are masked or absent.

    Parameters
    ----------
    bitmask : array-like
        Argument that the user passed.

    Returns
    -------
    bitmask : ndarray or MaskedArray
        Integers or booleans, also where the container holds them as objects. 0 where it is masked.

    Raises
    ------
    ValueError
        If there is none, or rows differ in length.

    Examples
    --------
    >>> from skbcnn.survey.bitmask import plain_bitmask
    >>> plain_bitmask([[1, 0], [2, 4]])
    array([[1, 0],
           [2, 4]])
    """
    if bitmask is None:
        raise ValueError("bitmask is None, expected an array. Pass the flags of each pixel.")
    values = stacked(bitmask) if isinstance(bitmask, list | tuple) else bitmask
    is_masked_array = isinstance(values, np.ma.MaskedArray)
    data = array_of_rows(np.ma.getdata(values) if is_masked_array else getattr(values, "unmasked", values), "bitmask")
    masked = is_masked(values)
    if data.dtype.kind == "f" and (kind := getattr(getattr(values, "dtype", None), "kind", "f")) in "iub":
        data = np.where(masked, 0, data).astype(bool if kind == "b" else np.int64)  # pandas, with NaN where absent
    elif data.dtype == object:
        present = data[~masked]
        if all(isinstance(value, bool | np.bool_) for value in present):
            data = np.where(masked, False, data).astype(bool)
        elif all(isinstance(value, Real) and float(value).is_integer() for value in present):
            data = np.where(masked, 0, data).astype(np.int64)
    elif masked.any():
        data = np.where(masked, data.dtype.type(0), data)
    return np.ma.array(data, mask=masked) if masked.any() else np.asarray(data)


def refuse_mistaken(bitmask: np.ndarray) -> None:
    """Refuse a bitmask that can only be a mistake: True for good pixels, or numbers of pixels.

    Parameters
    ----------
    bitmask : ndarray of shape (n_samples, n_pixels)
        Bitmask from `plain_bitmask`.

    Raises
    ------
    ValueError
        If more than 80 % of the pixels of more than half of the spectra are True, or integers increase from each pixel
        to the next.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.survey.bitmask import refuse_mistaken
    >>> refuse_mistaken(np.array([[True, False]]))
    """
    if bitmask.size == 0:
        return
    first = bitmask[0]
    if bitmask.dtype.kind in "iu" and len(first) > _FEW_PIXELS and (first[1:] > first[:-1]).all():
        raise ValueError(
            f"bitmask increases from each pixel to the next, from {first[0]} to {first[-1]}: these are numbers of "
            "pixels, expected the flags of each pixel. Pass booleans that are True for these pixels."
        )
    if bitmask.dtype.kind != "b":
        return
    n_spectra = int((bitmask.mean(axis=1) > _MAX_SHARE_OF_BAD_PIXELS).sum())
    if 2 * n_spectra > len(bitmask):
        raise ValueError(
            f"bitmask marks {bitmask.mean():.0%} of all pixels as bad, and more than {_MAX_SHARE_OF_BAD_PIXELS:.0%} in "
            f"{n_spectra} of {len(bitmask)} spectra. True means a bad pixel: if it means a good one here, pass "
            "~bitmask. Otherwise leave such spectra out."
        )


def with_bit_numbers(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of a preparation with numbers in `bad_bits`, since no file tells a flag from a number.

    Parameters
    ----------
    parameters : mapping of str to object
        Parameters, perhaps with `bad_bits`.

    Returns
    -------
    parameters : dict of str to object

    Examples
    --------
    >>> from skbcnn.survey import PixelFlag
    >>> from skbcnn.survey.bitmask import with_bit_numbers
    >>> with_bit_numbers({"degree": 4, "bad_bits": [PixelFlag.SIG_SKYLINE, "BADPIX"]})
    {'degree': 4, 'bad_bits': [0, 12]}
    """
    numbers = {"bad_bits": sorted(bit_numbers(parameters["bad_bits"], "bad_bits"))} if "bad_bits" in parameters else {}
    return {**parameters, **numbers}


def bit_numbers(bits: Any, name: str = "bits") -> set[int]:
    """Return the numbers of bits, also of those that are passed as flags.

    Parameters
    ----------
    bits : iterable of int or str, or one flag
        Numbers of bits, flags (``PixelFlag.SIG_SKYLINE``), or names of flags.
    name : str, default="bits"
        Name of the argument, for the messages.

    Returns
    -------
    numbers : set of int

    Raises
    ------
    TypeError
        If it is a single number, which may be that of a bit or a value of the bitmask, or holds other objects.
    ValueError
        If a number is not between 0 and 62.

    Examples
    --------
    >>> from skbcnn.survey.bitmask import bit_numbers
    >>> bit_numbers(["BADPIX", 12])
    {0, 12}
    """
    flags = sys.modules.get("astropy.nddata.bitmask")  # a flag exists only if this was imported

    def is_flag(bit: Any) -> bool:
        return flags is not None and isinstance(bit, flags.BitFlag)

    given = (
        bits.tolist() if isinstance(bits, np.ndarray) else [bits] if is_flag(bits) or isinstance(bits, str) else bits
    )
    found: list[Any] = list(given) if isinstance(given, Iterable) else [None]
    found = [_NAMES.index(bit) if bit in _NAMES else bit for bit in found]
    if not all(isinstance(bit, Integral) for bit in found):
        names = f", which are {', '.join(_NAMES)}" if any(isinstance(bit, str) for bit in found) else ""
        raise TypeError(
            f"{name} is {bits!r}, expected the numbers of bits in a list, such as [12] for 1 << 12, or flags, such as "
            f"PixelFlag.SIG_SKYLINE, or names of flags{names}."
        )
    numbers = {int(bit).bit_length() - 1 if is_flag(bit) else int(bit) for bit in found}
    if wrong := sorted(number for number in numbers if not 0 <= number < _N_BITS):
        raise ValueError(
            f"{name} has {wrong}, expected numbers of bits from 0 to {_N_BITS - 1}, such as 12 for 1 << 12."
        )
    return numbers
