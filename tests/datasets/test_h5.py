"""H5Loader and write_h5: contents are kept, only selected data are read, and bad files are refused with a sentence."""

import resource
import tempfile
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skbcnn.datasets import H5Loader, h5, write_h5
from skbcnn.datasets.h5_writer import H5RowWriter, pack_spectra
from skbcnn.preprocessing import ContinuumNormalizer
from skbcnn.survey import APOGEE_LABELS, PixelFlag, is_missing

N_SAMPLES, N_PIXELS = 6, 5
SPECTRA = np.arange(30, dtype=np.float32).reshape(N_SAMPLES, N_PIXELS)
LABELS = {
    "teff": np.array([4000, 4100, 4200, 4300, 4400, 4500], dtype=np.float32),
    "Mg": np.array([0.0, -9999, 0.2, np.nan, 0.4, 0.5], dtype=np.float32),
    "Ti2": np.array([-0.1, -0.2, -9999.99, -0.4, -0.5, -0.6], dtype=np.float32),
}
IN_FLAG = [0, 1, 0, 0, 1, 0]
COMBINED = [0, 2, 3, 5]


@pytest.fixture
def path(tmp_path):
    """A small file: four combined spectra, two visits, three labels, all errors, a number and a text column."""
    errors = {name: np.full(N_SAMPLES, 0.1 * (column + 1)) for column, name in enumerate(LABELS)}
    extra = {"SNR": np.arange(100, 106), "APOGEE_ID": [f"2M{row}" for row in range(N_SAMPLES)]}
    return write_h5(
        tmp_path / "stars.h5",
        SPECTRA,
        LABELS,
        spectra_err=SPECTRA / 100,
        labels_err=errors,
        in_flag=IN_FLAG,
        extra=extra,
    )


def edited(path, **columns):
    """Replace columns of a file, behind the writer's back; None removes one."""
    with h5py.File(path, "r+") as file:
        for name, values in columns.items():
            if name in file:
                del file[name]
            if values is not None:
                file[name] = values
    return path


def loader_of(path, **settings):
    return H5Loader(path, **{"target": list(LABELS), **settings})


# reading


@pytest.mark.parametrize(
    ("load_combined", "rows"), [(True, COMBINED), (False, [1, 4]), (None, range(N_SAMPLES)), (np.True_, COMBINED)]
)
def test_rows_of_each_kind(path, load_combined, rows):
    loader = loader_of(path, load_combined=load_combined)
    x, y = loader.load()
    assert np.array_equal(x, SPECTRA[list(rows)])
    assert np.array_equal(y[:, 0], LABELS["teff"][list(rows)])
    assert loader.load_entry("SNR").tolist() == [100 + row for row in rows]


def test_errors_come_third_and_fourth(path):
    x, y, x_err, y_err = loader_of(path, load_err=True).load()
    assert np.array_equal(x_err, x / 100)
    assert np.allclose(y_err, [[0.1, 0.2, 0.3]] * 4)
    assert y_err.shape == y.shape


def test_settings_are_attributes(path):
    loader = H5Loader("elsewhere")
    loader.filename = path
    loader.load_combined = False
    loader.load_err = True
    loader.target = ["TiII", "TEFF"]
    loader.exclude9999 = True
    x, y, _, y_err = loader.load()
    assert np.array_equal(x, SPECTRA[[1, 4]])
    assert np.allclose(y, [[-0.2, 4100], [-0.5, 4400]])
    assert np.allclose(y_err, [[0.3, 0.1]] * 2)


def test_missing_labels_stay_missing(path):
    _, y = loader_of(path).load()
    assert is_missing(y).tolist() == [[False] * 3, [False, False, True], [False, True, False], [False] * 3]


def test_exclude9999_looks_at_the_labels_asked_for(path):
    loader = loader_of(path, exclude9999=True)
    assert loader.load_entry("teff").tolist() == [4000, 4500]
    loader.target = ["teff", "Mg"]
    assert loader.load_entry("teff").tolist() == [4000, 4200, 4500]
    assert len(loader.load()[0]) == 3
    loader.target = "teff"
    assert loader.load_entry("teff").tolist() == [4000, 4200, 4300, 4500]


