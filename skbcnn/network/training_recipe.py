"""What a fit is given: the stars, and how to train on them. No Keras here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Stars(NamedTuple):
    """Spectra and labels that belong together.

    Attributes
    ----------
    x : ndarray of shape (n, n_pixels), float32
        Spectra.
    y : ndarray of shape (n, n_labels)
        Labels, NaN where missing.
    y_err : ndarray of shape (n, n_labels) or None
        Label errors, 0 where unknown.
    weight : ndarray of shape (n,)
        Sample weights.
    x_err : ndarray of shape (n, n_pixels) or None
        Flux errors.
    """

    x: np.ndarray
    y: np.ndarray
    y_err: np.ndarray | None
    weight: np.ndarray
    x_err: np.ndarray | None = None

    def take(self, rows):
        """The stars of some rows.

        Parameters
        ----------
        rows : ndarray of int or bool, or slice
            Which.

        Returns
        -------
        stars : Stars
        """
        return Stars(*(None if values is None else values[rows] for values in self))


class EpochEnd(NamedTuple):
    """What a callback is told after each epoch.

    Attributes
    ----------
    epoch, max_epochs : int
        Which epoch has ended, counted from 1, and of how many.
    figures : dict of str to float
        The entry of this epoch in `history_`.
    get_weights : callable
        Called without arguments, it copies the weights as they now are, in the form of `weights_`.
    """

    epoch: int
    max_epochs: int
    figures: dict[str, float]
    get_weights: Callable[[], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    lr : float
        Learning rate at the start.
    batch_size, max_epochs : int
        Stars in a step; passes through the data.
    reduce_lr_epsilon, reduce_lr_min : float
        Least fall of the validation loss that counts; least learning rate.
    reduce_lr_patience : int
        Epochs without such a fall before the learning rate is halved.
    lr_schedule : {"plateau", "cosine"}
        Whether the learning rate is halved when the loss stalls, or falls to nothing along half a cosine.
    warmup_epochs : int
        Epochs in which the learning rate rises to `lr`.
    clipnorm : float or None
        Largest norm of the gradient by all weights together.
    noise : tuple of (float, float)
        Least and most flux errors of fresh noise that are added to a spectrum in each epoch.
    stop_after : int or None
        Epochs without such a fall before training stops, with the best weights restored. None: never.
    verbose : int
        1 shows a progress bar.
    callbacks : tuple of callable
        Each is called with an `EpochEnd` after every epoch; one that returns True ends the training.
    """

    lr: float
    batch_size: int
    max_epochs: int
    reduce_lr_epsilon: float
    reduce_lr_min: float
    reduce_lr_patience: int
    lr_schedule: str = "plateau"
    warmup_epochs: int = 0
    clipnorm: float | None = None
    noise: tuple[float, float] = (0.0, 0.0)
    stop_after: int | None = None
    verbose: int = 0
    callbacks: tuple[Callable[[EpochEnd], bool | None], ...] = ()
