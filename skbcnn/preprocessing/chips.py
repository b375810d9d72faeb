"""Removal of the pixels between the detectors."""

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from skbcnn._arrays import as_pixels
from skbcnn._sklearn import feature_names_in, fit_context
from skbcnn.preprocessing._base import FLOATS, RELEASE_CONSTRAINT, SpectrumTransformer, check_n_pixels
from skbcnn.survey import N_APSTAR_PIXELS, kept_pixels


class ChipGapRemover(SpectrumTransformer):
    """Drop the pixels of spectra that lie between the detectors.

    The transformer is stateless: `transform` may be called without `fit`. It takes flux errors as well as flux, and
    NaN anywhere.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 11 to 20. It determines where the chips end on the apStar grid of 8575 pixels.
    chips : sequence of (int, int), default=None
        First pixel (included) and last pixel (excluded) of each chip, from left to right, for a grid other than
        APOGEE's. None uses the chips of the release.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels of the spectra passed to `fit`: 8575 unless `chips` is given.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, if X had names in `fit`.

    See Also
    --------
    prepare_spectra : Removes the gaps of flux and errors, and normalises both.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import ChipGapRemover
    >>> ChipGapRemover(data_release=17).transform(np.ones((2, 8575), dtype=np.float32)).shape
    (2, 7514)
    >>> ChipGapRemover(chips=[(0, 2), (3, 5)]).transform([[1.0, 1.1, 0.0, 0.9, 1.0, 0.0]])
    array([[1. , 1.1, 0.9, 1. ]])
    """

    _parameters_added_later: dict = {"chips": None}
    _parameter_constraints: dict = {"data_release": RELEASE_CONSTRAINT, "chips": ["array-like", None]}

    def __init__(self, data_release=17, *, chips=None):
        self.data_release = data_release
        self.chips = chips

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check that the spectra are on the grid of the chips.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, with 8575 pixels unless `chips` is given.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : ChipGapRemover

        Raises
        ------
        ValueError
            If X has another number of pixels (for instance because the gaps are removed already), or `chips` does not
            fit X.
        """
        self._validated(X, reset=True)
        return self

    def transform(self, X):
        """Remove the gaps.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, or any other quantity given for each pixel. Masked values become NaN.

        Returns
        -------
        X_out : ndarray of shape (n_samples, 7514), or (n_samples, 7214) for releases 11 and 12
            Values on the chips; with `chips`, as many pixels as these have. float32 stays float32, and a unit stays.

        Raises
        ------
        ValueError
            As in `fit`.
        """
        pixels = as_pixels(X, "X")
        kept = self._validated(pixels.filled(np.nan), reset=False)[:, self._kept()]
        return kept if pixels.unit is None else kept * pixels.unit

    def inverse_transform(self, X):
        """Put the gaps back, filled with NaN.

        Parameters
        ----------
        X : array-like of shape (n_samples, 7514), or (n_samples, 7214) for releases 11 and 12
            Spectra without gaps.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_pixels)
            NaN in the gaps: their values are not stored.

        Raises
        ------
        ValueError
            If X has another number of pixels.
        NotFittedError
            If `chips` is given and `fit` was not called: the length of the spectra is then unknown.
        """
        if self.chips is not None:
            check_is_fitted(self, "n_features_in_")
        kept = self._kept()
        X = as_pixels(X, "X").filled(np.nan)
        X = check_array(X, dtype=FLOATS, ensure_all_finite=False, estimator=self)
        check_n_pixels(self, X, len(kept), "Pass spectra from which ChipGapRemover removed the gaps.")
        n_pixels = N_APSTAR_PIXELS if self.chips is None else self.n_features_in_
        X_out = np.full((len(X), n_pixels), np.nan, dtype=X.dtype)
        X_out[:, kept] = X
        return X_out

    def get_feature_names_out(self, input_features=None):
        """Return the names of the pixels that are kept.

        Parameters
        ----------
        input_features : array-like of str of shape (n_pixels,), default=None
            Names of the input pixels; None uses those seen in `fit`, or ``x0``, ``x1``, ...

        Returns
        -------
        names : ndarray of str objects
        """
        return feature_names_in(self, input_features)[self._kept()]

    def _kept(self):
        """Return the indices of the pixels on the chips."""
        if self.chips is None:
            return kept_pixels(self.data_release)
        return np.concatenate([np.arange(start, stop) for start, stop in self.chips])

    def _check_grid(self, X):
        if self.chips is not None:
            _check_chips(self.chips, X.shape[1])
            return
        advice = (
            "The gaps of these spectra are removed already: leave ChipGapRemover out."
            if X.shape[1] == len(self._kept())
            else "Pass spectra on the apStar grid, as the files contain them, or `chips` on the grid of X."
        )
        check_n_pixels(self, X, N_APSTAR_PIXELS, advice)


def _check_chips(chips: Sequence, n_pixels: int) -> None:
    """Raise unless the chips are ordered, do not overlap, and lie within the spectrum."""
    bounds = np.asarray(chips)
    pairs = bounds.ndim == 2 and bounds.shape[1] == 2 and bounds.dtype.kind in "iu" and len(bounds)
    if not pairs or not (bounds[:, 0] < bounds[:, 1]).all() or (np.diff([0, *bounds.ravel(), n_pixels]) < 0).any():
        raise ValueError(
            f"chips is {chips!r}, expected pairs (start, stop) of pixel numbers from left to right, within the "
            f"{n_pixels} pixels of X."
        )
