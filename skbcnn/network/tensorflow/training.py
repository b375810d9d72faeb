"""Training of a network: epochs, validation, and what happens on Ctrl-C."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from skbcnn._training_checkpoint import TrainingCheckpoint
from skbcnn._user_warnings import warn_user
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.batches import Batches
from skbcnn.network.tensorflow.callbacks import KeepBest, ProgressBar, recipe_callbacks
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.network_pool import POOL, PooledNetwork
from skbcnn.network.tensorflow.runtime import keras
from skbcnn.network.tensorflow.training_state import resume, save_state
from skbcnn.network.tensorflow.training_steps import TrainingSteps
from skbcnn.network.tensorflow.weights import get_weights, initial_weights, set_weights
from skbcnn.network.training_recipe import Recipe, Stars


class TrainedNetwork(NamedTuple):
    """Result of a training.

    Attributes
    ----------
    weights : dict of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    history : dict of str to list of float
        One value for each epoch: `loss` (with L2), `data_loss` (without), `mean_absolute_error`, both on held-out stars
        (`val_loss` without L2, `val_mean_absolute_error`), and the learning rate `lr`.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    weights: dict[str, np.ndarray]
    history: dict[str, list[float]]
    interrupted: bool


def train(
    spec: NetworkSpec,
    recipe: Recipe,
    stars: Stars,
    validation: Stars | None,
    seed: int | Sequence[int],
    start: Mapping[str, np.ndarray] | None = None,
    checkpoint: TrainingCheckpoint | None = None,
) -> TrainedNetwork:
    """Train a network.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    recipe : Recipe
        Settings of the training.
    stars : Stars
        Training stars.
    validation : Stars or None
        Held-out stars. The learning rate follows their loss, measured without dropout and without L2. None: it follows
        the training loss.
    seed : int or sequence of int
        Seed of weights, masks and order. Equal seeds give equal fits for equal numbers of threads.
    start : dict of str to ndarray, default=None
        Weights to continue from. None: random weights.
    checkpoint : TrainingCheckpoint, default=None
        Checkpoint that is written after each epoch. If it has a saved state, the training resumes there. The result is
        the same bit for bit.

    Returns
    -------
    trained : TrainedNetwork
        It has the weights of the last epoch, or the best ones if training stopped early or Ctrl-C ended it.

    Raises
    ------
    ValueError
        If training diverged.

    Warns
    -----
    UserWarning
        If Ctrl-C ended training after its first epoch. A second Ctrl-C, or one in the first epoch, propagates.
    """
    seed_weights, seed_masks, seed_order = np.random.SeedSequence(seed).generate_state(3).tolist()
    margins = Frames(spec).margins
    batches = Batches(stars, recipe.batch_size, seed_order, margins, recipe.noise, recipe.augmentation)
    held_out = None if validation is None else Batches(validation, recipe.batch_size, margins=margins)
    monitor = "data_loss" if validation is None else "val_loss"
    epochs: list[dict[str, float]] = []
    interrupted = False
    with POOL.lend(spec, recipe.clipnorm) as pooled:
        best, callbacks = KeepBest(monitor), recipe_callbacks(recipe, monitor)
        set_weights(pooled.network, initial_weights(spec, seed_weights) if start is None else start)
        try:
            with _closing(callbacks, checkpoint):
                steps = _reset(pooled, recipe.lr, seed_masks)
                _run(steps, batches, held_out, [best, *callbacks], recipe.max_epochs, epochs, checkpoint)
        except KeyboardInterrupt:
            interrupted = pooled.discard = True  # the step that was interrupted may be incomplete
            if best.weights is None:
                raise  # nothing was learnt that is worth keeping
            warn_user("Training interrupted by user; the best weights so far are kept.")
        use_best = interrupted or recipe.stop_after is not None or best.is_last
        weights = best.weights if use_best and best.weights is not None else get_weights(pooled.network)
    _check_converged(weights, [figures[monitor] for figures in epochs], recipe)
    return TrainedNetwork(weights, _history(epochs), interrupted)


