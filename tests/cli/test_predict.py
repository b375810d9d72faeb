"""``skbcnn predict``: what it prints and writes. `tests/catalog` has the reading of files in detail."""

import csv
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from sklearn.pipeline import Pipeline

from skbcnn import (
    ApogeeBCNNCensoredRegressor,
    SpectraNormalizer,
    _resumable,
    load_folder,
    make_apogee_spectra,
    save_folder,
    write_h5,
)
from skbcnn.novelty import NoveltyFlag
from tests.cli.runner import DWARF, GIANT, TINY, refuse, run, succeed
from tests.survey_mirror import write_mirror

LABELS = ("teff", "Mg", "C1")


@pytest.fixture(scope="module")
def stars():
    return make_apogee_spectra(60, random_state=0)


@pytest.fixture(scope="module")
def model(stars, tmp_path_factory):
    """Folder of a calibrated model of three labels. Shared by all tests: do not change it."""
    y, y_err = (table[:, [stars.label_names.index(name) for name in LABELS]] for table in (stars.y, stars.y_err))
    network = ApogeeBCNNCensoredRegressor(
        target=LABELS, max_epochs=1, augmentation=None, validation_fraction=0.5, random_state=0, **TINY
    ).fit(stars.X, y, x_err=stars.X_err, y_err=y_err)
    return save_folder(
        network,
        tmp_path_factory.mktemp("cli") / "model",
        preprocessing={"data_release": 17, "combination": "pixel"},
        provenance={"training_data": "synthetic"},
    )


@pytest.fixture
def changed(model, tmp_path):
    """Function that saves a changed copy of the model, and returns its folder."""

    def changed(**attributes):
        copy = load_folder(model)
        for name, value in attributes.items():
            setattr(copy, name, value)
        return save_folder(copy, tmp_path / "changed")

    return changed


def star_lines(output, star):
    """Return the lines that begin with the name of a star."""
    return [line for line in output.splitlines() if line.startswith(star)]


def test_a_synthetic_model_that_was_trained_on(model, tmp_path):
    provenance = {"first_training": {"training_data": "synthetic"}, "later_trainings": []}
    save_folder(load_folder(model), tmp_path / "model", provenance=provenance)
    output = " ".join(succeed("predict", tmp_path / "model", DWARF).split())
    assert "first training of this model used synthetic stars only. Its model card lists the later" in output


def test_notes_come_before_one_line_a_star(model):
    output = succeed("predict", model, GIANT, DWARF)
    first_table = output.index("teff")
    assert 0 <= output.index("This model was trained on synthetic stars only") < first_table
    block = output[first_table : output.index("\n\n", first_table)]
    assert len(block.splitlines()) == 4  # two of header, two stars
    for star in ("2M17335483-2753043", "2M19485057+5005279"):
        assert len(star_lines(block, star)) == 1


def test_tables(model, tmp_path):
    output = succeed("predict", model, GIANT, DWARF, "--out", tmp_path / "l.fits", "--out", tmp_path / "l.csv")
    table, again = Table.read(tmp_path / "l.fits"), Table.read(tmp_path / "l.csv")
    assert output.count("Wrote ") == 2
    assert list(table["star"]) == ["2M17335483-2753043", "2M19485057+5005279"]
    units = [str(table[name].unit) for name in ("teff", "teff_err_calibrated", "Mg", "ra")]
    assert units == ["K", "K", "dex", "deg"]
    assert table.meta["PROVENAN"] == "training_data synthetic"
    assert table.colnames == again.colnames
    for name in ("teff", "Mg_err_model", "Mg_err_calibrated", "C1"):
        np.testing.assert_allclose(table[name], again[name])


