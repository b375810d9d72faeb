"""How much of what a label depends on lies within its own windows, and on which ways it gets there."""

from dataclasses import dataclass

import numpy as np

from skbcnn.inspection.model_slopes import ModelSlopes


@dataclass(frozen=True)
class WindowAttribution:
    """Shares of the sensitivity of each label: the sum of absolute derivatives over pixels, averaged over stars.

    All are NaN for labels without a window, and for such as depend on no pixel at all.

    Attributes
    ----------
    label_names : tuple of str
        Whose shares they are.
    within : ndarray of shape (n_labels,)
        Share of the sensitivity that lies within the windows of the label, whichever way it takes.
    by_window : ndarray of shape (n_labels,)
        Of what the label owes to its window layers on the one hand and to the context on the other, before the two
        cancel or add up, the share of the window layers. This and the two below add up to 1.
    by_context_within, by_context_outside : ndarray of shape (n_labels,)
        The share of the context, by pixels within and outside the windows of the label.
    pixels_within : ndarray of shape (n_labels,)
        Share of the pixels that the windows have: what `within` would be for a label that depends on all alike.
    """

    label_names: tuple[str, ...]
    within: np.ndarray
    by_window: np.ndarray
    by_context_within: np.ndarray
    by_context_outside: np.ndarray
    pixels_within: np.ndarray

    def to_table(self):
        """The shares as a table, one row for each label.

        Returns
        -------
        table : astropy.table.Table
            Columns ``label``, ``within``, ``by_window``, ``by_context_within``, ``by_context_outside`` and
            ``pixels_within``.
        """
        from astropy.table import Table  # here, since importing astropy takes longer than all else of the package

        names = ("within", "by_window", "by_context_within", "by_context_outside", "pixels_within")
        table = Table({"label": list(self.label_names)} | {name: getattr(self, name) for name in names})
        for name in names:
            table[name].format = ".3f"
        return table


def window_attribution(model, X, *, n_draws=None):
    """Tell how much of the sensitivity of each label lies within its windows, and on which ways it gets there.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted. Of a pipeline pass the last step, and the spectra as they reach it.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, normalised as those of `fit`.
    n_draws : int, default=None
        Posterior draws to average derivatives over, as in `jacobian`.

    Returns
    -------
    attribution : WindowAttribution

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is no regressor of this package.
    ValueError
        If the spectra or the number of draws cannot be used.

    See Also
    --------
    jacobian : The derivatives themselves.

    Notes
    -----
    Derivatives are those by the flux. Memory does not grow with the number of stars.

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
    slopes = ModelSlopes(model, X, "total", n_draws)
    spec = model.spec_
    sums = np.zeros((spec.n_labels, 5))  # whole, whole within; window layers, context within, context outside
    for _, of_chunk in slopes:
        total = slopes.of_labels(of_chunk)
        for j, own in of_chunk.windows.items():
            sums[j] += _sums(total[:, j], own, list(spec.windows[j]))
    whole, ways = sums[:, 0], sums[:, 2:].sum(axis=1)
    shares = [_share(sums[:, 1], whole), *(_share(of_way, ways) for of_way in sums[:, 2:].T)]
    n_pixels = [np.nan if window is None else len(window) for window in spec.windows]
    return WindowAttribution(tuple(model.target_names_), *shares, np.array(n_pixels) / spec.n_pixels)


def _sums(total, own, window):
    """Sums of absolute derivatives over stars and pixels; `own` are those of the window layers, by its pixels."""
    outside = np.ones(total.shape[1], dtype=bool)
    outside[window] = False
    parts = total, total[:, window], own, total[:, window] - own, total[:, outside]
    return [np.abs(part).sum(dtype=np.float64) for part in parts]


def _share(part, whole):
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
