"""The network and its posterior in plain NumPy: what a trained model needs once TensorFlow is gone.

It shares with the rest of the package what a network is (`spec`) and the random numbers of its draws (`masks`), and
reads the graph of Leung & Bovy (2019) anew, so that each of the two tells whether the other is right.

Spectra run along the last axis: layers are then products of a small matrix with a tall one, which a processor does
best, and a pattern of dropped units, the same for all spectra, need not meet what they hold, but scales the kernel or
picks its rows. NumPy is slow where a product is small, and slower where an array is gone through again and again, so a
convolution is neither a sum of shifted arrays nor a product for each pixel, but one for each frame of a few.

References
----------
.. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
.. [2] Gal & Ghahramani (2016), ICML, section 3: dropout masks as draws from the posterior over weights.
"""

import functools

import numpy as np

from skbcnn.network.chunks import in_order
from skbcnn.network.masks import Kept, draw_flux_noise, draw_masks, n_sharing
from skbcnn.network.moments import LOGVAR_LIMIT, Moments
from skbcnn.network.numpy.activations import numpy_activation
from skbcnn.network.numpy.blas import ONE_THREAD_A_PRODUCT, columns_alike

_MOST_COLUMNS, _FEWEST_COLUMNS = 144, 32  # of a product, each a spectrum; 16 of them may have to stay empty
_CHUNK_BYTES = 32 * 2**20  # of what lies between the convolutions
_MOST_AT_ONCE = 8  # chunks: bounds memory on machines of many cores
_FRAME = 4  # pixels convolved by one product: measured, fewer are too many products, more are too many zeros
_BLOCK = 512  # pixels, whole frames, until what was made of them is used


def forward(spec, weights, x, masks=None):
    """Compute one network: with dropout off, or as one posterior draw.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`.
    x : array-like of shape (n, n_pixels)
        Normalised spectra.
    masks : mapping of str to array-like, default=None
        What the units at each place of `NetworkSpec.dropout_sizes` are multiplied by: 0 where they are dropped. None:
        dropout is off.

    Returns
    -------
    mean, logvar : ndarray of shape (n, n_labels), float32
        In normalised units.

    Raises
    ------
    ValueError
        If the activation is not among those of `numpy_activations`.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.forward import forward
    >>> from skbcnn.network.spec import NetworkSpec
    >>> spec = NetworkSpec(n_pixels=1, windows=(None,), widening=((1, 1),), num_hidden=(1,) * 5, num_filters=(1, 1))
    >>> weights = {name: np.full(shape, 2.0, dtype=np.float32) for name, shape in spec.weight_shapes.items()}
    >>> forward(spec, weights, [[3.0]])[0]  # two convolutions, two layers and a head, each 2 x + 2
    array([[158.]], dtype=float32)
    """
    layers = _Layers(spec, weights)
    if masks is None:
        masks = {place: np.ones(size) for place, size in spec.dropout_sizes.items()}
    masks = layers.stack_masks({place: np.reshape(mask, (1, -1)).astype(np.float32) for place, mask in masks.items()})
    of_draw = {place: mask[0] for place, mask in masks.items()}
    with np.errstate(all="ignore"):  # infinity is an answer, as it is TensorFlow's
        pixels, hidden = layers.features(np.ascontiguousarray(np.transpose(x), dtype=np.float32))
        first = layers.first_dense(layers.flat(pixels, of_draw["conv1"]), of_draw["flat"])
        mean, logvar = layers.outputs(first, hidden, of_draw)
    return mean.T, logvar.T


