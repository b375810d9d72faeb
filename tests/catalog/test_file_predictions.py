"""Catalogues of the spectra in files: the values, what is written, and what happens after errors and kills."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline

from skbcnn import CensoredBCNNRegressor, __version__, _resumable
from skbcnn.catalog import NoSpectraError, file_predictions, part_predictions, predict_catalog, prediction_table
from skbcnn.datasets import H5Loader, write_h5
from skbcnn.novelty import NoveltyFlag
from skbcnn.persistence import save_folder

DWARF = Path(__file__).parents[1] / "data" / "apStar-dr17-2M19485057+5005279.fits"
GIANT = DWARF.with_name("apStar-dr17-2M17335483-2753043.fits.gz")
SUFFIXES = (".fits", ".h5", ".parquet", ".csv", ".ecsv")


@pytest.fixture(scope="module")
def path(tiny_data, tmp_path_factory):
    """The spectra of `tiny_data` in a file."""
    path = tmp_path_factory.mktemp("spectra") / "stars.h5"
    extra = {"GAIA_ID": 2**53 + np.arange(len(tiny_data.X))}
    return write_h5(path, tiny_data.X, {"teff": tiny_data.y[:, 0]}, spectra_err=tiny_data.X_err, extra=extra)


def read(path):
    return Table.read(path, character_as_bytes=False) if path.suffix == ".fits" else Table.read(path)


def stop_after(n_parts, monkeypatch):
    """Let the run fail when it finishes the next part after so many."""
    part_of_catalogue = part_predictions.part_of_catalogue
    n_left = [n_parts]

    def failing(*arguments):
        if n_left[0] == 0:
            raise KeyboardInterrupt
        n_left[0] -= 1
        return part_of_catalogue(*arguments)

    monkeypatch.setattr(file_predictions, "part_of_catalogue", failing)


@pytest.mark.parametrize("naming", ["skbcnn", "sdssv"])
def test_is_the_table_of_the_prediction(tiny_model, tiny_data, path, tmp_path, naming):
    out = tmp_path / "catalogue.fits"
    summary = predict_catalog(tiny_model, [path], out, naming=naming, meta={"model": "tiny"})
    prediction = tiny_model.predict_distribution(tiny_data.X, tiny_data.X_err)
    assessment = tiny_model.assess(tiny_data.X, tiny_data.X_err, prediction)
    expected = prediction_table(prediction, assessment=assessment, naming=naming)
    table = read(out)
    assert table.colnames == ["star", "spectrum", "file", "row", "snr", "ra", "dec", *expected.colnames]
    assert_array_equal(table["row"], np.arange(30))
    for name in expected.colnames:
        assert_array_equal(np.asarray(table[name]), expected[name])
        assert table[name].unit == expected[name].unit
    assert summary.first_rows.colnames == summary.sample.colnames == table.colnames
    assert (summary.n_rows, summary.notes, summary.failures, summary.paths) == (30, [], [], (out,))
    assert [entry.name for entry in tmp_path.iterdir()] == ["catalogue.fits"]


def test_files_that_are_named_twice_are_predicted_twice_and_noted(tiny_model, path, tmp_path):
    again = path.parent / ".." / path.parent.name / path.name
    summary = predict_catalog(tiny_model, [path, path.parent, again], tmp_path / "a.fits")
    assert (summary.n_rows, summary.failures) == (90, [])
    assert summary.notes == [f"{path} is named more than once. The catalogue repeats the spectra."]


def test_the_origin_is_recorded(tiny_model, path, tmp_path):
    from skbcnn.persistence.fingerprint import model_fingerprint

    predict_catalog(tiny_model, path, tmp_path / "a.fits", meta={"model": "tiny", "note": "first light"})
    header = fits.getheader(tmp_path / "a.fits", 1)
    assert (header["MODEL"], header["MODELFP"]) == ("tiny", model_fingerprint(tiny_model))
    assert header["SKBCNN"] == __version__
    assert header["NUMPY"] == np.__version__
    assert header["TENSORFL"].startswith("2.")
    assert (header["NDRAWS"], header["SEED"]) == (10, tiny_model.seed_)
    assert header["FILESDIR"] == str(path.parent)
    assert header["COMMENT"][0] == "note: first light"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_size_of_parts_changes_no_byte(tiny_model, path, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(part_predictions, "BLOCK_ROWS", 8)
    contents = set()
    for chunk_size in (7, 1000):
        out = tmp_path / f"{chunk_size}{suffix}"
        predict_catalog(tiny_model, path, out, chunk_size=chunk_size, columns=["GAIA_ID"])
        contents.add(out.read_bytes())
    assert len(contents) == 1
    table = read(out)
    assert len(table) == 30
    assert_array_equal(table["GAIA_ID"], 2**53 + np.arange(30))


def test_a_run_that_was_stopped_goes_on(tiny_model, path, tmp_path, monkeypatch):
    predict_catalog(tiny_model, path, tmp_path / "whole.fits", chunk_size=5)
    out = tmp_path / "stopped.fits"
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            predict_catalog(tiny_model, path, out, chunk_size=5)
    assert not out.exists()
    with monkeypatch.context() as patch:
        stop_after(4, patch)  # of six parts, two are finished
        predict_catalog(tiny_model, path, out, chunk_size=5)
    assert out.read_bytes() == (tmp_path / "whole.fits").read_bytes()
    assert {entry.name for entry in tmp_path.iterdir()} == {"whole.fits", "stopped.fits"}


def test_a_damaged_part_is_predicted_again(tiny_model, path, tmp_path, monkeypatch):
    out = tmp_path / "a.csv"
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            predict_catalog(tiny_model, path, out, chunk_size=5)
    chunk = next((tmp_path / ".a.csv.unfinished").glob("chunk-*"))
    chunk.write_bytes(chunk.read_bytes()[:-1])
    predict_catalog(tiny_model, path, out, chunk_size=5)
    predict_catalog(tiny_model, path, tmp_path / "b.csv", chunk_size=5)
    assert out.read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_other_inputs_or_settings_are_refused_by_name(tiny_model, path, tmp_path, monkeypatch):
    copied, out = shutil.copy(path, tmp_path / "stars.h5"), tmp_path / "a.csv"
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            predict_catalog(tiny_model, copied, out, chunk_size=5)
    with pytest.raises(
        ValueError, match=r"unfinished work on .*a.csv with other .*naming was .*skbcnn.* is now .*sdssv"
    ):
        predict_catalog(tiny_model, copied, out, chunk_size=5, naming="sdssv")
    with h5py.File(copied, "a") as file:
        file["spectra"][3] = 1
    with pytest.raises(ValueError, match=r"unfinished work on .*stars.h5 has changed"):
        predict_catalog(tiny_model, copied, out, chunk_size=5)
    predict_catalog(tiny_model, copied, out, chunk_size=5, overwrite=True)
    predict_catalog(tiny_model, copied, tmp_path / "b.csv")
    assert out.read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_row_that_cannot_be_used_has_no_labels(tiny_model, tiny_data, tmp_path):
    path = write_h5(tmp_path / "a.h5", tiny_data.X, {"teff": tiny_data.y[:, 0]}, spectra_err=tiny_data.X_err)
    good = predict_catalog(tiny_model, path, ()).sample
    with h5py.File(path, "a") as file:
        file["spectra"][4, 7] = np.nan
    summary = predict_catalog(tiny_model, path, tmp_path / "a.fits")
    table = read(tmp_path / "a.fits")
    assert len(table) == 30
    assert table["star"][4] == "row 4"
    for name in ("teff", "Mg_err_model", "Al_err", "novelty"):
        assert np.isnan(np.ma.filled(table[name], np.nan)[4])
        assert_array_equal(np.delete(np.asarray(table[name]), 4), np.delete(np.asarray(good[name]), 4))
    assert (table["result_flags"][4], table["do_not_use"][4]) == (NoveltyFlag.NO_RESULT, True)
    assert [str(failure) for failure in summary.failures] == [
        f"{path}, row 4: spectra contains NaN or other flux that is not finite."
    ]
    assert summary.failures_path == tmp_path / "a.fits-left-out.csv"
    with summary.failures_path.open(encoding="utf-8") as file:
        columns = ["file", "spectrum", "reason", "detail", "star", "row"]
        assert list(csv.reader(file)) == [columns, [*summary.failures[0][:5], ""]]


def test_files_that_are_read_are_never_replaced(tiny_model, path):
    with pytest.raises(ValueError, match=r"stars\.h5 is one of the files of spectra\. Choose another name"):
        predict_catalog(tiny_model, path, path, overwrite=True)
    assert H5Loader(path, target="teff").load()[0].shape == (30, 40)


def test_a_name_that_would_be_written_twice(tiny_model, path, tmp_path):
    with pytest.raises(ValueError, match=r"a\.csv-left-out\.csv twice"):
        predict_catalog(tiny_model, path, [tmp_path / "a.csv", tmp_path / "a.csv-left-out.csv"])


def test_long_integers_of_files_that_are_joined_keep_their_digits(tiny_model, tiny_data, path, tmp_path):
    other = write_h5(tmp_path / "b.h5", tiny_data.X, {"teff": tiny_data.y[:, 0]}, extra={"GAIA_ID": np.full(30, 0.5)})
    table = predict_catalog(tiny_model, [path, other], (), columns="GAIA_ID").sample
    assert list(table["GAIA_ID"][:30]) == [str(2**53 + number) for number in range(30)]


def test_a_file_with_a_column_that_cannot_be_read_does_not_stop_the_others(tiny_model, tiny_data, path, tmp_path):
    bad = write_h5(
        tmp_path / "bad.h5", tiny_data.X, {"teff": tiny_data.y[:, 0]}, extra={"APOGEE_ID": np.zeros((30, 2))}
    )
    summary = predict_catalog(tiny_model, [bad, path], ())
    assert summary.n_rows == 30
    assert [Path(failure.file).name for failure in summary.failures] == ["bad.h5"]


def test_integers_of_numpy_are_integers(tiny_model, path, tmp_path):
    out = tmp_path / "a.csv"
    assert predict_catalog(tiny_model, path, out, chunk_size=np.int64(5), n_jobs=np.int64(1)).n_rows == 30


def test_a_keyword_that_no_file_has_is_named(apogee_model, fits_files):
    columns = ["NVISIT", "RA", "fieldd"]
    with pytest.warns(UserWarning, match=r"None of the first 2 FITS files has the keyword\(s\) NVISIT, fieldd"):
        summary = predict_catalog(apogee_model, fits_files, (), chunk_size=8, columns=columns)
    note = "None of the FITS files has the keyword(s) NVISIT, fieldd: the column is empty for them."
    assert f"{note} Did you mean NVISITS, FIELD?" in summary.notes
    assert np.isnan(summary.sample["NVISIT"]).all()


def test_a_keyword_that_some_file_has_is_not_named(apogee_model, fits_files):
    with fits.open(fits_files / "apStar-4.fits", mode="update") as hdus:
        hdus[0].header["PLATE"] = 7
    summary = predict_catalog(apogee_model, fits_files, (), columns=["PLATE"])
    assert not any("keyword" in note for note in summary.notes)
    assert_array_equal(summary.sample["PLATE"], [np.nan, np.nan, np.nan, 7])


def test_files_of_the_same_name_can_be_told_apart(apogee_model, tmp_path):
    for folder in ("north", "south/deep"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(DWARF, tmp_path / folder / "star.fits")
    summary = predict_catalog(apogee_model, tmp_path, tmp_path / "a.ecsv")
    table = Table.read(summary.paths[0])
    assert list(table["file"]) == ["north/star.fits", "south/deep/star.fits"]
    assert table.meta["folder of the files"] == str(tmp_path)


def test_rows_are_those_of_the_files(apogee_model):
    table = predict_catalog(apogee_model, GIANT, (), visits=True).sample
    assert list(table["spectrum"]) == ["combined", "visit 1", "visit 2", "visit 3"]
    assert list(table["row"]) == [0, 2, 3, 4]
    table = predict_catalog(apogee_model, GIANT, (), combination="global").sample
    assert list(table["row"]) == [1]


def test_columns_of_the_name_of_a_label(tiny_model, tiny_data, path):
    table = predict_catalog(tiny_model, path, (), columns=["GAIA_ID", "teff"]).sample
    assert table.colnames[7:10] == ["GAIA_ID", "input_teff", "teff"]
    assert_array_equal(table["input_teff"], np.nan_to_num(tiny_data.y[:, 0].astype(np.float32), nan=-9999))


def test_keywords_have_one_type_whatever_the_parts():
    layout = part_predictions.Layout()
    record = {"failures": [], "warnings": [], "n_renormalized": 0, "units": {}}
    record["absent"] = None
    parts = []
    gaia = 2448780173659609729
    for plate, field, gaia_id in (([1, 2], ["M13", "0042"], [gaia, 7]), ([None, 4.5], ["7", None], [None, None])):
        keywords = {"plate": plate, "field": field, "gaia_id": gaia_id, "id": [5, -6]}
        rows = np.zeros(2, dtype=[(name, "U19") for name in keywords])
        for name, values in keywords.items():
            rows[name] = part_predictions._as_text(np.array(values, dtype=object))
        kinds = {name: part_predictions._kind(np.array(values, dtype=object)) for name, values in keywords.items()}
        widths = dict.fromkeys(keywords, 19)
        layout.add({"rows": rows}, {**record, "descriptions": {}, "widths": widths, "kinds": kinds})
        parts.append(rows)
    (table,) = layout.blocks(parts, {})
    assert_array_equal(table["plate"], [1, 2, np.nan, 4.5])
    assert list(table["field"]) == ["M13", "0042", "7", ""]
    assert list(table["gaia_id"]) == [str(gaia), "7", "", ""]  # as a float it would lose its last digits
    assert list(table["id"]) == [5, -6, 5, -6]
    assert table["id"].dtype == np.int64


@pytest.fixture(scope="module")
def apogee_model():
    """A regressor for APOGEE's pixels, fitted to noise."""
    X = np.random.default_rng(0).normal(1, 0.01, (20, 7514)).astype(np.float32)
    parameters = {"num_hidden": (8, 8, 4, 4, 2), "num_filters": (1, 2), "n_draws": 4, "max_epochs": 1}
    return CensoredBCNNRegressor(random_state=0, backend="numpy", **parameters).fit(X, 4500 + X[:, 0])


