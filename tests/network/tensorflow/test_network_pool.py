"""The network pool: which network is lent, which are removed, and that earlier use has no effect."""

import dataclasses
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import skbcnn
from skbcnn.network.tensorflow import posterior, training
from skbcnn.network.tensorflow import training_steps as steps
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.network_pool import NetworkPool, PooledNetwork
from skbcnn.network.tensorflow.posterior import Posterior
from skbcnn.network.tensorflow.training import train
from skbcnn.network.tensorflow.weights import get_weights
from skbcnn.network.training_recipe import Recipe, Stars

RECIPE = Recipe(lr=0.01, batch_size=8, max_epochs=3, reduce_lr_epsilon=1e-4, reduce_lr_min=1e-8, reduce_lr_patience=1)


@pytest.fixture
def pool(monkeypatch):
    """An empty pool, so that the first fit of a test builds its network."""
    return installed(NetworkPool(max_idle=3, max_bytes=2**30), monkeypatch)


def installed(pool, monkeypatch):
    monkeypatch.setattr(training, "POOL", pool)
    return pool


@pytest.fixture
def built(monkeypatch):
    """Architectures of all networks that are built."""
    specs, build = [], CensoredNetwork.__init__
    monkeypatch.setattr(CensoredNetwork, "__init__", lambda network, spec: specs.append(spec) or build(network, spec))
    return specs


def draw_stars(spec, n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, spec.n_pixels)).astype(np.float32)
    return Stars(x, x[:, : spec.n_labels].astype(float), None, np.ones(n))


def fit(spec, seed=0, n=21, **changes):
    recipe = dataclasses.replace(RECIPE, **changes)
    return train(spec, recipe, draw_stars(spec, n, seed + 1), draw_stars(spec, 9, seed + 2), seed)


def assert_same(trained, other):
    assert trained.history == other.history
    for name, values in trained.weights.items():
        assert_array_equal(values, other.weights[name])


def other_specs(spec, n):
    return [dataclasses.replace(spec, l2=10.0**-k) for k in range(1, n + 1)]


def borrow(pool, spec):
    with pool.lend(spec) as lent:
        return lent


class TestLending:
    def test_equal_specs_share_a_network(self, pool, small_spec):
        assert borrow(pool, small_spec) is borrow(pool, dataclasses.replace(small_spec))

    def test_other_specs_get_other_networks(self, pool, small_spec):
        (other,) = other_specs(small_spec, 1)
        assert borrow(pool, small_spec) is not borrow(pool, other)
        assert borrow(pool, other).network.spec == other

    def test_steps_that_clip_gradients_are_separate(self, pool, small_spec):
        plain = borrow(pool, small_spec)
        with pool.lend(small_spec, 0.5) as lent:
            clipping = lent
        assert clipping is not plain
        assert borrow(pool, small_spec) is plain
        with pool.lend(small_spec, 0.5) as again:
            assert again is clipping

    def test_one_borrower_at_a_time(self, pool, small_spec):
        with pool.lend(small_spec) as one, pool.lend(small_spec) as other:
            assert one is not other
        with pool.lend(small_spec) as again, pool.lend(small_spec) as another:
            assert {again, another} == {one, other}

    def test_not_taken_back_after_an_error(self, pool, small_spec):
        def fail():
            with pool.lend(small_spec) as lent:
                failed.append(lent)
                raise KeyboardInterrupt

        failed = []
        with pytest.raises(KeyboardInterrupt):
            fail()
        assert borrow(pool, small_spec) is not failed[0]

    def test_not_taken_back_if_discarded(self, pool, small_spec):
        with pool.lend(small_spec) as lent:
            lent.discard = True
        assert borrow(pool, small_spec) is not lent


