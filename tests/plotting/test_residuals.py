"""Residuals of one label: points, statistics and limits."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose

from skbcnn import Prediction
from skbcnn.metrics import residual_table
from skbcnn.plotting import ResidualDisplay, new_figure
from tests.plotting.artists import artists, positions

MINUS = "\N{MINUS SIGN}"


def draw(y_true, y_pred, **options):
    return ResidualDisplay.from_predictions(y_true, y_pred, ax=new_figure(6, 4).add_subplot(), **options)


def points(display):
    """Return the positions of the points: (n_points, 2)."""
    return positions(display.ax_.collections[-1])


@pytest.fixture(scope="module")
def labels():
    """True and predicted values of one label of 400 stars."""
    rng = np.random.default_rng(0)
    true = rng.normal(-0.1, 0.3, 400)
    return true, true + 0.02 + 0.05 * rng.normal(size=400)


class TestPoints:
    def test_are_prediction_minus_truth(self):
        assert_allclose(points(draw([1.0, 2.0], [1.5, 1.0])), [[1, 0.5], [2, -1]])

    @pytest.mark.parametrize("missing", [np.nan, -9999.0])
    def test_missing_labels_are_left_out(self, missing):
        display = draw([4500.0, missing, 4600.0], [4510.0, 4700.0, 4580.0], y_std=[1, 2, 3], snr=[50, 60, 90])
        expected = draw([4500.0, 4600.0], [4510.0, 4580.0], y_std=[1, 3], snr=[50, 90])
        assert_allclose(points(display), points(expected))
        assert display.ax_.get_title() == expected.ax_.get_title()
        assert display.ax_.get_xlim() == expected.ax_.get_xlim()
        assert len(display.ax_.collections[0].get_segments()) == 2
        assert_allclose(display.ax_.collections[-1].get_array(), [50, 90])

    def test_colour_bar_if_the_snr_differs(self, labels):
        n_axes = [len(draw(*labels, snr=snr).figure_.axes) for snr in (None, np.full(400, 100.0), np.arange(400.0))]
        assert n_axes == [1, 1, 2]


class TestOneLabelOfSeveral:
    """Matrices, tables and predictions hold all labels; `label_name` chooses one."""

    TRUE = np.array([[4500.0, 0.1], [4600.0, 0.2]])
    STD = np.array([[50.0, 0.03], [60.0, 0.04]])

    @pytest.mark.parametrize("kind", ["matrix", "data frame", "table", "prediction"])
    def test_is_chosen_by_any_spelling(self, kind):
        y_pred, names = self.TRUE + np.array([10, 0.05]), ("teff", "Fe")
        given, options = {
            "matrix": (y_pred, {"label_names": names, "y_std": self.STD}),
            "data frame": (pd.DataFrame(y_pred[:, ::-1], columns=["FE_H", "TEFF"]), {"y_std": self.STD[:, 1]}),
            "table": (Table(y_pred, names=names), {"y_std": Table(self.STD, names=["e_teff", "e_Fe"])}),
            "prediction": (Prediction(y_pred, self.STD, self.STD, self.STD, names), {}),
        }[kind]
        display = draw(self.TRUE[:, 1] if kind == "data frame" else self.TRUE, given, label_name="[Fe/H]", **options)
        assert_allclose(points(display), [[0.1, 0.05], [0.2, 0.05]])
        assert_allclose(display.y_std, [0.03, 0.04])
        assert display.ax_.get_xlabel() == "True [Fe/H] (dex)"

    def test_error_bars_of_a_prediction_are_calibrated_if_it_has_such(self):
        prediction = Prediction(*[self.STD] * 4, ("teff", "Fe"), calibrated=2 * self.STD)
        assert_allclose(draw(self.TRUE, prediction, label_name="teff").y_std, [100, 120])
        assert_allclose(draw(self.TRUE, prediction, y_std=self.STD, label_name="teff").y_std, [50, 60])

    def test_name_of_a_single_label_is_known(self):
        y_pred = pd.Series([0.1, 0.2], name="Mg")
        assert draw([0.1, 0.1], y_pred).label_name == "Mg"
        assert draw([0.1, 0.1], y_pred.rename("mine")).label_name == "label"

    def test_several_labels_need_a_name(self):
        with pytest.raises(ValueError, match="label_name=None, expected one of the labels of y_true: teff, Fe"):
            draw(self.TRUE, self.TRUE, label_names=["teff", "Fe"])


class TestStatistics:
    def test_by_hand(self):
        true = np.array([4000.0, 4100.0, 4200.0])
        # residuals 10, 30, -20: median 10, absolute deviations 0, 20 and 30, so that mad_std is 20 * 1.4826
        title = draw(true, true + np.array([10, 30, -20]), label_name="teff").ax_.get_title()
        assert title.startswith("3 spectra: bias 10 K, scatter 30 K")
        title = draw(true, true + np.array([-0.01, 0.04, -0.06]), label_name="Mg").ax_.get_title()
        assert f"bias {MINUS}0.010 dex, scatter 0.074 dex" in title

    def test_zero_is_never_negative(self):
        assert "bias 0.000" in draw([0.0, 0.0, 0.0], [-1e-5, 0.03, -0.03], label_name="Mg").ax_.get_title()

    def test_agree_with_the_residual_table(self, labels):
        (row,) = residual_table(*labels, label_names=["Mg"])
        title = draw(*labels, label_name="Mg").ax_.get_title()
        assert f"bias {row['median_residual']:.3f} dex, scatter {row['mad_std']:.3f} dex" in title

    def test_running_bias(self, labels):
        line = artists(draw(*labels).ax_)["running bias"]
        assert_allclose(line.get_ydata(), 0.02, atol=0.03)
        assert len(line.get_xdata()) == 12
        first_bin = np.argsort(labels[0])[: -(-400 // 12)]
        assert line.get_ydata()[0] == pytest.approx(np.median((labels[1] - labels[0])[first_bin]))

    def test_few_stars_have_no_running_bias(self):
        assert draw(np.arange(20.0), np.arange(20.0)).ax_.get_legend() is None


class TestAxes:
    def test_symbols_and_units(self):
        ax = draw([4500.0], [4510.0], label_name="TEFF").ax_
        assert ax.get_xlabel() == r"True $T_\mathrm{eff}$ (K)"
        assert ax.get_ylabel() == rf"Predicted {MINUS} true $T_\mathrm{{eff}}$ (K)"
        assert draw([0.1], [0.2], label_name="age").ax_.get_xlabel() == "True age"

    def test_name_of_the_reference(self):
        ax = draw([4500.0], [4510.0], label_name="Fe", reference_name="ASPCAP").ax_
        assert ax.get_xlabel() == "ASPCAP [Fe/H] (dex)"
        assert ax.get_ylabel() == f"Predicted {MINUS} ASPCAP [Fe/H] (dex)"

    def test_zero_is_in_the_middle(self, labels):
        low, high = draw(*labels).ax_.get_ylim()
        assert low == -high

    def test_outliers_are_counted_in_the_title(self, labels):
        true, pred = labels[0].copy(), labels[1].copy()
        pred[0] += 100
        ax = draw(true, pred).ax_
        assert ax.get_ylim()[1] < 1
        inside = (np.abs(pred - true) <= ax.get_ylim()[1]) & (true >= ax.get_xlim()[0]) & (true <= ax.get_xlim()[1])
        assert 0 < (~inside).sum() < 10
        assert f"({(~inside).sum()} outside the axes)" in ax.get_title()

    def test_limits_of_equal_values(self):
        display = draw([2.0, 2.0], [2.0, 2.0])
        assert display.ax_.get_ylim() == (-1, 1)
        assert display.ax_.get_xlim()[0] < 2 < display.ax_.get_xlim()[1]


class TestFromEstimator:
    def test_equals_from_predictions(self, oracle, stars, star_numbers, new_axes):
        display = ResidualDisplay.from_estimator(oracle, star_numbers, stars[0], label_name="[Al/H]", ax=new_axes())
        assert display.label_name == "Al"
        for values, expected in zip((display.y_true, display.y_pred, display.y_std), stars, strict=True):
            assert_allclose(values, expected[:, 3])

    def test_flux_errors(self, oracle, stars, star_numbers, new_axes):
        display = ResidualDisplay.from_estimator(
            oracle, star_numbers, stars[0], label_name="Fe", x_err=star_numbers, snr=np.arange(200), ax=new_axes()
        )
        assert_allclose(display.y_std, 2 * stars[2][:, 4])
        assert_allclose(display.snr, np.arange(200))

    @pytest.mark.parametrize("name", [None, "V"])
    def test_unknown_label(self, oracle, stars, star_numbers, name):
        with pytest.raises(ValueError, match="expected one of the labels of the estimator: teff, logg, Mg, Al, Fe"):
            ResidualDisplay.from_estimator(oracle, star_numbers, stars[0], label_name=name)


class TestPlot:
    @pytest.mark.usefixtures("pyplot_unchanged")
    def test_on_axes_of_the_user(self, labels, new_axes):
        ax = new_axes()
        display = ResidualDisplay(y_true=labels[0], y_pred=labels[1], label_name="Mg")
        assert display.plot(ax) is display
        assert (display.ax_, display.figure_) == (ax, ax.figure)

    def test_in_a_new_figure(self, check_pyplot_figure):
        assert check_pyplot_figure(ResidualDisplay.from_predictions([1.0], [1.1]).figure_) == (7, 4.5)

    def test_text_is_legible(self, labels, check_legible):
        check_legible(draw(*labels, snr=np.arange(400.0), label_name="teff").figure_)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "options", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], {}, "y_true has 2 columns and no names. Pass one name for each as `label_names`"),
        ([1.0, 2.0], [1.0], {}, r"y_pred has shape \(1,\), expected \(2,\)"),
        ([1.0], [1.0], {"y_std": [1, 2]}, r"y_std has shape \(2,\)"),
        ([1.0], [1.0], {"snr": [1, 2]}, r"snr has shape \(2,\)"),
        ([1.0, 2.0], [1.0, np.nan], {}, "y_pred is missing in 1 places where y_true is not"),
        ([1.0], [1.0], {"y_std": [-1.0]}, "y_std is negative in 1 places"),
        ([np.nan, -9999.0], [1.0, 1.0], {"label_name": "Mg"}, "No star has a true value of Mg: all 2 are missing"),
    ],
)
def test_invalid_input(y_true, y_pred, options, message):
    with pytest.raises(ValueError, match=message):
        draw(y_true, y_pred, **options)
