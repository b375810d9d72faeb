"""Settings of ``skbcnn train``: TOML file and options."""

import pytest

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
    from skbcnn import write_h5

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
