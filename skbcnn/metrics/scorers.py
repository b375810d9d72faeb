"""Scorers for model selection that leave missing labels out.

A plain function as ``GridSearchCV(scoring=...)`` gets no predicted standard deviations, and no label errors or weights
of the test fold. These scorers get the standard deviations from ``predict(X, return_std=True)``, and the label errors
and weights by metadata routing. Larger scores are better.
"""

from inspect import signature
from typing import NamedTuple

from sklearn import config_context
from sklearn.utils.metadata_routing import MetadataRequest

from skbcnn._label_tables import label_and_error_values
from skbcnn._sklearn import BaseScorer, shared_predictions
from skbcnn.metrics.label_scales import check_name_of_scale
from skbcnn.metrics.magic import PER_STAR, accepted_per_star, magic_metric
from skbcnn.metrics.probabilistic import crps_gaussian, expected_calibration_error, gaussian_nll_loss
from skbcnn.metrics.regression import (
    mad_std_error,
    mean_absolute_error,
    median_bias,
    r2_score,
    root_mean_squared_error,
)
from skbcnn.survey.other_quantities import is_misspelt


class _NamedScorer(NamedTuple):
    """Arguments of `make_magic_scorer` for a scorer with a name."""

    metric: object
    greater_is_better: bool = False
    needs_std: bool = False
    kwargs: dict = {}


_NAMED_SCORERS = {
    "r2": _NamedScorer(r2_score, greater_is_better=True),
    "neg_mean_absolute_error": _NamedScorer(mean_absolute_error),
    "neg_root_mean_squared_error": _NamedScorer(root_mean_squared_error),
    "neg_mad_std_error": _NamedScorer(mad_std_error),
    "neg_absolute_median_bias": _NamedScorer(median_bias, kwargs={"absolute": True}),
    "neg_gaussian_nll_loss": _NamedScorer(gaussian_nll_loss, needs_std=True),
    "neg_crps_gaussian": _NamedScorer(crps_gaussian, needs_std=True),
    "neg_expected_calibration_error": _NamedScorer(expected_calibration_error, needs_std=True),
}


