"""Preparation of flux and errors together: chip gaps, continuum and bad pixels.

`prepare_spectra` takes the settings as arguments. `prepare_for_model` takes those that a fitted model records in its
attribute `preprocessing_`; the command line and `skbcnn.apogee_pipeline` use it through `ModelPreparation`.

A model records the parameters of `ContinuumNormalizer` and the entry ``combination``: the combined spectrum of the
apStar files that it was trained on, ``"pixel"`` or ``"global"``.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skbcnn._arrays import as_array, as_pixels, check_same_columns, in_unit_of, is_spectra, with_value
from skbcnn._error_level import MAX_FLUX_ERROR
from skbcnn._user_warnings import warn_user
from skbcnn._validation import check_kind_of_errors, check_shape_of_spectra
from skbcnn.preprocessing._base import FLOATS
from skbcnn.preprocessing.chips import ChipGapRemover
from skbcnn.preprocessing.continuum import ContinuumNormalizer, fit_of_normalizer
from skbcnn.preprocessing.continuum_fit import (
    ContinuumFit,
    PixelArrays,
    faults_of_rows,
    normalize_blocks,
    notes_on_rows,
    raise_faults,
    warn_of_errors,
)
from skbcnn.preprocessing.flux_errors import errors_from_ivar
from skbcnn.survey import DEFAULT_BAD_BITS, N_APSTAR_PIXELS, kept_pixels
from skbcnn.survey.bitmask import plain_bitmask, refuse_mistaken
from skbcnn.survey.grid import chips as chips_of_release

_DEFAULT_COMBINATION = "pixel"
_COMBINATIONS = ("pixel", "global")


def prepare_spectra(
    flux: Any,
    err: ArrayLike | None = None,
    bitmask: ArrayLike | None = None,
    *,
    ivar: ArrayLike | None = None,
    data_release: int = 17,
    pixels: Any = None,
    chips: Any = None,
    degree: int = 2,
    weighting: str = "inverse_variance",
    bad_bits: Any = DEFAULT_BAD_BITS,
    no_continuum: str = "raise",
    combination: str | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Remove gaps and continuum from flux and errors together, as `X` and `x_err` of a model.

    The parameters are the entries of `preprocessing_`, so that ``prepare_spectra(star, **model.preprocessing_)``
    prepares spectra like the training spectra of a model.

    Parameters
    ----------
    flux : array-like of shape (n_samples, 8575) or (n_samples, 7514), or Spectra
        Flux as in apStar files, or with the gaps removed. NaN and masked pixels are bad. The `Spectra` of `read_apstar`
        and the other readers contain flux, errors and bitmask: pass them alone.
    err : array-like of the shape of `flux`, default=None
        Errors of the flux, in its unit. Pixels whose error is above the continuum are bad.
    bitmask : array-like of int or bool of the shape of `flux`, default=None
        Pixel mask of the apStar file, or True for bad pixels.
    ivar : array-like of the shape of `flux`, default=None
        Inverse variances of the flux, as in the files of SDSS-V, in place of `err`.
    data_release, pixels, chips, degree, weighting, bad_bits, no_continuum
        As in `ContinuumNormalizer`.
    combination : {"pixel", "global"}, default=None
        Combined spectrum of apStar files that a model was trained on. `Spectra` that are the other one are warned of.

    Returns
    -------
    X : ndarray of shape (n_samples, 7514)
        Flux in units of the continuum.
    x_err : ndarray of shape (n_samples, 7514) or None
        Errors in the same units, 0 for pixels that were replaced; None without `err` and `ivar`.

    Raises
    ------
    ValueError
        If shapes or units do not fit, a spectrum cannot be normalised, the median error is above the continuum, or
        both `err` and `ivar` are passed.

    Warns
    -----
    UserWarning
        If the median error is below 1e-4 of the continuum, or `Spectra` are not of the given combination.

    See Also
    --------
    prepare_for_model : The same with the settings that a model records.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.preprocessing import prepare_spectra
    >>> X, x_err = prepare_spectra(np.full((1, 8575), 300.0), err=np.full((1, 8575), 3.0))
    >>> X.shape, x_err[0, :2].round(6)
    ((1, 7514), array([0.01, 0.01]))
    """
    raw = _raw_spectra(flux, err, bitmask, ivar)
    if note := _note_on_combination(combination, raw.combination):
        warn_user(note)
    n_kept = len(kept_pixels(data_release))
    n_pixels = raw.flux.shape[1]
    if n_pixels == N_APSTAR_PIXELS and (chips is None or _last_pixel(chips) == n_kept):
        n_pixels = n_kept
    if chips is None:
        _check_n_pixels(raw.flux, n_kept, f"the chips of data release {data_release}")
    normalizer = ContinuumNormalizer(
        data_release,
        pixels=pixels,
        chips=chips,
        degree=degree,
        weighting=weighting,
        bad_bits=bad_bits,
        no_continuum=no_continuum,
    )
    normalizer._validate_params()  # as `fit` does, which would need spectra
    return _prepared(fit_of_normalizer(normalizer, n_pixels), _pixel_arrays(normalizer, n_pixels, raw))