@pytest.mark.parametrize("calibrated", [True, False])
def test_errors_printed_are_the_calibrated_ones_where_they_are_known(model, changed, tmp_path, calibrated):
    folder = model if calibrated else changed(error_model_=None)
    output = succeed("predict", folder, DWARF, "--out", tmp_path / "l.csv")
    (row,) = Table.read(tmp_path / "l.csv")
    error = "teff_err_calibrated" if calibrated else "teff_err"
    line = star_lines(output, "2M19485057+5005279")[0].split()  # star, S/N, teff, plus-minus, its error
    assert line[1] == "137"
    assert float(line[2]) == pytest.approx(row["teff"], abs=0.51)
    assert float(line[4]) == pytest.approx(row[error], abs=0.51)
    assert f"Errors are {'calibrated' if calibrated else 'total'} standard deviations" in output
    assert ("teff_err_calibrated" in row.colnames) is calibrated


def test_visits(model, tmp_path):
    output = succeed("predict", model, GIANT, "--visits", "--out", tmp_path / "l.csv")
    assert list(Table.read(tmp_path / "l.csv")["spectrum"]) == ["combined", "visit 1", "visit 2", "visit 3"]
    assert "visit 3" in star_lines(output, "2M17335483-2753043")[3]


def test_combination(model, tmp_path):
    output = succeed("predict", model, GIANT, "--combination", "global", "--out", tmp_path / "l.csv")
    assert "trained on pixel combinations, but these spectra are global combinations" in output
    assert Table.read(tmp_path / "l.csv")["spectrum"][0] == "combined (global)"


def test_draws(model, tmp_path):
    for n_draws in (4, 5):
        succeed("predict", model, DWARF, "--n-draws", n_draws, "--out", tmp_path / f"{n_draws}.csv")
    succeed("predict", model, DWARF, "--out", tmp_path / "own.csv")
    texts = [(tmp_path / f"{name}.csv").read_text(encoding="utf-8") for name in ("4", "5", "own")]
    assert texts[0] == texts[2] != texts[1]


def test_noisier_stars_are_announced(model):
    assert "1 of 1 spectra have more noise than every training star" in succeed("predict", model, DWARF)


def test_stars_outside_the_training_set_are_announced(model, changed, tmp_path):
    domain = load_folder(model).domain_  # its limits are wide, because it has few stars
    folder = changed(domain_=replace(domain, inverse_limits=100 * domain.inverse_limits))
    output = succeed("predict", folder, DWARF, GIANT, "--out", tmp_path / "l.fits")
    assert "2 of 2 spectra lie outside the training set of the model" in output
    table = Table.read(tmp_path / "l.fits")
    assert (table["novelty"] > 1).all()
    assert (table["result_flags"] & NoveltyFlag.SPECTRUM_NOVEL).all()


def test_a_model_without_records(model, changed, tmp_path):
    folder = changed(preprocessing_={}, provenance_={}, domain_=None)
    output = succeed("predict", folder, DWARF, "--out", tmp_path / "l.csv")
    assert "does not record how its training spectra were prepared; the defaults of ContinuumNormalizer" in output
    assert "synthetic" not in output
    assert "outside the training set" not in output
    table = Table.read(tmp_path / "l.csv")
    assert "novelty" not in table.colnames
    assert "result_flags" in table.colnames
    succeed("predict", model, DWARF, "--out", tmp_path / "recorded.csv")
    assert table["teff"][0] == Table.read(tmp_path / "recorded.csv")["teff"][0]  # it records the defaults


def test_preparation_of_the_model_is_used(model, tmp_path):
    save_folder(load_folder(model), tmp_path / "other", preprocessing={"degree": 0, "combination": "global"})
    succeed("predict", model, GIANT, "--out", tmp_path / "a.csv")
    succeed("predict", tmp_path / "other", GIANT, "--out", tmp_path / "b.csv")
    one, other = (Table.read(tmp_path / name)[0] for name in ("a.csv", "b.csv"))
    assert other["spectrum"] == "combined (global)"
    assert one["teff"] != other["teff"]


