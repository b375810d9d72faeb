"""Standard deviations of the labels of giants, to compare label errors with."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import numpy as np

from skbcnn.survey.labels import resolve_target


@cache
def _spread_table() -> dict[str, float]:
    with (files("skbcnn.survey") / "tables" / "label_spreads_dr14.csv").open() as lines:
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        return {row["label"]: float(row["std"]) for row in rows}


def label_spreads(target: str | Sequence[str] = "all") -> np.ndarray:
    """Return the standard deviations of labels among the giants of APOGEE DR14.

    Parameters
    ----------
    target : "all", str or sequence of str, default="all"
        Labels in any spelling. ``"all"`` means the 22 labels of the DR14 network.

    Returns
    -------
    spreads : ndarray of shape (n_labels,)
        Standard deviations, in K for teff and in dex for logg and [X/H].

    Raises
    ------
    ValueError
        If a name is unknown, a label is named twice, or it is not one of the 22.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, on the training set with these labels.

    Examples
    --------
    >>> from skbcnn.survey import label_spreads
    >>> label_spreads(["Teff", "[Mg/H]"])
    array([2.94e+02, 2.60e-01])
    """
    names, table = resolve_target(target), _spread_table()
    if unknown := [name for name in names if name not in table]:
        raise ValueError(
            f"The spread of {', '.join(unknown)} is not known here, only that of {', '.join(table)}. Use the standard "
            "deviation of your own stars."
        )
    return np.array([table[name] for name in names])
