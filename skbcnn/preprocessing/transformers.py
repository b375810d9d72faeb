"""From spectra as the survey delivers them to what the network reads, as scikit-learn transformers.

In order: `ChipGapRemover` drops the pixels between the detectors, `ContinuumNormalizer` divides by the continuum and
replaces bad pixels, `SpectraNormalizer` centres each pixel; `prepare_spectra` does the first two for flux and errors
together. `LabelNormalizer` does for labels what `SpectraNormalizer` does for pixels, and leaves missing ones missing.
"""

from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_array, gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from skbcnn._sklearn import Interval, Options, StrOptions, check_sample_weight, feature_names_in, fit_context
from skbcnn._validation import check_beside
from skbcnn._versioned_pickle import VersionedPickle
from skbcnn.survey import (
    DEFAULT_BAD_BITS,
    N_APSTAR_PIXELS,
    bad_pixels,
    chip_slices,
    continuum_pixels,
    is_missing,
    kept_pixels,
)

FLOATS = (np.float64, np.float32)  # kept as they come; anything else becomes the first
_VALUES_AT_ONCE = 2**20  # float64 copies are made of that many values at a time, never of all spectra

_RELEASE_CONSTRAINT = [Interval(Integral, 11, 17, closed="both")]


def _batches(X):
    """Slices of rows, each of about `_VALUES_AT_ONCE` values."""
    return gen_batches(len(X), max(1, _VALUES_AT_ONCE // X.shape[1]))


def _check_n_pixels(estimator, X, n_expected, advice):
    """Refuse spectra on another grid, in scikit-learn's words, and say what to do."""
    if X.shape[1] != n_expected:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting {n_expected} features as input, "
            f"one for each pixel. {advice}"
        )


class _SpectrumTransformer(VersionedPickle, TransformerMixin, BaseEstimator):
    """A transformer of raw spectra: learns nothing, and lets NaN pixels in."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X, *, reset):
        """Spectra as an array, on the grid that the parameters ask for."""
        self._check_grid(check_array(X, dtype=FLOATS, ensure_all_finite=False, estimator=self))
        return validate_data(self, X, reset=reset, dtype=FLOATS, ensure_all_finite=False)


class ChipGapRemover(_SpectrumTransformer):
    """Drop the pixels of spectra that lie between the detectors.

    Learns nothing: `transform` may be called without `fit`. Flux errors pass through it as flux does; NaN may be
    anywhere.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 11 to 17, which decides where the chips end on the apStar grid of 8575 pixels.
    chips : sequence of (int, int), default=None
        First pixel (included) and last pixel (excluded) of each chip, from left to right, on a grid other than
        APOGEE's. None takes the chips of the release.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels, once fitted: 8575 unless `chips` are given.
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

    _parameter_constraints: ClassVar[dict] = {"data_release": _RELEASE_CONSTRAINT, "chips": ["array-like", None]}

    def __init__(self, data_release=17, *, chips=None):
        self.data_release = data_release
        self.chips = chips

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Check that the spectra are on the grid of the chips.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, of 8575 pixels unless `chips` are given.
        y : Ignored
            For scikit-learn's sake.

        Returns
        -------
        self : ChipGapRemover

        Raises
        ------
        ValueError
            If X has another number of pixels, among them spectra from which the gaps are gone already, or `chips` are
            no chips of X.
        """
        self._validated(X, reset=True)
        return self

    def transform(self, X):
        """Remove the gaps.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, or anything else given per pixel.

        Returns
        -------
        X_out : ndarray of shape (n_samples, 7514), or (n_samples, 7214) for releases 11 and 12
            As many pixels as `chips` have, if these are given. float32 stays float32.

        Raises
        ------
        ValueError
            As in `fit`.
        """
        return self._validated(X, reset=False)[:, self._kept()]

    def inverse_transform(self, X):
        """Put the gaps back, as NaN.

        Parameters
        ----------
        X : array-like of shape (n_samples, 7514), or (n_samples, 7214) for releases 11 and 12
            Spectra without gaps.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_pixels)
            NaN where no detector is: what was there is not remembered.

        Raises
        ------
        ValueError
            If X has another number of pixels.
        NotFittedError
            If `chips` are given and `fit` was not called: they do not tell how long the spectra were.
        """
        if self.chips is not None:
            check_is_fitted(self, "n_features_in_")
        kept = self._kept()
        X = check_array(X, dtype=FLOATS, ensure_all_finite=False, estimator=self)
        _check_n_pixels(self, X, len(kept), "Pass spectra from which ChipGapRemover removed the gaps.")
        n_pixels = N_APSTAR_PIXELS if self.chips is None else self.n_features_in_
        X_out = np.full((len(X), n_pixels), np.nan, dtype=X.dtype)
        X_out[:, kept] = X
        return X_out

    def get_feature_names_out(self, input_features=None):
        """Names of the pixels that are kept.

        Parameters
        ----------
        input_features : array-like of str of shape (n_pixels,), default=None
            Names of the pixels that come in; None takes those seen in `fit`, or ``x0``, ``x1``, ...

        Returns
        -------
        names : ndarray of str objects
        """
        return feature_names_in(self, input_features)[self._kept()]

    def _kept(self):
        """Pixels that stay."""
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
            else "Pass spectra on the apStar grid, as they stand in the files, or `chips` on the grid of X."
        )
        _check_n_pixels(self, X, N_APSTAR_PIXELS, advice)


def _check_chips(chips, n_pixels):
    """Refuse chips of a user that do not lie in the spectrum one after the other."""
    bounds = np.asarray(chips)
    pairs = bounds.ndim == 2 and bounds.shape[1] == 2 and bounds.dtype.kind in "iu" and len(bounds)
    if not pairs or not (bounds[:, 0] < bounds[:, 1]).all() or (np.diff([0, *bounds.ravel(), n_pixels]) < 0).any():
        raise ValueError(
            f"chips is {chips!r}, expected pairs (start, stop) of pixel numbers from left to right, within the "
            f"{n_pixels} pixels of X."
        )


class NormalizedSpectra(NamedTuple):
    """Continuum-normalised spectra: flux, its error (or None), and which pixels are measured, not filled in."""

    flux: np.ndarray
    err: np.ndarray | None
    good: np.ndarray


class _ChipGrid(NamedTuple):
    """One chip of the spectra to be normalised, and its continuum pixels counted from its start."""

    name: str
    pixels: slice
    continuum: np.ndarray


class _Weighting(NamedTuple):
    """How pixels count in the continuum fit: the factor on each residual, and whether flagged pixels take part."""

    factor: object
    keeps_flagged: bool


_WEIGHTINGS = {
    "inverse_variance": _Weighting(lambda err: 1 / err, keeps_flagged=False),
    # numpy's `w` multiplies residuals before they are squared, so inverse variance there weighs by its square
    "astronn": _Weighting(lambda err: 1 / (err**2 + 1e-8), keeps_flagged=True),
}


class ContinuumNormalizer(OneToOneFeatureMixin, _SpectrumTransformer):
    """Divide spectra by their continuum, chip by chip, and replace pixels that cannot be used.

    A Chebyshev polynomial goes through the continuum pixels of each chip, and divides flux and error. Afterwards

    - flux that is NaN or infinite, carries one of `bad_bits`, or has an error that is not a positive number, is 1;
    - negative flux is 0;
    - the error of every such pixel is 0, since nothing measured is left there, and `normalize` tells which they are.

    The fit leaves out all these pixels but the negative ones. Learns nothing: `transform` may be called without `fit`.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release whose chips and continuum pixels are used, on spectra without gaps.
    pixels : array-like of int or "all", default=None
        Continuum pixels, 0-based, on the grid of X; None takes those of the release. Networks published for DR14
        need ``continuum_pixels(14)`` whatever the release of the file.
    chips : sequence of (int, int) or "one", default=None
        First pixel (included) and last pixel (excluded) of each chip, for a grid other than APOGEE's; side by side,
        from the first pixel to the last. ``"one"`` is a single chip of any length. Needs `pixels`. None takes the chips
        of the release.
    degree : int, default=2
        Degree of the polynomials.
    weighting : {"inverse_variance", "astronn"}, default="inverse_variance"
        How errors weigh the fit. ``"inverse_variance"`` is least squares proper: residuals divided by their errors.
        ``"astronn"`` repeats the fit of the published models: squared residuals weighed by (1/(err**2 + 1e-8))**2,
        flagged pixels among them. Without errors all pixels weigh the same.
    bad_bits : sequence of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 12)
        Bits of the apStar pixel mask that make a pixel unusable.
    no_continuum : {"raise", "fill"}, default="raise"
        What to do with a chip of a spectrum that has too few usable continuum pixels, or a continuum that is not
        positive, as in an empty row: refuse it, or treat all its pixels as unusable.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels, once fitted.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, if X had names in `fit`.

    See Also
    --------
    prepare_spectra : The same on spectra with gaps, for flux and errors together.

    Notes
    -----
    Inside a pipeline, errors and bitmask come by metadata routing. They are not changed by the steps before, so they
    must be on the same grid as X is here. Give them a name of their own, since the regressor has an `x_err` too:
    ``set_fit_request(x_err="flux_err", bitmask=True).set_transform_request(x_err="flux_err", bitmask=True)``.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import ContinuumNormalizer
    >>> flux = np.full((1, 7514), 250.0)
    >>> flux[0, 100] = 125.0
    >>> ContinuumNormalizer(data_release=17).transform(flux)[0, 99:102].round(6)
    array([1. , 0.5, 1. ])
    """

    _parameter_constraints: ClassVar[dict] = {
        "data_release": _RELEASE_CONSTRAINT,
        "pixels": ["array-like", StrOptions({"all"}), None],
        "chips": ["array-like", StrOptions({"one"}), None],
        "degree": [Interval(Integral, 0, None, closed="left")],
        "weighting": [StrOptions(set(_WEIGHTINGS))],
        "bad_bits": ["array-like"],
        "no_continuum": [StrOptions({"raise", "fill"})],
    }

    def __init__(
        self,
        data_release=17,
        *,
        pixels=None,
        chips=None,
        degree=2,
        weighting="inverse_variance",
        bad_bits=DEFAULT_BAD_BITS,
        no_continuum="raise",
    ):
        self.data_release = data_release
        self.pixels = pixels
        self.chips = chips
        self.degree = degree
        self.weighting = weighting
        self.bad_bits = bad_bits
        self.no_continuum = no_continuum

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, x_err=None, bitmask=None):
        """Check the spectra and what comes with them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, without gaps.
        y : Ignored
            For scikit-learn's sake.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Errors of the flux, in its unit.
        bitmask : array-like of int of shape (n_samples, n_pixels), default=None
            Pixel mask of the apStar file.

        Returns
        -------
        self : ContinuumNormalizer

        Raises
        ------
        ValueError
            If the shapes do not fit the grid or each other, or `pixels` and `chips` do not fit the spectra.
        """
        self._checked(X, x_err, bitmask, reset=True)
        return self

    def transform(self, X, x_err=None, bitmask=None):
        """Normalise spectra.

        Parameters
        ----------
        X, x_err, bitmask
            As in `normalize`.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_pixels)
            Flux divided by the continuum.

        Raises
        ------
        ValueError
            As in `normalize`.
        """
        return self.normalize(X, x_err, bitmask).flux

    def fit_transform(self, X, y=None, x_err=None, bitmask=None):
        """Check the spectra, then normalise them.

        Parameters
        ----------
        X, y, x_err, bitmask
            As in `fit`.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_pixels)
            Flux divided by the continuum.

        Raises
        ------
        ValueError
            As in `normalize`.
        """
        return self.fit(X, y, x_err, bitmask).transform(X, x_err, bitmask)

    def normalize(self, X, x_err=None, bitmask=None):
        """Normalise flux and errors, and tell which pixels are good.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, without gaps, in any unit. NaN and infinite pixels are allowed.
        x_err : array-like of shape (n_samples, n_pixels), default=None
            Errors of the flux, in its unit.
        bitmask : array-like of int of shape (n_samples, n_pixels), default=None
            Pixel mask of the apStar file.

        Returns
        -------
        spectra : NormalizedSpectra
            ``flux`` in units of the continuum, float32 if X is; ``err`` likewise, or None if no errors came; ``good``,
            False where flux was replaced.

        Raises
        ------
        ValueError
            If a chip of a spectrum has too few usable continuum pixels, or its continuum is not positive, unless
            `no_continuum` says otherwise; row and chip are named. If shapes do not fit.
        TypeError
            If `bitmask` is not of an integer type.

        Examples
        --------
        >>> import numpy as np
        >>> from skbcnn import ContinuumNormalizer
        >>> normalizer = ContinuumNormalizer(pixels=[0, 1, 4, 5], chips=[(0, 6)], degree=0)
        >>> spectra = normalizer.normalize([[2, 2, np.nan, 1, 2, 2]], x_err=np.full((1, 6), 0.5))
        >>> spectra.flux
        array([[1. , 1. , 1. , 0.5, 1. , 1. ]])
        >>> spectra.err
        array([[0.25, 0.25, 0.  , 0.25, 0.25, 0.25]])
        >>> spectra.good
        array([[ True,  True, False,  True,  True,  True]])
        """
        self._validate_params()  # `fit`, which does so elsewhere, may not have been called
        X, x_err, bitmask, grid = self._checked(X, x_err, bitmask, reset=False)
        flux, err = np.empty_like(X), None if x_err is None else np.empty_like(X)
        good = np.empty(X.shape, dtype=bool)
        for rows in _batches(X):
            raw = X[rows].astype(np.float64)
            raw_err = None if x_err is None else x_err[rows].astype(np.float64)
            known, flagged = self._sort_pixels(raw, raw_err, None if bitmask is None else bitmask[rows])
            continuum = self._continuum(raw, raw_err, known, flagged, grid, rows.start)
            measured = known & ~flagged & np.isfinite(continuum)
            good[rows] = measured & (raw >= 0)
            with np.errstate(invalid="ignore"):  # infinite flux and errors are replaced here
                flux[rows] = np.where(measured, np.maximum(raw / continuum, 0), 1)
                if err is not None:
                    err[rows] = np.where(good[rows], raw_err / continuum, 0)
        return NormalizedSpectra(flux, err, good)

    def _checked(self, X, x_err, bitmask, *, reset):
        """Arrays and the grid they are on, once shapes and parameters fit together."""
        X = self._validated(X, reset=reset)
        grid = self._grid(X.shape[1])
        if x_err is not None:
            x_err = check_beside("x_err", x_err, X)
        if bitmask is not None:
            bitmask = check_beside("bitmask", bitmask, X)
        return X, x_err, bitmask, grid

    def _check_grid(self, X):
        if self.chips is None:
            advice = (
                f"Remove the chip gaps with ChipGapRemover(data_release={self.data_release}) first."
                if X.shape[1] == N_APSTAR_PIXELS
                else "Pass APOGEE spectra without gaps, or `pixels` and `chips` on the grid of X."
            )
            _check_n_pixels(self, X, len(kept_pixels(self.data_release)), advice)

    def _grid(self, n_pixels):
        """The chips and their continuum pixels."""
        chips = chip_slices(self.data_release) if self.chips is None else _chips_side_by_side(self.chips, n_pixels)
        pixels = self._continuum_pixels(n_pixels)
        grid = [
            _ChipGrid(name, chip, pixels[(pixels >= chip.start) & (pixels < chip.stop)] - chip.start)
            for name, chip in chips.items()
        ]
        if bare := [chip.name for chip in grid if len(chip.continuum) <= self.degree]:
            raise ValueError(
                f"Chip {', '.join(bare)} has too few continuum pixels for a polynomial of degree {self.degree}. Pass "
                "more `pixels`, or a smaller `degree`."
            )
        return grid

    def _continuum_pixels(self, n_pixels):
        if self.pixels is None:
            if self.chips is not None:
                raise ValueError(
                    "chips are given and pixels are not, but the continuum pixels are known for APOGEE's grid only. "
                    "Pass `pixels` on the grid of X."
                )
            return continuum_pixels(self.data_release)
        if isinstance(self.pixels, str):
            return np.arange(n_pixels)
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 1 or pixels.dtype.kind not in "iu" or not np.isin(pixels, np.arange(n_pixels)).all():
            raise ValueError(
                f"pixels is an array of shape {pixels.shape} and type {pixels.dtype}, expected one dimension of pixel "
                f"numbers from 0 to {n_pixels - 1}."
            )
        return np.unique(pixels)

    def _sort_pixels(self, flux, err, bitmask):
        """Which pixels have a flux and an error that can be computed with, and which are flagged."""
        known = np.isfinite(flux)
        if err is not None:
            known &= np.isfinite(err) & (err > 0)
        flagged = np.zeros(flux.shape, dtype=bool) if bitmask is None else bad_pixels(bitmask, self.bad_bits)
        return known, flagged

    def _continuum(self, flux, err, known, flagged, grid, first_row):
        """Continuum of each spectrum on all chips."""
        weighting = _WEIGHTINGS[self.weighting]
        usable = known if weighting.keeps_flagged else known & ~flagged
        continuum = np.empty_like(flux)
        for name, chip, pixels in grid:
            use = usable[:, chip][:, pixels]
            factor = use.astype(float)
            if err is not None:
                factor[use] = weighting.factor(err[:, chip][:, pixels][use])
            height = np.where(use, flux[:, chip][:, pixels], 0)
            fitted, determined = _weighted_polynomials(height, factor, pixels, chip.stop - chip.start, self.degree)
            negative = (fitted <= 0).any(axis=1)
            if self.no_continuum == "raise":
                too_few = f"fewer than {self.degree + 1} usable continuum pixels on chip {name}"
                _refuse_rows(~determined, first_row, too_few)
                _refuse_rows(negative, first_row, f"a continuum that is not positive on chip {name}")
            continuum[:, chip] = np.where((determined & ~negative)[:, None], fitted, np.nan)
        return continuum


def _chips_side_by_side(chips, n_pixels):
    """A user's chips as slices, refused unless they fill the spectrum."""
    bounds = np.asarray([(0, n_pixels)] if isinstance(chips, str) else chips)
    ordered = bounds.ndim == 2 and bounds.shape[1] == 2 and (bounds[:, 0] < bounds[:, 1]).all()
    if not ordered or not np.array_equal([0, *bounds[:, 1]], [*bounds[:, 0], n_pixels]):
        raise ValueError(
            f"chips is {chips!r}, expected pairs (start, stop) side by side from pixel 0 to {n_pixels}, the number of "
            "pixels of X. Remove gaps between chips from the spectra first."
        )
    return {f"{start}:{stop}": slice(int(start), int(stop)) for start, stop in bounds}


