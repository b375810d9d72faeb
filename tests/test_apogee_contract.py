"""scikit-learn's estimator checks for `ApogeeBCNNCensoredRegressor`, which takes only spectra of 7514 pixels.

Checks that do not depend on the shape of the data run as they are. What the others assert is repeated here with spectra
of 7514 pixels; `REPEATED` names the tests.
"""

import inspect
import os
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils._testing import create_memmap_backed_data
from sklearn.utils.estimator_checks import _NotAnArray, estimator_checks_generator
from sklearn.utils.validation import check_is_fitted

from skbcnn import ApogeeBCNNCensoredRegressor

N_STARS = 40
QUICK = {
    "target": ["teff", "Fe", "Al", "C"],
    "num_hidden": (8, 8, 4, 4, 2),
    "max_epochs": 1,
    "n_draws": 3,
    "random_state": 0,
}
ROUNDING = 1e-5  # of float32, for labels that scatter by 1

AS_THEY_ARE = {
    "check_complex_data",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimator_tags_renamed",
    "check_estimators_empty_data_messages",
    "check_estimators_unfitted",
    "check_fit1d",
    "check_fit2d_1feature",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_requires_y_none",
    "check_sample_weight_equivalence_on_sparse_data",
    "check_set_params",
    "check_valid_tag_types",
}
REPEATED = {
    "check_all_zero_sample_weights_error": "test_all_zero_sample_weights",
    "check_array_api_input": "test_array_api_dispatch",
    "check_dict_unchanged": "test_predict_changes_no_attribute",
    "check_dont_overwrite_parameters": "test_fit_adds_only_attributes_with_underscore",
    "check_dtype_object": "test_object_dtype",
    "check_estimators_dtypes": "test_dtypes",
    "check_estimators_fit_returns_self": "test_fit_returns_self",
    "check_estimators_nan_inf": "test_nan_and_infinity_in_spectra",
    "check_estimators_overwrite_params": "test_fit_changes_no_parameter",
    "check_estimators_partial_fit_n_features": "test_other_number_of_pixels_in_partial_fit",
    "check_estimators_pickle": "test_pickle",
    "check_f_contiguous_array_estimator": "test_fortran_order",
    "check_fit2d_1sample": "test_one_spectrum",
    "check_fit2d_predict1d": "test_predict_in_one_dimension",
    "check_fit_check_is_fitted": "test_check_is_fitted",
    "check_fit_idempotent": "test_fit_twice",
    "check_fit_score_takes_y": "test_fit_and_score_take_y",
    "check_methods_sample_order_invariance": "test_order",
    "check_methods_subset_invariance": "test_subsets",
    "check_n_features_in": "test_n_features_in",
    "check_n_features_in_after_fitting": "test_other_number_of_pixels_after_fit",
    "check_non_transformer_estimators_n_iter": "test_n_iter",
    "check_pipeline_consistency": "test_pipeline",
    "check_positive_only_tag_during_fit": "test_negative_flux",
    "check_readonly_memmap_input": "test_read_only_memory_map",
    "check_regressor_data_not_an_array": "test_not_an_array",
    "check_regressor_multioutput": "test_shape_and_type_of_the_answer",
    "check_regressors_int": "test_labels_of_integers",
    "check_regressors_no_decision_function": "test_no_decision_function",
    "check_regressors_train": "test_it_learns",
    "check_sample_weight_equivalence_on_dense_data": "test_weight_two_is_two_copies",
    "check_sample_weights_list": "test_kinds_of_sample_weights",
    "check_sample_weights_not_an_array": "test_kinds_of_sample_weights",
    "check_sample_weights_not_overwritten": "test_sample_weights_are_left_alone",
    "check_sample_weights_pandas_series": "test_kinds_of_sample_weights",
    "check_sample_weights_shape": "test_shape_of_sample_weights",
    "check_supervised_y_2d": "test_labels_as_a_column",
    "check_supervised_y_no_nan": "test_labels_without_any_value",
}


def checks():
    """Yield name, estimator and check of all checks in this release of scikit-learn."""
    for estimator, check in estimator_checks_generator(ApogeeBCNNCensoredRegressor()):
        yield getattr(check, "func", check).__name__, estimator, check


@pytest.mark.parametrize(
    ("estimator", "check"),
    [pytest.param(estimator, check, id=name) for name, estimator, check in checks() if name in AS_THEY_ARE],
)
def test_checks_as_they_are(estimator, check):
    check(estimator)


def test_no_check_is_left_out():
    names = {name for name, _, _ in checks()}
    assert names - AS_THEY_ARE - set(REPEATED) == set()
    assert AS_THEY_ARE.isdisjoint(REPEATED)
    here = vars(sys.modules[__name__])
    assert [test for test in REPEATED.values() if not callable(here.get(test))] == []
    if sklearn.__version__ >= "1.9":  # earlier releases have fewer
        assert set(REPEATED) - names == set()


