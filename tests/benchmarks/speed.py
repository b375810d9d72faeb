"""The measurements of speed and memory, each in a process of its own: ``python -m tests.benchmarks.speed NAME ...``.

What is measured here is what a user calls: `fit` and `predict_std` of `ApogeeBCNNCensoredRegressor` at its default
widths, beside `naive` and, where torch is installed, `sdssv`. Each prints one JSON object.
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
    """Seconds that a call takes."""
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def spectra(n, seed=0):
    """Random flux about 1, and labels about 0: speed does not depend on what they are."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, N_PIXELS), dtype=np.float32)
    return 1 + np.float32(0.05) * x, rng.standard_normal((n, N_LABELS))


def regressor(**parameters):
    """Ours at its defaults, TensorFlow imported."""
    import tensorflow  # noqa: F401

    from skbcnn import ApogeeBCNNCensoredRegressor

    return ApogeeBCNNCensoredRegressor(random_state=0, n_draws=N_DRAWS, **parameters)


def fitted():
    """A model to ask: fitted to one batch."""
    return regressor(max_epochs=1, validation_fraction=0).fit(*spectra(BATCH))


def first_step_ours():
    """From `fit` to the end of the first step."""
    model = regressor(max_epochs=1, validation_fraction=0)
    X, y = spectra(BATCH)
    return {"seconds": timed(model.fit, X, y)}


def first_step_naive():
    """From building the network to the end of the first step."""
    from tests.benchmarks import naive

    X, y = spectra(BATCH)
    return {"seconds": timed(lambda: naive.fit(naive.build(), X - 1, y, np.zeros_like(y), epochs=1))}


def training(n_batches=60, n_epochs=10):
    """Seconds of each epoch of one `fit` of both, that take turns so that both meet the same machine."""
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

    class Fit:
        """What `naive.fit` calls, with a callback."""

        network = naive.build()
        compile = network.compile

        def fit(self, *args, **kwargs):
            turns = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: epoch_ended("naive", "ours"))
            return self.network.fit(*args, callbacks=[turns], **kwargs)

    thread = threading.Thread(target=fit_ours)
    thread.start()
    started = {"naive": time.perf_counter()}
    naive.fit(Fit(), X - 1, y, np.zeros_like(y), epochs=n_epochs)
    turn["ours"].release()
    thread.join()
    return {name: [1e3 * value / n_batches for value in values[2:-1]] for name, values in seconds.items()}


def predict_ours(n=10_000):
    """Wall time of `predict_std`: the first call of a process, then 64 spectra twice, then many again."""
    X, _ = spectra(n)
    model = fitted()
    first = timed(model.predict_std, X)
    few = [timed(model.predict_std, X[:BATCH]) for _ in range(5)]
    return {"first": first, "few": float(np.median(few[1:])), "again": timed(model.predict_std, X)}


def predict_naive(n=10_000, n_asked=1024):
    """The same; each call builds its stack of networks anew, then takes as long for any batch.

    So what 10 000 spectra would take, many minutes, follows from some of them and from one batch.
    """
    from tests.benchmarks import naive

    X = spectra(n_asked)[0] - 1
    network = naive.build()
    some = timed(naive.predict_std, network, X, N_DRAWS)
    few = timed(naive.predict_std, network, X[:BATCH], N_DRAWS)
    each = (some - few) / (n_asked - BATCH)
    return {"first": some + (n - n_asked) * each, "few": few, "rate": 1 / each}


def predict_torch(n=256):
    """Spectra a second of the PyTorch network; nothing if torch is not installed."""
    try:
        from tests.benchmarks import sdssv
    except ModuleNotFoundError:
        return {}
    X, network = spectra(n)[0] - 1, sdssv.Network().eval()
    sdssv.predict_std(network, X, n_draws=2)
    return {"rate": n / timed(sdssv.predict_std, network, X, N_DRAWS)}


def rate(n="2048", n_draws="100", with_errors=""):
    """Spectra a second of `predict_std` once it is compiled, the best of three."""
    X, _ = spectra(int(n))
    model = fitted().set_params(n_draws=int(n_draws))
    x_err = np.full_like(X, 0.01) if with_errors else None
    model.predict_std(X[:BATCH], x_err=None if x_err is None else x_err[:BATCH])
    return {"rate": len(X) / min(timed(model.predict_std, X, x_err=x_err) for _ in range(3))}


def training_rate(n_batches=40):
    """Spectra a second of `partial_fit`, alone on the machine."""
    X, y = spectra(BATCH * n_batches)
    model = fitted().partial_fit(X, y)
    return {"rate": len(X) / min(timed(model.partial_fit, X, y) for _ in range(3))}


def anonymous_bytes():
    """Memory of this process that belongs to no file; 0 where Linux does not tell."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["RssAnon"].split()[0]) * 1024
    except (OSError, KeyError):
        return 0


class PeakMemory:
    """Largest anonymous memory within a ``with`` block, beyond what there was before, in bytes."""

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
    """Time and peak memory of the first `predict_std` on spectra in a file of float64."""
    model = fitted()
    with tempfile.TemporaryDirectory() as folder:
        X = np.memmap(Path(folder) / "spectra", dtype=dtype, mode="w+", shape=(int(n), N_PIXELS))  # zeros, on no disk
        with PeakMemory() as memory:
            seconds = timed(model.predict_std, X)
    return {"n": int(n), "seconds": seconds, "bytes": memory.beyond}


def imports():
    """Seconds to import the package, and the regressor beyond scikit-learn's base."""
    bare = timed(__import__, "skbcnn")
    import sklearn.base  # noqa: F401

    def import_regressor():
        from skbcnn import ApogeeBCNNCensoredRegressor  # noqa: F401

    return {"bare": bare, "regressor": timed(import_regressor)}


def peak_gflops():
    """Matrix products of this machine: floating-point operations a nanosecond."""
    import tensorflow as tf

    a = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(a, a), autograph=False)
    product()
    return {"gflops": 2 * 2048**3 / min(timed(lambda: product().numpy()) for _ in range(10)) / 1e9}


def operations():
    """Floating-point operations a spectrum: of a training step, and of 100 draws with each mask its own and as shared.

    A product and a sum are two. The gradient of a layer takes twice its forward pass; the first layers need none by
    their input.
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
