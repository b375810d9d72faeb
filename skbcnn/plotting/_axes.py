"""Create the axes of a display, or use those that the user passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skbcnn.plotting._style import LABEL_SIZE, TICK_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar

_LEGEND_HEIGHT = 2.5 * TICK_SIZE  # points: one line of a legend above the axes


def several_axes(
    ax: Axes | Sequence[Axes] | None,
    size: tuple[float, float],
    n_rows: int = 1,
    n_columns: int = 1,
    **ratios: Sequence[float],
) -> np.ndarray:
    """Return the axes of a display with one or more panels.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, sequence of these, or None
        Argument of the user: one axes for each panel, or a single one that is divided into panels. None creates a new
        figure with pyplot.
    size : tuple of (float, float)
        Width and height of a new figure in inches.
    n_rows, n_columns : int, default=1
        Numbers of rows and columns of panels.
    **ratios : sequence of float
        ``height_ratios`` and ``width_ratios`` of the panels.

    Returns
    -------
    axes : ndarray of matplotlib.axes.Axes of shape (n_rows * n_columns,)
        Axes of the panels, row by row.

    Raises
    ------
    ValueError
        If the number of axes is neither one nor the number of panels, or if the single axes cannot be divided because
        they are in no grid.
    """
    n_panels = n_rows * n_columns
    if ax is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=size, layout="constrained")
        axes = figure.add_gridspec(n_rows, n_columns, **ratios).subplots(squeeze=False).ravel()
    else:
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) == 1 < n_panels:
            axes = _divide(axes[0], n_rows, n_columns, ratios)
        if len(axes) != n_panels:
            raise ValueError(
                f"ax holds {len(axes)} axes, but the figure has {n_panels} panels. Pass one axes for each panel, or a "
                "single one to be divided."
            )
    for panel in axes:
        style_axes(panel)
    return axes


def _divide(ax: Axes, n_rows: int, n_columns: int, ratios: dict[str, Sequence[float]]) -> np.ndarray:
    """Replace axes by a grid of panels in the same place."""
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"ax is in no grid of subplots, so that it cannot be divided into {n_rows * n_columns} panels. Create it "
            "by figure.add_subplot() or subplots(), or pass one axes for each panel."
        )
    ax.set_axis_off()
    return place.subgridspec(n_rows, n_columns, **ratios).subplots(squeeze=False).ravel()


def style_axes(ax: Axes) -> None:
    """Apply the common style to the ticks and labels of axes.

    `skbcnn.plotting._style.figure_style` does not change axes that were created before.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to change.
    """
    ax.tick_params(which="both", direction="in", top=True, right=True, labelsize=TICK_SIZE)
    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set_fontsize(LABEL_SIZE)


def add_remark(ax: Axes, text: str) -> None:
    """Add a line of small text above the upper left corner of axes, and above a legend that is there.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes with their legend, if they have one above them.
    text : str
        Line to add below those that were added before.
    """
    before = ax.get_title(loc="left")
    lines = f"{before}\n{text}" if before else text
    pad = None if ax.get_legend() is None else _LEGEND_HEIGHT  # None is the usual distance
    ax.set_title(lines, fontsize=TICK_SIZE, loc="left", pad=pad)


def add_colour_bar(points: ScalarMappable, ax: Axes, text: str, **options: Any) -> Colorbar:
    """Add a colour bar beside axes.

    Parameters
    ----------
    points : matplotlib.cm.ScalarMappable
        Points whose colours the bar explains.
    ax : matplotlib.axes.Axes
        Axes that hold the points.
    text : str
        Label of the bar.
    **options : dict
        Options of ``Figure.colorbar``.

    Returns
    -------
    bar : matplotlib.colorbar.Colorbar
    """
    bar = ax.figure.colorbar(points, ax=ax, label=text, pad=0.02, aspect=30, **options)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    return bar
