"""What all pictures share: figures, the axes in them, colours and type, and how they are written.

Sizes are those of a journal of two columns: 3.5 inches wide for a column, 7 for a page, and no type below 8 points.
Colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from skbcnn._atomic_writes import atomic_path
from skbcnn._optional_dependencies import require_extra

COLUMN_WIDTH, PAGE_WIDTH = 3.5, 7.0  # inches

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
DARK, GREY, PALE = "#333333", "#8C8C8C", "#D9D9D9"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Colours of lines that are told apart in one legend."""

LABEL_SIZE, TICK_SIZE = 9, 8  # points
STYLE = {
    "font.size": TICK_SIZE,
    "axes.labelsize": LABEL_SIZE,
    "axes.titlesize": LABEL_SIZE,
    "legend.fontsize": TICK_SIZE,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fancybox": False,
    "legend.borderaxespad": 0.4,
    "legend.labelspacing": 0.25,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.2,
}
BOX = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}  # keeps numbers readable over points


def new_figure(width, height):
    """Make a figure of its own, that no window and no other code knows of.

    Parameters
    ----------
    width, height : float
        In inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Drawn by Agg when it is saved, so no display is needed, and freed with its last reference.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> from skbcnn.plotting import new_figure
    >>> new_figure(7, 4.5).get_size_inches()
    array([7. , 4.5])
    """
    require_extra("plot", "A picture")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure, path, *, dpi=150):
    """Write a figure to a file, which appears once it is complete.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or path-like
        ``.png``, ``.pdf`` or whatever else matplotlib writes. A file of this name is replaced.
    dpi : float, default=150
        Dots per inch.

    Returns
    -------
    path : pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If matplotlib does not know the format.
    OSError
        If it cannot be written; nothing is then left under its name.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path


@contextmanager
def drawing(name):
    """The look of all pictures, for as long as one is drawn.

    Parameters
    ----------
    name : str
        Of the display, for the sentence that is said where matplotlib is not installed.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    """
    require_extra("plot", name)
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def one_axes(ax, size):
    """The axes to draw in.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
        As the user passed it; None makes a new figure with pyplot.
    size : tuple of (float, float)
        Of a new figure, in inches.

    Returns
    -------
    ax : matplotlib.axes.Axes
    """
    return several_axes(ax, size)[0]


def several_axes(ax, size, n_rows=1, n_columns=1, **options):
    """The axes of a picture of several panels.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, sequence of these, or None
        As the user passed it: one for each panel, or one whose place the panels take, or None for a new figure, made
        with pyplot.
    size : tuple of (float, float)
        Of a new figure, in inches.
    n_rows, n_columns : int, default=1
        Panels.
    **options : dict
        ``height_ratios`` and ``width_ratios`` of the panels.

    Returns
    -------
    axes : ndarray of matplotlib.axes.Axes of shape (n_rows * n_columns,)
        Row by row.

    Raises
    ------
    ValueError
        If there are neither one nor as many axes as panels, or the only one has no place in a grid.
    """
    n_panels = n_rows * n_columns
    if ax is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=size, layout="constrained")
        axes = figure.add_gridspec(n_rows, n_columns, **options).subplots(squeeze=False).ravel()
    else:
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) == 1 < n_panels:
            axes = _in_place_of(axes[0], n_rows, n_columns, options)
        if len(axes) != n_panels:
            raise ValueError(
                f"ax holds {len(axes)} axes, but the picture has {n_panels} panels. Pass one for each, or a single one "
                "whose place they take."
            )
    for panel in axes:
        dress(panel)
    return axes


def _in_place_of(ax, n_rows, n_columns, options):
    """Panels where one axes was."""
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"ax has no place in a grid, which {n_rows * n_columns} panels could share. Make it by "
            "figure.add_subplot() or subplots(), or pass one axes for each panel."
        )
    ax.set_axis_off()
    return place.subgridspec(n_rows, n_columns, **options).subplots(squeeze=False).ravel()


def dress(ax):
    """Give axes the look of all others: they have the type of the time and place where they were made.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        To be changed.
    """
    ax.tick_params(which="both", direction="in", top=True, right=True, labelsize=TICK_SIZE)
    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set_size(LABEL_SIZE)


def colour_bar(points, ax, text, **options):
    """A bar beside axes that says what the colours of points mean.

    Parameters
    ----------
    points : matplotlib.cm.ScalarMappable
        What is coloured.
    ax : matplotlib.axes.Axes
        Beside which the bar stands.
    text : str
        Along the bar.
    **options : dict
        Of ``Figure.colorbar``.

    Returns
    -------
    bar : matplotlib.colorbar.Colorbar
    """
    bar = ax.figure.colorbar(points, ax=ax, label=text, pad=0.02, aspect=30, **options)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    return bar
