"""Clouds of points: limits, corners, typical errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.plotting.points import draw_typical_error, emptiest_corners, limits, median_of, set_limits


class TestLimits:
    def test_a_few_far_points_are_left_out(self):
        values = np.concatenate([np.linspace(0, 1, 1000), [1e6]])
        low, high = limits(values)
        assert -0.1 < low < 0.01
        assert 0.99 < high < 1.1

    @pytest.mark.parametrize("value", [0.0, 4700.0, -0.3])
    def test_one_value(self, value):
        low, high = limits(np.array([value]))
        assert low < value < high

    def test_what_is_beyond_is_told(self, new_axes):
        ax = new_axes()
        x = np.linspace(0, 1, 2000)
        y = x.copy()
        y[[3, 7]] = 1e6
        set_limits(ax, x, y)
        assert ax.get_ylim()[1] < 2
        assert ax.get_title(loc="left") == "2 of 2000 stars beyond the axes"

    def test_nothing_is_beyond(self, new_axes):
        ax = new_axes()
        set_limits(ax, np.arange(9.0), np.arange(9.0))
        assert ax.get_title(loc="left") == ""

    def test_further_places_are_seen(self, new_axes):
        ax = new_axes()
        x = np.zeros(2)
        set_limits(ax, x, x, reach=((x - 1, x), (x, x + 5)))
        assert ax.get_xlim()[0] < -0.9
        assert ax.get_ylim()[1] > 4.9


class TestCorners:
    CENTRES = {"lower left": (0, 0), "lower right": (1, 0), "upper left": (0, 1), "upper right": (1, 1)}

    @pytest.mark.parametrize("empty", CENTRES)
    @pytest.mark.parametrize("inverted", [False, True])
    def test_the_one_without_points(self, new_axes, empty, inverted):
        ax = new_axes()
        x, y = np.array([place for corner, place in self.CENTRES.items() if corner != empty], float).T
        ends = (1.05, -0.05) if inverted else (-0.05, 1.05)
        ax.set(xlim=ends, ylim=ends)
        opposite = {"lower": "upper", "upper": "lower", "left": "right", "right": "left"}
        expected = " ".join(opposite[word] for word in empty.split()) if inverted else empty
        assert emptiest_corners(ax, x, y)[0] == expected

    @pytest.mark.parametrize("corner", CENTRES)
    @pytest.mark.parametrize("ends", [(0.0, 10.0), (10.0, 0.0)])
    @pytest.mark.parametrize("size", [0.5, 3.0, 50.0])
    def test_the_typical_error_is_inside(self, new_axes, corner, ends, size):
        ax = new_axes()
        ax.set(xlim=ends, ylim=ends)
        x, y = draw_typical_error(ax, (size, size), corner)
        reach = min(size, 4.9)  # one that is larger than the axes stands in the middle
        assert reach < x < 10 - reach or x == 5
        is_right = (x > 5) == (ends[0] < ends[1])
        if x != 5:
            assert is_right == corner.endswith("right")
            assert ((y > 5) == (ends[0] < ends[1])) == corner.startswith("upper")
        (text,) = ax.texts
        assert text.get_text() == "typical error"


def test_median_leaves_missing_errors_out():
    assert median_of(np.array([np.nan, 1.0, 2.0, 6.0])) == 2
    assert np.isnan(median_of(np.array([np.nan])))
    assert_allclose(median_of(np.array([3.0])), 3)
