"""One step of training and one of validation, compiled once for any number of stars."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from skbcnn.network.tensorflow.compiling import fused
from skbcnn.network.tensorflow.dropout import DropoutBits
from skbcnn.network.tensorflow.losses import mean_loss, weighted_sums
from skbcnn.network.tensorflow.runtime import keras, tf

_LARGE_WEIGHT = 100_000  # numbers; of fewer, compiling a loop takes longer than it saves


class Adam(keras.optimizers.Adam):
    """Keras's Adam for one device, in one operation a weight, with the gradient of the L2 penalty added on the way.

    Keras sums the gradients over all devices. What TensorFlow registers for that sum is never forgotten, and with it
    the graph and variables of every network that was ever trained: 57 MB each at the default widths of APOGEE.

    Parameters
    ----------
    l2 : float
        Weight of the sum of squares of the variables that have a regularizer.
    clipnorm : float or None
        Largest norm of the gradient of the loss by all weights together; a longer one is shortened to it.
    """

    def __init__(self, l2, clipnorm=None):
        super().__init__(global_clipnorm=clipnorm)
        self.l2 = l2

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        step = tf.cast(self.iterations + 1, tf.float32)
        powers = {"beta1_power": self.beta_1**step, "beta2_power": self.beta_2**step}
        settings = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon, "lr": learning_rate}
        gradients = self._penalised(grads, trainable_variables)
        for gradient, variable in zip(gradients, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            moments = {"m": self._momentums[index].value.handle, "v": self._velocities[index].value.handle}
            tf.raw_ops.ResourceApplyAdam(var=variable.value.handle, grad=gradient, **moments, **powers, **settings)

    def _penalised(self, gradients, variables):
        """Gradients of the objective: of the loss, and of the sum of squares of the kernels."""
        gradients = list(gradients)
        kernels = [number for number, variable in enumerate(variables) if variable.regularizer is not None]
        large = [number for number in kernels if np.prod(variables[number].shape) >= _LARGE_WEIGHT]
        for numbers in filter(None, (large, [number for number in kernels if number not in large])):
            pairs = [(gradients[number], variables[number].value) for number in numbers]
            for number, gradient in zip(numbers, fused(self._add_penalty, numbers is large)(pairs), strict=True):
                gradients[number] = gradient
        return gradients

    def _add_penalty(self, pairs):
        return [gradient + 2 * self.l2 * value for gradient, value in pairs]


class Steps:
    """What is done with the batches of an epoch: learn from them, or measure the loss on them.

    Parameters
    ----------
    network : CensoredNetwork
        Gets an optimizer of its own.
    clipnorm : float or None, default=None
        As in `Adam`.
    """

    def __init__(self, network, clipnorm=None):
        self.network = network
        network.compile(optimizer=Adam(network.spec.l2, clipnorm), jit_compile=False)
        network.optimizer.build(network.trainable_variables)  # now, since variables made in a trace cost a second one
        shapes = (None, network.frames.n_places), (None, 3, network.spec.n_labels), (None,)
        batch = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        self._dropout_shapes = list(network.dropout_shapes.values()) if network.spec.dropout_rate > 0 else []
        bits = [tf.TensorSpec(shape, tf.uint16) for shape in self._dropout_shapes]
        self._learn = tf.function(self._learn, input_signature=[*batch, *bits], autograph=False)
        self._measure = tf.function(self._measure, input_signature=batch, autograph=False)

    def start_anew(self, lr, seed):
        """Leave nothing of an earlier training in the optimizer: number of steps, moments, learning rate.

        Parameters
        ----------
        lr : float
            Learning rate.
        seed : int
            Of the dropout masks.
        """
        optimizer = self.network.optimizer
        for variable in optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        optimizer.learning_rate = lr
        self._bits = DropoutBits(self._dropout_shapes, seed)

    def learn(self, batches):
        """Change the weights for the better, batch by batch.

        Parameters
        ----------
        batches : Batches
            Of an epoch, with the margins of `Frames`.

        Returns
        -------
        sums : ndarray of shape (3,)
            `weighted_sums` of all batches, each before its change.
        """

        def prepare(index):
            x, targets, weight = batches[index]
            return x, targets, weight, *self._bits.draw(len(x))

        return _sum_over(self._learn, prepare, len(batches))

    def measure(self, batches):
        """Look at the loss, with dropout off.

        Parameters
        ----------
        batches : Batches
            Of all stars, with the margins of `Frames`.

        Returns
        -------
        sums : ndarray of shape (3,)
            `weighted_sums` of all batches.
        """
        return _sum_over(self._measure, batches.__getitem__, len(batches))

    def _learn(self, x, targets, weight, *bits):
        def loss_of(moments):
            sums = weighted_sums(targets, moments, weight)
            return mean_loss(sums), sums

        (_, sums), gradients = self.network.loss_and_gradients(loss_of, x, bits)
        self.network.optimizer.apply(gradients, self.network.trainable_variables)
        return tf.cast(sums, tf.float64)

    def _measure(self, x, targets, weight):
        return tf.cast(weighted_sums(targets, self.network(x), weight), tf.float64)


def _sum_over(step, prepare, n):
    """Sum of a step over n batches; a thread prepares the next one while TensorFlow has the interpreter idle."""
    step = step.get_concrete_function()  # whose call is the cheaper one

    def as_tensors(index):
        return [tf.constant(values) for values in prepare(index)]

    with ThreadPoolExecutor(1) as thread:
        coming, sums = thread.submit(as_tensors, 0), 0
        for index in range(n):
            batch = coming.result()
            if index + 1 < n:
                coming = thread.submit(as_tensors, index + 1)
            sums = sums + step(*batch)  # on the device: no batch waits for the last
    return sums.numpy()
