"""A process that is killed while it saves leaves the old model or the new one, never half of one.

One process forks a child for each trial. The child replaces a model and is killed: by itself, before each operation on
the disk in turn, or by its parent after a random time, while writing is made slow.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a warm process")

TRIALS = """
import collections, itertools, json, os, random, signal, sys, time
from pathlib import Path
from skbcnn import load_folder
from skbcnn import _atomic_writes as atomic
from skbcnn.persistence import model_folder as saving

model, parent, n_random = load_folder(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
cases = [case.split(", ") for case in sys.argv[4:]]
rng, exchange, atomic_path, write_bytes = random.Random(0), atomic._exchange, saving.atomic_path, Path.write_bytes


def fork(path, trial, begin):
    "Save in a child, which calls `begin` before it starts to write."
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            saving.atomic_path = lambda *args, **more: (os.write(send, b"w"), begin()) and atomic_path(*args, **more)
            model.save(path, provenance={"trial": trial}, overwrite=True)
        finally:
            os._exit(0)
    os.close(send)
    return child, receive


def kill_at(step):
    steps = itertools.count()

    def count(event, args):
        if event.split(".")[0] in ("open", "os", "shutil", "tempfile", "fcntl", "ctypes") and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def write_slowly():
    Path.write_bytes = lambda path, data: (time.sleep(0.004), write_bytes(path, data))


def kills_at_every_step(path):
    for step in itertools.count():
        child, pipe = fork(path, step, lambda: kill_at(step))
        os.close(pipe)
        if os.waitpid(child, 0)[1] == 0:
            return
        yield step


def kills_at_random(path):
    for trial in range(n_random):
        child, pipe = fork(path, trial, write_slowly)
        os.read(pipe, 1)
        time.sleep(rng.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
        yield trial


def leftovers(path):
    return [entry for entry in os.listdir(path.parent) if entry != path.name]


def counts_of(kills, path):
    path.parent.mkdir()
    model.save(path, provenance={"trial": -1})
    before, counts = -1, collections.Counter()
    for trial in kills(path):
        found = load_folder(path).provenance_["trial"] if path.exists() else "none"
        state = {trial: "new", before: "old", "none": "none"}[found]
        counts[state + (" beside leftovers" if leftovers(path) else "")] += 1
        before = trial if state == "new" else before
    model.save(path, provenance={"trial": "last"}, overwrite=True)
    assert load_folder(path).provenance_["trial"] == "last"
    assert not leftovers(path), leftovers(path)
    return counts


results = {}
for times, kind in cases:
    kills = {"steps": kills_at_every_step, "random": kills_at_random}[times]
    atomic._exchange = exchange if kind != "folder without exchange" else lambda *_: False
    path = parent / f"{times} {kind}" / ("model.zip" if kind == "zip" else "model")
    results[f"{times}, {kind}"] = counts_of(kills, path)
print(json.dumps(results))
"""
N_RANDOM = 40


def counts_of_kills(cases, root, tmp_path):
    """Return how often each state was found, for each case."""
    source = Path(__file__).parents[1] / "data" / "model-format1"
    ended = subprocess.run(
        [sys.executable, "-c", TRIALS, source, tmp_path, str(N_RANDOM), *cases],
        cwd=root,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # because a process with threads should not be forked
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


DURING = {"old beside leftovers", "new beside leftovers"}


def check_steps(found):
    """Check that there always was a model: folders are exchanged in one operation, and files are replaced in one."""
    if "none beside leftovers" in found:
        pytest.skip("this file system cannot exchange two folders")
    assert set(found) == {"old", *DURING}
    assert sum(found.values()) > 15


def test_killed_at_every_step(root, tmp_path):
    (found,) = counts_of_kills(["steps, folder"], root, tmp_path).values()
    check_steps(found)


@pytest.mark.slow
def test_killed_at_every_step_and_at_random(root, tmp_path):
    cases = ["steps, zip", "steps, folder without exchange", "random, folder", "random, zip"]
    zipped, without_exchange, *random = counts_of_kills(cases, root, tmp_path).values()
    check_steps(zipped)

    # For a moment there is no model under its name. The files beside it are complete, and the next save succeeds.
    assert set(without_exchange) == {"old", "none beside leftovers", *DURING}
    assert without_exchange["none beside leftovers"] <= 5

    for found in random:
        assert sum(found.values()) == N_RANDOM
        assert set(found) <= {"old", "new", "none beside leftovers", *DURING}
