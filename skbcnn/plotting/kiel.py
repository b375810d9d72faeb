"""Where stars stand in temperature and gravity."""

import numpy as np

from skbcnn.plotting.axis_texts import axis_text
from skbcnn.plotting.figures import BLUE, COLUMN_WIDTH, DARK, GREY, colour_bar, drawing, one_axes
from skbcnn.plotting.inputs import (
    as_columns,
    column_names,
    column_of,
    error_columns,
    find_column,
    prediction_of,
    present,
)
from skbcnn.plotting.points import draw_typical_error, emptiest_corners, median_of, point_size, set_limits
from skbcnn.survey import is_missing


class KielDisplay:
    """Gravity against temperature, both axes inverted, in the colours of a third label.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_pred : ndarray of shape (n_samples, n_labels)
        Labels; NaN or at most -9990 where missing.
    y_std : ndarray of shape (n_samples, n_labels), default=None
        Their error bars; a cross in a corner shows the medians.
    label_names : sequence of str
        Names of the columns, teff and logg among them, in any spelling.
    color : str or None, default="auto"
        Label shown as colour; None: none; ``"auto"``: [Fe/H], if it is there.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the picture.
    figure_ : matplotlib.figure.Figure
        That holds them.

    Notes
    -----
    Stars without temperature or gravity are left out; those without the label of the colours are grey.

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

    def __init__(self, *, y_pred, y_std=None, label_names, color="auto"):
        self.y_pred = y_pred
        self.y_std = y_std
        self.label_names = label_names
        self.color = color

    @classmethod
    def from_estimator(cls, estimator, X, *, x_err=None, color="auto", ax=None):
        """Predict the labels of spectra, and draw where the stars stand.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted, of teff and logg at least.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, carried into the error bars.
        color : str or None, default="auto"
            Label shown as colour; None: none; ``"auto"``: [Fe/H], if the estimator has it.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : KielDisplay

        Raises
        ------
        ValueError
            If the estimator has no teff, no logg, or not the label of the colours.
        """
        prediction = prediction_of(estimator, X, x_err)
        return cls.from_predictions(
            prediction.mean, prediction.total, label_names=prediction.label_names, color=color, ax=ax
        )

    @classmethod
    def from_predictions(cls, y_pred, y_std=None, *, label_names=None, color="auto", ax=None):
        """Draw where stars of known labels stand.

        Parameters
        ----------
        y_pred : array-like of shape (n_samples, n_labels)
            Labels; NaN and anything at most -9990 is missing.
        y_std : array-like of shape (n_samples, n_labels), default=None
            Their error bars.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a data frame, or the 22 labels of APOGEE if there are 22.
        color : str or None, default="auto"
            Label shown as colour; None: none; ``"auto"``: [Fe/H], if it is among them.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : KielDisplay

        Raises
        ------
        ValueError
            If shapes differ, teff, logg or the label of the colours is not there, or no star has both of the former.
        """
        names = column_names(label_names, y_pred, "y_pred")
        y_pred = as_columns(y_pred)
        return cls(y_pred=y_pred, y_std=error_columns(y_std, y_pred), label_names=names, color=color).plot(ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : KielDisplay
            This one, with `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If teff, logg or the label of the colours is not there, or no star has both of the former.
        """
        with drawing("KielDisplay"):
            teff, logg = (self._column(name) for name in ("teff", "logg"))
            color = self._color_column()
            stars = present(self.y_pred[:, teff], self.y_pred[:, logg])
            if not stars.any():
                raise ValueError(
                    f"No star has both teff and logg: of all {len(stars)} one or the other is missing (NaN or at most "
                    "-9990). Nothing can be drawn; pass stars with both."
                )
            ax = one_axes(ax, (COLUMN_WIDTH, 3.0))
            self._draw(ax, (teff, logg), color, stars)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _column(self, name):
        column = find_column(name, self.label_names)
        if column is None:
            raise ValueError(
                f"The labels are {', '.join(self.label_names)}, expected teff and logg among them: these are the axes. "
                "Pass label_names that name their columns."
            )
        return column

    def _color_column(self):
        """Column of the label of the colours, None if there are none."""
        if self.color is None:
            return None
        if self.color == "auto":
            return find_column("Fe", self.label_names)
        return column_of(self.color, self.label_names, argument="color", owner="y_pred")

    def _draw(self, ax, columns, color, stars):
        teff, logg = self.y_pred[stars].T[list(columns)]
        self._scatter(ax, teff, logg, stars, color)
        set_limits(ax, teff, logg)
        ax.invert_xaxis()
        ax.invert_yaxis()
        ax.set(xlabel=axis_text("teff"), ylabel=axis_text("logg"))
        if self.y_std is not None:
            typical = [median_of(errors) for errors in self.y_std[stars].T[list(columns)]]
            if not np.isnan(typical).any():
                place = draw_typical_error(ax, typical, emptiest_corners(ax, teff, logg)[0])
                ax.errorbar(*place, *typical[::-1], fmt="none", ecolor=DARK, elinewidth=1, capsize=1.5, zorder=4)

    def _scatter(self, ax, teff, logg, stars, color):
        """The points, in the colours of the third label where it is known."""
        look = {"s": point_size(len(teff)), "linewidths": 0, "rasterized": True}
        if color is None:
            ax.scatter(teff, logg, color=BLUE, **look)
            return
        values = self.y_pred[stars, color]
        known = ~is_missing(values)
        if not known.all():
            ax.scatter(teff[~known], logg[~known], color=GREY, **look)
        if known.any():
            low, high = np.percentile(values[known], [1, 99])
            points = ax.scatter(teff[known], logg[known], c=values[known], cmap="viridis", vmin=low, vmax=high, **look)
            colour_bar(points, ax, axis_text(self.label_names[color]), extend="both")
