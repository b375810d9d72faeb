"""Preparation of flux and errors together: chip gaps, continuum and bad pixels.

`prepare_spectra` takes the settings as arguments. `prepare_for_model` takes those that a fitted model records in its
attribute `preprocessing_`; the command line and `skbcnn.apogee_pipeline` use it through `ModelPreparation`.

A model records the parameters of `ContinuumNormalizer` and the entry ``combination``: the combined spectrum of the
apStar files that it was trained on, ``"pixel"`` or ``"global"``.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skbcnn._validation import check_shape_of_spectra
from skbcnn.preprocessing.chips import ChipGapRemover
from skbcnn.preprocessing.continuum import ContinuumNormalizer
from skbcnn.survey import DEFAULT_BAD_BITS, N_APSTAR_PIXELS, kept_pixels

_DEFAULT_COMBINATION = "pixel"
_BAD_PIXEL_ERROR = 1  # in units of the continuum: aspcapStar files mark bad pixels by errors of 1e7 and more


def prepare_spectra(
    flux: ArrayLike,
    err: ArrayLike | None = None,
    bitmask: ArrayLike | None = None,
    *,
    data_release: int = 17,
    pixels: Any = None,
    degree: int = 2,
    weighting: str = "inverse_variance",
    bad_bits: Any = DEFAULT_BAD_BITS,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Remove gaps and continuum from flux and errors together, as `X` and `x_err` of a model.

    A pipeline cannot do this: it changes X only, and not the errors passed as metadata.

    Parameters
    ----------
    flux : array-like of shape (n_samples, 8575) or (n_samples, 7514)
        Flux as in apStar files, or with the gaps removed. NaN pixels are allowed.
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
        Errors in the same units, 0 for pixels that were replaced; None without `err`.

    Raises
    ------
    ValueError
        If the shapes differ or do not fit, or a spectrum cannot be normalised.

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
    flux = np.asarray(flux)
    if flux.ndim == 2 and flux.shape[1] == N_APSTAR_PIXELS:
        flux, err, bitmask = _without_gaps(ChipGapRemover(data_release), flux, err, bitmask)
    normalizer = ContinuumNormalizer(
        data_release, pixels=pixels, degree=degree, weighting=weighting, bad_bits=bad_bits
    ).fit(flux)
    return normalizer.normalize(flux, err, bitmask)[:2]


def prepare_for_model(
    model: Any,
    flux: ArrayLike,
    err: ArrayLike | None = None,
    bitmask: ArrayLike | None = None,
    *,
    combination: str | None = None,
    normalized: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Prepare raw spectra in the way in which the training spectra of a model were prepared.

    Parameters
    ----------
    model : estimator
        Fitted, such as the result of `skbcnn.load_folder`. Its `preprocessing_` holds parameters of
        `ContinuumNormalizer`; if it is absent or empty, the defaults of `ContinuumNormalizer` are used.
    flux : array-like of shape (n_samples, 8575) or (n_samples, n_pixels)
        Flux as in apStar files, or on the pixels of the model. NaN pixels are allowed.
    err : array-like of the shape of `flux`, default=None
        Errors of the flux, in its unit.
    bitmask : array-like of int of the shape of `flux`, default=None
        Pixel mask of the apStar file.
    combination : {"pixel", "global"}, default=None
        Combined spectrum of the apStar files that was read. None: the one that the model was trained on.
    normalized : bool, default=False
        Whether the flux is divided by another continuum already, as in aspcapStar files. It is normalised again, and
        pixels with errors of 1 and more count as bad.

    Returns
    -------
    X : ndarray of shape (n_samples, n_pixels)
        Flux in units of the continuum, on the pixels of the model.
    x_err : ndarray of shape (n_samples, n_pixels) or None
        Errors in the same units, 0 for pixels that were replaced; None without `err`.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If the model records unknown parameters, or takes other pixels than those of the spectra, or a spectrum cannot
        be normalised.

    Warns
    -----
    UserWarning
        If the model records no preprocessing, or was trained on the other combination.

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
    preparation = ModelPreparation.from_model(model, combination)
    preparation.warn(stacklevel=3)
    return preparation.prepare(flux, err, bitmask, normalized=normalized)


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
        if combination != trained_on:
            notes.append(
                f"The model was trained on {trained_on} combinations, but these spectra are {combination} combinations."
            )
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
        flux: ArrayLike,
        err: ArrayLike | None = None,
        bitmask: ArrayLike | None = None,
        *,
        normalized: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Prepare spectra.

        Parameters
        ----------
        flux, err, bitmask, normalized
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
            If shapes do not fit, or a spectrum cannot be normalised.
        """
        flux = np.asarray(flux)
        if flux.ndim == 2 and flux.shape[1] == N_APSTAR_PIXELS != self.n_pixels:
            flux, err, bitmask = _without_gaps(self.gap_remover(), flux, err, bitmask)
        if normalized and err is not None:
            err = check_shape_of_spectra("err", err, flux)
            flux = np.where(np.less(err, _BAD_PIXEL_ERROR), flux, np.nan)
        return self.normalizer.normalize(flux, err, bitmask)[:2]


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
    n_kept = len(kept_pixels(data_release))
    if n_kept != n_pixels:
        raise ValueError(
            f"The model takes spectra of {n_pixels} pixels, but apStar and aspcapStar files have {n_kept} pixels on "
            f"the chips of data release {data_release}. Prepare the spectra yourself, on the pixels of the model; for "
            "the command line write them to an HDF5 file with write_h5."
        )


def _without_gaps(
    remover: ChipGapRemover, flux: np.ndarray, err: ArrayLike | None, bitmask: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Remove the gaps of flux, errors and bitmask."""
    kept = kept_pixels(remover.data_release)
    err = None if err is None else check_shape_of_spectra("err", err, flux)[:, kept]
    bitmask = None if bitmask is None else check_shape_of_spectra("bitmask", bitmask, flux)[:, kept]
    return remover.fit_transform(flux), err, bitmask
