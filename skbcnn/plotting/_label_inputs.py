"""Check labels, their names and their error bars, which users pass to displays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skbcnn._label_tables import LabelColumns, canonical_name, label_array, label_columns, without_error_mark
from skbcnn._label_tables import label_names as names_in
from skbcnn._prediction import Prediction
from skbcnn.survey import is_missing


def labels_and_errors(y_pred: Any, y_std: Any = None) -> tuple[Any, Any]:
    """Return predicted labels and their error bars, which a `Prediction` holds together.

    Parameters
    ----------
    y_pred : array-like of shape (n_samples, n_labels) or (n_samples,), table, or Prediction
        Predicted labels.
    y_std : array-like of the shape of `y_pred`, or table, default=None
        Error bars that the user passes.

    Returns
    -------
    y_pred : array-like, table or LabelColumns
        Means of a prediction with the names of the labels.
    y_std : array-like, table, LabelColumns or None
        The error bars that the user passes. None: those of a prediction, calibrated if it has such; none for all other
        `y_pred`.

    Raises
    ------
    ValueError
        If `y_std` is a prediction.
    """
    if isinstance(y_std, Prediction):
        raise ValueError(
            "y_std is a Prediction, expected an array or a table of error bars. Pass the Prediction as y_pred, the "
            "first argument of an AbundancePlaneDisplay, without y_std; or its std() as y_std."
        )
    if not isinstance(y_pred, Prediction):
        return y_pred, y_std
    if y_std is None:
        std = y_pred.total if y_pred.calibrated is None else y_pred.calibrated
        y_std = _with_names(std, "y_std", y_pred.label_names)
    return _with_names(y_pred.mean, "y_pred", y_pred.label_names), y_std


def _with_names(values: np.ndarray, argument: str, names: Sequence[str]) -> LabelColumns:
    """Return an array of a prediction as a table: (n_samples, n_labels), also for one label."""
    columns = label_columns(values, argument).columns
    return LabelColumns(argument, columns, tuple(names), (len(values), len(columns)))


def shared_names(label_names: Sequence[str] | str | None, y_true: Any, y_pred: Any) -> tuple[str, ...]:
    """Return the names of the labels of a display that shows true and predicted labels.

    Parameters
    ----------
    label_names : str, sequence of str, or None
        Names that the user passes.
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels.
    y_pred : array-like of the shape of `y_true`, table or LabelColumns
        Predicted labels, from `labels_and_errors`.

    Returns
    -------
    names : tuple of str
        Those that the user passes, or else of a prediction, of the columns of `y_true`, of those of `y_pred`, or the 22
        labels of APOGEE for 22 columns without names.

    Raises
    ------
    ValueError
        If there is not one name for each column of `y_true`.
    """
    if label_names is None:
        given = [y_pred, y_true] if isinstance(y_pred, LabelColumns) else [y_true, y_pred]
        columns = [label_columns(values, "labels") for values in given]
        label_names = next((found.names for found in columns if found.names is not None), None)
    return column_names(label_names, y_true, "y_true")


def column_of_label(
    values: Any,
    argument: str,
    label_name: str | None,
    label_names: Sequence[str] | str | None = None,
    other_names: Sequence[str] | None = None,
) -> LabelColumns | None:
    """Return one label of several, for a display of one label.

    Parameters
    ----------
    values : array-like of shape (n_samples,) or (n_samples, n_labels), table, LabelColumns or None
        Labels or their error bars. A single column is that of the label.
    argument : str
        Name of the argument, for error messages.
    label_name : str or None
        Any spelling of the label.
    label_names : str, sequence of str, or None
        Names of the columns that the user passes.
    other_names : sequence of str, default=None
        Names of the columns of another argument. They are used for as many columns without names.

    Returns
    -------
    column : LabelColumns or None
        Of one dimension; None if `values` is None.

    Raises
    ------
    ValueError
        If there are several columns, and none has the name of the label.
    """
    if values is None:
        return None
    columns = label_columns(values, argument)
    if len(columns.columns) == 1:
        return columns._replace(shape=columns.shape[:1])
    if label_names is not None:
        columns = columns.renamed(column_names(label_names, values, argument))
    names = columns.names
    if names is None:
        is_alike = other_names is not None and len(other_names) == len(columns.columns)
        names = tuple(other_names or ()) if is_alike else column_names(None, values, argument)
    names = tuple(map(without_error_mark, names)) if argument == "y_std" else names
    column = column_of(label_name, names, owner=argument)
    return LabelColumns(argument, [columns.columns[column]], (names[column],), columns.shape[:1])


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
    return without_missing(errors)


def without_missing(errors: np.ndarray) -> np.ndarray:
    """Return error bars with NaN where they are missing, and raise an error for negative ones.

    Parameters
    ----------
    errors : ndarray
        Error bars; NaN or at most -9990 where missing.

    Returns
    -------
    errors : ndarray

    Raises
    ------
    ValueError
        If an error bar is negative.
    """
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
