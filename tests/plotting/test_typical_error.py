"""The typical error in the corner of axes."""

import numpy as np
import pytest

from skbcnn.plotting._typical_error import annotate_typical_error, nanmedian

CORNERS = {"lower left": (0, 0), "lower right": (1, 0), "upper left": (0, 1), "upper right": (1, 1)}


def points_away_from(corner):
    """Return points on a grid in the axes from 0 to 10, except in one corner."""
    x, y = np.meshgrid(np.linspace(0.5, 9.5, 19), np.linspace(0.5, 9.5, 19))
    across, up = CORNERS[corner]
    is_far = (np.abs(x - 10 * across) > 6) | (np.abs(y - 10 * up) > 4)
    return x[is_far], y[is_far]


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("limits", [(0.0, 10.0), (10.0, 0.0)])
def test_is_in_the_empty_corner_and_covers_no_point(new_axes, corner, limits):
    ax = new_axes(3.5, 3)
    ax.set(xlim=limits, ylim=limits)
    x, y = points_away_from(corner)
    place = annotate_typical_error(ax, (0.5, 1.0), x, y)
    assert np.abs(np.array(place) - 10 * np.array(CORNERS[corner])).max() < 2
    ax.figure.draw_without_rendering()
    text, whole = ax.texts[0].get_window_extent(), ax.get_window_extent()
    assert (text.min > whole.min).all()
    assert (text.max < whole.max).all()
    pixels = ax.transData.transform(np.column_stack([x, y]))
    assert not ((pixels > text.min) & (pixels < text.max)).all(axis=1).any()
    assert not ((np.abs(x - place[0]) < 0.5) & (np.abs(y - place[1]) < 1)).any()


@pytest.mark.parametrize("size", [(0.5, 0.123), (50.0, 0.123)])
def test_is_written_in_numbers_if_no_corner_is_empty_or_it_is_large(new_axes, size):
    ax = new_axes(3.5, 3)
    ax.set(xlim=(0, 10), ylim=(0, 10))
    x, y = points_away_from("lower right")
    if size[0] < 1:
        x, y = np.append(x, 9.8), np.append(y, 0.2)
    assert annotate_typical_error(ax, size, x, y) is None
    assert ax.get_title(loc="left") == f"typical error: ±{'0.50' if size[0] < 1 else '50'} (x), ±0.12 (y)"
    assert len(ax.texts) == 0


def test_median_without_missing_errors():
    assert nanmedian(np.array([np.nan, 1.0, 2.0, 6.0])) == 2
    assert np.isnan(nanmedian(np.array([np.nan])))
