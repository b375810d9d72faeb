"""The steps of training and of validation on a batch, traced once for any number of stars."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from skbcnn.network.tensorflow.batches import Batches
from skbcnn.network.tensorflow.compiling import fused
from skbcnn.network.tensorflow.dropout import DropoutBits
from skbcnn.network.tensorflow.keras_network import CensoredNetwork
from skbcnn.network.tensorflow.losses import mean_loss, weighted_sums
from skbcnn.network.tensorflow.runtime import Tensor, float32_by_default, keras, tf

_MIN_COMPILED_SIZE = 100_000  # of a kernel: for smaller ones compiling takes longer than it saves


class Adam(keras.optimizers.Adam):
    """Keras's Adam on one device, with one operation for each weight and the gradient of the L2 penalty.

    Keras's own sums the gradients over all devices. What TensorFlow registers for that sum is never freed, and keeps
    the graph and the variables of every trained network: 57 MB each at the default widths of APOGEE.

    Parameters
    ----------
    l2 : float
        Weight of the sum of squares of the variables with a regularizer.
    clipnorm : float or None
        Largest norm of the gradient of the loss with respect to all weights; a longer one is scaled down to it.
    """

    def __init__(self, l2: float, clipnorm: float | None = None) -> None:
        with float32_by_default():  # the learning rate
            super().__init__(global_clipnorm=clipnorm)
        self.l2 = l2

    def _backend_update_step(self, grads: list[Tensor], trainable_variables: list[Any], learning_rate: Tensor) -> None:
        step = tf.cast(self.iterations + 1, tf.float32)
        powers = {"beta1_power": self.beta_1**step, "beta2_power": self.beta_2**step}
        settings = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon, "lr": learning_rate}
        gradients = self._add_penalty(grads, trainable_variables)
        for gradient, variable in zip(gradients, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            moments = {"m": self._momentums[index].value.handle, "v": self._velocities[index].value.handle}
            tf.raw_ops.ResourceApplyAdam(var=variable.value.handle, grad=gradient, **moments, **powers, **settings)

    def _add_penalty(self, gradients: list[Tensor], variables: list[Any]) -> list[Tensor]:
        """Return the gradients of the loss and the L2 penalty."""
        gradients = list(gradients)
        kernels = [number for number, variable in enumerate(variables) if variable.regularizer is not None]
        large = [number for number in kernels if np.prod(variables[number].shape) >= _MIN_COMPILED_SIZE]
        for numbers in filter(None, (large, [number for number in kernels if number not in large])):
            pairs = [(gradients[number], variables[number].value) for number in numbers]
            for number, gradient in zip(numbers, fused(self._with_penalty, numbers is large)(pairs), strict=True):
                gradients[number] = gradient
        return gradients

    def _with_penalty(self, pairs: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        return [gradient + 2 * self.l2 * value for gradient, value in pairs]


class TrainingSteps:
    """Training and validation on all batches of an epoch.

    Parameters
    ----------
    network : CensoredNetwork
        Network; it gets an optimizer.
    clipnorm : float or None, default=None
        Parameter of `Adam`.

    Attributes
    ----------
    bits : DropoutBits
        Source of the dropout masks; `reset` makes it.
    """

    def __init__(self, network: CensoredNetwork, clipnorm: float | None = None) -> None:
        self.network = network
        network.compile(optimizer=Adam(network.spec.l2, clipnorm), jit_compile=False)
        network.optimizer.build(network.trainable_variables)  # variables created in a trace cost a second one
        n_targets = network.spec.n_labels + min(network.spec.n_supervised, network.spec.n_free)
        shapes = (None, network.frames.n_places), (None, 3, n_targets), (None,)
        batch = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        self._dropout_shapes = list(network.dropout_shapes.values()) if network.spec.dropout_rate > 0 else []
        bits = [tf.TensorSpec(shape, tf.uint16) for shape in self._dropout_shapes]
        self._learn_graph = tf.function(self._learn, input_signature=[*batch, *bits], autograph=False)
        held_out = [batch[0], tf.TensorSpec((None, 3, network.spec.n_labels), tf.float32), batch[2]]
        self._measure_graph = tf.function(self._measure, input_signature=held_out, autograph=False)

    def reset(self, lr: float, seed: int) -> None:
        """Reset the optimizer (number of steps, moments, learning rate) and the dropout bits.

        Parameters
        ----------
        lr : float
            Learning rate.
        seed : int
            Seed of the dropout masks.
        """
        optimizer = self.network.optimizer
        for variable in optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        optimizer.learning_rate = lr
        self.bits = DropoutBits(self._dropout_shapes, seed)

    def learn(self, batches: Batches) -> np.ndarray:
        """Train on all batches.

        Parameters
        ----------
        batches : Batches
            Batches of an epoch, with the margins of `Frames`.

        Returns
        -------
        sums : ndarray of shape (3,)
            Sum of `weighted_sums` over the batches, each with the weights before its step.
        """

        def prepare(index: int) -> tuple[np.ndarray, ...]:
            x, targets, weight = batches[index]
            return x, targets, weight, *self.bits.draw(len(x))

        return _sum_over(self._learn_graph, prepare, len(batches))

    def measure(self, batches: Batches) -> np.ndarray:
        """Measure the loss on all batches, without dropout.

        Parameters
        ----------
        batches : Batches
            Batches of all stars, with the margins of `Frames`.

        Returns
        -------
        sums : ndarray of shape (3,)
            Sum of `weighted_sums` over the batches.
        """
        return _sum_over(self._measure_graph, batches.__getitem__, len(batches))

    def _learn(self, x: Tensor, targets: Tensor, weight: Tensor, *bits: Tensor) -> Tensor:
        def loss_of(moments: Tensor) -> tuple[Tensor, Tensor]:
            sums = weighted_sums(targets, moments, weight)
            return mean_loss(sums), sums

        (_, sums), gradients = self.network.loss_and_gradients(loss_of, x, bits)
        self.network.optimizer.apply(gradients, self.network.trainable_variables)
        return tf.cast(sums, tf.float64)

    def _measure(self, x: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        return tf.cast(weighted_sums(targets, self.network(x), weight), tf.float64)


def _sum_over(step: Any, prepare: Callable[[int], Sequence[np.ndarray]], n: int) -> np.ndarray:
    """Return the sum of a step over n batches. A thread prepares the next batch while TensorFlow computes."""
    sums: Tensor = 0
    step = step.get_concrete_function()  # cheaper to call

    def as_tensors(index: int) -> list[Tensor]:
        return [tf.constant(values) for values in prepare(index)]

    with ThreadPoolExecutor(1) as thread:
        next_batch = thread.submit(as_tensors, 0)
        for index in range(n):
            batch = next_batch.result()
            if index + 1 < n:
                next_batch = thread.submit(as_tensors, index + 1)
            sums = sums + step(*batch)  # stays on the device, so that no batch waits for the one before
    return sums.numpy()
