"""SDSS-V's checkpoint as a regressor: what it predicts, its windows, its column names, and what cannot be read."""

import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, Prediction, load_folder, save_folder
from skbcnn.catalog import prediction_table
from skbcnn.persistence import ModelFolderError, from_sdssv
from skbcnn.survey import APOGEE_LABELS, ElementWindows, apogee_windows
from tests.foreign_networks import HIDDEN, STAR, check_oracle, draw_layers, predict

ELEMENTS = [name for name in APOGEE_LABELS if name not in STAR]
LABELS_MEAN, LABELS_STD = np.linspace(-1, 1, 22), np.linspace(0.5, 2, 22)
INPUT_MEAN = np.linspace(0.9, 1.1, 7514)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def layers():
    return draw_layers(seed=5)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).normal(1, 0.2, (4, 7514)).astype(np.float32)


def state_of(layers, windows=None):
    """Arrays of a checkpoint, laid out as SDSS-V does."""
    windows = windows or apogee_windows()
    state = {"input_mean": INPUT_MEAN, "labels_mean": LABELS_MEAN, "labels_std": LABELS_STD}

    def put(name, *found):
        kernels, biases = zip(*(layers[layer] for layer in found), strict=True)
        state[f"{name}.weight"] = np.concatenate([kernel.transpose() for kernel in kernels])
        state[f"{name}.bias"] = np.concatenate(biases)

    for ours, theirs in (("conv1", "conv1d"), ("conv2", "conv1d_1"), ("dense_1", "dense"), ("dense_2", "dense_1")):
        put(ours, theirs)
    put("dense_aux_fullspec", "aux_fullspec")
    put("dense_teffloggfeh", "dense_2", "dense_3", "dense_4")
    put("dense_teffloggfeh_var", "dense_5", "dense_6", "dense_7")
    for i, name in enumerate(ELEMENTS):
        state[f"aspcap_masks.{i}"] = windows.mask(name)
        ends = {"dense1": "dense", "dense2": "dense_2", "dense_out": "concat", "dense_var": "concat_var"}
        for ours, theirs in ends.items():
            put(f"elem_{ours}.{i}", f"{name.lower()}_{theirs}")
    return state


def write(torch, path, state, **others):
    """As PyTorch does; arrays become tensors."""
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
        for name, value in state.items()
    }
    torch.save({"model_state_dict": tensors} | others, path)
    return path


@pytest.fixture(scope="module")
def written(torch, layers, tmp_path_factory):
    """A checkpoint to look at."""
    return write(torch, tmp_path_factory.mktemp("sdssv") / "network.pt", state_of(layers))


@pytest.fixture
def path(tmp_path):
    """Where a test writes its own."""
    return tmp_path / "network.pth"


def without_dropout(model):
    """The same weights, asked without dropout."""
    model.set_params(n_draws=2, dropout_rate=0.0)
    model.spec_ = model._network_spec()
    return model


# What is read


def test_oracle(shared_data, torch):
    folder = shared_data / "sdssv_network"
    model = load_folder(folder / "network.pt")
    assert type(model) is ApogeeBCNNCensoredRegressor
    assert model.num_hidden == (192, 96, 32, 16, 2)
    check_oracle(model, np.load(folder / "oracle.npz"))


def test_predictions(written, layers, x):
    model = without_dropout(load_folder(written))
    assert type(model) is ApogeeBCNNCensoredRegressor
    prediction = model.predict_distribution(x)
    mean, logvar = predict(layers, x - INPUT_MEAN)
    assert_allclose(prediction.mean, mean * LABELS_STD + LABELS_MEAN, atol=2e-5)
    assert_allclose(prediction.predictive, np.exp(logvar / 2) * LABELS_STD, rtol=2e-5)


def test_what_stands_beside_the_weights(written):
    model = from_sdssv(written)
    assert (model.num_hidden, model.num_filters, model.filter_len) == (HIDDEN, (2, 4), 8)
    assert (model.dropout_rate, model.seed_, model.history_, model.n_iter_) == (0.3, 0, {}, 0)
    assert model.context_layer == model.spec_.context_layer == "output"
    assert model.preprocessing_ == {"data_release": 17, "weighting": "astronn"}
    assert model.provenance_ == {"software": "SDSS-V Astra", "name": "network.pt"}
    assert np.isnan(model.inv_tau_)
    assert model.error_model_ is model.interval_scores_ is model.noise_level_ is model.domain_ is None


