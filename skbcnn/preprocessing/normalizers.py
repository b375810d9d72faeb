"""Normalisation of pixels and labels to the scale that the network reads."""

from collections.abc import Callable
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skbcnn._arrays import plain_spectra, with_numbers
from skbcnn._chunks import row_chunks
from skbcnn._global_settings import default_settings
from skbcnn._lazy_rows import LazyRows
from skbcnn._masked import fill_masked, filled_array, refuse_masked, refuse_other_containers
from skbcnn._sklearn import Options, StrOptions, check_sample_weight, fit_context
from skbcnn._validation import as_numbers
from skbcnn._versioned_pickle import VersionedPickle
from skbcnn.preprocessing._base import FLOATS
from skbcnn.survey import is_missing


class _Mode(NamedTuple):
    """One way to normalise.

    Attributes
    ----------
    centre : {"column", "whole"} or None
        Mean that is subtracted: of each column, or of the whole array.
    scale : {"column", "whole"}, float or None
        Divisor: the standard deviation of each column or of the whole array, or a number.
    sigmoid : bool
        Whether the logistic sigmoid is applied at the end.
    """

    centre: str | None
    scale: str | float | None
    sigmoid: bool = False


_MODES = {
    "0": _Mode(None, None),
    "1": _Mode("whole", "whole"),
    "2": _Mode("column", "column"),
    "3": _Mode("column", None),
    "3s": _Mode("column", None, sigmoid=True),
    "4": _Mode(None, "column"),
    "255": _Mode(None, 255.0),
}


