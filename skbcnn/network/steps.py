"""One step of training and one of validation, compiled once for any number of stars."""

from skbcnn.network.backend import keras, tf
from skbcnn.network.losses import mean_loss, weighted_sums


class Adam(keras.optimizers.Adam):
    """Keras's Adam for one device.

    Keras sums the gradients over all devices. What TensorFlow registers for that sum is never forgotten, and with it
    the graph and variables of every network that was ever trained: 57 MB each at the default widths of APOGEE.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)


class Steps:
    """What is done with a batch: learn from it, or measure the loss on it.

    Both return `weighted_sums` in float64, to be added up over the batches of an epoch.

    Parameters
    ----------
    network : CensoredNetwork
        Gets an optimizer of its own.
    """

    def __init__(self, network):
        self.network = network
        network.compile(optimizer=Adam(), jit_compile=False)
        network.optimizer.build(network.trainable_variables)  # now, since variables made in a trace cost a second one
        n_pixels, n_labels = network.spec.n_pixels, network.spec.n_labels
        batch = [tf.TensorSpec((None, *shape), tf.float32) for shape in ((n_pixels,), (3, n_labels), ())]
        self.learn = tf.function(self._learn, input_signature=batch, autograph=False)
        self.measure = tf.function(self._measure, input_signature=batch, autograph=False)

    def start_anew(self, lr):
        """Leave nothing of an earlier training in the optimizer: number of steps, moments, learning rate.

        Parameters
        ----------
        lr : float
            Learning rate.
        """
        optimizer = self.network.optimizer
        for variable in optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        optimizer.learning_rate = lr

    def _learn(self, x, targets, weight):
        variables = self.network.trainable_variables
        with tf.GradientTape() as tape:
            sums = weighted_sums(targets, self.network(x, training=True), weight)
            objective = mean_loss(sums) + sum(self.network.losses)
        self.network.optimizer.apply(tape.gradient(objective, variables), variables)
        return tf.cast(sums, tf.float64)

    def _measure(self, x, targets, weight):
        return tf.cast(weighted_sums(targets, self.network(x), weight), tf.float64)
