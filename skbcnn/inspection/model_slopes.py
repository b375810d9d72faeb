"""The derivatives of a fitted regressor's labels by the flux, a few stars at a time, in units that a user knows."""

from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skbcnn.network.backends import require_tensorflow
from skbcnn.network.numpy.blas import ONE_THREAD_PER_PRODUCT
from skbcnn.regressor import CensoredBCNNRegressor


class ModelSlopes:
    """Derivatives of the labels of a fitted regressor at some spectra.

    They come, chunk by chunk, as the network has them: through the full spectrum and through the windows. `of_labels`
    puts them together.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, normalised as those of `fit`.
    path : {"total", "stopped", "window"}
        Which ways lead from the context to the labels with a window, as in `jacobian`.
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

    def __init__(self, model, X, path, n_draws=None, denormalize=True):
        _check_model(model)
        self.model, self.path, self.denormalize = model, path, denormalize
        self.n_draws = _check_n_draws(model.n_draws if n_draws is None else n_draws)
        self.X = model._check_new_spectra(X)
        self._label_scale = _label_scale(model.label_normalizer_) if denormalize else np.ones(model.n_outputs_)

    @cached_property
    def _network(self):
        require_tensorflow("jacobian")
        from skbcnn.network.tensorflow.derivatives import PosteriorDerivatives  # here, since it imports TensorFlow

        return PosteriorDerivatives(self.model.spec_, self.model.weights_, self.model.seed_, self.n_draws, self.path)

    @cached_property
    def _row_weights(self):
        """What each label makes of each row of the derivatives, in its unit."""
        return self._network.row_weights * self._label_scale[:, None]

    def __iter__(self):
        """Derivatives of one chunk of stars after the other.

        Yields
        ------
        stars : slice
            Which.
        slopes : skbcnn.network.tensorflow.derivatives.Derivatives
            If derivatives are to be denormalised: by the flux, and those through the windows in label units.
        """
        starts = range(0, len(self.X), self._network.chunk)
        parts = [slice(start, start + self._network.chunk) for start in starts]
        found = self._network.compute(self._normalized(stars) for stars in parts)
        bar = tqdm(parts, desc="Differentiating", unit="chunk", disable=not self.model.verbose)
        for stars, slopes in zip(bar, found, strict=True):
            yield stars, self._denormalized(stars, slopes) if self.denormalize else slopes

    def average(self):
        """Derivatives averaged over the stars, of which only a few are in memory at any time.

        Returns
        -------
        slopes : skbcnn.network.tensorflow.derivatives.Derivatives
            As of one star, float64.
        """
        rows, windows = 0.0, {}
        for _, slopes in self:
            rows += slopes.rows.sum(axis=0, dtype=np.float64, keepdims=True)
            for j, of_window in slopes.windows.items():
                windows[j] = windows.get(j, 0.0) + of_window.sum(axis=0, dtype=np.float64, keepdims=True)
        n = len(self.X)
        return slopes._replace(rows=rows / n, windows={j: total / n for j, total in windows.items()})

    def of_labels(self, slopes):
        """Derivatives of all labels by all pixels.

        Parameters
        ----------
        slopes : skbcnn.network.tensorflow.derivatives.Derivatives
            From iteration, or `average`.

        Returns
        -------
        derivatives : ndarray of shape (n, n_labels, n_pixels)
        """
        with ONE_THREAD_PER_PRODUCT:  # the others are at work on the next chunks
            found = np.matmul(self._row_weights.astype(slopes.rows.dtype), slopes.rows)
        for j, of_window in slopes.windows.items():
            found[:, j, self.model.spec_.windows[j]] += of_window
        return found

    def _normalized(self, stars):
        return self.model.spectra_normalizer_.transform(np.asarray(self.X[stars], dtype=np.float32))

    def _denormalized(self, stars, slopes):
        """By the chain rule from the normalised pixels on to the flux, and through the windows on to the labels."""
        factor, scale = self._flux_factor(stars), self._label_scale.astype(np.float32)
        pixels = self.model.spec_.windows
        return slopes._replace(
            rows=slopes.rows * factor[:, None],
            windows={j: of_window * factor[:, pixels[j]] * scale[j] for j, of_window in slopes.windows.items()},
        )

    def _flux_factor(self, stars):
        """Derivatives of normalised pixels by their flux: one row, or one for each star."""
        normalizer = self.model.spectra_normalizer_
        factor = (1 / normalizer.scale_).astype(np.float32)[None]
        if str(normalizer.mode) != "3s":
            return factor
        squashed = self._normalized(stars)
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


def _label_scale(normalizer):
    """Unit of each normalised label; a mode that is not linear refuses."""
    one = np.ones_like(normalizer.scale_)
    return normalizer.inverse_moments(one, one)[1]


def _check_n_draws(n_draws):
    if isinstance(n_draws, Integral) and not isinstance(n_draws, bool) and n_draws >= 1:
        return int(n_draws)
    raise ValueError(f"n_draws={n_draws!r}, expected a whole number of posterior draws, at least 1.")
