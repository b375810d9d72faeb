"""Metrics of scikit-learn, wrapped so that they leave missing labels out."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Signature, signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn.metrics.averaging import average_over_labels
from skbcnn.metrics.label_pairs import check_errors, check_pairs, check_stds
from skbcnn.metrics.label_scales import label_scales
from skbcnn.metrics.probabilistic import crps_gaussian, expected_calibration_error, gaussian_nll_loss
from skbcnn.metrics.regression import (
    mad_std_error,
    mean_absolute_error,
    median_bias,
    r2_score,
    root_mean_squared_error,
)

_ALREADY_MAGIC: tuple[Callable, ...] = (mad_std_error, mean_absolute_error, median_bias, r2_score)
_ALREADY_MAGIC += (root_mean_squared_error, crps_gaussian, expected_calibration_error, gaussian_nll_loss)
PER_STAR = ("y_err", "sample_weight")
"""Arguments of a metric, besides true and predicted labels, that have a value for each star."""


def accepted_per_star(metric: Callable) -> tuple[str, ...]:
    """Return the names in `PER_STAR` that are arguments of a metric.

    Parameters
    ----------
    metric : callable
        Function that is called as ``metric(y_true, y_pred, ...)``.

    Returns
    -------
    names : tuple of str
    """
    return tuple(name for name in PER_STAR if name in signature(metric).parameters)


def magic_metric(metric: Callable) -> Callable:
    """Wrap a metric so that it leaves missing labels out.

    Parameters
    ----------
    metric : callable
        Any regression metric of scikit-learn, or a function that is called as ``metric(y_true, y_pred, **kwargs)``
        with arrays of shape (n_samples,) and returns a number. If it needs standard deviations, it is called as
        ``metric(y_true, y_pred, y_std, **kwargs)``.

    Returns
    -------
    metric : callable
        ``metric(y_true, y_pred, y_std=None, *, y_err=None, sample_weight=None, multioutput="uniform_average",
        label_scale=None, **kwargs)``. For each label, it calls the metric with the stars that have the label and a
        weight above 0. It then averages over labels. `multioutput` and `label_scale` work as in `mad_std_error`.
        `kwargs`, and the values of `y_err` and `sample_weight` for these stars, are passed to the metric. Metrics of
        `skbcnn.metrics` are returned unchanged.

    See Also
    --------
    make_magic_scorer : The same for ``GridSearchCV(scoring=...)``.

    Notes
    -----
    A label for which the metric returns NaN, as many metrics do for a single star, is left out of means like a label
    without values. If no label is missing, the raw values are those of the metric itself.

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
    """Metric of one label that is applied to each label where it is present. Returned by `magic_metric`."""

    def __init__(self, metric: Callable) -> None:
        if not callable(metric):
            raise TypeError(f"metric is {metric!r}, expected a function, such as sklearn.metrics.mean_absolute_error.")
        self.metric = metric
        self.__name__ = getattr(metric, "__name__", repr(metric))
        self.__signature__ = self._signature()

    def _signature(self) -> Signature:
        """Return the arguments of a call, without the `PER_STAR` arguments that the metric does not have."""
        unknown = set(PER_STAR) - set(accepted_per_star(self.metric))
        own = [p for name, p in signature(type(self).__call__).parameters.items() if name not in {"self", *unknown}]
        return Signature(own)

    def __repr__(self) -> str:
        return f"magic_metric({self.__name__})"

    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        y_std: ArrayLike | None = None,
        *,
        y_err: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        multioutput: ArrayLike = "uniform_average",
        label_scale: ArrayLike | None = None,
        **kwargs: Any,
    ) -> float | np.ndarray:
        """Return the score of the labels that are present, as described in `magic_metric`."""
        self._check_accepted(y_err=y_err, sample_weight=sample_weight)
        pairs = check_pairs(y_true, y_pred, sample_weight)
        scales = label_scales(label_scale, y_true, pairs)
        columns = [pairs.y_true / scales, pairs.y_pred / scales]
        if y_std is not None:
            columns.append(check_stds(y_std, pairs) / scales)
        per_star = {} if y_err is None else {"y_err": check_errors(y_err, pairs) / scales}
        if sample_weight is not None:
            per_star["sample_weight"] = pairs.weight
        counts = pairs.counts & np.isfinite(scales)
        scores = [
            self._score_label(
                [values[stars, j] for values in columns],
                {name: values[stars, j] for name, values in per_star.items()} | kwargs,
            )
            for j, stars in enumerate(counts.T)
        ]
        return average_over_labels(
            np.array(scores),
            multioutput,
            name=self.__name__,
            reason_undefined="too few stars have it, or it has no spread",
        )

    def _score_label(self, columns: list[np.ndarray], kwargs: dict[str, Any]) -> float:
        """Return the score of one label, or NaN without stars."""
        return float(self.metric(*columns, **kwargs)) if len(columns[0]) else np.nan

    def _check_accepted(self, **per_star: ArrayLike | None) -> None:
        accepted = accepted_per_star(self.metric)
        for name, values in per_star.items():
            if values is not None and name not in accepted:
                raise TypeError(f"{self.__name__} has no argument {name}. Leave it out, or choose a metric with it.")
