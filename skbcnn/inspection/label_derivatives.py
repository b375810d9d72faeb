"""Derivatives of the labels of a fitted regressor with respect to the flux, in chunks of stars and in label units."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skbcnn.network.backends import require_tensorflow
from skbcnn.network.forking import refuse_after_fork
from skbcnn.network.numpy.blas import ONE_THREAD_PER_PRODUCT
from skbcnn.regressor import CensoredBCNNRegressor

if TYPE_CHECKING:
    from skbcnn.network.tensorflow.derivatives import Derivatives, PosteriorDerivatives
    from skbcnn.preprocessing import LabelNormalizer


class LabelDerivatives:
    """Derivatives of the labels of a fitted regressor with respect to the flux of some spectra.

    Iteration yields, for one chunk of stars after the other, the derivatives through the full spectrum and those
    through the windows. `of_labels` combines them.

    Parameters
    ----------
    model : CensoredBCNNRegressor
        Fitted regressor.
    X : array-like of shape (n_samples, n_pixels)
        Spectra, normalised as in `fit`.
    path : {"total", "stopped", "window"}
        Paths from the flux to the window labels, as in `jacobian`.
    n_draws : int, default=None
        Number of posterior draws. None means as many as for predictions of the model.
    denormalize : bool, default=True
        Whether derivatives are in label units per unit of flux, or in normalised units.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If the model is not a regressor of this package.
    ValueError
        If the spectra or the number of draws are invalid.
    """

    def __init__(
        self, model: Any, X: ArrayLike, path: str, n_draws: int | None = None, denormalize: bool = True
    ) -> None:
        _check_model(model)
        refuse_after_fork("jacobian")  # before the work
        self.model, self.path, self.denormalize = model, path, denormalize
        self.n_draws = _check_n_draws(model.n_draws if n_draws is None else n_draws)
        self.X, _ = model._check_input(X, None)
        self._label_scale = _label_scale(model.label_normalizer_) if denormalize else np.ones(model.n_outputs_)

    @cached_property
    def _network(self) -> PosteriorDerivatives:
        require_tensorflow("jacobian")
        from skbcnn.network.tensorflow.derivatives import PosteriorDerivatives  # imported late: it imports TensorFlow

        return PosteriorDerivatives(self.model.spec_, self.model.weights_, self.model.seed_, self.n_draws, self.path)

    @cached_property
    def _row_weights(self) -> np.ndarray:
        """Weight of each row of derivatives in each label, in label units."""
        return self._network.row_weights * self._label_scale[:, None]

    def __iter__(self) -> Iterator[tuple[slice, Derivatives]]:
        """Yield the derivatives of one chunk of stars after the other.

        Yields
        ------
        stars : slice
            Rows of the chunk in `X`.
        derivatives : skbcnn.network.tensorflow.derivatives.Derivatives
            With `denormalize`, with respect to the flux, and those through the windows in label units.
        """
        starts = range(0, len(self.X), self._network.chunk)
        chunks = [slice(start, start + self._network.chunk) for start in starts]
        computed = self._network.compute(self._normalized(stars) for stars in chunks)
        bar = tqdm(chunks, desc="Differentiating", unit="chunk", disable=not self.model.verbose)
        for stars, derivatives in zip(bar, computed, strict=True):
            yield stars, self._denormalized(stars, derivatives) if self.denormalize else derivatives

    def average(self) -> Derivatives:
        """Return the derivatives averaged over the stars, with only a few stars in memory at a time.

        Returns
        -------
        derivatives : skbcnn.network.tensorflow.derivatives.Derivatives
            Averages in the shape of one star, float64.
        """
        rows: Any = 0.0
        windows: dict[int, Any] = {}
        for _, derivatives in self:
            rows += derivatives.rows.sum(axis=0, dtype=np.float64, keepdims=True)
            for j, in_window in derivatives.windows.items():
                windows[j] = windows.get(j, 0.0) + in_window.sum(axis=0, dtype=np.float64, keepdims=True)
        n = len(self.X)
        return derivatives._replace(rows=rows / n, windows={j: total / n for j, total in windows.items()})

    def of_labels(self, derivatives: Derivatives) -> np.ndarray:
        """Return the derivatives of all labels with respect to all pixels.

        Parameters
        ----------
        derivatives : skbcnn.network.tensorflow.derivatives.Derivatives
            Derivatives from iteration, or from `average`.

        Returns
        -------
        derivatives : ndarray of shape (n, n_labels, n_pixels)
        """
        with ONE_THREAD_PER_PRODUCT:  # the other threads compute the next chunks
            combined = np.matmul(self._row_weights.astype(derivatives.rows.dtype), derivatives.rows)
        for j, in_window in derivatives.windows.items():
            combined[:, j, self.model.spec_.windows[j]] += in_window
        return combined

    def _normalized(self, stars: slice) -> np.ndarray:
        return self.model.spectra_normalizer_.transform(np.asarray(self.X[stars], dtype=np.float32))

    def _denormalized(self, stars: slice, derivatives: Derivatives) -> Derivatives:
        """Apply the chain rule from the normalised pixels to the flux, and through the windows to the label units."""
        factor, scale = self._flux_factor(stars), self._label_scale.astype(np.float32)
        pixels = self.model.spec_.windows
        return derivatives._replace(
            rows=derivatives.rows * factor[:, None],
            windows={j: values * factor[:, pixels[j]] * scale[j] for j, values in derivatives.windows.items()},
        )

    def _flux_factor(self, stars: slice) -> np.ndarray:
        """Return the derivatives of normalised pixels with respect to their flux: one row, or one for each star."""
        normalizer = self.model.spectra_normalizer_
        factor = (1 / normalizer.scale_).astype(np.float32)[None]
        if str(normalizer.mode) != "3s":
            return factor
        sigmoid = self._normalized(stars)
        return factor * sigmoid * (1 - sigmoid)


def _check_model(model: Any) -> None:
    """Raise an error if the model is not a fitted regressor of this package."""
    if isinstance(model, Pipeline):
        raise TypeError(
            "model is a Pipeline, whose first steps change the spectra, so that derivatives with respect to the raw "
            "flux would differ. Pass its last step and the transformed spectra: model[-1] and model[:-1].transform(X)."
        )
    if not isinstance(model, CensoredBCNNRegressor):
        raise TypeError(
            f"model is a {type(model).__name__}, expected a fitted CensoredBCNNRegressor or "
            "ApogeeBCNNCensoredRegressor. Of a search, pass best_estimator_; of an ensemble, one of estimators_."
        )
    check_is_fitted(model)


def _label_scale(normalizer: LabelNormalizer) -> np.ndarray:
    """Return the size of a normalised unit of each label. A mode that is not linear raises an error."""
    one = np.ones_like(normalizer.scale_)
    return normalizer.inverse_moments(one, one)[1]


def _check_n_draws(n_draws: int) -> int:
    if isinstance(n_draws, Integral) and not isinstance(n_draws, bool) and n_draws >= 1:
        return int(n_draws)
    raise ValueError(f"n_draws={n_draws!r}, expected a whole number of posterior draws, at least 1.")
