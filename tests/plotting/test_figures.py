"""Figures and the axes in them."""

import numpy as np
import pytest

from skbcnn.plotting import new_figure
from skbcnn.plotting.figures import CYCLE, LABEL_SIZE, TICK_SIZE, colour_bar, drawing, one_axes, several_axes


class TestSeveralAxes:
    def test_one_gives_its_place(self):
        figure = new_figure(6, 4)
        left, right = figure.subplots(1, 2)
        panels = several_axes(right, (1, 1), n_rows=3)
        figure.canvas.draw()
        assert len(panels) == 3
        assert not right.axison
        assert left.axison
        for panel in panels:
            assert panel.get_position().x0 > 0.5
        heights = [panel.get_position().y0 for panel in panels]
        assert heights == sorted(heights, reverse=True)

    def test_ratios(self):
        panels = several_axes(new_figure(6, 4).add_subplot(), (1, 1), n_rows=2, height_ratios=(3, 1))
        panels[0].figure.canvas.draw()
        high, low = (panel.get_position().height for panel in panels)
        assert high == pytest.approx(3 * low, rel=0.1)

    def test_one_for_each_panel(self):
        given = new_figure(6, 4).subplots(1, 2)
        assert list(several_axes(given, (1, 1), n_columns=2)) == list(given)
        assert list(several_axes(list(given), (1, 1), n_rows=2)) == list(given)

    def test_other_numbers_are_refused(self):
        given = new_figure(6, 4).subplots(1, 2)
        with pytest.raises(ValueError, match="ax holds 2 axes, but the picture has 3 panels"):
            several_axes(given, (1, 1), n_rows=3)
        with pytest.raises(ValueError, match="ax holds 2 axes, but the picture has 1 panels"):
            one_axes(given, (1, 1))

    def test_axes_without_a_place(self):
        with pytest.raises(ValueError, match="ax has no place in a grid, which 2 panels could share"):
            several_axes(new_figure(6, 4).add_axes((0, 0, 1, 1)), (1, 1), n_rows=2)

    def test_in_a_subfigure(self):
        part = new_figure(6, 4).subfigures(1, 2)[1]
        panels = several_axes(part.add_subplot(), (1, 1), n_rows=2)
        assert panels[0].figure is part

    def test_new_figure_of_the_size_asked_for(self, own_figure):
        class Display:
            figure_ = several_axes(None, (7, 3), n_columns=2)[0].figure

        assert own_figure(Display) == (7, 3)


def test_given_axes_get_the_look():
    ax = one_axes(new_figure(3, 3).add_subplot(), (1, 1))
    ax.set_xlabel("x")
    ax.figure.canvas.draw()
    assert ax.xaxis.label.get_fontsize() == LABEL_SIZE
    assert {tick.get_fontsize() for tick in (*ax.get_xticklabels(), *ax.get_yticklabels())} == {TICK_SIZE}


def test_colour_bar():
    ax = new_figure(3, 3).add_subplot()
    bar = colour_bar(ax.scatter([0, 1], [0, 1], c=[0, 1]), ax, "S/N")
    assert bar.ax.get_ylabel() == "S/N"
    assert len(ax.figure.axes) == 2


def test_style_holds_while_something_is_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    with drawing("A picture"):
        assert matplotlib.rcParams["axes.labelsize"] == LABEL_SIZE
    assert dict(matplotlib.rcParams) == before


def test_colours_differ_without_red_and_green():
    """As luminance alone and as the long-wave blind see them (blue, and the mean of red and green)."""
    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in CYCLE])
    seen = np.column_stack([colours[:, :2].mean(axis=1), colours[:, 2]])
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1)
    assert distance[np.triu_indices(len(CYCLE), 1)].min() > 25
