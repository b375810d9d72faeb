"""Time that augmentation adds to a training step: ``python -m tests.benchmarks.augmentation``, in about two minutes.

The same network is trained in turns with noise alone and with the default augmentation. The ratio of the times of an
epoch is that of a training step; the first epoch of each turn, which compiles, does not count.
"""

import argparse

import numpy as np

from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra
from tests.benchmarks.trust import Clock

VARIANTS = {
    "no augmentation": {"augmentation": None},
    "noise alone": {"augmentation": None, "noise_augmentation": (0.0, 4.0)},
    "default augmentation": {"augmentation": "auto"},
    "the same without pairs": {"augmentation": {"pairs": 0.0}},
}


class EpochTimes(Clock):
    """Callback that remembers the time of each epoch."""

    def __init__(self):
        super().__init__()
        self.times = []

    def __call__(self, report):
        """Never end the training."""
        super().__call__(report)
        self.times.append(self.last)


def seconds_of_an_epoch(stars, parameters, n_epochs):
    """Return the median time of the epochs after the first one."""
    clock = EpochTimes()
    model = ApogeeBCNNCensoredRegressor(
        max_epochs=n_epochs + 1, batch_size=64, calibrate=False, callbacks=clock, random_state=0, **parameters
    )
    model.fit(stars.X, stars.y, x_err=stars.X_err, y_err=stars.y_err)
    return np.median(np.diff(clock.times))


def main():
    """Print the times of all variants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-train", type=int, default=2000, help="number of training stars")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    stars = make_apogee_spectra(arguments.n_train, random_state=0)
    seconds = {name: [] for name in VARIANTS}
    for _ in range(arguments.turns):
        for name, parameters in VARIANTS.items():
            seconds[name].append(seconds_of_an_epoch(stars, parameters, arguments.epochs))
    reference = np.array(seconds["noise alone"])
    for name, values in seconds.items():
        print(f"{name:24s} {np.median(values):.2f} s an epoch, {np.median(values / reference):.2f} times noise alone")


if __name__ == "__main__":
    main()
