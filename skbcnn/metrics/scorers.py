"""Scorers for model selection: objects that predict, leave missing labels out, and answer larger for better.

A plain function given as ``GridSearchCV(scoring=...)`` gets no error bars, and of the test fold neither label errors
nor weights. These do: error bars come from ``predict(X, return_std=True)``, the rest by metadata routing.
"""

import difflib
from inspect import signature
from typing import NamedTuple

from sklearn import config_context
from sklearn.utils.metadata_routing import MetadataRequest

from skbcnn._label_tables import error_values, label_columns, label_values
from skbcnn._sklearn import BaseScorer, shared_predictions
from skbcnn.metrics.magic import PER_STAR, accepted_per_star, magic_metric
from skbcnn.metrics.probabilistic import crps_gaussian, expected_calibration_error, gaussian_nll_loss
from skbcnn.metrics.regression import (
    mad_std_error,
    mean_absolute_error,
    median_bias,
    r2_score,
    root_mean_squared_error,
)


class _Ready(NamedTuple):
    """A scorer that has a name."""

    metric: object
    greater_is_better: bool = False
    needs_std: bool = False
    kwargs: dict = {}


_READY = {
    "r2": _Ready(r2_score, greater_is_better=True),
    "neg_mean_absolute_error": _Ready(mean_absolute_error),
    "neg_root_mean_squared_error": _Ready(root_mean_squared_error),
    "neg_mad_std_error": _Ready(mad_std_error),
    "neg_absolute_median_bias": _Ready(median_bias, kwargs={"absolute": True}),
    "neg_gaussian_nll_loss": _Ready(gaussian_nll_loss, needs_std=True),
    "neg_crps_gaussian": _Ready(crps_gaussian, needs_std=True),
    "neg_expected_calibration_error": _Ready(expected_calibration_error, needs_std=True),
}


def make_magic_scorer(metric, *, greater_is_better=True, needs_std=False, **kwargs):
    """Make a scorer that leaves missing labels out, of any metric.

    Parameters
    ----------
    metric : callable
        Of `skbcnn.metrics`, of scikit-learn, or your own; see `magic_metric`.
    greater_is_better : bool, default=True
        Whether larger is better. If not, the scorer changes the sign.
    needs_std : bool, default=False
        Whether the metric takes predicted standard deviations as its third argument. The estimator is then asked for
        ``predict(X, return_std=True)``.
    **kwargs
        Handed to the metric; among them may be `multioutput` and `label_scale`, as in `mad_std_error`.

    Returns
    -------
    scorer : MagicScorer
        Called as ``scorer(estimator, X, y_true)``; answers with a float, larger is better. ``set_score_request`` tells
        which of `sample_weight` and `y_err` are to reach it from ``GridSearchCV.fit`` or ``cross_validate``. Whatever
        else is requested so is handed on to ``estimator.predict``.

    Raises
    ------
    ValueError
        If `multioutput` is "raw_values": a scorer answers with one number.

    See Also
    --------
    get_scorer : Ready ones, by name.

    Notes
    -----
    A search that passes `y_err` or `sample_weight` to the scorer needs metadata routing: see the example of
    `get_scorer`. Scorers of one ``cross_validate(scoring={...})`` share their predictions. Steps of a pipeline hand
    ``return_std`` on to the last one, whether routing is on or not.

    Scorers of scikit-learn predict without metadata: a pipeline whose steps ask for errors or flags in ``transform``
    is scored on spectra prepared without them. These scorers hand them on, if asked to by the names that the pipeline
    knows: ``set_score_request(flux_err=True, bitmask=True)``. If error bars are needed too, the last step must ask for
    ``set_predict_request(return_std=True)``.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.metrics import max_error
    >>> from skbcnn.metrics import make_magic_scorer
    >>> scorer = make_magic_scorer(max_error, greater_is_better=False)
    >>> scorer
    make_magic_scorer(max_error, greater_is_better=False)
    >>> model = DummyRegressor(strategy="constant", constant=[4500.0, 0.0]).fit([[0.0]], [[4500.0, 0.0]])
    >>> scorer(model, [[0.0], [0.0]], [[4400.0, 0.5], [4450.0, -9999.0]])  # the mean of 100 and 0.5
    -50.25
    """
    multioutput = kwargs.get("multioutput")
    if isinstance(multioutput, str) and multioutput == "raw_values":
        raise ValueError(
            "multioutput='raw_values' gives one number for each label, but a scorer answers with one for all. Choose a "
            "mean, or make one scorer for each label with multioutput=[1, 0, ...]."
        )
    return MagicScorer(magic_metric(metric), 1 if greater_is_better else -1, kwargs, needs_std)


def get_scorer_names():
    """Names of the ready scorers.

    Returns
    -------
    names : list of str
        What `get_scorer` understands. ``neg_``: the metric with its sign changed, so that larger is better.

    Examples
    --------
    >>> from skbcnn.metrics import get_scorer_names
    >>> get_scorer_names()[:2]
    ['neg_absolute_median_bias', 'neg_crps_gaussian']
    """
    return sorted(_READY)


