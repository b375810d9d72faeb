"""``skbcnn evaluate``: what it prints, writes and refuses."""

import sys

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skbcnn import CensoredBCNNRegressor, residual_table, save_folder, write_h5
from skbcnn.preprocessing import SpectraNormalizer
from skbcnn.report import Evaluation
from tests.cli.runner import TINY, refuse, run, succeed


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 2)) * [200, 0.3] + [4700, 0]
    lines = np.exp(-((np.arange(40) - np.array([[10], [30]])) ** 2) / 8)
    X = 1 - (0.2 + (y - [4700, 0]) / [4000, 6]) @ lines + 0.01 * rng.normal(size=(60, 40))
    return X, y


@pytest.fixture(scope="module")
def network(stars):
    X, y = stars
    return CensoredBCNNRegressor(target=["teff", "Mg"], max_epochs=1, random_state=0, **TINY).fit(X[:30], y[:30])


@pytest.fixture(scope="module")
def files(stars, network, tmp_path_factory):
    """A folder with a model, a file of stars and one of visits. Shared: do not change it."""
    folder = tmp_path_factory.mktemp("evaluate")
    X, y = stars
    labels = dict(zip(("teff", "Mg"), y[30:].T, strict=True))
    save_folder(network, folder / "model", provenance={"training_data": "synthetic"})
    write_h5(folder / "stars.h5", X[30:], labels)
    write_h5(folder / "visits.h5", X[30:], labels, in_flag=np.ones(30))
    return folder


@pytest.fixture
def no_figures(monkeypatch):
    """Pages without figures, which take time."""
    monkeypatch.setattr(Evaluation, "figures", {})


def test_residuals_on_the_terminal_and_a_page(files, network, stars, tmp_path):
    output = succeed("evaluate", files / "model", files / "stars.h5", "--html", tmp_path / "r.html")
    assert "The first training of this model used synthetic spectra only." in output
    assert "label  spectra" in output
    assert "bias: median of the residuals; scatter: 1.4826 times their median absolute deviation." in output
    assert f"Residuals (predicted minus reference) of 30 combined spectra of {files / 'stars.h5'}:" in output
    (line,) = (line for line in output.splitlines() if line.startswith("teff "))
    table = residual_table(stars[1][30:], network.predict(stars[0][30:]), label_names=["teff", "Mg"])
    assert float(line.split()[3]) == pytest.approx(table["mad_std"][0], abs=0.6)
    assert output.splitlines()[-1] == f"Wrote {tmp_path / 'r.html'}"
    page = (tmp_path / "r.html").read_text()
    assert "<title>Evaluation of model on stars.h5</title>" in page
    assert "could not be drawn" not in page


@pytest.mark.parametrize(
    ("name", "n_spectra", "is_named"), [("stars.h5", 30, True), ("stars.h5", 29, False), ("a.h5", 30, False)]
)
def test_a_file_that_the_model_was_trained_on(files, network, tmp_path, no_figures, name, n_spectra, is_named):
    model = save_folder(
        network, tmp_path / "model", provenance={"training_data": name, "n_spectra": n_spectra, "random_state": 0}
    )
    output = succeed("evaluate", model, files / "stars.h5", "--html", tmp_path / "r.html")
    sentence = "The model was trained on stars.h5, so these are figures of training stars, except for the few"
    assert (sentence in output) is is_named
    page = (tmp_path / "r.html").read_text()
    assert (sentence in page) is is_named
    assert "the file has no visits" not in page


def test_visits_draws_and_reference(files, tmp_path, no_figures):
    options = ("--visits", "--n-draws", 3, "--reference", "ASPCAP", "--html", tmp_path / "r.html")
    output = succeed("evaluate", files / "model", files / "visits.h5", *options)
    assert "Residuals (predicted minus ASPCAP) of 30 visits of" in output
    page = (tmp_path / "r.html").read_text()
    assert "30 spectra (visits), of 30 spectra in the file" in page
    assert '<td class="text">3, seed' in page


def test_limit_of_the_number_of_spectra(files, tmp_path, no_figures):
    options = ("--max-spectra", 20, "--html", tmp_path / "r.html")
    output = succeed("evaluate", files / "model", files / "stars.h5", *options)
    assert "Evaluated are 20 of the 30 combined spectra, chosen at random." in output
    assert "Residuals (predicted minus reference) of 20 combined spectra of" in output


def test_rows_of_the_other_kind_are_named_by_the_option(files, tmp_path):
    page = ("--html", tmp_path / "r.html")
    assert "evaluate the visits by --visits." in refuse("evaluate", files / "model", files / "visits.h5", *page)
    message = refuse("evaluate", files / "model", files / "stars.h5", "--visits", *page)
    assert "leave out --visits." in message
    assert not (tmp_path / "r.html").exists()


def test_existing_page(files, tmp_path, no_figures):
    page = tmp_path / "r.html"
    page.write_text("old")
    arguments = ("evaluate", files / "model", files / "stars.h5", "--html", page)
    assert "exists. Choose another name by --html, or pass --overwrite." in refuse(*arguments)
    assert page.read_text() == "old"
    succeed(*arguments, "--overwrite")
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("r.pdf", "ends in '.pdf', expected a name that ends in .html."),
        ("no/r.html", "there is no folder"),
        ("folder.html", "is a folder, expected the name of a page"),
    ],
)
def test_pages_that_cannot_be_written(tmp_path, name, sentence):
    (tmp_path / "folder.html").mkdir()
    assert sentence in refuse("evaluate", "no-model", "no-file.h5", "--overwrite", "--html", tmp_path / name)


def test_a_page_in_the_model_folder(files):
    message = refuse("evaluate", files / "model", files / "stars.h5", "--html", files / "model" / "r.html")
    assert "which the command reads. Choose another name by --html." in " ".join(message.split())


def test_no_labels(files, stars, tmp_path):
    path = write_h5(tmp_path / "x.h5", stars[0], {"Al": stars[1][:, 1]})
    message = refuse("evaluate", files / "model", path, "--html", tmp_path / "r.html")
    assert "has no label of the model: no such columns are there." in message
    assert "The model predicts teff, Mg" in message


def test_pipelines_are_refused(files, stars, network, tmp_path):
    save_folder(make_pipeline(SpectraNormalizer().fit(stars[0]), network), tmp_path / "model")
    message = refuse("evaluate", tmp_path / "model", files / "stars.h5", "--html", tmp_path / "r.html")
    assert "holds a pipeline, expected a regressor" in message


def test_jinja_is_needed_before_the_work(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    message = refuse("evaluate", files / "model", files / "stars.h5", "--html", tmp_path / "r.html")
    assert "skbcnn evaluate needs matplotlib and jinja2: pip install 'skbcnn[report]'" in message


def test_help():
    text = run("evaluate", "--help").output
    assert all(option in text for option in ("--html", "--visits", "--n-draws", "--reference", "--overwrite"))
