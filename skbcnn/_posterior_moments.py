"""Mean and standard deviations of the posterior draws, and the draws, in label units, computed chunk by chunk.

Each chunk of spectra is cast to float32, normalised, passed through all draws, and converted to label units, so that no
second array of the size of the spectra is ever made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches
from tqdm.auto import tqdm

from skbcnn.network.backends import posterior_class

if TYPE_CHECKING:
    from skbcnn.network.spec import NetworkSpec
    from skbcnn.preprocessing import LabelNormalizer, SpectraNormalizer


_MIN_SHARE = 1 / 3  # of the variance about the mean over the draws, in the variance about a draw or of the draws


class LiveNetwork:
    """Cache of the compiled network of one fitted model: filled at the first prediction, never pickled or copied.

    A forked process makes its own, because another thread of its parent may have held a lock of the parent's.
    """

    def __init__(self) -> None:
        self._posterior: Any = None
        self._process: int | None = None

    def posterior(self, backend: str, spec: NetworkSpec, weights: dict[str, np.ndarray], seed: int) -> Any:
        """Return the object that computes posterior draws with a backend.

        Parameters
        ----------
        backend : {"auto", "tensorflow", "numpy"}
            Parameter `backend` of the regressor.
        spec : NetworkSpec
            Architecture of the network.
        weights : dict of str to ndarray
            Its weights.
        seed : int
            Seed of the draws.

        Returns
        -------
        posterior : object
            Instance of ``skbcnn.network.backends.posterior_class(backend)``. The same one in each call, until the
            backend or the process changes.
        """
        cls = posterior_class(backend)
        if type(self._posterior) is not cls or self._process != os.getpid():
            self._posterior, self._process = cls(spec, weights, seed), os.getpid()
        return self._posterior


def count_draws_once(moments: np.ndarray, moments_without_noise: np.ndarray | None = None) -> np.ndarray:
    """Return moments whose total standard deviation counts the scatter of the draws once.

    Each training step sees one dropout mask, so that the predictive variance is that of the label about the output of a
    single draw: the variance about the mean over the draws, plus the scatter of the draws. The variance about the mean
    is therefore their difference, but is taken as at least a third of the larger of both.

    Parameters
    ----------
    moments : ndarray of shape (4, n_samples, n_labels)
        From `posterior_moments`. It is not changed.
    moments_without_noise : ndarray of the same shape, default=None
        The same without flux errors, if `moments` are with flux errors. The additional scatter of the draws is caused
        by noise that the predictive variance does not contain, and is added.

    Returns
    -------
    moments : ndarray of shape (4, n_samples, n_labels)

    Examples
    --------
    >>> import numpy as np
    >>> from skbcnn._posterior_moments import count_draws_once
    >>> count_draws_once(np.array([[[7.0]], [[3.0]], [[5.0]], [[34**0.5]]])).ravel()
    array([7., 3., 5., 4.])
    """
    mean, model, predictive, _ = moments
    scatter = (model if moments_without_noise is None else moments_without_noise[1]) ** 2
    variance = np.maximum(predictive**2 - scatter, _MIN_SHARE * np.maximum(predictive**2, scatter))
    return np.stack([mean, model, predictive, np.sqrt(variance + np.maximum(model**2 - scatter, 0))])


def posterior_moments(
    posterior: Any,
    spectra_normalizer: SpectraNormalizer,
    label_normalizer: LabelNormalizer,
    X: np.ndarray,
    x_err: np.ndarray | None = None,
    *,
    n_draws: int,
    verbose: int = 0,
    title: str = "Predicting",
) -> np.ndarray:
    """Return mean and standard deviations of the labels over posterior draws.

    Parameters
    ----------
    posterior : object
        From `LiveNetwork.posterior`.
    spectra_normalizer : SpectraNormalizer
        Fitted normaliser of the spectra.
    label_normalizer : LabelNormalizer
        Fitted normaliser of the labels.
    X : ndarray of shape (n_samples, n_pixels)
        Finite spectra, of any numeric type.
    x_err : ndarray of shape (n_samples, n_pixels), default=None
        Flux errors. Each draw then adds one pattern of noise, scaled by them.
    n_draws : int
        Number of draws.
    verbose : int, default=0
        1 shows a progress bar.
    title : str, default="Predicting"
        Text before the bar.

    Returns
    -------
    moments : ndarray of shape (4, n_samples, n_labels)
        Mean, and the model, predictive and total standard deviation, in label units.
    """
    normalizers = spectra_normalizer, label_normalizer
    return _moments_and_draws(posterior, *normalizers, X, x_err, n_draws, None, verbose, title)[0]


def posterior_draws(
    posterior: Any,
    spectra_normalizer: SpectraNormalizer,
    label_normalizer: LabelNormalizer,
    X: np.ndarray,
    x_err: np.ndarray | None = None,
    *,
    n_draws: int,
    kept: np.ndarray | None = None,
    verbose: int = 0,
    title: str = "Predicting",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments of the labels over posterior draws, and the labels of each draw.

    Parameters
    ----------
    posterior, spectra_normalizer, label_normalizer, X, x_err, n_draws, verbose, title
        As in `posterior_moments`.
    kept : ndarray of int of shape (n_kept,), default=None
        Numbers of the draws to return. None: all.

    Returns
    -------
    moments : ndarray of shape (4, n_samples, n_labels)
        The same as `posterior_moments` returns.
    draws : ndarray of shape (n_kept, n_samples, n_labels), float32
        Mean labels that the network of each draw predicts, in label units.
    """
    kept = np.arange(n_draws) if kept is None else kept
    normalizers = spectra_normalizer, label_normalizer
    return _moments_and_draws(posterior, *normalizers, X, x_err, n_draws, kept, verbose, title)


def _moments_and_draws(
    posterior: Any,
    spectra_normalizer: SpectraNormalizer,
    label_normalizer: LabelNormalizer,
    X: np.ndarray,
    x_err: np.ndarray | None,
    n_draws: int,
    kept: np.ndarray | None,
    verbose: int,
    title: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the moments, and the draws with the numbers `kept`: none if it is None."""

    def normalized(rows: slice) -> tuple[np.ndarray, np.ndarray | None]:
        flux = spectra_normalizer.transform(np.asarray(X[rows], dtype=np.float32))
        if x_err is None:
            return flux, None
        return flux, spectra_normalizer.scale_errors(np.asarray(x_err[rows], dtype=np.float32))

    chunks = list(gen_batches(len(X), posterior.chunk))
    moments = np.empty((4, len(X), len(label_normalizer.mean_)))
    draws = np.empty((0 if kept is None else len(kept), *moments.shape[1:]), dtype=np.float32)
    inputs = (normalized(rows) for rows in chunks)
    if kept is None:
        answers = ((found, draws) for found in posterior.moments(inputs, n_draws))
    else:
        answers = posterior.moments_and_draws(inputs, n_draws)
    bar = tqdm(chunks, desc=title, unit="chunk", disable=not verbose)
    for rows, ((mean, model, predictive), means_of_draws) in zip(bar, answers, strict=True):
        stds = map(np.sqrt, (model, predictive, model + predictive))
        moments[:, rows] = label_normalizer.inverse_moments(mean, *stds)
        if kept is not None:
            (draws[:, rows],) = label_normalizer.inverse_moments(means_of_draws[kept].astype(np.float64))
    return moments, draws
