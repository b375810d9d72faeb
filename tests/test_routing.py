"""Metadata routing of errors, weights and flags through scikit-learn's pipelines and model selection."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal, assert_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from skbcnn import CensoredBCNNRegressor, ChipGapRemover, ContinuumNormalizer, prepare_spectra
from skbcnn.metrics import gaussian_nll_loss, get_scorer, r2_score
from skbcnn.survey import kept_pixels

ALL = slice(None)
FOLDS = KFold(3)
METADATA = ("x_err", "y_err", "sample_weight")
RAW = ("flux_err", "bitmask")


class Spy(CensoredBCNNRegressor):
    """Regressor that records the arguments of `fit`."""

    notes = []

    def fit(self, X, y, x_err=None, y_err=None, sample_weight=None):
        self.notes.append({"X": X, "y": y, "x_err": x_err, "y_err": y_err, "sample_weight": sample_weight})
        return super().fit(X, y, x_err=x_err, y_err=y_err, sample_weight=sample_weight)


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(scope="module")
def stars(tiny_data):
    """The tiny data with different errors and weights for each star; and raw flux, with a slope, errors and flags."""
    random = np.random.default_rng(5)
    slope = np.linspace(80, 120, 40)
    shape = tiny_data.X.shape
    return Bunch(
        X=tiny_data.X,
        y=tiny_data.y,
        x_err=random.uniform(0.005, 0.05, size=shape).astype(np.float32),
        y_err=tiny_data.y_err * random.uniform(0.1, 10, size=tiny_data.y_err.shape),
        sample_weight=random.uniform(0.2, 3, size=30),
        flux=tiny_data.X * slope,
        flux_err=slope * random.uniform(0.005, 0.5, size=shape),
        bitmask=np.where(random.random(shape) < 0.1, 1, 0),
    )


@pytest.fixture(scope="module")
def regressor(tiny_parameters):
    return CensoredBCNNRegressor(**tiny_parameters | {"max_epochs": 1})


@pytest.fixture(scope="module")
def continuum():
    return ContinuumNormalizer(pixels=range(40), chips=[(0, 40)], degree=1)


@pytest.fixture(scope="module")
def requesting_continuum(continuum):
    """Normaliser that requests raw errors under another name than the regressor's errors."""
    with config_context(enable_metadata_routing=True):
        return (
            clone(continuum)
            .set_fit_request(x_err="flux_err", bitmask=True)
            .set_transform_request(x_err="flux_err", bitmask=True)
        )


def chosen(stars, rows, names):
    return {name: stars[name][rows] for name in names}


def normalized(continuum, stars, rows):
    return continuum.transform(stars.flux[rows], stars.flux_err[rows], stars.bitmask[rows])


