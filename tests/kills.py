"""Commands that are killed at random moments and run again: do they end with the same output?"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def skbcnn(*arguments):
    """Return the command line of a skbcnn command."""
    return [sys.executable, "-m", "skbcnn", *map(str, arguments)]


def run(command):
    """Run a command to its end, and return how many seconds it took."""
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return time.monotonic() - start


def was_killed(command, after):
    """Start a command and kill it as by kill -9, unless it ends before; return whether it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -signal.SIGKILL


def contents(path):
    """Return the bytes of a file, or of each file of a folder by its name."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    return path.read_bytes()


def remove(path):
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def kill_and_resume(command, out, n_kills, *, seed=0, read=contents):
    """Kill a command at random moments, each time resuming it, and compare its output with that of a single run.

    Parameters
    ----------
    command : list of str
        The command, whose output is `out`.
    out : pathlib.Path
        File or folder that it makes.
    n_kills : int
        Number of kills of unfinished work. When a run makes its output before it is killed, the output is compared,
        removed, and made once more.
    seed : int, default=0
        Seed of the moments.
    read : callable, default=contents
        Function that returns what is compared.

    Returns
    -------
    n_compared : int
        Number of outputs that were equal to that of the single run, each after at least one kill.

    Raises
    ------
    AssertionError
        If an output differs, or if something stands under its name although a run was killed.
    """
    seconds = run(command)
    expected = read(out)
    remove(out)
    random = np.random.default_rng(seed)
    n_done = n_compared = n_since = 0
    while n_done < n_kills or n_since:
        killed = n_done < n_kills and was_killed(command, random.uniform(0, seconds))
        if killed and not out.exists():
            n_done, n_since = n_done + 1, n_since + 1
            continue
        assert not killed or read(out) == expected, f"{out} is not whole after a kill"
        if not out.exists():
            run(command)
        assert read(out) == expected, f"{out} differs after {n_since} kills"
        n_compared += n_since > 0
        n_since = 0
        remove(out)
    hidden = [path.name for path in Path(out).parent.glob(f".{out.name}*")]
    assert not hidden, f"{hidden} remained"
    return n_compared
