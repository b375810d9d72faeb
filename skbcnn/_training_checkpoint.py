"""Checkpoint of a training: a file from which a killed training resumes to the same result.

The file is a NumPy archive without pickles: the arrays of the network and of its optimizer after the last complete
epoch, and a record in JSON, which says what the training is of. A checkpoint of other data or settings is refused.
Random numbers that follow from the seed and the number of the epoch are not stored.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from skbcnn._atomic_writes import atomic_path
from skbcnn._chunks import row_chunks
from skbcnn._paths import as_path

_RECORD = "record"  # name of the array that holds the record
_KEY, _POSITION = "random_key", "random_position"  # array and entry that hold the state of the random numbers
_FORMAT = 1
_READ_ERRORS = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile)


class SavedTraining(NamedTuple):
    """State of a training after an epoch.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Arrays of the network and the optimizer.
    record : dict of str to object
        Values that JSON can hold.
    """

    arrays: dict[str, np.ndarray]
    record: dict[str, Any]


class TrainingCheckpoint:
    """File that holds the state of a training.

    Parameters
    ----------
    path : str or path-like
        Path of the file.
    keep : bool, default=False
        Whether `finish` leaves the file, and the caller removes it with `remove`.
    overwrite : bool, default=False
        Whether a file that is damaged, or belongs to another training, is replaced.
    on_resume : callable, default=None
        Function that is called with the number of epochs when a training resumes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skbcnn._training_checkpoint import TrainingCheckpoint
    >>> folder = tempfile.TemporaryDirectory()
    >>> checkpoint = TrainingCheckpoint(Path(folder.name) / "training.npz")
    >>> checkpoint.begin({"settings": {"lr": 0.1}})
    >>> checkpoint.save({"weights": np.ones(2)}, {"epochs": [{"loss": 0.5}]})
    >>> checkpoint.flush()
    >>> later = TrainingCheckpoint(checkpoint.path)
    >>> later.n_epochs()
    1
    >>> later.begin({"settings": {"lr": 0.1}})
    >>> later.saved.arrays["weights"]
    array([1., 1.])
    >>> later.finish()
    >>> checkpoint.path.exists()
    False
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep: bool = False,
        overwrite: bool = False,
        on_resume: Callable[[int], None] | None = None,
    ) -> None:
        self.path = as_path(path, "checkpoint")
        self.keep, self.overwrite, self.on_resume = keep, overwrite, on_resume
        self.saved: SavedTraining | None = None
        self._identity: dict[str, Any] = {}
        self._random_key: np.ndarray | None = None
        self._random_position: list[Any] = []
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._parts: list[TrainingCheckpoint] = []

    @classmethod
    def of(cls, checkpoint: Any) -> TrainingCheckpoint:
        """Return a checkpoint that was given as an object or as a path.

        Parameters
        ----------
        checkpoint : str, path-like or TrainingCheckpoint
            The checkpoint.

        Returns
        -------
        checkpoint : TrainingCheckpoint

        Raises
        ------
        TypeError
            If it is neither.
        """
        return checkpoint if isinstance(checkpoint, cls) else cls(checkpoint)

    def n_epochs(self) -> int:
        """Return after how many epochs the file was written; 0 if there is none.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        return len(self._read().record["epochs"]) if self.path.exists() else 0

    def begin(self, identity: Mapping[str, Mapping[str, Any]]) -> None:
        """Read the state of the same training, if there is one.

        Parameters
        ----------
        identity : mapping of str to mapping
            All that determines the result, by kind: ``"settings"``, whose values appear in messages, and ``"data"``,
            whose values are digests. Values that JSON can hold.

        Raises
        ------
        ValueError
            If the file is damaged, or belongs to another training; the message names what differs.
        OSError
            If no file can be written there.
        """
        self._identity = json.loads(json.dumps(identity))
        self._check_place()
        if not self.path.exists():
            return
        try:
            self.saved = self._read_same()
        except ValueError:
            if not self.overwrite:
                raise
            self.path.unlink()
        if self.saved is not None and self.on_resume is not None:
            self.on_resume(len(self.saved.record["epochs"]))

    def random_state(self, at_start: np.random.RandomState) -> np.random.RandomState:
        """Return the random numbers of the training as they were at its start.

        Parameters
        ----------
        at_start : RandomState
            Source of the random numbers of a training that starts now.

        Returns
        -------
        random_state : RandomState
            `at_start`, unless a training resumes that started with other random numbers, as without a seed.
        """
        name, key, *position = at_start.get_state()
        self._random_key, self._random_position = np.asarray(key), [int(position[0]), int(position[1]), position[2]]
        if self.saved is None:
            return at_start
        now = self._random_key, self._random_position
        try:
            self._random_key, self._random_position = self.saved.arrays[_KEY], self.saved.record[_POSITION]
            if np.array_equal(self._random_key, now[0]) and self._random_position == now[1]:
                return at_start
            resumed = np.random.RandomState()
            resumed.set_state((name, self._random_key, *self._random_position))
        except _READ_ERRORS as error:
            raise self.damaged(error) from error
        return resumed

    def part(self, name: str, epochs: int) -> TrainingCheckpoint:
        """Return the checkpoint of a further training that belongs to this one; `finish` removes it, too.

        Parameters
        ----------
        name : str
            Name of the further training, such as ``"fold 1"``.
        epochs : int
            Its number of epochs.

        Returns
        -------
        checkpoint : TrainingCheckpoint
        """
        path = self.path.with_name(f"{self.path.name}.{name.replace(' ', '-')}")
        part = TrainingCheckpoint(path, keep=True, overwrite=self.overwrite)
        settings = self._identity.get("settings", {}) | {"part": name, "epochs of the part": epochs}
        part.begin(self._identity | {"settings": settings})
        self._parts.append(part)
        return part

    def save(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
        """Write the state after an epoch, in a thread. Changing the arrays before `flush` changes the file.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays of the network and the optimizer.
        record : mapping of str to object
            Values that JSON can hold, with the figures of all epochs under ``"epochs"``.

        Raises
        ------
        OSError
            If the state of the epoch before could not be written. The file of an earlier epoch remains.
        """
        self.flush()
        contents = dict(arrays)
        complete = {"format": _FORMAT, "identity": self._identity, **record}
        if self._random_key is not None:
            contents[_KEY], complete[_POSITION] = self._random_key, self._random_position
        contents[_RECORD] = np.array(json.dumps(complete))
        self._writing = self._thread.submit(self._write, contents, len(complete["epochs"]))

    def flush(self) -> None:
        """Wait until the last state is written.

        Raises
        ------
        OSError
            If it could not be written. The file of an earlier epoch remains.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def finish(self) -> None:
        """End the use of the checkpoint, and remove the file unless it is to be kept."""
        self.flush()
        if not self.keep:
            self.remove()

    def remove(self) -> None:
        """Remove the file, and those of the parts."""
        for checkpoint in (*self._parts, self):
            checkpoint.path.unlink(missing_ok=True)

    def damaged(self, reason: object) -> ValueError:
        """Return the error that says that the file is damaged.

        Parameters
        ----------
        reason : object
            Reason, for the message.

        Returns
        -------
        error : ValueError
        """
        return ValueError(
            f"The checkpoint {self.path} cannot be read ({reason}): it is damaged, or no checkpoint of skbcnn. Remove "
            "it to begin the training again, or choose another path."
        )

    def _check_place(self) -> None:
        """Raise if no file can be written."""
        if self.path.is_dir():
            raise IsADirectoryError(f"The checkpoint {self.path} is a folder, expected the name of a file.")
        folder = self.path.parent
        try:
            tempfile.TemporaryFile(dir=folder).close()  # permissions are not enough: file systems may be read-only
        except OSError as error:
            raise type(error)(
                f"The checkpoint cannot be written in {folder} ({error.strerror}). Choose a folder that exists and "
                "that you may write to."
            ) from error

    def _read_same(self) -> SavedTraining:
        """Read the file, and refuse that of another training."""
        saved = self._read()
        if differences := _differences(saved.record["identity"], self._identity):
            raise ValueError(
                f"The checkpoint {self.path} belongs to another training: {'; '.join(differences)}. Repeat the call "
                "that was interrupted to resume that training, or remove the file to begin again."
            )
        return saved

    def _read(self) -> SavedTraining:
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            record = json.loads(str(arrays.pop(_RECORD)))
            if record["format"] != _FORMAT:
                raise ValueError(f"its format is {record['format']!r}, expected {_FORMAT}")
            _ = record["identity"]["settings"], len(record["epochs"])
        except _READ_ERRORS as error:
            raise self.damaged(error) from error
        return SavedTraining(arrays, record)

    def _write(self, contents: Mapping[str, np.ndarray], epoch: int) -> None:
        try:
            with atomic_path(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, **contents)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            reason = error.strerror or error
            raise type(error)(
                error.errno or 0,
                f"The checkpoint {self.path} could not be written after epoch {epoch} ({reason}). That of an earlier "
                "epoch, if there is one, is kept: make room, and repeat the call to resume",
            ) from error


