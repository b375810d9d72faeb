"""Spectra of a part of the files of a training set."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from skbcnn._left_out import EMPTY, cause, fault_of_file, fault_of_spectrum
from skbcnn.datasets.fits import Spectra, lost_rows, read_apstar, read_aspcapstar
from skbcnn.datasets.h5_writer import pack_spectra
from skbcnn.preprocessing.preparation import ModelPreparation


class LostSpectrum(NamedTuple):
    """A spectrum, or all spectra of a file, that cannot be used.

    Attributes
    ----------
    position : int
        Position of the file.
    spectrum : str
        Name of the spectrum; empty for all.
    reason : str
        Why, in a few words that are the same for all such spectra.
    detail : str
        What the error says; empty if there is none.
    """

    position: int
    spectrum: str
    reason: str
    detail: str


def read_prepared(
    paths: Sequence[Path], preparation: ModelPreparation, *, kind: str, visits: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read and prepare the spectra of some files.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        apStar or aspcapStar files.
    preparation : ModelPreparation
        Preparation of the spectra.
    kind : {"apStar", "aspcapStar"}
        Kind of the files.
    visits : bool
        Whether to read the visits, too.

    Returns
    -------
    arrays : dict of str to ndarray
        Flux and errors from `pack_spectra`; ``position`` of the file in `paths`, ``in_flag`` and ``snr`` of shape
        (n_spectra,). Without any spectrum, an empty ``position`` alone.
    record : dict
        ``left_out``: a `LostSpectrum` for each spectrum or file that has no row. ``notes``: numbers of spectra, by
        what is odd in them.
    """
    parts: list[dict[str, np.ndarray]] = []
    left_out: list[LostSpectrum] = []
    notes: Counter[str] = Counter()
    with threadpool_limits(1):  # the processes share the cores, and the result must not depend on their number
        for position, path in enumerate(paths):
            star = _read(path, position, left_out, preparation, kind=kind, visits=visits)
            if star is not None:
                parts.append(_prepared(star, position, left_out, notes, preparation))
    return _packed(parts), {"left_out": left_out, "notes": notes}


def _read(
    path: Path, position: int, left_out: list[LostSpectrum], preparation: ModelPreparation, *, kind: str, visits: bool
) -> Spectra | None:
    """Read a file; None if it has no spectrum. What is lost is added to `left_out`."""
    try:
        if kind == "aspcapStar":
            star = read_aspcapstar(path)
        else:
            star = read_apstar(path, visits=visits, combination=preparation.combination)
    except (OSError, ValueError) as error:
        left_out.append(LostSpectrum(position, "", *fault_of_file(error)))
        return None
    left_out += [LostSpectrum(position, row.name, EMPTY, row.reason) for row in lost_rows(star, visits)]
    return star


def _prepared(
    star: Spectra,
    position: int,
    left_out: list[LostSpectrum],
    notes: Counter[str],
    preparation: ModelPreparation,
) -> dict[str, np.ndarray]:
    """Return the spectra of a star, divided by their continuum. What is lost is added to `left_out`."""
    prepared = preparation.prepare_each(star.flux, star.error, star.bitmask, normalized=star.normalized)
    for name, fault in zip(star.row_names, prepared.faults, strict=True):
        if fault is not None:
            left_out.append(LostSpectrum(position, name, *fault_of_spectrum(fault)))
    notes.update(cause(note) for note in prepared.notes if note is not None)
    kept = np.array([fault is None for fault in prepared.faults])
    return {
        "spectra": prepared.X[kept],
        "spectra_err": np.asarray(prepared.x_err)[kept],
        "position": np.full(kept.sum(), position),
        "in_flag": np.array([name.startswith("visit") for name in star.row_names], dtype=np.int8)[kept],
        "snr": star.snr[kept],
    }


def _packed(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Join the spectra of all stars, and compress them as `H5RowWriter` writes them."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    pixels = [columns.pop(name, np.empty((0, 0))) for name in ("spectra", "spectra_err")]
    if not len(pixels[0]):
        return {"position": np.empty(0, dtype=int)}
    return columns | pack_spectra(*pixels)
