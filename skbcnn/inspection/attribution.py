"""Shares of the sensitivity of each label inside and outside its windows, and by the window layers and the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from skbcnn._global_settings import default_settings
from skbcnn.inspection.label_derivatives import LabelDerivatives

if TYPE_CHECKING:
    from astropy.table import Table

    from skbcnn.regressor import CensoredBCNNRegressor


@dataclass(frozen=True)
class WindowAttribution:
    """Shares of the sensitivity of each label: the sum of absolute derivatives over pixels, averaged over stars.

    All shares are NaN for labels without windows, and all but `pixels_within` for labels that depend on no pixel.

    Attributes
    ----------
    label_names : tuple of str
        Names of the labels.
    within : ndarray of shape (n_labels,)
        Share of the sensitivity inside the windows of the label, by any path.
    by_window : ndarray of shape (n_labels,)
        Share of the window layers in the sum of the sensitivities by the window layers and by the context. The two are
        summed as absolute values, before they cancel or add up. This share and the two below add up to 1.
    by_context_within, by_context_outside : ndarray of shape (n_labels,)
        Share of the context in the same sum, by pixels inside and outside the windows of the label.
    pixels_within : ndarray of shape (n_labels,)
        Share of all pixels that lie inside the windows. `within` would have this value for a label that depends equally
        on all pixels.
    """

    label_names: tuple[str, ...]
    within: np.ndarray
    by_window: np.ndarray
    by_context_within: np.ndarray
    by_context_outside: np.ndarray
    pixels_within: np.ndarray

    def to_table(self) -> Table:
        """Return the shares as a table with one row for each label.

        Returns
        -------
        table : astropy.table.Table
            Columns ``label``, ``within``, ``by_window``, ``by_context_within``, ``by_context_outside`` and
            ``pixels_within``.
        """
        from astropy.table import Table  # imported here, because importing astropy is slow

        names = ("within", "by_window", "by_context_within", "by_context_outside", "pixels_within")
        table = Table({"label": list(self.label_names)} | {name: getattr(self, name) for name in names})
        for name in names:
            table[name].format = ".3f"
        return table


@default_settings()
def window_attribution(model: CensoredBCNNRegressor, X: ArrayLike, *, n_draws: int | None = None) -> WindowAttribution:
    """Return which share of the sensitivity of each label lies inside its windows, and by which path.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted regressor. For a pipeline, pass its last step and the transformed spectra.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, normalised as in `fit`.
    n_draws : int, default=None
        Number of posterior draws over which derivatives are averaged, as in `jacobian`.

    Returns
    -------
    attribution : WindowAttribution

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If the model is not a regressor of this package.
    ValueError
        If the spectra or the number of draws are invalid.

    See Also
    --------
    jacobian : The derivatives themselves.

    Notes
    -----
    Derivatives are with respect to the flux. Memory does not grow with the number of stars.

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn import CensoredBCNNRegressor
    >>> from skbcnn.inspection import window_attribution
    >>> X = np.random.default_rng(0).normal(1, 0.1, size=(100, 20))
    >>> y = np.column_stack([X[:, 0], X[:, 5] + X[:, 6]])
    >>> model = CensoredBCNNRegressor(windows={"Mg": [5, 6]}, target=["teff", "Mg"], max_epochs=2, random_state=0)
    >>> shares = window_attribution(model.fit(X, y), X, n_draws=10)
    >>> shares.pixels_within
    array([nan, 0.1])
    >>> shares.by_window + shares.by_context_within + shares.by_context_outside
    array([nan, 1.])
    >>> shares.to_table().colnames
    ['label', 'within', 'by_window', 'by_context_within', 'by_context_outside', 'pixels_within']
    """
    derivatives = LabelDerivatives(model, X, "total", n_draws)
    spec = model.spec_
    sums = np.zeros((spec.n_labels, 5))  # columns as in _absolute_sums
    for _, chunk in derivatives:
        total = derivatives.of_labels(chunk)
        for j, by_window in chunk.windows.items():
            sums[j] += _absolute_sums(total[:, j], by_window, list(spec.windows[j]))
    whole, by_path = sums[:, 0], sums[:, 2:].sum(axis=1)
    n_pixels = [np.nan if window is None else len(window) for window in spec.windows]
    return WindowAttribution(
        label_names=tuple(model.target_names_),
        within=_share(sums[:, 1], whole),
        by_window=_share(sums[:, 2], by_path),
        by_context_within=_share(sums[:, 3], by_path),
        by_context_outside=_share(sums[:, 4], by_path),
        pixels_within=np.array(n_pixels) / spec.n_pixels,
    )


def _absolute_sums(total: np.ndarray, by_window: np.ndarray, window: Sequence[int]) -> list[float]:
    """Return sums of absolute derivatives of one label over stars and pixels.

    The sums are: total; total inside the window; by the window layers; by the context inside; by the context outside.
    """
    outside = np.ones(total.shape[1], dtype=bool)
    outside[window] = False
    parts = total, total[:, window], by_window, total[:, window] - by_window, total[:, outside]
    return [np.abs(part).sum(dtype=np.float64) for part in parts]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
