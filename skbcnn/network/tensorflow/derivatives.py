"""Derivatives of the labels with respect to the pixels, averaged over the posterior draws.

`PosteriorDerivatives` takes spectra in chunks. `derivative_rows` says which quantities are averaged over the draws, and
`derivative_graph` computes their derivatives for a few draws at a time.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from skbcnn.network.chunks import chunk_size, ordered_map
from skbcnn.network.masks import draw_masks, draws_per_mask
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.compiling import fused, is_large
from skbcnn.network.tensorflow.derivative_graph import DerivativeGraph
from skbcnn.network.tensorflow.derivative_rows import DerivativeRows, row_weights
from skbcnn.network.tensorflow.draw_graph import Tensors
from skbcnn.network.tensorflow.draw_tensors import filled_chunk, mask_tensors, weight_tensors
from skbcnn.network.tensorflow.posterior import MAX_CHUNK, N_THREADS
from skbcnn.network.tensorflow.runtime import Tensor, tf

# Memory of the derivatives with respect to the first convolution, and of their sums over the draws: more was measured
# to be slower.
_CHUNK_BYTES, _SUM_BYTES = 10 * 2**20, 24 * 2**20


class Derivatives(NamedTuple):
    """Derivatives with respect to the pixels, averaged over the draws, in normalised units, float32.

    Attributes
    ----------
    rows : ndarray of shape (n, n_rows, n_pixels)
        Derivatives of the `DerivativeRows` through the full spectrum.
    windows : dict of int to ndarray of shape (n, n_window_pixels)
        Derivatives of the mean of each window label with respect to the pixels of its windows, for a fixed context.
    """

    rows: np.ndarray
    windows: dict[int, np.ndarray]


class PosteriorDerivatives:
    """Derivatives of the means of the labels, averaged over the posterior draws of a trained network.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    seed : int
        Seed of the draws.
    n_draws : int
        Number of draws.
    path : {"total", "stopped", "window"}
        Values of the context that pass derivatives on to the window labels: all; the free context units, but not the
        means of other labels; none.

    Attributes
    ----------
    chunk : int
        Number of spectra computed at once. Smaller chunks are filled up with zeros, so that the result for a star does
        not depend on its neighbours.
    row_weights : ndarray of shape (n_labels, n_rows), float32
        Derivatives of the mean of each label with respect to each row of `Derivatives`.
    """

    def __init__(
        self, spec: NetworkSpec, weights: Mapping[str, np.ndarray], seed: int, n_draws: int, path: str
    ) -> None:
        self.spec, self.n_draws, self.rows = spec, n_draws, DerivativeRows.for_path(spec, path)
        self.chunk, self.row_weights = derivatives_chunk_size(self.rows), row_weights(spec, weights, path)
        # if rows are labels, the derivatives of each draw must be traced back by themselves
        self._n_together = draws_per_mask("conv1", n_draws) if self.rows.labels is None else 1
        masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, seed, n_draws)
        self._masks = mask_tensors(spec, masks, n_draws, self._n_together)
        self._weights = weight_tensors(spec, weights)

    def compute(self, chunks: Iterable[np.ndarray]) -> Iterator[Derivatives]:
        """Compute the derivatives, chunk by chunk.

        Parameters
        ----------
        chunks : iterable of ndarray of shape (n, n_pixels)
            Normalised spectra, at most `chunk` at a time.

        Yields
        ------
        derivatives : Derivatives
            Derivatives at the spectra of each chunk.
        """
        yield from ordered_map(self._chunk_derivatives, chunks, N_THREADS)

    def _chunk_derivatives(self, x: np.ndarray) -> Derivatives:
        """Compute the derivatives of one chunk."""
        compiled = _compiled(self.rows, self.chunk, self._n_together)
        rows, windows = compiled(self._weights, self._masks, np.int32(self.n_draws), filled_chunk(x, self.chunk))
        of_label = {}
        for group, of_group in zip(self.spec.groups, windows, strict=True):
            for j, of_stars in zip(group.labels, of_group.numpy(), strict=True):
                of_label[j] = of_stars[: len(x), : len(self.spec.windows[j] or ())]
        return Derivatives(rows.numpy()[: len(x)], of_label)


def derivatives_chunk_size(rows: DerivativeRows) -> int:
    """Return the number of spectra that `PosteriorDerivatives` computes at once.

    Parameters
    ----------
    rows : DerivativeRows
        Quantities averaged over the draws.

    Returns
    -------
    chunk : int
        At most `MAX_CHUNK`, and fewer for long spectra and many rows.
    """
    of_row = 4 * rows.spec.n_pixels * rows.spec.num_filters[0]
    return min(
        chunk_size(of_row * max(n_rows, 1), max_bytes, MAX_CHUNK)
        for max_bytes, n_rows in ((_CHUNK_BYTES, rows.spec.n_context), (_SUM_BYTES, len(rows)))
    )


@functools.lru_cache(maxsize=8)
def _compiled(rows: DerivativeRows, chunk: int, n_together: int) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    """Return the loop over the draws of all networks of an architecture.

    It holds no weights. It is traced once for one number of draws, and once more for all others.
    """
    graph, large = DerivativeGraph(rows), is_large(rows.spec)
    features, of_draws, add = (fused(function, large) for function in (graph.features, graph.of_draws, graph.add))
    # compiled apart: as one function, XLA would compute everything once for each row
    of_spectra, of_windows = (fused(function, large) for function in (graph.of_spectra, graph.of_windows))

    def derivatives(weights: Tensors, masks: Tensors, n_draws: Tensor, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        of_all_draws = features(weights, x)

        def body(group: Tensor, sums: Any) -> tuple[Tensor, Any]:
            of_group = {place: values[group] for place, values in masks.items()}
            counts = tf.cast(group * n_together + tf.range(n_together) < n_draws, tf.float32)
            return group + 1, add(sums, *of_draws(weights, of_all_draws, of_group, counts))

        zeros = graph.zeros(of_all_draws[0]), [tf.zeros_like(part) for part in of_all_draws[1]]
        n_groups = tf.shape(masks["conv1"])[0]
        _, (by_pixels, by_hidden) = tf.while_loop(
            lambda group, _: group < n_groups, body, (0, zeros), parallel_iterations=1
        )
        count = tf.cast(n_draws, tf.float32)
        return of_spectra(weights, x, by_pixels / count), of_windows(weights, x, [part / count for part in by_hidden])

    return tf.function(derivatives, autograph=False, reduce_retracing=True)
