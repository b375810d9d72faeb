"""Candidates for the defaults at several numbers of stars: ``python -m tests.benchmarks.finalists``.

The defaults are compared with pairs of smaller factors and with the published recipe, on both kinds of spectra and
several seeds, trained on combined spectra and tested on visits as in `tests.benchmarks.trust`. With 1000 stars, a
training of the defaults takes three to four minutes on two cores.
"""

import argparse

import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.inspection import ResponseMatrix
from tests.benchmarks.markdown import print_table
from tests.benchmarks.synthetic_stars import fit_to, residual_scatter
from tests.benchmarks.trust import AL, CLUSTER_SNR, COMBINED_SNR, KINDS, TOLERANCE, VISIT_SNR, log_uniform, slope

RECIPES = {
    "defaults": ApogeeBCNNCensoredRegressor,
    "k up to 1.5": lambda **parameters: ApogeeBCNNCensoredRegressor(augmentation={"pairs": 1.5}, **parameters),
    "Leung & Bovy (2019)": lambda **parameters: ApogeeBCNNCensoredRegressor.from_preset(
        "leung_bovy_2019", **parameters
    ),
}
HEADER = ["stars", "seed", "recipe", "scatter", "Teff", "coverage", "labels within 0.05", "own", "foreign", "slope"]


def row_of(model, test, cluster):
    """Return the figures of a trained model as text."""
    prediction = model.predict_distribution(test.X)
    scatter = residual_scatter(prediction.mean, test.truth)
    covered = (np.abs(prediction.mean - test.truth) < prediction.calibrated).mean(axis=0)
    responses = ResponseMatrix.from_predictions(test.truth, prediction.mean)
    return [
        f"{np.exp(np.log(scatter[1:]).mean()):.4f}",
        f"{scatter[0]:.1f}",
        f"{covered.mean():.3f}",
        f"{(np.abs(covered - 0.683) <= TOLERANCE).sum()} of {len(covered)}",
        f"{responses.mean_own:.3f}",
        f"{responses.rms_foreign:.3f}",
        slope(cluster.truth[:, AL], model.predict(cluster.X)[:, AL]),
    ]


def main():
    """Print a table for each kind of spectra."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-train", type=int, nargs="+", default=[1000, 5000], help="numbers of training stars")
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22], help="seeds of the stars and the training")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--kinds", nargs="+", choices=[kind.file_name for kind in KINDS], default=["real", "synthetic"])
    arguments = parser.parse_args()
    for kind in KINDS:
        if kind.file_name not in arguments.kinds:
            continue
        rows = []
        for n_train in arguments.n_train:
            for seed in arguments.seeds:
                train = kind.make(n_train, snr=log_uniform(*COMBINED_SNR, n_train, seed), random_state=seed)
                test = kind.make(1000, kind="visit", snr=log_uniform(*VISIT_SNR, 1000, seed), random_state=seed + 1000)
                cluster = kind.make(300, population="globular_cluster", snr=CLUSTER_SNR, random_state=seed + 2000)
                for name in arguments.recipes:
                    model = RECIPES[name](random_state=seed)
                    fit_to(model, train)
                    rows.append([n_train, seed, name, *row_of(model, test, cluster)])
                    print(*rows[-1], flush=True)
        print_table(HEADER, rows, kind.name)


if __name__ == "__main__":
    main()
