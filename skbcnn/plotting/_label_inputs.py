"""Check labels, their names and their error bars, which users pass to displays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skbcnn._label_tables import LabelColumns, canonical_name, label_array, label_columns
from skbcnn._label_tables import label_names as names_in
from skbcnn.survey import is_missing


def as_columns(values: Any, argument: str = "y_pred", like: LabelColumns | None = None) -> np.ndarray:
    """Return labels as a two-dimensional array, and raise an error for infinite values.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Labels; NaN or at most -9990 where missing.
    argument : str, default="y_pred"
        Name of the argument, for error messages.
    like : LabelColumns, default=None
        Labels of the same stars, whose order and units are used. Columns of a table are matched to them by name.

    Returns
    -------
    values : ndarray of shape (n_samples, n_labels), float64

    Raises
    ------
    ValueError
        If the values are not numbers, have more than two dimensions, or are infinite.
    """
    columns = label_array(values, argument, like)
    if n_infinite := int(np.isinf(columns).sum()):
        raise ValueError(
            f"{argument} is infinite in {n_infinite} places. Pass NaN or -9999 where a label is missing, and numbers "
            "elsewhere."
        )
    return columns


def error_columns(y_std: Any, y_pred: np.ndarray, like: LabelColumns | None = None) -> np.ndarray | None:
    """Return error bars as an array with NaN where they are missing.

    Parameters
    ----------
    y_std : array-like of the shape of `y_pred`, table, or None
        Error bars; NaN or at most -9990 where missing.
    y_pred : ndarray of shape (n_samples, n_labels)
        Labels from `as_columns`.
    like : LabelColumns, default=None
        These labels as they were passed, as in `as_columns`.

    Returns
    -------
    y_std : ndarray of shape (n_samples, n_labels), or None

    Raises
    ------
    ValueError
        If the shapes differ, or an error bar is negative or infinite.
    """
    if y_std is None:
        return None
    errors = as_columns(y_std, "y_std", like)
    check_shapes({"y_pred": y_pred}, y_std=errors)
    missing = is_missing(errors)
    if n_negative := int((~missing & (errors < 0)).sum()):
        raise ValueError(
            f"y_std is negative in {n_negative} places. Pass standard deviations, and NaN where one is missing."
        )
    return np.where(missing, np.nan, errors)


def column_names(label_names: Sequence[str] | str | None, values: Any, argument: str) -> tuple[str, ...]:
    """Return the names of the columns of labels.

    Parameters
    ----------
    label_names : str, sequence of str, or None
        Names that the user passes. None: those of a table, or the 22 labels of APOGEE for 22 columns without names.
    values : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Labels.
    argument : str
        Name of the argument that holds the labels, for error messages.

    Returns
    -------
    names : tuple of str
        One name for each column.

    Raises
    ------
    ValueError
        If the numbers of names and of columns differ.
    """
    names = names_in(values) if label_names is None else tuple(str(name) for name in np.atleast_1d(label_names))
    n_columns = len(label_columns(values, argument).columns)
    if names is None or len(names) != n_columns:
        found = "no names" if names is None else f"{len(names)} names"
        raise ValueError(f"{argument} has {n_columns} columns and {found}. Pass one name for each as `label_names`.")
    return names


def column_of(
    name: str | None, names: Sequence[str], *, argument: str = "label_name", owner: str = "the estimator"
) -> int:
    """Return the position of the column of a label.

    Parameters
    ----------
    name : str or None
        Any spelling of the label. None is valid if there is only one column.
    names : sequence of str
        Names of the columns.
    argument : str, default="label_name"
        Name of the argument that holds the name, for error messages.
    owner : str, default="the estimator"
        Object that has the columns, for error messages.

    Returns
    -------
    column : int

    Raises
    ------
    ValueError
        If no column has this label.

    Examples
    --------
    >>> from skbcnn.plotting._label_inputs import column_of
    >>> column_of("[Ti II/H]", ["teff", "TiII"])
    1
    """
    column = find_column(name, names)
    if column is None:
        raise ValueError(f"{argument}={name!r}, expected one of the labels of {owner}: {', '.join(names)}.")
    return column


def find_column(name: str | None, names: Sequence[str]) -> int | None:
    """Return the position of the column of a label, or None if no column has this label.

    Parameters
    ----------
    name : str or None
        Any spelling of the label. None means the only column.
    names : sequence of str
        Names of the columns.

    Returns
    -------
    column : int or None
        A column of exactly this name comes before columns with other spellings.
    """
    if name is None:
        return 0 if len(names) == 1 else None
    if str(name) in names:
        return list(names).index(str(name))
    known = canonical_name(name)
    return next((j for j, other in enumerate(names) if known is not None and canonical_name(other) == known), None)


def check_shapes(expected: dict[str, np.ndarray], **others: np.ndarray | None) -> None:
    """Raise an error for arrays whose shape differs from that of another array.

    Parameters
    ----------
    expected : dict of str to ndarray
        Name of the array with the expected shape, and the array.
    **others : ndarray or None
        Arrays to check, by name. None is ignored.

    Raises
    ------
    ValueError
        If a shape differs. The message names the first such array.
    """
    ((first, values),) = expected.items()
    for name, other in others.items():
        if other is not None and other.shape != values.shape:
            raise ValueError(f"{name} has shape {other.shape}, expected {values.shape} as {first} has.")
