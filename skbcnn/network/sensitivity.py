"""How far the answers of a network change with each pixel: derivatives of its means, averaged over posterior draws.

A pixel reaches a label on two ways: through the context, which all labels with a window are told, and, where it lies
in the window of the label, through its window layers. The context is few numbers, among them the means of all labels
without a window, and how much each label makes of them is in plain weights that no mask touches (`context_weights`).
So the derivatives of the context and of the window layers (`Slopes`) tell those of all labels on all ways.

Reverse mode: derivatives by a layer are traced back to the layer before, all numbers of the context at once. What
the activations and the maximum over a pool contribute is told by automatic differentiation; the linear maps between
them are transposed here, since of a sum of shifted arrays TensorFlow makes a gradient that takes ten times as long.
"""

import functools
from typing import NamedTuple

import numpy as np

from skbcnn.network.backend import tf
from skbcnn.network.chunks import in_order
from skbcnn.network.compiling import fused, is_large
from skbcnn.network.draws import DrawGraph, overhang, stack_masks, stack_weights
from skbcnn.network.masks import draw_masks, n_sharing

_MAX_CHUNK = 128
_AT_ONCE = 2  # chunks: one fills the gaps in which the other leaves a core idle
_CHUNK_BYTES = 10 * 2**20  # of the derivatives by what lies between the convolutions: measured, more is slower


class Slopes(NamedTuple):
    """Derivatives by the pixels, averaged over the draws, in normalised units, float32.

    Attributes
    ----------
    context : ndarray of shape (n, n_context, n_pixels)
        Of what the labels with a window are told: the free numbers, then the means of the labels without a window.
    windows : dict of int to ndarray of shape (n, n_window_pixels)
        Of the mean of each label with a window, by the pixels in it, with the context held fixed.
    """

    context: np.ndarray
    windows: dict[int, np.ndarray]


class Sensitivity:
    """Trained weights and their draws, ready to be differentiated.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`.
    seed : int
        Of the draws.
    n_draws : int
        How many draws.

    Attributes
    ----------
    chunk : int
        Spectra taken at once. Fewer are filled up to it, so that a star's arithmetic never depends on its neighbours.
    """

    def __init__(self, spec, weights, seed, n_draws):
        self.spec, self.n_draws, self.chunk = spec, n_draws, chunk_size(spec)
        self._n_together = n_sharing("conv1", n_draws)
        masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, seed, n_draws)
        stacked = stack_masks(spec, masks, n_draws, self._n_together)
        self._masks = {place: tf.constant(part) for place, part in stacked.items()}
        self._weights = {name: tf.constant(values) for name, values in stack_weights(spec, weights).items()}

    def slopes(self, chunks):
        """Derivatives at spectra that come in chunks.

        Parameters
        ----------
        chunks : iterable of ndarray of shape (n, n_pixels)
            Normalised spectra, at most `chunk` at a time.

        Yields
        ------
        slopes : Slopes
            Of each chunk.
        """
        yield from in_order(self._ask, chunks, _AT_ONCE)

    def _ask(self, x):
        """Derivatives at one chunk."""
        filled_up = tf.constant(np.pad(x, ((0, self.chunk - len(x)), (0, 0))), tf.float32)
        compiled = _compiled(self.spec, self.chunk, self._n_together)
        context, windows = compiled(self._weights, self._masks, np.int32(self.n_draws), filled_up)
        of_label = {}
        for group, slopes in zip(self.spec.groups, windows, strict=True):
            for j, of_stars in zip(group.labels, slopes.numpy(), strict=True):
                of_label[j] = of_stars[: len(x), : len(self.spec.windows[j])]
        return Slopes(context.numpy()[: len(x)], of_label)


def context_weights(spec, weights, path):
    """How much the mean of each label changes with each number of the context, on the ways that are open.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`.
    path : {"total", "stopped", "window"}
        Which ways lead from the context to the labels with a window: all; the free numbers, but not the means of
        other labels; none.

    Returns
    -------
    context_weights : ndarray of shape (n_labels, n_context), float32
        A label without a window is itself a number of the context.
    """
    found = np.zeros((spec.n_labels, spec.n_context), dtype=np.float32)
    n_open = {"total": spec.n_context, "stopped": spec.n_free, "window": 0}[path]
    for j, window in enumerate(spec.windows):
        if window is None:
            found[j, spec.n_free + spec.full_labels.index(j)] = 1
        else:
            told = weights[f"label{j}.mean.kernel"][spec.widths(j)[1] :, 0]
            found[j, :n_open] = told[:n_open]
    return found


