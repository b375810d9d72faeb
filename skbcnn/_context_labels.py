"""Context labels: combinations of the labels, such as [alpha/Fe], that tell the windows what else absorbs in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from skbcnn.network.training_recipe import Stars

_ALPHA = ("O", "Mg", "Si", "S", "Ca", "Ti")  # those of [alpha/M] in ASPCAP: Garcia Perez et al. (2016), section 4.2

APOGEE_CONTEXT: Mapping[str, Mapping[str, float]] = {
    "alpha": {**dict.fromkeys(_ALPHA, 1 / len(_ALPHA)), "Fe": -1.0},
    "C": {"C": 1.0, "Fe": -1.0},
    "N": {"N": 1.0, "Fe": -1.0},
}
"""Combinations of abundances by name: [alpha/Fe], [C/Fe] and [N/Fe]."""


def context_combinations(
    context_labels: Iterable[Any] | None, known: Mapping[str, Mapping[str, float]] | None = None
) -> list[Mapping[str, float]]:
    """Return the combinations that the parameter of a regressor describes.

    Parameters
    ----------
    context_labels : iterable of str or of mapping of str to float, or None
        Parameter of the regressor: names of known combinations, or weights by label.
    known : mapping of str to mapping, default=None
        Combinations that have a name.

    Returns
    -------
    combinations : list of mapping of str to float

    Raises
    ------
    ValueError
        If a name is unknown, or an entry is neither a name nor a mapping of weights.
    """
    known = known or {}
    if isinstance(context_labels, str) and context_labels == "auto":
        return list(known.values())
    combinations = []
    for entry in [context_labels] if isinstance(context_labels, str | Mapping) else context_labels or ():
        combination = known.get(entry) if isinstance(entry, str) else entry
        if not isinstance(combination, Mapping) or not any(weight > 0 for weight in combination.values()):
            raise ValueError(
                f"context_labels has {entry!r}, expected {' or '.join(map(repr, known)) or 'weights by label'}"
                ", such as {'Mg': 1, 'Fe': -1}, with a positive weight."
            )
        combinations.append(combination)
    return combinations


def context_weights(combinations: Sequence[Mapping[str, float]], label_names: Sequence[str]) -> np.ndarray:
    """Return the weights of the labels in each context label that can be computed from them.

    Parameters
    ----------
    combinations : sequence of mapping of str to float
        Weights by label. Positive weights of labels that are not predicted are left out.
    label_names : sequence of str
        Names of all labels.

    Returns
    -------
    weights : ndarray of shape (n_context, n_labels)
        A row for each combination that has a label of positive weight and all labels of negative weight.
    """
    rows = []
    for combination in combinations:
        needed = {name for name, weight in combination.items() if weight < 0}
        known = [weight for name, weight in combination.items() if weight > 0 and name in label_names]
        if known and needed <= set(label_names):
            rows.append([combination.get(name, 0.0) for name in label_names])
    return np.array(rows).reshape(-1, len(label_names))


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
    present = ~np.isnan(y)
    filled = np.where(present, y, 0.0)
    plus, minus = weights.clip(min=0), weights.clip(max=0)
    found = present @ plus.T
    with np.errstate(divide="ignore", invalid="ignore"):
        average = filled @ plus.T * (plus.sum(axis=1) / found)
    complete = (found > 0) & ((~present) @ -minus.T == 0)
    return np.where(complete, average + filled @ minus.T, np.nan)


def context_scaling(y: np.ndarray, weights: np.ndarray) -> list[tuple[float, float]]:
    """Return mean and standard deviation of each context label.

    Parameters
    ----------
    y : ndarray of shape (n, n_labels)
        Labels of the training stars, NaN where missing.
    weights : ndarray of shape (n_context, n_labels)
        Result of `context_weights`.

    Returns
    -------
    scaling : list of tuple of (float, float)
        The standard deviation is 1 where there are no two different values.
    """
    columns = (column[~np.isnan(column)] for column in context_values(y, weights).T)
    return [(float(c.mean()), float(c.std()) or 1.0) if len(c) else (0.0, 1.0) for c in columns]


def with_context_labels(
    normalized: Stars, stars: Stars, weights: np.ndarray, scaling: Sequence[tuple[float, float]]
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
    scaling : sequence of tuple of (float, float)
        Mean and standard deviation of each context label, by which they are normalised.

    Returns
    -------
    stars : Stars
        Normalised stars with further columns in `y` and `y_err`.
    """
    if len(weights) == 0:
        return normalized
    mean, spread = np.array(scaling).T
    y = np.hstack([normalized.y, (context_values(stars.y, weights) - mean) / spread])
    if normalized.y_err is None or stars.y_err is None:
        return normalized._replace(y=y)
    variance = np.where(np.isnan(stars.y), 0, stars.y_err) ** 2 @ (weights**2).T
    return normalized._replace(y=y, y_err=np.hstack([normalized.y_err, np.sqrt(variance) / spread]))
