"""Batches of training stars."""

import numpy as np

from skbcnn._lazy_rows import LazyRows, will_need
from skbcnn.augmentation.training_augmentation import AugmentedStars, TrainingAugmentation
from skbcnn.network.tensorflow.losses import pack_targets
from skbcnn.network.training_recipe import Stars

_N_AHEAD = 4  # batches that are read ahead from a file


class Batches:
    """Stars in batches of equal size, in a new random order each epoch if a seed is given.

    The last batch is filled up with stars of weight 0. Stars without labels have weight 0, too.

    Parameters
    ----------
    stars : Stars
        Stars to train or to measure the loss on.
    batch_size : int
        Number of stars of a batch, at most the number of stars.
    seed : int, default=None
        Seed of the order, and of the noise added to the spectra. None: the order is kept and no noise added.
    margins : tuple of (int, int), default=(0, 0)
        Number of zeros before and after each spectrum.
    noise : tuple of (float, float), default=(0, 0)
        Smallest and largest noise to add, in units of the flux errors. The value is drawn for each spectrum and epoch.
    augmentation : TrainingAugmentation, default=None
        Augmentation of the spectra, which it also normalises. None: only noise is added.
    """

    def __init__(
        self,
        stars: Stars,
        batch_size: int,
        seed: int | None = None,
        margins: tuple[int, int] = (0, 0),
        noise: tuple[float, float] = (0, 0),
        augmentation: TrainingAugmentation | None = None,
    ) -> None:
        self.stars, self.seed, self.margins, self.noise, self.epoch = stars, seed, margins, noise, 0
        self.n_stars = len(stars.x)
        self.batch_size = min(batch_size, self.n_stars)
        self.targets = pack_targets(stars.y, stars.y_err)
        weight = np.where(self.targets[:, 2].any(axis=1), stars.weight, 0)
        self.augmented = augmentation and AugmentedStars(augmentation, stars.x, stars.x_err, stars.y, stars.y_err)
        self.weight = (weight / (weight.max() or 1)).astype(np.float32)  # their unit cancels, but could overflow
        self._shuffle()

    def _shuffle(self) -> None:
        order = np.arange(self.n_stars) if self.seed is None else self._random(0).permutation(self.n_stars)
        self.order = np.resize(order, len(self) * self.batch_size)

    def _random(self, *address: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, self.epoch, *address])

    def __len__(self) -> int:
        return -(-self.n_stars // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._read_ahead(index)
        position = slice(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[position]
        is_filling = np.arange(position.start, position.stop) >= self.n_stars
        weight = np.where(is_filling, np.float32(0), self.weight[rows])
        before, n_pixels = self.margins[0], self.stars.x.shape[1]
        framed = np.zeros((self.batch_size, sum(self.margins) + n_pixels), dtype=np.float32)
        x = framed[:, before : before + n_pixels]
        if self.augmented:
            x[:], y, y_err, y_weight = self.augmented.batch(rows, self._random(3, index))
            return framed, pack_targets(y, y_err, y_weight), weight
        if isinstance(self.stars.x, LazyRows):
            x[:] = self.stars.x[rows]
        else:
            for place, row in enumerate(rows):  # faster than fancy indexing, which makes a second copy
                x[place] = self.stars.x[row]
        if self.noise[1] > 0 and self.seed is not None and self.stars.x_err is not None:
            scale = self._random(2, index).uniform(*self.noise, size=(len(rows), 1)).astype(np.float32)
            x += scale * self.stars.x_err[rows] * self._random(1, index).standard_normal(x.shape, dtype=np.float32)
        return framed, self.targets[rows], weight

    def _read_ahead(self, index: int) -> None:
        """Let the system begin to read a later batch, if the spectra are in a file."""
        first = 1 if index == 0 else index + _N_AHEAD
        rows = self.order[first * self.batch_size : (index + _N_AHEAD + 1) * self.batch_size]
        will_need(rows, self.stars.x, self.stars.x_err)

    def start_epoch(self, number: int) -> None:
        """Shuffle the stars for an epoch.

        Parameters
        ----------
        number : int
            Number of the epoch, from 0. Order and noise follow from it and the seed.
        """
        if number != self.epoch:
            self.epoch = number
            self._shuffle()
