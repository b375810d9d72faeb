"""Arguments of `fit` that say which stars are held out: validation data, and groups of spectra of one star."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skbcnn._masked import check_groups


class ValidationData(NamedTuple):
    """Validation data as the user passed them.

    Attributes
    ----------
    X, y : array-like
        Spectra and labels.
    x_err, y_err : array-like or None
        Flux errors and label errors.
    """

    X: Any
    y: Any
    x_err: Any = None
    y_err: Any = None


def validation_data_of(
    validation_data: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    x_err_val: Any = None,
    y_err_val: Any = None,
    *,
    groups: Any = None,
) -> ValidationData | None:
    """Return the validation data, whichever arguments of `fit` they came in.

    Parameters
    ----------
    validation_data : tuple of (X, y), (X, y, x_err) or (X, y, x_err, y_err), or None, default=None
        All of it.
    X_val, y_val, x_err_val, y_err_val : array-like or None, default=None
        The same one by one.
    groups : array-like or None, default=None
        Groups that `fit` got; they cannot be combined with validation data.

    Returns
    -------
    validation_data : ValidationData or None
        None if there are none.

    Raises
    ------
    ValueError
        If they came twice or with groups, or spectra or labels are missing, or flux errors have another shape.

    Examples
    --------
    >>> from skbcnn._validation_data import validation_data_of
    >>> validation_data_of(([[1.0, 0.9]], [4500.0]))
    ValidationData(X=[[1.0, 0.9]], y=[4500.0], x_err=None, y_err=None)
    """
    single = {"X_val": X_val, "y_val": y_val, "x_err_val": x_err_val, "y_err_val": y_err_val}
    given = [name for name, value in single.items() if value is not None]
    if groups is not None and (given or validation_data is not None):
        raise ValueError(
            "fit got groups and validation data. Groups say how to hold out stars of X, and none is held out if "
            "validation data are given. Pass one of the two."
        )
    if validation_data is None:
        if given and (X_val is None or y_val is None):
            raise ValueError(f"fit got {' and '.join(given)}. Validation needs both X_val and y_val: pass them, too.")
        return ValidationData(X_val, y_val, x_err_val, y_err_val) if given else None
    if given:
        raise ValueError(
            f"fit got validation_data and {' and '.join(given)}. Pass either one tuple validation_data=(X, y, x_err, "
            "y_err), or single arrays."
        )
    if not isinstance(validation_data, tuple | list) or not 2 <= len(validation_data) <= 4:
        n_items = f" of {len(validation_data)} items" if isinstance(validation_data, tuple | list) else ""
        advice = (
            "To hold out a share of the stars of X, set validation_fraction."
            if isinstance(validation_data, Real)
            else "Or pass X_val= and y_val=. If there are label errors but no flux errors, pass None for x_err."
        )
        raise ValueError(
            f"validation_data is a {type(validation_data).__name__}{n_items}, expected a tuple (X, y), (X, y, x_err) "
            f"or (X, y, x_err, y_err). {advice}"
        )
    found = ValidationData(*validation_data)
    if found.X is None or found.y is None:
        raise ValueError("validation_data holds None for X or y. Pass the spectra and the labels of the stars.")
    shape, expected = _shape(found.x_err), _shape(found.X)
    if len(validation_data) > 2 and shape != expected and None not in (shape, expected):
        raise ValueError(
            f"The third item of validation_data has shape {shape}, but X has shape {expected}. "
            "Expected x_err there, the flux errors in the shape of X, and y_err, the label errors, as the fourth. "
            "Weights of validation stars are not taken. Without flux errors pass None for x_err."
        )
    return found


def _shape(values: Any) -> tuple[int, ...] | None:
    """Return the shape of an array-like; None for None, and for rows of different lengths, refused elsewhere."""
    if values is None:
        return None
    try:
        return np.shape(values)
    except ValueError:
        return None


@contextmanager
def named_validation_data() -> Iterator[None]:
    """Say in an error of the block that it concerns the validation data.

    Raises
    ------
    ValueError
        In place of the ValueError that the block raises.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"The validation data cannot be used: {error}") from error


def group_numbers(groups: Any, n_stars: int) -> np.ndarray | None:
    """Return the number of the group of each spectrum.

    Parameters
    ----------
    groups : array-like of shape (n_stars,), or None
        Name or number of the star of each spectrum.
    n_stars : int
        Number of spectra.

    Returns
    -------
    numbers : ndarray of int of shape (n_stars,), or None
        Equal for equal names, numbered from 0 in the order in which they occur. None without groups.

    Raises
    ------
    ValueError
        If there is not one for each spectrum, or one is masked or missing.

    Examples
    --------
    >>> from skbcnn._validation_data import group_numbers
    >>> group_numbers(["2M0042+4116", "2M0012+8532", "2M0042+4116"], n_stars=3)
    array([0, 1, 0])
    """
    if groups is None:
        return None
    names = check_groups(groups, "groups", n_stars).tolist()
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)
