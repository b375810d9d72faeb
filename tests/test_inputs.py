"""What real archives and real users pass: each kind of input gives the right result, or an error that says what to do.

The classes are the kinds of input. Details of single modules are tested beside those modules.
"""

import multiprocessing
import re
import subprocess
import sys
import textwrap

import pytest

FORKED = """
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from skbcnn import CensoredBCNNRegressor

X = np.random.default_rng(0).normal(1, 0.1, size=(300, 40))
model = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), lr=0.01, max_epochs=2, n_draws=10, random_state=0)


def fit():
    return model.fit(X, X[:, :2]).predict(X)


def predict():
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        found = model.predict(X), model.assess(X).score, *model.predict_interval(X, 0.8)
    return found, [type(warning.message).__name__ for warning in issued]


def message(method, *arguments):
    try:
        getattr(model, method)(*arguments)
    except RuntimeError as error:
        return str(error)


def forked(function, *arguments):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(function, *arguments).result()
"""


def run_forked(program):
    """Run a program in a process of its own that may hang, and return what it prints."""
    found = subprocess.run(
        [sys.executable, "-c", FORKED + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def said_by_child():
    """What a child of a process that trained a model says."""
    return run_forked("""
        fit()
        expected, none = predict()
        found, issued = forked(predict)
        print(none, issued)
        print(all(np.allclose(*pair, rtol=2e-5, atol=2e-6) for pair in zip(found, expected)))
        print(forked(message, "fit", X, X[:, :2]))
        print(forked(message, "partial_fit", X, X[:, :2]))
        print(forked(message, "jacobian", X))
        model.set_params(backend="tensorflow")
        print(forked(message, "predict", X))
    """).splitlines()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
class TestForkedProcesses:
    """TensorFlow hangs in a process that was forked after its first operation."""

    def test_predictions_of_a_child_equal_those_of_its_parent(self, said_by_child):
        assert said_by_child[:2] == ["[] ['NumpyBackendWarning']", "True"]

    def test_what_needs_tensorflow_is_refused(self, said_by_child):
        messages = dict(line.split(" needs ") for line in said_by_child[2:])
        assert [*messages] == ["fit", "partial_fit", "jacobian", "backend='tensorflow'"]
        assert all(re.search("loky.*'spawn'.*threads", message) for message in messages.values())

    def test_a_child_forked_before_tensorflow_started_trains(self):
        run_forked("""
            there = forked(fit)
            np.testing.assert_array_equal(there, fit())
        """)
