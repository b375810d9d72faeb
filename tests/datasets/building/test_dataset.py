"""Training sets: spectra and labels of a mirror, what is left out, and work that is interrupted."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from astropy.io import fits
from filelock import FileLock
from joblib import parallel_config

from skbcnn import _resumable
from skbcnn.datasets import Cuts, H5Loader, build_dataset, read_apstar
from skbcnn.datasets.building import dataset
from skbcnn.preprocessing import ContinuumNormalizer, prepare_spectra
from skbcnn.survey import APOGEE_LABELS
from tests.kills import kill_and_resume, skbcnn
from tests.survey_mirror import LABELS, write_mirror

EVERY_STAR = Cuts(
    **dict.fromkeys(("min_teff", "max_teff", "min_snr", "max_vscatter", "min_fe_h", "min_location_id")),
    starflag="any",
    aspcapflag="any",
)


@pytest.fixture(scope="module")
def built(mirror, tmp_path_factory):
    """A training set of DR17 with visits. Shared by all tests: do not change it."""
    out = tmp_path_factory.mktemp("built") / "datasets.h5"
    return build_dataset(mirror.table, mirror.root, out, visits=True)


def contents(path):
    with h5py.File(path) as file:
        columns = {name: file[name][...] for name in file}
        return columns, dict(file.attrs), dict(file["spectra"].attrs)


def left_out(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("release", [14, 16, 17, 19])
def test_every_release(mirrors, tmp_path, release):
    mirror = mirrors[release]
    built = build_dataset(mirror.table, mirror.root, tmp_path / "datasets", path_template=None)
    assert built.path == tmp_path / "datasets.h5"
    assert built.release == f"DR{release}"
    loader = H5Loader(built.path, target=H5Loader(built.path).label_names, load_err=True)
    x, y, _, y_err = loader.load()
    assert x.shape == (built.n_combined, 7514)
    names = loader.load_entry("APOGEE_ID").tolist()
    assert names == mirror.kept["star"].tolist()
    for position, name in enumerate(loader.target):
        expected = np.asarray(mirror.kept[name], dtype=np.float32)
        if name == "Mg":
            expected[mirror.kept["kind"] == "flagged"] = -9999
        np.testing.assert_array_equal(y[:, position], expected)
    assert np.allclose(y_err[:, 0], 30)
    assert loader.preprocessing["data_release"] == release
    if release == 19:
        assert loader.load_entry("sdss_id").tolist() == mirror.kept["sdss_id"].tolist()


def test_spectra_are_those_of_prepare_spectra(mirror, built):
    loader = H5Loader(built.path, load_combined=None)
    files, stars = loader.load_entry("FILE"), loader.load_entry("APOGEE_ID")
    x, x_err = loader.load_entry("spectra"), loader.load_entry("spectra_err")
    paths = {path.rsplit("/")[-1]: mirror.root / path for path in mirror.kept["path"]}
    for name in list(paths)[:5]:
        star = read_apstar(paths[name], visits=True)
        expected = prepare_spectra(star.flux, star.error, star.bitmask, data_release=17)
        rows = files == name
        assert set(stars[rows]) == {star.object_id}
        np.testing.assert_allclose(x[rows], expected[0], rtol=1e-6)
        np.testing.assert_allclose(x_err[rows], expected[1], rtol=1e-6)


def test_visits_have_the_labels_of_their_star(mirror, built):
    loader = H5Loader(built.path, load_combined=None)
    flag, star, teff = (loader.load_entry(name) for name in ("in_flag", "APOGEE_ID", "teff"))
    telescope, snr = loader.load_entry("TELESCOPE"), loader.load_entry("SNR")
    n_rows = 0
    for row in mirror.kept:
        own = (star == row["star"]) & (telescope == row["telescope"])
        n_visits = 0 if row["n_visits"] == 1 else row["n_visits"] - (row["kind"] == "lost visit")
        assert flag[own].tolist() == [0] + [1] * n_visits
        assert (teff[own] == np.float32(row["teff"])).all()
        np.testing.assert_allclose(snr[own][0], row["snr"], rtol=1e-6)
        np.testing.assert_allclose(snr[own][1:], row["snr"] / np.sqrt(row["n_visits"]), rtol=1e-6)
        n_rows += 1 + n_visits
    assert len(star) == n_rows == built.n_combined + built.n_visits


def test_what_is_left_out_is_listed_with_the_reason(mirror, built):
    rows = left_out(built.left_out_path)
    assert built.left_out_path.name == "datasets.h5-left-out.csv"
    reasons = {mirror.stars["kind"][int(row["row"])]: row["reason"] for row in rows}
    assert reasons == {
        "missing file": "there is no such file",
        "corrupt file": "the file cannot be read",
        "no flux": "the file has no spectrum",
        "no continuum": "the spectrum cannot be normalised",
        "lost visit": "the spectrum is empty",
        "duplicate row": "duplicate of another row (EXTRATARG bit 4)",
        "STARFLAG": "STARFLAG is not 0",
        "ASPCAPFLAG": "ASPCAPFLAG is not 0",
        "VSCATTER": "scatter of velocities is not below 1",
        "cool": "Teff is not above 4000",
        "hot": "Teff is not below 5500",
        "faint": "S/N is not above 200",
        "real": "S/N is not above 200",
        "LOCATION_ID": "LOCATION_ID is not above 1",
    }
    assert sum(built.left_out.values()) == len(rows)
    assert built.left_out["S/N is not above 200"] == 3
    (corrupt,) = (row for row in rows if row["reason"] == "the file cannot be read")
    assert corrupt["file"].endswith(mirror.of_kind("corrupt file")["path"][0])
    assert "cut short" in corrupt["detail"]
    (lost,) = (row for row in rows if row["reason"] == "the spectrum is empty")
    assert lost["detail"].startswith("row 4, visit 3, has no flux")
    assert list(lost) == ["file", "spectrum", "reason", "detail", "star", "row"]
    assert lost["star"] == mirror.of_kind("lost visit")["star"][0]


def test_details_of_what_is_left_out_give_no_advice_for_python(tmp_path):
    """Users of the command line read the list, too."""
    mirror = write_mirror(tmp_path / "sas", 40)
    plain = [mirror.root / path for path in mirror.of_kind("plain")["path"]]
    plain[0].write_text("not FITS")
    for path, factor in ((plain[1], 1e4), (plain[2], 1e-4)):  # errors in another unit
        with fits.open(path, mode="update") as hdus:
            hdus[2].data[:] *= np.float32(factor)
    with fits.open(plain[3], mode="update") as hdus:
        hdus[1].data[:, 2000:3000] = -300  # a continuum that is not positive
    with fits.open(plain[4], mode="update") as hdus:
        hdus[3].data = hdus[3].data + 0.5  # no pixel flags
    built = build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", cuts=EVERY_STAR)
    texts = [row["detail"] for row in left_out(built.left_out_path)] + built.notes
    assert len(set(texts)) > 6
    advice = [
        text for text in texts if re.search(r"\w=|`|read_|prepare_|errors_from|\b(Pass|Select|Leave|Use|use)\b", text)
    ]
    assert not advice


def test_real_spectra(mirror, tmp_path):
    """Numbers of astroNN's own code for these files."""
    built = build_dataset(
        mirror.table,
        mirror.root,
        tmp_path / "d.h5",
        cuts=Cuts(min_snr=130, max_teff=5300),
        data_release=14,
        weighting="astronn",
    )
    loader = H5Loader(built.path)
    stars, x = loader.load_entry("APOGEE_ID"), loader.load_entry("spectra")
    giant, dwarf = (x[stars == name][0] for name in ("2M17335483-2753043", "2M19485057+5005279"))
    np.testing.assert_allclose(giant[[100, 4000, 7000]], [0.84387, 0.80542, 0.931032], atol=2e-6)
    np.testing.assert_allclose(dwarf[[100, 4000, 7000]], [0.957265, 0.991034, 0.971638], atol=2e-6)


