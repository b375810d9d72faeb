"""Labels and numbers of spectra as plain text."""

from __future__ import annotations

from skbcnn.survey import find_label, label_unit

_PLAIN = {"teff": "Teff", "logg": "log g", "alpha": "[\N{GREEK SMALL LETTER ALPHA}/M]"}


def plain_symbol(name: str) -> str:
    """Return the symbol of a label as plain text.

    Parameters
    ----------
    name : str
        Name of a label.

    Returns
    -------
    symbol : str
        The name itself if the survey does not know the label.

    Examples
    --------
    >>> from skbcnn.report.texts import plain_symbol
    >>> plain_symbol("teff"), plain_symbol("Mg"), plain_symbol("age")
    ('Teff', '[Mg/H]', 'age')
    """
    label = find_label(name)
    if label is None:
        return name
    return _PLAIN.get(label.name, label.symbol)


def with_unit(name: str) -> str:
    """Return the plain symbol of a label and its unit, such as "Teff (K)"."""
    unit = label_unit(name)
    return f"{plain_symbol(name)} ({unit})" if unit else plain_symbol(name)
