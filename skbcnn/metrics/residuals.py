"""A table of residuals, one row for each label."""

import numpy as np

from skbcnn.metrics import label_pairs as checking
from skbcnn.metrics.label_pairs import check_pairs
from skbcnn.survey import label_unit


def residual_table(y_true, y_pred, *, label_names=None, units=None):
    """Median and robust spread of the residuals, one row for each label.

    A residual is prediction minus truth. The spread is the median absolute deviation times 1.4826, which is the
    standard deviation if residuals are Gaussian (smaller is better).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    label_names : sequence of str, default=None
        None takes the column names of `y_true`, if it is a data frame, or the 22 labels of APOGEE, if it has 22
        columns.
    units : sequence of str, default=None
        None takes the survey's: K for teff, dex for logg and [X/H], nothing for unknown names.

    Returns
    -------
    table : astropy.table.Table
        Columns ``label``, ``n`` (stars that have the label), ``median_residual``, ``mad_std`` and ``unit``, that of
        the two before. NaN where no star has the label.

    Raises
    ------
    ValueError
        If shapes differ, names or units are not one for each label, a value is infinite, or a prediction is missing
        where the true label is not.

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
    from astropy.stats import mad_std  # here, since importing astropy takes longer than all else of the package
    from astropy.table import Table

    names = _named(label_names, y_true)
    units = [label_unit(name) for name in names] if units is None else list(units)
    if len(units) != len(names):
        raise ValueError(f"There are {len(units)} units for {len(names)} labels. Pass one for each, '' for none.")
    pairs = check_pairs(y_true, y_pred)
    residuals = [(pairs.y_pred - pairs.y_true)[pairs.counts[:, column], column] for column in range(len(names))]
    table = Table(
        {
            "label": names,
            "n": [len(of_label) for of_label in residuals],
            "median_residual": [np.median(of_label) if len(of_label) else np.nan for of_label in residuals],
            "mad_std": [mad_std(of_label) if len(of_label) else np.nan for of_label in residuals],
            "unit": units,
        }
    )
    table["median_residual"].format = "{:.4g}"
    table["mad_std"].format = "{:.5g}"
    return table


def _named(label_names, y_true):
    """Names of the label columns: those given, or those that can be told from the labels themselves."""
    names = checking.label_names(y_true) if label_names is None else label_names
    n_labels = 1 if np.ndim(y_true) == 1 else np.shape(y_true)[1]
    if names is None or len(names) != n_labels:
        came = "no names" if names is None else f"{len(names)} names"
        raise ValueError(f"y_true has {n_labels} labels and {came}. Pass one name for each as `label_names`.")
    return [str(name) for name in names]
