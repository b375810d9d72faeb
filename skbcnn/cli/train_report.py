"""Report of ``skbcnn train``: parameters, tables and pictures of a training, in a folder beside the model."""

import json
from pathlib import Path

import click
import numpy as np
from astropy.table import Table

from skbcnn._atomic_writes import atomic_path
from skbcnn._optional_dependencies import require_extra
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.inspection import ResponseMatrix
from skbcnn.persistence.estimator_parameters import parameters_to_json
from skbcnn.plotting import ResponseDisplay, TrainingHistoryDisplay, save_figure
from skbcnn.survey import label_unit

_HISTORY, _CURVES = "history.csv", "history.png"
_RESIDUALS, _RESPONSES, _MATRIX = "residuals.csv", "responses.csv", "responses.png"
_PARAMETERS = "parameters.json"
_FILES = {_PARAMETERS, _HISTORY, _CURVES, _RESIDUALS, _RESPONSES, _MATRIX}


def report_folder(out: Path) -> Path:
    """Return the folder of the report on a model.

    Parameters
    ----------
    out : pathlib.Path
        Folder or zip file of the model.

    Returns
    -------
    folder : pathlib.Path

    Examples
    --------
    >>> from pathlib import Path
    >>> from skbcnn.cli.train_report import report_folder
    >>> report_folder(Path("dr17.zip")).name
    'dr17-report'
    """
    return out.with_name(f"{out.stem if out.suffix == '.zip' else out.name}-report")


def check_report_folder(folder: Path) -> None:
    """Raise if a folder cannot be replaced by a report.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the report.

    Raises
    ------
    FileExistsError
        If something stands there that is no report.
    """
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= _FILES):
        raise FileExistsError(
            f"{folder}, where the report on the training would be, exists and is no report. Choose another name by "
            "--out, or move it."
        )


def write_report(model: ApogeeBCNNCensoredRegressor, folder: Path, *, plots: bool) -> list[str]:
    """Write the parameters, and tables and pictures of a training.

    Parameters
    ----------
    model : ApogeeBCNNCensoredRegressor
        Fitted.
    folder : pathlib.Path
        Folder to make. An existing report is replaced.
    plots : bool
        Whether to draw pictures.

    Returns
    -------
    files : list of str
        Names of the files in the folder.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    if plots:
        plots = _has_matplotlib()
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        text = json.dumps(parameters_to_json(model), indent=2)
        (temporary / _PARAMETERS).write_text(f"{text}\n", encoding="utf-8")
        Table({"epoch": _epochs(model)} | model.history_).write(temporary / _HISTORY, format="ascii.csv")
        if plots:
            save_figure(TrainingHistoryDisplay.from_estimator(model).figure_, temporary / _CURVES)
        if model.validation_residuals_ is None:
            click.echo("The report has no residuals, for which at least 20 stars must be held out.")
        else:
            _residuals(model).write(temporary / _RESIDUALS, format="ascii.csv")
        if model.validation_responses_ is None:
            click.echo("The report has no response matrix, for which 200 held-out stars must have all labels.")
        else:
            _write_responses(model.validation_responses_, temporary, plots)
        return sorted(path.name for path in temporary.iterdir())


def _has_matplotlib() -> bool:
    """Return whether pictures can be drawn; say so if not."""
    try:
        require_extra("plot", "A picture")
    except ModuleNotFoundError as error:
        click.echo(f"No pictures are drawn. {error}")
        return False
    return True


def _epochs(model: ApogeeBCNNCensoredRegressor) -> np.ndarray:
    n_epochs = len(model.history_["lr"])
    return model.n_iter_ - n_epochs + 1 + np.arange(n_epochs)


def _residuals(model: ApogeeBCNNCensoredRegressor) -> Table:
    """Return bias and scatter of the held-out stars, as `residual_table` does."""
    found = model.validation_residuals_
    return Table(
        {
            "label": list(found),
            "n": [n for _, _, n in found.values()],
            "bias": [bias for bias, _, _ in found.values()],
            "scatter": [scatter for _, scatter, _ in found.values()],
            "unit": [label_unit(name) for name in found],
        }
    )


def _write_responses(responses: ResponseMatrix, folder: Path, plots: bool) -> None:
    _responses(responses).write(folder / _RESPONSES, format="ascii.csv")
    if plots:
        save_figure(ResponseDisplay.from_responses(responses).figure_, folder / _MATRIX)


def _responses(responses: ResponseMatrix) -> Table:
    """Return the response of each predicted label (rows) to each true label (columns), with standard errors."""
    table = Table({"predicted": list(responses.label_names)})
    for j, name in enumerate(responses.label_names):
        table[name] = responses.matrix[:, j]
    for j, name in enumerate(responses.label_names):
        table[f"{name}_err"] = responses.standard_errors[:, j]
    return table