def test_preparation_is_recorded(mirror, tmp_path):
    settings = {
        "data_release": np.int64(14),
        "degree": 3,
        "weighting": "astronn",
        "bad_bits": [0, 1],
        "no_continuum": "fill",
        "combination": "global",
    }
    built = build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", **settings)
    recorded = H5Loader(built.path).preprocessing
    assert {name: recorded[name] for name in settings} == settings
    assert set(recorded) == {*ContinuumNormalizer().get_params(), "combination"}
    with h5py.File(built.path) as file:
        made_with = json.loads(file.attrs["built_with"])
    assert made_with["release"] == "DR17"
    assert made_with["table"] == "allStar-dr17-synspec_rev1.fits"
    assert made_with["min_snr"] == 200
    assert built.left_out["the file has no spectrum"] > 1  # stars with one visit have no other combination
    assert "the spectrum cannot be normalised" not in built.left_out  # the empty chip is filled


def test_what_is_odd_is_noted_and_the_snr_comes_from_the_table(tmp_path):
    mirror = write_mirror(tmp_path / "sas", 2, faulty=False, real=False, max_visits=1)
    with fits.open(mirror.root / mirror.stars["path"][0], mode="update") as hdus:
        hdus[2].data[:] *= 1e-4
        del hdus[0].header["SNR"]
    built = build_dataset(mirror.table, mirror.root, tmp_path / "d.h5")
    assert len(built.notes) == 2
    assert "1 of the spectra: more than half of the flux errors are below 0.0001 of the continuum" in built.notes[1]
    np.testing.assert_allclose(H5Loader(built.path).load_entry("SNR"), mirror.stars["snr"], rtol=1e-6)


