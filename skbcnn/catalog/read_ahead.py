"""Reading of the next spectra while others are predicted.

HDF5 files are read by a thread. FITS files are read and their spectra prepared by processes, which a thread waits for,
because much of this work is in Python. These processes do not import TensorFlow.
"""

import os
from collections.abc import Iterator, Sequence

from joblib import Parallel, delayed

from skbcnn.catalog.spectra_files import LoadedSpectra, Part, PartLoader
from skbcnn.network.chunks import ordered_map

_MAX_JOBS = 4  # unless the user chooses: each process takes about 200 MB
_FEW_FILES = 64  # which are read sooner than processes start


def load_ahead(loader: PartLoader, parts: Sequence[Part], n_jobs: int | None = None) -> Iterator[LoadedSpectra]:
    """Yield the spectra of parts in order, and read the next ones meanwhile.

    Parameters
    ----------
    loader : PartLoader
        Reader of the parts.
    parts : sequence of Part
        Parts to read.
    n_jobs : int, default=None
        Number of processes that read FITS files; 1 reads them in this process, when they are needed. None: up to four,
        and none for few files.

    Yields
    ------
    spectra : LoadedSpectra
    """
    n_files = sum(part.size for part in parts if part.rows is None)
    if n_jobs is None:
        n_jobs = 1 if n_files <= _FEW_FILES else min(_MAX_JOBS, os.cpu_count() or 1)
    if n_jobs == 1 and n_files:  # not in a thread, because warnings that are caught in threads affect others
        yield from map(loader.load, parts)
        return

    def load(group: Sequence[Part]) -> list[LoadedSpectra]:
        if group[0].rows is not None:
            return [loader.load(part) for part in group]
        return Parallel(n_jobs=n_jobs, backend="loky")(delayed(loader.load)(part) for part in group)

    for group in ordered_map(load, _groups(parts, n_jobs), n_threads=2):
        yield from group


def _groups(parts: Sequence[Part], n_jobs: int) -> Iterator[list[Part]]:
    """Yield what is read at once: a part of an HDF5 file, or a part of FITS files for each process."""
    group: list[Part] = []
    for part in parts:
        if group and (part.rows is not None or group[0].rows is not None or len(group) == n_jobs):
            yield group
            group = []
        group.append(part)
    if group:
        yield group
