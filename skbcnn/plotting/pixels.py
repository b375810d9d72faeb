"""Panels of pictures along the spectrum: where each pixel stands, and where the windows of an element are."""

from typing import NamedTuple

import numpy as np

from skbcnn.plotting.figures import GREY, ORANGE, PAGE_WIDTH, several_axes
from skbcnn.plotting.inputs import find_column
from skbcnn.survey import apogee_windows, chip_slices, wavelength

_HEIGHT = 0.6, 1.4  # of a figure, in inches: of what stands about the panels, and of each panel
_N_APOGEE_PIXELS = len(wavelength())


class Panel(NamedTuple):
    """Pixels that are drawn in one panel.

    Attributes
    ----------
    name : str
        Of the chip; empty where the spectrum is drawn whole.
    pixels : slice
        Which they are.
    places : ndarray of shape (n_pixels,)
        Where each is drawn: its wavelength in Angstrom, or its number.
    """

    name: str
    pixels: slice
    places: np.ndarray

    @property
    def edges(self):
        """Where each pixel begins, and the last one ends: ndarray of shape (n_pixels + 1,)."""
        places = self.places
        if len(places) == 1:
            return places[0] + np.array([-0.5, 0.5])
        middles = (places[1:] + places[:-1]) / 2
        return np.concatenate([[2 * places[0] - middles[0]], middles, [2 * places[-1] - middles[-1]]])


def panels_of(n_pixels):
    """The panels of spectra: one for each chip of APOGEE's 7514 pixels, one by pixel number for all others.

    Parameters
    ----------
    n_pixels : int
        Of a spectrum.

    Returns
    -------
    panels : list of Panel
    text : str
        What the axis along the spectrum says.

    Examples
    --------
    >>> from skbcnn.plotting.pixels import panels_of
    >>> [panel.name for panel in panels_of(7514)[0]], panels_of(40)[1]
    (['blue', 'green', 'red'], 'Pixel')
    """
    if n_pixels != _N_APOGEE_PIXELS:
        return [Panel("", slice(0, n_pixels), np.arange(n_pixels))], "Pixel"
    waves = wavelength()
    return [Panel(name, pixels, waves[pixels]) for name, pixels in chip_slices().items()], "Vacuum wavelength (Å)"


def spectrum_axes(ax, n_pixels):
    """Panels of spectra and the axes to draw them in, one above the other, with limits and texts along the spectrum.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, sequence of these, or None
        As the user passed it.
    n_pixels : int
        Of a spectrum.

    Returns
    -------
    drawn : list of (matplotlib.axes.Axes, Panel)
    """
    panels, text = panels_of(n_pixels)
    height = _HEIGHT[0] + _HEIGHT[1] * len(panels)
    axes = several_axes(ax, (PAGE_WIDTH, height), n_rows=len(panels))
    for panel_ax, panel in zip(axes, panels, strict=True):
        panel_ax.set_xlim(panel.edges[[0, -1]])
        if panel.name:
            panel_ax.text(1.01, 0.5, panel.name, transform=panel_ax.transAxes, rotation=270, va="center", color=GREY)
    axes[-1].set_xlabel(text)
    return list(zip(axes, panels, strict=True))


def window_of(label_name, windows, n_pixels):
    """The window of a label as a boolean mask.

    Parameters
    ----------
    label_name : str or None
        In any spelling.
    windows : ElementWindows, mapping of str to array-like of int, or None
        None: those of APOGEE for its 7514 pixels, and none for other spectra.
    n_pixels : int
        Of a spectrum.

    Returns
    -------
    mask : ndarray of bool of shape (n_pixels,), or None
        None where the label has no window.

    Raises
    ------
    ValueError
        If the window reaches beyond the spectrum.
    """
    if windows is None:
        windows = apogee_windows() if n_pixels == _N_APOGEE_PIXELS else {}
    names = list(windows)
    column = None if label_name is None else find_column(label_name, names)
    if column is None:
        return None
    pixels = np.asarray(windows[names[column]])
    if pixels.min() < 0 or pixels.max() >= n_pixels:
        raise ValueError(
            f"The window of {label_name} reaches pixels {pixels.min()} to {pixels.max()}, but the spectrum has "
            f"{n_pixels}. Pass windows on its grid."
        )
    mask = np.zeros(n_pixels, dtype=bool)
    mask[pixels] = True
    return mask


def shade_window(ax, panel, mask, *, color=ORANGE, text=None):
    """Shade the pixels of a window, from the bottom of the axes to the top.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    panel : Panel
        Its pixels.
    mask : ndarray of bool of shape (n_pixels,)
        Of the whole spectrum.
    color : str
        Of the shade.
    text : str, default=None
        In the legend.

    Returns
    -------
    shade : matplotlib.collections.PolyCollection
        A rectangle for each run of pixels.
    """
    steps = np.diff(np.concatenate([[0], mask[panel.pixels], [0]]).astype(int))
    first, last = panel.edges[np.flatnonzero(steps == 1)], panel.edges[np.flatnonzero(steps == -1)]
    runs = np.column_stack([first, last - first])
    # the line about each run keeps one of a pixel or two from vanishing
    look = {"facecolor": color, "edgecolor": color, "linewidth": 0.4, "alpha": 0.35, "zorder": 0.5, "label": text}
    return ax.broken_barh(runs, (0, 1), transform=ax.get_xaxis_transform(), **look)
