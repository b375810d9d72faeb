"""``skbcnn info``: what a model, an HDF5 file, a catalogue or a FITS file of the survey holds."""

from __future__ import annotations

import shutil
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import h5py
import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from sklearn.pipeline import Pipeline

from skbcnn._file_kinds import is_fits, kind_of_file
from skbcnn._optional_dependencies import require_extra
from skbcnn._prediction import Naming, column_names
from skbcnn.catalog.table_files import recorded_metadata
from skbcnn.cli.terminal_tables import counted, decimals, print_summary, print_table
from skbcnn.datasets import H5Loader, read_fits_spectra
from skbcnn.datasets.h5 import ERROR_SUFFIX, column_key, dataset_names
from skbcnn.persistence import load_folder
from skbcnn.persistence.foreign.sdssv import SUFFIXES
from skbcnn.persistence.model_folder import holds_model
from skbcnn.survey import APOGEE_LABELS, bad_pixels, find_label, is_missing, label_unit

_FEW = 1000  # spectra whose flux is read
_MAX_COLUMNS = 20  # named on the screen
_CATALOGUE = "catalogue"  # table in an HDF5 file
_PREDICTED_WITH = (  # entries of the metadata of a catalogue; "predicted with" in those of earlier versions
    *("skbcnn", "NumPy", "TensorFlow", "predicted with", "posterior draws", "seed", "folder of the files"),
)
_MARKS = (  # column of a catalogue, value above which a row is marked, and what that means
    ("do_not_use", 0, "should not be used"),
    ("novelty", 1, "are out-of-distribution"),
)
_TABLE_SUFFIXES = (".csv", ".ecsv")
_PARQUET = ".parquet"


def run_info(paths: Sequence[Path]) -> list[Exception]:
    """Print what files and model folders hold.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Model folders, HDF5 files, catalogues, and FITS files of the survey.

    Returns
    -------
    failures : list of Exception
        Errors of those that cannot be read; each names its file.
    """
    failures: list[Exception] = []
    for number, path in enumerate(paths):
        if number:
            click.echo()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)  # of damaged files, which also raise an error
                _kind_of(path)(path)
        except Exception as error:  # any file may come, and none hides the others
            named = str(path) in str(error) or getattr(error, "filename", None)
            failures.append(
                error if named else ValueError(f"{path} cannot be read: {str(error) or type(error).__name__}")
            )
    return failures


class _Kind(NamedTuple):
    """A kind of file: a function that recognises it, and one that prints what it holds."""

    recognises: Callable[[Path], bool]
    describe: Callable[[Path], None]


def _kind_of(path: Path) -> Callable[[Path], None]:
    """Return the function that describes a file or a folder."""
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    for kind in _KINDS:
        if kind.recognises(path):
            return kind.describe
    found = "a folder without a model" if path.is_dir() else kind_of_file(path) or "a file of an unknown kind"
    raise ValueError(
        f"{path} is {found}, expected a model (folder or zip file), an HDF5 file in the datasets.h5 layout, a "
        "catalogue or another table (.fits, .parquet, .csv, .ecsv, .h5), or an apStar or aspcapStar file."
    )


# Models -------------------------------------------------------------------------------------------------------------


def _is_model(path: Path) -> bool:
    return holds_model(path) if path.is_dir() else path.suffix.lower() in (".zip", *SUFFIXES)


def _describe_model(path: Path) -> None:
    model = load_folder(path)
    regressor = model[-1] if isinstance(model, Pipeline) else model
    names, windows = regressor.target_names_, regressor.spec_.windows
    _print_title(path, f"a model, {type(regressor).__name__}")
    if isinstance(model, Pipeline):
        click.echo(f"Pipeline: {', '.join(f'{name} ({type(step).__name__})' for name, step in model.steps)}.")
    click.echo(
        f"It predicts {counted(len(names), 'label')} from {regressor.n_features_in_} pixels, with "
        f"{regressor.n_draws} draws."
    )
    _print_entries("Origin", regressor.provenance_)
    noise = "with" if regressor.noise_augmented_ else "without"
    is_recorded = "random_state" in regressor.provenance_ or regressor.random_state is None
    random_state = "" if is_recorded else f", with random_state {regressor.random_state}"
    click.echo(f"Trained for {counted(regressor.n_iter_, 'epoch')}, {noise} noise{random_state}.")
    _print_entries("Preparation of the spectra", regressor.preprocessing_)
    error_model = regressor.error_model_
    if error_model is None:
        click.echo(f"Not calibrated: {regressor._uncalibrated.cause}.")
    else:
        sparse = error_model.not_calibrated
        without = f", except {', '.join(sparse)}: too few stars have these labels" if sparse else ""
        click.echo(f"Calibrated with {error_model.source} ({error_model.n_differences.max()}){without}.")
    click.echo()
    residuals = regressor.validation_residuals_ or {}
    rows = []
    for name, window in zip(names, windows, strict=True):
        bias, scatter, n_stars = residuals.get(name, (np.nan, np.nan, 0))
        digits = decimals(scatter)
        figures = (f"{bias:z.{digits}f}", f"{scatter:.{digits}f}", str(n_stars)) if n_stars else ("", "", "")
        rows.append((name, label_unit(name), "all" if window is None else str(len(window)), *figures))
    print_table(("label", "unit", "pixels", "bias", "scatter", "held-out stars"), rows, left={"label", "unit"})


