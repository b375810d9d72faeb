"""One spectrum: the line, the band of errors, bad pixels and the window of a label."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import make_apogee_spectra
from skbcnn.plotting import SpectrumDisplay, new_figure
from skbcnn.survey import apogee_windows, wavelength
from tests.plotting.artists import artists


@pytest.fixture(scope="module")
def star():
    return make_apogee_spectra(1, continuum="true", random_state=3)


def draw(flux, flux_err=None, **options):
    return SpectrumDisplay.from_spectrum(flux, flux_err, ax=new_figure(7, 4.8).add_subplot(), **options)


class TestLine:
    def test_three_chips(self, star):
        display = draw(star.X[0])
        lines = [artists(ax)["flux"].get_data() for ax in display.axes_]
        assert [len(wavelengths) for wavelengths, _ in lines] == [3028, 2495, 1991]
        assert_allclose(np.concatenate(lines, axis=1), [wavelength(), star.X[0]])
        assert len({ax.get_ylim() for ax in display.axes_}) == 1

    def test_other_spectra_have_one_panel(self):
        display = draw(np.linspace(0.5, 1, 40))
        (ax,) = display.axes_
        assert_allclose(artists(ax)["flux"].get_data(), [np.arange(40), np.linspace(0.5, 1, 40)])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("Pixel", "Flux / continuum")

    def test_outliers_do_not_widen_the_limits(self):
        flux = np.ones(2000)
        flux[::7] = 0.6
        flux[3] = 900
        low, high = draw(flux).ax_.get_ylim()
        assert low < 0.6
        assert 1 < high < 1.5


class TestBand:
    def test_is_one_standard_deviation(self):
        ax = draw([1.0, 0.8], [0.1, 0.2]).ax_
        vertices = artists(ax)[r"flux $\pm$ 1$\sigma$ (median 0.15)"].get_paths()[0].vertices
        for pixel, limits in ((0, (0.9, 1.1)), (1, (0.6, 1.0))):
            flux = vertices[vertices[:, 0] == pixel, 1]
            assert_allclose([flux.min(), flux.max()], limits)

    def test_is_absent_without_errors(self):
        assert list(artists(draw([1.0, 0.8]).ax_)) == ["flux"]


class TestBadPixels:
    def test_are_marked_and_missing_from_the_line(self):
        ax = draw([1.0, 0.9, 0.8, 0.7], [0.1, 0.0, 0.1, 0.1], good=[True, True, True, False]).ax_
        drawn = artists(ax)
        assert_array_equal(drawn["bad pixels"].get_xdata(), [3])
        assert_array_equal(np.isnan(drawn["flux"].get_ydata()), [False, False, False, True])

    def test_pixels_with_zero_error_are_bad(self, star):
        display = draw(star.X[0], star.X_err[0])
        marked = np.concatenate([artists(ax)["bad pixels"].get_xdata() for ax in display.axes_])
        assert 0 < len(marked) < 500
        assert_allclose(marked, wavelength()[star.X_err[0] == 0])

    def test_flux_that_is_not_finite_is_bad(self):
        display = draw([1.0, np.nan, np.inf, 0.9])
        assert_array_equal(artists(display.ax_)["bad pixels"].get_xdata(), [1, 2])
        assert_array_equal(display.good, [True, False, False, True])

    def test_masked_pixels_and_infinite_errors_are_bad(self):
        display = draw(np.ma.array([1.0, 5.0, 0.9], mask=[0, 1, 0]), [0.1, 0.1, np.inf])
        assert_array_equal(display.good, [True, False, False])

    def test_no_marks_without_bad_pixels(self):
        assert "bad pixels" not in artists(draw([1.0, 0.9], [0.1, 0.1]).ax_)

    def test_marks_are_inside_the_axes(self):
        (mark,) = draw([1.0, 0.9, 0.2], good=[True, True, False]).ax_.lines[1:]
        assert_array_equal(mark.get_ydata(), [0.05])
        assert mark.get_transform() == mark.axes.get_xaxis_transform()


class TestWindow:
    def test_is_shaded(self, star):
        n_pixels = 0
        for ax in draw(star.X[0], label_name="[Al/H]").axes_:
            for path in artists(ax)["window of [Al/H]"].get_paths():
                edges = path.get_extents()
                inside = (wavelength() > edges.x0) & (wavelength() < edges.x1)
                assert set(np.flatnonzero(inside)) <= set(apogee_windows()["Al"])
                n_pixels += inside.sum()
        assert n_pixels == len(apogee_windows()["Al"])

    def test_windows_of_the_user(self):
        ax = draw(np.ones(10), label_name="Zr", windows={"Zr": [2, 3]}).ax_
        (path,) = artists(ax)["window of Zr"].get_paths()
        assert_allclose([path.get_extents().x0, path.get_extents().x1], [1.5, 3.5])

    @pytest.mark.parametrize(("name", "n_pixels"), [("teff", 7514), ("nonsense", 7514), ("Al", 40)])
    def test_label_without_a_window(self, name, n_pixels):
        with pytest.raises(ValueError, match=f"label_name={name!r} has no window on {n_pixels} pixels"):
            draw(np.ones(n_pixels), label_name=name)


class TestZoom:
    def test_shows_the_parts_of_the_window(self, star):
        display = draw(star.X[0], star.X_err[0], label_name="Na", zoom=True)
        window = wavelength()[list(apogee_windows()["Na"])]
        limits = [ax.get_xlim() for ax in display.axes_]
        assert 1 < len(limits) <= 6
        assert all(any(low < one < high for low, high in limits) for one in window)
        assert max(high - low for low, high in limits) < 40
        assert display.axes_[0].get_ylim() == display.axes_[1].get_ylim()

    def test_comparison(self):
        flux, other = np.linspace(0.5, 1, 60), np.linspace(0.6, 1, 60)
        display = draw(flux, label_name="Zr", windows={"Zr": [30, 31]}, comparison=other, zoom=True)
        assert_allclose(artists(display.ax_)["comparison"].get_data(), [np.arange(15, 47), other[15:47]])

    def test_limits_include_the_comparison(self):
        flux, other = np.full(60, 0.9), np.full(60, 0.9)
        other[30], other[31] = 0.2, np.nan
        display = draw(flux, label_name="Zr", windows={"Zr": [30, 31]}, comparison=other, zoom=True)
        assert display.ax_.get_ylim()[0] < 0.2

    def test_needs_a_label(self):
        with pytest.raises(ValueError, match=r"zoom=True, but label_name is None\. Name the label"):
            draw(np.ones(10), zoom=True)

    @pytest.mark.parametrize("name", ["Na", "Al", "C"])
    def test_text_is_legible(self, star, name, check_legible):
        check_legible(draw(star.X[0], star.X_err[0], label_name=name, comparison=star.X[0], zoom=True).figure_)


class TestRawPixels:
    def test_are_drawn_with_a_warning(self):
        with pytest.warns(
            UserWarning, match="8575 pixels .* Remove the gaps .* with ChipGapRemover or prepare_spectra"
        ):
            assert draw(np.ones(8575)).ax_.get_xlabel() == "Pixel"

    def test_have_no_windows(self):
        with pytest.raises(
            ValueError, match=r"no window on 8575 pixels\. Remove the gaps .* or prepare_spectra, or pass"
        ):
            draw(np.ones(8575), label_name="Al")


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self, star):
        axes = new_figure(7, 5).subplots(3, 1)
        display = SpectrumDisplay.from_spectrum(star.X[0], ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], axes[0].figure)

    def test_in_a_new_figure(self, star, check_pyplot_figure):
        assert check_pyplot_figure(SpectrumDisplay.from_spectrum(star.X[0]).figure_) == pytest.approx((7, 4.8))

    def test_text_is_legible(self, star, check_legible):
        check_legible(draw(star.X[0], star.X_err[0], label_name="C").figure_)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[1.0, 1.0]],), {}, r"flux has shape \(1, 2\), expected \(n_pixels,\): one spectrum"),
        (([1.0, 1.0], [0.1]), {}, r"flux_err has shape \(1,\), expected \(2,\) as flux has"),
        (([1.0, 1.0],), {"good": [True]}, r"good has shape \(1,\), expected \(2,\)"),
        (([1.0, 1.0], [0.0, 0.0]), {}, "None of the 2 pixels is good"),
        (([np.nan, np.nan],), {}, "None of the 2 pixels is good"),
    ],
)
def test_invalid_input(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        draw(*arguments, **options)


def test_bitmask_is_no_mask_of_good_pixels():
    with pytest.raises(TypeError, match=r"good has type int64, expected bool.* pass ~skbcnn.survey.bad_pixels"):
        draw([1.0, 1.0], good=np.array([0, 1], dtype="int64"))
