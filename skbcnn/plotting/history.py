"""`TrainingHistoryDisplay`: losses and learning rate of a training, by epoch."""

import numpy as np

from skbcnn.plotting._axes import several_axes
from skbcnn.plotting._display import MultiPanelDisplay
from skbcnn.plotting._estimators import find_regressor, is_augmented
from skbcnn.plotting._style import BLUE, COLUMN_WIDTH, DARK, GREY, VERMILLION

_LOSSES = {
    "data_loss": ("training (dropout)", {"color": BLUE}),
    "loss": ("with L2 penalty", {"color": BLUE, "lw": 0.9, "ls": ":"}),
    "val_loss": ("validation", {"color": VERMILLION}),
}
"""Losses that are drawn, with their texts in the legend and their styles."""

_MAX_RATES = 4  # learning rates that get a tick of their own; of more, the lowest and the highest do
_MIN_DISTANCE = 0.2  # of two ticks of the learning rate, as a fraction of the axis


class TrainingHistoryDisplay(MultiPanelDisplay):
    """Losses of a training by epoch, and the learning rate below, with marks where it was halved.

    Create it with `from_estimator` or `from_history`.

    Parameters
    ----------
    history : dict of str to sequence of float
        Values for each epoch, as in `history_` of a regressor: `lr` and at least one of `loss`, `data_loss` and
        `val_loss`.
    first_epoch : int, default=1
        Number of the first epoch. It is above 1 for a training that continues another one.
    augmented : bool, default=False
        Whether the training spectra were augmented, for the legend.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (2,)
        Panels of the losses and of the learning rate.
    ax_ : matplotlib.axes.Axes
        Panel of the losses.
    figure_ : matplotlib.figure.Figure
        Figure of both panels.

    Notes
    -----
    Losses are in nats per measured label, for normalised labels and up to a constant. The training loss is the mean
    over an epoch, while the weights change, dropout is on and the spectra may be augmented. The validation loss is
    computed after the epoch, with dropout off and on the spectra as they are, so that it can be much lower.

    Examples
    --------
    >>> from skbcnn.plotting import TrainingHistoryDisplay, new_figure
    >>> history = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.6, 0.6, 0.5], "lr": [1e-3, 1e-3, 5e-4]}
    >>> display = TrainingHistoryDisplay.from_history(history, ax=new_figure(3.5, 3.2).add_subplot())
    >>> display.halved  # between the second epoch and the third
    array([2.5])
    """

    def __init__(self, *, history, first_epoch=1, augmented=False):
        self.history = history
        self.first_epoch = first_epoch
        self.augmented = augmented

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the history of the last training of a regressor.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted estimator.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            Axes to draw on, as in `from_history`.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no history.
        """
        regressor = find_regressor(estimator)
        history = getattr(regressor, "history_", {})
        n_epochs = len(history.get("loss", []))
        return cls.from_history(
            history,
            first_epoch=getattr(regressor, "n_iter_", n_epochs) - n_epochs + 1,
            augmented=is_augmented(regressor),
            ax=ax,
        )

    @classmethod
    def from_history(cls, history, *, first_epoch=1, augmented=False, ax=None):
        """Draw the history of a training.

        Parameters
        ----------
        history : dict of str to sequence of float
            Values for each epoch, as in `history_` of a regressor.
        first_epoch : int, default=1
            Number of the first epoch.
        augmented : bool, default=False
            Whether the training spectra were augmented, for the legend.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        ValueError
            If the history has no epoch, no loss or no learning rate, or the numbers of epochs differ.
        """
        history = {name: np.asarray(values, dtype=float) for name, values in history.items()}
        return cls(history=history, first_epoch=first_epoch, augmented=augmented).plot(ax)

    @property
    def epochs(self):
        """Numbers of the epochs: ndarray of int of shape (n_epochs,)."""
        return self.first_epoch + np.arange(len(self.history["lr"]))

    @property
    def halved(self):
        """Positions between two epochs where the learning rate was halved: ndarray of float."""
        rates = self.history["lr"]
        return self.epochs[1:][np.isclose(rates[1:], rates[:-1] / 2, rtol=1e-3, atol=0)] - 0.5

    def _check(self):
        losses = [name for name in _LOSSES if name in self.history]
        n_epochs = {name: len(self.history[name]) for name in (*losses, "lr") if name in self.history}
        if not losses or not n_epochs.get("lr"):
            raise ValueError(
                f"The history has {', '.join(self.history) or 'no entry'}, expected a loss and lr of at least one "
                "epoch, as in history_ of a fitted regressor. A training that was interrupted in its first epoch has "
                "no history, and neither has a model that another program trained. Fit the regressor for an epoch."
            )
        if len(set(n_epochs.values())) > 1:
            found = ", ".join(f"{name} has {n}" for name, n in n_epochs.items())
            raise ValueError(f"Entries of the history differ in length: {found} epochs. Pass one value per epoch.")

    def _panel_axes(self, ax):
        return several_axes(ax, (COLUMN_WIDTH, 3.2), n_rows=2, height_ratios=(3, 1))

    def _draw(self, axes):
        self._draw_losses(axes[0])
        self._draw_rate(axes[1])
        self._align_epochs(axes)

    def _draw_losses(self, ax):
        marker = {"marker": "o", "ms": 3} if len(self.epochs) < 3 else {}  # a line of one or two epochs is too short
        for name, (text, style) in _LOSSES.items():
            if name in self.history:
                text = text.replace("(dropout", "(augmented, dropout") if self.augmented else text
                ax.plot(self.epochs, self.history[name], label=text, **style, **marker)
        self._mark_lowest(ax)
        self._mark_halved(ax, label="rate halved")
        ax.set_ylabel("Loss (nats per label)")
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, columnspacing=1, borderaxespad=0.1)  # above
        ax.tick_params(labelbottom=False)

    def _mark_lowest(self, ax):
        """Mark the lowest validation loss."""
        losses = self.history.get("val_loss")
        if losses is not None and not np.isnan(losses).all():
            best = np.nanargmin(losses)
            text = f"lowest (epoch {self.epochs[best]})"
            ax.plot(self.epochs[best], losses[best], "o", ms=4, color=VERMILLION, label=text)

    def _mark_halved(self, ax, label=None):
        """Draw a line where the learning rate was halved."""
        for position in self.halved:
            ax.axvline(position, color=GREY, ls="--", lw=0.7, zorder=0.5, label=label)
            label = None  # one entry in the legend

    def _draw_rate(self, ax):
        rates = self.history["lr"]
        edges = np.append(self.epochs, self.epochs[-1] + 1) - 0.5
        ax.stairs(rates, edges, baseline=None, color=DARK, lw=1.2)
        ax.set(xlabel="Epoch", ylabel="Learning\nrate", yscale="log")
        ax.set_ylim(rates.min() / 1.5, rates.max() * 1.5)
        ticks = _rate_ticks(rates)
        ax.set_yticks(ticks, [_format_rate(rate) for rate in ticks])
        ax.minorticks_off()
        self._mark_halved(ax)

    def _align_epochs(self, axes):
        """Give both panels the same limits."""
        from matplotlib.ticker import MaxNLocator

        for ax in axes:
            ax.set_xlim(self.epochs[0] - 0.5, self.epochs[-1] + 0.5)
            ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        axes[0].figure.align_ylabels(axes)


def _rate_ticks(rates: np.ndarray) -> list[float]:
    """Return the learning rates that get a tick: all if they are few, and never two that would overlap."""
    distinct = np.unique(rates)
    if len(distinct) > _MAX_RATES:
        distinct = distinct[[0, -1]]
    distance = _MIN_DISTANCE * np.log(2.25 * distinct[-1] / distinct[0])  # the limits add 1.5 on both sides
    ticks = [distinct[-1]]
    for rate in distinct[-2::-1]:
        if np.log(ticks[-1] / rate) >= distance:
            ticks.append(rate)
    return [float(rate) for rate in ticks[::-1]]


def _format_rate(rate: float) -> str:
    """Format a learning rate with two digits, and as a power of ten if it is small."""
    if rate >= 1e-4:
        return f"{rate:.2g}"
    mantissa, exponent = f"{rate:.1e}".split("e")
    return rf"${float(mantissa):g}\times10^{{{int(exponent)}}}$"
