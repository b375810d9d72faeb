"""Training sets that the workers of a Dask cluster read: the same files, also after workers have died."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from skbcnn.datasets import build_dataset
from skbcnn.datasets.building import dataset
from tests.cli.runner import refuse, succeed

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

# Dask warns of workers that die and of a port that is in use; none of them concerns the results
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of two files."""
    monkeypatch.setattr(dataset, "_FILES_OF_CHUNK", 2)


@pytest.fixture
def expected(mirror, tmp_path_factory, small_parts):
    """File and list that one process writes."""
    built = build_dataset(mirror.table, mirror.root, tmp_path_factory.mktemp("here") / "d.h5", visits=True)
    return built.path.read_bytes(), built.left_out_path.read_bytes()


def written(out):
    return out.read_bytes(), out.with_name(f"{out.name}-left-out.csv").read_bytes()


def test_no_scheduler(mirror, tmp_path, monkeypatch):
    """One sentence, soon, and nothing is left behind."""
    from skbcnn import _dask_cluster

    monkeypatch.setattr(_dask_cluster, "_SECONDS_TO_CONNECT", 1.0)
    for address in ("tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9"):
        with pytest.raises(ConnectionError, match=rf"There is no Dask scheduler at {address!r} \(.*Start one with"):
            build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", scheduler=address)
    needed = ("--spectra", mirror.root, "--out", tmp_path / "d.h5")
    message = refuse("build", mirror.table, *needed, "--scheduler", "tcp://127.0.0.1:9")
    assert message.startswith("Error: There is no Dask scheduler at 'tcp://127.0.0.1:9'")
    assert not list(tmp_path.iterdir())


def test_an_address_where_no_scheduler_answers(mirror, tmp_path, monkeypatch):
    """A port that takes connections and never answers, as of many servers: refused as soon as a closed one."""
    from skbcnn import _dask_cluster

    monkeypatch.setattr(_dask_cluster, "_SECONDS_TO_CONNECT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=rf"no Dask scheduler at '{address}' \(what listens there did not"):
            build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", scheduler=address)
    assert not list(tmp_path.iterdir())


def test_workers_with_threads_in_this_process(mirror, expected, tmp_path):
    """Each worker reads one part at a time, since what is changed meanwhile is changed for all threads."""
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", visits=True, scheduler=client)
        assert client.status == "running"
    assert written(tmp_path / "d.h5") == expected


def test_workers_of_other_versions_are_refused(mirror, tmp_path, monkeypatch):
    versions = iter([{"skbcnn": "0.1"}])
    monkeypatch.setattr(dataset, "_versions", lambda: next(versions, {"skbcnn": "0.2"}))
    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(OSError, match=r"parts failed on the cluster .* has .*0\.2.*, but the client has .*0\.1"),
    ):
        build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", scheduler=client)


@pytest.mark.slow
def test_processes_of_a_cluster(mirror, tmp_path, small_parts):
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        command = ("build", mirror.table, "--spectra", mirror.root, "--visits", "--out")
        output = succeed(*command, tmp_path / "d.h5", "--scheduler", address)
    expected = succeed(*command, tmp_path / "here.h5")
    assert written(tmp_path / "d.h5") == written(tmp_path / "here.h5")
    assert output == expected.replace("here.h5", "d.h5")


def when_parts_are_saved(folder, n_parts, action):
    """Start a thread that acts when so many parts are saved."""

    def wait():
        while len(list(folder.glob(".d.h5.unfinished/chunk-*.npz"))) < n_parts:
            time.sleep(0.005)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_part_only(mirror, expected, tmp_path, small_parts):
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        processes = list(client.run(os.getpid).values())
        thread = when_parts_are_saved(tmp_path, 3, lambda: os.kill(processes[0], signal.SIGKILL))
        build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", visits=True, scheduler=client)
        thread.join()
    assert written(tmp_path / "d.h5") == expected


@pytest.mark.slow
def test_a_scheduler_that_is_killed(mirror, expected, tmp_path, tmp_path_factory, small_parts, caplog):
    log = tmp_path_factory.mktemp("dask") / "log"
    processes = []

    def start(*arguments):
        with log.open("a") as file:
            processes.append(subprocess.Popen([sys.executable, "-m", "dask", *arguments], stdout=file, stderr=file))

    try:
        start("scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1")
        while not (found := re.search(r"tcp://127\.0\.0\.1:\d+", log.read_text())):
            time.sleep(0.1)
        start("worker", found.group(), "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        when_parts_are_saved(tmp_path, 3, processes[0].kill)
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "3s"}),
            pytest.raises(ConnectionError, match=r"connection to the Dask scheduler at tcp://.* is lost.*same call"),
        ):
            build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", visits=True, scheduler=found.group())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not [record for record in caplog.records if record.levelname == "ERROR"], "Dask printed tracebacks"
    assert not (tmp_path / "d.h5").exists()
    assert len(list(tmp_path.glob(".d.h5.unfinished/chunk-*.npz"))) >= 3
    build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", visits=True)
    assert written(tmp_path / "d.h5") == expected
