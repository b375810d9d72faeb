"""How labels and numbers are written."""

import pytest

from skbcnn.plotting.axis_texts import axis_text, digits_for, number, whole_number
from skbcnn.survey import APOGEE_LABELS, label

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize("name", APOGEE_LABELS)
def test_as_the_survey_writes_them(name):
    assert axis_text(name) == f"{label(name).symbol} ({label(name).unit})"


def test_unknown_labels_stand_alone():
    assert axis_text("age") == "age"
    assert axis_text("fakemag") == "fakemag"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-0.004, 2, "0.00"), (-1.25, 1, f"{MINUS}1.2"), (22.6, 0, "23"), (-30.0, 0, f"{MINUS}30")],
)
def test_number(value, digits, text):
    assert number(value, digits) == text


def test_whole_number():
    assert [whole_number(value) for value in (0, 9999, 10000, 3505554)] == ["0", "9999", "10 000", "3 505 554"]


@pytest.mark.parametrize(
    ("spread", "digits"), [(0.0274, 3), (0.27, 2), (2.7, 1), (27.0, 0), (2700.0, 0), (0.0, 3), (float("nan"), 3)]
)
def test_digits(spread, digits):
    assert digits_for(spread) == digits
