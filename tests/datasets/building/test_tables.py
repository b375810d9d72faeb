"""Tables of stars: releases, columns and labels."""

import gzip
import re
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from skbcnn.datasets import Cuts
from skbcnn.datasets.building.selection import select_stars
from skbcnn.datasets.building.tables import opened_table
from tests.survey_mirror import ELEMENTS, LABELS, write_mirror

RELEASES = [14, 16, 17, 19]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("change", [None, "renamed", "with columns in lower case"])
def test_release_is_recognised(mirrors, tmp_path, release, change):
    path = mirrors[release].table
    if change == "renamed":
        path = shutil.copy(path, tmp_path / "stars.fits")
    elif change:
        with fits.open(path) as hdus:
            for hdu in hdus[1:]:
                for number, name in enumerate(hdu.columns.names, start=1):
                    hdu.header[f"TTYPE{number}"] = name.lower()
            hdus.writeto(tmp_path / "stars.fits")
        path = tmp_path / "stars.fits"
    with opened_table(tmp_path / path, None, tmp_path) as table:
        assert table.release.number == release


def test_release_is_recognised_by_the_number_of_elements_alone(tmp_path):
    mirror = write_mirror(tmp_path, 2, faulty=False, real=False, with_symbols=False)
    path = mirror.table.rename(tmp_path / "stars.fits")
    with opened_table(path, None, tmp_path) as table:
        assert table.release.number == 17
        assert len(dict(table.labels())) == 4 + 19
        assert "the order of DR17 is used" in table.notes[0]


def test_a_given_release_overrides(mirrors, tmp_path):
    with opened_table(mirrors[19].table, "DR20", tmp_path) as table:
        assert table.release.number == 20


@pytest.mark.parametrize("release", RELEASES)
def test_labels_are_those_of_the_table(mirrors, tmp_path, release):
    mirror = mirrors[release]
    with opened_table(mirror.table, None, tmp_path) as table:
        labels = dict(table.labels())
    expected = [name for name in LABELS if name != "P" or release != 17]
    assert set(labels) == {*expected, "M", "alpha"}
    for name in expected:
        np.testing.assert_array_equal(labels[name].values, np.asarray(mirror.stars[name], dtype=np.float32))
        error = np.float32(30 if name == "teff" else 0.02)
        np.testing.assert_allclose(labels[name].errors, error, rtol=1e-6)
    assert mirror.stars["kind"][labels["Mg"].flagged].tolist() == ["flagged"]
    assert not labels["Al"].flagged.any()


@pytest.mark.parametrize("with_symbols", [True, False])
def test_elements_are_matched_by_name(tmp_path, with_symbols):
    """In another order than usual; without the names only the usual order can be meant."""
    order = ELEMENTS[17][::-1]
    mirror = write_mirror(tmp_path, 3, faulty=False, element_symbols=order, with_symbols=with_symbols)
    with opened_table(mirror.table, None, tmp_path) as table:
        labels = dict(table.labels())
    of_magnesium = np.asarray(mirror.stars["Mg"], dtype=np.float32)
    assert np.array_equal(labels["Mg"].values, of_magnesium) == with_symbols


def test_another_number_of_elements_without_their_names(tmp_path):
    mirror = write_mirror(tmp_path, 2, faulty=False, element_symbols=["Mg", "Fe"], with_symbols=False)
    with (
        opened_table(mirror.table, None, tmp_path) as table,
        pytest.raises(ValueError, match=r"has 2 elements, but DR17 has 20, and ELEM_SYMBOL .* names none"),
    ):
        dict(table.labels())


def changed(mirror, folder, column, change):
    """Return a copy of a table of stars in which a function has changed a column."""
    path = folder / mirror.table.name
    with fits.open(mirror.table) as hdus:
        tables = [Table(hdu.data) for hdu in hdus[1:]]
        stars = next(table for table in tables if column in table.colnames and len(table))
        stars.replace_column(column, change(stars[column].value))
        fits.HDUList([fits.PrimaryHDU(), *map(fits.BinTableHDU, tables)]).writeto(path)
    return path


def first_elements(values):
    return values[:, :4]


def first_of_each(values):
    return values[:, 0]


def twice(values):
    return np.stack([values, values], axis=1)


