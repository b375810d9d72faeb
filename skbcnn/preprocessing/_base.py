"""What the transformers of raw spectra share."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skbcnn._arrays import as_pixels
from skbcnn._sklearn import Interval
from skbcnn._versioned_pickle import VersionedPickle

FLOATS = (np.float64, np.float32)  # kept as they are; every other type becomes float64
RELEASE_CONSTRAINT = [Interval(Integral, 11, 20, closed="both")]


def check_n_pixels(estimator: BaseEstimator, X: np.ndarray, n_expected: int, advice: str) -> None:
    """Raise if spectra have another number of pixels.

    Parameters
    ----------
    estimator : BaseEstimator
        Transformer that received the spectra; the message names its class.
    X : ndarray of shape (n_samples, n_pixels)
        Spectra.
    n_expected : int
        Number of pixels that the transformer takes.
    advice : str
        What the user can do: one or more sentences.

    Raises
    ------
    ValueError
        In scikit-learn's words, followed by the advice.
    """
    if X.shape[1] != n_expected:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting {n_expected} features as input, "
            f"one for each pixel. {advice}"
        )


class SpectrumTransformer(VersionedPickle, TransformerMixin, BaseEstimator):
    """Base of stateless transformers of raw spectra, in which NaN pixels are allowed."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X, *, reset):
        """Return spectra as an array with NaN where they are masked, checked to be on the grid of the parameters."""
        X = as_pixels(X, "X").filled(np.nan)
        self._check_grid(check_array(X, dtype=FLOATS, ensure_all_finite=False, estimator=self))
        return validate_data(self, X, reset=reset, dtype=FLOATS, ensure_all_finite=False)
