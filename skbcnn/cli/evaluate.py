"""``skbcnn evaluate``: residuals on the screen, and everything else on an HTML page."""

from pathlib import Path

import click
from sklearn.pipeline import Pipeline

from skbcnn._optional_dependencies import require_extra
from skbcnn.cli.output_paths import check_page
from skbcnn.cli.terminal_tables import print_residuals
from skbcnn.persistence import load_folder
from skbcnn.plotting._label_text import within_text
from skbcnn.report import evaluate
from skbcnn.report.notes import model_notes, sample_notes


def run_evaluate(
    *,
    model: Path,
    data: Path,
    html: Path,
    visits: bool,
    n_draws: int | None,
    max_spectra: int,
    reference: str,
    overwrite: bool,
) -> None:
    """Compare a model with the known labels of a file, print the residuals, and write the page.

    Parameters
    ----------
    model : pathlib.Path
        Model folder.
    data : pathlib.Path
        HDF5 file; the suffix ``.h5`` may be omitted.
    html : pathlib.Path
        Page to write.
    visits : bool
        Whether to evaluate the visits in place of the combined spectra.
    n_draws : int or None
        Number of posterior draws. None: that of the model.
    max_spectra : int
        Largest number of spectra to evaluate.
    reference : str
        Origin of the labels in the file.
    overwrite : bool
        Whether an existing page is replaced.

    Raises
    ------
    ValueError, OSError
        If model and file cannot be used, or the page cannot be written.
    """
    require_extra("report", "skbcnn evaluate")
    check_page(html, overwrite, inputs=[model, data])
    loaded = load_folder(model)
    if isinstance(loaded, Pipeline):
        raise ValueError(
            f"{model} holds a pipeline, expected a regressor: spectra of HDF5 files are used as they are. Save "
            "pipeline[-1], and write a file with spectra that the steps before it have transformed."
        )
    evaluation = evaluate(
        loaded,
        data,
        visits=visits,
        n_draws=n_draws,
        max_spectra=max_spectra,
        reference_name=reference,
        model_name=model.resolve().name,
    )
    file, sample = evaluation.file, evaluation.sample
    for note in (*model_notes(loaded), *sample_notes(file, sample)):
        click.echo(note)
    click.echo(f"Residuals (predicted minus {within_text(reference)}) of {len(sample)} {file.kind} of {file.path}:\n")
    print_residuals(evaluation.residuals)
    click.echo("\nDrawing the figures ...")
    click.echo(f"Wrote {evaluation.to_html(html, overwrite=overwrite)}")
