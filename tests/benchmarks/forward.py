"""Compare the speed of predictions by NumPy and by TensorFlow: ``python -m tests.benchmarks.forward``, in a minute.

Times `predict_distribution` of one APOGEE model with astroNN's widths and 100 draws. Both backends take turns, so that
other work on the machine affects both, and the fastest of several rounds counts. Also prints the largest difference of
the predictions.
"""

import argparse
import copy

import numpy as np

from tests.benchmarks.markdown import print_table
from tests.benchmarks.speed import N_DRAWS, fitted, spectra, timed

BACKENDS = ("tensorflow", "numpy")
CASES = {  # number of spectra, and whether they have flux errors
    "256 spectra": (256, False),
    "64 spectra": (64, False),
    "1024 spectra": (1024, False),
    "64 spectra with x_err": (64, True),
}


def best_seconds(models, X, x_err, n_rounds):
    """Return the shortest time of each backend."""
    rounds = [[timed(model.predict_distribution, X, x_err=x_err) for model in models.values()] for _ in range(n_rounds)]
    return np.min(rounds, axis=0)


def rows(models, X, n_rounds):
    """Yield the times of both backends and their ratio."""
    first = [timed(model.predict_distribution, X[:64]) for model in models.values()]
    yield "64 spectra, first call", *(f"{seconds:.2f}" for seconds in first), ""
    for name, (n, has_errors) in CASES.items():
        x_err = np.full_like(X[:n], 0.01) if has_errors else None
        tensorflow, numpy = best_seconds(models, X[:n], x_err, n_rounds)
        yield name, f"{tensorflow:.2f}", f"{numpy:.2f}", f"{numpy / tensorflow:.1f}x"


def main():
    """Print the table and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-rounds", type=int, default=5, help="number of repetitions")
    n_rounds = parser.parse_args().n_rounds
    model = fitted()
    models = {backend: copy.deepcopy(model).set_params(backend=backend) for backend in BACKENDS}
    X, _ = spectra(max(n for n, _ in CASES.values()))
    header = [f"`predict_distribution`, {N_DRAWS} draws", "TensorFlow, s", "NumPy, s", "ratio"]
    print_table(header, rows(models, X, n_rounds))
    tensorflow, numpy = (models[backend].predict_distribution(X[:256]) for backend in BACKENDS)
    difference = np.abs(numpy.mean - tensorflow.mean) / tensorflow.total
    print(f"\nMeans differ by at most {difference.max():.1e} of the total standard deviation; {N_DRAWS} draws.")


if __name__ == "__main__":
    main()
