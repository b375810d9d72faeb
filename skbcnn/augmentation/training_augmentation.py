"""Augmentation of the batches of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skbcnn.augmentation.amplitudes import Augmentation
from skbcnn.augmentation.instrument import InstrumentEffects
from skbcnn.augmentation.rare_labels import RareLabels
from skbcnn.augmentation.star_pairs import StarPairs


class AugmentedBatch(NamedTuple):
    """Spectra and labels of a batch after augmentation, in the units of the network.

    Attributes
    ----------
    x : ndarray of shape (n, n_pixels), float32
        Normalised spectra.
    y : ndarray of shape (n, n_labels)
        Labels, NaN where missing.
    y_err : ndarray of shape (n, n_labels) or None
        Label errors.
    y_weight : ndarray of shape (n, n_labels) or None
        Weights of the labels in the loss; None: equal.
    """

    x: np.ndarray
    y: np.ndarray
    y_err: np.ndarray | None
    y_weight: np.ndarray | None


@dataclass(frozen=True)
class TrainingAugmentation:
    """What the batches of a training need to augment their spectra.

    Attributes
    ----------
    augmentation : Augmentation
        Amplitudes.
    normalize : callable
        Function that normalises an array of flux.
    chips : sequence of slice or None
        Pixels of each chip; None: one chip.
    context : ndarray of shape (n, n_context)
        Context labels of the training stars, NaN where missing.
    pixel_group, label_group : ndarray of int
        Parameters of `StarPairs`.
    group : ndarray of int or None
        Number of the star of each spectrum, if there are several of a star.
    rare_labels : RareLabels or None
        Weights of rare labels; None: all labels weigh the same.
    """

    augmentation: Augmentation
    normalize: Callable[[np.ndarray], np.ndarray]
    chips: Sequence[slice] | None
    context: np.ndarray
    pixel_group: np.ndarray
    label_group: np.ndarray
    group: np.ndarray | None = None
    rare_labels: RareLabels | None = None


class AugmentedStars:
    """Stars whose spectra and labels are augmented batch by batch.

    Parameters
    ----------
    settings : TrainingAugmentation
        Amplitudes and properties of the grid.
    x, x_err, y, y_err : ndarray or None
        Flux, flux errors, and labels in the units of the network.
    """

    def __init__(
        self,
        settings: TrainingAugmentation,
        x: np.ndarray,
        x_err: np.ndarray | None,
        y: np.ndarray,
        y_err: np.ndarray | None,
    ) -> None:
        self.settings, self.x, self.x_err, self.y, self.y_err = settings, x, x_err, y, y_err
        largest = settings.augmentation.pairs
        self.pairs = None
        if largest > 0:
            self.pairs = StarPairs(
                largest, settings.context, settings.pixel_group, settings.label_group, settings.group
            )
        self.effects = InstrumentEffects(settings.augmentation, x.shape[1], settings.chips)

    def batch(self, rows: np.ndarray, random: np.random.Generator) -> AugmentedBatch:
        """Return an augmented batch.

        Parameters
        ----------
        rows : ndarray of int of shape (n,)
            Stars of the batch.
        random : numpy.random.Generator
            Source of the augmentation.

        Returns
        -------
        batch : AugmentedBatch
        """
        x, y = np.asarray(self.x[rows]), self.y[rows]
        y_err = None if self.y_err is None else self.y_err[rows]
        if self.pairs is not None:
            places, partners, factors = self.pairs.draw(rows, random)
            x[places] = self.pairs.spectra(x[places], self.x[partners], factors)
            partner_err = None if self.y_err is None else self.y_err[partners]
            of_pairs = None if y_err is None else y_err[places]
            y[places], of_pairs = self.pairs.labels(y[places], of_pairs, self.y[partners], partner_err, factors)
            if y_err is not None:
                y_err[places] = of_pairs
        x_err = None if self.x_err is None else self.x_err[rows]
        x = self.effects.apply(x, x_err, random)
        rare = self.settings.rare_labels
        return AugmentedBatch(self.settings.normalize(x), y, y_err, None if rare is None else rare.of(y))
