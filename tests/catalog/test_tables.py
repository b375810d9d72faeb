"""Predictions as tables with units, and such tables as files."""

import errno

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

from skbcnn import Prediction
from skbcnn.catalog import check_table_name, prediction_table, write_table

STARS = {"star": ["2M00", "2M01-long"], "ra": [10.5, 359.0], "dec": np.array([-3.0, 4.0]), "snr": [80, 200]}


def prediction(names=("teff", "Mg", "age"), noisier=None, calibrated=False):
    """Return two stars with means 0, 1, ..., and errors that differ between the columns."""
    mean = np.arange(2.0 * len(names)).reshape(2, -1)
    return Prediction(
        mean, mean + 100, mean + 200, mean + 300, tuple(names), noisier, mean + 400 if calibrated else None
    )


def stars_table(**more):
    return prediction_table(prediction(noisier=np.array([True, False])), columns=STARS, **more)


def broken_write(self, path, **options):
    path.write_text("half", encoding="utf-8")
    raise OSError(errno.ENOSPC, "No space left on device")


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
    ("columns", "message"),
    [
        ({"star": ["2M00"]}, r"Column 'star' has shape \(1,\), expected \(2,\): one value for each star"),
        ({"star": "2M00"}, r"Column 'star' has shape \(\), expected \(2,\)"),
        ({"flux": np.ones((2, 3))}, r"Column 'flux' has shape \(2, 3\)"),
        ({"star": [None, "2M00"]}, "Column 'star' holds object, expected numbers, booleans or text"),
        ({"Teff": [1, 2]}, "Columns of the table have the same name: Teff, teff. Rename those in `columns`"),
    ],
)
def test_columns_that_do_not_fit(columns, message):
    with pytest.raises(ValueError, match=message):
        prediction_table(prediction(), columns=columns)


@pytest.mark.parametrize("suffix", [".fits", ".FIT"])
def test_fits(tmp_path, suffix):
    table = stars_table(meta={"model": "demo, synthetic ± stars", "note": "first\nsecond"})
    path = write_table(table, tmp_path / f"stars{suffix}")
    assert table["Mg"].unit == u.dex  # what is written stays as it was
    with fits.open(path) as file:
        header, data = file[1].header, file[1].data
        units = {name: header.get(f"TUNIT{i}") for i, name in enumerate(data.names, start=1)}
        assert data.names == table.colnames
        assert [units[name] for name in ("teff", "Mg_err", "ra", "age", "star")] == ["K", "dex", "deg", None, None]
        assert list(header["COMMENT"]) == ["model: demo, synthetic \\xb1 stars", "note: first", "second"]
    again = Table.read(path, unit_parse_strict="silent")
    for name in table.colnames:
        np.testing.assert_array_equal(again[name].astype(table[name].dtype), table[name])


def test_fits_writes_composed_units_its_own_way(tmp_path):
    path = write_table(prediction_table(prediction(), columns={"rv": [3, 4] * u.km / u.s}), tmp_path / "stars.fits")
    assert fits.getheader(path, 1)["TUNIT1"] == "km s-1"


def test_fits_keeps_masked_values(tmp_path):
    columns = {"snr": np.ma.array([1.0, 2.0], mask=[False, True])}
    path = write_table(prediction_table(prediction(), columns=columns), tmp_path / "stars.fits")
    np.testing.assert_array_equal(fits.getdata(path)["snr"], [1, np.nan])


def test_csv(tmp_path):
    lines = (
        write_table(stars_table(meta={"model": "demo"}), tmp_path / "stars.csv")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    assert lines[0].startswith("star,ra,dec,snr,teff,teff_err,teff_err_model,teff_err_predictive,Mg,")
    assert lines[1].startswith("2M00,10.5,-3.0,80,0.0,300.0,100.0,200.0,1.0,")
    assert lines[1].endswith(",True")
    assert len(lines) == 3


def test_csv_keeps_every_digit(tmp_path):
    path = write_table(Table({"teff": [4700.123456789012, 1 / 3]}), tmp_path / "stars.csv")
    assert [float(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]] == [4700.123456789012, 1 / 3]


@pytest.mark.parametrize("suffix", [".ecsv", ".h5", ".hdf5"])
def test_units_and_meta_come_back(tmp_path, suffix):
    table = stars_table(meta={"model": "demo"})
    again = Table.read(write_table(table, tmp_path / f"stars{suffix}"))
    assert again.meta == {"model": "demo"}
    assert [again[name].unit for name in table.colnames] == [table[name].unit for name in table.colnames]
    assert list(again["star"].astype(str)) == STARS["star"]
    np.testing.assert_array_equal(again["Mg_err"], table["Mg_err"])


@pytest.mark.parametrize("name", ["stars.txt", "stars", "stars.fits.gz"])
def test_unknown_format(tmp_path, name):
    with pytest.raises(ValueError, match=r"stars.* ends in '.*', expected one of \.fits, \.fit, \.csv, \.ecsv, \.h5"):
        write_table(stars_table(), tmp_path / name)
    with pytest.raises(ValueError, match="expected one of"):
        check_table_name(name)
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("old")
    with pytest.raises(FileExistsError, match=r"stars\.csv exists.*overwrite=True"):
        write_table(stars_table(), path)
    assert path.read_text(encoding="utf-8") == "old"
    write_table(stars_table(), path, overwrite=True)
    assert path.read_text(encoding="utf-8").startswith("star,")


@pytest.mark.parametrize("suffix", [".fits", ".csv", ".ecsv", ".h5"])
def test_no_such_folder(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=r"could not be written \(No such file.*choose a folder that exists"):
        write_table(stars_table(), tmp_path / "absent" / f"stars{suffix}")


@pytest.mark.parametrize(
    ("suffix", "method"),
    [(".fits", "astropy.io.fits.HDUList.writeto"), (".csv", "astropy.table.Table.write")],
)
def test_full_disk_leaves_the_old_table(tmp_path, monkeypatch, suffix, method):
    path = tmp_path / f"stars{suffix}"
    path.write_text("old")
    monkeypatch.setattr(method, broken_write)
    with pytest.raises(OSError, match=r"could not be written \(No space left on device\). Nothing was left"):
        write_table(stars_table(), path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text(encoding="utf-8") == "old"


def test_full_disk_as_hdf5_tells_it(tmp_path, monkeypatch):
    def broken(self, *args, **options):
        raise RuntimeError("Can't decrement id ref count (errno = 28)")

    monkeypatch.setattr(Table, "write", broken)
    with pytest.raises(OSError, match=r"could not be written \(Can't decrement"):
        write_table(stars_table(), tmp_path / "stars.h5")
    assert list(tmp_path.iterdir()) == []
