"""``skbcnn build``: training sets from SDSS files."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

import skbcnn.cli.train as train_module
from skbcnn import ApogeeBCNNCensoredRegressor, _resumable, load_folder
from skbcnn.datasets import H5Loader
from skbcnn.datasets.building import dataset
from tests.cli.runner import TINY, refuse, run, succeed
from tests.survey_mirror import write_mirror


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A mirror of DR17. Shared by all tests: do not change it."""
    return write_mirror(tmp_path_factory.mktemp("sas"), 40)


@pytest.fixture(scope="module")
def built(mirror, tmp_path_factory):
    """File and output of the command. Shared by all tests: do not change it."""
    out = tmp_path_factory.mktemp("cli") / "datasets.h5"
    return out, succeed("build", mirror.table, "--spectra", mirror.root, "--out", out, columns=200)


def test_output(mirror, built):
    out, output = built
    assert (
        f"DR17: {len(mirror.kept)} combined spectra, with 21 of the 22 labels of the default target, and M and alpha.\n"
        in output
    )
    assert "DR17 has no P, so the file has no such label.\n" in output
    assert re.search(r"left out +number\n", output)
    assert re.search(r"S/N is not above 200 +3\n", output)
    assert re.search(r"there is no such file +1\n", output)
    assert f"Each row, file and spectrum that was left out is in {out.with_name('datasets.h5-left-out.csv')}." in output
    assert f"Train with: skbcnn train {out} --out model" in output


def test_file_is_read_by_the_loader(mirror, built):
    loader = H5Loader(built[0], target=H5Loader(built[0]).label_names, load_err=True)
    x, y, x_err, _ = loader.load()
    assert x.shape == x_err.shape == (len(mirror.kept), 7514)
    assert y.shape == (len(mirror.kept), 21)


def test_the_command_that_is_printed_trains_a_model(built, tmp_path, monkeypatch):
    monkeypatch.setattr(
        train_module,
        "ApogeeBCNNCensoredRegressor",
        lambda **given: ApogeeBCNNCensoredRegressor(**given | TINY | {"calibrate": False}),
    )
    command = re.search(r"skbcnn (train .*) --out model$", built[1], re.MULTILINE)[1].split()
    succeed(*command, "--out", tmp_path / "model", "--max-epochs", 1)
    model = load_folder(tmp_path / "model")
    assert list(model.target_names_) == H5Loader(built[0]).label_names
    assert model.preprocessing_ == H5Loader(built[0]).preprocessing


def test_options_reach_the_function(mirror, tmp_path):
    options = ("--min-snr", "130", "--max-teff", "off", "--min-location-id", "OFF", "--starflag", "any", "--visits")
    options += ("--data-release", "14", "--weighting", "astronn", "--bad-bits", "0, 12", "--degree", "3")
    options += ("--no-continuum", "fill", "--combination", "pixel", "--keep-flagged", "--release", "DR17")
    out = tmp_path / "d.h5"
    output = succeed("build", mirror.table, "--spectra", mirror.root, "--out", out, *options)
    loader = H5Loader(out, load_combined=None, target="Mg")
    stars = set(loader.load_entry("APOGEE_ID"))
    for kind in ("hot", "STARFLAG", "LOCATION_ID", "real"):
        assert set(mirror.of_kind(kind)["star"]) <= stars, kind
    assert not set(mirror.of_kind("cool")["star"]) & stars
    assert (loader.load_entry("in_flag") == 1).any()
    assert " visits, with 21 of the 22 labels of the default target, and M and alpha." in output
    assert "--out model --visits\n" in output
    flagged = loader.load_entry("APOGEE_ID") == mirror.of_kind("flagged")["star"][0]
    assert (loader.load_entry("Mg")[flagged] > -9999).all()
    recorded = loader.preprocessing
    assert (recorded["data_release"], recorded["degree"], recorded["weighting"]) == (14, 3, "astronn")
    assert (recorded["bad_bits"], recorded["no_continuum"], recorded["combination"]) == ([0, 12], "fill", "pixel")


def test_errors_name_the_options(mirror, built, tmp_path):
    needed = ("--spectra", mirror.root, "--out", built[0])
    assert "Choose another name by --out, or pass --overwrite." in refuse("build", mirror.table, *needed)
    needed = ("--spectra", tmp_path, "--out", tmp_path / "d.h5")
    assert "For another layout pass --path-template." in refuse("build", mirror.table, *needed)
    aspcap = refuse("build", mirror.table, *needed, "--kind", "aspcapStar", "--visits")
    assert "Pass --kind apStar, or leave out --visits." in aspcap
    unknown = refuse("build", mirror.table, *needed, "--release", "DR18")
    assert "--release 'DR18', expected one of DR14, DR16, DR17, DR19, DR20" in unknown
    template = refuse("build", mirror.table, *needed, "--path-template", "{x}.fits")
    assert "--path-template has the field(s) x" in template
    assert "the root of the mirror by --spectra" in refuse("build", mirror.table, "--spectra", "/no", *needed[2:])
    spectrum = mirror.root / mirror.kept["path"][0]
    assert "name the release by --release." in refuse("build", spectrum, *needed)


def test_an_interrupted_command_says_that_it_can_go_on(mirror, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    command = ("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d")
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "read_prepared", interrupt)
        result = run(*command)
    assert result.exit_code == 130
    assert result.stderr == "Interrupted. What is finished is kept: the same command goes on from there.\n"
    assert f"{len(mirror.kept)} combined spectra" in succeed(*command)


ONE_FILE_A_PART = """
from skbcnn.datasets.building import dataset
dataset._FILES_OF_CHUNK = 1
from skbcnn.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="without process groups")
def test_worker_processes_are_silent_when_the_command_is_interrupted(mirror, tmp_path):
    """A terminal sends Ctrl-C to all processes of a command."""
    command = [sys.executable, "-c", ONE_FILE_A_PART, "build", mirror.table, "--spectra", mirror.root, "--n-jobs", "2"]
    command = [*map(str, command), "--out", str(tmp_path / "d.h5"), "--visits"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not list(tmp_path.glob(".d.h5.unfinished/*.npz")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate()
    assert (output, errors) == ("", "Interrupted. What is finished is kept: the same command goes on from there.\n")
    assert process.returncode == 130


def test_work_that_was_finished_when_its_process_was_killed_is_recognised(mirror, tmp_path, monkeypatch):
    command = ("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d.h5")
    with monkeypatch.context() as patch:
        patch.setattr(_resumable, "_remove", lambda folder: None)
        first = succeed(*command)
    assert succeed(*command) == first
    assert "exists. Choose another name by --out, or pass --overwrite." in refuse(*command)


def test_a_link_is_followed(mirror, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "d.h5").symlink_to("disk/today.h5")
    succeed("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d.h5")
    assert (tmp_path / "d.h5").is_symlink()
    assert len(H5Loader(tmp_path / "disk/today.h5").load_entry("teff")) == len(mirror.kept)


def test_the_name_of_another_format_is_refused(mirror, tmp_path):
    message = refuse("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d.fits")
    assert "d.fits ends in '.fits', but the file to write has the HDF5 format." in message


def test_no_process_at_all(mirror, tmp_path):
    result = run("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d.h5", "--n-jobs", 0)
    assert result.exit_code == 2
    assert "0 is no number of processes" in " ".join(result.stderr.split())


@pytest.mark.parametrize("value", ["none", "1,2"])
def test_limits_are_numbers_or_off(mirror, tmp_path, value):
    result = run("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d.h5", "--min-snr", value)
    assert result.exit_code == 2
    assert f"'{value}' is neither a number nor off." in result.stderr