def text(values):
    return np.full(len(values), "high")


@pytest.mark.parametrize(
    ("release", "column", "change", "found", "expected"),
    [
        (17, "X_H", first_of_each, "numbers of shape (N,)", "numbers of shape (N, elements)"),
        (17, "X_H", text, "text of shape (N,)", "numbers of shape (N, elements)"),
        (17, "X_H_ERR", first_elements, "numbers of shape (N, 4)", "numbers of shape (N, 20)"),
        (17, "X_H_ERR", first_of_each, "numbers of shape (N,)", "numbers of shape (N, 20)"),
        (17, "ELEMFLAG", first_elements, "numbers of shape (N, 4)", "numbers of shape (N, 20)"),
        (17, "ELEMFLAG", text, "text of shape (N,)", "numbers of shape (N, 20)"),
        (17, "TEFF", twice, "numbers of shape (N, 2)", "numbers of shape (N,)"),
        (17, "TEFF", text, "text of shape (N,)", "numbers of shape (N,)"),
        (17, "LOGG_ERR", twice, "numbers of shape (N, 2)", "numbers of shape (N,)"),
        (17, "SNR", text, "text of shape (N,)", "numbers of shape (N,)"),
        (17, "VSCATTER", text, "text of shape (N,)", "numbers of shape (N,)"),
        (17, "EXTRATARG", text, "text of shape (N,)", "numbers of shape (N,)"),
        (17, "STARFLAG", twice, "numbers of shape (N, 2)", "numbers of shape (N,)"),
        (17, "RA", text, "text of shape (N,)", "numbers of shape (N,)"),
        (17, "APOGEE_ID", twice, "text of shape (N, 2)", "text or numbers of shape (N,)"),
        (14, "PARAM", first_elements, "numbers of shape (N, 4)", "numbers of shape (N, 7 or more)"),
        (14, "PARAM", text, "text of shape (N,)", "numbers of shape (N, 1 or more)"),
        (14, "PARAM_COV", first_of_each, "numbers of shape (N, 7)", "numbers of shape (N, 1 or more, 1 or more)"),
        (19, "mg_h", text, "text of shape (N,)", "numbers of shape (N,)"),
        (19, "e_mg_h", twice, "numbers of shape (N, 2)", "numbers of shape (N,)"),
        (19, "mg_h_flags", text, "text of shape (N,)", "numbers of shape (N,)"),
        (19, "healpix", text, "text of shape (N,)", "numbers of shape (N,)"),
        (19, "release", lambda values: np.arange(len(values)), "numbers of shape (N,)", "text of shape (N,)"),
    ],
)
def test_columns_of_another_type_or_shape_are_refused_by_name(
    mirrors, tmp_path, release, column, change, found, expected
):
    mirror = mirrors[release]
    path = changed(mirror, tmp_path, column, change)
    found, expected = (words.replace("N", str(len(mirror.stars))) for words in (found, expected))
    sentence = f"The column {column} of {path} holds {found}, expected {expected}: one row for each star."
    with (
        pytest.raises(ValueError, match=re.escape(sentence)),
        opened_table(path, release, tmp_path) as table,
    ):
        select_stars(table, mirror.root, kind="apStar", cuts=Cuts(), path_template=None, keep_flagged=False)


def test_text_beyond_ascii_is_read(mirrors, tmp_path):
    mirror = mirrors[17]
    star = mirror.stars["star"][0]
    path = tmp_path / mirror.table.name
    path.write_bytes(mirror.table.read_bytes().replace(star.encode(), b"\xe9\xff" + star[2:].encode(), 1))
    with opened_table(path, 17, tmp_path) as table:
        assert table.column("APOGEE_ID")[0] == "\ufffd\ufffd" + star[2:]


@pytest.mark.parametrize("n_bytes", [2900, 9000])
def test_a_table_that_was_cut_short_is_refused(mirrors, tmp_path, n_bytes):
    for release, mirror in mirrors.items():
        path = tmp_path / mirror.table.name
        path.write_bytes(mirror.table.read_bytes()[:-n_bytes])
        with (
            pytest.raises(OSError, match=r"cannot be read as FITS \(.*not complete\): it is cut short"),
            opened_table(path, release, tmp_path),
        ):
            pass


