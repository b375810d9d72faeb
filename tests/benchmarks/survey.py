"""From survey files to a catalogue, at several numbers of stars: ``python -m tests.benchmarks.survey``.

Writes a mirror of apStar files (200 kB a star; `tests.survey_mirror`) and runs the commands of the page "From SDSS
files to a catalogue" on it, each as a process of its own: build, train (3 epochs), predict from the training set, and
predict from the apStar files. The time of a stage is that of the whole process, its memory the largest sum over the
process and its workers of memory that belongs to no file. The last stage repeats the prediction from the training set
on a Dask cluster with one worker process on the same machine; the processor time of the command, without that of the
worker, then tells what one process must do for each spectrum of a cluster of any size. The last table compares the
rates of the catalogues with that of a prediction of arrays in memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from distributed import LocalCluster

from skbcnn.plotting import new_figure, save_figure
from skbcnn.plotting._style import BLUE, GREEN, GREY, ORANGE, VERMILLION
from tests.benchmarks.markdown import print_table
from tests.survey_mirror import write_mirror

SIZES = (1000, 10_000, 50_000)
STAGES = ("build", "train, 3 epochs", "predict, datasets.h5", "predict, apStar files", "predict, datasets.h5, on Dask")
_INTERVAL = 0.1  # s between two looks at the memory
_ENVIRONMENT = dict(os.environ)  # a local cluster limits the threads of all processes that are started later
_IN_MEMORY = """
import sys, time
from skbcnn import load_folder
from skbcnn.datasets import H5Loader
model, loader = load_folder(sys.argv[1]), H5Loader(sys.argv[2], load_err=True, target=["teff"], load_combined=None)
X, _, x_err, _ = loader.load()
model.predict_distribution(X[:64])
X, x_err = X[:10_000], x_err[:10_000]
start = time.monotonic()
prediction = model.predict_distribution(X)
model.assess(X, x_err, prediction)
print(len(X) / (time.monotonic() - start))
"""


class Cost(NamedTuple):
    """What a command took: its time and its processor time in seconds, and its largest memory in bytes."""

    seconds: float
    of_processor: float
    memory: int


def measured(*arguments):
    """Run a command of skbcnn; return its `Cost`."""
    command = [sys.executable, "-m", "skbcnn", *map(str, arguments)]
    start, before, largest = time.monotonic(), _time_of_children(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=_ENVIRONMENT)
        while process.poll() is None:
            largest = max(largest, sum(map(_anonymous_memory, _family(process.pid))))
            time.sleep(_INTERVAL)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output.read()}")
    return Cost(time.monotonic() - start, _time_of_children() - before, largest)


def _time_of_children():
    """Return the processor time of the processes that this one started and that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family(pid):
    """Return a process and its descendants."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(member for child in children for member in _family(child))]


def _anonymous_memory(pid):
    """Return the memory of a process that belongs to no file, in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("RssAnon")]
    return 1024 * int(lines[0][1]) if lines else 0


def stages_of(folder, n_stars):
    """Write a mirror and run all stages; return the cost of each, and the rate in memory in spectra/s."""
    mirror = write_mirror(
        folder / "sas", n_stars, n_distinct=1000, faulty=False, real=False, max_visits=1, seed=n_stars
    )
    data, model = folder / "datasets.h5", folder / "model"
    results = [
        measured("build", mirror.table, "--spectra", mirror.root, "--out", data),
        measured("train", data, "--out", model, "--max-epochs", 3, "--seed", 1, "--stream", "--no-plots"),
        measured("predict", model, data, "--out", folder / "from_h5.fits"),
        measured("predict", model, mirror.root / "dr17/apogee/spectro/redux", "--out", folder / "from_fits.fits"),
    ]
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        on_dask = ["--out", folder / "from_dask.fits", "--scheduler", cluster.scheduler_address]
        results.append(measured("predict", model, data, *on_dask))
    command = [sys.executable, "-c", _IN_MEMORY, model, data]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=_ENVIRONMENT)
    return results, float(ended.stdout.split()[-1])


def save_picture(sizes, results, path):
    """Draw time and memory of each stage against the number of stars."""
    figure = new_figure(8, 3.8)
    times, memories = figure.subplots(1, 2)
    for position, (stage, colour) in enumerate(zip(STAGES, (GREY, GREEN, BLUE, VERMILLION, ORANGE), strict=True)):
        seconds, _, sizes_of_memory = np.array([result[position] for result in results]).T
        times.loglog(sizes, seconds, "o-", color=colour, label=stage)
        memories.semilogx(sizes, sizes_of_memory / 1e9, "o-", color=colour)
    times.loglog(sizes, sizes / sizes[-1] * times.get_ylim()[1], ":", color="k", lw=0.8, label="proportional")
    times.set(xlabel="stars", ylabel="time of the process (s)")
    memories.set(xlabel="stars", ylabel="largest memory (GB)", ylim=(0, None))
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    for panel in (times, memories):
        panel.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path, dpi=160)


def main():
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of stars")
    parser.add_argument("--folder", type=Path, help="where to write the files: 14 GB for 50 000 stars")
    parser.add_argument("--picture", type=Path, help="figure to draw")
    arguments = parser.parse_args()
    for folder in (arguments.folder, arguments.picture and arguments.picture.parent):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    results, rates = [], []
    for n_stars in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            of_size, in_memory = stages_of(Path(folder), n_stars)
        results.append(of_size)
        of_catalogues = [n_stars / cost.seconds for cost in of_size[2:]]
        rates.append([n_stars, f"{in_memory:.0f}", *(f"{rate:.0f} ({rate / in_memory:.2f})" for rate in of_catalogues)])
        print(n_stars, of_size, rates[-1], flush=True)
    rows = []
    for n_stars, of_size in zip(arguments.sizes, results, strict=True):
        for stage, cost in zip(STAGES, of_size, strict=True):
            rate, gigabytes = n_stars / cost.seconds, cost.memory / 1e9
            rows.append(
                [n_stars, stage, f"{cost.seconds:.0f}", f"{rate:.0f}", f"{cost.of_processor:.0f}", f"{gigabytes:.2f}"]
            )
    header = ["stars", "stage", "time (s)", "stars/s", "processor time (s)", "memory (GB)"]
    print_table(header, rows, "Time and memory of each stage")
    header = ["stars", "in memory", "datasets.h5 to catalogue", "apStar files to catalogue", "datasets.h5, on Dask"]
    print_table(header, rates, "Spectra/s with 100 draws; in brackets, in units of the rate in memory")
    if arguments.picture is not None:
        save_picture(np.array(arguments.sizes), results, arguments.picture)


if __name__ == "__main__":
    main()
