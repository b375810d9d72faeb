"""Weighted means of the visits of each star, with errors that do not average away completely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._grouping import Grouping
from skbcnn._prediction import ErrorKind, Naming, Prediction, columns_of
from skbcnn._user_warnings import warn_user
from skbcnn.calibration.fitting import MIN_DIFFERENCES, fit_noise_model
from skbcnn.calibration.residuals import check_prediction

if TYPE_CHECKING:
    from astropy.table import Table

    from skbcnn.calibration.error_model import ErrorModel

_VISITS = "repeat visits"  # source of an error model that does not know the common error


@dataclass(frozen=True, kw_only=True)
class CombinedVisits(Prediction):
    """Labels of stars, combined from their visits by `combine_visits`.

    Attributes
    ----------
    mean : ndarray of shape (n_stars, n_labels)
        Weighted mean of the visits of each star.
    model, predictive : ndarray of shape (n_stars, n_labels)
        Model error of the mean, and the rest of its total error.
    total : ndarray of shape (n_stars, n_labels)
        Standard deviation of the mean if `Prediction.total` is that of a visit.
    calibrated : ndarray of shape (n_stars, n_labels) or None
        Standard deviation of the mean if `Prediction.calibrated` is that of a visit. None if the prediction of the
        visits was not calibrated with known labels.
    label_names, noisier, draws, calibrated_by
        As in `Prediction`. `noisier` is True if it is for any visit.
    star : ndarray of shape (n_stars,)
        Names of the stars, sorted.
    n_visits : ndarray of int of shape (n_stars,)
        Number of visits of each star.
    chi2 : ndarray of shape (n_stars, n_labels)
        Sum of the squared differences between visits and mean, each divided by the error that differs between visits.
        Its expectation is ``n_visits - 1``. A much larger one is a sign of a binary, a bad spectrum or a wrong star.
    common : ndarray of shape (n_stars, n_labels)
        Part of the error that all visits share, and that further visits would not reduce: part of `calibrated`, or of
        `total` if `calibrated` is None.
    """

    star: np.ndarray
    n_visits: np.ndarray
    chi2: np.ndarray
    common: np.ndarray

    _why_uncalibrated = (
        "The errors of the visits were not calibrated with known labels, so that the error that the visits share is "
        "not known."
    )
    _how_to_calibrate = "calibrate the model with fit_error_model, predict the visits again and combine them"

    def to_table(self, errors: ErrorKind | Sequence[ErrorKind] = ("total",), naming: Naming = "skbcnn") -> Table:
        """Return the stars, their labels and the error bars as a table with units.

        Parameters
        ----------
        errors, naming
            As in `Prediction.to_table`.

        Returns
        -------
        table : astropy.table.Table
            Columns ``star``, ``n_visits``, and those of `Prediction.to_table`.
        """
        table = super().to_table(errors, naming)
        table.add_columns([self.star, self.n_visits], indexes=[0, 0], names=["star", "n_visits"])
        return table


def combine_visits(prediction: Prediction, star: ArrayLike, noise_model: ErrorModel | None = None) -> CombinedVisits:
    """Combine the predictions for several visits of each star.

    Each visit has a weight of ``1 / e**2``, where ``e`` is the part of its error that differs between the visits of a
    star. The differences between visits tell its size (`fit_noise_model`). The rest of the error of a visit, ``c`` with
    ``c**2 + e**2`` the square of the whole error, is the same in all visits of a star and does not average away. The
    variance of the weighted mean is therefore ``1 / sum(1 / e**2)`` plus the square of the weighted mean of ``c``.

    Parameters
    ----------
    prediction : Prediction
        Prediction for single visits, without their combined spectrum. The whole error of a visit is its calibrated
        standard deviation if the model was calibrated with known labels, by `fit` or `fit_error_model`, and its total
        one otherwise.
    star : array-like of shape (n_samples,)
        Name or number of the star of each visit.
    noise_model : ErrorModel, default=None
        Result of `fit_noise_model`, or `error_model_` after the method of this name. None: that of these visits, or
        the calibrated standard deviations of the prediction if they were learnt from repeat visits.

    Returns
    -------
    stars : CombinedVisits
        A prediction with one row for each star, in the order of the sorted names. If the prediction has draws, so has
        this.

    Raises
    ------
    TypeError
        If `prediction` is no `Prediction`, or `noise_model` no `ErrorModel`.
    ValueError
        If there is not one star for each visit, one is missing, a label is not finite, the noise model was learnt from
        known labels, or there are fewer than 20 pairs of visits and no noise model.

    Warns
    -----
    UserWarning
        If the prediction was not calibrated with known labels, so that the total standard deviation is used.

    See Also
    --------
    fit_noise_model : The part of the error that differs between visits.
    skbcnn.Prediction.group_mean : Means of groups of different stars.

    Notes
    -----
    The weights minimise the variance of the mean if the common error is the same in all visits of a star. Where the
    differences between visits exceed the whole error, the latter is raised to the former.

    The model error of the mean is the standard deviation of the combined draws if the prediction has draws, and
    otherwise the weighted mean of the model errors, which is exact if all visits of a star share them.

    If the noise model is fitted to the same visits, the mean of `CombinedVisits.chi2` agrees with ``n_visits - 1`` by
    construction.

    Examples
    --------
    Of the error of a visit, 0.05 dex, 0.03 dex are common to all visits and 0.04 dex differ. Four visits reduce the
    latter to 0.02 dex:

    >>> import numpy as np
    >>> from skbcnn import Prediction
    >>> from skbcnn.calibration import ErrorModel, combine_visits
    >>> mean, std = np.array([[0.1], [0.2], [0.1], [0.2]]), np.full((4, 1), 0.05)
    >>> visits = Prediction(mean, 0 * std, std, std, ("Al",), calibrated=std, calibrated_by="known labels")
    >>> noise_model = ErrorModel(("Al",), np.array([0.8]), np.zeros(1), np.array([500]), "repeat visits")
    >>> star = combine_visits(visits, ["2M1640"] * 4, noise_model)
    >>> [array.round(4).item() for array in (star.mean, star.common, star.calibrated, star.chi2)]
    [0.15, 0.03, 0.0361, 6.25]
    """
    check_prediction(prediction)
    grouping = Grouping.of(star, "star", len(prediction.mean))
    mean = columns_of(prediction.mean)
    grouping.refuse_infinite(mean)
    differing = _error_that_differs(prediction, star, grouping, noise_model)
    is_calibrated = prediction.calibrated is not None and prediction.calibrated_by != _VISITS
    if not is_calibrated:
        warn_user(
            "The errors of the prediction are not calibrated with known labels, so the error that visits share follows "
            "from the total standard deviation, which may be wrong. Calibrate the model with fit_error_model, and "
            "predict again."
        )
    combination = _Combination(grouping, differing)
    total, common = combination.errors(columns_of(prediction.total))
    calibrated = None
    if is_calibrated:
        calibrated, common = combination.errors(columns_of(prediction.std("calibrated")))
    combined = combination.mean(mean)
    model = combination.mean(columns_of(prediction.model))
    draws = prediction.draws
    if draws is not None:
        draws = np.stack([combination.mean(columns_of(draw)) for draw in draws])
        model = draws.std(axis=0)
    model = np.minimum(model, total)
    chi2 = grouping.sum(((mean - combined[grouping.group_of_row]) / differing) ** 2)
    shape = len(combined), *prediction.mean.shape[1:]
    return CombinedVisits(
        combined.reshape(shape),
        model.reshape(shape),
        np.sqrt(total**2 - model**2).reshape(shape),
        total.reshape(shape),
        prediction.label_names,
        None if prediction.noisier is None else grouping.any(prediction.noisier),
        None if calibrated is None else calibrated.reshape(shape),
        None if draws is None else draws.astype(np.float32).reshape(len(draws), *shape),
        prediction.calibrated_by if is_calibrated else None,
        star=grouping.names,
        n_visits=grouping.counts,
        chi2=chi2.reshape(shape),
        common=common.reshape(shape),
    )


class _Combination:
    """Weighted means over the visits of each star, and their errors.

    `differing` is the error of each visit that other visits do not share, of shape (n_samples, n_labels).
    """

    def __init__(self, grouping: Grouping, differing: np.ndarray) -> None:
        self._grouping = grouping
        self._differing = differing
        self._weight = differing**-2
        self._precision = grouping.sum(self._weight)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted mean over the visits: (n_samples, n_labels) to (n_stars, n_labels)."""
        return self._grouping.sum(values * self._weight) / self._precision

    def errors(self, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the error of the mean, and the part of it that all visits share, from the whole error of a visit."""
        common = self.mean(np.sqrt(np.maximum(whole**2 - self._differing**2, 0)))
        return np.sqrt(1 / self._precision + common**2), common


def _error_that_differs(
    prediction: Prediction, star: Any, grouping: Grouping, noise_model: ErrorModel | None
) -> np.ndarray:
    """Return the part of the error that differs between visits: (n_samples, n_labels)."""
    if noise_model is not None:
        _check_noise_model(noise_model)
        differing = noise_model.std(prediction)
    elif prediction.calibrated is not None and prediction.calibrated_by == _VISITS:
        differing = prediction.calibrated
    else:
        n_pairs = int((grouping.counts * (grouping.counts - 1)).sum()) // 2
        if n_pairs < MIN_DIFFERENCES:
            raise ValueError(
                f"There are {n_pairs} pairs of visits of the same star, and at least {MIN_DIFFERENCES} are needed to "
                "learn how much of the error differs between visits. Learn it from other visits, and pass it: "
                "noise_model=skbcnn.calibration.fit_noise_model(model.predict_distribution(X), star)."
            )
        differing = fit_noise_model(prediction, star).std(prediction)
    columns = columns_of(differing)
    if bad := int((~(columns > 0) | np.isinf(columns)).any(axis=1).sum()):
        raise ValueError(
            f"The error that differs between visits is zero, infinite or NaN in {bad} of {len(columns)} visits. Leave "
            "out visits without finite errors above 0 (`total`)."
        )
    return columns


def _check_noise_model(noise_model: Any) -> None:
    if not (hasattr(noise_model, "std") and hasattr(noise_model, "source")):
        raise TypeError(
            f"noise_model is a {type(noise_model).__name__}, expected an ErrorModel. Pass the result of "
            "fit_noise_model, or error_model_ of a model after it."
        )
    if noise_model.source != _VISITS:
        raise ValueError(
            f"noise_model was learnt from {noise_model.source}, so that its errors contain those that all visits "
            "share. Pass one from fit_noise_model, or None."
        )
