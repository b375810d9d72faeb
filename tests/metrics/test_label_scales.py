"""Scales of labels in means over labels."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import UndefinedMetricWarning

from skbcnn.metrics import mean_absolute_error
from skbcnn.survey import APOGEE_LABELS, MISSING, label_spreads

Y_TRUE = np.array([[4000, 0.1], [4200, MISSING], [4600, 0.3], [4800, 0.5]])
Y_PRED = Y_TRUE + np.array([[100, 0.1], [100, 0.0], [-100, -0.1], [100, 0.1]])  # mean absolute errors 100 and 0.1


def test_kelvin_dominates_dex_without_scale():
    assert_allclose(mean_absolute_error(Y_TRUE, Y_PRED), (100 + 0.1) / 2)


def test_std_is_that_of_the_present_labels():
    expected = [100 / np.std([4000, 4200, 4600, 4800]), 0.1 / np.std([0.1, 0.3, 0.5])]
    assert_allclose(mean_absolute_error(Y_TRUE, Y_PRED, label_scale="std", multioutput="raw_values"), expected)


def test_std_is_weighted():
    kwargs = {"label_scale": "std", "multioutput": "raw_values"}
    doubled = mean_absolute_error(np.repeat(Y_TRUE, [1, 2, 0, 3], 0), np.repeat(Y_PRED, [1, 2, 0, 3], 0), **kwargs)
    assert_allclose(mean_absolute_error(Y_TRUE, Y_PRED, sample_weight=[1, 2, 0, 3], **kwargs), doubled)


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_score_with_std_does_not_depend_on_units(factor):
    in_other_units = np.where(Y_TRUE == MISSING, MISSING, Y_TRUE * [1, factor])
    assert_allclose(
        mean_absolute_error(in_other_units, Y_PRED * [1, factor], label_scale="std"),
        mean_absolute_error(Y_TRUE, Y_PRED, label_scale="std"),
    )


def test_label_without_spread():
    y_true, y_pred = [[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]], [[1.0, 0.2], [2.0, 0.2], [4.0, 0.2]]
    with pytest.warns(UndefinedMetricWarning, match="label 1 .*no spread"):
        scaled = mean_absolute_error(y_true, y_pred, label_scale="std")
    assert_allclose(scaled, 1 / 3 / np.std([1, 2, 3]))
    with pytest.raises(ValueError, match=r"There is no mean absolute error, because .*no spread to scale by"):
        mean_absolute_error([0.1, 0.1], [0.2, 0.3], label_scale="std")


class TestApogee:
    def test_by_column_names(self):
        y = pd.DataFrame(Y_TRUE, columns=["Teff", "[Mg/H]"])
        scaled = mean_absolute_error(y, Y_PRED, label_scale="apogee", multioutput="raw_values")
        assert_allclose(scaled, [100 / 294, 0.1 / 0.26])

    def test_by_name_of_a_series(self):
        y = pd.Series([4000.0, 4100.0], name="teff")
        assert_allclose(mean_absolute_error(y, y + 294, label_scale="apogee"), 1)

    def test_22_columns_are_the_labels_of_apogee(self):
        y = np.zeros((3, len(APOGEE_LABELS)))
        scaled = mean_absolute_error(y, y + label_spreads(), label_scale="apogee", multioutput="raw_values")
        assert_allclose(scaled, 1)

    def test_labels_without_names(self):
        with pytest.raises(ValueError, match=r"2 columns without names\. Pass y_true as a data frame, or"):
            mean_absolute_error(Y_TRUE, Y_PRED, label_scale="apogee")


@pytest.mark.parametrize(
    ("label_scale", "message"),
    [
        ("mad", "label_scale='mad', expected None, 'std', 'apogee'"),
        ([1.0], r"label_scale has shape \(1,\), expected one number for each of 2"),
        ([1.0, 0.0], "finite numbers above 0"),
        ([1.0, np.nan], "finite numbers above 0"),
    ],
)
def test_invalid_scales(label_scale, message):
    with pytest.raises(ValueError, match=message):
        mean_absolute_error(Y_TRUE, Y_PRED, label_scale=label_scale)
