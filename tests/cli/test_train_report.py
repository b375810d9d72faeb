"""Report of ``skbcnn train``: tables and pictures."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.image import imread

from skbcnn import _optional_dependencies
from skbcnn.cli.train_report import check_report_folder, report_folder, write_report
from skbcnn.inspection import ResponseMatrix


@pytest.fixture(scope="module")
def model():
    """What the report reads of a model whose third label is half of the true one."""
    true = np.random.default_rng(0).normal(size=(300, 3))
    responses = ResponseMatrix.from_predictions(true, true * [1, 1, 0.5], label_names=["teff", "Mg", "Al"])
    return SimpleNamespace(
        history_={"loss": [0.5, 0.4], "val_loss": [0.6, 0.5], "lr": [0.1, 0.05]},
        n_iter_=5,  # three of an earlier training
        validation_residuals_={"teff": (1.5, 60.0, 40), "Mg": (0.0, 0.04, 39)},
        validation_responses_=responses,
        get_params=lambda deep: {"random_state": 7, "num_hidden": (8, 8, 4, 4, 2), "callbacks": print},
    )


@pytest.fixture
def drawable(model, monkeypatch):
    monkeypatch.setattr("skbcnn.plotting.history.find_regressor", lambda estimator: estimator)
    return model


def test_tables(drawable, tmp_path):
    assert write_report(drawable, tmp_path / "m-report", plots=False) == [
        "history.csv",
        "parameters.json",
        "residuals.csv",
        "responses.csv",
    ]
    parameters = json.loads((tmp_path / "m-report" / "parameters.json").read_text())
    assert parameters == {"random_state": 7, "num_hidden": [8, 8, 4, 4, 2], "callbacks": None}
    history, residuals, responses = (
        Table.read(tmp_path / "m-report" / f"{name}.csv") for name in ("history", "residuals", "responses")
    )
    assert history["epoch"].tolist() == [4, 5]
    assert history["val_loss"].tolist() == [0.6, 0.5]
    assert [tuple(row) for row in residuals] == [("teff", 40, 1.5, 60.0, "K"), ("Mg", 39, 0.0, 0.04, "dex")]
    assert responses.colnames == ["predicted", "teff", "Mg", "Al", "teff_err", "Mg_err", "Al_err"]
    assert responses["predicted"].tolist() == ["teff", "Mg", "Al"]
    matrix = [responses[name].tolist() for name in ("teff", "Mg", "Al")]
    np.testing.assert_allclose(matrix, np.diag([1, 1, 0.5]), atol=1e-9)


def test_pictures(drawable, tmp_path):
    files = write_report(drawable, tmp_path / "m-report", plots=True)
    assert {"history.png", "responses.png"} <= {*files}
    for name in ("history.png", "responses.png"):
        picture = imread(tmp_path / "m-report" / name)
        assert picture.std() > 0.05  # it is not empty
        assert min(picture.shape[:2]) > 300


def test_without_matplotlib(drawable, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_optional_dependencies, "find_spec", lambda name: None)
    assert "history.png" not in write_report(drawable, tmp_path / "m-report", plots=True)
    assert "No pictures are drawn. A picture needs matplotlib: pip install" in capsys.readouterr().out


def test_too_few_held_out_stars(model, tmp_path, capsys):
    bare = SimpleNamespace(**vars(model) | {"validation_residuals_": None, "validation_responses_": None})
    assert write_report(bare, tmp_path / "m-report", plots=False) == ["history.csv", "parameters.json"]
    output = capsys.readouterr().out
    assert "no residuals, for which at least 20 stars must be held out" in output
    assert "no response matrix, for which 200 held-out stars must have all labels" in output


def test_only_reports_are_replaced(drawable, tmp_path):
    folder = report_folder(tmp_path / "m")
    check_report_folder(folder)
    write_report(drawable, folder, plots=False)
    check_report_folder(folder)
    assert write_report(drawable, folder, plots=False)
    (folder / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"m-report, where the report .* exists and is no report\."):
        check_report_folder(folder)
