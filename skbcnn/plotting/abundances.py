"""Two labels against each other, or ratios of abundances, with the errors that they have in common."""

import re
from typing import NamedTuple

import numpy as np

from skbcnn._label_tables import label_values
from skbcnn.plotting.axis_texts import axis_text, symbol
from skbcnn.plotting.figures import BLUE, COLUMN_WIDTH, DARK, GREY, drawing, one_axes
from skbcnn.plotting.inputs import (
    as_columns,
    canonical,
    check_shapes,
    column_names,
    column_of,
    error_columns,
    find_column,
    prediction_of,
)
from skbcnn.plotting.points import draw_typical_error, emptiest_corners, point_size, set_limits
from skbcnn.survey import is_missing

_RATIO = re.compile(r"\[?\s*(?P<over>[^/\[\]]+?)\s*/\s*(?P<under>[^/\[\]]+?)\s*\]?")
_NO_ABUNDANCES = {"teff", "logg", "alpha", "fakemag"}  # of which there are no ratios
_ERRORS = ("auto", "ellipses", "bars", "typical", None)
_MOST_ELLIPSES = 50  # of "auto"


class _Axis(NamedTuple):
    """What an axis shows: a sum of labels, each with a sign, and how it is written."""

    columns: list
    signs: np.ndarray
    text: str

    def of(self, labels):
        """The sum, of labels of shape (..., n_labels); NaN where one of them is missing."""
        labels = labels[..., self.columns]
        return np.where(is_missing(labels), np.nan, labels) @ self.signs


