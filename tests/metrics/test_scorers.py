"""Scorers in model selection: missing labels, predicted standard deviations, label errors and weights."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import sklearn.metrics
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import clone, config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.metrics import d2_absolute_error_score, max_error
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skbcnn import metrics
from skbcnn.metrics import get_scorer, get_scorer_names, make_magic_scorer
from skbcnn.survey import MISSING, is_missing

OF_LABELS = {
    "r2": metrics.r2_score,
    "neg_mean_absolute_error": metrics.mean_absolute_error,
    "neg_root_mean_squared_error": metrics.root_mean_squared_error,
    "neg_mad_std_error": metrics.mad_std_error,
}
OF_STDS = {
    "neg_gaussian_nll_loss": metrics.gaussian_nll_loss,
    "neg_crps_gaussian": metrics.crps_gaussian,
    "neg_expected_calibration_error": metrics.expected_calibration_error,
}


class MissingAwareRidge(RegressorMixin, BaseEstimator):
    """Linear regression of each label, with the scatter of its residuals as standard deviation."""

    n_predictions = 0

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def fit(self, X, y, y_err=None, sample_weight=None):
        y = np.asarray(y)
        present = ~is_missing(y)
        self.ridges_ = [Ridge(self.alpha).fit(X[p], c[p]) for c, p in zip(y.T, present.T, strict=True)]
        misses = np.where(present, y - self.predict(X), np.nan)
        self.std_ = np.sqrt(np.nanmean(misses**2, axis=0))
        return self

    def predict(self, X, return_std=False):
        type(self).n_predictions += 1
        mean = np.column_stack([ridge.predict(X) for ridge in self.ridges_])
        return (mean, np.broadcast_to(self.std_, mean.shape)) if return_std else mean


def make_stars(n_stars, missing_share, seed=0):
    """Return stars with errors of a temperature and two abundances, of which some are missing."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_stars, 5))
    y_err = random.uniform(0.1, 0.6, size=(n_stars, 3)) * [100, 0.1, 0.1]
    truth = X[:, :3] * [300, 0.3, 0.2] + X[:, 2:] ** 2 * [30, 0.03, 0.02] + [4600, -0.1, 0]
    y = truth + y_err * random.normal(size=y_err.shape)
    absent = random.random(y.shape) < missing_share
    return Bunch(X=X, y=np.where(absent, MISSING, y), y_err=np.where(absent, np.nan, y_err), complete=y)


@pytest.fixture(scope="module")
def stars():
    return make_stars(60, missing_share=0.3)


@pytest.fixture(scope="module")
def many():
    return make_stars(3000, missing_share=0.3, seed=1)


@pytest.fixture(scope="module")
def model():
    """Estimator fitted to other stars without missing labels."""
    others = make_stars(300, missing_share=0, seed=2)
    return MissingAwareRidge().fit(others.X, others.complete)


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


def folds(stars):
    return KFold(3).split(stars.X)


