"""Draw the figures of docs/trust.md, for `tests.benchmarks.trust`."""

import numpy as np

from skbcnn.plotting import (
    ErrorCalibrationDisplay,
    ResidualOverviewDisplay,
    ResponseDisplay,
    new_figure,
    overview_size,
    save_figure,
)
from skbcnn.plotting._axes import style_axes
from skbcnn.plotting._style import BLUE, VERMILLION


def save_residuals(prediction, test, path):
    """Draw predicted against true values of all labels on one page."""
    page = new_figure(*overview_size(len(prediction.label_names)))
    ResidualOverviewDisplay.from_predictions(
        test.truth, prediction.mean, label_names=prediction.label_names, figure=page
    )
    save_figure(page, path)


def save_calibration(prediction, test, path):
    """Draw coverage and standardised residuals of calibrated error bars."""
    figure = new_figure(7, 3.2)
    ErrorCalibrationDisplay.from_predictions(
        test.truth, prediction.mean, prediction.calibrated, label_names=prediction.label_names, ax=figure.add_subplot()
    )
    save_figure(figure, path)


def save_novelty(good, others, path):
    """Draw extremes, quartiles and median of the novelty scores of good stars and of out-of-distribution spectra.

    Parameters
    ----------
    good, others : dict of str to ndarray of shape (n_samples,)
        Novelty scores of each kind of spectra.
    path : str or path-like
        File to write.
    """
    scores = good | others
    figure = new_figure(7, 4.2)
    ax = figure.add_subplot()
    for position, (name, values) in enumerate(reversed(scores.items())):
        colour = BLUE if name in good else VERMILLION
        low, first, median, third, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        ax.plot([low, high], [position] * 2, color=colour, lw=0.8)
        ax.plot([first, third], [position] * 2, color=colour, lw=4, solid_capstyle="butt")
        ax.plot(median, position, "o", color=colour, ms=5, mec="white")
    ax.axvline(1, color="k", lw=0.8, ls="--")
    ax.set_xscale("log")
    ax.set_yticks(range(len(scores)), list(reversed(scores)))
    ax.set_xlabel("novelty score (above 1: unlike the training set)")
    style_axes(ax)
    save_figure(figure, path)


def save_cluster(predicted, truth, path):
    """Draw predicted against true [Al/H] of the stars of a cluster, with a panel for each network."""
    figure = new_figure(3 * len(predicted) + 0.6, 3.2)
    panels = figure.subplots(1, len(predicted), sharex=True, sharey=True)
    limits = np.array([truth.min() - 0.1, truth.max() + 0.1])
    for ax, (name, values) in zip(panels, predicted.items(), strict=True):
        slope, offset = np.polyfit(truth, values, 1)
        ax.plot(limits, limits, color="k", lw=0.8, ls="--")
        ax.plot(truth, values, "o", color=BLUE, ms=3, alpha=0.5, mec="none")
        ax.plot(limits, slope * limits + offset, color=VERMILLION, lw=1.5)
        ax.set_title(f"{name}\nslope {slope:.2f}", fontsize=9)
        ax.set_xlabel("true [Al/H] (dex)")
        style_axes(ax)
    panels[0].set_ylabel("predicted [Al/H] (dex)")
    save_figure(figure, path)


def save_responses(matrix, path):
    """Draw a response matrix."""
    display = ResponseDisplay.from_responses(matrix)
    save_figure(display.figure_, path)


def save_scatter(scatters, snrs, path):
    """Draw the scatter of each model against S/N.

    Parameters
    ----------
    scatters : dict of str to sequence of float
        Geometric mean of the scatter at each S/N, in dex.
    snrs : sequence of float
        Signal-to-noise ratios.
    path : str or path-like
        File to write.
    """
    figure = new_figure(4.5, 3.4)
    ax = figure.add_subplot()
    for (name, values), colour, marker in zip(scatters.items(), (BLUE, VERMILLION, "0.45"), "os^", strict=True):
        ax.plot(snrs, values, color=colour, marker=marker, ms=5, label=name)
    ax.set_xscale("log")
    ax.set_xticks(snrs, [str(snr) for snr in snrs])
    ax.minorticks_off()
    ax.set_ylim(0)
    ax.set_xlabel("S/N of a pixel")
    ax.set_ylabel("scatter, geometric mean (dex)")
    ax.legend(frameon=False)
    style_axes(ax)
    save_figure(figure, path)
