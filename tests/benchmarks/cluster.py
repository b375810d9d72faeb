"""Does it measure aluminium? A globular cluster where [Al/H] varies and [Mg/H] does not, on synthetic spectra.

Run ``python -m tests.benchmarks.cluster --seed 601``. The experiment is that of Leung & Bovy (2019) with M13: models
learn from stars in which aluminium follows magnesium, and are then shown stars in which it does not. Networks by the
recipe of ``skbcnn demo`` (censored; with the context added to the outputs only, as published; with the two free numbers
of the published network; uncensored, where every label sees everything) and linear models read the same spectra. Beside
them stands the slope that the best estimate would have: it shrinks toward what is expected of such a star, as any
estimate with a prior does.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.stats import mad_std
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor
from skbcnn.apogee import preset
from skbcnn.datasets import make_apogee_spectra, synthetic
from skbcnn.survey import APOGEE_LABELS, apogee_windows, is_missing
from tests.benchmarks.trust_pictures import save_cluster

SNR = 200.0
RAISED = 0.3  # dex, by which one element is changed alone
RECIPE = preset("few_thousand_stars")
NETWORKS = {
    "censored network": (ApogeeBCNNCensoredRegressor, {}),
    "censored, context at the outputs": (ApogeeBCNNCensoredRegressor, {"context_layer": "output"}),
    "censored, two free numbers": (ApogeeBCNNCensoredRegressor, {"num_hidden": (192, 96, 32, 16, 2)}),
    "uncensored twin": (CensoredBCNNRegressor, {"windows": None, "target": APOGEE_LABELS}),
}
PICTURED = ("censored network", "censored, two free numbers", "uncensored twin")
N_COMPONENTS = 100
ALPHAS = np.logspace(-3, 5, 25)
AL, MG = (APOGEE_LABELS.index(name) for name in ("Al", "Mg"))
CONTEXT = [APOGEE_LABELS.index(name) for name in ("teff", "logg", "Fe")]


# The stars ----------------------------------------------------------------------------------------------------------


class Stars(NamedTuple):
    """Spectra of some stars, their true labels, and the same stars with one element raised."""

    X: np.ndarray
    truth: np.ndarray
    more_al: np.ndarray
    more_mg: np.ndarray


def observed(truth, seed):
    """Spectra of given stars; with one seed, one star has the same noise whatever its labels."""
    return synthetic._observed_spectra(truth, np.full(len(truth), SNR), synthetic._random_streams(seed))[0]


def changed(truth, column, by):
    """Labels with one of them changed, the others as they are."""
    truth = truth.copy()
    truth[:, column] += by
    return truth


def draw_stars(population, n_stars, seed):
    """Stars to predict, and what the same exposures would show if they had more of one element."""
    stars = make_apogee_spectra(n_stars, snr=SNR, population=population, random_state=seed)
    raised = (observed(changed(stars.truth, column, RAISED), seed) for column in (AL, MG))
    return Stars(stars.X, stars.truth, *raised)


# The models: each takes spectra and true labels and gives [Al/H] and [Mg/H], or all labels --------------------------


def trained(name, train, seed, max_epochs):
    """A network by the recipe of the demo."""
    regressor, changes = NETWORKS[name]
    model = regressor(**RECIPE | {"max_epochs": max_epochs, "random_state": seed} | changes)
    return model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)


def spectrum(X, truth, name):
    """The whole spectrum."""
    return X


def window(X, truth, name):
    """Pixels of the windows of one element."""
    return X[:, apogee_windows()[name]].astype(float)


def window_and_parameters(X, truth, name):
    """The same, and the true Teff, log g and [Fe/H]."""
    return np.hstack([window(X, truth, name), truth[:, CONTEXT]])


LINEAR_MODELS = {
    f"ridge, {N_COMPONENTS} principal components": (spectrum, [PCA(N_COMPONENTS, random_state=0)]),
    "ridge, own windows": (window, []),
    "ridge, own windows, true parameters": (window_and_parameters, []),
}


def fitted_ridge(features, steps, train):
    """A linear model of aluminium and one of magnesium, as one function of spectra and true labels."""
    models = {}
    for column, name in ((AL, "Al"), (MG, "Mg")):
        known = ~is_missing(train.y[:, column])
        model = make_pipeline(*steps, StandardScaler(), RidgeCV(ALPHAS))
        models[name] = model.fit(features(train.X, train.truth, name)[known], train.y[known, column])

    def predict(X, truth):
        labels = np.full(truth.shape, np.nan)
        for column, (name, model) in zip((AL, MG), models.items(), strict=True):
            labels[:, column] = model.predict(features(X, truth, name))
        return labels

    return predict


# The figures --------------------------------------------------------------------------------------------------------


def slope(x, y):
    """Of the straight line of least squares."""
    return np.polyfit(x, y, 1)[0]


def responses(predict, stars, predicted):
    """How far predicted [Al/H] goes if [Al/H], or [Mg/H], alone is raised; per dex, average over the stars."""
    return {
        name: float((predict(X, stars.truth) - predicted)[:, AL].mean() / RAISED)
        for name, X in (("per dex of Al alone", stars.more_al), ("per dex of Mg alone", stars.more_mg))
    }


def cluster_figures(predict, stars):
    """What a model makes of the cluster."""
    predicted, true_al = predict(stars.X, stars.truth), stars.truth[:, AL]
    residual = predicted[:, AL] - true_al
    return {
        "slope of Al": slope(true_al, predicted[:, AL]),
        "slope of Mg": slope(true_al, predicted[:, MG]),
        "offset of Al": residual.mean(),
        "scatter of Al": residual.std(),
        **responses(predict, stars, predicted),
    }


def ordinary_figures(predict, stars):
    """What a model makes of stars like those that it learnt from."""
    predicted = predict(stars.X, stars.truth)
    scatter = np.array([mad_std(column) for column in (predicted - stars.truth).T])
    return {
        "error of Al": scatter[AL],
        "error of Mg": scatter[MG],
        "all labels": np.exp(np.log(scatter).mean()),
        **responses(predict, stars, predicted),
    }


# Shrinkage ----------------------------------------------------------------------------------------------------------


def prior_variance(labels, given):
    """What is left of [Al/H] when some other labels are known, in dex^2: its variance about the best linear guess."""
    design = np.column_stack([np.ones(len(labels)), labels[:, given]])
    return (labels[:, AL] - design @ np.linalg.lstsq(design, labels[:, AL], rcond=None)[0]).var()


def read_variance(cluster, aluminium, seed):
    """Of the best linear read of [Al/H] from its windows, where the star's parameters are known, in dex^2.

    All stars get the mean parameters of the cluster and the same [Al/H]; noise, hidden properties and the blends of
    other elements differ. With s the change of the mean pixels per dex and C their covariance, the best linear read
    has the variance 1 / (s C^-1 s).
    """
    truth = cluster.truth.copy()
    truth[:, CONTEXT] = truth[:, CONTEXT].mean(axis=0)
    truth[:, AL] = aluminium
    less, same, more = (
        window(observed(changed(truth, AL, by), seed), truth, "Al") for by in (-RAISED / 2, 0.0, RAISED / 2)
    )
    s = (more - less).mean(axis=0) / RAISED
    return 1 / (s @ np.linalg.solve(np.cov(same.T), s))


def expected_slopes(train, cluster, seed):
    """Slopes of the best estimate that knows the star's parameters, and of one that knows all labels but [Al/H]."""
    noise = np.mean([read_variance(cluster, aluminium, seed) for aluminium in (-1.5, -1.0, -0.5)])
    knowing = {
        "Teff, log g, [Fe/H]": CONTEXT,
        "all labels but [Al/H]": [j for j in range(len(APOGEE_LABELS)) if j != AL],
    }
    priors = {known: prior_variance(train.truth, given) for known, given in knowing.items()}
    return {known: (prior, noise, prior / (prior + noise)) for known, prior in priors.items()}


