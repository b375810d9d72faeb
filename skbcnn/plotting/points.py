"""Clouds of points: how large each is, where their axes end, and how large their errors typically are."""

import numpy as np

from skbcnn.plotting.figures import BOX, TICK_SIZE

_WITHIN = 99.0  # percent of the points that decide where the axes end
_MANY = 200  # values of which wild ones are left out
_MOST_TICKS = 6  # of an axis as wide as a column
_CORNER = 0.4, 0.15  # width and height of what counts as a corner, of the axes
_MARGIN = 0.04  # of an axis, between its end and a typical error


def point_size(n_points):
    """Area of each of some points: smaller where there are many.

    Parameters
    ----------
    n_points : int
        How many there are.

    Returns
    -------
    size : float
        In square points.

    Examples
    --------
    >>> from skbcnn.plotting.points import point_size
    >>> point_size(10), point_size(600), point_size(10**5)
    (25.0, 10.0, 3.0)
    """
    return float(np.clip(6000 / max(n_points, 1), 3, 25))


def limits(values):
    """Where an axis begins and ends, a few far points left out.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        Along the axis.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> from skbcnn.plotting.points import limits
    >>> limits(range(1001))
    (-74.2, 1074.2)
    """
    tail = (100 - _WITHIN) / 2
    return _with_margin(*np.percentile(values, [tail, 100 - tail]))


def _with_margin(low, high):
    margin = 0.08 * (high - low) or 0.01 * abs(low) or 1.0
    return float(low - margin), float(high + margin)


def all_but_wild(values, tail=0.5):
    """Where values begin and end if wild ones are left out; if they are few, none is.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Finite.
    tail : float, default=0.5
        A value is wild if it is further than this beyond the middle 99 % of all, in the range of these.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting.points import all_but_wild
    >>> all_but_wild(np.append(np.arange(1001), 1e6))
    (0.0, 1491.5)
    """
    low, high = np.min(values), np.max(values)
    if len(values) >= _MANY:
        inner = np.sort(values)[[len(values) // 200, -1 - len(values) // 200]]  # of these, 99 % lie between
        reach = tail * (inner[1] - inner[0])
        low, high = max(low, inner[0] - reach), min(high, inner[1] + reach)
    return float(low), float(high)


def outside(values, ends):
    """Which values lie beyond the ends of an axis.

    Parameters
    ----------
    values : ndarray of shape (n_points,)
        Along the axis.
    ends : tuple of (float, float)
        The lower first.

    Returns
    -------
    outside : ndarray of bool of shape (n_points,)
    """
    return (values < ends[0]) | (values > ends[1])


def median_of(errors):
    """The typical one of some errors.

    Parameters
    ----------
    errors : ndarray of shape (n_points,)
        NaN where one is missing.

    Returns
    -------
    typical : float
        The median of those that are there; NaN if none is.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting.points import median_of
    >>> median_of(np.array([1.0, np.nan, 3.0]))
    2.0
    """
    errors = errors[~np.isnan(errors)]
    return float(np.median(errors)) if len(errors) else np.nan


def set_limits(ax, x, y, reach=()):
    """End axes so that all points of a cloud lie within, but wild ones; how many do not is told in the title.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        To be changed.
    x, y : ndarray of shape (n_points,)
        The points.
    reach : sequence of (ndarray, ndarray), default=()
        Further places along both axes that are to be seen, such as the ends of error bars.
    """
    ends = [_with_margin(*all_but_wild(np.concatenate([v, *more]))) for v, *more in zip((x, y), *reach, strict=True)]
    ax.set(xlim=ends[0], ylim=ends[1])
    ax.locator_params(axis="x", nbins=_MOST_TICKS)
    if n_outside := int((outside(x, ends[0]) | outside(y, ends[1])).sum()):
        ax.set_title(f"{n_outside} of {len(x)} stars beyond the axes", fontsize=TICK_SIZE, loc="left")


def emptiest_corners(ax, x, y):
    """The corners of axes, whose limits are set, those with the fewest points first.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With limits, inverted perhaps.
    x, y : ndarray of shape (n_points,)
        The points.

    Returns
    -------
    corners : list of str
        Such as ``"lower right"``.
    """
    across, up = ((v - ends[0]) / (ends[1] - ends[0]) for v, ends in ((x, ax.get_xlim()), (y, ax.get_ylim())))
    is_at = {
        "left": across < _CORNER[0],
        "right": across > 1 - _CORNER[0],
        "lower": up < _CORNER[1],
        "upper": up > 1 - _CORNER[1],
    }
    held = {f"{v} {h}": int((is_at[v] & is_at[h]).sum()) for v in ("lower", "upper") for h in ("right", "left")}
    return sorted(held, key=held.get)


def draw_typical_error(ax, size, corner):
    """Say in a corner of axes, whose limits are set, that what stands there is a typical error.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    size : tuple of (float, float)
        Standard deviations along both axes.
    corner : {"lower right", "upper left", "upper right", "lower left"}
        Where.

    Returns
    -------
    place : tuple of (float, float)
        Where the error itself is to be drawn, in data: as near to the corner as it is wholly inside.
    """
    vertical, horizontal = corner.split()
    x, x_edge = _off_the_edge(size[0], ax.get_xlim(), horizontal == "right")
    y, _ = _off_the_edge(size[1], ax.get_ylim(), vertical == "upper")
    beside = 2 * x - x_edge  # as far from the middle of the error as the edge of the axes, on the other side
    ax.annotate(
        "typical error",
        (beside, y),
        ha=horizontal,
        va="center",
        bbox=BOX,
        zorder=4,
    )
    return x, y


def _off_the_edge(size, ends, is_far):
    """Where an error of some size stands along an axis, so that all of it is inside; and the end that is near."""
    share = min(size / abs(ends[1] - ends[0]) + _MARGIN, 0.5)
    place = ends[0] + (1 - share if is_far else share) * (ends[1] - ends[0])
    return place, ends[1] if is_far else ends[0]
