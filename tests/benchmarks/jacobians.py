"""How many posterior draws a Jacobian needs: ``python -m tests.benchmarks.jacobians``, in some minutes.

Derivatives from few draws beside those from 1000, where they exceed a fifth of the largest of their label and star:
median of what they differ by, in units of the latter, for single stars and averaged over all of them. Prints the table
of which the docstring of `skbcnn.inspection.jacobian` tells.
"""

import argparse
import time

import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.datasets import make_apogee_spectra

FEW, MANY = (10, 20, 100), 1000


def error(found, exact):
    """Median difference of the large derivatives, relative to them."""
    large = np.abs(exact) > np.abs(exact).max(axis=-1, keepdims=True) / 5
    return np.median(np.abs(found / np.where(exact == 0, 1, exact) - 1)[large])


def main():
    """Train, differentiate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=801)
    parser.add_argument("--n-train", type=int, default=2000)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--n-stars", type=int, default=16)
    arguments = parser.parse_args()
    train = make_apogee_spectra(arguments.n_train, snr=200, random_state=arguments.seed)
    model = ApogeeBCNNCensoredRegressor.from_preset(
        "few_thousand_stars", max_epochs=arguments.max_epochs, random_state=arguments.seed, calibrate=False
    ).fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)
    stars = make_apogee_spectra(arguments.n_stars, snr=200, random_state=arguments.seed + 1).X
    exact = model.jacobian(stars, n_draws=MANY)
    print("| draws | single stars | their average | seconds |\n|---|---|---|---|")
    for n_draws in FEW:
        model.jacobian(stars, n_draws=n_draws)  # compiled before the clock starts
        start = time.perf_counter()
        found = model.jacobian(stars, n_draws=n_draws)
        seconds = time.perf_counter() - start
        errors = error(found, exact), error(found.mean(axis=0), exact.mean(axis=0))
        print(f"| {n_draws} |", " | ".join(f"{100 * value:.1f} %" for value in errors), f"| {seconds:.1f} |")


if __name__ == "__main__":
    main()
