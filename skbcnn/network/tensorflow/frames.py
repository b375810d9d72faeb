"""Frames of pixels, on which a convolution with few channels becomes one with many.

CPUs are slow at convolutions with one, two and four channels. So spectra are cut into frames of eight pixels. The
pixels of a frame become channels, and a filter of eight pixels becomes a kernel on two neighbouring frames, half of it
zeros (a block of a Toeplitz matrix). This doubles the number of products and takes less than half the time.

Both convolutions keep the number of pixels (`NetworkSpec.padding`). So the frames between the convolutions start a few
pixels before the spectrum, and the frames of the spectrum twice as many.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skbcnn.network.spec import NetworkSpec

_MAX_ENTRIES = 2**26  # of `toeplitz`, and of the kernel of the second convolution: 256 MB
_PREFERRED_SIZE = 8  # pixels of a frame; 16 were measured to be slower


@dataclass(frozen=True)
class Frames:
    """Sizes and positions of the frames of a network.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.

    Attributes
    ----------
    size : int
        Number of pixels of a frame: whole pools.
    n_taps : int
        Number of neighbouring frames that a filter spans.
    n_pooled, n_middle, n_spectrum : int
        Number of frames after the second convolution, after the first one, and of the spectrum.
    overhang : int
        Number of pixels by which the frames between the convolutions start before the spectrum.
    margins : tuple of (int, int)
        Number of zeros before and after a spectrum: all that the filters reach, and at least one after it.
    n_places : int
        Number of pixels of a spectrum with its margins.

    Examples
    --------
    >>> from skbcnn.network.tensorflow.frames import Frames
    >>> from skbcnn.network.spec import NetworkSpec
    >>> frames = Frames(NetworkSpec(n_pixels=7514, windows=(None,), widening=((1, 1),)))
    >>> frames.size, frames.n_taps, frames.n_pooled
    (8, 2, 939)
    """

    spec: NetworkSpec

    @property
    def size(self) -> int:
        pool = self.spec.pool_size
        return -(-_PREFERRED_SIZE // pool) * pool

    @property
    def n_taps(self) -> int:
        return -(-(self.size + self.spec.kernel_size - 1) // self.size)

    @property
    def n_pooled(self) -> int:
        return -(-self.spec.n_pooled * self.spec.pool_size // self.size)

    @property
    def n_middle(self) -> int:
        return self.n_pooled + self.n_taps - 1

    @property
    def n_spectrum(self) -> int:
        return self.n_middle + self.n_taps - 1

    @property
    def overhang(self) -> int:
        return self.spec.padding[0]

    @property
    def margins(self) -> tuple[int, int]:
        before = 2 * self.overhang
        return before, max(self.size * self.n_spectrum - before - self.spec.n_pixels, 1)

    @property
    def n_places(self) -> int:
        return self.spec.n_pixels + sum(self.margins)

    def is_pixel(self) -> np.ndarray:
        """Return which places of the frames between the convolutions are pixels of the spectrum.

        Returns
        -------
        is_pixel : ndarray of bool of shape (n_middle, size)
            False beyond the ends of the spectrum.
        """
        pixel = np.arange(self.size * self.n_middle) - self.overhang
        return ((pixel >= 0) & (pixel < self.spec.n_pixels)).reshape(self.n_middle, self.size)

    def toeplitz(self, pixel_order: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return the position of each pixel of a filter in the kernel on frames.

        Parameters
        ----------
        pixel_order : array-like of int, default=None
            Order of the pixels in the frames that come out. None: the natural order.

        Returns
        -------
        toeplitz : ndarray of shape (n_taps * size, size, kernel_size), float32
            1 at [pixel that goes in, pixel that comes out, pixel of the filter].

        Raises
        ------
        ValueError
            If filters and pools are so large that the array, or a kernel, would not fit in memory.
        """
        n_entries = self.n_taps * self.size**2 * max(self.spec.kernel_size, math.prod(self.spec.num_filters))
        if n_entries > _MAX_ENTRIES:
            raise ValueError(
                f"filter_len={self.spec.filter_len} and pool_length={self.spec.pool_length} are too large together for "
                f"spectra of {self.spec.n_pixels} pixels. Use smaller ones; the published network has 8 and 4."
            )
        goes_in = np.arange(self.n_taps * self.size)[:, None, None]
        comes_out = np.arange(self.size) if pixel_order is None else np.asarray(pixel_order)
        return (goes_in - comes_out[:, None] == np.arange(self.spec.kernel_size)).astype(np.float32)

    def pools_apart(self) -> np.ndarray:
        """Return the pixels of a frame in the order: first pixels of all pools, then the second ones, and so on.

        Returns
        -------
        pixel_order : ndarray of int of shape (size,)
            Pixels in this order.
        """
        return np.arange(self.size).reshape(-1, self.spec.pool_size).T.ravel()
