"""The table of residuals."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skbcnn.metrics import residual_table
from skbcnn.survey import APOGEE_LABELS, MISSING

MAD_TO_STD = 1.482602218505602


class TestResidualTable:
    def test_numbers_worked_by_hand(self):
        y_true = [[4000, 1.0], [4100, 2.0], [4200, 3.0], [4300, 4.0], [4400, 5.0]]
        y_pred = [[4010, 1.0], [4080, 2.1], [4230, 2.9], [4300, 4.3], [4400, 4.8]]
        table = residual_table(y_true, y_pred, label_names=["teff", "Mg"])
        # teff: residuals 10, -20, 30, 0, 0; median 0; distances from it 10, 20, 30, 0, 0 with median 10
        # Mg: 0, 0.1, -0.1, 0.3, -0.2; median 0; distances 0, 0.1, 0.1, 0.3, 0.2 with median 0.1
        assert list(table["label"]) == ["teff", "Mg"]
        assert list(table["n"]) == [5, 5]
        assert_allclose(table["median_residual"], [0, 0], atol=1e-12)
        assert_allclose(table["mad_std"], [10 * MAD_TO_STD, 0.1 * MAD_TO_STD])
        assert list(table["unit"]) == ["K", "dex"]

    def test_residual_is_prediction_minus_truth(self):
        assert residual_table([4000.0, 4000.0], [4050.0, 4050.0], label_names=["teff"])["median_residual"][0] == 50

    @pytest.mark.parametrize("missing", [np.nan, MISSING, -9999.99, float(np.float32(-9999.99))])
    def test_missing_labels_are_left_out(self, missing):
        table = residual_table([[1.0], [missing], [3.0]], [[1.5], [777.0], [3.5]], label_names=["Mg"])
        assert (table["n"][0], table["median_residual"][0], table["mad_std"][0]) == (2, 0.5, 0.0)

    def test_label_that_no_star_has(self):
        table = residual_table([[1.0, MISSING]], [[1.0, 2.0]], label_names=["Mg", "Al"])
        assert list(table["n"]) == [1, 0]
        assert np.isnan(table["median_residual"][1])
        assert np.isnan(table["mad_std"][1])

    def test_22_columns_are_the_labels_of_apogee(self):
        assert list(residual_table(np.ones((3, 22)), np.ones((3, 22)))["label"]) == list(APOGEE_LABELS)

    def test_names_of_a_data_frame(self):
        y = pd.DataFrame({"Teff": [4000.0], "[TiII/H]": [0.1], "age": [3.0]})
        table = residual_table(y, y.to_numpy())
        assert list(table["label"]) == ["Teff", "[TiII/H]", "age"]
        assert list(table["unit"]) == ["K", "dex", ""]

    def test_units_of_the_user(self):
        assert residual_table([1.0], [1.0], label_names=["age"], units=["Gyr"])["unit"][0] == "Gyr"

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({}, "2 labels and no names. Pass one name for each"),
            ({"label_names": ["teff"]}, "2 labels and 1 names"),
            ({"label_names": ["teff", "Mg"], "units": ["K"]}, "1 units for 2 labels"),
        ],
    )
    def test_names_and_units_must_fit(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            residual_table(np.ones((2, 2)), np.ones((2, 2)), **kwargs)

    def test_name_of_a_series(self):
        assert list(residual_table(pd.Series([4000.0], name="teff"), [4000.0])["label"]) == ["teff"]

    def test_shapes_differ(self):
        with pytest.raises(ValueError, match=r"y_true has shape \(3, 2\), but y_pred has shape \(3, 1\)"):
            residual_table(np.ones((3, 2)), np.ones((3, 1)), label_names=["Mg", "Al"])
