"""Catalogues that are predicted on the workers of a Dask cluster: the same files, also after workers have died."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest

from skbcnn.catalog import predict_catalog
from skbcnn.datasets import write_h5

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

# Dask warns of workers that die, of a port that is in use, and of large objects; none of them concerns the results
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def path(tiny_data, tmp_path_factory):
    """Spectra in a file: enough for 40 parts of 20 rows."""
    X = np.tile(tiny_data.X, (27, 1))[:800]
    folder = tmp_path_factory.mktemp("spectra")
    return write_h5(folder / "stars.h5", X, {"teff": np.zeros(800)}, spectra_err=np.full_like(X, 0.01))


@pytest.fixture(scope="module")
def expected(tiny_model, path):
    """The catalogue that one process writes."""
    out = path.with_name("here.fits")
    predict_catalog(tiny_model, path, out, chunk_size=20)
    return out.read_bytes()


@pytest.fixture
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@contextlib.contextmanager
def separate_cluster(folder):
    """A scheduler and two workers as processes of their own; yields the address and the scheduler."""
    processes = []

    def start(*arguments):
        with (folder / f"dask-{len(processes)}.log").open("w") as log:  # a pipe that nobody reads would fill up
            command = [sys.executable, "-m", "dask", *arguments]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    try:
        start("scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
        while not (found := re.search(r"tcp://127\.0\.0\.1:\d+", (folder / "dask-0.log").read_text())):
            time.sleep(0.1)
        for _ in range(2):
            start("worker", found.group(), "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        yield found.group(), processes[0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def when_parts_are_saved(folder, n_parts, action):
    """Start a thread that acts when so many parts of a catalogue are saved."""

    def wait():
        while len(list(folder.glob(".*.unfinished/chunk-*.npz"))) < n_parts:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_the_catalogue_is_that_of_one_process(tiny_model, path, expected, tmp_path, cluster):
    from skbcnn.catalog.cluster import n_threads_of_tensorflow

    out = tmp_path / "a.fits"
    with distributed.Client(cluster) as client:
        predict_catalog(tiny_model, path, out, chunk_size=20, scheduler=client)
        assert client.status == "running"
        threads = client.run(lambda: os.environ["OMP_NUM_THREADS"])  # else results differ in the last digits
        assert set(threads.values()) == {str(n_threads_of_tensorflow())}
        plugins = client.run(lambda dask_worker: [name for name in dask_worker.plugins if name.startswith("skbcnn")])
    assert out.read_bytes() == expected
    assert not any(plugins.values())
    predict_catalog(tiny_model, path, tmp_path / "b.fits", chunk_size=30, scheduler=cluster.scheduler_address)
    assert (tmp_path / "b.fits").read_bytes() == expected


def test_a_worker_that_is_killed_costs_its_parts_only(tiny_model, path, expected, tmp_path, cluster):
    out = tmp_path / "a.fits"
    with distributed.Client(cluster) as client:
        processes = client.run(os.getpid)
        thread = when_parts_are_saved(tmp_path, 5, lambda: os.kill(next(iter(processes.values())), signal.SIGKILL))
        predict_catalog(tiny_model, path, out, chunk_size=20, scheduler=client)
        thread.join()
        assert set(client.run(os.getpid).values()) != set(processes.values())
    assert out.read_bytes() == expected


def test_a_scheduler_that_is_killed(tiny_model, path, expected, tmp_path, tmp_path_factory):
    out = tmp_path / "a.fits"
    logs = tmp_path_factory.mktemp("dask")
    with dask.config.set({"distributed.comm.timeouts.connect": "3s"}), separate_cluster(logs) as (address, scheduler):
        when_parts_are_saved(tmp_path, 5, scheduler.kill)
        with pytest.raises(ConnectionError, match=r"connection to the Dask scheduler at tcp://.* is lost.*same call"):
            predict_catalog(tiny_model, path, out, chunk_size=20, scheduler=address)
    assert not out.exists()
    n_finished = len(list(tmp_path.glob(".a.fits.unfinished/chunk-*.npz")))
    assert 5 <= n_finished < 40
    predict_catalog(tiny_model, path, out, chunk_size=20)
    assert out.read_bytes() == expected


def test_no_scheduler(tiny_model, path, tmp_path, monkeypatch):
    monkeypatch.setattr("skbcnn._dask_cluster._SECONDS_TO_CONNECT", 1.0)
    with pytest.raises(ConnectionError, match=r"There is no Dask scheduler at 'tcp://127.0.0.1:9' "):
        predict_catalog(tiny_model, path, tmp_path / "a.fits", scheduler="tcp://127.0.0.1:9")


def test_a_part_that_always_fails_leaves_the_others(tiny_model, path, expected, tmp_path, cluster):
    out = tmp_path / "a.fits"
    moved = path.rename(path.with_name("moved.h5"))
    path.symlink_to(moved)
    first = when_parts_are_saved(tmp_path, 5, path.unlink)
    try:
        with pytest.raises(OSError, match=r"parts failed on the cluster .*There is no file"):
            predict_catalog(tiny_model, path, out, chunk_size=20, scheduler=cluster.scheduler_address, retries=1)
    finally:
        first.join()
        moved.rename(path)
    predict_catalog(tiny_model, path, out, chunk_size=20)
    assert out.read_bytes() == expected


def test_a_search_with_dask_below_joblib(tiny_parameters, tiny_data, cluster):
    from sklearn.model_selection import GridSearchCV

    from skbcnn import CensoredBCNNRegressor

    search = GridSearchCV(CensoredBCNNRegressor(**tiny_parameters), {"lr": [0.001, 0.005]}, cv=2)
    here = search.fit(tiny_data.X, tiny_data.y).cv_results_["mean_test_score"]
    with distributed.Client(cluster), joblib.parallel_config("dask"):
        there = search.fit(tiny_data.X, tiny_data.y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(there, here, rtol=1e-6)  # other threads add in another order in the training
