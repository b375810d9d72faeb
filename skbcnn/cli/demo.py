"""``skbcnn demo``: training, prediction, catalogue and pictures on synthetic stars."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from skbcnn import __version__
from skbcnn._optional_dependencies import require_extra
from skbcnn._prediction import Prediction
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.catalog import prediction_table, write_table
from skbcnn.cli.output_paths import check_model_folder, make_folder
from skbcnn.cli.terminal_tables import print_residuals, stage
from skbcnn.cli.train import print_history
from skbcnn.datasets import H5Loader, make_apogee_spectra, write_h5
from skbcnn.metrics import residual_table
from skbcnn.novelty import Assessment
from skbcnn.persistence import save_folder
from skbcnn.plotting import ResidualDisplay, ResidualOverviewDisplay, new_figure, overview_size, save_figure

DEMO_RECIPE = {"max_epochs": 48}  # fewer than by default, which shows the tool more quickly
_SNR_TRAIN, _SNR_TEST = 200, 100
_FILES = """
  datasets.h5     training stars, in the layout of H5Loader
  test.h5         test stars; labels with noise, and the true labels under `truth`
  catalogue.fits  predicted labels with errors and units
  pictures/       residuals of each label, and overview.png
  model/          the fitted model: JSON and arrays"""


def run_demo(*, out: Path, n_train: int, n_test: int, max_epochs: int | None, seed: int, overwrite: bool) -> None:
    """Draw stars, train, predict, and write everything into one folder.

    Parameters
    ----------
    out : pathlib.Path
        Folder to make.
    n_train, n_test : int
        Numbers of training stars and of test stars.
    max_epochs : int or None
        Passes through the training stars. None: the default.
    seed : int
        Seed of training stars and training; test stars are drawn with ``seed + 1``.
    overwrite : bool
        Whether the folder may have content already.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    OSError
        If the folder has content, or cannot be written.
    """
    require_extra("plot", "The demo")
    make_folder(out, overwrite)
    check_model_folder(out / "model", overwrite)
    with stage(f"Drawing {n_train} synthetic stars to train on and {n_test} to predict"):
        _write_stars(out / "datasets.h5", n_train, _SNR_TRAIN, seed)
        _write_stars(out / "test.h5", n_test, _SNR_TEST, seed + 1)
    with stage("Training"):
        model = _trained(out / "datasets.h5", seed, DEMO_RECIPE | ({"max_epochs": max_epochs} if max_epochs else {}))
    print_history(model, n_train)
    test = H5Loader(out / "test.h5", load_err=True)
    with stage("Predicting"):
        X, _, X_err, _ = test.load()
        prediction = model._predict_counting_noise_once(X, X_err)
        assessment = model.assess(X, X_err, prediction)
    truth = test.load_entry("truth")
    _print_accuracy(truth, prediction)
    with stage("Writing catalogue, pictures and model"):
        _write_catalogue(out / "catalogue.fits", test, prediction, assessment)
        _draw_pictures(out / "pictures", truth, prediction)
        _save_model(out / "model", model, test.preprocessing, n_train, seed)
    click.echo(f"\nIn {out}:{_FILES}\n\nNext: skbcnn predict {out / 'model'} apStar-....fits --out labels.fits")


def _write_stars(path: Path, n_stars: int, snr: float, seed: int) -> None:
    """Write synthetic stars to a file."""
    stars = make_apogee_spectra(n_stars, snr=snr, random_state=seed)
    write_h5(
        path,
        stars.X,
        stars.y,
        spectra_err=stars.X_err,
        labels_err=stars.y_err,
        extra={
            "APOGEE_ID": [f"synthetic-{seed}-{number:05d}" for number in range(n_stars)],
            "SNR": stars.snr,
            "synthetic": np.ones(n_stars, dtype=np.int8),
            "truth": stars.truth,
        },
        preprocessing=stars.preprocessing,
        overwrite=True,
    )


def _trained(path: Path, seed: int, recipe: dict[str, Any]) -> ApogeeBCNNCensoredRegressor:
    X, y, X_err, y_err = H5Loader(path, load_err=True).load()
    model = ApogeeBCNNCensoredRegressor(random_state=seed, verbose=1, **recipe).fit(X, y, x_err=X_err, y_err=y_err)
    return model.set_params(verbose=0)  # the progress bar is for training only


def _print_accuracy(truth: np.ndarray, prediction: Prediction) -> None:
    click.echo(
        f"\nResiduals (predicted minus true) of {len(truth)} synthetic test stars at S/N {_SNR_TEST}, against "
        "their true labels without noise:\n"
    )
    print_residuals(residual_table(truth, prediction.mean, label_names=prediction.label_names))
    click.echo()


def _write_catalogue(path: Path, test: H5Loader, prediction: Prediction, assessment: Assessment) -> None:
    columns = {"star": test.load_entry("APOGEE_ID"), "snr": test.load_entry("SNR")}
    meta = {"model": "skbcnn demo", "provenance": "synthetic stars", "skbcnn": __version__}
    table = prediction_table(prediction, columns=columns, assessment=assessment, meta=meta)
    write_table(table, path, overwrite=True)


def _draw_pictures(folder: Path, truth: np.ndarray, prediction: Prediction) -> None:
    """Draw the residuals of each label, and a page with all of them."""
    folder.mkdir(exist_ok=True)
    std = prediction.total if prediction.calibrated is None else prediction.calibrated
    for j, name in enumerate(prediction.label_names):
        figure = new_figure(7, 4.5)
        ResidualDisplay.from_predictions(
            truth[:, j], prediction.mean[:, j], y_std=std[:, j], label_name=name, ax=figure.add_subplot()
        )
        save_figure(figure, folder / f"{name}.png")
    page = new_figure(*overview_size(len(prediction.label_names)))
    ResidualOverviewDisplay.from_predictions(truth, prediction.mean, label_names=prediction.label_names, figure=page)
    save_figure(page, folder / "overview.png")


def _save_model(
    path: Path, model: ApogeeBCNNCensoredRegressor, preprocessing: dict[str, Any], n_stars: int, seed: int
) -> None:
    save_folder(
        model,
        path,
        preprocessing=preprocessing,
        provenance={
            "training_data": "synthetic",
            "n_stars": n_stars,
            "snr": _SNR_TRAIN,
            "seed": seed,
            "skbcnn": __version__,
        },
        overwrite=True,
    )
