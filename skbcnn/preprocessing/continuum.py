"""Division of spectra by their continuum, and replacement of bad pixels."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from sklearn.base import OneToOneFeatureMixin

from skbcnn._arrays import as_array, as_pixels, check_same_columns, in_unit_of, with_value
from skbcnn._chunks import row_chunks
from skbcnn._error_level import (
    BAD_PIXEL_ERROR,
    HIGH_ERRORS,
    LOW_ERRORS,
    MAX_FLUX_ERROR,
    MIN_MEDIAN_ERROR,
    ErrorLevel,
    HighFluxErrorsError,
)
from skbcnn._global_settings import default_settings
from skbcnn._sklearn import Interval, StrOptions, fit_context
from skbcnn._user_warnings import rows_in_words, warn_user
from skbcnn._validation import check_kind_of_errors, check_shape_of_spectra
from skbcnn.preprocessing._base import RELEASE_CONSTRAINT, SpectrumTransformer, check_n_pixels
from skbcnn.survey import DEFAULT_BAD_BITS, N_APSTAR_PIXELS, bad_pixels, chip_slices, continuum_pixels, kept_pixels
from skbcnn.survey.bitmask import bit_numbers, plain_bitmask, refuse_inverted

_TOO_HIGH = "The flux errors are above the continuum"


class NormalizedSpectra(NamedTuple):
    """Continuum-normalised spectra.

    Attributes
    ----------
    flux : ndarray of shape (n_samples, n_pixels)
        Flux in units of the continuum.
    err : ndarray of shape (n_samples, n_pixels) or None
        Errors of the flux; 0 for pixels that were replaced.
    good : ndarray of bool of shape (n_samples, n_pixels)
        False for pixels whose flux was replaced.
    """

    flux: np.ndarray
    err: np.ndarray | None
    good: np.ndarray


class _ContinuumChip(NamedTuple):
    """One chip and its continuum pixels, counted from the start of the chip."""

    name: str
    pixels: slice
    continuum: np.ndarray


class _Weighting(NamedTuple):
    """Weights of the continuum fit: the factor on each residual, and whether flagged pixels are used."""

    factor: Callable[[np.ndarray], np.ndarray]
    keeps_flagged: bool


_WEIGHTINGS = {
    "inverse_variance": _Weighting(lambda err: 1 / err, keeps_flagged=False),
    # astroNN passes the inverse variance as numpy's `w`, which multiplies residuals before they are squared
    "astronn": _Weighting(lambda err: 1 / (err**2 + 1e-8), keeps_flagged=True),
}


class ContinuumNormalizer(OneToOneFeatureMixin, SpectrumTransformer):
    """Divide spectra by their continuum, chip by chip, and replace bad pixels.

    A Chebyshev polynomial is fitted to the continuum pixels of each chip; flux and error are divided by it. Then

    - flux that is NaN, infinite or masked, or has one of `bad_bits`, is set to 1. So is flux whose error is not a
      positive number, or is above the continuum, as the survey marks bad pixels;
    - negative flux is set to 0;
    - the error of every such pixel is set to 0, because no measurement is left. `normalize` returns which they are.

    The fit uses none of these pixels except the negative ones and those with errors above the continuum, whose weights
    are small. The transformer is stateless: `transform` may be called
    without `fit`.

    Parameters
    ----------
    data_release : int, default=17
        SDSS data release, 13 to 20, whose chips and continuum pixels are used, on spectra without gaps.
    pixels : array-like of int or "all", default=None
        Continuum pixels, 0-based, on the grid of X; None uses those of the release. Networks published for DR14
        need ``continuum_pixels(14)`` for files of any release.
    chips : sequence of (int, int) or "one", default=None
        First pixel (included) and last pixel (excluded) of each chip, for a grid other than APOGEE's. The chips must
        be adjacent and cover the whole spectrum. ``"one"`` is a single chip of any length. Both need `pixels`. None
        uses the chips of the release.
    degree : int, default=2
        Degree of the polynomials.
    weighting : {"inverse_variance", "astronn"}, default="inverse_variance"
        Weights of the fit. ``"inverse_variance"`` is weighted least squares: residuals divided by their errors.
        ``"astronn"`` is the fit of the published models: squared residuals weighted by (1/(err**2 + 1e-8))**2,
        flagged pixels included. Without errors all pixels have the same weight.
    bad_bits : sequence of int or str, default=(0, 1, 2, 3, 4, 5, 6, 7, 12)
        Bits of the apStar pixel mask that mark a pixel as bad: their numbers, or flags (``PixelFlag.SIG_SKYLINE``), or
        the names of flags.
    no_continuum : {"raise", "fill"}, default="raise"
        Treatment of a chip with too few usable continuum pixels, or with a continuum that is not positive, as in an
        empty row: raise an error, or treat all its pixels as bad.

    Attributes
    ----------
    n_features_in_ : int
        Number of pixels of the spectra passed to `fit`.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, if X had names in `fit`.

    See Also
    --------
    prepare_spectra : The same on spectra with gaps, for flux and errors together.

    Notes
    -----
    Inside a pipeline, errors and bitmask are passed by metadata routing. Earlier steps do not change them, so they must
    be on the grid that X has at this step, or, for APOGEE's chips, on the apStar grid of 8575 pixels. The
    regressor has a parameter `x_err`, too, so give the errors another name:
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

    _parameters_added_later: dict = {"no_continuum": "raise"}
    _parameter_constraints: dict = {
        "data_release": RELEASE_CONSTRAINT,
        "pixels": ["array-like", StrOptions({"all"}), None],
        "chips": ["array-like", StrOptions({"one"}), None],
        "degree": [Interval(Integral, 0, None, closed="left")],
        "weighting": [StrOptions(set(_WEIGHTINGS))],
        "bad_bits": "no_validation",  # `bit_numbers` checks it
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
        """Check the spectra, their errors and their bitmask.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, without gaps.
        y : Ignored
            Not used, present for API consistency.
        x_err : array-like of shape (n_samples, n_pixels) or (n_samples, 8575), default=None
            Errors of the flux, in its unit. Pixels between APOGEE's chips are removed.
        bitmask : array-like of int or bool, of shape (n_samples, n_pixels) or (n_samples, 8575), default=None
            Pixel mask of the apStar file, or True for bad pixels.

        Returns
        -------
        self : ContinuumNormalizer

        Raises
        ------
        ValueError
            If the shapes do not fit the grid or each other, or `pixels` or `chips` does not fit the spectra.
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
        """Normalise flux and errors, and return which pixels are good.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_pixels)
            Flux, without gaps, in any unit. NaN, infinite and masked pixels are allowed.
        x_err : array-like of shape (n_samples, n_pixels) or (n_samples, 8575), default=None
            Errors of the flux, in its unit. Pixels between APOGEE's chips are removed.
        bitmask : array-like of int or bool, of shape (n_samples, n_pixels) or (n_samples, 8575), default=None
            Pixel mask of the apStar file, or True for bad pixels.

        Returns
        -------
        spectra : NormalizedSpectra
            ``flux`` in units of the continuum, float32 if X is; ``err`` in the same units, or None without `x_err`;
            ``good``, False where flux was replaced.

        Raises
        ------
        ValueError
            If shapes or units do not fit, or the median error is above the continuum, as inverse variances are. With
            ``no_continuum="raise"``, also if a chip has too few usable continuum pixels or a continuum that is not
            positive, or all errors of a spectrum are above the continuum; the message names the rows. Also if a boolean
            bitmask flags more than 80 % of the pixels of most spectra.
        TypeError
            If `bitmask` is neither of an integer type nor boolean, or `bad_bits` holds neither numbers nor flags.

        Warns
        -----
        UserWarning
            If the median error of spectra is above the continuum or below 1e-4 of it; the warning names the rows.

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
        self._validate_params()  # `fit`, which normally does it, may not have been called
        X, x_err, bitmask, grid = self._checked(X, x_err, bitmask, reset=False)
        with default_settings(), np.errstate(over="ignore"):  # weights of huge errors, and flux beyond float32
            return self._normalized(X, x_err, bitmask, grid)

    def _normalized(self, X, x_err, bitmask, grid):
        """Return checked spectra as `NormalizedSpectra`."""
        flux, err = np.empty_like(X), None if x_err is None else np.empty_like(X)
        good = np.empty(X.shape, dtype=bool)
        level = ErrorLevel(len(X), "X")
        for rows in row_chunks(*X.shape):
            raw = X[rows].astype(np.float64)
            raw_err = None if x_err is None else x_err[rows].astype(np.float64)
            known, flagged = self._classify_pixels(raw, raw_err, None if bitmask is None else bitmask[rows])
            continuum = self._continuum(raw, raw_err, known, flagged, grid, rows.start)
            measured = known & ~flagged & np.isfinite(continuum)
            if raw_err is not None:
                relative_err = np.divide(raw_err, continuum, out=np.zeros_like(raw), where=measured)
                level.add(rows, relative_err, measured, raw_err >= BAD_PIXEL_ERROR)
                measured &= relative_err <= MAX_FLUX_ERROR
            good[rows] = measured & (raw >= 0)
            with np.errstate(invalid="ignore"):  # infinite flux and errors are replaced here
                flux[rows] = np.where(measured, np.maximum(raw / continuum, 0), 1)
                if err is not None:
                    err[rows] = np.where(good[rows], relative_err, 0)
        level.check(_TOO_HIGH)
        if self.no_continuum == "raise" and len(unusable := level.rows_without_good_pixels):
            raise ValueError(
                f"{rows_in_words(unusable)} of X: all flux errors are above the continuum, so no good pixel is left. "
                f"{HIGH_ERRORS} With no_continuum='fill' their flux is 1."
            )
        level.warn_of_high_errors()
        if len(low := level.rows_too_low):
            warn_user(f"{rows_in_words(low)} of X: {LOW_ERRORS}")
        return NormalizedSpectra(flux, err, good)

    def _checked(self, X, x_err, bitmask, *, reset):
        """Return the checked arrays and the chips of their grid."""
        flux = as_pixels(X, "X")
        for values, name in ((x_err, "x_err"), (bitmask, "bitmask")):
            check_same_columns(values, X, (name, "X"))
        X = self._validated(flux.filled(np.nan), reset=reset)
        grid = self._grid(X.shape[1])
        bit_numbers(self.bad_bits, "bad_bits")
        if x_err is not None:
            x_err = in_unit_of(as_pixels(x_err, "x_err"), flux, ("x_err", "X"))
            x_err = self._of_spectra("x_err", x_err, X)
            check_kind_of_errors(x_err, "x_err")
        if bitmask is not None:
            flags = as_pixels(plain_bitmask(bitmask), "bitmask")
            bitmask = self._of_spectra("bitmask", flags.values, X)
            refuse_inverted(bitmask)
            if flags.mask is not None:
                X = with_value(X, self._of_spectra("bitmask", flags.mask, X), np.nan)
        return X, x_err, bitmask, grid

    def _of_spectra(self, name, values, X):
        """Return an argument with one value for each pixel of the spectra, without the gaps between the chips."""
        values = as_array(values)
        if self.chips is None and values.shape == (len(X), N_APSTAR_PIXELS):
            return values[:, kept_pixels(self.data_release)]
        return check_shape_of_spectra(name, values, X)

    def _check_grid(self, X):
        if self.chips is None:
            advice = (
                f"Remove the chip gaps with ChipGapRemover(data_release={self.data_release}) first."
                if X.shape[1] == N_APSTAR_PIXELS
                else "Pass APOGEE spectra without gaps, or `pixels` and `chips` on the grid of X."
            )
            check_n_pixels(self, X, len(kept_pixels(self.data_release)), advice)

    def _grid(self, n_pixels):
        """Return the chips and their continuum pixels."""
        chips = chip_slices(self.data_release) if self.chips is None else _adjacent_chips(self.chips, n_pixels)
        pixels = self._continuum_pixels(n_pixels)
        grid = [
            _ContinuumChip(name, chip, pixels[(pixels >= chip.start) & (pixels < chip.stop)] - chip.start)
            for name, chip in chips.items()
        ]
        if too_few := [chip.name for chip in grid if len(chip.continuum) <= self.degree]:
            raise ValueError(
                f"Chip {', '.join(too_few)} has too few continuum pixels for a polynomial of degree {self.degree}. "
                "Pass more `pixels`, or a smaller `degree`."
            )
        return grid

    def _continuum_pixels(self, n_pixels):
        if self.pixels is None:
            if self.chips is not None:
                raise ValueError(
                    "chips is given and pixels is not, but continuum pixels are known for APOGEE's grid only. Pass "
                    "`pixels` on the grid of X."
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

    def _classify_pixels(self, flux, err, bitmask):
        """Return which pixels have a valid flux and error, and which are flagged."""
        known = np.isfinite(flux)
        if err is not None:
            known &= np.isfinite(err) & (err > 0)
        flagged = np.zeros(flux.shape, dtype=bool) if bitmask is None else bad_pixels(bitmask, self.bad_bits)
        return known, flagged

    def _continuum(self, flux, err, known, flagged, grid, first_row):
        """Return the continuum of each spectrum; NaN on chips where there is none."""
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
                _raise_for_rows(~determined, first_row, too_few)
                if err is not None:
                    _raise_for_errors(flux[negative], err[negative], known[negative])
                _raise_for_rows(negative, first_row, f"a continuum that is not positive on chip {name}")
            continuum[:, chip] = np.where((determined & ~negative)[:, None], fitted, np.nan)
        return continuum


def _adjacent_chips(chips: Any, n_pixels: int) -> dict[str, slice]:
    """Return the chips of a user as slices, checked to cover the spectrum without gaps."""
    bounds = np.asarray([(0, n_pixels)] if isinstance(chips, str) else chips)
    ordered = bounds.ndim == 2 and bounds.shape[1] == 2 and (bounds[:, 0] < bounds[:, 1]).all()
    if not ordered or not np.array_equal([0, *bounds[:, 1]], [*bounds[:, 0], n_pixels]):
        raise ValueError(
            f"chips is {chips!r}, expected pairs (start, stop) side by side from pixel 0 to {n_pixels}, the number of "
            "pixels of X. Remove gaps between chips from the spectra first."
        )
    return {f"{start}:{stop}": slice(int(start), int(stop)) for start, stop in bounds}


def _weighted_polynomials(
    height: np.ndarray, factor: np.ndarray, pixels: np.ndarray, n_pixels: int, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a polynomial to each row by least squares, and return its values and whether its pixels determine it.

    Residuals are multiplied by `factor`; a factor of zero omits a pixel. The fit uses QR, not the normal equations,
    because errors in one spectrum differ by up to twelve orders of magnitude.
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


def _raise_for_rows(failed: np.ndarray, first_row: int, what: str) -> None:
    """Raise if any spectrum failed, and name the rows."""
    if failed.any():
        rows = first_row + np.flatnonzero(failed)
        raise ValueError(
            f"{rows_in_words(rows)} of X {'have' if len(rows) > 1 else 'has'} {what}, so the "
            "spectrum cannot be normalised. Leave such spectra out (the second row of an apStar file may be empty), or "
            "choose no_continuum='fill'."
        )


def _raise_for_errors(flux: np.ndarray, err: np.ndarray, known: np.ndarray) -> None:
    """Raise if the errors explain why these spectra have no continuum: they are inverse variances, or in another unit.

    Their scale is the median flux, because the continuum is not known.
    """
    if not known.any():
        return
    level = np.median(np.abs(flux[known]))
    errors = err[known]
    if 2 * (n_high := int((errors > level * MAX_FLUX_ERROR).sum())) > errors.size:
        raise HighFluxErrorsError(_TOO_HIGH, n_high, errors.size)
    if 2 * int((errors < level * MIN_MEDIAN_ERROR).sum()) > errors.size:
        raise ValueError(f"The continuum is not positive, and {LOW_ERRORS}")
