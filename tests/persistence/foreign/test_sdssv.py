"""SDSS-V's checkpoint as a regressor: its predictions, windows and column names, and what cannot be read."""

import re
import shutil
from collections import OrderedDict

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

from skbcnn import ApogeeBCNNCensoredRegressor, CensoredBCNNRegressor, Prediction, load_folder, save_folder
from skbcnn.catalog import prediction_table
from skbcnn.persistence import ModelFolderError, from_sdssv
from skbcnn.survey import APOGEE_LABELS, ElementWindows, apogee_windows
from tests.foreign_networks import (
    ELEMENTS,
    HIDDEN,
    INPUT_MEAN,
    LABELS_MEAN,
    LABELS_STD,
    check_oracle,
    draw_layers,
    predict,
    sdssv_state,
    write_sdssv_network,
)


@pytest.fixture(scope="module")
def layers():
    return draw_layers(seed=5)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(3).normal(1, 0.2, (4, 7514)).astype(np.float32)


@pytest.fixture(scope="module")
def written(layers, tmp_path_factory):
    """Checkpoint that tests only read."""
    return write_sdssv_network(tmp_path_factory.mktemp("sdssv") / "network.pt", sdssv_state(layers))


@pytest.fixture
def path(tmp_path):
    """Checkpoint that a test writes."""
    return tmp_path / "network.pth"


def without_dropout(model):
    """Return the model with a dropout rate of 0."""
    model.set_params(n_draws=2, dropout_rate=0.0)
    model.spec_ = model._network_spec()
    return model


# What is read


def test_oracle(shared_data):
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
    assert_allclose(prediction.mean, mean * LABELS_STD + LABELS_MEAN, rtol=0, atol=2e-5)
    assert_allclose(prediction.predictive, np.exp(logvar / 2) * LABELS_STD, rtol=2e-5, atol=2e-5)


def test_attributes(written):
    model = from_sdssv(written)
    assert (model.num_hidden, model.num_filters, model.filter_len) == (HIDDEN, (2, 4), 8)
    assert (model.dropout_rate, model.seed_, model.history_, model.n_iter_) == (0.3, 0, {}, 0)
    assert model.context_layer == model.spec_.context_layer == "output"
    assert model.preprocessing_ == {"data_release": 17, "weighting": "astronn"}
    assert model.provenance_ == {"software": "SDSS-V Astra", "name": "network.pt"}
    assert np.isnan(model.inv_tau_)
    assert model.error_model_ is model.interval_scores_ is model.noise_level_ is model.domain_ is None


def test_windows_of_the_file(layers, x, path):
    """As many pixels as in DR14, at other places."""
    moved = {name: np.sort((apogee_windows()[name] + 40) % 7514) for name in ELEMENTS}
    windows = ElementWindows(moved, 7514)
    model = load_folder(write_sdssv_network(path, sdssv_state(layers, windows)))
    assert type(model) is CensoredBCNNRegressor
    assert {name: list(pixels) for name, pixels in model.windows.items()} == {
        name: list(windows[name]) for name in ELEMENTS
    }
    mean, _ = predict(layers, x - INPUT_MEAN, windows=windows)
    assert_allclose(without_dropout(model).predict(x), mean * LABELS_STD + LABELS_MEAN, rtol=0, atol=2e-5)
    assert model.target_names_ == APOGEE_LABELS


@pytest.mark.parametrize("own_windows", [False, True])
def test_round_trip(layers, x, path, tmp_path, fitted_state, own_windows):
    state = sdssv_state(layers)
    if own_windows:
        state["aspcap_masks.3"] = np.roll(state["aspcap_masks.3"], 1)
    model = load_folder(write_sdssv_network(path, state))
    again = load_folder(save_folder(model, tmp_path / "ours"))
    assert type(again) is type(model) is (CensoredBCNNRegressor if own_windows else ApogeeBCNNCensoredRegressor)
    assert_equal(fitted_state(again), fitted_state(model))
    ours, theirs = (each.set_params(n_draws=3).predict_distribution(x) for each in (again, model))
    assert_array_equal(ours.mean, theirs.mean, strict=True)
    assert_array_equal(ours.total, theirs.total, strict=True)


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


