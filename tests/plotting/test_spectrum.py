"""The picture of one spectrum: line, band, bad pixels, windows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn import make_apogee_spectra
from skbcnn.plotting import SpectrumDisplay, new_figure
from skbcnn.survey import apogee_windows, wavelength


@pytest.fixture(scope="module")
def star():
    return make_apogee_spectra(1, random_state=3)


def draw(flux, flux_err=None, **options):
    return SpectrumDisplay.from_spectrum(flux, flux_err, ax=new_figure(7, 4.8).add_subplot(), **options)


def parts(ax):
    """What is drawn, by its name in the legend."""
    return {part.get_label(): part for part in (*ax.lines, *ax.collections) if not part.get_label().startswith("_")}


class TestLine:
    def test_three_chips(self, star):
        display = draw(star.X[0])
        drawn = [parts(ax)["flux"].get_data() for ax in display.axes_]
        assert [len(places) for places, _ in drawn] == [3028, 2495, 1991]
        assert_allclose(np.concatenate([places for places, _ in drawn]), wavelength())
        assert_allclose(np.concatenate([flux for _, flux in drawn]), star.X[0])

    def test_other_spectra_in_one_panel(self):
        display = draw(np.linspace(0.5, 1, 40))
        (ax,) = display.axes_
        assert_allclose(parts(ax)["flux"].get_data(), [np.arange(40), np.linspace(0.5, 1, 40)])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("Pixel", "Flux / continuum")

    def test_the_same_scale_in_all_panels(self, star):
        assert len({ax.get_ylim() for ax in draw(star.X[0]).axes_}) == 1

    def test_a_spike_does_not_decide_the_scale(self):
        flux = np.ones(2000)
        flux[::7] = 0.6
        flux[3] = 900
        low, high = draw(flux).ax_.get_ylim()
        assert low < 0.6
        assert 1 < high < 1.5


class TestBand:
    def test_is_one_sigma(self):
        (ax,) = draw([1.0, 0.8], [0.1, 0.2]).axes_
        vertices = parts(ax)[r"flux $\pm$ 1$\sigma$"].get_paths()[0].vertices
        for place, ends in ((0, (0.9, 1.1)), (1, (0.6, 1.0))):
            at = vertices[vertices[:, 0] == place, 1]
            assert_allclose([at.min(), at.max()], ends)

    def test_there_is_none(self):
        assert list(parts(draw([1.0, 0.8]).ax_)) == ["flux"]


class TestBadPixels:
    def test_are_marked_and_not_drawn(self):
        (ax,) = draw([1.0, 0.9, 0.8, 0.7], [0.1, 0.0, 0.1, 0.1], good=[True, True, True, False]).axes_
        drawn = parts(ax)
        assert_array_equal(drawn["bad pixels"].get_xdata(), [3])
        assert_array_equal(np.isnan(drawn["flux"].get_ydata()), [False, False, False, True])

    def test_are_told_by_errors_of_zero(self, star):
        display = draw(star.X[0], star.X_err[0])
        marked = np.concatenate([parts(ax)["bad pixels"].get_xdata() for ax in display.axes_])
        assert 0 < len(marked) < 500
        assert_allclose(marked, wavelength()[star.X_err[0] == 0])

    def test_flux_that_is_no_number(self):
        display = draw([1.0, np.nan, np.inf, 0.9])
        assert_array_equal(parts(display.ax_)["bad pixels"].get_xdata(), [1, 2])
        assert_array_equal(display.good, [True, False, False, True])

    def test_none(self):
        assert "bad pixels" not in parts(draw([1.0, 0.9], [0.1, 0.1]).ax_)

    def test_marks_are_within_the_axes(self):
        (mark,) = draw([1.0, 0.9, 0.2], good=[True, True, False]).ax_.lines[1:]
        assert_array_equal(mark.get_ydata(), [0.05])
        assert mark.get_transform() == mark.axes.get_xaxis_transform()


class TestWindow:
    def test_is_shaded(self, star):
        display = draw(star.X[0], label_name="[Al/H]")
        pixels = 0
        for ax in display.axes_:
            shade = parts(ax)["window of [Al/H]"]
            for path in shade.get_paths():
                ends = path.get_extents()
                within = (wavelength() > ends.x0) & (wavelength() < ends.x1)
                assert set(np.flatnonzero(within)) <= set(apogee_windows()["Al"])
                pixels += within.sum()
        assert pixels == len(apogee_windows()["Al"])

    def test_of_ones_own(self):
        ax = draw(np.ones(10), label_name="Zr", windows={"Zr": [2, 3]}).ax_
        (path,) = parts(ax)["window of Zr"].get_paths()
        assert_allclose([path.get_extents().x0, path.get_extents().x1], [1.5, 3.5])

    @pytest.mark.parametrize(("name", "n_pixels"), [("teff", 7514), ("nonsense", 7514), ("Al", 40)])
    def test_label_without_one(self, name, n_pixels):
        with pytest.raises(ValueError, match=f"label_name={name!r} has no window on {n_pixels} pixels"):
            draw(np.ones(n_pixels), label_name=name)


class TestWhereItDraws:
    @pytest.mark.usefixtures("pyplot_untouched")
    def test_in_one_axes_or_three(self, star):
        axes = new_figure(7, 5).subplots(3, 1)
        display = SpectrumDisplay.from_spectrum(star.X[0], ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], axes[0].figure)
        with pytest.raises(ValueError, match="ax holds 2 axes, but the picture has 3 panels"):
            SpectrumDisplay.from_spectrum(star.X[0], ax=axes[:2])

    def test_in_a_figure_of_its_own(self, star, own_figure):
        assert own_figure(SpectrumDisplay.from_spectrum(star.X[0])) == pytest.approx((7, 4.8))

    def test_legible(self, star, check_legible):
        check_legible(draw(star.X[0], star.X_err[0], label_name="C").figure_)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (([[1.0, 1.0]],), {}, r"flux has shape \(1, 2\), expected \(n_pixels,\): one spectrum"),
        (([1.0, 1.0], [0.1]), {}, r"flux_err has shape \(1,\), expected \(2,\) as flux has"),
        (([1.0, 1.0],), {"good": [True]}, r"good has shape \(1,\), expected \(2,\)"),
        (([1.0, 1.0], [0.0, 0.0]), {}, "No pixel of all 2 is good"),
        (([np.nan, np.nan],), {}, "No pixel of all 2 is good"),
    ],
)
def test_refuses(arguments, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(*arguments, **options)


def test_flags_are_not_good():
    with pytest.raises(TypeError, match="good has type int64, expected bool"):
        draw([1.0, 1.0], good=np.array([0, 1]))
