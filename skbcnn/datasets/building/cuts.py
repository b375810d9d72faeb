"""Selection of the stars of a training set by columns of the survey's table."""

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import numpy as np

from skbcnn.datasets.building.tables import StarTable
from skbcnn.survey.releases import DUPLICATE_BIT


@dataclass(frozen=True)
class Cuts:
    """Limits that a star must meet to be in a training set. The defaults are those of Leung & Bovy (2019).

    None switches a limit off. Columns of SDSS-V that correspond: ``spectrum_flags`` to ``STARFLAG``, ``result_flags``
    and ``flag_bad`` to ``ASPCAPFLAG``, and ``std_v_rad`` to ``VSCATTER``. A limit on a column that the table lacks is
    left out, with a note.

    Parameters
    ----------
    min_teff, max_teff : float or None, default=4000, 5500
        Teff in K. Both are excluded, as all limits are.
    min_snr, max_snr : float or None, default=200, None
        Signal-to-noise ratio per pixel of the combined spectrum.
    max_vscatter : float or None, default=1
        Scatter of the radial velocities of the visits, in km/s. Stars for which it is unknown pass.
    min_fe_h : float or None, default=-10000
        [Fe/H] in dex. With the default, stars pass for which it is missing (-9999).
    min_location_id : float or None, default=1
        ``LOCATION_ID``; 1 marks stars of the 1-m telescope.
    starflag, aspcapflag : {"zero", "any"}, default="zero"
        Whether ``STARFLAG`` and ``ASPCAPFLAG`` must be 0.

    References
    ----------
    .. [1] Leung & Bovy (2019), MNRAS 483, 3255, section 3.1.

    Examples
    --------
    >>> from skbcnn.datasets.building import Cuts
    >>> Cuts(min_snr=100, max_vscatter=None).min_snr
    100
    """

    min_teff: float | None = 4000
    max_teff: float | None = 5500
    min_snr: float | None = 200
    max_snr: float | None = None
    max_vscatter: float | None = 1
    min_fe_h: float | None = -10000
    min_location_id: float | None = 1
    starflag: str = "zero"
    aspcapflag: str = "zero"

    def __post_init__(self) -> None:
        for name in ("starflag", "aspcapflag"):
            if getattr(self, name) not in ("zero", "any"):
                raise ValueError(f"{name}={getattr(self, name)!r}, expected 'zero' or 'any'.")
        for limit in _LIMITS:
            bound = getattr(self, limit.parameter)
            if bound is not None and (not isinstance(bound, Real) or math.isnan(bound)):
                raise ValueError(f"{limit.parameter}={bound!r}, expected a number, or None to switch the limit off.")
        for name, text in (("teff", "Teff"), ("snr", "S/N")):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low is not None and high is not None and low >= high:
                raise ValueError(f"min_{name}={low} is not below max_{name}={high}: no star has such a {text}.")


class _Limit(NamedTuple):
    """A limit on a quantity of the stars."""

    parameter: str
    quantity: str
    is_label: bool
    passes: Callable[[np.ndarray, float], np.ndarray]
    words: str
    missing_passes: bool = False


_LIMITS = (
    _Limit("min_teff", "teff", True, operator.gt, "Teff is not above"),
    _Limit("max_teff", "teff", True, operator.lt, "Teff is not below"),
    _Limit("min_snr", "snr", False, operator.gt, "S/N is not above"),
    _Limit("max_snr", "snr", False, operator.lt, "S/N is not below"),
    _Limit("max_vscatter", "vscatter", False, operator.lt, "scatter of velocities is not below", missing_passes=True),
    _Limit("min_fe_h", "Fe", True, operator.gt, "[Fe/H] is not above"),
    _Limit("min_location_id", "location_id", False, operator.gt, "LOCATION_ID is not above"),
)


class Rejection(NamedTuple):
    """Stars that one rule leaves out.

    Attributes
    ----------
    reason : str
        Why, in words.
    rows : ndarray of bool of shape (n_rows,)
        Rows of the table.
    """

    reason: str
    rows: np.ndarray


def rejections(table: StarTable, cuts: Cuts, labels: dict[str, np.ndarray]) -> Iterator[Rejection]:
    """Yield the stars that are left out, rule by rule.

    Parameters
    ----------
    table : StarTable
        Table of stars. Columns that it lacks are noted in its `notes`.
    cuts : Cuts
        The limits.
    labels : dict of str to ndarray of shape (n_rows,)
        Values of the labels before flagged ones are left out, by canonical names.

    Yields
    ------
    rejection : Rejection
    """
    duplicates = find_duplicates(table)
    if duplicates is None:
        table.notes.append("The table has no EXTRATARG, so no row is left out as a duplicate of another.")
    else:
        yield duplicates
    for parameter in ("starflag", "aspcapflag"):
        if getattr(cuts, parameter) == "zero":
            flagged = table.flags(parameter)
            columns = " or ".join(table.release.columns[parameter])
            if flagged is None:
                table.notes.append(f"The table has no {columns}, so the cut {parameter} is left out.")
            else:
                yield Rejection(f"{columns} is not 0", flagged)
    for limit in _LIMITS:
        bound = getattr(cuts, limit.parameter)
        if bound is None:
            continue
        values = _values(table, limit, labels)
        if values is None:
            table.notes.append(f"The table has no {_column(table, limit)}, so the cut {limit.parameter} is left out.")
            continue
        passes = limit.passes(values, bound)
        if limit.missing_passes:
            passes |= np.isnan(values)
        yield Rejection(f"{limit.words} {bound:g}", ~passes)


def find_duplicates(table: StarTable) -> Rejection | None:
    """Find the rows of stars whose main spectrum has another row.

    Parameters
    ----------
    table : StarTable
        Table of stars.

    Returns
    -------
    rejection : Rejection or None
        None if the table lacks EXTRATARG, which marks them.
    """
    if table.find("extratarg") is None:
        return None
    targeting = np.nan_to_num(table.numbers("extratarg")).astype(np.int64)
    is_duplicate = targeting & (1 << DUPLICATE_BIT) != 0
    return Rejection(f"duplicate of another row (EXTRATARG bit {DUPLICATE_BIT})", is_duplicate)


def _values(table: StarTable, limit: _Limit, labels: dict[str, np.ndarray]) -> np.ndarray | None:
    if limit.is_label:
        return labels.get(limit.quantity)
    return None if table.find(limit.quantity) is None else table.numbers(limit.quantity)


def _column(table: StarTable, limit: _Limit) -> str:
    return " or ".join(table.release.columns.get(limit.quantity, (limit.quantity.upper(),)))
