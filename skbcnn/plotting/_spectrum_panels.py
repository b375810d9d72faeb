"""Panels of figures along the spectrum: one for each chip of APOGEE, with the windows of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skbcnn.plotting._axes import several_axes
from skbcnn.plotting._label_inputs import find_column
from skbcnn.plotting._style import GREY, ORANGE, PAGE_WIDTH
from skbcnn.survey import apogee_windows, chip_slices, wavelength

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

    from skbcnn.survey import ElementWindows

_MARGIN_HEIGHT, _PANEL_HEIGHT = 0.6, 1.4  # inches
_AROUND = 15  # pixels on both sides of a part of a window
_MAX_PARTS, _PARTS_IN_A_ROW = 6, 3  # of a window
_N_APOGEE_PIXELS = len(wavelength())


class Panel(NamedTuple):
    """Part of a spectrum that is drawn in one panel.

    Attributes
    ----------
    name : str
        Name of the chip; empty for a spectrum that is not divided.
    pixels : slice
        Pixels in the panel.
    positions : ndarray of shape (n_pixels,)
        Position of each pixel along the axis: its wavelength in Angstrom, or its number.
    """

    name: str
    pixels: slice
    positions: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """Edges of the pixels along the axis: ndarray of shape (n_pixels + 1,)."""
        positions = self.positions
        if len(positions) == 1:
            return positions[0] + np.array([-0.5, 0.5])
        middles = (positions[1:] + positions[:-1]) / 2
        return np.concatenate([[2 * positions[0] - middles[0]], middles, [2 * positions[-1] - middles[-1]]])


def spectrum_panels(n_pixels: int) -> tuple[list[Panel], str]:
    """Return the panels of a spectrum: one for each chip of APOGEE's 7514 pixels, a single one for other spectra.

    Parameters
    ----------
    n_pixels : int
        Number of pixels of the spectrum.

    Returns
    -------
    panels : list of Panel
    text : str
        Label of the axis along the spectrum.

    Examples
    --------
    >>> from skbcnn.plotting._spectrum_panels import spectrum_panels
    >>> [panel.name for panel in spectrum_panels(7514)[0]], spectrum_panels(40)[1]
    (['blue', 'green', 'red'], 'Pixel')
    """
    if n_pixels != _N_APOGEE_PIXELS:
        return [Panel("", slice(0, n_pixels), np.arange(n_pixels))], "Pixel"
    waves = wavelength()
    return [Panel(name, pixels, waves[pixels]) for name, pixels in chip_slices().items()], "Vacuum wavelength (Å)"


def window_panels(mask: np.ndarray) -> list[Panel]:
    """Return panels around the parts of a window with most pixels, in their order along the spectrum.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_pixels,)
        Window, with at least one pixel.

    Returns
    -------
    panels : list of Panel
        At most six. Parts of the window that are near each other share a panel.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.plotting._spectrum_panels import window_panels
    >>> [panel.pixels for panel in window_panels(np.isin(np.arange(200), [20, 24, 150]))]
    [slice(5, 40, None), slice(135, 166, None)]
    """
    found = []
    for chip in spectrum_panels(len(mask))[0]:
        pixels = chip.pixels.start + np.flatnonzero(mask[chip.pixels])
        parts = np.split(pixels, np.flatnonzero(np.diff(pixels) > _AROUND) + 1)
        for part in filter(len, parts):
            start = max(int(part[0]) - _AROUND, chip.pixels.start)
            stop = min(int(part[-1]) + _AROUND + 1, chip.pixels.stop)
            positions = chip.positions[start - chip.pixels.start : stop - chip.pixels.start]
            found.append((len(part), Panel("", slice(start, stop), positions)))
    largest = sorted(found, key=lambda part: -part[0])[:_MAX_PARTS]
    return sorted((panel for _, panel in largest), key=lambda panel: panel.pixels.start)


def window_axes(ax: Axes | Sequence[Axes] | None, panels: Sequence[Panel], text: str) -> np.ndarray:
    """Return axes for the parts of a window, up to three in a row.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, sequence of these, or None
        Argument of the user, as in `several_axes`.
    panels : sequence of Panel
        From `window_panels`.
    text : str
        Label of the axis along the spectrum, from `spectrum_panels`.

    Returns
    -------
    axes : ndarray of matplotlib.axes.Axes of shape (n_panels,)
    """
    from matplotlib.ticker import MaxNLocator

    n_columns = min(_PARTS_IN_A_ROW, len(panels))
    n_rows = -(-len(panels) // n_columns)
    several = ax is not None and np.size(np.array(ax, dtype=object)) > 1
    shape = (1, len(panels)) if several else (n_rows, n_columns)
    axes = several_axes(ax, (PAGE_WIDTH, _MARGIN_HEIGHT + 1.2 * _PANEL_HEIGHT * n_rows), *shape)
    for panel_ax in axes[len(panels) :]:
        panel_ax.remove()
    axes = axes[: len(panels)]
    for panel_ax, panel in zip(axes, panels, strict=True):
        panel_ax.set_xlim(panel.edges[[0, -1]])
        panel_ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10], integer=True))
        panel_ax.ticklabel_format(axis="x", useOffset=False)
    axes[n_columns * (n_rows - 1) + (len(panels) - n_columns * (n_rows - 1)) // 2].set_xlabel(text)
    return axes


def spectrum_axes(ax: Axes | Sequence[Axes] | None, n_pixels: int) -> np.ndarray:
    """Return the axes of the panels of a spectrum, one above the other, with limits and labels along the spectrum.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, sequence of these, or None
        Argument of the user, as in `several_axes`.
    n_pixels : int
        Number of pixels of the spectrum.

    Returns
    -------
    axes : ndarray of matplotlib.axes.Axes of shape (n_panels,)
        Axes of `spectrum_panels`.
    """
    panels, text = spectrum_panels(n_pixels)
    axes = several_axes(ax, (PAGE_WIDTH, _MARGIN_HEIGHT + _PANEL_HEIGHT * len(panels)), n_rows=len(panels))
    for panel_ax, panel in zip(axes, panels, strict=True):
        panel_ax.set_xlim(panel.edges[[0, -1]])
        if panel.name:
            panel_ax.text(1.01, 0.5, panel.name, transform=panel_ax.transAxes, rotation=270, va="center", color=GREY)
    axes[-1].set_xlabel(text)
    return axes


def window_mask(
    label_name: str | None, windows: ElementWindows | Mapping[str, ArrayLike] | None, n_pixels: int
) -> np.ndarray | None:
    """Return the window of a label as a mask of pixels.

    Parameters
    ----------
    label_name : str or None
        Any spelling of the label.
    windows : ElementWindows, mapping of str to array-like of int, or None
        Pixels of the window of each label. None: the windows of APOGEE for its 7514 pixels, none for other spectra.
    n_pixels : int
        Number of pixels of the spectrum.

    Returns
    -------
    mask : ndarray of bool of shape (n_pixels,), or None
        None if the label has no window.

    Raises
    ------
    ValueError
        If the window has pixels outside the spectrum.
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
            f"The window of {label_name} has pixels {pixels.min()} to {pixels.max()}, but the spectrum has {n_pixels} "
            "pixels. Pass windows on the grid of the spectrum."
        )
    mask = np.zeros(n_pixels, dtype=bool)
    mask[pixels] = True
    return mask


def shade_window(
    ax: Axes, panel: Panel, mask: np.ndarray, *, color: str = ORANGE, text: str | None = None
) -> PolyCollection:
    """Shade the pixels of a window from the bottom to the top of the axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes of the panel.
    panel : Panel
        Part of the spectrum in the axes.
    mask : ndarray of bool of shape (n_pixels,)
        Window on the whole spectrum, from `window_mask`.
    color : str
        Colour of the shading.
    text : str, default=None
        Text in the legend.

    Returns
    -------
    shading : matplotlib.collections.PolyCollection
        A rectangle for each run of adjacent pixels.
    """
    steps = np.diff(np.concatenate([[0], mask[panel.pixels], [0]]).astype(int))
    first, last = panel.edges[np.flatnonzero(steps == 1)], panel.edges[np.flatnonzero(steps == -1)]
    return ax.broken_barh(
        list(zip(first, last - first, strict=True)),
        (0, 1),
        transform=ax.get_xaxis_transform(),
        facecolor=color,
        edgecolor=color,
        linewidth=0.4,  # without an edge, runs of one or two pixels would be invisible
        alpha=0.35,
        zorder=0.5,
        label=text,
    )
