"""Processes that were forked after TensorFlow had started. Its threads do not exist there, so that it would hang."""

from __future__ import annotations

import os
import sys


def tensorflow_has_started() -> bool:
    """Return whether TensorFlow has computed anything in this process or, before a fork, in its parent.

    Returns
    -------
    started : bool
        False if TensorFlow was only imported: its threads start with its first operation.

    Examples
    --------
    >>> import skbcnn.network.tensorflow.runtime  # runs an operation
    >>> from skbcnn.network.forking import tensorflow_has_started
    >>> tensorflow_has_started()
    True
    """
    eager = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(eager, "_context", None)
    return bool(getattr(context, "_initialized", False))


class _ForkedState:
    """Whether this process was forked, directly or not, from one in which TensorFlow had started."""

    def __init__(self) -> None:
        self.after_start = False
        if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
            os.register_at_fork(after_in_child=self._enter_child)

    def _enter_child(self) -> None:
        self.after_start = self.after_start or tensorflow_has_started()


_STATE = _ForkedState()


def reason_against_tensorflow() -> str | None:
    """Return why TensorFlow cannot be used in this process.

    Returns
    -------
    reason : str or None
        Part of a sentence. None if it can be used, as far as forks are concerned.

    Examples
    --------
    >>> from skbcnn.network.forking import reason_against_tensorflow
    >>> reason_against_tensorflow() is None
    True
    """
    if not _STATE.after_start:
        return None
    return "this process was forked from one in which TensorFlow had already started, where it would hang"


def refuse_after_fork(feature: str) -> None:
    """Raise an error in a process that was forked after TensorFlow had started.

    Parameters
    ----------
    feature : str
        Feature that needs TensorFlow: the beginning of the message.

    Raises
    ------
    RuntimeError
        If TensorFlow cannot be used in this process; the message says which kinds of parallel work can use it.
    """
    if reason := reason_against_tensorflow():
        raise RuntimeError(
            f"{feature} needs TensorFlow, but {reason}. Start the processes with joblib's loky, as n_jobs of "
            "scikit-learn does, or with multiprocessing.get_context('spawn'), or use threads. Predictions with "
            "backend='auto' or 'numpy' work in this process, too."
        )