def get_scorer(name, **kwargs):
    """Ready scorer that leaves missing labels out.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`. Names that scikit-learn has too mean the same, and give the same number where
        nothing is missing. ``neg_gaussian_nll_loss``, ``neg_crps_gaussian`` and ``neg_expected_calibration_error``
        need an estimator with ``predict(X, return_std=True)``; ``neg_absolute_median_bias`` drops the sign of the bias
        of each label before they are averaged.
    **kwargs
        Handed to the metric: `multioutput`, `label_scale`, ... Pass ``label_scale="std"`` or numbers where labels
        differ in unit, or the errors of teff alone decide.

    Returns
    -------
    scorer : MagicScorer
        A new object at each call.

    Raises
    ------
    ValueError
        If there is no scorer of this name.

    See Also
    --------
    make_magic_scorer : A scorer of any metric.

    Examples
    --------
    Label errors of the test stars reach the scorer where routing is on and the scorer asks for them:

    >>> import numpy as np
    >>> from sklearn import config_context
    >>> from sklearn.linear_model import BayesianRidge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skbcnn.metrics import get_scorer
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y, y_err = X.sum(axis=1), np.full(60, 0.1)
    >>> with config_context(enable_metadata_routing=True):
    ...     scorer = get_scorer("neg_crps_gaussian").set_score_request(y_err=True)
    ...     search = GridSearchCV(BayesianRidge(), {"max_iter": [10, 20]}, scoring=scorer).fit(X, y, y_err=y_err)
    >>> bool(search.best_score_ < 0)
    True
    """
    if name not in _READY:
        near = difflib.get_close_matches(str(name), _READY) or _READY
        raise ValueError(f"There is no scorer {name!r}. Did you mean {', '.join(near)}?")
    metric, greater_is_better, needs_std, own = _READY[name]
    return make_magic_scorer(metric, greater_is_better=greater_is_better, needs_std=needs_std, **{**own, **kwargs})


class MagicScorer(BaseScorer):
    """Scorer that leaves missing labels out. Made by `make_magic_scorer` and `get_scorer`."""

    def __init__(self, score_func, sign, kwargs, needs_std=False):
        super().__init__(score_func, sign, kwargs, response_method="predict")
        self._needs_std = needs_std

    def __repr__(self):
        told = {"greater_is_better": False} if self._sign < 0 else {}
        told |= {"needs_std": True} if self._needs_std else {}
        told = "".join(f", {name}={value!r}" for name, value in {**told, **self._kwargs}.items())
        return f"make_magic_scorer({self._score_func.__name__}{told})"

    def _accept_sample_weight(self):
        """Whether scikit-learn is to hand weights on where routing is off."""
        return "sample_weight" in accepted_per_star(self._score_func)

    def _get_metadata_request(self):
        """What the scorer may be told of every star; asked for only after `set_score_request`."""
        if hasattr(self, "_metadata_request"):
            return super()._get_metadata_request()
        request = MetadataRequest(owner=self)
        for name in accepted_per_star(self._score_func):
            request.score.add_request(param=name, alias=None)
        return request

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        """Score of the predictions; called by scikit-learn, with the metadata that were asked for."""
        self._warn_overlap("The scorer was made with arguments that have now come as metadata too.", kwargs)
        of_metric = {*PER_STAR, *signature(self._score_func).parameters}
        handed_on = {name: kwargs.pop(name) for name in set(kwargs) - of_metric}
        predicted = self._predicted(method_caller, estimator, X, handed_on)
        y_true, kwargs = _in_order_of(estimator, y_true, kwargs)
        return self._sign * self._score_func(y_true, *predicted, **{**self._kwargs, **kwargs})

    def _predicted(self, method_caller, estimator, X, handed_on):
        """Predicted labels, and their standard deviations if the metric needs them."""
        if handed_on:  # not shared: other scorers may not ask for the same
            return (
                _predict_with_std(estimator, X, **handed_on) if self._needs_std else [estimator.predict(X, **handed_on)]
            )
        if not self._needs_std:
            return [method_caller(estimator, "predict", X)]
        shared = shared_predictions(method_caller)
        if "predict_with_std" not in shared:
            shared["predict_with_std"] = _predict_with_std(estimator, X)
            shared["predict"] = shared["predict_with_std"][0]
        return shared["predict_with_std"]


def _in_order_of(estimator, y_true, metadata):
    """Tables of labels and of their errors in the order in which the estimator predicts, if it says which that is."""
    names = _label_names(estimator)
    if names is None:
        return y_true, metadata
    labels = label_columns(y_true)
    y_err = metadata.get("y_err")
    if y_err is not None:
        metadata = {**metadata, "y_err": error_values(y_err, labels, names).reshape(labels.shape)}
    return label_values(y_true, names), metadata


def _label_names(estimator):
    """Names of the labels that an estimator predicts: its own, those of the best of a search, or of a last step."""
    if hasattr(estimator, "target_names_"):
        return estimator.target_names_
    steps = getattr(estimator, "steps", None)
    inner = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
    return None if inner is None else _label_names(inner)


def _predict_with_std(estimator, X, **metadata):
    """Labels and standard deviations from an estimator that has them."""
    hint = "It must answer predict(X, return_std=True) with labels and standard deviations: choose one that does."
    try:
        # without routing a Pipeline hands return_std on to its last step, whatever that asks for
        with config_context(enable_metadata_routing=bool(metadata)):
            predicted = estimator.predict(X, return_std=True, **metadata)
    except TypeError as error:
        if "return_std" not in str(error):
            raise
        raise TypeError(f"{type(estimator).__name__} gives no standard deviations ({error}). {hint}") from error
    if not isinstance(predicted, tuple) or len(predicted) != 2:
        raise TypeError(f"{type(estimator).__name__}.predict answered without standard deviations. {hint}")
    return predicted