def test_docs_name_every_check():
    page = (Path(__file__).parents[1] / "docs" / "sklearn.md").read_text(encoding="utf-8")
    for name in AS_THEY_ARE | set(REPEATED):
        assert f"`{name.removeprefix('check_')}`" in page
    for test in REPEATED.values():
        assert f"`{test}`" in page


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(1, 0.05, size=(N_STARS, 7514))


@pytest.fixture(scope="module")
def y():
    return np.random.default_rng(1).normal(size=(N_STARS, 4))


@pytest.fixture(scope="module")
def model(X, y):
    """A fitted model. Shared by all tests: do not change it."""
    return fit(X, y)


@pytest.fixture(scope="module")
def answer(model, X):
    return model.predict(X)


def fit(X, y, sample_weight=None, **changes):
    return ApogeeBCNNCensoredRegressor(**{**QUICK, **changes}).fit(X, y, sample_weight=sample_weight)


def test_all_zero_sample_weights(X, y):
    with pytest.raises(ValueError, match=r"(.*weight.*zero.*)|(.*zero.*weight.*)"):
        fit(X, y, np.zeros(N_STARS))


@pytest.mark.skipif("SCIPY_ARRAY_API" not in os.environ, reason="scikit-learn dispatches only where it is set")
def test_array_api_dispatch(X, y, answer):
    with sklearn.config_context(array_api_dispatch=True):
        assert_array_equal(fit(X, y).predict(X), answer)


def test_predict_changes_no_attribute(model, X):
    before = vars(model).copy()
    model.predict(X)
    assert vars(model) == before


def test_fit_adds_only_attributes_with_underscore(model):
    parameters = vars(ApogeeBCNNCensoredRegressor(**QUICK))
    public = {name for name in vars(model) if not name.startswith("_") and not name.endswith("_")}
    assert public <= set(parameters)
    assert all(vars(model)[name] is parameters[name] for name in public)


def test_fit_changes_no_parameter(model):
    unfitted = ApogeeBCNNCensoredRegressor(**QUICK)
    for name, value in model.get_params().items():
        assert joblib.hash(value) == joblib.hash(unfitted.get_params()[name])


def test_fit_returns_self(X, y):
    model = ApogeeBCNNCensoredRegressor(**QUICK)
    assert model.fit(X, y) is model


@pytest.mark.slow
def test_object_dtype(X, y, answer):
    objects = X.astype(object)
    assert_array_equal(fit(objects, y).predict(objects), answer)
    fit(X, y.astype(object))
    objects[0, 0] = {"foo": "bar"}
    with pytest.raises(TypeError, match=r"argument must be .* string.* number"):
        fit(objects, y)


@pytest.mark.filterwarnings("ignore:The median flux of X")
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_dtypes(X, y, dtype):
    X = (20 * X).astype(dtype)
    assert np.isfinite(fit(X, y).predict(X)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_in_spectra(model, X, y, value):
    bad = X.copy()
    bad[0, 0] = value
    for call in (lambda: fit(bad, y), lambda: model.predict(bad)):
        with pytest.raises(ValueError, match=r"inf|NaN"):
            call()


@pytest.mark.parametrize("back", [lambda model: pickle.loads(pickle.dumps(model)), create_memmap_backed_data])
def test_pickle(model, X, answer, back):
    assert_array_equal(back(model).predict(X), answer)


def test_fortran_order(X, y, answer):
    X = np.asfortranarray(X)
    assert_allclose(fit(X, y).predict(X), answer, rtol=0, atol=ROUNDING)


def test_one_spectrum(X, y):
    assert fit(X[:1], y[:1]).predict(X[:1]).shape == (1, 4)


def test_predict_in_one_dimension(model, X):
    with pytest.raises(ValueError, match="Reshape your data"):
        model.predict(X[0])


def test_check_is_fitted(model):
    with pytest.raises(NotFittedError):
        check_is_fitted(ApogeeBCNNCensoredRegressor())
    check_is_fitted(model)


def test_fit_twice(model, X, y, answer):
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.fit(X, y).predict(X), answer, rtol=0, atol=ROUNDING)


def test_fit_and_score_take_y(model, X, y):
    for method in (model.fit, model.score):
        assert list(inspect.signature(method).parameters)[1] == "y"
    assert np.isfinite(model.score(X, y))


def test_order(model, X, answer):
    order = np.random.default_rng(2).permutation(N_STARS)
    assert_array_equal(model.predict(X[order]), answer[order])


def test_subsets(model, X, answer):
    one_by_one = np.concatenate([model.predict(X[row : row + 1]) for row in range(N_STARS)])
    assert_array_equal(one_by_one, answer)


def test_n_features_in(model):
    assert not hasattr(ApogeeBCNNCensoredRegressor(), "n_features_in_")
    assert model.n_features_in_ == 7514


def test_other_number_of_pixels_in_partial_fit(model, X, y):
    model = clone(model).partial_fit(X, y)
    with pytest.raises(ValueError, match="X has 7513 features, but ApogeeBCNNCensoredRegressor is expecting 7514"):
        model.partial_fit(X[:, :-1], y)


