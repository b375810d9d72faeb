"""Masked and absent values in containers of numbers and names."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skbcnn._masked import check_groups, fill_masked, filled_array, is_masked, plain_numbers


def test_arrays_without_a_mask_are_not_copied():
    values = np.ones(3)
    assert fill_masked(values) is values


def test_integers_become_floats_only_where_masked():
    assert fill_masked(np.ma.array([1, 2], mask=[False, True])).dtype == float
    assert fill_masked(np.ma.array([1, 2])).dtype.kind == "i"


def test_a_list_of_quantities_has_one_unit():
    filled = fill_masked([1 * u.kK, 2000 * u.K])
    assert filled.unit == u.kK
    assert_array_equal(filled.value, [1, 2])


@pytest.mark.parametrize("absent", [None, pd.NA, pd.NaT, np.ma.masked])
def test_absent_objects(absent):
    assert_array_equal(filled_array([1.0, absent]), [1, np.nan])
    assert_array_equal(is_masked([1.0, absent]), [False, True])
    assert_array_equal(is_masked(np.array([1.0, absent], dtype=object)), [False, True])


def test_masked_numbers_in_a_list():
    assert_array_equal(is_masked([np.ma.array(1.0, mask=True), np.ma.array(2.0), np.array(3.0)]), [True, False, False])


def test_nan_is_not_masked():
    assert not is_masked([1.0, np.nan]).any()


def test_numbers_with_a_unit_are_refused():
    with pytest.raises(ValueError, match=r"levels has the unit 'K', expected numbers without a unit\. Leave it out\."):
        plain_numbers([1] * u.K, "levels", "Leave it out")
    assert_array_equal(plain_numbers([1] * u.one, "levels", "Leave it out"), [1])


def test_names_of_stars_that_are_objects_become_text():
    assert check_groups(np.array([1, "a"], dtype=object), "star", 2).tolist() == ["1", "a"]
