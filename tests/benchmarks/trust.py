"""Accuracy of labels, error bars and novelty scores: ``python -m tests.benchmarks.trust``, in about ten minutes.

All models are trained on the same synthetic stars at S/N 200 and predict other stars with known labels at S/N 50, 100
and 200. The tables are those of docs/trust.md:

- residuals: median and robust standard deviation (`astropy.stats.mad_std`) of each label, for our preset, for the
  preset of Leung & Bovy (2019) with the same time to train, and for ridge regression on principal components;
- coverage: share of true labels within error bars and intervals, over all labels and for the most extreme ones,
  calibrated on the held-out stars and on some thousand further stars;
- flux errors: their effect on error bars and on the time of a prediction;
- repeat visits: agreement of two visits of the same stars, before and after `fit_noise_model`;
- novelty: share of good stars and of out-of-distribution spectra with a novelty score above 1;
- with ``--cluster``: the tables of `tests.benchmarks.cluster`, for the same number of training stars and for few, which
  takes another half hour.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.stats import mad_std

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.datasets import make_apogee_spectra
from tests.benchmarks import cluster
from tests.benchmarks.linear_models import pca_ridge
from tests.benchmarks.markdown import print_table
from tests.benchmarks.synthetic_stars import first_stars, fit_to, residual_scatter
from tests.benchmarks.trust_figures import save_calibration, save_novelty, save_residuals
from tests.out_of_distribution import OUT_OF_DISTRIBUTION

SNRS, SNR_TRAIN = (50, 100, 200), 200
COVERAGES = {1.0: (0.683, 0.04), 1.96: (0.95, 0.02)}  # standard deviations: nominal coverage, tolerance


class Deadline:
    """Callback that ends a training after some seconds."""

    def __init__(self, seconds):
        self.end = time.perf_counter() + seconds

    def __call__(self, report):
        """Return whether the time is over."""
        return time.perf_counter() > self.end


def new_network(preset, seed, **parameters):
    """Return a network with a preset that is not fitted."""
    return ApogeeBCNNCensoredRegressor.from_preset(preset, random_state=seed, verbose=1, **parameters)


def print_residuals(predictions, tests, names):
    """Print median and scatter of the residuals of each label and model."""
    for snr, test in tests.items():
        residuals = {name: by_snr[snr] - test.truth for name, by_snr in predictions.items()}
        scatter = {name: residual_scatter(by_snr[snr], test.truth) for name, by_snr in predictions.items()}
        rows = [
            [label, *(f"{np.median(r[:, j]):+.3g}, {scatter[name][j]:.3g}" for name, r in residuals.items())]
            for j, label in enumerate(names)
        ]
        means = (f"{np.exp(np.log(values[1:]).mean()):.4f}" for values in scatter.values())
        rows.append(["geometric mean, all but teff", *means])
        print_table(["label", *predictions], rows, f"S/N {snr}, median and mad_std of prediction minus truth")


def coverage_text(within):
    """Return the coverage over all labels, and the smallest and the largest coverage of a label."""
    by_label = within.mean(axis=0)
    return f"{by_label.mean():.3f} ({by_label.min():.2f} to {by_label.max():.2f})"


def coverage_rows(model, tests, kinds):
    """Yield the coverage of error bars and intervals, and the number of labels with the nominal coverage."""
    for snr, test in tests.items():
        prediction = model.predict_distribution(test.X)
        lower, upper = model.predict_interval(test.X, coverage=0.9)
        interval = coverage_text((lower <= test.truth) & (test.truth <= upper))
        for kind in kinds:
            z = np.abs(prediction.mean - test.truth) / prediction.std(kind)
            cells = []
            for limit, (nominal, tolerance) in COVERAGES.items():
                n_correct = (np.abs((z < limit).mean(axis=0) - nominal) <= tolerance).sum()
                cells += [coverage_text(z < limit), f"{n_correct} of {z.shape[1]}"]
            yield snr, kind, *cells, interval if kind == "calibrated" else ""


def print_coverage(model, tests, kinds, title=None):
    """Print the coverage of error bars and intervals."""
    header = ["S/N", "kind"]
    for limit, (nominal, tolerance) in COVERAGES.items():
        header += [f"within {limit:g} ({nominal})", f"labels within {tolerance}"]
    print_table([*header, "90 % interval"], coverage_rows(model, tests, kinds), title)


def fit_error_model(model, n_stars, seed):
    """Calibrate a model on stars that were not used in training, with the S/N of all tests."""
    snr = np.exp(np.random.default_rng(seed).uniform(*np.log([0.8 * min(SNRS), 1.25 * max(SNRS)]), n_stars))
    stars = make_apogee_spectra(n_stars, snr=snr, continuum="true", random_state=seed)
    model.fit_error_model(stars.X, stars.y, y_err=stars.y_err)


def flux_error_rows(model, predictions, tests, n_stars=200):
    """Yield the ratio of error bars with and without flux errors, their coverage, and the ratio of times."""
    for snr, test in tests.items():
        seconds = []
        for x_err in (None, test.X_err[:n_stars]):
            model.predict(test.X[:1], x_err=None if x_err is None else x_err[:1])  # compiles before the measurement
            start = time.perf_counter()
            noisy = model.predict_distribution(test.X[:n_stars], x_err=x_err)
            seconds.append(time.perf_counter() - start)
        ratio = np.median(noisy.total / predictions[snr].total[:n_stars])
        within = np.abs(noisy.mean - test.truth[:n_stars]) < noisy.total
        yield snr, f"{ratio:.2f}", coverage_text(within), f"{seconds[1] / seconds[0]:.1f}"


def make_visits(n_stars, seed):
    """Return two spectra of each star at S/N 100 that differ only in their noise."""
    clean = make_apogee_spectra(n_stars, snr=1e5, continuum="true", random_state=seed).X
    x_err = make_apogee_spectra(n_stars, snr=100, continuum="true", random_state=seed).X_err
    noise = np.random.default_rng(seed).standard_normal((2, *clean.shape), dtype=np.float32)
    return (clean + noise * x_err).reshape(-1, clean.shape[1])


def print_visits(model, seed, n_stars=600):
    """Fit the noise model to two visits of stars, and print the agreement of two visits of other stars."""
    model.fit_noise_model(make_visits(n_stars, seed), np.tile(np.arange(n_stars), 2))
    prediction = model.predict_distribution(make_visits(n_stars, seed + 1))
    difference = np.subtract(*np.split(prediction.mean, 2))
    print("\nScatter of (a - b) / sqrt(e_a**2 + e_b**2) of two visits, mean and extremes over the labels:")
    for kind, description in (("total", "before fit_noise_model"), ("calibrated", "after fit_noise_model")):
        scatter = mad_std(difference / np.hypot(*np.split(prediction.std(kind), 2)), axis=0)
        print(f"{description}: {scatter.mean():.2f} ({scatter.min():.2f} to {scatter.max():.2f})")


def novelty_scores(model, tests, n_spectra=50):
    """Return the novelty scores of each kind of spectra, at each S/N."""
    rng = np.random.default_rng(0)
    scores = {"good stars": {snr: model.novelty_score(test.X) for snr, test in tests.items()}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* spectra are out-of-distribution")
        for name, (make, _) in OUT_OF_DISTRIBUTION.items():
            scores[name] = {
                snr: model.novelty_score(make(first_stars(test, n_spectra), snr, rng)[0]) for snr, test in tests.items()
            }
    return scores


def print_novelty(scores):
    """Print the share of spectra with a novelty score above 1."""
    rows = ([name, *(f"{(values > 1).mean():.3f}" for values in by_snr.values())] for name, by_snr in scores.items())
    print_table(["spectra", *(f"S/N {snr}" for snr in SNRS)], rows)


def save_figures(folder, prediction, test, scores):
    """Draw the figures of docs/trust.md, for one S/N."""
    save_residuals(prediction, test, folder / "overview.png")
    save_calibration(prediction, test, folder / "trust-calibration.png")
    good = {f"good stars, S/N {snr}": values for snr, values in scores["good stars"].items()}
    others = {name: by_snr[min(SNRS)] for name, by_snr in scores.items() if name != "good stars"}
    save_novelty(good, others, folder / "trust-novelty.png")


def train_networks(train, seed):
    """Return our network, and that of Leung & Bovy (2019) after the same time to train."""
    ours = new_network("few_thousand_stars", seed)
    seconds = fit_to(ours, train)
    theirs = new_network("leung_bovy_2019", seed, max_epochs=100_000, callbacks=Deadline(seconds))
    for name, model, time_used in (("ours", ours, seconds), ("Leung & Bovy (2019)", theirs, fit_to(theirs, train))):
        print(f"{name}: trained for {time_used:.0f} s, {model.n_iter_} epochs")
    return ours, theirs


def run(arguments):
    """Train the models, and print all tables."""
    seed = arguments.seed
    train = make_apogee_spectra(arguments.n_train, snr=SNR_TRAIN, continuum="true", random_state=seed)
    tests, coverage_tests = (
        {snr: make_apogee_spectra(n_stars, snr=snr, continuum="true", random_state=random_state) for snr in SNRS}
        for n_stars, random_state in ((arguments.n_test, seed + 1), (arguments.n_coverage, seed + 2))
    )
    ours, theirs = train_networks(train, seed)
    distributions = {snr: ours.predict_distribution(test.X) for snr, test in tests.items()}
    predictions = {
        "ours": {snr: prediction.mean for snr, prediction in distributions.items()},
        "Leung & Bovy (2019)": {snr: theirs.predict(test.X) for snr, test in tests.items()},
        "PCA + ridge": pca_ridge(train, tests),
    }
    print_residuals(predictions, tests, train.label_names)
    header = ["S/N", "total with x_err, relative to without", "within 1 (0.683)", "time, relative to without"]
    print_table(header, flux_error_rows(ours, distributions, tests))
    scores = novelty_scores(ours, tests)
    print_novelty(scores)
    if arguments.pictures:
        save_figures(arguments.pictures, distributions[100], tests[100], scores)
    print_coverage(ours, coverage_tests, ["predictive", "total", "calibrated"])
    fit_error_model(ours, arguments.n_calibration, seed + 3)
    title = f"After fit_error_model on {arguments.n_calibration} stars"
    print_coverage(ours, coverage_tests, ["calibrated"], title)
    print_visits(ours, seed + 10)
    if arguments.cluster:
        n_test, max_epochs = arguments.n_test, cluster.PARAMETERS["max_epochs"]
        cluster.compare(seed, arguments.n_train, 0, n_test // 2, n_test, max_epochs)
        cluster.compare(seed + 2, 1200, 0, n_test // 2, n_test, 20, arguments.pictures)


def main():
    """Read the options, and run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=601, help="seed of the stars and of the training")
    parser.add_argument("--n-train", type=int, default=4000, help="number of training stars")
    parser.add_argument("--n-test", type=int, default=1000, help="number of test stars at each S/N")
    parser.add_argument("--n-calibration", type=int, default=6000, help="number of stars for fit_error_model")
    parser.add_argument("--n-coverage", type=int, default=4000, help="number of stars at each S/N for the coverage")
    parser.add_argument("--cluster", action="store_true", help="also run the experiment with a globular cluster")
    parser.add_argument("--pictures", type=Path, help="folder for the figures of docs/trust.md")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
