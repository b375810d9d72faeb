"""``skbcnn demo``: what it writes and prints."""

import sys

import numpy as np
import pytest
from astropy.table import Table

from skbcnn import H5Loader, load_folder
from skbcnn.cli import demo as demo_module
from skbcnn.survey import APOGEE_LABELS
from tests.cli.runner import TINY, refuse, succeed

N_TRAIN, N_TEST = 40, 24


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder and output of a tiny demo. Shared by all tests: do not change it."""
    out = tmp_path_factory.mktemp("cli") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_module, "DEMO_RECIPE", TINY)
        output = succeed("demo", "--out", out, "--n-train", N_TRAIN, "--n-test", N_TEST, "--max-epochs", 1)
    return out, output


def test_every_file(demo):
    found = {path.relative_to(demo[0]).as_posix() for path in demo[0].rglob("*") if path.is_file()}
    model = {f"model/{name}" for name in ("model.json", "weights.h5", "README.md", "SHA256SUMS")}
    pictures = {f"pictures/{name}.png" for name in (*APOGEE_LABELS, "overview")}
    assert found == {"datasets.h5", "test.h5", "catalogue.fits", *model, *pictures}


def test_output(demo):
    out, output = demo
    assert f"{N_TEST} synthetic test stars at S/N 100, against their true labels without noise" in output
    assert "36 training stars, 4 held-out stars; 1 epoch." in output
    assert f"skbcnn predict {out / 'model'} apStar-....fits --out labels.fits" in output
    assert all(f"\n{name} " in output for name in APOGEE_LABELS)


def test_catalogue(demo):
    table = Table.read(demo[0] / "catalogue.fits")
    assert len(table) == N_TEST
    assert table["star"][0] == "synthetic-1-00000"
    assert (str(table["teff"].unit), str(table["Mg_err"].unit)) == ("K", "dex")
    assert set(table["snr"]) == {100}
    assert (table["Ni_err"] > 0).all()
    assert {"novelty", "result_flags"} <= {*table.colnames}


def test_residuals_printed_are_those_of_the_catalogue(demo):
    table = Table.read(demo[0] / "catalogue.fits")
    truth = H5Loader(demo[0] / "test.h5").load_entry("truth")
    median = np.median(table["teff"] - truth[:, 0])
    (line,) = (line for line in demo[1].splitlines() if line.startswith("teff "))
    assert float(line.split()[2]) == pytest.approx(median, abs=0.51)


def test_training_stars_are_not_test_stars(demo):
    train, test = (H5Loader(demo[0] / name).load_entry("spectra") for name in ("datasets.h5", "test.h5"))
    assert train.shape == (N_TRAIN, 7514)
    assert not (train[:N_TEST, None, :50] == test[None, :, :50]).all(axis=2).any()


def test_model_records_its_origin(demo):
    model = load_folder(demo[0] / "model")
    recorded = {name: value for name, value in model.provenance_.items() if name != "skbcnn"}
    assert recorded == {"training_data": "synthetic", "n_stars": N_TRAIN, "snr": 200, "seed": 0}
    assert model.preprocessing_["combination"] == "pixel"
    assert model.preprocessing_["data_release"] == 17
    assert model.noise_level_ > 0
    assert model.verbose == 0


def test_catalogue_is_what_predict_writes(demo, tmp_path):
    succeed("predict", demo[0] / "model", demo[0] / "test.h5", "--out", tmp_path / "l.fits")
    table, expected = Table.read(tmp_path / "l.fits"), Table.read(demo[0] / "catalogue.fits")
    for name in set(expected.colnames) - {"snr"}:
        np.testing.assert_array_equal(table[name], expected[name])


def test_matplotlib_is_needed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "The demo needs matplotlib: pip install" in refuse("demo", "--out", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