@pytest.mark.usefixtures("routing")
class TestRegressor:
    def test_pipeline(self, stars, regressor, continuum, requesting_continuum, fitted_state):
        """Errors for the regressor pass a step that requests errors under another name."""
        requesting = clone(regressor).set_fit_request(**dict.fromkeys(METADATA, True))
        pipeline = make_pipeline(requesting_continuum, requesting).fit(
            stars.flux, stars.y, **chosen(stars, ALL, METADATA)
        )
        by_hand = clone(regressor).fit(continuum.transform(stars.flux), stars.y, **chosen(stars, ALL, METADATA))
        assert_equal(fitted_state(pipeline[-1]), fitted_state(by_hand))

    def test_cross_validate(self, stars, regressor, fitted_state):
        requesting = clone(regressor).set_fit_request(**dict.fromkeys(METADATA, True))
        results = cross_validate(
            make_pipeline(requesting),
            stars.X,
            stars.y,
            params=chosen(stars, ALL, METADATA),
            scoring=get_scorer("r2").set_score_request(sample_weight=True),
            cv=FOLDS,
            return_estimator=True,
            error_score="raise",
        )
        for fold, (train, test) in enumerate(FOLDS.split(stars.X)):
            by_hand = clone(regressor).fit(stars.X[train], stars.y[train], **chosen(stars, train, METADATA))
            assert_equal(fitted_state(results["estimator"][fold][-1]), fitted_state(by_hand))
            score = r2_score(stars.y[test], by_hand.predict(stars.X[test]), sample_weight=stars.sample_weight[test])
            assert results["test_score"][fold] == score

    def test_grid_search(self, stars, regressor, monkeypatch):
        """`fit` gets the training rows of each fold, the scorer the other rows."""
        monkeypatch.setattr(Spy, "notes", [])
        spy = Spy(**regressor.get_params()).set_fit_request(y_err=True, sample_weight=True)
        scorer = get_scorer("neg_gaussian_nll_loss", label_scale="std")
        scorer = scorer.set_score_request(y_err=True, sample_weight=False)
        search = GridSearchCV(make_pipeline(spy), {"spy__lr": [1e-3, 1e-2]}, scoring=scorer, cv=FOLDS, refit=False)
        given = ("y_err", "sample_weight")
        search.fit(stars.X, stars.y, **chosen(stars, ALL, given))
        training_rows = [train for _ in range(2) for train, _ in FOLDS.split(stars.X)]
        expected = [chosen(stars, rows, ("X", "y", *given)) | {"x_err": None} for rows in training_rows]
        assert_equal(Spy.notes, expected)

        for fold, (train, test) in enumerate(FOLDS.split(stars.X)):
            by_hand = clone(regressor).set_params(lr=1e-2)
            by_hand.fit(stars.X[train], stars.y[train], **chosen(stars, train, given))
            answer = by_hand.predict(stars.X[test], return_std=True)
            loss = gaussian_nll_loss(stars.y[test], *answer, y_err=stars.y_err[test], label_scale="std")
            assert search.cv_results_[f"split{fold}_test_score"][1] == -loss

    def test_scorer_passes_the_flux_errors_of_the_fold(self, stars, regressor):
        scorer = get_scorer("neg_gaussian_nll_loss").set_score_request(x_err=True)
        results = cross_validate(
            clone(regressor).set_fit_request(x_err=True),
            stars.X,
            stars.y,
            params={"x_err": stars.x_err},
            scoring={"with_noise": scorer, "without": get_scorer("neg_gaussian_nll_loss")},
            cv=FOLDS,
            return_estimator=True,
        )
        for fold, (_, test) in enumerate(FOLDS.split(stars.X)):
            model = results["estimator"][fold]
            for name, x_err in (("with_noise", stars.x_err[test]), ("without", None)):
                answer = model.predict(stars.X[test], return_std=True, x_err=x_err)
                assert results[f"test_{name}"][fold] == -gaussian_nll_loss(stars.y[test], *answer)

    @pytest.mark.parametrize("name", METADATA)
    def test_metadata_that_nothing_requests_is_refused(self, name, stars, regressor):
        with pytest.raises(UnsetMetadataPassedError, match=name):
            make_pipeline(clone(regressor)).fit(stars.X, stars.y, **{name: stars[name]})


@pytest.mark.usefixtures("routing")
class TestFirstTransformer:
    def test_fit_and_predict(self, stars, regressor, continuum, requesting_continuum, fitted_state):
        learner = clone(regressor).set_fit_request(y_err=True).set_predict_request(return_std=True, x_err=True)
        pipeline = make_pipeline(requesting_continuum, learner)
        pipeline.fit(stars.flux, stars.y, y_err=stars.y_err, **chosen(stars, ALL, RAW))
        X = normalized(continuum, stars, ALL)
        by_hand = clone(regressor).fit(X, stars.y, y_err=stars.y_err)
        assert_equal(fitted_state(pipeline[-1]), fitted_state(by_hand))
        answer = pipeline.predict(stars.flux, return_std=True, x_err=stars.x_err, **chosen(stars, ALL, RAW))
        assert_equal(answer, by_hand.predict(X, return_std=True, x_err=stars.x_err))

    @pytest.mark.parametrize("scoring", ["r2", "neg_gaussian_nll_loss"])
    def test_grid_search(self, scoring, stars, regressor, continuum, requesting_continuum):
        """Training and scoring normalise the flux of a fold with the raw errors and flags of that fold."""
        learner = clone(regressor).set_fit_request(y_err=True).set_predict_request(return_std=True)
        search = GridSearchCV(
            make_pipeline(requesting_continuum, learner),
            {"continuumnormalizer__degree": [1]},
            scoring=get_scorer(scoring).set_score_request(flux_err=True, bitmask=True),
            cv=FOLDS,
            refit=False,
            error_score="raise",
        )
        search.fit(stars.flux, stars.y, y_err=stars.y_err, **chosen(stars, ALL, RAW))
        for fold, (train, test) in enumerate(FOLDS.split(stars.X)):
            by_hand = clone(regressor)
            by_hand.fit(normalized(continuum, stars, train), stars.y[train], y_err=stars.y_err[train])
            score = get_scorer(scoring)(by_hand, normalized(continuum, stars, test), stars.y[test])
            assert search.cv_results_[f"split{fold}_test_score"][0] == score

    def test_scorer_refuses_if_the_last_step_does_not_request_return_std(self, stars, regressor, requesting_continuum):
        pipeline = make_pipeline(requesting_continuum, clone(regressor)).fit(stars.flux, stars.y)
        scorer = get_scorer("neg_gaussian_nll_loss").set_score_request(bitmask=True)
        with pytest.raises(UnsetMetadataPassedError, match=r"(?s)return_std.*set_predict_request"):
            scorer(pipeline, stars.flux, stars.y, bitmask=stars.bitmask)


