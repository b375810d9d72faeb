"""One spectrum, with its noise, its bad pixels and the windows of an element."""

import numpy as np

from skbcnn.plotting.axis_texts import symbol
from skbcnn.plotting.figures import DARK, PURPLE, SKY, drawing
from skbcnn.plotting.inputs import check_shapes
from skbcnn.plotting.pixels import shade_window, spectrum_axes, window_of
from skbcnn.plotting.points import all_but_wild


class SpectrumDisplay:
    """Flux of a star, a panel for each chip, with its errors as a band.

    Make one with `from_spectrum`.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
        Relative to the continuum.
    flux_err : ndarray of shape (n_pixels,), default=None
        Standard deviation of the flux.
    good : ndarray of bool of shape (n_pixels,)
        Pixels that were measured; the others are marked, and left out of the line.
    label_name : str, default=None
        Whose window is shaded.
    windows : ElementWindows, mapping of str to array-like of int, or None, default=None
        None: those of APOGEE, for its 7514 pixels.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (3,), or (1,)
        A panel for each chip of spectra of 7514 pixels, one for all others.
    ax_ : matplotlib.axes.Axes
        The first of them.
    figure_ : matplotlib.figure.Figure
        That holds them.

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
            Relative to the continuum.
        flux_err : array-like of shape (n_pixels,), default=None
            Standard deviation of the flux.
        good : array-like of bool of shape (n_pixels,), default=None
            Pixels that were measured, as `NormalizedSpectra.good` of `skbcnn.prepare_spectra` tells. None: those
            whose error is above 0, since the errors of pixels that were filled in are 0; all, without errors. Flux
            that is not finite is never good.
        label_name : str, default=None
            Whose window is shaded, in any spelling.
        windows : ElementWindows, mapping of str to array-like of int, or None, default=None
            Pixels in which each label is read. None: those of APOGEE, for its 7514 pixels.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            As in `plot`.

        Returns
        -------
        display : SpectrumDisplay

        Raises
        ------
        ValueError
            If shapes differ, the label has no window, or no pixel is good.
        """
        flux, flux_err = (None if v is None else np.asarray(v, dtype=float) for v in (flux, flux_err))
        if flux.ndim != 1:
            raise ValueError(f"flux has shape {flux.shape}, expected (n_pixels,): one spectrum. Pass one row, flux[0].")
        if good is None:
            good = np.ones(flux.shape, dtype=bool) if flux_err is None else flux_err > 0
        good = np.asarray(good)
        check_shapes({"flux": flux}, flux_err=flux_err, good=good)
        if good.dtype != bool:
            raise TypeError(
                f"good has type {good.dtype}, expected bool: True where a pixel was measured. Of the flags of an "
                "apStar file, skbcnn.survey.bad_pixels tells the opposite."
            )
        good = good & np.isfinite(flux)
        return cls(flux=flux, flux_err=flux_err, good=good, label_name=label_name, windows=windows).plot(ax)

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Where to draw: one for each chip, or one whose place they take. None makes a new figure with pyplot.

        Returns
        -------
        display : SpectrumDisplay
            This one, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            If the label has no window, no pixel is good, or `ax` holds another number of axes.
        """
        with drawing("SpectrumDisplay"):
            window = self._window()
            if not self.good.any():
                raise ValueError(
                    f"No pixel of all {len(self.flux)} is good. Pass good=True for pixels that were measured."
                )
            panels = spectrum_axes(ax, len(self.flux))
            ends = self._ends()
            for panel_ax, panel in panels:
                self._draw(panel_ax, panel, window)
                panel_ax.set_ylim(ends)
            panels[len(panels) // 2][0].set_ylabel("Flux / continuum")
            self._explain(panels[0][0])
        self.axes_ = np.array([panel_ax for panel_ax, _ in panels])
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        return self

    def _window(self):
        window = window_of(self.label_name, self.windows, len(self.flux))
        if window is None and self.label_name is not None:
            raise ValueError(
                f"label_name={self.label_name!r} has no window on {len(self.flux)} pixels. Name an element that has "
                "one, or pass windows."
            )
        return window

    def _ends(self):
        """Where the axis of flux ends: all good pixels within but wild ones, and room for the marks below."""
        low, high = all_but_wild(self.flux[self.good], tail=1)
        margin = 0.06 * (high - low) or 0.05
        return low - 2.5 * margin, high + margin

    def _draw(self, ax, panel, window):
        flux, good = self.flux[panel.pixels], self.good[panel.pixels]
        measured = np.where(good, flux, np.nan)
        if window is not None:
            shade_window(ax, panel, window, text=f"window of {symbol(self.label_name)}")
        if self.flux_err is not None:
            err = np.where(good, self.flux_err[panel.pixels], np.nan)
            look = {"color": SKY, "alpha": 0.7, "lw": 0, "zorder": 1.5}
            ax.fill_between(panel.places, measured - err, measured + err, label=r"flux $\pm$ 1$\sigma$", **look)
        ax.plot(panel.places, measured, color=DARK, lw=0.5, label="flux")
        if not self.good.all():
            marks = panel.places[~good]
            ax.plot(
                marks,
                np.full(len(marks), 0.05),
                "|",
                transform=ax.get_xaxis_transform(),
                color=PURPLE,
                ms=5,
                mew=0.6,
                label="bad pixels",
            )

    def _explain(self, ax):
        """A legend above the first panel, where it covers nothing."""
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.1)
