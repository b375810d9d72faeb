"""Profile the operations of training and prediction: ``python -m tests.benchmarks.ops``, in about a minute.

TensorFlow's profiler records a training of one epoch and a prediction on one thread, so that no operation uses threads
that are not attributed to it. Each table shows the operations with the longest times and their shares of the total.
Events that wait for operations or schedule them are left out.
"""

import argparse
import os
import re
import tempfile
from collections import Counter
from pathlib import Path

from tests.benchmarks.markdown import print_table
from tests.benchmarks.speed import BATCH, fitted, spectra

N_ROWS = 16
NOT_OPERATIONS = re.compile(r"\w+::|BlockUntilReady|tf\.constant|\$")


def profiled(function):
    """Return the seconds in each operation while a function runs, and the number of calls of each."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    seconds, calls = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            function()
        for path in Path(folder).rglob("*.xplane.pb"):
            space = xplane_pb2.XSpace.FromString(path.read_bytes())
            planes = [plane for plane in space.planes if plane.name == "/host:CPU"]
            for name, duration in (
                event for plane in planes for line in plane.lines for event in own_times(line, plane)
            ):
                if not NOT_OPERATIONS.match(name):
                    seconds[kind_of(name)] += duration
                    calls[kind_of(name)] += 1
    return seconds, calls


def own_times(line, plane):
    """Yield the name of each event of a thread, and its seconds without those of the events inside it."""
    running = []
    for event in sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps)):
        while running and running[-1][1] <= event.offset_ps:
            name, _, own = running.pop()
            yield name, own / 1e12
        if running:
            running[-1][2] -= event.duration_ps
        name = plane.event_metadata[event.metadata_id].name
        running.append([name, event.offset_ps + event.duration_ps, event.duration_ps])
    for name, _, own in running:
        yield name, own / 1e12


def kind_of(name):
    """Return the name of an operation without its number."""
    return re.sub(r"[_.]\d+", "", name.partition(":")[2] or name)


def print_profile(title, function):
    """Print the operations with the longest times while a function runs."""
    function()  # compiles before the measurement
    seconds, calls = profiled(function)
    total = sum(seconds.values())
    rows = (
        [name, calls[name], f"{1e3 * value:.0f}", f"{100 * value / total:.0f} %"]
        for name, value in seconds.most_common(N_ROWS)
    )
    print_table(["operation", "calls", "ms", "share"], rows, f"{title}: {total:.2f} s in operations")


def main():
    """Profile training and prediction."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-batches", type=int, default=60, help="number of training steps")
    parser.add_argument("--n-spectra", type=int, default=2048, help="number of spectra to predict")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    X, y = spectra(max(BATCH * arguments.n_batches, arguments.n_spectra))
    model = fitted()
    n_train, n_spectra = BATCH * arguments.n_batches, arguments.n_spectra
    print_profile(f"{arguments.n_batches} training steps", lambda: model.partial_fit(X[:n_train], y[:n_train]))
    print_profile(f"predict_std of {n_spectra} spectra", lambda: model.predict_std(X[:n_spectra]))


if __name__ == "__main__":
    main()
