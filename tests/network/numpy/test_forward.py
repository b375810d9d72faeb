"""The NumPy network: against numbers worked by hand, the Keras network, and TensorFlow's posterior."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skbcnn
from skbcnn import save_folder
from skbcnn.network.masks import draw_masks
from skbcnn.network.numpy import forward as module
from skbcnn.network.numpy import posterior as posterior_module
from skbcnn.network.numpy.posterior import NumpyPosterior
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.posterior import Posterior
from skbcnn.network.tensorflow.weights import set_weights
from skbcnn.persistence import from_astronn, from_sdssv

SEED = 11
FEW_UNITS = {
    "one label": {"windows": (None,), "widening": ((1, 1),)},
    "one window label": {"windows": ((40, 41),), "widening": ((2, 1),)},
    "widths of one": {"num_hidden": (1, 1, 1, 1, 1), "num_filters": (1, 1)},
}
LONG_SPECTRA = {
    "many blocks": {"n_pixels": 1301, "pool_length": 3, "filter_len": 7},
    "pools larger than a block": {"n_pixels": 1301, "pool_length": 130},
    "decreasing activation in many blocks": {"n_pixels": 1301, "activation": "silu"},
}


@pytest.fixture(params=FEW_UNITS)
def few_units_spec(request, small_spec):
    return dataclasses.replace(small_spec, **FEW_UNITS[request.param])


@pytest.fixture(params=LONG_SPECTRA)
def long_spec(request, small_spec):
    return dataclasses.replace(small_spec, **LONG_SPECTRA[request.param])


def spectra(spec, n=5, seed=1):
    return np.random.default_rng(seed).normal(size=(n, spec.n_pixels)).astype(np.float32)


def keras_output(spec, weights, x):
    """Means and log-variances without dropout."""
    network = CensoredNetwork(spec)
    set_weights(network, weights)
    return np.asarray(network(np.pad(x, ((0, 0), network.frames.margins)))).transpose(1, 0, 2)


def ask(posterior, x, x_err=None, n_draws=7):
    """Moments of any number of spectra."""
    starts = range(0, len(x), posterior.chunk)
    rows = [slice(start, start + posterior.chunk) for start in starts]
    chunks = [(x[part], None if x_err is None else x_err[part]) for part in rows]
    moments = list(posterior.moments(chunks, n_draws))
    return [np.concatenate(part) for part in zip(*moments, strict=True)]


class TestByHand:
    """Two pixels (3, 5). One label is read from both, the other from a window with the second."""

    @pytest.fixture
    def spec(self):
        return NetworkSpec(
            n_pixels=2,
            windows=(None, (1,)),
            widening=((1, 1), (1, 1)),
            num_hidden=(1, 1, 1, 1, 1),
            num_filters=(1, 1),
            filter_len=2,
            pool_length=2,
        )

    @pytest.fixture
    def weights(self, spec):
        layers = {
            "conv1": ([1, 2], 0),
            "conv2": ([1, -1], 1),
            "full1": ([2], -8),
            "full2": ([0.5], 1),
            "aux": ([1], -4),
            "label0.mean": ([3], 0),
            "label0.logvar": ([-1], 1),
            "label1.hidden1": ([2], -4),
            "label1.hidden2": ([-1], 7),
            "label1.mean": ([10, 100, 1], 0.5),  # of the window layer, the free number, the mean of the other label
            "label1.logvar": ([1, 2, -0.5], 0),
        }
        weights = {}
        for name, (kernel, bias) in layers.items():
            weights[f"{name}.kernel"] = np.reshape(kernel, spec.weight_shapes[f"{name}.kernel"]).astype(np.float32)
            weights[f"{name}.bias"] = np.array([bias], dtype=np.float32)
        assert set(weights) == set(spec.weight_shapes)
        return weights

    def test_without_dropout(self, spec, weights):
        """Pixels 3 + 2 * 5, 5 + 0; then 13 - 5 + 1, 5 - 0 + 1, of which 9 is the larger; full 10, 6; free 2."""
        mean, logvar = module.forward(spec, weights, [[3, 5]])
        assert mean.dtype == logvar.dtype == np.float32
        assert_array_equal(mean, [[18, 10 * 1 + 100 * 2 + 18 + 0.5]])
        assert_array_equal(logvar, [[-5, 1 + 2 * 2 - 0.5 * 18]])

    def test_one_draw(self, spec, weights):
        """Pixels 26, 0; then 27, 1; pooled 54; full 100, of which half, and 26; free 22. Window 6 / 2, then 4 * 2."""
        masks = {"conv1": [2, 0], "flat": [2], "full1": [0.5], "label1.hidden1": [0.5], "label1.hidden2": [2]}
        mean, logvar = module.forward(spec, weights, [[3, 5]], masks)
        assert_array_equal(mean, [[78, 10 * 8 + 100 * 22 + 78 + 0.5]])
        assert_array_equal(logvar, [[-25, 8 + 2 * 22 - 0.5 * 78]])

    def test_moments(self, spec, weights):
        """With a dropout rate of 1/4 and four draws, each unit after the window is kept in three."""
        two_windows = dataclasses.replace(spec, windows=((1,), (1,)), num_hidden=(1, 1, 1, 1, 0), dropout_rate=0.25)
        weights = {name: np.zeros(shape, dtype=np.float32) for name, shape in two_windows.weight_shapes.items()}
        weights["label0.hidden2.bias"] += 3  # 4 where it is kept, 0 where not
        weights["label0.mean.kernel"] += 1
        weights["label0.logvar.kernel"] += 10  # 40, cut at 20, or 0
        moments = ask(NumpyPosterior(two_windows, weights, SEED), np.zeros((1, 2)), n_draws=4)
        assert_allclose(moments[0], [[3, 0]])
        assert_allclose(moments[1], [[(3 * 1**2 + 3**2) / 4, 0]])
        assert_allclose(moments[2], [[np.exp(20 * 3 / 4), 1]])


class TestForward:
    """Against the float64 network, which the Keras network is tested against, too."""

    def assert_agree(self, spec, weights, forward):
        """Compare without dropout and with the masks of a draw."""
        x = spectra(spec)
        masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, SEED, 1)
        for of_draw in (None, {place: mask[0] for place, mask in masks.items()}):
            expected = forward(spec, weights, x, of_draw)
            assert_allclose(module.forward(spec, weights, x, of_draw), expected, rtol=3e-5, atol=2e-5)

    def test_other_shapes(self, other_spec, random_weights, forward):
        self.assert_agree(other_spec, random_weights(other_spec), forward)

    def test_few_units(self, few_units_spec, random_weights, forward):
        self.assert_agree(few_units_spec, random_weights(few_units_spec), forward)

    def test_long_spectra(self, long_spec, random_weights, forward):
        self.assert_agree(long_spec, random_weights(long_spec), forward)

    def test_published_layout_against_keras(self, dr14_spec, random_weights):
        weights, x = random_weights(dr14_spec), 0.5 * spectra(dr14_spec, 3)
        outputs = module.forward(dr14_spec, weights, x)
        assert_allclose(outputs, keras_output(dr14_spec, weights, x), rtol=3e-5, atol=3e-5)

    def test_infinite_outputs_do_not_warn(self, small_spec, random_weights):
        """As in TensorFlow. Warnings are errors in these tests."""
        weights, x = random_weights(small_spec), spectra(small_spec, 2)
        x[0] *= np.float32(1e37)
        weights["conv2.kernel"] *= 100
        mean, _ = module.forward(small_spec, weights, x)
        assert not np.isfinite(mean[0]).any()
        assert_array_equal(mean[1], module.forward(small_spec, weights, x * [[0], [1]])[0][1])


class TestAgainstTensorFlow:
    """Both have the same draws and differ only by rounding."""

    @pytest.mark.parametrize(("n_draws", "with_noise"), [(1, False), (50, False), (103, False), (103, True)])
    def test_draws_that_share_masks(self, small_spec, random_weights, n_draws, with_noise):
        self.assert_agree(small_spec, random_weights(small_spec), n_draws, with_noise)

    def test_other_shapes(self, other_spec, random_weights):
        self.assert_agree(other_spec, random_weights(other_spec), 5, with_noise=False)

    def test_few_units(self, few_units_spec, random_weights):
        self.assert_agree(few_units_spec, random_weights(few_units_spec), 5, with_noise=True)

    @pytest.mark.parametrize(("with_noise", "context_layer"), [(False, "output"), (True, "hidden")])
    def test_published_layout(self, dr14_spec, random_weights, with_noise, context_layer):
        """With noise, the context is in the hidden layers, too."""
        spec = dataclasses.replace(dr14_spec, context_layer=context_layer)
        self.assert_agree(spec, random_weights(spec), 5, with_noise, rtol=2e-4, atol=2e-5)

    def assert_agree(self, spec, weights, n_draws, with_noise, rtol=3e-5, atol=1e-5):
        x = spectra(spec)
        x_err = np.random.default_rng(6).uniform(0, 0.5, size=x.shape).astype(np.float32) if with_noise else None
        ours, expected = (ask(each(spec, weights, SEED), x, x_err, n_draws) for each in (NumpyPosterior, Posterior))
        for part, of_tensorflow in zip(ours, expected, strict=True):
            assert part.dtype == np.float64
            assert_allclose(part, of_tensorflow, rtol=rtol, atol=atol)

    @pytest.mark.parametrize(("n_draws", "with_noise"), [(5, True), (103, False)])
    def test_kept_draws(self, small_spec, random_weights, n_draws, with_noise):
        """Both keep the same draws, whose moments are those without them. 103 draws end with an incomplete group."""
        weights, x = random_weights(small_spec), spectra(small_spec)
        x_err = np.full_like(x, 0.3) if with_noise else None
        kept = []
        for cls in (NumpyPosterior, Posterior):
            posterior = cls(small_spec, weights, SEED)
            ((moments, draws),) = posterior.moments_and_draws([(x, x_err)], n_draws)
            assert_allclose(moments, ask(posterior, x, x_err, n_draws), rtol=1e-12)
            assert (draws.shape, draws.dtype) == ((n_draws, *moments.mean.shape), np.float32)
            assert_allclose(draws.mean(axis=0, dtype=float), moments.mean, rtol=1e-5, atol=1e-6)
            assert_allclose(draws.var(axis=0, dtype=float), moments.model_variance, rtol=1e-4)
            kept.append(draws)
        assert_allclose(*kept, rtol=3e-5, atol=1e-5)

    def test_without_dropout_draws_do_not_differ(self, small_spec, random_weights):
        spec = dataclasses.replace(small_spec, dropout_rate=0.0)
        weights, x = random_weights(spec), spectra(spec)
        moments = ask(NumpyPosterior(spec, weights, SEED), x)
        mean, logvar = module.forward(spec, weights, x)
        assert_allclose(moments[0], mean, rtol=1e-5, atol=1e-5)
        assert_array_equal(moments[1], 0)
        assert_allclose(moments[2], np.exp(logvar), rtol=1e-5, atol=1e-5)


class TestEachSpectrumAlone:
    """The result for a spectrum does not depend on its neighbours, bit for bit."""

    @pytest.mark.parametrize("with_noise", [False, True])
    def test_small_network(self, small_spec, random_weights, with_noise):
        posterior, x = NumpyPosterior(small_spec, random_weights(small_spec), SEED), spectra(small_spec, 40)
        self.assert_alone(posterior, x, np.abs(x) / 10 if with_noise else None, 3)

    def test_other_shapes(self, other_spec, random_weights):
        posterior = NumpyPosterior(other_spec, random_weights(other_spec), SEED)
        self.assert_alone(posterior, spectra(other_spec, 40), None, 3)

    def test_few_units(self, few_units_spec, random_weights):
        posterior = NumpyPosterior(few_units_spec, random_weights(few_units_spec), SEED)
        self.assert_alone(posterior, spectra(few_units_spec, 40), None, 3)

    def test_long_spectra(self, long_spec, random_weights):
        posterior = NumpyPosterior(long_spec, random_weights(long_spec), SEED)
        self.assert_alone(posterior, spectra(long_spec, 40), None, 3)

    def test_published_layout(self, dr14_spec, random_weights):
        posterior = NumpyPosterior(dr14_spec, random_weights(dr14_spec), SEED)
        self.assert_alone(posterior, spectra(dr14_spec, 40), None, 2)

    def test_small_chunks(self, random_weights):
        """Long spectra come in small chunks."""
        spec = NetworkSpec(n_pixels=60_000, windows=(None, (1, 2)), widening=((1, 1),) * 2, num_hidden=(8, 8, 4, 4, 2))
        posterior = NumpyPosterior(spec, random_weights(spec), SEED)
        assert posterior.chunk <= 32
        self.assert_alone(posterior, spectra(spec, 20), None, 2)

    def assert_alone(self, posterior, x, x_err, n_draws):
        together = ask(posterior, x, x_err, n_draws)
        order = np.random.default_rng(0).permutation(len(x))
        for rows in ([4], range(len(x) // 2 + 1), order, np.resize(order, posterior.chunk + 1)):
            rows = np.array(rows)
            apart = ask(posterior, x[rows], None if x_err is None else x_err[rows], n_draws)
            for ours, expected in zip(apart, together, strict=True):
                assert_array_equal(ours, expected[rows])

    def test_columns_that_round_differently_stay_empty(self, small_spec, random_weights, monkeypatch):
        expected = ask(NumpyPosterior(small_spec, random_weights(small_spec), SEED), spectra(small_spec, 40))
        monkeypatch.setattr(posterior_module, "equally_rounded_columns", lambda n_columns: np.array([1, 3, 100]))
        posterior = NumpyPosterior(small_spec, random_weights(small_spec), SEED)
        assert posterior.chunk == 3
        assert_allclose(ask(posterior, spectra(small_spec, 40)), expected, rtol=1e-5, atol=1e-5)

    def test_many_chunks_come_back_in_order(self, small_spec, random_weights):
        posterior, x = NumpyPosterior(small_spec, random_weights(small_spec), SEED), spectra(small_spec)
        mean = ask(posterior, x)[0]
        order = np.random.default_rng(0).integers(len(x), size=40)
        one_by_one = list(posterior.moments([(x[[row]], None) for row in order], 7))
        assert_array_equal(np.concatenate([part.mean for part in one_by_one]), mean[order])

    def test_the_number_of_threads_has_no_effect(self, small_spec, random_weights, monkeypatch):
        posterior, x = NumpyPosterior(small_spec, random_weights(small_spec), SEED), spectra(small_spec, 300)
        expected = ask(posterior, x)
        monkeypatch.setattr(posterior_module, "_MAX_THREADS", 1)
        assert_array_equal(ask(posterior, x), expected)

    def test_noise_and_no_noise_in_turn(self, small_spec, random_weights):
        posterior, x = NumpyPosterior(small_spec, random_weights(small_spec), SEED), spectra(small_spec)
        first, noisy, again = posterior.moments([(x, None), (x, np.abs(x)), (x, None)], 7)
        assert_array_equal(first, again)
        assert (noisy.mean != first.mean).all()

    def test_what_a_chunk_raises_reaches_the_caller(self, small_spec, random_weights):
        posterior, x = NumpyPosterior(small_spec, random_weights(small_spec), SEED), spectra(small_spec)
        with pytest.raises(ValueError, match="broadcast"):
            list(posterior.moments([(x, None), (x[:, :5], None)], 7))


def test_unknown_activation(small_spec, random_weights):
    spec = dataclasses.replace(small_spec, activation="softmax")
    with pytest.raises(ValueError, match=r"activation='softmax' cannot be computed by NumPy.*Install TensorFlow"):
        NumpyPosterior(spec, random_weights(spec), SEED)


ORACLES = {  # reader, file and expected outputs of networks in foreign formats
    "astroNN, Keras 2": (from_astronn, "astronn_folders/astronn_keras2", "astronn_folders/astronn_keras2/oracle.npz"),
    "astroNN, Keras 3": (from_astronn, "astronn_folders/astronn_keras3", "astronn_folders/astronn_keras3/oracle.npz"),
    "SDSS-V": (from_sdssv, "sdssv_network/network.pt", "sdssv_network/oracle.npz"),
}


@pytest.mark.parametrize("name", ORACLES)
class TestAgainstOracles:
    """Outputs of astroNN and SDSS-V for their own weights: 7514 pixels, 22 labels."""

    @pytest.fixture
    def model(self, name, shared_data):
        read, path, _ = ORACLES[name]
        return read(shared_data / path)

    @pytest.fixture
    def oracle(self, name, shared_data):
        return dict(np.load(shared_data / ORACLES[name][2]))

    def test_without_dropout(self, model, oracle):
        x = model.spectra_normalizer_.transform(oracle["x"])
        mean, logvar = module.forward(model.spec_, model.weights_, x)
        assert_allclose(mean, oracle["pred_nodropout_norm"], rtol=0, atol=1e-5)
        assert_allclose(logvar, oracle["logvar_nodropout"], rtol=0, atol=1e-5)

    def test_average_of_draws(self, model, oracle):
        """It agrees within its Monte-Carlo error."""
        n_draws = 100
        prediction = model.set_params(backend="numpy", n_draws=n_draws).predict_distribution(oracle["x"])
        z = (prediction.mean - oracle["pred_mc"]) / (oracle["std_model"] * np.sqrt(1 / n_draws + 1 / 400))
        assert np.abs(z).max() < 4.5
        assert np.median(prediction.model / oracle["std_model"]) == pytest.approx(1, abs=0.05)
        assert np.median(prediction.predictive / oracle["std_predictive"]) == pytest.approx(1, abs=0.03)


WITHOUT_TENSORFLOW = """
import json, pickle, sys, warnings
sys.modules["tensorflow"] = sys.modules["keras"] = None
import joblib
import numpy as np
from skbcnn import load_folder

