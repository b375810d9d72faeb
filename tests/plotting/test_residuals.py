"""Pictures of residuals: what is plotted, left out, printed and written."""

import errno
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.metrics import residual_table
from skbcnn.plotting import ResidualDisplay, ResidualOverviewDisplay, new_figure, overview_size, save_figure

MINUS = "\N{MINUS SIGN}"


def draw(y_true, y_pred, **options):
    return ResidualDisplay.from_predictions(y_true, y_pred, ax=new_figure(6, 4).add_subplot(), **options)


def draw_page(y_true, y_pred, names):
    figure = new_figure(*overview_size(len(names)))
    return ResidualOverviewDisplay.from_predictions(y_true, y_pred, label_names=names, figure=figure)


def points(ax):
    return ax.collections[-1].get_offsets().data


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(0)
    true = rng.normal(-0.1, 0.3, 400)
    return true, true + 0.02 + 0.05 * rng.normal(size=400)


class TestResidualDisplay:
    def test_points_are_predicted_minus_true(self):
        ax = draw([1.0, 2.0], [1.5, 1.0]).ax_
        assert_allclose(points(ax), [[1, 0.5], [2, -1]])

    @pytest.mark.parametrize("missing", [np.nan, -9999.0, -9999.99])
    def test_missing_labels_are_left_out_everywhere(self, missing):
        with_missing = draw([4500.0, missing, 4600.0], [4510.0, 4700.0, 4580.0], y_std=[1, 2, 3], snr=[50, 60, 90])
        without = draw([4500.0, 4600.0], [4510.0, 4580.0], y_std=[1, 3], snr=[50, 90])
        assert_allclose(points(with_missing.ax_), points(without.ax_))
        assert with_missing.ax_.get_title() == without.ax_.get_title()
        assert with_missing.ax_.get_xlim() == without.ax_.get_xlim()
        assert len(with_missing.ax_.collections[0].get_segments()) == 2
        assert_allclose(with_missing.ax_.collections[-1].get_array(), [50, 90])

    def test_units_and_symbols(self):
        ax = draw([4500.0], [4510.0], label_name="TEFF").ax_
        assert ax.get_xlabel() == r"True $T_\mathrm{eff}$ (K)"
        assert ax.get_ylabel() == rf"Predicted {MINUS} true $T_\mathrm{{eff}}$ (K)"
        assert draw([0.1], [0.2], label_name="Ti2").ax_.get_xlabel() == "True [Ti II/H] (dex)"
        assert draw([0.1], [0.2], label_name="age").ax_.get_xlabel() == "True age"

    def test_numbers(self):
        true = np.array([4000.0, 4100.0, 4200.0])
        # residuals 10, 30, -20: median 10, absolute deviations from it 0, 20, 30, so 20 * 1.4826
        title = draw(true, true + np.array([10, 30, -20]), label_name="teff").ax_.get_title()
        assert title.startswith("3 stars: median 10 K, mad_std 30 K")
        title = draw(true, true + np.array([-0.01, 0.04, -0.06]), label_name="Mg").ax_.get_title()
        assert f"median {MINUS}0.010 dex, mad_std 0.074 dex" in title

    def test_no_negative_zero(self):
        assert "median 0.000" in draw([0.0, 0.0, 0.0], [-1e-5, 0.03, -0.03], label_name="Mg").ax_.get_title()

    def test_numbers_are_those_of_the_table(self, stars):
        (row,) = residual_table(*stars, label_names=["Mg"])
        title = draw(*stars, label_name="Mg").ax_.get_title()
        assert f"mad_std {row['mad_std']:.3f} dex" in title
        assert f"median {row['median_residual']:.3f} dex" in title

    def test_far_points_do_not_decide_the_limits_but_are_told(self, stars):
        true, pred = stars[0].copy(), stars[1].copy()
        pred[0] += 100
        ax = draw(true, pred).ax_
        assert ax.get_ylim()[1] < 1
        inside = (np.abs(pred - true) <= ax.get_ylim()[1]) & (true >= ax.get_xlim()[0]) & (true <= ax.get_xlim()[1])
        assert 0 < (~inside).sum() < 10
        assert f"({(~inside).sum()} beyond the axes)" in ax.get_title()

    def test_zero_is_in_the_middle(self, stars):
        low, high = draw(*stars).ax_.get_ylim()
        assert low == -high

    def test_running_median(self, stars):
        line = next(line for line in draw(*stars).ax_.lines if line.get_label() == "running median")
        assert_allclose(line.get_ydata(), 0.02, atol=0.03)
        assert len(line.get_xdata()) == 12
        first = np.argsort(stars[0])[: -(-400 // 12)]
        assert line.get_ydata()[0] == pytest.approx(np.median((stars[1] - stars[0])[first]))

    def test_few_stars_have_no_running_median(self):
        assert draw(np.arange(20.0), np.arange(20.0)).ax_.get_legend() is None

    def test_perfect_predictions_and_one_value(self):
        display = draw([2.0, 2.0], [2.0, 2.0])
        assert display.ax_.get_ylim() == (-1, 1)
        assert display.ax_.get_xlim()[0] < 2 < display.ax_.get_xlim()[1]

    def test_colour_bar_only_where_snr_differs(self, stars):
        n_axes = [len(draw(*stars, snr=snr).figure_.axes) for snr in (None, np.full(400, 100.0), np.arange(400.0))]
        assert n_axes == [1, 1, 2]

    def test_keeps_what_it_drew(self, stars):
        ax = new_figure(6, 4).add_subplot()
        display = ResidualDisplay(y_true=stars[0], y_pred=stars[1], label_name="Mg")
        assert display.plot(ax) is display
        assert (display.ax_, display.figure_) == (ax, ax.figure)

    def test_makes_a_figure_of_its_own(self):
        pyplot = pytest.importorskip("matplotlib.pyplot")
        pyplot.switch_backend("agg")
        display = ResidualDisplay.from_predictions([1.0], [1.1])
        assert pyplot.fignum_exists(display.figure_.number)
        pyplot.close(display.figure_)

    def test_leaves_the_style_alone(self, stars):
        matplotlib = pytest.importorskip("matplotlib")
        before = dict(matplotlib.rcParams)
        draw(*stars)
        assert dict(matplotlib.rcParams) == before

    @pytest.mark.parametrize(
        ("y_true", "y_pred", "options", "sentence"),
        [
            ([[1.0]], [[1.0]], {}, r"y_true has shape \(1, 1\), expected \(n_samples,\)"),
            ([1.0, 2.0], [1.0], {}, r"y_pred has shape \(1,\), expected \(2,\)"),
            ([1.0], [1.0], {"y_std": [1, 2]}, r"y_std has shape \(2,\)"),
            ([1.0], [1.0], {"snr": [1, 2]}, r"snr has shape \(2,\)"),
            ([np.nan, -9999.0], [1.0, 1.0], {"label_name": "Mg"}, "No star has a true value of Mg: all 2 are missing"),
        ],
    )
    def test_refuses(self, y_true, y_pred, options, sentence):
        with pytest.raises(ValueError, match=sentence):
            draw(y_true, y_pred, **options)

    def test_missing_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ModuleNotFoundError, match=r"ResidualDisplay needs matplotlib: pip install"):
            ResidualDisplay.from_predictions([1.0], [1.0])


class TestFromEstimator:
    def test_picks_the_label(self, tiny_model, tiny_data):
        ax = new_figure(6, 4).add_subplot()
        display = ResidualDisplay.from_estimator(tiny_model, tiny_data.X, tiny_data.y, label_name="[Al/H]", ax=ax)
        mean, std = tiny_model.predict(tiny_data.X, return_std=True)
        assert display.label_name == "Al"
        assert_allclose(display.y_true, tiny_data.y[:, 2])
        assert_allclose(display.y_pred, mean[:, 2])
        assert_allclose(display.y_std, std[:, 2])

    def test_carries_flux_errors(self, tiny_model, tiny_data):
        draw_one = {"label_name": "Mg", "ax": new_figure(6, 4).add_subplot()}
        display = ResidualDisplay.from_estimator(
            tiny_model, tiny_data.X, tiny_data.y, x_err=tiny_data.X_err, snr=np.arange(30), **draw_one
        )
        assert_allclose(display.y_std, tiny_model.predict_std(tiny_data.X, x_err=tiny_data.X_err)[:, 1])
        assert_allclose(display.snr, np.arange(30))

    @pytest.mark.parametrize("name", [None, "V", "nonsense"])
    def test_label_that_is_not_there(self, tiny_model, tiny_data, name):
        with pytest.raises(ValueError, match="expected one of the labels of the estimator: teff, Mg, Al, C"):
            ResidualDisplay.from_estimator(tiny_model, tiny_data.X, tiny_data.y, label_name=name)

    def test_overview(self, tiny_model, tiny_data):
        page = ResidualOverviewDisplay.from_estimator(tiny_model, tiny_data.X, tiny_data.y, figure=new_figure(9, 3))
        assert [ax.get_title() for ax in page.axes_][1:] == ["[Mg/H] (dex)", "[Al/H] (dex)", "[C/H] (dex)"]


class TestOverview:
    NAMES = ("teff", "logg", "Mg", "Al", "V")

    @pytest.fixture
    def labels(self):
        true = np.random.default_rng(0).normal(size=(60, 5)) * [300, 0.5, 0.3, 0.3, 0.3] + [4600, 2.3, 0, 0, 0]
        true[:10, 2] = -9999
        true[:, 4] = np.nan
        return true, true * 1.01

    def test_a_panel_a_label_and_no_more(self, labels):
        page = draw_page(*labels, self.NAMES)
        assert len(page.axes_) == 5
        assert [ax.get_visible() for ax in page.figure_.axes] == [True] * 5 + [False] * 3

    def test_points(self, labels):
        page = draw_page(*labels, self.NAMES)
        assert_allclose(points(page.axes_[0]), np.column_stack([labels[0][:, 0], labels[1][:, 0]]))
        assert len(points(page.axes_[2])) == 50

    def test_label_without_a_value(self, labels):
        ax = draw_page(*labels, self.NAMES).axes_[4]
        assert [text.get_text() for text in ax.texts] == ["no true value"]
        assert len(ax.collections) == 0

    def test_numbers(self, labels):
        page = draw_page(*labels, self.NAMES)
        row = residual_table(*labels, label_names=self.NAMES)[0]
        text = page.axes_[0].texts[0].get_text()
        assert text == f"median {row['median_residual']:.1f} K\nmad_std {row['mad_std']:.1f} K"

    def test_same_limits_on_both_axes(self, labels):
        ax = draw_page(*labels, self.NAMES).axes_[1]
        assert ax.get_xlim() == ax.get_ylim()

    def test_one_label(self):
        page = draw_page([1.0, 2.0], [1.1, 2.1], ["age"])
        assert page.axes_.shape == (1,)
        assert page.axes_[0].get_title() == "age"

    def test_names_must_fit(self, labels):
        with pytest.raises(ValueError, match="5 labels and 2 names"):
            draw_page(*labels, ["teff", "logg"])

    def test_nothing_is_cut_off(self, labels):
        page = draw_page(*labels, self.NAMES)
        page.figure_.canvas.draw()
        width, height = page.figure_.bbox.size
        for ax in page.axes_:
            box = ax.get_tightbbox()
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= width
            assert box.y1 <= height


class TestSaveFigure:
    def test_writes(self, tmp_path, stars):
        figure = draw(*stars).figure_
        path = save_figure(figure, tmp_path / "mg.png", dpi=50)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert save_figure(figure, tmp_path / "mg.pdf").read_bytes().startswith(b"%PDF")
        assert len(list(tmp_path.iterdir())) == 2

    def test_leaves_nothing_half_written(self, tmp_path, stars, monkeypatch):
        figure = draw(*stars).figure_
        (tmp_path / "mg.png").write_text("old")

        def fill_the_disk(path, dpi):
            path.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(figure, "savefig", fill_the_disk)
        with pytest.raises(OSError, match="No space left"):
            save_figure(figure, tmp_path / "mg.png")
        assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]

    def test_unknown_format(self, tmp_path):
        with pytest.raises(ValueError, match="not supported"):
            save_figure(new_figure(2, 2), tmp_path / "mg.xyz")


def test_import_leaves_matplotlib_out():
    code = "import sys, skbcnn.plotting; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
