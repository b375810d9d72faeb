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
from tests.kills import contents, kill_and_resume, skbcnn

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
    assert model.provenance_["random_state"] == 3
    assert "random_state 3" in succeed("info", trained[0])
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
    ("target", "sentence"),
    [("teff,unobtainium", "'unobtainium' is not a label"), ("alpha", "Without --target, all labels")],
)
def test_labels_that_are_not_in_the_file(data, tmp_path, target, sentence):
    assert sentence in refuse("train", data, "--out", tmp_path / "model", "--target", target)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cut.h5", None, "cut short or damaged"),
        ("text.h5", b"no data", "text.h5 is a text file, expected an HDF5 file"),
        (
            "allStar.fits",
            b"SIMPLE  =",
            "a FITS file, expected an HDF5 file. Pass a file in the datasets.h5 layout: skbcnn build makes",
        ),
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


RECIPE = """
num_hidden = [8, 8, 4, 4, 2]
num_filters = [1, 2]
n_draws = 4
lr = 0.001
validation_fraction = 0.5
random_state = 4
"""


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """File of 20 stars with a combined spectrum and a visit each, and a recipe. Shared by all tests."""
    stars = make_apogee_spectra(N_STARS, random_state=0)
    folder = tmp_path_factory.mktemp("visits")
    (folder / "recipe.toml").write_text(RECIPE)
    names = [f"2M{number // 2:04d}" for number in range(N_STARS)]
    return write_h5(
        folder / "datasets.h5",
        stars.X,
        {"teff": stars.y[:, 0], "Mg": stars.y[:, 6]},
        spectra_err=stars.X_err,
        labels_err={"teff": stars.y_err[:, 0], "Mg": stars.y_err[:, 6]},
        in_flag=np.arange(N_STARS) % 2,
        extra={"APOGEE_ID": names},
    )


def train_visits(visits, out, *more):
    return ("train", visits, "--out", out, "--config", visits.with_name("recipe.toml"), "--visits", "--no-plots", *more)


def test_recipe_visits_and_labels(visits, tmp_path):
    output = succeed(*train_visits(visits, tmp_path / "model", "--max-epochs", 2, "--lr", 0.002))
    assert "Training on 40 spectra of 20 stars" in output
    assert "not trained on" not in output
    assert "10 training stars, 10 held-out stars, each with all its spectra; 2 epochs." in output
    assert "; the other 2 labels are used" in output
    model = load_folder(tmp_path / "model")
    assert (model.lr, model.num_hidden, model.n_draws) == (0.002, (8, 8, 4, 4, 2), 4)
    assert model.target_names_ == ("teff", "Mg")
    assert model.validation_residuals_["teff"][2] == 20  # half of the stars
    assert (model.provenance_["n_stars"], model.provenance_["n_spectra"]) == (20, 40)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report"]
    assert Table.read(tmp_path / "model-report" / "residuals.csv")["n"][0] == 20


def test_visits_that_are_not_trained_on_are_counted(visits, tmp_path):
    command = [word for word in train_visits(visits, tmp_path / "model", "--max-epochs", 1) if word != "--visits"]
    output = succeed(*command)
    assert f"{visits} also has 20 visits, which are not used. Pass --visits to train on them." in output
    assert "10 training stars, 10 held-out stars; 1 epoch." in output


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ([0.0003, 0.003, 0.001], "0.0003 to 0.003 (warm-up), then to 0.001"),
        ([0.0003, 0.003], "0.0003 to 0.003 (warm-up)"),
        ([0.003, 0.0001], "0.003, then to 0.0001"),
        ([0.003], "0.003"),
    ],
)
def test_learning_rates_in_words(rates, words):
    assert train_module._range_of_rates(rates) == words


def test_spectra_of_a_star_are_on_one_side(visits, tmp_path, monkeypatch):
    """The groups that `fit` gets are those of the file."""
    groups = []

    def fit(self, X, y, groups_=groups, **arguments):
        groups_.append(arguments["groups"])
        raise ValueError("enough")

    monkeypatch.setattr(ApogeeBCNNCensoredRegressor, "fit", fit)
    refuse(*train_visits(visits, tmp_path / "model"))
    assert groups[0].tolist() == [f"2M{number // 2:04d}" for number in range(N_STARS)]


def test_streamed_spectra_give_the_same_model(visits, tmp_path):
    for name, more in (("memory", ()), ("stream", ("--stream",))):
        succeed(*train_visits(visits, tmp_path / name, "--max-epochs", 1, *more))
    assert contents(tmp_path / "stream") == contents(tmp_path / "memory")


def killed_after(n_epochs, monkeypatch):
    """Let a training end with an error after some epochs."""
    from skbcnn.network.tensorflow.training import KeepBest

    on_epoch_end = KeepBest.on_epoch_end

    def kill(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        if epoch == n_epochs:
            raise OSError("killed")

    monkeypatch.setattr(KeepBest, "on_epoch_end", kill)


def test_the_same_command_resumes_and_another_is_refused(visits, tmp_path, monkeypatch):
    command = train_visits(visits, tmp_path / "model", "--max-epochs", 4)
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        assert "killed" in refuse(*command)
    assert [path.name for path in tmp_path.iterdir()] == [".model.unfinished"]
    message = refuse(*command, "--lr", 0.1)
    assert "lr was 0.001 and is now 0.1" in message
    assert "Give the file and the options of the interrupted training to resume it, or pass --overwrite" in message
    assert "Resuming the unfinished training after epoch 2." in succeed(*command)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report"]
    resumed = contents(tmp_path / "model")
    output = succeed(*command, "--overwrite")
    assert "Resuming" not in output
    assert contents(tmp_path / "model") == resumed


def test_a_report_that_cannot_be_written_costs_no_training(visits, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("The disk is full.")

    command = train_visits(visits, tmp_path / "model", "--max-epochs", 2)
    with monkeypatch.context() as patch:
        patch.setattr("skbcnn.cli.train.write_report", fail)
        assert "The disk is full." in refuse(*command)
    assert "Resuming the unfinished training after epoch 2." in succeed(*command)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report"]


def test_overwrite_begins_again_if_the_unfinished_training_is_another(visits, tmp_path, monkeypatch):
    command = train_visits(visits, tmp_path / "model", "--max-epochs", 2)
    with monkeypatch.context() as patch:
        killed_after(1, patch)
        refuse(*command)
    output = succeed(*command, "--lr", 0.1, "--overwrite")
    assert "Resuming" not in output
    assert load_folder(tmp_path / "model").lr == 0.1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report"]


def test_damaged_checkpoint(visits, tmp_path):
    (tmp_path / ".model.unfinished").mkdir()
    (tmp_path / ".model.unfinished" / "checkpoint.npz").write_bytes(b"damage")
    message = refuse(*train_visits(visits, tmp_path / "model", "--max-epochs", 1))
    assert re.search(r"cannot be read .* Pass --overwrite to begin the training again\.", message, re.DOTALL)


def test_two_runs_at_once(visits, tmp_path):
    from skbcnn._resumable import locked_output

    with locked_output(tmp_path / "model"):
        message = refuse(*train_visits(visits, tmp_path / "model"))
    assert "Another process is writing" in message
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_kills_at_random_moments(visits, tmp_path):
    """By kill -9, through the command line: the model is equal byte by byte."""
    command = skbcnn(*train_visits(visits, tmp_path / "model", "--max-epochs", 20))
    assert kill_and_resume(command, tmp_path / "model", n_kills=3) >= 1
