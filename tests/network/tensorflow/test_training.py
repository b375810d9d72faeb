"""Training: batches, history, learning rate, early stopping, and the result after Ctrl-C."""

import dataclasses
import signal

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow import callbacks, training
from skbcnn.network.tensorflow.batches import Batches
from skbcnn.network.tensorflow.training import train
from skbcnn.network.tensorflow.weights import initial_weights
from skbcnn.network.training_recipe import Recipe, Stars

N_EPOCHS = 4
RECIPE = Recipe(
    lr=0.01, batch_size=8, max_epochs=N_EPOCHS, reduce_lr_epsilon=1e-4, reduce_lr_min=1e-8, reduce_lr_patience=2
)


@pytest.fixture(scope="module")
def spec():
    return NetworkSpec(
        n_pixels=24,
        windows=(None, (3, 4, 5), (7, 8)),
        widening=((1, 1),) * 3,
        num_hidden=(6, 5, 4, 3, 2),
    )


def draw_stars(n, seed):
    """Stars whose labels depend on the pixels of their windows; one label is missing, one star has none."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 24)).astype(np.float32)
    y = np.column_stack([x[:, 0], x[:, 4], x[:, 7] - x[:, 8]]).astype(float)
    y[0, 1] = y[1] = np.nan
    return Stars(x, y, np.full(y.shape, 0.1), rng.uniform(0.5, 2, size=n))


STARS, HELD_OUT = draw_stars(21, 1), draw_stars(11, 2)  # neither a multiple of the batch


def loss_by_hand(moments, stars):
    """Weighted means of loss and absolute error over the stars that have a label."""
    mean, logvar = moments
    variance = np.exp(logvar) + stars.y_err**2
    has_label = ~np.isnan(stars.y).all(axis=1)

    def over_stars(values):
        return np.average(np.nanmean(values[has_label], axis=1), weights=stars.weight[has_label])

    return over_stars(0.5 * ((stars.y - mean) ** 2 / variance + np.log(variance))), over_stars(abs(stars.y - mean))


def equal(some, other):
    return all(np.array_equal(some.weights[name], other.weights[name]) for name in some.weights)


def lr_by_hand(recipe, val_loss):
    """Halved when the validation loss has not fallen by epsilon for `patience` epochs."""
    lr, best, stalled, rates = recipe.lr, np.inf, 0, []
    for loss in val_loss:
        rates.append(lr)
        if loss < best - recipe.reduce_lr_epsilon:
            best, stalled = loss, 0
        else:
            stalled += 1
        if stalled == recipe.reduce_lr_patience:
            lr, stalled = max(lr / 2, recipe.reduce_lr_min), 0
    return rates


@pytest.fixture(scope="module")
def trained(spec):
    return train(spec, RECIPE, STARS, HELD_OUT, seed=0)


class TestHistory:
    def test_one_value_for_each_epoch(self, trained):
        names = ["loss", "data_loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error", "lr"]
        assert list(trained.history) == names
        assert all(len(column) == N_EPOCHS for column in trained.history.values())
        assert all(type(value) is float for column in trained.history.values() for value in column)
        assert trained.interrupted is False

    def test_validation_is_measured_on_the_last_weights_without_dropout_and_l2(self, trained, spec, forward):
        loss, absolute_error = loss_by_hand(forward(spec, trained.weights, HELD_OUT.x), HELD_OUT)
        assert_allclose(trained.history["val_loss"][-1], loss, rtol=1e-5, atol=1e-5)
        assert_allclose(trained.history["val_mean_absolute_error"][-1], absolute_error, rtol=1e-5, atol=1e-5)

    def test_the_loss_decreases(self, trained):
        assert trained.history["data_loss"][-1] < trained.history["data_loss"][0]
        assert trained.history["val_loss"][-1] < trained.history["val_loss"][0]

    def test_learning_rate_follows_the_validation_loss(self, trained):
        assert_allclose(trained.history["lr"], lr_by_hand(RECIPE, trained.history["val_loss"]), rtol=1e-6)

    def test_weights_are_those_of_the_spec(self, trained, spec):
        assert {name: values.shape for name, values in trained.weights.items()} == spec.weight_shapes


@pytest.fixture(scope="module")
def hardly_trained(spec):
    """A fit whose weights hardly change, without dropout and with a large penalty: its loss can be worked by hand."""
    spec = dataclasses.replace(spec, dropout_rate=0.0, l2=0.5, maxnorm=None)
    recipe = dataclasses.replace(RECIPE, lr=1e-12, reduce_lr_min=0.0, max_epochs=1)
    return spec, train(spec, recipe, STARS, None, seed=3)


class TestTrainingLoss:
    def test_filling_up_the_last_batch_changes_nothing(self, hardly_trained, forward):
        spec, trained = hardly_trained
        loss, absolute_error = loss_by_hand(forward(spec, trained.weights, STARS.x), STARS)
        assert_allclose(trained.history["data_loss"], [loss], rtol=1e-5, atol=1e-5)
        assert_allclose(trained.history["mean_absolute_error"], [absolute_error], rtol=1e-5, atol=1e-5)

    def test_l2_is_in_the_loss_and_not_in_the_data_loss(self, hardly_trained):
        spec, trained = hardly_trained
        penalised = [
            values.astype(float)
            for name, values in trained.weights.items()
            if name.endswith("kernel") and (name.startswith(("conv", "full")) or "hidden1" in name)
        ]
        penalty = spec.l2 * sum((kernel**2).sum() for kernel in penalised)
        assert penalty > 0.1
        assert_allclose(
            np.subtract(trained.history["loss"], trained.history["data_loss"]), [penalty], rtol=1e-4, atol=1e-5
        )

    def test_without_validation_there_is_no_validation_loss(self, hardly_trained):
        assert list(hardly_trained[1].history) == ["loss", "data_loss", "mean_absolute_error", "lr"]


class TestBatches:
    def rows(self, batches):
        """Number of the star (its first pixel) and weight, batch by batch."""
        drawn = [batches[i] for i in range(len(batches))]
        return np.array([x[:, 0] for x, _, _ in drawn]), np.array([weight for *_, weight in drawn])

    @pytest.fixture
    def numbered(self):
        x = np.repeat(np.arange(21, dtype=np.float32)[:, None], 5, axis=1)
        return Stars(x, np.ones((21, 2)), None, np.arange(1.0, 22.0), x_err=np.full_like(x, 0.25))

    def test_every_star_once_an_epoch_and_all_batches_of_one_shape(self, numbered):
        batches = Batches(numbered._replace(x_err=None), 8, seed=4)
        epochs = []
        for epoch in range(2):
            batches.start_epoch(epoch)
            number, weight = self.rows(batches)
            assert number.shape == (3, 8)
            assert (weight == 0).sum() == 3
            assert_allclose(weight[weight > 0] * 21, number[weight > 0] + 1)  # each star keeps its own weight
            assert_array_equal(np.sort(number[weight > 0]), np.arange(21))
            epochs.append(number)
        assert (epochs[0] != epochs[1]).any()
        assert_array_equal(self.rows(Batches(numbered._replace(x_err=None), 8, seed=4))[0], epochs[0])

    def test_without_seed_order_and_flux_are_kept(self, numbered):
        batches = Batches(numbered, 8)
        batches.start_epoch(1)
        number, weight = self.rows(batches)
        assert_array_equal(number[weight > 0], np.arange(21))

    def test_fewer_stars_than_a_batch(self, numbered):
        number, weight = self.rows(Batches(numbered, 64))
        assert number.shape == (1, 21)
        assert (weight > 0).all()

    def test_stars_without_label_have_weight_zero(self, numbered):
        numbered.y[[3, 9]] = np.nan
        numbered.y[5, 0] = np.nan
        number, weight = self.rows(Batches(numbered, 21))
        assert_array_equal(number[weight == 0], [3, 9])

    @pytest.mark.parametrize("unit", [1e-50, 1e38])
    def test_the_unit_of_the_weights_has_no_effect(self, numbered, unit):
        weights = [self.rows(Batches(numbered._replace(weight=numbered.weight * w), 8))[1] for w in (1, unit)]
        assert_allclose(weights[1] / weights[1].sum(), weights[0] / weights[0].sum(), rtol=1e-6)

    def test_a_large_weight_without_label_does_not_change_the_others(self, numbered):
        numbered.y[3] = np.nan
        numbered.weight[3] = 1e60
        _, weight = self.rows(Batches(numbered, 21))
        assert_allclose(weight[0], np.where(np.arange(21) == 3, 0, numbered.weight / 21))

    def test_noise_is_new_in_each_epoch_and_has_the_given_size(self, numbered):
        numbered = numbered._replace(x=np.zeros((21, 2000), np.float32), x_err=np.full((21, 2000), 0.25, np.float32))
        numbered.x_err[:, 1000:] = 0
        batches = Batches(numbered, 21, seed=0, noise=(1, 1))
        first = batches[0][0]
        assert_array_equal(batches[0][0], first)
        batches.start_epoch(1)
        second = batches[0][0]
        assert_allclose(first[:, :1000].std(), 0.25, rtol=0.03)
        assert_array_equal(first[:, 1000:], 0)
        assert abs(np.corrcoef(first[:, :1000].ravel(), second[:, :1000].ravel())[0, 1]) < 0.03
        assert_array_equal(numbered.x, 0)  # the input is unchanged

    def test_the_size_of_the_noise_differs_between_stars_and_epochs(self, numbered):
        numbered = numbered._replace(x=np.zeros((21, 2000), np.float32), x_err=np.full((21, 2000), 0.25, np.float32))
        batches = Batches(numbered, 21, seed=0, noise=(1, 3))
        levels = []
        for epoch in range(40):
            batches.start_epoch(epoch)
            levels.append(batches[0][0].std(axis=1) / 0.25)
        levels = np.ravel(levels)
        assert 0.9 < levels.min() < 1.1
        assert 2.9 < levels.max() < 3.1
        assert_allclose([levels.mean(), levels.std()], [2, 2 / 12**0.5], rtol=0.06)  # uniform from 1 to 3


class TestCosine:
    def test_the_learning_rate_falls_along_half_a_cosine(self, spec):
        recipe = dataclasses.replace(RECIPE, lr=0.01, max_epochs=4, reduce_lr_min=0.002, lr_schedule="cosine")
        history = train(spec, recipe, STARS, HELD_OUT, seed=0).history
        expected = [0.01 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in range(3)]
        assert_allclose(history["lr"], [*expected, 0.002], rtol=1e-6)  # a fourth time it would be 0.00146


class TestWarmUp:
    def test_a_cosine_follows(self, spec):
        recipe = dataclasses.replace(RECIPE, lr=0.01, max_epochs=5, lr_schedule="cosine", warmup_epochs=3)
        lr = train(spec, recipe, STARS, HELD_OUT, seed=0).history["lr"]
        assert_allclose(lr, [0.001, 0.004, 0.007, 0.01, 0.005], rtol=1e-6)

    def test_halving_on_plateaus_follows(self, spec):
        recipe = dataclasses.replace(
            RECIPE, lr=0.01, max_epochs=6, reduce_lr_epsilon=1e9, reduce_lr_patience=2, warmup_epochs=2
        )
        lr = train(spec, recipe, STARS, HELD_OUT, seed=0).history["lr"]
        assert_allclose(lr[:3], [0.001, 0.0055, 0.01], rtol=1e-6)
        assert lr[-1] < 0.01


class TestClipping:
    def test_short_gradients_are_unchanged(self, spec):
        plain, clipped = (
            train(spec, dataclasses.replace(RECIPE, clipnorm=clipnorm), STARS, HELD_OUT, seed=0)
            for clipnorm in (None, 1e6)
        )
        for name, values in plain.weights.items():
            assert_array_equal(clipped.weights[name], values)

    def test_long_gradients_are_scaled_down(self, spec):
        start = initial_weights(spec, 0)
        moved = {}
        for clipnorm in (1e-12, None):  # much less than the epsilon of Adam, or no limit
            recipe = dataclasses.replace(RECIPE, clipnorm=clipnorm, max_epochs=1)
            weights = train(spec, recipe, STARS, HELD_OUT, seed=0, start=start).weights
            moved[clipnorm] = np.abs(weights["full1.kernel"] - start["full1.kernel"]).max()
        assert moved[1e-12] < 1e-3 * moved[None]


class TestPlateau:
    def test_halves_down_to_the_minimum_without_progress(self, spec):
        recipe = dataclasses.replace(
            RECIPE, max_epochs=6, reduce_lr_epsilon=1e9, reduce_lr_patience=1, reduce_lr_min=0.002
        )
        history = train(spec, recipe, STARS, HELD_OUT, seed=0).history
        assert_allclose(history["lr"], [0.01, 0.01, 0.005, 0.0025, 0.002, 0.002], rtol=1e-6)


class TestEarlyStopping:
    def test_stops_and_restores_the_best_weights(self, spec, forward):
        contrary = HELD_OUT._replace(y=-3 * HELD_OUT.y)  # training increases their loss
        recipe = dataclasses.replace(RECIPE, lr=0.05, max_epochs=40, stop_after=3)
        trained = train(spec, recipe, STARS, contrary, seed=0)
        val_loss = trained.history["val_loss"]
        assert 4 <= len(val_loss) < 40
        assert min(val_loss) < val_loss[-1]
        assert not trained.interrupted
        assert_allclose(
            loss_by_hand(forward(spec, trained.weights, contrary.x), contrary)[0], min(val_loss), rtol=1e-5, atol=1e-5
        )


class TestSeeds:
    def test_equal_seeds_equal_fits_bit_for_bit(self, trained, spec, capsys):
        verbose = dataclasses.replace(RECIPE, verbose=1)  # a progress bar changes nothing
        again = train(spec, verbose, STARS, HELD_OUT, seed=0)
        assert equal(again, trained)
        assert again.history == trained.history
        out, err = capsys.readouterr()
        assert out == ""
        assert f"{N_EPOCHS}/{N_EPOCHS}" in err
        assert "val_loss=" in err

    def test_other_seed_other_fit_without_output(self, trained, spec, capsys):
        other = train(spec, dataclasses.replace(RECIPE, max_epochs=1), STARS, HELD_OUT, seed=1)
        assert not np.isin(other.weights["full1.kernel"], trained.weights["full1.kernel"]).any()
        assert capsys.readouterr() == ("", "")


class TestPadding:
    def test_padding_is_exactly_zero_after_training(self, spec, monkeypatch):
        networks = []
        monkeypatch.setattr(callbacks, "get_weights", lambda network: networks.append(network) or {})
        train(spec, dataclasses.replace(RECIPE, max_epochs=1), STARS, None, seed=0)
        kernel = np.asarray(networks[-1].branches[0].hidden1.kernel)
        assert kernel.shape == (2, 3, 4)
        assert_array_equal(kernel[1, 2], 0)
        assert (kernel[0] != 0).all()
        assert (kernel[1, :2] != 0).all()


def test_no_epoch_with_a_finite_loss():
    weights = {"kernel": np.ones(3)}
    training._check_converged(weights, [np.inf, 2.0], RECIPE)
    with pytest.raises(ValueError, match=r"Training diverged: with lr=.* the loss became infinite or NaN. Lower lr"):
        training._check_converged(weights, [np.inf, np.nan], RECIPE)


@pytest.mark.usefixtures("interruptible")
class TestCtrlC:
    def press_at(self, monkeypatch, epoch, batch):
        """Press Ctrl-C when a batch is requested."""
        get_batch = Batches.__getitem__

        def press(batches, index):
            if (batches.epoch, index) == (epoch, batch):
                signal.raise_signal(signal.SIGINT)
            return get_batch(batches, index)

        monkeypatch.setattr(Batches, "__getitem__", press)

    @pytest.fixture
    def bars(self, monkeypatch):
        """Progress bars that have been closed."""
        closed, close = [], training.ProgressBar.close
        monkeypatch.setattr(training.ProgressBar, "close", lambda bar: (close(bar), closed.append(bar)))
        return closed

    def test_best_weights_so_far_are_kept(self, spec, forward, monkeypatch, bars):
        self.press_at(monkeypatch, epoch=2, batch=0)
        with pytest.warns(UserWarning, match="interrupted"):
            trained = train(spec, dataclasses.replace(RECIPE, verbose=1), STARS, HELD_OUT, seed=0)
        assert trained.interrupted is True
        assert [len(column) for column in trained.history.values()] == [2] * 6
        best = min(trained.history["val_loss"])
        assert_allclose(
            loss_by_hand(forward(spec, trained.weights, HELD_OUT.x), HELD_OUT)[0], best, rtol=1e-5, atol=1e-5
        )
        assert len(bars) == 1
        assert bars[0].bar.n == 2

    def test_the_bar_is_closed_before_the_message(self, spec, monkeypatch, bars):
        self.press_at(monkeypatch, epoch=1, batch=0)
        n_closed = []
        monkeypatch.setattr(training, "warn_user", lambda message: n_closed.append(len(bars)))
        train(spec, dataclasses.replace(RECIPE, verbose=1), STARS, HELD_OUT, seed=0)
        assert n_closed == [1]

    def test_nothing_is_kept_of_an_unfinished_first_epoch(self, spec, monkeypatch, bars):
        self.press_at(monkeypatch, epoch=0, batch=2)
        with pytest.raises(KeyboardInterrupt):
            train(spec, dataclasses.replace(RECIPE, verbose=1), STARS, HELD_OUT, seed=0)
        assert len(bars) == 1

    def test_a_second_one_propagates(self, spec, monkeypatch, bars):
        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        self.press_at(monkeypatch, epoch=1, batch=0)
        monkeypatch.setattr(training, "warn_user", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(spec, dataclasses.replace(RECIPE, verbose=1), STARS, HELD_OUT, seed=0)
        assert len(bars) == 1

    def test_other_errors_propagate_and_close_the_bar(self, spec, monkeypatch, bars):
        monkeypatch.setattr(training, "_run", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(spec, dataclasses.replace(RECIPE, verbose=1), STARS, HELD_OUT, seed=0)
        assert len(bars) == 1
