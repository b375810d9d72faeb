"""Catalogues of the stars of an allStar table, whose files lie in a mirror."""

import csv
import gzip
import shutil

import numpy as np
import pytest
from astropy.table import Table

from skbcnn import CensoredBCNNRegressor
from skbcnn.catalog import predict_catalog
from skbcnn.catalog.survey_files import files_of_table
from tests.survey_mirror import write_mirror


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    return write_mirror(tmp_path_factory.mktemp("sas"), 36)


@pytest.fixture(scope="module")
def model():
    """A regressor for APOGEE's pixels, fitted to noise."""
    X = np.random.default_rng(0).normal(1, 0.01, (20, 7514)).astype(np.float32)
    parameters = {"num_hidden": (8, 8, 4, 4, 2), "num_filters": (1, 2), "n_draws": 2, "max_epochs": 1}
    return CensoredBCNNRegressor(random_state=0, backend="numpy", **parameters).fit(X, 4500 + X[:, 0])


def found(mirror, folder, names=(), table=None):
    names = dict(zip(names, names, strict=True))
    return files_of_table(table or mirror.table, mirror.root, names, release=None, path_template=None, folder=folder)


@pytest.mark.parametrize("release", [17, 19])
def test_files_are_those_of_the_table_in_its_order(tmp_path, release):
    mirror = write_mirror(tmp_path / "sas", 36, release=release, max_visits=1)
    files = found(mirror, tmp_path)
    paths, marked = list(mirror.stars["path"]), mirror.stars["kind"] == "duplicate row"
    is_left_out = marked if release != 19 else np.zeros(len(paths), dtype=bool)  # DR19's table does not mark them
    rows = [row for row, path in enumerate(paths) if path not in paths[:row] and not is_left_out[row]]
    assert list(files.columns["table_row"]) == rows
    for row, path in zip(rows, files.paths, strict=True):
        if mirror.stars["kind"][row] != "LOCATION_ID":  # the mirror has them as stars of the 2.5-m telescope
            assert path == mirror.root / paths[row]
    assert files.release == f"DR{release}"
    assert files.failures == []


def test_the_catalogue_has_every_star_and_columns_of_the_table(mirror, model, tmp_path):
    out = tmp_path / "a.fits"
    summary = predict_catalog(
        model, mirror.table, out, spectra=mirror.root, columns=["FIELD", "teff", "STARFLAG"], chunk_size=40
    )
    table = Table.read(out, character_as_bytes=False)
    of_table = Table.read(mirror.table, hdu=1, character_as_bytes=False)[table["table_row"]]
    lost = {"missing file", "corrupt file", "no flux", "no continuum"}
    expected = [row for row, kind in enumerate(mirror.stars["kind"]) if kind not in {*lost, "duplicate row"}]
    assert list(table["table_row"]) == expected
    assert list(table["star"]) == [name.strip() for name in of_table["APOGEE_ID"]]
    assert [name.strip() for name in table["FIELD"]] == [name.strip() for name in of_table["FIELD"]]
    np.testing.assert_array_equal(table["teff"], of_table["TEFF"])
    np.testing.assert_array_equal(table["STARFLAG"], of_table["STARFLAG"])
    assert table["file"][0] == mirror.stars["path"][0]
    with summary.failures_path.open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    kinds = {mirror.stars["kind"][int(row["row"])]: row for row in listed}
    assert {kind: row["reason"] for kind, row in kinds.items()} == {
        "missing file": "there is no such file",
        "corrupt file": "the file cannot be read",
        "no flux": "the file has no spectrum",
        "no continuum": "the spectrum cannot be normalised",
    }
    for kind in lost:
        (star,) = mirror.of_kind(kind)
        assert (kinds[kind]["file"], kinds[kind]["star"]) == (str(mirror.root / star["path"]), star["star"])
    assert any(note.startswith("1 row(s) of the table are duplicates of other rows") for note in summary.notes)


def test_a_list_with_one_table_and_a_template(mirror, model, tmp_path):
    folder = tmp_path / "stars"
    folder.mkdir()
    for star in mirror.stars[[0, 2]]:
        shutil.copy(mirror.root / star["path"], folder / f"{star['star']}.fits")
    table = predict_catalog(
        model, [mirror.table], (), spectra=tmp_path, path_template="stars/{apogee_id}.fits", release="DR17"
    ).sample
    assert list(table["file"]) == [f"stars/{name}.fits" for name in mirror.stars["star"][[0, 2]]]
    assert list(table["table_row"]) == [0, 2]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["fields"], r"has no column fields. Did you mean field\?"),
        (["X_H"], r"Column 'X_H' has shape \(\d+, 20\).*Leave it out of the columns"),
    ],
)
def test_columns_that_the_table_lacks_are_refused(mirror, tmp_path, names, sentence):
    with pytest.raises(ValueError, match=sentence):
        found(mirror, tmp_path, names)


def test_a_table_needs_its_mirror(mirror, model, tmp_path):
    with pytest.raises(ValueError, match=r"is a table of stars, expected files of spectra. Pass the root"):
        predict_catalog(model, mirror.table, tmp_path / "a.fits")
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*absent. Pass the root of the mirror as spectra"):
        predict_catalog(model, mirror.table, tmp_path / "a.fits", spectra=tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"None of the .* files of the selected stars exists. The first would"):
        predict_catalog(model, mirror.table, tmp_path / "a.fits", spectra=tmp_path)
    with pytest.raises(ValueError, match="There are 2 sources, expected one table of stars"):
        predict_catalog(model, [mirror.table] * 2, tmp_path / "a.fits", spectra=mirror.root)
    with pytest.raises(OSError, match=r"is a text file, expected the allStar or astraAllStarASPCAP table"):
        predict_catalog(model, __file__, tmp_path / "a.fits", spectra=mirror.root)
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_never_replaced(mirror, model):
    with pytest.raises(ValueError, match="is one of the files of spectra"):
        predict_catalog(model, mirror.table, mirror.table, spectra=mirror.root, overwrite=True)


def test_a_gzipped_table(mirror, model, tmp_path):
    zipped = tmp_path / f"{mirror.table.name}.gz"
    zipped.write_bytes(gzip.compress(mirror.table.read_bytes(), 1))
    out = tmp_path / "absent" / "a.fits"
    with pytest.raises(FileNotFoundError, match=r"a\.fits cannot be written: there is no folder .*absent"):
        predict_catalog(model, zipped, out, spectra=mirror.root)
    assert found(mirror, tmp_path).paths == found(mirror, tmp_path, table=zipped).paths
