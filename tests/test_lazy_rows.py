"""Rows that are read when they are used."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn._lazy_rows import LazyRows, change_rows, file_rows, take_rows, will_need

VALUES = np.arange(60, dtype=np.float32).reshape(12, 5)


@pytest.fixture
def lazy(tmp_path):
    """Rows of a file that has 8 other bytes before them."""
    (tmp_path / "values").write_bytes(b"8 bytes." + VALUES.tobytes())
    with (tmp_path / "values").open("rb", buffering=0) as file:
        yield file_rows(file, 8, VALUES.shape)


@pytest.mark.parametrize(
    "rows",
    [
        3,
        -1,
        slice(None),
        slice(2, 9, 3),
        slice(4, 4),
        np.array([5, 4, 4, 11, 0]),
        [-1, 2],
        np.arange(12) % 5 == 0,
        np.array([], dtype=int),
    ],
    ids=str,
)
def test_rows_are_those_of_the_array(lazy, rows):
    assert_array_equal(lazy[rows], VALUES[rows], strict=True)


def test_properties_of_an_array(lazy):
    assert (lazy.shape, lazy.ndim, lazy.dtype, len(lazy)) == ((12, 5), 2, np.float32, 12)
    assert_array_equal(np.asarray(lazy), VALUES, strict=True)
    with pytest.raises(IndexError):
        lazy[12]


def test_rows_that_are_read_may_be_changed(lazy):
    lazy[2:4][:] = 0
    assert_array_equal(lazy[2:4], VALUES[2:4])


def test_selections_and_changes_follow_each_other(lazy):
    order = np.array([7, 1, 3, 3])
    taken = take_rows(
        change_rows(take_rows(lazy, order), lambda values: values * 2), np.array([True, False, True, True])
    )
    assert isinstance(taken, LazyRows)
    assert_array_equal(taken[:], 2 * VALUES[[7, 3, 3]], strict=True)


def test_nothing_is_read_before_it_is_used():
    read = []

    def note(rows):
        read.append(rows.tolist())
        return np.zeros((len(rows), 2), np.float32)

    lazy = change_rows(take_rows(LazyRows(note, (9, 2)), np.array([8, 2, 5])), np.negative)
    assert not read
    _ = lazy[1:]
    assert read == [[2, 5]]


def test_rows_are_read_ahead_from_the_file_that_has_them():
    ahead = []
    lazy = LazyRows(lambda rows: np.zeros((len(rows), 2)), (9, 2), will_need=lambda rows: ahead.append(rows.tolist()))
    will_need(np.array([0, 2]), change_rows(take_rows(lazy, np.array([8, 2, 5])), np.negative), VALUES, None)
    assert ahead == [[8, 5]]


def test_reading_ahead_changes_nothing(lazy):
    lazy.will_need(np.array([11, 0]))
    assert_array_equal(lazy[[11, 0]], VALUES[[11, 0]])


def test_arrays_and_none_are_taken_and_changed_at_once():
    assert_array_equal(take_rows(VALUES, np.array([1])), VALUES[[1]])
    assert_array_equal(change_rows(VALUES, np.negative), -VALUES)
    assert take_rows(None, np.array([1])) is None
    assert change_rows(None, np.negative) is None


def test_a_file_that_was_cut(tmp_path):
    (tmp_path / "values").write_bytes(VALUES.tobytes()[:-1])
    with (tmp_path / "values").open("rb", buffering=0) as file:
        lazy = file_rows(file, 0, VALUES.shape)
        assert_array_equal(lazy[10], VALUES[10])
        with pytest.raises(OSError, match="Row 11 cannot be read: the file of the spectra was cut short"):
            _ = lazy[11]
