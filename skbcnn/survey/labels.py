"""Labels of a spectrum: names, spellings, units and missing values.

Catalogues write the same label in many ways (``C1``, ``CI``, ``[CI/H]``, ``C_1_H``). Every function that takes the name
of a label accepts all of them and returns the canonical name.
"""

import difflib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MISSING = -9999.0
"""Value in catalogues for a label that was not measured."""

_LARGEST_MISSING = -9990.0  # some releases write -9999.99, and float32 rounds both


class Label(NamedTuple):
    """A label.

    Attributes
    ----------
    name : str
        Canonical name.
    unit : str
        Unit in the spelling of astropy; empty if the label has none.
    symbol : str
        Symbol for plots.
    """

    name: str
    unit: str
    symbol: str


_ELEMENTS: tuple[str, ...] = ("C", "C1", "N", "O", "Na", "Mg", "Al", "Si", "P", "S")
_ELEMENTS += ("K", "Ca", "Ti", "Ti2", "V", "Cr", "Mn", "Fe", "Co", "Ni")
_SYMBOLS = {"C1": "C I", "Ti2": "Ti II"}  # symbols that differ from the name
_ASPCAP_NAMES = {"C1": "CI", "Ti2": "TiII"}  # names in the ASPCAP catalogues that differ

APOGEE_LABELS = ("teff", "logg", *_ELEMENTS)
"""The 22 labels of the DR14 network, in the order of its outputs."""

_LABELS = {
    "teff": Label("teff", "K", r"$T_\mathrm{eff}$"),
    "logg": Label("logg", "dex", r"$\log g$"),
    **{name: Label(name, "dex", f"[{_SYMBOLS.get(name, name)}/H]") for name in _ELEMENTS},
    "M": Label("M", "dex", "[M/H]"),
    "alpha": Label("alpha", "dex", r"[$\alpha$/M]"),
    "fakemag": Label("fakemag", "", "fakemag"),
}


def _spellings(name: str) -> Iterator[str]:
    """Yield all spellings of a label in catalogues, in lower case."""
    stems = {name, _ASPCAP_NAMES.get(name, name)}
    if name in _ASPCAP_NAMES:  # SDSS-V writes C_1
        stems |= {f"{name[:-1]}_{name[-1]}", _SYMBOLS[name]}
    for stem in stems:
        yield from (text.lower() for text in (stem, f"[{stem}/H]", f"{stem}/H", f"{stem}_H"))


_CANONICAL = {spelling: name for name in _LABELS for spelling in _spellings(name)}
_CANONICAL |= {"[alpha/m]": "alpha", "alpha_m": "alpha", "log g": "logg", "log(g)": "logg", "t_eff": "teff"}


def find_label(name: str) -> Label | None:
    """Look up a label by any of its spellings, and return None for an unknown name.

    Parameters
    ----------
    name : str
        Any spelling of a label, or any other name.

    Returns
    -------
    label : Label or None
        Canonical name, unit and symbol; None if no label is spelled like this.

    See Also
    --------
    label : The same, but raises an error for an unknown name.

    Examples
    --------
    >>> from skbcnn.survey import find_label
    >>> find_label("Mg_H")
    Label(name='Mg', unit='dex', symbol='[Mg/H]')
    >>> print(find_label("age"))
    None
    """
    canonical = _CANONICAL.get(str(name).strip().lower())
    return None if canonical is None else _LABELS[canonical]


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
        If no label is spelled like this. The message suggests similar spellings.

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
        similar = difflib.get_close_matches(str(name).lower(), _CANONICAL, n=3)
        names = list(dict.fromkeys(_CANONICAL[spelling] for spelling in similar))
        hint = f"Did you mean {' or '.join(map(repr, names))}?" if names else f"Known: {', '.join(_LABELS)}."
        raise ValueError(f"{name!r} is not a label known here. {hint}")
    return found


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

    Examples
    --------
    >>> from skbcnn.survey import resolve_target
    >>> resolve_target(["Teff", "[Mg/H]"])
    ['teff', 'Mg']
    """
    if isinstance(target, str):
        target = APOGEE_LABELS if target.strip().lower() == "all" else [target]
    names = [label(name).name for name in target]
    if not names:
        raise ValueError("target is empty. Name at least one label, or pass 'all'.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"target names {', '.join(repeated)} more than once. Name each label once.")
    return names


def is_missing(values: ArrayLike) -> np.ndarray:
    """Return which label values are missing: NaN, or -9990 and below.

    Parameters
    ----------
    values : array-like
        Labels of any shape. Catalogues write -9999 or -9999.99 for a label that was not measured. Minus infinity is not
        missing.

    Returns
    -------
    missing : ndarray of bool of the shape of `values`

    Examples
    --------
    >>> from skbcnn.survey import is_missing
    >>> is_missing([4700.0, -9999.0, float("nan"), -9999.99])
    array([False,  True,  True,  True])
    """
    numbers = np.asarray(values, dtype=float)
    return np.isnan(numbers) | (np.isfinite(numbers) & (numbers <= _LARGEST_MISSING))
