"""Limits of axes without outliers."""

import numpy as np
import pytest

from skbcnn.plotting._axis_limits import beside_points, central_limits, set_limits
from skbcnn.plotting._style import figure_style


def test_central_limits_leave_outliers_out():
    low, high = central_limits(np.concatenate([np.linspace(0, 1, 1000), [1e6]]))
    assert -0.1 < low < 0.01
    assert 0.99 < high < 1.1


@pytest.mark.parametrize("value", [0.0, 4700.0, -0.3])
def test_central_limits_of_one_value(value):
    low, high = central_limits([value])
    assert low < value < high


def test_outliers_are_counted_in_the_title(new_axes):
    ax = new_axes()
    x = np.linspace(0, 1, 2000)
    y = x.copy()
    y[[3, 7]] = 1e6
    set_limits(ax, x, y)
    assert ax.get_ylim()[1] < 2
    assert ax.get_title(loc="left") == "2 of 2000 spectra outside the axes"


def test_no_title_without_outliers(new_axes):
    ax = new_axes()
    set_limits(ax, np.arange(9.0), np.arange(9.0))
    assert ax.get_title(loc="left") == ""


def test_no_point_lies_on_a_limit(new_axes):
    """Half of such a point would be cut off."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_t(3, size=(2, 3000))
    ax = new_axes()
    set_limits(ax, x, y)
    for values, limits in ((x, ax.get_xlim()), (y, ax.get_ylim()), (x, central_limits(x))):
        for limit in limits:
            assert np.abs(values - limit).min() > 0.01 * (limits[1] - limits[0])
    assert beside_points(np.array([0.0, 5.0, 9.9, 10.1, 30.0]), (-1.0, 10.0)) == pytest.approx((-1.0, 10.32))


def test_remarks_are_above_the_legend(new_axes):
    ax = new_axes(3.5, 3)
    x = np.append(np.linspace(0, 1, 2000), 1e6)
    with figure_style("a test"):
        ax.plot([0.0], [0.0], label="a text of the legend as long as this")
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1))
        set_limits(ax, x, x)
    ax.figure.draw_without_rendering()
    assert ax._left_title.get_window_extent().y0 >= ax.get_legend().get_window_extent().y1 - 2


def test_limits_include_extra_coordinates(new_axes):
    ax = new_axes()
    x = np.zeros(2)
    set_limits(ax, x, x, extra=((x - 1, x), (x, x + 5)))
    assert ax.get_xlim()[0] < -0.9
    assert ax.get_ylim()[1] > 4.9
