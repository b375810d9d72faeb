"""Masked and absent values, in any container of numbers or names: NumPy, pandas, polars, astropy and lists.

`fill_masked` replaces them by NaN, for arguments in which a value may be missing. `refuse_masked` raises an error, for
arguments in which none may, and `plain_numbers` also returns the numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

NO_NUMBERS = {
    "c": "complex numbers",
    "m": "time differences",
    "M": "dates",
    "V": "records with fields",
}  # by kind of dtype
_ABSENT = {"NoneType", "NAType", "NaTType", "MaskedConstant"}  # classes of the values that mean "absent"


def fill_masked(values: Any) -> Any:
    """Return values with NaN where they are masked or absent.

    Parameters
    ----------
    values : array-like
        Values that the user passed: an array, a column, a Series, or a list, which may hold arrays and lists.

    Returns
    -------
    values : array-like
        Masked containers as arrays without their unit, a list with quantities as one Quantity, and all others as they
        are where nothing is absent.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._masked import fill_masked
    >>> fill_masked(np.ma.array([1.0, 2.0], mask=[False, True]))
    array([ 1., nan])
    >>> fill_masked([1.0, None])
    [1.0, nan]
    """
    if isinstance(values, list | tuple):
        return _fill_list(values)
    if isinstance(values, np.ma.MaskedArray):
        return _nan_where(np.ma.getmaskarray(values), np.ma.getdata(values))
    if is_astropy_masked(values):
        return _nan_where(values.mask, values.unmasked)
    if hasattr(getattr(values, "dtype", None), "na_value"):  # an extension type of pandas
        return values.to_numpy(dtype=object, na_value=np.nan)
    if getattr(values, "dtype", None) == np.dtype(object):
        objects = np.asarray(values)
        return np.where(_absent(objects), np.nan, objects)
    return values


def filled_array(values: Any) -> np.ndarray:
    """Return an array with NaN where values are masked or absent, also in a data frame of objects.

    Parameters
    ----------
    values : array-like
        Values that the user passed.

    Returns
    -------
    values : ndarray

    Examples
    --------
    >>> import pandas as pd
    >>> from skbcnn._masked import filled_array
    >>> filled_array(pd.DataFrame({"a": [1, pd.NA]}, dtype=object)).astype(float)
    array([[ 1.],
           [nan]])
    """
    return np.asarray(fill_masked(np.asarray(fill_masked(values))))


def is_masked(values: Any) -> np.ndarray:
    """Return which values are masked or absent (None, NA, NaT). NaN is neither.

    Parameters
    ----------
    values : array-like
        Numbers or names.

    Returns
    -------
    masked : ndarray of bool of the shape of `values`

    Examples
    --------
    >>> from skbcnn._masked import is_masked
    >>> is_masked(["a", None])
    array([False,  True])
    """
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        return mask if mask.dtype.names is None else np.zeros(mask.shape, dtype=bool)
    if is_astropy_masked(values):
        return np.asarray(values.mask)
    if hasattr(getattr(values, "dtype", None), "na_value"):
        return np.asarray(values.isna())
    if isinstance(values, list | tuple):
        if values and all(_is_row(row) and len(row) == len(values[0]) for row in values):
            return np.stack([is_masked(row) for row in values])
        objects = np.empty(len(values), dtype=object)
        for j, value in enumerate(values):
            objects[j] = np.ma.masked if np.ma.is_masked(value) and np.ndim(value) == 0 else value
        return _absent(objects)
    array = np.asarray(values)
    return _absent(array) if array.dtype == object else np.zeros(array.shape, dtype=bool)


def _is_row(value: Any) -> bool:
    """Whether a value is a row of several: a sequence, or an array of at least one dimension."""
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def refuse_masked(values: Any, argument: str, remedy: str) -> None:
    """Raise an error if a value is masked or absent.

    Parameters
    ----------
    values : array-like
        Value of an argument in which nothing may be missing.
    argument : str
        Name of the argument.
    remedy : str
        What to do instead, as a sentence without its full stop.

    Raises
    ------
    ValueError
        If a value is masked, None, NA or NaT.
    """
    if n_masked := int(is_masked(values).sum()):
        raise ValueError(f"{argument} is masked or absent in {n_masked} places, where a value is needed. {remedy}.")


def refuse_other_containers(values: Any, argument: str, expected: str = "an array or a table") -> None:
    """Raise an error for what is neither an array nor a table, and say how to make one of it.

    Parameters
    ----------
    values : object
        Argument that the user passed.
    argument : str
        Its name.
    expected : str, default="an array or a table"
        What it should be.

    Raises
    ------
    TypeError
        If it is sparse, as scikit-learn raises.
    ValueError
        If it is a mapping, an iterator, a set, or a table that is not computed yet.
    """
    came: str = type(values).__name__
    error: type[Exception] = ValueError
    if hasattr(values, "collect_schema") and hasattr(values, "lazy") and not hasattr(values, "shape"):
        remedy = f"{argument}.collect()"
    elif hasattr(values, "toarray") and hasattr(values, "nnz"):
        came, error, remedy = f"sparse {came}", TypeError, f"{argument}.toarray()"
    elif isinstance(values, Mapping):
        remedy = f"pandas.DataFrame({argument}) or astropy.table.Table({argument})"
        if "table" not in expected:
            remedy = f"the array that it holds, such as {argument}['flux']"
    elif isinstance(values, Iterator | set | frozenset):
        remedy = f"a list or an array in the order of the stars, such as list({argument})"
    else:
        return
    raise error(f"{argument} is a {came}, expected {expected}. Pass {remedy}.")


def plain_numbers(values: Any, argument: str, remedy: str) -> np.ndarray:
    """Return values of an argument in which nothing may be missing, as a float64 array.

    Parameters
    ----------
    values : array-like
        Numbers without a unit.
    argument : str
        Name of the argument.
    remedy : str
        What to do instead, as a sentence without its full stop.

    Returns
    -------
    values : ndarray, float64

    Raises
    ------
    ValueError
        If a value is masked or absent, no number, or has a unit.

    Examples
    --------
    >>> from skbcnn._masked import plain_numbers
    >>> plain_numbers([1, 2], "levels", "Leave it out")
    array([1., 2.])
    """
    refuse_masked(values, argument, remedy)
    unit = getattr(values, "unit", None)
    if unit is not None and str(unit) != "":
        raise ValueError(f"{argument} has the unit {str(unit)!r}, expected numbers without a unit. {remedy}.")
    return as_float64(values, argument, remedy)


def as_float64(values: Any, argument: str, remedy: str) -> np.ndarray:
    """Return values without mask and unit as a float64 array.

    Parameters
    ----------
    values : array-like
        Values that the user passed.
    argument : str
        Name of the argument.
    remedy : str
        What to do instead, as a sentence without its full stop.

    Returns
    -------
    values : ndarray, float64

    Raises
    ------
    ValueError
        If they are not numbers.

    Examples
    --------
    >>> from skbcnn._masked import as_float64
    >>> as_float64([1, 2], "levels", "Leave it out")
    array([1., 2.])
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in NO_NUMBERS:
            raise TypeError(f"they are {NO_NUMBERS[array.dtype.kind]}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{argument} holds values that are not numbers ({error}). {remedy}.") from error


