"""Table of the residuals of each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import median_abs_deviation

from skbcnn import _label_tables
from skbcnn.metrics.label_pairs import Pairs, check_pairs
from skbcnn.survey import label_unit

if TYPE_CHECKING:
    from astropy.table import Table


def residual_table(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    label_names: str | Sequence[str] | None = None,
    units: str | Sequence[str] | None = None,
) -> Table:
    """Return a table with the median and the robust scatter of the residuals of each label.

    A residual is prediction minus truth. The scatter is the median absolute deviation times 1.4826, which equals the
    standard deviation if the residuals are Gaussian (smaller is better).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
        True labels. Missing ones (masked, NaN, or -9990 and below) are left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    label_names : str or sequence of str, default=None
        Names of the labels, in the order of `y_pred`. The columns of a table `y_true` are matched to them by name, if
        they have these names. None means the column names of `y_true`, or the 22 labels of APOGEE if it has 22 columns
        without names.
    units : str or sequence of str, default=None
        Units of the labels. None means those of APOGEE: K for teff, dex for logg and [X/H]. Other labels have none.

    Returns
    -------
    table : astropy.table.Table
        Columns ``label``, ``n`` (number of stars that have the label), ``median_residual``, ``mad_std`` and ``unit``
        (unit of these two). Numbers are NaN if no star has the label.

    Raises
    ------
    ValueError
        If shapes differ, there is not one name and unit for each label, a value is infinite, or a prediction is
        missing where the true label is present.

    Examples
    --------
    >>> from skbcnn import residual_table
    >>> y_true = [[4000.0, 0.1], [4500.0, -9999.0], [5000.0, 0.3]]
    >>> y_pred = [[4010.0, 0.1], [4500.0, 0.2], [4980.0, 0.5]]
    >>> print(residual_table(y_true, y_pred, label_names=["teff", "Mg"]))
    label  n  median_residual mad_std unit
    ----- --- --------------- ------- ----
     teff   3               0  14.826    K
       Mg   2             0.1 0.14826  dex
    """
    from astropy.table import Table  # imported here, because importing astropy is slow

    names = _names_of_columns(label_names, y_true)
    units = [label_unit(name) for name in names] if units is None else _list_of_text(units)
    if len(units) != len(names):
        raise ValueError(f"There are {len(units)} units for {len(names)} labels. Pass one for each, '' for none.")
    pairs = check_pairs(_label_tables.label_columns(y_true, "y_true").renamed(names), y_pred)
    table = Table({"label": names, **residual_statistics(pairs), "unit": units})
    table["median_residual"].format = "{:.4g}"
    table["mad_std"].format = "{:.5g}"
    return table


def residual_statistics(pairs: Pairs) -> dict[str, list[float]]:
    """Return the number, the median and the robust scatter of the residuals of each label.

    Parameters
    ----------
    pairs : Pairs
        True and predicted labels. Those with a weight above 0 count, all equally.

    Returns
    -------
    statistics : dict of str to list
        ``n``, ``median_residual`` and ``mad_std``, as in `residual_table`.

    Examples
    --------
    >>> from skbcnn.metrics.label_pairs import check_pairs
    >>> from skbcnn.metrics.residual_tables import residual_statistics
    >>> residual_statistics(check_pairs([4000.0, -9999.0, 5000.0], [4010.0, 4500.0, 5010.0]))
    {'n': [2], 'median_residual': [10.0], 'mad_std': [0.0]}
    """
    residuals = [(pairs.y_pred - pairs.y_true)[pairs.counts[:, j], j] for j in range(pairs.counts.shape[1])]
    return {
        "n": [len(column) for column in residuals],
        "median_residual": [float(np.median(column)) if len(column) else np.nan for column in residuals],
        "mad_std": [
            float(median_abs_deviation(column, scale="normal")) if len(column) else np.nan for column in residuals
        ],
    }


def _names_of_columns(label_names: str | Sequence[str] | None, y_true: ArrayLike) -> list[str]:
    """Return the names that the user passed, or those of the columns."""
    names = _label_tables.label_names(y_true) if label_names is None else _list_of_text(label_names)
    n_labels = len(_label_tables.label_columns(y_true, "y_true").columns)
    if names is None or len(names) != n_labels:
        n_names = "no names" if names is None else f"{len(names)} names"
        raise ValueError(f"y_true has {n_labels} labels and {n_names}. Pass one name for each as `label_names`.")
    return [str(name) for name in names]


def _list_of_text(texts: str | Sequence[str]) -> list[str]:
    """Return one text or several as a list."""
    return [texts] if isinstance(texts, str) else [str(text) for text in texts]
