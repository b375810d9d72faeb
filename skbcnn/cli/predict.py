"""``skbcnn predict``: labels with error bars of the spectra in files, on the screen and as tables."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from astropy.table import Table
from sklearn.pipeline import Pipeline

from skbcnn import __version__
from skbcnn._prediction import Naming
from skbcnn._provenance import was_synthetic
from skbcnn.catalog import write_table
from skbcnn.catalog.file_predictions import predict_files
from skbcnn.cli.output_paths import check_tables
from skbcnn.cli.terminal_tables import print_labels
from skbcnn.persistence import load_folder

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
    spectra: Sequence[Path],
    out: Sequence[Path],
    visits: bool,
    combination: str | None,
    no_continuum: str | None,
    n_draws: int | None,
    naming: Naming,
    overwrite: bool,
) -> list[Exception]:
    """Predict the labels of the spectra in some files, print them, and write them.

    Parameters
    ----------
    model : pathlib.Path
        Model folder.
    spectra : sequence of pathlib.Path
        apStar, aspcapStar and HDF5 files.
    out : sequence of pathlib.Path
        Tables to write.
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
    overwrite : bool
        Whether existing tables are replaced.

    Returns
    -------
    failures : list of Exception
        Errors of files and spectra that could not be predicted.

    Raises
    ------
    ValueError, OSError
        If the model cannot be used, or a table cannot be written.
    """
    check_tables(out, overwrite, inputs=[model, *spectra])
    regressor = _regressor(model)
    shows_draws = len(spectra) == 1 and sys.stderr.isatty()  # with several files, the progress bar counts files
    regressor.set_params(verbose=int(shows_draws), n_draws=n_draws or regressor.n_draws)
    table, notes, failures = predict_files(
        regressor,
        spectra,
        visits=visits,
        combination=combination,
        no_continuum=no_continuum,
        naming=naming,
        meta=_metadata(regressor, model),
    )
    if table is None:
        return [*failures, ValueError("No spectrum was predicted, and nothing written.")]
    click.echo("\n".join([*_model_notes(regressor), *notes, *_noise_notes(table), *_novelty_notes(table), ""]))
    where = f"All are in {out[0]}." if out else "Pass --out labels.fits to write all of them to a file."
    print_labels(table, regressor.target_names_, naming=naming, where_all=where)
    for path in out:
        click.echo(f"Wrote {write_table(table, path, overwrite=overwrite)}")
    return failures


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
    return {"model": str(path), "provenance": origin or "unknown", "predicted with": f"skbcnn {__version__}"}


def _model_notes(regressor: Any) -> list[str]:
    """Return what the user must know about the model."""
    if not was_synthetic(regressor.provenance_):
        return []
    return [_CONTINUED if "later_trainings" in regressor.provenance_ else _SYNTHETIC]


def _noise_notes(table: Table) -> list[str]:
    """Return what the user must know about spectra with more noise than the training stars."""
    n_noisier = table["noisier"].sum() if "noisier" in table.colnames else 0
    if not n_noisier:
        return []
    return [
        f"{n_noisier} of {len(table)} spectra have more noise than every training star of the model (column noisier of "
        "the tables): their errors may be too small."
    ]


def _novelty_notes(table: Table) -> list[str]:
    """Return what the user must know about out-of-distribution spectra."""
    n_outside = (table["novelty"] > 1).sum() if "novelty" in table.colnames else 0
    if not n_outside:
        return []
    return [
        f"{n_outside} of {len(table)} spectra lie outside the training set of the model (columns do_not_use, "
        "result_flags and novelty of the tables): check their labels before you use them."
    ]
