"""Accuracy of the network and of linear models on synthetic spectra with known labels.

Run ``python -m tests.benchmarks.accuracy --seed 20261122``. Each model is trained on the same stars (S/N 200) and
predicts the same other stars (S/N 100). The table shows the scatter of prediction minus truth of each label.

- ours: `ApogeeBCNNCensoredRegressor` with its default parameters. It may read each element only in its own windows.
- PCA + ridge: ridge regression on 100 or 300 principal components of the whole spectrum, the better of the two for each
  label, with the penalty chosen by generalised cross-validation. It may use the lines of other elements, which the
  censored network may not.
- windows + ridge: ridge regression on the pixels of the element's own windows.
"""

import argparse
import time

import numpy as np
from astropy.table import Table

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.datasets import make_apogee_spectra
from skbcnn.survey import label_unit
from tests.benchmarks.linear_models import pca_ridge, window_ridge
from tests.benchmarks.markdown import print_table
from tests.benchmarks.synthetic_stars import fit_to, residual_scatter


def predict_by_network(train, test):
    """Predict labels by the censored network, and print the coverage of its error bars."""
    model = ApogeeBCNNCensoredRegressor(verbose=1, random_state=0)
    fit_to(model, train)
    prediction = model.predict_distribution(test.X)
    z = np.abs(prediction.mean - test.truth) / prediction.total
    for limit, nominal in ((1, 0.683), (1.96, 0.95)):
        covered = (z < limit).mean(axis=0)
        print(
            f"|z| < {limit}: {covered.mean():.3f} of all labels ({nominal} if calibrated), {covered.min():.3f} to "
            f"{covered.max():.3f} by label"
        )
    return prediction.mean


MODELS = {
    "ours": predict_by_network,
    "PCA + ridge": lambda train, test: pca_ridge(train, {"test": test})["test"],
    "windows + ridge": window_ridge,
}


def compare(seed, n_train, n_test):
    """Return a table with the scatter of each model, and the seconds of each model."""
    train = make_apogee_spectra(n_train, snr=200, continuum="true", random_state=seed)
    test = make_apogee_spectra(n_test, snr=100, continuum="true", random_state=seed + 1)
    names = train.label_names
    table, seconds = Table({"label": names, "unit": [label_unit(name) for name in names]}), {}
    for name, predict in MODELS.items():
        start = time.perf_counter()
        table[name] = residual_scatter(predict(train, test), test.truth)
        seconds[name] = time.perf_counter() - start
    return table, seconds


def table_rows(table):
    """Yield the cells of each row, with the smallest scatter in bold."""
    for row in table:
        scatter = {name: row[name] for name in MODELS}
        best = min((name for name in MODELS if np.isfinite(scatter[name])), key=scatter.get)
        cells = {name: f"{value:.3g}" if np.isfinite(value) else "" for name, value in scatter.items()}
        yield row["label"], row["unit"], *(cells | {best: f"**{cells[best]}**"}).values()


def main():
    """Compare the models, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="seed of the stars")
    parser.add_argument("--n-train", type=int, default=4000, help="number of training stars")
    parser.add_argument("--n-test", type=int, default=1000, help="number of test stars")
    arguments = parser.parse_args()
    table, seconds = compare(arguments.seed, arguments.n_train, arguments.n_test)
    print_table(table.colnames, table_rows(table))
    better = table["ours"] < table["PCA + ridge"]
    print(
        f"ours is better than PCA + ridge for {better.sum()} of {len(table)} labels; not for", *table["label"][~better]
    )
    print("seconds:", {name: round(value) for name, value in seconds.items()})


if __name__ == "__main__":
    main()
