"""Which operation takes what: ``python -m tests.benchmarks.ops``, in about a minute.

TensorFlow's own profiler looks on while a fit of one epoch and a prediction run, on one thread, so that no operation
spreads over threads that it does not name. Each prints a table: the operations by the time spent within them, and their
share of all. What waits for operations or hands them out is left out.
"""

import os
import re
import tempfile
from collections import Counter
from pathlib import Path

from tests.benchmarks.speed import BATCH, fitted, spectra

N_BATCHES, N_SPECTRA, N_ROWS = 60, 2048, 16
WAITS = re.compile(r"\w+::|BlockUntilReady|tf\.constant|\$")


def profiled(function):
    """Seconds within each operation while a function runs, and how often each was called."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    seconds, calls = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            function()
        for path in Path(folder).rglob("*.xplane.pb"):
            space = xplane_pb2.XSpace.FromString(path.read_bytes())
            for line in (line for plane in space.planes if plane.name == "/host:CPU" for line in plane.lines):
                for name, own in own_times(line, next(p for p in space.planes if p.name == "/host:CPU")):
                    if not WAITS.match(name):
                        seconds[kind_of(name)] += own
                        calls[kind_of(name)] += 1
    return seconds, calls


def own_times(line, plane):
    """Name and seconds of the events of one thread, less those of the events within them."""
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
    """An operation without the number that tells it from others of its kind."""
    return re.sub(r"[_.]\d+", "", name.partition(":")[2] or name)


def print_profile(title, function):
    """The operations that take longest."""
    function()  # compiles
    seconds, calls = profiled(function)
    total = sum(seconds.values())
    print(f"\n{title}: {total:.2f} s in operations\n\n| operation | calls | ms | share |\n|---|---|---|---|")
    for name, value in seconds.most_common(N_ROWS):
        print(f"| {name} | {calls[name]} | {1e3 * value:.0f} | {100 * value / total:.0f} % |")


def main():
    """Profile both kinds of work."""
    os.environ["OMP_NUM_THREADS"] = "1"
    X, y = spectra(BATCH * N_BATCHES)
    model = fitted()
    print_profile(f"{N_BATCHES} training steps", lambda: model.partial_fit(X, y))
    print_profile(f"predict_std of {N_SPECTRA} spectra", lambda: model.predict_std(X[:N_SPECTRA]))


if __name__ == "__main__":
    main()
