"""Training on spectra that stay in their file: the same model, and memory that does not grow with the file."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_equal

from skbcnn import CensoredBCNNRegressor, H5Loader, write_h5

LABELS = ["teff", "Mg", "Al", "C"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """File of 80 spectra of 40 pixels, some of them bad, and missing labels. Shared by all tests: do not change it."""
    rng = np.random.default_rng(3)
    X = rng.normal(1, 0.1, size=(80, 40)).astype(np.float32)
    y = np.column_stack([4500 + 3000 * (X[:, 0] - 1), X[:, 5] - 1, X[:, 6] + X[:, 7], X[:, 30]])
    y[7, 1] = np.nan
    return write_h5(
        tmp_path_factory.mktemp("streamed") / "stars.h5",
        X,
        y,
        label_names=LABELS,
        spectra_err=np.where(rng.random(X.shape) < 0.03, np.inf, 0.02),
        labels_err=np.full(y.shape, 0.01) * [1000, 1, 1, 1],
    )


def arrays_of(model):
    """Return the fitted attributes of a model, with those of objects in them."""
    fitted = {name: value for name, value in vars(model).items() if name.endswith("_") and name != "spec_"}
    return {name: vars(value) if hasattr(value, "__dict__") else value for name, value in fitted.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": {}},
        {"noise_augmentation": (0, 2), "labels_norm_mode": 1},
        {"input_norm_mode": 2, "calibrate": False, "validation_fraction": 0},
    ],
    ids=lambda changes: next(iter(changes), "plain"),
)
def test_the_model_is_that_of_a_training_in_memory(path, tiny_parameters, changes):
    model = CensoredBCNNRegressor(**tiny_parameters | {"validation_fraction": 0.3} | changes)
    loader = H5Loader(path, load_err=True, target=LABELS)
    X, y, x_err, y_err = loader.load()
    in_memory = arrays_of(model.fit(X, y, x_err=x_err, y_err=y_err))
    assert_equal(arrays_of(model.fit(loader)), in_memory)


def test_labels_of_a_loader_are_matched_by_name(path, tiny_parameters):
    model = CensoredBCNNRegressor(**tiny_parameters)
    expected = arrays_of(model.fit(H5Loader(path, load_err=True, target=LABELS)))
    assert_equal(arrays_of(model.fit(H5Loader(path, load_err=True, target=LABELS[::-1]))), expected)


def test_without_errors_and_with_weights_groups_and_a_checkpoint(path, tiny_parameters, tmp_path):
    model = CensoredBCNNRegressor(**tiny_parameters | {"validation_fraction": 0.3})
    loader = H5Loader(path, target=LABELS)
    arguments = {"sample_weight": np.arange(80) % 4, "groups": np.arange(80) // 2}
    in_memory = arrays_of(model.fit(*loader.load(), **arguments))
    assert_equal(arrays_of(model.fit(loader, **arguments, checkpoint=tmp_path / "fit.npz")), in_memory)


def test_a_training_that_was_begun_in_memory_is_continued_from_the_file(path, tiny_parameters, tmp_path):
    """The checkpoint recognises the data, wherever they are."""
    loader = H5Loader(path, target=LABELS)
    whole = CensoredBCNNRegressor(**tiny_parameters).fit(loader)

    def kill(epoch_end):
        if epoch_end.epoch == 2:
            raise KeyError("killed")

    killed = CensoredBCNNRegressor(**tiny_parameters, callbacks=kill)
    with pytest.raises(KeyError):
        killed.fit(*loader.load(), checkpoint=tmp_path / "fit.npz")
    resumed = CensoredBCNNRegressor(**tiny_parameters).fit(loader, checkpoint=tmp_path / "fit.npz")
    assert_equal(arrays_of(resumed), arrays_of(whole))


def test_datasets(path, tiny_parameters):
    model = CensoredBCNNRegressor(**tiny_parameters)
    loader = H5Loader(path, load_err=True, target=LABELS)
    X, y, x_err, _ = loader.load()
    in_memory = arrays_of(model.fit(X, y, x_err=x_err))
    with h5py.File(path) as file:
        assert_equal(arrays_of(model.fit(file["spectra"], y, x_err=file["spectra_err"])), in_memory)


def test_what_is_refused(path, tiny_parameters):
    model = CensoredBCNNRegressor(**tiny_parameters)
    with h5py.File(path) as file:
        with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
            model.fit(file["spectra"])
        with pytest.raises(ValueError, match="calibration_cv=3 needs all spectra in memory"):
            model.set_params(calibration_cv=3).fit(file["spectra"], np.ones((80, 4)))


def test_flux_that_is_not_finite(path, tiny_parameters, tmp_path):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(path.read_bytes())
    with h5py.File(bad, "a") as file:
        file["spectra"][70, 3] = np.nan
    with pytest.raises(ValueError, match=r"X contains NaN .* in 1 of 80 spectra \(first: row 70, pixel 3\)"):
        CensoredBCNNRegressor(**tiny_parameters).fit(H5Loader(bad, load_err=True, target=LABELS))


PEAK = """
import json, sys, threading, time
import h5py
import numpy as np
from skbcnn import ApogeeBCNNCensoredRegressor, make_apogee_spectra

def anonymous_megabytes():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines["RssAnon"].split()[0]) / 1024

def watch():
    while True:
        peak[0] = max(peak[0], anonymous_megabytes())
        time.sleep(0.02)

peak, used, labels = [0], [], ["teff", "logg", "Mg"]
threading.Thread(target=watch, daemon=True).start()
model = ApogeeBCNNCensoredRegressor(
    target=labels, num_hidden=(8, 8, 4, 4, 2), max_epochs=1, n_draws=4, validation_fraction=0.005, random_state=0
)
stars = make_apogee_spectra(500, random_state=0)
y = stars.y[:, [0, 1, 6]]
model.fit(stars.X, y, stars.X_err)  # compiled code
for n in (4_000, 20_000):
    with h5py.File(f"{sys.argv[1]}/{n}.h5", "w") as file:
        for name, values in (("spectra", stars.X), ("spectra_err", stars.X_err)):
            dataset = file.create_dataset(name, (n, 7514), "f4")
            for start in range(0, n, 500):
                dataset[start : start + 500] = values
    before = peak[0] = anonymous_megabytes()
    with h5py.File(f"{sys.argv[1]}/{n}.h5") as file:
        model.fit(file["spectra"], np.tile(y, (n // 500, 1)), file["spectra_err"])
    used.append(peak[0] - before)
print(json.dumps(used))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which only Linux has")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """Train on 20 000 spectra, 1200 MB of flux and errors."""
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=1800
    )
    few, many = json.loads(ended.stdout.splitlines()[-1])
    assert few < 500
    assert many < few + 100
