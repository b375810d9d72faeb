"""Labels of a spectrum: names, units and missing values.

Catalogues write the same label in many ways (``C1``, ``CI``, ``[CI/H]``, ``C_1_H``). Every function that takes the name
of a label accepts all spellings (`spellings`) and returns the canonical name. An error for another name says what the
name means, if it is known (`other_quantities`).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import filled_array
from skbcnn.survey.other_quantities import explain_name, other_quantity
from skbcnn.survey.spellings import APOGEE_LABELS, LABELS, Label, as_text, find_label

MISSING = -9999.0
"""Value in catalogues for a label that was not measured."""

_LARGEST_MISSING = -9990.0  # some releases write -9999.99, and float32 rounds both


class UnknownLabelError(ValueError):
    """Name that no label has."""


def label(name: str) -> Label:
    """Look up a label by any of its spellings.

    Parameters
    ----------
    name : str
        Any spelling of a label, for example ``"Ti2"``, ``"TiII"``, ``"[TiII/H]"``, ``"ti_2_h"`` or ``"TEFF"``.

    Returns
    -------
    label : Label
        Canonical name, unit and symbol.

    Raises
    ------
    ValueError
        If no label is spelled like this. The message says what the name means, if it is a known quantity.

    See Also
    --------
    find_label : The same, but returns None for an unknown name.

    Examples
    --------
    >>> from skbcnn.survey import label
    >>> label("[TiII/H]").name, label("TEFF").unit
    ('Ti2', 'K')
    """
    found = find_label(name)
    if found is None:
        raise UnknownLabelError(f"{as_text(name)!r} is not a label known here. {_hint(name)}")
    return found


def _hint(name: object) -> str:
    """Return what a name means that is no label, and which labels there are unless it leads to one."""
    known = f"Known: {', '.join(LABELS)}."
    if not isinstance(name, str | bytes):
        return known
    hint, quantity = explain_name(name), other_quantity(name)
    return hint if hint and (quantity is None or quantity.label) else f"{hint} {known}".lstrip()


def label_unit(name: str) -> str:
    """Return the unit of a label, or an empty string for an unknown name.

    Parameters
    ----------
    name : str
        Any spelling of a label, or any other name.

    Returns
    -------
    unit : str
        Unit in the spelling of astropy; empty for a label without a unit and for an unknown name.

    Examples
    --------
    >>> from skbcnn.survey import label_unit
    >>> label_unit("Teff"), label_unit("[Mg/H]"), label_unit("age")
    ('K', 'dex', '')
    """
    found = find_label(name)
    return "" if found is None else found.unit


def resolve_target(target: str | Sequence[str] = "all") -> list[str]:
    """Return the canonical names of labels.

    Parameters
    ----------
    target : "all", str or sequence of str, default="all"
        Labels in any spelling. ``"all"`` means the 22 labels of the DR14 network, without ``M``, ``alpha`` and
        ``fakemag``.

    Returns
    -------
    names : list of str
        Canonical names, in the order of `target`.

    Raises
    ------
    ValueError
        If a name is unknown, a label is named twice, or `target` is empty.
    TypeError
        If `target` is a set, which has no order, or no sequence.

    Examples
    --------
    >>> from skbcnn.survey import resolve_target
    >>> resolve_target(["Teff", "[Mg/H]"])
    ['teff', 'Mg']
    """
    if isinstance(target, set | frozenset) or not isinstance(target, Iterable):
        raise TypeError(
            f"target is {target!r}, expected 'all', the name of a label, or a list of names in their order."
        )
    if isinstance(target, str | bytes):
        text = str(as_text(target)).strip()
        if "," in text:
            raise ValueError(f"target={text!r} holds several names in one text. Pass a list: {_split(text)}.")
        target = APOGEE_LABELS if text.lower() == "all" else [text]
    names = [label(name).name for name in target]
    if not names:
        raise ValueError("target is empty. Name at least one label, or pass 'all'.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"target names {', '.join(repeated)} more than once. Name each label once.")
    return names


def _split(text: str) -> list[str]:
    """Return names that are separated by commas."""
    return [name.strip() for name in text.split(",")]


def is_missing(values: ArrayLike) -> np.ndarray:
    """Return which label values are missing: masked, NaN, or -9990 and below.

    Parameters
    ----------
    values : array-like
        Labels of any shape, which may be masked. Catalogues write -9999 or -9999.99 for a label that was not measured.
        Minus infinity is not missing.

    Returns
    -------
    missing : ndarray of bool of the shape of `values`

    Raises
    ------
    ValueError
        If the values are not numbers.

    Examples
    --------
    >>> from skbcnn.survey import is_missing
    >>> is_missing([4700.0, -9999.0, float("nan"), -9999.99])
    array([False,  True,  True,  True])
    """
    try:
        numbers = filled_array(values).astype(float, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The labels are not numbers ({error}). Pass numbers, in an array or a column.") from error
    return np.isnan(numbers) | (np.isfinite(numbers) & (numbers <= _LARGEST_MISSING))
