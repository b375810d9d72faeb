"""Writing files so that nothing half-written is ever left under the final name."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path, *, overwrite=True):
    """Lend a temporary path beside `path`, which takes its place once the block has ended well.

    If the block raises (a full disk, Ctrl-C), the temporary file or folder is removed and whatever stood under the
    final name stays as it was.

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
    >>> from skbcnn.atomic import atomic_path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "table.csv") as temporary:
    ...         _ = temporary.write_text("teff")
    ...     print(Path(folder, "table.csv").read_text(), len(list(Path(folder).iterdir())))
    teff 1
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Remove it, choose another name, or pass overwrite=True.")
    try:
        workshop = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield workshop / path.name
        _put_in_place(workshop / path.name, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


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
    aside = temporary.parent / "replaced"  # a folder that is not empty cannot be renamed over
    os.replace(path, aside)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.replace(aside, path)
        raise


def _unwritable(path, error):
    reason = error.strerror or str(error)
    return type(error)(
        error.errno or 0,
        f"{path} could not be written ({reason}). Nothing was left there; choose a folder that exists, "
        "that you may write to, and that has room",
    )