class AbundancePlaneDisplay:
    """Stars in the plane of two labels, or of ratios of abundances, with their errors.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        What both axes show; NaN where it is not known.
    covariance : ndarray of shape (n_samples, 2, 2), default=None
        Of the errors of both.
    truth : ndarray of shape (n_samples, 2), default=None
        True values, drawn behind in grey; NaN where not known.
    axis_texts : tuple of (str, str)
        What is written beside the axes.
    errors : {"auto", "ellipses", "bars", "typical"} or None, default="auto"
        How errors are drawn: for each star, or one of median size in a corner. ``"auto"``: ellipses for up to 50
        stars, one beyond.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the picture.
    figure_ : matplotlib.figure.Figure
        That holds them.

    Notes
    -----
    ``"Mg/Fe"`` means [Mg/H] - [Fe/H]. Where only the error bar of each label is known, errors of two labels are taken
    as independent: those of a ratio add in quadrature, and [Mg/Fe] and [Fe/H], which share iron, have the covariance
    ``-sigma_Fe**2``, so that their ellipses lean. Draws from the posterior tell what labels really share. An ellipse
    is that of one standard deviation, which holds 39 of 100 stars.

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

    def __init__(self, *, points, covariance=None, truth=None, axis_texts, errors="auto"):
        self.points = points
        self.covariance = covariance
        self.truth = truth
        self.axis_texts = axis_texts
        self.errors = errors

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, x_name="Fe", y_name="Mg/Fe", x_err=None, errors="auto", ax=None):
        """Predict the labels of spectra, and draw two of them, or their ratios.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table, default=None
            True labels, in the columns of the estimator; those of a table are matched by name.
        x_name, y_name : str
            What the axes show, as in `from_predictions`.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, carried into the error bars.
        errors : {"auto", "ellipses", "bars", "typical"} or None, default="auto"
            How errors are drawn.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : AbundancePlaneDisplay

        Raises
        ------
        ValueError
            If the estimator has no such labels, or shapes differ.
        """
        prediction = prediction_of(estimator, X, x_err)
        names = prediction.label_names
        y_true = None if y is None else label_values(y, names)
        return cls.from_predictions(
            prediction.mean,
            prediction.total,
            x_name=x_name,
            y_name=y_name,
            label_names=names,
            y_true=y_true,
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
        ax=None,
    ):
        """Draw two labels of stars, or ratios of their abundances.

        Parameters
        ----------
        y_pred : array-like of shape (n_samples, n_labels)
            Labels; NaN and anything at most -9990 is missing.
        y_std : array-like of shape (n_samples, n_labels), default=None
            Their error bars, taken as independent of each other.
        x_name, y_name : str
            What the axes show: a label in any spelling, such as ``"Fe"``, or the ratio of two abundances, such as
            ``"Mg/Fe"``.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a data frame, or the 22 labels of APOGEE if there are 22.
        y_true : array-like of shape (n_samples, n_labels), default=None
            True labels, drawn behind in grey.
        draws : array-like of shape (n_draws, n_samples, n_labels), default=None
            Draws of the labels from the posterior. Their covariance is then that of the errors, in place of `y_std`.
        errors : {"auto", "ellipses", "bars", "typical"} or None, default="auto"
            How errors are drawn, as in `AbundancePlaneDisplay`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : AbundancePlaneDisplay

        Raises
        ------
        ValueError
            If shapes differ, a name is not that of a label or of a ratio of abundances, or no star has both.
        """
        names = column_names(label_names, y_pred, "y_pred")
        axes = [_axis(name, names, argument) for name, argument in ((x_name, "x_name"), (y_name, "y_name"))]
        y_pred = as_columns(y_pred)
        y_true = None if y_true is None else as_columns(y_true, "y_true")
        check_shapes({"y_pred": y_pred}, y_true=y_true)
        covariance = _covariance(axes, error_columns(y_std, y_pred), _checked_draws(draws, y_pred))
        points, truth = (None if labels is None else _in_plane(axes, labels) for labels in (y_pred, y_true))
        texts = tuple(axis.text for axis in axes)
        return cls(points=points, covariance=covariance, truth=truth, axis_texts=texts, errors=errors).plot(ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : AbundancePlaneDisplay
            This one, with `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If no star has both labels, or `errors` is not one of the choices.
        """
        with drawing("AbundancePlaneDisplay"):
            stars = ~np.isnan(self.points).any(axis=1)
            self._check(stars)
            ax = one_axes(ax, (COLUMN_WIDTH, 3.0))
            self._draw(ax, stars)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _check(self, stars):
        if self.errors not in _ERRORS:
            raise ValueError(f"errors={self.errors!r}, expected one of {', '.join(map(repr, _ERRORS))}.")
        if not stars.any():
            raise ValueError(
                f"No star has both {' and '.join(self.axis_texts)}: of all {len(stars)} one or the other is missing "
                "(NaN or at most -9990). Nothing can be drawn; pass stars with both."
            )

    def _draw(self, ax, stars):
        points = self.points[stars]
        look = {"s": point_size(len(points)), "linewidths": 0, "rasterized": True}
        seen = points
        if self.truth is not None and len(truth := self.truth[~np.isnan(self.truth).any(axis=1)]):
            ax.scatter(*truth.T, color=GREY, alpha=0.6, zorder=1, label="true", **look)
            seen = np.concatenate([points, truth])
        ax.scatter(*points.T, color=BLUE, alpha=0.8, zorder=3, label="predicted", **look)
        if seen is not points:
            ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handletextpad=0.2)  # covers no star there
        ax.set(xlabel=self.axis_texts[0], ylabel=self.axis_texts[1])
        self._draw_errors(ax, seen, *self._known_errors(stars))

    def _known_errors(self, stars):
        """Points whose errors are known, and their covariances."""
        if self.covariance is None or self.errors is None:
            return np.empty((0, 2)), np.empty((0, 2, 2))
        known = stars & np.isfinite(self.covariance).all(axis=(1, 2))
        return self.points[known], self.covariance[known]

    def _draw_errors(self, ax, seen, points, covariance):
        """The errors, and limits between which they are seen."""
        kind = self.errors
        if kind == "auto":
            kind = "ellipses" if len(points) <= _MOST_ELLIPSES else "typical"
        sizes = _sizes(covariance).T
        is_each = kind in ("ellipses", "bars") and len(points) > 0
        set_limits(ax, *seen.T, reach=(points.T - sizes, points.T + sizes) if is_each else ())
        if not len(points):
            return
        if kind == "bars":
            ax.errorbar(*points.T, *sizes[::-1], fmt="none", ecolor=BLUE, elinewidth=0.6, alpha=0.6, zorder=2)
        elif kind == "ellipses":
            _draw_ellipses(ax, points, covariance, edgecolors=BLUE, linewidths=0.6, alpha=0.6, zorder=2)
        else:
            typical = _typical(covariance)
            place = draw_typical_error(ax, np.sqrt(np.diag(typical)), emptiest_corners(ax, *seen.T)[0])
            _draw_ellipses(ax, np.array([place]), typical[None], edgecolors=DARK, linewidths=1, zorder=4)


