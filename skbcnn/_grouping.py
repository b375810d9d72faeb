"""Sums and means over the spectra of each star, or of other groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skbcnn._masked import check_groups


@dataclass(frozen=True)
class Grouping:
    """Spectra sorted by their group.

    Attributes
    ----------
    names : ndarray of shape (n_groups,)
        Sorted names of the groups.
    counts : ndarray of int of shape (n_groups,)
        Number of spectra of each group.
    order : ndarray of int of shape (n_samples,)
        Rows of the spectra in the order of the groups.
    starts : ndarray of int of shape (n_groups,)
        First place of each group in `order`.
    group_of_row : ndarray of int of shape (n_samples,)
        Number of the group of each spectrum.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._grouping import Grouping
    >>> stars = Grouping.of(["b", "a", "b"], "star", n_samples=3)
    >>> stars.names, stars.sum(np.array([[1.0], [2.0], [5.0]])).tolist()
    (array(['a', 'b'], dtype='<U1'), [[2.0], [6.0]])
    """

    names: np.ndarray
    counts: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    group_of_row: np.ndarray

    @classmethod
    def of(cls, groups: Any, argument: str, n_samples: int, kind: str = "star") -> Grouping:
        """Return the grouping of spectra by the names of their groups.

        Parameters
        ----------
        groups : array-like of shape (n_samples,)
            Name or number of the group of each spectrum.
        argument : str
            Name of the argument, for error messages.
        n_samples : int
            Number of spectra.
        kind : str, default="star"
            What the names are of, for error messages.

        Returns
        -------
        grouping : Grouping

        Raises
        ------
        ValueError
            If there is not one name for each spectrum, one is missing, or there are no spectra.
        """
        checked = check_groups(groups, argument, n_samples, kind)
        if n_samples == 0:
            raise ValueError("The prediction has no spectra, and at least one is needed.")
        names, group_of_row, counts = np.unique(checked, return_inverse=True, return_counts=True)
        order = np.argsort(group_of_row, kind="stable")
        return cls(names, counts, order, np.cumsum(counts) - counts, group_of_row)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return sums over the spectra of each group.

        Parameters
        ----------
        values : ndarray of shape (n_samples, ...)
            Values of each spectrum.

        Returns
        -------
        sums : ndarray of shape (n_groups, ...), float64
        """
        return np.add.reduceat(values[self.order], self.starts, axis=0, dtype=np.float64)

    def any(self, values: np.ndarray) -> np.ndarray:
        """Return whether a value is true for any spectrum of each group.

        Parameters
        ----------
        values : ndarray of bool of shape (n_samples,)
            Values of each spectrum.

        Returns
        -------
        any : ndarray of bool of shape (n_groups,)
        """
        return np.logical_or.reduceat(values[self.order], self.starts)

    def refuse_infinite(self, labels: np.ndarray) -> None:
        """Raise an error if a label is not finite.

        Parameters
        ----------
        labels : ndarray of shape (n_samples, n_labels)
            Predicted labels.

        Raises
        ------
        ValueError
            If a label is NaN or infinite.
        """
        if n_bad := int((~np.isfinite(labels)).any(axis=1).sum()):
            raise ValueError(
                f"{n_bad} of {len(labels)} spectra have predicted labels that are NaN or infinite. Leave these spectra "
                "out."
            )
