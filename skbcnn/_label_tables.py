"""The one reader of labels that come as tables or arrays.

Labels come as arrays, whose columns have positions, or as tables (pandas, polars, astropy, structured arrays), whose
columns have names. `label_columns` reads either. `LabelColumns.positions` finds the column of each label by its name in
any spelling, and raises an error for missing, repeated and unknown columns. `LabelColumns.values` returns the numbers,
in the units of the labels, with NaN where a table masks them.

The functions on top combine these steps: `label_values` and `label_and_error_values` for labels whose names are known,
`label_array` and `label_names` for labels whose columns stay in the order in which they came.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from skbcnn._masked import fill_masked, refuse_other_containers
from skbcnn._prediction import Prediction
from skbcnn._validation import as_numbers
from skbcnn.survey import APOGEE_LABELS, find_label, is_missing, label_unit
from skbcnn.survey.other_quantities import hint_for_column

_ERROR_MARK = re.compile("^e_|_err$", re.IGNORECASE)  # prefix or suffix of columns that hold errors
_ARGUMENTS_OF_ERRORS = {"y_err", "y_std"}
_DEX = {"", "dex", "dex(1)", "dex(cm / s2)", "dex(cm s-2)"}  # astropy's names of logarithmic units that equal dex
_LABEL_UNITS = {"K", *_DEX}


class LabelColumns(NamedTuple):
    """Labels column by column, as the user passed them.

    Attributes
    ----------
    argument : str
        Name of the argument, for error messages.
    columns : list of array-like of shape (n_samples,)
        Columns with their masks and units.
    names : tuple of str or None
        Names of the columns as spelled in the table; None if the columns have positions only.
    shape : tuple of int
        Shape of the equivalent array.
    """

    argument: str
    columns: list[Any]
    names: tuple[str, ...] | None
    shape: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether the labels are one-dimensional."""
        return len(self.shape) == 1

    @property
    def is_table(self) -> bool:
        """Whether the columns have names that must be names of labels. The name of a Series may be anything."""
        return self.names is not None and not self.single

    def unique_names(self) -> tuple[str, ...]:
        """Return the names of the columns, which must differ.

        Returns
        -------
        names : tuple of str

        Raises
        ------
        ValueError
            If there are no names, or two columns have the same name.
        """
        if self.names is None:
            raise ValueError(f"The columns of {self.argument} have no names. Pass a table with a name for each label.")
        if repeated := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise ValueError(
                f"{self.argument} has more than one column called {', '.join(repeated)}. Keep one column for each "
                "label."
            )
        return self.names

    def ordered_by_position(self, label_names: Sequence[str]) -> bool:
        """Return whether columns are matched with labels by position, because one side has no names.

        Parameters
        ----------
        label_names : sequence of str
            Names of the expected labels. The numbers 0, 1, ... do not count as names, unless the columns have the same
            names.

        Returns
        -------
        by_position : bool
        """
        numbers = tuple(map(str, range(len(label_names))))
        return self.names is None or (tuple(label_names) == numbers and set(self.names) != set(numbers))

    def positions(self, label_names: Sequence[str]) -> list[int]:
        """Return the position of the column of each label.

        Parameters
        ----------
        label_names : sequence of str
            Names of the expected labels.

        Returns
        -------
        positions : list of int
            One position for each label.

        Raises
        ------
        ValueError
            If the columns are not exactly those of the labels. The message lists all faults.
        """
        if self.ordered_by_position(label_names) or not self.is_table:
            self._check_number(label_names)
            self._check_series(label_names)
            return list(range(len(self.columns)))
        matches = self._matches(label_names)
        if faults := list(self._faults(label_names, matches)):
            raise ValueError(
                f"The columns of {self.argument} are not those of the labels {', '.join(label_names)}: "
                f"{'; '.join(faults)}. {self._advice(matches)}"
            )
        return [position for (position,) in matches]

    def _check_number(self, label_names: Sequence[str]) -> None:
        if len(self.columns) != len(label_names):
            raise ValueError(
                f"{self.argument} has {len(self.columns)} columns, but there are {len(label_names)} labels: "
                f"{', '.join(label_names)}. Pass one column for each, in this order."
            )

    def _check_series(self, label_names: Sequence[str]) -> None:
        """Raise an error for a Series with the name of another label. A name that is no label is ignored."""
        if self.names is None or self.is_table:
            return
        (name,) = self.names
        known = canonical_name(self._label_part(name, label_names))
        if known is not None and name not in label_names and known not in map(canonical_name, label_names):
            raise ValueError(
                f"{self.argument} is named {name!r}, but the label is {', '.join(label_names)}. Pass the column of "
                f"that label, or target=[{known!r}]."
            )

    def _label_part(self, name: str, label_names: Sequence[str]) -> str:
        """Return the name of a column, without the mark of an error column in `y_err`."""
        if self.argument not in _ARGUMENTS_OF_ERRORS or name in label_names:
            return name
        return without_error_mark(name)

    def _matches(self, label_names: Sequence[str]) -> list[list[int]]:
        """Return the positions of the columns that match each label.

        A column matches a label of the same spelling. A column that is spelled like none of the labels matches the
        label with the same canonical name.
        """
        columns = [self._label_part(name, label_names) for name in self.names or ()]
        known = [None if name in label_names else canonical_name(name) for name in columns]
        return [
            [
                j
                for j, column in enumerate(columns)
                if column == name or (known[j] is not None and known[j] == canonical_name(name))
            ]
            for name in label_names
        ]

    def _faults(self, label_names: Sequence[str], matches: list[list[int]]) -> Iterator[str]:
        """Yield a description of each missing, repeated and unknown column."""
        names = self.names or ()
        missing = [name for name, positions in zip(label_names, matches, strict=True) if not positions]
        if missing:
            yield f"no column for {', '.join(missing)}"
        for name, positions in zip(label_names, matches, strict=True):
            if len(positions) > 1:
                yield f"{' and '.join(repr(names[j]) for j in positions)} are the same label {name}"
        matched = {j for positions in matches for j in positions}
        unknown = [name for j, name in enumerate(names) if j not in matched]
        if unknown:
            yield f"no label for column {', '.join(repr(name) + hint_for_column(name, missing) for name in unknown)}"

    def _advice(self, matches: list[list[int]]) -> str:
        """Return what to do, with the expression to pass if the table holds all labels."""
        names = self.names or ()
        if not all(matches):
            return "Rename or add columns, or name the labels of the table: target=[...]."
        if len(set(names)) < len(names):
            return "Keep one column for each label."
        return f"Pass {self.argument}[{[names[positions[0]] for positions in matches]!r}]."

    def positions_as_in(self, others: LabelColumns) -> list[int]:
        """Return the position of the column that belongs to each column of other labels of the same stars.

        Parameters
        ----------
        others : LabelColumns
            Labels whose order is wanted.

        Returns
        -------
        positions : list of int
            By name if both are tables whose names show another order; else in the order of the columns.

        Raises
        ------
        ValueError
            If a column has the name of another label, and the names do not match otherwise.
        """
        in_order = list(range(len(self.columns)))
        self._check_same_series(others)
        if not (self.is_table and others.is_table) or len(self.columns) != len(others.columns):
            return in_order
        theirs = [canonical_name(name) or name for name in others.names or ()]
        mine = [canonical_name(part) or part for part in (self._label_part(name, theirs) for name in self.names or ())]
        differ = [(a, b) for a, b in zip(theirs, mine, strict=True) if a != b]
        if any((a in mine or canonical_name(a)) and (b in theirs or canonical_name(b)) for a, b in differ):
            return self.positions(others.unique_names())
        return in_order

    def _check_same_series(self, others: LabelColumns) -> None:
        """Raise an error for a Series or a column with the name of another label than the other one has."""
        if not (self.names and others.names and len(self.names) == len(others.names) == 1):
            return
        (name,), (other,) = self.names, others.names
        mine, theirs = canonical_name(self._label_part(name, [other])), canonical_name(other)
        if mine is not None and theirs is not None and mine != theirs:
            raise ValueError(
                f"{self.argument} is of {name!r}, but {others.argument} is of {other!r}. Pass the same label in both."
            )

    def renamed(self, label_names: Sequence[str]) -> LabelColumns:
        """Return the columns under other names, and in the order of these if the columns have the names, too.

        Parameters
        ----------
        label_names : sequence of str
            One name for each column.

        Returns
        -------
        labels : LabelColumns
            Always with two dimensions.

        Raises
        ------
        ValueError
            If a column has the name of another label, and the names do not match otherwise.
        """
        shape = (self.shape[0], len(self.columns))
        wanted = LabelColumns("label_names", list(label_names), tuple(label_names), shape)
        columns = [self.columns[position] for position in self.positions_as_in(wanted)]
        return LabelColumns(self.argument, columns, wanted.names, shape)

    def units(self) -> list[Any]:
        """Return the unit of each column, None if it has none."""
        return [_unit_of(column) for column in self.columns]

    def values(
        self, label_names: Sequence[str], positions: Sequence[int], units: Sequence[Any] | None = None
    ) -> np.ndarray:
        """Return the labels as numbers.

        Parameters
        ----------
        label_names : sequence of str
            Names of the labels.
        positions : sequence of int
            Position of the column of each label, from `positions`.
        units : sequence of astropy unit or None, default=None
            Units of the labels that the survey does not know, in the order of the labels. None: as they are.

        Returns
        -------
        values : ndarray of shape (n_samples, n_labels), float64
            Labels in their units; NaN where a value is masked.

        Raises
        ------
        ValueError
            If a column does not hold one number for each star, or its unit cannot be converted.
        """
        values = np.empty((self.shape[0], len(positions)))
        for j, (name, position) in enumerate(zip(label_names, positions, strict=True)):
            values[:, j] = self._column(position, label_unit(name) or (units[j] if units is not None else None))
        return values

    def describe(self, position: int) -> str:
        """Return what a column is called in messages."""
        return self.argument if self.names is None else f"Column {self.names[position]!r} of {self.argument}"

    def _column(self, position: int, expected: Any) -> np.ndarray:
        """Return one column as numbers in a unit, unless it is None."""
        description = self.describe(position)
        values = as_numbers(fill_masked(self.columns[position]), description, self.shape[:1], "the table")
        unit = _unit_of(self.columns[position])
        if unit is None or expected is None:
            return values
        return np.where(is_missing(values), np.nan, values * _unit_factor(unit, expected, description))


