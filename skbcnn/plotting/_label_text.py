"""Format labels and numbers as text: symbols and units as in `skbcnn.survey`."""

from __future__ import annotations

import numpy as np

from skbcnn.survey import find_label, label_unit


def label_symbol(name: str) -> str:
    """Return the symbol of a label.

    Parameters
    ----------
    name : str
        Any spelling of a label, or a name that the survey does not know.

    Returns
    -------
    symbol : str
        Symbol that matplotlib may typeset; the name itself if the survey does not know the label.

    Examples
    --------
    >>> from skbcnn.plotting._label_text import label_symbol
    >>> label_symbol("Ti2"), label_symbol("age")
    ('[Ti II/H]', 'age')
    """
    label = find_label(name)
    return str(name) if label is None else label.symbol


def unit_in_brackets(name: str) -> str:
    """Return the unit of a label in brackets, after a space.

    Parameters
    ----------
    name : str
        Name of a label, as in `label_symbol`.

    Returns
    -------
    unit : str
        Empty if the label has no unit, or the survey does not know the label.

    Examples
    --------
    >>> from skbcnn.plotting._label_text import unit_in_brackets
    >>> unit_in_brackets("teff"), unit_in_brackets("age")
    (' (K)', '')
    """
    unit = label_unit(name)
    return f" ({unit})" if unit else ""


def axis_label(name: str) -> str:
    """Return the symbol and the unit of a label, for the axis of a figure.

    Parameters
    ----------
    name : str
        Name of a label, as in `label_symbol`.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.plotting._label_text import axis_label
    >>> axis_label("Mg")
    '[Mg/H] (dex)'
    """
    return label_symbol(name) + unit_in_brackets(name)


def within_text(name: str) -> str:
    """Return a word that begins the label of an axis as it is written in the middle of a text.

    Parameters
    ----------
    name : str
        Name of the reference values, such as "True" or "ASPCAP".

    Returns
    -------
    text : str
        "True" and "Reference" in lower case; names as they are.

    Examples
    --------
    >>> from skbcnn.plotting._label_text import within_text
    >>> within_text("True"), within_text("ASPCAP")
    ('true', 'ASPCAP')
    """
    return name.lower() if name in ("True", "Reference") else name


def format_number(value: float, decimals: int) -> str:
    """Format a rounded number with a typographic minus sign and without a negative zero.

    Parameters
    ----------
    value : float
        Number to format.
    decimals : int
        Number of decimals.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.plotting._label_text import format_number
    >>> format_number(-0.004, 2), format_number(12345.678, 1)
    ('0.00', '12345.7')
    """
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def format_integer(value: int) -> str:
    """Format an integer with a space between groups of three digits.

    Parameters
    ----------
    value : int
        Number to format.

    Returns
    -------
    text : str
        Numbers of up to four digits are not divided.

    Examples
    --------
    >>> from skbcnn.plotting._label_text import format_integer
    >>> format_integer(7514), format_integer(3505554)
    ('7514', '3 505 554')
    """
    return str(value) if abs(value) < 10_000 else f"{value:,}".replace(",", " ")


def spectra_text(n: int) -> str:
    """Return a number of spectra as text.

    Parameters
    ----------
    n : int
        Number of spectra, of which a star may have several.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.plotting._label_text import spectra_text
    >>> spectra_text(1), spectra_text(12000)
    ('1 spectrum', '12 000 spectra')
    """
    return f"{format_integer(n)} spectr{'um' if n == 1 else 'a'}"


def decimals_for(spread: float) -> int:
    """Return the number of decimals that show two significant digits of a spread.

    Parameters
    ----------
    spread : float
        Spread of some values, such as their standard deviation.

    Returns
    -------
    decimals : int
        3 if the spread is 0 or NaN.

    Examples
    --------
    >>> from skbcnn.plotting._label_text import decimals_for
    >>> decimals_for(0.0274), decimals_for(22.0)
    (3, 0)
    """
    return 3 if not spread > 0 else int(np.clip(1 - np.floor(np.log10(spread)), 0, 8))
