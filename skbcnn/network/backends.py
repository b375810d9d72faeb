"""Who computes predictions: TensorFlow where it can be imported, else NumPy.

Training needs TensorFlow; what was trained does not. Nothing here imports either before it is asked for.
"""

import functools
import warnings
from importlib.util import find_spec

BACKENDS = ("auto", "tensorflow", "numpy")


class NumpyBackendWarning(UserWarning):
    """TensorFlow cannot be imported, and NumPy computes predictions in its place. Said once in a process."""


def posterior_class(backend):
    """Class that computes the draws of a fitted model.

    Parameters
    ----------
    backend : {"auto", "tensorflow", "numpy"}
        Who is to compute. "auto": TensorFlow where it can be imported, else NumPy, with a warning.

    Returns
    -------
    posterior_class : type
        `skbcnn.network.tensorflow.posterior.Posterior` or `skbcnn.network.numpy.forward.NumpyPosterior`.

    Warns
    -----
    NumpyBackendWarning
        The first time that NumPy takes the place of TensorFlow.

    Raises
    ------
    ImportError
        If TensorFlow is asked for and cannot be imported.

    Examples
    --------
    >>> from skbcnn.network.backends import posterior_class
    >>> posterior_class("numpy").__name__
    'NumpyPosterior'
    """
    if backend == "tensorflow":
        require_tensorflow("backend='tensorflow'", "or let NumPy predict, with backend='numpy'")
    reason = _why_not_tensorflow() if backend == "auto" else None
    if reason:
        _warn_once(reason)
    if reason or backend == "numpy":
        from skbcnn.network.numpy.forward import NumpyPosterior

        return NumpyPosterior
    from skbcnn.network.tensorflow.posterior import Posterior

    return Posterior


def require_tensorflow(feature, otherwise="or do this where it is installed"):
    """Refuse what needs TensorFlow, where it cannot be imported.

    Parameters
    ----------
    feature : str
        What needs it, as the sentence begins.
    otherwise : str, default="or do this where it is installed"
        What else can be done, as the sentence ends.

    Raises
    ------
    ImportError
        Saying why it cannot be imported, and what to do.
    """
    if reason := _why_not_tensorflow():
        raise ImportError(
            f"{feature} needs TensorFlow, but {reason}. Install it (pip install tensorflow), {otherwise}."
        )


def _why_not_tensorflow():
    """Why TensorFlow cannot be imported; None if it can."""
    if missing := [package for package in ("tensorflow", "keras") if not _is_installed(package)]:
        return f"{' and '.join(missing)} cannot be found"
    try:
        import skbcnn.network.tensorflow.runtime  # noqa: F401
    except ImportError as error:
        return f"it cannot be imported here ({str(error).rstrip('.')})"
    return None


def _is_installed(package):
    try:
        return find_spec(package) is not None
    except ValueError:  # imported already, by somebody who left out where it comes from
        return True


@functools.cache
def _warn_once(reason):
    warnings.warn(
        f"NumPy computes the predictions, since TensorFlow is not at hand: {reason}. They are the same to single "
        "precision, but take longer. Install TensorFlow (pip install tensorflow), or choose this: backend='numpy'.",
        NumpyBackendWarning,
        stacklevel=2,
    )
