"""Matrix products: the number of threads, and the columns that round equally."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from skbcnn.network.numpy.blas import ONE_THREAD_PER_PRODUCT, equally_rounded_columns
from skbcnn.network.numpy.posterior import NumpyPosterior


class TestOneThreadPerProduct:
    @pytest.fixture
    def posterior(self, small_spec, random_weights):
        return NumpyPosterior(small_spec, random_weights(small_spec), 0)

    @staticmethod
    def n_threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    def test_restored_by_the_last_context(self):
        before = self.n_threads()
        with ONE_THREAD_PER_PRODUCT as first:
            with ONE_THREAD_PER_PRODUCT as second:
                assert set(self.n_threads()) <= {1}
            assert set(self.n_threads()) <= {1}
        assert self.n_threads() == before
        assert first == second == max(before, default=first)

    def test_restored_after_an_error(self, posterior):
        before = self.n_threads()
        with pytest.raises(ValueError, match="broadcast"):
            list(posterior.moments([(np.ones((5, 3)), None)], 2))
        assert self.n_threads() == before

    def test_restored_when_iteration_stops_early(self, posterior):
        before = self.n_threads()
        results = posterior.moments([(np.ones((5, 42)), None)] * 20, 2)
        next(results)
        assert set(self.n_threads()) <= {1}
        results.close()
        assert self.n_threads() == before


class TestEquallyRoundedColumns:
    def test_most_columns_of_this_machine(self):
        for n_columns in (128, 16):
            columns = equally_rounded_columns(n_columns)
            assert len(columns) >= n_columns / 2  # else most of each product would be wasted
            assert 0 <= columns[0] < columns[-1] < n_columns

    def test_columns_that_round_differently_are_left_out(self):
        def product(first, second):
            result = first @ second
            if len(first) > 12:
                result[:, :5] *= np.float32(1 + 2e-7)
            if len(first) % 2:
                result[:, 20:] *= np.float32(1 - 2e-7)
            return result

        columns = equally_rounded_columns(24, product)
        assert set(columns) <= set(range(5, 20))
        assert len(columns) >= 8
