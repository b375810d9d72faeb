"""Measure speed and memory, one measurement per process: ``python -m tests.benchmarks.speed NAME ...``.

The measurements call `fit` and `predict_std` of `ApogeeBCNNCensoredRegressor` with astroNN's parameters, the naive
network (`tests.benchmarks.naive`) and, if PyTorch is installed, the network of `tests.benchmarks.sdssv`. NAME is a
function of this module that returns numbers, which are printed as one JSON object.
"""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

BATCH, N_DRAWS = 64, 100
N_PIXELS, N_LABELS = 7514, 22


def timed(function, *args, **kwargs):
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def spectra(n, seed=0):
    """Return random flux about 1 and random labels about 0. The speed does not depend on their values."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, N_PIXELS), dtype=np.float32)
    return 1 + np.float32(0.05) * x, rng.standard_normal((n, N_LABELS))


def regressor(**parameters):
    """Return our regressor with the layers of the naive network, after the import of TensorFlow."""
    import tensorflow  # noqa: F401

    from skbcnn import ApogeeBCNNCensoredRegressor

    parameters = {"num_hidden": (192, 96, 32, 16, 2), "random_state": 0, "n_draws": N_DRAWS} | parameters
    return ApogeeBCNNCensoredRegressor.from_preset("leung_bovy_2019", **parameters)


def fitted():
    """Return a regressor that is fitted to one batch."""
    return regressor(max_epochs=1, validation_fraction=0).fit(*spectra(BATCH))


def first_step_ours():
    """Measure the time from `fit` to the end of the first training step."""
    model = regressor(max_epochs=1, validation_fraction=0)
    X, y = spectra(BATCH)
    return {"seconds": timed(model.fit, X, y)}


def first_step_naive():
    """Measure the time from building the naive network to the end of its first training step."""
    from tests.benchmarks import naive

    X, y = spectra(BATCH)
    return {"seconds": timed(lambda: naive.fit(naive.build(), X - 1, y, np.zeros_like(y), epochs=1))}


def training(n_batches=60, n_epochs=10):
    """Measure the milliseconds per training step in each epoch, for our network and the naive one.

    Both take turns after each epoch, so that other work on the machine affects both.
    """
    import keras

    from tests.benchmarks import naive

    X, y = spectra(BATCH * n_batches)
    seconds = {"ours": [], "naive": []}
    turn = {name: threading.Semaphore(0) for name in seconds}

    def epoch_ended(name, other):
        seconds[name].append(time.perf_counter() - started[name])
        turn[other].release()
        turn[name].acquire()
        started[name] = time.perf_counter()

    def fit_ours():
        turn["ours"].acquire()
        started["ours"] = time.perf_counter()
        model = regressor(
            max_epochs=n_epochs, validation_fraction=0, callbacks=lambda report: epoch_ended("ours", "naive")
        )
        model.fit(X, y)

    class NetworkWithCallback:
        """Naive network whose `fit` has a callback."""

        network = naive.build()
        compile = network.compile

        def fit(self, *args, **kwargs):
            turns = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: epoch_ended("naive", "ours"))
            return self.network.fit(*args, callbacks=[turns], **kwargs)

    thread = threading.Thread(target=fit_ours)
    thread.start()
    started = {"naive": time.perf_counter()}
    naive.fit(NetworkWithCallback(), X - 1, y, np.zeros_like(y), epochs=n_epochs)
    turn["ours"].release()
    thread.join()
    return {name: [1e3 * value / n_batches for value in values[2:-1]] for name, values in seconds.items()}


def predict_ours(n=10_000):
    """Measure `predict_std`: the first call of a process, repeated calls with 64 spectra, and all spectra again."""
    X, _ = spectra(n)
    model = fitted()
    first = timed(model.predict_std, X)
    few = [timed(model.predict_std, X[:BATCH]) for _ in range(5)]
    return {"first": first, "few": float(np.median(few[1:])), "again": timed(model.predict_std, X)}


def predict_naive(n=10_000, n_measured=1024):
    """Measure `predict_std` of the naive network.

    Each call builds its stack of networks again, and then takes the same time for each batch. The time for 10 000
    spectra, which is many minutes, is extrapolated from fewer spectra and from one batch.
    """
    from tests.benchmarks import naive

    X = spectra(n_measured)[0] - 1
    network = naive.build()
    some = timed(naive.predict_std, network, X, N_DRAWS)
    few = timed(naive.predict_std, network, X[:BATCH], N_DRAWS)
    each = (some - few) / (n_measured - BATCH)
    return {"first": some + (n - n_measured) * each, "few": few, "rate": 1 / each}


def predict_torch(n=256):
    """Measure the spectra per second of the PyTorch network; return nothing if PyTorch is not installed."""
    try:
        from tests.benchmarks import sdssv
    except ModuleNotFoundError:
        return {}
    X, network = spectra(n)[0] - 1, sdssv.Network().eval()
    sdssv.predict_std(network, X, n_draws=2)
    return {"rate": n / timed(sdssv.predict_std, network, X, N_DRAWS)}


def rate(n="2048", n_draws="100", with_errors=""):
    """Measure the spectra per second of `predict_std` after compilation, the best of three."""
    X, _ = spectra(int(n))
    model = fitted().set_params(n_draws=int(n_draws))
    x_err = np.full_like(X, 0.01) if with_errors else None
    model.predict_std(X[:BATCH], x_err=None if x_err is None else x_err[:BATCH])
    return {"rate": len(X) / min(timed(model.predict_std, X, x_err=x_err) for _ in range(3))}


def training_rate(n_batches=40):
    """Measure the spectra per second of `partial_fit`, the best of three."""
    X, y = spectra(BATCH * n_batches)
    model = fitted().partial_fit(X, y)
    return {"rate": len(X) / min(timed(model.partial_fit, X, y) for _ in range(3))}


def anonymous_bytes():
    """Return the memory of this process without mapped files, in bytes; 0 on systems other than Linux."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["RssAnon"].split()[0]) * 1024
    except (OSError, KeyError):
        return 0


