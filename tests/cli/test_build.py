"""``skbcnn build``: training sets from SDSS files."""

import re

import pytest

import skbcnn.cli.train as train_module
from skbcnn import ApogeeBCNNCensoredRegressor, load_folder
from skbcnn.datasets import H5Loader
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
    assert f"DR17: {len(mirror.kept)} combined spectra, 23 labels.\n" in output
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
    assert " visits, 23 labels" in output
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


@pytest.mark.parametrize("value", ["none", "1,2"])
def test_limits_are_numbers_or_off(mirror, tmp_path, value):
    result = run("build", mirror.table, "--spectra", mirror.root, "--out", tmp_path / "d.h5", "--min-snr", value)
    assert result.exit_code == 2
    assert f"'{value}' is not a valid float" in result.stderr
