"""The Kiel diagram: points, inverted axes, colours and the typical error."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.plotting import KielDisplay, new_figure
from skbcnn.plotting._style import BLUE, GREY
from tests.plotting.artists import NAMES, face_colour, positions


def draw(y_pred, y_std=None, names=NAMES, **options):
    ax = new_figure(3.5, 3).add_subplot()
    return KielDisplay.from_predictions(y_pred, y_std, label_names=names, ax=ax, **options)


def typical_error(ax):
    """Return the lengths of the typical error bar along both axes."""
    (container,) = ax.containers
    lengths = [np.ptp(collection.get_segments()[0], axis=0) for collection in container.lines[2]]
    return lengths[0][0], lengths[1][1]


class TestPoints:
    def test_positions_and_colours(self, stars):
        (points,) = draw(stars[1]).ax_.collections
        assert_allclose(positions(points), stars[1][:, :2])
        assert_allclose(points.get_array(), stars[1][:, 4])

    def test_columns_are_found_by_name(self):
        (points,) = draw([[2.0, 0.3, 4500.0]], names=["log g", "[Fe/H]", "TEFF"]).ax_.collections
        assert_allclose(positions(points), [[4500, 2]])
        assert_allclose(points.get_array(), [0.3])

    @pytest.mark.parametrize(("missing", "column"), [(np.nan, 0), (-9999.0, 1), (-9999.99, 0)])
    def test_stars_without_teff_or_logg_are_left_out(self, missing, column):
        labels = np.array([[4500.0, 2.0, 0.1], [4600.0, 2.1, 0.2], [4700.0, 2.2, 0.3]])
        labels[1, column] = missing
        (points,) = draw(labels, names=["teff", "logg", "Fe"]).ax_.collections
        assert_allclose(positions(points), [[4500, 2], [4700, 2.2]])
        assert_allclose(points.get_array(), [0.1, 0.3])

    def test_stars_without_a_colour_are_grey(self):
        labels = [[4500.0, 2.0, 0.1], [4600.0, 2.1, -9999.0]]
        grey, coloured = draw(labels, names=["teff", "logg", "Fe"]).ax_.collections
        assert_allclose(positions(grey), [[4600, 2.1]])
        assert face_colour(grey) == GREY
        assert_allclose(positions(coloured), [[4500, 2]])

    def test_no_colour_bar_if_no_star_has_a_colour(self):
        display = draw([[4500.0, 2.0, np.nan]], names=["teff", "logg", "Fe"])
        assert len(display.figure_.axes) == 1
        assert_allclose(positions(display.ax_.collections[0]), [[4500, 2]])

    def test_outliers_are_counted_in_the_title(self):
        rng = np.random.default_rng(0)
        labels = np.column_stack([rng.normal(4600, 200, 500), rng.normal(2.4, 0.5, 500)])
        labels[7, 1] = 1e5
        ax = draw(labels, names=NAMES[:2]).ax_
        assert ax.get_title(loc="left") == "1 of 500 spectra outside the axes"
        assert max(ax.get_ylim()) < 10


class TestAxes:
    def test_are_inverted_and_labelled(self, stars):
        ax = draw(stars[1]).ax_
        assert ax.xaxis_inverted()
        assert ax.yaxis_inverted()
        assert ax.get_xlabel() == r"$T_\mathrm{eff}$ (K)"
        assert ax.get_ylabel() == r"$\log g$ (dex)"

    def test_colour_bar(self, stars):
        assert draw(stars[1]).figure_.axes[1].get_ylabel() == "[Fe/H] (dex)"
        assert draw(stars[1], color="Mg").figure_.axes[1].get_ylabel() == "[Mg/H] (dex)"

    def test_without_colours(self, stars):
        for display in (draw(stars[1], color=None), draw(stars[1][:, :2], names=NAMES[:2])):
            assert len(display.figure_.axes) == 1
            (points,) = display.ax_.collections
            assert face_colour(points) == BLUE


class TestTypicalError:
    def test_is_the_median(self, stars):
        ax = draw(stars[1], stars[2]).ax_
        assert_allclose(typical_error(ax), 2 * np.median(stars[2][:, :2], axis=0))

    def test_stars_that_are_left_out_do_not_count(self):
        labels = [[4500.0, 2.0], [np.nan, 2.0], [4600.0, 3.0], [4700.0, 4.0]]
        errors = [[10.0, 0.1], [900.0, 9.0], [30.0, 0.3], [np.nan, -9999.0]]
        assert_allclose(typical_error(draw(labels, errors, names=NAMES[:2]).ax_), [40, 0.4])

    def test_is_absent_without_errors(self, stars):
        assert len(draw(stars[1]).ax_.containers) == 0
        assert len(draw(stars[1], np.full_like(stars[2], np.nan)).ax_.containers) == 0

    def test_is_away_from_the_stars(self, stars):
        diagonal = stars[1][:, [0]] * [1, -1e-3]
        ax = draw(diagonal, stars[2][:, :2], names=NAMES[:2]).ax_
        x, y = ax.transAxes.inverted().transform(ax.transData.transform(ax.texts[0].xy))
        assert (x > 0.5) == (y > 0.5)  # hot stars are on the upper left, so that the other two corners are empty


class TestFromEstimator:
    def test_equals_from_predictions(self, oracle, stars, star_numbers, new_axes):
        display = KielDisplay.from_estimator(oracle, star_numbers, ax=new_axes())
        expected = draw(stars[1], stars[2])
        assert_allclose(positions(display.ax_.collections[0]), positions(expected.ax_.collections[0]))
        assert_allclose(display.y_std, expected.y_std)
        noisy = KielDisplay.from_estimator(oracle, star_numbers, x_err=star_numbers, ax=new_axes())
        assert_allclose(noisy.y_std, 2 * display.y_std)

    def test_estimator_without_gravity(self, oracle, star_numbers):
        oracle.names = ("teff", "V", "Mg", "Al", "Fe")
        with pytest.raises(ValueError, match="The labels are teff, V, Mg, Al, Fe, expected teff and logg among them"):
            KielDisplay.from_estimator(oracle, star_numbers)


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self, stars, new_axes):
        ax = new_axes()
        display = KielDisplay.from_predictions(stars[1], label_names=NAMES, ax=ax)
        assert (display.ax_, display.figure_) == (ax, ax.figure)

    def test_in_a_new_figure(self, stars, check_pyplot_figure):
        assert check_pyplot_figure(KielDisplay.from_predictions(stars[1], label_names=NAMES).figure_) == (3.5, 3)

    def test_text_is_legible(self, stars, check_legible):
        check_legible(draw(stars[1], stars[2]).figure_)


@pytest.mark.parametrize(
    ("y_pred", "options", "message"),
    [
        ([[4500.0, 2.0]], {"names": ["teff", "Mg"]}, "The labels are teff, Mg, expected teff and logg among them"),
        ([[4500.0, 2.0]], {"names": ["teff"]}, "y_pred has 2 columns and 1 names"),
        ([[4500.0, 2.0]], {"names": NAMES[:2], "color": "V"}, "color='V', expected one of the labels of y_pred: teff"),
        ([[4500.0, 2.0]], {"names": NAMES[:2], "y_std": [[1.0]]}, r"y_std has shape \(1, 1\), expected \(1, 2\)"),
        ([[4500.0, np.nan], [-9999.0, 2.0]], {"names": NAMES[:2]}, "No star has both teff and logg: each of the 2"),
        ([[4500.0, np.inf]], {"names": NAMES[:2]}, "y_pred is infinite in 1 places"),
    ],
)
def test_invalid_input(y_pred, options, message):
    with pytest.raises(ValueError, match=message):
        draw(y_pred, **options)
