"""One fit: batches, validation, learning-rate schedule, progress, and what happens on Ctrl-C."""

import warnings
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.losses import pack_targets
from skbcnn.network.tensorflow.network_pool import POOL
from skbcnn.network.tensorflow.runtime import keras
from skbcnn.network.tensorflow.weights import get_weights, initial_weights, set_weights
from skbcnn.network.training_recipe import EpochEnd

_WARMUP_FROM = 0.1  # of the learning rate: where a warm-up begins


class TrainedNetwork(NamedTuple):
    """What a fit leaves behind.

    Attributes
    ----------
    weights : dict of str to ndarray
        As `NetworkSpec.weight_shapes`.
    history : dict of str to list of float
        One entry an epoch: `loss` (with L2), `data_loss` (without), `mean_absolute_error`, their `val_` twins (without
        L2), and the learning rate `lr`.
    interrupted : bool
        Whether Ctrl-C ended training.
    """

    weights: dict
    history: dict
    interrupted: bool


class Batches:
    """Stars in batches of one shape, shuffled anew each epoch if a seed is given.

    The last batch is filled up with stars of weight 0. Stars without any label weigh nothing either.

    Parameters
    ----------
    stars : Stars
        The data.
    batch_size : int
        Stars in a batch; at most as many as there are.
    seed : int, default=None
        Of the order, and of the noise that is added to the spectra. None: keep the order, add nothing.
    margins : tuple of (int, int), default=(0, 0)
        Zeros that go before and behind each spectrum.
    noise : tuple of (float, float), default=(0, 0)
        Least and most flux errors of noise to be added; where between them is drawn for each spectrum and epoch.
    """

    def __init__(self, stars, batch_size, seed=None, margins=(0, 0), noise=(0, 0)):
        self.stars, self.seed, self.margins, self.noise, self.epoch = stars, seed, margins, noise, 0
        self.n_stars = len(stars.x)
        self.batch_size = min(batch_size, self.n_stars)
        self.targets = pack_targets(stars.y, stars.y_err)
        weight = np.where(self.targets[:, 2].any(axis=1), stars.weight, 0)
        self.weight = (weight / (weight.max() or 1)).astype(np.float32)  # their unit cancels, but not in float32
        self._shuffle()

    def _shuffle(self):
        order = np.arange(self.n_stars) if self.seed is None else self._random(0).permutation(self.n_stars)
        self.order = np.resize(order, len(self) * self.batch_size)

    def _random(self, *address):
        return np.random.default_rng([self.seed, self.epoch, *address])

    def __len__(self):
        return -(-self.n_stars // self.batch_size)

    def __getitem__(self, index):
        position = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[position]
        filling = np.arange(position.start, position.stop) >= self.n_stars
        before, n_pixels = self.margins[0], self.stars.x.shape[1]
        framed = np.zeros((self.batch_size, sum(self.margins) + n_pixels), dtype=np.float32)
        x = framed[:, before : before + n_pixels]
        for place, row in enumerate(rows):  # one copy, straight to where it belongs
            x[place] = self.stars.x[row]
        if self.noise[1] > 0 and self.seed is not None:
            level = self._random(2, index).uniform(*self.noise, size=(len(rows), 1)).astype(np.float32)
            x += level * self.stars.x_err[rows] * self._random(1, index).standard_normal(x.shape, dtype=np.float32)
        return framed, self.targets[rows], np.where(filling, np.float32(0), self.weight[rows])

    def next_epoch(self):
        """Deal the stars anew."""
        self.epoch += 1
        self._shuffle()


class KeepBest(keras.callbacks.Callback):
    """Remembers the weights of the epoch with the least monitored loss.

    Parameters
    ----------
    monitor : str
        Name of the loss.
    """

    def __init__(self, monitor):
        super().__init__()
        self.monitor, self.best, self.weights, self.is_last = monitor, np.inf, None, False

    def on_epoch_end(self, epoch, logs=None):
        """Copy the weights if they are the best so far."""
        self.is_last = logs[self.monitor] < self.best
        if self.is_last:
            self.best, self.weights = logs[self.monitor], get_weights(self.model)


class ProgressBar(keras.callbacks.Callback):
    """A tqdm bar over the epochs, with the losses beside it.

    Parameters
    ----------
    max_epochs : int
        Length of the bar.
    """

    def __init__(self, max_epochs):
        super().__init__()
        self.bar = tqdm(total=max_epochs, desc="Training", unit="epoch")

    def on_epoch_end(self, epoch, logs=None):
        """Advance by one epoch."""
        self.bar.set_postfix({name: f"{logs[name]:.3f}" for name in ("data_loss", "val_loss") if name in logs})
        self.bar.update()

    def close(self):
        """Leave the bar as it stands."""
        self.bar.close()


class Reports(keras.callbacks.Callback):
    """Tells the callbacks of the user how each epoch went.

    Parameters
    ----------
    recipe : Recipe
        With the callbacks.
    """

    def __init__(self, recipe):
        super().__init__()
        self.recipe = recipe

    def on_epoch_end(self, epoch, logs=None):
        """Call each of them; end the training if one says so."""
        report = EpochEnd(epoch + 1, self.recipe.max_epochs, dict(logs), lambda: get_weights(self.model))
        answers = [callback(report) for callback in self.recipe.callbacks]
        if any(answer is True for answer in answers):
            self.model.stop_training = True


def train(spec, recipe, stars, validation, seed, start=None):
    """Train a network.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    recipe : Recipe
        How to train it.
    stars : Stars
        To learn from.
    validation : Stars or None
        To measure the loss on, with dropout off and without L2; the learning rate follows it. None: the training loss
        takes its place.
    seed : int or sequence of int
        Of weights, masks and order. Equal seeds give equal fits at equal thread counts.
    start : dict of str to ndarray, default=None
        Weights to go on from. None: drawn.

    Returns
    -------
    trained : TrainedNetwork
        The weights of the last epoch; the best ones if training stopped early or Ctrl-C ended it.

    Raises
    ------
    ValueError
        If training diverged.

    Warns
    -----
    UserWarning
        If Ctrl-C ended training. A second Ctrl-C propagates.
    """
    seed_weights, seed_masks, seed_order = np.random.SeedSequence(seed).generate_state(3).tolist()
    margins = Frames(spec).margins
    batches = Batches(stars, recipe.batch_size, seed_order, margins, recipe.noise)
    held_out = None if validation is None else Batches(validation, recipe.batch_size, margins=margins)
    monitor = "data_loss" if validation is None else "val_loss"
    epochs, best, callbacks = [], KeepBest(monitor), _callbacks(recipe, monitor)
    interrupted = False
    with POOL.lend(spec, recipe.clipnorm) as lent:
        set_weights(lent.network, initial_weights(spec, seed_weights) if start is None else start)
        try:
            steps = _start_anew(lent, recipe.lr, seed_masks)
            _run(steps, batches, held_out, [best, *callbacks], recipe.max_epochs, epochs)
        except KeyboardInterrupt:
            interrupted = lent.spoilt = True  # stopped anywhere, even within a step
            warnings.warn("Training interrupted by user; the best weights so far are kept.", stacklevel=2)
        finally:
            for callback in callbacks:
                if isinstance(callback, ProgressBar):
                    callback.close()
        wanted = interrupted or recipe.stop_after is not None or best.is_last
        weights = best.weights if wanted and best.weights is not None else get_weights(lent.network)
    _check_converged(weights, recipe)
    return TrainedNetwork(weights, _history(epochs), interrupted)


def _start_anew(lent, lr, seed_masks):
    """The steps of a network in which nothing of an earlier training is left."""
    lent.network.stop_training = False
    lent.steps.start_anew(lr, seed_masks)
    return lent.steps


def _run(steps, batches, held_out, callbacks, max_epochs, epochs):
    """Train until the epochs are done, or a callback or the loss says stop; add the figures of each to `epochs`."""
    callbacks = keras.callbacks.CallbackList(callbacks, model=steps.network)
    callbacks.on_train_begin()
    for number in range(max_epochs):
        callbacks.on_epoch_begin(number)
        figures = _one_epoch(steps, batches, held_out)
        epochs.append(figures)
        callbacks.on_epoch_end(number, dict(figures))
        if steps.network.stop_training or not np.isfinite(figures["loss"]):
            break
        batches.next_epoch()
    callbacks.on_train_end()


def _one_epoch(steps, batches, held_out):
    """Learn from all batches, then measure the loss on the stars held out."""
    network = steps.network
    lr = float(network.optimizer.learning_rate)
    data_loss, absolute_error = _means(steps.learn(batches))
    penalty = float(sum(network.losses))
    figures = {"loss": data_loss + penalty, "data_loss": data_loss, "mean_absolute_error": absolute_error}
    if held_out is not None:
        figures["val_loss"], figures["val_mean_absolute_error"] = _means(steps.measure(held_out))
    return figures | {"lr": lr}


def _means(sums):
    """Loss and absolute error from the sums over all batches."""
    loss, absolute_error, weight = sums.tolist()
    return loss / weight, absolute_error / weight


def _check_converged(weights, recipe):
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise ValueError(
            f"Training diverged: with lr={recipe.lr} the weights grew beyond all bounds. Lower lr, and check that X is "
            "normalised flux, near 1."
        )


def _callbacks(recipe, monitor):
    """Schedule, early stopping and progress, as far as the recipe asks for them."""
    cosine = plateau = None
    if recipe.lr_schedule == "cosine":
        cosine = keras.optimizers.schedules.CosineDecay(recipe.lr, max(recipe.max_epochs - recipe.warmup_epochs, 1))
    else:
        plateau = keras.callbacks.ReduceLROnPlateau(
            monitor,
            mode="min",
            factor=0.5,
            patience=recipe.reduce_lr_patience,
            min_delta=recipe.reduce_lr_epsilon,
            min_lr=recipe.reduce_lr_min,
        )
    stop = recipe.stop_after and keras.callbacks.EarlyStopping(
        monitor, mode="min", min_delta=recipe.reduce_lr_epsilon, patience=recipe.stop_after
    )
    bar = ProgressBar(recipe.max_epochs) if recipe.verbose else None
    reports = Reports(recipe) if recipe.callbacks else None
    rate = None
    if cosine or recipe.warmup_epochs:
        rate = keras.callbacks.LearningRateScheduler(lambda epoch, lr: _learning_rate(recipe, cosine, epoch, lr))
    return [callback for callback in (reports, rate, plateau, stop, bar) if callback]


def _learning_rate(recipe, cosine, epoch, lr):
    """Learning rate of an epoch: rising at first, then along the cosine, or as it has become."""
    after = epoch - recipe.warmup_epochs
    if after < 0:
        return recipe.lr * (_WARMUP_FROM + (1 - _WARMUP_FROM) * epoch / recipe.warmup_epochs)
    if cosine is not None:
        return max(float(cosine(after)), recipe.reduce_lr_min)
    return recipe.lr if after == 0 else lr


def _history(epochs):
    """The figures of whole epochs, column by column."""
    return {name: [figures[name] for figures in epochs] for name in epochs[0]} if epochs else {}