# HDF5 files in the datasets.h5 layout -------------------------------------------------------------------------------


def _is_datasets(path: Path) -> bool:
    return h5py.is_hdf5(path) and _CATALOGUE not in dataset_names(path)


def _describe_datasets(path: Path) -> None:
    loader = H5Loader(path, load_combined=None)
    preprocessing = loader.preprocessing  # which also checks the file
    names = loader.column_names
    keys = dict.fromkeys(map(column_key, names))
    with h5py.File(path, "r") as file:
        spectra = file[next(name for name in names if column_key(name) == "spectra")]
        (n_rows, n_pixels), flux = spectra.shape, spectra[:_FEW]
    _print_title(path, "spectra in the datasets.h5 layout")
    flags = _numbers(loader, "in_flag") if "in_flag" in keys else np.zeros(n_rows)
    kinds = {"combined": int((flags == 0).sum()), "from visits": int((flags == 1).sum())}
    if others := n_rows - sum(kinds.values()):
        kinds["with another in_flag"] = others
    counts = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    click.echo(f"{n_rows} spectra of {n_pixels} pixels: {counts}.")
    for name in names:
        if column_key(name) in ("apogee_id", "sdss_id"):
            click.echo(f"{_n_stars(loader.load_entry(name))} stars ({name}).")
    with_errors = "with" if "spectra" + ERROR_SUFFIX in keys else "without"
    click.echo(f"Median flux {np.nanmedian(flux):.4g} (of {len(flux)} spectra), {with_errors} flux errors.")
    _print_entries("Preparation of the spectra", preprocessing)
    labels = [key for key in keys if find_label(key) is not None]
    if others_names := [
        name for name in names if column_key(name).removesuffix(ERROR_SUFFIX) not in (*labels, "spectra")
    ]:
        click.echo(f"Other columns: {_listed(others_names)}.")
    rows, remarks = [], []
    for key in sorted(labels, key=_place):
        try:
            rows.append(_label_row(loader, key, with_errors=key + ERROR_SUFFIX in keys))
        except (ValueError, OSError) as error:
            remarks.append(str(error))
    click.echo("\n".join([*remarks, ""]) if remarks else "")
    print_table(
        ("label", "known", "missing", "5 %", "median", "95 %", "median error", "unit"), rows, left={"label", "unit"}
    )


def _numbers(loader: H5Loader, name: str) -> np.ndarray:
    """Return a column that has one number for each spectrum."""
    values = loader.load_entry(name)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} of {loader.filename} has type {values.dtype} and shape {values.shape}, expected one number for "
            "each spectrum."
        )
    return np.asarray(values, dtype=float)


def _n_stars(identifiers: np.ndarray) -> int:
    """Return the number of different identifiers, without missing ones."""
    values = np.unique(identifiers)
    if values.dtype.kind in "fiu":
        return int((values > 0).sum())
    return len({str(value).strip() for value in values} - {""})


def _label_row(loader: H5Loader, key: str, *, with_errors: bool) -> tuple[str, ...]:
    """Return the figures of a label as text."""
    values = _numbers(loader, key)
    known = values[~is_missing(values) & np.isfinite(values)]
    errors = _numbers(loader, key + ERROR_SUFFIX) if with_errors else np.array([])
    errors = errors[np.isfinite(errors) & (errors > 0)]
    digits = decimals(np.median(errors) if len(errors) else np.std(known) / 10 if len(known) else 1)
    cells = [f"{number:z.{digits}f}" for number in np.percentile(known, (5, 50, 95))] if len(known) else [""] * 3
    cells.append(f"{np.median(errors):.{digits}f}" if len(errors) else "")
    return (key, str(len(known)), str(len(values) - len(known)), *cells, label_unit(key))


def _place(label: str) -> int:
    """Return the place of a label in the usual order."""
    return APOGEE_LABELS.index(label) if label in APOGEE_LABELS else len(APOGEE_LABELS)


# Catalogues ---------------------------------------------------------------------------------------------------------


