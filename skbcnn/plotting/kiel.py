"""`KielDisplay`: surface gravity against effective temperature."""

import numpy as np

from skbcnn._label_tables import label_columns
from skbcnn.plotting._axes import add_colour_bar
from skbcnn.plotting._axis_limits import set_limits
from skbcnn.plotting._display import SinglePanelDisplay
from skbcnn.plotting._estimators import predict_labels
from skbcnn.plotting._label_inputs import (
    as_columns,
    column_names,
    column_of,
    error_columns,
    find_column,
    labels_and_errors,
)
from skbcnn.plotting._label_text import axis_label
from skbcnn.plotting._style import BLUE, COLUMN_WIDTH, DARK, GREY, point_size
from skbcnn.plotting._typical_error import annotate_typical_error, nanmedian
from skbcnn.survey import is_missing


class KielDisplay(SinglePanelDisplay):
    """Surface gravity against effective temperature, both axes inverted, with a third label as colour.

    Create it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_pred : ndarray of shape (n_samples, n_labels)
        Labels; NaN or at most -9990 where missing.
    y_std : ndarray of shape (n_samples, n_labels), default=None
        Error bars of the labels. Their medians are drawn in an empty corner, or
        written above the axes if there is none.
    label_names : sequence of str
        Names of the columns, in any spelling. They must include teff and logg.
    color : str or None, default="auto"
        Label that gives the colours. ``"auto"`` means [Fe/H] if it is a column, otherwise no colours; None means no
        colours.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the diagram.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.

    Notes
    -----
    Stars without temperature or gravity are left out. Stars without the label of the colours are grey.

    Examples
    --------
    >>> from skbcnn.plotting import KielDisplay, new_figure
    >>> labels = [[4500.0, 1.8, -0.2], [4800.0, 2.5, 0.1], [-9999.0, 2.4, 0.0]]
    >>> ax = new_figure(3.5, 3).add_subplot()
    >>> display = KielDisplay.from_predictions(labels, label_names=["teff", "logg", "Fe"], ax=ax)
    >>> display.ax_.collections[0].get_offsets().data
    array([[4.5e+03, 1.8e+00],
           [4.8e+03, 2.5e+00]])
    """

    _figure_size = (COLUMN_WIDTH, 3.0)

    def __init__(self, *, y_pred, y_std=None, label_names, color="auto"):
        self.y_pred = y_pred
        self.y_std = y_std
        self.label_names = label_names
        self.color = color

    @classmethod
    def from_estimator(cls, estimator, X, *, x_err=None, color="auto", ax=None):
        """Predict the labels of spectra, and draw the Kiel diagram.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator whose labels include teff and logg.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, which are propagated into the error bars.
        color : str or None, default="auto"
            Label that gives the colours, as in `from_predictions`.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `from_predictions`.

        Returns
        -------
        display : KielDisplay

        Raises
        ------
        ValueError
            If the estimator lacks teff, logg or the label of the colours.
        """
        prediction = predict_labels(estimator, X, x_err)
        return cls.from_predictions(
            prediction.mean, prediction.total, label_names=prediction.label_names, color=color, ax=ax
        )

    @classmethod
    def from_predictions(cls, y_pred, y_std=None, *, label_names=None, color="auto", ax=None):
        """Draw the Kiel diagram of stars with known labels.

        Parameters
        ----------
        y_pred : array-like of shape (n_samples, n_labels), table, or Prediction
            Labels; NaN or at most -9990 where missing.
        y_std : array-like of shape (n_samples, n_labels), or table, default=None
            Error bars of the labels. None: those of a `Prediction`, calibrated if it has such.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a `Prediction` or a table, or the 22 labels of APOGEE for 22 columns
            without names.
        color : str or None, default="auto"
            Label that gives the colours. ``"auto"`` means [Fe/H] if it is a column, otherwise no colours; None means no
            colours.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : KielDisplay

        Raises
        ------
        ValueError
            If shapes differ, there is no column for teff, logg or the label of the colours, or no star has both teff
            and logg.
        """
        y_pred, y_std = labels_and_errors(y_pred, y_std)
        names = column_names(label_names, y_pred, "y_pred")
        columns = label_columns(y_pred, "y_pred").renamed(names)
        y_pred = as_columns(columns)
        return cls(y_pred=y_pred, y_std=error_columns(y_std, y_pred, columns), label_names=names, color=color).plot(ax)

    def _check(self):
        present = self._present_stars()
        self._colour_column()
        if not present.any():
            raise ValueError(
                f"No star has both teff and logg: each of the {len(present)} stars lacks one of them (NaN or at most "
                "-9990). Pass stars with both."
            )

    def _columns(self):
        """Return the columns of teff and logg."""
        columns = [find_column(name, self.label_names) for name in ("teff", "logg")]
        if None in columns:
            raise ValueError(
                f"The labels are {', '.join(self.label_names)}, expected teff and logg among them, because these are "
                "the axes. Pass label_names with the names of their columns."
            )
        return columns

    def _present_stars(self):
        """Return the mask of stars with temperature and gravity."""
        return ~is_missing(self.y_pred[:, self._columns()]).any(axis=1)

    def _colour_column(self):
        """Return the column of the label of the colours, or None if there are no colours."""
        if self.color is None:
            return None
        if self.color == "auto":
            return find_column("Fe", self.label_names)
        return column_of(self.color, self.label_names, argument="color", owner="y_pred")

    def _draw(self, ax):
        columns, stars = self._columns(), self._present_stars()
        teff, logg = self.y_pred[stars].T[columns]
        self._scatter(ax, teff, logg, stars)
        set_limits(ax, teff, logg)
        ax.invert_xaxis()
        ax.invert_yaxis()
        ax.set(xlabel=axis_label("teff"), ylabel=axis_label("logg"))
        if self.y_std is not None:
            typical = [nanmedian(errors) for errors in self.y_std[stars].T[columns]]
            if not np.isnan(typical).any():
                place = annotate_typical_error(ax, typical, teff, logg)
                if place is not None:
                    ax.errorbar(*place, *typical[::-1], fmt="none", ecolor=DARK, elinewidth=1, capsize=1.5, zorder=4)

    def _scatter(self, ax, teff, logg, stars):
        """Draw the points, with colours where the third label is present."""
        column = self._colour_column()
        style = {"s": point_size(len(teff)), "linewidths": 0, "rasterized": True}
        if column is None:
            ax.scatter(teff, logg, color=BLUE, **style)
            return
        values = self.y_pred[stars, column]
        present = ~is_missing(values)
        if not present.all():
            ax.scatter(teff[~present], logg[~present], color=GREY, **style)
        if present.any():
            teff, logg, values = teff[present], logg[present], values[present]
            low, high = np.percentile(values, [1, 99])
            points = ax.scatter(teff, logg, c=values, cmap="viridis", vmin=low, vmax=high, **style)
            add_colour_bar(points, ax, axis_label(self.label_names[column]), extend="both")