@pytest.fixture
def fits_files(tmp_path):
    """Five apStar files, of which the third is cut short."""
    folder = tmp_path / "spectra"
    folder.mkdir()
    for number in range(5):
        (folder / f"apStar-{number}.fits").write_bytes(DWARF.read_bytes()[: 10_000 if number == 2 else None])
    return folder


def test_a_corrupt_file_in_the_middle_costs_this_file(apogee_model, fits_files, tmp_path):
    out = tmp_path / "a.fits"
    summary = predict_catalog(apogee_model, fits_files, out, chunk_size=8, columns=["OBJID", "NVISITS"])
    assert [Path(failure.file).name for failure in summary.failures] == ["apStar-2.fits"]
    table = read(out)
    assert [name.strip() for name in table["file"]] == [f"apStar-{number}.fits" for number in (0, 1, 3, 4)]
    assert [name.strip() for name in table["OBJID"]] == ["2M19485057+5005279"] * 4
    assert list(table["NVISITS"]) == [1] * 4
    assert not [note for note in summary.notes if "second" in note]  # of stars with one visit: nothing is lost


@pytest.mark.slow
def test_other_processes_that_read_files_change_no_byte(apogee_model, fits_files, tmp_path):
    for n_jobs in (1, 2):
        predict_catalog(apogee_model, fits_files, tmp_path / f"{n_jobs}.fits", n_jobs=n_jobs, chunk_size=8)
    assert (tmp_path / "1.fits").read_bytes() == (tmp_path / "2.fits").read_bytes()