def prepare_for_model(
    model: Any,
    flux: Any,
    err: ArrayLike | None = None,
    bitmask: ArrayLike | None = None,
    *,
    ivar: ArrayLike | None = None,
    combination: str | None = None,
    normalized: bool = False,
    no_continuum: str | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Prepare raw spectra in the way in which the training spectra of a model were prepared.

    Parameters
    ----------
    model : estimator
        Fitted, such as the result of `skbcnn.load_folder`. Its `preprocessing_` holds parameters of
        `ContinuumNormalizer`; if it is absent or empty, the defaults of `ContinuumNormalizer` are used.
    flux : array-like of shape (n_samples, 8575) or (n_samples, n_pixels), or Spectra
        Flux as in apStar files, or on the pixels of the model. NaN and masked pixels are bad. The `Spectra` of
        `read_apstar` and the other readers contain flux, errors, bitmask, combination and whether they are normalised:
        pass them alone.
    err : array-like of the shape of `flux`, default=None
        Errors of the flux, in its unit. Pixels whose error is above the continuum are bad.
    bitmask : array-like of int or bool of the shape of `flux`, default=None
        Pixel mask of the apStar file, or True for bad pixels.
    ivar : array-like of the shape of `flux`, default=None
        Inverse variances of the flux, as in the files of SDSS-V, in place of `err`.
    combination : {"pixel", "global"}, default=None
        Combined spectrum of the apStar files that was read. None: that of `Spectra`, or the one that the model was
        trained on.
    normalized : bool, default=False
        Whether the flux is divided by another continuum already, as in aspcapStar files. It is normalised again, and
        pixels with errors of 1 and more count as bad.
    no_continuum : {"raise", "fill"}, default=None
        Treatment of a chip without continuum, as in `ContinuumNormalizer`. None: that of the training spectra.

    Returns
    -------
    X : ndarray of shape (n_samples, n_pixels)
        Flux in units of the continuum, on the pixels of the model.
    x_err : ndarray of shape (n_samples, n_pixels) or None
        Errors in the same units, 0 for pixels that were replaced; None without `err` and `ivar`.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If the model is a Pipeline.
    ValueError
        If the model records unknown parameters, or takes other pixels than those of the spectra, a spectrum cannot
        be normalised, the median error is above the continuum, or both `err` and `ivar` are passed.

    Warns
    -----
    UserWarning
        If the model records no preprocessing, or was trained on the other combination, or the median error is below
        1e-4 of the continuum.

    See Also
    --------
    prepare_spectra : The same with settings passed as arguments.
    skbcnn.apogee_pipeline : Preparation of flux alone, and the model, as one pipeline.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor
    >>> from skbcnn.preprocessing import prepare_for_model
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(1, 0.1, (20, 7514)), rng.normal(4500, 100, 20)
    >>> model = CensoredBCNNRegressor(num_hidden=(4, 4, 4, 4, 2), max_epochs=1, random_state=0).fit(X, y)
    >>> model.preprocessing_ = {"data_release": 17, "weighting": "astronn"}  # recorded in a saved model
    >>> X, x_err = prepare_for_model(model, rng.normal(300, 3, (2, 8575)), np.full((2, 8575), 3.0))
    >>> X.shape, x_err.shape
    ((2, 7514), (2, 7514))
    """
    if combination is None and is_spectra(flux):
        combination = getattr(flux, "combination", None)
    preparation = ModelPreparation.from_model(model, combination, no_continuum)
    preparation.warn(stacklevel=3)
    return preparation.prepare(flux, err, bitmask, ivar=ivar, normalized=normalized)


class PreparedRows(NamedTuple):
    """Prepared spectra, some of which may be unusable.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_pixels)
        Flux in units of the continuum; NaN in unusable spectra.
    x_err : ndarray of shape (n_samples, n_pixels) or None
        Errors in the same units; NaN in unusable spectra. None if no errors were passed.
    faults : list of ValueError or None
        Why a spectrum cannot be used; None for the others. `HighFluxErrorsError` if most of its errors are above the
        continuum.
    notes : list of str or None
        What is odd in a usable spectrum, to be written after its name and a colon; None where nothing is.
    """

    X: np.ndarray
    x_err: np.ndarray | None
    faults: list[ValueError | None]
    notes: list[str | None]


@dataclass(frozen=True)
class ModelPreparation:
    """How the spectra for one model are prepared.

    Attributes
    ----------
    normalizer : ContinuumNormalizer
        Fitted on the pixels of the model.
    n_pixels : int
        Number of pixels that the model takes.
    combination : {"pixel", "global"}
        Combined spectrum of apStar files to read.
    notes : tuple of str
        Assumptions that the user must know of, as sentences.
    """

    normalizer: ContinuumNormalizer
    n_pixels: int
    combination: str
    notes: tuple[str, ...]

    @classmethod
    def from_model(
        cls, model: Any, combination: str | None = None, no_continuum: str | None = None
    ) -> "ModelPreparation":
        """Read the preparation that a model records.

        Parameters
        ----------
        model : estimator
            Fitted, as in `prepare_for_model`.
        combination : {"pixel", "global"}, default=None
            Combined spectrum of apStar files to read. None: the one that the model was trained on.
        no_continuum : {"raise", "fill"}, default=None
            Treatment of a chip without continuum, as in `ContinuumNormalizer`. None: that of the training spectra.

        Returns
        -------
        preparation : ModelPreparation

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If the model records unknown parameters, or parameters that do not fit its pixels.
        """
        if hasattr(model, "steps"):
            raise TypeError(
                "model is a Pipeline, expected the fitted regressor that records how its spectra were prepared. Pass "
                "its last step, model[-1]."
            )
        check_is_fitted(model)
        recorded = dict(getattr(model, "preprocessing_", {}))
        notes = []
        if not recorded:
            notes.append(
                "The model does not record how its training spectra were prepared; the defaults of ContinuumNormalizer "
                "are used."
            )
        trained_on = recorded.pop("combination", _DEFAULT_COMBINATION)
        if no_continuum is not None:
            recorded["no_continuum"] = no_continuum
        combination = combination or trained_on
        if note := _note_on_combination(trained_on, combination):
            notes.append(note)
        return cls(
            _recorded_normalizer(recorded, model.n_features_in_), model.n_features_in_, combination, tuple(notes)
        )

    def warn(self, stacklevel: int = 2) -> None:
        """Issue the notes as warnings.

        Parameters
        ----------
        stacklevel : int, default=2
            As in `warnings.warn`: 2 points at the caller of this method.
        """
        for note in self.notes:
            warnings.warn(note, stacklevel=stacklevel)

    def gap_remover(self) -> ChipGapRemover:
        """Return the transformer from the apStar grid to the pixels of the model.

        Returns
        -------
        remover : ChipGapRemover
            Fitted.

        Raises
        ------
        ValueError
            If the model takes other pixels than those on the chips of its data release.
        """
        release = self.normalizer.data_release
        _check_pixels_of_release(release, self.n_pixels)
        return ChipGapRemover(release).fit(np.ones((1, N_APSTAR_PIXELS)))

    def prepare(
        self,
        flux: Any,
        err: ArrayLike | None = None,
        bitmask: ArrayLike | None = None,
        *,
        ivar: ArrayLike | None = None,
        normalized: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Prepare spectra.

        Parameters
        ----------
        flux, err, bitmask, ivar, normalized
            As in `prepare_for_model`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_pixels)
            Flux in units of the continuum, on the pixels of the model.
        x_err : ndarray of shape (n_samples, n_pixels) or None
            Errors in the same units.

        Raises
        ------
        ValueError
            If shapes or units do not fit, or a spectrum cannot be normalised.
        """
        return _prepared(self._fit, self._pixel_arrays(flux, err, bitmask, ivar, normalized))

    def prepare_each(
        self,
        flux: Any,
        err: ArrayLike | None = None,
        bitmask: ArrayLike | None = None,
        *,
        ivar: ArrayLike | None = None,
        normalized: bool = False,
    ) -> "PreparedRows":
        """Prepare spectra of which some may be unusable, so that these do not lose the others.

        Each spectrum gets the same values, bit for bit, and the same fault as if it were prepared alone.

        Parameters
        ----------
        flux, err, bitmask, ivar, normalized
            As in `prepare_for_model`.

        Returns
        -------
        prepared : PreparedRows

        Raises
        ------
        ValueError
            If shapes or units do not fit: what concerns all spectra.
        TypeError
            If `bitmask` holds neither integers nor booleans.

        Examples
        --------
        The second spectrum is empty:

        >>> import numpy as np
        >>> from sklearn.dummy import DummyRegressor
        >>> from skbcnn.preprocessing.preparation import ModelPreparation
        >>> model = DummyRegressor().fit(np.ones((2, 7514)), [0, 1])
        >>> model.preprocessing_ = {"data_release": 17}
        >>> preparation = ModelPreparation.from_model(model)
        >>> prepared = preparation.prepare_each(np.array([[300.0], [np.nan]]) * np.ones(8575))
        >>> prepared.X[:, 0]
        array([ 1., nan])
        >>> print(prepared.faults[1])
        The spectrum has fewer than 3 usable continuum pixels on chip blue, so the spectrum cannot be normalised. ...
        """
        spectra = self._pixel_arrays(flux, err, bitmask, ivar, normalized)
        rows = normalize_blocks(self._fit, spectra)
        faults, notes = faults_of_rows(self._fit, spectra, rows), notes_on_rows(rows)
        for row, fault in enumerate(faults):
            if fault is not None:
                notes[row] = None
                for values in (rows.flux, rows.err):
                    if values is not None:
                        values[row] = np.nan
        return PreparedRows(rows.flux, rows.err, faults, notes)

    @cached_property
    def _fit(self) -> ContinuumFit:
        return fit_of_normalizer(self.normalizer, self.n_pixels)

    def _pixel_arrays(self, flux: Any, err: Any, bitmask: Any, ivar: Any, normalized: bool) -> PixelArrays:
        """Return what the user passed as arrays for the continuum fit."""
        raw = _raw_spectra(flux, err, bitmask, ivar, normalized)
        if raw.flux.shape[1] == N_APSTAR_PIXELS != self.n_pixels:
            _check_pixels_of_release(self.normalizer.data_release, self.n_pixels)
        _check_n_pixels(raw.flux, self.n_pixels, "the pixels of the model")
        return _pixel_arrays(self.normalizer, self.n_pixels, raw)


