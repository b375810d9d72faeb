"""Configuration of TensorFlow when it is imported: threads and GPU memory."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from skbcnn.network.tensorflow.runtime import _limit_threads, _share_gpus, tf

IN_WORKERS = """
import json, os
import joblib
import numpy as np

def threads(_):
    from skbcnn import CensoredBCNNRegressor
    X = np.random.default_rng(0).normal(size=(40, 20))
    CensoredBCNNRegressor(max_epochs=1, n_draws=2).fit(X, X[:, :2]).predict(X)
    import tensorflow as tf
    names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
    return tf.config.threading.get_intra_op_parallelism_threads(), names.count("tf_Compute")

with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
    print(json.dumps(joblib.Parallel(n_jobs=2)(joblib.delayed(threads)(i) for i in range(2))))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts the threads as Linux shows them")
def test_workers_use_the_threads_that_joblib_allots():
    ended = subprocess.run([sys.executable, "-c", IN_WORKERS], capture_output=True, text=True, check=True)
    for intra_op, n_counted in json.loads(ended.stdout):
        assert intra_op == 1
        assert n_counted <= 1  # some versions compute in the calling thread


class TestLimitThreads:
    @pytest.fixture
    def threads(self, monkeypatch):
        """Thread settings that stand for those of TensorFlow, which can be changed only once in a process."""
        threads = {"intra": 0, "inter": 0}
        for kind in threads:
            name = f"{kind}_op_parallelism_threads"
            monkeypatch.setattr(tf.config.threading, f"get_{name}", partial(threads.get, kind))
            monkeypatch.setattr(tf.config.threading, f"set_{name}", partial(threads.__setitem__, kind))
        return threads

    @pytest.mark.parametrize(("by_user", "environment", "expected"), [(0, "3,1", 3), (0, "", 0), (5, "3", 5)])
    def test_environment_counts_unless_the_user_chose(self, monkeypatch, threads, by_user, environment, expected):
        threads.update(intra=by_user, inter=by_user)
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
        _limit_threads()
        assert threads == {"intra": expected, "inter": expected}

    def test_too_late(self, monkeypatch, threads):
        def too_late(number):
            raise RuntimeError("Intra op parallelism cannot be modified after initialization.")

        monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", too_late)
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        _limit_threads()
        assert threads["intra"] == 0


@pytest.mark.parametrize(("chosen_by_user", "expected"), [(None, True), (False, False), (True, True)])
def test_memory_of_a_gpu_is_shared_unless_the_user_says_otherwise(monkeypatch, chosen_by_user, expected):
    growth = {"GPU:0": chosen_by_user}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(growth))
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", growth.__getitem__)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", growth.__setitem__)
    _share_gpus()
    assert growth == {"GPU:0": expected}


def test_a_gpu_in_use_is_unchanged(monkeypatch):
    def too_late(*_):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", lambda gpu: None)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)
    _share_gpus()