class NumpyPosterior:
    """Trained weights and their draws, ready to be asked: as `posterior.Posterior`, without TensorFlow.

    Both have the same draws, so that what they answer differs by float32 rounding only.

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
        Spectra asked at once. Fewer are filled up to it, so that a star's arithmetic never depends on its neighbours:
        a product rounds otherwise where it has another size, and in some of its columns, which stay empty.
    masks, noise : Kept
        Random numbers of a number of draws: `draw_masks`, those of a group of windows as one array, and
        `draw_flux_noise`.

    Raises
    ------
    ValueError
        If the activation is not among those of `numpy_activations`.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.network.numpy.forward import NumpyPosterior
    >>> from skbcnn.network.spec import NetworkSpec
    >>> spec = NetworkSpec(n_pixels=40, windows=(None, (3, 4, 5)), widening=((1, 1), (1, 1)))
    >>> weights = {name: np.full(shape, 0.01, dtype=np.float32) for name, shape in spec.weight_shapes.items()}
    >>> posterior = NumpyPosterior(spec, weights, seed=0)
    >>> (moments,) = posterior.moments([(np.ones((2, 40)), None)], n_draws=10)
    >>> moments.mean.shape, bool((moments.model_variance > 0).all())
    ((2, 2), True)
    """

    def __init__(self, spec, weights, seed):
        self.spec = spec
        self._layers = layers = _Layers(spec, weights)
        self._n_columns = _n_columns(spec)
        self._columns = columns_alike(self._n_columns)
        self.chunk = len(self._columns)
        drawn = functools.partial(draw_masks, spec.dropout_sizes, spec.dropout_rate, seed)
        self.masks = Kept(lambda n_draws: layers.stack_masks(drawn(n_draws)))
        self.noise = Kept(functools.partial(draw_flux_noise, spec.n_pixels, seed))

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
        with ONE_THREAD_A_PRODUCT as n_threads:
            yield from in_order(lambda chunk: self._ask(*chunk, n_draws), chunks, min(n_threads, _MOST_AT_ONCE))

    def _ask(self, x, x_err, n_draws):
        """Moments of one chunk: Welford's update for the spread, as the draws come."""
        mean = squares = logvar = np.zeros(())
        for count, answer in enumerate(self._draws(self._filled_up(x), x_err, n_draws), start=1):
            of_draw, logvar_of_draw = answer.astype(float)
            difference = of_draw - mean
            mean = mean + difference / count
            squares = squares + difference * (of_draw - mean)
            logvar = logvar + np.clip(logvar_of_draw, -LOGVAR_LIMIT, LOGVAR_LIMIT)  # as the loss does
        answer = mean, squares / n_draws, np.exp(logvar / n_draws)
        return Moments(*(part.T[self._columns[: len(x)]] for part in answer))

    def _draws(self, x, x_err, n_draws):
        """Means and log-variances of each draw (2, n_labels, chunk); what draws have in common is computed once."""
        layers, masks, noisy = self._layers, self.masks(n_draws), x_err is not None
        error, noise = (self._filled_up(x_err), self.noise(n_draws)) if noisy else (None, None)
        sharing = {place: 1 if noisy else n_sharing(place, n_draws) for place in ("conv1", "flat")}
        with np.errstate(all="ignore"):  # infinity is an answer, as it is TensorFlow's
            for draw in range(n_draws):
                of_draw = {place: of_all[draw // n_sharing(place, n_draws)] for place, of_all in masks.items()}
                if noisy or draw == 0:
                    pixels, hidden = layers.features(x + noise[draw][:, None] * error if noisy else x)
                if draw % sharing["conv1"] == 0:
                    flat = layers.flat(pixels, of_draw["conv1"])
                if draw % sharing["flat"] == 0:
                    first = layers.first_dense(flat, of_draw["flat"])
                yield layers.outputs(first, hidden, of_draw)

    def _filled_up(self, x):
        """Spectra along the last axis, zeros where there is none: (n_pixels, columns)."""
        filled_up = np.zeros((self.spec.n_pixels, self._n_columns), dtype=np.float32)
        filled_up[:, self._columns[: len(x)]] = np.transpose(x)
        return filled_up


class _Layers:
    """The layers of a network, in the order in which its draws go through them.

    `features` comes before the first mask, `flat` lies between the masks "conv1" and "flat", `first_dense` between
    "flat" and "full1", and `outputs` is the rest.
    """

    def __init__(self, spec, weights):
        self.spec, self.activation = spec, numpy_activation(spec.activation)
        self.weights = {name: np.asarray(values, dtype=np.float32) for name, values in weights.items()}
        self.overhang = (spec.kernel_size - 1) // 2  # of an even filter, the smaller half on the left
        self.n_frames = -(-spec.n_pixels // _FRAME)
        self.n_places = self.n_frames * _FRAME + spec.kernel_size - 1
        self.convolutions = [_frame_kernel(self.weights[f"{layer}.kernel"]) for layer in ("conv1", "conv2")]
        self.full_kernel, self.full_bias = self._full_heads()
        self.groups = [self._group_weights(group) for group in spec.groups]

    def _full_heads(self):
        """All that is read from the full spectrum as one layer: means, log-variances, free numbers."""
        heads = [f"label{j}.{output}" for output in ("mean", "logvar") for j in self.spec.full_labels]
        heads += ["aux"] if self.spec.n_free else []
        none = np.zeros((0, self.spec.num_hidden[1]), dtype=np.float32)  # nothing may be read
        kernel = np.concatenate([none, *(self.weights[f"{head}.kernel"].T for head in heads)])
        return kernel, np.concatenate([none[:, 0], *(self.weights[f"{head}.bias"] for head in heads)])[:, None]

    def _group_weights(self, group):
        """Weights of the labels of a group as one stack, by layer."""

        def stack(name):
            return np.stack([self.weights[f"label{j}.{name}"] for j in group.labels])

        hidden2 = stack("hidden2.kernel").transpose(0, 2, 1)
        heads = np.concatenate([stack("mean.kernel"), stack("logvar.kernel")], axis=2).transpose(0, 2, 1)
        return {
            "hidden2": np.ascontiguousarray(hidden2[:, :, : group.width_1]),
            "hidden2.told": np.ascontiguousarray(hidden2[:, :, group.width_1 :]),  # no inputs, where it is told nothing
            "hidden2.bias": stack("hidden2.bias")[:, :, None],
            "heads": np.ascontiguousarray(heads[:, :, : group.width_2]),
            "heads.told": np.ascontiguousarray(heads[:, :, group.width_2 :]),
            "heads.bias": np.stack([stack("mean.bias"), stack("logvar.bias")], axis=1),
        }

    def stack_masks(self, masks):
        """Masks of many draws by place, those of the labels of a group as one array: (draws, labels, width)."""
        stacked = {place: masks[place] for place in ("conv1", "flat", "full1")}
        for number, group in enumerate(self.spec.groups):
            for layer in ("hidden1", "hidden2"):
                stacked[number, layer] = np.stack([masks[f"label{j}.{layer}"] for j in group.labels], axis=1)
        return stacked

    def features(self, x):
        """Spectra (n_pixels, n) to the pixels after the first convolution (n_places, filters, n), and hidden layers."""
        spec, bias = self.spec, self._bias("conv1")
        pixels = np.zeros((self.n_places, spec.num_filters[0], x.shape[1]), dtype=np.float32)
        for start, block in self._convolved(0, self._padded(x), spec.n_pixels, _BLOCK):
            block += bias
            start += self.overhang
            pixels[start : start + len(block)] = self.activation(block)
        return pixels, [self._hidden(x, group) for group in spec.groups]

    def _hidden(self, x, group):
        """First window layer of the labels of a group: (labels, width_1, n)."""
        layers = [(f"label{j}.hidden1", list(self.spec.windows[j])) for j in group.labels]
        seen = [self.weights[f"{layer}.kernel"].T @ x[window] + self._bias(layer) for layer, window in layers]
        return self.activation(np.stack(seen))

    def flat(self, pixels, mask):
        """Second convolution and pooling: (n_flat, n)."""
        spec, bias, pool = self.spec, self._bias("conv2"), self.spec.pool_size
        flat = np.empty((spec.n_pooled, spec.num_filters[1], pixels.shape[2]), dtype=np.float32)
        whole_pools = max(1, _BLOCK // (_FRAME * pool)) * _FRAME * pool
        mask = self._padded(mask.reshape(spec.n_pixels, -1))
        for start, block in self._convolved(1, pixels, spec.n_pooled * pool, whole_pools, mask):
            block = block.reshape(-1, pool, *block.shape[1:])
            # of a rising activation, the maximum may come first
            block = self.activation(block.max(axis=1) + bias if spec.is_rising else block + bias)
            pooled = block if spec.is_rising else block.max(axis=1)
            flat[start // pool : start // pool + len(pooled)] = pooled
        return flat.reshape(spec.n_flat, -1)

    def first_dense(self, flat, mask):
        """First full-spectrum layer: (h0, n). Units that are dropped are not multiplied at all."""
        kept = np.flatnonzero(mask)
        seen = flat.take(kept, axis=0)
        seen *= mask[kept, None]
        return self.activation(self.weights["full1.kernel"].take(kept, axis=0).T @ seen + self._bias("full1"))

    def outputs(self, first, hidden, masks):
        """Means, then log-variances: (2, n_labels, n)."""
        spec = self.spec
        n_full, n = len(spec.full_labels), first.shape[1]
        full = self.activation((self.weights["full2.kernel"].T * masks["full1"]) @ first + self._bias("full2"))
        heads = self.full_kernel @ full + self.full_bias
        answer = np.empty((2, spec.n_labels, n), dtype=np.float32)
        answer[:, list(spec.full_labels)] = heads[: 2 * n_full].reshape(2, n_full, n)
        context = np.concatenate([heads[2 * n_full :], heads[:n_full]])
        for number, (group, weights) in enumerate(zip(spec.groups, self.groups, strict=True)):
            own = (weights["hidden2"] * masks[number, "hidden1"][:, None]) @ hidden[number] + weights["hidden2.bias"]
            if spec.n_hidden_context:
                own += weights["hidden2.told"] @ context
            own = (weights["heads"] * masks[number, "hidden2"][:, None]) @ self.activation(own)
            of_labels = own + weights["heads.told"] @ context + weights["heads.bias"]
            answer[:, list(group.labels)] = of_labels.transpose(1, 0, 2)
        return answer

    def _bias(self, layer):
        return self.weights[f"{layer}.bias"][:, None]

    def _padded(self, x):
        """Pixels (n_pixels, ...) between zeros, on which the filters hang over at both ends: (n_places, ...)."""
        padded = np.zeros((self.n_places, *x.shape[1:]), dtype=np.float32)
        padded[self.overhang : self.overhang + len(x)] = x
        return padded

    def _convolved(self, number, x, n_pixels, n_block, mask=None):
        """Convolve (n_places, [channels,] n), and yield blocks (pixels, filters, n) with the pixel that each begins at.

        What is made of a block finds it in the cache. Bias and activation are left to whoever takes it. The mask, of
        what goes in, scales the kernel of each frame.
        """
        kernel, n_in = self.convolutions[number], np.prod(x.shape[1:-1], dtype=int)
        n_filters, n = len(kernel) // _FRAME, x.shape[-1]
        frames = _frames(x.reshape(-1, n), kernel.shape[1], n_in)
        factors = None if mask is None else _frames(mask.reshape(-1, 1), kernel.shape[1], n_in).transpose(0, 2, 1)
        for start in range(0, n_pixels, n_block):
            few = slice(start // _FRAME, (start + n_block) // _FRAME)
            block = (kernel if mask is None else kernel * factors[few]) @ frames[few]
            yield start, block.reshape(-1, n_filters, n)[: n_pixels - start]


def _frame_kernel(kernel):
    """A filter (length, channels, filters) as the matrix that applies it to a frame: a Toeplitz matrix.

    Rows are pixels and filters that come out, columns are pixels and channels that go in.
    """
    length, n_channels, n_filters = kernel.shape
    matrix = np.zeros((_FRAME, n_filters, _FRAME + length - 1, n_channels), dtype=np.float32)
    for pixel in range(_FRAME):
        matrix[pixel, :, pixel : pixel + length] = kernel.transpose(2, 0, 1)
    return matrix.reshape(_FRAME * n_filters, -1)


def _frames(x, n_rows, n_channels):
    """Rows that each frame is made of, which overlap: (rows, n) to (n_frames, n_rows, n), nothing copied."""
    frames = np.lib.stride_tricks.sliding_window_view(x, n_rows, axis=0)
    return frames[:: _FRAME * n_channels].transpose(0, 2, 1)


def _n_columns(spec):
    """How many spectra, at most, are computed at once: fewer of long ones."""
    fitting = _CHUNK_BYTES // (4 * spec.n_pixels * sum(spec.num_filters))
    return min(_MOST_COLUMNS, max(_FEWEST_COLUMNS, fitting // 16 * 16))
