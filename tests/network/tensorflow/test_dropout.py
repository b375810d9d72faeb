"""Masks in training: their rate, and new masks for each spectrum and batch."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.tensorflow.dropout import DropoutBits, dropout_masks, n_dropped_values


def drawn(rate, seed=0, n=201, n_batches=2):
    bits = DropoutBits([(None, 51)], seed)
    return [np.asarray(dropout_masks(*bits.draw(n), rate)) for _ in range(n_batches)]


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_masks_for_each_spectrum_and_batch(rate):
    first, second = drawn(rate)
    assert_allclose(np.unique(first), [0, 1 / (1 - rate)], rtol=2**-16 / (1 - rate))  # 16 bits a unit
    for kept in (first > 0, second > 0):
        assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / kept.size)
        assert len(np.unique(kept, axis=0)) > 150  # not one mask for all spectra
        assert abs(np.corrcoef(kept[:, :-1].ravel(), kept[:, 1:].ravel())[0, 1]) < 4 / np.sqrt(kept.size)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9, 0.99999])
def test_rate_and_expectation_are_exact_to_16_bits(rate):
    all_bits = np.arange(2**16).astype(np.uint16)
    kept = np.asarray(dropout_masks(all_bits, rate)).astype(float)
    assert_allclose((kept == 0).mean(), min(rate, 1 - 2**-16), atol=0.51 / 2**16)
    assert_allclose(kept.mean(), 1, rtol=1e-5)
    assert n_dropped_values(rate) == (kept == 0).sum()


def test_seeds():
    same, again, other = (drawn(0.3, seed)[0] for seed in (1, 1, 2))
    assert_array_equal(same, again)
    assert (same != other).any()


def test_shapes():
    drawn = DropoutBits([(None, 1, 3), (5, None, 2), (None, 1)], 0).draw(7)
    assert [part.shape for part in drawn] == [(7, 1, 3), (5, 7, 2), (7, 1)]
    assert all(part.dtype == np.uint16 for part in drawn)
    assert len(np.unique(np.concatenate([part.ravel() for part in drawn]))) > 90  # of 98: no bits are used twice


def test_no_places():
    assert DropoutBits([], 0).draw(3) == ()
