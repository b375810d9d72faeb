"""How a training went: losses and learning rate, epoch by epoch."""

import numpy as np

from skbcnn.plotting.figures import BLUE, COLUMN_WIDTH, DARK, GREY, VERMILLION, drawing, several_axes
from skbcnn.plotting.inputs import regressor_in

_LOSSES = {
    "loss": ("training, with L2 penalty", {"color": BLUE, "lw": 0.9, "ls": ":"}),
    "data_loss": ("training", {"color": BLUE}),
    "val_loss": ("validation", {"color": VERMILLION}),
}
"""Of those in a history, what is drawn, in which order and look."""

_MOST_RATES = 4  # told by number beside the axis


class TrainingHistoryDisplay:
    """Loss of each epoch of a training, and below it the learning rate, with marks where it was halved.

    Make one with `from_estimator` or `from_history`.

    Parameters
    ----------
    history : dict of str to sequence of float
        As `history_` of a regressor: some of `loss`, `data_loss`, `val_loss`, and `lr`, an entry for each epoch.
    first_epoch : int, default=1
        Number of the first epoch, where a training goes on from an earlier one.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (2,)
        Loss, learning rate.
    ax_ : matplotlib.axes.Axes
        The first of them.
    figure_ : matplotlib.figure.Figure
        That holds them.

    Notes
    -----
    Losses are per measured label, in nats of normalised units, up to a constant. The training loss is taken while
    weights change and units are dropped, the validation loss after the epoch, with dropout off: it may well be lower.

    Examples
    --------
    >>> from skbcnn.plotting import TrainingHistoryDisplay, new_figure
    >>> history = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.6, 0.6, 0.5], "lr": [1e-3, 1e-3, 5e-4]}
    >>> display = TrainingHistoryDisplay.from_history(history, ax=new_figure(3.5, 3.2).add_subplot())
    >>> display.halved  # between the second epoch and the third
    array([2.5])
    """

    def __init__(self, *, history, first_epoch=1):
        self.history = history
        self.first_epoch = first_epoch

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw how the last training of a regressor went.

        Parameters
        ----------
        estimator : CensoredBCNNRegressor, or pipeline that ends in one
            Fitted.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            As in `plot`.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it holds no history.
        """
        regressor = regressor_in(estimator)
        history = getattr(regressor, "history_", {})
        n_epochs = len(history.get("loss", []))
        return cls.from_history(history, first_epoch=getattr(regressor, "n_iter_", n_epochs) - n_epochs + 1, ax=ax)

    @classmethod
    def from_history(cls, history, *, first_epoch=1, ax=None):
        """Draw how a training went.

        Parameters
        ----------
        history : dict of str to sequence of float
            As `history_` of a regressor.
        first_epoch : int, default=1
            Number of the first epoch.
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            As in `plot`.

        Returns
        -------
        display : TrainingHistoryDisplay

        Raises
        ------
        ValueError
            If there is no epoch, no loss or no learning rate in it, or their numbers differ.
        """
        history = {name: np.asarray(values, dtype=float) for name, values in history.items()}
        return cls(history=history, first_epoch=first_epoch).plot(ax)

    @property
    def epochs(self):
        """Numbers of the epochs, ndarray of shape (n_epochs,)."""
        return self.first_epoch + np.arange(len(self.history["lr"]))

    @property
    def halved(self):
        """Where the learning rate was halved, between the numbers of two epochs: ndarray of float."""
        rates = self.history["lr"]
        return self.epochs[1:][np.isclose(rates[1:], rates[:-1] / 2, rtol=1e-3, atol=0)] - 0.5

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or sequence of 2 of these, default=None
            Where to draw: both panels, or one axes whose place they take. None makes a new figure with pyplot.

        Returns
        -------
        display : TrainingHistoryDisplay
            This one, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If the history is not whole, or `ax` holds another number of axes.
        """
        with drawing("TrainingHistoryDisplay"):
            self._check()
            axes = several_axes(ax, (COLUMN_WIDTH, 3.2), n_rows=2, height_ratios=(3, 1))
            self._draw_losses(axes[0])
            self._draw_rate(axes[1])
            self._share_epochs(axes)
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        return self

    def _check(self):
        """Refuse what is no history."""
        drawn = [name for name in _LOSSES if name in self.history]
        n_epochs = {name: len(self.history[name]) for name in (*drawn, "lr") if name in self.history}
        if not drawn or not n_epochs.get("lr"):
            raise ValueError(
                f"The history has {', '.join(self.history) or 'no entry'}, expected a loss and lr of at least one "
                "epoch, as history_ of a fitted regressor has them. A training that was interrupted in its first epoch "
                "leaves none, nor does a model that another program trained."
            )
        if len(set(n_epochs.values())) > 1:
            told = ", ".join(f"{name} of {n}" for name, n in n_epochs.items())
            raise ValueError(f"The history has entries of different length: {told} epochs. Pass one value an epoch.")

    def _draw_losses(self, ax):
        for name, (text, look) in _LOSSES.items():
            if name in self.history:
                ax.plot(self.epochs, self.history[name], label=text, **look, **self._marker())
        ax.set_ylabel("Loss (nats per label)")
        ax.legend(loc="best")
        ax.tick_params(labelbottom=False)

    def _draw_rate(self, ax):
        rates = self.history["lr"]
        edges = np.append(self.epochs, self.epochs[-1] + 1) - 0.5
        ax.stairs(rates, edges, baseline=None, color=DARK, lw=1.2)
        ax.set(xlabel="Epoch", ylabel="Learning\nrate", yscale="log")
        ax.set_ylim(rates.min() / 1.5, rates.max() * 1.5)
        told = np.unique(rates)
        if len(told) <= _MOST_RATES:  # else the decades are told
            ax.set_yticks(told, [_rate_text(rate) for rate in told])
        ax.minorticks_off()

    def _share_epochs(self, axes):
        """The same epochs in both panels, and a line through both where the rate was halved."""
        from matplotlib.ticker import MaxNLocator

        for ax in axes:
            for place in self.halved:
                ax.axvline(place, color=GREY, ls="--", lw=0.7, zorder=0.5)
            ax.set_xlim(self.epochs[0] - 0.5, self.epochs[-1] + 0.5)
            ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        axes[0].figure.align_ylabels(axes)

    def _marker(self):
        """Points, where an epoch or two would leave no line to see."""
        return {"marker": "o", "ms": 3} if len(self.epochs) < 3 else {}


def _rate_text(rate):
    """A learning rate in two digits, as a power of ten if it is small."""
    if rate >= 1e-4:
        return f"{rate:.2g}"
    mantissa, exponent = f"{rate:.1e}".split("e")
    return rf"${float(mantissa):g}\times10^{{{int(exponent)}}}$"
