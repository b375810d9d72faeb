"""Names in catalogues that look like the name of a label, but mean another quantity or are misspelt.

`other_quantity` recognises ratios to iron, errors, flags, logarithms and other columns of survey catalogues, and says
how to get the label from them. `similar_label` recognises misspellings. A hint is given only where the meaning is
certain: "Nd" is neodymium, and not "N" misspelt.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from skbcnn.survey.spellings import APOGEE_LABELS, LABELS, as_text, find_label


class OtherQuantity(NamedTuple):
    """What a name means that is no label.

    Attributes
    ----------
    label : str or None
        Canonical name of the label that can be computed from it, or that it belongs to; None if there is none.
    meaning : str
        One or two sentences: what it is, and how to get the label from it.
    """

    label: str | None
    meaning: str


_OTHER_ELEMENTS: tuple[str, ...] = ("He", "Li", "Be", "Sc", "Cu", "Zn", "Ga", "Ge", "Rb", "Sr", "Y", "Zr", "Nb", "Mo")
_OTHER_ELEMENTS += ("Ru", "Ba", "La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Dy", "Yb", "Hf", "Pb", "Th")
_OTHER_COLUMNS = {
    "vmicro": "the microturbulence",
    "logvmicro": "the logarithm of the microturbulence",
    "vmacro": "the macroturbulence",
    "vsini": "the projected rotational velocity",
    "vrot": "the rotational velocity",
    "vhelioavg": "the radial velocity",
    "snr": "the signal-to-noise ratio of the spectrum",
    "xh": "the array of the abundances of all elements. Select one element",
    "xm": "the array of the abundances of all elements, relative to [M/H]. Select one element and add [M/H]",
    "param": "the array of all stellar parameters. Select one label",
    "fparam": "the array of all stellar parameters before calibration. Select one label",
}  # by the name in lower case, without other characters than letters and digits
_AFFIXES = (  # pattern with the name of a label as its group, and the meaning
    (r"(?:e_|err_|sigma_|sig_)(.+)", "the error of {label}. Pass it as an error of the labels, not as a label"),
    (r"(.+)_(?:err|error|unc|sigma|sig)", "the error of {label}. Pass it as an error of the labels, not as a label"),
    (r"(.+)_flags?", "the column of flags of {label}. Use it to select stars"),
    (r"(?:raw_)(.+)", "{label} before calibration. Rename it to {label!r} if these values are wanted"),
    (r"(.+)_(?:spec|raw)", "{label} before calibration. Rename it to {label!r} if these values are wanted"),
)
_RATIO = re.compile(r"\[?([a-z]+(?:[ _]?[0-9])?)(?:/([a-z]+)|_(h|fe|m))\]?")
_ABSOLUTE = re.compile(r"(?:a\(([a-z]+)\)|a_([a-z]+)|log[ _]?eps(?:ilon)?[ _(]*([a-z]+)\)?)")
_LOGARITHM_OF_TEFF = re.compile(r"l(?:og)?(?:10)?[ _(]*t(?:_?eff)?\)?")
_TYPED_WITH_CARE = ("teff", "logg", "alpha", "fakemag")  # long enough to recognise them when misspelt


def is_element(name: str) -> bool:
    """Return whether a name means the abundance of an element, with or without a label.

    Parameters
    ----------
    name : str
        Symbol of an element, or any spelling of a label.

    Returns
    -------
    is_element : bool

    Examples
    --------
    >>> from skbcnn.survey.other_quantities import is_element
    >>> [is_element(name) for name in ("[Mg/H]", "Ce", "CE_H", "teff", "Alu")]
    [True, True, True, False, False]
    """
    found = find_label(name)
    if found is not None:
        return found.name in APOGEE_LABELS[2:]
    return re.split("[/_]", str(name).strip(" []"))[0].title() in _OTHER_ELEMENTS


def other_quantity(name: str | bytes) -> OtherQuantity | None:
    """Return what a name means, if it is a known quantity but no label.

    Parameters
    ----------
    name : str
        Name of a column.

    Returns
    -------
    quantity : OtherQuantity or None
        None for a label, and for a name that is not known.

    Examples
    --------
    >>> from skbcnn.survey.other_quantities import other_quantity
    >>> other_quantity("MG_FE").meaning
    '[Mg/Fe] is relative to iron. The label Mg is [Mg/H]: add [Fe/H].'
    >>> other_quantity("[Mg/H]") is None
    True
    """
    text = str(as_text(name)).strip().lower()
    if find_label(text) is not None:
        return None
    if text_of_column := _OTHER_COLUMNS.get(_letters(text)):
        return OtherQuantity(None, f"It is {text_of_column}.")
    if _LOGARITHM_OF_TEFF.fullmatch(text):
        return OtherQuantity("teff", "It is the logarithm of Teff. Pass teff in K: 10 to this power.")
    return _with_affix(text) or _ratio(text) or _absolute_abundance(text) or _element(text)


def _letters(text: str) -> str:
    """Return the letters and digits of a name."""
    return re.sub("[^a-z0-9]", "", text.lower())


def _with_affix(text: str) -> OtherQuantity | None:
    """Recognise errors, flags and uncalibrated values of a label."""
    for pattern, meaning in _AFFIXES:
        match = re.fullmatch(pattern, text)
        if match and (found := find_label(match[1])):
            return OtherQuantity(found.name, f"It is {meaning.format(label=found.name)}.")
    return None


def _ratio(text: str) -> OtherQuantity | None:
    """Recognise abundances relative to something else than hydrogen, and those of elements without a label."""
    match = _RATIO.fullmatch(text)
    if match is None:
        return None
    numerator, denominator = match[1], match[2] or match[3]
    above, below = find_label(numerator), find_label(denominator)
    if above is None or above.name in ("teff", "logg", "fakemag"):
        return _element(numerator)
    if denominator == "h":  # of alpha; the others are labels
        return OtherQuantity(
            above.name, "[alpha/H] is relative to hydrogen. The label alpha is [alpha/M]: subtract [M/H]."
        )
    if below is None or below.name in ("teff", "logg", "fakemag", "alpha"):
        return None
    symbol, reference = _symbol(above.name), _symbol(below.name)
    relative = {"Fe": "iron", "M": "all metals"}.get(below.name, reference)
    ratio = f"[{symbol}/{reference}] is relative to {relative}."
    if above.name == "alpha":
        return OtherQuantity("alpha", f"{ratio} The label alpha is [alpha/M]: add [{reference}/H] and subtract [M/H].")
    return OtherQuantity(above.name, f"{ratio} The label {above.name} is {above.symbol}: add [{reference}/H].")


def _symbol(name: str) -> str:
    """Return the symbol of an element as it is written in a ratio."""
    return "alpha" if name == "alpha" else LABELS[name].symbol.removeprefix("[").removesuffix("/H]")


def _absolute_abundance(text: str) -> OtherQuantity | None:
    match = _ABSOLUTE.fullmatch(text)
    found = match and find_label(match[1] or match[2] or match[3])
    if not found or not found.symbol.endswith("/H]"):
        return None
    symbol = _symbol(found.name)
    return OtherQuantity(
        found.name,
        f"A({symbol}) is an absolute abundance. The label {found.name} is {found.symbol}: subtract A({symbol}) of the "
        "Sun.",
    )


def _element(text: str) -> OtherQuantity | None:
    for symbol in _OTHER_ELEMENTS:
        if text == symbol.lower():
            return OtherQuantity(None, f"{symbol} is an element that has no label here.")
    return None


def similar_label(name: str | bytes) -> str | None:
    """Return the label whose name was misspelt, if only one letter is wrong.

    Parameters
    ----------
    name : str
        Name of a column that is no label.

    Returns
    -------
    label : str or None
        Canonical name; None if no label is as similar, or the name is another quantity.

    Examples
    --------
    >>> from skbcnn.survey.other_quantities import similar_label
    >>> similar_label("tefff"), similar_label("FeH"), similar_label("Nd")
    ('teff', 'Fe', None)
    """
    if find_label(name) is not None or other_quantity(name) is not None:
        return None
    letters = _letters(str(as_text(name)))
    if len(letters) > 2 and letters.endswith("h") and (found := find_label(letters[:-1] + "_h")):
        return found.name  # FeH, Mg-H
    return next((label for label in _TYPED_WITH_CARE if is_misspelt(letters, label)), None)


def is_misspelt(text: str, name: str) -> bool:
    """Return whether a text is a name with one letter missing, doubled, or exchanged with its neighbour.

    Parameters
    ----------
    text, name : str
        Two names. Upper and lower case, and other characters than letters and digits, make no difference.

    Returns
    -------
    misspelt : bool
        Always False for names of fewer than four letters, in which one letter makes another name.
    """
    text, name = _letters(text), _letters(name)
    if len(name) < 4:
        return False
    missing = {name[:j] + name[j + 1 :] for j in range(len(name))}
    doubled = {name[:j] + name[j] + name[j:] for j in range(len(name))}
    exchanged = {name[:j] + name[j + 1] + name[j] + name[j + 2 :] for j in range(len(name) - 1)}
    return text in {name} | missing | doubled | exchanged


def explain_name(name: str | bytes) -> str:
    """Return what a name means that is no label, or which label was misspelt.

    Parameters
    ----------
    name : str
        Name of a column.

    Returns
    -------
    hint : str
        Sentence for a message; empty if nothing is known.

    Examples
    --------
    >>> from skbcnn.survey.other_quantities import explain_name
    >>> explain_name("Ce")
    'Ce is an element that has no label here.'
    >>> explain_name("Tefff")
    "Did you mean 'teff'?"
    """
    if quantity := other_quantity(name):
        return quantity.meaning
    similar = similar_label(name)
    return "" if similar is None else f"Did you mean {similar!r}?"


def hint_for_column(name: str, missing: Sequence[str]) -> str:
    """Return a remark on a column that is none of the labels, if it has to do with one whose column is missing.

    Parameters
    ----------
    name : str
        Name of the column.
    missing : sequence of str
        Labels without a column, in the spelling of the user.

    Returns
    -------
    hint : str
        Remark in brackets with a space before it; empty if there is nothing to say.
    """
    quantity = other_quantity(name)
    for wanted in missing:
        known = find_label(wanted)
        if quantity is not None:
            if known is not None and quantity.label == known.name:
                return f" ({quantity.meaning.removesuffix('.')})"
        elif (known is not None and similar_label(name) == known.name) or (known is None and is_misspelt(name, wanted)):
            return f" (did you mean {wanted}?)"
    return ""
