"""The one place that imports TensorFlow and Keras: without their start-up chatter, on the threads allotted to us."""

import contextlib
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@contextlib.contextmanager
def _hushed():
    """Hold back what the C++ side writes to the error stream; show it if the block fails."""
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        try:
            visible = os.dup(2)
        except OSError:  # no error stream at all (a service, a windowed program): nothing to hold back
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


def _limit_threads():
    """Tell TensorFlow the number of threads that joblib allots to this process; by itself it takes all cores.

    Only before its first operation does it listen. What the user has set by `tf.config.threading` stays.
    """
    allotted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # joblib's workers are started with it
    if not allotted.isdigit():
        return
    threading = tf.config.threading
    with contextlib.suppress(RuntimeError):  # the first operation was long ago, and not ours
        if not threading.get_intra_op_parallelism_threads():
            threading.set_intra_op_parallelism_threads(int(allotted))
        if not threading.get_inter_op_parallelism_threads():
            threading.set_inter_op_parallelism_threads(int(allotted))


def _share_gpus():
    """Take of a GPU's memory what is needed, not all of it at once as TensorFlow does by itself.

    Only before the first operation does it listen. What the user has chosen stays.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # too late, or divided into logical devices
            if tf.config.experimental.get_memory_growth(gpu) is None:
                tf.config.experimental.set_memory_growth(gpu, True)


with _hushed():
    import keras
    import tensorflow as tf

    _limit_threads()
    _share_gpus()
    tf.zeros(1)  # the first operation starts the runtime, which has things to say too
    tf.get_logger().addFilter(lambda record: "retracing" not in record.getMessage())  # each network has its steps

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.backend.backend()!r} here, but skbcnn needs TensorFlow. Set KERAS_BACKEND=tensorflow "
        "before Keras is first imported, or start a new Python process."
    )

__all__ = ["keras", "tf"]
