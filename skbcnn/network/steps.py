"""One step of training and one of validation, compiled once for any number of stars."""

import numpy as np

from skbcnn.network.backend import keras, tf
from skbcnn.network.compiling import fused
from skbcnn.network.dropout import DropoutBits
from skbcnn.network.losses import mean_loss, weighted_sums

_LARGE_WEIGHT = 100_000  # numbers; of fewer, compiling a loop takes longer than it saves


class Adam(keras.optimizers.Adam):
    """Keras's Adam for one device, in one operation a weight, with the gradient of the L2 penalty added on the way.

    Keras sums the gradients over all devices. What TensorFlow registers for that sum is never forgotten, and with it
    the graph and variables of every network that was ever trained: 57 MB each at the default widths of APOGEE.

    Parameters
    ----------
    l2 : float
        Weight of the sum of squares of the variables that have a regularizer.
    """

    def __init__(self, l2):
        super().__init__()
        self.l2 = l2

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        step = tf.cast(self.iterations + 1, tf.float32)
        powers = {"beta1_power": self.beta_1**step, "beta2_power": self.beta_2**step}
        settings = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon, "lr": learning_rate}
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            index = self._get_variable_index(variable)
            moments = {"m": self._momentums[index].value.handle, "v": self._velocities[index].value.handle}
            gradient = self._penalised(gradient, variable)
            tf.raw_ops.ResourceApplyAdam(var=variable.value.handle, grad=gradient, **moments, **powers, **settings)

    def _penalised(self, gradient, variable):
        """Gradient of the objective: of the loss, and of the sum of squares of the kernels."""
        if variable.regularizer is None:
            return gradient
        is_large = np.prod(variable.shape) >= _LARGE_WEIGHT
        return fused(lambda gradient, value: gradient + 2 * self.l2 * value, is_large)(gradient, variable.value)


class Steps:
    """What is done with the batches of an epoch: learn from them, or measure the loss on them.

    Parameters
    ----------
    network : CensoredNetwork
        Gets an optimizer of its own.
    """

    def __init__(self, network):
        self.network = network
        network.compile(optimizer=Adam(network.spec.l2), jit_compile=False)
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
        return _sum_over(batches, lambda x, *others: self._learn(x, *others, *self._bits.draw(len(x))))

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
        return _sum_over(batches, self._measure)

    def _learn(self, x, targets, weight, *bits):
        def loss_of(moments):
            sums = weighted_sums(targets, moments, weight)
            return mean_loss(sums), sums

        (_, sums), gradients = self.network.loss_and_gradients(loss_of, x, bits)
        self.network.optimizer.apply(gradients, self.network.trainable_variables)
        return tf.cast(sums, tf.float64)

    def _measure(self, x, targets, weight):
        return tf.cast(weighted_sums(targets, self.network(x), weight), tf.float64)


def _sum_over(batches, step):
    """Sum of what a step gives for each batch."""
    return sum(step(*batches[index]) for index in range(len(batches))).numpy()  # on the device: no batch waits
