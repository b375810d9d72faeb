"""Base classes of the displays: `plot` checks the data, creates axes, draws, and keeps the axes and the figure."""

from skbcnn.plotting._axes import several_axes
from skbcnn.plotting._style import figure_style


class SinglePanelDisplay:
    """Base class of displays with one panel.

    A subclass defines `_check`, which raises an error for data that cannot be drawn, `_figure_size`, the width and
    height of a new figure in inches, and `_draw(ax)`.
    """

    def plot(self, ax=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None creates a new figure with pyplot.

        Returns
        -------
        display : object
            The display itself, with `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If the data cannot be drawn; no figure is created then.
        """
        with figure_style(type(self).__name__):
            self._check()
            (ax,) = several_axes(ax, self._figure_size)
            self._draw(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _check(self):
        """Accept all data."""


class MultiPanelDisplay:
    """Base class of displays with more than one panel.

    A subclass defines `_check`, which raises an error for data that cannot be drawn, `_panel_axes(ax)`, which returns
    the axes of all panels, and `_draw(axes)`.
    """

    def plot(self, ax=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Axes to draw on: one for each panel, or a single one that is divided into panels. None creates a new figure
            with pyplot.

        Returns
        -------
        display : object
            The display itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If the data cannot be drawn, or the number of axes is not that of the panels.
        """
        with figure_style(type(self).__name__):
            self._check()
            axes = self._panel_axes(ax)
            self._draw(axes)
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        return self
