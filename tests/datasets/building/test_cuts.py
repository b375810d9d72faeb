"""Selection of stars by columns of the table."""

import numpy as np
import pytest

from skbcnn.datasets import Cuts
from skbcnn.datasets.building.cuts import rejections
from skbcnn.datasets.building.tables import opened_table
from tests.survey_mirror import write_mirror

KINDS = {  # of the faulty stars that each cut leaves out
    "max_teff": ["hot"],
    "min_teff": ["cool"],
    "min_snr": ["faint", "real", "real"],
    "max_vscatter": ["VSCATTER"],
    "min_location_id": ["LOCATION_ID"],
    "starflag": ["STARFLAG"],
    "aspcapflag": ["ASPCAPFLAG"],
}
NOTHING = dict.fromkeys(("min_teff", "max_teff", "min_snr", "max_vscatter", "min_fe_h", "min_location_id"))
NOTHING |= {"starflag": "any", "aspcapflag": "any"}
DUPLICATE = "duplicate of another row (EXTRATARG bit 4)"


def rejected(mirror, folder, cuts):
    """Return the kinds of the stars that are left out, by reason, and the notes."""
    with opened_table(mirror.table, None, folder) as table:
        labels = {name: label.values for name, label in table.labels()}
        found = {reason: mirror.stars["kind"][rows].tolist() for reason, rows in rejections(table, cuts, labels)}
        return {reason: kinds for reason, kinds in found.items() if kinds}, table.notes


@pytest.mark.parametrize("cut", KINDS)
def test_each_cut_leaves_out_its_stars(mirror, tmp_path, cut):
    only = Cuts(**NOTHING | {cut: getattr(Cuts(), cut)})
    found, _ = rejected(mirror, tmp_path, only)
    assert found.pop(DUPLICATE) == ["duplicate row"]
    assert list(found.values()) == [KINDS[cut]]


def test_all_cuts_off(mirror, tmp_path):
    found, _ = rejected(mirror, tmp_path, Cuts(**NOTHING))
    assert found == {DUPLICATE: ["duplicate row"]}


@pytest.mark.parametrize(("limit", "left_out"), [(-10000, []), (-9998, ["no iron"])])
def test_missing_iron_passes_the_cut_of_the_paper(mirror, tmp_path, limit, left_out):
    found, _ = rejected(mirror, tmp_path, Cuts(**NOTHING | {"min_fe_h": limit}))
    assert found.get(f"[Fe/H] is not above {limit}", []) == left_out


def test_limits_are_excluded(mirror, tmp_path):
    exactly = float(mirror.of_kind("cool")["teff"][0])
    found, _ = rejected(mirror, tmp_path, Cuts(**NOTHING | {"min_teff": exactly}))
    assert found[f"Teff is not above {exactly:g}"] == ["cool"]


def test_columns_of_sdssv(mirrors, tmp_path):
    found, notes = rejected(mirrors[19], tmp_path, Cuts())
    assert found["spectrum_flags is not 0"] == ["STARFLAG"]
    assert found["result_flags or flag_bad is not 0"] == ["duplicate row", "ASPCAPFLAG"]  # the mirror marks it as bad
    assert found["scatter of velocities is not below 1"] == ["VSCATTER"]  # and not those of one visit, where it is NaN
    assert notes == [
        "The table has no EXTRATARG, so no row is left out as a duplicate of another.",
        "The table has no LOCATION_ID, so the cut min_location_id is left out.",
    ]


def test_columns_that_are_absent_are_noted(tmp_path):
    mirror = write_mirror(tmp_path, 36, dropped_columns=("VSCATTER", "STARFLAG", "EXTRATARG"))
    found, notes = rejected(mirror, tmp_path, Cuts())
    kinds = [kind for kinds in found.values() for kind in kinds]
    assert {"VSCATTER", "STARFLAG", "duplicate row"}.isdisjoint(kinds)
    assert "ASPCAPFLAG" in kinds
    assert notes == [
        "The table has no EXTRATARG, so no row is left out as a duplicate of another.",
        "The table has no STARFLAG, so the cut starflag is left out.",
        "The table has no VSCATTER, so the cut max_vscatter is left out.",
    ]


def test_invalid_cuts():
    with pytest.raises(ValueError, match="starflag='no', expected 'zero' or 'any'"):
        Cuts(starflag="no")
    with pytest.raises(ValueError, match="min_snr=200 is not below max_snr=100: no star has such a S/N"):
        Cuts(max_snr=100)
    with pytest.raises(ValueError, match="min_teff=6000 is not below max_teff=5500"):
        Cuts(min_teff=6000)


@pytest.mark.parametrize("value", ["200", float("nan"), [100]])
def test_limits_that_are_no_numbers(value):
    with pytest.raises(ValueError, match=r"min_snr=.*, expected a number, or None to switch the limit off"):
        Cuts(min_snr=value)


def test_limits_may_be_numbers_of_numpy():
    assert Cuts(min_snr=np.int64(100), max_teff=np.float32(5000)).min_snr == 100
