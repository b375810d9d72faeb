"""Dropout masks and flux noise of the posterior draws, reproducible on every machine.

A posterior draw is one network: its masks follow from the model's seed, the number of the draw and the number of draws,
and are the same for all spectra. Taken by itself, each draw keeps every unit independently with probability
``1 - dropout_rate``. The draws of one prediction are not independent of each other, for two reasons:

- The masks are *balanced*: a unit is kept in exactly its share of the T masks, in a random order of its own. This
  removes the sampling error of the mean over draws, as far as the output is a sum of the effects of single units.
- Masks of the many units before the first dense layer are *shared* by a few consecutive draws (`draws_per_mask`) if
  there are so many draws that enough masks remain. These units matter little one by one and are the most expensive.

The generator is Philox, which is counter-based: its bits are the same on every machine.
"""

from collections.abc import Mapping

import numpy as np

# Most consecutive draws that share a mask at a place; at all other places each draw has its own. Nine tenths of the
# arithmetic of a draw follow these masks, but they cause only a part of the variance between draws: for teff, which is
# read from the full spectrum, 8 to 16 % (conv1) and 17 to 42 % (flat); for most elements 1 to 3 % and 2 to 6 %.
# Powers of two, so that one of them divides the other.
MAX_DRAWS_PER_MASK = {"conv1": 4, "flat": 2}
_MIN_MASKS = 25  # with fewer masks the variance of the draws would be too uncertain
_MASKS, _FLUX_NOISE = 0, 1


def _philox(seed: int, address: int, purpose: int) -> np.random.Philox:
    """Return the generator of a seed and an address. Each purpose starts at a counter that no other one reaches."""
    return np.random.Philox(key=np.array([seed, address], dtype=np.uint64), counter=[0, 0, 0, purpose])


def draws_per_mask(place: str, n_draws: int) -> int:
    """Return the number of consecutive draws that share a mask.

    Parameters
    ----------
    place : str
        Place of the units in the network (`NetworkSpec.dropout_sizes`).
    n_draws : int
        Number of draws.

    Returns
    -------
    draws_per_mask : int
        A power of two; 1 if each draw has its own mask.

    Examples
    --------
    >>> from skbcnn.network.masks import draws_per_mask
    >>> [draws_per_mask("conv1", n_draws) for n_draws in (10, 50, 100, 1000)], draws_per_mask("full1", 1000)
    ([1, 2, 4, 4], 1)
    """
    affordable = 2 ** max(0, (n_draws // _MIN_MASKS).bit_length() - 1)
    return min(MAX_DRAWS_PER_MASK.get(place, 1), affordable)


def draw_masks(dropout_sizes: Mapping[str, int], dropout_rate: float, seed: int, n_draws: int) -> dict[str, np.ndarray]:
    """Draw the dropout masks of all draws of a prediction.

    Parameters
    ----------
    dropout_sizes : mapping of str to int
        Number of droppable units at each place (`NetworkSpec.dropout_sizes`).
    dropout_rate : float
        Probability that a unit is dropped, in [0, 1).
    seed : int
        Seed of the fitted model.
    n_draws : int
        Number of draws.

    Returns
    -------
    masks : dict of str to ndarray of shape (n_masks, size), float32
        0 for dropped units, 1 / (1 - dropout_rate) for kept ones. Draw t has mask
        ``t // draws_per_mask(place, n_draws)``.

    References
    ----------
    .. [1] Gal & Ghahramani (2016), ICML, section 3: dropout masks as draws from the posterior over weights.

    Examples
    --------
    >>> from skbcnn.network.masks import draw_masks
    >>> masks = draw_masks({"conv1": 3, "full1": 2}, dropout_rate=0.5, seed=1, n_draws=100)
    >>> masks["conv1"].shape, masks["full1"].shape  # four draws share a mask of the first convolution
    ((25, 3), (100, 2))
    >>> masks["full1"].mean(axis=0)  # each unit is kept in half of the draws
    array([1., 1.], dtype=float32)
    """
    scale = np.float32(1 / (1 - dropout_rate))
    masks = {}
    for address, (place, size) in enumerate(dropout_sizes.items()):
        n_masks = -(-n_draws // draws_per_mask(place, n_draws))
        masks[place] = scale * _balanced_masks(_philox(seed, address, _MASKS), n_masks, size, dropout_rate)
    return masks


def _balanced_masks(philox: np.random.Philox, n_masks: int, size: int, rate: float) -> np.ndarray:
    """Return which units each mask keeps, (n_masks, size): each unit in its share of the masks, in random order.

    A share that is not a whole number is rounded up or down at random, with the right expectation.
    """
    share = n_masks * (1 - rate)
    rounded_up_below = np.uint64((share - np.floor(share)) * 2**64)
    n_kept = int(share) + (philox.random_raw(size) < rounded_up_below)
    order = philox.random_raw(size * n_masks).reshape(size, n_masks).argsort(axis=1, kind="stable")
    kept = np.empty((size, n_masks), dtype=bool)
    np.put_along_axis(kept, order, np.arange(n_masks) < n_kept[:, None], axis=1)
    return kept.T


def draw_flux_noise(n_pixels: int, seed: int, n_draws: int) -> np.ndarray:
    """Draw standard normal flux noise: one vector for each posterior draw, shared by all spectra.

    Parameters
    ----------
    n_pixels : int
        Number of pixels of a spectrum.
    seed : int
        Seed of the fitted model.
    n_draws : int
        Number of draws. The noise of a draw does not depend on it.

    Returns
    -------
    noise : ndarray of shape (n_draws, n_pixels), float32
        In units of the flux error.
    """
    generators = (np.random.Generator(_philox(seed, draw, _FLUX_NOISE)) for draw in range(n_draws))
    return np.stack([generator.standard_normal(n_pixels, dtype=np.float32) for generator in generators])
