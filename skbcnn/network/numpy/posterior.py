"""Moments of the posterior draws, computed by NumPy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from skbcnn.network.chunks import chunk_size
from skbcnn.network.draw_cache import DrawCache
from skbcnn.network.masks import draws_per_mask
from skbcnn.network.moments import LOGVAR_LIMIT, BasePosterior, Moments
from skbcnn.network.numpy.blas import ONE_THREAD_PER_PRODUCT, equally_rounded_columns
from skbcnn.network.numpy.forward import Layers
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.weight_packing import pack_masks

_MAX_COLUMNS, _MIN_COLUMNS = 144, 32  # of a product; some of them may round differently and stay empty
_CHUNK_BYTES = 32 * 2**20  # of the activations between the convolutions
_MAX_THREADS = 8  # chunks at once: bounds the memory on machines with many cores


class NumpyPosterior(BasePosterior):
    """Posterior draws of a trained network, computed by NumPy.

    It has the interface and the random numbers of `skbcnn.network.tensorflow.posterior.Posterior`, so that the results
    of the two differ only by float32 rounding.

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
        Largest number of spectra computed at once. Smaller chunks are filled up with zeros, since matrix products of
        other sizes round differently: the result for a star must not depend on its neighbours. Columns of the products
        that round differently from the others stay empty.

    Raises
    ------
    ValueError
        If `numpy_activation` does not know the activation.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.posterior import NumpyPosterior
    >>> from skbcnn.network.spec import NetworkSpec
    >>> spec = NetworkSpec(n_pixels=40, windows=(None, (3, 4, 5)), widening=((1, 1), (1, 1)))
    >>> weights = {name: np.full(shape, 0.01, dtype=np.float32) for name, shape in spec.weight_shapes.items()}
    >>> posterior = NumpyPosterior(spec, weights, seed=0)
    >>> (moments,) = posterior.moments([(np.ones((2, 40)), None)], n_draws=10)
    >>> moments.mean.shape, bool((moments.model_variance > 0).all())
    ((2, 2), True)
    """

    def __init__(self, spec: NetworkSpec, weights: Mapping[str, np.ndarray], seed: int) -> None:
        self.spec = spec
        self._layers = Layers(spec, weights)
        of_spectrum = 4 * spec.n_pixels * sum(spec.num_filters)
        self._n_columns = chunk_size(of_spectrum, _CHUNK_BYTES, _MAX_COLUMNS, _MIN_COLUMNS)
        self._columns = equally_rounded_columns(self._n_columns)
        self.chunk = len(self._columns)
        self._draw_cache = DrawCache(spec, seed, lambda masks, n_draws: pack_masks(spec, masks))

    @contextmanager
    def _threads(self) -> Iterator[int]:
        with ONE_THREAD_PER_PRODUCT as n_threads:
            yield min(n_threads, _MAX_THREADS)

    def _chunk_moments(
        self, x: np.ndarray, x_err: np.ndarray | None, n_draws: int, keep_draws: bool
    ) -> tuple[Moments, np.ndarray]:
        """Accumulate the moments of one chunk by Welford's update."""
        columns = self._columns[: len(x)]
        kept = []
        mean = squares = logvar = np.zeros(())
        for count, outputs in enumerate(self._draws(self._columns_of(x), x_err, n_draws), start=1):
            mean_of_draw, logvar_of_draw = outputs.astype(float)
            if keep_draws:
                kept.append(outputs[0][:, columns].T)
            difference = mean_of_draw - mean
            mean = mean + difference / count
            squares = squares + difference * (mean_of_draw - mean)
            logvar = logvar + np.clip(logvar_of_draw, -LOGVAR_LIMIT, LOGVAR_LIMIT)  # as in the loss
        found = mean, squares / n_draws, np.exp(logvar / n_draws)
        return Moments(*(part.T[columns] for part in found)), np.array(kept)

    def _draws(self, x: np.ndarray, x_err: np.ndarray | None, n_draws: int) -> Iterator[np.ndarray]:
        """Yield the outputs of each draw (2, n_labels, columns). Steps that draws have in common are computed once."""
        layers, masks = self._layers, self._draw_cache.masks(n_draws)
        per_mask = {place: draws_per_mask(place, n_draws) for place in masks}
        if x_err is not None:
            error, noise = self._columns_of(x_err), self._draw_cache.noise(n_draws)
        with np.errstate(all="ignore"):  # infinite outputs are possible, as in TensorFlow
            for draw in range(n_draws):
                of_draw = {place: values[draw // per_mask[place]] for place, values in masks.items()}
                is_new = x_err is not None  # noise makes each draw differ from the first pixel on
                if is_new or draw == 0:
                    spectra = x if x_err is None else x + noise[draw][:, None] * error
                    pixels, hidden = layers.features(spectra)
                if is_new or draw % per_mask["conv1"] == 0:
                    flat = layers.flat(pixels, of_draw["conv1"])
                if is_new or draw % per_mask["flat"] == 0:
                    first = layers.first_dense(flat, of_draw["flat"])
                yield layers.outputs(first, hidden, of_draw)

    def _columns_of(self, x: np.ndarray) -> np.ndarray:
        """Return spectra along the last axis, with zeros in the columns that stay empty: (n_pixels, columns)."""
        columns = np.zeros((self.spec.n_pixels, self._n_columns), dtype=np.float32)
        columns[:, self._columns[: len(x)]] = np.transpose(x)
        return columns
