"""Predictions as tables: labels and their error bars, with units."""

import subprocess
import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import skbcnn
from skbcnn import Prediction


@pytest.fixture
def prediction():
    """Two stars, three labels; the kinds differ by hundreds."""
    mean = np.arange(6.0).reshape(2, 3)
    return Prediction(mean, mean + 100, mean + 200, mean + 300, ("teff", "Mg", "age"))


def test_labels_and_errors(prediction):
    table = prediction.to_table()
    assert table.colnames == ["teff", "teff_err", "Mg", "Mg_err", "age", "age_err"]
    assert [table[name].unit for name in table.colnames] == [u.K, u.K, u.dex, u.dex, None, None]
    assert_array_equal(table["Mg"], [1, 4])
    assert_array_equal(table["Mg_err"], [301, 304])


@pytest.mark.parametrize(
    ("errors", "columns"),
    [
        ((), {"teff": 0}),
        ("model", {"teff": 0, "teff_err_model": 100}),
        (["predictive", "total"], {"teff": 0, "teff_err_predictive": 200, "teff_err": 300}),
    ],
)
def test_kinds_of_error(prediction, errors, columns):
    first_label = prediction.to_table(errors).columns[: len(columns)]
    assert {name: column[0] for name, column in first_label.items()} == columns
    assert list(prediction.to_pandas(errors).columns[: len(columns)]) == list(columns)


def test_unknown_kind(prediction):
    with pytest.raises(ValueError, match="kind='epistemic', expected 'total', 'predictive', 'model' or 'calibrated'"):
        prediction.to_table(errors=["epistemic"])


def test_one_label_in_one_dimension():
    flat = Prediction(*np.arange(12.0).reshape(4, 3), label_names=("teff",), noisier=np.array([True, False, False]))
    assert flat.to_table().colnames == ["teff", "teff_err", "noisier"]
    assert_array_equal(flat.to_table()["teff_err"], [9, 10, 11])


def test_data_frame(prediction):
    frame = prediction.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == prediction.to_table().colnames
    assert_array_equal(frame["age_err"], [302, 305])
    assert (frame.dtypes == np.float64).all()


def test_no_stars():
    empty = Prediction(*np.empty((4, 0, 1)), label_names=("teff",))
    assert len(empty.to_table()) == len(empty.to_pandas()) == 0


def test_without_pandas(prediction, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=r"Prediction.to_pandas needs pandas: pip install 'skbcnn\[pandas\]'"):
        prediction.to_pandas()
    assert len(prediction.to_table()) == 2


def test_of_a_model(tiny_model, tiny_data):
    prediction = tiny_model.predict_distribution(tiny_data.X, x_err=tiny_data.X_err)
    frame = prediction.to_pandas()
    assert_array_equal(frame[["teff", "Mg", "Al", "C"]], prediction.mean)
    assert_array_equal(frame[["teff_err", "Mg_err", "Al_err", "C_err"]], prediction.total)
    assert_array_equal(frame["noisier"], prediction.noisier)


def test_importing_it_is_light():
    code = "import sys, skbcnn._prediction; assert not {'astropy', 'pandas', 'sklearn'} & set(sys.modules)"
    root = Path(skbcnn.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
