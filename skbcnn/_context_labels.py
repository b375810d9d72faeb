"""Context labels: combinations of the labels, such as [alpha/Fe], that tell the windows what else absorbs in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from skbcnn.network.training_recipe import Stars

_ALPHA = ("O", "Mg", "Si", "S", "Ca", "Ti")  # those of [alpha/M] in ASPCAP: Garcia Perez et al. (2016), section 4.2

APOGEE_CONTEXT: Mapping[str, Mapping[str, float]] = {
    "alpha": {**dict.fromkeys(_ALPHA, 1 / len(_ALPHA)), "Fe": -1.0},
    "C": {"C": 1.0, "Fe": -1.0},
    "N": {"N": 1.0, "Fe": -1.0},
    "O": {"O": 1.0, "Fe": -1.0},
}
"""Combinations of abundances by name: [alpha/Fe], [C/Fe], [N/Fe] and [O/Fe]; CO, CN and OH blend with most windows."""


def context_weights(
    context_labels: Iterable[Any] | None,
    label_names: Sequence[str],
    known: Mapping[str, Mapping[str, float]] | None = None,
    canonical: Callable[[str], str] = str,
) -> np.ndarray:
    """Return the weights of the labels in each context label that a parameter describes.

    Parameters
    ----------
    context_labels : iterable of str or of mapping of str to float, or None
        Parameter of the regressor: "auto", names of known combinations, or weights by label.
    label_names : sequence of str
        Names of all labels.
    known : mapping of str to mapping, default=None
        Combinations that have a name; "auto" means all of them. Labels of them may be absent: positive weights of
        absent labels are left out, and so is a combination without any of them, or without one of negative weight.
    canonical : callable, default=str
        Function that returns the name of a label from any spelling.

    Returns
    -------
    weights : ndarray of shape (n_context, n_labels)

    Raises
    ------
    ValueError
        If an entry is neither a known name nor a mapping of finite weights, or its labels are not predicted.
    """
    known = known or {}
    is_auto = isinstance(context_labels, str) and context_labels == "auto"
    entries: Iterable[Any] = known if is_auto else context_labels or ()
    if isinstance(entries, str) or (isinstance(entries, Mapping) and not is_auto):
        entries = [entries]
    rows = []
    for entry in entries:
        is_known = isinstance(entry, str) and entry in known
        combination = known[entry] if is_known else _checked_weights(entry, known, canonical)
        absent = [name for name in combination if name not in label_names]
        if absent and not is_known:
            raise ValueError(
                f"context_labels names {', '.join(absent)}, but the labels are {', '.join(label_names)}. Combine these."
            )
        has_positive = any(weight > 0 and name in label_names for name, weight in combination.items())
        if has_positive and all(combination[name] > 0 for name in absent):
            rows.append([combination.get(name, 0.0) for name in label_names])
    return np.array(rows).reshape(-1, len(label_names))


def _checked_weights(entry: Any, known: Iterable[str], canonical: Callable[[str], str]) -> dict[str, float]:
    """Return checked weights by the names of labels."""
    values = list(entry.values()) if isinstance(entry, Mapping) else []
    are_numbers = all(isinstance(v, Real) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not are_numbers or not any(value > 0 for value in values):
        expected = [*map(repr, known), "finite weights by label, one of them positive, such as {'Mg': 1, 'Fe': -1}"]
        raise ValueError(f"context_labels has {entry!r}, expected {' or '.join(expected)}.")
    return {canonical(name): float(weight) for name, weight in entry.items()}


def context_values(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute context labels.

    Parameters
    ----------
    y : ndarray of shape (n, n_labels)
        Labels, NaN where missing.
    weights : ndarray of shape (n_context, n_labels)
        Result of `context_weights`. If a label of positive weight is missing, those of the others are scaled up.

    Returns
    -------
    values : ndarray of shape (n, n_context)
        NaN where all labels of positive weight are missing, or one of negative weight.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._context_labels import context_values
    >>> context_values(np.array([[0.2, 0.4, 0.1], [0.2, np.nan, 0.1]]), np.array([[0.5, 0.5, -1.0]])).round(3)
    array([[0.2],
           [0.1]])
    """
    plus, minus = weights.clip(min=0), weights.clip(max=0)
    is_missing = np.isnan(y)
    filled = np.where(is_missing, 0.0, y)
    values = filled @ plus.T * _scaling_up(is_missing, plus) + filled @ minus.T
    return np.where(is_missing @ -minus.T > 0, np.nan, values)


def context_errors(y: np.ndarray, y_err: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the errors of context labels.

    Parameters
    ----------
    y, y_err : ndarray of shape (n, n_labels)
        Labels, NaN where missing, and their errors.
    weights : ndarray of shape (n_context, n_labels)
        Result of `context_weights`.

    Returns
    -------
    errors : ndarray of shape (n, n_context)
        Errors of the result of `context_values`; NaN where all labels of positive weight are missing.
    """
    plus, minus = weights.clip(min=0), weights.clip(max=0)
    is_missing = np.isnan(y)
    variance = np.where(is_missing, 0.0, y_err) ** 2
    return np.sqrt(variance @ (plus**2).T * _scaling_up(is_missing, plus) ** 2 + variance @ (minus**2).T)


def _scaling_up(is_missing: np.ndarray, plus: np.ndarray) -> np.ndarray:
    """Return the factor on the positive weights of each star that replaces those of missing labels; NaN for none."""
    found = ~is_missing @ plus.T
    return np.divide(plus.sum(axis=1), found, out=np.full(found.shape, np.nan), where=found > 0)


def describe_context(y: np.ndarray, weights: np.ndarray, label_names: Sequence[str]) -> list[dict[str, Any]]:
    """Describe context labels and their distribution.

    Parameters
    ----------
    y : ndarray of shape (n, n_labels)
        Labels of the training stars, NaN where missing.
    weights : ndarray of shape (n_context, n_labels)
        Result of `context_weights`.
    label_names : sequence of str
        Names of the labels.

    Returns
    -------
    context_labels : list of dict
        Entries ``weights`` (by label), ``mean`` and ``std`` of each context label. ``std`` is 1 where there are no two
        different values.
    """
    described = []
    for row, column in zip(weights.tolist(), context_values(y, weights).T, strict=True):
        values = column[~np.isnan(column)]
        mean, std = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
        named = {name: weight for name, weight in zip(label_names, row, strict=True) if weight}
        described.append({"weights": named, "mean": mean, "std": std or 1.0})
    return described


def with_context_labels(
    normalized: Stars, stars: Stars, weights: np.ndarray, context_labels: Sequence[Mapping[str, Any]]
) -> Stars:
    """Return stars whose labels are followed by context labels.

    Parameters
    ----------
    normalized : Stars
        Stars with normalised labels.
    stars : Stars
        The same stars with labels in their own units.
    weights : ndarray of shape (n_context, n_labels)
        Result of `context_weights`.
    context_labels : sequence of mapping
        Result of `describe_context`, by which they are normalised.

    Returns
    -------
    stars : Stars
        Normalised stars with further columns in `y` and `y_err`.
    """
    if len(weights) == 0:
        return normalized
    mean, spread = (np.array([entry[name] for entry in context_labels]) for name in ("mean", "std"))
    y = np.hstack([normalized.y, (context_values(stars.y, weights) - mean) / spread])
    if normalized.y_err is None or stars.y_err is None:
        return normalized._replace(y=y)
    errors = context_errors(stars.y, stars.y_err, weights) / spread
    return normalized._replace(y=y, y_err=np.hstack([normalized.y_err, errors]))
