"""Accuracy, error bars, responses and novelty: ``python -m tests.benchmarks.trust``, within an hour on two cores.

Models are trained on combined spectra (S/N 200 to 400) and predict single visits of other stars (S/N 60 to 150), which
also differ in shift, line-spread function, continuum and bad pixels. Everything is done twice: on spectra made from
real ones (`tests.benchmarks.realistic`) and on those of `make_apogee_spectra`. The seed was not used to choose
anything. The tables are those of docs/trust.md:

- scatter of prediction minus truth for each label and model;
- coverage: share of true labels within error bars and intervals;
- responses of the elements to their own abundances and to each other (`skbcnn.response_matrix`);
- the experiment with a globular cluster like M13, in which aluminium varies and magnesium does not;
- scatter at S/N 30 to 300;
- repeat visits and out-of-distribution spectra, for the defaults and the second kind of spectra only.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.stats import mad_std

from skbcnn import ApogeeBCNNCensoredRegressor, augment_spectra
from skbcnn.datasets import make_apogee_spectra
from skbcnn.inspection import ResponseMatrix
from skbcnn.survey import APOGEE_LABELS
from tests.benchmarks import trust_figures
from tests.benchmarks.linear_models import pca_ridge
from tests.benchmarks.markdown import print_table
from tests.benchmarks.realistic import make_realistic_spectra
from tests.benchmarks.synthetic_stars import first_stars, fit_to, residual_scatter
from tests.out_of_distribution import OUT_OF_DISTRIBUTION

COMBINED_SNR, VISIT_SNR, CLUSTER_SNR = (200, 400), (60, 150), 150
SNRS = (30, 60, 100, 200, 300)
NOVELTY_SNRS = (50, 100, 200)
TOLERANCE = 0.05  # of the coverage of a label
AL, MG = (APOGEE_LABELS.index(name) for name in ("Al", "Mg"))
OURS, PUBLISHED, UNCENSORED = "defaults", "Leung & Bovy (2019)", "uncensored"


class Kind(NamedTuple):
    """A generator of spectra.

    Attributes
    ----------
    name : str
        What the spectra are, in words.
    file_name : str
        Part of the names of figures.
    make : callable
        Function of the number of stars and of keyword arguments ``kind``, ``population``, ``snr`` and ``random_state``.
    """

    name: str
    file_name: str
    make: Callable


KINDS = (
    Kind("spectra made from real ones", "real", make_realistic_spectra),
    Kind("spectra of make_apogee_spectra", "synthetic", make_apogee_spectra),
)


class Clock:
    """Callback that remembers when the last epoch ended."""

    def __call__(self, report):
        """Remember the time."""
        self.last = time.perf_counter()


def log_uniform(low, high, n, seed):
    """Return random numbers whose logarithms are uniform."""
    return np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), n))


def new_networks(seed):
    """Yield name and unfitted network of each model."""
    yield OURS, ApogeeBCNNCensoredRegressor(random_state=seed, verbose=1)
    yield PUBLISHED, ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019", random_state=seed, verbose=1)
    yield UNCENSORED, ApogeeBCNNCensoredRegressor(windows={}, random_state=seed, verbose=1)


def train_networks(train, seed):
    """Return the trained networks by name, and print the times."""
    networks, rows, clock = {}, [], Clock()
    for name, network in new_networks(seed):
        start = time.perf_counter()
        fit_to(network.set_params(callbacks=clock), train)
        networks[name] = network
        rows.append([name, network.n_iter_, f"{clock.last - start:.0f}", f"{time.perf_counter() - clock.last:.1f}"])
    print_table(["model", "epochs", "training (s)", "after the training (s)"], rows)
    return networks


# Tables -------------------------------------------------------------------------------------------------------------


def mean_scatter(predicted, truth):
    """Return the geometric mean of the scatter of all labels but teff, in dex."""
    return np.exp(np.log(residual_scatter(predicted, truth)[1:]).mean())


def print_scatter(predictions, test):
    """Print the scatter of each label and model."""
    scatters = [residual_scatter(predicted, test.truth) for predicted in predictions.values()]
    rows = [[label, *(f"{scatter[j]:.3g}" for scatter in scatters)] for j, label in enumerate(test.label_names)]
    rows.append(["geometric mean, all but teff", *(f"{np.exp(np.log(s[1:]).mean()):.4f}" for s in scatters)])
    print_table(["label", *predictions], rows, "mad_std of prediction minus truth, visits")


def print_bias(networks, tests):
    """Print the median residual of the elements, and their scatter, on visits and on combined spectra."""

    def cells(network, test):
        residual = (network.predict(test.X) - test.truth)[:, 2:]
        medians = np.median(residual, axis=0)
        scatter = np.exp(np.log(mad_std(residual, axis=0)).mean())
        return f"{medians.mean():+.3f} ({medians.min():+.3f} to {medians.max():+.3f})", f"{scatter:.4f}"

    rows = [
        [name, *(cell for test in tests.values() for cell in cells(network, test))]
        for name, network in networks.items()
    ]
    header = [f"{name}: {figure}" for name in tests for figure in ("median residual", "scatter")]
    print_table(["model", *header], rows, "Median residual of the elements (dex), mean and extremes")


def coverage_cells(within, nominal):
    """Return the mean, smallest and largest coverage of a label, and the number of labels near the nominal one."""
    by_label = within.mean(axis=0)
    low, high = (f"{APOGEE_LABELS[j]} {by_label[j]:.2f}" for j in (by_label.argmin(), by_label.argmax()))
    n_correct = (np.abs(by_label - nominal) <= TOLERANCE).sum()
    return f"{by_label.mean():.3f} ({low}, {high})", f"{n_correct} of {len(by_label)}"


def print_coverage(networks, test):
    """Print the coverage of error bars and intervals on visits."""

    def rows():
        for name, network in networks.items():
            prediction = network.predict_distribution(test.X)
            for kind in ("predictive", "total", "calibrated"):
                z = np.abs(prediction.mean - test.truth) / prediction.std(kind)
                yield name, kind, *coverage_cells(z < 1, 0.683), *coverage_cells(z < 1.96, 0.95)
            lower, upper = network.predict_interval(test.X, coverage=0.9)
            cells = coverage_cells((lower <= test.truth) & (test.truth <= upper), 0.9)
            yield name, "90 % interval", *cells, "", ""

    labels = f"labels within {TOLERANCE}"
    header = ["model", "kind", "within 1 (0.683), or the interval (0.9)", labels, "within 1.96 (0.95)", labels]
    print_table(header, rows(), "Share of true labels within the error bars, visits")


def print_responses(predictions, test):
    """Print the mean own response and the scatter of the foreign responses; return the matrices."""
    matrices = {name: ResponseMatrix.from_predictions(test.truth, p) for name, p in predictions.items()}
    rows = [
        [
            name,
            f"{m.mean_own:.3f} +- {m.mean_own_error:.3f}",
            f"{m.rms_foreign:.3f}",
            f"{m.own[AL]:.2f}",
            f"{m.own[MG]:.2f}",
        ]
        for name, m in matrices.items()
    ]
    print_table(["model", "own response, mean", "foreign response, rms", "own of Al", "own of Mg"], rows)
    return matrices


def slope(x, y):
    """Return the slope of the least-squares line, and its standard error."""
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    return f"{coefficients[0]:.2f} +- {np.sqrt(covariance[0, 0]):.2f}"


def print_cluster(networks, linear, cluster):
    """Print how the models read the aluminium of a cluster."""
    true_al = cluster.truth[:, AL]
    rows = [["truth", slope(true_al, true_al), slope(true_al, cluster.truth[:, MG]), "", "", ""]]
    for name, predicted in {**networks, "PCA + ridge": linear}.items():
        bar = ""
        if isinstance(predicted, ApogeeBCNNCensoredRegressor):
            prediction = predicted.predict_distribution(cluster.X)
            predicted, bar = prediction.mean, f"{np.median(prediction.calibrated[:, AL]):.3f}"
        residual = predicted[:, AL] - true_al
        slopes = [slope(true_al, predicted[:, label]) for label in (AL, MG)]
        rows.append([name, *slopes, f"{np.median(residual):+.3f}", f"{residual.std():.3f}", bar])
    header = ["model", "[Al/H] on true [Al/H]", "[Mg/H] on true [Al/H]", "bias of [Al/H]", "its scatter", "error bar"]
    print_table(header, rows, "Slopes in a cluster like M13")


def scatter_by_snr(models, tests):
    """Print the mean scatter at each S/N, and return it by model."""
    scatters = {
        name: [mean_scatter(predict(test.X), test.truth) for test in tests.values()] for name, predict in models.items()
    }
    rows = [[name, *(f"{value:.4f}" for value in values)] for name, values in scatters.items()]
    print_table(["model", *(f"S/N {snr}" for snr in tests)], rows, "Geometric mean of the scatter (dex), visits")
    return scatters


def make_visits(n_stars, seed):
    """Return two visits of each star at S/N 100."""
    stars = make_apogee_spectra(n_stars, snr=1e4, random_state=seed)
    x_err = make_apogee_spectra(n_stars, snr=100, random_state=seed).X_err
    visits = [augment_spectra(stars.X, x_err, augmentation={"noise": (1, 1)}, random_state=seed + k) for k in range(2)]
    return np.concatenate(visits)


def print_visits(network, seed, n_stars=600):
    """Fit the noise model to two visits of stars, and print the agreement of two visits of other stars."""
    network.fit_noise_model(make_visits(n_stars, seed), np.tile(np.arange(n_stars), 2))
    prediction = network.predict_distribution(make_visits(n_stars, seed + 2))
    difference = np.subtract(*np.split(prediction.mean, 2))
    print("\nScatter of (a - b) / sqrt(e_a**2 + e_b**2) of two visits, mean and extremes over the labels:")
    for kind, description in (("total", "before fit_noise_model"), ("calibrated", "after fit_noise_model")):
        scatter = mad_std(difference / np.hypot(*np.split(prediction.std(kind), 2)), axis=0)
        print(f"{description}: {scatter.mean():.2f} ({scatter.min():.2f} to {scatter.max():.2f})")


def novelty_scores(network, seed, n_good=500, n_spectra=50):
    """Return the novelty scores of each kind of spectra, at each S/N."""
    rng = np.random.default_rng(0)
    tests = {snr: make_apogee_spectra(n_good, kind="visit", snr=snr, random_state=seed) for snr in NOVELTY_SNRS}
    scores = {"good visits": {snr: network.novelty_score(test.X) for snr, test in tests.items()}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* spectra are out-of-distribution")
        for name, (make, _) in OUT_OF_DISTRIBUTION.items():
            scores[name] = {
                snr: network.novelty_score(make(first_stars(test, n_spectra), snr, rng)[0])
                for snr, test in tests.items()
            }
    return scores


def print_novelty(scores):
    """Print the share of spectra with a novelty score above 1."""
    rows = ([name, *(f"{(values > 1).mean():.3f}" for values in by_snr.values())] for name, by_snr in scores.items())
    print_table(["spectra", *(f"S/N {snr}" for snr in NOVELTY_SNRS)], rows, "Share with a novelty score above 1")


# The run ------------------------------------------------------------------------------------------------------------


def compare(kind, seed, n_train, n_test, pictures):
    """Train all models on one kind of spectra, print the tables, and draw the figures; return our network."""
    print(f"\n## {kind.name.capitalize()}, {n_train} training stars")
    make = kind.make
    train = make(n_train, snr=log_uniform(*COMBINED_SNR, n_train, seed), random_state=seed)
    test = make(n_test, kind="visit", snr=log_uniform(*VISIT_SNR, n_test, seed), random_state=seed + 1)
    tests = {snr: make(n_test // 4, kind="visit", snr=snr, random_state=seed + 2) for snr in SNRS}
    cluster = make(300, population="globular_cluster", snr=CLUSTER_SNR, random_state=seed + 3)
    networks = train_networks(train, seed)
    linear = pca_ridge(train, {"visits": test, "cluster": cluster, **tests})
    distributions = {name: network.predict_distribution(test.X) for name, network in networks.items()}
    predictions = {name: prediction.mean for name, prediction in distributions.items()}
    print_scatter(predictions | {"PCA + ridge": linear["visits"]}, test)
    print_coverage({name: networks[name] for name in (OURS, PUBLISHED)}, test)
    combined = make(n_test // 4, snr=300, random_state=seed + 5)
    print_bias(networks, {"visits": test, "combined spectra": combined})
    matrices = print_responses(predictions | {"PCA + ridge": linear["visits"]}, test)
    print_cluster(networks, linear["cluster"], cluster)
    models = {name: networks[name].predict for name in (OURS, PUBLISHED)}
    of_linear = {id(t.X): linear[snr] for snr, t in tests.items()}
    scatters = scatter_by_snr(models | {"PCA + ridge": lambda X: of_linear[id(X)]}, tests)
    if pictures:
        shown = (OURS, PUBLISHED, UNCENSORED)
        part = kind.file_name
        trust_figures.save_residuals(distributions[OURS], test, pictures / f"trust-{part}-residuals.png")
        trust_figures.save_calibration(distributions[OURS], test, pictures / f"trust-{part}-calibration.png")
        trust_figures.save_scatter(scatters, SNRS, pictures / f"trust-{part}-snr.png")
        trust_figures.save_cluster(
            {name: networks[name].predict(cluster.X)[:, AL] for name in shown},
            cluster.truth[:, AL],
            pictures / f"trust-{part}-cluster.png",
        )
        for name, file_name in zip(shown, ("defaults", "published", "uncensored"), strict=True):
            trust_figures.save_responses(matrices[name], pictures / f"trust-{part}-responses-{file_name}.png")
    return networks[OURS]


def run(arguments):
    """Train the models, and print all tables."""
    start = time.perf_counter()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)  # rather than fail after half an hour
    for kind in KINDS:
        network = compare(kind, arguments.seed, arguments.n_train, arguments.n_test, arguments.pictures)
    scores = novelty_scores(network, arguments.seed + 4)
    print_novelty(scores)
    if arguments.pictures:
        good = {f"good visits, S/N {snr}": values for snr, values in scores.pop("good visits").items()}
        others = {name: by_snr[min(NOVELTY_SNRS)] for name, by_snr in scores.items()}
        trust_figures.save_novelty(good, others, arguments.pictures / "trust-novelty.png")
    print_visits(network, arguments.seed + 10)
    print(f"\nThis took {(time.perf_counter() - start) / 60:.0f} minutes.")


def main():
    """Read the options, and run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=601, help="seed of the stars and of the training")
    parser.add_argument("--n-train", type=int, default=5000, help="number of training stars")
    parser.add_argument("--n-test", type=int, default=2000, help="number of visits to predict")
    parser.add_argument("--pictures", type=Path, help="folder for the figures of docs/trust.md")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