@pytest.mark.parametrize("naming", ["skbcnn", "sdssv"])
def test_a_model_without_summary_of_its_training_set(tiny_model, path, monkeypatch, naming):
    monkeypatch.setattr(tiny_model, "domain_", None)
    columns = predict_catalog(tiny_model, [path], (), naming=naming).sample.colnames
    assert "novelty" not in columns
    assert columns.count("result_flags") == 1


def test_spectra_without_errors_are_not_noisier(tiny_model, tiny_data, path, tmp_path):
    bare = write_h5(tmp_path / "bare.h5", tiny_data.X[:2], {"teff": [4500.0, 4600.0]})
    table = predict_catalog(tiny_model, [bare, path], ()).sample
    assert len(table) == 2 + len(tiny_data.X)
    assert_array_equal(table["noisier"][:2], [False, False])


def test_nothing_that_can_be_read(tiny_model, tmp_path):
    with pytest.raises(NoSpectraError, match="No spectrum was predicted") as caught:
        predict_catalog(tiny_model, [tmp_path / "absent.h5"], tmp_path / "a.fits")
    assert "absent.h5: there is no such file" in str(caught.value.failures[0])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_catalogue_is_refused_before_any_work(tiny_model, path, tmp_path, monkeypatch):
    stop_after(0, monkeypatch)
    for taken in ("a.fits", "b.csv", "a.fits-left-out.csv"):
        (tmp_path / taken).write_text("old")
        with pytest.raises(FileExistsError, match=rf"{taken} exists. Choose another name, or pass overwrite=True"):
            predict_catalog(tiny_model, path, [tmp_path / "a.fits", tmp_path / "b.csv"])
        assert [entry.name for entry in tmp_path.iterdir()] == [taken]
        (tmp_path / taken).unlink()


