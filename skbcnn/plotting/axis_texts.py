"""How labels and numbers are written beside axes: symbols and units as the survey has them."""

import numpy as np

from skbcnn.survey import label, label_unit


def symbol(name):
    """How a label is printed.

    Parameters
    ----------
    name : str
        In any spelling, or unknown to the survey.

    Returns
    -------
    symbol : str
        The survey's, which matplotlib may typeset; the name itself where the survey has none.

    Examples
    --------
    >>> from skbcnn.plotting.axis_texts import symbol
    >>> symbol("Ti2"), symbol("age")
    ('[Ti II/H]', 'age')
    """
    try:
        return label(name).symbol
    except ValueError:
        return str(name)


def in_brackets(name):
    """Unit of a label with a space and brackets; nothing if it has none or is unknown.

    Parameters
    ----------
    name : str
        In any spelling.

    Returns
    -------
    unit : str

    Examples
    --------
    >>> from skbcnn.plotting.axis_texts import in_brackets
    >>> in_brackets("teff"), in_brackets("age")
    (' (K)', '')
    """
    unit = label_unit(name)
    return f" ({unit})" if unit else ""


def axis_text(name):
    """What an axis of a label says: symbol and unit.

    Parameters
    ----------
    name : str
        In any spelling.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.plotting.axis_texts import axis_text
    >>> axis_text("Mg")
    '[Mg/H] (dex)'
    """
    return symbol(name) + in_brackets(name)


def number(value, digits):
    """A rounded number, with a true minus sign and no negative zero.

    Parameters
    ----------
    value : float
        What to write.
    digits : int
        Decimals.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.plotting.axis_texts import number
    >>> number(-0.004, 2), number(12345.678, 1)
    ('0.00', '12345.7')
    """
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def whole_number(value):
    """A whole number, its digits in groups of three.

    Parameters
    ----------
    value : int
        What to write.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from skbcnn.plotting.axis_texts import whole_number
    >>> whole_number(7514), whole_number(3505554)
    ('7514', '3 505 554')
    """
    return str(value) if abs(value) < 10_000 else f"{value:,}".replace(",", " ")


def digits_for(spread):
    """Decimals that show two digits of a spread.

    Parameters
    ----------
    spread : float
        Such as a standard deviation.

    Returns
    -------
    digits : int

    Examples
    --------
    >>> from skbcnn.plotting.axis_texts import digits_for
    >>> digits_for(0.0274), digits_for(22.0)
    (3, 0)
    """
    return 3 if not spread > 0 else int(np.clip(1 - np.floor(np.log10(spread)), 0, 8))
