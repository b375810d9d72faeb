"""The plane of two labels or ratios of abundances: quantities, points, covariances and drawn errors."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn import Prediction
from skbcnn.plotting import AbundancePlaneDisplay, new_figure
from tests.plotting.artists import NAMES, artists, legend_texts, positions


def draw(y_pred, y_std=None, *, names=NAMES, **options):
    ax = new_figure(3.5, 3).add_subplot()
    return AbundancePlaneDisplay.from_predictions(y_pred, y_std, label_names=names, ax=ax, **options)


def ellipses(display):
    """Return the centres, the long and the short half axes, and the angles (in degrees) of the ellipses."""
    from matplotlib.collections import EllipseCollection

    (drawn,) = [part for part in display.ax_.collections if isinstance(part, EllipseCollection)]
    return np.asarray(drawn.get_offsets()), drawn.get_widths() / 2, drawn.get_heights() / 2, drawn.get_angles()


class TestQuantities:
    LABELS = [[4500.0, 2.0, 0.3, 0.1, -0.2]]

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("Fe", -0.2, "[Fe/H] (dex)"),
            ("Mg/H", 0.3, "[Mg/H] (dex)"),
            ("TEFF", 4500, r"$T_\mathrm{eff}$ (K)"),
            ("Mg/Fe", 0.5, "[Mg/Fe] (dex)"),
            ("al / mg", -0.2, "[Al/Mg] (dex)"),
            ("Fe/Fe", 0, "[Fe/Fe] (dex)"),
        ],
    )
    def test_labels_and_ratios(self, name, value, text):
        display = draw(self.LABELS, x_name="logg", y_name=name)
        assert_allclose(display.points, [[2, value]], atol=1e-12)
        assert display.ax_.get_ylabel() == text
        assert display.ax_.get_xlabel() == r"$\log g$ (dex)"

    def test_symbols_of_ions(self):
        display = draw([[0.1, 0.2]], names=["Ti2", "C1"], x_name="Ti2", y_name="TiII/CI")
        assert display.ax_.get_ylabel() == "[Ti II/C I] (dex)"

    def test_alpha_over_metals_is_a_label(self):
        display = draw([[0.1, 0.3]], names=["M", "alpha"], x_name="[M/H]", y_name="alpha/M")
        assert_allclose(display.points, [[0.1, 0.3]])
        assert display.ax_.get_ylabel() == r"[$\alpha$/M] (dex)"

    def test_labels_that_the_survey_does_not_know(self):
        display = draw([[3.0, 0.3]], names=["age", "a/b"], x_name="age", y_name="a/b")
        assert_allclose(display.points, [[3, 0.3]])
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("age", "a/b")
        assert draw([[3.0, 0.5]], names=["Zr", "Fe"], y_name="Zr/Fe").points[0, 1] == 2.5

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("V", "y_name='V', expected one of the labels of y_pred: teff, logg, Mg, Al, Fe"),
            ("nonsense", "y_name='nonsense', expected one of the labels"),
            ("Mg/V", "y_name='Mg/V' with the part='V', expected one of the labels"),
            ("Mg/teff", "y_name='Mg/teff', but teff cannot be part of a ratio"),
            ("logg/Teff", "y_name='logg/Teff', but logg and Teff cannot be part of a ratio"),
        ],
    )
    def test_invalid_names(self, name, message):
        with pytest.raises(ValueError, match=message.replace("[", r"\[")):
            draw(self.LABELS, y_name=name)


class TestPoints:
    def test_missing_stars_are_left_out(self):
        labels = np.array([[0.1, 0.0, 5.0], [np.nan, 0.0, 5.0], [0.3, -9999.0, 5.0], [0.4, 0.1, -9999.0]])
        display = draw(labels, names=["Mg", "Fe", "Al"])
        assert_allclose(positions(artists(display.ax_)["predicted"]), [[0, 0.1], [0.1, 0.3]], atol=1e-12)

    def test_truth_is_behind_the_points(self, stars):
        display = draw(stars[1], y_true=stars[0], x_name="Al", y_name="Mg")
        present = stars[0][:, 2] > -9990
        assert_allclose(positions(artists(display.ax_)["true"]), stars[0][present][:, [3, 2]])
        assert_allclose(positions(artists(display.ax_)["predicted"]), stars[1][:, [3, 2]])
        drawn = artists(display.ax_)
        assert drawn["true"].get_zorder() < drawn["predicted"].get_zorder()
        assert legend_texts(display.ax_) == ["true", "predicted"]

    def test_truth_has_the_name_of_its_origin(self, stars):
        display = draw(stars[1], y_true=stars[0], x_name="Al", y_name="Mg", reference_name="ASPCAP")
        assert set(artists(display.ax_)) >= {"ASPCAP", "predicted"}

    def test_no_legend_without_truth(self, stars):
        assert draw(stars[1]).ax_.get_legend() is None
        assert draw(stars[1], y_true=np.full_like(stars[0], np.nan)).ax_.get_legend() is None


class TestCovariance:
    ERRORS = [[30.0, 0.1, 0.04, 0.03, 0.02]]

    def test_different_labels_are_independent(self):
        display = draw(np.zeros((1, 5)), self.ERRORS, x_name="Al", y_name="Mg")
        assert_allclose(display.covariance, [[[0.0009, 0], [0, 0.0016]]])

    def test_errors_of_a_ratio_add_in_quadrature(self):
        display = draw(np.zeros((1, 5)), self.ERRORS, x_name="teff", y_name="Mg/Al")
        assert_allclose(display.covariance, [[[900, 0], [0, 0.05**2]]])

    def test_quantities_that_share_a_label_are_correlated(self):
        """[Mg/Fe] against [Fe/H]: an error of iron moves a star to the right and down."""
        display = draw(np.zeros((1, 5)), self.ERRORS, x_name="Fe", y_name="Mg/Fe")
        assert_allclose(display.covariance, [[[0.0004, -0.0004], [-0.0004, 0.002]]])
        display = draw(np.zeros((1, 5)), self.ERRORS, x_name="Mg/Fe", y_name="Al/Fe")
        assert_allclose(display.covariance, [[[0.002, 0.0004], [0.0004, 0.0013]]])

    def test_of_draws_by_hand(self):
        """Two labels with the same errors: their ratio has no error."""
        draws = np.array([[[0.1, 0.3]], [[0.3, 0.5]]])
        display = draw([[0.2, 0.4]], [[9.0, 9.0]], names=["Fe", "Mg"], draws=draws)
        assert_allclose(display.covariance, [[[0.01, 0], [0, 0]]], atol=1e-12)

    def test_of_many_draws(self):
        rng = np.random.default_rng(0)
        cov = np.array([[0.04, 0.01], [0.01, 0.09]])
        draws = rng.multivariate_normal([0, 0], cov, size=(20000, 3))
        display = draw(np.zeros((3, 2)), names=["Fe", "Mg"], draws=draws, y_name="Mg")
        assert_allclose(display.covariance, [cov] * 3, rtol=0.05, atol=2e-3)

    def test_of_a_prediction_with_draws(self):
        """Both labels have the same error 0.1 in the draws, and independent errors of 0.2 and 0.1."""
        draws, predictive = np.array([[[0.1, 0.3]], [[0.3, 0.5]]]), np.array([[0.2, 0.1]])
        total = np.hypot(0.1, predictive)
        stars = Prediction(draws.mean(axis=0), 0 * total + 0.1, predictive, total, ("Fe", "Mg"), draws=draws)
        assert_allclose(draw(stars, names=None, y_name="Mg").covariance, [[[0.05, 0.01], [0.01, 0.02]]])
        assert_allclose(draw(stars, names=None).covariance, [[[0.05, -0.04], [-0.04, 0.05]]], atol=1e-12)
        assert_allclose(draw(replace(stars, calibrated=2 * total), names=None).covariance[0, 0], [0.2, -0.16])
        assert_allclose(draw(stars, total, names=None, y_name="Mg").covariance, [[[0.05, 0], [0, 0.02]]])

    def test_errors_of_other_labels_may_be_missing(self):
        display = draw(np.zeros((1, 5)), [[np.nan, -9999, 0.04, 0.03, 0.02]], x_name="Al", y_name="Mg")
        assert np.isfinite(display.covariance).all()

    @pytest.mark.parametrize("shape", [(2, 3), (1, 3, 5), (4, 2, 5)])
    def test_invalid_shapes_of_draws(self, shape):
        with pytest.raises(ValueError, match=r"draws has shape .*, expected \(n_draws, 3, 5\)\. Pass at least two"):
            draw(np.zeros((3, 5)), draws=np.zeros(shape))


class TestErrors:
    def test_tilted_ellipse_by_hand(self):
        """The eigenvalues of ((5, 3), (3, 5)) are 8 and 2, and the long axis is diagonal."""
        display = AbundancePlaneDisplay(
            points=np.array([[1.0, 2.0]]),
            covariance=np.array([[[5.0, 3.0], [3.0, 5.0]]]),
            axis_texts=("x", "y"),
            errors="ellipses",
        ).plot(new_figure(3, 3).add_subplot())
        centres, long, short, angle = ellipses(display)
        assert_allclose(centres, [[1, 2]])
        assert_allclose([long[0], short[0]], np.sqrt([8, 2]))
        assert angle[0] % 180 == pytest.approx(45)

    def test_ellipse_of_independent_errors(self):
        display = draw(np.zeros((1, 2)), [[0.1, 0.3]], names=["Fe", "Mg"], y_name="Mg")
        _, long, short, angle = ellipses(display)
        assert_allclose([long[0], short[0], angle[0] % 180], [0.3, 0.1, 90])

    def test_ellipse_extends_over_the_errors_on_both_axes(self):
        """The axes have different scales, and the size is measured on the image."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        display = draw([[4500.0, 0.0, 0.2]], [[50.0, 0.1, 0.2]], names=["teff", "Mg", "Fe"], x_name="Fe")
        for artist in display.ax_.get_children():
            artist.set_visible(type(artist).__name__ == "EllipseCollection")
        canvas = FigureCanvasAgg(display.figure_)
        canvas.draw()
        coloured = np.argwhere(np.asarray(canvas.buffer_rgba())[::-1, :, :3].min(axis=2) < 255)  # row 0 is the lowest
        size = np.ptp(coloured, axis=0)[::-1]
        errors = 0.2, np.hypot(0.1, 0.2)  # of [Fe/H] and [Mg/Fe]
        expected = display.ax_.transData.transform([[0, 0], np.multiply(2, errors)])
        assert_allclose(size, np.ptp(expected, axis=0), atol=3)

    def test_bars(self):
        labels, errors = [[0.0, 0.0], [0.5, 0.2]], [[0.1, 0.3], [0.2, 0.4]]
        ax = draw(labels, errors, names=["Fe", "Mg"], y_name="Mg", errors="bars").ax_
        across, up = ax.containers[0].lines[2]
        assert_allclose([np.ptp(segment[:, 0]) for segment in across.get_segments()], [0.2, 0.4])
        assert_allclose([np.ptp(segment[:, 1]) for segment in up.get_segments()], [0.6, 0.8])

    def test_limits_include_the_errors(self):
        ax = draw([[0.0, 0.0], [1.0, 1.0]], [[0.1, 7.0]] * 2, names=["Fe", "Mg"], y_name="Mg").ax_
        assert ax.get_ylim()[0] < -7
        assert ax.get_ylim()[1] > 8

    def test_many_stars_have_a_typical_error(self, stars):
        display = draw(stars[1], stars[2], x_name="Al", y_name="Mg")
        (centre,), long, short, _ = ellipses(display)
        assert_allclose(sorted([long[0], short[0]]), sorted(np.median(stars[2][:, 2:4], axis=0)))
        assert [text.get_text() for text in display.ax_.texts] == ["typical error"]
        assert display.ax_.get_xlim()[0] < centre[0] < display.ax_.get_xlim()[1]

    def test_few_stars_have_an_ellipse_each(self, stars):
        assert len(ellipses(draw(stars[1][:50], stars[2][:50]))[0]) == 50
        assert len(ellipses(draw(stars[1][:51], stars[2][:51]))[0]) == 1

    def test_stars_without_errors_have_no_ellipse(self):
        display = draw([[0.0, 0.0], [0.5, 0.2]], [[np.nan, 0.3], [0.2, 0.4]], names=["Fe", "Mg"], y_name="Mg")
        assert_allclose(ellipses(display)[0], [[0.5, 0.2]])
        assert len(positions(artists(display.ax_)["predicted"])) == 2

    def test_no_errors(self, stars):
        for display in (draw(stars[1], stars[2], errors=None), draw(stars[1])):
            assert len(display.ax_.collections) == 1
            assert len(display.ax_.containers) == 0

    def test_errors_of_zero(self):
        display = draw([[0.0, 0.0]] * 60, [[0.0, 0.0]] * 60, names=["Fe", "Mg"])
        assert_allclose(ellipses(display)[1:3], 0)


