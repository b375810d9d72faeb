"""Warnings of the regressor: what a training dropped or forgot, and noise that counts twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skbcnn._user_warnings import warn_user

if TYPE_CHECKING:
    from skbcnn.regressor import CensoredBCNNRegressor


def warn_of_lost_calibration(method: str) -> None:
    """Warn that a method changed the network, so that its calibration no longer holds.

    Parameters
    ----------
    method : str
        Name of the method.

    Warns
    -----
    UserWarning
        Always.
    """
    warn_user(
        f"{method} changed the network, so its calibration no longer holds and was dropped: the calibrated error "
        "bars, the prediction intervals and the residuals of the held-out stars. Calibrate it again with "
        "fit_error_model on stars of known labels that it was not trained on, or with fit_noise_model."
    )


def warn_of_lost_records(model: CensoredBCNNRegressor) -> None:
    """Warn if a new training ends what a model records of its spectra and its training set.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Regressor that is about to be trained anew.

    Warns
    -----
    UserWarning
        If it has records.
    """
    if records := [name for name in ("preprocessing_", "provenance_") if getattr(model, name, None)]:
        warn_user(
            f"fit trains a new network, so the model forgets {' and '.join(records)} of the earlier one. If the "
            "new training spectra were prepared in the same way, set preprocessing_ again after fit."
        )


def warn_of_doubled_noise() -> None:
    """Warn of flux errors that are passed to a model that was trained with noise.

    Warns
    -----
    UserWarning
        Always.
    """
    warn_user(
        "This model was trained with noise (noise_augmentation or augmentation), so that the errors it predicts "
        "include the effect of noise. With x_err it counts twice, and the errors become too large. Predict without "
        "x_err; pass x_err to assess, which compares the noise with that of the training."
    )
