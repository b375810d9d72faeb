"""The derivatives of a fitted regressor's labels by the flux, a few stars at a time, in units that a user knows."""

from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skbcnn.network.choice import require_tensorflow
from skbcnn.regressor import CensoredBCNNRegressor


class ModelSlopes:
    """Derivatives of the labels of a fitted regressor at some spectra.

    They come, chunk by chunk, as the network has them: of the context and of the window layers. `of_label` makes those
    of a label of them.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, normalised as those of `fit`.
    n_draws : int, default=None
        Posterior draws. None: as many as the predictions of the model have.
    denormalize : bool, default=True
        Whether derivatives are in label units per unit of flux, or in normalised units.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is no regressor of this package.
    ValueError
        If the spectra or the number of draws cannot be used.
    """

    def __init__(self, model, X, n_draws=None, denormalize=True):
        _check_model(model)
        self.model, self.denormalize = model, denormalize
        self.n_draws = _check_n_draws(model.n_draws if n_draws is None else n_draws)
        self.X = model._check_new_spectra(X)

    @cached_property
    def _network(self):
        require_tensorflow("jacobian")
        from skbcnn.network.sensitivity import Sensitivity  # here, since it imports TensorFlow

        return Sensitivity(self.model.spec_, self.model.weights_, self.model.seed_, self.n_draws)

    @cached_property
    def _label_scale(self):
        """Unit of each normalised label."""
        normalizer = self.model.label_normalizer_
        one = np.ones_like(normalizer.scale_)
        return normalizer.inverse_moments(one, one)[1] if self.denormalize else one  # a mode that is not linear refuses

    def __iter__(self):
        """Derivatives of one chunk of stars after the other.

        Yields
        ------
        rows : slice
            Which stars.
        slopes : skbcnn.network.sensitivity.Slopes
            Of normalised numbers; by the flux, if they are to be denormalised.
        """
        starts = range(0, len(self.X), self._network.chunk)
        parts = [slice(start, start + self._network.chunk) for start in starts]
        found = self._network.slopes(self._normalized(rows) for rows in parts)
        bar = tqdm(parts, desc="Differentiating", unit="chunk", disable=not self.model.verbose)
        for rows, slopes in zip(bar, found, strict=True):
            yield rows, self._by_flux(rows, slopes) if self.denormalize else slopes

    def average(self):
        """Derivatives averaged over the stars, of which only a few are in memory at any time.

        Returns
        -------
        slopes : skbcnn.network.sensitivity.Slopes
            As of one star, float64.
        """
        context, windows = 0.0, {}
        for _, slopes in self:
            context += slopes.context.sum(axis=0, dtype=np.float64, keepdims=True)
            for j, of_window in slopes.windows.items():
                windows[j] = windows.get(j, 0.0) + of_window.sum(axis=0, dtype=np.float64, keepdims=True)
        n = len(self.X)
        return slopes._replace(context=context / n, windows={j: total / n for j, total in windows.items()})

    def told(self, path):
        """How much each label makes of each number of the context.

        Parameters
        ----------
        path : {"total", "stopped", "window"}
            On which ways.

        Returns
        -------
        told : ndarray of shape (n_labels, n_context)
            In label units, if derivatives are to be denormalised.
        """
        from skbcnn.network.sensitivity import context_weights

        return context_weights(self.model.spec_, self.model.weights_, path) * self._label_scale[:, None]

    def of_label(self, slopes, told, j):
        """Derivatives of one label by all pixels.

        Parameters
        ----------
        slopes : skbcnn.network.sensitivity.Slopes
            From iteration, or `average`.
        told : ndarray of shape (n_labels, n_context)
            From `told`.
        j : int
            Which label.

        Returns
        -------
        derivatives : ndarray of shape (n, n_pixels)
        """
        found = np.matmul(told[j].astype(slopes.context.dtype), slopes.context)
        if j in slopes.windows:
            found[:, self.model.spec_.windows[j]] += slopes.windows[j] * found.dtype.type(self._label_scale[j])
        return found

    def _normalized(self, rows):
        return self.model.spectra_normalizer_.transform(np.asarray(self.X[rows], dtype=np.float32))

    def _by_flux(self, rows, slopes):
        """By the chain rule from the normalised pixels on to the flux."""
        factor = self._flux_factor(rows)
        windows = self.model.spec_.windows
        return slopes._replace(
            context=slopes.context * factor[:, None],
            windows={j: of_window * factor[:, windows[j]] for j, of_window in slopes.windows.items()},
        )

    def _flux_factor(self, rows):
        """Derivatives of normalised pixels by their flux: one row, or one for each star."""
        normalizer = self.model.spectra_normalizer_
        factor = (1 / normalizer.scale_).astype(np.float32)[None]
        if str(normalizer.mode) != "3s":
            return factor
        squashed = self._normalized(rows)
        return factor * squashed * (1 - squashed)


def _check_model(model):
    """Refuse what is no fitted regressor of this package."""
    if isinstance(model, Pipeline):
        raise TypeError(
            "model is a Pipeline, whose first steps change the spectra, so that its derivatives by the raw flux are "
            "others. Pass its last step and what reaches it: model[-1] and model[:-1].transform(X)."
        )
    if not isinstance(model, CensoredBCNNRegressor):
        raise TypeError(
            f"model is a {type(model).__name__}, expected a fitted CensoredBCNNRegressor or "
            "ApogeeBCNNCensoredRegressor. Of a search, pass best_estimator_; of an ensemble, one of estimators_."
        )
    check_is_fitted(model)


def _check_n_draws(n_draws):
    if isinstance(n_draws, Integral) and not isinstance(n_draws, bool) and n_draws >= 1:
        return int(n_draws)
    raise ValueError(f"n_draws={n_draws!r}, expected a whole number of posterior draws, at least 1.")
