"""How few draws do as well as 100 independent ones: ``python -m tests.benchmarks.draws``, in about five minutes.

Trains two networks (astroNN's recipe, and that of ``skbcnn demo``) and asks each for the labels of 32 stars, many times
with other seeds: how far mean and spread of the draws are from those of 4000 draws. Errors of the mean are in units of
the spread, those of the spread relative; both root mean square over stars, seeds and labels.
"""

from unittest import mock

import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra
from skbcnn.apogee import preset
from skbcnn.network.masks import MAX_DRAWS_PER_MASK
from skbcnn.network.tensorflow import posterior

RECIPES = {"astroNN's recipe": {"max_epochs": 40}, "the demo's recipe": preset("few_thousand_stars")}
OWN, N_STARS, N_SEEDS, N_REFERENCE = {"conv1": 1, "flat": 1}, 32, 24, 4000
PLANS = {  # number of draws, and how many share a mask
    "100 independent": (100, None),
    "100 balanced, each its own masks": (100, OWN),
    "100 balanced, conv1 by 4, flat by 2 (as it is)": (100, MAX_DRAWS_PER_MASK),
    "100 balanced, conv1 and flat by 4": (100, {"conv1": 4, "flat": 4}),
    "64 balanced": (64, OWN),
    "50 balanced": (50, OWN),
    "32 balanced": (32, OWN),
    "16 balanced": (16, OWN),
}


def ask(model, x, n_draws, sharing, seed):
    """Mean and spread of some draws, in normalised units."""
    posterior._compiled.cache_clear()
    with mock.patch.dict(MAX_DRAWS_PER_MASK, sharing or OWN):
        if sharing is None:  # a draw by itself has nothing to be balanced with
            seeds = range(1000 * seed, 1000 * seed + n_draws)
            means = [posterior.Posterior(model.spec_, model.weights_, s).moments([(x, None)], 1) for s in seeds]
            draws = np.array([next(moments).mean for moments in means])
            return draws.mean(axis=0), draws.std(axis=0)
        (moments,) = posterior.Posterior(model.spec_, model.weights_, seed).moments([(x, None)], n_draws)
        return moments.mean, np.sqrt(moments.model_variance)


def errors(model, x):
    """Errors of each plan: of mean and spread, over all labels and of teff."""
    reference, spread = ask(model, x, N_REFERENCE, OWN, seed=12345)
    for name, (n_draws, sharing) in PLANS.items():
        found = [ask(model, x, n_draws, sharing, seed) for seed in range(1, N_SEEDS + 1)]
        of_mean = np.array([(mean - reference) / spread for mean, _ in found])
        of_spread = np.array([std / spread - 1 for _, std in found])
        yield name, *(np.sqrt(np.mean(e**2)) for e in (of_mean, of_mean[..., 0], of_spread, of_spread[..., 0]))


def main():
    """Print a table for each network."""
    train, test = (
        make_apogee_spectra(3000, snr=200, random_state=1),
        make_apogee_spectra(N_STARS, snr=100, random_state=2),
    )
    for title, recipe in RECIPES.items():
        model = ApogeeBCNNCensoredRegressor(**recipe, random_state=0).fit(train.X, train.y, x_err=train.X_err)
        x = model.spectra_normalizer_.transform(test.X.astype(np.float32))
        print(f"\n{title}\n\n| draws | mean: all labels | teff | spread: all labels | teff |\n|---|---|---|---|---|")
        for name, *of_plan in errors(model, x):
            print(f"| {name} |", " | ".join(f"{100 * error:.1f} %" for error in of_plan), "|", flush=True)


if __name__ == "__main__":
    main()
