"""Names, spellings, units and missing values of labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skbcnn.survey import APOGEE_LABELS, MISSING, find_label, is_missing, label, label_unit, resolve_target

ELEMENTS = ["C", "C1", "N", "O", "Na", "Mg", "Al", "Si", "P", "S"]
ELEMENTS += ["K", "Ca", "Ti", "Ti2", "V", "Cr", "Mn", "Fe", "Co", "Ni"]
IN_ORDER = ["teff", "logg", *ELEMENTS]


def test_the_22_labels_in_order():
    assert list(APOGEE_LABELS) == IN_ORDER


@pytest.mark.parametrize("pattern", ["{}", "[{}/H]", "{}/H", "{}_H", "{}_h", " {} "])
def test_spellings_of_elements(pattern):
    for case in (str, str.lower, str.upper):
        assert [label(case(pattern.format(name))).name for name in ELEMENTS] == ELEMENTS


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("CI", "C1"),
        ("[CI/H]", "C1"),
        ("CI_H", "C1"),
        ("C I", "C1"),
        ("C_1", "C1"),
        ("c_1_h", "C1"),
        ("TiII", "Ti2"),
        ("[TiII/H]", "Ti2"),
        ("TIII_H", "Ti2"),
        ("Ti II", "Ti2"),
        ("ti_2_h", "Ti2"),
        ("[Ti2/H]", "Ti2"),
        ("TEFF", "teff"),
        ("Teff", "teff"),
        ("T_eff", "teff"),
        ("LOGG", "logg"),
        ("log g", "logg"),
        ("log(g)", "logg"),
        ("[M/H]", "M"),
        ("M_H", "M"),
        ("[alpha/M]", "alpha"),
        ("ALPHA_M", "alpha"),
        ("fakemag", "fakemag"),
    ],
)
def test_spellings_of_catalogues(spelling, name):
    assert label(spelling).name == name


def test_no_two_labels_share_a_symbol():
    assert len({label(name).symbol for name in IN_ORDER}) == 22


@pytest.mark.parametrize(
    ("name", "unit", "symbol"),
    [
        ("teff", "K", r"$T_\mathrm{eff}$"),
        ("logg", "dex", r"$\log g$"),
        ("Mg", "dex", "[Mg/H]"),
        ("C1", "dex", "[C I/H]"),
        ("Ti2", "dex", "[Ti II/H]"),
        ("fakemag", "", "fakemag"),
    ],
)
def test_units_and_symbols(name, unit, symbol):
    assert label(name) == (name, unit, symbol)


@pytest.mark.parametrize(
    ("name", "hint"), [("tefff", "Did you mean 'teff'"), ("xyzzy123", "Known: teff, logg, C"), (7, "Known: teff")]
)
def test_unknown_label(name, hint):
    with pytest.raises(ValueError, match=f"{name!r} is not a label known here. {hint}"):
        label(name)


@pytest.mark.parametrize("target", ["all", "ALL", " all ", APOGEE_LABELS, np.array(APOGEE_LABELS)])
def test_target_all_is_the_22_labels(target):
    assert resolve_target(target) == IN_ORDER


@pytest.mark.parametrize(
    ("target", "names"), [("Teff", ["teff"]), (["[Fe/H]", "M", "logg"], ["Fe", "M", "logg"]), (("CI",), ["C1"])]
)
def test_targets_keep_their_order(target, names):
    assert resolve_target(target) == names


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([], "target is empty"),
        (["Ti2", "Mg", "TiII"], "target names Ti2 more than once"),
        (["Mg", "Xx"], "'Xx' is not a label"),
    ],
)
def test_invalid_targets_raise_an_error(target, message):
    with pytest.raises(ValueError, match=message):
        resolve_target(target)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_missing_and_present_values(dtype):
    assert is_missing(np.array([np.nan, MISSING, -9999.99, -9990.0, -99999.0], dtype=dtype)).all()
    assert not is_missing(np.array([0.0, -9.999, -2.5, 4700.0, 9999.0, -9989.0], dtype=dtype)).any()


def test_infinity_is_not_missing():
    assert not is_missing([np.inf, -np.inf]).any()


def test_is_missing_keeps_the_shape():
    assert is_missing(MISSING).shape == ()
    assert_array_equal(is_missing([[1, -9999], [-9999, 2]]), [[False, True], [True, False]])


@given(st.floats(allow_infinity=False, width=32))
def test_missing_rule(value):
    assert is_missing(value) == (not value > -9990)


@pytest.mark.parametrize(
    ("name", "unit"), [("TEFF", "K"), ("logg", "dex"), ("[TiII/H]", "dex"), ("fakemag", ""), ("0", "")]
)
def test_label_unit(name, unit):
    assert label_unit(name) == unit


def test_find_label_returns_none_for_unknown_names():
    assert find_label("[TiII/H]") == label("Ti2")
    assert [find_label(name) for name in ("age", "", "M_H_err", 3)] == [None] * 4