@contextmanager
def _closing(callbacks: Sequence[keras.callbacks.Callback], checkpoint: TrainingCheckpoint | None) -> Iterator[None]:
    """Close the progress bar after the block, before any message is printed, and write what the checkpoint holds."""
    try:
        yield
    finally:
        for callback in callbacks:
            if isinstance(callback, ProgressBar):
                callback.close()
        if checkpoint is not None:
            checkpoint.flush()


def _reset(pooled: PooledNetwork, lr: float, seed_masks: int) -> TrainingSteps:
    """Remove the state of an earlier training from a network, and return its steps."""
    pooled.network.stop_training = False
    pooled.steps.reset(lr, seed_masks)
    return pooled.steps


def _run(
    steps: TrainingSteps,
    batches: Batches,
    held_out: Batches | None,
    callbacks: list[Any],
    max_epochs: int,
    epochs: list[dict[str, float]],
    checkpoint: TrainingCheckpoint | None,
) -> None:
    """Train until `max_epochs`, a callback or an infinite loss ends it; append the figures to `epochs`.

    The first callback keeps the best weights.
    """
    callback_list = keras.callbacks.CallbackList(callbacks, model=steps.network)
    callback_list.on_train_begin()
    if checkpoint is not None:
        with _without_keras_warnings():
            epochs += resume(checkpoint, steps, callbacks[0], callbacks)
    while len(epochs) < max_epochs and not _has_ended(steps, epochs):
        number = len(epochs)
        batches.start_epoch(number)
        with _without_keras_warnings():
            callback_list.on_epoch_begin(number)
        figures = _one_epoch(steps, batches, held_out)
        epochs.append(figures)
        with _without_keras_warnings():
            callback_list.on_epoch_end(number, dict(figures))
        if checkpoint is not None:
            save_state(checkpoint, steps, callbacks[0], epochs)
    callback_list.on_train_end()


def _has_ended(steps: TrainingSteps, epochs: Sequence[dict[str, float]]) -> bool:
    """Return whether a callback or an infinite loss has ended the training."""
    return bool(epochs) and (steps.network.stop_training or not np.isfinite(epochs[-1]["loss"]))


@contextmanager
def _without_keras_warnings() -> Iterator[None]:
    """Ignore a warning of Keras with NumPy 2, about the learning rate that its callbacks read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def _one_epoch(steps: TrainingSteps, batches: Batches, held_out: Batches | None) -> dict[str, float]:
    """Train on all batches, then measure the loss on the held-out stars."""
    network = steps.network
    lr = float(network.optimizer.learning_rate)
    data_loss, absolute_error = _means(steps.learn(batches))
    penalty = float(sum(network.losses))
    figures = {"loss": data_loss + penalty, "data_loss": data_loss, "mean_absolute_error": absolute_error}
    if held_out is not None:
        figures["val_loss"], figures["val_mean_absolute_error"] = _means(steps.measure(held_out))
    return figures | {"lr": lr}


def _means(sums: np.ndarray) -> tuple[float, float]:
    """Return mean loss and mean absolute error from the sums over all batches."""
    loss, absolute_error, weight = sums.tolist()
    return loss / weight, absolute_error / weight


def _check_converged(weights: Mapping[str, np.ndarray], losses: Sequence[float], recipe: Recipe) -> None:
    """Refuse weights that are not finite, and a training in no epoch of which the monitored loss was finite."""
    finite = all(np.isfinite(values).all() for values in weights.values())
    if not finite or (losses and not np.isfinite(losses).any()):
        raise ValueError(
            f"Training diverged: with lr={recipe.lr} the {'loss' if finite else 'weights'} became infinite or NaN. "
            "Lower lr, and check that X is normalised flux, near 1."
        )


def _history(epochs: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the figures of all epochs by name."""
    return {name: [figures[name] for figures in epochs] for name in epochs[0]} if epochs else {}
