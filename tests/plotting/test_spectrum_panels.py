"""Panels along the spectrum, and the windows of labels in them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.plotting._spectrum_panels import Panel, shade_window, spectrum_axes, spectrum_panels, window_mask
from skbcnn.survey import ElementWindows, apogee_windows, chips, wavelength


def rectangles(shading):
    """Return the left and the right edge of each rectangle."""
    boxes = [path.get_extents() for path in shading.get_paths()]
    return np.array([(box.x0, box.x1) for box in boxes])


class TestPanels:
    def test_one_for_each_chip(self):
        panels, text = spectrum_panels(7514)
        assert text == "Vacuum wavelength (Å)"
        assert [len(panel.positions) for panel in panels] == [chip.n_pixels for chip in chips()]
        assert_allclose(np.concatenate([panel.positions for panel in panels]), wavelength())

    @pytest.mark.parametrize("n_pixels", [1, 40, 8575])
    def test_one_for_other_spectra(self, n_pixels):
        (panel,), text = spectrum_panels(n_pixels)
        assert text == "Pixel"
        assert_array_equal(panel.positions, np.arange(n_pixels))
        assert_allclose(panel.edges, np.arange(n_pixels + 1) - 0.5)

    def test_axes(self, new_axes):
        axes = spectrum_axes(new_axes(), 7514)
        assert [ax.get_xlabel() for ax in axes] == ["", "", "Vacuum wavelength (Å)"]
        assert [ax.texts[0].get_text() for ax in axes] == ["blue", "green", "red"]
        for ax, panel in zip(axes, spectrum_panels(7514)[0], strict=True):
            assert ax.get_xlim()[0] < panel.positions[0] < panel.positions[-1] < ax.get_xlim()[1]

    def test_sizes_of_new_figures(self, check_pyplot_figure):
        for n_pixels, height in ((7514, 4.8), (40, 2.0)):
            figure = spectrum_axes(None, n_pixels)[0].figure
            assert check_pyplot_figure(figure) == pytest.approx((7, height))


class TestWindows:
    def test_windows_of_apogee(self):
        assert_array_equal(np.flatnonzero(window_mask("[Al/H]", None, 7514)), apogee_windows()["Al"])

    def test_no_window(self):
        assert window_mask("teff", None, 7514) is None
        assert window_mask("Al", None, 40) is None
        assert window_mask(None, None, 7514) is None

    @pytest.mark.parametrize("windows", [{"Mg": [3, 4]}, ElementWindows({"Mg": [3, 4]}, 40)])
    def test_windows_of_the_user(self, windows):
        assert_array_equal(np.flatnonzero(window_mask("Mg", windows, 40)), [3, 4])

    def test_window_outside_the_spectrum(self):
        with pytest.raises(ValueError, match="The window of Mg has pixels 3 to 40, but the spectrum has 40"):
            window_mask("Mg", {"Mg": [3, 40]}, 40)

    def test_runs_of_pixels_are_shaded(self, new_axes):
        mask = np.isin(np.arange(10), [0, 1, 4, 8, 9])
        shading = shade_window(new_axes(), spectrum_panels(10)[0][0], mask)
        assert_allclose(rectangles(shading), [(-0.5, 1.5), (3.5, 4.5), (7.5, 9.5)])

    def test_pixels_of_other_panels_are_not_shaded(self, new_axes):
        panel = Panel("green", slice(4, 8), np.array([10.0, 20.0, 30.0, 40.0]))
        mask = np.isin(np.arange(10), [3, 4, 6, 9])
        assert_allclose(rectangles(shade_window(new_axes(), panel, mask)), [(5, 15), (25, 35)])
        assert len(rectangles(shade_window(new_axes(), panel, np.zeros(10, bool)))) == 0
