"""The one place that imports TensorFlow and Keras, without their start-up chatter."""

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


with _hushed():
    import keras
    import tensorflow as tf

    tf.zeros(1)  # the first operation starts the runtime, which has things to say too
    tf.get_logger().addFilter(lambda record: "retracing" not in record.getMessage())  # each network has its steps

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.backend.backend()!r} here, but skbcnn needs TensorFlow. Set KERAS_BACKEND=tensorflow "
        "before Keras is first imported, or start a new Python process."
    )

__all__ = ["keras", "tf"]
