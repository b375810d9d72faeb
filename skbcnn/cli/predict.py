"""``skbcnn predict``: labels with error bars of the spectra in files, on the screen and as tables."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from sklearn.pipeline import Pipeline

from skbcnn._prediction import Naming
from skbcnn._provenance import was_synthetic
from skbcnn.calibration.absence import about_missing_labels
from skbcnn.catalog import CatalogSummary, NoSpectraError, predict_catalog
from skbcnn.cli.input_names import STANDARD_INPUT, named_spectra
from skbcnn.cli.interruption import continued_later
from skbcnn.cli.left_out import print_left_out
from skbcnn.cli.output_paths import check_tables
from skbcnn.cli.terminal_tables import print_labels
from skbcnn.persistence import load_folder

_MAX_LINES = 20  # of notes that are printed
_SYNTHETIC = (
    "This model was trained on synthetic stars only, never on a real spectrum: its labels of real stars show how the "
    "tool works and are no measurements."
)
_CONTINUED = (
    "The first training of this model used synthetic stars only. Its model card lists the later trainings: check that "
    "they had enough real stars."
)


def run_predict(
    *,
    model: Path,
    sources: Sequence[Path],
    files_from: Path | None,
    spectra: Path | None,
    release: str | None,
    path_template: str | None,
    out: Sequence[Path],
    columns: str | None,
    visits: bool,
    combination: str | None,
    no_continuum: str | None,
    n_draws: int | None,
    naming: Naming,
    n_jobs: int | None,
    scheduler: str | None,
    overwrite: bool,
) -> int:
    """Predict the labels of the spectra in some files, print them and what was left out, and write them.

    Parameters
    ----------
    model : pathlib.Path
        Model folder.
    sources : sequence of pathlib.Path
        apStar, aspcapStar and HDF5 files, and folders of such files, or a table of stars; ``-`` for names on standard
        input.
    files_from : pathlib.Path or None
        File with further names, one a line.
    spectra : pathlib.Path or None
        Root of the mirror with the files of the stars of the table.
    release, path_template : str or None
        As in `predict_catalog`.
    out : sequence of pathlib.Path
        Tables to write.
    columns : str or None
        Columns of the input that come along, separated by commas.
    visits : bool
        Whether to predict the visits of apStar files.
    combination : {"pixel", "global"} or None
        Combined spectrum of apStar files. None: the one that the model was trained on.
    no_continuum : {"raise", "fill"} or None
        Treatment of a chip without continuum. None: that of the training spectra.
    n_draws : int or None
        Number of posterior draws. None: that of the model.
    naming : {"skbcnn", "sdssv"}
        Names of the columns of the tables.
    n_jobs : int or None
        Number of processes that read FITS files.
    scheduler : str or None
        Address of a Dask scheduler.
    overwrite : bool
        Whether existing tables are replaced.

    Returns
    -------
    n_left_out : int
        Number of files and spectra that could not be predicted.

    Raises
    ------
    NoSpectraError, ValueError, OSError
        If no spectrum could be predicted, the model cannot be used, or a table cannot be written.
    """
    named = [*sources, *([] if files_from is None else [files_from])]
    check_tables(out, overwrite, inputs=[model, *(path for path in named if path != STANDARD_INPUT)])
    files = named_spectra(sources, files_from)
    regressor = _regressor(model)
    regressor.set_params(n_draws=n_draws or regressor.n_draws)
    try:
        with continued_later() if out else nullcontext():  # nothing is kept without a name
            summary = predict_catalog(
                regressor,
                files,
                out,
                spectra=spectra,
                release=release,
                path_template=path_template,
                columns=[name.strip() for name in (columns or "").split(",") if name.strip()],
                visits=visits,
                combination=combination,
                no_continuum=no_continuum,
                naming=naming,
                meta=_metadata(regressor, model),
                overwrite=overwrite,
                n_jobs=n_jobs,
                scheduler=scheduler,
                verbose=1,
            )
    except NoSpectraError as error:
        print_left_out(error.failures, None)
        raise
    notes = [*_model_notes(regressor), *_shortened(summary.notes), *_noise_notes(summary), *_novelty_notes(summary)]
    click.echo("\n".join([*notes, ""]))
    where = f"All are in {out[0]}." if out else "Pass --out labels.fits to write all of them to a file."
    print_labels(
        summary.first_rows,
        regressor.target_names_,
        naming=naming,
        where_all=where,
        n_spectra=summary.n_rows,
        sample=summary.sample,
    )
    for path in summary.paths:
        click.echo(f"Wrote {path}")
    print_left_out(summary.failures, summary.failures_path)
    return len(summary.failures)


def _shortened(notes: list[str]) -> list[str]:
    """Return the first notes, and how many more there are."""
    more = len(notes) - _MAX_LINES
    return notes if more <= 0 else [*notes[:_MAX_LINES], f"There are {more} more notes of this kind."]


def _regressor(path: Path) -> Any:
    """Load the regressor; a saved pipeline is refused, because the command prepares spectra itself."""
    model = load_folder(path)
    if isinstance(model, Pipeline):
        raise ValueError(
            f"{path} holds a pipeline, expected a regressor: the command prepares spectra of files itself. Save "
            "pipeline[-1] with preprocessing={...}, or predict in Python with load_folder."
        )
    return model


def _metadata(regressor: Any, path: Path) -> dict[str, str]:
    origin = ", ".join(f"{name} {value}" for name, value in regressor.provenance_.items())
    return {"model": str(path), "provenance": origin or "unknown"}


def _model_notes(regressor: Any) -> list[str]:
    """Return what the user must know about the model."""
    notes = []
    if was_synthetic(regressor.provenance_):
        notes.append(_CONTINUED if "later_trainings" in regressor.provenance_ else _SYNTHETIC)
    return [*notes, *filter(None, [about_missing_labels(regressor.error_model_)])]


def _noise_notes(summary: CatalogSummary) -> list[str]:
    """Return what the user must know about spectra with more noise than the training stars."""
    if not summary.n_noisier:
        return []
    return [
        f"{summary.n_noisier} of {summary.n_rows} spectra have more noise than every training star of the model "
        "(column noisier of the tables): their errors may be too small."
    ]


def _novelty_notes(summary: CatalogSummary) -> list[str]:
    """Return what the user must know about out-of-distribution spectra."""
    if not summary.n_outside:
        return []
    return [
        f"{summary.n_outside} of {summary.n_rows} spectra lie outside the training set of the model (columns "
        "do_not_use, result_flags and novelty of the tables): check their labels before you use them."
    ]
