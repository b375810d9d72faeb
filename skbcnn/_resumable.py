"""Work on one output file in chunks, which a later run takes up where a killed one stopped.

The finished chunks of ``catalogue.fits`` are kept in the hidden folder ``.catalogue.fits.unfinished`` beside it, until
the output is complete. The folder also records the settings and the inputs of the work, so that chunks of different
work are never mixed.

Before the output gets its name, the folder records which file that will be. If the process is killed after that, and
before the folder is removed, the next run knows the output as its own.

A chunk is a file of NumPy arrays (``.npz``, without pickles) whose name contains the checksum of its content. A chunk
that does not match its checksum is computed again.
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from skbcnn._atomic_writes import atomic_path, link_target

_SUFFIX = ".unfinished"
_LOCK = "lock"
_SETTINGS, _INPUTS = "settings.json", "inputs.txt.gz"
_OUTPUT = "output.json"  # identity of the file that is about to get the name of the output
_RECORD = "record"  # name of the array that holds the record of a chunk
_CHUNK = re.compile(r"chunk-(\d{8})-([0-9a-f]{32})\.npz")
_ABSENT = object()


class Chunk(NamedTuple):
    """Saved result of a part of the work.

    Attributes
    ----------
    arrays : dict of str to ndarray
        What was computed.
    record : object
        What was saved with it as JSON, such as messages.
    """

    arrays: dict[str, np.ndarray]
    record: Any


class ResumableJob:
    """Unfinished work on an output file; made by `resumable_job`.

    Parameters
    ----------
    out : pathlib.Path
        Final name of the output.
    n_chunks : int
        Number of chunks of the work.
    overwrite : bool
        Whether an existing output is replaced in the end.
    """

    def __init__(self, out: Path, n_chunks: int, overwrite: bool) -> None:
        self.out = out
        self.n_chunks = n_chunks
        self._overwrite = overwrite
        self._chunks = self._found_chunks()

    @property
    def folder(self) -> Path:
        """Folder of the chunks."""
        return unfinished_folder(self.out)

    @property
    def remaining(self) -> list[int]:
        """Numbers of the chunks that are not saved yet, ascending."""
        return [number for number in range(self.n_chunks) if number not in self._chunks]

    def save(self, number: int, arrays: Mapping[str, np.ndarray], record: Any = None) -> None:
        """Save a chunk.

        Parameters
        ----------
        number : int
            Number of the chunk, from 0.
        arrays : mapping of str to ndarray
            Its arrays of numbers or text; arrays of objects are refused.
        record : object, default=None
            What belongs to it and can be written as JSON.

        Raises
        ------
        ValueError
            If an array holds objects.
        OSError
            If it cannot be written. The chunks saved so far remain.
        """
        if objects := [name for name, values in arrays.items() if values.dtype.hasobject]:
            raise ValueError(f"{', '.join(objects)} of a chunk holds objects, expected numbers or text.")
        content, named = io.BytesIO(), {**arrays, _RECORD: np.array(json.dumps(record))}
        np.savez(content, **named)  # type: ignore[arg-type]  # its parameter allow_pickle is new in NumPy 2.1
        path = self.folder / f"chunk-{number:08d}-{_checksum(content.getvalue())}.npz"
        try:
            _write(path, content.getvalue())
        except OSError as error:
            raise type(error)(
                error.errno or 0,
                f"{self.out} could not be completed ({error.strerror or error}). {len(self._chunks)} of "
                f"{self.n_chunks} parts are finished; the same command goes on from there",
            ) from error
        self._chunks[number] = path

    def load(self, number: int) -> Chunk:
        """Read a saved chunk.

        Parameters
        ----------
        number : int
            Its number, from 0.

        Returns
        -------
        chunk : Chunk
        """
        with np.load(self._chunks[number], allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Chunk(arrays, json.loads(str(arrays.pop(_RECORD))))

    @contextmanager
    def output(self) -> Iterator[Path]:
        """Yield the path under which to write the output; it gets its final name when the block ends.

        Yields
        ------
        temporary : pathlib.Path
            Path of the file to write. It has the name of the output.
        """
        with atomic_path(self.out, overwrite=self._overwrite or is_finished_work(self.out)) as temporary:
            yield temporary
            _write(self.folder / _OUTPUT, json.dumps(_identity(temporary)).encode())

    def _found_chunks(self) -> dict[int, Path]:
        """Return the chunks of an earlier run that are whole, and remove the others."""
        found = {}
        for path in sorted(self.folder.iterdir()):
            match = _CHUNK.fullmatch(path.name)
            if match and int(match[1]) < self.n_chunks and _checksum(path.read_bytes()) == match[2]:
                found[int(match[1])] = path
            elif path.name not in (_LOCK, _SETTINGS, _INPUTS, _OUTPUT):
                path.unlink()
        return found


@contextmanager
def resumable_job(
    out: Path, *, settings: Mapping[str, Any], inputs: Sequence[Path], n_chunks: int, overwrite: bool = False
) -> Iterator[ResumableJob]:
    """Begin work on an output file, or take up what a killed run left.

    If the block ends without an error, the chunks are removed: write the output in it. Otherwise they remain for the
    next run, if there are any. A run that was killed after the output got its name, and before the chunks were removed,
    is taken up, too: the output is written once more, from the same chunks.

    Parameters
    ----------
    out : pathlib.Path
        Final name of the output. Its folder must exist.
    settings : mapping of str to object
        All that determines the result beside the inputs, as values that JSON can hold: options, seed, versions, the
        size of the chunks.
    inputs : sequence of pathlib.Path
        Files that are read. Their sizes and times of modification are recorded.
    n_chunks : int
        Number of chunks of the work.
    overwrite : bool, default=False
        Whether an existing output, or unfinished work with other settings or inputs, is replaced.

    Yields
    ------
    job : ResumableJob

    Raises
    ------
    FileExistsError
        If the output exists, is not the result of unfinished work with the same settings and inputs, and `overwrite` is
        False.
    BlockingIOError
        If another process works on this output.
    ValueError
        If there is unfinished work on this output with other settings or inputs, and `overwrite` is False.
    OSError
        If nothing can be written beside the output.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skbcnn._resumable import resumable_job
    >>> folder = tempfile.TemporaryDirectory()
    >>> out = Path(folder.name) / "squares.txt"
    >>> with resumable_job(out, settings={"power": 2}, inputs=[], n_chunks=3) as job:
    ...     for number in job.remaining:
    ...         job.save(number, {"square": np.array([number**2])})
    ...     with job.output() as temporary:
    ...         _ = temporary.write_text(" ".join(str(job.load(number).arrays["square"][0]) for number in range(3)))
    >>> out.read_text(), [path.name for path in Path(folder.name).iterdir()]
    ('0 1 4', ['squares.txt'])
    >>> folder.cleanup()
    """
    out = Path(out)
    _check_output(out, overwrite)
    with locked_output(out):
        _check_output(out, overwrite)  # another process may have completed it
        _begin(out, {**settings, "number of parts": n_chunks}, inputs, overwrite)
        job = ResumableJob(out, n_chunks, overwrite)
        try:
            yield job
        except BaseException:
            if len(job.remaining) == n_chunks:  # nothing to go on from
                _remove(unfinished_folder(out))
            raise
        _remove(unfinished_folder(out))


def unfinished_folder(out: Path) -> Path:
    """Return the folder that holds the chunks of an output while it is unfinished.

    Parameters
    ----------
    out : pathlib.Path
        Final name of the output.

    Returns
    -------
    folder : pathlib.Path
    """
    target = link_target(out)
    return target.with_name(f".{target.name}{_SUFFIX}")


def is_finished_work(out: Path) -> bool:
    """Return whether an output is whole although its work is not removed: its process was killed in between.

    The same call then goes on with the work, and may replace the output.

    Parameters
    ----------
    out : pathlib.Path
        Final name of the output.

    Returns
    -------
    is_finished : bool
        False if the output does not exist, or is another file than the one that the unfinished work wrote.
    """
    folder = unfinished_folder(out)
    try:
        return (folder / _SETTINGS).exists() and json.loads((folder / _OUTPUT).read_bytes()) == _identity(out)
    except (OSError, ValueError):
        return False


def _identity(path: Path) -> list[int]:
    """Return what distinguishes a file from all others, and stays when it is renamed."""
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def _check_output(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite and not is_finished_work(out):
        raise _exists(out)


def _exists(out: Path) -> FileExistsError:
    return FileExistsError(f"{out} exists. Choose another name, or pass overwrite=True.")


@contextmanager
def locked_output(out: Path) -> Iterator[None]:
    """Hold the lock of an output, which the system releases when the process dies.

    The lock is in `unfinished_folder`, which is removed at the end if it holds nothing else.

    Parameters
    ----------
    out : pathlib.Path
        Final name of the output.

    Yields
    ------
    None

    Raises
    ------
    BlockingIOError
        If another process holds the lock.
    OSError
        If nothing can be written beside the output.
    """
    folder = unfinished_folder(out)
    while True:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BlockingIOError(
                f"Another process is writing {out}. Wait until it has finished, or choose another name."
            ) from None
        except FileNotFoundError:
            continue  # the other process has just completed its work and removed the folder
        if (folder / _LOCK).exists():
            break
        lock.release()
    try:
        yield
    finally:
        lock.release()
        if folder.exists() and {path.name for path in folder.iterdir()} <= {_LOCK}:
            shutil.rmtree(folder, ignore_errors=True)  # refused before any work


def _begin(out: Path, settings: Mapping[str, Any], inputs: Sequence[Path], overwrite: bool) -> None:
    """Record settings and inputs of new work, or compare them with those of unfinished work."""
    folder = unfinished_folder(out)
    now = json.loads(json.dumps(settings)), _state(inputs)
    if (folder / _SETTINGS).exists():
        differences = _differences(_recorded(folder), now)
        if not differences:
            return
        if not overwrite and is_finished_work(out):
            raise _exists(out)
        if not overwrite:
            raise ValueError(
                f"There is unfinished work on {out} with other inputs or settings: {'; '.join(differences)}. Pass "
                "overwrite=True to begin again, or choose another name."
            )
    for path in folder.iterdir():
        if path.name != _LOCK:
            path.unlink()
    _write(folder / _INPUTS, gzip.compress("\n".join(now[1]).encode(errors="surrogateescape"), mtime=0))
    _write(folder / _SETTINGS, json.dumps(now[0]).encode())  # last: with it, the folder is complete


def _recorded(folder: Path) -> tuple[Any, list[str]]:
    """Return settings and inputs of unfinished work; nothing if they are damaged."""
    try:
        inputs = gzip.decompress((folder / _INPUTS).read_bytes()).decode(errors="surrogateescape")
        return json.loads((folder / _SETTINGS).read_bytes()), inputs.split("\n") if inputs else []
    except (OSError, EOFError, ValueError, zlib.error):
        return {}, []


def _state(inputs: Sequence[Path]) -> list[str]:
    """Return one line for each file: its size, time of modification and path."""
    states = []
    for path in inputs:
        try:
            found = path.stat()
            states.append(f"{found.st_size} {found.st_mtime_ns} {path}")
        except OSError:
            states.append(f"absent absent {path}")
    return states


def _differences(recorded: tuple[Any, list[str]], now: tuple[Any, list[str]]) -> list[str]:
    """Return how settings and inputs differ from those of unfinished work, as text."""
    names = [name for name in {**recorded[0], **now[0]} if name != "number of parts"]
    found = [
        f"{name} was {_shown(recorded[0].get(name, _ABSENT))} and is now {_shown(now[0].get(name, _ABSENT))}"
        for name in names
        if recorded[0].get(name, _ABSENT) != now[0].get(name, _ABSENT)
    ]
    for old, new in zip_longest(recorded[1], now[1]):
        if old == new:
            continue
        old_path, new_path = (None if line is None else line.split(" ", 2)[2] for line in (old, new))
        if old_path == new_path:
            found.append(f"{new_path} has changed")
        else:
            found.append(f"the inputs are others, from {new_path or old_path} on")
        break
    if not found and recorded[0] != now[0]:
        found.append("the number of spectra has changed")
    return found


def _shown(value: Any) -> str:
    text = "absent" if value is _ABSENT else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is whole under its name, even after a failure of the power supply."""
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _remove(folder: Path) -> None:
    """Remove the folder of finished work, the settings first: what may remain is then never taken for a job's."""
    (folder / _SETTINGS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
