"""Place a typical error bar in a corner of axes where it hides no point, or say its size in numbers above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skbcnn.plotting._axes import add_remark
from skbcnn.plotting._label_text import decimals_for, format_number
from skbcnn.plotting._style import TICK_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_TEXT = "typical error"
_CORNERS = ("lower right", "lower left", "upper right", "upper left")
_MAX_SHARE = 0.4  # of the axes that a drawn error bar spans
_MARGIN = 0.04  # distance from the edge of the axes to the error bar, as a fraction of the axes
_GAP = 4.0  # points between the error bar and the text, and around both


def nanmedian(errors: np.ndarray) -> float:
    """Return the median of errors without NaN, and without the warning of `numpy.nanmedian` if all are NaN.

    Parameters
    ----------
    errors : ndarray of shape (n_points,)
        Errors; NaN where missing.

    Returns
    -------
    median : float
        NaN if all errors are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting._typical_error import nanmedian
    >>> nanmedian(np.array([1.0, np.nan, 3.0]))
    2.0
    """
    errors = errors[~np.isnan(errors)]
    return float(np.median(errors)) if len(errors) else np.nan


def annotate_typical_error(ax: Axes, size: Sequence[float], x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Write "typical error" in an empty corner of axes, and return the place for the error bar.

    Where no corner is empty, or the error bar is larger than 0.4 of the axes, its numbers stand above the axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes with their final limits, which may be inverted.
    size : sequence of (float, float)
        Standard deviations along both axes.
    x, y : ndarray of shape (n_points,)
        Coordinates of the points.

    Returns
    -------
    place : tuple of (float, float), or None
        Data coordinates of the centre of the error bar. None: draw none.
    """
    limits = np.array([ax.get_xlim(), ax.get_ylim()])
    spans = limits[:, 1] - limits[:, 0]
    shares = np.asarray(size) / np.abs(spans)  # half of the error bar, as fractions of the axes
    points = (np.column_stack([x, y]) - limits[:, 0]) / spans
    corner = _empty_corner(ax, shares, points[((points >= 0) & (points <= 1)).all(axis=1)])
    if corner is None or 2 * shares.max() > _MAX_SHARE:
        numbers = (f"\N{PLUS-MINUS SIGN}{format_number(error, decimals_for(error))}" for error in size)
        add_remark(ax, "typical error: {} (x), {} (y)".format(*numbers))
        return None
    vertical, horizontal = corner.split()
    at_end = np.array([horizontal == "right", vertical == "upper"])
    centre = limits[:, 0] + spans * np.where(at_end, 1 - _MARGIN - shares, _MARGIN + shares)
    end = centre[0] + (-1 if at_end[0] else 1) * shares[0] * spans[0]
    ax.annotate(
        _TEXT,
        (end, centre[1]),
        xytext=(-_GAP if at_end[0] else _GAP, 0),
        textcoords="offset points",
        ha=horizontal,
        va="center",
        zorder=4,
    )
    return float(centre[0]), float(centre[1])


def _empty_corner(ax: Axes, shares: np.ndarray, points: np.ndarray) -> str | None:
    """Return the corner whose text and error bar are furthest from all points, or None if they are on points.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to look at.
    shares : ndarray of shape (2,)
        Half of the error bar, as fractions of the axes.
    points : ndarray of shape (n_points, 2)
        Points inside the axes, as fractions of the axes.

    Returns
    -------
    corner : str or None
    """
    from matplotlib.textpath import TextPath

    text = TextPath((0, 0), _TEXT, size=TICK_SIZE).get_extents()
    axes_size = np.array(ax.get_window_extent().size) / ax.figure.dpi * 72  # in points
    bar = 2 * shares * axes_size
    used = np.array([bar[0] + _GAP + text.width, max(bar[1], text.height)]) / axes_size + _MARGIN
    clearances = {}
    for corner in _CORNERS:
        vertical, horizontal = corner.split()
        along = np.abs(points - [horizontal == "right", vertical == "upper"])  # from the corner inwards
        clearances[corner] = np.hypot(*((along - used).clip(min=0) * axes_size).T).min(initial=np.inf)
    best = max(clearances, key=lambda corner: clearances[corner])
    return best if clearances[best] > _GAP else None
