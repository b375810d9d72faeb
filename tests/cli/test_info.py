"""``skbcnn info``: what it says of each kind of file."""

import gzip
from copy import deepcopy
from dataclasses import replace

import h5py
import numpy as np
import pytest
from astropy.table import Table
from sklearn.pipeline import make_pipeline

from skbcnn import (
    ApogeeBCNNCensoredRegressor,
    CensoredBCNNRegressor,
    ContinuumNormalizer,
    H5Loader,
    make_apogee_spectra,
    save_folder,
    write_h5,
)
from skbcnn.catalog import prediction_table, write_table
from tests.cli.runner import DWARF, GIANT, TINY, refuse, run, succeed


def lines_of(*paths):
    """Return the lines that the command prints, with single blanks."""
    return [" ".join(line.split()) for line in succeed("info", *paths, columns=200).splitlines()]


@pytest.fixture(scope="module")
def stars():
    return make_apogee_spectra(60, random_state=0)


@pytest.fixture(scope="module")
def network(stars):
    y = stars.y[:, [stars.label_names.index(name) for name in ("teff", "Mg")]]
    return ApogeeBCNNCensoredRegressor(
        target=["teff", "Mg"], max_epochs=1, augmentation=None, validation_fraction=0.5, random_state=0, **TINY
    ).fit(stars.X, y)


def test_a_model(network, tmp_path):
    path = save_folder(
        network, tmp_path / "model", preprocessing={"degree": 2}, provenance={"training_data": "synthetic"}
    )
    lines = lines_of(path)
    assert lines[0] == f"{path}: a model, ApogeeBCNNCensoredRegressor"
    assert "It predicts 2 labels from 7514 pixels, with 4 draws." in lines
    assert "Origin: training_data synthetic." in lines
    assert "Trained for 1 epoch, without noise, with random_state 0." in lines
    assert "Preparation of the spectra: degree 2." in lines
    assert "Calibrated with known labels (30)." in lines
    assert lines[-2].startswith("teff K all ")
    bias, scatter, n = network.validation_residuals_["Mg"]
    assert lines[-1].split()[:3] == ["Mg", "dex", str(len(network.spec_.windows[1]))]
    assert float(lines[-1].split()[3]) == pytest.approx(bias, abs=0.01)
    assert float(lines[-1].split()[4]) == pytest.approx(scatter, abs=0.01)
    assert lines[-1].split()[5] == str(n)


def test_a_model_without_calibration_of_one_label(network, tmp_path):
    model = deepcopy(network)
    error_model = model.error_model_
    model.error_model_ = replace(error_model, scale=np.array([1.5, 1]), offset=np.zeros(2))
    lines = lines_of(save_folder(model, tmp_path / "model"))
    assert "Calibrated with known labels (30), except Mg: too few stars have these labels." in lines


def test_a_pipeline_without_calibration(tmp_path):
    rng = np.random.default_rng(0)
    X, y = 1 + 0.1 * rng.normal(size=(30, 40)), rng.normal(size=(30, 1))
    network = CensoredBCNNRegressor(target=["Al"], max_epochs=1, calibrate=False, random_state=0, **TINY)
    pipeline = make_pipeline(ContinuumNormalizer(pixels=range(40), chips=[(0, 40)], degree=0), network).fit(X, y)
    lines = lines_of(save_folder(pipeline, tmp_path / "model.zip"))
    assert (
        "Pipeline: continuumnormalizer (ContinuumNormalizer), censoredbcnnregressor (CensoredBCNNRegressor)." in lines
    )
    assert "It predicts 1 label from 40 pixels, with 4 draws." in lines
    assert "Origin: not recorded." in lines
    assert any(line.startswith("Not calibrated: ") for line in lines)


def test_an_hdf5_file(stars, tmp_path):
    teff = np.where(np.arange(60) < 6, -9999, np.arange(60) + 4000.0)
    labels, errors = {"teff": teff, "[Mg/H]": stars.y[:, 7]}, {"teff": np.full(60, 25.0)}
    in_flag, names = np.arange(60) % 2, np.repeat(np.arange(30), 2).astype(str)
    path = write_h5(
        tmp_path / "datasets", stars.X, labels, labels_err=errors, in_flag=in_flag, extra={"APOGEE_ID": names}
    )
    lines = lines_of(path)
    assert lines[0] == f"{path}: spectra in the datasets.h5 layout"
    assert "60 spectra of 7514 pixels: 30 combined, 30 from visits." in lines
    assert "30 stars (APOGEE_ID)." in lines
    assert "Preparation of the spectra: not recorded." in lines
    low, median, high = np.percentile(teff[6:], (5, 50, 95))
    assert f"teff 54 6 {low:.0f} {median:.0f} {high:.0f} 25 K" in lines
    assert lines[-1].startswith("Mg ")


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".h5", ".parquet"])
def test_a_catalogue(network, stars, tmp_path, suffix):
    prediction = network.predict_distribution(stars.X[:5])
    table = prediction_table(
        prediction, columns={"star": list("abcde")}, assessment=network.assess(stars.X[:5]), meta={"model": "giants"}
    )
    lines = lines_of(write_table(table, tmp_path / f"catalogue{suffix}"))
    assert lines[0].endswith(": a catalogue")
    assert f"5 rows of 5 stars, {len(table.colnames)} columns." in lines
    assert "Model: giants." in lines
    assert f"{table['do_not_use'].sum()} rows should not be used (column do_not_use)." in lines
    teff = next(line for line in lines if line.startswith("teff "))
    assert float(teff.split()[2]) == pytest.approx(np.median(prediction.mean[:, 0]), abs=1)
    assert lines[-1] == "Errors are calibrated standard deviations."


