"""Test whether models measure aluminium: a synthetic globular cluster where [Al/H] varies and [Mg/H] does not.

Run ``python -m tests.benchmarks.cluster --seed 601``. The experiment is that of Leung & Bovy (2019) with the cluster
M13: models are trained on stars where aluminium follows magnesium, and predict stars where it does not. Networks and
linear models use the same spectra. The networks have the preset of ``skbcnn demo``, and variants of it: context added
to the outputs only, as published; two free context units, as in the published network; uncensored, where every label is
read from the full spectrum. The last table gives the slope that the best estimate with a prior would have, because a
prior shrinks estimates towards the expected abundance.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor
from skbcnn.apogee import preset
from skbcnn.datasets import make_apogee_spectra
from skbcnn.datasets.synthetic.instrument import observed_spectra
from skbcnn.datasets.synthetic.streams import random_streams
from skbcnn.survey import APOGEE_LABELS, apogee_windows, is_missing
from tests.benchmarks.markdown import print_table
from tests.benchmarks.synthetic_stars import fit_to, residual_scatter
from tests.benchmarks.trust_figures import save_cluster

SNR = 200.0
CHANGE = 0.3  # dex, change of one element alone
PARAMETERS = preset("few_thousand_stars")
NETWORKS = {  # class, and parameters that differ from the preset
    "censored network": (ApogeeBCNNCensoredRegressor, {}),
    "censored, context at the outputs only": (ApogeeBCNNCensoredRegressor, {"context_layer": "output"}),
    "censored, two free context units": (ApogeeBCNNCensoredRegressor, {"num_hidden": (192, 96, 32, 16, 2)}),
    "uncensored network": (CensoredBCNNRegressor, {"windows": None, "target": APOGEE_LABELS}),
}
NETWORKS_IN_FIGURE = ("censored network", "censored, two free context units", "uncensored network")
N_COMPONENTS = 100
ALPHAS = np.logspace(-3, 5, 25)
AL, MG = (APOGEE_LABELS.index(name) for name in ("Al", "Mg"))
CONTEXT = [APOGEE_LABELS.index(name) for name in ("teff", "logg", "Fe")]


# Stars --------------------------------------------------------------------------------------------------------------


class Stars(NamedTuple):
    """Spectra and true labels of stars, and spectra of the same stars with more of one element."""

    X: np.ndarray
    truth: np.ndarray
    X_more_al: np.ndarray
    X_more_mg: np.ndarray


def observe(labels, seed):
    """Return spectra of stars with given labels. The noise depends only on the seed and the number of the star."""
    return observed_spectra(labels, np.full(len(labels), SNR), random_streams(seed))[0]


def add_to_label(labels, column, amount):
    """Return labels with an amount added to one of them."""
    labels = labels.copy()
    labels[:, column] += amount
    return labels


def make_stars(population, n_stars, seed):
    """Return stars of a population, with the spectra that they would have with more aluminium or more magnesium."""
    stars = make_apogee_spectra(n_stars, snr=SNR, population=population, continuum="true", random_state=seed)
    more = (observe(add_to_label(stars.truth, column, CHANGE), seed) for column in (AL, MG))
    return Stars(stars.X, stars.truth, *more)


def training_stars(n_stars, n_metal_poor, seed):
    """Return stars of the Milky Way, some of them metal-poor, with the same correlations between elements."""
    stars = make_apogee_spectra(n_stars - n_metal_poor, snr=SNR, continuum="true", random_state=seed)
    if n_metal_poor:
        metal_poor = make_apogee_spectra(
            n_metal_poor, snr=SNR, population="metal_poor", continuum="true", random_state=seed + 7
        )
        for name in ("X", "y", "X_err", "y_err", "truth"):
            stars[name] = np.concatenate([stars[name], metal_poor[name]])
    return stars


# Models -------------------------------------------------------------------------------------------------------------


def new_network(name, seed, max_epochs):
    """Return a network of `NETWORKS` that is not fitted."""
    regressor, parameters = NETWORKS[name]
    return regressor(**PARAMETERS | {"max_epochs": max_epochs, "random_state": seed} | parameters)


def all_pixels(X, truth, name):
    """Return all pixels of the spectra."""
    return X


def window_pixels(X, truth, name):
    """Return the pixels in the windows of one element."""
    return X[:, apogee_windows()[name]].astype(float)


def window_pixels_and_parameters(X, truth, name):
    """Return the pixels in the windows of one element, and the true Teff, log g and [Fe/H]."""
    return np.hstack([window_pixels(X, truth, name), truth[:, CONTEXT]])


LINEAR_MODELS = {  # function that returns the features, and transformers
    f"ridge, {N_COMPONENTS} principal components": (all_pixels, [PCA(N_COMPONENTS, random_state=0)]),
    "ridge, own windows": (window_pixels, []),
    "ridge, own windows, true parameters": (window_pixels_and_parameters, []),
}


def fit_ridge(features, steps, train):
    """Fit ridge regressions of aluminium and of magnesium.

    Return a function of spectra and true labels that predicts [Al/H] and [Mg/H], with NaN for the other labels.
    """
    models = {}
    for column, name in ((AL, "Al"), (MG, "Mg")):
        present = ~is_missing(train.y[:, column])
        model = make_pipeline(*steps, StandardScaler(), RidgeCV(ALPHAS))
        models[name] = model.fit(features(train.X, train.truth, name)[present], train.y[present, column])

    def predict(X, truth):
        labels = np.full(truth.shape, np.nan)
        for column, (name, model) in zip((AL, MG), models.items(), strict=True):
            labels[:, column] = model.predict(features(X, truth, name))
        return labels

    return predict


# Statistics ---------------------------------------------------------------------------------------------------------


def slope(x, y):
    """Return the slope of the least-squares line."""
    return np.polyfit(x, y, 1)[0]


def responses(predict, stars, predicted):
    """Return the mean change of the predicted [Al/H] per dex, if only [Al/H] or only [Mg/H] changes."""
    return {
        f"change per dex of {name}": float((predict(X, stars.truth) - predicted)[:, AL].mean() / CHANGE)
        for name, X in (("[Al/H]", stars.X_more_al), ("[Mg/H]", stars.X_more_mg))
    }


def cluster_statistics(predict, stars):
    """Return slopes, offset, scatter and responses of predictions for cluster stars."""
    predicted, true_al = predict(stars.X, stars.truth), stars.truth[:, AL]
    residual = predicted[:, AL] - true_al
    return {
        "slope of [Al/H]": slope(true_al, predicted[:, AL]),
        "slope of [Mg/H]": slope(true_al, predicted[:, MG]),
        "offset of [Al/H]": residual.mean(),
        "scatter of [Al/H]": residual.std(),
        **responses(predict, stars, predicted),
    }


def milky_way_statistics(predict, stars):
    """Return scatters and responses of predictions for stars like the training stars."""
    predicted = predict(stars.X, stars.truth)
    scatter = residual_scatter(predicted, stars.truth)
    return {
        "scatter of [Al/H]": scatter[AL],
        "scatter of [Mg/H]": scatter[MG],
        "all labels": np.exp(np.log(scatter).mean()),
        **responses(predict, stars, predicted),
    }


# Shrinkage ----------------------------------------------------------------------------------------------------------


def prior_variance(labels, known):
    """Return the variance of [Al/H] around the best linear prediction from some other labels, in dex^2."""
    design = np.column_stack([np.ones(len(labels)), labels[:, known]])
    return (labels[:, AL] - design @ np.linalg.lstsq(design, labels[:, AL], rcond=None)[0]).var()


def measurement_variance(cluster, aluminium, seed):
    """Return the variance of the best linear estimate of [Al/H] from its windows, in dex^2.

    The stellar parameters are known: all stars get the mean parameters of the cluster and the same [Al/H]. Noise,
    hidden properties and the blends with other elements differ. With s the change of the mean pixels per dex and C the
    covariance of the pixels, the best linear estimate has the variance 1 / (s C^-1 s).
    """
    truth = cluster.truth.copy()
    truth[:, CONTEXT] = truth[:, CONTEXT].mean(axis=0)
    truth[:, AL] = aluminium
    less, same, more = (
        window_pixels(observe(add_to_label(truth, AL, amount), seed), truth, "Al")
        for amount in (-CHANGE / 2, 0.0, CHANGE / 2)
    )
    s = (more - less).mean(axis=0) / CHANGE
    return 1 / (s @ np.linalg.solve(np.cov(same.T), s))


def expected_slopes(train, cluster, seed):
    """Yield the known labels, the standard deviations of prior and measurement, and the slope of the best estimate."""
    measurement = np.mean([measurement_variance(cluster, aluminium, seed) for aluminium in (-1.5, -1.0, -0.5)])
    known_labels = {
        "Teff, log g, [Fe/H]": CONTEXT,
        "all labels but [Al/H]": [j for j in range(len(APOGEE_LABELS)) if j != AL],
    }
    for description, known in known_labels.items():
        prior = prior_variance(train.truth, known)
        yield description, np.sqrt(prior), np.sqrt(measurement), prior / (prior + measurement)


# Report -------------------------------------------------------------------------------------------------------------


def print_statistics(title, statistics):
    """Print the statistics of all models."""
    columns = list(next(iter(statistics.values())))
    rows = ([name, *("" if np.isnan(row[c]) else f"{row[c]:.3g}" for c in columns)] for name, row in statistics.items())
    print_table(["model", *columns], rows, title)


def compare(seed, n_train, n_metal_poor, n_cluster, n_test, max_epochs, figures=None):
    """Train all models on the same stars, and print the statistics of their predictions for other stars."""
    train = training_stars(n_train, n_metal_poor, seed)
    cluster = make_stars("globular_cluster", n_cluster, seed + 1)
    milky_way = make_stars("milky_way", n_test, seed + 2)
    models, aluminium = {}, {}
    for name in NETWORKS:
        network = new_network(name, seed, max_epochs)
        seconds = fit_to(network, train)
        models[name] = lambda X, truth, network=network: network.predict(X)
        mean, std = (values[:, AL] for values in network.predict(cluster.X, return_std=True))
        aluminium[name] = mean
        print(
            f"{name}: trained for {seconds:.0f} s; median error bar of [Al/H] in the cluster {np.median(std):.3f} dex"
        )
    if figures:
        shown = {name: aluminium[name] for name in NETWORKS_IN_FIGURE}
        save_cluster(shown, cluster.truth[:, AL], figures / "trust-cluster.png")
    models |= {name: fit_ridge(features, steps, train) for name, (features, steps) in LINEAR_MODELS.items()}
    print_statistics("Cluster", {name: cluster_statistics(predict, cluster) for name, predict in models.items()})
    print_statistics("Milky Way", {name: milky_way_statistics(predict, milky_way) for name, predict in models.items()})
    header = ["known labels", "scatter of [Al/H] in the Milky Way", "error of the measurement", "slope"]
    rows = ([known, *(f"{v:.3f}" for v in values)] for known, *values in expected_slopes(train, cluster, seed + 3))
    print_table(header, rows, "Slope of the best estimate")


def main():
    """Run the experiment, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=601, help="seed of the stars and of the training")
    parser.add_argument("--n-train", type=int, default=4000, help="number of training stars")
    parser.add_argument("--n-metal-poor", type=int, default=0, help="number of metal-poor stars among them")
    parser.add_argument("--n-cluster", type=int, default=500, help="number of cluster stars")
    parser.add_argument("--n-test", type=int, default=1000, help="number of test stars of the Milky Way")
    parser.add_argument("--epochs", type=int, default=PARAMETERS["max_epochs"])
    parser.add_argument("--pictures", type=Path, help="folder for the figure of docs/trust.md")
    arguments = parser.parse_args()
    sizes = arguments.n_train, arguments.n_metal_poor, arguments.n_cluster, arguments.n_test
    compare(arguments.seed, *sizes, arguments.epochs, arguments.pictures)


if __name__ == "__main__":
    main()
