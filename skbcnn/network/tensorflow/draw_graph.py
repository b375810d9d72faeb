"""The network as its posterior is asked: a few draws at a time, for many spectra.

The graph is that of `architecture`, in a form of its own, because the same masks apply to all spectra. Spectra run
along the last axis, where a processor works on many of them at once, so that the convolutions with their one, two and
four channels are sums of shifted arrays. Masks scale kernels, which are small, not activations; only the first one,
between the convolutions, must multiply what is in between. What comes before the masks is computed once
(`DrawGraph.features`), the rest for each group of draws that share the mask of the first convolution
(`DrawGraph.answers`).

References
----------
.. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
"""

import numpy as np

from skbcnn.network.masks import draw_masks, n_sharing
from skbcnn.network.tensorflow.activations import activation
from skbcnn.network.tensorflow.runtime import tf


def stack_weights(spec, weights):
    """Weights in the shapes that `DrawGraph` takes: kernels as (units, inputs), those of a window group as one stack.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    weights : mapping of str to ndarray
        As `NetworkSpec.weight_shapes`.

    Returns
    -------
    stacked : dict of str to ndarray, float32
        Window kernels are padded with zeros to the widest of their group.
    """
    stacked = {"conv1": weights["conv1.kernel"][:, 0], "conv2": weights["conv2.kernel"]}
    stacked |= {f"{layer}.bias": weights[f"{layer}.bias"][:, None] for layer in ("conv1", "conv2", "full1", "full2")}
    stacked |= {layer: weights[f"{layer}.kernel"].T for layer in ("full1", "full2")}
    heads = [f"label{j}.{output}" for output in ("mean", "logvar") for j in spec.full_labels]
    heads += ["aux"] if spec.n_free else []
    if heads:
        stacked["full_heads"] = np.concatenate([weights[f"{head}.kernel"].T for head in heads])
        stacked["full_heads.bias"] = np.concatenate([weights[f"{head}.bias"] for head in heads])[:, None]
    for number, group in enumerate(spec.groups):
        stacked |= {f"group{number}.{name}": part for name, part in _stack_group(spec, group, weights).items()}
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in stacked.items()}


def _stack_group(spec, group, weights):
    widest = max(len(spec.windows[j]) for j in group.labels)
    hidden1 = np.zeros((len(group.labels), group.width_1, widest), dtype=np.float32)
    for kernel, j in zip(hidden1, group.labels, strict=True):
        kernel[:, : len(spec.windows[j])] = weights[f"label{j}.hidden1.kernel"].T
    of_labels = {
        name: np.stack([weights[f"label{j}.{name}"] for j in group.labels])
        for name in ("hidden1.bias", "hidden2.kernel", "hidden2.bias")
    }
    outputs = [[f"label{j}.{output}" for output in ("mean", "logvar")] for j in group.labels]
    heads = np.stack([np.concatenate([weights[f"{name}.kernel"].T for name in pair]) for pair in outputs])
    hidden2 = of_labels["hidden2.kernel"].transpose(0, 2, 1)
    return {
        "hidden1": hidden1,
        "hidden1.bias": of_labels["hidden1.bias"][:, :, None],
        "hidden2": hidden2[:, :, : group.width_1],
        "hidden2.context": hidden2[:, :, group.width_1 :],  # no inputs, where it is not told
        "hidden2.bias": of_labels["hidden2.bias"][:, None, :, None],
        "heads": heads[:, :, : group.width_2],
        "heads.context": heads[:, :, group.width_2 :],
        "heads.bias": np.stack([np.concatenate([weights[f"{name}.bias"] for name in pair]) for pair in outputs]),
    }


