"""`SpectrumDisplay`: one spectrum with its flux errors, bad pixels and the window of a label."""

from typing import Any, ClassVar

import numpy as np

from skbcnn._arrays import as_pixels
from skbcnn._user_warnings import warn_user
from skbcnn.plotting._axis_limits import range_without_outliers
from skbcnn.plotting._display import MultiPanelDisplay
from skbcnn.plotting._label_inputs import check_shapes
from skbcnn.plotting._label_text import decimals_for, format_number, label_symbol
from skbcnn.plotting._spectrum_panels import (
    shade_window,
    spectrum_axes,
    spectrum_panels,
    window_axes,
    window_mask,
    window_panels,
)
from skbcnn.plotting._style import DARK, PURPLE, SKY, VERMILLION
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
    comparison : ndarray of shape (n_pixels,), default=None
        Flux of a spectrum to compare with, drawn behind.
    zoom : bool, default=False
        Whether to draw only the surroundings of the largest parts of the window.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_panels,)
        A panel for each chip of spectra of 7514 pixels, a single panel for other spectra. With `zoom`, up to six panels
        around parts of the window.
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

    _BAND_STYLE: ClassVar = {"color": SKY, "alpha": 0.7, "lw": 0, "zorder": 1.5}
    _MARK_STYLE: ClassVar = {"color": PURPLE, "ms": 5, "mew": 0.6, "label": "bad pixels"}

    def __init__(self, *, flux, flux_err=None, good, label_name=None, windows=None, comparison=None, zoom=False):
        self.flux = flux
        self.flux_err = flux_err
        self.good = good
        self.label_name = label_name
        self.windows = windows
        self.comparison = comparison
        self.zoom = zoom

    @classmethod
    def from_spectrum(
        cls, flux, flux_err=None, *, good=None, label_name=None, windows=None, comparison=None, zoom=False, ax=None
    ):
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
        comparison : array-like of shape (n_pixels,), default=None
            Flux of a spectrum to compare with, such as the median of similar stars. NaN where unknown.
        zoom : bool, default=False
            Whether to draw only the surroundings of the largest parts of the window, which `label_name` must name.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Axes to draw on, as in `plot`.

        Returns
        -------
        display : SpectrumDisplay

        Raises
        ------
        ValueError
            If shapes differ, the label has no window, there is no label to zoom on, no pixel is good, or the flux has a
            unit.
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
        comparison = None if comparison is None else _plain_pixels(comparison, "comparison")
        check_shapes({"flux": flux}, flux_err=flux_err, good=good, comparison=comparison)
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
        display = cls(
            flux=flux,
            flux_err=flux_err,
            good=good,
            label_name=label_name,
            windows=windows,
            comparison=comparison,
            zoom=zoom,
        )
        return display.plot(ax)

    def _window(self):
        return window_mask(self.label_name, self.windows, len(self.flux))

    def _panels(self):
        """Return the panels, and the label of the axis along the spectrum."""
        panels, text = spectrum_panels(len(self.flux))
        return (window_panels(self._window()) if self.zoom else panels), text

    def _check(self):
        if self.zoom and self.label_name is None:
            raise ValueError("zoom=True, but label_name is None. Name the label whose window is to be shown.")
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
        return window_axes(ax, *self._panels()) if self.zoom else spectrum_axes(ax, len(self.flux))

    def _draw(self, axes):
        panels, _ = self._panels()
        window, limits = self._window(), self._flux_limits(panels)
        for ax, panel in zip(axes, panels, strict=True):
            if window is not None:
                shade_window(ax, panel, window, text=f"window of {label_symbol(self.label_name)}")
            self._draw_flux(ax, panel)
            ax.set_ylim(limits)
        axes[0 if self.zoom else len(axes) // 2].set_ylabel("Flux / continuum")
        side, place = ("left", (0, 1)) if self.zoom else ("right", (1, 1))
        legend = axes[0].legend(loc=f"lower {side}", bbox_to_anchor=place, ncols=3, borderaxespad=0.1)  # above
        self._reserve_width(axes, legend)

    def _reserve_width(self, axes, legend):
        """Let the legend, which is wider than the first of several panels in a row, not narrow that panel."""
        if self.zoom and len(axes) > 1:
            legend.set_in_layout(False)
            axes[0].set_title(" \n ")  # space for two lines of the legend

    def _flux_limits(self, panels):
        """Return the limits of the flux: good pixels without outliers, and space for the marks of bad pixels."""
        drawn = [self.flux[panel.pixels][self.good[panel.pixels]] for panel in panels]
        if self.comparison is not None:
            drawn += [self.comparison[panel.pixels] for panel in panels]
        values = np.concatenate(drawn)
        values = values[np.isfinite(values)]
        low, high = range_without_outliers(values if len(values) else self.flux[self.good], tail=1)
        margin = 0.06 * (high - low) or 0.05
        return low - 2.5 * margin, high + margin

    def _draw_flux(self, ax, panel):
        flux, good = self.flux[panel.pixels], self.good[panel.pixels]
        valid = np.where(good, flux, np.nan)
        if self.flux_err is not None:
            err = np.where(good, self.flux_err[panel.pixels], np.nan)
            typical = format_number(median := np.median(self.flux_err[self.good]), decimals_for(median))
            text = rf"flux $\pm$ 1$\sigma$ (median {typical})"  # the band is narrow at high S/N
            ax.fill_between(panel.positions, valid - err, valid + err, label=text, **self._BAND_STYLE)
        width = 1.2 if self.zoom else 0.5
        if self.comparison is not None:
            text = "comparison"
            ax.plot(panel.positions, self.comparison[panel.pixels], color=VERMILLION, lw=width, label=text, zorder=1.8)
        ax.plot(panel.positions, valid, color=DARK, lw=width, label="flux")
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