def test_labels_of_the_file(built):
    expected = [name for name in APOGEE_LABELS if name != "P"]
    assert H5Loader(built.path).label_names == expected
    assert built.label_names == [*expected, "M", "alpha"]
    assert built.notes == ["DR17 has no P, so the file has no such label."]


def test_spectra_are_compressed_one_by_one(built):
    with h5py.File(built.path) as file:
        for name in ("spectra", "spectra_err"):
            assert (file[name].chunks, file[name].compression, file[name].shuffle) == ((1, 7514), "gzip", True)
            assert file[name].dtype == np.float32


def test_aspcapstar_files(mirror, tmp_path):
    """Flux that ASPCAP divided by its continuum is normalised again."""
    star = mirror.kept[0]
    path = tmp_path / "dr17/apogee/spectro/aspcap/dr17/synspec_rev1/apo25m" / star["field"]
    path.mkdir(parents=True)
    flux = np.full(8575, 0.97, dtype=np.float32)
    images = [fits.ImageHDU(image) for image in (flux, 0.01 * flux, 0.99 * flux)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path / f"aspcapStar-dr17-{star['star']}.fits")
    built = build_dataset(mirror.table, tmp_path, tmp_path / "d.h5", kind="aspcapStar")
    assert built.n_combined == 1
    np.testing.assert_allclose(H5Loader(built.path, target="teff").load()[0], 1, rtol=1e-5)
    with pytest.raises(ValueError, match="aspcapStar files have no visits"):
        build_dataset(mirror.table, tmp_path, tmp_path / "e.h5", kind="aspcapStar", visits=True)


def test_another_layout(mirror, tmp_path):
    stars = mirror.kept[:3]
    for star in stars:
        (tmp_path / star["telescope"]).mkdir(exist_ok=True)
        shutil.copy(mirror.root / star["path"], tmp_path / star["telescope"] / f"{star['star']}.fits")
    built = build_dataset(
        mirror.table, tmp_path, tmp_path / "d.h5", path_template="{telescope}/{apogee_id}.fits", n_jobs=1
    )
    assert H5Loader(built.path).load_entry("APOGEE_ID").tolist() == stars["star"].tolist()
    assert built.left_out["there is no such file"] > 10


def test_processes_change_nothing(mirror, built, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "_FILES_OF_CHUNK", 7)
    again = build_dataset(mirror.table, mirror.root, tmp_path / "datasets.h5", visits=True, n_jobs=2)
    columns, _, attributes = contents(again.path)
    expected, _, expected_attributes = contents(built.path)
    np.testing.assert_equal(columns, expected)
    assert attributes == expected_attributes
    assert again.left_out_path.read_text() == built.left_out_path.read_text()
    assert again[2:] == built[2:]


