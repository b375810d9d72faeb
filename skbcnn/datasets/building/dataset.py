"""Training sets from a table of stars and a mirror of SDSS files."""

import json
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from skbcnn import __version__
from skbcnn._atomic_writes import atomic_path, created_h5, link_target
from skbcnn._left_out import LeftOut, check_left_out, left_out_path, left_out_table
from skbcnn._optional_dependencies import require_extra
from skbcnn._paths import as_path
from skbcnn._resumable import ResumableJob, is_finished_work, resumable_job
from skbcnn._sklearn import Interval, validate_parameter_constraints
from skbcnn._worker_processes import interrupts_kept_here
from skbcnn.datasets.building.cuts import Cuts
from skbcnn.datasets.building.paths import check_some_exist, mirror_root
from skbcnn.datasets.building.selection import Selection, select_stars
from skbcnn.datasets.building.spectra import LostSpectrum, read_prepared
from skbcnn.datasets.building.tables import opened_table
from skbcnn.datasets.h5 import name_of_new_file
from skbcnn.datasets.h5_writer import H5RowWriter
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.preprocessing.preparation import ModelPreparation
from skbcnn.survey import DEFAULT_BAD_BITS, kept_pixels
from skbcnn.survey.bitmask import with_bit_numbers

_FILES_OF_CHUNK = 64  # 5 MB of spectra, and more with visits; one worker reads them in about a third of a second
_RECORD = "built_with"  # attribute of the file
_KINDS = ("apStar", "aspcapStar")
_COMBINATIONS = ("pixel", "global")
_FLAGGED = ("missing", "keep")
_CONSTRAINTS: dict[str, Any] = {
    "visits": ["boolean"],
    "cuts": [Cuts, None],
    "path_template": [str, None],
    "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
    "verbose": ["verbose"],
    "overwrite": ["boolean"],
}

# the arrays and the record of the spectra in some files
_Reader: TypeAlias = Callable[[Sequence[Path]], tuple[dict[str, np.ndarray], dict[str, Any]]]
# position of each part, and what was read from it
_Finished: TypeAlias = Generator[tuple[int, tuple[dict[str, np.ndarray], dict[str, Any]]], None, None]


class BuiltDataset(NamedTuple):
    """Result of `build_dataset`.

    Attributes
    ----------
    path : pathlib.Path
        File of the training set.
    left_out_path : pathlib.Path
        Table of what was left out.
    release : str
        Data release of the table.
    n_combined, n_visits : int
        Numbers of combined spectra and of visits.
    label_names : list of str
        Labels that the file has.
    left_out : dict of str to int
        Numbers of rows of the table, files and spectra that were left out, by reason.
    notes : list of str
        What the user must know, as sentences.
    """

    path: Path
    left_out_path: Path
    release: str
    n_combined: int
    n_visits: int
    label_names: list[str]
    left_out: dict[str, int]
    notes: list[str]