class _RawSpectra(NamedTuple):
    """Spectra before the preparation, without masks and units: masked flux and errors are NaN."""

    flux: np.ndarray
    err: np.ndarray | None
    bitmask: Any
    normalized: bool
    combination: str | None


def _raw_spectra(flux: Any, err: Any, bitmask: Any, ivar: Any, normalized: bool = False) -> _RawSpectra:
    """Return what the user passed as arrays of one shape and unit."""
    combination = None
    if is_spectra(flux):
        if given := [name for name, value in (("err", err), ("bitmask", bitmask), ("ivar", ivar)) if value is not None]:
            raise ValueError(
                f"flux is an object with flux, errors and bitmask, but {' and '.join(given)} was passed, too. Pass it "
                "alone, or its arrays one by one: star.flux, star.error, star.bitmask."
            )
        normalized, combination = normalized or bool(flux.normalized), getattr(flux, "combination", None)
        flux, err, bitmask = flux.flux, flux.error, flux.bitmask
    for values, name in ((err, "err"), (bitmask, "bitmask"), (ivar, "ivar")):
        check_same_columns(values, flux, (name, "flux"))
    if ivar is not None and err is not None:
        raise ValueError("Both err and ivar were passed, expected one of them. Leave out the other.")
    pixels = as_pixels(flux, "flux")
    flux = as_array(pixels.filled(np.nan))
    if flux.ndim != 2:
        raise ValueError(
            f"flux has shape {flux.shape}, expected two dimensions: (n_samples, n_pixels). Pass one spectrum as "
            "flux[np.newaxis]."
        )
    if len(flux) == 0:
        raise ValueError(f"flux has shape {flux.shape}, expected at least one spectrum.")
    if ivar is not None:
        ivar = in_unit_of(as_pixels(ivar, "ivar"), pixels, ("ivar", "flux"), power=-2)
        err = errors_from_ivar(check_shape_of_spectra("ivar", ivar, flux, "flux"))
    elif err is not None:
        err = as_array(in_unit_of(as_pixels(err, "err"), pixels, ("err", "flux")))
        check_shape_of_spectra("err", err, flux, "flux")
    if bitmask is not None:
        bitmask = plain_bitmask(bitmask)
        check_shape_of_spectra("bitmask", bitmask, flux, "flux")
    return _RawSpectra(flux, err, bitmask, normalized, combination)


