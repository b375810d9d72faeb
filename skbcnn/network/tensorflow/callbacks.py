"""Keras callbacks of a training: best weights, progress bar, callbacks of the user, learning rate, early stopping."""

from typing import Any

import numpy as np
from tqdm.auto import tqdm

from skbcnn.network.tensorflow.runtime import keras
from skbcnn.network.tensorflow.weights import get_weights
from skbcnn.network.training_recipe import EpochEnd, Recipe

_WARMUP_START = 0.1  # of the learning rate: where a warm-up begins


class KeepBest(keras.callbacks.Callback):
    """Keep a copy of the weights of the epoch with the smallest loss.

    Parameters
    ----------
    monitor : str
        Name of the loss.
    """

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self.monitor, self.best, self.is_last = monitor, np.inf, False
        self.weights: dict[str, np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Copy the weights if their loss is the smallest so far."""
        self.is_last = logs[self.monitor] < self.best
        if self.is_last:
            self.best, self.weights = logs[self.monitor], get_weights(self.model)


class ProgressBar(keras.callbacks.Callback):
    """Show a tqdm bar over the epochs, with the losses.

    Parameters
    ----------
    max_epochs : int
        Length of the bar.
    """

    def __init__(self, max_epochs: int) -> None:
        super().__init__()
        self.bar = tqdm(total=max_epochs, desc="Training", unit="epoch")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Advance by one epoch."""
        self.bar.set_postfix({name: f"{logs[name]:.3f}" for name in ("data_loss", "val_loss") if name in logs})
        self.bar.update()

    def close(self) -> None:
        """Close the bar; it stays visible."""
        self.bar.close()


class UserCallbacks(keras.callbacks.Callback):
    """Call the callbacks of the user after each epoch.

    Parameters
    ----------
    recipe : Recipe
        Recipe with the callbacks.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call each callback; end the training if one returns True."""
        epoch_end = EpochEnd(epoch + 1, self.recipe.max_epochs, dict(logs), lambda: get_weights(self.model))
        results = [callback(epoch_end) for callback in self.recipe.callbacks]
        if any(result is True for result in results):
            self.model.stop_training = True


def recipe_callbacks(recipe: Recipe, monitor: str) -> list[Any]:
    """Return the callbacks that a recipe needs: learning rate, early stopping, progress bar, callbacks of the user.

    Parameters
    ----------
    recipe : Recipe
        Settings of the training.
    monitor : str
        Name of the loss that the learning rate and early stopping follow.

    Returns
    -------
    callbacks : list of keras.callbacks.Callback
        Callbacks in the order in which they are called.
    """
    cosine = plateau = None
    if recipe.lr_schedule == "cosine":
        n_epochs = max(recipe.max_epochs - recipe.warmup_epochs, 1)
        cosine = keras.optimizers.schedules.CosineDecay(np.float32(recipe.lr), n_epochs)  # computes in this type
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
    user = UserCallbacks(recipe) if recipe.callbacks else None
    schedule = None
    if cosine or recipe.warmup_epochs:
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch, lr: _learning_rate(recipe, cosine, epoch, lr))
    return [callback for callback in (user, schedule, plateau, stop, bar) if callback]


def _learning_rate(recipe: Recipe, cosine: Any, epoch: int, lr: float) -> float:
    """Return the learning rate of an epoch: first the warm-up, then the cosine or the present value."""
    after_warmup = epoch - recipe.warmup_epochs
    if after_warmup < 0:
        return recipe.lr * (_WARMUP_START + (1 - _WARMUP_START) * epoch / recipe.warmup_epochs)
    if cosine is not None:
        return max(float(cosine(after_warmup)), recipe.reduce_lr_min)
    return recipe.lr if after_warmup == 0 else lr