def build_dataset(
    table: str | PathLike[str],
    spectra: str | PathLike[str],
    out: str | PathLike[str],
    *,
    release: int | str | None = None,
    kind: str = "apStar",
    visits: bool = False,
    cuts: Cuts | None = None,
    flagged_labels: str = "missing",
    path_template: str | None = None,
    data_release: int | None = None,
    degree: int = 2,
    weighting: str = "inverse_variance",
    bad_bits: Any = DEFAULT_BAD_BITS,
    no_continuum: str = "raise",
    combination: str = "pixel",
    n_jobs: int | None = None,
    scheduler: Any = None,
    verbose: int = 0,
    overwrite: bool = False,
) -> BuiltDataset:
    """Make a training set from a table of stars and a mirror of SDSS files.

    Stars are selected by columns of the table. Their spectra are read, divided by their continuum, and written with
    their labels to a file in the ``datasets.h5`` layout, which `H5Loader` and ``skbcnn train`` read. What cannot be
    read is left out, and listed with the reason in a table beside the output.

    A call that was interrupted, however hard, continues where it stopped when it is repeated; the result is the same.
    It does not depend on `n_jobs` and `scheduler` either.

    Parameters
    ----------
    table : str or path-like
        allStar table of DR14, DR16 or DR17, or astraAllStarASPCAP of SDSS-V: FITS, perhaps gzipped.
    spectra : str or path-like
        Root of the mirror: the folder of ``dr17`` and the like (SDSS calls it SAS).
    out : str or path-like
        File to write; ``.h5`` is appended unless the name ends in ``.h5`` or ``.hdf5``. Suffixes of other formats,
        such as ``.fits``, are refused.
    release : int or str, default=None
        Data release of the table: 14, 16, 17, 19 or 20. None: recognised by the name of the table and its columns; a
        table of SDSS-V counts as DR19.
    kind : {"apStar", "aspcapStar"}, default="apStar"
        Files of spectra. Those of aspcapStar files are normalised again, and have no pixel flags.
    visits : bool, default=False
        Whether visits are added, as rows with ``in_flag`` 1 and the labels of their star. A single visit is the
        combined spectrum, and not repeated.
    cuts : Cuts, default=None
        Selection of stars; None: that of Leung & Bovy (2019).
    flagged_labels : {"missing", "keep"}, default="missing"
        Abundances with any flag of the survey (``X_H_FLAG``, ``ELEMFLAG``, ``mg_h_flags``): -9999, or kept.
    path_template : str, default=None
        Path of a file below `spectra`, with names of columns of the table in braces, for mirrors with another layout:
        ``"{telescope}/{field}/{apogee_id}.fits"``. ``{prefix}`` is the beginning of the name of an apStar file, ap or
        as.
    data_release : int, default=None
        Data release whose chips and continuum pixels are used; None: that of the table.
    degree, weighting, bad_bits, no_continuum
        As in `ContinuumNormalizer`.
    combination : {"pixel", "global"}, default="pixel"
        Combined spectrum of apStar files, as in `read_apstar`.
    n_jobs : int, default=None
        Number of processes that read and prepare spectra; None: 1, or as set by `joblib.parallel_config`; -1: one for
        each core.
    scheduler : str or dask.distributed.Client, default=None
        Address of a Dask scheduler, or a client of it, on whose workers the spectra are read and prepared in place of
        `n_jobs` processes. They need the same packages and the files under the same paths; each reads one part at a
        time, so that workers with one thread are best. None: on this machine.
    verbose : int, default=0
        1 shows progress on a terminal.
    overwrite : bool, default=False
        Whether an existing file, or unfinished work with other inputs or settings, is replaced.

    Returns
    -------
    built : BuiltDataset
        Numbers of spectra, labels, and what was left out.

    Raises
    ------
    ModuleNotFoundError
        If ``sdss-access`` is not installed and no `path_template` is passed, or `scheduler` is passed and Dask is not
        installed.
    FileExistsError
        If `out` exists and `overwrite` is False.
    FileNotFoundError
        If the table, the mirror or all of the files do not exist.
    BlockingIOError
        If another process writes the same file.
    OSError
        If the table cannot be read, nothing can be written, or a part failed too often on the cluster. What was
        finished remains for the next call.
    ConnectionError
        If the Dask scheduler cannot be reached, or stops. What was finished remains for the next call.
    ValueError
        If a parameter is invalid, the table is of an unknown release or lacks columns, no star or no spectrum is left,
        or there is unfinished work with other inputs or settings.

    See Also
    --------
    H5Loader : Read the file; its ``label_names`` are the labels that it has.
    write_h5 : Write spectra that are in memory.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, section 3.1: the cuts.

    Examples
    --------
    >>> from skbcnn.datasets import Cuts, build_dataset
    >>> built = build_dataset(
    ...     "allStar-dr17-synspec_rev1.fits", "/data/sas", "datasets.h5", cuts=Cuts(min_snr=100), n_jobs=8
    ... )  # doctest: +SKIP
    """
    given = {"visits": visits, "cuts": cuts, "path_template": path_template, "n_jobs": n_jobs, "verbose": verbose}
    validate_parameter_constraints(_CONSTRAINTS, {**given, "overwrite": overwrite}, "build_dataset")
    _check_choices(kind, combination, flagged_labels, visits)
    if scheduler is not None:
        require_extra("dask", "scheduler")
    table_path, root, path = _checked_paths(table, spectra, out, overwrite)
    continuum = {"degree": degree, "weighting": weighting, "bad_bits": bad_bits, "no_continuum": no_continuum}
    cuts = cuts or Cuts()
    with opened_table(table_path, release, path.parent) as stars:
        preparation = _preparation(
            stars.release.number if data_release is None else data_release, combination, continuum
        )
        selection = select_stars(
            stars, root, kind=kind, cuts=cuts, path_template=path_template, keep_flagged=flagged_labels == "keep"
        )
        release_name = stars.release.name
    check_some_exist(selection.paths, root)
    check_left_out(left_out_path(path), overwrite)

    preprocessing = with_bit_numbers(preparation.normalizer.get_params()) | {"combination": combination}
    settings: dict[str, Any] = {"release": release_name, "visits": visits, "flagged_labels": flagged_labels}
    settings |= {"kind": kind, "path_template": path_template, **asdict(cuts), **preprocessing}
    settings |= {"files of a part": _FILES_OF_CHUNK, "skbcnn": __version__}
    settings = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    chunks = [slice(start, start + _FILES_OF_CHUNK) for start in range(0, len(selection.paths), _FILES_OF_CHUNK)]
    with resumable_job(
        path, settings=settings, inputs=[table_path, *selection.paths], n_chunks=len(chunks), overwrite=overwrite
    ) as job:
        parts = [selection.paths[chunk] for chunk in chunks]
        read = partial(read_prepared, preparation=preparation, kind=kind, visits=visits)
        _read_all(job, parts, read, n_jobs, scheduler, verbose)
        record = {"table": table_path.name, **settings}
        return _write_all(job, selection, chunks, preprocessing, record, path, verbose)


