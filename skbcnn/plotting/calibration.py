"""`ErrorCalibrationDisplay`: observed against nominal coverage of error bars, and standardised residuals."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from skbcnn._label_tables import label_columns, label_values
from skbcnn.metrics.label_pairs import check_errors, check_pairs, check_stds
from skbcnn.plotting._axes import several_axes
from skbcnn.plotting._display import MultiPanelDisplay
from skbcnn.plotting._estimators import predict_labels
from skbcnn.plotting._label_inputs import labels_and_errors, shared_names
from skbcnn.plotting._label_text import format_integer, format_number, label_symbol, spectra_text, within_text
from skbcnn.plotting._style import BLUE, CYCLE, DARK, GREY, PAGE_WIDTH, PALE, VERMILLION

_LEVELS = np.linspace(0, 1, 101)
_MAX_COLOURS = 6  # with more labels, only the two extreme ones are coloured and named
_MAX_Z = 5.0  # limit of the histogram, in standard deviations
_WIDE_BIN, _NARROW_BIN = 0.5, 0.25  # bin widths of the histogram
_MIN_NARROW = 1000  # residuals from which the narrow bins are used


class ErrorCalibrationDisplay(MultiPanelDisplay):
    """Calibration of predicted error bars: coverage on the left, standardised residuals on the right.

    The left panel shows, for each label and for all labels together, the share of stars whose true label is within the
    central interval of each nominal coverage. The right panel shows the residuals in units of their error bars, and the
    standard normal distribution.

    Create it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_labels)
        Standardised residuals: prediction minus truth, divided by the error bar. NaN where the true label is missing.
    label_names : sequence of str
        Names of the columns.
    reference_name : str, default="True"
        Origin of the true labels, for the axes, such as ``"ASPCAP"``.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (2,)
        Panels of the coverage and of the histogram.
    ax_ : matplotlib.axes.Axes
        Panel of the coverage.
    figure_ : matplotlib.figure.Figure
        Figure of both panels.

    See Also
    --------
    skbcnn.metrics.expected_calibration_error : Mean distance of the coverage from the diagonal.

    Notes
    -----
    The grey band is two standard deviations of the binomial distribution around the diagonal, for the median number of
    stars per label. At each coverage, 95 of 100 labels with perfectly calibrated error bars are within the band.

    References
    ----------
    .. [1] Gneiting, Balabdaoui & Raftery (2007), JRSS B 69, 243, section 3, on calibration and its figures.

    Examples
    --------
    >>> from skbcnn.plotting import ErrorCalibrationDisplay, new_figure
    >>> y_true, y_pred, y_std = [0.5, -0.5, 2.0, -2.0, -9999.0], [0.0] * 5, [1.0] * 5
    >>> ax = new_figure(7, 3.3).add_subplot()
    >>> display = ErrorCalibrationDisplay.from_predictions(y_true, y_pred, y_std, label_names=["Mg"], ax=ax)
    >>> display.coverage([0.5, 0.9, 0.99])  # within 0.67, 1.64 and 2.58 standard deviations
    array([[0.5, 0.5, 1. ]])
    """

    def __init__(self, *, z, label_names, reference_name="True"):
        self.z = z
        self.label_names = label_names
        self.reference_name = reference_name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, x_err=None, y_err=None, reference_name="True", ax=None):
        """Predict the labels of spectra, and draw the calibration of the error bars.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator.
        X : array-like of shape (n_samples, n_pixels)
            Spectra that were not used in training.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels, in the columns of the estimator; columns of a table are matched by name.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, which are propagated into the error bars.
        y_err : array-like of the shape of `y`, default=None
            Errors of the true labels, as in `from_predictions`.
        reference_name : str, default="True"
            Origin of the true labels, as in `from_predictions`.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            Axes to draw on, as in `from_predictions`.

        Returns
        -------
        display : ErrorCalibrationDisplay

        Raises
        ------
        ValueError
            If shapes differ, or no star has a true label.
        """
        prediction = predict_labels(estimator, X, x_err)
        names = prediction.label_names
        y = label_values(y, names)
        return cls.from_predictions(
            y,
            prediction.mean,
            prediction.total,
            label_names=names,
            y_err=y_err,
            reference_name=reference_name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls, y_true, y_pred, y_std=None, *, label_names=None, y_err=None, reference_name="True", ax=None
    ):
        """Draw the calibration of the error bars of predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels. Missing ones (NaN or at most -9990) are left out.
        y_pred : array-like of the shape of `y_true`, table, or Prediction
            Predicted labels.
        y_std : array-like of the shape of `y_true`, or table, default=None
            Standard deviations of the predictions. None is valid for a `Prediction`, and means its calibrated ones if
            it has such, or else the total ones.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a `Prediction` or a table, or the 22 labels of APOGEE for 22 columns
            without names.
        y_err : array-like of the shape of `y_true`, default=None
            Errors of the true labels, which are added to `y_std` in quadrature. 0 or missing where unknown.
        reference_name : str, default="True"
            Origin of the true labels, for the axes, such as ``"ASPCAP"``.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : ErrorCalibrationDisplay

        Raises
        ------
        ValueError
            If shapes differ, no star has a true label, or an error bar is negative, missing or 0.
        """
        y_pred, y_std = labels_and_errors(y_pred, y_std)
        if y_std is None:
            raise ValueError(
                "y_std is None, but y_pred holds no error bars. Pass the standard deviations of the predictions as "
                "y_std, or what predict_distribution returns as y_pred."
            )
        names = shared_names(label_names, y_true, y_pred)
        pairs = check_pairs(label_columns(y_true, "y_true").renamed(names), y_pred)
        std = check_stds(y_std, pairs)
        if y_err is not None:
            std = np.hypot(std, check_errors(y_err, pairs))
        if n_zero := int((pairs.counts & (std == 0)).sum()):
            raise ValueError(
                f"y_std is 0 in {n_zero} places where y_true is present, so that residuals cannot be divided by it. "
                "Pass positive standard deviations, or the errors of the true labels as y_err."
            )
        z = np.full(std.shape, np.nan)
        np.divide(pairs.y_pred - pairs.y_true, std, out=z, where=pairs.counts)
        return cls(z=z, label_names=names, reference_name=reference_name).plot(ax)

    def coverage(self, levels):
        """Return the observed coverage of each label.

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Nominal coverages, from 0 to 1.

        Returns
        -------
        coverage : ndarray of shape (n_labels, n_levels)
            Share of stars whose true label is within the central interval of the predicted normal distribution. NaN for
            a label that no star has.
        """
        return np.array([_coverage(column, levels) for column in self.z.T])

    def overall_coverage(self, levels):
        """Return the observed coverage of all labels together.

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Nominal coverages, from 0 to 1.

        Returns
        -------
        coverage : ndarray of shape (n_levels,)
            Share of all true labels of all stars that are within the central interval.
        """
        return _coverage(self.z.ravel(), levels)

    def _check(self):
        if np.isnan(self.z).all():
            raise ValueError(
                f"No star has a true label: all {self.z.size} are missing (NaN or at most -9990). Pass stars with true "
                "labels."
            )

    def _panel_axes(self, ax):
        return several_axes(ax, (PAGE_WIDTH, 4.0), n_columns=2)

    def _draw(self, axes):
        self._draw_coverage(axes[0])
        self._draw_histogram(axes[1])

    def _draw_coverage(self, ax):
        coverage = self.coverage(_LEVELS)
        n_stars = (~np.isnan(self.z)).sum(axis=0)
        present = np.flatnonzero(n_stars)
        n_median = int(np.median(n_stars[present]))
        band = 2 * np.sqrt(_LEVELS * (1 - _LEVELS) / n_median)
        text = f"95% range ({format_integer(n_median)} per label)"
        if len(present) == 1:
            text = f"95% range of {spectra_text(n_median)}"
        ax.fill_between(_LEVELS, _LEVELS - band, _LEVELS + band, color=PALE, lw=0, label=text)
        ax.plot([0, 1], [0, 1], "--", color=DARK, lw=0.8, label="perfect calibration")
        for j, colour, name in self._line_styles(coverage, present):
            ax.plot(_LEVELS, coverage[j], color=colour, lw=0.7 if colour == GREY else 1, label=name, zorder=2.1)
        if len(present) > 1:
            overall = self.overall_coverage(_LEVELS)
            ax.plot(_LEVELS, overall, color=DARK, lw=2.2, label=f"all {len(present)} labels", zorder=3)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set(xlabel="Nominal coverage", ylabel="Observed coverage")
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, columnspacing=1)  # above the panel and its lines

    def _line_styles(self, coverage, present):
        """Return the index, the colour and the text in the legend of the line of each label."""
        if len(present) <= _MAX_COLOURS:
            return [(j, colour, label_symbol(self.label_names[j])) for j, colour in zip(present, CYCLE, strict=False)]
        excess = (coverage[present] - _LEVELS).mean(axis=1)
        low, high = present[excess.argmin()], present[excess.argmax()]
        others = [j for j in present if j not in (low, high)]
        return [
            *((j, GREY, "other labels" if j == others[0] else None) for j in others),
            (high, BLUE, f"{label_symbol(self.label_names[high])} (highest)"),
            (low, VERMILLION, f"{label_symbol(self.label_names[low])} (lowest)"),
        ]

    def _draw_histogram(self, ax):
        z = self.z[~np.isnan(self.z)]
        width = _WIDE_BIN if len(z) < _MIN_NARROW else _NARROW_BIN
        edges = np.arange(-_MAX_Z, _MAX_Z + width / 2, width)
        density = np.histogram(z, edges)[0] / (len(z) * width)  # normalised with the residuals outside the histogram
        ax.stairs(density, edges, fill=True, color=BLUE, alpha=0.45, label="residuals")
        x = np.linspace(-_MAX_Z, _MAX_Z, 201)
        ax.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=DARK, lw=1.2, label="standard normal")
        ax.set(xlim=(-_MAX_Z, _MAX_Z), ylim=(0, 1.3 * max(density.max(), 0.4)))
        ax.set(xlabel=rf"$z$ = (predicted $-$ {within_text(self.reference_name)}) / $\sigma$", ylabel="Density")
        ax.text(0.03, 0.97, _statistics_text(z), transform=ax.transAxes, va="top", linespacing=1.3)
        ax.legend(loc="upper right")


def _coverage(z: np.ndarray, levels: ArrayLike) -> np.ndarray:
    """Return the share of standardised residuals within central intervals, or NaN if there are no residuals."""
    size = np.sort(np.abs(z[~np.isnan(z)]))
    half_widths = ndtri((1 + np.asarray(levels, dtype=float)) / 2)
    if not len(size):
        return np.full(half_widths.shape, np.nan)
    return np.searchsorted(size, half_widths, side="right") / len(size)


def _statistics_text(z: np.ndarray) -> str:
    """Return the number, bias (median) and scatter of standardised residuals, and the number of outliers."""
    from astropy.stats import mad_std  # here, because importing astropy is slow

    lines = [
        f"$n$ = {format_integer(len(z))}",
        f"bias {format_number(np.median(z), 2)}",
        f"scatter {format_number(mad_std(z), 2)}",
    ]
    n_outside = int((np.abs(z) > _MAX_Z).sum())
    return "\n".join(lines + ([rf"{format_integer(n_outside)} at $|z|$ > {_MAX_Z:.0f}"] if n_outside else []))
