"""Labels as tables: by name, into columns.

Labels come as arrays, whose columns have places, or as tables (pandas, astropy, structured arrays), whose columns have
names. `label_columns` reads either; `LabelColumns.positions` finds the column of each label by its name, in any
spelling, and refuses what is wrong, missing or there twice; `LabelColumns.values` gives the numbers, in the units of
the labels, with NaN where a table masks them.
"""

import difflib
import re
import sys
from typing import NamedTuple

import numpy as np

from skbcnn._validation import as_numbers
from skbcnn.survey import find_label, is_missing, label_unit

_ERROR_OF = re.compile("^e_|_err$", re.IGNORECASE)  # how columns of errors begin or end
_DEX = {"", "dex", "dex(1)", "dex(cm / s2)", "dex(cm s-2)"}  # units of logarithms that are dex, as astropy writes them


class LabelColumns(NamedTuple):
    """Labels as they came, column by column.

    Attributes
    ----------
    argument : str
        As which argument they came, for the messages.
    columns : list of array-like of shape (n_samples,)
        With what masks and units they have.
    names : tuple of str or None
        Of the columns, as they are spelt there; None where they have places only.
    shape : tuple of int
        Of the array that they would be.
    """

    argument: str
    columns: list
    names: tuple[str, ...] | None
    shape: tuple[int, ...]

    @property
    def single(self):
        """Whether they are one label in one dimension."""
        return len(self.shape) == 1

    @property
    def is_table(self):
        """Whether the columns have names, which must then be those of labels. That of a Series may say anything."""
        return self.names is not None and not self.single

    def names_once(self):
        """The names of the columns, refused if one of them is there twice.

        Returns
        -------
        names : tuple of str

        Raises
        ------
        ValueError
            Naming those that are.
        """
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise ValueError(
                f"{self.argument} has more than one column called {', '.join(twice)}. Keep one column for each label."
            )
        return self.names

    def by_place(self, label_names):
        """Whether columns are taken as they stand, for want of names on either side.

        Parameters
        ----------
        label_names : sequence of str
            The labels meant. Numbers from 0 are no names, unless the columns are called so too.

        Returns
        -------
        by_place : bool
        """
        numbers = tuple(map(str, range(len(label_names))))
        return self.names is None or (tuple(label_names) == numbers and set(self.names) != set(numbers))

    def positions(self, label_names):
        """Where the column of each label stands.

        Parameters
        ----------
        label_names : sequence of str
            The labels meant.

        Returns
        -------
        positions : list of int
            One for each label.

        Raises
        ------
        ValueError
            If the columns are not exactly those of the labels; all that is wrong is said at once.
        """
        if self.by_place(label_names) or not self.is_table:
            self._check_number(label_names)
            self._check_series(label_names)
            return list(range(len(self.columns)))
        found = self._matches(label_names)
        if faults := list(self._faults(label_names, found)):
            raise ValueError(
                f"The columns of {self.argument} are not those of the labels {', '.join(label_names)}: "
                f"{'; '.join(faults)}. {self._advice(found)}"
            )
        return [position for (position,) in found]

    def _check_number(self, label_names):
        if len(self.columns) != len(label_names):
            raise ValueError(
                f"{self.argument} has {len(self.columns)} columns, but there are {len(label_names)} labels: "
                f"{', '.join(label_names)}. Pass one column for each, in this order."
            )

    def _check_series(self, label_names):
        """Refuse a Series that is named as another label; a name that is no label says nothing."""
        if self.names is None or self.is_table:
            return
        (name,) = self.names
        known = _canonical(self._spelling(name, label_names))
        if known is not None and name not in label_names and known not in map(_canonical, label_names):
            raise ValueError(
                f"{self.argument} is named {name!r}, but the label is {', '.join(label_names)}. Pass the column of "
                f"that label, or target=[{known!r}]."
            )

    def _spelling(self, name, label_names):
        """The label that a column names, as the column spells it: columns of errors say that they are errors."""
        if self.argument != "y_err" or name in label_names:
            return name
        return _ERROR_OF.sub("", name)

    def _matches(self, label_names):
        """For each label the columns that mean it: spelt the same, or otherwise and of no label that is spelt so."""
        columns = [self._spelling(name, label_names) for name in self.names]
        known = [None if name in label_names else _canonical(name) for name in columns]
        return [
            [
                j
                for j, column in enumerate(columns)
                if column == name or (known[j] is not None and known[j] == _canonical(name))
            ]
            for name in label_names
        ]

    def _faults(self, label_names, found):
        """What keeps the columns from being those of the labels."""
        missing = [name for name, positions in zip(label_names, found, strict=True) if not positions]
        if missing:
            yield f"there is none for {', '.join(missing)}"
        for name, positions in zip(label_names, found, strict=True):
            if len(positions) > 1:
                yield f"{' and '.join(repr(self.names[j]) for j in positions)} mean the same label {name}"
        taken = {j for positions in found for j in positions}
        odd = [name for j, name in enumerate(self.names) if j not in taken]
        if odd:
            yield f"no label is meant by {', '.join(repr(name) + _did_you_mean(name, missing) for name in odd)}"

    def _advice(self, found):
        """What to do: the very expression, where the table holds all that is needed."""
        if not all(found):
            return "Rename or add columns, or name the labels that there are: target=[...]."
        if len(set(self.names)) < len(self.names):
            return "Keep one column for each label."
        return f"Pass {self.argument}[{[self.names[positions[0]] for positions in found]!r}]."

    def values(self, label_names, positions):
        """The labels as numbers.

        Parameters
        ----------
        label_names : sequence of str
            What they are.
        positions : sequence of int
            Which column is which, from `positions`.

        Returns
        -------
        values : ndarray of shape (n_samples, n_labels), float64
            In the units of the labels; NaN where a value is masked.

        Raises
        ------
        ValueError
            If a column holds something else than one number for each star, or has a unit that does not fit.
        """
        values = np.empty((self.shape[0], len(positions)))
        for j, (name, position) in enumerate(zip(label_names, positions, strict=True)):
            values[:, j] = self._column(position, name)
        return values

    def _column(self, position, label_name):
        """One column as numbers in the unit of its label."""
        column = self.columns[position]
        what = self.argument if self.names is None else f"Column {self.names[position]!r} of {self.argument}"
        values = as_numbers(_unmasked(column), what, self.shape[:1], "the table")
        unit = column.unit if _is_of_astropy(column, "Column", "Quantity") else None
        if unit is None or not (expected := label_unit(label_name)):
            return values
        return np.where(is_missing(values), np.nan, values * _factor(unit, expected, what))


