"""Flags of predictions: the bits of SDSS-V, and bits of out-of-distribution spectra and predictions."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from skbcnn._prediction import Prediction


class NoveltyFlag(IntFlag):
    """Bits that qualify the predicted labels of a star.

    Select good stars by ``(flags & NoveltyFlag.DO_NOT_USE) == 0``, or by the column ``do_not_use`` of a catalogue.

    ==== ======= ======================= ==============================================================================
    bit  value   name                    meaning
    ==== ======= ======================= ==============================================================================
    0    1       UNCERTAIN_LOGG          The total standard deviation of log g exceeds 0.2 dex and 0.075 times log g.
    1    2       UNCERTAIN_TEFF          The total standard deviation of Teff exceeds 300 K.
    2    4       UNCERTAIN_FE_H          The total standard deviation of [Fe/H] exceeds 0.12 times [Fe/H], which nearly
                                         all good stars near [Fe/H] = 0 do. Only `result_flags` and catalogues with
                                         ``naming="sdssv"`` have this bit.
    11   2048    NO_RESULT               No labels, because the spectrum could not be read or predicted.
    16   65536   SPECTRUM_NOVEL          The spectrum differs from the training spectra by more than noise.
    17   131072  BAD_PIXELS              The fraction of bad pixels exceeds that of the training spectra and 5 %.
    18   262144  LABEL_OUT_OF_RANGE      A label lies outside the range of the training labels by more than 5 % of it.
    19   524288  MODEL_UNCERTAIN         The posterior draws differ more than for training-like stars.
    20   1048576 NOISIER_THAN_TRAINED    The spectrum is noisier than the training spectra: its errors may be too small.
    ==== ======= ======================= ==============================================================================

    ``OUTSIDE`` is bits 16 to 19, by which a star is out-of-distribution. ``DO_NOT_USE`` is bit 11 and bits 16 to 19.
    Bits 0 to 2 and 11 have the meaning of the AstroNN product of SDSS-V [1]_, which uses no other bits. Its errors are
    total standard deviations, so that these bits depend on ``<label>_err`` of a catalogue and not on
    ``<label>_err_calibrated``: the same rule for every model, calibrated or not. Stars with bit
    0, 1 or 20 can be used with care: their labels have large errors, or errors that may be too small. The column
    ``noisier`` of a catalogue is True where the median flux error exceeds that of every training star; bit 20 is set
    there, too, and where the spectrum itself shows more noise between neighbouring pixels.

    References
    ----------
    .. [1] SDSS-V, Astra: ``result_flags`` of the AstroNN product.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.novelty import NoveltyFlag
    >>> flags = np.array([0, NoveltyFlag.NOISIER_THAN_TRAINED, NoveltyFlag.BAD_PIXELS | NoveltyFlag.UNCERTAIN_LOGG])
    >>> (flags & NoveltyFlag.DO_NOT_USE) != 0
    array([False, False,  True])
    """

    UNCERTAIN_LOGG = 1 << 0
    """The total standard deviation of log g exceeds 0.2 dex and 0.075 times log g."""
    UNCERTAIN_TEFF = 1 << 1
    """The total standard deviation of Teff exceeds 300 K."""
    UNCERTAIN_FE_H = 1 << 2
    """The total standard deviation of [Fe/H] exceeds 0.12 times [Fe/H], as it nearly always does near [Fe/H] = 0."""
    NO_RESULT = 1 << 11
    """No labels, because the spectrum could not be read or predicted."""
    SPECTRUM_NOVEL = 1 << 16
    """The spectrum differs from the training spectra by more than noise."""
    BAD_PIXELS = 1 << 17
    """The fraction of bad pixels exceeds that of the training spectra and 5 %."""
    LABEL_OUT_OF_RANGE = 1 << 18
    """A predicted label lies outside the range of the training labels by more than 5 % of the range (more if the
    training set is small)."""
    MODEL_UNCERTAIN = 1 << 19
    """The posterior draws differ more than for training-like stars."""
    NOISIER_THAN_TRAINED = 1 << 20
    """The spectrum is noisier than the training spectra, by `x_err` or by its differences between neighbouring pixels.
    Noise alone does not make a spectrum out-of-distribution, but the network was not trained for it."""
    OUTSIDE = SPECTRUM_NOVEL | BAD_PIXELS | LABEL_OUT_OF_RANGE | MODEL_UNCERTAIN
    """All bits that mark a star as out-of-distribution: those that `Assessment.score` measures."""
    DO_NOT_USE = NO_RESULT | OUTSIDE
    """All bits that mark labels as unusable."""


BIT_MEANINGS = {
    NoveltyFlag.UNCERTAIN_LOGG: "total standard deviation of log g above 0.2 dex and above 0.075 times log g",
    NoveltyFlag.UNCERTAIN_TEFF: "total standard deviation of Teff above 300 K",
    NoveltyFlag.UNCERTAIN_FE_H: "total standard deviation of [Fe/H] above 0.12 times [Fe/H] (rule of SDSS-V: no fault)",
    NoveltyFlag.NO_RESULT: "no labels",
    NoveltyFlag.SPECTRUM_NOVEL: "spectrum unlike the training spectra",
    NoveltyFlag.BAD_PIXELS: "too many bad pixels",
    NoveltyFlag.LABEL_OUT_OF_RANGE: "a label outside the training range",
    NoveltyFlag.MODEL_UNCERTAIN: "the posterior draws differ too much",
    NoveltyFlag.NOISIER_THAN_TRAINED: "noisier than the training spectra",
}


def prediction_flags(prediction: Prediction) -> np.ndarray:
    """Return the flags that depend only on a prediction, without the rule of SDSS-V that good stars fail.

    Parameters
    ----------
    prediction : Prediction
        Prediction of any model.

    Returns
    -------
    flags : ndarray of int32 of shape (n_samples,)
        Sums of the `NoveltyFlag` bits 0, 1 and 11.
    """
    return result_flags(prediction) & np.int32(~NoveltyFlag.UNCERTAIN_FE_H)


def result_flags(prediction: Prediction) -> np.ndarray:
    """Return the flags of SDSS-V, which depend only on a prediction.

    Parameters
    ----------
    prediction : Prediction
        Prediction of any model.

    Returns
    -------
    flags : ndarray of int32 of shape (n_samples,)
        Sums of the `NoveltyFlag` bits 0 to 2 and 11, by the total standard deviations. Bits of labels that are not
        predicted are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.novelty import NoveltyFlag, result_flags
    >>> from skbcnn import Prediction
    >>> mean, error = np.full((2, 1), 4500.0), np.array([[30.0], [400.0]])
    >>> NoveltyFlag(int(result_flags(Prediction(mean, error, error, error, ("teff",)))[1]))
    <NoveltyFlag.UNCERTAIN_TEFF: 2>
    """
    check_prediction(prediction)
    mean, total = as_columns(prediction.mean), as_columns(prediction.total)
    value = dict(zip(prediction.label_names, mean.T, strict=True))
    error = dict(zip(prediction.label_names, total.T, strict=True))
    flags = flag_where(NoveltyFlag.NO_RESULT, ~np.isfinite(mean).all(axis=1))
    if "logg" in value:
        uncertain = (error["logg"] > 0.2) & (error["logg"] > 0.075 * abs(value["logg"]))
        flags |= flag_where(NoveltyFlag.UNCERTAIN_LOGG, uncertain)
    if "teff" in value:
        flags |= flag_where(NoveltyFlag.UNCERTAIN_TEFF, error["teff"] > 300)
    if "Fe" in value:
        flags |= flag_where(NoveltyFlag.UNCERTAIN_FE_H, error["Fe"] > 0.12 * abs(value["Fe"]))
    return flags


def check_prediction(prediction: Any) -> None:
    """Raise a TypeError if something is no `Prediction`."""
    if not hasattr(prediction, "label_names"):
        raise TypeError(
            f"prediction is a {type(prediction).__name__}, expected a Prediction. Pass model.predict_distribution(X)."
        )


def flag_where(flag: NoveltyFlag, condition: np.ndarray) -> np.ndarray:
    """Return the value of a flag where a condition holds, else 0, as int32."""
    return np.where(condition, np.int32(flag), np.int32(0))


def as_columns(values: ArrayLike) -> np.ndarray:
    """Return values as float64 of shape (n_samples, n_labels), with one column for one label."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, np.newaxis] if array.ndim == 1 else array