def test_work_goes_on_after_an_error(mirror, built, tmp_path, monkeypatch):
    """Parts that are finished are not read again, and the result is the same."""
    monkeypatch.setattr(dataset, "_FILES_OF_CHUNK", 5)
    out, read, n_read = tmp_path / "datasets.h5", dataset.read_prepared, []

    def failing(paths, *arguments, **options):
        n_read.append(len(paths))
        if len(n_read) == 3:
            raise KeyboardInterrupt
        return read(paths, *arguments, **options)

    monkeypatch.setattr(dataset, "read_prepared", failing)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(mirror.table, mirror.root, out, visits=True)
    assert [path.name for path in tmp_path.iterdir()] == [".datasets.h5.unfinished"]
    again = build_dataset(mirror.table, mirror.root, out, visits=True)
    n_files = sum(n_read) - n_read[2]
    assert n_files == len(mirror.kept) + 4  # of the two finished parts, nothing was read twice
    np.testing.assert_equal(contents(out)[0], contents(built.path)[0])
    assert again.left_out_path.read_text() == built.left_out_path.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["datasets.h5", "datasets.h5-left-out.csv"]


def test_other_settings_do_not_continue_the_work(mirror, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    out = tmp_path / "d.h5"
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_write_all", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_dataset(mirror.table, mirror.root, out)
    with pytest.raises(ValueError, match=r"unfinished work .* degree was 2 and is now 3\. Pass overwrite=True"):
        build_dataset(mirror.table, mirror.root, out, degree=3)
    with pytest.raises(ValueError, match=r"min_snr was 200 and is now 300"):
        build_dataset(mirror.table, mirror.root, out, cuts=Cuts(min_snr=300))
    assert build_dataset(mirror.table, mirror.root, out, degree=3, overwrite=True).n_combined


def test_a_file_that_changed_is_named(tmp_path, monkeypatch):
    mirror = write_mirror(tmp_path / "sas", 4, faulty=False, real=False)
    path, out = mirror.root / mirror.stars["path"][1], tmp_path / "d.h5"
    monkeypatch.setattr(dataset, "_FILES_OF_CHUNK", 1)
    with monkeypatch.context() as patch:
        patch.setattr(dataset.ResumableJob, "output", None)  # fails after all parts
        with pytest.raises(TypeError):
            build_dataset(mirror.table, mirror.root, out)
    path.write_bytes(path.read_bytes() + bytes(2880))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} has changed"):
        build_dataset(mirror.table, mirror.root, out)


@pytest.mark.parametrize("with_list", [True, False])
def test_finished_work_whose_process_was_killed_is_recognised(mirror, built, tmp_path, monkeypatch, with_list):
    """A process can be killed after the last file got its name, and before the finished parts are removed."""
    out = tmp_path / "datasets.h5"
    with monkeypatch.context() as patch:
        patch.setattr(_resumable, "_remove", lambda folder: None)
        content = build_dataset(mirror.table, mirror.root, out, visits=True).path.read_bytes()
    if not with_list:
        (tmp_path / "datasets.h5-left-out.csv").unlink()
    monkeypatch.setattr(dataset, "read_prepared", lambda *given, **options: pytest.fail("a file is read again"))
    again = build_dataset(mirror.table, mirror.root, out, visits=True)
    assert out.read_bytes() == content
    assert again[2:] == built[2:]
    assert again.left_out_path.read_text() == built.left_out_path.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["datasets.h5", "datasets.h5-left-out.csv"]
    with pytest.raises(FileExistsError, match=r"datasets\.h5 exists"):
        build_dataset(mirror.table, mirror.root, out, visits=True)


def test_two_runs_at_once(mirror, tmp_path):
    (tmp_path / ".d.h5.unfinished").mkdir()
    with (
        FileLock(tmp_path / ".d.h5.unfinished/lock"),
        pytest.raises(BlockingIOError, match="Another process is writing"),
    ):
        build_dataset(mirror.table, mirror.root, tmp_path / "d.h5")