def canonical_name(name: str) -> str | None:
    """Return the canonical name of a label, or None for a label that the survey does not know.

    Parameters
    ----------
    name : str
        Any spelling of a label, or any other name.

    Returns
    -------
    name : str or None
    """
    found = find_label(name)
    return None if found is None else found.name


def without_error_mark(name: str) -> str:
    """Return the name of a column of errors without the mark that says so: ``<label>_err`` or ``e_<label>``."""
    return _ERROR_MARK.sub("", name)


def label_columns(values: Any, argument: str = "y") -> LabelColumns:
    """Read labels, or their errors, column by column.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_labels) or (n_samples,), table, or LabelColumns
        A pandas or polars DataFrame or Series, an astropy Table, Column or Quantity, a structured array, or plain
        numbers. LabelColumns are returned. Columns of a DataFrame that are named by integers have no names.
    argument : str, default="y"
        Name of the argument, for error messages. Columns of ``"y_err"`` may be called ``<label>_err`` or
        ``e_<label>``.

    Returns
    -------
    labels : LabelColumns

    Raises
    ------
    ValueError
        If the values are not numbers, or have zero or more than two dimensions.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from skbcnn._label_tables import label_columns
    >>> stars = label_columns(Table({"[Mg/H]": [0.1, -9999.0], "TEFF": [4700, 4800]}))
    >>> order = stars.positions(["teff", "Mg"])
    >>> order
    [1, 0]
    >>> stars.values(["teff", "Mg"], order)
    array([[ 4.700e+03,  1.000e-01],
           [ 4.800e+03, -9.999e+03]])
    """
    if isinstance(values, LabelColumns):
        return values
    labels = _read(values, argument)
    if not labels.columns:
        raise ValueError(f"{argument} has no columns. Pass one for each label.")
    return labels


