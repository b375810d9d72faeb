"""Intervals that hold a given share of the labels whatever the residuals look like: split-conformal prediction.

Stars that the network has not learnt from are sorted by how many error bars they are off. A new star is off by less
than the k-th of n of them with a probability of at least k/(n + 1), if it is of their kind: no distribution is assumed.

References
----------
.. [1] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), JASA 113, 1094: split-conformal prediction, and its
   variant for residuals scaled by an error bar.
"""

import numpy as np

from skbcnn._validation import check_label_errors
from skbcnn.metrics.label_pairs import check_pairs

_ALIKE = 130  # stars of like noise: the 0.9 quantile of so many is known to 0.03
_MOST_LEVELS = 10


def interval_scores(prediction, y, y_err=None):
    """How many error bars each label of some stars is off.

    Parameters
    ----------
    prediction : Prediction
        Of stars that the network has not learnt from.
    y : array-like of shape (n_samples, n_labels) or (n_samples,)
        Their labels; NaN or -9999 where missing.
    y_err : array-like of the shape of `y`, default=None
        Errors of these labels, added to the error bars in quadrature; 0, or missing, where unknown.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_labels)
        ``|y - mean| / sqrt(total**2 + y_err**2)``, NaN where a label is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_scores
    >>> from skbcnn import Prediction
    >>> one = np.ones((3, 1))
    >>> stars = Prediction(np.array([[3.0], [1.0], [2.0]]), one, 0 * one, one, ("Al",))
    >>> interval_scores(stars, [[0.0], [0.0], [-9999.0]]).ravel()
    array([ 3.,  1., nan])
    """
    pairs = check_pairs(y, prediction.mean)
    total = prediction.total.reshape(pairs.y_true.shape)
    if y_err is not None:
        columns = y_err if np.ndim(y_err) != 1 else np.reshape(y_err, (-1, 1))
        total = np.hypot(total, check_label_errors(columns, np.where(pairs.counts, pairs.y_true, np.nan)))
    return np.where(pairs.counts, np.abs(pairs.y_true - pairs.y_pred) / total, np.nan)


def interval_factor(scores, coverage):
    """How many error bars an interval must reach to either side.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_labels)
        From `interval_scores`.
    coverage : float
        Share of labels that are to be within, above 0 and below 1.

    Returns
    -------
    factor : ndarray of shape (n_labels,)
        Of n scores the ``ceil((n + 1) * coverage)``-th, which covers with a probability of at least `coverage`.

    Raises
    ------
    ValueError
        If `coverage` is not between 0 and 1, or a label has too few scores for it.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_factor
    >>> interval_factor(np.arange(1.0, 10)[:, None], 0.9)  # the 9th of 9
    array([9.])
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage={coverage!r}, expected a share between 0 and 1, such as 0.9.")
    n, k = _numbers(scores, coverage)
    if (k > n).any():
        needed = int(np.ceil(coverage / (1 - coverage) - 1e-9))
        raise ValueError(
            f"A coverage of {coverage} needs at least {needed} held-out stars of each label, and there are "
            f"{n.min()} of one. Ask for less, or fit with more stars or a larger validation_fraction."
        )
    return np.take_along_axis(np.sort(scores, axis=0), k[None] - 1, axis=0)[0]  # NaN is sorted to the end


def interval_factors_by_noise(scores, noise, coverage, new_noise):
    """The same for each spectrum, from the scores of stars whose spectra are about as noisy.

    Stars are sorted by the noise of their spectra into levels of equal numbers, of at least 130 (as far as `coverage`
    leaves a choice, and ten levels at most). So the share is held at each level of noise, not only over all.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_labels)
        From `interval_scores`.
    noise : ndarray of shape (n_samples,)
        Of the spectrum of each of these stars, in any unit.
    coverage : float
        As in `interval_factor`.
    new_noise : ndarray of shape (n_new,)
        Of other spectra, in the same unit.

    Returns
    -------
    factors : ndarray of shape (n_new, n_labels)

    Raises
    ------
    ValueError
        As `interval_factor`.

    References
    ----------
    .. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, section 4.5: Mondrian conformal
       predictors.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_factors_by_noise
    >>> noise = np.linspace(1, 2, 260)
    >>> scores = np.where(noise < 1.5, 1.0, 3.0)[:, None]
    >>> interval_factors_by_noise(scores, noise, 0.9, [1.2, 1.8, 9.0]).ravel()
    array([1., 3., 3.])
    """
    for n_levels in range(int(np.clip(len(noise) // _ALIKE, 1, _MOST_LEVELS)), 0, -1):
        edges = np.quantile(noise, np.arange(1, n_levels) / n_levels)
        level = np.searchsorted(edges, noise)
        alike = [scores[level == number] for number in range(n_levels)]
        if all((k <= n).all() for n, k in (_numbers(some, coverage) for some in alike)):
            break
    factors = np.array([interval_factor(some, coverage) for some in alike])
    return factors[np.searchsorted(edges, new_noise)]


def _numbers(scores, coverage):
    """How many scores each label has, and the rank of the one that covers: above, if they are too few."""
    n = np.isfinite(scores).sum(axis=0)
    return n, np.ceil((n + 1) * coverage - 1e-9).astype(int)  # less a rounding error, so that 0.9 of 10 is the 9th
