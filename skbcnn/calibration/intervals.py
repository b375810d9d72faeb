"""Intervals that hold a given share of the labels whatever the residuals look like: split-conformal prediction.

Stars that the network has not learnt from are sorted by how many error bars they are off. A new star is off by less
than the k-th of n of them with a probability of at least k/(n + 1), if it is of their kind: no distribution is assumed.

References
----------
.. [1] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), JASA 113, 1094: split-conformal prediction, and its
   variant for residuals scaled by an error bar.
"""

import numpy as np

from skbcnn.checks import check_label_errors
from skbcnn.metrics.checking import check_pairs


def interval_scores(prediction, y, y_err=None):
    """How many error bars each label of some stars is off, sorted.

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
        ``|y - mean| / sqrt(total**2 + y_err**2)``, each label in rising order, NaN at the end for those missing.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import interval_scores
    >>> from skbcnn.prediction import Prediction
    >>> one = np.ones((3, 1))
    >>> stars = Prediction(np.array([[3.0], [1.0], [2.0]]), one, 0 * one, one, ("Al",))
    >>> interval_scores(stars, [[0.0], [0.0], [-9999.0]]).ravel()
    array([ 1.,  3., nan])
    """
    pairs = check_pairs(y, prediction.mean)
    total = prediction.total.reshape(pairs.y_true.shape)
    if y_err is not None:
        total = np.hypot(total, check_label_errors(y_err, np.where(pairs.counts, pairs.y_true, np.nan)))
    scores = np.where(pairs.counts, np.abs(pairs.y_true - pairs.y_pred) / total, np.nan)
    return np.sort(scores, axis=0)


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
    n = np.isfinite(scores).sum(axis=0)
    # less a rounding error, so that 0.9 of 10 is the 9th
    k = np.ceil((n + 1) * coverage - 1e-9).astype(int)
    if (k > n).any():
        needed = int(np.ceil(coverage / (1 - coverage) - 1e-9))
        raise ValueError(
            f"A coverage of {coverage} needs at least {needed} held-out stars of each label, and there are "
            f"{n.min()} of one. Ask for less, or fit with more stars or a larger validation_fraction."
        )
    return np.take_along_axis(scores, k[None] - 1, axis=0)[0]
