"""scikit-learn's estimator checks, for every estimator that takes data of any shape.

`ApogeeBCNNCensoredRegressor` takes only spectra of 7514 pixels and named labels: see test_apogee_contract.py.
"""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skbcnn import CensoredBCNNRegressor
from skbcnn.preprocessing import ChipGapRemover, ContinuumNormalizer, LabelNormalizer, SpectraNormalizer

REGRESSOR = CensoredBCNNRegressor()  # the defaults pass, with no parameters set
# The first label is read from the first column and from the context only. Free context units, of which there are none
# by default, must tell it the one informative column of the checks.
REGRESSOR_WITH_WINDOW = CensoredBCNNRegressor(windows={"0": [0]}, num_hidden=(192, 96, 32, 16, 2))
# By default, `ChipGapRemover` and `ContinuumNormalizer` take the pixels of APOGEE only. These take any grid.
TRANSFORMERS = [
    ChipGapRemover(chips=[(0, 1)]),
    ContinuumNormalizer(pixels="all", chips="one", degree=0, no_continuum="fill"),  # data of the checks may be negative
    *(normalizer(mode) for normalizer in (SpectraNormalizer, LabelNormalizer) for mode in (0, 2, "3s", 255)),
]


@pytest.mark.filterwarnings("ignore:The median flux of X is")  # the data of some checks are near 100
@parametrize_with_checks([REGRESSOR, *TRANSFORMERS])
def test_sklearn_contract(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The median flux of X is")
@parametrize_with_checks([REGRESSOR_WITH_WINDOW])
def test_sklearn_contract_of_labels_with_windows(estimator, check):
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
    """Yield the checks that need no data, of transformers with default parameters, which take APOGEE spectra only."""
    for transformer in (ChipGapRemover(), ContinuumNormalizer()):
        for estimator, check in estimator_checks_generator(transformer):
            name = getattr(check, "func", check).__name__
            if name in NEED_NO_DATA:
                yield pytest.param(estimator, check, id=f"{type(transformer).__name__}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks_without_data()))
def test_default_transformers(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [REGRESSOR, REGRESSOR_WITH_WINDOW, *TRANSFORMERS], ids=str)
def test_no_tag_switches_checks_off(estimator):
    tags = estimator.__sklearn_tags__()
    assert not tags.no_validation
    assert not tags.non_deterministic
    assert not tags._skip_test
    assert tags.regressor_tags is None or not tags.regressor_tags.poor_score