def _weighted_polynomials(height, factor, pixels, n_pixels, degree):
    """Least-squares polynomial of each row, and whether its pixels determine it.

    Residuals are multiplied by `factor`, and zero leaves a pixel out. QR, not normal equations: errors in one
    spectrum differ by up to twelve orders of magnitude.
    """
    basis = chebvander(np.linspace(-1, 1, n_pixels), degree)
    factor = factor / np.maximum(factor.max(axis=1, keepdims=True), np.finfo(float).tiny)
    q, r = np.linalg.qr(factor[:, :, None] * basis[pixels])
    pivots = np.abs(np.diagonal(r, axis1=1, axis2=2))
    enough = np.count_nonzero(factor, axis=1) > degree
    determined = enough & (pivots.min(axis=1) > np.finfo(float).eps * pivots.max(axis=1))
    r[~determined] = np.eye(degree + 1)
    coefficients = np.linalg.solve(r, np.einsum("spc,sp->sc", q, factor * height)[:, :, None])[:, :, 0]
    return coefficients @ basis.T, determined


def _refuse_rows(refused, first_row, what):
    """Raise if any spectrum is refused, and name them all."""
    if refused.any():
        rows = first_row + np.flatnonzero(refused)
        some = ", ".join(map(str, rows[:10])) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
        raise ValueError(
            f"Row{'s' if len(rows) > 1 else ''} {some} of X {'have' if len(rows) > 1 else 'has'} {what}, so the "
            "spectrum cannot be normalised. Leave such spectra out (the second row of an apStar file may be empty), or "
            "choose no_continuum='fill'."
        )


