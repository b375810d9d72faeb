"""Accuracy beside linear models, on synthetic spectra whose truth is known.

Run ``python tests/benchmarks/accuracy.py --seed 20261122``. Every model is trained on the same stars (S/N 200) and
predicts the same others (S/N 100); what is compared is the scatter of predictions about the truth, per label.

- ours: `ApogeeBCNNCensoredRegressor` by the recipe of ``skbcnn demo``, but for 60 epochs. It may read each element in
  its own windows only.
- PCA + ridge: principal components of the whole spectrum (100 or 300, the better of the two for each label), ridge
  regression with the penalty chosen by generalised cross-validation. It may use what censoring forbids: the lines of
  other elements.
- windows + ridge: ridge regression on the pixels of the element's own windows.
"""

import argparse
import time

import numpy as np
from astropy.stats import mad_std
from astropy.table import Table
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.apogee import preset
from skbcnn.datasets import make_apogee_spectra
from skbcnn.survey import apogee_windows, is_missing, label

RECIPE = preset("few_thousand_stars") | {"max_epochs": 60}
ALPHAS = np.logspace(-6, 3, 19)
N_COMPONENTS = (100, 300)


def ridge(X, y, X_test):
    """Ridge regression of one label on the stars that have it."""
    known = ~is_missing(y)
    centre, scale = y[known].mean(), y[known].std()
    model = RidgeCV(ALPHAS).fit(X[known], (y[known] - centre) / scale)
    return model.predict(X_test) * scale + centre


def scatter(predicted, truth):
    """Robust standard deviation of the residuals of each label."""
    return np.array([mad_std(column) for column in (predicted - truth).T])


def pca_ridge(train, test):
    """Scatter of the better of two PCA + ridge models, label by label."""
    scatters = []
    for n_components in N_COMPONENTS:
        pca = PCA(n_components, svd_solver="randomized", random_state=0)
        Z, Z_test = pca.fit_transform(train.X), pca.transform(test.X)
        predicted = np.column_stack([ridge(Z, y, Z_test) for y in train.y.T])
        scatters.append(scatter(predicted, test.truth))
    return np.min(scatters, axis=0)


def window_ridge(train, test):
    """Scatter of ridge regression on each element's own window pixels; NaN for labels without."""
    windows = apogee_windows()
    predicted = np.full(test.truth.shape, np.nan)
    for j, name in enumerate(train.label_names):
        if name in windows:
            predicted[:, j] = ridge(train.X[:, windows[name]], train.y[:, j], test.X[:, windows[name]])
    return scatter(predicted, test.truth)


def censored(train, test):
    """Scatter of the censored network, and how often its error bars cover the truth."""
    model = ApogeeBCNNCensoredRegressor(verbose=1, random_state=0, **RECIPE)
    model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)
    prediction = model.predict_distribution(test.X)
    z = np.abs(prediction.mean - test.truth) / prediction.total
    for bound, nominal in ((1, 0.683), (1.96, 0.95)):
        covered = (z < bound).mean(axis=0)
        print(
            f"|z| < {bound} for {covered.mean():.3f} of all ({nominal} if calibrated), "
            f"{covered.min():.3f} to {covered.max():.3f} label by label"
        )
    return scatter(prediction.mean, test.truth)


def compare(seed, n_train, n_test):
    """Table of the scatter of each model, and the seconds that each took."""
    train = make_apogee_spectra(n_train, snr=200, random_state=seed)
    test = make_apogee_spectra(n_test, snr=100, random_state=seed + 1)
    table, seconds = Table({"label": train.label_names, "unit": [label(n).unit for n in train.label_names]}), {}
    for name, scatter_of in {"ours": censored, "PCA + ridge": pca_ridge, "windows + ridge": window_ridge}.items():
        start = time.perf_counter()
        table[name] = scatter_of(train, test)
        table[name].format = "%.3g"
        seconds[name] = time.perf_counter() - start
    return table, seconds


def print_markdown(table):
    """Print a table as the README shows it, the least scatter of each row in bold."""
    print("|", " | ".join(table.colnames), "|\n|", "---|" * len(table.colnames), sep="")
    for row in table:
        figures = {name: f"{row[name]:.3g}" for name in table.colnames[2:] if np.isfinite(row[name])}
        best = min(figures, key=lambda name: row[name])
        cells = [f"**{text}**" if name == best else text for name, text in figures.items()]
        print("|", " | ".join([row["label"], row["unit"], *cells, *[""] * (len(table.colnames) - 2 - len(cells))]), "|")


def main():
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--n-train", type=int, default=4000)
    parser.add_argument("--n-test", type=int, default=1000)
    arguments = parser.parse_args()
    table, seconds = compare(arguments.seed, arguments.n_train, arguments.n_test)
    print_markdown(table)
    better = table["ours"] < table["PCA + ridge"]
    print(f"ours better than PCA + ridge: {better.sum()} of {len(table)} labels; not for", *table["label"][~better])
    print("seconds:", {name: round(value) for name, value in seconds.items()})


if __name__ == "__main__":
    main()
