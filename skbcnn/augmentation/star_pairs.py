"""Extrapolated pairs of stars: training examples beyond the correlations of the training set."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from skbcnn.augmentation.instrument import BAD_PIXEL_FLUX

_N_NEIGHBORS = 10
_SHARE = 0.5  # of the spectra of a batch


def nearest_stars(context: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
    """Return the stars that are most similar to each star.

    Parameters
    ----------
    context : ndarray of shape (n, n_context)
        Context labels; NaN where missing. They are compared in units of their standard deviations.
    group : ndarray of int of shape (n,), default=None
        Number of the star of each spectrum, if there are several of a star.

    Returns
    -------
    nearest : ndarray of int of shape (n, n_neighbors)
        One spectrum of each of up to 10 other stars; none if there are no labels or there is only one star.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.augmentation.star_pairs import nearest_stars
    >>> nearest_stars(np.array([[0.0], [1.0], [1.5]]))[:, 0]
    array([1, 2, 1])
    """
    if group is not None:
        _, first, number = np.unique(group, return_index=True, return_inverse=True)
        return first[nearest_stars(context[first])[number]]
    n = min(_N_NEIGHBORS, len(context) - 1)
    if n < 1 or context.shape[1] == 0:
        return np.empty((len(context), 0), dtype=int)
    present = ~np.isnan(context)
    n_present = np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, context - np.where(present, context, 0).sum(axis=0) / n_present, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / n_present)
    scaled = centred / np.where(spread > 0, spread, 1)
    return NearestNeighbors(n_neighbors=n).fit(scaled).kneighbors(return_distance=False)


class StarPairs:
    """Random extrapolated pairs ``x_i + k (x_i - x_j)`` of the spectra of a training set.

    Parameters
    ----------
    largest : float
        Largest factor k.
    context : ndarray of shape (n, n_context)
        Context labels of all stars, NaN where missing.
    pixel_group : ndarray of int of shape (n_pixels,)
        Number of the factor of each pixel; 0 for all pixels outside the windows with a factor of their own.
    label_group : ndarray of int of shape (n_labels,)
        Number of the factor of each label.
    group : ndarray of int of shape (n,), default=None
        Number of the star of each spectrum, if there are several of a star.
    """

    def __init__(
        self,
        largest: float,
        context: np.ndarray,
        pixel_group: np.ndarray,
        label_group: np.ndarray,
        group: np.ndarray | None = None,
    ) -> None:
        self.largest, self.pixel_group, self.label_group = largest, pixel_group, label_group
        self.n_groups = int(max(pixel_group.max(initial=0), label_group.max(initial=0))) + 1
        self.nearest = nearest_stars(context, group)

    def draw(self, rows: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw the pairs of a batch.

        Parameters
        ----------
        rows : ndarray of int of shape (n,)
            Stars of the batch.
        random : numpy.random.Generator
            Source of the pairs.

        Returns
        -------
        places : ndarray of int of shape (n_pairs,)
            Places in the batch that become pairs.
        partners : ndarray of int of shape (n_pairs,)
            Second star of each pair.
        factors : ndarray of shape (n_pairs, n_groups), float32
            Factor of each group of pixels and labels.
        """
        places = np.flatnonzero(random.random(len(rows)) < _SHARE) if self.nearest.shape[1] else np.arange(0)
        choice = random.integers(max(self.nearest.shape[1], 1), size=len(places))
        partners = self.nearest[rows[places], choice] if len(places) else places
        factors = random.uniform(0, self.largest, (len(places), self.n_groups)).astype(np.float32)
        return places, partners, factors

    def spectra(self, x: np.ndarray, partner: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Extrapolate spectra.

        Parameters
        ----------
        x, partner : ndarray of shape (n_pairs, n_pixels), float32
            Flux of both stars of each pair. A flux of exactly 1 marks a bad pixel.
        factors : ndarray of shape (n_pairs, n_groups)
            Factors from `draw`.

        Returns
        -------
        x : ndarray of shape (n_pairs, n_pixels), float32
            Extrapolated flux; 1 where a pixel is bad in either star.
        """
        factor = factors if self.n_groups == 1 else np.take(factors, self.pixel_group, axis=1)
        extrapolated = x + factor * (x - partner)
        extrapolated[(x == BAD_PIXEL_FLUX) | (partner == BAD_PIXEL_FLUX)] = BAD_PIXEL_FLUX
        return extrapolated

    def labels(
        self,
        y: np.ndarray,
        y_err: np.ndarray | None,
        partner: np.ndarray,
        partner_err: np.ndarray | None,
        factors: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Extrapolate labels and their errors.

        Parameters
        ----------
        y, partner : ndarray of shape (n_pairs, n_labels)
            Labels of both stars of each pair, NaN where missing.
        y_err, partner_err : ndarray of shape (n_pairs, n_labels) or None
            Label errors.
        factors : ndarray of shape (n_pairs, n_groups)
            Factors from `draw`.

        Returns
        -------
        y : ndarray of shape (n_pairs, n_labels)
            Extrapolated labels; NaN where one of the two is missing.
        y_err : ndarray of shape (n_pairs, n_labels) or None
            Their errors: ``sqrt((1 + k)**2 e_i**2 + k**2 e_j**2)``.
        """
        factor = factors[:, self.label_group].astype(float)
        extrapolated = y + factor * (y - partner)
        if y_err is None or partner_err is None:
            return extrapolated, None
        return extrapolated, np.hypot((1 + factor) * y_err, factor * partner_err)
