"""Calibration of error bars: observed coverage and standardised residuals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from skbcnn.metrics import expected_calibration_error
from skbcnn.plotting import ErrorCalibrationDisplay, new_figure
from skbcnn.plotting._style import BLUE, CYCLE, GREY, VERMILLION
from tests.plotting.artists import NAMES, artists, legend_texts

LEVELS = np.arange(1, 100) / 100


def draw(*labels, label_names=NAMES, **options):
    ax = new_figure(7, 3.3).add_subplot()
    return ErrorCalibrationDisplay.from_predictions(*labels, label_names=label_names, ax=ax, **options)


def draw_one(*labels, **options):
    return draw(*labels, label_names=["Mg"], **options)


def histogram(display):
    (bars,) = [patch for patch in display.axes_[1].patches if patch.get_label() == "residuals"]
    return bars.get_data()


class TestCoverage:
    def test_by_hand(self):
        """Residuals of 0.5, 1, 1.5 and 2.5 error bars; 50 % and 95 % intervals reach to 0.6745 and 1.96 error bars."""
        display = draw_one([0.0] * 4, [1.0, -2.0, 3.0, -5.0], [2.0] * 4)
        assert_allclose(display.coverage([0, 0.5, 0.95, 1]), [[0, 0.25, 0.75, 1]])

    def test_intervals_include_their_ends(self):
        end = norm.ppf(0.75)
        assert draw_one([0.0, 0.0], [end * (1 - 1e-12), end * (1 + 1e-12)], [1.0, 1.0]).coverage([0.5]) == 0.5
        assert_allclose(draw_one([1.0], [1.0], [0.1]).coverage([0, 0.5]), [[1, 1]])

    @pytest.mark.parametrize("missing", [np.nan, -9999.0])
    def test_missing_labels_are_left_out(self, missing):
        y_true, y_pred = [[0.0, 0.0], [missing, 0.0]], [[0.5, 0.5], [9.0, 3.0]]
        display = draw(y_true, y_pred, np.ones((2, 2)), label_names=["Mg", "Al"])
        assert_allclose(display.coverage([0.5]), [[1], [0.5]])
        assert_allclose(display.overall_coverage([0.5]), [2 / 3])
        assert "$n$ = 3" in display.axes_[1].texts[0].get_text()

    def test_errors_of_true_labels_add_in_quadrature(self):
        display = draw_one([0.0, 0.0], [5.0, 5.0], [3.0, 3.0], y_err=[4.0, 0.0])
        assert_allclose(display.z, [[1], [5 / 3]])

    def test_agrees_with_the_calibration_error(self, stars):
        distance = np.abs(draw(*stars).coverage(LEVELS) - LEVELS).mean(axis=1)
        assert_allclose(distance, expected_calibration_error(*stars, multioutput="raw_values"))

    def test_calibrated_error_bars_are_on_the_diagonal(self):
        rng = np.random.default_rng(0)
        std = rng.uniform(0.5, 2, size=(4000, 3))
        display = draw(np.zeros_like(std), std * rng.normal(size=std.shape), std, label_names=["a", "b", "c"])
        assert_allclose(display.overall_coverage(LEVELS), LEVELS, atol=0.015)


class TestCurves:
    def test_lines_show_the_coverage(self, stars):
        display = draw(*stars)
        drawn, symbols = artists(display.ax_), [r"$T_\mathrm{eff}$", r"$\log g$", "[Mg/H]", "[Al/H]", "[Fe/H]"]
        assert list(drawn)[:-1] == ["perfect calibration", *symbols, "all 5 labels"]
        assert [drawn[symbol].get_color() for symbol in symbols] == list(CYCLE[:5])
        levels, coverage = drawn["[Al/H]"].get_data()
        assert_allclose(coverage, display.coverage(levels)[3])
        levels, coverage = drawn["all 5 labels"].get_data()
        assert_allclose(coverage, display.overall_coverage(levels))
        assert_allclose(drawn["perfect calibration"].get_data(), [[0, 1], [0, 1]])

    def test_extremes_of_many_labels_are_named(self):
        scale = np.array([1, 1, 3, 1, 1, 0.3, 1, 1])  # error bars of x2 are too large, those of x5 too small
        residuals = np.random.default_rng(0).normal(size=(300, 8))
        names = [f"x{j}" for j in range(8)]
        ax = draw(np.zeros((300, 8)), residuals, np.ones((300, 8)) * scale, label_names=names).ax_
        assert artists(ax)["x2 (highest)"].get_color() == BLUE
        assert artists(ax)["x5 (lowest)"].get_color() == VERMILLION
        assert sum(line.get_color() == GREY for line in ax.lines) == 6
        assert legend_texts(ax) == [
            "95% range (300 per label)",
            "perfect calibration",
            "other labels",
            "x2 (highest)",
            "x5 (lowest)",
            "all 8 labels",
        ]

    def test_label_without_true_values_has_no_line(self):
        y_true = [[0.0, np.nan], [0.0, -9999.0]]
        ax = draw(y_true, np.ones((2, 2)), np.ones((2, 2)), label_names=["Mg", "Al"]).ax_
        assert [line.get_label() for line in ax.lines] == ["perfect calibration", "[Mg/H]"]

    def test_band_is_two_standard_deviations_of_the_binomial_distribution(self):
        ax = draw_one(np.zeros(100), np.ones(100), np.ones(100)).ax_
        vertices = artists(ax)["95% range of 100 spectra"].get_paths()[0].vertices
        middle = vertices[np.isclose(vertices[:, 0], 0.5), 1]
        assert_allclose([middle.min(), middle.max()], [0.4, 0.6])  # 0.5 -+ 2 sqrt(0.25 / 100)

    def test_legend_is_above_the_lines(self, stars):
        display = draw(*stars)
        display.figure_.draw_without_rendering()
        legend = display.ax_.get_legend().get_window_extent()
        assert legend.y0 >= display.ax_.get_window_extent().y1
        assert legend.x0 >= 0


class TestHistogram:
    def test_is_normalised(self, stars):
        density, edges, _ = histogram(draw(*stars))
        assert (density * np.diff(edges)).sum() == pytest.approx(1, abs=0.002)

    def test_residuals_outside_the_axes_count(self):
        display = draw_one(np.zeros(4), [0.1, 0.2, -0.1, 7.0], np.ones(4))
        density, edges, _ = histogram(display)
        assert (density * np.diff(edges)).sum() == pytest.approx(0.75)
        assert density[np.searchsorted(edges, 0.15) - 1] == pytest.approx(0.5 / 0.5)  # two of four in a bin of 0.5
        assert display.axes_[1].texts[0].get_text().endswith("1 at $|z|$ > 5")

    def test_statistics_by_hand(self):
        """Predictions that are too high by 1, 2 and 4 error bars: median 2, absolute deviations 1, 0 and 2."""
        display = draw_one([0.0] * 3, [0.5, 1.0, 2.0], [0.5] * 3)
        assert display.axes_[1].texts[0].get_text().split("\n") == ["$n$ = 3", "bias 2.00", "scatter 1.48"]

    def test_name_of_the_reference(self, stars):
        display = draw(*stars, reference_name="ASPCAP")
        assert display.axes_[1].get_xlabel() == r"$z$ = (predicted $-$ ASPCAP) / $\sigma$"

    def test_standard_normal_distribution(self, stars):
        x, density = artists(draw(*stars).axes_[1])["standard normal"].get_data()
        assert_allclose(density, norm.pdf(x))


class TestFromEstimator:
    def test_equals_from_predictions(self, oracle, stars, star_numbers, new_axes):
        display = ErrorCalibrationDisplay.from_estimator(oracle, star_numbers, stars[0], ax=new_axes())
        assert_allclose(display.z, draw(*stars).z)
        assert display.label_names == NAMES
        noisy = ErrorCalibrationDisplay.from_estimator(
            oracle, star_numbers, stars[0], x_err=star_numbers, ax=new_axes()
        )
        assert_allclose(noisy.z, display.z / 2)

    def test_columns_of_a_table_are_matched_by_name(self, oracle, stars, star_numbers, new_axes):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(stars[0], columns=NAMES)[["Fe", "Al", "teff", "logg", "Mg"]]
        display = ErrorCalibrationDisplay.from_estimator(oracle, star_numbers, table, ax=new_axes())
        assert_allclose(display.z, draw(*stars).z)


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self, stars):
        figure = new_figure(7, 3.3)
        axes = figure.subplots(1, 2)
        display = ErrorCalibrationDisplay.from_predictions(*stars, label_names=NAMES, ax=axes)
        assert list(display.axes_) == list(axes)
        assert (display.ax_, display.figure_) == (axes[0], figure)
        assert len(draw(*stars).axes_) == 2

    def test_in_a_new_figure(self, stars, check_pyplot_figure):
        display = ErrorCalibrationDisplay.from_predictions(*stars, label_names=NAMES)
        assert check_pyplot_figure(display.figure_) == (7, 4)

    @pytest.mark.parametrize("n_labels", [1, 22])
    def test_text_is_legible(self, n_labels, check_legible):
        z = np.random.default_rng(0).normal(size=(300, n_labels))
        names = None if n_labels == 22 else ["C1"]
        check_legible(draw(np.zeros_like(z), z, np.ones_like(z), label_names=names).figure_)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        (([0.0, 0.0], [0.0], [1.0, 1.0]), ["Mg"], r"y_true has shape \(2, 1\), but y_pred has shape \(1, 1\)"),
        (([0.0, 0.0], [0.0, 0.0], [1.0]), ["Mg"], r"y_true has shape \(2, 1\), but y_std has shape \(1, 1\)"),
        (([0.0], [0.0], [1.0]), ["Mg", "Al"], "y_true has 1 columns and 2 names"),
        (([0.0], [0.0]), ["Mg"], "y_std is None, but y_pred holds no error bars. Pass .* what predict_distribution"),
        (([np.nan, -9999.0], [0.0, 0.0], [1.0, 1.0]), ["Mg"], "No star has a true label: all 2 are missing"),
        (([0.0, 0.0], [0.0, 0.0], [1.0, 0.0]), ["Mg"], "y_std is 0 in 1 places"),
        (([0.0, 0.0], [0.0, 0.0], [1.0, -1.0]), ["Mg"], "y_std is negative or missing in 1 places"),
        (([0.0, 0.0], [np.nan, 0.0], [1.0, 1.0]), ["Mg"], "y_pred is missing in 1 places"),
    ],
)
def test_invalid_input(labels, names, message):
    with pytest.raises(ValueError, match=message):
        draw(*labels, label_names=names)


def test_invalid_input_creates_no_figure():
    from matplotlib import pyplot

    with pytest.raises(ValueError, match="No star has a true label"):
        ErrorCalibrationDisplay.from_predictions([np.nan], [0.0], [1.0], label_names=["Mg"])
    assert pyplot.get_fignums() == []
