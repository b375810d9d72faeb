"""How wrong labels are, and whether the error bars say so: ``python -m tests.benchmarks.trust``, in some ten minutes.

Everything is trained on the same synthetic stars at S/N 200 and asked for others at S/N 50, 100 and 200, whose truth is
known. Prints the tables of docs/trust.md:

- residuals: median and robust standard deviation (`astropy.stats.mad_std`) of each label, for our recipe, for that of
  Leung & Bovy (2019), which gets as much time, and for ridge regression on principal components;
- coverage: how often error bars and intervals hold the truth, over all labels and for the worst ones, calibrated on the
  stars held out and on some thousand more;
- flux errors: what they do to the error bars if they are carried into the draws, and how long that takes;
- repeat visits: what `fit_noise_model` makes of two visits of each of some stars;
- strangers: how many good stars, and how many spectra unlike them, are flagged;
- with ``--cluster``: what `tests.benchmarks.cluster` prints, after as many stars and after few, in half an hour more.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from astropy.stats import mad_std
from sklearn.decomposition import PCA

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.datasets import make_apogee_spectra
from tests.benchmarks import cluster
from tests.benchmarks.accuracy import N_COMPONENTS, ridge
from tests.benchmarks.trust_pictures import save_calibration, save_novelty, save_residuals
from tests.strangers import STRANGERS

SNRS, SNR_TRAIN = (50, 100, 200), 200
COVERAGES = {1.0: (0.683, 0.04), 1.96: (0.95, 0.02)}  # within so many error bars: share to reach, how nearly


class Deadline:
    """A callback that ends a training after some seconds."""

    def __init__(self, seconds):
        self.end = time.perf_counter() + seconds

    def __call__(self, report):
        """Say whether it is time to stop."""
        return time.perf_counter() > self.end


def trained(train, seed, preset, **changes):
    """A network and the seconds that its training took."""
    model = ApogeeBCNNCensoredRegressor.from_preset(preset, random_state=seed, verbose=1, **changes)
    start = time.perf_counter()
    model.fit(train.X, train.y, x_err=train.X_err, y_err=train.y_err)
    return model, time.perf_counter() - start


def linear(train, tests):
    """Predictions of ridge regression on the better number of principal components, by residuals on the tests."""
    found = []
    for n_components in N_COMPONENTS:
        pca = PCA(n_components, svd_solver="randomized", random_state=0)
        Z = pca.fit_transform(train.X)
        seen = {snr: pca.transform(test.X) for snr, test in tests.items()}
        together = np.concatenate(list(seen.values()))
        predicted = np.column_stack([ridge(Z, y, together) for y in train.y.T])
        found.append(dict(zip(tests, np.split(predicted, len(tests)), strict=True)))

    def better(snr):
        scatters = [mad_std(predicted[snr] - tests[snr].truth, axis=0) for predicted in found]
        return np.where(scatters[0] < scatters[1], found[0][snr], found[1][snr])

    return {snr: better(snr) for snr in tests}


def print_residuals(predictions, tests, names):
    """Median and scatter of the residuals of every label and model."""
    for snr, test in tests.items():
        print(f"\nS/N {snr}, median and mad_std of prediction minus truth\n\n| label |", " | ".join(predictions), "|")
        print("|---|" + "---|" * len(predictions))
        residuals = {name: of_snr[snr] - test.truth for name, of_snr in predictions.items()}
        for j, label in enumerate(names):
            cells = [f"{np.median(r[:, j]):+.3g}, {mad_std(r[:, j]):.3g}" for r in residuals.values()]
            print(f"| {label} |", " | ".join(cells), "|")
        means = [np.exp(np.log(mad_std(r[:, 1:], axis=0)).mean()) for r in residuals.values()]
        print("| geometric mean, all but teff |", " | ".join(f"{mean:.4f}" for mean in means), "|")


def share(within):
    """Over all labels, and that of the labels which are worst off to either side."""
    by_label = within.mean(axis=0)
    return f"{by_label.mean():.3f} ({by_label.min():.2f} to {by_label.max():.2f})"


def print_coverage(model, tests, kinds):
    """How often the truth is within error bars and intervals, and of how many labels nearly as often as it should."""
    titles = ["S/N", "kind"]
    for bound, (expected, near) in COVERAGES.items():
        titles += [f"within {bound:g} ({expected})", f"labels within {near}"]
    print("\n|", " | ".join([*titles, "90 % interval"]), "|\n|" + "---|" * (len(titles) + 1))
    for snr, test in tests.items():
        prediction = model.predict_distribution(test.X)
        lower, upper = model.predict_interval(test.X, coverage=0.9)
        interval = share((lower <= test.truth) & (test.truth <= upper))
        for kind in kinds:
            z = np.abs(prediction.mean - test.truth) / prediction.std(kind)
            cells = []
            for bound, (expected, near) in COVERAGES.items():
                n_near = (np.abs((z < bound).mean(axis=0) - expected) <= near).sum()
                cells += [share(z < bound), f"{n_near} of {z.shape[1]}"]
            print(f"| {snr} | {kind} |", " | ".join(cells), f"| {interval if kind == 'calibrated' else ''} |")


def print_coverage_of_more(model, tests, n_stars, seed):
    """The same once error bars were learnt from stars that were not trained on, as faint as any of the tests."""
    snr = np.exp(np.random.default_rng(seed).uniform(*np.log([0.8 * min(SNRS), 1.25 * max(SNRS)]), n_stars))
    more = make_apogee_spectra(n_stars, snr=snr, random_state=seed)
    model.fit_error_model(more.X, more.y, y_err=more.y_err)
    print(f"\nAfter fit_error_model on {n_stars} stars")
    print_coverage(model, tests, ["calibrated"])


def print_flux_errors(model, predictions, tests, n_stars=200):
    """Error bars with flux errors in the draws, beside those without."""
    print("\n| S/N | total with x_err, relative to without | within 1 (0.683) | time, relative to without |")
    print("|---|---|---|---|")
    for snr, test in tests.items():
        rows = slice(n_stars)
        seconds = []
        for x_err in (None, test.X_err[rows]):
            model.predict(test.X[:1], x_err=None if x_err is None else x_err[:1])  # compiled before the clock starts
            start = time.perf_counter()
            carried = model.predict_distribution(test.X[rows], x_err=x_err)
            seconds.append(time.perf_counter() - start)
        ratio = np.median(carried.total / predictions[snr].total[rows])
        within = share(np.abs(carried.mean - test.truth[rows]) < carried.total)
        print(f"| {snr} | {ratio:.2f} | {within} | {seconds[1] / seconds[0]:.1f} |")


def visits(n_stars, seed):
    """Two spectra of each star at S/N 100, with noise of their own; whatever else is wrong with them they share."""
    clean = make_apogee_spectra(n_stars, snr=1e5, random_state=seed).X
    x_err = make_apogee_spectra(n_stars, snr=100, random_state=seed).X_err
    noise = np.random.default_rng(seed).standard_normal((2, *clean.shape), dtype=np.float32)
    return (clean + noise * x_err).reshape(-1, clean.shape[1])


def print_visits(model, seed, n_stars=600):
    """Error bars learnt from two visits of each star, and what they do on two visits of others."""
    model.fit_noise_model(visits(n_stars, seed), np.tile(np.arange(n_stars), 2))
    prediction = model.predict_distribution(visits(n_stars, seed + 1))
    difference = np.subtract(*np.split(prediction.mean, 2))
    print("\nScatter of (a - b) / sqrt(e_a**2 + e_b**2) of two visits, mean over labels and extremes:")
    for kind, what in (("total", "as told"), ("calibrated", "after fit_noise_model")):
        spread = mad_std(difference / np.hypot(*np.split(prediction.std(kind), 2)), axis=0)
        print(f"{what}: {spread.mean():.2f} ({spread.min():.2f} to {spread.max():.2f})")


def print_strangers(model, tests, n_strangers=50):
    """Share of spectra that are outside what the model was trained on, good ones and others."""
    rng = np.random.default_rng(0)
    print("\n| spectra | S/N", " | S/N ".join(map(str, tests)), "|")
    print("|---|" + "---|" * len(tests))
    makers = {"good stars": lambda stars, snr, rng: (stars.X, None)} | {
        name: make for name, (make, _) in STRANGERS.items()
    }
    for name, make in makers.items():
        shares = []
        for snr, test in tests.items():
            n = len(test.X) if name == "good stars" else n_strangers
            few = type(test)(**{key: test[key][:n] for key in ("X", "X_err", "truth")})
            shares.append((model.novelty_score(make(few, snr, rng)[0]) > 1).mean())
        print(f"| {name} |", " | ".join(f"{share:.3f}" for share in shares), "|")


def main():
    """Train, predict, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=601)
    parser.add_argument("--n-train", type=int, default=4000)
    parser.add_argument("--n-test", type=int, default=1000)
    parser.add_argument("--n-calibration", type=int, default=6000, help="stars for fit_error_model")
    parser.add_argument("--n-coverage", type=int, default=4000, help="stars whose error bars are looked at")
    parser.add_argument("--cluster", action="store_true", help="also run the experiment with a globular cluster")
    parser.add_argument("--pictures", type=Path, help="folder in which to put the pictures of docs/trust.md")
    arguments = parser.parse_args()
    train = make_apogee_spectra(arguments.n_train, snr=SNR_TRAIN, random_state=arguments.seed)
    tests = {snr: make_apogee_spectra(arguments.n_test, snr=snr, random_state=arguments.seed + 1) for snr in SNRS}
    ours, seconds = trained(train, arguments.seed, "few_thousand_stars")
    peer, peer_seconds = trained(
        train, arguments.seed, "leung_bovy_2019", max_epochs=100_000, callbacks=Deadline(seconds)
    )
    print(f"trained for {seconds:.0f} s (ours, {ours.n_iter_} epochs) and {peer_seconds:.0f} s ({peer.n_iter_} epochs)")
    told = {snr: ours.predict_distribution(test.X) for snr, test in tests.items()}
    if arguments.pictures:
        save_residuals(told[100], tests[100], arguments.pictures / "overview.png")
        save_calibration(told[100], tests[100], arguments.pictures / "trust-calibration.png")
        save_novelty(ours, tests, arguments.pictures / "trust-novelty.png")
    predictions = {
        "ours": {snr: prediction.mean for snr, prediction in told.items()},
        "Leung & Bovy (2019)": {snr: peer.predict(test.X) for snr, test in tests.items()},
        "PCA + ridge": linear(train, tests),
    }
    print_residuals(predictions, tests, train.label_names)
    print_flux_errors(ours, told, tests)
    print_strangers(ours, tests)
    many = {snr: make_apogee_spectra(arguments.n_coverage, snr=snr, random_state=arguments.seed + 2) for snr in SNRS}
    print_coverage(ours, many, ["predictive", "total", "calibrated"])
    print_coverage_of_more(ours, many, arguments.n_calibration, arguments.seed + 3)
    print_visits(ours, arguments.seed + 10)
    if arguments.cluster:
        n_test, max_epochs = arguments.n_test, cluster.RECIPE["max_epochs"]
        cluster.compare(arguments.seed, arguments.n_train, 0, n_test // 2, n_test, max_epochs)
        cluster.compare(arguments.seed + 2, 1200, 0, n_test // 2, n_test, 20, arguments.pictures)


if __name__ == "__main__":
    main()
