"""Convolution along the spectrum by frames of a few pixels.

NumPy is slow at many small products, and slow at arrays that do not fit the cache. So a convolution is neither a sum of
shifted arrays nor a product for each pixel, but one matrix product for each frame of `FRAME` pixels, and its result is
handed over in blocks that are used while they are still in the cache.
"""

from collections.abc import Iterator

import numpy as np

FRAME = 4  # pixels convolved by one product: measured, fewer make too many products, more too many zeros
BLOCK = 512  # pixels of a block, a multiple of FRAME


def padded_length(n_pixels: int, kernel_size: int) -> int:
    """Return the number of rows of the input of a convolution: whole frames, and zeros at both ends.

    Parameters
    ----------
    n_pixels : int
        Number of pixels of a spectrum.
    kernel_size : int
        Number of pixels that the filters span.

    Returns
    -------
    padded_length : int
        Number of pixels, zeros included.
    """
    return -(-n_pixels // FRAME) * FRAME + kernel_size - 1


class FrameConvolution:
    """A convolution as one matrix product for each frame, without bias and activation.

    Parameters
    ----------
    kernel : ndarray of shape (length, channels, filters), float32
        Filters.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.convolution import FrameConvolution
    >>> convolution = FrameConvolution(np.array([1, 10], dtype=np.float32).reshape(2, 1, 1))
    >>> pixels = np.array([1, 2, 3, 4, 0], dtype=np.float32)[:, None]  # a spectrum of 4 pixels, and a zero
    >>> [(start, block.ravel().tolist()) for start, block in convolution.blocks(pixels, n_pixels=4)]
    [(0, [21.0, 32.0, 43.0, 4.0])]
    """

    def __init__(self, kernel: np.ndarray) -> None:
        length, n_channels, self.n_filters = kernel.shape
        # a Toeplitz matrix: rows are pixels and filters that come out, columns pixels and channels that go in
        matrix = np.zeros((FRAME, self.n_filters, FRAME + length - 1, n_channels), dtype=np.float32)
        for pixel in range(FRAME):
            matrix[pixel, :, pixel : pixel + length] = kernel.transpose(2, 0, 1)
        self._matrix = matrix.reshape(FRAME * self.n_filters, -1)

    def blocks(
        self, x: np.ndarray, n_pixels: int, block_size: int = BLOCK, mask: np.ndarray | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Convolve spectra, block by block.

        Parameters
        ----------
        x : ndarray of shape (padded_length, [channels,] n), float32
            Spectra along the last axis, between zeros.
        n_pixels : int
            Number of pixels to compute.
        block_size : int, default=BLOCK
            Number of pixels of a block, a multiple of `FRAME`.
        mask : ndarray of shape (padded_length, channels), default=None
            Factors of the input. They are applied to the kernel of each frame, which is smaller than the input.

        Yields
        ------
        start : int
            First pixel of the block.
        block : ndarray of shape (pixels, filters, n), float32
            Convolved spectra.
        """
        matrix, n = self._matrix, x.shape[-1]
        n_channels = int(np.prod(x.shape[1:-1], dtype=int))
        frames = _frames(x.reshape(-1, n), matrix.shape[1], n_channels)
        factors = None
        if mask is not None:
            factors = _frames(mask.reshape(-1, 1), matrix.shape[1], n_channels).transpose(0, 2, 1)
        for start in range(0, n_pixels, block_size):
            part = slice(start // FRAME, (start + block_size) // FRAME)
            block = (matrix if factors is None else matrix * factors[part]) @ frames[part]
            yield start, block.reshape(-1, self.n_filters, n)[: n_pixels - start]


def _frames(x: np.ndarray, n_rows: int, n_channels: int) -> np.ndarray:
    """Return the overlapping frames of (rows, n) as a view: (n_frames, n_rows, n)."""
    frames = np.lib.stride_tricks.sliding_window_view(x, n_rows, axis=0)
    return frames[:: FRAME * n_channels].transpose(0, 2, 1)
