"""The command line: what its commands write and say, and the sentence for everything that can go wrong."""

import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from sklearn.pipeline import Pipeline

from skbcnn import ApogeeBCNNCensoredRegressor, H5Loader, SpectraNormalizer, load_folder, save_folder, write_h5
from skbcnn.cli import demo as demo_module
from skbcnn.cli import main, terminal_tables
from skbcnn.cli import predict as predict_module
from skbcnn.cli.commands import skbcnn
from skbcnn.cli.commands import train as train_command
from skbcnn.novelty import NoveltyFlag
from skbcnn.survey import APOGEE_LABELS

DATA = Path(__file__).parent / "data"
GIANT = DATA / "apStar-dr17-2M17335483-2753043.fits.gz"
DWARF = DATA / "apStar-dr17-2M19485057+5005279.fits"
N_TRAIN, N_TEST = 40, 24
TINY = {"num_hidden": (8, 8, 4, 4, 2), "num_filters": (1, 2), "n_draws": 4, "lr": 0.001}


def run(*arguments, columns=80):
    """Run the command line in this process: exit code, output and error stream."""
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(skbcnn, [str(argument) for argument in arguments])


def succeed(*arguments, **options):
    result = run(*arguments, **options)
    assert result.exit_code == 0, result.output
    return result.output


def refuse(*arguments):
    """The sentence said when a command is refused."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return result.stderr


def shown(output, star):
    """Lines that begin with the name of a star."""
    return [line for line in output.splitlines() if line.startswith(star) and "skipped" not in line]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder and output of a tiny demo. Shared by all tests: do not change it."""
    out = tmp_path_factory.mktemp("cli") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_module, "DEMO_RECIPE", TINY)
        output = succeed("demo", "--out", out, "--n-train", N_TRAIN, "--n-test", N_TEST, "--max-epochs", 1)
    return out, output


@pytest.fixture(scope="module")
def model(demo):
    return demo[0] / "model"


@pytest.fixture
def aspcap(tmp_path):
    """An aspcapStar file, made of a real apStar file."""
    with fits.open(DWARF) as hdus:
        flux, error = (hdu.data[0].astype(float) for hdu in hdus[1:3])
    level = np.nanmedian(flux)
    images = [flux / level, error / level, np.linspace(0.9, 1.0, len(flux))]
    path = tmp_path / "aspcapStar-dr17-2M19485057+5005279.fits"
    fits.HDUList([fits.PrimaryHDU(), *map(fits.ImageHDU, images)]).writeto(path)
    return path


class TestHelp:
    def test_quick_and_light(self):
        code = (
            "import sys, time; start = time.perf_counter(); sys.argv = ['skbcnn', '--help']\n"
            "from skbcnn.cli import main\n"
            "try: main()\n"
            "except SystemExit as end: assert not end.code\n"
            "print(time.perf_counter() - start, *{'tensorflow', 'sklearn', 'astropy', 'numpy'} & {*sys.modules})"
        )
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        seconds, *heavy = output.splitlines()[-1].split()
        assert heavy == []
        assert float(seconds) < 1
        assert all(command in output for command in ("demo", "train", "predict"))

    def test_module_and_version(self):
        ran = subprocess.run([sys.executable, "-m", "skbcnn", "--version"], capture_output=True, text=True, check=True)
        assert ran.stdout.startswith("skbcnn, version 0.")
        assert ran.stderr == ""

    def test_missing_extra(self, monkeypatch, capsys):
        monkeypatch.setitem(sys.modules, "click", None)
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == "The command line needs click and rich: pip install 'skbcnn[cli]'."

    def test_options_of_train_have_the_defaults_of_the_regressor(self):
        ours = {option.name: option.default for option in train_command.params}
        defaults = {name: p.default for name, p in signature(ApogeeBCNNCensoredRegressor).parameters.items()}
        shared = ours.keys() & defaults.keys()
        shared -= {"target"}  # None means all of the class
        assert shared == {"max_epochs", "lr", "batch_size", "dropout_rate"}
        assert {name: ours[name] for name in shared} == {name: defaults[name] for name in shared}


