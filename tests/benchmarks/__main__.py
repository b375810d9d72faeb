"""Speed and memory, ours beside the naive network: ``python -m tests.benchmarks [--out FOLDER]``, in under 15 minutes.

Prints the table of docs/performance.md. With ``--out`` the figures are kept as ``speed.json`` and the picture as
``performance.png``. Each measurement is a process of its own (`speed`); what is compared is measured in one run.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.picture import save_picture

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1_000, 4_000, 20_000, 100_000)
DRAWS = (10, 25, 50, 100, 200, 400)


def measure(name, *args, threads=None):
    """One measurement in a fresh process, on some number of threads or on all."""
    print(f"  {name} {' '.join(map(str, args))}".rstrip(), file=sys.stderr, flush=True)
    settings = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "tests.benchmarks.speed", name, *map(str, args)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | settings, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stderr[-3000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def processor():
    """Its name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{os.cpu_count()} cores, {name}"


def measure_all():
    """All figures, as one JSON object."""
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
    """Of what the figures depend on."""
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in ("tensorflow", "keras", "numpy")}


def rows(found):
    """Table: what, ours, naive, ratio or figure, at least, aim, share of the floating-point limit."""
    peak = found["peak_gflops"] * 1e9
    ours, naive = found["predict"]["ours"], found["predict"]["naive"]
    step = {name: np.mean(values) for name, values in found["training"].items()}  # throughput is of all epochs
    first = np.median(found["first_step"]["ours"])
    largest = found["by_size"][-1]
    n_many = 10_000
    training_rate = 64e3 / step["ours"]

    def share(rate, operations):
        return f"{100 * rate * found['operations'][operations] / peak:.0f} %"

    yield (
        "training, spectra/s", f"{training_rate:.0f}", f"{64e3 / step['naive']:.0f}", step["naive"] / step["ours"],
        2.5, 4, share(training_rate, "training"),
    )  # fmt: skip
    yield (
        "first training step, s",
        f"{first:.2f}",
        f"{found['first_step']['naive']:.1f}",
        (found["first_step"]["naive"] / first),
        10,
        20,
        "",
    )
    yield (
        "`predict_std`, 10 000 spectra, s",
        f"{ours['first']:.1f}",
        f"{naive['first']:.0f}",
        (naive["first"] / ours["first"]),
        8,
        16,
        share(n_many / ours["first"], "shared"),
    )
    if found["torch"]:
        rate = n_many / ours["again"]
        yield (
            "`predict_std`, spectra/s, beside PyTorch", f"{rate:.0f}", f"{found['torch']['rate']:.1f}",
            rate / found["torch"]["rate"], 10, 20, share(rate, "shared"),
        )  # fmt: skip
    yield (
        "`predict_std`, 64 spectra, warm, s",
        f"{ours['few']:.3f}",
        f"{naive['few']:.0f}",
        (naive["few"] / ours["few"]),
        50,
        200,
        share(64 / ours["few"], "shared"),
    )
    yield "memory beyond, 100 000 spectra, GB", f"{largest['bytes'] / 1e9:.2f}", "", None, 1, 0.4, ""
    for name in ("bare", "regressor"):
        seconds = min(imports[name] for imports in found["imports"])
        yield f"import, {name}, s", f"{seconds:.3f}", "", None, 0.3, 0.1, ""


def print_table(found):
    """The table in Markdown."""
    print(f"{found['processor']}; " + ", ".join(f"{name} {number}" for name, number in found["versions"].items()))
    print(f"matrix products: {found['peak_gflops']:.0f} GFLOP/s\n")
    print("| | ours | naive | ratio | at least | aim | of the floating-point limit |\n|---|---|---|---|---|---|---|")
    for what, ours, naive, ratio, least, aim, share in rows(found):
        print(f"| {what} | {ours} | {naive} | {'' if ratio is None else f'{ratio:.1f}x'} | {least} | {aim} | {share} |")
    spread = {name: f"{min(values):.1f} to {max(values):.1f}" for name, values in found["training"].items()}
    print(f"\nms a training step, epoch by epoch: ours {spread['ours']}, naive {spread['naive']}")
    print(
        f"naive: {found['predict']['naive']['rate']:.1f} spectra/s of predict_std once its stack of networks is built"
    )
    print(f"predict_std with x_err: {found['with_errors']:.0f} spectra/s")
    print("\n| spectra | s | spectra/s | memory beyond, GB |\n|---|---|---|---|")
    for size in found["by_size"]:
        rate = size["n"] / size["seconds"]
        print(f"| {size['n']} | {size['seconds']:.1f} | {rate:.0f} | {size['bytes'] / 1e9:.2f} |")
    print("\n| threads | training, spectra/s | `predict_std`, spectra/s |\n|---|---|---|")
    for n_threads, training, predicting in found["by_threads"]:
        print(f"| {n_threads} | {training:.0f} | {predicting:.0f} |")


def main():
    """Measure, print, and keep what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for speed.json and performance.png")
    out = parser.parse_args().out
    found = measure_all()
    print_table(found)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "speed.json").write_text(json.dumps(found, indent=1) + "\n")
        save_picture(found, out / "performance.png")


if __name__ == "__main__":
    main()
