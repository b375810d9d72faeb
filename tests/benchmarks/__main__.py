"""Compare speed and memory with the naive network: ``python -m tests.benchmarks [--out FOLDER]``, in 15 minutes.

Prints the tables of docs/performance.md. With ``--out`` the numbers are saved as ``speed.json`` and the figure as
``performance.png``. Each measurement of `tests.benchmarks.speed` runs in a new process; all belong to one run, because
only numbers of one run can be compared.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.markdown import print_table
from tests.benchmarks.speed_figure import save_figure

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1_000, 4_000, 20_000, 100_000)
DRAWS = (10, 25, 50, 100, 200, 400)
N_SPECTRA, N_FEW = 10_000, 64
N_STEP = 64_000  # spectra in a thousand training steps of 64


def measure(name, *args, threads=None):
    """Run one measurement in a new process, on some threads or on all."""
    print(f"  {name} {' '.join(map(str, args))}".rstrip(), file=sys.stderr, flush=True)
    settings = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "tests.benchmarks.speed", name, *map(str, args)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | settings, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stderr[-3000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def processor():
    """Return the number of cores and, on Linux, the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{os.cpu_count()} cores, {name}"


def measure_all():
    """Return all measurements as one JSON object."""
    n_threads = sorted({1, os.cpu_count()})
    return {
        "processor": processor(),
        "versions": versions(),
        "operations": measure("operations"),
        "peak_gflops": measure("peak_gflops")["gflops"],
        "imports": [measure("imports") for _ in range(3)],
        "first_step": {
            "ours": [measure("first_step_ours")["seconds"] for _ in range(3)],
            "naive": measure("first_step_naive")["seconds"],
        },
        "training": measure("training"),
        "predict": {"ours": measure("predict_ours"), "naive": measure("predict_naive")},
        "torch": measure("predict_torch"),
        "with_errors": measure("rate", 256, 100, "with_errors")["rate"],
        "by_draws": [[n_draws, measure("rate", 1024, n_draws)["rate"]] for n_draws in DRAWS],
        "by_threads": [
            [n, measure("training_rate", threads=n)["rate"], measure("rate", 1024, threads=n)["rate"]]
            for n in n_threads
        ],
        "by_size": [measure("memory", n) for n in SIZES],
    }


def versions():
    """Return the versions of Python and of the packages that affect the speed."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in ("tensorflow", "keras", "numpy")}


def rows(results):
    """Yield the rows of the first table."""
    peak = results["peak_gflops"] * 1e9
    ours, naive = results["predict"]["ours"], results["predict"]["naive"]
    step = {name: np.mean(values) for name, values in results["training"].items()}  # ms per step, mean of all epochs
    first, first_naive = np.median(results["first_step"]["ours"]), results["first_step"]["naive"]

    def row(name, value, decimals, minimum, aim, *, compared=None, compared_decimals=0, ratio=None, limit=""):
        text = "" if compared is None else f"{compared:.{compared_decimals}f}"
        return name, f"{value:.{decimals}f}", text, "" if ratio is None else f"{ratio:.1f}x", minimum, aim, limit

    def share(rate, operations):
        return f"{100 * rate * results['operations'][operations] / peak:.0f} %"

    yield row(
        "training, spectra/s",
        N_STEP / step["ours"],
        0,
        2.5,
        4,
        compared=N_STEP / step["naive"],
        ratio=step["naive"] / step["ours"],
        limit=share(N_STEP / step["ours"], "training"),
    )
    yield row(
        "first training step, s", first, 2, 10, 20, compared=first_naive, compared_decimals=1, ratio=first_naive / first
    )
    yield row(
        "`predict_std`, 10 000 spectra, s",
        ours["first"],
        1,
        8,
        16,
        compared=naive["first"],
        ratio=naive["first"] / ours["first"],
        limit=share(N_SPECTRA / ours["first"], "shared"),
    )
    if results["torch"]:
        rate, rate_torch = N_SPECTRA / ours["again"], results["torch"]["rate"]
        yield row(
            "`predict_std`, spectra/s, compared with PyTorch",
            rate,
            0,
            10,
            20,
            compared=rate_torch,
            compared_decimals=1,
            ratio=rate / rate_torch,
            limit=share(rate, "shared"),
        )
    yield row(
        "`predict_std`, 64 spectra, repeated call, s",
        ours["few"],
        3,
        50,
        200,
        compared=naive["few"],
        ratio=naive["few"] / ours["few"],
        limit=share(N_FEW / ours["few"], "shared"),
    )
    yield row("additional memory, 100 000 spectra, GB", results["by_size"][-1]["bytes"] / 1e9, 2, 1, 0.4)
    for name, text in (("bare", "import of skbcnn, s"), ("regressor", "import of the regressor after sklearn.base, s")):
        yield row(text, min(imports[name] for imports in results["imports"]), 3, 0.3, 0.1)


def print_results(results):
    """Print all tables in Markdown."""
    version_text = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    print(f"{results['processor']}; {version_text}")
    print(f"matrix products: {results['peak_gflops']:.0f} GFLOP/s")
    header = ["", "ours", "naive", "ratio", "at least", "aim", "share of the floating-point limit"]
    print_table(header, rows(results))
    if not results["torch"]:
        print("\nThe row of PyTorch is left out, because torch is not installed.")
    spread = {name: f"{min(values):.1f} to {max(values):.1f}" for name, values in results["training"].items()}
    print(f"\nms per training step, range over epochs: ours {spread['ours']}, naive {spread['naive']}")
    print(f"naive: {results['predict']['naive']['rate']:.1f} spectra/s of predict_std after building its networks")
    print(f"predict_std with x_err: {results['with_errors']:.0f} spectra/s")
    print_table(
        ["spectra", "s", "spectra/s", "additional memory, GB"],
        (
            [size["n"], f"{size['seconds']:.1f}", f"{size['n'] / size['seconds']:.0f}", f"{size['bytes'] / 1e9:.2f}"]
            for size in results["by_size"]
        ),
    )
    print_table(
        ["threads", "training, spectra/s", "`predict_std`, spectra/s"],
        ([n, f"{training:.0f}", f"{prediction:.0f}"] for n, training, prediction in results["by_threads"]),
    )


def main():
    """Measure, print the tables, and save the results if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for speed.json and performance.png")
    out = parser.parse_args().out
    results = measure_all()
    print_results(results)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "speed.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        save_figure(results, out / "performance.png")


if __name__ == "__main__":
    main()
