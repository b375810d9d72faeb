"""Any metric of scikit-learn, made to leave missing labels out."""

from inspect import Signature, signature

import numpy as np

from skbcnn.metrics.averaging import over_labels
from skbcnn.metrics.label_pairs import check_errors, check_pairs, check_stds
from skbcnn.metrics.probabilistic import crps_gaussian, expected_calibration_error, gaussian_nll_loss
from skbcnn.metrics.regression import (
    mad_std_error,
    mean_absolute_error,
    median_bias,
    r2_score,
    root_mean_squared_error,
)
from skbcnn.metrics.scaling import label_scales

_ALREADY_MAGIC = (mad_std_error, mean_absolute_error, median_bias, r2_score, root_mean_squared_error)
_ALREADY_MAGIC += (crps_gaussian, expected_calibration_error, gaussian_nll_loss)
PER_STAR = ("y_err", "sample_weight")
"""What a metric may be told of every star, beside true and predicted labels."""


def accepted_per_star(metric):
    """Which of `PER_STAR` a metric has among its arguments.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_pred, ...)``.

    Returns
    -------
    names : tuple of str
    """
    return tuple(name for name in PER_STAR if name in signature(metric).parameters)


def magic_metric(metric):
    """Make a metric leave missing labels out.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_pred, **kwargs)``, or ``metric(y_true, y_pred, y_std, **kwargs)`` if it needs
        error bars, with arrays of shape (n_samples,); answers with a number. Any regression metric of scikit-learn
        will do.

    Returns
    -------
    metric : callable
        ``metric(y_true, y_pred, y_std=None, *, y_err=None, sample_weight=None, multioutput="uniform_average",
        label_scale=None, **kwargs)``. Label by label, it calls the metric for the stars that have the label and a
        weight above 0, and averages the answers; `multioutput` and `label_scale` are as in `mad_std_error`. `kwargs`
        are handed on; so are `y_err` and `sample_weight`, where given, cut to the same stars. The metrics of
        `skbcnn.metrics` come back as they are.

    See Also
    --------
    make_magic_scorer : The same for ``GridSearchCV(scoring=...)``.

    Notes
    -----
    A label for which the metric answers NaN, as many do for a single star, is left out of means like one that no star
    has. Where the metric defines an answer, it stands. Where nothing is missing, the raw values are those of the
    metric itself.

    Examples
    --------
    >>> from sklearn.metrics import max_error
    >>> from skbcnn.metrics import magic_metric
    >>> y_true, y_pred = [[4000.0, 0.0], [4600.0, -9999.0]], [[4010.0, -0.5], [4630.0, 0.0]]
    >>> magic_metric(max_error)(y_true, y_pred, multioutput="raw_values")
    array([30. ,  0.5])
    """
    if isinstance(metric, MagicMetric) or metric in _ALREADY_MAGIC:
        return metric
    return MagicMetric(metric)


class MagicMetric:
    """A metric of one label, applied to every label where it is present. Made by `magic_metric`."""

    def __init__(self, metric):
        if not callable(metric):
            raise TypeError(f"metric is {metric!r}, expected a function, such as sklearn.metrics.mean_absolute_error.")
        self.metric = metric
        self.__name__ = getattr(metric, "__name__", repr(metric))
        self.__signature__ = self._signature()

    def _signature(self):
        """Own arguments, but of those for every star only what the metric has, so that no other is asked for."""
        unknown = set(PER_STAR) - set(accepted_per_star(self.metric))
        own = [p for name, p in signature(type(self).__call__).parameters.items() if name not in {"self", *unknown}]
        return Signature(own)

    def __repr__(self):
        return f"magic_metric({self.__name__})"

    def __call__(
        self,
        y_true,
        y_pred,
        y_std=None,
        *,
        y_err=None,
        sample_weight=None,
        multioutput="uniform_average",
        label_scale=None,
        **kwargs,
    ):
        """Score of the labels that are present; see `magic_metric`."""
        self._check_accepted(y_err=y_err, sample_weight=sample_weight)
        pairs = check_pairs(y_true, y_pred, sample_weight)
        scales = label_scales(label_scale, y_true, pairs)
        columns = [pairs.y_true / scales, pairs.y_pred / scales]
        if y_std is not None:
            columns.append(check_stds(y_std, pairs.counts) / scales)
        named = {} if y_err is None else {"y_err": check_errors(y_err, pairs) / scales}
        if sample_weight is not None:
            named["sample_weight"] = pairs.weight
        counts = pairs.counts & np.isfinite(scales)
        scores = [self._of_label(label, counts[:, label], columns, named, kwargs) for label in range(len(scales))]
        return over_labels(
            np.array(scores), multioutput, name=self.__name__, without="too few stars have it, or it has no spread"
        )

    def _of_label(self, label, stars, columns, named, kwargs):
        """Score of one label, NaN where no star has it."""
        if not stars.any():
            return np.nan
        positional = [values[stars, label] for values in columns]
        per_star = {name: values[stars, label] for name, values in named.items()}
        return float(self.metric(*positional, **per_star, **kwargs))

    def _check_accepted(self, **per_star):
        accepted = accepted_per_star(self.metric)
        for name, values in per_star.items():
            if values is not None and name not in accepted:
                raise TypeError(f"{self.__name__} has no argument {name}. Leave it out, or choose a metric with it.")