def label_columns(values, argument="y"):
    """Labels, or their errors, in columns.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        A pandas DataFrame or Series, an astropy Table, Column or Quantity, a structured array, or plain numbers.
        Columns of a data frame that are called by whole numbers have no names.
    argument : {"y", "y_err"}, default="y"
        As which argument they came. Columns of errors may be called ``<label>_err`` or ``e_<label>`` instead.

    Returns
    -------
    labels : LabelColumns

    Raises
    ------
    ValueError
        If they are no numbers, or have another number of dimensions.

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
    labels = _read(values, argument)
    if not labels.columns:
        raise ValueError(f"{argument} has no columns. Pass one for each label.")
    return labels


def label_values(y, label_names):
    """Labels that are to be compared with those of a model, as numbers in its order.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        As in `label_columns`.
    label_names : sequence of str
        The labels of the model.

    Returns
    -------
    y : ndarray of the shape of `y`, float64
        NaN where a table masks it.

    Raises
    ------
    ValueError
        If a table has other columns than these labels.
    """
    labels = label_columns(y)
    return labels.values(label_names, labels.positions(label_names)).reshape(labels.shape)


def error_values(y_err, labels, label_names):
    """Label errors as numbers, in the order of the labels.

    Parameters
    ----------
    y_err : array-like of the shape of `y`, or table
        As in `label_columns`. Columns without names stand beside those of `y` as they came.
    labels : LabelColumns
        `y`.
    label_names : sequence of str
        The labels meant.

    Returns
    -------
    y_err : ndarray of shape (n_samples, n_labels), float64
        NaN where a table masks it.

    Raises
    ------
    ValueError
        If a table has other columns than the errors of these labels, or the shape differs from that of `y`.
    """
    errors = label_columns(y_err, "y_err")
    by_name = errors.is_table and not errors.by_place(label_names)
    if errors.shape != labels.shape and not (by_name and errors.shape[0] == labels.shape[0]):
        raise ValueError(f"y_err has shape {errors.shape}, expected {labels.shape} as y has: one for each entry.")
    order = labels.positions(label_names) if errors.by_place(label_names) else errors.positions(label_names)
    return errors.values(label_names, order)


_HOME = {"Table": "table", "Column": "table", "Quantity": "units", "Masked": "utils.masked"}  # of classes, in astropy


def _is_of_astropy(values, *names):
    """Whether these are of one of some classes of astropy, which is not imported: unless it was, nothing can be."""
    homes = (sys.modules.get(f"astropy.{_HOME[name]}") for name in names)
    return isinstance(values, tuple(getattr(home, name, ()) for home, name in zip(homes, names, strict=True)))


def _read(values, argument):
    if _is_of_astropy(values, "Table"):
        return _of_table(values, values.colnames, argument)
    if isinstance(values, np.ndarray) and values.dtype.names:
        return _of_table(values, values.dtype.names, argument)
    if hasattr(values, "columns") and hasattr(values, "shape"):
        return _of_data_frame(values, argument)
    return _of_array(values, argument)


def _of_table(table, names, argument):
    return LabelColumns(argument, [table[name] for name in names], tuple(names), (len(table), len(names)))


def _of_data_frame(frame, argument):
    """Columns by their place: two may have one name."""
    columns = [frame.iloc[:, j] if hasattr(frame, "iloc") else frame[:, j] for j in range(frame.shape[1])]
    numbered = all(isinstance(name, int | np.integer) for name in frame.columns)
    names = None if numbered else tuple(map(str, frame.columns))
    return LabelColumns(argument, columns, names, frame.shape)


def _of_array(values, argument):
    """Columns without names; a Series or Column may have one."""
    is_series = _is_of_astropy(values, "Column") or hasattr(values, "to_numpy")
    if not is_series and not isinstance(values, np.ma.MaskedArray) and not _is_of_astropy(values, "Masked", "Quantity"):
        values = as_numbers(values, argument)
    name = values.name if is_series and np.ndim(values) == 1 and isinstance(values.name, str) else None
    if np.ndim(values) not in (1, 2):
        raise ValueError(f"{argument} has shape {np.shape(values)}, expected (n_samples, n_labels) or (n_samples,).")
    columns = [values] if np.ndim(values) == 1 else [values[:, j] for j in range(values.shape[1])]
    return LabelColumns(argument, columns, (name,) if name else None, np.shape(values))


def _unmasked(column):
    """What is masked, or NA to pandas, as NaN."""
    if isinstance(column, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(column), np.nan, np.ma.getdata(column))
    if _is_of_astropy(column, "Masked"):
        return np.where(column.mask, np.nan, np.asarray(column.unmasked))
    if hasattr(getattr(column, "dtype", None), "na_value"):  # an extension type of pandas
        return column.to_numpy(dtype=object, na_value=np.nan)
    return np.asarray(column)


def _factor(unit, expected, what):
    """What values of one unit are to be multiplied by to be in another."""
    from astropy import units  # it is there, since the values have one of its units

    if expected == "dex" and str(unit) in _DEX:
        return 1.0
    try:
        if expected == "dex":  # astropy converts magnitudes, whose zero is another
            raise units.UnitConversionError
        return units.Unit(unit).to(units.Unit(expected))
    except units.UnitsError:
        raise ValueError(
            f"{what} has the unit {str(unit)!r}, which cannot be converted to {expected!r}. Convert it, or correct "
            "the unit of the column."
        ) from None


def _canonical(name):
    """The survey's name of a label, None if it knows none."""
    found = find_label(name)
    return None if found is None else found.name


def _did_you_mean(column, missing):
    near = difflib.get_close_matches(column.lower(), [name.lower() for name in missing], n=1)
    meant = [name for name in missing if name.lower() in near]
    return f" (did you mean {meant[0]}?)" if meant else ""
