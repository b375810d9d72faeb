"""The labels that a spectrum gets: names, spellings, units, and what counts as a missing value.

Catalogues write the same label in many ways (``C1``, ``CI``, ``[CI/H]``, ``C_1_H``); every function that takes a
label name understands all of them and answers in the canonical one.
"""

import difflib
from typing import NamedTuple

import numpy as np

MISSING = -9999.0
"""What catalogues write where a label was not measured."""

_MISSING_AT_MOST = -9990.0  # some releases write -9999.99, and float32 rounds either


class Label(NamedTuple):
    """A label: canonical name, unit as astropy writes it, symbol for pictures."""

    name: str
    unit: str
    symbol: str


_ELEMENTS = ("C", "C1", "N", "O", "Na", "Mg", "Al", "Si", "P", "S")
_ELEMENTS += ("K", "Ca", "Ti", "Ti2", "V", "Cr", "Mn", "Fe", "Co", "Ni")
_SYMBOLS = {"C1": "C I", "Ti2": "Ti II"}  # as printed, where it is not the name
_ROMAN = {"C1": "CI", "Ti2": "TiII"}  # as ASPCAP spells them

APOGEE_LABELS = ("teff", "logg", *_ELEMENTS)
"""The 22 labels of the DR14 network, in its order."""

_LABELS = {
    "teff": Label("teff", "K", r"$T_\mathrm{eff}$"),
    "logg": Label("logg", "dex", r"$\log g$"),
    **{name: Label(name, "dex", f"[{_SYMBOLS.get(name, name)}/H]") for name in _ELEMENTS},
    "M": Label("M", "dex", "[M/H]"),
    "alpha": Label("alpha", "dex", r"[$\alpha$/M]"),
    "fakemag": Label("fakemag", "", "fakemag"),
}


def _spellings(name):
    """Every way in which catalogues write one label, lower-cased."""
    stems = {name, _ROMAN.get(name, name)}
    if name in _ROMAN:  # C1 is C_1 to SDSS-V
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


def label_unit(name):
    """Unit of a label, where it is one that is known.

    Parameters
    ----------
    name : str
        In any spelling, or a name unknown here.

    Returns
    -------
    unit : str
        As astropy writes it; empty for a label without a unit, and for one that is not known here.

    Examples
    --------
    >>> from skbcnn.survey import label_unit
    >>> label_unit("Teff"), label_unit("[Mg/H]"), label_unit("age")
    ('K', 'dex', '')
    """
    found = find_label(name)
    return "" if found is None else found.unit


def resolve_target(target="all"):
    """Canonical names of the labels that a target names.

    Parameters
    ----------
    target : "all", str or sequence of str, default="all"
        ``"all"`` is the 22 labels of the DR14 network. ``M``, ``alpha`` and ``fakemag`` come by name only.

    Returns
    -------
    names : list of str
        In the order asked for.

    Raises
    ------
    ValueError
        If a name is unknown, or the same label is named twice, or none is.

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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"target names {', '.join(twice)} more than once. Name each label once.")
    return names


def is_missing(values):
    """Whether label values stand for "not measured".

    Parameters
    ----------
    values : array-like
        Labels of any shape. NaN and anything at most -9990 (catalogues write -9999 or -9999.99) is missing.

    Returns
    -------
    missing : ndarray of bool
        Of the shape of `values`.

    Examples
    --------
    >>> from skbcnn.survey import is_missing
    >>> is_missing([4700.0, -9999.0, float("nan"), -9999.99])
    array([False,  True,  True,  True])
    """
    values = np.asarray(values, dtype=float)
    return np.isnan(values) | (np.isfinite(values) & (values <= _MISSING_AT_MOST))
