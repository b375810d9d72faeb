"""Behaviour of every metric: missing labels, weights, means over labels, tables and invalid input."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from astropy.table import MaskedColumn, QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import max_error

from skbcnn import metrics
from skbcnn.survey import MISSING

OF_LABELS = [
    metrics.mad_std_error,
    metrics.mean_absolute_error,
    metrics.median_bias,
    metrics.r2_score,
    metrics.root_mean_squared_error,
    metrics.magic_metric(max_error),
]
OF_ERROR_BARS = [metrics.crps_gaussian, metrics.expected_calibration_error, metrics.gaussian_nll_loss]
WEIGHTED = [*OF_LABELS[:-1], *OF_ERROR_BARS]
N_STARS = 12


def stars(seed, missing=MISSING):
    """Return labels, some missing, with predictions, their standard deviations and errors of the labels."""
    random = np.random.default_rng(seed)
    y_true, y_pred = random.normal(size=(2, N_STARS, 3)) * [300, 0.3, 1]
    y_std, y_err = random.uniform(0.1, 1, size=(2, N_STARS, 3)) * [300, 0.3, 1]
    y_true[random.random(y_true.shape) < 0.3] = missing
    y_true[:2] = [[100, 0.1, 1], [200, 0.2, 2]]  # every label has values that differ
    return y_true, y_pred, y_std, y_err


def score(metric, y_true, y_pred, y_std, y_err=None, **kwargs):
    """Return the score of a metric, with standard deviations if it takes them."""
    if metric in OF_ERROR_BARS:
        return metric(y_true, y_pred, y_std, y_err=y_err, **kwargs)
    return metric(y_true, y_pred, **kwargs)


every_metric = pytest.mark.parametrize("metric", [*OF_LABELS, *OF_ERROR_BARS], ids=lambda metric: metric.__name__)
every_weighted = pytest.mark.parametrize("metric", WEIGHTED, ids=lambda metric: metric.__name__)
every_scale = pytest.mark.parametrize("label_scale", [None, "std", [300.0, 0.3, 1.0]], ids=str)


@every_metric
@every_scale
@pytest.mark.parametrize("missing", [np.nan, float(np.float32(-9999.99))])
def test_missing_labels_are_left_out(metric, label_scale, missing):
    data = stars(0, missing)
    scores = score(metric, *data, multioutput="raw_values", label_scale=label_scale)
    for column in range(3):
        present = ~(np.isnan(data[0][:, column]) | (data[0][:, column] < -9990))
        assert 2 < present.sum() < N_STARS
        scale = [label_scale[column]] if isinstance(label_scale, list) else label_scale
        alone = score(metric, *(part[present, column] for part in data), label_scale=scale)
        assert_allclose(scores[column], alone, rtol=1e-12)


@every_metric
def test_values_of_missing_labels_are_ignored(metric):
    y_true, *others = stars(1)
    expected = score(metric, y_true, *others, label_scale="std")
    for value in (np.nan, MISSING, 1e200, -3.0):
        changed = [np.where(y_true == MISSING, value, part) for part in others]
        assert score(metric, y_true, *changed, label_scale="std") == expected


@every_weighted
@every_scale
@settings(max_examples=10)
@given(counts=st.lists(st.integers(0, 4), min_size=N_STARS - 2, max_size=N_STARS - 2), seed=st.integers(0, 99))
def test_weight_is_a_number_of_stars(metric, label_scale, counts, seed):
    counts = np.array([1, 3, *counts])  # the first two have every label
    kwargs = {"multioutput": "raw_values", "label_scale": label_scale}
    weighted = score(metric, *stars(seed), sample_weight=counts, **kwargs)
    repeated = score(metric, *(np.repeat(part, counts, axis=0) for part in stars(seed)), **kwargs)
    assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-12)


@every_weighted
def test_star_of_weight_0_is_ignored(metric):
    data = stars(2)
    garbage = [np.vstack([part, np.full((1, 3), value)]) for part, value in zip(data, (7, np.nan, -1, -5), strict=True)]
    weight = [*[1] * N_STARS, 0]
    assert_allclose(score(metric, *garbage, sample_weight=weight), score(metric, *data), rtol=1e-12)


@every_metric
def test_means_over_labels(metric):
    raw = score(metric, *stars(3), multioutput="raw_values")
    assert raw.shape == (3,)
    assert isinstance(score(metric, *stars(3)), float)
    assert_allclose(score(metric, *stars(3)), raw.mean())
    assert_allclose(score(metric, *stars(3), multioutput=[1, 0, 3]), (raw[0] + 3 * raw[2]) / 4)


@every_metric
def test_one_label_as_one_dimension(metric):
    column = [part[:, 1] for part in stars(4)]
    flat, tall = score(metric, *column), score(metric, *(part[:, None] for part in column))
    assert flat == tall
    assert flat == score(metric, column[0], *(part[:, None] for part in column[1:]))
    assert flat == score(metric, *map(pd.Series, column))


def as_table(kind, part):
    """Return an array of labels as a table in which missing labels are masked."""
    columns = [MaskedColumn(column, mask=column == MISSING) for column in part.T]
    return kind(dict(zip("abc", columns, strict=True)))


@every_metric
def test_tables_and_lists(metric):
    data = stars(5)
    same = [
        map(pd.DataFrame, data),
        (part.tolist() for part in data),
        (as_table(Table, part) for part in data),
        (as_table(QTable, part) for part in data),
        (as_table(Table, part).as_array() for part in data),
    ]
    for parts in same:
        assert_allclose(score(metric, *parts), score(metric, *data), rtol=1e-12)


def test_units_of_a_table_are_converted():
    in_kilokelvin = Table({"teff": [4.0, 5.0]}, units={"teff": "kK"})
    assert metrics.mean_absolute_error(in_kilokelvin, [[4010.0], [5030.0]]) == pytest.approx(20)


@every_metric
def test_arrays_of_the_caller_do_not_change(metric):
    data = stars(6)
    score(metric, *data, sample_weight=None, label_scale="std")
    for part, original in zip(data, stars(6), strict=True):
        assert_array_equal(part, original)


@every_metric
def test_label_without_values(metric):
    data = stars(7)
    data[0][:, 1] = np.nan
    with pytest.warns(UndefinedMetricWarning, match="not defined for label 1"):
        raw = score(metric, *data, multioutput="raw_values")
    assert_array_equal(np.isnan(raw), [False, True, False])
    with pytest.warns(UndefinedMetricWarning, match="left out of means") as warned:
        mean = score(metric, *data)
    assert warned[0].filename == __file__
    assert_allclose(mean, np.nanmean(raw))
    with (
        pytest.warns(UndefinedMetricWarning),
        pytest.raises(ValueError, match="all have weight 0 in multioutput"),
    ):
        score(metric, *data, multioutput=[0, 1, 0])


@every_metric
def test_no_label_has_values(metric):
    with pytest.raises(ValueError, match="There is no"):
        score(metric, np.full((2, 1), MISSING), np.ones((2, 1)), np.ones((2, 1)))


@every_metric
def test_shapes_differ(metric):
    with pytest.raises(ValueError, match=r"y_true has shape \(3, 2\), but y_pred has shape \(3, 1\)"):
        score(metric, np.ones((3, 2)), np.ones((3, 1)), np.ones((3, 1)))


@every_metric
def test_missing_prediction_of_a_present_label(metric):
    for missing in (np.nan, MISSING):
        with pytest.raises(ValueError, match="y_pred is missing in 1 places"):
            score(metric, [[1.0, 2.0], [2.0, 3.0]], [[1.0, missing], [2.0, 3.0]], np.ones((2, 2)))


@every_metric
def test_infinite_labels_and_predictions(metric):
    for j, name in enumerate(("y_true", "y_pred")):
        data = [np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2))]
        data[j][0, 0] = np.inf
        with pytest.raises(ValueError, match=f"Input {name} contains infinity"):
            score(metric, *data)


@every_metric
def test_invalid_multioutput(metric):
    for multioutput, message in (
        ("mean", "multioutput='mean', expected raw_values, uniform_average"),
        ([1.0], r"multioutput has shape \(1,\), expected one weight for each of 3"),
        ([1.0, -1.0, 0.0], "expected weights that are finite and not negative"),
    ):
        with pytest.raises(ValueError, match=message):
            score(metric, *stars(8), multioutput=multioutput)


@every_weighted
def test_weights_that_are_all_zero(metric):
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        score(metric, *stars(9), sample_weight=np.zeros(N_STARS))


def test_metrics_need_neither_tensorflow_nor_the_regressor():
    code = """
import sys
import skbcnn.metrics
print([name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras") or name == "skbcnn.regressor"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