class TestNamedScorers:
    def test_names(self):
        assert set(get_scorer_names()) == {*OF_LABELS, *OF_STDS, "neg_absolute_median_bias"}

    def test_unknown_name(self):
        with pytest.raises(ValueError, match=r"no scorer 'crps_gausian'\. Did you mean neg_crps_gaussian"):
            get_scorer("crps_gausian")

    @pytest.mark.parametrize("name", OF_LABELS)
    def test_of_labels(self, name, stars):
        model = MissingAwareRidge().fit(stars.X, stars.y)
        sign = -1 if name.startswith("neg_") else 1
        for kwargs in ({}, {"label_scale": "std"}, {"multioutput": [1, 2, 3], "label_scale": [300, 0.3, 0.2]}):
            expected = sign * OF_LABELS[name](stars.y, model.predict(stars.X), **kwargs)
            score = get_scorer(name, **kwargs)(model, stars.X, stars.y)
            assert isinstance(score, float)
            assert score == expected

    def test_absolute_bias(self):
        model = DummyRegressor(strategy="constant", constant=[2.0, 5.0]).fit([[0]], [[2.0, 5.0]])
        y = [[1.0, 9.0], [1.0, 9.0], [0.0, MISSING]]  # biases 1 and -4
        assert get_scorer("neg_absolute_median_bias")(model, np.zeros((3, 1)), y) == -2.5

    @pytest.mark.parametrize("name", OF_STDS)
    def test_of_standard_deviations(self, name, stars):
        model = MissingAwareRidge().fit(stars.X, stars.y)
        expected = -OF_STDS[name](stars.y, *model.predict(stars.X, return_std=True), label_scale="std")
        assert get_scorer(name, label_scale="std")(model, stars.X, stars.y) == expected

    @pytest.mark.parametrize("name", ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"])
    def test_equal_to_those_of_sklearn_if_no_label_is_missing(self, name, stars):
        model = Ridge().fit(stars.X, stars.complete)
        theirs = sklearn.metrics.get_scorer(name)(model, stars.X, stars.complete)
        assert_allclose(get_scorer(name)(model, stars.X, stars.complete), theirs, rtol=1e-12)

    def test_each_call_returns_a_new_object(self, routing):
        get_scorer("neg_crps_gaussian").set_score_request(y_err=True)
        assert get_scorer("neg_crps_gaussian").get_metadata_routing().score.requests["y_err"] is None


class TestMissingAtRandom:
    """Removing random labels changes a score no more than removing as many random stars."""

    @pytest.mark.parametrize("name", get_scorer_names())
    def test_score_agrees_within_sampling_error(self, name, many, model):
        scorer, random = get_scorer(name, label_scale="std"), np.random.default_rng(3)
        subsets = [random.choice(3000, 2100, replace=False) for _ in range(40)]
        sampling_error = np.std([scorer(model, many.X[some], many.complete[some]) for some in subsets])
        full = scorer(model, many.X, many.complete)
        assert sampling_error < 0.02  # small beside 1, the standard deviation of a label
        assert abs(scorer(model, many.X, many.y) - full) < 4 * sampling_error

    @pytest.mark.parametrize("name", ["neg_mean_absolute_error", "neg_root_mean_squared_error", "r2"])
    def test_score_of_sklearn_differs(self, name, many, model):
        ours, theirs = get_scorer(name), sklearn.metrics.get_scorer(name)
        assert_allclose(theirs(model, many.X, many.complete), ours(model, many.X, many.complete))
        right, wrong = ours(model, many.X, many.y), theirs(model, many.X, many.y)
        assert right > 0.5 > 0 > wrong if name == "r2" else wrong < 20 * right
        with pytest.raises(ValueError, match="NaN"):
            theirs(model, many.X, np.where(many.y == MISSING, np.nan, many.y))


class TestMagicScorers:
    @pytest.mark.parametrize("metric", [max_error, d2_absolute_error_score], ids=lambda metric: metric.__name__)
    def test_score_is_the_metric_of_present_labels(self, metric, stars):
        model = MissingAwareRidge().fit(stars.X, stars.y)
        present = ~is_missing(stars.y)
        columns = zip(stars.y.T, model.predict(stars.X).T, present.T, strict=True)
        expected = np.mean([metric(true[p], predicted[p]) for true, predicted, p in columns])
        assert_allclose(make_magic_scorer(metric)(model, stars.X, stars.y), expected)
        assert_allclose(make_magic_scorer(metric, greater_is_better=False)(model, stars.X, stars.y), -expected)

    def test_metric_of_the_user_with_standard_deviations(self, stars):
        def share_within(y_true, y_pred, y_std, n_sigma=1):
            return np.mean(np.abs(y_true - y_pred) < n_sigma * y_std)

        model = MissingAwareRidge().fit(stars.X, stars.y)
        shares = [
            make_magic_scorer(share_within, needs_std=True, n_sigma=n)(model, stars.X, stars.y) for n in (0.1, 1, 9)
        ]
        assert shares[0] < 0.4 < shares[1] < 0.95
        assert shares[2] == 1

    def test_one_number_for_all_labels(self):
        with pytest.raises(ValueError, match="a scorer returns one number for all"):
            make_magic_scorer(max_error, multioutput="raw_values")
        with pytest.raises(ValueError, match="a scorer returns one number for all"):
            get_scorer("r2", multioutput="raw_values")

    def test_unknown_scale_is_refused_before_any_score(self):
        with pytest.raises(ValueError, match="label_scale='sd', expected None, 'std', 'apogee'"):
            get_scorer("neg_mad_std_error", label_scale="sd")

    def test_repr(self):
        assert repr(make_magic_scorer(d2_absolute_error_score)) == "make_magic_scorer(d2_absolute_error_score)"
        assert repr(get_scorer("neg_crps_gaussian", label_scale="std")) == (
            "make_magic_scorer(crps_gaussian, greater_is_better=False, needs_std=True, label_scale='std')"
        )

    @pytest.mark.parametrize("copy", [deepcopy, lambda scorer: pickle.loads(pickle.dumps(scorer))])
    def test_copies(self, copy, stars, routing):
        model = MissingAwareRidge().fit(stars.X, stars.y)
        for scorer in (
            get_scorer("neg_crps_gaussian", label_scale="std").set_score_request(y_err=True),
            make_magic_scorer(max_error, greater_is_better=False),
        ):
            same = copy(scorer)
            assert same is not scorer
            assert same(model, stars.X, stars.y) == scorer(model, stars.X, stars.y)
            assert repr(same) == repr(scorer)
            assert same.get_metadata_routing().score.requests == scorer.get_metadata_routing().score.requests

    def test_equality_is_identity(self):
        scorer = get_scorer("r2")
        assert scorer == scorer
        assert scorer != get_scorer("r2")
        assert len({scorer, scorer, get_scorer("r2")}) == 2

    def test_clone_of_a_search(self):
        search = GridSearchCV(Ridge(), {"alpha": [1]}, scoring=get_scorer("r2", label_scale="std"))
        assert repr(clone(search).scoring) == repr(search.scoring)


class TestStandardDeviations:
    @pytest.mark.parametrize("on", [True, False])
    def test_through_a_pipeline_with_and_without_routing(self, on, stars):
        model = make_pipeline(StandardScaler(), BayesianRidge()).fit(stars.X, stars.complete[:, 1])
        y = stars.y[:, 1]
        expected = -metrics.crps_gaussian(y, *model.predict(stars.X, return_std=True))
        with config_context(enable_metadata_routing=on):
            assert get_scorer("neg_crps_gaussian")(model, stars.X, y) == expected

    def test_gaussian_process_of_many_labels(self, stars):
        kernel = RBF(3.0, "fixed") + WhiteKernel(0.1, "fixed")
        model = GaussianProcessRegressor(kernel, optimizer=None).fit(stars.X, stars.complete)
        expected = -metrics.gaussian_nll_loss(stars.y, *model.predict(stars.X, return_std=True))
        assert get_scorer("neg_gaussian_nll_loss")(model, stars.X, stars.y) == expected

    def test_estimator_without_return_std(self, stars):
        model = Ridge().fit(stars.X, stars.complete)
        with pytest.raises(
            TypeError, match=r"Ridge gives no standard deviations .* predict\(X, return_std=True\) must return"
        ):
            get_scorer("neg_crps_gaussian")(model, stars.X, stars.y)

    def test_estimator_that_ignores_return_std(self, stars):
        class WithoutStd(DummyRegressor):
            def predict(self, X, return_std=False):
                return super().predict(X)

        model = WithoutStd().fit(stars.X, stars.complete)
        with pytest.raises(TypeError, match="returned no standard deviations"):
            get_scorer("neg_crps_gaussian")(model, stars.X, stars.y)

    def test_other_errors_of_an_estimator_do_not_change(self, stars):
        class Faulty(DummyRegressor):
            def predict(self, X, return_std=False):
                raise TypeError("another error")

        with pytest.raises(TypeError, match=r"^another error$"):
            get_scorer("neg_crps_gaussian")(Faulty(), stars.X, stars.y)

    @pytest.mark.parametrize(
        ("names", "n_predictions"),
        [
            ([*OF_STDS], 1),
            ([*OF_STDS, *OF_LABELS], 1),
            ([*OF_LABELS, *OF_STDS], 2),
            (["neg_crps_gaussian"], 1),
        ],
    )
    def test_scorers_of_a_fold_share_predictions(self, names, n_predictions, stars):
        scorers = {name: get_scorer(name) for name in names}
        MissingAwareRidge.n_predictions = 0
        shared = cross_validate(MissingAwareRidge(), stars.X, stars.y, scoring=scorers, cv=3)
        assert MissingAwareRidge.n_predictions == 3 * (1 + n_predictions)  # fit predicts once
        for name, scorer in scorers.items():
            alone = cross_val_score(MissingAwareRidge(), stars.X, stars.y, scoring=scorer, cv=3)
            assert_array_equal(shared[f"test_{name}"], alone)


@pytest.mark.usefixtures("routing")
class TestMetadataOfTheFold:
    @pytest.mark.parametrize("name", OF_STDS)
    def test_label_errors_by_hand(self, name, stars):
        metric, expected = OF_STDS[name], []
        for train, test in folds(stars):
            model = MissingAwareRidge().fit(stars.X[train], stars.y[train])
            predicted = model.predict(stars.X[test], return_std=True)
            expected.append(-metric(stars.y[test], *predicted, y_err=stars.y_err[test], label_scale="std"))
        scorer = get_scorer(name, label_scale="std").set_score_request(y_err=True)
        estimator = MissingAwareRidge().set_fit_request(y_err=True)
        scores = cross_validate(
            estimator, stars.X, stars.y, scoring=scorer, cv=KFold(3), params={"y_err": stars.y_err}, error_score="raise"
        )
        assert_array_equal(scores["test_score"], expected)
        without_errors = cross_val_score(
            estimator, stars.X, stars.y, scoring=get_scorer(name, label_scale="std"), cv=KFold(3)
        )
        assert (without_errors != expected).all()

    def test_metric_gets_the_errors_and_weights_of_the_fold(self, stars):
        seen = []

        def record(y_true, y_pred, *, y_err, sample_weight):
            seen.append((y_true, y_err, sample_weight))
            return 0.0

        scorer = make_magic_scorer(record).set_score_request(y_err=True, sample_weight=True)
        estimator = MissingAwareRidge().set_fit_request(y_err=False, sample_weight=False)
        weight = np.arange(60.0)
        search = GridSearchCV(estimator, {"alpha": [0.1, 1]}, scoring=scorer, cv=KFold(3), error_score="raise")
        search.fit(stars.X, stars.y, y_err=stars.y_err, sample_weight=weight)
        expected = [(test, label) for _ in range(2) for _, test in folds(stars) for label in range(3)]
        assert len(seen) == len(expected)
        for (y_true, y_err, sample_weight), (test, label) in zip(seen, expected, strict=True):
            counts = test[~is_missing(stars.y[test, label]) & (weight[test] > 0)]
            assert_array_equal(y_true, stars.y[counts, label])
            assert_array_equal(y_err, stars.y_err[counts, label])
            assert_array_equal(sample_weight, weight[counts])

    def test_weights_by_hand(self, stars):
        weight, expected = np.random.default_rng(0).uniform(size=60), []
        for train, test in folds(stars):
            predicted = MissingAwareRidge().fit(stars.X[train], stars.y[train]).predict(stars.X[test])
            expected.append(metrics.r2_score(stars.y[test], predicted, sample_weight=weight[test]))
        scores = cross_validate(
            MissingAwareRidge().set_fit_request(sample_weight=False),
            stars.X,
            stars.y,
            scoring=get_scorer("r2").set_score_request(sample_weight=True),
            cv=KFold(3),
            params={"sample_weight": weight},
        )
        assert_array_equal(scores["test_score"], expected)

    def test_under_another_name(self, stars):
        model = MissingAwareRidge().fit(stars.X, stars.y)
        scorer = get_scorer("neg_crps_gaussian").set_score_request(y_err="label_errors")
        search = GridSearchCV(MissingAwareRidge(), {"alpha": [1]}, scoring=scorer, cv=[(np.arange(60), np.arange(60))])
        search.fit(stars.X, stars.y, label_errors=stars.y_err)
        expected = -metrics.crps_gaussian(stars.y, *model.predict(stars.X, return_std=True), y_err=stars.y_err)
        assert search.best_score_ == expected

    def test_errors_without_a_request_raise_an_error(self, stars):
        estimator = MissingAwareRidge().set_fit_request(y_err=True)
        search = GridSearchCV(estimator, {"alpha": [1]}, scoring=get_scorer("neg_crps_gaussian"))
        with pytest.raises(UnsetMetadataPassedError, match="y_err"):
            search.fit(stars.X, stars.y, y_err=stars.y_err)

    def test_requests_are_those_that_the_metric_accepts(self):
        assert make_magic_scorer(max_error).get_metadata_routing().score.requests == {}
        requests = get_scorer("neg_crps_gaussian").get_metadata_routing().score.requests
        assert requests == {"y_err": None, "sample_weight": None}

    def test_scores_of_several_scorers(self, stars):
        scoring = {
            "with_err": get_scorer("neg_crps_gaussian").set_score_request(y_err=True),
            "without": get_scorer("neg_crps_gaussian").set_score_request(y_err=False),
            "r2": get_scorer("r2"),
            "max": make_magic_scorer(max_error, greater_is_better=False),
        }
        estimator = MissingAwareRidge().set_fit_request(y_err=True)
        search = GridSearchCV(estimator, {"alpha": [0.1, 10]}, scoring=scoring, refit="with_err", cv=3)
        search.fit(stars.X, stars.y, y_err=stars.y_err)
        results = search.cv_results_
        assert (results["mean_test_with_err"] != results["mean_test_without"]).all()
        assert np.isfinite([results[f"mean_test_{name}"] for name in scoring]).all()

    def test_argument_and_metadata_of_the_same_name(self, stars):
        scorer = get_scorer("neg_crps_gaussian", y_err=stars.y_err)
        with pytest.warns(UserWarning, match="y_err"):
            scorer.set_score_request(y_err=True)


class TestGridSearch:
    def test_pipeline_with_one_label(self, stars):
        y = stars.complete[:, 0]
        search = GridSearchCV(
            make_pipeline(StandardScaler(), BayesianRidge()),
            {"bayesianridge__alpha_1": [1e-6, 1e3]},
            scoring={name: get_scorer(name) for name in get_scorer_names()},
            refit="neg_gaussian_nll_loss",
            cv=3,
        ).fit(stars.X, y)
        predicted = search.best_estimator_.predict(stars.X, return_std=True)
        assert search.score(stars.X, y) == -metrics.gaussian_nll_loss(y, *predicted)
        for name in get_scorer_names():
            assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()

    @pytest.mark.usefixtures("routing")
    def test_two_workers_give_equal_scores(self, stars):
        y, y_err = stars.complete[:, 1], np.nan_to_num(stars.y_err[:, 1], nan=0.03)
        searches = [
            GridSearchCV(
                make_pipeline(StandardScaler(), BayesianRidge()),
                {"bayesianridge__alpha_1": [1e-6, 1e3]},
                scoring={
                    "crps": get_scorer("neg_crps_gaussian", label_scale="std").set_score_request(y_err=True),
                    "max": make_magic_scorer(max_error, greater_is_better=False),
                },
                refit="crps",
                cv=3,
                n_jobs=n_jobs,
            ).fit(stars.X, y, y_err=y_err)
            for n_jobs in (1, 2)
        ]
        for name in ("crps", "max"):
            one, two = (search.cv_results_[f"mean_test_{name}"] for search in searches)
            assert_array_equal(one, two)

    @pytest.mark.filterwarnings("ignore:The scoring:UserWarning")  # that max_error takes no weights
    def test_weights_without_routing_as_in_sklearn(self, stars):
        y = stars.complete[:, 0]
        weight = np.random.default_rng(0).uniform(size=60)

        def best(scoring):
            search = GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring=scoring, cv=3)
            return search.fit(stars.X, y, sample_weight=weight).best_score_

        assert_allclose(best(get_scorer("neg_mean_absolute_error")), best("neg_mean_absolute_error"), rtol=1e-12)
        assert best(make_magic_scorer(max_error, greater_is_better=False)) == best("neg_max_error")


@pytest.mark.slow
@pytest.mark.usefixtures("routing")
def test_search_over_the_network(tiny_data, tiny_parameters):
    from skbcnn import CensoredBCNNRegressor

    parameters = {**tiny_parameters, "num_hidden": (4, 4, 4, 2, 1), "max_epochs": 1, "n_draws": 3}
    estimator = CensoredBCNNRegressor(**parameters).set_fit_request(y_err=True)
    scorer = get_scorer("neg_crps_gaussian", label_scale="std").set_score_request(y_err=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), estimator),
        {"censoredbcnnregressor__lr": [1e-3, 1e-2]},
        scoring=scorer,
        cv=2,
        error_score="raise",
    ).fit(tiny_data.X, tiny_data.y, y_err=tiny_data.y_err)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with config_context(enable_metadata_routing=False):
        predicted = search.best_estimator_.predict(tiny_data.X, return_std=True)
    expected = -metrics.crps_gaussian(tiny_data.y, *predicted, y_err=tiny_data.y_err, label_scale="std")
    assert search.score(tiny_data.X, tiny_data.y, y_err=tiny_data.y_err) == expected