@pytest.fixture(scope="module")
def apstar():
    """Flux and errors on the apStar grid, with the chip gaps."""
    random = np.random.default_rng(0)
    return random.uniform(90, 110, size=(4, 8575)), random.uniform(1, 3, size=(4, 8575))


@pytest.mark.usefixtures("routing")
class TestOtherGrid:
    """A metadata array is not changed by the steps before its consumer."""

    @pytest.fixture
    def pipeline(self):
        normalizer = ContinuumNormalizer().set_fit_request(x_err=True).set_transform_request(x_err=True)
        return make_pipeline(ChipGapRemover(), normalizer, DummyRegressor())

    MESSAGE = (
        r"x_err has shape \(4, 8575\), but X has shape \(4, 7514\).* not changed by the pipeline steps before its "
        r"consumer.*prepare_spectra"
    )

    def test_errors_with_gaps_are_used_by_the_normalizer(self, pipeline, apstar):
        flux, err = apstar
        pipeline.fit(flux, np.zeros(4), x_err=err)
        expected, _ = prepare_spectra(flux, err)
        assert_array_equal(pipeline[:-1].transform(flux, x_err=err), expected)

    def test_errors_on_the_grid_of_the_consumer_are_used(self, pipeline, apstar):
        flux, err = apstar
        err = err[:, kept_pixels()]
        pipeline.fit(flux, np.zeros(4), x_err=err)
        expected, _ = prepare_spectra(flux[:, kept_pixels()], err)
        assert_array_equal(pipeline[:-1].transform(flux, x_err=err), expected)

    def test_regressor_refuses_errors_with_gaps(self, regressor, apstar):
        flux, err = apstar
        learner = clone(regressor).set_params(windows=None).set_fit_request(x_err=True)
        with pytest.raises(ValueError, match=self.MESSAGE):
            make_pipeline(ChipGapRemover(), learner).fit(flux, np.zeros((4, 4)), x_err=err)


class TestWithoutRouting:
    """Without routing, `fit` takes metadata with the name of the step, and `predict` passes all to the last step."""

    STEP = "censoredbcnnregressor__"

    def given(self, stars, rows):
        return {self.STEP + name: values for name, values in chosen(stars, rows, METADATA).items()}

    def test_pipeline(self, stars, regressor, continuum, fitted_state):
        pipeline = make_pipeline(continuum, clone(regressor)).fit(stars.flux, stars.y, **self.given(stars, ALL))
        X = continuum.transform(stars.flux)
        by_hand = clone(regressor).fit(X, stars.y, **chosen(stars, ALL, METADATA))
        assert_equal(fitted_state(pipeline[-1]), fitted_state(by_hand))
        answer = pipeline.predict(stars.flux, return_std=True, x_err=stars.x_err)
        assert_equal(answer, by_hand.predict(X, return_std=True, x_err=stars.x_err))

    def test_cross_validate(self, stars, regressor, fitted_state):
        pipeline = make_pipeline(clone(regressor))
        fits = cross_validate(
            pipeline, stars.X, stars.y, params=self.given(stars, ALL), cv=FOLDS, return_estimator=True
        )["estimator"]
        for model, (train, _) in zip(fits, FOLDS.split(stars.X), strict=True):
            by_hand = clone(regressor).fit(stars.X[train], stars.y[train], **chosen(stars, train, METADATA))
            assert_equal(fitted_state(model[-1]), fitted_state(by_hand))
