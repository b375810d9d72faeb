"""The network as posterior draws use it: a few draws at a time, for many spectra.

It is the graph of `keras_network` in another form, because all spectra share the masks of a draw. Spectra run along the
last axis, where a CPU works on many of them at once, so that convolutions with their one, two and four channels are
sums of shifted arrays. Masks scale kernels, which are small, instead of activations; only the mask between the
convolutions multiplies activations. What does not depend on masks is computed once (`DrawGraph.features`), the rest for
each group of draws that share the mask of the first convolution (`DrawGraph.outputs`).

References
----------
.. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from skbcnn.network.spec import NetworkSpec
from skbcnn.network.tensorflow.activations import activation
from skbcnn.network.tensorflow.runtime import Tensor, tf

Tensors = Mapping[str, Tensor]


class DrawGraph:
    """The functions of a network. They hold no weights.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.activation = activation(spec.activation)
        self.windows = [self._padded([spec.windows[j] or () for j in group.labels]) for group in spec.groups]

    def _padded(self, windows: Sequence[tuple[int, ...]]) -> np.ndarray:
        """Return windows of one length. Narrow ones are filled up with the pixel after the last one, which is zero."""
        widest = max(map(len, windows))
        return np.array([(*window, *[self.spec.n_pixels] * (widest - len(window))) for window in windows])

    def features(self, weights: Tensors, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute everything that no mask can change.

        Parameters
        ----------
        weights : dict of str to tensor
            Weights from `weight_tensors`.
        x : tensor of shape (n, n_pixels)
            Normalised spectra.

        Returns
        -------
        pixels : tensor of shape (n_pixels with padding, filters, n)
            First convolution.
        hidden : list of tensor of shape (labels, width_1, n)
            First window layer of each group.
        """
        x = tf.transpose(x)
        pixels = self.activation(self._first_convolution(weights, x))
        pixels = tf.pad(pixels, (self.spec.padding, (0, 0), (0, 0)))
        hidden = [
            self.activation(self._first_window_layer(weights, in_windows, f"group{number}"))
            for number, in_windows in enumerate(self._pixels_in_windows(x))
        ]
        return pixels, hidden

    def outputs(self, weights: Tensors, features: tuple[Tensor, list[Tensor]], masks: Tensors) -> Tensor:
        """Compute the outputs of a group of draws.

        Parameters
        ----------
        weights : dict of str to tensor
            Weights from `weight_tensors`.
        features : tuple
            Result of `features`.
        masks : dict of str to tensor
            Masks of one group, from `mask_tensors`.

        Returns
        -------
        outputs : tensor of shape (n_draws, 2, n_labels, n)
            Means, then log-variances, in normalised units.
        """
        pixels, hidden = features
        full = self._full(weights, pixels, masks)
        outputs, context = self._read_full(weights, full)
        for number, of_group in enumerate(hidden):
            outputs.append(self._read_windows(weights, of_group, context, masks, f"group{number}"))
        return tf.gather(tf.concat(outputs, axis=2), self.spec.label_order, axis=2)

    def _convolution(self, x: Tensor, kernel: Tensor, n_out: int, mask: Tensor = None) -> Tensor:
        """Convolve (pixels, inputs, n) with (length, inputs, outputs) to (n_out, outputs, n): sum of shifted arrays.

        Each of them is masked by itself, so that the compiler makes one loop of everything.
        """
        length, n_in, _ = kernel.shape
        shifted = [[x[k : k + n_out, channel, None] for channel in range(n_in)] for k in range(length)]
        if mask is not None:
            for k, channel in np.ndindex(length, n_in):
                shifted[k][channel] *= mask[k : k + n_out, channel, None]
        terms = [kernel[k, channel][:, None] * shifted[k][channel] for k, channel in np.ndindex(length, n_in)]
        return sum(terms[1:], terms[0])

    def _first_convolution(self, weights: Tensors, x: Tensor) -> Tensor:
        """Map (n_pixels, n) to (n_pixels, filters, n), without activation."""
        x = tf.pad(x, (self.spec.padding, (0, 0)))[:, None]
        return self._convolution(x, weights["conv1"][:, None], self.spec.n_pixels) + weights["conv1.bias"]

    def _pixels_in_windows(self, x: Tensor) -> list[Tensor]:
        """Select the pixels of the windows of each group: (n_pixels, n) to (labels, widest window, n)."""
        x = tf.pad(x, ((0, 1), (0, 0)))
        return [tf.reshape(tf.gather(x, window.ravel()), (*window.shape, -1)) for window in self.windows]

    def _first_window_layer(self, weights: Tensors, in_windows: Tensor, name: str) -> Tensor:
        """Map (labels, widest window, n) to (labels, width_1, n), without activation."""
        return tf.matmul(weights[f"{name}.hidden1"], in_windows) + weights[f"{name}.hidden1.bias"]

    def _full(self, weights: Tensors, pixels: Tensor, masks: Tensors) -> Tensor:
        """Compute the second full-spectrum layer of each draw: (draws, width, n)."""
        kernels = self._full_kernels(weights, masks)
        pooled = self._pool(self._second_convolution(weights, pixels, masks))
        return self.activation(self._dense(weights, kernels, pooled)[1])

    def _second_convolution(self, weights: Tensors, pixels: Tensor, masks: Tensors) -> Tensor:
        """Map (n_pixels with padding, filters, n) to (pools, pixels of a pool, filters, n), without activation."""
        spec = self.spec
        x = self._convolution(pixels, weights["conv2"], spec.n_pooled * spec.pool_size, masks["conv1"])
        x = x + weights["conv2.bias"]
        return tf.reshape(x, (spec.n_pooled, spec.pool_size, spec.num_filters[1], pixels.shape[-1]))

    def _pool(self, x: Tensor) -> Tensor:
        """Apply the activation and take the maximum over each pool: (n_flat, n)."""
        activates_after = self.spec.activates_after_pooling
        x = x if activates_after else self.activation(x)
        pooled = x[:, 0]
        for place in range(1, self.spec.pool_size):
            pooled = tf.maximum(pooled, x[:, place])
        return tf.reshape(self.activation(pooled) if activates_after else pooled, (self.spec.n_flat, x.shape[-1]))

    def _full_kernels(self, weights: Tensors, masks: Tensors) -> tuple[Tensor, Tensor]:
        """Return the masked kernels of both full-spectrum layers.

        Their shapes are (n_flats * h0, n_flat) and (n_flats, draws of each * h1, h0), with `n_flats` different masks at
        "flat", and h0 and h1 units in the two layers.
        """
        spec = self.spec
        n_flats, h0 = masks["flat"].shape[0], spec.num_hidden[0]
        return (
            tf.reshape(weights["full1"] * masks["flat"][:, None], (n_flats * h0, spec.n_flat)),
            tf.reshape(weights["full2"] * masks["full1"][:, None], (n_flats, -1, h0)),
        )

    def _dense(self, weights: Tensors, kernels: tuple[Tensor, Tensor], pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both full-spectrum layers without activation: (n_flats, h0, n) and (draws, h1, n)."""
        first, second = kernels
        n, (h0, h1) = pooled.shape[-1], self.spec.num_hidden[:2]
        x = tf.reshape(tf.matmul(first, pooled), (-1, h0, n)) + weights["full1.bias"]
        return x, tf.reshape(tf.matmul(second, self.activation(x)), (-1, h1, n)) + weights["full2.bias"]

    def _read_full(self, weights: Tensors, full: Tensor) -> tuple[list[Tensor], Tensor]:
        """Compute the outputs of the full-spectrum labels, and the context of all draws: (draws, n_context, n)."""
        n_draws, _, n = full.shape
        n_full = len(self.spec.full_labels)
        if "full_heads" not in weights:
            return [], full[:, :0]
        kernel = weights["full_heads"]
        heads = tf.matmul(tf.broadcast_to(kernel, (n_draws, *kernel.shape)), full) + weights["full_heads.bias"]
        outputs = [tf.reshape(heads[:, : 2 * n_full], (n_draws, 2, n_full, n))] if n_full else []
        return outputs, tf.concat([heads[:, 2 * n_full :], heads[:, :n_full]], axis=1)

    def _read_windows(self, weights: Tensors, hidden: Tensor, context: Tensor, masks: Tensors, name: str) -> Tensor:
        """Compute the outputs of the labels of a group: (draws, 2, labels, n)."""
        kernel = self._window_kernel(weights, masks, name)
        x = self.activation(self._second_window_layer(weights, kernel, hidden, context, name))
        kernel = weights[f"{name}.heads"][:, None] * masks[f"{name}.hidden2"][:, :, None]
        from_window = tf.transpose(tf.matmul(kernel, x), (1, 2, 0, 3))
        from_context = self._times_context(weights[f"{name}.heads.context"], context)
        from_context = tf.transpose(from_context, (0, 2, 1, 3))
        return from_window + from_context + tf.transpose(weights[f"{name}.heads.bias"])[:, :, None]

    def _window_kernel(self, weights: Tensors, masks: Tensors, name: str) -> Tensor:
        """Return the masked kernels of the second window layer: (labels, draws * width_2, width_1)."""
        kernel = weights[f"{name}.hidden2"][:, None] * masks[f"{name}.hidden1"][:, :, None]
        return tf.reshape(kernel, (kernel.shape[0], -1, kernel.shape[-1]))

    def _second_window_layer(
        self, weights: Tensors, kernel: Tensor, hidden: Tensor, context: Tensor, name: str
    ) -> Tensor:
        """Map (labels, width_1, n) and (draws, n_context, n) to (labels, draws, width_2, n), without activation."""
        shape = hidden.shape[0], context.shape[0], -1, hidden.shape[-1]
        x = tf.reshape(tf.matmul(kernel, hidden), shape) + weights[f"{name}.hidden2.bias"]
        if self.spec.n_hidden_context:
            x += tf.transpose(self._times_context(weights[f"{name}.hidden2.context"], context), (1, 0, 2, 3))
        return x

    def _times_context(self, kernel: Tensor, context: Tensor) -> Tensor:
        """Multiply (labels, units, n_context) with the context (draws, n_context, n): (draws, labels, units, n)."""
        (n_labels, n_units, n_context), (n_draws, _, n) = kernel.shape, context.shape
        kernel = tf.reshape(kernel, (n_labels * n_units, n_context))
        product = tf.matmul(tf.broadcast_to(kernel, (n_draws, *kernel.shape)), context)
        return tf.reshape(product, (n_draws, n_labels, n_units, n))
