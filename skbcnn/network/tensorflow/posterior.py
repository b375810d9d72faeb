"""Asking the posterior: the moments of many draws, each draw one network for all spectra."""

import functools

import numpy as np

from skbcnn.network.chunks import in_order
from skbcnn.network.masks import Kept, draw_flux_noise, n_sharing
from skbcnn.network.moments import LOGVAR_LIMIT, Moments
from skbcnn.network.tensorflow.compiling import fused, is_large
from skbcnn.network.tensorflow.draw_graph import DrawGraph, mask_tensors, stack_weights
from skbcnn.network.tensorflow.runtime import tf

MAX_CHUNK = 128
_AT_ONCE = 2  # chunks: one fills the gaps in which the other leaves a core idle
_CHUNK_BYTES = 32 * 2**20  # of what lies between the convolutions: about what the caches of a processor hold


class Posterior:
    """Trained weights and their draws, ready to be asked.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`.
    seed : int
        Of the draws.

    Attributes
    ----------
    chunk : int
        Spectra asked at once. Fewer are filled up to it, so that a star's arithmetic never depends on its neighbours.
    masks : Kept
        Of a number of draws, and of how many are computed together: `mask_tensors`.
    noise : Kept
        Of a number of draws: a tensor of `draw_flux_noise`.
    """

    def __init__(self, spec, weights, seed):
        self.spec = spec
        self.weights = {name: tf.constant(values) for name, values in stack_weights(spec, weights).items()}
        self.chunk = chunk_size(spec)
        self.masks = Kept(functools.partial(mask_tensors, spec, seed))
        self.noise = Kept(lambda n_draws: tf.constant(draw_flux_noise(spec.n_pixels, seed, n_draws)))

    def moments(self, chunks, n_draws):
        """Moments of the draws for spectra that come in chunks.

        Parameters
        ----------
        chunks : iterable of (ndarray of shape (n, n_pixels), ndarray of the same shape or None)
            Normalised spectra and their errors, at most `chunk` at a time. None: no flux noise.
        n_draws : int
            How many draws.

        Yields
        ------
        moments : Moments
            Of each chunk.
        """
        yield from in_order(lambda chunk: self._ask(*chunk, n_draws), chunks, _AT_ONCE)

    def _ask(self, x, x_err, n_draws):
        """Moments of one chunk."""
        # noise makes each draw differ from the first pixel on, so that nothing is left to be shared
        n_together = n_sharing("conv1", n_draws) if x_err is None else 1
        inputs = [self.weights, self.masks(n_draws, n_together), np.int32(n_draws), self._filled_up(x)]
        if x_err is not None:
            inputs += [self._filled_up(x_err), self.noise(n_draws)]
        answer = _compiled(self.spec, self.chunk, n_together, x_err is not None)(*inputs)
        return Moments(*(part.numpy().T[: len(x)] for part in answer))

    def _filled_up(self, x):
        """Fill a short chunk up with zeros."""
        return tf.constant(np.pad(x, ((0, self.chunk - len(x)), (0, 0))), tf.float32)


def chunk_size(spec):
    """How many spectra are asked at once.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.

    Returns
    -------
    chunk : int
        At most `MAX_CHUNK`, and fewer of long spectra: a multiple of 16 as long as that is possible.
    """
    fitting = _CHUNK_BYTES // (4 * spec.n_pixels * sum(spec.num_filters))
    return min(MAX_CHUNK, max(fitting // 16 * 16, min(fitting, 16), 1))


@functools.lru_cache(maxsize=8)
def _compiled(spec, chunk, n_together, noisy):
    """The loop over the draws, for any model of a spec; it holds no weights. Traced once for any number of draws."""
    graph, large = DrawGraph(spec), is_large(spec)
    features = fused(graph.features, large)

    def add(weights, features, masks, so_far, state, n_draws):
        answers = tf.cast(graph.answers(weights, features, masks), tf.float64)
        for number in range(n_together):
            state = _welford(state, answers[number], so_far + number, n_draws)
        return state

    add = fused(add, large)

    def moments(weights, masks, n_draws, x, *noise):
        quiet = None if noisy else features(weights, x)

        def body(group, state):
            draw = group * n_together
            seen = features(weights, x + noise[1][draw] * noise[0]) if noisy else quiet
            of_group = {place: values[group] for place, values in masks.items()}
            return group + 1, add(weights, seen, of_group, draw, state, n_draws)

        zeros = tf.zeros((spec.n_labels, chunk), tf.float64)
        n_groups = tf.shape(masks["conv1"])[0]
        _, (mean, squares, logvar) = tf.while_loop(
            lambda group, _: group < n_groups, body, (0, (zeros, zeros, zeros)), parallel_iterations=1
        )
        count = tf.cast(n_draws, tf.float64)
        return mean, squares / count, tf.exp(logvar / count)

    return tf.function(moments, autograph=False, reduce_retracing=True)


def _welford(state, answer, so_far, n_draws):
    """Moments with one more draw (Welford's update for the spread), or as they were if there are enough."""
    mean, squares, logvar = state
    counts = tf.cast(so_far < n_draws, tf.float64)
    difference = (answer[0] - mean) * counts
    mean += difference / tf.cast(so_far + 1, tf.float64)
    squares += difference * (answer[0] - mean)
    return mean, squares, logvar + counts * tf.clip_by_value(answer[1], -LOGVAR_LIMIT, LOGVAR_LIMIT)  # as the loss does