def test_an_existing_file_is_not_replaced(mirror, built, tmp_path):
    out = tmp_path / "d.h5"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match=r"d\.h5 exists"):
        build_dataset(mirror.table, mirror.root, out)
    assert out.read_text() == "mine"
    build_dataset(mirror.table, mirror.root, out, overwrite=True)
    assert H5Loader(out, target="teff").load()[0].shape == (built.n_combined, 7514)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"kind": "mwmStar"}, ValueError, "kind='mwmStar', expected 'apStar' or 'aspcapStar'"),
        ({"combination": "best"}, ValueError, "combination='best', expected 'pixel' or 'global'"),
        ({"flagged_labels": "drop"}, ValueError, "flagged_labels='drop'"),
        ({"release": 18}, ValueError, "expected one of DR14"),
        ({"weighting": "none"}, ValueError, "weighting"),
        ({"bad_bits": [99]}, ValueError, "bad_bits"),
        ({"data_release": 10}, ValueError, "data_release"),
        ({"spectra": "/nowhere"}, FileNotFoundError, "There is no folder /nowhere. Pass the root of the mirror"),
        ({"table": "/nowhere.fits"}, FileNotFoundError, "There is no file /nowhere.fits"),
        ({"out": "/nowhere/d.h5"}, FileNotFoundError, "there is no folder /nowhere"),
        ({"cuts": Cuts(min_snr=1e6)}, ValueError, "Relax the cuts"),
        ({"cuts": {"min_snr": 100}}, ValueError, "'cuts' parameter of build_dataset must be .*Cuts"),
        ({"n_jobs": 0}, ValueError, "'n_jobs' parameter of build_dataset must be an int in the range .* Got 0 instead"),
        ({"n_jobs": 1.5}, ValueError, "'n_jobs' parameter of build_dataset must be an int"),
        ({"n_jobs": "2"}, ValueError, "'n_jobs' parameter of build_dataset must be an int"),
        ({"visits": "no"}, ValueError, "'visits' parameter of build_dataset must be .*bool"),
        ({"path_template": 3}, ValueError, "'path_template' parameter of build_dataset must be .*str"),
    ],
)
def test_refused_before_any_work(mirror, tmp_path, change, error, sentence):
    arguments = {"table": mirror.table, "spectra": mirror.root, "out": tmp_path / "d.h5"} | change
    with pytest.raises(error, match=sentence):
        build_dataset(**arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["d.fits", "d.csv", "d.parquet", "d.FITS.GZ"])
