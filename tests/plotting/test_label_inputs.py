"""Labels, error bars and names of columns that users pass."""

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.plotting import ErrorCalibrationDisplay, KielDisplay, ResidualDisplay, ResidualOverviewDisplay
from skbcnn.plotting._label_inputs import (
    as_columns,
    check_shapes,
    column_names,
    column_of,
    error_columns,
    find_column,
)


class TestColumns:
    def test_one_label(self):
        assert as_columns([1.0, 2.0]).shape == (2, 1)

    def test_table(self):
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame({"teff": [4500, None], "Mg": [0.1, 0.2]})
        assert_array_equal(as_columns(table), [[4500, 0.1], [np.nan, 0.2]])

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([[[1.0]]], r"y_true has shape \(1, 1, 1\), expected \(n_samples, n_labels\)"),
            ([1.0, np.inf, -np.inf], "y_true is infinite in 2 places"),
        ],
    )
    def test_invalid_values(self, values, message):
        with pytest.raises(ValueError, match=message):
            as_columns(values, "y_true")

    def test_error_bars(self):
        y_pred = np.zeros((2, 2))
        assert error_columns(None, y_pred) is None
        assert_array_equal(error_columns([[1, -9999], [np.nan, 0]], y_pred), [[1, np.nan], [np.nan, 0]])
        with pytest.raises(ValueError, match="y_std is negative in 1 places"):
            error_columns([[1, -1], [1, 0]], y_pred)
        with pytest.raises(ValueError, match=r"y_std has shape \(1, 2\), expected \(2, 2\) as y_pred has"):
            error_columns([[1, 1]], y_pred)

    def test_shapes(self):
        check_shapes({"flux": np.zeros(3)}, good=None, flux_err=np.ones(3))
        with pytest.raises(ValueError, match=r"good has shape \(4,\), expected \(3,\) as flux has"):
            check_shapes({"flux": np.zeros(3)}, good=np.ones(4))


class TestNames:
    def test_names_that_the_user_passes(self):
        assert column_names(["a", "b"], [[1, 2]], "y_pred") == ("a", "b")
        assert column_names("a", [1, 2], "y_pred") == ("a",)

    def test_names_of_a_table_and_of_apogee(self):
        pandas = pytest.importorskip("pandas")
        assert column_names(None, pandas.DataFrame({"teff": [1.0], "Mg": [0.0]}), "y_pred") == ("teff", "Mg")
        assert column_names(None, np.zeros((1, 22)), "y_pred")[:3] == ("teff", "logg", "C")

    @pytest.mark.parametrize(("names", "found"), [(None, "no names"), (["a"], "1 names")])
    def test_wrong_number_of_names(self, names, found):
        with pytest.raises(ValueError, match=f"y_pred has 2 columns and {found}. Pass one name for each"):
            column_names(names, [[1, 2]], "y_pred")

    def test_any_spelling_finds_a_column(self):
        names = ["TEFF", "[Ti II/H]", "C", "age"]
        assert [find_column(name, names) for name in ("teff", "Ti2", "[C/H]", "age")] == [0, 1, 2, 3]
        assert find_column("C1", names) is None
        assert find_column(None, ["age"]) == 0

    def test_same_spelling_comes_first(self):
        assert find_column("ti2", ["Ti2", "ti2"]) == 1

    @pytest.mark.parametrize("name", [None, "V"])
    def test_unknown_name(self, name):
        with pytest.raises(ValueError, match=f"x_name={name!r}, expected one of the labels of y_pred: teff, Mg"):
            column_of(name, ["teff", "Mg"], argument="x_name", owner="y_pred")


class TestTablesOfOneDisplay:
    """Columns of several tables are matched by name, and units and masks are honoured."""

    Y_TRUE = pd.DataFrame({"MG_H": [0.1, 0.2], "TEFF": [4500.0, 4600.0]})
    Y_PRED = pd.DataFrame({"teff": [4510.0, 4610.0], "Mg": [0.2, 0.3]})
    Y_STD = Table({"e_Mg": [0.1, 0.1], "e_teff": [0.01, 0.01] * units.kK})

    def test_residual_overview(self):
        for y_pred in (self.Y_PRED, self.Y_PRED.to_numpy()):
            display = ResidualOverviewDisplay.from_predictions(self.Y_TRUE, y_pred, label_names=["teff", "Mg"])
            assert_allclose(display.y_pred - display.y_true, [[10, 0.1]] * 2)

    def test_calibration(self):
        display = ErrorCalibrationDisplay.from_predictions(
            self.Y_TRUE, self.Y_PRED, self.Y_STD, label_names=["teff", "Mg"]
        )
        assert_allclose(display.z, np.ones((2, 2)))

    def test_kiel_diagram(self):
        y_pred = self.Y_PRED.rename(columns={"Mg": "logg"})
        y_std = pd.DataFrame({"e_logg": [0.1, 0.1], "e_teff": [50.0, 50.0]})
        assert_array_equal(KielDisplay.from_predictions(y_pred, y_std).y_std, [[50, 0.1]] * 2)

    def test_residuals(self):
        y_true = Table({"teff": np.ma.array([4.5, 777], mask=[False, True])}, units={"teff": "kK"})
        display = ResidualDisplay.from_predictions(y_true, [4510.0, 4610.0], label_name="teff")
        assert_array_equal(display.y_true, [4500, np.nan])
