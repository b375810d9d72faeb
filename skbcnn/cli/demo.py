"""``skbcnn demo``: the whole way from spectra to a catalogue, on synthetic stars."""

import click
import numpy as np

from skbcnn import __version__
from skbcnn._optional_dependencies import require_extra
from skbcnn._presets import preset
from skbcnn.apogee import ApogeeBCNNCensoredRegressor
from skbcnn.catalog import prediction_table, write_table
from skbcnn.cli.files import check_model_folder, make_folder
from skbcnn.cli.screen import print_residuals, stage
from skbcnn.cli.train import print_history
from skbcnn.datasets import H5Loader, make_apogee_spectra, write_h5
from skbcnn.metrics import residual_table
from skbcnn.persistence import save_folder
from skbcnn.plotting import ResidualDisplay, ResidualOverviewDisplay, new_figure, overview_size, save_figure
from skbcnn.preprocessing import ContinuumNormalizer

DEMO_RECIPE = preset("few_thousand_stars")
_SNR_TRAIN, _SNR_TEST = 200, 100
_FILES = """
  datasets.h5     the stars trained on, in the layout of H5Loader
  test.h5         the stars predicted, with their true labels
  catalogue.fits  predicted labels with errors and units
  pictures/       residuals of each label, and overview.png
  model/          the fitted model, as text and arrays"""


def run_demo(*, out, n_train, n_test, max_epochs, seed, overwrite):
    """Draw stars, train, predict, and write everything into one folder.

    Parameters
    ----------
    out : pathlib.Path
        The folder.
    n_train, n_test : int
        Stars to train on and to predict.
    max_epochs : int or None
        Passes through the training stars; None: those of `DEMO_RECIPE`.
    seed : int
        Of stars and training; test stars are drawn with the next one.
    overwrite : bool
        Whether the folder may hold something already.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.
    OSError
        If the folder holds something, or cannot be written.
    """
    require_extra("plot", "The demo")
    make_folder(out, overwrite)
    check_model_folder(out / "model", overwrite)
    normalizer = ContinuumNormalizer()
    with stage(f"Drawing {n_train} synthetic stars to train on and {n_test} to predict"):
        _write_stars(out / "datasets.h5", n_train, _SNR_TRAIN, seed, normalizer)
        _write_stars(out / "test.h5", n_test, _SNR_TEST, seed + 1, normalizer)
    with stage("Training"):
        model = _trained(out / "datasets.h5", seed, DEMO_RECIPE | ({"max_epochs": max_epochs} if max_epochs else {}))
    print_history(model, n_train)
    test = H5Loader(out / "test.h5", load_err=True)
    with stage("Predicting"):
        X, _, X_err, _ = test.load()
        prediction = model.predict_distribution(X, x_err=X_err)
        assessment = model.assess(X, X_err, prediction)
    truth = test.load_entry("truth")
    _print_accuracy(truth, prediction)
    with stage("Writing catalogue, pictures and model"):
        _write_catalogue(out / "catalogue.fits", test, prediction, assessment)
        _draw_pictures(out / "pictures", truth, prediction)
        _save_model(out / "model", model, normalizer, n_train, seed)
    click.echo(f"\nIn {out}:{_FILES}\n\nNext: skbcnn predict {out / 'model'} apStar-....fits --out labels.fits")


def _write_stars(path, n_stars, snr, seed, normalizer):
    """Synthetic stars as a file, their spectra normalised as real ones are."""
    stars = make_apogee_spectra(n_stars, snr=snr, random_state=seed)
    spectra = normalizer.normalize(stars.X, stars.X_err)
    write_h5(
        path,
        spectra.flux,
        stars.y,
        spectra_err=spectra.err,
        labels_err=stars.y_err,
        extra={
            "APOGEE_ID": [f"synthetic-{seed}-{number:05d}" for number in range(n_stars)],
            "SNR": stars.snr,
            "synthetic": np.ones(n_stars, dtype=np.int8),
            "truth": stars.truth,
        },
        overwrite=True,
    )


def _trained(path, seed, recipe):
    X, y, X_err, y_err = H5Loader(path, load_err=True).load()
    model = ApogeeBCNNCensoredRegressor(random_state=seed, verbose=1, **recipe).fit(X, y, x_err=X_err, y_err=y_err)
    return model.set_params(verbose=0)  # the bar is for whoever watches the training


def _print_accuracy(truth, prediction):
    click.echo(
        f"\nResiduals (predicted minus true) of {len(truth)} synthetic test stars at S/N {_SNR_TEST}, against "
        "their true labels, which have no noise:\n"
    )
    print_residuals(residual_table(truth, prediction.mean, label_names=prediction.label_names))
    click.echo()


def _write_catalogue(path, test, prediction, assessment):
    columns = {"star": test.load_entry("APOGEE_ID"), "snr": test.load_entry("SNR")}
    meta = {"model": "skbcnn demo", "provenance": "synthetic stars", "predicted with": f"skbcnn {__version__}"}
    table = prediction_table(prediction, columns=columns, assessment=assessment, meta=meta)
    write_table(table, path, overwrite=True)


def _draw_pictures(folder, truth, prediction):
    """A picture of the residuals of each label, and a page with all of them."""
    folder.mkdir(exist_ok=True)
    for j, name in enumerate(prediction.label_names):
        figure = new_figure(7, 4.5)
        ResidualDisplay.from_predictions(
            truth[:, j], prediction.mean[:, j], y_std=prediction.total[:, j], label_name=name, ax=figure.add_subplot()
        )
        save_figure(figure, folder / f"{name}.png")
    page = new_figure(*overview_size(len(prediction.label_names)))
    ResidualOverviewDisplay.from_predictions(truth, prediction.mean, label_names=prediction.label_names, figure=page)
    save_figure(page, folder / "overview.png")


def _save_model(path, model, normalizer, n_stars, seed):
    save_folder(
        model,
        path,
        preprocessing=normalizer.get_params() | {"combination": "pixel"},
        provenance={
            "training_data": "synthetic",
            "n_stars": n_stars,
            "snr": _SNR_TRAIN,
            "seed": seed,
            "skbcnn": __version__,
        },
        overwrite=True,
    )
