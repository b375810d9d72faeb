"""Asking the posterior: the moments of many draws, each draw one network for all spectra."""

import functools
from typing import NamedTuple

import numpy as np

from skbcnn.network.backend import tf
from skbcnn.network.losses import LOGVAR_LIMIT
from skbcnn.network.masks import draw_flux_noise, draw_masks
from skbcnn.network.pool import POOL

CHUNK = 128  # spectra asked at once; always padded to this, so a star's arithmetic never depends on its neighbours


class Moments(NamedTuple):
    """Moments over the draws, in normalised units, each of shape (n, n_labels), float64.

    Attributes
    ----------
    mean : ndarray
        Average of the draws' means.
    model_variance : ndarray
        Population variance of the draws' means.
    predictive_variance : ndarray
        Exponential of the average log-variance.
    """

    mean: np.ndarray
    model_variance: np.ndarray
    predictive_variance: np.ndarray


def stack_masks(spec, masks):
    """Masks of many draws, in the order and the shapes that `CensoredNetwork.after_dropout` takes.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    masks : mapping of str to ndarray of shape (n_draws, size)
        From `draw_masks`.

    Returns
    -------
    stacked : tuple of ndarray
        First axis: draws.
    """
    full = [masks["conv1"].reshape(-1, 1, spec.n_pixels, spec.num_filters[0]), masks["flat"][:, None]]
    windows = [
        np.stack([masks[f"label{j}.{layer}"] for j in group.labels], axis=1)[:, :, None]
        for group in spec.groups
        for layer in ("hidden1", "hidden2")
    ]
    return (*full, masks["full1"][:, None], *windows)


class Posterior:
    """Trained weights and their draws, ready to be asked.

    The network is borrowed for each chunk of spectra, so that models of one spec share it and what was traced for it.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`. Not to be changed afterwards.
    seed : int
        Of the draws.
    """

    def __init__(self, spec, weights, seed):
        self.spec, self.weights, self.seed = spec, weights, seed
        self._masks = {}

    def masks(self, n_draws):
        """Masks of the first draws, kept until another number is asked for.

        Parameters
        ----------
        n_draws : int
            How many.

        Returns
        -------
        masks : tuple of tensor
            From `stack_masks`.
        """
        if n_draws not in self._masks:
            drawn = draw_masks(self.spec.dropout_sizes, self.spec.dropout_rate, self.seed, n_draws)
            self._masks = {n_draws: tuple(map(tf.constant, stack_masks(self.spec, drawn)))}
        return self._masks[n_draws]

    def moments(self, chunks, n_draws):
        """Moments of the draws for spectra that come in chunks.

        Parameters
        ----------
        chunks : iterable of (ndarray of shape (n, n_pixels), ndarray of the same shape or None)
            Normalised spectra and their errors, at most `CHUNK` at a time. None: no flux noise.
        n_draws : int
            How many draws.

        Yields
        ------
        moments : Moments
            Of each chunk.
        """
        masks, noise = self.masks(n_draws), None
        for x, x_err in chunks:
            function, inputs = _moments, (_padded(x), masks)
            if x_err is not None:
                if noise is None:
                    noise = tf.constant(draw_flux_noise(self.spec.n_pixels, self.seed, n_draws))
                function, inputs = _noisy_moments, (*inputs, _padded(x_err), noise)
            with POOL.lend(self.spec, owner=self) as lent:
                lent.hold(self.weights, owner=self)
                answer = _compiled(function, lent, inputs)(*inputs)
            yield Moments(*(part.numpy()[: len(x)] for part in answer))


def _compiled(function, lent, inputs):
    """A function of a network, traced once for any number of draws."""
    if function.__name__ not in lent.compiled:
        of_chunk = tf.TensorSpec((CHUNK, lent.network.spec.n_pixels), tf.float32)
        _, masks, *noise = tf.nest.map_structure(lambda x: tf.TensorSpec((None, *x.shape[1:]), tf.float32), inputs)
        signature = (of_chunk, masks, of_chunk, noise[-1]) if noise else (of_chunk, masks)
        traced = tf.function(functools.partial(function, lent.network), autograph=False)
        lent.compiled[function.__name__] = traced.get_concrete_function(*signature)
    return lent.compiled[function.__name__]


def _moments(network, x, masks):
    features = network.before_dropout(x)  # no mask reaches this far: once, not once a draw
    return _accumulate(network, masks, lambda draw: features)


def _noisy_moments(network, x, masks, x_err, noise):
    return _accumulate(network, masks, lambda draw: network.before_dropout(x + noise[draw] * x_err))


def _accumulate(network, masks, features_of):
    """Loop over the draws, adding up their moments (Welford's update for the spread)."""
    n_draws = tf.shape(masks[0])[0]
    zeros = tf.zeros((CHUNK, network.spec.n_labels), tf.float64)

    def add(draw, mean, squares, logvar):
        answer = network.after_dropout(features_of(draw), [mask[draw] for mask in masks])
        answer = tf.cast(answer, tf.float64)
        difference = answer[:, 0] - mean
        mean = mean + difference / tf.cast(draw + 1, tf.float64)
        logvar = logvar + tf.clip_by_value(answer[:, 1], -LOGVAR_LIMIT, LOGVAR_LIMIT)  # as the loss does
        return draw + 1, mean, squares + difference * (answer[:, 0] - mean), logvar

    _, mean, squares, logvar = tf.while_loop(
        lambda draw, *_: draw < n_draws, add, (0, zeros, zeros, zeros), parallel_iterations=1
    )
    count = tf.cast(n_draws, tf.float64)
    return mean, squares / count, tf.exp(logvar / count)


def _padded(x):
    """Fill a short chunk up with zeros."""
    return tf.constant(np.pad(x, ((0, CHUNK - len(x)), (0, 0))))
