"""The picture of derivatives: lines, windows, shares, and which labels may share an axis."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from skbcnn import inspection
from skbcnn.plotting import JacobianDisplay, new_figure
from skbcnn.plotting.figures import CYCLE
from skbcnn.survey import apogee_windows, wavelength

D = "\N{PARTIAL DIFFERENTIAL}"


def draw(jacobian, **options):
    return JacobianDisplay.from_jacobian(jacobian, ax=new_figure(7, 4.8).add_subplot(), **options)


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


class TestLines:
    def test_three_chips(self):
        jacobian = np.random.default_rng(0).normal(size=7514)
        display = draw(jacobian, label_names="teff")
        drawn = [line.get_data() for ax in display.axes_ for line in lines(ax).values()]
        assert_allclose(np.concatenate([places for places, _ in drawn]), wavelength())
        assert_allclose(np.concatenate([values for _, values in drawn]), jacobian)
        assert len({ax.get_ylim() for ax in display.axes_}) == 1
        low, high = display.ax_.get_ylim()
        assert low < jacobian.min() < jacobian.max() < high

    def test_other_spectra_in_one_panel(self):
        display = draw([1.0, -2.0, 0.5], label_names="Mg")
        assert_allclose(lines(display.ax_)["[Mg/H]"].get_data(), [[0, 1, 2], [1, -2, 0.5]])
        assert display.ax_.get_xlabel() == "Pixel"

    def test_zero_is_seen(self):
        low, high = draw([1.0, 2.0, 3.0], label_names="Mg").ax_.get_ylim()
        assert low < 0
        assert high > 3
        assert draw(np.zeros(5), label_names="Mg").ax_.get_ylim() == (-1, 1)

    @pytest.mark.parametrize(
        ("names", "text"),
        [
            (["Al"], f"{D}[Al/H] / {D}flux (dex)"),
            (["teff"], rf"{D}$T_\mathrm{{eff}}$ / {D}flux (K)"),
            (["Al", "Mg"], f"{D}label / {D}flux (dex)"),
            (["age"], f"{D}age / {D}flux"),
        ],
    )
    def test_axis(self, names, text):
        assert draw(np.ones((len(names), 4)), label_names=names).ax_.get_ylabel() == text

    def test_labels_are_chosen_by_name(self):
        jacobian = np.arange(8.0).reshape(2, 4)
        display = draw(jacobian, label_names=["teff", "Mg"], label_name="[Mg/H]")
        assert display.label_names == ("Mg",)
        assert_allclose(display.jacobian, jacobian[1:])
        of_apogee = np.arange(22)[:, None] * np.ones(4)
        display = draw(of_apogee, label_name=["Al", "logg"])
        assert_allclose(display.jacobian[:, 0], [8, 1])
        assert [line.get_color() for line in lines(display.ax_).values()] == list(CYCLE[:2])


class TestWindows:
    def test_share_by_hand(self):
        jacobian = [[1.0, -3.0, 0.0, 4.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
        windows = {"Mg": [1, 2], "Si": [0, 1]}
        display = draw(jacobian, label_names=["Mg", "Al", "Si"], windows=windows)
        assert_allclose(display.shares_within(), [3 / 8, np.nan, np.nan])
        legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert legend == ["[Mg/H], 38% within its window", "[Al/H]", "[Si/H]"]

    def test_of_apogee(self):
        jacobian = np.zeros(7514)
        jacobian[apogee_windows()["Al"]] = -2
        display = draw(jacobian, label_names="Al")
        assert_allclose(display.shares_within(), [1])
        shaded = [part for ax in display.axes_ for part in ax.collections if part.get_label() == "window"]
        runs = 1 + (np.diff(apogee_windows()["Al"]) > 1).sum()
        assert sum(len(part.get_paths()) for part in shaded) == runs

    def test_each_in_the_colour_of_its_line(self):
        ax = draw(np.ones((2, 6)), label_names=["Mg", "Al"], windows={"Mg": [0, 1], "Al": [4]}).ax_
        colours = [part.get_facecolor()[0, :3] for part in ax.collections]
        assert_allclose(colours, [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in CYCLE[:2]])


class TestFromEstimator:
    @pytest.fixture
    def asked(self, monkeypatch, tiny_model):
        """What `skbcnn.inspection.jacobian` was asked; it answers for each label and pixel with their numbers."""
        asked = []

        def jacobian(model, X, *, path, mean_output, n_draws):
            asked.append((model, path, mean_output, n_draws))
            return np.arange(4)[:, None] + np.arange(40) / 100

        monkeypatch.setitem(sys.modules, "skbcnn.inspection", SimpleNamespace(jacobian=jacobian))
        return asked

    def test_is_from_jacobian(self, asked, tiny_model, tiny_data, new_axes):
        display = JacobianDisplay.from_estimator(
            tiny_model, tiny_data.X, label_name="[Al/H]", path="stopped", n_draws=7, ax=new_axes()
        )
        assert asked == [(tiny_model, "stopped", True, 7)]
        assert display.label_names == ("Al",)
        assert_allclose(display.jacobian, [2 + np.arange(40) / 100])
        (shade,) = [part for part in display.ax_.collections if part.get_label() == "window"]
        ends = shade.get_paths()[0].get_extents()
        assert_allclose([ends.x0, ends.x1], [5.5, 7.5])  # the window of the model: pixels 6 and 7

    def test_of_a_network(self, tiny_model, tiny_data, new_axes):
        """Nothing outside the window, if the context is held fixed; something, in general."""
        pipeline = make_pipeline("passthrough", tiny_model)
        held = JacobianDisplay.from_estimator(pipeline, tiny_data.X, label_name="C", path="window", ax=new_axes())
        expected = inspection.jacobian(tiny_model, tiny_data.X, path="window", n_draws=20).mean(axis=0)[3]
        assert_allclose(held.jacobian, [expected], rtol=1e-4, atol=1e-7)
        assert_allclose(held.shares_within(), [1])
        whole = JacobianDisplay.from_estimator(tiny_model, tiny_data.X, label_name="C", ax=new_axes())
        assert 0 < whole.shares_within()[0] < 1

    @pytest.mark.usefixtures("asked")
    def test_label_without_a_window(self, tiny_model, tiny_data, new_axes):
        display = JacobianDisplay.from_estimator(tiny_model, tiny_data.X, label_name="teff", ax=new_axes())
        assert np.isnan(display.shares_within()).all()
        assert not display.ax_.collections

    def test_label_that_is_not_there(self, asked, tiny_model, tiny_data):
        with pytest.raises(ValueError, match="label_name='V', expected one of the labels of the estimator: teff, Mg"):
            JacobianDisplay.from_estimator(tiny_model, tiny_data.X, label_name="V")
        assert asked == []  # before anything is computed


class TestWhereItDraws:
    @pytest.mark.usefixtures("pyplot_untouched")
    def test_in_one_axes_or_three(self):
        axes = new_figure(7, 5).subplots(3, 1)
        display = JacobianDisplay.from_jacobian(np.ones(7514), label_names="Al", ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], axes[0].figure)

    def test_in_a_figure_of_its_own(self, own_figure):
        assert own_figure(JacobianDisplay.from_jacobian(np.ones(40), label_names="Al")) == pytest.approx((7, 2))

    @pytest.mark.parametrize("names", [["teff"], ["Al", "Mg", "Ti2"]])
    def test_legible(self, names, check_legible):
        jacobian = np.random.default_rng(0).normal(size=(len(names), 7514))
        check_legible(draw(jacobian, label_names=names).figure_)


@pytest.mark.parametrize(
    ("jacobian", "options", "sentence"),
    [
        (np.ones((2, 3, 4)), {}, r"jacobian has shape \(2, 3, 4\), expected \(n_labels, n_pixels\) or \(n_pixels,\)"),
        (np.ones((2, 4)), {"label_names": ["Mg"]}, "jacobian has 2 columns and 1 names"),
        (np.ones((2, 4)), {"label_names": ["teff", "Mg"]}, "labels of 2 units are to be drawn"),
        (np.ones((22, 4)), {}, "22 labels are to be drawn, expected at most 6"),
        (
            np.ones(4),
            {"label_names": "Mg", "label_name": "Al"},
            "label_name='Al', expected one of the labels of the jac",
        ),
        ([1.0, np.nan], {"label_names": "Mg"}, "jacobian is not finite in 1 places"),
        (np.ones(4), {"label_names": "Mg", "windows": {"Mg": [4]}}, "The window of Mg reaches pixels 4 to 4"),
    ],
)
def test_refuses(jacobian, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(jacobian, **options)
