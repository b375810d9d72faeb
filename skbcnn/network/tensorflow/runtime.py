"""TensorFlow and Keras, imported and configured. All other modules import them from here.

The import hides TensorFlow's start-up messages, and limits its threads and its GPU memory to what the process should
use.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, TypeAlias

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
_BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if _BACKEND != "tensorflow" and "keras" not in sys.modules:  # else Keras names a package that nobody asked for
    raise ImportError(
        f"the environment variable KERAS_BACKEND is {_BACKEND!r}, but skbcnn uses Keras with TensorFlow. Set "
        "KERAS_BACKEND=tensorflow, or os.environ['KERAS_BACKEND'] = 'tensorflow' before the first import of Keras"
    )


@contextlib.contextmanager
def _hidden_messages() -> Iterator[None]:
    """Hold back what C++ code writes to the error stream; write it out if the block fails."""
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        try:
            visible = os.dup(2)
        except OSError:  # no error stream (a service, a windowed program): nothing to hold back
            yield
            return
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(visible, held.read())
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)


def _limit_threads() -> None:
    """Limit TensorFlow to the threads that joblib allots to this process; by default it uses all cores.

    This works only before its first operation. Values set by the user through `tf.config.threading` are kept.
    """
    allotted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # joblib sets it for its workers
    if not allotted.isdigit():
        return
    threading = tf.config.threading
    with contextlib.suppress(RuntimeError):  # TensorFlow was in use before
        if not threading.get_intra_op_parallelism_threads():
            threading.set_intra_op_parallelism_threads(int(allotted))
        if not threading.get_inter_op_parallelism_threads():
            threading.set_inter_op_parallelism_threads(int(allotted))


def _share_gpus() -> None:
    """Let TensorFlow allocate GPU memory as needed; by default it takes all of it at once.

    This works only before its first operation. Values set by the user are kept.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # TensorFlow was in use before, or logical devices are set
            if tf.config.experimental.get_memory_growth(gpu) is None:
                tf.config.experimental.set_memory_growth(gpu, True)


@contextlib.contextmanager
def float32_by_default() -> Iterator[None]:
    """Let Keras make float32 variables in the block, where it takes no `dtype`, whatever `keras.config.floatx` is."""
    before = keras.config.floatx()
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(before)


with _hidden_messages():
    import keras
    import tensorflow as tf

    _limit_threads()
    _share_gpus()
    tf.zeros(1)  # the first operation starts the runtime, which writes messages, too
    tf.get_logger().addFilter(lambda record: "retracing" not in record.getMessage())  # each network traces anew

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"Keras uses the backend {keras.backend.backend()!r}, but skbcnn needs TensorFlow. Set "
        "KERAS_BACKEND=tensorflow before Keras is first imported, or start a new Python process."
    )

Tensor: TypeAlias = Any  # TensorFlow has no type hints

__all__ = ["Tensor", "float32_by_default", "keras", "tf"]
