"""`ResidualDisplay`: residuals of one label against its true value."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn._label_tables import LabelColumns, canonical_name, label_columns, label_values
from skbcnn._masked import filled_array
from skbcnn._moved import find_moved_names
from skbcnn.metrics import residual_table
from skbcnn.plotting._axes import add_colour_bar
from skbcnn.plotting._axis_limits import beside_points, central_limits, is_outside
from skbcnn.plotting._display import SinglePanelDisplay
from skbcnn.plotting._estimators import predict_labels
from skbcnn.plotting._label_inputs import (
    as_columns,
    check_shapes,
    column_of,
    column_of_label,
    labels_and_errors,
    without_missing,
)
from skbcnn.plotting._label_text import axis_label, spectra_text, within_text
from skbcnn.plotting._residual_statistics import statistics_text
from skbcnn.plotting._style import BLUE, DARK, PAGE_WIDTH, VERMILLION, point_size
from skbcnn.survey import is_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MIN_SPECTRA_PER_BIN, _MAX_BINS = 25, 12  # of the running bias


class ResidualDisplay(SinglePanelDisplay):
    """Residuals (prediction minus truth) of one label against its true value.

    Create it with `from_estimator` or `from_predictions`.

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
        Name of the label. The axes show its symbol and unit if the survey knows it.
    reference_name : str, default="True"
        Origin of the true values, for the axes, such as ``"ASPCAP"``.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes with the residuals.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.

    See Also
    --------
    ResidualOverviewDisplay : All labels on one page.
    skbcnn.metrics.residual_table : Median and spread of the residuals as a table.

    Notes
    -----
    Stars whose true value is missing are left out of the points and of the statistics in the title. The bias is the
    median of the residuals, the scatter 1.4826 times their median absolute deviation (`astropy.stats.mad_std`).

    Examples
    --------
    >>> from skbcnn.plotting import ResidualDisplay, new_figure
    >>> ax = new_figure(6, 4).add_subplot()
    >>> display = ResidualDisplay.from_predictions([4500.0, -9999.0, 4800.0], [4510.0, 4600.0, 4790.0],
    ...                                            label_name="teff", ax=ax)
    >>> display.ax_.get_xlabel()
    'True $T_\\\\mathrm{eff}$ (K)'
    """

    _figure_size = (PAGE_WIDTH, 4.5)

    def __init__(self, *, y_true, y_pred, y_std=None, snr=None, label_name="label", reference_name="True"):
        self.y_true = y_true
        self.y_pred = y_pred
        self.y_std = y_std
        self.snr = snr
        self.label_name = label_name
        self.reference_name = reference_name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, label_name=None, x_err=None, snr=None, reference_name="True", ax=None):
        """Predict one label of spectra, and draw its residuals.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels, in the columns of the estimator; columns of a table are matched by name.
        label_name : str, default=None
            Label to draw, in any spelling. None is valid if the estimator has only one label.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, which are propagated into the error bars.
        snr : array-like of shape (n_samples,), default=None
            S/N of each star, shown as colour.
        reference_name : str, default="True"
            Origin of the true values, as in `from_predictions`.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `from_predictions`.

        Returns
        -------
        display : ResidualDisplay

        Raises
        ------
        ValueError
            If the estimator does not have the label, shapes differ, or no star has a true value.
        """
        prediction = predict_labels(estimator, X, x_err)
        column = column_of(label_name, prediction.label_names)
        y = label_values(y, prediction.label_names)
        y_true, y_pred, y_std = (as_columns(values)[:, column] for values in (y, prediction.mean, prediction.total))
        name = prediction.label_names[column]
        return cls.from_predictions(
            y_true, y_pred, y_std, snr=snr, label_name=name, reference_name=reference_name, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        y_std=None,
        *,
        snr=None,
        label_name=None,
        label_names=None,
        reference_name="True",
        ax=None,
    ):
        """Draw the residuals of the predictions of one label.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_labels), or table
            True values; NaN or at most -9990 where missing.
        y_pred : array-like of shape (n_samples,) or (n_samples, n_labels), table, or Prediction
            Predicted values of the label, or of all labels.
        y_std : array-like of shape (n_samples,) or (n_samples, n_labels), or table, default=None
            Error bars of the predictions. None: those of a `Prediction`, calibrated if it has such.
        snr : array-like of shape (n_samples,), default=None
            S/N of each star, shown as colour.
        label_name : str, default=None
            Label to draw, in any spelling. None is valid if there is only one, which is called "label" if it has no
            name.
        label_names : sequence of str, default=None
            Names of several columns. None: those of a table or a `Prediction`, or the 22 labels of APOGEE for 22
            columns without names.
        reference_name : str, default="True"
            Origin of the true values, for the axes, such as ``"ASPCAP"``.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : ResidualDisplay

        Raises
        ------
        ValueError
            If shapes differ, no column has the label, no star has a true value, or a prediction is missing where the
            true value is present.
        """
        y_pred, y_std = labels_and_errors(y_pred, y_std)
        name, (y_true, y_pred, y_std) = _one_label(label_name, label_names, y_true, y_pred, y_std)
        columns = y_true if canonical_name(name) is None else y_true.renamed([name])
        y_true, y_pred, y_std = (
            None if values is None else as_columns(values, argument, columns)[:, 0]
            for argument, values in {"y_true": columns, "y_pred": y_pred, "y_std": y_std}.items()
        )
        snr = None if snr is None else filled_array(snr).astype(float)
        check_shapes({"y_true": y_true}, y_pred=y_pred, y_std=y_std, snr=snr)
        y_std = None if y_std is None else without_missing(y_std)
        display = cls(
            y_true=y_true, y_pred=y_pred, y_std=y_std, snr=snr, label_name=name, reference_name=reference_name
        )
        return display.plot(ax)

    def _check(self):
        if is_missing(self.y_true).all():
            raise ValueError(
                f"No star has a true value of {self.label_name}: all {len(self.y_true)} are missing (NaN or at most "
                "-9990). Pass stars with true values."
            )
        if n_missing := int((is_missing(self.y_pred) & ~is_missing(self.y_true)).sum()):
            raise ValueError(
                f"y_pred is missing in {n_missing} places where y_true is not (masked, NaN or -9999). A missing "
                "prediction has no residual: leave such stars out of both, and count them separately."
            )

    def _draw(self, ax):
        present = ~is_missing(self.y_true)
        true, residual = self.y_true[present], (self.y_pred - self.y_true)[present]
        if self.y_std is not None:
            ax.errorbar(true, residual, self.y_std[present], fmt="none", ecolor="0.86", elinewidth=0.6, zorder=1)
        self._scatter(ax, true, residual, None if self.snr is None else self.snr[present])
        ax.axhline(0, color=DARK, linewidth=1, zorder=3)
        _draw_running_bias(ax, true, residual)
        largest = np.percentile(np.abs(residual), 99) * 1.7 or 1.0
        _, largest = beside_points(np.abs(residual), (-largest, largest))
        ax.set(xlim=central_limits(true), ylim=(-largest, largest))
        ax.set_xlabel(f"{self.reference_name} {axis_label(self.label_name)}")
        ax.set_ylabel(f"Predicted \N{MINUS SIGN} {within_text(self.reference_name)} {axis_label(self.label_name)}")
        ax.set_title(self._title(ax, true, residual))

    def _scatter(self, ax, true, residual, snr):
        """Draw the points, with the S/N as colour if it differs between the stars."""
        style = {"s": point_size(len(true)), "linewidths": 0, "zorder": 2, "rasterized": True}
        snr = None if snr is None else np.where(np.isfinite(snr), snr, np.nan)
        if snr is None or not np.isfinite(snr).any() or np.nanmin(snr) == np.nanmax(snr):
            ax.scatter(true, residual, color=BLUE, alpha=0.6, **style)
            return
        low, high = np.nanpercentile(snr, [2, 98])
        points = ax.scatter(true, residual, c=snr, cmap="viridis", vmin=low, vmax=high, plotnonfinite=True, **style)
        add_colour_bar(points, ax, "S/N", extend="both")

    def _title(self, ax, true, residual):
        """Return the statistics of all spectra, and the number of spectra outside the axes."""
        (row,) = residual_table(true, true + residual, label_names=[self.label_name])
        n_outside = int((is_outside(residual, ax.get_ylim()) | is_outside(true, ax.get_xlim())).sum())
        text = f"{spectra_text(len(true))}: {statistics_text(row, separator=', ')}"
        return text + (f" ({n_outside} outside the axes)" if n_outside else "")


def _one_label(
    label_name: str | None, label_names: Sequence[str] | None, y_true: Any, y_pred: Any, y_std: Any
) -> tuple[str, list[LabelColumns | None]]:
    """Return the name of the label, and its column of each argument."""
    true, predicted = label_columns(y_true, "y_true"), label_columns(y_pred, "y_pred")
    if label_name is None:
        given = np.atleast_1d([] if label_names is None else label_names)
        label_name = given[0] if len(given) == 1 else _name_of_single_column(predicted) or _name_of_single_column(true)
    others = predicted.names or true.names
    columns = [
        column_of_label(values, argument, label_name, label_names, others)
        for argument, values in {"y_true": y_true, "y_pred": y_pred, "y_std": y_std}.items()
    ]
    return "label" if label_name is None else str(label_name), columns


def _name_of_single_column(columns: LabelColumns) -> str | None:
    """Return the name of the only column, if it is that of a label: a Series may be called anything."""
    if not columns.names or len(columns.names) > 1:
        return None
    (name,) = columns.names
    return name if columns.is_table or canonical_name(name) is not None else None


def _draw_running_bias(ax: "Axes", true: np.ndarray, residual: np.ndarray) -> None:
    """Draw the running bias (median) and the running scatter (`mad_std`) around it, if there are enough spectra."""
    n_bins = min(_MAX_BINS, len(true) // _MIN_SPECTRA_PER_BIN)
    if n_bins < 2:
        return
    from astropy.stats import mad_std  # here, because importing astropy is slow

    bins = np.array_split(np.argsort(true, kind="stable"), n_bins)
    centre, bias = (np.array([np.median(values[rows]) for rows in bins]) for values in (true, residual))
    scatter = np.array([mad_std(residual[rows]) for rows in bins])
    ax.plot(centre, bias, color=VERMILLION, linewidth=1.8, zorder=4, label="running bias")
    for sign, text in ((1, "\N{PLUS-MINUS SIGN} running scatter"), (-1, None)):
        ax.plot(centre, bias + sign * scatter, "--", color=VERMILLION, linewidth=1.1, zorder=4, label=text)
    ax.legend(loc="upper right", ncols=2)


__getattr__ = find_moved_names(__name__)
