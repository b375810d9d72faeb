"""Predictions by NumPy beside those by TensorFlow: ``python -m tests.benchmarks.forward``, in about a minute.

Times `predict_distribution` of one model of APOGEE at default widths, 100 draws; the two take turns, so that both meet
the same machine, and the best of each counts. Also prints how far their answers are apart.
"""

import copy

import numpy as np

from tests.benchmarks.speed import N_DRAWS, fitted, spectra, timed

BACKENDS, N_ROUNDS = ("tensorflow", "numpy"), 5
CASES = {  # number of spectra, and whether with flux errors
    "256 spectra": (256, False),
    "64 spectra": (64, False),
    "1024 spectra": (1024, False),
    "64 spectra with x_err": (64, True),
}


def best(model, X, x_err):
    """Seconds of the best of some rounds, of each backend."""
    rounds = [[timed(each.predict_distribution, X, x_err=x_err) for each in model.values()] for _ in range(N_ROUNDS)]
    return dict(zip(model, np.min(rounds, axis=0), strict=True))


def main():
    """Print the table, and the largest differences."""
    fitted_model = fitted()
    model = {backend: copy.deepcopy(fitted_model).set_params(backend=backend) for backend in BACKENDS}
    X, _ = spectra(max(n for n, _ in CASES.values()))
    first = {backend: timed(each.predict_distribution, X[:64]) for backend, each in model.items()}
    print("| `predict_distribution`, 100 draws | TensorFlow, s | NumPy, s | ratio |\n|---|---|---|---|")
    print(f"| 64 spectra, first call | {first['tensorflow']:.2f} | {first['numpy']:.2f} | |")
    for name, (n, noisy) in CASES.items():
        x_err = np.full_like(X[:n], 0.01) if noisy else None
        seconds = best(model, X[:n], x_err)
        ratio = seconds["numpy"] / seconds["tensorflow"]
        print(f"| {name} | {seconds['tensorflow']:.2f} | {seconds['numpy']:.2f} | {ratio:.1f}x |", flush=True)
    ours, theirs = (model[backend].predict_distribution(X[:256]) for backend in ("numpy", "tensorflow"))
    apart = np.abs(ours.mean - theirs.mean) / theirs.total
    print(f"\nMeans differ by at most {apart.max():.1e} of the total standard deviation; {N_DRAWS} draws.")


if __name__ == "__main__":
    main()
