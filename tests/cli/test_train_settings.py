"""Settings of ``skbcnn train``: TOML file and options."""

import re

import pytest

from skbcnn import make_apogee_spectra, write_h5
from skbcnn.cli.train_settings import read_parameters, training_parameters
from tests.cli.runner import refuse


def write(tmp_path, text):
    (tmp_path / "recipe.toml").write_text(text)
    return tmp_path / "recipe.toml"


def test_any_parameter(tmp_path):
    text = """
        max_epochs = 7
        num_hidden = [8, 8, 4, 4, 2]
        maxnorm = "none"
        augmentation = {shift = 0.5}
        activation = "none"
        target = ["teff", "Mg"]
        [windows]
        Mg = [3, 4]
    """
    assert read_parameters(write(tmp_path, text)) == {
        "max_epochs": 7,
        "num_hidden": [8, 8, 4, 4, 2],
        "maxnorm": None,
        "augmentation": {"shift": 0.5},
        "activation": "none",  # which cannot be None, and is refused by name
        "target": ["teff", "Mg"],
        "windows": {"Mg": [3, 4]},
    }


def test_options_override_the_file(tmp_path):
    config = write(tmp_path, "max_epochs = 7\nlr = 0.5\nrandom_state = 3")
    options = {"max_epochs": 2, "lr": None, "random_state": 0}
    assert training_parameters(config, options) == {"max_epochs": 2, "lr": 0.5, "random_state": 0}
    assert training_parameters(None, options) == {"max_epochs": 2, "random_state": 0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_epoch = 3", "'max_epoch', which is no parameter of .* Did you mean max_epochs?"),
        ("zzz = 3", "'zzz', which is no parameter of .* Expected are activation, augmentation, "),
        ("callbacks = 'x'", "callbacks, which are functions: pass them in Python"),
        ("max_epochs 3", "cannot be read as TOML .* Write one parameter a line, such as: max_epochs = 40"),
        ("max_epochs = '\xff'", "cannot be read as TOML"),
    ],
)
def test_what_is_no_parameter_is_refused(tmp_path, text, sentence):
    (tmp_path / "recipe.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=sentence):
        read_parameters(tmp_path / "recipe.toml")


def test_bad_values_are_refused_before_the_data_are_read(tmp_path):
    data = write_h5(tmp_path / "d.h5", [[1.0, 0.9]], {"teff": [4500.0]})  # of too few pixels, which is not said
    config = write(tmp_path, "lr = -1")
    message = refuse("train", data, "--out", tmp_path / "model", "--config", config)
    assert "The 'lr' parameter of ApogeeBCNNCensoredRegressor must be a float in the range (0.0, inf)" in message
    message = refuse("train", data, "--out", tmp_path / "model", "--config", write(tmp_path, "target = 3"))
    assert "The 'target' parameter of ApogeeBCNNCensoredRegressor must be" in message
    assert "There is no file" in refuse("train", tmp_path / "absent", "--out", tmp_path / "model", "--config", config)


def test_no_such_file(tmp_path):
    message = refuse("train", tmp_path / "d", "--out", tmp_path / "model", "--config", tmp_path / "absent.toml")
    assert "No such file or directory" in message
    assert "absent.toml" in message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max_epochs = 1000000000000000000", "The 'max_epochs' parameter .* an int in the range \\[1, 1000000\\]"),
        ("max_epochs = 1e18", "The 'max_epochs' parameter .* an int in the range"),
        ("max_epochs = nan", "The 'max_epochs' parameter"),
        ("n_draws = 1000000000", "The 'n_draws' parameter"),
        ("lr = [0.1]", "The 'lr' parameter"),
        ("num_hidden = [[8, 8], [4]]", "num_hidden=.*, expected 5 whole numbers"),
        ("num_hidden = [8, 8, 4]", "num_hidden=.*, expected 5 whole numbers"),
        ("num_hidden = []", "num_hidden=.*, expected 5 whole numbers"),
        ("num_hidden = [8, 8, 4, nan, 2]", "num_hidden=.*, expected 5 whole numbers"),
        ("num_filters = [true, true]", "num_filters=.*, expected 2 whole numbers"),
        ("noise_augmentation = [3, 1]", "noise_augmentation=.*, expected one number, or a pair"),
        ("noise_augmentation = [[3, 1], [2]]", "noise_augmentation=.*, expected one number, or a pair"),
        ("augmentation = {noise = [[3, 1], [2]]}", "noise=.*, expected 2 finite numbers"),
        ("augmentation = {shift = 'x'}", "shift='x', expected a number"),
        ("target = [1]", "target=.*, expected 'all' or a list of names"),
        ("target = {Mg = 1}", "target=.*, expected 'all' or a list of names"),
        ("target = ['zzz']", "'zzz' is not a label known here"),
    ],
)
def test_refused_entries_are_named_with_their_file(tmp_path, text, sentence):
    """Before the data are read: the spectra have too few pixels, which is not said."""
    data = write_h5(tmp_path / "d.h5", [[1.0, 0.9]], {"teff": [4500.0]})
    config = write(tmp_path, text)
    message = refuse("train", data, "--out", tmp_path / "model", "--config", config)
    assert re.search(rf"recipe\.toml, {text.split()[0]}: .*{sentence}", message)


def test_an_entry_that_an_option_overrides_is_not_named(tmp_path):
    data = write_h5(tmp_path / "d.h5", [[1.0, 0.9]], {"teff": [4500.0]})
    config = write(tmp_path, "target = ['teff']")
    message = refuse("train", data, "--out", tmp_path / "model", "--config", config, "--target", "zzz")
    assert message.startswith("Error: 'zzz' is not a label known here")


@pytest.mark.parametrize(
    "windows", ["{Mg = [[1], [2, 3]]}", "{Mg = []}", "{Mg = [nan]}", "{Mg = 'x'}", "{Mg = [99999]}"]
)
def test_windows_that_cannot_be_used(tmp_path, windows):
    stars = make_apogee_spectra(24, random_state=0)
    data = write_h5(tmp_path / "d.h5", stars.X, {"Mg": stars.y[:, 6]})
    message = refuse("train", data, "--out", tmp_path / "model", "--config", write(tmp_path, f"windows = {windows}"))
    assert "recipe.toml, windows: The window of Mg " in message
