"""Whether error bars can be believed: how often they hold the truth, and how residuals scatter in units of them."""

import numpy as np
from scipy.special import ndtri

from skbcnn._label_tables import label_values
from skbcnn.metrics import weighted_statistics
from skbcnn.metrics.label_pairs import check_errors, check_pairs, check_stds
from skbcnn.plotting.axis_texts import number, symbol, whole_number
from skbcnn.plotting.figures import BLUE, CYCLE, DARK, GREY, PAGE_WIDTH, PALE, VERMILLION, drawing, several_axes
from skbcnn.plotting.inputs import column_names, prediction_of

_LEVELS = np.linspace(0, 1, 101)
_MOST_COLOURS = 6  # labels that are told apart by colour; of more, the two extremes are named
_REACH = 5.0  # of the histogram, in standard deviations
_WIDE, _NARROW, _MANY = 0.5, 0.25, 1000  # widths of its bins, of few and of many residuals


class ErrorCalibrationDisplay:
    """Whether predicted error bars are of the right size.

    On the left the share of stars whose true label lies within the central interval of each nominal coverage, for
    each label and over all; on the right the residuals in units of their error bars, beside the unit normal.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_labels)
        Prediction minus truth, in units of the error bar; NaN where the true label is missing.
    label_names : sequence of str
        Names of the columns.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (2,)
        Coverage, histogram.
    ax_ : matplotlib.axes.Axes
        The first of them.
    figure_ : matplotlib.figure.Figure
        That holds them.

    See Also
    --------
    skbcnn.metrics.expected_calibration_error : The mean distance from the diagonal.

    Notes
    -----
    The grey band is where 95 of 100 labels with perfect error bars would be at each coverage, if each had as many
    stars as the median label here: two standard deviations of the binomial distribution.

    References
    ----------
    .. [1] Gneiting, Balabdaoui & Raftery (2007), JRSS B 69, 243, section 3, on calibration and its pictures.

    Examples
    --------
    >>> from skbcnn.plotting import ErrorCalibrationDisplay, new_figure
    >>> y_true, y_pred, y_std = [0.5, -0.5, 2.0, -2.0, -9999.0], [0.0] * 5, [1.0] * 5
    >>> ax = new_figure(7, 3.3).add_subplot()
    >>> display = ErrorCalibrationDisplay.from_predictions(y_true, y_pred, y_std, label_names=["Mg"], ax=ax)
    >>> display.coverage([0.5, 0.9, 0.99])  # within 0.67, 1.64 and 2.58 standard deviations
    array([[0.5, 0.5, 1. ]])
    """

    def __init__(self, *, z, label_names):
        self.z = z
        self.label_names = label_names

    @classmethod
    def from_estimator(cls, estimator, X, y, *, x_err=None, y_err=None, ax=None):
        """Predict the labels of spectra, and draw how good their error bars are.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_pixels)
            Spectra that the estimator has not learnt from.
        y : array-like of shape (n_samples, n_labels) or (n_samples,), or table
            True labels, in the columns of the estimator; those of a table are matched by name.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Flux errors, carried into the error bars.
        y_err : array-like of the shape of `y`, default=None
            Errors of the true labels, as in `from_predictions`.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            As in `plot`.

        Returns
        -------
        display : ErrorCalibrationDisplay

        Raises
        ------
        ValueError
            If shapes differ, or no star has a true label.
        """
        prediction = prediction_of(estimator, X, x_err)
        names = prediction.label_names
        y = label_values(y, names)
        return cls.from_predictions(y, prediction.mean, prediction.total, label_names=names, y_err=y_err, ax=ax)

    @classmethod
    def from_predictions(cls, y_true, y_pred, y_std, *, label_names=None, y_err=None, ax=None):
        """Draw how good the error bars of predictions are.

        Parameters
        ----------
        y_true : array-like of shape (n_samples, n_labels) or (n_samples,)
            True labels; NaN and anything at most -9990 is missing and left out.
        y_pred, y_std : array-like of the shape of `y_true`
            Predicted labels and their standard deviations.
        label_names : sequence of str, default=None
            Names of the columns. None: those of a data frame, or the 22 labels of APOGEE if there are 22.
        y_err : array-like of the shape of `y_true`, default=None
            Errors of the true labels, added to `y_std` in quadrature; 0, or missing, where unknown.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            As in `plot`.

        Returns
        -------
        display : ErrorCalibrationDisplay

        Raises
        ------
        ValueError
            If shapes differ, no star has a true label, or an error bar is negative, missing or 0.
        """
        names = column_names(label_names, y_true, "y_true")
        pairs = check_pairs(y_true, y_pred)
        std = check_stds(y_std, pairs.counts)
        if y_err is not None:
            std = np.hypot(std, check_errors(y_err, pairs))
        if zero := int((pairs.counts & (std == 0)).sum()):
            raise ValueError(
                f"y_std is 0 in {zero} places where y_true is present. A residual cannot be measured in units of it: "
                "pass positive standard deviations, or the errors of the true labels as y_err."
            )
        z = np.full(std.shape, np.nan)
        np.divide(pairs.y_pred - pairs.y_true, std, out=z, where=pairs.counts)
        return cls(z=z, label_names=names).plot(ax)

    def coverage(self, levels):
        """Share of stars whose true label lies within the central interval of the predicted Gaussian.

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Nominal coverages, 0 to 1: the shares that perfect error bars would have.

        Returns
        -------
        coverage : ndarray of shape (n_labels, n_levels)
            NaN for a label that no star has.
        """
        return np.array([_coverage(column, levels) for column in self.z.T])

    def overall_coverage(self, levels):
        """The same over all labels, each that a star has counting once.

        Parameters
        ----------
        levels : array-like of shape (n_levels,)
            Nominal coverages, 0 to 1.

        Returns
        -------
        coverage : ndarray of shape (n_levels,)
        """
        return _coverage(self.z.ravel(), levels)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            Where to draw: both panels, or one axes whose place they take. None makes a new figure with pyplot.

        Returns
        -------
        display : ErrorCalibrationDisplay
            This one, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If no star has a true label, or `ax` holds another number of axes.
        """
        with drawing("ErrorCalibrationDisplay"):
            if np.isnan(self.z).all():
                raise ValueError(
                    f"No star has a true label: all {self.z.size} are missing (NaN or at most -9990). Nothing can be "
                    "drawn; pass stars with known labels."
                )
            axes = several_axes(ax, (PAGE_WIDTH, 3.3), n_columns=2)
            self._draw_coverage(axes[0])
            self._draw_histogram(axes[1])
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        return self

    def _draw_coverage(self, ax):
        coverage = self.coverage(_LEVELS)
        n_stars = (~np.isnan(self.z)).sum(axis=0)
        drawn = np.flatnonzero(n_stars)
        n_typical = int(np.median(n_stars[drawn]))
        band = 2 * np.sqrt(_LEVELS * (1 - _LEVELS) / n_typical)
        ax.fill_between(
            _LEVELS, _LEVELS - band, _LEVELS + band, color=PALE, lw=0, label=f"95% range of {n_typical} stars"
        )
        ax.plot([0, 1], [0, 1], "--", color=DARK, lw=0.8, label="perfect")
        for j, colour, name in self._looks(coverage, drawn):
            ax.plot(_LEVELS, coverage[j], color=colour, lw=0.7 if colour == GREY else 1, label=name, zorder=2.1)
        if len(drawn) > 1:
            overall = self.overall_coverage(_LEVELS)
            ax.plot(_LEVELS, overall, color=DARK, lw=2.2, label=f"all {len(drawn)} labels", zorder=3)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set(xlabel="Nominal coverage of the interval", ylabel="Share of stars within it")
        distance = coverage[drawn] - _LEVELS
        side = "lower right" if distance.max() > -distance.min() else "upper left"  # where the lines are less far
        ax.legend(loc=side, facecolor="none")

    def _looks(self, coverage, drawn):
        """Which label is drawn in which colour, and called what in the legend."""
        if len(drawn) <= _MOST_COLOURS:
            return [(j, CYCLE[place], symbol(self.label_names[j])) for place, j in enumerate(drawn)]
        above = (coverage[drawn] - _LEVELS).mean(axis=1)
        low, high = drawn[above.argmin()], drawn[above.argmax()]
        extremes = [
            (high, BLUE, f"{symbol(self.label_names[high])}, the highest"),
            (low, VERMILLION, f"{symbol(self.label_names[low])}, the lowest"),
        ]
        rest = [j for j in drawn if j not in (low, high)]
        return [(j, GREY, "each label" if j == rest[0] else None) for j in rest] + extremes

    def _draw_histogram(self, ax):
        z = self.z[~np.isnan(self.z)]
        width = _WIDE if len(z) < _MANY else _NARROW
        edges = np.arange(-_REACH, _REACH + width / 2, width)
        share = np.histogram(z, edges)[0] / (len(z) * width)  # of all residuals, those beyond the axes included
        ax.stairs(share, edges, fill=True, color=BLUE, alpha=0.45, label="residuals")
        at = np.linspace(-_REACH, _REACH, 201)
        ax.plot(at, np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi), color=DARK, lw=1.2, label="unit normal")
        ax.set(xlim=(-_REACH, _REACH), ylim=(0, 1.3 * max(share.max(), 0.4)))
        ax.set(xlabel=r"$z$ = (predicted $-$ true) / $\sigma$", ylabel="Density")
        ax.text(0.03, 0.97, _numbers(z), transform=ax.transAxes, va="top", linespacing=1.3)
        ax.legend(loc="upper right")


def _coverage(z, levels):
    """Share of residuals within central intervals, NaN where there is none."""
    size = np.sort(np.abs(z[~np.isnan(z)]))
    ends = ndtri((1 + np.asarray(levels, dtype=float)) / 2)
    if not len(size):
        return np.full(ends.shape, np.nan)
    return np.searchsorted(size, ends, side="right") / len(size)


def _numbers(z):
    """Median and robust spread of the scaled residuals, in words."""
    column, weight = z[:, None], np.ones((len(z), 1))
    spread = weighted_statistics.MAD_TO_STD * weighted_statistics.median_absolute_deviation(column, weight)[0]
    lines = [f"$n$ = {whole_number(len(z))}", f"median {number(np.median(z), 2)}", f"mad_std {number(spread, 2)}"]
    far = int((np.abs(z) > _REACH).sum())
    return "\n".join(lines + ([rf"{whole_number(far)} at $|z|$ > {_REACH:.0f}"] if far else []))