def test_all_is_the_22_labels_in_order(tmp_path):
    y = np.arange(44.0).reshape(2, 22)
    path = write_h5(tmp_path / "all.h5", SPECTRA[:2], y)
    edited(path, alpha=[7.0, 7.0], M=[8.0, 8.0])
    assert np.array_equal(H5Loader(path).load()[1], y)
    assert H5Loader(path).load_entry(APOGEE_LABELS[3]).tolist() == [3, 25]


def test_labels_may_be_spelt_any_way_in_the_file(path):
    edited(path, teff=None, Mg=None, TEFF=LABELS["teff"], Teff_ERR=np.ones(6), teff_err=None)
    edited(path, **{"[Mg/H]": np.full(6, 0.7), "[Mg/H]_err": np.full(6, 0.07), "Mg_err": None})
    _, y, _, y_err = loader_of(path, load_err=True).load()
    assert np.allclose(y[0], [4000, 0.7, -0.1])
    assert np.allclose(y_err[0], [1, 0.07, 0.3])
    assert loader_of(path).load_entry("MG_H")[0] == 0.7


def test_spelling_asked_for_wins_then_the_canonical_one(path):
    edited(path, TEFF=np.arange(6.0))
    assert loader_of(path).load()[1][0, 0] == 4000
    assert loader_of(path).load_entry("TEFF")[1] == 2
    assert loader_of(path).load_entry("Teff")[1] == 4200
    edited(path, teff=None, T_eff=np.arange(6.0))
    with pytest.raises(ValueError, match=r"teff is in .* as TEFF and as T_eff"):
        loader_of(path).load()


def test_entries_of_any_type(path):
    edited(path, image=np.arange(24).reshape(6, 2, 2), fixed=np.array([b"a", b"b", b"c", b"d", b"e", b"f"]))
    loader = loader_of(path)
    assert loader.load_entry("apogee_id").tolist() == ["2M0", "2M2", "2M3", "2M5"]
    assert loader.load_entry("fixed").tolist() == ["a", "c", "d", "f"]
    assert loader.load_entry("image").tolist() == np.arange(24).reshape(6, 2, 2)[COMBINED].tolist()
    assert np.array_equal(loader.load_entry("spectra"), SPECTRA[COMBINED])
    assert loader.load_entry("Ti2_err") == pytest.approx([0.3] * 4)


def test_types(path):
    x, y = loader_of(path).load()
    assert x.dtype == y.dtype == np.float32
    edited(path, spectra=SPECTRA.astype(">f8"), teff=LABELS["teff"].astype(">f8"))
    x, y = loader_of(path).load()
    assert (x.dtype, y.dtype) == (np.float32, np.float64)
    assert loader_of(path).load_entry("teff").dtype.isnative
    edited(path, teff=np.full(6, 16_777_217, dtype=np.int32))
    assert loader_of(path).load()[1][0, 0] == 16_777_217


def test_file_without_flags_is_all_combined(path):
    edited(path, in_flag=None)
    assert len(loader_of(path).load()[0]) == N_SAMPLES
    with pytest.raises(ValueError, match=r"6 rows, but none with in_flag 1.*load_combined=None"):
        loader_of(path, load_combined=False).load()


def test_suffix_may_be_left_off(path):
    assert len(loader_of(path.with_suffix("")).load()[0]) == 4
    assert len(loader_of(str(path.with_suffix(""))).load()[0]) == 4
    path.with_suffix("").mkdir()  # a folder of that name is not the file
    assert len(loader_of(path.with_suffix("")).load()[0]) == 4


@pytest.mark.parametrize("name", ["stars.fits", "stars.CSV", "stars.parquet", "stars.h5.gz"])
def test_a_name_of_another_format_is_not_written(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name} ends in .*, but the file to write has the HDF5 format"):
        write_h5(tmp_path / name, [[1.0, 0.9]], {"teff": [4500.0]})
    assert not list(tmp_path.iterdir())
    assert write_h5(tmp_path / "stars.dr17", [[1.0, 0.9]], {"teff": [4500.0]}).name == "stars.dr17.h5"


# reading only what is asked for


def damaged(path, column, row):
    """Store a column one row a chunk, with checksums, and flip a byte of one row: reading that row now fails."""
    with h5py.File(path, "r+") as file:
        values = file[column][...]
        del file[column]
        chunks = (1, *values.shape[1:])
        dataset = file.create_dataset(column, data=values, chunks=chunks, fletcher32=True)
        where = dataset.id.get_chunk_info(row).byte_offset
    with path.open("r+b") as file:
        file.seek(where)
        byte = file.read(1)
        file.seek(where)
        file.write(bytes([byte[0] ^ 255]))
    return path


