"""Derivatives along the spectrum: lines, windows and shares within the windows."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.plotting import JacobianDisplay, new_figure
from skbcnn.plotting._style import CYCLE
from skbcnn.survey import apogee_windows, wavelength
from tests.plotting.artists import artists, face_colour, legend_texts

PARTIAL = "\N{PARTIAL DIFFERENTIAL}"


def draw(jacobian, **options):
    return JacobianDisplay.from_jacobian(jacobian, ax=new_figure(7, 4.8).add_subplot(), **options)


class TestLines:
    def test_three_chips(self):
        jacobian = np.random.default_rng(0).normal(size=7514)
        display = draw(jacobian, label_names="teff")
        lines = [artists(ax)[r"$T_\mathrm{eff}$"].get_data() for ax in display.axes_]
        assert_allclose(np.concatenate(lines, axis=1), [wavelength(), jacobian])
        (limits,) = {ax.get_ylim() for ax in display.axes_}
        assert limits[0] < jacobian.min() < jacobian.max() < limits[1]

    def test_other_spectra_have_one_panel(self):
        display = draw([1.0, -2.0, 0.5], label_names="Mg")
        assert_allclose(artists(display.ax_)["[Mg/H]"].get_data(), [[0, 1, 2], [1, -2, 0.5]])
        assert display.ax_.get_xlabel() == "Pixel"

    def test_limits_include_zero(self):
        low, high = draw([1.0, 2.0, 3.0], label_names="Mg").ax_.get_ylim()
        assert low < 0
        assert high > 3
        assert draw(np.zeros(5), label_names="Mg").ax_.get_ylim() == (-1, 1)

    @pytest.mark.parametrize(
        ("names", "text"),
        [
            (["teff"], rf"{PARTIAL}$T_\mathrm{{eff}}$ / {PARTIAL}flux (K)"),
            (["Al", "Mg"], f"{PARTIAL}label / {PARTIAL}flux (dex)"),
            (["age"], f"{PARTIAL}age / {PARTIAL}flux"),
        ],
    )
    def test_axis_label(self, names, text):
        assert draw(np.ones((len(names), 4)), label_names=names).ax_.get_ylabel() == text

    def test_labels_are_chosen_by_name(self):
        jacobian = np.arange(8.0).reshape(2, 4)
        display = draw(jacobian, label_names=["teff", "Mg"], label_name="[Mg/H]")
        assert display.label_names == ("Mg",)
        assert_allclose(display.jacobian, jacobian[1:])
        display = draw(np.arange(22)[:, None] * np.ones(4), label_name=["Al", "logg"])  # the labels of APOGEE
        assert_allclose(display.jacobian[:, 0], [8, 1])
        assert [line.get_color() for line in artists(display.ax_).values()] == list(CYCLE[:2])


class TestWindows:
    def test_shares_by_hand(self):
        jacobian = [[1.0, -3.0, 0.0, 4.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
        display = draw(jacobian, label_names=["Mg", "Al", "Si"], windows={"Mg": [1, 2], "Si": [0, 1]})
        assert_allclose(display.shares_within(), [3 / 8, np.nan, np.nan])
        assert legend_texts(display.ax_) == ["[Mg/H], 38% within its window", "[Al/H]", "[Si/H]"]

    def test_windows_of_apogee(self):
        jacobian = np.zeros(7514)
        jacobian[apogee_windows()["Al"]] = -2
        display = draw(jacobian, label_names="Al")
        assert_allclose(display.shares_within(), [1])
        n_runs = 1 + (np.diff(apogee_windows()["Al"]) > 1).sum()
        assert sum(len(artists(ax)["window"].get_paths()) for ax in display.axes_) == n_runs

    def test_windows_have_the_colours_of_the_lines(self):
        ax = draw(np.ones((2, 6)), label_names=["Mg", "Al"], windows={"Mg": [0, 1], "Al": [4]}).ax_
        assert [face_colour(shading) for shading in ax.collections] == list(CYCLE[:2])


class TestFromEstimator:
    @pytest.fixture
    def regressor(self, oracle):
        oracle.target_names_ = ("teff", "Mg", "Al")
        oracle.spec_ = SimpleNamespace(windows=(None, (5, 6, 7), (6, 7)))
        return oracle

    @pytest.fixture
    def calls(self, monkeypatch):
        """Arguments of the calls of `skbcnn.inspection.jacobian`, which is replaced by known derivatives."""
        calls = []

        def jacobian(model, X, *, path, mean_output, n_draws):
            calls.append((model, path, mean_output, n_draws))
            return np.arange(3)[:, None] + np.arange(40) / 100

        monkeypatch.setitem(sys.modules, "skbcnn.inspection", SimpleNamespace(jacobian=jacobian))
        return calls

    def test_equals_from_jacobian(self, calls, regressor, new_axes):
        display = JacobianDisplay.from_estimator(
            regressor, [[0]], label_name="[Al/H]", path="stopped", n_draws=7, ax=new_axes()
        )
        assert calls == [(regressor, "stopped", True, 7)]
        assert display.label_names == ("Al",)
        assert_allclose(display.jacobian, [2 + np.arange(40) / 100])
        rectangle = artists(display.ax_)["window"].get_paths()[0].get_extents()
        assert_allclose([rectangle.x0, rectangle.x1], [5.5, 7.5])

    @pytest.mark.usefixtures("calls")
    def test_label_without_a_window(self, regressor, new_axes):
        display = JacobianDisplay.from_estimator(regressor, [[0]], label_name="teff", ax=new_axes())
        assert np.isnan(display.shares_within()).all()
        assert not display.ax_.collections

    def test_unknown_label_is_found_before_the_computation(self, calls, regressor):
        with pytest.raises(ValueError, match="label_name='V', expected one of the labels of the estimator: teff, Mg"):
            JacobianDisplay.from_estimator(regressor, [[0]], label_name="V")
        assert calls == []


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self):
        axes = new_figure(7, 5).subplots(3, 1)
        display = JacobianDisplay.from_jacobian(np.ones(7514), label_names="Al", ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], axes[0].figure)

    def test_in_a_new_figure(self, check_pyplot_figure):
        display = JacobianDisplay.from_jacobian(np.ones(40), label_names="Al")
        assert check_pyplot_figure(display.figure_) == pytest.approx((7, 2))

    def test_text_is_legible(self, check_legible):
        jacobian = np.random.default_rng(0).normal(size=(3, 7514))
        check_legible(draw(jacobian, label_names=["Al", "Mg", "Ti2"]).figure_)


@pytest.mark.parametrize(
    ("jacobian", "options", "message"),
    [
        (np.ones((2, 3, 4)), {}, r"jacobian has shape \(2, 3, 4\), expected \(n_labels, n_pixels\) or \(n_pixels,\)"),
        (np.ones((2, 4)), {"label_names": ["Mg"]}, "jacobian has 2 columns and 1 names"),
        (np.ones((2, 4)), {"label_names": ["teff", "Mg"]}, "jacobian has labels with 2 different units, expected"),
        (np.ones((22, 4)), {}, "jacobian has 22 labels, expected at most 6"),
        (
            np.ones(4),
            {"label_names": "Mg", "label_name": "Al"},
            "label_name='Al', expected one of the labels of the jac",
        ),
        ([1.0, np.nan], {"label_names": "Mg"}, "jacobian is not finite in 1 places"),
        (np.ones(4), {"label_names": "Mg", "windows": {"Mg": [4]}}, "The window of Mg has pixels 4 to 4"),
    ],
)
def test_invalid_input(jacobian, options, message):
    with pytest.raises(ValueError, match=message):
        draw(jacobian, **options)
