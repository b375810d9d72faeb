"""Warnings that point to the line of the user's program, however deep in the package they arise."""

from __future__ import annotations

import sys
import warnings

import numpy as np

_LIBRARIES = ("skbcnn", "sklearn", "contextlib")  # whose frames lie between the warning and the user


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the first line outside skbcnn and scikit-learn.

    Parameters
    ----------
    message : str
        Text of the warning.
    category : type, default=UserWarning
        Its class.

    Examples
    --------
    >>> import warnings
    >>> from skbcnn._user_warnings import warn_user
    >>> with warnings.catch_warnings(record=True) as issued:
    ...     warnings.simplefilter("always")
    ...     warn_user("Look here.")
    >>> str(issued[0].message)
    'Look here.'
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def rows_in_words(rows: np.ndarray) -> str:
    """Return the first numbers of rows, and how many more there are, for messages.

    Parameters
    ----------
    rows : ndarray of int
        One row or more.

    Returns
    -------
    words : str

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._user_warnings import rows_in_words
    >>> rows_in_words(np.arange(12))
    'Rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more'
    """
    some = ", ".join(map(str, rows[:10])) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
    return f"Row{'s' if len(rows) > 1 else ''} {some}"