def test_columns_not_asked_for_are_not_read(path):
    damaged(path, "Mg", row=0)
    assert loader_of(path, target=["teff", "Ti2"], exclude9999=True).load()[1].shape == (3, 2)
    with pytest.raises(OSError, match=r"HDF5 but cannot be read .*damaged"):
        loader_of(path).load()


def test_errors_not_asked_for_are_not_read(path):
    damaged(path, "spectra_err", row=0)
    assert len(loader_of(path).load()) == 2
    with pytest.raises(OSError, match="cannot be read"):
        loader_of(path, load_err=True).load()


def test_rows_not_asked_for_are_not_read(path):
    damaged(path, "spectra", row=1)
    assert np.array_equal(loader_of(path).load()[0], SPECTRA[COMBINED])
    with pytest.raises(OSError, match="cannot be read"):
        loader_of(path, load_combined=False).load()


class Spied:
    """An array that looks like an HDF5 dataset and keeps the slices read from it."""

    def __init__(self, values, chunks=None):
        self.values, self.chunks, self.reads = values, chunks, []
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, rows):
        self.reads.append((rows.start, rows.stop))
        return self.values[rows]


@pytest.mark.parametrize(
    ("chunks", "reads"),
    [(None, [(2, 20), (90, 91)]), ((4, 1), [(2, 4), (19, 20), (90, 91)]), ((80, 1), [(2, 91)])],
)
def test_rows_are_read_in_few_slices(chunks, reads):
    column = Spied(np.arange(100.0)[:, None], chunks)
    assert h5._read_rows(column, np.array([2, 3, 19, 90])).ravel().tolist() == [2, 3, 19, 90]
    assert column.reads == reads


def test_blocks_are_limited(monkeypatch):
    monkeypatch.setattr(h5, "_BLOCK_BYTES", 10 * 8)
    column = Spied(np.arange(25.0))
    assert np.array_equal(h5._read_rows(column, np.arange(25)), column.values)
    assert column.reads == [(0, 10), (10, 20), (20, 25)]


# files that cannot be read


@pytest.mark.parametrize("name", ["stars", "stars.h5", "stars.v2"])
def test_absent_file_names_what_was_tried(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"no file .*stars") as caught:
        loader_of(tmp_path / name).load()
    assert str(tmp_path / name) in str(caught.value)
    assert str(tmp_path / f"{name.removesuffix('.h5')}.h5") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "is empty"), (b"teff,logg\n4500,2\n", "is a text file, expected an HDF5 file")]
)
def test_not_hdf5(tmp_path, content, sentence):
    (tmp_path / "stars.h5").write_bytes(content)
    with pytest.raises(OSError, match=rf"stars\.h5 {sentence}"):
        loader_of(tmp_path / "stars").load()


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_truncated(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(OSError, match=r"HDF5 but cannot be read .*cut short"):
        loader_of(path).load()


def test_absent_labels_are_named_all_at_once(path):
    with pytest.raises(ValueError, match=r"has no logg, Al\. .*It has .*teff.*target") as caught:
        loader_of(path, target=["teff", "logg", "Al"]).load()
    assert str(caught.value).endswith(
        "(labels by target): loader.target = loader.label_names takes all labels that it has."
    )
    loader = loader_of(path)
    loader.target = loader.label_names  # as the message says
    assert loader.load()[1].shape[1] == len(loader.label_names)


def test_absent_errors_are_named(path):
    edited(path, spectra_err=None)
    with pytest.raises(ValueError, match=r"has no spectra_err\. .*load_err=False"):
        loader_of(path, load_err=True).load()
    edited(path, spectra_err=SPECTRA, Mg_err=None)
    with pytest.raises(ValueError, match=r"has no Mg_err\. .*load_err=False"):
        loader_of(path, load_err=True).load()


def test_near_names_are_suggested(path):
    with pytest.raises(ValueError, match=r"has no APOGEEID\. Did you mean APOGEE_ID\?"):
        loader_of(path).load_entry("APOGEEID")
    with pytest.raises(ValueError, match="Did you mean 'teff'"):
        loader_of(path, target="tef").load()


@pytest.mark.parametrize("column", ["teff", "in_flag", "spectra_err", "Mg_err"])
def test_columns_of_another_length(path, column):
    with h5py.File(path) as file:
        shorter = file[column][:-1]
    edited(path, **{column: shorter})
    with pytest.raises(
        ValueError, match=rf"{column} of .*(5 rows, but there are 6|\(5, 5\), but spectra has \(6, 5\))"
    ):
        loader_of(path, load_err=True).load()


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("spectra", np.zeros(6), r"spectra .* has shape \(6,\), expected \(n_samples, n_pixels\)"),
        ("spectra", np.zeros((0, 5)), r"spectra .* has shape \(0, 5\)"),
        ("spectra", h5py.Empty("f4"), r"spectra .* has shape None"),
        ("spectra", np.full((6, 5), b"x"), "spectra .* holds .*expected numbers"),
        ("spectra", h5py.SoftLink("/nowhere"), "has no spectra"),
        ("teff", np.zeros((6, 1)), r"teff .* has shape \(6, 1\), expected \(6,\)"),
        ("teff", 4500.0, "teff .* has no rows"),
        ("teff", h5py.Empty("f4"), "teff .* has no rows"),
        ("teff", [b"cool"] * 6, "teff .* holds .*expected numbers"),
        ("in_flag", np.zeros((6, 2)), r"in_flag .* has shape \(6, 2\)"),
    ],
)
def test_columns_that_are_not_what_they_should_be(path, column, values, sentence):
    edited(path, **{column: values})
    with pytest.raises(ValueError, match=sentence):
        loader_of(path).load()


