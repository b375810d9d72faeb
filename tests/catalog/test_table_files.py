"""Tables as files: every format keeps values, units and descriptions, and blocks give the file of the whole table."""

import errno

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils import minversion

from skbcnn.catalog import check_table_name, prediction_table, table_files, write_table
from skbcnn.catalog.table_files import recorded_metadata, text_width, write_blocks
from skbcnn.novelty import NoveltyFlag
from tests.catalog.stars import STARS, prediction, stars_table

SUFFIXES = (".fits", ".csv", ".ecsv", ".h5", ".parquet")


def test_long_floats_can_be_written(tmp_path):
    table = prediction_table(prediction(), columns={"a": np.array([1, 2], dtype=np.longdouble)})
    assert list(Table.read(write_table(table, tmp_path / "a.fits"))["a"]) == [1, 2]


@pytest.mark.parametrize("suffix", [".fits", ".FIT"])
def test_fits(tmp_path, suffix):
    table = stars_table(meta={"sky": "demo, synthetic ± stars", "note": "first\nsecond"})
    path = write_table(table, tmp_path / f"stars{suffix}")
    assert table["Mg"].unit == u.dex  # what is written stays as it was
    with fits.open(path) as file:
        header, data = file[1].header, file[1].data
        units = {name: header.get(f"TUNIT{i}") for i, name in enumerate(data.names, start=1)}
        assert data.names == table.colnames
        assert [units[name] for name in ("teff", "Mg_err", "ra", "age", "star")] == ["K", None, "deg", None, None]
        assert header[f"TCOMM{data.names.index('Mg_err') + 1}"] == "Total standard deviation of [Mg/H] [dex]"
        assert list(header["COMMENT"])[:3] == ["sky: demo, synthetic \\xb1 stars", "note: first", "second"]
    again = Table.read(path)
    for name in table.colnames:
        np.testing.assert_array_equal(again[name].astype(table[name].dtype), table[name])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_small_integers_stay_integers(tmp_path, suffix):  # astropy writes int8 to FITS as booleans
    table = Table({"n_visits": np.arange(-2, 3, dtype=np.int8)})
    again = Table.read(write_table(table, tmp_path / f"a{suffix}"))["n_visits"]
    assert again.dtype.kind == "i"
    assert again.tolist() == [-2, -1, 0, 1, 2]


def test_fits_comments_are_wrapped_between_words(tmp_path):
    text = "trained on " + "many stars " * 12
    comments = fits.getheader(write_table(stars_table(meta={"note": text}), tmp_path / "a.fits"), 1)["COMMENT"]
    assert all(
        word in {"note:", "trained", "on", "many", "stars"} for line in list(comments)[:3] for word in line.split()
    )


def test_known_metadata_are_keywords_of_fits(tmp_path):
    long = "trained on " + "stars, " * 20
    meta = {"model": "it's a ± model", "seed": 7, "NumPy": "2.0", "provenance": long, "skbcnn": "two\nlines"}
    path = write_table(stars_table(meta=meta), tmp_path / "a.fits")
    header = fits.getheader(path, 1)
    assert header["MODEL"] == "it's a \\xb1 model"
    assert (header["SEED"], header.comments["SEED"]) == (7, "seed of the posterior draws")
    assert header["PROVENAN"] == long.strip()
    assert "skbcnn: two" in list(header["COMMENT"])
    assert not any(line.startswith(("model:", "seed:")) for line in header["COMMENT"])


@pytest.mark.parametrize("suffix", [".fits", ".h5", ".parquet", ".ecsv"])
def test_metadata_come_back_by_their_names(tmp_path, suffix):
    meta = {"model": "demo", "seed": 7, "note": "a long note of many words " * 9}
    table = Table.read(write_table(stars_table(meta=meta), tmp_path / f"a{suffix}"))
    found = recorded_metadata(table)
    assert {name: found[name] for name in ("model", "seed")} == {"model": "demo", "seed": 7}
    assert found["note"].split() == meta["note"].split()


def test_metadata_of_fits_files_of_earlier_versions():
    lines = ["model: demo", "provenance: training_data synthetic,", "  stars 300", "posterior draws: 4, seed 5"]
    found = recorded_metadata(Table(meta={"comments": lines}))
    expected = {"model": "demo", "provenance": "training_data synthetic, stars 300", "posterior draws": "4, seed 5"}
    assert found == expected


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
@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".h5", ".hdf5", ".parquet"])
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


@pytest.mark.parametrize("suffix", [".ecsv", ".h5", ".parquet"])
def test_meta_comes_back(tmp_path, suffix):
    assert Table.read(write_table(stars_table(meta={"model": "demo"}), tmp_path / f"a{suffix}")).meta == {
        "model": "demo"
    }


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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_such_folder(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=r"could not be written \(No such file.*choose a folder that exists"):
        write_table(stars_table(), tmp_path / "absent" / f"stars{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_leaves_the_old_table(tmp_path, monkeypatch, suffix):
    def broken(blocks, path, n_rows):
        path.write_text("half", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / f"stars{suffix}"
    path.write_text("old")
    monkeypatch.setitem(table_files._WRITERS, suffix, broken)
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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_blocks_give_the_table(tmp_path, suffix):
    """The second block has a longer name, text beyond ASCII and another width of numbers than the first."""
    names = np.array(["2M00", "b", "né", "2M01-long", "x"])
    table = Table(
        {
            "star": names.astype(f"U{text_width(names)}"),
            "ra": Column([1.0, 2.5, -1e-7, 4.0, 1 / 3], unit="deg", description="Right ascension"),
            "Mg": Column([0.1, np.nan, 0.3, 0.4, 0.5], unit="dex"),
            "result_flags": np.array([0, 2048, 65536, 0, 1], dtype=np.int32),
            "noisier": [True, False, False, True, True],
            "id": np.array([1, 2, 3, 4, 2**62], dtype=np.uint64),
        },
        meta={"model": "demo"},
    )
    write_blocks([table[:2], table[2:3], table[3:]], tmp_path / f"blocks{suffix}", len(table))
    write_blocks([table], tmp_path / f"whole{suffix}", len(table))
    blocks, whole = (Table.read(tmp_path / f"{name}{suffix}") for name in ("blocks", "whole"))
    assert blocks.meta == whole.meta
    assert [column.unit for column in blocks.itercols()] == [column.unit for column in whole.itercols()]
    for name in table.colnames:
        np.testing.assert_array_equal(np.ma.filled(blocks[name]), np.ma.filled(whole[name]))
        assert blocks[name].dtype == whole[name].dtype
    np.testing.assert_array_equal(np.asarray(blocks["ra"]), table["ra"])
    if suffix in (".fits", ".csv", ".ecsv"):
        assert (tmp_path / f"blocks{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


def test_parquet_has_units_for_other_programs(tmp_path):
    schema = pytest.importorskip("pyarrow.parquet").read_schema(write_table(stars_table(), tmp_path / "a.parquet"))
    assert schema.field("Mg_err").metadata == {b"unit": b"dex", b"description": b"Total standard deviation of [Mg/H]"}


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setattr("skbcnn._optional_dependencies.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"A Parquet file needs pyarrow: pip install 'skbcnn\[parquet\]'"):
        check_table_name("a.parquet")
