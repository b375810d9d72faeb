"""How strongly training spectra are varied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """Amplitudes of the effects by which training spectra are varied, drawn anew for each spectrum and epoch.

    Networks are trained on combined spectra and predict single visits, which differ from them by more than noise. A
    network that has met these differences in training is not biased by them.

    Parameters
    ----------
    noise : tuple of (float, float), default=(0.0, 4.0)
        Smallest and largest noise to add, in flux errors.
    shift : float, default=0.2
        Standard deviation of the shift, in pixels: residual radial velocity. Shifts beyond 4 standard deviations are
        cut off. At most 50.
    broadening : float, default=1.0
        Largest variance by which the line-spread function is broadened, in pixels squared. Half of the spectra are
        broadened, by a variance drawn uniformly from 0; lines of the others stay as deep as in combined spectra, which
        the network must not mistake for abundance. At most 2.
    continuum : tuple of (float, float, float), default=(0.004, 0.004, 0.004)
        Standard deviations of the constant, the slope and the curvature of the continuum error on each chip: of the
        coefficients of Legendre polynomials, in units of the continuum.
    bad_pixels : float, default=0.03
        Mean share of bad pixels. The share of each spectrum is drawn uniformly from 0 to twice this value. Pixels that
        are already bad count. The others are set to 1, as the normalisation sets bad pixels, in runs of 1 to 5 pixels,
        until the share is reached. At most 0.4.
    pairs : float, default=3.0
        Largest factor k of extrapolated pairs. Half of the spectra x_i are replaced by ``x_i + k (x_i - x_j)`` and
        their labels likewise, where j is a star with similar context labels. 0: none.
    separate_windows : bool, default=True
        Whether each narrow window and its label have a factor of their own. This breaks the correlation between
        labels; one common factor only stretches it.
    rare_labels : float, default=3.0
        Largest weight in the loss of a label that is rare among stars with similar context labels: one that departs by
        r standard deviations from its usual value weighs ``exp(r**2 / 4)``, up to this. A network otherwise draws
        labels that it cannot measure well towards their usual values. 1: equal weights.

    Examples
    --------
    >>> from skbcnn.augmentation import Augmentation
    >>> Augmentation(shift=0.1).shift, Augmentation().bad_pixels
    (0.1, 0.03)
    """

    noise: tuple[float, float] = (0.0, 4.0)
    shift: float = 0.2
    broadening: float = 1.0
    continuum: tuple[float, float, float] = (0.004, 0.004, 0.004)
    bad_pixels: float = 0.03
    pairs: float = 3.0
    separate_windows: bool = True
    rare_labels: float = 3.0

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if not _is_number(value) or value > largest:
                raise ValueError(f"{name}={value!r}, expected a number of at least 0 and at most {largest:g}.")
        for name, n in (("noise", 2), ("continuum", 3)):
            given = getattr(self, name)
            values = tuple(given) if isinstance(given, tuple | list) or getattr(given, "ndim", 0) == 1 else ()
            if len(values) != n or not all(map(_is_number, values)):
                raise ValueError(f"{name}={given!r}, expected {n} finite numbers, at least 0, such as {_USUAL[name]}.")
            object.__setattr__(self, name, tuple(map(float, values)))
        if self.rare_labels < 1:
            raise ValueError(f"rare_labels={self.rare_labels!r}, expected a weight of at least 1.")
        if self.noise[0] > self.noise[1]:
            raise ValueError(f"noise={self.noise!r}, expected the smallest noise first, then the largest.")
        if not isinstance(self.separate_windows, bool | np.bool_):
            raise ValueError(f"separate_windows={self.separate_windows!r}, expected True or False.")

    @classmethod
    def of(cls, value: Any) -> Augmentation | None:
        """Return an augmentation given as an object or as a mapping of its parameters.

        Parameters
        ----------
        value : Augmentation, mapping of str to object, or None
            Amplitudes. A mapping names those that differ from the defaults.

        Returns
        -------
        augmentation : Augmentation or None

        Raises
        ------
        ValueError
            If it is none of these, the mapping has unknown names, or a value cannot be used.
        """
        if value is None or isinstance(value, Augmentation):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"augmentation={value!r}, expected an Augmentation, a mapping of its parameters, or None.")
        names = [field.name for field in fields(cls)]
        if unknown := [name for name in value if name not in names]:
            raise ValueError(f"augmentation has no {', '.join(map(repr, unknown))}, only {', '.join(names)}.")
        try:
            return cls(**value)
        except ValueError as error:
            raise ValueError(f"augmentation has {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the amplitudes by name.

        Returns
        -------
        amplitudes : dict
        """
        return asdict(self)


# Broader kernels would need more passes. Shifts beyond these are no residual velocities. All pixels bad tell nothing.
_LARGEST = {"shift": 50.0, "broadening": 2.0, "bad_pixels": 0.4, "pairs": 100.0, "rare_labels": 1000.0}
_USUAL = {"noise": (0, 4), "continuum": (0.004, 0.004, 0.004)}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < float("inf")
