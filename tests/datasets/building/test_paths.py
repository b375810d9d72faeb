"""Paths in a mirror: those that SDSS documents, and nothing of sdss-access left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skbcnn.datasets.building.paths import mirror_paths, template_fields
from skbcnn.survey.releases import RELEASES

ROOT = Path("/sas")
STAR = {
    "star": "2M00000002+7417074",
    "telescope": "apo25m",
    "field": "M13",
    "location_id": 4102,
    "prefix": "ap",
    "healpix": 12345,
    "apred": "1.3",
    "reduction": "Tabby",
}
SOUTHERN = {"telescope": "lco25m", "prefix": "as"}
AT_1M = {"telescope": "apo1m", "field": "calibration"}
OF_DR17 = "dr17/apogee/spectro/redux/dr17/stars"
OF_DR19 = "dr19/spectro/apogee/redux/1.3/stars"
DOCUMENTED = [  # release, kind, other quantities, path below the root
    (14, "apStar", {}, "dr14/apogee/spectro/redux/r8/stars/apo25m/4102/apStar-r8-2M00000002+7417074.fits"),
    (
        14,
        "aspcapStar",
        {},
        "dr14/apogee/spectro/redux/r8/stars/l31c/l31c.2/4102/aspcapStar-r8-l31c.2-2M00000002+7417074.fits",
    ),
    (16, "apStar", {}, "dr16/apogee/spectro/redux/r12/stars/apo25m/M13/apStar-r12-2M00000002+7417074.fits"),
    (16, "apStar", SOUTHERN, "dr16/apogee/spectro/redux/r12/stars/lco25m/M13/asStar-r12-2M00000002+7417074.fits"),
    (16, "aspcapStar", {}, "dr16/apogee/spectro/aspcap/r12/l33/apo25m/M13/aspcapStar-r12-2M00000002+7417074.fits"),
    (17, "apStar", {}, f"{OF_DR17}/apo25m/M13/apStar-dr17-2M00000002+7417074.fits"),
    (17, "apStar", SOUTHERN, f"{OF_DR17}/lco25m/M13/asStar-dr17-2M00000002+7417074.fits"),
    (17, "apStar", AT_1M, f"{OF_DR17}/apo1m/calibration/apStar-dr17-Tabby.fits"),
    (
        17,
        "aspcapStar",
        SOUTHERN,
        "dr17/apogee/spectro/aspcap/dr17/synspec_rev1/lco25m/M13/aspcapStar-dr17-2M00000002+7417074.fits",
    ),
    (19, "apStar", {}, f"{OF_DR19}/apo25m/12/12345/apStar-1.3-apo25m-2M00000002+7417074.fits"),
    (19, "apStar", SOUTHERN, f"{OF_DR19}/lco25m/12/12345/apStar-1.3-lco25m-2M00000002+7417074.fits"),
    (
        20,
        "apStar",
        {},
        "dr20/spectro/apogee/redux/1.3/stars/apo25m/12/12345/apStar-1.3-apo25m-2M00000002+7417074.fits",
    ),
]


def path_of(release, kind, star, root=ROOT):
    files = RELEASES[release].files[kind]
    (path,) = mirror_paths(root, RELEASES[release].name, files, [star], at_1m=star["telescope"] == "apo1m")
    return path


@pytest.mark.parametrize(("release", "kind", "others", "documented"), DOCUMENTED)
def test_paths_are_those_of_sdss(release, kind, others, documented):
    assert path_of(release, kind, STAR | others) == ROOT / documented


def test_a_gzipped_file_is_found(tmp_path):
    path = path_of(17, "apStar", STAR, tmp_path)
    path.parent.mkdir(parents=True)
    zipped = path.with_name(path.name + ".gz")
    zipped.touch()
    assert path_of(17, "apStar", STAR, tmp_path) == zipped


@pytest.mark.parametrize("variable", ["SAS_BASE_DIR", "TREE_VER", "APOGEE_REDUX"])
def test_the_environment_is_as_before_and_not_used(monkeypatch, variable):
    monkeypatch.delenv("SAS_BASE_DIR", raising=False)
    monkeypatch.setenv(variable, "/elsewhere")
    before = dict(os.environ)
    assert path_of(17, "apStar", STAR).is_relative_to(ROOT)
    assert dict(os.environ) == before


def test_no_folder_is_made(tmp_path):
    """In a new process, since sdss-access makes the folder when it is imported."""
    program = (
        "from pathlib import Path; from skbcnn.survey.releases import RELEASES;"
        "from skbcnn.datasets.building.paths import mirror_paths;"
        f"print(*mirror_paths(Path({str(tmp_path / 'mirror')!r}), 'DR17', RELEASES[17].files['apStar'], [{STAR}]))"
    )
    (tmp_path / "mirror").mkdir()
    home = {name: value for name, value in os.environ.items() if name != "SAS_BASE_DIR"} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=home, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "mirror" / OF_DR17 / "apo25m/M13/apStar-dr17-2M00000002+7417074.fits")
    assert {entry.name for entry in tmp_path.iterdir()} - {".astropy"} == {"mirror"}  # astropy makes one of its own


def test_a_quantity_that_the_table_lacks():
    without = {name: value for name, value in STAR.items() if name != "field"}
    with pytest.raises(ValueError, match=r"apStar files of DR17 need field, which the table lacks\. .* path_template"):
        path_of(17, "apStar", without)


def test_sdss_access_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sdss_access", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs sdss_access: pip install 'skbcnn\[sdss\]'"):
        path_of(17, "apStar", STAR)


@pytest.mark.parametrize("template", ["stars/apStar.fits", "{field", "{}/{field}", "{0}.fits", "{a.b}"])
def test_templates_without_names_of_columns(template):
    with pytest.raises(ValueError, match="names of columns in braces"):
        template_fields(template)
