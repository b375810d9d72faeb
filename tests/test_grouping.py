"""Sums over the spectra of each star."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn._grouping import Grouping


def test_sums_by_hand():
    grouping = Grouping.of([7, 3, 7, 5], "star", 4)
    assert_array_equal(grouping.names, [3, 5, 7])
    assert_array_equal(grouping.counts, [1, 1, 2])
    assert_array_equal(grouping.sum(np.array([[1.0, 2.0], [3, 4], [5, 6], [7, 8]])), [[3, 4], [7, 8], [6, 8]])
    assert_array_equal(grouping.any(np.array([False, False, True, False])), [False, False, True])
    assert_array_equal(grouping.names[grouping.group_of_row], [7, 3, 7, 5])


def test_invalid_groups():
    with pytest.raises(ValueError, match=r"groups has shape \(2,\), expected \(3,\): the name or number of the group"):
        Grouping.of(["a", "b"], "groups", 3, "group")
    with pytest.raises(ValueError, match="The prediction has no spectra, and at least one is needed"):
        Grouping.of([], "star", 0)
