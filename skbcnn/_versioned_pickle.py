"""What a pickle of an estimator says of the version that wrote it.

A pickle holds attributes as they were, so another version may read it wrongly. `VersionedPickle` writes its version
into each pickle, and `OtherVersionWarning` tells whoever loads it with another. Folders of `skbcnn.persistence` last.
"""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from skbcnn import __version__

_VERSION = "_skbcnn_version"  # as scikit-learn calls its own


class OtherVersionWarning(UserWarning):
    """An estimator was pickled by another version of this package than the one that loads it.

    Parameters
    ----------
    estimator_name : str
        Its class.
    current_version, original_version : str
        The version that loads it, and the one that pickled it.

    See Also
    --------
    sklearn.exceptions.InconsistentVersionWarning : The same of scikit-learn's own estimators.
    """

    def __init__(self, estimator_name, current_version, original_version):
        self.estimator_name = estimator_name
        self.current_version = current_version
        self.original_version = original_version
        super().__init__(estimator_name, current_version, original_version)

    def __str__(self):
        return (
            f"This {self.estimator_name} was pickled by skbcnn {self.original_version}, and is loaded by skbcnn "
            f"{self.current_version}, which may read it wrongly. Load it with the version that pickled it, or fit it "
            "again; for models that shall last, use skbcnn.persistence.save_folder."
        )


class VersionedPickle:
    """Mixin of estimators whose pickles name the version that wrote them. It stands before BaseEstimator.

    A parameter that the pickle of an earlier version lacks gets its value in `_parameters_added_later`.
    """

    _parameters_added_later: Mapping[str, Any] = MappingProxyType({})

    def __getstate__(self):
        """Give a copy of the state, and the version."""
        return {**super().__getstate__(), _VERSION: __version__}

    def __setstate__(self, state):
        """Take the state, and warn if another version gave it."""
        state = dict(state)
        original = state.pop(_VERSION, "(version unknown)")
        if original != __version__:
            warnings.warn(OtherVersionWarning(type(self).__name__, __version__, original), stacklevel=2)
        super().__setstate__({**self._parameters_added_later, **state})
