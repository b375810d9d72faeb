"""Predictions as tables with units."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from astropy.utils.masked import Masked
from numpy.testing import assert_array_equal

from skbcnn import Prediction
from skbcnn.catalog import check_table_name, prediction_table, write_table
from skbcnn.novelty import Assessment, NoveltyFlag
from tests.catalog.stars import STARS, prediction, stars_table


def test_columns_stand_in_order():
    per_label = ["", "_err", "_err_model", "_err_predictive"]
    expected = [*STARS, *(name + suffix for name in ("teff", "Mg", "age") for suffix in per_label), "noisier"]
    assert stars_table().colnames == expected


def test_values_stand_in_their_columns():
    table = stars_table()
    assert list(table["Mg"]) == [1, 4]
    assert list(table["Mg_err_model"]) == [101, 104]
    assert list(table["Mg_err_predictive"]) == [201, 204]
    assert list(table["Mg_err"]) == [301, 304]
    assert list(table["noisier"]) == [True, False]
    assert list(table["star"]) == STARS["star"]


@pytest.mark.parametrize(("naming", "name"), [("skbcnn", "Mg_err_calibrated"), ("sdssv", "e_mg_h_calibrated")])
def test_calibrated_errors_where_they_are_known(naming, name):
    table = prediction_table(prediction(calibrated=True), naming=naming)
    assert list(table[name]) == [401, 404]
    assert str(table[name].unit) == "dex"
    assert name not in prediction_table(prediction(), naming=naming).colnames


def test_units():
    table = stars_table()
    units = {name: table[name].unit for name in table.colnames}
    assert units["teff"] == units["teff_err_model"] == u.K
    assert str(units["Mg"]) == str(units["Mg_err"]) == "dex"
    assert units["ra"] == units["dec"] == u.deg
    assert units["age"] is units["snr"] is units["star"] is units["noisier"] is None


def test_noisier_only_where_it_is_known():
    assert "noisier" not in prediction_table(prediction()).colnames


def test_one_label_in_one_dimension():
    flat = Prediction(*np.arange(12.0).reshape(4, 3), label_names=("teff",))
    assert list(prediction_table(flat)["teff_err"]) == [9, 10, 11]


def test_no_stars():
    table = prediction_table(Prediction(*np.empty((4, 0, 1)), label_names=("teff",)), columns={"star": []})
    assert (len(table), table["teff"].unit) == (0, u.K)


def test_a_quantity_brings_its_unit():
    table = prediction_table(prediction(), columns={"ra": [1, 2] * u.rad, "rv": [3, 4] * u.km / u.s})
    assert (table["ra"].unit, table["rv"].unit) == (u.rad, u.km / u.s)


def test_pandas_and_objects_become_text():
    table = prediction_table(
        prediction(), columns={"a": pd.Series(["x", "yz"]), "b": np.array(["x", "yz"], dtype=object)}
    )
    assert table["a"].dtype.kind == table["b"].dtype.kind == "U"


@pytest.mark.parametrize(
    "values", [np.array([1, None]), Masked([1.0, 7.0], [False, True]), Masked([1.0, 7.0], [False, True]) * u.km / u.s]
)
def test_numbers_in_any_container_are_absent_where_masked(values):
    column = prediction_table(prediction(), columns={"rv": values})["rv"]
    assert column.dtype.kind == "f"
    assert_array_equal(np.ma.filled(column, np.nan), [1, np.nan])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"star": ["2M00"]}, r"Column 'star' has shape \(1,\), expected \(2,\): one value for each star"),
        ({"star": "2M00"}, r"Column 'star' has shape \(\), expected \(2,\)"),
        ({"flux": np.ones((2, 3))}, r"Column 'flux' has shape \(2, 3\)"),
        ({"star": [1j, "2M00"]}, "Column 'star' holds object, expected numbers, booleans or text"),
        ({"Teff": [1, 2]}, "Columns of the table have the same name: Teff, teff. Rename those in `columns`"),
    ],
)
def test_columns_that_do_not_fit(columns, message):
    with pytest.raises(ValueError, match=message):
        prediction_table(prediction(), columns=columns)


@pytest.mark.parametrize(
    "names", [["x", None], ["x", np.nan], pd.array(["x", None], dtype="string"), np.ma.array(["x", "y"], mask=[0, 1])]
)
def test_absent_text_is_masked(names):
    column = prediction_table(prediction(), columns={"a": names})["a"]
    assert (column[0], column.dtype.kind) == ("x", "U")
    assert list(column.mask) == [False, True]


def test_columns_of_data_frames_and_tables():
    for columns in (pd.DataFrame({"star": ["x", "y"]}), Table({"star": ["x", "y"]})):
        assert list(prediction_table(prediction(), columns=columns)["star"]) == ["x", "y"]


def test_arguments_of_another_kind(tmp_path):
    for call, sentence in {
        lambda: prediction_table(np.ones((2, 3))): "prediction is a ndarray, expected a Prediction",
        lambda: prediction_table(prediction(), columns=["x", "y"]): "columns is a list, expected a mapping of names",
        lambda: write_table(pd.DataFrame({"a": [1]}), tmp_path / "a.csv"): "table is a DataFrame, expected an astropy",
        lambda: write_table(stars_table(), None): "path is None, expected the path of a file",
        lambda: check_table_name(b"a.csv"): "path is b'a.csv', expected the path",
    }.items():
        with pytest.raises(TypeError, match=sentence):
            call()


def test_which_stars_to_use():
    """Bits of SDSS-V that good stars have are in its own naming only, and no reason to leave a star out."""
    mean, total = np.array([[4800.0, 0.01], [4800.0, 0.01]]), np.array([[25.0, 0.03], [25.0, 0.03]])
    stars = Prediction(mean, total, total, total, ("teff", "Fe"))
    bits = np.array([0, NoveltyFlag.BAD_PIXELS], dtype=np.int32)
    assessment = Assessment(np.zeros(2), np.array([0, 2]), np.zeros((2, 2)), np.zeros(2), bits)
    ours, theirs = (prediction_table(stars, assessment=assessment, naming=naming) for naming in ("skbcnn", "sdssv"))
    assert list(ours["result_flags"]) == [0, NoveltyFlag.BAD_PIXELS]
    assert list(theirs["result_flags"]) == [
        NoveltyFlag.UNCERTAIN_FE_H,
        NoveltyFlag.UNCERTAIN_FE_H | NoveltyFlag.BAD_PIXELS,
    ]
    for table in (ours, theirs):
        assert list(table["do_not_use"]) == [False, True]
        assert list(table["do_not_use"]) == list(assessment.do_not_use)
