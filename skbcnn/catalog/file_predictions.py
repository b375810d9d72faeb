"""Catalogues of the spectra in files, of any number of spectra.

`predict_catalog` divides the files into parts. Other processes or a thread read the next parts while one is predicted.
The predictions of each part are saved at once, so that a killed run can be continued; the catalogue is written when all
parts are finished.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from copy import copy
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from astropy.table import Table, vstack
from joblib import effective_n_jobs, parallel_config
from sklearn.utils.validation import check_is_fitted, check_scalar
from tqdm import tqdm

from skbcnn import __version__
from skbcnn._atomic_writes import atomic_path
from skbcnn._left_out import LeftOut, check_left_out, left_out_path, left_out_table
from skbcnn._optional_dependencies import require_extra
from skbcnn._prediction import Naming
from skbcnn._resumable import ResumableJob, is_finished_work, resumable_job, unfinished_folder
from skbcnn._user_warnings import warn_user
from skbcnn.catalog.part_predictions import ROWS, Layout, part_of_catalogue, predict_spectra, reserved_columns
from skbcnn.catalog.read_ahead import load_ahead
from skbcnn.catalog.requested_columns import requested_names
from skbcnn.catalog.spectra_files import CHUNK_SIZE, OpenedSpectra, open_spectra
from skbcnn.catalog.spectra_names import Sources, spectra_of
from skbcnn.catalog.survey_files import files_of_table
from skbcnn.catalog.table_files import check_table_name, write_blocks
from skbcnn.network.backends import posterior_class
from skbcnn.network.chunks import ordered_map
from skbcnn.novelty import NoveltyFlag
from skbcnn.novelty.causes import MAX_SPECTRA, explain_outside, suspect_rows
from skbcnn.persistence.fingerprint import model_fingerprint
from skbcnn.regressor import CensoredBCNNRegressor

_N_FIRST = 100  # rows of the catalogue that are returned
_MAX_SAMPLE = 50_000  # rows for the percentiles of the labels
_N_EXPLAINED_PARTS = 4  # from which spectra are taken to find out why they are out-of-distribution


class NoSpectraError(ValueError):
    """No spectrum could be predicted.

    Attributes
    ----------
    failures : list of LeftOut
        Why, for each file and spectrum, as in `CatalogSummary`.
    """

    def __init__(self, failures: Sequence[LeftOut]) -> None:
        super().__init__("No spectrum was predicted, and nothing written.")
        self.failures = list(failures)


class CatalogSummary(NamedTuple):
    """What `predict_catalog` has done.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        Catalogues that were written.
    n_rows : int
        Number of rows of the catalogue.
    n_noisier, n_outside : int
        Numbers of rows with more noise than every training star, and of those outside the training set.
    notes : list of str
        What the user must know about the spectra, as sentences.
    failures : list of LeftOut
        Files and spectra without labels, with the attributes ``file``, ``spectrum``, ``reason``, ``detail``, ``star``
        and ``row``, which are the columns of their table.
    failures_path : pathlib.Path or None
        Table of the failures; None if there is none.
    first_rows : astropy.table.Table
        First 100 rows of the catalogue.
    sample : astropy.table.Table
        All rows, or, of more than 50 000, evenly spaced ones.
    """

    paths: tuple[Path, ...]
    n_rows: int
    n_noisier: int
    n_outside: int
    notes: list[str]
    failures: list[LeftOut]
    failures_path: Path | None
    first_rows: Table
    sample: Table


def predict_catalog(
    model: CensoredBCNNRegressor,
    sources: Sources,
    out: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    spectra: str | PathLike[str] | None = None,
    release: int | str | None = None,
    path_template: str | None = None,
    columns: str | Sequence[str] = (),
    visits: bool = False,
    combination: str | None = None,
    no_continuum: str | None = None,
    naming: Naming = "skbcnn",
    meta: Mapping[str, str] | None = None,
    overwrite: bool = False,
    chunk_size: int = CHUNK_SIZE,
    n_jobs: int | None = None,
    scheduler: Any = None,
    retries: int = 3,
    verbose: int = 0,
) -> CatalogSummary:
    """Predict the labels of all spectra in files, and write a catalogue.

    The memory does not grow with the number of spectra. If the run is stopped or killed, the same call continues where
    it ended: the finished parts are in a hidden folder beside the catalogue, which is removed in the end. The catalogue
    is the same, byte for byte.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted, such as the result of `load_folder`.
    sources : path or sequence of paths
        HDF5 files in the ``datasets.h5`` layout, apStar and aspcapStar files, and folders: all such files in a folder
        and the folders in it, sorted by name. Spectra of apStar and aspcapStar files are prepared like the training
        spectra of the model; those of HDF5 files are used as they are. With `spectra`, the allStar table of DR14, DR16
        or DR17, or astraAllStarASPCAP of SDSS-V.
    out : path or sequence of paths
        Catalogue to write: ``.fits``, ``.h5``, ``.parquet``, ``.csv`` or ``.ecsv``. Several names write it in several
        formats; none writes nothing, and only the summary is returned.
    spectra : str or path-like, default=None
        Root of a mirror of SDSS files: the folder of ``dr17`` and the like. The apStar files of all stars of the table
        `sources` are predicted, in its order, without those of rows that EXTRATARG marks as duplicates.
    release : int or str, default=None
        Data release of the table: 14, 16, 17, 19 or 20. None: recognised by the name of the table and its columns.
    path_template : str, default=None
        Path of a file below `spectra`, with names of columns of the table in braces, as in `build_dataset`. None: the
        layout of SDSS.
    columns : str or sequence of str, default=()
        Columns of HDF5 files, keywords of the headers of FITS files, or, with `spectra`, columns of the table, that
        the catalogue contains, too. If it has a column of that name, ``input_`` is put before it.
    visits : bool, default=False
        Whether to predict the visits of apStar files.
    combination : {"pixel", "global"}, default=None
        Combined spectrum of apStar files. None: the one that the model was trained on.
    no_continuum : {"raise", "fill"}, default=None
        Treatment of a chip without continuum in FITS files, as in `ContinuumNormalizer`: refuse the spectrum, or count
        all pixels of the chip as bad. None: that of the training spectra.
    naming : {"skbcnn", "sdssv"}, default="skbcnn"
        Names of the columns of the labels, as in `prediction_table`.
    meta : mapping of str to str, default=None
        Metadata of the catalogue, before the fingerprint of the model, the versions, the seed and the number of draws.
    overwrite : bool, default=False
        Whether existing catalogues, or unfinished work on them with other inputs or settings, are replaced.
    chunk_size : int, default=1024
        Number of rows of an HDF5 file that are read, predicted and saved together; of FITS files a quarter as many,
        or a sixteenth with visits. It does not change the catalogue.
    n_jobs : int, default=None
        Number of processes that read and prepare FITS files; -1: one for each core. None: up to four, and none for few
        files.
    scheduler : str or dask.distributed.Client, default=None
        Address of a Dask scheduler, or a client of it, on whose workers the spectra are read and predicted. They need
        the same packages and the files under the same paths. None: in this process.
    retries : int, default=3
        How often a part is tried again on the cluster after an error or the death of its worker.
    verbose : int, default=0
        1 shows a progress bar if the error stream is a terminal.

    Returns
    -------
    summary : CatalogSummary
        Numbers, notes and failures. The catalogue has the columns ``star``, ``spectrum``, ``file`` (the path of the
        file below `spectra`, or else below the folder that all files have in common), ``row`` (of the spectrum in the
        file), ``snr``, ``ra``, ``dec``, with `spectra` ``table_row``, then those of `columns`, and those of
        `prediction_table`; ``result_flags`` is always among them.

    Raises
    ------
    FileExistsError
        If a catalogue exists and `overwrite` is False.
    BlockingIOError
        If another process is writing this catalogue.
    NoSpectraError
        If no spectrum could be read. It is a ValueError.
    ValueError
        If a parameter is invalid; if the model's preparation is unknown and there are FITS files; if an HDF5 file or
        the table lacks a column of `columns`; if the table is of an unknown release; or if there is unfinished work on
        this catalogue with other inputs or settings.
    FileNotFoundError
        If there is no such table or mirror, or none of the files of its stars exists.
    OSError
        If nothing can be written, the disk is full, or a part failed too often on the cluster. What is finished
        remains.
    ConnectionError
        If the Dask scheduler cannot be reached, or stops. What is finished remains.
    TypeError
        If the model is a Pipeline or another estimator than ours.
    ModuleNotFoundError
        If `scheduler` is passed and Dask is not installed, or `spectra` without `path_template` and ``sdss-access`` is
        not installed.

    Warns
    -----
    UserWarning
        If the first files that are read lack a keyword of `columns`.

    See Also
    --------
    prediction_table : The columns of a catalogue.

    Notes
    -----
    A row of an HDF5 file that cannot be used (NaN, every pixel bad) has NaN labels and bit 11 of ``result_flags``, so
    that the rows of catalogue and file correspond. A FITS file or spectrum that cannot be used has no row. Both are
    listed in ``<name of the catalogue>-left-out.csv`` beside the catalogue, with the columns ``file``, ``spectrum``
    (empty for the whole file), ``reason`` (a few words, the same for all with this fault), ``detail``, ``star``, and
    with `spectra` ``row``, the row of the table.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from astropy.table import Table, vstack
    >>> from skbcnn import CensoredBCNNRegressor, write_h5
    >>> from skbcnn.catalog import predict_catalog
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(1, 0.1, (20, 30))
    >>> model = CensoredBCNNRegressor(num_hidden=(8, 8, 4, 4, 2), max_epochs=1, random_state=0).fit(X, X[:, 0])
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = write_h5(Path(folder.name) / "stars.h5", X, {"teff": 4500 + X[:, 0]}, extra={"FIELD": ["M13"] * 20})
    >>> summary = predict_catalog(model, path, Path(folder.name) / "catalogue.fits", columns=["FIELD"])
    >>> summary.n_rows, Table.read(summary.paths[0])["star", "FIELD"][3].as_void()
    (20, np.void((b'row 3', b'M13'), dtype=[('star', 'S6'), ('FIELD', 'S3')]))
    >>> folder.cleanup()
    """
    model = _checked_model(model)
    names = requested_names(columns, reserved_columns(model, naming))
    chunk_size = int(check_scalar(chunk_size, "chunk_size", Integral, min_val=1))
    n_jobs = _checked_n_jobs(n_jobs)
    if scheduler is not None:
        require_extra("dask", "scheduler")
    outs = [Path(out)] if isinstance(out, str | PathLike) else [Path(path) for path in out]
    _check_outputs(outs, overwrite)
    reading: dict[str, Any] = {"visits": visits, "combination": combination, "no_continuum": no_continuum}
    of_table = {"release": release, "path_template": path_template}
    inputs, opened = _opened(model, sources, spectra, outs, names, chunk_size, of_table, reading)
    if not opened.parts:
        raise NoSpectraError(opened.failures)
    meta = {**(meta or {}), **_origin(model), "folder of the files": str(opened.loader.folder)}
    settings = {
        **reading,
        **of_table,
        "columns": names,
        "naming": naming,
        "rows in a part": chunk_size,
        "outputs": [os.path.relpath(path, outs[0].parent) for path in outs],
        **meta,
    }
    with ExitStack() as stack:
        if outs:
            first = outs[0]
        else:
            first = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="skbcnn-"))) / "catalogue.none"
        job = stack.enter_context(
            resumable_job(first, settings=settings, inputs=inputs, n_chunks=len(opened.parts), overwrite=overwrite)
        )
        if scheduler is None:
            predicted = _predicted_here(model, opened, job.remaining, naming, n_jobs)
        else:
            predicted = _predicted_on_cluster(scheduler, model, opened, job.remaining, naming, retries)
        _save(predicted, job, opened, verbose)
        summary = _write(model, job, opened, outs, meta)
    if summary is None:
        raise NoSpectraError(opened.failures)
    return summary


def _checked_model(model: CensoredBCNNRegressor) -> CensoredBCNNRegressor:
    """Return a copy of a fitted model that shows no progress: the bar of the catalogue is the only one."""
    if not isinstance(model, CensoredBCNNRegressor):
        raise TypeError(
            f"model is a {type(model).__name__}, expected a fitted CensoredBCNNRegressor. Of a Pipeline, pass its last "
            "step, model[-1]: spectra of files are prepared as it records."
        )
    check_is_fitted(model)
    model = copy(model).set_params(verbose=0)
    model._validate_params()
    return model


def _checked_n_jobs(n_jobs: int | None) -> int | None:
    """Return the number of processes that joblib would use; None stays."""
    if n_jobs is None:
        return None
    with parallel_config("loky"):
        return int(effective_n_jobs(check_scalar(n_jobs, "n_jobs", Integral)))


def _opened(
    model: CensoredBCNNRegressor,
    sources: Sources,
    spectra: str | PathLike[str] | None,
    outs: Sequence[Path],
    names: Mapping[str, str],
    chunk_size: int,
    of_table: Mapping[str, Any],
    reading: Mapping[str, Any],
) -> tuple[list[Path], OpenedSpectra]:
    """Find the files of spectra, and divide them into parts; return all files that are read, too."""
    if spectra is None:
        if any(value is not None for value in of_table.values()):
            raise ValueError(
                "release and path_template belong to a table of stars. Pass the root of the mirror as spectra, too, or "
                "leave them out."
            )
        paths = spectra_of(sources)
        _check_not_read(outs, paths)
        opened = open_spectra(model, paths, chunk_size=chunk_size, columns=names, **reading)
        return paths, opened._replace(notes=_named_twice(paths) + opened.notes)
    table = sources if isinstance(sources, str | PathLike) else list(sources)
    if isinstance(table, list):
        if len(table) != 1:
            raise ValueError(
                f"There are {len(table)} sources, expected one table of stars beside the root of the mirror as spectra."
            )
        (table,) = table
    folder = outs[0].absolute().parent if outs else Path(tempfile.gettempdir())
    if not folder.is_dir():
        raise FileNotFoundError(f"{outs[0]} cannot be written: there is no folder {folder}. Make it first.")
    found = files_of_table(table, spectra, names, folder=folder, **of_table)
    inputs = [found.table, *found.paths]
    _check_not_read(outs, inputs)
    opened = open_spectra(
        model, found.paths, chunk_size=chunk_size, of_files=found.columns, folder=found.root, **reading
    )
    return inputs, opened._replace(notes=found.notes + opened.notes, failures=found.failures + opened.failures)


def _named_twice(paths: Sequence[Path]) -> list[str]:
    """Return a note if files are named more than once; none if each is named once."""
    if not (several := [path for path, n in Counter(map(os.path.normpath, paths)).items() if n > 1]):
        return []
    some = f"{several[0]} and {len(several) - 1} more are" if len(several) > 1 else f"{several[0]} is"
    return [f"{some} named more than once. The catalogue repeats the spectra."]


def _check_outputs(outs: Sequence[Path], overwrite: bool) -> None:
    """Raise if a catalogue, or the table of failures, exists already, or has no known format."""
    for path in outs:
        check_table_name(path)
    written = _written(outs)
    if twice := [path for path in written if written.count(path) > 1]:
        raise ValueError(f"out would write {twice[0]} twice. Choose different names.")
    if overwrite or not outs:
        return
    check_left_out(left_out_path(outs[0]), overwrite=False)
    goes_on = unfinished_folder(outs[0]).exists()  # and a killed run may have written the others
    for path in outs[:1] if goes_on else outs:
        if path.exists() and not is_finished_work(path):
            raise FileExistsError(f"{path} exists. Choose another name, or pass overwrite=True.")


def _check_not_read(outs: Sequence[Path], paths: Sequence[Path]) -> None:
    """Raise if a file of spectra would be replaced."""
    read = {path.resolve() for path in paths}
    if replaced := [path for path in _written(outs) if path.resolve() in read]:
        raise ValueError(f"{replaced[0]} is one of the files of spectra. Choose another name for the catalogue.")


def _written(outs: Sequence[Path]) -> list[Path]:
    """Return all files that are written."""
    return [*outs, *(left_out_path(path) for path in outs[:1])]


def _origin(model: CensoredBCNNRegressor) -> dict[str, Any]:
    """Return the metadata that says how the predictions can be made again."""
    packages = {"skbcnn": __version__, "NumPy": np.__version__}
    library = posterior_class(model.backend).__module__.split(".")[2]
    if library == "tensorflow":
        packages["TensorFlow"] = _version("tensorflow")
    return {
        "model fingerprint": model_fingerprint(model),
        **packages,
        "posterior draws": int(model.n_draws),
        "seed": int(model.seed_),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # tensorflow-cpu and other distributions of it
        return "unknown"


# number, arrays and record of each part
_Predicted: TypeAlias = Generator[tuple[int, dict[str, np.ndarray], dict[str, Any]], None, None]


def _predicted_here(
    model: CensoredBCNNRegressor, opened: OpenedSpectra, numbers: Sequence[int], naming: Naming, n_jobs: int | None
) -> _Predicted:
    """Yield the predictions of parts. Meanwhile, the next parts are read, and the labels of one are predicted."""
    parts = [opened.parts[number] for number in numbers]
    predicted = ((spectra, predict_spectra(model, spectra)) for spectra in load_ahead(opened.loader, parts, n_jobs))
    finished = ordered_map(lambda part: part_of_catalogue(model, *part, naming), predicted, n_threads=2)
    for number, (arrays, record) in zip(numbers, finished, strict=True):
        yield number, arrays, record


def _predicted_on_cluster(
    scheduler: Any,
    model: CensoredBCNNRegressor,
    opened: OpenedSpectra,
    numbers: Sequence[int],
    naming: Naming,
    retries: int,
) -> _Predicted:
    """Yield the predictions of parts as the workers of a Dask cluster finish them."""
    from skbcnn.catalog.cluster import predict_on_cluster  # which imports Dask

    parts = [opened.parts[number] for number in numbers]
    for position, arrays, record in predict_on_cluster(scheduler, model, opened.loader, parts, naming, retries):
        yield numbers[position], arrays, record


def _save(predicted: _Predicted, job: ResumableJob, opened: OpenedSpectra, verbose: int) -> None:
    """Save the parts as they are predicted, and show how far the work is."""
    sizes = [part.size for part in opened.parts]
    bar = tqdm(
        total=sum(sizes),
        initial=sum(sizes) - sum(sizes[number] for number in job.remaining),
        desc="Predicting",
        unit=" files" if opened.loader.visits and opened.parts[0].rows is None else " spectra",
        leave=False,
        disable=None if verbose else True,
    )
    is_first = len(job.remaining) > 1  # with one part only, the notes at the end say all
    with bar, closing(predicted):
        for number, arrays, record in predicted:
            job.save(number, arrays, record)
            bar.update(sizes[number])
            if is_first and record["absent"]:
                n_files = len(opened.parts[number].paths)
                warn_user(_about_absent(record["absent"], f"None of the first {n_files} FITS files"))
            is_first = is_first and record["absent"] is None


def _write(
    model: CensoredBCNNRegressor,
    job: ResumableJob,
    opened: OpenedSpectra,
    outs: Sequence[Path],
    meta: Mapping[str, str],
) -> CatalogSummary | None:
    """Write the catalogue from the saved parts; return None, and write nothing, if no part has a row."""
    layout, flags, n_noisier, n_outside = Layout(), [], 0, 0
    for number in range(job.n_chunks):
        arrays, record = job.load(number)
        layout.add(arrays, record)
        rows = arrays.get(ROWS)
        flags.append(np.zeros(0, dtype=np.int32) if rows is None else rows["result_flags"])
        n_noisier += _count(rows, "noisier", 0)
        n_outside += _count(rows, "novelty", 1)
    failures = opened.failures + layout.failures
    if layout.n_rows == 0:
        opened.failures[:] = failures
        return None
    first_rows, sample = _extracts(layout.blocks(_rows(job), meta), layout.n_rows)
    notes = [*opened.notes, *_notes(layout), *_explanation(model, opened, flags)]
    listed = left_out_path(outs[0]) if outs and failures else None
    with ExitStack() as stack:
        if outs:
            temporary = [stack.enter_context(job.output())]  # leaves last: the others are in place before it
            temporary += [stack.enter_context(atomic_path(path)) for path in outs[1:]]
            for path in temporary:
                write_blocks(layout.blocks(_rows(job), meta), path, layout.n_rows)
        if listed is not None:
            write_left_out = stack.enter_context(left_out_table(stack.enter_context(atomic_path(listed))))
            write_left_out(failures)
        elif outs:
            left_out_path(outs[0]).unlink(missing_ok=True)  # of a catalogue that is replaced
    return CatalogSummary(tuple(outs), layout.n_rows, n_noisier, n_outside, notes, failures, listed, first_rows, sample)


def _rows(job: ResumableJob) -> Iterator[np.ndarray]:
    """Yield the rows of all parts in order."""
    for number in range(job.n_chunks):
        arrays = job.load(number).arrays
        if ROWS in arrays:
            yield arrays[ROWS]


def _count(rows: np.ndarray | None, name: str, limit: float) -> int:
    """Return in how many rows a column is above a limit."""
    return 0 if rows is None or name not in (rows.dtype.names or ()) else int((rows[name] > limit).sum())


def _extracts(blocks: Iterable[Table], n_rows: int) -> tuple[Table, Table]:
    """Return the first rows of a catalogue, and evenly spaced ones."""
    step = -(-n_rows // _MAX_SAMPLE)
    first, sampled, start = [], [], 0
    for block in blocks:
        if start == 0:
            first.append(block[:_N_FIRST])
        sampled.append(block[-start % step :: step])
        start += len(block)
    return first[0], vstack(sampled)


def _about_absent(absent: Mapping[str, str], files: str) -> str:
    """Return a sentence about keywords that no header has."""
    similar = [word for word in absent.values() if word]
    advice = f" Did you mean {', '.join(similar)}?" if similar else ""
    return f"{files} has the keyword(s) {', '.join(absent)}: the column is empty for them.{advice}"


def _notes(layout: Layout) -> list[str]:
    """Return what the user must know about the FITS files."""
    notes = []
    if layout.absent:
        notes.append(_about_absent(layout.absent, "None of the FITS files"))
    for text, spectra in layout.warnings.items():
        more = f" and {len(spectra) - 1} more" if len(spectra) > 1 else ""
        notes.append(f"{spectra[0]}{more}: {text}")
    if layout.n_renormalized:
        notes.append(
            f"{layout.n_renormalized} file(s) have normalised spectra, such as those of aspcapStar files; they were "
            "normalised again like the training spectra of the model."
        )
    return notes


def _explanation(model: CensoredBCNNRegressor, opened: OpenedSpectra, flags: Sequence[np.ndarray]) -> list[str]:
    """Return one note with the likely cause if most spectra are out-of-distribution; some are read again for it."""
    all_flags = np.concatenate(flags)
    suspect = [number for number, of_part in enumerate(flags) if len(suspect_rows(of_part))]
    n_suspect = np.count_nonzero(all_flags & (NoveltyFlag.OUTSIDE | NoveltyFlag.NOISIER_THAN_TRAINED))
    if model.domain_ is None or n_suspect <= len(all_flags) / 2:
        return []
    found = []
    for position in np.unique(np.linspace(0, len(suspect) - 1, _N_EXPLAINED_PARTS).astype(int)):
        spectra = opened.loader.load(opened.parts[suspect[position]])
        rows = suspect_rows(flags[suspect[position]], MAX_SPECTRA // _N_EXPLAINED_PARTS)
        errors = np.ones_like(spectra.X) if spectra.x_err is None else spectra.x_err
        found.append((spectra.X[rows], errors[rows]))
    X, x_err = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    explanation = explain_outside(model.domain_, all_flags, X, x_err)
    return [explanation] if explanation else []
