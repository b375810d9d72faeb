"""How far the answers of a network change with each pixel: derivatives of its means, averaged over posterior draws.

A pixel reaches a label on two ways: through the context, which all labels with a window are told, and, where it lies
in the window of the label, through its window layers. The context is few numbers, among them the means of all labels
without a window: for these alone the full spectrum is gone back through. What is made of them (`Rows`) is averaged over
the draws:

- Where the context is told to the output heads alone, labels add its numbers up by plain weights, which no mask
  touches. So the numbers are averaged, and `row_weights` tells what the labels make of them, on any way.
- Where it is told to the second window layers, too, labels make another thing of it in each star and draw. So it is
  the labels that are averaged, and one must know beforehand which ways are open to them.

Reverse mode: derivatives by a layer are traced back to the layer before, all numbers of the context at once. What
the activations and the maximum over a pool contribute is told by automatic differentiation; the linear maps between
them are transposed here, since of a sum of shifted arrays TensorFlow makes a gradient that takes ten times as long.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skbcnn.network.chunks import in_order
from skbcnn.network.masks import n_sharing
from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.compiling import fused, is_large
from skbcnn.network.tensorflow.draw_graph import DrawGraph, mask_tensors, overhang, stack_weights
from skbcnn.network.tensorflow.runtime import tf

_MAX_CHUNK = 128
_AT_ONCE = 2  # chunks: one fills the gaps in which the other leaves a core idle
# Of the derivatives by what lies between the convolutions, and of their sums over the draws: measured, more is slower.
_CHUNK_BYTES, _SUM_BYTES = 10 * 2**20, 24 * 2**20


@dataclass(frozen=True)
class Rows:
    """Of what the derivatives through the full spectrum are averaged over the draws.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    n_open : int or None
        Rows are the means of the labels, and this many numbers of the context, the first ones, are open ways to those
        with a window. None: rows are the numbers of the context, and what labels make of them is left to others.

    Attributes
    ----------
    labels : tuple of int or None
        In the order of the rows, if these are labels.

    Examples
    --------
    >>> from skbcnn.network.tensorflow.derivatives import Rows
    >>> from skbcnn.network.spec import NetworkSpec
    >>> windows = {"n_pixels": 40, "windows": ((3, 4), None), "widening": ((1, 1), (1, 1))}
    >>> spec = NetworkSpec(**windows, context_layer="hidden")
    >>> Rows.on(spec, "total").labels
    (1, 0)
    >>> len(Rows.on(spec, "window")), len(Rows.on(NetworkSpec(**windows), "total"))  # two free numbers, and a mean
    (3, 3)
    """

    spec: NetworkSpec
    n_open: int | None = None

    @classmethod
    def on(cls, spec, path):
        """Rows from which the derivatives on some ways follow.

        Parameters
        ----------
        spec : NetworkSpec
            Of the network.
        path : {"total", "stopped", "window"}
            As in `Sensitivity`.

        Returns
        -------
        rows : Rows
        """
        n_open = _n_open(spec, path)
        return cls(spec, n_open if spec.n_hidden_context and spec.groups and n_open else None)

    @property
    def labels(self):
        told = (j for group in self.spec.groups for j in group.labels)
        return None if self.n_open is None else (*self.spec.full_labels, *told)

    def __len__(self):
        return self.spec.n_context if self.labels is None else len(self.labels)


def _n_open(spec, path):
    """How many numbers of the context are open; the free ones are the first."""
    return {"total": spec.n_context, "stopped": spec.n_free, "window": 0}[path]


def row_weights(spec, weights, path):
    """How much the mean of each label changes with each row.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`.
    path : {"total", "stopped", "window"}
        As in `Sensitivity`.

    Returns
    -------
    row_weights : ndarray of shape (n_labels, n_rows), float32
    """
    rows, n_open = Rows.on(spec, path), _n_open(spec, path)
    found = np.zeros((spec.n_labels, len(rows)), dtype=np.float32)
    if rows.labels is not None:
        found[rows.labels, range(len(rows))] = 1
        return found
    found[spec.full_labels, range(spec.n_free, spec.n_context)] = 1  # they are numbers of the context
    for group in spec.groups:
        for j in group.labels:
            found[j, :n_open] = weights[f"label{j}.mean.kernel"][group.width_2 :][:n_open, 0]
    return found


class Slopes(NamedTuple):
    """Derivatives by the pixels, averaged over the draws, in normalised units, float32.

    Attributes
    ----------
    rows : ndarray of shape (n, n_rows, n_pixels)
        Through the full spectrum, of what `Rows` says.
    windows : dict of int to ndarray of shape (n, n_window_pixels)
        Of the mean of each label with a window, by the pixels in it, with the context held fixed.
    """

    rows: np.ndarray
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
    path : {"total", "stopped", "window"}
        Which ways lead from the context to the labels with a window: all; the free numbers, but not the means of
        other labels; none.

    Attributes
    ----------
    chunk : int
        Spectra taken at once. Fewer are filled up to it, so that a star's arithmetic never depends on its neighbours.
    row_weights : ndarray of shape (n_labels, n_rows), float32
        How much the mean of each label changes with each row of `Slopes`.
    """

    def __init__(self, spec, weights, seed, n_draws, path):
        self.spec, self.n_draws, self.rows = spec, n_draws, Rows.on(spec, path)
        self.chunk, self.row_weights = chunk_size(self.rows), row_weights(spec, weights, path)
        # labels make another thing of each draw, which must then go back by itself
        self._n_together = n_sharing("conv1", n_draws) if self.rows.labels is None else 1
        self._masks = mask_tensors(spec, seed, n_draws, self._n_together)
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
        compiled = _compiled(self.rows, self.chunk, self._n_together)
        rows, windows = compiled(self._weights, self._masks, np.int32(self.n_draws), filled_up)
        of_label = {}
        for group, slopes in zip(self.spec.groups, windows, strict=True):
            for j, of_stars in zip(group.labels, slopes.numpy(), strict=True):
                of_label[j] = of_stars[: len(x), : len(self.spec.windows[j])]
        return Slopes(rows.numpy()[: len(x)], of_label)


def chunk_size(rows):
    """How many spectra are taken at once.

    Parameters
    ----------
    rows : Rows
        What is averaged over the draws.

    Returns
    -------
    chunk : int
        At most 128, and fewer of long spectra and of networks with many labels that are rows, or have no window.
    """
    of_row = 4 * rows.spec.n_pixels * rows.spec.num_filters[0]
    sizes = (_CHUNK_BYTES, rows.spec.n_context), (_SUM_BYTES, len(rows))
    fitting = min(n_bytes // (of_row * max(n_rows, 1)) for n_bytes, n_rows in sizes)
    return min(_MAX_CHUNK, max(fitting // 16 * 16, min(fitting, 16), 1))


class SlopeGraph(DrawGraph):
    """The functions that trace derivatives back through the network of a spec. They hold no weights.

    Numbers of the context, and rows, stand on the axis before the spectra. What several draws share is gone back
    through once, with the sum of the derivatives of those draws.

    Parameters
    ----------
    rows : Rows
        What is averaged over the draws.
    """

    def __init__(self, rows):
        spec = rows.spec
        super().__init__(spec)
        self.rows, self.n_rows = rows, len(rows)
        beyond, pool = spec.kernel_size - 1, spec.pool_size
        n_behind = spec.n_pixels + beyond - spec.n_pooled * pool
        self._pools_beyond = -(-beyond // pool), -(-n_behind // pool)

    def of_draws(self, weights, features, masks, counts):
        """Derivatives by what no mask can change, summed over a group of draws.

        Parameters
        ----------
        weights : dict of str to tensor
            From `stack_weights`.
        features : tuple
            From `features`.
        masks : dict of str to tensor
            Of one group, from `stack_masks`.
        counts : tensor of shape (n_draws,)
            1 for draws that count, 0 for those that only fill up the group.

        Returns
        -------
        by_pixels : tensor of shape (n_pixels with overhang, filters, n_context, n)
            Of the context, by what the first convolution makes of the pixels.
        by_context : tensor of shape (n_context, n_rows, n), or None
            Of rows that are labels, by the context: of one draw, since then each is a group of its own.
        by_hidden : list of tensor of shape (labels, width_1, n)
            Of the means of each group, by the first window layer, the context held fixed.
        """
        pixels, hidden = features
        pooled, slope = self._to_pools(weights, pixels, masks)
        kernels = self._full_kernels(weights, masks)
        layers = self._dense(weights, kernels, pooled)
        _, context = self._read_full(weights, self.activation(layers[1]))
        by_second = {
            f"group{number}": self._to_second_window_layer(weights, of_group, context, masks, f"group{number}")
            for number, of_group in enumerate(hidden)
        }
        by_hidden = [self._to_hidden(weights, by, masks, counts, name) for name, by in by_second.items()]
        if self.spec.n_context == 0:
            return self.no_slopes(pixels), None, by_hidden
        by_pooled = self._through_dense(weights, kernels, layers, counts)
        by_context = None if self.rows.labels is None else self._to_context(weights, by_second)
        return self._through_pools(weights, by_pooled, slope, masks), by_context, by_hidden

    def add(self, so_far, by_pixels, by_context, by_hidden):
        """Derivatives of one more group of draws, made into those of the rows, and added.

        Parameters
        ----------
        so_far : tuple
            Of the rows, by what the first convolution makes of the pixels: (n_pixels with overhang, filters, n_rows,
            n); and what is as `by_hidden`.
        by_pixels, by_context, by_hidden
            From `of_draws`.

        Returns
        -------
        so_far : tuple
        """
        if by_context is not None:
            numbers = range(self.spec.n_context)
            by_pixels = sum(by_pixels[:, :, number, None] * by_context[number] for number in numbers)
        return tf.nest.map_structure(tf.add, so_far, (by_pixels, by_hidden))

    def to_pixels(self, weights, x, by_pixels):
        """Derivatives by the pixels of the spectra, from those by what the first convolution makes of them.

        Parameters
        ----------
        weights : dict of str to tensor
            From `stack_weights`.
        x : tensor of shape (n, n_pixels)
            Normalised spectra.
        by_pixels : tensor of shape (n_pixels with overhang, filters, n_rows, n)
            Sum or average over the draws.

        Returns
        -------
        slopes : tensor of shape (n, n_rows, n_pixels)
        """
        spec, (left, _) = self.spec, overhang(self.spec)
        slope = _slope(self.activation, self._first_convolution(weights, tf.transpose(x)))
        n, beyond = x.shape[0], spec.kernel_size - 1
        before = by_pixels[left : left + spec.n_pixels] * slope[:, :, None]
        before = tf.reshape(before, (spec.n_pixels, spec.num_filters[0], self.n_rows * n))
        before = tf.pad(before, ((beyond, beyond), (0, 0), (0, 0)))
        found = self._transposed_convolution(before, weights["conv1"][:, None])[left : left + spec.n_pixels]
        return tf.transpose(tf.reshape(found, (spec.n_pixels, self.n_rows, n)), (2, 1, 0))

    def to_seen(self, weights, x, by_hidden):
        """Derivatives by the pixels of the windows, from those by the first window layers.

        Parameters
        ----------
        weights, x : tensors
            As in `to_pixels`.
        by_hidden : list of tensor of shape (labels, width_1, n)
            Sum or average over the draws.

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
        """Zeros in the shape of the derivatives of the rows by what the first convolution makes of the pixels."""
        return tf.zeros((*pixels.shape[:2], self.n_rows, pixels.shape[-1]))

    def _to_second_window_layer(self, weights, hidden, context, masks, name):
        """Derivatives of the means of a group by that layer, before its activation: (labels, draws, width_2, n)."""
        kernel = self._window_kernel(weights, masks, name)
        before = self._second_window_layer(weights, kernel, hidden, context, name)
        heads = weights[f"{name}.heads"][:, None, 0] * masks[f"{name}.hidden2"]
        return heads[..., None] * _slope(self.activation, before)

    def _to_hidden(self, weights, by_second, masks, counts, name):
        """From there to the first window layer, summed over the draws: (labels, width_1, n)."""
        kernel = self._window_kernel(weights, masks, name)
        by_second = tf.reshape(by_second * counts[:, None, None], (*kernel.shape[:2], by_second.shape[-1]))
        return tf.matmul(kernel, by_second, transpose_a=True)

    def _to_context(self, weights, by_second):
        """From the second window layers of one draw to the context, for rows that are labels: (numbers, rows, n)."""
        spec = self.spec
        told = [
            tf.matmul(weights[f"{name}.hidden2.context"], by[:, 0], transpose_a=True)
            + weights[f"{name}.heads.context"][:, 0, :, None]
            for name, by in by_second.items()
        ]
        told = tf.transpose(tf.concat(told, axis=0), (1, 0, 2))
        is_open = (np.arange(spec.n_context) < self.rows.n_open).astype(np.float32)[:, None, None]
        means = tf.eye(spec.n_context)[:, spec.n_free :, None] * tf.ones(told.shape[-1])
        return tf.concat([means, told * is_open], axis=1)

    def _to_pools(self, weights, pixels, masks):
        """The pools, and the derivatives of each by its pixels: (n_flat, n) and (pools, pixels of a pool, filters, n).

        Of the latter there are some more, which are 0: as far as the filters hang over.
        """
        convolved = self._second_convolution(weights, pixels, masks)
        slope = tf.pad(_slope(self._pool, convolved), (self._pools_beyond, (0, 0), (0, 0), (0, 0)))
        return self._pool(convolved), slope

    def _through_dense(self, weights, kernels, layers, counts):
        """Derivatives of the context by the pools, summed over the draws: (pools, 1, filters, n_context, n)."""
        spec, (first, second), (hidden, full) = self.spec, kernels, layers
        n, n_full, n_flats = full.shape[-1], len(spec.full_labels), second.shape[0]
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
        """From derivatives by the pools to those by what the first convolution makes of the pixels."""
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
def _compiled(rows, chunk, n_together):
    """The loop over the draws, for any model of a spec; it holds no weights. Traced once for any number of draws."""
    graph, large = SlopeGraph(rows), is_large(rows.spec)
    features, to_pixels, to_seen = (fused(of, large) for of in (graph.features, graph.to_pixels, graph.to_seen))

    of_draws, add = (fused(of, large) for of in (graph.of_draws, graph.add))  # in one, rows would each do all anew

    def slopes(weights, masks, n_draws, x):
        seen = features(weights, x)

        def body(group, so_far):
            of_group = {place: values[group] for place, values in masks.items()}
            counts = tf.cast(group * n_together + tf.range(n_together) < n_draws, tf.float32)
            return group + 1, add(so_far, *of_draws(weights, seen, of_group, counts))

        start = graph.no_slopes(seen[0]), [tf.zeros_like(part) for part in seen[1]]
        n_groups = tf.shape(masks["conv1"])[0]
        _, (by_pixels, by_hidden) = tf.while_loop(
            lambda group, _: group < n_groups, body, (0, start), parallel_iterations=1
        )
        count = tf.cast(n_draws, tf.float32)
        return to_pixels(weights, x, by_pixels / count), to_seen(weights, x, [part / count for part in by_hidden])

    return tf.function(slopes, autograph=False, reduce_retracing=True)
