"""``skbcnn train``: models from HDF5 files."""

import json
import re

import h5py
import numpy as np
import pytest
from astropy.table import Table

import skbcnn.cli.train as train_module
from skbcnn import ApogeeBCNNCensoredRegressor, load_folder, make_apogee_spectra, write_h5
from skbcnn.inspection import ResponseMatrix
from tests.cli.runner import TINY, refuse, run, succeed

N_STARS = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """File of synthetic stars. Shared by all tests: do not change it."""
    stars = make_apogee_spectra(N_STARS, random_state=0)
    return write_h5(
        tmp_path_factory.mktemp("cli") / "datasets.h5",
        stars.X,
        stars.y,
        spectra_err=stars.X_err,
        labels_err=stars.y_err,
        extra={"synthetic": np.ones(N_STARS, dtype=np.int8)},
    )


@pytest.fixture(scope="module")
def stars():
    return make_apogee_spectra(20, random_state=1)


@pytest.fixture
def small(monkeypatch):
    """Let `train` train narrow networks without calibration."""
    _replace_regressor(monkeypatch, TINY | {"calibrate": False})


def _replace_regressor(monkeypatch, own):
    monkeypatch.setattr(
        train_module, "ApogeeBCNNCensoredRegressor", lambda **given: ApogeeBCNNCensoredRegressor(**given | own)
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Folder and output of a training of three labels. Shared by all tests: do not change it."""
    out = tmp_path_factory.mktemp("cli") / "model"
    with pytest.MonkeyPatch.context() as patch:
        _replace_regressor(patch, TINY)
        output = succeed("train", data, "--out", out, "--target", "teff, logg,[Mg/H]", "--max-epochs", 2, "--seed", 3)
    return out, output


def test_output(trained):
    output = trained[1]
    assert f"Training on {N_STARS} stars, with their errors" in output
    assert "36 training stars, 4 held-out stars; 2 epochs." in output
    assert "Validation loss: " in output


def test_responses_are_printed(capsys):
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, 5))
    names = ["teff", "Mg", "Al", "Na", "K"]
    train_module.print_responses(ResponseMatrix.from_predictions(true, true * [1, 1, 0.8, 0.5, 0.7], label_names=names))
    assert capsys.readouterr().out == (
        "Response of the elements to their own true values: 0.75 +- 0.00 on average "
        "(lowest: Na 0.50, K 0.70, Al 0.80); to each other: 0.000 (rms).\n"
    )


def test_model(trained):
    model = load_folder(trained[0])
    assert model.target_names_ == ("teff", "logg", "Mg")
    assert (model.random_state, model.max_epochs, model.verbose) == (3, 2, 0)
    assert model.noise_level_ is not None
    assert model.provenance_["training_data"] == "synthetic"
    assert model.provenance_["n_stars"] == N_STARS
    assert json.loads((trained[0] / "model.json").read_text(encoding="utf-8"))["network"]["dropout_rate"] == 0.05


def test_then_predict(trained, data, tmp_path):
    output = succeed("predict", trained[0], data, "--out", tmp_path / "l.csv")
    assert "This model was trained on synthetic stars only" in output
    assert {"teff", "logg", "Mg", "Mg_err"} <= {*Table.read(tmp_path / "l.csv").colnames}


def test_existing_model(trained, data, tmp_path, small):
    assert "exists. Choose another name by --out, or pass --overwrite." in refuse("train", data, "--out", trained[0])
    out = tmp_path / "model"
    load_folder(trained[0]).save(out)
    arguments = ("--target", "teff", "--max-epochs", 1, "--dropout-rate", 0.2)
    succeed("train", data, "--out", out, "--overwrite", *arguments)
    model = load_folder(out)
    assert (model.target_names_, model.dropout_rate) == (("teff",), 0.2)


@pytest.mark.usefixtures("small")
class TestErrorsInTheFile:
    ARGUMENTS = ("--target", "teff", "--max-epochs", 1)

    def test_none(self, stars, tmp_path):
        write_h5(tmp_path / "bare.h5", stars.X, {"teff": stars.y[:, 0]})
        output = succeed("train", tmp_path / "bare", "--out", tmp_path / "model", *self.ARGUMENTS)
        assert "without their errors" in output
        model = load_folder(tmp_path / "model")
        assert model.noise_level_ is None
        assert model.provenance_["training_data"] == "bare.h5"

    def test_of_some_columns_only(self, stars, tmp_path):
        write_h5(tmp_path / "some.h5", stars.X, {"teff": stars.y[:, 0]}, spectra_err=stars.X_err)
        arguments = ("train", tmp_path / "some.h5", "--out", tmp_path / "model", *self.ARGUMENTS)
        assert "has no teff_err" in refuse(*arguments)
        assert "without their errors" in succeed(*arguments, "--no-errors")


@pytest.mark.usefixtures("small")
def test_ctrl_c_saves_the_model(data, tmp_path, monkeypatch):
    from skbcnn.network.tensorflow.training import KeepBest

    on_epoch_end = KeepBest.on_epoch_end

    def press(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(KeepBest, "on_epoch_end", press)
    result = run("train", data, "--out", tmp_path / "model", "--target", "teff", "--max-epochs", 5)
    assert result.exit_code == 0
    assert "Note: Training interrupted by user" in result.stderr
    assert "Interrupted before the last epoch" in result.stdout
    assert "The model of the interrupted training is in" in result.stdout
    assert load_folder(tmp_path / "model").interrupted_


@pytest.mark.parametrize(
    ("target", "sentence"), [("teff,unobtainium", "'unobtainium' is not a label"), ("alpha", "has no alpha")]
)
def test_labels_that_are_not_in_the_file(data, tmp_path, target, sentence):
    assert sentence in refuse("train", data, "--out", tmp_path / "model", "--target", target)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cut.h5", None, "cut short or damaged"),
        ("text.h5", b"no data", "cannot be read as HDF5"),
        ("absent", b"", "There is no file"),
    ],
)
def test_files_that_cannot_be_read(data, tmp_path, name, content, sentence):
    if name != "absent":
        (tmp_path / name).write_bytes(content or data.read_bytes()[:5000])
    assert sentence in refuse("train", tmp_path / name, "--out", tmp_path / "model")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("dataset", "value", "sentence"),
    [
        ("spectra", np.nan, "Error: The file contains NaN or other flux"),
        ("spectra_err", -1, "Error: spectra_err is negative"),
        ("teff", np.inf, "Error: The file contains infinity"),
        ("teff", -9999, "no value at all for teff: .* Name the other labels by --target"),
        ("teff_err", -1, "Error: <label>_err is negative"),
    ],
)
def test_unusable_values_are_named_by_dataset(stars, tmp_path, dataset, value, sentence):
    labels, errors = {"teff": stars.y[:, 0]}, {"teff": np.ones(len(stars.y))}
    path = write_h5(tmp_path / "stars.h5", stars.X, labels, spectra_err=stars.X_err, labels_err=errors)
    with h5py.File(path, "a") as file:
        file[dataset][...] = value
    message = refuse("train", path, "--out", tmp_path / "model", "--target", "teff", "--max-epochs", 1)
    assert re.search(sentence, message)


@pytest.mark.usefixtures("small")
def test_warnings_name_the_file(stars, tmp_path):
    path = write_h5(tmp_path / "counts.h5", 300 * stars.X, {"teff": stars.y[:, 0]})
    output = succeed("train", path, "--out", tmp_path / "model", "--target", "teff", "--max-epochs", 1)
    assert "Note: The median flux of the file is 2" in output  # near 300, as absorption lowers it
