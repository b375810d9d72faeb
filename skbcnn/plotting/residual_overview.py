"""`ResidualOverviewDisplay`: predicted against true values of all labels on one page."""

from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn._label_tables import label_columns, label_values
from skbcnn.metrics import residual_table
from skbcnn.plotting._axes import style_axes
from skbcnn.plotting._axis_limits import central_limits
from skbcnn.plotting._estimators import predict_labels
from skbcnn.plotting._label_inputs import as_columns, check_shapes, labels_and_errors, shared_names, without_missing
from skbcnn.plotting._label_text import axis_label, within_text
from skbcnn.plotting._residual_statistics import statistics_text
from skbcnn.plotting._style import BLUE, DARK, TICK_SIZE, figure_style, point_size
from skbcnn.survey import is_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_COLUMNS = 4
_TITLE_SIZE = 12  # points, large because the page is usually reduced in print


class ResidualOverviewDisplay:
    """Predicted against true values of all labels, with a small panel for each label.

    Create it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples, n_labels)
        True labels; NaN or at most -9990 where missing.
    y_pred : ndarray of shape (n_samples, n_labels)
        Predicted labels.
    label_names : sequence of str
        Names of the columns.
    y_std : ndarray of shape (n_samples, n_labels), default=None
        Error bars of the predictions.
    reference_name : str, default="True"
        Origin of the true labels, for the axes, such as ``"ASPCAP"``.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_labels,)
        Panels of the labels.
    figure_ : matplotlib.figure.Figure
        Figure with all panels.

    See Also
    --------
    ResidualDisplay : Residuals of one label in detail.

    Notes
    -----
    Missing true labels are left out of the points and of the statistics, which are those of
    `skbcnn.metrics.residual_table`.

    Examples
    --------
    >>> from skbcnn.plotting import ResidualOverviewDisplay, new_figure
    >>> y_true, y_pred = [[4500.0, 0.1], [4800.0, -9999.0]], [[4510.0, 0.2], [4790.0, 0.0]]
    >>> page = ResidualOverviewDisplay.from_predictions(y_true, y_pred, label_names=["teff", "Mg"],
    ...                                                 figure=new_figure(8, 3))
    >>> len(page.axes_)
    2
    """

    def __init__(self, *, y_true, y_pred, label_names, y_std=None, reference_name="True"):
        self.y_true = y_true
        self.y_pred = y_pred
        self.label_names = label_names
        self.y_std = y_std
        self.reference_name = reference_name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, x_err=None, reference_name="True", figure=None):
        """Predict the labels of spectra, and draw them against the true labels.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator.
        X : array-like of shape (n_samples, n_pixels)
            Spectra.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels, in the columns of the estimator; columns of a table are matched by name.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, as in `predict`.
        reference_name : str, default="True"
            Origin of the true labels, as in `from_predictions`.
        figure : matplotlib.figure.Figure, default=None
            Figure to draw on, as in `from_predictions`.

        Returns
        -------
        display : ResidualOverviewDisplay

        Raises
        ------
        ValueError
            If shapes differ.
        """
        prediction = predict_labels(estimator, X, x_err)
        y = label_values(y, prediction.label_names)
        return cls.from_predictions(
            y, prediction.mean, label_names=prediction.label_names, reference_name=reference_name, figure=figure
        )

    @classmethod
    def from_predictions(cls, y_true, y_pred, y_std=None, *, label_names=None, reference_name="True", figure=None):
        """Draw predicted labels against true labels.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels; NaN or at most -9990 where missing. The panel of a label without true values is empty and says
            so.
        y_pred : array-like of the shape of `y_true`, table, or Prediction
            Predicted labels.
        y_std : array-like of the shape of `y_true`, or table, default=None
            Error bars to draw. None draws none, because the panels are small.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a `Prediction` or a table, or the 22 labels of APOGEE for 22 columns
            without names.
        reference_name : str, default="True"
            Origin of the true labels, for the axes, such as ``"ASPCAP"``.
        figure : matplotlib.figure.Figure, default=None
            Figure to draw on, as in `plot`.

        Returns
        -------
        display : ResidualOverviewDisplay

        Raises
        ------
        ValueError
            If shapes differ, the numbers of names and columns differ, or a prediction is missing where the true label
            is present.
        """
        y_pred, _ = labels_and_errors(y_pred, y_std)
        label_names = shared_names(label_names, y_true, y_pred)
        columns = label_columns(y_true, "y_true").renamed(label_names)
        y_true, y_pred = as_columns(columns, "y_true"), as_columns(y_pred, like=columns)
        if y_std is not None:
            y_std = as_columns(y_std, "y_std", columns)
            check_shapes({"y_true": y_true}, y_std=y_std)
            y_std = without_missing(y_std)
        display = cls(y_true=y_true, y_pred=y_pred, label_names=label_names, y_std=y_std, reference_name=reference_name)
        return display.plot(figure)

    def plot(self, figure=None):
        """Draw the page.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, default=None
            Figure to draw on. None creates a new one with pyplot.

        Returns
        -------
        display : ResidualOverviewDisplay
            The display itself, with `axes_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If shapes differ, or the numbers of names and columns differ.
        """
        table = residual_table(self.y_true, self.y_pred, label_names=self.label_names)
        with figure_style("ResidualOverviewDisplay"):
            figure = self._new_page() if figure is None else figure
            n_columns = min(_MAX_COLUMNS, len(table))
            axes = figure.subplots(-(-len(table) // n_columns), n_columns, squeeze=False).ravel()
            for ax in axes[len(table) :]:
                ax.set_visible(False)
            for j, (ax, row) in enumerate(zip(axes, table, strict=False)):
                std = None if self.y_std is None else self.y_std[:, j]
                _draw_panel(ax, self.y_true[:, j], self.y_pred[:, j], std, row, within_text(self.reference_name))
            figure.supxlabel(f"{self.reference_name} label", fontsize=_TITLE_SIZE)
            figure.supylabel("Predicted label", fontsize=_TITLE_SIZE)
        self.axes_, self.figure_ = axes[: len(table)], figure
        return self

    def _new_page(self):
        from matplotlib import pyplot

        return pyplot.figure(figsize=overview_size(len(self.label_names)), layout="constrained")


def overview_size(n_labels: int) -> tuple[float, float]:
    """Return the size of a page with a panel for each label.

    Parameters
    ----------
    n_labels : int
        Number of labels.

    Returns
    -------
    width, height : float
        Size in inches.

    Examples
    --------
    >>> from skbcnn.plotting import overview_size
    >>> overview_size(22)
    (10.0, 15.8)
    """
    n_columns = min(_MAX_COLUMNS, n_labels)
    return 0.4 + 2.4 * n_columns, round(0.5 + 2.55 * -(-n_labels // n_columns), 1)


def _draw_panel(
    ax: "Axes", true: np.ndarray, predicted: np.ndarray, std: np.ndarray | None, row: Any, reference: str
) -> None:
    """Draw the panel of one label; `row` is its row of the residual table, `reference` the origin of true values."""
    ax.set_title(axis_label(row["label"]), fontsize=_TITLE_SIZE, pad=2 * TICK_SIZE)
    style_axes(ax)
    present = ~is_missing(true)
    if not present.any():
        ax.text(0.5, 0.5, f"no {reference} value", transform=ax.transAxes, ha="center", va="center")
        ax.set(xticks=[], yticks=[])
        return
    true, predicted = true[present], predicted[present]
    limits = central_limits(np.concatenate([true, predicted]))
    size = 0.5 * point_size(len(true))
    if std is not None:
        ax.errorbar(true, predicted, std[present], fmt="none", ecolor="0.86", elinewidth=0.6, zorder=0.5)
    ax.scatter(true, predicted, s=size, color=BLUE, alpha=0.6, linewidths=0, rasterized=True)
    ax.axline((limits[0], limits[0]), slope=1, color=DARK, linewidth=0.8)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.locator_params(nbins=4)
    text = statistics_text(row, separator=", ")  # above the panel, because points may be in each corner
    ax.annotate(text, (0.5, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points", ha="center")
