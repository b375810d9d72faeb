"""Responses of predicted labels to the true labels: does each label measure itself, or is it guessed from others?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn import _label_tables
from skbcnn._prediction import Prediction
from skbcnn._sklearn import check_sample_weight
from skbcnn._user_warnings import warn_user
from skbcnn._validation import check_label_errors, check_labels, varies
from skbcnn.metrics.errors_in_variables import MAX_NOISE, polynomial_terms, regress
from skbcnn.survey import find_label, is_missing

if TYPE_CHECKING:
    from astropy.table import Table

STELLAR_PARAMETERS = ("teff", "logg", "Fe")
"""Labels on which predictions depend non-linearly, and that APOGEE networks read from the full spectrum."""

_MIN_KNOWN = 0.5  # share of the stars in which a label must be known: others would leave too few complete stars
_STARS_PER_TERM = 2  # fewer do not determine the responses


@dataclass(frozen=True)
class ResponseMatrix:
    """Change of each predicted label when one true label changes and all others stay.

    A label that measures itself has an own response near 1 and foreign responses near 0. A label that is shrunk
    towards the mean has a smaller own response; a label that is guessed from another responds to that one. Make it with
    `skbcnn.inspection.response_matrix` or `from_predictions`. Fitted models have that of their held-out stars:
    `validation_responses_`.

    Attributes
    ----------
    label_names : tuple of str
        Names of the labels: of the rows (predicted labels) and of the columns (true labels).
    matrix : ndarray of shape (n_labels, n_labels)
        Responses in units of the predicted label per unit of the true label, such as dex per dex, or dex per K in the
        column of teff. NaN in the columns of labels that were left out.
    standard_errors : ndarray of shape (n_labels, n_labels)
        Their standard errors.
    elements : tuple of str
        Labels that `mean_own` and `rms_foreign` summarise: those with windows, or all but teff, logg and Fe.
    n_stars : int
        Number of stars, all with a weight above 0 and with all labels that were not left out.
    spreads : ndarray of shape (n_labels,)
        Standard deviations of the true labels of these stars, in label units.
    mean_own_error : float
        Standard error of `mean_own`.
    errors_removed : bool
        Whether the errors of the true labels were known, and their effect removed. If False, own responses are too
        small and foreign responses are distorted.

    See Also
    --------
    skbcnn.plotting.ResponseDisplay : The matrix as a figure.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.inspection import ResponseMatrix
    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(size=(300, 2))
    >>> predicted = np.column_stack([true[:, 0], 0.5 * true[:, 1] + 0.25 * true[:, 0]])
    >>> responses = ResponseMatrix.from_predictions(true, predicted, label_names=["Mg", "Al"])
    >>> responses.matrix.round(3) + 0.0
    array([[1.  , 0.  ],
           [0.25, 0.5 ]])
    >>> round(responses.mean_own, 3), round(responses.rms_foreign, 3)
    (0.75, 0.177)
    """

    label_names: tuple[str, ...]
    matrix: np.ndarray
    standard_errors: np.ndarray
    elements: tuple[str, ...]
    n_stars: int
    spreads: np.ndarray
    mean_own_error: float
    errors_removed: bool

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike | Prediction,
        y_err: ArrayLike | None = None,
        *,
        label_names: Sequence[str] | None = None,
        elements: Sequence[str] | None = None,
        nonlinear_in: Sequence[str] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> ResponseMatrix:
        """Estimate the responses from predictions for stars that the model was not trained on.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels; NaN or -9999 where missing.
        y_pred : array-like of the shape of `y_true`, table, or Prediction
            Predicted labels.
        y_err : array-like of the shape of `y_true`, or table, default=None
            Errors of the true labels; 0, or missing, where unknown.
        label_names : sequence of str, default=None
            Names of the labels. None: those of a `Prediction` or a table, or the 22 labels of APOGEE for 22 columns.
        elements : sequence of str, default=None
            Labels to summarise. None: all but teff, logg and Fe.
        nonlinear_in : sequence of str, default=None
            True labels whose squares and products enter the regression. None: teff, logg and Fe, as far as there are.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star; stars of weight 0 are left out.

        Returns
        -------
        responses : ResponseMatrix

        Raises
        ------
        ValueError
            If the data cannot be used, there are too few stars with all labels, or labels are linearly dependent.

        See Also
        --------
        skbcnn.inspection.response_matrix : The same from a model and spectra, with the method explained.
        """
        names = _names(label_names, y_true, y_pred)
        true, errors, predicted = _checked_labels(names, y_true, y_pred, y_err)
        weight = check_sample_weight(sample_weight, true)
        used, rows = _columns_and_rows(true, weight, names)
        if n_missing := int(is_missing(predicted[rows]).sum()):
            raise ValueError(
                f"y_pred is missing in {n_missing} places where y_true is not (masked, NaN or -9999). Leave such stars "
                "out of both."
            )
        nonlinear = _found(nonlinear_in, names, "nonlinear_in")
        terms = polynomial_terms(len(used), [k for k, column in enumerate(used) if names[column] in nonlinear])
        if len(rows) < _STARS_PER_TERM * len(terms):
            raise ValueError(_too_few_stars(true, weight, names, used, len(rows), _STARS_PER_TERM * len(terms)))
        known = true[rows][:, used]
        known_err = np.zeros_like(known) if errors is None else errors[rows][:, used]
        _warn_of_large_errors(known, known_err, weight[rows], [names[j] for j in used])
        summarised = [names[j] for j in used if names[j] in _elements(elements, names)]
        responses, influences = _responses(known, known_err, predicted[rows], weight[rows], terms)
        standard_errors, own = [], []
        for j, name in enumerate(names):
            of_row = influences(j)
            standard_errors.append(np.linalg.norm(of_row, axis=0))
            if name in summarised:
                own.append(of_row[:, used.index(j)])
        return cls(
            label_names=names,
            matrix=_in_columns(responses, used, len(names)),
            standard_errors=_in_columns(np.array(standard_errors), used, len(names)),
            elements=tuple(summarised),
            n_stars=len(rows),
            spreads=_in_columns(known.std(axis=0)[np.newaxis], used, len(names))[0],
            mean_own_error=float(np.linalg.norm(np.mean(own, axis=0))) if own else np.nan,
            errors_removed=bool(known_err.any()),
        )

    @property
    def own(self) -> np.ndarray:
        """Response of each label to its own true value: ndarray of shape (n_labels,)."""
        return np.diagonal(self.matrix).copy()

    @property
    def own_errors(self) -> np.ndarray:
        """Standard errors of `own`: ndarray of shape (n_labels,)."""
        return np.diagonal(self.standard_errors).copy()

    @property
    def foreign(self) -> np.ndarray:
        """Root mean square of the responses of each label to the other `elements`: ndarray of shape (n_labels,).

        The squares of the standard errors are subtracted from the squares of the responses, because chance alone would
        make the mean square larger than 0. Responses to labels that are no `elements`, such as Fe, do not count: they
        belong to the context of the windows. NaN if there is no other element.
        """
        squares = self._foreign_squares()
        return np.array([_root_of_mean(row[~np.isnan(row)]) for row in squares])

    @property
    def mean_own(self) -> float:
        """Mean of `own` over the `elements`."""
        own = self.own[self._element_columns()]
        return float(own.mean()) if len(own) else np.nan

    @property
    def rms_foreign(self) -> float:
        """Root mean square of the responses of the `elements` to each other, without chance as in `foreign`."""
        squares = self._foreign_squares()[self._element_columns()]
        return _root_of_mean(squares[~np.isnan(squares)])

    def to_table(self) -> Table:
        """Return a table with one row for each predicted label.

        Returns
        -------
        table : astropy.table.Table
            Columns ``label``, ``own``, ``own_error``, ``foreign`` (as the properties), and ``strongest``, ``response``,
            ``response_error``: the other label, apart from teff and logg, with the largest response, less two standard
            errors, and this response. All are in units of the label per unit of the true label.
        """
        from astropy.table import Table  # imported here, because importing astropy is slow

        others = [j for j, name in enumerate(self.label_names) if _canonical(name) not in STELLAR_PARAMETERS[:2]]
        clear = np.where(self._is_foreign(others), np.abs(self.matrix) - 2 * self.standard_errors, np.nan)
        clear = np.where(np.isnan(clear), -np.inf, clear)
        rows, columns, exists = np.arange(len(clear)), clear.argmax(axis=1), np.isfinite(clear).any(axis=1)
        table = Table(
            {
                "label": list(self.label_names),
                "own": self.own,
                "own_error": self.own_errors,
                "foreign": self.foreign,
                "strongest": np.where(exists, np.array(self.label_names)[columns], ""),
                "response": np.where(exists, self.matrix[rows, columns], np.nan),
                "response_error": np.where(exists, self.standard_errors[rows, columns], np.nan),
            }
        )
        for name in ("own", "own_error", "foreign", "response", "response_error"):
            table[name].format = ".3f"
        return table

    def _element_columns(self) -> list[int]:
        return [j for j, name in enumerate(self.label_names) if name in self.elements]

    def _is_foreign(self, columns: Sequence[int]) -> np.ndarray:
        """Return whether each response is one to a label of these columns other than the label itself."""
        foreign = np.zeros(self.matrix.shape, dtype=bool)
        foreign[:, columns] = True
        return foreign & ~np.eye(len(foreign), dtype=bool)

    def _foreign_squares(self) -> np.ndarray:
        """Return squares of the foreign responses less the squares of their errors; NaN for all others."""
        foreign = self._is_foreign(self._element_columns())
        return np.where(foreign, self.matrix**2 - self.standard_errors**2, np.nan)


def window_labels(label_names: Sequence[str], windows: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the labels with windows, which the responses of a model summarise.

    Parameters
    ----------
    label_names : sequence of str
        Labels of the model.
    windows : sequence
        Window of each label; None for a label that is read from the full spectrum.

    Returns
    -------
    names : tuple of str or None
        None if no label has a window.
    """
    names = tuple(name for name, window in zip(label_names, windows, strict=True) if window is not None)
    return names or None


