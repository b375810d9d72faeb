"""The graph of Leung & Bovy (2019), figure 6, as it is trained: `NetworkSpec` to a Keras network.

Every spectrum has dropout masks of its own here. For what is asked of a trained network there is a second form of the
same graph, `skbcnn.network.draws`.
"""

import numpy as np

from skbcnn.network.backend import keras, tf
from skbcnn.network.compiling import Differentiable, is_large
from skbcnn.network.dropout import keep
from skbcnn.network.frames import Frames
from skbcnn.network.layers import FramedConvolution, StackedDense, WideDense, WindowGather

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
        frames = Frames(spec)
        places = [np.add(spec.windows[j], frames.margins[0]) for j in group.labels]
        self.gather = WindowGather(places, empty=frames.n_places - 1)
        widest = self.gather.padded.shape[1]
        self.hidden1 = StackedDense(n, widest, group.width_1, spec.activation, regularizer)
        self.hidden2 = StackedDense(n, group.width_1, group.width_2, spec.activation)
        self.heads = StackedDense(n, group.width_2 + spec.n_context, 2)

    def call(self, x, context, kept=(1.0, 1.0)):
        """From the pixels (places, n) of framed spectra and the context to mean and log-variance (n, labels, 2)."""
        hidden = self.hidden1(self.gather(x), transposed=True) * kept[0]
        hidden = self.hidden2(hidden) * kept[1]
        context = ops.broadcast_to(context, (len(self.gather.sizes), *ops.shape(context)))
        return ops.transpose(self.heads(ops.concatenate([hidden, context], axis=-1)), (1, 0, 2))