def _axis(name, names, argument):
    """What a name asks to be shown: a label, or the ratio of two abundances."""
    for spelling in (name, f"[{name}]"):  # alpha/M is the label [alpha/M]
        if (column := find_column(spelling, names)) is not None:
            return _Axis([column], np.ones(1), axis_text(names[column]))
    ratio = _RATIO.fullmatch(str(name))
    if ratio and canonical(name) is None and canonical(f"[{name}]") is None:
        return _ratio(name, *ratio.groups(), names, argument)
    return column_of(name, names, argument=argument, owner="y_pred")  # there is none, which this says


def _ratio(name, over, under, names, argument):
    if odd := [part for part in (over, under) if canonical(part) in _NO_ABUNDANCES]:
        raise ValueError(
            f"{argument}={name!r}, but {' and '.join(odd)} is no abundance [X/H], of which ratios are made. Pass a "
            "label, or two elements, such as 'Mg/Fe'."
        )
    part_of = f"{argument}={name!r}, one part of which"
    columns = [column_of(part, names, argument=part_of, owner="y_pred") for part in (over, under)]
    parts = [symbol(names[column]).removeprefix("[").removesuffix("/H]") for column in columns]
    return _Axis(columns, np.array([1.0, -1.0]), f"[{'/'.join(parts)}] (dex)")


def _in_plane(axes, labels):
    """What both axes show of labels (..., n_labels): (..., 2)."""
    return np.stack([axis.of(labels) for axis in axes], axis=-1)


def _checked_draws(draws, y_pred):
    if draws is None:
        return None
    draws = np.asarray(draws, dtype=float)
    if draws.ndim != 3 or draws.shape[1:] != y_pred.shape or len(draws) < 2:
        raise ValueError(
            f"draws has shape {draws.shape}, expected (n_draws, {', '.join(map(str, y_pred.shape))}): at least two "
            "draws of what y_pred has."
        )
    return draws


def _covariance(axes, y_std, draws):
    """Covariance of what both axes show, (n_samples, 2, 2): of draws, or of independent labels; None if unknown."""
    if draws is not None:
        points = _in_plane(axes, draws)
        points = points - points.mean(axis=0)
        return np.einsum("dni,dnj->nij", points, points) / len(points)
    if y_std is None:
        return None
    signs = np.zeros((2, y_std.shape[1]))
    for row, axis in zip(signs, axes, strict=True):
        np.add.at(row, axis.columns, axis.signs)
    used = signs.any(axis=0)
    return np.einsum("il,jl,nl->nij", signs[:, used], signs[:, used], y_std[:, used] ** 2)


def _sizes(covariance):
    """Standard deviations along both axes, (n_samples, 2)."""
    return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))


def _typical(covariance):
    """Median size of errors along both axes, and their median correlation."""
    sizes = _sizes(covariance)
    product = sizes.prod(axis=1)
    correlation = np.divide(covariance[:, 0, 1], product, out=np.zeros(len(product)), where=product > 0)
    typical, shared = np.median(sizes, axis=0), np.median(correlation)
    return np.outer(typical, typical) * np.array([[1, shared], [shared, 1]])


def _draw_ellipses(ax, points, covariance, **look):
    """Ellipses of one standard deviation, in data units."""
    from matplotlib.collections import EllipseCollection

    variances, directions = np.linalg.eigh(covariance)  # ascending
    diameters = 2 * np.sqrt(variances.clip(min=0))
    angles = np.degrees(np.arctan2(directions[:, 1, 1], directions[:, 0, 1]))
    ax.add_collection(
        EllipseCollection(
            diameters[:, 1],
            diameters[:, 0],
            angles,
            units="xy",
            offsets=points,
            offset_transform=ax.transData,
            facecolors="none",
            **look,
        ),
        autolim=False,
    )