def test_windows_of_the_file(torch, layers, x, path):
    """As many pixels as in DR14, elsewhere."""
    moved = {name: (apogee_windows()[name] + 40) % 7514 for name in ELEMENTS}
    windows = ElementWindows({name: np.sort(pixels) for name, pixels in moved.items()}, 7514)
    model = load_folder(write(torch, path, state_of(layers, windows)))
    assert type(model) is CensoredBCNNRegressor
    assert {name: list(pixels) for name, pixels in model.windows.items()} == {
        name: list(windows[name]) for name in ELEMENTS
    }
    mean, _ = predict(layers, x - INPUT_MEAN, windows=windows)
    assert_allclose(without_dropout(model).predict(x), mean * LABELS_STD + LABELS_MEAN, atol=2e-5)
    assert model.target_names_ == APOGEE_LABELS


@pytest.mark.parametrize("own_windows", [False, True])
def test_round_trip(torch, layers, x, path, tmp_path, fitted_state, own_windows):
    state = state_of(layers)
    if own_windows:
        state["aspcap_masks.3"] = np.roll(state["aspcap_masks.3"], 1)
    model = load_folder(write(torch, path, state))
    again = load_folder(save_folder(model, tmp_path / "ours"))
    assert type(again) is type(model) is (CensoredBCNNRegressor if own_windows else ApogeeBCNNCensoredRegressor)
    assert_equal(fitted_state(again), fitted_state(model))
    ours, theirs = (each.set_params(n_draws=3).predict_distribution(x) for each in (again, model))
    assert_array_equal(ours.mean, theirs.mean, strict=True)
    assert_array_equal(ours.total, theirs.total, strict=True)


def test_reading_imports_no_tensorflow(written, root):
    code = "import sys; from skbcnn import load_folder; load_folder(sys.argv[1]); sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, written], cwd=root, check=False).returncode == 0


def test_without_torch(written, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"checkpoint needs torch: pip install 'skbcnn\[torch\]'"):
        load_folder(written)


# Column names


def test_column_names():
    names = (*APOGEE_LABELS, "age")
    stars = Prediction(*np.arange(4 * 2 * 23.0).reshape(4, 2, 23), names)
    table = stars.to_table(naming="sdssv")
    sdssv = "teff logg c_h c_1_h n_h o_h na_h mg_h al_h si_h p_h s_h k_h ca_h ti_h ti_2_h v_h cr_h mn_h fe_h co_h ni_h"
    expected = [column for name in [*sdssv.split(), "age"] for column in (name, f"e_{name}")]
    assert table.colnames == expected
    for j, name in enumerate(expected[::2]):
        assert_array_equal(table[name], stars.mean[:, j])
        assert_array_equal(table[f"e_{name}"], stars.total[:, j])
        assert table[name].unit == table[f"e_{name}"].unit == stars.to_table()[names[j]].unit
    assert list(stars.to_pandas(naming="sdssv")) == expected


def test_column_names_of_a_catalogue():
    stars = Prediction(*np.zeros((4, 1, 1)), ("[TiII/H]",))
    table = prediction_table(stars, columns={"sdss_id": [7]}, naming="sdssv")
    assert table.colnames == ["sdss_id", "ti_2_h", "e_ti_2_h", "e_ti_2_h_model", "e_ti_2_h_predictive", "result_flags"]
    with pytest.raises(ValueError, match="naming='apogee', expected 'skbcnn' or 'sdssv'"):
        prediction_table(stars, naming="apogee")


