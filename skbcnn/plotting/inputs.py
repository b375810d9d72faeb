"""What displays are given: estimators asked, columns found by name, shapes checked."""

import numpy as np

from skbcnn._label_tables import label_names as names_of
from skbcnn.survey import is_missing, label


def regressor_in(estimator):
    """The regressor itself, where it is the last step of a pipeline, or the best that a search found.

    Parameters
    ----------
    estimator : CensoredBCNNRegressor, Pipeline or search
        As the user passed it.

    Returns
    -------
    regressor : estimator
        Fitted.

    Raises
    ------
    NotFittedError
        If it is not.
    """
    from sklearn.utils.validation import check_is_fitted

    steps = getattr(estimator, "steps", None)
    inner = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
    if inner is not None:
        return regressor_in(inner)
    check_is_fitted(estimator)
    return estimator


def prediction_of(estimator, X, x_err=None):
    """Labels and error bars of spectra.

    Parameters
    ----------
    estimator : CensoredBCNNRegressor, Pipeline or search
        Fitted.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, as the estimator takes them.
    x_err : array-like of shape (n_samples, n_pixels), default=None
        Flux errors, in the units of the spectra that reach the regressor.

    Returns
    -------
    prediction : Prediction

    Raises
    ------
    ValueError
        If the spectra cannot be used.
    """
    regressor, X = regressor_and_spectra(estimator, X)
    return regressor.predict_distribution(X, x_err=x_err)


def regressor_and_spectra(estimator, X):
    """The regressor itself, and the spectra as they reach it.

    Parameters
    ----------
    estimator : CensoredBCNNRegressor, Pipeline or search
        Fitted.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, as the estimator takes them.

    Returns
    -------
    regressor : estimator
    X : array-like of shape (n_samples, n_pixels)
        What the steps before the regressor made of them.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not hasattr(estimator, "steps"):
        return estimator, X
    for _, step in estimator.steps[:-1]:
        X = X if step in (None, "passthrough") else step.transform(X)
    return regressor_and_spectra(estimator.steps[-1][1], X)


def as_columns(values, argument="y_pred"):
    """Labels as numbers of shape (n_samples, n_labels), also where there is one label in one dimension.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_labels) or (n_samples,)
        As the user passed them; NaN or at most -9990 where missing.
    argument : str, default="y_pred"
        As which argument they came, for the message.

    Returns
    -------
    values : ndarray of shape (n_samples, n_labels)

    Raises
    ------
    ValueError
        If they have more dimensions, or one is infinite.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2):
        raise ValueError(f"{argument} has shape {values.shape}, expected (n_samples, n_labels) or (n_samples,).")
    if infinite := int(np.isinf(values).sum()):
        raise ValueError(
            f"{argument} is infinite in {infinite} places. Pass NaN or -9999 where a label is missing, and numbers "
            "elsewhere."
        )
    return values[:, None] if values.ndim == 1 else values


def error_columns(y_std, y_pred):
    """Error bars beside labels, NaN where they are missing.

    Parameters
    ----------
    y_std : array-like of the shape of `y_pred`, or None
        As the user passed them; NaN or at most -9990 where missing.
    y_pred : ndarray of shape (n_samples, n_labels)
        From `as_columns`.

    Returns
    -------
    y_std : ndarray of shape (n_samples, n_labels), or None

    Raises
    ------
    ValueError
        If the shape differs, or one is negative or infinite.
    """
    if y_std is None:
        return None
    y_std = as_columns(y_std, "y_std")
    check_shapes({"y_pred": y_pred}, y_std=y_std)
    missing = is_missing(y_std)
    if negative := int((~missing & (y_std < 0)).sum()):
        raise ValueError(f"y_std is negative in {negative} places. Pass standard deviations, NaN where one is missing.")
    return np.where(missing, np.nan, y_std)


def column_names(label_names, values, argument):
    """A name for each column.

    Parameters
    ----------
    label_names : sequence of str or None
        As the user passed them. None: those of a data frame, or the 22 of APOGEE where there are so many columns.
    values : array-like of shape (n_samples, n_labels) or (n_samples,)
        Of which they are the columns.
    argument : str
        As which argument the values came, for the message.

    Returns
    -------
    names : tuple of str

    Raises
    ------
    ValueError
        If there are not as many names as columns.
    """
    names = names_of(values) if label_names is None else [str(name) for name in np.atleast_1d(label_names)]
    n_columns = 1 if np.ndim(values) == 1 else np.shape(values)[1]
    if names is None or len(names) != n_columns:
        came = "no names" if names is None else f"{len(names)} names"
        raise ValueError(f"{argument} has {n_columns} columns and {came}. Pass one name for each as `label_names`.")
    return tuple(names)


def column_of(name, names, *, argument="label_name", owner="the estimator"):
    """Column of a label in any spelling.

    Parameters
    ----------
    name : str or None
        What is looked for; None where there is only one.
    names : sequence of str
        Of the columns.
    argument : str, default="label_name"
        As which argument the name came, for the message.
    owner : str, default="the estimator"
        Whose columns they are, for the message.

    Returns
    -------
    column : int

    Raises
    ------
    ValueError
        If there is no such label.

    Examples
    --------
    >>> from skbcnn.plotting.inputs import column_of
    >>> column_of("[Ti II/H]", ["teff", "TiII"])
    1
    """
    column = find_column(name, names)
    if column is None:
        raise ValueError(f"{argument}={name!r}, expected one of the labels of {owner}: {', '.join(names)}.")
    return column


def find_column(name, names):
    """Column of a label in any spelling, None where there is none.

    Parameters
    ----------
    name : str or None
        What is looked for; None where there is only one.
    names : sequence of str
        Of the columns.

    Returns
    -------
    column : int or None
    """
    if name is None:
        return 0 if len(names) == 1 else None
    if str(name) in names:
        return list(names).index(str(name))
    known = canonical(name)
    return next((j for j, other in enumerate(names) if known is not None and canonical(other) == known), None)


def canonical(name):
    """The survey's name of a label, None if it knows none.

    Parameters
    ----------
    name : str
        In any spelling.

    Returns
    -------
    name : str or None
    """
    try:
        return label(name).name
    except ValueError:
        return None


def check_shapes(expected, **others):
    """Refuse arrays of another shape than the first.

    Parameters
    ----------
    expected : dict of str to ndarray
        The first, by its name.
    **others : ndarray or None
        By name; None was not given.

    Raises
    ------
    ValueError
        Naming the first whose shape differs.
    """
    ((first, values),) = expected.items()
    for name, other in others.items():
        if other is not None and other.shape != values.shape:
            raise ValueError(f"{name} has shape {other.shape}, expected {values.shape} as {first} has.")


def present(*columns):
    """Stars in which none of some labels is missing.

    Parameters
    ----------
    *columns : ndarray of shape (n_samples,)
        Labels; NaN or at most -9990 where missing.

    Returns
    -------
    present : ndarray of bool of shape (n_samples,)
    """
    return ~np.any([is_missing(column) for column in columns], axis=0)