def test_a_table_without_rows(mirrors, tmp_path):
    for release, mirror in mirrors.items():
        with fits.open(mirror.table) as hdus:
            for hdu in hdus[1:]:
                hdu.header["NAXIS2"] = 0
            headers = "".join(hdu.header.tostring() for hdu in hdus)  # astropy 6 does not write empty arrays of strings
        (tmp_path / mirror.table.name).write_text(headers, encoding="ascii")
        with (
            pytest.raises(ValueError, match=r"The table of stars in .* has no rows \(extension [12]\)"),
            opened_table(tmp_path / mirror.table.name, release, tmp_path),
        ):
            pass


def test_a_missing_column_is_named(tmp_path):
    mirror = write_mirror(tmp_path, 2, faulty=False, dropped_columns=("X_H",))
    with (
        opened_table(mirror.table, None, tmp_path) as table,
        pytest.raises(ValueError, match=r"no column X_H, which the table of DR17 has\. .*allStarLite"),
    ):
        dict(table.labels())


def test_without_flags_and_errors(tmp_path):
    dropped = ("ELEMFLAG", "X_H_ERR", "TEFF_ERR")
    mirror = write_mirror(tmp_path, 2, faulty=False, dropped_columns=dropped)
    with opened_table(mirror.table, None, tmp_path) as table:
        labels = dict(table.labels())
        assert table.notes == ["The table has no X_H_FLAG or ELEMFLAG, so no abundance is left out for its flag."]
    assert not any(label.flagged.any() for label in labels.values())
    assert (labels["teff"].errors == -9999).all()
    assert (labels["Mg"].errors == -9999).all()


def test_flags_of_both_columns_count(tmp_path):
    X_H = np.zeros((3, 20), dtype=np.float32)
    flags = np.zeros((2, 3, 20), dtype=int)
    flags[0, 0, 5] = 1  # X_H_FLAG of Mg
    flags[1, 1, 5] = 4  # ELEMFLAG of Mg
    columns = {name: np.zeros(3, dtype=np.float32) for name in ("TEFF", "LOGG", "M_H", "ALPHA_M")}
    path = tmp_path / "allStar-dr17-synspec_rev1.fits"
    table = Table(columns | {"X_H": X_H, "X_H_FLAG": flags[0], "ELEMFLAG": flags[1]})
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table)]).writeto(path)
    with opened_table(path, None, tmp_path) as table:
        assert dict(table.labels())["Mg"].flagged.tolist() == [True, True, False]


def test_a_gzipped_table_leaves_nothing_behind(mirror, tmp_path):
    path = tmp_path / "allStar-dr17-synspec_rev1.fits.gz"
    path.write_bytes(gzip.compress(mirror.table.read_bytes()))
    with opened_table(path, None, tmp_path) as table:
        assert len(table) == len(mirror.stars)
        assert list(tmp_path.iterdir()) == [path]
        teff = dict(table.labels())["teff"].values
    np.testing.assert_array_equal(teff, np.asarray(mirror.stars["teff"], dtype=np.float32))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_table_that_is_cut_short(mirror, tmp_path, zipped):
    path = tmp_path / "allStar-dr17-synspec_rev1.fits"
    content = mirror.table.read_bytes()
    content = gzip.compress(content) if zipped else content
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(OSError, match=r"cannot be read as FITS .* cut short"), opened_table(path, None, tmp_path):
        pass


def test_no_table(mirror, tmp_path):
    text = tmp_path / "stars.csv"
    text.write_text("APOGEE_ID,TEFF\n")
    with (
        pytest.raises(OSError, match=r"stars\.csv is a text file, expected the allStar"),
        opened_table(text, None, tmp_path),
    ):
        pass
    spectrum = mirror.root / mirror.kept["path"][0]
    with (
        pytest.raises(ValueError, match=r"release of .* cannot be recognised .* pass release="),
        opened_table(spectrum, None, tmp_path),
    ):
        pass
    with (
        pytest.raises(ValueError, match="no table in extension 2, where DR19 has its stars"),
        opened_table(spectrum, 19, tmp_path),
    ):
        pass
    with pytest.raises(FileNotFoundError, match="There is no file"), opened_table(tmp_path / "x", None, tmp_path):
        pass
