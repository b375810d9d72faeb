"""Context labels: combinations of labels, their weights, values and errors."""

import numpy as np
import pytest

from skbcnn._context_labels import (
    APOGEE_CONTEXT,
    context_errors,
    context_values,
    context_weights,
    describe_context,
)

NAMES = ("O", "Mg", "Fe")
WEIGHTS = np.array([[0.5, 0.5, -1.0]])


def test_values_by_hand():
    y = np.array([[0.2, 0.4, 0.1], [0.2, np.nan, 0.1], [np.nan, np.nan, 0.1], [0.2, 0.4, np.nan]])
    np.testing.assert_allclose(context_values(y, WEIGHTS)[:, 0], [0.2, 0.1, np.nan, np.nan])


def test_errors_by_hand():
    y = np.array([[0.2, 0.4, 0.1], [0.2, np.nan, 0.1]])
    errors = context_errors(y, np.full(y.shape, 0.1), WEIGHTS)[:, 0]
    np.testing.assert_allclose(errors, [np.hypot(0.1 / np.sqrt(2), 0.1), np.hypot(0.1, 0.1)])


def test_alpha_is_the_mean_of_six_elements_relative_to_iron():
    (row,) = context_weights("alpha", ("Fe", "O", "Mg", "Si", "S", "Ca", "Ti", "Al"), APOGEE_CONTEXT)
    np.testing.assert_allclose(row, [-1, *[1 / 6] * 6, 0])


def test_combinations_with_a_name_are_left_out_where_labels_lack():
    assert context_weights("auto", ("teff", "Mg"), APOGEE_CONTEXT).shape == (0, 2)
    assert context_weights("auto", ("Fe", "Mg", "C"), APOGEE_CONTEXT).tolist() == [[-1, 1 / 6, 0], [-1, 0, 1]]


def test_given_combinations_of_other_labels_are_refused():
    with pytest.raises(ValueError, match="context_labels names Mgg"):
        context_weights([{"Mgg": 1.0}], NAMES)


@pytest.mark.parametrize("entry", ["beta", {"Mg": np.nan}, {"Mg": np.inf}, {"Mg": "a"}, {"Mg": -1}, {}, 3])
def test_entries_without_finite_weights_are_refused(entry):
    with pytest.raises(ValueError, match="finite weights"):
        context_weights([entry], NAMES, APOGEE_CONTEXT)


def test_names_may_have_any_spelling():
    weights = context_weights([{"MG_H": 1, "FE_H": -1}], NAMES, canonical=lambda name: name.title()[:2])
    np.testing.assert_array_equal(weights, [[0, 1, -1]])


def test_description():
    y = np.array([[0.2, 0.4, 0.1], [0.4, 0.6, 0.1]])
    (described,) = describe_context(y, WEIGHTS, NAMES)
    assert described["weights"] == {"O": 0.5, "Mg": 0.5, "Fe": -1.0}
    assert described["mean"] == pytest.approx(0.3)
    assert described["std"] == pytest.approx(0.1)