X, X_err, folder, file = pickle.load(sys.stdin.buffer)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    models = [load_folder(folder), joblib.load(file)]
    results = [model.predict(X, return_std=True) + (model.predict(X, x_err=X_err),) for model in models]
    try:
        models[0].fit(X, X[:, :4])
    except ImportError as error:
        message = str(error)
issued = [(warning.category.__name__, str(warning.message)) for warning in caught]
sys.stdout.buffer.write(pickle.dumps((results, issued, message)))
"""


def test_saved_models_outlive_tensorflow(tiny_model, tiny_data, tmp_path):
    """A model folder and a joblib file predict in a process without TensorFlow."""
    saved = save_folder(tiny_model, tmp_path / "model")
    joblib.dump(tiny_model, tmp_path / "model.joblib")
    given = pickle.dumps((tiny_data.X, tiny_data.X_err, str(saved), str(tmp_path / "model.joblib")))
    root = Path(skbcnn.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW], input=given, capture_output=True, cwd=root, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    results, issued, message = pickle.loads(ended.stdout)
    here = copy.deepcopy(tiny_model).set_params(backend="tensorflow")
    expected = (*here.predict(tiny_data.X, return_std=True), here.predict(tiny_data.X, x_err=tiny_data.X_err))
    scale = tiny_model.label_normalizer_.scale_
    for result in results:
        for ours, of_tensorflow in zip(result, expected, strict=True):
            assert_allclose(ours / scale, of_tensorflow / scale, rtol=1e-5, atol=1e-5)
    assert [category for category, _ in issued] == ["NumpyBackendWarning"]
    assert "tensorflow and keras cannot be found" in issued[0][1]
    assert message.startswith("fit needs TensorFlow, but tensorflow and keras cannot be found. Install it")