def test_other_number_of_pixels_after_fit(model, X, y):
    for call in (lambda: model.predict(X[:, [1]]), lambda: model.score(X[:, [1]], y)):
        with pytest.raises(ValueError, match=r"X has 1 features, but \w+ is expecting 7514 features as input"):
            call()


def test_n_iter(model):
    assert model.n_iter_ >= 1


def test_pipeline(model, X, y):
    pipeline = make_pipeline(clone(model)).fit(X, y)
    assert_allclose(pipeline.score(X, y), model.score(X, y), atol=ROUNDING)


@pytest.mark.filterwarnings("ignore:The median flux of X")
def test_negative_flux(X, y):
    fit(X - X.mean(), y)


def test_read_only_memory_map(X, y, answer):
    X, y = create_memmap_backed_data([X, y])
    assert_array_equal(fit(X, y).predict(X), answer)


@pytest.mark.parametrize("wrap", [_NotAnArray, pd.DataFrame])
def test_not_an_array(X, y, answer, wrap):
    X, y = wrap(X), wrap(y)
    X = X.rename(columns=str) if wrap is pd.DataFrame else X
    assert_allclose(fit(X, y).predict(X), answer, atol=1e-2)


def test_shape_and_type_of_the_answer(answer, y):
    assert answer.shape == y.shape
    assert answer.dtype == np.float64


@pytest.mark.slow
def test_labels_of_integers(X, y):
    whole = np.round(3 * y)
    assert_allclose(fit(X, whole.astype(int)).predict(X), fit(X, whole).predict(X), rtol=0, atol=ROUNDING)


def test_no_decision_function(model):
    for name in ("decision_function", "predict_proba", "predict_log_proba"):
        assert not hasattr(model, name)


@pytest.fixture(scope="module")
def easy():
    """Spectra whose flux in every pixel depends on the labels, which are all equal."""
    rng = np.random.default_rng(3)
    y = np.repeat(rng.normal(size=(60, 1)), 3, axis=1)
    return 1 + 0.1 * y[:, :1] + rng.normal(0, 0.01, size=(60, 7514)), y


@pytest.mark.slow
def test_it_learns(easy):
    X, y = create_memmap_backed_data([easy[0].astype(np.float32), easy[1]])
    model = ApogeeBCNNCensoredRegressor(
        target=["teff", "Fe", "C"], max_epochs=20, lr=0.001, reduce_lr_patience=10, batch_size=20, random_state=0
    )
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[:-1])
    assert model.fit(X, y).score(X, y) > 0.5


@pytest.mark.slow
def test_weight_two_is_two_copies(X, y):
    weight = np.random.default_rng(4).integers(0, 5, size=N_STARS)
    weighted, repeated = fit(X, y, weight), fit(X.repeat(weight, axis=0), y.repeat(weight, axis=0))
    assert_allclose(weighted.predict(X), repeated.predict(X), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("kind", [list, pd.Series, _NotAnArray])
def test_kinds_of_sample_weights(X, y, answer, kind):
    assert_array_equal(fit(X, y, kind(np.ones(N_STARS))).predict(X), answer)


def test_sample_weights_are_left_alone(X, y):
    weight = np.ones(N_STARS)
    weight[0] = 10
    given = weight.copy()
    fit(X, y, given)
    assert_array_equal(given, weight)


@pytest.mark.parametrize("shape", [(2 * N_STARS,), (N_STARS, 2)])
def test_shape_of_sample_weights(X, y, shape):
    with pytest.raises(ValueError, match=r"sample_weight\.shape|must be 1D array"):
        fit(X, y, np.ones(shape))


@pytest.mark.slow
def test_labels_as_a_column(X, y):
    row = fit(X, y[:, 0], target="teff").predict(X)
    column = fit(X, y[:, :1], target="teff").predict(X)
    assert row.shape == (N_STARS,)
    assert_allclose(column.ravel(), row, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_labels_without_any_value(X, y, value):
    with pytest.raises(ValueError, match=r"y (has no value at all|contains infinity)"):
        fit(X, np.full_like(y, value))


class TestPixelsAndColumns:
    """Two rules that no parameter switches off."""

    def test_no_parameter_for_pixels(self):
        assert [name for name in ApogeeBCNNCensoredRegressor().get_params() if "pixel" in name] == []

    @pytest.mark.parametrize("changes", [{}, {"windows": {}}])
    def test_7514_pixels(self, y, changes):
        with pytest.raises(ValueError, match="expecting 7514 features"):
            fit(np.ones((N_STARS, 8575)), y, **changes)

    @pytest.mark.parametrize(("target", "n_columns"), [("all", 21), ("all", 1), (["teff", "Fe"], 22)])
    def test_columns_of_y_match_target(self, X, target, n_columns):
        with pytest.raises(ValueError, match=f"y has {n_columns} columns"):
            fit(X, np.zeros((N_STARS, n_columns)), target=target)
