"""The picture of docs/performance.md: throughput against spectra, draws and threads, and how time and memory grow."""

import numpy as np

COLOURS = ["#33658a", "#c8402f", "#8c8c8c"]  # told apart by the colour-blind, and in grey by their markers


def save_picture(found, path):
    """Draw the figures of one run.

    Parameters
    ----------
    found : dict
        From `tests.benchmarks.__main__.measure_all`.
    path : str or path-like
        Of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    (by_size, by_draws, by_threads), (times, memories, training) = figure.subplots(2, 3)
    n = np.array([size["n"] for size in found["by_size"]])
    seconds = np.array([size["seconds"] for size in found["by_size"]])

    by_size.semilogx(n, n / seconds, "o-", color=COLOURS[0])
    by_size.set(xlabel="spectra in the first call", ylabel="spectra/s, 100 draws", ylim=(0, None))
    n_draws, rates = np.array(found["by_draws"]).T
    by_draws.semilogx(n_draws, rates * n_draws / 1e3, "o-", color=COLOURS[0])
    by_draws.set(xlabel="draws", ylabel="thousand draws of a spectrum/s", ylim=(0, None))
    threads, learnt, predicted = np.array(found["by_threads"]).T
    rates_of_naive = [found["predict"]["naive"]["rate"], 64e3 / np.mean(found["training"]["naive"])]
    for panel, values, of_naive, what in (
        (by_threads, predicted, rates_of_naive[0], "predicted"),
        (training, learnt, rates_of_naive[1], "learnt from"),
    ):
        panel.bar(
            range(len(threads) + 1), [*values, of_naive], width=0.5, color=[COLOURS[0]] * len(threads) + [COLOURS[1]]
        )
        panel.set_xticks(
            range(len(threads) + 1), [*(f"{number:.0f}" for number in threads), f"naive,\n{threads[-1]:.0f}"]
        )
        panel.set(xlabel="threads", ylabel=f"spectra/s, {what}")

    times.loglog(n, seconds, "o-", color=COLOURS[0], label="measured")
    times.loglog(n, seconds[-1] * n / n[-1], ":", color=COLOURS[2], label="proportional")
    times.set(xlabel="spectra", ylabel="s, first call")
    times.legend(frameon=False)
    memories.semilogx(n, [size["bytes"] / 1e9 for size in found["by_size"]], "o-", color=COLOURS[0])
    memories.set(xlabel="spectra", ylabel="GB beyond the process before", ylim=(0, None))
    for panel, letter in zip(figure.axes, "abcdef", strict=True):
        panel.set_title(letter, loc="left", fontweight="bold")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=160)