def test_labels_that_cannot_be_shown_are_named(stars, tmp_path):
    path = write_h5(tmp_path / "datasets", stars.X, {"teff": stars.y[:, 0], "Mg": stars.y[:, 7]})
    with h5py.File(path, "a") as file:
        file["[Fe/H]"] = np.array([b"solar"] * 60)
        file["teff_copy"] = h5py.SoftLink("/teff")
        file["MG"] = file["Mg"][...] + 1
        file["in_flag"][:3] = [1, 2, -1]
    lines = lines_of(path)
    assert "60 spectra of 7514 pixels: 57 combined, 1 from visits, 2 with another in_flag." in lines
    assert any(line.startswith("Fe of ") and "expected one number for each spectrum" in line for line in lines)
    shown = next(line for line in lines if line.startswith("Mg ")).split()
    known = H5Loader(path, target="Mg").load()[1]
    assert float(shown[4]) == pytest.approx(np.median(known[known > -9999]), abs=0.01)  # not that of MG
    assert any(line.startswith("teff ") for line in lines)


def test_missing_values_of_a_catalogue_are_left_out(tmp_path):
    table = Table({"teff": [4000.0, np.nan, 5000.0, -9999.0], "teff_err": [10.0, np.nan, 30.0, -9999.0]})
    lines = lines_of(write_table(table, tmp_path / "catalogue.fits"))
    assert "teff 4050 4500 4950 20" in lines
    assert "0 rows, 2 columns." in lines_of(write_table(table[:0], tmp_path / "empty.fits"))


def test_another_table(tmp_path):
    path = tmp_path / "other.csv"
    Table({"a": [1, 2], "b": [3, 4]}).write(path)
    lines = lines_of(path)
    assert lines[0] == f"{path}: a table"
    assert lines[-1] == "Columns: a, b."


def test_survey_files(tmp_path):
    lines = lines_of(GIANT, DWARF)
    assert lines[0] == f"{GIANT}: spectra of 2M17335483-2753043"
    assert [line.split()[:2] for line in lines if line.startswith("visit")] == [["visit", n] for n in "123"]
    assert any(line.startswith("combined 154 829.8 ") for line in lines)
    visit = next(line for line in lines if line.startswith("visit 1 "))
    assert visit == "visit 1 67 830 14.4 %"  # with the gaps, which are 0 in visits
    assert any("combined (global), has zero flux everywhere" in line for line in lines)


def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("Observed in June.")
    fits_named_csv = tmp_path / "other.csv"
    fits_named_csv.write_bytes(DWARF.read_bytes()[:5000])
    result = run("info", text, tmp_path / "absent", fits_named_csv, DWARF)
    assert result.exit_code == 1
    assert "notes.txt is a text file, expected a model" in result.stderr
    assert "There is no file or folder" in result.stderr
    assert "other.csv cannot be read: " in result.stderr
    assert "2M19485057+5005279" in result.stdout


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "cut.h5"
    whole = write_h5(tmp_path / "whole", np.ones((4, 10)), {"teff": np.full(4, 4500.0)})
    path.write_bytes(whole.read_bytes()[:1500])
    assert "cut.h5" in refuse("info", path)


@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
def test_a_long_origin_is_wrapped_and_not_cut(tmp_path, suffix):
    provenance = " ".join(f"training_{number} real" for number in range(20))
    path = write_table(Table({"a": [1.0]}, meta={"model": "m", "provenance": provenance}), tmp_path / f"a{suffix}")
    lines = succeed("info", path, columns=60).splitlines()[3:-2]
    assert len(lines) > 3
    assert max(map(len, lines)) <= 60
    assert " ".join(map(str.strip, lines)) == f"Origin of the model: {provenance}."


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [("x.png", b"\x89PNG", "a PNG picture"), ("x.gz", gzip.compress(b"text", mtime=0), "a gzipped text file")],
    ids=["png", "gz"],
)
def test_what_other_files_are(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    assert f"{name} is {kind}, expected a model" in refuse("info", tmp_path / name)
    assert "is a folder without a model, expected a model" in refuse("info", tmp_path)