# The report ---------------------------------------------------------------------------------------------------------


def print_table(title, figures):
    """Rows of figures in Markdown."""
    columns = list(next(iter(figures.values())))
    print(f"\n| {title} |", " | ".join(columns), "|\n|", "---|" * (len(columns) + 1), sep="")
    for name, row in figures.items():
        print(f"| {name} |", " | ".join("" if np.isnan(row[c]) else f"{row[c]:.3g}" for c in columns), "|")


def training_stars(n_stars, n_metal_poor, seed):
    """Milky Way stars, some of them replaced by metal-poor ones whose elements follow each other likewise."""
    stars = make_apogee_spectra(n_stars - n_metal_poor, snr=SNR, random_state=seed)
    if n_metal_poor:
        poor = make_apogee_spectra(n_metal_poor, snr=SNR, population="metal_poor", random_state=seed + 7)
        for name in ("X", "y", "X_err", "y_err", "truth"):
            stars[name] = np.concatenate([stars[name], poor[name]])
    return stars


def compare(seed, n_train, n_metal_poor, n_cluster, n_test, max_epochs, pictures=None):
    """Train all models on the same stars and print what they make of others."""
    train = training_stars(n_train, n_metal_poor, seed)
    cluster = draw_stars("globular_cluster", n_cluster, seed + 1)
    ordinary = draw_stars("milky_way", n_test, seed + 2)
    in_cluster, in_ordinary, aluminium = {}, {}, {}

    def measure(name, predict):
        in_cluster[name], in_ordinary[name] = cluster_figures(predict, cluster), ordinary_figures(predict, ordinary)

    for name in NETWORKS:
        start = time.perf_counter()
        network = trained(name, train, seed, max_epochs)
        seconds = time.perf_counter() - start
        measure(name, lambda X, truth, network=network: network.predict(X))
        mean, bars = (values[:, AL] for values in network.predict(cluster.X, return_std=True))
        aluminium[name] = mean
        print(f"{name}: {seconds:.0f} s to train; median error bar of [Al/H] in the cluster {np.median(bars):.3f} dex")
    if pictures:
        pictured = {name: aluminium[name] for name in PICTURED}
        save_cluster(pictured, cluster.truth[:, AL], pictures / "trust-cluster.png")
    for name, (features, steps) in LINEAR_MODELS.items():
        measure(name, fitted_ridge(features, steps, train))
    print_table("cluster", in_cluster)
    print_table("Milky Way", in_ordinary)
    print("\n| known | scatter of [Al/H] there | error of the read | slope of the best estimate |\n|---|---|---|---|")
    for known, (prior, noise, best) in expected_slopes(train, cluster, seed + 3).items():
        print(f"| {known} | {np.sqrt(prior):.3f} | {np.sqrt(noise):.3f} | {best:.3f} |")


def main():
    """Run the experiment and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=601, help="of the stars and of training")
    parser.add_argument("--n-train", type=int, default=4000)
    parser.add_argument("--n-metal-poor", type=int, default=0, help="of these stars, how many are metal-poor")
    parser.add_argument("--n-cluster", type=int, default=500)
    parser.add_argument("--n-test", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=RECIPE["max_epochs"])
    parser.add_argument("--pictures", type=Path, help="folder in which to put the picture of docs/trust.md")
    arguments = parser.parse_args()
    sizes = arguments.n_train, arguments.n_metal_poor, arguments.n_cluster, arguments.n_test
    compare(arguments.seed, *sizes, arguments.epochs, arguments.pictures)


if __name__ == "__main__":
    main()
