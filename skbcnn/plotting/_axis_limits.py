"""Limits of axes that a few outliers do not widen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skbcnn.plotting._axes import add_remark
from skbcnn.plotting._label_text import spectra_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CENTRAL_SHARE = 99.0  # percentage of the points that define the limits
_MIN_VALUES = 200  # outliers are left out from this number of values
_POINT = 0.02  # radius of a point with its surroundings, as a fraction of the axis
_MAX_TICKS = 6  # of an axis that is one journal column wide


def central_limits(values: np.ndarray | Sequence[float]) -> tuple[float, float]:
    """Return limits around the central 99 % of some values, with a margin.

    Parameters
    ----------
    values : ndarray or sequence of float, of shape (n_points,)
        Finite values along the axis.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> from skbcnn.plotting._axis_limits import central_limits
    >>> central_limits(range(1001))
    (-74.2, 1074.2)
    """
    tail = (100 - _CENTRAL_SHARE) / 2
    return beside_points(np.asarray(values), _add_margin(*np.percentile(values, [tail, 100 - tail])))


def beside_points(values: np.ndarray, limits: tuple[float, float]) -> tuple[float, float]:
    """Widen limits until no point lies on them, so that each point is either whole or outside the axes.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        Values along the axis.
    limits : tuple of (float, float)
        Lower and upper limit.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting._axis_limits import beside_points
    >>> beside_points(np.array([1.0, 94.0, 97.0, 140.0]), (-5.0, 95.0))
    (-5.0, 99.0)
    """
    radius = _POINT * (limits[1] - limits[0])
    low, high = (
        _beside(sign * values, sign * limit, radius) * sign for sign, limit in zip((-1, 1), limits, strict=True)
    )
    return low, high


def _add_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or 0.01 * abs(low) or 1.0
    return float(low - margin), float(high + margin)


def _beside(values: np.ndarray, limit: float, radius: float) -> float:
    """Return an upper limit that has no point within a radius: the given one, or a larger one."""
    for value in np.sort(values[values > limit - radius]):
        if value >= limit + radius:
            break
        limit = max(limit, float(value) + radius)
    return limit


def range_without_outliers(values: np.ndarray, tail: float = 0.5) -> tuple[float, float]:
    """Return the smallest and the largest value, without outliers if there are at least 200 values.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Finite values.
    tail : float, default=0.5
        Values further than this from the central 99 % are outliers, as a multiple of the width of the central 99 %.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting._axis_limits import range_without_outliers
    >>> range_without_outliers(np.append(np.arange(1001), 1e6))
    (0.0, 1491.5)
    """
    low, high = np.min(values), np.max(values)
    if len(values) >= _MIN_VALUES:
        central = np.sort(values)[[len(values) // 200, -1 - len(values) // 200]]  # 99 % of the values are between
        reach = tail * (central[1] - central[0])
        low, high = max(low, central[0] - reach), min(high, central[1] + reach)
    return float(low), float(high)


def is_outside(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return which values are outside the limits of an axis.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        Values along the axis.
    limits : tuple of (float, float)
        Lower and upper limit.

    Returns
    -------
    outside : ndarray of bool of shape (n_points,)
    """
    return (values < limits[0]) | (values > limits[1])


def set_limits(ax: Axes, x: np.ndarray, y: np.ndarray, extra: Sequence[np.ndarray | Sequence[np.ndarray]] = ()) -> None:
    """Set the limits of axes to the range of the points without outliers, and give the number of outliers in the title.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to change.
    x, y : ndarray of shape (n_points,)
        Coordinates of the points.
    extra : sequence of (ndarray, ndarray), default=()
        Further x and y coordinates that the limits should include, such as the ends of error bars.
    """
    x_limits, y_limits = (
        beside_points(values, _add_margin(*range_without_outliers(np.concatenate([values, *more]))))
        for values, *more in zip((x, y), *extra, strict=True)
    )
    ax.set(xlim=x_limits, ylim=y_limits)
    ax.locator_params(axis="x", nbins=_MAX_TICKS)
    if n_outside := int((is_outside(x, x_limits) | is_outside(y, y_limits)).sum()):
        add_remark(ax, f"{n_outside} of {spectra_text(len(x))} outside the axes")
