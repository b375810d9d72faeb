"""Create figures without pyplot, and write figures to files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from skbcnn._atomic_writes import atomic_path
from skbcnn._optional_dependencies import require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Create a figure that pyplot does not manage.

    The figure opens no window, needs no display, and is freed with its last reference.

    Parameters
    ----------
    width, height : float
        Size of the figure in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Empty figure with constrained layout.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is not installed.

    Examples
    --------
    >>> from skbcnn.plotting import new_figure
    >>> new_figure(7, 4.5).get_size_inches()
    array([7. , 4.5])
    """
    require_extra("plot", "A picture")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: float = 150) -> Path:
    """Write a figure to a file, which appears when it is complete.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure to write.
    path : str or path-like
        File name. Its suffix gives the format: ``.png``, ``.pdf`` or any other that matplotlib writes. An existing
        file is replaced.
    dpi : float, default=150
        Resolution in dots per inch.

    Returns
    -------
    path : pathlib.Path
        Path of the file.

    Raises
    ------
    ValueError
        If matplotlib does not know the format.
    OSError
        If the file cannot be written. An existing file then stays as it was.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path
