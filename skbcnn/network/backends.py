"""Choice of the library that computes predictions: TensorFlow if it can be used, else NumPy.

Training needs TensorFlow; predictions of a trained model do not. TensorFlow cannot be used where it cannot be imported,
nor in a process that was forked after it had started. This module imports neither library before it is needed.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from typing import TYPE_CHECKING

from skbcnn._user_warnings import warn_user
from skbcnn.network.forking import reason_against_tensorflow, refuse_after_fork

if TYPE_CHECKING:
    from skbcnn.network.moments import BasePosterior

BACKENDS = ("auto", "tensorflow", "numpy")


class NumpyBackendWarning(UserWarning):
    """TensorFlow cannot be used and NumPy computes the predictions. Issued once in a process."""


def posterior_class(backend: str) -> type[BasePosterior]:
    """Return the class that computes the posterior draws of a fitted model.

    Parameters
    ----------
    backend : {"auto", "tensorflow", "numpy"}
        Library that computes. "auto": TensorFlow if it can be used in this process, else NumPy, with a warning.

    Returns
    -------
    posterior_class : type
        `skbcnn.network.tensorflow.posterior.Posterior` or `skbcnn.network.numpy.posterior.NumpyPosterior`.

    Warns
    -----
    NumpyBackendWarning
        The first time that NumPy takes the place of TensorFlow.

    Raises
    ------
    ImportError
        If `backend` is "tensorflow" and TensorFlow cannot be imported.
    RuntimeError
        If `backend` is "tensorflow" and the process was forked after TensorFlow had started.

    Examples
    --------
    >>> from skbcnn.network.backends import posterior_class
    >>> posterior_class("numpy").__name__
    'NumpyPosterior'
    """
    if backend == "tensorflow":
        require_tensorflow("backend='tensorflow'", "or predict with NumPy (backend='numpy')")
    if backend == "numpy" or (backend == "auto" and not _tensorflow_is_usable()):
        from skbcnn.network.numpy.posterior import NumpyPosterior

        return NumpyPosterior
    from skbcnn.network.tensorflow.posterior import Posterior

    return Posterior


def require_tensorflow(feature: str, alternative: str = "or use a machine where it is installed") -> None:
    """Raise an error if TensorFlow cannot be used.

    Parameters
    ----------
    feature : str
        Feature that needs TensorFlow: the beginning of the message.
    alternative : str, default="or use a machine where it is installed"
        What the user can do instead of installing TensorFlow: the end of the message.

    Raises
    ------
    ImportError
        If TensorFlow cannot be imported; the message gives the reason and what to do.
    RuntimeError
        If the process was forked after TensorFlow had started; the message says how to start processes instead.
    """
    refuse_after_fork(feature)
    if reason := _import_failure():
        remedy = "" if "KERAS_BACKEND" in reason else f" Install it (pip install tensorflow), {alternative}."
        raise ImportError(f"{feature} needs TensorFlow, but {reason}.{remedy}")


def _tensorflow_is_usable() -> bool:
    """Return whether TensorFlow can be used; warn, once for each reason, if it cannot."""
    if reason := reason_against_tensorflow():
        _warn_once(
            f"{reason}. Results agree to single precision, but take longer. Start the processes with joblib's "
            "loky or multiprocessing.get_context('spawn')"
        )
    elif reason := _import_failure():
        is_other = "KERAS_BACKEND" in reason
        remedy = "Set KERAS_BACKEND=tensorflow" if is_other else "Install TensorFlow (pip install tensorflow)"
        _warn_once(
            f"TensorFlow is not available: {reason}. Results agree to single precision, but take longer. {remedy}"
        )
    return reason is None


def _import_failure() -> str | None:
    """Return the reason why TensorFlow cannot be imported; None if it can."""
    if missing := [package for package in ("tensorflow", "keras") if not _is_installed(package)]:
        return f"{' and '.join(missing)} cannot be found"
    try:
        import skbcnn.network.tensorflow.runtime  # noqa: F401
    except ImportError as error:
        return f"it cannot be imported here ({str(error).rstrip('.')})"
    return None


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # already imported, as a module without __spec__
        return True


@functools.cache
def _warn_once(reason_and_remedy: str) -> None:
    warn_user(
        f"NumPy computes the predictions because {reason_and_remedy}, or choose NumPy with backend='numpy'.",
        NumpyBackendWarning,
    )
