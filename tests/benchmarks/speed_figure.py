"""Draw the figure of docs/performance.md: speed against spectra, draws and threads; growth of time and memory."""

import numpy as np

from skbcnn import plotting
from skbcnn.plotting._style import BLUE, GREY, VERMILLION


def save_figure(results, path):
    """Draw the results of one run.

    Parameters
    ----------
    results : dict
        Results of `tests.benchmarks.__main__.measure_all`.
    path : str or path-like
        File to write.
    """
    figure = plotting.new_figure(9, 6)
    (by_size, by_draws, by_threads), (times, memories, training) = figure.subplots(2, 3)
    n = np.array([size["n"] for size in results["by_size"]])
    seconds = np.array([size["seconds"] for size in results["by_size"]])

    by_size.semilogx(n, n / seconds, "o-", color=BLUE)
    by_size.set(xlabel="spectra in the first call", ylabel="spectra/s, 100 draws", ylim=(0, None))
    n_draws, rates = np.array(results["by_draws"]).T
    by_draws.semilogx(n_draws, rates * n_draws / 1e3, "o-", color=BLUE)
    by_draws.set(xlabel="draws", ylabel="thousand draws of a spectrum/s", ylim=(0, None))
    threads, training_rates, prediction_rates = np.array(results["by_threads"]).T
    naive_prediction, naive_training = results["predict"]["naive"]["rate"], 64e3 / np.mean(results["training"]["naive"])
    _draw_bars(by_threads, threads, prediction_rates, naive_prediction, "spectra/s, prediction")
    _draw_bars(training, threads, training_rates, naive_training, "spectra/s, training")

    times.loglog(n, seconds, "o-", color=BLUE, label="measured")
    times.loglog(n, seconds[-1] * n / n[-1], ":", color=GREY, label="proportional")
    times.set(xlabel="spectra", ylabel="s, first call")
    times.legend(frameon=False)
    memories.semilogx(n, [size["bytes"] / 1e9 for size in results["by_size"]], "o-", color=BLUE)
    memories.set(xlabel="spectra", ylabel="additional memory, GB", ylim=(0, None))
    for panel, letter in zip(figure.axes, "abcdef", strict=True):
        panel.set_title(letter, loc="left", fontweight="bold")
        panel.spines[["top", "right"]].set_visible(False)
    plotting.save_figure(figure, path, dpi=160)


def _draw_bars(ax, threads, rates, naive_rate, text):
    """Draw the rates of our network by the number of threads, and the rate of the naive one."""
    colours = [BLUE] * len(threads) + [VERMILLION]
    names = [*(f"{number:.0f}" for number in threads), f"naive,\n{threads[-1]:.0f}"]
    ax.bar(range(len(colours)), [*rates, naive_rate], width=0.5, color=colours)
    ax.set_xticks(range(len(colours)), names)
    ax.set(xlabel="threads", ylabel=text)
