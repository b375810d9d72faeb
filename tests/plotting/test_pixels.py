"""Panels along the spectrum, and the windows in them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.plotting.pixels import Panel, panels_of, shade_window, spectrum_axes, window_of
from skbcnn.survey import ElementWindows, apogee_windows, chips, wavelength


def spans(shade):
    """Left and right of each rectangle."""
    boxes = [path.get_extents() for path in shade.get_paths()]
    return np.array([(box.x0, box.x1) for box in boxes])


class TestPanels:
    def test_a_panel_a_chip(self):
        panels, text = panels_of(7514)
        assert text == "Vacuum wavelength (Å)"
        assert [len(panel.places) for panel in panels] == [chip.n_pixels for chip in chips()]
        assert_allclose(np.concatenate([panel.places for panel in panels]), wavelength())

    @pytest.mark.parametrize("n_pixels", [1, 40, 7214, 8575])
    def test_others_by_pixel_number(self, n_pixels):
        (panel,), text = panels_of(n_pixels)
        assert text == "Pixel"
        assert_array_equal(panel.places, np.arange(n_pixels))
        assert_allclose(panel.edges, np.arange(n_pixels + 1) - 0.5)

    def test_axes(self, new_axes):
        drawn = spectrum_axes(new_axes(), 7514)
        assert [ax.get_xlabel() for ax, _ in drawn] == ["", "", "Vacuum wavelength (Å)"]
        assert [ax.texts[0].get_text() for ax, _ in drawn] == ["blue", "green", "red"]
        for ax, panel in drawn:
            assert ax.get_xlim()[0] < panel.places[0] < panel.places[-1] < ax.get_xlim()[1]

    def test_sizes_of_new_figures(self, own_figure):
        for n_pixels, height in ((7514, 4.8), (40, 2.0)):

            class Display:
                figure_ = spectrum_axes(None, n_pixels)[0][0].figure

            assert own_figure(Display) == pytest.approx((7, height))


class TestWindows:
    def test_of_apogee(self):
        assert_array_equal(np.flatnonzero(window_of("[Al/H]", None, 7514)), apogee_windows()["Al"])

    def test_none(self):
        assert window_of("teff", None, 7514) is None
        assert window_of("Al", None, 40) is None
        assert window_of(None, None, 7514) is None

    @pytest.mark.parametrize("windows", [{"Mg": [3, 4]}, ElementWindows({"Mg": [3, 4]}, 40)])
    def test_of_ones_own(self, windows):
        assert_array_equal(np.flatnonzero(window_of("Mg", windows, 40)), [3, 4])

    def test_beyond_the_spectrum(self):
        with pytest.raises(ValueError, match="The window of Mg reaches pixels 3 to 40, but the spectrum has 40"):
            window_of("Mg", {"Mg": [3, 40]}, 40)

    def test_each_run_is_shaded(self, new_axes):
        mask = np.isin(np.arange(10), [0, 1, 4, 8, 9])
        shade = shade_window(new_axes(), panels_of(10)[0][0], mask)
        assert_allclose(spans(shade), [(-0.5, 1.5), (3.5, 4.5), (7.5, 9.5)])

    def test_only_that_of_the_panel(self, new_axes):
        panel = Panel("green", slice(4, 8), np.array([10.0, 20.0, 30.0, 40.0]))
        mask = np.isin(np.arange(10), [3, 4, 6, 9])
        shade = shade_window(new_axes(), panel, mask)
        assert_allclose(spans(shade), [(5, 15), (25, 35)])

    def test_nothing_to_shade(self, new_axes):
        assert len(spans(shade_window(new_axes(), panels_of(10)[0][0], np.zeros(10, bool)))) == 0
