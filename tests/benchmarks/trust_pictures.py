"""The pictures of docs/trust.md, drawn by `tests.benchmarks.trust` and `tests.benchmarks.cluster`."""

import numpy as np

from skbcnn.plotting import ErrorCalibrationDisplay, ResidualOverviewDisplay, new_figure, overview_size, save_figure
from skbcnn.plotting._axes import style_axes
from tests.strangers import STRANGERS

COLOURS = ["#33658a", "#c8402f", "#8c8c8c"]  # told apart by the colour-blind, and in grey


def save_residuals(prediction, test, path):
    """Predicted against true labels, all on one page."""
    page = new_figure(*overview_size(len(prediction.label_names)))
    ResidualOverviewDisplay.from_predictions(
        test.truth, prediction.mean, label_names=prediction.label_names, figure=page
    )
    save_figure(page, path)


def save_calibration(prediction, test, path):
    """Reliability and standardised residuals of calibrated error bars."""
    figure = new_figure(7, 3.2)
    ErrorCalibrationDisplay.from_predictions(
        test.truth, prediction.mean, prediction.calibrated, label_names=prediction.label_names, ax=figure.add_subplot()
    )
    save_figure(figure, path)


def save_novelty(model, tests, path, n_strangers=50):
    """Novelty of good stars and of each kind of stranger: extremes, quartiles, median."""
    rng = np.random.default_rng(0)
    snr, test = next(iter(tests.items()))
    few = type(test)(**{key: test[key][:n_strangers] for key in ("X", "X_err", "truth")})
    scores = {f"good stars, S/N {snr}": model.novelty_score(good.X) for snr, good in tests.items()}
    scores |= {name: model.novelty_score(make(few, snr, rng)[0]) for name, (make, _) in STRANGERS.items()}
    figure = new_figure(7, 4.2)
    ax = figure.add_subplot()
    for place, values in enumerate(reversed(scores.values())):
        colour = COLOURS[1] if place < len(STRANGERS) else COLOURS[0]
        low, quarter, middle, three, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        ax.plot([low, high], [place] * 2, color=colour, lw=0.8)
        ax.plot([quarter, three], [place] * 2, color=colour, lw=4, solid_capstyle="butt")
        ax.plot(middle, place, "o", color=colour, ms=5, mec="white")
    ax.axvline(1, color="k", lw=0.8, ls="--")
    ax.set_xscale("log")
    ax.set_yticks(range(len(scores)), list(reversed(scores)))
    ax.set_xlabel("novelty score (above 1: unlike the stars trained on)")
    style_axes(ax)
    save_figure(figure, path)


def save_cluster(predicted, truth, path):
    """Predicted [Al/H] of the stars of a cluster against the true one, a panel for each network."""
    figure = new_figure(3 * len(predicted) + 0.6, 3.2)
    panels = figure.subplots(1, len(predicted), sharex=True, sharey=True)
    ends = np.array([truth.min() - 0.1, truth.max() + 0.1])
    for ax, (name, values) in zip(panels, predicted.items(), strict=True):
        slope, offset = np.polyfit(truth, values, 1)
        ax.plot(ends, ends, color="k", lw=0.8, ls="--")
        ax.plot(truth, values, "o", color=COLOURS[0], ms=3, alpha=0.5, mec="none")
        ax.plot(ends, slope * ends + offset, color=COLOURS[1], lw=1.5)
        ax.set_title(f"{name}\nslope {slope:.2f}", fontsize=9)
        ax.set_xlabel("true [Al/H] (dex)")
        style_axes(ax)
    panels[0].set_ylabel("predicted [Al/H] (dex)")
    save_figure(figure, path)
