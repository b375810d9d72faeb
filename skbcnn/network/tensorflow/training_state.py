"""State of a training after an epoch, as arrays and plain values, from which it continues bit for bit.

Order, noise and augmentation of the stars follow from the seed and the number of the epoch. The learning rate and early
stopping follow from the losses of the epochs before, which are replayed. All else is stored: the variables of the
network and the optimizer, the generator of the dropout bits, and the best weights so far.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skbcnn._training_checkpoint import TrainingCheckpoint
from skbcnn.network.tensorflow.callbacks import KeepBest, UserCallbacks
from skbcnn.network.tensorflow.training_steps import TrainingSteps
from skbcnn.network.tensorflow.weights import get_weights

_BEST, _BITS = "best.", "dropout"  # prefix and name of arrays


def save_state(
    checkpoint: TrainingCheckpoint, steps: TrainingSteps, best: KeepBest, epochs: Sequence[dict[str, float]]
) -> None:
    """Save the state after an epoch.

    Parameters
    ----------
    checkpoint : TrainingCheckpoint
        Checkpoint.
    steps : TrainingSteps
        Steps of the training.
    best : KeepBest
        Best weights so far.
    epochs : sequence of dict of str to float
        Figures of all epochs so far.
    """
    arrays = {name: np.asarray(variable) for name, variable in _variables(steps)} | {_BITS: steps.bits.state}
    if not best.is_last:  # else they are the weights of the network
        arrays |= {_BEST + name: values for name, values in (best.weights or {}).items()}
    record = {"epochs": list(epochs), "stopped": bool(steps.network.stop_training)}
    checkpoint.save(arrays, record | {"best": best.best, "best_is_last": bool(best.is_last)})


def resume(
    checkpoint: TrainingCheckpoint, steps: TrainingSteps, best: KeepBest, callbacks: Sequence[Any]
) -> list[dict[str, float]]:
    """Set the state of a training to that of a checkpoint.

    Parameters
    ----------
    checkpoint : TrainingCheckpoint
        Checkpoint that has a saved state.
    steps : TrainingSteps
        Steps at the start of a training.
    best : KeepBest
        Best weights.
    callbacks : sequence of keras.callbacks.Callback
        All callbacks, at the start of a training.

    Returns
    -------
    epochs : list of dict of str to float
        Figures of the epochs that are complete.

    Raises
    ------
    ValueError
        If the arrays do not fit the network.
    """
    if checkpoint.saved is None:
        return []
    arrays, record = checkpoint.saved
    epochs = record["epochs"]
    for number, figures in enumerate(epochs):
        for callback in callbacks:
            if not isinstance(callback, KeepBest | UserCallbacks):
                callback.on_epoch_begin(number)
                callback.on_epoch_end(number, dict(figures))
    try:
        for name, variable in _variables(steps):
            variable.assign(arrays[name])
        steps.bits.state = arrays[_BITS]
        best.best, best.is_last = record["best"], record["best_is_last"]
        best.weights = {name.removeprefix(_BEST): arrays[name] for name in arrays if name.startswith(_BEST)} or None
    except (KeyError, TypeError, ValueError) as error:
        raise checkpoint.damaged(error) from error
    if best.is_last:
        best.weights = get_weights(steps.network)
    steps.network.stop_training = record["stopped"]
    return epochs


def _variables(steps: TrainingSteps) -> list[tuple[str, Any]]:
    """Return all variables that training changes, with a name for each."""
    kinds = {"network": steps.network.trainable_variables, "optimizer": steps.network.optimizer.variables}
    return [(f"{kind}.{number}", variable) for kind in kinds for number, variable in enumerate(kinds[kind])]
