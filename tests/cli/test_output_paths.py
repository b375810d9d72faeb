"""Outputs are checked before any work is done."""

from pathlib import Path

import pytest

from tests.cli.runner import DWARF, refuse


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("l.txt", "ends in '.txt', expected one of"), ("no/l.fits", "there is no folder"), ("taken.csv", "exists.")],
)
def test_tables_that_cannot_be_written(tmp_path, name, sentence):
    (tmp_path / "taken.csv").write_text("")
    assert sentence in refuse("predict", "no-model", "no-spectrum.fits", "--out", tmp_path / name)


def test_a_folder_is_no_table(tmp_path):
    (tmp_path / "l.csv").mkdir()
    assert "is a folder" in refuse("predict", "no-model", DWARF, "--overwrite", "--out", tmp_path / "l.csv")


def test_inputs_are_never_replaced(tmp_path):
    spectra = tmp_path / "x.h5"
    spectra.write_bytes(b"years of work")
    model = tmp_path / "model"
    model.mkdir()
    for out, read in [(tmp_path / "model" / ".." / "x.h5", spectra), (model / "labels.csv", model)]:
        message = refuse("predict", model, spectra, "--overwrite", "--out", out)
        assert f"would write to {read}, which the command reads" in " ".join(message.split())
    assert spectra.read_bytes() == b"years of work"


def test_a_table_is_named_once(tmp_path):
    out = ("--out", tmp_path / "l.csv")
    assert "is given twice" in refuse("predict", "no-model", DWARF, *out, *out)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can write")
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("predict", "no-model", DWARF), "labels.csv"),
        (("train", "no-data.h5"), "model"),
        (("build", "no-table.fits", "--spectra", "no-mirror"), "datasets.h5"),
    ],
)
def test_a_folder_without_write_permission(command, name):
    assert "Nothing can be written in /proc" in refuse(*command, "--out", f"/proc/{name}")


def test_a_model_folder_without_parent(tmp_path):
    assert "there is no folder" in refuse("train", "data.h5", "--out", tmp_path / "absent" / "model")


@pytest.mark.parametrize("command", ["train", "demo"])
def test_folders_with_other_files_are_never_replaced(tmp_path, command):
    folder = tmp_path / "model" if command == "demo" else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "thesis").write_text("years of work")
    data = ["data.h5"] if command == "train" else []
    assert "holds thesis, which belong to no saved model" in refuse(command, *data, "--out", tmp_path, "--overwrite")


def test_the_demo_refuses_a_folder_with_content(tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    assert "is not empty. Choose another by --out, or pass --overwrite." in refuse("demo", "--out", tmp_path)


def test_the_demo_refuses_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    assert "cannot be made" in refuse("demo", "--out", tmp_path / "taken")


def test_the_folder_of_the_file_that_a_link_points_to_must_exist(tmp_path):
    (tmp_path / "l.csv").symlink_to("absent/l.csv")
    assert f"there is no folder {tmp_path / 'absent'}" in refuse("predict", "m", DWARF, "--out", tmp_path / "l.csv")


def test_a_link_that_leads_back_to_itself(tmp_path):
    (tmp_path / "l.csv").symlink_to("l.csv")
    assert "l.csv is a symbolic link that leads back to itself" in refuse(
        "predict", "m", DWARF, "--out", tmp_path / "l.csv"
    )
