"""Spectra, flux errors and bitmasks of users as arrays: masked pixels are bad, and units are honoured.

`as_pixels` takes one argument apart into values, mask and unit. `plain_spectra` returns the input of a model.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, cast

import numpy as np

from skbcnn._lazy_rows import LazyRows
from skbcnn._masked import NO_NUMBERS, filled_array, is_astropy_masked, is_masked, refuse_other_containers

_OF_SPECTRA = ("flux", "error", "bitmask", "normalized")  # attributes of `skbcnn.datasets.Spectra`


class Pixels(NamedTuple):
    """One value for each pixel, as the user passed it.

    Attributes
    ----------
    values : array-like
        Values without mask and unit. Containers without these are not changed.
    mask : ndarray of bool of the shape of `values`, or None
        True for masked values; None if there are none.
    unit : astropy.units.Unit or None
        None if there is none.
    """

    values: Any
    mask: np.ndarray | None
    unit: Any

    def filled(self, value: float) -> Any:
        """Return the values with a number where they are masked.

        Parameters
        ----------
        value : float
            The number; NaN turns integers into float64.

        Returns
        -------
        values : array-like
            The same object if nothing is masked.
        """
        return self.values if self.mask is None else with_value(self.values, self.mask, value)


def as_pixels(values: Any, name: str) -> Pixels:
    """Take values, mask and unit of an argument apart.

    Parameters
    ----------
    values : array-like
        NumPy or astropy array with or without a mask or a unit, a list of these, a DataFrame, and so on.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    pixels : Pixels

    Raises
    ------
    ValueError
        If `values` is a table of several columns, the object of a reader, no array, or does not hold numbers.
    TypeError
        If it holds objects that are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._arrays import as_pixels
    >>> as_pixels(np.ma.array([[1.0, 2.0]], mask=[[False, True]]), "X").filled(0)
    array([[1., 0.]])
    """
    if is_spectra(values):
        raise ValueError(
            f"{name} is the object of a reader of files, expected an array. Pass it as `flux` to prepare_spectra or "
            "prepare_for_model, which return arrays."
        )
    if hasattr(values, "colnames") or getattr(getattr(values, "dtype", None), "names", None):
        raise ValueError(
            f"{name} is a {type(values).__name__} with named columns, expected an array of shape (n_samples, "
            f"n_pixels). Pass the column that holds the spectra, such as {name}['flux']."
        )
    refuse_other_containers(values, name, "an array of shape (n_samples, n_pixels)")
    if isinstance(values, list | tuple):
        values = stacked(values)
    values = with_numbers(values, name)
    if isinstance(values, np.ma.MaskedArray):
        mask, unit = np.ma.getmaskarray(values), getattr(values, "unit", None)
        values = np.asarray(np.ma.getdata(values))
    elif is_astropy_masked(values):
        mask, unit = np.asarray(values.mask), getattr(values, "unit", None)
        values = np.asarray(values.unmasked)
    elif isinstance(values, np.ndarray) and (unit := getattr(values, "unit", None)) is not None:
        mask, values = None, np.asarray(values)
    else:
        return Pixels(values, None, None)
    return Pixels(values, mask if mask is not None and mask.any() else None, unit)


def as_array(values: Any) -> np.ndarray:
    """Return values without a mask and a unit as an array of numbers, if they are numbers.

    Parameters
    ----------
    values : array-like
        Values. Those of nullable columns of pandas are an array of objects, with NA where they are absent.

    Returns
    -------
    values : ndarray
        NaN where values are absent; of objects or text if they are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._arrays import as_array
    >>> as_array(np.array([1, None], dtype=object))
    array([ 1., nan])
    """
    if isinstance(values, LazyRows):  # of numbers
        return cast("np.ndarray", values)
    array = np.asarray(values)
    if array.dtype != object:
        return array
    try:
        numbers = np.array(filled_array(values).tolist())
    except (TypeError, ValueError):  # rows of different lengths
        return array
    return numbers if numbers.dtype.kind in "fiub" else array


def with_numbers(values: Any, name: str) -> Any:
    """Return values with NaN in place of absent objects; refuse what does not hold numbers.

    Parameters
    ----------
    values : array-like
        Values without a mask. Data frames keep the names of their columns.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    values : array-like
        The same object, unless it is a list, or holds objects or text.

    Raises
    ------
    ValueError
        If there are no values, rows differ in length, or values are words, complex, dates or time differences.
    TypeError
        If values are other objects.

    Examples
    --------
    >>> from skbcnn._arrays import with_numbers
    >>> with_numbers([1, None], "X")
    array([ 1., nan])
    """
    if values is None:
        raise ValueError(f"{name} is None, expected an array. Pass numbers.")
    if isinstance(values, list | tuple):
        values = array_of_rows(values, name)
    dtypes = [values.dtype] if hasattr(values, "dtype") else list(getattr(values, "dtypes", ()))
    kinds = {getattr(dtype, "kind", "") for dtype in dtypes}
    if unusable := [NO_NUMBERS[kind] for kind in kinds if kind in NO_NUMBERS]:
        hint = " (Complex data not supported)" if "c" in kinds else ""  # in scikit-learn's words
        raise ValueError(f"{name} holds {unusable[0]}{hint}, expected real numbers. Pass numbers.")
    if kinds.isdisjoint("OUST"):
        return values
    try:
        if hasattr(values, "isna"):  # pandas, whose names of columns stay
            return values.where(~values.isna(), np.nan).astype(np.float64)
        return as_array(values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} holds values that are not numbers ({error}). Pass numbers, or NaN.") from error


def array_of_rows(values: Any, name: str) -> np.ndarray:
    """Return values as an array; refuse rows of different lengths.

    Parameters
    ----------
    values : array-like
        A list of rows, or any other values.
    name : str
        Name of the argument, for the message.

    Returns
    -------
    values : ndarray

    Raises
    ------
    ValueError
        If rows differ in length.
    """
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} holds rows of different lengths, expected as many values in each row. Put spectra on one grid "
            "of pixels, and mark missing values by NaN."
        ) from error


def with_value(values: np.ndarray, where: np.ndarray, value: float) -> np.ndarray:
    """Return a copy with a number in some places.

    Parameters
    ----------
    values : ndarray
        Numbers of any type. Those that are not floats become float64.
    where : ndarray of bool of the shape of `values`
        The places.
    value : float
        The number.

    Returns
    -------
    values : ndarray
    """
    out = np.array(values, dtype=values.dtype if values.dtype.kind == "f" else np.float64)
    out[where] = value
    return out


def plain_spectra(X: Any, x_err: Any = None, name: str = "X") -> tuple[Any, Any]:
    """Return the spectra and flux errors for a model without masks and units.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_pixels)
        Flux in units of the continuum.
    x_err : array-like of the shape of `X`, default=None
        Its errors.
    name : str, default="X"
        Name of the argument `X`, for the messages.

    Returns
    -------
    X, x_err : array-like
        Masked flux is 1. The errors of masked pixels, and those that are None or NA, are infinite, which marks them as
        bad. Containers without mask and unit are not changed.

    Raises
    ------
    ValueError
        If one of them has a unit that is not dimensionless.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._arrays import plain_spectra
    >>> plain_spectra(np.ma.array([[0.9, 0.8]], mask=[[True, False]]), np.array([[0.1, 0.1]]))
    (array([[1. , 0.8]]), array([[inf, 0.1]]))
    """
    flux = _dimensionless(as_pixels(X, name), name)
    if x_err is None:
        return flux.filled(1), None
    check_same_columns(x_err, X, (f"{name.lower()}_err", name))
    errors = _dimensionless(as_pixels(x_err, f"{name.lower()}_err"), f"{name.lower()}_err")
    marked = errors.filled(np.inf)
    if (
        not isinstance(x_err, np.ndarray | LazyRows) or x_err.dtype == object
    ):  # may hold None or NA, which count as masked
        absent = is_masked(x_err)
        if absent.any() and np.shape(marked) == absent.shape:
            marked = with_value(as_array(marked), absent, np.inf)
    if flux.mask is not None and np.shape(marked) == flux.mask.shape:
        marked = with_value(np.asarray(marked), flux.mask, np.inf)
    return flux.filled(1), marked


def check_same_columns(values: Any, X: Any, names: tuple[str, str]) -> None:
    """Refuse a data frame with the columns of the spectra in another order.

    Parameters
    ----------
    values : array-like
        Errors or bitmask.
    X : array-like
        Spectra.
    names : tuple of (str, str)
        Names of the two arguments, for the message.

    Raises
    ------
    ValueError
        If both are data frames whose columns have the same names in different orders.
    """
    ours, theirs = (list(getattr(frame, "columns", ())) for frame in (values, X))
    if ours != theirs and len(ours) == len(theirs) and set(ours) == set(theirs):
        raise ValueError(
            f"{names[0]} has its columns in another order than {names[1]}. Pass {names[0]}[{names[1]}.columns]."
        )


def in_unit_of(errors: Pixels, flux: Pixels, names: tuple[str, str], power: int = 1) -> Any:
    """Return flux errors, or their inverse variances, in the unit of the flux, NaN where they are masked.

    Parameters
    ----------
    errors, flux : Pixels
        From `as_pixels`.
    names : tuple of (str, str)
        Names of the two arguments, for the messages.
    power : int, default=1
        Power of the unit of the flux that is expected: -2 for inverse variances.

    Returns
    -------
    errors : array-like

    Raises
    ------
    ValueError
        If only one of them has a unit, or the units are of different kinds.
    """
    values = errors.filled(np.nan)
    of_flux, of_errors = (None if str(unit) == "" else unit for unit in (flux.unit, errors.unit))
    if of_errors is None and of_flux is None:
        return values
    remedy = ""
    if power == 1 and of_errors is not None and of_errors.is_equivalent(""):
        remedy = f" If these are relative errors, multiply them by the flux: {names[0]} * {names[1]}."
    if of_errors is None or of_flux is None:
        with_unit, without = names if of_flux is None else names[::-1]
        unit = of_errors if of_flux is None else of_flux
        raise ValueError(
            f"{with_unit} has the unit '{unit}', but {without} has none. Pass both with a unit, or both without."
            f"{remedy}"
        )
    expected = flux.unit**power
    origin = "of the flux" if power == 1 else f"that belongs to flux in '{flux.unit}'"
    return _converted(values, errors.unit, expected, names[0], f"the unit '{expected}' {origin}. Convert it.{remedy}")


def is_spectra(values: Any) -> bool:
    """Return whether an argument is the `Spectra` of a reader of files.

    Parameters
    ----------
    values : object
        Argument of the user.

    Returns
    -------
    is_spectra : bool
    """
    return not hasattr(values, "dtype") and all(hasattr(values, name) for name in _OF_SPECTRA)


def stacked(values: list | tuple) -> Any:
    """Return rows with masks or units as one array that has them.

    Parameters
    ----------
    values : list or tuple
        Rows of any kind.

    Returns
    -------
    values : array-like
        The same list if no row has a mask or a unit.
    """
    if any(isinstance(row, np.ma.MaskedArray) for row in values):
        return np.ma.stack(values)
    if any(is_astropy_masked(row) for row in values):
        return np.stack(values)
    units = sys.modules.get("astropy.units")  # a quantity exists only if astropy was imported
    if units is not None and any(isinstance(row, units.Quantity) for row in values):
        return units.Quantity(values)
    return values


def _dimensionless(pixels: Pixels, name: str) -> Pixels:
    """Return values in units of 1; refuse those that have a dimension."""
    if pixels.unit is None:
        return pixels
    expected = (
        "flux in units of the continuum, without a unit. Convert it, or prepare raw spectra with prepare_spectra."
    )
    return Pixels(_converted(pixels.values, pixels.unit, "", name, expected), pixels.mask, None)


def _converted(values: Any, unit: Any, other: Any, name: str, expected: str) -> Any:
    """Return values in another unit; refuse a unit of another kind with what was expected."""
    from astropy.units import Quantity, UnitsError

    if unit == other:
        return values
    try:
        return Quantity(values, unit).to_value(other)
    except (UnitsError, TypeError) as error:
        raise ValueError(f"{name} has the unit '{unit}', expected {expected}") from error
