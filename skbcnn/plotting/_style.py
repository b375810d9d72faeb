"""Colours, sizes and matplotlib settings that all displays share.

Sizes suit a journal with two columns: 3.5 inches for one column, 7 inches for a page, and no text below 8 points. The
colours are those of Okabe and Ito, which people with colour blindness can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from skbcnn._optional_dependencies import require_extra

COLUMN_WIDTH, PAGE_WIDTH = 3.5, 7.0  # inches

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
DARK, GREY, PALE = "#333333", "#8C8C8C", "#D9D9D9"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Colours of the lines in one legend."""

LABEL_SIZE, TICK_SIZE = 9, 8  # points
STYLE: dict[Any, Any] = {  # matplotlib types the keys as literals
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
    "text.usetex": False,  # LaTeX reads % and letters such as the minus sign differently
    "text.parse_math": True,
}
TEXT_BOX = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}  # keeps text readable over points


@contextmanager
def figure_style(name: str) -> Iterator[None]:
    """Apply the common matplotlib settings while a figure is drawn.

    Parameters
    ----------
    name : str
        Name of the display, for the error message if matplotlib is not installed.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    """
    require_extra("plot", name)
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def text_colour(background: tuple[float, float, float, float]) -> str:
    """Return the colour of text that is legible on a background: black or white, whichever contrasts more.

    Parameters
    ----------
    background : tuple of (float, float, float, float)
        Red, green, blue and opacity, from 0 to 1.

    Returns
    -------
    colour : {"black", "white"}

    References
    ----------
    .. [1] Web Content Accessibility Guidelines 2.2, definitions of relative luminance and contrast ratio.

    Examples
    --------
    >>> from skbcnn.plotting._style import text_colour
    >>> text_colour((1, 0.9, 0.8, 1)), text_colour((0.1, 0.3, 0.6, 1))
    ('black', 'white')
    """
    srgb = np.array(background[:3])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def point_size(n_points: int) -> float:
    """Return the area of a point in a scatter plot, which decreases with the number of points.

    Parameters
    ----------
    n_points : int
        Number of points in the plot.

    Returns
    -------
    size : float
        Area in square points.

    Examples
    --------
    >>> from skbcnn.plotting._style import point_size
    >>> point_size(10), point_size(600), point_size(10**5)
    (25.0, 10.0, 3.0)
    """
    return float(np.clip(6000 / max(n_points, 1), 3, 25))
