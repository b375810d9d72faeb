"""Why a model is not calibrated, and what the user can do."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from skbcnn._user_warnings import warn_user
from skbcnn.calibration.fitting import MIN_DIFFERENCES

if TYPE_CHECKING:
    from skbcnn.calibration.error_model import ErrorModel
    from skbcnn.regressor import CensoredBCNNRegressor

_REFIT = "or fit it with a larger validation_fraction or with validation_data"


class Uncalibrated(StrEnum):
    """Cause of a missing calibration."""

    UNKNOWN = ""
    SWITCHED_OFF = "calibrate"
    NONE_HELD_OUT = "none held out"
    FEW_HELD_OUT = "few held out"
    CONTINUED = "continued"
    INTERRUPTED = "interrupted"

    @property
    def cause(self) -> str:
        """The cause as a clause."""
        return _CAUSES[self]

    @property
    def no_summary(self) -> str:
        """Why a model has no summary of its training set, as a clause."""
        if self is Uncalibrated.INTERRUPTED:
            return self.cause
        return "it was fitted with calibrate=False, or by other software"

    @property
    def remedy(self) -> str:
        """What the user can do, as a sentence."""
        again = {
            Uncalibrated.SWITCHED_OFF: ", or fit it with calibrate=True",
            Uncalibrated.NONE_HELD_OUT: f", {_REFIT}",
            Uncalibrated.FEW_HELD_OUT: f", {_REFIT}",
        }.get(self, "")
        return f"Calibrate it with fit_error_model on stars of known labels that it was not trained on{again}."

    def refuse(self, found: object, what: str) -> None:
        """Raise an error if the calibration that a prediction needs is missing.

        Parameters
        ----------
        found : object
            Fitted attribute that holds the calibration, or None.
        what : str
            What the prediction needs, in words.

        Raises
        ------
        ValueError
            If the attribute is None; the message says why, and what the user can do.
        """
        if found is None:
            raise ValueError(f"The model has no {what}: {self.cause}. {self.remedy}")


def about_missing_labels(error_model: ErrorModel | None) -> str:
    """Return a sentence about labels whose errors are not calibrated because too few stars have them.

    Parameters
    ----------
    error_model : ErrorModel or None
        Attribute `error_model_` of a regressor.

    Returns
    -------
    sentence : str
        Empty if there are no such labels.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.calibration import ErrorModel
    >>> from skbcnn.calibration.absence import about_missing_labels
    >>> error_model = ErrorModel(("Fe", "P"), np.array([1.5, 1.0]), np.zeros(2), np.array([40, 3]), "known labels")
    >>> about_missing_labels(error_model)
    'The calibrated errors of P are the total ones, because too few stars with these labels calibrated the model.'
    """
    names = () if error_model is None else error_model.not_calibrated
    if not names:
        return ""
    return (
        f"The calibrated errors of {', '.join(names)} are the total ones, because too few stars with these labels "
        "calibrated the model."
    )


def warn_of_missing_labels(error_model: ErrorModel | None) -> None:
    """Warn of labels whose errors are not calibrated because too few stars have them.

    Parameters
    ----------
    error_model : ErrorModel or None
        Attribute `error_model_` of a regressor.

    Warns
    -----
    UserWarning
        If there are such labels.
    """
    if sentence := about_missing_labels(error_model):
        warn_user(sentence)


def is_calibrated(model: CensoredBCNNRegressor) -> bool:
    """Return whether a model has calibrated error bars or intervals.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.

    Returns
    -------
    is_calibrated : bool
    """
    return model.error_model_ is not None or model.interval_scores_ is not None


_CAUSES = {
    Uncalibrated.UNKNOWN: "its training did not calibrate it, or the calibration was not saved",
    Uncalibrated.SWITCHED_OFF: "it was fitted with calibrate=False",
    Uncalibrated.NONE_HELD_OUT: "no stars were held out from its training",
    Uncalibrated.FEW_HELD_OUT: f"fewer than {MIN_DIFFERENCES} stars with known labels were held out from its training",
    Uncalibrated.CONTINUED: "its training was continued, which ended the earlier calibration",
    Uncalibrated.INTERRUPTED: "its calibration was interrupted",
}
