"""Stars held out in `fit`, prepared for the calibration of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skbcnn._chunks import row_chunks
from skbcnn.calibration.fitting import MIN_DIFFERENCES
from skbcnn.metrics.label_pairs import check_pairs
from skbcnn.metrics.residual_tables import residual_statistics
from skbcnn.network.training_recipe import Stars

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction

_MAX_STARS = 6000  # with so many, the standard deviations of each label are known from its own residuals
_MAX_REPEATED = 1500  # stars of which two exposures are used; with more, their own residuals suffice
_ONE_NOISE = 1.5  # noise that varies by less than this factor does not show its effect on the residuals


def calibration_stars(held_out: Stars | None) -> Stars | None:
    """Return the held-out stars that calibrate the model.

    Parameters
    ----------
    held_out : Stars or None
        Stars held out in `fit`, in random order.

    Returns
    -------
    stars : Stars or None
        At most 6000 of them; None if there are fewer than 20.
    """
    if held_out is None or len(held_out.x) < MIN_DIFFERENCES:
        return None
    return held_out.take(slice(_MAX_STARS))


def repeated(stars: Stars) -> Stars:
    """Return stars, followed by the same stars again, for two exposures of each spectrum.

    Parameters
    ----------
    stars : Stars
        Stars in random order.

    Returns
    -------
    stars : Stars
        All of the stars, and then at most 1500 of them. The `group` is the number of the spectrum, of which all are
        exposures.
    """
    rows = np.concatenate([np.arange(len(stars.x)), np.arange(min(len(stars.x), _MAX_REPEATED))])
    return stars.take(rows)._replace(group=rows)


def can_calibrate(y: np.ndarray) -> bool:
    """Whether a label is known for enough stars to calibrate its standard deviation.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Labels, NaN where missing.

    Returns
    -------
    can_calibrate : bool
    """
    return bool((~np.isnan(y)).sum(axis=0).max(initial=0) >= MIN_DIFFERENCES)


def with_training_noise(stars: Stars, noise_range: tuple[float, float], random: np.random.Generator) -> np.ndarray:
    """Return spectra with as much fresh noise as an epoch of the training adds.

    Parameters
    ----------
    stars : Stars
        Stars with flux errors, if any noise is added.
    noise_range : tuple of (float, float)
        Smallest and largest noise, in flux errors.
    random : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    x : ndarray of shape (n_samples, n_pixels), float32
    """
    smallest, largest = noise_range
    if largest == 0 or stars.x_err is None:
        return np.asarray(stars.x)
    level = random.uniform(smallest, largest, size=(len(stars.x), 1)).astype(np.float32)
    varied = np.empty(stars.x.shape, dtype=np.float32)
    for rows in row_chunks(*stars.x.shape):
        error = level[rows] * stars.x_err[rows]
        varied[rows] = stars.x[rows] + error * random.standard_normal(error.shape, dtype=np.float32)
    return varied


def noise_varies(noise: np.ndarray) -> bool:
    """Whether the noise of spectra varies enough to learn its effect: by a factor of 1.5 in nine of ten spectra.

    Parameters
    ----------
    noise : ndarray of shape (n_samples,)
        Noise of each spectrum.

    Returns
    -------
    varies : bool
    """
    low, high = np.quantile(noise, [0.05, 0.95])
    return bool(high > _ONE_NOISE * low)


def label_residuals(y: np.ndarray, prediction: Prediction) -> dict[str, tuple[float, float, int]]:
    """Return bias and scatter of the predictions of each label.

    Parameters
    ----------
    y : ndarray of the shape of ``prediction.mean``
        Known labels, NaN where missing.
    prediction : Prediction
        Prediction for these stars.

    Returns
    -------
    residuals : dict of str to tuple of (float, float, int)
        By label: median and robust standard deviation of predicted minus known label, and number of stars.
    """
    statistics = residual_statistics(check_pairs(y, prediction.mean))
    figures = zip(*(statistics[name] for name in ("median_residual", "mad_std", "n")), strict=True)
    return dict(zip(prediction.label_names, figures, strict=True))
