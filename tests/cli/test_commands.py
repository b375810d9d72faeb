"""The entry point: help, version, and errors as sentences."""

import subprocess
import sys
from inspect import signature

import pytest

from skbcnn import ApogeeBCNNCensoredRegressor
from skbcnn.cli import main
from skbcnn.cli import predict as predict_module
from skbcnn.cli.commands import train as train_command
from tests.cli.runner import DWARF, run


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['skbcnn', '--help']\n"
        "from skbcnn.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*{'tensorflow', 'sklearn', 'astropy', 'numpy'} & {*sys.modules})"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == ""
    assert all(command in output for command in ("demo", "train", "predict"))


def test_module_and_version():
    ran = subprocess.run([sys.executable, "-m", "skbcnn", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("skbcnn, version 0.")
    assert ran.stderr == ""


def test_missing_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == "The command line needs click and rich: pip install 'skbcnn[cli]'."


def test_options_of_train_have_the_defaults_of_the_regressor():
    options = {option.name: getattr(option, "show_default", None) for option in train_command.params}
    defaults = {name: p.default for name, p in signature(ApogeeBCNNCensoredRegressor).parameters.items()}
    shared = (options.keys() & defaults.keys()) - {"target"}  # the regressor's None means all labels of its class
    assert shared == {"max_epochs", "lr", "batch_size", "dropout_rate"}
    for name in ("batch_size", "max_epochs"):  # without a default, the regressor chooses them
        shared.remove(name)
        assert defaults[name] == "auto"
    assert {name: options[name] for name in shared} == {name: str(defaults[name]) for name in shared}


def test_debug_shows_the_traceback(tmp_path):
    result = run("predict", tmp_path / "absent", DWARF, "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "Error: There is no folder" in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("What came."), "Error: What came.\n"),
        (MemoryError(), "Error: MemoryError\n"),
        (PermissionError(13, "Permission denied", "model"), "Error: Permission denied: model\n"),
    ],
)
def test_errors_are_sentences(monkeypatch, tmp_path, error, message):
    def fail(path):
        raise error

    monkeypatch.setattr(predict_module, "load_folder", fail)
    result = run("predict", tmp_path, DWARF)
    assert (result.exit_code, result.stderr) == (1, message)


def test_a_closed_pipe_is_no_error(monkeypatch, tmp_path):
    def fail(path):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(predict_module, "load_folder", fail)
    assert run("predict", tmp_path, DWARF).stderr == ""


def test_ctrl_c(monkeypatch, tmp_path):
    def press(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_module, "load_folder", press)
    result = run("predict", tmp_path, DWARF)
    assert (result.exit_code, result.output.strip()) == (130, "")
