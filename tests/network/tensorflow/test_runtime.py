"""What TensorFlow is told before it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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

BY_ENVIRONMENT = """
import sys
import tensorflow as tf
if sys.argv[1] != "-":
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from skbcnn.network.tensorflow import runtime
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def python(code, *arguments, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts the threads as Linux shows them")
def test_workers_keep_to_the_threads_that_joblib_allots():
    for intra_op, n_counted in python(IN_WORKERS):
        assert intra_op == n_counted == 1


@pytest.mark.parametrize(("set_by_user", "environment", "expected"), [("-", "3,1", 3), ("-", "", 0), ("5", "3", 5)])
def test_environment(set_by_user, environment, expected):
    assert python(BY_ENVIRONMENT, set_by_user, OMP_NUM_THREADS=environment) == expected


@pytest.mark.parametrize(("chosen_by_user", "expected"), [(None, True), (False, False), (True, True)])
def test_memory_of_a_gpu_is_shared_unless_the_user_says_otherwise(monkeypatch, chosen_by_user, expected):
    from skbcnn.network.tensorflow.runtime import _share_gpus, tf

    growth = {"GPU:0": chosen_by_user}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(growth))
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", growth.__getitem__)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", growth.__setitem__)
    _share_gpus()
    assert growth == {"GPU:0": expected}


def test_a_gpu_in_use_already_is_left_alone(monkeypatch):
    from skbcnn.network.tensorflow.runtime import _share_gpus, tf

    def too_late(*_):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", lambda gpu: None)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)
    _share_gpus()
