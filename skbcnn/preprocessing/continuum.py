"""Division of spectra by their continuum, and replacement of bad pixels."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from skbcnn._arrays import as_array, as_pixels, check_same_columns, in_unit_of, with_value
from skbcnn._sklearn import Interval, StrOptions, fit_context
from skbcnn._validation import check_kind_of_errors, check_shape_of_spectra
from skbcnn.preprocessing._base import RELEASE_CONSTRAINT, SpectrumTransformer, check_n_pixels
from skbcnn.preprocessing.continuum_fit import (
    WEIGHTINGS,
    ContinuumChip,
    ContinuumFit,
    PixelArrays,
    normalize_blocks,
    raise_faults,
    warn_of_errors,
)
from skbcnn.survey import DEFAULT_BAD_BITS, N_APSTAR_PIXELS, chip_slices, continuum_pixels, kept_pixels
from skbcnn.survey.bitmask import flags_of_bits, plain_bitmask, refuse_mistaken


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
        "weighting": [StrOptions(set(WEIGHTINGS))],
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
        spectra, fit = self._checked(X, x_err, bitmask, reset=False)
        normalized = normalize_blocks(fit, spectra)
        raise_faults(fit, spectra, normalized)
        warn_of_errors(normalized)
        return NormalizedSpectra(normalized.flux, normalized.err, normalized.good)

    def _checked(self, X, x_err, bitmask, *, reset):
        """Return the checked arrays, and how they are normalised."""
        flux = as_pixels(X, "X")
        for values, name in ((x_err, "x_err"), (bitmask, "bitmask")):
            check_same_columns(values, X, (name, "X"))
        X = self._validated(flux.filled(np.nan), reset=reset)
        fit = fit_of_normalizer(self, X.shape[1])
        if x_err is not None:
            x_err = in_unit_of(as_pixels(x_err, "x_err"), flux, ("x_err", "X"))
            x_err = self._of_spectra("x_err", x_err, X)
            check_kind_of_errors(x_err, "x_err")
        if bitmask is not None:
            flags = as_pixels(plain_bitmask(bitmask), "bitmask")
            bitmask = self._of_spectra("bitmask", flags.values, X)
            refuse_mistaken(bitmask)
            if flags.mask is not None:
                X = with_value(X, self._of_spectra("bitmask", flags.mask, X), np.nan)
        return PixelArrays(X, x_err, bitmask), fit

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


def fit_of_normalizer(normalizer: ContinuumNormalizer, n_pixels: int) -> ContinuumFit:
    """Return how a transformer normalises spectra.

    Parameters
    ----------
    normalizer : ContinuumNormalizer
        Its parameters must be valid.
    n_pixels : int
        Number of pixels of the spectra, without gaps.

    Returns
    -------
    fit : ContinuumFit

    Raises
    ------
    ValueError
        If `pixels` or `chips` does not fit the spectra.
    TypeError
        If `bad_bits` holds neither numbers nor flags.
    """
    if normalizer.chips is None:
        slices = chip_slices(normalizer.data_release)
    else:
        slices = _adjacent_chips(normalizer.chips, n_pixels)
    pixels = _continuum_pixels(normalizer, n_pixels)
    chips = [
        ContinuumChip(name, chip, pixels[np.searchsorted(pixels, chip.start) : np.searchsorted(pixels, chip.stop)])
        for name, chip in slices.items()
    ]
    if too_few := [chip.name for chip in chips if len(chip.continuum) <= normalizer.degree]:
        raise ValueError(
            f"Chip {', '.join(too_few)} has too few continuum pixels for a polynomial of degree {normalizer.degree}. "
            "Pass more `pixels`, or a smaller `degree`."
        )
    flags = flags_of_bits(normalizer.bad_bits, "bad_bits")
    return ContinuumFit(chips, normalizer.degree, normalizer.weighting, flags, normalizer.no_continuum)


def _continuum_pixels(normalizer: ContinuumNormalizer, n_pixels: int) -> np.ndarray:
    """Return the continuum pixels in ascending order."""
    if normalizer.pixels is None:
        if normalizer.chips is not None:
            raise ValueError(
                "chips is given and pixels is not, but continuum pixels are known for APOGEE's grid only. Pass "
                "`pixels` on the grid of X."
            )
        return continuum_pixels(normalizer.data_release)
    if isinstance(normalizer.pixels, str):
        return np.arange(n_pixels)
    pixels = np.asarray(normalizer.pixels)
    if pixels.ndim != 1 or pixels.dtype.kind not in "iu" or not np.isin(pixels, np.arange(n_pixels)).all():
        raise ValueError(
            f"pixels is an array of shape {pixels.shape} and type {pixels.dtype}, expected one dimension of pixel "
            f"numbers from 0 to {n_pixels - 1}."
        )
    return np.unique(pixels)


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
