"""The picture of error bars: coverage worked by hand, the histogram, and what is left out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from skbcnn.metrics import expected_calibration_error
from skbcnn.plotting import ErrorCalibrationDisplay, new_figure
from skbcnn.plotting.figures import BLUE, CYCLE, GREY, VERMILLION

LEVELS = np.arange(1, 100) / 100


def draw(*labels, **options):
    return ErrorCalibrationDisplay.from_predictions(*labels, ax=new_figure(7, 3.3).add_subplot(), **options)


def line(ax, name):
    return next(line for line in ax.lines if line.get_label() == name)


def histogram(display):
    (bars,) = [patch for patch in display.axes_[1].patches if patch.get_label() == "residuals"]
    return bars.get_data()


class TestCoverage:
    def test_by_hand(self):
        """Residuals of 0.5, 1, 1.5 and 2.5 error bars; central intervals reach to 0.6745 and 1.96 of them."""
        display = draw([0.0] * 4, [1.0, -2.0, 3.0, -5.0], [2.0] * 4, label_names=["Mg"])
        assert_allclose(display.coverage([0, 0.5, 0.95, 1]), [[0, 0.25, 0.75, 1]])

    def test_the_end_of_an_interval_is_within(self):
        end = norm.ppf(0.75)
        display = draw([0.0, 0.0], [end * (1 - 1e-12), end * (1 + 1e-12)], [1.0, 1.0], label_names=["Mg"])
        assert display.coverage([0.5]) == 0.5

    def test_exact_predictions_are_within_every_interval(self):
        assert_allclose(draw([1.0], [1.0], [0.1], label_names=["Mg"]).coverage([0, 0.5]), [[1, 1]])

    @pytest.mark.parametrize("missing", [np.nan, -9999.0, -9999.99])
    def test_missing_labels_are_left_out(self, missing):
        y_true, y_pred = [[0.0, 0.0], [missing, 0.0]], [[0.5, 0.5], [9.0, 3.0]]
        display = draw(y_true, y_pred, np.ones((2, 2)), label_names=["Mg", "Al"])
        assert_allclose(display.coverage([0.5]), [[1], [0.5]])
        assert_allclose(display.overall_coverage([0.5]), [2 / 3])
        assert "$n$ = 3" in display.axes_[1].texts[0].get_text()

    def test_errors_of_the_truth_add(self):
        display = draw([0.0, 0.0], [5.0, 5.0], [3.0, 3.0], y_err=[4.0, 0.0], label_names=["Mg"])
        assert_allclose(display.z, [[1], [5 / 3]])

    def test_is_that_of_the_calibration_error(self, stars):
        display = draw(*stars, label_names=["teff", "logg", "Mg", "Al", "Fe"])
        distance = np.abs(display.coverage(LEVELS) - LEVELS).mean(axis=1)
        assert_allclose(distance, expected_calibration_error(*stars, multioutput="raw_values"))

    def test_right_error_bars_are_on_the_diagonal(self):
        rng = np.random.default_rng(0)
        std = rng.uniform(0.5, 2, size=(4000, 3))
        display = draw(np.zeros_like(std), std * rng.normal(size=std.shape), std, label_names=["a", "b", "c"])
        assert_allclose(display.overall_coverage(LEVELS), LEVELS, atol=0.015)
        assert draw([0.0], [9.0], [1.0], label_names=["a"]).coverage([0.9]) == 0


class TestCurves:
    def test_a_line_a_label_and_one_of_all(self, stars):
        ax = draw(*stars, label_names=["teff", "logg", "Mg", "Al", "Fe"]).ax_
        names = [r"$T_\mathrm{eff}$", r"$\log g$", "[Mg/H]", "[Al/H]", "[Fe/H]"]
        assert [line.get_label() for line in ax.lines] == ["perfect", *names, "all 5 labels"]
        assert [line(ax, name).get_color() for name in names] == list(CYCLE[:5])
        assert line(ax, "all 5 labels").get_linewidth() > 2 * line(ax, "[Mg/H]").get_linewidth()

    def test_lines_hold_the_coverage(self, stars):
        display = draw(*stars, label_names=["teff", "logg", "Mg", "Al", "Fe"])
        levels, drawn = line(display.ax_, "[Al/H]").get_data()
        assert_allclose(drawn, display.coverage(levels)[3])
        levels, drawn = line(display.ax_, "all 5 labels").get_data()
        assert_allclose(drawn, display.overall_coverage(levels))
        assert_allclose(line(display.ax_, "perfect").get_data(), [[0, 1], [0, 1]])

    def test_of_many_labels_the_extremes_are_named(self):
        rng = np.random.default_rng(0)
        scale = np.array([1, 1, 3, 1, 1, 0.3, 1, 1])  # error bars of x2 are too large, those of x5 too small
        residuals = rng.normal(size=(300, 8))
        ax = draw(np.zeros((300, 8)), residuals, np.ones((300, 8)) * scale, label_names=[f"x{j}" for j in range(8)]).ax_
        assert line(ax, "x2, the highest").get_color() == BLUE
        assert line(ax, "x5, the lowest").get_color() == VERMILLION
        assert sum(line.get_color() == GREY for line in ax.lines) == 6
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend == [
            "95% range of 300 stars",
            "perfect",
            "each label",
            "x2, the highest",
            "x5, the lowest",
            "all 8 labels",
        ]

    def test_a_label_that_no_star_has_gets_no_line(self):
        y_true = [[0.0, np.nan], [0.0, -9999.0]]
        ax = draw(y_true, np.ones((2, 2)), np.ones((2, 2)), label_names=["Mg", "Al"]).ax_
        assert [line.get_label() for line in ax.lines] == ["perfect", "[Mg/H]"]

    def test_band_is_two_binomial_deviations(self):
        ax = draw(np.zeros(100), np.ones(100), np.ones(100), label_names=["Mg"]).ax_
        (band,) = ax.collections
        assert band.get_label() == "95% range of 100 stars"
        vertices = band.get_paths()[0].vertices
        middle = vertices[np.isclose(vertices[:, 0], 0.5), 1]
        assert_allclose([middle.min(), middle.max()], [0.4, 0.6])  # 0.5 and twice sqrt(0.25 / 100)

    @pytest.mark.parametrize(("scale", "corner"), [(0.3, "upper left"), (3.0, "lower right")])
    def test_legend_is_where_the_lines_are_not(self, stars, scale, corner):
        legend = draw(stars[0], stars[1], stars[2] * scale, label_names=list("abcde")).ax_.get_legend()
        assert legend._loc == legend.codes[corner]


class TestHistogram:
    def test_is_normalised(self, stars):
        shares, edges, _ = histogram(draw(*stars, label_names=list("abcde")))
        assert (shares * np.diff(edges)).sum() == pytest.approx(1, abs=0.002)

    def test_what_is_beyond_counts(self):
        display = draw(np.zeros(4), [0.1, 0.2, -0.1, 7.0], np.ones(4), label_names=["Mg"])
        shares, edges, _ = histogram(display)
        assert (shares * np.diff(edges)).sum() == pytest.approx(0.75)
        assert shares[np.searchsorted(edges, 0.15) - 1] == pytest.approx(0.5 / 0.5)  # two of four in a bin of 0.5
        assert display.axes_[1].texts[0].get_text().endswith("1 at $|z|$ > 5")

    def test_sign_and_numbers(self):
        """Predictions that are too high by 1, 2 and 4 error bars: median 2, absolute deviations 1, 0, 2."""
        display = draw([0.0] * 3, [0.5, 1.0, 2.0], [0.5] * 3, label_names=["Mg"])
        assert display.axes_[1].texts[0].get_text().split("\n") == ["$n$ = 3", "median 2.00", "mad_std 1.48"]

    def test_unit_normal(self, stars):
        x, y = line(draw(*stars, label_names=list("abcde")).axes_[1], "unit normal").get_data()
        assert_allclose(y, norm.pdf(x))


class TestFromEstimator:
    def test_is_from_predictions(self, oracle, stars, new_axes):
        X = np.arange(200)[:, None]
        names = ["teff", "logg", "Mg", "Al", "Fe"]
        one = ErrorCalibrationDisplay.from_estimator(oracle, X, stars[0], ax=new_axes())
        assert_allclose(one.z, draw(*stars, label_names=names).z)
        assert one.label_names == tuple(names)
        other = ErrorCalibrationDisplay.from_estimator(oracle, X, stars[0], x_err=X, ax=new_axes())
        assert_allclose(other.z, one.z / 2)

    def test_a_table_is_matched_by_name(self, oracle, stars, new_axes):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(stars[0], columns=["teff", "logg", "Mg", "Al", "Fe"])[
            ["Fe", "Al", "teff", "logg", "Mg"]
        ]
        display = ErrorCalibrationDisplay.from_estimator(oracle, np.arange(200)[:, None], table, ax=new_axes())
        assert_allclose(display.z, draw(*stars, label_names=list("abcde")).z)

    def test_of_a_network(self, tiny_model, tiny_data, new_axes):
        display = ErrorCalibrationDisplay.from_estimator(tiny_model, tiny_data.X, tiny_data.y, ax=new_axes())
        mean, std = tiny_model.predict(tiny_data.X, return_std=True)
        assert_allclose(display.z, (mean - tiny_data.y) / std)


class TestWhereItDraws:
    @pytest.mark.usefixtures("pyplot_untouched")
    def test_in_one_axes_or_two(self, stars):
        figure = new_figure(7, 3.3)
        axes = figure.subplots(1, 2)
        display = ErrorCalibrationDisplay.from_predictions(*stars, label_names=list("abcde"), ax=axes)
        assert list(display.axes_) == list(axes)
        assert display.ax_ is axes[0]
        assert display.figure_ is figure
        assert len(draw(*stars, label_names=list("abcde")).axes_) == 2

    def test_in_a_figure_of_its_own(self, stars, own_figure):
        assert own_figure(ErrorCalibrationDisplay.from_predictions(*stars, label_names=list("abcde"))) == (7, 3.3)

    @pytest.mark.parametrize("n_labels", [1, 5, 22])
    def test_legible(self, n_labels, check_legible):
        rng = np.random.default_rng(0)
        z = rng.normal(size=(300, n_labels))
        names = None if n_labels == 22 else ["teff", "logg", "C1", "Ti2", "Mg"][:n_labels]
        check_legible(draw(np.zeros_like(z), z, np.ones_like(z), label_names=names).figure_)


@pytest.mark.parametrize(
    ("labels", "names", "sentence"),
    [
        (([0.0, 0.0], [0.0], [1.0, 1.0]), ["Mg"], r"y_true has shape \(2, 1\), but y_pred has shape \(1, 1\)"),
        (([0.0, 0.0], [0.0, 0.0], [1.0]), ["Mg"], r"y_true has shape \(2, 1\), but y_std has shape \(1, 1\)"),
        (([0.0], [0.0], [1.0]), ["Mg", "Al"], "y_true has 1 columns and 2 names"),
        (([[0.0, 1.0]], [[0.0, 1.0]], [[1.0, 1.0]]), None, "y_true has 2 columns and no names"),
        (([np.nan, -9999.0], [0.0, 0.0], [1.0, 1.0]), ["Mg"], "No star has a true label: all 2 are missing"),
        (([0.0, 0.0], [0.0, 0.0], [1.0, 0.0]), ["Mg"], "y_std is 0 in 1 places"),
        (([0.0, 0.0], [0.0, 0.0], [1.0, -1.0]), ["Mg"], "y_std is negative or missing in 1 places"),
        (([0.0, 0.0], [np.nan, 0.0], [1.0, 1.0]), ["Mg"], "y_pred is missing in 1 places"),
    ],
)
def test_refuses(labels, names, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(*labels, label_names=names)


def test_what_is_refused_leaves_no_figure():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    with pytest.raises(ValueError, match="No star has a true label"):
        ErrorCalibrationDisplay.from_predictions([np.nan], [0.0], [1.0], label_names=["Mg"])
    assert pyplot.get_fignums() == []
