"""Limits of axes without outliers."""

import numpy as np
import pytest

from skbcnn.plotting._axis_limits import central_limits, set_limits


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


def test_limits_include_extra_coordinates(new_axes):
    ax = new_axes()
    x = np.zeros(2)
    set_limits(ax, x, x, extra=((x - 1, x), (x, x + 5)))
    assert ax.get_xlim()[0] < -0.9
    assert ax.get_ylim()[1] > 4.9
