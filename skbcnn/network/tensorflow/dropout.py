"""Dropout while training: masks of its own for every spectrum, thresholded from 16 random bits a unit.

The bits come from NumPy (SFC64: three times as fast as the generators of TensorFlow on a processor), so that the
network is a function of spectra, bits and weights alone. The rate is exact to 1/65536.
"""

import math

import numpy as np

from skbcnn.network.tensorflow.runtime import tf


def n_dropped(rate):
    """How many of the 65536 values of 16 bits mean that a unit is dropped.

    Parameters
    ----------
    rate : float
        Share of units dropped, in [0, 1).

    Returns
    -------
    n_dropped : int
        At least one value is left that keeps the unit.
    """
    return min(round(rate * 2**16), 2**16 - 1)


def keep(bits, rate):
    """Masks of units.

    Parameters
    ----------
    bits : tensor of uint16
        Random.
    rate : float
        Share of units dropped.

    Returns
    -------
    keep : tensor of the same shape, float32
        0 where a unit is dropped; else what keeps the expectation of a unit.
    """
    dropped = n_dropped(rate)
    return tf.cast(bits >= tf.constant(dropped, tf.uint16), tf.float32) * np.float32(1 / (1 - dropped / 2**16))


class DropoutBits:
    """Random bits for the units of each batch.

    Parameters
    ----------
    shapes : sequence of tuple of (int or None)
        Units at each place. None: the spectra of the batch.
    seed : int
        Equal seeds give equal bits.
    """

    def __init__(self, shapes, seed):
        self.shapes = list(shapes)
        self._generator = np.random.SFC64(seed)

    def draw(self, n):
        """Bits of the next batch.

        Parameters
        ----------
        n : int
            Spectra in it.

        Returns
        -------
        bits : tuple of ndarray of uint16
            Of each place.
        """
        shapes = [tuple(n if size is None else size for size in shape) for shape in self.shapes]
        starts = np.cumsum([0, *map(math.prod, shapes)])
        bits = self._generator.random_raw(-(-int(starts[-1]) // 4)).view(np.uint16)
        return tuple(
            bits[start:][: math.prod(shape)].reshape(shape) for start, shape in zip(starts, shapes, strict=False)
        )