def _average(X: np.ndarray, weight: np.ndarray, over: str, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the weighted average of a function of the values that are not NaN, for each column."""
    total, norm = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows in row_chunks(*X.shape):
        values = X[rows].astype(np.float64)
        present = ~np.isnan(values)
        total += weight[rows] @ np.where(present, function(values), 0)
        norm += weight[rows] @ present.astype(np.float64)
    if over == "whole":
        total[:], norm[:] = total.sum(), norm.sum()
    return total / norm


def _mean(X: np.ndarray, weight: np.ndarray, over: str) -> np.ndarray:
    return _average(X, weight, over, lambda values: values)


def _std(X: np.ndarray, weight: np.ndarray, over: str) -> np.ndarray:
    """Return the population standard deviation; 1 for constant columns, up to the rounding error of the mean."""
    mean = _mean(X, weight, over)
    std = np.sqrt(_average(X, weight, over, lambda values: (values - mean) ** 2))
    return np.where(std <= len(X) * np.finfo(float).eps * np.abs(mean), 1, std)


class _Normalizer(VersionedPickle, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Base of the normalisers of pixels and of labels."""

    _parameter_constraints: dict = {
        "mode": [StrOptions(set(_MODES)), Options(Integral, {int(mode) for mode in _MODES if mode.isdigit()})]
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _mode(self):
        return _MODES[self.mode if isinstance(self.mode, str) else str(int(self.mode))]

    @default_settings()
    def _learn(self, X, sample_weight):
        """Compute mean and scale; NaN values are ignored."""
        mode = self._mode
        sample_weight = sample_weight / sample_weight.max()  # so that their sum cannot overflow
        zero, one = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self.mean_ = zero if mode.centre is None else _mean(X, sample_weight, mode.centre)
        if isinstance(mode.scale, str):
            self.scale_ = _std(X, sample_weight, mode.scale)
        else:
            self.scale_ = one if mode.scale is None else one * mode.scale
        return self

    @default_settings()
    def _forward(self, X):
        out = np.empty_like(X)  # written in place, so that float32 stays float32 while NumPy computes in float64
        np.subtract(X, self.mean_, out=out, casting="same_kind")
        np.divide(out, self.scale_, out=out, casting="same_kind")
        return expit(out, out=out) if self._mode.sigmoid else out

    @default_settings()
    def _backward(self, X):
        out = logit(X) if self._mode.sigmoid else X.copy()
        np.multiply(out, self.scale_, out=out, casting="same_kind")
        return np.add(out, self.mean_, out=out, casting="same_kind")

    @property
    def is_linear(self):
        """Whether the mode is linear: it has no sigmoid."""
        return not self._mode.sigmoid

    def _check_linear(self, what):
        """Raise if the mode has a sigmoid, which has no constant slope."""
        if self._mode.sigmoid:
            raise ValueError(
                f"mode={self.mode!r} applies a sigmoid, so {what} cannot be rescaled by one number. Choose a linear "
                "mode: 0, 1, 2, 3, 4 or 255."
            )

    def scale_errors(self, err):
        """Divide errors by the scale; no mean is subtracted.

        Parameters
        ----------
        err : array-like of shape (..., n_features)
            Errors in the units of the data passed to `fit`.

        Returns
        -------
        err : ndarray of shape (..., n_features)
            Errors in normalised units. float32 stays float32.

        Raises
        ------
        ValueError
            If the mode is ``"3s"``, or the length of the last axis is not `n_features`.
        """
        check_is_fitted(self)
        self._check_linear("an error")
        err = _numbers(err, "err")
        if err.shape[-1:] != self.scale_.shape:
            raise ValueError(
                f"err has shape {err.shape}, but {type(self).__name__} was fitted on {len(self.scale_)} columns. Pass "
                "one error for each value."
            )
        return np.divide(err, self.scale_, dtype=np.float32 if err.dtype == np.float32 else np.float64)


class SpectraNormalizer(_Normalizer):
    """Shift and scale the pixels of spectra in one of the modes that published models use.

    Parameters
    ----------
    mode : {0, 1, 2, 3, "3s", 4, 255}, default=3
        0, nothing; 1, one mean and one standard deviation for the whole array; 2, mean and standard deviation of each
        column; 3, mean of each column only; ``"3s"``, the mean of each column is subtracted and a sigmoid follows;
        4, standard deviation of each column only; 255, division by 255. Strings of these numbers are accepted.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Values that are subtracted; 0 if the mode subtracts nothing. float64.
    scale_ : ndarray of shape (n_features,)
        Divisors; 1 if the mode does not divide, and for columns without spread. float64.
    n_features_in_ : int
        Number of pixels.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the pixels, if X had names in `fit`.

    Notes
    -----
    Flux must be finite: `ContinuumNormalizer` replaces bad pixels. Statistics are accumulated in float64, in chunks of
    rows; float32 spectra stay float32.

    Examples
    --------
    >>> from skbcnn import SpectraNormalizer
    >>> normalizer = SpectraNormalizer(mode=3).fit([[0.9, 1.0], [0.7, 1.0]])
    >>> normalizer.mean_
    array([0.8, 1. ])
    >>> normalizer.transform([[1.0, 0.5]]).round(6)
    array([[ 0.2, -0.5]])
    """

    def __init__(self, mode=3):
        self.mode = mode

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Compute mean and scale of the pixels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Continuum-normalised flux, finite. Masked pixels count as bad: their flux becomes 1.
        y : Ignored
            Not used, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each spectrum; 0 has the same effect as leaving it out.

        Returns
        -------
        self : SpectraNormalizer

        Raises
        ------
        ValueError
            If X is not finite, or the weights are negative or all zero.
        """
        X = validate_data(self, plain_spectra(X)[0], dtype=FLOATS, skip_check_array=isinstance(X, LazyRows))
        return self._learn(X, check_sample_weight(sample_weight, X))

    def transform(self, X):
        """Normalise spectra.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Continuum-normalised flux, as in `fit`.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return self._forward(validate_data(self, plain_spectra(X)[0], reset=False, dtype=FLOATS))

    def inverse_transform(self, X):
        """Undo the normalisation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Normalised flux. In mode ``"3s"``, values of exactly 0 or 1 become infinite.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        refuse_masked(X, "X", "Fill the pixels, or pass the spectra as `transform` returned them")
        return self._backward(validate_data(self, plain_spectra(X)[0], reset=False, dtype=FLOATS))

    def scale_errors(self, err):
        """Divide flux errors by the scale; no mean is subtracted.

        Parameters
        ----------
        err : array-like of shape (..., n_features)
            Errors in the units of the spectra passed to `fit`. Those that mark bad pixels, such as infinity, are only
            divided, too.

        Returns
        -------
        err : ndarray of shape (..., n_features)
            Errors in normalised units. float32 stays float32.

        Raises
        ------
        ValueError
            If an error is masked, the mode is ``"3s"``, or the length of the last axis is not `n_features`.
        """
        refuse_masked(err, "err", "Pass 0 where the flux was replaced")
        return super().scale_errors(err)


class LabelNormalizer(_Normalizer):
    """Shift and scale labels, some of which may be missing.

    A label is missing if it is masked, NaN, or at most -9990. Missing labels do not enter the statistics and become
    NaN.

    Parameters
    ----------
    mode : {0, 1, 2, 3, "3s", 4, 255}, default=2
        0, nothing; 1, one mean and one standard deviation for all labels together; 2, mean and standard deviation of
        each label; 3, mean of each label only; ``"3s"``, the mean of each label is subtracted and a sigmoid follows;
        4, standard deviation of each label only; 255, division by 255. Strings of these numbers are accepted.

    Attributes
    ----------
    mean_ : ndarray of shape (n_labels,)
        Values that are subtracted; 0 if the mode subtracts nothing. float64.
    scale_ : ndarray of shape (n_labels,)
        Divisors; 1 if the mode does not divide, and for labels without spread. float64.
    n_features_in_ : int
        Number of labels.
    feature_names_in_ : ndarray of shape (n_labels,)
        Names of the labels, if they had names in `fit`.

    Examples
    --------
    >>> from skbcnn import LabelNormalizer
    >>> normalizer = LabelNormalizer().fit([[4000.0, -9999.0], [5000.0, 0.1], [4500.0, 0.3]])
    >>> normalizer.mean_
    array([4.5e+03, 2.0e-01])
    >>> normalizer.transform([[4500.0, -9999.0]])
    array([[ 0., nan]])
    """

    def __init__(self, mode=2):
        self.mode = mode

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Compute mean and scale of the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels)
            Labels; masked, NaN or -9999 where missing.
        y : Ignored
            Not used, present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each star; 0 has the same effect as leaving it out.

        Returns
        -------
        self : LabelNormalizer

        Raises
        ------
        ValueError
            If a label is missing in all samples or infinite, or the weights are negative or all zero.
        """
        X = self._with_nan(X, reset=True)
        weight = check_sample_weight(sample_weight, X)
        self._check_any_value(X[weight > 0])
        return self._learn(X, weight)

    def transform(self, X):
        """Normalise labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels)
            Labels; masked, NaN or -9999 where missing.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_labels)
            NaN where the label is missing.
        """
        check_is_fitted(self)
        return self._forward(self._with_nan(X, reset=False))

    def inverse_transform(self, X):
        """Convert normalised labels to their own units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels)
            Normalised labels. NaN stays NaN. In mode ``"3s"``, values of exactly 0 or 1 become infinite.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_labels)
        """
        check_is_fitted(self)
        X = validate_data(self, _plain_labels(X), reset=False, dtype=FLOATS, ensure_all_finite="allow-nan")
        return self._backward(X)

    def inverse_moments(self, mean, *stds):
        """Convert predicted means and standard deviations to the units of the labels.

        Parameters
        ----------
        mean : array-like of shape (..., n_labels)
            Means in normalised units.
        *stds : array-like of shape (..., n_labels)
            Standard deviations of any kind, in normalised units.

        Returns
        -------
        moments : tuple of ndarray
            The mean, and each of `stds`. float64.

        Raises
        ------
        ValueError
            If the mode is ``"3s"``: mean and standard deviation cannot be inverted through a sigmoid.

        Examples
        --------
        >>> from skbcnn import LabelNormalizer
        >>> normalizer = LabelNormalizer().fit([[4000.0], [5000.0]])
        >>> normalizer.inverse_moments([[0.5]], [[0.1]])
        (array([[4750.]]), array([[50.]]))
        """
        check_is_fitted(self)
        self._check_linear("a standard deviation")
        stds = [_numbers(std, "std") * self.scale_ for std in stds]
        return _numbers(mean, "mean") * self.scale_ + self.mean_, *stds

    def _with_nan(self, X, *, reset):
        """Return the checked labels, with NaN where they are missing."""
        X = validate_data(self, _plain_labels(X), reset=reset, dtype=FLOATS, ensure_all_finite="allow-nan")
        return np.where(is_missing(X), X.dtype.type(np.nan), X)

    def _check_any_value(self, X):
        """Raise if a label is missing in all samples."""
        empty = np.flatnonzero(np.isnan(X).all(axis=0))
        if len(empty):
            names = getattr(self, "feature_names_in_", np.arange(X.shape[1]))
            raise ValueError(
                f"Label {', '.join(str(names[column]) for column in empty)} has no value: all {len(X)} are missing "
                "(NaN or at most -9990) or have zero weight. Leave it out, or add stars in which it was measured."
            )


def _plain_labels(X):
    """Return labels with NaN where they are masked; refuse tables of astropy, records and units."""
    if hasattr(X, "colnames") or getattr(getattr(X, "dtype", None), "names", None):
        raise ValueError(
            f"X is a {type(X).__name__}, expected an array or a data frame of labels. Pass pandas.DataFrame(X), or "
            "X.to_pandas() of an astropy table."
        )
    _refuse_unit(X, "X")
    refuse_other_containers(X, "X")
    return with_numbers(fill_masked(X), "X")


def _refuse_unit(values, argument):
    unit = getattr(values, "unit", None)
    if unit is not None and str(unit) != "":
        raise ValueError(
            f"{argument} has the unit {str(unit)!r}, but a normaliser does not know the units of its columns. Pass "
            f"numbers, such as {argument}.to_value('K')."
        )


def _numbers(values, argument):
    """Return values of any shape as an array of floats, with NaN where they are masked. float32 stays float32."""
    _refuse_unit(values, argument)
    refuse_other_containers(values, argument)
    array = filled_array(with_numbers(fill_masked(values), argument))
    return array if array.dtype.kind == "f" else as_numbers(array, argument)
