"""Frames of pixels: sizes, margins and the kernel, worked by hand."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.frames import Frames


def frames_of(n_pixels, filter_len=8, pool_length=4):
    return Frames(
        NetworkSpec(n_pixels, windows=(None,), widening=((1, 1),), filter_len=filter_len, pool_length=pool_length)
    )


def test_published_layout():
    frames = frames_of(7514)
    assert (frames.size, frames.n_taps, frames.overhang) == (8, 2, 3)
    assert (frames.n_pooled, frames.n_middle, frames.n_spectrum) == (939, 940, 941)
    assert frames.margins == (6, 8)


def test_filters_reach_only_pixels_and_margins():
    for n_pixels, filter_len, pool_length in product([1, 2, 7, 42, 97], [1, 2, 3, 8, 20], [1, 3, 4, 8, 11]):
        frames = frames_of(n_pixels, filter_len, pool_length)
        spec = frames.spec
        before, after = frames.margins
        assert frames.size % spec.pool_size == 0
        assert frames.size * frames.n_pooled >= spec.n_pooled * spec.pool_size
        assert before >= 2 * ((spec.kernel_size - 1) // 2)
        assert after >= 1
        assert frames.n_places >= frames.size * frames.n_spectrum
        last_reached = spec.n_pooled * spec.pool_size - 1 + 2 * (spec.kernel_size - 1 - frames.overhang)
        assert frames.size * frames.n_spectrum - before > last_reached
        assert frames.is_pixel().sum() <= n_pixels


def test_places_beyond_the_spectrum_are_no_pixels():
    is_pixel = frames_of(16).is_pixel().ravel()
    assert_array_equal(np.flatnonzero(~is_pixel), [0, 1, 2, 19, 20, 21, 22, 23])


def test_toeplitz():
    """Output pixel j depends on the input pixels from j on, as many as the filter has."""
    toeplitz = frames_of(100, filter_len=3).toeplitz()
    assert toeplitz.shape == (16, 8, 3)
    kernel = toeplitz @ [10.0, 20.0, 30.0]
    assert_array_equal(kernel[:, 0], [10, 20, 30] + 13 * [0])
    assert_array_equal(kernel[:, 7], 7 * [0] + [10, 20, 30] + 6 * [0])


@pytest.mark.parametrize("sizes", [(7514, 4), (8, 7514), (1, 7514), (10**18, 10**18)])
def test_filters_and_pools_that_need_too_much_memory(sizes):
    with pytest.raises(ValueError, match=rf"filter_len={sizes[0]} and pool_length={sizes[1]} are too large together"):
        frames_of(7514, *sizes).toeplitz()


def test_pools_apart():
    frames = frames_of(100, pool_length=4)
    assert_array_equal(frames.pools_apart(), [0, 4, 1, 5, 2, 6, 3, 7])
    assert_array_equal(frames.toeplitz(frames.pools_apart()), frames.toeplitz()[:, frames.pools_apart()])
