"""Predictions as tables with units, and such tables as files."""

import errno
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils import minversion
from astropy.utils.masked import Masked
from numpy.testing import assert_array_equal

from skbcnn import Prediction
from skbcnn.catalog import check_table_name, prediction_table, write_table
from skbcnn.novelty import Assessment, NoveltyFlag

STARS = {"star": ["2M00", "2M01-long"], "ra": [10.5, 359.0], "dec": np.array([-3.0, 4.0]), "snr": [80, 200]}


def prediction(names=("teff", "Mg", "age"), noisier=None, calibrated=False):
    """Return two stars with means 0, 1, ..., and errors that differ between the columns."""
    mean = np.arange(2.0 * len(names)).reshape(2, -1)
    return Prediction(
        mean, mean + 100, mean + 200, mean + 300, tuple(names), noisier, mean + 400 if calibrated else None
    )


def stars_table(**more):
    return prediction_table(prediction(noisier=np.array([True, False])), columns=STARS, **more)


def broken_write(self, path, *args, **options):
    Path(path).write_text("half", encoding="utf-8")
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


def test_long_floats_can_be_written(tmp_path):
    table = prediction_table(prediction(), columns={"a": np.array([1, 2], dtype=np.longdouble)})
    assert list(Table.read(write_table(table, tmp_path / "a.fits"))["a"]) == [1, 2]


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


@pytest.mark.parametrize("suffix", [".fits", ".FIT"])
def test_fits(tmp_path, suffix):
    table = stars_table(meta={"model": "demo, synthetic ± stars", "note": "first\nsecond"})
    path = write_table(table, tmp_path / f"stars{suffix}")
    assert table["Mg"].unit == u.dex  # what is written stays as it was
    with fits.open(path) as file:
        header, data = file[1].header, file[1].data
        units = {name: header.get(f"TUNIT{i}") for i, name in enumerate(data.names, start=1)}
        assert data.names == table.colnames
        assert [units[name] for name in ("teff", "Mg_err", "ra", "age", "star")] == ["K", None, "deg", None, None]
        assert header[f"TCOMM{data.names.index('Mg_err') + 1}"] == "Total standard deviation of [Mg/H] [dex]"
        assert list(header["COMMENT"])[:3] == ["model: demo, synthetic \\xb1 stars", "note: first", "second"]
    again = Table.read(path)
    for name in table.colnames:
        np.testing.assert_array_equal(again[name].astype(table[name].dtype), table[name])


def test_fits_comments_are_wrapped_between_words(tmp_path):
    text = "trained on " + "many stars " * 12
    comments = fits.getheader(write_table(stars_table(meta={"model": text}), tmp_path / "a.fits"), 1)["COMMENT"]
    assert all(
        word in {"model:", "trained", "on", "many", "stars"} for line in list(comments)[:3] for word in line.split()
    )


@pytest.mark.parametrize("naming", ["skbcnn", "sdssv"])
def test_fits_explains_every_flag(tmp_path, naming):
    table = stars_table(naming=naming)
    table["result_flags"] = np.zeros(2, dtype=np.int32)
    comments = list(fits.getheader(write_table(table, tmp_path / "a.fits"), 1)["COMMENT"])
    for flag in NoveltyFlag:
        assert any(f"({flag.value}) " in line for line in comments)
    assert "noisier: Median flux error above that of every training star" in comments


@pytest.mark.skipif(not minversion("astropy", "7.1"), reason="astropy 7.0 cannot read logarithmic units in FITS")
def test_fits_keeps_what_it_has_no_words_for(tmp_path):
    """Text beyond ASCII, units that neither FITS nor astropy knows, logarithmic units, and masked abundances."""
    columns = {
        "star": ["né", "b"],
        "odd": Column([1.0, 2.0], unit=u.Unit("furlong", parse_strict="silent")),
        "gravity": [1.0, 2.0] * u.dex(u.cm / u.s**2),
        "masked": MaskedColumn(np.ma.array([1.0, 2.0], mask=[0, 1]), unit="dex"),
    }
    again = Table.read(write_table(prediction_table(prediction(), columns=columns), tmp_path / "a.fits"))
    assert again["star"][0] == "n\\xe9"
    assert again.meta["TCOMM2"] == "[furlong]"
    assert again["gravity"].unit == u.dex(u.cm / u.s**2)
    np.testing.assert_array_equal(again["masked"], [1, np.nan])


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
    assert lines[1].endswith(",1")
    assert len(lines) == 3


def test_csv_keeps_every_digit(tmp_path):
    path = write_table(Table({"teff": [4700.123456789012, 1 / 3]}), tmp_path / "stars.csv")
    assert [float(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]] == [4700.123456789012, 1 / 3]


@pytest.mark.parametrize("read", [Table.read, QTable.read])
@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".h5", ".hdf5"])
def test_units_and_descriptions_come_back_without_a_warning(tmp_path, suffix, read):
    table = stars_table()
    again = read(write_table(table, tmp_path / f"stars{suffix}"))
    assert [again[name].info.unit for name in table.colnames] == [table[name].unit for name in table.colnames]
    assert [again[name].info.description for name in table.colnames] == [
        table[name].description for name in table.colnames
    ]
    assert all(table[name].description for name in table.colnames)
    assert list(again["star"].astype(str)) == STARS["star"]
    np.testing.assert_array_equal(np.asarray(again["Mg_err"]), table["Mg_err"])


@pytest.mark.parametrize("suffix", [".ecsv", ".h5"])
def test_meta_comes_back(tmp_path, suffix):
    assert Table.read(write_table(stars_table(meta={"model": "demo"}), tmp_path / f"a{suffix}")).meta == {
        "model": "demo"
    }


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
