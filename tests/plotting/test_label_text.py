"""Labels and numbers as text."""

import pytest

from skbcnn.plotting._label_text import axis_label, decimals_for, format_integer, format_number
from skbcnn.survey import APOGEE_LABELS, label

MINUS = "\N{MINUS SIGN}"


def test_axes_show_symbol_and_unit_of_the_survey():
    expected = [f"{label(name).symbol} ({label(name).unit})" for name in APOGEE_LABELS]
    assert [axis_label(name) for name in APOGEE_LABELS] == expected


def test_labels_without_a_unit():
    assert [axis_label(name) for name in ("age", "fakemag")] == ["age", "fakemag"]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(-0.004, 2, "0.00"), (-1.25, 1, f"{MINUS}1.2"), (22.6, 0, "23"), (-30.0, 0, f"{MINUS}30")],
)
def test_rounded_numbers(value, decimals, text):
    assert format_number(value, decimals) == text


def test_integers_have_groups_of_digits():
    assert [format_integer(value) for value in (0, 9999, 10000, 3505554)] == ["0", "9999", "10 000", "3 505 554"]


def test_decimals_show_two_digits():
    spreads = 0.0274, 0.27, 2.7, 27.0, 2700.0, 0.0, float("nan")
    assert [decimals_for(spread) for spread in spreads] == [3, 2, 1, 0, 0, 3, 3]
