"""The graph of the derivatives: reverse mode, for a few posterior draws at a time.

Derivatives with respect to a layer are traced back to the layer before, for all values of the context at once.
TensorFlow differentiates the activations and the maximum over pools. The linear maps between them are transposed here:
the gradient that TensorFlow makes of a sum of shifted arrays takes ten times as long.
"""

from collections.abc import Callable

import numpy as np

from skbcnn.network.tensorflow.derivative_rows import DerivativeRows
from skbcnn.network.tensorflow.draw_graph import DrawGraph, Tensors
from skbcnn.network.tensorflow.runtime import Tensor, tf


class DerivativeGraph(DrawGraph):
    """The functions that trace derivatives back through a network. They hold no weights.

    Values of the context, and rows, are on the axis before the spectra. Layers that several draws share are traced
    back once, with the sum of the derivatives of these draws.

    Parameters
    ----------
    rows : DerivativeRows
        Quantities averaged over the draws.
    """

    def __init__(self, rows: DerivativeRows) -> None:
        spec = rows.spec
        super().__init__(spec)
        self.rows, self.n_rows = rows, len(rows)
        n_before, pool = spec.kernel_size - 1, spec.pool_size
        n_after = spec.n_pixels + n_before - spec.n_pooled * pool
        self._added_pools = -(-n_before // pool), -(-n_after // pool)  # of zeros, for the transposed convolution

    def of_draws(
        self, weights: Tensors, features: tuple[Tensor, list[Tensor]], masks: Tensors, counts: Tensor
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Compute derivatives with respect to the features, which no mask changes, summed over a group of draws.

        Parameters
        ----------
        weights : dict of str to tensor
            Weights from `weight_tensors`.
        features : tuple
            Result of `features`.
        masks : dict of str to tensor
            Masks of one group, from `mask_tensors`.
        counts : tensor of shape (n_draws,)
            1 for the draws of the prediction, 0 for those that fill up the group.

        Returns
        -------
        by_pixels : tensor of shape (n_pixels with padding, filters, n_context, n)
            Derivatives of the context with respect to the first convolution.
        by_context : tensor of shape (n_context, n_rows, n), or None
            Derivatives of the rows with respect to the context, if the rows are labels. Groups then have one draw.
        by_hidden : list of tensor of shape (labels, width_1, n)
            Derivatives of the means of each group with respect to the first window layer, for a fixed context.
        """
        pixels, hidden = features
        pooled, by_convolved = self._pools(weights, pixels, masks)
        kernels = self._full_kernels(weights, masks)
        layers = self._dense(weights, kernels, pooled)
        _, context = self._read_full(weights, self.activation(layers[1]))
        by_second = {
            f"group{number}": self._by_second_window_layer(weights, of_group, context, masks, f"group{number}")
            for number, of_group in enumerate(hidden)
        }
        by_hidden = [self._by_hidden(weights, by, masks, counts, name) for name, by in by_second.items()]
        if self.spec.n_context == 0:
            return self.zeros(pixels), None, by_hidden
        by_pooled = self._by_pooled(weights, kernels, layers, counts)
        by_context = None if self.rows.labels is None else self._by_context(weights, by_second)
        return self._by_pixels(weights, by_pooled, by_convolved, masks), by_context, by_hidden

    def add(
        self,
        sums: tuple[Tensor, list[Tensor]],
        by_pixels: Tensor,
        by_context: Tensor | None,
        by_hidden: list[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Add the derivatives of a group of draws to the sums over the draws.

        Parameters
        ----------
        sums : tuple
            Sum of the derivatives of the rows with respect to the first convolution, (n_pixels with padding, filters,
            n_rows, n), and of `by_hidden`.
        by_pixels, by_context, by_hidden
            Results of `of_draws`.

        Returns
        -------
        sums : tuple
            Sums with this group.
        """
        if by_context is not None:
            numbers = range(self.spec.n_context)
            by_pixels = sum(by_pixels[:, :, number, None] * by_context[number] for number in numbers)
        return tf.nest.map_structure(tf.add, sums, (by_pixels, by_hidden))

    def of_spectra(self, weights: Tensors, x: Tensor, by_pixels: Tensor) -> Tensor:
        """Compute derivatives with respect to the spectra from those with respect to the first convolution.

        Parameters
        ----------
        weights : dict of str to tensor
            Weights from `weight_tensors`.
        x : tensor of shape (n, n_pixels)
            Normalised spectra.
        by_pixels : tensor of shape (n_pixels with padding, filters, n_rows, n)
            Sum or average over the draws.

        Returns
        -------
        derivatives : tensor of shape (n, n_rows, n_pixels)
            Derivatives of the rows.
        """
        spec, left = self.spec, self.spec.padding[0]
        of_activation = _derivative(self.activation, self._first_convolution(weights, tf.transpose(x)))
        n, n_zeros = x.shape[0], spec.kernel_size - 1
        upstream = by_pixels[left : left + spec.n_pixels] * of_activation[:, :, None]
        upstream = tf.reshape(upstream, (spec.n_pixels, spec.num_filters[0], self.n_rows * n))
        upstream = tf.pad(upstream, ((n_zeros, n_zeros), (0, 0), (0, 0)))
        found = self._transposed_convolution(upstream, weights["conv1"][:, None])[left : left + spec.n_pixels]
        return tf.transpose(tf.reshape(found, (spec.n_pixels, self.n_rows, n)), (2, 1, 0))

    def of_windows(self, weights: Tensors, x: Tensor, by_hidden: list[Tensor]) -> list[Tensor]:
        """Compute derivatives with respect to the pixels in windows from those with respect to the first window layers.

        Parameters
        ----------
        weights : dict of str to tensor
            Weights from `weight_tensors`.
        x : tensor of shape (n, n_pixels)
            Normalised spectra.
        by_hidden : list of tensor of shape (labels, width_1, n)
            Sum or average over the draws.

        Returns
        -------
        derivatives : list of tensor of shape (labels, n, widest window)
            Values beyond the end of a narrow window have no meaning.
        """
        found = []
        for number, (in_windows, upstream) in enumerate(
            zip(self._pixels_in_windows(tf.transpose(x)), by_hidden, strict=True)
        ):
            name = f"group{number}"
            upstream *= _derivative(self.activation, self._first_window_layer(weights, in_windows, name))
            found.append(tf.matmul(upstream, weights[f"{name}.hidden1"], transpose_a=True))
        return found

    def zeros(self, pixels: Tensor) -> Tensor:
        """Return zeros in the shape of the derivatives of the rows with respect to the first convolution."""
        return tf.zeros((*pixels.shape[:2], self.n_rows, pixels.shape[-1]))

    def _by_second_window_layer(
        self, weights: Tensors, hidden: Tensor, context: Tensor, masks: Tensors, name: str
    ) -> Tensor:
        """Compute derivatives of the means of a group with respect to the layer: (labels, draws, width_2, n).

        They are those with respect to its values before the activation.
        """
        kernel = self._window_kernel(weights, masks, name)
        layer = self._second_window_layer(weights, kernel, hidden, context, name)
        heads = weights[f"{name}.heads"][:, None, 0] * masks[f"{name}.hidden2"]
        return heads[..., None] * _derivative(self.activation, layer)

    def _by_hidden(self, weights: Tensors, by_second: Tensor, masks: Tensors, counts: Tensor, name: str) -> Tensor:
        """Trace derivatives back to the first window layer, summed over the draws: (labels, width_1, n)."""
        kernel = self._window_kernel(weights, masks, name)
        by_second = tf.reshape(by_second * counts[:, None, None], (*kernel.shape[:2], by_second.shape[-1]))
        return tf.matmul(kernel, by_second, transpose_a=True)

    def _by_context(self, weights: Tensors, by_second: dict[str, Tensor]) -> Tensor:
        """Compute derivatives of rows that are labels with respect to the context of one draw: (n_context, rows, n)."""
        spec = self.spec
        of_groups = [
            tf.matmul(weights[f"{name}.hidden2.context"], of_layer[:, 0], transpose_a=True)
            + weights[f"{name}.heads.context"][:, 0, :, None]
            for name, of_layer in by_second.items()
        ]
        of_windows = tf.transpose(tf.concat(of_groups, axis=0), (1, 0, 2))
        is_open = (np.arange(spec.n_context) < (self.rows.n_open or 0)).astype(np.float32)[:, None, None]
        of_full_labels = tf.eye(spec.n_context)[:, spec.n_free :, None] * tf.ones(of_windows.shape[-1])
        return tf.concat([of_full_labels, of_windows * is_open], axis=1)

    def _pools(self, weights: Tensors, pixels: Tensor, masks: Tensors) -> tuple[Tensor, Tensor]:
        """Compute the pools and their derivatives with respect to the second convolution.

        Their shapes are (n_flat, n) and (pools, pixels of a pool, filters, n), with `_added_pools` of zeros.
        """
        convolved = self._second_convolution(weights, pixels, masks)
        by_convolved = _derivative(self._pool, convolved)
        return self._pool(convolved), tf.pad(by_convolved, (self._added_pools, (0, 0), (0, 0), (0, 0)))

    def _by_pooled(
        self, weights: Tensors, kernels: tuple[Tensor, Tensor], layers: tuple[Tensor, Tensor], counts: Tensor
    ) -> Tensor:
        """Compute derivatives of the context with respect to the pools, summed over the draws.

        Their shape is (pools, 1, filters, n_context, n), with `_added_pools` of zeros.
        """
        spec, (first, second), (hidden, full) = self.spec, kernels, layers
        n, n_full, n_flats = full.shape[-1], len(spec.full_labels), second.shape[0]
        heads = weights["full_heads"]  # means, log-variances, free context units
        context = tf.transpose(tf.concat([heads[2 * n_full :], heads[:n_full]], axis=0))[:, :, None]
        by_full = context * (_derivative(self.activation, full) * counts[:, None, None])[:, :, None]
        by_full = tf.reshape(by_full, (n_flats, -1, spec.n_context * n))
        by_hidden = tf.reshape(tf.matmul(second, by_full, transpose_a=True), (n_flats, -1, spec.n_context, n))
        by_hidden = tf.reshape(by_hidden * _derivative(self.activation, hidden)[:, :, None], (-1, spec.n_context * n))
        by_pooled = tf.matmul(first, by_hidden, transpose_a=True)
        by_pooled = tf.reshape(by_pooled, (spec.n_pooled, 1, spec.num_filters[1], spec.n_context, n))
        return tf.pad(by_pooled, (self._added_pools, (0, 0), (0, 0), (0, 0), (0, 0)))

    def _by_pixels(self, weights: Tensors, by_pooled: Tensor, by_convolved: Tensor, masks: Tensors) -> Tensor:
        """Trace derivatives with respect to the pools back to the first convolution."""
        n_pools, pool, n_filters, n = by_convolved.shape
        upstream = by_pooled * by_convolved[..., None, :]
        upstream = tf.reshape(upstream, (n_pools * pool, n_filters, self.spec.n_context * n))
        start = self._added_pools[0] * pool - (self.spec.kernel_size - 1)
        by_pixels = self._transposed_convolution(upstream[start:], weights["conv2"]) * masks["conv1"]
        return tf.reshape(by_pixels, (*by_pixels.shape[:2], self.spec.n_context, n))

    def _transposed_convolution(self, upstream: Tensor, kernel: Tensor) -> Tensor:
        """Compute derivatives with respect to the input of a convolution: (n_pixels with padding, inputs, n).

        This is a convolution with the reversed kernel; zeros stand before and after `upstream`.
        """
        n_out = self.spec.n_pixels + self.spec.kernel_size - 1
        return self._convolution(upstream, tf.transpose(kernel[::-1], (0, 2, 1)), n_out)


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of the one output that each element of `x` affects."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)
