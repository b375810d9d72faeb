"""Place a typical error bar in a corner of axes where it hides few points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skbcnn.plotting._style import TEXT_BOX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_CORNER_SIZE = 0.4, 0.15  # width and height of a corner, as fractions of the axes
_MARGIN = 0.04  # distance from the edge of the axes to the error bar, as a fraction of the axes


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


def emptiest_corner(ax: Axes, x: np.ndarray, y: np.ndarray) -> str:
    """Return the corner of axes with the fewest points.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes with their final limits, which may be inverted.
    x, y : ndarray of shape (n_points,)
        Coordinates of the points.

    Returns
    -------
    corner : {"lower right", "lower left", "upper right", "upper left"}
        The first of these corners if several are equally empty.
    """
    across, up = (
        (values - limits[0]) / (limits[1] - limits[0]) for values, limits in ((x, ax.get_xlim()), (y, ax.get_ylim()))
    )
    inside = {
        "left": across < _CORNER_SIZE[0],
        "right": across > 1 - _CORNER_SIZE[0],
        "lower": up < _CORNER_SIZE[1],
        "upper": up > 1 - _CORNER_SIZE[1],
    }
    n_points = {
        f"{vertical} {horizontal}": int((inside[vertical] & inside[horizontal]).sum())
        for vertical in ("lower", "upper")
        for horizontal in ("right", "left")
    }
    return min(n_points, key=lambda corner: n_points[corner])


def annotate_typical_error(ax: Axes, size: Sequence[float], corner: str) -> tuple[float, float]:
    """Write "typical error" in a corner of axes, and return the place for the error bar.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes with their final limits.
    size : sequence of (float, float)
        Standard deviations along both axes.
    corner : {"lower right", "upper left", "upper right", "lower left"}
        Corner to use.

    Returns
    -------
    x, y : float
        Data coordinates of the centre of the error bar: as near to the corner as the whole bar is inside.
    """
    vertical, horizontal = corner.split()
    x, x_edge = _place_inside(size[0], ax.get_xlim(), at_end=horizontal == "right")
    y, _ = _place_inside(size[1], ax.get_ylim(), at_end=vertical == "upper")
    beside = 2 * x - x_edge  # the error bar is in the middle between the text and the edge
    ax.annotate("typical error", (beside, y), ha=horizontal, va="center", bbox=TEXT_BOX, zorder=4)
    return x, y


def _place_inside(size: float, limits: tuple[float, float], *, at_end: bool) -> tuple[float, float]:
    """Return the centre of an error bar that is inside the limits of an axis, and the nearer limit."""
    share = min(size / abs(limits[1] - limits[0]) + _MARGIN, 0.5)
    place = limits[0] + (1 - share if at_end else share) * (limits[1] - limits[0])
    return place, limits[1] if at_end else limits[0]
