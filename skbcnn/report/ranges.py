"""Ranges of S/N, temperature and metallicity, in which residuals and error bars are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skbcnn.report.sample import Sample
from skbcnn.survey import find_label

MIN_STARS = 20  # in a range; fewer tell little, and are not shown
_EDGES = {  # of the ranges of each quantity
    "snr": (50, 100, 150, 200, 300),
    "teff": (4000, 4500, 5000, 5500, 6500),
    "Fe": (-1.5, -1.0, -0.5, -0.2, 0.0),
}
QUANTITIES = tuple(_EDGES)


class Range(NamedTuple):
    """Spectra with a quantity between two limits.

    Attributes
    ----------
    text : str
        The limits, such as "4000 to 4500" or "below 50".
    members : ndarray of bool of shape (n_samples,)
        Whether each spectrum is in the range.
    """

    text: str
    members: np.ndarray


def ranges(sample: Sample, quantity: str) -> list[Range]:
    """Return the ranges of a quantity that hold at least `MIN_STARS` spectra.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.
    quantity : {"snr", "teff", "Fe"}
        S/N, or a reference label.

    Returns
    -------
    ranges : list of Range
        Ascending, each with its lower limit and without its upper limit; empty if the quantity is not known.
    """
    values = _values(sample, quantity)
    if values is None:
        return []
    found = [Range(text, members) for text, members in _between(values, _EDGES[quantity])]
    return [one for one in found if one.members.sum() >= MIN_STARS]


def is_known(sample: Sample, quantity: str) -> bool:
    """Return whether a quantity is known of any spectrum.

    Parameters
    ----------
    sample : Sample
        Reference labels and predictions.
    quantity : {"snr", "teff", "Fe"}
        S/N, or a reference label.
    """
    values = _values(sample, quantity)
    return values is not None and bool(np.isfinite(values).any())


def _values(sample: Sample, quantity: str) -> np.ndarray | None:
    if quantity == "snr":
        return sample.snr
    names = [label.name if (label := find_label(name)) else name for name in sample.label_names]
    return sample.y[:, names.index(quantity)] if quantity in names else None


def _between(values: np.ndarray, edges: tuple[float, ...]) -> Iterator[tuple[str, np.ndarray]]:
    texts = [f"{edge:g}".replace("-", "\N{MINUS SIGN}") for edge in edges]
    place = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
    yield f"below {texts[0]}", place == 0
    for number in range(1, len(edges)):
        yield f"{texts[number - 1]} to {texts[number]}", place == number
    yield f"{texts[-1]} and above", place == len(edges)
