"""``skbcnn train``: an HDF5 file in, a model folder out."""

import click
import numpy as np

from skbcnn import __version__
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.cli.files import check_model_folder, column_names
from skbcnn.cli.screen import stage
from skbcnn.datasets import H5Loader
from skbcnn.persistence import save_folder


def run_train(*, data, out, target, no_errors, overwrite, seed, **parameters):
    """Train a model on a file, and save it.

    Parameters
    ----------
    data : pathlib.Path
        The HDF5 file; ``.h5`` may be left off.
    out : pathlib.Path
        The model folder to make.
    target : str
        ``"all"``, or labels with commas between them.
    no_errors : bool
        Whether to leave the errors in the file unused.
    overwrite : bool
        Whether a model of this name may be replaced.
    seed : int or None
        Of weights, order and draws.
    **parameters
        Of the regressor.

    Raises
    ------
    ValueError, OSError
        If the file cannot be trained on, or the model not be saved; the message says why.
    """
    check_model_folder(out, overwrite)
    data = data if data.is_file() else data.with_name(data.name + ".h5")
    columns = column_names(data)
    has_errors = any(name.endswith("_err") for name in columns) and not no_errors
    names = [name.strip() for name in target.split(",")]
    loader = H5Loader(data, load_err=has_errors, target=names[0] if len(names) == 1 else names)
    with stage(f"Reading {data}"):
        x, y, x_err, y_err = loader.load() if has_errors else (*loader.load(), None, None)
    model = ApogeeBCNNCensoredRegressor(target=loader.target, random_state=seed, verbose=1, **parameters)
    with stage(f"Training on {len(x)} stars, {'with' if has_errors else 'without'} their errors"):
        model.fit(x, y, x_err=x_err, y_err=y_err)
    print_history(model, len(x))
    synthetic = "synthetic" in columns and bool(np.all(loader.load_entry("synthetic")))
    save_folder(
        model.set_params(verbose=0),  # the bar is for whoever watches the training
        out,
        provenance={
            "training_data": "synthetic" if synthetic else data.name,
            "n_stars": len(x),
            "seed": model.seed_,
            "skbcnn": __version__,
        },
        overwrite=overwrite,
    )
    state = "The model of the training that was interrupted" if model.interrupted_ else "The model"
    click.echo(f"{state} is in {out}. Predict with: skbcnn predict {out} SPECTRA... --out labels.fits")


def print_history(model, n_stars):
    """Say how a training went.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    n_stars : int
        That came to `fit`.
    """
    history = model.history_
    n_held_out = int(n_stars * model.validation_fraction)
    click.echo(f"{n_stars - n_held_out} stars to learn from, {n_held_out} held out; {model.n_iter_} epochs.")
    if model.interrupted_:
        click.echo(f"Interrupted before all {model.max_epochs} epochs were run; the best weights until then are kept.")
    name, text = ("val_loss", "Validation") if "val_loss" in history else ("data_loss", "Training")
    if losses := history.get(name):
        best = int(np.argmin(losses))
        click.echo(
            f"{text} loss: {losses[0]:.3f} in the first epoch, {losses[best]:.3f} in the best ({best + 1}), "
            f"{losses[-1]:.3f} in the last; learning rate {history['lr'][0]:.2g} to {history['lr'][-1]:.2g}."
        )