def _names(label_names: Sequence[str] | None, y_true: Any, y_pred: Any) -> tuple[str, ...]:
    """Return the names of the labels: those that the user passes, or of the prediction or of the tables."""
    if label_names is not None:
        return tuple([label_names] if isinstance(label_names, str) else map(str, label_names))
    if isinstance(y_pred, Prediction):
        return tuple(y_pred.label_names)
    names = _label_tables.label_names(y_true) or _label_tables.label_names(y_pred)
    if names is None:
        n_labels = len(_label_tables.label_columns(y_true, "y_true").columns)
        raise ValueError(f"y_true has {n_labels} columns without names. Pass one name for each as `label_names`.")
    return tuple(names)


def _checked_labels(
    names: Sequence[str], y_true: Any, y_pred: Any, y_err: Any
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return true labels with NaN where missing, their errors, and predicted labels, all in the order of the names."""
    labels = _label_tables.label_columns(y_true, "y_true")
    true = check_labels(labels.values(names, labels.positions(names)), names, may_be_empty=True)
    errors = None if y_err is None else _label_tables.error_values(y_err, labels, names)
    errors = check_label_errors(errors, true, stacklevel=4)
    columns = _label_tables.label_columns(y_pred.mean if isinstance(y_pred, Prediction) else y_pred, "y_pred")
    predicted = columns.values(names, columns.positions(names))
    if predicted.shape != true.shape:
        raise ValueError(
            f"y_true is of {true.shape[0]} stars and {true.shape[1]} labels, but y_pred of {predicted.shape[0]} stars "
            f"and {predicted.shape[1]} labels. Pass one prediction for each label of each star, in the same order."
        )
    if n_infinite := int(np.isinf(predicted).sum()):
        raise ValueError(f"y_pred is infinite in {n_infinite} places. Leave these stars out of y_true and y_pred.")
    return true, errors, predicted


def _columns_and_rows(true: np.ndarray, weight: np.ndarray, names: Sequence[str]) -> tuple[list[int], np.ndarray]:
    """Return the labels that enter the regression, and the stars that have all of them.

    Labels that are missing in more than half of the stars, or equal in all but for rounding, are left out.
    """
    counted = np.flatnonzero(weight > 0)
    known = ~np.isnan(true[counted])
    often = np.flatnonzero(known.mean(axis=0) >= _MIN_KNOWN)
    used = [int(j) for j in often if varies(true[counted, j][known[:, j]])]
    rows = counted[known[:, used].all(axis=1)]
    used = [j for j in used if len(rows) == 0 or varies(true[rows, j])]
    if not used:
        raise ValueError(
            f"None of {', '.join(names)} varies and is known in at least half of the {len(counted)} stars. Pass stars "
            "with known labels."
        )
    return used, rows


def _warn_of_large_errors(true: np.ndarray, errors: np.ndarray, weight: np.ndarray, names: Sequence[str]) -> None:
    """Warn if labels have errors that explain all of their scatter, so that nothing is known of their true values."""
    offset = true - np.average(true, axis=0, weights=weight)
    error, scatter = (np.sqrt(np.average(values**2, axis=0, weights=weight)) for values in (errors, offset))
    too_large = np.flatnonzero(error**2 > MAX_NOISE * scatter**2).tolist()
    if large := [f"{names[j]} ({error[j]:.3g} and {scatter[j]:.3g})" for j in too_large]:
        warn_user(
            "The errors of these labels are as large as the scatter of the labels themselves, so that the responses to "
            f"them, and to labels that follow them, are not known: {', '.join(large)}. Check the unit of y_err, or "
            "leave the labels out: pass NaN for them in all stars."
        )


def _responses(
    true: np.ndarray, errors: np.ndarray, predicted: np.ndarray, weight: np.ndarray, terms: np.ndarray
) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    """Return the responses to the labels of `true`, and a function that returns the influences of the stars on a row.

    Both are in label units, of shape (n_predicted, n_true) and (n_stars, n_true).
    """
    spread, size = true.std(axis=0), predicted.std(axis=0)
    size = np.where(size > 0, size, 1.0)
    x = (true - np.average(true, axis=0, weights=weight)) / spread
    y = (predicted - np.average(predicted, axis=0, weights=weight)) / size
    regression = regress(x, errors / spread, y, weight, terms)
    linear, unit = slice(1, true.shape[1] + 1), size[:, np.newaxis] / spread

    def influences(row: int) -> np.ndarray:
        return regression.influences(row)[:, linear] * unit[row]

    return regression.coefficients[linear].T * unit, influences


def _too_few_stars(
    true: np.ndarray, weight: np.ndarray, names: Sequence[str], used: Sequence[int], n_found: int, n_needed: int
) -> str:
    """Return an error message that names the label that is missing most often."""
    missing = np.isnan(true[weight > 0]).mean(axis=0)
    worst = max(used, key=lambda j: missing[j])
    text = f"{n_found} stars have all of {len(used)} labels, but their responses need at least {n_needed}."
    if missing[worst] > 0:
        text += f" {names[worst]} is missing most often, in {100 * missing[worst]:.0f}% of the stars."
    return f"{text} Pass more stars, or NaN in all stars for a label that is often missing: it is then left out."


def _found(wanted: Sequence[str] | None, names: Sequence[str], argument: str) -> list[str]:
    """Return labels by their names in the data. None: the stellar parameters among them."""
    if wanted is None:
        return [name for name in names if _canonical(name) in STELLAR_PARAMETERS]
    by_name = {_canonical(name): name for name in names} | {name: name for name in names}
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    if unknown := [str(name) for name in wanted if name not in by_name and _canonical(name) not in by_name]:
        raise ValueError(f"{argument} names {', '.join(unknown)}, but the labels are {', '.join(names)}.")
    return [by_name.get(name, by_name.get(_canonical(name), "")) for name in wanted]


def _elements(wanted: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """Return the labels that are summarised."""
    if wanted is not None:
        return _found(wanted, names, "elements")
    parameters = _found(None, names, "elements")
    return [name for name in names if name not in parameters] or list(names)


def _canonical(name: str) -> str:
    found = find_label(name)
    return str(name) if found is None else found.name


def _in_columns(values: np.ndarray, columns: Sequence[int], n_columns: int) -> np.ndarray:
    """Return values in some columns of a wider array, with NaN in the others."""
    wide = np.full((len(values), n_columns), np.nan)
    wide[:, columns] = values
    return wide


def _root_of_mean(squares: np.ndarray) -> float:
    return float(np.sqrt(max(squares.mean(), 0.0))) if len(squares) else np.nan