def test_group_in_place_of_spectra(path):
    edited(path, spectra=None)
    with h5py.File(path, "r+") as file:
        file["spectra/flux"] = SPECTRA
    with pytest.raises(ValueError, match=r"has no spectra\. .*spectra/flux"):
        loader_of(path).load()


def test_no_row_left(path):
    edited(path, Mg=np.full(6, -9999.0))
    with pytest.raises(ValueError, match=r"none of the 4 rows .*missing: Mg 4, Ti2 1\)"):
        loader_of(path, exclude9999=True).load()


@pytest.mark.parametrize("load_combined", ["yes", 2, [True]])
def test_unknown_setting(path, load_combined):
    with pytest.raises(ValueError, match=r"load_combined=.*expected True"):
        loader_of(path, load_combined=load_combined).load()


# writing


@st.composite
def data_sets(draw):
    """Spectra, labels and flags of a small data set, in whatever width."""
    n_samples, n_pixels = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(APOGEE_LABELS), min_size=1, max_size=4, unique=True))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    flux = arrays.arrays(np.float32, (n_samples, n_pixels), elements=st.floats(width=32))
    values = st.one_of(st.floats(-9000, 9000, width=32), st.sampled_from([-9999.0, -10000.0, np.nan]))
    labels = {name: draw(arrays.arrays(dtype, n_samples, elements=values)) for name in names}
    flags = arrays.arrays(np.int64, n_samples, elements=st.integers(0, 1))
    return {"spectra": draw(flux), "spectra_err": draw(flux), "labels": labels, "in_flag": draw(flags)}


@given(data=data_sets())
@settings(max_examples=40, deadline=None)
def test_what_is_written_comes_back(data):
    errors = {name: np.abs(column) for name, column in data["labels"].items()}
    data["spectra_err"] = np.clip(data["spectra_err"], -1, 1)  # larger ones mark bad pixels
    with tempfile.TemporaryDirectory() as folder:
        path = write_h5(Path(folder, "stars"), **data, labels_err=errors)
        loader = H5Loader(path, load_combined=None, load_err=True, target=list(errors))
        x, y, x_err, y_err = loader.load()
        flags = loader.load_entry("in_flag")
    given_labels = np.stack(list(data["labels"].values()), axis=1)
    assert np.array_equal(x, data["spectra"], equal_nan=True)
    assert np.array_equal(x_err, data["spectra_err"], equal_nan=True)
    assert np.array_equal(y, np.where(is_missing(given_labels), -9999, given_labels))
    assert y.dtype == given_labels.dtype
    assert np.array_equal(y_err, np.stack(list(errors.values()), axis=1), equal_nan=True)
    assert np.array_equal(flags, data["in_flag"])


