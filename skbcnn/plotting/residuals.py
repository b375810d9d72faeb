"""How far predicted labels are from true ones: one label in detail, or all of them on a page.

Labels that are missing (NaN or at most -9990) are left out of the points, and of the medians and spreads printed
beside them, which are those of `skbcnn.metrics.residual_table`.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy.stats import mad_std

from skbcnn.atomic import atomic_path
from skbcnn.extras import require_extra
from skbcnn.metrics import residual_table
from skbcnn.survey import is_missing, label, label_unit

_POINT, _LINE, _TREND = "#33658a", "#404040", "#c8402f"
_STYLE = {
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 9,
}
_WITHIN = 99.0  # percent of the points that decide where the axes end
_LEAST_IN_BIN, _MOST_BINS = 25, 12
_N_COLUMNS = 4


def new_figure(width, height):
    """Make a figure of its own, that no window and no other code knows of.

    Parameters
    ----------
    width, height : float
        In inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Drawn by Agg when it is saved, so no display is needed, and freed with its last reference.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    """
    require_extra("plot", "A picture")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure, path, *, dpi=150):
    """Write a figure to a file, which appears once it is complete.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or path-like
        ``.png``, ``.pdf`` or whatever else matplotlib writes. A file of this name is replaced.
    dpi : float, default=150
        Dots per inch.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If matplotlib does not know the format.
    OSError
        If it cannot be written; nothing is then left under its name.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path


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
        estimator : CensoredBCNNRegressor
            Fitted.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,)
            True labels, in the columns of the estimator.
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
        prediction = estimator.predict_distribution(X, x_err=x_err)
        column = _column_of(label_name, prediction.label_names)
        values = [_as_columns(values)[:, column] for values in (y, prediction.mean, prediction.total)]
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
        _check_shapes(y_true, y_pred=y_pred, y_std=y_std, snr=snr)
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
        require_extra("plot", "ResidualDisplay")
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            if ax is None:
                from matplotlib import pyplot

                _, ax = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
            self._draw(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(self, ax):
        present = ~is_missing(self.y_true)
        if not present.any():
            raise ValueError(
                f"No star has a true value of {self.label_name}: all {len(present)} are missing (NaN or at most "
                "-9990). Nothing can be drawn; pass stars with known labels."
            )
        true, residual = self.y_true[present], (self.y_pred - self.y_true)[present]
        if self.y_std is not None:
            ax.errorbar(true, residual, self.y_std[present], fmt="none", ecolor="0.86", elinewidth=0.6, zorder=1)
        self._scatter(ax, true, residual, present)
        ax.axhline(0, color=_LINE, linewidth=1, zorder=3)
        _draw_trend(ax, true, residual)
        _set_limits(ax, true, residual)
        symbol, unit = _symbol(self.label_name), _in_brackets(self.label_name)
        ax.set_xlabel(f"True {symbol}{unit}")
        ax.set_ylabel(f"Predicted \N{MINUS SIGN} true {symbol}{unit}")
        ax.set_title(self._numbers(ax, true, residual))

    def _scatter(self, ax, true, residual, present):
        """The points, by S/N in colour if that differs from star to star."""
        look = {"s": _point_size(len(true)), "linewidths": 0, "zorder": 2, "rasterized": True}
        snr = None if self.snr is None else self.snr[present]
        if snr is None or not np.isfinite(snr).any() or np.nanmin(snr) == np.nanmax(snr):
            ax.scatter(true, residual, color=_POINT, alpha=0.6, **look)
            return
        low, high = np.nanpercentile(snr, [2, 98])
        points = ax.scatter(true, residual, c=snr, cmap="viridis", vmin=low, vmax=high, plotnonfinite=True, **look)
        ax.figure.colorbar(points, ax=ax, label="S/N", pad=0.02, extend="both")

    def _numbers(self, ax, true, residual):
        """Median and spread over all stars, in words."""
        (row,) = residual_table(true, true + residual, label_names=[self.label_name])
        outside = int((_outside(residual, ax.get_ylim()) | _outside(true, ax.get_xlim())).sum())
        text = f"{len(true)} stars: " + _statistics(row, ", ")
        return text + (f" ({outside} beyond the axes)" if outside else "")


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
        estimator : CensoredBCNNRegressor
            Fitted.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,)
            True labels, in the columns of the estimator.
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
        prediction = estimator.predict_distribution(X, x_err=x_err)
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
        y_true, y_pred = _as_columns(y_true), _as_columns(y_pred)
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
        require_extra("plot", "ResidualOverviewDisplay")
        import matplotlib

        table = residual_table(self.y_true, self.y_pred, label_names=self.label_names)
        with matplotlib.rc_context(_STYLE):
            figure = self._new_page() if figure is None else figure
            n_columns = min(_N_COLUMNS, len(table))
            axes = figure.subplots(-(-len(table) // n_columns), n_columns, squeeze=False).ravel()
            for ax in axes[len(table) :]:
                ax.set_visible(False)
            for j, (ax, row) in enumerate(zip(axes, table, strict=False)):
                _draw_panel(ax, self.y_true[:, j], self.y_pred[:, j], row)
            figure.supxlabel("True label")
            figure.supylabel("Predicted label")
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
    ax.set_title(f"{_symbol(name)}{_in_brackets(name)}")
    ax.tick_params(labelsize=8)
    present = ~is_missing(true)
    if not present.any():
        ax.text(0.5, 0.5, "no true value", transform=ax.transAxes, ha="center", va="center")
        ax.set(xticks=[], yticks=[])
        return
    true, predicted = true[present], predicted[present]
    limits = _limits(np.concatenate([true, predicted]))
    size = 0.5 * _point_size(len(true))
    ax.scatter(true, predicted, s=size, color=_POINT, alpha=0.6, linewidths=0, rasterized=True)
    ax.axline((limits[0], limits[0]), slope=1, color=_LINE, linewidth=0.8)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.locator_params(nbins=4)
    ax.text(0.05, 0.95, _statistics(row, "\n"), transform=ax.transAxes, va="top", fontsize=8, bbox=_BOX)


_BOX = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}  # keeps numbers readable over points


def _statistics(row, separator):
    """Median and spread of a row of the residual table, in words."""
    unit = f" {row['unit']}" if row["unit"] else ""
    digits = _digits(row["mad_std"])
    median, spread = (f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") for value in _rounded(row, digits))
    return f"median {median}{unit}{separator}mad_std {spread}{unit}"


def _rounded(row, digits):
    return (round(float(row[name]), digits) + 0.0 for name in ("median_residual", "mad_std"))  # no negative zero


def _digits(spread):
    """Decimals that show two digits of a spread."""
    return 3 if not spread > 0 else int(np.clip(1 - np.floor(np.log10(spread)), 0, 8))


def _draw_trend(ax, true, residual):
    """Running median, and the robust spread about it, where there are stars enough."""
    n_bins = min(_MOST_BINS, len(true) // _LEAST_IN_BIN)
    if n_bins < 2:
        return
    bins = np.array_split(np.argsort(true, kind="stable"), n_bins)
    centre, middle = (np.array([np.median(values[rows]) for rows in bins]) for values in (true, residual))
    spread = np.array([mad_std(residual[rows]) for rows in bins])
    ax.plot(centre, middle, color=_TREND, linewidth=1.8, zorder=4, label="running median")
    for sign, name in ((1, "\N{PLUS-MINUS SIGN} running mad_std"), (-1, None)):
        ax.plot(centre, middle + sign * spread, "--", color=_TREND, linewidth=1.1, zorder=4, label=name)
    ax.legend(loc="upper right", ncols=2)


def _set_limits(ax, true, residual):
    """Axes that hold nearly all points, zero in the middle."""
    reach = np.percentile(np.abs(residual), _WITHIN) * 1.7 or 1.0
    ax.set(xlim=_limits(true), ylim=(-reach, reach))


def _limits(values):
    """Where an axis begins and ends, a few far points left out."""
    tail = (100 - _WITHIN) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    margin = 0.08 * (high - low) or 0.01 * abs(low) or 1.0
    return low - margin, high + margin


def _outside(values, limits):
    return (values < limits[0]) | (values > limits[1])


def _point_size(n_points):
    """In square points: smaller where there are many."""
    return float(np.clip(6000 / max(n_points, 1), 3, 25))


def _symbol(name):
    """How a label is printed."""
    try:
        return label(name).symbol
    except ValueError:
        return str(name)


def _in_brackets(name):
    """Unit of a label with a space and brackets, nothing if it has none or is unknown."""
    unit = label_unit(name)
    return f" ({unit})" if unit else ""


def _column_of(label_name, names):
    """Column of a label in any spelling."""
    if label_name is None and len(names) == 1:
        return 0
    wanted = {str(label_name)}
    with suppress(ValueError):
        wanted.add(label(label_name).name)
    for column, name in enumerate(names):
        if name in wanted:
            return column
    raise ValueError(f"label_name={label_name!r}, expected one of the labels of the estimator: {', '.join(names)}.")


def _as_columns(values):
    values = np.asarray(values, dtype=float)
    return values[:, None] if values.ndim == 1 else values


def _check_shapes(y_true, **others):
    """Refuse what is not one number for each star."""
    if y_true.ndim != 1:
        raise ValueError(f"y_true has shape {y_true.shape}, expected (n_samples,): the values of one label.")
    for name, values in others.items():
        if values is not None and values.shape != y_true.shape:
            raise ValueError(f"{name} has shape {values.shape}, expected {y_true.shape} as y_true has: one a star.")
