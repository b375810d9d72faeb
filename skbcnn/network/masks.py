"""Random numbers with an address: the dropout masks and flux noise of posterior draw t.

A posterior draw is a network: its masks follow from the model's seed, the number of the draw and how many draws there
are, and apply to every spectrum. Each draw by itself is what it would be if it were the only one: every unit is kept
by a toss of its own. How the draws of one prediction go together is ours to choose, and is chosen twice:

- They are *balanced*: among T masks a unit is kept in exactly its share, in a random order of its own. What the draws
  scatter about their common mean then averages out, as far as it is a sum of what single units do.
- Masks of the many units that hardly matter one by one, and that cost most to apply, are *shared* by a few draws
  (`n_sharing`), once there are so many draws that enough masks remain.

Philox is a counter-based generator: the bits are the same on every machine.
"""

import threading

import numpy as np

# How many consecutive draws may share a mask of a place; elsewhere each draw has its own. These masks come before nine
# tenths of the arithmetic of a draw, but cause only a part of what draws differ in: of the variance of teff, which is
# read from the full spectrum, 8 to 16 % (conv1) and 17 to 42 % (flat), of that of most elements 1 to 3 % and 2 to 6 %.
# Powers of two, so that one of them divides the other.
SHARED_BY = {"conv1": 4, "flat": 2}
_FEWEST_MASKS = 25  # with fewer, the spread of the draws would be known less well
_MASKS, _FLUX_NOISE = 0, 1


def _philox(seed, address, purpose):
    """Philox keyed by the model's seed and an address; a purpose starts at a counter that no other one reaches."""
    return np.random.Philox(key=np.array([seed, address], dtype=np.uint64), counter=[0, 0, 0, purpose])


def n_sharing(place, n_draws):
    """How many consecutive draws share a mask.

    Parameters
    ----------
    place : str
        Of the units.
    n_draws : int
        How many draws there are.

    Returns
    -------
    n_sharing : int
        A power of two: 1 where each draw has a mask of its own.

    Examples
    --------
    >>> from skbcnn.network.masks import n_sharing
    >>> [n_sharing("conv1", n_draws) for n_draws in (10, 50, 100, 1000)], n_sharing("full1", 1000)
    ([1, 2, 4, 4], 1)
    """
    affordable = 2 ** max(0, (n_draws // _FEWEST_MASKS).bit_length() - 1)
    return min(SHARED_BY.get(place, 1), affordable)


def draw_masks(dropout_sizes, dropout_rate, seed, n_draws):
    """Dropout masks of all draws of a prediction.

    Parameters
    ----------
    dropout_sizes : mapping of str to int
        Number of droppable units at each place (`NetworkSpec.dropout_sizes`).
    dropout_rate : float
        Share of units dropped, in [0, 1).
    seed : int
        Of the fitted model.
    n_draws : int
        How many draws.

    Returns
    -------
    masks : dict of str to ndarray of shape (n_masks, size), float32
        0 where a unit is dropped, 1 / (1 - dropout_rate) where it is kept. Draw t has mask
        ``t // n_sharing(place, n_draws)``.

    References
    ----------
    .. [1] Gal & Ghahramani (2016), ICML, section 3: dropout masks as draws from the posterior over weights.

    Examples
    --------
    >>> from skbcnn.network.masks import draw_masks
    >>> masks = draw_masks({"conv1": 3, "full1": 2}, dropout_rate=0.5, seed=1, n_draws=100)
    >>> masks["conv1"].shape, masks["full1"].shape  # the former are shared by four draws
    ((25, 3), (100, 2))
    >>> masks["full1"].mean(axis=0)  # each unit is kept in half of the draws
    array([1., 1.], dtype=float32)
    """
    scale = np.float32(1 / (1 - dropout_rate))
    return {
        place: scale
        * _balanced(_philox(seed, address, _MASKS), -(-n_draws // n_sharing(place, n_draws)), size, dropout_rate)
        for address, (place, size) in enumerate(dropout_sizes.items())
    }


def _balanced(philox, n_masks, size, rate):
    """Which units are kept: each in its share of the masks, rounded up or down by chance, in a random order."""
    share = n_masks * (1 - rate)
    rounded_up_below = np.uint64((share - np.floor(share)) * 2**64)
    n_kept = int(share) + (philox.random_raw(size) < rounded_up_below)
    order = philox.random_raw(size * n_masks).reshape(size, n_masks).argsort(axis=1, kind="stable")
    kept = np.empty((size, n_masks), dtype=bool)
    np.put_along_axis(kept, order, np.arange(n_masks) < n_kept[:, None], axis=1)
    return kept.T


def draw_flux_noise(n_pixels, seed, n_draws):
    """Standard normal flux noise of the first posterior draws: one vector a draw, shared by all spectra.

    Parameters
    ----------
    n_pixels : int
        Pixels of a spectrum.
    seed : int
        Of the fitted model.
    n_draws : int
        How many draws.

    Returns
    -------
    noise : ndarray of shape (n_draws, n_pixels), float32
        In units of the flux error.
    """
    generators = (np.random.Generator(_philox(seed, t, _FLUX_NOISE)) for t in range(n_draws))
    return np.stack([generator.standard_normal(n_pixels, dtype=np.float32) for generator in generators])


class Kept:
    """A function that keeps what it gave last, until it is asked for something else.

    Every chunk of spectra asks for the random numbers of the same draws. Chunks in threads of their own wait for each
    other, so that nothing is drawn twice.

    Parameters
    ----------
    function : callable
        Of numbers.

    Examples
    --------
    >>> from skbcnn.network.masks import Kept, draw_flux_noise
    >>> noise = Kept(lambda n_draws: draw_flux_noise(n_pixels=5, seed=0, n_draws=n_draws))
    >>> noise(3) is noise(3), noise(4).shape
    (True, (4, 5))
    """

    def __init__(self, function):
        self._function, self._asked, self._given = function, None, None
        self._lock = threading.Lock()

    def __call__(self, *numbers):
        """What the function gives."""
        with self._lock:
            if self._asked != numbers:
                self._asked, self._given = numbers, self._function(*numbers)
            return self._given
