"""Noise of spectra whose flux errors are not known."""

from __future__ import annotations

import numpy as np

from skbcnn._chunks import row_chunks

_MAX_STARS_OF_MEDIAN = 500


def known_or_estimated_errors(x: np.ndarray, x_err: np.ndarray | None) -> np.ndarray:
    """Return flux errors, estimated from the spectra if they are not known.

    Parameters
    ----------
    x : ndarray or LazyRows of shape (n, n_pixels)
        Flux.
    x_err : ndarray or LazyRows of shape (n, n_pixels), or None
        Flux errors.

    Returns
    -------
    x_err : ndarray of shape (n, n_pixels) or (n, 1)
        `x_err`, or one error for all pixels of a spectrum.
    """
    if x_err is not None:
        return x_err
    usual = np.median(x[:_MAX_STARS_OF_MEDIAN], axis=0)  # its lines would look like noise
    if len(x) == 1:
        usual[:] = 0
    return np.concatenate([estimated_noise(x[rows] - usual) for rows in row_chunks(*x.shape)])


def estimated_noise(x: np.ndarray) -> np.ndarray:
    """Estimate the noise of spectra from the differences between pixels two apart.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_pixels)
        Flux, best without the lines that all stars have.

    Returns
    -------
    noise : ndarray of shape (n_samples, 1), float32
        Standard deviation of the noise; 0 for spectra of fewer than 5 pixels.

    References
    ----------
    .. [1] Stoehr et al. (2008), ASP Conf. Ser. 394, 505, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.augmentation.noise import estimated_noise
    >>> x = 1 + 0.01 * np.random.default_rng(0).standard_normal((1, 7514))
    >>> estimated_noise(x).round(3)
    array([[0.01]], dtype=float32)
    """
    if x.shape[1] < 5:
        return np.zeros((len(x), 1), dtype=np.float32)
    differences = np.abs(2 * x[:, 2:-2] - x[:, :-4] - x[:, 4:])
    return (1.482602 / np.sqrt(6) * np.median(differences, axis=1, keepdims=True)).astype(np.float32)
