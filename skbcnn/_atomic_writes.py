"""Write files and folders so that nothing half-written is ever left under the final name.

A file is written in a hidden temporary folder beside its final name and renamed when it is complete. The temporary
folder is locked by its process. The next process that writes the same name can therefore tell the remains of a killed
process from the work of a running one, and removes the remains.

Two parts use system calls directly:

- **Exchange of two folders** (`renameat2` by ctypes). `os.replace` cannot replace a folder that is not empty. Without
  an exchange, the old folder has to be renamed before the new one, and a process killed in between leaves no model
  under its name. Neither the standard library nor a package that we know offers this call. Other systems than Linux
  take the two renames, and the next call repairs what a killed process left.
- **Lock** (`fcntl.flock` on the temporary folder). The system releases this lock when the process dies, however it
  dies. The package `filelock` uses the same call, but it locks a file of its own, which would have to be removed, too;
  and its locks that are mere files survive their process. The standard library is enough.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py

try:
    import fcntl
except ImportError:  # Windows, where the remains of a killed process are not removed
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".partial"  # end of the name of a temporary folder
_ASIDE = "replaced"  # name in the temporary folder of an old folder that is being replaced
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # constants of Linux


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `path` when the block ends without an error.

    Of a symbolic link, the file or folder that it points to is replaced, and the link stays.

    If the block raises an error (a full disk, Ctrl-C), the temporary file or folder is removed and `path` stays as it
    was. If the process is killed, `path` holds either the old or the new content, and the next call for the same path
    removes the remains. Only where the system cannot exchange two folders (other than Linux), there is a moment
    without either; the next call then restores the old folder.

    Parameters
    ----------
    path : str or path-like
        Final name of a file or folder. Its parent folder must exist.
    overwrite : bool, default=True
        Whether an existing file or folder may be replaced.

    Yields
    ------
    temporary : pathlib.Path
        Path of the file or folder to create in the block. It has the name of `path`, so that libraries that choose a
        format by suffix choose the right one.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is False.
    OSError
        If `path` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skbcnn._atomic_writes import atomic_path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "table.csv") as temporary:
    ...         _ = temporary.write_text("teff")
    ...     print(Path(folder, "table.csv").read_text(), len(list(Path(folder).iterdir())))
    teff 1
    """
    path = Path(path)
    target = link_target(path)
    _remove_remains(target)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Remove it, choose another name, or pass overwrite=True.")
    try:
        folder, lock = _create_temporary_folder(target)
    except OSError as error:
        raise _write_error(path, error) from error
    try:
        yield folder / path.name
        _move_into_place(folder / path.name, target)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unlock(lock)


def link_target(path: Path) -> Path:
    """Return the file or folder that a path names; it need not exist.

    Parameters
    ----------
    path : pathlib.Path
        Any path.

    Returns
    -------
    target : pathlib.Path
        End of the chain of links if the path is a symbolic link; otherwise the path itself.

    Raises
    ------
    OSError
        If the links form a circle.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, f"{path} is a symbolic link that leads back to itself. Remove it")
    return target


@contextmanager
def created_h5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a new HDF5 file and raise `OSError` if the disk is full.

    HDF5 buffers its output, so a full disk may show only when the file is closed. h5py then raises a `RuntimeError`,
    which this function converts.

    Parameters
    ----------
    path : str or path-like
        Path of the file, which is replaced if it exists.

    Yields
    ------
    file : h5py.File
        The open file.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import h5py

    try:
        with h5py.File(path, "w") as file:
            yield file
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _create_temporary_folder(path: Path) -> tuple[Path, int | None]:
    """Create a folder beside `path` and lock it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent))
        try:
            lock = _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # before we locked it, another process took it for the remains of a killed one
        if folder.exists():
            return folder, lock
        _unlock(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder until `_unlock` or the end of this process; return None where there are no locks."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some network file systems
        os.close(descriptor)
        return None
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _remove_remains(path: Path) -> None:
    """Remove the temporary folders of killed processes that were writing `path`."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\w{{8}}{re.escape(_SUFFIX)}")
    with suppress(OSError):  # remains that cannot be removed do no harm
        for folder in [entry for entry in path.parent.iterdir() if name.fullmatch(entry.name)]:
            with suppress(BlockingIOError):  # its process is running
                _recover(folder, path)


def _recover(folder: Path, path: Path) -> None:
    """Remove a temporary folder; if its process was killed between two renames, restore the old folder first."""
    lock = _lock(folder)
    if lock is None:  # it is unknown whether its process is running
        return
    if (folder / _ASIDE).exists() and not path.exists():
        (folder / _ASIDE).replace(path)
    shutil.rmtree(folder, ignore_errors=True)
    _unlock(lock)


def _move_into_place(temporary: Path, path: Path) -> None:
    """Rename a finished file or folder to `path`."""
    if not (path.is_dir() and temporary.is_dir()):
        temporary.replace(path)
        return
    if _exchange(temporary, path):
        return
    aside = temporary.parent / _ASIDE
    path.replace(aside)
    try:
        temporary.replace(path)
    except BaseException:
        aside.replace(path)
        raise


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; return False where the system or the file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0


def _write_error(path: Path, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    return type(error)(
        error.errno or 0,
        f"{path} could not be written ({reason}). Nothing was left there; choose a folder that exists, "
        "that you may write to, and that has room",
    )
