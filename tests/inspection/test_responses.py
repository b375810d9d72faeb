"""Response matrices of models: known linear models, and synthetic spectra in which one abundance changes at a time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skbcnn
from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, make_apogee_spectra
from skbcnn.datasets.synthetic.instrument import observed_spectra
from skbcnn.datasets.synthetic.streams import random_streams
from skbcnn.inspection import response_matrix
from skbcnn.survey import APOGEE_LABELS

NAMES = ("teff", "Mg", "Al")
LINES = np.zeros((3, 30))  # depth of the lines of each label, per unit
LINES[0, :10], LINES[1, 5:15], LINES[2, 20:25] = 1e-4, 0.5, 0.3


@pytest.fixture(scope="module")
def linear_stars():
    """Labels of 500 stars, where aluminium follows magnesium, and spectra that are linear in them."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 3))
    y = np.column_stack([4600 + 200 * z[:, 0], 0.3 * z[:, 1], 0.25 * z[:, 1] + 0.15 * z[:, 2]])
    return 1 - (y - [4600, 0, 0]) @ LINES, y


class WindowModel(RegressorMixin, BaseEstimator):
    """Linear model that reads each label from some pixels only."""

    def __init__(self, pixels=None):
        self.pixels = pixels

    def fit(self, X, y):
        self.target_names_ = NAMES
        self.models_ = [LinearRegression().fit(X[:, at], y[:, j]) for j, at in enumerate(self.pixels)]
        return self

    def predict(self, X, x_err=None):
        changed = X if x_err is None else X + x_err
        return np.column_stack(
            [model.predict(changed[:, at]) for model, at in zip(self.models_, self.pixels, strict=True)]
        )


def test_labels_that_are_measured_and_one_that_is_guessed(linear_stars):
    """Aluminium is read off a line of magnesium. Its regression on magnesium in these stars has a slope of 5/6."""
    X, y = linear_stars
    pixels = [range(10), range(10, 15), range(10, 15)]
    responses = response_matrix(WindowModel(pixels).fit(X, y), X, y)
    slope = np.polyfit(y[:, 1], y[:, 2], 1)[0]
    assert_allclose(slope, 5 / 6, atol=0.05)
    assert_allclose(responses.matrix, [[1, 0, 0], [0, 1, 0], [0, slope, 0]], atol=1e-9)
    assert responses.elements == ("Mg", "Al")
    assert_allclose(responses.foreign[1:], [0, slope], atol=1e-9)


def test_a_blend_in_the_window(linear_stars):
    """A window with lines of two labels, which are taken for those of aluminium alone."""
    X, y = linear_stars
    model = WindowModel([range(10), range(10, 15), range(20, 25)]).fit(X, y)
    blended = X.copy()
    blended[:, 20:25] -= 0.1 * y[:, [1]]
    assert_allclose(response_matrix(model, blended, y).matrix[2], [0, 1 / 3, 1], atol=1e-9)


def test_pipelines_and_searches(linear_stars):
    X, y = linear_stars
    model = WindowModel([range(10), range(10, 15), range(20, 25)])
    expected = response_matrix(model.fit(X, y), X, y)
    search = GridSearchCV(make_pipeline("passthrough", model), {}, cv=2).fit(X, y)
    assert response_matrix(search, X, y).label_names == NAMES
    assert_allclose(response_matrix(search, X, y).matrix, expected.matrix, atol=1e-9)


def test_flux_errors_reach_the_model(linear_stars):
    X, y = linear_stars
    model = WindowModel([range(10), range(10, 15), range(20, 25)]).fit(X, y)
    expected = response_matrix(model, X + 0.01 * X**2, y)
    assert_allclose(response_matrix(model, X, y, x_err=0.01 * X**2).matrix, expected.matrix)


def test_elements_of_a_network_are_its_labels_with_windows(tiny_model, tiny_data):
    rng = np.random.default_rng(0)
    X, y = rng.normal(1, 0.1, size=(60, 40)), rng.normal(size=(60, 4))
    responses = response_matrix(tiny_model, X, y)
    assert responses.label_names == ("teff", "Mg", "Al", "C")
    assert responses.elements == ("Mg", "Al", "C")
    assert skbcnn.response_matrix is response_matrix


def test_models_that_are_not_fitted():
    with pytest.raises(NotFittedError):
        response_matrix(CensoredBCNNRegressor(), np.ones((30, 5)), np.ones(30))


@pytest.fixture(scope="module")
def apogee_stars():
    """Synthetic stars to train on, and others whose catalogue has label errors and missing labels."""
    return [
        make_apogee_spectra(n, continuum="true", lines="isolated", random_state=seed)
        for n, seed in ((1000, 0), (1500, 1))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(PCA(40, random_state=0), Ridge(1e-3)),
        ApogeeBCNNCensoredRegressor.from_preset("few_thousand_stars", max_epochs=12, n_draws=20, random_state=0),
    ],
    ids=["ridge", "network"],
)
def test_responses_to_elements_that_change_alone(model, apogee_stars):
    """The regression on a catalogue agrees with spectra in which one abundance changes and all else stays."""
    train, test = apogee_stars
    flux_errors = {"x_err": train.X_err} if isinstance(model, CensoredBCNNRegressor) else {}
    model.fit(train.X, train.truth, **flux_errors)
    responses = response_matrix(model, test.X, test.y, test.y_err)
    assert responses.errors_removed
    n = 200
    for column in map(APOGEE_LABELS.index, ("Mg", "Al", "Mn")):
        more, less = (
            model.predict(observed_spectra(labels, np.full(n, 200.0), random_streams(1), lines="isolated")[0])
            for labels in (test.truth[:n] + sign * 0.2 * np.eye(22)[column] for sign in (1, -1))
        )
        true = (more - less).mean(axis=0) / 0.4
        z = (responses.matrix[:, column] - true) / responses.standard_errors[:, column]
        assert np.sqrt((z**2).mean()) < 1.6
        assert abs(responses.own[column] - true[column]) < 0.1
