"""The Kiel diagram: points, inverted axes, colours, the typical error."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn.plotting import KielDisplay, new_figure
from skbcnn.plotting.figures import BLUE, GREY

NAMES = ["teff", "logg", "Mg", "Al", "Fe"]


def draw(y_pred, y_std=None, names=NAMES, **options):
    ax = new_figure(3.5, 3).add_subplot()
    return KielDisplay.from_predictions(y_pred, y_std, label_names=names, ax=ax, **options)


def points(collection):
    return collection.get_offsets().data


def bars(ax):
    """Lengths of the typical error along both axes."""
    (container,) = ax.containers
    lengths = [np.ptp(collection.get_segments()[0], axis=0) for collection in container.lines[2]]
    return lengths[0][0], lengths[1][1]


class TestPoints:
    def test_are_teff_and_logg(self, stars):
        (collection,) = draw(stars[1]).ax_.collections
        assert_allclose(points(collection), stars[1][:, :2])
        assert_allclose(collection.get_array(), stars[1][:, 4])

    def test_columns_are_found_by_name(self):
        (collection,) = draw([[2.0, 0.3, 4500.0]], names=["log g", "[Fe/H]", "TEFF"]).ax_.collections
        assert_allclose(points(collection), [[4500, 2]])
        assert_allclose(collection.get_array(), [0.3])

    @pytest.mark.parametrize("missing", [np.nan, -9999.0, -9999.99])
    @pytest.mark.parametrize("column", [0, 1])
    def test_stars_without_either_are_left_out(self, missing, column):
        labels = np.array([[4500.0, 2.0, 0.1], [4600.0, 2.1, 0.2], [4700.0, 2.2, 0.3]])
        labels[1, column] = missing
        (collection,) = draw(labels, names=["teff", "logg", "Fe"]).ax_.collections
        assert_allclose(points(collection), [[4500, 2], [4700, 2.2]])
        assert_allclose(collection.get_array(), [0.1, 0.3])

    def test_stars_without_a_colour_are_grey(self):
        labels = [[4500.0, 2.0, 0.1], [4600.0, 2.1, -9999.0]]
        grey, coloured = draw(labels, names=["teff", "logg", "Fe"]).ax_.collections
        assert_allclose(points(grey), [[4600, 2.1]])
        assert_allclose(grey.get_facecolor()[0, :3], [int(GREY[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        assert_allclose(points(coloured), [[4500, 2]])

    def test_no_star_has_a_colour(self):
        display = draw([[4500.0, 2.0, np.nan]], names=["teff", "logg", "Fe"])
        assert len(display.figure_.axes) == 1
        assert_allclose(points(display.ax_.collections[0]), [[4500, 2]])


class TestAxes:
    def test_are_inverted_and_named(self, stars):
        ax = draw(stars[1]).ax_
        assert ax.xaxis_inverted()
        assert ax.yaxis_inverted()
        assert ax.get_xlabel() == r"$T_\mathrm{eff}$ (K)"
        assert ax.get_ylabel() == r"$\log g$ (dex)"

    def test_colour_bar(self, stars):
        display = draw(stars[1])
        assert display.figure_.axes[1].get_ylabel() == "[Fe/H] (dex)"
        assert draw(stars[1], color="Mg").figure_.axes[1].get_ylabel() == "[Mg/H] (dex)"

    def test_without_colours(self, stars):
        for display in (draw(stars[1], color=None), draw(stars[1][:, :2], names=NAMES[:2])):
            assert len(display.figure_.axes) == 1
            (collection,) = display.ax_.collections
            assert_allclose(collection.get_facecolor()[0, :3], [int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    def test_wild_stars_are_told(self):
        rng = np.random.default_rng(0)
        labels = np.column_stack([rng.normal(4600, 200, 500), rng.normal(2.4, 0.5, 500)])
        labels[7, 1] = 1e5
        ax = draw(labels, names=NAMES[:2]).ax_
        assert ax.get_title(loc="left") == "1 of 500 stars beyond the axes"
        assert max(ax.get_ylim()) < 10


class TestTypicalError:
    def test_is_the_median(self, stars):
        ax = draw(stars[1], stars[2]).ax_
        assert_allclose(bars(ax), 2 * np.median(stars[2][:, :2], axis=0))

    def test_only_of_stars_that_are_drawn(self):
        labels = [[4500.0, 2.0], [np.nan, 2.0], [4600.0, 2.1], [4700.0, 2.2]]
        errors = [[10.0, 0.1], [900.0, 9.0], [30.0, 0.3], [np.nan, -9999.0]]
        assert_allclose(bars(draw(labels, errors, names=NAMES[:2]).ax_), [40, 0.4])

    def test_there_is_none(self, stars):
        assert len(draw(stars[1]).ax_.containers) == 0
        assert len(draw(stars[1], np.full_like(stars[2], np.nan)).ax_.containers) == 0

    def test_stands_clear_of_the_stars(self, stars):
        display = draw(stars[1][:, :2] * [0, 0] + stars[1][:, [0]] * [1, -1e-3], stars[2][:, :2], names=NAMES[:2])
        (text,) = display.ax_.texts
        x, y = display.ax_.transAxes.inverted().transform(display.ax_.transData.transform(text.xy))
        assert (x > 0.5) == (y > 0.5)  # hot stars, on the left, are above here: the other corners are empty


class TestFromEstimator:
    def test_is_from_predictions(self, oracle, stars, new_axes):
        X = np.arange(200)[:, None]
        one = KielDisplay.from_estimator(oracle, X, ax=new_axes())
        other = draw(stars[1], stars[2])
        assert_allclose(points(one.ax_.collections[0]), points(other.ax_.collections[0]))
        assert_allclose(one.y_std, other.y_std)
        assert_allclose(KielDisplay.from_estimator(oracle, X, x_err=X, ax=new_axes()).y_std, 2 * one.y_std)

    def test_network_without_gravity(self, tiny_model, tiny_data):
        with pytest.raises(ValueError, match="The labels are teff, Mg, Al, C, expected teff and logg among them"):
            KielDisplay.from_estimator(tiny_model, tiny_data.X)


class TestWhereItDraws:
    @pytest.mark.usefixtures("pyplot_untouched")
    def test_in_the_axes_given(self, stars, new_axes):
        ax = new_axes()
        display = KielDisplay.from_predictions(stars[1], label_names=NAMES, ax=ax)
        assert (display.ax_, display.figure_) == (ax, ax.figure)

    def test_in_a_figure_of_its_own(self, stars, own_figure):
        assert own_figure(KielDisplay.from_predictions(stars[1], label_names=NAMES)) == (3.5, 3)

    def test_legible(self, stars, check_legible):
        check_legible(draw(stars[1], stars[2]).figure_)


@pytest.mark.parametrize(
    ("y_pred", "options", "sentence"),
    [
        ([[4500.0, 2.0]], {"names": ["teff", "Mg"]}, "The labels are teff, Mg, expected teff and logg among them"),
        ([[4500.0, 2.0]], {"names": ["teff"]}, "y_pred has 2 columns and 1 names"),
        ([[4500.0, 2.0]], {"names": NAMES[:2], "color": "V"}, "color='V', expected one of the labels of y_pred: teff"),
        ([[4500.0, 2.0]], {"names": NAMES[:2], "y_std": [[1.0]]}, r"y_std has shape \(1, 1\), expected \(1, 2\)"),
        ([[4500.0, np.nan], [-9999.0, 2.0]], {"names": NAMES[:2]}, "No star has both teff and logg: of all 2"),
        ([[4500.0, np.inf]], {"names": NAMES[:2]}, "y_pred is infinite in 1 places"),
        ([[4500.0, 2.0]], {"names": NAMES[:2], "y_std": [[1.0, -1.0]]}, "y_std is negative in 1 places"),
    ],
)
def test_refuses(y_pred, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        draw(y_pred, **options)