def test_example_of_the_documentation(written, root, tmp_path, monkeypatch):
    """The checkpoint and the spectrum of the page are not in the repository; small ones take their place."""
    page = (root / "docs" / "persistence.md").read_text(encoding="utf-8")
    section = page.split("## Load SDSS-V's network\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    shutil.copyfile(written, tmp_path / "astroNN_dr17.pt")
    shutil.copyfile(
        root / "tests/data/apStar-dr17-2M19485057+5005279.fits", tmp_path / "apStar-r8-2M17335483-2753043.fits"
    )
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks:
        exec(block, namespace)
    assert len(blocks) == 2
    assert namespace["labels"].shape == (1, 22)
    with fits.open("labels.fits") as file:
        assert {"teff", "e_teff", "ti_2_h", "e_ti_2_h"} < set(file[1].columns.names)


# What cannot be read


BROKEN_STATES = {
    "layer missing": (lambda s: s.pop("conv2.weight"), r"KeyError: 'conv2\.weight'"),
    "bias missing": (lambda s: s.pop("elem_dense2.4.bias"), r"has no elem_dense2\.4\.bias"),
    "mask missing": (lambda s: s.pop("aspcap_masks.18"), r"KeyError: 'aspcap_masks\.18'"),
    "unknown layer": (lambda s: s.update({"dense_3.bias": np.zeros(3)}), r"also holds dense_3\.bias"),
    "wrong shape": (
        lambda s: s.update({"elem_dense1.5.bias": np.zeros(9)}),
        r"elem_dense1\.5\.bias of .* has shape \(9,\), expected \(4,\)",
    ),
    "transposed": (lambda s: s.update({"dense_2.weight": s["dense_2.weight"].T}), r"has shape .*, expected"),
    "two heads": (lambda s: s.update({"dense_teffloggfeh.bias": np.zeros(2)}), r"shape \(2,\), expected \(3,\)"),
    "NaN": (lambda s: s["dense_1.weight"].__setitem__((0, 0), np.nan), r"dense_1\.weight of .* holds NaN"),
    "mean NaN": (lambda s: s["input_mean"].__setitem__(0, np.nan), "a mean or std that is NaN"),
    "std zero": (lambda s: s["labels_std"].__setitem__(0, 0), "a std that is not positive"),
    "mean of other pixels": (lambda s: s.update(input_mean=np.ones(7000)), r"shapes \(7000,\)"),
    "mask empty": (lambda s: s.update({"aspcap_masks.4": np.zeros(7514, bool)}), "window of Na has no pixel"),
    "mask of other pixels": (lambda s: s.update({"aspcap_masks.4": np.ones(70, bool)}), "expected one boolean"),
    "mask of numbers": (lambda s: s.update({"aspcap_masks.4": np.ones(7514)}), "expected one boolean"),
    "mask of another size": (lambda s: s["aspcap_masks.4"].__setitem__(0, True), r"expected \(4, 14\)"),
    "integers": (lambda s: s.update({"conv1.bias": np.zeros(2, int)}), "names 'torch LongStorage'"),
    "scalar": (lambda s: s.update({"conv1.weight": np.array(1.0)}), "IndexError"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_STATES.values(), ids=BROKEN_STATES)
def test_broken_states(layers, path, change, message):
    state = OrderedDict((name, value.copy()) for name, value in sdssv_state(layers).items())
    change(state)
    write_sdssv_network(path, state)
    with pytest.raises(ModelFolderError, match=message):
        load_folder(path)


def test_file_without_a_state_dict(path):
    write_sdssv_network(path, [1])
    with pytest.raises(ModelFolderError, match="has no model_state_dict, a dict of tensors by name"):
        load_folder(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_file_that_is_cut_short(written, path, share):
    data = written.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFolderError, match="does not end as a zip archive: it is cut short"):
        load_folder(path)


def test_file_that_is_a_pickle(path):
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'echo'\ntR.")
    with pytest.raises(ModelFolderError, match="does not end as a zip archive"):
        load_folder(path)


def test_no_file(tmp_path):
    for name in ("absent.pt", "absent.PTH"):
        with pytest.raises(FileNotFoundError, match=r"There is no file .* SDSS-V's checkpoint"):
            load_folder(tmp_path / name)