def test_layout(path):
    with h5py.File(path) as file:
        errors = {f"{name}_err" for name in LABELS}
        assert set(file) == {"spectra", "spectra_err", "in_flag", "SNR", "APOGEE_ID", *LABELS, *errors}
        assert file["spectra"].dtype == np.float32
        assert file["in_flag"][...].tolist() == IN_FLAG
        assert file["Mg"][...].tolist() == pytest.approx([0, -9999, 0.2, -9999, 0.4, 0.5])


def test_labels_as_an_array(tmp_path):
    y = np.array([[4500, 0.1], [4600, 0.2]], dtype=np.float32)
    path = write_h5(tmp_path / "stars", SPECTRA[:2], y, label_names=["TEFF", "[Mg/H]"], labels_err=y / 10)
    assert path.name == "stars.h5"
    _, again, _ = write_and_load(path, y)
    assert np.array_equal(again, y)


def write_and_load(path, y):
    loader = H5Loader(path, target=["teff", "Mg"])
    return (*loader.load(), loader.load_entry("Mg_err"))


def test_labels_as_a_data_frame_in_its_own_order(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"[Mg/H]": [0.1, None], "TEFF": [4500, 4600]}, index=[7, 3])
    path = write_h5(tmp_path / "stars", SPECTRA[:2], frame)
    assert H5Loader(path, target=["teff", "Mg"]).load()[1].tolist() == [[4500, 0.1], [4600, -9999]]


def test_masked_labels_are_missing(tmp_path):
    masked = np.ma.array([4500.0, 1e20], mask=[False, True])
    path = write_h5(tmp_path / "stars", SPECTRA[:2], {"teff": masked})
    assert H5Loader(path, target="teff").load()[1].ravel().tolist() == [4500, -9999]


def test_the_preparation_of_the_spectra_is_recorded(tmp_path, path):
    preparation = ContinuumNormalizer(pixels=np.arange(4), degree=1).get_params() | {"combination": "global"}
    loader = H5Loader(write_h5(tmp_path / "a", SPECTRA, LABELS, preprocessing=preparation))
    assert loader.preprocessing == preparation | {"pixels": [0, 1, 2, 3], "bad_bits": [0, 1, 2, 3, 4, 5, 6, 7, 12]}
    assert H5Loader(path).preprocessing == {}
    with_flag = write_h5(tmp_path / "b", SPECTRA, LABELS, preprocessing={"bad_bits": PixelFlag.SIG_SKYLINE})
    assert H5Loader(with_flag).preprocessing == {"bad_bits": [12]}


@pytest.mark.parametrize("preparation", [{"degree": object()}, {"degree": np.nan}, [1, 2], {"pixels": [10**5] * 10**5}])
def test_a_preparation_that_cannot_be_recorded(tmp_path, preparation):
    with pytest.raises((TypeError, ValueError), match=r"preprocessing (is|has) .*ContinuumNormalizer"):
        write_h5(tmp_path / "a", SPECTRA, LABELS, preprocessing=preparation)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[1]", 5])
def test_a_record_of_the_preparation_that_cannot_be_read(path, text):
    with h5py.File(path, "r+") as file:
        file["spectra"].attrs["preprocessing"] = text
    with pytest.raises(ValueError, match=r"attribute preprocessing of spectra in .*expected a JSON object"):
        H5Loader(path).preprocessing  # noqa: B018


@pytest.mark.parametrize("filename", [None, b"stars.h5", 3])
def test_filename_that_is_no_path(filename):
    for call in (lambda: H5Loader(filename).load(), lambda: write_h5(filename, SPECTRA, LABELS)):
        with pytest.raises(TypeError, match=r"filename is .*, expected the path of a file"):
            call()


@pytest.mark.parametrize("switch", ["load_err", "exclude9999"])
def test_switches_are_true_or_false(path, switch):
    with pytest.raises(ValueError, match=f"{switch}='no', expected True or False"):
        loader_of(path, **{switch: "no"}).load()


def read_pixels(path):
    return (H5Loader(path).load_entry(name) for name in ("spectra", "spectra_err"))