def _pixel_arrays(normalizer: ContinuumNormalizer, n_pixels: int, raw: _RawSpectra) -> PixelArrays:
    """Return spectra as arrays for the continuum fit, which reads the pixels on the chips only."""
    kept: tuple[slice, ...] = (slice(None),)
    if raw.flux.shape[1] == N_APSTAR_PIXELS != n_pixels:
        kept = tuple(slice(chip.start, chip.stop) for chip in chips_of_release(normalizer.data_release))
    flux = raw.flux
    if raw.err is not None:
        check_kind_of_errors(raw.err, "x_err")
    if raw.bitmask is not None:
        flags = np.ma.getdata(raw.bitmask)
        is_boolean = flags.dtype.kind == "b"  # gaps between the chips may be marked as bad
        refuse_mistaken(np.concatenate([flags[:, pixels] for pixels in kept], axis=1) if is_boolean else flags)
        if np.ma.is_masked(raw.bitmask):
            flux = with_value(flux, np.ma.getmaskarray(raw.bitmask), np.nan)
    flux = flux if flux.dtype in FLOATS else flux.astype(np.float64)
    bitmask = None if raw.bitmask is None else np.ma.getdata(raw.bitmask)
    return PixelArrays(flux, raw.err, bitmask, kept, MAX_FLUX_ERROR if raw.normalized else np.inf)


