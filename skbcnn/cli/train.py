"""``skbcnn train``: a model folder from an HDF5 file."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from skbcnn import __version__
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.cli.output_paths import check_model_folder
from skbcnn.cli.terminal_tables import stage
from skbcnn.datasets import H5Loader
from skbcnn.datasets.h5 import dataset_names, with_suffix
from skbcnn.inspection import ResponseMatrix
from skbcnn.persistence import save_folder
from skbcnn.survey import resolve_target

_N_LOWEST = 3  # elements that are named because they respond least


def run_train(
    *, data: Path, out: Path, target: str, no_errors: bool, overwrite: bool, seed: int | None, **parameters: Any
) -> None:
    """Train a model on a file, and save it.

    Parameters
    ----------
    data : pathlib.Path
        HDF5 file; the suffix ``.h5`` may be omitted.
    out : pathlib.Path
        Model folder to write.
    target : str
        ``"all"``, or labels separated by commas.
    no_errors : bool
        Whether to ignore the errors in the file.
    overwrite : bool
        Whether an existing model is replaced.
    seed : int or None
        Seed of weights, order and draws.
    **parameters
        Parameters of the regressor; None for their defaults.

    Raises
    ------
    ValueError, OSError
        If the file cannot be used for training, or the model cannot be saved.
    """
    check_model_folder(out, overwrite)
    data = data if data.exists() else with_suffix(data)
    columns = dataset_names(data)
    has_errors = any(name.endswith("_err") for name in columns) and not no_errors
    names = [name.strip() for name in target.split(",") if name.strip()]
    wanted = names[0] if len(names) == 1 else names
    resolve_target(wanted)  # before H5Loader does, whose advice is for Python
    loader = H5Loader(data, load_err=has_errors, target=wanted)
    with stage(f"Reading {data}"):
        x, y, *errors = loader.load()
        x_err, y_err = errors or (None, None)
        preprocessing = loader.preprocessing
    if not preprocessing:
        click.echo(
            f"{data} does not record how its spectra were prepared, so the model does not either: skbcnn predict will "
            "prepare spectra of FITS files with the defaults of ContinuumNormalizer. Record it with "
            "write_h5(..., preprocessing=normalizer.get_params())."
        )
    given = {name: value for name, value in parameters.items() if value is not None}
    model = ApogeeBCNNCensoredRegressor(target=loader.target, random_state=seed, verbose=1, **given)
    with stage(f"Training on {len(x)} stars, {'with' if has_errors else 'without'} their errors"):
        model.fit(x, y, x_err=x_err, y_err=y_err)
    print_history(model, len(x))
    synthetic = "synthetic" in columns and bool(np.all(loader.load_entry("synthetic")))
    save_folder(
        model.set_params(verbose=0),  # the progress bar is for training only
        out,
        preprocessing=preprocessing,
        provenance={
            "training_data": "synthetic" if synthetic else data.name,
            "n_stars": len(x),
            "seed": model.seed_,
            "skbcnn": __version__,
        },
        overwrite=overwrite,
    )
    state = "The model of the interrupted training" if model.interrupted_ else "The model"
    click.echo(f"{state} is in {out}. Predict with: skbcnn predict {out} SPECTRA... --out labels.fits")


def print_history(model: Any, n_stars: int) -> None:
    """Print a summary of the training.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    n_stars : int
        Number of stars passed to `fit`.
    """
    history = model.history_
    n_held_out = int(n_stars * model.validation_fraction)
    click.echo(f"{n_stars - n_held_out} training stars, {n_held_out} held-out stars; {model.n_iter_} epochs.")
    if model.interrupted_:
        click.echo("Interrupted before the last epoch; the best weights until then are kept.")
    key, text = ("val_loss", "Validation") if "val_loss" in history else ("data_loss", "Training")
    if losses := history.get(key):
        best = int(np.argmin(losses))
        click.echo(
            f"{text} loss: {losses[0]:.3f} in the first epoch, {losses[best]:.3f} in the best ({best + 1}), "
            f"{losses[-1]:.3f} in the last; learning rate {history['lr'][0]:.2g} to {history['lr'][-1]:.2g}."
        )
    responses = model.validation_responses_
    if responses is not None and responses.elements:
        print_responses(responses)


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
