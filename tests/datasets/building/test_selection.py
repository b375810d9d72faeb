"""Stars that a training set takes, and their files."""

import numpy as np
import pytest

from skbcnn.datasets import Cuts
from skbcnn.datasets.building.selection import select_stars
from skbcnn.datasets.building.tables import opened_table
from tests.survey_mirror import write_mirror

EVERY_STAR = Cuts(
    **dict.fromkeys(("min_teff", "max_teff", "min_snr", "max_vscatter", "min_fe_h", "min_location_id")),
    starflag="any",
    aspcapflag="any",
)
BAD_FILES = {"missing file", "corrupt file", "no flux", "no continuum"}


def select(mirror, folder, release=None, **options):
    options = {"kind": "apStar", "cuts": Cuts(), "path_template": None, "keep_flagged": False} | options
    with opened_table(mirror.table, release, folder) as table:
        return select_stars(table, mirror.root, **options)


@pytest.mark.parametrize("release", [14, 16, 17, 19])
def test_stars_that_pass_the_cuts_with_their_files(mirrors, tmp_path, release):
    mirror = mirrors[release]
    selection = select(mirror, tmp_path)
    passed = [row for row, star in enumerate(mirror.stars) if star["kept"] or star["kind"] in BAD_FILES]
    if release == 14:  # the table has no EXTRATARG
        passed = sorted([*passed, *np.flatnonzero(mirror.stars["kind"] == "duplicate row")])
    assert selection.rows.tolist() == passed
    assert selection.paths == [mirror.root / mirror.stars["path"][row] for row in passed]


def test_flagged_abundances_are_missing_unless_they_are_kept(mirror, tmp_path):
    selection, with_flagged = select(mirror, tmp_path), select(mirror, tmp_path, keep_flagged=True)
    flagged = mirror.stars["kind"][selection.rows] == "flagged"
    assert flagged.sum() == 1
    assert selection.labels["Mg"][flagged] == -9999
    np.testing.assert_array_equal(
        with_flagged.labels["Mg"], np.asarray(mirror.stars["Mg"][selection.rows], dtype=np.float32)
    )
    np.testing.assert_array_equal(with_flagged.labels["Mg"][~flagged], selection.labels["Mg"][~flagged])
    np.testing.assert_array_equal(with_flagged.labels["Al"], selection.labels["Al"])


def test_labels_that_the_release_lacks_are_noted(mirror, tmp_path):
    selection = select(mirror, tmp_path)
    assert "P" not in selection.labels
    assert selection.notes == ["DR17 has no P, so the file has no such label."]


def test_labels_without_any_value_are_noted(tmp_path):
    mirror = write_mirror(tmp_path, 2, release=19, faulty=False, dropped_columns=("k_h", "e_k_h"))
    assert "DR19 has no K, so the file has no such label." in select(mirror, tmp_path).notes
    every = write_mirror(tmp_path / "flagged", 36, release=17)
    only_flagged = Cuts(
        min_teff=every.of_kind("flagged")["teff"][0] - 0.01, max_teff=every.of_kind("flagged")["teff"][0] + 0.01
    )
    selection = select(every, tmp_path, cuts=only_flagged)
    assert "Mg" not in selection.labels
    assert "No selected star has a value of Mg, so the file has no such label." in selection.notes


def test_columns_that_identify_a_star(mirrors, tmp_path):
    selection = select(mirrors[17], tmp_path)
    assert set(selection.columns) == {"APOGEE_ID", "TELESCOPE", "FIELD", "RA", "DEC", "SNR", "FILE"}
    assert selection.columns["APOGEE_ID"][0] == mirrors[17].stars["star"][0].encode()
    of_sdssv = select(mirrors[19], tmp_path)
    assert of_sdssv.columns["sdss_id"].tolist() == mirrors[19].stars["sdss_id"][of_sdssv.rows].tolist()
    assert set(of_sdssv.columns) == {*selection.columns, "sdss_id"}


def test_no_star_is_left(mirror, tmp_path):
    with pytest.raises(ValueError, match=r"None of the \d+ rows of .* is left \(.*S/N is not above 1000: \d+.*Relax"):
        select(mirror, tmp_path, cuts=Cuts(min_snr=1000))


def test_faint_stars(mirror, tmp_path):
    faint = select(mirror, tmp_path, cuts=Cuts(min_snr=80, max_snr=200))
    kinds = set(mirror.stars["kind"][faint.rows].tolist())
    assert kinds <= {"faint", "real"}
    assert "faint" in kinds


def test_template(mirror, tmp_path):
    selection = select(mirror, tmp_path, path_template="{TELESCOPE}/{location_id:06d}/{prefix}Star-{apogee_id}.fits")
    star = mirror.stars[selection.rows[0]]
    assert selection.paths[0] == mirror.root / f"apo25m/00{star['location_id']}/apStar-{star['star']}.fits"


def test_two_rows_of_one_file(mirror, tmp_path):
    selection = select(mirror, tmp_path, path_template="{apogee_id}.fits")
    assert selection.counts["its file is that of an earlier row"] == 1  # the star of both telescopes
    assert len(set(selection.paths)) == len(selection.paths)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{nonsense}.fits", "has the field.s. nonsense, but .* has no such column"),
        ("{apogee_id:d}.fits", "cannot be filled .* Check the formats"),
    ],
)
def test_templates_that_do_not_fit(mirror, tmp_path, template, sentence):
    with pytest.raises(ValueError, match=sentence):
        select(mirror, tmp_path, path_template=template)


def test_files_whose_path_is_not_known(mirrors, tmp_path):
    """Of SDSS-V's table, only rows of DR17 have aspcapStar files whose names are known."""
    selection = select(mirrors[19], tmp_path, kind="aspcapStar")
    reason = "the path of aspcapStar files of sdss5 is not known"
    n_passed = len(select(mirrors[19], tmp_path).rows)
    assert 0 < selection.counts[reason] < n_passed
    assert len(selection.rows) == n_passed - selection.counts[reason]
    assert all("/dr17/apogee/spectro/aspcap/dr17/synspec_rev1/" in str(path) for path in selection.paths)


def test_rows_that_are_left_out_are_listed_once_with_the_first_reason(mirror, tmp_path):
    selection = select(mirror, tmp_path)
    left_out = list(selection.left_out())
    rows = [row.row for row in left_out]
    assert sorted([*rows, *selection.rows]) == list(range(len(mirror.stars)))
    assert all(row.star == mirror.stars["star"][row.row] for row in left_out)
    assert selection.counts.total() == len(left_out)
    assert len(list(select(mirror, tmp_path, cuts=EVERY_STAR).left_out())) == 1  # the duplicate
