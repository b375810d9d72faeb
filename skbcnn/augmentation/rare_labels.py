"""Weights of labels in the loss, by how rare they are among stars of the same context."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-6  # relative scatter of labels that follow exactly from the context


class RareLabels:
    """Weights that flatten the distribution of each label, given the context labels.

    A label that departs by r standard deviations from its usual value has a weight of ``exp(r**2 / 4)``, at most
    `largest`. The usual value is a linear function of the context labels. For a normal distribution, these weights
    double the variance of the departures, up to the limit: the training set then says less about what a label should
    be, and more follows from the spectrum.

    Parameters
    ----------
    largest : float
        Largest weight.
    y : ndarray of shape (n, n_labels)
        Labels of the training stars, NaN where missing.
    is_context : ndarray of bool of shape (n_labels,)
        Which labels are the context. Their own weights are 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn.augmentation.rare_labels import RareLabels
    >>> y = np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 3.0], [1.0, 1.0]])  # usually twice the context, give or take 1
    >>> weights = RareLabels(3.0, y, np.array([True, False]))
    >>> weights.of(np.array([[0.5, 1.0], [0.5, 3.0], [0.5, 5.0]])).round(2)
    array([[1.  , 1.  ],
           [1.  , 2.72],
           [1.  , 3.  ]])
    """

    def __init__(self, largest: float, y: np.ndarray, is_context: np.ndarray) -> None:
        from sklearn.linear_model import LinearRegression  # imported here, because importing it is slow

        present = ~np.isnan(y)
        self._context = np.flatnonzero(is_context & present.any(axis=0))
        self._log_largest = np.log(largest)
        self._slope, self._constant = np.zeros((len(self._context), y.shape[1])), np.zeros(y.shape[1])
        self._spread = np.zeros(y.shape[1])  # 0: all weights of the label are 1
        has_context = present[:, self._context].all(axis=1) & (len(self._context) > 0)
        for j in np.flatnonzero(~is_context & (present & has_context[:, np.newaxis]).any(axis=0)):
            context, label = y[has_context & present[:, j]][:, self._context], y[has_context & present[:, j], j]
            usual = LinearRegression().fit(context, label)
            self._slope[:, j], self._constant[j] = usual.coef_, usual.intercept_
            spread = np.std(label - usual.predict(context))
            self._spread[j] = spread if spread > _ROUNDING * np.std(label) else 0

    def of(self, y: np.ndarray) -> np.ndarray:
        """Return the weights of labels.

        Parameters
        ----------
        y : ndarray of shape (n, n_labels)
            Labels, NaN where missing.

        Returns
        -------
        weights : ndarray of shape (n, n_labels)
            1 where the label or one of the context labels is missing.
        """
        departure = np.nan_to_num(y - self._constant - y[:, self._context] @ self._slope)
        ratio = np.divide(departure, self._spread, out=np.zeros_like(departure), where=self._spread > 0)
        return np.exp(np.minimum(ratio**2 / 4, self._log_largest))