def test_a_model_in_a_zip_file(model, tmp_path):
    save_folder(load_folder(model), tmp_path / "model.zip")
    succeed("predict", tmp_path / "model.zip", DWARF, "--out", tmp_path / "a.csv")
    succeed("predict", model, DWARF, "--out", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_names_of_sdss_v(model, tmp_path):
    output = succeed("predict", model, DWARF, "--naming", "sdssv", "--out", tmp_path / "sdssv.csv")
    succeed("predict", model, DWARF, "--out", tmp_path / "ours.csv")
    sdssv, ours = (Table.read(tmp_path / name) for name in ("sdssv.csv", "ours.csv"))
    expected = {"teff", "e_teff", "c_1_h", "e_c_1_h", "e_mg_h_model", "e_mg_h_calibrated", "result_flags"}
    assert expected <= set(sdssv.colnames)
    assert not {"C1", "teff_err"} & set(sdssv.colnames)
    assert sdssv["e_c_1_h_calibrated"][0] == ours["C1_err_calibrated"][0]
    assert " C1" in output


def test_hdf5_spectra_beside_fits(stars, model, tmp_path):
    write_h5(tmp_path / "bare.h5", stars.X[:3], {"teff": stars.y[:3, 0]}, in_flag=[0, 1, 0])
    output = succeed("predict", model, tmp_path / "bare.h5", DWARF, "--out", tmp_path / "l.fits")
    table = Table.read(tmp_path / "l.fits")
    assert list(table["star"]) == ["row 0", "row 1", "row 2", "2M19485057+5005279"]
    assert list(table["spectrum"]) == ["combined", "visit", "combined", "combined"]
    assert np.isnan(np.ma.filled(table["snr"], np.nan)[:3]).all()
    assert list(np.ma.filled(table["noisier"], False)) == [False] * 3 + [True]
    assert "1 of 4 spectra have more noise" in output


def test_many_spectra(stars, model, tmp_path):
    path = write_h5(tmp_path / "stars.h5", stars.X[:24], {"teff": stars.y[:24, 0]}, spectra_err=stars.X_err[:24])
    output = succeed("predict", model, path, columns=40)
    assert len(star_lines(output, "row ")) == 24
    assert "of 3 labels. Pass --out labels.fits to write all of them to a file." in output
    output = succeed("predict", model, path, "--out", tmp_path / "l.csv", columns=40)
    assert f"All are in {tmp_path / 'l.csv'}." in output


def test_a_file_that_cannot_be_read_does_not_stop_the_others(model, tmp_path):
    result = run("predict", model, tmp_path / "absent.fits", DWARF, "--out", tmp_path / "l.csv")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Left out: {tmp_path / 'absent.fits'}: there is no such file\n")
    assert "Error" not in result.stderr
    assert list(Table.read(tmp_path / "l.csv")["star"]) == ["2M19485057+5005279"]
    assert len(star_lines(result.stdout, "2M19485057+5005279")) >= 1


def test_nothing_predicted(model, tmp_path):
    error = refuse("predict", model, tmp_path / "absent.fits", "--out", tmp_path / "l.csv")
    assert "No spectrum was predicted, and nothing written." in error
    assert not (tmp_path / "l.csv").exists()


def test_overwrite(model, tmp_path):
    (tmp_path / "l.csv").write_text("old")
    succeed("predict", model, DWARF, "--out", tmp_path / "l.csv", "--overwrite")
    assert len(Table.read(tmp_path / "l.csv")) == 1


def test_unknown_preparation_is_refused(model, tmp_path):
    save_folder(load_folder(model), tmp_path / "other", preprocessing={"magic": 1})
    assert "parameters that are not known here: magic;" in refuse("predict", tmp_path / "other", DWARF)


def test_a_pipeline_is_refused(model, tmp_path):
    X = np.ones((2, 7514))
    pipeline = Pipeline([("spectra", SpectraNormalizer(0).fit(X)), ("labels", load_folder(model))])
    save_folder(pipeline, tmp_path / "pipeline.zip")
    assert "holds a pipeline, expected a regressor" in refuse("predict", tmp_path / "pipeline.zip", DWARF)


def test_absent_model(tmp_path):
    error = refuse("predict", tmp_path / "absent", DWARF)
    assert "There is no folder" in error
    assert "Give the path of a model that skbcnn train wrote." in error


def test_damaged_model(model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "weights.h5").write_bytes(b"")
    assert "does not match its checksum" in refuse("predict", tmp_path / "model", DWARF)


def test_names_on_standard_input_in_files_and_in_folders(model, tmp_path):
    folder = tmp_path / "spectra"
    folder.mkdir()
    for path in (GIANT, DWARF):
        (folder / path.name).symlink_to(path)
    (tmp_path / "list.txt").write_text(f"{GIANT}\n\n{DWARF}\n")
    catalogues = {}
    for name, arguments, stdin in (
        ("arguments", [GIANT, DWARF], None),
        ("folder", [folder], None),
        ("list", ["--files-from", tmp_path / "list.txt"], None),
        ("stdin", ["-"], f"{GIANT}\n{DWARF}\n"),
        ("find -print0", ["--files-from", "-"], f"{GIANT}\0{DWARF}\0"),
    ):
        out = tmp_path / f"{name}.csv"
        succeed("predict", model, *arguments, "--out", out, stdin=stdin)
        catalogues[name] = out.read_bytes()
    assert len(set(catalogues.values())) == 1


def test_no_name_at_all(model):
    result = run("predict", model)
    assert result.exit_code == 2
    assert "There is no name of a file" in result.stderr


def test_columns_come_along(stars, model, tmp_path):
    names = {"teff": stars.y[:3, 0]}
    path = write_h5(tmp_path / "a.h5", stars.X[:3], names, extra={"FIELD": ["M13", "M3", "M5"], "GAIA_ID": [5, 6, 7]})
    succeed("predict", model, path, "--columns", "GAIA_ID, FIELD", "--out", tmp_path / "l.parquet")
    table = Table.read(tmp_path / "l.parquet")
    assert list(table["GAIA_ID"]) == [5, 6, 7]
    assert list(table["FIELD"]) == ["M13", "M3", "M5"]
    assert "has no PLATE" in refuse("predict", model, path, "--columns", "PLATE", "--out", tmp_path / "m.fits")


def test_the_stars_of_a_table(model, tmp_path):
    mirror = write_mirror(tmp_path / "sas", 2, faulty=False, max_visits=1)
    out = tmp_path / "l.csv"
    options = ("--columns", "FIELD", "--path-template", "dr17/apogee/spectro/redux/dr17/stars/{telescope}/{field}")
    template = options[-1] + "/apStar-dr17-{apogee_id}.fits"
    output = succeed("predict", model, mirror.table, "--spectra", mirror.root, *options[:-1], template, "--out", out)
    table = Table.read(out)
    assert list(table["file"][:2]) == list(mirror.stars["path"][:2])
    assert list(table["FIELD"]) == list(mirror.stars["field"])[: len(table)]
    assert "--out" not in output


def test_a_table_without_its_mirror(model, tmp_path):
    mirror = write_mirror(tmp_path / "sas", 1, faulty=False, real=False, max_visits=1)
    assert "Pass the root of the mirror by --spectra" in refuse("predict", model, mirror.table)
    assert "Pass the root of the mirror by --spectra" in refuse(
        "predict", model, mirror.table, "--spectra", tmp_path / "absent"
    )
    assert "--release and --path-template belong to a table of stars" in refuse(
        "predict", model, DWARF, "--release", "DR17"
    )


def test_a_list_of_names_is_never_replaced(model, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text(f"{DWARF}\n")
    error = refuse("predict", model, "--files-from", names, "--out", names, "--overwrite")
    assert "names.csv, which the command reads" in error
    assert names.read_text() == f"{DWARF}\n"


def test_columns_that_clash_are_refused(model, tmp_path):
    error = refuse("predict", model, DWARF, "--columns", "FIELD,field", "--out", tmp_path / "l.csv")
    assert "--columns names 'FIELD' and 'field', which would both be called field" in error


def test_a_keyword_that_no_file_has(model):
    output = " ".join(succeed("predict", model, DWARF, "--columns", "NVISIT").split())
    assert "None of the FITS files has the keyword(s) NVISIT: the column is empty for them. Did you mean" in output


def test_a_scheduler_that_is_not_there(model, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("skbcnn._dask_cluster._SECONDS_TO_CONNECT", 0.5)
    out = tmp_path / "l.csv"
    error = refuse("predict", model, DWARF, "--scheduler", "tcp://127.0.0.1:1", "--out", out)
    assert error.startswith("Error: There is no Dask scheduler at 'tcp://127.0.0.1:1' (")
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file, expected the folder"),
        ("checkpoint.npz", b"PK\3\4", "such as the checkpoint of an unfinished training, expected the folder"),
        ("model.pickle", b"\x80\x04", "is a pickle, expected the folder"),
        ("model.txt", b"\xff", "is a file, expected the folder"),
    ],
)
def test_a_file_that_is_no_model(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    assert kind in refuse("predict", tmp_path / name, DWARF)


def test_an_unfinished_training_is_no_model(tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"")
    assert "holds the checkpoint of an unfinished training" in refuse("predict", tmp_path, DWARF)


def test_failures_are_printed_and_listed(stars, model, tmp_path):
    X = np.where(np.arange(30)[:, None] < 25, np.nan, stars.X[:30])
    write_h5(tmp_path / "a.h5", stars.X[:30], {"teff": stars.y[:30, 0]})
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["spectra"][...] = X
    result = run("predict", model, tmp_path / "a.h5", "--out", tmp_path / "l.csv")
    assert result.exit_code == 1
    listed = tmp_path / "l.csv-left-out.csv"
    lines = result.stderr.splitlines()
    assert [line.startswith("Left out: ") for line in lines] == [True] * 10 + [False] * 2
    assert "a.h5, row 0: spectra contains NaN" in lines[0]
    assert lines[10] == "25 files and spectra are left out (the flux is not finite: 25)."
    assert lines[11] == f"The complete list is in {listed}."
    assert len(listed.read_text().splitlines()) == 26
    assert len(Table.read(tmp_path / "l.csv")) == 30


def test_an_interrupted_command_says_that_it_goes_on(model, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("skbcnn.catalog.file_predictions.predict_spectra", interrupted)
    result = run("predict", model, DWARF, "--out", tmp_path / "l.fits")
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.stderr


def test_work_that_was_finished_when_its_process_was_killed_is_recognised(model, tmp_path, monkeypatch):
    command = ("predict", model, DWARF, "--out", tmp_path / "l.fits", "--out", tmp_path / "l.csv")
    with monkeypatch.context() as patch:
        patch.setattr(_resumable, "_remove", lambda folder: None)
        first = succeed(*command)
    assert succeed(*command) == first
    assert "exists. Choose another name by --out, or pass --overwrite." in refuse(*command)


def test_the_list_of_failures_gives_no_advice_for_python(model, tmp_path):
    damaged = tmp_path / "damaged.fits"
    damaged.write_bytes(DWARF.read_bytes()[:4000])
    absent, dead = tmp_path / "absent.fits", tmp_path / "dead.fits"
    shutil.copy(DWARF, dead)
    with fits.open(dead, mode="update") as hdus:
        hdus[1].data[:, 300:3300] = np.nan  # a chip
    run("predict", model, DWARF, damaged, absent, dead, "--out", tmp_path / "l.csv")
    with (tmp_path / "l.csv-left-out.csv").open(encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert (rows[str(absent)]["reason"], rows[str(absent)]["detail"]) == ("there is no such file", "")
    assert rows[str(dead)]["reason"] == "the spectrum cannot be normalised"
    assert "continuum that is not positive" in rows[str(dead)]["detail"]
    for path in (damaged, dead):
        assert not [part for part in ("=", ". ", str(path)) if part in rows[str(path)]["detail"]]


@pytest.mark.slow
def test_no_output_of_tensorflow(model):
    """A process of its own, so that TensorFlow is imported there."""
    command = [sys.executable, "-m", "skbcnn", "predict", str(model), str(DWARF)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert ran.stdout.startswith("This model was trained on synthetic stars only")