def _check_choices(kind: str, combination: str, flagged_labels: str, visits: bool) -> None:
    """Raise if a choice is unknown, or two do not go together."""
    for name, value, known in (
        ("kind", kind, _KINDS),
        ("combination", combination, _COMBINATIONS),
        ("flagged_labels", flagged_labels, _FLAGGED),
    ):
        if value not in known:
            raise ValueError(f"{name}={value!r}, expected {' or '.join(map(repr, known))}.")
    if visits and kind == "aspcapStar":
        raise ValueError("aspcapStar files have no visits. Pass kind='apStar', or visits=False.")


def _checked_paths(table: Any, spectra: Any, out: Any, overwrite: bool) -> tuple[Path, Path, Path]:
    """Return absolute paths of the table, the mirror and the output, checked before any work."""
    table, root = as_path(table, "table").absolute(), mirror_root(spectra)
    path = name_of_new_file(as_path(out, "out")).absolute()
    if path.exists() and not overwrite and not is_finished_work(path):
        raise FileExistsError(f"{path} exists. Choose another name, or pass overwrite=True.")
    folder = link_target(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {folder}. Make it first.")
    return table, root, path


def _preparation(data_release: int, combination: str, parameters: dict[str, Any]) -> ModelPreparation:
    n_pixels = len(kept_pixels(data_release))
    normalizer = ContinuumNormalizer(data_release, **parameters).fit(np.ones((1, n_pixels)))
    return ModelPreparation(normalizer, n_pixels, combination, ())


def _read_all(
    job: ResumableJob, parts: Sequence[Sequence[Path]], read: _Reader, n_jobs: int | None, scheduler: Any, verbose: int
) -> None:
    """Read and prepare the spectra of the parts that are not finished, and save them."""
    numbers = job.remaining
    n_files = sum(map(len, parts))
    n_done = n_files - sum(len(parts[number]) for number in numbers)
    remaining = [parts[number] for number in numbers]
    finished = (
        _read_here(read, remaining, n_jobs) if scheduler is None else _read_on_cluster(read, remaining, scheduler)
    )
    bar = tqdm(total=n_files, initial=n_done, desc="Reading", unit="file", disable=_is_silent(verbose))
    with bar, closing(finished):
        for position, (arrays, record) in finished:
            job.save(numbers[position], arrays, record)
            bar.update(len(remaining[position]))


def _read_here(read: _Reader, parts: Sequence[Sequence[Path]], n_jobs: int | None) -> _Finished:
    """Yield what is read from each part, with its position, as processes of this machine finish them."""
    work = (delayed(_with_position)(read, position, part) for position, part in enumerate(parts))
    with interrupts_kept_here():  # the processes start at once
        finished = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work)
    try:
        for result in finished:  # noqa: UP028  # `yield from` would close it before the block below
            yield result
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # after an error joblib counts the tasks that it cancels
            finished.close()