def _is_catalogue(path: Path) -> bool:
    if path.suffix.lower() in (*_TABLE_SUFFIXES, _PARQUET):
        return True
    if h5py.is_hdf5(path):
        return _CATALOGUE in dataset_names(path)
    if not is_fits(path):
        return False
    with fits.open(path) as hdus:
        return len(hdus) > 1 and hdus[0].header.get("NAXIS") == 0 and isinstance(hdus[1], fits.BinTableHDU)


def _describe_catalogue(path: Path) -> None:
    if path.suffix.lower() == _PARQUET:
        require_extra("parquet", "Reading a Parquet file")
    table = Table.read(path, path=_CATALOGUE) if h5py.is_hdf5(path) else Table.read(path)
    namings: tuple[Naming, ...] = ("skbcnn", "sdssv")
    naming = max(namings, key=lambda naming: len(_labels_in(table, naming)))
    labels = _labels_in(table, naming)
    _print_title(path, "a catalogue" if labels else "a table")
    stars = f" of {len(np.unique(table['star']))} stars" if "star" in table.colnames else ""
    click.echo(f"{len(table)} rows{stars}, {len(table.colnames)} columns.")
    recorded = recorded_metadata(table)
    if "model" in recorded:
        fingerprint = f", fingerprint {recorded['model fingerprint']}" if "model fingerprint" in recorded else ""
        _print_filled(f"Model: {recorded['model']}{fingerprint}.")
    if "provenance" in recorded:
        _print_filled(f"Origin of the model: {recorded['provenance']}.")
    _print_entries("Predicted with", {name: recorded[name] for name in _PREDICTED_WITH if name in recorded})
    for name, limit, meaning in _MARKS:
        if name in table.colnames and table[name].dtype.kind in "biuf":
            n_marked = np.count_nonzero(np.ma.filled(np.ma.asarray(table[name]).astype(float), 0) > limit)
            click.echo(f"{n_marked} rows {meaning} (column {name}).")
    if not labels or len(table) == 0:
        click.echo(f"Columns: {_listed(table.colnames)}.")
        return
    click.echo()
    calibrated = column_names(labels[0], naming)["calibrated"] in table.colnames
    print_summary(table, labels, "calibrated" if calibrated else "total", naming)
    click.echo(f"Errors are {'calibrated' if calibrated else 'total'} standard deviations.")


def _labels_in(table: Table, naming: Naming) -> list[str]:
    """Return the labels that a table has with their errors."""
    columns = {label: column_names(label, naming) for label in APOGEE_LABELS}
    return [
        label
        for label, names in columns.items()
        if {names["mean"], names["total"]} <= set(table.colnames) and table[names["mean"]].dtype.kind in "fiu"
    ]


# FITS files of the survey -------------------------------------------------------------------------------------------


def _describe_spectra(path: Path) -> None:
    star = read_fits_spectra(path, visits=True)
    _print_title(path, f"{'normalised spectrum' if star.normalized else 'spectra'} of {star.object_id}")
    click.echo(f"RA {star.ra:.5f}, Dec {star.dec:.5f} degrees; {star.flux.shape[1]} pixels.")
    for row in star.skipped:
        click.echo(f"{row.reason[0].upper()}{row.reason[1:]}.")
    click.echo()
    bad = bad_pixels(star.bitmask) | ~np.isfinite(star.flux) | (star.flux == 0)  # gaps of visits are 0
    flux = np.where(bad, np.nan, star.flux)
    rows = [
        (name, "" if np.isnan(snr) else f"{snr:.0f}", f"{np.nanmedian(one):.4g}", f"{100 * share:.1f} %")
        for name, snr, one, share in zip(star.row_names, star.snr, flux, bad.mean(axis=1), strict=True)
    ]
    print_table(("spectrum", "S/N", "median flux", "bad pixels and gaps"), rows, left={"spectrum"})


_KINDS = (
    _Kind(_is_model, _describe_model),
    _Kind(_is_catalogue, _describe_catalogue),
    _Kind(_is_datasets, _describe_datasets),
    _Kind(is_fits, _describe_spectra),
)


def _print_title(path: Path, what: str) -> None:
    click.secho(f"{path}: {what}", bold=True)


def _print_entries(title: str, entries: Mapping[str, Any]) -> None:
    """Print a mapping, or that nothing is recorded."""
    shown = {
        name: f"{len(value)} values" if isinstance(value, list) and len(value) > 9 else value
        for name, value in entries.items()
    }
    _print_filled(f"{title}: {', '.join(f'{name} {value}' for name, value in shown.items()) or 'not recorded'}.")


def _print_filled(text: str) -> None:
    """Print a sentence in lines that fit the terminal."""
    width = shutil.get_terminal_size().columns
    click.echo(textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def _listed(names: Sequence[str]) -> str:
    """Return names in one line, not more than 20."""
    more = f" and {len(names) - _MAX_COLUMNS} more" if len(names) > _MAX_COLUMNS else ""
    return ", ".join(names[:_MAX_COLUMNS]) + more
