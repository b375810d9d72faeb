"""`SpectrumDisplay`: one spectrum with its flux errors, bad pixels and the window of a label."""

from typing import Any, ClassVar

import numpy as np

from skbcnn._arrays import as_pixels
from skbcnn._user_warnings import warn_user
from skbcnn.plotting._axis_limits import range_without_outliers
from skbcnn.plotting._display import MultiPanelDisplay
from skbcnn.plotting._label_inputs import check_shapes
from skbcnn.plotting._label_text import label_symbol
from skbcnn.plotting._spectrum_panels import shade_window, spectrum_axes, spectrum_panels, window_mask
from skbcnn.plotting._style import DARK, PURPLE, SKY
from skbcnn.survey import N_APSTAR_PIXELS

_REMOVE_GAPS = "Remove the gaps between the chips with ChipGapRemover or prepare_spectra"


class SpectrumDisplay(MultiPanelDisplay):
    """Flux of one spectrum, with the flux error as a band and a panel for each chip.

    Create it with `from_spectrum`.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
        Flux relative to the continuum.
    flux_err : ndarray of shape (n_pixels,), default=None
        Standard deviation of the flux.
    good : ndarray of bool of shape (n_pixels,)
        True for valid pixels. The others are marked, and the line of the flux has a gap there.
    label_name : str, default=None
        Label whose window is shaded.
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        Pixels of the window of each label. None: the windows of APOGEE, for its 7514 pixels.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (3,), or (1,)
        A panel for each chip of spectra of 7514 pixels, a single panel for other spectra.
    ax_ : matplotlib.axes.Axes
        First of these axes.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.

    Examples
    --------
    >>> from skbcnn import make_apogee_spectra
    >>> from skbcnn.plotting import SpectrumDisplay, new_figure
    >>> star = make_apogee_spectra(1, random_state=0)
    >>> ax = new_figure(7, 4.8).add_subplot()
    >>> display = SpectrumDisplay.from_spectrum(star.X[0], star.X_err[0], label_name="Al", ax=ax)
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['', '', 'Vacuum wavelength (Å)']
    """

    _BAND_STYLE: ClassVar = {"color": SKY, "alpha": 0.7, "lw": 0, "zorder": 1.5, "label": r"flux $\pm$ 1$\sigma$"}
    _MARK_STYLE: ClassVar = {"color": PURPLE, "ms": 5, "mew": 0.6, "label": "bad pixels"}

    def __init__(self, *, flux, flux_err=None, good, label_name=None, windows=None):
        self.flux = flux
        self.flux_err = flux_err
        self.good = good
        self.label_name = label_name
        self.windows = windows

    @classmethod
    def from_spectrum(cls, flux, flux_err=None, *, good=None, label_name=None, windows=None, ax=None):
        """Draw one spectrum.

        Parameters
        ----------
        flux : array-like of shape (n_pixels,)
            Flux relative to the continuum.
        flux_err : array-like of shape (n_pixels,), default=None
            Standard deviation of the flux.
        good : array-like of bool of shape (n_pixels,), default=None
            True for valid pixels, such as `NormalizedSpectra.good` of `skbcnn.prepare_spectra`. None: pixels with an
            finite error above 0, because filled pixels have the error 0; all pixels if there are no errors. Pixels
            whose flux is masked or not finite are always bad.
        label_name : str, default=None
            Label whose window is shaded, in any spelling.
        windows : ElementWindows, mapping of str to array-like of int, or None, default=None
            Windows of the labels, as in `SpectrumDisplay`.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : SpectrumDisplay

        Raises
        ------
        ValueError
            If shapes differ, the label has no window, no pixel is good, or the flux has a unit.
        TypeError
            If `good` is not boolean.

        Warns
        -----
        UserWarning
            If the spectrum has the 8575 pixels of APOGEE with the gaps between the chips: it is not divided by chip.
        """
        flux = _plain_pixels(flux, "flux")
        flux_err = None if flux_err is None else _plain_pixels(flux_err, "flux_err")
        if flux.ndim != 1:
            raise ValueError(f"flux has shape {flux.shape}, expected (n_pixels,): one spectrum. Pass one row, flux[0].")
        if good is None:
            good = np.ones(flux.shape, dtype=bool) if flux_err is None else (flux_err > 0) & np.isfinite(flux_err)
        good = np.asarray(good)
        check_shapes({"flux": flux}, flux_err=flux_err, good=good)
        if good.dtype != bool:
            raise TypeError(
                f"good has type {good.dtype}, expected bool: True for valid pixels. For the bitmask of an apStar file, "
                "pass ~skbcnn.survey.bad_pixels(bitmask)."
            )
        good = good & np.isfinite(flux)
        if label_name is None and len(flux) == N_APSTAR_PIXELS:
            warn_user(
                f"The spectrum has {len(flux)} pixels and is drawn against their numbers. {_REMOVE_GAPS} for a panel "
                "for each chip with wavelengths."
            )
        return cls(flux=flux, flux_err=flux_err, good=good, label_name=label_name, windows=windows).plot(ax)

    def _window(self):
        return window_mask(self.label_name, self.windows, len(self.flux))

    def _check(self):
        if self.label_name is not None and self._window() is None:
            n_pixels = len(self.flux)
            remedy = _REMOVE_GAPS if n_pixels == N_APSTAR_PIXELS else "Name an element that has one"
            raise ValueError(
                f"label_name={self.label_name!r} has no window on {n_pixels} pixels. {remedy}, or pass windows."
            )
        if not self.good.any():
            raise ValueError(
                f"None of the {len(self.flux)} pixels is good. Pass a spectrum with valid pixels, or a mask `good` "
                "that is True for them."
            )

    def _panel_axes(self, ax):
        return spectrum_axes(ax, len(self.flux))

    def _draw(self, axes):
        window, limits = self._window(), self._flux_limits()
        for ax, panel in zip(axes, spectrum_panels(len(self.flux))[0], strict=True):
            if window is not None:
                shade_window(ax, panel, window, text=f"window of {label_symbol(self.label_name)}")
            self._draw_flux(ax, panel)
            ax.set_ylim(limits)
        axes[len(axes) // 2].set_ylabel("Flux / continuum")
        axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.1)  # above the panel

    def _flux_limits(self):
        """Return the limits of the flux: good pixels without outliers, and space for the marks of bad pixels."""
        low, high = range_without_outliers(self.flux[self.good], tail=1)
        margin = 0.06 * (high - low) or 0.05
        return low - 2.5 * margin, high + margin

    def _draw_flux(self, ax, panel):
        flux, good = self.flux[panel.pixels], self.good[panel.pixels]
        valid = np.where(good, flux, np.nan)
        if self.flux_err is not None:
            err = np.where(good, self.flux_err[panel.pixels], np.nan)
            ax.fill_between(panel.positions, valid - err, valid + err, **self._BAND_STYLE)
        ax.plot(panel.positions, valid, color=DARK, lw=0.5, label="flux")
        if not self.good.all():
            marks = panel.positions[~good]
            ax.plot(marks, np.full(len(marks), 0.05), "|", transform=ax.get_xaxis_transform(), **self._MARK_STYLE)


def _plain_pixels(values: Any, name: str) -> np.ndarray:
    """Return flux or its errors as numbers, with NaN where they are masked; refuse a unit."""
    pixels = as_pixels(values, name)
    array = np.asarray(pixels.filled(np.nan), dtype=float)
    if pixels.unit is None:
        return array
    if not pixels.unit.is_unity() and pixels.unit.physical_type != "dimensionless":
        raise ValueError(
            f"{name} has the unit {str(pixels.unit)!r}, expected flux relative to the continuum. Divide flux and "
            "errors by the continuum, with prepare_spectra or ContinuumNormalizer."
        )
    return array * pixels.unit.to("")
