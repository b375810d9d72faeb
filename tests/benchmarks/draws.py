"""Measure how many posterior draws are needed: ``python -m tests.benchmarks.draws``, in about five minutes.

Two networks (astroNN's parameters, and the defaults) predict the labels of 32 stars with many seeds. The table compares
mean and standard deviation of the draws with those of 4000 draws. The error of the mean is in units of the standard
deviation, the error of the standard deviation is relative. Both are root mean squares over stars, seeds and labels.
"""

import argparse
from unittest import mock

import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra
from skbcnn.apogee import preset
from skbcnn.network.masks import MAX_DRAWS_PER_MASK
from skbcnn.network.tensorflow import posterior
from tests.benchmarks.markdown import print_table

NETWORKS = {
    "astroNN's parameters": preset("leung_bovy_2019") | {"num_hidden": (192, 96, 32, 16, 2), "max_epochs": 40},
    "defaults": {},
}
OWN_MASKS = {"conv1": 1, "flat": 1}
PLANS = {  # number of draws, and number of draws that share a mask; None: draws that are not balanced
    "100 independent": (100, None),
    "100 balanced, each draw with its own masks": (100, OWN_MASKS),
    "100 balanced, conv1 shared by 4, flat by 2 (the default)": (100, MAX_DRAWS_PER_MASK),
    "100 balanced, conv1 and flat shared by 4": (100, {"conv1": 4, "flat": 4}),
    "64 balanced": (64, OWN_MASKS),
    "50 balanced": (50, OWN_MASKS),
    "32 balanced": (32, OWN_MASKS),
    "16 balanced": (16, OWN_MASKS),
}


def moments(model, x, n_draws, sharing, seed):
    """Return mean and standard deviation of posterior draws, in normalised units."""
    posterior._compiled.cache_clear()
    with mock.patch.dict(MAX_DRAWS_PER_MASK, sharing or OWN_MASKS):
        if sharing is None:  # single draws with different seeds are independent
            seeds = range(1000 * seed, 1000 * seed + n_draws)
            means = [posterior.Posterior(model.spec_, model.weights_, s).moments([(x, None)], 1) for s in seeds]
            draws = np.array([next(results).mean for results in means])
            return draws.mean(axis=0), draws.std(axis=0)
        (result,) = posterior.Posterior(model.spec_, model.weights_, seed).moments([(x, None)], n_draws)
        return result.mean, np.sqrt(result.model_variance)


def errors(model, x, n_seeds, n_reference):
    """Yield the errors of each plan: of mean and standard deviation, for all labels and for teff."""
    reference, spread = moments(model, x, n_reference, OWN_MASKS, seed=12345)
    for name, (n_draws, sharing) in PLANS.items():
        results = [moments(model, x, n_draws, sharing, seed) for seed in range(1, n_seeds + 1)]
        of_mean = np.array([(mean - reference) / spread for mean, _ in results])
        of_std = np.array([std / spread - 1 for _, std in results])
        rms = (np.sqrt(np.mean(e**2)) for e in (of_mean, of_mean[..., 0], of_std, of_std[..., 0]))
        yield name, *(f"{100 * error:.1f} %" for error in rms)


def main():
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-train", type=int, default=3000, help="number of training stars")
    parser.add_argument("--n-stars", type=int, default=32, help="number of stars to predict")
    parser.add_argument("--n-seeds", type=int, default=24, help="number of repetitions")
    parser.add_argument("--n-reference", type=int, default=4000, help="number of draws for comparison")
    parser.add_argument("--max-epochs", type=int, help="maximum number of epochs; by default that of each network")
    arguments = parser.parse_args()
    train = make_apogee_spectra(arguments.n_train, snr=200, continuum="true", random_state=1)
    test = make_apogee_spectra(arguments.n_stars, snr=100, continuum="true", random_state=2)
    epochs = {} if arguments.max_epochs is None else {"max_epochs": arguments.max_epochs}
    for title, parameters in NETWORKS.items():
        model = ApogeeBCNNCensoredRegressor(**parameters | epochs, random_state=0)
        model.fit(train.X, train.y, x_err=train.X_err)
        x = model.spectra_normalizer_.transform(test.X.astype(np.float32))
        header = ["draws", "mean: all labels", "mean: teff", "std: all labels", "std: teff"]
        print_table(header, errors(model, x, arguments.n_seeds, arguments.n_reference), title)


if __name__ == "__main__":
    main()
