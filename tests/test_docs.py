"""What the docs tell the reader to type runs as it stands."""

import re
from pathlib import Path

import pytest
from sklearn import config_context

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
README_IN_SMALL = {
    "make_apogee_spectra(3000,": "make_apogee_spectra(60,",
    "noise_augmentation=0,": "noise_augmentation=0, max_epochs=1,",
}


def run_blocks(page, text):
    """Run the Python blocks of a page in order, as one program; tracebacks show the lines of the page."""
    names = {"__name__": page.stem}
    with config_context():  # what a page sets in scikit-learn ends with it
        for block in BLOCK.finditer(text):
            lines_before = text.count("\n", 0, block.start(1))
            exec(compile("\n" * lines_before + block[1], str(page), "exec"), names)


def pages_with_code():
    return [page for page in sorted((ROOT / "docs").glob("*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(page, page.read_text(encoding="utf-8"))


def test_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    for large, small in README_IN_SMALL.items():
        assert text.count(large) == 1
        text = text.replace(large, small)
    run_blocks(page, text)
    assert "teff" in capsys.readouterr().out