def _prepared(fit: ContinuumFit, spectra: PixelArrays) -> tuple[np.ndarray, np.ndarray | None]:
    """Return spectra and errors without gaps and continuum."""
    normalized = normalize_blocks(fit, spectra)
    raise_faults(fit, spectra, normalized)
    warn_of_errors(normalized)
    return normalized.flux, normalized.err


def _note_on_combination(trained_on: str | None, combination: str | None) -> str | None:
    """Return a note if a model was trained on another combined spectrum than the one that was read."""
    for name in (trained_on, combination):
        if name not in (None, *_COMBINATIONS):
            raise ValueError(f"combination={name!r}, expected one of {', '.join(map(repr, _COMBINATIONS))}.")
    if trained_on is None or combination is None or trained_on == combination:
        return None
    return f"The model was trained on {trained_on} combinations, but these spectra are {combination} combinations."


def _last_pixel(chips: Any) -> int | None:
    """Return where the last chip ends; None if `chips` does not say."""
    bounds: Any = np.asarray(chips)
    return int(bounds.max()) if bounds.size and bounds.dtype.kind in "iu" else None


def _check_n_pixels(flux: np.ndarray, n_kept: int, where: str) -> None:
    """Refuse flux that is neither on the apStar grid nor without gaps."""
    if flux.shape[1] not in (N_APSTAR_PIXELS, n_kept):
        raise ValueError(
            f"flux has {flux.shape[1]} pixels, expected {N_APSTAR_PIXELS}, the whole apStar grid, or {n_kept}, {where}."
            " Pass spectra as the files contain them, or resample others to this grid."
        )


def _recorded_normalizer(parameters: dict[str, Any], n_pixels: int) -> ContinuumNormalizer:
    """Return the `ContinuumNormalizer` with recorded parameters, fitted on the pixels of the model."""
    if unknown := sorted(set(parameters) - set(ContinuumNormalizer().get_params())):
        raise ValueError(
            f"The model records preprocessing parameters that are not known here: {', '.join(unknown)}; expected those "
            "of ContinuumNormalizer and combination. Prepare the spectra yourself, as in the training; for the command "
            "line write them to an HDF5 file with write_h5."
        )
    normalizer = ContinuumNormalizer(**parameters)
    if normalizer.chips is None:
        _check_pixels_of_release(normalizer.data_release, n_pixels)
    return normalizer.fit(np.ones((1, n_pixels)))


def _check_pixels_of_release(data_release: int, n_pixels: int) -> None:
    n_kept = sum(chip.n_pixels for chip in chips_of_release(data_release))
    if n_kept != n_pixels:
        raise ValueError(
            f"The model takes spectra of {n_pixels} pixels, but apStar and aspcapStar files have {n_kept} pixels on "
            f"the chips of data release {data_release}. Prepare the spectra yourself, on the pixels of the model; for "
            "the command line write them to an HDF5 file with write_h5."
        )
