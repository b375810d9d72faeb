"""How good predicted labels are, where some true labels are missing.

A true label that is NaN or at most -9990 was not measured: it enters nothing here. A prediction is never missing.
"""

import warnings

import numpy as np
from astropy.stats import mad_std
from astropy.table import Table
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from skbcnn._sklearn import check_sample_weight
from skbcnn.survey import APOGEE_LABELS, is_missing, label_unit

_AVERAGES = ("raw_values", "uniform_average", "variance_weighted")


def _columns(values, name):
    """Labels as a float64 array of two dimensions, infinite ones refused."""
    values = check_array(values, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", input_name=name)
    return values.reshape(-1, 1) if values.ndim == 1 else values


def _checked(y_true, y_pred):
    """True and predicted labels, and where the true ones are present."""
    y_true, y_pred = _columns(y_true, "y_true"), _columns(y_pred, "y_pred")
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true has shape {y_true.shape}, but y_pred has shape {y_pred.shape}. Pass one prediction for each label "
            "of each star, in the same order."
        )
    present = ~is_missing(y_true)
    lost = present & is_missing(y_pred)
    if lost.any():
        raise ValueError(
            f"y_pred is missing in {lost.sum()} places where y_true is not. A missing prediction cannot be scored: "
            "leave such stars out of both, and count them apart."
        )
    return y_true, y_pred, present


def _named(label_names, y_true):
    """Names of the label columns: as given, as the table has them, or the 22 of APOGEE."""
    n_labels = 1 if np.ndim(y_true) == 1 else np.shape(y_true)[1]
    if label_names is None:
        label_names = getattr(y_true, "columns", APOGEE_LABELS if n_labels == len(APOGEE_LABELS) else None)
    if label_names is None or len(label_names) != n_labels:
        came = "no names" if label_names is None else f"{len(label_names)} names"
        raise ValueError(f"y_true has {n_labels} labels and {came}. Pass one name for each as `label_names`.")
    return [str(name) for name in label_names]


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
    names = _named(label_names, y_true)
    units = [label_unit(name) for name in names] if units is None else list(units)
    if len(units) != len(names):
        raise ValueError(f"There are {len(units)} units for {len(names)} labels. Pass one for each, '' for none.")
    y_true, y_pred, present = _checked(y_true, y_pred)
    residuals = [(y_pred - y_true)[present[:, column], column] for column in range(len(names))]
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


def r2_score(y_true, y_pred, *, sample_weight=None, multioutput="uniform_average"):
    """Coefficient of determination of the labels that are present (1 is best, 0 is what their mean would get).

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
        Labels; NaN and anything at most -9990 is missing and left out.
    y_pred : array-like of the shape of `y_true`
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each star counts; 0 is as good as absent.
    multioutput : {"raw_values", "uniform_average", "variance_weighted"} or array-like of shape (n_labels,), \
            default="uniform_average"
        One score for each label; their mean; their mean weighted by the spread of each label, or by these weights.

    Returns
    -------
    score : float or ndarray of shape (n_labels,)
        A label that is the same in all stars scores 1 if predicted perfectly, else 0, as in scikit-learn. A label
        present in fewer than two stars has no score: NaN among raw values, left out of means.

    Raises
    ------
    ValueError
        If no label has a score, shapes differ, a value is infinite, or a prediction is missing where the true label
        is not.

    Warns
    -----
    UndefinedMetricWarning
        If a label is present in fewer than two stars.

    See Also
    --------
    sklearn.metrics.r2_score : The same where nothing is missing.

    Examples
    --------
    >>> from skbcnn.metrics import r2_score
    >>> r2_score([[1.0], [2.0], [3.0], [-9999.0]], [[1.0], [2.0], [4.0], [0.0]])
    0.5
    """
    y_true, y_pred, present = _checked(y_true, y_pred)
    weight = check_sample_weight(sample_weight, y_true)[:, None] * present
    scores, spread = _r2_of_labels(np.where(present, y_true, 0), y_pred, weight)
    _report_undefined(scores)
    return _over_labels(scores, spread, multioutput)


def _r2_of_labels(y_true, y_pred, weight):
    """Score of each label, NaN where it has none, and its weighted sum of squares about the mean."""
    counts = weight > 0
    norm = np.where(counts.any(axis=0), weight.sum(axis=0), 1)
    missed = (weight * (y_true - np.where(counts, y_pred, 0)) ** 2).sum(axis=0)
    spread = (weight * (y_true - (weight * y_true).sum(axis=0) / norm) ** 2).sum(axis=0)
    highest = np.where(counts, y_true, -np.inf).max(axis=0)
    lowest = np.where(counts, y_true, np.inf).min(axis=0)
    spread = np.where(highest > lowest, spread, 0)  # what rounding the mean leaves is no spread
    explained = 1 - missed / np.where(spread > 0, spread, 1)
    scores = np.where(spread > 0, explained, (missed == 0).astype(float))
    return np.where(counts.sum(axis=0) < 2, np.nan, scores), spread


def _report_undefined(scores):
    """Warn of labels without a score, refuse if there is no other."""
    undefined = np.flatnonzero(np.isnan(scores))
    if len(undefined) == len(scores):
        raise ValueError("No label is present in two stars or more, so there is no R2. Pass stars with known labels.")
    if len(undefined):
        warnings.warn(
            f"R2 is not defined for label {', '.join(map(str, undefined))} (counted from 0): fewer than two stars have "
            "it. It is NaN among raw values and left out of means.",
            UndefinedMetricWarning,
            stacklevel=3,
        )


def _over_labels(scores, spread, multioutput):
    """Scores of the labels, or their mean."""
    if isinstance(multioutput, str):
        if multioutput not in _AVERAGES:
            raise ValueError(f"multioutput={multioutput!r}, expected {', '.join(_AVERAGES)}, or one weight a label.")
        if multioutput == "raw_values":
            return scores
        weights = spread if multioutput == "variance_weighted" and spread.any() else np.ones(len(scores))
    else:
        weights = np.asarray(multioutput, dtype=float)
        if weights.shape != scores.shape:
            raise ValueError(f"multioutput has shape {weights.shape}, expected one weight for each of {len(scores)}.")
    defined = ~np.isnan(scores)
    if not weights[defined].any():
        raise ValueError("The labels that have an R2 all weigh nothing in multioutput. Give one a positive weight.")
    return float(np.average(scores[defined], weights=weights[defined]))
