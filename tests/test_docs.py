"""The code in the README, the pages and the gallery runs, and the reference describes all names that it uses."""

import gzip
import re
import runpy
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from sklearn import config_context

from skbcnn import ApogeeBCNNCensoredRegressor, H5Loader, load_folder
from skbcnn.cli import train
from skbcnn.cli.commands import skbcnn
from skbcnn.survey import APOGEE_LABELS
from tests.survey_mirror import write_mirror

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
CATALOGUE = ROOT / "docs" / "catalogue.md"
SLOW_PAGES = ("metadata.md", "searches.md", "training.md")
COMMANDS = re.compile(r"^```bash\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
SMALL_README = {  # replacements that make the program of the README quick
    "make_apogee_spectra(3000,": "make_apogee_spectra(320,",  # 24 held-out stars are enough to calibrate
    "Regressor(random_state=1,": "Regressor(max_epochs=1, random_state=1,",
}
SMALL_GALLERY = {  # constants of the programs of the gallery, with values that make them quick
    "plot_cluster.py": {"N_STARS": 60, "N_CLUSTER": 20, "N_EPOCHS": 1},
    "plot_displays.py": {"N_STARS": 240, "N_TEST": 70, "N_EPOCHS": 1},  # 20 held-out stars are enough to calibrate
}


def run_blocks(page, text):
    """Run the Python blocks of a page in order, as one program. Tracebacks show the line numbers of the page."""
    names = {"__name__": page.stem}
    with config_context():  # restores the configuration of scikit-learn
        for block in BLOCK.finditer(text):
            lines_before = text.count("\n", 0, block.start(1))
            exec(compile("\n" * lines_before + block[1], str(page), "exec"), names)


def pages_with_code():
    """Return the pages with programs; those that train for long are slow tests."""
    pages = [page for page in sorted((ROOT / "docs").glob("*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]
    pages.remove(CATALOGUE)  # whose program needs what its commands have made
    slow = [pytest.mark.slow]
    return [pytest.param(page, id=page.name, marks=slow if page.name in SLOW_PAGES else []) for page in pages]


@pytest.mark.parametrize("page", pages_with_code())
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(page, page.read_text(encoding="utf-8"))


@pytest.fixture
def quick_commands(monkeypatch):
    """Let `skbcnn train` train narrow networks for one epoch, whatever the options say."""
    small = {"num_hidden": (8, 8, 4, 4, 0), "max_epochs": 1, "n_draws": 4}
    monkeypatch.setattr(
        train, "ApogeeBCNNCensoredRegressor", lambda **given: ApogeeBCNNCensoredRegressor(**given | small)
    )


@pytest.mark.slow
def test_commands_of_the_page_about_catalogues(tmp_path, monkeypatch, quick_commands):
    monkeypatch.chdir(tmp_path)
    for release in (17, 19):
        write_mirror(tmp_path / "sas", 60, release=release, seed=release)
    text = CATALOGUE.read_text(encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(re.search(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1])
    commands = [line for block in COMMANDS.finditer(text) for line in block[1].replace("\\\n", "").splitlines()]
    assert {shlex.split(line)[1] for line in commands if line.startswith("skbcnn")} == {
        *("build", "train", "evaluate", "predict")
    }
    for line in commands:
        names, _, command = line.rpartition(" | ")
        given = subprocess.run(shlex.split(names), capture_output=True, text=True, check=True).stdout if names else None
        result = CliRunner().invoke(skbcnn, shlex.split(command)[1:], input=given)
        # the mirror has spectra that cannot be used, of which `predict` tells by its exit code
        wrote_catalogue = command.split()[1] == "predict" and "Wrote" in result.stdout
        assert result.exit_code == 0 or wrote_catalogue, (command, result.output)
    catalogue, left_out = Table.read("catalogue.fits"), Table.read("catalogue.fits-left-out.csv")
    assert len(catalogue) + len(left_out) >= 60
    assert "teff_err" in catalogue.colnames
    assert len(Table.read("visits.parquet")) > len(catalogue)
    stars = Table.read("stars.fits")
    assert np.all(np.diff(stars["table_row"]) > 0)
    assert {"file", "row", "FIELD", "TELESCOPE"} <= set(stars.colnames)
    columns = ["file", "spectrum", "reason", "detail", "star", "row"]
    for path in ("stars.fits-left-out.csv", "datasets.h5-left-out.csv"):
        assert Table.read(path).colnames == columns
    assert Path("model-report/parameters.json").exists()
    assert len(Table.read("faint.fits")) == len(H5Loader("faint.h5", target="teff").load()[0])
    assert Path("report.html").stat().st_size > 1e5
    run_blocks(
        CATALOGUE, text.replace("Regressor(target", "Regressor(num_hidden=(8, 8, 4, 4, 0), max_epochs=1, target")
    )
    assert len(load_folder("model-3").target_names_) == 21


def test_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    for large, small in SMALL_README.items():
        assert text.count(large) == 1
        text = text.replace(large, small)
    (tmp_path / "tests").symlink_to(ROOT / "tests")  # the program runs in the top folder of the repository
    run_blocks(page, text)
    assert "teff" in capsys.readouterr().out


@pytest.fixture
def run_small(monkeypatch):
    """Function that runs a program of the gallery with few stars and returns its variables. The figures stay open."""
    import matplotlib
    from matplotlib import pyplot

    def run_small(name):
        page = ROOT / "docs" / "examples" / name
        program = page.read_text(encoding="utf-8")
        for constant, value in SMALL_GALLERY[name].items():
            program, n_found = re.subn(rf"^{constant} = \d+$", f"{constant} = {value}", program, flags=re.MULTILINE)
            assert n_found == 1
        names = {"__name__": page.stem}
        exec(compile(program, str(page), "exec"), names)
        for number in pyplot.get_fignums():
            pyplot.figure(number).canvas.draw()
        return names

    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    with matplotlib.rc_context():
        yield run_small
    pyplot.close("all")


class TestGallery:
    def test_every_program_is_tested(self):
        assert {page.name for page in (ROOT / "docs" / "examples").glob("*.py")} == set(SMALL_GALLERY)

    @pytest.mark.slow
    def test_cluster_program(self, run_small, capsys):
        names = run_small("plot_cluster.py")
        slopes = np.array([*names["slopes"].values()])
        assert slopes.shape == (2, 2)
        assert np.isfinite(slopes).all()
        assert f"{slopes[1, 0]:.2f}" in capsys.readouterr().out
        truth = names["cluster"].truth[:, [APOGEE_LABELS.index("Mg"), APOGEE_LABELS.index("Al")]]
        for ax in names["axes"]:  # axes of the last figure
            np.testing.assert_allclose(ax.collections[0].get_offsets(), truth)

    @pytest.mark.slow
    def test_displays_program(self, run_small):
        from matplotlib import pyplot

        from skbcnn import plotting

        names = run_small("plot_displays.py")
        displays = {name for name in plotting.__all__ if name.endswith("Display")}
        assert displays <= set(names)
        assert len(pyplot.get_fignums()) == len(displays)


def imported_names():
    """Return all names that the docs import from the package, as pairs of module and name."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "examples").glob("*.py")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    imports = re.findall(r"^from (skbcnn[.\w]*) import ([\w, ]+|\([\w,\s]+\))", text, re.MULTILINE)
    return {(module, name) for module, names in imports for name in re.findall(r"\w+", names)}


def test_reference_describes_all_names_that_the_docs_import():
    reference = runpy.run_path(str(ROOT / "docs" / "conf.py"))["reference_page"]()
    assert ("skbcnn.plotting", "KielDisplay") in imported_names()
    for module, name in imported_names():
        assert f"   ~{module}.{name}\n" in reference or f"`~skbcnn.{name}`" in reference


def write_survey(folder):
    """Write an allStar table of DR14 with four stars: two with real spectra, one with flags, one without a file."""
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
    """Return the blocks of a page that need files of the survey, joined to one program."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return "".join(re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_every_block_that_needs_files_is_tested():
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if "```py\n" in page.read_text(encoding="utf-8")]
    assert sorted(pages) == ["dr14.md", "persistence.md"]


def test_published_models_of_the_page_about_saving(tmp_path, monkeypatch, shared_data):
    giant = gzip.decompress((ROOT / "tests" / "data" / "apStar-dr17-2M17335483-2753043.fits.gz").read_bytes())
    (tmp_path / "apStar-r8-2M17335483-2753043.fits").write_bytes(giant)
    (tmp_path / "astroNN_0617_run001").symlink_to(shared_data / "astronn_folders" / "astronn_keras3")
    (tmp_path / "astroNN_dr17.pt").symlink_to(shared_data / "sdssv_network" / "network.pt")
    monkeypatch.chdir(tmp_path)
    exec(compile(py_blocks("persistence.md"), "persistence.md", "exec"), {})
    table = Table.read("labels.fits")
    assert list(table["sdss4_apogee_id"]) == ["2M17335483-2753043"]
    assert np.isfinite([table["teff"][0], table["e_c_1_h"][0]]).all()


def test_dr14_page(tmp_path, monkeypatch):
    write_survey(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(py_blocks("dr14.md"), "dr14.md", "exec"), {})
    assert H5Loader("dr14.h5").preprocessing["data_release"] == 17
    X, y, X_err, y_err = H5Loader("dr14.h5", load_err=True).load()
    assert X.shape == X_err.shape == (2, 7514)
    assert abs(np.median(X) - 1) < 0.1
    np.testing.assert_allclose(y[:, 0], 4500)
    np.testing.assert_allclose(y_err[:, :2], 2)
    np.testing.assert_allclose(y[:, 2:19], np.arange(17) / 100 + [[0], [0.26]], rtol=1e-5)  # C to Mn
    np.testing.assert_allclose(y[0, 19:], [0.17, 0.18, 0.19], rtol=1e-5)  # Fe, Co, Ni
    assert list(H5Loader("dr14.h5").load_entry("APOGEE_ID")) == ["2M1", "2M2"]
