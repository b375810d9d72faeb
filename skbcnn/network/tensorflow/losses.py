"""The Gaussian loss of a star, with label errors and without its missing labels."""

import numpy as np

from skbcnn.network.moments import LOGVAR_LIMIT
from skbcnn.network.tensorflow.runtime import Tensor, keras

ops = keras.ops

_NO_ERROR = -100.0  # log-variance of a label without error: negligible beside the smallest predicted one, -20


def pack_targets(y: np.ndarray, y_err: np.ndarray | None = None, y_weight: np.ndarray | None = None) -> np.ndarray:
    """Pack labels and their errors into the array that the loss takes.

    Missing labels are replaced here, before any arithmetic: a NaN that is masked afterwards would still reach the
    gradient.

    Parameters
    ----------
    y : ndarray of shape (n, n_labels)
        Normalised labels; NaN where missing.
    y_err : ndarray of shape (n, n_labels), default=None
        Label errors in the same units; 0 where unknown. Those of missing labels are ignored. None: all 0.
    y_weight : ndarray of shape (n, n_labels), default=None
        Weights of the labels, above 0. None: all 1.

    Returns
    -------
    targets : ndarray of shape (n, 3, n_labels), float32
        Values, log error variances, and weights, which are 0 for missing labels.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.tensorflow.losses import pack_targets
    >>> pack_targets(np.array([[0.5, np.nan]]), np.array([[1.0, -9999.0]]))[0].tolist()
    [[0.5, 0.0], [0.0, -100.0], [1.0, 0.0]]
    """
    present = ~np.isnan(y)
    has_error = present & (y_err > 0) if y_err is not None else np.zeros_like(present)
    log_error_variance = np.full(y.shape, _NO_ERROR)
    if y_err is not None:
        np.log(y_err, out=log_error_variance, where=has_error)
        log_error_variance[has_error] *= 2
    values = np.where(present, y, 0.0)
    weight = present if y_weight is None else present * y_weight
    return np.stack([values, np.maximum(log_error_variance, _NO_ERROR), weight], axis=1).astype(np.float32)


def star_loss(targets: Tensor, moments: Tensor) -> Tensor:
    """Return the loss of each star: mean over its present labels of 0.5 w ((y - mu)^2 / var + log var).

    The variance is ``var = exp(s) + e^2``, with the log-variance s of the network and the label error e. The weight w
    of a label is 1 unless `pack_targets` got others.

    Parameters
    ----------
    targets : tensor of shape (n, 3, n_labels)
        Labels from `pack_targets`.
    moments : tensor of shape (n, 2, n_labels)
        Predicted means mu and log-variances s.

    Returns
    -------
    loss : tensor of shape (n,)
        In nats per present label, without the constant log(2 pi) / 2. 0 for a star without labels.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, section 3.1, equations 3 and 4.
    .. [2] Kendall & Gal (2017), NeurIPS, equation 8.
    """
    y, log_error_variance, weight = ops.unstack(targets, 3, axis=1)
    mean, logvar = ops.unstack(moments, 2, axis=1)
    log_variance = ops.logaddexp(ops.clip(logvar, -LOGVAR_LIMIT, LOGVAR_LIMIT), log_error_variance)
    density = 0.5 * (ops.square(y - mean) * ops.exp(-log_variance) + log_variance)
    return _mean_over_present(weight * density, weight)


def star_absolute_error(targets: Tensor, moments: Tensor) -> Tensor:
    """Return the mean absolute error of each star over its present labels.

    Parameters
    ----------
    targets : tensor of shape (n, 3, n_labels)
        Labels from `pack_targets`.
    moments : tensor of shape (n, 2, n_labels)
        Predicted means and log-variances.

    Returns
    -------
    error : tensor of shape (n,)
        In normalised units. 0 for a star without labels.
    """
    weight = targets[:, 2]
    return _mean_over_present(ops.sign(weight) * ops.abs(targets[:, 0] - moments[:, 0]), weight)


def _mean_over_present(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over the labels of positive weight of values that are 0 for the others."""
    return ops.sum(values, axis=-1) / ops.maximum(ops.sum(ops.sign(weight), axis=-1), 1.0)


def weighted_sums(targets: Tensor, moments: Tensor, weight: Tensor) -> Tensor:
    """Return sums over the stars of a batch, which give the means over many batches.

    Parameters
    ----------
    targets : tensor of shape (n, 3, n_labels)
        Labels from `pack_targets`.
    moments : tensor of shape (n, 2, n_labels)
        Predicted means and log-variances.
    weight : tensor of shape (n,)
        Weights of the stars. It must be 0 for stars without labels, so that they count neither in the sums nor in the
        divisor.

    Returns
    -------
    sums : tensor of shape (3,)
        Sums of the weighted losses, the weighted absolute errors and the weights.
    """
    of_stars = ops.stack([star_loss(targets, moments), star_absolute_error(targets, moments), ops.ones_like(weight)])
    return ops.sum(of_stars * weight, axis=1)


def mean_loss(sums: Tensor) -> Tensor:
    """Return the loss of a batch: the weighted mean of `star_loss`.

    Parameters
    ----------
    sums : tensor of shape (3,)
        Result of `weighted_sums`.

    Returns
    -------
    loss : scalar tensor
        0 for a batch of weight 0.
    """
    return ops.divide_no_nan(sums[0], sums[2])
