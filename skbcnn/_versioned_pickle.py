"""Version of this package in the pickles of its estimators.

A pickle holds attributes as they were, so another version may misread it. `VersionedPickle` writes the version into
each pickle, and `OtherVersionWarning` warns when another version loads it. Folders of `skbcnn.persistence` stay
readable.
"""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from skbcnn import __version__

_VERSION = "_skbcnn_version"  # as scikit-learn names its own


class OtherVersionWarning(UserWarning):
    """An estimator was pickled by another version of this package than the one that loads it.

    Parameters
    ----------
    estimator_name : str
        Name of its class.
    current_version, original_version : str
        Version that loads the pickle, and version that wrote it.

    See Also
    --------
    sklearn.exceptions.InconsistentVersionWarning : The same for scikit-learn's own estimators.
    """

    def __init__(self, estimator_name: str, current_version: str, original_version: str) -> None:
        self.estimator_name = estimator_name
        self.current_version = current_version
        self.original_version = original_version
        super().__init__(estimator_name, current_version, original_version)

    def __str__(self) -> str:
        return (
            f"This {self.estimator_name} was pickled by skbcnn {self.original_version}, and is loaded by skbcnn "
            f"{self.current_version}, which may misread it. Load it with the version that pickled it, or fit it again. "
            "Use skbcnn.save_folder for models that must last."
        )


class VersionedPickle:
    """Mixin for estimators whose pickles contain the version that wrote them. It comes before BaseEstimator.

    A parameter that the pickle of an earlier version lacks gets its value in `_parameters_added_later`.
    """

    _parameters_added_later: Mapping[str, Any] = MappingProxyType({})

    def __getstate__(self) -> dict[str, Any]:
        """Return a copy of the state, with the version."""
        return {**super().__getstate__(), _VERSION: __version__}  # type: ignore[dict-item]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Set the state, and warn if another version wrote it."""
        state = dict(state)
        original = state.pop(_VERSION, "(version unknown)")
        if original != __version__:
            warnings.warn(OtherVersionWarning(type(self).__name__, __version__, original), stacklevel=2)
        super().__setstate__({**self._parameters_added_later, **state})  # type: ignore[misc]
