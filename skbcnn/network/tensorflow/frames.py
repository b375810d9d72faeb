"""Spectra cut into frames, on which a convolution with few channels is one with many.

A processor is slow at convolutions with one, two and four channels. Cut the spectrum into frames of eight pixels: the
pixels of a frame become channels, and a filter of eight pixels becomes a kernel that looks at two neighbouring frames
at once, half of it zeros (a block of a Toeplitz matrix). It has twice the products, and takes less than half the time.

Both convolutions keep the number of pixels ("same": of an even filter, the smaller half hangs over on the left). So the
frames of what goes into the second one start a few pixels before the spectrum, and of what goes into the first one
twice as many.
"""

from dataclasses import dataclass

import numpy as np

_PREFERRED_SIZE = 8  # of a frame: measured, with 16 it is slower


@dataclass(frozen=True)
class Frames:
    """How the spectra of a network are cut.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.

    Attributes
    ----------
    size : int
        Pixels of a frame: whole pools.
    n_taps : int
        Neighbouring frames that a filter looks at.
    n_pooled, n_middle, n_spectrum : int
        Frames of what comes out of the second convolution, out of the first, and of the spectrum.
    overhang : int
        Pixels before the spectrum at which the frames between the convolutions start; those of the spectrum start
        twice as many before it.

    Examples
    --------
    >>> from skbcnn.network.tensorflow.frames import Frames
    >>> from skbcnn.network.spec import NetworkSpec
    >>> frames = Frames(NetworkSpec(n_pixels=7514, windows=(None,), widening=((1, 1),)))
    >>> frames.size, frames.n_taps, frames.n_pooled
    (8, 2, 939)
    """

    spec: object

    @property
    def size(self):
        pool = self.spec.pool_size
        return -(-_PREFERRED_SIZE // pool) * pool

    @property
    def n_taps(self):
        return -(-(self.size + self.spec.kernel_size - 1) // self.size)

    @property
    def n_pooled(self):
        return -(-self.spec.n_pooled * self.spec.pool_size // self.size)

    @property
    def n_middle(self):
        return self.n_pooled + self.n_taps - 1

    @property
    def n_spectrum(self):
        return self.n_middle + self.n_taps - 1

    @property
    def overhang(self):
        return (self.spec.kernel_size - 1) // 2

    @property
    def margins(self):
        """Zeros before and behind a spectrum: all that the filters may see, and at least one behind."""
        before = 2 * self.overhang
        return before, max(self.size * self.n_spectrum - before - self.spec.n_pixels, 1)

    @property
    def n_places(self):
        """Pixels of a spectrum between its margins."""
        return self.spec.n_pixels + sum(self.margins)

    def is_pixel(self):
        """Whether a place between the convolutions is a pixel, or beyond an end of the spectrum.

        Returns
        -------
        is_pixel : ndarray of bool of shape (n_middle, size)
        """
        pixel = np.arange(self.size * self.n_middle) - self.overhang
        return ((pixel >= 0) & (pixel < self.spec.n_pixels)).reshape(self.n_middle, self.size)

    def toeplitz(self, pixel_order=None):
        """Which pixel of the filter stands at which place of the kernel that works on frames.

        Parameters
        ----------
        pixel_order : array-like of int, default=None
            Order of the pixels in the frames that come out. None: as they are.

        Returns
        -------
        toeplitz : ndarray of shape (n_taps * size, size, kernel_size), float32
            1 at [pixel that goes in, pixel that comes out, pixel of the filter].
        """
        goes_in = np.arange(self.n_taps * self.size)[:, None, None]
        comes_out = np.arange(self.size) if pixel_order is None else np.asarray(pixel_order)
        return (goes_in - comes_out[:, None] == np.arange(self.spec.kernel_size)).astype(np.float32)

    def pools_apart(self):
        """Order of the pixels of a frame in which the first ones of all pools come first, then the second ones.

        Returns
        -------
        pixel_order : ndarray of int of shape (size,)
        """
        return np.arange(self.size).reshape(-1, self.spec.pool_size).T.ravel()