def prepare_spectra(
    flux,
    err=None,
    bitmask=None,
    *,
    data_release=17,
    pixels=None,
    degree=2,
    weighting="inverse_variance",
    bad_bits=DEFAULT_BAD_BITS,
):
    """Remove gaps and continuum from flux and errors together, as the network and its `x_err` need them.

    Outside a pipeline, because a pipeline changes X only, and not the errors beside it.

    Parameters
    ----------
    flux : array-like of shape (n_samples, 8575) or (n_samples, 7514)
        As in the apStar files, or with the gaps removed. NaN pixels are allowed.
    err : array-like of the shape of `flux`, default=None
        Errors of the flux, in its unit.
    bitmask : array-like of int of the shape of `flux`, default=None
        Pixel mask of the apStar file.
    data_release, pixels, degree, weighting, bad_bits
        As in `ContinuumNormalizer`.

    Returns
    -------
    X : ndarray of shape (n_samples, 7514)
        Flux in units of the continuum.
    x_err : ndarray of shape (n_samples, 7514) or None
        Its errors, 0 where flux was replaced; None if no errors came.

    Raises
    ------
    ValueError
        If the shapes differ or do not fit, or a spectrum cannot be normalised.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.preprocessing import prepare_spectra
    >>> X, x_err = prepare_spectra(np.full((1, 8575), 300.0), err=np.full((1, 8575), 3.0))
    >>> X.shape, x_err[0, :2].round(6)
    ((1, 7514), array([0.01, 0.01]))
    """
    flux = np.asarray(flux)
    if flux.ndim == 2 and flux.shape[1] == N_APSTAR_PIXELS:
        kept = kept_pixels(data_release)
        err = None if err is None else check_beside("err", err, flux)[:, kept]
        bitmask = None if bitmask is None else check_beside("bitmask", bitmask, flux)[:, kept]
        flux = ChipGapRemover(data_release).fit_transform(flux)
    normalizer = ContinuumNormalizer(
        data_release, pixels=pixels, degree=degree, weighting=weighting, bad_bits=bad_bits
    ).fit(flux)
    return normalizer.normalize(flux, err, bitmask)[:2]


