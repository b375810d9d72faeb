"""Chunks of spectra computed in threads."""

import threading

import pytest

from skbcnn.network.chunks import chunk_size, ordered_map


class TestOrderedMap:
    def test_results_come_in_the_order_of_the_chunks(self):
        second_is_done = threading.Event()

        def function(number):
            if number == 0:
                assert second_is_done.wait(60)
            else:
                second_is_done.set()
            return number

        assert list(ordered_map(function, range(5), 2)) == list(range(5))

    def test_no_more_chunks_are_taken_than_there_are_threads(self):
        taken = []
        results = ordered_map(str, (taken.append(number) or number for number in range(100)), 3)
        assert next(results) == "0"
        assert taken == [0, 1, 2]
        results.close()

    def test_errors_reach_the_caller(self):
        with pytest.raises(ZeroDivisionError):
            list(ordered_map(lambda number: 1 / number, [1, 0, 2], 2))


def test_chunk_size_has_limits():
    assert chunk_size(1, max_bytes=1000, largest=128) == 128
    assert chunk_size(9, max_bytes=1000, largest=128) == 96  # a multiple of 16
    assert chunk_size(100, max_bytes=1000, largest=128) == 10
    assert chunk_size(100, max_bytes=1000, largest=128, smallest=32) == 32
    assert chunk_size(2000, max_bytes=1000, largest=128) == 1
