"""What the docs tell the reader to type runs as it stands."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sklearn import config_context

from skbcnn import H5Loader

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


def write_survey(folder):
    """An allStar table of DR14, of four stars: two whose spectra are real, one with flags, one without a file."""
    names = [
        "C",
        "CI",
        "N",
        "O",
        "Na",
        "Mg",
        "Al",
        "Si",
        "P",
        "S",
        "K",
        "Ca",
        "Ti",
        "TiII",
        "V",
        "Cr",
        "Mn",
        "Fe",
        "Co",
    ]
    names += ["Ni", "Cu", "Ge", "Rb", "Y", "Nd", "Ce"]
    data = Path(__file__).parent / "data"
    giant = gzip.decompress((data / "apStar-dr17-2M17335483-2753043.fits.gz").read_bytes())
    dwarf = (data / "apStar-dr17-2M19485057+5005279.fits").read_bytes()
    (folder / "apo25m" / "4424").mkdir(parents=True)
    for name, content in (("giant.fits", giant), ("dwarf.fits", dwarf)):
        (folder / "apo25m" / "4424" / name).write_bytes(content)
    parameters = np.tile([4500.0, 2.0, 0, 0, 0, 0, 0, 0, 0], (4, 1))
    x_h = np.arange(4 * 26).reshape(4, 26) / 100.0
    columns = [
        fits.Column("APOGEE_ID", "18A", array=["2M1", "2M2", "2M3", "2M4"]),
        fits.Column("FILE", "30A", array=["giant.fits", "dwarf.fits", "giant.fits", "none.fits"]),
        fits.Column("LOCATION_ID", "J", array=[4424] * 4),
        fits.Column("STARFLAG", "J", array=[0, 0, 4, 0]),
        fits.Column("ASPCAPFLAG", "J", array=[0] * 4),
        fits.Column("VSCATTER", "E", array=[0.1] * 4),
        fits.Column("SNR", "E", array=[300.0] * 4),
        fits.Column("PARAM", "9E", array=parameters),
        fits.Column("PARAM_COV", "81E", dim="(9, 9)", array=np.tile(4 * np.eye(9), (4, 1, 1))),
        fits.Column("X_H", "26E", array=x_h),
        fits.Column("X_H_ERR", "26E", array=x_h / 10),
    ]
    symbols = fits.BinTableHDU.from_columns([fits.Column("ELEM_SYMBOL", "130A5", dim="(5, 26)", array=[names])])
    table = fits.BinTableHDU.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(), symbols]).writeto(folder / "allStar-l31c.2.fits")


def py_blocks(name):
    """Blocks of a page that take too long, or files that are not here, joined to one program."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return "".join(re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_the_cluster_in_small(tmp_path, monkeypatch):
    program = py_blocks("cluster.md")
    for large, small in {"spectra(1200,": "spectra(60,", "spectra(500,": "spectra(20,", ": 20, ": ": 1, "}.items():
        assert program.count(large) == 1
        program = program.replace(large, small)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(program, "cluster.md", "exec"), names)
    assert np.isfinite([*names["slopes"].values()]).all()
    assert (tmp_path / "plane.png").stat().st_size > 10_000


def test_the_recipe_for_dr14(tmp_path, monkeypatch):
    write_survey(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(py_blocks("dr14.md"), "dr14.md", "exec"), {})
    X, y, X_err, y_err = H5Loader("dr14.h5", load_err=True).load()
    assert X.shape == X_err.shape == (2, 7514)
    assert abs(np.median(X) - 1) < 0.1
    np.testing.assert_allclose(y[:, 0], 4500)
    np.testing.assert_allclose(y_err[:, :2], 2)
    np.testing.assert_allclose(y[:, 2:19], np.arange(17) / 100 + [[0], [0.26]], rtol=1e-5)  # C to Mn
    np.testing.assert_allclose(y[0, 19:], [0.17, 0.18, 0.19], rtol=1e-5)  # Fe, Co, Ni
    assert list(H5Loader("dr14.h5").load_entry("APOGEE_ID")) == ["2M1", "2M2"]