def make_magic_scorer(metric, *, greater_is_better=True, needs_std=False, **kwargs):
    """Make a scorer from a metric that leaves missing labels out.

    Parameters
    ----------
    metric : callable
        Metric of `skbcnn.metrics` or of scikit-learn, or a function of your own, as in `magic_metric`.
    greater_is_better : bool, default=True
        Whether larger values of the metric are better. If not, the scorer changes the sign.
    needs_std : bool, default=False
        Whether the metric takes predicted standard deviations as its third argument. The scorer then calls
        ``predict(X, return_std=True)``.
    **kwargs
        Arguments of the metric, for example `multioutput` and `label_scale` as in `mad_std_error`.

    Returns
    -------
    scorer : MagicScorer
        Object that is called as ``scorer(estimator, X, y_true)`` and returns a float; larger is better. Its method
        ``set_score_request`` chooses which of `sample_weight` and `y_err` it gets from ``GridSearchCV.fit`` or
        ``cross_validate``. Any other requested metadata are passed to ``estimator.predict``.

    Raises
    ------
    ValueError
        If `multioutput` is "raw_values", because a scorer returns one number, or `label_scale` is an unknown name.

    See Also
    --------
    get_scorer : Scorer for a name.

    Notes
    -----
    A search that passes `y_err` or `sample_weight` to the scorer needs metadata routing: see the example of
    `get_scorer`. The scorers of one ``cross_validate(scoring={...})`` share their predictions. A pipeline passes
    ``return_std`` to its last step, with and without metadata routing.

    Scorers of scikit-learn predict without metadata. A pipeline whose steps request flux errors or flags in
    ``transform`` is then scored on spectra that were prepared without them. These scorers pass them on after
    ``set_score_request(flux_err=True, bitmask=True)``, with the names that the pipeline uses. If the metric also needs
    standard deviations, the last step needs ``set_predict_request(return_std=True)``.

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
    check_name_of_scale(kwargs.get("label_scale"))
    multioutput = kwargs.get("multioutput")
    if isinstance(multioutput, str) and multioutput == "raw_values":
        raise ValueError(
            "multioutput='raw_values' gives one number for each label, but a scorer returns one number for all. Choose "
            "a mean, or make one scorer for each label with multioutput=[1, 0, ...]."
        )
    return MagicScorer(magic_metric(metric), 1 if greater_is_better else -1, kwargs, needs_std)


def get_scorer_names():
    """Return the names that `get_scorer` knows.

    Returns
    -------
    names : list of str
        Names in alphabetical order. ``neg_`` marks a metric whose sign is changed, so that larger is better.

    Examples
    --------
    >>> from skbcnn.metrics import get_scorer_names
    >>> get_scorer_names()[:2]
    ['neg_absolute_median_bias', 'neg_crps_gaussian']
    """
    return sorted(_NAMED_SCORERS)


def get_scorer(name, **kwargs):
    """Return a scorer that leaves missing labels out, by its name.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`. A scorer with a name of scikit-learn returns the same number as that of scikit-learn
        if no label is missing. ``neg_gaussian_nll_loss``, ``neg_crps_gaussian`` and ``neg_expected_calibration_error``
        need an estimator with ``predict(X, return_std=True)``. ``neg_absolute_median_bias`` averages the absolute
        biases of the labels.
    **kwargs
        Arguments of the metric, for example `multioutput` and `label_scale`. Pass ``label_scale="std"`` or numbers if
        labels have different units; otherwise the errors of teff dominate.

    Returns
    -------
    scorer : MagicScorer
        New object at each call.

    Raises
    ------
    ValueError
        If there is no scorer with this name.

    See Also
    --------
    make_magic_scorer : Scorer for any metric.

    Examples
    --------
    The scorer gets the label errors of the test stars if metadata routing is on and it requests them:

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
    if name not in _NAMED_SCORERS:
        similar = [known for known in _NAMED_SCORERS if _is_variant(str(name), known)]
        hint = f"Did you mean {similar[0]}?" if similar else f"Known: {', '.join(_NAMED_SCORERS)}."
        raise ValueError(
            f"There is no scorer {name!r}. {hint} make_magic_scorer makes one of any metric of scikit-learn."
        )
    metric, greater_is_better, needs_std, defaults = _NAMED_SCORERS[name]
    return make_magic_scorer(metric, greater_is_better=greater_is_better, needs_std=needs_std, **{**defaults, **kwargs})


def _is_variant(name: str, known: str) -> bool:
    """Return whether a name is that of a known scorer without its prefix, or misspelt."""
    metric = known.removeprefix("neg_")
    return name == metric or is_misspelt(name, known) or is_misspelt(name, metric)


class MagicScorer(BaseScorer):
    """Scorer that leaves missing labels out. Returned by `make_magic_scorer` and `get_scorer`."""

    def __init__(self, score_func, sign, kwargs, needs_std=False):
        super().__init__(score_func, sign, kwargs, response_method="predict")
        self._needs_std = needs_std

    def __repr__(self):
        options = {"greater_is_better": False} if self._sign < 0 else {}
        options |= {"needs_std": True} if self._needs_std else {}
        text = "".join(f", {name}={value!r}" for name, value in {**options, **self._kwargs}.items())
        return f"make_magic_scorer({self._score_func.__name__}{text})"

    def _accept_sample_weight(self):
        """Return whether scikit-learn should pass weights if metadata routing is off."""
        return "sample_weight" in accepted_per_star(self._score_func)

    def _get_metadata_request(self):
        """Return the metadata that `set_score_request` can request."""
        if hasattr(self, "_metadata_request"):
            return super()._get_metadata_request()
        request = MetadataRequest(owner=self)
        for name in accepted_per_star(self._score_func):
            request.score.add_request(param=name, alias=None)
        return request

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        """Return the score of the predictions. scikit-learn calls this method with the requested metadata."""
        self._warn_overlap("Some arguments of the scorer were also passed as metadata.", kwargs)
        metric_arguments = {*PER_STAR, *signature(self._score_func).parameters}
        predict_kwargs = {name: kwargs.pop(name) for name in set(kwargs) - metric_arguments}
        predictions = self._predict(method_caller, estimator, X, predict_kwargs)
        y_true, kwargs = _sort_labels(estimator, y_true, kwargs)
        return self._sign * self._score_func(y_true, *predictions, **{**self._kwargs, **kwargs})

    def _predict(self, method_caller, estimator, X, predict_kwargs):
        """Return the predicted labels, and their standard deviations if the metric needs them."""
        if predict_kwargs:  # predictions are not shared, because other scorers may request other metadata
            if self._needs_std:
                return _predict_with_std(estimator, X, **predict_kwargs)
            return [estimator.predict(X, **predict_kwargs)]
        if not self._needs_std:
            return [method_caller(estimator, "predict", X)]
        shared = shared_predictions(method_caller)
        if "predict_with_std" not in shared:
            shared["predict_with_std"] = _predict_with_std(estimator, X)
            shared["predict"] = shared["predict_with_std"][0]
        return shared["predict_with_std"]


def _sort_labels(estimator, y_true, metadata):
    """Return labels and their errors in the order in which the estimator predicts, if it knows the label names."""
    names = _label_names(estimator)
    if names is None:
        return y_true, metadata
    y_true, y_err = label_and_error_values(y_true, metadata.get("y_err"), names)
    return y_true, metadata if y_err is None else {**metadata, "y_err": y_err}


def _label_names(estimator):
    """Return the label names of an estimator, of the last step of a pipeline, or of the best estimator of a search."""
    if hasattr(estimator, "target_names_"):
        return estimator.target_names_
    steps = getattr(estimator, "steps", None)
    inner = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
    return None if inner is None else _label_names(inner)


def _predict_with_std(estimator, X, **metadata):
    """Return predicted labels and standard deviations."""
    hint = "predict(X, return_std=True) must return labels and standard deviations: choose an estimator that does this."
    try:
        # without metadata routing, a Pipeline passes return_std to its last step without a request
        with config_context(enable_metadata_routing=bool(metadata)):
            predicted = estimator.predict(X, return_std=True, **metadata)
    except TypeError as error:
        if "return_std" not in str(error):
            raise
        raise TypeError(f"{type(estimator).__name__} gives no standard deviations ({error}). {hint}") from error
    if not isinstance(predicted, tuple) or len(predicted) != 2:
        raise TypeError(f"{type(estimator).__name__}.predict returned no standard deviations. {hint}")
    return predicted
