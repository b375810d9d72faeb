"""The network as it is trained: the graph of Leung & Bovy (2019), figure 6, as a Keras model.

Every spectrum has its own dropout masks here. Predictions use a second form of the same graph,
`skbcnn.network.tensorflow.draw_graph`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from skbcnn.network.spec import NetworkSpec, WindowGroup
from skbcnn.network.tensorflow.activations import activation
from skbcnn.network.tensorflow.compiling import Differentiable, is_large
from skbcnn.network.tensorflow.dropout import dropout_masks
from skbcnn.network.tensorflow.frames import Frames
from skbcnn.network.tensorflow.layers import FramedConvolution, MaxNorm, StackedDense, WideDense, WindowGather
from skbcnn.network.tensorflow.runtime import Tensor, keras, tf

ops = keras.ops

SUPERVISED_LOGVAR = -4.0
"""Log-variance of the context labels in the loss, in normalised units."""


class Stage(NamedTuple):
    """A step of the full-spectrum layers whose gradient is compiled by itself.

    Attributes
    ----------
    function : Differentiable
        Function of the previous output, the variables and the random bits.
    variables : list of keras.Variable
        Weights of the step.
    place : str or None
        Place of dropout whose random bits the step takes; None without dropout.
    """

    function: Differentiable
    variables: list[Any]
    place: str | None = None

    @property
    def values(self) -> list[Tensor]:
        """The variables as tensors."""
        return [variable.value for variable in self.variables]


class WindowBranch(keras.layers.Layer):
    """The window layers of all labels of a window group, as one stack.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    group : WindowGroup
        Labels and the widths of their layers.
    regularizer : keras.Regularizer
        Regularizer of the kernels of the first layer.
    """

    def __init__(self, spec: NetworkSpec, group: WindowGroup, regularizer: object) -> None:
        super().__init__(dtype="float32")
        n = len(group.labels)
        frames = Frames(spec)
        places = [np.add(spec.windows[j] or (), frames.margins[0]) for j in group.labels]
        self.gather = WindowGather(places, empty=frames.n_places - 1)
        widest = self.gather.padded.shape[1]
        self.hidden1 = StackedDense(n, widest, group.width_1, spec.activation, regularizer)
        self.n_hidden_context = spec.n_hidden_context
        self.hidden2 = StackedDense(n, group.width_1 + self.n_hidden_context, group.width_2, spec.activation)
        self.heads = StackedDense(n, group.width_2 + spec.n_context, 2)

    def call(self, x: Tensor, context: Tensor, masks: Sequence[Tensor] = (1.0, 1.0)) -> Tensor:
        """Compute means and log-variances of the labels.

        Parameters
        ----------
        x : tensor of shape (n_places, n)
            Spectra with the margins of `Frames`, along the last axis.
        context : tensor of shape (n, n_context)
            Context.
        masks : sequence of two tensors, default=(1.0, 1.0)
            Dropout masks of the two layers.

        Returns
        -------
        moments : tensor of shape (n, labels, 2)
            Mean and log-variance.
        """
        hidden = self.hidden1(self.gather(x), transposed=True) * masks[0]
        context = ops.broadcast_to(context, (len(self.gather.sizes), *ops.shape(context)))
        if self.n_hidden_context:
            hidden = ops.concatenate([hidden, context], axis=-1)
        hidden = self.hidden2(hidden) * masks[1]
        return ops.transpose(self.heads(ops.concatenate([hidden, context], axis=-1)), (1, 0, 2))


class CensoredNetwork(keras.Model):
    """Keras model from normalised spectra to means and log-variances of the labels in normalised units.

    All weights are zero at first; `skbcnn.network.tensorflow.weights` sets them.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture and fixed settings.

    Attributes
    ----------
    dropout_shapes : dict of str to tuple of (int or None)
        Shape of the units at each place of dropout, in the order of the bits that `call` takes. None stands for the
        number of spectra.
    stages : list of Stage
        Steps from the spectrum to the input of the first dense layer.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, figure 6.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(dtype="float32")
        self.spec, self.frames = spec, Frames(spec)
        regularizer = keras.regularizers.L2(spec.l2) if spec.l2 else None
        f0, f1 = spec.num_filters
        pools_apart = self.frames.pools_apart()
        self.conv1 = FramedConvolution(self.frames.toeplitz(), 1, f0, regularizer)
        self.conv2 = FramedConvolution(self.frames.toeplitz(pools_apart), f0, f1, regularizer)
        h0, h1 = spec.num_hidden[:2]
        shared = {"kernel_initializer": "zeros", "dtype": "float32"}  # whatever Keras's global settings are
        self.full1 = WideDense(spec.n_flat, h0, spec.activation, regularizer)
        self.full2 = keras.layers.Dense(h1, activation(spec.activation), kernel_regularizer=regularizer, **shared)
        constraint = MaxNorm(spec.maxnorm, axis=0) if spec.maxnorm else None
        self.aux = None
        if spec.n_free:
            self.aux = keras.layers.Dense(spec.n_free, kernel_constraint=constraint, **shared)
        n_full = len(spec.full_labels)
        self.full_heads = keras.layers.Dense(2 * n_full, **shared) if n_full else None
        self.branches = [WindowBranch(spec, group, regularizer) for group in spec.groups]
        self.activation = activation(spec.activation)
        self.stages = self._stages()
        of_pixels = (None, 1, self.frames.n_middle, self.frames.size * f0)
        self.dropout_shapes = {"conv1": of_pixels, "flat": (None, spec.n_flat), "full1": (None, h0)}
        for number, group in enumerate(spec.groups):
            for layer, width in (("hidden1", group.width_1), ("hidden2", group.width_2)):
                self.dropout_shapes[f"group{number}.{layer}"] = (len(group.labels), None, width)
        self.build((None, spec.n_pixels))

    def build(self, input_shape: object) -> None:
        """Create the weights of Keras's own layers; those of this package create theirs at once."""
        h0, h1 = self.spec.num_hidden[:2]
        for layer, n_inputs in ((self.full2, h0), (self.aux, h1), (self.full_heads, h1)):
            if layer is not None:
                layer.build((None, n_inputs))
        self.built = True

    def call(self, x: Tensor, bits: Sequence[Tensor] | None = None) -> Tensor:
        """Compute means and log-variances.

        Parameters
        ----------
        x : tensor of shape (n, n_places)
            Normalised spectra between the zeros of `Frames.margins`.
        bits : sequence of tensor of uint16, default=None
            Random bits for the units at each place of `dropout_shapes`. None: no dropout.

        Returns
        -------
        moments : tensor of shape (n, 2, n_labels)
            Means, then log-variances.
        """
        bits_at = self._by_place(bits)
        flat = self._in_frames(x)
        for stage in self.stages:
            flat = stage.function(flat, *stage.values, *bits_at[stage.place])
        return self._read(flat, x, bits_at)[:, :, : self.spec.n_labels]

    def loss_and_gradients(
        self, loss_of: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor, bits: Sequence[Tensor] | None = None
    ) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Compute a loss and its gradients with respect to the trainable variables.

        Parameters
        ----------
        loss_of : callable
            Function of the moments, followed by those of the supervised context units; it returns a tuple of the loss
            and any further values.
        x, bits : tensor
            Arguments of `call`.

        Returns
        -------
        loss : tuple
            Result of `loss_of`.
        gradients : list of tensor
            Gradients in the order of `trainable_variables`; None where the loss does not depend on a variable.
        """
        bits_at = self._by_place(bits)
        inputs = [self._in_frames(x)]  # of each stage, then of the dense layers
        for stage in self.stages:
            inputs.append(stage.function(inputs[-1], *stage.values, *bits_at[stage.place]))
        in_stages = {id(variable) for stage in self.stages for variable in stage.variables}
        others = [variable for variable in self.trainable_variables if id(variable) not in in_stages]
        with tf.GradientTape() as tape:
            tape.watch(inputs[-1])
            loss = loss_of(self._read(inputs[-1], x, bits_at))
        upstream, *gradients = tape.gradient(loss[0], [inputs[-1], *(variable.value for variable in others)])
        found = dict(zip(map(id, others), gradients, strict=True))
        if upstream is not None:  # else no output depends on the full spectrum
            for stage, x_in in zip(reversed(self.stages), reversed(inputs[:-1]), strict=True):
                upstream, *gradients = stage.function.gradients(upstream, x_in, *stage.values, *bits_at[stage.place])
                found |= zip(map(id, stage.variables), gradients, strict=True)
        return loss, [found.get(id(variable)) for variable in self.trainable_variables]

    def _stages(self) -> list[Stage]:
        """Return the steps from the spectrum to the input of the first dense layer."""
        conv1, conv2, large = self.conv1, self.conv2, is_large(self.spec)
        stages = [
            Stage(Differentiable(conv1.convolve, 1, large=False), [conv1.kernel]),
            Stage(Differentiable(self._activate_pixels, 1, large), [conv1.bias], "conv1"),
            Stage(Differentiable(conv2.convolve, 1, large=False), [conv2.kernel]),
        ]
        if self.spec.activates_after_pooling:
            return [*stages, Stage(Differentiable(self._pool_and_activate, 1, large), [conv2.bias], "flat")]
        return [
            *stages,
            Stage(Differentiable(self._activate, 1, large), [conv2.bias]),
            Stage(Differentiable(self._pool, 0, large), [], "flat"),
        ]

    def _by_place(self, bits: Sequence[Tensor] | None) -> dict[str | None, tuple[Tensor, ...]]:
        """Return the bits of each place as a tuple of one argument, or of none without dropout."""
        arguments = [(of_place,) for of_place in bits] if bits else [()] * len(self.dropout_shapes)
        return {None: (), **dict(zip(self.dropout_shapes, arguments, strict=True))}

    def _in_frames(self, x: Tensor) -> Tensor:
        n_seen = self.frames.size * self.frames.n_spectrum
        return tf.reshape(x[:, :n_seen], (-1, 1, self.frames.n_spectrum, self.frames.size))

    def _activate(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.activation(x + tf.tile(bias, [x.shape[-1] // bias.shape[0]]))

    def _activate_pixels(self, x: Tensor, bias: Tensor, *bits: Tensor) -> Tensor:
        """Apply activation and dropout between the convolutions; places beyond the spectrum become zero."""
        is_pixel = np.repeat(self.frames.is_pixel(), self.spec.num_filters[0], axis=1).astype(np.float32)
        return self._activate(x, bias) * is_pixel * self._mask(*bits)

    def _pool_and_activate(self, x: Tensor, bias: Tensor, *bits: Tensor) -> Tensor:
        return self._flatten(self._activate(self._largest(x), bias), *bits)

    def _pool(self, x: Tensor, *bits: Tensor) -> Tensor:
        return self._flatten(self._largest(x), *bits)

    def _largest(self, x: Tensor) -> Tensor:
        """Return the maximum over each pool. Pixels are in the order of `Frames.pools_apart`."""
        largest, *others = tf.split(x, self.spec.pool_size, axis=-1)
        for other in others:
            largest = tf.maximum(largest, other)
        return largest

    def _flatten(self, x: Tensor, *bits: Tensor) -> Tensor:
        """Reshape frames (n, 1, frames, channels) to (n, n_flat) and apply dropout."""
        return tf.reshape(x, (tf.shape(x)[0], -1))[:, : self.spec.n_flat] * self._mask(*bits)

    def _read(self, flat: Tensor, x: Tensor, bits_at: dict[str | None, tuple[Tensor, ...]]) -> Tensor:
        """Compute the outputs from the pooled spectra and the pixels of the windows."""
        full = self.full2(self.full1(flat) * self._mask(*bits_at["full1"]))
        outputs, context, supervised = self._read_full(full)
        x = tf.transpose(x)
        for number, branch in enumerate(self.branches):
            masks = [self._mask(*bits_at[f"group{number}.{layer}"]) for layer in ("hidden1", "hidden2")]
            outputs.append(branch(x, context, masks=masks))
        in_order = tf.gather(tf.concat(outputs, axis=1), self.spec.label_order, axis=1)
        return tf.transpose(tf.concat([in_order, supervised], axis=1), (0, 2, 1))

    def _mask(self, *bits: Tensor) -> Tensor | float:
        """Return the mask of a place from its bits; without bits nothing is dropped."""
        return dropout_masks(bits[0], self.spec.dropout_rate) if bits else 1.0

    def _read_full(self, full: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Compute the outputs of the full-spectrum labels, the context, and the moments of the supervised units."""
        outputs: list[Tensor] = []
        n_supervised = min(self.spec.n_supervised, self.spec.n_free)
        free = full[:, :0] if self.aux is None else self.aux(full)
        supervised = free[:, :n_supervised]
        # what is trained to equal a label must not be trained to help another one
        context = [ops.stop_gradient(supervised), free[:, n_supervised:]]
        variances = ops.full_like(supervised, SUPERVISED_LOGVAR)
        supervised = ops.stack([supervised, variances], axis=2)
        if self.full_heads is not None:
            heads = ops.transpose(ops.reshape(self.full_heads(full), (-1, 2, len(self.spec.full_labels))), (0, 2, 1))
            outputs.append(heads)
            context.append(
                ops.stop_gradient(heads[:, :, 0])
            )  # the loss of a window label must not train the outputs of others
        return outputs, ops.concatenate(context, axis=-1), supervised
