"""How far predicted labels are from true ones: one label in detail, or all of them on a page.

Labels that are missing (NaN or at most -9990) are left out of the points, and of the medians and spreads printed
beside them, which are those of `skbcnn.metrics.residual_table`.
"""

import numpy as np

from skbcnn._label_tables import label_values
from skbcnn.metrics import residual_table
from skbcnn.plotting.axis_texts import axis_text, digits_for, number
from skbcnn.plotting.figures import (
    BLUE,
    BOX,
    DARK,
    PAGE_WIDTH,
    TICK_SIZE,
    VERMILLION,
    colour_bar,
    drawing,
    dress,
    one_axes,
)
from skbcnn.plotting.inputs import as_columns, check_shapes, column_of, prediction_of
from skbcnn.plotting.points import limits, outside, point_size
from skbcnn.survey import is_missing

_LEAST_IN_BIN, _MOST_BINS = 25, 12
_N_COLUMNS, _TITLE_SIZE = 4, 12  # of the overview, which is printed at less than its size


class ResidualDisplay:
    """Residuals (prediction minus truth) of one label against its true value.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        True values; NaN or at most -9990 where missing.
    y_pred : ndarray of shape (n_samples,)
        Predicted values.
    y_std : ndarray of shape (n_samples,), default=None
        Error bars of the predictions.
    snr : ndarray of shape (n_samples,), default=None
        S/N of each star, shown as colour.
    label_name : str, default="label"
        For the axes; symbol and unit are the survey's, if it knows the label.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        With the picture.
    figure_ : matplotlib.figure.Figure
        That holds them.

    See Also
    --------
    ResidualOverviewDisplay : All labels on one page.
    skbcnn.metrics.residual_table : The numbers alone.

    Examples
    --------
    >>> from skbcnn.plotting import ResidualDisplay, new_figure
    >>> ax = new_figure(6, 4).add_subplot()
    >>> display = ResidualDisplay.from_predictions([4500.0, -9999.0, 4800.0], [4510.0, 4600.0, 4790.0],
    ...                                            label_name="teff", ax=ax)
    >>> display.ax_.get_xlabel()
    'True $T_\\\\mathrm{eff}$ (K)'
    """

    def __init__(self, *, y_true, y_pred, y_std=None, snr=None, label_name="label"):
        self.y_true = y_true
        self.y_pred = y_pred
        self.y_std = y_std
        self.snr = snr
        self.label_name = label_name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, label_name=None, x_err=None, snr=None, ax=None):
        """Predict one label of spectra, and draw its residuals.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels, in the columns of the estimator; those of a table are matched by name.
        label_name : str, default=None
            Which label, as the estimator calls it or in any other spelling. May be left out if there is only one.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, carried into the error bars.
        snr : array-like of shape (n_samples,), default=None
            S/N of each star, shown as colour.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : ResidualDisplay

        Raises
        ------
        ValueError
            If the estimator has no such label, shapes differ, or no star has a true value.
        """
        prediction = prediction_of(estimator, X, x_err)
        column = column_of(label_name, prediction.label_names)
        y = label_values(y, prediction.label_names)
        values = [as_columns(values)[:, column] for values in (y, prediction.mean, prediction.total)]
        return cls.from_predictions(
            *values[:2], y_std=values[2], snr=snr, label_name=prediction.label_names[column], ax=ax
        )

    @classmethod
    def from_predictions(cls, y_true, y_pred, *, y_std=None, snr=None, label_name="label", ax=None):
        """Draw the residuals of predictions of one label.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True values; NaN or at most -9990 where missing.
        y_pred : array-like of shape (n_samples,)
            Predicted values.
        y_std : array-like of shape (n_samples,), default=None
            Error bars of the predictions, drawn lightly.
        snr : array-like of shape (n_samples,), default=None
            S/N of each star, shown as colour.
        label_name : str, default="label"
            For the axes.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : ResidualDisplay

        Raises
        ------
        ValueError
            If shapes differ, or no star has a true value.
        """
        y_true, y_pred, y_std, snr = (None if v is None else np.asarray(v, float) for v in (y_true, y_pred, y_std, snr))
        if y_true.ndim != 1:
            raise ValueError(f"y_true has shape {y_true.shape}, expected (n_samples,): the values of one label.")
        check_shapes({"y_true": y_true}, y_pred=y_pred, y_std=y_std, snr=snr)
        return cls(y_true=y_true, y_pred=y_pred, y_std=y_std, snr=snr, label_name=label_name).plot(ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure with pyplot.

        Returns
        -------
        display : ResidualDisplay
            This one, with `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If no star has a true value.
        """
        with drawing("ResidualDisplay"):
            present = self._present()
            ax = one_axes(ax, (PAGE_WIDTH, 4.5))
            self._draw(ax, present)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _present(self):
        """Stars that have a true value; refused if there is none, before a figure is made."""
        present = ~is_missing(self.y_true)
        if not present.any():
            raise ValueError(
                f"No star has a true value of {self.label_name}: all {len(present)} are missing (NaN or at most "
                "-9990). Nothing can be drawn; pass stars with known labels."
            )
        return present

    def _draw(self, ax, present):
        true, residual = self.y_true[present], (self.y_pred - self.y_true)[present]
        if self.y_std is not None:
            ax.errorbar(true, residual, self.y_std[present], fmt="none", ecolor="0.86", elinewidth=0.6, zorder=1)
        self._scatter(ax, true, residual, present)
        ax.axhline(0, color=DARK, linewidth=1, zorder=3)
        _draw_trend(ax, true, residual)
        _set_limits(ax, true, residual)
        ax.set_xlabel(f"True {axis_text(self.label_name)}")
        ax.set_ylabel(f"Predicted \N{MINUS SIGN} true {axis_text(self.label_name)}")
        ax.set_title(self._numbers(ax, true, residual))

    def _scatter(self, ax, true, residual, present):
        """The points, by S/N in colour if that differs from star to star."""
        look = {"s": point_size(len(true)), "linewidths": 0, "zorder": 2, "rasterized": True}
        snr = None if self.snr is None else self.snr[present]
        if snr is None or not np.isfinite(snr).any() or np.nanmin(snr) == np.nanmax(snr):
            ax.scatter(true, residual, color=BLUE, alpha=0.6, **look)
            return
        low, high = np.nanpercentile(snr, [2, 98])
        points = ax.scatter(true, residual, c=snr, cmap="viridis", vmin=low, vmax=high, plotnonfinite=True, **look)
        colour_bar(points, ax, "S/N", extend="both")

    def _numbers(self, ax, true, residual):
        """Median and spread over all stars, in words."""
        (row,) = residual_table(true, true + residual, label_names=[self.label_name])
        n_outside = int((outside(residual, ax.get_ylim()) | outside(true, ax.get_xlim())).sum())
        text = f"{len(true)} stars: " + _statistics(row, ", ")
        return text + (f" ({n_outside} beyond the axes)" if n_outside else "")


class ResidualOverviewDisplay:
    """Predicted against true values of all labels, a small panel for each.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples, n_labels)
        True labels; NaN or at most -9990 where missing.
    y_pred : ndarray of shape (n_samples, n_labels)
        Predicted labels.
    label_names : sequence of str
        Names of the columns.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_labels,)
        A panel for each label.
    figure_ : matplotlib.figure.Figure
        The page.

    See Also
    --------
    ResidualDisplay : One label in detail.

    Examples
    --------
    >>> from skbcnn.plotting import ResidualOverviewDisplay, new_figure
    >>> y_true, y_pred = [[4500.0, 0.1], [4800.0, -9999.0]], [[4510.0, 0.2], [4790.0, 0.0]]
    >>> page = ResidualOverviewDisplay.from_predictions(y_true, y_pred, label_names=["teff", "Mg"],
    ...                                                 figure=new_figure(8, 3))
    >>> len(page.axes_)
    2
    """

    def __init__(self, *, y_true, y_pred, label_names):
        self.y_true = y_true
        self.y_pred = y_pred
        self.label_names = label_names

    @classmethod
    def from_estimator(cls, estimator, X, y, *, x_err=None, figure=None):
        """Predict the labels of spectra, and draw them against the true ones.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels, in the columns of the estimator; those of a table are matched by name.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.
        figure : matplotlib.figure.Figure, default=None
            Where to draw; None makes a new one with pyplot.

        Returns
        -------
        display : ResidualOverviewDisplay

        Raises
        ------
        ValueError
            If shapes differ.
        """
        prediction = prediction_of(estimator, X, x_err)
        y = label_values(y, prediction.label_names)
        return cls.from_predictions(y, prediction.mean, label_names=prediction.label_names, figure=figure)

    @classmethod
    def from_predictions(cls, y_true, y_pred, *, label_names, figure=None):
        """Draw predicted labels against true ones.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
            True labels; NaN or at most -9990 where missing. A label without any gets an empty panel that says so.
        y_pred : array-like of the shape of `y_true`
            Predicted labels.
        label_names : sequence of str
            Names of the columns.
        figure : matplotlib.figure.Figure, default=None
            Where to draw; None makes a new one with pyplot.

        Returns
        -------
        display : ResidualOverviewDisplay

        Raises
        ------
        ValueError
            If shapes differ, or `label_names` does not name each column.
        """
        y_true, y_pred = as_columns(y_true), as_columns(y_pred)
        return cls(y_true=y_true, y_pred=y_pred, label_names=tuple(label_names)).plot(figure)

    def plot(self, figure=None):
        """Draw.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, default=None
            Where to draw; None makes a new one with pyplot.

        Returns
        -------
        display : ResidualOverviewDisplay
            This one, with `axes_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If shapes differ, or `label_names` does not name each column.
        """
        table = residual_table(self.y_true, self.y_pred, label_names=self.label_names)
        with drawing("ResidualOverviewDisplay"):
            figure = self._new_page() if figure is None else figure
            n_columns = min(_N_COLUMNS, len(table))
            axes = figure.subplots(-(-len(table) // n_columns), n_columns, squeeze=False).ravel()
            for ax in axes[len(table) :]:
                ax.set_visible(False)
            for j, (ax, row) in enumerate(zip(axes, table, strict=False)):
                _draw_panel(ax, self.y_true[:, j], self.y_pred[:, j], row)
            figure.supxlabel("True label", fontsize=_TITLE_SIZE)
            figure.supylabel("Predicted label", fontsize=_TITLE_SIZE)
        self.axes_, self.figure_ = axes[: len(table)], figure
        return self

    def _new_page(self):
        from matplotlib import pyplot

        return pyplot.figure(figsize=overview_size(len(self.label_names)), layout="constrained")


def overview_size(n_labels):
    """Width and height of a page of panels, in inches.

    Parameters
    ----------
    n_labels : int
        Number of panels.

    Returns
    -------
    width, height : float

    Examples
    --------
    >>> from skbcnn.plotting import overview_size
    >>> overview_size(22)
    (10.0, 14.9)
    """
    n_columns = min(_N_COLUMNS, n_labels)
    return 0.4 + 2.4 * n_columns, round(0.5 + 2.4 * -(-n_labels // n_columns), 1)


def _draw_panel(ax, true, predicted, row):
    """One label of the overview; `row` is that of the residual table."""
    name = row["label"]
    ax.set_title(axis_text(name), fontsize=_TITLE_SIZE)
    dress(ax)
    present = ~is_missing(true)
    if not present.any():
        ax.text(0.5, 0.5, "no true value", transform=ax.transAxes, ha="center", va="center")
        ax.set(xticks=[], yticks=[])
        return
    true, predicted = true[present], predicted[present]
    ends = limits(np.concatenate([true, predicted]))
    size = 0.5 * point_size(len(true))
    ax.scatter(true, predicted, s=size, color=BLUE, alpha=0.6, linewidths=0, rasterized=True)
    ax.axline((ends[0], ends[0]), slope=1, color=DARK, linewidth=0.8)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.locator_params(nbins=4)
    ax.text(0.05, 0.95, _statistics(row, "\n"), transform=ax.transAxes, va="top", fontsize=TICK_SIZE, bbox=BOX)


def _statistics(row, separator):
    """Median and spread of a row of the residual table, in words."""
    unit = f" {row['unit']}" if row["unit"] else ""
    digits = digits_for(row["mad_std"])
    median, spread = (number(row[name], digits) for name in ("median_residual", "mad_std"))
    return f"median {median}{unit}{separator}mad_std {spread}{unit}"


def _draw_trend(ax, true, residual):
    """Running median, and the robust spread about it, where there are stars enough."""
    n_bins = min(_MOST_BINS, len(true) // _LEAST_IN_BIN)
    if n_bins < 2:
        return
    from astropy.stats import mad_std  # here, since importing astropy takes long

    bins = np.array_split(np.argsort(true, kind="stable"), n_bins)
    centre, middle = (np.array([np.median(values[rows]) for rows in bins]) for values in (true, residual))
    spread = np.array([mad_std(residual[rows]) for rows in bins])
    ax.plot(centre, middle, color=VERMILLION, linewidth=1.8, zorder=4, label="running median")
    for sign, name in ((1, "\N{PLUS-MINUS SIGN} running mad_std"), (-1, None)):
        ax.plot(centre, middle + sign * spread, "--", color=VERMILLION, linewidth=1.1, zorder=4, label=name)
    ax.legend(loc="upper right", ncols=2)


def _set_limits(ax, true, residual):
    """Axes that hold nearly all points, zero in the middle."""
    reach = np.percentile(np.abs(residual), 99) * 1.7 or 1.0
    ax.set(xlim=limits(true), ylim=(-reach, reach))