class CensoredNetwork(keras.Model):
    """Spectra (n, pixels) to means and log-variances (n, 2, labels), in normalised units.

    Weights start at zero; `skbcnn.network.weights` fills them.

    Parameters
    ----------
    spec : NetworkSpec
        Shape and fixed settings.

    Attributes
    ----------
    dropout_shapes : list of tuple of (int or None)
        Units at each place of dropout, in the order in which `call` takes bits for them. None: the spectra.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
    """

    def __init__(self, spec):
        super().__init__()
        self.spec, self.frames = spec, Frames(spec)
        regularizer = keras.regularizers.L2(spec.l2) if spec.l2 else None
        f0, f1 = spec.num_filters
        pools_apart = self.frames.pools_apart()
        self.conv1 = FramedConvolution(self.frames.toeplitz(), 1, f0, regularizer)
        self.conv2 = FramedConvolution(self.frames.toeplitz(pools_apart), f0, f1, regularizer)
        h0, h1 = spec.num_hidden[:2]
        shared = {"activation": spec.activation, "kernel_initializer": "zeros", "kernel_regularizer": regularizer}
        self.full1 = WideDense(spec.n_flat, h0, spec.activation, regularizer)
        self.full2 = keras.layers.Dense(h1, **shared)
        constraint = keras.constraints.MaxNorm(spec.maxnorm, axis=0) if spec.maxnorm else None
        self.aux = None
        if spec.n_free:
            self.aux = keras.layers.Dense(spec.n_free, kernel_initializer="zeros", kernel_constraint=constraint)
        n_full = len(spec.full_labels)
        self.full_heads = keras.layers.Dense(2 * n_full, kernel_initializer="zeros") if n_full else None
        self.branches = [WindowBranch(spec, group, regularizer) for group in spec.groups]
        self.activation = keras.activations.get(spec.activation)
        self.activate = Differentiable(self._activate, is_large(spec))
        self.activate_and_pool = Differentiable(self._activate_and_pool, is_large(spec))
        self.dropout_shapes = [(None, 1, self.frames.n_middle, self.frames.size * f0), (None, spec.n_flat), (None, h0)]
        for group in spec.groups:
            self.dropout_shapes += [(len(group.labels), None, width) for width in (group.width_1, group.width_2)]
        self.build((None, spec.n_pixels))

    def build(self, input_shape):
        """Create the weights of Keras's own layers; ours have theirs already."""
        h0, h1 = self.spec.num_hidden[:2]
        for layer, n_inputs in ((self.full2, h0), (self.aux, h1), (self.full_heads, h1)):
            if layer is not None:
                layer.build((None, n_inputs))
        self.built = True

    def call(self, x, bits=None):
        """The whole network.

        Parameters
        ----------
        x : tensor of shape (n, n_places)
            Normalised spectra between the zeros of `Frames.margins`.
        bits : sequence of tensor of uint16, default=None
            Random bits for the units at each place, of `dropout_shapes`. None: without dropout.

        Returns
        -------
        moments : tensor of shape (n, 2, n_labels)
            Means, then log-variances.
        """
        of_conv1, of_flat, *of_rest = self._by_place(bits)
        pixels = self.activate(self.conv1(self._in_frames(x)), self.conv1.bias.value, *of_conv1)
        flat = self.activate_and_pool(self.conv2(pixels), self.conv2.bias.value, *of_flat)
        return self._read(flat, x, of_rest)

    def loss_and_gradients(self, loss_of, x, bits=None):
        """A loss of the output, and its gradients by the trainable variables, in their order.

        Parameters
        ----------
        loss_of : callable
            Takes the moments, gives the loss and whatever else.
        x, bits : tensor
            As in `call`.

        Returns
        -------
        loss : tuple
            What `loss_of` gave.
        gradients : list of tensor
            None where the loss does not depend on a variable.
        """
        of_conv1, of_flat, *of_rest = self._by_place(bits)
        conv1, conv2 = self.conv1, self.conv2
        with tf.GradientTape() as first:
            before = conv1(self._in_frames(x))
        pixels = self.activate(before, conv1.bias.value, *of_conv1)
        with tf.GradientTape() as second:
            second.watch(pixels)
            between = conv2(pixels)
        flat = self.activate_and_pool(between, conv2.bias.value, *of_flat)
        with tf.GradientTape() as third:
            third.watch(flat)
            loss = loss_of(self._read(flat, x, of_rest))
        by_convolutions = {id(variable) for layer in (conv1, conv2) for variable in layer.trainable_variables}
        rest = [variable for variable in self.trainable_variables if id(variable) not in by_convolutions]
        by_flat, *by_rest = third.gradient(loss[0], [flat, *(variable.value for variable in rest)])
        found = {id(variable): gradient for variable, gradient in zip(rest, by_rest, strict=True)}
        if by_flat is not None:  # no label without a window, and nothing told to the others: the spectrum is not read
            by_between, found[id(conv2.bias)] = self.activate_and_pool.gradients(
                by_flat, between, conv2.bias.value, *of_flat
            )
            by_pixels, found[id(conv2.kernel)] = second.gradient(between, [pixels, conv2.kernel.value], by_between)
            by_before, found[id(conv1.bias)] = self.activate.gradients(by_pixels, before, conv1.bias.value, *of_conv1)
            found[id(conv1.kernel)] = first.gradient(before, conv1.kernel.value, by_before)
        return loss, [found.get(id(variable)) for variable in self.trainable_variables]

    def _by_place(self, bits):
        """Bits as arguments that may be absent."""
        return [(of_place,) for of_place in bits] if bits else [()] * len(self.dropout_shapes)

    def _in_frames(self, x):
        n_seen = self.frames.size * self.frames.n_spectrum
        return tf.reshape(x[:, :n_seen], (-1, 1, self.frames.n_spectrum, self.frames.size))

    def _read(self, flat, x, bits):
        """From the pooled spectrum, and the pixels of the windows, to the output."""
        of_full1, *of_windows = bits
        full = self.full2(self.full1(flat) * self._kept(*of_full1))
        outputs, context = self._read_full(full)
        x = tf.transpose(x)
        for branch, hidden1, hidden2 in zip(self.branches, of_windows[::2], of_windows[1::2], strict=True):
            outputs.append(branch(x, context, kept=(self._kept(*hidden1), self._kept(*hidden2))))
        in_order = tf.gather(tf.concat(outputs, axis=1), self.spec.label_order, axis=1)
        return tf.transpose(in_order, (0, 2, 1))

    def _activate(self, x, bias, *bits):
        """Activation and dropout between the convolutions, zeros beyond the ends of the spectrum."""
        is_pixel = np.repeat(self.frames.is_pixel(), self.spec.num_filters[0], axis=1).astype(np.float32)
        return self.activation(x + tf.tile(bias, [self.frames.size])) * is_pixel * self._kept(*bits)

    def _activate_and_pool(self, x, bias, *bits):
        """Activation, maximum over each pool, and dropout: (n, 1, frames, channels) to (n, n_flat)."""
        pool, n_flat = self.spec.pool_size, self.spec.n_flat
        rising = self.spec.is_rising
        bias = tf.tile(bias, [self.frames.size // pool])
        if not rising:
            x = self.activation(x + tf.tile(bias, [pool]))
        first, *others = tf.split(x, pool, axis=-1)
        for other in others:
            first = tf.maximum(first, other)
        pooled = self.activation(first + bias) if rising else first
        pooled = tf.reshape(pooled, (tf.shape(x)[0], -1))[:, :n_flat]
        return pooled * self._kept(*bits)

    def _kept(self, *bits):
        """Mask from the bits of a place; nothing is dropped without."""
        return keep(*bits, self.spec.dropout_rate) if bits else 1.0

    def _read_full(self, full):
        """Outputs of the labels without a window, and the context that the others are told."""
        outputs, context = [], [] if self.aux is None else [self.aux(full)]
        if self.full_heads is not None:
            heads = ops.transpose(ops.reshape(self.full_heads(full), (-1, 2, len(self.spec.full_labels))), (0, 2, 1))
            outputs.append(heads)
            context.append(ops.stop_gradient(heads[:, :, 0]))  # elements must not pull on the star's parameters
        return outputs, ops.concatenate(context, axis=-1) if context else full[:, :0]