@pytest.mark.parametrize(("level", "bad"), [(1, 1), (500, np.nan)])
def test_masked_pixels_are_bad(tmp_path, level, bad):
    flux = np.ma.array(level * np.ones((2, 4)), mask=[[0, 1, 0, 0], [0] * 4])
    errors = np.ma.array(0.1 * np.ones((2, 4)), mask=[[0] * 4, [0, 0, 0, 1]])
    found, found_err = read_pixels(write_h5(tmp_path / "a", flux, {"teff": [1, 2]}, spectra_err=errors))
    np.testing.assert_array_equal(found, [[level, bad, level, level], [level, level, level, bad]])
    np.testing.assert_allclose(found_err, [[0.1, np.inf, 0.1, 0.1], [0.1, 0.1, 0.1, np.inf]])


def test_inverse_variances_and_units(tmp_path):
    labels = {"teff": [1, 2]}
    flux, ivar = np.ones((2, 3)), [[100, 0, 4], [100, 100, 100]]
    _, found = read_pixels(write_h5(tmp_path / "a", flux, labels, spectra_ivar=ivar))
    np.testing.assert_allclose(found, [[0.1, np.inf, 0.5], [0.1] * 3])
    _, found = read_pixels(write_h5(tmp_path / "b", flux * u.Jy, labels, spectra_err=100 * flux * u.mJy))
    np.testing.assert_allclose(found, 0.1)
    with pytest.raises(ValueError, match="spectra_err and spectra_ivar were both passed"):
        write_h5(tmp_path / "c", flux, labels, spectra_err=flux, spectra_ivar=flux)
    with pytest.raises(ValueError, match="spectra_err has the unit 'm', expected the unit 'Jy' of the flux"):
        write_h5(tmp_path / "c", flux * u.Jy, labels, spectra_err=flux * u.m)


def test_existing_file_is_kept_by_default(path):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_h5(path, SPECTRA[:1], {"teff": [5000]})
    assert len(loader_of(path).load()[0]) == 4
    write_h5(path, SPECTRA[:1], {"teff": [5000]}, overwrite=True)
    assert H5Loader(path, target="teff").load()[1] == 5000


