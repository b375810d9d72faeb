"""Axes that displays create, or take from the user."""

import pytest

from skbcnn.plotting import new_figure
from skbcnn.plotting._axes import add_colour_bar, several_axes
from skbcnn.plotting._style import LABEL_SIZE, TICK_SIZE


def test_single_axes_are_divided():
    figure = new_figure(6, 4)
    left, right = figure.subplots(1, 2)
    panels = several_axes(right, (1, 1), n_rows=2, height_ratios=(3, 1))
    figure.canvas.draw()
    assert (left.axison, right.axison) == (True, False)
    high, low = (panel.get_position() for panel in panels)
    assert min(high.x0, low.x0) > 0.5
    assert high.y0 > low.y1
    assert high.height == pytest.approx(3 * low.height, rel=0.1)


def test_one_axes_for_each_panel():
    axes = new_figure(6, 4).subplots(1, 2)
    assert list(several_axes(axes, (1, 1), n_columns=2)) == list(axes)
    assert list(several_axes(list(axes), (1, 1), n_rows=2)) == list(axes)


@pytest.mark.parametrize("n_panels", [1, 3])
def test_wrong_number_of_axes(n_panels):
    axes = new_figure(6, 4).subplots(1, 2)
    with pytest.raises(ValueError, match=f"ax holds 2 axes, but the figure has {n_panels} panels"):
        several_axes(axes, (1, 1), n_rows=n_panels)


def test_axes_outside_a_grid_cannot_be_divided():
    with pytest.raises(ValueError, match="ax is in no grid of subplots, so that it cannot be divided into 2 panels"):
        several_axes(new_figure(6, 4).add_axes((0, 0, 1, 1)), (1, 1), n_rows=2)


def test_axes_in_a_subfigure():
    part = new_figure(6, 4).subfigures(1, 2)[1]
    assert several_axes(part.add_subplot(), (1, 1), n_rows=2)[0].figure is part


def test_new_figure_has_the_requested_size(check_pyplot_figure):
    axes = several_axes(None, (7, 3), n_columns=2)
    assert check_pyplot_figure(axes[0].figure) == (7, 3)


def test_axes_of_the_user_get_the_style():
    (ax,) = several_axes(new_figure(3, 3).add_subplot(), (1, 1))
    ax.set_xlabel("x")
    ax.figure.canvas.draw()
    assert ax.xaxis.label.get_fontsize() == LABEL_SIZE
    assert {tick.get_fontsize() for tick in (*ax.get_xticklabels(), *ax.get_yticklabels())} == {TICK_SIZE}


def test_colour_bar():
    ax = new_figure(3, 3).add_subplot()
    bar = add_colour_bar(ax.scatter([0, 1], [0, 1], c=[0, 1]), ax, "S/N")
    assert bar.ax.get_ylabel() == "S/N"
    assert len(ax.figure.axes) == 2
