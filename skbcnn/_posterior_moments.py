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