def label_values(y: Any, label_names: Sequence[str]) -> np.ndarray:
    """Return labels as numbers in the order of the labels of a model.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Labels, as in `label_columns`.
    label_names : sequence of str
        Names of the labels of the model.

    Returns
    -------
    y : ndarray of the shape of `y`, float64
        NaN where a table masks a value.

    Raises
    ------
    ValueError
        If the columns of a table are not those of the labels.
    """
    labels = label_columns(y)
    return labels.values(label_names, labels.positions(label_names)).reshape(labels.shape)


def label_and_error_values(y: Any, y_err: Any, label_names: Sequence[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return labels and their errors as numbers in the order of the labels of a model.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Labels, as in `label_columns`.
    y_err : array-like of the shape of `y`, table, or None
        Errors of the labels, as in `error_values`.
    label_names : sequence of str
        Names of the labels of the model.

    Returns
    -------
    y : ndarray of shape (n_samples, n_labels), float64
        NaN where a table masks a value.
    y_err : ndarray of shape (n_samples, n_labels), float64, or None
        NaN where a table masks a value.

    Raises
    ------
    ValueError
        If the columns of a table are not those of the labels, or the shapes differ.
    """
    labels = label_columns(y)
    values = labels.values(label_names, labels.positions(label_names))
    return values, None if y_err is None else error_values(y_err, labels, label_names)


def error_values(y_err: Any, labels: LabelColumns, label_names: Sequence[str]) -> np.ndarray:
    """Return label errors as numbers in the order of the labels of a model.

    Parameters
    ----------
    y_err : array-like of the shape of `y`, or table
        Errors, as in `label_columns`. Columns without names are in the order of the columns of `y`.
    labels : LabelColumns
        The labels `y`.
    label_names : sequence of str
        Names of the labels of the model.

    Returns
    -------
    y_err : ndarray of shape (n_samples, n_labels), float64
        NaN where a table masks a value.

    Raises
    ------
    ValueError
        If the columns of a table are not the errors of these labels, or the shape differs from that of `y`.
    """
    errors = label_columns(y_err, "y_err")
    by_position = errors.ordered_by_position(label_names)
    by_name = errors.is_table and not by_position
    if errors.shape != labels.shape and not (by_name and errors.shape[0] == labels.shape[0]):
        raise ValueError(f"y_err has shape {errors.shape}, expected {labels.shape} as y has: one for each entry.")
    positions = labels.positions(label_names)
    units = [_unit_of(labels.columns[position]) for position in positions]
    return errors.values(label_names, positions if by_position else errors.positions(label_names), units)


def label_array(values: Any, argument: str = "y", like: LabelColumns | None = None) -> np.ndarray:
    """Return labels as numbers, with the columns in the order in which they came.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Labels or their standard deviations, as in `label_columns`.
    argument : str, default="y"
        Name of the argument, for error messages.
    like : LabelColumns, default=None
        Labels of the same stars, whose order and units are used. Columns of a table are matched to them by name.

    Returns
    -------
    values : ndarray of shape (n_samples, n_labels), float64
        One column for one-dimensional `values`. NaN where a table masks a value. Columns with the name of a label are
        converted to its unit.

    Raises
    ------
    ValueError
        If the values are not numbers, or have zero or more than two dimensions, or units cannot be converted.

    Examples
    --------
    >>> from skbcnn._label_tables import label_array
    >>> label_array([4700.0, 4800.0])
    array([[4700.],
           [4800.]])
    """
    labels = label_columns(values, argument)
    without_names = [""] * len(labels.columns)
    if like is None or len(like.columns) != len(labels.columns):
        return labels.values(labels.names or without_names, range(len(labels.columns)))
    positions = labels.positions_as_in(like)
    names = like.names or [labels.names[position] for position in positions] if labels.names else like.names
    _check_units(labels, like, positions, names)
    return labels.values(names or without_names, positions, like.units())


def _check_units(labels: LabelColumns, like: LabelColumns, positions: Sequence[int], names: Any) -> None:
    """Refuse a column with a unit and one without, where neither a name nor the unit says which label it is."""
    if names is not None:
        return
    for theirs, position in zip(like.units(), positions, strict=True):
        mine = _unit_of(labels.columns[position])
        with_unit, unit, without = (labels, mine, like) if theirs is None else (like, theirs, labels)
        if (theirs is None) != (mine is None) and str(unit) not in _LABEL_UNITS:
            raise ValueError(
                f"{with_unit.argument} has the unit {str(unit)!r}, but {without.argument} has none. Pass both with "
                "units, or both as numbers."
            )


def label_names(values: Any) -> tuple[str, ...] | None:
    """Return the names of the labels in a table or an array.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        Labels, as in `label_columns`.

    Returns
    -------
    names : tuple of str or None
        Names of the columns; the 22 labels of APOGEE for 22 columns without names; otherwise the numbers that a
        DataFrame has as column names, or None.

    Examples
    --------
    >>> import pandas as pd
    >>> from skbcnn._label_tables import label_names
    >>> label_names(pd.DataFrame({"TEFF": [4700.0], "[Mg/H]": [0.1]}))
    ('TEFF', '[Mg/H]')
    """
    labels = label_columns(values)
    if labels.names is not None:
        return labels.names
    if labels.shape[1:] == (len(APOGEE_LABELS),):
        return APOGEE_LABELS
    if hasattr(values, "columns"):
        return tuple(map(str, values.columns))
    name = getattr(values, "name", None)
    return None if name is None else (str(name),)


_ASTROPY_MODULES = {"Table": "table", "Column": "table", "Quantity": "units", "Masked": "utils.masked"}  # by class


def _is_from_astropy(values: Any, *class_names: str) -> bool:
    """Return whether a value has one of these classes of astropy.

    astropy is not imported: if it was not imported before, no value can be of its classes.
    """
    modules = [sys.modules.get(f"astropy.{_ASTROPY_MODULES[name]}") for name in class_names]
    classes = [getattr(module, name, None) for module, name in zip(modules, class_names, strict=True)]
    return isinstance(values, tuple(cls for cls in classes if cls is not None))


def _read(values: Any, argument: str) -> LabelColumns:
    if values is None or isinstance(values, Prediction):
        remedy = f"{argument}.mean" if isinstance(values, Prediction) else "one with a column for each label"
        raise ValueError(f"{argument} is a {type(values).__name__}, expected an array or a table. Pass {remedy}.")
    refuse_other_containers(values, argument)
    if _is_from_astropy(values, "Table"):
        return _read_table(values, values.colnames, argument)
    if isinstance(values, np.ndarray | np.void) or not hasattr(values, "columns"):
        values = fill_masked(values) if isinstance(values, list | tuple) else values
        if getattr(getattr(values, "dtype", None), "names", None):
            values = values if isinstance(values, np.ndarray) else np.asarray(values)
            return _read_table(np.atleast_1d(values), values.dtype.names, argument)
    if hasattr(values, "columns") and hasattr(values, "shape"):
        return _read_data_frame(values, argument)
    return _read_array(values, argument)


def _read_table(table: Any, names: Sequence[str], argument: str) -> LabelColumns:
    return LabelColumns(argument, [table[name] for name in names], tuple(names), (len(table), len(names)))


def _read_data_frame(frame: Any, argument: str) -> LabelColumns:
    """Read columns by position, because two columns may have the same name."""
    if hasattr(frame, "column_names"):  # of pyarrow, whose attribute `columns` has the values
        columns = [column.to_numpy() for column in frame.columns]
        return LabelColumns(argument, columns, tuple(frame.column_names), frame.shape)
    columns = [frame.iloc[:, j] if hasattr(frame, "iloc") else frame[:, j] for j in range(frame.shape[1])]
    numbered = all(isinstance(name, int | np.integer) for name in frame.columns)
    names = None if numbered else tuple(map(str, frame.columns))
    return LabelColumns(argument, columns, names, frame.shape)


def _read_array(values: Any, argument: str) -> LabelColumns:
    """Read an array, whose columns have no names, or a Series or Column, which may have a name."""
    is_series = _is_from_astropy(values, "Column") or hasattr(values, "to_numpy")
    if not (is_series or isinstance(values, np.ma.MaskedArray) or _is_from_astropy(values, "Masked", "Quantity")):
        values = as_numbers(fill_masked(values), argument)
    name = values.name if is_series and np.ndim(values) == 1 and isinstance(values.name, str) else None
    if np.ndim(values) not in (1, 2):
        raise ValueError(
            f"{argument} has shape {np.shape(values)}, expected (n_samples, n_labels) or (n_samples,). "
            "Pass one row for each star."
        )
    columns = [values] if np.ndim(values) == 1 else [values[:, j] for j in range(values.shape[1])]
    return LabelColumns(argument, columns, (name,) if name else None, np.shape(values))


def _unit_of(column: Any) -> Any:
    """Return the unit of a column of astropy; None for all others."""
    return column.unit if _is_from_astropy(column, "Column", "Quantity") else None  # a masked quantity is one, too


def _unit_factor(unit: Any, expected: Any, description: str) -> float:
    """Return the factor that converts values from one unit to another."""
    from astropy import units  # already imported, because the values have a unit of astropy

    if expected == "dex" and str(unit) in _DEX:
        return 1.0
    try:
        if expected == "dex" or _is_logarithmic(unit):  # astropy converts one logarithm of each, which is no factor
            raise units.UnitConversionError
        return units.Unit(unit).to(units.Unit(expected))
    except (units.UnitsError, TypeError):
        raise ValueError(
            f"{description} has the unit {str(unit)!r}, which cannot be converted to {str(expected)!r}. "
            f"{_unit_advice(unit, str(expected))}"
        ) from None


def _is_logarithmic(unit: Any) -> bool:
    """Return whether a unit is of a logarithm: dex, magnitudes or decibels."""
    return hasattr(unit, "physical_unit") or str(unit) in ("dex", "mag", "dB")


def _unit_advice(unit: Any, expected: str) -> str:
    """Return what to pass instead of values with a unit that means another quantity."""
    text = str(unit)
    if not text:
        return f"It is dimensionless. Pass values in {expected}, or numbers without units."
    if text == "%":
        return "It is a percentage: multiply it by the label and divide by 100 for an error, or pass the label itself."
    if text.startswith("mag") or text == "dB":
        return f"It is a magnitude or level, not a label in {expected}. Pass the column of the label."
    if expected == "K" and _is_logarithmic(unit):
        return "It is the logarithm of the temperature: pass 10 to this power, in K."
    if text == "deg_C":
        return "Add 273.15, and pass it in K."
    acceleration = getattr(getattr(unit, "physical_unit", unit), "physical_type", None)
    if expected == "dex" and str(acceleration) == "acceleration":
        if _is_logarithmic(unit):
            return "Log g is the logarithm of the gravity in cm/s2: add 2 to the logarithm in m/s2."
        return "It is the gravity itself: pass its logarithm to base 10, with the gravity in cm/s2."
    return "Convert it, or correct the unit of the column."
