"""Random numbers with an address: the dropout masks and flux noise of posterior draw t.

A posterior draw is a network: its masks follow from the model's seed and the number of the draw alone, and apply to
every spectrum. Philox is a counter-based generator, so draw t needs none of the draws before it, and the bits are the
same on every machine.
"""

import numpy as np

_MASKS, _FLUX_NOISE = 0, 1


def _philox(seed, draw, purpose):
    """Philox keyed by the model's seed and the draw; a purpose starts at a counter that no other one reaches."""
    return np.random.Philox(key=np.array([seed, draw], dtype=np.uint64), counter=[0, 0, 0, purpose])


def draw_masks(dropout_sizes, dropout_rate, seed, n_draws):
    """Dropout masks of the first posterior draws.

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
    masks : dict of str to ndarray of shape (n_draws, size), float32
        0 where a unit is dropped, 1 / (1 - dropout_rate) where it is kept.

    References
    ----------
    .. [1] Gal & Ghahramani (2016), ICML, section 3: dropout masks as draws from the posterior over weights.

    Examples
    --------
    >>> from skbcnn.network.masks import draw_masks
    >>> masks = draw_masks({"full1": 4}, dropout_rate=0.5, seed=1, n_draws=2)
    >>> masks["full1"].shape, sorted(set(masks["full1"].ravel().tolist()))
    ((2, 4), [0.0, 2.0])
    """
    n_units = sum(dropout_sizes.values())
    dropped_below = np.uint64(int(dropout_rate * 2**64))
    keep = np.stack([_philox(seed, t, _MASKS).random_raw(n_units) >= dropped_below for t in range(n_draws)])
    scaled = keep * np.float32(1 / (1 - dropout_rate))
    ends = np.cumsum(list(dropout_sizes.values()))[:-1]
    return dict(zip(dropout_sizes, np.split(scaled, ends, axis=1), strict=True))


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