class TestDemo:
    def test_every_file(self, demo):
        found = {str(path.relative_to(demo[0])) for path in demo[0].rglob("*") if path.is_file()}
        pictures = {f"pictures/{name}.png" for name in (*APOGEE_LABELS, "overview")}
        assert found == {
            "datasets.h5",
            "test.h5",
            "catalogue.fits",
            "model/model.json",
            "model/weights.h5",
            "model/README.md",
            "model/SHA256SUMS",
            *pictures,
        }

    def test_says_what_it_did(self, demo):
        out, output = demo
        assert f"{N_TEST} synthetic test stars at S/N 100, against their true labels without noise" in output
        assert "36 training stars, 4 held-out stars; 1 epochs." in output
        assert f"skbcnn predict {out / 'model'} apStar-....fits --out labels.fits" in output
        assert all(f"\n{name} " in output for name in APOGEE_LABELS)

    def test_catalogue(self, demo):
        table = Table.read(demo[0] / "catalogue.fits", unit_parse_strict="silent")
        assert len(table) == N_TEST
        assert table["star"][0] == "synthetic-1-00000"
        assert str(table["teff"].unit), str(table["Mg_err"].unit) == ("K", "dex")
        assert set(table["snr"]) == {100}
        assert (table["Ni_err"] > 0).all()

    def test_residuals_printed_are_those_of_the_catalogue(self, demo):
        table = Table.read(demo[0] / "catalogue.fits", unit_parse_strict="silent")
        truth = H5Loader(demo[0] / "test.h5").load_entry("truth")
        median = np.median(table["teff"] - truth[:, 0])
        (line,) = (line for line in demo[1].splitlines() if line.startswith("teff "))
        assert float(line.split()[2]) == pytest.approx(median, abs=0.51)

    def test_training_stars_are_others_than_test_stars(self, demo):
        train, test = (H5Loader(demo[0] / name).load_entry("spectra") for name in ("datasets.h5", "test.h5"))
        assert train.shape == (N_TRAIN, 7514)
        assert not (train[:N_TEST, None, :50] == test[None, :, :50]).all(axis=2).any()

    def test_model_knows_where_it_comes_from(self, model):
        loaded = load_folder(model)
        assert loaded.provenance_ | {"skbcnn": ""} == {
            "training_data": "synthetic",
            "n_stars": N_TRAIN,
            "snr": 200,
            "seed": 0,
            "skbcnn": "",
        }
        assert loaded.preprocessing_["combination"] == "pixel"
        assert loaded.preprocessing_["data_release"] == 17
        assert loaded.noise_level_ > 0
        assert loaded.verbose == 0

    def test_refuses_a_folder_with_something_in_it(self, demo):
        assert "is not empty. Choose another by --out, or pass --overwrite." in refuse("demo", "--out", demo[0])

    def test_refuses_before_the_work_what_would_be_deleted(self, tmp_path):
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "thesis").write_text("years of work")
        assert "holds thesis, which belong to no saved model" in refuse("demo", "--out", tmp_path, "--overwrite")

    def test_refuses_a_file(self, tmp_path):
        (tmp_path / "taken").write_text("")
        assert "cannot be made" in refuse("demo", "--out", tmp_path / "taken")

    def test_needs_matplotlib_before_it_works(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert "The demo needs matplotlib: pip install" in refuse("demo", "--out", tmp_path / "demo")
        assert not (tmp_path / "demo").exists()


class TestPredict:
    def test_one_line_a_star_below_the_notices(self, model):
        output = succeed("predict", model, GIANT, DWARF)
        first_table = output.index("teff")
        assert 0 <= output.index("This model was trained on synthetic stars only") < first_table
        assert output.index("row 1, combined (global), has no flux but zeros; skipped.") < first_table
        block = output[first_table : output.index("\n\n", first_table)]
        assert len(block.splitlines()) == 4  # two of header, two stars
        for star in ("2M17335483-2753043", "2M19485057+5005279"):
            assert len(shown(block, star)) == 1

    def test_all_labels_of_few_stars(self, model):
        lines = succeed("predict", model, DWARF).splitlines()
        header = " ".join(line for line in lines if not line.startswith(("star", "2M", "This"))).split()
        assert [name for name in header if name in APOGEE_LABELS] == [
            "teff",
            "logg",
            "Fe",
            *(name for name in APOGEE_LABELS[2:] if name != "Fe"),
        ]

    @pytest.mark.parametrize("columns", [40, 80, 240])
    def test_fits_the_terminal(self, model, columns):
        lines = succeed("predict", model, DWARF, "--visits", columns=columns).splitlines()
        assert (
            max(len(line.rstrip()) for line in lines if not line.startswith(("This", "2M19485057+5005279 (", "1 of", "Errors")))
            <= columns
        )
        assert not any("…" in line for line in lines)

    def test_files(self, model, tmp_path):
        output = succeed("predict", model, GIANT, DWARF, "--out", tmp_path / "l.fits", "--out", tmp_path / "l.csv")
        table = Table.read(tmp_path / "l.fits", unit_parse_strict="silent")
        again = Table.read(tmp_path / "l.csv")
        assert output.count("Wrote ") == 2
        assert list(table["star"]) == ["2M17335483-2753043", "2M19485057+5005279"]
        assert list(table["spectrum"]) == ["combined"] * 2
        assert list(table["file"]) == [GIANT.name, DWARF.name]
        assert table["snr"][0] == pytest.approx(154.155, abs=0.01)
        assert table["ra"][0] == pytest.approx(263.478474)
        assert [str(table[name].unit) for name in ("teff", "teff_err", "Mg", "ra")] == ["K", "K", "dex", "deg"]
        assert "training_data synthetic" in str(table.meta["comments"])
        assert table.colnames == again.colnames
        for name in ("teff", "Mg_err_model", "Ni"):
            np.testing.assert_allclose(table[name], again[name])

    def test_numbers_printed_are_those_of_the_file(self, model, tmp_path):
        output = succeed("predict", model, DWARF, "--out", tmp_path / "l.csv")
        (row,) = Table.read(tmp_path / "l.csv")
        line = shown(output, "2M19485057+5005279")[0].split()  # star, S/N, teff, plus-minus, its error
        assert line[1] == "137"
        assert float(line[2]) == pytest.approx(row["teff"], abs=0.51)
        assert float(line[4]) == pytest.approx(row["teff_err"], abs=0.51)

    def test_visits(self, model, tmp_path):
        output = succeed("predict", model, GIANT, DWARF, "--visits", "--out", tmp_path / "l.csv")
        spectra = list(Table.read(tmp_path / "l.csv")["spectrum"])
        assert spectra == ["combined", "visit 1", "visit 2", "visit 3", "combined"]
        assert "visit 3" in shown(output, "2M17335483-2753043")[3]

    def test_combination(self, model, tmp_path):
        output = succeed("predict", model, GIANT, "--combination", "global", "--out", tmp_path / "l.csv")
        assert "trained on pixel combinations, but these spectra are global combinations" in output
        assert Table.read(tmp_path / "l.csv")["spectrum"][0] == "combined (global)"

    def test_draws(self, model, tmp_path):
        for n_draws in (4, 5):
            succeed("predict", model, DWARF, "--n-draws", n_draws, "--out", tmp_path / f"{n_draws}.csv")
        succeed("predict", model, DWARF, "--out", tmp_path / "own.csv")
        texts = [(tmp_path / f"{name}.csv").read_text() for name in ("4", "5", "own")]
        assert texts[0] == texts[2] != texts[1]

    def test_batches_change_nothing(self, model, tmp_path, monkeypatch):
        succeed("predict", model, GIANT, DWARF, "--visits", "--out", tmp_path / "whole.csv")
        monkeypatch.setattr("skbcnn.catalog.spectra_files.CHUNK_SIZE", 2)
        succeed("predict", model, GIANT, DWARF, "--visits", "--out", tmp_path / "parts.csv")
        assert (tmp_path / "whole.csv").read_text() == (tmp_path / "parts.csv").read_text()

    def test_noisier_stars_are_told(self, model):
        assert "1 of 1 spectra have more noise than every training star" in succeed("predict", model, DWARF)

    def test_stars_unlike_those_trained_on_are_told(self, model, tmp_path):
        strict = load_folder(model)  # 36 stars to learn from have made it tolerant
        strict.domain_ = replace(strict.domain_, inverse_limits=100 * strict.domain_.inverse_limits)
        save_folder(strict, tmp_path / "strict")
        output = succeed("predict", tmp_path / "strict", DWARF, GIANT, "--out", tmp_path / "l.fits")
        assert "2 of 2 spectra lie outside the training set of the model" in " ".join(output.split())
        table = Table.read(tmp_path / "l.fits", unit_parse_strict="silent")
        assert (table["novelty"] > 1).all()
        assert (table["result_flags"] & NoveltyFlag.SPECTRUM_NOVEL).all()

    def test_a_model_that_does_not_know_what_it_was_trained_on(self, model, tmp_path):
        ignorant = load_folder(model)
        ignorant.domain_ = None
        save_folder(ignorant, tmp_path / "ignorant")
        output = succeed("predict", tmp_path / "ignorant", DWARF, "--out", tmp_path / "l.csv")
        assert "outside the training set of the model" not in output
        columns = Table.read(tmp_path / "l.csv").colnames
        assert "novelty" not in columns
        assert "result_flags" in columns

    def test_a_pipeline_is_refused(self, model, tmp_path):
        X = np.ones((2, 7514))
        pipeline = Pipeline([("spectra", SpectraNormalizer(0).fit(X)), ("labels", load_folder(model))])
        save_folder(pipeline, tmp_path / "pipeline.zip")
        assert "holds a pipeline, expected a regressor" in refuse("predict", tmp_path / "pipeline.zip", DWARF)

    def test_a_model_in_a_zip_file(self, model, tmp_path):
        save_folder(load_folder(model), tmp_path / "model.zip")
        succeed("predict", tmp_path / "model.zip", DWARF, "--out", tmp_path / "a.csv")
        succeed("predict", model, DWARF, "--out", tmp_path / "b.csv")
        assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()

    def test_columns_as_sdss_v_calls_them(self, model, tmp_path):
        succeed("predict", model, DWARF, "--naming", "sdssv", "--out", tmp_path / "sdssv.csv")
        succeed("predict", model, DWARF, "--out", tmp_path / "ours.csv")
        sdssv, ours = (Table.read(tmp_path / name) for name in ("sdssv.csv", "ours.csv"))
        assert {"teff", "e_teff", "c_1_h", "e_c_1_h", "e_ti_2_h_model", "result_flags"} <= set(sdssv.colnames)
        assert not {"C1", "teff_err"} & set(sdssv.colnames)
        assert sdssv["e_c_1_h"][0] == ours["C1_err"][0]

    def test_aspcap_spectra_are_normalised_again(self, model, aspcap, tmp_path):
        output = succeed("predict", model, aspcap, DWARF, "--out", tmp_path / "l.csv")
        assert "1 aspcapStar file(s) were divided by ASPCAP's pseudo-continuum; they were normalised again" in output
        one, other = Table.read(tmp_path / "l.csv")["teff"]
        assert one == pytest.approx(other, rel=1e-2)  # but for the pixel flags, which aspcapStar files lack

    def test_model_that_does_not_tell_its_preprocessing(self, model, tmp_path):
        silent = load_folder(model)
        silent.preprocessing_ = silent.provenance_ = {}
        save_folder(silent, tmp_path / "silent")
        output = succeed("predict", tmp_path / "silent", DWARF, "--out", tmp_path / "l.csv")
        assert "does not record how its training spectra were prepared; the defaults of ContinuumNormalizer are used" in output
        assert "synthetic" not in output
        succeed("predict", model, DWARF, "--out", tmp_path / "told.csv")
        assert (tmp_path / "l.csv").read_text() == (tmp_path / "told.csv").read_text()

    def test_preprocessing_of_the_model_is_used(self, model, tmp_path):
        told = load_folder(model).preprocessing_ | {"degree": 0, "combination": "global"}
        save_folder(load_folder(model), tmp_path / "other", preprocessing=told)
        succeed("predict", model, GIANT, "--out", tmp_path / "a.csv")
        succeed("predict", tmp_path / "other", GIANT, "--out", tmp_path / "b.csv")
        one, other = (Table.read(tmp_path / name)[0] for name in ("a.csv", "b.csv"))
        assert other["spectrum"] == "combined (global)"
        assert one["teff"] != other["teff"]

    def test_preprocessing_that_is_not_known(self, model, tmp_path):
        save_folder(load_folder(model), tmp_path / "other", preprocessing={"magic": 1})
        assert "preprocessing parameters that are not known here: magic;" in refuse("predict", tmp_path / "other", DWARF)


class TestPredictH5:
    def test_every_row_as_it_is(self, demo, model, tmp_path):
        succeed("predict", model, demo[0] / "test.h5", "--out", tmp_path / "l.fits")
        table, expected = (
            Table.read(p, unit_parse_strict="silent") for p in (tmp_path / "l.fits", demo[0] / "catalogue.fits")
        )
        assert list(table["star"]) == list(expected["star"])
        np.testing.assert_array_equal(table["Mg"], expected["Mg"])
        np.testing.assert_array_equal(table["Mg_err"], expected["Mg_err"])

    def test_many_stars_are_shown_by_their_main_labels(self, demo, model):
        output = succeed("predict", model, demo[0] / "test.h5")
        assert len(shown(output, "synthetic-1-")) == N_TEST
        assert "teff" in output
        assert "Ni" not in output
        assert "Pass --out labels.fits to write all of them to a file." in output

    def test_endless_tables_are_cut(self, demo, model, monkeypatch, tmp_path):
        monkeypatch.setattr(terminal_tables, "_MAX_LINES", 5)
        output = succeed("predict", model, demo[0] / "test.h5", "--out", tmp_path / "l.csv")
        assert len(shown(output, "synthetic-1-")) == 5
        assert f"Shown are 5 of {N_TEST} spectra" in output
        assert f"All are in {tmp_path / 'l.csv'}." in output
        assert len(Table.read(tmp_path / "l.csv")) == N_TEST

    def test_bare_file_beside_fits(self, demo, model, tmp_path):
        x = H5Loader(demo[0] / "test.h5").load_entry("spectra")[:3]
        write_h5(tmp_path / "bare.h5", x, {"teff": [4000.0] * 3}, in_flag=[0, 1, 0])
        output = succeed("predict", model, tmp_path / "bare.h5", DWARF, "--out", tmp_path / "l.fits")
        table = Table.read(tmp_path / "l.fits", unit_parse_strict="silent")
        assert list(table["star"]) == ["row 0", "row 1", "row 2", "2M19485057+5005279"]
        assert list(table["spectrum"]) == ["combined", "visit", "combined", "combined"]
        assert np.isnan(np.ma.filled(table["snr"], np.nan)[:3]).all()
        assert list(np.ma.filled(table["noisier"], False)) == [False] * 3 + [True]
        assert "1 of 4 spectra have more noise" in output

    @pytest.mark.parametrize(
        ("spectra", "sentence"),
        [
            (np.ones((2, 8575)), "have 8575 pixels, but the model takes 7514"),
            (np.full((2, 7514), np.nan), "contains NaN"),
        ],
    )
    def test_spectra_that_are_not_ready(self, model, tmp_path, spectra, sentence):
        write_h5(tmp_path / "raw.h5", spectra, {"teff": [4000.0] * 2})
        assert sentence in refuse("predict", model, tmp_path / "raw.h5")


class TestPredictRefusals:
    def test_others_go_on(self, model, tmp_path):
        (tmp_path / "text.fits").write_text("no spectrum")
        fits.PrimaryHDU(np.ones(3)).writeto(tmp_path / "image.fits")
        spectra = [
            tmp_path / "text.fits",
            DWARF,
            tmp_path / "image.fits",
            tmp_path / "absent.fits",
            tmp_path / "absent.h5",
        ]
        result = run("predict", model, *spectra, "--out", tmp_path / "l.csv")
        assert result.exit_code == 1
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert [path.name for path in spectra if path != DWARF] == [
            next(path.name for path in spectra if path.name in error) for error in errors
        ]
        assert list(Table.read(tmp_path / "l.csv")["star"]) == ["2M19485057+5005279"]
        assert len(shown(result.stdout, "2M19485057+5005279")) > 1

    def test_one_spectrum_of_a_file(self, model, tmp_path):
        broken = tmp_path / "apStar.fits"
        with gzip.open(GIANT) as source:
            broken.write_bytes(source.read())
        with fits.open(broken, mode="update") as hdus:
            hdus[1].data[3, 300:8000] = np.nan
        result = run("predict", model, broken, "--visits", "--out", tmp_path / "l.csv")
        assert result.exit_code == 1
        assert "visit 2: " in result.stderr
        assert "cannot be normalised" in result.stderr
        assert list(Table.read(tmp_path / "l.csv")["spectrum"]) == ["combined", "visit 1", "visit 3"]

    def test_nothing_predicted(self, model, tmp_path):
        error = refuse("predict", model, tmp_path / "absent.fits", "--out", tmp_path / "l.csv")
        assert "No spectrum was predicted, and nothing written." in error
        assert not (tmp_path / "l.csv").exists()

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [("l.txt", "ends in '.txt', expected one of"), ("no/l.fits", "there is no folder"), ("taken.csv", "exists.")],
    )
    def test_outputs_are_checked_before_the_work(self, tmp_path, name, sentence):
        (tmp_path / "taken.csv").write_text("")
        assert sentence in refuse("predict", "no-model", "no-spectrum.fits", "--out", tmp_path / name)

    def test_folder_as_output(self, tmp_path):
        (tmp_path / "l.csv").mkdir()
        assert "is a folder" in refuse("predict", "no-model", DWARF, "--overwrite", "--out", tmp_path / "l.csv")

    def test_overwrite(self, model, tmp_path):
        (tmp_path / "l.csv").write_text("old")
        succeed("predict", model, DWARF, "--out", tmp_path / "l.csv", "--overwrite")
        assert len(Table.read(tmp_path / "l.csv")) == 1

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can write")
    @pytest.mark.parametrize("command", [("predict", "no-model", DWARF), ("train", "no-data.h5")])
    def test_unwritable_output_is_found_before_the_work(self, command):
        assert "Nothing can be written in /proc" in refuse(*command, "--out", "/proc/labels.csv")

    def test_absent_model(self, tmp_path):
        assert "There is no folder" in refuse("predict", tmp_path / "absent", DWARF)

    def test_damaged_model(self, model, tmp_path):
        shutil.copytree(model, tmp_path / "model")
        (tmp_path / "model" / "weights.h5").write_bytes(b"")
        assert "does not match its checksum" in refuse("predict", tmp_path / "model", DWARF)

    def test_model_on_another_grid(self, tiny_model, tmp_path):
        save_folder(tiny_model, tmp_path / "model")
        assert "The model takes spectra of 40 pixels, but" in refuse("predict", tmp_path / "model", DWARF)

    def test_truncated_h5(self, demo, model, tmp_path):
        (tmp_path / "cut.h5").write_bytes((demo[0] / "test.h5").read_bytes()[:5000])
        assert "cut short or damaged" in refuse("predict", model, tmp_path / "cut.h5")

    def test_debug_shows_the_traceback(self, tmp_path):
        result = run("predict", tmp_path / "absent", DWARF, "--debug")
        assert "Traceback" in result.stderr
        assert "Error: There is no folder" in result.stderr

    def test_ctrl_c(self, monkeypatch, model):
        def press(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr(predict_module, "load_folder", press)
        result = run("predict", model, DWARF)
        assert (result.exit_code, result.output.strip()) == (130, "")


SMALL = {"batch_size": 16, "max_epochs": 2}


@pytest.fixture
def small_network(monkeypatch):
    """Narrow layers for whatever `train` trains."""
    import skbcnn.cli.train as module

    class Narrow:
        def __new__(cls, **parameters):
            return ApogeeBCNNCensoredRegressor(**parameters | TINY)

    monkeypatch.setattr(module, "ApogeeBCNNCensoredRegressor", Narrow)
    return module


@pytest.mark.usefixtures("small_network")
class TestTrain:
    def test_then_predict(self, demo, tmp_path):
        out = tmp_path / "model"
        output = succeed(
            "train",
            demo[0] / "datasets.h5",
            "--out",
            out,
            "--target",
            "teff, logg,[Mg/H]",
            "--max-epochs",
            2,
            "--seed",
            3,
        )
        assert f"Training on {N_TRAIN} stars, with their errors" in output
        assert "36 training stars, 4 held-out stars; 2 epochs." in output
        assert "Validation loss: " in output
        model = load_folder(out)
        assert model.target_names_ == ("teff", "logg", "Mg")
        assert model.random_state == 3
        assert model.max_epochs == 2
        assert model.noise_level_ is not None
        assert model.provenance_["training_data"] == "synthetic"
        assert model.provenance_["n_stars"] == N_TRAIN
        output = succeed("predict", out, demo[0] / "test.h5", "--out", tmp_path / "l.csv")
        assert "This model was trained on synthetic stars only" in output
        assert {"teff", "logg", "Mg", "Mg_err"} <= {*Table.read(tmp_path / "l.csv").colnames}

    def test_file_without_errors(self, demo, tmp_path):
        x, y = H5Loader(demo[0] / "datasets.h5", target="teff").load()
        write_h5(tmp_path / "bare.h5", x, {"teff": y[:, 0]})
        output = succeed("train", tmp_path / "bare", "--out", tmp_path / "model", "--target", "teff", "--max-epochs", 1)
        assert "without their errors" in output
        model = load_folder(tmp_path / "model")
        assert model.noise_level_ is None
        assert model.provenance_["training_data"] == "bare.h5"

    def test_errors_of_some_columns_only(self, demo, tmp_path):
        x, y = H5Loader(demo[0] / "datasets.h5", target="teff").load()
        write_h5(tmp_path / "some.h5", x, {"teff": y[:, 0]}, spectra_err=0.01 * x)
        arguments = ("train", tmp_path / "some.h5", "--out", tmp_path / "model", "--target", "teff", "--max-epochs", 1)
        assert "has no teff_err" in refuse(*arguments)
        assert "without their errors" in succeed(*arguments, "--no-errors")

    def test_ctrl_c_keeps_the_model(self, demo, tmp_path, monkeypatch):
        from skbcnn.network.tensorflow.training import KeepBest

        remember = KeepBest.on_epoch_end

        def press(self, epoch, logs=None):
            remember(self, epoch, logs)
            if epoch == 1:
                raise KeyboardInterrupt

        monkeypatch.setattr(KeepBest, "on_epoch_end", press)
        result = run("train", demo[0] / "datasets.h5", "--out", tmp_path / "model", "--max-epochs", 5)
        assert result.exit_code == 0
        assert "Note: Training interrupted by user" in result.stderr
        assert "Interrupted before all 5 epochs were run" in result.stdout
        assert load_folder(tmp_path / "model").interrupted_

    def test_existing_model(self, demo, tmp_path):
        save = ("train", demo[0] / "datasets.h5", "--out", tmp_path / "model", "--target", "teff", "--max-epochs", 1)
        succeed(*save)
        text = (tmp_path / "model" / "model.json").read_text()
        assert "exists. Choose another name by --out, or pass --overwrite." in refuse(*save)
        succeed(*save, "--overwrite", "--dropout-rate", 0.2)
        assert json.loads(text)["network"]["dropout_rate"] == 0.3
        assert load_folder(tmp_path / "model").dropout_rate == 0.2

    def test_folder_of_something_else(self, tmp_path):
        (tmp_path / "thesis").write_text("years of work")
        assert "holds thesis, which belong to no saved model" in refuse(
            "train", "data.h5", "--out", tmp_path, "--overwrite"
        )

    @pytest.mark.parametrize(
        ("target", "sentence"), [("teff,unobtainium", "'unobtainium' is not a label"), ("alpha", "has no alpha")]
    )
    def test_labels_that_are_not_there(self, demo, tmp_path, target, sentence):
        arguments = ("train", demo[0] / "datasets.h5", "--out", tmp_path / "model", "--target", target)
        assert sentence in refuse(*arguments)

    def test_files_that_cannot_be_read(self, demo, tmp_path):
        (tmp_path / "cut.h5").write_bytes((demo[0] / "datasets.h5").read_bytes()[:5000])
        (tmp_path / "text.h5").write_text("no data")
        sentences = {
            "cut.h5": "cut short or damaged",
            "text.h5": "cannot be read as HDF5",
            "absent": "There is no file",
        }
        for name, sentence in sentences.items():
            assert sentence in refuse("train", tmp_path / name, "--out", tmp_path / "model")

    def test_no_place_for_the_model(self, demo, tmp_path):
        out = tmp_path / "absent" / "model"
        assert "there is no folder" in refuse("train", demo[0] / "datasets.h5", "--out", out)


@pytest.mark.slow
def test_nothing_but_ours_is_printed(model):
    """A process of its own, so that TensorFlow is imported there."""
    command = [sys.executable, "-m", "skbcnn", "predict", str(model), str(DWARF)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert ran.stdout.startswith("This model was trained on synthetic stars only")
