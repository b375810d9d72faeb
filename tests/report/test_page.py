"""The HTML page: complete, self-contained, the same bytes, and readable."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from skbcnn.report import evaluate
from skbcnn.report.cells import PageTable
from skbcnn.report.encoding import data_uri
from skbcnn.report.page import _rows, page
from skbcnn.report.sections import FigureGroup, Paragraph
from tests.report.conftest import NAMES, write_stars

VOID = {"meta", "img", "link", "br", "hr", "input"}
LINKS = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


class Reader(HTMLParser):
    """Reads a page, and fails where a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(network, path):
    return page(evaluate(network, path, reference_name="ASPCAP", model_name="giants <1>"))


@pytest.fixture(scope="module")
def reader(html):
    return Reader(html)


def test_every_section(reader):
    expected = {"data", "residuals", "ranges", "error-bars", "responses", "novelty", "outliers", "planes"}
    expected |= {"versions", "training", "labels"}
    assert {section["id"] for section in reader.all("section")} == expected
    linked = {link["href"] for link in reader.all("a")}
    assert linked == {f"#{name}" for name in expected}


def test_nothing_outside_the_page(html, reader):
    links = [(name, value) for _, attributes in reader.tags for name, value in attributes.items() if name in LINKS]
    assert all(value.startswith(("#", "data:image/svg+xml,")) for _, value in links)
    assert {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object"} == set()
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_pictures(reader):
    assert len(reader.all("img")) == len(reader.all("figure")) >= 18
    assert all(len(image["alt"]) > 20 for image in reader.all("img"))
    assert "could not be drawn" not in reader.text


def test_tables_are_semantic(reader):
    scopes = [cell.get("scope") for cell in reader.all("th")]
    assert set(scopes) == {"row", "col"}
    assert len(reader.all("caption")) == len(reader.all("table"))


def test_names_are_escaped(html, reader):
    assert "giants &lt;1&gt;" in html
    assert "Evaluation of giants <1> on stars.h5" in reader.text


def test_numbers_of_the_tables(reader, network, path):
    evaluation = evaluate(network, path)
    assert f"{100 * evaluation.coverage['within_1'][0]:.1f}" in reader.text
    assert "2M0" in reader.text
    assert "ASPCAP, with errors" in reader.text
    assert "260 spectra (combined spectra), of 260 spectra in the file" in reader.text


def test_statistics_have_one_name(html):
    """In tables and captions; `mad_std` is named where the scatter is defined."""
    text = Reader(html).text
    assert "The bias is the median of the residuals. The scatter is 1.4826 times" in text
    assert text.count("mad_std") == 1
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', html)
    assert {"Bias", "Scatter", "Reference bias", "Reference scatter", "Bias / \N{GREEK SMALL LETTER SIGMA}"} <= {*heads}
    assert not {"Median", "Reference median"} & {*heads}


def test_tables_and_figures_between_two_paragraphs_are_in_one_row():
    text, table, figures = Paragraph("x"), PageTable("y", ("a", "b"), []), FigureGroup(["z"])
    assert _rows([text, text, table, figures, text, table]) == [[text], [text], [table, figures], [text], [table]]


def test_size(html):
    assert len(html) < 4e6


def test_same_bytes(html, network, path):
    again = page(evaluate(network, path, reference_name="ASPCAP", model_name="giants <1>"))
    assert again == html


def test_no_dates_in_figures(html):
    assert re.search(r"dc:date|20\d\d-\d\d-\d\d", html) is None


def test_missing_labels_are_named(network, stars, tmp_path, monkeypatch):
    X, X_err, y, y_err = stars
    path = write_stars(tmp_path / "x.h5", X, X_err, y[:, [0, 3]], y_err[:, [0, 3]], ("teff", "Mg"))
    evaluation = evaluate(network, path)
    monkeypatch.setattr(evaluation, "figures", {})  # which take time
    text = Reader(page(evaluation)).text
    assert "The file has no value of log g, [Fe/H], [Al/H]: there are no residuals of these labels." in text
    assert "Spectra without the label" in text
    assert "[Mg/H] 30" in text
    assert "There is no table by S/N: the file does not have it." in text


def test_left_out_spectra_are_named(network, stars, tmp_path, monkeypatch):
    X = stars[0].copy()
    path = write_stars(tmp_path / "x.h5", X, *stars[1:])
    import h5py

    with h5py.File(path, "a") as file:
        file["spectra"][5, 5] = np.nan
    evaluation = evaluate(network, path)
    monkeypatch.setattr(evaluation, "figures", {})
    text = Reader(page(evaluation)).text
    assert "Left out: 1 of 260 spectra, which cannot be used (first: row 5, NaN or other flux not finite)." in text
    assert "259 spectra (combined spectra), of 260 spectra in the file" in text


def test_a_figure_that_cannot_be_drawn_does_not_lose_the_page(network, path, monkeypatch):
    evaluation = evaluate(network, path)
    figure = evaluation.figures["kiel"]

    def fail(figure):
        raise ValueError("No star has both.")

    monkeypatch.setattr(evaluation, "figures", {"kiel": type(figure)(figure.size, fail, figure.caption, figure.alt)})
    reader = Reader(page(evaluation))
    assert "It could not be drawn: No star has both." in reader.text
    assert reader.all("img") == []


def test_long_lines_are_pixels():
    from skbcnn.plotting import new_figure

    figures = [new_figure(3, 2) for _ in range(2)]
    for figure, n in zip(figures, (100, 5000), strict=True):
        figure.add_subplot().plot(np.sin(np.arange(n)))
    short, long = map(data_uri, figures)
    assert "image/png" not in short
    assert "image/png" in long


class TestWriting:
    @pytest.fixture
    def evaluation(self, network, path, monkeypatch):
        evaluation = evaluate(network, path)
        monkeypatch.setattr(evaluation, "figures", {})
        return evaluation

    def test_existing_files_are_refused(self, evaluation, tmp_path):
        (tmp_path / "x.html").write_text("old")
        with pytest.raises(
            FileExistsError, match=r"x\.html exists\. Remove it, choose another name, or pass overwrite"
        ):
            evaluation.to_html(tmp_path / "x.html")
        assert (tmp_path / "x.html").read_text() == "old"
        evaluation.to_html(tmp_path / "x.html", overwrite=True)
        assert (tmp_path / "x.html").read_text().startswith("<!DOCTYPE html>")
        assert [file.name for file in tmp_path.iterdir()] == ["x.html"]

    def test_no_folder(self, evaluation, tmp_path):
        with pytest.raises(FileNotFoundError, match="could not be written"):
            evaluation.to_html(tmp_path / "none" / "x.html")

    def test_jinja_is_needed(self, evaluation, tmp_path, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "jinja2", None)
        with pytest.raises(ModuleNotFoundError, match=r"needs matplotlib and jinja2: pip install 'skbcnn\[report\]'"):
            evaluation.to_html(tmp_path / "x.html")


SCREEN = """<!DOCTYPE html><html><body><iframe id="frame" src="page.html" width="{}" height="800"></iframe><script>
document.getElementById("frame").onload = (event) => {{
  const root = event.target.contentDocument.documentElement;
  const tops = [...root.querySelectorAll("table.facts")].map((table) => table.getBoundingClientRect().top);
  document.body.dataset.widths = `${{root.scrollWidth}} of ${{root.clientWidth}}, ${{tops[1] - tops[0]}} px`;
}};
</script></body></html>"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the browser chromium")
class TestBrowser:
    def run(self, *options):
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
        return subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=True).stdout

    @pytest.mark.parametrize("width", [390, 1440])
    def test_width_of_the_screen(self, html, tmp_path, width):
        """Nothing is wider than the screen. The tables of the model and of the data share a row if it is wide."""
        (tmp_path / "page.html").write_text(html)
        (tmp_path / "screen.html").write_text(SCREEN.format(width))
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        dom = self.run(profile, "--virtual-time-budget=20000", "--dump-dom", (tmp_path / "screen.html").as_uri())
        found = re.search(r'data-widths="(\d+) of (\d+), ([\d.]+) px"', dom)
        assert int(found[1]) <= int(found[2]) <= width
        assert (float(found[3]) < 1) == (width > 1000)

    def test_on_paper(self, html, tmp_path):
        (tmp_path / "page.html").write_text(html)
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        self.run(profile, f"--print-to-pdf={tmp_path / 'x.pdf'}", (tmp_path / "page.html").as_uri())
        assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


def test_every_label_has_a_figure(reader):
    figures = {figure["id"] for figure in reader.all("figure")}
    assert {f"figure-residuals_{name}" for name in NAMES} <= figures