def test_the_name_of_another_format_is_refused(mirror, tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name} ends in .*, but the file to write has the HDF5 format\. Choose"):
        build_dataset(mirror.table, mirror.root, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_taken(mirror, built, tmp_path):
    numbers = {"release": np.int64(17), "data_release": np.int32(17), "degree": np.int64(2), "n_jobs": np.int64(1)}
    numbers |= {"bad_bits": np.array([0, 1, 2, 3, 4, 5, 6, 7, 12]), "visits": np.bool_(True), "verbose": np.int64(0)}
    again = build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", **numbers)
    assert again[2:] == built[2:]
    assert contents(again.path)[2] == contents(built.path)[2]


def test_a_root_without_the_files(mirror, tmp_path):
    root = mirror.root / "dr17"
    with pytest.raises(
        FileNotFoundError, match=r"None of the \d+ files of the selected stars exists\. The first would"
    ):
        build_dataset(mirror.table, root, tmp_path / "d.h5")


def test_no_spectrum_can_be_used(tmp_path):
    mirror = write_mirror(tmp_path / "sas", 2, faulty=False, real=False)
    for path in mirror.stars["path"]:
        (mirror.root / path).write_text("not FITS")
    with pytest.raises(ValueError, match=r"None of the 2 files has a spectrum .* the file cannot be read: 2"):
        build_dataset(mirror.table, mirror.root, tmp_path / "d.h5")
    assert not (tmp_path / "d.h5").exists()


def test_a_folder_that_is_full(mirror, tmp_path, monkeypatch):
    """The error names the output, and finished parts remain, also with several processes."""
    monkeypatch.setattr(dataset, "_FILES_OF_CHUNK", 4)
    save = dataset.ResumableJob.save

    def full(self, number, *arguments):
        if number == 3:
            raise OSError(28, "No space left on device")
        save(self, number, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(dataset.ResumableJob, "save", full)
        with pytest.raises(OSError, match="No space left"):
            build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", n_jobs=2)
    assert build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", n_jobs=2).n_combined == len(mirror.kept)


KILLED = """
import sys
from skbcnn.datasets.building import dataset
dataset._FILES_OF_CHUNK = 2
dataset.build_dataset(*sys.argv[1:4], visits=True, n_jobs=int(sys.argv[4]))
"""


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_process_is_resumed_to_the_same_file(mirror, built, tmp_path, monkeypatch, n_jobs):
    out = tmp_path / "datasets.h5"
    command = [sys.executable, "-c", KILLED, str(mirror.table), str(mirror.root), str(out), str(n_jobs)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(tmp_path.glob(".datasets.h5.unfinished/*.npz"))) < 3:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    n_chunks = len(list(tmp_path.glob(".datasets.h5.unfinished/*.npz")))
    monkeypatch.setattr(dataset, "_FILES_OF_CHUNK", 2)
    parts, read = [], dataset.read_prepared
    monkeypatch.setattr(dataset, "read_prepared", lambda *given, **options: parts.append(1) or read(*given, **options))
    build_dataset(mirror.table, mirror.root, out, visits=True)
    assert n_chunks + len(parts) == -(-(len(mirror.kept) + 4) // 2)
    np.testing.assert_equal(contents(out)[0], contents(built.path)[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["datasets.h5", "datasets.h5-left-out.csv"]


@pytest.mark.slow
def test_random_kills(tmp_path):
    mirror = write_mirror(tmp_path / "sas", 300)
    out = tmp_path / "datasets.h5"
    command = skbcnn("build", mirror.table, "--spectra", mirror.root, "--out", out, "--visits")
    assert kill_and_resume(command, out, n_kills=5) >= 1


def test_default_cuts_are_those_of_the_paper(mirror, built):
    assert built.n_combined == len(mirror.kept)
    assert Cuts() == Cuts(
        min_teff=4000,
        max_teff=5500,
        min_snr=200,
        max_snr=None,
        max_vscatter=1,
        min_fe_h=-10000,
        min_location_id=1,
        starflag="zero",
        aspcapflag="zero",
    )


def test_another_file_of_the_name_of_the_list_is_not_replaced(mirror, built, tmp_path):
    (tmp_path / "d.h5-left-out.csv").write_text("notes of the user")
    with pytest.raises(FileExistsError, match=r"d\.h5-left-out\.csv exists"):
        build_dataset(mirror.table, mirror.root, tmp_path / "d.h5")
    (tmp_path / "d.h5-left-out.csv").write_bytes(built.left_out_path.read_bytes())  # of a file that was removed
    assert build_dataset(mirror.table, mirror.root, tmp_path / "d.h5", visits=True).left_out == built.left_out


@pytest.mark.slow
def test_thousands_of_stars(tmp_path):
    """Twice 3000 stars: the same data from one process and from two, and every star that was kept."""
    mirror = write_mirror(tmp_path / "sas", 3000, max_visits=2)
    first = build_dataset(mirror.table, mirror.root, tmp_path / "one.h5", visits=True)
    second = build_dataset(mirror.table, mirror.root, tmp_path / "two.h5", visits=True, n_jobs=2)
    assert first.n_combined == len(mirror.kept)
    np.testing.assert_equal(contents(first.path)[0], contents(second.path)[0])
    assert set(LABELS) - set(H5Loader(first.path).label_names) == {"P"}


@pytest.mark.slow
def test_workers_of_dask(mirror, built, tmp_path):
    """With joblib's backend for Dask the files are read by its workers, and the result is the same."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), parallel_config("dask"):
        build_dataset(mirror.table, mirror.root, tmp_path / "datasets.h5", visits=True)
    np.testing.assert_equal(contents(tmp_path / "datasets.h5")[0], contents(built.path)[0])
