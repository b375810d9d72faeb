"""Paths that users pass."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any


def as_path(value: Any, name: str) -> Path:
    """Return a path that the user passed.

    Parameters
    ----------
    value : str or path-like
        The path.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    TypeError
        If the value is no path.
    ValueError
        If it is empty.

    Examples
    --------
    >>> from skbcnn._paths import as_path
    >>> as_path("stars.h5", "filename").name
    'stars.h5'
    """
    text = fspath(value) if isinstance(value, PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r}, expected the path of a file or folder, as text or as a pathlib.Path.")
    if not text:
        raise ValueError(f"{name} is empty, expected the path of a file or folder.")
    return Path(text)
