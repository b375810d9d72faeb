"""Correction of the predicted standard deviations: a scale and an offset of each label, and the effect of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import plain_numbers
from skbcnn._moved import find_moved_names

if TYPE_CHECKING:
    from astropy.table import Table

    from skbcnn._prediction import Prediction

NOISE_EXPECTED = "Pass one number for each spectrum, in the unit used in the calibration"
"""What to pass as noise of spectra, for error messages."""


@dataclass(frozen=True)
class ErrorModel:
    """Calibrated standard deviation of each label, as a function of the total one and of the noise of the spectrum.

    It is ``scale * total + offset``, times ``exp(noise_slope * n + noise_curve * n**2)`` with
    ``n = log(noise / noise_range[1])`` if the noise of the spectrum is known. Make one with `fit_error_model` or
    `fit_noise_model`.

    Attributes
    ----------
    label_names : tuple of str
        Names of the labels.
    scale : ndarray of shape (n_labels,)
        Factor on the total standard deviation; 1 where there were too few stars to learn from.
    offset : ndarray of shape (n_labels,)
        Offset in label units, never negative; 0 where there were too few stars to learn from.
    n_differences : ndarray of int of shape (n_labels,)
        Number of residuals, or of differences between visits, that the label was fitted to, without outliers.
    source : str
        Kind of these: "known labels" or "repeat visits".
    noise_slope : ndarray of shape (n_labels,) or None
        Power of the noise that the standard deviation is proportional to, at the median noise. None: the noise of the
        spectra is not used.
    noise_range : tuple of (float, float) or None
        Lowest and median noise of the spectra fitted to. Lower noise is treated as the lowest.
    noise_curve : ndarray of shape (n_labels,) or None
        Increase of that power with the logarithm of the noise; never negative. None: 0.
    """

    label_names: tuple[str, ...]
    scale: np.ndarray
    offset: np.ndarray
    n_differences: np.ndarray
    source: str
    noise_slope: np.ndarray | None = None
    noise_range: tuple[float, float] | None = None
    noise_curve: np.ndarray | None = None

    @property
    def depends_on_noise(self) -> bool:
        """Whether the calibrated standard deviations depend on the noise of the spectra."""
        return self.noise_slope is not None

    @property
    def not_calibrated(self) -> tuple[str, ...]:
        """Labels that too few stars have: their standard deviations are the total ones."""
        unchanged = (self.scale == 1) & (self.offset == 0)
        return tuple(name for name, is_unchanged in zip(self.label_names, unchanged, strict=True) if is_unchanged)

    def std(self, prediction: Prediction, noise: ArrayLike | None = None) -> np.ndarray:
        """Return the calibrated standard deviations of a prediction.

        Parameters
        ----------
        prediction : Prediction
            Prediction of the same labels in the same order. It is not changed.
        noise : array-like of shape (n_samples,), default=None
            Noise of each spectrum, in the unit used in `fit_error_model`. None: the median of the spectra fitted to.

        Returns
        -------
        std : ndarray
            Standard deviations in label units, of the shape of ``prediction.total``.

        Raises
        ------
        ValueError
            If the labels differ, or there is not one noise for each spectrum.
        """
        if prediction.label_names != self.label_names:
            raise ValueError(
                f"The prediction is of {', '.join(prediction.label_names)}, but these errors were learnt for "
                f"{', '.join(self.label_names)}. Use the error model of the network that predicted."
            )
        std = prediction.total.reshape(len(prediction.total), -1) * self.scale + self.offset
        if noise is not None:
            noise = check_noise(noise, len(std))
        if noise is not None and self.noise_slope is not None and self.noise_range is not None:
            curve = 0.0 if self.noise_curve is None else self.noise_curve
            std = std * noise_factor(log_noise(noise, *self.noise_range)[:, None], self.noise_slope, curve)
        return std.reshape(prediction.total.shape)

    def to_table(self) -> Table:
        """Return the parameters of each label as a table.

        Returns
        -------
        table : astropy.table.Table
            Columns ``label``, ``scale``, ``offset``, ``n_differences`` and, if they are known, ``noise_slope`` and
            ``noise_curve``.
        """
        from astropy.table import Table  # here, so that importing this module stays light

        columns: dict[str, Any] = {"label": list(self.label_names)}
        names = ("scale", "offset", "n_differences", "noise_slope", "noise_curve")
        columns |= {name: getattr(self, name) for name in names}
        return Table({name: values for name, values in columns.items() if values is not None})


def check_noise(noise: ArrayLike, n_samples: int) -> np.ndarray:
    """Return the noise of spectra as an array.

    Parameters
    ----------
    noise : array-like of shape (n_samples,)
        Noise of each spectrum; NaN where it is unknown.
    n_samples : int
        Number of spectra.

    Returns
    -------
    noise : ndarray of shape (n_samples,), float64

    Raises
    ------
    ValueError
        If there is not one number for each spectrum, or one is masked.
    """
    numbers = plain_numbers(noise, "noise", NOISE_EXPECTED)
    if numbers.shape != (n_samples,):
        raise ValueError(f"noise has shape {numbers.shape}, expected ({n_samples},). {NOISE_EXPECTED}.")
    return numbers


def log_noise(noise: ArrayLike, lowest: float, median: float) -> np.ndarray:
    """Return the logarithm of the noise relative to its median.

    Parameters
    ----------
    noise : array-like of shape (n_samples,)
        Noise of each spectrum.
    lowest, median : float
        Lowest noise to distinguish, and the noise whose logarithm is 0.

    Returns
    -------
    log_noise : ndarray of shape (n_samples,)
    """
    return np.log(np.maximum(np.asarray(noise, dtype=np.float64), lowest) / median)


def noise_factor(log_noise: np.ndarray, slope: np.ndarray | float, curve: np.ndarray | float) -> np.ndarray:
    """Return the factor by which noise changes the standard deviation.

    Parameters
    ----------
    log_noise : ndarray
        From the function of that name.
    slope, curve : ndarray or float
        Coefficients of `log_noise` and of its square, in the logarithm of the factor.

    Returns
    -------
    factor : ndarray
    """
    return np.exp(log_noise * (slope + curve * log_noise))


__getattr__ = find_moved_names(__name__)