def chunk_size(spec):
    """How many spectra are taken at once.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.

    Returns
    -------
    chunk : int
        At most 128, and fewer of long spectra and of networks with many labels that have no window.
    """
    of_spectrum = 4 * spec.n_pixels * spec.num_filters[0] * max(spec.n_context, 1)
    fitting = _CHUNK_BYTES // of_spectrum
    return min(_MAX_CHUNK, max(fitting // 16 * 16, min(fitting, 16), 1))


class SlopeGraph(DrawGraph):
    """The functions that trace derivatives back through the network of a spec. They hold no weights.

    Numbers of the context stand on the axis before the spectra. What several draws share is gone back through once,
    with the sum of the derivatives of those draws.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    """

    def __init__(self, spec):
        super().__init__(spec)
        beyond, pool = spec.kernel_size - 1, spec.pool_size
        n_behind = spec.n_pixels + beyond - spec.n_pooled * pool
        self._pools_beyond = -(-beyond // pool), -(-n_behind // pool)

    def of_context(self, weights, pixels, masks, counts):
        """Derivatives of the context by what the first convolution makes of the pixels, summed over a group of draws.

        Parameters
        ----------
        weights : dict of str to tensor
            From `stack_weights`.
        pixels : tensor of shape (n_pixels with overhang, filters, n)
            From `features`.
        masks : dict of str to tensor
            Of one group, from `stack_masks`.
        counts : tensor of shape (n_draws,)
            1 for draws that count, 0 for those that only fill up the group.

        Returns
        -------
        by_pixels : tensor of shape (n_pixels with overhang, filters, n_context, n)
        """
        if self.spec.n_context == 0:
            return self.no_slopes(pixels)
        pooled, slope = self._to_pools(weights, pixels, masks)
        return self._through_pools(weights, self._through_dense(weights, pooled, masks, counts), slope, masks)

    def of_windows(self, weights, hidden, masks, counts):
        """Derivatives of the means by the first window layers, the context held fixed, summed over a group of draws.

        Parameters
        ----------
        weights, masks, counts : tensors
            As in `of_context`.
        hidden : list of tensor of shape (labels, width_1, n)
            From `features`.

        Returns
        -------
        by_hidden : list of tensor
            Shaped as `hidden`.
        """
        found = []
        for number, of_group in enumerate(hidden):
            context = tf.zeros((counts.shape[0], self.spec.n_context, of_group.shape[-1]))
            with tf.GradientTape() as tape:
                tape.watch(of_group)
                means = self._read_windows(weights, of_group, context, masks, f"group{number}")[:, 0]
                means *= counts[:, None, None]
            found.append(tape.gradient(means, of_group))  # of their sum: spectra and labels are independent
        return found

    def to_pixels(self, weights, x, by_pixels):
        """Derivatives by the pixels of the spectra, from those by what the first convolution makes of them.

        Parameters
        ----------
        weights : dict of str to tensor
            From `stack_weights`.
        x : tensor of shape (n, n_pixels)
            Normalised spectra.
        by_pixels : tensor of shape (n_pixels with overhang, filters, n_context, n)
            Sum or average of `of_context`.

        Returns
        -------
        slopes : tensor of shape (n, n_context, n_pixels)
        """
        spec, (left, _) = self.spec, overhang(self.spec)
        slope = _slope(self.activation, self._first_convolution(weights, tf.transpose(x)))
        n, beyond = x.shape[0], spec.kernel_size - 1
        before = by_pixels[left : left + spec.n_pixels] * slope[:, :, None]
        before = tf.reshape(before, (spec.n_pixels, spec.num_filters[0], spec.n_context * n))
        before = tf.pad(before, ((beyond, beyond), (0, 0), (0, 0)))
        found = self._transposed_convolution(before, weights["conv1"][:, None])[left : left + spec.n_pixels]
        return tf.transpose(tf.reshape(found, (spec.n_pixels, spec.n_context, n)), (2, 1, 0))

    def to_seen(self, weights, x, by_hidden):
        """Derivatives by the pixels of the windows, from those by the first window layers.

        Parameters
        ----------
        weights, x : tensors
            As in `to_pixels`.
        by_hidden : list of tensor of shape (labels, width_1, n)
            Sum or average of `of_windows`.

        Returns
        -------
        slopes : list of tensor of shape (labels, n, widest window)
            What stands beyond the end of a short window means nothing.
        """
        found = []
        for number, (seen, upstream) in enumerate(zip(self._seen(tf.transpose(x)), by_hidden, strict=True)):
            name = f"group{number}"
            before = upstream * _slope(self.activation, self._first_window_layer(weights, seen, name))
            found.append(tf.matmul(before, weights[f"{name}.hidden1"], transpose_a=True))
        return found

    def no_slopes(self, pixels):
        """Zeros in the shape of what `of_context` gives."""
        return tf.zeros((*pixels.shape[:2], self.spec.n_context, pixels.shape[-1]))

    def _to_pools(self, weights, pixels, masks):
        """The pools, and the derivatives of each by its pixels: (n_flat, n) and (pools, pixels of a pool, filters, n).

        Of the latter there are some more, which are 0: as far as the filters hang over.
        """
        convolved = self._second_convolution(weights, pixels, masks)
        slope = tf.pad(_slope(self._pool, convolved), (self._pools_beyond, (0, 0), (0, 0), (0, 0)))
        return self._pool(convolved), slope

    def _through_dense(self, weights, pooled, masks, counts):
        """Derivatives of the context by the pools, summed over the draws: (pools, 1, filters, n_context, n)."""
        spec = self.spec
        n, n_full, n_flats = pooled.shape[-1], len(spec.full_labels), masks["flat"].shape[0]
        kernels = first, second = self._full_kernels(weights, masks)
        hidden, full = self._dense(weights, kernels, pooled)
        heads = weights["full_heads"]  # the means, the log-variances, the free numbers
        context = tf.transpose(tf.concat([heads[2 * n_full :], heads[:n_full]], axis=0))[:, :, None]
        by_full = context * (_slope(self.activation, full) * counts[:, None, None])[:, :, None]
        by_full = tf.reshape(by_full, (n_flats, -1, spec.n_context * n))
        by_hidden = tf.reshape(tf.matmul(second, by_full, transpose_a=True), (n_flats, -1, spec.n_context, n))
        by_hidden = tf.reshape(by_hidden * _slope(self.activation, hidden)[:, :, None], (-1, spec.n_context * n))
        by_pooled = tf.matmul(first, by_hidden, transpose_a=True)
        by_pooled = tf.reshape(by_pooled, (spec.n_pooled, 1, spec.num_filters[1], spec.n_context, n))
        return tf.pad(by_pooled, (self._pools_beyond, (0, 0), (0, 0), (0, 0), (0, 0)))

    def _through_pools(self, weights, by_pooled, slope, masks):
        """From derivatives by the pools to `of_context`."""
        n_pools, pool, n_filters, n = slope.shape
        by_convolved = tf.reshape(by_pooled * slope[..., None, :], (n_pools * pool, n_filters, self.spec.n_context * n))
        start = self._pools_beyond[0] * pool - (self.spec.kernel_size - 1)
        by_pixels = self._transposed_convolution(by_convolved[start:], weights["conv2"]) * masks["conv1"]
        return tf.reshape(by_pixels, (*by_pixels.shape[:2], self.spec.n_context, n))

    def _transposed_convolution(self, upstream, kernel):
        """Derivatives by what went into a convolution, overhang included: (n_pixels with overhang, inputs, n).

        It is itself a convolution, with the kernel turned round; zeros stand before and behind what comes in.
        """
        n_out = self.spec.n_pixels + self.spec.kernel_size - 1
        return self._convolution(upstream, tf.transpose(kernel[::-1], (0, 2, 1)), n_out)


def _slope(function, x):
    """Derivative of the one number that each number of `x` has an effect on."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


@functools.lru_cache(maxsize=8)
def _compiled(spec, chunk, n_together):
    """The loop over the draws, for any model of a spec; it holds no weights. Traced once for any number of draws."""
    graph, large = SlopeGraph(spec), is_large(spec)
    features, to_pixels, to_seen = (fused(of, large) for of in (graph.features, graph.to_pixels, graph.to_seen))

    def add(weights, features, masks, counts, so_far):
        (pixels, hidden), (by_pixels, by_hidden) = features, so_far
        by_pixels += graph.of_context(weights, pixels, masks, counts)
        of_windows = graph.of_windows(weights, hidden, masks, counts)
        return by_pixels, [before + more for before, more in zip(by_hidden, of_windows, strict=True)]

    add = fused(add, large)

    def slopes(weights, masks, n_draws, x):
        seen = features(weights, x)

        def body(group, so_far):
            of_group = {place: values[group] for place, values in masks.items()}
            counts = tf.cast(group * n_together + tf.range(n_together) < n_draws, tf.float32)
            return group + 1, add(weights, seen, of_group, counts, so_far)

        start = graph.no_slopes(seen[0]), [tf.zeros_like(part) for part in seen[1]]
        n_groups = tf.shape(masks["conv1"])[0]
        _, (by_pixels, by_hidden) = tf.while_loop(
            lambda group, _: group < n_groups, body, (0, start), parallel_iterations=1
        )
        count = tf.cast(n_draws, tf.float32)
        return to_pixels(weights, x, by_pixels / count), to_seen(weights, x, [part / count for part in by_hidden])

    return tf.function(slopes, autograph=False, reduce_retracing=True)
