"""Element windows: the pixels from which the label of each element is read.

`apogee_windows` returns the windows of DR14. `ElementWindows` holds these or other windows on any grid.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._masked import refuse_masked

N_APOGEE_PIXELS = 7514
_MAX_LABELS_IN_REPR = 5


Widening = Mapping[str, tuple[int, int]]


class ElementWindows(Mapping[str, np.ndarray]):
    """Pixels from which each label is read, on one wavelength grid.

    This is a mapping from the name of a label to an ascending array of pixel indices. Windows may overlap.

    Parameters
    ----------
    pixels : mapping of str to array-like of int
        0-based pixel indices of each label.
    n_pixels : int
        Number of pixels of the grid.
    widening : mapping of str to (int, int), default=None
        Factors that multiply the widths of the two window layers of a label. Labels without an entry have (1, 1).

    Raises
    ------
    ValueError
        If a window is empty, a mask, or extends beyond the grid, or `widening` names a label without a window.

    See Also
    --------
    apogee_windows : The windows of APOGEE DR14.

    Examples
    --------
    >>> from skbcnn.survey import ElementWindows
    >>> windows = ElementWindows.from_runs({"Mg": [(3, 5), (8, 8)]}, n_pixels=10)
    >>> windows["Mg"]
    array([3, 4, 5, 8])
    >>> windows
    ElementWindows(Mg: 4 of 10 pixels)
    """

    def __init__(self, pixels: Mapping[str, ArrayLike], n_pixels: int, widening: Widening | None = None) -> None:
        self.n_pixels = _whole_number(n_pixels)
        self._pixels = {str(name): self._check_window(name, window) for name, window in _items(pixels)}
        self._widening = {str(name): _factors(name, factors) for name, factors in _items(widening or {}, "widening")}
        if unknown := set(self._widening) - set(self._pixels):
            raise ValueError(f"widening names {', '.join(sorted(unknown))}, but there is no such window.")

    def _check_window(self, name: str, window: ArrayLike) -> np.ndarray:
        """Return the pixels of a window in ascending order, read-only."""
        try:
            refuse_masked(window, f"The window of {name}", "Pass the numbers of its pixels only")
            window = np.asarray(window)
        except ValueError as error:
            if not str(error).startswith("setting an array element"):
                raise
            raise ValueError(
                f"The window of {name} has lists of different lengths in it, expected one list of pixel numbers."
            ) from error
        if window.size == 0:
            raise ValueError(f"The window of {name} has no pixel. Leave the label out of the windows instead.")
        if window.ndim != 1 or window.dtype.kind not in "iu":
            raise ValueError(
                f"The window of {name} is an array of shape {window.shape} and type {window.dtype}, expected one "
                "dimension of pixel numbers, such as [100] for one pixel. Pass boolean masks to "
                "ElementWindows.from_masks, spans of pixels to ElementWindows.from_runs, and wavelengths to "
                "ElementWindows.from_wavelengths."
            )
        pixels = np.unique(window)
        if len(window) > 2 and set(pixels.tolist()) <= {0, 1}:  # nobody lists the pixels 0 and 1 again and again
            raise ValueError(
                f"The window of {name} has {len(window)} values, all of them 0 or 1: a mask, but the numbers of "
                f"its pixels are expected. Pass ElementWindows.from_masks({{{name!r}: mask.astype(bool)}})."
            )
        if pixels[0] < 0 or pixels[-1] >= self.n_pixels:
            raise ValueError(
                f"The window of {name} has pixels {pixels[0]} to {pixels[-1]}, but the grid has pixels 0 to "
                f"{self.n_pixels - 1}. Make the windows on the grid of the spectra; pass wavelengths to "
                "ElementWindows.from_wavelengths."
            )
        pixels = pixels.astype(np.intp)
        pixels.flags.writeable = False
        return pixels

    @classmethod
    def from_runs(
        cls, runs: Mapping[str, Sequence[tuple[int, int]]], n_pixels: int, widening: Widening | None = None
    ) -> ElementWindows:
        """Create windows from runs of pixels.

        Parameters
        ----------
        runs : mapping of str to sequence of (int, int)
            First and last pixel of each run, both included and 0-based.
        n_pixels : int
            Number of pixels of the grid.
        widening : mapping of str to (int, int), default=None
            Factors on the widths of the window layers, as in the constructor.

        Returns
        -------
        windows : ElementWindows
        """
        pixels = {}
        for name, pairs in _runs(runs):
            if any(not isinstance(bound, Integral) for pair in pairs for bound in pair):
                raise ValueError(
                    f"The window of {name} has the runs {pairs[:3]}, expected numbers of pixels. Pass runs of "
                    "wavelength to ElementWindows.from_wavelengths."
                )
            pixels[name] = sorted({pixel for first, last in pairs for pixel in range(first, last + 1)})
        return cls(pixels, n_pixels, widening)

    @classmethod
    def from_wavelengths(
        cls,
        runs: Mapping[str, Sequence[tuple[float, float]]],
        wavelength: ArrayLike,
        widening: Widening | None = None,
    ) -> ElementWindows:
        """Create windows from runs of wavelength.

        Parameters
        ----------
        runs : mapping of str to sequence of (float, float)
            Shortest and longest wavelength of each run, both included, in the unit of `wavelength`.
        wavelength : array-like of shape (n_pixels,)
            Wavelength of each pixel. May be a Quantity; runs with units are converted to its unit.
        widening : mapping of str to (int, int), default=None
            Factors on the widths of the window layers, as in the constructor.

        Returns
        -------
        windows : ElementWindows

        Raises
        ------
        ValueError
            If no pixel has a wavelength of a window.
        """
        refuse_masked(wavelength, "wavelength", "Pass the wavelength of each pixel")
        unit = getattr(wavelength, "unit", None)
        grid = np.asarray(wavelength, dtype=float)
        if grid.ndim != 1:
            raise ValueError(f"wavelength has shape {grid.shape}, expected (n_pixels,): that of each pixel.")
        masks = {}
        for name, pairs in _runs(runs):
            bounds = [(_in_unit(name, low, unit), _in_unit(name, high, unit)) for low, high in pairs]
            masks[name] = np.logical_or.reduce(
                [(grid >= low) & (grid <= high) for low, high in bounds] or [np.zeros(len(grid), dtype=bool)]
            )
            if bounds and grid.size and not masks[name].any():
                raise ValueError(
                    f"The window of {name} has no pixel: its first run is {bounds[0]}, but the pixels of the grid have "
                    f"wavelengths from {grid.min():g} to {grid.max():g}{'' if unit is None else f' {unit}'}. Pass runs "
                    "in the unit of wavelength, which is Å for skbcnn.survey.wavelength()."
                )
        return cls({name: np.flatnonzero(mask) for name, mask in masks.items()}, len(grid), widening)

    @classmethod
    def from_masks(cls, masks: Mapping[str, ArrayLike], widening: Widening | None = None) -> ElementWindows:
        """Create windows from boolean masks.

        Parameters
        ----------
        masks : mapping of str to array-like of bool of shape (n_pixels,)
            True for the pixels from which the label is read.
        widening : mapping of str to (int, int), default=None
            Factors on the widths of the window layers, as in the constructor.

        Returns
        -------
        windows : ElementWindows
        """
        for name, mask in _items(masks, "masks"):
            refuse_masked(
                mask, f"The mask of {name}", "Pass True for each pixel of the window, and False for all others"
            )
        arrays = {name: np.asarray(mask) for name, mask in masks.items()}
        shapes = {mask.shape for mask in arrays.values()}
        if len(shapes) != 1 or any(mask.dtype != bool or mask.ndim != 1 for mask in arrays.values()):
            raise ValueError(
                f"The masks have shapes {sorted(shapes)} and types {sorted({str(m.dtype) for m in arrays.values()})}, "
                "expected one boolean for each pixel of the same grid. Pass arrays of one length and of type bool: "
                "mask.astype(bool)."
            )
        n_pixels = shapes.pop()[0]
        return cls({name: np.flatnonzero(mask) for name, mask in arrays.items()}, n_pixels, widening)

    def widening(self, name: str) -> tuple[int, int]:
        """Return the factors on the widths of the two window layers of a label.

        Parameters
        ----------
        name : str
            Name of a label with a window.

        Returns
        -------
        factors : tuple of (int, int)
        """
        return self._widening.get(name, (1, 1))

    def mask(self, name: str) -> np.ndarray:
        """Return the window of a label as a boolean mask.

        Parameters
        ----------
        name : str
            Name of a label with a window.

        Returns
        -------
        mask : ndarray of bool of shape (n_pixels,)
            True inside the window.
        """
        mask = np.zeros(self.n_pixels, dtype=bool)
        mask[self[name]] = True
        return mask

    def __getitem__(self, name: str) -> np.ndarray:
        return self._pixels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pixels)

    def __len__(self) -> int:
        return len(self._pixels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ElementWindows):
            return NotImplemented
        return (
            self.n_pixels == other.n_pixels
            and list(self) == list(other)
            and all(np.array_equal(self[name], other[name]) for name in self)
            and all(self.widening(name) == other.widening(name) for name in self)
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple:
        """Call the constructor for copies and pickles, so that their arrays are read-only, too."""
        return type(self), (self._pixels, self.n_pixels, self._widening)

    def __repr__(self) -> str:
        sizes = [f"{name}: {len(pixels)}" for name, pixels in self.items()] or ["none"]
        if len(sizes) > _MAX_LABELS_IN_REPR:
            sizes = [*sizes[:_MAX_LABELS_IN_REPR], f"... {len(sizes)} labels"]
        return f"ElementWindows({', '.join(sizes)} of {self.n_pixels} pixels)"


def _parse_runs(text: str) -> list[tuple[int, int]]:
    """Return the pixel runs of one line of the table: '16-57 219' means pixels 16 to 57, and 219."""
    bounds = (run.split("-") for run in text.split())
    return [(int(bound[0]), int(bound[-1])) for bound in bounds]


def _items(values: Mapping[str, Any], argument: str = "windows") -> Iterable[tuple[str, Any]]:
    """Return the entries of a mapping from the names of labels."""
    if not isinstance(values, Mapping) and not hasattr(values, "items"):
        raise TypeError(f"{argument} is a {type(values).__name__}, expected a dict from the name of each label.")
    return values.items()


def _runs(runs: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[Any, Any]]]]:
    """Yield the name and the checked runs of each window."""
    for name, pairs in _items(runs, "runs"):
        try:
            checked = [(first, last) for first, last in pairs]
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The window of {name} is {pairs!r}, expected a list of runs. Pass [(first, last), ...] even for one."
            ) from error
        if reversed_runs := [pair for pair in checked if pair[0] > pair[1]]:
            raise ValueError(
                f"The window of {name} has a run that ends before it starts: {reversed_runs[0]}. Pass its first "
                "end and then its last."
            )
        yield name, checked


def _in_unit(name: str, bound: Any, unit: Any) -> float:
    """Return one end of a run in the unit of the wavelengths."""
    if not hasattr(bound, "unit"):
        return float(bound)
    if unit is None:
        raise ValueError(
            f"The runs of {name} have the unit {str(bound.unit)!r}, but wavelength has none. Pass both with units, or "
            "both as numbers."
        )
    return float(bound.to_value(unit))


def _whole_number(n_pixels: Any) -> int:
    """Return a number of pixels as an integer."""
    if not isinstance(n_pixels, Integral) or n_pixels < 1:
        raise ValueError(f"n_pixels={n_pixels!r}, expected the number of pixels of a spectrum.")
    return int(n_pixels)


def _factors(name: str, widening: Sequence[int]) -> tuple[int, int]:
    """Return the two factors on the widths of the window layers as integers."""
    factors = tuple(widening) if isinstance(widening, Iterable) else (widening,)
    if len(factors) != 2 or not all(isinstance(factor, Integral) and factor >= 1 for factor in factors):
        raise ValueError(f"widening of {name} is {widening!r}, expected two factors of at least 1, as whole numbers.")
    return int(factors[0]), int(factors[1])


@cache
def apogee_windows() -> ElementWindows:
    """Return the element windows of ASPCAP for DR14, on the 7514-pixel grid.

    Returns
    -------
    windows : ElementWindows
        Windows of 25 labels: the 20 abundances among the labels of the DR14 network, and Cu, Ge, Rb, Y and Nd. Carbon
        and nitrogen are read from molecular bands, so their two window layers are 8 and 4 times as wide.

    References
    ----------
    .. [1] García Pérez et al. (2016), AJ 151, 144, section 5.
    .. [2] Leung & Bovy (2019), MNRAS 483, 3255, figure 6, for the widths.

    Examples
    --------
    >>> from skbcnn.survey import apogee_windows
    >>> windows = apogee_windows()
    >>> len(windows["Al"]), windows.widening("C")
    (51, (8, 4))
    """
    table = files("skbcnn.survey") / "tables" / "element_windows_dr14.csv"
    with table.open() as lines:
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    widening = {row["label"]: (int(row["wider_1"]), int(row["wider_2"])) for row in rows}
    return ElementWindows.from_runs(
        {row["label"]: _parse_runs(row["pixels"]) for row in rows}, N_APOGEE_PIXELS, widening
    )