class _Mode(NamedTuple):
    """A way to normalise: what is subtracted, what divides, and whether a sigmoid follows."""

    centre: str | None  # "column" or "whole": over which values the mean is taken
    scale: str | float | None  # likewise for the standard deviation, or a number
    squash: bool = False


_MODES = {
    "0": _Mode(None, None),
    "1": _Mode("whole", "whole"),
    "2": _Mode("column", "column"),
    "3": _Mode("column", None),
    "3s": _Mode("column", None, squash=True),
    "4": _Mode(None, "column"),
    "255": _Mode(None, 255.0),
}


def _average(X, weight, over, of):
    """Weighted average of a function of the values that are not NaN, one for each column."""
    total, norm = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows in _batches(X):
        values = X[rows].astype(np.float64)
        present = ~np.isnan(values)
        total += weight[rows] @ np.where(present, of(values), 0)
        norm += weight[rows] @ present.astype(np.float64)
    if over == "whole":
        total[:], norm[:] = total.sum(), norm.sum()
    return total / norm


def _mean(X, weight, over):
    return _average(X, weight, over, of=lambda values: values)


def _std(X, weight, over):
    """Population standard deviation; 1 where there is no spread but what rounding the mean leaves."""
    mean = _mean(X, weight, over)
    std = np.sqrt(_average(X, weight, over, of=lambda values: (values - mean) ** 2))
    return np.where(std <= len(X) * np.finfo(float).eps * np.abs(mean), 1, std)


