"""The graph of Leung & Bovy (2019), figure 6: `NetworkSpec` to a Keras network.

The network is cut where the first dropout masks act. `before_dropout` is the same for every posterior draw and is
computed once; `after_dropout` takes the masks of a draw, or draws masks of its own while training.
"""

import numpy as np

from skbcnn.network.backend import keras
from skbcnn.network.layers import MCDropout, StackedDense, WindowGather

ops = keras.ops


class WindowBranch(keras.layers.Layer):
    """The window layers of all labels of equal widths, as one stack.

    Parameters
    ----------
    spec : NetworkSpec
        Of the network.
    group : WindowGroup
        The labels, and the widths of their layers.
    regularizer : keras.Regularizer
        Of the first kernels.
    """

    def __init__(self, spec, group, regularizer):
        super().__init__()
        n = len(group.labels)
        self.gather = WindowGather([spec.windows[j] for j in group.labels])
        widest, sizes = self.gather.padded.shape[1], self.gather.sizes
        self.hidden1 = StackedDense(n, widest, group.width_1, spec.activation, regularizer, sizes)
        self.hidden2 = StackedDense(n, group.width_1, group.width_2, spec.activation)
        self.heads = StackedDense(n, group.width_2 + spec.n_context, 2)
        self.dropout1, self.dropout2 = (MCDropout(spec.dropout_rate) for _ in range(2))

    def before_dropout(self, x):
        """First window layer: (n, pixels) to (labels, n, width_1)."""
        return self.hidden1(self.gather(x))

    def after_dropout(self, hidden, context, keep, training):
        """From the first window layer and the context to mean and log-variance: (n, labels, 2)."""
        keep1, keep2 = keep
        hidden = self.dropout1(hidden, keep1, training=training)
        hidden = self.dropout2(self.hidden2(hidden), keep2, training=training)
        context = ops.broadcast_to(context, (len(self.gather.sizes), *ops.shape(context)))
        return ops.transpose(self.heads(ops.concatenate([hidden, context], axis=-1)), (1, 0, 2))


class CensoredNetwork(keras.Model):
    """Spectra (n, pixels) to means and log-variances (n, 2, labels), in normalised units.

    Weights start at zero; `skbcnn.network.weights` fills them. `seed_dropout` starts the masks of a training anew.

    Parameters
    ----------
    spec : NetworkSpec
        Shape and fixed settings.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
    """

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        regularizer = keras.regularizers.L2(spec.l2) if spec.l2 else None
        shared = {"activation": spec.activation, "kernel_initializer": "zeros", "kernel_regularizer": regularizer}
        convolution = {"kernel_size": spec.kernel_size, "padding": "same", **shared}
        h0, h1 = spec.num_hidden[:2]
        self.conv1 = keras.layers.Conv1D(spec.num_filters[0], **convolution)
        self.conv2 = keras.layers.Conv1D(spec.num_filters[1], **convolution)
        self.pool = keras.layers.MaxPooling1D(spec.pool_size)
        self.full1, self.full2 = (keras.layers.Dense(units, **shared) for units in (h0, h1))
        self.drop_conv1, self.drop_flat, self.drop_full1 = (MCDropout(spec.dropout_rate) for _ in range(3))
        constraint = keras.constraints.MaxNorm(spec.maxnorm, axis=0) if spec.maxnorm else None
        self.aux = None
        if spec.n_free:
            self.aux = keras.layers.Dense(spec.n_free, kernel_initializer="zeros", kernel_constraint=constraint)
        n_full = len(spec.full_labels)
        self.full_heads = keras.layers.Dense(2 * n_full, kernel_initializer="zeros") if n_full else None
        self.branches = [WindowBranch(spec, group, regularizer) for group in spec.groups]
        in_file_order = spec.full_labels + tuple(j for group in spec.groups for j in group.labels)
        self.label_order = np.argsort(in_file_order).astype(np.int32)
        self.build((None, spec.n_pixels))

    def build(self, input_shape):
        """Create the weights of Keras's own layers; ours have theirs already."""
        spec = self.spec
        h0, h1 = spec.num_hidden[:2]
        self.conv1.build((*input_shape, 1))
        self.conv2.build((*input_shape, spec.num_filters[0]))
        for layer, n_inputs in ((self.full1, spec.n_flat), (self.full2, h0), (self.aux, h1), (self.full_heads, h1)):
            if layer is not None:
                layer.build((None, n_inputs))
        self.built = True

    def seed_dropout(self, seed):
        """Start the masks drawn while training anew.

        Parameters
        ----------
        seed : int
            Equal seeds give equal masks.
        """
        windows = [dropout for branch in self.branches for dropout in (branch.dropout1, branch.dropout2)]
        places = [self.drop_conv1, self.drop_flat, self.drop_full1, *windows]
        seeds = np.random.SeedSequence(seed).generate_state(len(places))
        for dropout, of_place in zip(places, seeds.tolist(), strict=True):
            dropout.reseed(of_place)

    def before_dropout(self, x):
        """Everything that no mask can change: the first convolution and the first window layers.

        Parameters
        ----------
        x : tensor of shape (n, n_pixels)
            Normalised spectra.

        Returns
        -------
        features : list of tensor
            What `after_dropout` takes.
        """
        return [self.conv1(ops.expand_dims(x, -1)), *(branch.before_dropout(x) for branch in self.branches)]

    def after_dropout(self, features, keep=None, training=False):
        """From `before_dropout` to the output.

        Parameters
        ----------
        features : list of tensor
            From `before_dropout`.
        keep : sequence of tensor, default=None
            Masks of one draw, shared by all spectra, as `skbcnn.network.posterior.stack_masks` orders them.
        training : bool, default=False
            Whether to draw masks of our own, for each spectrum, where none are given.

        Returns
        -------
        moments : tensor of shape (n, 2, n_labels)
            Means, then log-variances.
        """
        masks = iter(keep or [None] * (3 + 2 * len(self.branches)))
        x = self.drop_conv1(features[0], next(masks), training=training)
        x = self.pool(self.conv2(x))
        x = ops.reshape(x, (-1, self.spec.n_flat))
        x = self.full1(self.drop_flat(x, next(masks), training=training))
        full = self.full2(self.drop_full1(x, next(masks), training=training))
        outputs, context = self._read_full(full)
        for branch, hidden in zip(self.branches, features[1:], strict=True):
            outputs.append(branch.after_dropout(hidden, context, (next(masks), next(masks)), training))
        return ops.transpose(ops.take(ops.concatenate(outputs, axis=1), self.label_order, axis=1), (0, 2, 1))

    def _read_full(self, full):
        """Outputs of the labels without a window, and the context that the others are told."""
        outputs, context = [], [] if self.aux is None else [self.aux(full)]
        if self.full_heads is not None:
            heads = ops.transpose(ops.reshape(self.full_heads(full), (-1, 2, len(self.spec.full_labels))), (0, 2, 1))
            outputs.append(heads)
            context.append(ops.stop_gradient(heads[:, :, 0]))  # elements must not pull on the star's parameters
        return outputs, ops.concatenate(context, axis=-1) if context else full[:, :0]

    def call(self, x, training=False):
        """The whole network, as Keras trains and validates it."""
        return self.after_dropout(self.before_dropout(x), training=training)
