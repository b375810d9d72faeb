"""`AbundancePlaneDisplay`: two labels, or ratios of abundances, against each other, with their correlated errors."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skbcnn._label_tables import canonical_name, label_columns, label_values
from skbcnn._prediction import Prediction
from skbcnn.plotting._axis_limits import set_limits
from skbcnn.plotting._display import SinglePanelDisplay
from skbcnn.plotting._estimators import predict_labels
from skbcnn.plotting._label_inputs import (
    as_columns,
    check_shapes,
    column_names,
    column_of,
    error_columns,
    find_column,
    labels_and_errors,
)
from skbcnn.plotting._label_text import axis_label, label_symbol, within_text
from skbcnn.plotting._style import BLUE, COLUMN_WIDTH, DARK, GREY, point_size
from skbcnn.plotting._typical_error import annotate_typical_error
from skbcnn.survey import is_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATIO = re.compile(r"\[?\s*(?P<numerator>[^/\[\]]+?)\s*/\s*(?P<denominator>[^/\[\]]+?)\s*\]?")
_NO_ABUNDANCES = {"teff", "logg", "alpha", "fakemag"}  # labels without ratios
_ERRORS = ("auto", "ellipses", "bars", "typical", None)
_MAX_ELLIPSES = 50  # with errors="auto"


class _Quantity(NamedTuple):
    """Quantity along an axis: a sum of labels, each with a sign."""

    columns: list[int]
    signs: np.ndarray
    text: str

    def of(self, labels: np.ndarray) -> np.ndarray:
        """Return the quantity of labels of shape (..., n_labels): NaN if one of its labels is missing."""
        labels = labels[..., self.columns]
        return np.where(is_missing(labels), np.nan, labels) @ self.signs


class AbundancePlaneDisplay(SinglePanelDisplay):
    """Stars in the plane of two labels, or of ratios of abundances, with their errors.

    Create it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Quantities along both axes; NaN where unknown.
    covariance : ndarray of shape (n_samples, 2, 2), default=None
        Covariance matrices of the errors along both axes.
    truth : ndarray of shape (n_samples, 2), default=None
        True quantities, drawn behind the points in grey; NaN where unknown.
    axis_texts : tuple of (str, str)
        Labels of the axes.
    errors : {"auto", "ellipses", "bars", "typical"} or None, default="auto"
        Ellipses or bars show the error of each star. ``"typical"`` shows an ellipse of median size in an empty corner;
        if it would be on points or large, its numbers stand above the axes. ``"auto"`` means ellipses for up to 50
        stars, and a typical error for more.
    reference_name : str, default="True"
        Origin of the true quantities, for the legend, such as ``"ASPCAP"``.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plane.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.

    Notes
    -----
    ``"Mg/Fe"`` means [Mg/H] - [Fe/H]. Error bars of different labels are assumed independent. The errors of a ratio
    then add in quadrature. Two quantities that share a label have correlated errors: the covariance of [Mg/Fe] and
    [Fe/H] is ``-sigma_Fe**2``, so that their ellipses are tilted. A prediction that keeps its draws, or draws that are
    passed, give the covariance without this assumption. The ellipses are at one standard deviation and contain 39 of
    100 stars.

    Examples
    --------
    >>> from skbcnn.plotting import AbundancePlaneDisplay, new_figure
    >>> ax = new_figure(3.5, 3).add_subplot()
    >>> display = AbundancePlaneDisplay.from_predictions(
    ...     [[0.25, 0.0], [-0.5, -0.75]], [[0.04, 0.03]] * 2, label_names=["Mg", "Fe"], y_name="Mg/Fe", ax=ax
    ... )
    >>> display.points
    array([[ 0.  ,  0.25],
           [-0.75,  0.25]])
    >>> display.ax_.get_ylabel(), display.covariance[0].round(4).tolist()
    ('[Mg/Fe] (dex)', [[0.0009, -0.0009], [-0.0009, 0.0025]])
    """

    _figure_size = (COLUMN_WIDTH, 3.0)

    def __init__(self, *, points, covariance=None, truth=None, axis_texts, errors="auto", reference_name="True"):
        self.points = points
        self.covariance = covariance
        self.truth = truth
        self.axis_texts = axis_texts
        self.errors = errors
        self.reference_name = reference_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        x_name="Fe",
        y_name="Mg/Fe",
        x_err=None,
        correlated=False,
        errors="auto",
        ax=None,
    ):
        """Predict the labels of spectra, and draw two of them, or their ratios.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table, default=None
            True labels, in the columns of the estimator; columns of a table are matched by name.
        x_name, y_name : str
            Quantities along the axes, as in `from_predictions`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, which are propagated into the error bars.
        correlated : bool, default=False
            Whether the errors of different labels are correlated as in the posterior draws (`Prediction.covariance`),
            or independent.
        errors : {"auto", "ellipses", "bars", "typical"} or None, default="auto"
            Way of drawing errors, as in `AbundancePlaneDisplay`.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `from_predictions`.

        Returns
        -------
        display : AbundancePlaneDisplay

        Raises
        ------
        ValueError
            If the estimator does not have the labels, or shapes differ.
        """
        prediction = predict_labels(estimator, X, x_err, keep_draws=correlated)
        names = prediction.label_names
        return cls.from_predictions(
            replace(prediction, calibrated=None),
            x_name=x_name,
            y_name=y_name,
            y_true=None if y is None else label_values(y, names),
            errors=errors,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_pred,
        y_std=None,
        *,
        x_name="Fe",
        y_name="Mg/Fe",
        label_names=None,
        y_true=None,
        draws=None,
        errors="auto",
        reference_name="True",
        ax=None,
    ):
        """Draw two labels of stars, or ratios of their abundances.

        Parameters
        ----------
        y_pred : array-like of shape (n_samples, n_labels), table, or Prediction
            Predicted labels; NaN or at most -9990 where missing.
        y_std : array-like of shape (n_samples, n_labels), or table, default=None
            Error bars of the labels, which are assumed independent. None: those of a `Prediction`, calibrated if it has
            such, with their covariance if it has draws.
        x_name, y_name : str
            Quantities along the axes: a label in any spelling, such as ``"Fe"``, or the ratio of two abundances, such
            as ``"Mg/Fe"``.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a `Prediction` or a table, or the 22 labels of APOGEE for 22 columns
            without names.
        y_true : array-like of shape (n_samples, n_labels), default=None
            True labels, drawn behind in grey.
        draws : array-like of shape (n_draws, n_samples, n_labels), default=None
            Posterior draws of the labels, such as ``np.moveaxis(model.sample_y(X, 100), -1, 0)``. Their covariance is
            used instead of `y_std`.
        errors : {"auto", "ellipses", "bars", "typical"} or None, default="auto"
            Way of drawing errors, as in `AbundancePlaneDisplay`.
        reference_name : str, default="True"
            Origin of `y_true`, as in `AbundancePlaneDisplay`.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : AbundancePlaneDisplay

        Raises
        ------
        ValueError
            If shapes differ, a name is neither a label nor a ratio of abundances, or no star has both quantities.
        """
        of_labels = _covariance_of_labels(y_pred) if y_std is None and draws is None else None
        y_pred, y_std = labels_and_errors(y_pred, y_std)
        names = column_names(label_names, y_pred, "y_pred")
        quantities = [
            _find_quantity(name, names, argument) for name, argument in ((x_name, "x_name"), (y_name, "y_name"))
        ]
        columns = label_columns(y_pred, "y_pred").renamed(names)
        y_pred = as_columns(columns)
        y_true = None if y_true is None else as_columns(y_true, "y_true", columns)
        check_shapes({"y_pred": y_pred}, y_true=y_true)
        if of_labels is None:
            covariance = _covariance(quantities, error_columns(y_std, y_pred, columns), _check_draws(draws, y_pred))
        else:
            signs = _signs(quantities, y_pred.shape[1])
            covariance = signs @ of_labels @ signs.T
        points, truth = (None if labels is None else _coordinates(quantities, labels) for labels in (y_pred, y_true))
        texts = tuple(quantity.text for quantity in quantities)
        display = cls(
            points=points,
            covariance=covariance,
            truth=truth,
            axis_texts=texts,
            errors=errors,
            reference_name=reference_name,
        )
        return display.plot(ax)

    def _check(self):
        if self.errors not in _ERRORS:
            raise ValueError(f"errors={self.errors!r}, expected one of {', '.join(map(repr, _ERRORS))}.")
        if np.isnan(self.points).any(axis=1).all():
            raise ValueError(
                f"No star has both {' and '.join(self.axis_texts)}: each of the {len(self.points)} stars lacks one of "
                "them (NaN or at most -9990). Pass stars with both."
            )

    def _draw(self, ax):
        stars = ~np.isnan(self.points).any(axis=1)
        points = self.points[stars]
        style = {"s": point_size(len(points)), "linewidths": 0, "rasterized": True}
        visible = points
        if self.truth is not None and len(truth := self.truth[~np.isnan(self.truth).any(axis=1)]):
            ax.scatter(*truth.T, color=GREY, alpha=0.6, zorder=1, label=within_text(self.reference_name), **style)
            visible = np.concatenate([points, truth])
        ax.scatter(*points.T, color=BLUE, alpha=0.8, zorder=3, label="predicted", **style)
        if visible is not points:
            ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handletextpad=0.2)  # above the axes
        ax.set(xlabel=self.axis_texts[0], ylabel=self.axis_texts[1])
        self._draw_errors(ax, visible, *self._known_errors(stars))

    def _known_errors(self, stars):
        """Return the points with known errors, and their covariance matrices."""
        if self.covariance is None or self.errors is None:
            return np.empty((0, 2)), np.empty((0, 2, 2))
        known = stars & np.isfinite(self.covariance).all(axis=(1, 2))
        return self.points[known], self.covariance[known]

    def _draw_errors(self, ax, visible, points, covariance):
        """Set the limits of the axes, and draw the errors of the points."""
        kind = self.errors
        if kind == "auto":
            kind = "ellipses" if len(points) <= _MAX_ELLIPSES else "typical"
        std = _standard_deviations(covariance).T
        draws_each = kind in ("ellipses", "bars") and len(points) > 0
        set_limits(ax, *visible.T, extra=(points.T - std, points.T + std) if draws_each else ())
        if not len(points):
            return
        if kind == "bars":
            ax.errorbar(*points.T, *std[::-1], fmt="none", ecolor=BLUE, elinewidth=0.6, alpha=0.6, zorder=2)
        elif kind == "ellipses":
            _draw_ellipses(ax, points, covariance, edgecolors=BLUE, linewidths=0.6, alpha=0.6, zorder=2)
        else:
            typical = _typical_covariance(covariance)
            centre = annotate_typical_error(ax, np.sqrt(np.diag(typical)), *visible.T)
            if centre is not None:
                _draw_ellipses(ax, np.array([centre]), typical[None], edgecolors=DARK, linewidths=1, zorder=4)


def _find_quantity(name: str, names: Sequence[str], argument: str) -> _Quantity:
    """Return the label, or the ratio of two abundances, that a name describes."""
    spellings = (name, f"[{name}]")  # alpha/M is the label [alpha/M], not a ratio
    is_label = any(find_column(text, names) is not None or canonical_name(text) is not None for text in spellings)
    if not is_label and (ratio := _RATIO.fullmatch(str(name))):
        return _ratio(name, ratio["numerator"], ratio["denominator"], names, argument)
    spelling = next((text for text in spellings if find_column(text, names) is not None), name)
    column = column_of(spelling, names, argument=argument, owner="y_pred")
    return _Quantity([column], np.ones(1), axis_label(names[column]))


def _ratio(name: str, numerator: str, denominator: str, names: Sequence[str], argument: str) -> _Quantity:
    if wrong := [part for part in (numerator, denominator) if canonical_name(part) in _NO_ABUNDANCES]:
        raise ValueError(
            f"{argument}={name!r}, but {' and '.join(wrong)} cannot be part of a ratio of abundances [X/H]. Pass a "
            "label, or two elements, such as 'Mg/Fe'."
        )
    columns = [
        column_of(part, names, argument=f"{argument}={name!r} with the part", owner="y_pred")
        for part in (numerator, denominator)
    ]
    symbols = [label_symbol(names[column]).removeprefix("[").removesuffix("/H]") for column in columns]
    return _Quantity(columns, np.array([1.0, -1.0]), f"[{'/'.join(symbols)}] (dex)")


def _coordinates(quantities: Sequence[_Quantity], labels: np.ndarray) -> np.ndarray:
    """Return the quantities of labels of shape (..., n_labels): (..., 2)."""
    return np.stack([quantity.of(labels) for quantity in quantities], axis=-1)


def _check_draws(draws: Any, y_pred: np.ndarray) -> np.ndarray | None:
    if draws is None:
        return None
    draws = np.asarray(draws, dtype=float)
    if draws.ndim != 3 or draws.shape[1:] != y_pred.shape or len(draws) < 2:
        raise ValueError(
            f"draws has shape {draws.shape}, expected (n_draws, {', '.join(map(str, y_pred.shape))}). Pass at least "
            "two draws of the labels in y_pred."
        )
    return draws


def _covariance(
    quantities: Sequence[_Quantity], y_std: np.ndarray | None, draws: np.ndarray | None
) -> np.ndarray | None:
    """Return the covariance matrices of both quantities, from draws or from independent errors of the labels."""
    if draws is not None:
        points = _coordinates(quantities, draws)
        points = points - points.mean(axis=0)
        return np.einsum("dni,dnj->nij", points, points) / len(points)
    if y_std is None:
        return None
    signs = _signs(quantities, y_std.shape[1])
    used = signs.any(axis=0)
    return np.einsum("il,jl,nl->nij", signs[:, used], signs[:, used], y_std[:, used] ** 2)


def _covariance_of_labels(y_pred: Any) -> np.ndarray | None:
    """Return the covariance matrices of the labels of a prediction that keeps its draws, else None."""
    if not isinstance(y_pred, Prediction) or y_pred.draws is None:
        return None
    return y_pred.covariance("total" if y_pred.calibrated is None else "calibrated")


def _signs(quantities: Sequence[_Quantity], n_labels: int) -> np.ndarray:
    """Return the matrix that converts labels to both quantities: (2, n_labels)."""
    signs = np.zeros((2, n_labels))
    for row, quantity in zip(signs, quantities, strict=True):
        np.add.at(row, quantity.columns, quantity.signs)
    return signs


def _standard_deviations(covariance: np.ndarray) -> np.ndarray:
    """Return the standard deviations along both axes: (n_samples, 2)."""
    return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))


def _typical_covariance(covariance: np.ndarray) -> np.ndarray:
    """Return the covariance matrix with the median standard deviations and the median correlation."""
    std = _standard_deviations(covariance)
    product = std.prod(axis=1)
    correlations = np.divide(covariance[:, 0, 1], product, out=np.zeros(len(product)), where=product > 0)
    median, correlation = np.median(std, axis=0), np.median(correlations)
    return np.outer(median, median) * np.array([[1, correlation], [correlation, 1]])


def _draw_ellipses(ax: "Axes", points: np.ndarray, covariance: np.ndarray, **style: Any) -> None:
    """Draw ellipses of one standard deviation, in data units."""
    from matplotlib.collections import EllipseCollection

    variances, directions = np.linalg.eigh(covariance)  # in ascending order
    diameters = 2 * np.sqrt(variances.clip(min=0))
    angles = np.degrees(np.arctan2(directions[:, 1, 1], directions[:, 0, 1]))
    ellipses = EllipseCollection(
        diameters[:, 1],
        diameters[:, 0],
        angles,
        units="xy",
        offsets=points,
        offset_transform=ax.transData,
        facecolors="none",
        **style,
    )
    ax.add_collection(ellipses, autolim=False)