class PeakMemory:
    """Context manager that measures the largest increase of the memory of this process: `beyond`, in bytes."""

    def __enter__(self):
        self.before = self.peak = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._done.wait(0.01):
            self.peak = max(self.peak, anonymous_bytes())

    def __exit__(self, *raised):
        self._done.set()
        self._thread.join()
        self.beyond = self.peak - self.before


def memory(n, dtype="float64"):
    """Measure time and additional memory of the first `predict_std` on spectra in a file of float64."""
    model = fitted()
    with tempfile.TemporaryDirectory() as folder:
        X = np.memmap(Path(folder) / "spectra", dtype=dtype, mode="w+", shape=(int(n), N_PIXELS))  # a sparse file
        with PeakMemory() as memory:
            seconds = timed(model.predict_std, X)
    return {"n": int(n), "seconds": seconds, "bytes": memory.beyond}


def imports():
    """Measure the seconds to import the package, and the regressor after the base module of scikit-learn."""
    bare = timed(__import__, "skbcnn")
    import sklearn.base  # noqa: F401

    def import_regressor():
        from skbcnn import ApogeeBCNNCensoredRegressor  # noqa: F401

    return {"bare": bare, "regressor": timed(import_regressor)}


def peak_gflops():
    """Measure the floating-point operations per nanosecond in large matrix products."""
    import tensorflow as tf

    a = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(a, a), autograph=False)
    product()
    return {"gflops": 2 * 2048**3 / min(timed(lambda: product().numpy()) for _ in range(10)) / 1e9}


def operations():
    """Return the floating-point operations per spectrum: of a training step, and of 100 draws with and without sharing.

    A multiplication and an addition are two operations. The gradient of a layer takes twice the operations of its
    forward pass. The first layers need no gradient with respect to their input.
    """
    from skbcnn.network.masks import draws_per_mask

    widths = {"C": (3806, 256, 64), "N": (3776, 256, 64)}
    widths |= dict.fromkeys(range(17), (None, 32, 16))
    n_narrow = 2061  # pixels in the 17 other windows
    conv1, conv2 = N_PIXELS * 8 * 2, N_PIXELS * 8 * 2 * 4
    dense1 = 7512 * 192
    windows1 = (3806 + 3776) * 256 + n_narrow * 32
    rest = 192 * 96 + 96 * 8 + 2 * 256 * 64 + 17 * 32 * 16 + 2 * 2 * 69 + 17 * 2 * 21
    once, own = conv1 + windows1, rest
    shared = conv2 / draws_per_mask("conv1", N_DRAWS) + dense1 / draws_per_mask("flat", N_DRAWS)
    return {
        "training": 2 * (3 * (conv1 + conv2 + dense1 + windows1 + rest) - conv1 - windows1),
        "each_its_own": 2 * (once + N_DRAWS * (conv2 + dense1 + own)),
        "shared": 2 * (once + N_DRAWS * (shared + own)),
    }


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
