"""Properties of every model: predictions do not depend on other spectra, seeds are repeatable, missing is missing."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

import skbcnn
from skbcnn import CensoredBCNNRegressor
from skbcnn.network.tensorflow import posterior


@pytest.fixture(scope="module")
def many():
    """300 spectra, more than two chunks, and their errors."""
    random = np.random.default_rng(1)
    return random.normal(1, 0.1, size=(300, 40)), random.uniform(0, 0.3, size=(300, 40))


def rows_of(values, rows):
    return None if values is None else values[rows]


class TestEachSpectrumAlone:
    """A prediction depends on its spectrum and on the model only."""

    @settings(max_examples=15)
    @given(rows=st.lists(st.integers(0, 299), min_size=1, max_size=300), with_errors=st.booleans())
    def test_batch_and_order(self, tiny_model, many, rows, with_errors):
        X, x_err = many[0], many[1] if with_errors else None
        together = tiny_model.predict(X, return_std=True, x_err=x_err)
        apart = tiny_model.predict(X[rows], return_std=True, x_err=rows_of(x_err, rows))
        for ours, expected in zip(apart, together, strict=True):
            assert_array_equal(ours, expected[rows])

    @pytest.mark.parametrize(
        ("chunk", "with_errors"),
        [
            (1, False),
            (7, True),
            (300, False),
            *(pytest.param(*case, marks=pytest.mark.slow) for case in [(1, True), (7, False), (300, True)]),
        ],
    )
    def test_chunk_size(self, chunk, with_errors, tiny_model, many, monkeypatch):
        """Chunk sizes agree to single precision: sums are rounded in another order."""
        X, x_err = many[0][:60], many[1][:60] if with_errors else None
        expected = tiny_model.predict_distribution(X, x_err=x_err)
        monkeypatch.setattr(posterior, "MAX_CHUNK", chunk)
        ours = pickle.loads(pickle.dumps(tiny_model)).predict_distribution(X, x_err=x_err)
        scale = tiny_model.label_normalizer_.scale_
        assert_allclose(ours.mean / scale, expected.mean / scale, rtol=1e-5, atol=1e-5)
        for kind in ("model", "predictive"):
            assert_allclose(getattr(ours, kind) / scale, getattr(expected, kind) / scale, rtol=1e-4, atol=1e-5)


FIT_AND_PREDICT = """
import pickle, sys
model, X, y, errors = pickle.load(sys.stdin.buffer)
answer = model.fit(X, y, **errors).predict(X, return_std=True)
sys.stdout.buffer.write(pickle.dumps((model, answer)))
"""


class TestSeed:
    @pytest.mark.slow
    def test_equal_seeds_are_equal_fits_in_another_process(self, tiny_parameters, tiny_data, fitted_state):
        """With equal numbers of threads on one machine; the other process builds the network anew."""
        model = CensoredBCNNRegressor(**tiny_parameters, noise_augmentation=1.0)
        errors = {"x_err": tiny_data.X_err, "y_err": tiny_data.y_err}
        given = pickle.dumps((model, tiny_data.X, tiny_data.y, errors))
        root = Path(skbcnn.__file__).parents[1]
        ended = subprocess.run(
            [sys.executable, "-c", FIT_AND_PREDICT], input=given, capture_output=True, cwd=root, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, b"")
        there, answer = pickle.loads(ended.stdout)
        model.fit(tiny_data.X, tiny_data.y, **errors)
        assert_equal(fitted_state(there), fitted_state(model))
        assert_equal(answer, model.predict(tiny_data.X, return_std=True))

    def test_other_seeds_are_other_fits(self, tiny_parameters, tiny_model, tiny_data):
        other = CensoredBCNNRegressor(**tiny_parameters | {"random_state": 1}).fit(tiny_data.X, tiny_data.y)
        assert (other.predict(tiny_data.X) != tiny_model.predict(tiny_data.X)).all()


class TestMissing:
    """Neither the code of a missing label nor its error has any effect."""

    @settings(max_examples=8)
    @given(
        magic=st.lists(st.sampled_from([np.nan, -9999.0, -9999.99, -9990.0, -1e30]), min_size=6, max_size=6),
        error=st.lists(st.sampled_from([np.nan, np.inf, -np.inf, -5.0, 0.0, 1e30, -9999.0]), min_size=6, max_size=6),
    )
    def test_no_fitted_attribute_changes(self, tiny_parameters, tiny_model, tiny_data, fitted_state, magic, error):
        missing = np.isnan(tiny_data.y)
        y, y_err = tiny_data.y.copy(), tiny_data.y_err.copy()
        y[missing], y_err[missing] = magic, error
        model = CensoredBCNNRegressor(**tiny_parameters).fit(tiny_data.X, y, x_err=tiny_data.X_err, y_err=y_err)
        assert_equal(fitted_state(model), fitted_state(tiny_model))
