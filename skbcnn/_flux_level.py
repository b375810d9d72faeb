"""Flux level of spectra: continuum-normalised flux is near 1, and counts are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from skbcnn._user_warnings import warn_user

NORMALIZED = (0.5, 1.5)  # median of continuum-normalised spectra of stars
_VARIETY_OF_COUNTS = 10.0  # factor by which the counts of normal stars may differ from those of the training stars
NOT_COUNTS = (-10.0, 10.0)  # median of any flux that was normalised or standardised in some way


def median_level(X: np.ndarray, max_spectra: int = 200) -> float:
    """Return the median flux of a typical spectrum.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Finite flux.
    max_spectra : int, default=200
        Number of spectra to look at, evenly spaced.

    Returns
    -------
    level : float
        Median over the spectra of their medians.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._flux_level import median_level
    >>> median_level(np.array([[500.0, 400.0, 510.0], [90.0, 100.0, 1e9]]))
    300.0
    """
    return float(np.median(np.median(np.asarray(_some_rows(X, max_spectra), dtype=np.float64), axis=1)))


def is_within(level: float, limits: tuple[float, float]) -> bool:
    """Return whether a flux level is within limits.

    Parameters
    ----------
    level : float
        Median flux.
    limits : tuple of (float, float)
        `NORMALIZED` or `NOT_COUNTS`.

    Returns
    -------
    is_within : bool
    """
    return limits[0] <= level <= limits[1]


def are_near_one(X: np.ndarray, max_spectra: int = 200) -> bool:
    """Return whether spectra are continuum-normalised, so that the flux of a bad pixel can be replaced by 1.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Spectra; flux that is not finite is ignored.
    max_spectra : int, default=200
        Number of spectra to look at, evenly spaced.

    Returns
    -------
    are_near_one : bool
        Whether the median flux is between 0.5 and 1.5.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._flux_level import are_near_one
    >>> are_near_one(np.array([[0.9, np.nan, 1.1]])), are_near_one(np.array([[3.1, 2.9, 3.0]]))
    (True, False)
    """
    rows = np.asarray(_some_rows(X, max_spectra), dtype=np.float64)
    finite = rows[np.isfinite(rows)]
    return is_near_one(float(np.median(finite)) if len(finite) else None)


def is_near_one(level: float | None) -> bool:
    """Return whether a flux level is that of continuum-normalised spectra.

    Parameters
    ----------
    level : float or None
        Median flux of the training spectra; None if it is not known.

    Returns
    -------
    is_near_one : bool
        True if it is not known.
    """
    return level is None or is_within(level, NORMALIZED)


def training_level(model: Any) -> float | None:
    """Return the median flux of the training spectra of a model.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.

    Returns
    -------
    level : float or None
        From `domain_`, or from the mean that the normaliser subtracts. None if neither knows it.
    """
    if model.domain_ is not None:
        return float(np.median(model.domain_.center))
    mean = model.spectra_normalizer_.mean_
    return float(np.median(mean)) if mean.any() else None  # all 0: a mode that subtracts none


def warn_of_flux_level(X: np.ndarray, limits: tuple[float, float], class_name: str, consequence: str = "") -> None:
    """Warn of training spectra that are not divided by their continuum.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Training spectra.
    limits : tuple of (float, float)
        `NORMALIZED` or `NOT_COUNTS`.
    class_name : str
        Class of the model, for the message.
    consequence : str, default=""
        What else the flux level causes, in a sentence.

    Warns
    -----
    UserWarning
        If the median flux is beyond the limits, or there is a consequence.
    """
    level = median_level(X)
    if not is_within(level, limits):
        warn_user(
            f"The median flux of X is {level:.4g}, but {class_name} expects continuum-normalised spectra, whose median "
            "is near 1. Divide the spectra by their continuum first, with prepare_spectra or ContinuumNormalizer, and "
            f"prepare all spectra to predict in the same way. {consequence}".rstrip()
        )
    elif consequence:
        warn_user(consequence)


def warn_of_other_flux_level(
    X: np.ndarray, of_training: float | None, limits: tuple[float, float], what: str = "X"
) -> None:
    """Warn of spectra of another flux level than the training spectra.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Spectra to predict.
    of_training : float or None
        Median flux of the training spectra; None if it is not known.
    limits : tuple of (float, float)
        `NORMALIZED` or `NOT_COUNTS`: limits for training spectra near 1. For counts, they are a tenth of the median of
        the training spectra and ten times it. Other spectra were scaled in an unknown way and have no limits.
    what : str, default="X"
        Description of the spectra, for the message.

    Warns
    -----
    UserWarning
        If their median is beyond the limits.
    """
    if of_training is None:
        return
    if not is_near_one(of_training):
        if is_within(of_training, NOT_COUNTS):
            return
        ends = of_training / _VARIETY_OF_COUNTS, of_training * _VARIETY_OF_COUNTS
        limits = min(ends), max(ends)
    level = median_level(X)
    if not is_within(level, limits):
        warn_user(
            f"The median flux of {what} is {level:.4g}, but that of the training spectra is {of_training:.4g}, so the "
            "labels of these spectra mean nothing. Prepare them like the training spectra, with prepare_for_model or "
            "in a Pipeline."
        )


def _some_rows(X: np.ndarray, max_rows: int) -> np.ndarray:
    """Return at most so many rows, evenly spaced."""
    return X[:: max(1, -(-len(X) // max_rows))]
