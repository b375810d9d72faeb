"""Writing files so that nothing half-written is ever left under the final name.

What is written stands in a hidden workshop folder beside it until it is whole. The workshop is locked while its process
lives, so the next process that writes the same name knows what a killed one left behind, and clears it away.
"""

import ctypes
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows: there, what a killed process left behind stays
    fcntl = None

_SUFFIX, _ASIDE = ".partial", "replaced"  # end of a workshop's name; in it, the folder that was to be replaced
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


@contextmanager
def atomic_path(path, *, overwrite=True):
    """Lend a temporary path beside `path`, which takes its place once the block has ended well.

    If the block raises (a full disk, Ctrl-C), the temporary file or folder is removed and whatever stood under the
    final name stays as it was. If the process is killed, the final name has the old or the new; the next call for the
    same name removes the rest. Only where the system cannot exchange two folders (other than Linux) there is a moment
    in which it has neither; the next call then brings the old one back.

    Parameters
    ----------
    path : str or path-like
        Final name of a file or folder. Its parent folder must exist.
    overwrite : bool, default=True
        Whether something that stands there may be replaced.

    Yields
    ------
    temporary : pathlib.Path
        Where to write: the block creates a file or a folder there. It ends as `path` does, so that libraries which
        choose a format by suffix see the right one.

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
    _clear_away(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Remove it, choose another name, or pass overwrite=True.")
    try:
        workshop, lock = _open_workshop(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield workshop / path.name
        _put_in_place(workshop / path.name, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
        _unlock(lock)


def _open_workshop(path):
    """A new folder beside `path`, locked."""
    while True:
        workshop = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent))
        try:
            lock = _lock(workshop)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process came between, and takes it for left behind
        if workshop.exists():
            return workshop, lock
        _unlock(lock)


def _lock(folder):
    """Lock a folder until `_unlock` or the end of this process; None where there are no locks."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some network disks
        os.close(descriptor)
        return None
    return descriptor


def _unlock(lock):
    if lock is not None:
        os.close(lock)


def _recover(workshop, path):
    lock = _lock(workshop)
    if lock is None:  # whether its process lives cannot be known
        return
    if (workshop / _ASIDE).exists() and not path.exists():
        os.replace(workshop / _ASIDE, path)
    shutil.rmtree(workshop, ignore_errors=True)
    _unlock(lock)


def _clear_away(path):
    """Remove workshops of processes that were killed; if that was while folders changed place, the old one returns."""
    name = re.compile(rf"\.{re.escape(path.name)}\.\w{{8}}{re.escape(_SUFFIX)}")
    with suppress(OSError):  # what cannot be cleared away is in nobody's way
        for workshop in [entry for entry in path.parent.iterdir() if name.fullmatch(entry.name)]:
            with suppress(BlockingIOError):  # its process lives
                _recover(workshop, path)


@contextmanager
def created_h5(path):
    """Open a new HDF5 file, in which a full disk always shows as an `OSError`.

    HDF5 buffers what is written, so that the disk may turn out to be full only when the file is closed; h5py then
    raises a `RuntimeError`.

    Parameters
    ----------
    path : str or path-like
        The file, which is replaced if it exists.

    Yields
    ------
    file : h5py.File
    """
    import h5py

    try:
        with h5py.File(path, "w") as file:
            yield file
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _put_in_place(temporary, path):
    """Rename a finished file or folder over `path`."""
    if not (path.is_dir() and temporary.is_dir()):
        os.replace(temporary, path)
        return
    if _exchange(temporary, path):  # a folder that is not empty cannot be renamed over
        return
    aside = temporary.parent / _ASIDE
    os.replace(path, aside)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.replace(aside, path)
        raise


def _exchange(first, second):
    """Let two names change places at one stroke; False where the system or the disk cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return renameat2(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE) == 0


def _unwritable(path, error):
    reason = error.strerror or str(error)
    return type(error)(
        error.errno or 0,
        f"{path} could not be written ({reason}). Nothing was left there; choose a folder that exists, "
        "that you may write to, and that has room",
    )