def test_finished_work_whose_process_was_killed_is_recognised(tiny_model, path, tmp_path, monkeypatch):
    """A process can be killed after the catalogue got its name, and before the finished parts are removed."""
    outs = [tmp_path / "a.fits", tmp_path / "b.csv"]
    with monkeypatch.context() as patch:
        patch.setattr(_resumable, "_remove", lambda folder: None)
        predict_catalog(tiny_model, path, outs)
    content = [out.read_bytes() for out in outs]
    stop_after(0, monkeypatch)  # nothing is predicted again
    predict_catalog(tiny_model, path, outs)
    assert [out.read_bytes() for out in outs] == content
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.fits", "b.csv"]
    with pytest.raises(FileExistsError, match=r"a\.fits exists"):
        predict_catalog(tiny_model, path, outs)


def test_an_old_list_of_failures_is_no_obstacle(tiny_model, path, tmp_path):
    """As is left when only the catalogue was removed."""
    (tmp_path / "a.fits-left-out.csv").write_text("file,spectrum,reason\nold.fits,,It is empty.\n")
    predict_catalog(tiny_model, path, tmp_path / "a.fits")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.fits"]


def test_failures_of_a_catalogue_that_is_replaced_are_removed(tiny_model, path, tmp_path):
    (tmp_path / "a.fits-left-out.csv").write_text("old")
    predict_catalog(tiny_model, path, tmp_path / "a.fits", overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.fits"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chunk_size": 0}, "chunk_size == 0, must be >= 1"),
        ({"n_jobs": 0}, "n_jobs == 0 in Parallel has no meaning"),
        ({"naming": "x"}, "naming='x'"),
        ({"columns": ["x"]}, "has no x"),
        ({"columns": ["input_SNR", "SNR"]}, "'input_SNR' and 'SNR', which would both be called input_SNR"),
        ({"release": 17}, "release and path_template belong to a table of stars"),
    ],
)
def test_invalid_arguments(tiny_model, path, tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        predict_catalog(tiny_model, path, tmp_path / "a.fits", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_is_refused(tiny_model, path, tmp_path):
    with pytest.raises(TypeError, match="model is a Pipeline, expected a fitted CensoredBCNNRegressor"):
        predict_catalog(make_pipeline(tiny_model), path, tmp_path / "a.fits")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(tiny_model, path, tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OSError, match="Permission denied"):
            predict_catalog(tiny_model, path, tmp_path / "a.fits")
    finally:
        tmp_path.chmod(0o755)


def test_a_full_disk_keeps_what_is_finished(tiny_model, path, tmp_path, monkeypatch):
    def broken(*arguments):
        raise OSError(28, "No space left on device")

    out = tmp_path / "a.fits"
    with monkeypatch.context() as patch:
        patch.setattr(file_predictions, "write_blocks", broken)
        with pytest.raises(OSError, match=r"a.fits could not be written \(No space left on device\)"):
            predict_catalog(tiny_model, path, out, chunk_size=10)
    assert not out.exists()
    stop_after(0, monkeypatch)  # nothing is predicted again
    predict_catalog(tiny_model, path, out, chunk_size=10)
    assert len(read(out)) == 30


def test_two_runs_on_one_catalogue(tiny_model, path, tmp_path, monkeypatch):
    out, part_of_catalogue = tmp_path / "a.fits", file_predictions.part_of_catalogue
    refused = []

    def with_another_run(*arguments):
        monkeypatch.setattr(file_predictions, "part_of_catalogue", part_of_catalogue)
        with pytest.raises(BlockingIOError, match=r"Another process is writing .*a.fits") as caught:
            predict_catalog(tiny_model, path, out)
        refused.append(caught.value)
        return part_of_catalogue(*arguments)

    monkeypatch.setattr(file_predictions, "part_of_catalogue", with_another_run)
    predict_catalog(tiny_model, path, out)
    assert len(refused) == 1
    assert len(read(out)) == 30


def test_the_likely_cause_is_found_if_most_spectra_are_outside(tiny_model, tiny_data, tmp_path, monkeypatch):
    domain = replace(tiny_model.domain_, inverse_limits=100 * tiny_model.domain_.inverse_limits)
    monkeypatch.setattr(tiny_model, "domain_", domain)
    path = write_h5(tmp_path / "a.h5", np.tile(0.9 * tiny_data.X, (2, 1)), {"teff": [0.0] * 60})
    summary = predict_catalog(tiny_model, path, (), chunk_size=7)
    assert summary.n_outside > 30
    assert f"{summary.n_outside} of 60 spectra are out-of-distribution. Likely cause: " in summary.notes[-1]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
def test_a_run_that_is_killed_at_random_moments(tiny_model, tiny_data, tmp_path, suffix):
    """Each time between two random parts, whatever the speed of the machine."""
    n_rows, chunk_size = 1200, 20
    X = np.tile(tiny_data.X, (n_rows // 30, 1))
    path = write_h5(tmp_path / "stars.h5", X, {"teff": np.zeros(n_rows)}, spectra_err=np.full_like(X, 0.01))
    save_folder(tiny_model, tmp_path / "model")
    program = (
        "import sys, skbcnn; from skbcnn.catalog import predict_catalog; "
        f"predict_catalog(skbcnn.load_folder(sys.argv[1]), sys.argv[2], sys.argv[3], chunk_size={chunk_size})"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model"), str(path)]
    subprocess.run([*command, str(tmp_path / f"whole{suffix}")], check=True)
    out = tmp_path / f"killed{suffix}"
    rng = random.Random(suffix)
    for n_parts in sorted(rng.sample(range(1, n_rows // chunk_size - 5), 3)):
        process = subprocess.Popen([*command, str(out)])
        while len(list(tmp_path.glob(".killed*.unfinished/chunk-*.npz"))) < n_parts:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
    subprocess.run([*command, str(out)], check=True)
    assert out.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not list(tmp_path.glob(".killed*"))


@pytest.mark.slow
def test_a_disk_that_is_really_full(tiny_model, path, tmp_path):
    mounted = tmp_path / "disk"
    mounted.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mounted], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(OSError, match="No space left on device"):
            predict_catalog(tiny_model, path, mounted / "a.fits", chunk_size=1)
        assert not Path(mounted / "a.fits").exists()
    finally:
        subprocess.run(["umount", mounted], check=True)
