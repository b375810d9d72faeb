"""What differs between data releases."""

import pytest

from skbcnn.survey import APOGEE_LABELS, find_label
from skbcnn.survey.releases import RELEASES, find_release


@pytest.mark.parametrize("name", ["DR17", "dr17", "17", 17])
def test_spellings(name):
    assert find_release(name) is RELEASES[17]


@pytest.mark.parametrize("name", ["DR13", "seventeen", "", 18])
def test_unknown(name):
    with pytest.raises(ValueError, match="expected one of DR14, DR16, DR17, DR19, DR20"):
        find_release(name)


def test_first_twenty_elements_are_the_same_and_then_differ():
    assert RELEASES[14].elements[:20] == RELEASES[16].elements[:20]
    assert RELEASES[14].elements[20:] != RELEASES[16].elements[20:]
    assert RELEASES[14].elements[17] == "Fe"


def test_dr17_has_no_phosphorus():
    labels = {find_label(element).name for element in RELEASES[17].elements if element != "Ce"}
    assert set(APOGEE_LABELS[2:]) - labels == {"P"}
    assert len(RELEASES[17].elements) == 20


@pytest.mark.parametrize(
    ("file_name", "release"),
    [
        ("allStar-l31c.2.fits", 14),
        ("allStar-r12-l33.fits", 16),
        ("allStar-dr17-synspec_rev1.fits", 17),
        ("astraAllStarASPCAP-0.6.0.fits.gz", 19),
    ],
)
def test_names_of_tables(file_name, release):
    fitting = [number for number, row in RELEASES.items() if row.has_table_name(file_name)]
    assert fitting[0] == release
    assert set(fitting) <= {release, 20}  # a table of SDSS-V does not tell of which release it is