def digest(values: Any) -> str | None:
    """Return a digest of an array, by which another one is recognised.

    Parameters
    ----------
    values : ndarray or None
        Array; rows are read chunk by chunk.

    Returns
    -------
    digest : str or None
        None for None.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._training_checkpoint import digest
    >>> digest(np.zeros(3)) == digest(np.zeros(3)), digest(np.zeros(3)) == digest(np.ones(3))
    (True, False)
    """
    if values is None:
        return None
    found = hashlib.blake2b(f"{values.dtype.str}{values.shape}".encode(), digest_size=16)
    if values.ndim == 0:
        found.update(values.tobytes())
    else:
        for rows in row_chunks(len(values), math.prod(values.shape[1:])):
            found.update(np.ascontiguousarray(values[rows]).data)
    return found.hexdigest()


def _differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return how a training differs from the saved one, as text."""
    before, after = saved["settings"], now["settings"]
    found = [
        f"{name} was {_shown(before, name)} and is now {_shown(after, name)}"
        for name in {**before, **after}
        if name not in before or name not in after or before[name] != after[name]
    ]
    before, after = saved.get("data", {}), now.get("data", {})
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return found + [f"other values of {', '.join(changed)}"] * bool(changed)


def _shown(values: Mapping[str, Any], name: str) -> str:
    text = repr(values[name]) if name in values else "absent"
    return text if len(text) <= 60 else text[:57] + "..."
