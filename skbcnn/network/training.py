"""One fit: batches, validation, learning-rate schedule, progress, and what happens on Ctrl-C."""

import warnings
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from skbcnn.network.backend import keras
from skbcnn.network.losses import CensoredLoss, pack_targets, star_absolute_error, star_loss
from skbcnn.network.pool import POOL
from skbcnn.network.recipe import EpochEnd
from skbcnn.network.weights import get_weights, initial_weights

# our name of a history column: the name that Keras reports it under
_HISTORY = {
    "loss": "loss",
    "data_loss": "data_loss",
    "mean_absolute_error": "mean_absolute_error",
    "val_loss": "val_data_loss",
    "val_mean_absolute_error": "val_mean_absolute_error",
    "lr": "lr",
}


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


class Batches(keras.utils.PyDataset):
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
    """

    def __init__(self, stars, batch_size, seed=None):
        super().__init__()
        self.stars, self.seed, self.epoch = stars, seed, 0
        self.n_stars = len(stars.x)
        self.batch_size = min(batch_size, self.n_stars)
        self.targets = pack_targets(stars.y, stars.y_err)
        relative = stars.weight / stars.weight.max()  # their unit cancels in the loss, but not in float32
        self.weight = (relative * (self.targets[:, 2].sum(axis=1) > 0)).astype(np.float32)
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
        x, x_err = self.stars.x[rows], self.stars.x_err
        if x_err is not None and self.seed is not None:
            x += x_err[rows] * self._random(1, index).standard_normal(x.shape, dtype=np.float32)
        return x, self.targets[rows], np.where(filling, np.float32(0), self.weight[rows])

    def on_epoch_end(self):
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
        self.monitor, self.best, self.weights = monitor, np.inf, None

    def on_epoch_end(self, epoch, logs=None):
        """Copy the weights if they are the best so far."""
        if logs[self.monitor] < self.best:
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
        losses = {ours: f"{logs[keras_name]:.3f}" for ours, keras_name in _HISTORY.items() if keras_name in logs}
        self.bar.set_postfix({name: losses[name] for name in ("data_loss", "val_loss") if name in losses})
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
        figures = {ours: float(logs[keras_name]) for ours, keras_name in _HISTORY.items() if keras_name in logs}
        report = EpochEnd(epoch + 1, self.recipe.max_epochs, figures, lambda: get_weights(self.model))
        answers = [callback(report) for callback in self.recipe.callbacks]
        if any(answer is True for answer in answers):
            self.model.stop_training = True


class LearningRate(keras.callbacks.Callback):
    """Writes the learning rate of each epoch into its history."""

    def on_epoch_end(self, epoch, logs=None):
        """Read it before the schedule changes it."""
        logs["lr"] = float(self.model.optimizer.learning_rate)
        logs["loss"] = logs["data_loss"] + float(sum(self.model.losses))  # Keras's counts a short batch as a full one


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
    held_out = None if validation is None else Batches(validation, recipe.batch_size)
    monitor = "data_loss" if validation is None else "val_data_loss"
    history, best, callbacks = keras.callbacks.History(), KeepBest(monitor), _callbacks(recipe, monitor)
    interrupted = False
    with POOL.lend(spec) as lent:
        lent.hold(initial_weights(spec, seed_weights) if start is None else start)
        _start_anew(lent.network, recipe.lr, seed_masks)
        try:
            lent.network.fit(
                Batches(stars, recipe.batch_size, seed_order),
                epochs=recipe.max_epochs,
                validation_data=held_out,
                callbacks=[LearningRate(), best, keras.callbacks.TerminateOnNaN(), *callbacks, history],
                shuffle=False,  # Batches deals the stars itself, by a seed of ours
                verbose=0,
            )
        except KeyboardInterrupt:
            interrupted = lent.spoilt = True  # stopped anywhere, even within a step
            warnings.warn("Training interrupted by user; the best weights so far are kept.", stacklevel=2)
        finally:
            for callback in callbacks:
                if isinstance(callback, ProgressBar):
                    callback.close()
        stopped_early = interrupted or recipe.stop_after is not None
        weights = best.weights if stopped_early and best.weights is not None else get_weights(lent.network)
    _check_converged(weights, recipe)
    return TrainedNetwork(weights, _history(history), interrupted)


def _check_converged(weights, recipe):
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise ValueError(
            f"Training diverged: with lr={recipe.lr} the weights grew beyond all bounds. Lower lr, and check that X is "
            "normalised flux, near 1."
        )


def _start_anew(network, lr, seed_masks):
    """Leave nothing of an earlier training: step, moments and rate of the optimizer, and the dropout masks."""
    if not network.compiled:
        _compile(network)
    for variable in network.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    network.optimizer.learning_rate = lr
    network.seed_dropout(seed_masks)


def _compile(network):
    """Loss, metrics and optimizer; the learning rate is set with each training."""
    metrics = {"data_loss": star_loss, "mean_absolute_error": star_absolute_error}
    network.compile(
        optimizer=keras.optimizers.Adam(),
        loss=CensoredLoss(),
        weighted_metrics=[keras.metrics.MeanMetricWrapper(function, name) for name, function in metrics.items()],
        jit_compile=False,
    )
    network.optimizer.build(network.trainable_variables)


def _callbacks(recipe, monitor):
    """Schedule, early stopping and progress, as far as the recipe asks for them."""
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
    return [callback for callback in (reports, plateau, stop, bar) if callback]


def _history(history):
    """Per-epoch figures under our names, without an epoch that was cut short."""
    columns = history.history
    return {ours: [float(v) for v in columns[name]] for ours, name in _HISTORY.items() if name in columns}
