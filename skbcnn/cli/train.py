"""``skbcnn train``: a model folder from an HDF5 file."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np

from skbcnn import __version__
from skbcnn._resumable import locked_output, unfinished_folder
from skbcnn._training_checkpoint import TrainingCheckpoint
from skbcnn._training_data import number_held_out
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.cli.output_paths import check_model_folder
from skbcnn.cli.terminal_tables import counted, stage
from skbcnn.cli.train_data import labels_to_train, note_unused_visits, star_of_each_spectrum
from skbcnn.cli.train_report import check_report_folder, report_folder, write_report
from skbcnn.cli.train_settings import errors_name_the_recipe, training_parameters
from skbcnn.datasets import H5Loader
from skbcnn.datasets.h5 import dataset_names, with_suffix
from skbcnn.datasets.streaming import StreamedData, streamed
from skbcnn.inspection import ResponseMatrix
from skbcnn.persistence import save_folder

_N_LOWEST = 3  # elements that are named because they respond least


def run_train(
    *,
    data: Path,
    out: Path,
    config: Path | None,
    target: str | None,
    visits: bool,
    no_errors: bool,
    no_plots: bool,
    stream: bool,
    overwrite: bool,
    seed: int | None,
    **options: Any,
) -> None:
    """Train a model on a file, save it, and write a report on the training.

    Parameters
    ----------
    data : pathlib.Path
        HDF5 file; the suffix ``.h5`` may be omitted.
    out : pathlib.Path
        Model folder to write.
    config : pathlib.Path or None
        TOML file with parameters of the regressor.
    target : str or None
        ``"all"``, or labels separated by commas. None: those of the 22 that the file has.
    visits : bool
        Whether to train on single visits, too.
    no_errors : bool
        Whether to ignore the errors in the file.
    no_plots : bool
        Whether to leave out the pictures of the report.
    stream : bool
        Whether the spectra stay in the file.
    overwrite : bool
        Whether an existing model, or an unfinished training with other settings, is replaced.
    seed : int or None
        Seed of weights, order and draws.
    **options
        Parameters of the regressor that override those of `config`; None for those that were not given.

    Raises
    ------
    ValueError, OSError
        If the file cannot be used for training, or the model cannot be saved.
    """
    check_model_folder(out, overwrite)
    report = report_folder(out)
    check_report_folder(report)
    options |= {"random_state": seed, "target": target}
    parameters = {"verbose": 1} | training_parameters(config, options)
    data = data if data.exists() else with_suffix(data)
    columns = dataset_names(data)
    has_errors = any(name.endswith("_err") for name in columns) and not no_errors
    loader = H5Loader(data, load_err=has_errors, load_combined=None if visits else True)
    preparation = loader.preprocessing  # raises if there is no such file
    model = ApogeeBCNNCensoredRegressor(**parameters)
    with errors_name_the_recipe(config, options):
        model._validate_params()  # before the data are read
        loader.target = labels_to_train(loader, parameters.get("target"))
    model.set_params(target=loader.target)
    with locked_output(out):
        check_model_folder(out, overwrite)  # another process may have completed it
        stars = star_of_each_spectrum(loader, visits)
        if not visits:
            note_unused_visits(data)
        _note_preparation(data, preparation)
        checkpoint = TrainingCheckpoint(
            unfinished_folder(out) / "checkpoint.npz", keep=True, overwrite=overwrite, on_resume=_print_resumed
        )
        with ExitStack() as stack:
            with stage(f"{'Opening' if stream else 'Reading'} {data}"):
                opened = stack.enter_context(streamed(loader, out.parent, verbose=1)) if stream else None
                x, y, x_err, y_err = opened or StreamedData(*loader.load())
            with (
                errors_name_the_recipe(config, options),
                stage(f"Training on {_number_of(x, stars)}, {'with' if has_errors else 'without'} their errors"),
            ):
                model.fit(x, y, x_err=x_err, y_err=y_err, groups=stars, checkpoint=checkpoint)
        n_spectra = len(y)
        print_history(model, n_spectra, stars)
        model.set_params(verbose=0)  # the progress bar is for training only
        files = write_report(model, report, plots=not no_plots)  # first: once the model is there, the work is done
        save_folder(
            model,
            out,
            preprocessing=preparation,
            provenance=_provenance(model, loader, data, n_spectra, stars),
            overwrite=overwrite,
        )
        checkpoint.remove()
    state = "The model of the interrupted training" if model.interrupted_ else "The model"
    click.echo(f"{state} is in {out}, the report on its training in {report} ({', '.join(files)}).")
    click.echo(f"Predict with: skbcnn predict {out} SPECTRA... --out labels.fits")


def _provenance(
    model: ApogeeBCNNCensoredRegressor, loader: H5Loader, data: Path, n_spectra: int, stars: np.ndarray | None
) -> dict[str, Any]:
    """Return what a model folder records about its training."""
    is_marked = "synthetic" in dataset_names(data)
    synthetic = is_marked and bool(np.all(loader.load_entry("synthetic")))
    return {
        "training_data": "synthetic" if synthetic else data.name,
        "n_stars": n_spectra if stars is None else len(set(stars)),
        "n_spectra": n_spectra,
        "random_state": "none" if model.random_state is None else model.random_state,
        "skbcnn": __version__,
    }


def _note_preparation(data: Path, preprocessing: dict[str, Any]) -> None:
    if not preprocessing:
        click.echo(
            f"{data} does not record how its spectra were prepared, so the model does not either: skbcnn predict will "
            "prepare spectra of FITS files with the defaults of ContinuumNormalizer. Record it with "
            "write_h5(..., preprocessing=normalizer.get_params())."
        )


def _print_resumed(n_epochs: int) -> None:
    click.echo(f"Resuming the unfinished training after epoch {n_epochs}.")


def _number_of(x: Any, stars: np.ndarray | None) -> str:
    """Return how many stars are trained on, and how many spectra they have."""
    return f"{len(x)} stars" if stars is None else f"{len(x)} spectra of {counted(len(set(stars)), 'star')}"


def print_history(model: Any, n_spectra: int, stars: np.ndarray | None = None) -> None:
    """Print a summary of the training.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    n_spectra : int
        Number of spectra passed to `fit`.
    stars : ndarray of shape (n_spectra,), default=None
        Star of each spectrum, by which spectra were held out. None: each is of another star.
    """
    history = model.history_
    n_stars = n_spectra if stars is None else len(set(stars))
    n_held_out = number_held_out(n_stars, model.validation_fraction, of_groups=stars is not None)
    whole = "" if stars is None else ", each with all its spectra"
    click.echo(
        f"{counted(n_stars - n_held_out, 'training star')}, {counted(n_held_out, 'held-out star')}{whole}; "
        f"{counted(model.n_iter_, 'epoch')}."
    )
    if model.interrupted_:
        click.echo("Interrupted before the last epoch; the best weights until then are kept.")
    key, text = ("val_loss", "Validation") if "val_loss" in history else ("data_loss", "Training")
    if losses := history.get(key):
        best = int(np.argmin(losses))
        click.echo(
            f"{text} loss: {losses[0]:.3f} in the first epoch, {losses[best]:.3f} in the best ({best + 1}), "
            f"{losses[-1]:.3f} in the last; learning rate {_range_of_rates(history['lr'])}."
        )
    responses = model.validation_responses_
    if responses is not None and responses.elements:
        print_responses(responses)


def _range_of_rates(rates: Sequence[float]) -> str:
    """Return the learning rates of all epochs in words; the first epochs may warm up."""
    first, last, largest = rates[0], rates[-1], max(rates)
    warm_up = f"{first:.2g} to {largest:.2g} (warm-up)" if first < largest else f"{first:.2g}"
    return warm_up if last == largest else f"{warm_up}, then to {last:.2g}"


def print_responses(responses: ResponseMatrix) -> None:
    """Print whether the labels of the held-out stars measure themselves.

    Parameters
    ----------
    responses : ResponseMatrix
        Responses of the held-out stars.
    """
    own = dict(zip(responses.label_names, responses.own, strict=True))
    lowest = sorted(responses.elements, key=own.__getitem__)[:_N_LOWEST]
    click.echo(
        f"Response of the elements to their own true values: {responses.mean_own:.2f} +- "
        f"{responses.mean_own_error:.2f} on average (lowest: "
        f"{', '.join(f'{name} {own[name]:.2f}' for name in lowest)}); to each other: {responses.rms_foreign:.3f} (rms)."
    )
