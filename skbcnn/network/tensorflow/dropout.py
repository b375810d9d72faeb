"""Dropout in training: each spectrum has its own masks, made from 16 random bits a unit.

The bits come from NumPy's SFC64, which is three times as fast as TensorFlow's generators on a CPU. So the network is a
function of spectra, bits and weights alone. The dropout rate is exact to 1/65536.
"""

import math
from collections.abc import Iterable

import numpy as np

from skbcnn.network.tensorflow.runtime import Tensor, tf


def n_dropped_values(rate: float) -> int:
    """Return how many of the 65536 values of 16 bits drop a unit.

    Parameters
    ----------
    rate : float
        Dropout rate, in [0, 1).

    Returns
    -------
    n_dropped_values : int
        At most 65535, so that a unit can be kept.
    """
    return min(round(rate * 2**16), 2**16 - 1)


def dropout_masks(bits: Tensor, rate: float) -> Tensor:
    """Return the masks of units.

    Parameters
    ----------
    bits : tensor of uint16
        Random bits.
    rate : float
        Dropout rate, in [0, 1).

    Returns
    -------
    masks : tensor of the same shape, float32
        0 where a unit is dropped; else the inverse of the probability of being kept.
    """
    n_dropped = n_dropped_values(rate)
    return tf.cast(bits >= tf.constant(n_dropped, tf.uint16), tf.float32) * np.float32(1 / (1 - n_dropped / 2**16))


class DropoutBits:
    """Random bits for the units of each batch.

    Parameters
    ----------
    shapes : iterable of tuple of (int or None)
        Shapes of the units at each place. None stands for the number of spectra.
    seed : int
        Seed; equal seeds give equal bits.
    """

    def __init__(self, shapes: Iterable[tuple[int | None, ...]], seed: int) -> None:
        self.shapes = list(shapes)
        self._generator = np.random.SFC64(seed)

    @property
    def state(self) -> np.ndarray:
        """State of the generator, after which further bits follow: ndarray of uint64 of shape (4,)."""
        return np.array(self._generator.state["state"]["state"], dtype=np.uint64)

    @state.setter
    def state(self, values: np.ndarray) -> None:
        state = self._generator.state
        state["state"]["state"] = np.asarray(values, dtype=np.uint64)
        self._generator.state = state

    def draw(self, n: int) -> tuple[np.ndarray, ...]:
        """Draw the bits of the next batch.

        Parameters
        ----------
        n : int
            Number of spectra in the batch.

        Returns
        -------
        bits : tuple of ndarray of uint16
            Bits for each place.
        """
        shapes = [tuple(n if size is None else size for size in shape) for shape in self.shapes]
        starts = np.cumsum([0, *map(math.prod, shapes)])
        bits = self._generator.random_raw(-(-int(starts[-1]) // 4)).view(np.uint16)
        return tuple(
            bits[start:][: math.prod(shape)].reshape(shape) for start, shape in zip(starts, shapes, strict=False)
        )
