"""Table of the labels, and the spellings of their names in catalogues."""

from collections.abc import Iterator
from typing import NamedTuple


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

LABELS = {  # by their canonical names
    "teff": Label("teff", "K", r"$T_\mathrm{eff}$"),
    "logg": Label("logg", "dex", r"$\log g$"),
    **{name: Label(name, "dex", f"[{_SYMBOLS.get(name, name)}/H]") for name in _ELEMENTS},
    "M": Label("M", "dex", "[M/H]"),
    "alpha": Label("alpha", "dex", r"[$\alpha$/M]"),
    "fakemag": Label("fakemag", "", "fakemag"),
}

_SPELLINGS_WITHOUT_H = {  # labels that are not an abundance relative to hydrogen
    "teff": ("t_eff",),
    "logg": ("log g", "log(g)", "log_g"),
    "alpha": ("[alpha/m]", "alpha/m", "alpha_m"),
    "fakemag": (),
}


def _spellings(name: str) -> Iterator[str]:
    """Yield all spellings of a label in catalogues, in lower case."""
    if name in _SPELLINGS_WITHOUT_H:
        yield from (name, *_SPELLINGS_WITHOUT_H[name])
        return
    stems = {name, _ASPCAP_NAMES.get(name, name)}
    if name in _ASPCAP_NAMES:  # SDSS-V writes C_1
        stems |= {f"{name[:-1]}_{name[-1]}", _SYMBOLS[name]}
    for stem in stems:
        yield from (text.lower() for text in (stem, f"[{stem}/H]", f"{stem}/H", f"{stem}_H"))


_CANONICAL = {spelling: name for name in LABELS for spelling in _spellings(name)}


def find_label(name: str | bytes) -> Label | None:
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
    skbcnn.survey.label : The same, but raises an error for an unknown name.

    Examples
    --------
    >>> from skbcnn.survey import find_label
    >>> find_label("Mg_H")
    Label(name='Mg', unit='dex', symbol='[Mg/H]')
    >>> print(find_label("age"))
    None
    """
    canonical = _CANONICAL.get(str(as_text(name)).strip().lower())
    return None if canonical is None else LABELS[canonical]


def as_text(name: object) -> object:
    """Return a name of bytes, as FITS and HDF5 files have it, as text, and any other object as it is."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name