def test_what_the_docs_say(written, root, tmp_path, monkeypatch):
    """The page's checkpoint and spectrum are not in the repository: it is given small ones."""
    page = (root / "docs" / "persistence.md").read_text(encoding="utf-8")
    section = page.split("## Load SDSS-V's network\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shutil.copy(written, tmp_path / "astroNN_dr17.pt")
    shutil.copy(root / "tests/data/apStar-dr17-2M19485057+5005279.fits", tmp_path / "apStar-r8-2M17335483-2753043.fits")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert names["labels"].shape == (1, 22)
    with fits.open("labels.fits") as file:
        assert {"teff", "e_teff", "ti_2_h", "e_ti_2_h"} < set(file[1].columns.names)


# What cannot be read


class Evil:
    """Runs when it is unpickled by whoever lets it."""

    def __reduce__(self):
        return open, ("owned", "w")


def test_other_objects_are_not_read(torch, layers, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(torch, path, state_of(layers), optimizer=Evil())
    with pytest.raises(ModelFolderError, match=r"cannot be read as tensors alone \(UnpicklingError\).*may run code"):
        load_folder(path)
    assert not (tmp_path / "owned").exists()


BROKEN_STATES = {
    "layer missing": (lambda s, t: s.pop("conv2.weight"), r"KeyError: 'conv2\.weight'"),
    "bias missing": (lambda s, t: s.pop("elem_dense2.4.bias"), r"has no elem_dense2\.4\.bias"),
    "mask missing": (lambda s, t: s.pop("aspcap_masks.18"), r"KeyError: 'aspcap_masks\.18'"),
    "layer too many": (lambda s, t: s.update({"dense_3.bias": np.zeros(3)}), r"also holds dense_3\.bias"),
    "wrong shape": (
        lambda s, t: s.update({"elem_dense1.5.bias": np.zeros(9)}),
        r"elem_dense1\.5\.bias of .* has shape \(9,\), expected \(4,\)",
    ),
    "transposed": (lambda s, t: s.update({"dense_2.weight": s["dense_2.weight"].T}), r"has shape .*, expected"),
    "two heads": (lambda s, t: s.update({"dense_teffloggfeh.bias": np.zeros(2)}), r"shape \(2,\), expected \(3,\)"),
    "NaN": (lambda s, t: s["dense_1.weight"].__setitem__((0, 0), np.nan), r"dense_1\.weight of .* holds NaN"),
    "mean NaN": (lambda s, t: s["input_mean"].__setitem__(0, np.nan), "a mean or std that is NaN"),
    "std zero": (lambda s, t: s["labels_std"].__setitem__(0, 0), "a std that is not positive"),
    "mean of other pixels": (lambda s, t: s.update(input_mean=np.ones(7000)), r"shapes \(7000,\)"),
    "mask empty": (lambda s, t: s.update({"aspcap_masks.4": np.zeros(7514, bool)}), "window of Na has no pixel"),
    "mask of other pixels": (lambda s, t: s.update({"aspcap_masks.4": np.ones(70, bool)}), "expected one boolean"),
    "mask of numbers": (lambda s, t: s.update({"aspcap_masks.4": np.ones(7514)}), "expected one boolean"),
    "mask of another size": (lambda s, t: s["aspcap_masks.4"].__setitem__(0, True), r"expected \(4, 14\)"),
    "whole numbers": (lambda s, t: s.update({"conv1.bias": np.zeros(2, int)}), "no plain tensor of floats"),
    "no tensor": (lambda s, t: s.update({"conv1.bias": [0.0, 0.0]}), "no plain tensor of floats"),
    "sparse": (lambda s, t: s.update({"dense_2.weight": t.ones(7, 8).to_sparse()}), "no plain tensor|as tensors alone"),
    "scalar": (lambda s, t: s.update({"conv1.weight": t.tensor(1.0)}), "IndexError"),
    "stretched": (lambda s, t: s.update({"dense_1.weight": t.ones(1).expand(10**6, 10**6)}), "larger than the file"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_STATES.values(), ids=BROKEN_STATES)
def test_broken_states(torch, layers, path, change, message):
    state = {name: value.copy() for name, value in state_of(layers).items()}  # to change in place
    change(state, torch)
    write(torch, path, state)
    with pytest.raises(ModelFolderError, match=message):
        load_folder(path)


@pytest.mark.parametrize("checkpoint", [{}, {"model_state_dict": [1]}, {"model_state_dict": {1: 2}}, [1, 2]])
def test_no_state(torch, path, checkpoint):
    torch.save(checkpoint, path)
    with pytest.raises(ModelFolderError, match="has no model_state_dict, a dict of tensors by name"):
        load_folder(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_cut_short(written, path, share):
    data = written.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match="cannot be read as a ZIP archive"):
        load_folder(path)


def test_a_pickle(torch, path):
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'echo'\ntR.")
    with pytest.raises(ModelFolderError, match="cannot be read as a ZIP archive"):
        load_folder(path)


def rewritten(source, path, compression=zipfile.ZIP_STORED, **more):
    """The members of an archive, and more, in another."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w", compression) as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
        for name, data in more.items():
            other.writestr(name, data)


def test_archives_that_torch_does_not_write(written, path):
    rewritten(written, path, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFolderError, match="is compressed, which PyTorch's files never are"):
        load_folder(path)
    rewritten(written, path, **{"../evil": b""})
    with pytest.raises(ModelFolderError, match="leads out of the archive"):
        load_folder(path)
    rewritten(written, path, **{"other/data.pkl": b"\x80\x02."})
    with pytest.raises(ModelFolderError, match=r"no file that torch\.save wrote"):
        load_folder(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps({}))
    with pytest.raises(ModelFolderError, match=r"no file that torch\.save wrote"):
        load_folder(path)


def test_tensors_beyond_the_end(written, path):
    """What the index claims to be longer than it is does not lead to reading elsewhere."""
    with zipfile.ZipFile(written) as archive:
        index = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        members = {name: archive.read(name) for name in archive.namelist()}
    last = (7514).to_bytes(2, "little")
    assert members[index].count(b"M" + last) > 1
    members[index] = members[index].replace(b"M" + last, b"J" + (2**30).to_bytes(4, "little"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ModelFolderError, match=r"cannot be read as tensors alone|larger than the file"):
        load_folder(path)


def test_no_file(torch, tmp_path):
    for name in ("absent.pt", "absent.PTH"):
        with pytest.raises(FileNotFoundError, match=r"There is no file .* SDSS-V's checkpoint"):
            load_folder(tmp_path / name)
