"""All checks that scikit-learn has for estimators, of every estimator that works on data of any shape.

`ApogeeBCNNCensoredRegressor` takes 7514 pixels and named labels only: its checks are in test_apogee_contract.py.
"""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skbcnn import CensoredBCNNRegressor
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer, LabelNormalizer, SpectraNormalizer

# The network has its default widths. What differs makes it learn the 200 x 10 numbers of `check_regressors_train` (R^2
# must exceed 0.5; it is about 0.7): they give 3 steps an epoch, so 50 epochs at the default rate, meant for tens of
# thousands of stars, are too few; and 20 of them are held out, whose loss is too noisy to halve the rate whenever it
# rises twice. Ten unrelated columns are no spectrum: pooling four into their maximum would forget which of them it was.
LEARNS_FEW_SAMPLES = {"max_epochs": 40, "lr": 0.01, "reduce_lr_patience": 10, "pool_length": 1}

REGRESSORS = [
    CensoredBCNNRegressor(**LEARNS_FEW_SAMPLES),
    # the first label from the first column only, and from what the network tells it of all others
    CensoredBCNNRegressor(windows={"0": [0]}, **LEARNS_FEW_SAMPLES),
]
# `ChipGapRemover()` and `ContinuumNormalizer()` are bound to the pixels of APOGEE. These are for any grid.
TRANSFORMERS = [
    ChipGapRemover(chips=[(0, 1)]),
    ContinuumNormalizer(pixels="all", chips="one", degree=0, no_continuum="fill"),  # the checks' rows may be negative
    *(SpectraNormalizer(mode) for mode in (0, 1, 2, 3, "3s", 4, 255)),
    *(LabelNormalizer(mode) for mode in (0, 1, 2, 3, "3s", 4, 255)),
]


def known_failures(estimator):
    """The one check that fails, and why. scikit-learn's own SGDRegressor is excused from it in the same way."""
    if not isinstance(estimator, CensoredBCNNRegressor):
        return {}
    return {
        "check_sample_weight_equivalence_on_dense_data": "Mini-batches and the tenth held out are drawn from the "
        "samples: one of weight 2 is drawn once, and two copies of weight 1 may come apart."
    }


@parametrize_with_checks([*REGRESSORS, *TRANSFORMERS], expected_failed_checks=known_failures)
def test_sklearn_contract(estimator, check):
    check(estimator)


NEED_NO_DATA = {
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
}


def checks_without_data():
    """Of the transformers with default parameters, which take spectra of APOGEE only."""
    for transformer in (ChipGapRemover(), ContinuumNormalizer()):
        for estimator, check in estimator_checks_generator(transformer):
            name = getattr(check, "func", check).__name__
            if name in NEED_NO_DATA:
                yield pytest.param(estimator, check, id=f"{type(transformer).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks_without_data()))
def test_default_transformers(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [*REGRESSORS, *TRANSFORMERS], ids=str)
def test_no_tag_switches_checks_off(estimator):
    tags = estimator.__sklearn_tags__()
    assert not tags.no_validation
    assert not tags.non_deterministic
    assert not tags._skip_test
    assert tags.regressor_tags is None or not tags.regressor_tags.poor_score
