"""Measure how many posterior draws a Jacobian needs: ``python -m tests.benchmarks.jacobians``, in some minutes.

The table compares derivatives from few draws with those from 1000, where they exceed a fifth of the largest derivative
of their label and star. It shows the median relative difference, for single stars and averaged over all stars. The
docstring of `skbcnn.inspection.jacobian` quotes the result.
"""

import argparse

import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.datasets import make_apogee_spectra
from tests.benchmarks.markdown import print_table
from tests.benchmarks.speed import timed
from tests.benchmarks.synthetic_stars import fit_to

FEW, MANY = (10, 20, 100), 1000


def relative_error(jacobian, expected):
    """Return the median relative difference of the large derivatives."""
    is_large = np.abs(expected) > np.abs(expected).max(axis=-1, keepdims=True) / 5
    return np.median(np.abs(jacobian / np.where(expected == 0, 1, expected) - 1)[is_large])


def rows(model, X):
    """Yield the number of draws, the errors for single stars and for their mean, and the seconds."""
    expected = model.jacobian(X, n_draws=MANY)
    for n_draws in FEW:
        jacobian = model.jacobian(X, n_draws=n_draws)  # compiles before the time is measured
        seconds = timed(model.jacobian, X, n_draws=n_draws)
        errors = relative_error(jacobian, expected), relative_error(jacobian.mean(axis=0), expected.mean(axis=0))
        yield n_draws, *(f"{100 * error:.1f} %" for error in errors), f"{seconds:.1f}"


def main():
    """Train a network, compute its Jacobians, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=801, help="seed of the stars and of the training")
    parser.add_argument("--n-train", type=int, default=2000, help="number of training stars")
    parser.add_argument("--max-epochs", type=int, default=20, help="maximum number of epochs")
    parser.add_argument("--n-stars", type=int, default=16, help="number of stars with Jacobians")
    arguments = parser.parse_args()
    train = make_apogee_spectra(arguments.n_train, snr=200, continuum="true", random_state=arguments.seed)
    model = ApogeeBCNNCensoredRegressor(max_epochs=arguments.max_epochs, random_state=arguments.seed, calibrate=False)
    fit_to(model, train)
    stars = make_apogee_spectra(arguments.n_stars, snr=200, continuum="true", random_state=arguments.seed + 1)
    print_table(["draws", "single stars", "mean of the stars", "seconds"], rows(model, stars.X))


if __name__ == "__main__":
    main()
