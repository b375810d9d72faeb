"""The stars and the settings of a training. No Keras here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skbcnn._lazy_rows import take_rows

if TYPE_CHECKING:
    from skbcnn.augmentation.training_augmentation import TrainingAugmentation


class Stars(NamedTuple):
    """Spectra and labels of the same stars.

    Attributes
    ----------
    x : ndarray or LazyRows of shape (n, n_pixels), float32
        Spectra.
    y : ndarray of shape (n, n_labels)
        Labels, NaN where missing. In a training, those of the supervised context units follow.
    y_err : ndarray of shape (n, n_labels) or None
        Label errors, 0 where unknown.
    weight : ndarray of shape (n,)
        Sample weights.
    x_err : ndarray or LazyRows of shape (n, n_pixels), or None
        Flux errors.
    group : ndarray of int of shape (n,) or None
        Number of the star of each spectrum, if there are several spectra of a star.
    """

    x: np.ndarray
    y: np.ndarray
    y_err: np.ndarray | None
    weight: np.ndarray
    x_err: np.ndarray | None = None
    group: np.ndarray | None = None

    def take(self, rows: np.ndarray | slice) -> Stars:
        """Return some of the stars.

        Parameters
        ----------
        rows : ndarray of int or bool, or slice
            Indices of the stars to take.

        Returns
        -------
        stars : Stars
            The selected stars.
        """
        return Stars(*(take_rows(values, rows) for values in self))

    def in_memory(self) -> Stars:
        """Return the stars with their spectra as arrays, which are read if they are in a file.

        Returns
        -------
        stars : Stars
        """
        return self._replace(x=np.asarray(self.x), x_err=None if self.x_err is None else np.asarray(self.x_err))


class EpochEnd(NamedTuple):
    """Argument of the callbacks after each epoch.

    Attributes
    ----------
    epoch, max_epochs : int
        Number of the epoch that has ended, counted from 1; largest number of epochs.
    figures : dict of str to float
        The entry of this epoch in `history_`.
    get_weights : callable
        Function without arguments that copies the current weights, in the form of `weights_`.
    """

    epoch: int
    max_epochs: int
    figures: dict[str, float]
    get_weights: Callable[[], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes
    ----------
    lr : float
        Initial learning rate.
    batch_size, max_epochs : int
        Number of stars in a training step; number of passes through the data.
    reduce_lr_epsilon, reduce_lr_min : float
        Smallest decrease of the validation loss that counts as progress; smallest learning rate.
    reduce_lr_patience : int
        Epochs without progress before the learning rate is halved.
    lr_schedule : {"plateau", "cosine"}
        "plateau": the learning rate is halved when the loss stalls. "cosine": it follows half a cosine down to zero.
    warmup_epochs : int
        Epochs in which the learning rate rises to `lr`.
    clipnorm : float or None
        Largest norm of the gradient of all weights together.
    noise : tuple of (float, float)
        Smallest and largest noise added to a spectrum in each epoch, in units of its flux errors.
    augmentation : TrainingAugmentation or None
        Augmentation of the training spectra, which are then not normalised before. It adds the noise, too.
    stop_after : int or None
        Epochs without progress before training stops and restores the best weights. None: never.
    verbose : int
        1 shows a progress bar.
    callbacks : tuple of callable
        Functions called with an `EpochEnd` after every epoch; one that returns True ends the training.
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
    augmentation: TrainingAugmentation | None = None
    stop_after: int | None = None
    verbose: int = 0
    callbacks: tuple[Callable[[EpochEnd], bool | None], ...] = ()
