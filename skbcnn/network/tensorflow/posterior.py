"""Moments of the posterior draws, computed by TensorFlow."""

import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from skbcnn.network.chunks import chunk_size
from skbcnn.network.draw_cache import DrawCache
from skbcnn.network.masks import draws_per_mask
from skbcnn.network.moments import LOGVAR_LIMIT, BasePosterior, Moments
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.compiling import fused, is_large
from skbcnn.network.tensorflow.draw_graph import DrawGraph, Tensors
from skbcnn.network.tensorflow.draw_tensors import filled_chunk, mask_tensors, weight_tensors
from skbcnn.network.tensorflow.runtime import Tensor, tf

MAX_CHUNK = 128  # spectra
N_THREADS = 2  # chunks at once: one uses the core that another leaves idle for a moment
_CHUNK_BYTES = 32 * 2**20  # of the activations between the convolutions: about the size of a CPU's caches


class Posterior(BasePosterior):
    """Posterior draws of a trained network, computed by TensorFlow.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    chunk : int
        Number of spectra computed at once. Smaller chunks are filled up with zeros, so that the result for a star does
        not depend on its neighbours.
    """

    def __init__(self, spec: NetworkSpec, weights: Mapping[str, np.ndarray], seed: int) -> None:
        self.spec = spec
        self.weights = weight_tensors(spec, weights)
        self.chunk = posterior_chunk_size(spec)
        self._draw_cache = DrawCache(spec, seed, functools.partial(mask_tensors, spec), tf.constant)

    @contextmanager
    def compiling(self, n_draws: int) -> Iterator[None]:
        """Compile what the first prediction would compile, in a thread while the context runs.

        Parameters
        ----------
        n_draws : int
            Number of draws.
        """
        nothing = np.zeros((1, self.spec.n_pixels), dtype=np.float32)
        with ThreadPoolExecutor(1) as thread:
            compiled = thread.submit(self._chunk_moments, nothing, None, n_draws, False)
            yield
            compiled.result()

    def _threads(self) -> AbstractContextManager[int]:
        return nullcontext(N_THREADS)

    def _chunk_moments(
        self, x: np.ndarray, x_err: np.ndarray | None, n_draws: int, keep_draws: bool
    ) -> tuple[Moments, np.ndarray]:
        """Compute the moments of one chunk, and the means of its draws: an empty array if they are not kept."""
        # noise makes each draw differ from the first pixel on, so that draws have nothing in common
        n_together = draws_per_mask("conv1", n_draws) if x_err is None else 1
        masks = self._draw_cache.masks(n_draws, n_together)
        inputs = [self.weights, masks, np.int32(n_draws), filled_chunk(x, self.chunk)]
        if x_err is not None:
            inputs += [filled_chunk(x_err, self.chunk), self._draw_cache.noise(n_draws)]
        found, draws = _compiled(self.spec, self.chunk, n_together, x_err is not None, keep_draws)(*inputs)
        moments = Moments(*(part.numpy().T[: len(x)] for part in found))
        return moments, draws.numpy()[:, :, : len(x)].swapaxes(1, 2) if keep_draws else np.empty(0)


def posterior_chunk_size(spec: NetworkSpec) -> int:
    """Return the number of spectra that `Posterior` computes at once.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.

    Returns
    -------
    chunk : int
        At most `MAX_CHUNK`, and fewer for long spectra.
    """
    return chunk_size(4 * spec.n_pixels * sum(spec.num_filters), _CHUNK_BYTES, MAX_CHUNK)


@functools.lru_cache(maxsize=8)
def _compiled(spec: NetworkSpec, chunk: int, n_together: int, noisy: bool, keep_draws: bool) -> Callable[..., Any]:
    """Return the loop over the draws of all networks of an architecture.

    It holds no weights. It is traced once for one number of draws, and once more for all others. Its results are the
    moments, and the means of the draws, (n_draws, n_labels, chunk), or an empty tuple.
    """
    graph, large = DrawGraph(spec), is_large(spec)
    features = fused(graph.features, large)

    def add(weights: Tensors, features: Any, masks: Tensors, n_before: Tensor, state: Any, n_draws: Tensor) -> Any:
        of_draws = graph.outputs(weights, features, masks)
        outputs = tf.cast(of_draws, tf.float64)
        for number in range(n_together):
            state = _welford(state, outputs[number], n_before + number, n_draws)
        return state, of_draws[:, 0] if keep_draws else ()

    add = fused(add, large)

    def moments(weights: Tensors, masks: Tensors, n_draws: Tensor, x: Tensor, *noise: Tensor) -> Any:
        noiseless = None if noisy else features(weights, x)

        def body(group: Tensor, state: Any, kept: Any) -> tuple[Tensor, Any, Any]:
            draw = group * n_together
            of_draws = features(weights, x + noise[1][draw] * noise[0]) if noisy else noiseless
            of_group = {place: values[group] for place, values in masks.items()}
            state, means = add(weights, of_draws, of_group, draw, state, n_draws)
            return group + 1, state, kept.write(group, means) if keep_draws else ()

        zeros = tf.zeros((spec.n_labels, chunk), tf.float64)
        n_groups = tf.shape(masks["conv1"])[0]
        kept = tf.TensorArray(tf.float32, n_groups) if keep_draws else ()
        _, (mean, squares, logvar), kept = tf.while_loop(
            lambda group, *_: group < n_groups, body, (0, (zeros, zeros, zeros), kept), parallel_iterations=1
        )
        count = tf.cast(n_draws, tf.float64)
        draws = tf.reshape(kept.stack(), (-1, spec.n_labels, chunk))[:n_draws] if keep_draws else ()
        return (mean, squares / count, tf.exp(logvar / count)), draws

    return tf.function(moments, autograph=False, reduce_retracing=True)


def _welford(
    state: tuple[Tensor, Tensor, Tensor], outputs: Tensor, n_before: Tensor, n_draws: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Add a draw to the sums by Welford's update. Draws beyond `n_draws` fill up the last group and do not count."""
    mean, squares, logvar = state
    counts = tf.cast(n_before < n_draws, tf.float64)
    difference = (outputs[0] - mean) * counts
    mean += difference / tf.cast(n_before + 1, tf.float64)
    squares += difference * (outputs[0] - mean)
    return mean, squares, logvar + counts * tf.clip_by_value(outputs[1], -LOGVAR_LIMIT, LOGVAR_LIMIT)  # as in the loss
