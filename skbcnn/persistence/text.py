"""Values as JSON has them, and back, checked."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np

from skbcnn.persistence.files import TEXT, ModelFolderError

FORMAT_VERSION = 1
_MAX_WINDOW_PIXELS = 2**22  # of all labels together: a few characters may stand for any number of pixels


def plain(value, where):
    """A value as JSON has it; numbers that JSON has not are spelt out."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: plain(entry, where) for name, entry in value.items()}
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy, columns of pandas
        return plain(value.tolist(), where)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(entry, where) for entry in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    raise TypeError(
        f"{where} holds {value!r}, a {type(value).__name__}, which {TEXT} cannot hold. Pass text, numbers, None, and "
        "lists or mappings of these with text as keys."
    )


def run_text(pixels):
    """Ascending pixel numbers as text: '16-57 219' is pixels 16 to 57, and 219."""
    pixels = np.asarray(pixels)
    runs = np.split(pixels, np.flatnonzero(np.diff(pixels) != 1) + 1)
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def parsed(text, path):
    """JSON, with the numbers that `plain` spelt out."""
    try:
        document = json.loads(text.decode(), object_pairs_hook=_entries, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is not JSON ({error}). Copy or download the folder again.") from error
    if not isinstance(document, dict) or "format_version" not in document:
        raise ModelFolderError(
            f"{path} has no format_version, so it describes no model of skbcnn. Load another folder."
        )
    return document


def _entries(pairs):
    """An object whose names are all different; one that spells a number out is that number."""
    entry = dict(pairs)
    if len(entry) != len(pairs):
        raise ValueError("it holds a name twice")
    if entry.keys() == {"float"} and entry["float"] in ("nan", "inf", "-inf"):
        return float(entry["float"])
    return entry


def _refuse_constant(name):
    raise ValueError(f"it holds {name}")


@contextmanager
def as_laid_down(path):
    """Turn whatever a wrong entry leads to into a sentence."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFolderError(
            f"{path} is not as format {FORMAT_VERSION} has it ({type(error).__name__}: {error}). It was edited or "
            "damaged: copy or download the folder again."
        ) from error


def whole(value, least):
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} where a whole number of at least {least} is expected")
    return value


def wholes(values, least):
    return tuple(whole(value, low) for value, low in zip(values, least, strict=True))


def as_text(value):
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where text is expected")
    return value


def windows_of(texts, n_pixels):
    """Windows from their texts: counted before any of them is written out."""
    runs = [None if text is None else _runs(text, n_pixels) for text in texts]
    if sum(last - first + 1 for window in runs for first, last in window or ()) > _MAX_WINDOW_PIXELS:
        raise ValueError(f"more than {_MAX_WINDOW_PIXELS} pixels in the windows")
    return tuple(
        None if window is None else tuple(pixel for first, last in window for pixel in range(first, last + 1))
        for window in runs
    )


def _runs(text, n_pixels):
    """First and last pixel of each run of '16-57 219'."""
    if not re.fullmatch(r"\d{1,9}(-\d{1,9})?( \d{1,9}(-\d{1,9})?)*", text, re.ASCII):
        raise ValueError(f"{text[:40]!r} where pixel runs such as '16-57 219' are expected")
    bounds = [[int(pixel) for pixel in run.split("-")] for run in text.split()]
    runs = [(bound[0], bound[-1]) for bound in bounds]
    ends = [-1, *(last for _, last in runs)]
    if ends[-1] >= n_pixels or any(
        not before < first <= last for before, (first, last) in zip(ends, runs, strict=False)
    ):
        raise ValueError(f"pixel runs {text[:40]!r}, which do not ascend from 0 to {n_pixels - 1}")
    return runs