class TestBounds:
    def test_least_recently_used_go_first(self, pool, small_spec, built):
        specs = other_specs(small_spec, 4)
        for spec in (*specs[:3], specs[0], specs[3]):
            borrow(pool, spec)
        assert len(built) == 4
        for spec in (specs[0], specs[2], specs[3]):
            borrow(pool, spec)
        assert len(built) == 4
        borrow(pool, specs[1])
        assert built[4:] == [specs[1]]

    def test_total_size_is_limited(self, small_spec, built):
        spec, other = other_specs(small_spec, 2)
        size = PooledNetwork(spec).n_bytes
        for max_bytes, n_built in ((2 * size, 2), (2 * size - 1, 3)):
            pool = NetworkPool(max_idle=9, max_bytes=max_bytes)
            built.clear()
            for lent in (spec, other, spec):
                borrow(pool, lent)
            assert len(built) == n_built

    def test_the_last_network_is_kept_whatever_its_size(self, small_spec):
        pool = NetworkPool(max_idle=9, max_bytes=0)
        assert borrow(pool, small_spec) is borrow(pool, small_spec)

    def test_size_counts_weights_and_optimizer(self, small_spec):
        n_weights = sum(values.size for values in get_weights(CensoredNetwork(small_spec)).values())
        assert PooledNetwork(small_spec).n_bytes >= 3 * 4 * n_weights

    def test_evicted_networks_are_freed(self, pool, small_spec):
        fit(small_spec)
        network = weakref.ref(borrow(pool, small_spec).network)
        for spec in other_specs(small_spec, 3):
            assert network() is not None
            borrow(pool, spec)
        assert network() is None

    @pytest.mark.slow
    def test_no_tensorflow_objects_are_left(self, pool, small_spec):
        def n_held():
            pool.clear()
            posterior._compiled.cache_clear()
            gc.collect()
            return sum(type(held).__name__ in ("FuncGraph", "ResourceVariable") for held in gc.get_objects())

        fit(small_spec)
        before = n_held()
        for spec in other_specs(small_spec, 2):
            trained = fit(spec)
            list(Posterior(spec, trained.weights, 0).moments([(draw_stars(spec, 3, 0).x, None)], 2))
        assert n_held() == before

    def test_clear(self, pool, small_spec):
        network = weakref.ref(borrow(pool, small_spec).network)
        pool.clear()
        gc.collect()
        assert network() is None


@pytest.fixture(scope="module")
def used_pool():
    return NetworkPool(max_idle=3, max_bytes=2**30)


@pytest.fixture(scope="module")
def first(used_pool, small_spec):
    """The first fit with `used_pool`, which built its network."""
    with pytest.MonkeyPatch.context() as patch:
        installed(used_pool, patch)
        return fit(small_spec)


TRAIN_ELSEWHERE = """
import pickle, sys
from skbcnn.network.tensorflow.training import train
pickle.dump(tuple(train(*pickle.load(sys.stdin.buffer))), sys.stdout.buffer)
"""


class TestTraining:
    """Fits with a network from the pool equal those with a new one, bit for bit."""

    @pytest.fixture(autouse=True)
    def use(self, used_pool, monkeypatch):
        installed(used_pool, monkeypatch)

    def test_another_fit_in_between(self, first, small_spec, built):
        other = fit(small_spec, seed=5, n=16, lr=0.03, batch_size=5, max_epochs=2)
        assert not np.array_equal(other.weights["full1.kernel"], first.weights["full1.kernel"])
        assert_same(fit(small_spec), first)
        assert built == []

    def test_steps_are_traced_once(self, used_pool, small_spec, monkeypatch):
        traced, loss = [], steps.weighted_sums
        monkeypatch.setattr(steps, "weighted_sums", lambda *args: traced.append(args) or loss(*args))
        used_pool.clear()
        fit(small_spec)
        assert len(traced) == 2  # learning and measuring
        for n, batch_size in ((21, 8), (40, 8), (21, 5), (3, 64)):
            fit(small_spec, n=n, batch_size=batch_size)
        assert len(traced) == 2

    @pytest.mark.slow
    def test_fresh_process(self, first, small_spec):
        given = small_spec, RECIPE, draw_stars(small_spec, 21, 1), draw_stars(small_spec, 9, 2), 0
        root = Path(skbcnn.__file__).parents[1]
        command = [sys.executable, "-c", TRAIN_ELSEWHERE]
        ended = subprocess.run(command, input=pickle.dumps(given), capture_output=True, check=True, cwd=root)
        assert_same(first, training.TrainedNetwork(*pickle.loads(ended.stdout)))

    def test_after_ctrl_c(self, first, small_spec, monkeypatch):
        def press(steps, batches):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(steps.TrainingSteps, "learn", press)
            with pytest.raises(KeyboardInterrupt):
                fit(small_spec, seed=5)
        assert_same(fit(small_spec), first)

    def test_after_a_failed_fit(self, first, small_spec, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(training.KeepBest, "on_epoch_end", lambda *args, **kwargs: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                fit(small_spec, seed=5)
        assert_same(fit(small_spec), first)

    def test_after_a_fit_that_diverged(self, first, small_spec):
        with pytest.raises(ValueError, match="diverged"):
            fit(small_spec, lr=1e38)
        assert_same(fit(small_spec), first)

    def test_at_the_same_time(self, small_spec, built):
        seeds = range(3)
        one_by_one = [fit(small_spec, seed) for seed in seeds]
        together, start = {}, threading.Barrier(len(seeds))

        def fit_in_thread(seed):
            start.wait()
            together[seed] = fit(small_spec, seed)

        threads = [threading.Thread(target=fit_in_thread, args=(seed,)) for seed in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for seed in seeds:
            assert_same(together[seed], one_by_one[seed])
        assert len(built) <= len(seeds)
