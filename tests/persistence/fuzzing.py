"""Fuzzing of `load_folder`: ``python -m tests.persistence.fuzzing --minutes 10``.

Models of every kind that can be loaded are damaged at random. Checksums are corrected, so that the damage reaches the
code behind them. Each model must load or be refused by a `ModelFolderError`. Any other exception, a crash, more than
1 GB of memory, more than `_SECONDS` for one model, and any new file are printed as findings.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from copy import deepcopy
from pathlib import Path

from skbcnn.persistence import ModelFolderError, load_folder
from tests.foreign_networks import draw_layers, sdssv_state, write_astronn_folder, write_sdssv_network

_GIGABYTE = 2**30
_SECONDS = 60
_PER_PROCESS = 200  # models that one process loads
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes
UNUSUAL = (
    *(None, True, False, 0, -1, 1, 2, 7, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e308, 5e-324),
    *("", "nan", "relu", "../..", "\x00", "0-3", "9" * 9, "0-999999999", "os.system", "x" * 10_000),
    *([], {}, [0], [[]], [None] * 3, {"float": "nan"}, {"float": "inf"}, {"": {}}, [1e308, -1e308], ["a", "a"]),
)


def damage_bytes(data, rng):
    """Change, insert or remove a few bytes, or cut the end off; most often near the beginning."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        reach = min(len(data), rng.choice((64, 2048, 16384, len(data))))
        at = rng.randrange(reach)
        kind = rng.randrange(8)
        if kind < 4:
            data[at] = rng.choice((0, 255, 127, 1, rng.randrange(256), data[at] ^ (1 << rng.randrange(8))))
        elif kind == 4:
            data[at : at + rng.choice((2, 4, 8))] = rng.randbytes(rng.choice((2, 4, 8)))
        elif kind == 5:
            other = rng.randrange(len(data))
            data[at : at + 8] = data[other : other + 8]
        elif kind == 6:
            del data[at : at + rng.randrange(1, 64)]
        else:
            del data[rng.randrange(len(data)) :]
    return bytes(data)


def damage_json(data, rng):
    """Replace values by unusual ones or by each other; remove, rename or repeat entries."""
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = list(_places(document))
        container, key = rng.choice(places)
        with contextlib.suppress(LookupError, TypeError):  # an earlier damage removed it
            kind = rng.randrange(6)
            if kind < 3:
                container[key] = deepcopy(rng.choice(UNUSUAL))
            elif kind == 3:
                other, where = rng.choice(places)
                container[key] = deepcopy(other[where])
            elif kind == 4:
                del container[key]
            elif isinstance(container, dict):
                container[rng.choice(("", key + "_", "x" * 300))] = container.pop(key)
            else:
                container.insert(key, deepcopy(container[key]))
    return json.dumps(document).encode()


def _places(value):
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield value, key
        yield from _places(entry)