def check_groups(values: Any, argument: str, n_samples: int, kind: str = "star") -> np.ndarray:
    """Return the name or number of the star, or of another group, of each spectrum.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        Names or numbers; equal ones mean the same star.
    argument : str
        Name of the argument.
    n_samples : int
        Number of spectra.
    kind : str, default="star"
        What the names are of, for error messages.

    Returns
    -------
    groups : ndarray of shape (n_samples,)
        Objects are converted to text.

    Raises
    ------
    ValueError
        If there is not one for each spectrum, or one is masked or missing: None, NaN, -9999 or an empty text.

    Examples
    --------
    >>> from skbcnn._masked import check_groups
    >>> check_groups(["2M0001", "2M0002"], "star", 2)
    array(['2M0001', '2M0002'], dtype='<U6')
    """
    groups, missing = np.asarray(values), is_masked(values)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"{argument} has shape {groups.shape}, expected ({n_samples},): the name or number of the {kind} of each "
            "spectrum."
        )
    if groups.dtype.kind in NO_NUMBERS:
        raise ValueError(f"{argument} holds {groups.dtype}, expected names or numbers of {kind}s.")
    if n_missing := int((missing | _is_no_name(groups)).sum()):
        raise ValueError(
            f"{argument} is masked or missing (NaN, None, -9999 or empty) for {n_missing} of {n_samples} spectra. Name "
            f"the {kind} of each spectrum; a spectrum whose {kind} is unknown needs a name of its own."
        )
    return groups.astype(str) if groups.dtype == object else groups


def _is_no_name(groups: np.ndarray) -> np.ndarray:
    """Return which names or numbers of stars are NaN, -9999 or empty."""
    if groups.dtype.kind in "fiub":
        return np.isnan(groups) | (groups == -9999)
    return np.isin(np.char.strip(groups.astype(str)), ("", "nan", "-9999", "-9999.0"))


def _fill_list(values: list | tuple) -> Any:
    """Return a list with NaN in place of masked and absent values; one of quantities as a Quantity."""
    filled: list[Any] = [_fill_item(value) for value in values]
    units = sys.modules.get("astropy.units")  # a quantity exists only if astropy was imported
    if units is not None and any(isinstance(value, units.Quantity) for value in filled):
        return units.Quantity(filled)
    return filled


def _fill_item(value: Any) -> Any:
    if type(value).__name__ in _ABSENT:
        return np.nan
    return fill_masked(value) if isinstance(value, list | tuple | np.ndarray) else value


def _absent(objects: np.ndarray) -> np.ndarray:
    """Return which objects of an array are None, NA, NaT or the masked constant."""
    found = [type(value).__name__ in _ABSENT for value in objects.ravel()]
    return np.array(found, dtype=bool).reshape(objects.shape)


def is_astropy_masked(values: Any) -> bool:
    """Return whether values are a masked array or quantity of astropy, which is not imported for this.

    Parameters
    ----------
    values : object
        Argument of the user.

    Returns
    -------
    is_astropy_masked : bool
    """
    module = sys.modules.get("astropy.utils.masked")
    return module is not None and isinstance(values, module.Masked)


def _nan_where(mask: np.ndarray, data: Any) -> np.ndarray:
    """Return data without their unit, and with NaN where the mask is set. Data of several fields are not changed."""
    numbers = np.asarray(data)
    return np.where(mask, np.nan, numbers) if numbers.dtype.names is None and np.any(mask) else numbers
