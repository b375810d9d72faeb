"""The typical error in the corner of axes."""

import numpy as np
import pytest

from skbcnn.plotting._typical_error import annotate_typical_error, emptiest_corner, nanmedian

CORNERS = {"lower left": (0, 0), "lower right": (1, 0), "upper left": (0, 1), "upper right": (1, 1)}
OPPOSITE = {"lower": "upper", "upper": "lower", "left": "right", "right": "left"}


@pytest.mark.parametrize("empty", CORNERS)
def test_emptiest_corner(new_axes, empty):
    ax = new_axes()
    x, y = np.array([position for corner, position in CORNERS.items() if corner != empty], float).T
    ax.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    assert emptiest_corner(ax, x, y) == empty
    ax.invert_xaxis()
    ax.invert_yaxis()
    assert emptiest_corner(ax, x, y) == " ".join(OPPOSITE[word] for word in empty.split())


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("limits", [(0.0, 10.0), (10.0, 0.0)])
def test_error_bar_is_inside_the_axes(new_axes, corner, limits):
    ax = new_axes()
    ax.set(xlim=limits, ylim=limits)
    is_inverted = limits[0] > limits[1]
    for size in (0.5, 3.0):
        x, y = annotate_typical_error(ax, (size, size), corner)
        assert size < x < 10 - size
        assert size < y < 10 - size
        assert ((x > 5) != is_inverted) == corner.endswith("right")
        assert ((y > 5) != is_inverted) == corner.startswith("upper")
    assert {text.get_text() for text in ax.texts} == {"typical error"}


def test_error_bar_larger_than_the_axes_is_in_the_middle(new_axes):
    ax = new_axes()
    ax.set(xlim=(0, 10), ylim=(0, 10))
    assert annotate_typical_error(ax, (50, 50), "lower left") == (5, 5)


def test_median_without_missing_errors():
    assert nanmedian(np.array([np.nan, 1.0, 2.0, 6.0])) == 2
    assert np.isnan(nanmedian(np.array([np.nan])))
