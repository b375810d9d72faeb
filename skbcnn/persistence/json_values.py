"""Values of JSON documents: conversion of Python values, runs of pixels as text, and checks of what is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

_MAX_WINDOW_PIXELS = 2**22  # of all labels together: a short text may stand for any number of pixels
_RUNS = re.compile(r"\d{1,9}(-\d{1,9})?( \d{1,9}(-\d{1,9})?)*", re.ASCII)


def to_json(value: Any, name: str) -> Any:
    """Convert a value to what JSON can hold. NaN and infinity become ``{"float": "nan"}`` and so on.

    Parameters
    ----------
    value : object
        Text, number, bool, None, array, or a sequence or mapping of these.
    name : str
        Name of the value in the message.

    Raises
    ------
    TypeError
        If it is, or contains, anything else.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: to_json(entry, name) for key, entry in value.items()}
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, columns of pandas
        return to_json(value.tolist(), name)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [to_json(entry, name) for entry in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    raise TypeError(
        f"{name} holds {value!r}, a {type(value).__name__}, which model.json cannot hold. Pass text, numbers, None, "
        "and lists or mappings of these with text as keys."
    )


def decode_float(entries: dict[str, Any]) -> Any:
    """Return the number that ``{"float": "nan"}`` or the like stands for, and any other object unchanged."""
    if entries.keys() == {"float"} and entries["float"] in ("nan", "inf", "-inf"):
        return float(entries["float"])
    return entries


def pixel_runs(pixels: Sequence[int] | np.ndarray) -> str:
    """Return ascending pixel numbers as text: '16-57 219' stands for pixels 16 to 57, and 219."""
    pixels = np.asarray(pixels)
    runs = np.split(pixels, np.flatnonzero(np.diff(pixels) != 1) + 1)
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def parse_windows(texts: Iterable[str | None], n_pixels: int) -> tuple[tuple[int, ...] | None, ...]:
    """Return the pixels of each window. All are counted before memory is allocated for them.

    Parameters
    ----------
    texts : iterable of str or None
        Pixel runs of each label; None for a label without a window.
    n_pixels : int
        Pixels of a spectrum.
    """
    windows = [None if text is None else _parse_runs(text, n_pixels) for text in texts]
    if sum(last - first + 1 for runs in windows for first, last in runs or ()) > _MAX_WINDOW_PIXELS:
        raise ValueError(f"more than {_MAX_WINDOW_PIXELS} pixels in the windows")
    return tuple(
        None if runs is None else tuple(pixel for first, last in runs for pixel in range(first, last + 1))
        for runs in windows
    )


def _parse_runs(text: str, n_pixels: int) -> list[tuple[int, int]]:
    """Return the first and last pixel of each run of '16-57 219'."""
    if not _RUNS.fullmatch(text):
        raise ValueError(f"{text[:40]!r}, expected pixel runs such as '16-57 219'")
    bounds = [[int(pixel) for pixel in run.split("-")] for run in text.split()]
    runs = [(bound[0], bound[-1]) for bound in bounds]
    previous = [-1, *(last for _, last in runs)]
    ascending = all(end < first <= last for end, (first, last) in zip(previous, runs, strict=False))
    if not ascending or previous[-1] >= n_pixels:
        raise ValueError(f"pixel runs {text[:40]!r}, expected ascending pixels from 0 to {n_pixels - 1}")
    return runs


def as_int(value: Any, minimum: int) -> int:
    """Return a value that must be an integer of at least `minimum`."""
    if type(value) is not int or value < minimum:
        raise ValueError(f"{value!r}, expected an integer of at least {minimum}")
    return value


def as_ints(values: Sequence[Any], minima: Sequence[int]) -> tuple[int, ...]:
    """Return values that must be integers of at least these minima."""
    return tuple(as_int(value, minimum) for value, minimum in zip(values, minima, strict=True))


def as_pair(values: Sequence[Any]) -> tuple[int, int]:
    """Return two values that must be positive integers."""
    first, second = as_ints(values, (1, 1))
    return first, second


def as_text(value: Any) -> str:
    """Return a value that must be text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r}, expected text")
    return value
