"""Tables that fit the terminal."""

import numpy as np
import pytest

from skbcnn import Prediction
from skbcnn.catalog import prediction_table
from skbcnn.cli import terminal_tables
from skbcnn.cli.terminal_tables import print_labels
from skbcnn.survey import APOGEE_LABELS

WHERE = "All are elsewhere."


def table(n_stars=2, names=APOGEE_LABELS, *, calibrated=True, naming="skbcnn"):
    """Labels 0, 1, 2, ... with total errors of 3 and calibrated errors of 4."""
    mean = np.arange(n_stars * len(names), dtype=float).reshape(n_stars, -1)
    errors = [np.full(mean.shape, value) for value in (1.0, 2.0, 3.0, 4.0)]
    prediction = Prediction(mean, *errors[:3], tuple(names), calibrated=errors[3] if calibrated else None)
    columns = {
        "star": [f"2M{star:04d}" for star in range(n_stars)],
        "spectrum": ["combined"] * n_stars,
        "snr": [np.nan] + [100.0] * (n_stars - 1),
    }
    return prediction_table(prediction, columns=columns, naming=naming)


@pytest.fixture
def printed(capsys, monkeypatch):
    """Function that prints labels on a terminal of some width, and returns the lines."""

    def printed(stars, names=APOGEE_LABELS, columns=80, naming="skbcnn"):
        monkeypatch.setenv("COLUMNS", str(columns))
        for variable in ("FORCE_COLOR", "TTY_COMPATIBLE"):  # rich would print control sequences
            monkeypatch.delenv(variable, raising=False)
        print_labels(stars, names, naming=naming, where_all=WHERE)
        return capsys.readouterr().out.splitlines()

    return printed


def star_lines(lines, star=""):
    return [line for line in lines if line.startswith(f"2M{star}")]


def test_each_error_has_two_digits(printed):
    stars = table(3, ["logg"])
    stars["logg"][:] = [1.23, 2.345, 3.4567]
    stars["logg_err_calibrated"][:] = [21.4, 0.346, 0.0123]
    cells = [" ".join(line.split()[-3:]).replace("±", "+-") for line in star_lines(printed(stars, ["logg"]))]
    assert cells == ["1 +- 21", "2.35 +- 0.35", "3.457 +- 0.012"]


@pytest.mark.parametrize("columns", [40, 80, 240])
def test_lines_fit_the_terminal(printed, columns):
    lines = printed(table(), columns=columns)
    assert max(len(line.rstrip()) for line in lines if not line.startswith("Errors")) <= columns
    assert not any("…" in line for line in lines)


def test_all_labels_of_few_stars_with_the_main_ones_first(printed):
    words = " ".join(line for line in printed(table()) if not line.startswith(("star", "2M", "Errors"))).split()
    expected = ["teff", "logg", "Fe", *(name for name in APOGEE_LABELS[2:] if name != "Fe")]
    assert [word for word in words if word in APOGEE_LABELS] == expected
    assert WHERE not in words


def test_main_labels_of_many_stars(printed):
    lines = printed(table(24))
    assert len(star_lines(lines)) == 24
    header = " ".join(line for line in lines if not line.startswith(("2M", "Errors", "Shown"))).split()
    assert "teff" in header
    assert "Ni" not in header
    assert lines[-1].startswith("Shown are 24 of 24 spectra and ")
    assert lines[-1].endswith(f" of 22 labels. {WHERE}")


def test_long_tables_are_cut(printed, monkeypatch):
    monkeypatch.setattr(terminal_tables, "_MAX_LINES", 5)
    lines = printed(table(9, ["teff"]), ["teff"])
    assert len(star_lines(lines)) == 5
    assert f"Shown are 5 of 9 spectra and 1 of 1 labels. {WHERE}" in lines


def test_long_tables_end_in_a_summary_of_all_spectra(printed):
    stars = table(101, ["teff"], calibrated=False)
    lines = printed(stars, ["teff"])
    assert len(star_lines(lines)) == 40
    assert lines[-2].split() == ["label", "5", "%", "median", "95", "%", "median", "error", "unit"]
    assert lines[-1].split() == ["teff", "5.0", "50.0", "95.0", "3.0", "K"]


def test_no_minus_zero(printed):
    mean, error = np.array([[-0.001], [-0.3]]), np.array([[0.1], [0.1]])
    columns = {"star": ["2M0", "2M1"], "spectrum": ["combined"] * 2, "snr": [100.0] * 2}
    lines = printed(prediction_table(Prediction(mean, error, error, error, ("Mg",)), columns=columns), ["Mg"])
    assert [line.split()[2] for line in star_lines(lines)] == ["0.00", "-0.30"]


@pytest.mark.parametrize("naming", ["skbcnn", "sdssv"])
@pytest.mark.parametrize(
    ("calibrated", "error", "sentence"),
    [(True, "4.0", "Errors are calibrated standard deviations."), (False, "3.0", "Errors are total standard dev")],
)
def test_errors_are_the_calibrated_ones_where_they_are_known(printed, naming, calibrated, error, sentence):
    lines = printed(table(names=["Mg", "C1"], calibrated=calibrated, naming=naming), ["Mg", "C1"], naming=naming)
    assert star_lines(lines, "0001")[0].split()[:2] == ["2M0001", "100"]
    assert star_lines(lines, "0001")[0].split()[2::3] == ["2.0", "3.0"]
    assert star_lines(lines, "0001")[0].split()[4::3] == [error, error]
    assert lines[-1].startswith(sentence)


def test_spectra_are_named_if_one_is_a_visit(printed):
    stars = table(names=["teff"])
    assert "combined" not in " ".join(printed(stars, ["teff"]))
    stars["spectrum"] = ["combined", "visit 3"]
    lines = printed(stars, ["teff"])
    assert "combined" in star_lines(lines, "0000")[0]
    assert "visit 3" in star_lines(lines, "0001")[0]
