"""Figures as images within a page, the same bytes for the same figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 144  # of the parts of a figure that are pixels
_MANY = 300  # elements of a line or a collection that is drawn as pixels
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "skbcnn", "svg.fonttype": "path"}  # the same everywhere
_PLAIN = " !$()*+,-./:;=?@[]^_`{|}~"  # letters that mean nothing in a URI of data
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def data_uri(figure: Figure) -> str:
    """Return a figure as an SVG image in a data URI, in which long lines and many points are pixels.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure to encode.

    Returns
    -------
    uri : str
        Begins with ``data:image/svg+xml,``. It is not in base64, in which the pixels within the SVG are already.
    """
    import matplotlib

    _rasterize(figure)
    buffer = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(buffer, format="svg", dpi=_DPI, metadata=_NO_METADATA)
    return "data:image/svg+xml," + quote(" ".join(buffer.getvalue().decode().split()), safe=_PLAIN)


def _rasterize(figure: Figure) -> None:
    """Mark artists with many elements, which would take much space as vectors."""
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D

    for line in figure.findobj(Line2D):
        if len(np.asarray(line.get_xdata())) > _MANY:
            line.set_rasterized(True)
    for collection in figure.findobj(Collection):
        paths = collection.get_paths()
        if max(len(paths), sum(len(path) for path in paths)) > _MANY:
            collection.set_rasterized(True)
