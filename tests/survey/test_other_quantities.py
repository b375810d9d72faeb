"""Names that look like the name of a label, but mean something else or are misspelt."""

import pytest

from skbcnn.survey.other_quantities import hint_for_column, is_misspelt, other_quantity, similar_label
from skbcnn.survey.spellings import LABELS


def test_no_label_is_another_quantity():
    for name in LABELS:
        for spelling in (name, name.upper(), f"[{name}/H]"):
            assert other_quantity(spelling) is None or spelling == "[alpha/H]"
            assert similar_label(name) is None


def test_labels_that_can_be_computed():
    names = {
        "[Mg/Fe]": "Mg",
        "C_FE": "C",
        "CI_FE": "C1",
        "alpha_fe": "alpha",
        "A(O)": "O",
        "logteff": "teff",
        "Ce": None,
    }
    assert {name: other_quantity(name).label for name in names} == names
    assert other_quantity("Ce").label is None


@pytest.mark.parametrize(
    ("text", "name", "misspelt"),
    [
        ("tefff", "teff", True),
        ("tef", "teff", True),
        ("tfef", "teff", True),
        ("T_Eff", "teff", True),
        ("teffx", "teff", False),
        ("logt", "logg", False),
        ("Nd", "N", False),
        ("aeg", "age", False),
        ("APOGEEID", "APOGEE_ID", True),
    ],
)
def test_one_letter_missing_doubled_or_exchanged(text, name, misspelt):
    assert is_misspelt(text, name) is misspelt


def test_columns_are_remarked_on_only_if_their_label_is_missing():
    assert hint_for_column("MG_FE", ["Al"]) == ""
    assert hint_for_column("MG_FE", ["[Mg/H]"]).startswith(" ([Mg/Fe] is relative to iron.")
    assert hint_for_column("metallicty", ["metallicity"]) == " (did you mean metallicity?)"
