"""The quantities whose derivatives through the full spectrum are averaged over the posterior draws.

A pixel reaches a window label along two ways: through the context, which all window labels take, and, if it lies in the
windows of the label, through its window layers. The context has few values, so only these are differentiated through
the full-spectrum layers. What is averaged over the draws (the rows) depends on the layers that take the context:

- If only the output heads take it, each label is a weighted sum of the context, with weights that no mask changes. The
  rows are then the context, and `row_weights` gives the derivatives of the labels from those of the context, for any
  path.
- If the second window layers take it, too, the effect of the context differs between stars and draws. The rows are then
  the labels, and the path must be known before the derivatives are computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skbcnn.network.spec import NetworkSpec


@dataclass(frozen=True)
class DerivativeRows:
    """Quantities whose derivatives through the full spectrum are averaged over the draws.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    n_open : int or None
        None: the rows are the values of the context. Otherwise the rows are the means of the labels, and the first
        `n_open` values of the context pass derivatives on to the window labels.

    Attributes
    ----------
    labels : tuple of int or None
        Labels in the order of the rows; None if the rows are the context.

    Examples
    --------
    >>> from skbcnn.network.tensorflow.derivative_rows import DerivativeRows
    >>> from skbcnn.network.spec import NetworkSpec
    >>> windows = {"n_pixels": 40, "windows": ((3, 4), None), "widening": ((1, 1), (1, 1))}
    >>> spec = NetworkSpec(**windows, context_layer="hidden")
    >>> DerivativeRows.for_path(spec, "total").labels
    (1, 0)
    >>> len(DerivativeRows.for_path(spec, "window"))  # two free context units and the mean of a label
    3
    """

    spec: NetworkSpec
    n_open: int | None = None

    @classmethod
    def for_path(cls, spec: NetworkSpec, path: str) -> "DerivativeRows":
        """Return the rows from which the derivatives along a path follow.

        Parameters
        ----------
        spec : NetworkSpec
            Architecture of the network.
        path : {"total", "stopped", "window"}
            Path, as in `PosteriorDerivatives`.

        Returns
        -------
        rows : DerivativeRows
            Rows for this path.
        """
        n_open = _n_open(spec, path)
        return cls(spec, n_open if spec.n_hidden_context and spec.groups and n_open else None)

    @property
    def labels(self) -> tuple[int, ...] | None:
        window_labels = (j for group in self.spec.groups for j in group.labels)
        return None if self.n_open is None else (*self.spec.full_labels, *window_labels)

    def __len__(self) -> int:
        return self.spec.n_context if self.labels is None else len(self.labels)


def _n_open(spec: NetworkSpec, path: str) -> int:
    """Return how many values of the context, from the first one, belong to a path. The free units come first."""
    return {"total": spec.n_context, "stopped": spec.n_free, "window": 0}[path]


def row_weights(spec: NetworkSpec, weights: Mapping[str, np.ndarray], path: str) -> np.ndarray:
    """Return the derivatives of the mean of each label with respect to each row.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture of the network.
    weights : mapping of str to ndarray
        Arrays keyed and shaped as `NetworkSpec.weight_shapes`.
    path : {"total", "stopped", "window"}
        Path, as in `PosteriorDerivatives`.

    Returns
    -------
    row_weights : ndarray of shape (n_labels, n_rows), float32
        Weights that add rows up to labels.
    """
    rows, n_open = DerivativeRows.for_path(spec, path), _n_open(spec, path)
    found = np.zeros((spec.n_labels, len(rows)), dtype=np.float32)
    if rows.labels is not None:
        found[rows.labels, range(len(rows))] = 1
        return found
    found[spec.full_labels, range(spec.n_free, spec.n_context)] = 1  # their means are values of the context
    for group in spec.groups:
        for j in group.labels:
            found[j, :n_open] = weights[f"label{j}.mean.kernel"][group.width_2 :][:n_open, 0]
    return found