class _Normalizer(VersionedPickle, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Subtract, divide, squash: what pixels and labels have in common."""

    _parameter_constraints: ClassVar[dict] = {
        "mode": [StrOptions(set(_MODES)), Options(Integral, {int(mode) for mode in _MODES if mode.isdigit()})]
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _mode(self):
        return _MODES[self.mode if isinstance(self.mode, str) else str(int(self.mode))]

    def _learn(self, X, sample_weight):
        """Fit on values that are numbers or NaN."""
        mode = self._mode
        sample_weight = sample_weight / sample_weight.max()  # their unit cancels, unless a sum of them overflows
        zero, one = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self.mean_ = zero if mode.centre is None else _mean(X, sample_weight, mode.centre)
        if isinstance(mode.scale, str):
            self.scale_ = _std(X, sample_weight, mode.scale)
        else:
            self.scale_ = one if mode.scale is None else one * mode.scale
        return self

    def _forward(self, X):
        out = np.empty_like(X)  # written in place, so that float32 stays float32 while NumPy computes in float64
        np.subtract(X, self.mean_, out=out, casting="same_kind")
        np.divide(out, self.scale_, out=out, casting="same_kind")
        return expit(out, out=out) if self._mode.squash else out

    def _backward(self, X):
        out = logit(X) if self._mode.squash else X.copy()
        np.multiply(out, self.scale_, out=out, casting="same_kind")
        return np.add(out, self.mean_, out=out, casting="same_kind")

    def _check_linear(self, what):
        if self._mode.squash:
            raise ValueError(
                f"mode={self.mode!r} squashes values, so {what} cannot be rescaled by one number. Choose a linear "
                "mode: 0, 1, 2, 3, 4 or 255."
            )

    def scale_errors(self, err):
        """Errors in normalised units: divided by the scale, never centred.

        Parameters
        ----------
        err : array-like of shape (..., n_features)
            In the units of what was fitted.

        Returns
        -------
        err : ndarray of shape (..., n_features)
            float32 stays float32.

        Raises
        ------
        ValueError
            If the mode is ``"3s"``, or the last axis has another length.
        """
        check_is_fitted(self)
        self._check_linear("an error")
        err = np.asarray(err)
        if err.shape[-1:] != self.scale_.shape:
            raise ValueError(
                f"err has shape {err.shape}, but {type(self).__name__} was fitted on {len(self.scale_)} columns. Pass "
                "one error for each value."
            )
        return np.divide(err, self.scale_, dtype=np.float32 if err.dtype == np.float32 else np.float64)


class SpectraNormalizer(_Normalizer):
    """Shift and scale the pixels of spectra, in one of the ways that published models use.

    Parameters
    ----------
    mode : {0, 1, 2, 3, "3s", 4, 255}, default=3
        0, nothing; 1, one mean and one standard deviation for the whole array; 2, mean and standard deviation of each
        column; 3, mean of each column only; ``"3s"``, the mean of each column is subtracted and a sigmoid follows;
        4, standard deviation of each column only; 255, division by 255. Numbers may come as text.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        What is subtracted; 0 where the mode subtracts nothing. float64.
    scale_ : ndarray of shape (n_features,)
        What divides; 1 where the mode does not divide and where a column has no spread. float64.
    n_features_in_ : int
        Number of pixels.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the pixels, if X had names in `fit`.

    Notes
    -----
    Flux must be finite: bad pixels are filled in by `ContinuumNormalizer` before. Statistics are accumulated in
    float64, a few rows at a time; float32 spectra stay float32.

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
        """Learn mean and scale of the pixels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Continuum-normalised flux, finite.
        y : Ignored
            For scikit-learn's sake.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each spectrum counts; 0 is as good as absent.

        Returns
        -------
        self : SpectraNormalizer

        Raises
        ------
        ValueError
            If X is not finite, or the weights are negative or all zero.
        """
        X = validate_data(self, X, dtype=FLOATS)
        return self._learn(X, check_sample_weight(sample_weight, X))

    def transform(self, X):
        """Normalise spectra.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Continuum-normalised flux.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return self._forward(validate_data(self, X, reset=False, dtype=FLOATS))

    def inverse_transform(self, X):
        """Undo the normalisation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Normalised flux. In mode ``"3s"``, what was squashed to exactly 0 or 1 comes back infinite.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return self._backward(validate_data(self, X, reset=False, dtype=FLOATS))


class LabelNormalizer(_Normalizer):
    """Shift and scale labels, of which some are missing.

    A label is missing if it is NaN or at most -9990. It enters no statistics, and comes out as NaN.

    Parameters
    ----------
    mode : {0, 1, 2, 3, "3s", 4, 255}, default=2
        0, nothing; 1, one mean and one standard deviation for all labels together; 2, mean and standard deviation of
        each label; 3, mean of each label only; ``"3s"``, the mean of each label is subtracted and a sigmoid follows;
        4, standard deviation of each label only; 255, division by 255. Numbers may come as text.

    Attributes
    ----------
    mean_ : ndarray of shape (n_labels,)
        What is subtracted; 0 where the mode subtracts nothing. float64.
    scale_ : ndarray of shape (n_labels,)
        What divides; 1 where the mode does not divide and where a label has no spread. float64.
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
        """Learn mean and scale of the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels)
            Labels, missing ones among them.
        y : Ignored
            For scikit-learn's sake.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each star counts; 0 is as good as absent.

        Returns
        -------
        self : LabelNormalizer

        Raises
        ------
        ValueError
            If a label has no value at all, is infinite, or the weights are negative or all zero.
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
            Labels, missing ones among them.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_labels)
            NaN where the label is missing.
        """
        check_is_fitted(self)
        return self._forward(self._with_nan(X, reset=False))

    def inverse_transform(self, X):
        """Labels in their own units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_labels)
            Normalised labels. NaN stays NaN. In mode ``"3s"``, what was squashed to exactly 0 or 1 comes back
            infinite.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_labels)
        """
        check_is_fitted(self)
        return self._backward(validate_data(self, X, reset=False, dtype=FLOATS, ensure_all_finite="allow-nan"))

    def inverse_moments(self, mean, *stds):
        """Predicted means and standard deviations in the units of the labels.

        Parameters
        ----------
        mean : array-like of shape (..., n_labels)
            In normalised units.
        *stds : array-like of shape (..., n_labels)
            Standard deviations of any kind, in normalised units.

        Returns
        -------
        moments : tuple of ndarray
            The mean, and each of `stds`. float64.

        Raises
        ------
        ValueError
            If the mode is ``"3s"``: a squashed mean and spread are not those of the labels.

        Examples
        --------
        >>> from skbcnn import LabelNormalizer
        >>> normalizer = LabelNormalizer().fit([[4000.0], [5000.0]])
        >>> normalizer.inverse_moments([[0.5]], [[0.1]])
        (array([[4750.]]), array([[50.]]))
        """
        check_is_fitted(self)
        self._check_linear("a standard deviation")
        return np.asarray(mean) * self.scale_ + self.mean_, *(np.asarray(std) * self.scale_ for std in stds)

    def _with_nan(self, X, *, reset):
        """Checked labels, NaN where they are missing."""
        X = validate_data(self, X, reset=reset, dtype=FLOATS, ensure_all_finite="allow-nan")
        return np.where(is_missing(X), X.dtype.type(np.nan), X)

    def _check_any_value(self, X):
        empty = np.flatnonzero(np.isnan(X).all(axis=0))
        if len(empty):
            names = getattr(self, "feature_names_in_", np.arange(X.shape[1]))
            raise ValueError(
                f"Label {', '.join(str(names[column]) for column in empty)} has no value: all {len(X)} are missing "
                "(NaN or at most -9990), or weigh nothing. Leave it out, or add stars in which it was measured."
            )