def damage_folder(folder, rng):
    """Damage one file of a model folder and correct the checksums."""
    name = rng.choice(("model.json", "weights.h5"))
    damage = damage_json if name == "model.json" and rng.random() < 0.8 else damage_bytes
    path = folder / name
    path.write_bytes(damage(path.read_bytes(), rng))
    sums = folder / "SHA256SUMS"
    if name == "weights.h5":
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        document["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    if sums.exists():
        if rng.random() < 0.02:
            sums.write_bytes(damage_bytes(sums.read_bytes(), rng))
        else:
            sums.unlink()
    return folder


def damage_zip(path, rng):
    """Damage the bytes of a zip file, or a file in it."""
    if rng.random() < 0.5:
        path.write_bytes(damage_bytes(path.read_bytes(), rng))
        return path
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        damage_folder(Path(folder), rng)
        with zipfile.ZipFile(path, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for file in Path(folder).iterdir():
                archive.write(file, file.name)
    return path


def damage_astronn(folder, rng):
    """Damage one file of a folder of astroNN."""
    path = rng.choice(sorted(folder.iterdir()))
    if path.suffix == ".keras":
        return damage_archive(path, rng)
    damage = damage_json if path.suffix == ".json" and rng.random() < 0.8 else damage_bytes
    path.write_bytes(damage(path.read_bytes(), rng))
    return folder


def damage_archive(path, rng):
    """Damage the bytes of an archive, or one of its members, most often a small one. The latter gets a new checksum."""
    if rng.random() < 0.3:
        path.write_bytes(damage_bytes(path.read_bytes(), rng))
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice((next(iter(members)), rng.choice(sorted(members))))
    members[name] = damage_bytes(members[name], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def copy_writable(source, target):
    """Copy a file or a folder of files. The checkout may be read-only, but not the copy."""
    if source.is_file():
        shutil.copyfile(source, target)
        return
    target.mkdir()
    for file in source.iterdir():
        shutil.copyfile(file, target / file.name)


def models(folder):
    """Return name, path and damaging function of each kind of model."""
    data, layers = Path(__file__).parents[1] / "data", draw_layers()
    return [
        ("folder", data / "model-format1", damage_folder),
        ("zip", data / "pipeline-format1.zip", damage_zip),
        ("astroNN, Keras 2", write_astronn_folder(folder / "keras2", layers), damage_astronn),
        ("astroNN, Keras 3", write_astronn_folder(folder / "keras3", layers, keras3=True), damage_astronn),
        ("SDSS-V", write_sdssv_network(folder / "network.pt", sdssv_state(layers)), damage_archive),
    ]


def outcome(path, damage, seed, folder):
    """Load one damaged copy, and return 'loads', 'refused', or what is wrong."""
    copy = folder / path.name
    copy_writable(path, copy)
    damage(copy, random.Random(seed))
    before, modules = sorted(folder.rglob("*")), set(sys.modules)
    try:
        load_folder(copy)
        answer = "loads"
    except ModelFolderError as error:
        answer = "refused" if str(error).strip().endswith((".", "?")) else f"no sentence: {error}"
    except FileNotFoundError:
        answer = "refused" if not copy.exists() or copy.is_dir() else "FileNotFoundError for a file that is there"
    except BaseException:
        answer = traceback.format_exc(limit=-3)
    if sorted(folder.rglob("*")) != before:
        answer = "wrote files"
    if "tensorflow" in sys.modules and "tensorflow" not in modules:
        answer = "imported TensorFlow"
    shutil.rmtree(copy) if copy.is_dir() else copy.unlink(missing_ok=True)
    return answer


def _report(path, damage, seeds, folder, out):
    """Write the outcome of each seed as a line."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process, and may have been ignored
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        signal.alarm(_SECONDS)
        out.write(json.dumps([seed, "ended the process"]) + "\n")
        out.flush()
        answer = outcome(path, damage, seed, folder)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * _RSS_UNIT
        out.write(json.dumps([seed, f"took {grown / _GIGABYTE:.1f} GB" if grown > _GIGABYTE else answer]) + "\n")


def in_child(path, damage, seeds):
    """Return the outcomes of some seeds by seed. They are loaded in a child process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as out, tempfile.TemporaryDirectory() as folder:
                _report(path, damage, seeds, Path(folder), out)
        finally:
            os._exit(0)  # because only the parent may clean up
    os.close(writing)
    with os.fdopen(reading) as lines:
        answers = dict(json.loads(line) for line in lines)
    os.waitpid(pid, 0)
    return answers


def fuzz(seconds, seed=0):
    """Damage and load models for some time.

    Returns
    -------
    counts : dict of str to Counter
        Number of models of each kind that load and are refused.
    findings : list of (str, int, str)
        Kind of model, seed, and what is wrong.
    """
    counts, findings, end, step = {}, [], time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        kinds = models(Path(folder))
        while time.monotonic() < end:
            name, path, damage = kinds[step % len(kinds)]
            n = _PER_PROCESS if name in ("folder", "zip") else _PER_PROCESS // 10
            seeds = range(seed + step * _PER_PROCESS, seed + step * _PER_PROCESS + n)
            for number, answer in in_child(path, damage, seeds).items():
                counts.setdefault(name, Counter())[answer if answer in ("loads", "refused") else "wrong"] += 1
                if answer not in ("loads", "refused"):
                    findings.append((name, number, answer))
            step += 1
    return counts, findings


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, findings = fuzz(60 * arguments.minutes, arguments.seed)
    lines = [f"{name}: {dict(counter)}" for name, counter in counts.items()]
    sys.stdout.write("\n".join([*lines, *("\n".join(map(str, finding)) for finding in findings[:20]), ""]))
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
