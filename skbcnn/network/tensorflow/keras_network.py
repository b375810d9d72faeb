"""The graph of Leung & Bovy (2019), figure 6, as it is trained: `NetworkSpec` to a Keras network.

Every spectrum has dropout masks of its own here. For what is asked of a trained network there is a second form of the
same graph, `skbcnn.network.tensorflow.draw_graph`.
"""

from typing import NamedTuple

import numpy as np

from skbcnn.network.tensorflow.activations import activation
from skbcnn.network.tensorflow.compiling import Differentiable, is_large
from skbcnn.network.tensorflow.dropout import keep
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.layers import FramedConvolution, StackedDense, WideDense, WindowGather
from skbcnn.network.tensorflow.runtime import keras, tf

ops = keras.ops


class Stage(NamedTuple):
    """A step whose gradient is compiled apart.

    Attributes
    ----------
    function : Differentiable
        Of what came before, of the variables, and of bits.
    variables : list of keras.Variable
        Its weights.
    place : str or None
        Of dropout, for whose units it takes bits.
    """

    function: Differentiable
    variables: list
    place: str | None = None

    @property
    def values(self):
        """The variables as tensors."""
        return [variable.value for variable in self.variables]


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
        self.n_hidden_context = spec.n_hidden_context
        self.hidden2 = StackedDense(n, group.width_1 + self.n_hidden_context, group.width_2, spec.activation)
        self.heads = StackedDense(n, group.width_2 + spec.n_context, 2)

    def call(self, x, context, kept=(1.0, 1.0)):
        """From the pixels (places, n) of framed spectra and the context to mean and log-variance (n, labels, 2)."""
        hidden = self.hidden1(self.gather(x), transposed=True) * kept[0]
        context = ops.broadcast_to(context, (len(self.gather.sizes), *ops.shape(context)))
        if self.n_hidden_context:
            hidden = ops.concatenate([hidden, context], axis=-1)
        hidden = self.hidden2(hidden) * kept[1]
        return ops.transpose(self.heads(ops.concatenate([hidden, context], axis=-1)), (1, 0, 2))


class CensoredNetwork(keras.Model):
    """Spectra (n, pixels) to means and log-variances (n, 2, labels), in normalised units.

    Weights start at zero; `skbcnn.network.tensorflow.weights` fills them.

    Parameters
    ----------
    spec : NetworkSpec
        Shape and fixed settings.

    Attributes
    ----------
    dropout_shapes : dict of str to tuple of (int or None)
        Units at each place of dropout, in the order in which `call` takes bits for them. None: the spectra.
    stages : list of Stage
        What the full spectrum goes through before its first dense layer.

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
        self.activation = activation(spec.activation)
        self.stages = self._stages()
        of_pixels = (None, 1, self.frames.n_middle, self.frames.size * f0)
        self.dropout_shapes = {"conv1": of_pixels, "flat": (None, spec.n_flat), "full1": (None, h0)}
        for number, group in enumerate(spec.groups):
            for layer, width in (("hidden1", group.width_1), ("hidden2", group.width_2)):
                self.dropout_shapes[f"group{number}.{layer}"] = (len(group.labels), None, width)
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
        bits = self._by_place(bits)
        seen = self._in_frames(x)
        for stage in self.stages:
            seen = stage.function(seen, *stage.values, *bits[stage.place])
        return self._read(seen, x, bits)

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
        bits = self._by_place(bits)
        seen = [self._in_frames(x)]
        for stage in self.stages:
            seen.append(stage.function(seen[-1], *stage.values, *bits[stage.place]))
        in_stages = {id(variable) for stage in self.stages for variable in stage.variables}
        rest = [variable for variable in self.trainable_variables if id(variable) not in in_stages]
        with tf.GradientTape() as tape:
            tape.watch(seen[-1])
            loss = loss_of(self._read(seen[-1], x, bits))
        upstream, *gradients = tape.gradient(loss[0], [seen[-1], *(variable.value for variable in rest)])
        found = dict(zip(map(id, rest), gradients, strict=True))
        if upstream is not None:  # else nobody reads the full spectrum
            for stage, before in zip(reversed(self.stages), reversed(seen[:-1]), strict=True):
                upstream, *gradients = stage.function.gradients(upstream, before, *stage.values, *bits[stage.place])
                found |= zip(map(id, stage.variables), gradients, strict=True)
        return loss, [found.get(id(variable)) for variable in self.trainable_variables]

    def _stages(self):
        """What the full spectrum goes through before its first dense layer."""
        conv1, conv2, large = self.conv1, self.conv2, is_large(self.spec)
        stages = [
            Stage(Differentiable(conv1.convolve, 1, large=False), [conv1.kernel]),
            Stage(Differentiable(self._activate_pixels, 1, large), [conv1.bias], "conv1"),
            Stage(Differentiable(conv2.convolve, 1, large=False), [conv2.kernel]),
        ]
        if self.spec.is_rising:  # then the maximum may come first
            return [*stages, Stage(Differentiable(self._pool_and_activate, 1, large), [conv2.bias], "flat")]
        return [
            *stages,
            Stage(Differentiable(self._activate, 1, large), [conv2.bias]),
            Stage(Differentiable(self._pool, 0, large), [], "flat"),
        ]

    def _by_place(self, bits):
        """Bits as arguments that may be absent, by name of the place."""
        given = [(of_place,) for of_place in bits] if bits else [()] * len(self.dropout_shapes)
        return {None: (), **dict(zip(self.dropout_shapes, given, strict=True))}

    def _in_frames(self, x):
        n_seen = self.frames.size * self.frames.n_spectrum
        return tf.reshape(x[:, :n_seen], (-1, 1, self.frames.n_spectrum, self.frames.size))

    def _activate(self, x, bias):
        return self.activation(x + tf.tile(bias, [x.shape[-1] // bias.shape[0]]))

    def _activate_pixels(self, x, bias, *bits):
        """Activation and dropout between the convolutions, zeros beyond the ends of the spectrum."""
        is_pixel = np.repeat(self.frames.is_pixel(), self.spec.num_filters[0], axis=1).astype(np.float32)
        return self._activate(x, bias) * is_pixel * self._kept(*bits)

    def _pool_and_activate(self, x, bias, *bits):
        return self._flatten(self._activate(self._largest(x), bias), *bits)

    def _pool(self, x, *bits):
        return self._flatten(self._largest(x), *bits)

    def _largest(self, x):
        """Maximum over each pool; the frames hold the first pixels of all pools, then the second ones."""
        largest, *others = tf.split(x, self.spec.pool_size, axis=-1)
        for other in others:
            largest = tf.maximum(largest, other)
        return largest

    def _flatten(self, x, *bits):
        """Frames (n, 1, frames, channels) to (n, n_flat), and dropout."""
        return tf.reshape(x, (tf.shape(x)[0], -1))[:, : self.spec.n_flat] * self._kept(*bits)

    def _read(self, flat, x, bits):
        """From the pooled spectrum, and the pixels of the windows, to the output."""
        full = self.full2(self.full1(flat) * self._kept(*bits["full1"]))
        outputs, context = self._read_full(full)
        x = tf.transpose(x)
        for number, branch in enumerate(self.branches):
            kept = [self._kept(*bits[f"group{number}.{layer}"]) for layer in ("hidden1", "hidden2")]
            outputs.append(branch(x, context, kept=kept))
        in_order = tf.gather(tf.concat(outputs, axis=1), self.spec.label_order, axis=1)
        return tf.transpose(in_order, (0, 2, 1))

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