def _with_position(read: _Reader, position: int, part: Sequence[Path]) -> tuple[int, Any]:
    return position, read(part)


def _read_on_cluster(read: _Reader, parts: Sequence[Sequence[Path]], scheduler: Any) -> _Finished:
    """Yield what is read from each part, with its position, as workers of a Dask cluster finish them."""
    from skbcnn._dask_cluster import alone_on_worker, client_of, results_of_tasks  # which imports Dask

    with client_of(scheduler) as client:
        yield from results_of_tasks(client, alone_on_worker(partial(_read_on_worker, read, _versions())), parts)


def _read_on_worker(read: _Reader, versions: Mapping[str, str], part: Sequence[Path]) -> Any:
    from skbcnn._dask_cluster import check_versions

    check_versions(versions, _versions())
    return read(part)


def _versions() -> dict[str, str]:
    """Return the versions on which the bytes of a part depend."""
    return {"skbcnn": __version__, "numpy": np.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION}


def _is_silent(verbose: int) -> bool | None:
    """Return whether progress is hidden; None: where there is no terminal."""
    return None if verbose else True


def _write_all(
    job: ResumableJob,
    selection: Selection,
    chunks: Sequence[slice],
    preprocessing: dict[str, Any],
    record: dict[str, Any],
    path: Path,
    verbose: int,
) -> BuiltDataset:
    """Join the finished parts to the output, and write the table of what was left out."""
    counts, odd = selection.counts, Counter[str]()
    n_of_flag: Counter[int] = Counter()
    left_out = left_out_path(path)
    with (
        job.output() as temporary,
        created_h5(temporary) as file,
        atomic_path(left_out) as temporary_table,
        left_out_table(temporary_table) as write_left_out,
    ):
        write_left_out(selection.left_out())
        writer = H5RowWriter(file, preprocessing)
        file.attrs[_RECORD] = json.dumps(record)
        for number, chunk in enumerate(tqdm(chunks, desc="Writing", unit="part", disable=_is_silent(verbose))):
            arrays, of_chunk = job.load(number)
            lost = [_left_out(selection, chunk.start, LostSpectrum(*values)) for values in of_chunk["left_out"]]
            write_left_out(lost)
            counts.update(row.reason for row in lost)
            odd.update(of_chunk["notes"])
            if len(arrays["position"]):
                _append(writer, arrays, selection, arrays["position"] + chunk.start)
                n_of_flag.update(arrays["in_flag"].tolist())
        if not writer.n_rows:
            raise ValueError(
                f"None of the {len(selection.paths)} files has a spectrum that can be used: "
                f"{'; '.join(f'{reason}: {n}' for reason, n in counts.most_common(5))}. Nothing was written."
            )
    notes = selection.notes + [f"{n} of the spectra: {text}" for text, n in odd.items()]
    return BuiltDataset(
        path, left_out, record["release"], n_of_flag[0], n_of_flag[1], list(selection.labels), dict(counts), notes
    )


def _left_out(selection: Selection, first: int, lost: LostSpectrum) -> LeftOut:
    """Return what was lost with the names of star and file; `first` is the star of the first file of the part."""
    star = first + lost.position
    row = int(selection.rows[star])
    name, file = str(selection.names[row]), str(selection.paths[star])
    return LeftOut(file, lost.spectrum, lost.reason, lost.detail, name, row)


def _append(writer: H5RowWriter, arrays: dict[str, np.ndarray], selection: Selection, stars: np.ndarray) -> None:
    """Write the spectra of a part, with the labels of their stars."""
    extra = {name: values[stars] for name, values in selection.columns.items()}
    is_unknown = np.isnan(arrays["snr"]) & (arrays["in_flag"] == 0)  # the table has the S/N of combined spectra
    extra["SNR"] = np.where(is_unknown, extra.get("SNR", np.nan), arrays["snr"])
    writer.append(
        arrays,
        {name: values[stars] for name, values in selection.labels.items()},
        labels_err={name: values[stars] for name, values in selection.labels_err.items()},
        in_flag=arrays["in_flag"],
        extra=extra,
    )
