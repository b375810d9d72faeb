"""Why a model is not calibrated, and what the user can do."""

from __future__ import annotations

from enum import StrEnum

from skbcnn.calibration.fitting import MIN_DIFFERENCES

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
    def remedy(self) -> str:
        """What the user can do, as a sentence."""
        again = {
            Uncalibrated.SWITCHED_OFF: ", or fit it with calibrate=True",
            Uncalibrated.NONE_HELD_OUT: f", {_REFIT}",
            Uncalibrated.FEW_HELD_OUT: f", {_REFIT}",
        }.get(self, "")
        return f"Calibrate it with fit_error_model on stars of known labels that it was not trained on{again}."


_CAUSES = {
    Uncalibrated.UNKNOWN: "its training did not calibrate it, or the calibration was not saved",
    Uncalibrated.SWITCHED_OFF: "it was fitted with calibrate=False",
    Uncalibrated.NONE_HELD_OUT: "no stars were held out from its training",
    Uncalibrated.FEW_HELD_OUT: f"fewer than {MIN_DIFFERENCES} stars with known labels were held out from its training",
    Uncalibrated.CONTINUED: "its training was continued, which ended the earlier calibration",
    Uncalibrated.INTERRUPTED: "its calibration was interrupted",
}