def stack_masks(spec, masks, n_draws, n_together):
    """Masks in groups of draws that are computed together, in the shapes that `DrawGraph.answers` takes.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    masks : mapping of str to ndarray of shape (n_masks, size)
        From `draw_masks`.
    n_draws : int
        How many draws there are.
    n_together : int
        Draws in a group; at most as many as share a mask of the first convolution.

    Returns
    -------
    stacked : dict of str to ndarray, float32
        First axis: groups. Second axis, where draws differ within a group: distinct masks. The last group is filled up
        with draws that are there already.
    """
    first = np.arange(0, n_draws, n_together)[:, None]  # draw of each group

    def of_place(place):
        sharing = n_sharing(place, n_draws)
        draws = first + np.arange(0, n_together, min(sharing, n_together))
        return masks[place][np.minimum(draws // sharing, len(masks[place]) - 1)]

    conv1 = of_place("conv1").reshape(-1, spec.n_pixels, spec.num_filters[0])
    stacked = {
        "conv1": np.pad(conv1, ((0, 0), overhang(spec), (0, 0)))[..., None],
        "flat": of_place("flat"),
        "full1": of_place("full1"),
    }
    for number, group in enumerate(spec.groups):
        for layer in ("hidden1", "hidden2"):
            of_labels = [of_place(f"label{j}.{layer}") for j in group.labels]
            stacked[f"group{number}.{layer}"] = np.stack(of_labels, axis=1)
    return stacked


def mask_tensors(spec, seed, n_draws, n_together):
    """Masks of all draws of a model, as tensors.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    seed : int
        Of the draws.
    n_draws, n_together : int
        As in `stack_masks`.

    Returns
    -------
    masks : dict of str to tensor
        From `stack_masks`.
    """
    masks = draw_masks(spec.dropout_sizes, spec.dropout_rate, seed, n_draws)
    return {place: tf.constant(part) for place, part in stack_masks(spec, masks, n_draws, n_together).items()}


def overhang(spec):
    """Pixels by which the filters hang over at either end; of an even number, the smaller half on the left.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.

    Returns
    -------
    left, right : int
    """
    left = (spec.kernel_size - 1) // 2
    return left, spec.kernel_size - 1 - left


class DrawGraph:
    """The functions that make up the network of a spec. They hold no weights.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    """

    def __init__(self, spec):
        self.spec = spec
        self.activation = activation(spec.activation)
        self.windows = [self._padded([spec.windows[j] for j in group.labels]) for group in spec.groups]

    def _padded(self, windows):
        """Windows of one length; the short ones are filled up with a pixel behind the others, which is 0."""
        widest = max(map(len, windows))
        return np.array([(*window, *[self.spec.n_pixels] * (widest - len(window))) for window in windows])

    def features(self, weights, x):
        """Everything that no mask can change.

        Parameters
        ----------
        weights : dict of str to tensor
            From `stack_weights`.
        x : tensor of shape (n, n_pixels)
            Normalised spectra.

        Returns
        -------
        pixels : tensor of shape (n_pixels with overhang, filters, n)
            After the first convolution.
        hidden : list of tensor of shape (labels, width_1, n)
            After the first window layer, of each group.
        """
        x = tf.transpose(x)
        pixels = self.activation(self._first_convolution(weights, x))
        pixels = tf.pad(pixels, (overhang(self.spec), (0, 0), (0, 0)))
        layers = enumerate(self._seen(x))
        return pixels, [self.activation(self._first_window_layer(weights, seen, f"group{i}")) for i, seen in layers]

    def answers(self, weights, features, masks):
        """Outputs of a group of draws.

        Parameters
        ----------
        weights : dict of str to tensor
            From `stack_weights`.
        features : tuple
            From `features`.
        masks : dict of str to tensor
            Of one group, from `stack_masks`.

        Returns
        -------
        answers : tensor of shape (n_draws, 2, n_labels, n)
            Means, then log-variances, in normalised units.
        """
        pixels, hidden = features
        full = self._full(weights, pixels, masks)
        outputs, context = self._read_full(weights, full)
        for number, of_group in enumerate(hidden):
            outputs.append(self._read_windows(weights, of_group, context, masks, f"group{number}"))
        return tf.gather(tf.concat(outputs, axis=2), self.spec.label_order, axis=2)

    def _convolution(self, x, kernel, n_out, mask=None):
        """Sum of shifted arrays: (pixels, inputs, n) and (length, inputs, outputs) to (n_out, outputs, n).

        Each is masked for itself, so that the compiler makes one loop of it all.
        """
        length, n_in, _ = kernel.shape
        seen = [[x[k : k + n_out, channel, None] for channel in range(n_in)] for k in range(length)]
        if mask is not None:
            for k, channel in np.ndindex(length, n_in):
                seen[k][channel] *= mask[k : k + n_out, channel, None]
        terms = [kernel[k, channel][:, None] * seen[k][channel] for k, channel in np.ndindex(length, n_in)]
        return sum(terms[1:], terms[0])

    def _first_convolution(self, weights, x):
        """(n_pixels, n) to (n_pixels, filters, n), before the activation."""
        x = tf.pad(x, (overhang(self.spec), (0, 0)))[:, None]
        return self._convolution(x, weights["conv1"][:, None], self.spec.n_pixels) + weights["conv1.bias"]

    def _seen(self, x):
        """Pixels in the windows of each group: (n_pixels, n) to (labels, widest window, n), short ones filled up."""
        x = tf.pad(x, ((0, 1), (0, 0)))
        return [tf.reshape(tf.gather(x, window.ravel()), (*window.shape, -1)) for window in self.windows]

    def _first_window_layer(self, weights, seen, name):
        """(labels, pixels, n) to (labels, width_1, n), before the activation."""
        return tf.matmul(weights[f"{name}.hidden1"], seen) + weights[f"{name}.hidden1.bias"]

    def _full(self, weights, pixels, masks):
        """Second full-spectrum layer of each draw: (draws, width, n)."""
        kernels = self._full_kernels(weights, masks)
        pooled = self._pool(self._second_convolution(weights, pixels, masks))
        return self.activation(self._dense(weights, kernels, pooled)[1])

    def _second_convolution(self, weights, pixels, masks):
        """(n_pixels with overhang, filters, n) to (pools, pixels of a pool, filters, n), before the activation."""
        spec = self.spec
        x = self._convolution(pixels, weights["conv2"], spec.n_pooled * spec.pool_size, masks["conv1"])
        x = x + weights["conv2.bias"]
        return tf.reshape(x, (spec.n_pooled, spec.pool_size, spec.num_filters[1], pixels.shape[-1]))

    def _pool(self, x):
        """Activation, and the maximum over each pool: (n_flat, n)."""
        rising = self.spec.is_rising
        x = x if rising else self.activation(x)
        pooled = x[:, 0]
        for place in range(1, self.spec.pool_size):
            pooled = tf.maximum(pooled, x[:, place])
        return tf.reshape(self.activation(pooled) if rising else pooled, (self.spec.n_flat, x.shape[-1]))

    def _full_kernels(self, weights, masks):
        """Masked kernels of both full-spectrum layers: (flats * h0, n_flat) and (flats, draws of a flat * h1, h0)."""
        spec = self.spec
        n_flats, h0 = masks["flat"].shape[0], spec.num_hidden[0]
        return (
            tf.reshape(weights["full1"] * masks["flat"][:, None], (n_flats * h0, spec.n_flat)),
            tf.reshape(weights["full2"] * masks["full1"][:, None], (n_flats, -1, h0)),
        )

    def _dense(self, weights, kernels, pooled):
        """Both full-spectrum layers before their activation: (flats, h0, n) and (draws, h1, n)."""
        first, second = kernels
        n, (h0, h1) = pooled.shape[-1], self.spec.num_hidden[:2]
        x = tf.reshape(tf.matmul(first, pooled), (-1, h0, n)) + weights["full1.bias"]
        return x, tf.reshape(tf.matmul(second, self.activation(x)), (-1, h1, n)) + weights["full2.bias"]

    def _read_full(self, weights, full):
        """Outputs of the labels without a window, and the context that the others are told: (draws, numbers, n)."""
        n_draws, _, n = full.shape
        n_full = len(self.spec.full_labels)
        if "full_heads" not in weights:
            return [], full[:, :0]
        kernel = weights["full_heads"]
        heads = tf.matmul(tf.broadcast_to(kernel, (n_draws, *kernel.shape)), full) + weights["full_heads.bias"]
        outputs = [tf.reshape(heads[:, : 2 * n_full], (n_draws, 2, n_full, n))] if n_full else []
        return outputs, tf.concat([heads[:, 2 * n_full :], heads[:, :n_full]], axis=1)

    def _read_windows(self, weights, hidden, context, masks, name):
        """Outputs of the labels of a group: (draws, 2, labels, n)."""
        kernel = self._window_kernel(weights, masks, name)
        x = self.activation(self._second_window_layer(weights, kernel, hidden, context, name))
        kernel = weights[f"{name}.heads"][:, None] * masks[f"{name}.hidden2"][:, :, None]
        own = tf.transpose(tf.matmul(kernel, x), (1, 2, 0, 3))
        told = tf.transpose(self._told(weights[f"{name}.heads.context"], context), (0, 2, 1, 3))
        return own + told + tf.transpose(weights[f"{name}.heads.bias"])[:, :, None]

    def _window_kernel(self, weights, masks, name):
        """Masked kernel of the second window layer of each draw: (labels, draws * width_2, width_1)."""
        kernel = weights[f"{name}.hidden2"][:, None] * masks[f"{name}.hidden1"][:, :, None]
        return tf.reshape(kernel, (kernel.shape[0], -1, kernel.shape[-1]))

    def _second_window_layer(self, weights, kernel, hidden, context, name):
        """(labels, width_1, n) and (draws, numbers, n) to (labels, draws, width_2, n), before the activation."""
        shape = hidden.shape[0], context.shape[0], -1, hidden.shape[-1]
        x = tf.reshape(tf.matmul(kernel, hidden), shape) + weights[f"{name}.hidden2.bias"]
        if self.spec.n_hidden_context:
            x += tf.transpose(self._told(weights[f"{name}.hidden2.context"], context), (1, 0, 2, 3))
        return x

    def _told(self, kernel, context):
        """The context times kernels (labels, units, numbers): (draws, numbers, n) to (draws, labels, units, n)."""
        (n_labels, n_units, n_numbers), (n_draws, _, n) = kernel.shape, context.shape
        kernel = tf.reshape(kernel, (n_labels * n_units, n_numbers))
        told = tf.matmul(tf.broadcast_to(kernel, (n_draws, *kernel.shape)), context)
        return tf.reshape(told, (n_draws, n_labels, n_units, n))
