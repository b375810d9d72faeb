"""Memory: many fits in one process do not accumulate, and predictions of many spectra need little."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")
FITS = """
import json, sys
import numpy as np
from skbcnn import CensoredBCNNRegressor

def anonymous_megabytes():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines["RssAnon"].split()[0]) / 1024

X = np.random.default_rng(0).normal(size=(200, 500)).astype(np.float32)
grown = []
for number in range(30):
    rate = 0.1 + 0.01 * (number % int(sys.argv[1]))  # another dropout rate makes another network
    CensoredBCNNRegressor(max_epochs=2, n_draws=5, dropout_rate=rate, random_state=number).fit(X, X[:, :3]).predict(X)
    grown.append(anonymous_megabytes())
print(json.dumps(grown))
"""


PREDICTIONS = """
import json, sys
import numpy as np
from skbcnn import ApogeeBCNNCensoredRegressor
from tests.benchmarks.speed import PeakMemory

X = np.random.default_rng(0).normal(1, 0.1, size=(64, 7514)).astype(np.float32)
model = ApogeeBCNNCensoredRegressor(max_epochs=1, n_draws=2, random_state=0).fit(X, X[:, :22])
used = []
for n in (500, 20_000):
    spectra = np.memmap(sys.argv[1], dtype=np.float64, mode="w+", shape=(n, 7514))
    with PeakMemory() as memory:
        model.predict_std(spectra)
    used.append(memory.beyond / 1e6)
print(json.dumps(used))
"""


def test_spectra_from_a_file(tmp_path):
    """Predict 20 000 memory-mapped spectra, 1200 MB of float64, in little memory."""
    command = [sys.executable, "-c", PREDICTIONS, str(tmp_path / "spectra")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    first, many = json.loads(ended.stdout.splitlines()[-1])
    assert first < 400  # includes compiled code
    assert many < 150


def megabytes_after_each_fit(n_networks):
    result = subprocess.run(
        [sys.executable, "-c", FITS, str(n_networks)], capture_output=True, text=True, check=True, timeout=900
    )
    return json.loads(result.stdout)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATUS.exists(), reason="reads /proc, which only Linux has"),
]


def test_fits_of_one_network():
    used = megabytes_after_each_fit(n_networks=1)
    assert used[29] - used[4] < 50, [round(value) for value in used]


def test_fits_of_more_networks_than_the_pool_keeps():
    """The pool keeps six networks; the memory of others is freed at once."""
    used = megabytes_after_each_fit(n_networks=10)
    assert min(used[25:]) - min(used[10:15]) < 50, [round(value) for value in used]