class TestFromEstimator:
    def test_equals_from_predictions(self, oracle, stars, star_numbers, new_axes):
        options = {"y_name": "Al/Mg"}
        display = AbundancePlaneDisplay.from_estimator(oracle, star_numbers, stars[0], ax=new_axes(), **options)
        expected = draw(stars[1], stars[2], y_true=stars[0], **options)
        for name in ("points", "truth", "covariance"):
            assert_allclose(getattr(display, name), getattr(expected, name))
        assert display.axis_texts == expected.axis_texts
        noisy = AbundancePlaneDisplay.from_estimator(oracle, star_numbers, x_err=star_numbers, ax=new_axes(), **options)
        assert_allclose(noisy.covariance, 4 * display.covariance)
        assert noisy.truth is None

    def test_correlated_errors(self, tiny_model, tiny_data, new_axes):
        axes = {"x_name": "Mg", "y_name": "Al/C"}
        independent, correlated = (
            AbundancePlaneDisplay.from_estimator(tiny_model, tiny_data.X, correlated=option, ax=new_axes(), **axes)
            for option in (False, True)
        )
        covariance = tiny_model.predict_distribution(tiny_data.X, keep_draws=True).covariance()
        assert_allclose(correlated.covariance[:, 0, 0], independent.covariance[:, 0, 0])
        assert_allclose(correlated.covariance[:, 0, 1], covariance[:, 1, 2] - covariance[:, 1, 3])
        assert_allclose(independent.covariance[:, 0, 1], 0)


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self, stars, new_axes):
        ax = new_axes()
        display = AbundancePlaneDisplay.from_predictions(stars[1], stars[2], label_names=NAMES, ax=ax)
        assert (display.ax_, display.figure_) == (ax, ax.figure)

    def test_in_a_new_figure(self, stars, check_pyplot_figure):
        display = AbundancePlaneDisplay.from_predictions(stars[1], label_names=NAMES)
        assert check_pyplot_figure(display.figure_) == (3.5, 3)

    @pytest.mark.parametrize("n_stars", [1, 200])
    def test_text_is_legible(self, stars, n_stars, check_legible):
        true, pred, std = (labels[-n_stars:] for labels in stars)
        check_legible(draw(pred, std, y_true=true, x_name="teff").figure_)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([[0.0, 0.0]], {"y_true": [[0.0, 0.0], [1.0, 1.0]]}, r"y_true has shape \(2, 2\), expected \(1, 2\)"),
        ([[0.0, 0.0]], {"y_std": [[0.0]]}, r"y_std has shape \(1, 1\), expected \(1, 2\)"),
        ([[0.0, 0.0]], {"errors": "stars"}, "errors='stars', expected one of 'auto', 'ellipses', 'bars'"),
        (
            [[np.nan, 0.0], [0.0, -9999.0]],
            {},
            r"No star has both \[Fe/H\] \(dex\) and \[Mg/Fe\] \(dex\): each of the 2 stars lacks",
        ),
        ([[0.0, np.inf]], {}, "y_pred is infinite in 1 places"),
    ],
)
def test_invalid_input(labels, options, message):
    with pytest.raises(ValueError, match=message):
        draw(labels, names=["Fe", "Mg"], **options)
