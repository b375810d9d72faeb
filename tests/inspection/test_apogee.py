"""Derivatives of a network with the widths of APOGEE: accuracy, time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.survey import APOGEE_LABELS, apogee_windows

STATUS = Path("/proc/self/status")
JACOBIANS = """
import json, time
import numpy as np
from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.inspection import jacobian, window_attribution
from tests.benchmarks.speed import PeakMemory

X = np.random.default_rng(0).normal(1, 0.1, size=(1024, 7514)).astype(np.float32)
model = ApogeeBCNNCensoredRegressor(max_epochs=1, random_state=0).fit(X[:64], X[:64, :22])
found = {}

def measure(name, function, n, **options):
    start, clock = time.process_time(), time.perf_counter()
    with PeakMemory() as memory:
        answer = function(model, X[:n], n_draws=10, **options)
    found[name] = time.process_time() - start, memory.beyond / 1e6, time.perf_counter() - clock
    return answer

measure("compiled", jacobian, 1)
every = measure("every star", jacobian, 256)
mean = measure("average", jacobian, 256, mean_output=True)
assert every.shape == (256, 22, 7514)
assert np.abs(mean - every.mean(axis=0, dtype=np.float64)).max() < 1e-5 * np.abs(mean).max()
del every
measure("average of more", jacobian, 1024, mean_output=True)
measure("attribution", window_attribution, 256)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("context_layer", ["output", "hidden"])
def test_derivatives_agree_with_finite_differences(context_layer):
    rng = np.random.default_rng(0)
    X = rng.normal(1, 0.1, size=(64, 7514)).astype(np.float32)
    smooth = {"activation": "tanh", "pool_length": 1, "initializer": "glorot_uniform"}  # no kinks
    smooth |= {"context_layer": context_layer}
    model = ApogeeBCNNCensoredRegressor(**smooth, max_epochs=1, n_draws=3, calibrate=False, random_state=0)
    model.fit(X, rng.normal(size=(64, 22)))
    pixels = np.r_[rng.choice(7514, 12, replace=False), apogee_windows()["Al"][::10], apogee_windows()["Na"][::5]]
    steps = np.zeros((len(pixels), 7514))
    steps[np.arange(len(pixels)), pixels] = 0.05
    up, down = (model.predict(X[0] + sign * steps) for sign in (1, -1))
    by_differences = (up - down).T / 0.1
    found = model.jacobian(X[:1])[0]
    scale = np.abs(found[:, pixels]).max(axis=1, keepdims=True)
    assert_allclose(found[:, pixels] / scale, by_differences / scale, atol=0.02)
    alone = model.jacobian(X[:1], path="window", mean_output=True)
    aluminium = alone[APOGEE_LABELS.index("Al")]
    assert set(np.flatnonzero(aluminium)) == set(apogee_windows()["Al"])


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="reads the memory of a process as Linux shows it")
def test_time_and_memory():
    """The array of 256 stars has 173 MB.

    Measured: 4.5 s of processor time for 10 draws (1.9 s on two idle cores), and up to 200 MB beyond the array, mostly
    of the compiler.
    """
    ended = subprocess.run([sys.executable, "-c", JACOBIANS], capture_output=True, text=True, check=True, timeout=1800)
    found = json.loads(ended.stdout.splitlines()[-1])
    seconds, megabytes, _ = (dict(zip(found, column, strict=True)) for column in zip(*found.values(), strict=True))
    assert seconds["every star"] < 60, found
    assert megabytes["every star"] < 173 + 300, found
    for name in ("average", "average of more", "attribution"):
        assert megabytes[name] < 300, found