def test_absent_folder(tmp_path):
    with pytest.raises(OSError, match="could not be written"):
        write_h5(tmp_path / "nowhere" / "stars", SPECTRA, LABELS)


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_full_disk_leaves_what_was_there(path, shape):
    """A limit on the size of files stands for a disk without room."""
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"stars\.h5 could not be written"):
            write_h5(path, np.ones((300, 500)), {"teff": np.full(300, 4500.0)}, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["stars.h5"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"spectra": SPECTRA[0]}, r"spectra has shape \(5,\), expected \(n_samples, n_pixels\)"),
        ({"spectra": SPECTRA[:0]}, r"spectra has shape \(0, 5\)"),
        ({"spectra": [["bright"]]}, "spectra (cannot be read as numbers|holds values that are not numbers)"),
        ({"spectra": [[1.0], [1.0, 2.0]]}, "spectra (cannot be read as numbers|holds rows of different lengths)"),
        ({"spectra": SPECTRA + 1j}, "spectra .*holds complex"),
        ({"spectra_err": SPECTRA[:, :-1]}, r"spectra_err has shape \(6, 4\), but spectra has \(6, 5\)"),
        ({"labels": {"teff": [4500.0]}}, r"'teff' of labels has shape \(1,\), expected \(6,\)"),
        ({"labels": {"teff": ["cool"] * 6}}, "teff of labels holds text, expected numbers"),
        ({"labels": {"teff": ["4500"] * 6}}, "teff of labels holds text, expected numbers"),
        ({"labels": {"teff": [np.inf] * 6}}, "infinite values of teff"),
        ({"labels": {"colour": np.ones(6)}}, "'colour' is not a label"),
        ({"labels": {"Mg": np.ones(6), "[Mg/H]": np.ones(6)}}, "Mg more than once"),
        ({"labels": {}}, "empty"),
        ({"labels": np.ones((6, 3))}, r"labels has shape \(6, 3\), expected \(6, 22\)"),
        ({"labels": np.ones(6), "label_names": "teff"}, r"labels has shape \(6,\), expected \(6, 1\)"),
        ({"labels_err": {"Al": np.ones(6)}}, "labels_err has Al, which labels has not"),
        ({"labels_err": {"Mg": np.ones(5)}}, r"'Mg' of labels_err has shape \(5,\)"),
        ({"in_flag": [0, 1]}, r"in_flag has shape \(2,\)"),
        ({"in_flag": [0, 1, 2, 0, 0, 0]}, r"in_flag has .* values \[0 1 2\]"),
        ({"extra": {"SNR": [100]}}, r"SNR of extra has shape \(1,\), expected 6 rows"),
        ({"extra": {"SNR": 100}}, r"SNR of extra has shape \(\), expected 6 rows"),
        ({"extra": {"SNR": [{}] * 6}}, "SNR of extra holds object"),
        (
            {"extra": {"K": np.ones(6)}},
            "extra has a column 'K': the name is empty, has a slash, or is a spelling of a label",
        ),
        ({"extra": {"mg_h_err": np.ones(6)}}, "extra has a column 'mg_h_err'"),
        ({"extra": {"Spectra": np.ones(6)}}, "extra has a column 'Spectra'"),
        ({"extra": {"SNR": np.ones(6), "snr": np.ones(6)}}, "extra has a column 'snr'"),
        ({"extra": {"a/b": np.ones(6)}}, "slash"),
        ({"extra": {"": np.ones(6)}}, "empty"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        write_h5(tmp_path / "stars", **{"spectra": SPECTRA, "labels": LABELS, **arguments})
    assert not list(tmp_path.iterdir())


def test_rows_are_read_without_the_others(path):
    found = h5.read_rows(path, ["spectra", "[Mg/H]", "apogee_id"], np.array([1, 4]))
    np.testing.assert_array_equal(found["spectra"], SPECTRA[[1, 4]])
    np.testing.assert_array_equal(found["[Mg/H]"], LABELS["Mg"][[1, 4]])
    assert list(found["apogee_id"]) == ["2M1", "2M4"]
    assert h5.spectra_shape(path) == (N_SAMPLES, N_PIXELS)
    with pytest.raises(ValueError, match="has no other"):
        h5.read_rows(path, ["other"], np.array([1]))


def test_rows_that_are_written_in_blocks_come_back(tmp_path, path):
    """The same file as in one piece."""
    names = tuple(LABELS)
    blocks = tmp_path / "blocks.h5"
    with h5py.File(blocks, "w") as file:
        writer = H5RowWriter(file, {"data_release": 14})
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
            writer.append(
                pack_spectra(SPECTRA[rows], SPECTRA[rows] / 100),
                {name: values[rows] for name, values in LABELS.items()},
                labels_err={name: np.full(N_SAMPLES, 0.1 * (column + 1))[rows] for column, name in enumerate(names)},
                in_flag=IN_FLAG[rows],
                extra={"SNR": np.arange(100, 106)[rows], "APOGEE_ID": [f"2M{row}" for row in range(N_SAMPLES)][rows]},
            )
        assert writer.n_rows == N_SAMPLES
    whole, loader = loader_of(path, load_combined=None), loader_of(blocks, load_combined=None)
    assert loader.column_names == whole.column_names
    for name in whole.column_names:
        np.testing.assert_array_equal(loader.load_entry(name), whole.load_entry(name))
    assert loader.preprocessing == {"data_release": 14}


def test_blocks_with_other_columns_are_refused(tmp_path):
    with h5py.File(tmp_path / "blocks.h5", "w") as file:
        writer = H5RowWriter(file)
        writer.append(pack_spectra(SPECTRA[:2]), {"teff": [4000.0, 4100.0]})
        with pytest.raises(ValueError, match="The blocks differ in the columns Mg, teff"):
            writer.append(pack_spectra(SPECTRA[2:3]), {"Mg": [0.1]})
        with pytest.raises(ValueError, match="labels has shape"):
            writer.append(pack_spectra(SPECTRA[2:3]), {"teff": [4000.0, 4100.0]})
        assert len(file["spectra"]) == len(file["teff"]) == writer.n_rows == 2


def test_labels_that_the_file_has(tmp_path):
    labels = {"[Mg/H]": [0.1], "M": [0.2], "TEFF": [4000.0]}
    path = write_h5(tmp_path / "d.h5", SPECTRA[:1], labels, labels_err={"Mg": [0.1]}, extra={"SNR": [100]})
    assert H5Loader(path).label_names == ["teff", "Mg"]
